//! What a network makes of a batch by the f64 references, and whether f32 can be expected to give the same.

use super::case::{Case, Picture};
use crate::data::{Dataset, ImageShape};
use crate::model::{Architecture, Layer, LayerInfo, Model, Shape, Source};
use crate::reference::{LayerReference, sizes, to_f32, window};
use crate::rng::{Rng, Stream};
use crate::train::Pixels;
use crate::train::testing::NamedArrays;
use tenfold_kernels::Planes;
use tenfold_kernels::reference::{self, Window};
use tenfold_kernels::softmax_cross_entropy::Counts;

/// What a network makes of a batch, by the references.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) logits: Vec<f64>,
    pub(super) loss: f64,
    pub(super) gradients: NamedArrays,
    /// For each array of gradients, the largest sum of the magnitudes of the terms that one of them is the sum of.
    pub(super) terms: Vec<f64>,
    /// Why f32 cannot be expected to give the same, if it cannot.
    pub(super) unclear: Option<&'static str>,
}

/// How near a decision of a ReLU or a maximum may be to falling otherwise, as a share of the largest value there: f32
/// sums of a few hundred terms are off by a few millionths of the largest. A tie does not count: it is one in f32 too,
/// as the same numbers are summed in the same order.
pub(super) const NEAR: f64 = 1e-5;

/// What ReLU must leave of the largest value: what is less has the rounding error of that.
const LEFT: f64 = 0.05;

/// How far from 1 a probability must be: what is left of it when 1 is taken away has the rounding error of 1.
const UNSURE: f64 = 0.01;

/// A batch forward through the references of all layers, and back if `near` and what is said above leave it clear: each layer
/// takes the values before it rounded to f32.
pub(super) fn expected(model: &Model, data: &Dataset, batch: &[u32], near: f64) -> Expected {
    let net = model.architecture();
    let rows = batch.len();
    let table = model.pixels().table(net.input());
    let image = |n: &u32| (0..).zip(data.image(*n as usize)).map(|(at, &p)| f64::from(table.at(at, p)));
    let images: Vec<f64> = batch.iter().flat_map(image).collect();
    let mut outputs = Vec::<Vec<f64>>::new();
    fn value<'v>(images: &'v [f64], outputs: &'v [Vec<f64>], source: Source) -> &'v [f64] {
        match source {
            Source::Images => images,
            Source::Layer(at) => &outputs[at],
        }
    }
    let mut argmax = vec![Vec::new(); net.layers().len()];
    let links: Vec<LayerReference> = net.layers().iter().map(|info| LayerReference::new(model, info)).collect();
    let mut dropouts = 0;
    let mut factors = vec![None; net.layers().len()];
    for (at, (info, link)) in net.layers().iter().zip(&links).enumerate() {
        if let Layer::Dropout { probability } = info.layer {
            factors[at] = Some(dropout_factors(info.input, probability, dropouts, rows));
            dropouts += 1;
        }
        let inputs: Vec<&[f64]> = info.inputs.iter().map(|&source| value(&images, &outputs, source)).collect();
        let (x, len) = (inputs[0], info.input.len());
        let images = || x.chunks_exact(len);
        let mut y = Vec::new();
        for n in 0..rows {
            let of_image: Vec<&[f64]> = inputs.iter().map(|input| &input[n * len..(n + 1) * len]).collect();
            let (values, places) = link.forward(&of_image);
            y.extend(values);
            argmax[at].push(places);
        }
        if let Layer::BatchNorm { eps, .. } = info.layer {
            y = BatchNorm::new(model, info, eps).forward(x);
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
            (Layer::Relu | Layer::LeakyRelu { .. }, _) if relu_margin(x) < near => {
                Some("the input of a ReLU is too near to zero")
            }
            (Layer::Relu, _) if (f64::MIN_POSITIVE..LEFT * largest(x)).contains(&largest(&y)) => {
                Some("a ReLU leaves next to nothing")
            }
            (Layer::BatchNorm { eps, .. }, _) if BatchNorm::new(model, info, eps).is_steep(x) => {
                Some("a batch norm enlarges rounding errors")
            }
            _ => None,
        };
        if unclear.is_some() {
            return Expected { unclear, ..Expected::default() };
        }
        outputs.push(y);
    }
    let labels: Vec<u16> = batch.iter().map(|&n| data.labels()[n as usize]).collect();
    let x = outputs.last().expect("a network has a layer").clone();
    let (losses, grad) =
        reference::softmax_cross_entropy(&to_f32(&x), net.classes(), &labels, Counts::default(), 1.0 / rows as f64);
    let of_label = |(n, &label): (usize, &u16)| grad[n * net.classes() + usize::from(label)].abs() * rows as f64;
    let sure = labels.iter().enumerate().map(of_label).fold(1.0, f64::min) < UNSURE;
    let mut unclear = sure.then_some("a class is next to certain");
    let (mut gradients, mut terms) = (NamedArrays::new(), Vec::new());
    let mut grads: Vec<Vec<f64>> = outputs.iter().map(|y| vec![0.0; y.len()]).collect();
    *grads.last_mut().expect("a network has a layer") = grad;
    for (at, (info, link)) in net.layers().iter().zip(&links).enumerate().rev() {
        let (input, grad) = (value(&images, &outputs, info.inputs[0]), std::mem::take(&mut grads[at]));
        let mut pass = |passed: Vec<f64>| {
            for source in &info.inputs {
                let Source::Layer(before) = source else { continue };
                grads[*before].iter_mut().zip(&passed).for_each(|(sum, more)| *sum += more);
            }
        };
        if let Layer::BatchNorm { eps, .. } = info.layer {
            let norm = BatchNorm::new(model, info, eps);
            let (x, weight, bias) = norm.backward(input, &grad);
            let (_, _, bias_terms) = norm.backward(input, &magnitudes(&grad));
            if norm.cancels(input, &grad, &x) {
                unclear = Some("a batch norm passes on next to nothing but rounding errors");
            }
            let none = || vec![0.0; norm.weight.len()];
            for (kind, values) in
                [("running_var", none()), ("running_mean", none()), ("bias", bias), ("weight", weight)]
            {
                gradients.push((format!("{}.{kind}", info.name), values));
                // Normalised values are a few units at most.
                terms.push(4.0 * largest(&bias_terms));
            }
            pass(x);
            continue;
        }
        let images = input.chunks_exact(info.input.len()).zip(grad.chunks_exact(info.output.len()));
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
        pass(passed);
        if let Some([of_weight, of_bias, weight_terms, bias_terms]) = sums {
            let of_bias = info.has_bias.then_some(("bias", of_bias, bias_terms));
            for (kind, values, magnitudes) in of_bias.into_iter().chain([("weight", of_weight, weight_terms)]) {
                gradients.push((format!("{}.{kind}", info.name), values));
                terms.push(magnitudes.into_iter().fold(0.0, f64::max));
            }
        }
    }
    gradients.reverse();
    terms.reverse();
    Expected { logits: x, loss: losses.iter().sum::<f64>() / rows as f64, gradients, terms, unclear }
}

