//! Forward: for each tile of images, the inputs that are not zero in any of them.

use super::NonzeroPixels;
use super::listed::{Listed, LookedUp, Terms, any_rows, sum_listed};
use super::mask::{mask_len, word};
use crate::arena::Columns;
use crate::linear::dense::{BLOCK, LinearWeight};
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// Blocks of weights whose pixels are listed at a time.
const BLOCKS_AT_ONCE: usize = 56;

/// Pixels that are listed at a time.
const LISTED: usize = BLOCKS_AT_ONCE * BLOCK;

/// Overwrites `y` with the output columns of the vectors `vectors`, like [`crate::linear::dense::linear_forward`].
///
/// # Panics
/// Like that function; if the images are none of the data or have no bits; and if a pixel that is zero has a value,
/// or channels have values of their own.
pub fn linear_forward_nonzero(
    isa: Isa,
    layout: LinearWeight,
    vectors: Range<usize>,
    batch: NonzeroPixels,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
) {
    batch.images.check(layout.in_features);
    assert!(batch.images.table.zero_is_nothing(), "a pixel that is zero is worth nothing");
    let bits = batch.images.indices.len().saturating_mul(mask_len(layout.in_features));
    assert_eq!(batch.mask.len(), bits, "a bit for every pixel");
    assert_eq!(weight.len(), layout.len(), "weight is {layout:?}");
    assert_eq!(bias.len(), layout.padded_outputs(), "bias has one element per padded output");
    assert!(vectors.end <= bias.len() / LANES, "vectors {vectors:?} of {} columns", bias.len());
    assert_eq!(y.columns(), vectors.len() * LANES, "y holds the columns of the vectors");
    let rows = batch.images.indices.len();
    assert!(y.rows() >= rows, "y has {} rows, {rows} are needed", y.rows());
    for n in 0..rows {
        y.row_mut(n).copy_from_slice(&bias[vectors.start * LANES..vectors.end * LANES]);
    }
    let (out, out_stride) = (y.as_mut_ptr(), y.stride());
    // SAFETY: `out` has the rows and columns that are asked for (asserted), and `y` is borrowed mutably.
    dispatch!(isa, unsafe forward_body(layout: LinearWeight, vectors: Range<usize>, batch: NonzeroPixels, weight: &[f32], out: *mut f32, out_stride: usize))
}

/// The largest register tile: many rows where there are few vectors, so that no sum waits for its last product.
#[inline(always)]
fn tile_rows<L: Lanes>(vectors: usize) -> usize {
    if L::TILE.1 > 1 && vectors <= 2 { 8 } else { L::TILE.0 }
}

/// # Safety
/// `out` is valid for a row of the vectors for each image, `out_stride` apart, and nobody else touches them.
#[inline(always)]
unsafe fn forward_body<L: Lanes>(
    simd: L,
    layout: LinearWeight,
    vectors: Range<usize>,
    batch: NonzeroPixels,
    weight: &[f32],
    out: *mut f32,
    out_stride: usize,
) {
    let max_rows = tile_rows::<L>(vectors.len());
    // To look up takes as many loads as the sums of a tile of one vector: that is done once for all columns.
    let (mut list, mut looked_up) = (Listed::new(), (L::TILE.1 == 1).then(LookedUp::new));
    let mut first_block = 0;
    while first_block < layout.blocks() {
        // Full blocks go together; the last, shorter one, by itself: its panels start elsewhere.
        let last_full = layout.in_features / BLOCK;
        let end_block =
            if first_block < last_full { last_full.min(first_block + BLOCKS_AT_ONCE) } else { first_block + 1 };
        let mut n = 0;
        while n < batch.images.indices.len() {
            let left = batch.images.indices.len() - n;
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
                        &mut list,
                        &mut looked_up,
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

/// Adds to `R` rows of `out`, of the images from `first` on, what the inputs of `blocks` give.
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
    list: &mut Listed<LISTED>,
    looked_up: &mut Option<LookedUp<LISTED>>,
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
    let mut terms = InputsOf {
        images: std::array::from_fn(|r| batch.image(first + r)),
        values: batch.images.table.of_all(),
        width: 0,
        block: layout.range(0).len(),
    };
    let mut v = vectors.start;
    while v < vectors.end {
        let columns = panels.columns(panels.panel_of(v * LANES));
        let end = (columns.end / LANES).min(vectors.end).min(v + L::TILE.1);
        let start = columns.start * k + (v * LANES - columns.start);
        let new_width = columns.len() != terms.width;
        terms.width = columns.len();
        // SAFETY: every input of the list is below `in_features`, so the images (checked) have it, and so has `weight`
        // (checked) in this panel; `out` has R rows of the vectors.
        unsafe {
            let (b, c) = (weight.as_ptr().add(start), out.add((v - vectors.start) * LANES));
            match looked_up {
                None => sum_listed::<L, R>(simd, end - v, list.which(), terms, b, c, out_stride, true),
                Some(looked_up) => {
                    if new_width {
                        looked_up.look_up::<R>(list, terms);
                    }
                    sum_listed::<L, R>(simd, end - v, list.which(), &*looked_up, b, c, out_stride, true);
                }
            }
        }
        v = end;
    }
}

/// For every input its row of weights, times the pixel that each of `R` images has there.
#[derive(Clone, Copy)]
struct InputsOf<'a, const R: usize> {
    images: [*const u8; R],
    values: &'a [f32; 256],
    /// Elements from one row of the panel to the next, and from one block to the next.
    width: usize,
    block: usize,
}

impl<const R: usize> Terms<R> for InputsOf<'_, R> {
    #[inline(always)]
    unsafe fn offset(&self, _: usize, which: u32) -> usize {
        let input = which as usize;
        input / BLOCK * self.block + input % BLOCK * self.width
    }
    #[inline(always)]
    unsafe fn x(&self, _: usize, which: u32, r: usize) -> f32 {
        // SAFETY: the caller lists inputs of the images.
        self.values[usize::from(unsafe { *self.images[r].add(which as usize) })]
    }
}
