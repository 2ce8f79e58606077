//! A linear layer over pixels, most of which are zero.
//!
//! Four fifths of the pixels of a handwritten digit are blank. A product with zero adds nothing, so the sums of
//! [`crate::linear::dense`] run over those pixels alone that are not zero in any of the images (forward) or of the inputs
//! (backward) of a register tile. In the same order: for finite weights the bits are those of the sums over all pixels, but
//! for the sign of a zero.
//!
//! The pixels stay the bytes that they are, where the data set has them, and are looked up when they are needed.

use crate::arena::Columns;
use crate::linear::dense::{BLOCK, LinearWeight, covers};
use crate::pixels::Images;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// Blocks of weights whose pixels are listed at a time.
const BLOCKS_AT_ONCE: usize = 56;

/// Pixels that are listed at a time.
const LISTED: usize = BLOCKS_AT_ONCE * BLOCK;

/// A batch of images of a data set, and which of their pixels are not zero.
#[derive(Clone, Copy, Debug)]
pub struct NonzeroPixels<'a> {
    /// The images.
    pub images: Images<'a>,
    /// Forward: [`mask_len`] of `inputs` bytes for each image, from [`mask_by_image`]. Backward: [`mask_len`] of `indices.len()`
    /// bytes for each input, from [`mask_by_input`].
    pub mask: &'a [u8],
}

impl NonzeroPixels<'_> {
    /// The first pixel of image `n` of the batch.
    #[inline(always)]
    fn image(&self, n: usize) -> *const u8 {
        self.images.pixels.as_ptr().wrapping_add(self.images.indices[n] as usize * self.images.inputs)
    }
}

/// Bytes that hold a bit for each of `n` things: whole words of 64 bits, little-endian.
pub fn mask_len(n: usize) -> usize {
    8 * n.div_ceil(64)
}

/// Overwrites `mask`, [`mask_len`] bytes, with a bit for each of `pixels`: whether it is not zero.
///
/// # Panics
/// If `mask` has another length.
pub fn mask_by_image(isa: Isa, pixels: &[u8], mask: &mut [u8]) {
    assert_eq!(mask.len(), mask_len(pixels.len()), "a bit for each of {} pixels", pixels.len());
    dispatch!(isa, mask_body(pixels: &[u8], mask: &mut [u8]))
}

#[inline(always)]
fn mask_body<L: Lanes>(simd: L, pixels: &[u8], mask: &mut [u8]) {
    for (pixels, mask) in pixels.chunks(64).zip(mask.chunks_exact_mut(8)) {
        let mut rest = [0; 64];
        let from = if pixels.len() == 64 {
            pixels.as_ptr()
        } else {
            rest[..pixels.len()].copy_from_slice(pixels);
            rest.as_ptr()
        };
        // SAFETY: 64 bytes, of a whole piece or of `rest`.
        mask.copy_from_slice(&unsafe { simd.nonzero_bytes(from) }.to_le_bytes());
    }
}

/// The `w`-th 64 bits.
#[inline(always)]
fn word(bits: &[u8], w: usize) -> u64 {
    u64::from_le_bytes(bits[8 * w..8 * w + 8].try_into().expect("eight bytes"))
}

