//! Convolutions by transform against the reference.

use super::*;
use crate::arena::Arena;
use crate::planes::Planes;
use crate::reference::{self, Window};
use crate::simd::isa::Isa;
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

/// One of [`CASES`], with some images and PyTorch's weights.
struct Case {
    /// For messages.
    what: String,
    shape: Shape,
    out_channels: usize,
    window: Window,
    conv: Conv2d,
    pairs: Option<Order>,
    fft: ConvFft,
    x: Vec<Vec<f32>>,
    weight: Vec<f32>,
}

const IMAGES: usize = 3;

impl Case {
    /// The output has a border of `[top, left, bottom, right]` pixels.
    fn new(case: (Shape, usize, Pair, Pair), pairs: Option<Order>, border: [usize; 4]) -> Case {
        let (shape, out_channels, kernel, padding) = case;
        let what = format!("{shape:?} to {out_channels} by {kernel:?} padding {padding:?}, pairs {pairs:?}");
        let window = Window { kernel, stride: (1, 1), padding: [padding.0, padding.1, padding.0, padding.1] };
        let (c, h, w) = shape;
        let (oh, ow) = window.output(h, w).expect("fits");
        let input = Planes::with_border(c, LANES, h, w, window.padding, (1, 1));
        let output = Planes::with_border(out_channels, LANES, oh, ow, border, (1, 1));
        let conv = Conv2d::new(input, output, kernel, (1, 1), padding);
        let fft = ConvFft::new(&conv, pairs).unwrap_or_else(|| panic!("{what} is worth it"));
        let x = (0..IMAGES).map(|n| values(c * h * w, 10 + n as u32)).collect();
        let weight = values(out_channels * c * kernel.0 * kernel.1, 1);
        Case { what, shape, out_channels, window, conv, pairs, fft, x, weight }
    }

    /// All of them, in f32 and, where rounding an operand to bf16 costs up to 2^-9 of it, in bf16.
    fn all(border: [usize; 4]) -> impl Iterator<Item = Case> {
        let kinds = [None, Some(Order::Chain), Some(Order::Tiles)];
        CASES.into_iter().flat_map(move |case| kinds.map(|pairs| Case::new(case, pairs, border)))
    }

    /// Where element `at` of PyTorch's weights lies in the packed ones.
    fn place(&self, at: usize) -> usize {
        let ((kh, kw), channels) = (self.conv.kernel, self.shape.0);
        let (kx, ky, i, o) = (at % kw, at / kw % kh, at / kw / kh % channels, at / kw / kh / channels);
        self.conv.weight().index(self.conv.weight_row(i, ky, kx), o)
    }

    fn packed_weight(&self) -> Vec<f32> {
        let mut packed = vec![0.0; self.conv.weight().len()];
        for (at, &value) in self.weight.iter().enumerate() {
            packed[self.place(at)] = value;
        }
        packed
    }

