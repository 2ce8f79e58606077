//! Run folders of one study that were made on machines that share nothing, as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::comparison::Comparison;
use crate::finished::FinishedStudy;
use crate::folder::{FolderError, MOST_BYTES, RunFolder, bounded};
use crate::identity::{Difference, TrialSettings, sha256};
use crate::ledger::Ledger;
use crate::record::{RESULTS, RecipeRecord, Status, StudyRecord, TrialRecord};
use crate::spec::{Study, StudyFileError};
use crate::status::ungathered;
use crate::test_images::TEST_IMAGES;
use crate::trial::{EPOCHS, Ended, FILTERS, PREDICTIONS, RESULT, WEIGHTS, place, seed_folder};

/// The most bytes of weights.
const MOST_WEIGHTS: u64 = 4 << 30;

/// Why folders cannot be made one.
#[derive(Debug, Error)]
pub enum MergeError {
    /// They are not of one study.
    #[error("{} and {} do not belong together:\n  {}", .first.display(), .second.display(), .lines.join("\n  "))]
    Different {
        /// A folder.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// In what they differ.
        lines: Vec<String>,
    },
    /// One training gave different networks.
    #[error(
        "{} and {} are the same training by settings, seed, data and training code, and ended differently; nothing was \
         merged", .first.display(), .second.display()
    )]
    Parted {
        /// The trial's folder in one.
        first: PathBuf,
        /// And in another.
        second: PathBuf,
    },
    /// A file is not as its trial wrote it.
    #[error("{}: {fault}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A folder has trainings that its record lacks.
    #[error(
        "{}: its record lacks {} that workers have finished, such as {}; gather first: tenfold work {} --gather",
        .path.display(), if *.count == 1 { "a training".to_owned() } else { format!("{count} trainings") }, .first,
        .path.display()
    )]
    Ungathered {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The first of them, within the folder.
        first: String,
    },
    /// The folder to write to has a record.
    #[error("{}: holds a run already; choose another folder with --out", .path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The study of a folder cannot be read.
    #[error(transparent)]
    Study(#[from] StudyFileError),
}

/// A trial, and the folder that it is taken from.
type Taken<'a> = BTreeMap<(&'a str, u64), (&'a Path, &'a TrialRecord)>;

/// Folders that belong together, and which of their trials are taken.
pub struct Merge<'a> {
    folders: &'a [FinishedStudy],
    taken: Taken<'a>,
    study: Study,
}

