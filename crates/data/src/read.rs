//! What a path leads to, by looking at it.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::arrays::{npy_folder, npz};
use crate::collection::{Found, Naming};
use crate::options::{Copies, Options};
use crate::progress::Watch;
use crate::{Collection, DataError, Progress, cifar, csv, folder, idx_folder, walk};

/// Reads labelled images from whatever `path` leads to, and says in [`Collection::notes`] what it understood:
///
/// * a folder with one folder for each class, or with `train`, `valid` (`val`, `validation`) and `test` above them, in
///   them PNG, JPEG, BMP, PNM or GIF pictures (the first frame) of any sizes and modes;
/// * an npz file with the names of MedMNIST (`train_images`, `train_labels` ...), Keras (`x_train`, `y_train` ...) or
///   `numpy.savez(file, images, labels)`; a folder of npy files, one for each class;
/// * a CSV file of pixels, one image in a row (in a field each, or all in one), with labels or without, or a folder with
///   `train.csv` and `test.csv` of these; a CSV file with the paths of pictures, their classes, and perhaps their parts
///   and groups;
/// * a folder with the binary files of CIFAR-10 or CIFAR-100;
/// * a folder of IDX files, by the names of MNIST, EMNIST (whose images are turned) and others like them; `classes.txt` or
///   `labels.txt` beside them names the classes.
///
/// Pictures that cannot be read are collected in [`Collection::unreadable`]; more than a quarter of all are refused.
///
/// # Errors
/// If `path` cannot be read, holds nothing of the above, something damaged, or classes that training does not have.
pub fn read(path: &Path, options: &Options) -> Result<Collection, DataError> {
    read_with(path, options, &mut |_| {})
}

/// As [`read`], and tells `watch` often how far it is, where there is much to read: on the thread that calls, whatever
/// others do.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, options: &Options, watch: &mut dyn FnMut(Progress)) -> Result<Collection, DataError> {
    read_for(path, options, Naming::Learned, watch)
}

/// As [`read_with`], for labels that are used so. Where they are not learned, a folder may hold a test part alone, and
/// where they are not used, an npz file its images alone, and an npy file them.
///
/// # Errors
/// As [`read`]; of labels that are known, if one is none of the classes.
pub fn read_for(
    path: &Path,
    options: &Options,
    naming: Naming,
    watch: &mut dyn FnMut(Progress),
) -> Result<Collection, DataError> {
    options.check()?;
    let metadata = fs::metadata(path).map_err(|reason| DataError::io(path, reason))?;
    let found = if metadata.is_dir() {
        let listing = walk::list(path)?;
        let ends =
            |end: &str| listing.files.iter().filter(|file| file.name.ends_with(end)).cloned().collect::<Vec<_>>();
        let npy = ends(".npy");
        if let Some(found) = idx_folder::read(path, &listing, options, watch)? {
            found
        } else if let Some(found) = cifar::read(path, &listing, options, watch)? {
            found
        } else if !npy.is_empty() && listing.folders.is_empty() {
            // Beside folders, which are classes more likely, an array is a mean or the like.
            npy_folder::read(path, &npy, options, watch)?
        } else if let Some(found) = csv::read_folder(path, &listing, options, watch)? {
            found
        } else {
            folder::read(path, options, naming, watch)?
        }
    } else if metadata.is_file() {
        read_file(path, options, naming, watch)?
    } else {
        return Err(no_file(path));
    };
    let mut collection = found.collect(path, naming)?;
    collection.copies = options.copies;
    collection.notes.extend(match options.copies {
        Copies::Alike => None,
        Copies::Identical => Some("only identical images count as copies (copies = \"identical\")".to_owned()),
        Copies::Off => Some("no images count as copies (copies = \"off\")".to_owned()),
    });
    Ok(collection)
}

/// Whether `path` is a picture file, or a folder without arrays and tables: whose files are pictures, if it holds any.
///
/// # Errors
/// If it cannot be read, or is a pipe or the like.
pub fn holds_pictures(path: &Path) -> Result<bool, DataError> {
    if fs::metadata(path).map_err(|reason| DataError::io(path, reason))?.is_dir() {
        let others = [".npy", ".csv", ".tsv", "-ubyte", "-ubyte.gz", ".bin"];
        let listing = walk::list(path)?;
        let arrays = listing.files.iter().any(|file| others.iter().any(|end| file.name.ends_with(end)));
        // A table beside pictures, such as that of an earlier prediction, is not what they are told by.
        return Ok(!arrays || listing.files.iter().any(|file| crate::pictures::is_picture(&file.path)));
    }
    // What is empty or no picture is told by whoever reads it.
    open(path)?;
    Ok(crate::pictures::is_picture(path))
}

/// Opens a regular file. It looks before: to open a pipe is to wait for its writer.
pub(crate) fn open(path: &Path) -> Result<File, DataError> {
    let io = |reason| DataError::io(path, reason);
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(no_file(path));
    }
    File::open(path).map_err(io)
}

fn no_file(path: &Path) -> DataError {
    DataError::contents(path, "is a pipe, socket or device, expected a file or a folder", None)
}

fn read_file(path: &Path, options: &Options, naming: Naming, watch: &mut Watch) -> Result<Found, DataError> {
    let mut start = Vec::new();
    let io = |reason| DataError::io(path, reason);
    open(path)?.take(16).read_to_end(&mut start).map_err(io)?;
    let refused = |what: &str, hint: &str| Err(DataError::contents(path, what, Some(hint)));
    match &start[..] {
        [] => refused("is empty", "copy or download it again"),
        [b'P', b'K', 3, 4, ..] => npz::read(path, options, naming, watch),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] if matches!(naming, Naming::Unused) => {
            npz::read_images(path, options, watch)
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => refused(
            "is one npy array, expected images and their labels",
            "save both with numpy.savez(file, images, labels), or name a folder with an npy file for each class",
        ),
        [0x80, 2..=5, ..] => refused("is a Python pickle, which can run any program when it is read", PICKLE_REMEDY),
        [b'M', b'A', b'T', b'L', b'A', b'B', ..] => {
            refused("is a MATLAB file", "read it with scipy.io.loadmat and save images and labels with numpy.savez")
        }
        [b'P', b'A', b'R', b'1', ..] => {
            refused("is a Parquet file", "save images and labels with numpy.savez, or as folders of pictures")
        }
        [0x89, b'H', b'D', b'F', ..] => {
            refused("is an HDF5 file", "read it with h5py and save images and labels with numpy.savez")
        }
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            refused("is one picture", "name the folder that holds a folder of pictures for each class")
        }
        _ => csv::read(path, options, watch),
    }
}

/// What to do with a pickle.
pub(crate) const PICKLE_REMEDY: &str = "of CIFAR there is a binary version on the same page (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz); other arrays: numpy.savez(file, x_train=..., y_train=...)";
