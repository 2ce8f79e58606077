//! One trial on disk: what identifies it, what its folder holds, and whether that is whole.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tenfold_nn::Precision;
use tenfold_nn::data::HeldOut;
use tenfold_nn::evaluate::Evaluation;
use tenfold_nn::interop::safetensors::{self, Array, SafetensorsError};
use tenfold_nn::model::{Architecture, Init, Model};
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::{Pixels, TrainConfig};
use thiserror::Error;

use crate::folder::{FolderError, MOST_BYTES, RunFolder};
use crate::look::KeptFilters;
use crate::record::{DatasetRecord, EpochRecord, RESULTS, Status, StudyRecord, TrialRecord};

/// The version of what training computes: raised whenever the same settings and seed give other bits.
pub const TRAINING_VERSION: u32 = 2;

pub(crate) const RESULT: &str = "result.json";
const EPOCHS: &str = "epochs.csv";
pub(crate) const PREDICTIONS: &str = "predictions.csv";
const PREDICTIONS_HEADER: &str = "image,label,prediction,probability\n";
const WEIGHTS: &str = "model.safetensors";
const FILTERS: &str = "filters.safetensors";

/// The SHA-256, in hex, of everything that determines a trial's bits: the network, the settings, the seed, the data and
/// the version of the training code. Threads and processor are not among it.
pub fn identity(architecture: &Architecture, config: &TrainConfig, dataset: &DatasetRecord) -> String {
    // A struct, because its fields are written in this order, and the hash depends on it.
    #[derive(Serialize)]
    struct Identity<'a> {
        training: u32,
        shape: [usize; 3],
        classes: usize,
        data: &'a str,
        split: &'a str,
        layers: Vec<String>,
        batch_size: usize,
        epochs: usize,
        optimizer: Optimizer,
        schedule: Schedule,
        init: Init,
        pixels: Pixels,
        // Only where it is not f32: most identities need not know of it.
        #[serde(skip_serializing_if = "Precision::is_f32")]
        precision: Precision,
        target: Option<f64>,
        patience: Option<usize>,
        seed: u64,
    }
    let identity = Identity {
        training: TRAINING_VERSION,
        shape: dataset.shape,
        classes: dataset.classes,
        data: &dataset.sha256,
        split: &dataset.split_sha256,
        layers: layers(architecture),
        batch_size: config.batch_size,
        epochs: config.epochs,
        optimizer: config.optimizer,
        schedule: config.schedule,
        init: config.init,
        pixels: config.pixels,
        precision: config.precision,
        target: config.target,
        patience: config.patience,
        seed: config.seed,
    };
    sha256(serde_json::to_string(&identity).expect("settings are plain values").as_bytes())
}

/// The folder of a trial within its run folder.
pub fn seed_folder(recipe: &str, seed: u64) -> String {
    format!("trials/{recipe}/seed-{seed}")
}

/// Seeds for which the folder has something of this recipe.
pub(crate) fn seeds_on_disk(folder: &RunFolder, recipe: &str) -> Result<Vec<u64>, FolderError> {
    let names = folder.list(format!("trials/{recipe}"))?;
    let seed = |name: &String| {
        let digits = name.strip_prefix("seed-")?;
        digits.parse().ok().filter(|seed: &u64| seed.to_string() == digits)
    };
    Ok(names.iter().filter_map(seed).collect())
}

/// What the folder of a trial holds.
pub(crate) enum Found {
    Nothing,
    /// The record of this very trial, with all that belongs to it.
    Whole(Box<TrialRecord>),
    /// The record of another trial.
    Changed,
    /// Something that cannot be read, or not all of it.
    Damaged,
}

/// Looks for the trial of this identity.
pub(crate) fn read(folder: &RunFolder, recipe: &str, seed: u64, identity: &str) -> Result<Found, FolderError> {
    let at = seed_folder(recipe, seed);
    let Some(bytes) = folder.read(format!("{at}/{RESULT}"))? else { return Ok(Found::Nothing) };
    let Ok(record) = serde_json::from_slice::<TrialRecord>(&bytes) else {
        // Written by another version, perhaps; what can be said is whether it is the same trial.
        let other = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
        let other = other.as_ref().and_then(|value| value.get("identity")?.as_str());
        return Ok(if other.is_some_and(|other| other != identity) { Found::Changed } else { Found::Damaged });
    };
    if record.identity != identity || record.recipe != recipe || record.seed != seed {
        return Ok(Found::Changed);
    }
    let names = folder.list(&at)?;
    let there = |name: &str| names.iter().any(|other| other == name);
    let whole = match record.status {
        Status::Finished => {
            record.valid.is_some()
                && record.test.is_some()
                && record.weights_sha256.is_some()
                && there(EPOCHS)
                && there(PREDICTIONS)
                && there(WEIGHTS)
        }
        Status::Diverged | Status::Interrupted => true,
    };
    Ok(if whole { Found::Whole(Box::new(record)) } else { Found::Damaged })
}

/// What a finished trial has besides its record.
pub(crate) struct Product<'a> {
    pub(crate) model: &'a Model,
    pub(crate) filters: &'a KeptFilters,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) test: &'a HeldOut,
}

/// What the weights say about themselves.
#[derive(Serialize)]
struct About<'a> {
    recipe: &'a str,
    seed: u64,
    identity: &'a str,
    layers: Vec<String>,
}

/// Each layer in its canonical form.
fn layers(architecture: &Architecture) -> Vec<String> {
    architecture.layers().iter().map(|info| info.layer.to_string()).collect()
}

