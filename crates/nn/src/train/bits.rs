//! The bit rule: the same weights on every instruction set and any number of threads.

use super::testing::some_digits;
use super::*;
use crate::model::{Init, blocks};
use crate::optim::{Optimizer, Schedule};
use crate::precision::Precision;
use std::io::Write as _;

/// What is trained, and how.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) layers: &'static [&'static str],
    pub(super) config: TrainConfig,
}

const CNN2_DROPOUT: &[&str] = &[
    "conv 32 5x5 same",
    "relu",
    "maxpool 2",
    "conv 64 5x5 same",
    "relu",
    "maxpool 2",
    "linear 1024",
    "relu",
    "dropout 0.5",
    "linear 10",
];

/// The six recipes of the built-in study (`crates/study/src/digits.toml`), which this crate does not know: what counts
/// here are the shapes.
pub(super) fn built_in() -> [Recipe; 6] {
    let recipe = |name, layers, batch_size, lr| {
        let config =
            TrainSettings { batch_size, epochs: 1, optimizer: Optimizer::adam(lr), ..TrainSettings::default() }
                .with_seed(1);
        Recipe { name, layers, config }
    };
    let mut recipes = [
        recipe("softmax", &["linear 10"][..], 100, 7.4e-6),
        recipe("mlp", &["linear 200", "relu", "linear 200", "relu", "linear 10"], 50, 5e-5),
        recipe("cnn1", &["conv 32 5x5 same", "relu", "maxpool 2", "linear 1024", "relu", "linear 10"], 50, 2.5e-5),
        recipe(
            "cnn2",
            &[
                "conv 32 5x5 same",
                "relu",
                "maxpool 2",
                "conv 64 5x5 same",
                "relu",
                "maxpool 2",
                "linear 1024",
                "relu",
                "linear 10",
            ],
            50,
            3e-5,
        ),
        recipe("cnn2-dropout-b50", CNN2_DROPOUT, 50, 5e-5),
        recipe("cnn2-dropout-b100", CNN2_DROPOUT, 100, 1e-4),
    ];
    recipes[0].config.settings.init = Init::Zero;
    recipes[5].config.settings.init = Init::TruncatedNormal;
    recipes[2].config.settings.schedule = Schedule::Step { every: 1, factor: 0.83 };
    recipes
}

/// A network with everything next to everything that the recipes have not.
const SMALL: &[&str] =
    &["conv 17 5x5 same", "relu", "maxpool 2", "dropout 0.25", "linear 30", "tanh", "dropout 0.5", "linear 10"];

/// Batch norms behind everything that can come before one.
const NORMED: &[&str] = &[
    "conv 17 3x3 same",
    "batchnorm",
    "relu",
    "dropout 0.2",
    "maxpool 2",
    "conv 20 3x3",
    "maxpool 2",
    "batchnorm momentum 0.3 eps 1e-3",
    "gelu",
    "linear 40",
    "batchnorm",
    "tanh",
    "linear 10",
];

/// Residual blocks with and without a projection.
const RESIDUAL: &[&str] = &[
    "conv 16 3x3 same",
    "batchnorm",
    "relu",
    "[conv 16 3x3 same, batchnorm, relu, conv 16 3x3 same, batchnorm]",
    "relu",
    "[conv 24 3x3 stride 2 same, batchnorm, relu, dropout 0.2, conv 24 3x3 same, batchnorm]",
    "relu",
    "global-avgpool",
    "linear 10",
];

/// Grouped and depthwise convolutions, and the activations of today.
const MOBILE: &[&str] = &[
    "conv 32 3x3 stride 2 same",
    "batchnorm",
    "silu",
    "depthwise 3x3 same",
    "batchnorm",
    "silu",
    "conv 48 1x1 groups 2",
    "leakyrelu 0.1",
    "conv 48 3x3 same groups 6",
    "dropout 0.2",
    "depthwise 5x5 stride 2 same",
    "relu",
    "linear 10",
];

/// Few outputs over pixels, which threads share sixteen by sixteen, and layers behind them that they share otherwise.
const FEW: &[&str] = &[
    "linear 16",
    "sigmoid",
    "dropout 0.2",
    "linear 64",
    "relu",
    "linear 64",
    "relu",
    "linear 300",
    "tanh",
    "linear 10",
];

/// Numbers of threads that split the work evenly and unevenly, fewer and more than there are processors here and there.
const THREADS: [usize; 4] = [1, 2, 3, 5];

/// Those of the portable path, which takes some ten times as long: how work is split does not depend on the
/// instructions.
const PORTABLE_THREADS: [usize; 2] = [1, 3];

/// What a training gives, but for times.
#[derive(Debug)]
struct Bits {
    arrays: Vec<(String, Vec<f32>)>,
    epochs: Vec<f64>,
}

