//! Linear layer: in f32, or with the operands of its products rounded to bf16.

use super::{Operation, Run, Split, weight_and_bias};
use crate::graph::{Array, Params};
use crate::layout::Layout;
use crate::plan::{Room, Scratch, Wiring};
use crate::precision::Precision;
use crate::workers::Team;
use std::ops::Range;
use tenfold_kernels::bf16::{Order, neighbours, pack_neighbours, pack_rows};
use tenfold_kernels::linear::bf16::{
    linear_backward_input_pairs, linear_backward_weight_pairs, linear_forward_pairs, scratch_len,
};
use tenfold_kernels::linear::dense::{
    LinearWeight, Sums, backward_calls, backward_scratch_len, column_sums, linear_backward_input,
    linear_backward_weight, linear_forward,
};
use tenfold_kernels::{LANES, Prefetch};

/// Inputs and outputs from which on a linear layer is worth rounding for bf16.
const LARGE: usize = 64;

/// Weights that every thread may read all of, since they stay in its cache as long as nobody changes them: 1 MiB.
const KEPT: usize = 256 * 1024;

/// Elements of a cache line.
const LINE: usize = crate::aligned::LINE;

#[derive(Clone, Debug)]
pub(crate) struct Linear {
    layout: LinearWeight,
    /// How its input lies.
    input: Layout,
    /// Whether operands are rounded to bf16, and in what order their products are summed then.
    rounds: Option<Order>,
    /// Whether the gradient of the input is wanted.
    passes: bool,
    weight: Array,
    bias: Array,
    pairs: Pairs,
}

/// Where the input and the output's gradient rounded to bf16 start, in pairs of neighbours and of rows, and the strides
/// of their rows.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    x: usize,
    x_stride: usize,
    x_rows: usize,
    x_rows_stride: usize,
    grad: usize,
    grad_stride: usize,
    grad_rows: usize,
    grad_rows_stride: usize,
}

impl Linear {
    /// Of inputs that lie as `input` says; `passes`: whether their gradient is wanted.
    pub(crate) fn new(
        input: Layout,
        out_features: usize,
        precision: Precision,
        passes: bool,
        has_bias: bool,
        params: &mut Params,
    ) -> Linear {
        let layout = LinearWeight { in_features: input.inputs(), out_features };
        let weight = params.array("weight", layout.len());
        let bias = params.bias(layout.padded_outputs(), has_bias);
        let rounds = precision.order().filter(|_| layout.in_features.min(out_features) >= LARGE);
        Linear { layout, input, rounds, passes, weight, bias, pairs: Pairs::default() }
    }
}

