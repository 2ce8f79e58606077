//! `tenfold verify`: whether what a run folder says is so.

use std::path::Path;

use serde::Serialize;
use tenfold_nn::data::Splits;
use tenfold_nn::data::words::counted;
use tenfold_nn::rng::{Rng, Stream, permutation};
use tenfold_nn::train::{Event, Flow};
use tenfold_report::format::seconds;
use tenfold_study::diff::TrialOf;
use tenfold_study::record::{RecipeRecord, Status, StudyRecord, TrialRecord};
use tenfold_study::status::ungathered;
use tenfold_study::verify::{Again, Disagreement, check_files, check_study, train_again};
use tenfold_study::{FinishedStudy, FinishedStudyError, nearest};

use crate::args::{Format, VerifyArgs};
use crate::environment::environment;
use crate::failure::{DIFFERS, DONE, Failure, USAGE};
use crate::output::{self, plain};
use crate::progress;
use crate::signals::Signals;
use crate::{images, show};

/// What became of one training.
#[derive(Serialize)]
struct Checked {
    recipe: String,
    seed: u64,
    /// Whether all that was checked agrees.
    agrees: bool,
    /// Whether the training was run again and gave the same bits; null where it was not run again.
    same_bits: Option<bool>,
    /// Seconds that its steps took this time.
    train_time_s: Option<f64>,
    /// Why it could not be run again.
    not_trained_again: Option<String>,
    disagreements: Vec<Disagreement>,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Verified {
    /// Whether all of it agrees.
    agrees: bool,
    /// Whether the images were at hand.
    images: bool,
    trainings: Vec<Checked>,
    /// Of the record as a whole.
    study: Vec<Disagreement>,
}

/// Verifies, and gives the exit code.
pub(crate) fn verify(args: &VerifyArgs) -> Result<u8, Failure> {
    let folder = &args.folder;
    let record = match FinishedStudy::record(folder) {
        Ok(record) => record,
        Err(FinishedStudyError::Damaged { fault, .. }) => {
            // That it contradicts itself is an answer.
            let study = vec![Disagreement { file: "results.json".to_owned(), fault }];
            return end(args, Verified { agrees: false, images: false, trainings: Vec::new(), study });
        }
        Err(error) => return Err(error.into()),
    };
    let left = ungathered(folder, &record);
    if let Some(first) = left.first() {
        let path = output::plain(&folder.display().to_string());
        let message = format!("{path}: its record lacks {} of its trainings, such as {first}", left.len());
        return Err(Failure::new(USAGE, message, Some(format!("gather them first: tenfold work {path} --gather"))));
    }
    let chosen = chosen(&record, &args.trainings, folder)?;
    if chosen.is_empty() {
        let path = output::plain(&folder.display().to_string());
        return Err(Failure::new(USAGE, format!("{path}: there is no training to verify"), None));
    }
    let splits = match images::of_record(folder, &record, args.data.as_deref()) {
        Ok(splits) => Some(splits),
        // Files say something without them.
        Err(Failure::Error { message, .. }) if args.no_training && args.data.is_none() => {
            let left = "what networks say of them is not checked";
            output::note(&format!("warning: without the images, {left}: {}", output::plain_lines(&message)));
            None
        }
        Err(failure) => return Err(failure),
    };
    let threads = environment(args.threads).threads;
    let signals = Signals::watch()?;
    let again = to_train(args, &chosen);
    let mut trainings = Vec::new();
    for (n, &trial) in chosen.iter().enumerate() {
        let of = TrialOf { folder, record: &record, trial };
        let checked = check(of, splits.as_ref(), again.contains(&n), threads, &signals);
        if let Some(code) = signals.exit_code() {
            return Ok(code);
        }
        if args.format == Format::Text {
            output::out(&line(&checked))?;
        }
        trainings.push(checked);
    }
    let mut agrees = trainings.iter().all(|checked| checked.agrees && checked.not_trained_again.is_none());
    let mut study = Vec::new();
    // What the trainings say together follows from files that agree.
    if agrees && args.trainings.is_empty() {
        study = check_study(&FinishedStudy::read(folder)?, splits.as_ref(), threads);
        agrees = study.is_empty();
    }
    end(args, Verified { agrees, images: splits.is_some(), trainings, study })
}

/// Says what came of it all.
fn end(args: &VerifyArgs, verified: Verified) -> Result<u8, Failure> {
    match args.format {
        Format::Json => output::out(&show::json(&verified))?,
        Format::Text => {
            let mut text = lines(&verified.study);
            if !verified.study.is_empty() {
                text = format!("the study: DOES NOT AGREE\n{text}");
            }
            let all = verified.trainings.len();
            let agree = verified.trainings.iter().filter(|checked| checked.agrees).count();
            let again = verified.trainings.iter().filter(|checked| checked.same_bits == Some(true)).count();
            let s = if all == 1 { "s" } else { "" };
            text.push_str(&format!("{agree} of {} agree{s}", counted(all, "training", "trainings")));
            text.push_str(&match again {
                _ if args.no_training => "; none was run again\n".to_owned(),
                n => format!("; {n} run again with the same bits\n"),
            });
            output::out(&text)?;
        }
    }
    Ok(if verified.agrees { DONE } else { DIFFERS })
}

/// The trainings that a person names, in the order of the record.
fn chosen<'a>(record: &'a StudyRecord, named: &[String], folder: &Path) -> Result<Vec<&'a TrialRecord>, Failure> {
    let mut wanted: Vec<(&str, Option<u64>)> = Vec::new();
    for name in named {
        let (recipe, seed) = match name.rsplit_once(':') {
            Some((recipe, seed)) => match seed.parse() {
                Ok(seed) => (recipe, Some(seed)),
                Err(_) => {
                    let message = format!("{name}: expected RECIPE or RECIPE:SEED, with a whole number as the seed");
                    return Err(Failure::new(USAGE, message, None));
                }
            },
            None => (name.as_str(), None),
        };
        let Some(found) = record.recipes.iter().find(|other| other.name == recipe) else {
            let known: Vec<&str> = record.recipes.iter().map(|other| other.name.as_str()).collect();
            let hint = nearest(recipe, known.iter().copied())
                .map_or(format!("there are {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
            let message = format!("{}: has no recipe {recipe:?}", folder.display());
            return Err(Failure::new(USAGE, message, Some(hint)));
        };
        if seed.is_some_and(|seed| !found.trials.iter().any(|trial| trial.seed == seed)) {
            let seeds: Vec<String> = found.trials.iter().map(|trial| trial.seed.to_string()).collect();
            let hint = format!("its seeds are {}", seeds.join(", "));
            return Err(Failure::new(USAGE, format!("{}: has no training {name}", folder.display()), Some(hint)));
        }
        wanted.push((recipe, seed));
    }
    let is_wanted = |trial: &TrialRecord| {
        let is = |&(recipe, seed): &(&str, Option<u64>)| {
            recipe == trial.recipe && seed.is_none_or(|seed| seed == trial.seed)
        };
        wanted.is_empty() || wanted.iter().any(is)
    };
    Ok(record.recipes.iter().flat_map(|recipe: &RecipeRecord| &recipe.trials).filter(|t| is_wanted(t)).collect())
}

/// Which of the trainings are run again.
fn to_train(args: &VerifyArgs, chosen: &[&TrialRecord]) -> Vec<usize> {
    let ended = |&n: &usize| chosen[n].status != Status::Interrupted;
    let all: Vec<usize> = (0..chosen.len()).filter(ended).collect();
    match args.sample {
        _ if args.no_training => Vec::new(),
        None => all,
        Some(sample) => {
            let seed = args.sample_seed.unwrap_or(1);
            let drawn = permutation(all.len() as u32, &Rng::new(seed, Stream::Sample, 0));
            let mut drawn: Vec<usize> = drawn.into_iter().take(sample).map(|n| all[n as usize]).collect();
            drawn.sort_unstable();
            drawn
        }
    }
}

fn check(of: TrialOf, splits: Option<&Splits>, again: bool, threads: usize, signals: &Signals) -> Checked {
    let trial = of.trial;
    let mut disagreements = check_files(of, splits, threads);
    let (mut same_bits, mut train_time_s, mut not_trained_again) = (None, None, None);
    if let (true, Some(splits)) = (again, splits) {
        let bar = progress::bar(&format!("{} seed {}", trial.recipe, trial.seed), trial.stopped.epoch);
        let ended = train_again(of, splits, threads, &mut |event| {
            if let Event::Epoch { result, .. } = event {
                bar.set_position(result.epoch as u64);
            }
            if signals.exit_code().is_some() { Flow::Stop } else { Flow::Continue }
        });
        bar.finish_and_clear();
        match ended {
            Again::Same { train_time_s: time_s } => (same_bits, train_time_s) = (Some(true), Some(time_s)),
            Again::Parted(parted) => {
                same_bits = Some(false);
                disagreements.extend(parted);
            }
            Again::Impossible(reason) => not_trained_again = Some(reason),
            // The signal ends all of it.
            Again::Stopped => {}
        }
    }
    let agrees = disagreements.is_empty();
    let (recipe, seed) = (trial.recipe.clone(), trial.seed);
    Checked { recipe, seed, agrees, same_bits, train_time_s, not_trained_again, disagreements }
}

/// One line for one training, and one for each claim that does not hold.
fn line(checked: &Checked) -> String {
    let agrees = if checked.agrees { "files agree" } else { "DOES NOT AGREE" };
    let again = match (checked.same_bits, checked.train_time_s, &checked.not_trained_again) {
        (Some(true), Some(time_s), _) => format!("; trained again in {}, the same bits", seconds(time_s)),
        (Some(true), None, _) => "; trained again, the same bits".to_owned(),
        (Some(false), ..) => "; trained again, other bits".to_owned(),
        (None, _, Some(reason)) => format!("; not trained again: {}", plain(reason)),
        (None, _, None) => String::new(),
    };
    let disagreements = lines(&checked.disagreements);
    format!("{} seed {}: {agrees}{again}\n{disagreements}", plain(&checked.recipe), checked.seed)
}

fn lines(disagreements: &[Disagreement]) -> String {
    disagreements.iter().map(|d| format!("  {}: {}\n", plain(&d.file), plain(&d.fault))).collect()
}
