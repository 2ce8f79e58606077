//! Layers over images of one shape, a chain with residual blocks, with every shape worked out and checked once.

use super::block::{Block, BlockText};
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
    /// Its place as it is written, from 1; within a residual block that of the block and of the layer in it, as `3.2`.
    /// The block's shortcut and sum have that of the block.
    pub number: String,
    /// Where its input comes from.
    pub inputs: Vec<Source>,
    /// What comes in.
    pub input: Shape,
    /// What goes out.
    pub output: Shape,
    /// Whether it is a linear layer or a convolution that adds a bias. There is none where a batch norm comes next, or
    /// behind pooling: it takes out again what is added to a whole channel, and has a bias of its own.
    pub has_bias: bool,
    /// Number of learned values.
    pub parameters: usize,
    /// Multiply-adds of one example forward, taps in the padding included.
    pub macs: u64,
}

/// What an array of a network is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// Weights of a linear layer or a convolution.
    Weight,
    /// Their biases.
    Bias,
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
    /// Outputs of one input: `O * Kh * Kw`, or `out`; 1 in a batch norm.
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
            ParamKind::RunningMean | ParamKind::RunningVariance => false,
        }
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
    /// The optimizer has nothing to do for this network.
    #[error("{0}")]
    Optimizer(String),
    /// A layer cannot take what the one before gives.
    #[error("layer {number} \"{layer}\" cannot take its input of shape {input}: {why}")]
    Shape {
        /// Its place, from 1; within a residual block that of the block and of the layer in it, as `3.2`.
        number: String,
        /// Its text.
        layer: String,
        /// What the layer before gives.
        input: String,
        /// What does not fit.
        why: String,
    },
    /// A residual block is an empty list.
    #[error("layer {number} is a residual block without layers; write at least one, such as [\"conv 32 3x3 same\"]")]
    EmptyBlock {
        /// Its place, from 1.
        number: usize,
    },
    /// A residual block gives what it takes.
    #[error(
        "layer {number} \"{block}\" is a residual block that changes nothing, and would only double its input; write a \
         layer in it that does, such as \"linear {features}\", or leave it out"
    )]
    IdleBlock {
        /// Its place, from 1.
        number: usize,
        /// Its text.
        block: String,
        /// Features of what it takes.
        features: usize,
    },
    /// What a residual block gives cannot be added to what it takes.
    #[error("layer {number} is a residual block that gives {output} for {input}: {why}; the shapes are:\n{drawing}")]
    Sum {
        /// Its place, from 1.
        number: usize,
        /// The shape of what it takes.
        input: String,
        /// The shape of what it gives.
        output: String,
        /// What does not fit, and a remedy.
        why: String,
        /// A line for each of its layers with the shape that it gives.
        drawing: String,
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
        number: String,
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
        number: String,
        /// Its text.
        layer: String,
        /// Parameters up to and with this layer.
        parameters: usize,
    },
}

/// A checked network: whoever holds one need not check a shape again.
#[derive(Clone, PartialEq, Debug)]
pub struct Architecture {
    input: ImageShape,
    classes: usize,
    written: Vec<BlockText>,
    layers: Vec<LayerInfo>,
    params: Vec<ParamSpec>,
}

impl Architecture {
    /// [`Architecture::of_blocks`] without residual blocks.
    ///
    /// # Errors
    /// As there.
    pub fn new(input: ImageShape, layers: Vec<Layer>, classes: usize) -> Result<Architecture, ArchitectureError> {
        Architecture::of_blocks(input, layers.into_iter().map(Block::Layer).collect(), classes)
    }

