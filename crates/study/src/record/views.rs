//! The trainings of a recipe, measured with test-time augmentation.

use serde::{Deserialize, Serialize};
use tenfold_nn::views::Views;

use super::RecipeRecord;
use crate::metrics::Metrics;

/// What the networks of a recipe reach where each is shown an image in several ways and the mean of its probabilities
/// counts. All of its seeds take part, whatever they reached, so nothing is chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ViewsRecord {
    /// In which ways an image was shown.
    pub views: Views,
    /// How many they are, the image as it is included.
    pub count: usize,
    /// What each network reaches, by seed.
    pub seeds: Vec<SeedViews>,
}

/// What one network reaches with test-time augmentation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SeedViews {
    /// The seed of the network.
    pub seed: u64,
    /// The SHA-256, in hex, of its `model.safetensors`.
    pub weights_sha256: String,
    /// What it reaches on the validation examples.
    pub valid: Metrics,
    /// What it reaches on the test examples.
    pub test: Metrics,
    /// Time that it took to evaluate the test examples as they are.
    pub plain_evaluation_time_s: f64,
    /// Time that it took to evaluate all views of them, that of making the views included.
    pub evaluation_time_s: f64,
}

impl ViewsRecord {
    /// Whether it is of all the networks that the recipe now has.
    pub fn is_of(&self, recipe: &RecipeRecord) -> bool {
        recipe.has_networks(self.seeds.iter().map(|of| (of.seed, of.weights_sha256.as_str())))
    }
}
