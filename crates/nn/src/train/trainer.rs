//! A network in training, and one epoch of it.

use super::batches::{Batches, steps_of};
use super::{Event, Flow, StopReason, TrainConfig};
use crate::aligned::Aligned;
use crate::autotune::{Autotune, Stretch, Watch};
use crate::batch::Batch;
use crate::data::Dataset;
use crate::model::{Architecture, Model};
use crate::op_times::OpTimes;
use crate::plan::{Memory, Plan, Scratch};
use crate::step::{Learn, Step, StepOf};
use crate::workers::{Worker, in_team};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tenfold_kernels::Isa;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::pixels::PixelTable;

/// A network in training: its parameters, the optimizer's state, and the memory of a step.
pub(crate) struct Trainer<'a> {
    isa: Isa,
    config: &'a TrainConfig,
    pub(crate) model: Model,
    pub(super) moment1: Aligned,
    pub(super) moment2: Aligned,
    pixels: PixelTable,
    plan: Plan,
    pub(super) memory: Memory,
    scratch: Vec<Scratch>,
    threads: usize,
    /// Steps done in all.
    steps: u64,
    /// Takes the time of every operation, where somebody wants to know.
    pub(crate) times: Option<OpTimes>,
}

/// What became of one epoch.
pub(crate) struct EpochRun {
    /// Mean loss per example.
    pub(super) loss: f64,
    pub(crate) time: Duration,
    pub(crate) stopped: Option<StopReason>,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        isa: Isa,
        architecture: &Architecture,
        config: &'a TrainConfig,
        train: &Dataset,
        threads: usize,
    ) -> Self {
        let settings = &config.settings;
        let model = Model::new(architecture.clone(), settings.init, config.seed, settings.pixels.of(train));
        let model = model.with_precision(settings.precision);
        let plan = Plan::new(&model.graph, settings.batch_size.min(train.len()), true);
        let state = || Aligned::zeroed(model.graph.param_len);
        let (moment1, moment2) = (state(), state());
        let (memory, scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect());
        let pixels = model.pixels().table(architecture.input());
        Trainer { isa, config, model, moment1, moment2, pixels, plan, memory, scratch, threads, steps: 0, times: None }
    }

    /// The same, with optimizer states as a training past its first thousand steps has them: those of weights that get
    /// no gradient have decayed to the smallest numbers that are kept, and no step from here on has others than the
    /// next.
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
        let steps = steps_of(data, self.plan.batch_size);
        if on_event(&Event::EpochStarted { epoch, steps }) == Flow::Stop {
            return EpochRun { loss: f64::NAN, time: Duration::ZERO, stopped: Some(StopReason::Interrupted) };
        }
        let started = Instant::now();
        let batches = Batches::new(self.config, data, epoch, self.plan.batch_size, self.steps);
        let learn = Learn::Update {
            moment1: Arena::new(self.moment1.as_mut_slice()),
            moment2: Arena::new(self.moment2.as_mut_slice()),
        };
        let classes = self.model.architecture().classes();
        let of = StepOf { isa: self.isa, seed: self.config.seed, classes, pixels: &self.pixels };
        let params = Arena::new(self.model.values.as_mut_slice());
        let step = Step::new(&self.plan, of, &mut self.memory, params, learn).timed(self.times.as_ref());
        let mut report = |index, examples| on_event(&Event::Step { epoch, step: index + 1, steps, examples });
        let mut tuner = Autotune::new(self.threads, steps, |threads| self.plan.graph.can_relay(threads));
        let mut progress = Progress::default();
        while progress.done < steps && progress.stopped.is_none() {
            let stretch = tuner.stretch(progress.done);
            let watch = run_stretch(stretch, &step, &batches, &mut self.scratch, &mut progress, &mut report);
            tuner.timed(&watch);
        }
        drop(step);
        self.steps += progress.done as u64;
        progress.ended(data.len(), started.elapsed())
    }
}

/// The steps up to the end of `stretch`, fewer if something stops the epoch: all threads of its team run the same ones,
/// and the first one sees after each what came of it.
fn run_stretch(
    stretch: Stretch,
    step: &Step,
    batches: &Batches,
    scratch: &mut [Scratch],
    progress: &mut Progress,
    mut report: impl FnMut(usize, usize) -> Flow,
) -> Watch {
    let indices = progress.done..stretch.end;
    // Written by the first thread after a step, read by all after the next meeting.
    let stop = AtomicBool::new(false);
    let mut watch = Watch::new();
    in_team(
        stretch.team,
        scratch,
        |worker, scratch| {
            for index in indices.clone() {
                run_step(step, worker, scratch, &batches.get(index));
                worker.barrier();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        },
        |worker, scratch| {
            for index in indices.clone() {
                let batch = batches.get(index);
                run_step(step, worker, scratch, &batch);
                let loss = step.with_losses(batch.len(), |losses, _| losses.iter().sum::<f64>());
                progress.step(loss, || report(index, batch.len()));
                stop.store(progress.stopped.is_some(), Ordering::Relaxed);
                worker.barrier();
                watch.step();
                if progress.stopped.is_some() {
                    break;
                }
            }
        },
    );
    watch
}

/// One thread's part of a step; the caller's next meeting ends it.
fn run_step(step: &Step, worker: &Worker, scratch: &mut Scratch, batch: &Batch) {
    step.forward(worker, scratch, batch, step.plan.graph.nodes.len());
    step.loss(worker, scratch, batch);
    step.fetch(worker, batch);
    step.backward(worker, scratch, batch);
}

/// How far an epoch has come.
#[derive(Default)]
struct Progress {
    /// Sum of the losses of all examples so far.
    loss: f64,
    /// Steps done.
    done: usize,
    stopped: Option<StopReason>,
    /// Spent by the caller, drawing for example: not training time.
    elsewhere: Duration,
}

impl Progress {
    /// A step is done, of which `report` tells the caller.
    fn step(&mut self, loss: f64, report: impl FnOnce() -> Flow) {
        self.loss += loss;
        self.done += 1;
        let reported = Instant::now();
        let flow = report();
        self.elsewhere += reported.elapsed();
        if !loss.is_finite() {
            self.stopped = Some(StopReason::Diverged);
        } else if flow == Flow::Stop {
            self.stopped = Some(StopReason::Interrupted);
        }
    }

    /// What became of an epoch of so many examples that took `time` in all.
    fn ended(self, examples: usize, time: Duration) -> EpochRun {
        EpochRun { loss: self.loss / examples as f64, time: time - self.elsewhere, stopped: self.stopped }
    }
}
