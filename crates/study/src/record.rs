//! The record of a study: `results.json`, a public contract. Fields are added freely; none is renamed.
//!
//! Every number is finite or null. Times are in seconds, losses in nats, accuracies from 0 to 1.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use tenfold_nn::Precision;
use tenfold_nn::data::{ImageShape, Labels};
use tenfold_nn::look::filter_layers;
use tenfold_nn::model::{Architecture, Init, Layer};
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::{EpochResult, Pixels, StopReason};

use crate::comparison::{ChosenBy, Comparison, Pick};
use crate::identity::TrialSettings;
use crate::metrics::Metrics;
use crate::published::PublishedRun;
use crate::run::ProcessorTime;

/// The record's file in a run folder.
pub const RESULTS: &str = "results.json";

/// The version of the record's form.
pub const SCHEMA: u32 = 1;

/// Everything that is reported about a study.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StudyRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The study's name.
    pub study: String,
    /// The study's title.
    pub title: String,
    /// What was learned from.
    pub dataset: DatasetRecord,
    /// Where the record was last added to.
    pub environment: Environment,
    /// Recipes that were run, in the order of the study.
    pub recipes: Vec<RecipeRecord>,
    /// Every time the labels of the test images were looked at.
    #[serde(default)]
    pub test_readings: Vec<TestReading>,
    /// What follows from the trials together.
    pub comparison: Comparison,
}

/// The times that the labels of the test images were looked at for one reason.
///
/// A look is what measures a network on them, or what decides by them. It is counted before it is taken, and running
/// again, with whatever settings, counts on. Tables and pictures that show a measurement again decide nothing and count
/// nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TestReading {
    /// Why.
    pub reason: ReadingReason,
    /// The recipe whose trial was measured; null where it was not one trial.
    pub recipe: Option<String>,
    /// Its seed.
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
}

impl Openings {
    /// Whether every trial was measured once, and nothing was decided by it.
    pub fn sealed(&self) -> bool {
        self.measurements == self.trials && self.choices == 0
    }
}

impl fmt::Display for Openings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Openings { trials, measurements, choices } = *self;
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
        if choices > 0 { write!(f, ", and {} to choose by it", times(choices)) } else { Ok(()) }
    }
}

/// A data set and how it was divided.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Its name.
    pub name: String,
    /// Examples that parameters were fitted to.
    pub train: usize,
    /// Examples that choices were made with.
    pub valid: usize,
    /// Examples that each finished network was measured on, once.
    pub test: usize,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// The SHA-256 over the four files, and over the first label where that is not 0, in hex.
    pub sha256: String,
    /// Chooses the validation examples.
    pub split_seed: u64,
    /// The SHA-256 over the seed and the indices of the validation examples, in hex.
    pub split_sha256: String,
    /// Where the images were read from; null where they are those inside the program.
    #[serde(default)]
    pub place: Option<DataPlace>,
    /// The number that the label files give to class 0.
    #[serde(default)]
    pub first_label: u32,
    /// Sentences on how the files were understood, and what is odd about the examples.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl DatasetRecord {
    /// What the numbers of its label files mean.
    pub fn labels(&self) -> Labels {
        Labels { first: self.first_label, classes: self.classes }
    }
}

/// Where the images of a run were read from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DataPlace {
    /// As it was typed.
    pub given: String,
    /// From the root of the file system.
    pub absolute: String,
}

/// Where a trial was run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name for itself.
    pub cpu: String,
    /// The instruction set of the kernels.
    pub isa: String,
    /// Threads that computed.
    pub threads: usize,
    /// Of the program.
    pub version: String,
    /// The commit that the program was built from.
    pub commit: String,
}