    /// Works out every shape for images of shape `input`, and checks it.
    ///
    /// # Errors
    /// If there are no layers, a setting of a layer is outside its range, a layer does not fit what comes before it, a
    /// sum not its terms, the last layer does not give `classes` logits, or parameters or outputs are more than are
    /// supported.
    pub fn of_blocks(input: ImageShape, blocks: Vec<Block>, classes: usize) -> Result<Architecture, ArchitectureError> {
        let mut builder = Builder::default();
        let mut end = End { source: Source::Images, shape: Shape::Image(input), flattened: false };
        for (index, block) in blocks.iter().enumerate() {
            let behind = || {
                blocks[index + 1..].iter().map_while(|block| match block {
                    Block::Layer(layer) => Some(*layer),
                    Block::Residual(_) => None,
                })
            };
            end = match block {
                Block::Layer(layer) => builder.layer((index + 1).to_string(), *layer, "", end, behind())?,
                Block::Residual(layers) => builder.residual(index + 1, layers, end)?,
            };
        }
        let Builder { infos, params, .. } = builder;
        let last = infos.last().ok_or(ArchitectureError::NoLayers)?;
        if !matches!(last.layer, Layer::Linear { out_features } if out_features == classes) {
            let (layer, output) = (last.layer.to_string(), last.output.to_string());
            return Err(ArchitectureError::Output { layer, output, classes });
        }
        let written = blocks.iter().map(BlockText::from).collect();
        Ok(Architecture { input, classes, written, layers: infos, params })
    }

    /// A network of other layers that computes the same: [`Architecture::written`] stays.
    pub(super) fn with_layers(&self, layers: Vec<LayerInfo>) -> Architecture {
        let specs = |info: &LayerInfo| param_specs(info.layer, &info.name, info.input, info.has_bias);
        let params = layers.iter().flat_map(specs).collect();
        Architecture { layers, params, ..self.clone() }
    }

    /// The layers as they are written, each in its canonical form.
    pub fn written(&self) -> &[BlockText] {
        &self.written
    }

    /// Shape of the images.
    pub fn input(&self) -> ImageShape {
        self.input
    }

    /// Number of classes, and of logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The layers in order, those of residual blocks, of their shortcuts and their sums among them.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// The arrays in order: each layer's weight, then its bias, and what a batch norm keeps.
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

/// Where the layers so far end.
#[derive(Clone, Copy)]
struct End {
    source: Source,
    shape: Shape,
    /// Whether it is a row of what were maps: it lies in memory as they do.
    flattened: bool,
}

/// Layers and arrays so far.
#[derive(Default)]
struct Builder {
    infos: Vec<LayerInfo>,
    params: Vec<ParamSpec>,
    parameters: usize,
}

impl Builder {
    /// Adds a layer that has place `number` and a name that begins with `scope`, behind `end`; `behind` are the layers
    /// that come behind it.
    fn layer(
        &mut self,
        number: String,
        layer: Layer,
        scope: &str,
        end: End,
        behind: impl Iterator<Item = Layer>,
    ) -> Result<End, ArchitectureError> {
        let fits = layer.check().and_then(|()| {
            if end.flattened && matches!(layer, Layer::BatchNorm { .. }) {
                return Err(format!("{FLATTENED}, or before \"flatten\""));
            }
            output_shape(layer, end.shape)
        });
        let output = fits.map_err(|why| {
            let number = number.clone();
            ArchitectureError::Shape { number, layer: layer.to_string(), input: end.shape.to_string(), why }
        })?;
        let name = self.name(scope, layer);
        let pushed = self.push(number, layer, name, vec![end.source], (end.shape, output), has_bias(layer, behind))?;
        let flattened = match layer {
            Layer::Flatten => end.flattened || matches!(end.shape, Shape::Image(_)),
            Layer::Linear { .. } => false,
            Layer::Conv { .. } | Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => false,
            Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Dropout { .. } => end.flattened,
            Layer::BatchNorm { .. } | Layer::Add => false,
        };
        Ok(End { flattened, ..pushed })
    }

    /// The next name of its kind in a scope.
    fn name(&self, scope: &str, layer: Layer) -> String {
        let is_like = |info: &&LayerInfo| {
            let inside = info.name.strip_prefix(scope).is_some_and(|rest| !rest.contains('.'));
            inside && kind_name(info.layer) == kind_name(layer)
        };
        format!("{scope}{}{}", kind_name(layer), 1 + self.infos.iter().filter(is_like).count())
    }

