//! The training loop.

use crate::aligned::Aligned;
use crate::autotune::{Autotune, Watch};
use crate::batch::{Batch, Examples};
use crate::data::Dataset;
use crate::evaluate::{Evaluator, evaluate_on};
use crate::lower::{Lowering, lower};
use crate::model::{Architecture, Model};
use crate::op_times::OpTimes;
use crate::plan::{Memory, Plan, Scratch};
use crate::precision::Precision;
use crate::rng::{Rng, Stream, permutation};
use crate::step::{Learn, Step, StepOf};
use crate::workers::{Worker, in_team};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tenfold_kernels::Isa;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::pixels::PixelTable;

mod settings;
pub use settings::{SettingError, TrainSettings};

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

/// Bytes that training a network takes, besides the data: parameters, optimizer, activations and gradients of one batch.
pub fn memory_bytes(architecture: &Architecture, precision: Precision, batch_size: usize, threads: usize) -> u64 {
    // Whichever way a linear layer straight over pixels takes them.
    let of = |blank_is_nothing: bool| {
        let graph = lower(architecture, Lowering { precision, blank_is_nothing, fuse: true });
        3 * 4 * graph.param_len as u64 + Plan::new(&graph, batch_size, true).bytes(threads)
    };
    of(true).max(of(false))
}

/// What the network sees of a pixel: `(pixel / 255 - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixels {
    /// Subtracted from the pixel in 0..1.
    #[serde(default)]
    pub mean: f64,
    /// What the difference is divided by.
    #[serde(default = "one")]
    pub std: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for Pixels {
    /// Pixels in 0..1.
    fn default() -> Pixels {
        Pixels { mean: 0.0, std: 1.0 }
    }
}

impl Pixels {
    /// Whether the numbers can be used.
    ///
    /// # Errors
    /// A sentence if mean or std is not a number, or so far from usual ones that f32 could not hold a pixel's value.
    pub fn check(&self) -> Result<(), String> {
        // Far from where f32 would overflow or vanish.
        if self.mean.abs() <= 1e6 && (1e-6..=1e6).contains(&self.std) {
            return Ok(());
        }
        let (mean, std) = (self.mean, self.std);
        Err(format!("the pixels' mean is {mean} and std {std}, expected at most 1e6 from 0, and 1e-6 to 1e6"))
    }

    /// Value of each pixel value.
    pub(crate) fn table(&self) -> PixelTable {
        // Rounded to f32 after each operation, as PyTorch's ToTensor and Normalize do.
        PixelTable::new(self.mean as f32, self.std as f32)
    }
}

/// What is reported while training.
#[derive(Debug)]
pub enum Event<'a> {
    /// An epoch begins.
    EpochStarted {
        /// Its number, from 1.
        epoch: usize,
        /// Steps that it will have.
        steps: usize,
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
    /// The steps of an epoch are done, and validation begins.
    Evaluating {
        /// Number of the epoch, from 1.
        epoch: usize,
    },
    /// An epoch is done. What is done with the model meanwhile is not training time.
    Epoch {
        /// What became of it.
        result: &'a EpochResult,
        /// The network as it is now.
        model: &'a Model,
    },
}

/// Whether training goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends here, as [`StopReason::Interrupted`].
    Stop,
}

/// What one epoch gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss per example as the training steps saw it, in nats.
    pub train_loss: f64,
    /// Mean loss per example on the validation set after the epoch, in nats.
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
    /// The epochs that were completed.
    pub epochs: Vec<EpochResult>,
    /// Why it ended.
    pub stopped: StopReason,
    /// Number of the epoch in which it ended, from 1.
    pub last_epoch: usize,
    /// Seconds spent on training steps, those of an unfinished epoch included.
    pub train_time_s: f64,
}

/// Trains a network from its initial parameters.
///
/// The result depends on the architecture, the configuration and the data alone, bit for bit; `threads` changes only
/// the time it takes. `on_event` is called on the calling thread, between steps.
///
/// # Panics
/// If the data are empty or of another shape or number of classes than the architecture's, if `threads` is 0, or if
/// [`TrainSettings::check`] finds something.
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
    for data in [train, valid] {
        assert!(!data.is_empty(), "there must be examples");
        assert_eq!(
            (data.shape(), data.classes()),
            (architecture.input(), architecture.classes()),
            "data fit the network"
        );
    }
    let mut trainer = Trainer::new(isa, architecture, config, train.len(), threads);
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

/// A network in training: its parameters, the optimizer's state, and the memory of a step.
pub(crate) struct Trainer<'a> {
    isa: Isa,
    config: &'a TrainConfig,
    pub(crate) model: Model,
    moment1: Aligned,
    moment2: Aligned,
    pixels: PixelTable,
    plan: Plan,
    memory: Memory,
    scratch: Vec<Scratch>,
    threads: usize,
    /// Steps done in all.
    steps: u64,
    /// Takes the time of every operation, where somebody wants to know.
    pub(crate) times: Option<OpTimes>,
}

