//! Whether a trial's time can be compared.

use serde::{Deserialize, Serialize};

use crate::run::ProcessorTime;

/// What is known about the circumstances of a trial's time.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Processor time over wall time of the training threads together, from 0 to the number of threads; null where the
    /// system does not tell.
    pub cpu_share: Option<f64>,
    /// Time of other work on the machine meanwhile, in processors; null where the system does not tell.
    pub other_load: Option<f64>,
    /// Whether other work ran beside it, so that its time says little.
    pub busy: bool,
    /// Of how many parts the trial's times were put together: 1 unless it was stopped and went on from a checkpoint.
    pub parts: u32,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { cpu_share: None, other_load: None, busy: false, parts: 1 }
    }
}

/// Time that the parts of a training took together.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    parts: u32,
    wall_s: f64,
    /// None where the system did not tell for one of them.
    processor: Option<ProcessorTime>,
}

impl Spent {
    /// With one part more, which took `wall_s`, from the processor time that had been spent before and after it.
    pub(crate) fn and(self, before: Option<ProcessorTime>, after: Option<ProcessorTime>, wall_s: f64) -> Spent {
        let part = match (before, after) {
            (Some(before), Some(after)) => {
                Some(ProcessorTime { own_s: after.own_s - before.own_s, all_s: after.all_s - before.all_s })
            }
            _ => None,
        };
        // A clock that runs backwards tells nothing.
        let part = part.filter(|part| wall_s > 0.0 && part.own_s >= 0.0 && part.all_s >= 0.0);
        let processor = match (self.processor, part) {
            _ if self.parts == 0 => part,
            (Some(one), Some(part)) => {
                Some(ProcessorTime { own_s: one.own_s + part.own_s, all_s: one.all_s + part.all_s })
            }
            _ => None,
        };
        Spent { parts: self.parts.saturating_add(1), wall_s: self.wall_s + wall_s, processor }
    }
}

impl Timing {
    /// The most processors that other work may take for each thread of ours.
    pub const QUIET: f64 = 0.1;

    /// Seconds of other work that may be nothing but the coarse ticks in which systems count it.
    const COARSE_S: f64 = 0.05;

    /// Of a training on `threads` threads, `beside_others` that its process trains at the same time or not.
    pub(crate) fn of(spent: Spent, threads: usize, beside_others: bool) -> Timing {
        let Spent { parts, wall_s, processor } = spent;
        // What its process spends says nothing of one of several.
        let Some(ProcessorTime { own_s, all_s }) = processor.filter(|_| !beside_others) else {
            return Timing { parts, busy: beside_others, ..Timing::default() };
        };
        let other_s = (all_s - own_s).max(0.0);
        Timing {
            cpu_share: Some(own_s / wall_s),
            other_load: Some(other_s / wall_s),
            busy: other_s > Timing::COARSE_S && other_s > Timing::QUIET * threads as f64 * wall_s,
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_beside_other_work_is_marked() {
        let at = |own_s, all_s| Some(ProcessorTime { own_s, all_s });
        let between =
            |before, after, wall_s, threads| Timing::of(Spent::default().and(before, after, wall_s), threads, false);
        let timing = |other_s, threads| between(at(5.0, 100.0), at(25.0, 120.0 + other_s), 10.0, threads);
        assert_eq!(timing(1.0, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.1), busy: false, parts: 1 });
        assert_eq!(timing(2.5, 2), Timing { cpu_share: Some(2.0), other_load: Some(0.25), busy: true, parts: 1 });
        assert_eq!(timing(-1.0, 2).other_load, Some(0.0), "two clocks that are read one after the other");
        // A few ticks of a hundredth of a second are no load.
        let short = between(at(0.0, 0.0), at(0.1, 0.14), 0.1, 1);
        assert!(!short.busy && short.other_load.is_some_and(|load| load > 0.3), "{short:?}");
        for (before, after) in [(None, at(1.0, 1.0)), (at(1.0, 1.0), None), (at(2.0, 2.0), at(1.0, 1.0))] {
            assert_eq!(between(before, after, 10.0, 1), Timing::default());
        }
        assert_eq!(between(at(0.0, 0.0), at(0.0, 0.0), 0.0, 1), Timing::default());
        // Beside others of its process, whatever the system tells.
        for before in [None, at(0.0, 0.0)] {
            let spent = Spent::default().and(before, at(1.0, 1.0), 1.0);
            assert_eq!(Timing::of(spent, 1, true), Timing { busy: true, ..Timing::default() });
        }
    }

    #[test]
    fn parts_add_up() {
        let at = |own_s, all_s| Some(ProcessorTime { own_s, all_s });
        let one = Spent::default().and(at(0.0, 0.0), at(2.0, 3.0), 1.0);
        let both = Timing::of(one.and(at(7.0, 100.0), at(8.0, 105.0), 2.0), 4, false);
        assert_eq!(both, Timing { cpu_share: Some(1.0), other_load: Some(5.0 / 3.0), busy: true, parts: 2 });
        let unknown = Timing { parts: 2, ..Timing::default() };
        assert_eq!(Timing::of(one.and(None, None, 2.0), 4, false), unknown);
        let later = Spent::default().and(None, None, 2.0).and(at(0.0, 0.0), at(1.0, 1.0), 1.0);
        assert_eq!(Timing::of(later, 4, false), unknown);
        assert_eq!(serde_json::from_str::<Timing>("{}").unwrap().parts, 1, "records of earlier versions");
    }
}
