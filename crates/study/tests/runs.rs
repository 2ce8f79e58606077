//! Whole runs of small studies on made-up images: what is trained, what is kept, what lands on disk.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tenfold_nn::data::{Dataset, HeldOut, ImageShape, Options, Shares, Source, Splits};
use tenfold_nn::train::{Event, Flow, Pixels};
use tenfold_study::comparison::{ChosenBy, MARGIN};
use tenfold_study::record::{DataPlace, Environment, Reading, Reason, Status, StudyRecord, Timing};
use tenfold_study::{
    FinishedStudy, PlannedStudy, ProcessorTime, Replace, RunError, RunFolder, Settings, Study, StudyEvent, TrialState,
    predictions, run, trained,
};

const STUDY: &str = "
name = \"small\"
[data]
classes = 2
valid = 20
[[recipe]]
name = \"flat\"
layers = [\"linear 2\"]
batch_size = 16
epochs = 2
optimizer = { kind = \"adam\", lr = 1e-2 }
[[recipe]]
name = \"conv\"
layers = [\"conv 3 3x3 same\", \"relu\", \"maxpool 2\", \"dropout 0.2\", \"linear 2\"]
batch_size = 16
epochs = 2
optimizer = { kind = \"adam\", lr = 1e-2 }
";

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn scratch(name: &str) -> Scratch {
    let path = std::env::temp_dir().join(format!("tenfold-runs-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    Scratch(path)
}

/// Images whose upper or lower half is bright, with noise.
fn images(n: usize, salt: usize) -> Dataset {
    let shape = ImageShape { channels: 1, height: 6, width: 6 };
    let labels: Vec<u16> = (0..n).map(|i| u16::from((i * 7 + salt).is_multiple_of(3))).collect();
    let pixel = |i: usize, p: usize| {
        let noise = (i * 36 + p + salt).wrapping_mul(2_654_435_761) >> 7 & 127;
        if (p < 18) == (labels[i] == 0) { 128 + noise as u8 } else { noise as u8 }
    };
    let pixels = (0..n * 36).map(|at| pixel(at / 36, at % 36)).collect();
    Dataset::new(pixels, labels, shape, 2).expect("the images are fine")
}

fn splits(salt: usize) -> Splits {
    let source = Source {
        name: "halves".to_owned(),
        train: images(100, salt),
        test: HeldOut::new(images(40, salt + 1)),
        first_label: 0,
        sha256: format!("source {salt}"),
        files: Vec::new(),
        notes: Vec::new(),
    };
    source.split(20, 0).expect("there are enough")
}

fn environment(threads: usize) -> Environment {
    let text = || "test".to_owned();
    Environment { host: text(), cpu: text(), isa: text(), threads, version: text(), commit: text() }
}

fn settings(seeds: u64) -> Settings {
    Settings {
        precision: None,
        seeds,
        only: Vec::new(),
        epochs: None,
        environment: environment(1),
        free_memory_bytes: None,
        published: false,
        place: None,
        reading: None,
        replace: Replace::Nothing,
        chosen_by: ChosenBy::Validation,
        margin: MARGIN,
    }
}

fn plan(study: &str, splits: &Splits, settings: Settings) -> PlannedStudy {
    PlannedStudy::new(Study::parse(study, "small.toml").expect("a study"), splits, settings).expect("it fits")
}

/// What happened, in short: `+` begun, `.` finished before, and how the others stood.
struct Log {
    record: StudyRecord,
    states: Vec<String>,
    started: Vec<String>,
    left_out: usize,
}

fn run_all(plan: &PlannedStudy, splits: &Splits, folder: &Path) -> Log {
    run_until(plan, splits, folder, |_| false)
}

/// Runs, and stops at the first event within a training that `stop` says.
fn run_until(plan: &PlannedStudy, splits: &Splits, folder: &Path, stop: impl Fn(&Event) -> bool) -> Log {
    let folder = RunFolder::open(folder).expect("the folder is free");
    let (mut states, mut started, mut left) = (Vec::new(), Vec::new(), 0);
    let name = |recipe: usize, seed: u64| format!("{} {seed}", plan.recipe(recipe).0.name);
    let record = run(plan, splits, &folder, &|| None, &mut |event| {
        match event {
            StudyEvent::Planned { trials, left_out, .. } => {
                left = left_out.len();
                for (recipe, seed, state) in *trials {
                    let state = match state {
                        TrialState::Kept(_) => "kept",
                        TrialState::New => "new",
                        TrialState::Interrupted => "interrupted",
                        TrialState::Changed(_) => "changed",
                        TrialState::Damaged => "damaged",
                    };
                    states.push(format!("{} {state}", name(*recipe, *seed)));
                }
            }
            StudyEvent::TrialStarted { recipe, seed, .. } => started.push(name(*recipe, *seed)),
            StudyEvent::Training { event, .. } if stop(event) => return Flow::Stop,
            _ => {}
        }
        Flow::Continue
    });
    let record = record.expect("the folder can be written");
    let text = fs::read_to_string(folder.path().join("results.json")).expect("there are results");
    assert_eq!(text, record.to_json(), "results.json is the record");
    Log { record, states, started, left_out: left }
}

fn trial<'a>(record: &'a StudyRecord, recipe: &str, seed: u64) -> &'a tenfold_study::record::TrialRecord {
    let recipe = record.recipes.iter().find(|r| r.name == recipe).expect("the recipe is in the record");
    recipe.trials.iter().find(|trial| trial.seed == seed).expect("the trial is in the record")
}

#[test]
fn a_run_leaves_everything_on_disk() {
    let (scratch, splits) = (scratch("whole"), splits(0));
    let plan = plan(STUDY, &splits, settings(1));
    let log = run_all(&plan, &splits, &scratch.0);
    assert_eq!(log.started, ["flat 1", "conv 1"]);
    let record: StudyRecord =
        serde_json::from_slice(&fs::read(scratch.0.join("results.json")).unwrap()).expect("it reads back");
    assert_eq!(record, log.record);
    assert_eq!(Study::read(&scratch.0.join("study.toml")).unwrap(), *plan.study());
    assert_eq!((record.dataset.train, record.dataset.valid, record.dataset.test), (80, 20, 40));

    let conv = trial(&record, "conv", 1);
    assert_eq!((conv.status, conv.stopped.reason, conv.stopped.epoch), (Status::Finished, Reason::Epochs, 2));
    let test = conv.test.as_ref().expect("a finished trial is measured");
    let said = {
        let folder = RunFolder::open(&scratch.0).unwrap();
        let model = trained(&folder, &record, conv).expect("the weights are whole");
        let again = splits.test.evaluate(&model, 1);
        let said = predictions(&folder, "conv", 1, &splits.test).expect("the predictions are whole");
        assert!(
            said.iter().map(|s| s.prediction).eq(again.predictions.iter().copied()),
            "the weights are the network's"
        );
        // A file that was cut or edited is refused, not drawn.
        let file = "trials/conv/seed-1/predictions.csv";
        let whole = folder.read(file).unwrap().expect("it is there");
        let cut = whole.len() / 2 + whole[whole.len() / 2..].iter().position(|&b| b == b'\n').unwrap() + 1;
        for changed in [whole[..cut].to_vec(), [&whole[..], b"40,1,1,0.5\n"].concat(), b"".to_vec()] {
            folder.write(file, &changed).unwrap();
            assert!(predictions(&folder, "conv", 1, &splits.test).is_err(), "{} bytes are accepted", changed.len());
        }
        folder.write(file, &whole).unwrap();
        said
    };
    let right = said.iter().filter(|s| s.label == s.prediction).count();
    assert_eq!(right as f64 / 40.0, test.accuracy);
    let csv = fs::read_to_string(scratch.0.join("trials/conv/seed-1/epochs.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3);
    assert!(
        !fs::read_dir(scratch.0.join("trials/conv/seed-1"))
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().ends_with(".tmp") })
    );
}

#[test]
fn a_finished_trial_is_never_run_again() {
    let (scratch, splits) = (scratch("again"), splits(0));
    run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    let result = scratch.0.join("trials/flat/seed-1/result.json");
    let before = (fs::read(&result).unwrap(), fs::metadata(&result).unwrap().modified().unwrap());
    // Another number of threads changes no bit, so it is the same trial.
    let more = Settings { environment: environment(2), ..settings(3) };
    let log = run_all(&plan(STUDY, &splits, more), &splits, &scratch.0);
    assert_eq!(log.started, ["flat 2", "conv 2", "flat 3", "conv 3"], "each seed of all before the next of any");
    assert_eq!(log.states[..2], ["flat 1 kept", "conv 1 kept"]);
    assert_eq!((fs::read(&result).unwrap(), fs::metadata(&result).unwrap().modified().unwrap()), before);
    assert_eq!(log.record.recipes[0].summary.as_ref().map(|s| s.finished), Some(3));
    // Fewer seeds and fewer recipes take nothing out of the record.
    let one = Settings { only: vec!["conv".to_owned()], ..settings(1) };
    let log = run_all(&plan(STUDY, &splits, one), &splits, &scratch.0);
    assert!(log.started.is_empty());
    assert_eq!(log.record.recipes.iter().map(|r| r.trials.len()).collect::<Vec<_>>(), [3, 3]);
}

/// With leave to replace what is finished.
fn replacing(settings: Settings) -> Settings {
    Settings { replace: Replace::Any, ..settings }
}

/// How a run is refused, and that it changed nothing.
#[track_caller]
fn refusal(plan: &PlannedStudy, splits: &Splits, path: &Path) -> (String, Option<String>) {
    let files = || ["study.toml", "results.json"].map(|file| fs::read(path.join(file)).unwrap());
    let (before, folder) = (files(), RunFolder::open(path).expect("the folder is free"));
    let error = run(plan, splits, &folder, &|| None, &mut |event| panic!("{event:?}")).expect_err("is refused");
    assert_eq!(files(), before);
    assert!(matches!(error, RunError::Changed { .. }), "{error}");
    (error.to_string(), error.hint())
}

#[test]
fn a_finished_trial_of_other_settings_or_data_is_replaced_only_where_that_is_asked_for() {
    let (scratch, splits) = (scratch("changed"), splits(0));
    let place = Some(DataPlace { given: "halves".to_owned(), absolute: "/data/halves".to_owned(), from_run: None });
    run_all(&plan(STUDY, &splits, Settings { place, ..settings(2) }), &splits, &scratch.0);
    let changed = STUDY.replacen("lr = 1e-2", "lr = 2e-2", 1);
    let (error, hint) = refusal(&plan(&changed, &splits, settings(2)), &splits, &scratch.0);
    assert!(
        error.ends_with(
            ": holds 2 finished trainings of other settings, data or training code than asked for; nothing was trained or \
             replaced\n  flat seeds 1, 2: optimizer.lr was 0.01 and is now 0.02"
        ),
        "{error}"
    );
    let usual = "keep them by choosing another folder with --out, or train again and replace them with --replace";
    assert_eq!(hint.as_deref(), Some(usual));
    let longer = Settings { epochs: Some(3), only: vec!["conv".to_owned()], ..settings(1) };
    let (error, _) = refusal(&plan(STUDY, &splits, longer.clone()), &splits, &scratch.0);
    assert!(error.ends_with("\n  conv seed 1: epochs was 2 and is now 3"), "{error}");
    let other = self::splits(5);
    let (error, hint) = refusal(&plan(&changed, &other, settings(1)), &other, &scratch.0);
    let data = "SHA-256 of the data was source 0 and is now source 5";
    let lines: Vec<&str> = error.lines().skip(1).collect();
    assert_eq!(
        lines,
        [&*format!("  flat seed 1: {data}; optimizer.lr was 0.01 and is now 0.02"), &*format!("  conv seed 1: {data}")]
    );
    assert_eq!(hint, Some(format!("{usual}; their images were those of --data halves")));
    let place = Some(DataPlace { given: "./halves".to_owned(), absolute: "/data/halves".to_owned(), from_run: None });
    let (_, hint) = refusal(&plan(STUDY, &other, Settings { place, ..settings(1) }), &other, &scratch.0);
    assert_eq!(hint, Some(format!("{usual}; the images or labels in halves have changed since")));
    let reading = Some(Reading { options: Options::default(), shares: Shares::default() });
    let place = Some(DataPlace { given: "halves".to_owned(), absolute: "/data/halves".to_owned(), from_run: None });
    let (_, hint) = refusal(&plan(STUDY, &other, Settings { place, reading, ..settings(1) }), &other, &scratch.0);
    assert_eq!(hint, Some(format!("{usual}; they were understood or divided by other settings")));

    let log = run_all(&plan(&changed, &splits, replacing(settings(1))), &splits, &scratch.0);
    assert_eq!(log.states, ["flat 1 changed", "conv 1 kept"]);
    assert_eq!((log.started.as_slice(), log.left_out), (&["flat 1".to_owned()][..], 1));
    assert_eq!(log.record.recipes[0].trials.len(), 1, "seed 2 has the old learning rate");
    let log = run_all(&plan(STUDY, &splits, replacing(longer)), &splits, &scratch.0);
    assert_eq!(log.states, ["conv 1 changed"]);
    assert_eq!(trial(&log.record, "conv", 1).epochs.len(), 3);
    let log = run_all(&plan(STUDY, &other, replacing(settings(1))), &other, &scratch.0);
    assert_eq!(log.states, ["flat 1 changed", "conv 1 changed"]);
}

#[test]
fn a_trial_of_an_earlier_version_is_known_by_the_record() {
    let (scratch, splits) = (scratch("earlier-version"), splits(0));
    let usual = plan(STUDY, &splits, settings(1));
    run_all(&usual, &splits, &scratch.0);
    // As it was before trials had their settings with them, and the record the place of the data.
    let without = |file: &str, fields: &[&str]| {
        fn strip(value: &mut serde_json::Value, fields: &[&str]) {
            if let Some(object) = value.as_object_mut() {
                object.retain(|key, _| !fields.contains(&key.as_str()));
                object.values_mut().for_each(|value| strip(value, fields));
            } else if let Some(values) = value.as_array_mut() {
                values.iter_mut().for_each(|value| strip(value, fields));
            }
        }
        let path = scratch.0.join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        strip(&mut value, fields);
        fs::write(path, value.to_string()).unwrap();
    };
    let to_earlier = || {
        for file in ["results.json", "trials/flat/seed-1/result.json", "trials/conv/seed-1/result.json"] {
            without(file, &["settings", "place"]);
        }
    };
    to_earlier();
    let changed = plan(&STUDY.replacen("lr = 1e-2", "lr = 2e-2", 1), &splits, settings(1));
    let (error, _) = refusal(&changed, &splits, &scratch.0);
    assert!(error.ends_with("\n  flat seed 1: optimizer.lr was 0.01 and is now 0.02"), "{error}");
    let log = run_all(&usual, &splits, &scratch.0);
    assert_eq!(log.states, ["flat 1 kept", "conv 1 kept"]);
    // Where the record says nothing of it either, there is still something to lose.
    to_earlier();
    without("results.json", &["recipes"]);
    let (error, _) = refusal(&changed, &splits, &scratch.0);
    assert!(
        error.ends_with("flat seed 1: something in its settings, data or training code that its record does not tell"),
        "{error}"
    );
}

#[test]
fn an_interrupted_trial_is_recorded_and_run_again_to_the_same_bits() {
    let (straight, broken, splits) = (scratch("straight"), scratch("broken"), splits(0));
    let plan = plan(STUDY, &splits, settings(1));
    let expected = run_all(&plan, &splits, &straight.0).record;

    let second_epoch = |event: &Event| matches!(event, Event::Step { epoch: 2, step: 3, .. });
    let log = run_until(&plan, &splits, &broken.0, second_epoch);
    let flat = trial(&log.record, "flat", 1);
    assert_eq!((flat.status, flat.stopped.reason, flat.stopped.epoch), (Status::Interrupted, Reason::Interrupted, 2));
    assert_eq!((flat.epochs.len(), flat.test.is_none(), flat.weights_sha256.is_none()), (1, true, true));
    assert_eq!((log.started.as_slice(), log.record.comparison.picked.as_ref()), (&["flat 1".to_owned()][..], None));

    let log = run_all(&plan, &splits, &broken.0);
    assert_eq!(log.states, ["flat 1 interrupted", "conv 1 new"]);
    for name in ["flat", "conv"] {
        let (ours, theirs) = (trial(&log.record, name, 1), trial(&expected, name, 1));
        assert_eq!(ours.weights_sha256, theirs.weights_sha256, "{name}");
        assert_eq!((&ours.test, &ours.valid), (&theirs.test, &theirs.valid), "{name}");
        let file = format!("trials/{name}/seed-1/predictions.csv");
        assert_eq!(fs::read(broken.0.join(&file)).unwrap(), fs::read(straight.0.join(&file)).unwrap());
    }
}

/// The trials that were looked at, with how often; a recipe has its name alone, and a choice none.
fn looks(record: &StudyRecord) -> Vec<(String, u64)> {
    let name = |recipe: &Option<String>, seed: Option<u64>| match (recipe, seed) {
        (Some(recipe), Some(seed)) => format!("{recipe} {seed}"),
        (Some(recipe), None) => recipe.clone(),
        _ => String::new(),
    };
    record.test_readings.iter().map(|r| (name(&r.recipe, r.seed), r.count)).collect()
}

#[test]
fn every_look_at_the_test_images_is_counted_and_none_forgotten() {
    let (scratch, splits) = (scratch("looks"), splits(0));
    let counts = |counts: &[(&str, u64)]| counts.iter().map(|&(name, n)| (name.to_owned(), n)).collect::<Vec<_>>();
    let log = run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    assert_eq!(looks(&log.record), counts(&[("conv 1", 1), ("flat 1", 1)]));
    let log = run_all(&plan(STUDY, &splits, settings(2)), &splits, &scratch.0);
    assert_eq!(
        looks(&log.record),
        counts(&[("conv 1", 1), ("conv 2", 1), ("flat 1", 1), ("flat 2", 1), ("conv", 1), ("flat", 1)])
    );
    assert!(log.record.openings().sealed());

    // Other settings, after these results were seen: the same images again.
    let changed = STUDY.replacen("lr = 1e-2", "lr = 2e-2", 1);
    let log = run_all(&plan(&changed, &splits, replacing(settings(1))), &splits, &scratch.0);
    assert_eq!(
        looks(&log.record),
        counts(&[("conv 1", 1), ("conv 2", 1), ("flat 1", 2), ("flat 2", 1), ("conv", 1), ("flat", 1)])
    );
    assert_eq!(
        log.record.openings().to_string(),
        "test opened 5 times for 4 trials, and 2 times for the mean of seeds"
    );
    let log = run_all(&plan(STUDY, &splits, replacing(settings(1))), &splits, &scratch.0);
    assert_eq!(looks(&log.record)[2], ("flat 1".to_owned(), 3));

    let by_test = Settings { chosen_by: ChosenBy::Test, ..settings(1) };
    let log = run_all(&plan(STUDY, &splits, by_test), &splits, &scratch.0);
    assert_eq!(
        (log.record.comparison.chosen_by, log.record.openings().choices),
        (ChosenBy::Test, 0),
        "none is made yet"
    );
    let mut study = FinishedStudy::read(&scratch.0).unwrap();
    study.count_choice(&RunFolder::open(&scratch.0).unwrap()).unwrap();
    assert_eq!(FinishedStudy::read(&scratch.0).unwrap().record.openings().choices, 1, "on disk before it is made");
    let log = run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    assert_eq!((log.record.comparison.chosen_by, log.record.openings().choices), (ChosenBy::Validation, 1));
    let before = looks(&log.record);

    // A record that cannot be read is left alone; without one, what is there was looked at once.
    let results = scratch.0.join("results.json");
    fs::write(&results, "{\"schema\": 1, \"test_rea").unwrap();
    let folder = RunFolder::open(&scratch.0).unwrap();
    let error = run(&plan(STUDY, &splits, settings(3)), &splits, &folder, &|| None, &mut |_| Flow::Continue);
    let error = error.expect_err("the count would be lost").to_string();
    assert!(error.contains("results.json: cannot be read as a record"), "{error}");
    assert_eq!(fs::read_to_string(&results).unwrap(), "{\"schema\": 1, \"test_rea");
    drop(folder);
    fs::remove_file(&results).unwrap();
    let log = run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    assert_eq!(before[2], ("flat 1".to_owned(), 3));
    assert_eq!(
        looks(&log.record),
        counts(&[("conv 1", 1), ("conv 2", 1), ("flat 1", 1), ("flat 2", 1), ("conv", 1), ("flat", 1)])
    );
}

#[test]
fn the_seeds_of_a_recipe_are_measured_together_once() {
    let (scratch, splits) = (scratch("together"), splits(0));
    let log = run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    assert!(log.record.recipes.iter().all(|recipe| recipe.ensemble.is_none()), "one seed is no ensemble");
    let log = run_all(&plan(STUDY, &splits, settings(3)), &splits, &scratch.0);
    for recipe in &log.record.recipes {
        let ensemble = recipe.ensemble.as_ref().expect("there are three seeds");
        assert!(ensemble.seeds == [1, 2, 3] && ensemble.is_of(recipe));
        // By the networks on disk, in another way: whose probabilities of a class have the largest sum.
        let folder = RunFolder::open(&scratch.0).unwrap();
        let of = |trial| splits.test.evaluate(&trained(&folder, &log.record, trial).unwrap(), 1).probabilities;
        let each: Vec<Vec<f32>> = recipe.trials.iter().map(of).collect();
        let sum = |image: usize, class: usize| each.iter().map(|of| f64::from(of[2 * image + class])).sum::<f64>();
        let mut confusion = vec![vec![0; 2]; 2];
        for (n, &label) in splits.test.labels_for_report().iter().enumerate() {
            confusion[usize::from(label)][usize::from(sum(n, 1) > sum(n, 0))] += 1;
        }
        assert_eq!(ensemble.test.confusion, confusion);
        let calibration = ensemble.calibration.as_ref().expect("it is measured");
        let answers: u64 = calibration.plain.test.calibration.bins.iter().map(|bin| bin.answers).sum();
        let right: u64 = calibration.plain.test.calibration.bins.iter().map(|bin| bin.right).sum();
        assert_eq!((answers, right), (40, confusion[0][0] + confusion[1][1]));
        let times: f64 = recipe.trials.iter().map(|trial| trial.train_time_s).sum();
        assert_eq!(ensemble.train_time_s, times);
    }
    // What is the same is not looked at again; what a seed was added to is.
    let again = run_all(&plan(STUDY, &splits, settings(2)), &splits, &scratch.0);
    assert_eq!((&again.record.recipes, looks(&again.record)), (&log.record.recipes, looks(&log.record)));
    let only = Settings { only: vec!["flat".to_owned()], ..settings(4) };
    let log = run_all(&plan(STUDY, &splits, only), &splits, &scratch.0);
    assert_eq!(looks(&log.record)[7..], [("conv".to_owned(), 1), ("flat".to_owned(), 2)]);
}

#[test]
fn a_trial_keeps_what_its_probabilities_are_worth() {
    let (scratch, splits) = (scratch("calibration"), splits(0));
    let log = run_all(&plan(STUDY, &splits, settings(1)), &splits, &scratch.0);
    for trial in log.record.recipes.iter().flat_map(|recipe| &recipe.trials) {
        let found = trial.calibration.as_ref().expect("it finished");
        assert_eq!(found.temperature.is_some(), found.calibrated.is_some());
        for (measured, metrics) in [(&found.plain.valid, &trial.valid), (&found.plain.test, &trial.test)] {
            let metrics = metrics.as_ref().expect("it finished");
            let (ours, theirs) = (measured.loss.unwrap(), metrics.loss.unwrap());
            // Of single-precision probabilities, and of logits.
            assert!((ours - theirs).abs() < 1e-6 * (1.0 + theirs), "{ours} {theirs}");
            let right: u64 = measured.calibration.bins.iter().map(|bin| bin.right).sum();
            let images: u64 = measured.calibration.bins.iter().map(|bin| bin.answers).sum();
            assert_eq!(right as f64 / images as f64, metrics.accuracy);
        }
        if let Some(calibrated) = &found.calibrated {
            assert!(calibrated.valid.loss <= found.plain.valid.loss, "the temperature has the least loss");
        }
    }
}

#[test]
fn a_look_is_on_disk_before_it_is_taken() {
    let (scratch, splits) = (scratch("look-first"), splits(0));
    let plan = plan(STUDY, &splits, settings(1));
    // Something in the way ends the run after the network was measured and before that is on disk.
    let in_the_way = scratch.0.join("trials/flat/.seed-1.new");
    fs::create_dir_all(scratch.0.join("trials/flat")).unwrap();
    fs::write(&in_the_way, "").unwrap();
    fs::write(scratch.0.join(".tenfold.lock"), "").unwrap();
    let folder = RunFolder::open(&scratch.0).unwrap();
    run(&plan, &splits, &folder, &|| None, &mut |_| Flow::Continue).expect_err("it cannot be written");
    drop(folder);
    let record: StudyRecord = serde_json::from_slice(&fs::read(scratch.0.join("results.json")).unwrap()).unwrap();
    assert!(record.recipes.is_empty());
    assert_eq!(looks(&record), [("flat 1".to_owned(), 1)]);
    fs::remove_file(&in_the_way).unwrap();
    let log = run_all(&plan, &splits, &scratch.0);
    assert_eq!(log.record.openings().to_string(), "test opened 3 times for 2 trials");
}

#[test]
fn a_training_beside_other_work_is_marked() {
    let (scratch, splits) = (scratch("busy"), splits(0));
    let plan = plan(STUDY, &splits, settings(1));
    let folder = RunFolder::open(&scratch.0).unwrap();
    let asked = Cell::new(0.0);
    // Before and after the first training, then before and after the second: beside that somebody else works.
    let clock = || {
        asked.set(asked.get() + 1.0);
        let others_s = if asked.get() > 3.0 { 1000.0 } else { 0.0 };
        Some(ProcessorTime { own_s: asked.get(), all_s: asked.get() + others_s })
    };
    let record = run(&plan, &splits, &folder, &clock, &mut |_| Flow::Continue).expect("the folder can be written");
    let (quiet, busy) = (trial(&record, "flat", 1).timing, trial(&record, "conv", 1).timing);
    assert!(!quiet.busy && quiet.other_load == Some(0.0) && quiet.cpu_share.is_some_and(|share| share > 0.0));
    assert!(busy.busy && busy.other_load.is_some_and(|load| load > 0.1), "{busy:?}");
    // Where nobody tells, nothing is claimed.
    let unknown = run(&self::plan(STUDY, &splits, settings(2)), &splits, &folder, &|| None, &mut |_| Flow::Continue);
    assert_eq!(trial(&unknown.unwrap(), "conv", 2).timing, Timing::default());
}

#[test]
fn a_damaged_trial_is_run_again() {
    let (scratch, splits) = (scratch("damaged"), splits(0));
    let plan = plan(STUDY, &splits, settings(1));
    run_all(&plan, &splits, &scratch.0);
    fs::remove_file(scratch.0.join("trials/flat/seed-1/model.safetensors")).unwrap();
    fs::write(scratch.0.join("trials/conv/seed-1/result.json"), "{\"recipe\": \"con").unwrap();
    fs::create_dir(scratch.0.join("trials/conv/seed-x")).unwrap();
    let log = run_all(&plan, &splits, &scratch.0);
    assert_eq!(log.states, ["flat 1 damaged", "conv 1 damaged"]);
    assert_eq!(log.record.recipes.iter().map(|r| r.trials.len()).collect::<Vec<_>>(), [1, 1]);

    fs::write(scratch.0.join("trials/conv/seed-1/model.safetensors"), "other weights").unwrap();
    let folder = RunFolder::open(&scratch.0).unwrap();
    let error = trained(&folder, &log.record, trial(&log.record, "conv", 1)).expect_err("is refused").to_string();
    assert!(error.contains("model.safetensors: is not the file that the trial wrote; remove "), "{error}");
}

#[test]
fn a_diverged_trial_is_kept_without_measurements() {
    let (scratch, splits) = (scratch("diverged"), splits(0));
    let study = STUDY.replacen("kind = \"adam\", lr = 1e-2", "kind = \"sgd\", lr = 1e3, weight_decay = 1e3", 1);
    let study = study.replacen("epochs = 2", "epochs = 40", 1);
    let plan = plan(&study, &splits, settings(1));
    let log = run_all(&plan, &splits, &scratch.0);
    let flat = trial(&log.record, "flat", 1);
    assert_eq!((flat.status, flat.stopped.reason), (Status::Diverged, Reason::Diverged));
    assert!(flat.test.is_none() && flat.valid.is_none() && flat.weights_sha256.is_none());
    assert!(log.record.recipes[0].summary.is_none());
    assert_eq!(log.record.comparison.picked.as_ref().map(|pick| pick.recipe.as_str()), Some("conv"));
    assert!(!scratch.0.join("trials/flat/seed-1/model.safetensors").exists());
    let log = run_all(&plan, &splits, &scratch.0);
    assert_eq!(log.states, ["flat 1 kept", "conv 1 kept"]);
}

#[test]
fn what_does_not_fit_the_data_is_refused_before_any_work() {
    let splits = splits(0);
    let refusal = |study: &str, only: &[&str]| {
        let only = only.iter().map(ToString::to_string).collect();
        let study = Study::parse(study, "small.toml").expect("a study");
        let error = PlannedStudy::new(study, &splits, Settings { only, ..settings(1) }).expect_err("is refused");
        (error.to_string(), error.hint().map(str::to_owned))
    };
    assert_eq!(
        refusal(&STUDY.replacen("batch_size = 16", "batch_size = 81", 1), &[]).0,
        "recipe \"flat\": batch_size is 81, expected 1 to 80, the number of training examples"
    );
    assert_eq!(
        refusal(&STUDY.replace("maxpool 2", "maxpool 7"), &[]).0,
        "recipe \"conv\": layer 3 \"maxpool 7\" cannot take its input of shape 3x6x6: the 7x7 window is larger than the \
         6x6 image"
    );
    assert!(
        refusal(&STUDY.replacen("linear 2", "linear 3", 1), &[])
            .0
            .contains("gives 3; the last layer must be \"linear 2\"")
    );
    let study =
        Study::parse(&STUDY.replacen("linear 2", "linear 50000\", \"linear 2", 1), "small.toml").expect("a study");
    let tight = Settings { free_memory_bytes: Some(1 << 20), ..settings(1) };
    assert_eq!(
        PlannedStudy::new(study, &splits, tight).expect_err("is refused").to_string(),
        "recipe \"flat\": a step of 16 examples needs more than 0.1 GiB of memory, and 0.0 GiB are free"
    );
    let (message, hint) = refusal(STUDY, &["flat", "cnov"]);
    assert_eq!(message, "the study \"small\" has no recipe \"cnov\"");
    assert_eq!(hint.as_deref(), Some("did you mean \"conv\"?"));
    assert_eq!(refusal(STUDY, &["transformer"]).1.as_deref(), Some("its recipes are flat, conv"));
}

/// Images of two channels, of which the second is darker and has less contrast.
fn in_two_channels(grey: &Dataset) -> Dataset {
    let pixels = grey.pixels().chunks(36).flat_map(|image| [image.to_vec(), image.iter().map(|p| p / 3).collect()]);
    let shape = ImageShape { channels: 2, height: 6, width: 6 };
    Dataset::new(pixels.flatten().collect(), grey.labels().to_vec(), shape, 2).expect("the images are fine")
}

#[test]
fn standard_pixels_are_those_of_the_training_images_and_come_back_with_the_network() {
    let (scratch, grey) = (scratch("standard"), splits(0));
    let test = HeldOut::new(in_two_channels(&images(40, 1)));
    let splits = Splits { train: in_two_channels(&grey.train), valid: in_two_channels(&grey.valid), test, ..grey };
    let study = STUDY.replace("batch_size = 16\n", "batch_size = 16\npixels = \"standard\"\n");
    let plan = plan(&study, &splits, settings(1));
    let log = run_all(&plan, &splits, &scratch.0);
    assert_eq!(run_all(&plan, &splits, &scratch.0).states, ["flat 1 kept", "conv 1 kept"]);
    let folder = RunFolder::open(&scratch.0).unwrap();
    let expected = Pixels::standard(&splits.train);
    for recipe in ["flat", "conv"] {
        let record = trial(&log.record, recipe, 1);
        let model = trained(&folder, &log.record, record).expect("the weights are whole");
        assert_eq!(*model.pixels(), expected);
        let (again, test) = (splits.test.evaluate(&model, 1), record.test.as_ref().expect("it is measured"));
        assert_eq!((Some(again.loss), again.accuracy), (test.loss, test.accuracy), "{recipe}");
        // The same numbers, given, are the same training.
        let given = study.replace("\"standard\"", &toml::Value::try_from(&expected).unwrap().to_string());
        assert!(given.contains("mean = [0."), "{given}");
        let given_at = self::scratch("given");
        let given = self::plan(&given, &splits, settings(1));
        let given = run_all(&given, &splits, &given_at.0);
        let other = trial(&given.record, recipe, 1);
        assert_eq!((&other.test, other.epochs.len()), (&record.test, 2), "{recipe}");
        assert_ne!(other.identity, record.identity);
    }
    // A list of another number of channels is refused before any work.
    let lists = STUDY.replace("batch_size = 16\n", "batch_size = 16\npixels = { mean = [0.1, 0.2, 0.3] }\n");
    let study = Study::parse(&lists, "small.toml").expect("a study");
    let error = PlannedStudy::new(study, &splits, settings(1)).expect_err("three of two").to_string();
    assert!(
        error.starts_with("recipe \"flat\": the pixels' mean is a list of 3 numbers, and the images have 2 channels; "),
        "{error}"
    );
    // A file that does not say what is seen of a pixel, as if written by another program.
    let (mut record, file) = (log.record.clone(), "trials/flat/seed-1/model.safetensors");
    let bytes = folder.read(file).unwrap().expect("it is there");
    let at = bytes.windows(6).position(|six| six == b"pixels").expect("the header says it");
    let changed = [&bytes[..at], b"pickle", &bytes[at + 6..]].concat();
    folder.write(file, &changed).unwrap();
    let digest = Sha256::digest(&changed).iter().map(|byte| format!("{byte:02x}")).collect();
    record.recipes[0].trials[0].weights_sha256 = Some(digest);
    let error = trained(&folder, &record, trial(&record, "flat", 1)).expect_err("is refused").to_string();
    assert!(
        error.contains("its metadata do not say what the network sees of a pixel: missing field `pixels`"),
        "{error}"
    );
}

/// Asked for before or after the trainings; measured once, counted, and of no influence on anything else.
#[test]
fn test_time_augmentation_is_measured_beside_the_plain_figures() {
    let (scratch, splits) = (scratch("views"), splits(4));
    let asks = STUDY.replacen("epochs = 2", "epochs = 2\ntest_time_augmentation = [\"flip\", \"shift 1\"]", 1);
    let before = run_all(&plan(STUDY, &splits, settings(2)), &splits, &scratch.0).record;
    let log = run_all(&plan(&asks, &splits, settings(2)), &splits, &scratch.0);
    assert!(log.started.is_empty(), "no training depends on it: {:?}", log.started);
    let (record, recipe) = (&log.record, &log.record.recipes[0]);
    assert!(before.recipes[0].test_time_augmentation.is_none() && record.recipes[1].test_time_augmentation.is_none());
    let views = recipe.test_time_augmentation.as_ref().expect("it was asked for");
    assert!(views.is_of(recipe) && views.count == 10 && views.seeds.len() == 2);
    assert_eq!(views.views.to_string(), "shift 1, flip");
    for of in &views.seeds {
        assert_eq!(of.test.confusion.iter().flatten().sum::<u64>(), 40);
        assert_eq!(of.valid.confusion.iter().flatten().sum::<u64>(), 20);
        assert!(of.evaluation_time_s > of.plain_evaluation_time_s && of.plain_evaluation_time_s > 0.0);
    }
    for (before, after) in before.recipes.iter().zip(&record.recipes) {
        assert_eq!(before.trials, after.trials);
        assert_eq!(before.summary, after.summary);
    }
    assert_eq!(before.comparison, record.comparison);
    let text = record.openings().to_string();
    assert!(text.ends_with("times for the mean of seeds, and once with test-time augmentation"), "{text}");
    assert!(record.openings().sealed());
    // Not again; other views are other measurements, and without them they are gone.
    let again = run_all(&plan(&asks, &splits, settings(2)), &splits, &scratch.0).record;
    assert_eq!(again.recipes[0].test_time_augmentation, recipe.test_time_augmentation);
    assert_eq!(again.openings().views, 1);
    let other = run_all(&plan(&asks.replace("\"flip\", ", ""), &splits, settings(2)), &splits, &scratch.0).record;
    let of_other = other.recipes[0].test_time_augmentation.as_ref().expect("it was asked for");
    assert_eq!((of_other.count, other.openings().views), (5, 2));
    // A new seed has to be measured too.
    let more = run_all(&plan(&asks, &splits, settings(3)), &splits, &scratch.0).record;
    let of_more = more.recipes[0].test_time_augmentation.as_ref().expect("it was asked for");
    assert_eq!((of_more.seeds.len(), &of_more.seeds[0].test, more.openings().views), (3, &views.seeds[0].test, 3));
    let without = run_all(&plan(STUDY, &splits, settings(3)), &splits, &scratch.0).record;
    assert!(without.recipes[0].test_time_augmentation.is_none());
}
