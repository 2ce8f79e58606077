//! What operations with a convolution have in common: its parameters, learning, and how it is computed: directly, by
//! Fourier transform, or in Winograd's tiles.

use super::Run;
use super::ahead::{ALL, Ahead};
use super::tiled::{Tiled, TiledGradient};
use crate::graph::{Array, Params};
use crate::plan::{Room, Scratch};
use crate::precision::Precision;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::arena::{Read, WriteColumns};
use tenfold_kernels::conv::direct::{Conv2d, Phase, conv2d_backward_weight, conv2d_forward, rotate_weight};
use tenfold_kernels::conv::fft::{
    ConvFft, FREQUENCIES, bias_gradient, multiply, multiply_gradient, transform_gradient, transform_input,
    transform_output, transform_weight,
};
use tenfold_kernels::conv::winograd;

/// Images that a thread takes through a Fourier transform together: enough for the spectra of the weights, which do not
/// fit in L2, to be read for many of them, and few enough for those of the images to fit.
const IMAGES_AT_ONCE: usize = 13;

/// Elements of a convolution's weight gradient that a thread sums before it learns from them: they stay in L2, and the
/// feature maps are not read too often.
const WEIGHTS_AT_ONCE: usize = 32 * 1024;

/// A convolution and the fastest known ways to compute it.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    pub(super) direct: Conv2d,
    /// By Fourier transform, where that is faster.
    pub(super) fft: Option<ConvFft>,
    /// In tiles, where that is faster.
    tiled: Option<Tiled>,
    tiled_gradient: TiledGradient,
    /// How the gradient of its input is computed, where one is wanted.
    pub(super) back: Option<Back>,
    pub(super) weight: Array,
    pub(super) bias: Array,
    places: Places,
}

/// How the gradient of a convolution's input is computed: as convolutions of the spread out gradient of its output.
#[derive(Clone, Debug)]
pub(super) struct Back {
    phases: Vec<Phase>,
    /// By Fourier transform or in tiles, where that is faster; there is one phase then.
    fft: Option<ConvFft>,
    tiled: Option<Tiled>,
}

/// Where its buffers start.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    /// The weights rotated, for the gradient of the input.
    rotated: usize,
    /// Transforms of the weights, and of the rotated weights.
    transformed: usize,
    back_transformed: usize,
    /// Spectra of the input, and of the gradient of the output.
    spectra: usize,
    back_spectra: usize,
    /// The gradient of the weights, where it is not made and learned from piece by piece.
    grad_weight: usize,
}

/// Weights of a convolution by transform: where they are, and where their spectra and those of the images go.
#[derive(Clone, Copy)]
struct Spectra<'w> {
    fft: &'w ConvFft,
    weight: &'w [f32],
    transformed: usize,
    images: usize,
}

impl Back {
    fn new(conv: &Conv2d, precision: Precision) -> Back {
        let phases = conv.phases();
        let (mut fft, mut tiled) = (None, None);
        if let [only] = &phases[..]
            && conv.stride() == (1, 1)
        {
            (fft, tiled) = transformed(only.conv(), precision);
        }
        Back { phases, fft, tiled }
    }

    /// Images that go through it together, where it is direct.
    fn images_at_once(&self) -> usize {
        self.phases.iter().map(|phase| phase.conv().images_at_once()).max().unwrap_or(1)
    }

    /// Elements of the weights of all phases, which lie one behind the other.
    fn weight_len(&self) -> usize {
        self.phases.iter().map(|phase| phase.conv().weight().len()).sum()
    }
}

/// Images `images`, at most `at_once` at a time.
fn together(images: Range<usize>, at_once: usize) -> impl Iterator<Item = Range<usize>> {
    images.clone().step_by(at_once).map(move |first| first..(first + at_once).min(images.end))
}

/// The images that come after `images` among those of a thread: as many.
fn next(images: &Range<usize>, share: Range<usize>) -> Range<usize> {
    images.end..(images.end + images.len()).min(share.end)
}

/// By Fourier transform or in tiles, where one of them is faster than directly. Tiles are f32 in any precision.
fn transformed(conv: &Conv2d, precision: Precision) -> (Option<ConvFft>, Option<Tiled>) {
    match Tiled::new(conv) {
        None => (ConvFft::new(conv, precision.order()), None),
        tiled => (None, tiled),
    }
}

