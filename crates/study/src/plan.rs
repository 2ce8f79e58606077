//! A study on certain data, with every shape and every number checked before any work.

use std::collections::{BTreeMap, BTreeSet};

use tenfold_nn::Precision;
use tenfold_nn::data::Splits;
use tenfold_nn::data::words::{counted, listed};
use tenfold_nn::model::{Architecture, ArchitectureError};
use tenfold_nn::nearest;
use tenfold_nn::train::{SingleValue, check_smallest_batch, memory_bytes};
use thiserror::Error;

use crate::changes::Earlier;
use crate::comparison::{ChosenBy, Comparison};
use crate::ensemble::Afterwards;
use crate::folder::{FolderError, RunFolder};
use crate::identity::TrialSettings;
use crate::published::{self, PublishedRun};
use crate::record::{
    Asked, DataPlace, DatasetRecord, Environment, RESULTS, Reading, RecipeRecord, SCHEMA, Status, StudyRecord,
    TestReading, TrialRecord, ViewsRecord,
};
use crate::spec::{Recipe, Study};
use crate::trial;

/// What a person chooses besides the study.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Each recipe is trained from the seeds 1 to this; at least 1.
    pub seeds: u64,
    /// Names of the recipes to run; all if empty.
    pub only: Vec<String>,
    /// Replaces the number of epochs of those recipes.
    pub epochs: Option<usize>,
    /// Replaces the precision of those recipes.
    pub precision: Option<Precision>,
    /// What computes, and how many threads.
    pub environment: Environment,
    /// Bytes of memory that are free, if that is known.
    pub free_memory_bytes: Option<u64>,
    /// Whether the study is the built-in `digits`, so that on MNIST published figures stand beside ours.
    pub published: bool,
    /// Where the images were read from; none where they are those inside the program.
    pub place: Option<DataPlace>,
    /// How they were understood and divided, where they are no [`Source`](tenfold_nn::data::Source).
    pub reading: Option<Reading>,
    /// Whether finished trials of other settings may be replaced.
    pub replace: Replace,
    /// What the pick is chosen by.
    pub chosen_by: ChosenBy,
    /// The difference in test accuracy, from 0 to 1, that is called none.
    pub margin: f64,
}

/// Which trials may take the place of finished ones of other settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Replace {
    /// None.
    Nothing,
    /// All that are planned.
    Any,
    /// Those of these identities: what an earlier plan was allowed to.
    By(BTreeSet<String>),
}

/// A study on certain data, checked.
#[derive(Clone, Debug)]
pub struct PlannedStudy {
    /// With the choices of [`Settings`] put in.
    pub(crate) study: Study,
    /// One per recipe.
    pub(crate) architectures: Vec<Architecture>,
    /// Indices of the recipes to run, in the order of the study.
    pub(crate) selected: Vec<usize>,
    /// The first and the last seed.
    pub(crate) first_seed: u64,
    pub(crate) seeds: u64,
    pub(crate) environment: Environment,
    pub(crate) dataset: DatasetRecord,
    /// Identities of those of its trials that may take the place of finished ones of other settings.
    pub(crate) may_replace: BTreeSet<String>,
    pub(crate) chosen_by: ChosenBy,
    pub(crate) margin: f64,
    /// Whether others are trained beside it in the same process.
    pub(crate) beside_others: bool,
    published: Vec<PublishedRun>,
}

/// Why a study cannot be run as it was asked for.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The study has no such recipe.
    #[error("the study {study:?} has no recipe {name:?}")]
    UnknownRecipe {
        /// The study's name.
        study: String,
        /// What was asked for.
        name: String,
        /// What may have been meant, or what there is.
        hint: String,
    },
    /// The layers do not fit the images, or each other.
    #[error("recipe {recipe:?}: {error}")]
    Architecture {
        /// The recipe's name.
        recipe: String,
        /// What does not fit.
        error: Box<ArchitectureError>,
    },
    /// The data has other classes than the study says.
    #[error("the study says {said}, and the data has {}: {}", counted(.names.len(), "class", "classes"), listed(.names, 10))]
    Classes {
        /// What it says.
        said: String,
        /// The classes of the data.
        names: Vec<String>,
    },
    /// A step takes more examples than there are.
    #[error("recipe {recipe:?}: batch_size is {batch_size}, expected 1 to {examples}, the number of training examples")]
    BatchSize {
        /// The recipe's name.
        recipe: String,
        /// What was asked for.
        batch_size: usize,
        /// What there is.
        examples: usize,
    },
    /// A batch norm would have to normalise a single value.
    #[error("recipe {recipe:?}: {error}")]
    SingleValue {
        /// The recipe's name.
        recipe: String,
        /// Which, in which step, and what to do.
        error: SingleValue,
    },
    /// The network and a step of it do not fit into memory.
    #[error(
        "recipe {recipe:?}: a step of {batch_size} examples needs more than {:.1} GiB of memory, and {:.1} GiB are free",
        gib(.needed_bytes), gib(.free_bytes)
    )]
    Memory {
        /// The recipe's name.
        recipe: String,
        /// What was asked for.
        batch_size: usize,
        /// The least that it takes.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
}

