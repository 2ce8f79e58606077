//! The heart: `c[r][j] (+)= sum over k of a[r][k] * b[k][j]`, with `j` in vector lanes.
//!
//! Linear layers and convolutions, forward and backward, are all this one sum over differently laid out operands, so
//! there is one register-tiled loop, and [`Sum`] says where its operands lie. Every element of `c` is one chain of
//! fused multiply-adds in the order of `k`, but for pairs of bf16 in [`Order::Tiles`], each segment of which falls into
//! tiles of sixteen; how rows and columns are grouped into register tiles does not change a bit of it.

use crate::bf16::{Order, TILE};
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// A run of `k`: where it starts in `a` (relative to the row) and in `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset of the run in `a`, in elements from the start of a row.
    pub a: usize,
    /// Offset of the run in `b`, in rows of weights or in single elements, as the contraction says.
    pub b: usize,
}

/// What the sums begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin<'a> {
    Zero,
    /// What is in `c`.
    Sums,
    /// A row for all rows: vector `j` lies `j` whole vectors from its start.
    Row(&'a [f32]),
}

/// Where the operands of one contraction lie. All strides are in elements.
///
/// Row `(g, r)` of `a` starts at `g * a_group + r * a_row`, and of `c` at `g * c_group + r * c_row`. Along `k`, every
/// segment has `len` products, `a` advancing by `a_step` and `b` by `b_step`; it starts at `segment.b * b_unit` of `b`.
/// Vector `j` of a row of `b` or `c` lies `j * b_block` or `j * c_block` from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum<'a> {
    pub groups: usize,
    pub rows: usize,
    pub vectors: usize,
    pub a_group: usize,
    pub a_row: usize,
    pub c_group: usize,
    pub c_row: usize,
    pub segments: &'a [Segment],
    pub len: usize,
    pub a_step: usize,
    pub b_unit: usize,
    pub b_step: usize,
    pub b_block: usize,
    pub c_block: usize,
    pub begin: Begin<'a>,
    /// The second half of the last vector is padding: zeros in `b`, and in `c` if that is added to.
    pub half_idle: bool,
}

impl Sum<'_> {
    /// One past the last element of `a`, `b` and `c` that the contraction touches (0 where it touches none).
    pub(crate) fn extents(&self) -> (usize, usize, usize) {
        if self.groups == 0 || self.rows == 0 || self.vectors == 0 {
            return (0, 0, 0);
        }
        // Saturating: what would overflow is beyond every slice, and the callers' assertions say so.
        let at = |n: usize, stride: usize| n.saturating_mul(stride);
        let sum = |parts: &[usize]| parts.iter().fold(0_usize, |sum, part| sum.saturating_add(*part));
        let (group, row, vector) = (self.groups - 1, self.rows - 1, self.vectors - 1);
        let c = sum(&[at(group, self.c_group), at(row, self.c_row), at(vector, self.c_block), LANES]);
        if self.segments.is_empty() || self.len == 0 {
            return (0, 0, c);
        }
        let last_a = self.segments.iter().map(|s| s.a).max().unwrap_or(0);
        let last_b = self.segments.iter().map(|s| s.b).max().unwrap_or(0);
        let (last_a_step, last_b_step) = (at(self.len - 1, self.a_step), at(self.len - 1, self.b_step));
        let a = sum(&[at(group, self.a_group), at(row, self.a_row), last_a, last_a_step, 1]);
        let b = sum(&[at(last_b, self.b_unit), last_b_step, at(vector, self.b_block), LANES]);
        (a, b, c)
    }
}

/// Steps along `k` between two calls of [`Prefetch::ask`].
pub(crate) const STRIDE: usize = 8;
const _: () = assert!(TILE.is_multiple_of(STRIDE), "a tile ends where a stride does");

/// Rows of a tile at most.
pub(crate) const MOST_TILE_ROWS: usize = 12;

