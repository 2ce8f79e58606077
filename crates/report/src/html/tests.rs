use std::collections::BTreeMap;
use std::path::PathBuf;

use tenfold_study::comparison::TestImages;

use super::*;
use crate::comparison::testing::{comparison, pair, record, statistics, study};

/// A study of two recipes, of whose names one is an attack.
fn made_up(name: &str) -> (FinishedStudy, Comparison) {
    let text = study(name).to_string().replace("\"a\"", &serde_json::to_string(name).expect("a string"));
    let record = record(serde_json::from_str(&text).expect("JSON"));
    let recipes = vec![statistics(name, 0.901, 5), statistics("b", 0.912, 5)];
    let comparison = comparison(recipes, vec![pair(name, "b", -0.011, "better", 5)], &[&["b"], &[name]]);
    let said: Vec<Prediction> = (0..4).map(|n| Prediction { label: n % 2, prediction: 1, probability: 0.5 }).collect();
    let predictions = record.recipes.iter().map(|_| BTreeMap::from([(1, said.clone()), (2, said.clone())])).collect();
    let images = TestImages { labels: vec![0, 1, 0, 1], classes: 2, groups: None };
    (
        FinishedStudy { path: PathBuf::from("runs/made-up"), record, predictions, images, test_paths: Vec::new() },
        comparison,
    )
}

fn html(name: &str) -> String {
    let (study, mut comparison) = made_up(name);
    comparison.shared_mistakes = vec![tenfold_study::comparison::SharedMistakes {
        recipes: vec![name.to_owned(), "b".to_owned()],
        count: 2,
        hardest: vec![2, 0],
    }];
    let image = |n: usize| vec![n as u8 * 60; 28 * 28];
    let pictures = vec![Shown { title: name.to_owned(), alternative: name.to_owned(), png: vec![1, 2, 3] }];
    let study_toml = format!("title = '{name}'");
    page(&Page { study: &study, comparison: &comparison, shape: [1, 28, 28], image: &image, pictures, study_toml })
}

const ATTACK: &str = "<script>alert('x')</script>\"'&";

#[test]
fn words_from_outside_are_escaped() {
    let page = html(ATTACK);
    assert!(!page.contains("<script"), "an element from a name");
    assert!(page.contains("&lt;script&gt;alert("));
    // The attribute that the quote would end.
    assert!(!page.contains("</script>\"'"));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = html("a");
    for word in ["<script", "<link", "<iframe", "@import", "javascript:", "onload=", "onclick="] {
        assert!(!page.contains(word), "{word}");
    }
    let addresses = page.split(['"', '(', '\'']).filter(|part| part.starts_with("http") || part.starts_with("//"));
    // Names of the languages of drawings, which nobody opens.
    let other: Vec<&str> = addresses.filter(|address| !address.starts_with("http://www.w3.org/")).collect();
    assert!(other.is_empty(), "{other:?}");
    assert!(page.len() < 2_000_000);
}

#[test]
fn headings_go_down_one_level_at_a_time_and_charts_have_names_and_tables() {
    let page = html("a");
    let levels: Vec<u8> = page
        .match_indices("<h")
        .filter_map(|(at, _)| page.as_bytes().get(at + 2))
        .copied()
        .filter(u8::is_ascii_digit)
        .collect();
    assert_eq!(levels.iter().filter(|level| **level == b'1').count(), 1);
    assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
    let charts = page.match_indices("<svg role=\"img\"").count();
    assert!(charts >= 3, "{charts} charts");
    for (at, _) in page.match_indices("<svg role=\"img\"") {
        let rest = &page[at..];
        let end = rest.find("</svg>").expect("it ends");
        assert!(rest[..end].contains("<title>") && rest[..end].contains("<desc>"));
        let table = rest[end..].find("<details>").expect("numbers follow");
        assert!(table < 200, "the numbers of a chart are right below it");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), ids.len(), "an id names one thing");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(html("a"), html("a"));
}

#[test]
fn mistakes_name_who_misses_and_what_is_said() {
    let page = html("a");
    assert!(page.contains("Both miss: 2"), "two recipes");
    assert!(page.contains("aria-label=\"test image 2, labelled 0\""));
    assert!(page.contains("1 (0.50, 2 of 2)"));
}

#[test]
fn what_is_odd_about_the_data_stands_on_top() {
    let (mut study, comparison) = made_up("a");
    study.record.dataset.warnings = vec![ATTACK.to_owned()];
    study.record.dataset.first_label = 1;
    let image = |_: usize| Vec::new();
    let study_toml = String::new();
    let html = page(&Page {
        study: &study,
        comparison: &comparison,
        shape: [1, 28, 28],
        image: &image,
        pictures: Vec::new(),
        study_toml,
    });
    let warning = html.find("<li>&lt;script").expect("the warning");
    assert!(warning < html.find("id=\"verdict\"").expect("the first section"));
    assert!(html.contains("labels 1 to 10 are classes 0 to 9, SHA-256"), "{html}");
}

#[test]
fn calibration_is_shown_of_the_seed_that_is_best_on_validation_and_of_all_together() {
    let (mut study, comparison) = made_up(ATTACK);
    let part = |error: f64| {
        serde_json::json!({ "loss": 0.25, "error": error, "interval": { "low": error - 0.01, "high": error + 0.01 },
            "by_chance": 0.004, "bins": [[60, 50, 0.9], [40, 40, 0.99995]] })
    };
    let measured =
        |error: f64| serde_json::json!({ "valid": part(0.0125), "test": part(error), "thresholds": [[0.0, 60, 5]] });
    let calibration = serde_json::json!({ "temperature": 1.5, "plain": measured(0.05), "calibrated": measured(0.01) });
    let calibration = serde_json::from_value(calibration).expect("a calibration");
    let recipe = &mut study.record.recipes[0];
    let trials = recipe.trials.len();
    recipe.trials[1].calibration = Some(calibration);
    // Better on validation than the first.
    assert_eq!((trials, recipe.trials[1].seed), (2, 2));
    let html = |study: &FinishedStudy| {
        let image = |_: usize| vec![0; 28 * 28];
        let (pictures, study_toml) = (Vec::new(), String::new());
        page(&Page { study, comparison: &comparison, shape: [1, 28, 28], image: &image, pictures, study_toml })
    };
    let shown = html(&study);
    let section = shown.find("<section id=\"calibration\"").map(|at| &shown[at..]).expect("the section");
    let section = &section[..section.find("</section>").expect("it ends")];
    assert!(section.contains("it helps, and what is left may be chance"), "{section}");
    assert!(section.contains("5.00% (4.00 to 6.00)") && section.contains("1.500") && !section.contains("<script"));
    assert_eq!(section.matches("<svg role=\"img\"").count(), 2);
    assert!(!section.contains("together:"));
    // Without a temperature there is one diagram.
    let recipe = &mut study.record.recipes[0];
    let of = recipe.trials[1].calibration.as_mut().expect("it was put there");
    (of.temperature, of.calibrated) = (None, None);
    let shown = html(&study);
    assert!(
        shown.contains("there is no temperature to divide by") && !shown.contains("Reliability with the temperature")
    );
    study.record.recipes[0].trials[1].calibration = None;
    assert!(!html(&study).contains("id=\"calibration\""), "records of earlier versions have none");
}
