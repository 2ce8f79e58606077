//! Splits: parts that the data does not have are set apart, and parts that others made are looked over.

mod sentences;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::apart::{Known, choose, unit_of};
use crate::duplicates::firsts_among;
use crate::rng::{Rng, Stream};
use crate::words::are;
use crate::{Alike, Collection, Copies, DataError, Examples, Progress, hex};

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

impl Shares {
    /// Refuses a size that was told of a part that the data brings, and a seed where nothing is drawn by it. `data` is
    /// what people call it, `test` and `valid` say which parts it has.
    ///
    /// # Errors
    /// If there is one.
    pub fn refuse_useless(&self, seed: u64, data: &str, test: bool, valid: bool) -> Result<(), DataError> {
        let default = Shares::default();
        for (names, what, portion, usual, there) in [
            (["test", "test_share"], "test", self.test, default.test, test),
            (["valid", "valid_share"], "validation", self.valid, default.valid, valid),
        ] {
            if there && portion != usual {
                let (name, found) = match portion {
                    Portion::Count(count) => (names[0], count.to_string()),
                    Portion::Share(share) => (names[1], share.to_string()),
                };
                let reason = format!(
                    "it changes nothing: {data} has {what} images of its own, so none are set apart; leave it out"
                );
                return Err(DataError::Option { name, found, reason });
            }
        }
        if valid && seed != 0 {
            let reason = format!(
                "it changes nothing: {data} has validation images of its own, and only these are drawn by a seed; leave it out"
            );
            return Err(DataError::Option { name: "split_seed", found: seed.to_string(), reason });
        }
        Ok(())
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
    /// If nothing can be set apart without parting what belongs together, nothing but images of one class, or nothing
    /// would be left to train on.
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
        let mut order = self.train.sort_by_contents(len, &self.groups);
        for (part, sorted) in [(&mut self.valid, true), (&mut self.test, false)] {
            let Some(part) = part else { continue };
            let before = order.len() as u32;
            let numbers =
                if sorted { part.sort_by_contents(len, &self.groups) } else { (0..part.len(len) as u32).collect() };
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
            let (of, count) = (left.len(), portion.of(left.len()));
            let draw = |alike: &[u32]| set_apart(&all, alike, &left, self.classes.len(), count, &rng);
            let apart = draw(&found.turned);
            if !of_classes(&all, &apart) {
                let scene = found.identical != found.turned && of_classes(&all, &draw(&found.identical));
                return Err(match apart.first() {
                    None => DataError::NothingApart { what, examples: of, count, scene },
                    Some(&one) => DataError::OneClassApart {
                        what,
                        class: self.classes[usize::from(all.labels[one as usize])].clone(),
                        grouped: !all.groups.is_empty(),
                        scene,
                    },
                });
            }
            digest.update((apart.len() as u64).to_le_bytes());
            apart.iter().for_each(|&n| digest.update(u64::from(n).to_le_bytes()));
            let n = apart.len();
            let together = together(self.copies, !all.groups.is_empty());
            notes.push(format!("{n} of {of} images {} set apart for {what}, by class{together}", are(n)));
            left.retain(|n| apart.binary_search(n).is_err());
            Ok(apart)
        };
        let made = [valid.is_none(), test.is_none()];
        let cut_test = test.is_none().then(|| cut("test", shares.test, Rng::new(TEST_SEED, Stream::Split, TEST)));
        let cut_test = cut_test.transpose()?;
        let cut_valid = valid.is_none().then(|| cut("validation", shares.valid, Rng::new(seed, Stream::Split, VALID)));
        let cut_valid = cut_valid.transpose()?;
        let mut warnings = sentences::repeated(found);
        warnings.extend(sentences::conflicts(parts, found, shape));
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
        warnings.extend(sentences::leaks(&ids, [&train, &valid, &test], found));
        warnings.extend(sentences::without([&valid, &test], made, &self.classes));
        Ok(Parted { train, valid, test, test_units, collection: self, notes, warnings, split_sha256: hex(digest) })
    }
}

/// What stays together in what is set apart, in words.
fn together(copies: Copies, grouped: bool) -> &'static str {
    match (copies, grouped) {
        (Copies::Alike, false) => ", images that are alike on one side",
        (Copies::Alike, true) => ", groups, and images that are alike, on one side",
        (Copies::Identical, false) => ", identical images on one side",
        (Copies::Identical, true) => ", groups, and identical images, on one side",
        (Copies::Off, false) => "",
        (Copies::Off, true) => ", groups on one side",
    }
}

/// Whether examples are of two classes at least.
fn of_classes(all: &Examples, numbers: &[u32]) -> bool {
    let mut labels = numbers.iter().map(|&n| all.labels[n as usize]);
    labels.next().is_some_and(|first| labels.any(|label| label != first))
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