/// An error if the study says of the classes what is not so.
fn check_classes(study: &Study, names: &[String]) -> Result<(), PlanError> {
    let error = |said: String| Err(PlanError::Classes { said, names: names.to_vec() });
    if let Some(classes) = study.data.classes.filter(|&classes| classes != names.len()) {
        return error(format!("classes = {classes}"));
    }
    match study.data.first_label {
        Some(first) if names.first() != Some(&first.to_string()) => error(format!("first_label = {first}")),
        _ => Ok(()),
    }
}

fn gib(bytes: &u64) -> f64 {
    *bytes as f64 / f64::from(1 << 30)
}

impl PlanError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            PlanError::UnknownRecipe { hint, .. } => Some(hint),
            PlanError::Architecture { error, .. } if matches!(**error, ArchitectureError::Output { .. }) => {
                Some("write \"linear classes\" as the last layer: it has an output for each class of the data")
            }
            PlanError::Classes { .. } => {
                Some("change or leave out the line under [data], or bring the data that it means")
            }
            PlanError::BatchSize { .. } => Some("set a smaller batch_size in a study file"),
            _ => None,
        }
    }
}

/// How a trial stands before a run.
#[derive(Clone, PartialEq, Debug)]
pub enum TrialState {
    /// It was run before and is kept as it is.
    Kept(Box<TrialRecord>),
    /// It is to be run.
    New,
    /// It was begun before, and goes on from its last checkpoint or, where there is none, from the start.
    Interrupted,
    /// It was run before, but with other settings, data or training code; it is run again, and replaced where the new
    /// one finishes.
    Changed(Earlier),
    /// It was run before, but its files are not whole; it is run again and replaced.
    Damaged,
}

impl Study {
    /// Indices of the recipes that `names` name, in the order of the study; of all recipes if there are no names.
    ///
    /// # Errors
    /// If there is no recipe of one of these names; the error suggests one.
    pub fn select(&self, names: &[String]) -> Result<Vec<usize>, PlanError> {
        for name in names {
            if !self.recipes.iter().any(|recipe| recipe.name == *name) {
                let known = || self.recipes.iter().map(|recipe| recipe.name.as_str());
                let hint = match nearest(name, known()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("its recipes are {}", known().collect::<Vec<_>>().join(", ")),
                };
                return Err(PlanError::UnknownRecipe { study: self.name.clone(), name: name.clone(), hint });
            }
        }
        let all = 0..self.recipes.len();
        Ok(all.filter(|&n| names.is_empty() || names.contains(&self.recipes[n].name)).collect())
    }
}

impl PlannedStudy {
    /// Checks everything that can be wrong with `study` on this data.
    ///
    /// # Errors
    /// If `settings.only` names no recipe, a network does not fit the images, a batch is larger than the training set,
    /// or a training would take more memory than is free.
    pub fn new(mut study: Study, splits: &Splits, settings: Settings) -> Result<PlannedStudy, PlanError> {
        let selected = study.select(&settings.only)?;
        for &recipe in &selected {
            let recipe = &mut study.recipes[recipe].settings;
            recipe.epochs = settings.epochs.unwrap_or(recipe.epochs);
            recipe.precision = settings.precision.unwrap_or(recipe.precision);
        }
        let (shape, classes) = (splits.train.shape(), splits.train.classes());
        check_classes(&study, &splits.class_names)?;
        study.set_classes(classes);
        let mut architectures = Vec::new();
        for (index, recipe) in study.recipes.iter().enumerate() {
            let architecture = recipe.architecture(shape, classes);
            let name = || recipe.name.clone();
            let architecture =
                architecture.map_err(|error| PlanError::Architecture { recipe: name(), error: Box::new(error) })?;
            let (batch_size, examples) = (recipe.settings.batch_size, splits.train.len());
            let runs = selected.contains(&index);
            if runs && batch_size > examples {
                return Err(PlanError::BatchSize { recipe: name(), batch_size, examples });
            }
            if runs && let Err(error) = check_smallest_batch(&architecture, batch_size, examples) {
                return Err(PlanError::SingleValue { recipe: name(), error });
            }
            let needed_bytes = memory_bytes(&architecture, &recipe.settings, batch_size, settings.environment.threads);
            if let Some(free_bytes) = settings.free_memory_bytes.filter(|&free| runs && needed_bytes > free) {
                return Err(PlanError::Memory { recipe: name(), batch_size, needed_bytes, free_bytes });
            }
            architectures.push(architecture);
        }
        let dataset = DatasetRecord {
            name: splits.name.clone(),
            train: splits.train.len(),
            valid: splits.valid.len(),
            test: splits.test.len(),
            shape: [shape.channels, shape.height, shape.width],
            classes,
            sha256: splits.source_sha256.clone(),
            split_seed: study.data.split_seed,
            split_sha256: splits.split_sha256.clone(),
            place: settings.place,
            first_label: 0,
            class_names: splits.class_names.clone(),
            reading: settings.reading,
            notes: splits.notes.clone(),
            warnings: splits.warnings(),
        };
        let published = if settings.published && splits.is_mnist { published::digits() } else { Vec::new() };
        let Settings { seeds, environment, replace, chosen_by, margin, .. } = settings;
        let mut plan = PlannedStudy {
            study,
            architectures,
            selected,
            first_seed: 1,
            seeds,
            environment,
            dataset,
            may_replace: BTreeSet::new(),
            chosen_by,
            margin,
            beside_others: false,
            published,
        };
        if replace != Replace::Nothing {
            let planned = plan.trials().map(|(recipe, seed)| plan.settings(recipe, seed).identity());
            plan.may_replace = match replace {
                Replace::By(before) => planned.filter(|identity| before.contains(identity)).collect(),
                _ => planned.collect(),
            };
        }
        Ok(plan)
    }

