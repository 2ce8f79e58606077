//! Random networks on random batches: every path through a step against a chain of f64 references, and the same bits on
//! every instruction set and number of threads.

use super::tests::{NamedArrays, gradients};
use super::*;
use crate::data::ImageShape;
use crate::model::{Layer, Padding, Shape};
use crate::ops::Operation;
use crate::reference::{LayerReference, sizes, to_f32, window};
use crate::workers::Team;
use proptest::prelude::{Just, Strategy, prop};
use proptest::prop_oneof;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use tenfold_kernels::Planes;
use tenfold_kernels::reference::{self, Window};

/// Random networks that must have run.
const CASES: u32 = 240;

/// Multiply-adds of one batch forward, beyond which a random network is made smaller: checking it then takes a tenth of a
/// second, most of it on the portable path and in the references.
const MACS: usize = 1 << 21;

/// Elements of a batch between two layers, beyond which a random network is made smaller: the more there are, the nearer
/// is some pair of them to a tie.
const ELEMENTS: usize = 40_000;

/// What MNIST is often divided by: a blank pixel is then not zero.
const STANDARDISED: Pixels = Pixels { mean: 0.1307, std: 0.3081 };

/// What a case consists of.
#[derive(Clone)]
struct Case {
    net: Architecture,
    /// Examples of the batch that is looked at.
    rows: usize,
    /// Examples that the batch before it, in the same memory, has more.
    before: usize,
    pixels: Pixels,
    /// What all images show; nothing in particular where it is `None`.
    picture: Option<Picture>,
    seed: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let layers: Vec<String> = self.net.layers().iter().map(|l| l.layer.to_string()).collect();
        let Case { net, rows, before, pixels, picture, seed } = self;
        let (input, classes) = (net.input(), net.classes());
        write!(f, "images of {input}, {layers:?}, {classes} classes, batch of {rows} after one of {}", rows + before)?;
        write!(f, ", mean {} and std {}, pictures {picture:?}, seed {seed}", pixels.mean, pixels.std)
    }
}

impl Case {
    fn random(&self, sub: u64) -> Rng {
        Rng::new(self.seed, Stream::Init, sub)
    }

    /// Parameters large enough for every layer to matter: weights keep the variance through ReLU, biases are a fraction of
    /// that. Those of the last layer are smaller, so that no class is certain.
    fn model(&self) -> Model {
        let arrays: Vec<_> = (0_u64..)
            .zip(self.net.params())
            .map(|(array, spec)| {
                let rng = self.random(array);
                let is_last = array as usize + 2 >= self.net.params().len();
                let bound = if spec.is_bias() { 0.3 } else { (6.0 / spec.fan_in as f64).sqrt() };
                let bound = if is_last { 0.2 * bound } else { bound };
                let value = |j| ((2.0 * f64::from(rng.uniform_at(j)) - 1.0) * bound) as f32;
                (spec.name.clone(), spec.shape.clone(), (0..spec.len() as u64).map(value).collect())
            })
            .collect();
        Model::from_tensors(self.net.clone(), &arrays, self.pixels).expect("the arrays fit")
    }

    /// The batches, the one that is looked at last, and the images that they are taken from.
    fn data(&self) -> (Vec<Vec<u32>>, Dataset) {
        let (examples, shape) = ((self.rows + self.before) as u32, self.net.input());
        let rng = self.random(100);
        let mut pixels = Vec::new();
        for n in 0..u64::from(examples) {
            let drawn = Picture::MIX[rng.below_at(2 * n, Picture::MIX.len() as u32) as usize];
            let picture = self.picture.unwrap_or(drawn);
            for channel in 0..shape.channels {
                // Some channels of colourful images are blank.
                let blank = channel > 0 && rng.below_at(2 * n + 1, 3) == 0;
                let picture = if blank { Picture::Blank } else { picture };
                picture.draw(&self.random(101 + n * 64 + channel as u64), shape.height, shape.width, &mut pixels);
            }
        }
        let labels = (0..u64::from(examples)).map(|n| self.random(99).below_at(n, self.net.classes() as u32) as u8);
        let data = Dataset::new(pixels, labels.collect(), shape, self.net.classes()).expect("whole");
        let order = permutation(examples, &self.random(98));
        // Other images first, so that whatever they leave behind is wrong for the batch that counts.
        let first = order.iter().rev().copied().collect();
        (vec![first, order[..self.rows].to_vec()], data)
    }
}

