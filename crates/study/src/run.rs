//! Works through the trials of a study, and keeps the record on disk up to date.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tenfold_nn::data::Splits;
use tenfold_nn::evaluate::{Evaluation, evaluate_while};
use tenfold_nn::train::{Event, Flow, Outcome};
use tenfold_nn::views::{Views, evaluate_view_while};
use thiserror::Error;

use crate::calibration::{CalibrationRecord, Said};
use crate::changes::{Earlier, changes_in_words};
use crate::checkpoint::{self, Checkpoint, Unusable, position_of};
use crate::comparison::{TestImages, units};
use crate::ensemble::{self, Part};
use crate::folder::{FolderError, RunFolder};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::plan::{PlannedStudy, TrialState};
use crate::record::{DatasetRecord, RESULTS, ReadingReason, Reason, Status, Stopped, StudyRecord, Timing, TrialRecord};
use crate::test_images::{self, TEST_IMAGES};
use crate::trial::{self, Product, Room, TrialFileError};
use crate::views;

mod training;
use training::{Trained, training};

/// Processor time that was spent until now, in seconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProcessorTime {
    /// By this process, on all its threads.
    pub own_s: f64,
    /// By all of the machine, this process included.
    pub all_s: f64,
}

/// How far a training is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The epoch that comes next or is under way, from 1.
    pub epoch: usize,
    /// Steps of it that are done.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
}

impl Position {
    /// After so many steps in all.
    fn after(steps_in_all: u64, steps: usize) -> Position {
        let of = steps as u64;
        Position { epoch: (steps_in_all / of) as usize + 1, step: (steps_in_all % of) as usize, steps }
    }
}

/// What happens during a run. Recipes are given by their index in the study.
#[derive(Debug)]
pub enum StudyEvent<'a> {
    /// Nothing is trained yet.
    Planned {
        /// Every trial in the order of running: recipe, seed, and how it stands.
        trials: &'a [(usize, u64, TrialState)],
        /// Trials in the folder that belong to other settings and stay out of the record.
        left_out: &'a [(usize, u64, TrialState)],
        /// Trials to be run that have a checkpoint: recipe, seed, and where that is.
        checkpoints: &'a [(usize, u64, Position)],
    },
    /// A trial begins.
    TrialStarted {
        /// The recipe.
        recipe: usize,
        /// The seed.
        seed: u64,
        /// Where it goes on, if it was begun before.
        from: Option<Position>,
        /// Checkpoints that are newer and cannot be used.
        unusable: &'a [Unusable],
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
    /// A checkpoint has been written, or could not be: then no other is in this training unless it is asked for, by
    /// [`Flow::Snapshot`] or [`Flow::Stop`].
    Checkpoint {
        /// The recipe.
        recipe: usize,
        /// The seed.
        seed: u64,
        /// Where the training was.
        position: Position,
        /// What became of it.
        written: &'a Result<(), FolderError>,
    },
    /// A network that has been trained, or all those of a recipe together, are being measured: told after each batch, and now and
    /// then while its calibration is computed. What is stopped here is measured again by the next run.
    Measuring,
    /// A trial has ended, and its files are on disk.
    TrialEnded {
        /// The recipe.
        recipe: usize,
        /// How it went.
        record: &'a TrialRecord,
        /// Why files could not be written that can be spared: filters by epoch, the table of epochs.
        spared: &'a [FolderError],
        /// Whether a finished trial of other settings keeps its place, because this one did not finish.
        earlier_stays: bool,
    },
    /// All trials have ended, and those of a recipe are measured as one.
    EnsembleStarted {
        /// The recipe's name.
        recipe: &'a str,
        /// How many trainings it has.
        seeds: usize,
    },
    /// They could not be.
    EnsembleFailed {
        /// The recipe's name.
        recipe: &'a str,
        /// Why.
        error: &'a TrialFileError,
    },
    /// All trials have ended, and those of a recipe are measured with test-time augmentation.
    ViewsStarted {
        /// The recipe's name.
        recipe: &'a str,
        /// In which ways their networks are shown images.
        views: &'a Views,
    },
    /// They could not be.
    ViewsFailed {
        /// The recipe's name.
        recipe: &'a str,
        /// Why.
        error: &'a TrialFileError,
    },
}

