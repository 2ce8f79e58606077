//! A data set as published, with its test images sealed.

use std::path::Path;

use tenfold_data::Published;

use super::{DataError, Dataset, FileCheck, HeldOut, Labels};

/// A data set as published, before validation examples are set apart.
#[derive(Debug)]
pub struct Source {
    /// `mnist` if its four files are MNIST's, otherwise the name of the folder.
    pub name: String,
    /// The examples published for training.
    pub train: Dataset,
    /// The examples published for testing.
    pub test: HeldOut,
    /// The number that the label files give to class 0.
    pub first_label: u32,
    /// What identifies the data: [`Published::sha256`].
    pub sha256: String,
    /// Training images, training labels, test images, test labels.
    pub files: Vec<FileCheck>,
    /// Sentences on how the files were understood, where that is not plain.
    pub notes: Vec<String>,
}

impl Source {
    /// MNIST, from the copy inside the program: 60,000 training and 10,000 test images of digits, 28 by 28.
    pub fn mnist() -> Self {
        Published::mnist().into()
    }

    /// Reads the four IDX files of a data set from `folder`, as [`Published::read_dir`] does.
    ///
    /// # Errors
    /// As there.
    pub fn read_dir(folder: &Path, labels: Option<Labels>) -> Result<Self, DataError> {
        Published::read_dir(folder, labels).map(Self::from)
    }
}

impl From<Published> for Source {
    fn from(Published { name, train, test, first_label, sha256, files, notes }: Published) -> Self {
        let test = HeldOut::new(test.into());
        Self { name, train: train.into(), test, first_label, sha256, files, notes }
    }
}
