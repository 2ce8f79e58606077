//! The record of a study: `results.json`, a public contract. Fields are added freely; none is renamed.
//!
//! Every number is finite or null. Times are in seconds, losses in nats, accuracies from 0 to 1.

use serde::{Deserialize, Serialize};
use tenfold_nn::data::{ImageShape, Labels, Options, Shares};
use tenfold_nn::look::filter_layers;
use tenfold_nn::model::{Architecture, BlockText};
use tenfold_nn::train::TrainSettings;

use crate::comparison::Comparison;
use crate::published::PublishedRun;

mod ensemble;
mod machines;
mod readings;
mod summary;
#[cfg(test)]
mod testing;
mod timing;
mod trial;
mod views;

pub use ensemble::EnsembleRecord;
pub use machines::Machines;
pub use readings::{Openings, ReadingReason, TestReading};
pub(crate) use summary::best;
pub use summary::{Spread, Summary, mean_epochs};
pub(crate) use timing::Spent;
pub use timing::Timing;
pub use trial::{EpochRecord, Reason, Status, Stopped, TrialRecord, chance_loss};
pub use views::{SeedViews, ViewsRecord};

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
    /// What was asked for when the folder was last planned or run; missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Recipes that were run, in the order of the study.
    pub recipes: Vec<RecipeRecord>,
    /// Every time the labels of the test images were looked at.
    #[serde(default)]
    pub test_readings: Vec<TestReading>,
    /// Folders of workers whose counts are in `test_readings` already, while what else is in them is taken out; missing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_in: Vec<String>,
    /// What follows from the trials together.
    pub comparison: Comparison,
}

/// The trainings that were asked for: each of the recipes from the seeds 1 to `seeds`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Names of recipes of the study, in its order.
    pub recipes: Vec<String>,
    /// The last seed.
    pub seeds: u64,
    /// Whether published figures stand beside ours.
    pub published: bool,
    /// Identities of the trainings that may take the place of finished ones of other settings, data or training code, until all
    /// that was asked for is done. What is planned later was not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_replace: Vec<String>,
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
    /// What identifies the data, a SHA-256 in hex.
    pub sha256: String,
    /// Chooses the validation examples.
    pub split_seed: u64,
    /// What identifies the choice of the examples that were set apart, a SHA-256 in hex.
    pub split_sha256: String,
    /// Where the images were read from; null where they are those inside the program.
    #[serde(default)]
    pub place: Option<DataPlace>,
    /// How they were understood and divided; null for MNIST, and for runs of versions that knew IDX files alone.
    #[serde(default)]
    pub reading: Option<Reading>,
    /// The number that the label files give to class 0, in runs of versions that did not name classes.
    #[serde(default)]
    pub first_label: u32,
    /// The name of each class.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// Sentences on how the images were understood and divided.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Sentences on what is odd about them.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How images that people brought were understood and divided.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// What was told about them.
    pub options: Options,
    /// What was set apart where they did not say that themselves.
    pub shares: Shares,
}

impl DatasetRecord {
    /// How other images are to be read for a network that was trained on these.
    pub fn images(&self) -> Options {
        let [channels, height, width] = self.shape;
        let options = self.reading.as_ref().map(|reading| reading.options.clone()).unwrap_or_default();
        options.of_others(ImageShape { channels, height, width })
    }

    /// What the numbers of its label files mean, in runs of versions that did not name classes.
    pub fn labels(&self) -> Labels {
        Labels { first: self.first_label, classes: self.classes }
    }

    /// Names the classes of a record that does not: by the numbers of the label files.
    pub(crate) fn complete_names(&mut self) {
        if self.class_names.is_empty() {
            self.class_names = self.labels().names();
        }
    }
}

/// Where the images of a run were read from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DataPlace {
    /// As it was typed.
    pub given: String,
    /// From the root of the file system.
    pub absolute: String,
    /// From the run folder on, with `/` between names; null where the two share no folder but the root, and in runs of
    /// versions that did not keep it.
    #[serde(default)]
    pub from_run: Option<String>,
}

