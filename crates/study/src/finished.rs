//! A run folder that is only read: its record and predictions, without training and without its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tenfold_nn::data::MAX_CLASSES;
use thiserror::Error;

use crate::calibration::CalibrationRecord;
use crate::comparison::{self, ChosenBy, Comparison, Groups, RecipeTrials, TestImages};
use crate::folder::{FolderError, MOST_BYTES, RunFolder, bounded};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::record::{Asked, RESULTS, ReadingReason, RecipeRecord, SCHEMA, Status, StudyRecord, TrialRecord};
use crate::spec::is_name;
use crate::test_images::{self, TEST_IMAGES, TestOrigins};
use crate::trial::{PREDICTIONS, Prediction, RESULT, parse_predictions, seed_folder};

/// The most pixels of an image, all channels together.
const MAX_PIXELS: usize = 1 << 26;

/// The most seeds that can be asked for.
pub const MAX_SEEDS: u64 = 1000;

/// What a run folder says of the trials that were run. Some may be missing, interrupted or still to come.
#[derive(Clone, Debug)]
pub struct FinishedStudy {
    /// The folder.
    pub path: PathBuf,
    /// Its `results.json`.
    pub record: StudyRecord,
    /// For each recipe of the record, by seed, what each finished trial said of each test image. A trial whose
    /// `predictions.csv` is not there is missing here too.
    pub predictions: Vec<BTreeMap<u64, Vec<Prediction>>>,
    /// The test images, as far as they are needed to compare. Without labels where there are no predictions.
    pub images: TestImages,
    /// The path of each test image; empty where they have none.
    pub test_paths: Vec<String>,
}

/// Why a run folder cannot be read.
#[derive(Debug, Error)]
pub enum FinishedStudyError {
    /// There is no record.
    #[error("{}: is not a run folder, it holds no {RESULTS}", .path.display())]
    NotARunFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The system refuses to read a file.
    #[error("{}: cannot read the file: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file is larger than any that a run writes.
    #[error("{}: is larger than {limit} bytes, which no run writes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// The record has another form.
    #[error("{}: has the form {found}, this program reads form {SCHEMA}; it was written by another version", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The form that it says it has.
        found: u64,
    },
    /// The record is cut short or was edited.
    #[error("{}: is not as a run writes it: {fault}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A trial's predictions are not those that its record was made from.
    #[error("{}: {fault}; remove {} to run the trial again", .path.display(), .record.display())]
    Predictions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
        /// The record of the trial.
        record: PathBuf,
    },
}

impl FinishedStudy {
    /// Reads the run folder `path`. It may be in use: whatever a run is writing meanwhile, its files are whole.
    ///
    /// # Errors
    /// If `path` is no run folder, a file in it cannot be read, or its record is of another version, damaged, or not of
    /// the predictions beside it.
    pub fn read(path: &Path) -> Result<FinishedStudy, FinishedStudyError> {
        let record = FinishedStudy::record(path)?;
        let origins = match read(&path.join(TEST_IMAGES))? {
            Some(bytes) => test_images::parse(&bytes, record.dataset.test)
                .map_err(|fault| FinishedStudyError::Damaged { path: path.join(TEST_IMAGES), fault })?,
            None => TestOrigins::default(),
        };

        let mut labels: Option<Vec<u16>> = None;
        let mut predictions = Vec::new();
        for recipe in &record.recipes {
            let mut by_seed = BTreeMap::new();
            for trial in recipe.finished() {
                let folder = path.join(seed_folder(&recipe.name, trial.seed));
                let file = folder.join(PREDICTIONS);
                let Some(bytes) = read(&file)? else { continue };
                let said = matching(&bytes, trial, &mut labels).map_err(|fault| FinishedStudyError::Predictions {
                    path: file,
                    fault,
                    record: folder.join(RESULT),
                })?;
                by_seed.insert(trial.seed, said);
            }
            predictions.push(by_seed);
        }
        let images = TestImages {
            groups: Groups::known(&record.dataset.sha256, record.dataset.test, &origins.units, &origins.groups),
            labels: labels.unwrap_or_default(),
            classes: record.dataset.classes,
        };
        Ok(FinishedStudy { path: path.to_owned(), record, predictions, images, test_paths: origins.paths })
    }

