//! `tenfold work`: one of several processes that train what was planned.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tenfold_nn::data::Splits;
use tenfold_nn::data::words::{counted, listed};
use tenfold_nn::train::{Event, Flow};
use tenfold_report::format::{percent, seconds};
use tenfold_study::record::{EpochRecord, Status, StudyRecord};
use tenfold_study::{
    FinishedStudy, FolderError, Left, PlannedStudy, Replace, RunFolder, STALE, Settings, SharedFolder, Study,
    StudyEvent, TrialState, WorkEvent, Worker, take_in_workers,
};

use crate::args::{Format, WorkArgs};
use crate::conclude::conclude;
use crate::environment::{environment, free_memory_bytes, holder, processor_time};
use crate::failure::{DONE, Failure, USAGE};
use crate::images;
use crate::output::{note, plain};
use crate::progress::Progress;
use crate::report;
use crate::run::{checkpoint_line, started_lines};
use crate::show;
use crate::signals::Signals;

/// Works, and gives the exit code.
pub(crate) fn work(args: &WorkArgs) -> Result<u8, Failure> {
    let signals = Signals::of_checkpoints()?;
    let (plan, splits) = planned(&args.folder, args.data.as_deref(), args.threads)?;
    signals.watch_stop()?;
    if args.gather {
        return gather(&args.folder, &plan, &splits, &signals);
    }
    let folder = SharedFolder::open(&args.folder)?;
    let worker = Worker { holder: holder(), several: false, at_most: args.at_most, stale: STALE };
    let mut view = View::new(&plan, &signals, 1);
    let (trained, left) =
        tenfold_study::work(&plan, &splits, &folder, &worker, &processor_time, &mut |event| view.show(0, event))?;
    drop(folder);
    let trained = counted(trained, "training", "trainings");
    match left {
        Left::Nothing => Ok(match finish(&args.folder, &plan, &splits, &signals, Format::Text)? {
            Some(_) => DONE,
            None => signals.exit_code().unwrap_or(DONE),
        }),
        Left::ToOthers => {
            note(&format!("{trained} here; others work on what is left"));
            Ok(DONE)
        }
        Left::Some => {
            note(&format!("{trained} here, as many as were asked for"));
            Ok(DONE)
        }
        Left::Stopped => {
            note(&format!("stopped: {trained} here; the same command goes on"));
            Ok(signals.exit_code().unwrap_or(DONE))
        }
    }
}

/// The plan in a run folder, and the images that it is for.
pub(crate) fn planned(
    path: &Path,
    data: Option<&Path>,
    threads: Option<usize>,
) -> Result<(PlannedStudy, Splits), Failure> {
    if !path.is_dir() {
        let message = format!("{}: there is no such folder", path.display());
        let hint = "`tenfold run --plan-only` writes one, such as runs/digits".to_owned();
        return Err(Failure::new(USAGE, message, Some(hint)));
    }
    let record = FinishedStudy::record(path)?;
    let Some(asked) = record.asked.clone() else {
        let message = format!("{}: does not say what is to be trained; an earlier version wrote it", path.display());
        let hint = "repeat the command of the run, with --plan-only".to_owned();
        return Err(Failure::new(USAGE, message, Some(hint)));
    };
    let study = Study::read(&path.join("study.toml"))?;
    let splits = images::of_record(path, &record, data)?;
    let settings = Settings {
        seeds: asked.seeds,
        only: asked.recipes,
        epochs: None,
        precision: None,
        environment: environment(threads),
        free_memory_bytes: free_memory_bytes(),
        published: asked.published,
        place: record.dataset.place,
        reading: record.dataset.reading,
        replace: Replace::By(asked.may_replace.into_iter().collect()),
        chosen_by: record.comparison.chosen_by,
        margin: record.comparison.margin,
    };
    Ok((PlannedStudy::new(study, &splits, settings)?, splits))
}

/// How long the end of a study waits for those who only look at its folder.
const LOOKING: Duration = Duration::from_secs(2);

/// All is done: the last one writes what it comes to, and gives the record. None where another does, or a signal stops it.
pub(crate) fn finish(
    path: &Path,
    plan: &PlannedStudy,
    splits: &Splits,
    signals: &Signals,
    format: Format,
) -> Result<Option<StudyRecord>, Failure> {
    let until = Instant::now() + LOOKING;
    let opened = loop {
        match RunFolder::open(path) {
            // Who only looks is gone at once; whoever works leaves now too, and the last of them writes.
            Err(FolderError::Held { shared: true, .. }) if Instant::now() < until => sleep(LOOKING / 40),
            opened => break opened,
        }
    };
    match opened {
        Err(FolderError::Held { .. }) => {
            note("all trainings are done; another is still in the folder, and writes results.json and the report");
            Ok(None)
        }
        Err(error) => Err(error.into()),
        Ok(folder) => write(&folder, plan, splits, signals, format),
    }
}

/// Writes record, report and verdict of what is done.
fn gather(path: &Path, plan: &PlannedStudy, splits: &Splits, signals: &Signals) -> Result<u8, Failure> {
    if write(&RunFolder::open(path)?, plan, splits, signals, Format::Text)?.is_none() {
        return Ok(signals.exit_code().unwrap_or(DONE));
    }
    let status = tenfold_study::status::status(path)?;
    let missing: Vec<String> = status
        .recipes
        .iter()
        .filter(|recipe| recipe.left > 0)
        .map(|recipe| {
            let seeds: Vec<String> = recipe.left_seeds.iter().map(u64::to_string).collect();
            format!("{} ({} {})", recipe.name, if recipe.left == 1 { "seed" } else { "seeds" }, listed(&seeds, 10))
        })
        .collect();
    if !missing.is_empty() {
        let path = plain(&path.display().to_string());
        note(&format!(
            "missing: {}; `tenfold work {path}` trains them, `tenfold submit {path}` submits them again",
            missing.join("; ")
        ));
    }
    Ok(DONE)
}

