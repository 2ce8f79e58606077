//! What the files of a trial claim, held against each other.

use std::io::ErrorKind;

use serde::Serialize;
use serde_json::Value;
use tenfold_nn::data::{Dataset, HeldOut, Splits};
use tenfold_nn::evaluate::{Evaluation, evaluate};
use tenfold_nn::interop::model_file::About;
use tenfold_nn::interop::safetensors;
use tenfold_nn::model::Model;
use tenfold_nn::train::Flow;
use tenfold_nn::views::evaluate_view_while;

use super::{Disagreement, Faults, short};
use crate::comparison::ChosenBy;
use crate::diff::{TrialOf, can_train_again};
use crate::ensemble::{self, Part};
use crate::finished::FinishedStudy;
use crate::folder::{MOST_BYTES, bounded};
use crate::identity::{TrialSettings, sha256};
use crate::metrics::{Metrics, confusion};
use crate::record::{
    EnsembleRecord, RESULTS, ReadingReason, RecipeRecord, Status, StudyRecord, TestReading, TrialRecord,
};
use crate::run::calibration;
use crate::trial::{
    EPOCHS, FILTERS, PREDICTIONS, Prediction, RESULT, WEIGHTS, about, epochs_csv, model_of, parse_predictions, place,
    seed_folder,
};
use crate::views;

/// The claims of a trial that do not hold: that its record is the one in `results.json`; that its identity is the
/// checksum of its settings, and these are the recipe's; that files have the checksums that it names; that its metrics
/// follow from `predictions.csv`. With the images at hand also that these are their labels, and that the network says of
/// them, and of the validation images, what the trial wrote down, bit for bit.
///
/// A trial that was interrupted claims nothing of a network.
///
/// # Panics
/// If `splits` are not those of the record, or `threads` is 0.
pub fn check_files(of: TrialOf, splits: Option<&Splits>, threads: usize) -> Vec<Disagreement> {
    let TrialOf { folder, record, trial } = of;
    let mut faults = Faults::default();
    let at = folder.join(place(folder, &trial.recipe, trial.seed, &trial.identity));
    let classes = record.dataset.classes;
    match bounded(&at.join(RESULT), MOST_BYTES) {
        Err(reason) => faults.add(RESULT, format!("cannot be read: {reason}")),
        Ok(bytes) => match serde_json::from_slice::<TrialRecord>(&bytes) {
            Err(error) => faults.add(RESULT, format!("cannot be read as a record: {error}")),
            // Each of its fields would be another.
            Ok(own) if own.identity != trial.identity => {
                faults.add(RESULT, format!("is the record of another training than the one in {RESULTS}"));
                return faults.0;
            }
            Ok(mut own) => {
                own.far_above_chance = own.is_far_above_chance(classes);
                for name in different(&own, trial) {
                    faults.add(RESULT, format!("has another {name} than {RESULTS}"));
                }
            }
        },
    }
    check_identity(of, &mut faults);
    match bounded(&at.join(EPOCHS), MOST_BYTES) {
        // It may be missing: a trial is kept without it where there was no room.
        Err(reason) if reason.kind() == ErrorKind::NotFound => {}
        Err(reason) => faults.add(EPOCHS, format!("cannot be read: {reason}")),
        Ok(bytes) if bytes != epochs_csv(&trial.epochs).as_bytes() => {
            faults.add(EPOCHS, format!("is not the table of the epochs in {RESULT}"));
        }
        Ok(_) => {}
    }
    if trial.status != Status::Finished {
        return faults.0;
    }
    let read = |name: &str, most: u64, faults: &mut Faults| {
        let bytes = bounded(&at.join(name), most);
        bytes.map_err(|reason| faults.add(name, format!("cannot be read: {reason}"))).ok()
    };
    if let Some(expected) = &trial.filters_sha256
        && let Some(bytes) = read(FILTERS, MOST_BYTES, &mut faults)
    {
        check_sum(FILTERS, &bytes, expected, &mut faults);
    }
    let model = check_weights(of, &mut faults);
    let said = read(PREDICTIONS, MOST_BYTES, &mut faults).and_then(|bytes| check_predictions(of, &bytes, &mut faults));
    // Other training code evaluates with other roundings.
    if let (Some(model), Some(said), Some(splits), Ok(_)) = (model, said, splits, can_train_again(of)) {
        check_network(trial, &model, &said, splits, threads, &mut faults);
    }
    faults.0
}