    /// The record of the run folder `path` alone, its parts in agreement with each other.
    ///
    /// # Errors
    /// If `path` is no run folder, or its record cannot be read, is of another version or damaged.
    pub fn record(path: &Path) -> Result<StudyRecord, FinishedStudyError> {
        let mut record: StudyRecord = record_as(path)?;
        check(&record).map_err(|fault| FinishedStudyError::Damaged { path: path.join(RESULTS), fault })?;
        record.dataset.complete_names();
        // Earlier versions did not mark them.
        let classes = record.dataset.classes;
        for trial in record.recipes.iter_mut().flat_map(|recipe| &mut recipe.trials) {
            trial.far_above_chance = trial.is_far_above_chance(classes);
        }
        Ok(record)
    }

    /// The recipes with what their trials say, each under the name that `name` gives it.
    pub fn recipes(&self, name: impl Fn(&RecipeRecord) -> String) -> Vec<RecipeTrials<'_>> {
        let recipes = self.record.recipes.iter().zip(&self.predictions);
        let trials = recipes.map(|(record, predictions)| RecipeTrials {
            name: name(record),
            record,
            predictions: predictions.clone(),
        });
        trials.collect()
    }

    /// What the trials say together; a difference in accuracy of up to `margin` is called none. What was chosen, and by
    /// what, is the record's.
    pub fn comparison(&self, margin: f64) -> Comparison {
        let Comparison { chosen_by, picked, .. } = self.record.comparison.clone();
        let recipes = self.recipes(|recipe| recipe.name.clone());
        Comparison { chosen_by, picked, ..comparison::compare(&recipes, &self.images, margin) }
    }

    /// Counts the look at the test images that a choice by them takes, in the record that `folder` has: before the comparison is
    /// computed that makes it. Nothing is counted where the record is to be chosen from otherwise, or has nothing to choose from.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn count_choice(&mut self, folder: &RunFolder) -> Result<(), FolderError> {
        let record = &mut self.record;
        let any = record.recipes.iter().any(|recipe| recipe.finished().next().is_some());
        if record.comparison.chosen_by != ChosenBy::Test || !any {
            return Ok(());
        }
        let mut ledger = Ledger::of_one(record);
        ledger.count(ReadingReason::Choice, None, None);
        record.test_readings = ledger.readings().to_vec();
        folder.write(RESULTS, record.to_json().as_bytes())
    }

    /// Fills in what the trials say together, with the margin that the record has.
    pub fn complete(&mut self) {
        self.record.comparison = self.comparison(self.record.comparison.margin);
    }
}

