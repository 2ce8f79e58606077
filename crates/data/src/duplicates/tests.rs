//! Planted duplicates, and what only looks alike.

use image::{DynamicImage, GrayImage, ImageFormat, Luma};

use super::*;
use crate::Published;
use crate::rng::{Rng, Stream};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 48, width: 40 };

/// A smooth picture of its own for each number: a few waves.
fn picture(number: u64) -> Vec<u8> {
    let rng = Rng::new(number, Stream::Split, 7);
    let waves: Vec<[f32; 4]> = (0..12).map(|w| std::array::from_fn(|i| rng.uniform_at(4 * w + i as u64))).collect();
    let (h, w) = (SHAPE.height, SHAPE.width);
    (0..h * w)
        .map(|n| {
            let (y, x) = ((n / w) as f32 / h as f32, (n % w) as f32 / w as f32);
            let sum: f32 =
                waves.iter().map(|[a, b, c, d]| (a + 0.2) * (20.0 * b * x + 20.0 * c * y + 6.3 * d).sin()).sum();
            (128.0 + 22.0 * sum).clamp(0.0, 255.0) as u8
        })
        .collect()
}

fn recompressed(pixels: &[u8], quality: u8) -> Vec<u8> {
    let image = GrayImage::from_raw(SHAPE.width as u32, SHAPE.height as u32, pixels.to_vec()).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(&image).unwrap();
    image::load_from_memory_with_format(&jpeg.into_inner(), ImageFormat::Jpeg).unwrap().into_luma8().into_raw()
}

/// Made smaller and larger again.
fn rescaled(pixels: &[u8]) -> Vec<u8> {
    let image = GrayImage::from_raw(SHAPE.width as u32, SHAPE.height as u32, pixels.to_vec()).unwrap();
    let filter = image::imageops::FilterType::Triangle;
    DynamicImage::from(image)
        .resize_exact(32, 40, filter)
        .resize_exact(SHAPE.width as u32, SHAPE.height as u32, filter)
        .into_luma8()
        .into_raw()
}

#[test]
fn planted_copies_are_found_and_nothing_else() {
    let originals: Vec<Vec<u8>> = (0..300).map(picture).collect();
    let mut copies = Vec::new();
    for (n, original) in originals.iter().enumerate().take(100) {
        copies.push(match n % 4 {
            0 => original.clone(),
            1 => recompressed(original, 75),
            2 => rescaled(original),
            _ => original.iter().map(|&pixel| pixel.saturating_add(2)).collect(),
        });
    }
    let images: Vec<&[u8]> = originals.iter().chain(&copies).map(Vec::as_slice).collect();
    let found = alike(&images, SHAPE);
    let missed: Vec<usize> = (0..100).filter(|&n| found.nearly[300 + n] != n as u32).collect();
    assert_eq!(missed, [0; 0], "copies not found");
    let false_alarms: Vec<usize> = (0..300).filter(|&n| found.nearly[n] != n as u32).collect();
    assert_eq!(false_alarms, [0; 0], "originals taken for each other");
    let identical = (0..100).filter(|&n| found.identical[300 + n] == n as u32).count();
    assert_eq!(identical, 25);
}

#[test]
fn the_digits_of_mnist_are_not_taken_for_each_other() {
    let mnist = Published::mnist();
    let images: Vec<&[u8]> = mnist.test.pixels.chunks_exact(784).collect();
    let found = alike(&images, mnist.test.shape);
    let alarms = (0..images.len()).filter(|&n| found.turned[n] != n as u32).count();
    assert_eq!(alarms, 0, "of {} digits", images.len());
}

#[test]
fn blank_images_are_alike_only_where_they_are_identical() {
    let levels: Vec<Vec<u8>> = [7, 9, 7].iter().map(|&level| vec![level; SHAPE.len()]).collect();
    let images: Vec<&[u8]> = levels.iter().map(Vec::as_slice).collect();
    let firsts = || vec![0, 1, 0];
    let expected = Alike { identical: firsts(), nearly: firsts(), turned: firsts(), whole: true };
    assert_eq!(alike(&images, SHAPE), expected);
    let none = Alike { identical: vec![], nearly: vec![], turned: vec![], whole: true };
    assert_eq!(alike(&[], SHAPE), none);
    let one = GrayImage::from_pixel(1, 1, Luma([3])).into_raw();
    assert_eq!(alike(&[&one, &one], ImageShape { channels: 1, height: 1, width: 1 }).nearly, [0, 0]);
}

#[test]
fn of_very_many_that_look_alike_not_every_pair_is_compared() {
    // One scene with a grain of its own in each picture, which is gone where four pixels become one, and no copy's.
    let shape = ImageShape { channels: 1, height: 64, width: 64 };
    let rng = Rng::new(1, Stream::Split, 8);
    let grainy = |n: usize| -> Vec<u8> {
        let pixel = |at: usize| {
            let (y, x) = (at / 64, at % 64);
            let block = n * 1_024 + y / 2 * 32 + x / 2;
            let brighter = (rng.uniform_at(block as u64) < 0.5) == ((y + x) % 2 == 0);
            (40 + 2 * (y / 2) + 3 * (x / 2) * (y / 32 + 1)) as u8 / 2 + if brighter { 60 } else { 0 }
        };
        (0..shape.len()).map(pixel).collect()
    };
    let all: Vec<Vec<u8>> = (0..4_300).map(grainy).collect();
    let images: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let some = alike(&images[..1_000], shape);
    assert!(some.whole && (0..1_000).all(|n| some.nearly[n] == n as u32));
    assert!(!alike(&images, shape).whole);
    // Copies need few comparisons: none with those that are known as copies of one image.
    let copies: Vec<Vec<u8>> = (0..4_300)
        .map(|n| {
            let mut image = picture(1);
            image[n % 1_000] = image[n % 1_000].saturating_add(1 + (n / 1_000) as u8);
            image
        })
        .collect();
    let copies: Vec<&[u8]> = copies.iter().map(Vec::as_slice).collect();
    assert!(alike(&copies, SHAPE).nearly.iter().all(|&first| first == 0));
}
