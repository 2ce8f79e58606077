//! A network in training, and one epoch of it.

use super::at_once::{AtOnce, AtOnceMemory};
use super::batches::{Batches, steps_of};
use super::staged::StagedImages;
use super::{Event, Flow, TrainConfig, TrainSettings};
use crate::aligned::Aligned;
use crate::autotune::{Autotune, Stretch, Watch};
use crate::batch::Batch;
use crate::data::Dataset;
use crate::model::{Architecture, Model};
use crate::op_times::OpTimes;
use crate::plan::{Memory, Plan, Scratch};
use crate::step::{Step, StepOf};
use crate::workers::{Worker, in_team};
use std::borrow::Cow;
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
    at_once: AtOnceMemory,
    /// Where images are changed before they are learned from.
    staged: Option<StagedImages>,
    scratch: Vec<Scratch>,
    tuner: Autotune,
    /// Steps done in all.
    steps: u64,
    /// Takes the time of every operation, where somebody wants to know.
    pub(crate) times: Option<OpTimes>,
}

/// How far an epoch has come.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct EpochRun {
    /// Sum of the losses of all examples so far.
    pub(super) loss: f64,
    /// Steps done.
    pub(super) done: usize,
    /// Spent on them.
    pub(crate) time: Duration,
}

/// Why no further step is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halt {
    /// There is none in this epoch.
    EpochDone,
    /// A loss was not finite.
    Diverged,
    /// The caller asked for something else than to go on.
    Asked(Flow),
}

/// What stands before the names of the parameters in those of the arrays that a training with these settings changes.
pub(super) fn changing(settings: &TrainSettings) -> &'static [&'static str] {
    let all = &["", "moment1/", "moment2/", "average/"];
    if settings.ema.is_some() { all } else { &all[..3] }
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
        let mut model = model.with_precision(settings.precision);
        model.whiten(train);
        let plan = Plan::new(&model.graph, settings.batch_size.min(train.len()), true);
        let state = || Aligned::zeroed(model.graph.param_len);
        let (moment1, moment2) = (state(), state());
        let (memory, scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect());
        let pixels = model.pixels().table(architecture.input());
        let at_once = AtOnceMemory::new(&model, settings);
        let staged = StagedImages::new(config, train.shape(), plan.batch_size, threads);
        let tuner = Autotune::new(threads, |threads| plan.graph.can_relay(threads));
        Trainer {
            isa,
            config,
            model,
            moment1,
            moment2,
            pixels,
            plan,
            memory,
            at_once,
            staged,
            scratch,
            tuner,
            steps: 0,
            times: None,
        }
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

    /// What training changes, each laid out like the parameters, in the order of [`changing`]. This and an [`EpochRun`]
    /// are all that the steps to come depend on.
    pub(super) fn changing(&mut self) -> Vec<&mut Aligned> {
        let mut all = vec![&mut self.model.values, &mut self.moment1, &mut self.moment2];
        all.extend(self.at_once.average.as_mut().map(|average| &mut average.values));
        all
    }

    /// The network that has been learned so far: its weights, or, where there is one, their average.
    pub(crate) fn learned(&self) -> Cow<'_, Model> {
        match &self.at_once.average {
            Some(average) => Cow::Owned(self.model.with_values(average.values.clone())),
            None => Cow::Borrowed(&self.model),
        }
    }

    /// The settings of the training.
    pub(super) fn settings(&self) -> &'a TrainSettings {
        &self.config.settings
    }

    /// Steps of an epoch over `data`.
    pub(super) fn steps_of(&self, data: &Dataset) -> usize {
        steps_of(data.len(), self.plan.batch_size)
    }

    /// The training has done `epochs` epochs over `data` and `run` of the next.
    pub(super) fn goes_on_after(&mut self, epochs: usize, run: &EpochRun, data: &Dataset) {
        self.steps = (epochs * self.steps_of(data) + run.done) as u64;
    }

    /// The steps of this epoch that `run` has not done, in its order of the examples, until there is none or the caller
    /// asks for something else. Called again with the same `run` it goes on, to the same bits.
    pub(crate) fn epoch(
        &mut self,
        epoch: usize,
        data: &Dataset,
        run: &mut EpochRun,
        on_event: &mut dyn FnMut(&Event) -> Flow,
    ) -> Halt {
        let steps = self.steps_of(data);
        let (started, before) = (Instant::now(), run.done);
        let (first_step, staged) = (self.steps - before as u64, self.staged.as_mut());
        let batches = Batches::new(self.config, data, epoch, self.plan.batch_size, first_step, staged);
        let (learn, at_once) = self.at_once.share([&mut self.moment1, &mut self.moment2]);
        let classes = self.model.architecture().classes();
        let of = StepOf { isa: self.isa, seed: self.config.seed, classes, pixels: &self.pixels };
        let params = Arena::new(self.model.values.as_mut_slice());
        let step = Step::new(&self.plan, of, &mut self.memory, params, learn).timed(self.times.as_ref());
        let mut report = |index, examples| on_event(&Event::Step { epoch, step: index + 1, steps, examples });
        self.tuner.epoch(steps - before);
        let mut progress = Progress { loss: run.loss, done: before, halt: None, elsewhere: Duration::ZERO };
        while progress.done < steps && progress.halt.is_none() {
            let mut stretch = self.tuner.stretch(progress.done - before);
            stretch.end += before;
            let begun = progress.done;
            let watch =
                run_stretch(stretch, (&step, &at_once), &batches, &mut self.scratch, &mut progress, &mut report);
            self.tuner.timed(progress.done - begun, &watch);
        }
        drop((step, at_once));
        let Progress { loss, done, halt, elsewhere } = progress;
        self.steps += (done - before) as u64;
        *run = EpochRun { loss, done, time: run.time + (started.elapsed() - elsewhere) };
        halt.unwrap_or(Halt::EpochDone)
    }
}

