//! One long table: a row for each figure.

use tenfold_study::calibration::CalibrationRecord;
use tenfold_study::comparison::{Estimate, Interval, RecipeStatistics};
use tenfold_study::record::{EnsembleRecord, RecipeRecord, SeedViews, Status, ViewsRecord};

use super::{Compared, ComparedRecipe, SameImages, TestUse, verdict};

/// The columns.
const HEADER: &str = "kind,study,first,second,seed,class,figure,value,interval,low,high,p,p_holm,text";

/// A row; what is empty does not apply.
#[derive(Default)]
struct Row<'a> {
    kind: &'a str,
    study: &'a str,
    first: &'a str,
    second: &'a str,
    seed: Option<u64>,
    class: Option<usize>,
    figure: &'a str,
    value: Option<f64>,
    interval: &'a str,
    range: Option<Interval>,
    p: Option<[f64; 2]>,
    text: &'a str,
}

/// The comparison as CSV (RFC 4180, but with line feeds), one figure a row: of a recipe, of one of its seeds, or of a
/// pair. Shares and differences run from 0 to 1 at full precision, times are in seconds. A figure that is not defined,
/// such as recall of a class without test images, has a row whose value is empty.
pub fn csv(compared: &Compared) -> String {
    let mut rows = format!("{HEADER}\n");
    for study in &compared.studies {
        let test = TestUse::of(study.record);
        let figure = if test.chosen_by_test { "chosen_by_test" } else { "test_readings" };
        push(&mut rows, &Row { kind: "note", study: &study.name, figure, text: &test.sentence, ..Row::default() });
    }
    for difference in super::differences::differences(compared) {
        for value in &difference.values {
            let (figure, first) = (difference.what.as_str(), difference.recipe.as_deref().unwrap_or_default());
            let row =
                Row { kind: "difference", study: &value.study, first, figure, text: &value.value, ..Row::default() };
            push(&mut rows, &row);
        }
    }
    for set in &compared.sets {
        for recipe in &set.recipes {
            let study = &compared.studies[recipe.study].name;
            recipe_rows(&mut rows, set, study, recipe);
        }
        for recipe in &set.recipes {
            let study = &compared.studies[recipe.study].name;
            seed_rows(&mut rows, study, &recipe.name, recipe.record);
        }
        pair_rows(&mut rows, set);
    }
    rows
}

fn recipe_rows(rows: &mut String, set: &SameImages, study: &str, recipe: &ComparedRecipe) {
    let row = || Row { kind: "recipe", study, first: &recipe.name, ..Row::default() };
    let mut number = |figure, value: f64| push(rows, &Row { figure, value: Some(value), ..row() });
    let trials = |status| recipe.record.trials.iter().filter(|trial| trial.status == status).count() as f64;
    number("parameters", recipe.record.parameters as f64);
    number("multiply_adds", recipe.record.macs_forward as f64);
    number("finished", trials(Status::Finished));
    number("diverged", trials(Status::Diverged));
    if let Some((occurring, classes)) = recipe.record.occurring() {
        number("classes", classes as f64);
        number("classes_that_occur", occurring as f64);
    }
    let Some(found) = set.comparison.recipes.iter().find(|found| found.recipe == recipe.name) else { return };
    let group = set.comparison.groups.iter().position(|group| group.contains(&recipe.name));
    if let Some(group) = group {
        number("group", group as f64 + 1.0);
    }
    if let Some(choice) = &set.comparison.choice {
        let roles = [
            ("highest", choice.highest == recipe.name),
            ("leading", choice.leading.contains(&recipe.name)),
            ("smallest", choice.smallest == recipe.name),
            ("fastest", choice.fastest.as_ref() == Some(&recipe.name)),
        ];
        for (role, text) in roles {
            let text = if text { "yes" } else { "no" };
            push(rows, &Row { kind: "choice", figure: role, text, ..row() });
        }
    }
    statistics_rows(rows, &row, found);
    if let Some(ensemble) = &recipe.record.ensemble {
        ensemble_rows(rows, ensemble, &row);
    }
    if let Some(views) = &recipe.record.test_time_augmentation {
        views_rows(rows, views, &row);
    }
}

