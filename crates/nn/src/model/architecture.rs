//! A chain of layers over images of one shape, with every shape worked out and checked once.

use super::layer::{Layer, Padding};
use crate::data::ImageShape;
use std::fmt;
use tenfold_kernels::windows;
use thiserror::Error;

/// Parameters of a network beyond which it is surely a mistake: 8 GiB with Adam's state.
const MAX_PARAMETERS: usize = 500_000_000;

/// Elements of one example's feature maps beyond which the layers are surely a mistake.
const MAX_ELEMENTS: usize = 1 << 26;

/// The shape of one example between two layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Feature maps: channels, height, width.
    Image(ImageShape),
    /// A row of this many features.
    Flat(usize),
}

impl Shape {
    /// Elements of one example.
    pub fn len(self) -> usize {
        match self {
            Shape::Image(shape) => shape.channels * shape.height * shape.width,
            Shape::Flat(n) => n,
        }
    }

    /// Of feature maps, how many there are.
    pub fn channels(self) -> Option<usize> {
        match self {
            Shape::Image(shape) => Some(shape.channels),
            Shape::Flat(_) => None,
        }
    }

    /// Whether there is no element (never, in a checked architecture).
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Shape::Image(s) => write!(f, "{}x{}x{}", s.channels, s.height, s.width),
            Shape::Flat(n) => write!(f, "{n}"),
        }
    }
}

/// Where a layer's input comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The images.
    Images,
    /// The output of the layer with this number, from 0.
    Layer(usize),
}

/// A layer in its place.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerInfo {
    /// What it does.
    pub layer: Layer,
    /// Its name, such as `conv1`, `relu2` or `fc1`; parameters and pictures are called after it.
    pub name: String,
    /// Where its input comes from.
    pub inputs: Vec<Source>,
    /// What comes in.
    pub input: Shape,
    /// What goes out.
    pub output: Shape,
    /// Number of learned values.
    pub parameters: usize,
    /// Multiply-adds of one example forward, taps in the padding included.
    pub macs: u64,
}

/// A learned array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParamSpec {
    /// Its name, such as `conv1.weight` or `fc1.bias`.
    pub name: String,
    /// Its shape as PyTorch has it: `[O, I, Kh, Kw]`, `[out, in]` or `[out]`.
    pub shape: Vec<usize>,
    /// Inputs of one output: `I * Kh * Kw`, or `in`; a bias has those of its weight.
    pub fan_in: usize,
    /// Outputs of one input: `O * Kh * Kw`, or `out`.
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

    /// Whether this is a bias.
    pub fn is_bias(&self) -> bool {
        self.shape.len() == 1
    }
}

/// Why layers do not make a network.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArchitectureError {
    /// There is no layer.
    #[error("a network needs at least one layer; the last is linear, with one output per class")]
    NoLayers,
    /// What is seen of a pixel is not set for as many channels as the images have.
    #[error("{0}")]
    Pixels(String),
    /// The images are too small, or too large, for what is to be done to them in training.
    #[error("{0}")]
    Augment(String),
    /// A layer cannot take what the one before gives.
    #[error("layer {number} \"{layer}\" cannot take its input of shape {input}: {why}")]
    Shape {
        /// Its place, from 1.
        number: usize,
        /// Its text.
        layer: String,
        /// What the layer before gives.
        input: String,
        /// What does not fit.
        why: String,
    },
    /// The last layer does not give one number per class.
    #[error(
        "the last layer \"{layer}\" gives {output}; the last layer must be \"linear {classes}\", one output per class"
    )]
    Output {
        /// Its text.
        layer: String,
        /// What it gives.
        output: String,
        /// Number of classes.
        classes: usize,
    },
    /// A layer's output is larger than fits anywhere.
    #[error("layer {number} \"{layer}\" gives {elements} elements for one image, expected at most {MAX_ELEMENTS}")]
    OutputTooLarge {
        /// Its place, from 1.
        number: usize,
        /// Its text.
        layer: String,
        /// Elements of its output.
        elements: usize,
    },
    /// There are more parameters than fit anywhere.
    #[error(
        "layer {number} \"{layer}\" brings the network to {parameters} parameters, expected at most {MAX_PARAMETERS}"
    )]
    TooLarge {
        /// Its place, from 1.
        number: usize,
        /// Its text.
        layer: String,
        /// Parameters up to and with this layer.
        parameters: usize,
    },
}

/// A checked chain of layers: whoever holds one need not check a shape again.
#[derive(Clone, PartialEq, Debug)]
pub struct Architecture {
    input: ImageShape,
    classes: usize,
    layers: Vec<LayerInfo>,
    params: Vec<ParamSpec>,
}

