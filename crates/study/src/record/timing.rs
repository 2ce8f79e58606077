//! Whether a trial's time can be compared.

use serde::{Deserialize, Serialize};

use crate::run::ProcessorTime;

/// What is known about the circumstances of a trial's time.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Processor time over wall time of the training threads together, from 0 to the number of threads; null where the
    /// system does not tell.
    pub cpu_share: Option<f64>,
    /// Time of other work on the machine meanwhile, in processors; null where the system does not tell.
    pub other_load: Option<f64>,
    /// Whether other work ran beside it, so that its time says little.
    pub busy: bool,
}

impl Timing {
    /// The most processors that other work may take for each thread of ours.
    pub const QUIET: f64 = 0.1;

    /// Seconds of other work that may be nothing but the coarse ticks in which systems count it.
    const COARSE_S: f64 = 0.05;

    /// Of a training on `threads` threads that took `wall_s`, from the processor time that had been spent before and
    /// after it.
    pub(crate) fn between(
        before: Option<ProcessorTime>,
        after: Option<ProcessorTime>,
        wall_s: f64,
        threads: usize,
    ) -> Timing {
        let (Some(before), Some(after)) = (before, after) else { return Timing::default() };
        let (own_s, all_s) = (after.own_s - before.own_s, after.all_s - before.all_s);
        // A clock that runs backwards tells nothing.
        if !(wall_s > 0.0 && own_s >= 0.0 && all_s >= 0.0) {
            return Timing::default();
        }
        let other_s = (all_s - own_s).max(0.0);
        Timing {
            cpu_share: Some(own_s / wall_s),
            other_load: Some(other_s / wall_s),
            busy: other_s > Timing::COARSE_S && other_s > Timing::QUIET * threads as f64 * wall_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_beside_other_work_is_marked() {
        let at = |own_s, all_s| Some(ProcessorTime { own_s, all_s });
        let timing = |other_s, threads| Timing::between(at(5.0, 100.0), at(25.0, 120.0 + other_s), 10.0, threads);
        assert_eq!(timing(1.0, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.1), busy: false });
        assert_eq!(timing(2.5, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.25), busy: true });
        assert_eq!(timing(-1.0, 2).other_load, Some(0.0), "two clocks that are read one after the other");
        // A few ticks of a hundredth of a second are no load.
        let short = Timing::between(at(0.0, 0.0), at(0.1, 0.14), 0.1, 1);
        assert!(!short.busy && short.other_load.is_some_and(|load| load > 0.3), "{short:?}");
        for (before, after) in [(None, at(1.0, 1.0)), (at(1.0, 1.0), None), (at(2.0, 2.0), at(1.0, 1.0))] {
            assert_eq!(Timing::between(before, after, 10.0, 1), Timing::default());
        }
        assert_eq!(Timing::between(at(0.0, 0.0), at(0.0, 0.0), 0.0, 1), Timing::default());
    }
}
