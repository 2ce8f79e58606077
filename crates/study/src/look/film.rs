//! The kernels that a training keeps of each epoch.

use std::collections::HashMap;

use tenfold_nn::interop::safetensors::{self, Array};
use tenfold_nn::look::{FilterLayer, filter_layers, kernels};
use tenfold_nn::model::{Architecture, Model};
use tenfold_nn::train::{Pixels, TrainConfig};

use crate::folder::RunFolder;
use crate::record::TrialRecord;
use crate::trial::{TrialFileError, kept_filters};

/// The most values that are kept of one training: 8 MiB.
const MOST_VALUES: usize = 2 << 20;

/// What a training keeps: the kernels of its layers that can be drawn, before it and after each epoch.
pub(crate) struct KeptFilters {
    layers: Vec<FilterLayer>,
    arrays: Vec<Array>,
}

impl KeptFilters {
    /// Of a training that is about to begin. Layers that would take too much room are left out; which, shapes and the
    /// most epochs there may be decide.
    pub(crate) fn new(architecture: &Architecture, config: &TrainConfig) -> KeptFilters {
        let mut room = MOST_VALUES;
        let layers = filter_layers(architecture).into_iter().filter(|layer| {
            // A small array takes room for its name too.
            let values = (layer.filters * layer.kernel.iter().product::<usize>()).max(64);
            let needed = values.saturating_mul(config.settings.epochs.saturating_add(1));
            let fits = needed <= room;
            room -= if fits { needed } else { 0 };
            fits
        });
        let mut kept = KeptFilters { layers: layers.collect(), arrays: Vec::new() };
        if !kept.layers.is_empty() {
            // Kernels begin the same whatever is seen of a pixel.
            let before = Model::new(architecture.clone(), config.settings.init, config.seed, Pixels::default());
            kept.add(0, &before);
        }
        kept
    }

    /// Keeps those of `model` as it is after epoch `epoch`.
    pub(crate) fn add(&mut self, epoch: usize, model: &Model) {
        for layer in &self.layers {
            self.arrays.push((array_name(epoch, layer), shape(layer), kernels(model, layer)));
        }
    }

    /// The arrays so far.
    pub(crate) fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// Takes up what a training that has done so many epochs had kept.
    ///
    /// # Errors
    /// If these are not the arrays of such a training.
    pub(crate) fn restore(&mut self, arrays: &[Array], epochs: usize) -> Result<(), String> {
        let mut restored = Vec::new();
        for epoch in 0..=epochs {
            for layer in &self.layers {
                let (name, shape) = (array_name(epoch, layer), shape(layer));
                let found = arrays.iter().find(|array| array.0 == name && array.1 == shape);
                restored
                    .push(found.ok_or_else(|| format!("it has no kernels \"{name}\" of the shape {shape:?}"))?.clone());
            }
        }
        self.arrays = restored;
        Ok(())
    }

    /// As a file; none where nothing was kept.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        (!self.arrays.is_empty()).then(|| safetensors::write_arrays(&self.arrays, None))
    }
}

fn array_name(epoch: usize, layer: &FilterLayer) -> String {
    format!("epoch-{epoch}/{}.weight", layer.name)
}

/// As PyTorch has it: `[O, I, Kh, Kw]`, of a linear layer too.
fn shape(layer: &FilterLayer) -> Vec<usize> {
    let [channels, rows, columns] = layer.kernel;
    vec![layer.filters, channels, rows, columns]
}

/// The kernels of one layer before training and after each epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Film {
    /// The epochs, from 0 (before training).
    pub epochs: Vec<usize>,
    /// For each of them the kernels, `[filters, channels, rows, columns]`.
    pub kernels: Vec<Vec<f32>>,
}

