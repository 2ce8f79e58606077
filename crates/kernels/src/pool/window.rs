//! Maximum and mean over windows of feature maps in [`Planes`] of 16-channel blocks, one image at a time.

use crate::planes::Planes;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use crate::windows;

/// A pooling's shape, checked once. There is no padding; windows that would hang over the edge are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// The input.
    input: Planes,
    /// The output.
    output: Planes,
    /// Height and width of a window.
    kernel: (usize, usize),
    /// Rows and columns from one window to the next.
    stride: (usize, usize),
}

impl Pool2d {
    /// The pooling of `input` to `output`, which has exactly the windows that fit.
    ///
    /// # Panics
    /// If it has not, if a window has more than 256 pixels (its argmax is kept in a byte), and unless both are in
    /// blocks of 16 channels.
    pub fn new(input: Planes, output: Planes, kernel: (usize, usize), stride: (usize, usize)) -> Pool2d {
        assert!(kernel.0 * kernel.1 <= 256, "window of {kernel:?} pixels");
        assert_eq!((input.lanes, output.lanes, input.channels), (LANES, LANES, output.channels), "blocks of {LANES}");
        assert_eq!(Some(output.height), windows::count(input.height, kernel.0, stride.0), "rows of windows");
        assert_eq!(Some(output.width), windows::count(input.width, kernel.1, stride.1), "columns of windows");
        Pool2d { input, output, kernel, stride }
    }

    /// Winners of one image: one byte per output pixel and channel, in the order block, row, column, lane.
    pub fn argmax_len(&self) -> usize {
        self.output.blocks * self.output.height * self.output.width * LANES
    }

    /// Whether no pixel is in two windows.
    fn is_disjoint(&self) -> bool {
        self.stride.0 >= self.kernel.0 && self.stride.1 >= self.kernel.1
    }
}

#[inline(always)]
fn load<L: Lanes>(simd: L, slice: &[f32], at: usize) -> L::V {
    // SAFETY: the slice has a vector.
    unsafe { simd.load(slice[at..at + LANES].as_ptr()) }
}

#[inline(always)]
fn store<L: Lanes>(simd: L, slice: &mut [f32], at: usize, v: L::V) {
    // SAFETY: the slice has a vector.
    unsafe { simd.store(slice[at..at + LANES].as_mut_ptr(), v) }
}

/// Overwrites the pixels of `y` with the maxima and `argmax` with their places in the window (`ky * kw + kx`, the first
/// of equals). A window with a NaN has the maximum NaN.
///
/// `x`, `y`: one image. `argmax`: [`Pool2d::argmax_len`].
///
/// # Panics
/// If a slice has another length than that.
pub fn maxpool2d_forward(isa: Isa, pool: &Pool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    assert_eq!(x.len(), pool.input.len(), "x is one image");
    assert_eq!(y.len(), pool.output.len(), "y is one image");
    assert_eq!(argmax.len(), pool.argmax_len(), "one winner per output");
    dispatch!(isa, max_body(pool: &Pool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]))
}

/// The largest of the pixels of a window of `planes` that begins at `first`, and its place (`ky * kw + kx`, the first
/// of equals); a NaN is larger than anything.
#[inline(always)]
pub(crate) fn largest<L: Lanes>(
    simd: L,
    x: &[f32],
    planes: &Planes,
    first: usize,
    (height, width): (usize, usize),
) -> (L::V, L::V) {
    let mut best = simd.splat(f32::NEG_INFINITY);
    let (mut place, mut code) = (simd.zero(), simd.zero());
    for ky in 0..height {
        for kx in 0..width {
            let candidate = load(simd, x, first + ky * planes.row + kx * planes.pixel);
            place = simd.select_greater_or_nan(candidate, best, code, place);
            best = simd.select_greater_or_nan(candidate, best, candidate, best);
            code = simd.add(code, simd.splat(1.0));
        }
    }
    (best, place)
}

