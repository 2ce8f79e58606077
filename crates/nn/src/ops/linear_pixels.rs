//! A linear layer straight over pixels, most of which are zero and left out: the first one of a network without
//! convolutions.
//!
//! Where there are panels of weights for every thread, a thread has its own, forward and backward, and no weight of
//! this large layer ever goes from one processor's cache to another's. Otherwise threads share the images forward and
//! the blocks of inputs backward.

use super::linear::{learn_bias, split, to_and_fro};
use super::{Operation, Run, Split, weight_and_bias};
use crate::batch::Batch;
use crate::graph::{Array, Params};
use crate::layout::Layout;
use crate::plan::{Room, Scratch, Wiring};
use crate::step::{Learn, Step};
use crate::workers::{Team, Worker};
use std::ops::Range;
use tenfold_kernels::arena::WriteColumns;
use tenfold_kernels::linear::dense::LinearWeight;
use tenfold_kernels::linear::nonzero::{
    NonzeroPixels, backward_nonzero_calls, linear_backward_weight_nonzero, linear_forward_nonzero, mask_by_image,
    mask_by_input, mask_len,
};
use tenfold_kernels::memory::fetch;
use tenfold_kernels::pixels::pixel_values;
use tenfold_kernels::{LANES, Prefetch};

#[derive(Clone, Debug)]
pub(crate) struct LinearPixels {
    layout: LinearWeight,
    weight: Array,
    bias: Array,
    /// The values of the pixels of the batch, in rows.
    values: usize,
    /// A bit for every pixel of the batch that is not zero: image by image, and while training pixel by pixel, in
    /// bytes.
    by_image: usize,
    by_input: usize,
}

impl LinearPixels {
    pub(crate) fn new(in_features: usize, out_features: usize, has_bias: bool, params: &mut Params) -> LinearPixels {
        let layout = LinearWeight { in_features, out_features };
        let weight = params.array("weight", layout.len());
        let bias = params.bias(layout.padded_outputs(), has_bias);
        LinearPixels { layout, weight, bias, values: 0, by_image: 0, by_input: 0 }
    }

    /// From the values of one image to the next's.
    fn stride(&self) -> usize {
        Layout::row(self.layout.in_features).image_len()
    }

    /// The values of images `images`.
    fn values_of(&self, images: Range<usize>) -> Range<usize> {
        self.values + images.start * self.stride()..self.values + images.end * self.stride()
    }

    /// The bits of images `images`, image by image.
    fn mask_of(&self, images: Range<usize>) -> Range<usize> {
        let len = mask_len(self.layout.in_features);
        self.by_image + images.start * len..self.by_image + images.end * len
    }

    /// Bytes of the bits of `images` images, pixel by pixel.
    fn turned_len(&self, images: usize) -> usize {
        8 * mask_len(self.layout.in_features) * mask_len(images)
    }

    /// The values of the pixels of this thread's images, and which of them are not zero.
    fn look_up(&self, run: &Run) {
        let (step, share) = (run.step, run.share());
        assert!(step.pixels.zero_is_nothing(), "a pixel that is zero is worth nothing");
        let mut values = step.floats.write(self.values_of(share.clone()));
        let mut bits = step.bytes.write(self.mask_of(share.clone()));
        let rows = values.chunks_exact_mut(self.stride()).zip(bits.chunks_exact_mut(mask_len(self.layout.in_features)));
        for (n, (values, bits)) in share.zip(rows) {
            let image = run.batch.examples.image(n);
            pixel_values(step.isa, step.pixels, 0, image, &mut values[..image.len()]);
            mask_by_image(step.isa, image, bits);
        }
    }

    /// Turns this thread's share of the bits around, for all threads to use after their next meeting.
    fn turn(&self, run: &Run) {
        let (pixels, rows) = (self.layout.in_features, run.images());
        let words = run.worker.share(mask_len(pixels) / 8);
        let each = 64 * mask_len(rows);
        let by_image = run.step.bytes.read(self.mask_of(0..rows));
        let mut turned = run.step.bytes.write(self.by_input + words.start * each..self.by_input + words.end * each);
        mask_by_input(run.step.isa, &by_image, pixels, rows, words, &mut turned);
    }

