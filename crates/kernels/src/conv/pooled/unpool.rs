//! The gradient of what was pooled, spread out again.

use super::ConvPool;
use crate::pool::window::to_winner;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Overwrites the pixels of `spread` (one image of [`crate::conv::direct::Conv2d::grad_output`]) with the gradient of
/// the convolution's output: that of each window, without border in `grad_y`, at its winner.
///
/// `grad_y`, `argmax`: [`ConvPool::argmax_len`].
///
/// # Panics
/// If a slice has another length than that.
pub fn unpool(isa: Isa, shape: &ConvPool, grad_y: &[f32], argmax: &[u8], spread: &mut [f32]) {
    assert_eq!(grad_y.len(), shape.argmax_len(), "one gradient per output");
    assert_eq!(argmax.len(), shape.argmax_len(), "one winner per output");
    assert_eq!(spread.len(), shape.conv.grad_output().len(), "spread is one image");
    dispatch!(isa, unpool_body(shape: &ConvPool, grad_y: &[f32], argmax: &[u8], spread: &mut [f32]))
}

#[inline(always)]
fn unpool_body<L: Lanes>(simd: L, shape: &ConvPool, grad_y: &[f32], argmax: &[u8], spread: &mut [f32]) {
    let (planes, to) = (shape.conv.grad_output(), &shape.output);
    // Border, gaps and what no window covers.
    spread.fill(0.0);
    let mut outputs = grad_y.chunks_exact(LANES).zip(argmax.chunks_exact(LANES));
    for block in 0..to.blocks {
        for oy in 0..to.height {
            for ox in 0..to.width {
                let (gradient, winner) = outputs.next().expect("one per output");
                // SAFETY: both hold sixteen.
                let (gradient, winner) = unsafe { (simd.load(gradient.as_ptr()), simd.load_bytes(winner.as_ptr())) };
                let first = planes.offset(block, oy * shape.window.0, ox * shape.window.1);
                to_winner(simd, gradient, winner, &planes, first, shape.window, |at, share| {
                    // SAFETY: the slice holds a vector.
                    unsafe { simd.store(spread[at..][..LANES].as_mut_ptr(), share) };
                });
            }
        }
    }
}
