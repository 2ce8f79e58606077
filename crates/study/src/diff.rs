//! In what two trainings part: settings, the first epoch, weights; and why.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tenfold_nn::interop::safetensors::{Array, read_arrays};

use crate::folder::bounded;
use crate::identity::{Difference, TRAINING_VERSION, TrialSettings, sha256};
use crate::record::{EpochRecord, RecipeRecord, Status, StudyRecord, TrialRecord};
use crate::trial::{WEIGHTS, seed_folder};

mod steps;

pub(crate) use steps::arrays_of;
pub use steps::{FirstStep, Side, first_step};

/// The most bytes of weights that are compared.
const MOST_WEIGHTS: u64 = 4 << 30;

/// A trial of a run folder.
#[derive(Clone, Copy, Debug)]
pub struct TrialOf<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// Its record.
    pub record: &'a StudyRecord,
    /// One of the record's trials.
    pub trial: &'a TrialRecord,
}

impl TrialOf<'_> {
    /// The recipe, as the record has it.
    ///
    /// # Panics
    /// If the trial is not of this record.
    pub fn recipe(&self) -> &RecipeRecord {
        let mut recipes = self.record.recipes.iter();
        recipes.find(|recipe| recipe.name == self.trial.recipe).expect("the trial is of this record")
    }

    /// What determined its bits; none if its record does not tell.
    pub fn settings(&self) -> Option<TrialSettings> {
        let of_record =
            || TrialSettings::of_record(self.recipe(), &self.record.dataset, self.trial.seed, &self.trial.identity);
        self.trial.settings.clone().or_else(of_record)
    }
}

/// In what two trainings part.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Parting {
    /// Why, as far as the record tells.
    pub cause: Cause,
    /// Settings, seed, data and version of the training code, as far as both records tell.
    pub settings: Vec<Difference>,
    /// Version and commit of the program, and how the trainings ended.
    pub others: Vec<Difference>,
    /// The first epoch with other losses or accuracy; none if all that both have are the same.
    pub epoch: Option<EpochParting>,
    /// The arrays of the final networks that are not the same, by name; none where a training has no network.
    pub arrays: Option<Vec<ArrayParting>>,
}

/// Why two trainings part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// They do not: epochs and weights are the same.
    Same,
    /// A file is not the one that its trial wrote.
    File(String),
    /// They begin from different seeds, and all else is the same.
    Seed,
    /// They learn from different data.
    Data,
    /// Their training code computes other bits.
    TrainingCode,
    /// They have different settings.
    Settings,
    /// What determines their bits is the same, and the program that computed them is not.
    Program,
    /// What determines their bits is the same, and so is the program.
    Unexplained,
    /// A record does not tell its settings.
    Unknown,
}

/// The first epoch in which two trainings part.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EpochParting {
    /// Its number, from 1.
    pub epoch: usize,
    /// The first figure that differs: `train_loss`, `valid_loss` or `valid_accuracy`.
    pub figure: &'static str,
    /// Its value in the first training; null where it was not finite.
    pub first: Option<f64>,
    /// Its value in the second.
    pub second: Option<f64>,
}

/// An array that two networks do not share.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ArrayParting {
    /// Its name, such as `conv1.weight`.
    pub name: String,
    /// How it differs.
    #[serde(flatten)]
    pub how: ArrayDifference,
}

/// How an array differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayDifference {
    /// Shapes; empty where a network has no such array.
    Shapes {
        /// In the first.
        first: Vec<usize>,
        /// In the second.
        second: Vec<usize>,
    },
    /// Values.
    Values {
        /// How many are not the same bits.
        different: usize,
        /// Of so many.
        of: usize,
        /// The largest absolute difference.
        largest: f64,
        /// The largest difference in units in the last place: how many numbers of single precision lie between.
        ulps: u64,
    },
}

