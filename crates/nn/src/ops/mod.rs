//! The operations of a graph, one file each: what it needs in memory, its parameters, how threads share it, forward and
//! backward. `docs/adding-a-layer.md` walks through adding one.

mod activation;
mod add;
mod ahead;
mod avg_pool;
mod batch_norm;
mod conv;
mod conv_pool;
mod convolution;
mod copy;
mod depthwise;
mod dropout;
mod gated;
mod global_avg_pool;
mod grouped_conv;
mod linear;
mod linear_pixels;
mod linear_small_out;
pub(crate) mod loss;
mod max_pool;
mod pixel_values;
mod tiled;

use crate::batch::Batch;
use crate::graph::{Array, Node, ValueId};
use crate::layout::{Layout, for_rows};
use crate::plan::{Room, Scratch, Wiring};
use crate::step::Step;
use crate::workers::{Team, Worker};
use std::ops::Range;
use tenfold_kernels::activation::{Activation, activation_backward_columns, activation_forward};
use tenfold_kernels::arena::{Columns, Read, Write};

pub(crate) use add::Add;
pub(crate) use avg_pool::AvgPool;
pub(crate) use batch_norm::BatchNorm;
pub(crate) use conv::Conv;
pub(crate) use conv_pool::ConvPool;
pub(crate) use copy::Copy;
pub(crate) use depthwise::Depthwise;
pub(crate) use dropout::{Dropout, Drops};
pub(crate) use gated::Gated;
pub(crate) use global_avg_pool::GlobalAvgPool;
pub(crate) use grouped_conv::GroupedConv;
pub(crate) use linear::Linear;
pub(crate) use linear_pixels::LinearPixels;
pub(crate) use linear_small_out::LinearSmallOut;
pub(crate) use max_pool::MaxPool;
pub(crate) use pixel_values::PixelValues;

/// The closed list of operations.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has a handful of operations")]
pub(crate) enum Op {
    /// Bytes to numbers.
    PixelValues(PixelValues),
    Conv(Conv),
    GroupedConv(GroupedConv),
    /// A convolution of each channel by itself.
    Depthwise(Depthwise),
    /// A convolution, max-pooling and perhaps an activation in one.
    ConvPool(ConvPool),
    Linear(Linear),
    /// A linear layer straight over pixels that leaves out the blank ones.
    LinearPixels(LinearPixels),
    /// A linear layer with few outputs straight over pixels.
    LinearSmallOut(LinearSmallOut),
    MaxPool(MaxPool),
    AvgPool(AvgPool),
    GlobalAvgPool(GlobalAvgPool),
    /// What comes in, for an activation that follows no operation it could be part of.
    Copy(Copy),
    Dropout(Dropout),
    /// GELU or SiLU.
    Gated(Gated),
    BatchNorm(BatchNorm),
    Add(Add),
}

/// Hands everything on to the operation itself: the one place that lists them all.
macro_rules! each {
    ($self:ident, $op:ident => $call:expr) => {
        match $self {
            Op::PixelValues($op) => $call,
            Op::Conv($op) => $call,
            Op::GroupedConv($op) => $call,
            Op::Depthwise($op) => $call,
            Op::ConvPool($op) => $call,
            Op::Linear($op) => $call,
            Op::LinearPixels($op) => $call,
            Op::LinearSmallOut($op) => $call,
            Op::MaxPool($op) => $call,
            Op::AvgPool($op) => $call,
            Op::GlobalAvgPool($op) => $call,
            Op::Copy($op) => $call,
            Op::Dropout($op) => $call,
            Op::Gated($op) => $call,
            Op::BatchNorm($op) => $call,
            Op::Add($op) => $call,
        }
    };
}

/// What an operation does. What has a default is what most operations do.
pub(crate) trait Operation {
    /// Its parameters, in the order in which [`crate::model::Architecture::params`] lists those of its layer.
    fn arrays(&self) -> Vec<&Array> {
        Vec::new()
    }

    /// Where element `j`, in PyTorch's order, of its array of several dimensions, whose shape there is `shape`, lies in
    /// that array. (Those of one dimension lie as PyTorch has them, see [`crate::graph::Graph::place`].)
    fn index(&self, shape: &[usize], j: usize) -> usize {
        unreachable!("{shape:?}[{j}] of an operation without such an array")
    }

