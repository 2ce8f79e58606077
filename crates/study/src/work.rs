//! Takes trials of a planned folder that nobody works on, until none is left: one of any number of processes, on any
//! machines that share the folder.
//!
//! Each trial is run in a run folder of its own, `trials/<recipe>/.seed-<n>.work`, by the same code as any run: what is
//! killed goes on there, and a look at the test images is counted there before it is taken. What is whole takes its place
//! by one rename. `results.json` of the study is nobody's meanwhile; who finds all done writes it, with no other at work.
//!
//! A trial that was begun is begun in one place: a worker takes the checkpoints of a run that was stopped into its folder, and
//! who then holds the study alone takes them out of it again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use tenfold_nn::data::Splits;
use tenfold_nn::train::Flow;
use thiserror::Error;

use crate::checkpoint;
use crate::folder::{FolderError, RunFolder, SharedFolder, create_folder, sync_folder};
use crate::lease::{Lease, Seen};
use crate::ledger::Ledger;
use crate::plan::PlannedStudy;
use crate::record::{RESULTS, ReadingReason, Status, StudyRecord};
use crate::run::{ProcessorTime, RunError, StudyEvent, run};
use crate::trial::{self, Ended, RESULT, seed_folder};

/// How often those who wait look around.
const LOOK: Duration = Duration::from_millis(500);

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct Worker {
    /// For people: machine and process.
    pub holder: String,
    /// Whether it is one of several of its process, which train side by side: then its times are not compared.
    pub several: bool,
    /// Train no more than so many.
    pub at_most: Option<usize>,
    /// How long a lease must be seen unchanged before it is taken over: [`STALE`](crate::STALE), but in tests.
    pub stale: Duration,
}

/// What happens while working.
#[derive(Debug)]
pub enum WorkEvent<'a> {
    /// Within a trial.
    Run(&'a StudyEvent<'a>),
    /// Nothing is free; others hold so many.
    Waiting(usize),
}

/// Why work ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Every trial that was planned is done.
    Nothing,
    /// Others work on what is left.
    ToOthers,
    /// As many were trained as were asked for.
    Some,
    /// The caller stopped it.
    Stopped,
}

/// Why work cannot go on.
#[derive(Debug, Error)]
pub enum WorkError {
    /// A trial cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refuses something.
    #[error("{}: cannot {operation}: {reason}", .path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system says.
        reason: io::Error,
    },
    /// The place of a trial holds another, finished one.
    #[error(
        "{}: is a finished training of other settings, data or training code than planned; to train it again and replace it, \
         plan with --replace", .path.display()
    )]
    Changed {
        /// Its record.
        path: PathBuf,
    },
}

/// The lease of a trial.
pub(crate) fn lease_path(folder: &Path, recipe: &str, seed: u64) -> PathBuf {
    folder.join(format!("trials/{recipe}/.seed-{seed}.lease"))
}

/// The folder that a trial is run in.
fn work_path(folder: &Path, recipe: &str, seed: u64) -> PathBuf {
    folder.join(format!("trials/{recipe}/.seed-{seed}.work"))
}