/// Why a run ends early.
#[derive(Debug, Error)]
pub enum RunError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Trials that were asked for are there, finished, with other settings, on other data or by other training code.
    #[error(
        "{}: holds {} of other settings, data or training code than asked for; nothing was trained or replaced\n  {}",
        .path.display(),
        if *.count == 1 { "1 finished training".to_owned() } else { format!("{count} finished trainings") },
        .lines.join("\n  ")
    )]
    Changed {
        /// The folder.
        path: PathBuf,
        /// How many trials.
        count: usize,
        /// In what they differ, in words.
        lines: Vec<String>,
        /// What made their data other data, if it was and that is known.
        data: Option<DataChange>,
    },
}

/// What makes data other data than before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataChange {
    /// It was read from this folder, as it was typed, and is now read from elsewhere.
    Place(String),
    /// It was understood or divided by other settings.
    Reading,
    /// What is in this folder, as it was typed, has changed.
    Contents(String),
}

impl RunError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        let RunError::Changed { data, .. } = self else { return None };
        let mut hint =
            "keep them by choosing another folder with --out, or train again and replace them with --replace"
                .to_owned();
        match data {
            Some(DataChange::Place(given)) => hint.push_str(&format!("; their images were those of --data {given}")),
            Some(DataChange::Reading) => hint.push_str("; they were understood or divided by other settings"),
            Some(DataChange::Contents(given)) => {
                hint.push_str(&format!("; the images or labels in {given} have changed since"));
            }
            None => {}
        }
        Some(hint)
    }
}

/// Runs all trials of `plan` that are not finished yet, and writes `study.toml` and `results.json`.
///
/// When `on_event` asks to stop, the trial that is running is recorded as interrupted and no other is begun. It goes on
/// from its last checkpoint when the same plan is run again; such are written now and then, and whenever a training
/// stops. Its results are the same as if it had never been stopped.
/// `processor_time` tells what other work the machine does meanwhile, where that is known.
///
/// A finished trial of other settings is replaced only if the plan says so, and not before the new one has finished; one that
/// diverges is recorded, and kept beside it.
///
/// # Errors
/// If the folder cannot be read or written, or holds finished trials of other settings, data or code that the plan does
/// not say to replace; nothing is trained then.
pub fn run(
    plan: &PlannedStudy,
    splits: &Splits,
    folder: &RunFolder,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&StudyEvent) -> Flow,
) -> Result<StudyRecord, RunError> {
    let record = run_trials(plan, splits, folder, processor_time, on_event);
    folder.give_back();
    record
}

