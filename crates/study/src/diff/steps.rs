//! The first step in which two trainings part.

use serde::Serialize;
use tenfold_nn::data::Splits;
use tenfold_nn::interop::safetensors::Array;
use tenfold_nn::model::{Architecture, Model};
use tenfold_nn::train::{Event, Flow, State, StopReason, TrainConfig, train, train_from};

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
/// Each is trained to the same step: 0, 1, 2, 4 and so on until they differ there, then between, always on from the last
/// step at which they were the same. `on_step` is told how many steps are to be trained next, and how many are done.
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
    // The same after `low` steps, not the same after `high`.
    let (mut low, mut high) = (0, 0);
    let mut same: [Option<State>; 2] = [None, None];
    let mut found = None;
    while found.is_none() || high > low + 1 {
        let step = if found.is_none() { high } else { low + (high - low) / 2 };
        let Some(first) = one.until(same[0].clone(), step, threads, on_step) else { return Ok(None) };
        let Some(second) = other.until(same[1].clone(), step, threads, on_step) else { return Ok(None) };
        let arrays = arrays(&first.parameters, &second.parameters);
        if !arrays.is_empty() {
            high = step;
            found = Some(FirstStep { step, epoch: first.epoch, arrays });
            continue;
        }
        if first.ended || second.ended {
            return Ok(None);
        }
        (low, same) = (step, [first.state, second.state]);
        if found.is_none() {
            high = (2 * high).max(1);
        }
    }
    Ok(found)
}

/// A training that can be run again.
struct Training<'a> {
    architecture: Architecture,
    config: TrainConfig,
    splits: &'a Splits,
}

/// A training after some steps.
struct Until {
    parameters: Vec<Array>,
    /// From where it can go on; none at its beginning, and where it has diverged.
    state: Option<State>,
    epoch: usize,
    /// Whether it ended before.
    ended: bool,
}

impl<'a> Training<'a> {
    fn new(of: TrialOf, splits: &'a Splits) -> Result<Training<'a>, String> {
        let config = can_train_again(of)?.train.with_seed(of.trial.seed);
        let architecture = of.recipe().architecture(&of.record.dataset)?;
        Ok(Training { architecture, config, splits })
    }

    /// On from a state until so many steps are done in all. None if `on_step` stops it.
    fn until(
        &self,
        from: Option<State>,
        step: u64,
        threads: usize,
        on_step: &mut dyn FnMut(u64, u64) -> Flow,
    ) -> Option<Until> {
        let (architecture, config, Splits { train: data, valid, .. }) = (&self.architecture, &self.config, self.splits);
        let settings = &config.settings;
        if step == 0 {
            let model = Model::new(architecture.clone(), settings.init, config.seed, settings.pixels.of(data));
            return Some(Until { parameters: arrays_of(&model), state: None, epoch: 0, ended: false });
        }
        let steps = data.len().div_ceil(settings.batch_size.min(data.len()));
        let mut done = from.as_ref().map_or(0, |state| state.steps_in_all(steps));
        let (mut reached, mut state) = (false, None);
        let mut on_event = |event: &Event| match event {
            Event::Step { .. } => {
                done += 1;
                reached = done == step;
                let stopped = on_step(step, done) == Flow::Stop;
                if reached || stopped { Flow::Stop } else { Flow::Continue }
            }
            // Its end, if no step follows.
            Event::Epoch { .. } => Flow::Snapshot,
            Event::Snapshot { snapshot } => {
                state = Some(snapshot.state());
                Flow::Continue
            }
            _ => Flow::Continue,
        };
        let outcome = match from {
            Some(from) => train_from(from, architecture, config, data, valid, threads, &mut on_event),
            None => train(architecture, config, data, valid, threads, &mut on_event),
        };
        let ended = outcome.stopped != StopReason::Interrupted;
        if !reached && !ended {
            return None;
        }
        let state = state.filter(|_| outcome.stopped != StopReason::Diverged);
        let parameters = match &state {
            // What the optimizer keeps has names of more parts.
            Some(state) => state.arrays.iter().filter(|array| !array.0.contains('/')).cloned().collect(),
            None => arrays_of(&outcome.model),
        };
        Some(Until { parameters, state, epoch: outcome.last_epoch, ended })
    }
}

/// The arrays of a network, as its file has them.
pub(crate) fn arrays_of(model: &Model) -> Vec<Array> {
    let params = model.architecture().params();
    let array = |name: &str| model.tensor(name).expect("the model has its own arrays");
    params.iter().map(|spec| (spec.name.clone(), spec.shape.clone(), array(&spec.name))).collect()
}
