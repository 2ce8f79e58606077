//! The convolutions of a step, forward and backward.

use crate::network::{BackConvolution, Convolution, Layout, Op};
use crate::plan::{Buffers, IMAGES_AT_ONCE, Scratch, WEIGHTS_AT_ONCE};
use crate::step::{Batch, Step};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::arena::{Read, Write, WriteColumns};
use tenfold_kernels::conv::direct::{Conv2d, conv2d_backward_weight, conv2d_forward, rotate_weight};
use tenfold_kernels::conv::fft::{
    ConvFft, FREQUENCIES, bias_gradient, multiply, multiply_gradient, transform_gradient, transform_input,
    transform_output, transform_weight,
};
use tenfold_kernels::conv::pooled::{ConvPool, conv_pool_backward_weight};
use tenfold_kernels::conv::pooled_small_in::small_in_backward_weight;

/// Where the weights of a convolution are, and where their spectra and those of the images go.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'w> {
    pub(crate) plain: &'w [f32],
    pub(crate) transformed: usize,
    pub(crate) spectra: usize,
}

/// What the backward pass of a convolution works on.
pub(crate) struct Backward<'b> {
    pub(crate) conv: &'b Convolution,
    pub(crate) back: &'b BackConvolution,
    /// The transforms of both.
    pub(crate) fourier: (&'b ConvFft, &'b ConvFft),
    pub(crate) weight: &'b Range<usize>,
    pub(crate) bias: &'b Range<usize>,
    pub(crate) buffers: &'b Buffers,
    pub(crate) batch: &'b Batch<'b>,
}

impl<'a> Step<'a> {
    /// Makes this thread's share of what a convolution needs of its weights. A meeting must follow.
    pub(crate) fn prepare(&self, worker: &Worker, conv: &Convolution, weights: Weights) {
        if let Some(fft) = &conv.fft {
            self.transform_weights(worker, fft, weights);
        }
    }

    /// Makes this thread's share of the spectra of a convolution's weights.
    fn transform_weights(&self, worker: &Worker, fft: &ConvFft, weights: Weights) {
        for channel in worker.share(fft.input_channels()) {
            let (stride, columns) = (fft.weight_stride(), fft.weight_columns(channel));
            let mut out = self.floats.write_columns(weights.transformed, FREQUENCIES, stride, columns);
            transform_weight(self.isa, fft, channel, weights.plain, &mut out.columns());
        }
    }

