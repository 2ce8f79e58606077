//! A run that dies, wherever it does, goes on to the record of one that did not.

use std::fs;
use std::path::Path;

use tenfold_nn::train::Flow;

use super::tests::{STUDY, plan};
use super::*;
use crate::testing::{scratch, splits};

/// What a run ended with, and what was told.
struct Kept {
    ended: Result<StudyRecord, RunError>,
    /// Which trainings went on, and where.
    from: Vec<(usize, Position)>,
    /// Of which trainings and where checkpoints were written, or why not.
    written: Vec<Result<(usize, Position), String>>,
    /// Files that could not be gone on from.
    unusable: Vec<String>,
    changes: usize,
    lost_a_name: bool,
}

/// A run whose trainings are kept after each step, and which stops after `steps_until` of them; or one without checkpoints.
fn keeping(
    plan: &PlannedStudy,
    splits: &Splits,
    path: &Path,
    prepare: impl FnOnce(&RunFolder),
    steps_until: Option<usize>,
) -> Kept {
    let folder = RunFolder::open(path).expect("the folder is free");
    folder.faults.reset();
    prepare(&folder);
    let (mut from, mut written, mut unusable, mut steps) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let ended = run(plan, splits, &folder, &|| None, &mut |event| {
        match event {
            StudyEvent::TrialStarted { recipe, from: at, unusable: files, .. } => {
                from.extend(at.map(|at| (*recipe, at)));
                unusable.extend(files.iter().map(|file| format!("{}: {}", file.path.display(), file.reason)));
            }
            StudyEvent::Checkpoint { recipe, position, written: done, .. } => {
                written.push(done.as_ref().map(|()| (*recipe, *position)).map_err(ToString::to_string));
            }
            StudyEvent::Training { event: Event::Step { .. }, .. } => {
                steps += 1;
                return match steps_until {
                    Some(until) if steps >= until => Flow::Stop,
                    Some(_) => Flow::Snapshot,
                    None => Flow::Continue,
                };
            }
            StudyEvent::Training { event: Event::Epoch { .. }, .. } if steps_until.is_some() => return Flow::Snapshot,
            StudyEvent::Training { .. }
            | StudyEvent::Planned { .. }
            | StudyEvent::Measuring
            | StudyEvent::TrialEnded { .. }
            | StudyEvent::EnsembleStarted { .. }
            | StudyEvent::EnsembleFailed { .. }
            | StudyEvent::ViewsStarted { .. }
            | StudyEvent::ViewsFailed { .. } => {}
        }
        Flow::Continue
    });
    let (changes, lost_a_name) = (folder.faults.changes(), folder.faults.lost_a_name());
    Kept { ended, from, written, unusable, changes, lost_a_name }
}

/// A record without what a clock has a part in, nor how often it was looked at.
fn timeless(record: &StudyRecord) -> StudyRecord {
    let mut record = record.clone();
    record.test_readings.clear();
    for recipe in &mut record.recipes {
        recipe.summary = None;
        for trial in &mut recipe.trials {
            (trial.train_time_s, trial.timing) = (0.0, Timing::default());
            trial.epochs.iter_mut().for_each(|e| (e.train_time_s, e.evaluation_time_s) = (0.0, 0.0));
        }
    }
    record
}

fn straight(name: &str, plan: &PlannedStudy, splits: &Splits) -> StudyRecord {
    let at = scratch(&format!("kills-straight-{name}"));
    let folder = RunFolder::open(at.path()).unwrap();
    let record = run(plan, splits, &folder, &|| None, &mut |_| Flow::Continue).expect("nothing fails");
    timeless(&record)
}