    /// Takes its places in memory, besides those of its output and of that's gradient.
    fn plan(&mut self, _room: &mut Room, _wiring: &Wiring) {}

    /// How threads share it forward.
    fn split(&self, _team: Team, _training: bool) -> Split {
        Split::Images
    }

    /// Whether `threads` threads can share its sums in a relay ([`Team::relay`]).
    fn can_relay(&self, _threads: usize) -> bool {
        false
    }

    /// Whether it takes the batch's images as bytes, instead of a value.
    fn reads_pixels(&self) -> bool {
        false
    }

    /// Asks for what this thread will read of the next batch's images.
    fn fetch(&self, _run: &Run) {}

    /// This thread's share of the output, the activation that follows included.
    fn forward(&self, run: &Run, scratch: &mut Scratch);

    /// This thread's share of the gradients of what it reads, and of its parameters with what becomes of them. The
    /// gradient of its output is complete. Called only where something before it learns, or itself.
    fn backward(&self, run: &Run, scratch: &mut Scratch);
}

impl Operation for Op {
    fn arrays(&self) -> Vec<&Array> {
        each!(self, op => op.arrays())
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        each!(self, op => op.index(shape, j))
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        each!(self, op => op.plan(room, wiring));
    }

    fn split(&self, team: Team, training: bool) -> Split {
        each!(self, op => op.split(team, training))
    }

    fn can_relay(&self, threads: usize) -> bool {
        each!(self, op => op.can_relay(threads))
    }

    fn reads_pixels(&self) -> bool {
        each!(self, op => op.reads_pixels())
    }

    fn fetch(&self, run: &Run) {
        each!(self, op => op.fetch(run));
    }

    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        each!(self, op => op.forward(run, scratch));
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        each!(self, op => op.backward(run, scratch));
    }
}

/// The arrays of an operation with weights and perhaps a bias: one that nobody learns is no parameter of the network.
fn weight_and_bias<'a>(weight: &'a Array, bias: &'a Array) -> Vec<&'a Array> {
    std::iter::once(weight).chain(bias.learned.then_some(bias)).collect()
}

impl Op {
    /// Whether it has images of its input made, where that is not kept ([`Run::with_input`]).
    pub(crate) fn takes_images(&self) -> bool {
        match self {
            Op::Conv(conv) => conv.takes_images(),
            Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool(_) => true,
            Op::GroupedConv(_) | Op::Depthwise(_) | Op::ConvPool(_) => false,
            Op::Linear(_) | Op::LinearPixels(_) | Op::LinearSmallOut(_) => false,
            Op::PixelValues(_) | Op::Copy(_) | Op::Dropout(_) | Op::Gated(_) | Op::BatchNorm(_) | Op::Add(_) => false,
        }
    }

    /// Whether it takes images of its output's gradient one by one before it needs all, through [`Run::with_grad`].
    pub(crate) fn takes_gradient_images(&self) -> bool {
        if let Op::Conv(conv) = self { conv.takes_gradient_images() } else { false }
    }

    fn batch_norm(&self) -> &BatchNorm {
        let Op::BatchNorm(norm) = self else { unreachable!("nobody else has anything summed") };
        norm
    }
}

/// How threads share an operation forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Split {
    /// Each takes its own images.
    Images,
    /// Each takes its own images, sixteen by sixteen.
    Sixteens,
    /// Each takes columns of the output for all images.
    Columns,
    /// Each sums its own inputs into all outputs of all images, going on from what the thread before it has summed.
    Inputs,
}

impl Split {
    /// Whether a thread sees more than its own images.
    pub(crate) fn needs_all_images(self) -> bool {
        matches!(self, Split::Columns | Split::Inputs)
    }
}

/// One thread's work on one node, in one step.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    pub(crate) step: &'r Step<'r>,
    pub(crate) node: &'r Node,
    /// The node's number.
    pub(crate) at: usize,
    pub(crate) worker: &'r Worker<'r>,
    pub(crate) batch: &'r Batch<'r>,
}

impl<'r> Run<'r> {
    /// Images of the batch.
    pub(crate) fn images(&self) -> usize {
        self.batch.len()
    }

    /// This thread's images, where threads share an operation by images.
    pub(crate) fn share(&self) -> Range<usize> {
        self.worker.share(self.images())
    }

