//! A run folder that is only read: its record and predictions, without training and without its lock.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tenfold_nn::data::test_writers;
use thiserror::Error;

use crate::comparison::{self, Comparison, RecipeTrials, TestImages};
use crate::folder::regular;
use crate::metrics::Metrics;
use crate::record::{RecipeRecord, SCHEMA, Status, StudyRecord, TrialRecord};
use crate::spec::is_name;
use crate::trial::{PREDICTIONS, Prediction, RESULT, parse_predictions, seed_folder};

const RESULTS: &str = "results.json";

/// The most bytes of `results.json`: a trial takes some 30 KiB.
const MAX_RESULTS_BYTES: u64 = 256 << 20;
/// The most bytes of a `predictions.csv`: an image takes some 20.
const MAX_PREDICTIONS_BYTES: u64 = 256 << 20;

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
    pub fn read(path: &Path) -> Result<FinishedStudy, FinishedStudyError> {
        let file = path.join(RESULTS);
        let Some(bytes) = read(&file, MAX_RESULTS_BYTES)? else {
            return Err(FinishedStudyError::NotARunFolder { path: path.to_owned() });
        };
        let damaged = |fault: String| FinishedStudyError::Damaged { path: file.clone(), fault };
        // The form first: a record of another form may lack what this one has.
        #[derive(Deserialize)]
        struct Form {
            schema: u64,
        }
        let Form { schema } = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if schema != u64::from(SCHEMA) {
            return Err(FinishedStudyError::Schema { path: file, found: schema });
        }
        let record: StudyRecord = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        check(&record).map_err(damaged)?;

        let mut labels: Option<Vec<u8>> = None;
        let mut predictions = Vec::new();
        for recipe in &record.recipes {
            let mut by_seed = BTreeMap::new();
            for trial in recipe.trials.iter().filter(|trial| trial.status == Status::Finished) {
                let folder = path.join(seed_folder(&recipe.name, trial.seed));
                let file = folder.join(PREDICTIONS);
                let Some(bytes) = read(&file, MAX_PREDICTIONS_BYTES)? else { continue };
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
            writers: test_writers(&record.dataset.sha256).filter(|writers| writers.len() == record.dataset.test),
            labels: labels.unwrap_or_default(),
            classes: record.dataset.classes,
        };
        Ok(FinishedStudy { path: path.to_owned(), record, predictions, images })
    }

    /// The recipes with what their trials say, each under the name that `name` gives it.
    pub fn recipes(&self, name: impl Fn(&RecipeRecord) -> String) -> Vec<RecipeTrials<'_>> {
        let recipes = self.record.recipes.iter().zip(&self.predictions);
        let trials = recipes.map(|(record, predictions)| RecipeTrials {
            name: name(record),
            record,
            environment: &self.record.environment,
            predictions: predictions.clone(),
        });
        trials.collect()
    }

    /// What the trials say together; a difference in accuracy of up to `margin` is called none.
    pub fn comparison(&self, margin: f64) -> Comparison {
        comparison::compare(&self.recipes(|recipe| recipe.name.clone()), &self.images, margin)
    }
}

/// The contents of a file; none if it is not there.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FinishedStudyError> {
    let mut bytes = Vec::new();
    let result = regular(path).and_then(|()| File::open(path)?.take(limit + 1).read_to_end(&mut bytes));
    match result {
        Ok(_) if bytes.len() as u64 > limit => Err(FinishedStudyError::TooLarge { path: path.to_owned(), limit }),
        Ok(_) => Ok(Some(bytes)),
        Err(reason) if matches!(reason.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(reason) => Err(FinishedStudyError::Io { path: path.to_owned(), reason }),
    }
}

/// That the parts of a record agree, so that whoever computes with it can rely on its shapes.
fn check(record: &StudyRecord) -> Result<(), String> {
    let dataset = &record.dataset;
    if !(2..=256).contains(&dataset.classes) {
        return Err(format!("it has {} classes, expected 2 to 256", dataset.classes));
    }
    for (n, recipe) in record.recipes.iter().enumerate() {
        let name = &recipe.name;
        if !is_name(name) {
            return Err(format!("no recipe can be called {name:?}"));
        }
        if record.recipes[..n].iter().any(|other| other.name == *name) {
            return Err(format!("it has two recipes {name:?}"));
        }
        for (n, trial) in recipe.trials.iter().enumerate() {
            let at = |fault: &str| format!("recipe {name:?}, seed {}: {fault}", trial.seed);
            if recipe.trials[..n].iter().any(|other| other.seed == trial.seed) {
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
        }
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
fn matching(bytes: &[u8], trial: &TrialRecord, labels: &mut Option<Vec<u8>>) -> Result<Vec<Prediction>, String> {
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
    let found: Vec<u8> = said.iter().map(|p| p.label).collect();
    if *labels.get_or_insert_with(|| found.clone()) != found {
        return Err("has other labels than those of the other trials".to_owned());
    }
    Ok(said)
}
