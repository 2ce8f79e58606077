//! The forward pass of a [`ConvPool`] over 2x2 windows, where the convolution is summed directly.
//!
//! A tile of windows stays in registers from the first tap to the pooled value: the convolution's output never reaches
//! memory. Windows that see nothing but zeros are not computed: each of their sums is a chain of `w * 0 + 0`, which is 0
//! exactly, so the first of them wins and ReLU of the bias is what is left. Of the windows of a digit that is half.

use crate::contract::Segment;
use crate::conv::pooled::{ConvPool, NOBODY};
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

impl ConvPool {
    /// Whether [`conv_pool_forward`] is there for this shape.
    pub fn has_tiles(&self) -> bool {
        self.window == (2, 2)
    }
}

/// Overwrites the pixels of `y` and `argmax` with the same bits as [`crate::conv::direct::conv2d_forward`] and then
/// [`crate::conv::pooled::pool_relu_forward`].
///
/// `x`, `y`: one image. `weight`: [`crate::conv::direct::Conv2d::weight`]. `bias`: one element per padded channel.
/// `argmax`: [`ConvPool::argmax_len`].
///
/// # Panics
/// Unless [`ConvPool::has_tiles`], and if a slice has another length than that.
pub fn conv_pool_forward(
    isa: Isa,
    shape: &ConvPool,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let (conv, to) = (&shape.conv, &shape.output);
    assert!(shape.has_tiles(), "windows of {:?}", shape.window);
    assert_eq!(x.len(), conv.input.len(), "x is one image of {:?}", conv.input);
    assert_eq!(weight.len(), conv.weight().len(), "weight has the layout of the convolution");
    assert_eq!(bias.len(), to.blocks * LANES, "bias has one element per padded channel");
    assert_eq!(y.len(), to.len(), "y is one image of {to:?}");
    assert_eq!(argmax.len(), shape.argmax_len(), "one winner per output");
    assert_eq!(conv.weight().padded_n(), to.blocks * LANES, "the convolution gives the channels of the output");
    assert!(to.lanes == LANES && to.pixel == LANES, "the output's pixels are whole vectors side by side");
    let end = to.offset(to.blocks - 1, to.height - 1, to.width - 1) + LANES;
    assert!(end <= y.len(), "every pixel lies in the output");
    // The last tap of the last pixel of the last window.
    let (rows, columns) = (2 * to.height - 1, 2 * to.width - 1);
    let last = rows * conv.stride.0 * conv.input.row + columns * conv.stride.1 * conv.input.pixel;
    let last_run = conv.runs().iter().fold((0, 0), |(a, b), run| (run.a.max(a), run.b.max(b)));
    assert!(last + last_run.0 + conv.run_len() <= x.len(), "every tap lies in the image");
    assert!(last_run.1 + conv.run_len() <= conv.weight().k, "every tap has a row of the weights");
    dispatch!(
        isa,
        body(shape: &ConvPool, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8])
    )
}

/// The windows of row `oy` from the first to the last that see something other than zero.
#[inline(always)]
pub(crate) fn windows_that_see<L: Lanes>(simd: L, shape: &ConvPool, x: &[f32], oy: usize) -> Range<usize> {
    let (conv, input) = (&shape.conv, &shape.conv.input);
    let lines = (shape.window.0 - 1) * conv.stride.0 + conv.kernel.0;
    let first = oy * shape.window.0 * conv.stride.0 * input.row;
    let (mut low, mut high) = (usize::MAX, 0);
    let mut start = 0;
    while start < input.row {
        let (at, seen) = if input.row < LANES {
            let any = |column: &usize| {
                (0..input.blocks * lines)
                    .any(|n| x[first + n / lines * input.plane + n % lines * input.row + column] != 0.0)
            };
            (0, (0..input.row).filter(any).fold(0_u32, |mask, column| mask | 1 << column))
        } else {
            // The last vector ends with the line.
            let at = start.min(input.row - LANES);
            let mut seen = 0;
            for block in 0..input.blocks {
                for line in 0..lines {
                    let at = first + block * input.plane + line * input.row + at;
                    // SAFETY: the slice has a vector.
                    seen |= unsafe { simd.nonzero(simd.load(x[at..at + LANES].as_ptr())) };
                }
            }
            (at, seen)
        };
        if seen != 0 {
            low = low.min(at + seen.trailing_zeros() as usize);
            high = at + 32 - seen.leading_zeros() as usize;
        }
        start += LANES;
    }
    // From elements to windows, each `reach` wide and `step` from the one before.
    let step = shape.window.1 * conv.stride.1 * input.pixel;
    let reach = ((shape.window.1 - 1) * conv.stride.1 + conv.kernel.1) * input.lanes;
    let end = high.div_ceil(step).min(shape.output.width);
    (low.saturating_add(1).saturating_sub(reach).div_ceil(step)).min(end)..end
}

