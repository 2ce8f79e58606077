//! One trial on disk: what identifies it, what its folder holds, and whether that is whole.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tenfold_nn::data::HeldOut;
use tenfold_nn::evaluate::Evaluation;
use tenfold_nn::interop::model_file::{About, TrainedModel};
use tenfold_nn::interop::safetensors::{self, Array, SafetensorsError};
use tenfold_nn::model::{Architecture, Model};
use tenfold_nn::train::{Pixels, PixelsFrom};
use thiserror::Error;

use crate::folder::{FolderError, MOST_BYTES, RunFolder, bounded};
use crate::identity::{TrialSettings, sha256};
use crate::json;
use crate::look::KeptFilters;
use crate::record::{DatasetRecord, EpochRecord, RESULTS, Status, StudyRecord, TrialRecord};

pub(crate) const RESULT: &str = "result.json";
pub(crate) const EPOCHS: &str = "epochs.csv";
pub(crate) const PREDICTIONS: &str = "predictions.csv";
const PREDICTIONS_HEADER: &str = "image,label,prediction,probability\n";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const FILTERS: &str = "filters.safetensors";

/// The folder of a trial within its run folder.
pub fn seed_folder(recipe: &str, seed: u64) -> String {
    format!("trials/{recipe}/seed-{seed}")
}

/// Where a trial is written before it takes its place, and where the one before it waits until it has.
pub(crate) fn beside(recipe: &str, seed: u64) -> [String; 2] {
    ["new", "old"].map(|name| format!("trials/{recipe}/.seed-{seed}.{name}"))
}

/// Where a trial that diverged is kept when it was to replace a finished one: that one keeps its place.
pub(crate) fn aside(recipe: &str, seed: u64) -> String {
    format!("trials/{recipe}/.seed-{seed}.diverged")
}

/// The folder, within the run folder `folder`, that has the trial of this identity: its own, unless only the other has it.
pub(crate) fn place(folder: &Path, recipe: &str, seed: u64, identity: &str) -> String {
    let (at, aside) = (seed_folder(recipe, seed), aside(recipe, seed));
    let of_this = |at: &str| Ended::read(&folder.join(at)).is_ok_and(|it| it.is_some_and(|it| it.identity == identity));
    if of_this(&aside) && !of_this(&at) { aside } else { at }
}

/// What a trial left in its folder, as far as it tells whether there is anything left to do, and what it took.
#[derive(Deserialize)]
pub(crate) struct Ended {
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) identity: String,
    pub(crate) status: Status,
    #[serde(default)]
    train_time_s: f64,
    #[serde(default)]
    epochs: Vec<EpochRecord>,
}

impl Ended {
    /// Of the trial whose folder is `at`; none where there is no record that can be read.
    pub(crate) fn read(at: &Path) -> io::Result<Option<Ended>> {
        match bounded(&at.join(RESULT), MOST_BYTES) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(reason),
        }
    }

    /// Of the trial of this identity, with the folder that has it, if the run folder `folder` has it.
    pub(crate) fn of(folder: &Path, recipe: &str, seed: u64, identity: &str) -> io::Result<Option<(PathBuf, Ended)>> {
        for at in [seed_folder(recipe, seed), aside(recipe, seed)] {
            let at = folder.join(at);
            if let Some(ended) = Ended::read(&at)?.filter(|ended| ended.identity == identity) {
                return Ok(Some((at, ended)));
            }
        }
        Ok(None)
    }

    /// Seconds of training and evaluation.
    pub(crate) fn time_s(&self) -> f64 {
        self.train_time_s + self.epochs.iter().map(|epoch| epoch.evaluation_time_s).sum::<f64>()
    }
}

/// Whether nothing is left to do for the trial of this status whose folder is `at`. One whose files are not all there is
/// trained again.
pub(crate) fn is_done(at: &Path, status: Status) -> bool {
    let files: &[&str] = match status {
        Status::Finished => &[RESULT, WEIGHTS, PREDICTIONS],
        Status::Diverged => &[RESULT],
        Status::Interrupted => return false,
    };
    files.iter().all(|file| at.join(file).exists())
}

/// Seeds for which the folder has something of this recipe. What was about to take its place when a run was killed
/// takes it now.
pub(crate) fn seeds_on_disk(folder: &RunFolder, recipe: &str) -> Result<Vec<u64>, FolderError> {
    let seed_beside = |name: &str| {
        let name = name.strip_prefix(".seed-")?;
        number(name.strip_suffix(".new").or_else(|| name.strip_suffix(".old"))?)
    };
    for name in folder.list(format!("trials/{recipe}"))? {
        if let Some(seed) = seed_beside(&name) {
            settle(folder, recipe, seed)?;
        }
    }
    let names = folder.list(format!("trials/{recipe}"))?;
    Ok(names.iter().filter_map(|name| number(name.strip_prefix("seed-")?)).collect())
}

