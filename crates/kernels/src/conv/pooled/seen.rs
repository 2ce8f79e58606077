//! Which windows see something other than zero.

use super::ConvPool;
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// The windows of row `oy` from the first to the last that see something other than zero.
#[inline(always)]
pub(super) fn windows_that_see<L: Lanes>(simd: L, shape: &ConvPool, x: &[f32], oy: usize) -> Range<usize> {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::conv::direct::Conv2d;
    use crate::planes::Planes;
    use crate::simd::isa::dispatch;
    use crate::testing::{on_every_isa, pack_image, too_large, values};

    type Pair = (usize, usize);
    /// `((channels, height, width), lanes, out_channels, kernel, stride, padding)`.
    pub(in super::super) type Case = ((usize, usize, usize), usize, usize, Pair, Pair, Pair);

    pub(in super::super) const CASES: [Case; 10] = [
        ((6, 10, 9), 16, 18, (5, 3), (1, 1), (2, 0)),
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

    pub(in super::super) fn conv((shape, lanes, out_channels, kernel, stride, padding): Case) -> Conv2d {
        let (c, h, w) = shape;
        let border = [padding.0, padding.1, padding.0, padding.1];
        let size = |n: usize, pad: usize, k: usize, s: usize| (n + 2 * pad - k) / s + 1;
        let (oh, ow) = (size(h, padding.0, kernel.0, stride.0), size(w, padding.1, kernel.1, stride.1));
        let input = Planes::with_border(c, lanes, h, w, border, (1, 1));
        Conv2d::new(input, Planes::new(out_channels, oh, ow), kernel, stride, padding)
    }

    pub(in super::super) fn shape(case: Case, relu: bool) -> ConvPool {
        let conv = conv(case);
        let (out, border) = (conv.output, [1, 0, 2, 1]);
        let output = Planes::with_border(out.channels, LANES, out.height / 2, out.width / 2, border, (1, 1));
        ConvPool::new(conv, (2, 2), output, relu).expect("worth fusing")
    }

    /// Images `[c, h, w]`: blank, full, each with a single pixel at a corner or anywhere, and with blank margins.
    pub(in super::super) fn images((c, h, w): (usize, usize, usize)) -> Vec<Vec<f32>> {
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
    fn windows_that_see_are_from_the_first_to_the_last() {
        for case in CASES {
            if too_large(case.0.0 * case.0.1 * case.0.2 * case.2 * case.3.0 * case.3.1) {
                continue;
            }
            let shape = shape(case, true);
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
