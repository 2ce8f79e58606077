//! How often the labels of the test images were looked at.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::StudyRecord;

/// The times that the labels of the test images were looked at for one reason.
///
/// A look is what measures a network on them, or what decides by them. It is counted before it is taken, and running
/// again, with whatever settings, counts on. Tables and pictures that show a measurement again decide nothing and count
/// nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TestReading {
    /// Why.
    pub reason: ReadingReason,
    /// The recipe whose trial was measured, or whose trials were; null where it was all of them.
    pub recipe: Option<String>,
    /// The seed of the trial; null where it was not one.
    pub seed: Option<u64>,
    /// How often.
    pub count: u64,
}

/// Why the labels of the test images were looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingReason {
    /// A trial had ended, all its choices fixed, and was measured.
    Trial,
    /// Somebody asked for a choice by test accuracy.
    Choice,
    /// All trials of a recipe had ended, and were measured as one.
    Ensemble,
    /// All trials of a recipe had ended, and each was measured with test-time augmentation.
    TestTimeAugmentation,
}

/// How often the labels of the test images were looked at, for all reasons together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Openings {
    /// Trials that were measured on them, those that were replaced since included once.
    pub trials: u64,
    /// Measurements of those trials, as far as they were counted.
    pub measurements: u64,
    /// Times that a choice was made by them.
    pub choices: u64,
    /// Measurements of the trials of a recipe as one, which decide nothing.
    pub ensembles: u64,
    /// Measurements of the trials of a recipe with test-time augmentation, which decide nothing either.
    pub views: u64,
}

impl Openings {
    /// Whether every trial was measured once, and nothing was decided by it.
    pub fn sealed(&self) -> bool {
        self.measurements == self.trials && self.choices == 0
    }
}

impl fmt::Display for Openings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Openings { trials, measurements, choices, ensembles, views } = *self;
        let times = |n: u64| if n == 1 { "once".to_owned() } else { format!("{n} times") };
        match measurements {
            _ if trials == 0 => f.write_str("test was not opened")?,
            _ if self.sealed() => f.write_str("test opened once per trial, after all choices were fixed")?,
            // Records of versions that kept no count.
            _ if measurements < trials => f.write_str("how often test was opened was not counted")?,
            _ if measurements == trials => f.write_str("test opened once per trial")?,
            _ => {
                let all = if trials == 1 { "1 trial".to_owned() } else { format!("{trials} trials") };
                write!(f, "test opened {} for {all}", times(measurements))?;
            }
        }
        let further = [
            (ensembles, "for the mean of seeds"),
            (views, "with test-time augmentation"),
            (choices, "to choose by it"),
        ];
        let further: Vec<_> = further.into_iter().filter(|&(count, _)| count > 0).collect();
        for (n, &(count, what)) in further.iter().enumerate() {
            write!(f, "{} {} {what}", if n + 1 < further.len() { "," } else { ", and" }, times(count))?;
        }
        Ok(())
    }
}

impl StudyRecord {
    /// How often the labels of the test images were looked at.
    pub fn openings(&self) -> Openings {
        let of = |reason| self.test_readings.iter().filter(move |reading| reading.reason == reason);
        let sum = |reason| of(reason).fold(0_u64, |sum, reading| sum.saturating_add(reading.count));
        let counted = of(ReadingReason::Trial).filter_map(|r| Some((r.recipe.as_deref()?, r.seed?)));
        let measured = self.recipes.iter().flat_map(|recipe| &recipe.trials).filter(|trial| trial.test.is_some());
        let trials: BTreeSet<(&str, u64)> =
            counted.chain(measured.map(|trial| (trial.recipe.as_str(), trial.seed))).collect();
        Openings {
            trials: trials.len() as u64,
            measurements: sum(ReadingReason::Trial),
            choices: sum(ReadingReason::Choice),
            ensembles: sum(ReadingReason::Ensemble),
            views: sum(ReadingReason::TestTimeAugmentation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{recipe, study};

    #[test]
    fn openings_are_told_as_they_were() {
        let mut study = study(vec![recipe("one", &[(0.9, 0.8), (0.9, 0.8)])]);
        assert_eq!(study.openings().to_string(), "how often test was opened was not counted");
        let reading = |reason, trial: Option<u64>, count| TestReading {
            reason,
            recipe: trial.map(|_| "one".to_owned()),
            seed: trial,
            count,
        };
        use ReadingReason::{Choice, Ensemble, TestTimeAugmentation, Trial};
        let together = TestReading { seed: None, ..reading(Ensemble, Some(1), 1) };
        let views = TestReading { seed: None, ..reading(TestTimeAugmentation, Some(1), 1) };
        let cases: [(&[TestReading], &str); 8] = [
            (
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1), together.clone(), views],
                "test opened once per trial, after all choices were fixed, once for the mean of seeds, and once with test-time \
                 augmentation",
            ),
            (
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1), together.clone()],
                "test opened once per trial, after all choices were fixed, and once for the mean of seeds",
            ),
            (
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1), reading(Choice, None, 1), together],
                "test opened once per trial, once for the mean of seeds, and once to choose by it",
            ),
            (
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1)],
                "test opened once per trial, after all choices were fixed",
            ),
            (&[reading(Trial, Some(1), 1), reading(Trial, Some(2), 2)], "test opened 3 times for 2 trials"),
            (
                // A trial that is no longer in the record was looked at all the same.
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1), reading(Trial, Some(3), 1)],
                "test opened once per trial, after all choices were fixed",
            ),
            (
                &[reading(Trial, Some(1), 1), reading(Trial, Some(2), 1), reading(Choice, None, 1)],
                "test opened once per trial, and once to choose by it",
            ),
            (
                &[reading(Trial, Some(1), u64::MAX), reading(Trial, Some(2), 2), reading(Choice, None, 2)],
                "test opened 18446744073709551615 times for 2 trials, and 2 times to choose by it",
            ),
        ];
        for (readings, words) in cases {
            study.test_readings = readings.to_vec();
            assert_eq!(study.openings().to_string(), words);
            assert_eq!(study.openings().sealed(), words.contains("fixed"), "{words}");
        }
        study.recipes.clear();
        study.test_readings.clear();
        assert_eq!(study.openings().to_string(), "test was not opened");
    }
}
