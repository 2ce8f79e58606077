//! Random networks on random batches: every path through a step against a chain of f64 references, and the same bits on
//! every instruction set and number of threads.

mod case;
mod compare;
mod expected;
mod random;

use super::testing::{Got, gradients};
use super::*;
use crate::data::ImageShape;
use crate::model::{Layer, Shape, blocks};
use crate::ops::Operation;
use crate::precision::Precision;
use crate::workers::Team;
use case::{Case, Picture};
use compare::{accuracy, same_bits};
use expected::{NEAR, expected};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use random::standardised;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Random networks that must have run.
const CASES: u32 = 360;

/// Why a case does not pass.
#[derive(Debug)]
enum Trouble {
    /// The references and f32 may differ.
    Unclear(&'static str),
    /// They must not, and do.
    Wrong(String),
}

/// Checks one case on every instruction set and by several teams of threads.
fn check(case: &Case) -> Result<(), Trouble> {
    let (model, (batches, data)) = (case.model(), case.data());
    let expected = expected(&model, &data, batches.last().expect("two batches"), NEAR);
    if let Some(why) = expected.unclear {
        return Err(Trouble::Unclear(why));
    }
    let mut first: Option<(String, Got)> = None;
    for &isa in Isa::available() {
        // Once on the portable path, which takes most of the time: how work is split does not depend on the
        // instructions.
        let teams = [(3, false), (1, false), (2, true)];
        for &(threads, relay) in if isa.name() == "portable" { &teams[..1] } else { &teams } {
            let who = format!("{} on {threads} threads{}", isa.name(), if relay { " in a relay" } else { "" });
            let got = gradients(isa, Team { threads, relay }, &model, &data, &batches);
            let outcome = match &first {
                Some((name, reference)) => same_bits(&got, reference).map_err(|why| format!("{who} and {name}: {why}")),
                None => accuracy(&got, &expected).map_err(|why| format!("{who}: {why}")),
            };
            outcome.map_err(Trouble::Wrong)?;
            first.get_or_insert((who, got));
        }
    }
    Ok(())
}

/// What may be special about a case, and whether it is.
fn specialities(case: &Case) -> impl Iterator<Item = (&'static str, bool)> {
    let layers: Vec<Layer> = case.net.layers().iter().map(|info| info.layer).collect();
    let disjoint = |layer| matches!(layer, Layer::MaxPool { kernel_size, stride } if kernel_size == stride);
    let overlapping = |layer| matches!(layer, Layer::MaxPool { kernel_size: k, stride: s } if s.0 < k.0 || s.1 < k.1);
    let is_conv = |l: &Layer| matches!(l, Layer::Conv { groups: 1, .. });
    let smooth = |l: &Layer| matches!(l, Layer::Tanh | Layer::Sigmoid);
    let any_conv = |l: &Layer| matches!(l, Layer::Conv { .. } | Layer::Depthwise { .. });
    let of_any = |f: &dyn Fn(&Layer, &Layer) -> bool| layers.windows(3).any(|l| any_conv(&l[0]) && f(&l[1], &l[2]));
    let of_three = |f: &dyn Fn(&Layer, &Layer) -> bool| layers.windows(3).any(|l| is_conv(&l[0]) && f(&l[1], &l[2]));
    let convs: Vec<_> = case
        .net
        .layers()
        .iter()
        .filter_map(|info| match (info.layer, info.input, info.output) {
            (Layer::Conv { kernel_size, stride, groups: 1, .. }, Shape::Image(from), Shape::Image(to)) => {
                let blocks = from.channels >= 16 && to.channels >= 16;
                Some((kernel_size, stride, blocks, from.height.max(from.width)))
            }
            _ => None,
        })
        .collect();
    let (input, linear) = (case.net.input(), |l: &&Layer| matches!(**l, Layer::Linear { .. }));
    let few_first = matches!(layers.first(), Some(Layer::Linear { out_features: ..=16 }));
    [
        ("convolution, ReLU, maxima of disjoint windows", of_three(&|a, b| *a == Layer::Relu && disjoint(*b))),
        (
            "3x3 convolution in tiles",
            case.net
                .layers()
                .iter()
                .skip(1)
                .any(|info| matches!(info.layer, Layer::Conv { kernel_size: (3, 3), stride: (1, 1), groups: 1, .. })),
        ),
        ("convolution, maxima, ReLU", of_three(&|a, b| disjoint(*a) && *b == Layer::Relu)),
        ("convolution, tanh or sigmoid, maxima", of_three(&|a, b| smooth(a) && disjoint(*b))),
        ("convolution, maxima, tanh or sigmoid", of_three(&|a, b| disjoint(*a) && smooth(b))),
        (
            "convolution, maxima, no activation",
            of_three(&|a, b| disjoint(*a) && matches!(b, Layer::Conv { .. } | Layer::Linear { .. } | Layer::Gelu)),
        ),
        ("convolution, ReLU, maxima of overlapping windows", of_any(&|a, b| *a == Layer::Relu && overlapping(*b))),
        ("convolution, maxima of overlapping windows, ReLU", of_any(&|a, b| overlapping(*a) && *b == Layer::Relu)),
        ("dropout between activation and pooling", layers.iter().any(|l| matches!(l, Layer::Dropout { .. }))),
        ("maxima of overlapping windows", layers.iter().any(|l| overlapping(*l))),
        ("means", layers.iter().any(|l| matches!(l, Layer::AvgPool { .. }))),
        ("tanh or sigmoid", layers.iter().any(|l| matches!(l, Layer::Tanh | Layer::Sigmoid))),
        ("batch norm of maps", layers.windows(2).any(|l| is_conv(&l[0]) && matches!(l[1], Layer::BatchNorm { .. }))),
        ("batch norm of rows", layers.windows(2).any(|l| linear(&&l[0]) && matches!(l[1], Layer::BatchNorm { .. }))),
        ("grouped convolution", layers.iter().any(|l| matches!(l, Layer::Conv { groups: 2.., .. }))),
        ("depthwise convolution", layers.iter().any(|l| matches!(l, Layer::Depthwise { .. }))),
        (
            "depthwise convolution with a stride",
            layers.iter().any(|l| matches!(l, Layer::Depthwise { stride: (2.., _) | (_, 2..), .. })),
        ),
        ("silu", layers.iter().any(|l| matches!(l, Layer::Silu))),
        ("leaky ReLU", layers.iter().any(|l| matches!(l, Layer::LeakyRelu { .. }))),
        ("gelu", layers.iter().any(|l| matches!(l, Layer::Gelu))),
        ("two linear layers or more", layers.iter().filter(linear).count() > 1),
        ("no convolution", convs.is_empty()),
        ("few outputs over pixels", few_first),
        ("two convolutions or more", convs.len() > 1),
        ("a convolution with a stride", convs.iter().any(|(_, stride, ..)| *stride != (1, 1))),
        ("an even kernel", convs.iter().any(|(k, ..)| k.0.is_multiple_of(2) || k.1.is_multiple_of(2))),
        ("a kernel that is not square", convs.iter().any(|(k, ..)| k.0 != k.1)),
        ("a kernel wider than five", convs.iter().any(|(k, ..)| k.1 > 5)),
        ("a convolution of blocks of channels to blocks", convs.iter().any(|(_, _, blocks, _)| *blocks)),
        (
            "the same of small maps with a large kernel",
            convs.iter().any(|&(k, stride, blocks, side)| blocks && stride == (1, 1) && k.0 * k.1 >= 15 && side <= 14),
        ),
        ("a batch of one", case.rows == 1),
        ("a batch of 33 or more", case.rows >= 33),
        ("images of 64x64", (input.height, input.width) == (64, 64)),
        ("images of several channels", input.channels > 1),
        ("images of 15 channels or more", input.channels >= 15),
        ("blank pixels that are not zero", case.pixels != Pixels::default()),
        ("blank images only", case.picture == Some(Picture::Blank)),
        ("blobs on a blank background only", case.picture == Some(Picture::Blob)),
    ]
    .into_iter()
}

#[test]
fn random_networks_agree_with_the_references_and_with_themselves() {
    let config = Config {
        cases: CASES,
        // More that are unclear end the test, too.
        max_global_rejects: CASES,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..Config::default()
    };
    // The same cases every time.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    let result = runner.run(&random::case(), |case| match check(&case) {
        Err(Trouble::Unclear(why)) => Err(TestCaseError::reject(why)),
        Err(Trouble::Wrong(why)) => Err(TestCaseError::fail(why)),
        Ok(()) => {
            for (name, holds) in specialities(&case) {
                *seen.borrow_mut().entry(name).or_default() += u32::from(holds);
            }
            Ok(())
        }
    });
    result.unwrap_or_else(|why| panic!("{why}"));
    let seen = seen.into_inner();
    assert!(seen.values().all(|count| *count >= 4), "cases of each kind: {seen:#?}");
}

