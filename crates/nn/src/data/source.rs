//! A data set as published: four IDX files named as MNIST's are.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dataset::check_classes;
use super::idx::{self, Idx, IdxValues};
use super::mnist::{FILES, SHA256};
use super::{DataError, Dataset, HeldOut, ImageShape, hex};

/// A data set as published, before validation examples are set apart.
#[derive(Debug)]
pub struct Source {
    /// `mnist` if its four files are MNIST's, otherwise the name of the folder.
    pub name: String,
    /// The examples published for training.
    pub train: Dataset,
    /// The examples published for testing.
    pub test: HeldOut,
    /// The SHA-256, in hex, of the `sha256` of the four `files`, each in hex on a line of its own.
    pub sha256: String,
    /// Training images, training labels, test images, test labels.
    pub files: Vec<FileCheck>,
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

impl Source {
    /// Reads the four files of a data set from `folder`; `classes` is how many classes its labels tell apart, 2 to 256.
    ///
    /// The files are called `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`, or with a dot before `idx`, and may end in `.gz`; if several are there, the first of
    /// these wins. Images are u8, `[N, H, W]` or `[N, C, H, W]`; labels integers of any type, `[N]`.
    pub fn read_dir(folder: &Path, classes: usize) -> Result<Self, DataError> {
        check_classes(classes)?;
        let metadata = fs::metadata(folder).map_err(|reason| DataError::Io { path: folder.to_owned(), reason })?;
        if !metadata.is_dir() {
            return Err(DataError::NotAFolder { path: folder.to_owned() });
        }
        // All four are looked for before one is read, so that one error names all that are missing.
        let mut paths = Vec::new();
        let mut missing = Vec::new();
        for file in FILES {
            match find(folder, file)? {
                Some(path) => paths.push(path),
                None => missing.push(file),
            }
        }
        if !missing.is_empty() {
            return Err(DataError::Missing { folder: folder.to_owned(), missing });
        }
        Self::read_files(folder, classes, |role| Ok((paths[role].display().to_string(), idx::read_file(&paths[role])?)))
    }

