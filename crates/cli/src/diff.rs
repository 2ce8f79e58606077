//! `tenfold diff`: in what two trainings part, and why.

use std::path::PathBuf;

use serde::Serialize;
use tenfold_nn::data::Splits;
use tenfold_nn::data::words::counted;
use tenfold_nn::train::Flow;
use tenfold_report::format::count;
use tenfold_study::FinishedStudy;
use tenfold_study::diff::{
    self as study_diff, ArrayDifference, ArrayParting, Cause, FirstStep, Parting, TrialOf, first_step, parting,
};
use tenfold_study::record::{StudyRecord, TrialRecord};

use crate::args::{DiffArgs, Format};
use crate::environment::environment;
use crate::failure::{DIFFERS, DONE, Failure, IO, USAGE};
use crate::output::{self, plain};
use crate::predict::networks::parts;
use crate::progress;
use crate::signals::Signals;
use crate::{images, show};

/// Most arrays that are told of one by one.
const MOST_ARRAYS: usize = 20;

/// The trainings of one side.
struct Side {
    folder: PathBuf,
    record: StudyRecord,
    /// Recipe and seed, where one is named.
    trial: Option<(String, u64)>,
}

/// Two trainings, compared; what `--format json` prints of them.
#[derive(Serialize)]
struct Compared {
    first: String,
    second: String,
    #[serde(flatten)]
    parting: Parting,
    /// The first step in which they part, where that was asked for and there is one.
    first_step: Option<FirstStep>,
}

/// Compares, and gives the exit code.
pub(crate) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let (first, second) = (Side::read(&args.first)?, Side::read(&args.second)?);
    let pairs = pairs(&first, &second)?;
    if args.steps && pairs.len() > 1 {
        let hint = Some("name one training on each side: DIR:RECIPE:SEED".to_owned());
        return Err(Failure::new(USAGE, "--steps trains two trainings again, and these are more".to_owned(), hint));
    }
    let mut all = Vec::new();
    for &(a, b) in &pairs {
        let parting =
            parting(first.trial_of(a), second.trial_of(b)).map_err(|message| Failure::new(IO, message, None))?;
        all.push(Compared { first: first.called(a), second: second.called(b), parting, first_step: None });
    }
    if let (true, [(a, b)], [compared]) = (args.steps, &pairs[..], &mut all[..]) {
        let signals = Signals::watch()?;
        compared.first_step = steps(args, (&first, a), (&second, b), &signals)?;
        if let Some(code) = signals.exit_code() {
            return Ok(code);
        }
    }
    output::out(&match args.format {
        Format::Json => show::json(&all),
        Format::Text => all.iter().map(|compared| words(compared, args.steps)).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(if all.iter().all(|compared| compared.parting.cause == Cause::Same) { DONE } else { DIFFERS })
}

impl Side {
    fn read(named: &str) -> Result<Side, Failure> {
        let (folder, recipe, seed) = parts(named);
        if !folder.is_dir() {
            let hint = "A and B are each DIR:RECIPE:SEED, or a folder that `tenfold run` has written".to_owned();
            let message = format!("{}: there is no such folder", folder.display());
            return Err(Failure::new(USAGE, message, Some(hint)));
        }
        let record = FinishedStudy::record(&folder)?;
        let trial = match (recipe, seed) {
            (Some(recipe), Some(seed)) => Some((recipe, seed)),
            (Some(recipe), None) => {
                let hint = format!("name one: {named}:1");
                return Err(Failure::new(USAGE, format!("{named}: says no seed of {recipe}"), Some(hint)));
            }
            _ => None,
        };
        Ok(Side { folder, record, trial })
    }

    fn trial_of<'a>(&'a self, trial: &'a TrialRecord) -> TrialOf<'a> {
        TrialOf { folder: &self.folder, record: &self.record, trial }
    }

    fn called(&self, trial: &TrialRecord) -> String {
        format!("{}:{}:{}", self.folder.display(), trial.recipe, trial.seed)
    }

    fn trials(&self) -> impl Iterator<Item = &TrialRecord> {
        self.record.recipes.iter().flat_map(|recipe| &recipe.trials)
    }

    /// The training that is named; none if no one is.
    fn named(&self) -> Result<Option<&TrialRecord>, Failure> {
        let Some((recipe, seed)) = &self.trial else { return Ok(None) };
        let found = self.trials().find(|trial| (&trial.recipe, trial.seed) == (recipe, *seed));
        found.map(Some).ok_or_else(|| {
            let known: Vec<String> = self.trials().map(|trial| format!("{}:{}", trial.recipe, trial.seed)).collect();
            let hint = Some(format!("there are {}", tenfold_nn::data::words::listed(&known, 10)));
            Failure::new(USAGE, format!("{}: has no training {recipe}:{seed}", self.folder.display()), hint)
        })
    }
}

/// What is compared with what.
fn pairs<'a>(first: &'a Side, second: &'a Side) -> Result<Vec<(&'a TrialRecord, &'a TrialRecord)>, Failure> {
    match (first.named()?, second.named()?) {
        (Some(a), Some(b)) => Ok(vec![(a, b)]),
        (None, None) => {
            let same = |a: &&'a TrialRecord| second.trials().find(|b| (&a.recipe, a.seed) == (&b.recipe, b.seed));
            let pairs: Vec<_> = first.trials().filter_map(|a| Some((a, same(&a)?))).collect();
            if pairs.is_empty() {
                let message = "the two folders have no training of the same recipe and seed".to_owned();
                let hint = Some("name one on each side: DIR:RECIPE:SEED".to_owned());
                return Err(Failure::new(USAGE, message, hint));
            }
            Ok(pairs)
        }
        _ => {
            let hint = Some("name DIR:RECIPE:SEED on both sides, or a folder on both".to_owned());
            Err(Failure::new(USAGE, "one side is a training and the other a folder".to_owned(), hint))
        }
    }
}