impl Bits {
    fn of(recipe: &Recipe, (train, valid): (&Dataset, &Dataset), isa: Isa, threads: usize) -> Bits {
        let net = Architecture::of_blocks(train.shape(), blocks(recipe.layers), train.classes()).expect("fits");
        let outcome = train_on(isa, &net, &recipe.config, train, valid, threads, None, &mut |_| Flow::Continue);
        let array = |name: &String| (name.clone(), outcome.model.tensor(name).expect("an array"));
        Bits {
            arrays: net.params().iter().map(|spec| array(&spec.name)).collect(),
            epochs: outcome.epochs.iter().flat_map(|e| [e.train_loss, e.valid_loss, e.valid_accuracy]).collect(),
        }
    }

    /// The first number whose bits are not the other's.
    fn difference(&self, other: &Bits) -> Option<String> {
        assert_eq!(self.arrays.len(), other.arrays.len(), "arrays");
        for ((name, ours), (_, theirs)) in self.arrays.iter().zip(&other.arrays) {
            assert_eq!(ours.len(), theirs.len(), "length of {name}");
            if let Some(at) = (0..ours.len()).find(|&at| ours[at].to_bits() != theirs[at].to_bits()) {
                return Some(format!("{name}[{at}] is {:e} and {:e}", ours[at], theirs[at]));
            }
        }
        let bits = |epochs: &[f64]| epochs.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        (bits(&self.epochs) != bits(&other.epochs))
            .then(|| format!("losses and accuracies are {:?} and {:?}", self.epochs, other.epochs))
    }
}

/// Asserts that a recipe gives the same bits on all of `isas` and [`THREADS`], which it gives back.
fn assert_same_everywhere(recipe: &Recipe, data: (&Dataset, &Dataset), isas: &[Isa]) -> Bits {
    let mut first = None::<(Bits, &str)>;
    for isa in isas {
        let all = if isa.name() == "portable" { &PORTABLE_THREADS[..] } else { &THREADS };
        for &threads in all {
            let bits = Bits::of(recipe, data, *isa, threads);
            let Some((reference, name)) = &first else {
                first = Some((bits, isa.name()));
                continue;
            };
            if let Some(difference) = reference.difference(&bits) {
                let (recipe, batch, isa) = (recipe.name, recipe.config.settings.batch_size, isa.name());
                panic!(
                    "{recipe}, batch {batch}: {name} on {} threads and {isa} on {threads}: {difference}",
                    THREADS[0]
                );
            }
        }
    }
    first.expect("an instruction set").0
}

/// The instruction sets of this processor, without asking [`Isa`].
fn of_this_processor() -> Vec<&'static str> {
    let mut names = vec!["portable"];
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        names.extend(avx2.then_some("avx2"));
        names.extend(avx512.then_some("avx512"));
        names.extend((avx512 && is_x86_feature_detected!("avx512bf16")).then_some("avx512bf16"));
    }
    names
}

#[test]
fn every_recipe_gives_the_same_bits_on_every_instruction_set_and_number_of_threads() {
    // Three steps, the last of them smaller. Batches of 7, where the portable path takes a second.
    let (train, valid) = some_digits(19, 5);
    let isas = Isa::available();
    for mut recipe in built_in() {
        recipe.config.settings.batch_size = 7;
        // One of three that are the same network, but for dropout and the size of a batch.
        if !["cnn2", "cnn2-dropout-b100"].contains(&recipe.name) {
            assert_same_everywhere(&recipe, (&train, &valid), isas);
        }
    }
    let ran: Vec<&str> = isas.iter().map(|isa| isa.name()).collect();
    // Not by `println!`, which the harness shows only where a test fails.
    writeln!(std::io::stderr(), "instruction sets that gave the same bits: {}", ran.join(", "))
        .expect("standard error");
    assert_eq!(ran, of_this_processor(), "instruction sets that ran, and those of this processor");
}

/// More than is promised: products of bf16 are made of f32 operations where the processor has no instruction for them.
#[test]
fn in_bf16_recipes_give_the_same_bits_on_every_instruction_set_and_number_of_threads() {
    let (train, valid) = some_digits(19, 5);
    // One with large linear layers, one with a convolution in the frequency domain, and one that stays as it is.
    for mut recipe in built_in().into_iter().filter(|recipe| ["softmax", "mlp", "cnn2"].contains(&recipe.name)) {
        recipe.config.settings.batch_size = 7;
        let single = Bits::of(&recipe, (&train, &valid), Isa::detect(), 2);
        let mut of = |precision| {
            recipe.config.settings.precision = precision;
            assert_same_everywhere(&recipe, (&train, &valid), Isa::available())
        };
        let (chained, tiled) = (of(Precision::Bf16), of(Precision::Bf16Tile));
        let pairs = [("bf16 and f32", &chained, &single), ("bf16-tile and bf16", &tiled, &chained)];
        for (which, one, other) in pairs {
            let differ = one.difference(other).is_some();
            assert_eq!(differ, recipe.name != "softmax", "{}: {which} differ in bits", recipe.name);
        }
    }
}

