//! Dot products of rows with rows: the gradient of the input of a linear layer.
//!
//! Lanes run along the outputs, and what they hold is added as a tree at the end. For layers of a few hundred outputs
//! that end takes as long as the products if each sum is drawn together by itself: here four are at a time.

use crate::arena::Columns;
use crate::contract::Factor;
use crate::prefetch::Prefetch;
use crate::simd::lanes::{LANES, Lanes};

/// Inputs of a tile: a block of 18 is three of them.
const INPUTS: usize = 6;

/// The most rows of a tile on any instruction set ([`Lanes::DOT_ROWS`]).
const MAX_ROWS: usize = 4;

/// How often [`dots`] asks for what is [`Prefetch`], at least.
pub(crate) fn dots_calls(inputs: usize, rows: usize) -> usize {
    inputs.div_ceil(INPUTS) * rows.div_ceil(MAX_ROWS)
}

/// Dot products of `rows` rows of `grad_y` with `inputs` rows of `weight`, over `width` elements.
pub(crate) struct Dots {
    pub(crate) inputs: usize,
    pub(crate) rows: usize,
    /// Whole vectors.
    pub(crate) width: usize,
    pub(crate) grad_y_stride: usize,
    pub(crate) weight_stride: usize,
}

/// Overwrites `grad_x[n][i]` with the dot product of row n of `grad_y` and row i of `weight`.
///
/// # Safety
/// The rows are readable.
///
/// # Panics
/// If `grad_x` has fewer rows or other columns.
#[inline(always)]
pub(crate) unsafe fn dots<L: Lanes, F: Factor<L, Sum = L::V>>(
    simd: L,
    what: &Dots,
    grad_y: *const f32,
    weight: *const f32,
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    assert!(
        grad_x.rows() >= what.rows && grad_x.columns() == what.inputs,
        "grad_x is [{}, {}]",
        what.rows,
        what.inputs
    );
    // SAFETY: passed on from the caller.
    unsafe {
        match L::DOT_ROWS {
            MAX_ROWS => tiles::<L, F, MAX_ROWS>(simd, what, grad_y, weight, grad_x, ahead),
            _ => tiles::<L, F, 2>(simd, what, grad_y, weight, grad_x, ahead),
        }
    }
}

/// `R` rows, an even number, by six inputs at a time.
///
/// # Safety
/// As for [`dots`].
#[inline(always)]
unsafe fn tiles<L: Lanes, F: Factor<L, Sum = L::V>, const R: usize>(
    simd: L,
    what: &Dots,
    grad_y: *const f32,
    weight: *const f32,
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    let Dots { inputs, rows, width, .. } = *what;
    let (out, stride) = (grad_x.as_mut_ptr(), grad_x.stride());
    for i in (0..inputs).step_by(INPUTS) {
        // A tile that hangs over the edge computes its last row or input several times and stores it once.
        let input = |s: usize| weight.wrapping_add((i + s).min(inputs - 1) * what.weight_stride);
        let w: [*const f32; INPUTS] = std::array::from_fn(input);
        for n in (0..rows).step_by(R) {
            ahead.ask();
            let row = |r: usize| grad_y.wrapping_add((n + r).min(rows - 1) * what.grad_y_stride);
            let g: [*const f32; R] = std::array::from_fn(row);
            // SAFETY: these are pointers to rows of `width` elements, which the caller vouches for.
            let sums = unsafe {
                if F::HALVES {
                    // One half after the other: the sums of both would not fit the registers.
                    let low = half_sums::<L, F, R>(simd, g, w, width, 0);
                    let high = half_sums::<L, F, R>(simd, g, w, width, LANES / 2);
                    std::array::from_fn(|r| std::array::from_fn(|s| simd.join(low[r][s], high[r][s])))
                } else {
                    whole_sums::<L, F, R>(simd, g, w, width)
                }
            };
            for r in (0..R.min(rows - n)).step_by(2) {
                let [a, b]: [[L::V; INPUTS]; 2] = [sums[r], sums[r + 1]];
                let of_a = simd.sums([a[0], a[1], a[2], a[3]]);
                let of_b = simd.sums([b[0], b[1], b[2], b[3]]);
                let last = simd.sums([a[4], a[5], b[4], b[5]]);
                // SAFETY: row n + r is one of `grad_x`, which has `inputs` columns, and so is the one after it if it is
                // below `rows`.
                unsafe {
                    let to = out.add((n + r) * stride + i);
                    put(to, inputs - i, of_a, [last[0], last[1]]);
                    if n + r + 1 < rows {
                        put(to.add(stride), inputs - i, of_b, [last[2], last[3]]);
                    }
                }
            }
        }
    }
}

/// Writes the first `room` of six sums.
///
/// # Safety
/// They are writable at `to`.
#[inline(always)]
unsafe fn put(to: *mut f32, room: usize, first: [f32; 4], last: [f32; 2]) {
    // SAFETY: promised by the caller.
    unsafe {
        if room >= INPUTS {
            // By parts: they come from registers of their own.
            to.cast::<[f32; 4]>().write(first);
            to.add(4).cast::<[f32; 2]>().write(last);
        } else {
            let all = [first[0], first[1], first[2], first[3], last[0], last[1]];
            (0..room).for_each(|s| to.add(s).write(all[s]));
        }
    }
}

/// # Safety
/// `width` elements are readable from each of `g` and `w` on.
#[inline(always)]
unsafe fn whole_sums<L: Lanes, F: Factor<L, Sum = L::V>, const R: usize>(
    simd: L,
    g: [*const f32; R],
    w: [*const f32; INPUTS],
    width: usize,
) -> [[L::V; INPUTS]; R] {
    let mut acc = [[simd.zero(); INPUTS]; R];
    for v in (0..width).step_by(LANES) {
        // SAFETY: promised by the caller.
        unsafe {
            let gv: [F::B; R] = std::array::from_fn(|r| F::load(simd, g[r].add(v)));
            for s in 0..INPUTS {
                let wv = F::load(simd, w[s].add(v));
                for r in 0..R {
                    acc[r][s] = F::multiply_add(simd, gv[r], wv, acc[r][s]);
                }
            }
        }
    }
    acc
}

/// The sums over half of the lanes, from lane `first` on: only the first halves of the vectors mean anything.
///
/// # Safety
/// As for [`whole_sums`].
#[inline(always)]
unsafe fn half_sums<L: Lanes, F: Factor<L, Sum = L::V>, const R: usize>(
    simd: L,
    g: [*const f32; R],
    w: [*const f32; INPUTS],
    width: usize,
    first: usize,
) -> [[L::V; INPUTS]; R] {
    let mut acc = [[simd.zero(); INPUTS]; R];
    for v in (first..width).step_by(LANES) {
        // SAFETY: promised by the caller.
        unsafe {
            let gv: [F::B; R] = std::array::from_fn(|r| F::load_half(simd, g[r].add(v)));
            for s in 0..INPUTS {
                let wv = F::load_half(simd, w[s].add(v));
                for r in 0..R {
                    acc[r][s] = F::multiply_add_half(simd, gv[r], wv, acc[r][s]);
                }
            }
        }
    }
    acc
}
