//! Maximum and mean over windows of feature maps in [`Planes`] of 16-channel blocks, one image at a time.

use crate::planes::Planes;
use crate::simd::lanes::LANES;
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
    /// If it has not, if a window has more than 256 pixels (its argmax is kept in a byte), and unless both are in blocks of
    /// 16 channels.
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

    /// Calls `f(block, y, x, index)` for every output pixel, `index` counting them.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        let mut index = 0;
        for block in 0..self.output.blocks {
            for y in 0..self.output.height {
                for x in 0..self.output.width {
                    f(block, y, x, index);
                    index += 1;
                }
            }
        }
    }

    /// Offset in the input of pixel (`ky`, `kx`) of the window of output pixel (`y`, `x`).
    #[inline(always)]
    fn source(&self, block: usize, (y, x): (usize, usize), (ky, kx): (usize, usize)) -> usize {
        self.input.offset(block, y * self.stride.0 + ky, x * self.stride.1 + kx)
    }
}

#[inline(always)]
fn sixteen(slice: &[f32], at: usize) -> &[f32; LANES] {
    slice[at..at + LANES].try_into().expect("sixteen elements")
}

#[inline(always)]
fn sixteen_mut(slice: &mut [f32], at: usize) -> &mut [f32; LANES] {
    (&mut slice[at..at + LANES]).try_into().expect("sixteen elements")
}

/// Overwrites the pixels of `y` with the maxima and `argmax` with their places in the window (`ky * kw + kx`, the first
/// of equals). A window with a NaN has the maximum NaN.
///
/// `x`, `y`: one image. `argmax`: [`Pool2d::argmax_len`].
/// # Panics
/// If a slice has another length than that.
pub fn maxpool2d_forward(pool: &Pool2d, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    assert_eq!(x.len(), pool.input.len(), "x is one image");
    assert_eq!(y.len(), pool.output.len(), "y is one image");
    assert_eq!(argmax.len(), pool.argmax_len(), "one winner per output");
    pool.each(|block, oy, ox, index| {
        let mut best = *sixteen(x, pool.source(block, (oy, ox), (0, 0)));
        let mut place = [0_u8; LANES];
        for ky in 0..pool.kernel.0 {
            for kx in 0..pool.kernel.1 {
                let candidate = sixteen(x, pool.source(block, (oy, ox), (ky, kx)));
                let code = (ky * pool.kernel.1 + kx) as u8;
                for l in 0..LANES {
                    let wins = candidate[l] > best[l] || candidate[l].is_nan();
                    best[l] = if wins { candidate[l] } else { best[l] };
                    place[l] = if wins { code } else { place[l] };
                }
            }
        }
        *sixteen_mut(y, pool.output.offset(block, oy, ox)) = best;
        argmax[index * LANES..(index + 1) * LANES].copy_from_slice(&place);
    });
}

/// Overwrites the pixels of `grad_x` (in planes `grad_x_planes` of the input's size): each output's gradient goes to its
/// winner. `grad_y` lies in `grad_y_planes`.
///
/// # Panics
/// If a slice is not one image of its planes, or these are too small for the windows.
pub fn maxpool2d_backward(
    pool: &Pool2d,
    grad_y_planes: &Planes,
    grad_y: &[f32],
    argmax: &[u8],
    grad_x_planes: &Planes,
    grad_x: &mut [f32],
) {
    let pool = &Pool2d { input: *grad_x_planes, ..*pool };
    assert_eq!(grad_y.len(), grad_y_planes.len(), "grad_y is one image");
    assert_eq!(argmax.len(), pool.argmax_len(), "one winner per output");
    clear(grad_x_planes, grad_x);
    pool.each(|block, oy, ox, index| {
        let gradient = sixteen(grad_y, grad_y_planes.offset(block, oy, ox));
        let argmax = &argmax[index * LANES..(index + 1) * LANES];
        for ky in 0..pool.kernel.0 {
            for kx in 0..pool.kernel.1 {
                let code = (ky * pool.kernel.1 + kx) as u8;
                let target = sixteen_mut(grad_x, pool.source(block, (oy, ox), (ky, kx)));
                for l in 0..LANES {
                    target[l] += if argmax[l] == code { gradient[l] } else { 0.0 };
                }
            }
        }
    });
}

/// Overwrites the pixels of `y` with the means of the windows.
///
/// `x`, `y`: one image.
/// # Panics
/// If a slice has another length than that.
pub fn avgpool2d_forward(pool: &Pool2d, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), pool.input.len(), "x is one image");
    assert_eq!(y.len(), pool.output.len(), "y is one image");
    let area = (pool.kernel.0 * pool.kernel.1) as f32;
    pool.each(|block, oy, ox, _| {
        let mut sum = [0.0; LANES];
        for ky in 0..pool.kernel.0 {
            for kx in 0..pool.kernel.1 {
                let pixel = sixteen(x, pool.source(block, (oy, ox), (ky, kx)));
                for l in 0..LANES {
                    sum[l] += pixel[l];
                }
            }
        }
        *sixteen_mut(y, pool.output.offset(block, oy, ox)) = sum.map(|s| s / area);
    });
}