impl Convolution {
    /// `passes`: whether the gradient of the input is wanted.
    pub(super) fn new(
        direct: Conv2d,
        precision: Precision,
        passes: bool,
        has_bias: bool,
        params: &mut Params,
    ) -> Convolution {
        let back = passes.then(|| Back::new(&direct, precision));
        let (fft, tiled) = transformed(&direct, precision);
        let weight = params.array("weight", direct.weight().len());
        let bias = params.bias(direct.weight().padded_n(), has_bias);
        Convolution {
            direct,
            fft,
            tiled,
            tiled_gradient: TiledGradient::default(),
            back,
            weight,
            bias,
            places: Places::default(),
        }
    }

    /// [`super::Operation::index`] of `[O, I, Kh, Kw]`.
    pub(super) fn index(&self, shape: &[usize], j: usize) -> usize {
        let [_, channels, kh, kw] = shape[..] else { unreachable!("OIHW") };
        let (kx, ky, i, o) = (j % kw, j / kw % kh, j / kw / kh % channels, j / kw / kh / channels);
        self.direct.weight().index(self.direct.weight_row(i, ky, kx), o)
    }

    /// [`super::Op::takes_images`]: only in tiles is the gradient of the weights summed image by image.
    pub(super) fn takes_images(&self) -> bool {
        self.tiled.is_some()
    }

    /// Whether it runs forward without any transform.
    pub(super) fn is_direct(&self) -> bool {
        self.fft.is_none() && self.tiled.is_none()
    }

    /// The transforms of both directions, where there are both: then the gradient of the weights goes that way too.
    pub(super) fn both_ffts(&self) -> Option<(&ConvFft, &ConvFft)> {
        Some((self.fft.as_ref()?, self.back.as_ref()?.fft.as_ref()?))
    }

    /// `learns`: whether it runs backward.
    pub(super) fn plan(&mut self, room: &mut Room, learns: bool) {
        // Each thread's for one of its runs.
        let panels = self.direct.weight();
        room.values(self.direct.run_len() * panels.padded_n());
        // Or for some rows of its gradient, the bias's among them.
        room.values(WEIGHTS_AT_ONCE.min(panels.len() + panels.padded_n()));
        (self.places.transformed, self.places.spectra) = fourier(room, self.fft.as_ref());
        if let Some(tiled) = &mut self.tiled {
            tiled.plan(room);
        }
        let Some(back) = self.back.as_mut().filter(|_| learns) else { return };
        match &mut back.tiled {
            Some(tiled) => tiled.plan(room),
            None => self.places.rotated = room.floats(back.weight_len()),
        }
        (self.places.back_transformed, self.places.back_spectra) = fourier(room, back.fft.as_ref());
        // Each thread's for the gradients of the images that it takes together, with their border, and for what is
        // added to that of their inputs.
        room.values(back.images_at_once() * self.direct.grad_output().len());
        room.spare(back.images_at_once() * self.direct.input().plain().len());
        if self.both_ffts().is_some() {
            self.places.grad_weight = room.floats(panels.len());
        }
    }

    /// Images that [`Convolution::forward`] takes together at most.
    pub(super) fn images_at_once(&self) -> usize {
        if self.is_direct() { self.direct.images_at_once() } else { 1 }
    }

    /// Convolves this thread's images, without bias: `output(images, fill)` gives a place for the result, which `fill`
    /// overwrites; `image` is room for one of the input. Meets once where the weights are transformed first.
    pub(super) fn forward(
        &self,
        run: &Run,
        products: &mut [f32],
        image: &mut [f32],
        mut output: impl FnMut(Range<usize>, &mut dyn FnMut(&mut [f32])),
    ) {
        let weight = run.step.params.read(self.weight.place.clone());
        if let Some(tiled) = &self.tiled {
            tiled.transform_weights(run, |unit, out| {
                winograd::transform_weight(run.step.isa, &tiled.shape, unit, &weight, out);
            });
            run.worker.barrier();
            let input = |n: usize, f: &mut dyn FnMut(&[f32])| run.with_input(n, image, f);
            let places = (|images| run.taken(images), |images| run.written(images));
            return tiled.convolve(run, products, input, |n, fill| output(n..n + 1, fill), places);
        }
        let Some(fft) = &self.fft else {
            for images in together(run.share(), self.images_at_once()) {
                let x = run.read(run.input(), images.clone());
                let count = images.len();
                let ahead = Ahead::new(run).soon(&run.written(images.clone()), 1, ALL);
                let ahead = ahead.later(&run.taken(next(&images, run.share())), ALL);
                let ahead = &mut ahead.asked(self.direct.calls(count));
                output(images, &mut |y| conv2d_forward(run.step.isa, &self.direct, count, &x, &weight, y, ahead));
            }
            return;
        };
        let Places { transformed, spectra: images, .. } = self.places;
        let spectra = Spectra { fft, weight: &weight, transformed, images };
        spectra.transform_weights(run);
        run.worker.barrier();
        for n in run.share() {
            let mut out = spectra.images(run, n..n + 1);
            transform_input(run.step.isa, fft, &run.read(run.input(), n..n + 1), &mut out.columns());
        }
        spectra.multiply(run, products, |n, fill| output(n..n + 1, fill));
    }

