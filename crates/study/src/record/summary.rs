//! What follows from the trials of a study: means with their ranges, and the best recipe.

use serde::{Deserialize, Serialize};

use super::{EpochRecord, RecipeRecord, Status, StudyRecord, TrialRecord};
use crate::comparison::{ChosenBy, Pick};
use crate::metrics::Metrics;

/// The finished trials of a recipe together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Number of finished trials; all figures are over these.
    pub finished: usize,
    /// Number of trials that diverged.
    pub diverged: usize,
    /// Epochs trained.
    pub epochs: Spread,
    /// Time spent in training steps.
    pub train_time_s: Spread,
    /// On the validation examples.
    pub valid_balanced_accuracy: Spread,
    /// On the test examples.
    pub test_accuracy: Spread,
    /// On the test examples.
    pub test_balanced_accuracy: Spread,
}

/// Mean, smallest and largest of a figure over seeds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: &[f64]) -> Spread {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Rounding must not carry a mean of equal numbers past them.
        let mean = (numbers.iter().sum::<f64>() / numbers.len() as f64).clamp(low, high);
        Spread { mean, low, high }
    }
}

impl StudyRecord {
    /// Fills in what follows from the trials.
    pub(crate) fn summarize(&mut self) {
        for recipe in &mut self.recipes {
            recipe.summary = summary(&recipe.trials);
        }
        self.comparison.picked = self.pick(|_| true);
        self.comparison.best_on_test = self.best_on_test(|_| true);
    }

    /// The best by what choices of this record are made by, among the recipes that `eligible` says.
    pub fn pick(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        match self.comparison.chosen_by {
            ChosenBy::Validation => self.best_on_validation(eligible),
            ChosenBy::Test => self.best_on_test(eligible),
        }
    }

    fn best_on_test(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        best(self.by_name(eligible), |s| &s.test_balanced_accuracy, |t| &t.test)
    }

    /// The best on validation, among the recipes that `eligible` says.
    pub fn best_on_validation(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        best(self.by_name(eligible), |s| &s.valid_balanced_accuracy, |t| &t.valid)
    }