/// A recipe and its trials.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecipeRecord {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// The network, each layer in its canonical form.
    pub layers: Vec<String>,
    /// Examples in one step.
    pub batch_size: usize,
    /// The most epochs.
    pub epochs: usize,
    /// Validation accuracy that ended training, if there was one.
    pub target: Option<f64>,
    /// Epochs without a lower validation loss that ended training, if there was a limit.
    pub patience: Option<usize>,
    /// How a gradient became a step.
    pub optimizer: Optimizer,
    /// How the learning rate changed.
    pub schedule: Schedule,
    /// How parameters started.
    pub init: Init,
    /// What the network saw of a pixel.
    pub pixels: Pixels,
    /// What the large products were computed of.
    #[serde(default)]
    pub precision: Precision,
    /// Number of learned values.
    pub parameters: u64,
    /// Multiply-adds of one example forward.
    pub macs_forward: u64,
    /// The finished trials together; none if there is none.
    pub summary: Option<Summary>,
    /// The published figures that this recipe repeats. They are not ours.
    pub published: Option<PublishedRecord>,
    /// By seed.
    pub trials: Vec<TrialRecord>,
}

impl RecipeRecord {
    /// The trials that have finished, by seed.
    pub fn finished(&self) -> impl Iterator<Item = &TrialRecord> {
        self.trials.iter().filter(|trial| trial.status == Status::Finished)
    }

    /// How many classes occur among the test examples, and how many there are; none without a finished trial.
    pub fn occurring(&self) -> Option<(usize, usize)> {
        let tests = self.finished().filter_map(|trial| trial.test.as_ref());
        let mut known = tests.filter(|test| !test.per_class.is_empty());
        known.next().map(|test| (test.occurring(), test.per_class.len()))
    }

    /// Whether it has a layer of this name whose filters can be drawn, such as `conv1`.
    pub fn has_filters(&self, dataset: &DatasetRecord, name: &str) -> bool {
        let network = self.architecture(dataset);
        network.is_ok_and(|network| filter_layers(&network).iter().any(|layer| layer.name == name))
    }

    /// The network, or what is wrong with what the record says of it.
    pub fn architecture(&self, dataset: &DatasetRecord) -> Result<Architecture, String> {
        self.pixels.check()?;
        let layers: Result<Vec<Layer>, _> = self.layers.iter().map(|layer| layer.parse::<Layer>()).collect();
        let [channels, height, width] = dataset.shape;
        let layers = layers.map_err(|error| error.to_string())?;
        Architecture::new(ImageShape { channels, height, width }, layers, dataset.classes)
            .map_err(|error| error.to_string())
    }
}

/// One recipe trained from one seed; also `trials/<recipe>/seed-<n>/result.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialRecord {
    /// The recipe's name.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// The SHA-256, in hex, of all that determines the trial's bits.
    pub identity: String,
    /// What determines the trial's bits; missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<TrialSettings>,
    /// What the large products were computed of.
    #[serde(default)]
    pub precision: Precision,
    /// How it ended.
    pub status: Status,
    /// Why it ended, and when.
    pub stopped: Stopped,
    /// By epoch, from epoch 1.
    pub epochs: Vec<EpochRecord>,
    /// Time spent in training steps.
    pub train_time_s: f64,
    /// What the final network reached on the validation examples; null unless finished.
    pub valid: Option<Metrics>,
    /// What the final network reached on the test examples; null unless finished.
    pub test: Option<Metrics>,
    /// The SHA-256, in hex, of `model.safetensors`; null unless finished.
    pub weights_sha256: Option<String>,
    /// The SHA-256, in hex, of `filters.safetensors`, the kernels before training and after each epoch; null where none
    /// were kept.
    #[serde(default)]
    pub filters_sha256: Option<String>,
    /// Where it was run.
    pub environment: Environment,
    /// Whether its time can be compared.
    #[serde(default)]
    pub timing: Timing,
    /// Whether it finished with a loss far above chance level: its last epoch's losses, on training and on validation, were
    /// more than [`TrialRecord::FAR`] times [`chance_loss`]. It is a result all the same.
    #[serde(default)]
    pub far_above_chance: bool,
}