/// In what two trainings part, by their records and files.
///
/// # Errors
/// A sentence, if the weights of one cannot be read.
pub fn parting(one: TrialOf, other: TrialOf) -> Result<Parting, String> {
    let (settings, known) = match (one.settings(), other.settings()) {
        (Some(one), Some(other)) => (one.differences(&other), true),
        _ => (Vec::new(), false),
    };
    let mut others = Vec::new();
    let mut compare = |setting: &str, before: String, now: String| {
        if before != now {
            others.push(Difference { setting: setting.to_owned(), before, now });
        }
    };
    let (a, b) = (one.trial, other.trial);
    compare("version of the program", a.environment.version.clone(), b.environment.version.clone());
    compare("commit of the program", a.environment.commit.clone(), b.environment.commit.clone());
    let same_program = others.is_empty();
    let mut compare = |setting: &str, before: String, now: String| {
        if before != now {
            others.push(Difference { setting: setting.to_owned(), before, now });
        }
    };
    compare("reason for its end", format!("{:?}", a.stopped.reason), format!("{:?}", b.stopped.reason));
    compare("last epoch", a.stopped.epoch.to_string(), b.stopped.epoch.to_string());
    let ended_alike = a.stopped == b.stopped;
    let epoch = first_epoch(&a.epochs, &b.epochs);
    let (mut changed, mut networks) = (None, Vec::new());
    for of in [one, other] {
        if of.trial.status != Status::Finished {
            continue;
        }
        let path = of.folder.join(seed_folder(&of.trial.recipe, of.trial.seed)).join(WEIGHTS);
        let named = |reason: String| format!("{}: {reason}", path.display());
        let bytes = bounded(&path, MOST_WEIGHTS).map_err(|reason| named(reason.to_string()))?;
        if of.trial.weights_sha256.as_deref() != Some(&*sha256(&bytes)) {
            changed.get_or_insert(path.display().to_string());
        }
        networks.push(read_arrays(&bytes).map_err(|error| named(error.to_string()))?);
    }
    let arrays = match &networks[..] {
        [first, second] => Some(arrays(first, second)),
        _ => None,
    };
    // Without weights, as of trainings that were stopped, no epoch says anything of other settings.
    let no_difference = arrays.as_ref().map_or(settings.is_empty(), Vec::is_empty);
    let same = epoch.is_none() && ended_alike && no_difference;
    let has = |setting: &dyn Fn(&str) -> bool| settings.iter().any(|difference| setting(&difference.setting));
    let cause = match changed {
        Some(path) => Cause::File(path),
        None if same => Cause::Same,
        None if !known => Cause::Unknown,
        None if has(&|s| s.starts_with("SHA-256 of the ")) => Cause::Data,
        None if has(&|s| s == "version of the training code") => Cause::TrainingCode,
        None if has(&|s| s != "seed") => Cause::Settings,
        None if has(&|s| s == "seed") => Cause::Seed,
        None if !same_program => Cause::Program,
        None => Cause::Unexplained,
    };
    Ok(Parting { cause, settings, others, epoch, arrays })
}

/// Whether this program can train the trial again: it has the same training code.
pub(crate) fn can_train_again(of: TrialOf) -> Result<TrialSettings, String> {
    let Some(settings) = of.settings() else {
        return Err("its record does not tell what determined its bits".to_owned());
    };
    if settings.training != TRAINING_VERSION {
        return Err(format!(
            "it was trained by training code of version {}, and that of this program is {TRAINING_VERSION}, which gives \
             other bits",
            settings.training
        ));
    }
    settings.train.check().map_err(|error| error.to_string())?;
    Ok(settings)
}

/// The first epoch in which figures that training determines differ.
pub(crate) fn first_epoch(one: &[EpochRecord], other: &[EpochRecord]) -> Option<EpochParting> {
    one.iter().zip(other).find_map(|(a, b)| {
        let figures = [
            ("train_loss", a.train_loss, b.train_loss),
            ("valid_loss", a.valid_loss, b.valid_loss),
            ("valid_accuracy", a.valid_accuracy, b.valid_accuracy),
        ];
        let different = figures.into_iter().find(|(_, first, second)| first != second);
        different.map(|(figure, first, second)| EpochParting { epoch: a.epoch, figure, first, second })
    })
}