impl Operation for Linear {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        let (o, feature) = (j / shape[1], j % shape[1]);
        let row = match self.input {
            Layout::Planes(planes) => {
                let (x, y) = (feature % planes.width(), feature / planes.width() % planes.height());
                planes.index(feature / planes.width() / planes.height(), y, x)
            }
            Layout::Row { .. } => feature,
        };
        self.layout.index(row, o)
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        // A block's gradient, and room for its weights, rounded or side by side.
        let block = self.layout.range(0).len();
        let len = |order| scratch_len(self.layout, order);
        room.values(block + self.rounds.map_or(backward_scratch_len(self.layout), len));
        if wiring.adds {
            room.spare(room.batch_size * self.layout.inputs(0).len());
        }
        if self.rounds.is_none() {
            return;
        }
        let batch = room.batch_size;
        let mut pairs = Pairs { x_stride: odd_lines(neighbours(self.layout.in_features)), ..Pairs::default() };
        pairs.x = room.floats(batch * pairs.x_stride);
        if wiring.learns {
            let row_pairs = batch.div_ceil(2);
            pairs.x_rows_stride = odd_lines(self.input.image_len().next_multiple_of(LINE));
            pairs.x_rows = room.floats(row_pairs * pairs.x_rows_stride);
            pairs.grad_stride = odd_lines(neighbours(self.layout.padded_outputs()));
            pairs.grad = room.floats(batch * pairs.grad_stride);
            pairs.grad_rows_stride = odd_lines(self.layout.padded_outputs());
            pairs.grad_rows = room.floats(row_pairs * pairs.grad_rows_stride);
        }
        self.pairs = pairs;
    }

    fn split(&self, team: Team, training: bool) -> Split {
        split(self.layout, team, training, training && team.relay && self.can_relay(team.threads))
    }

    /// If there are enough panels of outputs that none waits for more than half of the time until the first has come to
    /// it.
    fn can_relay(&self, threads: usize) -> bool {
        let enough = self.layout.panels(0).count() >= 2 * threads && self.layout.blocks() >= 4 * threads;
        self.passes && threads > 1 && enough
    }

    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        if self.rounds.is_some() {
            self.round_input(run);
            run.worker.barrier();
        }
        let all = self.layout.padded_outputs() / LANES;
        let mut part = |images, sums| self.sum(run, scratch, images, &sums);
        match run.step.split(run.worker, run.node) {
            Split::Images | Split::Sixteens => part(run.share(), Sums::over_all_inputs(self.layout, 0..all)),
            Split::Columns => part(0..run.images(), Sums::over_all_inputs(self.layout, run.worker.share(all))),
            Split::Inputs => {
                // The blocks that it will learn from on the way back, panel by panel.
                let (blocks, panels) = (run.worker.share(self.layout.blocks()), self.layout.panels(0));
                for columns in (0..panels.count()).map(|p| panels.columns(p)) {
                    run.worker.wait_for_previous();
                    let vectors = columns.start / LANES..columns.end / LANES;
                    part(0..run.images(), Sums { vectors, blocks: blocks.clone(), until: all });
                    run.worker.signal_next();
                }
            }
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        if self.rounds.is_some() {
            self.round_for_backward(run);
            run.worker.barrier();
        }
        let (layout, step, rows, isa) = (self.layout, run.step, run.images(), run.step.isa);
        let Scratch { values, spare, .. } = scratch;
        let (part, room) = values.as_mut_slice().split_at_mut(layout.range(0).len());
        let stride = run.grad_layout(run.node.output).image_len();
        let (grad, x) = (run.grad(0..rows), run.read(run.input(), 0..rows));
        let x_stride = self.input.image_len();
        for (block, next) in to_and_fro(run, run.worker.share(layout.blocks())) {
            let range = layout.range(block);
            let mut starts = [std::ptr::null(); 3];
            let mut ahead = Prefetch::nothing();
            if let Some(next) = next {
                let next = layout.range(next);
                let starts = step.learned_at(self.weight.place.start + next.start, &mut starts);
                ahead = Prefetch::over(starts, next.len(), backward_calls(layout, rows, self.passes));
            }
            if self.passes {
                let start = self.weight.place.start;
                let weight = step.params.read(start + range.start..start + range.end);
                run.pass_columns(run.input(), layout.inputs(block), spare.as_mut_slice(), |out| {
                    if let Some(order) = self.rounds {
                        let Pairs { grad, grad_stride: stride, .. } = self.pairs;
                        let grad = step.floats.read(grad..grad + rows * stride);
                        linear_backward_input_pairs(
                            isa, layout, order, block, &grad, stride, rows, &weight, out, room, &mut ahead,
                        );
                    } else {
                        linear_backward_input(isa, layout, block, &grad, stride, rows, &weight, out, room, &mut ahead);
                    }
                });
            }
            let part = &mut part[..range.len()];
            if let Some(order) = self.rounds {
                let Pairs { x_rows, x_rows_stride, grad_rows, grad_rows_stride, .. } = self.pairs;
                let row_pairs = rows.div_ceil(2);
                let x = step.floats.read(x_rows..x_rows + row_pairs * x_rows_stride);
                let grad = step.floats.read(grad_rows..grad_rows + row_pairs * grad_rows_stride);
                linear_backward_weight_pairs(
                    isa,
                    layout,
                    order,
                    block,
                    &x,
                    x_rows_stride,
                    &grad,
                    grad_rows_stride,
                    row_pairs,
                    part,
                    &mut ahead,
                );
            } else {
                linear_backward_weight(isa, layout, block, &x, x_stride, &grad, stride, rows, part, &mut ahead);
            }
            step.learn(run.batch, &self.weight, range.start, part);
        }
        learn_bias(run, values.as_mut_slice(), &grad, &self.bias);
    }
}

