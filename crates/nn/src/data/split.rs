//! Validation images set apart, and the test images out of training's reach.

use sha2::{Digest, Sha256};
use tenfold_data::{Collection, Examples, Labels, Parted, Progress, Shares, hex};

use super::{DataError, Dataset, ImageShape, Source};
use crate::rng::{Rng, Stream, permutation};

/// The test examples: for measuring a finished network, and nothing else.
///
/// Training takes a [`Dataset`]. A `HeldOut` is none and gives none away, so training on test images does not compile:
///
/// ```compile_fail,E0308
/// # use tenfold_nn::data::{Dataset, Source};
/// fn train(_: &Dataset) {}
///
/// train(&Source::mnist().test);
/// ```
///
/// With the training examples it does:
///
/// ```no_run
/// # use tenfold_nn::data::{Dataset, Source};
/// fn train(_: &Dataset) {}
///
/// train(&Source::mnist().train);
/// ```
#[derive(Debug)]
pub struct HeldOut(Dataset);

impl HeldOut {
    /// Seals a data set: what goes in can only be looked at and evaluated.
    pub fn new(dataset: Dataset) -> Self {
        Self(dataset)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shape of each image.
    pub fn shape(&self) -> ImageShape {
        self.0.shape()
    }

    /// The number of classes; every label is less.
    pub fn classes(&self) -> usize {
        self.0.classes()
    }

    /// The true class of each image, `[N]`, for comparing predictions with.
    pub fn labels_for_report(&self) -> &[u16] {
        self.0.labels()
    }

    /// Image `n`, `[C, H, W]`, for looking at.
    ///
    /// # Panics
    /// If there are no more than `n` images.
    pub fn image(&self, n: usize) -> &[u8] {
        self.0.image(n)
    }

    /// The fingerprint of the examples, as [`Dataset::sha256`].
    pub fn sha256(&self) -> String {
        self.0.sha256()
    }

    /// The examples, for the evaluator only.
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.0
    }
}

/// A data set divided into what fits, what chooses and what is reported once.
#[derive(Debug)]
pub struct Splits {
    /// The name of the data set.
    pub name: String,
    /// The name of each class.
    pub class_names: Vec<String>,
    /// For fitting parameters.
    pub train: Dataset,
    /// For choosing: when to stop, which settings to use.
    pub valid: Dataset,
    /// For the final measurement.
    pub test: HeldOut,
    /// Which test images belong together (to a writer, a patient, a place), and where they are.
    pub test_origins: Origins,
    /// What identifies the data, in hex.
    pub source_sha256: String,
    /// What identifies the choice of the examples that were set apart, in hex.
    pub split_sha256: String,
    /// Whether the data is MNIST.
    pub is_mnist: bool,
    /// The number of arrays that became 255, where it was another.
    pub white: Option<f32>,
    /// The samples of 16-bit pictures that became 0 and 255, where there are such.
    pub range16: Option<[u16; 2]>,
    /// Sentences on how the data was understood and divided, where that is not plain.
    pub notes: Vec<String>,
    /// Sentences on images and groups in two parts, where these were looked for when the data was divided.
    pub leaks: Option<Vec<String>>,
}

/// Where images come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins {
    /// The group of each image, `[N]`; empty where none are known.
    pub groups: Vec<u32>,
    /// The name of each group.
    pub group_names: Vec<String>,
    /// The path of each image, `[N]`; empty where images have no files of their own.
    pub paths: Vec<String>,
    /// Which images belong together, because they are of one group or alike, `[N]`; empty where none do.
    pub units: Vec<u32>,
}

