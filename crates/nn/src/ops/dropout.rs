//! Dropout: while training, each element is zero with a given probability, and the others are scaled up to make up for it.

use super::{Operation, Run};
use crate::layout::Layout;
use crate::plan::Scratch;
use crate::rng::{Rng, Stream};

#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    pub(crate) probability: f64,
    /// Counts the dropout layers: each has its own random numbers.
    pub(crate) index: u64,
}

impl Operation for Dropout {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let mut y = run.write(n);
            y.copy_from_slice(&run.read(run.input(), n..n + 1));
            self.apply(run, run.layout(run.node.output), n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                out.copy_from_slice(&run.grad(n..n + 1));
                self.apply(run, run.grad_layout(run.node.output), n, out);
            });
        }
    }
}

impl Dropout {
    /// Multiplies image `n` of the input, or of the output's gradient, by its mask.
    ///
    /// The mask belongs to the elements, not to where they lie: the two may have different borders.
    fn apply(&self, run: &Run, layout: &Layout, n: usize, values: &mut [f32]) {
        let Some(step) = run.batch.step else { return };
        // Two elements take a number, and each line of pixels begins with a new one.
        let numbers = match run.grad_layout(run.node.output) {
            Layout::Row { stride, .. } => stride.div_ceil(2),
            Layout::Planes(p) => p.blocks() * p.height() * (p.width() * p.pixel()).div_ceil(2),
        };
        let mut mask = Mask {
            rng: Rng::new(run.step.seed, Stream::Dropout, (self.index << 48) | step),
            scale: (1.0 / (1.0 - self.probability)) as f32,
            threshold: (self.probability * 2.0_f64.powi(32)) as u64,
            next: (n * numbers) as u64,
        };
        match layout {
            Layout::Row { .. } => mask.apply(values),
            Layout::Planes(planes) => {
                for (block, y) in (0..planes.blocks()).flat_map(|block| (0..planes.height()).map(move |y| (block, y))) {
                    let start = planes.offset(block, y, 0);
                    mask.apply(&mut values[start..start + planes.width() * planes.pixel()]);
                }
            }
        }
    }
}

/// The random numbers of one image in one dropout layer, taken in the order of its elements.
struct Mask {
    rng: Rng,
    scale: f32,
    threshold: u64,
    next: u64,
}

impl Mask {
    /// Drops or scales the next `values.len()` elements. Each 64-bit number decides about two of them.
    fn apply(&mut self, values: &mut [f32]) {
        for values in values.chunks_mut(2) {
            let bits = self.rng.u64_at(self.next);
            self.next += 1;
            for (value, half) in values.iter_mut().zip([bits >> 32, bits & 0xFFFF_FFFF]) {
                // A select, not a product: a dropped infinity is zero, not NaN.
                *value = if half < self.threshold { 0.0 } else { *value * self.scale };
            }
        }
    }
}
