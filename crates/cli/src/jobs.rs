//! `tenfold run --jobs`: several workers in one process.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tenfold_nn::data::Splits;
use tenfold_nn::data::words::counted;
use tenfold_study::record::StudyRecord;
use tenfold_study::{Left, PlannedStudy, STALE, SharedFolder, Worker};

use crate::args::Format;
use crate::environment::{cores, holder};
use crate::failure::{Failure, USAGE};
use crate::output::note;
use crate::signals::Signals;
use crate::work::{View, finish};

/// The threads of each of so many trainings at a time.
pub(crate) fn threads(jobs: usize, threads: Option<usize>) -> Result<Option<usize>, Failure> {
    let each = match threads {
        _ if jobs == 1 => return Ok(threads),
        Some(threads) => threads,
        None => (cores() / jobs).max(1),
    };
    let needed = jobs.saturating_mul(each);
    if needed <= cores() {
        return Ok(Some(each));
    }
    let message = format!(
        "{jobs} trainings at a time, on {} each, take {needed} processors, and this machine has {}",
        counted(each, "thread", "threads"),
        cores()
    );
    let hint = format!(
        "at most --jobs {}: threads that wait for each other are slow where not all of them run",
        (cores() / each).max(1)
    );
    Err(Failure::new(USAGE, message, Some(hint)))
}

/// Trains what is planned in the folder, and gives the record where all is done here.
pub(crate) fn run(
    plan: &PlannedStudy,
    splits: &Splits,
    path: &Path,
    jobs: usize,
    signals: &Signals,
    format: Format,
) -> Result<Option<StudyRecord>, Failure> {
    let folder = SharedFolder::open(path)?;
    let worker = Worker { holder: holder(), several: true, at_most: None, stale: STALE };
    let view = Mutex::new(View::new(plan, signals, jobs));
    let view = || view.lock().unwrap_or_else(PoisonError::into_inner);
    let ends: Vec<_> = thread::scope(|scope| {
        let (folder, worker, view) = (&folder, &worker, &view);
        let one = |job| {
            move || {
                // What the process spends is not one job's, nor does a job's thread tell what its helpers spend.
                let end =
                    tenfold_study::work(plan, splits, folder, worker, &|| None, &mut |event| view().show(job, event));
                // What one cannot do, the others may not be able to begin either. What they have begun, they end.
                end.inspect_err(|_| view().begin_none())
            }
        };
        let started: Vec<_> = (0..jobs).map(|job| scope.spawn(one(job))).collect();
        started.into_iter().map(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    drop(folder);
    let (mut trained, mut all) = (0, true);
    for end in ends {
        let (here, left) = end?;
        trained += here;
        all &= left == Left::Nothing;
    }
    if all {
        return finish(path, plan, splits, signals, format);
    }
    note(&format!(
        "interrupted: {} done; the same command goes on from there",
        counted(trained, "training", "trainings")
    ));
    Ok(None)
}
