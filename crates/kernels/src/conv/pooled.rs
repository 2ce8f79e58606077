//! Convolution, bias, ReLU and max-pooling as one, and what that saves backward.
//!
//! `y = max(0, bias + max over the window of conv(x))`: the maximum is taken first, because bias and ReLU keep the order.
//! Backward, the gradient of the convolution's output is zero except at the winner of each window that ReLU let pass:
//! for 2x2 windows at most a quarter of it. The weight gradient is summed over those alone.

use crate::conv::direct::Conv2d;
use crate::panels::Panels;
use crate::planes::Planes;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// The winner of a window that ReLU cut off.
pub(crate) const NOBODY: u8 = u8::MAX;

/// Vectors of a (block, ky) run that the weight gradient keeps in registers at most.
const MAX_RUN_VECTORS: usize = 5;

/// A convolution with ReLU and max-pooling over windows that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvPool {
    /// The convolution; its output has no border.
    pub(crate) conv: Conv2d,
    /// Height and width of a window.
    pub(crate) window: (usize, usize),
    /// The pooled output.
    pub(crate) output: Planes,
}

/// One pixel of the convolution's output that has a gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Where its first tap lies in the input of the image.
    tap: u32,
    gradient: f32,
}

impl ConvPool {
    /// `None` if these shapes are not worth fusing: a run of taps is then too long for the registers.
    ///
    /// # Panics
    /// If `output` is not what is left of the convolution's output after pooling, or that is not in blocks of 16 channels.
    pub fn new(conv: Conv2d, window: (usize, usize), output: Planes) -> Option<ConvPool> {
        let fits = conv.run_len().div_ceil(LANES) <= MAX_RUN_VECTORS
            && window.0 * window.1 < usize::from(NOBODY)
            && conv.input.len() < u32::MAX as usize;
        assert_eq!(conv.output.lanes, LANES, "outputs are blocks of {LANES} channels");
        assert_eq!(output.height, conv.output.height / window.0, "rows of windows");
        assert_eq!(output.width, conv.output.width / window.1, "columns of windows");
        assert_eq!(output.channels, conv.output.channels, "channels");
        fits.then_some(ConvPool { conv, window, output })
    }

    /// The convolution; its output has no border.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The pooled output.
    pub fn output(&self) -> &Planes {
        &self.output
    }

    /// Windows of one channel.
    fn windows(&self) -> usize {
        self.output.height * self.output.width
    }

    /// Winners of one image: one byte per output, in the order block, row, column, lane.
    pub fn argmax_len(&self) -> usize {
        self.output.blocks * self.windows() * LANES
    }

    /// Room that [`conv_pool_backward_weight`] needs for the pixels of one block of channels.
    pub fn entries_len(&self) -> usize {
        self.windows() * LANES
    }

    /// Vectors of one run of taps.
    fn run_vectors(&self) -> usize {
        self.conv.run_len().div_ceil(LANES)
    }

    /// Weight gradient of one output channel as [`conv_pool_backward_weight`] gives it: each run padded to vectors.
    pub fn channel_len(&self) -> usize {
        self.conv.run_count() * self.run_vectors() * LANES
    }

    /// Elements beyond the last image that may be read, though not used.
    pub fn slack(&self) -> usize {
        LANES
    }
}

/// Overwrites the pixels of `y` and `argmax` from the convolution's output without bias, `sums`.
///
/// `sums`, `y`: one image. `bias`: one element per padded channel. `argmax`: [`ConvPool::argmax_len`].
///
/// # Panics
/// If a slice has another length than that.
pub fn pool_relu_forward(isa: Isa, shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    assert_eq!(sums.len(), shape.conv.output.len(), "sums is one image");
    assert_eq!(bias.len(), shape.output.blocks * LANES, "bias has one element per padded channel");
    assert_eq!(y.len(), shape.output.len(), "y is one image");
    assert_eq!(argmax.len(), shape.argmax_len(), "one winner per output");
    dispatch!(isa, pool_relu_body(shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]))
}