impl TrialRecord {
    /// How many times the loss of chance is far above it: at twice, the right class is given the square of what chance gives
    /// it (in the geometric mean), a hundredth instead of a tenth. A network that learns nothing stays within a few percent of
    /// chance; one that learns by heart has a high loss on validation, but not on training; one that starts badly and recovers
    /// within its only epoch has a high loss on training, but not on validation.
    pub const FAR: f64 = 2.0;

    /// What [`TrialRecord::far_above_chance`] is to be. A loss that is not finite is above all.
    pub(crate) fn is_far_above_chance(&self, classes: usize) -> bool {
        let above = |loss: Option<f64>| loss.is_none_or(|loss| loss > TrialRecord::FAR * chance_loss(classes));
        let last = self.epochs.last();
        self.status == Status::Finished && last.is_some_and(|last| above(last.train_loss) && above(last.valid_loss))
    }
}

/// The cross-entropy, in nats, of who knows nothing and gives all classes the same probability.
pub fn chance_loss(classes: usize) -> f64 {
    (classes as f64).ln()
}

/// What is known about the circumstances of a trial's time.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Processor time over wall time of the training threads together, from 0 to the number of threads; null where the
    /// system does not tell.
    pub cpu_share: Option<f64>,
    /// Time of other work on the machine meanwhile, in processors; null where the system does not tell.
    pub other_load: Option<f64>,
    /// Whether other work ran beside it, so that its time says little.
    pub busy: bool,
}

impl Timing {
    /// The most processors that other work may take for each thread of ours.
    pub const QUIET: f64 = 0.1;

    /// Seconds of other work that may be nothing but the coarse ticks in which systems count it.
    const COARSE_S: f64 = 0.05;

    /// Of a training on `threads` threads that took `wall_s`, from the processor time that had been spent before and
    /// after it.
    pub(crate) fn between(
        before: Option<ProcessorTime>,
        after: Option<ProcessorTime>,
        wall_s: f64,
        threads: usize,
    ) -> Timing {
        let (Some(before), Some(after)) = (before, after) else { return Timing::default() };
        let (own_s, all_s) = (after.own_s - before.own_s, after.all_s - before.all_s);
        // A clock that runs backwards tells nothing.
        if !(wall_s > 0.0 && own_s >= 0.0 && all_s >= 0.0) {
            return Timing::default();
        }
        let other_s = (all_s - own_s).max(0.0);
        Timing {
            cpu_share: Some(own_s / wall_s),
            other_load: Some(other_s / wall_s),
            busy: other_s > Timing::COARSE_S && other_s > Timing::QUIET * threads as f64 * wall_s,
        }
    }
}

/// How a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained to its end and measured.
    Finished,
    /// The loss stopped being a number.
    Diverged,
    /// Stopped from outside; it is run again next time.
    Interrupted,
}

/// Why and when a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// Why.
    pub reason: Reason,
    /// The epoch in which it ended, from 1.
    pub epoch: usize,
}

/// Why a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// All epochs were run, and nothing else was asked for.
    Epochs,
    /// The target was reached.
    Target,
    /// All epochs were run without reaching the target.
    Limit,
    /// The validation loss had not fallen for as long as was allowed.
    Patience,
    /// The loss stopped being a number.
    Diverged,
    /// It was stopped from outside.
    Interrupted,
}

impl From<StopReason> for Reason {
    fn from(reason: StopReason) -> Reason {
        match reason {
            StopReason::Epochs => Reason::Epochs,
            StopReason::Target => Reason::Target,
            StopReason::Limit => Reason::Limit,
            StopReason::Patience => Reason::Patience,
            StopReason::Diverged => Reason::Diverged,
            StopReason::Interrupted => Reason::Interrupted,
        }
    }
}

