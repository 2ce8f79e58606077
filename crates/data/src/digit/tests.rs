//! Drawings of digits.

use proptest::prelude::*;

use super::*;
use crate::{Labelled, Published};
use std::sync::LazyLock;

static TEST: LazyLock<Labelled> = LazyLock::new(|| Published::mnist().test);

fn digit(number: usize) -> Grey {
    Grey { width: SIDE, height: SIDE, pixels: TEST.image(number).to_vec() }
}

/// The picture with every pixel repeated `across` times and `down` times.
fn enlarged(grey: &Grey, across: usize, down: usize) -> Grey {
    let (width, height) = (grey.width * across, grey.height * down);
    let pixels = (0..width * height).map(|at| grey.pixels[at / width / down * grey.width + at % width / across]);
    Grey { width, height, pixels: pixels.collect() }
}

/// The picture on a black canvas of `size`, its corner at (`left`, `top`), which may be outside.
fn placed(grey: &Grey, size: (usize, usize), (left, top): (i64, i64)) -> Grey {
    let mut pixels = vec![0; size.0 * size.1];
    for (at, pixel) in grey.pixels.iter().enumerate() {
        let (x, y) = (left + (at % grey.width) as i64, top + (at / grey.width) as i64);
        if (0..size.0 as i64).contains(&x) && (0..size.1 as i64).contains(&y) {
            pixels[y as usize * size.0 + x as usize] = *pixel;
        }
    }
    Grey { width: size.0, height: size.1, pixels }
}

fn words(centred: &Centred) -> Vec<&str> {
    centred.steps.iter().map(|(words, _)| words.as_str()).collect()
}

#[test]
fn the_digits_of_mnist_are_centred_already() {
    let changed: Vec<usize> =
        (0..TEST.labels.len()).filter(|n| centre(&digit(*n)).unwrap().pixels != TEST.image(*n)).collect();
    assert_eq!(changed, [4530, 9300, 9302]);
    for number in changed {
        let (grey, ink) = (digit(number), ink(&digit(number)).unwrap());
        assert_eq!((ink.top + ink.height, ink.height), (28, 19), "{number} lost a row");
        // Nothing but that row is missing for it to be as it was.
        let (x, y) = centre_of_mass(&grey, ink, (ink.width, ink.height));
        assert_eq!((x + ink.left as i64, y + ink.top as i64), (14, 14), "{number}");
    }
    let centred = centre(&digit(0)).unwrap();
    let said =
        ["as it is: 28 x 28 pixels", "ink: 16 x 20 pixels, as large as MNIST's", "centre of mass moved to the middle"];
    assert_eq!(words(&centred), said);
    assert_eq!(centred.steps[2].1.pixels, centred.pixels);
}

#[test]
fn a_small_dark_picture_shows_every_step() {
    // Light grey paper with a line, 2 wide and 10 high, of dark grey.
    let mut grey = Grey { width: 12, height: 14, pixels: vec![230; 12 * 14] };
    (2..12).for_each(|y| grey.pixels[y * 12 + 7..][..2].fill(55));
    let centred = centre(&grey).unwrap();
    let said = [
        "as it is: 12 x 14 pixels",
        "inverted: dark on light",
        "paper and ink, 25 and 200 of 255, stretched to black and white",
        "ink: 2 x 10 pixels, scaled to 4 x 20",
        "centre of mass moved to the middle",
    ];
    assert_eq!(words(&centred), said);
    assert_eq!(centred.steps[3].1, Grey { width: 4, height: 20, pixels: vec![255; 80] });
    let whites = (0..SIDE * SIDE).filter(|at| (12..16).contains(&(at % SIDE)) && (4..24).contains(&(at / SIDE)));
    let mut expected = vec![0; SIDE * SIDE];
    whites.for_each(|at| expected[at] = 255);
    assert_eq!(centred.pixels, expected);
}

#[test]
fn what_stands_out_of_the_frame_is_cut_off_and_said_so() {
    // A block of 10 with a tail of 30 to its right: 5 and 15 pixels, scaled, of which only 13 lie right of the middle.
    let mut grey = Grey { width: 50, height: 50, pixels: vec![0; 2500] };
    (10..20).for_each(|y| grey.pixels[y * 50 + 5..][..10].fill(255));
    (14..16).for_each(|y| grey.pixels[y * 50 + 15..][..30].fill(50));
    let (last, picture) = centre(&grey).unwrap().steps.pop().unwrap();
    assert_eq!(last, "centre of mass moved to the middle; what does not fit in is cut off, as in MNIST");
    let lit = |x: &usize| (0..SIDE).any(|y| picture.pixels[y * SIDE + x] > 0);
    assert_eq!((0..SIDE).filter(lit).collect::<Vec<_>>(), (11..28).collect::<Vec<_>>());
}

