//! What the trials of one or several studies say together: `tenfold compare`.
//!
//! [`Compared`] goes in, with every statistic finished. The words and tables are put together once, in `words`; text,
//! Markdown and LaTeX write the same [`document::Document`]. CSV and JSON have every seed's figures.

use tenfold_study::comparison::{Comparison, PairStatistics, Verdict};
use tenfold_study::record::{Environment, ReadingReason, RecipeRecord, StudyRecord};

use crate::format::count;

pub mod differences;
pub mod document;

mod csv;
mod json;
mod words;


pub use csv::csv;
pub use json::json;
pub use words::document;

/// What is compared, and what came of it.
#[derive(Clone, Debug)]
pub struct Compared<'a> {
    /// At least one.
    pub studies: Vec<ComparedStudy<'a>>,
    /// The recipes, with one comparison for each set of test images; there is no test between two sets.
    pub sets: Vec<SameImages<'a>>,
    /// Whether recipes were left out because others were asked for.
    pub some_only: bool,
}

/// One study of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedStudy<'a> {
    /// What the comparison calls it; no two have the same name.
    pub name: String,
    /// Its record.
    pub record: &'a StudyRecord,
}

/// Recipes whose trials were measured on the same test images.
#[derive(Clone, Debug)]
pub struct SameImages<'a> {
    /// The studies they come from, as numbers in [`Compared::studies`].
    pub studies: Vec<usize>,
    /// All recipes, also those without a finished trial.
    pub recipes: Vec<ComparedRecipe<'a>>,
    /// What their trials say together.
    pub comparison: Comparison,
}

/// One recipe of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedRecipe<'a> {
    /// What the comparison calls it.
    pub name: String,
    /// Its study, as a number in [`Compared::studies`].
    pub study: usize,
    /// Its record.
    pub record: &'a RecipeRecord,
}

impl<'a> SameImages<'a> {
    fn recipe(&self, name: &str) -> Option<&ComparedRecipe<'a>> {
        self.recipes.iter().find(|recipe| recipe.name == name)
    }
}

/// Whether times from both can be compared.
pub fn same_machine(a: &Environment, b: &Environment) -> bool {
    a == b
}

/// The words of a verdict.
pub fn verdict(pair: &PairStatistics) -> String {
    let more = |number: u64, what: &str| format!("{} more {what}{}", count(number), if number == 1 { "" } else { "s" });
    match pair.verdict {
        Verdict::Better => "better".to_owned(),
        Verdict::BetterOnTheseImagesOnly => "better on these images only".to_owned(),
        Verdict::EquivalentWithinTheMargin => "equivalent within the margin".to_owned(),
        Verdict::NotResolved => match (pair.more_seeds, pair.more_images) {
            (None, None) => "not resolved".to_owned(),
            (Some(seeds), None) => format!("not resolved (about {})", more(seeds, "seed")),
            (None, Some(images)) => format!("not resolved (about {})", more(images, "image")),
            (Some(seeds), Some(images)) => {
                format!("not resolved (about {} or {})", more(seeds, "seed"), more(images, "image"))
            }
        },
    }
}

/// What is known of the times that the labels of a study's test images were looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestUse {
    /// For people.
    pub sentence: String,
    /// Whether a choice was made by test accuracy: every output says so.
    pub chosen_by_test: bool,
}

impl TestUse {
    /// Of one study.
    pub fn of(record: &StudyRecord) -> TestUse {
        let sum = |reason| {
            let readings = record.test_readings.iter().filter(|reading| reading.reason == reason);
            readings.fold(0u64, |sum, reading| sum.saturating_add(reading.count))
        };
        let (trials, choices) = (sum(ReadingReason::Trial), sum(ReadingReason::Choice));
        let again = record.test_readings.iter().any(|r| r.reason == ReadingReason::Trial && r.count > 1);
        let times = |n: u64| if n == 1 { "once".to_owned() } else { format!("{} times", count(n)) };
        let mut sentence = if record.test_readings.is_empty() {
            "The study does not record how often its test labels were read; a run reads them once per trial, at its end."
                .to_owned()
        } else if again {
            format!("The test was opened {} for trials, for some of them more than once.", times(trials))
        } else {
            format!("The test was opened once per trial, after all choices were fixed ({}).", times(trials))
        };
        if choices > 0 {
            sentence.push_str(&format!(
                " CHOSEN BY TEST: the test labels were also read {} to choose a recipe; its test accuracy is too high \
                 to be expected again.",
                times(choices)
            ));
        }
        TestUse { sentence, chosen_by_test: choices > 0 }
    }
}
