//! A network with parameters and the batches that it is looked at with.

use crate::data::Dataset;
use crate::model::{Architecture, Model, ParamKind};
use crate::rng::{Rng, Stream, permutation};
use crate::train::Pixels;
use std::fmt;

/// What a case consists of.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) net: Architecture,
    /// Examples of the batch that is looked at.
    pub(super) rows: usize,
    /// Examples that the batch before it, in the same memory, has more.
    pub(super) before: usize,
    pub(super) pixels: Pixels,
    /// What all images show; nothing in particular where it is `None`.
    pub(super) picture: Option<Picture>,
    pub(super) seed: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let layers: Vec<String> = self.net.layers().iter().map(|l| l.layer.to_string()).collect();
        let Case { net, rows, before, pixels, picture, seed } = self;
        let (input, classes) = (net.input(), net.classes());
        write!(f, "images of {input}, {layers:?}, {classes} classes, batch of {rows} after one of {}", rows + before)?;
        write!(f, ", mean {} and std {}, pictures {picture:?}, seed {seed}", pixels.mean, pixels.std)
    }
}

impl Case {
    fn random(&self, sub: u64) -> Rng {
        Rng::new(self.seed, Stream::Init, sub)
    }

    /// Parameters large enough for every layer to matter: weights keep the variance through ReLU, biases are a fraction
    /// of that. Those of the last layer are smaller, so that no class is certain.
    pub(super) fn model(&self) -> Model {
        let arrays: Vec<_> = (0_u64..)
            .zip(self.net.params())
            .map(|(array, spec)| {
                let rng = self.random(array);
                let is_last = array as usize + 2 >= self.net.params().len();
                let (middle, bound) = match spec.kind {
                    ParamKind::Weight | ParamKind::FixedWeight => (0.0, (6.0 / spec.fan_in as f64).sqrt()),
                    ParamKind::Bias | ParamKind::Shift | ParamKind::RunningMean => (0.0, 0.3),
                    ParamKind::Scale | ParamKind::RunningVariance => (1.0, 0.5),
                };
                let bound = if is_last { 0.2 * bound } else { bound };
                let value = |j| (middle + (2.0 * f64::from(rng.uniform_at(j)) - 1.0) * bound) as f32;
                (spec.name.clone(), spec.shape.clone(), (0..spec.len() as u64).map(value).collect())
            })
            .collect();
        Model::from_tensors(self.net.clone(), &arrays, self.pixels.clone()).expect("the arrays fit")
    }

    /// The batches, the one that is looked at last, and the images that they are taken from.
    pub(super) fn data(&self) -> (Vec<Vec<u32>>, Dataset) {
        let (examples, shape) = ((self.rows + self.before) as u32, self.net.input());
        let rng = self.random(100);
        let mut pixels = Vec::new();
        for n in 0..u64::from(examples) {
            let drawn = Picture::MIX[rng.below_at(2 * n, Picture::MIX.len() as u32) as usize];
            let picture = self.picture.unwrap_or(drawn);
            for channel in 0..shape.channels {
                // Some channels of colourful images are blank.
                let blank = channel > 0 && rng.below_at(2 * n + 1, 3) == 0;
                let picture = if blank { Picture::Blank } else { picture };
                picture.draw(&self.random(101 + n * 64 + channel as u64), shape.height, shape.width, &mut pixels);
            }
        }
        let labels = (0..u64::from(examples)).map(|n| self.random(99).below_at(n, self.net.classes() as u32) as u16);
        let data = Dataset::new(pixels, labels.collect(), shape, self.net.classes()).expect("whole");
        let order = permutation(examples, &self.random(98));
        // Other images first, so that whatever they leave behind is wrong for the batch that counts.
        let first = order.iter().rev().copied().collect();
        (vec![first, order[..self.rows].to_vec()], data)
    }
}

/// What one channel of an image shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Picture {
    Blank,
    /// A blob in the middle on a blank background, as in MNIST.
    Blob,
    Noise,
    /// One pixel anywhere.
    Spot,
    Full,
}

impl Picture {
    /// What is frequent is named more than once.
    pub(super) const MIX: [Picture; 8] = [
        Picture::Blob,
        Picture::Blob,
        Picture::Blob,
        Picture::Noise,
        Picture::Noise,
        Picture::Blank,
        Picture::Spot,
        Picture::Full,
    ];

    /// Appends `height * width` pixels.
    pub(super) fn draw(self, rng: &Rng, height: usize, width: usize, pixels: &mut Vec<u8>) {
        let spot = rng.below_at(u64::MAX, (height * width) as u32) as usize;
        // From the middle, as a share of the half axis; at most half of the picture.
        let from_middle = |at: usize, size: usize| (2 * at + 1).abs_diff(size) as f64 / size as f64;
        let radius = 0.2 + 0.5 * f64::from(rng.uniform_at(u64::MAX - 1));
        for at in 0..height * width {
            let noise = 1 + rng.below_at(at as u64, 255) as u8;
            let (y, x) = (from_middle(at / width, height), from_middle(at % width, width));
            pixels.push(match self {
                Picture::Blob if y * y + x * x < radius * radius => noise,
                Picture::Noise => noise,
                Picture::Spot if at == spot => noise,
                Picture::Full => 255,
                _ => 0,
            });
        }
    }
}

#[test]
fn pictures_show_what_they_are_called() {
    for seed in 0..20 {
        let mut drawn = Picture::MIX.map(|picture| (picture, Vec::new()));
        for (picture, pixels) in &mut drawn {
            picture.draw(&Rng::new(seed, Stream::Init, 0), 9, 12, pixels);
            let inked = pixels.iter().filter(|p| **p > 0).count();
            let as_named = match picture {
                Picture::Blank => inked == 0,
                Picture::Blob => (1..54).contains(&inked) && pixels[0] == 0 && pixels[4 * 12 + 6] > 0,
                Picture::Noise => inked == 108,
                Picture::Spot => inked == 1,
                Picture::Full => pixels.iter().all(|p| *p == 255),
            };
            assert!(as_named && pixels.len() == 108, "{picture:?} with seed {seed}: {pixels:?}");
        }
    }
}
