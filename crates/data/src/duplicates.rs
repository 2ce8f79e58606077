//! Images that are the same picture: pixel for pixel, or but for compression, a little brightness, a little scaling.
//!
//! A perceptual hash (64 signs of the lowest frequencies of a picture of 32 by 32) finds pairs that may be alike, and
//! their pixels decide. All is whole numbers, so that every computer finds the same. Copies that are turned or mirrored
//! are found where they are so pixel for pixel.

#[cfg(test)]
mod tests;
pub(crate) mod turned;

use std::collections::HashMap;

use crate::progress::Watch;
use crate::{ImageShape, Progress, Stage};

/// Hashes of pairs that may be alike differ in no more bits than this. As many bytes less one are equal in none.
const MOST_BITS: u32 = 7;

/// With how many of those that share a byte of their hash an image is compared at most, and all images together: of many
/// that look alike, as the pictures of a camera that does not move, almost every pair would have to be.
const MOST_COMPARED: usize = 4_000;
const MOST_COMPARISONS: usize = 60_000_000;

/// How many pairs that share a byte are looked at, by their hashes, over all bytes: a few seconds. MNIST has 0.7 billion.
const MOST_LOOKED_AT: usize = 2_000_000_000;

/// Pairs are alike whose squared difference is at most one part in so many of their squared contrasts together: about
/// what JPEG of quality 75 does to a photograph, and less than lies between the most similar digits of two hands.
const PARTS: u64 = 200;

/// After how many images it is told how far the search is.
const TOLD: u32 = 256;

/// Which images are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alike {
    /// For each image the first that has the same pixels, which may be the image itself.
    pub identical: Vec<u32>,
    /// For each image the first of those that are alike, identical or nearly so.
    pub nearly: Vec<u32>,
    /// For each image the first of those that are alike once some of them are turned by quarters or mirrored.
    pub turned: Vec<u32>,
    /// Whether every pair was compared that may be alike; where too many may be, some are left out.
    pub whole: bool,
}

impl Alike {
    /// Where only images that are the same pixel for pixel count.
    pub(crate) fn identical(images: &[&[u8]]) -> Alike {
        let firsts = firsts_of(images);
        Alike { identical: firsts.clone(), nearly: firsts.clone(), turned: firsts, whole: true }
    }

    /// Where none of `n` images count.
    pub(crate) fn none(n: usize) -> Alike {
        let firsts: Vec<u32> = (0..n as u32).collect();
        Alike { identical: firsts.clone(), nearly: firsts.clone(), turned: firsts, whole: true }
    }

    /// The same, where image `n` is the one that was number `order[n]`.
    ///
    /// # Panics
    /// If `order` does not have each number once.
    pub(crate) fn reordered(&self, order: &[u32]) -> Alike {
        assert_eq!(order.len(), self.identical.len(), "numbers and images");
        let [identical, nearly, turned] =
            [&self.identical, &self.nearly, &self.turned].map(|firsts| firsts_among(firsts, order));
        Alike { identical, nearly, turned, whole: self.whole }
    }
}

/// Of some images, the ones of these numbers in this order: for each the first among them that has the same of all
/// `firsts`.
pub(crate) fn firsts_among(firsts: &[u32], numbers: &[u32]) -> Vec<u32> {
    let mut first_of = HashMap::new();
    (0_u32..).zip(numbers).map(|(at, &n)| *first_of.entry(firsts[n as usize]).or_insert(at)).collect()
}

/// Finds images that are alike among `images`, each `[C, H, W]` of one shape.
///
/// # Panics
/// If there are more than `u32::MAX` images.
pub fn alike(images: &[&[u8]], shape: ImageShape) -> Alike {
    alike_with(images, shape, &mut |_| {})
}