#[inline(always)]
fn body<L: Lanes>(
    simd: L,
    shape: &ConvPool,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let (conv, to) = (&shape.conv, &shape.output);
    let panels = conv.weight();
    // An infinite weight times zero is not zero.
    let everything = !weight.iter().fold(true, |finite, w| finite & w.is_finite());
    let (max_windows, max_vectors) = if L::TILE.1 > 1 { (3, 2) } else { (1, 1) };
    let mut taps = Taps {
        runs: conv.runs(),
        len: conv.run_len(),
        width: 0,
        line: conv.stride.0 * conv.input.row,
        step: conv.stride.1 * conv.input.pixel,
        y_block: to.plane,
        winners_block: to.height * to.width * LANES,
    };
    let (y, argmax) = (y.as_mut_ptr(), argmax.as_mut_ptr());
    for oy in 0..to.height {
        let seen = if everything { 0..to.width } else { windows_that_see(simd, shape, x, oy) };
        for p in 0..panels.count() {
            let blocks = panels.columns(p).start / LANES..panels.columns(p).end / LANES;
            taps.width = panels.width(p);
            for first in blocks.clone().step_by(max_vectors) {
                let vectors = max_vectors.min(blocks.end - first);
                // SAFETY: all these slices were checked to hold what the shape says.
                let at = |ox: usize| unsafe {
                    At {
                        x: x.as_ptr().add(2 * oy * taps.line + 2 * ox * taps.step),
                        weight: weight.as_ptr().add(panels.start(p) + (first - blocks.start) * LANES),
                        bias: bias.as_ptr().add(first * LANES),
                        y: y.add(to.offset(first, oy, ox)),
                        argmax: argmax.add(((first * to.height + oy) * to.width + ox) * LANES),
                    }
                };
                for ox in (0..seen.start).chain(seen.end..to.width) {
                    let at = at(ox);
                    for v in 0..vectors {
                        // SAFETY: as above.
                        unsafe {
                            let bias = simd.load(at.bias.add(v * LANES));
                            let y = at.y.add(v * taps.y_block);
                            relu(simd, simd.zero(), simd.zero(), bias, y, at.argmax.add(v * taps.winners_block));
                        }
                    }
                }
                let mut ox = seen.start;
                while ox < seen.end {
                    // Tiles of nearly equal width.
                    let left = seen.end - ox;
                    let windows = left.div_ceil(left.div_ceil(max_windows));
                    // SAFETY: as above; `conv_pool_forward` asserted that the taps of the last window lie in `x`.
                    unsafe { any_tile(simd, windows, vectors, &taps, at(ox)) };
                    ox += windows;
                }
            }
        }
    }
}

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn any_tile<L: Lanes>(simd: L, windows: usize, vectors: usize, taps: &Taps, at: At) {
    macro_rules! pick {
        ($step:literal; $($w:literal $q:literal $v:literal)*) => {
            match (windows, vectors) {
                // SAFETY: passed on from the caller.
                $(($w, $v) => unsafe { tile::<L, $q, $v, $step>(simd, taps, at) },)*
                _ => unreachable!("at most three windows and two vectors"),
            }
        };
    }
    if L::TILE.1 == 1 {
        pick!(0; 1 4 1);
    } else if taps.step == 1 {
        pick!(1; 1 4 1 2 8 1 3 12 1 1 4 2 2 8 2 3 12 2);
    } else {
        pick!(0; 1 4 1 2 8 1 3 12 1 1 4 2 2 8 2 3 12 2);
    }
}

/// Where the taps of a tile lie, and where its windows go.
struct Taps<'a> {
    runs: &'a [Segment],
    /// Taps of one run.
    len: usize,
    /// From one row of the weights to the next.
    width: usize,
    /// From the taps of one pixel to those of the one below.
    line: usize,
    /// From the taps of one pixel to those of the one to its right, unless that is known in advance.
    step: usize,
    /// From one block of the output to the next, and of the argmax.
    y_block: usize,
    winners_block: usize,
}

/// Where a tile begins in all that it touches.
#[derive(Clone, Copy)]
struct At {
    x: *const f32,
    weight: *const f32,
    bias: *const f32,
    y: *mut f32,
    argmax: *mut u8,
}