    /// The (first) value that the node reads.
    pub(crate) fn input(&self) -> ValueId {
        self.node.inputs[0]
    }

    pub(crate) fn layout(&self, value: ValueId) -> &'r Layout {
        &self.step.plan.graph.values[value.0].layout
    }

    pub(crate) fn grad_layout(&self, value: ValueId) -> &'r Layout {
        &self.step.plan.graph.values[value.0].grad
    }

    /// What a value's producer applies to it in place, last.
    fn activation(&self, value: ValueId) -> Option<Activation> {
        self.step.plan.graph.values[value.0].activation
    }

    /// What its producer drops of a value after that, and in which step, if it does.
    fn drops(&self, value: ValueId) -> Option<(Drops, u64)> {
        Some((self.step.plan.graph.values[value.0].drops?, self.batch.step?))
    }

    /// What a complete gradient of a value must still be multiplied by: the slope of what its producer applied in
    /// place, told by what came of it, and a factor. Where a ReLU comes before dropout, what was dropped is zero as
    /// what it cut off is.
    fn slope(&self, value: ValueId) -> (Option<Activation>, Option<f32>) {
        match self.drops(value) {
            Some((drops, _)) => (Some(Activation::Relu), Some(drops.scale())),
            None => (self.activation(value), None),
        }
    }

    /// Images `images` of a value.
    pub(crate) fn read(&self, value: ValueId, images: Range<usize>) -> Read<'r, f32> {
        self.step.floats.read(self.step.plan.value(value, images))
    }

    /// Image `n` of the output, to be written.
    pub(crate) fn write(&self, n: usize) -> Write<'r, f32> {
        self.write_images(n..n + 1)
    }

    /// Images `images` of the output, to be written.
    pub(crate) fn write_images(&self, images: Range<usize>) -> Write<'r, f32> {
        self.step.floats.write(self.step.plan.value(self.node.output, images))
    }

    /// The gradient of images `images` of the output.
    pub(crate) fn grad(&self, images: Range<usize>) -> Read<'r, f32> {
        self.step.floats.read(self.step.plan.grad(self.node.output, images))
    }

    /// Calls `f` with image `n` of the (first) value that the node reads; where that is not kept, it is made in `room`.
    pub(crate) fn with_input<R>(&self, n: usize, room: &mut [f32], f: impl FnOnce(&[f32]) -> R) -> R {
        let (graph, input) = (&self.step.plan.graph, self.input());
        let Some(norm) = graph.values[input.0].made_by else { return f(&self.read(input, n..n + 1)) };
        let image = &mut room[..self.layout(input).image_len()];
        graph.nodes[norm].op.batch_norm().make(self.step, &graph.nodes[norm], n, image);
        f(image)
    }

    /// Calls `f` with the gradient of image `n` of the output, the first time that it is wanted; where a batch norm
    /// leaves passing it on to the node, that is done here.
    pub(crate) fn with_grad<R>(&self, n: usize, f: impl FnOnce(&[f32]) -> R) -> R {
        let (graph, output) = (&self.step.plan.graph, self.node.output);
        let Some(norm) = graph.values[output.0].passed_through else { return f(&self.grad(n..n + 1)) };
        let mut grad = self.step.floats.write(self.step.plan.grad(output, n..n + 1));
        graph.nodes[norm].op.batch_norm().pass_in_place(self.step, output, n, &mut grad);
        f(&grad)
    }

    /// Applies what follows the operation, if anything, to image `n` of the output, in place.
    pub(crate) fn finish(&self, n: usize, y: &mut [f32]) {
        let output = self.node.output;
        if let Some(activation) = self.activation(output) {
            activation::forward(self.step.isa, activation, self.layout(output), y);
        }
        self.finish_activated(n, y);
    }

    /// The same where the activation is there already.
    fn finish_activated(&self, n: usize, y: &mut [f32]) {
        let output = self.node.output;
        if let Some((drops, step)) = self.drops(output) {
            for_rows(self.layout(output), self.grad_layout(output), |at, elements| {
                drops.apply(self, step, n, elements.start, &mut y[at]);
            });
        }
        let graph = &self.step.plan.graph;
        if let Some(norm) = graph.values[output.0].summed_for.filter(|_| self.batch.step.is_some()) {
            let node = &graph.nodes[norm];
            node.op.batch_norm().sum_values(self.step, node, output, n, y);
        }
    }

    /// The same for the elements from number `first` on of an output without a border, none of them padding.
    pub(crate) fn finish_part(&self, n: usize, first: usize, y: &mut [f32]) {
        if let Some(activation) = self.activation(self.node.output) {
            activation_forward(self.step.isa, activation, y);
        }
        if let Some((drops, step)) = self.drops(self.node.output) {
            drops.apply(self, step, n, first, y);
        }
    }

    /// Passes a gradient of image `n` on to a value that the node reads: `fill` overwrites what it is given. The first
    /// to do so overwrites the value's gradient, later ones add to it; when the last has, its producer's activation
    /// gets its due.
    pub(crate) fn pass(&self, value: ValueId, n: usize, spare: &mut [f32], fill: impl FnOnce(&mut [f32])) {
        self.pass_images(value, n..n + 1, spare, fill);
    }

    /// [`Run::pass`] for several images at once.
    pub(crate) fn pass_images(
        &self,
        value: ValueId,
        images: Range<usize>,
        spare: &mut [f32],
        fill: impl FnOnce(&mut [f32]),
    ) {
        let graph = &self.step.plan.graph;
        // One of the terms of a sum, perhaps the images: nobody learns from its gradient, and there is no room for it.
        if !graph.values[value.0].wants_gradient {
            return;
        }
        let mut grad = self.step.floats.write(self.step.plan.grad(value, images.clone()));
        let layout = self.grad_layout(value);
        if graph.is_first_writer(self.at, value) {
            fill(&mut grad);
            if let Some(copy) = graph.values[value.0].copied_by {
                let Node { op: Op::Copy(copy), output, .. } = &graph.nodes[copy] else { unreachable!("a copy") };
                for (n, grad) in images.clone().zip(grad.chunks_exact_mut(layout.image_len())) {
                    let copied = self.step.floats.read(self.step.plan.grad(*output, n..n + 1));
                    copy.add_gradient(layout, self.grad_layout(*output), &copied, grad);
                }
            }
        } else {
            let spare = &mut spare[..grad.len()];
            fill(spare);
            grad.iter_mut().zip(spare).for_each(|(sum, more)| *sum += *more);
        }
        if !graph.is_last_writer(self.at, value) {
            return;
        }
        let (activation, factor) = self.slope(value);
        let norm = graph.values[value.0].gradient_summed_for.map(|norm| &graph.nodes[norm]);
        let cuts = norm.is_some_and(|node| node.op.batch_norm().cuts_gradient(self.step, node));
        for (n, grad) in images.zip(grad.chunks_exact_mut(layout.image_len())) {
            if let Some(activation) = activation.filter(|_| !cuts) {
                let y = self.read(value, n..n + 1);
                activation::backward(self.step.isa, activation, self.layout(value), &y, layout, grad);
            }
            if let Some(factor) = factor {
                grad.iter_mut().for_each(|grad| *grad *= factor);
            }
            if let Some(node) = norm {
                node.op.batch_norm().sum_gradient(self.step, node, n, cuts, grad);
            }
        }
    }

    /// [`Run::pass`] for elements `columns` of all images, of a value without a border.
    pub(crate) fn pass_columns(
        &self,
        value: ValueId,
        columns: Range<usize>,
        spare: &mut [f32],
        fill: impl FnOnce(&mut Columns<'_, f32>),
    ) {
        let graph = &self.step.plan.graph;
        let (rows, width, stride) = (self.images(), columns.len(), self.grad_layout(value).image_len());
        let start = self.step.plan.grad(value, 0..0).start;
        let mut grad = self.step.floats.write_columns(start, rows, stride, columns.clone());
        let mut grad = grad.columns();
        if graph.is_first_writer(self.at, value) {
            fill(&mut grad);
        } else {
            let spare = &mut spare[..rows * width];
            fill(&mut Columns::new(spare, width, width));
            for (n, more) in spare.chunks_exact(width).enumerate() {
                grad.row_mut(n).iter_mut().zip(more).for_each(|(sum, more)| *sum += *more);
            }
        }
        if !graph.is_last_writer(self.at, value) {
            return;
        }
        let (Some(activation), factor) = self.slope(value) else { return };
        let y = self.read(value, 0..rows);
        activation_backward_columns(self.step.isa, activation, factor, &y[columns.start..], stride, rows, &mut grad);
    }
}
