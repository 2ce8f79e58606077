//! MNIST, built in: the handwritten digits of LeCun and Cortes (`data/mnist/README.md` in the repository).

use crate::{Labels, Published, idx};

/// The files of MNIST, and of every data set laid out as it is, in the order of [`Published::files`].
pub(crate) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The SHA-256 of each file's contents. Those of the compressed files differ from mirror to mirror.
pub(crate) const SHA256: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

macro_rules! built_in {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist/", $file, ".gz"))
    };
}

const GZIPPED: [&[u8]; 4] = [
    built_in!("train-images-idx3-ubyte"),
    built_in!("train-labels-idx1-ubyte"),
    built_in!("t10k-images-idx3-ubyte"),
    built_in!("t10k-labels-idx1-ubyte"),
];

impl Published {
    /// MNIST, from the copy inside the program: 60,000 training and 10,000 test images of digits, 28 by 28.
    #[expect(clippy::missing_panics_doc, reason = "the files are built in, and a test reads them")]
    pub fn mnist() -> Self {
        let read = |role: usize| {
            let name = format!("{}.gz", FILES[role]);
            let idx = idx::read(GZIPPED[role], &name)?;
            Ok((name, idx))
        };
        Self::read_files("mnist".as_ref(), Some(Labels::from_zero(10)), read).expect("the built-in files are whole")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_mnist_is_the_published_one() {
        let mnist = Published::mnist();
        assert_eq!(mnist.name, "mnist");
        assert_eq!((mnist.train.labels.len(), mnist.test.labels.len()), (60_000, 10_000));
        let bytes: Vec<u64> = mnist.files.iter().map(|file| file.bytes).collect();
        assert_eq!(bytes, [47_040_016, 60_008, 7_840_016, 10_008]);
        for (file, (name, sha256)) in mnist.files.iter().zip(FILES.iter().zip(SHA256)) {
            assert_eq!(file.file, format!("{name}.gz"));
            assert_eq!(file.sha256, sha256, "{name}");
            assert!(file.known, "{name}");
        }
        // What `sha256sum` says of the four hashes above, one per line.
        assert_eq!(mnist.sha256, "ac89dbc26b7b0b5f68ff586bc0579a0c16e78b3436b0c71ccdd0169cbebf9ff7");

        let mut counts = [0; 10];
        mnist.train.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(mnist.train.labels[..8], [5, 0, 4, 1, 9, 2, 1, 3]);
        assert_eq!(mnist.test.labels[..8], [7, 2, 1, 0, 4, 1, 4, 9]);
        // The first stroke of the first digit, a 5.
        let row = &mnist.train.pixels[5 * 28 + 12..6 * 28 - 4];
        assert_eq!(row, [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127]);
    }

    #[test]
    fn mnist_from_a_folder_is_the_built_in_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist");
        let (read, built_in) = (Published::read_dir(folder.as_ref(), None).unwrap(), Published::mnist());
        assert_eq!((read.name, read.sha256, read.files), (built_in.name, built_in.sha256, built_in.files));
        assert_eq!((read.train, read.test), (built_in.train, built_in.test));
    }
}