impl Architecture {
    /// Works out every shape for images of shape `input`, and checks it.
    ///
    /// # Errors
    /// If there are no layers, a setting of a layer is outside its range, a layer does not fit what comes before it,
    /// the last one does not give `classes` logits, or parameters or outputs are more than are supported.
    pub fn new(input: ImageShape, layers: Vec<Layer>, classes: usize) -> Result<Architecture, ArchitectureError> {
        let mut shape = Shape::Image(input);
        let (mut infos, mut params) = (Vec::<LayerInfo>::new(), Vec::<ParamSpec>::new());
        let mut total = 0;
        for (index, layer) in layers.into_iter().enumerate() {
            let number = index + 1;
            let output = layer.check().and_then(|()| output_shape(layer, shape)).map_err(|why| {
                ArchitectureError::Shape { number, layer: layer.to_string(), input: shape.to_string(), why }
            })?;
            let kind = kind_name(layer);
            let count = 1 + infos.iter().filter(|info| kind_name(info.layer) == kind).count();
            let name = format!("{kind}{count}");
            let specs = param_specs(layer, &name, shape);
            let parameters = specs.iter().map(ParamSpec::len).sum();
            total += parameters;
            if total > MAX_PARAMETERS {
                return Err(ArchitectureError::TooLarge { number, layer: layer.to_string(), parameters: total });
            }
            if output.len() > MAX_ELEMENTS {
                let elements = output.len();
                return Err(ArchitectureError::OutputTooLarge { number, layer: layer.to_string(), elements });
            }
            let macs = match (layer, output) {
                (Layer::Conv { .. }, Shape::Image(out)) => specs[0].len() as u64 * (out.height * out.width) as u64,
                (Layer::Linear { .. }, _) => specs[0].len() as u64,
                (Layer::Conv { .. }, Shape::Flat(_)) => unreachable!("a convolution gives feature maps"),
                (Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::Relu | Layer::Tanh | Layer::Sigmoid, _)
                | (Layer::GlobalAvgPool | Layer::Gelu | Layer::Dropout { .. } | Layer::Flatten, _) => 0,
            };
            let inputs = vec![index.checked_sub(1).map_or(Source::Images, Source::Layer)];
            infos.push(LayerInfo { layer, name, inputs, input: shape, output, parameters, macs });
            params.extend(specs);
            shape = output;
        }
        let last = infos.last().ok_or(ArchitectureError::NoLayers)?;
        if !matches!(last.layer, Layer::Linear { out_features } if out_features == classes) {
            let (layer, output) = (last.layer.to_string(), last.output.to_string());
            return Err(ArchitectureError::Output { layer, output, classes });
        }
        Ok(Architecture { input, classes, layers: infos, params })
    }

    /// Shape of the images.
    pub fn input(&self) -> ImageShape {
        self.input
    }

    /// Number of classes, and of logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The layers in order.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// The learned arrays in order: each layer's weight, then its bias.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// Number of learned values.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|l| l.parameters).sum()
    }

    /// Multiply-adds of one example forward, taps in the padding included.
    pub fn macs_forward(&self) -> u64 {
        self.layers.iter().map(|l| l.macs).sum()
    }
}

/// What layers are called by; PyTorch's examples say `fc` for linear layers.
fn kind_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Linear { .. } => "fc",
        Layer::Conv { .. } => "conv",
        Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => "pool",
        Layer::Relu => "relu",
        Layer::Tanh => "tanh",
        Layer::Sigmoid => "sigmoid",
        Layer::Gelu => "gelu",
        Layer::Dropout { .. } => "dropout",
        Layer::Flatten => "flatten",
    }
}

fn output_shape(layer: Layer, input: Shape) -> Result<Shape, String> {
    let needs_image = || match input {
        Shape::Image(shape) => Ok(shape),
        Shape::Flat(_) => Err("it needs an image, and the layers before have flattened it".to_string()),
    };
    match layer {
        Layer::Linear { out_features } => Ok(Shape::Flat(out_features)),
        Layer::Conv { out_channels, kernel_size, stride, padding } => {
            let image = needs_image()?;
            let (kh, kw) = kernel_size;
            if padding == Padding::Same && (kh % 2 == 0 || kw % 2 == 0) {
                return Err(format!("\"same\" padding needs an odd kernel, and it is {kh}x{kw}; say \"padding N\""));
            }
            let pad = padding.of(kernel_size);
            if pad.0 >= kh || pad.1 >= kw {
                return Err(format!("the padding {pad:?} must be smaller than the kernel {kh}x{kw}"));
            }
            let (height, width) = output_size(image, kernel_size, stride, pad)?;
            Ok(Shape::Image(ImageShape { channels: out_channels, height, width }))
        }
        Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
            let image = needs_image()?;
            if kernel_size.0 * kernel_size.1 > 256 {
                return Err("a pooling window has at most 256 pixels".to_string());
            }
            let (height, width) = output_size(image, kernel_size, stride, (0, 0))?;
            Ok(Shape::Image(ImageShape { height, width, ..image }))
        }
        Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Dropout { .. } => Ok(input),
        Layer::GlobalAvgPool => Ok(Shape::Image(ImageShape { height: 1, width: 1, ..needs_image()? })),
        Layer::Flatten => Ok(Shape::Flat(input.len())),
    }
}

