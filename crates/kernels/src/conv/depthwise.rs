//! Depthwise convolution, and its gradients: each channel has a kernel of its own and meets no other.
//!
//! `y[c][p] = bias[c] + sum over ky, kx of x[c][p * stride + (ky, kx) - padding] * weight[c][ky][kx]`.
//!
//! The input lies in planes whose border is the padding. Lanes are channels: weights lie as a vector for each tap of
//! each block of 16 channels, and an output pixel is a chain of multiply-adds of vectors. Some pixels of a row are summed
//! together, so that chains overlap and each weight is read once for all of them.
//!
//! The gradient of the input is such a sum again, over `grad_y` with a border, with the taps of each of
//! [`Conv2d::phases`]. Those of weights and bias are summed image by image, while both maps are in the cache, and the
//! images are put together by [`sum_images`], in their order.

use super::direct::{Conv2d, Phase};
use crate::planes::Planes;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// A depthwise convolution's shape, checked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depthwise {
    input: Planes,
    output: Planes,
    /// Of the gradient of the output, with the border that passing it on needs.
    grad_output: Planes,
    forward: Sums,
    /// What makes the gradient of the input: each overwrites other pixels.
    backward: Vec<Sums>,
    /// Whether these are all pixels.
    backward_is_whole: bool,
    /// Taps of the kernel.
    taps: usize,
}

impl Depthwise {
    /// The convolution of each channel of `input`, whose border must be `padding` zero rows above and below and zero
    /// columns left and right, to one of `output`.
    ///
    /// # Panics
    /// If the sizes do not fit, the padding is not smaller than the kernel, or either is not in blocks of 16 channels.
    pub fn new(
        input: Planes,
        output: Planes,
        kernel: (usize, usize),
        stride: (usize, usize),
        padding: (usize, usize),
    ) -> Depthwise {
        assert_eq!((input.channels, input.lanes), (output.channels, LANES), "each channel has its own");
        // Its geometry is that of any convolution.
        let conv = Conv2d::new(input, output, kernel, stride, padding);
        let phases = conv.phases();
        Depthwise {
            input,
            output,
            grad_output: conv.grad_output(),
            forward: Sums::forward(&input, &output, kernel, stride),
            backward: phases.iter().map(|phase| Sums::backward(phase, kernel.1)).collect(),
            backward_is_whole: conv.phases_are_whole(),
            taps: kernel.0 * kernel.1,
        }
    }

    /// The input, its border being the padding.
    pub fn input(&self) -> &Planes {
        &self.input
    }

    /// The output before any activation.
    pub fn output(&self) -> &Planes {
        &self.output
    }

    /// The layout of `grad_y` for [`depthwise_backward_input`].
    pub fn grad_output(&self) -> Planes {
        self.grad_output
    }

    /// Elements of the weights.
    pub fn weight_len(&self) -> usize {
        self.output.blocks * self.taps * LANES
    }

    /// Where the weight of `channel` at tap number `tap` (`ky * kw + kx`) lies.
    pub fn weight_index(&self, channel: usize, tap: usize) -> usize {
        (channel / LANES * self.taps + tap) * LANES + channel % LANES
    }

    /// Elements of one image's gradients of one block of weights, and of its biases behind them.
    pub fn part_len(&self) -> usize {
        (self.taps + 1) * LANES
    }
}

/// Sums of taps for pixels of the output a step apart, each over its window of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sums {
    /// Where the first pixel's window starts.
    start: usize,
    /// Of the input: elements from block to block, and from the window of one pixel to that of the next.
    plane: usize,
    row: usize,
    pixel: usize,
    /// The output, or those pixels of it that are overwritten.
    output: Planes,
    /// Of each tap: where it is in a window, and its number among the weights.
    taps: Vec<(usize, usize)>,
}

impl Sums {
    fn forward(input: &Planes, output: &Planes, (kh, kw): (usize, usize), stride: (usize, usize)) -> Sums {
        let tap = |tap: usize| (tap / kw * input.row + tap % kw * input.pixel, tap);
        Sums {
            start: 0,
            plane: input.plane,
            row: input.row * stride.0,
            pixel: input.pixel * stride.1,
            output: *output,
            taps: (0..kh * kw).map(tap).collect(),
        }
    }

