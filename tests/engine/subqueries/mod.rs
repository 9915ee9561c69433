//! Shapes whose rows depend on rows of other tables.

mod filters;
mod moves;
mod schedules;
mod writes;
