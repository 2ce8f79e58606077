//! `tenfold verify` and `tenfold diff`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::*;

const TWO: &str = "name = \"mine\"\n\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\nepochs = 2\n\n[[recipe]]\n\
                   name = \"b\"\nlayers = [\"conv 3 5x5\", \"relu\", \"maxpool 2\", \"dropout 0.5\", \"linear 10\"]\nepochs = 1\n";

/// Every file below `path`, with its contents and when it was changed.
fn all_files(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            files.insert(path.clone(), (fs::read(&path).unwrap(), changed));
        }
    }
    files
}

fn edit(file: &Path, change: impl Fn(&str) -> String) {
    let before = fs::read_to_string(file).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "{}", file.display());
    fs::write(file, after).unwrap();
}

fn edit_json(file: &Path, change: impl Fn(&mut serde_json::Value)) {
    edit(file, |text| {
        let mut value = serde_json::from_str(text).unwrap();
        change(&mut value);
        serde_json::to_string_pretty(&value).unwrap() + "\n"
    });
}

#[test]
fn what_a_run_wrote_agrees_and_is_trained_again_to_the_same_bits() {
    let path = with_data("cli-verify", |_, _| {});
    let out = path.join("out");
    assert_eq!(run_in(&path, &[&study_file(&path, TWO), "--seeds", "2"]).code, Some(0));
    let before = all_files(&out);
    // On another number of threads than the run's.
    let ended = run(&["verify", text(&out), "--threads", "1"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    for name in ["a seed 1", "a seed 2", "b seed 1", "b seed 2"] {
        let line = ended.out.lines().find(|line| line.starts_with(&format!("{name}: files agree; trained again in ")));
        assert!(line.is_some_and(|line| line.ends_with(", the same bits")), "{}", ended.out);
    }
    assert!(ended.out.ends_with("\n4 of 4 trainings agree; 4 run again with the same bits\n"), "{}", ended.out);
    let ended = run(&["verify", text(&out), "--sample", "1", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&ended.out).expect("it is JSON");
    assert_eq!((ended.code, &said["agrees"]), (Some(0), &true.into()));
    let again = said["trainings"].as_array().unwrap().iter().filter(|training| training["same_bits"] == true).count();
    assert_eq!(again, 1, "{said}");
    let ended = run(&["verify", text(&out), "b:2", "--no-training"]);
    let words = "b seed 2: files agree\n1 of 1 training agree; none was run again\n"
        .replace("training agree", "training agrees");
    assert_eq!((ended.code, &*ended.out), (Some(0), &*words), "{}", ended.err);
    assert!(all_files(&out) == before, "nothing is written");
    for (arguments, message) in [
        (["c", "--no-training"], "has no recipe \"c\""),
        (["a:3", "--no-training"], "has no training a:3"),
        (["a:x", "--no-training"], "a:x: expected RECIPE or RECIPE:SEED"),
    ] {
        let ended = run(&[&["verify", text(&out)][..], &arguments].concat());
        assert!(ended.code == Some(2) && ended.err.contains(message), "{}", ended.err);
    }
    // Without the images files are checked alone; to train again they are missed.
    fs::rename(path.join("data"), path.join("moved")).unwrap();
    let ended = run(&["verify", text(&out), "--no-training"]);
    assert!(ended.code == Some(0) && ended.err.contains("warning: without the images, "), "{}", ended.err);
    assert_eq!(run(&["verify", text(&out)]).code, Some(3));
    assert_eq!(run(&["verify", text(&out), "a:1", "--data", text(&path.join("moved"))]).code, Some(0));
}

#[test]
fn what_was_changed_does_not_agree() {
    let path = with_data("cli-verify-changed", |_, _| {});
    let out = path.join("out");
    assert_eq!(run_in(&path, &[&study_file(&path, TWO), "--seeds", "2"]).code, Some(0));
    let (results, trial) = (out.join("results.json"), out.join("trials/b/seed-1"));
    let before = all_files(&out);
    let check = |more: &[&str], part: &str| {
        let ended = run(&[&["verify", text(&out)][..], more].concat());
        assert_eq!(ended.code, Some(1), "{part}: {}{}", ended.out, ended.err);
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
        for (file, (bytes, _)) in &before {
            fs::write(file, bytes).unwrap();
        }
    };
    let files: &[&str] = &["--no-training"];
    // A prediction.
    edit(&trial.join("predictions.csv"), |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut fields: Vec<&str> = lines[1].split(',').collect();
        fields[2] = if fields[2] == "3" { "4" } else { "3" };
        lines[1] = fields.join(",");
        lines.join("\n") + "\n"
    });
    check(files, "b seed 1: DOES NOT AGREE\n  predictions.csv: does not give the metrics in result.json\n");
    // A probability, of which no metric tells.
    edit(&trial.join("predictions.csv"), |text| {
        let (start, last) = text.trim_end().rsplit_once(',').unwrap();
        format!("{start},{}\n", last.parse::<f32>().unwrap().next_down())
    });
    check(files, "  predictions.csv: of image 199 it says class ");
    // A figure of one record, and of both.
    let lower = |trial: &mut serde_json::Value| trial["epochs"][0]["train_loss"] = 0.25.into();
    edit_json(&trial.join("result.json"), lower);
    check(files, "  result.json: has another epochs than results.json\n");
    edit_json(&trial.join("result.json"), lower);
    edit_json(&results, |record| lower(&mut record["recipes"][1]["trials"][0]));
    check(files, "  epochs.csv: is not the table of the epochs in result.json\n");
    // One loss forged everywhere is seen only by training again.
    let loss = |text: &str| {
        let (start, row) = text.split_once("\n1,").unwrap();
        format!("{start}\n1,0.25,{}", row.split_once(',').unwrap().1)
    };
    edit_json(&trial.join("result.json"), lower);
    edit_json(&results, |record| lower(&mut record["recipes"][1]["trials"][0]));
    edit(&trial.join("epochs.csv"), loss);
    check(
        &[],
        "b seed 1: DOES NOT AGREE; trained again, other bits\n  epochs.csv: epoch 1: train loss is 0.25, trained again ",
    );
    // Weights, the checksum along with them or not.
    let mut weights = fs::read(trial.join("model.safetensors")).unwrap();
    let last = weights.len() - 3;
    weights[last] ^= 1;
    fs::write(trial.join("model.safetensors"), &weights).unwrap();
    check(files, "  model.safetensors: has SHA-256 ");
    // A setting of the recipe.
    edit_json(&results, |record| record["recipes"][1]["batch_size"] = 60.into());
    check(files, "  results.json: says of the recipe: batch_size 60; the training says 50\n");
    // A seed that was not it: settings and their checksum no longer agree.
    let other = |trial: &mut serde_json::Value| trial["settings"]["seed"] = 2.into();
    edit_json(&trial.join("result.json"), other);
    edit_json(&results, |record| other(&mut record["recipes"][1]["trials"][0]));
    check(files, " is not the checksum of its settings, ");
    // The record contradicts itself.
    edit_json(&results, |record| record["recipes"][1]["trials"][0]["test"]["accuracy"] = 0.99.into());
    check(
        files,
        "the study: DOES NOT AGREE\n  results.json: recipe \"b\", seed 1: its metrics do not follow from its confusion matrix\n",
    );
    edit_json(&results, |record| record["comparison"]["recipes"][0]["accuracy_by_seed"][0] = 0.99.into());
    check(files, "  results.json: its comparison is not what this program computes from the trainings: recipes\n");
    // What the probabilities are worth, of one network and of all seeds as one, and how often the test images were looked at.
    let loss = |trial: &mut serde_json::Value| trial["calibration"]["plain"]["valid"]["loss"] = 0.5.into();
    edit_json(&trial.join("result.json"), loss);
    edit_json(&results, |record| loss(&mut record["recipes"][1]["trials"][0]));
    check(files, "  result.json: its calibration is not that of the network: plain\n");
    edit_json(&results, |record| record["recipes"][0]["ensemble"]["test_accuracy_interval"]["low"] = 0.01.into());
    check(files, "  results.json: its mean of the seeds of a is not that of the networks: test accuracy interval\n");
    edit_json(&results, |record| {
        let readings = record["test_readings"].as_array_mut().unwrap();
        readings.retain(|reading| reading["recipe"] != "b" || reading["seed"] != 1);
    });
    check(files, "  results.json: counts no look at the test images for b seed 1\n");
    // A file that is missing.
    fs::remove_file(trial.join("predictions.csv")).unwrap();
    check(files, "  predictions.csv: cannot be read: ");
    assert_eq!(run(&["verify", text(&out), "--no-training"]).code, Some(0), "all was put back");
}

#[test]
fn a_difference_is_traced_to_its_cause() {
    let path = with_data("cli-diff", |_, _| {});
    let study = study_file(&path, TWO);
    assert_eq!(run_in(&path, &[&study, "--seeds", "2"]).code, Some(0));
    let out = path.join("out");
    let other = |name: &str, change: &dyn Fn(&str) -> String, data: &Path| {
        let (file, out) = (path.join("other.toml"), path.join(name));
        fs::write(&file, change(TWO)).unwrap();
        let ended = run(&["run", text(&file), "--data", text(data), "--out", text(&out), "--threads", "1"]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        out
    };
    let named = |out: &Path, trial: &str| format!("{}:{trial}", text(out));
    let compare = |a: &str, b: &str, more: &[&str], code: i32| {
        let ended = run(&[&["diff", a, b][..], more].concat());
        assert_eq!(ended.code, Some(code), "{a} {b}: {}{}", ended.out, ended.err);
        ended.out
    };
    let data = path.join("data");
    let same = other("same", &str::to_owned, &data);
    let said = compare(text(&out), text(&same), &[], 0);
    assert_eq!(said.matches(": the same bits\n").count(), 2, "{said}");
    let steps = compare(&named(&out, "b:1"), &named(&same, "b:1"), &["--steps"], 0);
    assert!(steps.contains("  trained again, they are the same in every step\n"), "{steps}");
    // Another seed.
    let said = compare(&named(&out, "b:1"), &named(&out, "b:2"), &["--steps"], 1);
    for part in [
        "different, as they are from different seeds\n  seed: 1 and 2\n  first epoch that differs: 1, train loss ",
        "  conv1.weight: 75 of 75 values differ, by at most ",
        "  trained again, they part before the first step: ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Another setting, which begins to act in the first step.
    let slow = other(
        "slow",
        &|text| text.replace("epochs = 1\n", "epochs = 1\noptimizer = { kind = \"adam\", lr = 2e-3 }\n"),
        &data,
    );
    let said = compare(&named(&out, "b:1"), &named(&slow, "b:1"), &["--steps"], 1);
    for part in
        ["different, as their settings are\n  optimizer.lr: ", "  trained again, they part in step 1 (of epoch 1), "]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    // One of two that are the same ends before the other: 11 steps of an epoch, and no step of it is the one they part in.
    let long = other("long", &|text| text.replace("epochs = 2", "epochs = 3"), &data);
    let words = "  trained again, they are the same in every step until the first ends, with step 22 (of epoch 2); the second \
                 goes on\n";
    let said = compare(&named(&out, "a:1"), &named(&long, "a:1"), &["--steps"], 1);
    assert!(said.contains(words), "{said}");
    let said = compare(&named(&long, "a:1"), &named(&out, "a:1"), &["--steps", "--format", "json"], 1);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let step = &said[0]["first_step"];
    assert_eq!((&step["step"], &step["ends"], &step["arrays"]), (&22.into(), &"second".into(), &serde_json::json!([])));
    // One pixel of one image of the data: the step that first sees it.
    let changed = with_data("cli-diff-data", |file, bytes| {
        if file == 0 {
            bytes[16 + 784 * 300 + 400] ^= 0x80
        }
    });
    let others = other("others", &str::to_owned, &changed.join("data"));
    let said = compare(&named(&out, "a:1"), &named(&others, "a:1"), &["--steps", "--format", "json"], 1);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said[0]["cause"], "data", "{said}");
    let step = said[0]["first_step"]["step"].as_u64().expect("there is one");
    assert!((1..=11).contains(&step), "it is one of the first epoch: {said}");
    let [first, second] = [&data, &changed.join("data")].map(|data| after_steps(data, step - 1, step));
    assert!(first[0] == second[0] && first[1] != second[1], "step {step}");
    // A file that was changed.
    let weights = same.join("trials/a/seed-1/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let said = compare(&named(&out, "a:1"), &named(&same, "a:1"), &[], 1);
    assert!(
        said.contains("a file was changed since its training wrote it: ") && said.contains("same/trials/a/"),
        "{said}"
    );
    for (a, b, message) in [
        (named(&out, "a:1"), text(&same).to_owned(), "one side is a training and the other a folder"),
        (named(&out, "a:9"), named(&same, "a:1"), "has no training a:9"),
        (named(&out, "a"), named(&same, "a"), "says no seed of a"),
    ] {
        let ended = run(&["diff", &a, &b]);
        assert!(ended.code == Some(2) && ended.err.contains(message), "{}", ended.err);
    }
}

/// The parameters of recipe `a` of the study after so many steps, trained here.
fn after_steps(data: &Path, one: u64, other: u64) -> [Vec<f32>; 2] {
    use tenfold_nn::train::{Event, Flow, TrainSettings, train};
    let collection = tenfold_data::read(data, &tenfold_data::Options::default()).unwrap();
    let splits = tenfold_nn::data::Splits::of(collection, tenfold_data::Shares::default(), 0, &mut |_| {}).unwrap();
    let layers = vec!["linear 10".parse().unwrap()];
    let architecture = tenfold_nn::model::Architecture::new(splits.train.shape(), layers, 10).unwrap();
    let config = TrainSettings { epochs: 2, ..TrainSettings::default() }.with_seed(1);
    [one, other].map(|steps| {
        if steps == 0 {
            return Vec::new();
        }
        let mut done = 0;
        let mut stop = |event: &Event| {
            done += u64::from(matches!(event, Event::Step { .. }));
            if done == steps { Flow::Stop } else { Flow::Continue }
        };
        let outcome = train(&architecture, &config, &splits.train, &splits.valid, 1, &mut stop);
        outcome.model.tensor("fc1.weight").unwrap()
    })
}
