use super::*;
use serde_json::json;

const DIGITS: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const COLOUR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

fn read(value: serde_json::Value) -> Result<Augment, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn list(texts: &[&str]) -> Augment {
    read(json!(texts)).expect("it can be read")
}

fn augmenter(augment: &Augment, shape: ImageShape) -> Augmenter {
    Augmenter::new(augment, shape, 7).expect("images are changed")
}

/// What some epochs show of some images, all of them `image`.
fn shown(augmenter: &Augmenter, image: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..4000_u32).map(move |n| {
        let mut to = vec![0; image.len()];
        augmenter.image(1 + n as usize / 2000, n % 2000, image, &mut to);
        to
    })
}

/// A round spot with a soft edge, `x` right of and `y` below the middle.
fn spot(x: f64, y: f64) -> Vec<u8> {
    let value = |row: usize, column: usize| {
        let (dx, dy) = (column as f64 - 13.5 - x, row as f64 - 13.5 - y);
        (250.0 * (-(dx * dx + dy * dy) / 8.0).exp()) as u8
    };
    (0..784).map(|at| value(at / 28, at % 28)).collect()
}

/// Where the middle of what is bright is, from the middle of the image, `[x, y]`.
fn centre(image: &[u8]) -> [f64; 2] {
    let sum: f64 = image.iter().map(|&v| f64::from(v)).sum();
    let moment = |at: fn(usize) -> usize| {
        image.iter().enumerate().map(|(n, &v)| f64::from(v) * (at(n) as f64 - 13.5)).sum::<f64>() / sum
    };
    [moment(|n| n % 28), moment(|n| n / 28)]
}

/// Asserts that `found` are those of a uniform distribution over `-most..most`: mean and variance within five standard
/// deviations of theirs, and `blur` more for how they were measured.
#[track_caller]
fn assert_uniform(what: &str, found: &[f64], most: f64, blur: f64) {
    let (n, variance) = (found.len() as f64, most * most / 3.0);
    let mean = found.iter().sum::<f64>() / n;
    let square = found.iter().map(|v| v * v).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 * (variance / n).sqrt() + blur, "{what}: mean {mean}");
    // The variance of a uniform variable's square is 4/45 of the fourth power.
    let limit = 5.0 * (4.0 / 45.0 / n).sqrt() * most * most + 2.0 * blur * most;
    assert!((square - variance).abs() < limit, "{what}: mean square {square}, expected {variance}");
    let largest = found.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    assert!(largest <= most + blur && largest > 0.98 * most - blur, "{what}: up to {largest}, expected {most}");
}

#[test]
fn what_is_written_reads_back_and_mistakes_are_named() {
    for (value, written) in [
        (json!("none"), json!("none")),
        (json!("characters"), json!("characters")),
        (json!("photos"), json!("photos")),
        (json!(["cutout  8", "rotate 10.5", "flip"]), json!(["rotate 10.5", "flip", "cutout 8"])),
        (
            json!([
                "mixup 0.2",
                "contrast 0.2",
                "brightness 0.1",
                "crop 4",
                "alternating-flip",
                "elastic 2",
                "shear 5",
                "scale 0.1",
                "shift 2"
            ]),
            json!([
                "shift 2",
                "scale 0.1",
                "shear 5",
                "elastic 2",
                "alternating-flip",
                "crop 4",
                "brightness 0.1",
                "contrast 0.2",
                "mixup 0.2"
            ]),
        ),
    ] {
        let augment = read(value).expect("it can be read");
        assert_eq!(serde_json::to_value(&augment).expect("plain values"), written);
        assert_eq!(read(written), Ok(augment.clone()));
        assert_eq!(augment.check(), Ok(()));
    }
    for (value, message) in [
        (json!("character"), "unknown variant `character`, expected one of `none`, `characters`, `photos`"),
        (json!("flip"), "augment is \"flip\", expected a list of changes: [\"flip\"]"),
        (json!(["rotat 10"]), "unknown variant `rotat`, expected one of `shift`, `rotate`"),
        (json!(["photos", "flip"]), "\"photos\" stands alone, without a list: augment = \"photos\""),
        (json!(["rotate"]), "\"rotate\" is no change, expected a name and one number: \"rotate 10\""),
        (json!(["rotate ten"]), "\"rotate ten\" has no number, expected one: \"rotate 10\""),
        (json!(["crop 2.5"]), "\"crop 2.5\" has no whole number of pixels, expected one: \"crop 4\""),
        (json!(["flip 1"]), "\"flip 1\" has something behind it, expected \"flip\" alone"),
        (json!(3), "expected \"characters\", \"photos\", \"none\" or a list such as [\"shift 2\", \"rotate 10\"]"),
    ] {
        let error = read(value).expect_err("it is refused");
        assert!(error.contains(message), "{error}, expected {message}");
    }
    for (texts, message) in [
        (&[][..], "augment is an empty list, expected at least one change; leave it out for none"),
        (&["rotate 181"], "augment has \"rotate 181\", expected more than 0 and at most 180 degrees"),
        (&["shift 0"], "augment has \"shift 0\", expected more than 0 and at most 1024 pixels"),
        (&["scale NaN"], "augment has \"scale NaN\", expected more than 0 and at most 0.5"),
        (&["mixup 1.5"], "augment has \"mixup 1.5\", expected more than 0 and at most 1"),
        (&["crop 0"], "augment has \"crop 0\", expected more than 0 and at most 2048 pixels"),
        (&["shift 1", "flip", "shift 2"], "augment has \"shift 1\" and \"shift 2\", expected one of them"),
        (&["alternating-flip", "flip"], "augment has \"flip\" and \"alternating-flip\", expected one of them"),
    ] {
        assert_eq!(list(texts).check(), Err(message.to_owned()));
    }
}