/// The number that these digits are how a folder's name writes it.
pub(crate) fn number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|seed: &u64| seed.to_string() == digits)
}

/// What the folder of a trial holds.
pub(crate) enum Found {
    Nothing,
    /// The record of this very trial, with all that belongs to it.
    Whole(Box<TrialRecord>),
    /// The record of another trial, with what of it can be read.
    Changed {
        identity: Option<String>,
        finished: bool,
        settings: Option<Box<TrialSettings>>,
    },
    /// Something that cannot be read, or not all of it.
    Damaged,
}

/// Looks for the trial of this identity.
pub(crate) fn read(folder: &RunFolder, recipe: &str, seed: u64, identity: &str) -> Result<Found, FolderError> {
    let found = read_at(folder, &seed_folder(recipe, seed), recipe, seed, identity)?;
    if let Found::Changed { .. } = found
        && let Found::Whole(diverged) = read_at(folder, &aside(recipe, seed), recipe, seed, identity)?
    {
        return Ok(Found::Whole(diverged));
    }
    Ok(found)
}

/// Looks in the folder `at`.
fn read_at(folder: &RunFolder, at: &str, recipe: &str, seed: u64, identity: &str) -> Result<Found, FolderError> {
    let Some(bytes) = folder.read(format!("{at}/{RESULT}"))? else { return Ok(Found::Nothing) };
    let record = serde_json::from_slice::<TrialRecord>(&bytes);
    let of_this = |record: &TrialRecord| record.identity == identity && record.recipe == recipe && record.seed == seed;
    let Some(record) = record.as_ref().ok().filter(|record| of_this(record)) else {
        // Written by another version, perhaps; what can be said is whether it is the same trial.
        let other = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let found = other.get("identity").and_then(Value::as_str);
        if record.is_err() && found.is_none_or(|found| found == identity) {
            return Ok(Found::Damaged);
        }
        return Ok(Found::Changed {
            identity: found.map(str::to_owned),
            finished: other.get("status").is_some_and(|status| status == "finished"),
            settings: other.get("settings").and_then(|settings| serde_json::from_value(settings.clone()).ok()),
        });
    };
    let names = folder.list(at)?;
    let there = |name: &str| names.iter().any(|other| other == name);
    let whole = match record.status {
        Status::Finished => {
            record.valid.is_some()
                && record.test.is_some()
                && record.weights_sha256.is_some()
                && there(PREDICTIONS)
                && there(WEIGHTS)
        }
        Status::Diverged | Status::Interrupted => true,
    };
    Ok(if whole { Found::Whole(Box::new(record.clone())) } else { Found::Damaged })
}

/// What a finished trial has besides its record.
pub(crate) struct Product<'a> {
    pub(crate) model: &'a Model,
    pub(crate) filters: &'a KeptFilters,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) test: &'a HeldOut,
    pub(crate) dataset: &'a DatasetRecord,
}

/// Of [`About`], what is read back with the record beside it.
#[derive(Deserialize)]
struct AboutPixels {
    pixels: Pixels,
}

/// The most bytes of what a trial writes that cannot be spared: without it the training would be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    pub(crate) weights: u64,
    pub(crate) predictions: u64,
    /// Of the record.
    pub(crate) result: u64,
}

impl Room {
    /// For a trial of at most so many epochs that is measured on so many test images of these classes.
    pub(crate) fn of(architecture: &Architecture, epochs: usize, test: usize, class_names: &[String]) -> Room {
        let (classes, epochs, test) = (architecture.classes() as u64, epochs as u64, test as u64);
        let digits = |n: u64| u64::from(n.max(1).ilog10()) + 1;
        // An entry of a header for each array, a line of text for each layer; two numbers for each channel.
        let layers = 512 * architecture.layers().len() as u64 + 60 * architecture.input().channels as u64;
        // A quotation mark may take four bytes within a text within a text.
        let names = class_names.iter().map(|name| 4 * name.len() as u64 + 8).sum::<u64>();
        let weights = 4 * architecture.parameters() as u64 + layers + names + BLOCKS;
        // Number, two classes, a probability of single precision that is not small, and what is between them.
        let predictions = test * (digits(test) + 2 * digits(classes) + 20) + BLOCKS;
        // A line of JSON for each number of each epoch, and twice of each class; two matrices of counts, each of
        // ten digits at most and a comma; and a line for each bin and threshold of the calibration.
        let result = 400 * epochs + 2 * classes * (400 + 11 * classes) + layers + CALIBRATION + BLOCKS;
        Room { weights, predictions, result }
    }

