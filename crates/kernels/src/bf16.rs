//! Rounding to bf16, two numbers to the place of one f32: the operands of `contract_pairs`; and the orders in which their
//! products are summed.
//!
//! # Tiles
//!
//! `tdpbf16ps`, of the units for matrices (AMX) of some of Intel's processors, multiplies a tile of m rows of k pairs by
//! one of k pairs for each of n columns, with k at most 16, and adds to a tile of m by n. Within a tile, the products of
//! the first numbers of the pairs are one chain of fused multiply-adds that begins with zero, those of the second numbers
//! another; the sum of the two is added to what was there. Subnormals are taken and given as zero throughout. A tile of k
//! pairs is a run of a sum, of as many pairs as lie together:
//!
//! | sum | over | a tile |
//! |---|---|---|
//! | linear layer, forward | inputs, beginning with the bias | a block of weights: 18 inputs, fewer in the last |
//! | gradient of its input | outputs | 32 outputs; behind the last come zeros |
//! | gradient of its weights | images | 32 images, fewer in the last; an odd one has a partner of zeros |
//! | product of spectra | input channels | a block of 16 channels, real and imaginary part a pair |
//! | gradient of spectra of weights | images | 16 images, fewer in the last |
//!
//! The real parts of a product of complex numbers are such a sum, and so are the imaginary ones, with one of the operands
//! turned (`Lanes::turn`; it does not matter which, since the two chains of a tile may change places). Operands lie as
//! the unit loads them, the rows of the first one with pairs side by side, the second one with a row for each pair; but in
//! the two gradients of weights the first operand too has a row for each pair, which a kernel for the unit will have to
//! turn. There is none yet: software computes these sums everywhere, with what every processor has (`Lanes::dot_apart`),
//! and is slower than the chain of `vdpbf16ps`.
//!
//! In software, for both orders, a result counts as subnormal if it is once f32 holds it. `vdpbf16ps` of a Zen 4 rounds as
//! if exponents had no end first: what lies from 2^-151 to 2^-150 below the smallest normal number, 2^-126, is zero there
//! and 2^-126 in software.

use crate::simd::isa::{Isa, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};

/// In what order the products of pairs of bf16 are summed. Products are of the same operands in both, and sums f32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// One chain of fused multiply-adds, of each pair the second numbers first: that of `vdpbf16ps`.
    Chain,
    /// Two chains in each tile of pairs, whose sum is added to what came before: that of `tdpbf16ps`
    /// ([see above](crate::bf16#tiles)).
    Tiles,
}

/// Pairs of a tile at most.
pub(crate) const TILE: usize = 16;

/// Places that a row of `columns` numbers takes as pairs of neighbours: whole vectors.
pub const fn neighbours(columns: usize) -> usize {
    columns.div_ceil(2 * LANES) * LANES
}

/// Overwrites the first [`neighbours`]`(columns)` places of each row of `out` with `(x[n][2t], x[n][2t + 1])`; what
/// lies beyond the last column counts as zero. Rows of `x` and `out` are `x_stride` and `out_stride` apart.
///
/// # Panics
/// If `x` or `out` ends before the last row does.
pub fn pack_neighbours(
    isa: Isa,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    if rows == 0 {
        return;
    }
    assert!((rows - 1) * x_stride + columns <= x.len(), "x is {rows} rows of {columns}, {x_stride} apart");
    assert!((rows - 1) * out_stride + neighbours(columns) <= out.len(), "out is {rows} rows, {out_stride} apart");
    dispatch_pairs!(isa, neighbours_body(x: &[f32], x_stride: usize, rows: usize, columns: usize, out: &mut [f32], out_stride: usize))
}

#[inline(always)]
fn neighbours_body<L: Lanes>(
    simd: L,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    for n in 0..rows {
        let (x, out) = (&x[n * x_stride..][..columns], &mut out[n * out_stride..][..neighbours(columns)]);
        let (mut pairs, whole) = (out.chunks_exact_mut(LANES), x.chunks_exact(2 * LANES));
        let rest = whole.remainder();
        for (x, out) in whole.zip(&mut pairs) {
            pack_vectors(simd, x, out);
        }
        if let Some(out) = pairs.next() {
            let mut filled = [0.0; 2 * LANES];
            filled[..rest.len()].copy_from_slice(rest);
            pack_vectors(simd, &filled, out);
        }
    }
}