fn run_trials(
    plan: &PlannedStudy,
    splits: &Splits,
    folder: &RunFolder,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&StudyEvent) -> Flow,
) -> Result<StudyRecord, RunError> {
    let found = plan.on_disk(folder)?;
    let trials: Vec<_> = plan.trials().map(|(recipe, seed)| (recipe, seed, found.state((recipe, seed)))).collect();
    refuse_to_replace(plan, folder, &trials, found.data.as_ref())?;
    let mut ledger = Ledger::read(folder, RESULTS, found.records.values())?;
    let mut afterwards = ensemble::earlier(folder)?;
    folder.write("study.toml", plan.study.to_toml().as_bytes())?;
    match test_images::text(splits) {
        Some(text) => folder.write(TEST_IMAGES, &text)?,
        None => folder.remove(TEST_IMAGES)?,
    }
    let to_run = |recipe, seed| trials.iter().any(|trial| (trial.0, trial.1) == (recipe, seed));
    let others = found.others.into_iter().filter(|&((recipe, seed), _)| !to_run(recipe, seed));
    let left_out: Vec<_> = others.map(|((recipe, seed), state)| (recipe, seed, state)).collect();
    let mut records = found.records;
    let mut record = plan.record(&records, ledger.readings(), &afterwards);
    let mut results_bytes = write_results(folder, &record)?;

    let checkpoints = checkpoints(plan, folder, &trials)?;
    let planned = StudyEvent::Planned { trials: &trials, left_out: &left_out, checkpoints: &checkpoints };
    let mut flow = on_event(&planned);
    for &(recipe, seed, ref state) in &trials {
        if matches!(state, TrialState::Kept(_)) {
            continue;
        }
        if flow == Flow::Stop {
            return Ok(record);
        }
        let (from, unusable) = newest_checkpoint(plan, folder, recipe, seed)?;
        let at = from.as_ref().map(|from| Position {
            epoch: from.state.epochs.len() + 1,
            step: from.state.step,
            steps: plan.steps(recipe),
        });
        flow = on_event(&StudyEvent::TrialStarted { recipe, seed, from: at, unusable: &unusable });
        if flow == Flow::Stop {
            return Ok(record);
        }
        let (architecture, threads) = (&plan.architectures[recipe], plan.environment.threads);
        let recipe_settings = plan.recipe(recipe).0;
        let name = &recipe_settings.name;
        // What is dear is sure of its place before hours go into it: network and record, and results.json twice.
        let room = Room::of(architecture, recipe_settings.settings.epochs, splits.test.len(), &splits.class_names);
        folder.reserve(&room.sizes(results_bytes), &format!("the training of {name} seed {seed}"))?;
        if from.is_none() {
            // Of other settings, or of no use.
            let _ = checkpoint::clear(folder, name, seed);
        }
        let Trained { outcome, kept, spent } =
            training(plan, splits, folder, (recipe, seed), from, processor_time, on_event);
        let mut trial = trained(plan, recipe, seed, &outcome, Timing::of(spent, threads, plan.beside_others));
        let mut measured = None;
        if trial.status == Status::Finished {
            let mut go_on = || on_event(&StudyEvent::Measuring);
            if let Some(valid) = evaluate_while(&outcome.model, &splits.valid, threads, &mut go_on) {
                // On disk before the look is taken, so that no way to die loses it.
                ledger.count(ReadingReason::Trial, Some(&trial.recipe), Some(seed));
                record = plan.record(&records, ledger.readings(), &afterwards);
                write_results(folder, &record)?;
                let test = splits.test.evaluate_while(&outcome.model, threads, &mut go_on);
                measured = test.and_then(|test| {
                    let said = (&test, splits.test.labels_for_report());
                    let calibration = calibration(splits, &valid, said, threads, &mut go_on)?;
                    Some((valid, test, calibration))
                });
            }
            if measured.is_none() {
                // Its training need not be done again.
                let (position, filters) = (position_of(&outcome.end, plan.steps(recipe)), kept.arrays().to_vec());
                let of = (name.as_str(), seed, trial.identity.as_str());
                let written = checkpoint::write(folder, of, position.steps, Arc::clone(&outcome.end), filters, spent);
                let written = written.map(|_| ());
                on_event(&StudyEvent::Checkpoint { recipe, seed, position, written: &written });
                (trial.status, trial.stopped.reason) = (Status::Interrupted, Reason::Interrupted);
            }
        }
        // Only what finishes takes the place of what has finished. What diverges is kept beside it, and is not trained again.
        let earlier_stays =
            trial.status != Status::Finished && matches!(state, TrialState::Changed(Earlier { finished: true, .. }));
        let mut spared = Vec::new();
        if let Some((valid, test, calibration)) = measured {
            measure(splits, &valid, &test, calibration, &mut trial);
            let product = Product {
                model: &outcome.model,
                filters: &kept,
                evaluation: &test,
                test: &splits.test,
                dataset: &plan.dataset,
            };
            spared = trial::write(folder, &mut trial, Some(product))?;
        } else if !earlier_stays {
            spared = trial::write(folder, &mut trial, None)?;
        } else if trial.status == Status::Diverged {
            spared = trial::write_aside(folder, &mut trial)?;
        }
        if trial.status != Status::Interrupted {
            // Left for the next run where it fails.
            let _ = checkpoint::clear(folder, &trial.recipe, seed);
        }
        // The record says of a trial what its folder does.
        if !(earlier_stays && trial.status == Status::Interrupted) {
            records.insert((recipe, seed), trial.clone());
        }
        record = plan.record(&records, ledger.readings(), &afterwards);
        results_bytes = write_results(folder, &record)?;
        folder.give_back();
        flow = on_event(&StudyEvent::TrialEnded { recipe, record: &trial, spared: &spared, earlier_stays });
        if trial.status == Status::Interrupted {
            return Ok(record);
        }
    }
    // All trainings of a recipe as one, where that has not been measured.
    for n in 0..record.recipes.len() {
        let (name, seeds) = (record.recipes[n].name.clone(), record.recipes[n].finished().count());
        if seeds < 2 || record.recipes[n].ensemble.is_some() {
            continue;
        }
        if matches!(flow, Flow::Continue) {
            flow = on_event(&StudyEvent::EnsembleStarted { recipe: &name, seeds });
        }
        if matches!(flow, Flow::Stop) {
            break;
        }
        ledger.count(ReadingReason::Ensemble, Some(&name), None);
        record = plan.record(&records, ledger.readings(), &afterwards);
        write_results(folder, &record)?;
        let threads = plan.environment.threads;
        let mut go_on = || on_event(&StudyEvent::Measuring);
        let measured = ensemble::measure(
            (folder.path(), &record, &record.recipes[n]),
            (splits.valid.labels(), &TestImages::of(splits)),
            threads,
            &mut |model, part| match part {
                Part::Valid => evaluate_while(model, &splits.valid, threads, &mut go_on),
                Part::Test => splits.test.evaluate_while(model, threads, &mut go_on),
            },
        );
        match measured {
            Ok(None) => {
                flow = Flow::Stop;
                break;
            }
            Ok(Some(measured)) => {
                afterwards.ensembles.push((name, measured));
                record = plan.record(&records, ledger.readings(), &afterwards);
                write_results(folder, &record)?;
            }
            Err(error) => flow = on_event(&StudyEvent::EnsembleFailed { recipe: &name, error: &error }),
        }
    }
    // Each training with test-time augmentation, where that was asked for and has not been measured.
    for n in 0..record.recipes.len() {
        let of = &record.recipes[n];
        let (name, seeds) = (of.name.clone(), of.finished().count());
        let views = plan.study.recipes.iter().find(|recipe| recipe.name == name).and_then(|of| of.views.clone());
        let Some(views) = views.filter(|_| seeds > 0 && of.test_time_augmentation.is_none()) else { continue };
        if matches!(flow, Flow::Continue) {
            flow = on_event(&StudyEvent::ViewsStarted { recipe: &name, views: &views });
        }
        if matches!(flow, Flow::Stop) {
            break;
        }
        ledger.count(ReadingReason::TestTimeAugmentation, Some(&name), None);
        record = plan.record(&records, ledger.readings(), &afterwards);
        write_results(folder, &record)?;
        let threads = plan.environment.threads;
        let mut go_on = || on_event(&StudyEvent::Measuring);
        let measured = views::measure(
            (folder.path(), &record, &record.recipes[n]),
            &views,
            [splits.valid.labels(), splits.test.labels_for_report()],
            &mut |model, view, part| match part {
                Part::Valid => evaluate_view_while(model, view, &splits.valid, threads, &mut go_on),
                Part::Test => splits.test.evaluate_view_while(model, view, threads, &mut go_on),
            },
        );
        match measured {
            Ok(None) => break,
            Ok(Some(measured)) => {
                afterwards.views.push((name, measured));
                record = plan.record(&records, ledger.readings(), &afterwards);
                write_results(folder, &record)?;
            }
            Err(error) => flow = on_event(&StudyEvent::ViewsFailed { recipe: &name, error: &error }),
        }
    }
    Ok(record)
}

