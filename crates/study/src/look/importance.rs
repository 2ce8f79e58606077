//! What a network loses without one of its filters.

use tenfold_nn::data::Dataset;
use tenfold_nn::look::FilterLayer;
use tenfold_nn::model::Model;
use tenfold_nn::train::Flow;

/// What a network loses without one of its filters.
#[derive(Clone, PartialEq, Debug)]
pub struct Importance {
    /// The filter.
    pub filter: usize,
    /// Balanced accuracy lost, 1 being all; negative where the network is better without.
    pub lost: f64,
    /// The class whose recall falls most.
    pub suffers: usize,
    /// By how much.
    pub suffers_lost: f64,
}

/// What the network loses on `valid` without each filter of `layer`, in the order of filters; none if `on_filter`, called
/// after each with how many are done, asks to stop.
pub fn importance(
    model: &Model,
    layer: &FilterLayer,
    valid: &Dataset,
    threads: usize,
    on_filter: &mut dyn FnMut(usize) -> Flow,
) -> Option<Vec<Importance>> {
    let _ = (model, layer, valid, threads, on_filter);
    unimplemented!()
}

/// For each filter the first earlier one of the layer that answers alike: the correlation of responses to `sample` (and, in a
/// layer over the pixels, of kernels) is at least [`crate::look::Recurrence::ALIKE`].
pub fn duplicates(model: &Model, layer: &FilterLayer, sample: &Dataset, threads: usize) -> Vec<Option<usize>> {
    let _ = (model, layer, sample, threads);
    unimplemented!()
}