/// Networks that random ones are too small for, or too seldom like.
#[test]
fn chosen_networks_agree_with_the_references_and_with_themselves() {
    let image = |channels, height, width| ImageShape { channels, height, width };
    let cnn2: &[&str] = &[
        "conv 32 5x5 same",
        "relu",
        "maxpool 2",
        "conv 64 5x5 same",
        "relu",
        "maxpool 2",
        "linear 128",
        "relu",
        "linear 10",
    ];
    for (input, layers, rows) in [
        (image(1, 28, 28), cnn2, 2),
        (image(3, 32, 32), &["conv 16 3x3 same", "relu", "maxpool 2", "conv 32 3x3 same", "relu", "linear 10"], 3),
        // More images than go through a Fourier transform together, with whole and broken blocks of channels.
        (image(1, 7, 7), &["conv 16 1x1", "relu", "conv 32 5x5 same", "relu", "maxpool 2", "linear 5"], 33),
        (image(2, 7, 8), &["conv 17 3x3 same", "tanh", "conv 18 5x5 same", "avgpool 2", "linear 5"], 29),
        // Small maps, of more images than are taken together.
        (
            image(1, 28, 27),
            &[
                "conv 17 3x3 same stride 2",
                "relu",
                "conv 24 3x3 same stride 2",
                "relu",
                "conv 6 5x3 stride 2",
                "linear 5",
            ],
            29,
        ),
        // The largest padded map that a transform of 16x16 holds, and the next.
        (image(1, 14, 14), &["conv 16 3x3 same", "relu", "conv 16 5x5 same", "relu", "maxpool 2", "linear 3"], 3),
        (image(1, 15, 15), &["conv 16 3x3 same", "relu", "conv 16 5x5 same", "relu", "maxpool 2", "linear 3"], 3),
        (image(3, 21, 17), &["conv 18 3x3 same", "relu", "conv 33 3x3", "gelu", "global-avgpool", "linear 5"], 7),
        (image(1, 9, 8), &["global-avgpool", "linear 3"], 5),
        (image(3, 64, 64), &["conv 8 3x3 stride 2 same", "relu", "maxpool 2", "conv 16 3x3", "relu", "linear 10"], 9),
        (image(1, 64, 64), &["conv 4 7x7 stride 3", "relu", "maxpool 3 stride 2", "linear 12", "relu", "linear 4"], 20),
        (image(16, 12, 13), &["conv 16 7x7 same", "relu", "maxpool 2", "linear 6"], 4),
        (image(20, 9, 9), &["conv 33 2x7 stride 1x2", "relu", "maxpool 2", "conv 3 1x1", "relu", "linear 6"], 9),
        (image(1, 28, 28), &["linear 200", "relu", "linear 200", "relu", "linear 10"], 10),
        (image(1, 8, 8), &["linear 64", "relu", "linear 10"], 1024),
        // A layer that two threads share in a relay, with a shorter last block.
        (image(1, 20, 18), &["conv 5 3x3 same", "relu", "maxpool 2", "linear 270", "tanh", "linear 10"], 13),
        // The most classes, after other layers and straight over pixels.
        (image(2, 7, 9), &["conv 5 3x3 same", "relu", "maxpool 2", "linear 24", "tanh", "linear 1000"], 19),
        (image(1, 12, 12), &["linear 1000"], 35),
        // Few outputs over pixels, then layers whose threads share the images otherwise.
        (image(1, 28, 28), &["linear 16", "sigmoid", "linear 130", "tanh", "linear 10"], 50),
        (image(3, 5, 7), &["linear 1", "tanh", "linear 20", "tanh", "linear 3"], 33),
        (image(1, 9, 9), &["conv 6 3x3 same", "relu", "maxpool 2", "linear 10"], 257),
        (image(1, 5, 40), &["conv 5 5x1", "relu", "maxpool 1x2", "linear 3"], 2),
        (image(1, 40, 5), &["conv 5 1x5", "relu", "maxpool 2x1", "linear 3"], 2),
        (image(1, 1, 1), &["conv 3 1x1", "relu", "maxpool 1", "conv 2 1x1 stride 2", "linear 2"], 5),
        (image(2, 2, 3), &["maxpool 2 stride 1", "linear 1", "linear 2"], 5),
        // Batch norms behind convolutions of each method, behind pooling, and of rows however they are made.
        (
            image(2, 13, 12),
            &[
                "conv 17 3x3 same",
                "batchnorm",
                "relu",
                "conv 16 5x5 same",
                "batchnorm",
                "tanh",
                "maxpool 2",
                "linear 4",
            ],
            9,
        ),
        (image(1, 14, 14), &["conv 16 3x3 same", "maxpool 2", "batchnorm", "relu", "dropout 0.3", "linear 3"], 15),
        (image(1, 9, 8), &["linear 130", "batchnorm", "relu", "dropout 0.2", "linear 5", "batchnorm", "linear 3"], 33),
        (image(3, 5, 7), &["batchnorm", "linear 12", "batchnorm", "gelu", "linear 3"], 20),
        // Groups that are whole blocks of channels, that share blocks, that are one block all together, over the images;
        // with strides, with borders for what comes next, with filters for several of which there is one channel.
        (
            image(3, 12, 11),
            &["conv 32 3x3 same", "tanh", "conv 64 3x3 same groups 2", "relu", "maxpool 2", "linear 4"],
            5,
        ),
        (
            image(2, 11, 12),
            &[
                "conv 32 3x3 same groups 2",
                "batchnorm",
                "silu",
                "conv 48 5x5 stride 2 same groups 4",
                "leakyrelu 0.2",
                "conv 36 3x3 groups 3",
                "tanh",
                "linear 4",
            ],
            9,
        ),
        (image(4, 9, 8), &["conv 20 2x3 stride 2x3 groups 2", "tanh", "conv 30 1x1 groups 10", "linear 4"], 7),
        (image(3, 10, 10), &["conv 12 3x3 same groups 3", "batchnorm", "relu", "dropout 0.3", "linear 4"], 8),
        // Depthwise: of the images, of broken and several blocks, between batch norms, by both texts.
        (
            image(3, 13, 12),
            &[
                "depthwise 3x3 same",
                "tanh",
                "conv 33 1x1",
                "batchnorm",
                "tanh",
                "depthwise 3x3 same",
                "batchnorm",
                "linear 4",
            ],
            9,
        ),
        (
            image(1, 17, 16),
            &[
                "conv 18 3x3",
                "leakyrelu 0.1",
                "depthwise 5x5 stride 2 same",
                "silu",
                "conv 18 3x2 padding 1 groups 18",
                "linear 4",
            ],
            20,
        ),
        (
            image(17, 9, 9),
            &["[depthwise 3x3 same, relu]", "depthwise 2x4 stride 3x1", "relu", "maxpool 2", "linear 3"],
            6,
        ),
        // Residual blocks: projected and not, of the images, of rows.
        (
            image(2, 12, 11),
            &[
                "conv 16 3x3 same",
                "relu",
                "[conv 16 3x3 same, relu, conv 16 3x3 same]",
                "relu",
                "maxpool 2",
                "linear 4",
            ],
            5,
        ),
        (
            image(1, 14, 13),
            &[
                "conv 17 3x3 same",
                "relu",
                "[conv 20 3x3 stride 2 same, batchnorm]",
                "relu",
                "global-avgpool",
                "linear 3",
            ],
            9,
        ),
        (image(3, 8, 8), &["[conv 3 5x5 same, tanh]", "[conv 5 3x3 same, maxpool 2, relu]", "linear 3"], 7),
        (image(1, 8, 8), &["linear 40", "relu", "[linear 40, batchnorm, relu]", "linear 3"], 20),
        // Residual blocks without a parameter.
        (image(2, 8, 8), &["conv 5 3x3 same", "[relu]", "[dropout 0.5]", "linear 3"], 7),
        (image(1, 7, 7), &["conv 17 3x3 same", "[dropout 0]", "[avgpool 1]", "[maxpool 1]", "linear 3"], 7),
        (image(1, 5, 6), &["linear 20", "[relu]", "[dropout 0.5]", "[flatten, tanh]", "linear 3"], 9),
        (image(2, 5, 5), &["[tanh]", "[dropout 0.5]", "linear 3"], 7),
        // Pooling first, after convolutions of each method.
        (
            image(1, 28, 28),
            &["conv 24 5x5", "maxpool 2", "relu", "conv 32 3x3", "maxpool 2", "relu", "linear 40", "relu", "linear 10"],
            3,
        ),
        (image(1, 14, 14), &["conv 16 3x3 same", "maxpool 2", "conv 16 5x5 same", "maxpool 2", "linear 3"], 15),
        (
            image(3, 13, 11),
            &["conv 9 3x3", "tanh", "maxpool 2", "conv 17 2x2", "maxpool 3x1", "sigmoid", "linear 4"],
            6,
        ),
        (
            image(2, 12, 12),
            &["conv 20 3x3", "maxpool 2", "gelu", "conv 5 7x7 padding 3", "gelu", "maxpool 2", "linear 4"],
            4,
        ),
        // 3x3 convolutions in tiles: odd sizes, several images at a time, an image in pieces, more than one panel.
        (image(1, 19, 16), &["conv 16 3x3", "tanh", "conv 33 3x3 same", "relu", "maxpool 2", "linear 4"], 2),
        (image(2, 40, 41), &["conv 17 3x3 same", "conv 20 3x3", "tanh", "avgpool 3", "linear 3"], 3),
        (image(1, 9, 9), &["conv 70 3x3", "tanh", "conv 66 3x3", "conv 18 3x3", "linear 2"], 21),
        (image(1, 20, 20), &["conv 17 3x3", "relu", "dropout 0.5", "maxpool 2", "dropout 0.1", "linear 4"], 5),
        (image(3, 31, 31), &["conv 20 5x5 stride 2", "relu", "maxpool 3 stride 2", "dropout 0.3", "linear 5"], 5),
    ] {
        let classes = layers.last().expect("a layer").split(' ').nth(1).expect("a number").parse().expect("a number");
        let net = Architecture::of_blocks(input, blocks(layers), classes).expect("fits");
        for (picture, pixels) in [(None, standardised(input.channels)), (Some(Picture::Blob), Pixels::default())] {
            let of_seed = |seed| Case { net: net.clone(), rows, before: 1, pixels: pixels.clone(), picture, seed };
            let clear = (0..30).map(of_seed).find_map(|case| match check(&case) {
                Err(Trouble::Unclear(_)) => None,
                outcome => Some((case, outcome)),
            });
            let (case, outcome) = clear.unwrap_or_else(|| panic!("no seed is clear: {:?}", of_seed(0)));
            if let Err(Trouble::Wrong(why)) = outcome {
                panic!("{case:?}: {why}");
            }
        }
    }
}

/// A training has teams take turns, as they are faster or slower.
#[test]
fn a_relay_gives_the_bits_of_one_thread() {
    let layers = ["conv 4 5x5 same", "relu", "maxpool 2", "linear 520", "tanh", "linear 530", "relu", "linear 10"];
    let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
    let input = ImageShape { channels: 1, height: 28, width: 28 };
    let net = Architecture::new(input, parsed, 10).expect("fits");
    let case = Case { net, rows: 11, before: 1, pixels: Pixels::default(), picture: None, seed: 1 };
    let (batches, data) = case.data();
    for precision in Precision::ALL {
        let model = case.model().with_precision(precision);
        let of = |threads, relay| gradients(Isa::detect(), Team { threads, relay }, &model, &data, &batches);
        let one = of(1, false);
        for threads in 2..=6 {
            let shared = model.graph.nodes.iter().filter(|node| node.op.can_relay(threads)).count();
            assert_eq!(shared, if threads <= 4 { 2 } else { 0 }, "layers that {threads} threads share in a relay");
            for relay in [false, true] {
                same_bits(&of(threads, relay), &one).unwrap_or_else(|why| panic!("{threads} threads, {relay}: {why}"));
            }
        }
    }
}
