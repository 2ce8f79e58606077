//! Why a data set was refused, in words.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::idx::{IdxError, times};
use crate::labelled::MAX_SIDE;
use crate::labels;
use crate::{ImageShape, Labels, MAX_CLASSES};

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
    Missing { folder: PathBuf, missing: Vec<&'static str>, hint: Option<String> },
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
    #[error("{name}: images are {shape}, expected sides and channels of 1 to {}", MAX_SIDE)]
    Shape { name: String, shape: ImageShape },
    #[error("{name}: {found} pixels are no whole number of images of {shape}")]
    PixelCount { name: String, found: usize, shape: ImageShape },
    #[error(
        "{images_name} holds {images} images, {labels_name} holds {labels} labels, expected as many labels as images"
    )]
    LabelCount { images_name: String, images: usize, labels_name: String, labels: usize },
    #[error(
        "{images_name} holds labels, and {labels_name} holds images ({}): the two files have each other's names",
        times(.dims)
    )]
    Swapped { images_name: String, labels_name: String, dims: Vec<usize> },
    #[error(
        "{name}: label {position} (counted from 0) is {found}, expected {} to {} for {} classes; the labels are \
         {} to {}",
        .labels.first, .labels.last(), .labels.classes, .range[0], .range[1]
    )]
    Label { name: String, position: usize, found: i64, labels: Labels, range: [i64; 2] },
    #[error("{name}: holds {found} examples, expected 1 to {}", u32::MAX)]
    ExampleCount { name: String, found: usize },
    #[error("a data set of {found} classes was asked for, expected 2 to {MAX_CLASSES}")]
    ClassCount { found: usize },
    #[error(
        "{}, expected 2 to {MAX_CLASSES} classes",
        if .low == .high { format!("all labels are {low}") } else { format!("the labels are {low} to {high}") }
    )]
    CountedClasses { low: i64, high: i64 },
    #[error("{}: training images are {train}, test images {test}, expected the same shape", .folder.display())]
    ShapesDiffer { folder: PathBuf, train: ImageShape, test: ImageShape },
    #[error(
        "{found} validation examples were asked for, expected 1 to {}: there are {examples} to share with training",
        .examples - 1
    )]
    ValidCount { found: usize, examples: usize },
    #[error(
        "all {examples} training images are of class {class}, expected two classes at least: there is nothing to learn"
    )]
    OneClass { examples: usize, class: String },
    #[error(
        "of {examples} images {count} cannot be set apart for {what} without parting groups or images that are alike, or \
         leaving nothing to train on"
    )]
    NothingApart { what: &'static str, examples: usize, count: usize, scene: bool },
    #[error(
        "every image that can be set apart for {what} is of class {class}, expected two classes at least: figures of one \
         class mean nothing"
    )]
    OneClassApart { what: &'static str, class: String, grouped: bool, scene: bool },
    /// `found` is as a study file writes it.
    #[error("{name} = {found}: {reason}")]
    Option { name: &'static str, found: String, reason: String },
    #[error("{}: {what}", .path.display())]
    Contents { path: PathBuf, what: String, hint: Option<String> },
}

impl DataError {
    /// What is wrong with what a file or folder holds, and the remedy.
    pub(crate) fn contents(path: &Path, what: impl Into<String>, hint: Option<&str>) -> DataError {
        DataError::Contents { path: path.to_owned(), what: what.into(), hint: hint.map(str::to_owned) }
    }

    /// What the system said when asked for `path`.
    pub(crate) fn io(path: &Path, reason: io::Error) -> DataError {
        DataError::Io { path: path.to_owned(), reason }
    }

    /// What the person can do about it, where the message does not say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            DataError::Missing { hint, .. } | DataError::Contents { hint, .. } => hint.clone(),
            DataError::Swapped { .. } => Some("exchange their names".to_owned()),
            DataError::Label { labels, range, .. } => Some(labels::remedy(*labels, *range)),
            DataError::OneClass { .. } => {
                Some("look at the file of the training labels; `tenfold data --data DIR` counts them".to_owned())
            }
            DataError::NothingApart { what, scene, .. } => {
                let hint = format!("bring {what} images of your own, more groups, or more images of each class");
                Some(with_scene(hint, *scene))
            }
            DataError::OneClassApart { what, grouped, scene, .. } => {
                let share = if *what == "test" { "test_share" } else { "valid_share" };
                let more = if *grouped {
                    "more groups of each class, another way to group"
                } else {
                    "more images of each class"
                };
                let hint = format!("bring {more}, {what} images of your own, or try another {share} in [data]");
                Some(with_scene(hint, *scene))
            }
            _ => None,
        }
    }
}

/// A hint, and the setting that helps where images hold together that are alike and not identical.
fn with_scene(hint: String, scene: bool) -> String {
    if scene {
        format!(
            "many images are alike: if they are of one scene and no copies, set copies = \"identical\"; else {hint}"
        )
    } else {
        hint
    }
}
