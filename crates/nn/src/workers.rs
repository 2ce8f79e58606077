//! The threads of a training step: all run the same program on different shares, and meet at a barrier.
//!
//! A step has dozens of meetings a few microseconds apart, far less than it takes to wake a sleeping thread, so a
//! barrier spins. After a bounded number of rounds it offers the processor to others, so that a busy machine, or one
//! with fewer cores than threads, makes progress.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::Ordering;

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicUsize};

#[cfg(loom)]
use loom::thread::yield_now;
#[cfg(not(loom))]
use std::thread::yield_now;

/// Rounds of spinning (about 10 to 50 microseconds) before a waiting thread yields.
const SPINS: u32 = 10_000;

/// How many threads compute a step, and how they share the large linear layers of a training.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Team {
    pub(crate) threads: usize,
    /// Each sums the inputs whose weights it updates, and hands the sums on to the next; otherwise each sums all inputs
    /// for some of the outputs.
    pub(crate) relay: bool,
}

/// Where the threads of one step wait for each other.
pub(crate) struct Barrier {
    team: Team,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    /// How often each thread has handed something on to the next.
    signalled: Vec<AtomicUsize>,
    /// A thread has panicked and will never arrive.
    broken: AtomicBool,
}

impl Barrier {
    fn new(team: Team) -> Barrier {
        Barrier {
            team,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            signalled: (0..team.threads).map(|_| AtomicUsize::new(0)).collect(),
            broken: AtomicBool::new(false),
        }
    }

    fn wait_until(&self, come: impl Fn() -> bool) {
        let mut spins = 0;
        while !come() {
            assert!(!self.broken.load(Ordering::Relaxed), "another training thread has panicked");
            // Under loom a thread that waits must let others go on at once.
            if spins < SPINS && cfg!(not(loom)) {
                spins += 1;
                std::hint::spin_loop();
            } else {
                yield_now();
            }
        }
    }
}

/// One of the threads.
pub(crate) struct Worker<'a> {
    pub(crate) index: usize,
    barrier: &'a Barrier,
    /// How often this thread has taken over from the one before.
    waited: Cell<usize>,
}

