//! Random networks: layers are drawn, then made to fit.

use super::case::{Case, Picture};
use crate::data::ImageShape;
use crate::model::{Architecture, Layer, Padding};
use crate::reference::window;
use crate::train::{PerChannel, Pixels};
use proptest::prelude::{Just, Strategy, prop};
use proptest::prop_oneof;
use tenfold_kernels::reference::Window;

/// Multiply-adds of one batch forward, beyond which a random network is made smaller: checking it then takes a tenth of
/// a second, most of it on the portable path and in the references.
const MACS: usize = 1 << 21;

/// Elements of a batch between two layers, beyond which a random network is made smaller: the more there are, the
/// nearer is some pair of them to a tie.
const ELEMENTS: usize = 40_000;

/// A batch norm whose eps is not next to nothing.
const NORM: Layer = Layer::BatchNorm { momentum: 0.1, eps: 1e-3 };

/// Values of a channel from which on a random network normalises them.
const ENOUGH: usize = 8;

/// Of one channel as MNIST is often seen, of several each in its own way: a blank pixel is then not zero.
pub(super) fn standardised(channels: usize) -> Pixels {
    let each = |first: f64, step: f64| {
        PerChannel::Each((0..channels).map(|channel| first + step * (channel % 4) as f64).collect())
    };
    Pixels { mean: each(0.1307, 0.11), std: each(0.3081, -0.03) }
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![4 => Just(1_usize), 2 => 2..=4_usize, 2 => 15..=18_usize];
    let sides = prop_oneof![
        4 => (5..=40_usize, 5..=40_usize),
        2 => (5..=14_usize, 5..=14_usize),
        2 => Just((28, 28)),
        2 => Just((64, 64)),
    ];
    let rows = prop_oneof![8 => 1..=9_usize, 1 => Just(33_usize), 1 => Just(70_usize), 1 => Just(130_usize)];
    let any = (image(channels, sides), prop::collection::vec(stage(), 0..=3), rows);
    // What goes through Fourier transforms: small maps, blocks of channels before and after.
    let small = image(prop_oneof![1..=3_usize, 16..=17_usize], (5..=9_usize, 5..=9_usize));
    let blocks = (small, prop::collection::vec(blocks(), 1..=2), 1..=2_usize);
    let hidden = prop::collection::vec((1..=200_usize, prop::bool::weighted(0.2), activation()), 0..=2);
    let pixels = prop_oneof![3 => Just(false), 1 => Just(true)];
    let picture = prop::option::weighted(0.3, prop::sample::select(&Picture::MIX[..]));
    let images = (0..=3_usize, pixels, picture, 0..1_u64 << 32);
    (prop_oneof![7 => any, 1 => blocks], hidden, 2..=20_usize, images).prop_map(
        |((input, stages, rows), hidden, classes, (before, pixels, picture, seed))| {
            let net = fit(input, &stages, &hidden, classes, rows);
            let pixels = if pixels { standardised(net.input().channels) } else { Pixels::default() };
            Case { net, rows, before, pixels, picture, seed }
        },
    )
}

/// As many groups as there are channels, whatever that is.
const DEPTHWISE: usize = usize::MAX;

/// Layers as they are drawn, before they are made to fit.
#[derive(Clone, Debug)]
struct Stage {
    conv: Option<Layer>,
    /// Whether a batch norm follows it.
    norm: bool,
    activation: Option<Layer>,
    pool: Option<Layer>,
    /// Whether the pooling comes before the activation.
    pool_first: bool,
    /// Whether dropout comes between the two.
    dropout: bool,
}

fn activation() -> impl Strategy<Value = Option<Layer>> {
    prop_oneof![
        6 => Just(Some(Layer::Relu)),
        1 => Just(None),
        1 => Just(Some(Layer::Tanh)),
        1 => Just(Some(Layer::Sigmoid)),
        1 => Just(Some(Layer::Gelu)),
        1 => Just(Some(Layer::Silu)),
        1 => Just(Some(Layer::LeakyRelu { slope: 0.1 })),
    ]
}

fn stage() -> impl Strategy<Value = Stage> {
    let channels = prop_oneof![2 => 1..=15_usize, 2 => 16..=20_usize, 1 => 31..=40_usize, 1 => 63..=70_usize];
    let kernel = prop_oneof![
        2 => Just((3, 3)),
        2 => Just((5, 5)),
        1 => Just((1, 1)),
        3 => (1..=7_usize, 1..=7_usize),
    ];
    let stride = prop_oneof![3 => Just((1, 1)), 1 => (1..=3_usize, 1..=3_usize)];
    let padding = prop_oneof![
        3 => Just(Padding::Same),
        1 => Just(Padding::Valid),
        1 => (0..=4_usize).prop_map(Padding::Number),
    ];
    let groups = prop_oneof![6 => Just(1), 1 => 2..=6_usize, 1 => Just(DEPTHWISE)];
    let conv =
        (channels, kernel, stride, padding, groups).prop_map(|(out_channels, kernel_size, stride, padding, groups)| {
            Layer::Conv { out_channels, kernel_size, stride, padding, groups }
        });
    let window = prop_oneof![4 => Just((2, 2)), 1 => Just((3, 3)), 1 => (1..=3_usize, 1..=3_usize)];
    let step = prop::option::weighted(0.4, (1..=3_usize, 1..=3_usize));
    let pool = (prop::bool::weighted(0.75), window, step).prop_map(|(max, kernel_size, step)| {
        let stride = step.unwrap_or(kernel_size);
        if max { Layer::MaxPool { kernel_size, stride } } else { Layer::AvgPool { kernel_size, stride } }
    });
    let (conv, pool) = (prop::option::weighted(0.9, conv), prop::option::weighted(0.7, pool));
    let order = (prop::bool::weighted(0.5), prop::bool::weighted(0.15));
    let conv = (conv, prop::bool::weighted(0.25));
    (conv, activation(), pool, order).prop_map(|((conv, norm), activation, pool, (pool_first, dropout))| Stage {
        conv,
        norm,
        activation,
        pool,
        pool_first,
        dropout,
    })
}