/// One epoch of a trial. A loss is null where it was not finite.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean per example, as the training step saw it.
    pub train_loss: Option<f64>,
    /// Mean per example.
    pub valid_loss: Option<f64>,
    /// The share of validation examples that were right.
    pub valid_accuracy: Option<f64>,
    /// Time spent in training steps.
    pub train_time_s: f64,
    /// Time spent on the validation examples.
    pub evaluation_time_s: f64,
}

impl From<&EpochResult> for EpochRecord {
    fn from(epoch: &EpochResult) -> EpochRecord {
        let finite = |number: f64| number.is_finite().then_some(number);
        EpochRecord {
            epoch: epoch.epoch,
            train_loss: finite(epoch.train_loss),
            valid_loss: finite(epoch.valid_loss),
            valid_accuracy: finite(epoch.valid_accuracy),
            train_time_s: epoch.train_time_s,
            evaluation_time_s: epoch.evaluation_time_s,
        }
    }
}

/// The finished trials of a recipe together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Number of finished trials; all figures are over these.
    pub finished: usize,
    /// Number of trials that diverged.
    pub diverged: usize,
    /// Epochs trained.
    pub epochs: Spread,
    /// Time spent in training steps.
    pub train_time_s: Spread,
    /// On the validation examples.
    pub valid_balanced_accuracy: Spread,
    /// On the test examples.
    pub test_accuracy: Spread,
    /// On the test examples.
    pub test_balanced_accuracy: Spread,
}

/// Mean, smallest and largest of a figure over seeds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: &[f64]) -> Spread {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Rounding must not carry a mean of equal numbers past them.
        let mean = (numbers.iter().sum::<f64>() / numbers.len() as f64).clamp(low, high);
        Spread { mean, low, high }
    }
}

/// Figures of the published study, as printed there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PublishedRecord {
    /// What its authors called the network.
    pub title: String,
    /// On the test images.
    pub test_accuracy: f64,
    /// On the test images.
    pub balanced_accuracy: f64,
    /// On a machine that was not stated.
    pub training_time_s: f64,
    /// By epoch; printed sums over batches are divided by the number of batches.
    pub train_loss: Vec<f64>,
    /// By epoch; empty where it was not printed.
    pub valid_loss: Vec<f64>,
    /// By epoch.
    pub valid_accuracy: Vec<f64>,
}

impl From<&PublishedRun> for PublishedRecord {
    fn from(run: &PublishedRun) -> PublishedRecord {
        PublishedRecord {
            title: run.title.clone(),
            test_accuracy: run.test_accuracy,
            balanced_accuracy: run.balanced_accuracy,
            training_time_s: run.training_time_s,
            train_loss: run.train_loss(),
            valid_loss: run.valid_loss.clone(),
            valid_accuracy: run.valid_accuracy.clone(),
        }
    }
}

impl StudyRecord {
    /// The text of `results.json`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has plain values") + "\n"
    }

    /// Fills in what follows from the trials.
    pub(crate) fn summarize(&mut self) {
        for recipe in &mut self.recipes {
            recipe.summary = summary(&recipe.trials);
        }
        self.comparison.picked = self.pick(|_| true);
        self.comparison.best_on_test = self.best_on_test(|_| true);
    }

    /// The best by what choices of this record are made by, among the recipes that `eligible` says.
    pub fn pick(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        match self.comparison.chosen_by {
            ChosenBy::Validation => self.best_on_validation(eligible),
            ChosenBy::Test => self.best_on_test(eligible),
        }
    }

    fn best_on_test(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        best(self.by_name(eligible), |s| &s.test_balanced_accuracy, |t| &t.test)
    }

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
        }
    }

    /// The best on validation, among the recipes that `eligible` says.
    pub fn best_on_validation(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> Option<Pick> {
        best(self.by_name(eligible), |s| &s.valid_balanced_accuracy, |t| &t.valid)
    }

    fn by_name(&self, eligible: impl Fn(&RecipeRecord) -> bool) -> impl Iterator<Item = (&str, &RecipeRecord)> {
        self.recipes.iter().filter(move |recipe| eligible(recipe)).map(|recipe| (recipe.name.as_str(), recipe))
    }
}

