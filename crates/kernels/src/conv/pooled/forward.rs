//! From the sums of a convolution to what is left of them: the largest of each window, bias and ReLU.

use super::{ConvPool, NOBODY};
use crate::pool::window::largest;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Overwrites the pixels of `y` and `argmax` from the convolution's output without bias, `sums`.
///
/// `sums`, `y`: one image. `bias`: one element per padded channel. `argmax`: [`ConvPool::argmax_len`].
///
/// # Panics
/// If a slice has another length than that.
pub fn pool_forward(isa: Isa, shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    assert_eq!(sums.len(), shape.conv.output.len(), "sums is one image");
    assert_eq!(bias.len(), shape.output.blocks * LANES, "bias has one element per padded channel");
    assert_eq!(y.len(), shape.output.len(), "y is one image");
    assert_eq!(argmax.len(), shape.argmax_len(), "one winner per output");
    dispatch!(isa, pool_body(shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]))
}

#[inline(always)]
fn pool_body<L: Lanes>(simd: L, shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let (from, to) = (&shape.conv.output, &shape.output);
    let mut argmax = argmax.chunks_exact_mut(LANES);
    let floor = simd.splat(shape.floor());
    for block in 0..to.blocks {
        // SAFETY: the slice has a vector.
        let bias = unsafe { simd.load(bias[block * LANES..][..LANES].as_ptr()) };
        for oy in 0..to.height {
            for ox in 0..to.width {
                let first = from.offset(block, oy * shape.window.0, ox * shape.window.1);
                let (best, place) = largest(simd, sums, from, first, shape.window);
                let out = &mut y[to.offset(block, oy, ox)..][..LANES];
                let argmax = argmax.next().expect("one winner per output");
                // SAFETY: both have room for sixteen.
                unsafe { finish(simd, floor, best, place, bias, out.as_mut_ptr(), argmax.as_mut_ptr()) };
            }
        }
    }
}

/// One pooled pixel of a block: the bias for the largest sums of its window, which are at `place` there, and ReLU, if
/// `floor` is its zero ([`ConvPool::floor`]).
///
/// Without a branch, which would keep the sums of a tile from staying in registers.
///
/// # Safety
/// Sixteen elements of `y` and `argmax` are writable.
#[inline(always)]
pub(super) unsafe fn finish<L: Lanes>(
    simd: L,
    floor: L::V,
    best: L::V,
    place: L::V,
    bias: L::V,
    y: *mut f32,
    argmax: *mut u8,
) {
    let value = simd.add(best, bias);
    // A NaN counts as greater than anything, and so stays.
    let winner = simd.select_greater_or_nan(value, floor, place, simd.splat(f32::from(NOBODY)));
    // SAFETY: the caller vouches for both; winners are at most `NOBODY`.
    unsafe {
        simd.store(y, simd.select_greater_or_nan(value, floor, value, floor));
        simd.store_bytes(argmax, winner);
    }
}
