//! Convolution of small feature maps by way of their 16x16 Fourier transforms.
//!
//! Where an image with its padding on one side has at most 16 rows and columns, a circular correlation over 16x16 is the
//! convolution exactly: whatever wraps around meets zeros. A 5x5 convolution of 14x14 maps then takes 520 multiplications
//! per pair of channels instead of 4,900, and its rounding error is no larger.
//!
//! At each of 130 frequencies, `Y[n][o] = sum over i of X[n][i] * conj(W[o][i])`: a contraction of rows
//! `[re X, im X]` with the matrix `[[re W, -im W], [im W, re W]]`.

use crate::arena::Columns;
use crate::contract::{Segment, Sum, contract};
use crate::conv2d::Conv2d;
use crate::fft16::{BINS, GAIN, SIZE, forward, inverse, load_row};
use crate::isa::{Isa, dispatch};
use crate::lanes::{LANES, Lanes};
use crate::panels::{PANEL, Panels};

/// Input blocks of 16 channels beyond which the table of runs would not fit.
const MAX_BLOCKS: usize = 64;

/// A convolution done in the frequency domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvFft {
    conv: Conv2d,
}

impl ConvFft {
    /// `None` where the convolution does not fit, or is no faster this way: stride 1, whole blocks of channels on both
    /// sides, at least 9 taps, and a padded image of at most 16x16.
    pub fn new(conv: &Conv2d) -> Option<ConvFft> {
        let (input, (kh, kw)) = (&conv.input, conv.kernel);
        let fits = conv.stride == (1, 1)
            && input.lanes == LANES
            && input.height + conv.padding.0 <= SIZE
            && input.width + conv.padding.1 <= SIZE
            && conv.output.height <= SIZE
            && conv.output.width <= SIZE
            && kh <= SIZE
            && kw <= SIZE
            && input.blocks <= MAX_BLOCKS;
        // A frequency costs four products per pair of channels; below half of the direct cost it pays.
        let direct = kh * kw * conv.output.height * conv.output.width;
        let worth = 2 * 4 * BINS <= direct && input.channels >= LANES && conv.output.channels >= LANES;
        (fits && worth).then(|| ConvFft { conv: conv.clone() })
    }

    /// Real columns of a product: real parts, then imaginary parts, of the padded output channels.
    fn products(&self) -> Panels {
        Panels { k: 2 * LANES, n: 2 * self.conv.output.blocks * LANES }
    }

    /// Elements of one frequency's matrix.
    fn bin_len(&self) -> usize {
        self.conv.input.blocks * self.products().len()
    }

    /// Elements of the transformed weights: a matrix of [`ConvFft::weight_rows`] rows.
    pub fn weight_len(&self) -> usize {
        BINS * self.bin_len()
    }

    /// Frequencies, the rows of the transformed weights.
    pub fn weight_rows(&self) -> usize {
        BINS
    }

    /// Columns of the transformed weights that belong to block `block` of input channels.
    pub fn weight_columns(&self, block: usize) -> std::ops::Range<usize> {
        block * self.products().len()..(block + 1) * self.products().len()
    }

    /// Elements of the spectra of `images` inputs.
    pub fn input_len(&self, images: usize) -> usize {
        BINS * images * 2 * self.conv.input.blocks * LANES
    }

    /// Elements of the spectra of `images` outputs.
    pub fn output_len(&self, images: usize) -> usize {
        BINS * images * self.products().n
    }
}

