//! `tenfold merge`: run folders of one study, made on machines that share nothing, as one.

use std::fs;
use std::path::{Path, PathBuf};

use tenfold_nn::data::words::counted;
use tenfold_study::{FinishedStudy, Merge, RunFolder};

use crate::args::MergeArgs;
use crate::conclude::conclude;
use crate::environment::environment;
use crate::failure::{DONE, Failure, USAGE};
use crate::images;
use crate::output::{note, plain_lines};
use crate::progress::Progress;

/// Merges, and gives the exit code.
pub(crate) fn merge(args: &MergeArgs) -> Result<u8, Failure> {
    let mut known: Vec<PathBuf> = Vec::new();
    let mut folders = Vec::new();
    for folder in &args.folders {
        let Ok(real) = fs::canonicalize(folder) else {
            let message = format!("{}: there is no such folder", folder.display());
            return Err(Failure::new(USAGE, message, Some("`tenfold run` writes to runs/STUDY".to_owned())));
        };
        if known.contains(&real) {
            return Err(Failure::new(USAGE, format!("{}: is given twice", folder.display()), None));
        }
        known.push(real);
        folders.push(FinishedStudy::read(folder)?);
    }
    // As the record of the first says, from where that is.
    let splits = images::of_record(&args.folders[0], &folders[0].record, args.data.as_deref());
    let splits = match splits {
        Ok(splits) => Some(splits),
        Err(Failure::Error { message, .. }) if args.data.is_none() => {
            note(&format!(
                "warning: without the images, no report and no pictures are made: {}",
                plain_lines(&message)
            ));
            None
        }
        Err(failure) => return Err(failure),
    };
    for folder in &mut folders {
        if let Some(place) = &mut folder.record.dataset.place {
            place.from_run = images::from_run(&args.out, Path::new(&place.absolute));
        }
    }
    // Before there is a folder.
    let merge = Merge::new(&folders)?;
    let out = RunFolder::open(&args.out)?;
    let record = merge.write(&out)?;
    let trials = record.recipes.iter().map(|recipe| recipe.trials.len()).sum();
    note(&format!(
        "merged: {} of {}",
        counted(trials, "training", "trainings"),
        counted(folders.len(), "folder", "folders")
    ));
    conclude(&out, splits.as_ref(), environment(None).threads, args.format, &Progress::new(), None)?;
    Ok(DONE)
}