    /// The sizes of all that is written for a trial, where the study's record has so many bytes: with that, once before it is
    /// measured and once when it is there.
    pub(crate) fn sizes(&self, results: u64) -> [u64; 5] {
        [self.weights, self.predictions, self.result, results + BLOCKS, results + self.result]
    }
}

/// What the record of a calibration takes: two times two lists of 15 bins and one of 101 thresholds, a line each.
const CALIBRATION: u64 = 2 * (2 * 15 + 101 + 30) * 80;

/// What a file takes beyond its bytes: the rest of its last block, its name, and text of a length that hardly varies.
const BLOCKS: u64 = 16 << 10;

/// Writes a trial's folder, in place of what it held. Gives what could not be written of that which can be spared.
///
/// Everything goes to a folder beside, `result.json` last, which takes the trial's place once it is whole: until then
/// there is what was there before. What cannot be spared goes where room was reserved for it.
pub(crate) fn write(
    folder: &RunFolder,
    record: &mut TrialRecord,
    product: Option<Product>,
) -> Result<Vec<FolderError>, FolderError> {
    let [new, _] = beside(&record.recipe, record.seed);
    folder.clear(&new)?;
    folder.give_back_rest();
    let spared = write_to(folder, &new, record, product).inspect_err(|_| {
        // It takes room that somebody has to make.
        let _ = folder.clear(&new);
    })?;
    settle(folder, &record.recipe, record.seed)?;
    // It was beside what is now replaced.
    let _ = folder.clear(&aside(&record.recipe, record.seed));
    Ok(spared)
}

/// Writes the record of a trial that diverged beside a finished one, which keeps its place. Gives what could not be written
/// of that which can be spared.
pub(crate) fn write_aside(folder: &RunFolder, record: &mut TrialRecord) -> Result<Vec<FolderError>, FolderError> {
    let at = aside(&record.recipe, record.seed);
    folder.clear(&at)?;
    folder.give_back_rest();
    write_to(folder, &at, record, None)
}

/// Writes the files of a trial to the folder `at`, which is empty.
fn write_to(
    folder: &RunFolder,
    at: &str,
    record: &mut TrialRecord,
    product: Option<Product>,
) -> Result<Vec<FolderError>, FolderError> {
    let file = |name: &str| format!("{at}/{name}");
    let mut spared = Vec::new();
    if let Some(product) = product {
        let about = about(product.model, product.dataset, record);
        let about = serde_json::to_string(&about).expect("names are plain values");
        let weights = safetensors::write(product.model, Some(&about));
        folder.write_reserved(file(WEIGHTS), &weights)?;
        record.weights_sha256 = Some(sha256(&weights));
        folder.write_reserved(file(PREDICTIONS), predictions_csv(&product).as_bytes())?;
        if let Some(filters) = product.filters.to_bytes() {
            match folder.write(file(FILTERS), &filters) {
                Ok(()) => record.filters_sha256 = Some(sha256(&filters)),
                Err(error) => spared.push(error),
            }
        }
    }
    if let Err(error) = folder.write(file(EPOCHS), epochs_csv(&record.epochs).as_bytes()) {
        spared.push(error);
    }
    folder.write_reserved(file(RESULT), json::pretty(record).as_bytes())?;
    Ok(spared)
}

/// What the file of a trial's network says of it.
pub(crate) fn about(model: &Model, dataset: &DatasetRecord, record: &TrialRecord) -> About {
    About {
        recipe: record.recipe.clone(),
        seed: record.seed,
        identity: record.identity.clone(),
        layers: model.architecture().written().to_vec(),
        shape: dataset.shape,
        classes: dataset.class_names.clone(),
        pixels: model.pixels().clone(),
        precision: record.precision,
        images: dataset.images(),
        data: dataset.sha256.clone(),
        group: dataset.reading.as_ref().and_then(|reading| reading.options.group.clone()),
        temperature: None,
        abstain: None,
    }
}

