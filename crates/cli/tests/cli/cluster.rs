//! `tenfold run --plan-only`, `work`, `status`, `submit` and `merge`.

use super::*;

const TWO: &str = "name = \"mine\"\n\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\nepochs = 2\n\n[[recipe]]\n\
                   name = \"b\"\nlayers = [\"conv 3 5x5\", \"relu\", \"maxpool 2\", \"linear 10\"]\nepochs = 1\n";

/// The records of two folders, times and machines apart.
#[track_caller]
fn same_results(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| {
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(path.join("results.json")).unwrap()).unwrap();
        without_times(&mut record);
        record["environment"].take();
        for recipe in record["recipes"].as_array_mut().unwrap() {
            for trial in recipe["trials"].as_array_mut().unwrap() {
                trial["environment"].take();
            }
        }
        record
    });
    assert_eq!(one, other);
}

/// A folder with data, a straight run of the study in `straight`, and the plan of the same in `out`.
fn planned(name: &str) -> PathBuf {
    let path = with_data(name, |_, _| {});
    let file = study_file(&path, TWO);
    let straight = path.join("straight");
    let data = path.join("data");
    let common = ["run", &file, "--data", text(&data), "--seeds", "2", "--threads", "1"];
    assert_eq!(run(&[&common[..], &["--out", text(&straight)]].concat()).code, Some(0));
    let out = path.join("out");
    let ended = run(&[&common[..], &["--out", text(&out), "--plan-only"]].concat());
    assert_eq!((ended.code, &*ended.out), (Some(0), ""), "{}", ended.err);
    let words = format!("planned: 4 trainings to go; `tenfold work {}` runs them", text(&out));
    assert!(ended.err.contains(&words), "{}", ended.err);
    path
}

