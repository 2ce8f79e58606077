//! The sums of a tile over what is listed.

use crate::simd::lanes::{LANES, Lanes};

/// Which inputs, or which images, a tile sums over: up to `N`.
pub(super) struct Listed<const N: usize> {
    which: [u32; N],
    count: usize,
}

impl<const N: usize> Listed<N> {
    pub(super) fn new() -> Self {
        Listed { which: [0; N], count: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds an entry for each bit that is set: the number of the bit, counted from `first`.
    ///
    /// # Panics
    /// If the list is full.
    #[inline(always)]
    pub(super) fn add(&mut self, mut bits: u64, first: usize) {
        let mut count = self.count;
        assert!(count + bits.count_ones() as usize <= N, "the list has room");
        while bits != 0 {
            self.which[count] = (first + bits.trailing_zeros() as usize) as u32;
            count += 1;
            bits &= bits - 1;
        }
        self.count = count;
    }

    /// Which entries there are.
    #[inline(always)]
    pub(super) fn which(&self) -> &[u32] {
        &self.which[..self.count]
    }
}

/// The terms of the sums of a tile: a vector times a number for each of `R` rows.
pub(super) trait Terms<const R: usize>: Copy {
    /// Where the vectors of the `e`-th term, which is `which`, begin.
    ///
    /// # Safety
    /// There is such a term.
    unsafe fn offset(&self, e: usize, which: u32) -> usize;
    /// What they are multiplied by for row `r`.
    ///
    /// # Safety
    /// There is such a term, and such a row.
    unsafe fn x(&self, which: u32, r: usize) -> f32;
}

/// Goes on from what is at `begin`, in rows of that stride, and sums `R` rows of `vectors` vectors, at most four (one where `Lanes::TILE` has no more), over the list.
///
/// # Safety
/// `terms` has what is listed. The vectors at every offset are readable
/// from `b` on, those at `begin` too, and those at `c`, `c_stride` from row to row, are writable by nobody else.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "which part, the terms, two operands")]
pub(super) unsafe fn sum_listed<L: Lanes, const R: usize>(
    simd: L,
    vectors: usize,
    which: &[u32],
    terms: impl Terms<R>,
    b: *const f32,
    (begin, begin_stride): (*const f32, usize),
    c: *mut f32,
    c_stride: usize,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        match vectors {
            1 => tile::<L, R, 1>(simd, which, terms, b, (begin, begin_stride), c, c_stride),
            2 if L::TILE.1 > 1 => tile::<L, R, 2>(simd, which, terms, b, (begin, begin_stride), c, c_stride),
            3 if L::TILE.1 > 1 => tile::<L, R, 3>(simd, which, terms, b, (begin, begin_stride), c, c_stride),
            4 if L::TILE.1 > 1 => tile::<L, R, 4>(simd, which, terms, b, (begin, begin_stride), c, c_stride),
            _ => unreachable!("no tile has {vectors} vectors"),
        }
    }
}

/// `R` rows by `V` vectors, all sums held in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    simd: L,
    which: &[u32],
    terms: impl Terms<R>,
    b: *const f32,
    (begin, begin_stride): (*const f32, usize),
    c: *mut f32,
    c_stride: usize,
) {
    // SAFETY: the caller vouches for every address.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for r in 0..R {
            for v in 0..V {
                acc[r][v] = simd.load(begin.add(r * begin_stride + v * LANES));
            }
        }
        for (e, &which) in which.iter().enumerate() {
            let b = b.add(terms.offset(e, which));
            let row: [L::V; V] = std::array::from_fn(|v| simd.load(b.add(v * LANES)));
            for r in 0..R {
                let x = simd.splat(terms.x(which, r));
                for v in 0..V {
                    acc[r][v] = simd.fma(x, row[v], acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(c.add(r * c_stride + v * LANES), acc[r][v]);
            }
        }
    }
}

/// Calls what is compiled for exactly this many rows.
macro_rules! any_rows {
    ($rows:expr, $f:ident::<$L:ident> $args:tt) => {
        match $rows {
            1 => $f::<$L, 1> $args,
            2 => $f::<$L, 2> $args,
            3 => $f::<$L, 3> $args,
            4 => $f::<$L, 4> $args,
            5 => $f::<$L, 5> $args,
            6 => $f::<$L, 6> $args,
            7 => $f::<$L, 7> $args,
            8 => $f::<$L, 8> $args,
            _ => unreachable!("no tile has so many rows"),
        }
    };
}
pub(super) use any_rows;