/// As [`alike`], and tells `watch` how far it is.
pub(crate) fn alike_with(images: &[&[u8]], shape: ImageShape, watch: &mut Watch) -> Alike {
    assert!(u32::try_from(images.len()).is_ok(), "{} images", images.len());
    let identical = firsts_of(images);
    let mut sets = Sets(identical.clone());
    let cosines = cosines();
    // Hashing takes about as long as all comparisons do.
    let mut tell = |parts: usize, of: usize| {
        let done = (images.len() as f64 * parts as f64 / of.max(1) as f64 / 2.0) as usize;
        watch(Progress { stage: Stage::Likeness, done, of: images.len() });
    };
    let looks: Vec<Look> = images.iter().map(|image| Look::of(image)).collect();
    let mut hashes: Vec<(u64, u32)> = (0..images.len() as u32)
        .filter(|&n| identical[n as usize] == n)
        .filter_map(|n| {
            if n.is_multiple_of(TOLD) {
                tell(n as usize, images.len());
            }
            Some((hash(images[n as usize], shape, &cosines)?, n))
        })
        .collect();
    let of_each = |all: usize| all / images.len().max(1);
    let most_compared = of_each(MOST_COMPARISONS).clamp(100, MOST_COMPARED);
    let most_looked_at =
        if pairs_met(&hashes) <= MOST_LOOKED_AT { usize::MAX } else { of_each(MOST_LOOKED_AT / 8).max(100) };
    let mut whole = true;
    // Hashes that differ in 7 bits agree in one of 8 bytes. Sorted by that byte first, those that agree are neighbours.
    for byte in 0..8 {
        hashes.sort_unstable_by_key(|&(hash, n)| (hash.rotate_left(8 * byte), n));
        for (at, &(hash, n)) in hashes.iter().enumerate() {
            if (at as u32).is_multiple_of(TOLD) {
                let passes = 8 * hashes.len();
                tell(passes + byte as usize * hashes.len() + at, passes);
            }
            let agrees = |other: u64, byte: u32| (hash ^ other).rotate_left(8 * byte) >> 56 == 0;
            let same_byte = hashes[at + 1..].iter().take_while(|(other, _)| agrees(*other, byte));
            // Each pair in the first byte that agrees.
            let new =
                |other: u64| (hash ^ other).count_ones() <= MOST_BITS && (0..byte).all(|before| !agrees(other, before));
            let mut compared = 0;
            for (seen, &(other, m)) in same_byte.enumerate() {
                if seen == most_looked_at || compared == most_compared {
                    whole = false;
                    break;
                }
                if !new(other) || sets.first(n) == sets.first(m) {
                    continue;
                }
                compared += 1;
                if nearly_equal(images, &looks, n as usize, m as usize) {
                    sets.join(n, m);
                }
            }
        }
    }
    let nearly = sets.firsts();
    let pairs = turned::pairs(images, shape, &identical);
    pairs.found.iter().for_each(|&(n, m)| sets.join(n, m));
    Alike { identical, nearly, turned: sets.firsts(), whole: whole && pairs.whole }
}

/// How many pairs share a byte of their hashes, each as often as they do.
fn pairs_met(hashes: &[(u64, u32)]) -> usize {
    let mut sharing = [[0_usize; 256]; 8];
    for (hash, _) in hashes {
        hash.to_be_bytes().iter().zip(&mut sharing).for_each(|(&byte, counts)| counts[usize::from(byte)] += 1);
    }
    sharing.iter().flatten().map(|&n| n * n.saturating_sub(1) / 2).sum()
}

/// For each image the first that has the same pixels.
fn firsts_of(images: &[&[u8]]) -> Vec<u32> {
    let mut first: HashMap<&[u8], u32> = HashMap::with_capacity(images.len());
    (0_u32..).zip(images).map(|(n, image)| *first.entry(image).or_insert(n)).collect()
}

/// Sets of numbers, each known by its first.
pub(crate) struct Sets(pub(crate) Vec<u32>);

impl Sets {
    /// Every number by itself.
    pub(crate) fn new(n: usize) -> Sets {
        Sets((0..n as u32).collect())
    }

    /// The first number of the set that `n` is in.
    pub(crate) fn first(&mut self, mut n: u32) -> u32 {
        while self.0[n as usize] != n {
            let above = self.0[n as usize];
            self.0[n as usize] = self.0[above as usize];
            n = above;
        }
        n
    }

    /// For each number the first of its set.
    fn firsts(&mut self) -> Vec<u32> {
        (0..self.0.len() as u32).map(|n| self.first(n)).collect()
    }

