//! Sixteen f32 lanes, the unit in which every kernel is written.
//!
//! A kernel body is generic over [`Lanes`] and compiled three times (see `dispatch!`). The number of lanes is sixteen
//! on every instruction set, so the order of every sum, and with it every bit, is the same everywhere; AVX2 holds a
//! vector in two registers, portable code in an array.
//!
//! A value of such a type is the proof that this processor has the instructions, and the only way to them: `dispatch!`,
//! which has asked, makes it and hands it to the body, which hands it on. It takes no room. The methods must be inlined
//! into a function with the right target features, hence `inline(always)` throughout.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// Lanes of one vector.
pub const LANES: usize = 16;

/// The operations that kernels need, and no more. Comparisons yield all-ones or all-zero lanes.
pub(crate) trait Lanes: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Sixteen pairs of bf16; in memory each takes the place of an f32, its first number in the low half.
    type P: Copy;
    /// Sixteen u32; lane numbers among others.
    type U: Copy;
    /// Largest register tile of [`crate::contract`], rows by vectors; of fewer vectors it has more rows where there are
    /// four.
    const TILE: (usize, usize);
    /// Rows of the largest register tile of half a vector; 0 where that takes as long as a whole one.
    const HALF_TILE: usize = 0;
    /// Largest register tile of `conv::complex_sum`: rows by complex vectors.
    const COMPLEX_TILE: (usize, usize);
    /// Rows of the largest register tile of dot products, an even number; by six.
    const DOT_ROWS: usize;

    /// # Safety
    /// Sixteen f32 are readable at `p`.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// # Safety
    /// Sixteen f32 are writable at `p`.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    fn splat(self, x: f32) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b + c` in the first half of the lanes, where the others of `c` are zero and stay so; they may be computed
    /// too, with zeros in `b`.
    #[inline(always)]
    fn fma_half(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.fma(a, b, c)
    }
    /// Sixteen f32, the second half of which are zero.
    ///
    /// # Safety
    /// As for [`Lanes::load`]; where [`Lanes::HALF_TILE`] is not 0, eight f32 are enough.
    #[inline(always)]
    unsafe fn load_half(self, p: *const f32) -> Self::V {
        // SAFETY: promised by the caller.
        unsafe { self.load(p) }
    }
    /// `c - a * b`, rounded once.
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane `if a > b or a is NaN { x } else { y }`.
    fn select_greater_or_nan(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Lane by lane `if a == b { x } else { y }`.
    fn select_equal(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Stores each lane, a whole number in 0..256, as a byte.
    ///
    /// # Safety
    /// Sixteen bytes are writable at `p`.
    unsafe fn store_bytes(self, p: *mut u8, v: Self::V);
    /// Sixteen bytes as numbers.
    ///
    /// # Safety
    /// Sixteen bytes are readable at `p`.
    unsafe fn load_bytes(self, p: *const u8) -> Self::V;
    /// # Safety
    /// Sixteen pairs, in the place of sixteen f32, are readable at `p`.
    unsafe fn load_pairs(self, p: *const f32) -> Self::P;
    /// # Safety
    /// Sixteen pairs are writable at `p`.
    unsafe fn store_pairs(self, p: *mut f32, v: Self::P);
    /// Sixteen times the pair that has the bits of `pair`.
    fn splat_pair(self, pair: f32) -> Self::P;
    /// Lane l holds the pair `(first[l], second[l])`, rounded to the nearest bf16, ties to even, subnormals to zero.
    fn pack(self, first: Self::V, second: Self::V) -> Self::P;
    /// Thirty-two numbers that follow each other, rounded like [`Lanes::pack`], as sixteen pairs of neighbours.
    fn pack_neighbours(self, low: Self::V, high: Self::V) -> Self::P;
    /// Lane by lane `(a, b)` to `(-b, a)`.
    fn turn(self, pairs: Self::P) -> Self::P;
    /// Lane by lane the sum of `c`, the product of the second numbers, and then that of the first ones; rounded twice,
    /// subnormals taken and given as zero: what `vdpbf16ps` does.
    fn dot(self, a: Self::P, b: Self::P, c: Self::V) -> Self::V;
    /// Lane by lane `first` plus the product of the first numbers, and `second` plus that of the second ones; rounded once
    /// each, subnormals given as zero, where none is among what is given: a step within a tile of `tdpbf16ps`.
    fn dot_apart(self, a: Self::P, b: Self::P, first: Self::V, second: Self::V) -> (Self::V, Self::V);
    /// `a + b`, subnormals taken and given as zero.
    fn add_flushed(self, a: Self::V, b: Self::V) -> Self::V;
    /// Eight f32 from each of two places.
    ///
    /// # Safety
    /// Eight f32 are readable at `low` and at `high`.
    unsafe fn load_halves(self, low: *const f32, high: *const f32) -> Self::V;
    /// Whole numbers as lane numbers.
    fn index(self, v: Self::V) -> Self::U;
    /// The lane numbers plus one.
    fn next(self, index: Self::U) -> Self::U;
    /// Sixteen times `x`.
    fn splat_u32(self, x: u32) -> Self::U;
    /// `first` and the fifteen numbers that follow it, modulo 2^32.
    fn count_from(self, first: u32) -> Self::U;
    /// Lane by lane the high and the low half of `a * b`.
    fn mul_wide(self, a: Self::U, b: u32) -> (Self::U, Self::U);
    fn xor(self, a: Self::U, b: Self::U) -> Self::U;
    /// A bit for each lane that is `bound` or more.
    fn at_least(self, a: Self::U, bound: u32) -> u32;
    /// Lane by lane what `v` holds where the lane's bit is set, and 0 where it is not.
    fn keep(self, bits: u32, v: Self::V) -> Self::V;
    /// Lane by lane the lane `index % 16` of `v`.
    fn pick(self, v: Self::V, index: Self::U) -> Self::V;
    /// Lanes of `a` and `b` in turn: those of their first halves, then of their second ones.
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// A bit for each lane that is not zero, NaN among them.
    fn nonzero(self, a: Self::V) -> u32;
    /// Sum of the lanes as a fixed tree: lane l with l+8, then l+4, l+2, l+1.
    fn sum(self, a: Self::V) -> f32;
    /// [`Lanes::sum`] of each.
    #[inline(always)]
    fn sums(self, a: [Self::V; 4]) -> [f32; 4] {
        a.map(|a| self.sum(a))
    }
    /// The first half of `low`, and behind it that of `high`. Asked for only where [`Lanes::HALF_TILE`] is not 0.
    #[inline(always)]
    fn join(self, _low: Self::V, _high: Self::V) -> Self::V {
        unreachable!("there are no halves")
    }
    /// Bit i says whether byte i is not zero.
    ///
    /// # Safety
    /// 64 bytes are readable at `p`.
    unsafe fn nonzero_bytes(self, p: *const u8) -> u64;

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }
}

