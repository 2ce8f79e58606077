//! The first step in which two trainings part.

use std::cmp::Ordering;

use serde::Serialize;
use tenfold_nn::data::Splits;
use tenfold_nn::interop::safetensors::Array;
use tenfold_nn::model::{Architecture, Model};
use tenfold_nn::train::{Event, Flow, State, StopReason, TrainConfig, train, train_from};

use super::{ArrayParting, TrialOf, arrays, can_train_again};

/// The first step after which two trainings are not the same.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FirstStep {
    /// Its number from the beginning of the training, from 1; 0 if they begin from different parameters.
    pub step: u64,
    /// The epoch that it belongs to, from 1; 0 before the first step.
    pub epoch: usize,
    /// The arrays that are not the same after it; none where one training ends with this step and the other goes on.
    pub arrays: Vec<ArrayParting>,
    /// Which of them ends with this step, if they are still the same after it; null where they are not.
    pub ends: Option<Side>,
}

/// One of two trainings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// That which was named first.
    First,
    /// The other.
    Second,
}

/// Trains both again until their parameters part or one of them ends; none if they never part, or if `on_step` stops it.
///
/// Each is trained to the same step: 0, 1, 2, 4 and so on until they differ there, then between, always on from the last
/// step at which they were the same. What ends before is held against the other where it ends. `on_step` is told how many
/// steps are to be trained next, and how many are done.
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
        let Some(mut first) = one.until(same[0].clone(), step, threads, on_step) else { return Ok(None) };
        let Some(mut second) = other.until(same[1].clone(), step, threads, on_step) else { return Ok(None) };
        let step = first.done.min(second.done);
        let ends = match first.done.cmp(&second.done) {
            Ordering::Less => Some(Side::First),
            Ordering::Equal => None,
            Ordering::Greater => Some(Side::Second),
        };
        if ends.is_some() && step == low {
            // Where both were the same before.
            let epoch = if ends == Some(Side::First) { first.epoch } else { second.epoch };
            return Ok(Some(FirstStep { step, epoch, arrays: Vec::new(), ends }));
        }
        let (longer, of, from) = match ends {
            Some(Side::First) => (&mut second, &other, &same[1]),
            _ => (&mut first, &one, &same[0]),
        };
        if ends.is_some() {
            let Some(as_far) = of.until(from.clone(), step, threads, on_step) else { return Ok(None) };
            *longer = as_far;
        }
        let arrays = arrays(&first.parameters, &second.parameters);
        if !arrays.is_empty() {
            high = step;
            found = Some(FirstStep { step, epoch: first.epoch, arrays, ends: None });
            continue;
        }
        if ends.is_some() {
            return Ok(Some(FirstStep { step, epoch: first.epoch, arrays, ends }));
        }
        if first.ended && second.ended {
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
    /// Steps done in all: fewer than were asked for where it has no more.
    done: u64,
    /// Whether it ended before it was stopped.
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
            return Some(Until { parameters: arrays_of(&model), state: None, epoch: 0, done: 0, ended: false });
        }
        let steps = data.len().div_ceil(settings.batch_size.min(data.len()));
        let mut done = from.as_ref().map_or(0, |state| state.steps_in_all(steps));
        let mut reached = false;
        let mut on_event = |event: &Event| match event {
            Event::Step { .. } => {
                done += 1;
                reached = done == step;
                let stopped = on_step(step, done) == Flow::Stop;
                if reached || stopped { Flow::Stop } else { Flow::Continue }
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
        let state = outcome.end.state();
        // What the optimizer keeps has names of more parts.
        let parameters = state.arrays.iter().filter(|array| !array.0.contains('/')).cloned().collect();
        let state = Some(state).filter(|_| outcome.stopped != StopReason::Diverged);
        Some(Until { parameters, state, epoch: outcome.last_epoch, done, ended })
    }
}

/// The arrays of a network, as its file has them.
pub(crate) fn arrays_of(model: &Model) -> Vec<Array> {
    let params = model.architecture().params();
    let array = |name: &str| model.tensor(name).expect("the model has its own arrays");
    params.iter().map(|spec| (spec.name.clone(), spec.shape.clone(), array(&spec.name))).collect()
}