    /// Adds a residual block: its layers, its shortcut if it needs one, and the sum.
    fn residual(&mut self, number: usize, layers: &[Layer], from: End) -> Result<End, ArchitectureError> {
        if from.flattened {
            let block = Block::Residual(layers.to_vec()).to_string();
            let (number, input, why) = (number.to_string(), from.shape.to_string(), FLATTENED.to_string());
            return Err(ArchitectureError::Shape { number, layer: block, input, why });
        }
        let name = self.name("", Layer::Add);
        let mut to = from;
        let mut drawing = format!("    {:<28}{}", "input", from.shape);
        for (index, &layer) in layers.iter().enumerate() {
            let behind = layers[index + 1..].iter().copied();
            to = self.layer(format!("{number}.{}", index + 1), layer, &format!("{name}."), to, behind)?;
            drawing.push_str(&format!("\n    {:<28}{}", layer.to_string(), to.shape));
        }
        if layers.is_empty() {
            return Err(ArchitectureError::EmptyBlock { number });
        }
        // Flatten moves nothing: the sum would read one value twice.
        if to.shape == from.shape && layers.iter().all(|layer| *layer == Layer::Flatten) {
            let block = Block::Residual(layers.to_vec()).to_string();
            return Err(ArchitectureError::IdleBlock { number, block, features: from.shape.len() });
        }
        let mut shortcut = from;
        let conv = projection(from.shape, to.shape, layers).map_err(|why| {
            let (input, output) = (from.shape.to_string(), to.shape.to_string());
            ArchitectureError::Sum { number, input, output, why, drawing }
        })?;
        for layer in conv.into_iter().flat_map(|conv| [conv, Layer::batch_norm()]) {
            let output = output_shape(layer, shortcut.shape).expect("a projection fits");
            let name = format!("{name}.shortcut.{}", kind_name(layer));
            shortcut =
                self.push(number.to_string(), layer, name, vec![shortcut.source], (shortcut.shape, output), false)?;
        }
        let terms = vec![to.source, shortcut.source];
        self.push(number.to_string(), Layer::Add, name, terms, (to.shape, to.shape), false)
    }