fn statistics_rows<'a>(rows: &mut String, row: &impl Fn() -> Row<'a>, found: &RecipeStatistics) {
    let mut estimate = |figure: &str, class, estimate: Option<&Estimate>| {
        let value = estimate.map(|estimate| estimate.mean);
        let of = |interval, range| Row { figure, class, value, interval, range, ..row() };
        let Some(estimate) = estimate else { return push(rows, &of("", None)) };
        if estimate.seeds.is_none() && estimate.new.is_none() {
            push(rows, &of("", None));
        }
        for (interval, range) in [("these images", estimate.seeds), ("new images", estimate.new)] {
            if range.is_some() {
                push(rows, &of(interval, range));
            }
        }
        if let Some(sd) = estimate.sd {
            push(rows, &Row { figure: &format!("{figure}_sd"), class, value: Some(sd), ..row() });
        }
    };
    estimate("test_accuracy", None, Some(&found.accuracy));
    estimate("test_balanced_accuracy", None, Some(&found.balanced_accuracy));
    estimate("valid_accuracy", None, Some(&found.valid_accuracy));
    for (class, of) in found.per_class.iter().enumerate() {
        estimate("precision", Some(class), of.precision.as_ref());
        estimate("recall", Some(class), of.recall.as_ref());
        estimate("f1", Some(class), of.f1.as_ref());
    }
    let mut number = |figure: &str, value: Option<f64>, interval, range| {
        push(rows, &Row { figure, value, interval, range, ..row() });
    };
    if let Some(time) = &found.time {
        number("timed", Some(time.seeds.len() as f64), "", None);
        number("time_left_out", Some(time.left_out.len() as f64), "", None);
        if !time.seeds.is_empty() {
            number("train_time_s_median", Some(time.median_s), "range", Some(time.range_s));
            number("epoch_s_median", time.epoch_s, "", None);
        }
    }
    if let Some(target) = &found.target {
        number("target", Some(target.target), "", None);
        number("target_reached", Some(target.reached as f64), "", None);
        number("target_censored", Some(target.censored as f64), "", None);
        number("target_epochs_median", target.median_epochs, "", None);
        number("target_s_median", target.median_s, "", None);
    }
}

fn seed_rows(rows: &mut String, study: &str, name: &str, record: &RecipeRecord) {
    for trial in &record.trials {
        let row = || Row { kind: "seed", study, first: name, seed: Some(trial.seed), ..Row::default() };
        let status = match trial.status {
            Status::Finished => "finished",
            Status::Diverged => "diverged",
            Status::Interrupted => "interrupted",
        };
        push(rows, &Row { figure: "status", text: status, ..row() });
        let mut number = |figure, value| push(rows, &Row { figure, value: Some(value), ..row() });
        if let Some(test) = &trial.test {
            number("test_accuracy", test.accuracy);
            number("test_balanced_accuracy", test.balanced_accuracy);
        }
        if let Some(valid) = &trial.valid {
            number("valid_accuracy", valid.accuracy);
        }
        number("epochs", trial.stopped.epoch as f64);
        number("train_time_s", trial.train_time_s);
        push(rows, &Row { figure: "cpu", text: &trial.environment.cpu, ..row() });
        if let Some(calibration) = &trial.calibration {
            calibration_rows(rows, "", calibration, &row);
        }
        if trial.status == Status::Finished {
            let text = if trial.far_above_chance { "yes" } else { "no" };
            push(rows, &Row { figure: "far_above_chance", text, ..row() });
        }
    }
}

fn ensemble_rows<'a>(rows: &mut String, ensemble: &EnsembleRecord, row: &impl Fn() -> Row<'a>) {
    for (figure, value) in [
        ("ensemble_seeds", ensemble.seeds.len() as f64),
        ("ensemble_train_time_s", ensemble.train_time_s),
        ("ensemble_evaluation_time_s", ensemble.evaluation_time_s),
    ] {
        push(rows, &Row { figure, value: Some(value), ..row() });
    }
    let (value, range) = (Some(ensemble.test.accuracy), ensemble.test_accuracy_interval);
    let interval = if range.is_some() { "networks on new images" } else { "" };
    push(rows, &Row { figure: "ensemble_test_accuracy", value, interval, range, ..row() });
    if let Some(calibration) = &ensemble.calibration {
        calibration_rows(rows, "ensemble_", calibration, row);
    }
}

