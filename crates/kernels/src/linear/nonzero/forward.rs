//! Forward: for each tile of images, the inputs that are not zero in any of them.

use super::NonzeroPixels;
use super::listed::{Listed, Terms, any_rows, sum_listed};
use super::mask::{mask_len, word};
use crate::arena::Columns;
use crate::linear::dense::{BLOCK, LinearWeight};
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// The most blocks of weights whose pixels are listed at a time.
const MAX_BLOCKS: usize = 56;

/// Pixels that are listed at a time.
const LISTED: usize = MAX_BLOCKS * BLOCK;

/// Blocks of weights whose pixels are listed at a time: with tiles of one vector, which fetch the weights four times as
/// often, few enough for L1.
#[inline(always)]
fn blocks_at_once<L: Lanes>() -> usize {
    if L::TILE.1 == 1 { 4 } else { MAX_BLOCKS }
}

/// Overwrites `y` with the output columns of the vectors `vectors`, like [`crate::linear::dense::linear_forward`].
///
/// # Panics
/// Like that function, and if the images have no values or no bits.
pub fn linear_forward_nonzero(
    isa: Isa,
    layout: LinearWeight,
    vectors: Range<usize>,
    batch: NonzeroPixels,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
) {
    batch.check(layout.in_features);
    let bits = batch.images.saturating_mul(mask_len(layout.in_features));
    assert_eq!(batch.mask.len(), bits, "a bit for every pixel");
    assert_eq!(weight.len(), layout.len(), "weight is {layout:?}");
    assert_eq!(bias.len(), layout.padded_outputs(), "bias has one element per padded output");
    assert!(vectors.end <= bias.len() / LANES, "vectors {vectors:?} of {} columns", bias.len());
    assert_eq!(y.columns(), vectors.len() * LANES, "y holds the columns of the vectors");
    let rows = batch.images;
    assert!(y.rows() >= rows, "y has {} rows, {rows} are needed", y.rows());
    assert!(layout.in_features > 0, "without an input nothing begins with the bias");
    let (out, out_stride) = (y.as_mut_ptr(), y.stride());
    // SAFETY: `out` has the rows and columns that are asked for (asserted), and `y` is borrowed mutably.
    dispatch!(isa, unsafe forward_body(layout: LinearWeight, vectors: Range<usize>, batch: NonzeroPixels, weight: &[f32], bias: &[f32], out: *mut f32, out_stride: usize))
}

/// The largest register tile: many rows where there are few vectors, so that no sum waits for its last product.
#[inline(always)]
fn tile_rows<L: Lanes>(vectors: usize) -> usize {
    if L::TILE.1 > 1 && vectors <= 2 { 8 } else { L::TILE.0 }
}

/// # Safety
/// `out` is valid for a row of the vectors for each image, `out_stride` apart, and nobody else touches them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
unsafe fn forward_body<L: Lanes>(
    simd: L,
    layout: LinearWeight,
    vectors: Range<usize>,
    batch: NonzeroPixels,
    weight: &[f32],
    bias: &[f32],
    out: *mut f32,
    out_stride: usize,
) {
    let max_rows = tile_rows::<L>(vectors.len());
    let (mut list, mut offsets) = (Listed::new(), [0; LISTED]);
    let mut first_block = 0;
    while first_block < layout.blocks() {
        // Full blocks go together; the last, shorter one, by itself: its panels start elsewhere.
        let last_full = layout.in_features / BLOCK;
        let end_block =
            if first_block < last_full { last_full.min(first_block + blocks_at_once::<L>()) } else { first_block + 1 };
        let mut n = 0;
        while n < batch.images {
            let left = batch.images - n;
            let rows = left.div_ceil(left.div_ceil(max_rows));
            let (blocks, vectors) = (first_block..end_block, vectors.clone());
            // SAFETY: `out` has these rows of the vectors (promised).
            unsafe {
                let out = out.add(n * out_stride);
                any_rows!(
                    rows,
                    forward_rows::<L>(
                        simd,
                        layout,
                        blocks,
                        vectors,
                        batch,
                        n,
                        weight,
                        bias,
                        &mut list,
                        &mut offsets,
                        out,
                        out_stride
                    )
                );
            }
            n += rows;
        }
        first_block = end_block;
    }
}

