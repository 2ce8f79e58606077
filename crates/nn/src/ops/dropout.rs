//! Dropout: while training, each element is zero with a given probability, and the others are scaled up to make up for
//! it.

use super::{Operation, Run};
use crate::layout::{Layout, for_rows};
use crate::plan::{Room, Scratch, Wiring};
use crate::rng::{Rng, Stream};
use std::ops::Range;
use tenfold_kernels::dropout::{dropout_apply, dropout_in_place, dropout_mask, mask_len};

/// A dropout layer: what it draws and what it multiplies by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drops {
    /// Taken as the next lower multiple of 2^-32.
    pub(crate) probability: f64,
    /// Counts the dropout layers: each has its own random numbers.
    pub(crate) index: u64,
}

impl Drops {
    /// What kept elements are multiplied by.
    pub(super) fn scale(self) -> f32 {
        (1.0 / (1.0 - self.probability)) as f32
    }

    /// Below what number an element is dropped, and the key and counter of the numbers of image `n` of step number
    /// `step`.
    fn draws(self, run: &Run, step: u64, n: usize) -> (u32, u64, [u32; 3]) {
        let key = Rng::new(run.step.seed, Stream::Dropout, self.index).u64_at(0);
        let threshold = (self.probability * 2.0_f64.powi(32)) as u32;
        (threshold, key, [n as u32, step as u32, (step >> 32) as u32])
    }

    /// Drops some of the elements of image `n`, from number `first` on, in place.
    pub(super) fn apply(self, run: &Run, step: u64, n: usize, first: usize, y: &mut [f32]) {
        let (threshold, key, of) = self.draws(run, step, n);
        dropout_in_place(run.step.isa, threshold, key, of, first, self.scale(), y);
    }
}

/// Dropout that no operation before it can do in place.
#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    drops: Drops,
    /// Elements of an image without border: the mask belongs to them, not to where they lie.
    elements: usize,
    /// Which of them are kept, in bytes: made forward, and read once more backward.
    mask: usize,
}

impl Dropout {
    /// That of values that lie in `layout`.
    pub(crate) fn new(drops: Drops, layout: Layout) -> Dropout {
        Dropout { drops, elements: layout.plain().image_len(), mask: 0 }
    }

    fn mask_of(&self, n: usize) -> Range<usize> {
        let len = mask_len(self.elements);
        self.mask + n * len..self.mask + (n + 1) * len
    }
}

impl Operation for Dropout {
    fn plan(&mut self, room: &mut Room, _wiring: &Wiring) {
        self.mask = room.bytes(room.batch_size * mask_len(self.elements));
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let (x, mut y) = (run.read(run.input(), n..n + 1), run.write(n));
            let Some(step) = run.batch.step else {
                y.copy_from_slice(&x);
                continue;
            };
            let mut mask = run.step.bytes.write(self.mask_of(n));
            let (threshold, key, of) = self.drops.draws(run, step, n);
            dropout_mask(run.step.isa, threshold, key, of, &mut mask);
            for_rows(run.layout(run.node.output), run.grad_layout(run.node.output), |at, elements| {
                dropout_apply(run.step.isa, &mask, elements.start, self.drops.scale(), &x[at.clone()], &mut y[at]);
            });
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                let grad = run.grad(n..n + 1);
                if run.batch.step.is_none() {
                    out.copy_from_slice(&grad);
                    return;
                }
                let mask = run.step.bytes.read(self.mask_of(n));
                dropout_apply(run.step.isa, &mask, 0, self.drops.scale(), &grad, out);
            });
        }
    }
}
