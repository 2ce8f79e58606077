//! Several who work on one folder.

use tenfold_nn::train::Event;

use super::*;
use crate::plan::{Replace, Settings};
use crate::record::TrialRecord;
use crate::run::Position;
use crate::spec::Study;
use crate::testing::{plan, scratch, settings, splits};
use crate::trial::{PREDICTIONS, WEIGHTS};

const STUDY: &str = "name = \"small\"\n[data]\nclasses = 2\nvalid = 20\n[[recipe]]\nname = \"flat\"\nlayers = [\"linear 2\"]\n\
                     batch_size = 16\nepochs = 1\n[[recipe]]\nname = \"conv\"\nlayers = [\"conv 2 3x3 same\", \"relu\", \"linear 2\"]\n\
                     batch_size = 16\nepochs = 2\n";

fn worker(at_most: Option<usize>) -> Worker {
    Worker { holder: "a test".to_owned(), several: false, at_most, stale: Duration::from_millis(1) }
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
        for of in recipe.test_time_augmentation.iter_mut().flat_map(|views| &mut views.seeds) {
            (of.plain_evaluation_time_s, of.evaluation_time_s) = (0.0, 0.0);
        }
    }
    record
}

#[test]
fn several_workers_leave_what_one_run_does() {
    let (splits, one, many) = (splits(), scratch("work-one"), scratch("work-many"));
    let study = STUDY.replacen("epochs = 1", "epochs = 1\ntest_time_augmentation = [\"flip\"]", 1);
    let plan = plan(&study, &splits, 6, false);
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
    assert_eq!(together.openings().views, 1, "by who gathers, for all seeds");
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
fn times_of_trainings_side_by_side_are_not_compared_where_the_system_tells_nothing() {
    let (splits, scratch) = (splits(), scratch("work-beside"));
    let plan = plan(STUDY, &splits, 1, false);
    planned(&plan, &splits, scratch.path());
    let folder = SharedFolder::open(scratch.path()).unwrap();
    let worker = Worker { several: true, ..worker(None) };
    work(&plan, &splits, &folder, &worker, &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    let record = gathered(&plan, &splits, scratch.path());
    let timings = record.recipes.iter().flat_map(|recipe| &recipe.trials).map(|trial| trial.timing);
    assert!(timings.clone().count() == 2 && timings.clone().all(|timing| timing.busy), "{:?}", record.recipes);
}

#[test]
fn who_is_killed_is_followed_and_looks_are_counted() {
    let (splits, scratch) = (splits(), scratch("work-killed"));
    let at = scratch.path();
    let plan = plan(STUDY, &splits, 2, false);
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
    let first = plan(STUDY, &splits, 1, false);
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
    let other = plan(&STUDY.replace("epochs = 1", "epochs = 3"), &splits, 1, false);
    let error =
        work(&other, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "flat/seed-1/result.json: is a finished training of other settings, data or training code than planned; to train it \
             again and replace it, plan with --replace"
        ),
        "{error}"
    );
}

/// Where trainings of one seed that were begun are gone on with, and after how many more steps they are stopped.
fn stopping<'a>(
    from: &'a mut Vec<(usize, Option<Position>)>,
    mut steps: usize,
) -> impl FnMut(&StudyEvent) -> Flow + 'a {
    move |event| {
        match event {
            StudyEvent::TrialStarted { recipe, from: at, .. } => from.push((*recipe, *at)),
            StudyEvent::Training { event: tenfold_nn::train::Event::Step { .. }, .. } => steps -= 1,
            _ => {}
        }
        if steps == 0 { Flow::Stop } else { Flow::Continue }
    }
}