/// The steps up to the end of `stretch`, fewer if something stops the epoch: all threads of its team run the same ones,
/// and the first one sees after each what came of it.
fn run_stretch(
    stretch: Stretch,
    (step, at_once): (&Step, &AtOnce),
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
            batches.prepare(indices.start, worker);
            worker.barrier();
            for index in indices.clone() {
                batches.prepare(index + 1, worker);
                batches.with(index, |batch| run_step(step, at_once, worker, scratch, batch));
                worker.barrier();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        },
        |worker, scratch| {
            batches.prepare(indices.start, worker);
            worker.barrier();
            for index in indices.clone() {
                batches.prepare(index + 1, worker);
                let (examples, loss) = batches.with(index, |batch| {
                    run_step(step, at_once, worker, scratch, batch);
                    (batch.len(), step.with_losses(batch.len(), |losses, _| losses.iter().sum::<f64>()))
                });
                progress.step(loss, || report(index, examples));
                stop.store(progress.halt.is_some(), Ordering::Relaxed);
                worker.barrier();
                watch.step();
                if progress.halt.is_some() {
                    break;
                }
            }
        },
    );
    watch
}

/// One thread's part of a step; the caller's next meeting ends it.
fn run_step(step: &Step, at_once: &AtOnce, worker: &Worker, scratch: &mut Scratch, batch: &Batch) {
    step.forward(worker, scratch, batch, step.plan.graph.nodes.len());
    step.loss(worker, scratch, batch);
    step.fetch(worker, batch);
    step.backward(worker, scratch, batch);
    at_once.run(step, worker, batch);
}

/// How far an epoch has come, while its steps are taken.
struct Progress {
    /// Sum of the losses of all examples so far.
    loss: f64,
    /// Steps done.
    done: usize,
    halt: Option<Halt>,
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
            self.halt = Some(Halt::Diverged);
        } else if flow != Flow::Continue {
            self.halt = Some(Halt::Asked(flow));
        }
    }
}
