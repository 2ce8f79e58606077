//! `tenfold predict`: what trained networks say of images, in the order in which they come.

pub(crate) mod inputs;
pub(crate) mod networks;
pub(crate) mod rows;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tenfold_nn::data::words::{are, counted};
use tenfold_nn::interop::model_file::Abstain;
use tenfold_report::format::{count, percent};

use self::inputs::{Input, inputs};
use self::networks::{Networks, found_without_views};
use self::rows::{Columns, Rows};
use crate::args::PredictArgs;
use crate::environment::environment;
use crate::failure::{DATA, DONE, Failure, USAGE};
use crate::given::with_settings;
use crate::output::{self, plain};
use crate::progress::bar;

/// Pictures that are decoded together, and bytes of them: memory is bounded by these, whatever there is.
const PICTURES: usize = 2_048;
const PICTURE_BYTES: usize = 256 << 20;
/// Unreadable files that are named.
const NAMED: usize = 20;

/// Predicts, and gives the exit code.
pub(crate) fn predict(args: &PredictArgs) -> Result<u8, Failure> {
    let mut networks = Networks::read(&args.model, environment(args.threads).threads)?;
    if args.top.is_some_and(|top| top > networks.classes().len()) {
        let message =
            format!("--top is {}, and the network has {} classes", args.top.unwrap_or(0), networks.classes().len());
        return Err(Failure::new(USAGE, message, None));
    }
    let options = with_settings(&networks.options(), &args.set)?;
    options.check()?;
    let shape = networks.shape();
    if options.size != Some([shape.height, shape.width]) {
        let message = format!("--set: size is that of the images that the network was trained on: {shape}");
        return Err(Failure::new(USAGE, message, None));
    }
    if let Some(views) = &args.views {
        if args.calibrate || args.abstain_error.is_some() {
            let (what, options) = match (args.calibrate, args.abstain_error) {
                (true, Some(_)) => ("a temperature or threshold", "--calibrate and --abstain-error"),
                (true, None) => ("a temperature", "--calibrate"),
                (false, _) => ("a threshold", "--abstain-error"),
            };
            return Err(found_without_views(what, &format!("leave --views out, or {options}")));
        }
        if args.abstain.is_none() && !args.kaggle && networks.own_abstain().is_some() {
            let remedy = "choose a threshold of your own, --abstain P; 0 names a class of every image";
            return Err(found_without_views("a threshold", remedy));
        }
        output::note(&networks.show_views(views)?);
    }
    if args.calibrate {
        output::note(&networks.calibrate()?);
    }
    let abstain = match (args.abstain, args.abstain_error) {
        (Some(threshold), _) => Some(threshold),
        (None, Some(at_most)) => Some(told(networks.abstain(at_most)?)),
        (None, None) => networks.own_abstain().filter(|_| !args.kaggle).map(told),
    };
    let together = PICTURES.min(PICTURE_BYTES / shape.len()).max(1);
    let found = inputs(&args.paths, args.out.as_deref())?;
    let columns = if args.kaggle { Columns::Kaggle } else { args.top.map_or(Columns::All, Columns::Top) };
    let mut rows = Rows::open(args, columns, abstain, networks.classes())?;
    let pictures = found.iter().filter(|input| matches!(input, Input::Picture(_))).count();
    let progress = bar("pictures", pictures);
    let mut unreadable: Vec<(PathBuf, String)> = Vec::new();
    let mut waiting: Vec<PathBuf> = Vec::new();
    for input in found {
        match input {
            Input::Picture(path) => {
                waiting.push(path);
                if waiting.len() == together {
                    progress.inc(waiting.len() as u64);
                    of_pictures(&std::mem::take(&mut waiting), &networks, &options, &mut rows, &mut unreadable)?;
                }
            }
            Input::Images(path) => {
                of_pictures(&std::mem::take(&mut waiting), &networks, &options, &mut rows, &mut unreadable)?;
                of_images(&path, &networks, &options, &mut rows, &mut unreadable)?;
            }
        }
    }
    of_pictures(&waiting, &networks, &options, &mut rows, &mut unreadable)?;
    progress.finish_and_clear();
    let (all, undecided) = rows.finish()?;
    if let Some(threshold) = abstain {
        let n = count(undecided as u64);
        let (all, threshold) = (count(all as u64), short(threshold));
        output::note(&format!("{n} of {all} images have no class of probability {threshold} or more"));
    }
    if unreadable.is_empty() {
        return Ok(DONE);
    }
    let named = unreadable.iter().take(NAMED).map(|(path, why)| format!("{}: it {why}", path.display()));
    let more = unreadable.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    let lines: Vec<String> = named.chain(more).collect();
    let files = counted(unreadable.len(), "file", "files");
    let message = format!(
        "{files} {} not predicted, {all} were\n  {}",
        if unreadable.len() == 1 { "was" } else { "were" },
        lines.join("\n  ")
    );
    Err(Failure::new(DATA, message, None))
}

