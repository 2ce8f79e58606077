//! The weight gradient of a [`ConvPool`] whose runs of taps are a few elements long, as over grey images.
//!
//! Lanes are output channels. What a channel's winner saw at one tap is one of the few inputs that the window has in
//! two lines of the image; they fit in one vector, from which each lane picks its own. Windows that see nothing but
//! zeros add nothing and are left out. Every weight's sum is one chain of fused multiply-adds over images and windows.

use super::seen::windows_that_see;
use super::{ConvPool, NOBODY};
use crate::panels::Panels;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// Elements of one line of a window's inputs: two lines are a vector.
const LINE: usize = LANES / 2;

/// Windows that are listed at a time.
const LISTED: usize = 256;

/// One window that sees something.
#[derive(Clone, Copy, Default)]
struct Window {
    /// Where the first tap of its first pixel lies in the image.
    tap: u32,
    /// Its number.
    number: u32,
}

impl ConvPool {
    /// Whether the taps of a run, for all pixels of one row of a window, fit in half a vector: then
    /// [`small_in_backward_weight`] gives the weight gradient.
    pub fn is_small_in(&self) -> bool {
        let reach = (self.window.1 - 1) * self.conv.stride.1 * self.conv.input.pixel + self.conv.run_len();
        self.window.0 <= 2 && self.window.0 * self.window.1 <= LANES && reach <= LINE
    }

    /// Units in which [`small_in_backward_weight`] is split: the runs of a block of output channels, block after block.
    pub fn small_in_units(&self) -> usize {
        self.output.blocks * self.conv.run_count()
    }

    /// Elements of the weight gradient of one unit, `[run_len, 16]`.
    pub fn small_in_unit_len(&self) -> usize {
        self.conv.run_len() * LANES
    }

    /// The blocks whose bias gradients come with the units `units`: those whose first run is among them.
    pub fn small_in_biases(&self, units: &Range<usize>) -> Range<usize> {
        units.start.div_ceil(self.conv.run_count())..units.end.div_ceil(self.conv.run_count())
    }
}

/// Overwrites `grad` with the weight gradients of the units `units`, summed over the images, and `grad_bias` with the
/// bias gradients of the blocks [`ConvPool::small_in_biases`].
///
/// `x`: the images of [`crate::conv::direct::Conv2d::input`] and then [`ConvPool::slack`] elements more. `grad_y`: the
/// gradient of the output without border. `argmax`: as many. `grad`: [`ConvPool::small_in_unit_len`] for each unit.
/// `grad_bias`: 16 for each block.
///
/// # Panics
/// Unless [`ConvPool::is_small_in`], and if a slice has another length than that or there are no such units.
#[expect(clippy::too_many_arguments, reason = "three inputs and two outputs")]
pub fn small_in_backward_weight(
    isa: Isa,
    shape: &ConvPool,
    units: Range<usize>,
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    images: usize,
    grad: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert!(shape.is_small_in(), "runs of {} taps", shape.conv.run_len());
    assert_eq!(x.len(), images * shape.conv.input.len() + shape.slack(), "x is {images} images and slack");
    assert_eq!(grad_y.len(), images * shape.argmax_len(), "one gradient per output");
    assert_eq!(argmax.len(), images * shape.argmax_len(), "one winner per output");
    assert!(units.end <= shape.small_in_units(), "units {units:?}");
    assert_eq!(grad.len(), units.len() * shape.small_in_unit_len(), "grad is [units, run_len, 16]");
    assert_eq!(grad_bias.len(), shape.small_in_biases(&units).len() * LANES, "one bias gradient per channel");
    grad.fill(0.0);
    grad_bias.fill(0.0);
    for image in 0..images {
        let x = &x[image * shape.conv.input.len()..(image + 1) * shape.conv.input.len() + shape.slack()];
        let outputs = image * shape.argmax_len()..(image + 1) * shape.argmax_len();
        let (grad_y, argmax, units) = (&grad_y[outputs.clone()], &argmax[outputs], units.clone());
        dispatch!(
            isa,
            image_body(
                shape: &ConvPool,
                units: Range<usize>,
                x: &[f32],
                grad_y: &[f32],
                argmax: &[u8],
                grad: &mut [f32],
                grad_bias: &mut [f32],
            )
        );
    }
}

