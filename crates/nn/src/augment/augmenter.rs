//! Changes images at random: a function of seed, epoch, the image's number and, where images are mixed, of how many there
//! are, and of nothing else.

use super::{Augment, Change};
use crate::data::ImageShape;
use crate::optim::cos_pi;
use crate::rng::{Rng, Stream};
use tenfold_kernels::augment::{Beyond, CONTROLS, ElasticGrid, Map, Offsets, WHOLE, cut_out, mean, mix, tone, warp};
use tenfold_kernels::math;

/// Makes what an epoch shows of an image.
///
/// Shifts, turns, scales, shears, flips and crops are one affine map, bent where that is asked for, by which the image
/// is sampled once. Beyond its edge is its nearest pixel, so that a background of any colour goes on, or with a crop its
/// mirror image. Then come contrast, brightness and the square that is cut out, and last another image, changed as the
/// epoch shows it, is mixed in.
#[derive(Clone, Debug)]
pub struct Augmenter {
    seed: u64,
    shape: [usize; 3],
    changes: Vec<Change>,
    grid: Option<ElasticGrid>,
    beyond: Beyond,
}

/// Which image an epoch mixes with another, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mixture {
    /// The other's number; perhaps that of the image itself.
    pub other: u32,
    /// What the image keeps, of [`WHOLE`].
    share: u32,
}

impl Mixture {
    /// What the image and its label keep, from 0 to 1; the rest is the other's.
    pub fn share(&self) -> f32 {
        // Exact: a multiple of 2^-16.
        self.share as f32 / WHOLE as f32
    }
}

/// Random numbers of one image and epoch of [`Stream::Mix`]: which image is mixed in, and behind it pairs to draw its
/// share by.
const PER_MIXTURE: u64 = 64;

/// Random numbers of one image and epoch: which of them is for what.
const PER_IMAGE: u64 = 128;
const SHIFT: u64 = 0;
const ROTATE: u64 = 2;
const SCALE: u64 = 3;
const SHEAR: u64 = 4;
const FLIP: u64 = 5;
const CROP: u64 = 6;
const CUTOUT: u64 = 8;
const BRIGHTNESS: u64 = 10;
const CONTRAST: u64 = 11;
const ELASTIC: u64 = 16;

/// The random numbers of one image in one epoch.
struct Draw {
    rng: Rng,
    first: u64,
}

impl Draw {
    /// Number `which`, uniform in `-most..most`.
    fn within(&self, which: u64, most: f64) -> f64 {
        (2.0 * f64::from(self.rng.uniform_at(self.first + which)) - 1.0) * most
    }

    /// Number `which`, uniform in `0..n`.
    fn below(&self, which: u64, n: usize) -> usize {
        self.rng.below_at(self.first + which, n as u32) as usize
    }
}

impl Augmenter {
    /// For images of this shape in a training from `seed`; none where they are not changed.
    ///
    /// # Panics
    /// If [`Augment::check`] or [`Augment::check_fits`] finds something.
    pub fn new(augment: &Augment, shape: ImageShape, seed: u64) -> Option<Augmenter> {
        augment.check().and_then(|()| augment.check_fits(shape)).expect("the settings have been checked");
        let changes = augment.changes(shape);
        let size = [shape.height, shape.width];
        let grid = changes.iter().any(|change| matches!(change, Change::Elastic(_))).then(|| ElasticGrid::new(size));
        let crops = changes.iter().any(|change| matches!(change, Change::Crop(_)));
        let beyond = if crops { Beyond::Mirror } else { Beyond::Edge };
        let shape = [shape.channels, shape.height, shape.width];
        (*augment != Augment::None).then_some(Augmenter { seed, shape, changes, grid, beyond })
    }

    /// Overwrites `to` with what epoch `epoch`, counted from 1, shows of image `index` of the training images `images`,
    /// `[N, C, H, W]`, and uses `room` for another image. Allocates nothing.
    ///
    /// # Panics
    /// If `images` are not whole, there is no image `index`, or `room` or `to` are not of the shape.
    pub fn shown(&self, epoch: usize, index: u32, images: &[u8], room: &mut [u8], to: &mut [u8]) {
        let len = self.shape.iter().product::<usize>();
        assert!(images.len().is_multiple_of(len), "images of {len} pixels");
        let of = |index: u32| &images[index as usize * len..][..len];
        self.image(epoch, index, of(index), to);
        if let Some(Mixture { other, share }) = self.mixture(epoch, index, images.len() / len) {
            self.image(epoch, other, of(other), room);
            mix(share, room, to);
        }
    }