fn write(
    folder: &RunFolder,
    plan: &PlannedStudy,
    splits: &Splits,
    signals: &Signals,
    format: Format,
) -> Result<Option<StudyRecord>, Failure> {
    let (progress, stop) = (Progress::new(), || signals.exit_code().is_some());
    // None is better than an old one beside a newer record.
    folder.remove(report::REPORT)?;
    signals.insist();
    take_in_workers(folder)?;
    // Nothing is trained; where all is there, the seeds of a recipe are measured as one.
    tenfold_study::run(plan, splits, folder, &processor_time, &mut |event| match event {
        StudyEvent::Planned { trials, .. } if trials.iter().any(|trial| !matches!(trial.2, TrialState::Kept(_))) => {
            Flow::Stop
        }
        StudyEvent::EnsembleStarted { recipe, seeds } => {
            progress.note(&format!("{recipe}: measuring the mean of its {seeds} seeds"));
            if stop() { Flow::Stop } else { Flow::Continue }
        }
        _ if stop() => Flow::Stop,
        _ => Flow::Continue,
    })?;
    if stop() {
        progress.note("interrupted: all that was trained is kept; the same command writes the report");
        return Ok(None);
    }
    conclude(folder, Some(splits), plan.environment().threads, format, &progress, Some(signals))
}

/// Turns events of the workers of this process into lines.
pub(crate) struct View<'a> {
    plan: &'a PlannedStudy,
    signals: &'a Signals,
    /// How many others held when that was told.
    waiting: usize,
    workers: Vec<Checkpoints>,
    /// Whether no training is to be begun any more.
    begin_none: bool,
}

/// What a worker has still to do for who asked for checkpoints.
#[derive(Clone, Default)]
struct Checkpoints {
    /// Write one.
    write: bool,
    /// Tell when the next is written.
    tell: bool,
}

impl View<'_> {
    pub(crate) fn new<'a>(plan: &'a PlannedStudy, signals: &'a Signals, workers: usize) -> View<'a> {
        View { plan, signals, waiting: 0, workers: vec![Checkpoints::default(); workers], begin_none: false }
    }

    /// Lets no worker begin another training. Those that are under way have room for what they will write, and end.
    pub(crate) fn begin_none(&mut self) {
        self.begin_none = true;
    }

    /// What this worker tells.
    pub(crate) fn show(&mut self, worker: usize, event: &WorkEvent) -> Flow {
        let mut flow = Flow::Continue;
        let begins = |event: &StudyEvent| matches!(event, StudyEvent::Planned { .. } | StudyEvent::TrialStarted { .. });
        if self.begin_none && !matches!(event, WorkEvent::Run(event) if !begins(event)) {
            return Flow::Stop;
        }
        match event {
            WorkEvent::Waiting(held) => {
                // Others of this process are no news.
                if *held != self.waiting && *held >= self.workers.len() {
                    let trainings = counted(*held, "training", "trainings");
                    note(&format!("waiting: others work on the {trainings} that are left"));
                }
                self.waiting = *held;
            }
            WorkEvent::Run(StudyEvent::TrialStarted { recipe, seed, from, unusable }) => {
                // Unlike a run, a worker has not told before what goes on where: another may have begun it.
                if from.is_some() || !unusable.is_empty() {
                    let recipe = self.plan.recipe(*recipe).0;
                    let name = format!("{} seed {seed}", recipe.name);
                    started_lines(&name, recipe.settings.epochs, *from, unusable).iter().for_each(|line| note(line));
                }
            }
            WorkEvent::Run(StudyEvent::Training { recipe, seed, event }) => {
                if let Event::Epoch { result, .. } = event {
                    let recipe = self.plan.recipe(*recipe).0;
                    let epoch = EpochRecord::from(*result);
                    let width = recipe.name.len();
                    note(&show::epoch_line(&recipe.name, width, *seed, &epoch, recipe.settings.epochs));
                }
                // Only here, for only a training can write one: what is asked for while waiting waits too.
                if self.signals.asked_for_checkpoint() {
                    self.workers.fill(Checkpoints { write: true, tell: true });
                }
                if std::mem::take(&mut self.workers[worker].write) {
                    flow = Flow::Snapshot;
                }
            }
            WorkEvent::Run(StudyEvent::Checkpoint { recipe, seed, position, written }) => {
                let recipe = self.plan.recipe(*recipe).0;
                let name = format!("{} seed {seed}", recipe.name);
                let tell = std::mem::take(&mut self.workers[worker].tell);
                if let Some(line) = checkpoint_line(&name, recipe.settings.epochs, position, written, tell) {
                    note(&line);
                }
            }
            WorkEvent::Run(StudyEvent::TrialEnded { record, spared, .. }) => {
                let how = match (record.status, &record.test) {
                    (Status::Finished, Some(test)) => format!("done, test accuracy {}", percent(test.accuracy)),
                    (Status::Diverged, _) => "diverged: the loss is no longer a number".to_owned(),
                    _ => "interrupted".to_owned(),
                };
                let (name, seed) = (&record.recipe, record.seed);
                note(&format!("{name} seed {seed}: {how}; training time {}", seconds(record.train_time_s)));
                for error in *spared {
                    note(&format!("warning: {name} seed {seed} is kept without a file: {error}"));
                }
            }
            WorkEvent::Run(_) => {}
        }
        if self.signals.exit_code().is_some() { Flow::Stop } else { flow }
    }
}
