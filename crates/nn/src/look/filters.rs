//! Layers whose units can be drawn, their kernels, and networks without one of them.

use crate::model::{Architecture, Model};

/// A layer whose units have kernels that can be drawn: a convolution, or a linear layer straight over the pixels, each
/// of whose units is one filter as large as the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterLayer {
    /// Its index among the architecture's layers.
    pub index: usize,
    /// Its name, such as `conv1`.
    pub name: String,
    /// Number of filters.
    pub filters: usize,
    /// Input channels, rows and columns of a kernel.
    pub kernel: [usize; 3],
    /// Rows and columns of a filter's response; 1 and 1 of a linear layer.
    pub response: [usize; 2],
    /// Whether ReLU follows.
    pub rectified: bool,
}

/// The layers whose units can be drawn, in their order.
pub fn filter_layers(architecture: &Architecture) -> Vec<FilterLayer> {
    let _ = architecture;
    unimplemented!()
}

/// The kernels of a layer, `[filters, channels, rows, columns]`.
pub fn kernels(model: &Model, layer: &FilterLayer) -> Vec<f32> {
    let _ = (model, layer);
    unimplemented!()
}

/// The network with one filter's weights and bias set to zero.
pub fn silenced(model: &Model, layer: &FilterLayer, filter: usize) -> Model {
    let _ = (model, layer, filter);
    unimplemented!()
}