    /// Passes the gradient of the output on to the input, where that is wanted. `spread(n, out)` overwrites `out` with
    /// the gradient of the output for image n, spread out. Meets at least once first, so that the weights may be
    /// updated afterwards.
    pub(super) fn pass_through(&self, run: &Run, scratch: &mut Scratch, spread: impl Fn(usize, &mut [f32])) {
        let Some(back) = &self.back else { return };
        let isa = run.step.isa;
        let Scratch { values, products, spare, .. } = scratch;
        let len = self.direct.grad_output().len();
        let values = values.as_mut_slice();
        let image = &mut values[..len];
        if let Some(tiled) = &back.tiled {
            let weight = run.step.params.read(self.weight.place.clone());
            tiled.transform_weights(run, |unit, out| {
                winograd::transform_weight_back(isa, &self.direct, &tiled.shape, unit, &weight, out);
            });
            drop(weight);
            run.worker.barrier();
            let input = |n: usize, f: &mut dyn FnMut(&[f32])| {
                spread(n, image);
                f(image);
            };
            let output = |n: usize, fill: &mut dyn FnMut(&mut [f32])| {
                run.pass(run.input(), n, spare.as_mut_slice(), |out| fill(out));
            };
            let places = (|images| run.grad_taken(images), |images| run.passed(run.input(), images));
            tiled.convolve(run, products.as_mut_slice(), input, output, places);
            return;
        }
        self.rotate(run, back);
        run.worker.barrier();
        let rotated = self.rotated(run, back);
        if let Some(fft) = &back.fft {
            let spectra = self.back_spectra(fft, &rotated);
            spectra.transform_weights(run);
            run.worker.barrier();
            for n in run.share() {
                spread(n, image);
                let mut out = spectra.images(run, n..n + 1);
                transform_input(isa, fft, image, &mut out.columns());
            }
            spectra.multiply(run, products.as_mut_slice(), |n, fill| {
                run.pass(run.input(), n, spare.as_mut_slice(), |out| fill(out));
            });
            return;
        }
        for images in together(run.share(), back.images_at_once()) {
            let gradients = &mut values[..images.len() * len];
            for (n, out) in images.clone().zip(gradients.chunks_exact_mut(len)) {
                spread(n, out);
            }
            let count = images.len();
            let ahead = Ahead::new(run).soon(&run.passed(run.input(), images.clone()), 1, ALL);
            let ahead = ahead.later(&run.grad_taken(next(&images, run.share())), ALL);
            let ahead = &mut ahead.asked(back.phases.iter().map(|phase| phase.conv().calls(count)).sum());
            run.pass_images(run.input(), images, spare.as_mut_slice(), |out| {
                if !self.direct.phases_are_whole() {
                    out.fill(0.0);
                }
                let mut start = 0;
                for phase in &back.phases {
                    let len = phase.conv().weight().len();
                    conv2d_forward(isa, phase.conv(), count, gradients, &rotated[start..start + len], out, ahead);
                    start += len;
                }
            });
        }
    }

