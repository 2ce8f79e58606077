//! The threads of a training step: all run the same program on different shares, and meet at a barrier.
//!
//! A step has dozens of meetings a few microseconds apart, far less than it takes to wake a sleeping thread, so a
//! barrier spins. After a bounded number of rounds it offers the processor to others, so that a busy machine, or one
//! with fewer cores than threads, makes progress.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Rounds of spinning (about 10 to 50 microseconds) before a waiting thread yields.
const SPINS: u32 = 10_000;

/// Where the threads of one step wait for each other.
pub(crate) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    /// A thread has panicked and will never arrive.
    broken: AtomicBool,
}

/// One of the threads.
pub(crate) struct Worker<'a> {
    pub(crate) index: usize,
    barrier: &'a Barrier,
}

impl Worker<'_> {
    /// Waits until every thread has called this as often as this one.
    pub(crate) fn meet(&self) {
        let barrier = self.barrier;
        if barrier.threads == 1 {
            return;
        }
        let generation = barrier.generation.load(Ordering::Acquire);
        if barrier.arrived.fetch_add(1, Ordering::AcqRel) + 1 == barrier.threads {
            barrier.arrived.store(0, Ordering::Relaxed);
            barrier.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while barrier.generation.load(Ordering::Acquire) == generation {
            assert!(!barrier.broken.load(Ordering::Relaxed), "another training thread has panicked");
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// This thread's share of `n` equal pieces of work: contiguous, and together all of them.
    pub(crate) fn share(&self, n: usize) -> Range<usize> {
        let threads = self.barrier.threads;
        n * self.index / threads..n * (self.index + 1) / threads
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.barrier.threads
    }

    /// Whether this is the last thread, which does small extra work beside the others' shares.
    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.barrier.threads
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.barrier.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs `work` on `threads` threads at once, the calling one among them as number 0, whose result is returned.
///
/// `local[i]` is thread `i`'s own; there are at least as many as threads.
pub(crate) fn on_threads<L: Send, R>(
    threads: usize,
    local: &mut [L],
    work: impl Fn(&Worker, &mut L) + Sync,
    first: impl FnOnce(&Worker, &mut L) -> R,
) -> R {
    let barrier = Barrier {
        threads,
        arrived: AtomicUsize::new(0),
        generation: AtomicUsize::new(0),
        broken: AtomicBool::new(false),
    };
    assert!(threads > 0 && local.len() >= threads, "a local for each of {threads} threads");
    let (mine, others) = local.split_first_mut().expect("at least one thread");
    std::thread::scope(|scope| {
        // Made before the others start: if one cannot, this one's end tells those that have not to wait.
        let this = Worker { index: 0, barrier: &barrier };
        for (index, local) in others.iter_mut().enumerate().take(threads - 1) {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || work(&Worker { index: index + 1, barrier }, local));
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
                    worker.meet();
                    assert_eq!(counter.load(Ordering::Relaxed), round * threads);
                    worker.meet();
                }
            };
            on_threads(threads, &mut vec![(); threads], program, program);
        }
    }

    #[test]
    fn shares_are_whole() {
        for threads in 1..7 {
            let barrier = Barrier {
                threads,
                arrived: AtomicUsize::new(0),
                generation: AtomicUsize::new(0),
                broken: AtomicBool::new(false),
            };
            for n in 0..20 {
                let all: Vec<usize> =
                    (0..threads).flat_map(|index| Worker { index, barrier: &barrier }.share(n)).collect();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_in_one_thread_ends_all() {
        let program = |worker: &Worker, _: &mut ()| worker.meet();
        let bad = |_: &Worker, _: &mut ()| panic!("a bug");
        on_threads(2, &mut [(), ()], bad, |worker, ()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program(worker, &mut ()))).expect_err("broken");
        });
    }
}