    /// The study, as it is run.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// The recipe of this index, and its network.
    pub fn recipe(&self, index: usize) -> (&Recipe, &Architecture) {
        (&self.study.recipes[index], &self.architectures[index])
    }

    /// Steps of an epoch of the recipe of this index.
    pub fn steps(&self, index: usize) -> usize {
        self.dataset.train.div_ceil(self.study.recipes[index].settings.batch_size)
    }

    /// Indices of the recipes that were asked for, in the order of the study.
    pub fn selected(&self) -> &[usize] {
        &self.selected
    }

    /// What is learned from.
    pub fn dataset(&self) -> &DatasetRecord {
        &self.dataset
    }

    /// What computes.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// From how many seeds each of them is trained.
    pub fn seeds(&self) -> u64 {
        self.seeds
    }

    /// What the pick is chosen by.
    pub fn chosen_by(&self) -> ChosenBy {
        self.chosen_by
    }

    /// Whether the trial of this recipe and seed was asked for.
    pub fn includes(&self, recipe: &str, seed: u64) -> bool {
        let selected = self.selected.iter().any(|&index| self.study.recipes[index].name == recipe);
        selected && (self.first_seed..=self.seeds).contains(&seed)
    }

    /// The trials to run, as (index of the recipe, seed): each seed of every recipe before the next seed of any.
    pub(crate) fn trials(&self) -> impl Iterator<Item = (usize, u64)> {
        (self.first_seed..=self.seeds).flat_map(|seed| self.selected.iter().map(move |&recipe| (recipe, seed)))
    }

    /// The plan of one of its trials alone, in a folder of its own where all else may be replaced.
    pub(crate) fn of_trial(&self, recipe: usize, seed: u64, beside_others: bool) -> PlannedStudy {
        let chosen_by = ChosenBy::Validation;
        let (selected, first_seed, seeds) = (vec![recipe], seed, seed);
        let may_replace = BTreeSet::from([self.settings(recipe, seed).identity()]);
        let mut plan =
            PlannedStudy { selected, first_seed, seeds, may_replace, chosen_by, beside_others, ..self.clone() };
        // Measured of all trials together, by who gathers them.
        plan.study.recipes.iter_mut().for_each(|recipe| recipe.views = None);
        plan
    }

    /// What determines the bits of a trial.
    pub(crate) fn settings(&self, recipe: usize, seed: u64) -> TrialSettings {
        TrialSettings::new(&self.architectures[recipe], &self.study.recipes[recipe].config(seed), &self.dataset)
    }

    /// Whether a trial may take the place of a finished one of other settings.
    pub(crate) fn may_replace(&self, recipe: usize, seed: u64) -> bool {
        !self.may_replace.is_empty() && self.may_replace.contains(&self.settings(recipe, seed).identity())
    }

