//! What `scripts/check-onnx` looks at: networks as ONNX, real images, and what tenfold makes of them.

use super::tests::every_layer;
use super::*;
use crate::data::{Dataset, ImageShape, Source};
use crate::evaluate::{Evaluator, logits};
use crate::model::{Architecture, Init, Layer};
use crate::train::{Flow, PerChannel, Pixels, PixelsFrom, TrainSettings, train};
use std::path::Path;

const IMAGES: usize = 1000;

const GREY: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const COLOUR: ImageShape = ImageShape { channels: 3, height: 28, width: 28 };
const WIDE: ImageShape = ImageShape { channels: 3, height: 18, width: 26 };

/// MNIST's first test images, cut to the middle; each channel shows another digit.
fn digits(shape: ImageShape, classes: usize) -> Dataset {
    let source = Source::mnist().test;
    let (top, left) = ((28 - shape.height) / 2, (28 - shape.width) / 2);
    let mut pixels = Vec::new();
    for n in 0..IMAGES {
        for channel in 0..shape.channels {
            let rows = source.image(n + channel * IMAGES).chunks_exact(28).skip(top).take(shape.height);
            pixels.extend(rows.flat_map(|row| &row[left..left + shape.width]));
        }
    }
    Dataset::new(pixels, vec![0; IMAGES], shape, classes).expect("whole")
}

/// `[N, C, H, W]` as `[N, H, W, C]`.
fn channels_last(images: &Dataset) -> Vec<u8> {
    let shape = images.shape();
    let plane = shape.height * shape.width;
    let of_image = |image: &[u8]| -> Vec<u8> {
        (0..plane)
            .flat_map(|at| (0..shape.channels).map(move |channel| channel * plane + at))
            .map(|at| image[at])
            .collect()
    };
    images.pixels().chunks_exact(plane * shape.channels).flat_map(of_image).collect()
}

fn architecture(shape: ImageShape, layers: &str) -> Architecture {
    let layers: Vec<Layer> = layers.split(", ").map(|layer| layer.parse().expect("a layer")).collect();
    let Some(&Layer::Linear { out_features }) = layers.last() else { panic!("the last layer is linear") };
    Architecture::new(shape, layers, out_features).expect("fits")
}

/// A network that has seen some digits.
fn trained(layers: &str, settings: TrainSettings) -> Model {
    let source = Source::mnist().train;
    let images = source.select(&(0..6_000).collect::<Vec<_>>());
    let valid = source.select(&(6_000..6_500).collect::<Vec<_>>());
    let config = TrainSettings { epochs: 2, ..settings }.with_seed(1);
    train(&architecture(GREY, layers), &config, &images, &valid, 2, &mut |_| Flow::Continue).model
}

fn about(name: &str, classes: usize, temperature: Option<f64>) -> OnnxAbout {
    let class_names = (0..classes).map(|class| format!("class {class}")).collect();
    OnnxAbout { name: name.into(), version: env!("CARGO_PKG_VERSION").into(), class_names, temperature, abstain: None }
}

/// The bytes of `NAME.onnx`, the images `[1000, H, W, C]` and the logits, f32 `[1000, classes]`, of each network.
fn write_case(folder: &Path, model: &Model, about: &OnnxAbout) {
    let images = digits(model.architecture().input(), model.architecture().classes());
    let mut expected = logits(&mut Evaluator::new(model, IMAGES, 2), model, &images, 2);
    expected.iter_mut().for_each(|logit| *logit /= about.temperature.unwrap_or(1.0) as f32);
    let expected: Vec<u8> = expected.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let onnx = write(model, about).expect("it can be written");
    for (ending, bytes) in [("onnx", onnx), ("images", channels_last(&images)), ("logits", expected)] {
        std::fs::write(folder.join(&about.name).with_extension(ending), bytes).expect("the folder can be written to");
    }
}

#[test]
#[ignore = "scripts/check-onnx runs it, with onnxruntime"]
fn networks_for_onnxruntime() {
    let folder = std::env::var_os("TENFOLD_ONNX_CHECK").expect("TENFOLD_ONNX_CHECK names a folder");
    let folder = Path::new(&folder);
    let standard = |shape| Pixels::standard(&digits(shape, 10));
    let one_mean = Pixels { mean: PerChannel::All(0.3), ..standard(WIDE) };
    let random = [
        ("softmax", GREY, "linear 10", Pixels::default(), None),
        ("gelu-mlp", GREY, "linear 64, gelu, dropout 0.2, linear 64, gelu, linear 10", Pixels::default(), None),
        (
            "grey-standard",
            GREY,
            "conv 8 5x5 same, relu, maxpool 2, conv 16 3x3 stride 2 padding 1, gelu, avgpool 3 stride 2, dropout 0.5, \
             flatten, linear 32, tanh, linear 16, sigmoid, linear 10",
            standard(GREY),
            Some(1.7),
        ),
        (
            "colour-global",
            COLOUR,
            "conv 12 3x2 stride 2x1 padding 1, tanh, conv 20 3x3 same, gelu, maxpool 3x2 stride 2, relu, \
             global-avgpool, linear 10",
            standard(COLOUR),
            Some(0.4),
        ),
        ("colour-wide", WIDE, "conv 6 4x4 valid, sigmoid, avgpool 2x3, relu, linear 10", one_mean, None),
        ("colour-unit", WIDE, "maxpool 3 stride 1x2, conv 9 1x7 valid, relu, linear 10", Pixels::default(), None),
        (
            "colour-mobile",
            COLOUR,
            "conv 32 3x3 stride 2 same, silu, depthwise 3x3 same, leakyrelu 0.1, conv 48 1x1 groups 2, silu, \
             depthwise 5x4 stride 2 padding 2, relu, conv 24 3x3 same groups 12, global-avgpool, linear 10",
            standard(COLOUR),
            None,
        ),
        ("thousand", GREY, "avgpool 2, linear 1000", Pixels::all(0.1307, 0.3081), None),
    ];
    for (name, shape, layers, pixels, temperature) in random {
        let architecture = architecture(shape, layers);
        let classes = architecture.classes();
        // Logits that differ much from image to image.
        let model = Model::new(architecture, Init::Kaiming, 1, pixels);
        write_case(folder, &model, &about(name, classes, temperature));
    }
    let lenet = "conv 6 5x5 same, tanh, avgpool 2, conv 16 5x5 valid, tanh, avgpool 2, linear 84, tanh, linear 10";
    let small_vgg =
        "conv 16 3x3 same, relu, conv 16 3x3 same, relu, maxpool 2, dropout 0.25, linear 64, gelu, linear 10";
    let normed = "conv 16 3x3, batchnorm, relu, conv 16 3x3, maxpool 2, batchnorm momentum 0.5 eps 1e-3, gelu, \
                  linear 32, batchnorm, relu, linear 10";
    for (name, layers, pixels, temperature) in [
        ("trained-tanh", lenet, PixelsFrom::default(), None),
        ("trained-dropout", small_vgg, PixelsFrom::Standard, Some(1.3)),
        ("trained-normed", normed, PixelsFrom::default(), None),
    ] {
        let model = trained(layers, TrainSettings { pixels, ..TrainSettings::default() });
        write_case(folder, &model, &about(name, 10, temperature));
    }
    let (model, about) = every_layer();
    write_case(folder, &model, &about);
}
