//! Studies made up for the tests of how comparisons are written.

use serde_json::{Value, json};
use tenfold_study::comparison::Comparison;
use tenfold_study::record::StudyRecord;

use super::{Compared, ComparedRecipe, ComparedStudy, SameImages};

fn metrics(accuracy: f64) -> Value {
    json!({ "loss": 0.1, "accuracy": accuracy, "balanced_accuracy": accuracy - 0.001, "per_class": [], "confusion": [] })
}

/// A trial; none of the accuracies that are `None` belongs to a finished one.
fn trial(recipe: &str, seed: u64, accuracy: Option<f64>) -> Value {
    let status = if accuracy.is_some() { "finished" } else { "diverged" };
    let reason = if accuracy.is_some() { "epochs" } else { "diverged" };
    json!({
        "recipe": recipe, "seed": seed, "identity": "", "status": status,
        "stopped": { "reason": reason, "epoch": 2 }, "epochs": [], "train_time_s": 1.5 + seed as f64,
        "valid": accuracy.map(|accuracy| metrics(accuracy + 0.01)), "test": accuracy.map(metrics),
        "weights_sha256": null, "environment": environment(),
    })
}

fn environment() -> Value {
    json!({ "cpu": "a CPU", "isa": "avx2", "threads": 2, "version": "0.1.0", "commit": "0123456789abcdef" })
}

fn recipe(name: &str, accuracies: &[Option<f64>]) -> Value {
    let trials = accuracies.iter().enumerate().map(|(n, accuracy)| trial(name, n as u64 + 1, *accuracy));
    let spread = |mean: f64| json!({ "mean": mean, "low": mean, "high": mean });
    json!({
        "name": name, "title": name, "layers": ["linear 10"], "batch_size": 50, "epochs": 2, "target": null,
        "patience": null, "optimizer": { "kind": "adam", "lr": 0.001 }, "schedule": { "kind": "constant" },
        "init": "pytorch", "pixels": { "mean": 0.0, "std": 1.0 }, "parameters": 7850, "macs_forward": 7840,
        "summary": { "finished": 1, "diverged": 0, "epochs": { "mean": 2.5, "low": 2.0, "high": 3.0 },
            "train_time_s": spread(2.0), "valid_balanced_accuracy": spread(0.9), "test_accuracy": spread(0.9),
            "test_balanced_accuracy": spread(0.9) },
        "published": null, "trials": trials.collect::<Vec<_>>(),
    })
}

/// A study of the recipes `a`, `b` and `wild`, which diverged, as JSON to be changed.
pub(crate) fn study(name: &str) -> Value {
    json!({
        "schema": 1, "study": name, "title": name,
        "dataset": { "name": "mnist", "train": 540, "valid": 60, "test": 10000, "shape": [1, 28, 28], "classes": 10,
            "sha256": "aaaaaaaaaaaaaaaa", "split_seed": 0, "split_sha256": "bbbbbbbbbbbbbbbb" },
        "environment": environment(),
        "recipes": [
            recipe("a", &[Some(0.9), Some(0.902)]), recipe("b", &[Some(0.91), Some(0.914)]), recipe("wild", &[None]),
        ],
        "test_readings": [
            { "reason": "trial", "recipe": "a", "seed": 1, "count": 1 },
            { "reason": "trial", "recipe": "a", "seed": 2, "count": 1 },
            { "reason": "trial", "recipe": "b", "seed": 1, "count": 1 },
            { "reason": "trial", "recipe": "b", "seed": 2, "count": 1 },
        ],
        "comparison": {},
    })
}

pub(crate) fn record(study: Value) -> StudyRecord {
    serde_json::from_value(study).expect("a study of the tests is a record")
}

fn estimate(mean: f64, several: bool) -> Value {
    let around = |half: f64| json!({ "low": mean - half, "high": mean + half });
    json!({ "mean": mean, "sd": several.then_some(0.0012), "seeds": several.then(|| around(0.002)), "new": around(0.006) })
}

