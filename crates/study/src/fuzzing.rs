//! What a fuzzer reads, and nobody else by itself: single files of a run folder.

use tenfold_nn::model::Architecture;
use tenfold_nn::train::TrainConfig;

use crate::RunFolder;
use crate::checkpoint::Checkpoint;
use crate::identity::sha256;
use crate::trial;

/// Reads a checkpoint, to which its checksum is added, and holds it against a training; whether that could go on from it.
pub fn checkpoint(bytes: &[u8], architecture: &Architecture, config: &TrainConfig, examples: usize) -> bool {
    let whole = [bytes, sha256(bytes).as_bytes()].concat();
    Checkpoint::from_bytes(&whole).and_then(|found| found.fits(architecture, config, examples)).is_ok()
}

/// Looks for a trial in a run folder; whether it is there, whole and of this identity.
///
/// # Panics
/// If the folder cannot be read.
pub fn trial(folder: &RunFolder, recipe: &str, seed: u64, identity: &str) -> bool {
    matches!(trial::read(folder, recipe, seed, identity).expect("a folder"), trial::Found::Whole(_))
}