#[inline(always)]
fn max_body<L: Lanes>(simd: L, pool: &Pool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let (from, to) = (&pool.input, &pool.output);
    let mut winners = argmax.as_chunks_mut::<LANES>().0.iter_mut();
    for block in 0..to.blocks {
        for oy in 0..to.height {
            for ox in 0..to.width {
                let first = from.offset(block, oy * pool.stride.0, ox * pool.stride.1);
                let (best, place) = largest(simd, x, from, first, pool.kernel);
                store(simd, y, to.offset(block, oy, ox), best);
                let winner = winners.next().expect("one winner per output");
                // SAFETY: there is room for sixteen bytes; a window has at most 256 pixels.
                unsafe { simd.store_bytes(winner.as_mut_ptr(), place) };
            }
        }
    }
}

/// Overwrites the pixels of `grad_x` (in planes `grad_x_planes` of the input's size): each output's gradient goes to
/// its winner. `grad_y` lies in `grad_y_planes`.
///
/// # Panics
/// If a slice is not one image of its planes, or these are too small for the windows.
pub fn maxpool2d_backward(
    isa: Isa,
    pool: &Pool2d,
    grad_y_planes: &Planes,
    grad_y: &[f32],
    argmax: &[u8],
    grad_x_planes: &Planes,
    grad_x: &mut [f32],
) {
    assert_eq!(argmax.len(), pool.argmax_len(), "one winner per output");
    let back = Back::new(pool, grad_y_planes, grad_y, grad_x_planes, grad_x);
    dispatch!(isa, max_backward_body(back: Back, grad_y: &[f32], argmax: &[u8], grad_x: &mut [f32]))
}

#[inline(always)]
fn max_backward_body<L: Lanes>(simd: L, back: Back, grad_y: &[f32], argmax: &[u8], grad_x: &mut [f32]) {
    let Back { pool, from, to } = back;
    let disjoint = pool.is_disjoint();
    clear(to, grad_x);
    let mut winners = argmax.as_chunks::<LANES>().0.iter();
    for block in 0..from.blocks {
        for oy in 0..from.height {
            for ox in 0..from.width {
                let gradient = load(simd, grad_y, from.offset(block, oy, ox));
                let winner = winners.next().expect("one winner per output");
                // SAFETY: these are sixteen bytes.
                let winner = unsafe { simd.load_bytes(winner.as_ptr()) };
                let first = to.offset(block, oy * pool.stride.0, ox * pool.stride.1);
                to_winner(simd, gradient, winner, to, first, pool.kernel, |at, share| {
                    let sum = if disjoint { simd.zero() } else { load(simd, grad_x, at) };
                    store(simd, grad_x, at, simd.add(sum, share));
                });
            }
        }
    }
}

/// The way back from [`largest`]: calls `give` with the place of each pixel of the window and with what it gets, the
/// gradient in those lanes whose winner it is, and zero in the others.
#[inline(always)]
pub(crate) fn to_winner<L: Lanes>(
    simd: L,
    gradient: L::V,
    winner: L::V,
    planes: &Planes,
    first: usize,
    (height, width): (usize, usize),
    mut give: impl FnMut(usize, L::V),
) {
    let mut code = simd.zero();
    for ky in 0..height {
        for kx in 0..width {
            give(first + ky * planes.row + kx * planes.pixel, simd.select_equal(winner, code, gradient, simd.zero()));
            code = simd.add(code, simd.splat(1.0));
        }
    }
}

