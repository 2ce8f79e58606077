//! The convolutions of a step, forward and backward.

use crate::network::{Convolution, Op};
use crate::plan::{Buffers, IMAGES_AT_ONCE, Scratch, Spectra};
use crate::step::{Batch, Step};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::arena::{Read, Write};
use tenfold_kernels::conv_fft::{multiply, transform_input, transform_output, transform_weight};
use tenfold_kernels::conv_pool::{ConvPool, conv_pool_backward_weight};
use tenfold_kernels::conv2d::{conv2d_forward, rotate_weight};

/// Where the weights of a convolution are: as they are, and where their transform goes.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'w> {
    pub(crate) plain: &'w [f32],
    pub(crate) transformed: usize,
}

impl Step<'_> {
    /// Makes this thread's share of what a convolution needs of its weights. A meeting must follow.
    pub(crate) fn prepare(&self, worker: &Worker, conv: &Convolution, weights: Weights) {
        let Some(fft) = &conv.fft else { return };
        let stride = fft.weight_len() / fft.weight_rows();
        for block in worker.share(conv.direct.input.blocks) {
            let columns = fft.weight_columns(block);
            let mut out = self.floats.write_columns(weights.transformed, fft.weight_rows(), stride, columns);
            transform_weight(self.isa, fft, block, weights.plain, &mut out.columns());
        }
    }

    /// Convolves images `images`, without bias: `input(n)` gives image n, and `output(n, fill)` a place for the result,
    /// which `fill` overwrites.
    pub(crate) fn convolve<'s>(
        &'s self,
        scratch: &mut Spectra,
        conv: &Convolution,
        weights: Weights,
        images: Range<usize>,
        input: impl Fn(usize) -> Read<'s, f32>,
        mut output: impl FnMut(usize, &mut dyn FnMut(&mut [f32])),
    ) {
        let Some(fft) = &conv.fft else {
            for n in images {
                let x = input(n);
                output(n, &mut |y| conv2d_forward(self.isa, &conv.direct, &x, weights.plain, y));
            }
            return;
        };
        let transformed = self.floats.read(weights.transformed..weights.transformed + fft.weight_len());
        for first in images.clone().step_by(IMAGES_AT_ONCE) {
            let count = IMAGES_AT_ONCE.min(images.end - first);
            let (spectra, products) = scratch.parts(fft, count);
            for n in 0..count {
                transform_input(self.isa, fft, &input(first + n), n, count, spectra);
            }
            multiply(self.isa, fft, count, spectra, &transformed, products);
            for n in 0..count {
                output(first + n, &mut |y| transform_output(self.isa, fft, products, n, count, y));
            }
        }
    }

    /// Passes the gradient of a convolution's output, which lies spread out, on to its input. Meets at least once before
    /// that, so that afterwards every thread's share of the gradient is there; the weights may be updated from then on.
    #[expect(clippy::too_many_arguments, reason = "what the two kinds of convolution have in common")]
    pub(crate) fn pass_through<'s>(
        &'s self,
        worker: &Worker,
        scratch: &mut Scratch,
        conv: &Convolution,
        back: Option<&Convolution>,
        weight: &Range<usize>,
        buffers: &Buffers,
        rows: usize,
        passed: impl Fn(usize) -> Write<'s, f32>,
    ) {
        let Some(back) = back else {
            worker.meet();
            return;
        };
        self.rotate(worker, conv, back, &self.params.read(weight.clone()), buffers.rotated);
        worker.meet();
        let rotated = self.floats.read(buffers.rotated..buffers.rotated + back.direct.weight().len());
        let weights = Weights { plain: &rotated, transformed: buffers.back_transformed };
        self.prepare(worker, back, weights);
        worker.meet();
        let len = conv.direct.grad_output().len();
        let spread = |n: usize| self.floats.read(buffers.spread + n * len..buffers.spread + (n + 1) * len);
        self.convolve(&mut scratch.spectra, back, weights, worker.share(rows), spread, |n, fill| fill(&mut passed(n)));
    }

    /// This thread's channels of the weight gradient of a pooled convolution.
    pub(crate) fn conv_pool_backward(
        &self,
        worker: &Worker,
        scratch: &mut Scratch,
        at: usize,
        op: &Op,
        shape: &ConvPool,
        batch: &Batch,
    ) {
        let rows = batch.indices.len();
        let buffers = &self.plan.buffers[at];
        let channels = worker.share(shape.conv.output.channels);
        let start = self.input_start(at);
        let x = self.floats.read(start..start + rows * op.input.image_len() + shape.slack());
        let grad = self.floats.read(Self::images(buffers.grad, &op.grad, 0..rows));
        let winners = self.bytes.read(buffers.winners..buffers.winners + rows * shape.winners_len());
        let len = shape.channel_len();
        let start = buffers.channels + channels.start * len;
        let mut out = self.floats.write(start..start + channels.len() * len);
        let start = buffers.channels + shape.conv.output.channels * len + channels.start;
        let mut bias = self.floats.write(start..start + channels.len());
        let entries = &mut scratch.entries;
        conv_pool_backward_weight(self.isa, shape, channels, &x, &grad, &winners, rows, entries, &mut out, &mut bias);
    }

    /// Learns from the gradient of one run of a convolution's weights, in panels.
    pub(crate) fn learn_run(&self, batch: &Batch, conv: &Convolution, run: usize, weight: usize, mut part: &[f32]) {
        let conv = &conv.direct;
        let panels = conv.weight();
        for p in 0..panels.count() {
            let target = panels.rows(p, run * conv.run_len()..(run + 1) * conv.run_len());
            let (panel, rest) = part.split_at(target.len());
            part = rest;
            self.learn(batch, weight + target.start, panel);
        }
    }

    /// This thread's share of the weights rotated by half a turn, to the buffer that starts at `rotated`.
    pub(crate) fn rotate(
        &self,
        worker: &Worker,
        conv: &Convolution,
        back: &Convolution,
        weight: &[f32],
        rotated: usize,
    ) {
        let back = &back.direct;
        let panels = back.weight();
        for unit in worker.share(panels.count() * back.run_count()) {
            let (panel, run) = (unit / back.run_count(), unit % back.run_count());
            let rows = panels.rows(panel, run * back.run_len()..(run + 1) * back.run_len());
            let mut out = self.floats.write(rotated + rows.start..rotated + rows.end);
            rotate_weight(&conv.direct, panel, run..run + 1, weight, &mut out);
        }
    }
}