    pub(crate) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// Of the pixels of an image.
struct Look {
    sum: u64,
    /// The sum of squares about the mean, times the number of pixels.
    contrast: u64,
}

impl Look {
    fn of(image: &[u8]) -> Look {
        let (sum, squares) = image.iter().fold((0, 0), |(sum, squares), &pixel| {
            let pixel = u64::from(pixel);
            (sum + pixel, squares + pixel * pixel)
        });
        Look { sum, contrast: image.len() as u64 * squares - sum * sum }
    }
}

/// Whether images `a` and `b` differ by little of what they show.
fn nearly_equal(images: &[&[u8]], looks: &[Look], a: usize, b: usize) -> bool {
    let n = images[a].len() as u64;
    let most = (looks[a].contrast + looks[b].contrast) / (n * PARTS);
    // The mean of squares is no less than the square of the mean.
    if u128::from(looks[a].sum.abs_diff(looks[b].sum)).pow(2) > u128::from(most) * u128::from(n) {
        return false;
    }
    let mut difference = 0;
    for (a, b) in images[a].chunks(STRIDE).zip(images[b].chunks(STRIDE)) {
        let of_chunk: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
        difference += u64::from(of_chunk);
        if difference > most {
            return false;
        }
    }
    true
}

/// How many pixels are compared before it is asked whether it is enough.
const STRIDE: usize = 64;

/// Sides of the picture that is hashed.
const SIDE: usize = 32;
/// Frequencies in each direction that are hashed.
const FREQUENCIES: usize = 8;

/// `4096 cos(pi f (2 x + 1) / 64)` in whole numbers, for the frequencies f from 0 on.
fn cosines() -> [[i64; SIDE]; FREQUENCIES] {
    let cosine = |f: usize, x: usize| (std::f64::consts::PI * (f * (2 * x + 1)) as f64 / (2 * SIDE) as f64).cos();
    std::array::from_fn(|f| std::array::from_fn(|x| (4096.0 * cosine(f, x)).round() as i64))
}

/// Which of the lowest frequencies of the picture are above their median; none where nothing is to be seen.
fn hash(image: &[u8], shape: ImageShape, cosines: &[[i64; SIDE]; FREQUENCIES]) -> Option<u64> {
    let small = small(image, shape);
    let mut rows = [[0_i64; SIDE]; FREQUENCIES];
    for (f, row) in rows.iter_mut().enumerate() {
        for (y, line) in small.iter().enumerate() {
            for x in 0..SIDE {
                row[x] += cosines[f][y] * line[x];
            }
        }
    }
    let mut found = [0_i64; FREQUENCIES * FREQUENCIES];
    for (fy, row) in rows.iter().enumerate() {
        for (fx, cosines) in cosines.iter().enumerate() {
            found[fy * FREQUENCIES + fx] = cosines.iter().zip(row).map(|(c, value)| c * value).sum();
        }
    }
    // The mean says nothing of what is to be seen.
    found[0] = 0;
    let mut sorted = found;
    sorted.sort_unstable();
    if sorted[0] == sorted[sorted.len() - 1] {
        return None;
    }
    let median = sorted[sorted.len() / 2];
    Some(found.iter().fold(0, |bits, &value| bits << 1 | u64::from(value >= median)))
}

/// The picture in 32 by 32, all channels together; each number is a mean over what it covers, times 256.
fn small(image: &[u8], shape: ImageShape) -> [[i64; SIDE]; SIDE] {
    let ImageShape { height, width, .. } = shape;
    let covered = |at: usize, side: usize| {
        let from = at * side / SIDE;
        from..((at + 1) * side).div_ceil(SIDE).max(from + 1)
    };
    let mut small = [[0; SIDE]; SIDE];
    for (y, line) in small.iter_mut().enumerate() {
        for (x, value) in line.iter_mut().enumerate() {
            let (mut sum, mut n) = (0, 0);
            for plane in image.chunks_exact(height * width) {
                for row in covered(y, height) {
                    for &pixel in &plane[row * width..][covered(x, width)] {
                        sum += i64::from(pixel);
                        n += 1;
                    }
                }
            }
            *value = sum * 256 / n;
        }
    }
    small
}
