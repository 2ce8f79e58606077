//! Images changed for training: bytes in, bytes out.
//!
//! All of it is sums of whole numbers, and of f32 in an order that is written down, without fused multiply-adds: the
//! bits are the same whatever the compiler makes of it. There is no kernel by instruction set: an image of 28x28 takes a
//! few microseconds as it is.

mod elastic;
mod warp;

pub use elastic::{CONTROLS, ElasticGrid, Offsets};
pub use warp::{Beyond, LONGEST_SIDE, Map, warp};

use std::ops::Range;

/// Multiplies each pixel by `gain`, adds `offset`, rounds, and keeps it within 0..=255.
///
/// # Panics
/// If `gain` is not in 0..=2, or `offset` more than 1000 from 0.
pub fn tone(gain: f64, offset: f64, pixels: &mut [u8]) {
    assert!((0.0..=2.0).contains(&gain) && offset.abs() <= 1000.0, "gain {gain}, offset {offset}");
    // In units of 2^-16, with a half that rounds.
    let (gain, offset) = ((gain * 65536.0) as i32, (offset * 65536.0) as i32 + (1 << 15));
    for pixel in pixels {
        *pixel = ((i32::from(*pixel) * gain + offset) >> 16).clamp(0, 255) as u8;
    }
}

/// The mean of some pixels, from 0 to 255.
pub fn mean(pixels: &[u8]) -> f64 {
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
    sum as f64 / pixels.len().max(1) as f64
}

/// The whole of a mixture, of which [`mix`] takes a share of each image.
pub const WHOLE: u32 = 1 << 16;

/// Mixes another image in: each pixel is `share / WHOLE` of what it was and the rest of the other's, rounded.
///
/// # Panics
/// If the images are not of one size, or `share` is more than [`WHOLE`].
pub fn mix(share: u32, other: &[u8], pixels: &mut [u8]) {
    assert!(pixels.len() == other.len() && share <= WHOLE, "{} and {} pixels, {share}", pixels.len(), other.len());
    for (pixel, &other) in pixels.iter_mut().zip(other) {
        *pixel = ((u32::from(*pixel) * share + u32::from(other) * (WHOLE - share) + WHOLE / 2) / WHOLE) as u8;
    }
}

/// Overwrites a rectangle of an image `[C, H, W]` with the mean of each channel.
///
/// # Panics
/// If it is not within the image, or `pixels` are not one.
pub fn cut_out([channels, height, width]: [usize; 3], rows: Range<usize>, columns: Range<usize>, pixels: &mut [u8]) {
    assert_eq!(pixels.len(), channels * height * width, "pixels of {channels}x{height}x{width}");
    for plane in pixels.chunks_exact_mut(height * width) {
        let grey = (mean(plane) + 0.5) as u8;
        for row in rows.clone() {
            plane[row * width..(row + 1) * width][columns.clone()].fill(grey);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_scaled_moved_rounded_and_kept_within_a_byte() {
        let all: Vec<u8> = (0..=255).collect();
        for (gain, offset) in [(1.0, 0.0), (0.8, 12.25), (1.2, -30.5), (2.0, 300.0), (0.0, 77.4), (1.5, -1000.0)] {
            let mut toned = all.clone();
            tone(gain, offset, &mut toned);
            for (&from, &to) in all.iter().zip(&toned) {
                let exact = (f64::from(from) * gain + offset).clamp(0.0, 255.0);
                // Half a step of rounding, and 256 times half a unit of the gain.
                assert!((f64::from(to) - exact).abs() <= 0.5 + 256.0 / 65536.0, "{from} becomes {to}, not {exact}");
            }
        }
        let mut same = all.clone();
        tone(1.0, 0.0, &mut same);
        assert_eq!(same, all);
    }

    #[test]
    fn mixtures_are_the_rounded_means_of_two_pixels() {
        let (first, second): (Vec<u8>, Vec<u8>) = (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b))).unzip();
        for share in [0, 1, 20_000, WHOLE / 2, 65_535, WHOLE] {
            let mut mixed = first.clone();
            mix(share, &second, &mut mixed);
            let part = f64::from(share) / f64::from(WHOLE);
            for ((a, b), mixed) in first.iter().zip(&second).zip(mixed) {
                let exact = f64::from(*a) * part + f64::from(*b) * (1.0 - part);
                assert_eq!(f64::from(mixed), (exact + 0.5).floor(), "{a} and {b}, {share}");
            }
        }
    }

    #[test]
    fn what_is_cut_out_is_the_mean_of_its_channel_and_nothing_else_changes() {
        let image: Vec<u8> = (0..2 * 4 * 5).map(|n| n * 6).collect();
        let mut cut = image.clone();
        cut_out([2, 4, 5], 1..3, 2..5, &mut cut);
        for (at, (&from, &to)) in image.iter().zip(&cut).enumerate() {
            let (channel, row, column) = (at / 20, at / 5 % 4, at % 5);
            // Means of 0, 6, ..., 114 and of 120, 126, ..., 234.
            let expected = if (1..3).contains(&row) && column >= 2 { [57, 177][channel] } else { from };
            assert_eq!(to, expected, "channel {channel}, row {row}, column {column}");
        }
    }
}
