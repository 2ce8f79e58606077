//! `tenfold run`: trains, compares, draws.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tenfold_nn::data::Splits;
use tenfold_nn::data::words::counted;
use tenfold_nn::train::{Event, Flow};
use tenfold_nn::{Isa, Precision};
use tenfold_report::format::{count, seconds};
use tenfold_study::comparison::ChosenBy;
use tenfold_study::record::{DataPlace, EpochRecord, Status, StudyRecord};
use tenfold_study::{
    FolderError, PlanError, PlannedStudy, Position, Replace, RunFolder, Settings, StudyEvent, TrialState, Unusable,
    changes_in_words, take_in_workers,
};

use crate::args::{ChooseBy, Format, RunArgs};
use crate::conclude::conclude;
use crate::environment::{environment, free_memory_bytes, processor_time};
use crate::failure::{DIVERGED, DONE, Failure, USAGE};
use crate::given::{Given, images_of};
use crate::output::{plain, plain_lines};
use crate::probe::{self, Epochs, Pace, Work};
use crate::progress::Progress;
use crate::remaining::Remaining;
use crate::signals::Signals;
use crate::study_file::{self, DIGITS, IMAGES};
use crate::{images, jobs, report, show};

/// Runs a study and gives the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let signals = Signals::of_checkpoints()?;
    if args.plan_only && args.choose_by == ChooseBy::Test {
        let message = "--choose-by test chooses when all is trained, which --plan-only leaves to others".to_owned();
        let hint = "leave it out here; the same `tenfold run` command with it, and without --plan-only, chooses then";
        return Err(Failure::new(USAGE, message, Some(hint.to_owned())));
    }
    let (mut study, built_in) = study_file::find(args.study.as_deref(), &args.given)?;
    // Before any data is read: what is typed wrongly is told at once.
    study.select(&args.only)?;
    let Given { splits, place, reading } = images_of(&mut study, &args.given)?;
    splits.check()?;
    if built_in && study.name == IMAGES {
        // Its folder is called after the data, for that is what tells two of them apart.
        study.name = study_name(&splits.name);
        study.title = format!("{}: {}", study.title, splits.name);
        study.limit_batch_size(splits.train.len());
    }
    let threads = jobs::threads(args.jobs, args.threads)?;
    let path = args.out.clone().unwrap_or_else(|| {
        let name = &study.name;
        // A folder of its own: what is finished in f32 is not to be replaced.
        let precision = args.precision.filter(|precision| !precision.is_f32());
        PathBuf::from("runs").join(precision.map_or(name.clone(), |p| format!("{name}-{}", p.name())))
    });
    let place = place.map(|place| DataPlace { from_run: images::from_run(&path, Path::new(&place.absolute)), ..place });
    let settings = Settings {
        seeds: args.seeds,
        only: args.only.clone(),
        epochs: args.epochs,
        precision: args.precision,
        environment: environment(threads),
        // Those that are trained at a time share it.
        free_memory_bytes: free_memory_bytes().map(|bytes| bytes / args.jobs as u64),
        published: built_in && study.name == DIGITS,
        place,
        reading,
        replace: if args.replace { Replace::Any } else { Replace::Nothing },
        chosen_by: args.choose_by.into(),
        margin: args.margin / 100.0,
    };
    let plan = PlannedStudy::new(study, &splits, settings).map_err(|error| match error {
        PlanError::Memory { .. } if args.jobs > 1 => {
            let hint = format!(
                "that is what each of {} trainings at a time has of the memory; with fewer --jobs each has more",
                args.jobs
            );
            Failure::new(USAGE, error.to_string(), Some(hint))
        }
        error => error.into(),
    })?;
    let folder = RunFolder::open(&path)?;
    take_in_workers(&folder)?;
    signals.watch_stop()?;

    let mut view = View::new(&plan, &splits, &signals, args.format, &path);
    if args.plan_only {
        let to_go = planned(&plan, &splits, &folder)?;
        view.header();
        let path = plain(&path.display().to_string());
        let trainings = counted(to_go, "training", "trainings");
        view.progress.note(&format!(
            "planned: {trainings} to go; `tenfold work {path}` runs them, in as many processes as you start, and \
             `tenfold submit {path} --to slurm` on a cluster"
        ));
        return Ok(DONE);
    }
    if args.jobs > 1 {
        let to_go = planned(&plan, &splits, &folder)?;
        view.header();
        let trainings = counted(to_go, "training", "trainings");
        view.progress.note(&format!("{trainings} to go, {} at a time", args.jobs));
        drop(folder);
        let record = jobs::run(&plan, &splits, &path, args.jobs, &signals, args.format)?;
        return Ok(exit_code(&plan, record, &signals));
    }
    let record = tenfold_study::run(&plan, &splits, &folder, &processor_time, &mut |event| {
        // Until the new one is written, none is better than an old one beside a newer record.
        if let StudyEvent::Planned { .. } = event
            && let Err(error) = folder.remove(report::REPORT)
        {
            view.failure = Some(error.into());
            return Flow::Stop;
        }
        view.show(event)
    });
    view.progress.finish();
    record?;
    if let Some(failure) = view.failure {
        return Err(failure);
    }
    if let Some(code) = signals.exit_code() {
        view.interrupted();
        return Ok(code);
    }
    view.outcome();
    signals.insist();
    let threads = plan.environment().threads;
    let record = conclude(&folder, Some(&splits), threads, args.format, &view.progress, Some(&signals))?;
    Ok(exit_code(&plan, record, &signals))
}