impl Splits {
    /// Divides what people brought, as [`Collection::split`] does, and tells `watch` how far that is.
    ///
    /// # Errors
    /// As there, and if training, validation or test images are more than a data set may have.
    pub fn of(
        collection: Collection,
        shares: Shares,
        seed: u64,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Splits, DataError> {
        let parted = collection.split_with(shares, seed, watch)?;
        let Parted { train, valid, test, test_units, collection, notes, warnings, split_sha256 } = parted;
        let Collection { name, shape, classes, groups, sha256, notes: mut understood, white, range16, .. } = collection;
        understood.extend(notes);
        let dataset = |part: Examples| Dataset::new(part.pixels, part.labels, shape, classes.len());
        let Examples { pixels, labels, groups: test_groups, paths, .. } = test;
        let test = Dataset::new(pixels, labels, shape, classes.len())?;
        Ok(Splits {
            name,
            train: dataset(train)?,
            valid: dataset(valid)?,
            test: HeldOut::new(test),
            test_origins: Origins { groups: test_groups, group_names: groups, paths, units: test_units },
            class_names: classes,
            source_sha256: sha256,
            split_sha256,
            is_mnist: false,
            white,
            range16,
            notes: understood,
            leaks: Some(warnings),
        })
    }
}

impl Source {
    /// Sets `valid` of the training examples apart for validation, chosen at random by `seed`.
    ///
    /// Both parts keep the order of the source. The choice is identified by the SHA-256 of the seed (u64) and the indices
    /// of the validation examples (u32, ascending), all little-endian.
    ///
    /// # Errors
    /// If `valid` is 0, or leaves no example to train on.
    pub fn split(self, valid: usize, seed: u64) -> Result<Splits, DataError> {
        let examples = self.train.len();
        if valid == 0 || valid >= examples {
            return Err(DataError::ValidCount { found: valid, examples });
        }
        let mut valid_indices = permutation(examples as u32, &Rng::new(seed, Stream::Split, 0));
        let mut train_indices = valid_indices.split_off(valid);
        valid_indices.sort_unstable();
        train_indices.sort_unstable();

        let mut digest = Sha256::new().chain_update(seed.to_le_bytes());
        for index in &valid_indices {
            digest.update(index.to_le_bytes());
        }
        Ok(Splits {
            class_names: Labels { first: self.first_label, classes: self.train.classes() }.names(),
            name: self.name,
            train: self.train.select(&train_indices),
            valid: self.train.select(&valid_indices),
            test: self.test,
            test_origins: Origins::default(),
            source_sha256: self.sha256,
            split_sha256: hex(digest),
            // A folder may be called mnist; only its contents make it MNIST.
            is_mnist: !self.files.is_empty() && self.files.iter().all(|file| file.known),
            white: None,
            range16: None,
            notes: self.notes,
            leaks: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A source of `n` training images whose one pixel is their number.
    fn numbered(n: u8) -> Source {
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let train = Dataset::new((0..n).collect(), (0..n).map(|i| u16::from(i % 2)).collect(), shape, 2).unwrap();
        let test = HeldOut::new(Dataset::new(vec![255], vec![1], shape, 2).unwrap());
        let (name, sha256) = ("numbered".to_owned(), "source".to_owned());
        Source { name, train, test, first_label: 0, sha256, files: vec![], notes: vec![] }
    }

    #[test]
    fn the_split_is_pinned() {
        let splits = numbered(10).split(4, 42).unwrap();
        assert_eq!(splits.valid.pixels(), [3, 7, 8, 9]);
        assert_eq!(splits.train.pixels(), [0, 1, 2, 4, 5, 6]);
        assert_eq!(splits.valid.labels(), [1, 1, 0, 1]);
        assert_eq!((splits.name.as_str(), splits.source_sha256.as_str()), ("numbered", "source"));
        assert_eq!(splits.split_sha256, "85503c13c996473a88665827855295537d37d65abf8422871463eb26ee56a048");
        assert_eq!((splits.test.len(), splits.test.image(0)), (1, &[255][..]));
    }

    #[test]
    fn a_part_without_examples_is_refused() {
        for valid in [0, 10, 11, usize::MAX] {
            let message = format!(
                "{valid} validation examples were asked for, expected 1 to 9: there are 10 to share with training"
            );
            assert_eq!(numbered(10).split(valid, 0).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn held_out_examples_can_be_looked_at() {
        let test = numbered(2).test;
        assert_eq!((test.len(), test.is_empty(), test.classes()), (1, false, 2));
        assert_eq!(test.labels_for_report(), [1]);
        assert_eq!(test.shape(), test.dataset().shape());
        assert_eq!(test.sha256(), test.dataset().sha256());
    }

    proptest! {
        #[test]
        fn every_example_is_in_one_part_in_order(n in 2u8..200, part: prop::sample::Index, seed: u64) {
            let valid = 1 + part.index(usize::from(n) - 1);
            let splits = numbered(n).split(valid, seed).unwrap();
            prop_assert_eq!(splits.valid.len(), valid);
            prop_assert!(splits.valid.pixels().is_sorted() && splits.train.pixels().is_sorted());
            let mut all = [splits.valid.pixels(), splits.train.pixels()].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..n));
            let again = numbered(n).split(valid, seed).unwrap();
            prop_assert_eq!((again.valid, again.split_sha256), (splits.valid, splits.split_sha256));
        }
    }
}