/// What one channel of an image shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Picture {
    Blank,
    /// A blob in the middle on a blank background, as in MNIST.
    Blob,
    Noise,
    /// One pixel anywhere.
    Spot,
    Full,
}

impl Picture {
    /// What is frequent is named more than once.
    const MIX: [Picture; 8] = [
        Picture::Blob,
        Picture::Blob,
        Picture::Blob,
        Picture::Noise,
        Picture::Noise,
        Picture::Blank,
        Picture::Spot,
        Picture::Full,
    ];

    /// Appends `height * width` pixels.
    fn draw(self, rng: &Rng, height: usize, width: usize, pixels: &mut Vec<u8>) {
        let spot = rng.below_at(u64::MAX, (height * width) as u32) as usize;
        // From the middle, as a share of the half axis; at most half of the picture.
        let from_middle = |at: usize, size: usize| (2 * at + 1).abs_diff(size) as f64 / size as f64;
        let radius = 0.2 + 0.5 * f64::from(rng.uniform_at(u64::MAX - 1));
        for at in 0..height * width {
            let noise = 1 + rng.below_at(at as u64, 255) as u8;
            let (y, x) = (from_middle(at / width, height), from_middle(at % width, width));
            pixels.push(match self {
                Picture::Blob if y * y + x * x < radius * radius => noise,
                Picture::Noise => noise,
                Picture::Spot if at == spot => noise,
                Picture::Full => 255,
                _ => 0,
            });
        }
    }
}

/// What a network makes of a batch, by the references.
#[derive(Default)]
struct Expected {
    logits: Vec<f64>,
    loss: f64,
    gradients: NamedArrays,
    /// For each array of gradients, the largest sum of the magnitudes of the terms that one of them is the sum of.
    terms: Vec<f64>,
    /// Why f32 cannot be expected to give the same, if it cannot.
    unclear: Option<&'static str>,
}

/// How near a decision of a ReLU or a maximum may be to falling otherwise, as a share of the largest value there: f32 sums
/// of a few hundred terms are off by a few millionths of the largest. A tie does not count: it is one in f32 too, as the
/// same numbers are summed in the same order.
const NEAR: f64 = 1e-5;

/// What ReLU must leave of the largest value: what is less has the rounding error of that.
const LEFT: f64 = 0.05;

/// How far from 1 a probability must be: what is left of it when 1 is taken away has the rounding error of 1.
const UNSURE: f64 = 0.01;