/// The exit code of a run that came to this record, or was stopped before that.
fn exit_code(plan: &PlannedStudy, record: Option<StudyRecord>, signals: &Signals) -> u8 {
    match record {
        Some(record) if any_diverged(plan, &record) => DIVERGED,
        // All was done before a signal could stop it.
        Some(_) => DONE,
        None => signals.exit_code().unwrap_or(DONE),
    }
}

/// Writes what is to be run, so that workers find it, and trains nothing. Gives how many trainings there are to go.
fn planned(plan: &PlannedStudy, splits: &Splits, folder: &RunFolder) -> Result<usize, Failure> {
    let mut to_go = 0;
    tenfold_study::run(plan, splits, folder, &processor_time, &mut |event| {
        if let StudyEvent::Planned { trials, .. } = event {
            to_go = trials.iter().filter(|trial| !matches!(trial.2, TrialState::Kept(_))).count();
        }
        Flow::Stop
    })?;
    // Of what was there before; it is written again when all is done.
    folder.remove(report::REPORT)?;
    Ok(to_go)
}

/// "goes on from epoch 7, step 120 of 1,080", of a training of at most so many epochs.
fn goes_on(at: &Position, epochs: usize) -> String {
    let Position { epoch, step, steps } = *at;
    if epoch > epochs {
        return "goes on with its measurement, for it is trained".to_owned();
    }
    let epoch = count(epoch as u64);
    if step == 0 {
        return format!("goes on from epoch {epoch}");
    }
    format!("goes on from epoch {epoch}, step {} of {}", count(step as u64), count(steps as u64))
}

/// What there is to say of a training that begins in the middle, or has checkpoints that cannot be used.
pub(crate) fn started_lines(name: &str, epochs: usize, from: Option<Position>, unusable: &[Unusable]) -> Vec<String> {
    let refused = unusable.iter().map(|file| warning(&format!("{}: {}", file.path.display(), file.reason)));
    let at = from.map_or("starts from its first epoch".to_owned(), |from| goes_on(&from, epochs));
    refused.chain([format!("{name} {at}")]).collect()
}

/// What there is to say of a checkpoint: nothing of one that is written unasked, as most are.
pub(crate) fn checkpoint_line(
    name: &str,
    epochs: usize,
    position: &Position,
    written: &Result<(), FolderError>,
    asked: bool,
) -> Option<String> {
    match written {
        Ok(()) => asked.then(|| format!("checkpoint: {name} {} if it is stopped", goes_on(position, epochs))),
        Err(error) => {
            Some(warning(&format!("no checkpoint of {name} could be written, so it goes on without: {error}")))
        }
    }
}

fn warning(what: &str) -> String {
    format!("warning: {}", plain_lines(what))
}