/// What became of one epoch.
pub(crate) struct EpochRun {
    loss: f64,
    pub(crate) time: Duration,
    pub(crate) stopped: Option<StopReason>,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        isa: Isa,
        architecture: &Architecture,
        config: &'a TrainConfig,
        examples: usize,
        threads: usize,
    ) -> Self {
        let settings = &config.settings;
        let model = Model::new(architecture.clone(), settings.init, config.seed, settings.pixels);
        let model = model.with_precision(settings.precision);
        let plan = Plan::new(&model.graph, settings.batch_size.min(examples), true);
        let state = || Aligned::zeroed(model.graph.param_len);
        let (moment1, moment2) = (state(), state());
        let (memory, scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect());
        let pixels = settings.pixels.table();
        Trainer { isa, config, model, moment1, moment2, pixels, plan, memory, scratch, threads, steps: 0, times: None }
    }

    /// The same, with optimizer states as a training past its first thousand steps has them: those of weights that get no
    /// gradient have decayed to the smallest numbers that are kept, and no step from here on has others than the next.
    pub(crate) fn grown_old(mut self) -> Self {
        for state in [&mut self.moment1, &mut self.moment2] {
            state.as_mut_slice().fill(f32::MIN_POSITIVE);
        }
        self
    }

    /// Steps done in all.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// One pass over the examples in the order of this epoch.
    pub(crate) fn epoch(&mut self, epoch: usize, data: &Dataset, on_event: &mut dyn FnMut(&Event) -> Flow) -> EpochRun {
        let TrainConfig { settings, seed } = self.config;
        let steps = data.len().div_ceil(self.plan.batch_size);
        if on_event(&Event::EpochStarted { epoch, steps }) == Flow::Stop {
            return EpochRun { loss: f64::NAN, time: Duration::ZERO, stopped: Some(StopReason::Interrupted) };
        }
        let started = Instant::now();
        let order = permutation(data.len() as u32, &Rng::new(*seed, Stream::Order, epoch as u64));
        let learn = Learn::Update {
            moment1: Arena::new(self.moment1.as_mut_slice()),
            moment2: Arena::new(self.moment2.as_mut_slice()),
        };
        let classes = self.model.architecture().classes();
        let of = StepOf { isa: self.isa, seed: *seed, classes, pixels: &self.pixels };
        let params = Arena::new(self.model.values.as_mut_slice());
        let step = Step::new(&self.plan, of, &mut self.memory, params, learn).timed(self.times.as_ref());
        let first_step = self.steps;
        let size = self.plan.batch_size;
        let indices = |index: usize| &order[(index * size).min(order.len())..((index + 1) * size).min(order.len())];
        let batch = |index: usize| {
            let number = first_step + index as u64;
            let lr = settings.schedule.lr(settings.optimizer.lr(), number, steps as u64, settings.epochs as u64);
            let update = Some(settings.optimizer.update(number, lr));
            let [examples, next] = [index, index + 1].map(|index| Examples::of(data, indices(index)));
            Batch { examples, next, step: Some(number), update }
        };
        let nodes = self.plan.graph.nodes.len();
        // Written by the first thread after a step, read by all after the next meeting.
        let stop = AtomicBool::new(false);
        let run = |worker: &Worker, scratch: &mut Scratch, index: usize| {
            let batch = batch(index);
            step.forward(worker, scratch, &batch, nodes);
            step.loss(worker, scratch, &batch);
            step.fetch(worker, &batch);
            step.backward(worker, scratch, &batch);
            batch.len()
        };
        let (mut total, mut stopped, mut done) = (0.0, None, 0);
        // Spent by the caller, drawing for example: not training time.
        let mut elsewhere = Duration::ZERO;
        let relays = |threads| self.plan.graph.can_relay(threads);
        let mut tuner = Autotune::new(self.threads, steps, relays);
        while done < steps && stopped.is_none() {
            let (stretch, start) = (tuner.stretch(done), done);
            let mut watch = Watch::new();
            in_team(
                stretch.team,
                &mut self.scratch,
                |worker, scratch| {
                    for index in start..stretch.end {
                        run(worker, scratch, index);
                        worker.barrier();
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                },
                |worker, scratch| {
                    for index in start..stretch.end {
                        let examples = run(worker, scratch, index);
                        let loss = step.with_losses(examples, |losses, _| losses.iter().sum::<f64>());
                        total += loss;
                        done += 1;
                        let reported = Instant::now();
                        let flow = on_event(&Event::Step { epoch, step: index + 1, steps, examples });
                        elsewhere += reported.elapsed();
                        if !loss.is_finite() {
                            stopped = Some(StopReason::Diverged);
                        } else if flow == Flow::Stop {
                            stopped = Some(StopReason::Interrupted);
                        }
                        stop.store(stopped.is_some(), Ordering::Relaxed);
                        worker.barrier();
                        watch.step();
                        if stopped.is_some() {
                            break;
                        }
                    }
                },
            );
            tuner.timed(&watch);
        }
        drop(step);
        self.steps += done as u64;
        EpochRun { loss: total / data.len() as f64, time: started.elapsed() - elsewhere, stopped }
    }
}

#[cfg(test)]
mod bits;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod subnormals;
#[cfg(test)]
pub(crate) mod tests;
