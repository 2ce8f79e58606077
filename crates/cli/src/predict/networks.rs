//! The trained networks that a person names.

use std::path::{Path, PathBuf};

use tenfold_data::{Collection, Naming, Options};
use tenfold_nn::data::ImageShape;
use tenfold_nn::interop::model_file::{ModelFileError, Predictions, TrainedModel};
use tenfold_study::record::{RecipeRecord, TrialRecord};
use tenfold_study::{FinishedStudy, nearest, whole};

use crate::failure::{DATA, Failure, USAGE, unread};
use crate::progress;

/// Networks that speak with one voice: the mean of their probabilities.
pub(crate) struct Networks {
    /// At least one; all of the same images and classes.
    networks: Vec<TrainedModel>,
    threads: usize,
}

impl Networks {
    /// The network of a model file, or those of a run folder: `DIR:RECIPE:SEED`, `DIR:RECIPE` with all its seeds, or
    /// `DIR` with its pick.
    pub(crate) fn read(named: &str, threads: usize) -> Result<Networks, Failure> {
        let path = Path::new(named);
        let networks = if path.is_file() { vec![TrainedModel::read(path)?] } else { of_run(named)? };
        let first = &networks[0].about;
        let same = |other: &TrainedModel| {
            let about = &other.about;
            (&about.shape, &about.classes, &about.images) == (&first.shape, &first.classes, &first.images)
        };
        if !networks.iter().all(same) {
            let message = format!("{named}: its trainings are of different images or classes");
            return Err(Failure::new(DATA, message, Some("name one seed: DIR:RECIPE:SEED".to_owned())));
        }
        Ok(Networks { networks, threads })
    }

    pub(crate) fn networks(&self) -> &[TrainedModel] {
        &self.networks
    }

    pub(crate) fn shape(&self) -> ImageShape {
        self.networks[0].shape()
    }

    pub(crate) fn classes(&self) -> &[String] {
        &self.networks[0].about.classes
    }

    /// How images become such as they were trained on.
    pub(crate) fn options(&self) -> Options {
        self.networks[0].about.images.of_others(self.shape())
    }

    /// What identifies the data that they were trained on.
    pub(crate) fn data(&self) -> &str {
        &self.networks[0].about.data
    }

    /// By what groups were told in the paths of pictures that they were trained on.
    pub(crate) fn group(&self) -> Option<&str> {
        self.networks[0].about.group.as_deref()
    }

    /// `cnn2 seed 1`, or `cnn2, the mean of 5 seeds`.
    pub(crate) fn title(&self) -> String {
        let about = &self.networks[0].about;
        match self.networks.len() {
            1 => format!("{} seed {}", about.recipe, about.seed),
            n => format!("{}, the mean of {n} seeds", about.recipe),
        }
    }

    /// Reads images of other places in their shape.
    pub(crate) fn read_images(&self, path: &Path, options: &Options, naming: Naming) -> Result<Collection, Failure> {
        let mut bar = progress::Reading::default();
        let collection = tenfold_data::read_for(path, options, naming, &mut |progress| bar.show(progress))?;
        if collection.shape == self.shape() {
            return Ok(collection);
        }
        let message = format!(
            "{}: its images are {}, and the network was trained on {}",
            path.display(),
            collection.shape,
            self.shape()
        );
        let hint = "bring images like those that it was trained on, grey or in colour as these were";
        Err(Failure::new(DATA, message, Some(hint.to_owned())))
    }

    /// What they say of images of their shape, `[N, C, H, W]`.
    pub(crate) fn predict(&self, pixels: &[u8]) -> Result<Predictions, Failure> {
        let mut said = self.networks[0].predict(pixels, self.threads)?;
        if self.networks.len() == 1 {
            return Ok(said);
        }
        let mut sums: Vec<f64> = said.probabilities.iter().map(|&p| p.into()).collect();
        for network in &self.networks[1..] {
            let more = network.predict(pixels, self.threads)?;
            sums.iter_mut().zip(more.probabilities).for_each(|(sum, p)| *sum += f64::from(p));
        }
        let n = self.networks.len() as f64;
        said.probabilities = sums.into_iter().map(|sum| (sum / n) as f32).collect();
        Ok(said)
    }
}

impl From<ModelFileError> for Failure {
    fn from(error: ModelFileError) -> Failure {
        let (code, hint) = match &error {
            ModelFileError::Io { reason, .. } => (unread(reason), None),
            ModelFileError::About { .. } => {
                (DATA, Some("name the run folder instead, which knows the rest: DIR:RECIPE:SEED".to_owned()))
            }
            _ => (DATA, None),
        };
        Failure::new(code, error.to_string(), hint)
    }
}

/// The networks of a run folder.
fn of_run(named: &str) -> Result<Vec<TrainedModel>, Failure> {
    let (folder, recipe, seed) = parts(named);
    if !folder.is_dir() {
        let message = format!("{named}: there is no such model file or run folder");
        let hint =
            "MODEL is a model.safetensors, or DIR:RECIPE or DIR:RECIPE:SEED of a folder that `tenfold run` wrote";
        return Err(Failure::new(USAGE, message, Some(hint.to_owned())));
    }
    let study = FinishedStudy::read(&folder)?;
    let record = &study.record;
    let trials: Vec<&TrialRecord> = match recipe {
        None => {
            let picked = record.comparison.picked.as_ref().map(|pick| (pick.recipe.clone(), pick.seed));
            let picked = picked.or_else(|| record.pick(|_| true).map(|pick| (pick.recipe, pick.seed)));
            let Some((recipe, seed)) = picked else { return Err(none_finished(&folder, "no training")) };
            let recipes = record.recipes.iter().filter(|other| other.name == recipe);
            recipes.flat_map(RecipeRecord::finished).filter(|trial| trial.seed == seed).collect()
        }
        Some(recipe) => {
            let Some(found) = record.recipes.iter().find(|other| other.name == recipe) else {
                let known: Vec<&str> = record.recipes.iter().map(|other| other.name.as_str()).collect();
                let hint = nearest(&recipe, known.iter().copied())
                    .map_or(format!("there are {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
                let message = format!("{}: has no recipe {recipe:?}", folder.display());
                return Err(Failure::new(USAGE, message, Some(hint)));
            };
            found.finished().filter(|trial| seed.is_none_or(|seed| seed == trial.seed)).collect()
        }
    };
    if trials.is_empty() {
        return Err(none_finished(&folder, "no such training"));
    }
    trials.into_iter().map(|trial| Ok(whole(&folder, record, trial)?)).collect()
}

fn none_finished(folder: &Path, what: &str) -> Failure {
    Failure::new(USAGE, format!("{}: {what} has finished", folder.display()), None)
}

/// Folder, recipe and seed of `DIR`, `DIR:RECIPE` or `DIR:RECIPE:SEED`; a folder may have a colon in its name.
fn parts(named: &str) -> (PathBuf, Option<String>, Option<u64>) {
    if Path::new(named).is_dir() {
        return (named.into(), None, None);
    }
    let Some((rest, last)) = named.rsplit_once(':') else { return (named.into(), None, None) };
    if let (Ok(seed), Some((folder, recipe))) = (last.parse(), rest.rsplit_once(':'))
        && Path::new(folder).is_dir()
    {
        return (folder.into(), Some(recipe.to_owned()), Some(seed));
    }
    (rest.into(), Some(last.to_owned()), None)
}