    /// Whether images are mixed.
    pub fn mixes(&self) -> bool {
        self.alpha().is_some()
    }

    /// What epoch `epoch` mixes with image `index` of so many, where images are mixed.
    pub fn mixture(&self, epoch: usize, index: u32, images: usize) -> Option<Mixture> {
        let alpha = self.alpha()?;
        let draw = Draw { rng: Rng::new(self.seed, Stream::Mix, epoch as u64), first: u64::from(index) * PER_MIXTURE };
        let share = beta(alpha, |number| {
            // Never 0: in the middle of what number stands for.
            f64::from(draw.rng.uniform_at(draw.first + 1 + number)) + f64::from(2.0_f32.powi(-25))
        });
        Some(Mixture { other: draw.below(0, images) as u32, share: (share * f64::from(WHOLE) + 0.5) as u32 })
    }

    fn alpha(&self) -> Option<f64> {
        self.changes.iter().find_map(|change| if let Change::Mixup(alpha) = *change { Some(alpha) } else { None })
    }

    /// Overwrites `to` with what epoch `epoch`, counted from 1, makes of image `index` of the training images, whose
    /// pixels `[C, H, W]` are `from`, before another is mixed in. Allocates nothing.
    ///
    /// # Panics
    /// If `from` or `to` are not of the shape.
    pub fn image(&self, epoch: usize, index: u32, from: &[u8], to: &mut [u8]) {
        let (draw, shape @ [_, height, width]) = (self.draw(epoch, index), self.shape);
        let offsets = self.grid.as_ref().map(|grid| (grid, self.offsets(&draw)));
        let bent = offsets.as_ref().map(|(grid, offsets)| (*grid, offsets));
        warp(shape, from, &self.map(epoch, index), bent, self.beyond, to);
        let (mut gain, mut lighter, mut toned) = (1.0, 0.0, false);
        for change in &self.changes {
            match *change {
                Change::Contrast(most) => (gain, toned) = (1.0 + draw.within(CONTRAST, most), true),
                Change::Brightness(most) => (lighter, toned) = (255.0 * draw.within(BRIGHTNESS, most), true),
                Change::Shift(_) | Change::Rotate(_) | Change::Scale(_) | Change::Shear(_) => {}
                Change::Elastic(_) | Change::Flip | Change::AlternatingFlip | Change::Crop(_) => {}
                Change::Cutout(_) | Change::Mixup(_) => {}
            }
        }
        if toned {
            tone(gain, mean(from) * (1.0 - gain) + lighter, to);
        }
        for change in &self.changes {
            if let Change::Cutout(side) = *change {
                let range = |which: u64, of: usize| {
                    let start = draw.below(which, of) as isize - (side / 2) as isize;
                    start.max(0) as usize..((start + side as isize) as usize).min(of)
                };
                cut_out(shape, range(CUTOUT, height), range(CUTOUT + 1, width), to);
            }
        }
    }

