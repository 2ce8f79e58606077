//! What a run, workers and a merge end with: what the trials say together, pictures and the page.

use tenfold_nn::data::Splits;
use tenfold_study::record::{RESULTS, StudyRecord};
use tenfold_study::{FinishedStudy, RunFolder};

use crate::args::Format;
use crate::failure::Failure;
use crate::output::{plain, plain_lines};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::{pictures, report, show};

/// Computes what the trials say together, writes it, draws where the images are at hand, and shows it. None where a signal
/// came meanwhile: then what was not yet drawn is missing.
pub(crate) fn conclude(
    folder: &RunFolder,
    splits: Option<&Splits>,
    threads: usize,
    format: Format,
    progress: &Progress,
    signals: Option<&Signals>,
) -> Result<Option<StudyRecord>, Failure> {
    // What the trials say together takes a while, so it is computed once, when all are there.
    let mut finished = FinishedStudy::read(folder.path())?;
    // Before it is made.
    finished.count_choice(folder)?;
    finished.complete();
    let record = &finished.record;
    let written = folder.write(RESULTS, record.to_json().as_bytes());
    let stopped = || {
        let stopped = signals.is_some_and(|signals| signals.exit_code().is_some());
        if stopped {
            progress.note("interrupted: results.json is written; the same command writes the rest of the report");
        }
        stopped
    };
    let (mut drawn, mut page) = (None, None);
    if stopped() {
        return written.map(|()| None).map_err(Into::into);
    }
    if let Some(splits) = splits {
        // What was learned is told, and kept, even where there is no room for what is made of it.
        drawn = spare(
            progress,
            pictures::draw(folder, record, splits, threads),
            "the pictures",
            "the same command draws them again",
        );
        if stopped() {
            return written.map(|()| None).map_err(Into::into);
        }
        let made = report::write(folder, &finished, &splits.test);
        page = spare(progress, made, "report.html", "`tenfold report` writes it");
    }
    if let Some(signals) = signals {
        signals.relent();
    }
    match format {
        Format::Text => progress.out(&format!(
            "{}{}\nIn {}: {}results.json, study.toml, {}and each training under trials\n",
            show::summary(record),
            drawn.unwrap_or_default(),
            plain(&folder.path().display().to_string()),
            if page.is_some() { "report.html, " } else { "" },
            if splits.is_some() { "pictures, " } else { "" },
        ))?,
        Format::Json => progress.out(&record.to_json())?,
    }
    written?;
    Ok(Some(finished.record))
}

/// What was made of the results; a warning where it could not be written.
fn spare<T>(progress: &Progress, made: Result<T, Failure>, what: &str, remedy: &str) -> Option<T> {
    match made {
        Ok(made) => return Some(made),
        Err(Failure::Error { message, .. }) => {
            let warning = format!("{what} could not be written: {message}; the results are kept, and {remedy}");
            progress.note(&format!("warning: {}", plain_lines(&warning)));
        }
        Err(Failure::NobodyListens) => {}
    }
    None
}
