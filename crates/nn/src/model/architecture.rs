//! Layers over images of one shape, a chain with residual blocks, with every shape worked out and checked once.

mod builder;
mod error;
mod param_spec;
mod shape;

use super::block::{Block, BlockText};
use super::layer::Layer;
use crate::data::ImageShape;
use builder::{Builder, End};
use param_spec::param_specs;

pub use error::ArchitectureError;
pub use param_spec::{ParamKind, ParamSpec};
pub use shape::Shape;

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

impl LayerInfo {
    /// Of a convolution, in how many groups it is: a depthwise one in as many as there are channels.
    pub fn groups(&self) -> Option<usize> {
        match self.layer {
            Layer::Conv { groups, .. } => Some(groups),
            Layer::Depthwise { .. } => self.input.channels(),
            Layer::Whiten { .. } => Some(1),
            Layer::Linear { .. } | Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => None,
            Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Silu => None,
            Layer::Dropout { .. } | Layer::Flatten | Layer::BatchNorm { .. } | Layer::Add => None,
        }
    }
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

#[cfg(test)]
mod tests;