#[test]
fn rough_paper_and_faint_ink_do_not_matter() {
    // Paper of 235 with noise of up to 4, as a photograph has, and ink of 235 - pixel / 2.
    let mut rng = 1_u32;
    let mut noise = || {
        rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (rng >> 24) as i32 % 9 - 4
    };
    let digit = digit(3);
    let mut photo = placed(&enlarged(&digit, 10, 10), (700, 500), (333, 111));
    photo.pixels.iter_mut().for_each(|pixel| *pixel = (235 - i32::from(*pixel) / 2 + noise()) as u8);
    let centred = centre(&photo).unwrap();
    let difference: u32 = centred.pixels.iter().zip(&digit.pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    assert!(difference < 6 * 784, "a mean difference of {} of 255", f64::from(difference) / 784.0);
}

#[test]
fn a_picture_without_ink_is_refused() {
    for (width, height, pixel) in
        [(28, 28, 0), (28, 28, 255), (5, 9, 127), (5, 9, 128), (1, 1, 255), (0, 0, 0), (0, 7, 0)]
    {
        let grey = Grey { width, height, pixels: vec![pixel; width * height] };
        assert_eq!(centre(&grey), Err(DigitError::NoInk), "{width} x {height} of {pixel}");
    }
    let mut dirty = Grey { width: 30, height: 30, pixels: vec![250; 900] };
    dirty.pixels[450] = 250 - LEAST_CONTRAST;
    assert_eq!(centre(&dirty), Err(DigitError::NoInk));
    dirty.pixels[450] -= 1;
    assert_eq!(words(&centre(&dirty).unwrap())[3], "ink: 1 x 1 pixels, scaled to 20 x 20");
}

#[test]
fn the_border_is_every_outermost_pixel_once() {
    for (width, height) in [(1, 1), (1, 5), (5, 1), (2, 2), (2, 5), (5, 2), (3, 3), (7, 4)] {
        let pixels: Vec<u8> = (0..width * height).map(|at| at as u8).collect();
        let is_border = |at: usize| [0, width - 1].contains(&(at % width)) || [0, height - 1].contains(&(at / width));
        let expected: Vec<u8> = pixels.iter().copied().filter(|at| is_border(usize::from(*at))).collect();
        assert_eq!(border(&Grey { width, height, pixels }).collect::<Vec<_>>(), expected, "{width} x {height}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every digit but the three: enlarged by a whole number, anywhere, dark on light or light on dark, the same comes
    /// back.
    #[test]
    fn a_large_digit_anywhere_is_the_small_one(
        number in 0_usize..4530, times in 1_usize..9, (left, top) in (1_i64..200, 1_i64..200), dark in any::<bool>(),
    ) {
        let mut drawn = placed(&enlarged(&digit(number), times, times), (430, 430), (left, top));
        if dark {
            drawn.pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        }
        let centred = centre(&drawn).unwrap();
        prop_assert_eq!(&centred.pixels, TEST.image(number), "digit {}", number);
        prop_assert_eq!(centred.steps[1].0 == "inverted: dark on light", dark);
    }

    /// Enlarged by 1.5 to 6 times, pixels being cut through, and to another height: nearly the same comes back.
    ///
    /// What it can differ by, in pixels of the small one. In both the centre of mass lies in pixel 14, so all moves by
    /// less than 1 in each direction. The ink's box is up to 2 of at least 30 drawn pixels too long, so what is t away
    /// from the middle moves by up to t / 15 more, on one side against the other. A pixel of the result reaches 1/2
    /// from its middle, and a drawn pixel that it cuts through up to 1 / 1.5 = 2/3 further.
    #[test]
    fn a_digit_of_any_size_is_nearly_the_small_one(number in 0_usize..4530, side in 42_usize..168) {
        let digit = digit(number);
        let whole = Rectangle { left: 0, top: 0, width: SIDE, height: SIDE };
        let drawn = whole.scaled(&digit, (side, side), (0, 0), (side, side));
        let centred = centre(&drawn).unwrap();
        let at = |x: i64, y: i64| {
            let inside = (0..SIDE as i64).contains(&x) && (0..SIDE as i64).contains(&y);
            if inside { digit.pixels[y as usize * SIDE + x as usize] } else { 0 }
        };

        // A mean of pixels at most two away, which reach to 2.5: 1 + 1/2 + 2/3, and 1/3 for t up to 5; where t is
        // larger, only all of these at once would reach further. None of the 570,780 cases does.
        for (n, pixel) in centred.pixels.iter().enumerate() {
            let (x, y) = ((n % SIDE) as i64, (n / SIDE) as i64);
            let near = || (y - 2..=y + 2).flat_map(|y| (x - 2..=x + 2).map(move |x| (x, y))).map(|(x, y)| at(x, y));
            let (darkest, brightest) = (near().min().unwrap(), near().max().unwrap());
            prop_assert!(
                (darkest..=brightest).contains(pixel),
                "digit {number}, side {side}: {pixel} at {x},{y}, where pixels are {darkest} to {brightest}"
            );
        }

        // An edge that moves by d changes d times its height, so all edges that move by d change d times the sum of the
        // differences of neighbours. Moved by whole pixels to where it fits best, all is off by at most 1/2 in each
        // direction, and so is the mean over the edges, as those on both sides of the middle move against each other.
        // The worst of the 570,780 cases has 0.45.
        let difference = |(left, top)| {
            let moved = placed(&digit, (SIDE, SIDE), (left, top));
            moved.pixels.iter().zip(&centred.pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
        };
        let least = (-1..2).flat_map(|x| (-1..2).map(move |y| (x, y))).map(difference).min().unwrap();
        let corners = (0..=SIDE as i64).flat_map(|y| (0..=SIDE as i64).map(move |x| (x, y)));
        let edges: u32 = corners
            .map(|(x, y)| u32::from(at(x, y).abs_diff(at(x - 1, y))) + u32::from(at(x, y).abs_diff(at(x, y - 1))))
            .sum();
        prop_assert!(2 * least <= edges, "digit {number}, side {side}: off by {least}, edges are {edges}");
    }

    /// Scaling is the mean over the area: pixels repeated until new ones cover whole numbers of them.
    #[test]
    fn scaling_is_the_mean_over_the_area(
        (width, height) in (1_usize..9, 1_usize..9), to in (1_usize..9, 1_usize..9), seed in any::<u64>(),
    ) {
        let pixels = (0..width * height).map(|at| (seed.rotate_left(at as u32 * 5) >> 9) as u8).collect();
        let grey = Grey { width, height, pixels };
        let fine = enlarged(&grey, to.0, to.1);
        let whole = Rectangle { left: 0, top: 0, width, height };
        let scaled = whole.scaled(&grey, to, (-1, -1), (to.0 + 2, to.1 + 2));
        for (at, pixel) in scaled.pixels.iter().enumerate() {
            let (x, y) = (at % (to.0 + 2), at / (to.0 + 2));
            let outside = x == 0 || y == 0 || x > to.0 || y > to.1;
            let mean = || {
                let (left, top) = ((x - 1) * width, (y - 1) * height);
                let rows = (top..top + height).flat_map(|row| &fine.pixels[row * fine.width + left..][..width]);
                rows.map(|pixel| f64::from(*pixel)).sum::<f64>() / (width * height) as f64
            };
            prop_assert_eq!(*pixel, if outside { 0 } else { mean().round() as u8 }, "at {},{}", x, y);
        }
    }

    /// Whatever is drawn: no panic, and the result is of the right size.
    #[test]
    fn anything_is_centred_or_refused(width in 0_usize..40, height in 0_usize..40, seed in any::<u64>(), often in 1_u64..60) {
        let mut state = seed;
        let pixels = (0..width * height).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (state >> 40).is_multiple_of(often) { (state >> 56) as u8 } else { 0 }
        });
        let grey = Grey { width, height, pixels: pixels.collect() };
        if let Ok(centred) = centre(&grey) {
            prop_assert_eq!(centred.pixels.len(), 784);
            prop_assert_eq!(&centred.steps.last().unwrap().1.pixels, &centred.pixels);
        }
        let small = grey.within(10);
        prop_assert_eq!(small.pixels.len(), small.width * small.height);
        prop_assert!(small.pixels.is_empty() || small.width.max(small.height) <= 10);
    }
}
