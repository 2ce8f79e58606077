//! One batch through a network: forward, backward, and the update, on several threads.
//!
//! Every thread runs [`Step::forward`] and [`Step::backward`] from the first operation to the last. Each operation is
//! split in the way that needs no sum over threads: by images where images are independent, by columns or weight rows
//! where the batch is summed. So the numbers do not depend on how many threads there are.

use crate::aligned::Aligned;
use crate::convolve::{Backward, Weights};
use crate::data::Dataset;
use crate::laps::{Laps, Part};
use crate::lit::vectors_of_panels;
use crate::network::{Kind, Layout, Network, Op};
use crate::optim;
use crate::plan::{Buffers, Memory, Pairs, Plan, Scratch};
use crate::rng::{Rng, Stream};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::activation::{Activation, activation_backward, activation_forward};
use tenfold_kernels::arena::Arena;
use tenfold_kernels::bf16::{pack_neighbours, pack_rows};
use tenfold_kernels::conv::direct::add_bias;
use tenfold_kernels::conv::pooled::{gather_run, pool_relu_forward, unpool};
use tenfold_kernels::conv::pooled_forward::conv_pool_forward;
use tenfold_kernels::conv::pooled_small_in::gather_small_in;
use tenfold_kernels::linear::bf16::{linear_backward_input_pairs, linear_backward_weight_pairs, linear_forward_pairs};
use tenfold_kernels::linear::dense::{
    LinearWeight, Sums, backward_calls, column_sums, linear_backward_input, linear_backward_weight, linear_forward,
};
use tenfold_kernels::memory::fetch;
use tenfold_kernels::pixels::{PixelTable, pixel_values};
use tenfold_kernels::pool::window::{avgpool2d_backward, avgpool2d_forward, maxpool2d_backward, maxpool2d_forward};
use tenfold_kernels::softmax_cross_entropy::{cross_entropy, softmax_cross_entropy};
use tenfold_kernels::{Isa, LANES, Planes, Prefetch};

/// What becomes of a gradient.
pub(crate) enum Learn<'a> {
    /// It updates its parameters at once, while they are in the cache: the two optimizer states per parameter.
    Update { first: Arena<'a, f32>, second: Arena<'a, f32> },
    /// It is stored, laid out like the parameters.
    #[cfg_attr(not(test), allow(dead_code, reason = "only tests look at gradients"))]
    Store(Arena<'a, f32>),
    /// There is none: evaluation.
    Nothing,
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

/// Which batch, and what its step is.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    /// Indices of the batch's examples.
    pub(crate) indices: &'a [u32],
    /// Those of the next batch, to be brought into the cache meanwhile.
    pub(crate) next: &'a [u32],
    /// Number of the step, which dropout draws by; `None` while evaluating.
    pub(crate) step: Option<u64>,
    /// The update, where there is one.
    pub(crate) update: Option<optim::Update>,
}

/// Everything the threads of a step share.
pub(crate) struct Step<'a> {
    network: &'a Network,
    pub(crate) plan: &'a Plan,
    pub(crate) isa: Isa,
    seed: u64,
    classes: usize,
    /// Value of each pixel value.
    pub(crate) pixels: &'a PixelTable,
    pub(crate) floats: Arena<'a, f32>,
    pub(crate) bytes: Arena<'a, u8>,
    losses: Arena<'a, f64>,
    correct: Arena<'a, u8>,
    pub(crate) params: Arena<'a, f32>,
    pub(crate) learn: Learn<'a>,
    /// Takes the time of every operation, where somebody wants to know.
    laps: Option<&'a Laps>,
}