/// What is multiplied, and how the products are summed.
pub(crate) trait Factor<L: Lanes> {
    /// A vector of it.
    type B: Copy;
    /// A vector of sums on their way.
    type Sum: Copy;
    /// Chains of multiply-adds in a sum: registers that every step changes.
    const CHAINS: usize;
    /// Whether half a vector takes half the time. Otherwise nobody asks for halves.
    const HALVES: bool = false;
    /// # Safety
    /// A vector is readable at `p`.
    unsafe fn load(simd: L, p: *const f32) -> Self::B;
    /// The first half of a vector.
    ///
    /// # Safety
    /// As for [`Factor::load`]; where there are [`Factor::HALVES`], half of one is enough.
    #[inline(always)]
    unsafe fn load_half(simd: L, p: *const f32) -> Self::B {
        // SAFETY: promised by the caller.
        unsafe { Self::load(simd, p) }
    }
    fn splat(simd: L, x: f32) -> Self::B;
    /// Sums that begin with `c`.
    fn begin(simd: L, c: L::V) -> Self::Sum;
    /// `sum` and `a * b`.
    fn multiply_add(simd: L, a: Self::B, b: Self::B, sum: Self::Sum) -> Self::Sum;
    /// The same where the second half of `b` and `sum` is zero.
    #[inline(always)]
    fn multiply_add_half(simd: L, a: Self::B, b: Self::B, sum: Self::Sum) -> Self::Sum {
        Self::multiply_add(simd, a, b, sum)
    }
    /// What becomes of sums, where they have several chains, after every [`TILE`] steps of a segment and at its end.
    fn end_tile(simd: L, sum: Self::Sum) -> Self::Sum;
    /// What they have come to.
    fn end(sum: Self::Sum) -> L::V;
}

/// What [`Factor`] says of sums that are one chain, which is a vector.
macro_rules! one_chain {
    () => {
        type Sum = L::V;
        const CHAINS: usize = 1;
        #[inline(always)]
        fn begin(_: L, c: L::V) -> L::V {
            c
        }
        #[inline(always)]
        fn end_tile(_: L, sum: L::V) -> L::V {
            sum
        }
        #[inline(always)]
        fn end(sum: L::V) -> L::V {
            sum
        }
    };
}

/// What [`Factor`] says of pairs of bf16.
macro_rules! pairs {
    () => {
        type B = L::P;
        #[inline(always)]
        unsafe fn load(simd: L, p: *const f32) -> Self::B {
            // SAFETY: promised by the caller.
            unsafe { simd.load_pairs(p) }
        }
        #[inline(always)]
        fn splat(simd: L, x: f32) -> Self::B {
            simd.splat_pair(x)
        }
    };
}

/// f32.
pub(crate) struct Single;

/// Pairs of bf16 in the place of f32, in [`Order::Chain`]: one step along `k` is two products.
pub(crate) struct Pair;

/// The same in [`Order::Tiles`].
pub(crate) struct TiledPair;

/// Sums of pairs in the midst of a tile.
#[derive(Clone, Copy)]
pub(crate) struct Tiled<V> {
    /// What they were before it.
    before: V,
    /// The tile's own, of the first and of the second numbers.
    first: V,
    second: V,
}

impl<L: Lanes> Factor<L> for Single {
    one_chain!();
    type B = L::V;
    const HALVES: bool = L::HALF_TILE > 0;
    #[inline(always)]
    unsafe fn load(simd: L, p: *const f32) -> Self::B {
        // SAFETY: promised by the caller.
        unsafe { simd.load(p) }
    }
    #[inline(always)]
    unsafe fn load_half(simd: L, p: *const f32) -> Self::B {
        // SAFETY: promised by the caller.
        unsafe { simd.load_half(p) }
    }
    #[inline(always)]
    fn splat(simd: L, x: f32) -> Self::B {
        simd.splat(x)
    }
    #[inline(always)]
    fn multiply_add(simd: L, a: Self::B, b: Self::B, c: L::V) -> L::V {
        simd.fma(a, b, c)
    }
    #[inline(always)]
    fn multiply_add_half(simd: L, a: Self::B, b: Self::B, c: L::V) -> L::V {
        simd.fma_half(a, b, c)
    }
}

