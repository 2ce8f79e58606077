//! `tenfold data get`: published data sets, fetched once, checked, and kept under their names.

mod cache;
mod check;
mod download;
mod fault;
mod local;
mod meter;
mod published;
mod table;
#[cfg(test)]
mod tests;
mod unpack;

use std::fs;
use std::path::{Component, Path, PathBuf};

use tenfold_data::Options;
use tenfold_nn::nearest;
use tenfold_report::format::count;

use self::cache::Work;
use self::download::Web;
use self::published::TABLE;
use self::table::DataSet;
use crate::args::GetArgs;
use crate::failure::{DATA, DONE, Failure, USAGE};
use crate::output;

/// The list of class names beside files that have none.
const CLASS_NAMES: &str = "classes.txt";

/// Fetches the data sets that are named, or lists those that there are.
pub(crate) fn get(args: &GetArgs) -> Result<u8, Failure> {
    let cache = cache::folder()?;
    if args.names.is_empty() {
        output::out(&list(TABLE, &cache))?;
        return Ok(DONE);
    }
    // A name that is wrong is told before anything is fetched.
    let sets = args.names.iter().map(|name| named(TABLE, name)).collect::<Result<Vec<_>, _>>()?;
    let told = |line: String| output::out(&line);
    match &args.from {
        Some(from) => bring(&sets, &cache, &Source::Disk(from), told)?,
        None => bring(&sets, &cache, &Source::Web(&Web::new()?), told)?,
    }
    Ok(DONE)
}

/// What a typed path leads to: a file or folder of that name, else the data set of that name, if it was fetched.
///
/// # Errors
/// If the path is the name of a data set that was not fetched; the hint says how to fetch it.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Failure> {
    let mut parts = path.components();
    let (Some(Component::Normal(part)), None) = (parts.next(), parts.next()) else { return Ok(path.to_owned()) };
    // `./kmnist` and `kmnist/` are paths, whatever is there.
    if part != path.as_os_str() || path.symlink_metadata().is_ok() {
        return Ok(path.to_owned());
    }
    match part.to_str().and_then(|name| find(TABLE, name)) {
        Some(set) => kept_or_told(set, &cache::folder()?),
        None => Ok(path.to_owned()),
    }
}

/// What the path of a study file leads to: a single name without a file beside the study file is that of a data set.
///
/// # Errors
/// If there is no data set of that name, or it was not fetched.
pub(crate) fn of_study(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let name = path.display().to_string();
    if let Some(set) = find(TABLE, &name) {
        return kept_or_told(set, &cache::folder()?);
    }
    let message =
        format!("{name}: there is no file or folder of that name beside the study file, and no such data set");
    let hint = || "--data PATH names another place; `tenfold data get` lists the data sets".to_owned();
    Err(Failure::new(USAGE, message, Some(meant(TABLE, &name).unwrap_or_else(hint))))
}

fn kept_or_told(set: &DataSet, cache: &Path) -> Result<PathBuf, Failure> {
    let place = cache::kept(cache, set);
    // Trainings on it know its classes by their labels: nobody but who asks for it gives them names.
    if let Some(place) = place.as_ref().filter(|place| lacks_names(set, place)) {
        let place = output::plain(&place.display().to_string());
        let name = set.name;
        output::note(&format!(
            "{place} is of an earlier version, without names of classes: tenfold data get {name} adds them"
        ));
    }
    place.ok_or_else(|| {
        let message = format!("{}: {} has not been fetched, and there is no file of that name", set.name, set.title);
        let size = set.bytes().map_or(String::new(), |bytes| format!(" ({})", size(bytes)));
        let (name, place) = (set.name, set.place());
        let hint = format!(
            "tenfold data get {name}{size}, or from files on this machine: tenfold data get {name} --from {place}"
        );
        Failure::new(DATA, message, Some(hint))
    })
}