impl<'a> Worker<'a> {
    fn new(index: usize, barrier: &'a Barrier) -> Worker<'a> {
        Worker { index, barrier, waited: Cell::new(0) }
    }

    /// Lets the next thread go on with what this one has written; the last one hands on to nobody.
    pub(crate) fn signal_next(&self) {
        self.barrier.signalled[self.index].fetch_add(1, Ordering::Release);
    }

    /// Waits until the thread before has called [`Worker::signal_next`] as often as this one has called this; the first
    /// one takes over from nobody.
    pub(crate) fn wait_for_previous(&self) {
        let Some(before) = self.index.checked_sub(1) else { return };
        self.waited.set(self.waited.get() + 1);
        self.barrier.wait_until(|| self.barrier.signalled[before].load(Ordering::Acquire) >= self.waited.get());
    }

    /// Waits until every thread has called this as often as this one.
    pub(crate) fn barrier(&self) {
        let barrier = self.barrier;
        if barrier.team.threads == 1 {
            return;
        }
        let generation = barrier.generation.load(Ordering::Acquire);
        if barrier.arrived.fetch_add(1, Ordering::AcqRel) + 1 == barrier.team.threads {
            barrier.arrived.store(0, Ordering::Relaxed);
            barrier.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        barrier.wait_until(|| barrier.generation.load(Ordering::Acquire) != generation);
    }

    /// This thread's share of `n` equal pieces of work: contiguous, and together all of them.
    pub(crate) fn share(&self, n: usize) -> Range<usize> {
        let threads = self.threads();
        n * self.index / threads..n * (self.index + 1) / threads
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.team().threads
    }

    /// How the threads work together.
    pub(crate) fn team(&self) -> Team {
        self.barrier.team
    }

    /// Whether this is the last thread, which does small extra work beside the others' shares.
    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.threads()
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.barrier.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// [`in_team`] on `threads` threads that share linear layers by outputs.
pub(crate) fn on_threads<L: Send, R>(
    threads: usize,
    local: &mut [L],
    work: impl Fn(&Worker, &mut L) + Sync,
    first: impl FnOnce(&Worker, &mut L) -> R,
) -> R {
    in_team(Team { threads, relay: false }, local, work, first)
}

/// Runs `work` on all threads of `team` at once, the calling one among them as number 0, whose result is returned.
///
/// `local[i]` is thread `i`'s own; there are at least as many as threads.
pub(crate) fn in_team<L: Send, R>(
    team: Team,
    local: &mut [L],
    work: impl Fn(&Worker, &mut L) + Sync,
    first: impl FnOnce(&Worker, &mut L) -> R,
) -> R {
    let (barrier, threads) = (Barrier::new(team), team.threads);
    assert!(threads > 0 && local.len() >= threads, "a local for each of {threads} threads");
    let (mine, others) = local.split_first_mut().expect("at least one thread");
    std::thread::scope(|scope| {
        // Made before the others start: if one cannot, this one's end tells those that have not to wait.
        let this = Worker::new(0, &barrier);
        for (index, local) in others.iter_mut().enumerate().take(threads - 1) {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || work(&Worker::new(index + 1, barrier), local));
        }
        first(&this, mine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_a_barrier_early() {
        for threads in [1, 2, 3, 5] {
            let counter = AtomicUsize::new(0);
            let program = |worker: &Worker, _: &mut ()| {
                for round in 1..=200 {
                    counter.fetch_add(1, Ordering::Relaxed);
                    worker.barrier();
                    assert_eq!(counter.load(Ordering::Relaxed), round * threads);
                    worker.barrier();
                }
            };
            on_threads(threads, &mut vec![(); threads], program, program);
        }
    }

    #[test]
    fn what_is_signalled_has_been_written() {
        for threads in [1, 2, 3, 5] {
            let places: Vec<AtomicUsize> = (0..200).map(|_| AtomicUsize::new(0)).collect();
            let program = |worker: &Worker, _: &mut ()| {
                for place in &places {
                    worker.wait_for_previous();
                    // Each place has gone through the hands of all threads before, in order.
                    assert_eq!(place.swap(worker.index + 1, Ordering::Relaxed), worker.index);
                    worker.signal_next();
                }
            };
            on_threads(threads, &mut vec![(); threads], program, program);
            assert!(places.iter().all(|place| place.load(Ordering::Relaxed) == threads));
        }
    }

    #[test]
    fn shares_are_whole() {
        for threads in 1..7 {
            let barrier = Barrier::new(Team { threads, relay: false });
            for n in 0..20 {
                let all: Vec<usize> = (0..threads).flat_map(|index| Worker::new(index, &barrier).share(n)).collect();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_in_one_thread_ends_all() {
        let program = |worker: &Worker, _: &mut ()| worker.barrier();
        let bad = |_: &Worker, _: &mut ()| panic!("a bug");
        on_threads(2, &mut [(), ()], bad, |worker, ()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program(worker, &mut ()))).expect_err("broken");
        });
    }
}

/// Every order in which two threads may see each other's memory operations (`scripts/check-loom`).
#[cfg(all(test, loom))]
mod exhaustive {
    use super::*;
    use loom::sync::Arc;

    type Shared = (Barrier, [AtomicUsize; 2]);

    /// Runs `program` on two threads in all ways.
    fn in_all_orders(relay: bool, program: fn(usize, &Shared)) {
        loom::model(move || {
            let team = Team { threads: 2, relay };
            let shared = Arc::new((Barrier::new(team), [AtomicUsize::new(0), AtomicUsize::new(0)]));
            let others = Arc::clone(&shared);
            let other = loom::thread::spawn(move || program(1, &others));
            program(0, &shared);
            other.join().expect("no panic");
        });
    }

    #[test]
    fn what_was_written_before_a_barrier_is_seen_behind_it() {
        in_all_orders(false, |index, (barrier, places)| {
            let worker = Worker::new(index, barrier);
            for round in 1..=2 {
                places[index].store(round, Ordering::Relaxed);
                worker.barrier();
                assert_eq!(places[1 - index].load(Ordering::Relaxed), round);
                // Nobody writes again before all have read.
                worker.barrier();
            }
        });
    }

    #[test]
    fn what_was_written_before_a_signal_is_seen_by_the_next() {
        in_all_orders(true, |index, (barrier, places)| {
            let worker = Worker::new(index, barrier);
            for place in places {
                worker.wait_for_previous();
                assert_eq!(place.load(Ordering::Relaxed), index);
                place.store(index + 1, Ordering::Relaxed);
                worker.signal_next();
            }
        });
    }
}
