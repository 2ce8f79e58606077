//! One way to change an image, as a study file writes it: a name and how much at most.

use crate::data::ImageShape;

/// One way to change an image at random. Amounts are the most that may happen, and all up to it are equally likely in
/// both directions.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// Moved along each axis, in pixels and parts of them.
    Shift(f64),
    /// Turned about its middle, in degrees.
    Rotate(f64),
    /// Made larger or smaller about its middle, by a share of its size.
    Scale(f64),
    /// Slanted, its rows moved against each other, in degrees.
    Shear(f64),
    /// Bent smoothly, in pixels: every point of a grid of cells of a quarter of the image is moved along each axis, and
    /// what lies between them with them (compare P. Simard, D. Steinkraus and J. Platt, *Best practices for
    /// convolutional neural networks applied to visual document analysis*, 2003).
    Elastic(f64),
    /// Mirrored left to right, or not.
    Flip,
    /// Mirrored left to right in every other epoch: half of the images in the odd ones, the others in the even ones (K.
    /// Jordan, *94% on CIFAR-10 in 3.29 seconds on a single GPU*, 2024).
    AlternatingFlip,
    /// Moved along each axis by whole pixels, with the mirror image coming in: an image of the same size cut out of one
    /// with so many mirrored pixels around it.
    Crop(usize),
    /// A square of this side, about any of its pixels, has the mean of its channel (T. DeVries and G. W. Taylor, *Improved
    /// regularization of convolutional neural networks with cutout*, 2017).
    Cutout(usize),
    /// Made lighter or darker by a share of the range of pixels.
    Brightness(f64),
    /// Contrast made larger or smaller by a share of it, about the image's mean.
    Contrast(f64),
    /// Mixed with another training image, label and all, by a share that is distributed as Beta(a, a): mostly next to
    /// nothing of one of them where `a` is small, any share alike where it is 1 (H. Zhang et al., *mixup: beyond
    /// empirical risk minimization*, 2018).
    Mixup(f64),
}

/// Why a text is no change.
pub(super) enum Fault {
    /// There is none of this name.
    Unknown(String),
    /// A sentence on what stands behind the name.
    Amount(String),
}

impl Change {
    /// The name of each, in order.
    pub const NAMES: [&'static str; 12] = [
        "shift",
        "rotate",
        "scale",
        "shear",
        "elastic",
        "flip",
        "alternating-flip",
        "crop",
        "cutout",
        "brightness",
        "contrast",
        "mixup",
    ];

    /// Its place in [`Change::NAMES`].
    pub(super) fn number(&self) -> usize {
        match self {
            Change::Shift(_) => 0,
            Change::Rotate(_) => 1,
            Change::Scale(_) => 2,
            Change::Shear(_) => 3,
            Change::Elastic(_) => 4,
            Change::Flip => 5,
            Change::AlternatingFlip => 6,
            Change::Crop(_) => 7,
            Change::Cutout(_) => 8,
            Change::Brightness(_) => 9,
            Change::Contrast(_) => 10,
            Change::Mixup(_) => 11,
        }
    }

    /// As a study file writes it: `rotate 10`.
    pub(super) fn text(&self) -> String {
        let name = Change::NAMES[self.number()];
        match self {
            Change::Flip | Change::AlternatingFlip => name.to_owned(),
            Change::Crop(pixels) | Change::Cutout(pixels) => format!("{name} {pixels}"),
            Change::Shift(most)
            | Change::Rotate(most)
            | Change::Scale(most)
            | Change::Shear(most)
            | Change::Elastic(most)
            | Change::Brightness(most)
            | Change::Contrast(most)
            | Change::Mixup(most) => format!("{name} {most}"),
        }
    }

    /// Reads what [`Change::text`] writes.
    pub(super) fn parse(text: &str) -> Result<Change, Fault> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let name = *words.first().unwrap_or(&"");
        let amount = |example: &str| match words[1..] {
            [amount] => Ok(amount),
            _ => Err(Fault::Amount(format!(
                "{text:?} is no change, expected a name and one number: \"{name} {example}\""
            ))),
        };
        let real = |example: &str| {
            let number = amount(example)?.parse::<f64>().ok();
            number.ok_or_else(|| Fault::Amount(format!("{text:?} has no number, expected one: \"{name} {example}\"")))
        };
        let whole = |example: &str| {
            let number = amount(example)?.parse::<usize>().ok();
            number.ok_or_else(|| {
                Fault::Amount(format!("{text:?} has no whole number of pixels, expected one: \"{name} {example}\""))
            })
        };
        let alone = |change: Change| match words.len() {
            1 => Ok(change),
            _ => Err(Fault::Amount(format!("{text:?} has something behind it, expected {name:?} alone"))),
        };
        match name {
            "shift" => real("2").map(Change::Shift),
            "rotate" => real("10").map(Change::Rotate),
            "scale" => real("0.1").map(Change::Scale),
            "shear" => real("5").map(Change::Shear),
            "elastic" => real("2").map(Change::Elastic),
            "flip" => alone(Change::Flip),
            "alternating-flip" => alone(Change::AlternatingFlip),
            "crop" => whole("4").map(Change::Crop),
            "cutout" => whole("8").map(Change::Cutout),
            "brightness" => real("0.2").map(Change::Brightness),
            "contrast" => real("0.2").map(Change::Contrast),
            "mixup" => real("0.2").map(Change::Mixup),
            _ => Err(Fault::Unknown(name.to_owned())),
        }
    }

    /// Whether its amount is in its range, whatever the image.
    pub(super) fn check(&self) -> Result<(), String> {
        let most = |amount: f64, most: f64, unit: &str| {
            if amount > 0.0 && amount <= most {
                return Ok(());
            }
            Err(format!("augment has {:?}, expected more than 0 and at most {most}{unit}", self.text()))
        };
        match *self {
            Change::Shift(pixels) | Change::Elastic(pixels) => most(pixels, 1024.0, " pixels"),
            Change::Rotate(degrees) => most(degrees, 180.0, " degrees"),
            Change::Shear(degrees) => most(degrees, 45.0, " degrees"),
            Change::Scale(share) => most(share, 0.5, ""),
            Change::Brightness(share) | Change::Contrast(share) | Change::Mixup(share) => most(share, 1.0, ""),
            Change::Crop(pixels) | Change::Cutout(pixels) => most(pixels as f64, 2048.0, " pixels"),
            Change::Flip | Change::AlternatingFlip => Ok(()),
        }
    }

    /// Whether images of this shape have room for it.
    pub(super) fn check_fits(&self, shape: ImageShape) -> Result<(), String> {
        let side = shape.height.min(shape.width);
        let most = |amount: f64, most: f64| {
            if amount <= most {
                return Ok(());
            }
            Err(format!("augment has {:?}, expected at most {most} pixels for images of {shape}", self.text()))
        };
        match *self {
            Change::Shift(pixels) => most(pixels, side as f64 / 2.0),
            Change::Elastic(pixels) => most(pixels, side as f64 / 4.0),
            // No more than there is to mirror.
            Change::Crop(pixels) => most(pixels as f64, (side - 1) as f64),
            Change::Cutout(pixels) => most(pixels as f64, side as f64),
            Change::Rotate(_) | Change::Scale(_) | Change::Shear(_) | Change::Flip => Ok(()),
            Change::AlternatingFlip | Change::Brightness(_) | Change::Contrast(_) | Change::Mixup(_) => Ok(()),
        }
    }
}
