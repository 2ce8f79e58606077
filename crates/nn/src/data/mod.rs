//! Labelled images: read, checked, split, and the test split sealed.
//!
//! A [`Source`] is a data set as published: training and test images. [`Source::split`] sets validation images apart
//! and gives [`Splits`]; [`Splits::of`] makes them of whatever people bring. Training accepts a [`Dataset`]; the test images are a [`HeldOut`], which only evaluation
//! accepts.

mod dataset;
mod source;
mod split;
mod warnings;
mod writers;

pub use dataset::Dataset;
pub use source::Source;
pub use split::{HeldOut, Origins, Splits};
pub use tenfold_data::{
    Collection, DataError, Examples, FileCheck, ImageShape, Labels, MAX_CLASSES, MAX_NAME_BYTES, Naming, Options,
    Portion, Progress, Shares, digit, files_below, read, read_for, read_pictures, read_with, words,
};
pub use writers::test_writers;
