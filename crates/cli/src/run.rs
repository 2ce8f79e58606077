//! `tenfold run`: trains, compares, draws.

use std::path::PathBuf;

use tenfold_nn::data::Splits;
use tenfold_nn::train::{Event, Flow};
use tenfold_nn::{Isa, Precision};
use tenfold_report::format::count;
use tenfold_study::comparison::ChosenBy;
use tenfold_study::record::{EpochRecord, RESULTS, Status, StudyRecord};
use tenfold_study::{FinishedStudy, Plan, RunFolder, Settings, StudyEvent, TrialState};

use crate::args::{Format, RunArgs};
use crate::data::source;
use crate::environment::{environment, free_memory_bytes, processor_time};
use crate::failure::{DIVERGED, DONE, Failure};
use crate::output::plain;
use crate::probe::{self, Epochs, Pace, Work};
use crate::progress::Progress;
use crate::remaining::Remaining;
use crate::signals::Signals;
use crate::{pictures, report, show, study_file};

/// Runs a study and gives the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let (study, built_in) = study_file::find(&args.study)?;
    // Before any data is read: what is typed wrongly is told at once.
    study.select(&args.only)?;
    let source = source(args.data.as_deref(), study.data.classes)?;
    let valid = study.data.valid_count(source.train.len());
    let splits = source.split(valid, study.data.split_seed)?;
    let settings = Settings {
        seeds: args.seeds,
        only: args.only.clone(),
        epochs: args.epochs,
        precision: args.precision,
        environment: environment(args.threads),
        free_memory_bytes: free_memory_bytes(),
        published: built_in,
        chosen_by: args.choose_by.into(),
        margin: args.margin / 100.0,
    };
    let plan = Plan::new(study, &splits, settings)?;
    let path = args.out.clone().unwrap_or_else(|| {
        let name = &plan.study().name;
        let bf16 = args.precision == Some(Precision::Bf16);
        // A folder of its own: what is finished in f32 is not to be replaced.
        PathBuf::from("runs").join(if bf16 { format!("{name}-bf16") } else { name.clone() })
    });
    let folder = RunFolder::open(&path)?;
    // Until the new one is written, none is better than an old one beside a newer record.
    folder.remove(report::REPORT)?;
    let signals = Signals::watch()?;

    let mut view = View::new(&plan, &splits, &signals, args.format);
    view.header(&path);
    let record = tenfold_study::run(&plan, &splits, &folder, &processor_time, &mut |event| view.show(event));
    view.progress.finish();
    record?;
    if let Some(failure) = view.failure {
        return Err(failure);
    }
    if let Some(code) = signals.exit_code() {
        let View { finished, trials, progress, .. } = &view;
        progress.note(&format!(
            "interrupted: {finished} of {trials} trainings are done; the same command goes on from there"
        ));
        return Ok(code);
    }
    // What the trials say together takes a while, so it is computed once, when all are there.
    let mut finished = FinishedStudy::read(&path)?;
    finished.complete();
    let record = &finished.record;
    folder.write(RESULTS, record.to_json().as_bytes())?;
    let drawn = pictures::draw(&folder, record, &splits, plan.environment().threads)?;
    report::write(&folder, &finished, &splits.test)?;
    match args.format {
        Format::Text => view.progress.out(&format!(
            "{}{drawn}\nIn {}: report.html, results.json, study.toml, pictures, and each training under trials\n",
            show::summary(record),
            plain(&path.display().to_string())
        ))?,
        Format::Json => view.progress.out(&record.to_json())?,
    }
    Ok(if any_diverged(&plan, record) { DIVERGED } else { DONE })
}

/// Whether one of the trainings that were asked for diverged, now or in an earlier run.
fn any_diverged(plan: &Plan, record: &StudyRecord) -> bool {
    let asked = |name: &str, seed| plan.includes(name, seed);
    let mut trials = record.recipes.iter().flat_map(|recipe| &recipe.trials);
    trials.any(|trial| trial.status == Status::Diverged && asked(&trial.recipe, trial.seed))
}