/// Calls `f` with the number of each bit that is set, in order.
#[inline(always)]
fn each_bit(mut bits: u64, mut f: impl FnMut(usize)) {
    while bits != 0 {
        f(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

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

/// Calls the tile compiled for exactly this many rows and vectors.
macro_rules! any_tile {
    (width $L:ident, $vectors:expr, $rows:expr, $tile:ident, $args:tt) => {
        match $vectors {
            1 => any_tile!(height $L, 1, $rows, $tile, $args; 1 2 3 4 5 6 7 8),
            2 if $L::TILE.1 > 1 => any_tile!(height $L, 2, $rows, $tile, $args; 1 2 3 4 5 6 7 8),
            3 if $L::TILE.1 > 1 => any_tile!(height $L, 3, $rows, $tile, $args; 1 2 3 4 5 6),
            4 if $L::TILE.1 > 1 => any_tile!(height $L, 4, $rows, $tile, $args; 1 2 3 4 5 6),
            _ => unreachable!("no tile has so many vectors"),
        }
    };
    (height $L:ident, $v:literal, $rows:expr, $tile:ident, $args:tt; $($r:literal)*) => {
        match $rows {
            $($r => $tile::<$L, $r, $v> $args,)*
            _ => unreachable!("no tile has so many rows"),
        }
    };
    ($rows:expr, $vectors:expr, $L:ident, $tile:ident($($arg:expr),*)) => {
        any_tile!(width $L, $vectors, $rows, $tile, ($($arg),*))
    };
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

/// Where a tile's operands lie.
struct Operands<'a> {
    batch: NonzeroPixels<'a>,
    /// The first image, or the first input.
    first: usize,
    b: *const f32,
    /// Elements from one row of `b` to the next.
    width: usize,
    /// Forward: elements from one block of `b` to the next.
    block: usize,
    c: *mut f32,
    c_stride: usize,
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

/// Turns the bits around: from a bit for every pixel of each of `rows` images, which begin `mask_len(inputs)` bytes apart, to a
/// bit for every image of each of the inputs `64 * words.start..64 * words.end`. `out`: [`mask_len`] of `rows` bytes for
/// each of these.
///
/// # Panics
/// If `mask` or `out` has another length.
pub fn mask_by_input(isa: Isa, mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]) {
    let (from, to) = (mask_len(inputs), mask_len(rows));
    assert!(mask.len() == rows * from && words.end * 8 <= from, "a bit for every pixel");
    assert_eq!(out.len(), 64 * words.len() * to, "a bit for every image");
    dispatch!(isa, turned_body(mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]))
}

#[inline(always)]
fn turned_body<L: Lanes>(_: L, mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]) {
    let (from, to) = (mask_len(inputs), mask_len(rows));
    let first = words.start;
    for w in words {
        for n in (0..rows).step_by(64) {
            let mut square = [0_u64; 64];
            for (bits, mask) in square.iter_mut().zip(mask.chunks_exact(from).skip(n)) {
                *bits = word(mask, w);
            }
            turn::<32>(&mut square);
            turn::<16>(&mut square);
            turn::<8>(&mut square);
            turn::<4>(&mut square);
            turn::<2>(&mut square);
            turn::<1>(&mut square);
            let out = &mut out[64 * (w - first) * to..][..64 * to];
            for (out, bits) in out.chunks_exact_mut(to).zip(square) {
                out[n / 8..n / 8 + 8].copy_from_slice(&bits.to_le_bytes());
            }
        }
    }
}

/// Swaps the upper right and the lower left quarter of each `2 D x 2 D` square of bits on the diagonal, and of those like it
/// (H. S. Warren, *Hacker's Delight*, "Transposing a bit matrix").
#[inline(always)]
fn turn<const D: usize>(square: &mut [u64; 64]) {
    // D ones, D zeros, and so on.
    let mask = !0 / ((1 << D) + 1);
    for rows in square.chunks_exact_mut(2 * D) {
        let (upper, lower) = rows.split_at_mut(D);
        for (a, b) in upper.iter_mut().zip(lower) {
            let swap = ((*a >> D) ^ *b) & mask;
            *b ^= swap;
            *a ^= swap << D;
        }
    }
}

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
            // SAFETY: the images that a tile takes are those of the batch, which the data have, with inputs i.., and for
            // which grad_y has rows with the panel's columns (checked); `grad_weight` is this panel (checked).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::linear::dense::{Sums, linear_backward_weight, linear_forward};
    use crate::pixels::PixelTable;
    use crate::testing::{on_every_isa, too_large, values};

    /// Rows, inputs, outputs: around the tiles, the words of bits, the blocks and the panels.
    const CASES: [(usize, usize, usize); 9] = [
        (1, 1, 1),
        (5, 18, 10),
        (13, 64, 20),
        (64, 37, 40),
        (65, 100, 65),
        (50, 784, 200),
        (100, 784, 10),
        (130, 1200, 33),
        (0, 5, 5),
    ];

    /// Images where two of three pixels are blank, and a few whole rows and columns.
    fn sparse(rows: usize, inputs: usize) -> Vec<u8> {
        let pixel = |at: usize| {
            let (n, i) = (at / inputs, at % inputs);
            let blank = (n * 7 + i * 5 + n * i) % 3 != 0 || i % 50 == 3 || n % 20 == 4;
            if blank { 0 } else { (at * 37 % 255 + 1) as u8 }
        };
        (0..rows * inputs).map(pixel).collect()
    }

    fn bits(isa: Isa, pixels: &[u8], inputs: usize) -> Vec<u8> {
        let mut mask = vec![0xAA; pixels.len() / inputs * mask_len(inputs)];
        for (image, mask) in pixels.chunks(inputs).zip(mask.chunks_mut(mask_len(inputs))) {
            mask_by_image(isa, image, mask);
        }
        mask
    }

    #[test]
    fn a_bit_says_that_a_pixel_is_not_zero_on_every_isa() {
        for (rows, inputs, _) in CASES {
            if too_large(rows * inputs) {
                continue;
            }
            let x = sparse(rows, inputs);
            on_every_isa(|isa| {
                let mask = bits(isa, &x, inputs);
                for (at, &pixel) in x.iter().enumerate() {
                    let bit = at / inputs * mask_len(inputs) * 8 + at % inputs;
                    assert_eq!(mask[bit / 8] >> (bit % 8) & 1 == 1, pixel != 0, "pixel {at} of {rows}x{inputs}");
                }
                let set: u32 = mask.iter().map(|b| b.count_ones()).sum();
                assert_eq!(set as usize, x.iter().filter(|p| **p != 0).count(), "no other bits");
                mask.into_iter().map(u32::from).collect()
            });
        }
    }

    #[test]
    fn bits_are_turned_around() {
        for (rows, inputs, _) in CASES {
            if too_large(rows * inputs) {
                continue;
            }
            let mask = bits(Isa::detect(), &sparse(rows, inputs), inputs);
            let words = mask_len(inputs) / 8;
            let mut turned = vec![0xAA; 64 * words * mask_len(rows)];
            on_every_isa(|isa| {
                let mut turned = turned.clone();
                mask_by_input(isa, &mask, inputs, rows, 0..words, &mut turned);
                turned.into_iter().map(u32::from).collect()
            });
            let (first, second) = turned.split_at_mut(words / 2 * 64 * mask_len(rows));
            mask_by_input(Isa::detect(), &mask, inputs, rows, 0..words / 2, first);
            mask_by_input(Isa::detect(), &mask, inputs, rows, words / 2..words, second);
            for (n, i) in (0..rows).flat_map(|n| (0..inputs).map(move |i| (n, i))) {
                let a = mask[n * mask_len(inputs) + i / 8] >> (i % 8) & 1;
                let b = turned[i * mask_len(rows) + n / 8] >> (n % 8) & 1;
                assert_eq!(a, b, "image {n} of {rows}, input {i} of {inputs}");
            }
            let count = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
            assert_eq!(count(&mask), count(&turned), "no other bits");
        }
    }

    /// Not within a tolerance: the products that are left out are zeros.
    #[test]
    fn sums_have_the_bits_of_sums_over_all_pixels_on_every_isa() {
        for (rows, inputs, outputs) in CASES {
            if too_large(rows * inputs * outputs) {
                continue;
            }
            let layout = LinearWeight { in_features: inputs, out_features: outputs };
            let (pixels, padded) = (sparse(rows, inputs), layout.padded_outputs());
            let table = PixelTable::new(0.0, 0.3);
            // In another order than the data have them.
            let indices: Vec<u32> = (0..rows as u32).rev().collect();
            let x: Vec<f32> = pixels.chunks(inputs).rev().flatten().map(|&p| table[usize::from(p)]).collect();
            let batch: Vec<u8> = pixels.chunks(inputs).rev().flatten().copied().collect();
            let (weight, bias, grad_y) = (values(layout.len(), 2), values(padded, 3), values(rows * padded, 4));
            let mask = bits(Isa::detect(), &batch, inputs);
            let mut turned = vec![0; 8 * mask_len(inputs) * mask_len(rows)];
            mask_by_input(Isa::detect(), &mask, inputs, rows, 0..mask_len(inputs) / 8, &mut turned);
            on_every_isa(|isa| {
                let (mut expected, mut got) = (vec![f32::NAN; rows * padded], vec![f32::NAN; rows * padded]);
                let all = padded / LANES;
                let y = &mut Columns::new(&mut expected, padded, padded);
                linear_forward(
                    isa,
                    layout,
                    &Sums::over_all_inputs(layout, 0..all),
                    &x,
                    inputs,
                    rows,
                    &weight,
                    &bias,
                    y,
                );
                let images = Images { pixels: &pixels, inputs, indices: &indices, table: &table };
                let batch = NonzeroPixels { images, mask: &mask };
                for vectors in [0..all / 2, all / 2..all] {
                    let arena = Arena::new(&mut got);
                    let columns = vectors.start * LANES..vectors.end * LANES;
                    let mut y = arena.write_columns(0, rows, padded, columns);
                    linear_forward_nonzero(isa, layout, vectors, batch, &weight, &bias, &mut y.columns());
                }
                assert!(got == expected, "forward {rows}x{inputs}x{outputs} on {}", isa.name());
                let (mut expected, mut got) = (vec![f32::NAN; layout.len()], vec![f32::NAN; layout.len()]);
                let batch = NonzeroPixels { images, mask: &turned };
                for block in 0..layout.blocks() {
                    let (range, panels) = (layout.range(block), layout.panels(block));
                    let (grad, nothing) = (&mut expected[range.clone()], &mut Prefetch::nothing());
                    linear_backward_weight(isa, layout, block, &x, inputs, &grad_y, padded, rows, grad, nothing);
                    for panel in 0..panels.count() {
                        let grad = &mut got[range.clone()][panels.rows(panel, 0..panels.k)];
                        linear_backward_weight_nonzero(
                            isa, layout, block, panel, batch, &grad_y, padded, grad, nothing,
                        );
                    }
                }
                assert!(got == expected, "backward {rows}x{inputs}x{outputs} on {}", isa.name());
                got.iter().map(|v| v.to_bits()).collect()
            });
        }
    }
}
