//! A linear layer with few outputs straight over pixels, as the first and often only one of a network: threads share
//! the images forward and the inputs backward.

use super::linear::learn_bias;
use super::{Operation, Run, Split, weight_and_bias};
use crate::graph::{Array, Params};
use crate::plan::{Room, Scratch, Wiring};
use crate::workers::Team;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::linear::small_out::{
    Next, NonzeroImages, SmallOut, linear_backward_weight_small_out, linear_forward_small_out,
};

#[derive(Clone, Debug)]
pub(crate) struct LinearSmallOut {
    layout: SmallOut,
    weight: Array,
    bias: Array,
    /// Which images have something in each block of pixels, in bytes.
    nonzero: usize,
}

impl LinearSmallOut {
    pub(crate) fn new(in_features: usize, out_features: usize, has_bias: bool, params: &mut Params) -> LinearSmallOut {
        let layout = SmallOut { in_features, out_features };
        let (weight, bias) = (params.array("weight", layout.len()), params.bias(LANES, has_bias));
        LinearSmallOut { layout, weight, bias, nonzero: 0 }
    }

    /// The bytes that tell of images `images`, whole groups of sixteen or the last ones.
    fn nonzero_of(&self, images: Range<usize>) -> Range<usize> {
        let bytes = |images: usize| self.nonzero + size_of::<NonzeroImages>() * self.layout.mask_len(images);
        bytes(images.start)..bytes(images.end)
    }
}

impl Operation for LinearSmallOut {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        self.layout.index(j % shape[1], j / shape[1])
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        // The gradient of all that a thread has.
        room.values(if wiring.learns { self.layout.len() } else { 0 });
        self.nonzero = room.bytes(size_of::<NonzeroImages>() * self.layout.mask_len(room.batch_size));
    }

    fn split(&self, _team: Team, _training: bool) -> Split {
        Split::Sixteens
    }

    fn reads_pixels(&self) -> bool {
        true
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let (step, share) = (run.step, run.step.share(run.worker, run.node, run.images()));
        if share.is_empty() {
            return;
        }
        let (weight, bias) = (step.params.read(self.weight.place.clone()), step.params.read(self.bias.place.clone()));
        let start = step.plan.value(run.node.output, share.clone()).start;
        let stride = run.layout(run.node.output).image_len();
        let mut y = step.floats.write_columns(start, share.len(), stride, 0..LANES);
        let mut y = y.columns();
        let images = run.batch.examples.part(share.clone()).images(step.pixels);
        let mut nonzero = step.bytes.write(self.nonzero_of(share.clone()));
        let nonzero = nonzero.as_chunks_mut().0;
        linear_forward_small_out(step.isa, self.layout, images, &weight, &bias, &mut y, nonzero);
        (0..share.len())
            .for_each(|n| run.finish_part(share.start + n, 0, &mut y.row_mut(n)[..self.layout.out_features]));
    }

    /// Asks for the next images too: those that this thread will look at.
    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (step, layout, rows) = (run.step, self.layout, run.images());
        let share = run.worker.share(layout.blocks());
        let grad = run.grad(0..rows);
        let stride = run.grad_layout(run.node.output).image_len();
        let values = scratch.values.as_mut_slice();
        if !share.is_empty() {
            let part = &mut values[..layout.start(share.len())];
            let images = run.batch.examples.images(step.pixels);
            let nonzero = step.bytes.read(self.nonzero_of(0..rows));
            let next = &run.batch.next;
            let next = Next { indices: next.indices(), whole: step.share(run.worker, run.node, next.len()) };
            let nonzero = nonzero.as_chunks().0;
            linear_backward_weight_small_out(
                step.isa,
                layout,
                images,
                nonzero,
                share.clone(),
                &grad,
                stride,
                part,
                next,
            );
            step.learn(run.batch, &self.weight, layout.start(share.start), part);
        }
        learn_bias(run, values, &grad, &self.bias);
    }
}
