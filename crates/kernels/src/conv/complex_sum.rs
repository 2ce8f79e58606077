//! The heart of convolutions in the frequency domain: `c[r][j] = sum over k of a[r][k] * conj(b[k][j])` in complex
//! numbers, with `j` in vector lanes.
//!
//! Sixteen complex numbers lie as sixteen real parts and then sixteen imaginary parts, or rounded to bf16 as sixteen
//! pairs (real, imaginary); `c` is always f32. Real and imaginary part of each element of `c` are one chain of fused
//! multiply-adds each, in the order of `k`, or with pairs of bf16 what [`Order`] says; register tiles do not change a bit
//! of it.

use crate::bf16::{Order, TILE};
use crate::contract::{Factor, Pair, Single, TiledPair};
use crate::simd::isa::{Isa, dispatch, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};

/// Elements of sixteen complex numbers.
pub(crate) const COMPLEX: usize = 2 * LANES;

/// Where the operands of one contraction lie. All strides are in elements.
///
/// Row `r` of `a` starts at `r * a_row`, and of `c` at `r * c_row`. `k` runs through `segments` segments of `len`
/// products; in each, `a` advances by `a_step` (its imaginary part, if not in the same pair, lies 16 further on) and
/// `b` by `b_step`. Vector `j` of a row lies 32 `j` from its start in f32, 16 `j` in pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComplexSum {
    pub rows: usize,
    pub vectors: usize,
    pub a_row: usize,
    pub c_row: usize,
    pub segments: usize,
    pub a_segment: usize,
    pub b_segment: usize,
    pub len: usize,
    pub a_step: usize,
    pub b_step: usize,
}

impl ComplexSum {
    /// One past the last element of `a`, `b` and `c` that the contraction touches (0 where it touches none).
    pub(crate) fn extents(&self, pairs: bool) -> (usize, usize, usize) {
        if self.rows == 0 || self.vectors == 0 {
            return (0, 0, 0);
        }
        // Saturating: what would overflow is beyond every slice, and the callers' assertions say so.
        let end = |strides: &[(usize, usize)]| {
            strides.iter().fold(0_usize, |sum, (n, stride)| sum.saturating_add(n.saturating_mul(*stride)))
        };
        let row = self.rows - 1;
        let c = end(&[(row, self.c_row), (self.vectors, COMPLEX)]);
        if self.segments == 0 || self.len == 0 {
            return (0, 0, c);
        }
        let (segment, step) = (self.segments - 1, self.len - 1);
        let (imaginary, vector) = if pairs { (0, LANES) } else { (LANES, COMPLEX) };
        let a = end(&[(row, self.a_row), (segment, self.a_segment), (step, self.a_step), (imaginary + 1, 1)]);
        let b = end(&[(segment, self.b_segment), (step, self.b_step), (self.vectors, vector)]);
        (a, b, c)
    }
}

/// Computes the contraction that `sum` describes, with `a` and `b` as pairs of bf16 if `pairs` says in what order they
/// are summed.
///
/// # Safety
/// `a`, `b` and `c` are valid for the [`ComplexSum::extents`]; nobody else touches the vectors of `c` that are written,
/// and those overlap neither `a` nor `b`.
pub(crate) unsafe fn contract_complex(
    isa: Isa,
    sum: &ComplexSum,
    pairs: Option<Order>,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    match pairs {
        None => dispatch!(isa, unsafe single_body(sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32)),
        Some(Order::Chain) => {
            dispatch_pairs!(isa, unsafe pair_body(sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32))
        }
        Some(Order::Tiles) => {
            dispatch!(isa, unsafe tiled_body(sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32))
        }
    }
}

/// # Safety
/// As for [`contract_complex`].
#[inline(always)]
unsafe fn single_body<L: Lanes>(simd: L, sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, Single>(simd, sum, a, b, c) };
}

/// # Safety
/// As for [`contract_complex`].
#[inline(always)]
unsafe fn pair_body<L: Lanes>(simd: L, sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, Pair>(simd, sum, a, b, c) };
}

/// # Safety
/// As for [`contract_complex`].
#[inline(always)]
unsafe fn tiled_body<L: Lanes>(simd: L, sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, TiledPair>(simd, sum, a, b, c) };
}

/// What complex numbers are made of, and how their products are summed.
trait ComplexFactor<L: Lanes>: Factor<L> {
    /// Places of a vector of them in `b`.
    const VECTOR: usize;
    /// `R` rows by `V` complex vectors, all sums held in registers.
    ///
    /// # Safety
    /// As for [`contract_complex`], of the rows and vectors from `a`, `b` and `c` on.
    unsafe fn tile<const R: usize, const V: usize>(
        simd: L,
        sum: &ComplexSum,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
    );
}

