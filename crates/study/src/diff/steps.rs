//! The first step in which two trainings part.

use serde::Serialize;
use tenfold_nn::data::Splits;
use tenfold_nn::interop::safetensors::Array;
use tenfold_nn::model::{Architecture, Model};
use tenfold_nn::train::{Event, Flow, StopReason, TrainConfig, train};

use super::{ArrayParting, TrialOf, arrays, can_train_again};

/// The first step after which the parameters of two trainings are not the same.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FirstStep {
    /// Its number from the beginning of the training, from 1; 0 if they begin from different parameters.
    pub step: u64,
    /// The epoch that it belongs to, from 1; 0 before the first step.
    pub epoch: usize,
    /// The arrays that are not the same after it.
    pub arrays: Vec<ArrayParting>,
}

/// Trains both again until their parameters part; none if they never do, or if `on_step` stops it.
///
/// Each is trained to the same step, from its beginning: 0, 1, 2, 4 and so on until they differ there, then between.
/// `on_step` is told how many steps are to be trained next, and how many of these are done.
///
/// # Errors
/// A sentence, if one of the two cannot be trained again.
pub fn first_step(
    one: (TrialOf, &Splits),
    other: (TrialOf, &Splits),
    threads: usize,
    on_step: &mut dyn FnMut(u64, u64) -> Flow,
) -> Result<Option<FirstStep>, String> {
    let (one, other) = (Training::new(one.0, one.1)?, Training::new(other.0, other.1)?);
    let mut parted = |step: u64| -> Option<Reached> {
        let first = one.until(step, threads, &mut *on_step)?;
        let second = other.until(step, threads, &mut *on_step)?;
        let arrays = arrays(&first.arrays, &second.arrays);
        Some(Reached { arrays, epoch: first.epoch, ended: first.ended || second.ended })
    };
    // The same until `low`, not the same at `high`.
    let (mut low, mut high) = (0, 0);
    let mut found = loop {
        let Some(reached) = parted(high) else { return Ok(None) };
        if !reached.arrays.is_empty() {
            break reached;
        }
        if reached.ended {
            return Ok(None);
        }
        low = high;
        high = (2 * high).max(1);
    };
    while high > low + 1 {
        let middle = low + (high - low) / 2;
        let Some(reached) = parted(middle) else { return Ok(None) };
        if reached.arrays.is_empty() {
            low = middle;
        } else {
            (high, found) = (middle, reached);
        }
    }
    Ok(Some(FirstStep { step: high, epoch: found.epoch, arrays: found.arrays }))
}

struct Reached {
    arrays: Vec<ArrayParting>,
    epoch: usize,
    ended: bool,
}

/// A training that can be run again.
struct Training<'a> {
    architecture: Architecture,
    config: TrainConfig,
    splits: &'a Splits,
}

/// Parameters after some steps.
struct Until {
    arrays: Vec<Array>,
    epoch: usize,
    /// Whether the training ended before.
    ended: bool,
}

impl<'a> Training<'a> {
    fn new(of: TrialOf, splits: &'a Splits) -> Result<Training<'a>, String> {
        let config = can_train_again(of)?.train.with_seed(of.trial.seed);
        let architecture = of.recipe().architecture(&of.record.dataset)?;
        Ok(Training { architecture, config, splits })
    }

    /// None if `on_step` stops it.
    fn until(&self, step: u64, threads: usize, on_step: &mut dyn FnMut(u64, u64) -> Flow) -> Option<Until> {
        let Splits { train: data, valid, .. } = self.splits;
        if step == 0 {
            let settings = &self.config.settings;
            let model =
                Model::new(self.architecture.clone(), settings.init, self.config.seed, settings.pixels.of(data));
            return Some(Until { arrays: arrays_of(&model), epoch: 0, ended: false });
        }
        let (mut done, mut reached) = (0, false);
        let mut on_event = |event: &Event| {
            if let Event::Step { .. } = event {
                done += 1;
                reached = done == step;
                let stopped = on_step(step, done) == Flow::Stop;
                return if reached || stopped { Flow::Stop } else { Flow::Continue };
            }
            Flow::Continue
        };
        let outcome = train(&self.architecture, &self.config, data, valid, threads, &mut on_event);
        let ended = outcome.stopped != StopReason::Interrupted;
        (reached || ended).then(|| Until { arrays: arrays_of(&outcome.model), epoch: outcome.last_epoch, ended })
    }
}

/// The arrays of a network, as its file has them.
pub(crate) fn arrays_of(model: &Model) -> Vec<Array> {
    let params = model.architecture().params();
    let array = |name: &str| model.tensor(name).expect("the model has its own arrays");
    params.iter().map(|spec| (spec.name.clone(), spec.shape.clone(), array(&spec.name))).collect()
}