    fn push(
        &mut self,
        number: String,
        layer: Layer,
        name: String,
        inputs: Vec<Source>,
        (input, output): (Shape, Shape),
        has_bias: bool,
    ) -> Result<End, ArchitectureError> {
        let specs = param_specs(layer, &name, input, has_bias);
        let parameters = specs.iter().filter(|spec| spec.is_learned()).map(ParamSpec::len).sum();
        self.parameters += parameters;
        if self.parameters > MAX_PARAMETERS {
            let parameters = self.parameters;
            return Err(ArchitectureError::TooLarge { number, layer: layer.to_string(), parameters });
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
            | (Layer::GlobalAvgPool | Layer::Gelu | Layer::Dropout { .. } | Layer::Flatten, _)
            | (Layer::BatchNorm { .. } | Layer::Add, _) => 0,
        };
        self.infos.push(LayerInfo { layer, name, number, inputs, input, output, has_bias, parameters, macs });
        self.params.extend(specs);
        Ok(End { source: Source::Layer(self.infos.len() - 1), shape: output, flattened: false })
    }
}

/// Why there is neither a batch norm nor a residual block behind flatten.
const FLATTENED: &str =
    "it takes feature maps or the outputs of a linear layer, not maps in a row; write it behind one";

/// The 1x1 convolution through which `from` is added to `to`, what a block of `layers` makes of it; none where it is
/// added as it is. It has the block's stride, so that what is added has seen the same place of the image.
fn projection(from: Shape, to: Shape, layers: &[Layer]) -> Result<Option<Layer>, String> {
    let (from, maps) = match (from, to) {
        (Shape::Image(from), Shape::Image(to)) => (from, to),
        (Shape::Flat(_), _) if from == to => return Ok(None),
        (Shape::Flat(n), _) => return Err(format!("the two cannot be added; end the block with \"linear {n}\"")),
        (Shape::Image(_), Shape::Flat(_)) => {
            return Err("a row cannot be added to feature maps; write \"flatten\" and linear layers behind the block"
                .to_string());
        }
    };
    let stride = layers.iter().fold((1, 1), |so_far: (usize, usize), layer| {
        let (rows, columns) = match *layer {
            Layer::Conv { stride, .. } | Layer::MaxPool { stride, .. } | Layer::AvgPool { stride, .. } => stride,
            Layer::GlobalAvgPool => (from.height, from.width),
            Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Dropout { .. } => (1, 1),
            Layer::Linear { .. } | Layer::Flatten | Layer::BatchNorm { .. } | Layer::Add => (1, 1),
        };
        // Any stride past the image's end does the same.
        ((so_far.0 * rows).min(from.height), (so_far.1 * columns).min(from.width))
    });
    if Shape::Image(from) == to && stride == (1, 1) {
        return Ok(None);
    }
    let conv = Layer::Conv { out_channels: maps.channels, kernel_size: (1, 1), stride, padding: Padding::Valid };
    conv.check().map_err(|why| format!("its shortcut would be \"{conv}\", and {why}; pool before the block"))?;
    let given = output_shape(conv, Shape::Image(from)).expect("every image has a pixel");
    if given != to {
        return Err(format!(
            "its shortcut \"{conv}\" gives {given}, which cannot be added; pad the block's convolutions with \"same\", so \
             that only strides make rows and columns fewer"
        ));
    }
    Ok(Some(conv))
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
        Layer::BatchNorm { .. } => "bn",
        Layer::Add => "block",
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
        Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Gelu => Ok(input),
        Layer::Dropout { .. } | Layer::BatchNorm { .. } | Layer::Add => Ok(input),
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

/// Whether a layer adds a bias, with what comes behind it: [`LayerInfo::has_bias`].
fn has_bias(layer: Layer, mut behind: impl Iterator<Item = Layer>) -> bool {
    let is_pooling =
        |layer: &Layer| matches!(layer, Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool);
    let next = behind.find(|layer| !is_pooling(layer));
    matches!(layer, Layer::Conv { .. } | Layer::Linear { .. }) && !matches!(next, Some(Layer::BatchNorm { .. }))
}

fn param_specs(layer: Layer, name: &str, input: Shape, has_bias: bool) -> Vec<ParamSpec> {
    let array = |kind, shape: &[usize], (fan_in, fan_out)| {
        let word = match kind {
            ParamKind::Weight | ParamKind::Scale => "weight",
            ParamKind::Bias | ParamKind::Shift => "bias",
            ParamKind::RunningMean => "running_mean",
            ParamKind::RunningVariance => "running_var",
        };
        ParamSpec { name: format!("{name}.{word}"), kind, shape: shape.to_vec(), fan_in, fan_out }
    };
    let (shape, fans) = match (layer, input) {
        (Layer::Linear { out_features }, _) => (vec![out_features, input.len()], (input.len(), out_features)),
        (Layer::Conv { out_channels, kernel_size: (kh, kw), .. }, Shape::Image(image)) => {
            (vec![out_channels, image.channels, kh, kw], (image.channels * kh * kw, out_channels * kh * kw))
        }
        (Layer::Conv { .. }, Shape::Flat(_)) => unreachable!("a convolution takes feature maps"),
        (Layer::BatchNorm { .. }, _) => {
            let of = [input.channels().unwrap_or(input.len())];
            let kinds = [ParamKind::Scale, ParamKind::Shift, ParamKind::RunningMean, ParamKind::RunningVariance];
            return kinds.map(|kind| array(kind, &of, (1, 1))).to_vec();
        }
        (Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::Relu | Layer::Tanh | Layer::Sigmoid, _)
        | (Layer::GlobalAvgPool | Layer::Gelu | Layer::Dropout { .. } | Layer::Flatten | Layer::Add, _) => {
            return Vec::new();
        }
    };
    let mut specs = vec![array(ParamKind::Weight, &shape, fans)];
    specs.extend(has_bias.then(|| array(ParamKind::Bias, &shape[..1], fans)));
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::blocks;

    const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };

    fn build(layers: &[&str], input: ImageShape) -> Result<Architecture, ArchitectureError> {
        Architecture::of_blocks(input, blocks(layers), 10)
    }

    #[test]
    fn a_residual_block_adds_its_input_or_a_projection_of_it() {
        let layers = [
            "conv 16 3x3 same",
            "[conv 16 3x3 same, batchnorm, relu, conv 16 3x3 same, batchnorm]",
            "relu",
            "[conv 32 3x3 stride 2 same, relu]",
            "linear 20",
            "[linear 20, tanh]",
            "linear 10",
        ];
        let net = build(&layers, MNIST).expect("fits");
        let names: Vec<&str> = net.layers().iter().map(|info| info.name.as_str()).collect();
        let expected = [
            "conv1",
            "block1.conv1",
            "block1.bn1",
            "block1.relu1",
            "block1.conv2",
            "block1.bn2",
            "block1",
            "relu1",
            "block2.conv1",
            "block2.relu1",
            "block2.shortcut.conv",
            "block2.shortcut.bn",
            "block2",
            "fc1",
            "block3.fc1",
            "block3.tanh1",
            "block3",
            "fc2",
        ];
        assert_eq!(names, expected);
        let info = |name: &str| net.layers().iter().find(|info| info.name == name).expect("a layer");
        assert_eq!(info("block1").inputs, [Source::Layer(5), Source::Layer(0)]);
        assert_eq!(info("block2").inputs, [Source::Layer(9), Source::Layer(11)]);
        assert_eq!(info("block2.shortcut.conv").inputs, [Source::Layer(7)]);
        assert_eq!(info("block2.shortcut.conv").layer.to_string(), "conv 32 1x1 stride 2 valid");
        assert_eq!((info("block2").output.to_string(), info("block2.conv1").has_bias), ("32x14x14".into(), true));
        assert!(net.params().iter().any(|spec| spec.name == "block2.shortcut.bn.running_var"));
        assert!(!net.params().iter().any(|spec| spec.name == "block1.conv2.bias"));
        assert_eq!(net.written().iter().map(ToString::to_string).collect::<Vec<_>>(), layers);
    }

    #[test]
    fn blocks_that_cannot_be_added_are_drawn() {
        let message = |layers: &[&str]| build(layers, MNIST).expect_err("does not fit").to_string();
        let valid = message(&["conv 16 3x3 same", "[conv 32 3x3, relu]", "linear 10"]);
        let drawing = "\n    input                       16x28x28\n    conv 32 3x3 valid           32x26x26\n    relu                        32x26x26";
        assert_eq!(
            valid,
            "layer 2 is a residual block that gives 32x26x26 for 16x28x28: its shortcut \"conv 32 1x1 valid\" gives \
             32x28x28, which cannot be added; pad the block's convolutions with \"same\", so that only strides make rows \
             and columns fewer; the shapes are:"
                .to_string()
                + drawing
        );
        let rows = message(&["linear 8", "[linear 12]", "linear 10"]);
        assert!(rows.contains("gives 12 for 8: the two cannot be added; end the block with \"linear 8\";"), "{rows}");
        let mixed = message(&["[conv 4 3x3, linear 12]", "linear 10"]);
        assert!(mixed.contains("gives 12 for 1x28x28: a row cannot be added to feature maps; write"), "{mixed}");
        let inside = message(&["conv 4 3x3", "[relu, conv 4 40x40]", "linear 10"]);
        assert!(
            inside.starts_with("layer 2.2 \"conv 4 40x40 valid\" cannot take its input of shape 4x26x26"),
            "{inside}"
        );
        let flat = message(&["flatten", "[tanh]", "linear 10"]);
        assert!(
            flat.starts_with("layer 2 \"[tanh]\" cannot take its input of shape 784: it takes feature maps"),
            "{flat}"
        );
        let normed = message(&["flatten", "tanh", "batchnorm", "linear 10"]);
        assert!(normed.ends_with("write it behind one, or before \"flatten\""), "{normed}");
        let blocks = vec![Block::Residual(vec![]), Block::Layer(Layer::Linear { out_features: 10 })];
        let empty = Architecture::of_blocks(MNIST, blocks, 10).expect_err("empty").to_string();
        assert!(empty.starts_with("layer 1 is a residual block without layers"), "{empty}");
        assert_eq!(
            message(&["linear 12", "[flatten, flatten]", "linear 10"]),
            "layer 2 \"[flatten, flatten]\" is a residual block that changes nothing, and would only double its input; \
             write a layer in it that does, such as \"linear 12\", or leave it out"
        );
        assert!(build(&["linear 12", "[flatten, tanh]", "linear 10"], MNIST).is_ok());
    }

    /// Sizes alone would also fit another stride, and then what is added has seen another place.
    #[test]
    fn a_shortcut_has_its_blocks_stride() {
        let of = |side: usize, block: &str| {
            let input = ImageShape { channels: 4, height: side, width: side };
            let net = build(&[block, "linear 10"], input).map_err(|error| error.to_string())?;
            let shortcut = net.layers().iter().find(|info| info.name == "block1.shortcut.conv");
            Ok::<_, String>(shortcut.map(|info| info.layer.to_string()))
        };
        // Three rows of twelve: strides of four would fit.
        let why = of(12, "[conv 4 5x5 stride 3]").expect_err("another stride");
        assert!(why.contains("\"conv 4 1x1 stride 3 valid\" gives 4x4x4, which cannot be added"), "{why}");
        // Three rows of three at every second place.
        let why = of(3, "[conv 4 3x3 stride 2 padding 2]").expect_err("another stride");
        assert!(why.contains("\"conv 4 1x1 stride 2 valid\" gives 4x2x2"), "{why}");
        let fits = |side, block| of(side, block).expect("fits").unwrap_or_default();
        assert_eq!(fits(13, "[conv 6 3x3 stride 3x2 same, relu, conv 6 3x3 same]"), "conv 6 1x1 stride 3x2 valid");
        assert_eq!(fits(16, "[conv 6 3x3 stride 2 same, maxpool 2, avgpool 2]"), "conv 6 1x1 stride 8 valid");
        assert_eq!(fits(12, "[conv 6 3x3 stride 2 same, global-avgpool]"), "conv 6 1x1 stride 12 valid");
        assert_eq!(fits(1, "[conv 4 3x3 stride 2 same]"), "");
        let why = of(65, "[global-avgpool]").expect_err("out of range");
        assert!(why.contains("and the stride is 65x65, expected 1 to 64; pool before the block"), "{why}");
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
    fn a_batch_norm_has_pytorchs_arrays_and_takes_the_place_of_a_bias() {
        let layers = ["conv 6 3x3", "batchnorm", "relu", "conv 5 1x1", "maxpool 2", "batchnorm", "conv 4 1x1", "relu"];
        let net = build(&[&layers[..], &["batchnorm", "linear 7", "batchnorm", "linear 10"]].concat(), MNIST);
        let net = net.expect("fits");
        let names: Vec<&str> = net.params().iter().map(|spec| spec.name.as_str()).collect();
        let of = |n: usize| ["weight", "bias", "running_mean", "running_var"].map(|array| format!("bn{n}.{array}"));
        let expected = [
            &["conv1.weight".to_string()][..],
            &of(1),
            &["conv2.weight".into()],
            &of(2),
            &["conv3.weight".into(), "conv3.bias".into()],
            &of(3),
            &["fc1.weight".into()],
            &of(4),
            &["fc2.weight".into(), "fc2.bias".into()],
        ];
        assert_eq!(names, expected.concat());
        assert_eq!((net.params()[4].shape.as_slice(), net.layers()[1].parameters), (&[6][..], 12));
        let learned = net.params().iter().filter(|spec| spec.is_learned()).map(ParamSpec::len).sum::<usize>();
        assert_eq!(net.parameters(), learned);
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
