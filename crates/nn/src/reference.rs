//! The layers of a network one by one in plain f64, forward and backward: what every step is checked against, and how
//! the gradient of an image is computed.

use crate::data::ImageShape;
use crate::model::{Layer, LayerInfo, Model, Shape, Source};
use tenfold_kernels::reference::{self, Moments, Window};

/// One layer with its parameters, for one image at a time. Values between layers are f64; those that are multiplied are
/// rounded to f32 first, as the references take them.
pub(crate) struct LayerReference<'a> {
    info: &'a LayerInfo,
    /// Empty where the layer does not learn.
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// What a batch norm normalises each channel by.
    moments: Vec<Moments>,
}

/// What the gradient of a layer's output makes of its input and its parameters.
pub(crate) struct Gradients {
    pub(crate) x: Vec<f64>,
    /// Of the weight and the bias; empty where the layer does not learn.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look at it"))]
    pub(crate) learned: [Vec<f64>; 2],
}

impl<'a> LayerReference<'a> {
    pub(crate) fn new(model: &Model, info: &'a LayerInfo) -> LayerReference<'a> {
        let array = |kind| model.tensor(&format!("{}.{kind}", info.name)).unwrap_or_default();
        let (weight, mut bias) = (array("weight"), array("bias"));
        // What has none adds zeros.
        if !info.has_bias && bias.is_empty() && !weight.is_empty() {
            bias = vec![0.0; info.output.channels().unwrap_or(info.output.len())];
        }
        let running = array("running_mean").into_iter().zip(array("running_var"));
        let moments =
            running.map(|(mean, variance)| Moments { mean: mean.into(), variance: variance.into() }).collect();
        LayerReference { info, weight, bias, moments }
    }

    /// The output of the layer, and of a maximum where in `x` each one is. Dropout is off, and a batch norm normalises by
    /// what it keeps.
    /// `inputs`: what it reads, of most layers one.
    pub(crate) fn forward(&self, inputs: &[&[f64]]) -> (Vec<f64>, Vec<usize>) {
        let x = inputs[0];
        let y = match self.info.layer {
            Layer::Linear { out_features } => {
                reference::linear_forward(&to_f32(x), &self.weight, &self.bias, 1, x.len(), out_features)
            }
            Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } => reference::grouped_conv2d_forward(
                &to_f32(x),
                self.sizes(),
                &self.weight,
                &self.bias,
                &self.window(),
                self.info.groups().expect("a convolution"),
            ),
            Layer::MaxPool { .. } => {
                let (_, argmax) = reference::maxpool2d_forward(&to_f32(x), self.sizes(), &self.window());
                return (argmax.iter().map(|&at| x[at]).collect(), argmax);
            }
            Layer::AvgPool { .. } | Layer::GlobalAvgPool => {
                reference::avgpool2d_forward(&to_f32(x), self.sizes(), &self.window())
            }
            Layer::Relu => x.iter().map(|v| v.max(0.0)).collect(),
            Layer::LeakyRelu { slope } => x.iter().map(|&v| if v < 0.0 { slope * v } else { v }).collect(),
            Layer::Tanh => x.iter().map(|v| v.tanh()).collect(),
            Layer::Sigmoid => x.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(),
            Layer::Gelu => x.iter().map(|&v| reference::gelu(v).0).collect(),
            Layer::Silu => x.iter().map(|&v| reference::silu(v).0).collect(),
            Layer::Flatten | Layer::Dropout { .. } => x.to_vec(),
            Layer::Add => x.iter().zip(inputs[1]).map(|(a, b)| a + b).collect(),
            Layer::BatchNorm { eps, .. } => {
                let learned = (&self.weight[..], &self.bias[..]);
                reference::batch_norm_forward(&to_f32(x), self.pixels(), &self.moments, learned, eps)
            }
        };
        (y, Vec::new())
    }