/// The claims of a study as a whole that do not hold: the means over its trials, what they say together, and that every look
/// at the test images was counted that was needed for it. With the images at hand also what the networks of a recipe say as
/// one; the files of all trials agree.
///
/// # Panics
/// If `splits` are not those of the record, or `threads` is 0.
pub fn check_study(study: &FinishedStudy, splits: Option<&Splits>, threads: usize) -> Vec<Disagreement> {
    let mut faults = Faults::default();
    let record = &study.record;
    check_readings(record, &mut faults);
    if let Some(splits) = splits {
        check_ensembles(study, splits, threads, &mut faults);
        check_views(study, splits, threads, &mut faults);
    }
    let mut again = record.clone();
    again.summarize();
    for (before, now) in record.recipes.iter().zip(&again.recipes) {
        if before.summary != now.summary {
            faults.add(
                RESULTS,
                format!("its summary of {} is not what this program computes from the trainings", before.name),
            );
        }
    }
    // Computed at the end of a run, which may be still to come.
    if !record.comparison.recipes.is_empty() {
        let comparison = study.comparison(record.comparison.margin);
        for name in different(&record.comparison, &comparison) {
            faults.add(RESULTS, format!("its comparison is not what this program computes from the trainings: {name}"));
        }
    }
    faults.0
}

/// That every figure of the test images was looked at as often as it takes, at least; of trials that are gone a record says no
/// more than that. Records of versions that kept no count claim nothing.
fn check_readings(record: &StudyRecord, faults: &mut Faults) {
    let readings = &record.test_readings;
    if readings.is_empty() {
        return;
    }
    let mut expect = |reason, recipe: Option<&str>, seed: Option<u64>, of: String| {
        let is = |r: &&TestReading| (r.reason, r.recipe.as_deref(), r.seed) == (reason, recipe, seed);
        match readings.iter().filter(is).count() {
            1 if readings.iter().find(is).is_some_and(|reading| reading.count > 0) => {}
            0 | 1 => faults.add(RESULTS, format!("counts no look at the test images for {of}")),
            _ => faults.add(RESULTS, format!("counts the looks at the test images for {of} twice")),
        }
    };
    for recipe in &record.recipes {
        for trial in recipe.trials.iter().filter(|trial| trial.test.is_some()) {
            let of = format!("{} seed {}", recipe.name, trial.seed);
            expect(ReadingReason::Trial, Some(&recipe.name), Some(trial.seed), of);
        }
        if recipe.ensemble.is_some() {
            expect(
                ReadingReason::Ensemble,
                Some(&recipe.name),
                None,
                format!("the mean of the seeds of {}", recipe.name),
            );
        }
        if recipe.test_time_augmentation.is_some() {
            let of = format!("{} with test-time augmentation", recipe.name);
            expect(ReadingReason::TestTimeAugmentation, Some(&recipe.name), None, of);
        }
    }
    // It is made when all is compared, which may be still to come.
    if record.comparison.chosen_by == ChosenBy::Test && !record.comparison.recipes.is_empty() {
        expect(ReadingReason::Choice, None, None, "the choice by them".to_owned());
    }
}

/// Whether what the networks of a recipe say of images can be measured again: other training code evaluates with other
/// roundings.
fn can_measure_again(study: &FinishedStudy, recipe: &RecipeRecord) -> bool {
    let FinishedStudy { path: folder, record, images, .. } = study;
    let mut of = recipe.finished().map(|trial| TrialOf { folder, record, trial });
    !images.labels.is_empty() && of.all(|of| can_train_again(of).is_ok())
}

/// That the networks of each recipe say together what its record says.
fn check_ensembles(study: &FinishedStudy, splits: &Splits, threads: usize, faults: &mut Faults) {
    let FinishedStudy { path: folder, record, images, .. } = study;
    for recipe in &record.recipes {
        let Some(before) = &recipe.ensemble else { continue };
        if !can_measure_again(study, recipe) {
            continue;
        }
        // By the labels in the files of the trials.
        let test = as_labelled(&splits.test, &images.labels);
        let measured = ensemble::measure(
            (folder, record, recipe),
            (splits.valid.labels(), images),
            threads,
            &mut |model, part| Some(evaluate(model, if part == Part::Valid { &splits.valid } else { &test }, threads)),
        );
        match measured {
            Ok(measured) => {
                let now = measured.expect("nobody stops it");
                let now = EnsembleRecord { evaluation_time_s: before.evaluation_time_s, ..now };
                for name in different(before, &now) {
                    faults.add(
                        RESULTS,
                        format!("its mean of the seeds of {} is not that of the networks: {name}", recipe.name),
                    );
                }
            }
            Err(error) => faults.add(RESULTS, error.to_string()),
        }
    }
}

