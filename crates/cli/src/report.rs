//! `tenfold report`: writes report.html again from the record; and what `tenfold run` writes at its end.

use std::io::Read;
use std::path::Path;

use tenfold_nn::data::{HeldOut, Splits};
use tenfold_report::html::{Page, Shown, page};
use tenfold_study::{FinishedStudy, RunFolder};

use crate::args::ReportArgs;
use crate::failure::{DONE, Failure, IO, USAGE};
use crate::images;
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

/// A run folder, held, with what is in it and the images that it was run with: those of the folder `data`, or
/// without one those where the record says they are.
pub(crate) fn open(path: &Path, data: Option<&Path>) -> Result<(RunFolder, FinishedStudy, Splits), Failure> {
    if !path.is_dir() {
        let message = format!("{}: there is no such folder", path.display());
        return Err(Failure::new(USAGE, message, Some("`tenfold run` writes to runs/STUDY".to_owned())));
    }
    // Before it is held: nothing is made in a folder that is none of a run.
    let study = FinishedStudy::read(path)?;
    let splits = images::of_record(path, &study.record, data)?;
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
