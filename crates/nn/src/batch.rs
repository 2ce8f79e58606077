//! The examples of one step: bytes that lie in a data set, or in a buffer of their own.

use crate::data::Dataset;
use crate::optim::Update;
use tenfold_kernels::pixels::{Images, PixelTable};

/// Some images with their labels, by their numbers in a larger set: those of a data set where it has them, or of a
/// buffer that was filled for this batch.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    /// All images of the set, one behind the other.
    pixels: &'a [u8],
    /// Their labels.
    labels: &'a [u8],
    /// Pixels of one image.
    image_len: usize,
    /// Which of them these are.
    indices: &'a [u32],
}

impl<'a> Examples<'a> {
    /// Examples `indices` of a data set, where it has them.
    pub(crate) fn of(data: &'a Dataset, indices: &'a [u32]) -> Examples<'a> {
        Examples { pixels: data.pixels(), labels: data.labels(), image_len: data.shape().len(), indices }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The pixels of example `n` of these.
    pub(crate) fn image(&self, n: usize) -> &'a [u8] {
        let start = self.indices[n] as usize * self.image_len;
        &self.pixels[start..start + self.image_len]
    }

    /// The class of example `n` of these.
    pub(crate) fn label(&self, n: usize) -> u8 {
        self.labels[self.indices[n] as usize]
    }

    /// Numbers of these in their set.
    pub(crate) fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// For kernels that look pixels up as they need them.
    pub(crate) fn images(&self, table: &'a PixelTable) -> Images<'a> {
        Images { pixels: self.pixels, inputs: self.image_len, indices: self.indices, table }
    }

    /// Only some of these.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Examples<'a> {
        Examples { indices: &self.indices[range], ..*self }
    }
}

/// The examples of a step, and what becomes of them.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) examples: Examples<'a>,
    /// Those of the next batch, of the same set, to be brought into the cache meanwhile.
    pub(crate) next: Examples<'a>,
    /// Number of the step, which dropout draws by; `None` while evaluating.
    pub(crate) step: Option<u64>,
    /// The update, where there is one.
    pub(crate) update: Option<Update>,
}

impl<'a> Batch<'a> {
    /// To be evaluated, not learned from.
    pub(crate) fn evaluated(data: &'a Dataset, indices: &'a [u32]) -> Batch<'a> {
        Batch { examples: Examples::of(data, indices), next: Examples::of(data, &[]), step: None, update: None }
    }

    /// How many examples there are.
    pub(crate) fn len(&self) -> usize {
        self.examples.len()
    }
}