/// That the networks of each recipe say of the views of images what its record says.
fn check_views(study: &FinishedStudy, splits: &Splits, threads: usize, faults: &mut Faults) {
    let FinishedStudy { path: folder, record, images, .. } = study;
    for recipe in &record.recipes {
        let Some(before) = &recipe.test_time_augmentation else { continue };
        if !can_measure_again(study, recipe) {
            continue;
        }
        let test = as_labelled(&splits.test, &images.labels);
        let measured = views::measure(
            (folder, record, recipe),
            &before.views,
            [splits.valid.labels(), &images.labels],
            &mut |model, view, part| {
                let data = if part == Part::Valid { &splits.valid } else { &test };
                evaluate_view_while(model, view, data, threads, &mut || Flow::Continue)
            },
        );
        match measured {
            Ok(measured) => {
                let mut now = measured.expect("nobody stops it");
                for (now, before) in now.seeds.iter_mut().zip(&before.seeds) {
                    now.plain_evaluation_time_s = before.plain_evaluation_time_s;
                    now.evaluation_time_s = before.evaluation_time_s;
                }
                for name in different(before, &now) {
                    let of = &recipe.name;
                    faults.add(
                        RESULTS,
                        format!("its test-time augmentation of {of} is not what the networks reach: {name}"),
                    );
                }
            }
            Err(error) => faults.add(RESULTS, error.to_string()),
        }
    }
}

fn check_identity(of: TrialOf, faults: &mut Faults) {
    let TrialOf { record, trial, .. } = of;
    let Some(settings) = of.settings() else {
        return faults.add(RESULT, "its identity is not the checksum of the settings of its recipe");
    };
    let identity = settings.identity();
    if identity != trial.identity {
        let (named, computed) = (short(&trial.identity), short(&identity));
        faults.add(RESULT, format!("its identity {named} is not the checksum of its settings, {computed}"));
    }
    let recipe = of.recipe();
    let architecture = match recipe.architecture(&record.dataset) {
        Ok(architecture) => architecture,
        Err(fault) => return faults.add(RESULTS, format!("recipe {}: {fault}", recipe.name)),
    };
    let config = recipe.settings.clone().with_seed(trial.seed);
    let mut study = TrialSettings::new(&architecture, &config, &record.dataset);
    study.training = settings.training;
    for difference in settings.differences(&study) {
        faults.add(
            RESULTS,
            format!(
                "says of the recipe: {} {}; the training says {}",
                difference.setting, difference.now, difference.before
            ),
        );
    }
}

fn check_sum(name: &str, bytes: &[u8], expected: &str, faults: &mut Faults) {
    let found = sha256(bytes);
    if found != expected {
        let (found, expected) = (short(&found), short(expected));
        faults.add(name, format!("has SHA-256 {found}, the record says {expected}"));
    }
}

/// The network, where there is one.
fn check_weights(of: TrialOf, faults: &mut Faults) -> Option<Model> {
    let TrialOf { folder, record, trial } = of;
    of.recipe().architecture(&record.dataset).ok()?;
    let path = folder.join(seed_folder(&trial.recipe, trial.seed)).join(WEIGHTS);
    let mut bytes = Vec::new();
    let model = model_of(&folder.join(RESULTS), record, trial, |most| {
        bytes = bounded(&path, most).unwrap_or_default();
        Ok((path.clone(), bytes.clone()))
    });
    match &trial.weights_sha256 {
        Some(expected) => check_sum(WEIGHTS, &bytes, expected, faults),
        None => faults.add(RESULT, "names no SHA-256 of the weights"),
    }
    let model = match model {
        Ok(model) => model,
        Err(error) => {
            let text = error.to_string();
            faults.add(WEIGHTS, text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text));
            return None;
        }
    };
    // Earlier versions wrote the weights alone.
    if let Ok(Some(said)) = safetensors::metadata(&bytes)
        && let Ok(said) = serde_json::from_str::<About>(&said)
    {
        for name in different(&said, &about(&model, &record.dataset, trial)) {
            faults.add(WEIGHTS, format!("says another {name} of the network than {RESULTS}"));
        }
    }
    Some(model)
}