impl<'a> Step<'a> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one step, borrowed separately")]
    pub(crate) fn new(
        network: &'a Network,
        plan: &'a Plan,
        isa: Isa,
        seed: u64,
        classes: usize,
        pixels: &'a PixelTable,
        memory: &'a mut Memory,
        params: &'a mut [f32],
        learn: Learn<'a>,
    ) -> Step<'a> {
        Step {
            network,
            plan,
            isa,
            seed,
            classes,
            pixels,
            floats: Arena::new(memory.floats.as_mut_slice()),
            bytes: Arena::new(&mut memory.bytes),
            losses: Arena::new(&mut memory.losses),
            correct: Arena::new(&mut memory.correct),
            params: Arena::new(params),
            learn,
            laps: None,
        }
    }

    /// The same, with the time of every operation added to `laps`.
    pub(crate) fn timed(mut self, laps: Option<&'a Laps>) -> Step<'a> {
        self.laps = laps;
        self
    }

    fn lap(&self, worker: &Worker, part: Part) {
        if let Some(laps) = self.laps {
            laps.add(worker, part);
        }
    }

    /// Per example losses of the last batch, after all threads have met.
    pub(crate) fn with_losses<R>(&self, examples: usize, f: impl FnOnce(&[f64], &[u8]) -> R) -> R {
        f(&self.losses.read(0..examples), &self.correct.read(0..examples))
    }

    /// Elements of images `images` of a buffer that starts at `start`.
    pub(crate) fn images(start: usize, layout: &Layout, images: Range<usize>) -> Range<usize> {
        start + images.start * layout.image_len()..start + images.end * layout.image_len()
    }

    /// Where operation `at` finds its input: the output of the one before, or the images.
    pub(crate) fn input_start(&self, at: usize) -> usize {
        if at == 0 { self.plan.input } else { self.plan.buffers[at - 1].output }
    }

    /// Logits of the last batch: where they are, and the row stride.
    pub(crate) fn logits<R>(&self, examples: Range<usize>, f: impl FnOnce(&[f32], usize) -> R) -> R {
        let last = self.network.ops.len() - 1;
        let layout = &self.network.ops[last].output;
        f(&self.floats.read(Self::images(self.plan.buffers[last].output, layout, examples)), layout.image_len())
    }

    /// Output of operation `at` for image `image` of the last batch.
    pub(crate) fn output<R>(&self, at: usize, image: usize, f: impl FnOnce(&[f32], &Layout) -> R) -> R {
        let layout = &self.network.ops[at].output;
        f(&self.floats.read(Self::images(self.plan.buffers[at].output, layout, image..image + 1)), layout)
    }

    /// Runs the batch forward through operations `0..until`. No meeting at the end: [`Step::loss`] begins with one where
    /// it must.
    pub(crate) fn forward(&self, worker: &Worker, scratch: &mut Scratch, data: &Dataset, batch: &Batch, until: usize) {
        assert!(batch.indices.len() <= self.plan.batch_size, "the plan is for smaller batches");
        self.lap(worker, Part::Elsewhere);
        self.load(worker, data, batch);
        self.lap(worker, Part::Load);
        for (at, op) in self.network.ops[..until].iter().enumerate() {
            // A thread that goes on with its own images needs no other.
            let goes_on = |op: &Op| self.split(worker, op) == Split::Images;
            if self.split(worker, op).needs_all_images() || (at > 0 && !goes_on(&self.network.ops[at - 1])) {
                worker.meet();
            }
            self.forward_op(worker, scratch, at, op, data, batch);
            self.lap(worker, Part::Forward(at));
        }
    }

    /// This thread's share of `images` images in an operation that is split by images.
    pub(crate) fn share(&self, worker: &Worker, op: &Op, images: usize) -> Range<usize> {
        let unit = if self.split(worker, op) == Split::Sixteens { LANES } else { 1 };
        let share = worker.share(images.div_ceil(unit));
        (share.start * unit).min(images)..(share.end * unit).min(images)
    }

    /// How the threads share an operation forward.
    pub(crate) fn split(&self, worker: &Worker, op: &Op) -> Split {
        match &op.kind {
            Kind::LinearFew { .. } => Split::Sixteens,
            _ if self.plan.training && worker.team().relay && op.can_relay(worker.threads()) => Split::Inputs,
            // A layer with few outputs would leave threads without work.
            Kind::Linear { layout, .. } if layout.padded_outputs() / LANES >= 4 * worker.threads() => Split::Columns,
            _ => Split::Images,
        }
    }

    /// Pixels of this thread's images as numbers.
    fn load(&self, worker: &Worker, data: &Dataset, batch: &Batch) {
        if self.network.few_outputs() {
            return;
        }
        if let Some(lit) = self.lit(0) {
            return self.load_lit(worker, data, batch, lit);
        }
        let Layout::Planes(planes) = self.network.input else { unreachable!("images are planes") };
        let share = worker.share(batch.indices.len());
        let mut out = self.floats.write(Self::images(self.plan.input, &self.network.input, share.clone()));
        // Without a border, an image lies as the data have it.
        let dense = planes.lanes() == 1 && planes.len() == planes.channels() * planes.height() * planes.width();
        for (&index, out) in batch.indices[share].iter().zip(out.chunks_exact_mut(planes.len())) {
            let image = data.image(index as usize);
            if dense {
                pixel_values(self.isa, self.pixels, image, out);
                continue;
            }
            for (channel, pixels) in image.chunks_exact(planes.height() * planes.width()).enumerate() {
                for (y, row) in pixels.chunks_exact(planes.width()).enumerate() {
                    let start = planes.index(channel, y, 0);
                    if planes.pixel() == 1 {
                        pixel_values(self.isa, self.pixels, row, &mut out[start..start + row.len()]);
                        continue;
                    }
                    for (x, &pixel) in row.iter().enumerate() {
                        out[start + x * planes.pixel()] = self.pixels[usize::from(pixel)];
                    }
                }
            }
        }
    }

    /// Asks for the next images that this thread will look at: they lie far apart in the data. (Those of a layer with few
    /// outputs are asked for on the way back.)
    pub(crate) fn fetch(&self, worker: &Worker, data: &Dataset, batch: &Batch) {
        if self.network.few_outputs() {
            return;
        }
        let share = if self.lit(0).is_some() { 0..batch.next.len() } else { worker.share(batch.next.len()) };
        for &index in &batch.next[share] {
            fetch(data.image(index as usize));
        }
    }

    fn forward_op(&self, worker: &Worker, scratch: &mut Scratch, at: usize, op: &Op, data: &Dataset, batch: &Batch) {
        let rows = batch.indices.len();
        let (from, to) = (self.input_start(at), self.plan.buffers[at].output);
        let input = |n: usize| self.floats.read(Self::images(from, &op.input, n..n + 1));
        let output = |n: usize| self.floats.write(Self::images(to, &op.output, n..n + 1));
        match &op.kind {
            Kind::Linear { .. } => {
                self.linear_forward(worker, scratch, at, data, batch);
                return;
            }
            Kind::LinearFew { layout, weight, bias } => {
                self.linear_forward_small_out(worker, data, at, op, *layout, weight, bias, batch);
                return;
            }
            Kind::Conv { conv, weight, bias, .. } => {
                let (weight, bias) = (self.params.read(weight.clone()), self.params.read(bias.clone()));
                let Buffers { transformed, spectra, .. } = self.plan.buffers[at];
                let weights = Weights { plain: &weight, transformed, spectra };
                self.prepare(worker, conv, weights);
                worker.meet();
                self.convolve(scratch.products.as_mut_slice(), conv, weights, worker.share(rows), input, |n, fill| {
                    let mut y = output(n);
                    fill(&mut y);
                    add_bias(conv.direct.output(), &bias, &mut y);
                });
            }
            Kind::ConvPool { shape, conv, weight, bias, .. } => {
                let (weight, bias) = (self.params.read(weight.clone()), self.params.read(bias.clone()));
                let Buffers { transformed, spectra, .. } = self.plan.buffers[at];
                let weights = Weights { plain: &weight, transformed, spectra };
                let argmax = |n: usize| {
                    let start = self.plan.buffers[at].argmax + n * shape.argmax_len();
                    self.bytes.write(start..start + shape.argmax_len())
                };
                if conv.fft.is_none() && shape.has_tiles() {
                    for n in worker.share(rows) {
                        let (x, mut y, mut argmax) = (input(n), output(n), argmax(n));
                        conv_pool_forward(self.isa, shape, &x, &weight, &bias, &mut y, &mut argmax);
                    }
                    return;
                }
                self.prepare(worker, conv, weights);
                worker.meet();
                let sums = &mut scratch.values.as_mut_slice()[..shape.conv().output().len()];
                self.convolve(scratch.products.as_mut_slice(), conv, weights, worker.share(rows), input, |n, fill| {
                    fill(sums);
                    pool_relu_forward(self.isa, shape, sums, &bias, &mut output(n), &mut argmax(n));
                });
            }
            Kind::MaxPool(pool) => {
                for n in worker.share(rows) {
                    let start = self.plan.buffers[at].argmax + n * pool.argmax_len();
                    let mut argmax = self.bytes.write(start..start + pool.argmax_len());
                    maxpool2d_forward(pool, &input(n), &mut output(n), &mut argmax);
                }
            }
            Kind::AvgPool(pool) => {
                for n in worker.share(rows) {
                    avgpool2d_forward(pool, &input(n), &mut output(n));
                }
            }
            Kind::Activation => {
                for n in worker.share(rows) {
                    output(n).copy_from_slice(&input(n));
                }
            }
            Kind::Dropout { .. } => {
                for n in worker.share(rows) {
                    let mut out = output(n);
                    out.copy_from_slice(&input(n));
                    self.apply_dropout(batch, op, &op.output, n, &mut out);
                }
            }
        }
        // What a thread has just written is still in its cache.
        if let Some(activation) = op.activation {
            for n in worker.share(rows) {
                activate(self.isa, activation, &op.output, &mut output(n));
            }
        }
    }

    fn linear_forward(&self, worker: &Worker, scratch: &mut Scratch, at: usize, data: &Dataset, batch: &Batch) {
        let op = &self.network.ops[at];
        let Kind::Linear { layout, pairs, .. } = op.kind else { unreachable!("a linear layer") };
        let rows = batch.indices.len();
        let lit = self.lit(at);
        if pairs {
            self.round_input(worker, self.input_start(at), op, layout, rows, &self.plan.buffers[at]);
            worker.meet();
        }
        let all = layout.padded_outputs() / LANES;
        let mut part = |images, sums| self.linear_part(scratch, at, data, batch, images, &sums);
        match self.split(worker, op) {
            Split::Images | Split::Sixteens => {
                part(worker.share(rows), Sums::over_all_inputs(layout, 0..all));
            }
            Split::Columns => {
                let vectors = if lit.is_some() { vectors_of_panels(worker, layout) } else { worker.share(all) };
                if let Some(lit) = lit.filter(|_| self.plan.training) {
                    self.turn_lit(worker, lit, rows);
                }
                part(0..rows, Sums::over_all_inputs(layout, vectors));
            }
            Split::Inputs => {
                // The blocks that it will learn from on the way back, panel by panel.
                let (blocks, panels) = (worker.share(layout.blocks()), layout.panels(0));
                for columns in (0..panels.count()).map(|p| panels.columns(p)) {
                    worker.take_over();
                    let vectors = columns.start / LANES..columns.end / LANES;
                    part(0..rows, Sums { vectors, blocks: blocks.clone(), until: all });
                    worker.hand_on();
                }
            }
        }
    }

    /// Some sums of a linear layer's output for images `images`, and the activation, where they are whole.
    fn linear_part(
        &self,
        scratch: &mut Scratch,
        at: usize,
        data: &Dataset,
        batch: &Batch,
        images: Range<usize>,
        sums: &Sums,
    ) {
        let op = &self.network.ops[at];
        let Kind::Linear { layout, pairs, weight, bias } = &op.kind else { unreachable!("a linear layer") };
        let vectors = sums.vectors.clone();
        if images.is_empty() || vectors.is_empty() {
            return;
        }
        let (layout, rows) = (*layout, images.len());
        let (from, to) = (self.input_start(at), self.plan.buffers[at].output);
        let (weight, bias) = (self.params.read(weight.clone()), self.params.read(bias.clone()));
        let columns = vectors.start * LANES..vectors.end * LANES;
        let start = Self::images(to, &op.output, images.clone()).start;
        let mut y = self.floats.write_columns(start, rows, op.output.image_len(), columns.clone());
        let mut y = y.columns();
        if let Some(lit) = self.lit(at) {
            self.linear_forward_nonzero(data, batch, lit, layout, (&weight, &bias), images, vectors, &mut y);
        } else if *pairs {
            let Pairs { x, x_stride: stride, .. } = self.plan.buffers[at].pairs;
            let x = self.floats.read(x + images.start * stride..x + images.end * stride);
            let scratch = scratch.values.as_mut_slice();
            linear_forward_pairs(self.isa, layout, sums, &x, stride, rows, &weight, &bias, &mut y, scratch);
        } else {
            let x = self.floats.read(Self::images(from, &op.input, images));
            let stride = op.input.image_len();
            linear_forward(self.isa, layout, sums, &x, stride, rows, &weight, &bias, &mut y);
        }
        if let Some(activation) = op.activation.filter(|_| sums.blocks.end == layout.blocks()) {
            let real = columns.len().min(layout.out_features.saturating_sub(columns.start));
            for n in 0..rows {
                activation_forward(self.isa, activation, &mut y.row_mut(n)[..real]);
            }
        }
    }

    /// Multiplies image `n` of a dropout layer's input, or of its output's gradient, by its mask.
    ///
    /// The mask belongs to the elements, not to where they lie: the two may have different borders.
    fn apply_dropout(&self, batch: &Batch, op: &Op, layout: &Layout, n: usize, values: &mut [f32]) {
        let (Kind::Dropout { probability, index }, Some(step)) = (&op.kind, batch.step) else { return };
        let mut mask = Mask {
            rng: Rng::new(self.seed, Stream::Dropout, (index << 48) | step),
            scale: (1.0 / (1.0 - probability)) as f32,
            threshold: (probability * 2.0_f64.powi(32)) as u64,
            next: 0,
        };
        // Two elements take a number, and each line of pixels begins with a new one.
        let numbers = match op.grad {
            Layout::Row { stride, .. } => stride.div_ceil(2),
            Layout::Planes(p) => p.blocks() * p.height() * (p.width() * p.pixel()).div_ceil(2),
        };
        mask.next = (n * numbers) as u64;
        match layout {
            Layout::Row { .. } => mask.apply(values),
            Layout::Planes(planes) => {
                for (block, y) in (0..planes.blocks()).flat_map(|block| (0..planes.height()).map(move |y| (block, y))) {
                    let start = planes.offset(block, y, 0);
                    mask.apply(&mut values[start..start + planes.width() * planes.pixel()]);
                }
            }
        }
    }

    /// Loss of the batch, its gradient with respect to the logits, and whether each prediction is right.
    /// Ends with a meeting.
    pub(crate) fn loss(&self, worker: &Worker, scratch: &mut Scratch, data: &Dataset, batch: &Batch) {
        if self.network.ops.last().is_some_and(|op| self.split(worker, op).needs_all_images()) {
            worker.meet();
        }
        self.loss_of_share(worker, scratch, data, batch);
        worker.meet();
        self.lap(worker, Part::Loss);
    }

    fn loss_of_share(&self, worker: &Worker, scratch: &mut Scratch, data: &Dataset, batch: &Batch) {
        let rows = batch.indices.len();
        let last = self.network.ops.len() - 1;
        let op = &self.network.ops[last];
        let stride = op.output.image_len();
        let share = self.share(worker, op, rows);
        let labels = &mut scratch.labels[..share.len()];
        for (label, &index) in labels.iter_mut().zip(&batch.indices[share.clone()]) {
            *label = data.labels()[index as usize];
        }
        let logits = self.floats.read(Self::images(self.plan.buffers[last].output, &op.output, share.clone()));
        let mut losses = self.losses.write(share.clone());
        let mut correct = self.correct.write(share.clone());
        if self.plan.training {
            let mut grad = self.floats.write(Self::images(self.plan.buffers[last].grad, &op.grad, share));
            let scale = 1.0 / rows as f32;
            let (classes, losses, correct) = (self.classes, &mut losses, &mut correct);
            softmax_cross_entropy(self.isa, &logits, stride, classes, labels, scale, losses, correct, &mut grad);
        } else {
            cross_entropy(self.isa, &logits, stride, self.classes, labels, &mut losses, &mut correct);
        }
    }

    /// Gradients from the logits to the first layer that learns, and what becomes of them. The caller's next meeting ends
    /// the step.
    pub(crate) fn backward(&self, worker: &Worker, scratch: &mut Scratch, data: &Dataset, batch: &Batch) {
        for (at, op) in self.network.ops.iter().enumerate().rev() {
            if op.learns() || op.passes_gradient {
                self.backward_op(worker, scratch, at, op, data, batch);
                if op.passes_gradient {
                    worker.meet();
                }
                self.lap(worker, Part::Backward(at));
            }
        }
    }

    fn backward_op(&self, worker: &Worker, scratch: &mut Scratch, at: usize, op: &Op, data: &Dataset, batch: &Batch) {
        let rows = batch.indices.len();
        let buffers = &self.plan.buffers[at];
        let grad = |n: usize| self.floats.read(Self::images(buffers.grad, &op.grad, n..n + 1));
        // The gradient of the input is the gradient of the output of the operation before.
        let before = op.passes_gradient.then(|| (&self.network.ops[at - 1], &self.plan.buffers[at - 1]));
        let passed = |n: usize| {
            let (op, buffers) = before.expect("only called where the gradient is passed on");
            self.floats.write(Self::images(buffers.grad, &op.grad, n..n + 1))
        };
        match &op.kind {
            Kind::Linear { layout, pairs, weight, bias } => {
                if let Some(lit) = self.lit(at) {
                    return self.linear_backward_lit(worker, scratch, data, lit, op, *layout, weight, bias, batch);
                }
                self.linear_backward(worker, scratch, at, op, *layout, *pairs, weight, bias, batch);
            }
            Kind::LinearFew { layout, weight, bias } => {
                self.linear_backward_few(worker, scratch, data, at, op, *layout, weight, bias, batch);
            }
            Kind::Conv { conv, back, weight, bias } => {
                let spread_planes = conv.direct.grad_output();
                let Layout::Planes(grad_planes) = op.grad else { unreachable!("convolutions give planes") };
                let spread = |n: usize, out: &mut [f32]| copy_pixels(&grad_planes, &grad(n), &spread_planes, out);
                if let (Some(fourier), Some(back)) = (conv.fourier(back.as_ref()), back) {
                    let what = Backward { conv, back, fourier, weight, bias, buffers, batch };
                    self.fourier_backward(worker, scratch, &what, spread, passed);
                    self.slopes_before(worker, at, op, rows);
                    return;
                }
                if let Some(back) = back {
                    self.pass_through(worker, scratch, at, conv, back, weight, rows, spread, passed);
                }
                self.learn_kernels(worker, scratch, at, op, &conv.direct, weight, bias, batch);
            }
            Kind::ConvPool { shape, conv, back, weight, bias } => {
                let spread = |n: usize, out: &mut [f32]| {
                    let start = buffers.argmax + n * shape.argmax_len();
                    unpool(self.isa, shape, &grad(n), &self.bytes.read(start..start + shape.argmax_len()), out);
                };
                if let (Some(fourier), Some(back)) = (conv.fourier(back.as_ref()), back) {
                    let what = Backward { conv, back, fourier, weight, bias, buffers, batch };
                    self.fourier_backward(worker, scratch, &what, spread, passed);
                    self.slopes_before(worker, at, op, rows);
                    return;
                }
                self.conv_pool_backward(worker, scratch, at, op, shape, batch);
                match back {
                    Some(back) => self.pass_through(worker, scratch, at, conv, back, weight, rows, spread, passed),
                    None => worker.meet(),
                }
                let out_channels = shape.conv().output().channels();
                let narrow = shape.is_small_in();
                let weights = if narrow {
                    shape.small_in_units() * shape.small_in_unit_len()
                } else {
                    out_channels * shape.channel_len()
                };
                let gradients = self.floats.read(buffers.channels..buffers.channels + weights + out_channels);
                let (gradients, bias_gradients) = gradients.split_at(weights);
                for run in worker.share(shape.conv().run_count()) {
                    let part = shape.conv().run_len() * shape.conv().weight().padded_n();
                    let part = &mut scratch.values.as_mut_slice()[..part];
                    if narrow {
                        gather_small_in(shape, run, gradients, part);
                    } else {
                        gather_run(shape, run, gradients, part);
                    }
                    self.learn_run(batch, conv, run, weight.start, part);
                }
                if worker.is_last() {
                    self.learn(batch, bias.start, bias_gradients);
                }
            }
            Kind::MaxPool(pool) => {
                let (Layout::Planes(from), Layout::Planes(to)) = (op.grad, before.expect("passes on").0.grad) else {
                    unreachable!("pooling is between planes")
                };
                for n in worker.share(rows) {
                    let start = buffers.argmax + n * pool.argmax_len();
                    let argmax = self.bytes.read(start..start + pool.argmax_len());
                    maxpool2d_backward(pool, &from, &grad(n), &argmax, &to, &mut passed(n));
                }
            }
            Kind::AvgPool(pool) => {
                let (Layout::Planes(from), Layout::Planes(to)) = (op.grad, before.expect("passes on").0.grad) else {
                    unreachable!("pooling is between planes")
                };
                for n in worker.share(rows) {
                    avgpool2d_backward(pool, &from, &grad(n), &to, &mut passed(n));
                }
            }
            Kind::Activation => {
                for n in worker.share(rows) {
                    passed(n).copy_from_slice(&grad(n));
                }
            }
            Kind::Dropout { .. } => {
                for n in worker.share(rows) {
                    let mut out = passed(n);
                    out.copy_from_slice(&grad(n));
                    self.apply_dropout(batch, op, &op.grad, n, &mut out);
                }
            }
        }
        if !op.learns() {
            self.slopes_before(worker, at, op, rows);
        }
    }

    /// The slope of the activation before, for operations that pass their gradient on by images.
    fn slopes_before(&self, worker: &Worker, at: usize, op: &Op, rows: usize) {
        if !op.passes_gradient || self.network.ops[at - 1].activation.is_none() {
            return;
        }
        let (grad, start) = (&self.network.ops[at - 1].grad, self.plan.buffers[at - 1].grad);
        for n in worker.share(rows) {
            self.slope_before(at, n, &mut self.floats.write(Self::images(start, grad, n..n + 1)));
        }
    }

    /// The same for the gradient `grad` of image `n` alone.
    pub(crate) fn slope_before(&self, at: usize, n: usize, grad: &mut [f32]) {
        let (previous, buffers) = (&self.network.ops[at - 1], &self.plan.buffers[at - 1]);
        let Some(activation) = previous.activation else { return };
        let y = self.floats.read(Self::images(buffers.output, &previous.output, n..n + 1));
        slope(self.isa, activation, &previous.output, &y, &previous.grad, grad);
    }

    #[expect(clippy::too_many_arguments, reason = "one arm of backward_op")]
    fn linear_backward(
        &self,
        worker: &Worker,
        scratch: &mut Scratch,
        op_at: usize,
        op: &Op,
        layout: LinearWeight,
        pairs: bool,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let rows = batch.indices.len();
        if pairs {
            self.round_for_backward(worker, op_at, op, layout, rows);
            worker.meet();
        }
        let rounded = &self.plan.buffers[op_at].pairs;
        let row_pairs = rows.div_ceil(2);
        // The gradient of a block first, then room to round its weights.
        let (part, room) = scratch.values.as_mut_slice().split_at_mut(layout.range(0).len());
        let stride = op.grad.image_len();
        let grad = self.floats.read(Self::images(self.plan.buffers[op_at].grad, &op.grad, 0..rows));
        let x = self.floats.read(Self::images(self.input_start(op_at), &op.input, 0..rows));
        let x_stride = op.input.image_len();
        let share = worker.share(layout.blocks());
        // To and fro from step to step: what was used last is still in the cache.
        let turned = batch.step.is_some_and(|step| step % 2 == 1);
        let number = |at: usize| if turned { share.end - 1 - at } else { share.start + at };
        for at in 0..share.len() {
            let block = number(at);
            let range = layout.range(block);
            let in_params = weight.start + range.start..weight.start + range.end;
            let mut starts = [std::ptr::null(); 3];
            let mut ahead = Prefetch::nothing();
            if at + 1 < share.len() {
                let next = layout.range(number(at + 1));
                let starts = self.learned_at(weight.start + next.start, &mut starts);
                ahead = Prefetch::over(starts, next.len(), backward_calls(layout, rows, op.passes_gradient));
            }
            if op.passes_gradient {
                let (previous, buffers) = (&self.network.ops[op_at - 1], &self.plan.buffers[op_at - 1]);
                let inputs = layout.inputs(block);
                let mut out = self.floats.write_columns(buffers.grad, rows, previous.grad.image_len(), inputs.clone());
                let weight = self.params.read(in_params.clone());
                let mut out = out.columns();
                if pairs {
                    let Pairs { grad, grad_stride: stride, .. } = *rounded;
                    let grad = self.floats.read(grad..grad + rows * stride);
                    linear_backward_input_pairs(
                        self.isa, layout, block, &grad, stride, rows, &weight, &mut out, room, &mut ahead,
                    );
                } else {
                    linear_backward_input(self.isa, layout, block, &grad, stride, rows, &weight, &mut out, &mut ahead);
                }
                if let Some(activation) = previous.activation {
                    for n in 0..rows {
                        let y = &x[n * x_stride..][inputs.clone()];
                        activation_backward(self.isa, activation, y, out.row_mut(n));
                    }
                }
            }
            let part = &mut part[..range.len()];
            if pairs {
                let Pairs { x_rows, x_rows_stride, grad_rows, grad_rows_stride, .. } = *rounded;
                let x = self.floats.read(x_rows..x_rows + row_pairs * x_rows_stride);
                let grad = self.floats.read(grad_rows..grad_rows + row_pairs * grad_rows_stride);
                linear_backward_weight_pairs(
                    self.isa,
                    layout,
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
                linear_backward_weight(self.isa, layout, block, &x, x_stride, &grad, stride, rows, part, &mut ahead);
            }
            self.learn(batch, in_params.start, part);
        }
        self.learn_bias(worker, &mut scratch.values, batch, &grad, stride, bias);
    }

    /// The gradient of a linear layer's bias, which sums the rows of `grad`, and what becomes of it: the last thread's.
    pub(crate) fn learn_bias(
        &self,
        worker: &Worker,
        scratch: &mut Aligned,
        batch: &Batch,
        grad: &[f32],
        stride: usize,
        bias: &Range<usize>,
    ) {
        if worker.is_last() {
            let sums = &mut scratch.as_mut_slice()[..bias.len()];
            column_sums(self.isa, grad, stride, batch.indices.len(), sums);
            self.learn(batch, bias.start, sums);
        }
    }

    /// This thread's images of a linear layer's input rounded to bf16, for the sums over inputs.
    fn round_input(&self, worker: &Worker, from: usize, op: &Op, layout: LinearWeight, rows: usize, buffers: &Buffers) {
        let Pairs { x: to, x_stride, .. } = buffers.pairs;
        let share = worker.share(rows);
        let x = self.floats.read(Self::images(from, &op.input, share.clone()));
        let mut out = self.floats.write(to + share.start * x_stride..to + share.end * x_stride);
        let stride = op.input.image_len();
        pack_neighbours(self.isa, &x, stride, share.len(), layout.in_features, &mut out, x_stride);
    }

    /// This thread's share of a linear layer's input and output gradient rounded to bf16, for the sums of the way back.
    fn round_for_backward(&self, worker: &Worker, at: usize, op: &Op, layout: LinearWeight, rows: usize) {
        let buffers = &self.plan.buffers[at];
        let pairs = &buffers.pairs;
        // In pairs of rows: both of a pair are one thread's.
        let share = worker.share(rows.div_ceil(2));
        let images = 2 * share.start..rows.min(2 * share.end);
        let part = |start: usize, rows: &Range<usize>, stride: usize| {
            self.floats.write(start + rows.start * stride..start + rows.end * stride)
        };
        let stride = op.grad.image_len();
        let grad = self.floats.read(Self::images(buffers.grad, &op.grad, images.clone()));
        let mut out = part(pairs.grad, &images, pairs.grad_stride);
        let columns = layout.padded_outputs();
        pack_neighbours(self.isa, &grad, stride, images.len(), columns, &mut out, pairs.grad_stride);
        let mut out = part(pairs.grad_rows, &share, pairs.grad_rows_stride);
        pack_rows(self.isa, &grad, stride, images.len(), columns, &mut out, pairs.grad_rows_stride);
        let stride = op.input.image_len();
        let x = self.floats.read(Self::images(self.input_start(at), &op.input, images.clone()));
        let mut out = part(pairs.x_rows, &share, pairs.x_rows_stride);
        let columns = stride / LANES * LANES;
        pack_rows(self.isa, &x, stride, images.len(), columns, &mut out, pairs.x_rows_stride);
    }

    /// Where the parameter `index` and what the optimizer keeps of it lie.
    pub(crate) fn learned_at<'s>(&self, index: usize, places: &'s mut [*const f32; 3]) -> &'s [*const f32] {
        places[0] = self.params.address(index);
        let Learn::Update { first, second } = &self.learn else { return &places[..1] };
        (places[1], places[2]) = (first.address(index), second.address(index));
        places
    }

    /// Does with the gradient of the parameters from `start` on what is to be done with it.
    pub(crate) fn learn(&self, batch: &Batch, start: usize, grad: &[f32]) {
        let range = start..start + grad.len();
        match (&self.learn, &batch.update) {
            (Learn::Update { first, second }, Some(update)) => {
                let (mut first, mut second) = (first.write(range.clone()), second.write(range.clone()));
                update.apply(self.isa, grad, &mut self.params.write(range), &mut first, &mut second);
            }
            (Learn::Store(gradients), _) => gradients.write(range).copy_from_slice(grad),
            _ => unreachable!("a gradient is computed only where something learns from it"),
        }
    }
}

