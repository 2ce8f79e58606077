//! Labelled images: read, checked, split, and the test split sealed.
//!
//! A [`Source`] is a data set as published: training and test images. [`Source::split`] sets validation images apart
//! and gives [`Splits`]. Training accepts a [`Dataset`]; the test images are a [`HeldOut`], which only evaluation
//! accepts.

mod dataset;
pub mod digit;
pub mod idx;
mod mnist;
mod source;
mod split;
mod writers;

use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use thiserror::Error;

pub use dataset::{Dataset, ImageShape};
pub use source::{FileCheck, Source};
pub use split::{HeldOut, Splits};
pub use writers::test_writers;

use idx::{IdxError, times};

/// Why a data set was refused. Examples count from 0.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum DataError {
    #[error(transparent)]
    Idx(#[from] IdxError),
    #[error("{}: cannot be read: {reason}", .path.display())]
    Io { path: PathBuf, reason: io::Error },
    #[error("{}: is not a folder, expected the folder that holds the four IDX files", .path.display())]
    NotAFolder { path: PathBuf },
    #[error(
        "{}: holds no {}; expected it there under that name or with a dot before `idx` (train-images.idx3-ubyte), with \
         or without .gz",
        .folder.display(),
        .missing.join(", no ")
    )]
    Missing { folder: PathBuf, missing: Vec<&'static str> },
    #[error(
        "{name}: holds {} elements of type {type_name}, expected images: u8 with dimensions [N, H, W] or [N, C, H, W]",
        times(.dims)
    )]
    NotImages { name: String, dims: Vec<usize>, type_name: &'static str },
    #[error(
        "{name}: holds {} elements of type {type_name}, expected labels: integers with one dimension [N]",
        times(.dims)
    )]
    NotLabels { name: String, dims: Vec<usize>, type_name: &'static str },
    #[error("{name}: images are {shape}, expected sides and channels of 1 to {}", dataset::MAX_SIDE)]
    Shape { name: String, shape: ImageShape },
    #[error("{name}: {found} pixels are no whole number of images of {shape}")]
    PixelCount { name: String, found: usize, shape: ImageShape },
    #[error(
        "{images_name} holds {images} images, {labels_name} holds {labels} labels, expected as many labels as images"
    )]
    LabelCount { images_name: String, images: usize, labels_name: String, labels: usize },
    #[error(
        "{name}: label {position} (counted from 0) is {found}, expected 0 to {} for {classes} classes",
        .classes - 1
    )]
    Label { name: String, position: usize, found: i64, classes: usize },
    #[error("{name}: holds {found} examples, expected 1 to {}", u32::MAX)]
    ExampleCount { name: String, found: usize },
    #[error("a data set of {found} classes was asked for, expected 2 to 256")]
    ClassCount { found: usize },
    #[error("{}: training images are {train}, test images {test}, expected the same shape", .folder.display())]
    ShapesDiffer { folder: PathBuf, train: ImageShape, test: ImageShape },
    #[error(
        "{found} validation examples were asked for, expected 1 to {}: there are {examples} to share with training",
        .examples - 1
    )]
    ValidCount { found: usize, examples: usize },
}

/// A finished digest in hex.
fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
