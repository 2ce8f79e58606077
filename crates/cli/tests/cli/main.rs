//! The program as a person meets it: what it prints where, what it writes, and how it ends.

mod augment;
mod cluster;
mod data;
mod get;
mod golden;
mod look;
mod predict;
mod sheet;
mod splits;
mod verify;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Instant;

use tenfold_nn::data::Source;
use tenfold_study::RunFolder;

/// How a command ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn tenfold(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenfold"));
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(arguments: &[&str]) -> Ended {
    ended(&mut tenfold(arguments))
}

#[track_caller]
fn ended(command: &mut Command) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the program prints text");
    let ended = Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    assert!(!ended.err.contains("panicked"), "{command:?}: {}", ended.err);
    assert!(!ended.out.contains('\x1b') && !ended.err.contains('\x1b'), "{command:?}: escape codes");
    assert!(!ended.err.contains('\r'), "{command:?}: bars");
    ended
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the test's folder can be made");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

fn idx(dims: &[usize], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|&dim| bytes.extend((dim as u32).to_be_bytes()));
    bytes.extend(elements);
    bytes
}

const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The contents of a data set's four files: the first 600 training and 200 test images of MNIST.
fn small() -> &'static [Vec<u8>; 4] {
    static SMALL: OnceLock<[Vec<u8>; 4]> = OnceLock::new();
    SMALL.get_or_init(|| {
        let mnist = Source::mnist();
        let bytes = |labels: &[u16]| labels.iter().map(|&label| label as u8).collect::<Vec<_>>();
        let test: Vec<u8> = (0..200).flat_map(|n| mnist.test.image(n).to_vec()).collect();
        [
            idx(&[600, 28, 28], &mnist.train.pixels()[..600 * 784]),
            idx(&[600], &bytes(&mnist.train.labels()[..600])),
            idx(&[200, 28, 28], &test),
            idx(&[200], &bytes(&mnist.test.labels_for_report()[..200])),
        ]
    })
}

/// A folder with such a data set in `data`, one of its files changed by `change`.
fn with_data(name: &str, change: impl Fn(usize, &mut Vec<u8>)) -> PathBuf {
    let path = folder(name);
    fs::create_dir(path.join("data")).expect("the folder is new");
    for (n, file) in FILES.iter().enumerate() {
        let mut bytes = small()[n].clone();
        change(n, &mut bytes);
        if !bytes.is_empty() {
            fs::write(path.join("data").join(file), bytes).expect("the folder can be written");
        }
    }
    path
}

/// `tenfold run` on the data of `path`, into `path/out`; the study `digits` unless `arguments` begin with another.
#[track_caller]
fn run_in(path: &Path, arguments: &[&str]) -> Ended {
    let (data, out) = (path.join("data"), path.join("out"));
    let study: &[&str] = if arguments.first().is_some_and(|first| !first.starts_with('-')) { &[] } else { &["digits"] };
    run(&[&["run", "--data", text(&data), "--out", text(&out), "--threads", "2"], study, arguments].concat())
}

/// What a run says of its threads when it may use two: fewer where there are fewer processors.
fn threads() -> &'static str {
    if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) { "2 threads" } else { "1 thread" }
}

fn results(path: &Path) -> serde_json::Value {
    let bytes = fs::read(path.join("out/results.json")).expect("there are results");
    serde_json::from_slice(&bytes).expect("they are JSON")
}

const STUDY: &str = "name = \"mine\"\n\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\nepochs = 2\n";

fn study_file(path: &Path, study: &str) -> String {
    let file = path.join("mine.toml");
    fs::write(&file, study).expect("the folder can be written");
    text(&file).to_owned()
}