/// The trained network of a finished trial of `record`, with all that it takes to use it.
///
/// # Errors
/// As [`trained`].
///
/// # Panics
/// If the record has no such recipe.
pub fn whole(folder: &Path, record: &StudyRecord, trial: &TrialRecord) -> Result<TrainedModel, TrialFileError> {
    let file = folder.join(seed_folder(&trial.recipe, trial.seed)).join(WEIGHTS);
    let read = |limit: u64| {
        // Whatever a run is doing meanwhile, its files are whole.
        let bytes = bounded(&file, limit).unwrap_or_default();
        if trial.weights_sha256.as_deref() != Some(&*sha256(&bytes)) {
            let record = file.with_file_name(RESULT);
            return Err(TrialFileError::Changed { path: file.clone(), record });
        }
        Ok((file.clone(), bytes))
    };
    let model = model_of(&folder.join(RESULTS), record, trial, read)?;
    let about = about(&model, &record.dataset, trial);
    Ok(TrainedModel { model, about })
}

/// Lets a trial that is whole take its place, and clears up what is left of one that is not. May be called at any time.
pub(crate) fn settle(folder: &RunFolder, recipe: &str, seed: u64) -> Result<(), FolderError> {
    let (at, [new, old]) = (seed_folder(recipe, seed), beside(recipe, seed));
    if folder.has(&format!("{new}/{RESULT}")) {
        if folder.has(&at) {
            folder.clear(&old)?;
            folder.rename(&at, &old)?;
        }
        folder.rename(&new, &at)?;
    } else if !folder.has(&at) && folder.has(&old) {
        folder.rename(&old, &at)?;
    }
    // Left for the next run where it fails.
    let _ = folder.clear(&new);
    if folder.has(&at) {
        let _ = folder.clear(&old);
    }
    Ok(())
}

/// Why what a trial wrote cannot be read back from its folder.
#[derive(Debug, Error)]
pub enum TrialFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file is not there, or not the one that the trial wrote.
    #[error("{}: is not the file that the trial wrote; remove {} to run the trial again", .path.display(), .record.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The record of the trial.
        record: PathBuf,
    },
    /// What the record says of the network makes none.
    #[error("{}: recipe {recipe:?}: {fault}", .path.display())]
    Layers {
        /// The record.
        path: PathBuf,
        /// The recipe.
        recipe: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The weights are not the network's.
    #[error("{}: {error}", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        error: SafetensorsError,
    },
}

/// The trained network of a finished trial of `record`.
///
/// # Errors
/// If the weights cannot be read, are not those that the trial wrote, or not the recipe's.
///
/// # Panics
/// If the record has no such recipe.
pub fn trained(folder: &RunFolder, record: &StudyRecord, trial: &TrialRecord) -> Result<Model, TrialFileError> {
    let read = |limit| written(folder, trial, WEIGHTS, trial.weights_sha256.as_deref(), limit);
    model_of(&folder.path().join(RESULTS), record, trial, read)
}

/// The network of a trial, of whose weights `read` gives the path and at most so many bytes.
pub(crate) fn model_of(
    results: &Path,
    record: &StudyRecord,
    trial: &TrialRecord,
    read: impl FnOnce(u64) -> Result<(PathBuf, Vec<u8>), TrialFileError>,
) -> Result<Model, TrialFileError> {
    let recipe = record.recipes.iter().find(|recipe| recipe.name == trial.recipe).expect("the trial is of this record");
    let architecture = recipe.architecture(&record.dataset).map_err(|fault| {
        let path = results.to_owned();
        TrialFileError::Layers { path, recipe: recipe.name.clone(), fault }
    })?;
    // The arrays, and room for what the header says of them.
    let (path, bytes) = read(4 * architecture.parameters() as u64 + HEADER_BYTES)?;
    let read = seen(&bytes, &recipe.settings.pixels, &architecture)
        .and_then(|pixels| safetensors::read(&bytes, &architecture, pixels));
    read.map(|model| model.with_precision(trial.precision)).map_err(|error| TrialFileError::Weights { path, error })
}

/// What the network of these weights sees of a pixel: what its recipe was given, or what was computed from the images
/// that it was trained on, which its file says.
fn seen(bytes: &[u8], setting: &PixelsFrom, architecture: &Architecture) -> Result<Pixels, SafetensorsError> {
    if let PixelsFrom::Given(pixels) = setting {
        return Ok(pixels.clone());
    }
    let about = safetensors::metadata(bytes)?.unwrap_or_default();
    let AboutPixels { pixels } =
        serde_json::from_str(&about).map_err(|error| SafetensorsError::Pixels(error.to_string()))?;
    pixels
        .check()
        .and_then(|()| pixels.check_channels(architecture.input().channels))
        .map_err(SafetensorsError::Pixels)?;
    Ok(pixels)
}