    /// Turns the bits of what this thread learns from, for itself.
    fn turn_own(&self, run: &Run, units: &Range<usize>, own: &mut [u8]) {
        let (layout, rows) = (self.layout, run.images());
        let by_image = run.step.bytes.read(self.mask_of(0..rows));
        for panel in 0..layout.panels(0).count() {
            let of_panel = part(units, panel, layout.blocks());
            if let Some(last) = of_panel.clone().last() {
                let (first, end) = (layout.inputs(of_panel.start).start, layout.inputs(last).end);
                let (words, each) = (first / 64..end.div_ceil(64), 64 * mask_len(rows));
                let turned = &mut own[words.start * each..words.end * each];
                mask_by_input(run.step.isa, &by_image, layout.in_features, rows, words, turned);
            }
        }
    }

    /// Output columns `vectors` of images `images`.
    fn sum(&self, run: &Run, images: Range<usize>, vectors: Range<usize>) {
        if images.is_empty() || vectors.is_empty() {
            return;
        }
        let (step, layout, rows) = (run.step, self.layout, images.len());
        let first = images.start;
        let (weight, bias) = (step.params.read(self.weight.place.clone()), step.params.read(self.bias.place.clone()));
        let columns = vectors.start * LANES..vectors.end * LANES;
        let stride = run.layout(run.node.output).image_len();
        let start = step.plan.value(run.node.output, images.clone()).start;
        let mut y = step.floats.write_columns(start, rows, stride, columns.clone());
        let mut y = y.columns();
        let (values, bits) = (step.floats.read(self.values_of(images.clone())), step.bytes.read(self.mask_of(images)));
        let of_batch = NonzeroPixels { images: rows, values: &values, stride: self.stride(), mask: &bits };
        linear_forward_nonzero(step.isa, layout, vectors, of_batch, &weight, &bias, &mut y);
        let real = columns.len().min(layout.out_features.saturating_sub(columns.start));
        (0..rows).for_each(|n| run.finish_part(first + n, columns.start, &mut y.row_mut(n)[..real]));
    }

    /// Gradient and update of panel `panel` of blocks `blocks`, which are equally long.
    fn learn_blocks(
        &self,
        run: &Run,
        panel: usize,
        blocks: Range<usize>,
        of_batch: NonzeroPixels,
        grad: &[f32],
        values: &mut [f32],
    ) {
        let (step, layout) = (run.step, self.layout);
        let stride = run.grad_layout(run.node.output).image_len();
        // Equally long, so that the panel is a column of a matrix of blocks.
        let (start, each) = (self.weight.place.start + layout.range(blocks.start).start, layout.range(0).len());
        let columns = {
            let panels = layout.panels(blocks.start);
            panels.rows(panel, 0..panels.k)
        };
        let part = &mut values[..columns.len()];
        let mut learned = learned(step, start, blocks.len(), each, columns.clone());
        for (row, next) in to_and_fro(run, 0..blocks.len()) {
            let mut starts = [std::ptr::null(); 3];
            let mut ahead = Prefetch::nothing();
            if let Some(next) = next {
                let starts = step.learned_at(start + next * each + columns.start, &mut starts);
                ahead = Prefetch::over(starts, part.len(), backward_nonzero_calls(layout));
            }
            let block = blocks.start + row;
            linear_backward_weight_nonzero(step.isa, layout, block, panel, of_batch, grad, stride, part, &mut ahead);
            learn_row(step, run.batch, &mut learned, row, part);
        }
    }
}

