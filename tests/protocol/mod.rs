//! The protocol's checklist (14): each test is named by the number of its statement.

mod subsets;
