//! The same filter in several networks.

use tenfold_nn::data::Dataset;
use tenfold_nn::look::FilterLayer;
use tenfold_nn::model::Model;

/// Filters of a first network and their like in others.
#[derive(Clone, PartialEq, Debug)]
pub struct Recurrence {
    /// One for each filter of the first network, those that recur most often and most alike first.
    pub rows: Vec<Row>,
    /// For each other network, how many filters recur.
    pub recur: Vec<usize>,
    /// The same count for networks of the same layers before training: what chance alone gives.
    pub by_chance: Vec<usize>,
    /// Whether kernels could be compared; if not, responses alone decide.
    pub by_kernel: bool,
}

/// A filter of the first network.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The filter.
    pub filter: usize,
    /// Its like in each other network: the one most like it, where that has no other more like it.
    pub twins: Vec<Option<Twin>>,
}

/// A filter that is most like another, each for the other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Twin {
    /// The filter of the other network.
    pub filter: usize,
    /// Correlation of the two kernels, -1 to 1, where they can be compared.
    pub kernel: Option<f64>,
    /// Correlation of the responses to the sample, -1 to 1.
    pub response: f64,
}

impl Recurrence {
    /// Correlation from which on two filters count as the same.
    pub const ALIKE: f64 = 0.9;
}

/// Matches the filters of the first of `networks` with those of each other, by kernels (layers over the pixels with kernels of
/// one size) and by responses to `sample`.
pub fn recurrence(networks: &[(&Model, &FilterLayer)], sample: &Dataset, threads: usize) -> Recurrence {
    let _ = (networks, sample, threads);
    unimplemented!()
}
