//! Whether what a run folder says is so: its files held against each other, and a training against one more.
//!
//! Nothing is written, and nothing is measured on the labels of the test images: what a network says of the images is
//! held against what its trial wrote down.

use serde::Serialize;

mod files;
mod training;

pub use files::{check_files, check_study};
pub use training::{Again, train_again};

/// A claim that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Disagreement {
    /// The file that makes it, as it is called in its folder.
    pub file: String,
    /// What is wrong with it.
    pub fault: String,
}

/// The claims of one trial, as they are gone through.
#[derive(Default)]
struct Faults(Vec<Disagreement>);

impl Faults {
    fn add(&mut self, file: &str, fault: impl Into<String>) {
        self.0.push(Disagreement { file: file.to_owned(), fault: fault.into() });
    }
}

/// As many digits of a checksum as a person compares.
fn short(sha256: &str) -> &str {
    &sha256[..sha256.floor_char_boundary(12)]
}
