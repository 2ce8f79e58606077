//! Batch normalisation, while training by the moments of the batch, else by running ones; and the sum of a residual
//! block, where one of its terms is normalised, or both are.
//!
//! Each thread sums its images by themselves, channel blocks are shared to put the sums together, and then each thread
//! goes on with its images: a meeting after each of the first two. So no sum depends on who has which image. Where what
//! comes before works by images, it has them summed while they are in the cache, and so has what passes a gradient on.
//! Where what comes behind takes images one by one, it has them made when it takes them, and nothing is kept.

use super::{Operation, Run};
use crate::graph::{Array, Node, Params, ValueId};
use crate::layout::Layout;
use crate::plan::{Room, Scratch, Wiring};
use crate::step::Step;
use std::ops::Range;
use tenfold_kernels::activation::Activation;
use tenfold_kernels::arena::Read;
use tenfold_kernels::batch_norm::{
    BACK, Moments, NORM, PART, Term, batch_gradients, batch_moments, image_gradients, image_moments, norm_of,
    normalise, pass_gradient, pass_gradient_in_place, update_running,
};
use tenfold_kernels::{LANES, Planes};

#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    /// Of the first value that the node reads.
    norm: Norm,
    added: Added,
}

/// What a second value that the node reads is to it.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has a handful of batch norms")]
enum Added {
    /// There is none.
    Nothing,
    /// A term as it is.
    Value,
    /// A term that is normalised too.
    Norm(Norm),
}

impl BatchNorm {
    /// That of values that lie in `input`.
    pub(crate) fn new(input: Layout, momentum: f64, eps: f64, params: &mut Params) -> BatchNorm {
        BatchNorm { norm: Norm::new(input, momentum, eps, params), added: Added::Nothing }
    }

    /// The sum of what it gives and another value, or what another batch norm gives.
    pub(crate) fn plus(self, other: Option<BatchNorm>) -> BatchNorm {
        BatchNorm { added: other.map_or(Added::Value, |other| Added::Norm(other.norm)), ..self }
    }

    /// Whether it does nothing but normalise.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.added, Added::Nothing)
    }

    /// Whether it adds a value as it is.
    pub(crate) fn adds_value(&self) -> bool {
        matches!(self.added, Added::Value)
    }

    /// Those of the values that `node` reads that are normalised.
    pub(crate) fn normalised<'n>(&self, node: &'n Node) -> &'n [ValueId] {
        &node.inputs[..1 + usize::from(self.second().is_some())]
    }

    fn second(&self) -> Option<&Norm> {
        match &self.added {
            Added::Norm(norm) => Some(norm),
            Added::Nothing | Added::Value => None,
        }
    }

    /// The values that are normalised, and by what.
    fn norms<'b>(&'b self, node: &'b Node) -> impl Iterator<Item = (ValueId, &'b Norm)> {
        node.inputs.iter().copied().zip(std::iter::once(&self.norm).chain(self.second()))
    }

    /// Sums image `n` of `value`, which is `x`.
    pub(super) fn sum_values(&self, step: &Step, node: &Node, value: ValueId, n: usize, x: &[f32]) {
        let (_, norm) = self.norms(node).find(|&(of, _)| of == value).expect("it is normalised here");
        norm.sum_values(step, n, x);
    }

    /// Whether it finds out by itself what a ReLU in place cut off ([`BatchNorm::sum_gradient`]).
    pub(super) fn cuts_gradient(&self, step: &Step, node: &Node) -> bool {
        let output = &step.plan.graph.values[node.output.0];
        self.is_alone() && output.activation == Some(Activation::Relu) && output.drops.is_none()
    }

    /// Sums image `n` of the gradient of the output, which is `grad`, and if `cuts`, first sets to zero in it what the
    /// ReLU cut off.
    pub(super) fn sum_gradient(&self, step: &Step, node: &Node, n: usize, cuts: bool, grad: &mut [f32]) {
        self.norms(node).for_each(|(value, norm)| norm.sum_gradient(step, value, n, cuts, grad));
    }

    /// Overwrites `out` with image `n` of the output, which is not kept.
    pub(super) fn make(&self, step: &Step, node: &Node, n: usize, out: &mut [f32]) {
        let to = as_maps(&step.plan.graph.values[node.output.0].layout);
        to.clear_border(out);
        self.normalise(step, node, n, &to, out);
    }

    /// Overwrites the gradient of image `n` of the output with that of `value`, which is normalised first.
    pub(super) fn pass_in_place(&self, step: &Step, value: ValueId, n: usize, grad: &mut [f32]) {
        let norm = &self.norm;
        let (x, found, backs) = (norm.values(step, value, n), norm.found(step), norm.backs(step));
        let grad = &mut grad[..norm.maps.len()];
        pass_gradient_in_place(step.isa, norm.pixels(), &x, (&found, &backs), grad);
    }

    fn normalise(&self, step: &Step, node: &Node, n: usize, to: &Planes, out: &mut [f32]) {
        let relu = step.plan.graph.values[node.output.0].activation == Some(Activation::Relu);
        let (norm, input) = (&self.norm, |at: usize| node.inputs[at]);
        let (x, norms, bias) = (norm.values(step, input(0), n), norm.found(step), norm.bias(step));
        let mut normalise = |term: Term<'_>| normalise(step.isa, &x, &norms, &bias, term, relu, to, out);
        match &self.added {
            Added::Nothing => normalise(Term::Nothing),
            Added::Value => {
                let lies = as_maps(&step.plan.graph.values[input(1).0].layout);
                let start = step.plan.value(input(1), n..n + 1).start;
                normalise(Term::Values(&step.floats.read(start..start + lies.len()), &lies));
            }
            Added::Norm(norm) => {
                normalise(Term::Normalised(&norm.values(step, input(1), n), &norm.found(step), &norm.bias(step)));
            }
        }
    }
}

