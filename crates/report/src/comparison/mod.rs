//! What the trials of one or several studies say together: `tenfold compare`.
//!
//! [`Compared`] goes in, with every statistic finished. The words and tables are put together once, in `words`; text,
//! Markdown and LaTeX write the same [`document::Document`]. CSV and JSON have every seed's figures.

use tenfold_study::comparison::{ChosenBy, Comparison, PairStatistics, RecipeStatistics, Verdict};
use tenfold_study::record::{Environment, RecipeRecord, StudyRecord};

use crate::format::count;

pub mod differences;
pub mod document;

mod csv;
mod json;
mod words;

#[cfg(test)]
pub(crate) mod testing;

pub use csv::csv;
pub use json::json;
pub use words::document;
pub(crate) use words::{ORIGIN, SIZE, machines};

/// What is compared, and what came of it.
#[derive(Clone, Debug)]
pub struct Compared<'a> {
    /// At least one.
    pub studies: Vec<ComparedStudy<'a>>,
    /// The recipes, with one comparison for each set of test images; there is no test between two sets.
    pub sets: Vec<SameImages<'a>>,
    /// Whether recipes were left out because others were asked for.
    pub some_only: bool,
}

/// One study of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedStudy<'a> {
    /// What the comparison calls it; no two have the same name.
    pub name: String,
    /// Its record.
    pub record: &'a StudyRecord,
}

/// Recipes whose trials were measured on the same test images.
#[derive(Clone, Debug)]
pub struct SameImages<'a> {
    /// The studies they come from, as numbers in [`Compared::studies`].
    pub studies: Vec<usize>,
    /// All recipes, also those without a finished trial.
    pub recipes: Vec<ComparedRecipe<'a>>,
    /// What their trials say together.
    pub comparison: Comparison,
}

/// One recipe of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedRecipe<'a> {
    /// What the comparison calls it.
    pub name: String,
    /// Its study, as a number in [`Compared::studies`].
    pub study: usize,
    /// Its record.
    pub record: &'a RecipeRecord,
}

impl<'a> Compared<'a> {
    /// One study, with all its recipes.
    pub fn one(record: &'a StudyRecord, comparison: Comparison) -> Compared<'a> {
        let recipe = |recipe: &'a RecipeRecord| ComparedRecipe { name: recipe.name.clone(), study: 0, record: recipe };
        let recipes = record.recipes.iter().map(recipe).collect();
        Compared {
            studies: vec![ComparedStudy { name: record.study.clone(), record }],
            sets: vec![SameImages { studies: vec![0], recipes, comparison }],
            some_only: false,
        }
    }
}

impl<'a> SameImages<'a> {
    fn recipe(&self, name: &str) -> Option<&ComparedRecipe<'a>> {
        self.recipes.iter().find(|recipe| recipe.name == name)
    }

    /// On what the times of a recipe were measured, where it has some.
    fn timed_on(&self, recipe: &RecipeStatistics) -> Option<&'a Environment> {
        let seed = recipe.time.as_ref()?.seeds.first()?;
        self.recipe(&recipe.recipe)?.record.machine(*seed)
    }

    /// The kinds of machine that times were measured on, each given by one of them.
    pub(crate) fn clocks<'r>(&self, recipes: impl IntoIterator<Item = &'r RecipeStatistics>) -> Vec<&'a Environment> {
        let mut clocks: Vec<&Environment> = Vec::new();
        for machine in recipes.into_iter().filter_map(|recipe| self.timed_on(recipe)) {
            if !clocks.iter().any(|clock| clock.is_like(machine)) {
                clocks.push(machine);
            }
        }
        clocks
    }
}