    /// The other way round, of a gradient.
    fn unpacked(&self, packed: &[f32]) -> Vec<f32> {
        (0..self.weight.len()).map(|at| packed[self.place(at)]).collect()
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
fn forward_matches_the_reference_on_every_isa() {
    for case in Case::all([1, 0, 2, 1]) {
        let Case { what, shape, out_channels, window, conv, fft, x, weight, .. } = &case;
        let packed = case.packed_weight();
        let bias = vec![0.0; *out_channels];
        let expected: Vec<_> = x.iter().map(|x| reference::conv2d_forward(x, *shape, weight, &bias, window)).collect();
        on_every_isa(|isa| {
            let mut transformed = vec![f32::NAN; fft.weight_len()];
            {
                let arena = Arena::new(&mut transformed);
                for channel in 0..fft.input_channels() {
                    let columns = fft.weight_columns(channel);
                    let mut out = arena.write_columns(0, FREQUENCIES, fft.weight_stride(), columns);
                    transform_weight(isa, fft, channel, &packed, &mut out.columns());
                }
            }
            let mut spectra = spectra_of(isa, fft, x, &conv.input, IMAGES);
            let arena = Arena::new(&mut spectra);
            let columns = fft.input_columns(0..IMAGES);
            let mut spectra = arena.write_columns(0, FREQUENCIES, fft.input_stride(IMAGES), columns);
            let mut products = vec![f32::NAN; fft.output_len(IMAGES)];
            multiply(isa, fft, IMAGES, &spectra.columns(), &transformed, &mut products);
            let mut bits: Vec<u32> = Vec::new();
            for (n, expected) in expected.iter().enumerate() {
                let mut y = vec![0.0; conv.output.len()];
                transform_output(isa, fft, &products, n, IMAGES, &mut y);
                let tolerance = if case.pairs.is_some() { 1e-2 } else { 2e-6 };
                assert_close(&unpack_image(&y, &conv.output), expected, tolerance, &format!("y of {what}"));
                assert_padding_is_zero(&y, &conv.output, what);
                bits.extend(y.iter().map(|v| v.to_bits()));
            }
            bits
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "the smallest case takes Miri half an hour")]
fn gradients_match_the_reference_on_every_isa() {
    for case in Case::all([0; 4]) {
        let Case { what, shape, out_channels, window, conv, fft, x, weight, .. } = &case;
        // Whether or not the way back pays: only its transform is used here.
        let [phase] = &conv.phases()[..] else { panic!("stride 1 has one phase") };
        let back = ConvFft { conv: phase.conv.clone(), pairs: case.pairs };
        let batch = IMAGES + 2;
        let grad_len = out_channels * conv.output.height * conv.output.width;
        let grad: Vec<_> = (0..IMAGES).map(|n| values(grad_len, 20 + n as u32)).collect();
        let (mut expected, mut expected_bias) = (vec![0.0; weight.len()], vec![0.0; *out_channels]);
        for (x, grad) in x.iter().zip(&grad) {
            let (_, gw, gb) = reference::conv2d_backward(x, *shape, weight, *out_channels, grad, window);
            expected.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
            expected_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
        }
        on_every_isa(|isa| {
            let spectra = spectra_of(isa, fft, x, &conv.input, batch);
            let grad_spectra = spectra_of(isa, &back, &grad, &conv.grad_output(), batch);
            let mut out = vec![f32::NAN; fft.gradient_len()];
            for bins in [0..7, 7..FREQUENCIES] {
                let part = &mut out[bins.start * fft.gradient_stride()..bins.end * fft.gradient_stride()];
                multiply_gradient(isa, fft, bins, IMAGES, batch, &spectra, &grad_spectra, part);
            }
            let panels = conv.weight();
            let mut packed = vec![f32::NAN; panels.len()];
            let arena = Arena::new(&mut packed);
            let taps = conv.kernel.0 * conv.kernel.1;
            for channel in 0..fft.input_channels() {
                for panel in 0..panels.count() {
                    let (block, lane) = (channel / LANES, channel % LANES);
                    let (rows, width) = (block * taps * LANES..(block + 1) * taps * LANES, panels.width(panel));
                    let start = panels.rows(panel, rows).start;
                    let columns = lane * width..(lane + 1) * width;
                    let mut part = arena.write_columns(start, taps, LANES * width, columns);
                    transform_gradient(isa, fft, channel, panel, &out, &mut part.columns());
                }
            }
            drop(arena);
            let got = case.unpacked(&packed);
            // Errors of a transform grow with the size of a plane, not with that of the sum: the largest of
            // these cases has 3.1e-7.
            let tolerance = if case.pairs.is_some() { 1e-2 } else { 1e-6 };
            assert_close(&got, &expected, tolerance, &format!("grad_weight of {what}"));
            let mut bias = vec![f32::NAN; panels.padded_n()];
            bias_gradient(fft, IMAGES, batch, &grad_spectra, &mut bias);
            assert_close(&bias[..*out_channels], &expected_bias, tolerance, &format!("grad_bias of {what}"));
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
        ConvFft::new(&Conv2d::new(input, Planes::new(32, oh, ow), kernel, stride, padding), None)
    };
    assert!(conv((32, 14, 14), (5, 5), (1, 1), (2, 2)).is_some());
    assert!(conv((32, 15, 14), (5, 5), (1, 1), (2, 2)).is_none(), "does not fit");
    assert!(conv((32, 14, 14), (5, 5), (2, 2), (2, 2)).is_none(), "has a stride");
    assert!(conv((32, 14, 14), (1, 1), (1, 1), (0, 0)).is_none(), "does not pay");
    assert!(conv((32, 7, 7), (3, 3), (1, 1), (1, 1)).is_none(), "does not pay");
}