    /// The whole backward pass of a convolution whose both directions go through the frequency domain; `spread` as for
    /// [`Convolution::pass_through`]. Whether it is one.
    pub(super) fn fourier_backward(
        &self,
        run: &Run,
        scratch: &mut Scratch,
        spread: impl Fn(usize, &mut [f32]),
    ) -> bool {
        let (Some((fft, back_fft)), Some(back)) = (self.both_ffts(), &self.back) else { return false };
        let (isa, step, worker, places) = (run.step.isa, run.step, run.worker, &self.places);
        let (rows, room) = (run.images(), step.plan.batch_size);
        let Scratch { values, products, spare, .. } = scratch;
        self.rotate(run, back);
        let image = &mut values.as_mut_slice()[..self.direct.grad_output().len()];
        // Of the images' spectra alone: the rotated weights are not whole yet.
        let of_images = self.back_spectra(back_fft, &[]);
        for n in run.share() {
            spread(n, image);
            let mut out = of_images.images(run, n..n + 1);
            transform_input(isa, back_fft, image, &mut out.columns());
        }
        worker.barrier();

        let rotated = self.rotated(run, back);
        let spectra = self.back_spectra(back_fft, &rotated);
        spectra.transform_weights(run);
        // The spectra of the weights are not needed any more: those of their gradient take the place.
        let bins = worker.share(FREQUENCIES);
        let grad_spectra = || step.floats.read(places.back_spectra..places.back_spectra + back_fft.input_len(room));
        {
            let of_bin = |bin: usize| places.transformed + bin * fft.gradient_stride();
            let mut out = step.floats.write(of_bin(bins.start)..of_bin(bins.end));
            let images = step.floats.read(places.spectra..places.spectra + fft.input_len(room));
            multiply_gradient(isa, fft, bins, rows, room, &images, &grad_spectra(), &mut out);
        }
        if worker.is_last() {
            let sums = &mut values.as_mut_slice()[..self.bias.place.len()];
            bias_gradient(fft, rows, room, &grad_spectra(), sums);
            step.learn(run.batch, &self.bias, 0, sums);
        }
        worker.barrier();

        spectra.multiply(run, products.as_mut_slice(), |n, fill| {
            run.pass(run.input(), n, spare.as_mut_slice(), |out| fill(out));
        });
        let of_gradient = step.floats.read(places.transformed..places.transformed + fft.gradient_len());
        let panels = self.direct.weight();
        let taps = self.direct.kernel().0 * self.direct.kernel().1;
        for unit in worker.share(fft.input_channels() * panels.count()) {
            let (channel, panel) = (unit % fft.input_channels(), unit / fft.input_channels());
            let (block, lane, width) = (channel / LANES, channel % LANES, panels.width(panel));
            let start = places.grad_weight + panels.rows(panel, block * taps * LANES..(block + 1) * taps * LANES).start;
            let mut out = step.floats.write_columns(start, taps, LANES * width, lane * width..(lane + 1) * width);
            transform_gradient(isa, fft, channel, panel, &of_gradient, &mut out.columns());
        }
        worker.barrier();

        let part = worker.share(self.weight.place.len() / LANES);
        let part = part.start * LANES..part.end * LANES;
        let grad = step.floats.read(places.grad_weight + part.start..places.grad_weight + part.end);
        step.learn(run.batch, &self.weight, part.start, &grad);
        true
    }

    /// Room for [`Convolution::learn`].
    pub(super) fn plan_learning(&mut self, room: &mut Room) {
        if let Some(tiled) = &self.tiled {
            self.tiled_gradient.plan(&tiled.shape, room);
        }
    }

    /// This thread's share of the gradient of weights and bias, and of learning from it.
    pub(super) fn learn(&self, run: &Run, scratch: &mut Scratch) {
        if let Some(tiled) = &self.tiled {
            return self.tiled_gradient.learn(run, &tiled.shape, &self.weight, &self.bias, scratch);
        }
        let (conv, images) = (&self.direct, run.images());
        let planes = run.grad_layout(run.node.output).planes();
        let (x, grad) = (run.read(run.input(), 0..images), run.grad(0..images));
        let panels = conv.weight();
        // Below the rows of every panel lies its bias.
        let rows = panels.k + 1;
        let share = run.worker.share(panels.count() * rows);
        for p in share.start / rows..share.end.div_ceil(rows) {
            let width = panels.width(p);
            let first = share.start.saturating_sub(p * rows);
            let count = rows.min(share.end - p * rows) - first;
            let parts = count.div_ceil(WEIGHTS_AT_ONCE / width);
            for part in 0..parts {
                let rows = first + count * part / parts..first + count * (part + 1) / parts;
                let out = &mut scratch.values.as_mut_slice()[..rows.len() * width];
                conv2d_backward_weight(run.step.isa, conv, p, rows.clone(), &x, &planes, &grad, images, out);
                let (weights, biases) = out.split_at((rows.end.min(panels.k) - rows.start) * width);
                if !weights.is_empty() {
                    run.step.learn(run.batch, &self.weight, panels.rows(p, rows).start, weights);
                }
                if !biases.is_empty() {
                    run.step.learn(run.batch, &self.bias, panels.columns(p).start, biases);
                }
            }
        }
    }