    /// Where epoch `epoch` looks the pixels of image `index` up, before they are bent.
    pub(super) fn map(&self, epoch: usize, index: u32) -> Map {
        let draw = self.draw(epoch, index);
        // From the new image to the old: what is done last comes first.
        let (mut matrix, mut shift, mut crop) = ([[1.0, 0.0], [0.0, 1.0]], [0.0; 2], [0.0; 2]);
        for change in &self.changes {
            let then = match *change {
                Change::Rotate(most) => {
                    let (sin, cos) = sin_cos(draw.within(ROTATE, most));
                    [[cos, sin], [-sin, cos]]
                }
                Change::Scale(most) => {
                    let inverse = 1.0 / (1.0 + draw.within(SCALE, most));
                    [[inverse, 0.0], [0.0, inverse]]
                }
                Change::Shear(most) => {
                    let (sin, cos) = sin_cos(draw.within(SHEAR, most));
                    [[1.0, sin / cos], [0.0, 1.0]]
                }
                Change::Flip if draw.below(FLIP, 2) == 1 => MIRROR,
                Change::AlternatingFlip if self.is_turn_to_flip(epoch, index) => MIRROR,
                Change::Shift(most) => {
                    shift = [draw.within(SHIFT, most), draw.within(SHIFT + 1, most)];
                    continue;
                }
                Change::Crop(most) => {
                    crop = [0, 1].map(|axis| draw.below(CROP + axis, 2 * most + 1) as f64 - most as f64);
                    continue;
                }
                Change::Flip | Change::AlternatingFlip | Change::Elastic(_) => continue,
                Change::Cutout(_) | Change::Brightness(_) | Change::Contrast(_) | Change::Mixup(_) => continue,
            };
            matrix = product(then, matrix);
        }
        let offset = [0, 1].map(|axis| crop[axis] - (matrix[axis][0] * shift[0] + matrix[axis][1] * shift[1]));
        Map::about_the_middle([self.shape[1], self.shape[2]], matrix, offset)
    }

    fn draw(&self, epoch: usize, index: u32) -> Draw {
        let rng = Rng::new(self.seed, Stream::Augment, epoch as u64);
        Draw { rng, first: u64::from(index) * PER_IMAGE }
    }

    /// Whether an image that is mirrored in every other epoch is so in this one. No epoch is number 0: its numbers say
    /// which images begin mirrored.
    fn is_turn_to_flip(&self, epoch: usize, index: u32) -> bool {
        let first = Rng::new(self.seed, Stream::Augment, 0).u64_at(u64::from(index)) >> 63;
        (first ^ (epoch as u64 & 1)) == 1
    }

    /// By how much the points of the grid are moved.
    fn offsets(&self, draw: &Draw) -> Offsets {
        let elastic = |change: &Change| if let Change::Elastic(most) = *change { Some(most) } else { None };
        let most = self.changes.iter().find_map(elastic).unwrap_or(0.0);
        let number = |axis: usize, row: usize, column: usize| ((axis * CONTROLS + row) * CONTROLS + column) as u64;
        std::array::from_fn(|axis| {
            std::array::from_fn(|row| {
                std::array::from_fn(|column| draw.within(ELASTIC + number(axis, row, column), most) as f32)
            })
        })
    }
}

/// A number distributed as Beta(alpha, alpha), for `alpha` of at most 1, by M. D. Jöhnk's method (1964): of pairs of
/// uniform numbers `u`, `v` the first of which the powers `1 / alpha` sum to no more than 1, and of it the share of the
/// first power. One in two is such a pair, or more; of thirty pairs, the last is taken as it is.
fn beta(alpha: f64, uniform: impl Fn(u64) -> f64) -> f64 {
    let mut share = 0.5;
    for pair in 0..30 {
        let [u, v] = [0, 1].map(|n| math::ln(uniform(2 * pair + n)) / alpha);
        // Of the logarithms, since the powers themselves may be too small to be told from 0.
        share = 1.0 / (1.0 + f64::from(math::exp((v - u) as f32)));
        if f64::from(math::exp(u as f32)) + f64::from(math::exp(v as f32)) <= 1.0 {
            break;
        }
    }
    share
}

/// From left to right.
const MIRROR: [[f64; 2]; 2] = [[-1.0, 0.0], [0.0, 1.0]];

/// Sine and cosine of an angle of at most 180 degrees, as a fixed sequence of operations.
fn sin_cos(degrees: f64) -> (f64, f64) {
    let half_turns = degrees.abs() / 180.0;
    (cos_pi((0.5 - half_turns).abs()).copysign(degrees), cos_pi(half_turns))
}

fn product(a: [[f64; 2]; 2], b: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    a.map(|row| [0, 1].map(|column| row[0] * b[0][column] + row[1] * b[1][column]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_and_cosines_are_the_platforms() {
        for tenths in -1800..=1800 {
            let degrees = f64::from(tenths) / 10.0;
            let ((sin, cos), (s, c)) = (sin_cos(degrees), degrees.to_radians().sin_cos());
            assert!((sin - s).abs() < 1e-14 && (cos - c).abs() < 1e-14, "{degrees}: {sin} {cos}, expected {s} {c}");
        }
    }
}
