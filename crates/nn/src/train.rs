//! The training loop.

use crate::data::Dataset;
use crate::evaluate::{Evaluator, evaluate_on};
use crate::lower::{Lowering, lower};
use crate::model::Architecture;
use crate::plan::Plan;
use crate::precision::Precision;
use std::time::{Duration, Instant};
use tenfold_kernels::Isa;

mod batches;
mod class_weights;
mod events;
mod pixels;
mod settings;
mod trainer;
pub use class_weights::ClassWeights;
pub use events::{EpochResult, Event, Flow, Outcome, StopReason};
pub use pixels::{PerChannel, Pixels, PixelsFrom};
pub use settings::{SettingError, TrainSettings};
pub(crate) use trainer::Trainer;

/// Everything that determines a training besides the architecture and the data.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// How the network is trained.
    pub settings: TrainSettings,
    /// Seed of initial parameters, order and dropout.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainSettings::default().with_seed(1)
    }
}

/// Bytes that training a network takes, besides the data: parameters, optimizer, activations and gradients of one
/// batch.
pub fn memory_bytes(architecture: &Architecture, precision: Precision, batch_size: usize, threads: usize) -> u64 {
    // Whichever way a linear layer straight over pixels takes them.
    let of = |blank_is_nothing: bool| {
        let graph = lower(architecture, Lowering { precision, blank_is_nothing, fuse: true });
        3 * 4 * graph.param_len as u64 + Plan::new(&graph, batch_size, true).bytes(threads)
    };
    of(true).max(of(false))
}

/// Trains a network from its initial parameters.
///
/// The result depends on the architecture, the configuration and the data alone, bit for bit; `threads` changes only
/// the time it takes. `on_event` is called on the calling thread, between steps.
///
/// # Panics
/// If the data are empty or of another shape or number of classes than the architecture's, if `threads` is 0, or if
/// [`TrainSettings::check`] or [`PixelsFrom::check_channels`] finds something.
pub fn train(
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Outcome {
    train_on(Isa::detect(), architecture, config, train, valid, threads, on_event)
}

/// [`train`] on a given instruction set.
pub(crate) fn train_on(
    isa: Isa,
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Outcome {
    assert!(threads > 0, "there is at least one thread");
    let settings = &config.settings;
    settings.check().expect("the settings have been checked");
    settings.pixels.check_channels(architecture.input().channels).expect("the settings have been checked");
    for data in [train, valid] {
        assert!(!data.is_empty(), "there must be examples");
        assert_eq!(
            (data.shape(), data.classes()),
            (architecture.input(), architecture.classes()),
            "data fit the network"
        );
    }
    let mut trainer = Trainer::new(isa, architecture, config, train, threads);
    let mut evaluator = Evaluator::new(&trainer.model, valid.len(), threads);
    let mut outcome_epochs = Vec::<EpochResult>::new();
    let mut train_time = Duration::ZERO;
    let (mut best_loss, mut best_epoch) = (f64::INFINITY, 0);
    let mut stopped = None;
    let mut last_epoch = 0;
    while stopped.is_none() {
        last_epoch += 1;
        let epoch = trainer.epoch(last_epoch, train, on_event);
        train_time += epoch.time;
        if let Some(reason) = epoch.stopped {
            stopped = Some(reason);
            break;
        }
        let evaluating = on_event(&Event::Evaluating { epoch: last_epoch });
        let started = Instant::now();
        let evaluation = evaluate_on(isa, &mut evaluator, &trainer.model, valid, threads, false);
        let result = EpochResult {
            epoch: last_epoch,
            train_loss: epoch.loss,
            valid_loss: evaluation.loss,
            valid_accuracy: evaluation.accuracy,
            train_time_s: epoch.time.as_secs_f64(),
            evaluation_time_s: started.elapsed().as_secs_f64(),
        };
        outcome_epochs.push(result);
        if result.valid_loss < best_loss {
            (best_loss, best_epoch) = (result.valid_loss, last_epoch);
        }
        // Diverged comes first: accuracy and patience mean nothing then. Interrupted comes last: what is already
        // complete is complete.
        let done = Event::Epoch { result: &result, model: &trainer.model };
        let interrupted = on_event(&done) == Flow::Stop || evaluating == Flow::Stop;
        stopped = if !result.valid_loss.is_finite() {
            Some(StopReason::Diverged)
        } else if settings.target.is_some_and(|target| result.valid_accuracy >= target) {
            Some(StopReason::Target)
        } else if last_epoch >= settings.epochs {
            Some(if settings.target.is_some() { StopReason::Limit } else { StopReason::Epochs })
        } else if settings.patience.is_some_and(|patience| last_epoch - best_epoch >= patience) {
            Some(StopReason::Patience)
        } else {
            interrupted.then_some(StopReason::Interrupted)
        };
    }
    Outcome {
        model: trainer.model,
        epochs: outcome_epochs,
        stopped: stopped.expect("the loop ends with a reason"),
        last_epoch,
        train_time_s: train_time.as_secs_f64(),
    }
}

#[cfg(test)]
mod bits;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod pytorch;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod subnormals;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