    /// The pixels of the input's gradient that `phase` makes, of a kernel of `width` columns.
    fn backward(phase: &Phase, width: usize) -> Sums {
        let (conv, grad) = (phase.conv(), &phase.conv().input);
        let (rows, columns) = conv.kernel;
        let tap = |tap: usize| {
            let (ky, kx) = phase.tap(tap / columns, tap % columns);
            (tap / columns * grad.row + tap % columns * grad.pixel, ky * width + kx)
        };
        Sums {
            start: conv.runs()[0].a,
            plane: grad.plane,
            row: grad.row,
            pixel: grad.pixel,
            output: conv.output,
            taps: (0..rows * columns).map(tap).collect(),
        }
    }

    /// Asserts that no window reaches beyond `x`.
    fn check_windows(&self, x: &[f32]) {
        let out = &self.output;
        let tap = self.taps.iter().map(|tap| tap.0).max().expect("a kernel has a tap");
        let last = self.start + tap + (out.blocks - 1) * self.plane;
        let last = last + (out.height - 1) * self.row + (out.width - 1) * self.pixel;
        assert!(last + LANES <= x.len(), "windows up to {last} of {}", x.len());
    }

    /// Asserts that no pixel is beyond `y`.
    fn check_pixels(&self, y: &[f32]) {
        let last = self.output.offset(self.output.blocks - 1, self.output.height - 1, self.output.width - 1);
        assert!(last + LANES <= y.len(), "pixels up to {last} of {}", y.len());
    }
}

/// Overwrites the pixels of `y` (one image, [`Depthwise::output`]).
///
/// `x`: one image, [`Depthwise::input`]. `weight`: [`Depthwise::weight_index`]. `bias`: one element per padded channel.
///
/// # Panics
/// If a slice has another length than that.
pub fn depthwise_forward(isa: Isa, shape: &Depthwise, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), shape.input.len(), "x is one image of {:?}", shape.input);
    assert_eq!(y.len(), shape.output.len(), "y is one image of {:?}", shape.output);
    assert_eq!(weight.len(), shape.weight_len(), "a weight for each tap of each channel");
    assert_eq!(bias.len(), shape.output.blocks * LANES, "bias has one element per padded channel");
    let (sums, taps, bias) = (&shape.forward, shape.taps, Some(bias));
    sums.check_windows(x);
    sums.check_pixels(y);
    dispatch!(isa, sums_body(sums: &Sums, taps: usize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]))
}

/// Overwrites `grad_x` (one image of the input's size without border) with the gradient of the input.
///
/// `grad_y`: one image of [`Depthwise::grad_output`]. `weight`: [`Depthwise::weight_index`].
///
/// # Panics
/// If a slice has another length than that.
pub fn depthwise_backward_input(isa: Isa, shape: &Depthwise, grad_y: &[f32], weight: &[f32], grad_x: &mut [f32]) {
    assert_eq!(grad_y.len(), shape.grad_output.len(), "grad_y is one image of {:?}", shape.grad_output);
    assert_eq!(grad_x.len(), shape.input.plain().len(), "grad_x is one image without border");
    assert_eq!(weight.len(), shape.weight_len(), "a weight for each tap of each channel");
    if !shape.backward_is_whole {
        grad_x.fill(0.0);
    }
    for sums in &shape.backward {
        let (taps, none) = (shape.taps, None);
        sums.check_windows(grad_y);
        sums.check_pixels(grad_x);
        dispatch!(
            isa,
            sums_body(
                sums: &Sums, taps: usize, grad_y: &[f32], weight: &[f32], none: Option<&[f32]>, grad_x: &mut [f32]
            )
        );
    }
}