/// A batch forward through a chain of references, and back if `near` and what is said above leave it clear: each layer
/// takes the values before it rounded to f32.
fn expected(model: &Model, data: &Dataset, batch: &[u32], near: f64) -> Expected {
    let net = model.architecture();
    let rows = batch.len();
    let table = model.pixels().table();
    let image = |n: &u32| data.image(*n as usize).iter().map(|&p| f64::from(table[usize::from(p)]));
    let mut x: Vec<f64> = batch.iter().flat_map(image).collect();
    let mut inputs = Vec::new();
    let mut argmax = vec![Vec::new(); net.layers().len()];
    let links: Vec<LayerReference> = net.layers().iter().map(|info| LayerReference::new(model, info)).collect();
    let mut dropouts = 0;
    let mut factors = vec![None; net.layers().len()];
    for (at, (info, link)) in net.layers().iter().zip(&links).enumerate() {
        if let Layer::Dropout { probability } = info.layer {
            factors[at] = Some(dropout_factors(info.input, probability, dropouts, rows));
            dropouts += 1;
        }
        let images = || x.chunks_exact(info.input.len());
        let mut y = Vec::new();
        for image in images() {
            let (values, places) = link.forward(image);
            y.extend(values);
            argmax[at].push(places);
        }
        if let Some(factors) = &factors[at] {
            y.iter_mut().zip(factors).for_each(|(y, factor)| *y *= factor);
        }
        let unclear = match (info.layer, info.input) {
            (Layer::MaxPool { .. }, Shape::Image(shape)) => {
                let too_near = |image| {
                    pool_margin(image, sizes(shape), &window(info.layer, (shape.height, shape.width)).expect("a pool"))
                        < near
                };
                images().any(too_near).then_some("a maximum is too near to another")
            }
            (Layer::Relu, _) if relu_margin(&x) < near => Some("the input of a ReLU is too near to zero"),
            (Layer::Relu, _) if (f64::MIN_POSITIVE..LEFT * largest(&x)).contains(&largest(&y)) => {
                Some("a ReLU leaves next to nothing")
            }
            _ => None,
        };
        if unclear.is_some() {
            return Expected { unclear, ..Expected::default() };
        }
        inputs.push(std::mem::replace(&mut x, y));
    }
    let labels: Vec<u8> = batch.iter().map(|&n| data.labels()[n as usize]).collect();
    let (losses, mut grad) = reference::softmax_cross_entropy(&to_f32(&x), net.classes(), &labels, 1.0 / rows as f64);
    let of_label = |(n, &label): (usize, &u8)| grad[n * net.classes() + usize::from(label)].abs() * rows as f64;
    let sure = labels.iter().enumerate().map(of_label).fold(1.0, f64::min) < UNSURE;
    let unclear = sure.then_some("a class is next to certain");
    let (mut gradients, mut terms) = (NamedArrays::new(), Vec::new());
    for (at, (info, link)) in net.layers().iter().zip(&links).enumerate().rev() {
        let images = inputs[at].chunks_exact(info.input.len()).zip(grad.chunks_exact(info.output.len()));
        let mut passed = Vec::new();
        // Gradients of weight and bias, summed over the images; and the same of magnitudes.
        let mut sums: Option<[Vec<f64>; 4]> = None;
        for ((x, g), argmax) in images.zip(&argmax[at]) {
            let back = link.backward(x, argmax, g);
            passed.extend(back.x);
            if info.parameters > 0 {
                let [of_weight, of_bias] = back.learned;
                let [weight_terms, bias_terms] = link.backward(&magnitudes(x), argmax, &magnitudes(g)).learned;
                let parts = [of_weight, of_bias, weight_terms, bias_terms];
                match &mut sums {
                    Some(sums) => {
                        for (sum, part) in sums.iter_mut().zip(parts) {
                            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                        }
                    }
                    None => sums = Some(parts),
                }
            }
        }
        if let Some(factors) = &factors[at] {
            passed.iter_mut().zip(factors).for_each(|(g, factor)| *g *= factor);
        }
        grad = passed;
        if let Some([of_weight, of_bias, weight_terms, bias_terms]) = sums {
            for (kind, values, magnitudes) in [("bias", of_bias, bias_terms), ("weight", of_weight, weight_terms)] {
                gradients.push((format!("{}.{kind}", info.name), values));
                terms.push(magnitudes.into_iter().fold(0.0, f64::max));
            }
        }
    }
    gradients.reverse();
    terms.reverse();
    Expected { logits: x, loss: losses.iter().sum::<f64>() / rows as f64, gradients, terms, unclear }
}

/// What dropout layer number `index` multiplies each element of a batch by, in step 0 of a training from seed 1.
fn dropout_factors(shape: Shape, probability: f64, index: u64, rows: usize) -> Vec<f64> {
    let key = Rng::new(1, Stream::Dropout, index).u64_at(0);
    let factor = |n: usize, j: usize| {
        // The mask belongs to elements in blocks of channels.
        let element = match shape {
            Shape::Image(s) => {
                let at = (j / (s.height * s.width), j / s.width % s.height, j % s.width);
                Planes::new(s.channels, s.height, s.width).index(at.0, at.1, at.2)
            }
            _ => j,
        };
        let counter = [(element / 64 * 16 + element % 16) as u32, n as u32, 0, 0];
        let number = reference::philox4x32(7, counter, [key as u32, (key >> 32) as u32])[element / 16 % 4];
        let is_kept = f64::from(number) >= (probability * 2.0_f64.powi(32)).floor();
        if is_kept { f64::from((1.0 / (1.0 - probability)) as f32) } else { 0.0 }
    };
    (0..rows).flat_map(|n| (0..shape.len()).map(move |j| factor(n, j))).collect()
}