impl Operation for BatchNorm {
    fn arrays(&self) -> Vec<&Array> {
        std::iter::once(&self.norm).chain(self.second()).flat_map(Norm::arrays).collect()
    }

    fn plan(&mut self, room: &mut Room, _wiring: &Wiring) {
        self.norm.plan(room);
        if let Added::Norm(norm) = &mut self.added {
            norm.plan(room);
        }
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let (step, values) = (run.step, &run.step.plan.graph.values);
        if run.batch.step.is_some() {
            for (value, norm) in self.norms(run.node).filter(|(value, _)| values[value.0].summed_for != Some(run.at)) {
                run.share().for_each(|n| norm.sum_values(step, n, &norm.values(step, value, n)));
            }
            run.worker.barrier();
        }
        self.norms(run.node).for_each(|(_, norm)| norm.find(run));
        run.worker.barrier();
        let output = run.node.output;
        if values[output.0].made_by.is_some() {
            return;
        }
        let (to, relu) = (as_maps(run.layout(output)), values[output.0].activation == Some(Activation::Relu));
        // What was written last may still be in the cache.
        for n in run.share().rev() {
            let mut y = run.write(n);
            self.normalise(step, run.node, n, &to, &mut y[..to.len()]);
            if relu { run.finish_activated(n, &mut y) } else { run.finish(n, &mut y) }
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (step, graph, output) = (run.step, &run.step.plan.graph, run.node.output);
        if graph.values[output.0].gradient_summed_for.is_none() {
            for n in run.share() {
                let mut grad = step.floats.write(step.plan.grad(output, n..n + 1));
                self.sum_gradient(step, run.node, n, false, &mut grad);
            }
            run.worker.barrier();
        }
        self.norms(run.node).for_each(|(_, norm)| norm.learn(run));
        run.worker.barrier();
        if !graph.passes_gradient(&run.node.inputs) {
            return;
        }
        let in_place = graph.shares_gradient(run.at);
        for n in run.share().rev() {
            // What takes the place of the output's gradient comes last.
            for (at, &input) in run.node.inputs.iter().enumerate().rev() {
                if at == 1 && self.adds_value() {
                    if in_place != Some(input) {
                        let grad = run.grad(n..n + 1);
                        run.pass(input, n, scratch.spare.as_mut_slice(), |out| out.copy_from_slice(&grad));
                    }
                    continue;
                }
                if in_place == Some(input) {
                    if graph.values[input.0].passed_through.is_none() {
                        run.pass(input, n, &mut [], |grad| self.pass_in_place(step, input, n, grad));
                    }
                    continue;
                }
                let (_, norm) = self.norms(run.node).nth(at).expect("one for each value that is normalised");
                let (x, found, backs) = (norm.values(step, input, n), norm.found(step), norm.backs(step));
                let grad = run.grad(n..n + 1);
                run.pass(input, n, scratch.spare.as_mut_slice(), |out| {
                    let (out, padding) = out.split_at_mut(norm.maps.len());
                    pass_gradient(step.isa, norm.pixels(), &x, (&found, &backs), &grad[..out.len()], out);
                    padding.fill(0.0);
                });
            }
        }
    }
}

/// What one value is normalised by, and what becomes of its sums.
#[derive(Clone, Debug)]
struct Norm {
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

impl Norm {
    fn new(input: Layout, momentum: f64, eps: f64, params: &mut Params) -> Norm {
        let maps = as_maps(&input);
        assert_eq!(maps, maps.plain(), "the input of a batch norm has no border");
        let len = maps.blocks() * LANES;
        Norm {
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

    fn arrays(&self) -> [&Array; 4] {
        [&self.weight, &self.bias, &self.running_mean, &self.running_var]
    }

    fn plan(&mut self, room: &mut Room) {
        let blocks = self.maps.blocks();
        self.parts = room.floats(room.batch_size * blocks * PART);
        self.norms = room.floats(blocks * NORM);
        self.backs = room.floats(blocks * BACK);
    }

    fn pixels(&self) -> usize {
        self.maps.height() * self.maps.width()
    }

    /// What images `images` add.
    fn parts_of(&self, images: Range<usize>) -> Range<usize> {
        let len = self.maps.blocks() * PART;
        self.parts + images.start * len..self.parts + images.end * len
    }

    /// What all channels are normalised by.
    fn found<'r>(&self, step: &'r Step) -> Read<'r, f32> {
        step.floats.read(self.norms..self.norms + self.maps.blocks() * NORM)
    }

