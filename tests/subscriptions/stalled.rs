//! Readers that take nothing in the middle of a long answer.
