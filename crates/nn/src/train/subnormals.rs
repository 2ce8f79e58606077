//! Nothing that is kept from step to step is ever subnormal, long into trainings on real digits; and these trainings
//! end with the same bits on every processor that runs the tests.

use super::bits::{Recipe, built_in};
use super::*;
use crate::data::Source;
use crate::optim::Optimizer;
use crate::precision::Precision;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Past some 830 steps, the mean gradient of a weight that gets none is below the smallest normal number.
const STEPS: usize = 1_200;

/// How many of `numbers` are subnormal.
fn subnormals(numbers: &[f32]) -> usize {
    numbers.iter().filter(|x| x.is_subnormal()).count()
}

/// Trains a recipe for [`STEPS`] steps on real digits, and asserts that nothing it keeps is subnormal, nor more than
/// one in a million of the numbers that lie in its buffers after the last step.
///
/// `pin` is the SHA-256 of the parameters in PyTorch's order, little-endian, as every processor gives it.
fn assert_none_is_kept(recipe: &Recipe, data: &Dataset, pin: &str) {
    let layers = recipe.layers.iter().map(|l| l.parse().expect("a layer")).collect();
    let net = Architecture::new(data.shape(), layers, data.classes()).expect("fits");
    let mut trainer = Trainer::new(Isa::detect(), &net, &recipe.config, data, 2);
    let mut epoch = 0;
    while (trainer.steps() as usize) < STEPS {
        epoch += 1;
        let steps = trainer.steps() as usize;
        let mut run = EpochRun::default();
        let halt = trainer.epoch(epoch, data, &mut run, &mut |event| match event {
            Event::Step { step, .. } if steps + step >= STEPS => Flow::Stop,
            _ => Flow::Continue,
        });
        assert!(halt != Halt::Diverged, "{}: {:?}", recipe.name, halt);
    }
    let name = recipe.name;
    let kept = [
        ("parameters", trainer.model.values.as_slice()),
        ("the optimizer's first state", trainer.moment1.as_slice()),
        ("the optimizer's second state", trainer.moment2.as_slice()),
    ];
    for (what, numbers) in kept {
        assert_eq!(subnormals(numbers), 0, "{name}: subnormal numbers among {} {what}", numbers.len());
    }
    // In bf16 some buffers hold pairs of numbers, which look like anything.
    if recipe.config.settings.precision.is_f32() {
        let buffers = trainer.memory.floats.as_slice();
        let found = subnormals(buffers);
        assert!(
            found <= buffers.len() / 1_000_000,
            "{name}: {found} of {} numbers in buffers are subnormal",
            buffers.len()
        );
    }
    let mut hash = Sha256::new();
    for spec in net.params() {
        for value in trainer.model.tensor(&spec.name).expect("an array") {
            hash.update(value.to_le_bytes());
        }
    }
    let got = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    });
    assert_eq!(got, pin, "SHA-256 of the parameters of {name} after {STEPS} steps");
}

#[test]
fn recipes_of_the_built_in_study_keep_no_subnormal_number_and_their_bits() {
    let splits = Source::mnist().split(6_000, 0).expect("splits");
    let pins = [
        ("softmax", "4c73ce0b5b865ae14a66084763d852e207a1da55ab0efa61b79d1e68a2de83e3"),
        ("mlp", "86320218508aafe5d195a89f125c9ee4cf1405873b31961a693ffcc40f8f02e6"),
        ("cnn2-dropout-b50", "58b34d76037327c7a29fad96c728e8d7c24b5290de2e23a789932f3f220aab36"),
    ];
    // cnn1 and cnn2, two thirds of the time that all would take, have no kind of layer that the last of these has not.
    for (name, pin) in pins {
        let mut recipe = built_in().into_iter().find(|recipe| recipe.name == name).expect("a recipe of the study");
        // Whole batches would take minutes; how states decay does not depend on them. `scripts/check-bits` has whole
        // ones, of all recipes.
        recipe.config.settings.batch_size = 10;
        assert_none_is_kept(&recipe, &splits.train, pin);
    }
}