/// Computes `Q / 4` windows of 2x2 pixels for `V` vectors of channels. `STEP`: [`Taps::step`], 0 for any.
///
/// # Safety
/// All taps of the tile and all rows of `V` vectors of the weights are readable, so are `V` vectors of the bias; what the
/// windows become is writable.
#[inline(always)]
unsafe fn tile<L: Lanes, const Q: usize, const V: usize, const STEP: usize>(simd: L, taps: &Taps, at: At) {
    let step = if STEP > 0 { STEP } else { taps.step };
    // SAFETY: the caller vouches for every address.
    unsafe {
        let mut acc = [[simd.zero(); V]; Q];
        for run in taps.runs {
            let mut px = at.x.add(run.a);
            let mut pw = at.weight.add(run.b * taps.width);
            for _ in 0..taps.len {
                let mut row = [simd.zero(); V];
                for v in 0..V {
                    row[v] = simd.load(pw.add(v * LANES));
                }
                let below = px.wrapping_add(taps.line);
                for q in 0..Q {
                    let line = if q < Q / 2 { px } else { below };
                    let x = simd.splat(*line.add(q % (Q / 2) * step));
                    for v in 0..V {
                        acc[q][v] = simd.fma(x, row[v], acc[q][v]);
                    }
                }
                px = px.wrapping_add(1);
                pw = pw.wrapping_add(taps.width);
            }
        }
        for v in 0..V {
            let bias = simd.load(at.bias.add(v * LANES));
            for p in 0..Q / 4 {
                let mut best = acc[2 * p][v];
                let mut place = simd.zero();
                for (code, q) in [(1.0, 2 * p + 1), (2.0, Q / 2 + 2 * p), (3.0, Q / 2 + 2 * p + 1)] {
                    place = simd.select_greater_or_nan(acc[q][v], best, simd.splat(code), place);
                    best = simd.select_greater_or_nan(acc[q][v], best, acc[q][v], best);
                }
                let y = at.y.add(v * taps.y_block + p * LANES);
                relu(simd, best, place, bias, y, at.argmax.add(v * taps.winners_block + p * LANES));
            }
        }
    }
}