/// The words of a verdict.
pub fn verdict(pair: &PairStatistics) -> String {
    let more = |number: u64, what: &str| format!("{} more {what}{}", count(number), if number == 1 { "" } else { "s" });
    match pair.verdict {
        Verdict::Better => "better".to_owned(),
        Verdict::BetterOnTheseImagesOnly => "better on these images only".to_owned(),
        Verdict::EquivalentWithinTheMargin => "equivalent within the margin".to_owned(),
        Verdict::NetworkBetter => "the better network".to_owned(),
        Verdict::NetworkEquivalentWithinTheMargin => "an equivalent network within the margin".to_owned(),
        Verdict::NotResolved => match (pair.more_seeds, pair.more_images) {
            (None, None) => "not resolved".to_owned(),
            (Some(seeds), None) => format!("not resolved (about {})", more(seeds, "seed")),
            (None, Some(images)) => format!("not resolved (about {})", more(images, "image")),
            (Some(seeds), Some(images)) => {
                format!("not resolved (about {} or {})", more(seeds, "seed"), more(images, "image"))
            }
        },
    }
}

/// What is known of the times that the labels of a study's test images were looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestUse {
    /// For people.
    pub sentence: String,
    /// Whether a choice was made by test accuracy: every output says so.
    pub chosen_by_test: bool,
}

