//! Layer behind layer: names, numbers, shapes, arrays and costs; and residual blocks with their shortcuts.

use super::error::{MAX_ELEMENTS, MAX_PARAMETERS};
use super::param_spec::param_specs;
use super::shape::output_shape;
use super::{ArchitectureError, LayerInfo, ParamSpec, Shape, Source};
use crate::model::block::Block;
use crate::model::layer::{Layer, Padding};

/// Where the layers so far end.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) source: Source,
    pub(super) shape: Shape,
    /// Whether it is a row of what were maps: it lies in memory as they do.
    pub(super) flattened: bool,
}

/// Layers and arrays so far.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) infos: Vec<LayerInfo>,
    pub(super) params: Vec<ParamSpec>,
    parameters: usize,
}

impl Builder {
    /// Adds a layer that has place `number` and a name that begins with `scope`, behind `end`; `behind` are the layers
    /// that come behind it.
    pub(super) fn layer(
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
            if matches!(layer, Layer::Whiten { .. }) && end.source != Source::Images {
                return Err("it takes the images, so it is the first layer".to_string());
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
            Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } => false,
            Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => false,
            Layer::Relu
            | Layer::LeakyRelu { .. }
            | Layer::Tanh
            | Layer::Sigmoid
            | Layer::Gelu
            | Layer::Silu
            | Layer::Dropout { .. } => end.flattened,
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
    pub(super) fn residual(&mut self, number: usize, layers: &[Layer], from: End) -> Result<End, ArchitectureError> {
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
            (Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. }, Shape::Image(out)) => {
                specs[0].len() as u64 * (out.height * out.width) as u64
            }
            (Layer::Linear { .. }, _) => specs[0].len() as u64,
            (Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. }, Shape::Flat(_)) => {
                unreachable!("a convolution gives feature maps")
            }
            (
                Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh,
                _,
            )
            | (Layer::Sigmoid | Layer::Gelu | Layer::Silu, _)
            | (Layer::GlobalAvgPool | Layer::Dropout { .. } | Layer::Flatten, _)
            | (Layer::BatchNorm { .. } | Layer::Add, _) => 0,
        };
        self.infos.push(LayerInfo { layer, name, number, inputs, input, output, has_bias, parameters, macs });
        self.params.extend(specs);
        Ok(End { source: Source::Layer(self.infos.len() - 1), shape: output, flattened: false })
    }
}

/// What layers are called by; PyTorch's examples say `fc` for linear layers.
fn kind_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Linear { .. } => "fc",
        Layer::Conv { .. } | Layer::Depthwise { .. } => "conv",
        Layer::Whiten { .. } => "whiten",
        Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => "pool",
        Layer::Relu => "relu",
        Layer::LeakyRelu { .. } => "leakyrelu",
        Layer::Tanh => "tanh",
        Layer::Sigmoid => "sigmoid",
        Layer::Gelu => "gelu",
        Layer::Silu => "silu",
        Layer::Dropout { .. } => "dropout",
        Layer::Flatten => "flatten",
        Layer::BatchNorm { .. } => "bn",
        Layer::Add => "block",
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
            Layer::Conv { stride, .. } | Layer::Depthwise { stride, .. } | Layer::Whiten { stride, .. } => stride,
            Layer::MaxPool { stride, .. } | Layer::AvgPool { stride, .. } => stride,
            Layer::GlobalAvgPool => (from.height, from.width),
            Layer::Relu
            | Layer::LeakyRelu { .. }
            | Layer::Tanh
            | Layer::Sigmoid
            | Layer::Gelu
            | Layer::Silu
            | Layer::Dropout { .. } => (1, 1),
            Layer::Linear { .. } | Layer::Flatten | Layer::BatchNorm { .. } | Layer::Add => (1, 1),
        };
        // Any stride past the image's end does the same.
        ((so_far.0 * rows).min(from.height), (so_far.1 * columns).min(from.width))
    });
    if Shape::Image(from) == to && stride == (1, 1) {
        return Ok(None);
    }
    let conv =
        Layer::Conv { out_channels: maps.channels, kernel_size: (1, 1), stride, padding: Padding::Valid, groups: 1 };
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

/// Whether a layer adds a bias, with what comes behind it: [`LayerInfo::has_bias`].
fn has_bias(layer: Layer, mut behind: impl Iterator<Item = Layer>) -> bool {
    let is_pooling =
        |layer: &Layer| matches!(layer, Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool);
    let next = behind.find(|layer| !is_pooling(layer));
    matches!(layer, Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Linear { .. })
        && !matches!(next, Some(Layer::BatchNorm { .. }))
}
