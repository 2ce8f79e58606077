//! The same filter across networks, in rows.

use crate::filters::Filter;

/// One row: a filter of the first network and its like in the others.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its kernel.
    pub first: Filter,
    /// In each other network: kernel, correlation of the kernels if they can be compared, of the responses.
    pub twins: Vec<Option<(Filter, Option<f64>, f64)>>,
}

/// What the picture shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    /// The title.
    pub title: String,
    /// The networks, the first one first: `cnn2 seed 1`.
    pub networks: Vec<String>,
    /// For each network the scale of its weights.
    pub limits: Vec<f32>,
    /// Filters that the first network has.
    pub of: usize,
    /// For each other network: how many recur, and how many by chance.
    pub recur: Vec<(usize, usize)>,
    /// The rows.
    pub rows: Vec<Row>,
}