fn check_predictions(of: TrialOf, bytes: &[u8], faults: &mut Faults) -> Option<Vec<Prediction>> {
    let dataset = &of.record.dataset;
    let Some(said) = parse_predictions(bytes) else {
        faults.add(PREDICTIONS, "is cut short or was edited");
        return None;
    };
    if said.len() != dataset.test {
        faults.add(PREDICTIONS, format!("has {} images, expected {}", said.len(), dataset.test));
        return None;
    }
    if said.iter().any(|p| usize::from(p.label.max(p.prediction)) >= dataset.classes) {
        faults.add(PREDICTIONS, "has a class out of range");
        return None;
    }
    let (labels, predictions) = columns(&said);
    let test = of.trial.test.as_ref();
    if test.is_none_or(|test| test.confusion != confusion(&labels, &predictions, dataset.classes)) {
        faults.add(PREDICTIONS, format!("does not give the metrics in {RESULT}"));
    }
    Some(said)
}

fn columns(said: &[Prediction]) -> (Vec<u16>, Vec<u16>) {
    said.iter().map(|p| (p.label, p.prediction)).unzip()
}

/// That the network says what the trial wrote down.
fn check_network(
    trial: &TrialRecord,
    model: &Model,
    said: &[Prediction],
    splits: &Splits,
    threads: usize,
    faults: &mut Faults,
) {
    let classes = model.architecture().classes();
    let (labels, predictions) = columns(said);
    if let Some(n) = first_difference(&labels, splits.test.labels_for_report()) {
        let fault =
            format!("image {n} is of class {}, the data says {}", labels[n], splits.test.labels_for_report()[n]);
        faults.add(PREDICTIONS, fault);
    }
    let again = evaluate(model, &as_labelled(&splits.test, &labels), threads);
    let probabilities: Vec<u32> = said.iter().map(|p| p.probability.to_bits()).collect();
    let of_network: Vec<u32> =
        again.predictions.iter().enumerate().map(|(n, &p)| probability(&again, n, p, classes).to_bits()).collect();
    let first = first_difference(&predictions, &again.predictions);
    if let Some(n) = first.into_iter().chain(first_difference(&probabilities, &of_network)).min() {
        let class = again.predictions[n];
        faults.add(
            PREDICTIONS,
            format!(
                "of image {n} it says class {} with {}; the network says {class} with {}",
                said[n].prediction,
                said[n].probability,
                probability(&again, n, class, classes)
            ),
        );
    }
    // By the labels in the file: those of the data are not measured with once more.
    let test = Metrics::new(&labels, &again.predictions, classes, again.loss);
    if trial.test.as_ref() != Some(&test) {
        faults.add(RESULT, "its metrics on the test images are not those of the network");
    }
    let valid = evaluate(model, &splits.valid, threads);
    let of_valid = Metrics::new(splits.valid.labels(), &valid.predictions, classes, valid.loss);
    if trial.valid.as_ref() != Some(&of_valid) {
        faults.add(RESULT, "its metrics on the validation images are not those of the network");
    }
    if let Some(before) = &trial.calibration {
        match calibration(splits, &valid, (&again, &labels), threads, &mut || Flow::Continue).flatten() {
            Some(now) => {
                for name in different(before, &now) {
                    faults.add(RESULT, format!("its calibration is not that of the network: {name}"));
                }
            }
            None => faults.add(RESULT, "has a calibration, where the network's answers give none"),
        }
    }
}

fn probability(evaluation: &Evaluation, image: usize, class: u16, classes: usize) -> f32 {
    evaluation.probabilities[image * classes + usize::from(class)]
}

/// The images with these labels.
fn as_labelled(test: &HeldOut, labels: &[u16]) -> Dataset {
    let pixels: Vec<u8> = (0..test.len()).flat_map(|n| test.image(n).iter().copied()).collect();
    Dataset::new(pixels, labels.to_vec(), test.shape(), test.classes()).expect("labels are below the number of classes")
}

fn first_difference<T: PartialEq>(one: &[T], other: &[T]) -> Option<usize> {
    one.iter().zip(other).position(|(a, b)| a != b)
}

/// The names of the fields in which two of a kind differ.
fn different<T: Serialize + PartialEq>(one: &T, other: &T) -> Vec<String> {
    if one == other {
        return Vec::new();
    }
    let value = |of: &T| serde_json::to_value(of).expect("records are plain values");
    let (Value::Object(one), Value::Object(other)) = (value(one), value(other)) else { return Vec::new() };
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).map(|name| name.replace('_', " ")).collect()
}
