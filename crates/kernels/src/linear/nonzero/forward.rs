//! Forward: for each tile of images, the inputs that are not zero in any of them.

use super::mask::{each_bit, mask_len, word};
use super::{NonzeroPixels, Operands, any_tile};
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
/// Like that function; if the images are none of the data or have no bits; and if a pixel that is zero has a value.
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
    let (bytes, panels) = (mask_len(layout.in_features), layout.panels(0));
    let max_rows = tile_rows::<L>(vectors.len());
    let mut listed = [0_u32; LISTED];
    let mut first_block = 0;
    while first_block < layout.blocks() {
        // Full blocks go together; the last, shorter one, by itself: its panels start elsewhere.
        let k = layout.inputs(first_block).len();
        let last_full = layout.in_features / BLOCK;
        let end_block =
            if first_block < last_full { last_full.min(first_block + BLOCKS_AT_ONCE) } else { first_block + 1 };
        let inputs = layout.inputs(first_block).start..layout.inputs(end_block - 1).end;
        let mut n = 0;
        while n < batch.images.indices.len() {
            let left = batch.images.indices.len() - n;
            let rows = left.div_ceil(left.div_ceil(max_rows));
            let mut count = 0;
            for w in inputs.start / 64..inputs.end.div_ceil(64) {
                let mut bits = (n..n + rows).fold(0, |bits, n| bits | word(&batch.mask[n * bytes..], w));
                if w * 64 < inputs.start {
                    bits &= !0 << (inputs.start - w * 64);
                }
                if inputs.end - w * 64 < 64 {
                    bits &= !(!0 << (inputs.end - w * 64));
                }
                each_bit(bits, |bit| {
                    listed[count] = (w * 64 + bit) as u32;
                    count += 1;
                });
            }
            let mut v = vectors.start;
            while v < vectors.end {
                let columns = panels.columns(panels.panel_of(v * LANES));
                let end = (columns.end / LANES).min(vectors.end).min(v + L::TILE.1);
                let start = columns.start * k + (v * LANES - columns.start);
                // SAFETY: every input of the list is below `in_features`, so the images (checked) have it, and
                // `weight` (checked) has it in this panel; `out` has `rows` rows of the vectors (checked).
                unsafe {
                    let b = weight.as_ptr().add(start);
                    let c = out.add(n * out_stride + (v - vectors.start) * LANES);
                    let operands = Operands {
                        batch,
                        first: n,
                        b,
                        width: columns.len(),
                        block: layout.range(0).len(),
                        c,
                        c_stride: out_stride,
                    };
                    any_tile!(rows, end - v, L, forward_tile(simd, &operands, &listed[..count]));
                }
                v = end;
            }
            n += rows;
        }
        first_block = end_block;
    }
}

/// Adds to `R` rows of `V` vectors.
#[inline(always)]
unsafe fn forward_tile<L: Lanes, const R: usize, const V: usize>(simd: L, at: &Operands, inputs: &[u32]) {
    // SAFETY: the caller vouches for every address.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for r in 0..R {
            for v in 0..V {
                acc[r][v] = simd.load(at.c.add(r * at.c_stride + v * LANES));
            }
        }
        let table = at.batch.images.table;
        let image: [*const u8; R] = std::array::from_fn(|r| at.batch.image(at.first + r));
        for &input in inputs {
            let input = input as usize;
            let b = at.b.add(input / BLOCK * at.block + input % BLOCK * at.width);
            let mut row = [simd.zero(); V];
            for v in 0..V {
                row[v] = simd.load(b.add(v * LANES));
            }
            for r in 0..R {
                let x = simd.splat(table[usize::from(*image[r].add(input))]);
                for v in 0..V {
                    acc[r][v] = simd.fma(x, row[v], acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(at.c.add(r * at.c_stride + v * LANES), acc[r][v]);
            }
        }
    }
}
