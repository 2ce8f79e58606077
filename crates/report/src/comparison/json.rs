//! The comparison with its context, for other programs.

use serde::Serialize;
use tenfold_study::calibration::CalibrationRecord;
use tenfold_study::comparison::Comparison;
use tenfold_study::record::{
    DatasetRecord, EnsembleRecord, Environment, RecipeRecord, Status, TestReading, ViewsRecord,
};

use super::differences::{Difference, differences};
use super::{Compared, ComparedRecipe, TestUse};

/// The version of the form.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Output<'a> {
    schema: u32,
    studies: Vec<Study<'a>>,
    differences: Vec<Difference>,
    /// One for each set of test images.
    comparisons: Vec<Set<'a>>,
}

#[derive(Serialize)]
struct Study<'a> {
    name: &'a str,
    study: &'a str,
    dataset: &'a DatasetRecord,
    environment: &'a Environment,
    test_readings: &'a [TestReading],
    test_readings_sentence: String,
    chosen_by_test: bool,
}

#[derive(Serialize)]
struct Set<'a> {
    studies: Vec<&'a str>,
    recipes: Vec<Recipe<'a>>,
    comparison: &'a Comparison,
}

#[derive(Serialize)]
struct Recipe<'a> {
    name: &'a str,
    study: &'a str,
    recipe: &'a str,
    parameters: u64,
    macs_forward: u64,
    ensemble: Option<&'a EnsembleRecord>,
    test_time_augmentation: Option<&'a ViewsRecord>,
    trials: Vec<Trial<'a>>,
}

#[derive(Serialize)]
struct Trial<'a> {
    seed: u64,
    status: Status,
    epochs: usize,
    train_time_s: f64,
    environment: &'a Environment,
    valid_accuracy: Option<f64>,
    test_accuracy: Option<f64>,
    test_balanced_accuracy: Option<f64>,
    far_above_chance: bool,
    calibration: Option<&'a CalibrationRecord>,
}

/// The comparison as one JSON object: `schema`, `studies`, `differences`, and `comparisons`, one for each set of test
/// images, each with its `studies`, `recipes` (with every seed) and `comparison`, which is as in `results.json`.
#[expect(clippy::missing_panics_doc, reason = "a comparison has plain values, which JSON has")]
pub fn json(compared: &Compared) -> String {
    let studies = compared.studies.iter().map(|study| {
        let test = TestUse::of(study.record);
        Study {
            name: &study.name,
            study: &study.record.study,
            dataset: &study.record.dataset,
            environment: &study.record.environment,
            test_readings: &study.record.test_readings,
            test_readings_sentence: test.sentence,
            chosen_by_test: test.chosen_by_test,
        }
    });
    let name = |n: usize| compared.studies[n].name.as_str();
    let sets = compared.sets.iter().map(|set| Set {
        studies: set.studies.iter().map(|&n| name(n)).collect(),
        recipes: set.recipes.iter().map(|recipe| recipe_of(recipe, name(recipe.study))).collect(),
        comparison: &set.comparison,
    });
    let output = Output {
        schema: SCHEMA,
        studies: studies.collect(),
        differences: differences(compared),
        comparisons: sets.collect(),
    };
    serde_json::to_string_pretty(&output).expect("a comparison has plain values") + "\n"
}

fn recipe_of<'a>(recipe: &'a ComparedRecipe, study: &'a str) -> Recipe<'a> {
    let RecipeRecord { name, parameters, macs_forward, trials, .. } = recipe.record;
    let trials = trials.iter().map(|trial| Trial {
        seed: trial.seed,
        status: trial.status,
        epochs: trial.stopped.epoch,
        train_time_s: trial.train_time_s,
        environment: &trial.environment,
        valid_accuracy: trial.valid.as_ref().map(|metrics| metrics.accuracy),
        test_accuracy: trial.test.as_ref().map(|metrics| metrics.accuracy),
        test_balanced_accuracy: trial.test.as_ref().map(|metrics| metrics.balanced_accuracy),
        far_above_chance: trial.far_above_chance,
        calibration: trial.calibration.as_ref(),
    });
    Recipe {
        name: &recipe.name,
        study,
        recipe: name,
        parameters: *parameters,
        macs_forward: *macs_forward,
        ensemble: recipe.record.ensemble.as_ref(),
        test_time_augmentation: recipe.record.test_time_augmentation.as_ref(),
        trials: trials.collect(),
    }
}
