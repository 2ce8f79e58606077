//! Where the images of a run are: told to its record, and found again by it.

use std::path::{Path, PathBuf};

use tenfold_nn::data::{Source, Splits};
use tenfold_study::record::{DataPlace, DatasetRecord, RESULTS, StudyRecord};

use crate::failure::{DATA, Failure};
use crate::{get, given};

const GIVE_IT: &str = "give the folder or file that has the images of the run: --data PATH";

/// For the record: where the images are read from, and how that was typed. None where it is not text.
pub(crate) fn place(given: &Path, path: &Path) -> Option<DataPlace> {
    let absolute = std::path::absolute(path).ok()?;
    Some(DataPlace { given: given.to_str()?.to_owned(), absolute: absolute.to_str()?.to_owned() })
}

/// The images that the record of the run folder `run` tells of: those at `data`; without one, those inside the program
/// or where the run found them.
pub(crate) fn of_record(run: &Path, record: &StudyRecord, data: Option<&Path>) -> Result<Splits, Failure> {
    let of = &record.dataset;
    let splits = match data {
        Some(data) => checked(read_as(&get::resolve(data)?, of)?, of, &data.display().to_string())?,
        None => {
            let mnist = || Ok::<_, Failure>(Source::mnist().split(of.valid, of.split_seed)?);
            match &of.place {
                Some(place) if of.reading.is_some() || Source::mnist().sha256 != of.sha256 => at(place, of)?,
                // Those inside the program, wherever the run read them from.
                _ => checked(mnist()?, of, "the built-in MNIST")?,
            }
        }
    };
    let shape = splits.train.shape();
    let found = ([shape.channels, shape.height, shape.width], splits.train.classes());
    let sizes = [splits.train.len(), splits.valid.len(), splits.test.len()];
    if (found, sizes) == ((of.shape, of.classes), [of.train, of.valid, of.test]) {
        return Ok(splits);
    }
    let file = run.join(RESULTS);
    let message = format!("{}: what it says of the images is not true of them; it was edited", file.display());
    Err(Failure::new(DATA, message, None))
}

/// What is at this path, understood and divided as the record says.
fn read_as(path: &Path, of: &DatasetRecord) -> Result<Splits, Failure> {
    match &of.reading {
        Some(reading) => given::read_as(path, reading, of.split_seed),
        // The four IDX files, as versions that knew no others understood them.
        None => Ok(Source::read_dir(path, Some(of.labels()))?.split(of.valid, of.split_seed)?),
    }
}

/// The images where the run found them; where the folder was moved together with what is around it, its path as it was
/// given may lead to them.
fn at(place: &DataPlace, of: &DatasetRecord) -> Result<Splits, Failure> {
    let there = [&place.absolute, &place.given].map(PathBuf::from);
    let mut refused = None;
    for folder in there.iter().filter(|folder| folder.exists()) {
        let name = folder.display().to_string();
        let failed = |reason: Failure| match reason {
            Failure::Error { code, message, .. } => Failure::new(code, message, Some(GIVE_IT.to_owned())),
            Failure::NobodyListens => reason,
        };
        let read = read_as(folder, of).map_err(failed);
        match read.and_then(|splits| checked(splits, of, &name)) {
            Ok(splits) => return Ok(splits),
            // The first is what the record means.
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let message = format!("{}: what had the images of the run is not there any more", place.absolute);
        Failure::new(DATA, message, Some(GIVE_IT.to_owned()))
    }))
}

/// The images, if they are those of the record.
fn checked(splits: Splits, of: &DatasetRecord, found: &str) -> Result<Splits, Failure> {
    if splits.source_sha256 == of.sha256 {
        return Ok(splits);
    }
    Err(Failure::new(
        DATA,
        format!(
            "the study was run on {} with SHA-256 {}, but {found} has SHA-256 {}",
            of.name, of.sha256, splits.source_sha256
        ),
        Some(GIVE_IT.to_owned()),
    ))
}