#[test]
fn a_report_is_the_one_that_the_run_wrote() {
    let path = with_data("cli-report", |_, _| {});
    let (data, out) = (path.join("data"), path.join("out"));
    let ended = run_in(&path, &["--only", "softmax,mlp", "--epochs", "2", "--seeds", "2", "--margin", "0.2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let words = ended.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("A difference of up to 0.2 points counts as none"), "{}", ended.out);
    let written = fs::read(out.join("report.html")).expect("the run has written it");
    // The images are found where the run found them.
    for arguments in [&["report", text(&out), "--data", text(&data)][..], &["report", text(&out)]] {
        fs::remove_file(out.join("report.html")).expect("is there");
        let ended = run(arguments);
        assert_eq!((ended.code, &*ended.out), (Some(0), &*format!("{}/report.html\n", text(&out))), "{}", ended.err);
        assert!(fs::read(out.join("report.html")).expect("is there") == written, "the same bytes");
    }
    let page = String::from_utf8(written).expect("is text");
    for part in ["Picked: softmax", "tenfold run study.toml --seeds 2 --only softmax,mlp --margin 0.2</dd>"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_images_of_a_run_are_found_again_or_missed_by_name() {
    let path = with_data("cli-place", |_, _| {});
    let out = path.join("out");
    // As a person types it, from where the data is.
    let typed = |arguments: &[&str]| {
        let output = tenfold(arguments).current_dir(&path).output().expect("the program starts");
        let err = String::from_utf8(output.stderr).expect("the program prints text");
        (output.status.code(), err)
    };
    let (code, err) = typed(&["run", "--only", "softmax", "--epochs", "1", "--data", "data", "--out", "out"]);
    assert_eq!(code, Some(0), "{err}");
    let place = results(&path)["dataset"]["place"].clone();
    assert_eq!(place["given"], "data");
    assert!(place["absolute"].as_str().is_some_and(|place| Path::new(place) == path.join("data")), "{place}");
    let report = ["report", text(&out)];
    assert_eq!(run(&report).code, Some(0), "from elsewhere");
    let moved = path.join("moved");
    fs::rename(path.join("data"), &moved).unwrap();
    let refused = |arguments: &[&str], part: &str| {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(3), "{}", ended.err);
        for part in [part, "hint: give the folder or file that has the images of the run: --data PATH"] {
            assert!(ended.err.contains(part), "{part}: {}", ended.err);
        }
    };
    refused(&report, "cli-place/data: what had the images of the run is not there any more");
    assert_eq!(run(&["report", text(&out), "--data", text(&moved)]).code, Some(0));
    // Others in their place, and none that can be read.
    let labels = fs::read(moved.join(FILES[3])).unwrap();
    fs::create_dir(path.join("data")).unwrap();
    for file in FILES {
        fs::copy(moved.join(file), path.join("data").join(file)).unwrap();
    }
    let mut other = labels.clone();
    other[8] = (other[8] + 1) % 10;
    fs::write(path.join("data").join(FILES[3]), other).unwrap();
    refused(&report, "the study was run on data with SHA-256 ");
    fs::write(path.join("data").join(FILES[3]), &labels[..100]).unwrap();
    refused(&report, "data/t10k-labels-idx1-ubyte: ends at byte 100");
    // The run folder has moved, and the data beside it.
    fs::write(path.join("data").join(FILES[3]), labels).unwrap();
    let mut record = results(&path);
    record["dataset"]["place"]["absolute"] = "/no/longer/there".into();
    fs::write(out.join("results.json"), record.to_string()).unwrap();
    assert_eq!(typed(&["report", "out"]).0, Some(0));
    // As records of earlier versions are.
    record["dataset"].as_object_mut().unwrap().remove("place");
    fs::write(out.join("results.json"), record.to_string()).unwrap();
    refused(&report, "but the built-in MNIST has SHA-256 ");
}

/// One rule for every command: a path that was typed and leads to nothing, or to something of another kind, is a
/// mistake of usage; what is there and cannot be used is a mistake of the data.
#[test]
fn what_is_not_there_ends_every_command_alike() {
    let path = with_data("cli-not-there", |_, _| {});
    let out = path.join("out");
    let ended = run_in(&path, &["--only", "softmax", "--epochs", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let empty = path.join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("file"), "text").unwrap();
    let (out, empty, file) = (text(&out), text(&empty), empty.join("file"));
    let file = text(&file);
    let below = format!("{file}/below");
    let long = "x".repeat(5000);
    let look = |picture: &str| vec!["look".to_owned(), out.to_owned(), "--file".to_owned(), picture.to_owned()];
    let data = |command: &[&str], data: &str| {
        let option: &[&str] = if command == ["data"] { &[data] } else { &["--data", data] };
        [command, option].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let folder = |command: &str, folder: &str| vec![command.to_owned(), folder.to_owned()];
    let mut cases: Vec<(Vec<String>, i32)> = Vec::new();
    for missing in ["nowhere", "nowhere/at/all", &below, &long] {
        cases.push((look(missing), 2));
        for command in [&["run"][..], &["report", out], &["look", out], &["models"], &["bench"], &["data"]] {
            cases.push((data(command, missing), 2));
        }
        for command in ["report", "look", "compare"] {
            cases.push((folder(command, missing), 2));
        }
        for command in ["run", "models", "bench"] {
            cases.push((folder(command, &format!("{missing}.toml")), 2));
        }
    }
    // A folder for a file, and a file for a folder.
    cases.push((look(empty), 2));
    for command in [&["run"][..], &["report", out], &["look", out], &["models"], &["bench"], &["data"]] {
        // They are there, and hold no images.
        cases.push((data(command, file), 3));
        cases.push((data(command, empty), 3));
    }
    for command in ["report", "look", "compare"] {
        cases.push((folder(command, file), 2));
        cases.push((folder(command, empty), 2));
    }
    for command in ["run", "models", "bench"] {
        cases.push((folder(command, empty), 2));
        cases.push((folder(command, file), 2));
    }
    cases.push((look(file), 3));
    for (arguments, code) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(&arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.out.is_empty(), "{arguments:?}: {}", ended.out);
        assert!(ended.err.starts_with("error: "), "{arguments:?}: {}", ended.err);
    }
    assert!(
        run(&["--help"]).out.contains("2          usage: an option, a study file, or a path that leads to nothing")
    );
}

#[test]
fn what_is_made_of_the_results_may_be_missing_and_they_are_kept() {
    let path = with_data("cli-spared", |_, _| {});
    let out = path.join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".tenfold.lock"), "").unwrap();
    // In the way of the pictures.
    fs::write(out.join("pictures"), "").unwrap();
    let arguments = ["--only", "softmax", "--epochs", "1"];
    let ended = run_in(&path, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("warning: the pictures could not be written: "), "{}", ended.err);
    assert!(ended.err.contains("; the results are kept, and the same command draws them again"), "{}", ended.err);
    assert!(ended.err.contains("warning: report.html could not be written"), "{}", ended.err);
    assert!(ended.out.contains("Pick, best on validation: softmax ("), "{}", ended.out);
    assert!(!ended.out.contains("report.html, results.json"), "{}", ended.out);
    fs::remove_file(out.join("pictures")).unwrap();
    let ended = run_in(&path, &arguments);
    assert!(ended.code == Some(0) && ended.err.contains("was finished before and is kept"), "{}", ended.err);
    assert!(out.join("report.html").is_file() && out.join("pictures/curves.svg").is_file());
}

#[test]
fn a_run_prints_results_and_writes_the_folder() {
    let path = with_data("cli-run", |_, _| {});
    let only = ["--only", "softmax,cnn2-dropout-b50", "--epochs", "2"];
    let ended = run_in(&path, &only);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "softmax seed 1: Softmax regression",
        "2 epochs; training time ",
        "7,850 parameters",
        "did not reach its validation accuracy within 2 epochs",
        "3,274,634 parameters",
        "class              precision   recall      F1  support",
        "balanced accuracy ",
        "rows: the true class; columns: the predicted class",
        "Pick, best on validation: softmax (",
        "\ntest opened once per trial, after all choices were fixed\n",
        "cnn2-dropout-b50 is the best on validation of the networks with a convolution",
        "pictures/filters.png: 5 of the 32 filters of conv1 of cnn2-dropout-b50 seed 1",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    assert!(!ended.out.contains("ublished"), "this is not MNIST, so nothing was published about it");
    // What was understood stands before all else.
    let (understood, lines): (Vec<&str>, Vec<&str>) = ended.err.lines().partition(|line| line.starts_with("  "));
    assert!(understood[0].starts_with("  IDX files: train-images-idx3-ubyte, "), "{understood:?}");
    assert_eq!(
        understood[2..],
        ["  60 of 600 images are set apart for validation, by class, images that are alike on one side"]
    );
    assert!(
        lines[0].starts_with("data: 540 training, 60 validation, 200 test images of 1x28x28, 10 classes; split "),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with(&format!("{}, ", threads())), "{}", lines[1]);
    assert!(lines[2].starts_with("2 recipes x 1 seed: "), "{}", lines[2]);
    assert!(
        lines[2].ends_with(" here; how many epochs cnn2-dropout-b50 needs is not known yet"),
        "the plan stands before the first epoch: {}",
        lines[2]
    );
    let took = lines.last().expect("there are lines");
    assert!(took.starts_with("the trainings took ") && took.contains("; the estimate was "), "{took}");
    let epochs: Vec<&&str> = lines.iter().filter(|line| line.contains(" epoch ")).collect();
    assert_eq!(epochs.len(), 4, "one line for each epoch\n{}", ended.err);
    assert!(epochs[2].starts_with("cnn2-dropout-b50  seed 1  epoch 1/2  train loss "), "{}", epochs[2]);
    assert!(epochs[2].contains("  valid loss ") && epochs[2].contains("  valid accuracy "), "{}", epochs[2]);

    let out = path.join("out");
    for file in ["filters.png", "feature-maps.png"] {
        assert_eq!(fs::read(out.join("pictures").join(file)).unwrap()[..8], *b"\x89PNG\r\n\x1a\n");
    }
    assert!(fs::read_to_string(out.join("pictures/curves.svg")).unwrap().contains("</svg>"));
    for file in ["result.json", "epochs.csv", "predictions.csv", "model.safetensors"] {
        assert!(out.join("trials/softmax/seed-1").join(file).is_file(), "{file}");
    }
    let record = results(&path);
    let trial = &record["recipes"][1]["trials"][0];
    assert_eq!(
        (&record["schema"], &record["study"], &trial["status"]),
        (&1.into(), &"digits".into(), &"finished".into())
    );
    assert_eq!(trial["stopped"], serde_json::json!({ "reason": "limit", "epoch": 2 }));
    assert_eq!(trial["test"]["confusion"].as_array().map(Vec::len), Some(10));

    // Again, for more seeds and as JSON: what is there stays, and standard output is the record and nothing else.
    let weights = fs::read(out.join("trials/softmax/seed-1/model.safetensors")).unwrap();
    let ended = run_in(&path, &["--only", "softmax", "--epochs", "2", "--seeds", "2", "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("softmax seed 1 was finished before and is kept"), "{}", ended.err);
    assert_eq!(ended.err.lines().filter(|line| line.contains(" epoch ")).count(), 2, "{}", ended.err);
    let plan = ended.err.lines().find(|line| line.starts_with("1 recipe x 2 seeds, 1 of 2 trainings to go: "));
    assert!(plan.is_some_and(|plan| plan.contains(" +- ") && plan.ends_with(" here")), "{}", ended.err);
    assert_eq!(ended.out, fs::read_to_string(out.join("results.json")).unwrap());
    assert_eq!(fs::read(out.join("trials/softmax/seed-1/model.safetensors")).unwrap(), weights);

    // From nothing, on one thread: the same bits.
    fs::remove_dir_all(&out).unwrap();
    let (data, out) = (path.join("data"), path.join("out"));
    let one = [
        "run",
        "digits",
        "--data",
        text(&data),
        "--out",
        text(&out),
        "--threads",
        "1",
        "--only",
        "softmax",
        "--epochs",
        "2",
    ];
    assert_eq!(run(&one).code, Some(0));
    assert_eq!(fs::read(out.join("trials/softmax/seed-1/model.safetensors")).unwrap(), weights);
}

#[test]
fn a_study_of_ones_own_without_convolutions_says_so() {
    let path = with_data("cli-own", |_, _| {});
    let file = study_file(&path, STUDY);
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("No pictures of filters and feature maps: "), "{}", ended.out);
    assert!(!path.join("out/pictures/filters.png").exists());
    let resolved = path.join("out/study.toml");
    assert!(fs::read_to_string(&resolved).unwrap().contains("batch_size = 50\n"));
    // The study as it was run is a study file for the same trials.
    let ended = run_in(&path, &[text(&resolved)]);
    assert!(!ended.err.contains(" here"), "nothing is to be run, so nothing is probed\n{}", ended.err);
    assert!(ended.code == Some(0) && ended.err.contains("a seed 1 was finished before and is kept"), "{}", ended.err);
    // Other settings, another trial: not without leave.
    let before = fs::read(path.join("out/report.html")).unwrap();
    let file = study_file(&path, &STUDY.replace("epochs = 2", "epochs = 1"));
    let ended = run_in(&path, &[&file]);
    assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{}", ended.err);
    assert_eq!(
        ended.err,
        format!(
            "error: {}: holds 1 finished training of other settings, data or training code than asked for; nothing was \
             trained or replaced\n  a seed 1: epochs was 2 and is now 1\n\nhint: keep them by choosing another folder with \
             --out, or train again and replace them with --replace\n",
            text(&path.join("out"))
        )
    );
    assert!(fs::read(path.join("out/report.html")).unwrap() == before, "nothing was touched");
    let ended = run_in(&path, &[&file, "--replace"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let line = "\nrun again, to replace what was finished: a seed 1: epochs was 2 and is now 1\n";
    assert!(ended.err.contains(line), "{}", ended.err);
    assert_eq!(results(&path)["recipes"][0]["trials"][0]["epochs"].as_array().map(Vec::len), Some(1));
}

#[cfg(unix)]
#[test]
fn a_replacement_that_is_killed_leaves_the_finished_training() {
    for signal in ["INT", "KILL"] {
        let path = with_data(&format!("cli-replace-{signal}"), |_, _| {});
        let short = study_file(&path, &ENDLESS.replace("10000", "1"));
        assert_eq!(run_in(&path, &[&short]).code, Some(0));
        let weights = || fs::read(path.join("out/trials/b/seed-1/model.safetensors")).expect("it is there");
        let before = weights();
        let file = study_file(&path, ENDLESS);
        let (mut child, mut lines) = started(&path, &[&file, "--replace"], "b seed 1  epoch ");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(sent.expect("there is a kill command").success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        child.wait().unwrap();
        if signal == "INT" {
            assert!(rest.contains("the finished training of b seed 1 keeps its place; "), "{rest}");
        }
        assert!(weights() == before);
        let short = study_file(&path, &ENDLESS.replace("10000", "1"));
        let ended = run_in(&path, &[&short]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains("b seed 1 was finished before and is kept"), "{}", ended.err);
        assert!(weights() == before);
    }
}

#[test]
fn a_choice_by_test_is_stamped_and_counted() {
    let path = with_data("cli-choice", |_, _| {});
    let conv = STUDY.replace("\"linear 10\"", "\"conv 2 5x5 same\", \"relu\", \"linear 10\"");
    let file = study_file(&path, &conv);
    let ended = run_in(&path, &[&file, "--choose-by", "test", "--margin", "0.25"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("choosing by test: "), "{}", ended.err);
    for part in [
        "Pick, best on test: a (",
        "so flattered",
        "\ntest opened once per trial, and once to choose by it\n",
        "filters of conv1 of a seed 1, chosen by test",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    let record = results(&path);
    assert_eq!(record["comparison"]["chosen_by"], "test");
    assert_eq!(record["comparison"]["margin"], 0.0025);
    let reading = |reason: &str, recipe: serde_json::Value, seed: serde_json::Value, count: u64| serde_json::json!({ "reason": reason, "recipe": recipe, "seed": seed, "count": count });
    let trial = reading("trial", "a".into(), 1.into(), 1);
    let null = serde_json::Value::Null;
    assert_eq!(record["test_readings"], serde_json::json!([trial, reading("choice", null.clone(), null.clone(), 1)]));
    // Nor does it count what is planned, stopped or gathered where nothing has finished yet.
    let twice = path.join("twice");
    let data = path.join("data");
    let common = [file.as_str(), "--data", text(&data), "--out", text(&twice), "--threads", "1"];
    assert_eq!(run(&[&["run"][..], &common, &["--plan-only"]].concat()).code, Some(0));
    let mut planned: serde_json::Value =
        serde_json::from_slice(&fs::read(twice.join("results.json")).unwrap()).unwrap();
    planned["comparison"]["chosen_by"] = "test".into();
    fs::write(twice.join("results.json"), planned.to_string()).unwrap();
    let choices = || {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(twice.join("results.json")).unwrap()).unwrap();
        let readings = record["test_readings"].as_array().unwrap().clone();
        readings
            .iter()
            .filter(|reading| reading["reason"] == "choice")
            .map(|r| r["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    for _ in 0..2 {
        assert_eq!(run(&["work", text(&twice), "--gather"]).code, Some(0));
        assert_eq!(choices(), 0);
    }
    if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
        let ended = run(&[&["run"][..], &common, &["--choose-by", "test", "--jobs", "2"]].concat());
        assert_eq!((ended.code, choices()), (Some(0), 1), "{}", ended.err);
        assert_eq!(run(&["verify", text(&twice), "--no-training"]).code, Some(0));
    }
    // Choosing properly afterwards takes nothing back.
    let ended = run_in(&path, &[&file]);
    assert!(ended.out.contains("Pick, best on validation: a ("), "{}", ended.out);
    assert!(ended.out.contains("\ntest opened once per trial, and once to choose by it\n"), "{}", ended.out);
    assert!(!ended.out.contains("chosen by test"), "{}", ended.out);
    assert_eq!(results(&path)["comparison"]["chosen_by"], "validation");
    // Nor does it help to train anew with other settings.
    let file = study_file(&path, &conv.replace("epochs = 2", "epochs = 1"));
    let ended = run_in(&path, &[&file, "--replace"]);
    assert!(ended.out.contains("\ntest opened 2 times for 1 trial, and once to choose by it\n"), "{}", ended.out);
}

#[test]
fn a_divergence_is_reported_and_the_others_go_on() {
    let path = with_data("cli-diverged", |_, _| {});
    let wild = "\n[[recipe]]\nname = \"wild\"\nlayers = [\"linear 20\", \"linear 10\"]\nepochs = 50\n\
                optimizer = { kind = \"sgd\", lr = 1000 }\n";
    let (first, rest) = STUDY.split_at(STUDY.find("\n[[").unwrap());
    let file = study_file(&path, &format!("{first}{wild}{rest}"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains("wild seed 1 diverged in epoch "), "{}", ended.err);
    assert!(ended.out.contains("Pick, best on validation: a ("), "{}", ended.out);
    let trial = &results(&path)["recipes"][0]["trials"][0];
    assert_eq!((&trial["status"], &trial["test"]), (&"diverged".into(), &serde_json::Value::Null));
    assert_eq!(run_in(&path, &[&file]).code, Some(5), "it is kept, and still told");
}

#[test]
fn a_finished_training_with_a_loss_far_above_chance_is_a_result_with_a_mark() {
    let path = with_data("cli-above-chance", |_, _| {});
    let wild = "\n[[recipe]]\nname = \"wild\"\nlayers = [\"linear 10\"]\nepochs = 1\n\
                optimizer = { kind = \"sgd\", lr = 1000 }\n";
    let file = study_file(&path, &format!("{STUDY}{wild}"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let words = "wild seed 1 ended with a loss far above chance level (2.30); a smaller learning rate may help\n";
    assert!(ended.err.contains(words) && !ended.out.contains(words), "told once: {}{}", ended.err, ended.out);
    assert!(ended.out.contains("\nwild: its seed ended with a loss far above chance level (2.30); "), "{}", ended.out);
    let record = results(&path);
    let mark = |recipe: usize| &record["recipes"][recipe]["trials"][0]["far_above_chance"];
    assert_eq!((mark(0), mark(1)), (&false.into(), &true.into()));
    let compared = run(&["compare", text(&path.join("out"))]).out;
    let words = compared.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("wild: ended with a loss far above chance level (2.30), counted all the same: seed 1"),
        "{compared}"
    );
}

#[test]
fn a_class_without_test_images_has_no_recall() {
    let absent = |n: usize, bytes: &mut Vec<u8>| {
        if n == 3 {
            bytes[8..].iter_mut().filter(|label| **label == 9).for_each(|label| *label = 4);
        }
    };
    let path = with_data("cli-absent", absent);
    let ended = run_in(&path, &["--only", "softmax,mlp", "--epochs", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // Of the tables by class, not of the confusion matrices, whose empty cells are dots.
    let of_nine = |line: &&str| line.starts_with("9  ") && line.ends_with("  0") && !line.contains(" . ");
    let rows: Vec<&str> = ended.out.lines().filter(of_nine).collect();
    assert_eq!(rows.len(), 2, "{}", ended.out);
    assert!(rows.iter().all(|row| row.split_whitespace().nth(2) == Some("-")), "{rows:?}");
    let nine = "mean recall over the classes that occur (9 of 10)\n";
    assert!(ended.out.contains(&format!("\nbalanced accuracy: {nine}")), "{}", ended.out);
    assert!(ended.out.contains(&format!("\nbalanced: {nine}")), "{}", ended.out);
    let record = results(&path);
    let class = &record["recipes"][0]["trials"][0]["test"]["per_class"][9];
    assert_eq!((&class["recall"], &class["support"]), (&serde_json::Value::Null, &0.into()));
    assert!(record["comparison"]["recipes"][0]["per_class"][9]["recall"].is_null());
    let out = path.join("out");
    let page = fs::read_to_string(out.join("report.html")).expect("is text");
    assert!(page.contains("mean recall over the classes that occur (9 of 10)"));
    let csv = run(&["compare", text(&out), "--format", "csv"]).out;
    assert!(csv.contains("recipe,digits,softmax,,,9,recall,,,,,,,\n"), "{csv}");
    for form in ["text", "md", "latex", "json"] {
        let ended = run(&["compare", text(&out), "--format", form]);
        assert_eq!(ended.code, Some(0), "{form}: {}", ended.err);
        let words = ended.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(form == "json" || words.contains("the classes that occur (9 of 10)"), "{words}");
    }
}

/// Two recipes, two seeds each, in `out`.
fn compared_run(name: &str) -> PathBuf {
    let path = with_data(name, |_, _| {});
    let other = "\n[[recipe]]\nname = \"b\"\nlayers = [\"linear 10\"]\nepochs = 1\n";
    let file = study_file(&path, &format!("{STUDY}{other}"));
    let ended = run_in(&path, &[&file, "--seeds", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    path
}

#[test]
fn compare_tells_what_a_study_found_in_every_form() {
    let path = compared_run("cli-compare");
    let out = path.join("out");
    // Also while a run has the folder.
    let lock = RunFolder::open(&out).expect("nobody else has it");
    let ended = run(&["compare", text(&out)]);
    drop(lock);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    for part in [
        "Comparison of mine\n==================\n",
        "2 recipes, 4 finished trials, measured on 200 test images.",
        "Chosen on validation: ",
        "many seeds,   new seeds,",
        "the higher is\n",
        "with fewer than 5 seeds of either there is no test on these images",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    assert!(ended.out.lines().all(|line| line.chars().count() <= 81), "{}", ended.out);
    assert_eq!(run(&["compare", text(&out)]).out, ended.out, "the same again");
    let form = |form: &str| {
        let ended = run(&["compare", text(&out), "--format", form]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{form}");
        ended.out
    };
    assert!(form("md").contains("| higher | lower | points | the higher is |\n| --- | --- | ---: | --- |\n"));
    assert!(form("latex").contains("\\begin{tabular}{lrrrrrr}\n\\toprule\n"));
    let csv = form("csv");
    assert_eq!(csv.lines().filter(|line| line.starts_with("seed,") && line.contains(",test_accuracy,")).count(), 4);
    let json: serde_json::Value = serde_json::from_str(&form("json")).expect("it is JSON");
    assert_eq!(json["comparisons"][0]["comparison"]["pairs"].as_array().map(Vec::len), Some(1));

    let ended = run(&["compare", text(&out), "--only", "a", "--margin", "2"]);
    assert!(
        ended.out.contains("1 recipe, 2 finished trials") && ended.out.contains("A difference of up to\n2 points"),
        "{}",
        ended.out
    );

    // A second study with another setting.
    let file = study_file(&path, &STUDY.replace("epochs = 2", "epochs = 1"));
    let (data, other) = (path.join("data"), path.join("other"));
    let ended = run(&["run", &file, "--data", text(&data), "--out", text(&other), "--threads", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let ended = run(&["compare", text(&out), text(&other)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "Comparison of out and other\n",
        "a       epochs   out    2\n                 other  1\n",
        "- Only out has b.\n",
        "- OTHER MACHINE, THREADS OR VERSION: times are compared only where these are the\n  same. out: ",
        "out:a",
        "other:a",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    assert!(!ended.out.contains("OTHER DATA") && !ended.out.contains("OTHER SPLIT"), "{}", ended.out);
    let ended = run(&["compare", text(&out), text(&other), "--only", "other:a,b"]);
    assert!(ended.out.contains("2 recipes, 3 finished trials"), "{}", ended.out);

    // The same recipes on other images: no test between them.
    let altered = with_data("cli-compare-altered", |n, bytes| bytes[100] ^= u8::from(n == 2));
    let ended = run_in(&altered, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let ended = run(&["compare", text(&other), text(&altered.join("out"))]);
    assert!(ended.code == Some(0) && ended.out.contains("- OTHER DATA: "), "{}{}", ended.out, ended.err);
    assert!(!ended.out.contains("the higher is"), "{}", ended.out);
}

#[test]
fn compare_refuses_what_is_no_finished_study() {
    let path = compared_run("cli-compare-refused");
    let out = path.join("out");
    let empty = path.join("empty");
    fs::create_dir(&empty).unwrap();
    // Two folders that a run would not leave so: nothing finished, and a record cut short.
    let mut none = results(&path);
    for recipe in none["recipes"].as_array_mut().unwrap() {
        recipe["trials"] = serde_json::json!([]);
    }
    let with_results = |name: &str, bytes: &[u8]| {
        let folder = path.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("results.json"), bytes).unwrap();
        text(&folder).to_owned()
    };
    let none = with_results("none", none.to_string().as_bytes());
    let cut = with_results("cut", &fs::read(out.join("results.json")).unwrap()[..500]);
    let (file, again) = (out.join("results.json"), empty.join("../out"));
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&[], 2, &["<DIR>..."]),
        (&["nowhere"], 2, &["error: nowhere: there is no such folder", "hint: `tenfold run` writes to runs/STUDY"]),
        (&[text(&empty)], 2, &["is not a run folder", "hint: a run folder is what `tenfold run` writes"]),
        (&[text(&file)], 2, &["is not a run folder"]),
        (&[&none], 2, &["no trial is finished, so there is nothing to compare", "hint: `tenfold run` goes on"]),
        (
            &[&cut],
            4,
            &["is not as a run writes it", "hint: put the file back, or remove it and repeat the run's command"],
        ),
        (&[text(&out), text(&again)], 2, &["is given twice"]),
        (&[text(&out), "--only", "c"], 2, &["there is no recipe \"c\" to compare", "hint: did you mean \"a\"?"]),
        (&[text(&out), "--only", "softmax"], 2, &["there is no recipe \"softmax\"", "hint: there are a, b"]),
        (&[text(&out), "--margin", "nan"], 2, &["expected points of accuracy as a number, from 0 to 100"]),
        (&[text(&out), "--margin=-1"], 2, &["expected points of accuracy"]),
        (&[text(&out), "--format", "xml"], 2, &["text, md, csv, json, latex"]),
    ];
    for (arguments, code, parts) in cases {
        let ended = run(&[&["compare"], *arguments].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(*code), ""), "{arguments:?}: {}", ended.err);
        for part in *parts {
            assert!(ended.err.contains(part), "{arguments:?}: {part}\n{}", ended.err);
        }
    }
}

#[test]
fn models_shows_every_recipe() {
    let ended = run(&["models"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let totals: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("total")).collect();
    let parameters: Vec<&str> = totals.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(parameters, ["7,850", "199,210", "6,434,634", "3,274,634", "3,274,634", "3,274,634"]);
    assert!(totals[3].ends_with("13,883,904"), "{}", totals[3]);
    assert!(ended.out.contains("conv2  conv 64 5x5 same  64x14x14"), "{}", ended.out);
    // 11 x 54,000 x 6 x 7,840.
    let price = "price of a training: 27.9 GFLOP (11 epochs x 54,000 images x 3 x 2 x 7,840 multiply-adds)\n";
    assert!(ended.out.contains(price), "{}", ended.out);
    let times = ended.out.lines().filter(|line| line.starts_with("time of a training: ")).count();
    let (last, untimed) = (ended.out.lines().last().unwrap_or_default(), run(&["models", "--untimed"]));
    assert!(times == 6 && last.starts_with("all 6, one training each: ") && last.contains(" here"), "{}", ended.out);
    assert!(untimed.out.contains(price) && !untimed.out.contains("time of a training"), "{}", untimed.out);
}

#[test]
fn data_shows_what_is_inside_the_program() {
    let ended = run(&["data"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for part in [
        "mnist: inside this program\n60,000 training and 10,000 test images of 1x28x28, 10 classes\n",
        "\n      9        5,949        1,009\n",
        "  sha256 ",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
}

#[test]
fn what_is_typed_wrongly_is_refused_with_advice() {
    let path = with_data("cli-usage", |_, _| {});
    let study = |name: &str, content: &[u8]| {
        let file = path.join(name);
        fs::write(&file, content).unwrap();
        text(&file).to_owned()
    };
    let key = study("key.toml", STUDY.replace("epochs", "epoch").as_bytes());
    let layer = study("layer.toml", STUDY.replace("linear 10", "lineer 10").as_bytes());
    let shape = study("shape.toml", STUDY.replace("[\"", "[\"maxpool 9\", \"conv 4 5x5 valid\", \"").as_bytes());
    let classes = study("classes.toml", STUDY.replace("linear 10", "linear 9").as_bytes());
    let batch = study("batch.toml", format!("{STUDY}batch_size = 541\n").as_bytes());
    let lr = study("lr.toml", format!("{STUDY}optimizer = {{ kind = \"adam\", lr = nan }}\n").as_bytes());
    let syntax = study("syntax.toml", b"name = \"mine\"\n[[recipe]\n");
    let binary = study("binary.toml", b"name = \"\xff\xfe\"");
    let utf16 = study("utf16.toml", &STUDY.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    let large = study("large.toml", &vec![b'\n'; (1 << 20) + 1]);
    let cases: &[(&[&str], &[&str])] = &[
        (&["digit"], &["error: there is no study \"digit\"", "hint: did you mean \"digits\"?"]),
        (
            &["letters"],
            &[
                "error: there is no study \"letters\"",
                "hint: built in is digits, digits-fast, digits-best, fashion, images; a study of your own is a .toml file",
            ],
        ),
        (&["nowhere.toml"], &["error: nowhere.toml: there is no such file"]),
        (&["--only", "cnn3"], &["the study \"digits\" has no recipe \"cnn3\"", "hint: did you mean \"cnn"]),
        (&["--only", "softmax,"], &["has no recipe \"\"", "its recipes are softmax, mlp"]),
        (&["--seeds", "0"], &["--seeds <N>", "1..=1000"]),
        (&["--seeds", "1000000000000"], &["--seeds <N>"]),
        (&["--seeds", "-1"], &["-1"]),
        (&["--threads", "0"], &["--threads <N>"]),
        (&["--threads", "1025"], &["--threads <N>"]),
        (&["--epochs", "0"], &["--epochs <N>"]),
        (&["--epochs", "10001"], &["--epochs <N>"]),
        (&["--format", "xml"], &["--format <FORMAT>", "text, json"]),
        (&["--precision", "f16"], &["--precision <f32|bf16|bf16-tile>", "expected f32, bf16 or bf16-tile"]),
        (&["--margin=-1"], &["--margin <POINTS>", "expected points of accuracy as a number, from 0 to 100"]),
        (&["--margin", "100.1"], &["--margin <POINTS>", "from 0 to 100"]),
        (&["--margin", "nan"], &["--margin <POINTS>"]),
        (&["--choose-by", "luck"], &["--choose-by <CHOOSE_BY>", "validation, test"]),
        (&["--sedes", "3"], &["--sedes", "--seeds"]),
        (
            &[&key],
            &["key.toml:6:1: there is no key `epoch` here", "6 | epoch = 2\n  | ^^^^^", "hint: did you mean `epochs`?"],
        ),
        (
            &[&layer],
            &["layer.toml:5:11: recipe \"a\": layer 1: there is no layer \"lineer\" (did you mean \"linear\"?)"],
        ),
        (
            &[&shape],
            &[
                "recipe \"a\": layer 2 \"conv 4 5x5 valid\" cannot take its input of shape 1x3x3: the 5x5 window is larger than \
               the 3x3 image",
            ],
        ),
        (
            &[&classes],
            &[
                "recipe \"a\": the last layer \"linear 9\" gives 9; the last layer must be \"linear 10\"",
                "hint: write \"linear classes\" as the last layer: it has an output for each class of the data",
            ],
        ),
        (&[&batch], &["recipe \"a\": batch_size is 541, expected 1 to 540"]),
        (&[&lr], &["lr.toml:7:13: recipe \"a\": the optimizer's lr is NaN, expected 1e-12 to 1000"]),
        (&[&syntax], &["syntax.toml:2:", "2 | [[recipe]\n"]),
        (&[&binary], &["binary.toml: byte 8 is not UTF-8 text"]),
        (&[&utf16], &["utf16.toml: is UTF-16 text, expected UTF-8", "hint: save it as UTF-8"]),
        (&[&large], &["large.toml: is larger than 1048576 bytes"]),
    ];
    for (arguments, parts) in cases {
        let ended = run_in(&path, arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
        for part in *parts {
            assert!(ended.err.contains(part), "{arguments:?}: {part}\n{}", ended.err);
        }
        assert!(!path.join("out").exists(), "{arguments:?}: nothing is written before everything is checked");
    }
    for arguments in [
        &["models", "digit"][..],
        &["train"],
        &[],
        &["data", "--set", "size = [3, 3]"],
        &["models", &shape],
        &["bench", "digit"],
        &["bench", "--seconds", "0"],
        &["bench", "--seconds", "forever"],
        &["bench", "--only", "cnn3"],
        &["bench", "--isa", "neon"],
    ] {
        assert_eq!(run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn bench_measures_each_recipe() {
    let short = ["bench", "--only", "softmax,mlp", "--seconds", "0.05", "--threads", "2", "--layers"];
    let ended = run(&short);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let peak = format!("{}; measured peak ", threads());
    for part in [&*peak, "ms/step", "\nsoftmax  ", "\nmlp  ", "linear 200, relu", "total  "] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    let ended = run(&[&short[..7], &["--precision", "bf16-tile"]].concat());
    assert!(ended.code == Some(0) && ended.out.contains("\nmlp bf16-tile  "), "{}{}", ended.err, ended.out);
    let ended = run(&[&short[..], &["--precision", "bf16", "--format", "json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record: serde_json::Value = serde_json::from_str(&ended.out).expect("it is JSON");
    let mlp = &record["recipes"][1];
    assert_eq!((mlp["name"].as_str(), mlp["precision"].as_str()), (Some("mlp"), Some("bf16")));
    assert_eq!((mlp["parameters"].as_u64(), mlp["batch_size"].as_u64()), (Some(199_210), Some(50)));
    for number in ["ms_per_step", "images_per_s", "gflops", "share_of_peak", "epoch_s", "evaluation_images_per_s"] {
        assert!(mlp[number].as_f64().is_some_and(|value| value > 0.0), "{number} of {mlp}");
    }
    assert!(record["peak_gflops"].as_f64().is_some_and(|peak| peak > 0.0));
}

#[test]
fn bench_uses_no_more_instructions_than_it_is_told() {
    let of = |isa: &str| {
        run(&["bench", "--only", "softmax", "--seconds", "0.05", "--threads", "1", "--isa", isa, "--format", "json"])
    };
    let ended = of("portable");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record: serde_json::Value = serde_json::from_str(&ended.out).expect("it is JSON");
    assert_eq!(record["environment"]["isa"], "portable");
    let refused = of("neon");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("expected portable, avx2 or avx512; this processor has portable"), "{}", refused.err);
}

#[test]
fn precision_is_recorded_and_makes_another_trial() {
    let path = with_data("cli-precision", |_, _| {});
    let file = study_file(&path, &STUDY.replace("\"linear 10\"", "\"linear 64\", \"tanh\", \"linear 10\""));
    let single = run_in(&path, &[&file]);
    assert_eq!(single.code, Some(0), "{}", single.err);
    assert_eq!(results(&path)["recipes"][0]["precision"], "f32");
    let first = results(&path)["recipes"][0]["trials"][0].clone();
    let refused = run_in(&path, &[&file, "--precision", "bf16"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let rounded = run_in(&path, &[&file, "--precision", "bf16", "--replace"]);
    assert_eq!(rounded.code, Some(0), "{}", rounded.err);
    for part in ["in bf16: a", "a seed 1: precision was f32 and is now bf16"] {
        assert!(rounded.err.contains(part), "{part}\n{}", rounded.err);
    }
    assert_eq!(results(&path)["recipes"][0]["precision"], "bf16");
    let second = results(&path)["recipes"][0]["trials"][0].clone();
    assert_eq!((&first["precision"], &second["precision"]), (&"f32".into(), &"bf16".into()));
    assert_ne!(first["identity"], second["identity"]);
    assert!(fs::read_to_string(path.join("out/study.toml")).unwrap().contains("precision = \"bf16\"\n"));
    let third = run_in(&path, &[&file, "--precision", "bf16-tile", "--replace"]);
    assert_eq!(third.code, Some(0), "{}", third.err);
    for part in ["in bf16-tile: a; computed by software", "a seed 1: precision was bf16 and is now bf16-tile"] {
        assert!(third.err.contains(part), "{part}\n{}", third.err);
    }
    let tiled = results(&path)["recipes"][0]["trials"][0].clone();
    assert_ne!(second["identity"], tiled["identity"]);
    // A study file asks for it by the same name: what it asks for is there.
    let asked = fs::read_to_string(&file).unwrap() + "precision = \"bf16-tile\"\n";
    let again = run_in(&path, &[&study_file(&path, &asked)]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(results(&path)["recipes"][0]["trials"][0], tiled);
}

#[test]
fn bad_data_is_refused_by_name() {
    let cases: [(&str, &str, PathBuf); 7] = [
        (
            "missing",
            "holds t10k-labels-idx1-ubyte and no file of its images, expected one of that name with `images`",
            with_data("cli-data-1", |n, b| {
                if n == 2 {
                    b.clear()
                }
            }),
        ),
        (
            "cut short",
            "data/train-images-idx3-ubyte: ends at byte 100,",
            with_data("cli-data-2", |n, b| {
                if n == 0 {
                    b.truncate(100)
                }
            }),
        ),
        (
            "a lie",
            "train-images-idx3-ubyte: ends at byte 470416, the header promises 65536x28x28 elements",
            with_data("cli-data-3", |n, b| {
                if n == 0 {
                    b[4..8].copy_from_slice(&65536_u32.to_be_bytes())
                }
            }),
        ),
        (
            "a great lie",
            "train-images-idx3-ubyte: the header promises 2139062143x28x28 elements",
            with_data("cli-data-8", |n, b| {
                if n == 0 {
                    b[4..8].fill(0x7f)
                }
            }),
        ),
        (
            "too long",
            "train-labels-idx1-ubyte: goes on after byte 608",
            with_data("cli-data-4", |n, b| {
                if n == 1 {
                    b.push(0)
                }
            }),
        ),
        (
            "no IDX",
            "t10k-labels-idx1-ubyte: begins with bytes 3c 68",
            with_data("cli-data-6", |n, b| {
                if n == 3 {
                    *b = b"<html>".to_vec()
                }
            }),
        ),
        (
            "no gzip",
            "t10k-labels-idx1-ubyte: the gzip data is damaged",
            with_data("cli-data-7", |n, b| {
                if n == 3 {
                    *b = vec![0x1f, 0x8b, 8, 0, 1]
                }
            }),
        ),
    ];
    for (case, part, path) in cases {
        let ended = run_in(&path, &["--only", "softmax"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{case}: {}", ended.err);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(part), "{case}: {part}\n{}", ended.err);
        assert!(!path.join("out").exists(), "{case}");
        assert_eq!(run(&["data", text(&path.join("data"))]).code, Some(3), "{case}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_refused() {
    let path = with_data("cli-out", |_, _| {});
    let data = path.join("data");
    fs::write(path.join("file"), "").unwrap();
    fs::create_dir(path.join("foreign")).unwrap();
    fs::write(path.join("foreign/study.toml"), "precious").unwrap();
    let held = RunFolder::open(&path.join("held")).expect("nobody else is here");
    let holder = format!("held: is in use by process {}; ", std::process::id());
    let mut cases = vec![
        (path.join("file/out"), "file is a file, expected a folder; choose another folder with --out"),
        (path.join("file"), "file: cannot make the folder: "),
        (
            path.join("foreign"),
            "foreign: holds a study.toml that was not written by a run; choose another folder with --out",
        ),
        (path.join("held"), &*holder),
    ];
    if cfg!(target_os = "linux") {
        cases.push((PathBuf::from("/proc/tenfold"), "/proc/tenfold: cannot make the folder: "));
    }
    for (out, part) in cases {
        let ended = run(&["run", "--only", "softmax", "--epochs", "1", "--data", text(&data), "--out", text(&out)]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""), "{}: {}", out.display(), ended.err);
        assert!(ended.err.contains(part), "{part}\n{}", ended.err);
    }
    assert_eq!(fs::read(path.join("foreign/study.toml")).unwrap(), b"precious");
    drop(held);
}

/// Two recipes, the second of which would take forever.
const ENDLESS: &str = "name = \"mine\"\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\nepochs = 1\n\
                       [[recipe]]\nname = \"b\"\nlayers = [\"linear 10\"]\nepochs = 10000\n";

/// Starts a run of [`ENDLESS`] and waits until the second recipe is in training.
fn endless(path: &Path, file: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    started(path, &[file], "b seed 1  epoch ")
}

/// Starts a run and waits for a line on standard error that begins so.
fn started(path: &Path, arguments: &[&str], beginning: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let (data, out) = (path.join("data"), path.join("out"));
    let usual = ["run", "--data", text(&data), "--out", text(&out), "--threads", "1"];
    started_with(&[&usual, arguments].concat(), beginning)
}

/// Starts a command and waits for a line on standard error that begins so.
fn started_with(arguments: &[&str], beginning: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child =
        tenfold(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
    line_beginning(&mut lines, beginning);
    (child, lines)
}

/// The next line that begins so.
#[track_caller]
fn line_beginning(lines: &mut impl BufRead, beginning: &str) -> String {
    let mut line = String::new();
    while !line.starts_with(beginning) {
        line.clear();
        let read = lines.read_line(&mut line).expect("the program prints text");
        assert!(read > 0, "it ended before a line that begins with {beginning:?}");
    }
    line
}

/// Sends a signal to a process.
#[cfg(unix)]
#[track_caller]
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.expect("there is a kill command").success());
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_run_and_keeps_what_is_done() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let path = with_data(&format!("cli-signal-{signal}"), |_, _| {});
        let file = study_file(&path, ENDLESS);
        let mut reached = 1;
        for again in [false, true] {
            let (mut child, mut lines) = endless(&path, &file);
            let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
            assert!(sent.expect("there is a kill command").success());
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code), "{rest}");
            assert!(
                rest.contains("interrupted: 1 of 2 trainings are done; the same command goes on from there"),
                "{rest}"
            );
            let last = rest.lines().last().unwrap_or_default();
            let goes_on = last.strip_prefix("b seed 1 goes on from epoch ").expect(&rest);
            let epoch = |text: &str| -> usize {
                let digits: String = text.chars().filter(|c| *c != ',').take_while(char::is_ascii_digit).collect();
                digits.parse().expect("a number")
            };
            // Stopped the second time, it had gone on from where it was stopped the first time.
            assert!(epoch(goes_on) >= reached, "{rest}");
            reached = epoch(goes_on);
            let record = results(&path);
            let trial = |recipe: usize| record["recipes"][recipe]["trials"][0].clone();
            assert_eq!((&trial(0)["status"], &trial(1)["status"]), (&"finished".into(), &"interrupted".into()));
            assert!(!path.join("out/trials/b/seed-1/model.safetensors").exists(), "{again}");
        }
    }
}

/// While pictures are drawn of so many filters that it takes seconds.
#[cfg(unix)]
#[test]
fn a_signal_cuts_the_end_of_a_run_short_and_the_same_command_does_the_rest() {
    let wide = "[\"conv 384 5x5 same\", \"relu\", \"global-avgpool\", \"linear 10\"]";
    let path = with_data("cli-late-signal", |_, _| {});
    let file = study_file(&path, &STUDY.replace("[\"linear 10\"]", wide).replace("epochs = 2", "epochs = 1"));
    let (mut child, mut lines) = started(&path, &[&file], "a seed 1  epoch 1/1");
    let pictures = path.join("out/pictures");
    while !pictures.join("curves.svg").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it goes on until a signal comes");
        sleep(std::time::Duration::from_millis(5));
    }
    signal(&child, "TERM");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{rest}");
    assert!(rest.contains("interrupted: all that was trained is kept; the same command writes the rest"), "{rest}");
    assert!(!pictures.join("filters.png").exists(), "nobody waited for it");
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("a seed 1 was finished before and is kept"), "{}", ended.err);
    assert!(pictures.join("filters.png").exists() && path.join("out/report.html").exists());
}

#[cfg(unix)]
#[test]
fn a_checkpoint_is_written_when_asked_for_and_the_training_goes_on() {
    let path = with_data("cli-checkpoint", |_, _| {});
    let file = study_file(&path, ENDLESS);
    let (mut child, mut lines) = endless(&path, &file);
    let sent = Command::new("kill").args(["-USR1", &child.id().to_string()]).status();
    assert!(sent.expect("there is a kill command").success());
    let mut line = String::new();
    while !line.starts_with("checkpoint: b seed 1 goes on from epoch ") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("the program prints text") > 0, "it goes on");
    }
    let place = path.join("out/trials/b/.seed-1.checkpoint");
    let kept = fs::read_dir(&place).expect("there is one").count();
    assert!((1..=3).contains(&kept), "{kept}");
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    // Who was killed had no time to leave a record; what was kept is told and gone on from.
    let (mut child, mut lines) = started(&path, &[&file], "b seed 1 was interrupted and goes on from epoch ");
    line.clear();
    while !line.starts_with("b seed 1  epoch ") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("the program prints text") > 0, "it goes on");
    }
    assert!(!line.contains(" 1/10000"), "{line}");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("there is a kill command").success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{rest}");
}

/// Without what a clock or another process has a part in.
fn without_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(values) => values.iter_mut().for_each(without_times),
        serde_json::Value::Object(fields) => {
            for time in ["train_time_s", "evaluation_time_s", "timing", "time", "median_s", "fastest", "place"] {
                fields.remove(time);
            }
            fields.values_mut().for_each(without_times);
        }
        _ => {}
    }
}

/// Takes the counts of looks at the test images out, as reason, recipe and seed with the count.
fn take_looks(record: &mut serde_json::Value) -> Vec<(String, u64)> {
    let readings = record["test_readings"].take();
    let readings = readings.as_array().expect("there is a list").iter();
    readings
        .map(|r| (format!("{} {} {}", r["reason"], r["recipe"], r["seed"]), r["count"].as_u64().expect("a number")))
        .collect()
}

#[cfg(unix)]
#[test]
fn a_study_that_is_killed_again_and_again_ends_with_the_same_record() {
    let study = "name = \"mine\"\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\nepochs = 12\n\
                 [[recipe]]\nname = \"b\"\nlayers = [\"conv 4 5x5 same\", \"relu\", \"maxpool 2\", \"linear 10\"]\n\
                 epochs = 6\nstop = \"valid_accuracy >= 0.8\"\n";
    let (straight, broken) = (with_data("cli-straight", |_, _| {}), with_data("cli-broken", |_, _| {}));
    let (file, same) = (study_file(&straight, study), study_file(&broken, study));
    let started = Instant::now();
    assert_eq!(run_in(&straight, &[&file, "--seeds", "4"]).code, Some(0));
    let whole = started.elapsed();

    let (data, out) = (broken.join("data"), broken.join("out"));
    let mut before: Vec<(String, u64)> = Vec::new();
    // Moments spread over a run, in no order; what each finds done makes the next one meet other work.
    for (n, moment) in [0.12, 0.9, 0.33, 0.6, 0.21, 0.75, 0.45, 0.05, 0.54, 0.27].into_iter().enumerate() {
        let arguments = ["run", &same, "--data", text(&data), "--out", text(&out), "--threads", "2", "--seeds", "3"];
        let mut child = tenfold(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        sleep(whole.mul_f64(moment));
        if n % 3 == 2 {
            let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            assert!(sent.is_ok(), "there is a kill command");
        } else {
            child.kill().expect("it is ours");
        }
        let code = child.wait().expect("it ends").code();
        assert!(matches!(code, None | Some(0 | 130)), "{code:?}");
        if out.join("results.json").exists() {
            let looks = take_looks(&mut results(&broken));
            let counted = |key: &str| looks.iter().find(|look| look.0 == *key).map_or(0, |look| look.1);
            assert!(before.iter().all(|look| counted(&look.0) >= look.1), "{before:?} {looks:?}");
            before = looks;
        }
    }
    let ended = run_in(&broken, &[&same, "--seeds", "4"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let [mut expected, mut found] = [&straight, &broken].map(|path| results(path));
    let (once, looks) = (take_looks(&mut expected), take_looks(&mut found));
    // Of each trial, and of the seeds of each recipe together.
    assert_eq!(once.len(), 10);
    assert!(once.iter().all(|look| look.1 == 1), "{once:?}");
    // A run that dies between a look and its record looks again, and says so.
    assert!(once.iter().map(|look| &look.0).eq(looks.iter().map(|look| &look.0)), "{looks:?}");
    assert!(looks.iter().all(|look| look.1 >= 1), "{looks:?}");
    without_times(&mut expected);
    without_times(&mut found);
    assert_eq!(found, expected);
    for seed in 1..=4 {
        for trial in [format!("a/seed-{seed}"), format!("b/seed-{seed}")] {
            for file in ["model.safetensors", "predictions.csv"] {
                let [one, other] =
                    [&straight, &broken].map(|path| fs::read(path.join("out/trials").join(&trial).join(file)));
                assert!(one.unwrap() == other.unwrap(), "{trial}/{file}");
            }
        }
    }
    // Interrupted or not, fewer seeds compare what is there.
    let ended = run_in(&broken, &[&same, "--seeds", "2"]);
    assert!(ended.code == Some(0) && ended.out.contains("4 seeds each"), "{}\n{}", ended.err, ended.out);
}

#[cfg(unix)]
#[test]
fn a_signal_in_the_probe_ends_the_run() {
    let path = with_data("cli-probe", |_, _| {});
    let slow = "name = \"mine\"\n[[recipe]]\nname = \"slow\"\nepochs = 1\nbatch_size = 100\nlayers = [\
                \"conv 64 5x5 same\", \"relu\", \"conv 64 5x5 same\", \"relu\", \"linear 10\"]\n";
    let file = study_file(&path, slow);
    let (mut child, mut lines) = started(&path, &[&file], "1 thread, ");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("there is a kill command").success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert_eq!(rest, "interrupted: 0 of 1 trainings are done; the same command goes on from there\n");
    assert!(!path.join("out/trials").exists());
}

#[cfg(unix)]
#[test]
fn the_holder_of_a_folder_is_named() {
    let path = with_data("cli-held", |_, _| {});
    let file = study_file(&path, ENDLESS);
    let (mut child, _lines) = endless(&path, &file);
    let ended = run_in(&path, &[&file]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains(&format!("out: is in use by process {}; wait", child.id())), "{}", ended.err);
    // The lock of a process that was killed holds nobody up, and what it had finished is kept.
    let ended = run_in(&path, &[&file, "--only", "a"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("a seed 1 was finished before and is kept"), "{}", ended.err);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let path = with_data("cli-pipe", |_, _| {});
    let (data, out) = (path.join("data"), path.join("out"));
    let run = ["run", "--only", "softmax", "--epochs", "1", "--data", text(&data), "--out", text(&out)];
    for arguments in [&run[..], &["models"], &["data"], &["--help"], &["run", "--help"], &["--version"]] {
        let mut child =
            tenfold(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
        assert!(!err.contains("panicked") && !err.contains("error"), "{arguments:?}: {err}");
    }
}

#[test]
fn help_teaches_by_example() {
    let ended = run(&["--help"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("tenfold run --seeds 10") && ended.out.contains("Exit codes:"), "{}", ended.out);
    let ended = run(&["run", "--help"]);
    assert!(
        ended.out.contains("tenfold run --seeds 10 --margin 0.2") && ended.out.contains("--choose-by"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("[[recipe]]") && ended.out.contains("[default: runs/STUDY"), "{}", ended.out);
}

/// Other studies have recipes of the same names, which are other networks.
#[test]
fn published_figures_stand_beside_the_study_that_repeats_them_alone() {
    let path = folder("cli-published");
    for (study, published) in [("digits", true), ("images", false)] {
        let out = path.join(study);
        let ended = run(&["run", study, "--only", "softmax", "--plan-only", "--out", text(&out)]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let record = fs::read_to_string(out.join("results.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).expect("it is JSON");
        assert_eq!(record["asked"]["published"], published, "{study}");
    }
}