#[test]
fn what_does_not_fit_the_images_is_refused() {
    let of = |texts: &[&str], height, width| list(texts).check_fits(ImageShape { channels: 1, height, width });
    let error = |text: &str, most: &str| {
        Err(format!("augment has {text:?}, expected at most {most} pixels for images of 1x28x20"))
    };
    for (fits, not, most) in [
        ("cutout 20", "cutout 21", "20"),
        ("crop 19", "crop 20", "19"),
        ("shift 10", "shift 10.5", "10"),
        ("elastic 5", "elastic 6", "5"),
    ] {
        assert_eq!(of(&[fits], 28, 20), Ok(()));
        assert_eq!(of(&[not], 28, 20), error(not, most));
    }
    assert!(of(&["flip"], 2049, 1).is_err_and(|error| error.contains("at most 2048 x 2048 pixels")));
    let tiny = ImageShape { channels: 3, height: 2, width: 9 };
    assert_eq!([Augment::Characters, Augment::Photos].map(|preset| preset.check_fits(tiny)), [Ok(()), Ok(())]);
}

#[test]
fn characters_are_never_mirrored_and_photos_are_in_every_other_epoch() {
    let characters = augmenter(&Augment::Characters, DIGITS);
    let photos = augmenter(&Augment::Photos, COLOUR);
    let flip = augmenter(&list(&["flip"]), COLOUR);
    let (mut first, mut at_random) = (0, 0);
    for index in 0..2000 {
        for epoch in 1..4 {
            // Scaled by a tenth at most.
            let determinant = characters.map(epoch, index).determinant();
            assert!((0.8..1.24).contains(&determinant), "{determinant}");
            let mirrored = |epoch| photos.map(epoch, index).determinant() < 0.0;
            assert_ne!(mirrored(epoch), mirrored(epoch + 1), "image {index} in epoch {epoch}");
            at_random += u32::from(flip.map(epoch, index).determinant() < 0.0);
        }
        first += u32::from(photos.map(1, index).determinant() < 0.0);
    }
    // Five standard deviations of 2,000 and of 6,000 coins.
    assert!(first.abs_diff(1000) < 112 && at_random.abs_diff(3000) < 194, "{first} of 2000, {at_random} of 6000");
}

#[test]
fn amounts_are_uniform_up_to_the_most() {
    let found = |texts: &[&str], image: &[u8], of: &dyn Fn(&[u8]) -> f64| {
        shown(&augmenter(&list(texts), DIGITS), image).map(|image| of(&image)).collect::<Vec<f64>>()
    };
    let middle = spot(0.0, 0.0);
    for axis in 0..2 {
        // Pixels are whole numbers: the middle of a spot is known to some hundredths of a pixel.
        assert_uniform("shift", &found(&["shift 3"], &middle, &|image| centre(image)[axis]), 3.0, 0.05);
        let crop = found(&["crop 2"], &middle, &|image| centre(image)[axis]);
        let steps: Vec<f64> = crop.iter().map(|at| at.round()).collect();
        assert!(crop.iter().zip(&steps).all(|(at, step)| (at - step).abs() < 0.05), "whole pixels");
        for step in -2..=2 {
            let count = steps.iter().filter(|&&at| at == f64::from(step)).count();
            // A fifth of 4,000, five standard deviations.
            assert!(count.abs_diff(800) < 127, "{step}: {count}");
        }
    }
    let angle = |image: &[u8]| centre(image)[1].atan2(centre(image)[0]).to_degrees();
    assert_uniform("rotate", &found(&["rotate 20"], &spot(6.0, 0.0), &angle), 20.0, 0.5);
    let slant = |image: &[u8]| (centre(image)[0] / 6.0).atan().to_degrees();
    assert_uniform("shear", &found(&["shear 15"], &spot(0.0, 6.0), &slant), 15.0, 0.5);
    assert_uniform("scale", &found(&["scale 0.2"], &spot(6.0, 0.0), &|image| centre(image)[0] / 6.0 - 1.0), 0.2, 0.02);
    let grey = [100; 784];
    assert_uniform("brightness", &found(&["brightness 0.2"], &grey, &|image| f64::from(image[0]) - 100.0), 51.0, 0.5);
    let checks: Vec<u8> = (0..784).map(|n| if n % 2 == 0 { 80 } else { 120 }).collect();
    let contrast = |image: &[u8]| (f64::from(image[1]) - f64::from(image[0])) / 40.0 - 1.0;
    assert_uniform("contrast", &found(&["contrast 0.4"], &checks, &contrast), 0.4, 0.03);
}

