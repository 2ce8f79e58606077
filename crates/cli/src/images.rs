//! Where the images of a run are: told to its record, and found again by it.

use std::path::{Path, PathBuf};

use tenfold_nn::data::{Source, Splits};
use tenfold_study::record::{DataPlace, DatasetRecord, RESULTS, StudyRecord};

use crate::data::source;
use crate::failure::{DATA, Failure};

const GIVE_IT: &str = "give the folder that has the images of the run: --data DIR";

/// For the record: the folder that the images are read from. None for those inside the program, and where a path is not
/// text.
pub(crate) fn place(folder: Option<&Path>) -> Option<DataPlace> {
    let absolute = std::path::absolute(folder?).ok()?;
    Some(DataPlace { given: folder?.to_str()?.to_owned(), absolute: absolute.to_str()?.to_owned() })
}

/// The images that the record of the run folder `run` tells of: those of the folder `data`; without one, those inside
/// the program or where the run found them.
pub(crate) fn of_record(run: &Path, record: &StudyRecord, data: Option<&Path>) -> Result<Splits, Failure> {
    let of = &record.dataset;
    let source = match data {
        Some(data) => checked(source(Some(data), of.labels())?, of, &data.display().to_string())?,
        None => {
            let mnist = Source::mnist();
            match &of.place {
                Some(place) if !is_of(&mnist, of) => at(place, of)?,
                // Those inside the program, wherever the run read them from.
                _ => checked(mnist, of, "the built-in MNIST")?,
            }
        }
    };
    let splits = source.split(of.valid, of.split_seed)?;
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

/// Whether these are the images and the classes of the record.
fn is_of(source: &Source, of: &DatasetRecord) -> bool {
    (source.sha256.as_str(), source.train.classes()) == (&of.sha256, of.classes)
}

/// The images where the run found them; where the folder was moved together with what is around it, its path as it was
/// given may lead to them.
fn at(place: &DataPlace, of: &DatasetRecord) -> Result<Source, Failure> {
    let there = [&place.absolute, &place.given].map(PathBuf::from);
    let mut refused = None;
    for folder in there.iter().filter(|folder| folder.exists()) {
        let name = folder.display().to_string();
        let failed = |reason: Failure| match reason {
            Failure::Error { code, message, .. } => Failure::new(code, message, Some(GIVE_IT.to_owned())),
            Failure::NobodyListens => reason,
        };
        let read = source(Some(folder), of.labels()).map_err(Failure::from).map_err(failed);
        match read.and_then(|source| checked(source, of, &name)) {
            Ok(source) => return Ok(source),
            // The first is what the record means.
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let message = format!("{}: the folder with the images of the run is not there any more", place.absolute);
        Failure::new(DATA, message, Some(GIVE_IT.to_owned()))
    }))
}

/// The images, if they are those of the record.
fn checked(source: Source, of: &DatasetRecord, found: &str) -> Result<Source, Failure> {
    if source.sha256 == of.sha256 {
        return Ok(source);
    }
    Err(Failure::new(
        DATA,
        format!(
            "the study was run on {} with SHA-256 {}, but {found} has SHA-256 {}",
            of.name, of.sha256, source.sha256
        ),
        Some(GIVE_IT.to_owned()),
    ))
}
