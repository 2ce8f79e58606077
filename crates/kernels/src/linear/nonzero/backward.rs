//! Backward: for each tile of inputs, the images in which any of them is not zero.

use super::NonzeroPixels;
use super::listed::any_rows;
use super::mask::{mask_len, word};
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
/// Like that function, and if the images have no values or no bits.
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
    let (panels, rows) = (layout.panels(block), batch.images);
    batch.check(layout.in_features);
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
    let words = batch.images.div_ceil(64);
    let width = columns.len();
    let mut i = inputs.start;
    while i < inputs.end {
        ahead.ask();
        let left = inputs.end - i;
        let tile = left.div_ceil(left.div_ceil(tile_inputs::<L>(width / LANES)));
        let mask = &batch.mask[i * 8 * words..(i + tile) * 8 * words];
        let grad = &mut grad_weight[(i - inputs.start) * width..][..tile * width];
        let to = (grad_y, grad_y_stride, columns.start);
        any_rows!(tile, backward_rows::<L>(simd, batch, i, mask, to, grad));
        i += tile;
    }
}

/// Overwrites `grad`, the gradient of the weights of `R` inputs from `first` on in the columns that begin at the third
/// of `(grad_y, stride, column)`.
#[inline(always)]
fn backward_rows<L: Lanes, const R: usize>(
    simd: L,
    batch: NonzeroPixels,
    first: usize,
    mask: &[u8],
    (grad_y, stride, column): (&[f32], usize, usize),
    grad: &mut [f32],
) {
    let (rows, width) = (batch.images, grad.len() / R);
    let values = batch.values.as_ptr().wrapping_add(first);
    let (vectors, terms) = (width / LANES, ImagesOf { values, value_stride: batch.stride, stride });
    // SAFETY: no images but those of the batch have a bit, and they have values (checked) of these inputs; grad_y has
    // a row with the panel's columns for every image (checked), `grad` has R rows of them.
    unsafe {
        // Wrapping: without images there need not be a `grad_y`.
        let (b, c) = (grad_y.as_ptr().wrapping_add(column), grad.as_mut_ptr());
        for v in (0..vectors).step_by(L::TILE.1) {
            let (b, c) = (b.wrapping_add(v * LANES), c.add(v * LANES));
            match (vectors - v).min(L::TILE.1) {
                1 => tile::<L, R, 1>(simd, mask, rows, terms, b, c, width),
                2 if L::TILE.1 > 1 => tile::<L, R, 2>(simd, mask, rows, terms, b, c, width),
                3 if L::TILE.1 > 1 => tile::<L, R, 3>(simd, mask, rows, terms, b, c, width),
                4 if L::TILE.1 > 1 => tile::<L, R, 4>(simd, mask, rows, terms, b, c, width),
                more => unreachable!("no tile has {more} vectors"),
            }
        }
    }
}

/// Bits of the images `64 * w..` of the batch's `rows` in which one of `R` inputs is not zero.
#[inline(always)]
fn images_of<const R: usize>(mask: &[u8], rows: usize, w: usize) -> u64 {
    let words = rows.div_ceil(64);
    let mut bits = 0;
    for r in 0..R {
        bits |= word(mask, r * words + w);
    }
    if rows - w * 64 < 64 { bits & !(!0 << (rows - w * 64)) } else { bits }
}

/// Overwrites `V` vectors of `R` rows, `width` apart. Without a list: the bits are found while the products are made.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    simd: L,
    mask: &[u8],
    rows: usize,
    terms: ImagesOf,
    b: *const f32,
    c: *mut f32,
    width: usize,
) {
    // SAFETY: the caller vouches for every address of images below `rows`, and no others have a bit.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for w in 0..rows.div_ceil(64) {
            let mut bits = images_of::<R>(mask, rows, w);
            while bits != 0 {
                let n = w * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let b = b.add(terms.offset(n));
                let row: [L::V; V] = std::array::from_fn(|v| simd.load(b.add(v * LANES)));
                for r in 0..R {
                    let x = simd.splat(terms.x(n, r));
                    for v in 0..V {
                        acc[r][v] = simd.fma(x, row[v], acc[r][v]);
                    }
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(c.add(r * width + v * LANES), acc[r][v]);
            }
        }
    }
}

/// For every image its row of `grad_y`, times the values of some of its pixels.
#[derive(Clone, Copy)]
struct ImagesOf {
    /// The first of these values of the first image.
    values: *const f32,
    /// Elements from the values of one image to the next's.
    value_stride: usize,
    /// Elements from one row of `grad_y` to the next.
    stride: usize,
}

impl ImagesOf {
    #[inline(always)]
    fn offset(self, n: usize) -> usize {
        n * self.stride
    }

    /// # Safety
    /// There is such an image, and a value that is `r` behind the first.
    #[inline(always)]
    unsafe fn x(self, n: usize, r: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.values.add(n * self.value_stride + r) }
    }
}
