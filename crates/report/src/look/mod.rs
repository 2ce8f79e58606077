//! Pictures of what a trained network has inside.

pub mod cards;
pub mod film;
pub mod gallery;
pub mod image_trace;
pub mod page;
pub mod recurrence;
pub mod terminal;
