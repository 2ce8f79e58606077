//! What several tests need.

use std::path::{Path, PathBuf};

use tenfold_nn::Precision;
use tenfold_nn::data::{Dataset, HeldOut, ImageShape, Source, Splits};
use tenfold_nn::train::TrainSettings;

use crate::comparison::{ChosenBy, MARGIN};
use crate::metrics::Metrics;
use crate::plan::{PlannedStudy, Replace, Settings};
use crate::record::{Environment, Reason, RecipeRecord, Status, Stopped, Timing, TrialRecord};
use crate::spec::Study;

/// A new folder that is removed at the end of the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A folder for the test of this name: in memory where there is such a file system, since these tests write and sync so
/// many files that they would do little but wait for a disk.
pub(crate) fn scratch(name: &str) -> Scratch {
    let name = format!("tenfold-study-{name}-{}", std::process::id());
    let made = |place: &Path| {
        let path = place.join(&name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map(|()| Scratch(path))
    };
    let memory = Path::new("/dev/shm");
    let in_memory = if memory.is_dir() { made(memory).ok() } else { None };
    in_memory.unwrap_or_else(|| made(&std::env::temp_dir()).expect("the temporary folder can be written"))
}

/// Some machine.
pub(crate) fn environment() -> Environment {
    let text = || "test".to_owned();
    Environment { host: text(), cpu: text(), isa: text(), threads: 1, version: text(), commit: text() }
}

/// From the seeds 1 to `seeds`.
pub(crate) fn settings(seeds: u64, replace: bool) -> Settings {
    Settings {
        seeds,
        only: Vec::new(),
        epochs: None,
        precision: None,
        environment: environment(),
        free_memory_bytes: None,
        published: false,
        place: None,
        reading: None,
        replace: if replace { Replace::Any } else { Replace::Nothing },
        chosen_by: ChosenBy::Validation,
        margin: MARGIN,
    }
}

/// This study on these images, from the seeds 1 to `seeds`.
pub(crate) fn plan(study: &str, splits: &Splits, seeds: u64, replace: bool) -> PlannedStudy {
    let study = Study::parse(study, "small.toml").expect("a study");
    PlannedStudy::new(study, splits, settings(seeds, replace)).expect("it fits")
}

/// A finished trial that reached these metrics on validation and test.
pub(crate) fn trial_record(recipe: &str, seed: u64, metrics: Metrics) -> TrialRecord {
    TrialRecord {
        recipe: recipe.to_owned(),
        seed,
        identity: "test".to_owned(),
        settings: None,
        precision: Precision::F32,
        status: Status::Finished,
        stopped: Stopped { reason: Reason::Epochs, epoch: 10 },
        epochs: Vec::new(),
        train_time_s: 1.5,
        valid: Some(metrics.clone()),
        test: Some(metrics),
        calibration: None,
        weights_sha256: Some("test".to_owned()),
        filters_sha256: None,
        environment: environment(),
        timing: Timing::default(),
        far_above_chance: false,
    }
}

/// A recipe with these trials.
pub(crate) fn recipe_record(name: &str, trials: Vec<TrialRecord>) -> RecipeRecord {
    RecipeRecord {
        name: name.to_owned(),
        title: name.to_owned(),
        layers: Vec::new(),
        settings: TrainSettings { batch_size: 1, epochs: 1, ..TrainSettings::default() },
        parameters: 1,
        macs_forward: 1,
        summary: None,
        published: None,
        ensemble: None,
        test_time_augmentation: None,
        trials,
    }
}

/// A few images of noise in two classes, split.
pub(crate) fn splits() -> Splits {
    let shape = ImageShape { channels: 1, height: 4, width: 4 };
    let images = |n: usize| {
        let pixels = (0..n * 16).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
        Dataset::new(pixels, (0..n).map(|i| (i % 2) as u16).collect(), shape, 2).expect("the images are fine")
    };
    let (train, test) = (images(60), HeldOut::new(images(40)));
    let (name, sha256) = ("noise".to_owned(), "noise".to_owned());
    let source = Source { name, train, test, first_label: 0, sha256, files: Vec::new(), notes: Vec::new() };
    source.split(20, 0).expect("there are enough")
}
