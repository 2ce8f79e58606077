//! Batch normalisation: while training by the moments of the batch, else by running ones.
//!
//! Each thread sums its images by themselves, channel blocks are shared to put the sums together, and then each thread
//! goes on with its images: a meeting after each of the first two. So no sum depends on who has which image. Where what
//! comes before works by images, it has them summed while they are in the cache, and so has what passes a gradient on.

use super::{Operation, Run};
use crate::graph::{Array, Node, Params};
use crate::layout::Layout;
use crate::plan::{Room, Scratch, Wiring};
use crate::step::Step;
use std::ops::Range;
use tenfold_kernels::arena::Read;
use tenfold_kernels::batch_norm::{
    BACK, Moments, NORM, PART, batch_gradients, batch_moments, image_gradients, image_moments, norm_of, normalise,
    pass_gradient, update_running,
};
use tenfold_kernels::{LANES, Planes};

#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    /// Of the input: maps without border, or a row as maps of one pixel.
    maps: Planes,
    momentum: f64,
    eps: f64,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    /// What each image adds to the moments, and then to the gradients of weight and bias.
    parts: usize,
    /// What channels are normalised by, and what their gradient is passed on by.
    norms: usize,
    backs: usize,
}

impl BatchNorm {
    /// That of values that lie in `input`.
    pub(crate) fn new(input: Layout, momentum: f64, eps: f64, params: &mut Params) -> BatchNorm {
        let maps = as_maps(&input);
        assert_eq!(maps, maps.plain(), "the input of a batch norm has no border");
        let len = maps.blocks() * LANES;
        BatchNorm {
            maps,
            momentum,
            eps,
            weight: params.array("weight", len),
            bias: params.array("bias", len),
            running_mean: params.kept("running_mean", len),
            running_var: params.kept("running_var", len),
            parts: 0,
            norms: 0,
            backs: 0,
        }
    }

    fn pixels(&self) -> usize {
        self.maps.height() * self.maps.width()
    }

    /// What images `images` add.
    fn parts_of(&self, images: Range<usize>) -> Range<usize> {
        let len = self.maps.blocks() * PART;
        self.parts + images.start * len..self.parts + images.end * len
    }

    fn norms_of(&self, blocks: Range<usize>) -> Range<usize> {
        self.norms + blocks.start * NORM..self.norms + blocks.end * NORM
    }

    fn backs_of(&self, blocks: Range<usize>) -> Range<usize> {
        self.backs + blocks.start * BACK..self.backs + blocks.end * BACK
    }

    /// The values of image `n`, without what pads a row.
    fn values<'r>(&self, step: &'r Step, node: &Node, n: usize) -> Read<'r, f32> {
        let start = step.plan.value(node.inputs[0], n..n + 1).start;
        step.floats.read(start..start + self.maps.len())
    }

    /// Sums image `n` of the input, which is `x`.
    pub(super) fn sum_values(&self, step: &Step, n: usize, x: &[f32]) {
        let mut parts = step.floats.write(self.parts_of(n..n + 1));
        image_moments(step.isa, self.pixels(), &x[..self.maps.len()], &mut parts);
    }

    /// Sums image `n` of the gradient of the output, which is `grad`.
    pub(super) fn sum_gradient(&self, step: &Step, node: &Node, n: usize, grad: &[f32]) {
        let norms = step.floats.read(self.norms_of(0..self.maps.blocks()));
        let mut parts = step.floats.write(self.parts_of(n..n + 1));
        let x = self.values(step, node, n);
        image_gradients(step.isa, self.pixels(), &x, &norms, &grad[..self.maps.len()], &mut parts);
    }

    /// The same of the output's gradient.
    fn grad<'r>(&self, run: &Run<'r>, n: usize) -> Read<'r, f32> {
        let start = run.step.plan.grad(run.node.output, n..n + 1).start;
        run.step.floats.read(start..start + self.maps.len())
    }

    /// By what this thread's share of the channels is normalised, and how far that moves what is kept.
    fn find_norms(&self, run: &Run) {
        let (step, stride) = (run.step, self.maps.blocks() * PART);
        let parts = run.batch.step.map(|_| step.floats.read(self.parts_of(0..run.images())));
        for block in run.worker.share(self.maps.blocks()) {
            let of_block = |array: &Array| {
                let start = array.place.start + block * LANES;
                start..start + LANES
            };
            let moments = match &parts {
                Some(parts) => batch_moments(step.isa, self.pixels(), parts, stride, block),
                None => {
                    let read = |array| step.params.read(of_block(array)).as_chunks().0[0].map(f64::from);
                    Moments { mean: read(&self.running_mean), variance: read(&self.running_var) }
                }
            };
            let norm = norm_of(&moments, &step.params.read(of_block(&self.weight)).as_chunks().0[0], self.eps);
            step.floats.write(self.norms_of(block..block + 1)).copy_from_slice(&norm);
            if parts.is_some() && run.batch.update.is_some() {
                let mut mean = step.params.write(of_block(&self.running_mean));
                let mut variance = step.params.write(of_block(&self.running_var));
                let (mean, variance) = (&mut mean.as_chunks_mut().0[0], &mut variance.as_chunks_mut().0[0]);
                update_running(&moments, run.images() * self.pixels(), self.momentum, mean, variance);
            }
        }
    }
}