/// Lane i of vector j becomes lane j of vector i.
#[inline(always)]
pub(crate) fn transpose<L: Lanes>(simd: L, mut rows: [L::V; LANES]) -> [L::V; LANES] {
    // Each round puts vectors i and i + 8 together, lane by lane: after four, every bit of a lane's place has moved on
    // from the number of its vector to the place in it.
    for _ in 0..4 {
        let mut next = rows;
        for i in 0..LANES / 2 {
            (next[2 * i], next[2 * i + 1]) = simd.interleave(rows[i], rows[i + LANES / 2]);
        }
        rows = next;
    }
    rows
}

/// Asks for the cache line of `p` to be brought into L2. Any address will do: one that is not there is ignored.
#[inline(always)]
pub(crate) fn prefetch(p: *const f32) {
    // Miri knows no such instruction.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch has no effect but on time.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = p;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::isa::{dispatch, dispatch_pairs};
    use crate::testing::{on_every_isa, values};

    fn pair_operations<L: Lanes>(simd: L, x: &[f32]) -> Vec<u32> {
        let mut out = [0.0_f32; 8 * LANES];
        // SAFETY: `x` has three vectors, `out` eight.
        unsafe {
            let (a, b, c) =
                (simd.load(x.as_ptr()), simd.load(x.as_ptr().add(LANES)), simd.load(x.as_ptr().add(2 * LANES)));
            let (p, q) = (simd.pack(a, b), simd.pack_neighbours(b, c));
            simd.store_pairs(out.as_mut_ptr(), p);
            simd.store_pairs(out.as_mut_ptr().add(LANES), q);
            simd.store_pairs(out.as_mut_ptr().add(2 * LANES), simd.turn(p));
            simd.store(out.as_mut_ptr().add(3 * LANES), simd.dot(p, q, c));
            simd.store(
                out.as_mut_ptr().add(4 * LANES),
                simd.dot(simd.splat_pair(out[1]), simd.load_pairs(out.as_ptr()), c),
            );
            let (first, second) = simd.dot_apart(p, q, simd.zero(), simd.zero());
            let (first, second) = simd.dot_apart(q, p, first, second);
            simd.store(out.as_mut_ptr().add(5 * LANES), first);
            simd.store(out.as_mut_ptr().add(6 * LANES), second);
            simd.store(out.as_mut_ptr().add(7 * LANES), simd.add_flushed(first, c));
        }
        out.iter().map(|v| v.to_bits()).collect()
    }

    fn transposed<L: Lanes>(simd: L, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; LANES * LANES];
        // SAFETY: there are sixteen rows of sixteen numbers in both.
        unsafe {
            let rows = transpose(simd, std::array::from_fn(|i| simd.load(x[i * LANES..].as_ptr())));
            for (i, row) in rows.into_iter().enumerate() {
                simd.store(out[i * LANES..].as_mut_ptr(), row);
            }
        }
        out
    }

    #[test]
    fn rows_become_columns_on_every_isa() {
        let x: Vec<f32> = (0..LANES * LANES).map(|i| i as f32).collect();
        let x = &x[..];
        on_every_isa(|isa| {
            let turned: Vec<f32> = dispatch!(isa, transposed(x: &[f32]) -> Vec<f32>);
            for (i, j) in (0..LANES).flat_map(|i| (0..LANES).map(move |j| (i, j))) {
                assert_eq!(turned[j * LANES + i], x[i * LANES + j]);
            }
            Vec::new()
        });
    }

    #[test]
    fn pairs_have_the_same_bits_on_every_isa() {
        for salt in (0..200).step_by(if cfg!(miri) { 40 } else { 1 }) {
            // From numbers that vanish to numbers that overflow, and exact ties of the rounding.
            let scale = 2.0_f32.powi(salt as i32 * 254 / 200 - 127);
            let mut x: Vec<f32> = values(3 * LANES, salt).iter().map(|v| v * scale).collect();
            x[3] = f32::from_bits(0x3F80_8000 + salt * 0x0001_0000);
            x[4] = 0.0;
            x[5] = -0.0;
            let x = x.as_slice();
            on_every_isa(|isa| dispatch_pairs!(isa, pair_operations(x: &[f32]) -> Vec<u32>));
        }
    }

    #[test]
    fn pairs_are_rounded_to_nearest_even() {
        let mut x = [0.0; 3 * LANES];
        // In units of the last place of a bf16 at 1: 1/2 is a tie to even, 3/2 too, 3/4 goes up.
        let ulp = 2.0_f32.powi(-7);
        (x[0], x[1], x[2], x[3]) = (1.0 + 0.5 * ulp, 1.0 + 1.5 * ulp, 1.0 + 0.75 * ulp, f32::NAN);
        x[4] = f32::MIN_POSITIVE / 2.0;
        let bits = pair_operations(Portable, &x);
        assert_eq!(bits[..5], [0x3F80, 0x3F82, 0x3F81, 0x7FC0, 0]);
        // (first, second) to (-second, first).
        assert_eq!(bits[2 * LANES], 0x3F80_8000);
    }
}