impl TestUse {
    /// Of one study.
    pub fn of(record: &StudyRecord) -> TestUse {
        let openings = record.openings();
        let words = openings.to_string();
        let chosen_by_test = openings.choices > 0 || record.comparison.chosen_by == ChosenBy::Test;
        let mut sentence = format!("{}{}.", words[..1].to_uppercase(), &words[1..]);
        if chosen_by_test {
            sentence
                .push_str(" CHOSEN BY TEST: the test accuracy of what was chosen is too high to be expected again.");
        }
        TestUse { sentence, chosen_by_test }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::*;
    use super::*;

    #[track_caller]
    fn pinned(text: &str, expected: &str) {
        assert!(text == expected, "not as pinned:\n{text}");
    }

    /// One study of three recipes, of which one has no finished trial; every verdict is in the tests below.
    fn one() -> (Vec<StudyRecord>, Comparison) {
        let pairs = vec![pair("a", "b", -0.011, "better", 5)];
        let recipes = vec![statistics("a", 0.901, 5), statistics("b", 0.912, 5)];
        (vec![record(study("mine"))], comparison(recipes, pairs, &[&["b"], &["a"]]))
    }

    #[test]
    fn one_study_reads_as_pinned_in_every_form() {
        let (records, comparison) = one();
        let compared = compared(&records, vec![(vec![0], comparison)]);
        pinned(&document(&compared).text(), include_str!("pinned/one.txt"));
        pinned(&document(&compared).markdown(), include_str!("pinned/one.md"));
        pinned(&document(&compared).latex(), include_str!("pinned/one.tex"));
        pinned(&csv(&compared), include_str!("pinned/one.csv"));
        assert!(document(&compared).text().lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn seeds_together_stand_beside_one_seed_in_every_form() {
        let (mut records, comparison) = one();
        let metrics =
            json!({ "loss": 0.1, "accuracy": 0.925, "balanced_accuracy": 0.924, "per_class": [], "confusion": [] });
        let ensemble = json!({
            "seeds": [1, 2], "weights_sha256": ["a", "b"], "valid": metrics, "test": metrics,
            "test_accuracy_interval": { "low": 0.92, "high": 0.93 }, "calibration": null,
            "train_time_s": 6.0, "evaluation_time_s": 0.5,
        });
        records[0].recipes[1].ensemble = Some(serde_json::from_value(ensemble).expect("an ensemble"));
        let compared = compared(&records, vec![(vec![0], comparison)]);
        let text = document(&compared).text();
        let row = text.lines().find(|line| line.starts_with("b ") && line.contains("92.50%")).expect("the row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["b", "2", "91.20%", "92.50%", "+1.30", "92.00-93.00", "6.00", "s", "0.50", "s"], "{text}");
        let csv = csv(&compared);
        assert!(
            csv.contains("recipe,mine,b,,,,ensemble_test_accuracy,0.925,networks on new images,0.92,0.93,,,\n"),
            "{csv}"
        );
        let value: serde_json::Value = serde_json::from_str(&json(&compared)).expect("it is JSON");
        let recipes = &value["comparisons"][0]["recipes"];
        assert_eq!((&recipes[1]["ensemble"]["seeds"], &recipes[0]["ensemble"]), (&json!([1, 2]), &json!(null)));
    }

    #[test]
    fn test_time_augmentation_stands_beside_the_plain_figures_with_its_cost() {
        let (mut records, comparison) = one();
        let recipe = &mut records[0].recipes[1];
        let metrics = |accuracy: f64| json!({ "loss": 0.1, "accuracy": accuracy, "balanced_accuracy": 0.9, "per_class": [], "confusion": [] });
        let plain = |trial: &tenfold_study::record::TrialRecord| trial.test.as_ref().expect("it finished").accuracy;
        let seeds: Vec<_> = recipe
            .finished()
            .map(|trial| {
                json!({
                    "seed": trial.seed, "weights_sha256": "test", "valid": metrics(0.75),
                    "test": metrics(plain(trial) + 0.0125), "plain_evaluation_time_s": 0.5, "evaluation_time_s": 2.5,
                })
            })
            .collect();
        let mean = recipe.finished().map(plain).sum::<f64>() / seeds.len() as f64;
        let views = json!({ "views": ["shift 1", "flip"], "count": 10, "seeds": seeds });
        recipe.test_time_augmentation = Some(serde_json::from_value(views).expect("views"));
        let compared = compared(&records, vec![(vec![0], comparison)]);
        let text = document(&compared).text();
        let at = text.find("Test-time augmentation").expect("a heading");
        let row = text[at..].lines().find(|line| line.starts_with("b ")).expect("the row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[1], "10", "{text}");
        assert_eq!(cells[5], "+1.25", "{text}");
        assert_eq!(&cells[7..], ["0.50", "s", "2.50", "s"], "{text}");
        assert!(text.contains("views of b: shift 1, flip"), "{text}");
        let csv = csv(&compared);
        let figure = format!("recipe,mine,b,,,,test_time_augmentation_test_accuracy,{},", mean + 0.0125);
        assert!(csv.contains(figure.trim_end_matches(',').get(..60).expect("longer")), "{figure}\n{csv}");
        let value: serde_json::Value = serde_json::from_str(&json(&compared)).expect("it is JSON");
        let recipes = &value["comparisons"][0]["recipes"];
        assert_eq!(recipes[1]["test_time_augmentation"]["count"], 10);
        assert_eq!(recipes[0]["test_time_augmentation"], json!(null));
    }

    #[test]
    fn csv_has_as_many_cells_in_each_row() {
        let (records, comparison) = one();
        let text = csv(&compared(&records, vec![(vec![0], comparison)]));
        for line in text.lines().filter(|line| !line.contains('"')) {
            assert_eq!(line.split(',').count(), 14, "{line}");
        }
    }

    #[test]
    fn json_has_the_comparison_and_its_context() {
        let (records, comparison) = one();
        let text = json(&compared(&records, vec![(vec![0], comparison.clone())]));
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!((&value["schema"], &value["differences"]), (&json!(1), &json!([])));
        let set = &value["comparisons"][0];
        assert_eq!(serde_json::from_value::<Comparison>(set["comparison"].clone()).expect("it reads back"), comparison);
        assert_eq!(set["recipes"][1]["trials"][1]["test_accuracy"], json!(0.914));
        assert_eq!(value["studies"][0]["chosen_by_test"], json!(false));
    }

    #[test]
    fn verdicts_have_fixed_words() {
        let words = |verdict_, more: [Option<u64>; 2]| {
            let mut pair: PairStatistics = serde_json::from_value(pair("a", "b", 0.01, verdict_, 5)).expect("a pair");
            [pair.more_seeds, pair.more_images] = more;
            verdict(&pair)
        };
        assert_eq!(words("better", [None; 2]), "better");
        assert_eq!(words("better_on_these_images_only", [None; 2]), "better on these images only");
        assert_eq!(words("equivalent_within_the_margin", [None; 2]), "equivalent within the margin");
        assert_eq!(words("network_better", [None; 2]), "the better network");
        let equivalent = "network_equivalent_within_the_margin";
        assert_eq!(words(equivalent, [None; 2]), "an equivalent network within the margin");
        let open = "not_resolved";
        assert_eq!(words(open, [Some(2), Some(3000)]), "not resolved (about 2 more seeds or 3,000 more images)");
        assert_eq!(words(open, [Some(1), None]), "not resolved (about 1 more seed)");
        assert_eq!(words(open, [None, Some(1)]), "not resolved (about 1 more image)");
        assert_eq!(words(open, [None; 2]), "not resolved");
    }

    #[test]
    fn no_recipe_and_one_recipe_need_no_pairs() {
        let records = vec![record(study("mine"))];
        let none = compared(&records, vec![(vec![0], comparison(vec![], vec![], &[]))]);
        let text = document(&none).text();
        assert!(
            text.contains("0 recipes, 0 finished trials") && text.contains("- b: has no finished trial\n"),
            "{text}"
        );
        let alone = comparison(vec![statistics("a", 0.9, 1)], vec![], &[&["a"]]);
        let text = document(&compared(&records, vec![(vec![0], alone)])).text();
        assert!(!text.contains("Pairs") && !text.contains("Leading") && !text.contains("Chosen"), "{text}");
        assert!(text.contains("1 recipe, 1 finished trial, measured"), "{text}");
        csv(&none);
        json(&none);
        document(&none).markdown();
        document(&none).latex();
    }

    #[test]
    fn one_seed_each_says_nothing_about_retraining() {
        let records = vec![record(study("mine"))];
        let pairs = vec![pair("a", "b", -0.012, "network_better", 1)];
        let recipes = vec![statistics("a", 0.9, 1), statistics("b", 0.912, 1)];
        let text = document(&compared(&records, vec![(vec![0], comparison(recipes, pairs, &[&["b"], &["a"]]))])).text();
        for part in [
            "b       a        1.20  the better network\n",
            "b               1,234           11  0.040    1.00 to 2.20  0.034\n- a\n",
            "- the better network: with one seed each, this trained network is shown to be\n  better, on these images and for \
             new ones; of the recipes that says nothing,\n",
            "McNemar",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("Welch") && !text.contains("only: for new images"), "{text}");
    }

    /// The text of a comparison of `a` and `b` with five seeds each (or `seeds`), of which the pair is changed.
    fn text_of(seeds: u64, verdict: &str, change: impl Fn(&mut serde_json::Value)) -> String {
        let records = vec![record(study("mine"))];
        let mut pair = pair("b", "a", 0.0112, verdict, seeds);
        change(&mut pair);
        let recipes = vec![statistics("a", 0.9, seeds), statistics("b", 0.9112, seeds)];
        document(&compared(&records, vec![(vec![0], comparison(recipes, vec![pair], &[&["b"], &["a"]]))])).text()
    }

    #[test]
    fn an_interval_that_excludes_0_though_p_does_not_is_marked() {
        let mark = "- *: the interval excludes 0 when this pair is taken by itself";
        let marked = text_of(5, "better_on_these_images_only", |pair| pair["new_images"]["p_holm"] = json!(0.07));
        assert!(marked.contains("  0.32 to 1.92*  0.070") && marked.contains(mark), "{marked}");
        assert!(marked.contains("0.72 to 1.52  <0.001"), "only where it is so\n{marked}");
        let one_seed = text_of(1, "not_resolved", |pair| {
            pair["one_seed"]["new_images_p_holm"] = json!(0.07);
            pair["one_seed"]["interval"] = json!({ "low": 0.001, "high": 0.02 });
        });
        assert!(one_seed.contains("  0.10 to 2.00*  0.070\n") && one_seed.contains(mark), "{one_seed}");
        for text in [
            text_of(5, "better", |_| {}),
            text_of(5, "better_on_these_images_only", |pair| {
                pair["new_images"] = json!({ "interval": { "low": -0.001, "high": 0.02 }, "p": 0.07, "p_holm": 0.2 });
            }),
        ] {
            assert!(!text.contains("*:"), "{text}");
        }
    }

    #[test]
    fn numbers_are_not_rounded_across_what_decides() {
        let near = |low: f64, p_holm: f64| {
            text_of(5, "better", |pair| {
                pair["new_images"] = json!({ "interval": { "low": low, "high": 0.02 }, "p": 0.01, "p_holm": p_holm });
            })
        };
        let text = near(0.00003, 0.04996);
        assert!(text.contains("0.003 to 2.00  <0.05"), "{text}");
        let text = near(-0.0000002, 0.05001);
        assert!(text.contains("-0.00002 to 2.00  0.050"), "{text}");
        assert!(near(0.0, 1.0).contains("0.00 to 2.00"));
    }

    #[test]
    fn equivalence_has_its_interval_beside_it() {
        let text = text_of(5, "equivalent_within_the_margin", |pair| {
            pair["difference"] = json!(-0.0001);
            pair["equivalence"] = json!({ "low": -0.0006, "high": 0.0004 });
        });
        assert!(text.contains("- equivalent, by 90 % intervals within 0.1 points: a - b (-0.04 to 0.06)\n"), "{text}");
    }

    #[test]
    fn a_pair_without_a_test_says_why() {
        let text = text_of(5, "not_resolved", |pair| {
            (pair["these_images"], pair["new_images"]) = (json!(null), json!(null));
        });
        assert!(text.contains("- not tested: b - a; a test takes "), "{text}");
    }

    /// That a group stands below another does not mean that all of it is worse.
    #[test]
    fn a_recipe_of_a_later_group_that_is_not_shown_to_be_worse_is_named() {
        let records = vec![record(study("mine"))];
        let pairs = vec![
            pair("a", "b", 0.01, "better", 5),
            pair("a", "c", 0.012, "not_resolved", 2),
            pair("b", "c", 0.002, "not_resolved", 2),
        ];
        let recipes = vec![statistics("a", 0.912, 5), statistics("b", 0.902, 5), statistics("c", 0.9, 2)];
        let found = comparison(recipes, pairs, &[&["a"], &["b", "c"]]);
        let text = document(&compared(&records, vec![(vec![0], found)])).text();
        assert!(text.contains("the second is not shown to be worse; c\n  is not shown to be worse than a\n"), "{text}");
    }

    #[test]
    fn classes_that_do_not_occur_and_losses_beyond_chance_are_told() {
        let mut changed = study("mine");
        let class = |support: u64| json!({ "precision": null, "recall": null, "f1": null, "support": support });
        changed["recipes"][0]["trials"][1]["test"]["per_class"] = json!([class(5), class(0), class(7)]);
        changed["recipes"][0]["trials"][1]["far_above_chance"] = json!(true);
        let records = vec![record(changed)];
        let mut statistics_of_a = statistics("a", 0.9, 2);
        let known = json!({ "mean": 0.5, "sd": null, "seeds": null, "new": null });
        statistics_of_a["per_class"] = json!([{ "precision": known, "recall": null, "f1": known }]);
        let compared = compared(&records, vec![(vec![0], comparison(vec![statistics_of_a], vec![], &[&["a"]]))]);
        let words = document(&compared).text();
        for part in [
            "balanced accuracy: mean recall\n  over the classes that occur (2 of 3)\n",
            "- a: ended with a loss far above chance level (2.30), counted all the same: seed\n  2\n",
        ] {
            assert!(words.contains(part), "{part}\n{words}");
        }
        let rows = csv(&compared);
        for row in [
            "recipe,mine,a,,,0,precision,0.5,,,,,,\n",
            "recipe,mine,a,,,0,recall,,,,,,,\n",
            "recipe,mine,a,,,,classes,3,,,,,,\n",
            "recipe,mine,a,,,,classes_that_occur,2,,,,,,\n",
            "seed,mine,a,,2,,far_above_chance,,,,,,,yes\n",
            "seed,mine,a,,1,,far_above_chance,,,,,,,no\n",
        ] {
            assert!(rows.contains(row), "{row}\n{rows}");
        }
        let value: serde_json::Value = serde_json::from_str(&json(&compared)).expect("it is JSON");
        let set = &value["comparisons"][0];
        assert_eq!(set["recipes"][0]["trials"][1]["far_above_chance"], json!(true));
        assert_eq!(set["comparison"]["recipes"][0]["per_class"][0]["recall"], json!(null));
    }

    #[test]
    fn ties_are_grouped_and_the_choice_names_them() {
        let records = vec![record(study("mine"))];
        let pairs = vec![pair("a", "b", 0.0004, "not_resolved", 2)];
        let recipes = vec![statistics("a", 0.9, 2), statistics("b", 0.8996, 2)];
        let text = document(&compared(&records, vec![(vec![0], comparison(recipes, pairs, &[&["a", "b"]]))])).text();
        for part in [
            "- Leading on test: a (90.00%), b (89.96%), a tie: the second is not shown to be\n  worse\n",
            "Chosen on validation: highest: a; smallest in the leading group: b; fastest: b.",
            "not resolved (about 1 more seed\n",
            "or 23,000 more images)",
            "fewer than 5 seeds",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_differs_between_studies_comes_first_and_is_marked() {
        let mut other = study("other");
        other["recipes"][0]["batch_size"] = json!(64);
        other["recipes"][0]["layers"] = json!(["dropout 0.5", "linear 10"]);
        other["recipes"][1]["precision"] = json!("bf16");
        other["recipes"][2]["name"] = json!("calm");
        other["dataset"]["split_sha256"] = json!("cccc");
        other["dataset"]["split_seed"] = json!(7);
        for trial in
            other["recipes"].as_array_mut().unwrap().iter_mut().flat_map(|r| r["trials"].as_array_mut().unwrap())
        {
            trial["environment"]["threads"] = json!(1);
            trial["environment"]["host"] = json!("n1");
        }
        let records = vec![record(study("mine")), record(other.clone())];
        let pairs = vec![pair("mine:b", "other:b", 0.0004, "equivalent_within_the_margin", 5)];
        let recipes = vec![statistics("mine:b", 0.9, 5), statistics("other:b", 0.8996, 5)];
        let mut found = comparison(recipes.clone(), pairs, &[&["mine:b", "other:b"]]);
        found.choice.as_mut().unwrap().fastest = None;
        let text = document(&compared(&records, vec![(vec![0, 1], found)])).text();
        pinned(&text, include_str!("pinned/two.txt"));

        // Other data: two comparisons, and no pair across.
        other["dataset"]["sha256"] = json!("dddd");
        let records = vec![record(study("mine")), record(other)];
        let set = |n: usize| (vec![n], comparison(vec![recipes[n].clone()], vec![], &[]));
        let compared = compared(&records, vec![set(0), set(1)]);
        let text = document(&compared).text();
        for part in [
            "OTHER DATA: test accuracies are not on the same images",
            "Test images of mine\n",
            "Test images of other\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let value: serde_json::Value = serde_json::from_str(&json(&compared)).expect("it is JSON");
        assert_eq!(value["comparisons"].as_array().map(Vec::len), Some(2));
        let kinds: Vec<&str> =
            value["differences"].as_array().into_iter().flatten().filter_map(|d| d["kind"].as_str()).collect();
        assert_eq!(kinds, ["setting", "setting", "precision", "data", "split", "machine"]);
    }

    #[test]
    fn a_choice_by_test_is_stamped_on_every_form() {
        let mut chosen = study("mine");
        let reading = json!({ "reason": "choice", "recipe": null, "seed": null, "count": 2 });
        chosen["test_readings"].as_array_mut().expect("a list").push(reading);
        let records = vec![record(chosen)];
        let compared = compared(&records, vec![(vec![0], one().1)]);
        let document = document(&compared);
        for text in [document.text(), document.markdown(), document.latex(), csv(&compared), json(&compared)] {
            assert!(text.contains("CHOSEN BY TEST"), "{text}");
        }
        assert!(csv(&compared).contains("note,mine,,,,,chosen_by_test,"));
    }

    #[test]
    fn the_use_of_the_test_is_told() {
        let sentence = |readings: serde_json::Value| {
            let mut study = study("mine");
            study["test_readings"] = readings;
            TestUse::of(&record(study)).sentence
        };
        let trial = |count: u64| json!({ "reason": "trial", "recipe": "a", "seed": 1, "count": count });
        assert_eq!(sentence(json!([])), "How often test was opened was not counted.");
        let all = study("mine")["test_readings"].clone();
        assert_eq!(sentence(all.clone()), "Test opened once per trial, after all choices were fixed.");
        let mut again = all;
        again[0] = trial(3);
        assert_eq!(sentence(again), "Test opened 6 times for 4 trials.");
    }
}