    /// The spectra of images `images` in the buffer that starts at `start`.
    fn spectra(&self, start: usize, fft: &ConvFft, images: Range<usize>) -> WriteColumns<'_, f32> {
        let stride = fft.input_stride(self.plan.batch_size);
        self.floats.write_columns(start, FREQUENCIES, stride, fft.input_columns(images))
    }

    /// Convolves images `images`, without bias: `input(n)` gives image n, and `output(n, fill)` a place for the result,
    /// which `fill` overwrites.
    pub(crate) fn convolve<'s>(
        &'s self,
        products: &mut [f32],
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
        for n in images.clone() {
            let mut out = self.spectra(weights.spectra, fft, n..n + 1);
            transform_input(self.isa, fft, &input(n), &mut out.columns());
        }
        self.multiply(products, fft, weights, images, output);
    }

    /// The rest of [`Step::convolve`], once the spectra of the images are there.
    fn multiply(
        &self,
        products: &mut [f32],
        fft: &ConvFft,
        weights: Weights,
        images: Range<usize>,
        mut output: impl FnMut(usize, &mut dyn FnMut(&mut [f32])),
    ) {
        let transformed = self.floats.read(weights.transformed..weights.transformed + fft.weight_len());
        for first in images.clone().step_by(IMAGES_AT_ONCE) {
            let count = IMAGES_AT_ONCE.min(images.end - first);
            let products = &mut products[..fft.output_len(count)];
            let mut spectra = self.spectra(weights.spectra, fft, first..first + count);
            multiply(self.isa, fft, count, &spectra.columns(), &transformed, products);
            for n in 0..count {
                output(first + n, &mut |y| transform_output(self.isa, fft, products, n, count, y));
            }
        }
    }

    /// Passes the gradient of a convolution's output on to its input, and to what comes before the activation that gave
    /// that. `spread` and `passed` are as for [`Step::fourier_backward`]. Meets at least once first, so the weights may be
    /// updated afterwards.
    #[expect(clippy::too_many_arguments, reason = "what the two kinds of convolution have in common")]
    pub(crate) fn pass_through<'s>(
        &'s self,
        worker: &Worker,
        scratch: &mut Scratch,
        at: usize,
        conv: &Convolution,
        back: &BackConvolution,
        weight: &Range<usize>,
        rows: usize,
        spread: impl Fn(usize, &mut [f32]),
        passed: impl Fn(usize) -> Write<'s, f32>,
    ) {
        let buffers = &self.plan.buffers[at];
        self.rotate(worker, conv, back, &self.params.read(weight.clone()), buffers.rotated);
        worker.meet();
        let rotated = self.floats.read(buffers.rotated..buffers.rotated + back.weight_len());
        let image = &mut scratch.values.as_mut_slice()[..conv.direct.grad_output().len()];
        if let Some(fft) = &back.fft {
            let weights = back_weights(&rotated, buffers);
            self.transform_weights(worker, fft, weights);
            worker.meet();
            for n in worker.share(rows) {
                spread(n, image);
                let mut out = self.spectra(weights.spectra, fft, n..n + 1);
                transform_input(self.isa, fft, image, &mut out.columns());
            }
            let products = scratch.products.as_mut_slice();
            self.multiply(products, fft, weights, worker.share(rows), |n, fill| {
                let mut out = passed(n);
                fill(&mut out);
                self.slope_before(at, n, &mut out);
            });
            return;
        }
        for n in worker.share(rows) {
            spread(n, image);
            let mut out = passed(n);
            if !conv.direct.phases_are_whole() {
                out.fill(0.0);
            }
            let mut start = 0;
            for phase in &back.phases {
                let len = phase.conv().weight().len();
                conv2d_forward(self.isa, phase.conv(), image, &rotated[start..start + len], &mut out);
                start += len;
            }
            self.slope_before(at, n, &mut out);
        }
    }

    /// The whole backward pass of a convolution whose both directions go through the frequency domain.
    ///
    /// `spread(n, out)` overwrites `out` with the gradient of the convolution's output for image n, spread out;
    /// `passed(n)` is the place for that of its input.
    pub(crate) fn fourier_backward<'s>(
        &'s self,
        worker: &Worker,
        scratch: &mut Scratch,
        what: &Backward,
        spread: impl Fn(usize, &mut [f32]),
        passed: impl Fn(usize) -> Write<'s, f32>,
    ) {
        let Backward { conv, back, fourier: (fft, back_fft), weight, bias, buffers, batch } = what;
        let (rows, room) = (batch.indices.len(), self.plan.batch_size);
        self.rotate(worker, conv, back, &self.params.read((*weight).clone()), buffers.rotated);
        let image = &mut scratch.values.as_mut_slice()[..conv.direct.grad_output().len()];
        for n in worker.share(rows) {
            spread(n, image);
            let mut out = self.spectra(buffers.back_spectra, back_fft, n..n + 1);
            transform_input(self.isa, back_fft, image, &mut out.columns());
        }
        worker.meet();

        let rotated = self.floats.read(buffers.rotated..buffers.rotated + back.weight_len());
        let weights = back_weights(&rotated, buffers);
        self.transform_weights(worker, back_fft, weights);
        // The spectra of the weights are not needed any more: those of their gradient take the place.
        let bins = worker.share(FREQUENCIES);
        let grad_spectra = || self.floats.read(buffers.back_spectra..buffers.back_spectra + back_fft.input_len(room));
        {
            let of_bin = |bin: usize| buffers.transformed + bin * fft.gradient_stride();
            let mut out = self.floats.write(of_bin(bins.start)..of_bin(bins.end));
            let spectra = self.floats.read(buffers.spectra..buffers.spectra + fft.input_len(room));
            multiply_gradient(self.isa, fft, bins, rows, room, &spectra, &grad_spectra(), &mut out);
        }
        if worker.is_last() {
            let sums = &mut scratch.values.as_mut_slice()[..bias.len()];
            bias_gradient(fft, rows, room, &grad_spectra(), sums);
            self.learn(batch, bias.start, sums);
        }
        worker.meet();

        let products = scratch.products.as_mut_slice();
        self.multiply(products, back_fft, weights, worker.share(rows), |n, fill| fill(&mut passed(n)));
        let spectra = self.floats.read(buffers.transformed..buffers.transformed + fft.gradient_len());
        let panels = conv.direct.weight();
        let taps = conv.direct.kernel().0 * conv.direct.kernel().1;
        for unit in worker.share(fft.input_channels() * panels.count()) {
            let (channel, panel) = (unit % fft.input_channels(), unit / fft.input_channels());
            let (block, lane, width) = (channel / LANES, channel % LANES, panels.width(panel));
            let start =
                buffers.grad_weight + panels.rows(panel, block * taps * LANES..(block + 1) * taps * LANES).start;
            let mut out = self.floats.write_columns(start, taps, LANES * width, lane * width..(lane + 1) * width);
            transform_gradient(self.isa, fft, channel, panel, &spectra, &mut out.columns());
        }
        worker.meet();

        let part = worker.share(weight.len() / LANES);
        let part = part.start * LANES..part.end * LANES;
        let grad = self.floats.read(buffers.grad_weight + part.start..buffers.grad_weight + part.end);
        self.learn(batch, weight.start + part.start, &grad);
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
        let start = self.input_start(at);
        let x = self.floats.read(start..start + rows * op.input.image_len() + shape.slack());
        let grad = self.floats.read(Self::images(buffers.grad, &op.grad, 0..rows));
        let argmax = self.bytes.read(buffers.argmax..buffers.argmax + rows * shape.argmax_len());
        if shape.is_small_in() {
            let (units, len) = (worker.share(shape.small_in_units()), shape.small_in_unit_len());
            let mut out = self.floats.write(buffers.channels + units.start * len..buffers.channels + units.end * len);
            let start = buffers.channels + shape.small_in_units() * len;
            let biases = shape.small_in_biases(&units);
            let mut bias = self.floats.write(start + biases.start * LANES..start + biases.end * LANES);
            small_in_backward_weight(self.isa, shape, units, &x, &grad, &argmax, rows, &mut out, &mut bias);
            return;
        }
        let channels = worker.share(shape.conv().output().channels());
        let len = shape.channel_len();
        let start = buffers.channels + channels.start * len;
        let mut out = self.floats.write(start..start + channels.len() * len);
        let start = buffers.channels + shape.conv().output().channels() * len + channels.start;
        let mut bias = self.floats.write(start..start + channels.len());
        let entries = &mut scratch.entries;
        conv_pool_backward_weight(self.isa, shape, channels, &x, &grad, &argmax, rows, entries, &mut out, &mut bias);
    }

    /// This thread's share of the gradient of a convolution's weights and bias, and of learning from it.
    #[expect(clippy::too_many_arguments, reason = "one arm of the backward pass")]
    pub(crate) fn learn_kernels(
        &self,
        worker: &Worker,
        scratch: &mut Scratch,
        at: usize,
        op: &Op,
        conv: &Conv2d,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let images = batch.indices.len();
        let Layout::Planes(planes) = op.grad else { unreachable!("convolutions give planes") };
        let x = self.floats.read(Self::images(self.input_start(at), &op.input, 0..images));
        let grad = self.floats.read(Self::images(self.plan.buffers[at].grad, &op.grad, 0..images));
        let panels = conv.weight();
        // Below the rows of every panel lies its bias.
        let rows = panels.k + 1;
        let share = worker.share(panels.count() * rows);
        for p in share.start / rows..share.end.div_ceil(rows) {
            let width = panels.width(p);
            let first = share.start.saturating_sub(p * rows);
            let count = rows.min(share.end - p * rows) - first;
            let parts = count.div_ceil(WEIGHTS_AT_ONCE / width);
            for part in 0..parts {
                let rows = first + count * part / parts..first + count * (part + 1) / parts;
                let out = &mut scratch.values.as_mut_slice()[..rows.len() * width];
                conv2d_backward_weight(self.isa, conv, p, rows.clone(), &x, &planes, &grad, images, out);
                let (weights, biases) = out.split_at((rows.end.min(panels.k) - rows.start) * width);
                if !weights.is_empty() {
                    self.learn(batch, weight.start + panels.rows(p, rows).start, weights);
                }
                if !biases.is_empty() {
                    self.learn(batch, bias.start + panels.columns(p).start, biases);
                }
            }
        }
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
        back: &BackConvolution,
        weight: &[f32],
        mut rotated: usize,
    ) {
        for phase in &back.phases {
            let (panels, runs, run_len) = (phase.conv().weight(), phase.conv().run_count(), phase.conv().run_len());
            for unit in worker.share(panels.count() * runs) {
                let (panel, run) = (unit / runs, unit % runs);
                let rows = panels.rows(panel, run * run_len..(run + 1) * run_len);
                let mut out = self.floats.write(rotated + rows.start..rotated + rows.end);
                rotate_weight(&conv.direct, phase, panel, run..run + 1, weight, &mut out);
            }
            rotated += panels.len();
        }
    }
}

/// The weights with which a gradient is passed on.
fn back_weights<'w>(rotated: &'w [f32], buffers: &Buffers) -> Weights<'w> {
    Weights { plain: rotated, transformed: buffers.back_transformed, spectra: buffers.back_spectra }
}
