//! What is left when a file cannot be written, whichever it is.

use std::collections::BTreeMap;
use std::ops::Range;

use tenfold_nn::data::{ImageShape, Splits};
use tenfold_nn::model::Architecture;
use tenfold_nn::train::Flow;

use super::*;
use crate::testing::{scratch, splits};
use crate::trial::seed_folder;

pub(super) const STUDY: &str = "
name = \"small\"
[data]
classes = 2
valid = 20
[[recipe]]
name = \"flat\"
layers = [\"linear 2\"]
batch_size = 16
epochs = 1
[[recipe]]
name = \"conv\"
layers = [\"conv 2 3x3 same\", \"relu\", \"linear 2\"]
batch_size = 16
epochs = 2
";

pub(super) fn plan(study: &str, splits: &Splits, replace: bool) -> PlannedStudy {
    crate::testing::plan(study, splits, 1, replace)
}

/// What a run in which some changes of the folder fail did.
struct Broken {
    ended: Result<StudyRecord, RunError>,
    /// Recipes whose training was told to be done.
    done: Vec<String>,
    /// Files that were spared.
    spared: Vec<String>,
    /// Changes of the folder that were tried.
    changes: usize,
}

fn broken(plan: &PlannedStudy, splits: &Splits, path: &std::path::Path, failing: Range<usize>) -> Broken {
    let folder = RunFolder::open(path).expect("the folder is free");
    folder.faults.reset();
    folder.faults.fail(failing);
    let (mut done, mut files) = (Vec::new(), Vec::new());
    let ended = run(plan, splits, &folder, &|| None, &mut |event| {
        if let StudyEvent::TrialEnded { record, spared, .. } = event {
            done.push(record.recipe.clone());
            files.extend(spared.iter().map(ToString::to_string));
        }
        Flow::Continue
    });
    Broken { ended, done, spared: files, changes: folder.faults.changes() }
}

/// The trials that a run finds finished, with the checksum of their weights; those files are there.
fn kept(plan: &PlannedStudy, splits: &Splits, path: &std::path::Path) -> (Vec<String>, BTreeMap<String, String>) {
    let folder = RunFolder::open(path).expect("the folder is free");
    let mut kept = Vec::new();
    let record = run(plan, splits, &folder, &|| None, &mut |event| {
        if let StudyEvent::Planned { trials, .. } = event {
            for (recipe, _, state) in *trials {
                if matches!(state, TrialState::Kept(_)) {
                    kept.push(plan.recipe(*recipe).0.name.clone());
                }
            }
        }
        Flow::Continue
    });
    let record = record.expect("the same command goes on");
    let mut weights = BTreeMap::new();
    for trial in record.recipes.iter().flat_map(|recipe| &recipe.trials) {
        crate::trained(&folder, &record, trial).expect("the weights are whole");
        weights.insert(trial.recipe.clone(), trial.weights_sha256.clone().expect("it is finished"));
    }
    let names = folder.list("").expect("it can be read");
    assert!(
        !names.iter().any(|name| name.starts_with(".tenfold.reserve")),
        "what was reserved is given back: {names:?}"
    );
    (kept, weights)
}

#[test]
fn nothing_finished_is_lost_at_whatever_write_the_disk_is_full() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let whole = scratch("full-whole");
    let straight = broken(&plan, &splits, whole.path(), 0..0);
    assert_eq!((straight.done.len(), &straight.spared[..]), (2, &[][..]));
    let expected = kept(&plan, &splits, whole.path()).1;
    let (mut optional, mut at) = (Vec::new(), scratch("full-at"));
    for k in 0..straight.changes {
        // Full for a moment, and full from then on.
        for failing in [k..k + 1, k..usize::MAX] {
            drop(at);
            at = scratch("full-at");
            let broken = broken(&plan, &splits, at.path(), failing.clone());
            let (kept, weights) = kept(&plan, &splits, at.path());
            assert!(broken.done.iter().all(|name| kept.contains(name)), "{failing:?}: {:?} {kept:?}", broken.done);
            assert_eq!(weights, expected, "{failing:?}");
            match broken.ended {
                Ok(record) => {
                    let finished = record.recipes.iter().filter(|recipe| recipe.finished().next().is_some());
                    assert_eq!(finished.count(), 2, "{failing:?}");
                    optional.extend(broken.spared);
                }
                Err(RunError::Folder(FolderError::Io { reason, .. })) => {
                    assert_eq!(reason.kind(), std::io::ErrorKind::StorageFull, "{failing:?}");
                }
                Err(RunError::Folder(FolderError::Room { what, .. })) => {
                    assert!(what.starts_with("the training of "), "{failing:?}: {what}");
                }
                Err(other) => panic!("{failing:?}: {other}"),
            }
        }
    }
    for file in ["conv/.seed-1.new/filters.safetensors: ", "flat/.seed-1.new/epochs.csv: "] {
        assert!(optional.iter().any(|error| error.contains(file)), "{file} can be spared: {optional:?}");
    }
}

#[test]
fn an_old_trial_or_its_replacement_is_there_at_whatever_write_the_disk_is_full() {
    let splits = splits();
    let old = plan(STUDY, &splits, false);
    let changed = STUDY.replace("epochs = 1", "epochs = 2");
    let (new, refusing) = (plan(&changed, &splits, true), plan(&changed, &splits, false));
    let count = {
        let at = scratch("replace-count");
        broken(&old, &splits, at.path(), 0..0).ended.expect("nothing fails");
        let before = std::fs::read(at.path().join(RESULTS)).unwrap();
        let refused = broken(&refusing, &splits, at.path(), 0..0);
        let error = refused.ended.expect_err("a finished trial is not replaced unasked").to_string();
        assert!(
            error.ends_with("nothing was trained or replaced\n  flat seed 1: epochs was 1 and is now 2"),
            "{error}"
        );
        assert_eq!((refused.done.len(), refused.changes), (0, 0), "nothing was touched");
        assert_eq!(std::fs::read(at.path().join(RESULTS)).unwrap(), before);
        broken(&new, &splits, at.path(), 0..0).changes
    };
    let mut found = [0; 2];
    for k in 0..count {
        for failing in [k..k + 1, k..usize::MAX] {
            let at = scratch("replace-at");
            broken(&old, &splits, at.path(), 0..0).ended.expect("nothing fails");
            broken(&new, &splits, at.path(), failing.clone());
            let folder = RunFolder::open(at.path()).unwrap();
            let [is_old, is_new] =
                [&old, &new].map(|plan| plan.on_disk(&folder).unwrap().records.contains_key(&(0, 1)));
            assert!(is_old != is_new, "{failing:?}: old {is_old}, new {is_new}");
            assert_eq!(folder.list("trials/flat").unwrap(), ["seed-1"], "{failing:?}");
            found[usize::from(is_new)] += 1;
        }
    }
    assert!(found.iter().all(|&times| times > 0), "both happen: {found:?}");
}

#[test]
fn a_replacement_that_does_not_finish_replaces_nothing() {
    let splits = splits();
    let at = scratch("replace-unfinished");
    let old = plan(STUDY, &splits, false);
    broken(&old, &splits, at.path(), 0..0).ended.expect("nothing fails");
    let wild = "optimizer = { kind = \"sgd\", lr = 1e3, weight_decay = 1e3 }";
    let diverging = STUDY.replace("epochs = 1", &format!("epochs = 100\n{wild}"));
    for (study, stopped) in [(diverging, false), (STUDY.replace("epochs = 1", "epochs = 3"), true)] {
        let new = plan(&study, &splits, true);
        let folder = RunFolder::open(at.path()).unwrap();
        let (mut stays, mut status) = (None, None);
        let record = run(&new, &splits, &folder, &|| None, &mut |event| match event {
            StudyEvent::Training { event: Event::EpochStarted { epoch: 2, .. }, .. } if stopped => Flow::Stop,
            StudyEvent::TrialEnded { record, earlier_stays, .. } if record.recipe == "flat" => {
                (stays, status) = (Some(*earlier_stays), Some(record.status));
                Flow::Continue
            }
            _ => Flow::Continue,
        });
        assert_eq!(status, Some(if stopped { Status::Interrupted } else { Status::Diverged }));
        let recorded = record.expect("nothing fails").recipes.iter().any(|recipe| recipe.name == "flat");
        assert_eq!(recorded, !stopped, "the record says of a training what its folder does");
        assert_eq!(stays, Some(true));
        drop(folder);
        assert_eq!(kept(&old, &splits, at.path()).0, ["flat", "conv"], "the command of before finds it");
    }
}

#[test]
fn a_swap_that_was_cut_short_is_finished_by_the_next_run() {
    let splits = splits();
    let plan = plan(STUDY, &splits, false);
    let at = scratch("swap");
    broken(&plan, &splits, at.path(), 0..0).ended.expect("nothing fails");
    let trials = at.path().join("trials/flat");
    let rename = |from: &str, to: &str| std::fs::rename(trials.join(from), trials.join(to)).unwrap();
    // Between the two names, in both ways: the new one is whole, or was not begun.
    rename("seed-1", ".seed-1.new");
    std::fs::create_dir(trials.join(".seed-1.old")).unwrap();
    assert_eq!(kept(&plan, &splits, at.path()).0, ["flat", "conv"]);
    rename("seed-1", ".seed-1.old");
    std::fs::create_dir(trials.join(".seed-1.new")).unwrap();
    assert_eq!(kept(&plan, &splits, at.path()).0, ["flat", "conv"]);
    let names: Vec<_> = std::fs::read_dir(&trials).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["seed-1"]);
}