/// Turns events into lines and bars.
struct View<'a> {
    plan: &'a Plan,
    splits: &'a Splits,
    signals: &'a Signals,
    format: Format,
    progress: Progress,
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
    fn new(plan: &'a Plan, splits: &'a Splits, signals: &'a Signals, format: Format) -> View<'a> {
        let width = plan.study().recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
        let progress = Progress::new();
        View {
            plan,
            splits,
            signals,
            format,
            progress,
            width,
            images: 0,
            finished: 0,
            trials: 0,
            unheard: false,
            failure: None,
        }
    }

    fn header(&self, path: &std::path::Path) {
        let (data, environment) = (self.plan.dataset(), self.plan.environment());
        let [train, valid, test] = [data.train, data.valid, data.test].map(|n| count(n as u64));
        self.progress.note(&format!(
            "{}: {train} training, {valid} validation, {test} test images of {}; split {}",
            plain(&data.name),
            self.splits.train.shape(),
            &data.split_sha256[..12]
        ));
        let threads =
            if environment.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", environment.threads) };
        self.progress.note(&format!(
            "{threads}, {}; writing to {}",
            environment.isa,
            plain(&path.display().to_string())
        ));
        let recipes = self.plan.selected().iter().map(|&recipe| self.plan.recipe(recipe).0);
        let bf16: Vec<&str> = recipes.filter(|r| !r.precision.is_f32()).map(|r| r.name.as_str()).collect();
        if self.plan.chosen_by() == ChosenBy::Test {
            self.progress.note("choosing by test: what the test images then say of the choice flatters it");
        }
        if !bf16.is_empty() {
            let slow = if Isa::detect().has_bf16() {
                ""
            } else {
                "; this processor has no instructions for that, so it is slow, with the same results"
            };
            self.progress.note(&format!("in bf16: {}{slow}", bf16.join(", ")));
        }
    }

    fn show(&mut self, event: &StudyEvent) -> Flow {
        match event {
            StudyEvent::Planned { trials, left_out } => self.planned(trials, *left_out),
            StudyEvent::TrialStarted { .. } => {}
            StudyEvent::Training { recipe, seed, event } => self.training(*recipe, *seed, event),
            StudyEvent::TrialEnded { recipe, record } => {
                self.progress.trial_done();
                if record.status != Status::Interrupted {
                    self.finished += 1;
                    let (settings, architecture) = self.plan.recipe(*recipe);
                    let text = show::trial(record, &settings.title, architecture.parameters() as u64);
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
        if stop { Flow::Stop } else { Flow::Continue }
    }

    fn planned(&mut self, trials: &[(usize, u64, TrialState)], left_out: usize) {
        self.trials = trials.len();
        for (recipe, seed, state) in trials {
            let name = &self.plan.recipe(*recipe).0.name;
            let words = match state {
                TrialState::New => continue,
                TrialState::Kept(_) => "was finished before and is kept",
                TrialState::Interrupted => "was interrupted and is run again",
                TrialState::Changed => "was run with other settings, data or code; it is run again and replaced",
                TrialState::Damaged => "was run before, but its files are not whole; it is run again and replaced",
            };
            self.finished += usize::from(matches!(state, TrialState::Kept(_)));
            self.progress.note(&format!("{name} seed {seed} {words}"));
        }
        if left_out > 0 {
            let are = if left_out == 1 { "1 training" } else { &format!("{left_out} trainings") };
            self.progress.note(&format!("{are} in the folder with other settings or data: left out of results.json"));
        }
        let to_run = || trials.iter().filter(|trial| !matches!(trial.2, TrialState::Kept(_)));
        let Some(paces) = self.probe(trials) else { return };
        let epochs = to_run().map(|&(recipe, ..)| (recipe, self.plan.recipe(recipe).0.epochs));
        let at_most = to_run().any(|&(recipe, ..)| !self.plan.recipe(recipe).0.runs_all_epochs());
        let epoch_s = paces.iter().map(|pace| pace.map(|pace| pace.epoch_s)).collect();
        self.progress.start(Remaining::new(epoch_s, epochs), at_most);
    }

    /// Looks at each recipe that has something to run and says how long that will take. By recipe, how fast it is where
    /// that is known; `None` if a signal came.
    fn probe(&self, trials: &[(usize, u64, TrialState)]) -> Option<Vec<Option<Pace>>> {
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
            let epochs = match recipe.epochs {
                all if recipe.runs_all_epochs() => Epochs::Exactly(all),
                most if earlier.is_empty() => Epochs::UpTo(most),
                _ => Epochs::Like(earlier),
            };
            works.push(Work { recipe: recipe.name.clone(), trainings, epochs, pace });
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
        }
        Some(paces)
    }

    fn training(&mut self, recipe: usize, seed: u64, event: &Event) {
        let settings = self.plan.recipe(recipe).0;
        let images = self.splits.train.len();
        match event {
            Event::EpochStarted { epoch, .. } => {
                self.images = 0;
                let name = format!("{} seed {seed} epoch {epoch}/{}", settings.name, settings.epochs);
                self.progress.epoch_started(&name, images);
            }
            Event::Step { examples, .. } => {
                self.images += examples;
                self.progress.images_done(self.images, images);
            }
            Event::Evaluating { .. } => {}
            Event::Epoch { result, .. } => {
                self.progress.epoch_done(result.train_time_s + result.evaluation_time_s);
                let epoch = EpochRecord::from(*result);
                self.progress.note(&show::epoch_line(&settings.name, self.width, seed, &epoch, settings.epochs));
            }
        }
    }
}