    /// Gradients for one of the output, `grad_y`; `x` and `argmax` are what [`LayerReference::forward`] took and found.
    /// Both terms of a sum have the same.
    pub(crate) fn backward(&self, x: &[f64], argmax: &[usize], grad_y: &[f64]) -> Gradients {
        let g = to_f32(grad_y);
        let times = |slope: &dyn Fn(f64) -> f64| x.iter().zip(grad_y).map(|(&x, g)| g * slope(x)).collect();
        let x_grad = match self.info.layer {
            Layer::Linear { out_features } => {
                let (x, weight, bias) =
                    reference::linear_backward(&to_f32(x), &self.weight, &g, 1, x.len(), out_features);
                return Gradients { x, learned: [weight, bias] };
            }
            Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } => {
                let (x, weight, bias) = reference::grouped_conv2d_backward(
                    &to_f32(x),
                    self.sizes(),
                    &self.weight,
                    self.bias.len(),
                    &g,
                    &self.window(),
                    self.info.groups().expect("a convolution"),
                );
                return Gradients { x, learned: [weight, bias] };
            }
            Layer::MaxPool { .. } => reference::maxpool2d_backward(&g, argmax, x.len()),
            Layer::AvgPool { .. } | Layer::GlobalAvgPool => {
                reference::avgpool2d_backward(&g, self.sizes(), &self.window())
            }
            Layer::Relu => times(&|x| f64::from(x > 0.0)),
            Layer::LeakyRelu { slope } => times(&|x| if x > 0.0 { 1.0 } else { slope }),
            Layer::Tanh => times(&|x| 1.0 - x.tanh() * x.tanh()),
            // The same on both sides, and exp does not overflow.
            Layer::Sigmoid => times(&|x| (-x.abs()).exp() / (1.0 + (-x.abs()).exp()).powi(2)),
            Layer::Gelu => times(&|x| reference::gelu(x).1),
            Layer::Silu => times(&|x| reference::silu(x).1),
            Layer::Flatten | Layer::Dropout { .. } | Layer::Add => grad_y.to_vec(),
            // By running moments, which do not depend on what is normalised.
            Layer::BatchNorm { eps, .. } => {
                let slope =
                    |channel: usize| f64::from(self.weight[channel]) / (self.moments[channel].variance + eps).sqrt();
                grad_y.iter().enumerate().map(|(at, g)| g * slope(at / self.pixels())).collect()
            }
        };
        Gradients { x: x_grad, learned: [Vec::new(), Vec::new()] }
    }

    /// Pixels of a channel; 1 of a row.
    fn pixels(&self) -> usize {
        match self.info.input {
            Shape::Image(shape) => shape.height * shape.width,
            Shape::Flat(_) => 1,
        }
    }

    fn window(&self) -> Window {
        let (_, height, width) = self.sizes();
        window(self.info.layer, (height, width)).expect("a layer with a window")
    }

    /// Channels, rows and columns of the image that comes in.
    fn sizes(&self) -> (usize, usize, usize) {
        match self.info.input {
            Shape::Image(shape) => sizes(shape),
            Shape::Flat(features) => unreachable!("{features} features where an image is expected"),
        }
    }
}

/// Every layer's output for one image, by the references, along the edges.
pub(crate) struct Pass<'a> {
    layers: Vec<LayerReference<'a>>,
    image: Vec<f64>,
    outputs: Vec<Vec<f64>>,
    argmax: Vec<Vec<usize>>,
}

impl<'a> Pass<'a> {
    /// `image`: what the network sees of the pixels, `[C, H, W]`. Dropout is off.
    pub(crate) fn forward(model: &'a Model, image: Vec<f64>) -> Pass<'a> {
        let layers = model.architecture().layers().iter().map(|info| LayerReference::new(model, info)).collect();
        let mut pass = Pass { layers, image, outputs: Vec::new(), argmax: Vec::new() };
        for layer in &pass.layers {
            let inputs: Vec<&[f64]> = layer.info.inputs.iter().map(|&source| pass.value(source)).collect();
            let (y, argmax) = layer.forward(&inputs);
            pass.outputs.push(y);
            pass.argmax.push(argmax);
        }
        pass
    }

    /// What a layer gives, or the image.
    pub(crate) fn value(&self, source: Source) -> &[f64] {
        match source {
            Source::Images => &self.image,
            Source::Layer(at) => &self.outputs[at],
        }
    }

    /// The gradient of the image for one of the logits.
    pub(crate) fn gradient(&self, logits: Vec<f64>) -> Vec<f64> {
        let mut of_image = vec![0.0; self.image.len()];
        let mut of_layers: Vec<Vec<f64>> = self.outputs.iter().map(|y| vec![0.0; y.len()]).collect();
        *of_layers.last_mut().expect("a network has a layer") = logits;
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let more = layer.backward(self.value(layer.info.inputs[0]), &self.argmax[at], &of_layers[at]).x;
            for &source in &layer.info.inputs {
                let sum = match source {
                    Source::Images => &mut of_image,
                    Source::Layer(before) => &mut of_layers[before],
                };
                sum.iter_mut().zip(&more).for_each(|(sum, more)| *sum += more);
            }
        }
        of_image
    }
}

pub(crate) fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

pub(crate) fn sizes(shape: ImageShape) -> (usize, usize, usize) {
    (shape.channels, shape.height, shape.width)
}

/// The window through which a layer sees an image of `height` by `width`; none if it takes every element by itself, or
/// all of a row.
pub(crate) fn window(layer: Layer, (height, width): (usize, usize)) -> Option<Window> {
    let (kernel, stride, (rows, columns)) = match layer {
        Layer::Conv { kernel_size, stride, padding, .. }
        | Layer::Depthwise { kernel_size, stride, padding }
        | Layer::Whiten { kernel_size, stride, padding } => (kernel_size, stride, padding.of(kernel_size)),
        Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
            (kernel_size, stride, (0, 0))
        }
        Layer::GlobalAvgPool => ((height, width), (1, 1), (0, 0)),
        Layer::Linear { .. } | Layer::Dropout { .. } | Layer::Flatten | Layer::Add => return None,
        Layer::Relu
        | Layer::LeakyRelu { .. }
        | Layer::Tanh
        | Layer::Sigmoid
        | Layer::Gelu
        | Layer::Silu
        | Layer::BatchNorm { .. } => return None,
    };
    Some(Window { kernel, stride, padding: [rows, columns, rows, columns] })
}