#[inline(always)]
fn pool_relu_body<L: Lanes>(simd: L, shape: &ConvPool, sums: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let (from, to) = (&shape.conv.output, &shape.output);
    let mut argmax = argmax.chunks_exact_mut(LANES);
    let nobody = simd.splat(f32::from(NOBODY));
    for block in 0..to.blocks {
        // SAFETY: the slice has a vector.
        let bias = unsafe { simd.load(bias[block * LANES..][..LANES].as_ptr()) };
        for oy in 0..to.height {
            for ox in 0..to.width {
                let first = from.offset(block, oy * shape.window.0, ox * shape.window.1);
                let mut best = simd.splat(f32::NEG_INFINITY);
                let mut place = simd.zero();
                for ky in 0..shape.window.0 {
                    for kx in 0..shape.window.1 {
                        let at = first + ky * from.row + kx * from.pixel;
                        // SAFETY: the slice has a vector.
                        let candidate = unsafe { simd.load(sums[at..at + LANES].as_ptr()) };
                        let code = simd.splat((ky * shape.window.1 + kx) as f32);
                        place = simd.select_greater_or_nan(candidate, best, code, place);
                        best = simd.select_greater_or_nan(candidate, best, candidate, best);
                    }
                }
                let value = simd.add(best, bias);
                // A NaN counts as greater than zero, and so stays.
                let out = &mut y[to.offset(block, oy, ox)..][..LANES];
                let argmax = argmax.next().expect("one winner per output");
                // SAFETY: both have room for sixteen; codes are at most `NOBODY`.
                unsafe {
                    simd.store(out.as_mut_ptr(), simd.select_greater_or_nan(value, simd.zero(), value, simd.zero()));
                    let codes = simd.select_greater_or_nan(value, simd.zero(), place, nobody);
                    simd.store_bytes(argmax.as_mut_ptr(), codes);
                }
            }
        }
    }
}

/// Overwrites the pixels of `spread` (one image of [`Conv2d::grad_output`]) with the gradient of the convolution's
/// output: that of each window, without border in `grad_y`, at its winner.
///
/// `grad_y`, `argmax`: [`ConvPool::argmax_len`].
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
                for ky in 0..shape.window.0 {
                    for kx in 0..shape.window.1 {
                        let code = simd.splat((ky * shape.window.1 + kx) as f32);
                        let pixel = &mut spread[first + ky * planes.row + kx * planes.pixel..][..LANES];
                        let value = simd.select_equal(winner, code, gradient, simd.zero());
                        // SAFETY: the slice holds a vector.
                        unsafe { simd.store(pixel.as_mut_ptr(), value) };
                    }
                }
            }
        }
    }
}

/// Overwrites `grad` (`[channels, channel_len]`) with the weight gradients of the output channels `channels`, summed over
/// the images, and `grad_bias` with those of their biases.
///
/// `x`: the images of [`Conv2d::input`] and then [`ConvPool::slack`] elements more. `grad_y`: the gradient of the output
/// without border. `entries`: room for [`ConvPool::entries_len`].
///
/// # Panics
/// If a slice has another length than that, or there are no such channels.
#[expect(clippy::too_many_arguments, reason = "three inputs, two outputs and room to work in")]
pub fn conv_pool_backward_weight(
    isa: Isa,
    shape: &ConvPool,
    channels: Range<usize>,
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    images: usize,
    entries: &mut [Entry],
    grad: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert_eq!(x.len(), images * shape.conv.input.len() + shape.slack(), "x is {images} images and slack");
    assert_eq!(grad_y.len(), images * shape.argmax_len(), "one gradient per output");
    assert_eq!(argmax.len(), images * shape.argmax_len(), "one winner per output");
    assert!(channels.end <= shape.output.channels, "channels {channels:?}");
    assert_eq!(grad.len(), channels.len() * shape.channel_len(), "grad is [channels, channel_len]");
    assert_eq!(grad_bias.len(), channels.len(), "one bias gradient per channel");
    assert!(entries.len() >= shape.entries_len(), "room for the pixels of a block of channels");
    grad.fill(0.0);
    grad_bias.fill(0.0);
    for image in 0..images {
        let x = &x[image * shape.conv.input.len()..(image + 1) * shape.conv.input.len() + shape.slack()];
        let outputs = image * shape.argmax_len()..(image + 1) * shape.argmax_len();
        let (grad_y, argmax) = (&grad_y[outputs.clone()], &argmax[outputs]);
        let mut channel = channels.start;
        while channel < channels.end {
            let block = channel / LANES;
            let lanes = channel % LANES..(channels.end - block * LANES).min(LANES);
            let part = block * shape.windows() * LANES..(block + 1) * shape.windows() * LANES;
            let counts = list_entries(shape, &grad_y[part.clone()], &argmax[part], lanes.clone(), entries);
            for lane in lanes {
                let list = &entries[lane * shape.windows()..][..counts[lane]];
                let at = channel - channels.start;
                grad_bias[at] = list.iter().fold(grad_bias[at], |sum, e| sum + e.gradient);
                let grad = &mut grad[at * shape.channel_len()..(at + 1) * shape.channel_len()];
                dispatch!(isa, channel_body(shape: &ConvPool, list: &[Entry], x: &[f32], grad: &mut [f32]));
                channel += 1;
            }
        }
    }
}

