//! The images that a study is run on: those that the command line, the study file or a record names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tenfold_nn::data::{Collection, DataError, Options, Source, Splits, read_with};
use tenfold_study::record::{DataPlace, Reading};
use tenfold_study::{DataSettings, Study};
use toml::{Table, Value};

use crate::args::GivenArgs;
use crate::failure::{Failure, USAGE};
use crate::{get, images, progress};

/// Images of a study, divided.
pub(crate) struct Given {
    pub(crate) splits: Splits,
    /// Where they are; none for those inside the program.
    pub(crate) place: Option<DataPlace>,
    /// How they were understood and divided; none for MNIST.
    pub(crate) reading: Option<Reading>,
}

/// The images that `study` is to be run on: those of the command line, else those that it names, else MNIST. What is
/// told of them there is put into the study.
pub(crate) fn images_of(study: &mut Study, args: &GivenArgs) -> Result<Given, Failure> {
    let data = &mut study.data;
    data.options = with_settings(&data.options, &args.set)?;
    let found = match (&args.data, &data.path) {
        (Some(path), _) => Some((path, typed(path)?)),
        (None, Some(path)) => Some((path, of_study(path)?)),
        (None, None) => None,
    };
    let Some((named, path)) = found else {
        if data.options != Options::default() || data.classes.is_some_and(|n| n != 10) || data.first_label.is_some() {
            let message =
                "the study says what its images are like, and those of the built-in MNIST are not to be chosen";
            let hint = "name the folder or file with its images: --data PATH";
            return Err(Failure::new(USAGE, message.to_owned(), Some(hint.to_owned())));
        }
        return Ok(Given { splits: divided(Source::mnist(), data, "the built-in MNIST")?, place: None, reading: None });
    };
    let place = images::place(named, &path);
    // As the run folder's study.toml is to name it.
    data.path = Some(place.as_ref().map_or(path.clone(), |place| PathBuf::from(&place.absolute)));
    if data.options == Options::default()
        && let Some(mnist) = mnist(&path)
    {
        return Ok(Given { splits: divided(mnist, data, &path.display().to_string())?, place, reading: None });
    }
    let mut reading = Reading { options: data.options.clone(), shares: data.shares };
    let useful = |collection: &Collection| {
        let [test, valid] = [&collection.test, &collection.valid].map(Option::is_some);
        reading.shares.refuse_useless(data.split_seed, &path.display().to_string(), test, valid)
    };
    let splits = read_checked(&path, &reading, data.split_seed, useful)?;
    // As every default is written out: other images are to be seen as these are.
    reading.options.white = splits.white;
    reading.options.range16 = splits.range16;
    Ok(Given { splits, place, reading: Some(reading) })
}

/// What a typed path or name leads to.
///
/// # Errors
/// If that is nothing, or a data set that was not fetched.
pub(crate) fn typed(path: &Path) -> Result<PathBuf, Failure> {
    let hint = "a path begins at the current folder; `tenfold data get` lists data sets that have names";
    there(get::resolve(path)?, hint)
}

/// What the path or name in a study file leads to.
fn of_study(path: &Path) -> Result<PathBuf, Failure> {
    let hint = "a path in a study file begins at the folder of that file; --data PATH names another place";
    there(get::of_study(path)?, hint)
}

/// The path, if it leads to something.
fn there(path: PathBuf, hint: &str) -> Result<PathBuf, Failure> {
    match fs::metadata(&path) {
        Err(reason) if reason.kind() == ErrorKind::NotFound => {
            let error = DataError::Io { path, reason };
            Err(Failure::new(USAGE, error.to_string(), Some(hint.to_owned())))
        }
        // Whoever reads it tells what else is wrong.
        _ => Ok(path),
    }
}

/// What is at this path, understood and divided so, with a bar where a person watches.
pub(crate) fn read_as(path: &Path, reading: &Reading, split_seed: u64) -> Result<Splits, Failure> {
    // Records of earlier versions may have sizes of parts that the data brings.
    read_checked(path, reading, split_seed, |_| Ok(()))
}

fn read_checked(
    path: &Path,
    reading: &Reading,
    split_seed: u64,
    check: impl Fn(&Collection) -> Result<(), DataError>,
) -> Result<Splits, Failure> {
    let mut bar = progress::Reading::default();
    let mut watch = |progress| bar.show(progress);
    let collection = read_with(path, &reading.options, &mut watch)?;
    check(&collection)?;
    Ok(Splits::of(collection, reading.shares, split_seed, &mut watch)?)
}

/// MNIST, which people call `name`.
fn divided(source: Source, data: &DataSettings, name: &str) -> Result<Splits, Failure> {
    data.shares.refuse_useless(data.split_seed, name, true, false)?;
    let valid = data.shares.valid.of(source.train.len());
    Ok(source.split(valid, data.split_seed)?)
}

/// The data set in this folder, if it is MNIST in its four files.
pub(crate) fn mnist(folder: &Path) -> Option<Source> {
    let source = Source::read_dir(folder, None).ok()?;
    source.files.iter().all(|file| file.known).then_some(source)
}

/// `options` with `settings` in place of what they name: lines as in a study file, where words need no quotes.
pub(crate) fn with_settings(options: &Options, settings: &[String]) -> Result<Options, Failure> {
    let refused = |message: &str| {
        let hint = "write it as in a study file: --set 'size = [32, 32]'; `tenfold data --help` lists the settings";
        Failure::new(USAGE, format!("--set: {message}"), Some(hint.to_owned()))
    };
    let is_toml = |line: &str| toml::from_str::<Table>(line).is_ok();
    let quoted = |line: &String| match line.split_once('=') {
        Some((name, word)) if !is_toml(line) => format!("{name} = {}", Value::from(word.trim())),
        _ => line.clone(),
    };
    let lines: Vec<String> = settings.iter().map(quoted).collect();
    let set: Table = toml::from_str(&lines.join("\n")).map_err(|error| refused(error.message()))?;
    let mut all = Table::try_from(options).expect("options have plain values");
    for (name, value) in set {
        match (all.get_mut(&name), value) {
            // Each column is a setting of its own.
            (Some(Value::Table(columns)), Value::Table(more)) => columns.extend(more),
            (_, value) => drop(all.insert(name, value)),
        }
    }
    let all: Options = all.try_into().map_err(|error: toml::de::Error| refused(error.message()))?;
    // Which is no setting that a person writes.
    Ok(Options { lenient: options.lenient, ..all })
}

#[cfg(test)]
mod tests {
    use tenfold_data::Column;

    use super::*;

    #[test]
    fn settings_of_the_command_line_go_over_those_of_the_study() {
        let set = |options: &Options, lines: &[&str]| {
            with_settings(options, &lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let study = set(&Options::default(), &["size = [3, 4]", "fit=crop", "columns.label = breed", "columns.path=1"]);
        assert_eq!((study.size, &study.columns.path), (Some([3, 4]), &Some(Column::Number(1))));
        let both = set(&study, &["fit = \"stretch\"", "columns.label=\"17\""]);
        assert_eq!((both.size, both.columns.label), (Some([3, 4]), Some(Column::Name("17".to_owned()))));
        assert_eq!((both.columns.path, both.fit), (study.columns.path, tenfold_data::Fit::Stretch));
        assert_eq!(set(&Options::default(), &[]), Options::default());
        let lenient = Options { lenient: true, ..Options::default() };
        assert_eq!(set(&lenient, &[]), lenient);
    }
}
