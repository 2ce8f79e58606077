//! Planted views are found, and nothing that only resembles one.

use image::{RgbImage, imageops};

use super::*;
use crate::alike;

fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
    ImageShape { channels, height, width }
}

/// An image like no other.
fn noise(seed: u64, shape: ImageShape) -> Vec<u8> {
    let rng = Rng::new(seed, Stream::Split, 3);
    (0..shape.len() as u64).map(|n| (rng.u64_at(n) >> 56) as u8).collect()
}

/// Planes as pixels and back, turned meanwhile by another library.
fn turned(planes: &[u8], shape: ImageShape, how: impl Fn(&RgbImage) -> RgbImage) -> Vec<u8> {
    let size = shape.height * shape.width;
    let image = RgbImage::from_fn(shape.width as u32, shape.height as u32, |x, y| {
        let n = y as usize * shape.width + x as usize;
        image::Rgb([0, 1, 2].map(|channel| planes[channel * size + n]))
    });
    let image = how(&image);
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel]).collect::<Vec<_>>()).collect()
}

#[test]
fn every_view_of_a_square_is_found() {
    let shape = shape(9, 9, 3);
    let original = noise(1, shape);
    let views: [fn(&RgbImage) -> RgbImage; 7] = [
        imageops::rotate90,
        imageops::rotate180,
        imageops::rotate270,
        imageops::flip_horizontal,
        imageops::flip_vertical,
        |image| imageops::flip_horizontal(&imageops::rotate90(image)),
        |image| imageops::flip_vertical(&imageops::rotate90(image)),
    ];
    let mut all = vec![original.clone()];
    all.extend(views.iter().map(|view| turned(&original, shape, view)));
    all.push(noise(2, shape));
    // One pixel is another.
    let mut other = all[2].clone();
    other[5] ^= 0x80;
    all.push(other);
    let images: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let found = alike(&images, shape);
    assert_eq!(found.identical, (0..10).collect::<Vec<u32>>());
    assert_eq!(found.turned[..9], [0, 0, 0, 0, 0, 0, 0, 0, 8]);
}

#[test]
fn of_other_images_four_views_are_found() {
    let shape = shape(4, 6, 3);
    let original = noise(1, shape);
    let half = turned(&original, shape, imageops::rotate180);
    // The same numbers in one row, as a quarter turn of another shape has them.
    let quarter = turned(&original, shape, imageops::rotate90);
    let found = alike(&[&original, &half, &quarter], shape);
    assert_eq!(found.turned, [0, 0, 2]);
}

#[test]
fn what_is_symmetrical_is_no_copy_of_something_else() {
    let shape = shape(8, 8, 1);
    // Blank images, disks and crosses: each is every view of itself.
    let blank = |level: u8| vec![level; 64];
    let rings = |inner: u8, outer: u8| -> Vec<u8> {
        let far = |n: usize| (2 * n).abs_diff(7);
        (0..64).map(|n| if far(n / 8).max(far(n % 8)) < 4 { inner } else { outer }).collect()
    };
    let all = [blank(0), blank(255), rings(0, 255), rings(255, 0), rings(9, 200), blank(3)];
    let images: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    assert_eq!(alike(&images, shape).turned, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_same_key_is_not_enough() {
    // Pixels exchanged within what views exchange: another picture with the same key.
    let shape = shape(6, 6, 1);
    let views = Views::of(shape);
    let key = Key::new(&views, shape);
    let original = noise(1, shape);
    let mut other = original.clone();
    other.swap(1, 4);
    assert_eq!(key.of(&original), key.of(&other));
    assert_eq!(alike(&[&original, &other], shape).turned, alike(&[&original, &other], shape).nearly);
    // So many of them are not all compared, and that is told.
    let orbit: Vec<usize> = (0..36).filter(|&n| views.orbits()[n] == 1).collect();
    let many: Vec<Vec<u8>> = (0..200)
        .map(|seed| {
            let mut image = original.clone();
            let places = crate::rng::permutation(8, &Rng::new(seed, Stream::Split, 4));
            (0..8).for_each(|n| image[orbit[n]] = original[orbit[places[n] as usize]]);
            image
        })
        .collect();
    let images: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let identical: Vec<u32> = (0..200).collect();
    assert!(!pairs(&images, shape, &identical).whole);
}
