//! Splits: parts that the data does not have are set apart, and parts that others made are looked over.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::apart::{Known, choose, unit_of};
use crate::duplicates::firsts_among;
use crate::rng::{Rng, Stream};
use crate::words::{are, counted};
use crate::{Alike, Collection, DataError, Examples, ImageShape, Progress, hex};

/// A collection in three parts.
#[derive(Clone, PartialEq, Debug)]
pub struct Parted {
    /// For fitting.
    pub train: Examples,
    /// For choosing.
    pub valid: Examples,
    /// For the final measurement.
    pub test: Examples,
    /// Which test images belong together, because they are of one group or alike: for each a number that those share;
    /// empty where none do.
    pub test_units: Vec<u32>,
    /// The collection without them: shape, classes, what is known. Its own parts are empty.
    pub collection: Collection,
    /// Sentences on what was set apart.
    pub notes: Vec<String>,
    /// Sentences on what makes figures too good, or wrong: copies, labels that contradict each other, images and groups
    /// on two sides of a split that others made, classes that a part lacks.
    pub warnings: Vec<String>,
    /// The SHA-256, in hex, of the numbers, among all training examples, of the test and then the validation examples
    /// that were set apart (u64 each, ascending, each list behind its length), little-endian.
    pub split_sha256: String,
}

/// How many examples are set apart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Portion {
    /// This many.
    Count(usize),
    /// This share of them, rounded to the nearest whole number and at least one.
    Share(f64),
}

impl Portion {
    /// How many of `examples` that is.
    pub fn of(self, examples: usize) -> usize {
        match self {
            Portion::Count(count) => count,
            Portion::Share(share) => ((examples as f64 * share).round() as usize).max(1),
        }
    }
}

/// How large the parts are that are set apart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shares {
    /// Of all labelled examples, where there is no test part.
    pub test: Portion,
    /// Of the examples for training, where there is no validation part.
    pub valid: Portion,
}

impl Default for Shares {
    /// A fifth for testing, and of the rest a tenth for validation.
    fn default() -> Shares {
        Shares { test: Portion::Share(0.2), valid: Portion::Share(0.1) }
    }
}

/// The sub-streams of [`Stream::Split`]; 0 is the split of [`Published`](crate::Published) data sets.
const TEST: u64 = 1;
const VALID: u64 = 2;

/// The seed of the test set: none that is chosen, for a test set that can be drawn again until it suits is none.
const TEST_SEED: u64 = 0;

impl Collection {
    /// Sets apart what the data does not have: test examples first, always the same ones, then validation examples, at
    /// random by `seed`; both by class, with groups and images that are alike on one side. Parts that there are stay as
    /// they are, and what is on two sides of them is told. Training and validation examples come in the order of their
    /// contents, so that a training does not depend on how files are called and in which of them the images are.
    ///
    /// # Errors
    /// If nothing can be set apart without parting what belongs together, or nothing would be left to train on.
    pub fn split(self, shares: Shares, seed: u64) -> Result<Parted, DataError> {
        self.split_with(shares, seed, &mut |_| {})
    }