/// The threshold, once it is said where it comes from.
fn told(abstain: Abstain) -> f64 {
    output::note(&abstaining(&abstain));
    abstain.threshold
}

/// A threshold with as many digits as probabilities have.
pub(crate) fn short(threshold: f64) -> f32 {
    threshold as f32
}

/// What a threshold did where it was chosen.
pub(crate) fn abstaining(abstain: &Abstain) -> String {
    let Abstain { images, answered, wrong, .. } = *abstain;
    let threshold = short(abstain.threshold);
    let share = |part: u64, of: u64| percent(part as f64 / of.max(1) as f64);
    format!(
        "no class is named where the most probable one has a probability of less than {threshold}: of the {} validation \
         images {} were named then ({}), {} of them wrongly ({})",
        count(images),
        count(answered),
        share(answered, images),
        count(wrong),
        share(wrong, answered)
    )
}

/// Predicts pictures, in order.
fn of_pictures(
    paths: &[PathBuf],
    networks: &Networks,
    options: &tenfold_data::Options,
    rows: &mut Rows,
    unreadable: &mut Vec<(PathBuf, String)>,
) -> Result<(), Failure> {
    let mut pixels = Vec::with_capacity(paths.len() * networks.shape().len());
    let mut read: Vec<&Path> = Vec::new();
    for (path, picture) in paths.iter().zip(tenfold_data::read_pictures(paths, networks.shape(), options)) {
        match picture {
            Ok(picture) => {
                pixels.extend(picture);
                read.push(path);
            }
            // Numbers are places in the list: without a row for each image all that follow would be those of others.
            Err(why) if rows.are_numbered() => {
                let message = format!("{}: it {why}; nothing was written", path.display());
                let hint = "--kaggle numbers the images, so each has to be read".to_owned();
                return Err(Failure::new(DATA, message, Some(hint)));
            }
            Err(why) => unreadable.push((path.clone(), why)),
        }
    }
    let named = read.iter().map(|path| path.to_string_lossy().into_owned());
    of_pixels(&pixels, named, networks, rows)
}

/// Predicts what a file or folder of arrays holds: what has no labels, else its test images, else all.
fn of_images(
    path: &Path,
    networks: &Networks,
    options: &tenfold_data::Options,
    rows: &mut Rows,
    unreadable: &mut Vec<(PathBuf, String)>,
) -> Result<(), Failure> {
    let collection = networks.read_images(path, options, tenfold_data::Naming::Unused)?;
    unreadable.extend(collection.unreadable.into_iter().map(|file| (file.path, file.reason)));
    let train = Some(collection.train).filter(|train| !train.pixels.is_empty());
    let parts = match (collection.unlabelled, collection.test) {
        (Some(unlabelled), _) => vec![("images without labels", unlabelled)],
        (None, Some(test)) => vec![("test images", test)],
        (None, None) => train.into_iter().chain(collection.valid).map(|part| ("images", part)).collect(),
    };
    for note in &collection.notes {
        output::note(&format!("  {}", plain(note)));
    }
    let mut number = 0;
    for (what, part) in parts {
        let n = part.len(networks.shape().len());
        output::note(&format!(
            "{}: {} {what} {} predicted",
            plain(&path.display().to_string()),
            count(n as u64),
            are(n)
        ));
        let shown = path.display().to_string();
        let named = (0..n).map(|n| part.paths.get(n).cloned().unwrap_or_else(|| format!("{shown}[{}]", number + n)));
        of_pixels(&part.pixels, named, networks, rows)?;
        number += n;
    }
    Ok(())
}

fn of_pixels(
    pixels: &[u8],
    mut named: impl Iterator<Item = String>,
    networks: &Networks,
    rows: &mut Rows,
) -> Result<(), Failure> {
    for pixels in pixels.chunks(networks.shape().len() * 8_192) {
        let said = networks.predict(pixels)?;
        for n in 0..said.len() {
            rows.write(&named.next().unwrap_or_default(), said.of(n), said.class(n))?;
        }
    }
    Ok(())
}

/// What to call a failure to read something that was typed.
pub(crate) fn unread(path: &Path, reason: &std::io::Error) -> Failure {
    let message = match reason.kind() {
        ErrorKind::NotFound => format!("{}: there is no such file or folder", path.display()),
        _ => format!("{}: cannot be read: {reason}", path.display()),
    };
    Failure::new(crate::failure::unread(reason), message, None)
}