/// Adds to `R` rows of `out`, of the images from `first` on, what the inputs of `blocks` give; the first of these begin
/// with the bias.
///
/// # Safety
/// `out` is valid for `R` rows of the vectors, `out_stride` apart, and nobody else touches them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three operands and parts of them")]
unsafe fn forward_rows<L: Lanes, const R: usize>(
    simd: L,
    layout: LinearWeight,
    blocks: Range<usize>,
    vectors: Range<usize>,
    batch: NonzeroPixels,
    first: usize,
    weight: &[f32],
    bias: &[f32],
    list: &mut Listed<LISTED>,
    offsets: &mut [usize; LISTED],
    out: *mut f32,
    out_stride: usize,
) {
    let (bytes, panels) = (mask_len(layout.in_features), layout.panels(0));
    let k = layout.inputs(blocks.start).len();
    let inputs = layout.inputs(blocks.start).start..layout.inputs(blocks.end - 1).end;
    list.clear();
    for w in inputs.start / 64..inputs.end.div_ceil(64) {
        let mut bits = 0;
        for n in first..first + R {
            bits |= word(&batch.mask[n * bytes..], w);
        }
        if w * 64 < inputs.start {
            bits &= !0 << (inputs.start - w * 64);
        }
        if inputs.end - w * 64 < 64 {
            bits &= !(!0 << (inputs.end - w * 64));
        }
        list.add(bits, w * 64);
    }
    let block = layout.range(0).len();
    let mut width = 0;
    let mut v = vectors.start;
    while v < vectors.end {
        let columns = panels.columns(panels.panel_of(v * LANES));
        let end = (columns.end / LANES).min(vectors.end).min(v + L::TILE.1);
        let start = columns.start * k + (v * LANES - columns.start);
        if columns.len() != width {
            width = columns.len();
            for (offset, &input) in offsets.iter_mut().zip(list.which()) {
                *offset = input as usize / BLOCK * block + input as usize % BLOCK * width;
            }
        }
        // SAFETY: every input of the list is below `in_features`, so the images have a value of it (checked), and so has
        // `weight` (checked) in this panel; `out` has R rows of the vectors.
        unsafe {
            let values = std::array::from_fn(|r| batch.values.as_ptr().add((first + r) * batch.stride));
            let terms = InputsOf::<R> { values, offsets };
            let (b, c) = (weight.as_ptr().add(start), out.add((v - vectors.start) * LANES));
            let begin =
                if blocks.start == 0 { (bias.as_ptr().add(v * LANES), 0) } else { (c.cast_const(), out_stride) };
            sum_listed::<L, R>(simd, end - v, list.which(), terms, b, begin, c, out_stride);
        }
        v = end;
    }
}

/// For every input its row of weights, times the value that each of `R` images has there.
#[derive(Clone, Copy)]
struct InputsOf<'a, const R: usize> {
    values: [*const f32; R],
    /// Where the rows of weights of what is listed are.
    offsets: &'a [usize; LISTED],
}

impl<const R: usize> Terms<R> for InputsOf<'_, R> {
    #[inline(always)]
    unsafe fn offset(&self, e: usize, _: u32) -> usize {
        // SAFETY: the caller lists as many.
        unsafe { *self.offsets.get_unchecked(e) }
    }
    #[inline(always)]
    unsafe fn x(&self, which: u32, r: usize) -> f32 {
        // SAFETY: the caller lists inputs of the images.
        unsafe { *self.values[r].add(which as usize) }
    }
}