impl Linear {
    /// Some sums of the output for images `images`, and the activation, where they are whole.
    fn sum(&self, run: &Run, scratch: &mut Scratch, images: Range<usize>, sums: &Sums) {
        let vectors = sums.vectors.clone();
        if images.is_empty() || vectors.is_empty() {
            return;
        }
        let (step, layout, rows, isa) = (run.step, self.layout, images.len(), run.step.isa);
        let first = images.start;
        let (weight, bias) = (step.params.read(self.weight.place.clone()), step.params.read(self.bias.place.clone()));
        let columns = vectors.start * LANES..vectors.end * LANES;
        let y_stride = run.layout(run.node.output).image_len();
        let start = step.plan.value(run.node.output, images.clone()).start;
        let mut y = step.floats.write_columns(start, rows, y_stride, columns.clone());
        let mut y = y.columns();
        if let Some(order) = self.rounds {
            let Pairs { x, x_stride: stride, .. } = self.pairs;
            let x = step.floats.read(x + images.start * stride..x + images.end * stride);
            let scratch = scratch.values.as_mut_slice();
            linear_forward_pairs(isa, layout, order, sums, &x, stride, rows, &weight, &bias, &mut y, scratch);
        } else {
            let x = run.read(run.input(), images);
            linear_forward(isa, layout, sums, &x, self.input.image_len(), rows, &weight, &bias, &mut y);
        }
        if sums.blocks.end == layout.blocks() {
            let real = columns.len().min(layout.out_features.saturating_sub(columns.start));
            (0..rows).for_each(|n| run.finish_part(first + n, columns.start, &mut y.row_mut(n)[..real]));
        }
    }

    /// This thread's images of the input rounded to bf16, for the sums over inputs.
    fn round_input(&self, run: &Run) {
        let Pairs { x: to, x_stride, .. } = self.pairs;
        let share = run.share();
        let x = run.read(run.input(), share.clone());
        let mut out = run.step.floats.write(to + share.start * x_stride..to + share.end * x_stride);
        let (stride, features) = (self.input.image_len(), self.layout.in_features);
        pack_neighbours(run.step.isa, &x, stride, share.len(), features, &mut out, x_stride);
    }

    /// This thread's share of input and output gradient rounded to bf16, for the sums of the way back.
    fn round_for_backward(&self, run: &Run) {
        let (isa, pairs, rows) = (run.step.isa, &self.pairs, run.images());
        // In pairs of rows: both of a pair are one thread's.
        let share = run.worker.share(rows.div_ceil(2));
        let images = 2 * share.start..rows.min(2 * share.end);
        let part = |start: usize, rows: &Range<usize>, stride: usize| {
            run.step.floats.write(start + rows.start * stride..start + rows.end * stride)
        };
        let stride = run.grad_layout(run.node.output).image_len();
        let grad = run.grad(images.clone());
        let mut out = part(pairs.grad, &images, pairs.grad_stride);
        let columns = self.layout.padded_outputs();
        pack_neighbours(isa, &grad, stride, images.len(), columns, &mut out, pairs.grad_stride);
        let mut out = part(pairs.grad_rows, &share, pairs.grad_rows_stride);
        pack_rows(isa, &grad, stride, images.len(), columns, &mut out, pairs.grad_rows_stride);
        let stride = self.input.image_len();
        let x = run.read(run.input(), images.clone());
        let mut out = part(pairs.x_rows, &share, pairs.x_rows_stride);
        let columns = stride / LANES * LANES;
        pack_rows(isa, &x, stride, images.len(), columns, &mut out, pairs.x_rows_stride);
    }
}

/// How threads share a linear layer forward.
pub(super) fn split(layout: LinearWeight, team: Team, training: bool, relay: bool) -> Split {
    // A layer with few outputs would leave threads without work. By images they need not wait for each other.
    let has_columns = layout.padded_outputs() / LANES >= 4 * team.threads && (training || layout.len() > KEPT);
    match relay {
        true => Split::Inputs,
        false if has_columns => Split::Columns,
        false => Split::Images,
    }
}

/// Each of `share`, with the one after it. To and fro from step to step: what was used last is still in the cache.
pub(super) fn to_and_fro(run: &Run, share: Range<usize>) -> impl Iterator<Item = (usize, Option<usize>)> + use<> {
    let turned = run.batch.step.is_some_and(|step| step % 2 == 1);
    (0..share.len()).map(move |at| {
        let number = |at: usize| if turned { share.end - 1 - at } else { share.start + at };
        (number(at), (at + 1 < share.len()).then(|| number(at + 1)))
    })
}

/// The gradient of a linear layer's bias, which sums the rows of `grad`, and what becomes of it: the last thread's.
pub(super) fn learn_bias(run: &Run, scratch: &mut [f32], grad: &[f32], bias: &Array) {
    if run.worker.is_last() && bias.learned {
        let sums = &mut scratch[..bias.place.len()];
        column_sums(run.step.isa, grad, run.grad_layout(run.node.output).image_len(), run.images(), sums);
        run.step.learn(run.batch, bias, 0, sums);
    }
}

/// At least `len` elements, an odd number of cache lines: columns then spread over all cache sets.
fn odd_lines(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}
