//! What the networks of a recipe reach with test-time augmentation.

use std::path::Path;
use std::time::Instant;

use tenfold_nn::evaluate::Evaluation;
use tenfold_nn::model::Model;
use tenfold_nn::views::{View, Views};

use crate::ensemble::{Part, Together};
use crate::metrics::Metrics;
use crate::record::{RecipeRecord, SeedViews, StudyRecord, ViewsRecord};
use crate::trial::{TrialFileError, whole};

/// Measures each finished training of a recipe of a folder's record, with the weights that it left there, by the labels of
/// validation and test images, whose views are shown to it. What a network says of one view `evaluate` tells; none if it
/// does not.
pub(crate) fn measure(
    (folder, record, recipe): (&Path, &StudyRecord, &RecipeRecord),
    views: &Views,
    [valid_labels, test_labels]: [&[u16]; 2],
    evaluate: &mut dyn FnMut(&Model, View, Part) -> Option<Evaluation>,
) -> Result<Option<ViewsRecord>, TrialFileError> {
    let mut seeds = Vec::new();
    for trial in recipe.finished() {
        let model = whole(folder, record, trial)?.model;
        let classes = model.architecture().classes();
        // With the time of the first view, the image as it is, and of all.
        let mut together = |part, labels: &[u16]| {
            let (started, mut first, mut each) = (Instant::now(), None, Vec::new());
            for view in views.all() {
                each.push(evaluate(&model, view, part)?.probabilities);
                first.get_or_insert(started.elapsed());
            }
            let all = started.elapsed();
            let said = Together::of(each, labels, classes);
            let metrics = Metrics::new(labels, &said.predictions, classes, said.loss);
            Some((metrics, [first.unwrap_or_default(), all]))
        };
        let Some((valid, _)) = together(Part::Valid, valid_labels) else { return Ok(None) };
        let Some((test, [plain, all])) = together(Part::Test, test_labels) else { return Ok(None) };
        seeds.push(SeedViews {
            seed: trial.seed,
            weights_sha256: trial.weights_sha256.clone().unwrap_or_default(),
            valid,
            test,
            plain_evaluation_time_s: plain.as_secs_f64(),
            evaluation_time_s: all.as_secs_f64(),
        });
    }
    Ok(Some(ViewsRecord { views: views.clone(), count: views.count(), seeds }))
}
