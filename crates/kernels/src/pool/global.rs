//! The mean of each feature map.

use crate::planes::Planes;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// `y[c] = mean over the pixels of x[c]`, for one image: `x` lies as `from` says, `y` as a map of one pixel, whose
/// border, if it has one, is set to zero. Row by row, so that a sum of many pixels is as exact as two short ones.
///
/// # Panics
/// If the lengths are not those of the layouts, blocks are not of 16 channels, or `to` is not one pixel of as many
/// channels.
pub fn global_avgpool_forward(isa: Isa, from: &Planes, x: &[f32], to: &Planes, y: &mut [f32]) {
    check(from, x.len(), to, y.len());
    y.fill(0.0);
    dispatch!(isa, forward_body(from: &Planes, x: &[f32], to: &Planes, y: &mut [f32]))
}

#[inline(always)]
fn forward_body<L: Lanes>(_: L, from: &Planes, x: &[f32], to: &Planes, y: &mut [f32]) {
    let share = 1.0 / (from.height * from.width) as f32;
    for block in 0..from.blocks {
        let mut sum = [0.0; LANES];
        for row in 0..from.height {
            let start = from.offset(block, row, 0);
            let mut of_row = [0.0; LANES];
            for pixel in x[start..start + from.width * LANES].as_chunks::<LANES>().0 {
                for (sum, value) in of_row.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for (sum, more) in sum.iter_mut().zip(of_row) {
                *sum += more;
            }
        }
        let start = to.offset(block, 0, 0);
        for (y, sum) in y[start..start + LANES].iter_mut().zip(sum) {
            *y = sum * share;
        }
    }
}

/// Overwrites `grad_x`, which lies as `to` says and has no border, with what the gradient `grad_y` of the means, one
/// pixel that lies as `from` says, gives every pixel: an equal share.
///
/// # Panics
/// As [`global_avgpool_forward`], with the two exchanged; or if `grad_x` has a border.
pub fn global_avgpool_backward(isa: Isa, from: &Planes, grad_y: &[f32], to: &Planes, grad_x: &mut [f32]) {
    check(to, grad_x.len(), from, grad_y.len());
    assert_eq!(to.len(), to.blocks * to.height * to.width * LANES, "a gradient has no border");
    dispatch!(isa, backward_body(from: &Planes, grad_y: &[f32], to: &Planes, grad_x: &mut [f32]))
}

#[inline(always)]
fn backward_body<L: Lanes>(_: L, from: &Planes, grad_y: &[f32], to: &Planes, grad_x: &mut [f32]) {
    let (area, share) = (to.height * to.width, 1.0 / (to.height * to.width) as f32);
    for (block, maps) in grad_x.chunks_exact_mut(area * LANES).enumerate() {
        let start = from.offset(block, 0, 0);
        let mut each = [0.0; LANES];
        for (each, g) in each.iter_mut().zip(&grad_y[start..start + LANES]) {
            *each = g * share;
        }
        maps.as_chunks_mut::<LANES>().0.fill(each);
    }
}

fn check(maps: &Planes, maps_len: usize, means: &Planes, means_len: usize) {
    assert_eq!(
        (maps.lanes, means.lanes, maps.pixel, means.pixel),
        (LANES, LANES, LANES, LANES),
        "blocks of 16 channels"
    );
    assert_eq!((means.channels, means.height, means.width), (maps.channels, 1, 1), "one pixel of as many channels");
    assert_eq!((maps_len, means_len), (maps.len(), means.len()), "lengths of maps and means");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, Window};
    use crate::testing::{assert_close, assert_padding_is_zero, on_every_isa, pack_image, unpack_image, values};

    #[test]
    fn means_and_their_gradients_match_the_reference_on_every_isa() {
        for (channels, height, width, border) in [(1, 1, 1, 0), (3, 5, 4, 1), (17, 28, 28, 2), (32, 7, 9, 0)] {
            let from = Planes::with_border(channels, LANES, height, width, [border; 4], (1, 1));
            let plain = Planes::new(channels, height, width);
            let to = Planes::with_border(channels, LANES, 1, 1, [border; 4], (1, 1));
            let image = values(channels * height * width, 3);
            let (x, sizes) = (pack_image(&image, &from), (channels, height, width));
            let window = Window { kernel: (height, width), stride: (1, 1), padding: [0; 4] };
            let expected = reference::avgpool2d_forward(&image, sizes, &window);
            let grad = values(channels, 4);
            let expected_grad = reference::avgpool2d_backward(&grad, sizes, &window);
            on_every_isa(|isa| {
                let (mut y, mut grad_x) = (vec![f32::NAN; to.len()], vec![f32::NAN; plain.len()]);
                global_avgpool_forward(isa, &from, &x, &to, &mut y);
                assert_padding_is_zero(&y, &to, "means");
                assert_close(&unpack_image(&y, &to), &expected, 3e-7, "means");
                let grad = pack_image(&grad, &Planes::new(channels, 1, 1));
                global_avgpool_backward(isa, &Planes::new(channels, 1, 1), &grad, &plain, &mut grad_x);
                assert_padding_is_zero(&grad_x, &plain, "gradient");
                assert_close(&unpack_image(&grad_x, &plain), &expected_grad, 3e-7, "gradient");
                y.iter().chain(&grad_x).map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    #[should_panic(expected = "one pixel of as many channels")]
    fn means_are_one_pixel() {
        let planes = Planes::new(3, 2, 2);
        global_avgpool_forward(Isa::detect(), &planes, &[0.0; 64], &planes, &mut [0.0; 64]);
    }
}
