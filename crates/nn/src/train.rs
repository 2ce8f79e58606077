//! The training loop.

use crate::augment::Augment;
use crate::data::Dataset;
use crate::evaluate::{Evaluator, evaluate_on};
use crate::lower::{Lowering, lower};
use crate::model::Architecture;
use crate::plan::Plan;
use std::sync::Arc;
use std::time::Instant;
use tenfold_kernels::Isa;

mod at_once;
mod batches;
mod class_weights;
mod events;
mod muon;
mod pixels;
mod settings;
mod smallest_batch;
mod staged;
mod state;
mod trainer;
use at_once::AtOnceMemory;
pub use class_weights::ClassWeights;
pub use events::{EpochResult, Event, Flow, Outcome, StopReason};
pub use pixels::{PerChannel, Pixels, PixelsFrom};
pub use settings::{SettingError, TrainSettings};
pub use smallest_batch::{SingleValue, check_smallest_batch};
use staged::StagedImages;
pub use state::{Snapshot, State, StateError};
pub(crate) use trainer::{EpochRun, Halt, Trainer};

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
/// batch, and a [`Snapshot`] while it is written.
pub fn memory_bytes(architecture: &Architecture, settings: &TrainSettings, batch_size: usize, threads: usize) -> u64 {
    let (precision, floats) = (settings.precision, 3 + AtOnceMemory::floats_per_parameter(settings));
    let changed = settings.augment != Augment::None;
    let staged = if changed { StagedImages::bytes(architecture.input(), batch_size, threads) } else { 0 };
    // Whichever way a linear layer straight over pixels takes them.
    let of = |blank_is_nothing: bool| {
        let graph = lower(architecture, Lowering { precision, blank_is_nothing, fuse: true });
        4 * floats * graph.param_len as u64 + Plan::new(&graph, batch_size, true).bytes(threads) + staged
    };
    // As a state and in the form of a file.
    of(true).max(of(false)) + 2 * State::bytes(architecture, settings)
}