impl<'a> Merge<'a> {
    /// Holds the records of `folders` against each other. There is at least one.
    ///
    /// # Errors
    /// If the folders are of different studies, data, settings or training code; if a trial that two of them have ended
    /// differently; or if one has trials that its record lacks.
    pub fn new(folders: &'a [FinishedStudy]) -> Result<Merge<'a>, MergeError> {
        for (n, other) in folders.iter().enumerate() {
            for before in &folders[..n] {
                let lines = differences(before, other);
                if !lines.is_empty() {
                    return Err(MergeError::Different {
                        first: before.path.clone(),
                        second: other.path.clone(),
                        lines,
                    });
                }
            }
        }
        for of in folders {
            let left = ungathered(&of.path, &of.record);
            if let Some(first) = left.first() {
                return Err(MergeError::Ungathered { path: of.path.clone(), count: left.len(), first: first.clone() });
            }
        }
        let mut taken = Taken::new();
        for of in folders {
            for trial in of.record.recipes.iter().flat_map(|recipe| &recipe.trials) {
                let key = (trial.recipe.as_str(), trial.seed);
                let replaces = match taken.get(&key) {
                    None => true,
                    Some((path, before)) => better(path, before, &of.path, trial)?,
                };
                if replaces {
                    taken.insert(key, (&of.path, trial));
                }
            }
        }
        Ok(Merge { folders, taken, study: study(folders)? })
    }

    /// Writes the trials to `out`, which has no record; looks at the test images are added up. What the trials say together is
    /// still to be computed.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is not as a trial wrote it.
    pub fn write(&self, out: &RunFolder) -> Result<StudyRecord, MergeError> {
        if out.has(RESULTS) {
            return Err(MergeError::Taken { path: out.path().to_owned() });
        }
        let Merge { folders, taken, study } = self;
        let first = &folders[0];
        out.write("study.toml", study.to_toml().as_bytes())?;
        if let Some(bytes) = read(&first.path.join(TEST_IMAGES), MOST_BYTES)? {
            out.write(TEST_IMAGES, &bytes)?;
        }
        for (path, trial) in taken.values().filter(|(_, trial)| trial.status != Status::Interrupted) {
            copy(path, trial, out)?;
        }
        let mut record = first.record.clone();
        (record.recipes, record.taken_in) = (Vec::new(), Vec::new());
        for recipe in &study.recipes {
            let same = || folders.iter().flat_map(|of| &of.record.recipes).filter(|other| other.name == recipe.name);
            let Some(of) = same().next() else { continue };
            let trials = taken
                .iter()
                .filter(|((name, _), (_, trial))| *name == recipe.name && trial.status != Status::Interrupted);
            let trials = trials.map(|(_, (_, trial))| (*trial).clone()).collect();
            let mut merged = RecipeRecord { trials, ensemble: None, test_time_augmentation: None, ..of.clone() };
            // All seeds as one: as a folder has measured just these.
            merged.ensemble =
                same().filter_map(|other| other.ensemble.as_ref()).find_map(|ensemble| ensemble.kept_for(&merged));
            merged.test_time_augmentation =
                same().filter_map(|other| other.test_time_augmentation.clone()).find(|views| views.is_of(&merged));
            record.recipes.push(merged);
        }
        record.recipes.retain(|recipe| !recipe.trials.is_empty());
        if let Some(asked) = &mut record.asked {
            // There is nothing here that anybody could have meant.
            asked.may_replace.clear();
            for other in folders.iter().filter_map(|of| of.record.asked.as_ref()) {
                asked.seeds = asked.seeds.max(other.seeds);
                let new =
                    other.recipes.iter().filter(|name| !asked.recipes.contains(name)).cloned().collect::<Vec<_>>();
                asked.recipes.extend(new);
            }
        }
        record.test_readings = Ledger::of(folders.iter().map(|of| &of.record)).readings().to_vec();
        let Comparison { chosen_by, margin, .. } = record.comparison;
        record.comparison = Comparison { chosen_by, margin, ..Comparison::default() };
        record.summarize();
        out.write(RESULTS, record.to_json().as_bytes())?;
        Ok(record)
    }
}

/// In what two folders are not of one study.
fn differences(one: &FinishedStudy, other: &FinishedStudy) -> Vec<String> {
    let (a, b) = (&one.record, &other.record);
    let mut lines = Vec::new();
    let mut compare = |what: &str, one: String, other: String| {
        if one != other {
            lines.push(format!("{what}: {one} and {other}"));
        }
    };
    compare("study", a.study.clone(), b.study.clone());
    let (x, y) = (&a.dataset, &b.dataset);
    compare("SHA-256 of the data", x.sha256.clone(), y.sha256.clone());
    compare("SHA-256 of the validation split", x.split_sha256.clone(), y.split_sha256.clone());
    compare("shape of the images", format!("{:?}", x.shape), format!("{:?}", y.shape));
    compare("classes", x.class_names.join(", "), y.class_names.join(", "));
    let sizes = |d: &crate::record::DatasetRecord| format!("{} + {} + {}", d.train, d.valid, d.test);
    compare("training, validation and test images", sizes(x), sizes(y));
    for recipe in &a.recipes {
        let Some(same) = b.recipes.iter().find(|other| other.name == recipe.name) else { continue };
        for Difference { setting, before, now } in recipe_differences(a, recipe, b, same) {
            lines.push(format!("recipe {}: {setting}: {before} and {now}", recipe.name));
        }
    }
    lines
}

fn recipe_differences(
    a: &StudyRecord,
    recipe: &RecipeRecord,
    b: &StudyRecord,
    other: &RecipeRecord,
) -> Vec<Difference> {
    let settings = |record: &StudyRecord, recipe: &RecipeRecord| {
        let architecture = recipe.architecture(&record.dataset).ok()?;
        let config = recipe.settings.clone().with_seed(0);
        let mut settings = TrialSettings::new(&architecture, &config, &record.dataset);
        // Data is told of above.
        (settings.data, settings.split) = (String::new(), String::new());
        let trained = recipe.trials.iter().find_map(|trial| trial.settings.as_ref());
        settings.training = trained.map_or(settings.training, |trained| trained.training);
        Some(settings)
    };
    match (settings(a, recipe), settings(b, other)) {
        (Some(one), Some(other)) => one.differences(&other),
        _ => Vec::new(),
    }
}

/// Whether `trial` is to be taken instead of `before`.
fn better(path: &Path, before: &TrialRecord, other: &Path, trial: &TrialRecord) -> Result<bool, MergeError> {
    if trial.status == Status::Interrupted || before.status == Status::Interrupted {
        return Ok(before.status == Status::Interrupted);
    }
    let same = before.identity == trial.identity
        && before.stopped == trial.stopped
        && before.weights_sha256 == trial.weights_sha256;
    if !same {
        let at = |path: &Path, trial: &TrialRecord| path.join(seed_folder(&trial.recipe, trial.seed));
        return Err(MergeError::Parted { first: at(path, before), second: at(other, trial) });
    }
    // Of equals the one whose time can be compared, else the first.
    Ok(before.timing.busy && !trial.timing.busy)
}

/// The study of the first folder, with recipes as the folder has them that has run them.
fn study(folders: &[FinishedStudy]) -> Result<Study, MergeError> {
    let mut study = Study::read(&folders[0].path.join("study.toml"))?;
    for of in folders {
        for recipe in Study::read(&of.path.join("study.toml"))?.recipes {
            let run = of.record.recipes.iter().any(|other| other.name == recipe.name);
            match study.recipes.iter_mut().find(|other| other.name == recipe.name) {
                Some(before) if run => *before = recipe,
                Some(_) => {}
                None => study.recipes.push(recipe),
            }
        }
    }
    Ok(study)
}

fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, MergeError> {
    match bounded(path, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(FolderError::Io { path: path.to_owned(), operation: "read the file", reason }.into()),
    }
}

/// Copies a trial, its record last.
fn copy(path: &Path, trial: &TrialRecord, out: &RunFolder) -> Result<(), MergeError> {
    let from = path.join(place(path, &trial.recipe, trial.seed, &trial.identity));
    let at = seed_folder(&trial.recipe, trial.seed);
    let io = |reason| FolderError::Io { path: from.join(RESULT), operation: "read the file", reason };
    let own = Ended::read(&from).map_err(io)?;
    if own.is_some_and(|own| (&own.identity, own.status) != (&trial.identity, trial.status)) {
        let fault = format!("is the record of another training than the one in {RESULTS}");
        return Err(MergeError::Changed { path: from.join(RESULT), fault });
    }
    let files: &[&str] = match trial.status {
        Status::Finished => &[WEIGHTS, PREDICTIONS, FILTERS, EPOCHS, RESULT],
        Status::Diverged | Status::Interrupted => &[EPOCHS, RESULT],
    };
    for &name in files {
        let file = from.join(name);
        let bytes = read(&file, if name == WEIGHTS { MOST_WEIGHTS } else { MOST_BYTES })?;
        let changed = |fault: &str| MergeError::Changed { path: file.clone(), fault: fault.to_owned() };
        let expected = match name {
            WEIGHTS => trial.weights_sha256.as_deref(),
            FILTERS => trial.filters_sha256.as_deref(),
            _ => None,
        };
        match bytes {
            None if name == RESULT || expected.is_some() => return Err(changed("is missing")),
            None => {}
            Some(bytes) if expected.is_some_and(|expected| expected != sha256(&bytes)) => {
                return Err(changed("is not the file that the training wrote"));
            }
            Some(bytes) => out.write(format!("{at}/{name}"), &bytes)?,
        }
    }
    Ok(())
}
