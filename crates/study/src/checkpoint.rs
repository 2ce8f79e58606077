//! Checkpoints of a training that is under way: kept beside its trial until that has ended, and gone on from.
//!
//! `trials/<recipe>/.seed-<n>.checkpoint/` of the run folder that a trial is run in holds the two newest that are whole, each named after the steps that were done
//! and the trial's identity. A file is a safetensors file (the arrays of [`State`], the kernels that the training has kept, and, as
//! metadata, the rest) with the SHA-256 of all that behind it, in hex.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tenfold_nn::interop::safetensors::{self, Array};
use tenfold_nn::model::Architecture;
use tenfold_nn::train::{EpochResult, State, TrainConfig};

use crate::folder::{FolderError, RunFolder, create_folder, sync_folder};
use crate::identity::sha256;
use crate::look::KeptFilters;
use crate::record::Spent;

mod keeper;
pub(crate) use keeper::{Keeper, position_of, write};

/// The version of this form.
const FORM: u32 = 1;

/// Hex digits of a SHA-256.
const SUM_BYTES: usize = 64;

/// What stands before the names of the kernels that were kept.
const FILTERS: &str = "filters/";

/// The most bytes of a checkpoint besides its parameters: kernels, header, results of epochs.
const REST_BYTES: u64 = 32 << 20;

/// Where the checkpoints of a trial are, within its run folder.
fn place(recipe: &str, seed: u64) -> String {
    format!("trials/{recipe}/.seed-{seed}.checkpoint")
}

/// The file of a checkpoint after so many steps in all.
fn file_name(steps: u64, identity: &str) -> String {
    format!("step-{steps:012}-{}", short(identity))
}

/// As much of an identity as tells it from the others of one trial.
fn short(identity: &str) -> &str {
    &identity[..identity.floor_char_boundary(16)]
}

/// The steps after which there is a checkpoint of the trial of this identity, and the names of these, newest first.
fn found(folder: &RunFolder, recipe: &str, seed: u64, identity: &str) -> Result<Vec<(u64, String)>, FolderError> {
    let steps = |name: &str| name.strip_prefix("step-")?.strip_suffix(short(identity))?.strip_suffix('-')?.parse().ok();
    let names = folder.list(place(recipe, seed))?;
    let mut found: Vec<(u64, String)> = names
        .into_iter()
        .filter_map(|name| Some((steps(&name)?, name)))
        .filter(|(n, name)| *name == file_name(*n, identity))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    Ok(found)
}

/// After how many steps in all the newest checkpoint of this trial was made, if there is one. What is in it, nobody has
/// looked at yet.
pub(crate) fn newest(folder: &RunFolder, recipe: &str, seed: u64, identity: &str) -> Result<Option<u64>, FolderError> {
    Ok(found(folder, recipe, seed, identity)?.first().map(|(steps, _)| *steps))
}

/// Removes all checkpoints of a trial, whatever its identity.
pub(crate) fn clear(folder: &RunFolder, recipe: &str, seed: u64) -> Result<(), FolderError> {
    let place = place(recipe, seed);
    if folder.has(&place) { folder.clear(&place) } else { Ok(()) }
}

/// Moves the checkpoints of a trial from one run folder to another, where the next who works on it looks for them.
pub(crate) fn pass_on(from: &Path, to: &Path, recipe: &str, seed: u64) -> io::Result<()> {
    let [from, to] = [from, to].map(|folder| folder.join(place(recipe, seed)));
    let files = match fs::read_dir(&from) {
        Ok(files) => files,
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(reason) => return Err(reason),
    };
    create_folder(&to)?;
    for file in files {
        let name = file?.file_name();
        match fs::rename(from.join(&name), to.join(&name)) {
            // Somebody else has taken it.
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
    }
    sync_folder(&to)?;
    // Empty, it is in nobody's way.
    let _ = fs::remove_dir(&from);
    Ok(())
}

/// A training as it was kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) identity: String,
    pub(crate) state: State,
    /// The kernels that were kept, of the epochs that are done.
    pub(crate) filters: Vec<Array>,
    pub(crate) spent: Spent,
}