/// The record of the run folder `path`, or what `T` takes of it, unchecked.
pub(crate) fn record_as<T: DeserializeOwned>(path: &Path) -> Result<T, FinishedStudyError> {
    #[derive(Deserialize)]
    struct Form {
        schema: u64,
    }
    let file = path.join(RESULTS);
    let Some(bytes) = read(&file)? else {
        return Err(FinishedStudyError::NotARunFolder { path: path.to_owned() });
    };
    let damaged =
        |error: serde_json::Error| FinishedStudyError::Damaged { path: file.clone(), fault: error.to_string() };
    // The form first: a record of another form may lack what this one has.
    let Form { schema } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if schema != u64::from(SCHEMA) {
        return Err(FinishedStudyError::Schema { path: file, found: schema });
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// The contents of a file; none if it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, FinishedStudyError> {
    match bounded(path, MOST_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(reason) if matches!(reason.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(reason) if reason.kind() == io::ErrorKind::FileTooLarge => {
            Err(FinishedStudyError::TooLarge { path: path.to_owned(), limit: MOST_BYTES })
        }
        Err(reason) => Err(FinishedStudyError::Io { path: path.to_owned(), reason }),
    }
}

/// That the parts of a record agree, so that whoever computes with it can rely on its shapes.
fn check(record: &StudyRecord) -> Result<(), String> {
    let dataset = &record.dataset;
    if !(2..=MAX_CLASSES).contains(&dataset.classes) {
        return Err(format!("it has {} classes, expected 2 to {MAX_CLASSES}", dataset.classes));
    }
    if !dataset.class_names.is_empty() && dataset.class_names.len() != dataset.classes {
        let names = dataset.class_names.len();
        return Err(format!("it has {names} names for its {} classes", dataset.classes));
    }
    let examples = [dataset.train, dataset.valid, dataset.test];
    if examples.iter().any(|&n| u32::try_from(n).is_err()) {
        return Err(format!("it has {examples:?} images, more than there can be"));
    }
    let pixels = dataset.shape.iter().try_fold(1_usize, |pixels, &side| pixels.checked_mul(side));
    if pixels.is_none_or(|pixels| !(1..=MAX_PIXELS).contains(&pixels)) {
        return Err(format!("its images are of shape {:?}, expected 1 to {MAX_PIXELS} pixels", dataset.shape));
    }
    if !(0.0..=1.0).contains(&record.comparison.margin) {
        return Err(format!("its margin is {}, expected 0 to 1", record.comparison.margin));
    }
    record.asked.as_ref().map_or(Ok(()), check_asked)?;
    let mut names = BTreeSet::new();
    for recipe in &record.recipes {
        let name = &recipe.name;
        if !is_name(name) {
            return Err(format!("no recipe can be called {name:?}"));
        }
        if !names.insert(name) {
            return Err(format!("it has two recipes {name:?}"));
        }
        let mut seeds = BTreeSet::new();
        for trial in &recipe.trials {
            let at = |fault: &str| format!("recipe {name:?}, seed {}: {fault}", trial.seed);
            if !seeds.insert(trial.seed) {
                return Err(at("is there twice"));
            }
            if trial.recipe != *name {
                return Err(at("belongs to another recipe"));
            }
            if !trial.train_time_s.is_finite() {
                return Err(at("the training time is not a number"));
            }
            if trial.status != Status::Finished {
                continue;
            }
            let (Some(valid), Some(test)) = (&trial.valid, &trial.test) else { return Err(at("has no metrics")) };
            for (metrics, examples) in [(valid, dataset.valid), (test, dataset.test)] {
                if !follows(metrics, dataset.classes, examples as u64) {
                    return Err(at("its metrics do not follow from its confusion matrix"));
                }
            }
            trial.calibration.as_ref().map_or(Ok(()), CalibrationRecord::check).map_err(|fault| at(&fault))?;
        }
        if let Some(ensemble) = &recipe.ensemble {
            let at = |fault: &str| format!("recipe {name:?}, all seeds together: {fault}");
            for (metrics, examples) in [(&ensemble.valid, dataset.valid), (&ensemble.test, dataset.test)] {
                if !follows(metrics, dataset.classes, examples as u64) {
                    return Err(at("the metrics do not follow from the confusion matrix"));
                }
            }
            ensemble.calibration.as_ref().map_or(Ok(()), CalibrationRecord::check).map_err(|fault| at(&fault))?;
        }
        for of in recipe.test_time_augmentation.iter().flat_map(|views| &views.seeds) {
            for (metrics, examples) in [(&of.valid, dataset.valid), (&of.test, dataset.test)] {
                if !follows(metrics, dataset.classes, examples as u64) {
                    return Err(format!(
                        "recipe {name:?}, seed {} with test-time augmentation: the metrics do not follow from the confusion \
                         matrix",
                        of.seed
                    ));
                }
            }
            if ![of.plain_evaluation_time_s, of.evaluation_time_s].iter().all(|time| time.is_finite()) {
                return Err(format!(
                    "recipe {name:?}, seed {} with test-time augmentation: a time is not a number",
                    of.seed
                ));
            }
        }
    }
    Ok(())
}

/// That what was asked for can be.
pub(crate) fn check_asked(asked: &Asked) -> Result<(), String> {
    if let Some(name) = asked.recipes.iter().find(|name| !is_name(name)) {
        return Err(format!("no recipe can be called {name:?}"));
    }
    if asked.seeds > MAX_SEEDS {
        return Err(format!("it was asked for {} seeds, expected at most {MAX_SEEDS}", asked.seeds));
    }
    Ok(())
}

/// Whether these are the metrics of some predictions of so many classes for so many examples.
fn follows(metrics: &Metrics, classes: usize, examples: u64) -> bool {
    let confusion = &metrics.confusion;
    let square = confusion.len() == classes && confusion.iter().all(|row| row.len() == classes);
    // An edited count may be as large as it likes.
    let total = confusion.iter().flatten().try_fold(0u64, |sum, &count| sum.checked_add(count));
    square
        && total == Some(examples)
        && *metrics == Metrics::of(confusion.clone(), metrics.loss.unwrap_or(f64::INFINITY))
}

/// The predictions in `bytes`, if they are those that the trial's record was made from. All trials have the same
/// `labels`.
fn matching(bytes: &[u8], trial: &TrialRecord, labels: &mut Option<Vec<u16>>) -> Result<Vec<Prediction>, String> {
    let said = parse_predictions(bytes).ok_or("is cut short or was edited")?;
    let test = trial.test.as_ref().ok_or("belongs to a trial without metrics")?;
    let classes = test.confusion.len();
    if said.iter().any(|p| usize::from(p.label.max(p.prediction)) >= classes || !(0.0..=1.0).contains(&p.probability)) {
        return Err("has a class or a probability out of range".to_owned());
    }
    let mut confusion = vec![vec![0; classes]; classes];
    for p in &said {
        confusion[usize::from(p.label)][usize::from(p.prediction)] += 1;
    }
    if confusion != test.confusion {
        return Err("does not give the confusion matrix of the trial's record".to_owned());
    }
    let found: Vec<u16> = said.iter().map(|p| p.label).collect();
    if *labels.get_or_insert_with(|| found.clone()) != found {
        return Err("has other labels than those of the other trials".to_owned());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::comparison::MARGIN;
    use crate::record::{Asked, DatasetRecord};
    use crate::testing::{Scratch, environment, recipe_record, scratch, trial_record};

    const CSV: &str = "image,label,prediction,probability\n0,0,0,0.9\n1,1,0,0.6\n2,1,1,1\n";

    /// A folder with one trial of three test images.
    fn folder(test: &str) -> (Scratch, StudyRecord) {
        let scratch = scratch(test);
        let dataset = DatasetRecord {
            name: "any".to_owned(),
            train: 1,
            valid: 3,
            test: 3,
            shape: [1, 1, 1],
            classes: 2,
            sha256: "data".to_owned(),
            split_seed: 0,
            split_sha256: "split".to_owned(),
            place: None,
            reading: None,
            first_label: 0,
            class_names: vec!["0".to_owned(), "1".to_owned()],
            notes: Vec::new(),
            warnings: Vec::new(),
        };
        let metrics = Metrics::new(&[0, 1, 1], &[0, 0, 1], 2, 0.5);
        let record = StudyRecord {
            schema: SCHEMA,
            study: "study".to_owned(),
            title: "study".to_owned(),
            dataset,
            environment: environment(),
            asked: None,
            recipes: vec![recipe_record("mlp", vec![trial_record("mlp", 1, metrics)])],
            test_readings: Vec::new(),
            taken_in: Vec::new(),
            comparison: Comparison::default(),
        };
        fs::write(scratch.path().join(RESULTS), record.to_json()).unwrap();
        let trial = scratch.path().join("trials/mlp/seed-1");
        fs::create_dir_all(&trial).unwrap();
        fs::write(trial.join(PREDICTIONS), CSV).unwrap();
        (scratch, record)
    }

    #[track_caller]
    fn refusal(folder: &Scratch) -> String {
        FinishedStudy::read(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn a_run_folder_is_read_without_its_lock() {
        let (folder, record) = folder("finished-read");
        let read = FinishedStudy::read(folder.path()).unwrap();
        assert_eq!(read.record, record);
        assert_eq!((&read.images.labels[..], read.images.classes), (&[0, 1, 1][..], 2));
        assert_eq!(read.predictions[0][&1][1], Prediction { label: 1, prediction: 0, probability: 0.6 });
        assert_eq!(read.comparison(MARGIN).recipes[0].accuracy_by_seed, [2.0 / 3.0]);
        // A folder of the record alone still compares.
        fs::remove_dir_all(folder.path().join("trials")).unwrap();
        let read = FinishedStudy::read(folder.path()).unwrap();
        assert!(read.predictions[0].is_empty() && read.images.labels.is_empty());
        assert_eq!(read.comparison(MARGIN).recipes.len(), 1);
    }

    #[test]
    fn other_folders_and_damaged_records_are_refused() {
        let (folder, record) = folder("finished-damaged");
        let results = folder.path().join(RESULTS);
        let write = |text: &str| fs::write(&results, text).unwrap();
        let edited = |edit: &dyn Fn(&mut StudyRecord)| {
            let mut record = record.clone();
            edit(&mut record);
            write(&record.to_json());
            refusal(&folder)
        };
        assert!(edited(&|r| r.schema = 99).contains("has the form 99, this program reads form 1"));
        assert!(edited(&|r| r.dataset.classes = 1).contains("it has 1 classes"));
        assert!(edited(&|r| r.dataset.shape = [1 << 40, 1 << 40, 1]).contains("expected 1 to 67108864 pixels"));
        assert!(edited(&|r| r.dataset.shape = [1, 0, 28]).contains("of shape [1, 0, 28]"));
        assert!(edited(&|r| r.recipes[0].name = "../up".to_owned()).contains("no recipe can be called"));
        assert!(edited(&|r| r.recipes.push(r.recipes[0].clone())).contains("two recipes \"mlp\""));
        assert!(edited(&|r| r.recipes[0].trials.extend_from_within(..)).contains("is there twice"));
        let asked = |name: &str, seeds| {
            Some(Asked { recipes: vec![name.to_owned()], seeds, published: false, may_replace: Vec::new() })
        };
        assert!(edited(&|r| r.asked = asked("../mlp", 1)).contains("no recipe can be called \"../mlp\""));
        assert!(edited(&|r| r.asked = asked("mlp", u64::MAX)).contains("expected at most 1000"));
        assert!(edited(&|r| r.recipes[0].trials[0].test = None).contains("has no metrics"));
        let metrics = |edit: &dyn Fn(&mut Metrics)| edited(&|r| edit(r.recipes[0].trials[0].test.as_mut().unwrap()));
        assert!(metrics(&|m| m.accuracy = 0.9).contains("do not follow from its confusion matrix"));
        assert!(metrics(&|m| m.confusion[0][0] = u64::MAX).contains("do not follow"));
        assert!(metrics(&|m| m.confusion.clear()).contains("do not follow"));
        for text in ["", "{", "[]", "{\"schema\": 1}", "{\"schema\": \"one\"}"] {
            write(text);
            assert!(refusal(&folder).contains("is not as a run writes it: "), "{text}");
        }
        fs::remove_file(&results).unwrap();
        assert!(refusal(&folder).ends_with("is not a run folder, it holds no results.json"));
        fs::create_dir(&results).unwrap();
        assert!(refusal(&folder).contains("cannot read the file: it is not a regular file"));
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read_as_one_of_today() {
        let (folder, mut record) = folder("finished-old");
        // Nothing is predicted as class 1, so its precision is no number; and the loss is beyond all bounds.
        let trial = &mut record.recipes[0].trials[0];
        trial.test = Some(Metrics::new(&[0, 1, 1], &[0, 0, 0], 2, 0.5));
        trial.epochs = vec![crate::record::EpochRecord {
            epoch: 1,
            train_loss: Some(25e6),
            valid_loss: Some(1e6),
            valid_accuracy: Some(0.3),
            train_time_s: 1.0,
            evaluation_time_s: 0.1,
        }];
        trial.far_above_chance = true;
        fs::remove_dir_all(folder.path().join("trials")).unwrap();
        let mut old = serde_json::to_value(&record).unwrap();
        let of_trial = &mut old["recipes"][0]["trials"][0];
        of_trial.as_object_mut().unwrap().remove("far_above_chance");
        assert!(of_trial["test"]["per_class"][1]["precision"].is_null());
        of_trial["test"]["per_class"][1]["precision"] = 0.0.into();
        let figure = serde_json::json!({ "mean": 0.0, "sd": null, "seeds": null, "new": null });
        let class = serde_json::json!({ "precision": figure, "recall": figure, "f1": figure });
        let statistics = serde_json::json!({
            "recipe": "mlp", "seeds": [1], "diverged": [], "accuracy": figure, "accuracy_by_seed": [0.5],
            "balanced_accuracy": figure, "valid_accuracy": figure, "per_class": [class], "time": null, "target": null,
        });
        let one_seed = serde_json::json!({ "only_first": 9, "only_second": 0, "p": 0.004, "p_holm": 0.004 });
        let pair = serde_json::json!({
            "first": "mlp", "second": "other", "difference": 0.1, "these_images": null, "new_images": null,
            "one_seed": one_seed, "first_beats_second": 1.0, "equivalence": null,
            "verdict": "better_on_these_images_only", "better": "mlp", "more_seeds": null, "more_images": 30,
        });
        old["comparison"]["recipes"] = serde_json::json!([statistics]);
        old["comparison"]["pairs"] = serde_json::json!([pair]);
        fs::write(folder.path().join(RESULTS), old.to_string()).unwrap();

        let mut read = FinishedStudy::read(folder.path()).unwrap();
        assert_eq!(read.record.recipes, record.recipes);
        read.complete();
        let class = read.record.comparison.recipes[0].per_class[1];
        assert_eq!((class.precision, class.recall.map(|recall| recall.mean)), (None, Some(0.0)));
        assert!(read.record.comparison.pairs.is_empty(), "verdicts are found again");
    }

    #[test]
    fn edited_predictions_are_refused() {
        let (folder, _) = folder("finished-edited");
        let file = folder.path().join("trials/mlp/seed-1").join(PREDICTIONS);
        let message = |text: &str| {
            fs::write(&file, text).unwrap();
            refusal(&folder)
        };
        assert!(message(&CSV.replace("1,1,0", "1,1,1")).contains("does not give the confusion matrix"));
        assert!(message(&CSV.replace("0.6", "NaN")).contains("out of range"));
        assert!(message(&CSV.replace("1,1,0", "1,1,200")).contains("out of range"));
        assert!(message(&CSV[..CSV.len() - 8]).contains("does not give the confusion matrix"));
        assert!(message(&CSV[..CSV.len() - 2]).contains("is cut short or was edited; remove "));
        assert!(message("").contains("seed-1/result.json to run the trial again"));
    }
}