    fn by_name(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> impl Iterator<Item = (&str, &RecipeRecord)> {
        self.recipes.iter().filter(move |recipe| eligible(recipe)).map(|recipe| (recipe.name.as_str(), recipe))
    }
}

/// The mean of each figure over the finished trials, for the epochs that all of them have; none of fewer than two
/// trials.
pub fn mean_epochs(trials: &[TrialRecord]) -> Vec<EpochRecord> {
    let finished: Vec<&TrialRecord> = trials.iter().filter(|t| t.status == Status::Finished).collect();
    let shared = finished.iter().map(|trial| trial.epochs.len()).min().unwrap_or(0);
    if finished.len() < 2 {
        return Vec::new();
    }
    let mean = |at: usize, figure: &dyn Fn(&EpochRecord) -> Option<f64>| {
        let sum: Option<f64> = finished.iter().map(|trial| figure(&trial.epochs[at])).sum();
        sum.map(|sum| sum / finished.len() as f64)
    };
    let epoch = |at: usize| EpochRecord {
        epoch: at + 1,
        train_loss: mean(at, &|e| e.train_loss),
        valid_loss: mean(at, &|e| e.valid_loss),
        valid_accuracy: mean(at, &|e| e.valid_accuracy),
        train_time_s: mean(at, &|e| Some(e.train_time_s)).unwrap_or(0.0),
        evaluation_time_s: mean(at, &|e| Some(e.evaluation_time_s)).unwrap_or(0.0),
    };
    (0..shared).map(epoch).collect()
}

fn summary(trials: &[TrialRecord]) -> Option<Summary> {
    let finished: Vec<&TrialRecord> = trials.iter().filter(|t| t.status == Status::Finished).collect();
    if finished.is_empty() {
        return None;
    }
    let spread = |figure: &dyn Fn(&TrialRecord) -> Option<f64>| {
        Spread::of(&finished.iter().filter_map(|trial| figure(trial)).collect::<Vec<_>>())
    };
    if finished.iter().any(|trial| trial.valid.is_none() || trial.test.is_none()) {
        return None;
    }
    Some(Summary {
        finished: finished.len(),
        diverged: trials.iter().filter(|t| t.status == Status::Diverged).count(),
        epochs: spread(&|t| Some(t.stopped.epoch as f64)),
        train_time_s: spread(&|t| Some(t.train_time_s)),
        valid_balanced_accuracy: spread(&|t| t.valid.as_ref().map(|m| m.balanced_accuracy)),
        test_accuracy: spread(&|t| t.test.as_ref().map(|m| m.accuracy)),
        test_balanced_accuracy: spread(&|t| t.test.as_ref().map(|m| m.balanced_accuracy)),
    })
}

/// The recipe whose mean of the figure is highest, and its seed with the highest. Of equals, the first.
pub(crate) fn best<'a>(
    recipes: impl Iterator<Item = (&'a str, &'a RecipeRecord)>,
    figure: impl Fn(&Summary) -> &Spread,
    metrics: impl Fn(&TrialRecord) -> &Option<Metrics>,
) -> Option<Pick> {
    let mut best: Option<(&str, &RecipeRecord, Summary)> = None;
    for (name, recipe) in recipes {
        let Some(summary) = summary(&recipe.trials) else { continue };
        if best.as_ref().is_none_or(|(_, _, other)| figure(&summary).mean > figure(other).mean) {
            best = Some((name, recipe, summary));
        }
    }
    let (name, recipe, summary) = best?;
    let mut seed: Option<(u64, f64)> = None;
    for trial in &recipe.trials {
        let Some(metrics) = metrics(trial) else { continue };
        if seed.is_none_or(|(_, other)| metrics.balanced_accuracy > other) {
            seed = Some((trial.seed, metrics.balanced_accuracy));
        }
    }
    Some(Pick {
        recipe: name.to_owned(),
        seed: seed?.0,
        valid_balanced_accuracy: summary.valid_balanced_accuracy.mean,
        test_balanced_accuracy: summary.test_balanced_accuracy.mean,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{recipe, study};

    #[test]
    fn picks_are_by_the_mean_over_seeds() {
        let study = study(vec![
            recipe("lucky", &[(0.99, 0.97), (0.93, 0.93)]),
            recipe("steady", &[(0.96, 0.94), (0.98, 0.95)]),
            recipe("equal", &[(0.98, 0.90), (0.96, 0.90)]),
            recipe("none", &[]),
        ]);
        let picked = study.comparison.picked.as_ref().expect("there is a best");
        assert_eq!((picked.recipe.as_str(), picked.seed), ("steady", 2), "of equals the first; its better seed");
        assert!((picked.valid_balanced_accuracy - 0.97).abs() < 1e-12);
        let on_test = study.comparison.best_on_test.as_ref().expect("there is a best");
        assert_eq!((on_test.recipe.as_str(), on_test.seed), ("lucky", 1));
        assert_eq!(study.best_on_validation(|recipe| recipe.name == "none"), None);
    }

    #[test]
    fn a_choice_by_test_follows_test() {
        let mut study = study(vec![recipe("sound", &[(0.9, 0.8)]), recipe("lucky", &[(0.8, 0.85), (0.8, 0.9)])]);
        assert_eq!(study.comparison.picked.as_ref().map(|pick| pick.recipe.as_str()), Some("sound"));
        study.comparison.chosen_by = ChosenBy::Test;
        study.summarize();
        assert_eq!(study.comparison.picked, study.comparison.best_on_test);
        assert_eq!(study.pick(|_| true).map(|pick| (pick.recipe, pick.seed)), Some(("lucky".to_owned(), 2)));
        assert!(study.to_json().contains("\"chosen_by\": \"test\""));
    }

    #[test]
    fn a_summary_has_mean_and_range() {
        let study = study(vec![recipe("one", &[(0.5, 0.25), (0.75, 0.75), (0.625, 0.5)])]);
        let summary = study.recipes[0].summary.as_ref().expect("trials finished");
        assert_eq!(summary.test_balanced_accuracy, Spread { mean: 0.5, low: 0.25, high: 0.75 });
        assert_eq!(summary.epochs, Spread { mean: 11.0, low: 10.0, high: 12.0 });
        assert_eq!((summary.finished, summary.diverged), (3, 0));
        let equal = Spread::of(&[0.1; 3]);
        assert_eq!((equal.mean, equal.low, equal.high), (0.1, 0.1, 0.1));
    }
}