#[test]
fn images_are_bent_by_no_more_than_the_most() {
    let bent: Vec<[f64; 2]> =
        shown(&augmenter(&list(&["elastic 3"]), DIGITS), &spot(2.0, -3.0)).map(|image| centre(&image)).collect();
    for (axis, place) in [(0, 2.0), (1, -3.0)] {
        let moved: Vec<f64> = bent.iter().map(|at| at[axis] - place).collect();
        let mean = moved.iter().sum::<f64>() / moved.len() as f64;
        let deviation = (moved.iter().map(|v| v * v).sum::<f64>() / moved.len() as f64).sqrt();
        assert!(moved.iter().all(|v| v.abs() < 3.0 + 0.05), "further than a point of the grid");
        // Uniform in -3..3 has 1.73, and a mean of sixteen with the weights of a spline 0.33 to 0.44 of that; the spot is
        // wider than a cell, and is stretched and pressed.
        assert!(mean.abs() < 0.1 && (0.3..0.9).contains(&deviation), "mean {mean}, deviation {deviation}");
    }
}

#[test]
fn a_square_is_cut_out_about_any_pixel() {
    let (colour, shape) = (augmenter(&list(&["cutout 6"]), COLOUR), COLOUR);
    let plane = shape.height * shape.width;
    // In each channel two values, of which the mean is neither.
    let image: Vec<u8> = (0..3 * plane).map(|n| (n / plane * 50) as u8 + (n % 2) as u8 * 20).collect();
    let (mut whole, mut covered) = (0, vec![0_u32; plane]);
    for image in shown(&colour, &image) {
        let cut: Vec<usize> = (0..plane).filter(|&at| image[at] == 10).collect();
        let (rows, columns): (Vec<_>, Vec<_>) = cut.iter().map(|&at| (at / 32, at % 32)).unzip();
        let side = |of: &[usize]| of.iter().max().unwrap() - of.iter().min().unwrap() + 1;
        assert!(cut.len() == side(&rows) * side(&columns) && side(&rows) <= 6 && side(&columns) <= 6, "a rectangle");
        for channel in 1..3 {
            let there = (0..plane).filter(|&at| image[channel * plane + at] == 10 + 50 * channel as u8);
            assert!(there.eq(cut.iter().copied()), "the same in every channel");
        }
        whole += u32::from(cut.len() == 36);
        cut.iter().for_each(|&at| covered[at] += 1);
    }
    assert!(covered.iter().all(|&times| times > 0), "every pixel may be cut out");
    // Of 32 middles 27 along each axis leave the square whole; five standard deviations of 4,000.
    assert!(whole.abs_diff(4000 * 27 * 27 / 32 / 32) < 143, "{whole}");
}

/// Shares as Beta(a, a) has them: mean 1/2, variance 1 / (4 (2 a + 1)), fourth moment about the mean 3 / (16 (2 a + 1) (2 a + 3)).
#[test]
fn shares_of_mixtures_have_the_moments_of_their_distribution_and_partners_are_any_image() {
    for alpha in [1.0_f64, 0.4, 0.2, 0.02] {
        let augmenter = augmenter(&list(&[&format!("mixup {alpha}")]), DIGITS);
        let (mut partners, mut moments) = ([0_u32; 25], [0.0; 3]);
        for n in 0..20_000_u32 {
            let mixture = augmenter.mixture(1 + n as usize / 10_000, n % 10_000, 25).expect("images are mixed");
            partners[mixture.other as usize] += 1;
            let off = f64::from(mixture.share()) - 0.5;
            moments.iter_mut().zip([off, off.powi(2), off.powi(4)]).for_each(|(sum, power)| *sum += power / 2e4);
        }
        let variance = 0.25 / (2.0 * alpha + 1.0);
        let fourth = 3.0 / (16.0 * (2.0 * alpha + 1.0) * (2.0 * alpha + 3.0));
        // Five standard deviations; no moment's square is more than 1/4 to that power.
        assert!(moments[0].abs() < 5.0 * (variance / 2e4).sqrt(), "alpha {alpha}: mean {}", moments[0]);
        let limit = 5.0 * ((fourth - variance * variance) / 2e4).sqrt();
        assert!((moments[1] - variance).abs() < limit, "alpha {alpha}: variance {}, expected {variance}", moments[1]);
        let limit = 5.0 * ((1.0 / 256.0 - fourth * fourth) / 2e4).sqrt();
        assert!((moments[2] - fourth).abs() < limit, "alpha {alpha}: fourth {}, expected {fourth}", moments[2]);
        // A 25th of 20,000, five standard deviations.
        assert!(partners.iter().all(|&times| times.abs_diff(800) < 139), "alpha {alpha}: {partners:?}");
    }
}

