//! The images as f32, and the order in which batches take them.

use tenfold_nn::data::Dataset;
use tenfold_nn::rng::{Rng, Stream, permutation};

/// All pixels as 0 to 1.
pub(crate) fn pixels_f32(data: &Dataset) -> Vec<f32> {
    data.pixels().iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
}

/// Batches of indices without end, in a new order each epoch; what is left at the end of an epoch is dropped.
pub(crate) struct Batches {
    examples: u32,
    batch_size: usize,
    epoch: u64,
    order: Vec<u32>,
    next: usize,
}

impl Batches {
    pub(crate) fn new(examples: usize, batch_size: usize) -> Batches {
        Batches { examples: examples as u32, batch_size, epoch: 0, order: Vec::new(), next: 0 }
    }

    pub(crate) fn next(&mut self) -> &[u32] {
        if self.next + self.batch_size > self.order.len() {
            self.order = permutation(self.examples, &Rng::new(1, Stream::Order, self.epoch));
            self.epoch += 1;
            self.next = 0;
        }
        self.next += self.batch_size;
        &self.order[self.next - self.batch_size..self.next]
    }
}