#[inline(always)]
fn sums_body<L: Lanes>(
    simd: L,
    sums: &Sums,
    taps: usize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let out = &sums.output;
    // As many chains as hide the latency of their links, and no more than there are registers for; and strips of a row
    // that are as equal as can be.
    let most = if L::TILE.1 >= 4 { 8 } else { 6 };
    let strips = out.width.div_ceil(most);
    for block in 0..out.blocks {
        let weight = &weight[block * taps * LANES..][..taps * LANES];
        let first = match bias {
            // SAFETY: the bias has a vector for each block.
            Some(bias) => unsafe { simd.load(bias[block * LANES..][..LANES].as_ptr()) },
            None => simd.zero(),
        };
        for row in 0..out.height {
            for strip in 0..strips {
                let (from, to) = (strip * out.width / strips, (strip + 1) * out.width / strips);
                // SAFETY: `check_windows` and `check_pixels` have seen that all are there.
                unsafe {
                    let x = x.as_ptr().add(sums.start + block * sums.plane + row * sums.row + from * sums.pixel);
                    let y = y.as_mut_ptr().add(out.offset(block, row, from));
                    match to - from {
                        1 => strip_body::<L, 1>(simd, sums, x, weight, first, y),
                        2 => strip_body::<L, 2>(simd, sums, x, weight, first, y),
                        3 => strip_body::<L, 3>(simd, sums, x, weight, first, y),
                        4 => strip_body::<L, 4>(simd, sums, x, weight, first, y),
                        5 => strip_body::<L, 5>(simd, sums, x, weight, first, y),
                        6 => strip_body::<L, 6>(simd, sums, x, weight, first, y),
                        7 => strip_body::<L, 7>(simd, sums, x, weight, first, y),
                        8 => strip_body::<L, 8>(simd, sums, x, weight, first, y),
                        n => unreachable!("strips of {n} pixels"),
                    }
                }
            }
        }
    }
}

/// `N` pixels of a row.
///
/// # Safety
/// `x` is where the window of the first of them starts, and `y` where it is.
#[inline(always)]
unsafe fn strip_body<L: Lanes, const N: usize>(
    simd: L,
    sums: &Sums,
    x: *const f32,
    weight: &[f32],
    first: L::V,
    y: *mut f32,
) {
    let mut acc = [first; N];
    for &(at, tap) in &sums.taps {
        // SAFETY: the weights have a vector for each tap; the caller vouches for the windows.
        unsafe {
            let w = simd.load(weight[tap * LANES..][..LANES].as_ptr());
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = simd.fma(simd.load(x.add(at + i * sums.pixel)), w, *acc);
            }
        }
    }
    for (i, acc) in acc.into_iter().enumerate() {
        // SAFETY: the caller vouches for the pixels.
        unsafe { simd.store(y.add(i * sums.output.pixel), acc) };
    }
}

/// Overwrites `parts` with the gradients of one image: for each block of channels a vector for each tap of the weights,
/// `sum over pixels of x[c][p * stride + (ky, kx) - padding] * grad_y[c][p]`, and behind them one for the biases.
///
/// `x`: one image, [`Depthwise::input`]. `grad_y`: one image of the output's size without border. `parts`:
/// [`Depthwise::part_len`] for each block.
///
/// # Panics
/// If a slice has another length than that.
pub fn depthwise_backward_weight(isa: Isa, shape: &Depthwise, x: &[f32], grad_y: &[f32], parts: &mut [f32]) {
    assert_eq!(x.len(), shape.input.len(), "x is one image of {:?}", shape.input);
    assert_eq!(grad_y.len(), shape.output.plain().len(), "grad_y is one image without border");
    assert_eq!(parts.len(), shape.output.blocks * shape.part_len(), "parts has a vector for each tap and the bias");
    // They are the windows of the way forward.
    shape.forward.check_windows(x);
    dispatch!(isa, weight_body(shape: &Depthwise, x: &[f32], grad_y: &[f32], parts: &mut [f32]))
}