/// What a checkpoint says besides its arrays.
#[derive(Serialize, Deserialize)]
struct About {
    checkpoint: u32,
    identity: String,
    epochs: Vec<EpochResult>,
    step: usize,
    loss_sum: f64,
    train_time_s: f64,
    spent: Spent,
}

impl Checkpoint {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let Checkpoint { identity, state, filters, spent } = self;
        let State { epochs, step, loss_sum, train_time_s, mut arrays } = state;
        let about = About { checkpoint: FORM, identity, epochs, step, loss_sum, train_time_s, spent };
        let about = serde_json::to_string(&about).expect("names and numbers are plain values");
        arrays.extend(filters.into_iter().map(|(name, shape, values)| (format!("{FILTERS}{name}"), shape, values)));
        let mut bytes = safetensors::write_arrays(&arrays, Some(&about));
        drop(arrays);
        bytes.extend(sha256(&bytes).into_bytes());
        bytes
    }

    /// # Errors
    /// What is wrong with these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, String> {
        let whole = bytes.split_at_checked(bytes.len().wrapping_sub(SUM_BYTES));
        let Some((bytes, _)) = whole.filter(|(bytes, sum)| sha256(bytes).as_bytes() == *sum) else {
            return Err("it is not what was written: its checksum is another".to_owned());
        };
        let about = safetensors::metadata(bytes).map_err(|error| error.to_string())?.unwrap_or_default();
        let about: About = serde_json::from_str(&about).map_err(|error| error.to_string())?;
        let About { checkpoint, identity, epochs, step, loss_sum, train_time_s, spent } = about;
        if checkpoint != FORM {
            return Err(format!("it is of form {checkpoint}, expected {FORM}"));
        }
        let mut arrays = safetensors::read_arrays(bytes).map_err(|error| error.to_string())?;
        arrays.sort_by(|one, other| one.0.cmp(&other.0));
        let (mut filters, arrays): (Vec<Array>, Vec<Array>) =
            arrays.into_iter().partition(|(name, ..)| name.starts_with(FILTERS));
        filters.iter_mut().for_each(|(name, ..)| drop(name.drain(..FILTERS.len())));
        let state = State { epochs, step, loss_sum, train_time_s, arrays };
        Ok(Checkpoint { identity, state, filters, spent })
    }

    /// # Errors
    /// Why such a training cannot go on from it.
    pub(crate) fn fits(
        &self,
        architecture: &Architecture,
        config: &TrainConfig,
        examples: usize,
    ) -> Result<(), String> {
        self.state.check(architecture, config, examples).map_err(|error| error.to_string())?;
        KeptFilters::new(architecture, config).restore(&self.filters, self.state.epochs.len())
    }
}

/// A checkpoint that cannot be gone on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// Its file.
    pub path: std::path::PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// The newest checkpoint of a trial that is whole and fits it, and those that are newer and are not.
pub(crate) fn read(
    folder: &RunFolder,
    (recipe, seed, identity): (&str, u64, &str),
    architecture: &Architecture,
    config: &TrainConfig,
    examples: usize,
) -> Result<(Option<Checkpoint>, Vec<Unusable>), FolderError> {
    let mut unusable = Vec::new();
    let limit = State::bytes(architecture, &config.settings) + 256 * config.settings.epochs as u64 + REST_BYTES;
    for (_, name) in found(folder, recipe, seed, identity)? {
        let file = format!("{}/{name}", place(recipe, seed));
        let fits = |checkpoint: &Checkpoint| {
            if checkpoint.identity != identity {
                return Err("it is of another training".to_owned());
            }
            checkpoint.fits(architecture, config, examples)
        };
        let read = folder.read_up_to(&file, limit).map_err(|error| match error {
            FolderError::Io { reason, .. } => reason.to_string(),
            other => other.to_string(),
        });
        let read = read.and_then(|bytes| Checkpoint::from_bytes(&bytes.unwrap_or_default()));
        match read.and_then(|checkpoint| fits(&checkpoint).map(|()| checkpoint)) {
            Ok(checkpoint) => return Ok((Some(checkpoint), unusable)),
            Err(reason) => unusable.push(Unusable { path: folder.path().join(file), reason }),
        }
    }
    Ok((None, unusable))
}

#[cfg(test)]
mod tests;