impl<L: Lanes> Factor<L> for Pair {
    one_chain!();
    pairs!();
    #[inline(always)]
    fn multiply_add(simd: L, a: Self::B, b: Self::B, c: L::V) -> L::V {
        simd.dot(a, b, c)
    }
}

impl<L: Lanes> Factor<L> for TiledPair {
    pairs!();
    type Sum = Tiled<L::V>;
    const CHAINS: usize = 2;
    #[inline(always)]
    fn begin(simd: L, before: L::V) -> Self::Sum {
        Tiled { before, first: simd.zero(), second: simd.zero() }
    }
    #[inline(always)]
    fn multiply_add(simd: L, a: Self::B, b: Self::B, Tiled { before, first, second }: Self::Sum) -> Self::Sum {
        let (first, second) = simd.dot_apart(a, b, first, second);
        Tiled { before, first, second }
    }
    #[inline(always)]
    fn end_tile(simd: L, Tiled { before, first, second }: Self::Sum) -> Self::Sum {
        Self::begin(simd, simd.add_flushed(before, simd.add_flushed(first, second)))
    }
    #[inline(always)]
    fn end(sum: Self::Sum) -> L::V {
        sum.before
    }
}

/// Computes the contraction that `sum` describes, asking for `ahead` on the way.
///
/// # Safety
/// `a`, `b` and `c` are valid for the [`Sum::extents`]; nobody else touches the vectors of `c` that are written, and
/// those overlap neither `a` nor `b`.
pub(crate) unsafe fn contract(isa: Isa, sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch) {
    dispatch!(isa, unsafe single_body(sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch))
}

/// [`contract`] of slices.
///
/// # Panics
/// If one of them does not cover the sum.
pub(crate) fn contract_slices(isa: Isa, sum: &Sum, a: &[f32], b: &[f32], c: &mut [f32], ahead: &mut Prefetch) {
    let (a_end, b_end, c_end) = sum.extents();
    assert!(a_end <= a.len() && b_end <= b.len() && c_end <= c.len(), "operands cover the sum");
    // SAFETY: all three operands are covered (asserted), and `c` is borrowed mutably.
    unsafe { contract(isa, sum, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), ahead) };
}

/// [`contract`] with pairs of bf16 in `a` and `b`; `c` is f32.
///
/// # Safety
/// As for [`contract`].
pub(crate) unsafe fn contract_pairs(
    isa: Isa,
    order: Order,
    sum: &Sum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    ahead: &mut Prefetch,
) {
    match order {
        Order::Chain => {
            dispatch_pairs!(isa, unsafe pair_body(sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch))
        }
        Order::Tiles => {
            dispatch!(isa, unsafe tiled_body(sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch))
        }
    }
}

/// [`contract_pairs`] of slices.
///
/// # Panics
/// If one of them does not cover the sum.
pub(crate) fn contract_pair_slices(
    isa: Isa,
    order: Order,
    sum: &Sum,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    ahead: &mut Prefetch,
) {
    let (a_end, b_end, c_end) = sum.extents();
    assert!(a_end <= a.len() && b_end <= b.len() && c_end <= c.len(), "operands cover the sum");
    // SAFETY: all three operands are covered (asserted), and `c` is borrowed mutably.
    unsafe { contract_pairs(isa, order, sum, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), ahead) };
}

/// # Safety
/// As for [`contract`].
#[inline(always)]
unsafe fn single_body<L: Lanes>(simd: L, sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, Single>(simd, sum, a, b, c, ahead) };
}

