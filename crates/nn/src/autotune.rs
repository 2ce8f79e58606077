//! By which team of threads a step is computed: by all, unless fewer are faster, and sharing large layers in the faster
//! way.
//!
//! A step of a tiny network takes a few microseconds. Sending numbers from one processor's cache to another's may then
//! take longer than the work that is shared; and if other programs keep a processor busy, a step waits for a thread
//! that is not running. How far apart two processors are decides too whether a thread had better take weights that
//! another has changed, or wait for another's sums ([`Team::relay`]): on two cores with caches of their own a step of
//! `cnn1` takes 7.1 ms one way and 5.7 the other, on two with a common one 5.4 and 5.6. None of this can be known in
//! advance, so at the start of each epoch some steps are timed on all threads, on half of them, and so on; where epochs
//! have few steps, over several of them. The results are the same in any team.

use crate::workers::Team;
use std::time::{Duration, Instant};

/// Steps that are timed of each team.
const TIMED: usize = 16;

/// Of these, so many go by before the clock starts.
const WARM_UP: usize = 4;

/// Steps at least this long are computed on all threads.
const LONG: Duration = Duration::from_millis(3);

/// The part of an epoch that is computed by one team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub(crate) team: Team,
    /// Number of the step after the last.
    pub(crate) end: usize,
}

/// How the epochs of a training are divided.
pub(crate) struct Autotune {
    /// The teams that are timed, the one with the most threads first.
    teams: Vec<Team>,
    /// Steps of this epoch.
    steps: usize,
    /// Steps done since the first team was to be timed.
    since: usize,
    /// The fastest so far, and the duration of its steps.
    best: Option<(Duration, Team)>,
    /// Which team is to be timed next; beyond the last when all have been.
    next: usize,
}

impl Autotune {
    /// `relays(threads)`: whether so many threads can share anything in a relay.
    pub(crate) fn new(threads: usize, relays: impl Fn(usize) -> bool) -> Autotune {
        let mut teams = Vec::new();
        for threads in std::iter::successors(Some(threads), |threads| Some(threads / 2)).take_while(|&t| t > 0) {
            teams.extend(relays(threads).then_some(Team { threads, relay: true }));
            teams.push(Team { threads, relay: false });
        }
        Autotune { steps: 0, since: usize::MAX, best: None, next: teams.len(), teams }
    }

    /// An epoch of so many steps begins. All teams are timed anew, in it and in those behind it if need be, as soon as that
    /// is at most a quarter of the steps since it began the last time.
    pub(crate) fn epoch(&mut self, steps: usize) {
        if self.teams.len() > 1 && self.since >= 4 * TIMED * self.teams.len() {
            (self.since, self.best, self.next) = (0, None, 0);
        }
        self.steps = steps;
    }

    /// What to do from step `start` of the epoch on.
    pub(crate) fn stretch(&self, start: usize) -> Stretch {
        match self.teams.get(self.next) {
            Some(&team) => Stretch { team, end: self.steps.min(start + TIMED) },
            None => Stretch { team: self.best.map_or(self.teams[0], |(_, team)| team), end: self.steps },
        }
    }