/// A convolution of 16 channels or a few more, which keeps the size of the maps.
fn blocks() -> impl Strategy<Value = Stage> {
    let sides = prop_oneof![Just((3, 3)), Just((5, 5)), Just((5, 5)), Just((3, 5)), Just((5, 3))];
    let pool = prop::option::of(Just(Layer::MaxPool { kernel_size: (2, 2), stride: (2, 2) }));
    (16..=18_usize, sides, activation(), pool).prop_map(|(out_channels, kernel_size, activation, pool)| Stage {
        conv: Some(Layer::Conv { out_channels, kernel_size, stride: (1, 1), padding: Padding::Same, groups: 1 }),
        norm: false,
        activation,
        pool,
        pool_first: false,
        dropout: false,
    })
}

fn image(
    channels: impl Strategy<Value = usize>,
    sides: impl Strategy<Value = (usize, usize)>,
) -> impl Strategy<Value = ImageShape> {
    (channels, sides).prop_map(|(channels, (height, width))| ImageShape { channels, height, width })
}

/// A network of these layers for batches of `rows`, each made smaller or left out where it does not fit.
fn fit(
    mut input: ImageShape,
    stages: &[Stage],
    hidden: &[(usize, bool, Option<Layer>)],
    classes: usize,
    rows: usize,
) -> Architecture {
    while input.len() * rows > ELEMENTS.min(MACS / 2 / classes) {
        (input.height, input.width) = (input.width.div_ceil(2), input.height.div_ceil(2));
    }
    let mut layers = Vec::new();
    let mut image = input;
    // For one image. A convolution takes at most half of what is left, and the last layer has its own.
    let mut macs = MACS / rows;
    let elements = ELEMENTS.min(MACS / 2 / classes) / rows;
    let rows_of_batch = rows;
    for stage in stages {
        let mut dropout = None;
        if let Some(Layer::Conv { out_channels, kernel_size, stride, padding, groups }) = stage.conv {
            let kernel = within(kernel_size, image);
            let padding = match padding {
                Padding::Same if kernel.0.is_multiple_of(2) || kernel.1.is_multiple_of(2) => Padding::Valid,
                Padding::Number(n) => Padding::Number(n % kernel.0.min(kernel.1)),
                fits => fits,
            };
            let (rows, columns) = padding.of(kernel);
            let height = (image.height + 2 * rows - kernel.0) / stride.0 + 1;
            let width = (image.width + 2 * columns - kernel.1) / stride.1 + 1;
            let depthwise = groups == DEPTHWISE;
            let groups = (1..=groups.min(image.channels)).rev().find(|n| image.channels.is_multiple_of(*n));
            let groups = groups.expect("one group always fits");
            let each = image.channels / groups * kernel.0 * kernel.1 * height * width;
            let out_channels = if depthwise { image.channels } else { out_channels.next_multiple_of(groups) };
            let most = (macs / 2 / each).min(elements / (height * width));
            let out_channels = if depthwise && most < out_channels { 0 } else { out_channels.min(most) };
            let out_channels = out_channels / groups * groups;
            if out_channels > 0 {
                macs -= out_channels * each;
                layers.push(match depthwise {
                    true => Layer::Depthwise { kernel_size: kernel, stride, padding },
                    false => Layer::Conv { out_channels, kernel_size: kernel, stride, padding, groups },
                });
                // A few values have hardly moments.
                layers.extend((stage.norm && height * width * rows_of_batch >= ENOUGH).then_some(NORM));
                dropout = stage.dropout.then_some(Layer::Dropout { probability: 0.25 });
                image = ImageShape { channels: out_channels, height, width };
            }
        }
        let pool = stage.pool.map(|layer| {
            let Window { kernel, stride, .. } = window(layer, (image.height, image.width)).expect("a pool");
            let kernel_size = within(kernel, image);
            let stride = if stride == kernel { kernel_size } else { stride };
            image.height = (image.height - kernel_size.0) / stride.0 + 1;
            image.width = (image.width - kernel_size.1) / stride.1 + 1;
            match layer {
                Layer::MaxPool { .. } => Layer::MaxPool { kernel_size, stride },
                _ => Layer::AvgPool { kernel_size, stride },
            }
        });
        let (first, second) = if stage.pool_first { (pool, stage.activation) } else { (stage.activation, pool) };
        layers.extend(first.into_iter().chain(dropout).chain(second));
    }
    let mut features = image.len();
    for &(out_features, norm, activation) in hidden {
        let out_features = out_features.min(macs / features);
        if out_features > 0 {
            macs -= out_features * features;
            layers.push(Layer::Linear { out_features });
            layers.extend((norm && rows >= ENOUGH).then_some(NORM));
            layers.extend(activation);
            features = out_features;
        }
    }
    layers.push(Layer::Linear { out_features: classes });
    Architecture::new(input, layers, classes).expect("made to fit")
}

/// A window no larger than the image.
fn within((rows, columns): (usize, usize), image: ImageShape) -> (usize, usize) {
    (rows.min(image.height), columns.min(image.width))
}
