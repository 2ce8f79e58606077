//! How far a run folder is: what is done, who works on what, and how long the rest will take by what was recorded.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::finished::{FinishedStudy, FinishedStudyError};
use crate::folder::{MOST_BYTES, bounded, running};
use crate::lease;
use crate::record::{Asked, Status, StudyRecord, TrialRecord};
use crate::trial::{RESULT, seed_folder};
use crate::work::lease_path;

/// How far a run folder is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FolderStatus {
    /// The study's name.
    pub study: String,
    /// The process that runs it, where a run holds the folder.
    pub running: Option<String>,
    /// By recipe, in the order of the study.
    pub recipes: Vec<RecipeStatus>,
    /// Trials that workers are at.
    pub working: Vec<Working>,
    /// Seconds of training and evaluation that the trials to come take one after another, by the mean of those of the
    /// same recipe that are done; null where a recipe has none.
    pub left_s: Option<f64>,
}

/// How far a recipe is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RecipeStatus {
    /// Its name.
    pub name: String,
    /// Trials that are done.
    pub finished: usize,
    /// Trials that diverged.
    pub diverged: usize,
    /// Trials to come, those that are being run included.
    pub left: usize,
    /// Seeds of the trials to come.
    pub left_seeds: Vec<u64>,
    /// Mean seconds of training and evaluation of those that are done; null where none is.
    pub mean_s: Option<f64>,
}

/// A trial that somebody works on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Working {
    /// The recipe.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// Machine and process.
    pub holder: String,
    /// Seconds since it gave a sign of life, by the clock of this machine; null where that is not known.
    pub silent_s: Option<f64>,
}

/// Of a trial's record, what counts here.
struct Ended {
    status: Status,
    /// Of training and evaluation.
    time_s: f64,
}

impl Ended {
    fn read(file: &Path) -> Option<Ended> {
        let trial: TrialRecord = serde_json::from_slice(&bounded(file, MOST_BYTES).ok()?).ok()?;
        Some(Ended::from(&trial))
    }
}

impl From<&TrialRecord> for Ended {
    fn from(trial: &TrialRecord) -> Ended {
        let evaluation_s: f64 = trial.epochs.iter().map(|epoch| epoch.evaluation_time_s).sum();
        Ended { status: trial.status, time_s: trial.train_time_s + evaluation_s }
    }
}

/// Reads how far the run folder `path` is; nothing is held or written.
///
/// # Errors
/// As [`FinishedStudy::record`].
pub fn status(path: &Path) -> Result<FolderStatus, FinishedStudyError> {
    let record = FinishedStudy::record(path)?;
    let asked = record.asked.clone().unwrap_or_else(|| of_trials(&record));
    let mut status = FolderStatus {
        study: record.study.clone(),
        running: running(path),
        recipes: Vec::new(),
        working: Vec::new(),
        left_s: Some(0.0),
    };
    let recorded: HashMap<(&str, u64), &TrialRecord> = record
        .recipes
        .iter()
        .flat_map(|recipe| &recipe.trials)
        .map(|trial| ((trial.recipe.as_str(), trial.seed), trial))
        .collect();
    for name in &asked.recipes {
        let (mut finished, mut diverged, mut left_seeds, mut times) = (0, 0, Vec::new(), Vec::new());
        for seed in 1..=asked.seeds {
            let file = path.join(seed_folder(name, seed)).join(RESULT);
            // What the record has need not be read once more, if it is still there.
            let recorded = recorded.get(&(name.as_str(), seed)).filter(|_| file.exists());
            let ended = recorded.map(|&trial| Ended::from(trial)).or_else(|| Ended::read(&file));
            match ended {
                Some(Ended { status: Status::Diverged, .. }) => diverged += 1,
                Some(Ended { status: Status::Finished, time_s }) => {
                    finished += 1;
                    times.push(time_s);
                }
                _ => {
                    left_seeds.push(seed);
                    status.working.extend(working(path, name, seed));
                }
            }
        }
        let mean_s = (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64);
        let left = left_seeds.len();
        if left > 0 {
            status.left_s = status.left_s.zip(mean_s).map(|(sum, mean_s)| sum + left as f64 * mean_s);
        }
        status.recipes.push(RecipeStatus { name: name.clone(), finished, diverged, left, left_seeds, mean_s });
    }
    Ok(status)
}

/// Of a record that does not tell what was asked for: what is in it.
fn of_trials(record: &StudyRecord) -> Asked {
    let trials = record.recipes.iter().flat_map(|recipe| &recipe.trials);
    Asked {
        recipes: record.recipes.iter().map(|recipe| recipe.name.clone()).collect(),
        seeds: trials.map(|trial| trial.seed).max().unwrap_or(0),
        published: false,
    }
}

fn working(path: &Path, recipe: &str, seed: u64) -> Option<Working> {
    let lease = lease_path(path, recipe, seed);
    let holder = lease::read(&lease)?.holder;
    let renewed = fs::metadata(&lease).and_then(|file| file.modified()).ok();
    let silent_s = renewed.and_then(|at| SystemTime::now().duration_since(at).ok()).map(|since| since.as_secs_f64());
    Some(Working { recipe: recipe.to_owned(), seed, holder, silent_s })
}