/// The mean of each figure over the finished trials, for the epochs that all of them have; none of fewer than two trials.
pub fn mean_epochs(trials: &[TrialRecord]) -> Vec<EpochRecord> {
    let finished: Vec<&TrialRecord> = trials.iter().filter(|t| t.status == Status::Finished).collect();
    let shared = finished.iter().map(|trial| trial.epochs.len()).min().unwrap_or(0);
    if finished.len() < 2 {
        return Vec::new();
    }
    let mean = |at: usize, figure: &dyn Fn(&EpochRecord) -> Option<f64>| {
        let sum: Option<f64> = finished.iter().map(|trial| figure(&trial.epochs[at])).sum();
        sum.map(|sum| sum / finished.len() as f64)
    };
    let epoch = |at: usize| EpochRecord {
        epoch: at + 1,
        train_loss: mean(at, &|e| e.train_loss),
        valid_loss: mean(at, &|e| e.valid_loss),
        valid_accuracy: mean(at, &|e| e.valid_accuracy),
        train_time_s: mean(at, &|e| Some(e.train_time_s)).unwrap_or(0.0),
        evaluation_time_s: mean(at, &|e| Some(e.evaluation_time_s)).unwrap_or(0.0),
    };
    (0..shared).map(epoch).collect()
}

fn summary(trials: &[TrialRecord]) -> Option<Summary> {
    let finished: Vec<&TrialRecord> = trials.iter().filter(|t| t.status == Status::Finished).collect();
    if finished.is_empty() {
        return None;
    }
    let spread = |figure: &dyn Fn(&TrialRecord) -> Option<f64>| {
        Spread::of(&finished.iter().filter_map(|trial| figure(trial)).collect::<Vec<_>>())
    };
    if finished.iter().any(|trial| trial.valid.is_none() || trial.test.is_none()) {
        return None;
    }
    Some(Summary {
        finished: finished.len(),
        diverged: trials.iter().filter(|t| t.status == Status::Diverged).count(),
        epochs: spread(&|t| Some(t.stopped.epoch as f64)),
        train_time_s: spread(&|t| Some(t.train_time_s)),
        valid_balanced_accuracy: spread(&|t| t.valid.as_ref().map(|m| m.balanced_accuracy)),
        test_accuracy: spread(&|t| t.test.as_ref().map(|m| m.accuracy)),
        test_balanced_accuracy: spread(&|t| t.test.as_ref().map(|m| m.balanced_accuracy)),
    })
}