/// The arrays of kernels that the trial kept; none if it kept none.
pub(crate) fn kept_filters(folder: &RunFolder, trial: &TrialRecord) -> Result<Vec<Array>, TrialFileError> {
    if trial.filters_sha256.is_none() {
        return Ok(Vec::new());
    }
    let (path, bytes) = written(folder, trial, FILTERS, trial.filters_sha256.as_deref(), MOST_BYTES)?;
    safetensors::read_arrays(&bytes).map_err(|error| TrialFileError::Weights { path, error })
}

/// The most bytes of the header of a network's weights.
const HEADER_BYTES: u64 = 8 << 20;

/// Path and contents of the file of this name that the trial wrote, with this checksum and of at most `limit` bytes.
fn written(
    folder: &RunFolder,
    trial: &TrialRecord,
    name: &str,
    checksum: Option<&str>,
    limit: u64,
) -> Result<(PathBuf, Vec<u8>), TrialFileError> {
    let at = seed_folder(&trial.recipe, trial.seed);
    let path = |name: &str| folder.path().join(&at).join(name);
    let bytes = folder.read_up_to(format!("{at}/{name}"), limit)?.unwrap_or_default();
    if checksum != Some(&*sha256(&bytes)) {
        return Err(TrialFileError::Changed { path: path(name), record: path(RESULT) });
    }
    Ok((path(name), bytes))
}

/// What a network said of one test image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prediction {
    /// The true class.
    pub label: u16,
    /// The most probable class.
    pub prediction: u16,
    /// The probability given to it, 0 to 1.
    pub probability: f32,
}

/// What the network of a trial said of each test image, in their order.
///
/// # Errors
/// If the file cannot be read, or is not what a trial writes for these test images.
pub fn predictions(
    folder: &RunFolder,
    recipe: &str,
    seed: u64,
    test: &HeldOut,
) -> Result<Vec<Prediction>, TrialFileError> {
    let at = seed_folder(recipe, seed);
    let bytes = folder.read(format!("{at}/{PREDICTIONS}"))?.unwrap_or_default();
    let read = parse_predictions(&bytes);
    // One for each test image, with its class: a file that somebody has cut or edited is not this trial's.
    let whole = |all: &Vec<Prediction>| {
        all.iter().map(|p| p.label).eq(test.labels_for_report().iter().copied())
            && all.iter().all(|p| usize::from(p.prediction) < test.classes())
    };
    read.filter(whole).ok_or_else(|| {
        let path = |name: &str| folder.path().join(&at).join(name);
        TrialFileError::Changed { path: path(PREDICTIONS), record: path(RESULT) }
    })
}

/// What `predictions.csv` says; none if it is not of the form that a trial writes.
pub(crate) fn parse_predictions(bytes: &[u8]) -> Option<Vec<Prediction>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = |(n, line): (usize, &str)| {
        let mut fields = line.split(',');
        let image: usize = fields.next()?.parse().ok()?;
        let (label, prediction) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let probability = fields.next()?.parse().ok()?;
        (image == n && fields.next().is_none()).then_some(Prediction { label, prediction, probability })
    };
    text.strip_prefix(PREDICTIONS_HEADER)?.lines().enumerate().map(line).collect()
}

pub(crate) fn epochs_csv(epochs: &[EpochRecord]) -> String {
    let mut csv = String::from("epoch,train_loss,valid_loss,valid_accuracy,train_time_s,evaluation_time_s\n");
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    for e in epochs {
        let (train_loss, valid_loss) = (number(e.train_loss), number(e.valid_loss));
        let (accuracy, train_time_s, evaluation_time_s) =
            (number(e.valid_accuracy), e.train_time_s, e.evaluation_time_s);
        writeln!(csv, "{},{train_loss},{valid_loss},{accuracy},{train_time_s},{evaluation_time_s}", e.epoch)
            .expect("a String takes every write");
    }
    csv
}

/// One line per test image: its number, its class, the predicted class, and the probability given to that.
fn predictions_csv(product: &Product) -> String {
    let mut csv = String::from(PREDICTIONS_HEADER);
    let (labels, classes) = (product.test.labels_for_report(), product.test.classes());
    for (n, (label, &prediction)) in labels.iter().zip(&product.evaluation.predictions).enumerate() {
        let probability = product.evaluation.probabilities[n * classes + usize::from(prediction)];
        writeln!(csv, "{n},{label},{prediction},{probability}").expect("a String takes every write");
    }
    csv
}
