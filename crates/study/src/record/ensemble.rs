//! The trainings of a recipe as one.

use serde::{Deserialize, Serialize};

use super::RecipeRecord;
use crate::calibration::CalibrationRecord;
use crate::comparison::Interval;
use crate::metrics::Metrics;

/// What the networks of a recipe say together: the mean of their probabilities. All of its seeds take part, whatever
/// they reached, so nothing is chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EnsembleRecord {
    /// The seeds of the networks.
    pub seeds: Vec<u64>,
    /// The SHA-256, in hex, of the `model.safetensors` of each.
    pub weights_sha256: Vec<String>,
    /// What they reach together on the validation examples.
    pub valid: Metrics,
    /// What they reach together on the test examples.
    pub test: Metrics,
    /// Where their test accuracy lies for new images, at 95 %, for these networks; null where nothing says so.
    pub test_accuracy_interval: Option<Interval>,
    /// What their probabilities are worth.
    pub calibration: Option<CalibrationRecord>,
    /// Training time of all of them together.
    pub train_time_s: f64,
    /// Time that all of them together took to evaluate the test examples.
    pub evaluation_time_s: f64,
}

impl EnsembleRecord {
    /// Whether it is of all the networks that the recipe now has.
    pub fn is_of(&self, recipe: &RecipeRecord) -> bool {
        self.seeds.len() == self.weights_sha256.len()
            && recipe.has_networks(self.seeds.iter().copied().zip(self.weights_sha256.iter().map(String::as_str)))
    }

    /// What is kept of it for the recipe, if it is of the networks that the recipe now has: the same weights may have been
    /// trained again, in another time.
    pub(crate) fn kept_for(&self, recipe: &RecipeRecord) -> Option<EnsembleRecord> {
        let train_time_s = recipe.finished().map(|trial| trial.train_time_s).sum();
        self.is_of(recipe).then(|| EnsembleRecord { train_time_s, ..self.clone() })
    }
}