/// Overwrites the pixels of `y` with the means of the windows.
///
/// `x`, `y`: one image.
///
/// # Panics
/// If a slice has another length than that.
pub fn avgpool2d_forward(isa: Isa, pool: &Pool2d, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), pool.input.len(), "x is one image");
    assert_eq!(y.len(), pool.output.len(), "y is one image");
    dispatch!(isa, mean_body(pool: &Pool2d, x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn mean_body<L: Lanes>(simd: L, pool: &Pool2d, x: &[f32], y: &mut [f32]) {
    let (from, to) = (&pool.input, &pool.output);
    let area = simd.splat((pool.kernel.0 * pool.kernel.1) as f32);
    for block in 0..to.blocks {
        for oy in 0..to.height {
            for ox in 0..to.width {
                let first = from.offset(block, oy * pool.stride.0, ox * pool.stride.1);
                let mut sum = simd.zero();
                for ky in 0..pool.kernel.0 {
                    for kx in 0..pool.kernel.1 {
                        sum = simd.add(sum, load(simd, x, first + ky * from.row + kx * from.pixel));
                    }
                }
                store(simd, y, to.offset(block, oy, ox), simd.div(sum, area));
            }
        }
    }
}

/// Overwrites the pixels of `grad_x` (in planes `grad_x_planes`): each output's gradient is shared by its window.
///
/// # Panics
/// If a slice is not one image of its planes, or these are too small for the windows.
pub fn avgpool2d_backward(
    isa: Isa,
    pool: &Pool2d,
    grad_y_planes: &Planes,
    grad_y: &[f32],
    grad_x_planes: &Planes,
    grad_x: &mut [f32],
) {
    let back = Back::new(pool, grad_y_planes, grad_y, grad_x_planes, grad_x);
    dispatch!(isa, mean_backward_body(back: Back, grad_y: &[f32], grad_x: &mut [f32]))
}

#[inline(always)]
fn mean_backward_body<L: Lanes>(simd: L, back: Back, grad_y: &[f32], grad_x: &mut [f32]) {
    let Back { pool, from, to } = back;
    let disjoint = pool.is_disjoint();
    let area = simd.splat((pool.kernel.0 * pool.kernel.1) as f32);
    clear(to, grad_x);
    for block in 0..from.blocks {
        for oy in 0..from.height {
            for ox in 0..from.width {
                let share = simd.div(load(simd, grad_y, from.offset(block, oy, ox)), area);
                let first = to.offset(block, oy * pool.stride.0, ox * pool.stride.1);
                for ky in 0..pool.kernel.0 {
                    for kx in 0..pool.kernel.1 {
                        let at = first + ky * to.row + kx * to.pixel;
                        let sum = if disjoint { simd.zero() } else { load(simd, grad_x, at) };
                        store(simd, grad_x, at, simd.add(sum, share));
                    }
                }
            }
        }
    }
}

/// A pooling on the way back: from the gradient of its output, which lies in `from`, to that of its input, in `to`.
#[derive(Clone, Copy)]
struct Back<'a> {
    pool: &'a Pool2d,
    from: &'a Planes,
    to: &'a Planes,
}

impl Back<'_> {
    fn new<'a>(pool: &'a Pool2d, from: &'a Planes, grad_y: &[f32], to: &'a Planes, grad_x: &[f32]) -> Back<'a> {
        let size = |planes: &Planes| (planes.lanes, planes.channels, planes.height, planes.width);
        assert_eq!(size(from), size(&pool.output), "grad_y has the size of the output");
        assert_eq!(size(to), size(&pool.input), "grad_x has the size of the input");
        assert_eq!(grad_y.len(), from.len(), "grad_y is one image");
        assert_eq!(grad_x.len(), to.len(), "grad_x is one image");
        Back { pool, from, to }
    }
}