/// Rows and columns of windows that fit.
fn output_size(
    image: ImageShape,
    (kh, kw): (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
) -> Result<(usize, usize), String> {
    let (height, width) = (image.height + 2 * padding.0, image.width + 2 * padding.1);
    windows::count(height, kh, stride.0).zip(windows::count(width, kw, stride.1)).ok_or_else(|| {
        let padded = if padding == (0, 0) { "" } else { " with its padding" };
        format!("the {kh}x{kw} window is larger than the {height}x{width} image{padded}")
    })
}

fn param_specs(layer: Layer, name: &str, input: Shape) -> Vec<ParamSpec> {
    let (shape, fan_in, fan_out) = match (layer, input) {
        (Layer::Linear { out_features }, _) => (vec![out_features, input.len()], input.len(), out_features),
        (Layer::Conv { out_channels, kernel_size: (kh, kw), .. }, Shape::Image(image)) => {
            (vec![out_channels, image.channels, kh, kw], image.channels * kh * kw, out_channels * kh * kw)
        }
        (Layer::Conv { .. }, Shape::Flat(_)) => unreachable!("a convolution takes feature maps"),
        (Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::Relu | Layer::Tanh | Layer::Sigmoid, _)
        | (Layer::GlobalAvgPool | Layer::Gelu | Layer::Dropout { .. } | Layer::Flatten, _) => return Vec::new(),
    };
    let bias = ParamSpec { name: format!("{name}.bias"), shape: vec![shape[0]], fan_in, fan_out };
    vec![ParamSpec { name: format!("{name}.weight"), shape, fan_in, fan_out }, bias]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };

    fn build(layers: &[&str], input: ImageShape) -> Result<Architecture, ArchitectureError> {
        Architecture::new(input, layers.iter().map(|l| l.parse().expect(l)).collect(), 10)
    }

    #[test]
    fn the_built_in_recipes_have_their_published_size() {
        let cnn2 = [
            "conv 32 5x5 same",
            "relu",
            "maxpool 2",
            "conv 64 5x5 same",
            "relu",
            "maxpool 2",
            "linear 1024",
            "relu",
            "linear 10",
        ];
        for (layers, parameters, macs) in [
            (&["linear 10"][..], 7_850, 7_840),
            (&["linear 200", "relu", "linear 200", "relu", "linear 10"], 199_210, 198_800),
            (&["conv 32 5x5 same", "relu", "maxpool 2", "linear 1024", "relu", "linear 10"], 6_434_634, 7_059_968),
            (&cnn2, 3_274_634, 13_883_904),
        ] {
            let net = build(layers, MNIST).expect("fits");
            assert_eq!((net.parameters(), net.macs_forward()), (parameters, macs));
            assert_eq!(net.params().iter().map(ParamSpec::len).sum::<usize>(), parameters);
        }
    }

    #[test]
    fn names_and_shapes_are_pytorchs() {
        let net =
            build(&["conv 32 5x5 same", "relu", "maxpool 2", "linear 20", "relu", "linear 10"], MNIST).expect("fits");
        let names: Vec<&str> = net.layers().iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["conv1", "relu1", "pool1", "fc1", "relu2", "fc2"]);
        assert_eq!(net.layers()[2].output.to_string(), "32x14x14");
        assert_eq!((net.params()[2].name.as_str(), &net.params()[2].shape[..]), ("fc1.weight", &[20, 6272][..]));
    }

    #[test]
    fn layers_made_without_a_text_are_checked_too() {
        let message = |layer: Layer| Architecture::new(MNIST, vec![layer], 10).expect_err("out of range").to_string();
        let pool = Layer::MaxPool { kernel_size: (2, 2), stride: (0, 0) };
        assert!(message(pool).contains("the stride is 0x0, expected 1 to 64"));
        assert!(message(Layer::Dropout { probability: 1.5 }).contains("less than 1"));
        assert!(message(Layer::Linear { out_features: 0 }).contains("expected 1 to 1048576"));
    }

    #[test]
    fn misfits_name_the_layer_and_the_shapes() {
        let message = |layers: &[&str]| build(layers, MNIST).expect_err("does not fit").to_string();
        assert!(message(&[]).contains("at least one layer"));
        assert_eq!(
            message(&["maxpool 20", "maxpool 9", "linear 10"]),
            "layer 1 \"maxpool 20\" cannot take its input of shape 1x28x28: a pooling window has at most 256 pixels"
        );
        assert_eq!(
            message(&["maxpool 5", "conv 3 9x9 valid", "linear 10"]),
            "layer 2 \"conv 3 9x9 valid\" cannot take its input of shape 1x5x5: the 9x9 window is larger than the 5x5 image"
        );
        assert!(message(&["linear 5", "conv 3 3x3 same"]).contains("needs an image"));
        assert!(message(&["conv 3 4x4 same"]).contains("odd kernel"));
        assert!(message(&["conv 3 3x3 padding 3"]).contains("smaller than the kernel"));
        assert!(message(&["linear 9"]).contains("gives 9; the last layer must be \"linear 10\""));
        assert!(message(&["linear 10", "relu"]).contains("the last layer \"relu\""));
        assert!(message(&["linear 1048576", "linear 1048576", "linear 10"]).contains("parameters, expected at most"));
    }
}
