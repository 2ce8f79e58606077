//! Several who work on one folder.

use super::*;
use crate::Study;
use crate::comparison::{ChosenBy, MARGIN};
use crate::plan::Settings;
use crate::record::TrialRecord;
use crate::testing::{environment, scratch, splits};

const STUDY: &str = "name = \"small\"\n[data]\nclasses = 2\nvalid = 20\n[[recipe]]\nname = \"flat\"\nlayers = [\"linear 2\"]\n\
                     batch_size = 16\nepochs = 1\n[[recipe]]\nname = \"conv\"\nlayers = [\"conv 2 3x3 same\", \"relu\", \"linear 2\"]\n\
                     batch_size = 16\nepochs = 2\n";

fn plan(study: &str, splits: &Splits, seeds: u64) -> PlannedStudy {
    let settings = Settings {
        seeds,
        only: Vec::new(),
        epochs: None,
        precision: None,
        environment: environment(),
        free_memory_bytes: None,
        published: false,
        place: None,
        reading: None,
        replace: false,
        chosen_by: ChosenBy::Validation,
        margin: MARGIN,
    };
    PlannedStudy::new(Study::parse(study, "small.toml").expect("a study"), splits, settings).expect("it fits")
}

fn worker(at_most: Option<usize>) -> Worker {
    Worker { holder: "a test".to_owned(), at_most, stale: Duration::from_millis(1) }
}

/// Plans, trains nothing.
fn planned(plan: &PlannedStudy, splits: &Splits, path: &Path) {
    run(plan, splits, &RunFolder::open(path).unwrap(), &|| None, &mut |_| Flow::Stop).unwrap();
}

fn gathered(plan: &PlannedStudy, splits: &Splits, path: &Path) -> StudyRecord {
    let folder = RunFolder::open(path).unwrap();
    take_in_workers(&folder).unwrap();
    // Nothing is left to be trained; all seeds are measured as one.
    run(plan, splits, &folder, &|| None, &mut |_| Flow::Continue).unwrap()
}

fn without_times(record: &StudyRecord) -> StudyRecord {
    let mut record = record.clone();
    for trial in record.recipes.iter_mut().flat_map(|recipe| &mut recipe.trials) {
        *trial = TrialRecord { train_time_s: 0.0, ..trial.clone() };
        trial.timing = Default::default();
        trial.epochs.iter_mut().for_each(|epoch| (epoch.train_time_s, epoch.evaluation_time_s) = (0.0, 0.0));
    }
    for recipe in &mut record.recipes {
        recipe.summary = None;
        let ensemble = recipe.ensemble.as_mut().expect("all seeds were measured as one");
        (ensemble.train_time_s, ensemble.evaluation_time_s) = (0.0, 0.0);
    }
    record
}

#[test]
fn several_workers_leave_what_one_run_does() {
    let (splits, one, many) = (splits(), scratch("work-one"), scratch("work-many"));
    let plan = plan(STUDY, &splits, 6);
    let alone = run(&plan, &splits, &RunFolder::open(one.path()).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
    planned(&plan, &splits, many.path());
    let trained: usize = std::thread::scope(|scope| {
        let work_here = || {
            let folder = SharedFolder::open(many.path()).unwrap();
            assert!(RunFolder::open(many.path()).is_err(), "no run may begin meanwhile");
            let patient = Worker { stale: Duration::from_secs(600), ..worker(None) };
            work(&plan, &splits, &folder, &patient, &|| None, &mut |_| Flow::Continue).unwrap()
        };
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work_here)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap());
        ended
            .map(|(trained, left)| {
                assert_eq!(left, Left::Nothing);
                trained
            })
            .sum()
    });
    assert_eq!(trained, 12, "no trial was trained twice");
    let together = gathered(&plan, &splits, many.path());
    assert_eq!(without_times(&together), without_times(&alone));
    assert!(together.openings().sealed(), "{:?}", together.test_readings);
    for (recipe, seed) in plan.trials() {
        let at = seed_folder(&plan.recipe(recipe).0.name, seed);
        for file in [WEIGHTS, PREDICTIONS] {
            let [a, b] = [&one, &many].map(|of| fs::read(of.path().join(&at).join(file)).unwrap());
            assert!(a == b, "{at}/{file}");
        }
        let beside = fs::read_dir(many.path().join(&at).parent().unwrap()).unwrap().flatten();
        let left: Vec<_> =
            beside.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    let status = crate::status::status(many.path()).unwrap();
    assert_eq!(
        status.recipes.iter().map(|recipe| (recipe.finished, recipe.left)).collect::<Vec<_>>(),
        [(6, 0), (6, 0)]
    );
}

