//! What trained networks have inside: which filters matter, which recur, how they came to be, and what the networks
//! together say of an image.

mod film;
mod gallery;
mod importance;
mod likeness;
mod recurrence;
#[cfg(test)]
mod testing;

pub(crate) use film::KeptFilters;
pub use film::{Film, film};
pub use gallery::{Gallery, Guesses, Mistaken, Said, Suspect, gallery};
pub use importance::{Importance, duplicates, importance};
pub use recurrence::{Recurrence, Row, Twin, recurrence};