/// Overwrites the pixels of `grad_x` (in planes `grad_x_planes`): each output's gradient is shared by its window.
///
/// # Panics
/// If a slice is not one image of its planes, or these are too small for the windows.
pub fn avgpool2d_backward(
    pool: &Pool2d,
    grad_y_planes: &Planes,
    grad_y: &[f32],
    grad_x_planes: &Planes,
    grad_x: &mut [f32],
) {
    let pool = &Pool2d { input: *grad_x_planes, ..*pool };
    assert_eq!(grad_y.len(), grad_y_planes.len(), "grad_y is one image");
    let area = (pool.kernel.0 * pool.kernel.1) as f32;
    clear(grad_x_planes, grad_x);
    pool.each(|block, oy, ox, _| {
        let share = sixteen(grad_y, grad_y_planes.offset(block, oy, ox)).map(|g| g / area);
        for ky in 0..pool.kernel.0 {
            for kx in 0..pool.kernel.1 {
                let target = sixteen_mut(grad_x, pool.source(block, (oy, ox), (ky, kx)));
                for l in 0..LANES {
                    target[l] += share[l];
                }
            }
        }
    });
}

/// Sets every pixel to zero, leaving border and gaps alone.
fn clear(planes: &Planes, data: &mut [f32]) {
    assert_eq!(data.len(), planes.len(), "one image of {planes:?}");
    for block in 0..planes.blocks {
        for y in 0..planes.height {
            for x in 0..planes.width {
                *sixteen_mut(data, planes.offset(block, y, x)) = [0.0; LANES];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, Window};
    use crate::testing::{assert_close, assert_padding_is_zero, pack_image, too_large, unpack_image, values};

    type Case = ((usize, usize, usize), (usize, usize), (usize, usize));
    const CASES: [Case; 6] = [
        ((32, 14, 14), (2, 2), (2, 2)),
        ((3, 7, 5), (2, 2), (2, 2)),
        ((17, 6, 9), (3, 3), (2, 2)),
        ((16, 5, 5), (2, 3), (1, 1)),
        ((1, 4, 4), (4, 4), (4, 4)),
        ((5, 16, 16), (16, 16), (1, 1)),
    ];

    #[test]
    fn pooling_matches_the_reference() {
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

            let (expected, places) = reference::maxpool2d_forward(&x, shape, &window);
            let mut y = vec![0.0; output.len()];
            let mut argmax = vec![255; pool.argmax_len()];
            maxpool2d_forward(&pool, &packed, &mut y, &mut argmax);
            assert_close(&unpack_image(&y, &output), &expected, 0.0, &what);
            assert_padding_is_zero(&y, &output, &what);

            let grad = values(c * oh * ow, 2);
            let grad_y_planes = Planes::new(c, oh, ow);
            let grad_x_planes = Planes::with_border(c, LANES, h, w, [1, 2, 3, 4], (2, 1));
            let packed_grad = pack_image(&grad, &grad_y_planes);
            let mut grad_x = vec![0.0; grad_x_planes.len()];
            maxpool2d_backward(&pool, &grad_y_planes, &packed_grad, &argmax, &grad_x_planes, &mut grad_x);
            let expected = reference::maxpool2d_backward(&grad, &places, x.len());
            assert_close(&unpack_image(&grad_x, &grad_x_planes), &expected, 1e-6, &what);
            assert_padding_is_zero(&grad_x, &grad_x_planes, &what);

            let mut y = vec![0.0; output.len()];
            avgpool2d_forward(&pool, &packed, &mut y);
            assert_close(&unpack_image(&y, &output), &reference::avgpool2d_forward(&x, shape, &window), 1e-6, &what);
            avgpool2d_backward(&pool, &grad_y_planes, &packed_grad, &grad_x_planes, &mut grad_x);
            let expected = reference::avgpool2d_backward(&grad, shape, &window);
            assert_close(&unpack_image(&grad_x, &grad_x_planes), &expected, 1e-6, &what);
        }
    }

    #[test]
    fn a_window_with_a_nan_has_the_maximum_nan() {
        let planes = Planes::new(1, 2, 2);
        let pool = Pool2d::new(planes, Planes::new(1, 1, 1), (2, 2), (2, 2));
        for at in 0..4 {
            let mut x = [1.0, 2.0, 3.0, 0.5];
            x[at] = f32::NAN;
            let (mut y, mut argmax) = (vec![0.0; LANES], vec![0; LANES]);
            maxpool2d_forward(&pool, &pack_image(&x, &planes), &mut y, &mut argmax);
            assert!(y[0].is_nan(), "NaN at {at} is lost");
        }
    }
}
