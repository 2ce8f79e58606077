//! What every layer makes of one image.

use crate::model::Model;

/// What every layer makes of one image.
#[derive(Clone, PartialEq, Debug)]
pub struct Trace {
    /// The output of each layer of the architecture, in its order and its shape: `[C, H, W]` or a row. That of a
    /// convolution or linear layer is before the activation, which is a layer of its own; dropout passes on what it gets.
    pub outputs: Vec<Vec<f32>>,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

/// What every layer makes of one image of the network's input shape, `[C, H, W]`.
///
/// # Panics
/// If the image has another size.
pub fn trace(model: &Model, image: &[u8]) -> Trace {
    let _ = (model, image);
    unimplemented!()
}
