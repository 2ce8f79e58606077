//! Puts the comparison together.

use std::collections::BTreeMap;

use tenfold_nn::data::{Splits, test_writers};

use super::choice::{Candidate, choice, groups};
use super::estimates::{Estimates, examples, validation};
use super::mistakes::{Said, shared_mistakes};
use super::pairs::{ImagePart, Side, pairs};
use super::resample::{ACCURACY, Variances, image_groups, resample};
use super::time::{target, time, timed_on, usual_machine};
use super::{ChosenBy, Comparison, LEVEL, RecipeStatistics};
use crate::metrics::Metrics;
use crate::record::{Environment, RecipeRecord, Spread, Status, TrialRecord, best};
use crate::trial::Prediction;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 5_000;

/// A recipe with all that its trials say.
#[derive(Clone, Debug)]
pub struct RecipeTrials<'a> {
    /// What the comparison calls it: the recipe's name, or one that tells it from those of other studies.
    pub name: String,
    /// Its record.
    pub record: &'a RecipeRecord,
    /// By seed, what each finished trial said of each test image. Trials may be missing.
    pub predictions: BTreeMap<u64, Vec<Prediction>>,
}

/// The test images of all trials of a comparison.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TestImages {
    /// The class of each; empty where no trial has predictions.
    pub labels: Vec<u16>,
    /// The number of classes; every label is less.
    pub classes: usize,
    /// Which of them belong together, where that is known.
    pub groups: Option<Groups>,
}

/// Images that belong together.
#[derive(Clone, PartialEq, Debug)]
pub struct Groups {
    /// The group of each image, by a number of its own.
    pub of: Vec<u32>,
    /// Whether groups are those who wrote them, as MNIST's are.
    pub are_writers: bool,
}

impl Groups {
    /// Who wrote each of so many test images of the data set with this SHA-256, where that is known.
    pub fn writers(source_sha256: &str, images: usize) -> Option<Groups> {
        let writers = test_writers(source_sha256).filter(|writers| writers.len() == images)?;
        Some(Groups { of: writers.into_iter().map(u32::from).collect(), are_writers: true })
    }

    /// Writers; else the `units` that belong together; else the `groups`. Either may be empty.
    pub(crate) fn known(source_sha256: &str, images: usize, units: &[u32], groups: &[u32]) -> Option<Groups> {
        // Copies say no more than one of them: those that are alike are drawn together too.
        let some = |of: &[u32]| (!of.is_empty()).then(|| Groups { of: of.to_vec(), are_writers: false });
        Groups::writers(source_sha256, images).or_else(|| some(units)).or_else(|| some(groups))
    }
}

impl TestImages {
    /// Those of `splits`.
    pub(crate) fn of(splits: &Splits) -> TestImages {
        let (test, origins) = (&splits.test, &splits.test_origins);
        TestImages {
            labels: test.labels_for_report().to_vec(),
            classes: test.classes(),
            groups: Groups::known(&splits.source_sha256, test.len(), &origins.units, &origins.groups),
        }
    }
}

/// What the trials of these recipes say together; a difference in test accuracy of up to `margin` is called none.
///
/// `margin` is finite and not negative. The recipes may come from several studies, if all have the same test images and
/// each a name of its own. What needs predictions that are
/// missing is left out.
pub fn compare(recipes: &[RecipeTrials], images: &TestImages, margin: f64) -> Comparison {
    compare_with(recipes, images, margin, RESAMPLES)
}

/// A recipe's finished trials.
struct Finished<'a> {
    of: &'a RecipeTrials<'a>,
    trials: Vec<&'a TrialRecord>,
    /// By trial; none unless all have them.
    said: Option<Vec<&'a [Prediction]>>,
}

impl<'a> Finished<'a> {
    /// None without a finished trial.
    fn new(of: &'a RecipeTrials<'a>, images: &TestImages) -> Option<Finished<'a>> {
        let whole =
            |trial: &&TrialRecord| trial.status == Status::Finished && trial.valid.is_some() && trial.test.is_some();
        let trials: Vec<&TrialRecord> = of.record.trials.iter().filter(whole).collect();
        if trials.is_empty() {
            return None;
        }
        let said = trials.iter().map(|trial| {
            let said = of.predictions.get(&trial.seed)?;
            let fits = said.iter().map(|p| p.label).eq(images.labels.iter().copied())
                && said.iter().all(|p| usize::from(p.label.max(p.prediction)) < images.classes);
            fits.then_some(said.as_slice())
        });
        // Of one image, nothing can be said of others.
        let said = said.collect::<Option<Vec<_>>>().filter(|_| images.labels.len() > 1);
        Some(Finished { of, said, trials })
    }

    fn metrics(&self, of: fn(&TrialRecord) -> &Option<Metrics>) -> Vec<&'a Metrics> {
        self.trials.iter().filter_map(|trial| of(trial).as_ref()).collect()
    }
}

