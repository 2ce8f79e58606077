//! Convolution of small feature maps by way of their 16x16 Fourier transforms, and its gradients.
//!
//! Where an image with its padding on one side has at most 16 rows and columns, a circular correlation over 16x16 is the
//! convolution exactly: whatever wraps around meets zeros. A 5x5 convolution of 14x14 maps then takes 520 multiplications
//! per pair of channels instead of 4,900, and its rounding error is no larger. For training, this was first done by
//! M. Mathieu, M. Henaff and Y. LeCun, *Fast training of convolutional networks through FFTs*, 2014.
//!
//! At each of 130 frequencies, `Y[n][o] = sum over i of X[n][i] * conj(W[i][o])`. The gradient of the weights is
//! `sum over n of X[n][i] * conj(grad_Y[n][o])`, transformed back, and that of the input is a convolution again
//! ([`Conv2d::phases`]).
//!
//! Spectra lie by frequency, `[130][images][channels]` and `[130][in_channels][out_channels]`, in the complex vectors of
//! `contract_complex`. Between two frequencies is a gap of one cache line: without it, all frequencies of an image would
//! share a few cache sets.

use crate::arena::Columns;
use crate::conv::complex_sum::{COMPLEX, ComplexSum, contract_complex};
use crate::conv::direct::Conv2d;
use crate::conv::fft16::{BINS, GAIN, SIZE, forward, inverse, load_row};
use crate::simd::isa::{Isa, dispatch, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};
use std::cell::Cell;
use std::ops::Range;

/// A convolution done in the frequency domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvFft {
    conv: Conv2d,
    /// Whether spectra are rounded to bf16.
    pairs: bool,
}

/// Frequencies: the rows of every matrix of spectra.
pub const FREQUENCIES: usize = BINS;