#[test]
fn a_training_goes_on_whether_a_run_or_a_worker_began_it() {
    let (splits, one, both) = (splits(), scratch("work-begun-one"), scratch("work-begun"));
    let (plan, at) = (plan(STUDY, &splits, 1, false), both.path());
    let alone = run(&plan, &splits, &RunFolder::open(one.path()).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
    let run_for = |steps| {
        let (mut from, folder) = (Vec::new(), RunFolder::open(at).unwrap());
        take_in_workers(&folder).unwrap();
        run(&plan, &splits, &folder, &|| None, &mut stopping(&mut from, steps)).unwrap();
        from
    };
    let work_for = |steps| {
        let (mut from, folder) = (Vec::new(), SharedFolder::open(at).unwrap());
        let mut stop = stopping(&mut from, steps);
        let ended = work(&plan, &splits, &folder, &worker(None), &|| None, &mut |event| match event {
            WorkEvent::Run(event) => stop(event),
            WorkEvent::Waiting(_) => Flow::Continue,
        });
        drop(stop);
        ended.unwrap();
        from
    };
    let at_step = |epoch, step| Some(Position { epoch, step, steps: 3 });
    // The first recipe takes 3 steps, the second 2 times 3.
    assert_eq!(run_for(1), [(0, None)]);
    assert_eq!(work_for(3), [(0, at_step(1, 1)), (1, None)]);
    assert_eq!(run_for(1), [(1, at_step(1, 1))]);
    assert_eq!(run_for(1), [(1, at_step(1, 2))]);
    assert_eq!(work_for(1), [(1, at_step(1, 3))]);
    assert_eq!(work_for(1), [(1, at_step(2, 1))]);
    assert_eq!(run_for(9), [(1, at_step(2, 2))]);
    let mut together = gathered(&plan, &splits, at);
    assert_eq!(together.recipes[1].trials[0].timing.parts, 6);
    assert!(together.openings().sealed(), "{:?}", together.test_readings);
    let mut alone = alone;
    for record in [&mut together, &mut alone] {
        // One seed is no ensemble.
        record.recipes.iter_mut().for_each(|recipe| recipe.trials[0].timing = Default::default());
    }
    let weights = |record: &StudyRecord| {
        let trials = record.recipes.iter().map(|recipe| &recipe.trials[0]);
        trials.map(|trial| (trial.weights_sha256.clone(), trial.test.clone())).collect::<Vec<_>>()
    };
    assert_eq!(weights(&together), weights(&alone));
    for recipe in ["flat", "conv"] {
        let names: Vec<_> = fs::read_dir(at.join("trials").join(recipe)).unwrap().flatten().collect();
        assert_eq!(names.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["seed-1"]);
    }
}

/// A copy of a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn looks_are_counted_once_wherever_taking_in_is_killed() {
    let (splits, scratch) = (splits(), scratch("work-taking-in"));
    let (plan, at) = (plan(STUDY, &splits, 1, false), scratch.path().join("before"));
    planned(&plan, &splits, &at);
    let folder = SharedFolder::open(&at).unwrap();
    work(&plan, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    // One of two was killed before it put its training in its place.
    fs::rename(at.join("trials/conv/seed-1"), work_path(&at, "conv", 1).join("trials/conv/seed-1")).unwrap();
    let mut kills = 0;
    for change in 0.. {
        let at = {
            let copied = scratch.path().join(format!("killed-{change}"));
            copy(&at, &copied);
            copied
        };
        let folder = RunFolder::open(&at).unwrap();
        folder.faults.reset();
        folder.faults.kill_at(change);
        let killed = take_in_workers(&folder).is_err();
        drop(folder);
        let mut trained = 0;
        let folder = RunFolder::open(&at).unwrap();
        take_in_workers(&folder).unwrap();
        let record = run(&plan, &splits, &folder, &|| None, &mut |event| {
            trained += usize::from(matches!(event, StudyEvent::TrialStarted { .. }));
            Flow::Continue
        });
        let record = record.unwrap();
        assert_eq!(
            (record.openings().to_string(), trained),
            ("test opened once per trial, after all choices were fixed".to_owned(), 0),
            "killed at change {change}"
        );
        for recipe in ["flat", "conv"] {
            assert_eq!(folder.list(format!("trials/{recipe}")).unwrap(), ["seed-1"], "killed at change {change}");
        }
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 5, "{kills}");
}

#[test]
fn what_a_worker_had_finished_and_not_yet_put_in_its_place_is_not_lost() {
    let (splits, scratch) = (splits(), scratch("work-unpublished"));
    let (plan, at) = (plan(STUDY, &splits, 1, false), scratch.path());
    planned(&plan, &splits, at);
    let folder = SharedFolder::open(at).unwrap();
    work(&plan, &splits, &folder, &worker(Some(1)), &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    // Killed just before.
    fs::rename(at.join("trials/flat/seed-1"), work_path(at, "flat", 1).join("trials/flat/seed-1")).unwrap();
    let folder = RunFolder::open(at).unwrap();
    take_in_workers(&folder).unwrap();
    let mut trained = Vec::new();
    run(&plan, &splits, &folder, &|| None, &mut |event| {
        if let StudyEvent::TrialStarted { recipe, .. } = event {
            trained.push(*recipe);
        }
        Flow::Continue
    })
    .unwrap();
    assert_eq!(trained, [1], "the other one is there");
}

#[test]
fn a_study_that_is_planned_anew_is_trained_and_replaces_what_was_there() {
    let (splits, scratch) = (splits(), scratch("work-replace"));
    let (first, at) = (plan(STUDY, &splits, 2, false), scratch.path());
    let folder = RunFolder::open(at).unwrap();
    run(&first, &splits, &folder, &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    let longer = STUDY.replace("epochs = 1", "epochs = 3");
    let second = plan(&longer, &splits, 2, true);
    planned(&second, &splits, at);
    let counts = || {
        let status = crate::status::status(at).unwrap();
        status.recipes.iter().map(|recipe| (recipe.finished, recipe.left)).collect::<Vec<_>>()
    };
    assert_eq!(counts(), [(0, 2), (2, 0)], "what is there of the first recipe is not what is planned");
    // As one is left that is killed between taking the old one away and putting the new one there.
    fs::rename(at.join("trials/flat/seed-2"), at.join("trials/flat/.seed-2.old")).unwrap();
    let work_for = |at_most| {
        let folder = SharedFolder::open(at).unwrap();
        work(&second, &splits, &folder, &worker(at_most), &|| None, &mut |_| Flow::Continue).unwrap()
    };
    assert_eq!(work_for(Some(1)), (1, Left::Some));
    assert_eq!(counts(), [(1, 1), (2, 0)]);
    assert_eq!(work_for(None), (1, Left::Nothing));
    let record = gathered(&second, &splits, at);
    let epochs = record.recipes[0].trials.iter().map(|trial| trial.epochs.len()).collect::<Vec<_>>();
    assert_eq!(epochs, [3, 3]);
    let names: Vec<_> =
        fs::read_dir(at.join("trials/flat")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // One that diverges replaces nothing, and is not trained for ever.
    let wild = "epochs = 100\noptimizer = { kind = \"sgd\", lr = 1e3, weight_decay = 1e3 }";
    let third = plan(&STUDY.replace("epochs = 1", wild), &splits, 1, true);
    planned(&third, &splits, at);
    let folder = SharedFolder::open(at).unwrap();
    let ended = work(&third, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue);
    assert_eq!(ended.unwrap(), (1, Left::Nothing));
    drop(folder);
    let folder = RunFolder::open(at).unwrap();
    take_in_workers(&folder).unwrap();
    assert!(second.on_disk(&folder).unwrap().records.contains_key(&(0, 1)), "the finished one keeps its place");
}

#[test]
fn what_was_to_be_replaced_once_is_not_replaced_for_ever() {
    let (splits, here, out) = (splits(), scratch("work-spent"), scratch("work-spent-merged"));
    let at = here.path();
    run(&plan(STUDY, &splits, 1, false), &splits, &RunFolder::open(at).unwrap(), &|| None, &mut |_| Flow::Continue)
        .unwrap();
    let second = plan(&STUDY.replace("epochs = 1", "epochs = 3"), &splits, 1, true);
    planned(&second, &splits, at);
    let may_replace = |path| !crate::FinishedStudy::record(path).unwrap().asked.unwrap().may_replace.is_empty();
    assert!(may_replace(at), "workers are to know");
    // A machine that shares nothing is sent a copy; what it makes of it replaces nothing.
    let folders = [crate::FinishedStudy::read(at).unwrap()];
    let merged = RunFolder::open(out.path()).unwrap();
    crate::Merge::new(&folders).unwrap().write(&merged).unwrap();
    assert!(!may_replace(out.path()));
    let folder = SharedFolder::open(at).unwrap();
    work(&second, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    gathered(&second, &splits, at);
    assert!(!may_replace(at), "all that was asked for is done");
}

#[test]
fn what_may_be_replaced_is_replaced_by_what_was_planned_then_and_by_nothing_else() {
    let (splits, here) = (splits(), scratch("work-replaced-by"));
    let at = here.path();
    let longer = |epochs: usize| STUDY.replace("epochs = 1", &format!("epochs = {epochs}"));
    let first = plan(STUDY, &splits, 2, false);
    run(&first, &splits, &RunFolder::open(at).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
    let second = plan(&longer(3), &splits, 2, true);
    planned(&second, &splits, at);
    let allowed = crate::FinishedStudy::record(at).unwrap().asked.unwrap().may_replace;
    let expected = second.trials().map(|(recipe, seed)| second.settings(recipe, seed).identity());
    assert_eq!(allowed, std::collections::BTreeSet::from_iter(expected).into_iter().collect::<Vec<_>>());
    // As a worker plans that finds the study edited once one of the trainings has been replaced.
    let work_on = |epochs: usize, at_most| {
        let settings = Settings {
            replace: Replace::By(
                crate::FinishedStudy::record(at).unwrap().asked.unwrap().may_replace.into_iter().collect(),
            ),
            ..settings(2, false)
        };
        let study = Study::parse(&longer(epochs), "small.toml").unwrap();
        let plan = PlannedStudy::new(study, &splits, settings).unwrap();
        let folder = SharedFolder::open(at).unwrap();
        work(&plan, &splits, &folder, &worker(at_most), &|| None, &mut |_| Flow::Continue)
    };
    assert_eq!(work_on(3, Some(1)).unwrap(), (1, Left::Some));
    for seed in [1, 2] {
        assert!(matches!(work_on(4, None), Err(WorkError::Changed { .. })), "seed {seed}");
        // Neither what was replaced, nor what was to be.
        let ended = Ended::read(&at.join(seed_folder("flat", seed))).unwrap().unwrap();
        let stays = if seed == 1 { &second } else { &first };
        assert_eq!(ended.identity, stays.settings(0, seed).identity());
    }
    // What such a worker had trained all the same, before it was killed, takes nobody's place either.
    let other = scratch("work-replaced-by-other");
    let edited = plan(&longer(4), &splits, 2, false);
    run(&edited, &splits, &RunFolder::open(other.path()).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
    let left = work_path(at, "flat", 2).join(seed_folder("flat", 2));
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::rename(other.path().join(seed_folder("flat", 2)), left).unwrap();
    take_in_workers(&RunFolder::open(at).unwrap()).unwrap();
    let identity = || Ended::read(&at.join(seed_folder("flat", 2))).unwrap().unwrap().identity;
    assert_eq!(identity(), first.settings(0, 2).identity());
    assert_eq!(work_on(3, None).unwrap(), (1, Left::Nothing));
    assert_eq!(identity(), second.settings(0, 2).identity());
}

#[test]
fn what_a_gathering_had_taken_when_it_was_killed_is_not_trained_again() {
    let (splits, here) = (splits(), scratch("work-taken"));
    let (plan, at) = (plan(STUDY, &splits, 2, false), here.path());
    planned(&plan, &splits, at);
    let work_here = |stop: bool| {
        let folder = SharedFolder::open(at).unwrap();
        let mut begun = Vec::new();
        let ended = work(&plan, &splits, &folder, &worker(None), &|| None, &mut |event| {
            if let WorkEvent::Run(StudyEvent::TrialStarted { recipe, seed, from, .. }) = event {
                begun.push((*recipe, *seed, from.map(|from| from.step)));
            }
            // In the middle of the second epoch of the one that is left.
            let step = matches!(event, WorkEvent::Run(StudyEvent::Training { event: Event::Step { step: 1, .. }, .. }));
            if stop && step && begun.len() == 1 { Flow::Stop } else { Flow::Continue }
        });
        (ended.unwrap(), begun)
    };
    assert_eq!(work_here(false).0, (4, Left::Nothing));
    let results = fs::read(at.join(RESULTS)).unwrap();
    let straight = gathered(&plan, &splits, at);
    // One was taken, one more had gone out of there and was about to take its place, and the checkpoint of a third was taken.
    fs::write(at.join(RESULTS), results).unwrap();
    let taken = |name: &str, seed: u64| at.join(format!("trials/{name}/.seed-{seed}.taken-7-5"));
    let beside = taken("flat", 1).join(seed_folder("flat", 1));
    fs::create_dir_all(beside.parent().unwrap()).unwrap();
    fs::rename(at.join(seed_folder("flat", 1)), beside).unwrap();
    let [new, _] = trial::beside("flat", 2);
    fs::rename(at.join(seed_folder("flat", 2)), at.join(new)).unwrap();
    fs::remove_dir_all(at.join(seed_folder("conv", 1))).unwrap();
    let (ended, begun) = work_here(true);
    assert_eq!((ended.1, begun), (Left::Stopped, vec![(1, 1, None)]), "the first two are there");
    fs::rename(work_path(at, "conv", 1), taken("conv", 1)).unwrap();
    let (ended, begun) = work_here(false);
    assert_eq!(ended, (1, Left::Nothing));
    assert!(matches!(begun[..], [(1, 1, Some(step))] if step > 0), "{begun:?}");
    assert_eq!(without_times(&gathered(&plan, &splits, at)).recipes, without_times(&straight).recipes);
}

#[test]
fn the_time_of_all_seeds_is_that_of_their_trainings_however_they_came_together() {
    let (splits, one, other, out) = (splits(), scratch("time-one"), scratch("time-other"), scratch("time-merged"));
    let plan = plan(STUDY, &splits, 2, false);
    let checked = |path: &Path| {
        let study = crate::FinishedStudy::read(path).unwrap();
        for recipe in &study.record.recipes {
            let sum: f64 = recipe.trials.iter().map(|trial| trial.train_time_s).sum();
            assert_eq!(recipe.ensemble.as_ref().unwrap().train_time_s, sum, "{}", path.display());
        }
        assert_eq!(crate::verify::check_study(&study, Some(&splits), 1), []);
        study
    };
    for path in [one.path(), other.path()] {
        gathered(&plan, &splits, path);
        checked(path);
    }
    // Half of one folder was trained beside other work, so that of the other is taken.
    let mut study = crate::FinishedStudy::read(one.path()).unwrap();
    study.record.recipes.iter_mut().for_each(|recipe| recipe.trials[1].timing.busy = true);
    let studies = [study, checked(other.path())];
    let folder = RunFolder::open(out.path()).unwrap();
    crate::Merge::new(&studies).unwrap().write(&folder).unwrap();
    checked(out.path());
    // Trained again, to the same bits.
    fs::remove_file(one.path().join("trials/flat/seed-2").join(PREDICTIONS)).unwrap();
    gathered(&plan, &splits, one.path());
    checked(one.path());
}

#[test]
fn a_replacement_that_diverges_is_kept_beside_what_had_finished_and_nobody_trains_it_again() {
    let splits = splits();
    let wild = "epochs = 100\noptimizer = { kind = \"sgd\", lr = 1e3, weight_decay = 1e3 }";
    let (first, wild) = (plan(STUDY, &splits, 2, false), STUDY.replace("epochs = 1", wild));
    for by_workers in [true, false] {
        let scratch = scratch(&format!("work-diverged-{by_workers}"));
        let at = scratch.path();
        run(&first, &splits, &RunFolder::open(at).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
        let second = plan(&wild, &splits, 2, true);
        let work_here = || {
            let folder = SharedFolder::open(at).unwrap();
            work(&second, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap()
        };
        if by_workers {
            planned(&second, &splits, at);
            assert_eq!(work_here(), (2, Left::Nothing));
        } else {
            gathered(&second, &splits, at);
        }
        let counts = || {
            let status = crate::status::status(at).unwrap();
            let counts = status.recipes.iter().map(|recipe| (recipe.finished, recipe.diverged, recipe.left));
            counts.collect::<Vec<_>>()
        };
        let expected = [(0, 2, 0), (2, 0, 0)];
        assert_eq!(counts(), expected, "as soon as it has ended");
        let record = gathered(&second, &splits, at);
        let statuses = |record: &StudyRecord| {
            let trials = record.recipes.iter().flat_map(|recipe| &recipe.trials);
            trials.map(|trial| trial.status).collect::<Vec<_>>()
        };
        use Status::{Diverged, Finished};
        assert_eq!(statuses(&record), [Diverged, Diverged, Finished, Finished]);
        assert_eq!(counts(), expected);
        assert_eq!(work_here(), (0, Left::Nothing), "nothing is trained again");
        // The record says what the folder does, whoever asks.
        let study = crate::FinishedStudy::read(at).unwrap();
        assert_eq!(crate::status::ungathered(at, &study.record), [""; 0]);
        for trial in study.record.recipes.iter().flat_map(|recipe| &recipe.trials) {
            let of = crate::diff::TrialOf { folder: at, record: &study.record, trial };
            assert_eq!(crate::verify::check_files(of, Some(&splits), 1), [], "{} seed {}", trial.recipe, trial.seed);
        }
        let out = crate::testing::scratch(&format!("work-diverged-merged-{by_workers}"));
        let folder = RunFolder::open(out.path()).unwrap();
        let folders = [study];
        let merged = crate::Merge::new(&folders).unwrap().write(&folder).unwrap();
        assert_eq!(statuses(&merged), statuses(&record));
        assert!(!out.path().join("trials/flat/seed-1").join(WEIGHTS).exists(), "it is another network's");
        drop(folder);
        assert_eq!(statuses(&gathered(&plan(&wild, &splits, 2, false), &splits, out.path())), statuses(&record));
        // What had finished is found by the command that made it.
        assert_eq!(statuses(&gathered(&first, &splits, at)), [Finished; 4]);
        // What finishes in its place leaves nothing beside it.
        gathered(&plan(&STUDY.replace("epochs = 1", "epochs = 3"), &splits, 2, true), &splits, at);
        let names = fs::read_dir(at.join("trials/flat")).unwrap().flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["seed-1", "seed-2"]);
    }
}

#[test]
fn a_replacement_that_diverged_and_was_not_put_in_its_place_is_not_lost() {
    let (splits, scratch) = (splits(), scratch("work-diverged-unpublished"));
    let at = scratch.path();
    let wild = "epochs = 100\noptimizer = { kind = \"sgd\", lr = 1e3, weight_decay = 1e3 }";
    let (first, second) = (plan(STUDY, &splits, 1, false), plan(&STUDY.replace("epochs = 1", wild), &splits, 1, true));
    run(&first, &splits, &RunFolder::open(at).unwrap(), &|| None, &mut |_| Flow::Continue).unwrap();
    planned(&second, &splits, at);
    let folder = SharedFolder::open(at).unwrap();
    work(&second, &splits, &folder, &worker(None), &|| None, &mut |_| Flow::Continue).unwrap();
    drop(folder);
    // Killed just before.
    fs::rename(at.join(trial::aside("flat", 1)), work_path(at, "flat", 1).join(seed_folder("flat", 1))).unwrap();
    let folder = RunFolder::open(at).unwrap();
    take_in_workers(&folder).unwrap();
    let records = second.on_disk(&folder).unwrap().records;
    assert_eq!(records[&(0, 1)].status, Status::Diverged);
    assert!(first.on_disk(&folder).unwrap().records.contains_key(&(0, 1)), "the finished one keeps its place");
}
