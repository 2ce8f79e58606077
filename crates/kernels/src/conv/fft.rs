//! Convolution of small feature maps by way of their 16x16 Fourier transforms, and its gradients.
//!
//! Where an image with its padding on one side has at most 16 rows and columns, a circular correlation over 16x16 is
//! the convolution exactly: whatever wraps around meets zeros. A 5x5 convolution of 14x14 maps then takes 520
//! multiplications per pair of channels instead of 4,900, and its rounding error is no larger. For training, this was
//! first done by M. Mathieu, M. Henaff and Y. LeCun, *Fast training of convolutional networks through FFTs*, 2014.
//!
//! At each of 130 frequencies, `Y[n][o] = sum over i of X[n][i] * conj(W[i][o])`. The gradient of the weights is
//! `sum over n of X[n][i] * conj(grad_Y[n][o])`, transformed back, and that of the input is a convolution again
//! ([`Conv2d::phases`]).
//!
//! Spectra lie by frequency, `[130][images][channels]` and `[130][in_channels][out_channels]`, in the complex vectors
//! of `contract_complex`. Between two frequencies is a gap of one cache line: without it, all frequencies of an image
//! would share a few cache sets.

mod gradient;
mod product;
#[cfg(test)]
mod tests;
mod transform;

pub use gradient::{bias_gradient, multiply_gradient, transform_gradient};
pub use product::multiply;
pub use transform::{transform_input, transform_output, transform_weight};

use crate::bf16::Order;
use crate::conv::complex_sum::COMPLEX;
use crate::conv::direct::Conv2d;
use crate::conv::fft16::{BINS, SIZE};
use crate::simd::lanes::LANES;
use std::ops::Range;

/// A convolution done in the frequency domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvFft {
    conv: Conv2d,
    /// In what order products are summed, where spectra are rounded to bf16.
    pairs: Option<Order>,
}

/// Frequencies: the rows of every matrix of spectra.
pub const FREQUENCIES: usize = BINS;

impl ConvFft {
    /// `None` where the convolution does not fit, or is no faster this way: stride 1, whole blocks of channels on both
    /// sides, at least 9 taps, and a padded image of at most 16x16. With `pairs`, spectra are rounded to bf16, the real
    /// and the imaginary part a pair; products and sums, in that order, stay f32.
    pub fn new(conv: &Conv2d, pairs: Option<Order>) -> Option<ConvFft> {
        let (input, (kh, kw)) = (&conv.input, conv.kernel);
        let fits = conv.stride == (1, 1)
            && input.lanes == LANES
            && input.height + conv.padding.0 <= SIZE
            && input.width + conv.padding.1 <= SIZE
            && conv.output.height <= SIZE
            && conv.output.width <= SIZE
            && kh <= SIZE
            && kw <= SIZE;
        // A frequency costs four products per pair of channels; below half of the direct cost it pays.
        let direct = kh * kw * conv.output.height * conv.output.width;
        let worth = 2 * 4 * BINS <= direct && input.channels >= LANES && conv.output.channels >= LANES;
        (fits && worth).then(|| ConvFft { conv: conv.clone(), pairs })
    }

    /// Places of sixteen complex numbers in spectra.
    fn complex(&self) -> usize {
        if self.pairs.is_some() { LANES } else { COMPLEX }
    }

    /// Places of one frequency of one input.
    fn input_row(&self) -> usize {
        self.conv.input.blocks * self.complex()
    }

    /// Places of one frequency of the gradient of one output, or of the weights from one input channel.
    fn grad_row(&self) -> usize {
        self.conv.output.blocks * self.complex()
    }

    /// Elements of one frequency of one output: always f32.
    fn output_row(&self) -> usize {
        self.conv.output.blocks * COMPLEX
    }

    /// Elements from one frequency to the next in the spectra of `images` inputs.
    pub fn input_stride(&self, images: usize) -> usize {
        images * self.input_row() + LANES
    }

    /// Elements of the spectra of `images` inputs.
    pub fn input_len(&self, images: usize) -> usize {
        BINS * self.input_stride(images)
    }

    /// Columns that belong to the images `images`.
    pub fn input_columns(&self, images: Range<usize>) -> Range<usize> {
        images.start * self.input_row()..images.end * self.input_row()
    }

    /// Elements from one frequency to the next in the spectra of `images` outputs.
    fn output_stride(&self, images: usize) -> usize {
        images * self.output_row() + LANES
    }

    /// Elements of the spectra of `images` outputs.
    pub fn output_len(&self, images: usize) -> usize {
        BINS * self.output_stride(images)
    }

    /// Input channels, those that fill up the last block included.
    pub fn input_channels(&self) -> usize {
        self.conv.input.blocks * LANES
    }

    /// Places from one frequency to the next in the spectra of the gradients of `images` outputs.
    fn grad_stride(&self, images: usize) -> usize {
        images * self.grad_row() + LANES
    }

    /// Elements from one frequency to the next in the spectra of the weights.
    pub fn weight_stride(&self) -> usize {
        self.input_channels() * self.grad_row() + LANES
    }

    /// Elements from one frequency to the next in the spectra of the weights' gradient.
    pub fn gradient_stride(&self) -> usize {
        self.input_channels() * self.output_row() + LANES
    }

    /// Elements of the spectra of the weights' gradient: no fewer than of those of the weights.
    pub fn gradient_len(&self) -> usize {
        BINS * self.gradient_stride()
    }

    /// Elements of the spectra of the weights.
    pub fn weight_len(&self) -> usize {
        BINS * self.weight_stride()
    }

    /// Columns of the spectra of the weights that belong to input channel `channel`.
    pub fn weight_columns(&self, channel: usize) -> Range<usize> {
        channel * self.grad_row()..(channel + 1) * self.grad_row()
    }
}