/// The random numbers of one image in one dropout layer, taken in the order of its elements.
struct Mask {
    rng: Rng,
    scale: f32,
    threshold: u64,
    next: u64,
}

impl Mask {
    /// Drops or scales the next `values.len()` elements. Each 64-bit number decides about two of them.
    fn apply(&mut self, values: &mut [f32]) {
        for values in values.chunks_mut(2) {
            let bits = self.rng.u64_at(self.next);
            self.next += 1;
            for (value, half) in values.iter_mut().zip([bits >> 32, bits & 0xFFFF_FFFF]) {
                // A select, not a product: a dropped infinity is zero, not NaN.
                *value = if half < self.threshold { 0.0 } else { *value * self.scale };
            }
        }
    }
}

/// Index of the largest value, the first of equals; NaN is never the largest.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate() {
        if v > values[best] || values[best].is_nan() {
            best = i;
        }
    }
    best
}

/// Applies an activation to the pixels of real channels; everything else stays zero.
fn activate(isa: Isa, activation: Activation, layout: &Layout, values: &mut [f32]) {
    match layout {
        // Where zero stays zero, padding may be treated like the rest.
        _ if activation != Activation::Sigmoid => activation_forward(isa, activation, values),
        Layout::Row { features, .. } => activation_forward(isa, activation, &mut values[..*features]),
        Layout::Planes(planes) => {
            each_pixel(planes, |at, lanes| activation_forward(isa, activation, &mut values[at..at + lanes]));
        }
    }
}

