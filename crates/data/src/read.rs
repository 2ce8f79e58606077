//! What a path leads to, by looking at it.

use std::fs;
use std::path::Path;

use crate::options::Options;
use crate::{Collection, DataError, folder};

/// Reads labelled images from whatever `path` leads to, and says in [`Collection::notes`] what it understood:
///
/// * a folder with one folder for each class, or with `train`, `valid` (`val`, `validation`) and `test` above them, in
///   them PNG, JPEG, BMP, PNM or GIF pictures (the first frame) of any sizes and modes.
///
/// Files that cannot be read are collected in [`Collection::unreadable`]; more than a quarter of all are refused.
///
/// # Errors
/// If `path` cannot be read, holds nothing of the above, something damaged, or classes that training does not have.
pub fn read(path: &Path, options: &Options) -> Result<Collection, DataError> {
    options.check()?;
    let metadata = fs::metadata(path).map_err(|reason| DataError::io(path, reason))?;
    if !metadata.is_dir() {
        return Err(DataError::contents(path, "is no folder", None));
    }
    folder::read(path, options)?.collect(path)
}
