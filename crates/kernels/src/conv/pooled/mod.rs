//! Convolution, bias, max-pooling and ReLU as one, and what that saves backward.
//!
//! `y = max(0, bias + max over the window of conv(x))`: the maximum is taken first, because bias and ReLU keep the
//! order, in whichever order the layers are written. So do tanh and sigmoid, which the caller applies to the few
//! numbers that are left. Backward, the gradient of the convolution's output is zero except at the winner of each
//! window, and there too where ReLU cut it off: for 2x2 windows at least three quarters of it. The weight gradient is
//! summed over the others alone.
//!
//! Who wins is decided by the sums of the convolution. Where activations are equal and the sums are not (two of a
//! window that tanh saturates), the larger sum has the gradient, not the first of the equal ones.

pub mod forward;
mod seen;
#[cfg(test)]
mod tests;
pub mod tiles;
pub mod unpool;
pub mod weight;
pub mod weight_small_in;

use crate::conv::direct::Conv2d;
use crate::planes::Planes;
use crate::simd::lanes::LANES;
use std::ops::Range;

/// The winner of a window that ReLU cut off.
const NOBODY: u8 = u8::MAX;

/// Vectors of a (block, ky) run that the weight gradient keeps in registers at most.
const MAX_RUN_VECTORS: usize = 5;

/// A convolution with max-pooling over windows that do not overlap, and perhaps ReLU before or behind that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvPool {
    /// The convolution; its output has no border.
    conv: Conv2d,
    /// Height and width of a window.
    window: (usize, usize),
    /// The pooled output.
    output: Planes,
    /// Whether ReLU is part of it.
    relu: bool,
}

impl ConvPool {
    /// `None` if these shapes are not worth fusing: a run of taps is then too long for the registers.
    ///
    /// # Panics
    /// If `output` is not what is left of the convolution's output after pooling, or that is not in blocks of 16
    /// channels.
    pub fn new(conv: Conv2d, window: (usize, usize), output: Planes, relu: bool) -> Option<ConvPool> {
        let fits = conv.run_len().div_ceil(LANES) <= MAX_RUN_VECTORS
            && window.0 * window.1 < usize::from(NOBODY)
            && conv.input.len() < u32::MAX as usize;
        assert_eq!(conv.output.lanes, LANES, "outputs are blocks of {LANES} channels");
        assert_eq!(output.height, conv.output.height / window.0, "rows of windows");
        assert_eq!(output.width, conv.output.width / window.1, "columns of windows");
        assert_eq!(output.channels, conv.output.channels, "channels");
        fits.then_some(ConvPool { conv, window, output, relu })
    }

    /// The convolution; its output has no border.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The pooled output.
    pub fn output(&self) -> &Planes {
        &self.output
    }

    /// What a pooled value must be above to have a winner, and becomes where it is not: zero for ReLU, and without it
    /// the lowest there is, so that a winner is missing only where all sums are negative infinity.
    fn floor(&self) -> f32 {
        if self.relu { 0.0 } else { f32::NEG_INFINITY }
    }

    /// Windows of one channel.
    fn windows(&self) -> usize {
        self.output.height * self.output.width
    }

    /// The outputs of a block, in the order of the winners.
    fn outputs_of(&self, block: usize) -> Range<usize> {
        block * self.windows() * LANES..(block + 1) * self.windows() * LANES
    }

    /// Winners of one image: one byte per output, in the order block, row, column, lane.
    pub fn argmax_len(&self) -> usize {
        self.output.blocks * self.windows() * LANES
    }

    /// Elements beyond the last image that may be read, though not used.
    pub fn slack(&self) -> usize {
        LANES
    }
}