    /// Builds a data set from what `read` gives for each of the four [`FILES`]: what errors call it, and its contents.
    pub(super) fn read_files(
        folder: &Path,
        classes: usize,
        read: impl Fn(usize) -> Result<(String, Idx), DataError>,
    ) -> Result<Self, DataError> {
        let mut files = Vec::new();
        let mut next = || {
            let role = files.len();
            let (name, idx) = read(role)?;
            let known = idx.sha256 == SHA256[role];
            let file = Path::new(&name).file_name().map_or(name.clone(), |file| file.to_string_lossy().into_owned());
            files.push(FileCheck { file, bytes: idx.bytes, sha256: idx.sha256.clone(), known });
            Ok::<_, DataError>((name, idx))
        };
        let train = examples(next()?, next()?, classes)?;
        let test = examples(next()?, next()?, classes)?;
        if train.shape() != test.shape() {
            let (train, test) = (train.shape(), test.shape());
            return Err(DataError::ShapesDiffer { folder: folder.to_owned(), train, test });
        }

        let name = if files.iter().all(|file| file.known) { "mnist".to_owned() } else { folder_name(folder) };
        let sha256 =
            hex(files.iter().fold(Sha256::new(), |digest, file| digest.chain_update(&file.sha256).chain_update("\n")));
        Ok(Self { name, train, test: HeldOut::new(test), sha256, files })
    }
}

/// The path under which `folder` holds `file`, if it does.
fn find(folder: &Path, file: &str) -> Result<Option<PathBuf>, DataError> {
    let dotted = file.replace("-idx", ".idx");
    for name in [file.to_owned(), dotted.clone(), format!("{file}.gz"), format!("{dotted}.gz")] {
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(_) => return Ok(Some(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(reason) => return Err(DataError::Io { path, reason }),
        }
    }
    Ok(None)
}

/// The last part of the path, also of one such as `.` that has none.
fn folder_name(folder: &Path) -> String {
    let full = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    full.file_name().map_or("data".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn examples(images: (String, Idx), labels: (String, Idx), classes: usize) -> Result<Dataset, DataError> {
    let (images_name, images) = images;
    let (labels_name, labels) = labels;
    let (pixels, shape) = to_pixels(&images_name, images)?;
    let labels = to_labels(&labels_name, labels, classes)?;
    Dataset::named(&images_name, &labels_name, pixels, labels, shape, classes)
}

fn to_pixels(name: &str, Idx { dims, values, .. }: Idx) -> Result<(Vec<u8>, ImageShape), DataError> {
    let shape = match dims[..] {
        [_, height, width] => Some(ImageShape { channels: 1, height, width }),
        [_, channels, height, width] => Some(ImageShape { channels, height, width }),
        _ => None,
    };
    match (values, shape) {
        (IdxValues::U8(pixels), Some(shape)) => Ok((pixels, shape)),
        (values, _) => Err(DataError::NotImages { name: name.to_owned(), dims, type_name: values.type_name() }),
    }
}

fn to_labels(name: &str, Idx { dims, values, .. }: Idx, classes: usize) -> Result<Vec<u8>, DataError> {
    let type_name = values.type_name();
    let labels = match values {
        _ if dims.len() != 1 => None,
        IdxValues::U8(labels) => Some(Ok(labels)),
        IdxValues::I8(labels) => Some(narrow(&labels)),
        IdxValues::I16(labels) => Some(narrow(&labels)),
        IdxValues::I32(labels) => Some(narrow(&labels)),
        IdxValues::F32(_) | IdxValues::F64(_) => None,
    };
    labels
        .ok_or_else(|| DataError::NotLabels { name: name.to_owned(), dims, type_name })?
        .map_err(|(position, found)| DataError::Label { name: name.to_owned(), position, found, classes })
}

/// The labels as u8, or the first that does not fit and where it stands.
fn narrow<T: Copy + Into<i64>>(labels: &[T]) -> Result<Vec<u8>, (usize, i64)> {
    let to_u8 = |(position, &label): (usize, &T)| {
        let label: i64 = label.into();
        u8::try_from(label).map_err(|_| (position, label))
    };
    labels.iter().enumerate().map(to_u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::idx::tests::{Folder, file, gzip};
    use super::*;

    const IMAGES: &[u8] = &[10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33];

    /// A folder with three training and two test images of 2 by 2.
    fn whole(test: &str) -> Folder {
        let folder = Folder::new(test);
        folder.write(FILES[0], &file(8, &[3, 2, 2], IMAGES));
        folder.write(FILES[1], &file(8, &[3], &[0, 9, 4]));
        folder.write(FILES[2], &file(8, &[2, 2, 2], &IMAGES[4..]));
        folder.write(FILES[3], &file(8, &[2], &[1, 0]));
        folder
    }

    /// The message on reading `folder`, with the folder written as `DIR`.
    #[track_caller]
    fn refusal(folder: &Folder, classes: usize) -> String {
        let error = Source::read_dir(&folder.0, classes).unwrap_err();
        error.to_string().replace(&folder.0.display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_is_read() {
        let folder = whole("source-whole");
        let source = Source::read_dir(&folder.0, 10).unwrap();
        assert_eq!(source.name, folder.0.file_name().unwrap().to_str().unwrap());
        assert_eq!((source.train.labels(), source.train.pixels()), (&[0, 9, 4][..], IMAGES));
        assert_eq!((source.test.labels_for_report(), source.test.image(1)), (&[1, 0][..], &IMAGES[8..]));
        assert_eq!((source.train.shape(), source.train.classes()), (source.test.shape(), 10));
        let files: Vec<_> = source.files.iter().map(|file| (file.file.as_str(), file.bytes, file.known)).collect();
        assert_eq!(files, [(FILES[0], 28, false), (FILES[1], 11, false), (FILES[2], 24, false), (FILES[3], 10, false)]);
        let lines: String = source.files.iter().map(|file| format!("{}\n", file.sha256)).collect();
        assert_eq!(source.sha256, hex(Sha256::new().chain_update(lines)));
    }

    #[test]
    fn every_spelling_of_a_name_is_found() {
        let plain = whole("source-plain");
        let expected = Source::read_dir(&plain.0, 10).unwrap();
        for (number, (dot, compressed)) in [(true, false), (false, true), (true, true)].into_iter().enumerate() {
            let folder = Folder::new(&format!("source-spelling-{number}"));
            for name in FILES {
                let bytes = fs::read(plain.0.join(name)).unwrap();
                let name = if dot { name.replace("-idx", ".idx") } else { name.to_owned() };
                if compressed {
                    folder.write(&format!("{name}.gz"), &gzip(&bytes));
                } else {
                    folder.write(&name, &bytes);
                }
            }
            let found = Source::read_dir(&folder.0, 10).unwrap();
            assert_eq!(found.train, expected.train, "dot {dot}, compressed {compressed}");
            assert_eq!(found.sha256, expected.sha256, "dot {dot}, compressed {compressed}");
        }
    }

    #[test]
    fn the_plain_name_wins() {
        let folder = whole("source-precedence");
        let names = [FILES[1], "train-labels.idx1-ubyte", "train-labels-idx1-ubyte.gz", "train-labels.idx1-ubyte.gz"];
        for (label, name) in names.iter().enumerate() {
            folder.write(name, &file(8, &[3], &[label as u8; 3]));
        }
        for (label, name) in names.iter().enumerate() {
            assert_eq!(Source::read_dir(&folder.0, 10).unwrap().train.labels(), [label as u8; 3]);
            fs::remove_file(folder.0.join(name)).unwrap();
        }
    }

    #[test]
    fn integers_of_any_type_are_labels_and_channels_are_kept() {
        let folder = whole("source-types");
        folder.write(FILES[1], &file(0x0c, &[3], &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9]));
        assert_eq!(Source::read_dir(&folder.0, 10).unwrap().train.labels(), [7, 0, 9]);
        folder.write(FILES[1], &file(0x0b, &[3], &[0, 7, 0, 0, 0, 255]));
        assert_eq!(Source::read_dir(&folder.0, 256).unwrap().train.labels(), [7, 0, 255]);
        folder.write(FILES[1], &file(9, &[3], &[7, 0, 9]));
        assert_eq!(Source::read_dir(&folder.0, 10).unwrap().train.labels(), [7, 0, 9]);

        folder.write(FILES[0], &file(8, &[3, 2, 2, 1], IMAGES));
        folder.write(FILES[2], &file(8, &[2, 2, 2, 1], &IMAGES[4..]));
        let shape = Source::read_dir(&folder.0, 10).unwrap().train.shape();
        assert_eq!(shape, ImageShape { channels: 2, height: 2, width: 1 });
    }

    #[test]
    fn missing_files_are_all_named() {
        let folder = whole("source-missing");
        fs::remove_file(folder.0.join(FILES[1])).unwrap();
        fs::remove_file(folder.0.join(FILES[2])).unwrap();
        assert_eq!(
            refusal(&folder, 10),
            "DIR: holds no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte; expected it there under that name or \
             with a dot before `idx` (train-images.idx3-ubyte), with or without .gz"
        );
        let file = folder.0.join(FILES[0]);
        assert_eq!(
            Source::read_dir(&file, 10).unwrap_err().to_string(),
            format!("{}: is not a folder, expected the folder that holds the four IDX files", file.display())
        );
        let nowhere = folder.0.join("nowhere");
        let message = Source::read_dir(&nowhere, 10).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: cannot be read: ", nowhere.display())), "{message}");
    }

    #[test]
    fn files_that_disagree_are_refused() {
        let folder = whole("source-disagree");
        folder.write(FILES[1], &file(8, &[2], &[0, 1]));
        assert_eq!(
            refusal(&folder, 10),
            "DIR/train-images-idx3-ubyte holds 3 images, DIR/train-labels-idx1-ubyte holds 2 labels, expected as many \
             labels as images"
        );
        let folder = whole("source-shapes");
        folder.write(FILES[2], &file(8, &[2, 4, 1], &IMAGES[4..]));
        assert_eq!(refusal(&folder, 10), "DIR: training images are 1x2x2, test images 1x4x1, expected the same shape");
    }

    #[test]
    fn labels_out_of_range_are_refused() {
        let folder = whole("source-labels");
        let message = |position, found, classes: usize| {
            format!(
                "DIR/train-labels-idx1-ubyte: label {position} (counted from 0) is {found}, expected 0 to {} \
                 for {classes} classes",
                classes - 1
            )
        };
        assert_eq!(refusal(&folder, 9), message(1, 9, 9));
        folder.write(FILES[1], &file(0x0c, &[3], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]));
        assert_eq!(refusal(&folder, 10), message(2, 65536, 10));
        folder.write(FILES[1], &file(9, &[3], &[0, 255, 0]));
        assert_eq!(refusal(&folder, 10), message(1, -1, 10));
        for classes in [0, 1, 257] {
            let message = format!("a data set of {classes} classes was asked for, expected 2 to 256");
            assert_eq!(refusal(&folder, classes), message);
        }
    }

    #[test]
    fn contents_of_the_wrong_kind_are_refused() {
        let folder = whole("source-kinds");
        let images = "expected images: u8 with dimensions [N, H, W] or [N, C, H, W]";
        for (bytes, found) in [
            (file(8, &[12], IMAGES), "12 elements of type u8"),
            (file(8, &[3, 4], IMAGES), "3x4 elements of type u8"),
            (file(9, &[3, 2, 2], IMAGES), "3x2x2 elements of type i8"),
        ] {
            folder.write(FILES[0], &bytes);
            assert_eq!(refusal(&folder, 10), format!("DIR/train-images-idx3-ubyte: holds {found}, {images}"));
        }
        folder.write(FILES[0], &file(8, &[1, 1, 4097], &[0; 4097]));
        assert_eq!(
            refusal(&folder, 10),
            "DIR/train-images-idx3-ubyte: images are 1x1x4097, expected sides and channels of 1 to 4096"
        );

        let folder = whole("source-label-kinds");
        let labels = "expected labels: integers with one dimension [N]";
        for (bytes, found) in [
            (file(8, &[3, 1], &[1, 2, 3]), "3x1 elements of type u8"),
            (file(0x0d, &[3], &[0; 12]), "3 elements of type f32"),
        ] {
            folder.write(FILES[1], &bytes);
            assert_eq!(refusal(&folder, 10), format!("DIR/train-labels-idx1-ubyte: holds {found}, {labels}"));
        }
        folder.write(FILES[1], b"");
        assert_eq!(refusal(&folder, 10), "DIR/train-labels-idx1-ubyte: is empty, expected an IDX header");
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_file_is_refused() {
        let folder = whole("source-endless");
        fs::remove_file(folder.0.join(FILES[3])).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.0.join(FILES[3])).unwrap();
        let message = "DIR/t10k-labels-idx1-ubyte: is a pipe, socket or device, expected a regular file";
        assert_eq!(refusal(&folder, 10), message);
    }
}