/// The pixels with a gradient of each lane of a block, lane after lane with room for all windows; how many each has.
fn list_entries(
    shape: &ConvPool,
    grad_y: &[f32],
    argmax: &[u8],
    lanes: Range<usize>,
    entries: &mut [Entry],
) -> [usize; LANES] {
    let (input, stride) = (&shape.conv.input, shape.conv.stride);
    let mut counts = [0; LANES];
    // Where the first tap of each pixel of a window lies, relative to that of its first pixel.
    let mut place = [0_u32; NOBODY as usize + 1];
    for ky in 0..shape.window.0 {
        for kx in 0..shape.window.1 {
            place[ky * shape.window.1 + kx] = (ky * stride.0 * input.row + kx * stride.1 * input.pixel) as u32;
        }
    }
    let windows = shape.windows();
    assert!(entries.len() >= LANES * windows, "room for every window of every lane");
    let (gradients, argmax) = (grad_y.as_chunks::<LANES>().0, argmax.as_chunks::<LANES>().0);
    let mut outputs = gradients.iter().zip(argmax);
    for oy in 0..shape.output.height {
        for ox in 0..shape.output.width {
            let first = oy * shape.window.0 * stride.0 * input.row + ox * shape.window.1 * stride.1 * input.pixel;
            let (gradient, winner) = outputs.next().expect("one per output");
            for lane in lanes.clone() {
                let entry = Entry { tap: first as u32 + place[usize::from(winner[lane])], gradient: gradient[lane] };
                // SAFETY: a lane's count grows at most once per window, so it is below `windows` here, and there is
                // room for `LANES * windows` entries (asserted).
                unsafe { *entries.get_unchecked_mut(lane * windows + counts[lane]) = entry };
                // Without a branch: an entry that does not count is overwritten by the next.
                counts[lane] += usize::from(winner[lane] != NOBODY);
            }
        }
    }
    counts
}

#[inline(always)]
fn channel_body<L: Lanes>(simd: L, shape: &ConvPool, list: &[Entry], x: &[f32], grad: &mut [f32]) {
    let vectors = shape.run_vectors();
    // As many rows of the kernel at a time as there are registers for; the sums do not depend on it.
    let registers = if L::TILE.1 > 1 { 25 } else { 6 };
    let rows_at_once = (registers / vectors).clamp(1, 5);
    let (kh, input) = (shape.conv.kernel.0, &shape.conv.input);
    for block in 0..input.blocks {
        let mut ky = 0;
        while ky < kh {
            let rows = rows_at_once.min(kh - ky);
            let first = block * input.plane + ky * input.row;
            let at = (block * kh + ky) * vectors * LANES;
            let grad = &mut grad[at..at + rows * vectors * LANES];
            macro_rules! pick {
                ($($r:literal $v:literal)*) => {
                    match (rows, vectors) {
                        $(($r, $v) => rows_body::<L, $r, $v>(simd, list, x, first, input.row, grad),)*
                        _ => unreachable!("at most five rows and vectors"),
                    }
                };
            }
            pick!(1 1 2 1 3 1 4 1 5 1 1 2 2 2 3 2 4 2 5 2 1 3 2 3 3 3 4 3 5 3 1 4 2 4 3 4 4 4 5 4 1 5 2 5 3 5 4 5 5 5);
            ky += rows;
        }
    }
}