/// Writes a trial's folder, in place of what it held.
///
/// `result.json` is removed first and written last: as long as it is there, everything that it speaks of is, too.
pub(crate) fn write(folder: &RunFolder, record: &mut TrialRecord, product: Option<Product>) -> Result<(), FolderError> {
    let at = seed_folder(&record.recipe, record.seed);
    let file = |name: &str| format!("{at}/{name}");
    folder.remove(file(RESULT))?;
    folder.write(file(EPOCHS), epochs_csv(&record.epochs).as_bytes())?;
    match product {
        Some(product) => {
            folder.write(file(PREDICTIONS), predictions_csv(&product).as_bytes())?;
            let about = About {
                recipe: &record.recipe,
                seed: record.seed,
                identity: &record.identity,
                layers: layers(product.model.architecture()),
            };
            let about = serde_json::to_string(&about).expect("names are plain values");
            let weights = safetensors::write(product.model, Some(&about));
            record.weights_sha256 = Some(sha256(&weights));
            folder.write(file(WEIGHTS), &weights)?;
            match product.filters.to_bytes() {
                Some(filters) => {
                    record.filters_sha256 = Some(sha256(&filters));
                    folder.write(file(FILTERS), &filters)?;
                }
                None => folder.remove(file(FILTERS))?,
            }
        }
        None => {
            folder.remove(file(PREDICTIONS))?;
            folder.remove(file(WEIGHTS))?;
            folder.remove(file(FILTERS))?;
        }
    }
    let mut json = serde_json::to_vec_pretty(record).expect("a record has plain values");
    json.push(b'\n');
    folder.write(file(RESULT), &json)
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
/// # Panics
/// If the record has no such recipe.
pub fn trained(folder: &RunFolder, record: &StudyRecord, trial: &TrialRecord) -> Result<Model, TrialFileError> {
    let recipe = record.recipes.iter().find(|recipe| recipe.name == trial.recipe).expect("the trial is of this record");
    let architecture = recipe.architecture(&record.dataset).map_err(|fault| {
        let path = folder.path().join(RESULTS);
        TrialFileError::Layers { path, recipe: recipe.name.clone(), fault }
    })?;
    // The arrays, and room for what the header says of them.
    let limit = 4 * architecture.parameters() as u64 + HEADER_BYTES;
    let (path, bytes) = written(folder, trial, WEIGHTS, trial.weights_sha256.as_deref(), limit)?;
    safetensors::read(&bytes, &architecture, recipe.pixels)
        .map(|model| model.with_precision(trial.precision))
        .map_err(|error| TrialFileError::Weights { path, error })
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
const HEADER_BYTES: u64 = 1 << 20;

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
    pub label: u8,
    /// The most probable class.
    pub prediction: u8,
    /// The probability given to it, 0 to 1.
    pub probability: f32,
}

/// What the network of a trial said of each test image, in their order.
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

fn epochs_csv(epochs: &[EpochRecord]) -> String {
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

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Study;
    use tenfold_nn::data::ImageShape;

    /// The identity of the built-in recipe `softmax` on a made-up data set, with one thing changed.
    fn identity_with(change: impl Fn(&mut TrainConfig, &mut DatasetRecord)) -> String {
        let study = Study::built_in("digits").expect("is built in");
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        let mut dataset = DatasetRecord {
            name: "any".to_owned(),
            train: 54_000,
            valid: 6_000,
            test: 10_000,
            shape: [1, 28, 28],
            classes: 10,
            sha256: "data".to_owned(),
            split_seed: 0,
            split_sha256: "split".to_owned(),
            first_label: 0,
            warnings: Vec::new(),
        };
        let architecture = study.recipes[0].architecture(shape, 10).expect("it fits");
        let optimizer = Optimizer::adam(1e-5);
        let mut config =
            TrainConfig { batch_size: 128, epochs: 11, optimizer, init: Init::Zero, ..TrainConfig::default() };
        change(&mut config, &mut dataset);
        identity(&architecture, &config, &dataset)
    }

    #[test]
    fn the_identity_is_pinned() {
        // From an independent program. If this changes, everybody's finished trials are run again.
        assert_eq!(identity_with(|_, _| {}), "6dcf6e894e44c56a042205187d4019f2544c347cc619782c0fa1f52623c866c2");
    }

    #[test]
    fn the_identity_covers_what_determines_the_bits() {
        type Change = dyn Fn(&mut TrainConfig, &mut DatasetRecord);
        let changes: [&Change; 12] = [
            &|config, _| config.batch_size += 1,
            &|config, _| config.epochs += 1,
            &|config, _| config.optimizer = Optimizer::adam(1.000_000_1e-5),
            &|config, _| config.schedule = Schedule::Step { every: 1, factor: 0.5 },
            &|config, _| config.init = Init::Xavier,
            &|config, _| config.pixels.mean = 0.1,
            &|config, _| config.precision = Precision::Bf16,
            &|config, _| config.target = Some(0.99),
            &|config, _| config.patience = Some(3),
            &|config, _| config.seed += 1,
            &|_, dataset| dataset.sha256.push('x'),
            &|_, dataset| dataset.split_sha256.push('x'),
        ];
        let mut identities: Vec<String> = changes.iter().map(identity_with).collect();
        identities.push(identity_with(|_, dataset| dataset.name.push('x')));
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), 13);
        assert!(identities.contains(&identity_with(|_, _| {})), "the name of the data set is not its contents");
    }
}