#[test]
fn what_a_trial_takes_is_reserved_and_no_more_than_twice_as_much() {
    let (splits, at) = (splits(), scratch("room"));
    let plan = plan(STUDY, &splits, false);
    broken(&plan, &splits, at.path(), 0..0).ended.expect("nothing fails");
    for recipe in [0, 1] {
        let (recipe, architecture) = plan.recipe(recipe);
        let room = Room::of(architecture, recipe.settings.epochs, splits.test.len(), &splits.class_names);
        let length = |file: &str| {
            let path = at.path().join(seed_folder(&recipe.name, 1)).join(file);
            std::fs::metadata(path).expect("it is there").len()
        };
        let files = ["model.safetensors", "predictions.csv", "result.json"].map(length);
        let rooms = [room.weights, room.predictions, room.result];
        assert!(files.iter().zip(&rooms).all(|(file, room)| file + 4096 <= *room), "{files:?} of {rooms:?}");
        assert!(rooms.iter().sum::<u64>() <= 2 * files.iter().sum::<u64>() + (64 << 10), "{files:?} of {rooms:?}");
    }
}

#[test]
fn a_record_of_a_thousand_classes_has_a_line_for_each_row_and_fits_its_room() {
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    let layers = vec!["linear 1000".parse().expect("a layer")];
    let architecture = Architecture::new(shape, layers, 1_000).expect("it fits");
    let labels: Vec<u16> = (0..4_000).map(|n| n % 1_000).collect();
    let predictions: Vec<u16> = (0..4_000).map(|n| n * 7 % 997).collect();
    let metrics = crate::metrics::Metrics::new(&labels, &predictions, 1_000, 0.5);
    let mut record = crate::testing::trial_record("wide", 1, metrics.clone());
    record.valid = Some(metrics);
    let json = crate::json::pretty(&record);
    // Two matrices, and six lines for each class of each.
    assert!(json.lines().count() < 2 * 1_000 * 7 + 200, "{} lines", json.lines().count());
    let room = Room::of(&architecture, record.epochs.len(), labels.len(), &[]).result;
    assert!(json.len() as u64 + 4096 <= room, "{} of {room}", json.len());
    assert_eq!(serde_json::from_str::<crate::record::TrialRecord>(&json).expect("it reads back"), record);
}
