//! On how many threads a step is computed: on all, unless fewer are faster.
//!
//! A step of a tiny network takes a few microseconds. Sending numbers from one processor's cache to another's may then take
//! longer than the work that is shared; and if other programs keep a processor busy, a step waits for a thread that
//! is not running. Neither can be known in advance, so at the start of each epoch some steps are timed on all threads, on half
//! of them, and so on. The results are the same on any number of threads.

use std::time::{Duration, Instant};

/// Steps that are timed on each number of threads.
const TIMED: usize = 16;

/// Of these, so many go by before the clock starts.
const WARM_UP: usize = 4;

/// Steps at least this long are computed on all threads.
const LONG: Duration = Duration::from_millis(3);

/// The part of an epoch that is computed on one number of threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub(crate) threads: usize,
    /// Number of the step after the last.
    pub(crate) end: usize,
}

/// How one epoch is divided.
pub(crate) struct Pace {
    threads: usize,
    steps: usize,
    /// The fastest so far, and the duration of its steps.
    best: Option<(Duration, usize)>,
    /// Number of threads to be timed next; 0 when all have been.
    next: usize,
}

impl Pace {
    pub(crate) fn new(threads: usize, steps: usize) -> Pace {
        // An epoch too short for trying is computed on all threads.
        let tries = threads.ilog2() as usize + 1;
        let worth = threads > 1 && steps >= 4 * TIMED * tries;
        Pace { threads, steps, best: None, next: if worth { threads } else { 0 } }
    }

    /// What to do from step `start` on.
    pub(crate) fn stretch(&self, start: usize) -> Stretch {
        if self.next > 0 {
            return Stretch { threads: self.next, end: start + TIMED };
        }
        Stretch { threads: self.best.map_or(self.threads, |(_, threads)| threads), end: self.steps }
    }

    /// What came of the last stretch.
    pub(crate) fn timed(&mut self, watch: &Watch) {
        let Some(step) = watch.median().filter(|_| self.next > 0) else { return };
        if self.best.is_none_or(|(best, _)| step < best) {
            self.best = Some((step, self.next));
        }
        self.next = if step >= LONG { 0 } else { self.next / 2 };
    }
}

/// The durations of a stretch's first steps.
pub(crate) struct Watch {
    last: Option<Instant>,
    seen: usize,
    durations: [Duration; TIMED - WARM_UP],
}

impl Watch {
    pub(crate) fn new() -> Watch {
        Watch { last: None, seen: 0, durations: [Duration::ZERO; TIMED - WARM_UP] }
    }

    /// A step is done.
    pub(crate) fn step(&mut self) {
        // No clock in the long stretch after those that are timed.
        if self.seen == TIMED {
            return;
        }
        let now = Instant::now();
        self.seen += 1;
        if let Some(last) = self.last
            && self.seen > WARM_UP
        {
            self.durations[self.seen - 1 - WARM_UP] = now - last;
        }
        self.last = Some(now);
    }

    fn median(&self) -> Option<Duration> {
        let mut durations = self.durations;
        durations.sort_unstable();
        (self.seen == TIMED).then(|| durations[durations.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(micros: u64) -> Watch {
        let durations = [Duration::from_micros(micros); TIMED - WARM_UP];
        Watch { last: None, seen: TIMED, durations }
    }

    /// The stretches of an epoch whose steps take as long as `micros` says for each number of threads.
    fn stretches(threads: usize, steps: usize, micros: impl Fn(usize) -> u64) -> Vec<Stretch> {
        let (mut pace, mut done, mut all) = (Pace::new(threads, steps), 0, Vec::new());
        while done < steps {
            let stretch = pace.stretch(done);
            all.push(stretch);
            pace.timed(&watch(micros(stretch.threads)));
            done = stretch.end;
        }
        all
    }

    #[test]
    fn the_fastest_number_of_threads_does_most_steps() {
        let on = |threads, end| Stretch { threads, end };
        let all = stretches(5, 1000, |threads| [0, 40, 20, 0, 0, 30][threads]);
        assert_eq!(all, [on(5, 16), on(2, 32), on(1, 48), on(2, 1000)]);
        assert_eq!(stretches(2, 500, |_| 20), [on(2, 16), on(1, 32), on(2, 500)], "of equals, the most threads");
    }

    #[test]
    fn long_steps_short_epochs_and_one_thread_are_not_timed() {
        let on = |threads, end| Stretch { threads, end };
        assert_eq!(stretches(4, 1000, |_| 3000), [on(4, 16), on(4, 1000)]);
        assert_eq!(stretches(4, 100, |_| 20), [on(4, 100)]);
        assert_eq!(stretches(1, 1000, |_| 20), [on(1, 1000)]);
    }

    #[test]
    fn a_stretch_that_was_broken_off_says_nothing() {
        let mut watch = Watch::new();
        (0..TIMED - 1).for_each(|_| watch.step());
        assert_eq!(watch.median(), None);
        watch.step();
        assert!(watch.median().is_some());
        watch.step();
        assert_eq!(watch.seen, TIMED);
    }
}