/// Every kind of layer and optimizer, on images of which three quarters are blank.
#[test]
fn other_layers_and_optimizers_keep_no_subnormal_number_and_their_bits() {
    let digits = Source::mnist().train.select(&(0..1_000).collect::<Vec<u32>>());
    let mut pixels = digits.pixels().to_vec();
    for image in pixels.chunks_exact_mut(4 * digits.shape().len()) {
        image[digits.shape().len()..].fill(0);
    }
    let data = Dataset::new(pixels, digits.labels().to_vec(), digits.shape(), 10).expect("whole");
    let momentum = Optimizer::Sgd { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let nesterov = Optimizer::Sgd { lr: 0.01, momentum: 0.7, nesterov: true, weight_decay: 1e-3 };
    let plain = Optimizer::Sgd { lr: 0.05, momentum: 0.0, nesterov: false, weight_decay: 0.9 };
    let decoupled = Optimizer::AdamW { lr: 0.1, betas: [0.7, 0.9], eps: 1e-8, weight_decay: 5.0 };
    let quick = Optimizer::Adam { lr: 1e-3, betas: [0.7, 0.9], eps: 1e-8, weight_decay: 0.0 };
    let mlp = &["linear 32", "sigmoid", "linear 32", "tanh", "dropout 0.5", "linear 10"][..];
    let wide = &["linear 16", "relu", "linear 10"][..];
    let pooled = &["conv 17 5x5 same", "relu", "maxpool 2", "dropout 0.25", "linear 30", "tanh", "linear 10"][..];
    let strided = &["conv 5 3x3 stride 2", "tanh", "conv 18 3x3 same", "sigmoid", "avgpool 2", "linear 10"][..];
    let overlapping = &["conv 8 3x3", "maxpool 3 stride 2", "relu", "conv 16 5x5 same", "relu", "linear 10"][..];
    let nets = [
        (
            "sigmoid and tanh, momentum",
            mlp,
            momentum,
            Precision::F32,
            "fa05a74b7cc9ae22e694fceb7fd19f656f5cfde1efafea5f71a0c2d30e3b343d",
        ),
        (
            "sigmoid and tanh, betas 0.7 and 0.9",
            mlp,
            quick,
            Precision::F32,
            "97331020ededab62773bcabe48fd14a9c15bca31d8c94d3dec3a7b13eb97c520",
        ),
        (
            "few outputs, AdamW",
            wide,
            decoupled,
            Precision::F32,
            "d0091e7807dee26d456e5db4f91570aab062c41ccd46dcf406e3693712890514",
        ),
        (
            "few outputs, decay",
            &["linear 10"],
            plain,
            Precision::F32,
            "515b845b92636f40230a010589deed9576e3fc0745fa22fc6f5bfc65e5a94a6b",
        ),
        (
            "pooled, Nesterov",
            pooled,
            nesterov,
            Precision::F32,
            "741ea0f475e2db33032102d87b29d02992e98fa849a9e82ba671a0748cb1a3d9",
        ),
        (
            "pooled, betas 0.7 and 0.9",
            pooled,
            quick,
            Precision::F32,
            "589a2a83ea9d2d17cec92a256236aaff8b6335501acff8d4c85ca3d6a7e51ebe",
        ),
        (
            "strided, AdamW",
            strided,
            decoupled,
            Precision::F32,
            "13f72d3b0cf1ed78a96cbea8c4503f6df25559f3e5ff631cdc8a259000e0cfa9",
        ),
        (
            "overlapping pools, momentum",
            overlapping,
            momentum,
            Precision::F32,
            "bf259786707e4a35455ed143659142c6ac819f7408602d03b555cde0eed8ad24",
        ),
        (
            "bf16, Adam",
            &["linear 100", "relu", "linear 100", "relu", "linear 10"],
            quick,
            Precision::Bf16,
            "0960a14e6be52bc2914ae3f0640eb9745fed2ebf85a76a7d764d72f5f1d525fc",
        ),
        (
            "bf16-tile, Adam",
            &["linear 100", "relu", "linear 100", "relu", "linear 10"],
            quick,
            Precision::Bf16Tile,
            "ff37752d0158715321b3987f4f691031564be7b3d617173871286d2d8dcf2b3c",
        ),
    ];
    for (name, layers, optimizer, precision, pin) in nets {
        let config = TrainSettings { batch_size: 16, epochs: 100, optimizer, precision, ..TrainSettings::default() }
            .with_seed(1);
        assert_none_is_kept(&Recipe { name, layers, config }, &data, pin);
    }
}

#[test]
fn subnormal_numbers_are_seen() {
    assert_eq!(subnormals(&[0.0, -0.0, 1.0, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY]), 0);
    assert_eq!(subnormals(&[f32::MIN_POSITIVE.next_down(), -f32::from_bits(1), 1.0]), 2);
}