/// # Safety
/// As for [`contract_complex`].
#[inline(always)]
unsafe fn body<L: Lanes, F: ComplexFactor<L>>(simd: L, sum: &ComplexSum, a: *const f32, b: *const f32, c: *mut f32) {
    let (max_rows, max_vectors) = match L::COMPLEX_TILE {
        (rows, 1) => (rows / F::CHAINS, 1),
        (rows, vectors) => (rows, vectors / F::CHAINS),
    };
    let mut j = 0;
    while j < sum.vectors {
        let vectors = max_vectors.min(sum.vectors - j);
        let mut r = 0;
        while r < sum.rows {
            // Tiles of nearly equal height: one of a single row would wait for its sums.
            let left = sum.rows - r;
            let rows = left.div_ceil(left.div_ceil(max_rows));
            // SAFETY: all three stay within `ComplexSum::extents`, which the caller of `contract_complex` vouches for.
            unsafe {
                // Wrapping: where there is nothing to sum, there need not be an `a` or a `b`.
                let (a, b) = (a.wrapping_add(r * sum.a_row), b.wrapping_add(j * F::VECTOR));
                any_tile::<L, F>(simd, rows, vectors, sum, a, b, c.add(r * sum.c_row + j * COMPLEX));
            }
            r += rows;
        }
        j += vectors;
    }
}

/// Calls the tile compiled for exactly this many rows and vectors.
#[inline(always)]
unsafe fn any_tile<L: Lanes, F: ComplexFactor<L>>(
    simd: L,
    rows: usize,
    vectors: usize,
    sum: &ComplexSum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    macro_rules! pick {
        ($($r:literal)*; $v:literal) => {
            match rows {
                // SAFETY: passed on from the caller.
                $($r => unsafe { F::tile::<$r, $v>(simd, sum, a, b, c) },)*
                _ => unreachable!("tiles have at most six rows"),
            }
        };
    }
    match (L::COMPLEX_TILE, vectors) {
        ((2, 1), _) => pick!(1 2; 1),
        (_, 1) => pick!(1 2 3 4 5 6; 1),
        _ => pick!(1 2 3 4 5 6; 2),
    }
}

impl<L: Lanes> ComplexFactor<L> for Single {
    const VECTOR: usize = COMPLEX;
    #[inline(always)]
    unsafe fn tile<const R: usize, const V: usize>(
        simd: L,
        sum: &ComplexSum,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
    ) {
        // SAFETY: the caller vouches for every address formed from `sum`.
        unsafe {
            let mut re = [[simd.zero(); V]; R];
            let mut im = [[simd.zero(); V]; R];
            for segment in 0..sum.segments {
                let mut pa = a.wrapping_add(segment * sum.a_segment);
                let mut pb = b.wrapping_add(segment * sum.b_segment);
                for _ in 0..sum.len {
                    let (mut b_re, mut b_im) = ([simd.zero(); V], [simd.zero(); V]);
                    for v in 0..V {
                        b_re[v] = simd.load(pb.add(v * COMPLEX));
                        b_im[v] = simd.load(pb.add(v * COMPLEX + LANES));
                    }
                    for r in 0..R {
                        let a_re = simd.splat(*pa.add(r * sum.a_row));
                        let a_im = simd.splat(*pa.add(r * sum.a_row + LANES));
                        for v in 0..V {
                            re[r][v] = simd.fma(a_re, b_re[v], re[r][v]);
                            im[r][v] = simd.fma(a_im, b_re[v], im[r][v]);
                        }
                        for v in 0..V {
                            re[r][v] = simd.fma(a_im, b_im[v], re[r][v]);
                            im[r][v] = simd.fnma(a_re, b_im[v], im[r][v]);
                        }
                    }
                    pa = pa.wrapping_add(sum.a_step);
                    pb = pb.wrapping_add(sum.b_step);
                }
            }
            store::<L, Single, R, V>(simd, sum, &re, &im, c);
        }
    }
}

/// Both kinds of pairs: a complex product is two of them, one with the second operand [turned](Lanes::turn).
macro_rules! pairs {
    ($pair:ty) => {
        impl<L: Lanes> ComplexFactor<L> for $pair {
            const VECTOR: usize = LANES;
            #[inline(always)]
            unsafe fn tile<const R: usize, const V: usize>(
                simd: L,
                sum: &ComplexSum,
                a: *const f32,
                b: *const f32,
                c: *mut f32,
            ) {
                // SAFETY: passed on from the caller.
                unsafe { pair_tile::<L, $pair, R, V>(simd, sum, a, b, c) }
            }
        }
    };
}
pairs!(Pair);
pairs!(TiledPair);

