//! Who wrote the images: known for MNIST, thanks to QMNIST (`data/qmnist/README.md` in the repository).

use tenfold_data::idx::{self, IdxValues};

/// The class and the writer of each test image of MNIST, i16 `[10000, 2]`.
const GZIPPED: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/qmnist/t10k-class-writer-idx2-short.gz"));

/// The `sha256` of the source that the writers are known of: MNIST.
const SOURCE_SHA256: &str = "ac89dbc26b7b0b5f68ff586bc0579a0c16e78b3436b0c71ccdd0169cbebf9ff7";

/// Who wrote each test image of the data set with this [`Source::sha256`](super::Source::sha256), as numbers that tell
/// people apart; none where that is not known.
///
/// Writers are no labels: they say which images belong together, not what is on them.
pub fn test_writers(source_sha256: &str) -> Option<Vec<u16>> {
    if source_sha256 != SOURCE_SHA256 {
        return None;
    }
    Some(columns().map(|(_, writer)| writer).collect())
}

/// Class and writer of each image.
fn columns() -> impl Iterator<Item = (u16, u16)> {
    let idx = idx::read(GZIPPED, "the built-in writers").expect("the built-in file is whole");
    let IdxValues::I16(values) = idx.values else { panic!("the built-in writers are i16") };
    let number = |value: i16| u16::try_from(value).expect("classes and writers count from 0");
    (0..idx.dims[0]).map(move |n| (number(values[2 * n]), number(values[2 * n + 1])))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Source;
    use super::*;

    #[test]
    fn the_writers_are_those_of_mnists_test_images() {
        let mnist = Source::mnist();
        let classes = mnist.test.labels_for_report().iter().copied();
        assert!(columns().map(|(class, _)| class).eq(classes), "another order than MNIST's");
        let writers = test_writers(&mnist.sha256).unwrap();
        assert_eq!((writers.len(), &writers[..3]), (10_000, &[2578, 2359, 2530][..]));
        assert_eq!(writers.iter().collect::<BTreeSet<_>>().len(), 297);
        // The first half is by high-school students, whom NIST counted from 2100, the second by its employees.
        assert!(writers[..5_000].iter().all(|&writer| writer >= 2100));
        assert!(writers[5_000..].iter().filter(|&&writer| writer < 2100).count() > 4_900);
        assert_eq!(test_writers("another"), None);
    }
}
