//! Works through the trials of a study, and keeps the record on disk up to date.

use std::time::Instant;

use tenfold_nn::data::Splits;
use tenfold_nn::evaluate;
use tenfold_nn::model::Model;
use tenfold_nn::train::{self, Event, Flow, Outcome};

use crate::comparison::ChosenBy;
use crate::folder::{FolderError, RunFolder};
use crate::ledger::Ledger;
use crate::look::KeptFilters;
use crate::metrics::Metrics;
use crate::plan::{Plan, TrialState};
use crate::record::{RESULTS, ReadingReason, Reason, Status, Stopped, StudyRecord, Timing, TrialRecord};
use crate::trial::{self, Product};

/// Processor time that was spent until now, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ProcessorTime {
    /// By this process, on all its threads.
    pub own_s: f64,
    /// By all of the machine, this process included.
    pub all_s: f64,
}

/// What happens during a run. Recipes are given by their index in the study.
#[derive(Debug)]
pub enum StudyEvent<'a> {
    /// Nothing is trained yet.
    Planned {
        /// Every trial in the order of running: recipe, seed, and how it stands.
        trials: &'a [(usize, u64, TrialState)],
        /// Trials in the folder that belong to other settings and stay out of the record.
        left_out: usize,
    },
    /// A trial begins.
    TrialStarted {
        /// The recipe.
        recipe: usize,
        /// The seed.
        seed: u64,
    },
    /// Within a trial.
    Training {
        /// The recipe.
        recipe: usize,
        /// The seed.
        seed: u64,
        /// What happens.
        event: &'a Event<'a>,
    },
    /// A trial has ended, and its files are on disk.
    TrialEnded {
        /// The recipe.
        recipe: usize,
        /// How it went.
        record: &'a TrialRecord,
    },
}

/// Runs all trials of `plan` that are not finished yet, and writes `study.toml` and `results.json`.
///
/// When `on_event` asks to stop, the trial that is running is recorded as interrupted and no other is begun.
/// `processor_time` tells what other work the machine does meanwhile, where that is known.
pub fn run(
    plan: &Plan,
    splits: &Splits,
    folder: &RunFolder,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&StudyEvent) -> Flow,
) -> Result<StudyRecord, FolderError> {
    let found = plan.on_disk(folder)?;
    let mut ledger = Ledger::read(folder, RESULTS, found.records.values())?;
    folder.write("study.toml", plan.study.to_toml().as_bytes())?;
    let trials: Vec<_> = plan.trials().map(|(recipe, seed)| (recipe, seed, found.state((recipe, seed)))).collect();
    let to_run = |trial| trials.iter().any(|&(recipe, seed, _)| (recipe, seed) == trial);
    let left_out = found.others.keys().filter(|&&trial| !to_run(trial)).count();
    let mut records = found.records;
    if plan.chosen_by == ChosenBy::Test {
        ledger.count(ReadingReason::Choice, None);
    }
    let mut record = plan.record(&records, ledger.readings());
    write_results(folder, &record)?;

    let mut flow = on_event(&StudyEvent::Planned { trials: &trials, left_out });
    for &(recipe, seed, ref state) in &trials {
        if matches!(state, TrialState::Kept(_)) {
            continue;
        }
        if matches!(flow, Flow::Continue) {
            flow = on_event(&StudyEvent::TrialStarted { recipe, seed });
        }
        if matches!(flow, Flow::Stop) {
            break;
        }
        let (before, started) = (processor_time(), Instant::now());
        let config = plan.recipe(recipe).0.config(seed);
        let (architecture, threads) = (&plan.architectures[recipe], plan.environment.threads);
        let mut kept = KeptFilters::new(architecture, &config);
        let outcome = train::train(architecture, &config, &splits.train, &splits.valid, threads, &mut |event| {
            if let Event::Epoch { result, model } = event {
                kept.add(result.epoch, model);
            }
            on_event(&StudyEvent::Training { recipe, seed, event })
        });
        let wall_s = started.elapsed().as_secs_f64();
        let timing = Timing::between(before, processor_time(), wall_s, threads);
        let mut trial = trained(plan, recipe, seed, &outcome, timing);
        if trial.status == Status::Finished {
            // On disk before the look is taken, so that no way to die loses it.
            ledger.count(ReadingReason::Trial, Some((&trial.recipe, seed)));
            record = plan.record(&records, ledger.readings());
            write_results(folder, &record)?;
            measure(splits, folder, &outcome.model, &kept, threads, &mut trial)?;
        } else {
            trial::write(folder, &mut trial, None)?;
        }
        records.insert((recipe, seed), trial);
        record = plan.record(&records, ledger.readings());
        write_results(folder, &record)?;
        let trial = &records[&(recipe, seed)];
        flow = on_event(&StudyEvent::TrialEnded { recipe, record: trial });
        if trial.status == Status::Interrupted {
            break;
        }
    }
    Ok(record)
}

/// The record of a training that has ended, before it is measured.
fn trained(plan: &Plan, recipe: usize, seed: u64, outcome: &Outcome, timing: Timing) -> TrialRecord {
    let settings = plan.recipe(recipe).0;
    let reason = Reason::from(outcome.stopped);
    let status = match reason {
        Reason::Diverged => Status::Diverged,
        Reason::Interrupted => Status::Interrupted,
        Reason::Epochs | Reason::Target | Reason::Limit | Reason::Patience => Status::Finished,
    };
    let mut trial = TrialRecord {
        recipe: settings.name.clone(),
        seed,
        identity: plan.identity(recipe, seed),
        precision: settings.precision,
        status,
        stopped: Stopped { reason, epoch: outcome.last_epoch },
        epochs: outcome.epochs.iter().map(Into::into).collect(),
        train_time_s: outcome.train_time_s,
        valid: None,
        test: None,
        weights_sha256: None,
        filters_sha256: None,
        environment: plan.environment.clone(),
        timing,
        far_above_chance: false,
    };
    trial.far_above_chance = trial.is_far_above_chance(plan.architectures[recipe].classes());
    trial
}

/// Measures a finished network on validation and once on test, and writes the folder of its trial.
fn measure(
    splits: &Splits,
    folder: &RunFolder,
    model: &Model,
    filters: &KeptFilters,
    threads: usize,
    record: &mut TrialRecord,
) -> Result<(), FolderError> {
    let classes = model.architecture().classes();
    let valid = evaluate::evaluate(model, &splits.valid, threads);
    let test = splits.test.evaluate(model, threads);
    record.valid = Some(Metrics::new(splits.valid.labels(), &valid.predictions, classes, valid.loss));
    record.test = Some(Metrics::new(splits.test.labels_for_report(), &test.predictions, classes, test.loss));
    trial::write(folder, record, Some(Product { model, filters, evaluation: &test, test: &splits.test }))
}

fn write_results(folder: &RunFolder, record: &StudyRecord) -> Result<(), FolderError> {
    folder.write(RESULTS, record.to_json().as_bytes())
}