/// Where the trials to be run that have a checkpoint go on. Those of trials that have ended are removed.
fn checkpoints(
    plan: &PlannedStudy,
    folder: &RunFolder,
    trials: &[(usize, u64, TrialState)],
) -> Result<Vec<(usize, u64, Position)>, FolderError> {
    let mut found = Vec::new();
    for &(recipe, seed, ref state) in trials {
        let name = &plan.recipe(recipe).0.name;
        if matches!(state, TrialState::Kept(_)) {
            let _ = checkpoint::clear(folder, name, seed);
        } else if let Some(at) = checkpoint::newest(folder, name, seed, &plan.settings(recipe, seed).identity())? {
            found.push((recipe, seed, Position::after(at, plan.steps(recipe))));
        }
    }
    Ok(found)
}

/// The newest checkpoint of a trial that can be used, and those that are newer.
fn newest_checkpoint(
    plan: &PlannedStudy,
    folder: &RunFolder,
    recipe: usize,
    seed: u64,
) -> Result<(Option<Checkpoint>, Vec<Unusable>), FolderError> {
    let (of, architecture) = plan.recipe(recipe);
    let identity = plan.settings(recipe, seed).identity();
    checkpoint::read(folder, (&of.name, seed, &identity), architecture, &of.config(seed), plan.dataset.train)
}

