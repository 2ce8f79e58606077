//! What it takes to make a matrix orthogonal by the iteration of Newton and Schulz: norms, products of small matrices, and
//! sums of them.
//!
//! `X <- a X + (b G + c G G) X` with `G = X X^T`, five times, from a matrix of norm 1, takes all singular values near 1
//! (K. Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024).

use crate::contract::{Begin, Segment, Sum, contract_slices};
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// `a`, `b` and `c` of the iteration.
pub const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// The sum of the squares of `x`, in sixteen parts that are added in order.
pub fn sum_of_squares(isa: Isa, x: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let parts = &mut sums;
    dispatch!(isa, squares_body(x: &[f32], parts: &mut [f64; LANES]));
    sums.iter().sum()
}

#[inline(always)]
fn squares_body<L: Lanes>(_: L, x: &[f32], sums: &mut [f64; LANES]) {
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for x in whole {
        for l in 0..LANES {
            sums[l] = f64::from(x[l]).mul_add(f64::from(x[l]), sums[l]);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum = f64::from(x).mul_add(f64::from(x), *sum);
    }
}

/// Overwrites `y` `[rows, stride]` with `a` `[rows, a_stride]` times the first `inner` rows of `b` `[inner, stride]`; the
/// columns that are summed are the first `inner` of each row of `a`.
///
/// # Panics
/// If `stride` is not a multiple of 16, or a slice has another length.
#[expect(clippy::too_many_arguments, reason = "three matrices with their shapes")]
pub fn matrix_product(
    isa: Isa,
    rows: usize,
    inner: usize,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    stride: usize,
    y: &mut [f32],
) {
    assert!(stride.is_multiple_of(LANES), "rows of {stride} are not whole vectors");
    assert!(a.len() == rows * a_stride && inner <= a_stride, "a is [{rows}, {a_stride}], of which {inner} are summed");
    assert!(b.len() >= inner * stride && y.len() == rows * stride, "b is [{inner}, {stride}], y [{rows}, {stride}]");
    let sum = Sum {
        groups: 1,
        rows,
        vectors: stride / LANES,
        a_group: 0,
        a_row: a_stride,
        c_group: 0,
        c_row: stride,
        segments: &[Segment { a: 0, b: 0 }],
        len: inner,
        a_step: 1,
        b_unit: 1,
        b_step: stride,
        b_block: LANES,
        c_block: LANES,
        begin: Begin::Zero,
        half_idle: false,
    };
    contract_slices(isa, &sum, a, b, y, &mut Prefetch::nothing());
}

/// `y = p * x + q * y`.
///
/// # Panics
/// If the slices differ in length.
pub fn combine(isa: Isa, (p, q): (f32, f32), x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "one number for each");
    dispatch!(isa, combine_body(p: f32, q: f32, x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn combine_body<L: Lanes>(_: L, p: f32, q: f32, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = p.mul_add(x, q * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, on_every_isa, values};

    #[test]
    fn squares_are_summed_on_every_isa() {
        for n in [0, 1, 15, 16, 100, 1003] {
            let x = values(n, 1);
            let expected: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            on_every_isa(|isa| {
                let got = sum_of_squares(isa, &x);
                // Some hundred additions in f64, in another order.
                assert!((got - expected).abs() <= 1e-13 * expected, "{n}: {got}, expected {expected}");
                vec![got.to_bits() as u32, (got.to_bits() >> 32) as u32]
            });
        }
    }

    #[test]
    fn products_and_sums_are_those_of_the_formula_on_every_isa() {
        for (rows, inner, stride) in [(1, 1, 16), (5, 7, 32), (20, 33, 48), (0, 3, 16), (3, 0, 16)] {
            let a_stride = inner + 3;
            let (a, b, y) = (values(rows * a_stride, 1), values(inner * stride, 2), values(rows * stride, 3));
            let mut expected = vec![0.0_f64; rows * stride];
            for (r, j, k) in (0..rows * stride * inner).map(|n| (n / inner / stride, n / inner % stride, n % inner)) {
                expected[r * stride + j] += f64::from(a[r * a_stride + k]) * f64::from(b[k * stride + j]);
            }
            on_every_isa(|isa| {
                let mut got = vec![f32::NAN; rows * stride];
                matrix_product(isa, rows, inner, &a, a_stride, &b, stride, &mut got);
                assert_close(&got, &expected, 1e-6, "product");
                let mut sum = y.clone();
                combine(isa, (2.0, -0.5), &got, &mut sum);
                let expected: Vec<f64> =
                    got.iter().zip(&y).map(|(x, y)| 2.0 * f64::from(*x) - 0.5 * f64::from(*y)).collect();
                assert_close(&sum, &expected, 1e-6, "sum");
                got.iter().chain(&sum).map(|v| v.to_bits()).collect()
            });
        }
    }
}