/// Adds to `R` rows of `V` vectors: each entry's gradient times what its taps saw.
#[inline(always)]
fn rows_body<L: Lanes, const R: usize, const V: usize>(
    simd: L,
    list: &[Entry],
    x: &[f32],
    first: usize,
    row: usize,
    grad: &mut [f32],
) {
    assert_eq!(grad.len(), R * V * LANES, "R rows of V vectors");
    // The last place where an entry's first tap may lie.
    let last = x.len().checked_sub(first + (R - 1) * row + V * LANES).expect("x has an image and slack");
    // SAFETY: `grad` has room for R * V vectors; every entry's taps are checked to lie within `x`.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for r in 0..R {
            for v in 0..V {
                acc[r][v] = simd.load(grad.as_ptr().add((r * V + v) * LANES));
            }
        }
        for entry in list {
            let at = entry.tap as usize;
            assert!(at <= last, "the taps lie within the image");
            let taps = x.as_ptr().add(at + first);
            let g = simd.splat(entry.gradient);
            for r in 0..R {
                for v in 0..V {
                    acc[r][v] = simd.fma(g, simd.load(taps.add(r * row + v * LANES)), acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(grad.as_mut_ptr().add((r * V + v) * LANES), acc[r][v]);
            }
        }
    }
}

