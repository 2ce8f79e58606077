//! What is known of a data set that can be fetched.

use tenfold_data::ImageShape;

/// A published data set.
#[derive(Debug)]
pub(crate) struct DataSet {
    /// What a person calls it, and its folder is called.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is to be seen.
    pub(crate) shows: &'static str,
    pub(crate) licence: &'static str,
    /// How many training and test images there are; of EMNIST's letters two editions are about.
    pub(crate) images: &'static [[usize; 2]],
    pub(crate) classes: usize,
    /// What they are called, by label, where no file of the data set says so.
    pub(crate) names: &'static [&'static str],
    pub(crate) shape: ImageShape,
    /// What is kept while it is fetched is called so; data sets of one archive share it.
    pub(crate) family: &'static str,
    pub(crate) mirrors: &'static [&'static str],
    pub(crate) files: &'static [Download],
}

/// A file as it is published.
#[derive(Debug)]
pub(crate) struct Download {
    /// Its name, which follows each mirror's address.
    pub(crate) name: &'static str,
    /// Its size, where that is published.
    pub(crate) bytes: Option<u64>,
    pub(crate) checksum: Checksum,
    pub(crate) holds: Holds,
}

/// What a file is known by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checksum {
    /// The SHA-256 of the file.
    Sha256(&'static str),
    /// The MD5 of the file: all that is published of it.
    Md5(&'static str),
    /// The SHA-256 of what it holds, after decompression: the same however it was compressed.
    Contents(&'static str),
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// It is kept as it is.
    Itself,
    /// Of a zip archive these are kept.
    Zip(&'static [Member]),
    /// Of a compressed tar archive these are kept.
    TarGz(&'static [Member]),
}

/// A file in an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Its path in the archive; it is kept under the last part of it.
    pub(crate) path: &'static str,
    /// Whether the data can be read without it.
    pub(crate) optional: bool,
}

impl Member {
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

impl Holds {
    pub(crate) fn members(&self) -> &'static [Member] {
        match self {
            Holds::Itself => &[],
            Holds::Zip(members) | Holds::TarGz(members) => members,
        }
    }
}

impl DataSet {
    /// The most bytes of one of its files, compressed or not: images or labels of eight numbers each, with headers.
    pub(crate) fn most_bytes(&self) -> u64 {
        let most = self.images.iter().flatten().max().map_or(0, |&images| images as u64);
        (1 << 16) + most * (self.shape.len() as u64 + 32)
    }

    /// How much is fetched, as far as sizes are published.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What `--from` is to be given.
    pub(crate) fn place(&self) -> &'static str {
        if let [file] = self.files { file.name } else { "FOLDER" }
    }

    /// A line on what it is.
    pub(crate) fn about(&self) -> String {
        let colours = if self.shape.channels == 3 { "colour" } else { "grey" };
        let ImageShape { height, width, .. } = self.shape;
        let Self { shows, classes, .. } = self;
        format!("{shows}, {classes} classes, {height}x{width} {colours}")
    }
}
