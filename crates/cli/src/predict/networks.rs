//! The trained networks that a person names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tenfold_data::{Collection, Naming, Options};
use tenfold_nn::data::{Dataset, ImageShape};
use tenfold_nn::evaluate::{divide_logits, mean_probabilities};
use tenfold_nn::interop::model_file::{Abstain, ModelFileError, Predictions, TrainedModel};
use tenfold_nn::views::Views;
use tenfold_report::calibration;
use tenfold_study::calibration::CalibrationRecord;
use tenfold_study::record::{RecipeRecord, StudyRecord, TrialRecord};
use tenfold_study::{FinishedStudy, nearest, seed_folder, whole};

use crate::failure::{DATA, Failure, USAGE, unread};
use crate::predict::short;
use crate::{images, progress};

/// Networks that speak with one voice: the mean of their probabilities.
pub(crate) struct Networks {
    /// At least one; all of the same images and classes.
    networks: Vec<TrainedModel>,
    threads: usize,
    /// What their run found of their probabilities; none of a model file.
    run: Option<OfRun>,
    /// What logarithms of the mean of several networks are divided by. (One network has its own.)
    temperature: Option<f64>,
    /// In which ways they are shown each image, where that is not as it is alone.
    views: Option<Views>,
}

/// What a run found of the probabilities of networks.
struct OfRun {
    folder: PathBuf,
    record: StudyRecord,
    calibration: Option<CalibrationRecord>,
}

impl Networks {
    /// The network of a model file, or those of a run folder: `DIR:RECIPE:SEED`, `DIR:RECIPE` with all its seeds, or
    /// `DIR` with its pick.
    pub(crate) fn read(named: &str, threads: usize) -> Result<Networks, Failure> {
        let path = Path::new(named);
        let (networks, run) = if path.is_file() {
            (vec![TrainedModel::read(path)?], None)
        } else {
            let (networks, run) = of_run(named)?;
            (networks, Some(run))
        };
        let first = &networks[0].about;
        let same = |other: &TrainedModel| {
            let about = &other.about;
            (&about.shape, &about.classes, &about.images) == (&first.shape, &first.classes, &first.images)
        };
        if !networks.iter().all(same) {
            let message = format!("{named}: its trainings are of different images or classes");
            return Err(Failure::new(DATA, message, Some("name one seed: DIR:RECIPE:SEED".to_owned())));
        }
        Ok(Networks { networks, threads, run, temperature: None, views: None })
    }

    /// Has them divide their logits by the temperature that their run found on validation; gives a sentence on what that
    /// does, on the test images of the run.
    pub(crate) fn calibrate(&mut self) -> Result<String, Failure> {
        let found = self.calibration("--calibrate")?;
        let (Some(temperature), Some(calibrated)) = (found.temperature, &found.calibrated) else {
            let message = "--calibrate: no temperature makes the loss on the validation images smallest, as where all of \
                           them are right";
            let hint = "leave --calibrate out: probabilities stay as they are".to_owned();
            return Err(Failure::new(DATA, message.to_owned(), Some(hint)));
        };
        let words = format!(
            "logits are divided by {temperature}, found on validation images; on the test images: {}",
            calibration::sentence(&found.plain.test, Some(&calibrated.test))
        );
        match &mut self.networks[..] {
            [one] => one.about.temperature = Some(temperature),
            _ => self.temperature = Some(temperature),
        }
        Ok(words)
    }

    /// The lowest threshold at which at most this share of the named classes is wrong on the validation images of the
    /// run, with the temperature if there is one.
    pub(crate) fn abstain(&self, at_most: f64) -> Result<Abstain, Failure> {
        let calibrated = self.temperature.or(self.networks[0].about.temperature).is_some();
        let found = self.calibration("--abstain-error")?;
        let Some(measured) = found.measured(calibrated) else {
            return Err(Failure::new(DATA, "--abstain-error: the run did not measure this".to_owned(), None));
        };
        measured.abstain(at_most).map_err(|least| {
            let message = format!(
                "--abstain-error {at_most}: no threshold keeps to it; the smallest share of wrong classes on the validation \
                 images is {:.4}, {} of {} that are named from a probability of {} on",
                least.error(),
                least.wrong,
                least.answered,
                short(least.threshold)
            );
            let hint = format!("--abstain-error {:.4}, or a threshold of your own: --abstain P", least.error());
            Failure::new(DATA, message, Some(hint))
        })
    }

    /// Has them shown each image in these ways, the mean of what they say of all being what they say; gives a sentence on it.
    pub(crate) fn show_views(&mut self, views: &Views) -> Result<String, Failure> {
        let misfit = |error| Failure::new(USAGE, format!("--views: {error}"), None);
        views.check_fits(self.shape()).map_err(misfit)?;
        if self.temperature.or(self.networks[0].about.temperature).is_some() {
            return Err(found_without_views("a temperature", "use a file that was exported without --calibrate"));
        }
        self.views = Some(views.clone());
        Ok(format!("what is said of an image is the mean over {}", self.views_in_words().unwrap_or_default()))
    }

