//! The kernels that a training kept of each epoch.

use tenfold_nn::look::FilterLayer;

use crate::folder::RunFolder;
use crate::record::TrialRecord;
use crate::trial::TrialFileError;

/// The kernels of one layer before training and after each epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Film {
    /// The epochs, from 0 (before training).
    pub epochs: Vec<usize>,
    /// For each of them the kernels, `[filters, channels, rows, columns]`.
    pub kernels: Vec<Vec<f32>>,
}

/// The kernels of `layer` that the training of `trial` kept; none where it kept none.
pub fn film(folder: &RunFolder, trial: &TrialRecord, layer: &FilterLayer) -> Result<Option<Film>, TrialFileError> {
    let _ = (folder, trial, layer);
    unimplemented!()
}