fn files(path: &Path, recipe: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path.join("trials").join(recipe))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn killed_at_whatever_change_of_the_folder_a_run_goes_on_to_the_same_record() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let expected = straight("killed", &plan, &splits);
    let at = scratch("kills");
    let whole = keeping(&plan, &splits, at.path(), |_| {}, Some(usize::MAX));
    assert_eq!(timeless(&whole.ended.unwrap()), expected, "checkpoints change nothing");
    // Three steps and the end of each of three epochs.
    assert_eq!(whole.written.iter().filter(|written| written.is_ok()).count(), 12);
    assert_eq!((files(at.path(), "flat"), files(at.path(), "conv")), (vec!["seed-1".into()], vec!["seed-1".into()]));
    let mut went_on = 0;
    let (mut k, mut power, mut names_lost) = (0, true, 0);
    while k < whole.changes {
        let at = scratch("kills");
        let die = |folder: &RunFolder| if power { folder.faults.cut_power_at(k) } else { folder.faults.kill_at(k) };
        let died = keeping(&plan, &splits, at.path(), die, Some(usize::MAX));
        let last = died.written.iter().rev().find_map(|written| written.as_ref().ok().copied());
        let again = keeping(&plan, &splits, at.path(), |_| {}, None);
        let record = again.ended.unwrap_or_else(|error| panic!("killed at {k}: {error}"));
        assert_eq!(timeless(&record), expected, "killed at {k}");
        assert_eq!(again.unusable, Vec::<String>::new(), "killed at {k}: what has its name is whole");
        if let (Some(last), Some(from)) = (last, again.from.first()) {
            let steps = |(recipe, at): &(usize, Position)| (*recipe, (at.epoch - 1) * at.steps + at.step);
            assert!(steps(from) >= steps(&last), "killed at {k}: goes on from {from:?}, {last:?} was written");
            went_on += 1;
            let trial = record.recipes.iter().flat_map(|recipe| &recipe.trials).any(|trial| trial.timing.parts == 2);
            assert!(trial, "killed at {k}: the record says that times were put together");
        }
        assert_eq!(
            (files(at.path(), "flat"), files(at.path(), "conv")),
            (vec!["seed-1".into()], vec!["seed-1".into()])
        );
        // Where the power took a name that was not made to last, a kill leaves it.
        (k, power) = if died.lost_a_name { (k, false) } else { (k + 1, true) };
        names_lost += usize::from(died.lost_a_name);
    }
    assert!(names_lost > 20, "{names_lost} of {}", whole.changes);
    assert!(went_on > whole.changes / 2, "{went_on} of {}", whole.changes);
}

#[test]
fn stopped_after_any_step_and_on_any_threads_a_run_goes_on_to_the_same_record() {
    let splits = splits();
    let mut plan = plan(STUDY, &splits, false);
    let expected = straight("stopped", &plan, &splits);
    for step in 0..9 {
        let at = scratch("kills-stop");
        plan.environment.threads = 1 + step % 2;
        let stopped = keeping(&plan, &splits, at.path(), |_| {}, Some(step + 1));
        assert!(stopped.written.iter().all(Result::is_ok) && stopped.ended.is_ok());
        plan.environment.threads = 1 + (step + 1) % 2;
        let again = keeping(&plan, &splits, at.path(), |_| {}, None);
        plan.environment.threads = 1;
        let mut record = timeless(&again.ended.unwrap());
        record.environment = expected.environment.clone();
        for trial in record.recipes.iter_mut().flat_map(|recipe| &mut recipe.trials) {
            trial.environment = expected.environment.clone();
        }
        assert_eq!(record, expected, "stopped after {} steps", step + 1);
        let (epoch, done) = [(1, step + 1), (1, step - step.min(2)), (2, step.saturating_sub(5))][step / 3];
        assert_eq!(
            again.from,
            [(step / 3).min(1)].map(|recipe| (recipe, Position { epoch, step: done, steps: 3 })),
            "stopped after {} steps",
            step + 1
        );
    }
}

#[test]
fn a_measurement_that_is_stopped_is_taken_again_and_nothing_is_trained_again() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let expected = straight("measured", &plan, &splits);
    // The first question comes after the validation images, before any look; the second after the test images, the third while
    // the calibration is computed.
    for (question, looks) in [(1, 1), (2, 2), (3, 2)] {
        let at = scratch("kills-measured");
        let (mut asked, mut written) = (0, Vec::new());
        let folder = RunFolder::open(at.path()).unwrap();
        let stopped = run(&plan, &splits, &folder, &|| None, &mut |event| {
            match event {
                StudyEvent::Measuring => asked += 1,
                StudyEvent::Checkpoint { position, written: done, .. } => written.push((*position, done.is_ok())),
                _ => {}
            }
            if asked == question { Flow::Stop } else { Flow::Continue }
        });
        let stopped = stopped.expect("nothing fails");
        let end = Position { epoch: 2, step: 0, steps: 3 };
        assert_eq!((&written[..], stopped.recipes.len()), (&[(end, true)][..], 1));
        assert_eq!((asked, stopped.recipes[0].trials[0].status), (question, Status::Interrupted));
        drop(folder);
        let mut steps = Vec::new();
        let folder = RunFolder::open(at.path()).unwrap();
        let record = run(&plan, &splits, &folder, &|| None, &mut |event| {
            if let StudyEvent::Training { recipe, event: Event::Step { .. }, .. } = event {
                steps.push(*recipe);
            }
            Flow::Continue
        });
        let record = record.expect("the same command goes on");
        assert_eq!(timeless(&record), expected);
        assert_eq!(steps, [1; 6], "of the first recipe nothing was left to train");
        let counts: Vec<_> = record.test_readings.iter().map(|reading| reading.count).collect();
        assert_eq!(counts, [1, looks], "conv, flat");
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let expected = straight("damaged", &plan, &splits);
    for damaged in 1..=2 {
        let at = scratch("kills-damaged");
        keeping(&plan, &splits, at.path(), |_| {}, Some(2));
        let place = at.path().join("trials/flat/.seed-1.checkpoint");
        let mut names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.len(), 2);
        for name in names.iter().rev().take(damaged) {
            let mut bytes = fs::read(name).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(name, bytes).unwrap();
        }
        let again = keeping(&plan, &splits, at.path(), |_| {}, None);
        assert_eq!(again.unusable.len(), damaged);
        let expected_end = ": it is not what was written: its checksum is another";
        assert!(again.unusable.iter().all(|text| text.ends_with(expected_end)), "{:?}", again.unusable);
        let from = [(0, Position { epoch: 1, step: 1, steps: 3 })];
        assert_eq!(again.from, from[..2 - damaged]);
        assert_eq!(timeless(&again.ended.unwrap()), expected);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_used_does_not_stand_for_one_that_can() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let at = scratch("kills-later");
    keeping(&plan, &splits, at.path(), |_| {}, Some(1));
    let place = at.path().join("trials/flat/.seed-1.checkpoint");
    let identity = plan.settings(0, 1).identity();
    let name = |step: usize| format!("step-{step:012}-{}", &identity[..16]);
    fs::write(place.join(name(9)), "of later steps, and damaged").unwrap();
    let again = keeping(&plan, &splits, at.path(), |_| {}, Some(1));
    assert_eq!((again.unusable.len(), again.from.len()), (1, 1));
    assert_eq!(files(at.path(), "flat/.seed-1.checkpoint"), [name(1), name(2)]);
}

