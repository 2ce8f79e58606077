//! A training between two steps, as it can be kept and gone on from.

use super::batches::steps_of;
use super::trainer::{EpochRun, Trainer, changing};
use super::{EpochResult, TrainConfig, TrainSettings, reason_to_end};
use crate::aligned::Aligned;
use crate::data::Dataset;
use crate::graph::Graph;
use crate::interop::safetensors::Array;
use crate::model::{Architecture, pack, unpack};
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// All that the rest of a training depends on, besides architecture, configuration and data: the same on every machine.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The epochs that are done.
    pub epochs: Vec<EpochResult>,
    /// Steps of the next epoch that are done; perhaps all of them, where validation is still to come.
    pub step: usize,
    /// Sum of the losses of the examples of these steps, in nats.
    pub loss_sum: f64,
    /// Seconds spent on these steps.
    pub train_time_s: f64,
    /// What training changes, in PyTorch's order: the parameters under their names, and what the optimizer keeps of each
    /// under `moment1/` and `moment2/` before its name; with a moving average, that of each under `average/`.
    pub arrays: Vec<Array>,
}

/// Why a state is not one of a training.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct StateError(String);

impl State {
    /// Steps done in all, where an epoch has `steps`.
    pub fn steps_in_all(&self, steps: usize) -> u64 {
        self.epochs.len() as u64 * steps as u64 + self.step as u64
    }

    /// Bytes of all arrays of a training of this network with these settings.
    pub fn bytes(architecture: &Architecture, settings: &TrainSettings) -> u64 {
        (size_of::<f32>() * changing(settings).len() * architecture.parameters()) as u64
    }

    /// Whether a training of this network, with this configuration and on so many examples, can go on from here.
    ///
    /// # Errors
    /// A sentence on what does not fit.
    pub fn check(&self, architecture: &Architecture, config: &TrainConfig, examples: usize) -> Result<(), StateError> {
        let error = |text: String| Err(StateError(text));
        let settings = &config.settings;
        let steps = steps_of(examples, settings.batch_size.min(examples));
        if self.epochs.iter().zip(1..).any(|(epoch, number)| epoch.epoch != number) {
            return error("its epochs are not numbered from 1".to_owned());
        }
        let ended = reason_to_end(settings, &self.epochs).is_some();
        if self.epochs.len() > settings.epochs || self.step > steps || (ended && self.step > 0) {
            let (epoch, most) = (self.epochs.len() + 1, settings.epochs);
            return error(format!(
                "it is at step {} of epoch {epoch}, expected at most {steps} of {most} epochs",
                self.step
            ));
        }
        let time = [self.loss_sum, self.train_time_s];
        if !time.iter().all(|number| number.is_finite()) || Duration::try_from_secs_f64(self.train_time_s).is_err() {
            return error(format!("its sum of losses and its time are {} and {}", time[0], time[1]));
        }
        let changing = changing(settings);
        let mut expected = changing.iter().flat_map(|prefix| {
            architecture.params().iter().map(move |spec| (format!("{prefix}{}", spec.name), &spec.shape, spec.len()))
        });
        let count = changing.len() * architecture.params().len();
        if self.arrays.len() != count {
            return error(format!("it has {} arrays, expected {count}", self.arrays.len()));
        }
        let missing = expected.find(|(name, shape, len)| {
            !self.arrays.iter().any(|array| array.0 == *name && array.1 == **shape && array.2.len() == *len)
        });
        missing.map_or(Ok(()), |(name, shape, _)| error(format!("it has no array \"{name}\" of the shape {shape:?}")))
    }

    /// Puts everything into a training that has not begun; gives the epochs that are done, and how far the next is.
    pub(super) fn restore(self, trainer: &mut Trainer, train: &Dataset) -> (Vec<EpochResult>, EpochRun) {
        let (architecture, graph) = (trainer.model.architecture().clone(), trainer.model.graph.clone());
        for (prefix, packed) in changing(trainer.settings()).iter().zip(trainer.changing()) {
            for (n, spec) in architecture.params().iter().enumerate() {
                let found = self.arrays.iter().find(|(name, ..)| name.strip_prefix(*prefix) == Some(&spec.name));
                let (.., values) = found.expect("the state has been checked");
                pack(&architecture, &graph, n, values, packed.as_mut_slice());
            }
        }
        let run = EpochRun { loss: self.loss_sum, done: self.step, time: Duration::from_secs_f64(self.train_time_s) };
        trainer.goes_on_after(self.epochs.len(), &run, train);
        (self.epochs, run)
    }
}

/// A copy of a training between two steps, made as fast as memory can be copied. [`Snapshot::state`] may be called on
/// another thread, while the training goes on.
pub struct Snapshot {
    epochs: Vec<EpochResult>,
    run: EpochRun,
    architecture: Architecture,
    graph: Graph,
    /// What stands before the names of the arrays, and all of them laid out like the parameters.
    packed: Vec<(&'static str, Aligned)>,
}

impl Snapshot {
    pub(super) fn of(trainer: &mut Trainer, epochs: &[EpochResult], run: &EpochRun) -> Snapshot {
        Snapshot {
            epochs: epochs.to_vec(),
            run: *run,
            architecture: trainer.model.architecture().clone(),
            graph: trainer.model.graph.clone(),
            packed: changing(trainer.settings())
                .iter()
                .copied()
                .zip(trainer.changing().into_iter().map(|packed| packed.clone()))
                .collect(),
        }
    }

    /// The epochs that are done, and the steps of the next.
    pub fn position(&self) -> (usize, usize) {
        (self.epochs.len(), self.run.done)
    }

    /// The same in a form that does not depend on how this program lays arrays out.
    pub fn state(&self) -> State {
        let arrays = self.packed.iter().flat_map(|(prefix, packed)| {
            self.architecture.params().iter().enumerate().map(move |(n, spec)| {
                let values = unpack(&self.architecture, &self.graph, n, packed.as_slice());
                (format!("{prefix}{}", spec.name), spec.shape.clone(), values)
            })
        });
        State {
            step: self.run.done,
            loss_sum: self.run.loss,
            train_time_s: self.run.time.as_secs_f64(),
            arrays: arrays.collect(),
            epochs: self.epochs.clone(),
        }
    }
}

impl fmt::Debug for Snapshot {
    /// Where it is; the values are too many to be read.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Snapshot").field("epochs", &self.epochs.len()).field("run", &self.run).finish_non_exhaustive()
    }
}
