//! What the tests of looking share.

use crate::data::ImageShape;
use crate::model::{Architecture, Layer, Model, Padding, blocks};
use crate::rng::{Rng, Stream};
use crate::train::Pixels;
use crate::train::fixture::Fixture;
use proptest::prelude::{Strategy, prop};
use proptest::prop_oneof;

/// A network of five classes.
pub(super) fn build((channels, height, width): (usize, usize, usize), layers: &[&str]) -> Architecture {
    Architecture::of_blocks(ImageShape { channels, height, width }, blocks(layers), 5).expect("the layers fit")
}

/// As [`build`], of layers that were drawn: those that do not fit are left out, and a linear layer is added.
pub(super) fn fitting((channels, height, width): (usize, usize, usize), drawn: &[Layer]) -> Architecture {
    let mut layers = Vec::new();
    let with = |layers: &[Layer]| {
        let layers = layers.iter().copied().chain([Layer::Linear { out_features: 5 }]).collect();
        Architecture::new(ImageShape { channels, height, width }, layers, 5)
    };
    for &layer in drawn {
        layers.push(layer);
        if with(&layers).is_err() {
            layers.pop();
        }
    }
    with(&layers).expect("a linear layer fits")
}

/// Windows of up to three pixels a side at any stride: convolutions with any padding, and pooling.
pub(super) fn windows() -> impl Strategy<Value = Layer> {
    let sides = || (1..=3_usize, 1..=3_usize);
    let conv = (1..=2_usize, sides(), sides(), 0..=2_usize).prop_map(|(out_channels, kernel, stride, padding)| {
        let padding = Padding::Number(padding.min(kernel.0 - 1).min(kernel.1 - 1));
        Layer::Conv { out_channels, kernel_size: kernel, stride, padding, groups: 1 }
    });
    let pool = (prop::bool::ANY, sides(), sides()).prop_map(|(max, kernel_size, stride)| {
        if max { Layer::MaxPool { kernel_size, stride } } else { Layer::AvgPool { kernel_size, stride } }
    });
    prop_oneof![3 => conv, 2 => pool]
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
    let model = fixture.model(Pixels::all(fixture.f64("mean"), fixture.f64("std")));
    let image = fixture.u8s("image");
    (fixture, model, image)
}