    /// What came of the last stretch, of so many steps.
    pub(crate) fn timed(&mut self, steps: usize, watch: &Watch) {
        self.since = self.since.saturating_add(steps);
        let (Some(step), Some(&team)) = (watch.median(), self.teams.get(self.next)) else { return };
        if self.best.is_none_or(|(best, _)| step < best) {
            self.best = Some((step, team));
        }
        self.next += 1;
        // Long steps are shared by all threads, in one way or the other.
        if step >= LONG && self.teams.get(self.next).is_some_and(|next| next.threads < team.threads) {
            self.next = self.teams.len();
        }
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

    fn on(threads: usize, end: usize) -> Stretch {
        Stretch { team: Team { threads, relay: false }, end }
    }

    fn relay(threads: usize, end: usize) -> Stretch {
        Stretch { team: Team { threads, relay: true }, end }
    }

    /// The stretches of an epoch in which up to `relays` threads share something in a relay, and whose steps take as
    /// long as `micros` says for each team.
    fn stretches(threads: usize, steps: usize, relays: usize, micros: impl Fn(Team) -> u64) -> Vec<Stretch> {
        stretches_of(&mut Autotune::new(threads, |t| t > 1 && t <= relays), steps, micros)
    }

    /// Those of its next epoch.
    fn stretches_of(tuner: &mut Autotune, steps: usize, micros: impl Fn(Team) -> u64) -> Vec<Stretch> {
        tuner.epoch(steps);
        let (mut done, mut all) = (0, Vec::new());
        while done < steps {
            let stretch = tuner.stretch(done);
            all.push(stretch);
            let (whole, steps) = (watch(micros(stretch.team)), stretch.end - done);
            tuner.timed(steps, &Watch { seen: TIMED.min(steps), ..whole });
            done = stretch.end;
        }
        all
    }

    #[test]
    fn the_fastest_number_of_threads_does_most_steps() {
        let all = stretches(5, 1000, 0, |team| [0, 40, 20, 0, 0, 30][team.threads]);
        assert_eq!(all, [on(5, 16), on(2, 32), on(1, 48), on(2, 1000)]);
        assert_eq!(stretches(2, 500, 0, |_| 20), [on(2, 16), on(1, 32), on(2, 500)], "of equals, the most threads");
    }

    #[test]
    fn the_faster_way_of_sharing_does_most_steps() {
        let faster = |relay: bool| move |team: Team| if team.relay == relay { 5000 } else { 6000 };
        assert_eq!(stretches(2, 1000, 4, faster(true)), [relay(2, 16), on(2, 32), relay(2, 1000)]);
        assert_eq!(stretches(2, 1000, 4, faster(false)), [relay(2, 16), on(2, 32), on(2, 1000)]);
        let all = stretches(8, 1000, 4, |team| 1000 + u64::from(team.relay) + team.threads as u64);
        assert_eq!(all[..3], [on(8, 16), relay(4, 32), on(4, 48)], "eight are too many for a relay");
        assert_eq!(all.last(), Some(&on(1, 1000)));
    }

    #[test]
    fn long_steps_and_one_thread_are_not_timed() {
        assert_eq!(stretches(4, 1000, 0, |_| 3000), [on(4, 16), on(4, 1000)]);
        assert_eq!(stretches(1, 1000, 4, |_| 20), [on(1, 1000)]);
    }

    #[test]
    fn in_short_epochs_teams_are_timed_one_after_the_other() {
        let mut tuner = Autotune::new(2, |threads| threads > 1);
        let faster = |team: Team| if team.relay { 6000 } else { 5000 };
        assert_eq!(stretches_of(&mut tuner, 28, faster), [relay(2, 16), on(2, 28)]);
        assert_eq!(stretches_of(&mut tuner, 28, faster), [on(2, 16), on(2, 28)], "timed again, as a whole");
        // 192 steps later everything is timed anew.
        for _ in 2..7 {
            assert_eq!(stretches_of(&mut tuner, 28, faster), [on(2, 28)]);
        }
        assert_eq!(stretches_of(&mut tuner, 28, faster), [relay(2, 16), on(2, 28)]);
        let mut tiny = Autotune::new(4, |_| false);
        for _ in 0..50 {
            assert_eq!(stretches_of(&mut tiny, 10, |_| 20), [on(4, 10)], "ten steps say nothing");
        }
    }

    #[test]
    fn long_epochs_are_timed_each() {
        let mut tuner = Autotune::new(2, |_| false);
        for _ in 0..2 {
            assert_eq!(stretches_of(&mut tuner, 128, |_| 20), [on(2, 16), on(1, 32), on(2, 128)]);
        }
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