/// Works, and gives how many trials were trained and why it ended.
///
/// # Errors
/// If the system refuses to read or write, or a trial's place holds another that has finished.
pub fn work(
    plan: &PlannedStudy,
    splits: &Splits,
    folder: &SharedFolder,
    worker: &Worker,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&WorkEvent) -> Flow,
) -> Result<(usize, Left), WorkError> {
    let at = folder.path();
    let (mut seen, mut done, mut trained) = (Seen::default(), BTreeSet::new(), 0);
    loop {
        let (mut held, mut alive, mut any) = (0, 0, false);
        for trial in plan.trials().filter(|trial| !done.contains(trial)).collect::<Vec<_>>() {
            let (recipe, seed) = trial;
            let name = &plan.recipe(recipe).0.name;
            if is_done(plan, at, trial)? {
                done.insert(trial);
                continue;
            }
            let path = lease_path(at, name, seed);
            let io = |operation| move |reason| WorkError::Io { path: lease_path(at, name, seed), operation, reason };
            create_folder(&at.join("trials").join(name)).map_err(io("make its folder"))?;
            if seen.is_stale(&path, worker.stale) {
                seen.remove(&path);
            }
            let Some(lease) = Lease::take(&path, &worker.holder).map_err(io("make the file"))? else {
                held += 1;
                alive += usize::from(seen.is_alive(&path));
                continue;
            };
            // It may have been published between looking and taking.
            let ran = if is_done(plan, at, trial)? {
                Ran::Found
            } else {
                one((plan, splits, at), trial, worker.several, processor_time, on_event)?
            };
            drop(lease);
            match ran {
                Ran::Published | Ran::Found => {
                    any = true;
                    trained += usize::from(matches!(ran, Ran::Published));
                    done.insert(trial);
                }
                Ran::Held => held += 1,
                Ran::Stopped => return Ok((trained, Left::Stopped)),
            }
            if worker.at_most.is_some_and(|most| trained >= most) {
                // Others may have ended since they were looked at. Where all come for a few, nobody comes after the
                // last of them, who has to see that it is the last: else the report is never written.
                for trial in plan.trials() {
                    if !done.contains(&trial) && !is_done(plan, at, trial)? {
                        return Ok((trained, Left::Some));
                    }
                }
                return Ok((trained, Left::Nothing));
            }
        }
        if done.len() == plan.trials().count() {
            return Ok((trained, Left::Nothing));
        }
        if any {
            continue;
        }
        // Who has come for a few need not wait for what is in good hands.
        if worker.at_most.is_some() && held > 0 && alive == held {
            return Ok((trained, Left::ToOthers));
        }
        let until = Instant::now() + LOOK;
        if on_event(&WorkEvent::Waiting(held)) == Flow::Stop {
            return Ok((trained, Left::Stopped));
        }
        sleep(until.saturating_duration_since(Instant::now()));
    }
}

enum Ran {
    Published,
    /// It was there, trained by another.
    Found,
    /// One whose lease was not renewed is at it all the same, on this machine.
    Held,
    Stopped,
}

/// Runs one trial in its own folder, and publishes it.
fn one(
    (plan, splits, at): (&PlannedStudy, &Splits, &Path),
    (recipe, seed): (usize, u64),
    several: bool,
    processor_time: &dyn Fn() -> Option<ProcessorTime>,
    on_event: &mut dyn FnMut(&WorkEvent) -> Flow,
) -> Result<Ran, WorkError> {
    let name = &plan.recipe(recipe).0.name;
    let path = work_path(at, name, seed);
    let own = match RunFolder::open(&path) {
        Err(FolderError::Held { .. }) => return Ok(Ran::Held),
        opened => opened.map_err(RunError::from)?,
    };
    let io = |operation| move |reason| WorkError::Io { path: at.join(seed_folder(name, seed)), operation, reason };
    // Who gathers may have been killed: what it had taken of another worker goes on from there.
    let taken = taken_folders(at, name, seed).map_err(io("list what is beside the training"))?;
    let [new, _] = trial::beside(name, seed);
    let identity = plan.settings(recipe, seed).identity();
    for from in taken.iter().map(|taken| taken.join(seed_folder(name, seed))).chain([at.join(new)]) {
        let ended = Ended::read(&from).map_err(io("read what is beside the training"))?;
        if let Some(Ended { status, .. }) = ended.filter(|ended| ended.identity == identity)
            && trial::is_done(&from, status)
        {
            put_in_place(plan, at, (recipe, seed), &from, status)?;
            return Ok(Ran::Found);
        }
    }
    for from in taken.iter().map(PathBuf::as_path).chain([at]) {
        let passed = checkpoint::pass_on(from, &path, name, seed);
        passed.map_err(io("take over the checkpoints of the training"))?;
    }
    let of_trial = plan.of_trial(recipe, seed, several);
    let record = run(&of_trial, splits, &own, processor_time, &mut |event| on_event(&WorkEvent::Run(event)))?;
    let ended = record.recipes.iter().flat_map(|recipe| &recipe.trials).find(|trial| trial.seed == seed);
    let Some(ended) = ended.filter(|trial| trial.status != Status::Interrupted) else { return Ok(Ran::Stopped) };
    put_in_place(plan, at, (recipe, seed), &path.join(seed_folder(name, seed)), ended.status)?;
    Ok(Ran::Published)
}

