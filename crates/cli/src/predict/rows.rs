//! Predictions as they are written: one row for each image, in order.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::{PredictArgs, PredictFormat};
use crate::failure::{Failure, IO};

/// What stands in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Columns {
    /// The class, and the probability of each.
    All,
    /// So many classes, the most probable first, with their probabilities.
    Top(usize),
    /// A number from 1 on and the class, as Kaggle wants it.
    Kaggle,
}

/// Where predictions go.
pub(super) struct Rows<'a> {
    columns: Columns,
    classes: &'a [String],
    /// Classes of less probability are not named.
    threshold: f64,
    to: To,
    /// Standard output, or a file that takes its name when it is whole.
    file: Option<Target>,
    rows: usize,
    undecided: usize,
}

enum To {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Json(Box<dyn Write>),
}

impl<'a> Rows<'a> {
    /// No class is named where the most probable one has a probability of less than `abstain`.
    pub(super) fn open(
        args: &PredictArgs,
        columns: Columns,
        abstain: Option<f64>,
        classes: &'a [String],
    ) -> Result<Rows<'a>, Failure> {
        let file = args.out.as_ref().map(|path| beside(path));
        let to: Box<dyn Write> = match &file {
            Some(Target { temporary, .. }) => {
                let file = File::create(temporary).map_err(|reason| cannot_write(temporary, &reason))?;
                Box::new(BufWriter::new(file))
            }
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let by_name = args.out.as_ref().is_some_and(|path| path.extension().is_some_and(|end| end == "json"));
        let to = match args.format {
            Some(PredictFormat::Json) => To::Json(to),
            None if by_name => To::Json(to),
            _ => To::Csv(Box::new(csv::Writer::from_writer(to))),
        };
        let threshold = abstain.unwrap_or(0.0);
        let mut rows = Rows { columns, classes, threshold, to, file, rows: 0, undecided: 0 };
        let head = rows.head();
        match &mut rows.to {
            To::Csv(csv) => csv.write_record(head).map_err(|error| failed(&rows.file, of_csv(error)))?,
            To::Json(to) => to.write_all(b"[").map_err(|error| failed(&rows.file, error))?,
        }
        Ok(rows)
    }

    fn head(&self) -> Vec<String> {
        let file = || ["file".to_owned(), "class".to_owned()].into_iter();
        match self.columns {
            Columns::All => file().chain(self.classes.iter().map(|class| format!("p_{class}"))).collect(),
            Columns::Top(top) => {
                let ranks = (1..=top).flat_map(|n| [format!("class_{n}"), format!("p_{n}")]);
                ["file".to_owned()].into_iter().chain(ranks).collect()
            }
            Columns::Kaggle => vec!["ImageId".to_owned(), "Label".to_owned()],
        }
    }

    /// Whether a row is told by its number alone.
    pub(super) fn are_numbered(&self) -> bool {
        self.columns == Columns::Kaggle
    }

    /// A row: what the image is called, the probability of each class, and the most probable one.
    pub(super) fn write(&mut self, name: &str, probabilities: &[f32], class: usize) -> Result<(), Failure> {
        self.rows += 1;
        // As many digits as are printed of a probability: a threshold read from there means the same.
        let decided = probabilities[class] >= self.threshold as f32;
        self.undecided += usize::from(!decided);
        let said = if decided { self.classes[class].as_str() } else { "" };
        let order = || {
            let mut order: Vec<usize> = (0..probabilities.len()).collect();
            order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
            order
        };
        match &mut self.to {
            To::Csv(csv) => {
                let row: Vec<String> = match self.columns {
                    Columns::All => [name.to_owned(), said.to_owned()]
                        .into_iter()
                        .chain(probabilities.iter().map(f32::to_string))
                        .collect(),
                    Columns::Top(top) => {
                        let best = order().into_iter().take(top);
                        let best = best.enumerate().flat_map(|(rank, n)| {
                            let class = if rank == 0 { said } else { self.classes[n].as_str() };
                            [class.to_owned(), probabilities[n].to_string()]
                        });
                        [name.to_owned()].into_iter().chain(best).collect()
                    }
                    Columns::Kaggle => vec![self.rows.to_string(), said.to_owned()],
                };
                csv.write_record(row).map_err(|error| failed(&self.file, of_csv(error)))
            }
            To::Json(to) => {
                let shown = match self.columns {
                    Columns::Top(top) => order().into_iter().take(top).collect(),
                    _ => (0..probabilities.len()).collect::<Vec<usize>>(),
                };
                let row = Object {
                    file: name,
                    class: decided.then_some(said),
                    probability: probabilities[class],
                    probabilities: shown.into_iter().map(|n| (self.classes[n].as_str(), probabilities[n])).collect(),
                };
                let row = serde_json::to_string(&row).expect("names and numbers are plain values");
                let mark = if self.rows == 1 { "\n" } else { ",\n" };
                write!(to, "{mark}{row}").map_err(|error| failed(&self.file, error))
            }
        }
    }

    /// Ends the output; gives how many rows there are, and in how many no class is named.
    pub(super) fn finish(self) -> Result<(usize, usize), Failure> {
        let Rows { to, mut file, rows, undecided, .. } = self;
        let mut to = match to {
            To::Csv(csv) => csv.into_inner().map_err(|error| failed(&file, error.into_error()))?,
            To::Json(mut to) => {
                to.write_all(b"\n]\n").map_err(|error| failed(&file, error))?;
                to
            }
        };
        to.flush().map_err(|error| failed(&file, error))?;
        drop(to);
        if let Some(file) = &mut file {
            file.keep()?;
        }
        Ok((rows, undecided))
    }
}

/// What the system said.
fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(reason) => reason,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A row as JSON.
#[derive(Serialize)]
struct Object<'a> {
    file: &'a str,
    /// Null where none is probable enough.
    class: Option<&'a str>,
    /// Of the most probable class.
    probability: f32,
    /// By class.
    probabilities: Vec<(&'a str, f32)>,
}

/// A file that takes its name when it is whole; until then, and where that never happens, what was there stays.
pub(crate) struct Target {
    path: PathBuf,
    pub(crate) temporary: PathBuf,
    kept: bool,
}

/// Where to write what is to become the file `path`: beside it, or to itself if it is a pipe or a device.
pub(crate) fn beside(path: &Path) -> Target {
    // A link stays one, and leads to what is written.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Target { temporary: path.clone(), path, kept: true };
    }
    let mut temporary = path.clone().into_os_string();
    temporary.push(".tmp");
    Target { path, temporary: temporary.into(), kept: false }
}

impl Target {
    /// Gives the file its name.
    pub(crate) fn keep(&mut self) -> Result<(), Failure> {
        if !self.kept {
            fs::rename(&self.temporary, &self.path).map_err(|reason| cannot_write(&self.path, &reason))?;
            self.kept = true;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// What a failure to write means: nobody may be listening any more.
fn failed(file: &Option<Target>, reason: io::Error) -> Failure {
    match file {
        Some(file) => cannot_write(&file.path, &reason),
        None if reason.kind() == io::ErrorKind::BrokenPipe => Failure::NobodyListens,
        None => Failure::new(IO, format!("standard output: cannot be written: {reason}"), None),
    }
}

pub(crate) fn cannot_write(path: &Path, reason: &io::Error) -> Failure {
    Failure::new(IO, format!("{}: cannot be written: {reason}", path.display()), None)
}