/// The arrays that are not the same bits, by name.
pub(crate) fn arrays(one: &[Array], other: &[Array]) -> Vec<ArrayParting> {
    type Named<'a> = BTreeMap<&'a str, (&'a [usize], &'a [f32])>;
    let named = |arrays| -> Named {
        <[Array]>::iter(arrays).map(|(name, shape, values)| (&**name, (&**shape, &**values))).collect()
    };
    let (one, other) = (named(one), named(other));
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    let parting = |name: &&str| {
        let (first_shape, first) = one.get(name).copied().unwrap_or_default();
        let (second_shape, second) = other.get(name).copied().unwrap_or_default();
        let how = if first_shape != second_shape {
            ArrayDifference::Shapes { first: first_shape.to_vec(), second: second_shape.to_vec() }
        } else {
            values(first, second)?
        };
        Some(ArrayParting { name: (*name).to_owned(), how })
    };
    names.filter_map(parting).collect()
}

/// None where all are the same bits.
fn values(first: &[f32], second: &[f32]) -> Option<ArrayDifference> {
    let (mut different, mut largest, mut ulps) = (0, 0.0_f64, 0);
    for (a, b) in first.iter().zip(second).filter(|(a, b)| a.to_bits() != b.to_bits()) {
        different += 1;
        largest = largest.max((f64::from(*a) - f64::from(*b)).abs());
        ulps = ulps.max(in_order(*a).abs_diff(in_order(*b)));
    }
    (different > 0).then_some(ArrayDifference::Values { different, of: first.len(), largest, ulps })
}

/// The number of a float among all floats in their order; that of both zeros is 0.
fn in_order(value: f32) -> i64 {
    let bits = i64::from(value.to_bits() & 0x7fff_ffff);
    if value.is_sign_negative() { -bits } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(name: &str, values: &[f32]) -> Array {
        (name.to_owned(), vec![values.len()], values.to_vec())
    }

    #[test]
    fn arrays_part_in_values_and_shapes() {
        let one = [array("a", &[1.0, 2.0]), array("b", &[0.0, -1.0, 3.0]), array("c", &[1.0])];
        let next = f32::from_bits(1.0_f32.to_bits() + 3);
        let other = [array("b", &[f32::from_bits(2), -next, 3.0]), array("a", &[1.0, 2.0]), array("d", &[1.0])];
        let found = arrays(&one, &other);
        // The spacing of floats at 1 is 2^-23.
        let largest = 3.0 * 2.0_f64.powi(-23);
        let shapes =
            |first: &[usize], second: &[usize]| ArrayDifference::Shapes { first: first.into(), second: second.into() };
        let expected = [
            ("b", ArrayDifference::Values { different: 2, of: 3, largest, ulps: 3 }),
            ("c", shapes(&[1], &[])),
            ("d", shapes(&[], &[1])),
        ];
        let expected = expected.map(|(name, how)| ArrayParting { name: name.to_owned(), how });
        assert_eq!(found, expected);
        assert!(arrays(&one, &one).is_empty());
    }

    #[test]
    fn ulps_count_the_floats_between_across_zero() {
        let least = f32::from_bits(1);
        assert_eq!(in_order(least).abs_diff(in_order(-least)), 2);
        assert_eq!(in_order(0.0), in_order(-0.0));
        // But a zero of another sign is another bit.
        let found = values(&[0.0], &[-0.0]);
        assert_eq!(found, Some(ArrayDifference::Values { different: 1, of: 1, largest: 0.0, ulps: 0 }));
    }

    #[test]
    fn the_first_epoch_that_differs_is_named_and_times_do_not_count() {
        let epoch = |epoch, valid_loss, train_time_s| EpochRecord {
            epoch,
            train_loss: Some(0.5),
            valid_loss,
            valid_accuracy: Some(0.9),
            train_time_s,
            evaluation_time_s: 0.1,
        };
        let one = [epoch(1, Some(0.4), 1.0), epoch(2, Some(0.3), 1.0), epoch(3, None, 1.0)];
        let other = [epoch(1, Some(0.4), 2.0), epoch(2, Some(0.25), 2.0)];
        let expected = EpochParting { epoch: 2, figure: "valid_loss", first: Some(0.3), second: Some(0.25) };
        assert_eq!(first_epoch(&one, &other), Some(expected));
        assert_eq!(first_epoch(&one, &other[..1]), None);
    }
}