#[test]
fn every_recipe_gives_the_same_bits_at_its_own_batch_size() {
    let (train, valid) = some_digits(298, 5);
    // Without the portable path, which would take a minute, where there is another.
    let isas = match Isa::available() {
        [_portable, faster @ ..] if !faster.is_empty() => faster,
        all => all,
    };
    // One of two that are the same but for dropout.
    for recipe in built_in().into_iter().filter(|recipe| recipe.name != "cnn2") {
        let examples: Vec<u32> = (0..3 * recipe.config.settings.batch_size as u32 - 2).collect();
        assert_same_everywhere(&recipe, (&train.select(&examples), &valid), isas);
    }
}

#[test]
fn two_epochs_give_the_same_bits_and_another_seed_gives_others() {
    let (train, valid) = some_digits(230, 40);
    let config = TrainSettings { batch_size: 50, epochs: 2, ..TrainSettings::default() }.with_seed(1);
    let mut small = Recipe { name: "small", layers: SMALL, config };
    let bits = assert_same_everywhere(&small, (&train, &valid), Isa::available());
    small.config.seed = 2;
    let other = Bits::of(&small, (&train, &valid), Isa::detect(), 2);
    let difference = bits.difference(&other).expect("another seed gives other weights");
    assert!(difference.starts_with("conv1.weight[0] is "), "{difference}");
}

#[test]
fn batch_norms_give_the_same_bits() {
    let (train, valid) = some_digits(82, 40);
    let config = TrainSettings { batch_size: 40, epochs: 2, ..TrainSettings::default() }.with_seed(1);
    let recipe = Recipe { name: "normed", layers: NORMED, config };
    let bits = assert_same_everywhere(&recipe, (&train, &valid), Isa::available());
    let kept = |name: &str| &bits.arrays.iter().find(|(array, _)| array == name).expect("an array").1;
    assert!(kept("bn1.running_mean").iter().all(|mean| *mean != 0.0), "running means move");
    assert!(kept("bn3.running_var").iter().all(|variance| *variance != 1.0), "running variances move");
}

#[test]
fn residual_blocks_give_the_same_bits() {
    let (train, valid) = some_digits(19, 5);
    let config = TrainSettings { batch_size: 7, epochs: 1, ..TrainSettings::default() }.with_seed(1);
    assert_same_everywhere(&Recipe { name: "residual", layers: RESIDUAL, config }, (&train, &valid), Isa::available());
}

#[test]
fn grouped_and_depthwise_convolutions_give_the_same_bits() {
    let (train, valid) = some_digits(19, 5);
    let config = TrainSettings { batch_size: 7, epochs: 1, ..TrainSettings::default() }.with_seed(1);
    assert_same_everywhere(&Recipe { name: "mobile", layers: MOBILE, config }, (&train, &valid), Isa::available());
}

#[test]
fn few_outputs_before_others_give_the_same_bits() {
    let (train, valid) = some_digits(150, 70);
    for (batch_size, precision, mean) in [
        (1, Precision::F32, 0.0),
        (50, Precision::F32, 0.1),
        (50, Precision::Bf16, 0.0),
        (100, Precision::Bf16, 0.1),
        (50, Precision::Bf16Tile, 0.0),
    ] {
        let train = if batch_size == 1 { train.select(&[3, 1, 4]) } else { train.clone() };
        let optimizer = Optimizer::AdamW { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1 };
        let pixels = Pixels::all(mean, 0.3).into();
        let config = TrainSettings { batch_size, epochs: 1, optimizer, pixels, precision, ..TrainSettings::default() }
            .with_seed(1);
        assert_same_everywhere(&Recipe { name: "few", layers: FEW, config }, (&train, &valid), Isa::available());
    }
}

#[test]
fn a_single_bit_is_a_difference() {
    let bits = |value: f32, loss: f64| Bits { arrays: vec![("w".to_string(), vec![1.0, value])], epochs: vec![loss] };
    assert_eq!(bits(0.5, 0.1).difference(&bits(0.5, 0.1)), None);
    assert_eq!(bits(f32::NAN, 0.1).difference(&bits(f32::NAN, 0.1)), None);
    assert_eq!(bits(0.0, 0.1).difference(&bits(-0.0, 0.1)), Some("w[1] is 0e0 and -0e0".to_string()));
    let (loss, next) = (0.1_f64, 0.1_f64.next_up());
    let expected = format!("losses and accuracies are [{loss}] and [{next}]");
    assert_eq!(bits(0.5, loss).difference(&bits(0.5, next)), Some(expected));
}