/// Where a trial was run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// The machine's name for itself; empty where it has none, and in records of earlier versions.
    #[serde(default)]
    pub host: String,
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
    /// The network, each layer in its canonical form; a list in the list is a residual block.
    pub layers: Vec<BlockText>,
    /// How it was trained.
    #[serde(flatten)]
    pub settings: TrainSettings,
    /// Number of learned values.
    pub parameters: u64,
    /// Multiply-adds of one example forward.
    pub macs_forward: u64,
    /// The finished trials together; none if there is none.
    pub summary: Option<Summary>,
    /// The published figures that this recipe repeats. They are not ours.
    pub published: Option<PublishedRecord>,
    /// Its finished trials as one; missing with fewer than two, while a run goes on, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<EnsembleRecord>,
    /// Its finished trials with test-time augmentation; missing where none was asked for, and while a run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_time_augmentation: Option<ViewsRecord>,
    /// By seed.
    pub trials: Vec<TrialRecord>,
}

impl RecipeRecord {
    /// The trials that have finished, by seed.
    pub fn finished(&self) -> impl Iterator<Item = &TrialRecord> {
        self.trials.iter().filter(|trial| trial.status == Status::Finished)
    }

    /// Whether its finished trials are those of these seeds, whose `model.safetensors` have these SHA-256.
    fn has_networks<'a>(&self, networks: impl Iterator<Item = (u64, &'a str)>) -> bool {
        let now = self.finished().map(|trial| (trial.seed, trial.weights_sha256.as_deref()));
        now.eq(networks.map(|(seed, sha256)| (seed, Some(sha256))))
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

    /// The network.
    ///
    /// # Errors
    /// A sentence on what is wrong with what the record says of it.
    pub fn architecture(&self, dataset: &DatasetRecord) -> Result<Architecture, String> {
        self.settings.pixels.check()?;
        self.settings.pixels.check_channels(dataset.shape[0])?;
        let layers: Result<Vec<_>, _> = self.layers.iter().map(BlockText::parse).collect();
        let [channels, height, width] = dataset.shape;
        let layers = layers.map_err(|error| error.to_string())?;
        Architecture::of_blocks(ImageShape { channels, height, width }, layers, dataset.classes)
            .map_err(|error| error.to_string())
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
        crate::json::pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{recipe, study};
    use super::*;
    use tenfold_nn::train::EpochResult;

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

    #[test]
    fn a_recipe_is_written_as_it_always_was_and_older_records_are_read() {
        let text = r#"{"name":"r","title":"R","layers":["linear 10"],"batch_size":64,"epochs":30,"target":0.99,"#
            .to_owned()
            + r#""patience":null,"optimizer":{"kind":"adam","lr":0.001,"betas":[0.9,0.999],"eps":1e-8,"#
            + r#""weight_decay":0.0},"schedule":{"kind":"step","every":1,"factor":0.83},"init":"zero","#
            + r#""pixels":{"mean":0.1307,"std":0.3081},"precision":"f32","class_weights":"none","label_smoothing":0.0,"clip_norm":null,"ema":null,"augment":"none","parameters":7850,"macs_forward":7840,"#
            + r#""summary":null,"published":null,"trials":[]}"#;
        let record: RecipeRecord = serde_json::from_str(&text).expect("a recipe");
        assert_eq!(serde_json::to_string(&record).expect("plain values"), text);
        let older = text.replace(
            r#""precision":"f32","class_weights":"none","label_smoothing":0.0,"clip_norm":null,"ema":null,"augment":"none","#,
            "",
        );
        assert_eq!(serde_json::from_str::<RecipeRecord>(&older).expect("a recipe"), record);
        // What was always there is missed.
        let cut = text.replace(r#""batch_size":64,"#, "");
        let error = serde_json::from_str::<RecipeRecord>(&cut).expect_err("it is not whole");
        assert!(error.to_string().starts_with("missing field `batch_size`"), "{error}");
    }
}