#[test]
fn two_who_work_on_a_plan_leave_what_a_run_does() {
    let path = planned("cli-work");
    let out = path.join("out");
    let ended = run(&["status", text(&out)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(
        ended.out,
        "mine: 0 of 4 trainings done\n  a  0 finished, 2 left\n  b  0 finished, 2 left\n\
         how long it takes is not known until a and b have finished once\n"
    );
    let start = || {
        tenfold(&["work", text(&out), "--threads", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for ended in &both {
        assert_eq!(ended.status.code(), Some(0), "{}", words(&ended.stderr));
    }
    // Each training once, by the one or the other.
    let lines: Vec<String> =
        both.iter().flat_map(|ended| words(&ended.stderr).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    for name in ["a seed 1", "a seed 2", "b seed 1", "b seed 2"] {
        let done = format!("{name}: done, test accuracy ");
        assert_eq!(lines.iter().filter(|line| line.starts_with(&done)).count(), 1, "{lines:?}");
    }
    assert!(both.iter().any(|ended| words(&ended.stdout).contains("\nPick, best on validation: ")), "{lines:?}");
    same_results(&path.join("straight"), &out);
    assert!(out.join("report.html").is_file() && out.join("pictures/curves.svg").is_file());
    for trial in ["a/seed-1", "a/seed-2", "b/seed-1", "b/seed-2"] {
        let weights = |of: &str| fs::read(path.join(of).join("trials").join(trial).join("model.safetensors")).unwrap();
        assert!(weights("straight") == weights("out"), "{trial}");
    }
    let ended = run(&["status", text(&out), "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&said["left_s"], &said["recipes"][1]["finished"]), (&0.0.into(), &2.into()), "{said}");
    assert_eq!(run(&["verify", text(&out), "--sample", "1"]).code, Some(0));
    // Any run goes on from there.
    let ended = run_in(&path, &[text(&path.join("mine.toml")), "--seeds", "2"]);
    assert!(ended.code == Some(0) && ended.err.contains("b seed 2 was finished before and is kept"), "{}", ended.err);
    for (arguments, code, message) in [
        (&["work", "nowhere"][..], 2, "there is no such folder"),
        (&["work", text(&path)], 2, "is not a run folder"),
        (&["run", "--plan-only", "--choose-by", "test"], 2, "which --plan-only leaves to others"),
    ] {
        let ended = run(arguments);
        assert!(ended.code == Some(code) && ended.err.contains(message), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn jobs_side_by_side_leave_what_a_run_does() {
    let path = planned("cli-jobs");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (file, data, out) = (path.join("mine.toml"), path.join("data"), path.join("out"));
    let jobs = |n: usize, more: &[&str]| {
        let arguments = ["run", text(&file), "--data", text(&data), "--out", text(&out), "--seeds", "2", "--jobs"];
        run(&[&arguments[..], &[&n.to_string()], more].concat())
    };
    let ended = jobs(cores + 1, &[]);
    let words = format!("error: {} trainings at a time, on 1 thread each, take {} processors", cores + 1, cores + 1);
    assert!(ended.code == Some(2) && ended.err.starts_with(&words), "{}", ended.err);
    assert_eq!(jobs(2, &["--replace"]).code, Some(2));
    if cores < 2 {
        return;
    }
    assert_eq!(jobs(cores, &["--threads", "2"]).code, Some(2), "twice as many threads as processors");
    let ended = jobs(2, &["--threads", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("4 trainings to go, 2 at a time\n"), "{}", ended.err);
    assert!(ended.out.contains("\nPick, best on validation: ") && out.join("report.html").is_file(), "{}", ended.out);
    same_results(&path.join("straight"), &out);
    // What is missing is trained, and nothing else.
    fs::remove_dir_all(out.join("trials/b/seed-2")).unwrap();
    let ended = jobs(2, &["--threads", "1", "--format", "json"]);
    assert!(ended.code == Some(0) && ended.err.contains("1 training to go, 2 at a time\n"), "{}", ended.err);
    let said: serde_json::Value = serde_json::from_str(&ended.out).expect("results.json is printed");
    assert_eq!(said["recipes"][1]["trials"].as_array().map(Vec::len), Some(2));
}

#[cfg(unix)]
#[test]
fn where_one_job_has_no_room_the_others_end_what_they_have_begun() {
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return;
    }
    let path = with_data("cli-jobs-room", |_, _| {});
    let (data, out) = (path.join("data"), path.join("out"));
    let recipe = |name: &str, layers: &str, epochs: usize| {
        format!("[[recipe]]\nname = \"{name}\"\nlayers = [{layers}]\nepochs = {epochs}\n")
    };
    // The first is over when the second has long begun; the weights of the third are larger than a file may be.
    let study = [
        recipe("short", "\"linear 10\"", 1),
        recipe("long", "\"conv 8 5x5\", \"relu\", \"maxpool 2\", \"linear 10\"", 40),
        recipe("large", "\"linear 2000\", \"relu\", \"linear 10\"", 1),
        recipe("last", "\"linear 10\"", 1),
    ];
    let file = study_file(&path, &format!("name = \"mine\"\n{}", study.concat()));
    let command = format!(
        "trap '' XFSZ; ulimit -f 6000; exec '{}' run '{file}' --data '{}' --out '{}' --jobs 2 --threads 1",
        env!("CARGO_BIN_EXE_tenfold"),
        text(&data),
        text(&out)
    );
    let ended = ended(Command::new("sh").args(["-c", &command]).stdin(Stdio::null()));
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("there is no room for what the training of large seed 1 will write"), "{}", ended.err);
    assert!(ended.err.contains("long seed 1: done, test accuracy "), "{}", ended.err);
    assert!(out.join("trials/long/seed-1/result.json").is_file(), "{}", ended.err);
    assert!(!out.join("trials/last/seed-1").exists(), "none is begun after that: {}", ended.err);
}

#[test]
fn jobs_share_the_memory() {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free_kib = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    let (Some::<f64>(free_kib), Ok(2..)) = (free_kib, std::thread::available_parallelism().map(|n| n.get())) else {
        return;
    };
    let path = with_data("cli-jobs-memory", |_, _| {});
    // Somebody else's folder, so that nothing is trained whatever is said of the memory.
    let (data, out) = (path.join("data"), folder("cli-jobs-memory-out"));
    fs::write(out.join("study.toml"), "").unwrap();
    // One of them takes 0.7 of what is free: 36 bytes for each parameter.
    let layers = (0.7 * free_kib * 1024.0 / (36.0 * 2048.0 * 2048.0)).round() as usize;
    let layers = vec!["\"linear 2048\", \"relu\""; layers].join(", ");
    let study = format!("name = \"mine\"\n[[recipe]]\nname = \"a\"\nlayers = [{layers}, \"linear 10\"]\n");
    let file = study_file(&path, &study);
    let jobs = |n: &str| {
        run(&["run", &file, "--data", text(&data), "--out", text(&out), "--jobs", n, "--threads", "1", "--seeds", "2"])
    };
    let ended = jobs("1");
    assert!(ended.code == Some(4) && ended.err.contains("was not written by a run"), "{}", ended.err);
    let ended = jobs("2");
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    for part in ["of memory, and ", "hint: that is what each of 2 trainings at a time has of the memory; "] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
}

#[test]
fn what_is_missing_is_named_and_trained_by_the_next() {
    let path = planned("cli-work-few");
    let out = path.join("out");
    let ended = run(&["work", text(&out), "--at-most", "3", "--threads", "1"]);
    assert!(
        ended.code == Some(0) && ended.err.ends_with("3 trainings here, as many as were asked for\n"),
        "{}",
        ended.err
    );
    let ended = run(&["work", text(&out), "--gather"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("missing: b (seed 2); `tenfold work "), "{}", ended.err);
    assert!(ended.out.contains("\nPick, best on validation: "), "{}", ended.out);
    let ended = run(&["status", text(&out)]);
    let words = "mine: 3 of 4 trainings done\n  a  2 finished, 0 left, ";
    assert!(ended.out.starts_with(words) && ended.out.contains("\nabout 0"), "{}", ended.out);
    // A run takes part as any other does, when no one else is there.
    let ended = run_in(&path, &[text(&path.join("mine.toml")), "--seeds", "2"]);
    assert!(ended.code == Some(0) && ended.err.contains("1 of 4 trainings to go"), "{}", ended.err);
    same_results(&path.join("straight"), &out);
}

#[test]
fn the_last_of_those_who_came_for_a_few_writes_the_report() {
    let path = planned("cli-work-last");
    let out = path.join("out");
    let few = |n: &str| run(&["work", text(&out), "--at-most", n, "--threads", "1"]);
    let ended = few("3");
    assert!(ended.code == Some(0) && !out.join("report.html").exists(), "{}", ended.err);
    let ended = few("1");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("\nPick, best on validation: ") && out.join("report.html").is_file(), "{}", ended.out);
    same_results(&path.join("straight"), &out);
}

#[test]
fn the_last_worker_writes_the_report_though_somebody_looks() {
    let path = planned("cli-work-looked-at");
    let out = path.join("out");
    let looking = tenfold_study::SharedFolder::open(&out).unwrap();
    let (mut child, mut lines) = started_with(&["work", text(&out), "--threads", "1"], "b seed 1: done");
    line_beginning(&mut lines, "b seed 2: done");
    sleep(std::time::Duration::from_millis(300));
    drop(looking);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(out.join("report.html").is_file(), "{rest}");
}

#[test]
fn what_nobody_has_gathered_is_neither_merged_nor_verified_but_named() {
    let path = planned("cli-ungathered");
    let (out, straight, merged) = (path.join("out"), path.join("straight"), path.join("merged"));
    assert_eq!(run(&["work", text(&out), "--at-most", "1", "--threads", "1"]).code, Some(0));
    let hint = format!("tenfold work {} --gather", text(&out));
    let ended = run(&["verify", text(&out)]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.out, ended.err);
    for part in ["out: its record lacks 1 of its trainings, such as trials/a/seed-1\n", &hint] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    let ended = run(&["merge", text(&straight), text(&out), "--out", text(&merged)]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.out, ended.err);
    for part in ["out: its record lacks a training that workers have finished, such as trials/a/seed-1; ", &hint] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert!(!merged.exists());
    assert_eq!(run(&["work", text(&out), "--gather"]).code, Some(0));
    assert_eq!(run(&["verify", text(&out)]).code, Some(0));
    let ended = run(&["merge", text(&straight), text(&out), "--out", text(&merged)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn what_was_left_out_of_the_record_keeps_nobody_from_verifying_and_merging() {
    let path = planned("cli-left-out");
    let (straight, merged) = (path.join("straight"), path.join("merged"));
    let file = study_file(&path, &TWO.replace("epochs = 2", "epochs = 3"));
    let data = path.join("data");
    let ended = run(&[
        "run",
        &file,
        "--data",
        text(&data),
        "--out",
        text(&straight),
        "--threads",
        "1",
        "--replace",
        "--seeds",
        "1",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("1 training in the folder with other settings or data: left out"), "{}", ended.err);
    let ended = run(&["verify", text(&straight), "--no-training"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let third = path.join("third");
    assert_eq!(
        run(&["run", &file, "--data", text(&data), "--out", text(&third), "--only", "a", "--seeds", "1"]).code,
        Some(0)
    );
    let ended = run(&["merge", text(&straight), text(&third), "--out", text(&merged)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!merged.join("trials/a/seed-2").exists() && merged.join("trials/b/seed-2").exists());
}

#[cfg(unix)]
#[test]
fn a_worker_writes_a_checkpoint_when_asked_for_and_a_run_goes_on_from_it() {
    let path = with_data("cli-work-signals", |_, _| {});
    let (file, out) = (study_file(&path, ENDLESS), path.join("out"));
    assert_eq!(run_in(&path, &[&file, "--plan-only"]).code, Some(0));
    let (mut child, mut lines) = started_with(&["work", text(&out), "--threads", "1"], "b seed 1  epoch ");
    signal(&child, "USR1");
    let line = line_beginning(&mut lines, "checkpoint: b seed 1 goes on from epoch ");
    assert!(line.ends_with(" if it is stopped\n"), "{line}");
    // Each names the other who is there.
    let ended = run_in(&path, &[&file]);
    let words = "out: is in use by workers (`tenfold status` names them); wait";
    assert!(ended.code == Some(4) && ended.err.contains(words), "{}", ended.err);
    let ended = run(&["status", text(&out)]);
    let words = format!(", process {}\n", child.id());
    let line = ended.out.lines().find(|line| line.starts_with("b seed 1: "));
    assert!(line.is_some_and(|line| format!("{line}\n").ends_with(&words)), "{words}: {}", ended.out);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    let (mut child, mut lines) = started(&path, &[&file], "b seed 1 was interrupted and goes on from epoch ");
    line_beginning(&mut lines, "b seed 1  epoch ");
    let ended = run(&["work", text(&out)]);
    let words = format!("out: is in use by process {}; wait", child.id());
    assert!(ended.code == Some(4) && ended.err.contains(&words), "{words}: {}", ended.err);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let (mut child, _) = started_with(&["work", text(&out), "--threads", "1"], "b seed 1 goes on from epoch ");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn a_signal_after_the_last_training_ends_workers_and_jobs_too() {
    let path = planned("cli-work-late-signal");
    let (file, data, out) = (path.join("mine.toml"), path.join("data"), path.join("out"));
    let work = ["work", text(&out), "--threads", "1"];
    let (mut child, _lines) = started_with(&work, "b seed 2: done");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!out.join("report.html").exists());
    let ended = run(&["status", text(&out)]);
    assert!(ended.out.starts_with("mine: 4 of 4 trainings done\n"), "{}", ended.out);
    if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
        let common = ["run", text(&file), "--data", text(&data), "--out", text(&out), "--seeds", "2"];
        fs::remove_dir_all(out.join("trials/b/seed-2")).unwrap();
        let (mut child, _lines) =
            started_with(&[&common[..], &["--threads", "1", "--jobs", "2"]].concat(), "b seed 2: done");
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143));
    }
    let ended = run(&work);
    assert!(ended.code == Some(0) && out.join("report.html").is_file(), "{}", ended.err);
}

#[cfg(unix)]
#[test]
fn jobs_are_submitted_for_what_is_missing_and_train_it() {
    use std::os::unix::fs::PermissionsExt;

    let path = planned("cli-submit");
    let (out, bin) = (path.join("out"), path.join("bin"));
    fs::create_dir(&bin).unwrap();
    // A Slurm that runs each job of an array at once, with what it tells jobs, and writes down how it was called.
    let fake = |name: &str, script: &str| {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let log = path.join("log");
    fake("scontrol", "echo 'MaxArraySize            = 3'\n");
    fake(
        "sbatch",
        &format!(
            "echo \"$@\" >> '{log}'\nfor script; do :; done\n\
             last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' \"$script\")\n\
             for n in $(seq 0 \"${{last:-0}}\"); do\n  SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$n SLURM_CPUS_PER_TASK=1 \
             sh \"$script\" >> '{log}.out' 2>&1\ndone\necho '7;cluster'\n",
            log = text(&log)
        ),
    );
    let searched = format!("{}:{}", text(&bin), std::env::var("PATH").unwrap());
    let submit = |more: &[&str]| {
        let ended = tenfold(&[&["submit", text(&out), "--to", "slurm"][..], more].concat())
            .env("PATH", &searched)
            .output()
            .unwrap();
        let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (ended.status.code(), words(&ended.stdout), words(&ended.stderr))
    };
    let (code, said, err) = submit(&["--dry-run", "--at-once", "2", "--option=--partition=long"]);
    assert_eq!(code, Some(0), "{err}");
    // All of it takes seconds, so one job will do.
    for part in [
        "#SBATCH --array=0-0%2\n",
        "#SBATCH --partition=long\n",
        " --at-most 4 --threads ",
        "--dependency=afterany:JOB ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(err.starts_with("4 trainings to go, about ") && !log.exists() && !out.join("slurm").exists(), "{err}");
    let (code, said, err) = submit(&[]);
    assert_eq!((code, &*said), (Some(0), "7\n"), "{err}");
    let calls = fs::read_to_string(&log).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].starts_with("--parsable /") && calls[0].ends_with("/slurm/jobs.sh"), "{calls:?}");
    assert!(calls[1].starts_with("--parsable --dependency=afterany:7 /"), "{calls:?}");
    let jobs = fs::read_to_string(path.join("log.out")).unwrap();
    assert!(jobs.contains("b seed 2: done, test accuracy "), "{jobs}");
    same_results(&path.join("straight"), &out);
    // Nothing is missing, so nothing is submitted.
    let (code, said, err) = submit(&[]);
    assert_eq!((code, &*said, &*err), (Some(0), "", "nothing is left to be trained, so nothing is submitted\n"));
    fs::remove_dir_all(out.join("trials/a/seed-1")).unwrap();
    fs::remove_dir_all(out.join("trials/b/seed-2")).unwrap();
    let (code, _, err) = submit(&["--dry-run"]);
    assert!(code == Some(0) && err.starts_with("2 trainings to go, about "), "{err}");
    // What Slurm says against it is told.
    fake("sbatch", "echo 'sbatch: error: invalid partition specified: long' >&2\nexit 1\n");
    let (code, _, err) = submit(&[]);
    assert!(
        code == Some(4) && err.contains("error: sbatch: sbatch: error: invalid partition specified: long"),
        "{err}"
    );
    for engine in ["hq", "parallel", "kubernetes"] {
        let ended = run(&["submit", text(&out), "--to", engine]);
        assert!(ended.code == Some(0) && ended.out.contains("--at-most"), "{engine}: {}{}", ended.out, ended.err);
    }
    let ended = run(&["submit", text(&out), "--to", "hq", "--dry-run"]);
    assert!(ended.code == Some(2) && ended.err.contains("--dry-run is for --to slurm"), "{}", ended.err);
}

#[test]
fn a_study_that_is_planned_anew_is_trained_by_workers() {
    let path = planned("cli-work-replace");
    let out = path.join("out");
    assert_eq!(run(&["work", text(&out), "--threads", "1"]).code, Some(0));
    let file = study_file(&path, &TWO.replace("epochs = 2", "epochs = 3"));
    let ended = run_in(&path, &[&file, "--seeds", "2", "--plan-only"]);
    assert!(ended.code == Some(2) && ended.err.contains("a seeds 1, 2: epochs was 2 and is now 3"), "{}", ended.err);
    let ended = run_in(&path, &[&file, "--seeds", "2", "--plan-only", "--replace"]);
    assert!(ended.code == Some(0) && ended.err.contains("planned: 2 trainings to go; "), "{}", ended.err);
    let ended = run(&["status", text(&out)]);
    let words = "mine: 2 of 4 trainings done\n  a  0 finished, 2 left\n  b  2 finished, 0 left, ";
    assert!(ended.out.starts_with(words), "{}", ended.out);
    let ended = run(&["work", text(&out), "--threads", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = results(&path);
    let epochs = |seed: usize| record["recipes"][0]["trials"][seed]["epochs"].as_array().unwrap().len();
    assert_eq!((epochs(0), epochs(1)), (3, 3));
    assert_eq!(run(&["verify", text(&out), "--no-training"]).code, Some(0));
}

#[test]
fn folders_of_machines_that_share_nothing_become_one() {
    let path = with_data("cli-merge", |_, _| {});
    let (data, file) = (path.join("data"), study_file(&path, TWO));
    let at = |name: &str| path.join(name);
    let train = |study: &str, data: &Path, out: &str, more: &[&str]| {
        let out = at(out);
        let arguments = ["run", study, "--data", text(data), "--out", text(&out), "--threads", "1"];
        let ended = run(&[&arguments[..], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    };
    train(&file, &data, "straight", &["--seeds", "2"]);
    train(&file, &data, "one", &["--only", "a", "--seeds", "2"]);
    train(&file, &data, "two", &["--only", "b", "--seeds", "2"]);
    let merge = |folders: &[&str], out: &str| {
        let paths: Vec<PathBuf> = folders.iter().map(|name| at(name)).collect();
        let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
        run(&[&["merge"][..], &paths, &["--out", text(&at(out))]].concat())
    };
    let ended = merge(&["one", "two"], "both");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("merged: 4 trainings of 2 folders\n"), "{}", ended.err);
    assert!(ended.out.contains("\nPick, best on validation: "), "{}", ended.out);
    same_results(&at("straight"), &at("both"));
    assert!(at("both/report.html").is_file());
    assert_eq!(run(&["verify", text(&at("both"))]).code, Some(0));
    // What two have is taken once, and its looks count twice.
    let ended = merge(&["straight", "two"], "again");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.out.contains("\ntest opened 6 times for 4 trials, and 3 times for the mean of seeds\n"),
        "{}",
        ended.out
    );
    let refused = |folders: &[&str], code: i32, parts: &[&str]| {
        let ended = merge(folders, "refused");
        assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
        for part in parts {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
        assert!(!at("refused").exists(), "nothing is made before that is known");
    };
    let other = path.join("other.toml");
    fs::write(&other, TWO.replace("epochs = 2", "epochs = 3")).unwrap();
    train(text(&other), &data, "longer", &["--only", "a"]);
    refused(&["one", "longer"], 2, &["/one and ", "/longer do not belong together:\n  recipe a: epochs: 2 and 3\n"]);
    let changed = with_data("cli-merge-data", |file, bytes| {
        if file == 0 {
            bytes[16 + 784 * 300 + 400] ^= 0x80
        }
    });
    train(&file, &changed.join("data"), "elsewhere", &["--only", "b"]);
    refused(&["one", "elsewhere"], 2, &["do not belong together:\n  SHA-256 of the data: "]);
    refused(&["one", "one"], 2, &["/one: is given twice"]);
    refused(&["one", "nowhere"], 2, &["/nowhere: there is no such folder"]);
    let ended = merge(&["one", "two"], "both");
    assert!(ended.code == Some(2) && ended.err.contains("/both: holds a run already"), "{}", ended.err);
    // The same training with other weights: both are named.
    let edit = |of: &str| {
        for file in [format!("{of}/results.json"), format!("{of}/trials/b/seed-1/result.json")] {
            let before = fs::read_to_string(at(&file)).unwrap();
            let at_key = before.find("\"weights_sha256\": \"").unwrap() + "\"weights_sha256\": \"".len();
            let mut after = before.clone();
            after.replace_range(at_key..at_key + 8, "01234567");
            fs::write(at(&file), after).unwrap();
        }
    };
    edit("two");
    refused(
        &["straight", "two"],
        4,
        &["/straight/trials/b/seed-1 and ", "/two/trials/b/seed-1 are the same training", "`tenfold diff`"],
    );
    let ended = merge(&["one", "two"], "refused");
    let message = "/two/trials/b/seed-1/model.safetensors: is not the file that the training wrote";
    assert!(ended.code == Some(4) && ended.err.contains(message), "{}", ended.err);
}
