//! Repeats: a study compares recipes, each trained from several seeds, and keeps the record on disk.
//!
//! A [`Study`] is what a study file says. Together with a data set it becomes a [`PlannedStudy`], in which every shape
//! and every number is checked. [`run()`] works through its trials in a [`RunFolder`] and gives the
//! [`record::StudyRecord`], which is also `results.json`. A trial that is finished is never run again.
//!
//! This is the only crate that knows there is more than one trial, and the only one that computes a statistic. It
//! reads and writes files, but never prints.
#![forbid(unsafe_code)]

mod spec;
mod stop;

mod changes;
mod checkpoint;
mod ensemble;
mod identity;
mod json;
mod lease;
mod ledger;
mod merge;
mod plan;
mod run;
mod test_images;
mod trial;
mod views;
mod work;

pub mod calibration;
pub mod comparison;
pub mod diff;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod look;
pub mod metrics;
pub mod published;
pub mod record;
pub mod status;
pub mod verify;

mod finished;
mod folder;
mod stats;
#[cfg(test)]
mod testing;

pub use changes::{Earlier, changes_in_words};
pub use checkpoint::Unusable;
pub use finished::{FinishedStudy, FinishedStudyError, MAX_SEEDS};
pub use folder::{FolderError, RunFolder, SharedFolder};
pub use identity::{Difference, TRAINING_VERSION, TrialSettings};
pub use lease::STALE;
pub use merge::{Merge, MergeError};
pub use plan::{PlanError, PlannedStudy, Replace, Settings, TrialState};
pub use run::{DataChange, Position, ProcessorTime, RunError, StudyEvent, run};
pub use spec::{DataSettings, Recipe, Study, StudyFileError};
pub use tenfold_nn::nearest;
pub use trial::{Prediction, TrialFileError, predictions, seed_folder, trained, whole};
pub use work::{Left, WorkError, WorkEvent, Worker, take_in_workers, work};
