//! What goes wrong on the way of a file: with the disk, the line, or the file.

use std::io;
use std::path::Path;

use crate::failure::{DATA, Failure, IO};

#[derive(Debug)]
pub(crate) enum Fault {
    /// The file system refuses: no other mirror would help.
    Disk(Failure),
    /// A mirror has it not, or cannot be reached.
    Mirror(String),
    /// The transfer ended before the file did; what has come is kept.
    BrokeOff(String),
    /// The bytes are others than they should be.
    Wrong(String),
}

impl Fault {
    pub(crate) fn reading(path: &Path) -> impl Fn(io::Error) -> Fault {
        move |reason| Fault::Disk(cannot(path, "read", &reason))
    }

    pub(crate) fn writing(path: &Path) -> impl Fn(io::Error) -> Fault {
        move |reason| Fault::Disk(cannot(path, "written", &reason))
    }

    /// As what ends the command, where it concerns the file at `path`.
    pub(crate) fn about(self, path: &Path) -> Failure {
        match self {
            Fault::Disk(failure) => failure,
            Fault::Mirror(reason) | Fault::BrokeOff(reason) => Failure::new(IO, reason, None),
            Fault::Wrong(reason) => {
                let hint = "copy or download it again".to_owned();
                Failure::new(DATA, format!("{}: {reason}", path.display()), Some(hint))
            }
        }
    }
}

pub(crate) fn cannot(path: &Path, what: &str, reason: &io::Error) -> Failure {
    Failure::new(IO, format!("{}: cannot be {what}: {reason}", path.display()), None)
}
