//! A data set as published: four IDX files named as MNIST's are.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::arrays::channels_first;
use crate::idx::{self, Idx, IdxValues, times};
use crate::labelled::check_classes;
use crate::labels::{LabelFile, one_each};
use crate::mnist::{FILES, SHA256};
use crate::{DataError, ImageShape, Labelled, Labels, hex, names};

/// A data set of four IDX files, read.
#[derive(Debug)]
pub struct Published {
    /// `mnist` if its four files are MNIST's, otherwise the name of the folder.
    pub name: String,
    /// The examples published for training.
    pub train: Labelled,
    /// The examples published for testing.
    pub test: Labelled,
    /// The number that the label files give to class 0.
    pub first_label: u32,
    /// The SHA-256, in hex, of the `sha256` of the four `files`, each in hex on a line of its own, and, where labels do
    /// not start at 0, of a line that says where.
    pub sha256: String,
    /// Training images, training labels, test images, test labels.
    pub files: Vec<FileCheck>,
    /// Sentences on how the files were understood, where that is not plain.
    pub notes: Vec<String>,
}

/// What identifies a file of a data set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileCheck {
    /// The name of the file, without its folder.
    pub file: String,
    /// Its size after decompression.
    pub bytes: u64,
    /// The SHA-256, in hex, after decompression.
    pub sha256: String,
    /// Whether this is the file that MNIST has in this place.
    pub known: bool,
}

impl Published {
    /// Reads the four files of a data set from `folder`; `labels` is what their numbers mean, or none to go by those
    /// that occur.
    ///
    /// The files are called `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`, or with a dot before `idx`, and may end in `.gz`; if several are there, the first of
    /// these wins. Images are u8, `[N, H, W]`, `[N, C, H, W]`, or `[N, H, W, C]` where C is 1, 3 or 4 and less than H;
    /// labels integers of any type, `[N]`.
    ///
    /// # Errors
    /// If `folder` is no folder that can be read, if one of the four files is missing, is no IDX file of images or
    /// labels, or does not fit the others, or if a label is outside of `labels`.
    pub fn read_dir(folder: &Path, labels: Option<Labels>) -> Result<Self, DataError> {
        labels.map_or(Ok(()), |labels| check_classes(labels.classes))?;
        let metadata = fs::metadata(folder).map_err(|reason| DataError::Io { path: folder.to_owned(), reason })?;
        if !metadata.is_dir() {
            return Err(DataError::NotAFolder { path: folder.to_owned() });
        }
        // All four are looked for before one is read, so that one error names all that are missing.
        let mut paths = Vec::new();
        let mut missing = Vec::new();
        let mut notes = Vec::new();
        for file in FILES {
            let mut found = find(folder, file)?.into_iter();
            match found.next() {
                Some(path) => {
                    notes.extend(found.map(|other| names::both(&path, &other)));
                    paths.push(path);
                }
                None => missing.push(file),
            }
        }
        if !missing.is_empty() {
            let hint = names::hint(folder, &missing);
            return Err(DataError::Missing { folder: folder.to_owned(), missing, hint });
        }
        let mut source = Self::read_files(folder, labels, |role| {
            Ok((paths[role].display().to_string(), idx::read_file(&paths[role])?))
        })?;
        source.notes.splice(0..0, notes);
        Ok(source)
    }