/// Two vectors to one of pairs.
#[inline(always)]
fn pack_vectors<L: Lanes>(simd: L, x: &[f32], out: &mut [f32]) {
    assert!(x.len() == 2 * LANES && out.len() == LANES, "two vectors to one");
    // SAFETY: there are two vectors to be read and one to be written.
    unsafe {
        let (low, high) = (simd.load(x.as_ptr()), simd.load(x.as_ptr().add(LANES)));
        simd.store_pairs(out.as_mut_ptr(), simd.pack_neighbours(low, high));
    }
}

/// Overwrites row t of `out`, for each pair t of the `rows` rows of `x`, with `(x[2t][j], x[2t + 1][j])` for the
/// columns j, which are padded to whole vectors in both; a last row without a partner is paired with zeros.
///
/// # Panics
/// If `columns` is not a multiple of 16, or if `x` or `out` ends before the last row does.
pub fn pack_rows(
    isa: Isa,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    if rows == 0 {
        return;
    }
    assert!(columns.is_multiple_of(LANES), "{columns} columns are not whole vectors");
    assert!((rows - 1) * x_stride + columns <= x.len(), "x is {rows} rows of {columns}, {x_stride} apart");
    assert!((rows.div_ceil(2) - 1) * out_stride + columns <= out.len(), "out is {rows} / 2 rows, {out_stride} apart");
    dispatch_pairs!(isa, rows_body(x: &[f32], x_stride: usize, rows: usize, columns: usize, out: &mut [f32], out_stride: usize))
}

#[inline(always)]
fn rows_body<L: Lanes>(
    simd: L,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    columns: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    for pair in 0..rows.div_ceil(2) {
        let first = &x[2 * pair * x_stride..][..columns];
        let second = (2 * pair + 1 < rows).then(|| &x[(2 * pair + 1) * x_stride..][..columns]);
        let out = &mut out[pair * out_stride..][..columns];
        for j in (0..columns).step_by(LANES) {
            // SAFETY: all three have whole vectors.
            unsafe {
                let b = second.map_or(simd.zero(), |second| simd.load(second.as_ptr().add(j)));
                simd.store_pairs(out.as_mut_ptr().add(j), simd.pack(simd.load(first.as_ptr().add(j)), b));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_every_isa, unpack, values};

    /// Whether `got` is the nearest bf16 to `x`.
    fn rounded(got: f32, x: f32) -> bool {
        (got - x).abs() <= x.abs() * 2.0_f32.powi(-8)
    }

    #[test]
    fn neighbours_are_paired_and_the_rest_is_zero() {
        for (rows, columns) in [(1, 1), (2, 31), (3, 32), (2, 33), (4, 100), (0, 7)] {
            let (stride, out_stride) = (columns + 3, neighbours(columns) + 16);
            let x = values(rows * stride, 1);
            on_every_isa(|isa| {
                let mut out = vec![f32::NAN; rows * out_stride];
                pack_neighbours(isa, &x, stride, rows, columns, &mut out, out_stride);
                for n in 0..rows {
                    for t in 0..neighbours(columns) {
                        let at = |j: usize| if j < columns { x[n * stride + j] } else { 0.0 };
                        let [a, b] = unpack(out[n * out_stride + t]);
                        assert!(rounded(a, at(2 * t)) && rounded(b, at(2 * t + 1)), "row {n}, pair {t}");
                    }
                }
                out.iter().map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn rows_are_paired_and_a_last_one_stays_alone() {
        for rows in [1, 2, 5] {
            let (columns, stride) = (48, 50);
            let x = values(rows * stride, 2);
            on_every_isa(|isa| {
                let mut out = vec![f32::NAN; rows.div_ceil(2) * columns];
                pack_rows(isa, &x, stride, rows, columns, &mut out, columns);
                for (at, pair) in out.iter().enumerate() {
                    let (t, j) = (at / columns, at % columns);
                    let value = |n: usize| if n < rows { x[n * stride + j] } else { 0.0 };
                    let [a, b] = unpack(*pair);
                    assert!(rounded(a, value(2 * t)) && rounded(b, value(2 * t + 1)), "pair {t}, column {j}");
                }
                out.iter().map(|v| v.to_bits()).collect()
            });
        }
    }
}