/// Trains a network from its initial parameters.
///
/// The result depends on the architecture, the configuration and the data alone, bit for bit; `threads` changes only
/// the time it takes. `on_event` is called on the calling thread, between steps.
///
/// # Panics
/// If the data are empty or of another shape or number of classes than the architecture's, if `threads` is 0, or if
/// [`TrainSettings::check`], [`PixelsFrom::check_channels`], [`Augment::check_fits`] or [`check_smallest_batch`] finds
/// something.
pub fn train(
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Outcome {
    train_on(Isa::detect(), architecture, config, train, valid, threads, None, on_event)
}

/// [`train`] on from a state of the same training. The result is the same, bit for bit, as if it had never been stopped,
/// on whatever machine and number of threads; times are those of all parts together.
///
/// # Panics
/// As [`train`], and if [`State::check`] finds something.
pub fn train_from(
    state: State,
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Outcome {
    train_on(Isa::detect(), architecture, config, train, valid, threads, Some(state), on_event)
}

/// [`train`] on a given instruction set, from the beginning or from a state.
#[expect(clippy::too_many_arguments, reason = "what is trained, on what, how, and who is told")]
pub(crate) fn train_on(
    isa: Isa,
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    from: Option<State>,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Outcome {
    assert!(threads > 0, "there is at least one thread");
    let settings = &config.settings;
    settings.check().expect("the settings have been checked");
    settings.pixels.check_channels(architecture.input().channels).expect("the settings have been checked");
    let batch_size = settings.batch_size.min(train.len().max(1));
    check_smallest_batch(architecture, batch_size, train.len()).expect("the settings have been checked");
    settings.augment.check_fits(architecture.input()).expect("the settings have been checked");
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
    let steps = trainer.steps_of(train);
    let (mut epochs, mut run) = (Vec::<EpochResult>::new(), EpochRun::default());
    if let Some(state) = from {
        state.check(architecture, config, train.len()).expect("the state has been checked");
        (epochs, run) = state.restore(&mut trainer, train);
    }
    let mut stopped = reason_to_end(settings, &epochs);
    let mut last_epoch = epochs.len();
    while stopped.is_none() {
        last_epoch = epochs.len() + 1;
        let mut flow = on_event(&Event::EpochStarted { epoch: last_epoch, steps, done: run.done });
        let halt = loop {
            if flow == Flow::Snapshot {
                flow = on_event(&Event::Snapshot { snapshot: &Arc::new(Snapshot::of(&mut trainer, &epochs, &run)) });
            }
            if flow == Flow::Stop {
                break Halt::Asked(flow);
            }
            match trainer.epoch(last_epoch, train, &mut run, on_event) {
                Halt::Asked(asked) => flow = asked,
                halt @ (Halt::EpochDone | Halt::Diverged) => break halt,
            }
        };
        stopped = match halt {
            Halt::EpochDone => None,
            Halt::Diverged => Some(StopReason::Diverged),
            Halt::Asked(_) => Some(StopReason::Interrupted),
        };
        if stopped.is_some() {
            break;
        }
        let (started, mut asked) = (Instant::now(), false);
        let mut evaluating = |done| {
            let flow = on_event(&Event::Evaluating { epoch: last_epoch, done });
            asked |= flow == Flow::Snapshot;
            flow
        };
        let learned = trainer.learned();
        let evaluation = match evaluating(0) {
            Flow::Stop => None,
            Flow::Continue | Flow::Snapshot => {
                evaluate_on(isa, &mut evaluator, &learned, valid, threads, false, &mut evaluating)
            }
        };
        let Some(evaluation) = evaluation else {
            stopped = Some(StopReason::Interrupted);
            break;
        };
        let result = EpochResult {
            epoch: last_epoch,
            train_loss: run.loss / train.len() as f64,
            valid_loss: evaluation.loss,
            valid_accuracy: evaluation.accuracy,
            train_time_s: run.time.as_secs_f64(),
            evaluation_time_s: started.elapsed().as_secs_f64(),
        };
        epochs.push(result);
        run = EpochRun::default();
        let mut flow = on_event(&Event::Epoch { result: &result, model: &learned });
        if flow == Flow::Snapshot || asked && flow == Flow::Continue {
            flow = on_event(&Event::Snapshot { snapshot: &Arc::new(Snapshot::of(&mut trainer, &epochs, &run)) });
        }
        // Interrupted comes last: what is already complete is complete.
        let interrupted = (flow == Flow::Stop).then_some(StopReason::Interrupted);
        stopped = reason_to_end(settings, &epochs).or(interrupted);
    }
    let stopped = stopped.expect("the loop ends with a reason");
    let end = Arc::new(Snapshot::of(&mut trainer, &epochs, &run));
    if stopped == StopReason::Interrupted {
        on_event(&Event::Snapshot { snapshot: &end });
    }
    let train_time_s = epochs.iter().map(|epoch| epoch.train_time_s).sum::<f64>() + run.time.as_secs_f64();
    Outcome { model: trainer.learned().into_owned(), epochs, stopped, last_epoch, train_time_s, end }
}

/// Why a training ends after these epochs, if it does.
fn reason_to_end(settings: &TrainSettings, epochs: &[EpochResult]) -> Option<StopReason> {
    let last = epochs.last()?;
    // Of equals the first.
    let best = epochs.iter().min_by(|a, b| a.valid_loss.total_cmp(&b.valid_loss)).unwrap_or(last);
    // Diverged comes first: accuracy and patience mean nothing then.
    if !last.valid_loss.is_finite() {
        Some(StopReason::Diverged)
    } else if settings.target.is_some_and(|target| last.valid_accuracy >= target) {
        Some(StopReason::Target)
    } else if last.epoch >= settings.epochs {
        Some(if settings.target.is_some() { StopReason::Limit } else { StopReason::Epochs })
    } else if settings.patience.is_some_and(|patience| last.epoch - best.epoch >= patience) {
        Some(StopReason::Patience)
    } else {
        None
    }
}

#[cfg(test)]
mod augmented;
#[cfg(test)]
mod bits;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod pytorch;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod subnormals;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod with_settings;
