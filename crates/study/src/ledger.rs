//! How often the labels of the test images were looked at. Each look is on disk before it is taken, and none is
//! forgotten.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::folder::{FolderError, RunFolder};
use crate::record::{ReadingReason, StudyRecord, TestReading, TrialRecord};

/// What of `results.json` counts here. It may be that of another study, or of a version that kept no count.
#[derive(Deserialize)]
struct Earlier {
    #[serde(default)]
    test_readings: Vec<TestReading>,
    #[serde(default)]
    recipes: Vec<EarlierRecipe>,
}

#[derive(Deserialize)]
struct EarlierRecipe {
    #[serde(default)]
    trials: Vec<EarlierTrial>,
}

#[derive(Deserialize)]
struct EarlierTrial {
    recipe: String,
    seed: u64,
    /// Null unless the trial was measured.
    #[serde(default)]
    test: Option<IgnoredAny>,
}

/// The count of a run folder.
pub(crate) struct Ledger(Vec<TestReading>);

impl Ledger {
    /// The count so far, of `trials` and of what `results.json` says.
    pub(crate) fn read<'a>(
        folder: &RunFolder,
        results: &str,
        trials: impl Iterator<Item = &'a TrialRecord>,
    ) -> Result<Ledger, FolderError> {
        let mut ledger = Ledger(Vec::new());
        if let Some(bytes) = folder.read(results)? {
            // An array would do for a record whose fields are all missing.
            let object = bytes.trim_ascii_start().starts_with(b"{");
            let Some(earlier) = serde_json::from_slice::<Earlier>(&bytes).ok().filter(|_| object) else {
                return Err(FolderError::Count { path: folder.path().join(results) });
            };
            ledger.0 = earlier.test_readings;
            for trial in earlier.recipes.into_iter().flat_map(|recipe| recipe.trials) {
                if trial.test.is_some() {
                    ledger.at_least_once(&trial.recipe, trial.seed);
                }
            }
        }
        for trial in trials.filter(|trial| trial.test.is_some()) {
            ledger.at_least_once(&trial.recipe, trial.seed);
        }
        Ok(ledger)
    }

    /// The count of several records together.
    pub(crate) fn of<'a>(records: impl Iterator<Item = &'a StudyRecord>) -> Ledger {
        let mut ledger = Ledger(Vec::new());
        for record in records {
            let mut of = Ledger::of_one(record);
            for trial in record.recipes.iter().flat_map(|recipe| &recipe.trials).filter(|trial| trial.test.is_some()) {
                of.at_least_once(&trial.recipe, trial.seed);
            }
            for TestReading { reason, recipe, seed, count } in of.0 {
                ledger.add(reason, recipe.as_deref(), seed, count);
            }
        }
        ledger
    }

    /// The count of one record, as it says it.
    pub(crate) fn of_one(record: &StudyRecord) -> Ledger {
        Ledger(record.test_readings.clone())
    }

    /// The count, in an order that does not depend on that of the looks.
    pub(crate) fn readings(&self) -> &[TestReading] {
        &self.0
    }

    /// A look is about to be taken: at one trial, at those of a recipe together, or at all of them for a choice.
    pub(crate) fn count(&mut self, reason: ReadingReason, recipe: Option<&str>, seed: Option<u64>) {
        self.add(reason, recipe, seed, 1);
    }

    /// Looks that were counted elsewhere.
    pub(crate) fn add(&mut self, reason: ReadingReason, recipe: Option<&str>, seed: Option<u64>, count: u64) {
        let reading = self.reading(reason, recipe, seed);
        reading.count = reading.count.saturating_add(count);
    }

    /// A measured trial was looked at, whether or not somebody counted then.
    fn at_least_once(&mut self, recipe: &str, seed: u64) {
        let reading = self.reading(ReadingReason::Trial, Some(recipe), Some(seed));
        reading.count = reading.count.max(1);
    }

    fn reading(&mut self, reason: ReadingReason, recipe: Option<&str>, seed: Option<u64>) -> &mut TestReading {
        let key = (reason, recipe, seed);
        // A file may have been edited, so its order is not relied on.
        let at = self.0.iter().position(|r| (r.reason, r.recipe.as_deref(), r.seed) == key);
        let at = at.unwrap_or_else(|| {
            let recipe = recipe.map(str::to_owned);
            let at = self.0.partition_point(|r| (r.reason, r.recipe.as_deref(), r.seed) < key);
            self.0.insert(at, TestReading { reason, recipe, seed, count: 0 });
            at
        });
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    fn read(folder: &RunFolder) -> Result<Vec<TestReading>, FolderError> {
        Ok(Ledger::read(folder, "results.json", std::iter::empty())?.0)
    }

    #[test]
    fn looks_are_added_to_what_the_folder_says() {
        let scratch = scratch("ledger");
        let folder = RunFolder::open(scratch.path()).unwrap();
        assert_eq!(read(&folder).unwrap(), []);
        let json = r#"{"test_readings": [{"reason": "trial", "recipe": "b", "seed": 2, "count": 18446744073709551615}],
            "recipes": [{"trials": [{"recipe": "b", "seed": 2, "test": {}}, {"recipe": "a", "seed": 7, "test": {"x": 1}},
                                    {"recipe": "a", "seed": 8, "test": null}, {"recipe": "a", "seed": 9}]}]}"#;
        folder.write("results.json", json.as_bytes()).unwrap();
        let mut ledger = Ledger::read(&folder, "results.json", std::iter::empty()).unwrap();
        ledger.count(ReadingReason::Choice, None, None);
        ledger.count(ReadingReason::Trial, Some("b"), Some(2));
        ledger.count(ReadingReason::Trial, Some("b"), Some(1));
        ledger.count(ReadingReason::Trial, Some("a"), Some(7));
        let counts: Vec<_> = ledger.readings().iter().map(|r| (r.recipe.as_deref(), r.seed, r.count)).collect();
        assert_eq!(
            counts,
            [(Some("a"), Some(7), 2), (Some("b"), Some(1), 1), (Some("b"), Some(2), u64::MAX), (None, None, 1)]
        );
    }

    #[test]
    fn a_count_that_cannot_be_read_is_not_forgotten() {
        let scratch = scratch("ledger-damaged");
        let folder = RunFolder::open(scratch.path()).unwrap();
        for bytes in ["", "{", "[]", "{\"test_readings\": 3}", "{\"test_readings\": [{\"reason\": \"curiosity\"}]}"] {
            folder.write("results.json", bytes.as_bytes()).unwrap();
            let error = read(&folder).expect_err("is refused").to_string();
            assert!(error.contains("results.json: cannot be read as a record"), "{bytes}: {error}");
        }
    }
}