/// An error if a trial that is to be run would replace a finished one and may not.
fn refuse_to_replace(
    plan: &PlannedStudy,
    folder: &RunFolder,
    trials: &[(usize, u64, TrialState)],
    data: Option<&DatasetRecord>,
) -> Result<(), RunError> {
    let mut changed: Vec<(&str, u64, &Earlier)> = Vec::new();
    for (recipe, seed, state) in trials {
        if let TrialState::Changed(earlier) = state
            && earlier.finished
            && !plan.may_replace(*recipe, *seed)
        {
            changed.push((&plan.recipe(*recipe).0.name, *seed, earlier));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(RunError::Changed {
        path: folder.path().to_owned(),
        count: changed.len(),
        lines: changes_in_words(changed),
        data: data.and_then(|before| data_change(before, &plan.dataset)),
    })
}

/// What made the data of `before` the other data of `now`, if it is known.
fn data_change(before: &DatasetRecord, now: &DatasetRecord) -> Option<DataChange> {
    let place = before.place.as_ref()?;
    if now.place.as_ref().is_none_or(|now| now.absolute != place.absolute) {
        return Some(DataChange::Place(place.given.clone()));
    }
    if before.reading != now.reading {
        return Some(DataChange::Reading);
    }
    Some(DataChange::Contents(place.given.clone()))
}

/// The record of a training that has ended, before it is measured.
fn trained(plan: &PlannedStudy, recipe: usize, seed: u64, outcome: &Outcome, timing: Timing) -> TrialRecord {
    let (name, determined) = (plan.recipe(recipe).0.name.clone(), plan.settings(recipe, seed));
    let reason = Reason::from(outcome.stopped);
    let status = match reason {
        Reason::Diverged => Status::Diverged,
        Reason::Interrupted => Status::Interrupted,
        Reason::Epochs | Reason::Target | Reason::Limit | Reason::Patience => Status::Finished,
    };
    let mut trial = TrialRecord {
        recipe: name,
        seed,
        identity: determined.identity(),
        precision: determined.train.precision,
        settings: Some(determined),
        status,
        stopped: Stopped { reason, epoch: outcome.last_epoch },
        epochs: outcome.epochs.iter().map(Into::into).collect(),
        train_time_s: outcome.train_time_s,
        valid: None,
        test: None,
        calibration: None,
        weights_sha256: None,
        filters_sha256: None,
        environment: plan.environment.clone(),
        timing,
        far_above_chance: false,
    };
    trial.far_above_chance = trial.is_far_above_chance(plan.architectures[recipe].classes());
    trial
}

/// Puts what a finished network made of validation and test into its record.
fn measure(
    splits: &Splits,
    valid: &Evaluation,
    test: &Evaluation,
    calibration: Option<CalibrationRecord>,
    record: &mut TrialRecord,
) {
    let classes = splits.test.classes();
    record.calibration = calibration;
    record.valid = Some(Metrics::new(splits.valid.labels(), &valid.predictions, classes, valid.loss));
    record.test = Some(Metrics::new(splits.test.labels_for_report(), &test.predictions, classes, test.loss));
}

/// What the probabilities of a network are worth, on validation and on test images of these labels: [`CalibrationRecord::of_while`].
pub(crate) fn calibration(
    splits: &Splits,
    valid: &Evaluation,
    (test, labels): (&Evaluation, &[u16]),
    threads: usize,
    go_on: &mut dyn FnMut() -> Flow,
) -> Option<Option<CalibrationRecord>> {
    let alone: Vec<u32> = (0..splits.valid.len() as u32).collect();
    fn said<'a>(of: &'a Evaluation, labels: &'a [u16], units: &'a [u32]) -> Said<'a> {
        Said { probabilities: &of.probabilities, predictions: &of.predictions, labels, units }
    }
    CalibrationRecord::of_while(
        said(valid, splits.valid.labels(), &alone),
        said(test, labels, &units(&TestImages::of(splits)).0),
        splits.test.classes(),
        threads,
        go_on,
    )
}

/// Writes the record, and gives how many bytes it has.
fn write_results(folder: &RunFolder, record: &StudyRecord) -> Result<u64, FolderError> {
    let json = record.to_json();
    folder.write_reserved(RESULTS, json.as_bytes())?;
    Ok(json.len() as u64)
}

#[cfg(test)]
mod kills;
#[cfg(test)]
mod tests;