    /// Learns from the gradient of one run of the weights, in panels.
    pub(super) fn learn_run(&self, run: &Run, number: usize, mut part: &[f32]) {
        let (panels, run_len) = (self.direct.weight(), self.direct.run_len());
        for p in 0..panels.count() {
            let target = panels.rows(p, number * run_len..(number + 1) * run_len);
            let (panel, rest) = part.split_at(target.len());
            part = rest;
            run.step.learn(run.batch, &self.weight, target.start, panel);
        }
    }

    /// This thread's share of the weights rotated by half a turn.
    fn rotate(&self, run: &Run, back: &Back) {
        let weight = run.step.params.read(self.weight.place.clone());
        let mut rotated = self.places.rotated;
        for phase in &back.phases {
            let (panels, runs, run_len) = (phase.conv().weight(), phase.conv().run_count(), phase.conv().run_len());
            for unit in run.worker.share(panels.count() * runs) {
                let (panel, number) = (unit / runs, unit % runs);
                let rows = panels.rows(panel, number * run_len..(number + 1) * run_len);
                let mut out = run.step.floats.write(rotated + rows.start..rotated + rows.end);
                rotate_weight(run.step.isa, &self.direct, phase, panel, number..number + 1, &weight, &mut out);
            }
            rotated += panels.len();
        }
    }

    /// The weights rotated by all threads.
    fn rotated<'r>(&self, run: &Run<'r>, back: &Back) -> Read<'r, f32> {
        run.step.floats.read(self.places.rotated..self.places.rotated + back.weight_len())
    }

    /// What passes a gradient on by transform.
    fn back_spectra<'w>(&self, fft: &'w ConvFft, rotated: &'w [f32]) -> Spectra<'w> {
        let Places { back_transformed: transformed, back_spectra: images, .. } = self.places;
        Spectra { fft, weight: rotated, transformed, images }
    }
}

/// Room for the spectra of the weights and of the images; each thread's for some of its images' products.
fn fourier(room: &mut Room, fft: Option<&ConvFft>) -> (usize, usize) {
    let Some(fft) = fft else { return (0, 0) };
    room.products(fft.output_len(IMAGES_AT_ONCE));
    // The spectra of the weights' gradient come to lie where those of the weights were.
    (room.floats(fft.gradient_len()), room.floats(fft.input_len(room.batch_size)))
}

impl Spectra<'_> {
    /// Makes this thread's share of the spectra of the weights. A meeting must follow.
    fn transform_weights(&self, run: &Run) {
        for channel in run.worker.share(self.fft.input_channels()) {
            let (stride, columns) = (self.fft.weight_stride(), self.fft.weight_columns(channel));
            let mut out = run.step.floats.write_columns(self.transformed, FREQUENCIES, stride, columns);
            transform_weight(run.step.isa, self.fft, channel, self.weight, &mut out.columns());
        }
    }

    /// The spectra of images `images`.
    fn images<'r>(&self, run: &Run<'r>, images: Range<usize>) -> WriteColumns<'r, f32> {
        let stride = self.fft.input_stride(run.step.plan.batch_size);
        run.step.floats.write_columns(self.images, FREQUENCIES, stride, self.fft.input_columns(images))
    }

    /// Products of spectra, and back, for this thread's images, once all spectra are there.
    fn multiply(&self, run: &Run, products: &mut [f32], mut output: impl FnMut(usize, &mut dyn FnMut(&mut [f32]))) {
        let (isa, fft, images) = (run.step.isa, self.fft, run.share());
        let transformed = run.step.floats.read(self.transformed..self.transformed + fft.weight_len());
        for first in images.clone().step_by(IMAGES_AT_ONCE) {
            let count = IMAGES_AT_ONCE.min(images.end - first);
            let products = &mut products[..fft.output_len(count)];
            let mut spectra = self.images(run, first..first + count);
            multiply(isa, fft, count, &spectra.columns(), &transformed, products);
            for n in 0..count {
                output(first + n, &mut |y| transform_output(isa, fft, products, n, count, y));
            }
        }
    }
}
