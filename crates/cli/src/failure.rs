//! What ends the program early, and the exit code that says so.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use tenfold_nn::data::DataError;
use tenfold_study::{FolderError, MergeError, PlanError, RunError, StudyFileError, TrialFileError, WorkError};

use crate::output;

/// Everything was done.
pub(crate) const DONE: u8 = 0;
/// What was to agree does not.
pub(crate) const DIFFERS: u8 = 1;
/// The command line or the study file is at fault; a path that was typed and leads to nothing, or to a folder where a
/// file is expected, is one such fault.
pub(crate) const USAGE: u8 = 2;
/// The images or the picture are there and cannot be used, or are not those of the run.
pub(crate) const DATA: u8 = 3;
/// The system refuses to read or write a file or a folder, or what a run wrote was changed since.
pub(crate) const IO: u8 = 4;
/// Everything was done, and a training diverged.
pub(crate) const DIVERGED: u8 = 5;
/// Killed by a signal: this and the signal's number.
pub(crate) const SIGNAL: u8 = 128;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell.
    Error { code: u8, message: String, hint: Option<String> },
    /// Nobody reads standard output any more, so there is nobody to tell.
    NobodyListens,
}

impl Failure {
    pub(crate) fn new(code: u8, message: String, hint: Option<String>) -> Failure {
        Failure::Error { code, message, hint }
    }

    /// Tells the person, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::NobodyListens => ExitCode::from(DONE),
            Failure::Error { code, message, hint } => {
                output::note(&format!("error: {}", output::plain_lines(message)));
                if let Some(hint) = hint {
                    output::note(&format!("\nhint: {}", output::plain_lines(hint)));
                }
                ExitCode::from(*code)
            }
        }
    }
}

/// The code for a path that was typed and cannot be read, by what the system says.
pub(crate) fn unread(reason: &io::Error) -> u8 {
    match reason.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => USAGE,
        _ => IO,
    }
}

impl From<StudyFileError> for Failure {
    fn from(error: StudyFileError) -> Failure {
        let code = if let StudyFileError::Io { reason, .. } = &error { unread(reason) } else { USAGE };
        Failure::new(code, error.to_string(), error.hint().map(str::to_owned))
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Failure {
        Failure::new(USAGE, error.to_string(), error.hint().map(str::to_owned))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        let code = match &error {
            // The data is fine; the study asks too much of it.
            DataError::ValidCount { .. } | DataError::NotAFolder { .. } | DataError::Option { .. } => USAGE,
            DataError::Io { reason, .. } => unread(reason),
            _ => DATA,
        };
        Failure::new(code, error.to_string(), error.hint())
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Failure {
        Failure::new(IO, error.to_string(), None)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        let hint = error.hint();
        match error {
            RunError::Folder(error) => error.into(),
            RunError::Changed { .. } => Failure::new(USAGE, error.to_string(), hint),
        }
    }
}

impl From<WorkError> for Failure {
    fn from(error: WorkError) -> Failure {
        match error {
            WorkError::Run(error) => error.into(),
            WorkError::Io { .. } => Failure::new(IO, error.to_string(), None),
            WorkError::Changed { .. } => {
                let hint = "plan again with `tenfold run --plan-only --replace`, or into another folder with --out";
                Failure::new(USAGE, error.to_string(), Some(hint.to_owned()))
            }
        }
    }
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Failure {
        match error {
            MergeError::Folder(error) => error.into(),
            MergeError::Study(error) => error.into(),
            MergeError::Different { .. } | MergeError::Taken { .. } | MergeError::Ungathered { .. } => {
                Failure::new(USAGE, error.to_string(), None)
            }
            MergeError::Parted { .. } => {
                let hint = "`tenfold diff` tells where they part, and `tenfold verify` which of them is repeated";
                Failure::new(IO, error.to_string(), Some(hint.to_owned()))
            }
            MergeError::Changed { .. } => Failure::new(IO, error.to_string(), None),
        }
    }
}

impl From<TrialFileError> for Failure {
    fn from(error: TrialFileError) -> Failure {
        Failure::new(IO, error.to_string(), None)
    }
}
