//! Run folders of earlier versions, kept in `fixtures/runs`: whatever changes, they can be looked at and used.

use super::*;

/// A copy of a folder that is kept, with the images beside it as they were: the run folder.
fn kept(name: &str, test: &str) -> PathBuf {
    let (from, path) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/runs"), folder(test));
    copy(&from.join(name), &path.join(name));
    fs::copy(from.join("images.csv"), path.join("images.csv")).unwrap();
    path.join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
    ended.out
}

/// Of training version 3: two recipes of two seeds, with dropout, batch norm, a residual block, augmentation and Muon.
#[test]
fn a_run_folder_of_training_version_3_opens() {
    let at = kept("training-3", "cli-golden-3");
    let out = text(&at);
    let record = json(&fs::read_to_string(at.join("results.json")).unwrap());

    // Accuracies are the record's, in the comparison and on the page.
    let compared = json(&done(&["compare", out, "--format", "json"]));
    let page = done(&["report", out]);
    let page = fs::read_to_string(page.trim()).unwrap();
    let words = done(&["compare", out]);
    for (n, name) in ["flat", "conv"].into_iter().enumerate() {
        let statistics = &record["comparison"]["recipes"][n];
        assert_eq!(statistics["recipe"], name);
        for figure in ["accuracy_by_seed", "seeds"] {
            assert_eq!(compared["comparisons"][0]["comparison"]["recipes"][n][figure], statistics[figure], "{name}");
        }
        let accuracy = format!("{name} ({:.2}%)", 100.0 * statistics["accuracy"]["mean"].as_f64().unwrap());
        assert!(words.contains(&accuracy) && page.contains(&accuracy), "{accuracy}: {words}");
    }
    assert!(words.contains("machine golden"), "{words}");
    assert!(json(&done(&["status", out, "--format", "json"]))["recipes"][1]["left"] == 0);

    // The networks name as many of the images rightly as they did.
    let images = at.parent().unwrap().join("images.csv");
    let labels = fs::read_to_string(&images).unwrap();
    let labels: Vec<&str> = labels.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    for (network, right) in [("flat:1", 56), ("flat:2", 60), ("conv:1", 78), ("conv:2", 76)] {
        let rows = done(&["predict", &format!("{out}:{network}"), text(&images)]);
        let classes = rows.lines().skip(1).filter_map(|line| line.split(',').nth(1));
        assert_eq!(classes.zip(&labels).filter(|(class, label)| class == *label).count(), right, "{network}: {rows}");
    }

    // Files agree for ever; trainings are repeated by the training code that made them.
    let ended = run(&["verify", out, "--format", "json", "--threads", "1"]);
    let said = json(&ended.out);
    let trainings = said["trainings"].as_array().unwrap();
    assert_eq!(trainings.len(), 4, "{said}");
    for training in trainings {
        assert_eq!(training["disagreements"], serde_json::json!([]), "{training}");
        assert!(training["same_bits"] == true || training["not_trained_again"].is_string(), "{training}");
    }
    assert!(!ended.out.contains("is not what this program computes"), "{}", ended.out);
}