/// Where files come from.
enum Source<'a> {
    Web(&'a Web),
    Disk(&'a Path),
}

/// Fetches data sets one after the other; what was needed on the way is deleted once all are there.
fn bring(
    sets: &[&DataSet],
    cache: &Path,
    source: &Source,
    told: impl Fn(String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut works: Vec<Work> = Vec::new();
    for &set in sets {
        let (place, how) = if let Some(place) = cache::kept(cache, set) {
            let how = check_kept(set, &place)?;
            (place, how)
        } else {
            if !works.iter().any(|work| work.family == set.family) {
                works.push(Work::new(cache, set.family)?);
            }
            let work = works.iter().find(|work| work.family == set.family).expect("it was just made");
            // Another process may have been faster.
            (cache::kept(cache, set).map_or_else(|| bring_one(set, cache, work, source), Ok)?, "")
        };
        told(format!(
            "{} is in {}{how}\n  its name will do: tenfold data {name}, or tenfold run --data {name}\n",
            set.title,
            output::plain(&place.display().to_string()),
            name = set.name
        ))?;
    }
    works.into_iter().try_for_each(Work::clear)
}

/// Looks at a data set that is there, and gives its classes their names where an earlier version did not; says so.
fn check_kept(set: &DataSet, place: &Path) -> Result<&'static str, Failure> {
    inspect(set, place).map_err(|failure| match failure {
        Failure::Error { code, message, .. } => {
            let hint = format!("to fetch it again, delete {}", place.display());
            Failure::Error { code, message, hint: Some(hint) }
        }
        other => other,
    })?;
    if lacks_names(set, place) {
        name_classes(set, place)?;
        return Ok(" already; its classes have got their names");
    }
    Ok(" already, and whole; to fetch it again, delete that folder")
}

/// Whether classes are to have names that are not there.
fn lacks_names(set: &DataSet, folder: &Path) -> bool {
    !set.names.is_empty() && !folder.join(CLASS_NAMES).exists()
}

fn name_classes(set: &DataSet, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(CLASS_NAMES);
    let list: String = set.names.iter().map(|name| format!("{name}\n")).collect();
    unpack::write(list.as_bytes(), &path, list.len() as u64, &path).map_err(|fault| fault.about(&path))
}

fn bring_one(set: &DataSet, cache: &Path, work: &Work, source: &Source) -> Result<PathBuf, Failure> {
    let assembled = work.assemble(set)?;
    gather(set, work, source, &assembled).and_then(|()| work.settle(&assembled, cache, set)).inspect_err(|_| {
        // What has arrived and is whole is beside it.
        let _ = fs::remove_dir_all(&assembled);
    })
}

/// Puts the files of a data set into a folder, and looks at them.
fn gather(set: &DataSet, work: &Work, source: &Source, assembled: &Path) -> Result<(), Failure> {
    match source {
        Source::Disk(from) => {
            let unchecked = local::take(set, from, assembled)?;
            if !unchecked.is_empty() {
                let names = unchecked.join(", ");
                output::note(&format!("no checksum is known of {names} as found: only shapes and counts are checked"));
            }
        }
        Source::Web(web) => {
            for file in set.files {
                let path = web.fetch(set, file, &work.path)?;
                let outcome = match file.holds {
                    table::Holds::Itself => unpack::copy(&path, set.most_bytes(), &assembled.join(file.name)),
                    holds => unpack::unpack(&path, holds, set.most_bytes(), assembled),
                };
                outcome.map_err(|fault| fault.about(&path))?;
            }
        }
    }
    if !set.names.is_empty() {
        name_classes(set, assembled)?;
    }
    inspect(set, assembled)
}

/// Reads a data set as every command will, and compares what is in it with what should be.
fn inspect(set: &DataSet, folder: &Path) -> Result<(), Failure> {
    let found = tenfold_data::read(folder, &Options::default())?;
    let test = found.test.as_ref().map_or(0, |test| test.labels.len());
    let (images, classes) = ([found.train.labels.len(), test], found.classes.len());
    if set.images.contains(&images) && found.shape == set.shape && classes == set.classes {
        return Ok(());
    }
    let words = |images: [usize; 2], shape, classes| {
        let [train, test] = images.map(|images| count(images as u64));
        format!("{train} training and {test} test images of {shape} in {classes} classes")
    };
    let (found, expected) = (words(images, found.shape, classes), words(set.images[0], set.shape, set.classes));
    let message = format!("{}: these are {found}, expected {expected}", set.title);
    Err(Failure::new(DATA, message, Some("are these the files of this data set?".to_owned())))
}

/// The data set of a name, however its words are joined: `cifar10`, `Fashion_MNIST`.
fn find<'a>(table: &'a [DataSet], name: &str) -> Option<&'a DataSet> {
    let letters = |name: &str| name.replace(['-', '_', ' '], "").to_ascii_lowercase();
    let wanted = letters(name);
    table.iter().find(|set| letters(set.name) == wanted)
}

fn named<'a>(table: &'a [DataSet], name: &str) -> Result<&'a DataSet, Failure> {
    find(table, name).ok_or_else(|| {
        let all = || format!("there are {}", table.iter().map(|set| set.name).collect::<Vec<_>>().join(", "));
        let hint = meant(table, name).unwrap_or_else(all);
        Failure::new(USAGE, format!("there is no data set {name:?} to fetch"), Some(hint))
    })
}

/// What may have been meant by a name that no data set has.
fn meant(table: &[DataSet], name: &str) -> Option<String> {
    if name.eq_ignore_ascii_case("mnist") {
        return Some("MNIST is inside the program: every command takes it where no data are named".to_owned());
    }
    nearest(name, table.iter().map(|set| set.name)).map(|near| format!("did you mean {near:?}?"))
}

/// A line for each data set.
fn list(table: &[DataSet], cache: &Path) -> String {
    let width = table.iter().map(|set| set.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for set in table {
        let [train, test] = set.images[0].map(|images| count(images as u64));
        let size = set.bytes().map_or("about 20 MB".to_owned(), size);
        let state = if cache::kept(cache, set).is_some() { "is here" } else { "not fetched" };
        text.push_str(&format!("{:width$}  {}\n", set.name, set.about()));
        text.push_str(&format!(
            "{:width$}  {train} training and {test} test images; licence: {}; {size} to fetch; {state}\n",
            "", set.licence
        ));
    }
    let cache = output::plain(&cache.display().to_string());
    text.push_str(&format!("they are kept in {cache} (TENFOLD_CACHE names another folder)\n"));
    text
}

/// Bytes, as people say them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
