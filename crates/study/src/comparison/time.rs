//! How long trainings took, and when they reached their target.

use super::{Interval, ReachedBy, TargetStatistics, TimeStatistics};
use crate::record::{Environment, Reason, Status, TrialRecord};
use crate::stats::kaplan_meier::{Case, kaplan_meier, median_time};
use crate::stats::moments::median;

/// Whether the time of a trial can be compared with those of others on its machine.
fn counts(trial: &TrialRecord) -> bool {
    // Parts may have been trained on different machines.
    !trial.timing.busy && trial.timing.parts <= 1
}

/// Whether the time of a trial can be compared with those from `machine`.
fn trusted(trial: &TrialRecord, machine: &Environment) -> bool {
    counts(trial) && trial.environment.is_like(machine)
}

/// The machine, of those that are alike the first, from which the most recipes have a time that counts; of equals the
/// one with the most such times, and of these the first. Each recipe is given by its finished trials.
pub(super) fn usual_machine<'a>(recipes: impl Iterator<Item = &'a [&'a TrialRecord]>) -> Option<&'a Environment> {
    // Each machine with how many recipes, and how many trials, have times from there.
    let mut machines: Vec<(&Environment, (usize, usize))> = Vec::new();
    for finished in recipes {
        let mut here: Vec<(&Environment, usize)> = Vec::new();
        for machine in finished.iter().filter(|trial| counts(trial)).map(|trial| &trial.environment) {
            match here.iter_mut().find(|other| other.0.is_like(machine)) {
                Some((_, trials)) => *trials += 1,
                None => here.push((machine, 1)),
            }
        }
        for (machine, trials) in here {
            match machines.iter_mut().find(|other| other.0.is_like(machine)) {
                Some((_, of)) => *of = (of.0 + 1, of.1 + trials),
                None => machines.push((machine, (1, trials))),
            }
        }
    }
    // The last of the greatest, so the first of them is put last.
    machines.into_iter().rev().max_by_key(|machine| machine.1).map(|machine| machine.0)
}

/// The machine whose times of a recipe count: the usual one, or where the recipe has none from there, its own.
pub(super) fn timed_on<'a>(finished: &'a [&'a TrialRecord], usual: Option<&'a Environment>) -> Option<&'a Environment> {
    let there = usual.filter(|usual| finished.iter().any(|trial| trusted(trial, usual)));
    there.or_else(|| usual_machine([finished].into_iter()))
}

/// Over the finished trials whose times are from `machine`; none if no time can be trusted.
pub(super) fn time(finished: &[&TrialRecord], machine: &Environment) -> Option<TimeStatistics> {
    let (kept, left_out): (Vec<&TrialRecord>, Vec<&TrialRecord>) =
        finished.iter().copied().partition(|trial| trusted(trial, machine));
    let seconds: Vec<f64> = kept.iter().map(|trial| trial.train_time_s).collect();
    // The first epoch also pays for the first touch of the memory.
    let epochs = kept.iter().flat_map(|trial| trial.epochs.iter().skip(1)).map(|epoch| epoch.train_time_s);
    Some(TimeStatistics {
        median_s: median(&seconds)?,
        range_s: Interval {
            low: seconds.iter().copied().fold(f64::INFINITY, f64::min),
            high: seconds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        },
        epoch_s: median(&epochs.collect::<Vec<_>>()),
        seeds: kept.iter().map(|trial| trial.seed).collect(),
        left_out: left_out.iter().map(|trial| trial.seed).collect(),
    })
}

/// Over all trials that ended by themselves; none if there is no such trial.
pub(super) fn target(target: f64, trials: &[TrialRecord], machine: Option<&Environment>) -> Option<TargetStatistics> {
    let ended: Vec<&TrialRecord> = trials.iter().filter(|trial| trial.status != Status::Interrupted).collect();
    if ended.is_empty() {
        return None;
    }
    let reached = |trial: &TrialRecord| trial.stopped.reason == Reason::Target;
    let case = |trial: &TrialRecord, time: f64| match trial.stopped.reason {
        // More epochs would not bring these there, so they never leave those who wait.
        Reason::Diverged | Reason::Patience => Case { time: f64::INFINITY, reached: false },
        _ => Case { time, reached: reached(trial) },
    };
    let epochs: Vec<Case> = ended.iter().map(|trial| case(trial, trial.stopped.epoch as f64)).collect();
    let timed = ended.iter().filter(|trial| machine.is_some_and(|machine| trusted(trial, machine)));
    let seconds: Vec<Case> = timed.map(|trial| case(trial, trial.train_time_s)).collect();
    let steps = kaplan_meier(&epochs).into_iter();
    Some(TargetStatistics {
        target,
        reached: ended.iter().filter(|trial| reached(trial)).count(),
        censored: ended.iter().filter(|trial| !reached(trial)).count(),
        median_epochs: median_time(&epochs),
        median_s: median_time(&seconds),
        reached_by: steps.map(|(epoch, share)| ReachedBy { epoch: epoch as usize, share }).collect(),
    })
}
