//! `tenfold report`: writes report.html again from the record; and what `tenfold run` writes at its end.

use std::io::Read;
use std::path::Path;

use tenfold_nn::data::{HeldOut, Labels, Splits};
use tenfold_report::html::{Page, Shown, page};
use tenfold_study::record::{RESULTS, StudyRecord};
use tenfold_study::{FinishedStudy, RunFolder};

use crate::args::ReportArgs;
use crate::data::source;
use crate::failure::{DATA, DONE, Failure, IO, USAGE};
use crate::output::{self, plain};
use crate::pictures::{CARDS, FEATURE_MAPS, FILM, FILTERS, WAY};

/// The page's name in the run folder.
pub(crate) const REPORT: &str = "report.html";

/// Pictures beyond this many bytes together stay out of the page, which is to be mailed.
const MAX_PICTURES_BYTES: usize = 512 << 10;
/// The most bytes of `study.toml` that the page shows.
const MAX_STUDY_BYTES: u64 = 128 << 10;

/// Writes the page of a run folder.
pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let (folder, mut study, splits) = open(&args.folder, args.data.as_deref())?;
    study.complete();
    write(&folder, &study, &splits.test)?;
    output::out(&format!("{}\n", plain(&args.folder.join(REPORT).display().to_string())))?;
    Ok(DONE)
}

/// A run folder, held, with what is in it and the images that it was run with: those of the folder `data`, or MNIST's.
pub(crate) fn open(path: &Path, data: Option<&Path>) -> Result<(RunFolder, FinishedStudy, Splits), Failure> {
    if !path.is_dir() {
        let message = format!("{}: there is no such folder", path.display());
        return Err(Failure::new(USAGE, message, Some("`tenfold run` writes to runs/STUDY".to_owned())));
    }
    // Before it is held: nothing is made in a folder that is none of a run.
    let study = FinishedStudy::read(path)?;
    let splits = splits(path, &study.record, data)?;
    let folder = RunFolder::open(path)?;
    // Once more: a run may have ended meanwhile.
    Ok((folder, FinishedStudy::read(path)?, splits))
}

/// Writes the page; `study` is complete.
pub(crate) fn write(folder: &RunFolder, study: &FinishedStudy, test: &HeldOut) -> Result<(), Failure> {
    let shape = test.shape();
    let image = |n: usize| if n < test.len() { test.image(n).to_vec() } else { Vec::new() };
    let html = page(&Page {
        study,
        comparison: &study.record.comparison,
        shape: [shape.channels, shape.height, shape.width],
        image: &image,
        pictures: pictures(folder)?,
        study_toml: study_toml(folder.path())?,
    });
    Ok(folder.write(REPORT, html.as_bytes())?)
}

/// The data of the record: MNIST, or a folder's, with the record's checksum.
fn splits(folder: &Path, record: &StudyRecord, data: Option<&Path>) -> Result<Splits, Failure> {
    let of = &record.dataset;
    let source = source(data, Labels { first: of.first_label, classes: of.classes })?;
    let splits = source.split(of.valid, of.split_seed)?;
    if splits.source_sha256 == of.sha256 {
        let shape = splits.train.shape();
        let found = ([shape.channels, shape.height, shape.width], splits.train.classes());
        let sizes = [splits.train.len(), splits.valid.len(), splits.test.len()];
        if (found, sizes) == ((of.shape, of.classes), [of.train, of.valid, of.test]) {
            return Ok(splits);
        }
        let file = folder.join(RESULTS);
        let message = format!("{}: what it says of the images is not true of them; it was edited", file.display());
        return Err(Failure::new(DATA, message, None));
    }
    let found = data.map_or("the built-in MNIST".to_owned(), |folder| folder.display().to_string());
    Err(Failure::new(
        DATA,
        format!(
            "the study was run on {} with SHA-256 {}, but {found} has SHA-256 {}",
            of.name, of.sha256, splits.source_sha256
        ),
        Some("give the folder that the study was run with: --data DIR".to_owned()),
    ))
}

/// The pictures that the run drew.
fn pictures(folder: &RunFolder) -> Result<Vec<Shown>, Failure> {
    let named = [
        (
            FILTERS,
            "Filters of the first convolution of the best convolutional network",
            "A row of small squares, one for each filter: weights above zero in one colour, below zero in another, zero \
             between.",
        ),
        (
            CARDS,
            "What they answer to",
            "A card for each of these filters: its kernel, its response to one image, and the nine patches of training \
             images that excite it most.",
        ),
        (
            FEATURE_MAPS,
            "What these filters make of test images, before and after ReLU",
            "A row for each image: the image, then for each filter its response before ReLU and after, where only what is above zero is left.",
        ),
        (
            WAY,
            "One test image's way through the network",
            "The image, which of its pixels mattered, what each layer makes of it, and the probability of each class.",
        ),
        (
            FILM,
            "The filters through training",
            "A row for each filter, a column for each epoch, from before training on.",
        ),
    ];
    let mut shown = Vec::new();
    let mut room = MAX_PICTURES_BYTES;
    for (file, title, alternative) in named {
        let Some(png) = folder.read(file)? else { continue };
        if png.len() <= room {
            room -= png.len();
            shown.push(Shown { title: title.to_owned(), alternative: alternative.to_owned(), png });
        }
    }
    Ok(shown)
}

fn study_toml(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("study.toml");
    let mut text = Vec::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_STUDY_BYTES).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(reason) => Err(Failure::new(IO, format!("{}: cannot read the file: {reason}", path.display()), None)),
    }
}
