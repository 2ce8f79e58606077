//! The layers of a network one by one in plain f64, forward and backward: what every step is checked against, and how the
//! gradient of an image is computed.

use crate::data::ImageShape;
use crate::model::{Layer, LayerInfo, Model, Shape};
use tenfold_kernels::reference::{self, Window};

/// One layer with its parameters, for one image at a time. Values between layers are f64; those that are multiplied are
/// rounded to f32 first, as the references take them.
pub(crate) struct Link<'a> {
    info: &'a LayerInfo,
    /// Empty where the layer does not learn.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// What the gradient of a layer's output makes of its input and its parameters.
pub(crate) struct Gradients {
    pub(crate) x: Vec<f64>,
    /// Of the weight and the bias; empty where the layer does not learn.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look at it"))]
    pub(crate) learned: [Vec<f64>; 2],
}

impl<'a> Link<'a> {
    pub(crate) fn new(model: &Model, info: &'a LayerInfo) -> Link<'a> {
        let array = |kind| model.tensor(&format!("{}.{kind}", info.name)).unwrap_or_default();
        Link { info, weight: array("weight"), bias: array("bias") }
    }

    /// The output of the layer, and of a maximum where in `x` each one is. Dropout is off.
    pub(crate) fn forward(&self, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
        let y = match (self.info.layer, self.info.input) {
            (Layer::Linear { out_features }, _) => {
                reference::linear_forward(&to_f32(x), &self.weight, &self.bias, 1, x.len(), out_features)
            }
            (Layer::Conv { .. }, Shape::Image(shape)) => {
                let window = window(self.info.layer);
                reference::conv2d_forward(&to_f32(x), sizes(shape), &self.weight, &self.bias, &window)
            }
            (Layer::MaxPool { .. }, Shape::Image(shape)) => {
                let (_, argmax) = reference::maxpool2d_forward(&to_f32(x), sizes(shape), &window(self.info.layer));
                return (argmax.iter().map(|&at| x[at]).collect(), argmax);
            }
            (Layer::AvgPool { .. }, Shape::Image(shape)) => {
                reference::avgpool2d_forward(&to_f32(x), sizes(shape), &window(self.info.layer))
            }
            (Layer::Relu, _) => x.iter().map(|v| v.max(0.0)).collect(),
            (Layer::Tanh, _) => x.iter().map(|v| v.tanh()).collect(),
            (Layer::Sigmoid, _) => x.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(),
            (Layer::Flatten | Layer::Dropout { .. }, _) => x.to_vec(),
            (layer, shape) => unreachable!("{layer} on {shape}"),
        };
        (y, Vec::new())
    }

    /// Gradients for one of the output, `grad_y`; `x` and `argmax` are what [`Link::forward`] took and found.
    pub(crate) fn backward(&self, x: &[f64], argmax: &[usize], grad_y: &[f64]) -> Gradients {
        let g = to_f32(grad_y);
        let x_grad = match (self.info.layer, self.info.input) {
            (Layer::Linear { out_features }, _) => {
                let (x, weight, bias) =
                    reference::linear_backward(&to_f32(x), &self.weight, &g, 1, x.len(), out_features);
                return Gradients { x, learned: [weight, bias] };
            }
            (Layer::Conv { out_channels, .. }, Shape::Image(shape)) => {
                let window = window(self.info.layer);
                let (x, weight, bias) =
                    reference::conv2d_backward(&to_f32(x), sizes(shape), &self.weight, out_channels, &g, &window);
                return Gradients { x, learned: [weight, bias] };
            }
            (Layer::MaxPool { .. }, _) => reference::maxpool2d_backward(&g, argmax, x.len()),
            (Layer::AvgPool { .. }, Shape::Image(shape)) => {
                reference::avgpool2d_backward(&g, sizes(shape), &window(self.info.layer))
            }
            (layer, _) => {
                let slope = |x: f64| match layer {
                    Layer::Relu => f64::from(x > 0.0),
                    Layer::Tanh => 1.0 - x.tanh() * x.tanh(),
                    // The same on both sides, and exp does not overflow.
                    Layer::Sigmoid => (-x.abs()).exp() / (1.0 + (-x.abs()).exp()).powi(2),
                    _ => 1.0,
                };
                x.iter().zip(grad_y).map(|(&x, g)| g * slope(x)).collect()
            }
        };
        Gradients { x: x_grad, learned: [Vec::new(), Vec::new()] }
    }
}

pub(crate) fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

pub(crate) fn sizes(shape: ImageShape) -> (usize, usize, usize) {
    (shape.channels, shape.height, shape.width)
}

/// The window of a convolution or pooling.
pub(crate) fn window(layer: Layer) -> Window {
    let (kernel, stride, (rows, columns)) = match layer {
        Layer::Conv { kernel_size, stride, padding, .. } => (kernel_size, stride, padding.of(kernel_size)),
        Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
            (kernel_size, stride, (0, 0))
        }
        layer => unreachable!("{layer} has no window"),
    };
    Window { kernel, stride, padding: [rows, columns, rows, columns] }
}
