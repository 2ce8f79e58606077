//! Copies that are turned by quarters or mirrored, pixel for pixel.
//!
//! A key that is the same for an image however it is turned finds those that may be, and their pixels decide.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::ImageShape;
use crate::rng::{Rng, Stream};

/// With how many images of the same key, none of them a copy of another, one is compared: more are there on purpose.
const MOST_COMPARED: usize = 64;

/// The ways in which an image can be turned and mirrored and keep its shape: eight of a square, else four.
pub(crate) struct Views {
    /// For each way, where in a plane each pixel comes from. The first leaves them where they are.
    from: Vec<Vec<u32>>,
}

impl Views {
    pub(crate) fn of(shape: ImageShape) -> Views {
        let ImageShape { height, width, .. } = shape;
        let ways = if height == width { 8 } else { 4 };
        let from = |way: usize| {
            let place = |n: usize| {
                let (y, x) = (n / width, n % width);
                let y = if way & 1 == 0 { y } else { height - 1 - y };
                let x = if way & 2 == 0 { x } else { width - 1 - x };
                if way & 4 == 0 { y * width + x } else { x * width + y }
            };
            (0..height * width).map(|n| place(n) as u32).collect()
        };
        Views { from: (0..ways).map(from).collect() }
    }

    /// The pixels of an image, seen in one of the ways.
    pub(crate) fn apply<'a>(&'a self, way: usize, image: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
        let from = &self.from[way];
        image.chunks_exact(from.len()).flat_map(|plane| from.iter().map(|&n| plane[n as usize]))
    }

    /// The least squared difference between `a` and any view of `b`.
    pub(crate) fn difference(&self, a: &[u8], b: &[u8]) -> u64 {
        let squares = |way| a.iter().zip(self.apply(way, b)).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum();
        (0..self.from.len()).map(squares).min().unwrap_or(0)
    }

    /// For each pixel of a plane the first of the places that it gets to.
    fn orbits(&self) -> Vec<u32> {
        let places = |n: usize| self.from.iter().map(move |from| from[n]).min().unwrap_or(0);
        (0..self.from[0].len()).map(places).collect()
    }
}

/// The squared difference of two images.
pub(crate) fn difference(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

/// What is found.
pub(super) struct TurnedPairs {
    /// Each image that is another view of one before it, with that one.
    pub(super) found: Vec<(u32, u32)>,
    /// Whether every pair was compared that may be one.
    pub(super) whole: bool,
}

/// Finds images that are others turned or mirrored; of identical ones the first stands for all.
pub(super) fn pairs(images: &[&[u8]], shape: ImageShape, identical: &[u32]) -> TurnedPairs {
    let views = Views::of(shape);
    let key = Key::new(&views, shape);
    let mut of_key: HashMap<u64, Vec<u32>> = HashMap::new();
    let mut pairs = TurnedPairs { found: Vec::new(), whole: true };
    for (n, image) in (0_u32..).zip(images) {
        if identical[n as usize] != n {
            continue;
        }
        // None of these is a view of another.
        let others = of_key.entry(key.of(image)).or_default();
        let is_view = |&&m: &&u32| {
            let other = images[m as usize];
            (1..views.from.len()).any(|way| views.apply(way, other).eq(image.iter().copied()))
        };
        match others.iter().find(is_view) {
            Some(&m) => pairs.found.push((n, m)),
            None if others.len() < MOST_COMPARED => others.push(n),
            None => pairs.whole = false,
        }
    }
    pairs
}

/// A number that every view of an image has: a sum over its pixels that tells their places only up to views.
struct Key {
    /// An odd factor for each place of an image.
    places: Vec<u64>,
    /// A number for each brightness.
    levels: Vec<u64>,
}

impl Key {
    fn new(views: &Views, shape: ImageShape) -> Key {
        let rng = Rng::new(0, Stream::Split, 0);
        let orbits = views.orbits();
        let plane = orbits.len() as u64;
        let factor = |channel: usize, orbit: u32| rng.u64_at(256 + channel as u64 * plane + u64::from(orbit)) | 1;
        let places = (0..shape.channels).flat_map(|channel| orbits.iter().map(move |&orbit| factor(channel, orbit)));
        Key { places: places.collect(), levels: (0..256).map(|level| rng.u64_at(level)).collect() }
    }

    fn of(&self, image: &[u8]) -> u64 {
        let terms =
            image.iter().zip(&self.places).map(|(&level, place)| self.levels[usize::from(level)].wrapping_mul(*place));
        terms.fold(0, u64::wrapping_add)
    }
}
