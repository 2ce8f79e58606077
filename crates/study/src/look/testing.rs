//! Networks and images for the tests of this folder.

use tenfold_nn::data::{Dataset, ImageShape};
use tenfold_nn::look::{FilterLayer, filter_layers};
use tenfold_nn::model::{Architecture, Init, Model};
use tenfold_nn::rng::{Rng, Stream};
use tenfold_nn::train::Pixels;

/// An untrained network for three classes. Pixels are as often below zero as above, so that no filter is always cut
/// off.
pub(super) fn network(shape: ImageShape, layers: &[&str], seed: u64) -> Model {
    let layers = layers.iter().map(|layer| layer.parse().unwrap()).collect();
    Model::new(Architecture::new(shape, layers, 3).unwrap(), Init::Pytorch, seed, Pixels::all(0.5, 0.25))
}

/// The first layer whose filters can be drawn.
pub(super) fn first_layer(model: &Model) -> FilterLayer {
    filter_layers(model.architecture()).swap_remove(0)
}

/// Random images.
pub(super) fn images(shape: ImageShape, count: usize) -> Dataset {
    let rng = Rng::new(9, Stream::Init, 0);
    let pixels = (0..count * shape.len()).map(|i| rng.below_at(i as u64, 256) as u8).collect();
    Dataset::new(pixels, vec![0; count], shape, 3).unwrap()
}

/// The network with other filters in `layer`: for each which one it had it is now, and its multiple.
pub(super) fn with_filters(model: &Model, layer: &FilterLayer, filters: &[(usize, f32)]) -> Model {
    let of_layer = |name: &str| name.strip_prefix(&*layer.name).is_some_and(|rest| rest.starts_with('.'));
    let params = model.architecture().params();
    let tensors: Vec<_> = params
        .iter()
        .map(|spec| {
            let mut values = model.tensor(&spec.name).unwrap();
            if of_layer(&spec.name) {
                let each = values.len() / layer.filters;
                let filter = |&(from, by): &(usize, f32)| values[from * each..][..each].iter().map(move |v| v * by);
                values = filters.iter().flat_map(filter).collect();
            }
            (spec.name.clone(), spec.shape.clone(), values)
        })
        .collect();
    Model::from_tensors(model.architecture().clone(), &tensors, model.pixels().clone()).unwrap()
}
