//! Where the images of a run are: told to its record, and found again by it.

use std::path::{Component, Path, PathBuf};

use tenfold_nn::data::{Source, Splits};
use tenfold_study::record::{DataPlace, DatasetRecord, RESULTS, StudyRecord};

use crate::failure::{DATA, Failure};
use crate::{get, given};

const GIVE_IT: &str = "give the folder or file that has the images of the run: --data PATH";

/// For the record: where the images are read from, and how that was typed. None where it is not text.
pub(crate) fn place(given: &Path, path: &Path) -> Option<DataPlace> {
    let absolute = std::path::absolute(path).ok()?;
    Some(DataPlace { given: given.to_str()?.to_owned(), absolute: absolute.to_str()?.to_owned(), from_run: None })
}

/// The way from the run folder `run` to `data`: it stays the same where a folder around both is moved. None where there
/// is no such folder but the root, or where it is not text.
pub(crate) fn from_run(run: &Path, data: &Path) -> Option<String> {
    let (run, data) = (as_written(run)?, as_written(data)?);
    let both: PathBuf = run.components().zip(data.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    both.parent()?;
    let up = run.strip_prefix(&both).ok()?.components().map(|_| Some(".."));
    let down = data.strip_prefix(&both).ok()?.components().map(|name| name.as_os_str().to_str());
    Some(up.chain(down).collect::<Option<Vec<_>>>()?.join("/"))
}

/// A path from the root on, with each `..` and the name before it left out. No link is followed, so that one that is
/// moved along leads where it did.
fn as_written(path: &Path) -> Option<PathBuf> {
    let mut written = PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        if part == Component::ParentDir {
            written.pop();
        } else {
            written.push(part);
        }
    }
    Some(written)
}

/// The images that the record of the run folder `run` tells of: those at `data`; without one, those inside the program
/// or where the run found them.
pub(crate) fn of_record(run: &Path, record: &StudyRecord, data: Option<&Path>) -> Result<Splits, Failure> {
    let of = &record.dataset;
    let splits = match data {
        Some(data) => checked(read_as(&given::typed(data)?, of)?, of, &data.display().to_string())?,
        None => match &of.place {
            Some(place) if of.reading.is_some() => at(run, place, of)?,
            place => {
                let mnist = Source::mnist();
                match place {
                    Some(place) if mnist.sha256 != of.sha256 => at(run, place, of)?,
                    // Those inside the program, wherever the run read them from.
                    _ => checked(mnist.split(of.valid, of.split_seed)?, of, "the built-in MNIST")?,
                }
            }
        },
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

/// The images where the run found them; where the folder was moved together with what is around it, what was given or
/// the way from the run folder may lead to them.
fn at(run: &Path, place: &DataPlace, of: &DatasetRecord) -> Result<Splits, Failure> {
    let (given, unfetched) = match get::resolve(Path::new(&place.given)) {
        Ok(given) => (std::path::absolute(given).ok(), None),
        Err(failure) => (None, Some(failure)),
    };
    let from_run = place.from_run.as_ref().and_then(|way| as_written(&run.join(way)));
    let mut there = vec![PathBuf::from(&place.absolute)];
    for other in [given, from_run].into_iter().flatten() {
        // What may be large is read once.
        if !there.contains(&other) {
            there.push(other);
        }
    }
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
    Err(refused.or(unfetched).unwrap_or_else(|| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_the_run_folder_to_the_data() {
        let way = |run: &str, data: &str| from_run(Path::new(run), Path::new(data));
        for (run, data, expected) in [
            ("/a/p/runs/mine", "/a/p/data", Some("../../data")),
            ("/a/p/runs/mine", "/a/p/studies/../data/x.csv", Some("../../data/x.csv")),
            ("/a/p", "/a/p/data", Some("data")),
            ("/a/../b/./runs", "/b/data", Some("../data")),
            ("runs/mine", "data", Some("../../data")),
            ("/a/runs", "/data", None),
        ] {
            assert_eq!(way(run, data).as_deref(), expected, "{run} {data}");
        }
        assert_eq!(as_written(Path::new("/a/p/runs/mine/../../data")), as_written(Path::new("/a/p/data")));
    }
}
