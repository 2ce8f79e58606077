//! Backward: for each tile of inputs, the images in which any of them is not zero.

use super::mask::{each_bit, mask_len, word};
use super::{NonzeroPixels, Operands, any_tile};
use crate::linear::dense::{LinearWeight, covers};
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Inputs of a tile backward: many would share few images, and with few no sum must wait for its last product.
#[inline(always)]
fn tile_inputs<L: Lanes>(vectors: usize) -> usize {
    if L::TILE.1 > 1 && vectors > 2 { 3 } else { L::TILE.0.min(6) }
}

/// How often [`linear_backward_weight_nonzero`] asks for what is [`Prefetch`], at least.
pub fn backward_nonzero_calls(layout: LinearWeight) -> usize {
    layout.inputs(0).len() / 6
}

/// Overwrites `grad_weight`, laid out like panel `panel` of block `block`, like
/// [`crate::linear::dense::linear_backward_weight`].
///
/// `grad_y`: a row of the padded outputs for each image, `grad_y_stride` apart.
///
/// # Panics
/// Like that function; if the images are none of the data or have no bits; and if a pixel that is zero has a value.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_weight_nonzero(
    isa: Isa,
    layout: LinearWeight,
    block: usize,
    panel: usize,
    batch: NonzeroPixels,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    ahead: &mut Prefetch,
) {
    let (panels, rows) = (layout.panels(block), batch.images.indices.len());
    batch.images.check(layout.in_features);
    assert!(batch.images.table.zero_is_nothing(), "a pixel that is zero is worth nothing");
    assert!(panel < panels.count(), "panel {panel} of {}", panels.count());
    let bits = layout.in_features.saturating_mul(mask_len(rows));
    assert!(batch.mask.len() >= bits, "a bit for every image of every input");
    assert_eq!(
        grad_weight.len(),
        panels.rows(panel, 0..panels.k).len(),
        "panel {panel} of block {block} of {layout:?}"
    );
    let padded = layout.padded_outputs();
    assert!(grad_y_stride >= padded && covers(grad_y.len(), rows, grad_y_stride, padded), "grad_y has {rows} rows");
    dispatch!(isa, backward_body(layout: LinearWeight, block: usize, panel: usize, batch: NonzeroPixels, grad_y: &[f32], grad_y_stride: usize, grad_weight: &mut [f32], ahead: &mut Prefetch))
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
fn backward_body<L: Lanes>(
    simd: L,
    layout: LinearWeight,
    block: usize,
    panel: usize,
    batch: NonzeroPixels,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    ahead: &mut Prefetch,
) {
    let (inputs, columns) = (layout.inputs(block), layout.panels(block).columns(panel));
    let words = batch.images.indices.len().div_ceil(64);
    let width = columns.len();
    let mut i = inputs.start;
    while i < inputs.end {
        ahead.ask();
        let left = inputs.end - i;
        let tile = left.div_ceil(left.div_ceil(tile_inputs::<L>(width / LANES)));
        for v in (0..width / LANES).step_by(L::TILE.1) {
            let vectors = (width / LANES - v).min(L::TILE.1);
            // SAFETY: the images that a tile takes are those of the batch, which the data have, with inputs i.., and
            // for which grad_y has rows with the panel's columns (checked); `grad_weight` is this panel (checked).
            unsafe {
                let operands = Operands {
                    batch,
                    first: i,
                    b: grad_y.as_ptr().add(columns.start + v * LANES),
                    width: grad_y_stride,
                    block: 0,
                    c: grad_weight.as_mut_ptr().add((i - inputs.start) * width + v * LANES),
                    c_stride: width,
                };
                let mask = &batch.mask[i * 8 * words..(i + tile) * 8 * words];
                any_tile!(tile, vectors, L, backward_tile(simd, &operands, mask));
            }
        }
        i += tile;
    }
}

/// Overwrites `R` rows, of as many inputs, of `V` vectors.
#[inline(always)]
unsafe fn backward_tile<L: Lanes, const R: usize, const V: usize>(simd: L, at: &Operands, mask: &[u8]) {
    let rows = at.batch.images.indices.len();
    let table = at.batch.images.table;
    let words = rows.div_ceil(64);
    // SAFETY: the caller vouches for every address of images below `rows`, and no others are left in `bits`.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for w in 0..words {
            let mut bits = (0..R).fold(0, |bits, r| bits | word(mask, r * words + w));
            if rows - w * 64 < 64 {
                bits &= !(!0 << (rows - w * 64));
            }
            each_bit(bits, |bit| {
                let n = w * 64 + bit;
                let b = at.b.add(n * at.width);
                let mut row = [simd.zero(); V];
                for v in 0..V {
                    row[v] = simd.load(b.add(v * LANES));
                }
                let pixels = at.batch.image(n).add(at.first);
                for r in 0..R {
                    let x = simd.splat(table[usize::from(*pixels.add(r))]);
                    for v in 0..V {
                        acc[r][v] = simd.fma(x, row[v], acc[r][v]);
                    }
                }
            });
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(at.c.add(r * at.c_stride + v * LANES), acc[r][v]);
            }
        }
    }
}
