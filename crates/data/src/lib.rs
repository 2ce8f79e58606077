//! What people bring, read and checked: labelled images of one shape, and sentences on how they were understood.
//!
//! [`Published`] is a data set of four IDX files, as MNIST is, and MNIST itself. Nothing here knows a network; which
//! images may be trained on is for the crate above to say.
#![forbid(unsafe_code)]

pub mod digit;
mod error;
pub mod idx;
mod labelled;
mod labels;
mod mnist;
mod names;
mod published;
#[cfg(test)]
mod testing;

use sha2::{Digest, Sha256};

pub use error::DataError;
pub use labelled::{ImageShape, Labelled};
pub use labels::{Labels, MAX_CLASSES};
pub use published::{FileCheck, Published};

/// A finished digest in hex.
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
