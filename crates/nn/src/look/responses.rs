//! What filters answer to, over many images.

use super::FilterLayer;
use crate::data::Dataset;
use crate::model::Model;

/// What one filter answers to.
#[derive(Clone, PartialEq, Debug)]
pub struct FilterResponse {
    /// Its largest response before ReLU, bias included.
    pub largest: f32,
    /// Share of its responses that ReLU cuts off (those that are not above zero).
    pub cut: f64,
    /// The places that excite it most, at most one of each image, the strongest first.
    pub excited: Vec<Excited>,
}

/// A place that excites a filter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Excited {
    /// Which image.
    pub image: usize,
    /// Row of the response.
    pub row: usize,
    /// Column of the response.
    pub column: usize,
    /// The response before ReLU.
    pub value: f32,
}

/// What each filter of `layer` answers to among `data`, with the `most` places that excite it most.
pub fn responses(
    model: &Model,
    layer: &FilterLayer,
    data: &Dataset,
    most: usize,
    threads: usize,
) -> Vec<FilterResponse> {
    let _ = (model, layer, data, most, threads);
    unimplemented!()
}

/// The responses of all filters of `layer` to all of `data`, after ReLU where it follows: `[filters, images, rows, columns]`.
pub fn response_maps(model: &Model, layer: &FilterLayer, data: &Dataset, threads: usize) -> Vec<f32> {
    let _ = (model, layer, data, threads);
    unimplemented!()
}