#[test]
fn a_checkpoint_of_other_settings_is_cleared_and_not_gone_on_from() {
    let splits = splits();
    let at = scratch("kills-other");
    keeping(&plan(STUDY, &splits, false), &splits, at.path(), |_| {}, Some(2));
    let other = plan(&STUDY.replace("epochs = 1", "epochs = 3"), &splits, false);
    let stopped = keeping(&other, &splits, at.path(), |_| {}, Some(1));
    assert_eq!((stopped.from, stopped.unusable), (Vec::new(), Vec::new()));
    let names = files(at.path(), "flat/.seed-1.checkpoint");
    assert_eq!(names.len(), 1, "{names:?}");
    // One that was given the name of another is told by what is in it.
    let identity = plan(STUDY, &splits, false).settings(0, 1).identity();
    let place = at.path().join("trials/flat/.seed-1.checkpoint");
    fs::rename(place.join(&names[0]), place.join(format!("step-000000000001-{}", &identity[..16]))).unwrap();
    let again = keeping(&plan(STUDY, &splits, false), &splits, at.path(), |_| {}, Some(1));
    assert!(
        again.from.is_empty() && again.unusable[0].ends_with(": it is of another training"),
        "{:?}",
        again.unusable
    );
}

#[test]
fn a_disk_that_is_full_stops_the_checkpoints_and_not_the_training() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let expected = straight("full", &plan, &splits);
    // How many changes there are before the first training begins.
    let at = scratch("kills-full");
    let before = {
        let folder = RunFolder::open(at.path()).unwrap();
        folder.faults.reset();
        let mut before = None;
        run(&plan, &splits, &folder, &|| None, &mut |event| match event {
            StudyEvent::Training { .. } => {
                before.get_or_insert_with(|| folder.faults.changes());
                Flow::Stop
            }
            _ => Flow::Continue,
        })
        .unwrap();
        before.unwrap()
    };
    let at = scratch("kills-full");
    let full = keeping(&plan, &splits, at.path(), |folder| folder.faults.fail(before..before + 3), Some(usize::MAX));
    assert_eq!(timeless(&full.ended.unwrap()), expected);
    let failed: Vec<&String> = full.written.iter().filter_map(|written| written.as_ref().err()).collect();
    assert!(!failed.is_empty() && failed.iter().all(|error| error.contains("step-00000000000")), "{failed:?}");
}

#[test]
fn a_folder_that_is_removed_meanwhile_is_not_made_anew() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let at = scratch("kills-gone");
    let path = at.path().join("run");
    let folder = RunFolder::open(&path).unwrap();
    let mut told = Vec::new();
    let ended = run(&plan, &splits, &folder, &|| None, &mut |event| match event {
        StudyEvent::Training { event: Event::Step { .. }, .. } => {
            let _ = fs::remove_dir_all(&path);
            Flow::Snapshot
        }
        StudyEvent::Checkpoint { written, .. } => {
            told.extend(written.as_ref().err().map(ToString::to_string));
            Flow::Continue
        }
        _ => Flow::Continue,
    });
    let expected = "run: was removed or replaced by another folder while it was in use; nothing more is written there";
    let error = ended.expect_err("there is no folder").to_string();
    assert!(error.ends_with(expected) && told.iter().all(|text| text.ends_with(expected)), "{error} {told:?}");
    assert!(!told.is_empty() && !path.exists());
}