#[test]
fn what_is_mixed_in_is_what_the_epoch_shows_of_the_other_image() {
    let images: Vec<u8> = [spot(0.0, 0.0), spot(5.0, 2.0), spot(-4.0, 6.0)].concat();
    let (alone, mixed) = (augmenter(&list(&["shift 3"]), DIGITS), augmenter(&list(&["shift 3", "mixup 1"]), DIGITS));
    assert!(mixed.mixes() && !alone.mixes() && alone.mixture(1, 0, 3).is_none());
    let [mut to, mut room, mut own, mut other] = std::array::from_fn(|_| vec![1; 784]);
    for (epoch, index) in (1..30).flat_map(|epoch| (0..3).map(move |index| (epoch, index))) {
        let mixture = mixed.mixture(epoch, index, 3).expect("images are mixed");
        mixed.shown(epoch, index, &images, &mut room, &mut to);
        alone.shown(epoch, index, &images, &mut [], &mut own);
        alone.shown(epoch, mixture.other, &images, &mut [], &mut other);
        let share = f64::from(mixture.share());
        for ((own, other), to) in own.iter().zip(&other).zip(&to) {
            let exact = f64::from(*own) * share + f64::from(*other) * (1.0 - share);
            assert!((f64::from(*to) - exact).abs() <= 0.5, "{own} and {other}, {share}: {to}");
        }
    }
}

#[test]
fn seed_epoch_and_image_decide_and_nothing_else() {
    let all = list(&["shift 2", "rotate 10", "scale 0.1", "shear 5", "elastic 2", "brightness 0.2", "contrast 0.2"]);
    let image = spot(3.0, 1.0);
    let of = |seed, epoch, index| {
        let mut to = vec![1; 784];
        Augmenter::new(&all, DIGITS, seed).expect("it is changed").image(epoch, index, &image, &mut to);
        to
    };
    assert_eq!(of(1, 2, 3), of(1, 2, 3));
    let others = [of(1, 2, 3), of(2, 2, 3), of(1, 3, 3), of(1, 2, 4), of(1, 2, u32::MAX)];
    for (n, one) in others.iter().enumerate() {
        assert!(others[..n].iter().all(|other| one != other), "{n}");
    }
    assert!(Augmenter::new(&Augment::None, DIGITS, 1).is_none());
}

/// The bits of trainings on record depend on these. If they change, `TRAINING_VERSION` does.
#[test]
fn what_is_shown_is_pinned() {
    let everything = ["shift 2", "rotate 10", "scale 0.1", "shear 5", "elastic 2", "flip", "crop 4", "cutout 8"];
    let toned = [&everything[..], &["brightness 0.2", "contrast 0.2"]].concat();
    let checksum = |augment: &Augment, shape: ImageShape| {
        let image: Vec<u8> = (0..shape.len()).map(|n| (n * n % 251) as u8).collect();
        let augmenter = augmenter(augment, shape);
        let mut to = vec![0; image.len()];
        (0..100).fold(0_u64, |sum, n| {
            augmenter.image(1 + n as usize % 3, n, &image, &mut to);
            to.iter().fold(sum, |sum, &pixel| (sum ^ u64::from(pixel)).wrapping_mul(0x0100_0000_01B3))
        })
    };
    let found =
        [checksum(&Augment::Characters, DIGITS), checksum(&Augment::Photos, COLOUR), checksum(&list(&toned), COLOUR)];
    assert_eq!(found, [0x360e_685c_c410_c04e, 0xc62b_98db_1edf_8f6d, 0xfc6e_1ba5_4fb7_7b8e], "{found:x?}");
    let mixed = augmenter(&list(&["mixup 0.4"]), DIGITS);
    let found = (0..100).fold(0_u64, |sum, n| {
        let mixture = mixed.mixture(1 + n as usize % 3, n, 60_000).expect("images are mixed");
        (sum ^ u64::from(mixture.other) ^ u64::from(mixture.share().to_bits())).wrapping_mul(0x0100_0000_01B3)
    });
    assert_eq!(found, 0x3daf_6055_67c6_0743, "{found:x}");
}
