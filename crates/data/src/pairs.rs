//! Images that are alike, pair by pair, for people to look at; and classes of too few images that are not.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::duplicates::alike_with;
use crate::duplicates::turned::{Views, difference};
use crate::{Alike, Collection, Copies, Examples, Progress, Role};

/// With how many of a set of images that are alike one is compared to find the nearest.
const MOST_COMPARED: usize = 1_000;

/// Where an image is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// In which part of the data, as they were brought.
    pub role: Role,
    /// Its number there, from 0 on.
    pub index: usize,
}

/// Two images that are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The one that comes first.
    pub first: Place,
    /// The other.
    pub second: Place,
    /// How much.
    pub likeness: Likeness,
}

/// How much two images are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Likeness {
    /// Pixel for pixel.
    Identical,
    /// But for compression, a little brightness, a little scaling.
    Nearly,
    /// Once one of them is turned by quarters or mirrored.
    Turned,
}

/// Pairs of one kind, as many as were asked for, and how many there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pairs {
    /// Identical ones first, then those that are nearly so, then turned ones; of identical and other ones half at least
    /// where there are as many.
    pub shown: Vec<Pair>,
    /// How many images are identical to one before them.
    pub identical: usize,
    /// How many are nearly so.
    pub nearly: usize,
    /// How many others are like one before them that is turned or mirrored.
    pub turned: usize,
}

/// Classes that cannot be split.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TooSmall {
    /// How many images that are not alike (and of different groups, where these are known) it takes to have one in each
    /// part.
    pub needed: usize,
    /// Each class with fewer, and how many it has.
    pub classes: Vec<(u16, usize)>,
}

impl Collection {
    /// The part for training, validation or test; empty where there is none.
    pub fn part(&self, role: Role) -> &Examples {
        const NONE: &Examples = &Examples {
            pixels: Vec::new(),
            labels: Vec::new(),
            groups: Vec::new(),
            paths: Vec::new(),
            keys: Vec::new(),
        };
        match role {
            Role::Train => &self.train,
            Role::Valid => self.valid.as_ref().unwrap_or(NONE),
            Role::Test => self.test.as_ref().unwrap_or(NONE),
        }
    }

    /// The pixels of an image, `[C, H, W]`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, place: Place) -> &[u8] {
        &self.part(place.role).pixels[place.index * self.shape.len()..][..self.shape.len()]
    }

    /// Which images are alike, as far as [`Collection::copies`] has them count: those for training, validation and test, numbered in this order. Tells `watch` how far
    /// it is.
    pub fn alike(&self, watch: &mut dyn FnMut(Progress)) -> Alike {
        let parts = ROLES.map(|role| self.part(role));
        let images: Vec<&[u8]> = parts.iter().flat_map(|part| part.pixels.chunks_exact(self.shape.len())).collect();
        match self.copies {
            Copies::Alike => alike_with(&images, self.shape, watch),
            Copies::Identical => Alike::identical(&images),
            Copies::Off => Alike::none(images.len()),
        }
    }

    /// Images of validation and test that are alike to one of a part before them, `most` of them at most; each with the
    /// most similar one.
    pub fn pairs_across(&self, found: &Alike, most: usize) -> Pairs {
        let starts = self.starts();
        let part = |n: usize| starts.iter().filter(|&&start| start <= n).count();
        self.pairs(found, most, true, |n, other| part(other) < part(n))
    }

    /// Images that are alike to one of another class, `most` of them at most; each with the most similar one. Turned ones
    /// are left out: a turned 6 may well be a 9.
    pub fn pairs_of_two_classes(&self, found: &Alike, most: usize) -> Pairs {
        let labels: Vec<u16> = ROLES.iter().flat_map(|&role| &self.part(role).labels).copied().collect();
        self.pairs(found, most, false, |n, other| labels.get(n).zip(labels.get(other)).is_some_and(|(a, b)| a != b))
    }

    /// Classes with fewer images that are not alike than there are to be parts of the training images, which are split
    /// where there is no validation or test part.
    pub fn too_small(&self, found: &Alike) -> TooSmall {
        let needed = 1 + [Role::Valid, Role::Test].iter().filter(|&&role| self.part(role).pixels.is_empty()).count();
        let classes = self.classes.len();
        let (mut firsts, mut groups) = (vec![HashSet::new(); classes], vec![HashSet::new(); classes]);
        for (n, (&label, &first)) in self.train.labels.iter().zip(&found.turned).enumerate() {
            let class = usize::from(label);
            firsts[class].insert(first);
            // Each a group of its own where none are known.
            groups[class].insert(self.train.groups.get(n).copied().unwrap_or(n as u32));
        }
        let has = |class: usize| firsts[class].len().min(groups[class].len());
        let small = (0..classes).filter(|&class| has(class) < needed);
        TooSmall { needed, classes: small.map(|class| (class as u16, has(class))).collect() }
    }

    /// Pairs of which `counts(n, other)` holds, for an image and one that comes before it; turned ones where asked for.
    fn pairs(&self, found: &Alike, most: usize, turned: bool, counts: impl Fn(usize, usize) -> bool) -> Pairs {
        let (mut identical, mut nearly, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut pairs = Pairs::default();
        for n in 0..found.nearly.len() {
            let [same, like, other] = [&found.identical, &found.nearly, &found.turned].map(|firsts| firsts[n] as usize);
            if counts(n, same) {
                pairs.identical += 1;
                identical.extend((identical.len() < most).then_some((n, same)));
            } else if counts(n, like) {
                pairs.nearly += 1;
                nearly.extend((nearly.len() < most).then_some((n, Likeness::Nearly)));
            } else if turned && counts(n, other) {
                pairs.turned += 1;
                others.extend((others.len() < most).then_some((n, Likeness::Turned)));
            }
        }
        nearly.append(&mut others);
        nearly.truncate((most / 2).max(most - identical.len()));
        identical.truncate(most - nearly.len());
        let pair = |n: usize, other: usize, likeness: Likeness| {
            let [first, second] = [n.min(other), n.max(other)].map(|n| self.place(n));
            Pair { first, second, likeness }
        };
        pairs.shown = identical.into_iter().map(|(n, same)| pair(n, same, Likeness::Identical)).collect();
        let views = Views::of(self.shape);
        pairs.shown.extend(nearly.into_iter().map(|(n, likeness)| {
            let is_turned = likeness == Likeness::Turned;
            let sets = if is_turned { &found.turned } else { &found.nearly };
            let of_its_set = (0..sets.len()).filter(|&m| sets[m] == sets[n] && counts(n, m));
            let difference = |m: usize| -> u64 {
                let [a, b] = [n, m].map(|n| self.image(self.place(n)));
                if is_turned { views.difference(a, b) } else { difference(a, b) }
            };
            let nearest = of_its_set.take(MOST_COMPARED).min_by_key(|&m| difference(m));
            pair(n, nearest.unwrap_or(sets[n] as usize), likeness)
        }));
        pairs
    }

    /// The number, among all, of the first image of each part.
    fn starts(&self) -> [usize; 3] {
        let [train, valid] = [Role::Train, Role::Valid].map(|role| self.part(role).len(self.shape.len()));
        [0, train, train + valid]
    }

    /// Where image `n` of all is.
    fn place(&self, n: usize) -> Place {
        let starts = self.starts();
        let part = starts.iter().rposition(|&start| start <= n).unwrap_or(0);
        Place { role: ROLES[part], index: n - starts[part] }
    }
}

/// In the order in which images are numbered.
const ROLES: [Role; 3] = [Role::Train, Role::Valid, Role::Test];