#[test]
fn who_is_killed_is_followed_and_looks_are_counted() {
    let (splits, scratch) = (splits(), scratch("work-killed"));
    let at = scratch.path();
    let plan = plan(STUDY, &splits, 2);
    planned(&plan, &splits, at);
    // One was killed after it had looked at the test images and before its trial was whole: its lease, and its count.
    let folder = SharedFolder::open(at).unwrap();
    let (first, path) = (worker(Some(1)), work_path(at, "flat", 1));
    assert_eq!(work(&plan, &splits, &folder, &first, &|| None, &mut |_| Flow::Continue).unwrap(), (1, Left::Some));
    fs::remove_dir_all(at.join("trials/flat/seed-1")).unwrap();
    fs::write(lease_path(at, "flat", 1), "{\"holder\":\"gone, process 7\",\"id\":\"7\",\"renewals\":3}").unwrap();
    let status = crate::status::status(at).unwrap();
    assert_eq!((status.working.len(), &*status.working[0].holder), (1, "gone, process 7"));
    assert_eq!(status.recipes.iter().map(|recipe| &recipe.left_seeds[..]).collect::<Vec<_>>(), [[1, 2], [1, 2]]);
    assert!(path.join(RESULTS).exists());
    let mut waited = 0;
    let ended = work(&plan, &splits, &folder, &worker(None), &|| None, &mut |event| {
        waited += usize::from(matches!(event, WorkEvent::Waiting(_)));
        Flow::Continue
    });
    assert_eq!(ended.unwrap(), (4, Left::Nothing));
    drop(folder);
    fs::write(lease_path(at, "conv", 2), "of one who was killed later").unwrap();
    let record = gathered(&plan, &splits, at);
    let trials = record.test_readings.iter().filter(|r| r.reason == ReadingReason::Trial);
    let counts: Vec<_> = trials.map(|r| (r.recipe.as_deref().unwrap(), r.seed.unwrap(), r.count)).collect();
    assert_eq!(counts, [("conv", 1, 1), ("conv", 2, 1), ("flat", 1, 2), ("flat", 2, 1)]);
    assert!(!lease_path(at, "conv", 2).exists() && !path.exists(), "what workers left is gone");
    // Gathering again counts nothing again.
    assert_eq!(gathered(&plan, &splits, at).test_readings, record.test_readings);
}

#[test]
fn who_is_stopped_goes_on_and_other_settings_are_refused() {
    let (splits, scratch) = (splits(), scratch("work-stopped"));
    let at = scratch.path();
    let first = plan(STUDY, &splits, 1);
    planned(&first, &splits, at);
    let folder = SharedFolder::open(at).unwrap();
    let stopped = work(&first, &splits, &folder, &worker(None), &|| None, &mut |event| {
        let begun = matches!(event, WorkEvent::Run(StudyEvent::Training { recipe: 1, .. }));
        if begun { Flow::Stop } else { Flow::Continue }
    });
    assert_eq!(stopped.unwrap(), (1, Left::Stopped));
    assert!(!lease_path(at, "conv", 1).exists(), "the lease is given back");
    // A busy neighbour: who came for a few leaves, once it was seen to be alive.
    let lease = lease_path(at, "conv", 1);
    let mut n = 0;
    let patient = Worker { stale: Duration::from_secs(600), ..worker(Some(1)) };
    fs::write(&lease, "0").unwrap();
    let left = work(&first, &splits, &folder, &patient, &|| None, &mut |_| {
        n += 1;
        fs::write(&lease, n.to_string()).unwrap();
        Flow::Continue
    });
    assert_eq!(left.unwrap(), (0, Left::ToOthers));
    fs::remove_file(&lease).unwrap();
    let ended = work(&first, &splits, &folder, &worker(Some(5)), &|| None, &mut |_| Flow::Continue);
    assert_eq!(ended.unwrap(), (1, Left::Nothing));
    let other = plan(&STUDY.replace("epochs = 1", "epochs = 3"), &splits, 1);
    let error =
        work(&other, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "flat/seed-1/result.json: is a finished training of other settings, data or training code than planned"
        ),
        "{error}"
    );
}
