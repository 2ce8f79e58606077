//! What the tests of looking share.

use crate::data::ImageShape;
use crate::model::{Architecture, Model};
use crate::rng::{Rng, Stream};
use crate::train::Pixels;
use crate::train::tests::Fixture;

/// A network of five classes.
pub(super) fn build((channels, height, width): (usize, usize, usize), layers: &[&str]) -> Architecture {
    let layers = layers.iter().map(|l| l.parse().expect(l)).collect();
    Architecture::new(ImageShape { channels, height, width }, layers, 5).expect("the layers fit")
}

/// All arrays of a model.
pub(super) fn arrays(model: &Model) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let params = model.architecture().params().iter();
    params.map(|p| (p.name.clone(), p.shape.clone(), model.tensor(&p.name).expect("an array"))).collect()
}

/// An image of random pixels.
pub(super) fn noise(shape: ImageShape, seed: u64) -> Vec<u8> {
    let rng = Rng::new(seed, Stream::Order, 0);
    (0..shape.len() as u64).map(|i| (rng.u64_at(i) >> 56) as u8).collect()
}

/// What PyTorch makes of a small network (`fixtures/look.py`), the network, and the image.
pub(super) fn fixture() -> (Fixture, Model, Vec<u8>) {
    let fixture = Fixture::at("look");
    let model = fixture.model(Pixels { mean: fixture.f64("mean"), std: fixture.f64("std") });
    let image = fixture.u8s("image");
    (fixture, model, image)
}