/// The recipe whose mean of the figure is highest, and its seed with the highest. Of equals, the first.
pub(crate) fn best<'a>(
    recipes: impl Iterator<Item = (&'a str, &'a RecipeRecord)>,
    figure: impl Fn(&Summary) -> &Spread,
    metrics: impl Fn(&TrialRecord) -> &Option<Metrics>,
) -> Option<Pick> {
    let mut best: Option<(&str, &RecipeRecord, Summary)> = None;
    for (name, recipe) in recipes {
        let Some(summary) = summary(&recipe.trials) else { continue };
        if best.as_ref().is_none_or(|(_, _, other)| figure(&summary).mean > figure(other).mean) {
            best = Some((name, recipe, summary));
        }
    }
    let (name, recipe, summary) = best?;
    let mut seed: Option<(u64, f64)> = None;
    for trial in &recipe.trials {
        let Some(metrics) = metrics(trial) else { continue };
        if seed.is_none_or(|(_, other)| metrics.balanced_accuracy > other) {
            seed = Some((trial.seed, metrics.balanced_accuracy));
        }
    }
    Some(Pick {
        recipe: name.to_owned(),
        seed: seed?.0,
        valid_balanced_accuracy: summary.valid_balanced_accuracy.mean,
        test_balanced_accuracy: summary.test_balanced_accuracy.mean,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{environment, recipe_record, trial_record};

    fn metrics(balanced_accuracy: f64) -> Metrics {
        let labels = [0, 1];
        Metrics { balanced_accuracy, ..Metrics::new(&labels, &labels, 2, 0.5) }
    }

    /// A recipe whose trials have these balanced accuracies on validation and test.
    fn recipe(name: &str, figures: &[(f64, f64)]) -> RecipeRecord {
        let trial = |(index, &(valid, test)): (usize, &(f64, f64))| TrialRecord {
            stopped: Stopped { reason: Reason::Epochs, epoch: index + 10 },
            test: Some(metrics(test)),
            ..trial_record(name, index as u64 + 1, metrics(valid))
        };
        recipe_record(name, figures.iter().enumerate().map(trial).collect())
    }

    fn study(recipes: Vec<RecipeRecord>) -> StudyRecord {
        let text = || "test".to_owned();
        let dataset = DatasetRecord {
            name: text(),
            train: 1,
            valid: 1,
            test: 1,
            shape: [1, 1, 1],
            classes: 2,
            sha256: text(),
            split_seed: 0,
            split_sha256: text(),
            place: None,
            first_label: 0,
            warnings: Vec::new(),
        };
        let comparison = Comparison::default();
        let mut study = StudyRecord {
            schema: SCHEMA,
            study: text(),
            title: text(),
            dataset,
            environment: environment(),
            recipes,
            test_readings: Vec::new(),
            comparison,
        };
        study.summarize();
        study
    }

    #[test]
    fn picks_are_by_the_mean_over_seeds() {
        let study = study(vec![
            recipe("lucky", &[(0.99, 0.97), (0.93, 0.93)]),
            recipe("steady", &[(0.96, 0.94), (0.98, 0.95)]),
            recipe("equal", &[(0.98, 0.90), (0.96, 0.90)]),
            recipe("none", &[]),
        ]);
        let picked = study.comparison.picked.as_ref().expect("there is a best");
        assert_eq!((picked.recipe.as_str(), picked.seed), ("steady", 2), "of equals the first; its better seed");
        assert!((picked.valid_balanced_accuracy - 0.97).abs() < 1e-12);
        let on_test = study.comparison.best_on_test.as_ref().expect("there is a best");
        assert_eq!((on_test.recipe.as_str(), on_test.seed), ("lucky", 1));
        assert_eq!(study.best_on_validation(|recipe| recipe.name == "none"), None);
    }

    #[test]
    fn a_choice_by_test_follows_test() {
        let mut study = study(vec![recipe("sound", &[(0.9, 0.8)]), recipe("lucky", &[(0.8, 0.85), (0.8, 0.9)])]);
        assert_eq!(study.comparison.picked.as_ref().map(|pick| pick.recipe.as_str()), Some("sound"));
        study.comparison.chosen_by = ChosenBy::Test;
        study.summarize();
        assert_eq!(study.comparison.picked, study.comparison.best_on_test);
        assert_eq!(study.pick(|_| true).map(|pick| (pick.recipe, pick.seed)), Some(("lucky".to_owned(), 2)));
        assert!(study.to_json().contains("\"chosen_by\": \"test\""));
    }

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
        use ReadingReason::{Choice, Trial};
        let cases: [(&[TestReading], &str); 5] = [
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
            assert_eq!(study.openings().sealed(), words.ends_with("fixed"), "{words}");
        }
        study.recipes.clear();
        study.test_readings.clear();
        assert_eq!(study.openings().to_string(), "test was not opened");
    }

    #[test]
    fn time_beside_other_work_is_marked() {
        let at = |own_s, all_s| Some(ProcessorTime { own_s, all_s });
        let timing = |other_s, threads| Timing::between(at(5.0, 100.0), at(25.0, 120.0 + other_s), 10.0, threads);
        assert_eq!(timing(1.0, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.1), busy: false });
        assert_eq!(timing(2.5, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.25), busy: true });
        assert_eq!(timing(-1.0, 2).other_load, Some(0.0), "two clocks that are read one after the other");
        // A few ticks of a hundredth of a second are no load.
        let short = Timing::between(at(0.0, 0.0), at(0.1, 0.14), 0.1, 1);
        assert!(!short.busy && short.other_load.is_some_and(|load| load > 0.3), "{short:?}");
        for (before, after) in [(None, at(1.0, 1.0)), (at(1.0, 1.0), None), (at(2.0, 2.0), at(1.0, 1.0))] {
            assert_eq!(Timing::between(before, after, 10.0, 1), Timing::default());
        }
        assert_eq!(Timing::between(at(0.0, 0.0), at(0.0, 0.0), 0.0, 1), Timing::default());
    }

    #[test]
    fn what_ends_far_above_chance_is_marked() {
        let mut trial = trial_record("any", 1, metrics(0.1));
        let epoch = |train_loss, valid_loss| EpochRecord {
            epoch: 1,
            train_loss,
            valid_loss,
            valid_accuracy: Some(0.1),
            train_time_s: 1.0,
            evaluation_time_s: 0.1,
        };
        let mut marked = |epochs: &[EpochRecord], status| {
            (trial.epochs, trial.status) = (epochs.to_vec(), status);
            trial.is_far_above_chance(10)
        };
        let lost = epoch(Some(25_171_306.0), Some(2e6));
        for (what, epochs, status, expected) in [
            ("no epoch", &[][..], Status::Finished, false),
            ("chance", &[epoch(Some(2.35), Some(2.4))], Status::Finished, false),
            ("blown up", &[lost], Status::Finished, true),
            ("an infinite loss on validation", &[epoch(Some(1e30), None)], Status::Finished, true),
            ("learned by heart", &[epoch(Some(0.01), Some(9.0))], Status::Finished, false),
            ("a bad start", &[epoch(Some(40.0), Some(0.5))], Status::Finished, false),
            ("recovered", &[lost, epoch(Some(0.5), Some(0.5))], Status::Finished, false),
            ("not finished", &[lost], Status::Interrupted, false),
        ] {
            assert_eq!(marked(epochs, status), expected, "{what}");
        }
        // The same loss is far above chance with two classes and near it with a thousand.
        assert_eq!([2, 1000].map(|classes| 6.0 > TrialRecord::FAR * chance_loss(classes)), [true, false]);
    }

    #[test]
    fn a_summary_has_mean_and_range() {
        let study = study(vec![recipe("one", &[(0.5, 0.25), (0.75, 0.75), (0.625, 0.5)])]);
        let summary = study.recipes[0].summary.as_ref().expect("trials finished");
        assert_eq!(summary.test_balanced_accuracy, Spread { mean: 0.5, low: 0.25, high: 0.75 });
        assert_eq!(summary.epochs, Spread { mean: 11.0, low: 10.0, high: 12.0 });
        assert_eq!((summary.finished, summary.diverged), (3, 0));
        let equal = Spread::of(&[0.1; 3]);
        assert_eq!((equal.mean, equal.low, equal.high), (0.1, 0.1, 0.1));
    }

    #[test]
    fn a_record_reads_back_the_same_and_has_no_nan() {
        let mut study = study(vec![recipe("one", &[(0.1 + 0.2, 1.0 / 3.0)])]);
        let nan = EpochResult {
            epoch: 1,
            train_loss: f64::NAN,
            valid_loss: f64::INFINITY,
            valid_accuracy: 0.1,
            train_time_s: 0.7,
            evaluation_time_s: 0.2,
        };
        study.recipes[0].trials[0].epochs = vec![(&nan).into()];
        let json = study.to_json();
        assert!(json.contains("\"train_loss\": null") && json.contains("\"valid_loss\": null"), "{json}");
        assert_eq!(serde_json::from_str::<StudyRecord>(&json).expect("it reads back"), study);
    }
}