/// A layout without what pads a row.
fn as_maps(layout: &Layout) -> Planes {
    match layout {
        Layout::Planes(planes) => *planes,
        Layout::Row { features, .. } => Planes::new(*features, 1, 1),
    }
}

impl Operation for BatchNorm {
    fn arrays(&self) -> Vec<&Array> {
        vec![&self.weight, &self.bias, &self.running_mean, &self.running_var]
    }

    fn plan(&mut self, room: &mut Room, _wiring: &Wiring) {
        let blocks = self.maps.blocks();
        self.parts = room.floats(room.batch_size * blocks * PART);
        self.norms = room.floats(blocks * NORM);
        self.backs = room.floats(blocks * BACK);
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let (step, isa) = (run.step, run.step.isa);
        if run.batch.step.is_some() {
            if step.plan.graph.values[run.input().0].summed_for != Some(run.at) {
                run.share().for_each(|n| self.sum_values(step, n, &self.values(step, run.node, n)));
            }
            run.worker.barrier();
        }
        self.find_norms(run);
        run.worker.barrier();
        let norms = step.floats.read(self.norms_of(0..self.maps.blocks()));
        let bias = step.params.read(self.bias.place.clone());
        let to = as_maps(run.layout(run.node.output));
        for n in run.share() {
            let mut y = run.write(n);
            normalise(isa, &self.values(step, run.node, n), &norms, &bias, &to, &mut y[..to.len()]);
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (step, isa, blocks) = (run.step, run.step.isa, self.maps.blocks());
        let norms = step.floats.read(self.norms_of(0..blocks));
        if step.plan.graph.values[run.node.output.0].gradient_summed_for.is_none() {
            run.share().for_each(|n| self.sum_gradient(step, run.node, n, &self.grad(run, n)));
            run.worker.barrier();
        }
        {
            let parts = step.floats.read(self.parts_of(0..run.images()));
            for block in run.worker.share(blocks) {
                let norm = &norms.as_chunks().0[block];
                let (weight, bias, back) = batch_gradients(isa, self.pixels(), norm, &parts, blocks * PART, block);
                step.floats.write(self.backs_of(block..block + 1)).copy_from_slice(&back);
                step.learn(run.batch, &self.weight, block * LANES, &weight);
                step.learn(run.batch, &self.bias, block * LANES, &bias);
            }
        }
        run.worker.barrier();
        if !step.plan.graph.passes_gradient(&run.node.inputs) {
            return;
        }
        let backs = step.floats.read(self.backs_of(0..blocks));
        for n in run.share() {
            let (x, grad) = (self.values(step, run.node, n), self.grad(run, n));
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                let (out, padding) = out.split_at_mut(self.maps.len());
                pass_gradient(isa, self.pixels(), &x, (&norms, &backs), &grad, out);
                padding.fill(0.0);
            });
        }
    }
}
