//! What people bring, read and checked: labelled images of one shape, and sentences on how they were understood.
//!
//! [`read`] takes whatever a path leads to and gives a [`Collection`]. [`Published`] is a data set of four IDX files,
//! as MNIST is, and MNIST itself. Nothing here knows a network; which images may be trained on is for the crate above
//! to say.
#![forbid(unsafe_code)]

pub mod apart;
mod arrays;
mod cifar;
mod collection;
mod csv;
pub mod digit;
mod duplicates;
mod error;
mod folder;
mod groups;
pub mod idx;
mod idx_folder;
mod labelled;
mod labels;
mod leaks;
mod mnist;
mod moments;
mod names;
mod natural;
mod options;
mod pairs;
mod pictures;
mod progress;
mod published;
mod read;
pub mod rng;
#[cfg(test)]
mod testing;
mod walk;
pub mod words;

use sha2::{Digest, Sha256};

pub use collection::{Collection, Examples, MAX_NAME_BYTES, Naming, Role, Unreadable};
pub use duplicates::{Alike, alike};
pub use error::DataError;
pub use labelled::{ImageShape, Labelled};
pub use labels::{Labels, MAX_CLASSES, class_counts};
pub use leaks::{Parted, Portion, Shares};
pub use moments::Moments;
pub use options::{Background, Channels, Column, Columns, Copies, DEFAULT_SIDE, Fit, Level, MAX_SIDE, Options};
pub use pairs::{Likeness, Pair, Pairs, Place, TooSmall};
pub use pictures::read_pictures;
pub use progress::{Progress, Stage};
pub use published::{FileCheck, Published};
pub use read::{holds_pictures, read, read_for, read_with};
pub use walk::files_below;

/// A finished digest in hex.
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