#[inline(always)]
fn weight_body<L: Lanes>(simd: L, shape: &Depthwise, x: &[f32], grad_y: &[f32], parts: &mut [f32]) {
    let (sums, plane) = (&shape.forward, shape.output.plain().plane);
    // As many chains as hide the latency of their links; those of a 3x3 kernel at once where there are registers.
    let most = if L::TILE.1 >= 4 { 9 } else { 5 };
    let chunks = shape.taps.div_ceil(most);
    for (block, part) in parts.chunks_exact_mut(shape.part_len()).enumerate() {
        let grad_y = &grad_y[block * plane..][..plane];
        let (of_taps, of_bias) = part.split_at_mut(shape.taps * LANES);
        for chunk in 0..chunks {
            let (from, to) = (chunk * shape.taps / chunks, (chunk + 1) * shape.taps / chunks);
            let (taps, out) = (&sums.taps[from..to], &mut of_taps[from * LANES..to * LANES]);
            let x = &x[block * sums.plane..];
            match to - from {
                1 => chunk_body::<L, 1>(simd, sums, taps, x, grad_y, out),
                2 => chunk_body::<L, 2>(simd, sums, taps, x, grad_y, out),
                3 => chunk_body::<L, 3>(simd, sums, taps, x, grad_y, out),
                4 => chunk_body::<L, 4>(simd, sums, taps, x, grad_y, out),
                5 => chunk_body::<L, 5>(simd, sums, taps, x, grad_y, out),
                6 => chunk_body::<L, 6>(simd, sums, taps, x, grad_y, out),
                7 => chunk_body::<L, 7>(simd, sums, taps, x, grad_y, out),
                8 => chunk_body::<L, 8>(simd, sums, taps, x, grad_y, out),
                9 => chunk_body::<L, 9>(simd, sums, taps, x, grad_y, out),
                n => unreachable!("{n} taps at once"),
            }
        }
        bias_body(simd, grad_y, of_bias);
    }
}

/// `N` taps of a block of channels.
#[inline(always)]
fn chunk_body<L: Lanes, const N: usize>(
    simd: L,
    sums: &Sums,
    taps: &[(usize, usize)],
    x: &[f32],
    grad_y: &[f32],
    out: &mut [f32],
) {
    let taps: [usize; N] = std::array::from_fn(|i| taps[i].0);
    let mut acc = [simd.zero(); N];
    for (row, grad_row) in grad_y.chunks_exact(sums.output.width * LANES).enumerate() {
        for (column, g) in grad_row.as_chunks::<LANES>().0.iter().enumerate() {
            // SAFETY: `check_windows` has seen that all windows are within the images, of which `x` is the rest
            // from this block on.
            unsafe {
                let x = x.as_ptr().add(row * sums.row + column * sums.pixel);
                let g = simd.load(g.as_ptr());
                for (acc, at) in acc.iter_mut().zip(taps) {
                    *acc = simd.fma(simd.load(x.add(at)), g, *acc);
                }
            }
        }
    }
    for (out, acc) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(acc) {
        // SAFETY: there are sixteen elements.
        unsafe { simd.store(out.as_mut_ptr(), acc) };
    }
}

/// The sum of all pixels, in four chains that are put together at the end.
#[inline(always)]
fn bias_body<L: Lanes>(simd: L, grad_y: &[f32], out: &mut [f32]) {
    let mut acc = [simd.zero(); 4];
    for pixels in grad_y.as_chunks::<LANES>().0.chunks(4) {
        for (acc, pixel) in acc.iter_mut().zip(pixels) {
            // SAFETY: there are sixteen elements.
            *acc = simd.add(*acc, unsafe { simd.load(pixel.as_ptr()) });
        }
    }
    let sum = simd.add(simd.add(acc[0], acc[1]), simd.add(acc[2], acc[3]));
    // SAFETY: there are sixteen elements.
    unsafe { simd.store(out[..LANES].as_mut_ptr(), sum) };
}