impl Operation for LinearPixels {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        self.layout.index(j % shape[1], j / shape[1])
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        // A block's gradient.
        room.values(self.layout.range(0).len());
        self.values = room.floats(room.batch_size * self.stride());
        self.by_image = room.bytes(room.batch_size * mask_len(self.layout.in_features));
        let turned = if wiring.learns { self.turned_len(room.batch_size) } else { 0 };
        self.by_input = room.bytes(turned);
        room.mask(turned);
    }

    fn split(&self, team: Team, training: bool) -> Split {
        split(self.layout, team, training, false)
    }

    fn reads_pixels(&self) -> bool {
        true
    }

    fn fetch(&self, run: &Run) {
        for n in 0..run.batch.next.len() {
            fetch(run.batch.next.image(n));
        }
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        self.look_up(run);
        let all = self.layout.padded_outputs() / LANES;
        if run.step.split(run.worker, run.node) == Split::Images {
            self.sum(run, run.share(), 0..all);
            return;
        }
        run.worker.barrier();
        if run.step.plan.training {
            self.turn(run);
        }
        self.sum(run, 0..run.images(), vectors_of_panels(run.worker, self.layout));
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (layout, rows) = (self.layout, run.images());
        let (blocks, panels) = (layout.blocks(), layout.panels(0).count());
        // Panel by panel; the share of a thread is a run of blocks of each of its panels.
        let units = run.worker.share(blocks * panels);
        let Scratch { values, mask: own, .. } = scratch;
        let (values, shared) = (values.as_mut_slice(), run.step.split(run.worker, run.node) == Split::Columns);
        let bits = shared.then(|| run.step.bytes.read(self.by_input..self.by_input + self.turned_len(rows)));
        let bits: &[u8] = match &bits {
            Some(bits) => bits,
            None => {
                self.turn_own(run, &units, own);
                &own[..self.turned_len(rows)]
            }
        };
        let grad = run.grad(0..rows);
        let pixels = run.step.floats.read(self.values_of(0..rows));
        let of_batch = NonzeroPixels { images: rows, values: &pixels, stride: self.stride(), mask: bits };
        for (panel, _) in to_and_fro(run, 0..panels) {
            let of_panel = part(&units, panel, blocks);
            let Some(last) = of_panel.clone().last() else { continue };
            // The last block may be shorter than the others.
            let short = layout.range(last).len() < layout.range(0).len();
            let long = of_panel.start..of_panel.end - usize::from(short);
            if !long.is_empty() {
                self.learn_blocks(run, panel, long, of_batch, &grad, values);
            }
            if short {
                self.learn_blocks(run, panel, last..last + 1, of_batch, &grad, values);
            }
        }
        learn_bias(run, values, &grad, &self.bias);
    }
}

/// A part of the parameters, with what the optimizer keeps of it, or of the stored gradients.
enum Learned<'a> {
    Update([WriteColumns<'a, f32>; 3]),
    Store(WriteColumns<'a, f32>),
}

/// The columns `columns` of the matrix of parameters that begins at `start`, to be learned.
fn learned<'s>(step: &'s Step, start: usize, rows: usize, stride: usize, columns: Range<usize>) -> Learned<'s> {
    match &step.learn {
        Learn::Update { moment1, moment2 } => Learned::Update(
            [&step.params, moment1, moment2].map(|arena| arena.write_columns(start, rows, stride, columns.clone())),
        ),
        Learn::Store(gradients) => Learned::Store(gradients.write_columns(start, rows, stride, columns)),
        Learn::Nothing => unreachable!("a gradient is computed only where something learns from it"),
    }
}

/// Does with the gradient of one row of `learned` what is to be done with it.
fn learn_row(step: &Step, batch: &Batch, learned: &mut Learned, row: usize, grad: &[f32]) {
    match (learned, &batch.update) {
        (Learned::Update([params, moment1, moment2]), Some(update)) => {
            let (mut params, mut moment1, mut moment2) = (params.columns(), moment1.columns(), moment2.columns());
            update.apply(step.isa, grad, params.row_mut(row), moment1.row_mut(row), moment2.row_mut(row));
        }
        (Learned::Store(gradients), _) => gradients.columns().row_mut(row).copy_from_slice(grad),
        (Learned::Update(_), None) => unreachable!("what learns has an update"),
    }
}

/// The blocks of panel `panel` among `units`.
fn part(units: &Range<usize>, panel: usize, blocks: usize) -> Range<usize> {
    let (start, end) = (panel * blocks, (panel + 1) * blocks);
    let clamped = units.start.clamp(start, end)..units.end.clamp(start, end);
    clamped.start - start..clamped.end - start
}

/// The vectors of the panels of this thread's share.
fn vectors_of_panels(worker: &Worker, layout: LinearWeight) -> Range<usize> {
    let panels = layout.panels(0);
    let share = worker.share(panels.count());
    let first = |p: usize| if p < panels.count() { panels.columns(p).start } else { panels.padded_n() };
    first(share.start) / LANES..first(share.end) / LANES
}