fn magnitudes(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// How near the nearest value other than zero is to zero, as a share of the largest.
fn relu_margin(x: &[f64]) -> f64 {
    let nearest = x.iter().filter(|v| **v != 0.0).fold(f64::INFINITY, |m, v| m.min(v.abs()));
    nearest / largest(x)
}

/// How near the runner-up of a window comes to the maximum without being equal to it, as a share of the largest value.
fn pool_margin(x: &[f64], (channels, height, width): (usize, usize, usize), window: &Window) -> f64 {
    let (rows, columns) = window.output(height, width).expect("fits");
    let mut nearest = f64::INFINITY;
    for (c, oy) in (0..channels).flat_map(|c| (0..rows).map(move |oy| (c, oy))) {
        for ox in 0..columns {
            let (mut best, mut next) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
            for (ky, kx) in (0..window.kernel.0).flat_map(|ky| (0..window.kernel.1).map(move |kx| (ky, kx))) {
                let value = x[(c * height + oy * window.stride.0 + ky) * width + ox * window.stride.1 + kx];
                if value > best {
                    (best, next) = (value, best);
                } else if value < best {
                    next = next.max(value);
                }
            }
            nearest = nearest.min(best - next);
        }
    }
    nearest / largest(x)
}

/// Largest difference between two arrays, in units of `scale`; infinite if one is not a number.
fn distance(got: &[f64], expected: &[f64], scale: f64) -> f64 {
    assert_eq!(got.len(), expected.len(), "lengths");
    let errors = got.iter().zip(expected).map(|(g, e)| (g - e).abs());
    let largest = errors.fold(0.0, |m: f64, e| if e.is_finite() { m.max(e) } else { f64::INFINITY });
    if largest == 0.0 { 0.0 } else { largest / scale }
}

/// Layers as they are drawn, before they are made to fit.
#[derive(Clone, Debug)]
struct Stage {
    conv: Option<Layer>,
    activation: Option<Layer>,
    pool: Option<Layer>,
    /// Whether the pooling comes before the activation.
    pool_first: bool,
    /// Whether dropout comes between the two.
    dropout: bool,
}

fn activation() -> impl Strategy<Value = Option<Layer>> {
    prop_oneof![
        5 => Just(Some(Layer::Relu)),
        1 => Just(None),
        1 => Just(Some(Layer::Tanh)),
        1 => Just(Some(Layer::Sigmoid)),
        1 => Just(Some(Layer::Gelu)),
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
    let conv = (channels, kernel, stride, padding).prop_map(|(out_channels, kernel_size, stride, padding)| {
        Layer::Conv { out_channels, kernel_size, stride, padding }
    });
    let window = prop_oneof![4 => Just((2, 2)), 1 => Just((3, 3)), 1 => (1..=3_usize, 1..=3_usize)];
    let step = prop::option::weighted(0.4, (1..=3_usize, 1..=3_usize));
    let pool = (prop::bool::weighted(0.75), window, step).prop_map(|(max, kernel_size, step)| {
        let stride = step.unwrap_or(kernel_size);
        if max { Layer::MaxPool { kernel_size, stride } } else { Layer::AvgPool { kernel_size, stride } }
    });
    let (conv, pool) = (prop::option::weighted(0.9, conv), prop::option::weighted(0.7, pool));
    let order = (prop::bool::weighted(0.5), prop::bool::weighted(0.15));
    (conv, activation(), pool, order).prop_map(|(conv, activation, pool, (pool_first, dropout))| Stage {
        conv,
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
        conv: Some(Layer::Conv { out_channels, kernel_size, stride: (1, 1), padding: Padding::Same }),
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

fn case() -> impl Strategy<Value = Case> {
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
    let hidden = prop::collection::vec((1..=200_usize, activation()), 0..=2);
    let pixels = prop_oneof![3 => Just(Pixels::default()), 1 => Just(STANDARDISED)];
    let picture = prop::option::weighted(0.3, prop::sample::select(&Picture::MIX[..]));
    let images = (0..=3_usize, pixels, picture, 0..1_u64 << 32);
    (prop_oneof![7 => any, 1 => blocks], hidden, 2..=20_usize, images).prop_map(
        |((input, stages, rows), hidden, classes, (before, pixels, picture, seed))| {
            let net = fit(input, &stages, &hidden, classes, rows);
            Case { net, rows, before, pixels, picture, seed }
        },
    )
}

/// A network of these layers for batches of `rows`, each made smaller or left out where it does not fit.
fn fit(
    mut input: ImageShape,
    stages: &[Stage],
    hidden: &[(usize, Option<Layer>)],
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
    for stage in stages {
        let mut dropout = None;
        if let Some(Layer::Conv { out_channels, kernel_size, stride, padding }) = stage.conv {
            let kernel = within(kernel_size, image);
            let padding = match padding {
                Padding::Same if kernel.0.is_multiple_of(2) || kernel.1.is_multiple_of(2) => Padding::Valid,
                Padding::Number(n) => Padding::Number(n % kernel.0.min(kernel.1)),
                fits => fits,
            };
            let (rows, columns) = padding.of(kernel);
            let height = (image.height + 2 * rows - kernel.0) / stride.0 + 1;
            let width = (image.width + 2 * columns - kernel.1) / stride.1 + 1;
            let each = image.channels * kernel.0 * kernel.1 * height * width;
            let out_channels = out_channels.min(macs / 2 / each).min(elements / (height * width));
            if out_channels > 0 {
                macs -= out_channels * each;
                layers.push(Layer::Conv { out_channels, kernel_size: kernel, stride, padding });
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
    for &(out_features, activation) in hidden {
        let out_features = out_features.min(macs / features);
        if out_features > 0 {
            macs -= out_features * features;
            layers.push(Layer::Linear { out_features });
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

/// Differences from the references: of the logits in units of the largest logit, of the loss in units of that or of 1, of
/// a gradient in units of [`Expected::terms`] of its array.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    logits: f64,
    loss: f64,
    gradient: f64,
}

/// The largest differences in 900 random cases were 7.1e-6, 3.1e-7 and 6.1e-6: sums of up to 4,000 terms in f32, one after
/// another. One wrong term of 50,000 is too far.
const TOLERANCE: Errors = Errors { logits: 2e-5, loss: 1.5e-6, gradient: 2e-5 };

/// What a step gave: logits, loss, gradients.
type Got = (Vec<f64>, f64, NamedArrays);

/// Why a case does not pass.
#[derive(Debug)]
enum Trouble {
    /// The references and f32 may differ.
    Unclear(&'static str),
    /// They must not, and do.
    Wrong(String),
}

/// Checks one case on every instruction set and by several teams of threads.
fn check(case: &Case) -> Result<Errors, Trouble> {
    let (model, (batches, data)) = (case.model(), case.data());
    let expected = expected(&model, &data, batches.last().expect("two batches"), NEAR);
    if let Some(why) = expected.unclear {
        return Err(Trouble::Unclear(why));
    }
    let mut first: Option<(String, Got)> = None;
    let mut errors = Errors::default();
    for &isa in Isa::available() {
        for (threads, relay) in [(1, false), (3, false), (2, true)] {
            let who = format!("{} on {threads} threads{}", isa.name(), if relay { " in a relay" } else { "" });
            let got = gradients(isa, Team { threads, relay }, &model, &data, &batches);
            let outcome = match &first {
                Some((name, reference)) => same_bits(&got, reference).map_err(|why| format!("{who} and {name}: {why}")),
                None => accuracy(&got, &expected).map(|e| errors = e).map_err(|why| format!("{who}: {why}")),
            };
            outcome.map_err(Trouble::Wrong)?;
            first.get_or_insert((who, got));
        }
    }
    Ok(errors)
}

/// The first number that differs.
fn same_bits(ours: &Got, theirs: &Got) -> Result<(), String> {
    let same = |what: &str, ours: &[f64], theirs: &[f64]| {
        assert_eq!(ours.len(), theirs.len(), "length of {what}");
        let bits = |values: &[f64], at: usize| values[at].to_bits();
        match (0..ours.len()).find(|&at| bits(ours, at) != bits(theirs, at)) {
            Some(at) => Err(format!("{what}[{at}] is {:e} and {:e}", ours[at], theirs[at])),
            None => Ok(()),
        }
    };
    same("logits", &ours.0, &theirs.0)?;
    same("loss", &[ours.1], &[theirs.1])?;
    ours.2.iter().zip(&theirs.2).try_for_each(|((name, a), (_, b))| same(&format!("gradient of {name}"), a, b))
}

/// How far from the references the numbers are, or what is too far.
fn accuracy(got: &Got, expected: &Expected) -> Result<Errors, String> {
    let near = |what: &str, got: &[f64], expected: &[f64], scale: f64, limit: f64| {
        let error = distance(got, expected, scale);
        if error <= limit {
            Ok(error)
        } else {
            Err(format!("{what} off by {error:.1e} of {scale:.1e}, limit {limit:.0e}"))
        }
    };
    let largest = largest(&expected.logits);
    let logits = near("logits", &got.0, &expected.logits, largest, TOLERANCE.logits)?;
    let loss = near("loss", &[got.1], &[expected.loss], largest.max(1.0), TOLERANCE.loss)?;
    let mut gradient = 0.0_f64;
    assert_eq!(got.2.len(), expected.gradients.len(), "arrays");
    for ((name, values), ((same, right), terms)) in got.2.iter().zip(expected.gradients.iter().zip(&expected.terms)) {
        assert_eq!(name, same, "arrays in the same order");
        gradient = gradient.max(near(&format!("gradient of {name}"), values, right, *terms, TOLERANCE.gradient)?);
    }
    Ok(Errors { logits, loss, gradient })
}

/// What may be special about a case, and whether it is.
fn specialities(case: &Case) -> impl Iterator<Item = (&'static str, bool)> {
    let layers: Vec<Layer> = case.net.layers().iter().map(|info| info.layer).collect();
    let disjoint = |layer| matches!(layer, Layer::MaxPool { kernel_size, stride } if kernel_size == stride);
    let overlapping = |layer| matches!(layer, Layer::MaxPool { kernel_size: k, stride: s } if s.0 < k.0 || s.1 < k.1);
    let is_conv = |l: &Layer| matches!(l, Layer::Conv { .. });
    let smooth = |l: &Layer| matches!(l, Layer::Tanh | Layer::Sigmoid);
    let of_three = |f: &dyn Fn(&Layer, &Layer) -> bool| layers.windows(3).any(|l| is_conv(&l[0]) && f(&l[1], &l[2]));
    let convs: Vec<_> = case
        .net
        .layers()
        .iter()
        .filter_map(|info| match (info.layer, info.input, info.output) {
            (Layer::Conv { kernel_size, stride, .. }, Shape::Image(from), Shape::Image(to)) => {
                let blocks = from.channels >= 16 && to.channels >= 16;
                Some((kernel_size, stride, blocks, from.height.max(from.width)))
            }
            _ => None,
        })
        .collect();
    let (input, linear) = (case.net.input(), |l: &&Layer| matches!(l, Layer::Linear { .. }));
    let few_first = matches!(layers.first(), Some(Layer::Linear { out_features: ..=16 }));
    [
        ("convolution, ReLU, maxima of disjoint windows", of_three(&|a, b| *a == Layer::Relu && disjoint(*b))),
        ("convolution, maxima, ReLU", of_three(&|a, b| disjoint(*a) && *b == Layer::Relu)),
        ("convolution, tanh or sigmoid, maxima", of_three(&|a, b| smooth(a) && disjoint(*b))),
        ("convolution, maxima, tanh or sigmoid", of_three(&|a, b| disjoint(*a) && smooth(b))),
        (
            "convolution, maxima, no activation",
            of_three(&|a, b| disjoint(*a) && matches!(b, Layer::Conv { .. } | Layer::Linear { .. } | Layer::Gelu)),
        ),
        ("convolution, ReLU, maxima of overlapping windows", of_three(&|a, b| *a == Layer::Relu && overlapping(*b))),
        ("convolution, maxima of overlapping windows, ReLU", of_three(&|a, b| overlapping(*a) && *b == Layer::Relu)),
        ("dropout between activation and pooling", layers.iter().any(|l| matches!(l, Layer::Dropout { .. }))),
        ("maxima of overlapping windows", layers.iter().any(|l| overlapping(*l))),
        ("means", layers.iter().any(|l| matches!(l, Layer::AvgPool { .. }))),
        ("tanh or sigmoid", layers.iter().any(|l| matches!(l, Layer::Tanh | Layer::Sigmoid))),
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
    let result = runner.run(&case(), |case| match check(&case) {
        Err(Trouble::Unclear(why)) => Err(TestCaseError::reject(why)),
        Err(Trouble::Wrong(why)) => Err(TestCaseError::fail(why)),
        Ok(_) => {
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
        // Few outputs over pixels, then layers whose threads share the images otherwise.
        (image(1, 28, 28), &["linear 16", "sigmoid", "linear 130", "tanh", "linear 10"], 50),
        (image(3, 5, 7), &["linear 1", "tanh", "linear 20", "tanh", "linear 3"], 33),
        (image(1, 9, 9), &["conv 6 3x3 same", "relu", "maxpool 2", "linear 10"], 257),
        (image(1, 5, 40), &["conv 5 5x1", "relu", "maxpool 1x2", "linear 3"], 2),
        (image(1, 40, 5), &["conv 5 1x5", "relu", "maxpool 2x1", "linear 3"], 2),
        (image(1, 1, 1), &["conv 3 1x1", "relu", "maxpool 1", "conv 2 1x1 stride 2", "linear 2"], 5),
        (image(2, 2, 3), &["maxpool 2 stride 1", "linear 1", "linear 2"], 5),
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
        (image(1, 20, 20), &["conv 17 3x3", "relu", "dropout 0.5", "maxpool 2", "dropout 0.1", "linear 4"], 5),
        (image(3, 31, 31), &["conv 20 5x5 stride 2", "relu", "maxpool 3 stride 2", "dropout 0.3", "linear 5"], 5),
    ] {
        let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let classes = layers.last().expect("a layer").split(' ').nth(1).expect("a number").parse().expect("a number");
        let net = Architecture::new(input, parsed, classes).expect("fits");
        for (picture, pixels) in [(None, STANDARDISED), (Some(Picture::Blob), Pixels::default())] {
            let of_seed = |seed| Case { net: net.clone(), rows, before: 1, pixels, picture, seed };
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
    for precision in [Precision::F32, Precision::Bf16] {
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

/// A small network with everything in it and a batch, in which every array matters and no decision changes when a
/// parameter moves by 1/256.
fn clear_case() -> (Model, Dataset, Vec<u32>) {
    let layers = ["conv 2 2x2", "relu", "maxpool 2", "conv 3 2x2 padding 1", "tanh", "avgpool 2 stride 1", "linear 4"];
    let layers = [&layers[..], &["sigmoid", "linear 3"]].concat().iter().map(|l| l.parse().expect("a layer")).collect();
    let net = Architecture::new(ImageShape { channels: 2, height: 5, width: 5 }, layers, 3).expect("fits");
    (0..1_000)
        .find_map(|seed| {
            let pixels = Pixels::default();
            let case = Case { net: net.clone(), rows: 2, before: 0, pixels, picture: Some(Picture::Noise), seed };
            let (model, (batches, data)) = (case.model(), case.data());
            let expected = expected(&model, &data, &batches[1], 0.02);
            let matter = expected.gradients.iter().all(|(_, gradient)| largest(gradient) > 2e-3);
            (expected.unclear.is_none() && matter).then_some((model, data, batches[1].clone()))
        })
        .expect("a seed is clear")
}

#[test]
fn gradients_of_the_chain_of_references_are_slopes_of_its_loss() {
    let (model, data, batch) = clear_case();
    let right = expected(&model, &data, &batch, NEAR);
    let arrays: Vec<_> = model
        .architecture()
        .params()
        .iter()
        .map(|spec| (spec.name.clone(), spec.shape.clone(), model.tensor(&spec.name).expect("an array")))
        .collect();
    for (array, (name, gradient)) in right.gradients.iter().enumerate() {
        for j in 0..gradient.len() {
            let loss = |h: f32| {
                let mut arrays = arrays.clone();
                arrays[array].2[j] += h;
                let model = Model::from_tensors(model.architecture().clone(), &arrays, model.pixels()).expect("fits");
                (expected(&model, &data, &batch, 0.0).loss, f64::from(arrays[array].2[j]))
            };
            let h = 2.0_f32.powi(-8);
            let ((up, above), (down, below)) = (loss(h), loss(-h));
            let slope = (up - down) / (above - below);
            // Values rounded to f32 between layers move the loss by a few 1e-8, and so the slope by a few 1e-6.
            assert!((slope - gradient[j]).abs() < 1e-5, "{name}[{j}] is {:e}, slope {slope:e}", gradient[j]);
        }
    }
}

#[test]
fn what_is_too_near_is_unclear_and_a_tie_is_not() {
    assert_eq!(relu_margin(&[0.0, -4.0, 0.5, 2.0]), 0.125);
    assert_eq!(relu_margin(&[0.0, 0.0]), f64::INFINITY);
    let pairs = Window { kernel: (1, 2), stride: (1, 1), padding: [0; 4] };
    assert_eq!(pool_margin(&[4.0, 4.0, 3.0, 1.0], (1, 1, 4), &pairs), 0.25);
    assert_eq!(pool_margin(&[1.0, 1.5, 4.0, 4.0], (2, 1, 2), &pairs), 0.125);
    assert_eq!(pool_margin(&[0.0; 4], (1, 1, 4), &pairs), f64::INFINITY);
    let (model, data, batch) = clear_case();
    assert_eq!(expected(&model, &data, &batch, 0.01).unclear, None);
    assert!(expected(&model, &data, &batch, 1.0).unclear.is_some(), "nothing is that far from everything");
}

#[test]
fn a_wrong_number_anywhere_is_seen() {
    let (model, data, batch) = clear_case();
    let right = expected(&model, &data, &batch, NEAR);
    let exact = || (right.logits.clone(), right.loss, right.gradients.clone());
    accuracy(&exact(), &right).expect("the references agree with themselves");
    same_bits(&exact(), &exact()).expect("the same bits");
    let wrong = |what: &str, change: &dyn Fn(&mut Got)| {
        let mut got = exact();
        change(&mut got);
        let seen = accuracy(&got, &right).expect_err(what);
        assert!(seen.starts_with(what), "{seen}");
        let seen = same_bits(&got, &exact()).expect_err(what);
        assert!(seen.starts_with(what), "{seen}");
    };
    let off = 1.0001 * largest(&right.logits);
    wrong("logits", &|got| *got.0.last_mut().expect("a logit") += 1e-4 * off);
    wrong("logits", &|got| got.0[0] = f64::NAN);
    wrong("loss", &|got| got.1 += 1e-5 * off.max(1.0));
    for (array, (name, values)) in right.gradients.iter().enumerate() {
        let off = 1e-4 * right.terms[array];
        for at in [0, values.len() - 1] {
            wrong(&format!("gradient of {name}"), &|got| got.2[array].1[at] += off);
        }
    }
    let mut got = exact();
    got.1 = got.1.next_up();
    same_bits(&got, &exact()).expect_err("one bit");
}

#[test]
fn pictures_show_what_they_are_called() {
    for seed in 0..20 {
        let mut drawn = Picture::MIX.map(|picture| (picture, Vec::new()));
        for (picture, pixels) in &mut drawn {
            picture.draw(&Rng::new(seed, Stream::Init, 0), 9, 12, pixels);
            let inked = pixels.iter().filter(|p| **p > 0).count();
            let as_named = match picture {
                Picture::Blank => inked == 0,
                Picture::Blob => (1..54).contains(&inked) && pixels[0] == 0 && pixels[4 * 12 + 6] > 0,
                Picture::Noise => inked == 108,
                Picture::Spot => inked == 1,
                Picture::Full => pixels.iter().all(|p| *p == 255),
            };
            assert!(as_named && pixels.len() == 108, "{picture:?} with seed {seed}: {pixels:?}");
        }
    }
}
