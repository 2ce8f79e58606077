//! Puts the comparison together.

use std::collections::BTreeMap;

use super::{Comparison, MARGIN};
use crate::record::{Environment, RecipeRecord, best};
use crate::trial::Prediction;
use tenfold_nn::data::test_writers;

/// A recipe with all that its trials say.
#[derive(Clone, Debug)]
pub struct RecipeTrials<'a> {
    /// What the comparison calls it: the recipe's name, or one that tells it from those of other studies.
    pub name: String,
    /// Its record.
    pub record: &'a RecipeRecord,
    /// Where its study was last added to: only times from there, or from a machine like it, can be compared.
    pub environment: &'a Environment,
    /// By seed, what each finished trial said of each test image. Trials may be missing.
    pub predictions: BTreeMap<u64, Vec<Prediction>>,
}

/// The test images of all trials of a comparison.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TestImages {
    /// The class of each; empty where no trial has predictions.
    pub labels: Vec<u8>,
    /// The number of classes; every label is less.
    pub classes: usize,
    /// Who wrote each, where that is known.
    pub writers: Option<Vec<u16>>,
}

impl TestImages {
    /// The images with these labels, of a data set with this SHA-256.
    pub fn new(labels: &[u8], classes: usize, source_sha256: &str) -> TestImages {
        let writers = test_writers(source_sha256).filter(|writers| writers.len() == labels.len());
        TestImages { labels: labels.to_vec(), classes, writers }
    }
}

/// What the trials of these recipes say together; a difference in test accuracy of up to `margin` is called none.
///
/// The recipes may come from several studies, if all have the same test images.
pub fn compare(recipes: &[RecipeTrials], images: &TestImages, margin: f64) -> Comparison {
    let by_name = || recipes.iter().map(|recipe| (recipe.name.as_str(), recipe.record));
    let margin = if margin.is_finite() { margin } else { MARGIN };
    Comparison {
        picked: best(by_name(), |s| &s.valid_balanced_accuracy, |t| &t.valid),
        best_on_test: best(by_name(), |s| &s.test_balanced_accuracy, |t| &t.test),
        margin,
        images: images.labels.len(),
        ..Comparison::default()
    }
}