    /// As [`Collection::split`], and tells `watch` how far the search for images that are alike is.
    ///
    /// # Errors
    /// As there.
    pub fn split_with(
        mut self,
        shares: Shares,
        seed: u64,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Parted, DataError> {
        // Before images are compared: where there are too many to compare them all, their order says which are.
        self.sort_by_contents();
        let found = self.alike(watch);
        self.parted(&found, shares, seed)
    }

    /// As [`Collection::split`], where it is known what is [`Collection::alike`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// If `found` is not of as many images as have labels.
    pub fn split_knowing(mut self, found: &Alike, shares: Shares, seed: u64) -> Result<Parted, DataError> {
        let order = self.sort_by_contents();
        self.parted(&found.reordered(&order), shares, seed)
    }

    /// Orders training and validation examples by their contents; gives the number that each labelled example had.
    fn sort_by_contents(&mut self) -> Vec<u32> {
        let len = self.shape.len();
        let mut order = self.train.sort_by_contents(len);
        for (part, sorted) in [(&mut self.valid, true), (&mut self.test, false)] {
            let Some(part) = part else { continue };
            let before = order.len() as u32;
            let numbers = if sorted { part.sort_by_contents(len) } else { (0..part.len(len) as u32).collect() };
            order.extend(numbers.into_iter().map(|n| before + n));
        }
        order
    }

    /// The parts of a collection in the order of contents.
    fn parted(mut self, found: &Alike, shares: Shares, seed: u64) -> Result<Parted, DataError> {
        let shape = self.shape;
        let all = std::mem::take(&mut self.train);
        let (valid, test) = (self.valid.take(), self.test.take());
        let empty = Examples::default();
        let parts = [&all, valid.as_ref().unwrap_or(&empty), test.as_ref().unwrap_or(&empty)];
        let images: usize = parts.iter().map(|part| part.len(shape.len())).sum();
        assert_eq!(found.nearly.len(), images, "likenesses and images");
        let mut notes = Vec::new();
        let mut digest = Sha256::new();
        // The training examples that are left, which come first: what is alike one of them first is one of them.
        let mut left: Vec<u32> = (0..all.len(shape.len()) as u32).collect();
        let mut cut = |what: &'static str, portion: Portion, rng: Rng| {
            let count = portion.of(left.len());
            let apart = set_apart(&all, &found.turned, &left, self.classes.len(), count, &rng);
            digest.update((apart.len() as u64).to_le_bytes());
            apart.iter().for_each(|&n| digest.update(u64::from(n).to_le_bytes()));
            if apart.is_empty() || apart.len() == left.len() {
                return Err(DataError::NothingApart { what, examples: left.len(), count });
            }
            let together =
                if all.groups.is_empty() { "images that are alike" } else { "groups, and images that are alike," };
            let (n, of) = (apart.len(), left.len());
            notes.push(format!("{n} of {of} images {} set apart for {what}, by class, {together} on one side", are(n)));
            left.retain(|n| apart.binary_search(n).is_err());
            Ok(apart)
        };
        let cut_test = if test.is_none() {
            Some(cut("test", shares.test, Rng::new(TEST_SEED, Stream::Split, TEST))?)
        } else {
            None
        };
        let cut_valid = if valid.is_none() {
            Some(cut("validation", shares.valid, Rng::new(seed, Stream::Split, VALID))?)
        } else {
            None
        };
        let mut warnings = repeated(found);
        warnings.extend(conflicts(parts, found, shape));
        let [of_train, of_valid] = [&all, parts[1]].map(|part| part.len(shape.len()) as u32);
        // The numbers of each part's images among all.
        let ids = [
            left,
            cut_valid.unwrap_or_else(|| (of_train..of_train + of_valid).collect()),
            cut_test.unwrap_or_else(|| (of_train + of_valid..found.nearly.len() as u32).collect()),
        ];
        let [valid, test] = [(valid, &ids[1]), (test, &ids[2])]
            .map(|(given, ids)| given.unwrap_or_else(|| all.select(ids, shape.len())));
        let train = if ids[0].len() == of_train as usize { all } else { all.select(&ids[0], shape.len()) };
        let mut test_units = unit_of(&test.groups, &firsts_among(&found.turned, &ids[2]));
        if (0_u32..).zip(&test_units).all(|(n, &unit)| n == unit) {
            test_units.clear();
        }
        warnings.extend(leaks(&ids, [&train, &valid, &test], found));
        warnings.extend(without([&valid, &test], &self.classes));
        Ok(Parted { train, valid, test, test_units, collection: self, notes, warnings, split_sha256: hex(digest) })
    }
}

/// Chooses from the examples that are `left`; `alike` is of all examples.
fn set_apart(all: &Examples, alike: &[u32], left: &[u32], classes: usize, count: usize, rng: &Rng) -> Vec<u32> {
    let alike = firsts_among(alike, left);
    let labels: Vec<u16> = left.iter().map(|&n| all.labels[n as usize]).collect();
    let groups: Vec<u32> = left.iter().filter_map(|&n| all.groups.get(n as usize).copied()).collect();
    let keys: Vec<u64> = left.iter().filter_map(|&n| all.keys.get(n as usize).copied()).collect();
    let known = Known { labels: &labels, classes, groups: &groups, alike: &alike, keys: &keys };
    let chosen = choose(known, count, rng);
    chosen.into_iter().map(|at| left[at as usize]).collect()
}

impl Examples {
    /// A copy of the examples at `indices`, in that order.
    fn select(&self, indices: &[u32], image_len: usize) -> Examples {
        let mut part = Examples { pixels: Vec::with_capacity(indices.len() * image_len), ..Examples::default() };
        for n in indices.iter().map(|&n| n as usize) {
            part.pixels.extend_from_slice(&self.pixels[n * image_len..(n + 1) * image_len]);
            part.labels.extend(self.labels.get(n));
            part.groups.extend(self.groups.get(n));
            part.paths.extend(self.paths.get(n).cloned());
            part.keys.extend(self.keys.get(n));
        }
        part
    }
}