/// A batch norm while training, by the references.
struct BatchNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    pixels: usize,
    eps: f64,
}

impl BatchNorm {
    fn new(model: &Model, info: &LayerInfo, eps: f64) -> BatchNorm {
        let array = |kind| model.tensor(&format!("{}.{kind}", info.name)).expect("an array");
        let (weight, bias) = (array("weight"), array("bias"));
        BatchNorm { pixels: info.input.len() / weight.len(), weight, bias, eps }
    }

    fn moments(&self, x: &[f64]) -> Vec<reference::Moments> {
        reference::batch_moments(&to_f32(x), self.weight.len(), self.pixels)
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        let learned = (&self.weight[..], &self.bias[..]);
        reference::batch_norm_forward(&to_f32(x), self.pixels, &self.moments(x), learned, self.eps)
    }

    fn backward(&self, x: &[f64], grad: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        reference::batch_norm_backward(&to_f32(x), self.pixels, &self.weight, self.eps, &to_f32(grad))
    }

    /// Whether a channel has a deviation so small that its division by that makes much of what the largest value was
    /// rounded by. Where it is constant, its mean is rounded, and what is left when that is subtracted is divided by
    /// `sqrt(eps)`.
    fn is_steep(&self, x: &[f64]) -> bool {
        let least = (LEFT * largest(x)).powi(2);
        self.moments(x).iter().any(|of| of.variance < least && (of.variance > 0.0 || self.eps < least))
    }

    /// Whether little is left of the gradient `grad` once what the moments give is added.
    fn cancels(&self, x: &[f64], grad: &[f64], passed: &[f64]) -> bool {
        let steepest =
            |(of, weight): (reference::Moments, &f32)| f64::from(weight.abs()) / (of.variance + self.eps).sqrt();
        let steepest = self.moments(x).into_iter().zip(&self.weight).map(steepest).fold(0.0, f64::max);
        largest(passed) < LEFT * steepest * largest(grad)
    }
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

pub(super) fn largest(values: &[f64]) -> f64 {
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

/// A small network with everything in it and a batch, in which every array matters and no decision changes when a
/// parameter moves by 1/256.
pub(super) fn clear_case() -> (Model, Dataset, Vec<u32>) {
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
                let model =
                    Model::from_tensors(model.architecture().clone(), &arrays, model.pixels().clone()).expect("fits");
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