    /// Builds a data set from what `read` gives for each of the four [`FILES`]: what errors call it, and its contents.
    pub(crate) fn read_files(
        folder: &Path,
        labels: Option<Labels>,
        read: impl Fn(usize) -> Result<(String, Idx), DataError>,
    ) -> Result<Self, DataError> {
        let mut files = Vec::new();
        let mut notes = Vec::new();
        let mut next = || {
            let role = files.len();
            let (name, idx) = read(role)?;
            let known = idx.sha256 == SHA256[role];
            let file = Path::new(&name).file_name().map_or(name.clone(), |file| file.to_string_lossy().into_owned());
            files.push(FileCheck { file, bytes: idx.bytes, sha256: idx.sha256.clone(), known });
            Ok::<_, DataError>((name, idx))
        };
        let mut pair = || ImagesAndLabels::new(next()?, next()?, &mut notes);
        let (train, test) = (pair()?, pair()?);
        let labels = match labels {
            Some(labels) => labels,
            None => Labels::counted(&[&train.labels, &test.labels])?,
        };
        let (train, test) = (train.examples(labels)?, test.examples(labels)?);
        if train.shape != test.shape {
            let (train, test) = (train.shape, test.shape);
            return Err(DataError::ShapesDiffer { folder: folder.to_owned(), train, test });
        }

        let name = if files.iter().all(|file| file.known) { "mnist".to_owned() } else { folder_name(folder) };
        let mut digest =
            files.iter().fold(Sha256::new(), |digest, file| digest.chain_update(&file.sha256).chain_update("\n"));
        let first = labels.first;
        if first > 0 {
            digest.update(format!("first label {first}\n"));
        }
        Ok(Self { name, train, test, first_label: first, sha256: hex(digest), files, notes })
    }
}

/// The paths under which `folder` holds `file`; the first of them is read.
fn find(folder: &Path, file: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for name in names::spellings(file) {
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(_) => found.push(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(reason) => return Err(DataError::Io { path, reason }),
        }
    }
    Ok(found)
}

/// The last part of the path, also of one such as `.` that has none.
fn folder_name(folder: &Path) -> String {
    let full = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    full.file_name().map_or("data".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Images and their labels, before it is known what the labels mean.
struct ImagesAndLabels {
    images_name: String,
    pixels: Vec<u8>,
    shape: ImageShape,
    labels: LabelFile,
}

impl ImagesAndLabels {
    fn new(
        images: (String, Idx),
        labels: (String, Idx),
        notes: &mut Vec<String>,
    ) -> Result<ImagesAndLabels, DataError> {
        let (images_name, images) = images;
        let (labels_name, labels) = labels;
        if one_each(&images.dims) && labels.dims.len() >= 3 && !one_each(&labels.dims) {
            return Err(DataError::Swapped { images_name, labels_name, dims: labels.dims });
        }
        let (pixels, shape) = images_of(&images_name, images, notes)?;
        Ok(ImagesAndLabels { images_name, pixels, shape, labels: LabelFile::new(labels_name, labels)? })
    }

    fn examples(self, labels: Labels) -> Result<Labelled, DataError> {
        let ImagesAndLabels { images_name, pixels, shape, labels: file } = self;
        Labelled::new([&images_name, file.name()], pixels, file.classes(labels)?, shape, labels.classes)
    }
}

/// The pixels of an IDX file of images, `[N, C, H, W]`.
pub(crate) fn images_of(name: &str, idx: Idx, notes: &mut Vec<String>) -> Result<(Vec<u8>, ImageShape), DataError> {
    let Idx { dims, values, .. } = idx;
    let type_name = values.type_name();
    let IdxValues::U8(pixels) = values else {
        return Err(DataError::NotImages { name: name.to_owned(), dims, type_name });
    };
    match dims[..] {
        [_, height, width] => Ok((pixels, ImageShape { channels: 1, height, width })),
        // As pictures are kept elsewhere: no network wants an image of three columns and more channels.
        [_, height, width, channels @ (1 | 3 | 4)] if height > channels => {
            let note =
                format!("images of {} are taken as height, width and channels: channels last", times(&dims[1..]));
            if !notes.contains(&note) {
                notes.push(note);
            }
            let shape = ImageShape { channels, height, width };
            Ok((channels_first(pixels, shape), shape))
        }
        [_, channels, height, width] => Ok((pixels, ImageShape { channels, height, width })),
        _ => Err(DataError::NotImages { name: name.to_owned(), dims, type_name: "u8" }),
    }
}