/// Overwrites the columns of input block `block` of the transformed weights ([`ConvFft::weight_columns`]).
///
/// `weight`: [`Conv2d::weight`].
pub fn transform_weight(isa: Isa, shape: &ConvFft, block: usize, weight: &[f32], out: &mut Columns<'_, f32>) {
    assert_eq!(weight.len(), shape.conv.weight().len(), "weight is {:?}", shape.conv.weight());
    assert_eq!((out.rows(), out.columns()), (BINS, shape.products().len()), "one block of every frequency");
    dispatch!(isa, transform_weight_body(shape: &ConvFft, block: usize, weight: &[f32], out: &mut Columns<'_, f32>))
}

#[inline(always)]
fn transform_weight_body<L: Lanes>(shape: &ConvFft, block: usize, weight: &[f32], out: &mut Columns<'_, f32>) {
    let (conv, panels, products) = (&shape.conv, shape.conv.weight(), shape.products());
    let (kh, kw) = conv.kernel;
    let imaginary = conv.output.blocks * LANES;
    let scale = L::splat(1.0 / GAIN);
    for lane in 0..LANES {
        for o in (0..imaginary).step_by(LANES) {
            // Tap (ky, kx) sees the input at an offset of (ky, kx) - padding: that is its place, modulo 16.
            let wrap = |k: usize, padding: usize| (k + SIZE - padding) % SIZE;
            let taps = |y: usize| {
                let mut row = [L::zero(); SIZE];
                for kx in 0..kw {
                    let ky = (y + conv.padding.0) % SIZE;
                    let at = panels.index(conv.weight_row(block * LANES + lane, ky, kx), o);
                    // SAFETY: sixteen output channels lie together within the panel.
                    row[wrap(kx, conv.padding.1)] = L::mul(scale, unsafe { L::load(weight[at..at + LANES].as_ptr()) });
                }
                row
            };
            let (re_row, im_row) = (lane, LANES + lane);
            forward::<L>((0..kh).map(|ky| wrap(ky, conv.padding.0)), taps, |bin, re, im| {
                let matrix = out.row_mut(bin);
                let minus_im = L::sub(L::zero(), im);
                let parts =
                    [(re_row, o, re), (re_row, imaginary + o, minus_im), (im_row, o, im), (im_row, imaginary + o, re)];
                for (row, column, value) in parts {
                    let at = products.index(row, column);
                    // SAFETY: sixteen columns lie together within the panel, which the slice checks.
                    unsafe { L::store(matrix[at..at + LANES].as_mut_ptr(), value) };
                }
            });
        }
    }
}

/// Overwrites the spectra of image number `index` of `images` in `spectra` ([`ConvFft::input_len`]).
///
/// `x`: one image of [`Conv2d::input`].
pub fn transform_input(isa: Isa, shape: &ConvFft, x: &[f32], index: usize, images: usize, spectra: &mut [f32]) {
    assert_eq!(x.len(), shape.conv.input.len(), "x is one image");
    assert!(index < images, "image {index} of {images}");
    assert_eq!(spectra.len(), shape.input_len(images), "spectra of {images} images");
    dispatch!(isa, transform_input_body(shape: &ConvFft, x: &[f32], index: usize, images: usize, spectra: &mut [f32]))
}

#[inline(always)]
fn transform_input_body<L: Lanes>(shape: &ConvFft, x: &[f32], index: usize, images: usize, spectra: &mut [f32]) {
    let input = &shape.conv.input;
    let row_len = 2 * input.blocks * LANES;
    for block in 0..input.blocks {
        let rows = |y: usize| {
            let row = &x[input.offset(block, y, 0)..][..(input.width - 1) * input.pixel + LANES];
            // SAFETY: the slice holds the row's pixels.
            unsafe { load_row::<L>(row.as_ptr(), input.pixel, input.width) }
        };
        forward::<L>(0..input.height, rows, |bin, re, im| {
            let at = (bin * images + index) * row_len + block * 2 * LANES;
            let out = &mut spectra[at..at + 2 * LANES];
            // SAFETY: the slice holds two vectors.
            unsafe {
                L::store(out.as_mut_ptr(), re);
                L::store(out.as_mut_ptr().add(LANES), im);
            }
        });
    }
}

/// Overwrites `products` ([`ConvFft::output_len`]): at every frequency, each image's spectrum with every kernel's, summed
/// over the input channels.
pub fn multiply(isa: Isa, shape: &ConvFft, images: usize, spectra: &[f32], weight: &[f32], products: &mut [f32]) {
    assert_eq!(spectra.len(), shape.input_len(images), "spectra of {images} images");
    assert_eq!(weight.len(), shape.weight_len(), "transformed weights");
    assert_eq!(products.len(), shape.output_len(images), "products of {images} images");
    let (blocks, panels) = (shape.conv.input.blocks, shape.products());
    let (row_len, matrix_len) = (2 * blocks * LANES, panels.len());
    let mut segments = [Segment { a: 0, b: 0 }; MAX_BLOCKS];
    for (block, segment) in segments[..blocks].iter_mut().enumerate() {
        *segment = Segment { a: block * 2 * LANES, b: block * matrix_len };
    }
    for bin in 0..BINS {
        let x = &spectra[bin * images * row_len..(bin + 1) * images * row_len];
        let matrix = &weight[bin * shape.bin_len()..(bin + 1) * shape.bin_len()];
        let out = &mut products[bin * images * panels.n..(bin + 1) * images * panels.n];
        for p in 0..panels.count() {
            let sum = Sum {
                groups: 1,
                rows: images,
                vectors: panels.width(p) / LANES,
                a_group: 0,
                a_row: row_len,
                c_group: 0,
                c_row: panels.n,
                segments: &segments[..blocks],
                len: 2 * LANES,
                a_step: 1,
                b_unit: 1,
                b_step: panels.width(p),
                b_block: LANES,
                c_block: LANES,
                accumulate: false,
            };
            let (b, c) = (&matrix[panels.start(p)..], &mut out[p * PANEL..]);
            let (a_end, b_end, c_end) = sum.extents();
            assert!(a_end <= x.len() && b_end <= b.len() && c_end <= c.len(), "operands cover the sum");
            // SAFETY: all three operands are covered (asserted), and `c` is borrowed mutably.
            unsafe { contract(isa, &sum, x.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
        }
    }
}

/// Overwrites the pixels of `y` ([`Conv2d::output`]), without bias, from image number `index` of `images` in `products`.
pub fn transform_output(isa: Isa, shape: &ConvFft, products: &[f32], index: usize, images: usize, y: &mut [f32]) {
    assert_eq!(y.len(), shape.conv.output.len(), "y is one image");
    assert!(index < images, "image {index} of {images}");
    assert_eq!(products.len(), shape.output_len(images), "products of {images} images");
    dispatch!(isa, transform_output_body(shape: &ConvFft, products: &[f32], index: usize, images: usize, y: &mut [f32]))
}

#[inline(always)]
fn transform_output_body<L: Lanes>(shape: &ConvFft, products: &[f32], index: usize, images: usize, y: &mut [f32]) {
    let out = &shape.conv.output;
    let imaginary = out.blocks * LANES;
    for block in 0..out.blocks {
        let load = |bin: usize| {
            let row = &products[(bin * images + index) * 2 * imaginary..][..2 * imaginary];
            let (re, im) = row.split_at(imaginary);
            let (re, im) = (&re[block * LANES..][..LANES], &im[block * LANES..][..LANES]);
            // SAFETY: both slices hold a vector.
            unsafe { (L::load(re.as_ptr()), L::load(im.as_ptr())) }
        };
        inverse::<L>(out.height, load, |row, values| {
            for (x, value) in values.iter().enumerate().take(out.width) {
                let pixel = &mut y[out.offset(block, row, x)..][..LANES];
                // SAFETY: the slice holds a vector.
                unsafe { L::store(pixel.as_mut_ptr(), *value) };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn forward_matches_the_reference_on_every_isa() {
        for (shape, out_channels, kernel, padding) in CASES {
            let what = format!("{shape:?} to {out_channels} by {kernel:?} padding {padding:?}");
            let window = Window { kernel, stride: (1, 1), padding: [padding.0, padding.1, padding.0, padding.1] };
            let (c, h, w) = shape;
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::with_border(c, LANES, h, w, window.padding, (1, 1));
            let output = Planes::with_border(out_channels, LANES, oh, ow, [1, 0, 2, 1], (1, 1));
            let conv = Conv2d::new(input, output, kernel, (1, 1), padding);
            let fft = ConvFft::new(&conv).unwrap_or_else(|| panic!("{what} is worth it"));
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
                    let stride = fft.weight_len() / fft.weight_rows();
                    let arena = crate::arena::Arena::new(&mut transformed);
                    for block in 0..conv.input.blocks {
                        let mut out = arena.write_columns(0, fft.weight_rows(), stride, fft.weight_columns(block));
                        transform_weight(isa, &fft, block, &packed, &mut out.columns());
                    }
                }
                let mut spectra = vec![f32::NAN; fft.input_len(images)];
                for (n, x) in x.iter().enumerate() {
                    transform_input(isa, &fft, &pack_image(x, &input), n, images, &mut spectra);
                }
                let mut products = vec![f32::NAN; fft.output_len(images)];
                multiply(isa, &fft, images, &spectra, &transformed, &mut products);
                let mut bits: Vec<u32> = Vec::new();
                for (n, expected) in expected.iter().enumerate() {
                    let mut y = vec![0.0; output.len()];
                    transform_output(isa, &fft, &products, n, images, &mut y);
                    assert_close(&unpack_image(&y, &output), expected, 2e-6, &format!("y of {what}"));
                    assert_padding_is_zero(&y, &output, &what);
                    bits.extend(y.iter().map(|v| v.to_bits()));
                }
                bits
            });
        }
    }

    #[test]
    fn what_would_wrap_around_or_not_pay_is_left_to_others() {
        let conv = |shape: (usize, usize, usize), kernel: Pair, stride: Pair, padding: Pair| {
            let window = Window { kernel, stride, padding: [padding.0, padding.1, padding.0, padding.1] };
            let (oh, ow) = window.output(shape.1, shape.2).expect("fits");
            let input = Planes::with_border(shape.0, LANES, shape.1, shape.2, window.padding, (1, 1));
            ConvFft::new(&Conv2d::new(input, Planes::new(32, oh, ow), kernel, stride, padding))
        };
        assert!(conv((32, 14, 14), (5, 5), (1, 1), (2, 2)).is_some());
        assert!(conv((32, 15, 14), (5, 5), (1, 1), (2, 2)).is_none(), "does not fit");
        assert!(conv((32, 14, 14), (5, 5), (2, 2), (2, 2)).is_none(), "has a stride");
        assert!(conv((32, 14, 14), (1, 1), (1, 1), (0, 0)).is_none(), "does not pay");
        assert!(conv((32, 7, 7), (3, 3), (1, 1), (1, 1)).is_none(), "does not pay");
    }
}