/// Multiplies `grad` by the slope of the activation that gave `y`; `grad_layout` is `layout` without border.
fn slope(isa: Isa, activation: Activation, layout: &Layout, y: &[f32], grad_layout: &Layout, grad: &mut [f32]) {
    match (layout, grad_layout) {
        (Layout::Planes(from), Layout::Planes(to)) if from != to => {
            let row = to.width() * to.pixel();
            for (block, line) in (0..to.blocks()).flat_map(|b| (0..to.height()).map(move |y| (b, y))) {
                let (a, b) = (from.offset(block, line, 0), to.offset(block, line, 0));
                activation_backward(isa, activation, &y[a..a + row], &mut grad[b..b + row]);
            }
        }
        _ => activation_backward(isa, activation, y, grad),
    }
}

/// Calls `f` with the place of each pixel and how many real channels it has there.
fn each_pixel(planes: &Planes, mut f: impl FnMut(usize, usize)) {
    for block in 0..planes.blocks() {
        let lanes = planes.lanes().min(planes.channels() - block * planes.lanes());
        for y in 0..planes.height() {
            for x in 0..planes.width() {
                f(planes.offset(block, y, x), lanes);
            }
        }
    }
}

/// Overwrites `target` with the pixels of `source`, in another layout of the same size, and zeros around them.
fn copy_pixels(from: &Planes, source: &[f32], to: &Planes, target: &mut [f32]) {
    assert_eq!((from.pixel(), to.pixel()), (LANES, LANES), "pixels of a row follow each other");
    target.fill(0.0);
    for block in 0..to.blocks() {
        for y in 0..to.height() {
            let (a, b) = (from.offset(block, y, 0), to.offset(block, y, 0));
            target[b..b + to.width() * LANES].copy_from_slice(&source[a..a + to.width() * LANES]);
        }
    }
}