/// Adds the gradients of one image.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn image_body<L: Lanes>(
    simd: L,
    shape: &ConvPool,
    units: Range<usize>,
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    grad: &mut [f32],
    grad_bias: &mut [f32],
) {
    add_biases(simd, shape, &units, grad_y, argmax, grad_bias);
    let conv = &shape.conv;
    let (line, step) =
        (shape.window.0 * conv.stride.0 * conv.input.row, shape.window.1 * conv.stride.1 * conv.input.pixel);
    let mut all = (0..shape.output.height).flat_map(|oy| {
        let window =
            move |ox| Window { tap: (oy * line + ox * step) as u32, number: (oy * shape.output.width + ox) as u32 };
        windows_that_see(simd, shape, &x[..conv.input.len()], oy).map(window)
    });
    let mut list = [Window::default(); LISTED];
    loop {
        let mut count = 0;
        for (place, window) in list.iter_mut().zip(&mut all) {
            *place = window;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let list = &list[..count];
        let mut unit = units.start;
        while unit < units.end {
            let (block, run) = (unit / conv.run_count(), unit % conv.run_count());
            // Up to five kernel rows share what is read of a window, registers for their sums or not.
            let at_once = if conv.run_len() <= 5 { 5 } else { 3 };
            let left = (units.end - unit).min(conv.kernel.0 - run % conv.kernel.0);
            let rows = if left >= at_once { at_once } else { 1 };
            let of_block = shape.outputs_of(block);
            let (grad_y, argmax) = (&grad_y[of_block.clone()], &argmax[of_block]);
            let at = (unit - units.start) * shape.small_in_unit_len();
            let grad = &mut grad[at..at + rows * shape.small_in_unit_len()];
            let taps = &x[conv.runs()[run].a..];
            any_rows(simd, shape, rows, list, taps, grad_y, argmax, grad);
            unit += rows;
        }
    }
}

/// Adds the gradients of the biases of one image.
#[inline(always)]
fn add_biases<L: Lanes>(
    simd: L,
    shape: &ConvPool,
    units: &Range<usize>,
    grad_y: &[f32],
    argmax: &[u8],
    grad_bias: &mut [f32],
) {
    for (block, sums) in shape.small_in_biases(units).zip(grad_bias.chunks_exact_mut(LANES)) {
        let of_block = shape.outputs_of(block);
        // SAFETY: every slice here is a whole vector.
        unsafe {
            let mut sum = simd.load(sums.as_ptr());
            for (g, w) in grad_y[of_block.clone()].chunks_exact(LANES).zip(argmax[of_block].chunks_exact(LANES)) {
                sum = simd.add(sum, passed(simd, g.as_ptr(), simd.load_bytes(w.as_ptr())));
            }
            simd.store(sums.as_mut_ptr(), sum);
        }
    }
}

/// [`add_rows`] for as many taps as a run has, and so many rows.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of the function it chooses, and how many rows")]
fn any_rows<L: Lanes>(
    simd: L,
    shape: &ConvPool,
    rows: usize,
    list: &[Window],
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    grad: &mut [f32],
) {
    macro_rules! pick {
        ($($k:literal $r:literal)*) => {
            match (shape.conv.run_len(), rows) {
                $(($k, $r) => add_rows::<L, $k, $r>(simd, shape, list, x, grad_y, argmax, grad),)*
                _ => unreachable!("at most {LINE} taps in a line"),
            }
        };
    }
    pick!(1 1 2 1 3 1 4 1 5 1 6 1 7 1 8 1 1 5 2 5 3 5 4 5 5 5 6 3 7 3 8 3);
}

/// The gradients that ReLU let pass.
///
/// # Safety
/// Sixteen f32 are readable at `gradients`.
#[inline(always)]
unsafe fn passed<L: Lanes>(simd: L, gradients: *const f32, argmax: L::V) -> L::V {
    // SAFETY: passed on from the caller.
    simd.select_equal(argmax, simd.splat(f32::from(NOBODY)), simd.zero(), unsafe { simd.load(gradients) })
}

/// Adds to `R` rows of `K` taps, `[R, K, 16]`: each window's gradients times what its argmax' taps saw.
#[inline(always)]
fn add_rows<L: Lanes, const K: usize, const R: usize>(
    simd: L,
    shape: &ConvPool,
    list: &[Window],
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    grad: &mut [f32],
) {
    let input = &shape.conv.input;
    // From the inputs of a window's first row of pixels to those of its second.
    let below = if shape.window.0 == 2 { shape.conv.stride.0 * input.row } else { 0 };
    // Lane of the first tap of each pixel of a window.
    let mut lanes = [0.0; LANES];
    for code in 0..shape.window.0 * shape.window.1 {
        let (ky, kx) = (code / shape.window.1, code % shape.window.1);
        lanes[code] = (ky * LINE + kx * shape.conv.stride.1 * input.pixel) as f32;
    }
    assert_eq!(grad.len(), R * K * LANES, "R rows of K taps");
    assert_eq!(grad_y.len(), argmax.len(), "a winner for each gradient");
    let last = list.iter().fold((0, 0), |(tap, number), w| (w.tap.max(tap), w.number.max(number)));
    assert!(last.0 as usize + (R - 1) * input.row + below + LINE <= x.len(), "the taps lie within the image");
    assert!((last.1 as usize + 1) * LANES <= grad_y.len(), "the windows are of this block");
    // SAFETY: `grad` has room for R * K vectors; the last window's taps, gradients and argmax are there.
    unsafe {
        let lanes = simd.load(lanes.as_ptr());
        let mut acc = [[simd.zero(); K]; R];
        for r in 0..R {
            for k in 0..K {
                acc[r][k] = simd.load(grad.as_ptr().add((r * K + k) * LANES));
            }
        }
        for window in list {
            let at = window.number as usize * LANES;
            let winner = simd.load_bytes(argmax.as_ptr().add(at));
            let g = passed(simd, grad_y.as_ptr().add(at), winner);
            let taps = x.as_ptr().add(window.tap as usize);
            let mut seen = [simd.zero(); R];
            for r in 0..R {
                let upper = taps.add(r * input.row);
                seen[r] = simd.load_halves(upper, upper.add(below));
            }
            let mut index = simd.index(simd.pick(lanes, simd.index(winner)));
            for k in 0..K {
                for r in 0..R {
                    acc[r][k] = simd.fma(g, simd.pick(seen[r], index), acc[r][k]);
                }
                index = simd.next(index);
            }
        }
        for r in 0..R {
            for k in 0..K {
                simd.store(grad.as_mut_ptr().add((r * K + k) * LANES), acc[r][k]);
            }
        }
    }
}

/// Overwrites `rows` with the weight rows of run `run`, laid out as `Panels { k: run_len, n: out_channels }`, from the
/// gradients of all units.
///
/// # Panics
/// If `units` are not all units, or `rows` has another length.
pub fn gather_small_in(shape: &ConvPool, run: usize, units: &[f32], rows: &mut [f32]) {
    let (run_len, unit_len) = (shape.conv.run_len(), shape.small_in_unit_len());
    let panels = Panels { k: run_len, n: shape.output.channels };
    assert_eq!(rows.len(), panels.len(), "rows is [{run_len}, {}] in panels", panels.n);
    assert_eq!(units.len(), shape.small_in_units() * unit_len, "units is [units, run_len, 16]");
    for p in 0..panels.count() {
        let (first, width) = (panels.columns(p).start / LANES, panels.width(p));
        for (row, out) in rows[panels.rows(p, 0..run_len)].chunks_exact_mut(width).enumerate() {
            for (j, out) in out.chunks_exact_mut(LANES).enumerate() {
                let unit = (first + j) * shape.conv.run_count() + run;
                out.copy_from_slice(&units[unit * unit_len + row * LANES..][..LANES]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::pooled::seen::tests::conv;
    use crate::conv::pooled::weight::{Entry, conv_pool_backward_weight, gather_run};
    use crate::planes::Planes;
    use crate::testing::{on_every_isa, pack_image, too_large, values};

    type Pair = (usize, usize);
    /// `((channels, height, width), lanes, out_channels, kernel, stride, padding, window)`.
    type Case = ((usize, usize, usize), usize, usize, Pair, Pair, Pair, Pair);

    const CASES: [Case; 8] = [
        ((1, 28, 28), 1, 32, (5, 5), (1, 1), (2, 2), (2, 2)),
        ((1, 9, 13), 1, 5, (3, 3), (1, 1), (1, 1), (2, 2)),
        ((2, 12, 7), 2, 70, (4, 3), (1, 1), (1, 2), (2, 2)),
        ((1, 40, 50), 1, 17, (7, 7), (1, 1), (3, 3), (2, 2)),
        ((1, 21, 20), 1, 33, (6, 6), (3, 2), (2, 1), (2, 2)),
        ((3, 9, 8), 3, 16, (2, 2), (1, 2), (0, 0), (2, 1)),
        ((1, 5, 11), 1, 3, (1, 8), (1, 1), (0, 3), (1, 1)),
        ((2, 6, 6), 2, 48, (11, 1), (1, 1), (5, 0), (2, 3)),
    ];

    /// The gradients of weights, run after run as rows, and biases, with the units cut into `parts`.
    fn narrow(
        isa: Isa,
        shape: &ConvPool,
        x: &[f32],
        grad_y: &[f32],
        argmax: &[u8],
        images: usize,
        parts: usize,
    ) -> Vec<f32> {
        let (units, len) = (shape.small_in_units(), shape.small_in_unit_len());
        let mut grad = vec![f32::NAN; units * len];
        let mut bias = vec![f32::NAN; shape.output.blocks * LANES];
        for part in 0..parts {
            let units = units * part / parts..units * (part + 1) / parts;
            let biases = shape.small_in_biases(&units);
            let grad = &mut grad[units.start * len..units.end * len];
            let bias = &mut bias[biases.start * LANES..biases.end * LANES];
            small_in_backward_weight(isa, shape, units, x, grad_y, argmax, images, grad, bias);
        }
        let mut all = Vec::new();
        for run in 0..shape.conv.run_count() {
            let mut rows = vec![f32::NAN; shape.conv.run_len() * shape.conv.weight().padded_n()];
            gather_small_in(shape, run, &grad, &mut rows);
            all.extend(rows);
        }
        all.extend(&bias[..shape.output.channels]);
        all
    }

    #[test]
    fn the_sums_are_those_over_the_lists_of_entries() {
        for (shape, lanes, out_channels, kernel, stride, padding, window) in CASES {
            if too_large(shape.0 * shape.1 * shape.2 * out_channels * kernel.0 * kernel.1) {
                continue;
            }
            let what = format!("{shape:?} to {out_channels} by {kernel:?} stride {stride:?} over {window:?}");
            let (c, h, w) = shape;
            let conv = conv((shape, lanes, out_channels, kernel, stride, padding));
            let output = Planes::new(out_channels, conv.output.height / window.0, conv.output.width / window.1);
            let shape = ConvPool::new(conv, window, output, true).expect("worth fusing");
            assert!(shape.is_small_in(), "{what}");

            // Nothing, everything, a blob, and pixels here and there.
            let images = 4;
            let keep: [fn(Pair, Pair) -> bool; 4] = [
                |_, _| false,
                |_, _| true,
                |(y, x), (h, w)| y > h / 4 && y < 3 * h / 4 && x > w / 3 && x < w - w / 3,
                |(y, x), _| (y * 7 + x) % 13 == 0,
            ];
            let mut xs = Vec::new();
            for (n, keep) in keep.iter().enumerate() {
                let all = values(c * h * w, n as u32);
                let image: Vec<f32> = all
                    .iter()
                    .enumerate()
                    .map(|(at, &v)| if keep((at / w % h, at % w), (h, w)) { v } else { 0.0 })
                    .collect();
                xs.extend(pack_image(&image, &shape.conv.input));
            }
            xs.extend(vec![f32::NAN; shape.slack()]);
            let grad_y = values(images * shape.argmax_len(), 11);
            let pixels = window.0 * window.1;
            let windows = output.height * output.width;
            let winner = |(at, v): (usize, f32)| {
                let padding = at / (windows * LANES) % output.blocks * LANES + at % LANES >= out_channels;
                let winner = ((v + 1.0) * 0.7 * pixels as f32) as usize;
                if padding || winner >= pixels { NOBODY } else { winner as u8 }
            };
            let argmax: Vec<u8> = values(grad_y.len(), 12).into_iter().enumerate().map(winner).collect();

            on_every_isa(|isa| {
                let mut entries = vec![Entry::default(); shape.entries_len()];
                let mut channels = vec![0.0; out_channels * shape.channel_len()];
                let mut bias = vec![0.0; out_channels];
                let (grad, part) = (&mut channels, 0..out_channels);
                conv_pool_backward_weight(
                    isa,
                    &shape,
                    part,
                    &xs,
                    &grad_y,
                    &argmax,
                    images,
                    &mut entries,
                    grad,
                    &mut bias,
                );
                let mut expected = Vec::new();
                for run in 0..shape.conv.run_count() {
                    let mut rows = vec![0.0; shape.conv.run_len() * shape.conv.weight().padded_n()];
                    gather_run(&shape, run, &channels, &mut rows);
                    expected.extend(rows);
                }
                expected.extend(bias);
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
                let whole = narrow(isa, &shape, &xs, &grad_y, &argmax, images, 1);
                // As numbers: a sum that never leaves zero may have either sign.
                assert!(whole == expected, "{what} on {}", isa.name());
                for parts in [2, 3, 7] {
                    let got = narrow(isa, &shape, &xs, &grad_y, &argmax, images, parts);
                    assert!(bits(&got) == bits(&whole), "{what} in {parts} parts on {}", isa.name());
                }
                bits(&whole)
            });
        }
    }
}
