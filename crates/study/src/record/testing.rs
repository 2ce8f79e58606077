//! Records for tests.

use super::*;
use crate::metrics::Metrics;
use crate::testing::{environment, recipe_record, trial_record};

/// With this balanced accuracy.
pub(super) fn metrics(balanced_accuracy: f64) -> Metrics {
    let labels = [0, 1];
    Metrics { balanced_accuracy, ..Metrics::new(&labels, &labels, 2, 0.5) }
}

/// A recipe whose trials have these balanced accuracies on validation and test.
pub(super) fn recipe(name: &str, figures: &[(f64, f64)]) -> RecipeRecord {
    let trial = |(index, &(valid, test)): (usize, &(f64, f64))| TrialRecord {
        stopped: Stopped { reason: Reason::Epochs, epoch: index + 10 },
        test: Some(metrics(test)),
        ..trial_record(name, index as u64 + 1, metrics(valid))
    };
    recipe_record(name, figures.iter().enumerate().map(trial).collect())
}

/// A study of these recipes, summarized.
pub(super) fn study(recipes: Vec<RecipeRecord>) -> StudyRecord {
    let text = || "test".to_owned();
    let dataset = DatasetRecord {
        name: text(),
        train: 1,
        valid: 1,
        test: 1,
        shape: [1, 1, 1],
        classes: 2,
        sha256: text(),
        split_seed: 0,
        split_sha256: text(),
        place: None,
        reading: None,
        first_label: 0,
        class_names: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let comparison = Comparison::default();
    let mut study = StudyRecord {
        schema: SCHEMA,
        study: text(),
        title: text(),
        dataset,
        environment: environment(),
        asked: None,
        recipes,
        test_readings: Vec::new(),
        taken_in: Vec::new(),
        comparison,
    };
    study.summarize();
    study
}
