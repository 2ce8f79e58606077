//! One training, from its beginning or from a checkpoint, with checkpoints on the way.

use std::thread;
use std::time::Instant;

use tenfold_nn::data::Splits;
use tenfold_nn::train::{self, Event, Flow, Outcome};

use super::{ProcessorTime, StudyEvent};
use crate::checkpoint::{Checkpoint, Keeper};
use crate::folder::RunFolder;
use crate::look::KeptFilters;
use crate::plan::PlannedStudy;
use crate::record::Spent;

/// A training that has ended or was stopped.
pub(super) struct Trained {
    pub(super) outcome: Outcome,
    pub(super) kept: KeptFilters,
    /// What all its parts took.
    pub(super) spent: Spent,
}

/// Trains recipe number `recipe` from `seed`.
pub(super) fn training(
    plan: &PlannedStudy,
    splits: &Splits,
    folder: &RunFolder,
    (recipe, seed): (usize, u64),
    from: Option<Checkpoint>,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&StudyEvent) -> Flow,
) -> Trained {
    let (architecture, threads) = (&plan.architectures[recipe], plan.environment.threads);
    let (name, config) = (&plan.recipe(recipe).0.name, plan.recipe(recipe).0.config(seed));
    let identity = plan.settings(recipe, seed).identity();
    let mut kept = KeptFilters::new(architecture, &config);
    let mut spent_before = Spent::default();
    let state = from.map(|Checkpoint { state, filters, spent, .. }| {
        kept.restore(&filters, state.epochs.len()).expect("the checkpoint has been checked");
        spent_before = spent;
        state
    });
    let (before, started) = (processor_time(), Instant::now());
    let spent = || spent_before.and(before, processor_time(), started.elapsed().as_secs_f64());
    let outcome = thread::scope(|scope| {
        let mut keeper = Keeper::new(scope, folder, (name, seed, &identity), plan.steps(recipe));
        let tell = |written, on_event: &mut dyn FnMut(&StudyEvent) -> Flow| {
            let Some((position, written)) = written else { return Flow::Continue };
            on_event(&StudyEvent::Checkpoint { recipe, seed, position, written: &written })
        };
        let mut see = |event: &Event| {
            let mut written = keeper.written();
            if let Event::Epoch { result, model } = event {
                kept.add(result.epoch, model);
            }
            // Before the first step there is nothing to lose.
            if let Event::Snapshot { snapshot } = event
                && snapshot.position() != (0, 0)
            {
                written = written.or(keeper.write(snapshot, kept.arrays().to_vec(), spent()));
            }
            let told = tell(written, on_event);
            match on_event(&StudyEvent::Training { recipe, seed, event }) {
                Flow::Continue => keeper.flow(event, told),
                asked => asked,
            }
        };
        let (train, valid) = (&splits.train, &splits.valid);
        let outcome = match state {
            Some(state) => train::train_from(state, architecture, &config, train, valid, threads, &mut see),
            None => train::train(architecture, &config, train, valid, threads, &mut see),
        };
        tell(keeper.finish(), on_event);
        outcome
    });
    Trained { outcome, spent: spent(), kept }
}
