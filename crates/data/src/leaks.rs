//! Splits: parts that the data does not have are set apart, and parts that others made are looked over.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::apart::{Known, choose};
use crate::rng::{Rng, Stream};
use crate::{Collection, DataError, Examples, ImageShape, alike, hex};

/// A collection in three parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parted {
    /// For fitting.
    pub train: Examples,
    /// For choosing.
    pub valid: Examples,
    /// For the final measurement.
    pub test: Examples,
    /// The collection without them: shape, classes, what is known. Its own parts are empty.
    pub collection: Collection,
    /// Sentences on what was set apart, and on what is on two sides of a split that others made.
    pub notes: Vec<String>,
    /// The SHA-256, in hex, of the seed (u64) and the numbers of the test and then the validation examples among those
    /// that were together (u64 each, ascending, each list behind its length), all little-endian.
    pub split_sha256: String,
}

/// How large the parts are that are set apart, as shares of what there is to part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shares {
    /// Of all labelled examples, where there is no test part.
    pub test: f64,
    /// Of the examples for training, where there is no validation part.
    pub valid: f64,
}

impl Default for Shares {
    /// A fifth for testing, and of the rest a tenth for validation.
    fn default() -> Shares {
        Shares { test: 0.2, valid: 0.1 }
    }
}

/// The sub-streams of [`Stream::Split`]; 0 is the split of [`Published`](crate::Published) data sets.
const TEST: u64 = 1;
const VALID: u64 = 2;

impl Collection {
    /// Sets apart what the data does not have: test examples first, then validation examples, both by class, with
    /// groups and images that are alike on one side, at random by `seed`. Parts that there are stay as they are, and
    /// what is on two sides of them is told.
    ///
    /// # Errors
    /// If nothing can be set apart without parting what belongs together.
    pub fn split(mut self, shares: Shares, seed: u64) -> Result<Parted, DataError> {
        let len = self.shape.len();
        let mut notes = Vec::new();
        let mut digest = Sha256::new().chain_update(seed.to_le_bytes());
        let mut train = std::mem::take(&mut self.train);
        let given = [self.valid.is_some(), self.test.is_some()];
        let mut cut = |train: &mut Examples, what: &'static str, share: f64, sub: u64| {
            let apart = set_apart(train, self.shape, self.classes.len(), share, &Rng::new(seed, Stream::Split, sub));
            digest.update((apart.len() as u64).to_le_bytes());
            apart.iter().for_each(|&n| digest.update(u64::from(n).to_le_bytes()));
            if apart.is_empty() {
                return Err(DataError::NothingApart { what, examples: train.len(len), share });
            }
            let all = train.len(len);
            let (kept, apart) = train.parted(&apart, len);
            *train = kept;
            let together =
                if apart.groups.is_empty() { "images that are alike" } else { "groups, and images that are alike," };
            notes.push(format!(
                "{} of {all} images are set apart for {what}, by class, {together} on one side",
                apart.len(len)
            ));
            Ok(apart)
        };
        let test = match self.test.take() {
            Some(test) => test,
            None => cut(&mut train, "test", shares.test, TEST)?,
        };
        let valid = match self.valid.take() {
            Some(valid) => valid,
            None => cut(&mut train, "validation", shares.valid, VALID)?,
        };
        notes.extend(leaks([&train, &valid, &test], given, self.shape));
        notes.extend(conflicts([&train, &valid, &test], self.shape));
        Ok(Parted { train, valid, test, collection: self, notes, split_sha256: hex(digest) })
    }
}

fn set_apart(train: &Examples, shape: ImageShape, classes: usize, share: f64, rng: &Rng) -> Vec<u32> {
    let images: Vec<&[u8]> = train.pixels.chunks_exact(shape.len()).collect();
    let alike = alike(&images, shape).nearly;
    let count = ((images.len() as f64 * share).round() as usize).max(1);
    choose(Known { labels: &train.labels, classes, groups: &train.groups, alike: &alike }, count, rng)
}

impl Examples {
    /// The examples that are not in `apart`, and those that are; both keep their order.
    fn parted(&self, apart: &[u32], image_len: usize) -> (Examples, Examples) {
        let mut is_apart = vec![false; self.len(image_len)];
        apart.iter().for_each(|&n| is_apart[n as usize] = true);
        let mut parts = [Examples::default(), Examples::default()];
        for (n, image) in self.pixels.chunks_exact(image_len).enumerate() {
            let part = &mut parts[usize::from(is_apart[n])];
            part.pixels.extend_from_slice(image);
            part.labels.extend(self.labels.get(n));
            part.groups.extend(self.groups.get(n));
            part.paths.extend(self.paths.get(n).cloned());
        }
        parts.into()
    }
}

/// Sentences on what is on two sides: images, and groups. `given` says of validation and test whether others made them.
fn leaks([train, valid, test]: [&Examples; 3], given: [bool; 2], shape: ImageShape) -> Vec<String> {
    let len = shape.len();
    let images: Vec<&[u8]> = [train, valid, test].iter().flat_map(|part| part.pixels.chunks_exact(len)).collect();
    let ends = [train.len(len), train.len(len) + valid.len(len), images.len()];
    let mut sentences = Vec::new();
    if !given.contains(&true) {
        return sentences;
    }
    let found = alike(&images, shape);
    // Of a range of images, how many are like one before it.
    let count = |firsts: &[u32], start: usize, end: usize| {
        let before: HashSet<u32> = firsts[..start].iter().copied().collect();
        firsts[start..end].iter().filter(|first| before.contains(first)).count()
    };
    for (part, sides, start, end) in
        [("test", "training or validation", ends[1], ends[2]), ("validation", "training", ends[0], ends[1])]
    {
        let [identical, nearly] = [&found.identical, &found.nearly].map(|firsts| count(firsts, start, end));
        if nearly > 0 {
            sentences.push(format!(
                "{nearly} of {} {part} images are also {sides} images ({identical} identical, {} nearly): {part} accuracy is too optimistic",
                end - start,
                nearly - identical
            ));
        }
    }
    let seen: HashSet<u32> = train.groups.iter().chain(&valid.groups).copied().collect();
    let shared: HashSet<u32> = test.groups.iter().copied().filter(|group| seen.contains(group)).collect();
    if !shared.is_empty() {
        let n = test.groups.iter().filter(|group| shared.contains(group)).count();
        sentences.push(format!(
            "{n} test images are of {} groups that are also in training or validation: test accuracy is too optimistic for new groups",
            shared.len()
        ));
    }
    sentences
}

/// A sentence on identical images of different classes.
fn conflicts(parts: [&Examples; 3], shape: ImageShape) -> Option<String> {
    let mut class_of = std::collections::HashMap::new();
    let images = parts.iter().flat_map(|part| part.pixels.chunks_exact(shape.len()).zip(&part.labels));
    let n = images.filter(|(image, label)| class_of.entry(*image).or_insert(*label) != label).count();
    (n > 0).then(|| format!("{n} images are identical to one of another class: one of the labels is wrong"))
}