    /// What the gradients of all channels are passed on by.
    fn backs<'r>(&self, step: &'r Step) -> Read<'r, f32> {
        step.floats.read(self.backs..self.backs + self.maps.blocks() * BACK)
    }

    fn bias<'r>(&self, step: &'r Step) -> Read<'r, f32> {
        step.params.read(self.bias.place.clone())
    }

    /// Image `n` of `value`, without what pads a row.
    fn values<'r>(&self, step: &'r Step, value: ValueId, n: usize) -> Read<'r, f32> {
        let start = step.plan.value(value, n..n + 1).start;
        step.floats.read(start..start + self.maps.len())
    }

    fn sum_values(&self, step: &Step, n: usize, x: &[f32]) {
        let mut parts = step.floats.write(self.parts_of(n..n + 1));
        image_moments(step.isa, self.pixels(), &x[..self.maps.len()], &mut parts);
    }

    fn sum_gradient(&self, step: &Step, value: ValueId, n: usize, cuts: bool, grad: &mut [f32]) {
        let (x, norms) = (self.values(step, value, n), self.found(step));
        let bias = cuts.then(|| self.bias(step));
        let mut parts = step.floats.write(self.parts_of(n..n + 1));
        let grad = &mut grad[..self.maps.len()];
        image_gradients(step.isa, self.pixels(), &x, &norms, bias.as_deref(), grad, &mut parts);
    }

    /// By what this thread's share of the channels is normalised, and how far that moves what is kept.
    fn find(&self, run: &Run) {
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
            let start = self.norms + block * NORM;
            step.floats.write(start..start + NORM).copy_from_slice(&norm);
            if parts.is_some() && run.batch.update.is_some() {
                let mut mean = step.params.write(of_block(&self.running_mean));
                let mut variance = step.params.write(of_block(&self.running_var));
                let (mean, variance) = (&mut mean.as_chunks_mut().0[0], &mut variance.as_chunks_mut().0[0]);
                update_running(&moments, run.images() * self.pixels(), self.momentum, mean, variance);
            }
        }
    }

    /// By what the gradient of this thread's share of the channels is passed on, and what is learned from their sums.
    fn learn(&self, run: &Run) {
        let (step, stride, norms) = (run.step, self.maps.blocks() * PART, self.found(run.step));
        let parts = step.floats.read(self.parts_of(0..run.images()));
        for block in run.worker.share(self.maps.blocks()) {
            let norm = &norms.as_chunks().0[block];
            let (weight, bias, back) = batch_gradients(step.isa, self.pixels(), norm, &parts, stride, block);
            let start = self.backs + block * BACK;
            step.floats.write(start..start + BACK).copy_from_slice(&back);
            step.learn(run.batch, &self.weight, block * LANES, &weight);
            step.learn(run.batch, &self.bias, block * LANES, &bias);
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