/// Overwrites `sum` with the sum of what each image adds, in their order. `parts`: `sum.len()` elements of each image,
/// `stride` from one to the next.
///
/// # Panics
/// If `parts` ends within an image.
pub fn sum_images(parts: &[f32], stride: usize, sum: &mut [f32]) {
    sum.fill(0.0);
    for part in parts.chunks(stride) {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, Window};
    use crate::testing::{
        assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values,
    };

    type Case = ((usize, usize, usize), (usize, usize), (usize, usize), (usize, usize));
    /// Channels, rows and columns; kernel; stride; padding.
    const CASES: [Case; 12] = [
        ((32, 28, 28), (3, 3), (1, 1), (1, 1)),
        ((3, 7, 5), (3, 3), (1, 1), (0, 0)),
        ((17, 6, 9), (3, 3), (2, 2), (1, 1)),
        ((16, 14, 13), (5, 5), (1, 1), (2, 2)),
        ((16, 13, 14), (5, 5), (2, 2), (2, 2)),
        ((5, 9, 8), (7, 2), (1, 1), (3, 0)),
        ((18, 9, 8), (2, 2), (3, 3), (0, 0)),
        ((1, 1, 1), (1, 1), (1, 1), (0, 0)),
        ((2, 1, 33), (1, 5), (1, 2), (0, 4)),
        ((20, 8, 8), (1, 1), (2, 3), (0, 0)),
        ((33, 3, 3), (3, 3), (1, 1), (2, 2)),
        ((4, 11, 10), (4, 3), (3, 2), (2, 2)),
    ];

    #[test]
    fn depthwise_convolutions_match_the_reference_on_every_isa() {
        for (shape, kernel, stride, padding) in CASES {
            let (c, h, w) = shape;
            let taps = kernel.0 * kernel.1;
            if too_large(c * h * w * taps) {
                continue;
            }
            let what = format!("{shape:?} by {kernel:?} stride {stride:?} padding {padding:?}");
            let border = [padding.0, padding.1, padding.0, padding.1];
            let window = Window { kernel, stride, padding: border };
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::with_border(c, LANES, h, w, border, (1, 1));
            let output = Planes::with_border(c, LANES, oh, ow, [1, 2, 0, 1], (1, 1));
            let conv = Depthwise::new(input, output, kernel, stride, padding);
            let (x, weight, bias) = (values(c * h * w, 1), values(c * taps, 2), values(c, 3));
            let grad = values(c * oh * ow, 4);
            let expected = reference::grouped_conv2d_forward(&x, shape, &weight, &bias, &window, c);
            let (of_x, of_weight, of_bias) =
                reference::grouped_conv2d_backward(&x, shape, &weight, c, &grad, &window, c);

            let mut packed_weight = vec![0.0; conv.weight_len()];
            for (j, w) in weight.iter().enumerate() {
                packed_weight[conv.weight_index(j / taps, j % taps)] = *w;
            }
            let mut packed_bias = bias.clone();
            packed_bias.resize(c.next_multiple_of(LANES), 0.0);
            let packed = pack_image(&x, &input);
            let (plain, bordered) = (Planes::new(c, oh, ow), conv.grad_output());
            on_every_isa(|isa| {
                // Borders are zero; of pixels it does not matter what was there.
                let mut y = vec![0.0; output.len()];
                let mut grad_x = vec![f32::NAN; input.plain().len()];
                for _ in 0..2 {
                    depthwise_forward(isa, &conv, &packed, &packed_weight, &packed_bias, &mut y);
                    depthwise_backward_input(isa, &conv, &pack_image(&grad, &bordered), &packed_weight, &mut grad_x);
                }
                assert_close(&unpack_image(&y, &output), &expected, 1e-6, &what);
                assert_padding_is_zero(&y, &output, &what);
                assert_close(&unpack_image(&grad_x, &input.plain()), &of_x, 1e-6, &what);
                assert_padding_is_zero(&grad_x, &input.plain(), &what);
                let mut parts = vec![f32::NAN; output.blocks * conv.part_len()];
                depthwise_backward_weight(isa, &conv, &packed, &pack_image(&grad, &plain), &mut parts);
                let part = |channel: usize, tap: usize| {
                    parts[channel / LANES * conv.part_len() + tap * LANES + channel % LANES]
                };
                let got: Vec<f32> = (0..c * taps).map(|j| part(j / taps, j % taps)).collect();
                // Sums of up to 784 products, one after the other.
                assert_close(&got, &of_weight, 5e-6, &what);
                let got: Vec<f32> = (0..c).map(|channel| part(channel, taps)).collect();
                assert_close(&got, &of_bias, 5e-6, &what);
                y.iter().chain(&grad_x).chain(&parts).map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn images_are_summed_in_their_order() {
        let parts = [1.0, 2.0, 9.0, 1e8, 20.0, 9.0, -1e8, 200.0, 9.0];
        let mut sum = [f32::NAN; 2];
        sum_images(&parts, 3, &mut sum);
        assert_eq!(sum, [(1.0 + 1e8) - 1e8, 222.0]);
    }
}
