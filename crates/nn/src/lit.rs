//! A linear layer over pixels, most of which are zero: the first one of a network without convolutions.
//!
//! Where there are panels of weights for every thread, a thread has its own, forward and backward, and no weight of this
//! large layer ever goes from one processor's cache to another's. Otherwise threads share the images forward and the
//! blocks of inputs backward.

use crate::data::Dataset;
use crate::network::Op;
use crate::plan::{LitBuffers, Scratch};
use crate::step::{Batch, Learn, Split, Step};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::arena::{Columns, WriteColumns};
use tenfold_kernels::linear::dense::LinearWeight;
use tenfold_kernels::linear::nonzero::{
    NonzeroPixels, backward_nonzero_calls, linear_backward_weight_nonzero, linear_forward_nonzero, mask_by_image,
    mask_by_input, mask_len,
};
use tenfold_kernels::pixels::Images;
use tenfold_kernels::{LANES, Prefetch};

impl Step<'_> {
    /// Where the bits of operation `at`'s pixels are, if it is a linear layer over pixels that may be zero.
    pub(crate) fn lit(&self, at: usize) -> Option<LitBuffers> {
        self.plan.lit.filter(|_| at == 0 && self.pixels.zero_is_nothing())
    }

    /// The bits of images `images`, image by image.
    pub(crate) fn lit_by_image(lit: LitBuffers, images: Range<usize>) -> Range<usize> {
        let len = mask_len(lit.pixels);
        lit.by_image + images.start * len..lit.by_image + images.end * len
    }

    /// Images of a batch for kernels that leave out zeros.
    pub(crate) fn images_of<'s>(&'s self, data: &'s Dataset, indices: &'s [u32]) -> Images<'s> {
        Images { pixels: data.pixels(), inputs: data.shape().len(), indices, table: self.pixels }
    }

    /// Which pixels of this thread's images are not zero.
    pub(crate) fn load_lit(&self, worker: &Worker, data: &Dataset, batch: &Batch, lit: LitBuffers) {
        let share = worker.share(batch.indices.len());
        let mut bits = self.bytes.write(Self::lit_by_image(lit, share.clone()));
        for (&index, bits) in batch.indices[share].iter().zip(bits.chunks_exact_mut(mask_len(lit.pixels))) {
            mask_by_image(self.isa, data.image(index as usize), bits);
        }
    }

    /// Output columns `vectors` of images `images`.
    #[expect(clippy::too_many_arguments, reason = "two operands and what to compute of the third")]
    pub(crate) fn linear_forward_nonzero(
        &self,
        data: &Dataset,
        batch: &Batch,
        lit: LitBuffers,
        layout: LinearWeight,
        (weight, bias): (&[f32], &[f32]),
        images: Range<usize>,
        vectors: Range<usize>,
        y: &mut Columns<'_, f32>,
    ) {
        let bits = self.bytes.read(Self::lit_by_image(lit, images.clone()));
        let of_batch = NonzeroPixels { images: self.images_of(data, &batch.indices[images]), lit: &bits };
        linear_forward_nonzero(self.isa, layout, vectors, of_batch, weight, bias, y);
    }

    /// Turns this thread's share of the bits around, for all threads to use after their next meeting.
    pub(crate) fn turn_lit(&self, worker: &Worker, lit: LitBuffers, rows: usize) {
        let words = worker.share(mask_len(lit.pixels) / 8);
        let each = 64 * mask_len(rows);
        let by_image = self.bytes.read(Self::lit_by_image(lit, 0..rows));
        let mut turned = self.bytes.write(lit.by_input + words.start * each..lit.by_input + words.end * each);
        mask_by_input(self.isa, &by_image, lit.pixels, rows, words, &mut turned);
    }

    /// Gradient and update of this thread's part of the weights.
    #[expect(clippy::too_many_arguments, reason = "one arm of backward_op")]
    pub(crate) fn linear_backward_lit(
        &self,
        worker: &Worker,
        scratch: &mut Scratch,
        data: &Dataset,
        lit: LitBuffers,
        op: &Op,
        layout: LinearWeight,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let rows = batch.indices.len();
        let (blocks, panels) = (layout.blocks(), layout.panels(0).count());
        // Panel by panel; the share of a thread is a run of blocks of each of its panels.
        let units = worker.share(blocks * panels);
        let Scratch { values, lit: own, .. } = scratch;
        let shared;
        let turned: &[u8] = if self.split(worker, op) == Split::Columns {
            shared = self.bytes.read(lit.by_input..lit.by_input + 8 * mask_len(lit.pixels) * mask_len(rows));
            &shared
        } else {
            let by_image = self.bytes.read(Self::lit_by_image(lit, 0..rows));
            for panel in 0..panels {
                let of_panel = part(&units, panel, blocks);
                if let Some(last) = of_panel.clone().last() {
                    let (first, end) = (layout.inputs(of_panel.start).start, layout.inputs(last).end);
                    let (words, each) = (first / 64..end.div_ceil(64), 64 * mask_len(rows));
                    let turned = &mut own[words.start * each..words.end * each];
                    mask_by_input(self.isa, &by_image, lit.pixels, rows, words, turned);
                }
            }
            &own[..8 * mask_len(lit.pixels) * mask_len(rows)]
        };
        let grad = self.floats.read(Self::images(self.plan.buffers[0].grad, &op.grad, 0..rows));
        let stride = op.grad.image_len();
        let of_batch = NonzeroPixels { images: self.images_of(data, batch.indices), lit: turned };
        // To and fro from step to step: what was used last is still in the cache.
        let turned = batch.step.is_some_and(|step| step % 2 == 1);
        for at in 0..panels {
            let panel = if turned { panels - 1 - at } else { at };
            let of_panel = part(&units, panel, blocks);
            let Some(last) = of_panel.clone().last() else { continue };
            // All blocks but perhaps the last are equally long, so the panel is a column of a matrix of blocks.
            let start = weight.start + layout.range(of_panel.start).start;
            let of_block = |block: usize| {
                let panels = layout.panels(block);
                panels.rows(panel, 0..panels.k)
            };
            let long =
                if layout.range(last).len() < layout.range(0).len() { of_panel.len() - 1 } else { of_panel.len() };
            let places =
                |start: usize, blocks: usize, columns: Range<usize>| (start, blocks, layout.range(0).len(), columns);
            let mut run = |from: usize, blocks: Range<usize>| {
                let first = blocks.start;
                let mut learned = self.learned(places(from, blocks.len(), of_block(first)));
                for at in 0..blocks.len() {
                    let row = if turned { blocks.len() - 1 - at } else { at };
                    let next = if turned { row.checked_sub(1) } else { Some(row + 1).filter(|&n| n < blocks.len()) };
                    let mut starts = [std::ptr::null(); 3];
                    let mut ahead = Prefetch::nothing();
                    let part = &mut values.as_mut_slice()[..of_block(first).len()];
                    if let Some(next) = next {
                        let next = from + next * layout.range(0).len() + of_block(first).start;
                        let starts = self.learned_at(next, &mut starts);
                        ahead = Prefetch::over(starts, part.len(), backward_nonzero_calls(layout));
                    }
                    linear_backward_weight_nonzero(
                        self.isa,
                        layout,
                        first + row,
                        panel,
                        of_batch,
                        &grad,
                        stride,
                        part,
                        &mut ahead,
                    );
                    self.learn_row(batch, &mut learned, row, part);
                }
            };
            if long > 0 {
                run(start, of_panel.start..of_panel.start + long);
            }
            if long < of_panel.len() {
                run(weight.start + layout.range(last).start, last..last + 1);
            }
        }
        self.learn_bias(worker, values, batch, &grad, stride, bias);
    }

    /// The columns `columns` of the matrix of parameters that begins at `start`, to be learned.
    fn learned(&self, (start, rows, stride, columns): (usize, usize, usize, Range<usize>)) -> Learned<'_> {
        match &self.learn {
            Learn::Update { first, second } => Learned::Update(
                [&self.params, first, second].map(|arena| arena.write_columns(start, rows, stride, columns.clone())),
            ),
            Learn::Store(gradients) => Learned::Store(gradients.write_columns(start, rows, stride, columns)),
            Learn::Nothing => unreachable!("a gradient is computed only where something learns from it"),
        }
    }

    /// Does with the gradient of one row of `learned` what is to be done with it.
    fn learn_row(&self, batch: &Batch, learned: &mut Learned, row: usize, grad: &[f32]) {
        match (learned, &batch.update) {
            (Learned::Update([params, first, second]), Some(update)) => {
                let (mut params, mut first, mut second) = (params.columns(), first.columns(), second.columns());
                update.apply(self.isa, grad, params.row_mut(row), first.row_mut(row), second.row_mut(row));
            }
            (Learned::Store(gradients), _) => gradients.columns().row_mut(row).copy_from_slice(grad),
            (Learned::Update(_), None) => unreachable!("what learns has an update"),
        }
    }
}

/// A part of the parameters, with what the optimizer keeps of it, or of the stored gradients.
enum Learned<'a> {
    Update([WriteColumns<'a, f32>; 3]),
    Store(WriteColumns<'a, f32>),
}

/// The blocks of panel `panel` among `units`.
fn part(units: &Range<usize>, panel: usize, blocks: usize) -> Range<usize> {
    let (start, end) = (panel * blocks, (panel + 1) * blocks);
    let clamped = units.start.clamp(start, end)..units.end.clamp(start, end);
    clamped.start - start..clamped.end - start
}

/// The vectors of the panels of this thread's share.
pub(crate) fn vectors_of_panels(worker: &Worker, layout: LinearWeight) -> Range<usize> {
    let panels = layout.panels(0);
    let share = worker.share(panels.count());
    let first = |p: usize| if p < panels.count() { panels.columns(p).start } else { panels.padded_n() };
    first(share.start) / LANES..first(share.end) / LANES
}