impl ConvFft {
    /// `None` where the convolution does not fit, or is no faster this way: stride 1, whole blocks of channels on both
    /// sides, at least 9 taps, and a padded image of at most 16x16. With `pairs`, spectra are rounded to bf16, the real and
    /// the imaginary part a pair; products and sums stay f32.
    pub fn new(conv: &Conv2d, pairs: bool) -> Option<ConvFft> {
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
        if self.pairs { LANES } else { COMPLEX }
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
fn lag(k: usize, padding: usize) -> usize {
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
fn load_complex<L: Lanes>(simd: L, from: &[f32]) -> (L::V, L::V) {
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

/// Overwrites `products` ([`ConvFft::output_len`]): at every frequency, each image's spectrum with every kernel's, summed
/// over the input channels. `spectra` holds the columns of these images.
///
/// `weight`: [`ConvFft::weight_len`] elements, from [`transform_weight`].
/// # Panics
/// If `spectra`, `weight` or `products` has another size.
pub fn multiply(
    isa: Isa,
    shape: &ConvFft,
    images: usize,
    spectra: &Columns<'_, f32>,
    weight: &[f32],
    products: &mut [f32],
) {
    assert_eq!((spectra.rows(), spectra.columns()), (BINS, images * shape.input_row()), "spectra of {images} images");
    assert_eq!(weight.len(), shape.weight_len(), "spectra of the weights");
    assert_eq!(products.len(), shape.output_len(images), "products of {images} images");
    let sum = ComplexSum {
        rows: images,
        vectors: shape.conv.output.blocks,
        a_row: shape.input_row(),
        c_row: shape.output_row(),
        segments: shape.conv.input.blocks,
        a_segment: shape.complex(),
        b_segment: LANES * shape.grad_row(),
        len: LANES,
        a_step: 1,
        b_step: shape.grad_row(),
    };
    let (a_end, b_end, c_end) = sum.extents(shape.pairs);
    assert!(a_end <= spectra.columns(), "a frequency of these images covers the sum");
    for bin in 0..BINS {
        let b = &weight[bin * shape.weight_stride()..][..b_end];
        let c = &mut products[bin * shape.output_stride(images)..][..c_end];
        // SAFETY: row `bin` of `spectra` covers a (asserted), the slices b and c; `c` is borrowed mutably.
        unsafe {
            let a = spectra.as_ptr().add(bin * spectra.stride());
            contract_complex(isa, &sum, shape.pairs, a, b.as_ptr(), c.as_mut_ptr());
        }
    }
}

/// Overwrites the pixels of `y` ([`Conv2d::output`]), without bias, from image number `index` of `images` in `products`.
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

/// Overwrites the frequencies `bins` of the spectra of the weights' gradient, `bins.len()` times
/// [`ConvFft::gradient_stride`] elements.
///
/// `spectra` and `grad_spectra`: of the inputs and of the gradients of the outputs, with room for `batch` images each, of
/// which the first `images` count. The latter are those of [`Conv2d::grad_output`] as the input of the transposed
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
    let (a_end, b_end, c_end) = sum.extents(shape.pairs);
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

/// Overwrites the gradient of the weights from input channel `channel` to the output channels of panel `panel`: `out` has
/// a row for each tap, whose columns are those of the panel. `spectra`: what [`multiply_gradient`] gives.
///
/// A value smaller than the rounding of the whole plane becomes zero. Where no input ever met a gradient, the exact value
/// is zero, and Adam, which divides by the size of a gradient, would make a full step of the rounding: on the full-size
/// `cnn2` ten losses of ten steps then differ from PyTorch's by 2.7e-5, and by 1.0e-6 so (the same for any bound from half
/// of this one to sixteen times as much).
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

/// Overwrites `sums[o]` with the sum of `grad_y[o]` over images and pixels, the gradient of the bias: that is half of what
/// the lowest frequency of `grad_spectra` holds (see [`multiply_gradient`]).
///
/// `sums`: one element per padded channel.
/// # Panics
/// If a slice has another length than that, or there are more images than room.
pub fn bias_gradient(shape: &ConvFft, images: usize, batch: usize, grad_spectra: &[f32], sums: &mut [f32]) {
    assert!(images <= batch, "{images} images of {batch}");
    assert_eq!(grad_spectra.len(), BINS * shape.grad_stride(batch), "spectra of {batch} gradients");
    assert_eq!(sums.len(), shape.conv.output.blocks * LANES, "one sum per padded channel");
    sums.fill(0.0);
    let real = |value: f32| if shape.pairs { f32::from_bits(value.to_bits() << 16) } else { value };
    for image in grad_spectra.chunks_exact(shape.grad_row()).take(images) {
        for (sums, lowest) in sums.chunks_exact_mut(LANES).zip(image.chunks_exact(shape.complex())) {
            sums.iter_mut().zip(lowest).for_each(|(sum, re)| *sum += real(*re));
        }
    }
    sums.iter_mut().for_each(|sum| *sum *= 0.5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::planes::Planes;
    use crate::reference::{self, Window};
    use crate::testing::{assert_close, assert_padding_is_zero, on_every_isa, pack_image, unpack_image, values};

    type Pair = (usize, usize);
    type Shape = (usize, usize, usize);

    /// `((channels, height, width), out_channels, kernel, padding)`.
    const CASES: [(Shape, usize, Pair, Pair); 6] = [
        ((32, 14, 14), 64, (5, 5), (2, 2)),
        ((16, 12, 14), 16, (5, 5), (4, 0)),
        ((17, 15, 13), 33, (3, 3), (1, 1)),
        ((20, 13, 16), 80, (7, 5), (3, 0)),
        ((16, 16, 16), 16, (5, 5), (0, 0)),
        ((64, 14, 14), 32, (5, 5), (2, 2)),
    ];

    /// In f32 and, where rounding an operand to bf16 costs up to 2^-9 of it, in bf16.
    fn cases() -> impl Iterator<Item = ((Shape, usize, Pair, Pair), bool)> {
        CASES.into_iter().flat_map(|case| [(case, false), (case, true)])
    }

    #[test]
    #[cfg_attr(miri, ignore = "the smallest case takes Miri half an hour")]
    fn forward_matches_the_reference_on_every_isa() {
        for ((shape, out_channels, kernel, padding), pairs) in cases() {
            let what = format!("{shape:?} to {out_channels} by {kernel:?} padding {padding:?}, pairs {pairs}");
            let window = Window { kernel, stride: (1, 1), padding: [padding.0, padding.1, padding.0, padding.1] };
            let (c, h, w) = shape;
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::with_border(c, LANES, h, w, window.padding, (1, 1));
            let output = Planes::with_border(out_channels, LANES, oh, ow, [1, 0, 2, 1], (1, 1));
            let conv = Conv2d::new(input, output, kernel, (1, 1), padding);
            let fft = ConvFft::new(&conv, pairs).unwrap_or_else(|| panic!("{what} is worth it"));
            let weight = values(out_channels * c * kernel.0 * kernel.1, 1);
            let mut packed = vec![0.0; conv.weight().len()];
            for (at, &value) in weight.iter().enumerate() {
                let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                packed[conv.weight().index(conv.weight_row(i, ky, kx), o)] = value;
            }
            let images = 3;
            let x: Vec<_> = (0..images).map(|n| values(c * h * w, 10 + n as u32)).collect();
            let bias = vec![0.0; out_channels];
            let expected: Vec<_> =
                x.iter().map(|x| reference::conv2d_forward(x, shape, &weight, &bias, &window)).collect();
            on_every_isa(|isa| {
                let mut transformed = vec![f32::NAN; fft.weight_len()];
                {
                    let arena = Arena::new(&mut transformed);
                    for channel in 0..fft.input_channels() {
                        let columns = fft.weight_columns(channel);
                        let mut out = arena.write_columns(0, FREQUENCIES, fft.weight_stride(), columns);
                        transform_weight(isa, &fft, channel, &packed, &mut out.columns());
                    }
                }
                let mut spectra = spectra_of(isa, &fft, &x, &input, images);
                let arena = Arena::new(&mut spectra);
                let columns = fft.input_columns(0..images);
                let mut spectra = arena.write_columns(0, FREQUENCIES, fft.input_stride(images), columns);
                let mut products = vec![f32::NAN; fft.output_len(images)];
                multiply(isa, &fft, images, &spectra.columns(), &transformed, &mut products);
                let mut bits: Vec<u32> = Vec::new();
                for (n, expected) in expected.iter().enumerate() {
                    let mut y = vec![0.0; output.len()];
                    transform_output(isa, &fft, &products, n, images, &mut y);
                    let tolerance = if pairs { 1e-2 } else { 2e-6 };
                    assert_close(&unpack_image(&y, &output), expected, tolerance, &format!("y of {what}"));
                    assert_padding_is_zero(&y, &output, &what);
                    bits.extend(y.iter().map(|v| v.to_bits()));
                }
                bits
            });
        }
    }

    /// Spectra of images, with room for `batch`.
    fn spectra_of(isa: Isa, fft: &ConvFft, x: &[Vec<f32>], planes: &Planes, batch: usize) -> Vec<f32> {
        let mut spectra = vec![f32::NAN; fft.input_len(batch)];
        let arena = Arena::new(&mut spectra);
        for (n, x) in x.iter().enumerate() {
            let mut out = arena.write_columns(0, FREQUENCIES, fft.input_stride(batch), fft.input_columns(n..n + 1));
            transform_input(isa, fft, &pack_image(x, planes), &mut out.columns());
        }
        drop(arena);
        spectra
    }

    #[test]
    #[cfg_attr(miri, ignore = "the smallest case takes Miri half an hour")]
    fn gradients_match_the_reference_on_every_isa() {
        for ((shape, out_channels, kernel, padding), pairs) in cases() {
            let what = format!("{shape:?} to {out_channels} by {kernel:?} padding {padding:?}, pairs {pairs}");
            let window = Window { kernel, stride: (1, 1), padding: [padding.0, padding.1, padding.0, padding.1] };
            let (c, h, w) = shape;
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::with_border(c, LANES, h, w, window.padding, (1, 1));
            let conv = Conv2d::new(input, Planes::new(out_channels, oh, ow), kernel, (1, 1), padding);
            let fft = ConvFft::new(&conv, pairs).unwrap_or_else(|| panic!("{what} is worth it"));
            // Whether or not the way back pays: only its transform is used here.
            let [phase] = &conv.phases()[..] else { panic!("stride 1 has one phase") };
            let back = ConvFft { conv: phase.conv.clone(), pairs };
            let (images, batch) = (3, 5);
            let x: Vec<_> = (0..images).map(|n| values(c * h * w, 10 + n as u32)).collect();
            let grad: Vec<_> = (0..images).map(|n| values(out_channels * oh * ow, 20 + n as u32)).collect();
            let weight = vec![0.0; out_channels * c * kernel.0 * kernel.1];
            let (mut expected, mut expected_bias) = (vec![0.0; weight.len()], vec![0.0; out_channels]);
            for (x, grad) in x.iter().zip(&grad) {
                let (_, gw, gb) = reference::conv2d_backward(x, shape, &weight, out_channels, grad, &window);
                expected.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
                expected_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
            }
            on_every_isa(|isa| {
                let spectra = spectra_of(isa, &fft, &x, &input, batch);
                let grad_spectra = spectra_of(isa, &back, &grad, &conv.grad_output(), batch);
                let mut out = vec![f32::NAN; fft.gradient_len()];
                for bins in [0..7, 7..FREQUENCIES] {
                    let part = &mut out[bins.start * fft.gradient_stride()..bins.end * fft.gradient_stride()];
                    multiply_gradient(isa, &fft, bins, images, batch, &spectra, &grad_spectra, part);
                }
                let panels = conv.weight();
                let mut packed = vec![f32::NAN; panels.len()];
                let arena = Arena::new(&mut packed);
                let taps = kernel.0 * kernel.1;
                for channel in 0..fft.input_channels() {
                    for panel in 0..panels.count() {
                        let (block, lane) = (channel / LANES, channel % LANES);
                        let (rows, width) = (block * taps * LANES..(block + 1) * taps * LANES, panels.width(panel));
                        let start = panels.rows(panel, rows).start;
                        let columns = lane * width..(lane + 1) * width;
                        let mut part = arena.write_columns(start, taps, LANES * width, columns);
                        transform_gradient(isa, &fft, channel, panel, &out, &mut part.columns());
                    }
                }
                drop(arena);
                let mut got = vec![f32::NAN; weight.len()];
                for (at, value) in got.iter_mut().enumerate() {
                    let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                    let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                    *value = packed[panels.index(conv.weight_row(i, ky, kx), o)];
                }
                // Errors of a transform grow with the size of a plane, not with that of the sum: the largest of
                // these cases has 3.1e-7.
                let tolerance = if pairs { 1e-2 } else { 1e-6 };
                assert_close(&got, &expected, tolerance, &format!("grad_weight of {what}"));
                let mut bias = vec![f32::NAN; panels.padded_n()];
                bias_gradient(&fft, images, batch, &grad_spectra, &mut bias);
                assert_close(&bias[..out_channels], &expected_bias, tolerance, &format!("grad_bias of {what}"));
                got.iter().chain(&bias).map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn what_would_wrap_around_or_not_pay_is_left_to_others() {
        let conv = |shape: (usize, usize, usize), kernel: Pair, stride: Pair, padding: Pair| {
            let window = Window { kernel, stride, padding: [padding.0, padding.1, padding.0, padding.1] };
            let (oh, ow) = window.output(shape.1, shape.2).expect("fits");
            let input = Planes::with_border(shape.0, LANES, shape.1, shape.2, window.padding, (1, 1));
            ConvFft::new(&Conv2d::new(input, Planes::new(32, oh, ow), kernel, stride, padding), false)
        };
        assert!(conv((32, 14, 14), (5, 5), (1, 1), (2, 2)).is_some());
        assert!(conv((32, 15, 14), (5, 5), (1, 1), (2, 2)).is_none(), "does not fit");
        assert!(conv((32, 14, 14), (5, 5), (2, 2), (2, 2)).is_none(), "has a stride");
        assert!(conv((32, 14, 14), (1, 1), (1, 1), (0, 0)).is_none(), "does not pay");
        assert!(conv((32, 7, 7), (3, 3), (1, 1), (1, 1)).is_none(), "does not pay");
    }
}
