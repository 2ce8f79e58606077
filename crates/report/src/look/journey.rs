//! One image's way through a network: every layer's output, what the network says, and which pixels mattered.

use crate::feature_maps::Image;

/// One image's way through a network.
#[derive(Clone, PartialEq, Debug)]
pub struct Journey {
    /// The title: `cnn2 seed 1`.
    pub title: String,
    /// What the image is: `test image 1234, labelled 7`, `digit.png`.
    pub heading: String,
    /// How a picture of the user's own became the network's input, the last step being that input; empty for images of a data set.
    pub steps: Vec<(String, Image)>,
    /// The network's input.
    pub image: Image,
    /// The layers that are shown, in their order.
    pub stages: Vec<Stage>,
    /// The classes with logit and probability, in their order.
    pub classes: Vec<Class>,
    /// The true class, where it is known.
    pub label: Option<usize>,
    /// The unit whose receptive field is drawn.
    pub unit: Option<Unit>,
    /// The class that the two maps speak of.
    pub explained: usize,
    /// Rise in cross-entropy of that class where the image is painted black, in nats, `[height, width]`.
    pub occlusion: Vec<f64>,
    /// Pixels of a side of the painted square.
    pub occlusion_side: usize,
    /// Gradient of the logit of that class, `[channels, height, width]`.
    pub gradient: Vec<f64>,
}

/// What one layer makes of the image.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    /// The layer's name and text: `conv1: conv 32 5x5 same`.
    pub name: String,
    /// Whether its values can be negative: then the scale is signed.
    pub signed: bool,
    /// Channels, rows and columns; a dense layer has one row and one column.
    pub shape: [usize; 3],
    /// `[channels, rows, columns]`.
    pub values: Vec<f32>,
    /// The channels that are shown, in the order in which they are, the same before and after ReLU; "n of N shown" is said.
    pub shown: Vec<usize>,
}

/// What the network says of one class.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// As it is to be printed.
    pub name: String,
    /// Its logit.
    pub logit: f32,
    /// Its probability.
    pub probability: f32,
}

/// A unit and the pixels that it sees.
#[derive(Clone, PartialEq, Debug)]
pub struct Unit {
    /// Which one, as it is to be printed: `conv2 filter 5, row 3, column 4`.
    pub name: String,
    /// Index of its stage, its channel, row and column.
    pub at: (usize, usize, usize, usize),
    /// Top, left, height and width of what it sees.
    pub field: [usize; 4],
}