/// One pooled pixel of a block: bias and ReLU.
///
/// # Safety
/// Sixteen elements of `y` and `argmax` are writable.
#[inline(always)]
unsafe fn relu<L: Lanes>(simd: L, best: L::V, place: L::V, bias: L::V, y: *mut f32, argmax: *mut u8) {
    let value = simd.add(best, bias);
    // A NaN counts as greater than zero, and so stays.
    let codes = simd.select_greater_or_nan(value, simd.zero(), place, simd.splat(f32::from(NOBODY)));
    // SAFETY: the caller vouches for both; codes are at most `NOBODY`.
    unsafe {
        simd.store(y, simd.select_greater_or_nan(value, simd.zero(), value, simd.zero()));
        simd.store_bytes(argmax, codes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::direct::{Conv2d, conv2d_forward};
    use crate::conv::pooled::pool_relu_forward;
    use crate::planes::Planes;
    use crate::testing::{on_every_isa, pack_image, too_large, values};

    type Pair = (usize, usize);
    /// `((channels, height, width), lanes, out_channels, kernel, stride, padding)`.
    type Case = ((usize, usize, usize), usize, usize, Pair, Pair, Pair);

    const CASES: [Case; 9] = [
        ((1, 28, 28), 1, 32, (5, 5), (1, 1), (2, 2)),
        ((1, 9, 7), 1, 5, (3, 3), (1, 1), (1, 1)),
        ((1, 2, 2), 1, 1, (1, 1), (1, 1), (0, 0)),
        ((3, 12, 13), 3, 33, (5, 5), (1, 1), (2, 2)),
        ((2, 20, 41), 2, 70, (3, 4), (2, 3), (1, 0)),
        ((1, 40, 11), 1, 130, (7, 7), (1, 2), (3, 3)),
        ((16, 6, 9), 16, 16, (2, 4), (1, 1), (0, 2)),
        ((33, 7, 8), 16, 48, (3, 3), (1, 1), (1, 1)),
        ((5, 11, 6), 5, 17, (1, 2), (3, 2), (0, 1)),
    ];

    fn shape((shape, lanes, out_channels, kernel, stride, padding): Case) -> ConvPool {
        let (c, h, w) = shape;
        let border = [padding.0, padding.1, padding.0, padding.1];
        let size = |n: usize, pad: usize, k: usize, s: usize| (n + 2 * pad - k) / s + 1;
        let (oh, ow) = (size(h, padding.0, kernel.0, stride.0), size(w, padding.1, kernel.1, stride.1));
        let input = Planes::with_border(c, lanes, h, w, border, (1, 1));
        let conv = Conv2d::new(input, Planes::new(out_channels, oh, ow), kernel, stride, padding);
        let output = Planes::with_border(out_channels, LANES, oh / 2, ow / 2, [1, 0, 2, 1], (1, 1));
        ConvPool::new(conv, (2, 2), output).expect("worth fusing")
    }

    /// Images `[c, h, w]`: blank, full, each with a single pixel at a corner or anywhere, and with blank margins.
    fn images((c, h, w): (usize, usize, usize)) -> Vec<Vec<f32>> {
        let all = values(c * h * w, 7);
        let only = |keep: &dyn Fn(usize, usize) -> bool| {
            let pixel = |(at, &v): (usize, &f32)| if keep(at / w % h, at % w) { v } else { 0.0 };
            all.iter().enumerate().map(pixel).collect()
        };
        vec![
            only(&|_, _| false),
            only(&|_, _| true),
            only(&|y, x| (y, x) == (0, 0)),
            only(&|y, x| (y, x) == (h - 1, w - 1)),
            only(&|y, x| (y, x) == (h / 2, w / 3)),
            only(&|y, x| y >= h / 3 && y < h - h / 3 && x >= w / 3 && x < w - w / 3),
            only(&|y, x| (x < w / 4 || x + w / 4 >= w) && y % 2 == 0),
        ]
    }

    #[test]
    fn a_tile_gives_the_bits_of_the_convolution_and_then_the_pooling() {
        for case in CASES {
            if too_large(case.0.0 * case.0.1 * case.0.2 * case.2 * case.3.0 * case.3.1) {
                continue;
            }
            let (shape, (_, _, out_channels, ..)) = (shape(case), case);
            let (conv, to) = (&shape.conv, &shape.output);
            let mut weight = values(conv.weight().len(), 1);
            // Padding columns are zero.
            for (k, o) in
                (0..conv.weight().k).flat_map(|k| (out_channels..conv.weight().padded_n()).map(move |o| (k, o)))
            {
                weight[conv.weight().index(k, o)] = 0.0;
            }
            let mut bias = values(out_channels, 2);
            bias[0] = -0.0;
            bias.resize(conv.weight().padded_n(), 0.0);
            let mut broken = weight.clone();
            broken[conv.weight().index(0, 0)] = f32::NEG_INFINITY;
            for (n, image) in images(case.0).iter().enumerate() {
                let x = pack_image(image, &conv.input);
                for weight in [&weight, &broken] {
                    on_every_isa(|isa| {
                        let mut sums = vec![0.0; conv.output.len()];
                        let (mut y, mut argmax) = (vec![0.0; to.len()], vec![7; shape.argmax_len()]);
                        conv2d_forward(isa, conv, &x, weight, &mut sums);
                        pool_relu_forward(isa, &shape, &sums, &bias, &mut y, &mut argmax);
                        let (mut got, mut got_argmax) = (vec![0.0; to.len()], vec![8; shape.argmax_len()]);
                        conv_pool_forward(isa, &shape, &x, weight, &bias, &mut got, &mut got_argmax);
                        // Rust leaves open which NaN comes out, and Miri takes any.
                        let of = |v: f32| if cfg!(miri) && v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
                        let bits = |values: &[f32]| values.iter().map(|v| of(*v)).collect::<Vec<u32>>();
                        assert!(bits(&y) == bits(&got), "image {n} of {case:?} on {}", isa.name());
                        assert!(argmax == got_argmax, "argmax of image {n} of {case:?} on {}", isa.name());
                        bits(&got)
                    });
                }
            }
        }
    }

    #[test]
    fn windows_that_see_are_from_the_first_to_the_last() {
        for case in CASES {
            if too_large(case.0.0 * case.0.1 * case.0.2 * case.2 * case.3.0 * case.3.1) {
                continue;
            }
            let shape = shape(case);
            let (input, conv, to) = (&shape.conv.input, &shape.conv, &shape.output);
            for (n, image) in images(case.0).iter().enumerate() {
                let (shape, x) = (&shape, &pack_image(image, input)[..]);
                // The rows and columns of padded pixels that a window sees.
                let reach = |at: usize, stride: usize, kernel: usize| 2 * at * stride..(2 * at + 1) * stride + kernel;
                for oy in 0..to.height {
                    let sees = |ox: &usize| {
                        let elements = (0..input.blocks)
                            .flat_map(|b| reach(oy, conv.stride.0, conv.kernel.0).map(move |y| (b, y)))
                            .flat_map(|(b, y)| {
                                let columns = reach(*ox, conv.stride.1, conv.kernel.1);
                                let start = b * input.plane + y * input.row;
                                start + columns.start * input.lanes..start + columns.end * input.lanes
                            });
                        elements.into_iter().any(|at| x[at] != 0.0)
                    };
                    let first = (0..to.width).find(sees);
                    let last = (0..to.width).rfind(sees);
                    on_every_isa(|isa| {
                        let seen = dispatch!(
                            isa,
                            windows_that_see(shape: &ConvPool, x: &[f32], oy: usize) -> Range<usize>
                        );
                        if let (Some(first), Some(last)) = (first, last) {
                            assert_eq!(seen, first..last + 1, "row {oy} of image {n} of {case:?}");
                        } else {
                            assert!(
                                seen.is_empty() && seen.end <= to.width,
                                "row {oy} of image {n} of {case:?}: {seen:?}"
                            );
                        }
                        vec![]
                    });
                }
            }
        }
    }
}