/// A name for the built-in study on the data of this name: with its letters and digits in lower case, and hyphens for all
/// else.
fn study_name(data: &str) -> String {
    let mut name = IMAGES.to_owned();
    for c in format!("-{data}").chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(64);
    name.trim_end_matches('-').to_owned()
}

/// Whether one of the trainings that were asked for diverged, now or in an earlier run.
fn any_diverged(plan: &PlannedStudy, record: &StudyRecord) -> bool {
    let asked = |name: &str, seed| plan.includes(name, seed);
    let mut trials = record.recipes.iter().flat_map(|recipe| &recipe.trials);
    trials.any(|trial| trial.status == Status::Diverged && asked(&trial.recipe, trial.seed))
}

/// Turns events into lines and bars.
struct View<'a> {
    plan: &'a PlannedStudy,
    splits: &'a Splits,
    signals: &'a Signals,
    format: Format,
    /// The run folder.
    path: &'a Path,
    progress: Progress,
    /// How long all was to take, as it was told before.
    estimate: Option<String>,
    /// When the first training began, and how long all took until the last one that has ended.
    began: Option<Instant>,
    took: Duration,
    /// A training that was stopped in the middle: its name and the epochs that it had done.
    stopped: Option<(String, usize)>,
    /// Where the running training would go on if it stopped now.
    checkpoint: Option<String>,
    /// Somebody wants to know when the next checkpoint is written.
    asked: bool,
    /// Length of the longest name.
    width: usize,
    /// Images of the running epoch that are done.
    images: usize,
    finished: usize,
    trials: usize,
    /// Nobody reads standard output any more.
    unheard: bool,
    /// Why nothing can be shown any more.
    failure: Option<Failure>,
}