/// As [`compare`], with another number of resamples.
pub(super) fn compare_with(recipes: &[RecipeTrials], images: &TestImages, margin: f64, resamples: usize) -> Comparison {
    let by_name = || recipes.iter().map(|recipe| (recipe.name.as_str(), recipe.record));
    let finished: Vec<Finished> = recipes.iter().filter_map(|recipe| Finished::new(recipe, images)).collect();

    // Only recipes with predictions are resampled; `place` is where a recipe stands among them.
    let said: Vec<Vec<&[Prediction]>> = finished.iter().filter_map(|recipe| recipe.said.clone()).collect();
    let place = |n: usize| {
        finished[n].said.as_ref()?;
        Some(finished[..n].iter().filter(|recipe| recipe.said.is_some()).count())
    };
    // One group says as little of others as one image does.
    let several = image_groups(images).unwrap_or(images.labels.len()) > 1;
    let resampled = (!said.is_empty() && several).then(|| resample(&said, images, resamples));
    let variances = |n: usize| resampled.as_ref().zip(place(n)).map(|(r, at)| (&r.recipes[at], r.units));

    let usual = usual_machine(finished.iter().map(|recipe| &recipe.trials[..]));
    let machines: Vec<Option<&Environment>> = finished.iter().map(|recipe| timed_on(&recipe.trials, usual)).collect();
    let statistics: Vec<RecipeStatistics> =
        finished.iter().enumerate().map(|(n, recipe)| recipe_statistics(recipe, variances(n), machines[n])).collect();
    let sides: Vec<Side> = finished
        .iter()
        .zip(&statistics)
        .enumerate()
        .map(|(n, (recipe, statistics))| Side {
            name: &recipe.of.name,
            accuracies: &statistics.accuracy_by_seed,
            only_seed: match recipe.said.as_deref() {
                Some([one]) => Some(*one),
                _ => None,
            },
            luck: variances(n).map_or(0.0, |(variances, _)| variances.luck[ACCURACY]),
        })
        .collect();
    let image_part = |a: usize, b: usize| {
        let resampled = resampled.as_ref()?;
        let (a, b) = (place(a)?, place(b)?);
        let variance = resampled.differences[a.min(b)][a.max(b)];
        Some(ImagePart { variance, units: resampled.units, images: images.labels.len() })
    };
    let pairs = pairs(&sides, image_part, margin);
    let balanced = |recipe: &Finished| {
        recipe.metrics(|trial| &trial.valid).iter().map(|m| m.balanced_accuracy).collect::<Vec<f64>>()
    };
    let candidates: Vec<Candidate> = finished
        .iter()
        .zip(&statistics)
        .zip(&machines)
        .map(|((recipe, statistics), &machine)| Candidate {
            name: &recipe.of.name,
            parameters: recipe.of.record.parameters,
            // The figure that the pick is made with, and summed like it.
            mean: Spread::of(&balanced(recipe)).mean,
            accuracies: balanced(recipe),
            images: recipe.metrics(|trial| &trial.valid).first().map_or(0.0, |m| examples(m)),
            time: statistics.time.as_ref().map(|time| time.median_s).zip(machine),
        })
        .collect();
    let by_recipe: Vec<Said> =
        finished.iter().filter_map(|recipe| Some((recipe.of.name.as_str(), recipe.said.clone()?))).collect();
    let test_images =
        finished.first().and_then(|recipe| recipe.metrics(|trial| &trial.test).first().map(|m| examples(m)));
    let grouped = |writers: bool| {
        let is_so = images.groups.as_ref().is_some_and(|groups| groups.are_writers == writers);
        image_groups(images).filter(|_| is_so && resampled.is_some())
    };
    Comparison {
        chosen_by: ChosenBy::Validation,
        picked: best(by_name(), |s| &s.valid_balanced_accuracy, |t| &t.valid),
        best_on_test: best(by_name(), |s| &s.test_balanced_accuracy, |t| &t.test),
        level: LEVEL,
        margin,
        resamples: if resampled.is_some() { resamples } else { 0 },
        images: test_images.map_or(images.labels.len(), |n| n as usize),
        writers: grouped(true),
        image_groups: grouped(false),
        groups: groups(&statistics, &pairs),
        choice: choice(&candidates, margin),
        shared_mistakes: shared_mistakes(&by_recipe, images.labels.len()),
        recipes: statistics,
        pairs,
    }
}

fn recipe_statistics(
    recipe: &Finished,
    resampled: Option<(&Variances, usize)>,
    machine: Option<&Environment>,
) -> RecipeStatistics {
    let RecipeTrials { name, record, .. } = recipe.of;
    let diverged = record.trials.iter().filter(|trial| trial.status == Status::Diverged);
    let estimates = Estimates { by_seed: recipe.metrics(|trial| &trial.test), resampled };
    let classes = estimates.by_seed.iter().map(|m| m.per_class.len()).min().unwrap_or(0);
    RecipeStatistics {
        recipe: name.clone(),
        seeds: recipe.trials.iter().map(|trial| trial.seed).collect(),
        diverged: diverged.map(|trial| trial.seed).collect(),
        accuracy: estimates.accuracy(),
        accuracy_by_seed: estimates.by_seed.iter().map(|m| m.accuracy).collect(),
        balanced_accuracy: estimates.balanced_accuracy(),
        valid_accuracy: validation(&recipe.metrics(|trial| &trial.valid)),
        per_class: (0..classes).map(|class| estimates.class(class)).collect(),
        time: machine.and_then(|machine| time(&recipe.trials, machine)),
        target: record.settings.target.and_then(|at| target(at, &record.trials, machine)),
    }
}