/// # Safety
/// As for [`contract`].
#[inline(always)]
unsafe fn pair_body<L: Lanes>(simd: L, sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, Pair>(simd, sum, a, b, c, ahead) };
}

/// # Safety
/// As for [`contract`].
#[inline(always)]
unsafe fn tiled_body<L: Lanes>(simd: L, sum: &Sum, a: *const f32, b: *const f32, c: *mut f32, ahead: &mut Prefetch) {
    // SAFETY: passed on from the caller.
    unsafe { body::<L, TiledPair>(simd, sum, a, b, c, ahead) };
}

/// # Safety
/// As for [`contract`].
#[inline(always)]
unsafe fn body<L: Lanes, F: Factor<L>>(
    simd: L,
    sum: &Sum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    ahead: &mut Prefetch,
) {
    if let Begin::Row(row) = sum.begin {
        assert!(row.len() >= sum.vectors * LANES, "{} elements for {} vectors", row.len(), sum.vectors);
    }
    let halves = F::HALVES && sum.half_idle;
    let whole = if halves { sum.vectors.saturating_sub(1) } else { sum.vectors };
    // All tiles of a row have the height that suits its first, so that the last, which may be narrower, has the same
    // rows.
    let max_rows = match L::TILE {
        (rows, 1) => rows / F::CHAINS,
        _ => TILE_ROWS[sum.vectors.clamp(1, at_once::<L, F>()) * F::CHAINS - 1],
    };
    // SAFETY: passed on from the caller.
    unsafe {
        columns::<L, F, false>(simd, sum, 0..whole, max_rows, a, b, c, ahead);
        if halves {
            columns::<L, F, true>(simd, sum, whole..sum.vectors, L::HALF_TILE, a, b, c, ahead);
        }
    }
}

/// Vectors of the widest tile.
#[inline(always)]
fn at_once<L: Lanes, F: Factor<L>>() -> usize {
    L::TILE.1.div_ceil(F::CHAINS)
}

/// Vectors `vectors` of all rows, in tiles of at most `max_rows` rows. `HALF`: the second half of the vector, a single
/// one then, is padding.
///
/// # Safety
/// As for [`contract`].
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and which columns")]
unsafe fn columns<L: Lanes, F: Factor<L>, const HALF: bool>(
    simd: L,
    sum: &Sum,
    vectors: Range<usize>,
    max_rows: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    ahead: &mut Prefetch,
) {
    for g in 0..sum.groups {
        let mut r = 0;
        while r < sum.rows {
            // Tiles of nearly equal height: one of a single row would wait for its sums.
            let left = sum.rows - r;
            let rows = left.div_ceil(left.div_ceil(max_rows));
            let mut j = vectors.start;
            while j < vectors.end {
                let at_once = at_once::<L, F>().min(vectors.end - j);
                // SAFETY: all three stay within `Sum::extents`, which the caller of `contract` vouches for.
                unsafe {
                    // Wrapping: where there is nothing to sum, there need not be an `a` or a `b`.
                    let a = a.wrapping_add(g * sum.a_group + r * sum.a_row);
                    let b = b.wrapping_add(j * sum.b_block);
                    let c = c.add(g * sum.c_group + r * sum.c_row + j * sum.c_block);
                    let begin = match sum.begin {
                        Begin::Zero => None,
                        Begin::Sums => Some(First { at: c, row: sum.c_row, block: sum.c_block }),
                        Begin::Row(row) => Some(First { at: row.as_ptr().add(j * LANES), row: 0, block: LANES }),
                    };
                    any_tile::<L, F, HALF>(simd, rows, at_once, sum, a, b, c, begin, ahead);
                }
                j += at_once;
            }
            r += rows;
        }
    }
}

/// Rows of the largest tile of one, two, three and four vectors, where there are registers for four; of vectors of sums
/// with two chains, of half as many.
const TILE_ROWS: [usize; 4] = [MOST_TILE_ROWS, MOST_TILE_ROWS, 8, 6];

