//! What the networks of a recipe reach together.

use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use tenfold_nn::evaluate::{Evaluation, mean_probabilities};
use tenfold_nn::model::Model;

use crate::calibration::{CalibrationRecord, Said};
use crate::comparison::{TestImages, of_network, units};
use crate::folder::{FolderError, RunFolder};
use crate::metrics::Metrics;
use crate::record::{EnsembleRecord, RESULTS, RecipeRecord, StudyRecord, ViewsRecord};
use crate::trial::{Prediction, TrialFileError, whole};

/// What is measured once all trainings of a recipe have ended, with the names of the recipes.
#[derive(Default)]
pub(crate) struct Afterwards {
    pub(crate) ensembles: Vec<(String, EnsembleRecord)>,
    pub(crate) views: Vec<(String, ViewsRecord)>,
}

/// What of it the folder's record has.
pub(crate) fn earlier(folder: &RunFolder) -> Result<Afterwards, FolderError> {
    /// What of `results.json` counts here, whatever version wrote it.
    #[derive(Default, Deserialize)]
    struct Results {
        recipes: Vec<Recipe>,
    }
    #[derive(Deserialize)]
    struct Recipe {
        name: String,
        #[serde(default)]
        ensemble: Option<EnsembleRecord>,
        #[serde(default)]
        test_time_augmentation: Option<ViewsRecord>,
    }
    let bytes = folder.read(RESULTS)?.unwrap_or_default();
    let results: Results = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut found = Afterwards::default();
    for Recipe { name, ensemble, test_time_augmentation } in results.recipes {
        found.ensembles.extend(ensemble.map(|ensemble| (name.clone(), ensemble)));
        found.views.extend(test_time_augmentation.map(|views| (name, views)));
    }
    Ok(found)
}

/// What a network is measured on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// The validation images.
    Valid,
    /// The test images.
    Test,
}

/// Measures the finished trainings of a recipe of a folder's record as one, with the weights that they left there, by the
/// labels of validation and test images. What a network says of them `evaluate` tells; none if it does not.
pub(crate) fn measure(
    (folder, record, recipe): (&Path, &StudyRecord, &RecipeRecord),
    (valid_labels, images): (&[u16], &TestImages),
    threads: usize,
    evaluate: &mut dyn FnMut(&Model, Part) -> Option<Evaluation>,
) -> Result<Option<EnsembleRecord>, TrialFileError> {
    let (mut of_valid, mut of_test) = (Vec::new(), Vec::new());
    let mut evaluation_time_s = 0.0;
    for trial in recipe.finished() {
        let model = whole(folder, record, trial)?.model;
        let Some(valid) = evaluate(&model, Part::Valid) else { return Ok(None) };
        of_valid.push(valid.probabilities);
        let started = Instant::now();
        let Some(test) = evaluate(&model, Part::Test) else { return Ok(None) };
        of_test.push(test.probabilities);
        evaluation_time_s += started.elapsed().as_secs_f64();
    }
    let classes = images.classes;
    let alone: Vec<u32> = (0..valid_labels.len() as u32).collect();
    let valid = Together::of(of_valid, valid_labels, classes);
    let test = Together::of(of_test, &images.labels, classes);
    let calibration = CalibrationRecord::of(valid.said(&alone), test.said(&units(images).0), classes, threads);
    let (metrics, statistics) = of_network(test.answers(), test.loss, images);
    Ok(Some(EnsembleRecord {
        seeds: recipe.finished().map(|trial| trial.seed).collect(),
        weights_sha256: recipe.finished().filter_map(|trial| trial.weights_sha256.clone()).collect(),
        valid: Metrics::new(valid_labels, &valid.predictions, classes, valid.loss),
        test: metrics,
        test_accuracy_interval: statistics.and_then(|statistics| statistics.accuracy.new),
        calibration,
        train_time_s: recipe.finished().map(|trial| trial.train_time_s).sum(),
        evaluation_time_s,
    }))
}

/// What several networks say of the same images, or one of several views of them.
pub(crate) struct Together<'a> {
    /// `[N, classes]`.
    probabilities: Vec<f32>,
    pub(crate) predictions: Vec<u16>,
    labels: &'a [u16],
    /// Mean cross-entropy.
    pub(crate) loss: f64,
}

impl<'a> Together<'a> {
    pub(crate) fn of(each: Vec<Vec<f32>>, labels: &'a [u16], classes: usize) -> Together<'a> {
        let probabilities = mean_probabilities(each);
        let rows = || probabilities.chunks_exact(classes);
        let best = |row: &[f32]| (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0) as u16;
        // The smallest probability there is, for a class that all of them rule out.
        let loss = |(row, &label): (&[f32], &u16)| f64::from(row[usize::from(label)].max(f32::MIN_POSITIVE)).ln();
        let sum: f64 = rows().zip(labels).map(loss).sum();
        Together { predictions: rows().map(best).collect(), labels, loss: -sum / labels.len() as f64, probabilities }
    }

    fn said<'s>(&'s self, units: &'s [u32]) -> Said<'s> {
        let Together { probabilities, predictions, labels, .. } = self;
        Said { probabilities, predictions, labels, units }
    }

    fn answers(&self) -> Vec<Prediction> {
        let classes = self.probabilities.len() / self.labels.len();
        let rows = self.probabilities.chunks_exact(classes);
        let answer = |((row, &prediction), &label): ((&[f32], &u16), &u16)| Prediction {
            label,
            prediction,
            probability: row[usize::from(prediction)],
        };
        rows.zip(&self.predictions).zip(self.labels).map(answer).collect()
    }
}
