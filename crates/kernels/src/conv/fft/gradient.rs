//! Gradients of the weights and of the bias, from the spectra of inputs and of the outputs' gradients.

use super::ConvFft;
use super::transform::{lag, load_complex};
use crate::arena::Columns;
use crate::conv::complex_sum::{COMPLEX, ComplexSum, contract_complex};
#[cfg(doc)]
use crate::conv::direct::Conv2d;
use crate::conv::fft16::{BINS, GAIN, SIZE, inverse};
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::cell::Cell;
use std::ops::Range;

/// Overwrites the frequencies `bins` of the spectra of the weights' gradient, `bins.len()` times
/// [`ConvFft::gradient_stride`] elements.
///
/// `spectra` and `grad_spectra`: of the inputs and of the gradients of the outputs, with room for `batch` images each,
/// of which the first `images` count. The latter are those of [`Conv2d::grad_output`] as the input of the transposed
/// convolution.
///
/// # Panics
/// If a slice has another length than that, there are no such frequencies, or more images than room.
#[expect(clippy::too_many_arguments, reason = "three operands with their sizes")]
pub fn multiply_gradient(
    isa: Isa,
    shape: &ConvFft,
    bins: Range<usize>,
    images: usize,
    batch: usize,
    spectra: &[f32],
    grad_spectra: &[f32],
    out: &mut [f32],
) {
    assert!(bins.end <= BINS && images <= batch, "frequencies {bins:?}, {images} images of {batch}");
    assert_eq!(spectra.len(), shape.input_len(batch), "spectra of {batch} images");
    assert_eq!(grad_spectra.len(), BINS * shape.grad_stride(batch), "spectra of {batch} gradients");
    assert_eq!(out.len(), bins.len() * shape.gradient_stride(), "frequencies {bins:?} of the weights");
    let sum = ComplexSum {
        rows: LANES,
        vectors: shape.conv.output.blocks,
        a_row: 1,
        c_row: shape.output_row(),
        segments: 1,
        a_segment: 0,
        b_segment: 0,
        len: images,
        a_step: shape.input_row(),
        b_step: shape.grad_row(),
    };
    let (a_end, b_end, c_end) = sum.extents(shape.pairs.is_some());
    for (out, bin) in out.chunks_exact_mut(shape.gradient_stride()).zip(bins) {
        let b = &grad_spectra[bin * shape.grad_stride(batch)..][..b_end];
        for block in 0..shape.conv.input.blocks {
            let a = &spectra[bin * shape.input_stride(batch) + block * shape.complex()..][..a_end];
            let c = &mut out[block * LANES * shape.output_row()..][..c_end];
            // SAFETY: the slices cover the sum, and `c` is borrowed mutably.
            unsafe { contract_complex(isa, &sum, shape.pairs, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
        }
    }
}

/// What a transform cannot resolve: a unit in the last place of the norm of the plane (see [`transform_gradient`]).
/// The inverse multiplies by 256, and by Parseval the norm of a spectrum is 16 times that of its plane.
const ROUNDING: f32 = f32::EPSILON * 256.0 / 16.0;

/// Overwrites the gradient of the weights from input channel `channel` to the output channels of panel `panel`: `out`
/// has a row for each tap, whose columns are those of the panel. `spectra`: what [`multiply_gradient`] gives.
///
/// A value smaller than the rounding of the whole plane becomes zero. Where no input ever met a gradient, the exact
/// value is zero, and Adam, which divides by the size of a gradient, would make a full step of the rounding: on the
/// full-size `cnn2` ten losses of ten steps then differ from PyTorch's by 2.7e-5, and by 1.0e-6 so (the same for any
/// bound from half of this one to sixteen times as much).
///
/// # Panics
/// If `spectra` has not [`ConvFft::gradient_len`] elements, `out` has another size, or there is no such channel.
pub fn transform_gradient(
    isa: Isa,
    shape: &ConvFft,
    channel: usize,
    panel: usize,
    spectra: &[f32],
    out: &mut Columns<'_, f32>,
) {
    let (kh, kw) = shape.conv.kernel;
    assert_eq!(spectra.len(), shape.gradient_len(), "spectra of the weights' gradient");
    assert!(channel < shape.input_channels(), "channel {channel}");
    assert_eq!((out.rows(), out.columns()), (kh * kw, shape.conv.weight().width(panel)), "the taps of one panel");
    dispatch!(isa, transform_gradient_body(shape: &ConvFft, channel: usize, panel: usize, spectra: &[f32], out: &mut Columns<'_, f32>))
}

#[inline(always)]
fn transform_gradient_body<L: Lanes>(
    simd: L,
    shape: &ConvFft,
    channel: usize,
    panel: usize,
    spectra: &[f32],
    out: &mut Columns<'_, f32>,
) {
    let ((kh, kw), padding) = (shape.conv.kernel, shape.conv.padding);
    let scale = simd.splat(1.0 / GAIN);
    for column in (0..out.columns()).step_by(LANES) {
        let first = shape.conv.weight().columns(panel).start;
        let at = channel * shape.output_row() + (first + column) / LANES * COMPLEX;
        let norm = Cell::new(simd.zero());
        let load = |bin: usize| {
            let (re, im) = load_complex(simd, &spectra[bin * shape.gradient_stride() + at..][..COMPLEX]);
            norm.set(simd.fma(re, re, simd.fma(im, im, norm.get())));
            (re, im)
        };
        inverse(simd, (0..kh).map(|ky| lag(ky, padding.0)), load, |row, values| {
            let least = simd.mul(simd.splat(ROUNDING * ROUNDING), norm.get());
            let ky = (row + padding.0) % SIZE;
            for kx in 0..kw {
                let tap = &mut out.row_mut(ky * kw + kx)[column..][..LANES];
                let value = values[lag(kx, padding.1)];
                let resolved = simd.select_greater_or_nan(simd.mul(value, value), least, value, simd.zero());
                // A norm that has overflowed hides nothing: it makes a NaN.
                let resolved = simd.fma(least, simd.zero(), resolved);
                // SAFETY: the slice holds a vector.
                unsafe { simd.store(tap.as_mut_ptr(), simd.mul(scale, resolved)) };
            }
        });
    }
}

/// Overwrites `sums[o]` with the sum of `grad_y[o]` over images and pixels, the gradient of the bias: that is half of
/// what the lowest frequency of `grad_spectra` holds (see [`multiply_gradient`]).
///
/// `sums`: one element per padded channel.
///
/// # Panics
/// If a slice has another length than that, or there are more images than room.
pub fn bias_gradient(shape: &ConvFft, images: usize, batch: usize, grad_spectra: &[f32], sums: &mut [f32]) {
    assert!(images <= batch, "{images} images of {batch}");
    assert_eq!(grad_spectra.len(), BINS * shape.grad_stride(batch), "spectra of {batch} gradients");
    assert_eq!(sums.len(), shape.conv.output.blocks * LANES, "one sum per padded channel");
    sums.fill(0.0);
    let real = |value: f32| if shape.pairs.is_some() { f32::from_bits(value.to_bits() << 16) } else { value };
    for image in grad_spectra.chunks_exact(shape.grad_row()).take(images) {
        for (sums, lowest) in sums.chunks_exact_mut(LANES).zip(image.chunks_exact(shape.complex())) {
            sums.iter_mut().zip(lowest).for_each(|(sum, re)| *sum += real(*re));
        }
    }
    sums.iter_mut().for_each(|sum| *sum *= 0.5);
}
