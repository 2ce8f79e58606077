//! Filters through training: a strip, a row for each filter, and an animated PNG.

/// Filters through training.
#[derive(Clone, PartialEq, Debug)]
pub struct Strip {
    /// The title.
    pub title: String,
    /// The epochs; 0 is before training.
    pub epochs: Vec<usize>,
    /// Filters that the layer has; the rows may be some of them.
    pub of: usize,
    /// For each filter, the kernel at each epoch.
    pub rows: Vec<Vec<crate::filters::Filter>>,
}