/// What was found of a recipe with so many seeds.
pub(crate) fn statistics(name: &str, mean: f64, seeds: u64) -> Value {
    let several = seeds > 1;
    json!({
        "recipe": name, "seeds": (1..=seeds).collect::<Vec<_>>(), "diverged": [],
        "accuracy": estimate(mean, several), "accuracy_by_seed": [],
        "balanced_accuracy": estimate(mean - 0.001, several), "valid_accuracy": estimate(mean + 0.01, several),
        "per_class": [],
        "time": { "seeds": [1], "left_out": [2], "median_s": 2.5, "range_s": { "low": 2.25, "high": 3.5 },
            "epoch_s": 1.125 },
        "target": { "target": 0.92, "reached": 2, "censored": 1, "median_epochs": 3.0, "median_s": 4.5,
            "reached_by": [{ "epoch": 2, "share": 1.0 / 3.0 }, { "epoch": 3, "share": 2.0 / 3.0 }] },
    })
}

/// A pair with this difference, verdict and number of seeds.
pub(crate) fn pair(first: &str, second: &str, difference: f64, verdict: &str, seeds: u64) -> Value {
    let test = |half: f64, p: f64| {
        let interval = json!({ "low": difference - half, "high": difference + half });
        json!({ "interval": interval, "p": p / 2.0, "p_holm": p })
    };
    let better = verdict.contains("better").then_some(if difference > 0.0 { first } else { second });
    let open = verdict == "not_resolved";
    json!({
        "first": first, "second": second, "difference": difference,
        "these_images": (seeds > 4).then(|| test(0.004, 0.0004)), "new_images": (seeds > 1).then(|| test(0.008, 0.034)),
        "one_seed": (seeds == 1).then(|| {
            let interval = json!({ "low": difference - 0.01, "high": difference + 0.002 });
            json!({ "only_first": 11, "only_second": 1234, "p": 0.02, "p_holm": 0.04, "interval": interval,
                "new_images_p": 0.017, "new_images_p_holm": 0.034 })
        }),
        "first_beats_second": 0.2, "equivalence": null, "verdict": verdict, "better": better,
        "more_seeds": open.then_some(1), "more_images": open.then_some(23_000),
    })
}

pub(crate) fn comparison(recipes: Vec<Value>, pairs: Vec<Value>, groups: &[&[&str]]) -> Comparison {
    let leading = groups.first().copied().unwrap_or_default();
    let choice = leading.first().map(
        |first| json!({ "highest": first, "leading": leading, "smallest": leading.last(), "fastest": leading.last() }),
    );
    serde_json::from_value(json!({
        "resamples": 2000, "images": 10000, "writers": 297, "recipes": recipes, "pairs": pairs, "groups": groups,
        "choice": choice,
    }))
    .expect("a comparison of the tests is one")
}

/// The studies, each with all of its recipes, in the given sets.
pub(crate) fn compared<'a>(records: &'a [StudyRecord], sets: Vec<(Vec<usize>, Comparison)>) -> Compared<'a> {
    let several = records.len() > 1;
    let called = |study: &StudyRecord, name: &str| {
        if several { format!("{}:{name}", study.study) } else { name.to_owned() }
    };
    let recipes = |n: usize| {
        records[n].recipes.iter().map(move |record| ComparedRecipe {
            name: called(&records[n], &record.name),
            study: n,
            record,
        })
    };
    let set = |(studies, comparison): (Vec<usize>, Comparison)| SameImages {
        recipes: studies.iter().flat_map(|&n| recipes(n)).collect(),
        studies,
        comparison,
    };
    Compared {
        studies: records.iter().map(|record| ComparedStudy { name: record.study.clone(), record }).collect(),
        sets: sets.into_iter().map(set).collect(),
        some_only: false,
    }
}