/// Sets every pixel to zero, leaving border and gaps alone.
#[inline(always)]
fn clear(planes: &Planes, data: &mut [f32]) {
    for block in 0..planes.blocks {
        for y in 0..planes.height {
            let start = planes.offset(block, y, 0);
            if planes.pixel == LANES {
                data[start..start + planes.width * LANES].fill(0.0);
                continue;
            }
            for x in 0..planes.width {
                data[start + x * planes.pixel..][..LANES].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, Window};
    use crate::testing::{
        assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values,
    };

    type Case = ((usize, usize, usize), (usize, usize), (usize, usize));
    const CASES: [Case; 8] = [
        ((32, 14, 14), (2, 2), (2, 2)),
        ((3, 7, 5), (2, 2), (2, 2)),
        ((17, 6, 9), (3, 3), (2, 2)),
        ((16, 5, 5), (2, 3), (1, 1)),
        ((1, 4, 4), (4, 4), (4, 4)),
        ((5, 16, 16), (16, 16), (1, 1)),
        ((18, 9, 8), (2, 2), (3, 3)),
        ((3, 7, 7), (2, 3), (3, 1)),
    ];

    #[test]
    fn pooling_matches_the_reference_on_every_isa() {
        for (shape, kernel, stride) in CASES {
            if too_large(shape.0 * shape.1 * shape.2 * kernel.0 * kernel.1) {
                continue;
            }
            let (c, h, w) = shape;
            let what = format!("{shape:?} by {kernel:?} stride {stride:?}");
            let window = Window { kernel, stride, padding: [0; 4] };
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::new(c, h, w);
            let output = Planes::with_border(c, LANES, oh, ow, [2, 2, 2, 2], (1, 1));
            let pool = Pool2d::new(input, output, kernel, stride);
            // Few distinct values, so that windows have ties.
            let x: Vec<f32> = values(c * h * w, 1).iter().map(|v| (v * 3.0).round()).collect();
            let packed = pack_image(&x, &input);

            let (maxima, places) = reference::maxpool2d_forward(&x, shape, &window);
            let means = reference::avgpool2d_forward(&x, shape, &window);
            let grad = values(c * oh * ow, 2);
            let grad_y_planes = Planes::new(c, oh, ow);
            let grad_x_planes = Planes::with_border(c, LANES, h, w, [1, 2, 3, 4], (2, 1));
            let plain = Planes::new(c, h, w);
            let packed_grad = pack_image(&grad, &grad_y_planes);
            let of_maxima = reference::maxpool2d_backward(&grad, &places, x.len());
            let of_means = reference::avgpool2d_backward(&grad, shape, &window);
            on_every_isa(|isa| {
                let mut bits = Vec::new();
                let (mut y, mut argmax) = (vec![0.0; output.len()], vec![255; pool.argmax_len()]);
                maxpool2d_forward(isa, &pool, &packed, &mut y, &mut argmax);
                assert_close(&unpack_image(&y, &output), &maxima, 0.0, &what);
                assert_padding_is_zero(&y, &output, &what);
                bits.extend(y.iter().map(|v| v.to_bits()));
                avgpool2d_forward(isa, &pool, &packed, &mut y);
                assert_close(&unpack_image(&y, &output), &means, 1e-6, &what);
                assert_padding_is_zero(&y, &output, &what);
                bits.extend(y.iter().map(|v| v.to_bits()));
                for to in [&grad_x_planes, &plain] {
                    let mut grad_x = vec![0.0; to.len()];
                    // Twice: what was there does not matter.
                    for _ in 0..2 {
                        maxpool2d_backward(isa, &pool, &grad_y_planes, &packed_grad, &argmax, to, &mut grad_x);
                        assert_close(&unpack_image(&grad_x, to), &of_maxima, 1e-6, &what);
                        assert_padding_is_zero(&grad_x, to, &what);
                    }
                    bits.extend(grad_x.iter().map(|v| v.to_bits()));
                    avgpool2d_backward(isa, &pool, &grad_y_planes, &packed_grad, to, &mut grad_x);
                    assert_close(&unpack_image(&grad_x, to), &of_means, 1e-6, &what);
                    assert_padding_is_zero(&grad_x, to, &what);
                    bits.extend(grad_x.iter().map(|v| v.to_bits()));
                }
                bits
            });
        }
    }

    #[test]
    fn a_window_with_a_nan_has_the_maximum_nan() {
        let planes = Planes::new(1, 2, 2);
        let pool = Pool2d::new(planes, Planes::new(1, 1, 1), (2, 2), (2, 2));
        for at in 0..4 {
            let mut x = [1.0, 2.0, 3.0, 0.5];
            x[at] = f32::NAN;
            for &isa in Isa::available() {
                let (mut y, mut argmax) = (vec![0.0; LANES], vec![0; LANES]);
                maxpool2d_forward(isa, &pool, &pack_image(&x, &planes), &mut y, &mut argmax);
                assert!(y[0].is_nan(), "NaN at {at} is lost on {}", isa.name());
            }
        }
    }
}