impl<'a> View<'a> {
    fn new(
        plan: &'a PlannedStudy,
        splits: &'a Splits,
        signals: &'a Signals,
        format: Format,
        path: &'a Path,
    ) -> View<'a> {
        let width = plan.study().recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
        let progress = Progress::new();
        View {
            plan,
            splits,
            signals,
            format,
            path,
            progress,
            estimate: None,
            began: None,
            took: Duration::ZERO,
            stopped: None,
            checkpoint: None,
            asked: false,
            width,
            images: 0,
            finished: 0,
            trials: 0,
            unheard: false,
            failure: None,
        }
    }

    fn header(&self) {
        let (data, environment) = (self.plan.dataset(), self.plan.environment());
        let [train, valid, test] = [data.train, data.valid, data.test].map(|n| count(n as u64));
        for note in &data.notes {
            self.progress.note(&format!("  {}", plain(note)));
        }
        self.progress.note(&format!(
            "{}: {train} training, {valid} validation, {test} test images of {}, {} classes; split {}",
            plain(&data.name),
            self.splits.train.shape(),
            data.classes,
            &data.split_sha256[..12]
        ));
        for warning in &data.warnings {
            self.progress.note(&format!("warning: {}", plain(warning)));
        }
        let threads =
            if environment.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", environment.threads) };
        self.progress.note(&format!(
            "{threads}, {}; writing to {}",
            environment.isa,
            plain(&self.path.display().to_string())
        ));
        if self.plan.chosen_by() == ChosenBy::Test {
            self.progress.note("choosing by test: what the test images then say of the choice flatters it");
        }
        for precision in Precision::ALL {
            let slow = match precision {
                Precision::F32 => continue,
                Precision::Bf16 if Isa::detect().has_bf16() => "",
                Precision::Bf16 => {
                    "; this processor has no instructions for that, so it is slow, with the same results"
                }
                Precision::Bf16Tile => "; computed by software on every processor today, so it is slow",
            };
            let recipes = self.plan.selected().iter().map(|&recipe| self.plan.recipe(recipe).0);
            let names: Vec<&str> =
                recipes.filter(|r| r.settings.precision == precision).map(|r| r.name.as_str()).collect();
            if !names.is_empty() {
                self.progress.note(&format!("in {}: {}{slow}", precision.name(), names.join(", ")));
            }
        }
    }

    fn show(&mut self, event: &StudyEvent) -> Flow {
        let mut flow = Flow::Continue;
        match event {
            StudyEvent::Planned { trials, left_out, checkpoints } => {
                self.header();
                self.planned(trials, left_out, checkpoints);
            }
            StudyEvent::TrialStarted { recipe, seed, from, unusable } => {
                self.began.get_or_insert_with(Instant::now);
                let recipe = self.plan.recipe(*recipe).0;
                let epochs = recipe.settings.epochs;
                self.checkpoint = from.map(|from| goes_on(&from, epochs));
                if !unusable.is_empty() {
                    for line in started_lines(&format!("{} seed {seed}", recipe.name), epochs, *from, unusable) {
                        self.progress.note(&line);
                    }
                }
                let done = from.map_or(0, |from| from.epoch - 1);
                self.progress.trial_started(epochs.saturating_sub(done));
            }
            StudyEvent::Training { recipe, seed, event } => {
                self.training(*recipe, *seed, event);
                if self.signals.asked_for_checkpoint() {
                    self.asked = true;
                    flow = Flow::Snapshot;
                }
            }
            StudyEvent::Checkpoint { recipe, seed, position, written } => {
                let recipe = self.plan.recipe(*recipe).0;
                let (name, epochs) = (format!("{} seed {seed}", recipe.name), recipe.settings.epochs);
                if written.is_ok() {
                    self.checkpoint = Some(goes_on(position, epochs));
                }
                if let Some(line) = checkpoint_line(&name, epochs, position, written, std::mem::take(&mut self.asked)) {
                    self.progress.note(&line);
                }
            }
            StudyEvent::Measuring => {}
            StudyEvent::EnsembleStarted { recipe, seeds } => {
                self.signals.insist();
                self.progress.note(&format!("{recipe}: measuring the mean of its {seeds} seeds"));
            }
            StudyEvent::EnsembleFailed { recipe, error } => {
                self.warn(&format!("the seeds of {recipe} were not measured together: {error}"));
            }
            StudyEvent::ViewsStarted { recipe, views } => {
                self.signals.insist();
                let count = views.count();
                self.progress
                    .note(&format!("{recipe}: measuring with test-time augmentation ({views}: {count} views)"));
            }
            StudyEvent::ViewsFailed { recipe, error } => {
                self.warn(&format!("{recipe} was not measured with test-time augmentation: {error}"));
            }
            StudyEvent::TrialEnded { recipe, record, spared, earlier_stays } => {
                self.progress.trial_done();
                self.took = self.began.map_or(Duration::ZERO, |began| began.elapsed());
                let name = format!("{} seed {}", record.recipe, record.seed);
                for error in *spared {
                    let (file, reason) = match error {
                        FolderError::Io { path, reason, .. } => (path.file_name(), reason.to_string()),
                        other => (None, other.to_string()),
                    };
                    let file = file.map_or("some files".into(), |file| file.to_string_lossy());
                    self.warn(&format!("{name} is kept without {file}, which could not be written: {reason}"));
                }
                if *earlier_stays {
                    self.progress.note(&format!(
                        "the finished training of {name} keeps its place; the command that made it finds it there"
                    ));
                }
                if record.status == Status::Interrupted {
                    self.stopped = Some((name, record.epochs.len()));
                }
                if record.status != Status::Interrupted {
                    self.finished += 1;
                    let (settings, architecture) = self.plan.recipe(*recipe);
                    let text = show::trial(
                        record,
                        &settings.title,
                        architecture.parameters() as u64,
                        &self.splits.class_names,
                    );
                    if self.format == Format::Text && !self.unheard {
                        match self.progress.out(&text) {
                            Ok(()) => {}
                            // Whoever read the results has left; the folder still wants them.
                            Err(Failure::NobodyListens) => self.unheard = true,
                            Err(failure) => self.failure = Some(failure),
                        }
                    }
                }
                if let Some(words) = show::far_above_chance(record) {
                    self.progress.note(&words);
                }
                if record.status == Status::Diverged {
                    let (name, seed, epoch) = (&record.recipe, record.seed, record.stopped.epoch);
                    self.progress.note(&format!(
                        "{name} seed {seed} diverged in epoch {epoch}: the loss is no longer a number; a smaller learning rate may help"
                    ));
                }
            }
        }
        let stop = self.failure.is_some() || self.signals.exit_code().is_some();
        if stop { Flow::Stop } else { flow }
    }

    /// Something that was asked for is missing, and the rest is there.
    fn warn(&self, what: &str) {
        self.progress.note(&warning(what));
    }

    /// Says what a signal leaves and what it costs.
    fn interrupted(&self) {
        let View { finished, trials, progress, .. } = self;
        progress.note(&format!(
            "interrupted: {finished} of {trials} trainings are done; the same command goes on from there"
        ));
        match &self.stopped {
            None => {}
            Some((name, _)) if let Some(goes_on) = &self.checkpoint => progress.note(&format!("{name} {goes_on}")),
            Some((name, 0)) => progress.note(&format!("{name} was in its first epoch and starts again")),
            Some((name, epochs)) => {
                let epochs =
                    if *epochs == 1 { "1 epoch".to_owned() } else { format!("{} epochs", count(*epochs as u64)) };
                let are = if epochs == "1 epoch" { "is" } else { "are" };
                progress.note(&format!(
                    "{epochs} of {name} {are} lost, for there is no checkpoint of it: it starts again from its first epoch"
                ));
            }
        }
    }

    /// Holds what was estimated against what happened.
    fn outcome(&self) {
        if let Some(estimate) = &self.estimate {
            let halfway = self.progress.halfway();
            let took = seconds(self.took.as_secs_f64());
            self.progress.note(&probe::outcome(estimate, halfway.as_deref(), &took));
        }
    }

    fn planned(
        &mut self,
        trials: &[(usize, u64, TrialState)],
        left_out: &[(usize, u64, TrialState)],
        checkpoints: &[(usize, u64, Position)],
    ) {
        let kept_at = |recipe: usize, seed: u64| {
            checkpoints.iter().find(|found| (found.0, found.1) == (recipe, seed)).map(|found| found.2)
        };
        self.trials = trials.len();
        for (recipe, seed, state) in trials {
            let recipe_of = self.plan.recipe(*recipe).0;
            let name = &recipe_of.name;
            let at = kept_at(*recipe, *seed).map(|at| goes_on(&at, recipe_of.settings.epochs));
            let words = match (state, at) {
                (TrialState::Kept(_), _) => "was finished before and is kept",
                (TrialState::Damaged, None) => {
                    "was run before, but its files are not whole; it is run again and replaced"
                }
                (TrialState::Interrupted, None) => "was interrupted and is run again",
                // What changed is told together below.
                (TrialState::New | TrialState::Changed(_), None) => continue,
                (_, Some(at)) => &format!("was interrupted and {at}"),
            };
            self.finished += usize::from(matches!(state, TrialState::Kept(_)));
            self.progress.note(&format!("{name} seed {seed} {words}"));
        }
        for line in self.changed(trials, true) {
            self.progress.note(&format!("run again, to replace what was finished: {line}"));
        }
        for line in self.changed(trials, false) {
            self.progress.note(&format!("run again: {line}"));
        }
        if !left_out.is_empty() {
            let are = if left_out.len() == 1 { "1 training" } else { &format!("{} trainings", left_out.len()) };
            self.progress.note(&format!("{are} in the folder with other settings or data: left out of results.json"));
            for line in [true, false].into_iter().flat_map(|finished| self.changed(left_out, finished)) {
                self.progress.note(&format!("  {line}"));
            }
        }
        let to_run = || trials.iter().filter(|trial| !matches!(trial.2, TrialState::Kept(_)));
        let Some(paces) = self.probe(trials, checkpoints) else { return };
        let epochs = to_run().map(|&(recipe, seed, _)| {
            let done = kept_at(recipe, seed).map_or(0, |at| at.epoch - 1);
            (recipe, self.plan.recipe(recipe).0.settings.epochs.saturating_sub(done))
        });
        let at_most = to_run().any(|&(recipe, ..)| !self.plan.recipe(recipe).0.runs_all_epochs());
        let epoch_s = paces.iter().map(|pace| pace.map(|pace| pace.epoch_s)).collect();
        self.progress.start(Remaining::new(epoch_s, epochs), at_most);
    }

    /// In what those of the trials that are not as asked for differ, finished ones or others.
    fn changed(&self, trials: &[(usize, u64, TrialState)], finished: bool) -> Vec<String> {
        changes_in_words(trials.iter().filter_map(|(recipe, seed, state)| match state {
            TrialState::Changed(earlier) if earlier.finished == finished => {
                Some((self.plan.recipe(*recipe).0.name.as_str(), *seed, earlier))
            }
            _ => None,
        }))
    }

    /// Looks at each recipe that has something to run and says how long that will take. By recipe, how fast it is where
    /// that is known; `None` if a signal came.
    fn probe(
        &mut self,
        trials: &[(usize, u64, TrialState)],
        checkpoints: &[(usize, u64, Position)],
    ) -> Option<Vec<Option<Pace>>> {
        let mut paces = vec![None; self.plan.study().recipes.len()];
        let few = probe::few(&self.splits.valid);
        let mut works = Vec::new();
        for &index in self.plan.selected() {
            let of_recipe = || trials.iter().filter(|trial| trial.0 == index).map(|trial| &trial.2);
            let trainings = of_recipe().filter(|state| !matches!(state, TrialState::Kept(_))).count();
            if trainings == 0 {
                continue;
            }
            let (recipe, architecture) = self.plan.recipe(index);
            let stop = || self.signals.exit_code().is_some();
            let pace = probe::pace(recipe, architecture, self.splits, &few, self.plan.environment().threads, &stop);
            if stop() {
                return None;
            }
            paces[index] = pace;
            let earlier: Vec<usize> = of_recipe()
                .filter_map(|state| match state {
                    TrialState::Kept(trial) if trial.status == Status::Finished => Some(trial.stopped.epoch),
                    _ => None,
                })
                .collect();
            let epochs = match recipe.settings.epochs {
                all if recipe.runs_all_epochs() => Epochs::Exactly(all),
                most if earlier.is_empty() => Epochs::UpTo(most),
                _ => Epochs::Like(earlier),
            };
            let done = checkpoints.iter().filter(|found| found.0 == index);
            let done = done.map(|(.., at)| (at.epoch - 1) as f64 + at.step as f64 / at.steps as f64).sum();
            works.push(Work { recipe: recipe.name.clone(), trainings, epochs, done, pace });
        }
        if !works.is_empty() {
            let many = |n: u64, what: &str| format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" });
            let (recipes, seeds) = (many(self.plan.selected().len() as u64, "recipe"), many(self.plan.seeds(), "seed"));
            let to_go: usize = works.iter().map(|work| work.trainings).sum();
            let to_go = match trials.len() {
                all if all == to_go => String::new(),
                all => format!(", {} of {} trainings to go", count(to_go as u64), count(all as u64)),
            };
            self.progress.note(&format!("{recipes} x {seeds}{to_go}: {}", probe::words(&works)));
            self.estimate = probe::range(&works);
        }
        Some(paces)
    }

    fn training(&mut self, recipe: usize, seed: u64, event: &Event) {
        let recipe = self.plan.recipe(recipe).0;
        let images = self.splits.train.len();
        match event {
            Event::EpochStarted { epoch, done, .. } => {
                self.images = (done * recipe.settings.batch_size).min(images);
                let name = format!("{} seed {seed} epoch {epoch}/{}", recipe.name, recipe.settings.epochs);
                self.progress.epoch_started(&name, images);
                self.progress.images_done(self.images, images);
            }
            Event::Step { examples, .. } => {
                self.images += examples;
                self.progress.images_done(self.images, images);
            }
            Event::Evaluating { .. } | Event::Snapshot { .. } => {}
            Event::Epoch { result, .. } => {
                self.progress.epoch_done(result.train_time_s + result.evaluation_time_s);
                let epoch = EpochRecord::from(*result);
                self.progress.note(&show::epoch_line(&recipe.name, self.width, seed, &epoch, recipe.settings.epochs));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_is_called_after_its_data() {
        let names = ["Phone pictures (2)", "MNIST", "\u{732b}", "", "--"].map(study_name);
        assert_eq!(names, ["images-phone-pictures-2", "images-mnist", "images", "images", "images"]);
        assert_eq!(study_name(&"a".repeat(100)).len(), 64);
    }
}
