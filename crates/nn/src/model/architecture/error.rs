//! Why layers do not make a network.

use thiserror::Error;

/// Parameters of a network beyond which it is surely a mistake: 8 GiB with Adam's state.
pub(super) const MAX_PARAMETERS: usize = 500_000_000;

/// Elements of one example's feature maps beyond which the layers are surely a mistake.
pub(super) const MAX_ELEMENTS: usize = 1 << 26;

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
