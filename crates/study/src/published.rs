//! The figures of the published study that the built-in study repeats. They are facts to compare with, never ours.

use serde::Deserialize;

/// Training examples of the published study, all of them in every epoch.
const TRAINING_EXAMPLES: usize = 54_000;

/// One published run. Vectors by epoch begin with epoch 1, vectors by class with class 0.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRun {
    /// The name of the recipe that repeats it.
    pub name: String,
    /// What its authors called it.
    pub title: String,
    /// Number of learned values.
    pub parameters: u64,
    /// Examples in one step, where it was stated.
    pub batch_size: Option<usize>,
    /// When it stopped, where that was not after a fixed number of epochs.
    pub stop: Option<String>,
    /// Mean cross-entropy per example.
    #[serde(default, rename = "train_loss")]
    train_loss_mean: Vec<f64>,
    /// The sum over the batches of an epoch, where that was printed instead.
    #[serde(default)]
    train_loss_sum: Vec<f64>,
    /// Mean cross-entropy per example; empty where it was not printed.
    #[serde(default)]
    pub valid_loss: Vec<f64>,
    /// 0 to 1.
    pub valid_accuracy: Vec<f64>,
    /// On a machine that was not stated.
    pub training_time_s: f64,
    /// By class, on the test images.
    pub precision: Vec<f64>,
    /// By class, on the test images.
    pub recall: Vec<f64>,
    /// By class, on the test images.
    pub f1_score: Vec<f64>,
    /// 0 to 1.
    pub test_accuracy: f64,
    /// Mean recall over the classes, on the test images.
    pub balanced_accuracy: f64,
}

impl PublishedRun {
    /// Mean cross-entropy per example by epoch, with printed sums over batches divided by the number of batches.
    pub fn train_loss(&self) -> Vec<f64> {
        match self.batch_size {
            Some(batch_size) if self.train_loss_mean.is_empty() => {
                let batches = TRAINING_EXAMPLES.div_ceil(batch_size);
                self.train_loss_sum.iter().map(|sum| sum / batches as f64).collect()
            }
            _ => self.train_loss_mean.clone(),
        }
    }
}

/// The published runs that the study `digits` repeats.
#[expect(clippy::missing_panics_doc, reason = "a test parses the built-in file")]
pub fn digits() -> Vec<PublishedRun> {
    #[derive(Deserialize)]
    struct File {
        run: Vec<PublishedRun>,
    }
    let file: File = toml::from_str(include_str!("published-figures.toml"))
        .expect("the built-in file is valid, as a test makes sure");
    file.run
}

#[cfg(test)]
mod tests {
    use tenfold_nn::data::ImageShape;

    use super::*;
    use crate::Study;

    #[test]
    fn every_built_in_recipe_repeats_a_published_run_of_its_size() {
        let (runs, study) = (digits(), Study::built_in("digits").unwrap());
        assert_eq!(runs.len(), study.recipes.len());
        for (run, recipe) in runs.iter().zip(&study.recipes) {
            assert_eq!(run.name, recipe.name);
            let mnist = ImageShape { channels: 1, height: 28, width: 28 };
            let architecture = recipe.architecture(mnist, 10).unwrap();
            assert_eq!(run.parameters, architecture.parameters() as u64, "{}", run.name);
            assert_eq!([run.precision.len(), run.recall.len(), run.f1_score.len()], [10; 3]);
            assert_eq!(run.train_loss().len(), run.valid_accuracy.len());
            assert!(run.valid_loss.is_empty() || run.valid_loss.len() == run.valid_accuracy.len());
        }
    }

    #[test]
    fn balanced_accuracy_is_the_mean_of_the_published_recalls() {
        for run in digits() {
            let mean = run.recall.iter().sum::<f64>() / 10.0;
            assert!((mean - run.balanced_accuracy).abs() < 1e-8, "{}: {mean}", run.name);
        }
    }

    #[test]
    fn sums_over_batches_become_means() {
        let runs = digits();
        let dropout = runs.iter().find(|run| run.name == "cnn2-dropout-b50").unwrap();
        assert!((dropout.train_loss()[0] - 578.6115 / 1080.0).abs() < 1e-12);
        assert_eq!(runs[0].train_loss()[0], 2.2288);
    }
}