    /// Has them shown each image as it is alone.
    pub(crate) fn show_no_views(&mut self) {
        self.views = None;
    }

    /// `10 views of it (shift 1, flip)`.
    pub(crate) fn views_in_words(&self) -> Option<String> {
        self.views.as_ref().map(|views| format!("{} views of it ({views})", views.count()))
    }

    /// The threshold that their model file has.
    pub(crate) fn own_abstain(&self) -> Option<Abstain> {
        self.networks[0].about.abstain
    }

    /// Writes a threshold into what the network's file says.
    pub(crate) fn set_abstain(&mut self, abstain: Abstain) {
        self.networks.iter_mut().for_each(|network| network.about.abstain = Some(abstain));
    }

    fn calibration(&self, option: &str) -> Result<&CalibrationRecord, Failure> {
        let Some(run) = &self.run else {
            let message = format!("{option}: a model file does not hold what was found on validation images");
            let hint = format!(
                "name the training in its run folder, DIR:RECIPE:SEED; `tenfold export` with {option} makes a model file that has it"
            );
            return Err(Failure::new(USAGE, message, Some(hint)));
        };
        run.calibration.as_ref().ok_or_else(|| {
            let about = &self.networks[0].about;
            let (message, hint) = match self.networks.len() {
                1 => {
                    let file = run.folder.join(seed_folder(&about.recipe, about.seed)).join("result.json");
                    let message = format!(
                        "{}: {option} needs what was found on validation images, and the version that trained this did not \
                         look for it",
                        run.folder.display()
                    );
                    (message, format!("remove {} and run the study again", file.display()))
                }
                n => {
                    let message = format!(
                        "{}: {option} needs what the {n} trainings of {} say together of validation images, which was not \
                         measured",
                        run.folder.display(),
                        about.recipe
                    );
                    (message, "`tenfold run` measures it at its end; or name one seed: DIR:RECIPE:SEED".to_owned())
                }
            };
            Failure::new(DATA, message, Some(hint))
        })
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

    /// How many of these images, `[N, C, H, W]`, their run trained on or chose by, pixel for pixel; none where that cannot
    /// be told: of a model file, or where the images of the run are not there any more.
    pub(crate) fn has_seen(&self, pixels: &[u8]) -> Option<usize> {
        let run = self.run.as_ref()?;
        let splits = images::of_record(&run.folder, &run.record, None).ok()?;
        let seen = [&splits.train, &splits.valid].map(|part| (0..part.len()).map(|n| part.image(n)));
        let seen: HashSet<&[u8]> = seen.into_iter().flatten().collect();
        Some(pixels.chunks_exact(self.shape().len()).filter(|image| seen.contains(image)).count())
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
        let images = self.networks[0].images(pixels)?;
        let of = |network: &TrainedModel, images: &Dataset| network.predict_images(images, self.threads).probabilities;
        // One after the other, so that not all that is said lies in memory at once.
        let mut probabilities = match &self.views {
            None => mean_probabilities(self.networks.iter().map(|network| of(network, &images))),
            Some(views) => {
                let each =
                    self.networks.iter().flat_map(|network| views.all().into_iter().map(move |view| (network, view)));
                mean_probabilities(each.map(|(network, view)| of(network, &view.of(&images))))
            }
        };
        let classes = self.classes().len();
        if let Some(temperature) = self.temperature {
            divide_logits(&mut probabilities, classes, temperature);
        }
        Ok(Predictions { probabilities, classes })
    }
}

/// Why `--views` does not go with something that was found by what networks say of images as they are.
pub(crate) fn found_without_views(what: &str, remedy: &str) -> Failure {
    let message = format!(
        "--views: {what} that was found for images shown once does not hold for the mean over views, which is less sure of itself"
    );
    Failure::new(USAGE, message, Some(remedy.to_owned()))
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
fn of_run(named: &str) -> Result<(Vec<TrainedModel>, OfRun), Failure> {
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
    let calibration = match &trials[..] {
        [one] => one.calibration.clone(),
        _ => {
            let of = record.recipes.iter().find(|recipe| recipe.name == trials[0].recipe);
            let ensemble = of.and_then(|recipe| recipe.ensemble.as_ref().filter(|ensemble| ensemble.is_of(recipe)));
            ensemble.and_then(|ensemble| ensemble.calibration.clone())
        }
    };
    let networks =
        trials.into_iter().map(|trial| Ok(whole(&folder, record, trial)?)).collect::<Result<_, Failure>>()?;
    Ok((networks, OfRun { folder, record: study.record, calibration }))
}

fn none_finished(folder: &Path, what: &str) -> Failure {
    Failure::new(USAGE, format!("{}: {what} has finished", folder.display()), None)
}

/// Folder, recipe and seed of `DIR`, `DIR:RECIPE` or `DIR:RECIPE:SEED`; a folder may have a colon in its name.
pub(crate) fn parts(named: &str) -> (PathBuf, Option<String>, Option<u64>) {
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