/// The kernels of `layer` that the training of `trial` kept; none where it kept none, as trainings of earlier versions
/// did and layers that would take more than 8 MiB.
///
/// # Errors
/// If the file of kernels cannot be read, or is not the one that the trial wrote.
pub fn film(folder: &RunFolder, trial: &TrialRecord, layer: &FilterLayer) -> Result<Option<Film>, TrialFileError> {
    Ok(film_of(kept_filters(folder, trial)?, layer))
}

fn film_of(arrays: Vec<Array>, layer: &FilterLayer) -> Option<Film> {
    let mut film = Film { epochs: Vec::new(), kernels: Vec::new() };
    let mut arrays: HashMap<String, (Vec<usize>, Vec<f32>)> =
        arrays.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect();
    // From the first on without a gap: each epoch has one.
    for epoch in 0.. {
        let Some((found, kernels)) = arrays.remove(&array_name(epoch, layer)) else { break };
        if found != shape(layer) {
            break;
        }
        film.epochs.push(epoch);
        film.kernels.push(kernels);
    }
    (!film.epochs.is_empty()).then_some(film)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenfold_nn::data::ImageShape;
    use tenfold_nn::train::TrainSettings;

    fn architecture(layers: &[&str]) -> Architecture {
        let layers = layers.iter().map(|layer| layer.parse().unwrap()).collect();
        Architecture::new(ImageShape { channels: 1, height: 28, width: 28 }, layers, 10).unwrap()
    }

    #[test]
    fn every_epoch_is_kept_and_found_again() {
        let net = architecture(&["conv 4 5x5 same", "relu", "conv 3 3x3", "linear 10"]);
        let settings = TrainSettings { epochs: 2, ..TrainSettings::default() };
        let config = settings.clone().with_seed(7);
        let mut kept = KeptFilters::new(&net, &config);
        let later: Vec<Model> =
            [8, 9].map(|seed| Model::new(net.clone(), settings.init, seed, Pixels::default())).into_iter().collect();
        for (epoch, model) in later.iter().enumerate() {
            kept.add(epoch + 1, model);
        }
        let arrays = safetensors::read_arrays(&kept.to_bytes().unwrap()).unwrap();
        assert!(arrays.iter().any(|(name, shape, _)| name == "epoch-2/conv2.weight" && *shape == [3, 4, 3, 3]));
        let layers = filter_layers(&net);
        let before = Model::new(net.clone(), settings.init, 7, Pixels::default());
        for layer in &layers {
            let film = film_of(arrays.clone(), layer).unwrap();
            assert_eq!(film.epochs, [0, 1, 2]);
            let expected: Vec<Vec<f32>> = [&before, &later[0], &later[1]].map(|model| kernels(model, layer)).into();
            assert_eq!(film.kernels, expected);
        }
        let other = FilterLayer { name: "conv9".to_owned(), ..layers[0].clone() };
        assert_eq!(film_of(arrays.clone(), &other), None);
        let wider = FilterLayer { filters: 5, ..layers[0].clone() };
        assert_eq!(film_of(arrays, &wider), None);
    }

    #[test]
    fn what_would_take_too_much_room_is_left_out() {
        // 256 x 784 weights fit ten times, but not eleven.
        let net = architecture(&["linear 256", "linear 10"]);
        let kept = |epochs| {
            KeptFilters::new(&net, &TrainSettings { epochs, ..TrainSettings::default() }.with_seed(1)).to_bytes()
        };
        assert!(kept(9).is_some());
        assert!(kept(10).is_none());
        assert!(kept(usize::MAX).is_none());
        // A small layer behind a large one is kept all the same.
        let net = architecture(&["conv 64 27x27 same", "conv 50 27x27 same", "conv 2 1x1", "linear 10"]);
        let kept = KeptFilters::new(&net, &TrainSettings { epochs: 10, ..TrainSettings::default() }.with_seed(1));
        let names: Vec<&str> = kept.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv1", "conv3"]);
        assert!(KeptFilters::new(&architecture(&["tanh", "linear 10"]), &TrainConfig::default()).to_bytes().is_none());
    }
}