/// Where what a tile begins with lies, and how far its rows and vectors are apart.
#[derive(Clone, Copy)]
struct First {
    at: *const f32,
    row: usize,
    block: usize,
}

/// Calls the tile compiled for exactly this many rows and vectors.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
unsafe fn any_tile<L: Lanes, F: Factor<L>, const HALF: bool>(
    simd: L,
    rows: usize,
    vectors: usize,
    sum: &Sum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    begin: Option<First>,
    ahead: &mut Prefetch,
) {
    macro_rules! pick {
        ($($r:literal)*; $v:literal) => {
            match rows {
                // SAFETY: passed on from the caller.
                $($r => unsafe { tile::<L, F, $r, $v, HALF>(simd, sum, a, b, c, begin, ahead) },)*
                _ => unreachable!("tiles have at most twelve rows"),
            }
        };
    }
    if HALF {
        return pick!(1 2 3 4 5 6 7 8 9 10 11 12; 1);
    }
    if L::TILE.1 == 1 {
        return pick!(1 2 3 4 5 6; 1);
    }
    match vectors {
        1 => pick!(1 2 3 4 5 6 7 8 9 10 11 12; 1),
        _ if F::CHAINS > 1 => pick!(1 2 3 4 5 6; 2),
        2 => pick!(1 2 3 4 5 6 7 8 9 10 11 12; 2),
        3 => pick!(1 2 3 4 5 6 7 8; 3),
        _ => pick!(1 2 3 4 5 6; 4),
    }
}

