//! The arrays of a network: what they are called, what they are, and which of them a layer has.

use super::shape::Shape;
use crate::model::layer::Layer;

/// What an array of a network is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// Weights of a linear layer or a convolution.
    Weight,
    /// Their biases.
    Bias,
    /// Weights of a convolution that are computed from images: kept, not learned.
    FixedWeight,
    /// The weights of a batch norm, which begin at 1.
    Scale,
    /// The biases of a batch norm, which begin at 0.
    Shift,
    /// The running means of a batch norm: kept, not learned. They begin at 0.
    RunningMean,
    /// The running variances of a batch norm: kept, not learned. They begin at 1.
    RunningVariance,
}

/// An array of a network: learned, or kept beside what is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParamSpec {
    /// Its name, such as `conv1.weight` or `fc1.bias`.
    pub name: String,
    /// What it is.
    pub kind: ParamKind,
    /// Its shape as PyTorch has it: `[O, I, Kh, Kw]`, `[out, in]` or `[out]`.
    pub shape: Vec<usize>,
    /// Inputs of one output: `I * Kh * Kw`, or `in`; a bias has those of its weight; 1 in a batch norm.
    pub fan_in: usize,
    /// Outputs of one input: `O * Kh * Kw`, in groups those of its own, `O / groups * Kh * Kw`; or `out`; 1 in a batch
    /// norm. PyTorch counts all `O` also in groups.
    pub fan_out: usize,
}

impl ParamSpec {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no value (never).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an optimizer changes it.
    pub fn is_learned(&self) -> bool {
        match self.kind {
            ParamKind::Weight | ParamKind::Bias | ParamKind::Scale | ParamKind::Shift => true,
            ParamKind::FixedWeight | ParamKind::RunningMean | ParamKind::RunningVariance => false,
        }
    }
}

pub(super) fn param_specs(layer: Layer, name: &str, input: Shape, has_bias: bool) -> Vec<ParamSpec> {
    let array = |kind, shape: &[usize], (fan_in, fan_out)| {
        let word = match kind {
            ParamKind::Weight | ParamKind::FixedWeight | ParamKind::Scale => "weight",
            ParamKind::Bias | ParamKind::Shift => "bias",
            ParamKind::RunningMean => "running_mean",
            ParamKind::RunningVariance => "running_var",
        };
        ParamSpec { name: format!("{name}.{word}"), kind, shape: shape.to_vec(), fan_in, fan_out }
    };
    let (shape, fans) = match (layer, input) {
        (Layer::Linear { out_features }, _) => (vec![out_features, input.len()], (input.len(), out_features)),
        (Layer::Conv { out_channels, kernel_size: (kh, kw), groups, .. }, Shape::Image(image)) => {
            let (ins, outs) = (image.channels / groups, out_channels / groups);
            (vec![out_channels, ins, kh, kw], (ins * kh * kw, outs * kh * kw))
        }
        (Layer::Depthwise { kernel_size: (kh, kw), .. }, Shape::Image(image)) => {
            (vec![image.channels, 1, kh, kw], (kh * kw, kh * kw))
        }
        (Layer::Whiten { kernel_size: (kh, kw), .. }, Shape::Image(image)) => {
            let size = image.channels * kh * kw;
            let shape = [2 * size, image.channels, kh, kw];
            return vec![array(ParamKind::FixedWeight, &shape, (size, 2 * size * kh * kw))];
        }
        (Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. }, Shape::Flat(_)) => {
            unreachable!("a convolution takes feature maps")
        }
        (Layer::BatchNorm { .. }, _) => {
            let of = [input.channels().unwrap_or(input.len())];
            let kinds = [ParamKind::Scale, ParamKind::Shift, ParamKind::RunningMean, ParamKind::RunningVariance];
            return kinds.map(|kind| array(kind, &of, (1, 1))).to_vec();
        }
        (Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh, _)
        | (Layer::Sigmoid | Layer::Gelu | Layer::Silu, _)
        | (Layer::GlobalAvgPool | Layer::Dropout { .. } | Layer::Flatten | Layer::Add, _) => {
            return Vec::new();
        }
    };
    let mut specs = vec![array(ParamKind::Weight, &shape, fans)];
    specs.extend(has_bias.then(|| array(ParamKind::Bias, &shape[..1], fans)));
    specs
}
