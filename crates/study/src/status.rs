//! How far a run folder is: what is done, who works on what, and how long the rest will take by what was recorded.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tenfold_nn::data::ImageShape;
use tenfold_nn::model::Architecture;

use crate::finished::{FinishedStudyError, check_asked, record_as};
use crate::folder::running;
use crate::identity::TrialSettings;
use crate::lease;
use crate::record::{Asked, DatasetRecord, RESULTS, Status, StudyRecord};
use crate::spec::{Recipe, Study};
use crate::trial::{Ended, is_done, number, seed_folder};
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

/// Of a study's record, what counts here: most of its bytes say what networks reached.
#[derive(Deserialize)]
struct Listed {
    study: String,
    asked: Option<Asked>,
    dataset: DatasetRecord,
    recipes: Vec<ListedRecipe>,
}

#[derive(Deserialize)]
struct ListedRecipe {
    name: String,
    trials: Vec<Ended>,
}

/// Reads how far the run folder `path` is; nothing is held or written.
///
/// # Errors
/// If `path` is no run folder, or its record cannot be read or says what cannot have been asked for.
pub fn status(path: &Path) -> Result<FolderStatus, FinishedStudyError> {
    let record: Listed = record_as(path)?;
    let asked = record.asked.clone().unwrap_or_else(|| of_trials(&record));
    check_asked(&asked).map_err(|fault| FinishedStudyError::Damaged { path: path.join(RESULTS), fault })?;
    let mut status = FolderStatus {
        study: record.study.clone(),
        running: running(path),
        recipes: Vec::new(),
        working: Vec::new(),
        left_s: Some(0.0),
    };
    // A worker may have gone on with one that a run was stopped in.
    let mut recorded: HashMap<(&str, u64), &Ended> = HashMap::new();
    for recipe in &record.recipes {
        let ended = recipe.trials.iter().filter(|trial| trial.status != Status::Interrupted);
        recorded.extend(ended.map(|trial| ((recipe.name.as_str(), trial.seed), trial)));
    }
    let study = Study::read(&path.join("study.toml")).ok();
    for name in &asked.recipes {
        let planned = study.as_ref().and_then(|study| Planned::of(study, name, &record.dataset));
        let (mut finished, mut diverged, mut left_seeds, mut times) = (0, 0, Vec::new(), Vec::new());
        for seed in 1..=asked.seeds {
            let at = path.join(seed_folder(name, seed));
            let ended = match recorded.get(&(name.as_str(), seed)) {
                // What the record has is of its plan, and need not be read once more.
                Some(trial) => Some((trial.status, trial.time_s())),
                None => planned.as_ref().and_then(|planned| planned.ended(path, seed)),
            };
            match ended.filter(|(status, _)| is_done(&at, *status)) {
                Some((Status::Diverged, _)) => diverged += 1,
                Some((_, time_s)) => {
                    finished += 1;
                    times.push(time_s);
                }
                None => {
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

/// The folders of trials that are in a run folder and not in its record, though they are as planned: workers have put them
/// there, and nobody has gathered them yet. Others were left out of the record, and gathering them changes nothing.
pub fn ungathered(folder: &Path, record: &StudyRecord) -> Vec<String> {
    let Ok(study) = Study::read(&folder.join("study.toml")) else { return Vec::new() };
    let mut found = Vec::new();
    for recipe in &study.recipes {
        let Some(planned) = Planned::of(&study, &recipe.name, &record.dataset) else { continue };
        let recorded = record.recipes.iter().filter(|known| known.name == recipe.name);
        let recorded: BTreeSet<u64> = recorded.flat_map(|known| &known.trials).map(|trial| trial.seed).collect();
        let entries = fs::read_dir(folder.join("trials").join(&recipe.name)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let seeds: BTreeSet<u64> = names.filter_map(|name| number(name.strip_prefix("seed-")?)).collect();
        let left = seeds.difference(&recorded).filter(|&&seed| planned.ended(folder, seed).is_some());
        found.extend(left.map(|&seed| seed_folder(&recipe.name, seed)));
    }
    found
}

/// A recipe as it is planned.
struct Planned<'a> {
    recipe: &'a Recipe,
    architecture: Architecture,
    dataset: &'a DatasetRecord,
}

impl<'a> Planned<'a> {
    fn of(study: &'a Study, name: &str, dataset: &'a DatasetRecord) -> Option<Planned<'a>> {
        let recipe = study.recipes.iter().find(|recipe| recipe.name == name)?;
        let [channels, height, width] = dataset.shape;
        let architecture = recipe.architecture(ImageShape { channels, height, width }, dataset.classes).ok()?;
        Some(Planned { recipe, architecture, dataset })
    }

    /// How the trial of this seed that is planned ended, and the seconds that it took, if the run folder has it.
    fn ended(&self, folder: &Path, seed: u64) -> Option<(Status, f64)> {
        let settings = TrialSettings::new(&self.architecture, &self.recipe.config(seed), self.dataset);
        let (_, ended) = Ended::of(folder, &self.recipe.name, seed, &settings.identity()).ok()??;
        Some((ended.status, ended.time_s()))
    }
}

/// Of a record that does not tell what was asked for: what is in it.
fn of_trials(record: &Listed) -> Asked {
    let trials = record.recipes.iter().flat_map(|recipe| &recipe.trials);
    Asked {
        recipes: record.recipes.iter().map(|recipe| recipe.name.clone()).collect(),
        seeds: trials.map(|trial| trial.seed).max().unwrap_or(0),
        published: false,
        may_replace: Vec::new(),
    }
}

fn working(path: &Path, recipe: &str, seed: u64) -> Option<Working> {
    let lease = lease_path(path, recipe, seed);
    let holder = lease::read(&lease)?.holder;
    let renewed = fs::metadata(&lease).and_then(|file| file.modified()).ok();
    let silent_s = renewed.and_then(|at| SystemTime::now().duration_since(at).ok()).map(|since| since.as_secs_f64());
    Some(Working { recipe: recipe.to_owned(), seed, holder, silent_s })
}