    /// All trials in the folder: those that fit this plan, and those that do not, with how they stand.
    pub(crate) fn on_disk(&self, folder: &RunFolder) -> Result<OnDisk, FolderError> {
        let mut found = OnDisk { records: BTreeMap::new(), others: BTreeMap::new(), data: None };
        // Only for trials of versions that did not keep their settings with them.
        let mut results: Option<Option<StudyRecord>> = None;
        for (index, recipe) in self.study.recipes.iter().enumerate() {
            for seed in trial::seeds_on_disk(folder, &recipe.name)? {
                let now = self.settings(index, seed);
                match trial::read(folder, &recipe.name, seed, &now.identity())? {
                    trial::Found::Whole(record) => drop(found.records.insert((index, seed), *record)),
                    trial::Found::Damaged => drop(found.others.insert((index, seed), TrialState::Damaged)),
                    trial::Found::Changed { identity, finished, settings } => {
                        let results = results.get_or_insert_with(|| results_of(folder));
                        let of_results = || {
                            let record = results.as_ref()?;
                            let recipe = record.recipes.iter().find(|other| other.name == recipe.name)?;
                            TrialSettings::of_record(recipe, &record.dataset, seed, identity.as_deref()?)
                        };
                        let before = settings.map(|settings| *settings).or_else(of_results);
                        if let (Some(before), Some(record)) = (&before, &results)
                            && before.data != now.data
                            && before.data == record.dataset.sha256
                        {
                            found.data = Some(record.dataset.clone());
                        }
                        let differences = before.map_or(Vec::new(), |before| before.differences(&now));
                        let earlier = Earlier { finished, differences };
                        found.others.insert((index, seed), TrialState::Changed(earlier));
                    }
                    trial::Found::Nothing => {}
                }
            }
        }
        Ok(found)
    }

    /// The record of these trials, without what takes long to compute; with what was measured `afterwards` of
    /// the same networks.
    pub(crate) fn record(
        &self,
        trials: &BTreeMap<(usize, u64), TrialRecord>,
        test_readings: &[TestReading],
        afterwards: &Afterwards,
    ) -> StudyRecord {
        let recipes = self.study.recipes.iter().enumerate().map(|(index, recipe)| {
            let architecture = &self.architectures[index];
            let trials = trials.range((index, 0)..=(index, u64::MAX)).map(|(_, trial)| trial.clone());
            let mut record = RecipeRecord {
                name: recipe.name.clone(),
                title: recipe.title.clone(),
                layers: architecture.written().to_vec(),
                settings: recipe.settings.clone(),
                parameters: architecture.parameters() as u64,
                macs_forward: architecture.macs_forward(),
                summary: None,
                published: self.published.iter().find(|run| run.name == recipe.name).map(Into::into),
                ensemble: None,
                test_time_augmentation: None,
                trials: trials.collect(),
            };
            let mut of_this = afterwards.ensembles.iter().filter(|(name, _)| *name == record.name);
            record.ensemble = of_this.find_map(|(_, ensemble)| ensemble.kept_for(&record));
            let of_these = |(name, views): &&(String, ViewsRecord)| {
                *name == record.name && recipe.views.as_ref() == Some(&views.views) && views.is_of(&record)
            };
            record.test_time_augmentation = afterwards.views.iter().find(of_these).map(|(_, views)| views.clone());
            record
        });
        let done = |trial| trials.get(&trial).is_some_and(|trial| trial.status != Status::Interrupted);
        let mut record = StudyRecord {
            schema: SCHEMA,
            study: self.study.name.clone(),
            title: self.study.title.clone(),
            dataset: self.dataset.clone(),
            environment: self.environment.clone(),
            asked: Some(Asked {
                recipes: self.selected.iter().map(|&index| self.study.recipes[index].name.clone()).collect(),
                seeds: self.seeds,
                published: !self.published.is_empty(),
                may_replace: if self.trials().all(done) {
                    Vec::new()
                } else {
                    self.may_replace.iter().cloned().collect()
                },
            }),
            recipes: recipes.filter(|recipe| !recipe.trials.is_empty()).collect(),
            test_readings: test_readings.to_vec(),
            taken_in: Vec::new(),
            comparison: Comparison { chosen_by: self.chosen_by, margin: self.margin, ..Comparison::default() },
        };
        record.summarize();
        record
    }
}

/// What a run folder holds.
pub(crate) struct OnDisk {
    /// Trials of this plan, by index of the recipe and seed.
    pub(crate) records: BTreeMap<(usize, u64), TrialRecord>,
    /// Trials that are not of this plan.
    pub(crate) others: BTreeMap<(usize, u64), TrialState>,
    /// The data of those that were trained on other data, as far as it is known.
    pub(crate) data: Option<DatasetRecord>,
}

/// The record in the folder, if it can be read.
fn results_of(folder: &RunFolder) -> Option<StudyRecord> {
    serde_json::from_slice(&folder.read(RESULTS).ok()??).ok()
}

impl OnDisk {
    pub(crate) fn state(&self, trial: (usize, u64)) -> TrialState {
        match self.records.get(&trial) {
            Some(record) if record.status == Status::Interrupted => TrialState::Interrupted,
            Some(record) => TrialState::Kept(Box::new(record.clone())),
            None => self.others.get(&trial).cloned().unwrap_or(TrialState::New),
        }
    }
}
