//! Works through the trials of a study, and keeps the record on disk up to date.

use tenfold_nn::data::Splits;
use tenfold_nn::evaluate;
use tenfold_nn::train::{self, Event, Flow};

use crate::folder::{FolderError, RunFolder};
use crate::metrics::Metrics;
use crate::plan::{Plan, TrialState};
use crate::record::{Reason, Status, Stopped, StudyRecord, Timing, TrialRecord};
use crate::trial::{self, Product};

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
pub fn run(
    plan: &Plan,
    splits: &Splits,
    folder: &RunFolder,
    on_event: &mut dyn FnMut(&StudyEvent) -> Flow,
) -> Result<StudyRecord, FolderError> {
    folder.write("study.toml", plan.study.to_toml().as_bytes())?;
    let found = plan.on_disk(folder)?;
    let trials: Vec<_> = plan.trials().map(|(recipe, seed)| (recipe, seed, found.state((recipe, seed)))).collect();
    let to_run = |trial| trials.iter().any(|&(recipe, seed, _)| (recipe, seed) == trial);
    let left_out = found.others.keys().filter(|&&trial| !to_run(trial)).count();
    let mut records = found.records;
    let mut record = plan.record(&records);
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
        let trial = run_trial(plan, splits, folder, recipe, seed, &mut |event| {
            on_event(&StudyEvent::Training { recipe, seed, event })
        })?;
        records.insert((recipe, seed), trial);
        record = plan.record(&records);
        write_results(folder, &record)?;
        let trial = &records[&(recipe, seed)];
        flow = on_event(&StudyEvent::TrialEnded { recipe, record: trial });
        if trial.status == Status::Interrupted {
            break;
        }
    }
    Ok(record)
}

/// Trains one network, measures it on validation and once on test, and writes its folder.
fn run_trial(
    plan: &Plan,
    splits: &Splits,
    folder: &RunFolder,
    recipe: usize,
    seed: u64,
    on_event: &mut dyn FnMut(&Event) -> Flow,
) -> Result<TrialRecord, FolderError> {
    let (settings, architecture) = plan.recipe(recipe);
    let threads = plan.environment.threads;
    let config = settings.config(seed);
    let outcome = train::train(architecture, &config, &splits.train, &splits.valid, threads, on_event);
    let reason = Reason::from(outcome.stopped);
    let status = match reason {
        Reason::Diverged => Status::Diverged,
        Reason::Interrupted => Status::Interrupted,
        Reason::Epochs | Reason::Target | Reason::Limit | Reason::Patience => Status::Finished,
    };
    let mut record = TrialRecord {
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
        environment: plan.environment.clone(),
        timing: Timing::default(),
    };
    if status != Status::Finished {
        trial::write(folder, &mut record, None)?;
        return Ok(record);
    }
    let classes = architecture.classes();
    let valid = evaluate::evaluate(&outcome.model, &splits.valid, threads);
    let test = splits.test.evaluate(&outcome.model, threads);
    record.valid = Some(Metrics::new(splits.valid.labels(), &valid.predictions, classes, valid.loss));
    record.test = Some(Metrics::new(splits.test.labels_for_report(), &test.predictions, classes, test.loss));
    let product = Product { model: &outcome.model, evaluation: &test, test: &splits.test };
    trial::write(folder, &mut record, Some(product))?;
    Ok(record)
}

fn write_results(folder: &RunFolder, record: &StudyRecord) -> Result<(), FolderError> {
    folder.write("results.json", record.to_json().as_bytes())
}