/// Sentences on what is on two sides: images, and groups. `ids` are the numbers of each part's images in `found`.
fn leaks(ids: &[Vec<u32>; 3], [train, valid, test]: [&Examples; 3], found: &Alike) -> Vec<String> {
    let mut sentences = Vec::new();
    for (part, others, ids, seen) in [
        ("test", "training or validation", &ids[2], [&ids[0][..], &ids[1]]),
        ("validation", "training", &ids[1], [&ids[0], &[]]),
    ] {
        let count = |firsts: &[u32]| {
            let seen: HashSet<u32> = seen.iter().flat_map(|ids| ids.iter().map(|&n| firsts[n as usize])).collect();
            ids.iter().filter(|&&n| seen.contains(&firsts[n as usize])).count()
        };
        let all = count(&found.turned);
        if all > 0 {
            let (identical, nearly) = (count(&found.identical), count(&found.nearly));
            let turned = match all - nearly {
                0 => String::new(),
                n => format!(", {n} turned or mirrored"),
            };
            sentences.push(format!(
                "{all} of {} {part} images {} among the {others} images too ({identical} identical, {} nearly{turned}): {part} \
                 accuracy is too optimistic",
                ids.len(),
                are(all),
                nearly - identical
            ));
        }
    }
    for (part, others, examples, seen) in [
        ("test", "training or validation has", test, [train, valid]),
        ("validation", "training has", valid, [train, &Examples::default()]),
    ] {
        let seen: HashSet<u32> = seen.iter().flat_map(|part| part.groups.iter().copied()).collect();
        let shared: HashSet<u32> = examples.groups.iter().copied().filter(|group| seen.contains(group)).collect();
        if !shared.is_empty() {
            let n = examples.groups.iter().filter(|group| shared.contains(group)).count();
            let [one, more] = ["image is", "images are"].map(|words| format!("{part} {words}"));
            sentences.push(format!(
                "{} of {}, which {others} too: {part} accuracy is too optimistic for new groups",
                counted(n, &one, &more),
                counted(shared.len(), "group", "groups")
            ));
        }
    }
    sentences
}

/// Sentences on classes without an image to choose by, or to measure with.
fn without(parts: [&Examples; 2], classes: &[String]) -> Vec<String> {
    const NAMED: usize = 5;
    let sentence = |(examples, part): (&Examples, &str)| {
        let there: HashSet<u16> = examples.labels.iter().copied().collect();
        let missing: Vec<&str> =
            (0_u16..).zip(classes).filter(|(class, _)| !there.contains(class)).map(|(_, name)| name.as_str()).collect();
        let more = missing.len().saturating_sub(NAMED);
        let names = missing[..missing.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let of = if missing.len() == 1 { "class" } else { "classes" };
        (!missing.is_empty()).then(|| format!("no {part} image of {of} {names}{more}"))
    };
    parts.into_iter().zip(["validation", "test"]).filter_map(sentence).collect()
}

/// Sentences on images that are there more than once, and on those that are so turned or mirrored.
fn repeated(found: &Alike) -> Vec<String> {
    let count = |firsts: &[u32]| firsts.iter().enumerate().filter(|&(n, &first)| first as usize != n).count();
    let (identical, nearly) = (count(&found.identical), count(&found.nearly));
    let turned = count(&found.turned) - nearly;
    let copies = (nearly > 0).then(|| {
        let copies = counted(nearly, "image is a copy", "images are copies");
        format!("{copies} of another ({identical} identical, {} nearly)", nearly - identical)
    });
    // Also where none was found.
    let rest = (!found.whole)
        .then(|| "so many images look alike that not every pair was compared: there may be more copies".to_owned());
    let words = ["image is a turned or mirrored copy of another", "images are turned or mirrored copies of others"];
    copies.into_iter().chain((turned > 0).then(|| counted(turned, words[0], words[1]))).chain(rest).collect()
}

/// Sentences on images that are alike and of different classes: identical ones, and nearly identical ones. (A turned 6
/// may well be a 9.)
fn conflicts(parts: [&Examples; 3], found: &Alike, shape: ImageShape) -> Vec<String> {
    let labels: Vec<Option<u16>> =
        parts.iter().flat_map(|part| (0..part.len(shape.len())).map(|n| part.labels.get(n).copied())).collect();
    let differs =
        |n: usize, first: u32| labels[n].is_some() && labels[first as usize].is_some_and(|l| labels[n] != Some(l));
    let identical = |n: usize| differs(n, found.identical[n]);
    let numbers = 0..labels.len();
    let (same, nearly) = (
        numbers.clone().filter(|&n| identical(n)).count(),
        numbers.filter(|&n| !identical(n) && differs(n, found.nearly[n])).count(),
    );
    let sentence = |n: usize, how: &str, so: &str| {
        (n > 0).then(|| format!("{} {how} to one of another class: {so}", counted(n, "image is", "images are")))
    };
    [
        sentence(same, "identical", "one of the labels is wrong"),
        sentence(nearly, "nearly identical", "one of the labels may be wrong"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