/// `R` rows by `V` vectors, all sums held in registers. `HALF`: the second halves of the vectors are padding.
#[inline(always)]
unsafe fn tile<L: Lanes, F: Factor<L>, const R: usize, const V: usize, const HALF: bool>(
    simd: L,
    sum: &Sum,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    begin: Option<First>,
    ahead: &mut Prefetch,
) {
    // SAFETY: the caller vouches for every address formed from `sum`.
    unsafe {
        let mut acc = [[F::begin(simd, simd.zero()); V]; R];
        if let Some(First { at, row, block }) = begin {
            for r in 0..R {
                for v in 0..V {
                    let at = at.add(r * row + v * block);
                    acc[r][v] = F::begin(simd, if HALF { simd.load_half(at) } else { simd.load(at) });
                }
            }
        }
        for segment in sum.segments {
            let mut pa = a.wrapping_add(segment.a);
            let mut pb = b.wrapping_add(segment.b * sum.b_unit);
            let mut left = sum.len;
            while left > 0 {
                let steps = left.min(STRIDE);
                left -= steps;
                ahead.ask();
                for _ in 0..steps {
                    let row: [F::B; V] = std::array::from_fn(|v| F::load(simd, pb.add(v * sum.b_block)));
                    for r in 0..R {
                        let x = F::splat(simd, *pa.add(r * sum.a_row));
                        for v in 0..V {
                            acc[r][v] = match HALF {
                                true => F::multiply_add_half(simd, x, row[v], acc[r][v]),
                                false => F::multiply_add(simd, x, row[v], acc[r][v]),
                            };
                        }
                    }
                    pa = pa.wrapping_add(sum.a_step);
                    pb = pb.wrapping_add(sum.b_step);
                }
                if F::CHAINS > 1 && (left == 0 || (sum.len - left).is_multiple_of(TILE)) {
                    for r in 0..R {
                        for v in 0..V {
                            acc[r][v] = F::end_tile(simd, acc[r][v]);
                        }
                    }
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(c.add(r * sum.c_row + v * sum.c_block), F::end(acc[r][v]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bits_but_for_nan, on_every_isa, pairs_of_bf16, tdpbf16ps, too_large, unpack, values};
    use std::collections::HashSet;

    #[test]
    fn sums_without_vectors_or_rows_touch_nothing() {
        for (rows, vectors) in [(3, 0), (0, 2), (0, 0)] {
            let sum = Sum {
                groups: 1,
                rows,
                vectors,
                a_group: 0,
                a_row: 1,
                c_group: 0,
                c_row: LANES,
                segments: &[Segment { a: 0, b: 0 }],
                len: 2,
                a_step: 1,
                b_unit: 1,
                b_step: LANES,
                b_block: LANES,
                c_block: LANES,
                begin: Begin::Zero,
                half_idle: false,
            };
            for &isa in Isa::available() {
                contract_slices(isa, &sum, &[], &[], &mut [], &mut Prefetch::nothing());
            }
        }
    }

    #[test]
    fn in_tiles_sums_are_those_of_the_unit_on_every_isa() {
        let mut seen = HashSet::new();
        // Rows, vectors, segments, pairs of each. Sizes of products: below the smallest number, usual, above the largest.
        let shapes = [(1, 1, 1, 1), (5, 2, 2, 9), (13, 1, 1, 16), (3, 4, 1, 17), (4, 3, 3, 15), (25, 2, 2, 40)];
        for ((rows, vectors, segments, len), exponent) in
            shapes.into_iter().flat_map(|shape| [-62, -4, 61].map(|exponent| (shape, exponent)))
        {
            let columns = vectors * LANES;
            if too_large(rows * columns * segments * len) {
                continue;
            }
            let a = pairs_of_bf16(rows * segments * len, exponent, 1);
            let b = pairs_of_bf16(segments * len * columns, exponent, 2);
            let scale = 2.0_f32.powi(2 * exponent);
            // Subnormal among them where products are.
            let c: Vec<f32> = values(rows * columns, 3).iter().map(|v| v * scale).collect();
            let bias: Vec<f32> = c.iter().rev().take(columns).copied().collect();
            let all: Vec<Segment> = (0..segments).map(|s| Segment { a: s * len, b: s * len }).collect();
            for begin in [Begin::Zero, Begin::Sums, Begin::Row(&bias)] {
                let mut expected = c.clone();
                for (at, sum) in expected.iter_mut().enumerate() {
                    let (r, j) = (at / columns, at % columns);
                    *sum = match begin {
                        Begin::Zero => 0.0,
                        Begin::Sums => *sum,
                        Begin::Row(row) => row[j],
                    };
                    for segment in 0..segments {
                        let ks: Vec<usize> = (segment * len..(segment + 1) * len).collect();
                        for ks in ks.chunks(16) {
                            let pair = |&k: &usize| [unpack(a[r * segments * len + k]), unpack(b[k * columns + j])];
                            *sum = tdpbf16ps(*sum, &ks.iter().map(pair).collect::<Vec<_>>());
                        }
                    }
                }
                let sum = Sum {
                    groups: 1,
                    rows,
                    vectors,
                    a_group: 0,
                    a_row: segments * len,
                    c_group: 0,
                    c_row: columns,
                    segments: &all,
                    len,
                    a_step: 1,
                    b_unit: columns,
                    b_step: columns,
                    b_block: LANES,
                    c_block: LANES,
                    begin,
                    half_idle: false,
                };
                let expected = bits_but_for_nan(&expected);
                on_every_isa(|isa| {
                    let mut got = c.clone();
                    contract_pair_slices(isa, Order::Tiles, &sum, &a, &b, &mut got, &mut Prefetch::nothing());
                    let got = bits_but_for_nan(&got);
                    for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                        assert!(
                            got == expected,
                            "{}, {rows} rows, {segments} x {len} pairs, 2^{exponent}: {at} is {got:x}, not {expected:x}",
                            isa.name()
                        );
                    }
                    got
                });
                seen.extend(expected);
            }
        }
        for value in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(cfg!(miri) || seen.contains(&value.to_bits()), "none of these sums is {value}");
        }
    }
}
