//! Depthwise convolution: a kernel for each channel.
//!
//! What each image adds to the gradients of weights and biases is summed with the image, while it is in the cache;
//! threads meet, and share the blocks of channels to put the images together.

use super::{Operation, Run, weight_and_bias};
use crate::graph::{Array, Params};
use crate::layout::copy_pixels;
use crate::plan::{Room, Scratch, Wiring};
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::conv::depthwise::{
    self, depthwise_backward_input, depthwise_backward_weight, depthwise_forward, sum_images,
};

#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    shape: depthwise::Depthwise,
    weight: Array,
    bias: Array,
    /// Where the images' gradients of weights and biases start.
    parts: usize,
}

impl Depthwise {
    pub(crate) fn new(shape: depthwise::Depthwise, has_bias: bool, params: &mut Params) -> Depthwise {
        let weight = params.array("weight", shape.weight_len());
        let bias = params.bias(shape.output().blocks() * LANES, has_bias);
        Depthwise { shape, weight, bias, parts: 0 }
    }

    /// What images `images` add.
    fn parts_of(&self, images: Range<usize>) -> Range<usize> {
        let len = self.shape.output().blocks() * self.shape.part_len();
        self.parts + images.start * len..self.parts + images.end * len
    }
}

impl Operation for Depthwise {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        let taps = shape[2] * shape[3];
        self.shape.weight_index(j / taps, j % taps)
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        if wiring.learns {
            self.parts = room.floats(self.parts_of(0..room.batch_size).len());
            // Each thread's for the gradient of one image, with its border, and then for a block's sum.
            room.values(self.shape.grad_output().len().max(self.shape.part_len()));
        }
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let params = &run.step.params;
        let (weight, bias) = (params.read(self.weight.place.clone()), params.read(self.bias.place.clone()));
        for n in run.share() {
            let mut y = run.write(n);
            depthwise_forward(run.step.isa, &self.shape, &run.read(run.input(), n..n + 1), &weight, &bias, &mut y);
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (step, isa) = (run.step, run.step.isa);
        let (from, to) = (run.grad_layout(run.node.output).planes(), self.shape.grad_output());
        let passes = step.plan.graph.passes_gradient(&run.node.inputs);
        let Scratch { values, spare, .. } = scratch;
        {
            let weight = step.params.read(self.weight.place.clone());
            for n in run.share() {
                let (x, grad) = (run.read(run.input(), n..n + 1), run.grad(n..n + 1));
                depthwise_backward_weight(isa, &self.shape, &x, &grad, &mut step.floats.write(self.parts_of(n..n + 1)));
                if passes {
                    let image = &mut values.as_mut_slice()[..to.len()];
                    copy_pixels(&from, &grad, &to, image);
                    run.pass(run.input(), n, spare.as_mut_slice(), |out| {
                        depthwise_backward_input(isa, &self.shape, image, &weight, out);
                    });
                }
            }
        }
        run.worker.barrier();
        let (blocks, len) = (self.shape.output().blocks(), self.shape.part_len());
        let parts = step.floats.read(self.parts_of(0..run.images()));
        for block in run.worker.share(blocks) {
            let sum = &mut values.as_mut_slice()[..len];
            sum_images(&parts[block * len..], blocks * len, sum);
            let (weight, bias) = sum.split_at(len - LANES);
            step.learn(run.batch, &self.weight, block * weight.len(), weight);
            step.learn(run.batch, &self.bias, block * LANES, bias);
        }
    }
}