fn steps(
    args: &DiffArgs,
    (first, a): (&Side, &TrialRecord),
    (second, b): (&Side, &TrialRecord),
    signals: &Signals,
) -> Result<Option<FirstStep>, Failure> {
    let data = images::of_record(&first.folder, &first.record, args.data.as_deref())?;
    let others = args.other_data.as_deref().or(args.data.as_deref());
    let same = first.record.dataset.sha256 == second.record.dataset.sha256
        && first.record.dataset.split_sha256 == second.record.dataset.split_sha256;
    let other: Option<Splits> =
        if same { None } else { Some(images::of_record(&second.folder, &second.record, others)?) };
    let bar = progress::bar("training both again", 1);
    let found = first_step(
        (first.trial_of(a), &data),
        (second.trial_of(b), other.as_ref().unwrap_or(&data)),
        environment(args.threads).threads,
        &mut |of, done| {
            bar.set_length(of);
            bar.set_position(done);
            if signals.exit_code().is_some() { Flow::Stop } else { Flow::Continue }
        },
    );
    bar.finish_and_clear();
    found.map_err(|message| Failure::new(USAGE, format!("the trainings cannot be run again: {message}"), None))
}

fn words(compared: &Compared, steps: bool) -> String {
    let Compared { first, second, parting, first_step } = compared;
    let mut text = format!("{} and {}: {}\n", plain(first), plain(second), cause(&parting.cause));
    for d in parting.settings.iter().chain(&parting.others) {
        text.push_str(&format!("  {}: {} and {}\n", plain(&d.setting), plain(&d.before), plain(&d.now)));
    }
    if let Some(epoch) = &parting.epoch {
        let number = |n: Option<f64>| n.map_or("not finite".to_owned(), |n| n.to_string());
        let figure = epoch.figure.replace('_', " ");
        let (a, b) = (number(epoch.first), number(epoch.second));
        text.push_str(&format!("  first epoch that differs: {}, {figure} {a} and {b}\n", epoch.epoch));
    } else if parting.cause != Cause::Same {
        text.push_str("  all epochs that both have are the same\n");
    }
    match &parting.arrays {
        None => text.push_str("  no weights to compare: one of them has not finished\n"),
        Some(arrays) if arrays.is_empty() => text.push_str("  weights: the same, bit for bit\n"),
        Some(arrays) => text.push_str(&array_lines(arrays)),
    }
    match first_step {
        Some(step) if step.step == 0 => {
            text.push_str("  trained again, they part before the first step: other initial parameters or layers\n");
            text.push_str(&array_lines(&step.arrays));
        }
        Some(FirstStep { step, epoch, ends: Some(side), .. }) => {
            let (ends, goes_on) = match side {
                study_diff::Side::First => ("first", "second"),
                study_diff::Side::Second => ("second", "first"),
            };
            text.push_str(&format!(
                "  trained again, they are the same in every step until the {ends} ends, with step {} (of epoch {epoch}); the \
                 {goes_on} goes on\n",
                count(*step)
            ));
        }
        Some(step) => {
            text.push_str(&format!(
                "  trained again, they part in step {} (of epoch {}), after which these are not the same:\n",
                count(step.step),
                step.epoch
            ));
            text.push_str(&array_lines(&step.arrays));
        }
        None if steps => text.push_str("  trained again, they are the same in every step\n"),
        None => {}
    }
    text
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Same => "the same bits".to_owned(),
        Cause::File(path) => format!("a file was changed since its training wrote it: {}", plain(path)),
        Cause::Seed => "different, as they are from different seeds".to_owned(),
        Cause::Data => "different, as they learn from different data".to_owned(),
        Cause::TrainingCode => "different, as other versions of the training code give other bits".to_owned(),
        Cause::Settings => "different, as their settings are".to_owned(),
        Cause::Program => {
            "different, though settings, seed, data and version of the training code are the same: another build of the \
             program, which should give the same bits"
                .to_owned()
        }
        Cause::Unexplained => "different, though all that determines their bits is the same: faulty memory, or an error \
             in the program; `tenfold verify` tells which of them this machine repeats"
            .to_owned(),
        Cause::Unknown => "different; a record does not tell its settings".to_owned(),
    }
}

fn array_lines(arrays: &[ArrayParting]) -> String {
    let shape = |shape: &[usize]| if shape.is_empty() { "missing".to_owned() } else { format!("{shape:?}") };
    let line = |array: &ArrayParting| {
        let how = match &array.how {
            ArrayDifference::Shapes { first, second } => format!("shapes {} and {}", shape(first), shape(second)),
            ArrayDifference::Values { different, of, largest, ulps } => format!(
                "{} of {} values differ, by at most {largest:.2e} ({} in the last place)",
                count(*different as u64),
                count(*of as u64),
                if *ulps == 1 { "1 unit".to_owned() } else { format!("{} units", count(*ulps)) }
            ),
        };
        format!("  {}: {how}\n", plain(&array.name))
    };
    let mut text: String = arrays.iter().take(MOST_ARRAYS).map(line).collect();
    if arrays.len() > MOST_ARRAYS {
        let more = counted(arrays.len() - MOST_ARRAYS, "more array", "more arrays");
        text.push_str(&format!("  and {more}\n"));
    }
    text
}
