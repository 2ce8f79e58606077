//! Weights and images to the frequency domain, and images back.

use super::ConvFft;
use crate::arena::Columns;
use crate::conv::complex_sum::COMPLEX;
#[cfg(doc)]
use crate::conv::direct::Conv2d;
use crate::conv::fft16::{BINS, GAIN, SIZE, forward, inverse, load_row};
use crate::simd::isa::{Isa, dispatch, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};

/// Overwrites the columns of input channel `channel` of the spectra of the weights ([`ConvFft::weight_columns`]).
///
/// `weight`: [`Conv2d::weight`].
///
/// # Panics
/// If `weight` or `out` has another size, or there is no such channel.
pub fn transform_weight(isa: Isa, shape: &ConvFft, channel: usize, weight: &[f32], out: &mut Columns<'_, f32>) {
    assert_eq!(weight.len(), shape.conv.weight().len(), "weight is {:?}", shape.conv.weight());
    assert!(channel < shape.input_channels(), "channel {channel}");
    assert_eq!((out.rows(), out.columns()), (BINS, shape.grad_row()), "one channel of every frequency");
    dispatch_pairs!(isa, transform_weight_body(shape: &ConvFft, channel: usize, weight: &[f32], out: &mut Columns<'_, f32>))
}

#[inline(always)]
fn transform_weight_body<L: Lanes>(
    simd: L,
    shape: &ConvFft,
    channel: usize,
    weight: &[f32],
    out: &mut Columns<'_, f32>,
) {
    let (conv, panels) = (&shape.conv, shape.conv.weight());
    let (kh, kw) = conv.kernel;
    let scale = simd.splat(1.0 / GAIN);
    for block in 0..conv.output.blocks {
        let (start, stride) = (panels.index(0, block * LANES), panels.width(panels.panel_of(block * LANES)));
        let taps = |y: usize| {
            let mut row = [simd.zero(); SIZE];
            for kx in 0..kw {
                let ky = (y + conv.padding.0) % SIZE;
                let at = start + conv.weight_row(channel, ky, kx) * stride;
                // SAFETY: sixteen output channels lie together within the panel.
                row[lag(kx, conv.padding.1)] = simd.mul(scale, unsafe { simd.load(weight[at..at + LANES].as_ptr()) });
            }
            row
        };
        forward(simd, (0..kh).map(|ky| lag(ky, conv.padding.0)), taps, |bin, re, im| {
            store_complex(simd, &mut out.row_mut(bin)[block * shape.complex()..][..shape.complex()], re, im);
        });
    }
}

/// Where tap `k` lies in a plane: it sees the input at an offset of `k - padding`, modulo 16.
pub(super) fn lag(k: usize, padding: usize) -> usize {
    (k + SIZE - padding) % SIZE
}

#[inline(always)]
fn store_complex<L: Lanes>(simd: L, out: &mut [f32], re: L::V, im: L::V) {
    // SAFETY: the slice holds a vector of pairs, or two vectors.
    unsafe {
        if out.len() == LANES {
            return simd.store_pairs(out.as_mut_ptr(), simd.pack(re, im));
        }
        assert_eq!(out.len(), COMPLEX, "one complex vector");
        simd.store(out.as_mut_ptr(), re);
        simd.store(out.as_mut_ptr().add(LANES), im);
    }
}

#[inline(always)]
pub(super) fn load_complex<L: Lanes>(simd: L, from: &[f32]) -> (L::V, L::V) {
    assert_eq!(from.len(), COMPLEX, "one complex vector");
    // SAFETY: the slice holds two vectors.
    unsafe { (simd.load(from.as_ptr()), simd.load(from.as_ptr().add(LANES))) }
}

/// Overwrites the spectra of one image: `out` holds its columns ([`ConvFft::input_columns`]) of every frequency.
///
/// `x`: one image of [`Conv2d::input`].
///
/// # Panics
/// If `x` or `out` has another size.
pub fn transform_input(isa: Isa, shape: &ConvFft, x: &[f32], out: &mut Columns<'_, f32>) {
    assert_eq!(x.len(), shape.conv.input.len(), "x is one image");
    assert_eq!((out.rows(), out.columns()), (BINS, shape.input_row()), "one image of every frequency");
    dispatch_pairs!(isa, transform_input_body(shape: &ConvFft, x: &[f32], out: &mut Columns<'_, f32>))
}

#[inline(always)]
fn transform_input_body<L: Lanes>(simd: L, shape: &ConvFft, x: &[f32], out: &mut Columns<'_, f32>) {
    let input = &shape.conv.input;
    for block in 0..input.blocks {
        let rows = |y: usize| {
            let row = &x[input.offset(block, y, 0)..][..(input.width - 1) * input.pixel + LANES];
            // SAFETY: the slice holds the row's pixels.
            unsafe { load_row(simd, row.as_ptr(), input.pixel, input.width) }
        };
        forward(simd, 0..input.height, rows, |bin, re, im| {
            store_complex(simd, &mut out.row_mut(bin)[block * shape.complex()..][..shape.complex()], re, im);
        });
    }
}

/// Overwrites the pixels of `y` ([`Conv2d::output`]), without bias, from image number `index` of `images` in
/// `products`.
///
/// # Panics
/// If `products` or `y` has another length, or there is no such image.
pub fn transform_output(isa: Isa, shape: &ConvFft, products: &[f32], index: usize, images: usize, y: &mut [f32]) {
    assert_eq!(y.len(), shape.conv.output.len(), "y is one image");
    assert!(index < images, "image {index} of {images}");
    assert_eq!(products.len(), shape.output_len(images), "products of {images} images");
    dispatch!(isa, transform_output_body(shape: &ConvFft, products: &[f32], index: usize, images: usize, y: &mut [f32]))
}

#[inline(always)]
fn transform_output_body<L: Lanes>(
    simd: L,
    shape: &ConvFft,
    products: &[f32],
    index: usize,
    images: usize,
    y: &mut [f32],
) {
    let out = &shape.conv.output;
    let stride = shape.output_stride(images);
    for block in 0..out.blocks {
        let at = index * shape.output_row() + block * COMPLEX;
        let load = |bin: usize| load_complex(simd, &products[bin * stride + at..][..COMPLEX]);
        inverse(simd, 0..out.height, load, |row, values| {
            let pixels = &mut y[out.offset(block, row, 0)..][..(out.width - 1) * out.pixel + LANES];
            for (x, value) in values.iter().enumerate().take(out.width) {
                // SAFETY: the slice holds the row's pixels.
                unsafe { simd.store(pixels.as_mut_ptr().add(x * out.pixel), *value) };
            }
        });
    }
}
