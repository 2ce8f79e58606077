//! What a training reports while it runs, and what it ends with.

use super::Snapshot;
use crate::model::Model;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is reported while training.
#[derive(Debug)]
pub enum Event<'a> {
    /// An epoch begins, or goes on where the training was stopped.
    EpochStarted {
        /// Its number, from 1.
        epoch: usize,
        /// Steps that it has.
        steps: usize,
        /// Of these, so many were done before.
        done: usize,
    },
    /// A step is done.
    Step {
        /// Number of the epoch, from 1.
        epoch: usize,
        /// Number of the step within the epoch, from 1.
        step: usize,
        /// Steps of the epoch.
        steps: usize,
        /// Examples of the step.
        examples: usize,
    },
    /// The steps of an epoch are done, and validation begins, or a batch of it is done.
    Evaluating {
        /// Number of the epoch, from 1.
        epoch: usize,
        /// Validation examples that are done.
        done: usize,
    },
    /// An epoch is done. What is done with the model meanwhile is not training time.
    Epoch {
        /// What became of it.
        result: &'a EpochResult,
        /// The network as it is now.
        model: &'a Model,
    },
    /// Where the training is, as [`Flow::Snapshot`] asked; the last event of a training that [`Flow::Stop`] ended. What
    /// is done with it meanwhile is not training time.
    Snapshot {
        /// All that the training needs to go on from here.
        snapshot: &'a Arc<Snapshot>,
    },
}

/// Whether training goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// It does.
    Continue,
    /// It does, after an [`Event::Snapshot`].
    Snapshot,
    /// It ends here, as [`StopReason::Interrupted`], after an [`Event::Snapshot`].
    Stop,
}

/// What one epoch gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss per example as the training steps saw it, in nats: with class weights, the mean of weighted losses.
    pub train_loss: f64,
    /// Mean loss per example on the validation set after the epoch, in nats. Every example counts the same, whatever the
    /// class weights, so that recipes can be compared.
    pub valid_loss: f64,
    /// Share of the validation set that is classified rightly after the epoch.
    pub valid_accuracy: f64,
    /// Seconds spent on training steps.
    pub train_time_s: f64,
    /// Seconds spent on validation.
    pub evaluation_time_s: f64,
}

/// Why a training ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// All its epochs are done, and no target was asked for.
    Epochs,
    /// The target was reached.
    Target,
    /// All its epochs are done, and the target was not reached.
    Limit,
    /// The validation loss has stopped falling.
    Patience,
    /// A loss was not finite.
    Diverged,
    /// The caller asked for it.
    Interrupted,
}

/// A training that has ended.
pub struct Outcome {
    /// The network as it was at the end.
    pub model: Model,
    /// The epochs that were completed, those before a [`State`](super::State) that it went on from included.
    pub epochs: Vec<EpochResult>,
    /// Why it ended.
    pub stopped: StopReason,
    /// Number of the epoch in which it ended, from 1.
    pub last_epoch: usize,
    /// Seconds spent on training steps, those of an unfinished epoch and of earlier parts of the training included.
    pub train_time_s: f64,
    /// Where it ended. What goes on from there ends there again, with the same network, unless it was interrupted.
    pub end: Arc<Snapshot>,
}