/// Overwrites `rows` with the weight rows of run `run`, laid out as `Panels { k: run_len, n: out_channels }`, from the
/// gradients of all output channels, `[out_channels, channel_len]`.
///
/// # Panics
/// If a slice has another length than that.
pub fn gather_run(shape: &ConvPool, run: usize, channels: &[f32], rows: &mut [f32]) {
    let (run_len, padded) = (shape.conv.run_len(), shape.run_vectors() * LANES);
    let panels = Panels { k: run_len, n: shape.output.channels };
    assert_eq!(rows.len(), panels.len(), "rows is [{run_len}, {}] in panels", panels.n);
    assert_eq!(channels.len(), panels.n * shape.channel_len(), "channels is [out_channels, channel_len]");
    rows.fill(0.0);
    for p in 0..panels.count() {
        let (width, rows) = (panels.width(p), &mut rows[panels.rows(p, 0..run_len)]);
        let first = panels.columns(p).start;
        for column in 0..width.min(panels.n - first) {
            let channel = &channels[(first + column) * shape.channel_len() + run * padded..][..run_len];
            for (row, value) in channel.iter().enumerate() {
                rows[row * width + column] = *value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::direct::conv2d_forward;
    use crate::reference::{self, Window};
    use crate::testing::{
        assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values,
    };

    /// `((channels, height, width), lanes, out_channels, kernel, stride, padding, window)`.
    type Pair = (usize, usize);
    type Case = ((usize, usize, usize), usize, usize, Pair, Pair, Pair, Pair);

    const CASES: [Case; 7] = [
        ((1, 28, 28), 1, 32, (5, 5), (1, 1), (2, 2), (2, 2)),
        ((32, 14, 14), 16, 64, (5, 5), (1, 1), (2, 2), (2, 2)),
        ((3, 11, 9), 3, 5, (3, 3), (1, 1), (1, 1), (2, 2)),
        ((17, 7, 8), 16, 33, (3, 3), (2, 1), (1, 1), (2, 3)),
        ((1, 4, 4), 1, 1, (1, 1), (1, 1), (0, 0), (4, 4)),
        ((2, 13, 9), 2, 70, (7, 7), (1, 1), (3, 3), (1, 1)),
        ((16, 6, 5), 16, 16, (2, 4), (1, 1), (0, 2), (3, 2)),
    ];

    #[test]
    fn everything_matches_the_reference_on_every_isa() {
        for (shape, lanes, out_channels, kernel, stride, padding, window) in CASES {
            if too_large(shape.0 * shape.1 * shape.2 * out_channels * kernel.0 * kernel.1) {
                continue;
            }
            let what = format!("{shape:?} to {out_channels} by {kernel:?} stride {stride:?} over {window:?}");
            let taps = Window { kernel, stride, padding: [padding.0, padding.1, padding.0, padding.1] };
            let pool = Window { kernel: window, stride: window, padding: [0; 4] };
            let (c, h, w) = shape;
            let (oh, ow) = taps.output(h, w).expect("fits");
            let (ph, pw) = pool.output(oh, ow).expect("fits");
            let input = Planes::with_border(c, lanes, h, w, taps.padding, (1, 1));
            let conv = Conv2d::new(input, Planes::new(out_channels, oh, ow), kernel, stride, padding);
            let output = Planes::with_border(out_channels, LANES, ph, pw, [2, 1, 0, 1], (1, 1));
            let fused = ConvPool::new(conv.clone(), window, output).expect("worth fusing");
            let plain = Planes::new(out_channels, ph, pw);

            let images = 3;
            let weight = values(out_channels * c * kernel.0 * kernel.1, 1);
            let bias = values(out_channels, 2);
            let mut packed_weight = vec![0.0; conv.weight().len()];
            for (at, &value) in weight.iter().enumerate() {
                let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                packed_weight[conv.weight().index(conv.weight_row(i, ky, kx), o)] = value;
            }
            let mut padded_bias = bias.clone();
            padded_bias.resize(conv.weight().padded_n(), 0.0);

            let mut expected_weight = vec![0.0; weight.len()];
            let mut expected_bias = vec![0.0; out_channels];
            let (mut xs, mut grads, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            for n in 0..images {
                let x = values(c * h * w, 10 + n);
                let sums = reference::conv2d_forward(&x, shape, &weight, &bias, &taps);
                let relu: Vec<f32> = sums.iter().map(|&v| v.max(0.0) as f32).collect();
                let (y, places) = reference::maxpool2d_forward(&relu, (out_channels, oh, ow), &pool);
                let grad = values(y.len(), 20 + n);
                let mut spread = reference::maxpool2d_backward(&grad, &places, relu.len());
                spread.iter_mut().zip(&relu).for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 });
                let dense: Vec<f32> = spread.iter().map(|&g| g as f32).collect();
                let (_, gw, gb) = reference::conv2d_backward(&x, shape, &weight, out_channels, &dense, &taps);
                expected_weight.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
                expected_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
                xs.extend(pack_image(&x, &input));
                grads.extend(pack_image(&grad, &plain));
                expected.push((y, spread));
            }
            xs.extend([f32::NAN; LANES]);

            on_every_isa(|isa| {
                let mut bits: Vec<u32> = Vec::new();
                let mut argmax = vec![7; images as usize * fused.argmax_len()];
                for (n, (y, spread)) in expected.iter().enumerate() {
                    let mut sums = vec![0.0; conv.output.len()];
                    conv2d_forward(isa, &conv, &xs[n * input.len()..][..input.len()], &packed_weight, &mut sums);
                    let mut out = vec![0.0; output.len()];
                    let of_image = n * fused.argmax_len()..(n + 1) * fused.argmax_len();
                    pool_relu_forward(isa, &fused, &sums, &padded_bias, &mut out, &mut argmax[of_image.clone()]);
                    assert_close(&unpack_image(&out, &output), y, 1e-5, &format!("y of {what}"));
                    assert_padding_is_zero(&out, &output, &what);
                    let planes = conv.grad_output();
                    let mut got = vec![0.0; planes.len()];
                    unpool(isa, &fused, &grads[of_image.clone()], &argmax[of_image], &mut got);
                    assert_close(&unpack_image(&got, &planes), spread, 0.0, &format!("spread of {what}"));
                    assert_padding_is_zero(&got, &planes, &what);
                    bits.extend(out.iter().map(|v| v.to_bits()));
                }
                let mut entries = vec![Entry::default(); fused.entries_len()];
                let mut channels = vec![f32::NAN; out_channels * fused.channel_len()];
                let mut got_bias = vec![f32::NAN; out_channels];
                let cut = out_channels / 3;
                for part in [0..cut, cut..out_channels] {
                    let grad = &mut channels[part.start * fused.channel_len()..part.end * fused.channel_len()];
                    let bias = &mut got_bias[part.clone()];
                    conv_pool_backward_weight(
                        isa,
                        &fused,
                        part,
                        &xs,
                        &grads,
                        &argmax,
                        images as usize,
                        &mut entries,
                        grad,
                        bias,
                    );
                }
                let mut got = vec![f32::NAN; weight.len()];
                for run in 0..conv.run_count() {
                    let panels = Panels { k: conv.run_len(), n: out_channels };
                    let mut rows = vec![f32::NAN; panels.len()];
                    gather_run(&fused, run, &channels, &mut rows);
                    for (at, value) in got.iter_mut().enumerate() {
                        let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                        let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                        let row = conv.weight_row(i, ky, kx);
                        if row / conv.run_len() == run {
                            *value = rows[panels.index(row % conv.run_len(), o)];
                        }
                    }
                }
                assert_close(&got, &expected_weight, 1e-5, &format!("grad_weight of {what}"));
                assert_close(&got_bias, &expected_bias, 1e-5, &format!("grad_bias of {what}"));
                bits.extend(got.iter().chain(&got_bias).map(|v| v.to_bits()));
                bits
            });
        }
    }
}