/// The folders of this trial that whoever gathers has taken of workers: it was killed before it had taken out what is in them.
fn taken_folders(at: &Path, recipe: &str, seed: u64) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(at.join("trials").join(recipe))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().strip_prefix(".seed-").and_then(taken_seed) == Some(seed) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// The seed of a trial that was taken, by the rest of its folder's name.
fn taken_seed(of_seed: &str) -> Option<u64> {
    of_seed.split_once(".taken-").and_then(|(seed, _)| trial::number(seed))
}

/// Gives the trial in the folder `from`, which has ended so, its place.
fn put_in_place(
    plan: &PlannedStudy,
    at: &Path,
    (recipe, seed): (usize, u64),
    from: &Path,
    ended: Status,
) -> Result<(), WorkError> {
    let name = &plan.recipe(recipe).0.name;
    let to = at.join(seed_folder(name, seed));
    let io = |reason| WorkError::Io { path: to.clone(), operation: "put the training in its place", reason };
    if is_done(plan, at, (recipe, seed))? {
        // Another has published the same.
        return fs::remove_dir_all(from).map_err(io);
    }
    let identity = plan.settings(recipe, seed).identity();
    let before = Ended::read(&to).map_err(io)?;
    let other = before.is_some_and(|before| before.status == Status::Finished && before.identity != identity);
    let [_, old] = trial::beside(name, seed).map(|name| at.join(name));
    let aside = at.join(trial::aside(name, seed));
    // As in a run, only what finishes takes the place of what has finished.
    if other && ended != Status::Finished {
        publish(from, &aside, &old).map_err(io)?;
    } else {
        publish(from, &to, &old).map_err(io)?;
        let _ = fs::remove_dir_all(aside);
    }
    Ok(())
}

/// Gives the trial in `from` the name `to`. What has that name waits as `old` until it is no longer needed.
fn publish(from: &Path, to: &Path, old: &Path) -> io::Result<()> {
    let remove_old = || match fs::remove_dir_all(old) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(reason),
        _ => Ok(()),
    };
    if to.exists() {
        remove_old()?;
        fs::rename(to, old)?;
    }
    fs::rename(from, to)?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))?;
    remove_old()
}

fn is_done(plan: &PlannedStudy, at: &Path, (recipe, seed): (usize, u64)) -> Result<bool, WorkError> {
    let name = &plan.recipe(recipe).0.name;
    let place = at.join(seed_folder(name, seed));
    let path = place.join(RESULT);
    let io = |reason| WorkError::Io { path: path.clone(), operation: "read the file", reason };
    let identity = plan.settings(recipe, seed).identity();
    if let Some((at, ended)) = Ended::of(at, name, seed, &identity).map_err(io)? {
        return Ok(trial::is_done(&at, ended.status));
    }
    let Some(ended) = Ended::read(&place).map_err(io)? else { return Ok(false) };
    if ended.identity == identity {
        // Another has published it since it was looked for.
        return Ok(trial::is_done(&place, ended.status));
    }
    let stays = ended.status == Status::Finished && !plan.may_replace(recipe, seed);
    if stays { Err(WorkError::Changed { path }) } else { Ok(false) }
}

