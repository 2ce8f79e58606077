//! A convolution, max-pooling and perhaps an activation before or behind that, in one: the maximum of a window is taken
//! first, and on the way back only the winner of a window has a gradient. ReLU, which takes it from some winners too,
//! is part of the kernels; tanh and sigmoid are applied to the output in place, as to that of any operation.

use super::convolution::Convolution;
use super::{Operation, Run, weight_and_bias};
use crate::graph::{Array, Params};
use crate::plan::{Room, Scratch, Wiring};
use crate::precision::Precision;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::conv::pooled;
use tenfold_kernels::conv::pooled::forward::pool_forward;
use tenfold_kernels::conv::pooled::tiles::conv_pool_forward;
use tenfold_kernels::conv::pooled::unpool::unpool;
use tenfold_kernels::conv::pooled::weight::{conv_pool_backward_weight, gather_run};
use tenfold_kernels::conv::pooled::weight_small_in::{gather_small_in, small_in_backward_weight};

#[derive(Clone, Debug)]
pub(crate) struct ConvPool {
    shape: pooled::ConvPool,
    conv: Convolution,
    /// Where the winner of each window was, in bytes.
    argmax: usize,
    /// Weight and bias gradients, channel by channel, or in units of few inputs.
    channels: usize,
}

impl ConvPool {
    /// `passes`: whether the gradient of the input is wanted.
    pub(crate) fn new(
        shape: pooled::ConvPool,
        precision: Precision,
        passes: bool,
        has_bias: bool,
        params: &mut Params,
    ) -> ConvPool {
        let conv = Convolution::new(shape.conv().clone(), precision, passes, has_bias, params);
        ConvPool { shape, conv, argmax: 0, channels: 0 }
    }

    fn argmax_of(&self, images: Range<usize>) -> Range<usize> {
        let len = self.shape.argmax_len();
        self.argmax + images.start * len..self.argmax + images.end * len
    }

    /// Elements of all weight gradients, as they are gathered.
    fn gathered(&self) -> usize {
        let shape = &self.shape;
        if shape.is_small_in() {
            shape.small_in_units() * shape.small_in_unit_len()
        } else {
            shape.conv().output().channels() * shape.channel_len()
        }
    }

    /// This thread's channels of the gradients of weights and bias.
    fn gather(&self, run: &Run, scratch: &mut Scratch) {
        let (shape, rows, step) = (&self.shape, run.images(), run.step);
        let start = step.plan.value(run.input(), 0..rows);
        let x = step.floats.read(start.start..start.end + shape.slack());
        let (grad, argmax) = (run.grad(0..rows), step.bytes.read(self.argmax_of(0..rows)));
        if shape.is_small_in() {
            let (units, len) = (run.worker.share(shape.small_in_units()), shape.small_in_unit_len());
            let mut out = step.floats.write(self.channels + units.start * len..self.channels + units.end * len);
            let start = self.channels + shape.small_in_units() * len;
            let biases = shape.small_in_biases(&units);
            let mut bias = step.floats.write(start + biases.start * LANES..start + biases.end * LANES);
            small_in_backward_weight(step.isa, shape, units, &x, &grad, &argmax, rows, &mut out, &mut bias);
            return;
        }
        let channels = run.worker.share(shape.conv().output().channels());
        let len = shape.channel_len();
        let start = self.channels + channels.start * len;
        let mut out = step.floats.write(start..start + channels.len() * len);
        let start = self.channels + shape.conv().output().channels() * len + channels.start;
        let mut bias = step.floats.write(start..start + channels.len());
        let entries = &mut scratch.entries;
        conv_pool_backward_weight(step.isa, shape, channels, &x, &grad, &argmax, rows, entries, &mut out, &mut bias);
    }

    /// Learns from what all threads have gathered.
    fn learn(&self, run: &Run, scratch: &mut Scratch) {
        let (shape, biases) = (&self.shape, self.shape.conv().output().channels());
        let gradients = run.step.floats.read(self.channels..self.channels + self.gathered() + biases);
        let (gradients, bias_gradients) = gradients.split_at(self.gathered());
        for number in run.worker.share(shape.conv().run_count()) {
            let part = shape.conv().run_len() * shape.conv().weight().padded_n();
            let part = &mut scratch.values.as_mut_slice()[..part];
            if shape.is_small_in() {
                gather_small_in(shape, number, gradients, part);
            } else {
                gather_run(shape, number, gradients, part);
            }
            self.conv.learn_run(run, number, part);
        }
        if run.worker.is_last() {
            run.step.learn(run.batch, &self.conv.bias, 0, bias_gradients);
        }
    }
}

impl Operation for ConvPool {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.conv.weight, &self.conv.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        self.conv.index(shape, j)
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        self.argmax = room.bytes(room.batch_size * self.shape.argmax_len());
        self.conv.plan(room, wiring.learns);
        room.values(self.conv.images_at_once() * self.shape.conv().output().len());
        if wiring.learns && self.conv.both_ffts().is_none() {
            let shape = &self.shape;
            self.channels = if shape.is_small_in() {
                room.floats(self.gathered() + shape.output().blocks() * LANES)
            } else {
                room.entries(shape.entries_len());
                room.floats(self.gathered() + shape.conv().output().channels())
            };
        }
    }

    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        let (isa, shape) = (run.step.isa, &self.shape);
        let bias = run.step.params.read(self.conv.bias.place.clone());
        let argmax = |n: usize| run.step.bytes.write(self.argmax_of(n..n + 1));
        if self.conv.is_direct() && shape.has_tiles() {
            let weight = run.step.params.read(self.conv.weight.place.clone());
            for n in run.share() {
                let (x, mut y) = (run.read(run.input(), n..n + 1), run.write(n));
                conv_pool_forward(isa, shape, &x, &weight, &bias, &mut y, &mut argmax(n));
                run.finish(n, &mut y);
            }
            return;
        }
        let Scratch { values, products, image, .. } = scratch;
        let len = shape.conv().output().len();
        self.conv.forward(run, products.as_mut_slice(), image.as_mut_slice(), |images, fill| {
            let sums = &mut values.as_mut_slice()[..images.len() * len];
            fill(sums);
            for (n, sums) in images.zip(sums.chunks_exact(len)) {
                let mut y = run.write(n);
                pool_forward(isa, shape, sums, &bias, &mut y, &mut argmax(n));
                run.finish(n, &mut y);
            }
        });
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let spread = |n: usize, out: &mut [f32]| {
            let argmax = run.step.bytes.read(self.argmax_of(n..n + 1));
            unpool(run.step.isa, &self.shape, &run.grad(n..n + 1), &argmax, out);
        };
        if self.conv.fourier_backward(run, scratch, spread) {
            return;
        }
        self.gather(run, scratch);
        if self.conv.back.is_some() {
            self.conv.pass_through(run, scratch, spread);
        } else {
            run.worker.barrier();
        }
        self.learn(run, scratch);
    }
}