/// # Safety
/// As for [`ComplexFactor::tile`].
#[inline(always)]
unsafe fn pair_tile<L: Lanes, F: Factor<L, B = L::P>, const R: usize, const V: usize>(
    simd: L,
    sum: &ComplexSum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
) {
    // SAFETY: the caller vouches for every address formed from `sum`.
    unsafe {
        let mut re = [[F::begin(simd, simd.zero()); V]; R];
        let mut im = [[F::begin(simd, simd.zero()); V]; R];
        for segment in 0..sum.segments {
            let mut pa = a.wrapping_add(segment * sum.a_segment);
            let mut pb = b.wrapping_add(segment * sum.b_segment);
            for step in 1..=sum.len {
                let plain: [L::P; V] = std::array::from_fn(|v| simd.load_pairs(pb.add(v * LANES)));
                let mut turned = plain;
                for v in 0..V {
                    turned[v] = simd.turn(plain[v]);
                }
                for r in 0..R {
                    let x = simd.splat_pair(*pa.add(r * sum.a_row));
                    for v in 0..V {
                        re[r][v] = F::multiply_add(simd, x, plain[v], re[r][v]);
                        im[r][v] = F::multiply_add(simd, x, turned[v], im[r][v]);
                    }
                }
                if F::CHAINS > 1 && (step == sum.len || step.is_multiple_of(TILE)) {
                    for r in 0..R {
                        for v in 0..V {
                            re[r][v] = F::end_tile(simd, re[r][v]);
                            im[r][v] = F::end_tile(simd, im[r][v]);
                        }
                    }
                }
                pa = pa.wrapping_add(sum.a_step);
                pb = pb.wrapping_add(sum.b_step);
            }
        }
        store::<L, F, R, V>(simd, sum, &re, &im, c);
    }
}

/// # Safety
/// As for [`ComplexFactor::tile`].
#[inline(always)]
unsafe fn store<L: Lanes, F: Factor<L>, const R: usize, const V: usize>(
    simd: L,
    sum: &ComplexSum,
    re: &[[F::Sum; V]; R],
    im: &[[F::Sum; V]; R],
    c: *mut f32,
) {
    for r in 0..R {
        for v in 0..V {
            // SAFETY: the caller vouches for every address formed from `sum`.
            unsafe {
                simd.store(c.add(r * sum.c_row + v * COMPLEX), F::end(re[r][v]));
                simd.store(c.add(r * sum.c_row + v * COMPLEX + LANES), F::end(im[r][v]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bits_but_for_nan, on_every_isa, pairs_of_bf16, tdpbf16ps, unpack};

    #[test]
    fn in_tiles_products_are_those_of_the_unit_on_every_isa() {
        // Rows, vectors, segments, pairs of each: channels of blocks, and images.
        for (rows, vectors, segments, len) in [(1, 1, 1, 1), (7, 2, 2, 16), (3, 3, 1, 17), (16, 1, 1, 50)] {
            for exponent in [-62, -4, 61] {
                let columns = vectors * LANES;
                let a = pairs_of_bf16(rows * segments * len, exponent, 1);
                let b = pairs_of_bf16(segments * len * columns, exponent, 2);
                let sum = ComplexSum {
                    rows,
                    vectors,
                    a_row: 1,
                    c_row: vectors * COMPLEX,
                    segments,
                    a_segment: len * rows,
                    b_segment: len * columns,
                    len,
                    a_step: rows,
                    b_step: columns,
                };
                let mut expected = vec![0.0; rows * vectors * COMPLEX];
                for (r, j) in (0..rows).flat_map(|r| (0..columns).map(move |j| (r, j))) {
                    let (mut re, mut im) = (0.0, 0.0);
                    for segment in 0..segments {
                        let ks: Vec<usize> = (segment * len..(segment + 1) * len).collect();
                        for ks in ks.chunks(16) {
                            let pair = |k: usize| [unpack(a[k * rows + r]), unpack(b[k * columns + j])];
                            // The product with the conjugate of b.
                            let of_im = |k: usize| [unpack(a[k * rows + r]), [-pair(k)[1][1], pair(k)[1][0]]];
                            re = tdpbf16ps(re, &ks.iter().map(|&k| pair(k)).collect::<Vec<_>>());
                            im = tdpbf16ps(im, &ks.iter().map(|&k| of_im(k)).collect::<Vec<_>>());
                        }
                    }
                    let at = r * vectors * COMPLEX + j / LANES * COMPLEX + j % LANES;
                    (expected[at], expected[at + LANES]) = (re, im);
                }
                let expected = bits_but_for_nan(&expected);
                let (a_end, b_end, c_end) = sum.extents(true);
                assert!(a_end <= a.len() && b_end <= b.len() && c_end == expected.len(), "operands cover the sum");
                on_every_isa(|isa| {
                    let mut c = vec![f32::NAN; expected.len()];
                    let tiles = Some(Order::Tiles);
                    // SAFETY: the operands cover the sum, and `c` is borrowed mutably.
                    unsafe { contract_complex(isa, &sum, tiles, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
                    let got = bits_but_for_nan(&c);
                    assert!(got == expected, "{}, {rows} rows, {segments} x {len} pairs, 2^{exponent}", isa.name());
                    got
                });
            }
        }
    }
}