/// Takes what workers left into the run folder: the looks at the test images that they counted, trials that were done and not
/// yet in their place, and checkpoints of those that were stopped.
///
/// # Errors
/// If the folder cannot be read or written, or its record not be read.
pub fn take_in_workers(folder: &RunFolder) -> Result<(), FolderError> {
    let (mut left, mut working) = (Vec::new(), Vec::new());
    for recipe in folder.list("trials")? {
        for name in folder.list(format!("trials/{recipe}"))? {
            let Some(of_seed) = name.strip_prefix(".seed-") else { continue };
            if let Some(seed) = of_seed.strip_suffix(".work").and_then(trial::number) {
                working.push((format!("trials/{recipe}/{name}"), recipe.clone(), seed));
            } else if let Some(seed) = taken_seed(of_seed) {
                left.push((format!("trials/{recipe}/{name}"), recipe.clone(), seed));
            } else if name.contains(".lease") || name.contains(".stale-") {
                // Of one who was killed: nobody works while the folder is held.
                folder.remove(format!("trials/{recipe}/{name}"))?;
            }
        }
    }
    if left.is_empty() && working.is_empty() {
        return Ok(());
    }
    let Some(bytes) = folder.read(RESULTS)? else { return Ok(()) };
    let count = || FolderError::Count { path: folder.path().join(RESULTS) };
    let mut record: StudyRecord = serde_json::from_slice(&bytes).map_err(|_| count())?;
    // Under a name of their own, which no other will have and no worker goes on in: so the record can say whose counts it has,
    // in the write that adds them, and a process that dies here counts nothing twice.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let id = format!("{}-{nanos:x}", std::process::id());
    for (work, recipe, seed) in working {
        let taken = format!("trials/{recipe}/.seed-{seed}.taken-{id}");
        folder.rename(&work, &taken)?;
        left.push((taken, recipe, seed));
    }
    let mut ledger = Ledger::read(folder, RESULTS, std::iter::empty())?;
    for (work, ..) in left.iter().filter(|(work, ..)| !record.taken_in.contains(work)) {
        let own = Ledger::read(folder, &format!("{work}/{RESULTS}"), std::iter::empty())?;
        for reading in own.readings().iter().filter(|reading| reading.reason == ReadingReason::Trial) {
            ledger.add(ReadingReason::Trial, reading.recipe.as_deref(), reading.seed, reading.count);
        }
    }
    record.test_readings = ledger.readings().to_vec();
    record.taken_in = left.iter().map(|(work, ..)| work.clone()).collect();
    folder.write(RESULTS, record.to_json().as_bytes())?;
    for (work, recipe, seed) in &left {
        // What a run was doing when it was killed is settled first.
        trial::settle(folder, recipe, *seed)?;
        let (at, work_at) = (folder.path(), folder.path().join(work));
        let failed = |operation| {
            let path = work_at.clone();
            move |reason| FolderError::Io { path, operation, reason }
        };
        let ended = |at: &Path| {
            let at = at.join(seed_folder(recipe, *seed));
            Ok(Ended::read(&at)?.filter(|ended| trial::is_done(&at, ended.status)))
        };
        let both = ended(&work_at).and_then(|own| Ok((own, ended(at)?)));
        let (own, there) = both.map_err(failed("read the training"))?;
        let may_replace =
            |identity: &String| record.asked.as_ref().is_some_and(|asked| asked.may_replace.contains(identity));
        // As for a worker that puts it in its place: only what finishes takes the place of what has finished.
        let [new, _] = trial::beside(recipe, *seed);
        let to = match (own.map(|own| (own.status, own.identity)), there.map(|there| (there.status, there.identity))) {
            (None, _) => None,
            (Some(_), None) => Some(new),
            (Some((_, own)), Some((_, there))) if own == there => None,
            (Some(_), Some((Status::Diverged, _))) => Some(new),
            (Some((Status::Finished, own)), Some(_)) => may_replace(&own).then_some(new),
            (Some(_), Some(_)) => Some(trial::aside(recipe, *seed)),
        };
        if let Some(to) = to {
            folder.clear(&to)?;
            folder.rename(&format!("{work}/{}", seed_folder(recipe, *seed)), &to)?;
            trial::settle(folder, recipe, *seed)?;
        }
        let passed = checkpoint::pass_on(&work_at, at, recipe, *seed);
        passed.map_err(failed("take over the checkpoints"))?;
        folder.clear(work)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
