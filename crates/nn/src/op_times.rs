//! How long each operation of a step takes.

use crate::workers::Worker;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A part of a step whose time is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StepPart {
    /// Between steps.
    Elsewhere,
    /// An operation, by its number.
    Forward(usize),
    /// The loss and its gradient.
    Loss,
    /// An operation's gradients and the update of its parameters, by its number.
    Backward(usize),
}

/// Sums of the time that the first thread spent in each part, with its waiting for the others at the end of it; what it
/// waits at the end of a step counts as between steps.
pub(crate) struct OpTimes {
    base: Instant,
    /// When the last part ended, in nanoseconds since `base`.
    last: AtomicU64,
    /// [`StepPart::Elsewhere`], [`StepPart::Loss`], then forward and backward of each operation.
    sums: Vec<AtomicU64>,
}

impl OpTimes {
    pub(crate) fn new(operations: usize) -> OpTimes {
        let sums = (0..2 + 2 * operations).map(|_| AtomicU64::new(0)).collect();
        OpTimes { base: Instant::now(), last: AtomicU64::new(0), sums }
    }

    fn slot(part: StepPart) -> usize {
        match part {
            StepPart::Elsewhere => 0,
            StepPart::Loss => 1,
            StepPart::Forward(at) => 2 + 2 * at,
            StepPart::Backward(at) => 3 + 2 * at,
        }
    }

    /// What has passed since the last part was `part`.
    pub(crate) fn add(&self, worker: &Worker, part: StepPart) {
        if worker.index == 0 {
            let now = self.base.elapsed().as_nanos() as u64;
            let last = self.last.swap(now, Ordering::Relaxed);
            self.sums[OpTimes::slot(part)].fetch_add(now - last, Ordering::Relaxed);
        }
    }

    pub(crate) fn time(&self, part: StepPart) -> Duration {
        Duration::from_nanos(self.sums[OpTimes::slot(part)].load(Ordering::Relaxed))
    }
}
