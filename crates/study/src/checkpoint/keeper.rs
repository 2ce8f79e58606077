//! When checkpoints of a running training are made, and the thread that writes them.

use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use tenfold_nn::interop::safetensors::Array;
use tenfold_nn::train::{Event, Flow, Snapshot};

use super::{Checkpoint, file_name, found, place};
use crate::folder::{FolderError, RunFolder};
use crate::record::Spent;
use crate::run::Position;

/// The longest that a training goes without a checkpoint, if that is no dear one.
const WITHIN_EPOCH: Duration = Duration::from_secs(60);

/// What has to be lost before the end of an epoch is worth one.
const AT_EPOCHS_END: Duration = Duration::from_secs(5);

/// How many times the time that it takes to make one goes by before the next: so a training loses less than a hundredth
/// of its time, even where its threads have no processor to spare.
const TIMES_THE_COST: u32 = 200;

/// Makes the checkpoints of one training.
pub(crate) struct Keeper<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    folder: &'env RunFolder,
    /// The recipe, the seed and the identity of the trial.
    trial: (&'env str, u64, &'env str),
    /// Steps of an epoch.
    steps: usize,
    /// When the last one was begun.
    last: Instant,
    /// What it takes to make one.
    cost: Duration,
    writing: Option<(Position, ScopedJoinHandle<'scope, Result<Duration, FolderError>>)>,
    /// One could not be written, so no other is tried unasked.
    failed: bool,
}

/// What became of a checkpoint.
pub(crate) type Written = (Position, Result<(), FolderError>);

impl<'scope, 'env> Keeper<'scope, 'env> {
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        folder: &'env RunFolder,
        trial: (&'env str, u64, &'env str),
        steps: usize,
    ) -> Self {
        let (last, cost) = (Instant::now(), Duration::ZERO);
        Keeper { scope, folder, trial, steps, last, cost, writing: None, failed: false }
    }

    /// What a training is told after `event`, of which the caller said `asked`: perhaps that it is time for a snapshot.
    pub(crate) fn flow(&self, event: &Event, asked: Flow) -> Flow {
        let idle = asked == Flow::Continue && !self.failed && self.writing.is_none();
        let due = idle && due_after(event, self.cost).is_some_and(|least| self.last.elapsed() >= least);
        if due { Flow::Snapshot } else { asked }
    }

    /// What became of the one that was being written, if that is known now.
    pub(crate) fn written(&mut self) -> Option<Written> {
        let done = self.writing.as_ref().is_some_and(|(_, thread)| thread.is_finished());
        if done { self.finish() } else { None }
    }

    /// Waits for the one that is being written, if there is one.
    pub(crate) fn finish(&mut self) -> Option<Written> {
        let (position, thread) = self.writing.take()?;
        let written = thread.join().expect("nothing there panics");
        self.failed = written.is_err();
        Some((position, written.map(|cost| self.cost = cost)))
    }

    /// Begins to write one, after the one before has been written.
    pub(crate) fn write(&mut self, snapshot: &Arc<Snapshot>, filters: Vec<Array>, spent: Spent) -> Option<Written> {
        let before = self.finish();
        let (folder, trial, steps) = (self.folder, self.trial, self.steps);
        let (position, snapshot) = (position_of(snapshot, steps), Arc::clone(snapshot));
        self.last = Instant::now();
        let thread = self.scope.spawn(move || write(folder, trial, steps, snapshot, filters, spent));
        self.writing = Some((position, thread));
        // Changes of the folder come in one order where tests count them.
        before.or_else(|| if cfg!(test) { self.finish() } else { None })
    }
}

/// Where a training is, whose epochs have so many steps.
pub(crate) fn position_of(snapshot: &Snapshot, steps: usize) -> Position {
    let (epochs, step) = snapshot.position();
    Position { epoch: epochs + 1, step, steps }
}

/// Writes a checkpoint, and gives what it took to make it.
pub(crate) fn write(
    folder: &RunFolder,
    (recipe, seed, identity): (&str, u64, &str),
    steps: usize,
    snapshot: Arc<Snapshot>,
    filters: Vec<Array>,
    spent: Spent,
) -> Result<Duration, FolderError> {
    let started = Instant::now();
    let state = snapshot.state();
    drop(snapshot);
    let steps_in_all = state.steps_in_all(steps);
    let bytes = Checkpoint { identity: identity.to_owned(), state, filters, spent }.into_bytes();
    let cost = started.elapsed();
    let place = place(recipe, seed);
    // The one before stays while this one is written, so that two need room at most. Those of later steps could not be used,
    // or this training would have gone on from there.
    let found = found(folder, recipe, seed, identity)?;
    let before = found.iter().find(|(at, _)| *at < steps_in_all);
    for other in found.iter().filter(|other| other.0 != steps_in_all && Some(*other) != before) {
        folder.remove(format!("{place}/{}", other.1))?;
    }
    folder.write(format!("{place}/{}", file_name(steps_in_all, identity)), &bytes)?;
    Ok(cost)
}

/// How long after the last one a checkpoint is due at `event`, if it ever is, where making one takes `cost`.
fn due_after(event: &Event, cost: Duration) -> Option<Duration> {
    let least = match event {
        Event::Step { .. } => WITHIN_EPOCH,
        Event::Epoch { .. } => AT_EPOCHS_END,
        Event::EpochStarted { .. } | Event::Evaluating { .. } | Event::Snapshot { .. } => return None,
    };
    Some(least.max(TIMES_THE_COST * cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_takes_no_hundredth_of_the_time_until_the_next() {
        let step = Event::Step { epoch: 1, step: 1, steps: 9, examples: 5 };
        for (cost_ms, expected_s) in [(0, 60), (300, 60), (301, 60), (1_000, 200)] {
            let cost = Duration::from_millis(cost_ms);
            let due = due_after(&step, cost).expect("it is due some time");
            assert_eq!(due.as_secs(), expected_s, "{cost:?}");
            assert!(due >= 100 * cost);
        }
        assert_eq!(due_after(&Event::Evaluating { epoch: 1, done: 0 }, Duration::ZERO), None);
    }
}