fn views_rows<'a>(rows: &mut String, views: &ViewsRecord, row: &impl Fn() -> Row<'a>) {
    let mean =
        |of: &dyn Fn(&SeedViews) -> f64| views.seeds.iter().map(of).sum::<f64>() / views.seeds.len().max(1) as f64;
    for (figure, value) in [
        ("test_time_augmentation_views", views.count as f64),
        ("test_time_augmentation_valid_accuracy", mean(&|of| of.valid.accuracy)),
        ("test_time_augmentation_test_accuracy", mean(&|of| of.test.accuracy)),
        ("test_time_augmentation_plain_evaluation_time_s", mean(&|of| of.plain_evaluation_time_s)),
        ("test_time_augmentation_evaluation_time_s", mean(&|of| of.evaluation_time_s)),
    ] {
        push(rows, &Row { figure, value: Some(value), ..row() });
    }
}

fn calibration_rows<'a>(rows: &mut String, of: &str, calibration: &CalibrationRecord, row: &impl Fn() -> Row<'a>) {
    if let Some(temperature) = calibration.temperature {
        push(rows, &Row { figure: &format!("{of}temperature"), value: Some(temperature), ..row() });
    }
    let both = [("", Some(&calibration.plain)), ("_with_temperature", calibration.calibrated.as_ref())];
    for (with, measured) in both.into_iter().filter_map(|(with, measured)| Some((with, measured?))) {
        for (part, of_part) in [("valid", &measured.valid), ("test", &measured.test)] {
            let (value, range) = (Some(of_part.calibration.error), of_part.calibration.interval);
            let interval = if range.is_some() { "networks on new images" } else { "" };
            let figure = format!("{of}{part}_calibration_error{with}");
            push(rows, &Row { figure: &figure, value, interval, range, ..row() });
        }
    }
}

fn pair_rows(rows: &mut String, set: &SameImages) {
    for pair in &set.comparison.pairs {
        let row = || Row { kind: "pair", first: &pair.first, second: &pair.second, ..Row::default() };
        let difference = || Row { figure: "difference", value: Some(pair.difference), ..row() };
        for (interval, test) in [("these images", pair.these_images), ("new images", pair.new_images)] {
            if let Some(test) = test {
                push(
                    rows,
                    &Row { interval, range: Some(test.interval), p: Some([test.p, test.p_holm]), ..difference() },
                );
            }
        }
        if pair.these_images.is_none() && pair.new_images.is_none() {
            push(rows, &difference());
        }
        if let Some(range) = pair.equivalence {
            push(rows, &Row { interval: "equivalence", range: Some(range), ..difference() });
        }
        let number = |figure, value: f64| Row { figure, value: Some(value), ..row() };
        if let Some(test) = pair.one_seed {
            push(rows, &Row { p: Some([test.p, test.p_holm]), ..number("only_first_right", test.only_first as f64) });
            push(rows, &Row { p: Some([test.p, test.p_holm]), ..number("only_second_right", test.only_second as f64) });
            if let Some(range) = test.interval {
                let p = test.new_images_p.zip(test.new_images_p_holm).map(|(p, p_holm)| [p, p_holm]);
                push(rows, &Row { interval: "networks on new images", range: Some(range), p, ..difference() });
            }
        }
        push(rows, &number("first_beats_second", pair.first_beats_second));
        push(rows, &Row { figure: "verdict", text: &verdict(pair), ..row() });
        push(rows, &Row { figure: "better", text: pair.better.as_deref().unwrap_or_default(), ..row() });
    }
}

fn push(rows: &mut String, row: &Row) {
    let number = |value: Option<f64>| value.filter(|value| value.is_finite()).map_or(String::new(), |v| v.to_string());
    let whole = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let cells = [
        row.kind.to_owned(),
        quoted(row.study),
        quoted(row.first),
        quoted(row.second),
        whole(row.seed),
        whole(row.class.map(|class| class as u64)),
        quoted(row.figure),
        number(row.value),
        row.interval.to_owned(),
        number(row.range.map(|range| range.low)),
        number(row.range.map(|range| range.high)),
        number(row.p.map(|p| p[0])),
        number(row.p.map(|p| p[1])),
        quoted(row.text),
    ];
    rows.push_str(&cells.join(","));
    rows.push('\n');
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_quotes_stay_in_their_cell() {
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
