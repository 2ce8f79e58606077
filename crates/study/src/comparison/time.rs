//! How long trainings took, and when they reached their target.

use super::{Interval, ReachedBy, TargetStatistics, TimeStatistics};
use crate::record::{Environment, Reason, Status, TrialRecord};
use crate::stats::kaplan_meier::{Case, kaplan_meier, median_time};
use crate::stats::moments::median;

/// Whether the time of a trial can be compared with those from `latest`.
fn trusted(trial: &TrialRecord, latest: &Environment) -> bool {
    let own = &trial.environment;
    // Parts may have been trained on different machines.
    !trial.timing.busy
        && trial.timing.parts <= 1
        && (&own.cpu, own.threads, &own.version) == (&latest.cpu, latest.threads, &latest.version)
}

/// Over the finished trials; none if no time can be trusted.
pub(super) fn time(finished: &[&TrialRecord], latest: &Environment) -> Option<TimeStatistics> {
    let (kept, left_out): (Vec<&TrialRecord>, Vec<&TrialRecord>) =
        finished.iter().copied().partition(|trial| trusted(trial, latest));
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
pub(super) fn target(target: f64, trials: &[TrialRecord], latest: &Environment) -> Option<TargetStatistics> {
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
    let timed = ended.iter().filter(|trial| trusted(trial, latest));
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
