//! Records in words and tables.

use serde::Serialize;
use tenfold_report::comparison::{Compared, document};
use tenfold_report::format::{count, percent, seconds};
use tenfold_report::text::{
    self, ClassMetrics, SMALLER, SummaryRow, TestMetrics, above_chance, confusion_table, per_class_table, summary_table,
};
use tenfold_study::comparison::{ChosenBy, Pick};
use tenfold_study::metrics::Metrics;
use tenfold_study::record::{EpochRecord, Reason, RecipeRecord, Spread, Status, StudyRecord, TrialRecord};

use crate::output::plain;

/// What `--format json` prints of plain values.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain values") + "\n"
}

/// One line for one epoch. `width` is that of the longest name, `epochs` the most that there may be.
pub(crate) fn epoch_line(name: &str, width: usize, seed: u64, epoch: &EpochRecord, epochs: usize) -> String {
    let loss = |loss: Option<f64>| loss.map_or("-".to_owned(), |loss| format!("{loss:.4}"));
    let digits = epochs.to_string().len();
    format!(
        "{name:width$} seed {seed}  epoch {:>digits$}/{epochs}  train loss {}  valid loss {}  valid accuracy {:>7}  {}",
        epoch.epoch,
        loss(epoch.train_loss),
        loss(epoch.valid_loss),
        percent(epoch.valid_accuracy.unwrap_or(f64::NAN)),
        seconds(epoch.train_time_s),
    )
}

/// Everything about one trial that has ended.
pub(crate) fn trial(record: &TrialRecord, title: &str, parameters: u64, class_names: &[String]) -> String {
    let mut text = format!(
        "\n{} seed {}: {title}\n{}; training time {}{}; {} parameters\n",
        record.recipe,
        record.seed,
        how_it_ended(record),
        seconds(record.train_time_s),
        if record.timing.busy {
            " (machine busy: time not compared)".to_owned()
        } else if record.timing.parts > 1 {
            format!(" (in {} parts: time not compared)", record.timing.parts)
        } else {
            String::new()
        },
        count(parameters)
    );
    if let Some(test) = &record.test {
        let test = test_metrics(test);
        text.push_str(&format!("\non the test images (loss {:.4})\n\n", test.loss));
        let names: Vec<String> = class_names.iter().map(|name| plain(name)).collect();
        text.push_str(&per_class_table(&test, &names));
        text.push('\n');
        text.push_str(&confusion_table(&test.confusion, &names));
    }
    text
}

/// What is to be said, once, of a training that finished with a loss far above chance level.
pub(crate) fn far_above_chance(record: &TrialRecord) -> Option<String> {
    let test = record.test.as_ref().filter(|_| record.far_above_chance)?;
    let words = above_chance(test.confusion.len());
    Some(format!("{} seed {} ended with a {words}; {SMALLER}", record.recipe, record.seed))
}

fn how_it_ended(record: &TrialRecord) -> String {
    let epoch = record.stopped.epoch;
    let epochs = if epoch == 1 { "1 epoch".to_owned() } else { format!("{epoch} epochs") };
    match record.stopped.reason {
        Reason::Epochs => epochs,
        Reason::Target => format!("reached its validation accuracy after {epochs}"),
        Reason::Limit => format!("did not reach its validation accuracy within {epochs}"),
        Reason::Patience => format!("stopped after {epochs}: the validation loss had stopped falling"),
        Reason::Diverged => format!("diverged in epoch {epoch}: the loss was no longer a number"),
        Reason::Interrupted => format!("interrupted in epoch {epoch}"),
    }
}

/// All recipes in one table, and the picks below it.
pub(crate) fn summary(record: &StudyRecord) -> String {
    let rows: Vec<SummaryRow> = record
        .recipes
        .iter()
        .map(|recipe| {
            let summary = recipe.summary.as_ref();
            let none = text::Spread::one(f64::NAN);
            let diverged = recipe.trials.iter().filter(|trial| trial.status == Status::Diverged).count();
            SummaryRow {
                name: recipe.name.clone(),
                parameters: recipe.parameters,
                finished: summary.map_or(0, |s| s.finished as u32),
                diverged: diverged as u32,
                far_above_chance: recipe.trials.iter().filter(|trial| trial.far_above_chance).count() as u32,
                epochs: summary.map_or(none, |s| spread(&s.epochs)),
                train_time_s: summary.map_or(none, |s| spread(&s.train_time_s)),
                valid_balanced_accuracy: summary.map(|s| s.valid_balanced_accuracy.mean),
                test_accuracy: summary.map_or(none, |s| spread(&s.test_accuracy)),
                test_balanced_accuracy: summary.map_or(none, |s| spread(&s.test_balanced_accuracy)),
                published_accuracy: recipe.published.as_ref().map(|p| p.test_accuracy),
                published_balanced_accuracy: recipe.published.as_ref().map(|p| p.balanced_accuracy),
            }
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let classes = record.dataset.classes;
    let occurring = record.recipes.iter().find_map(RecipeRecord::occurring).unwrap_or((classes, classes));
    let table = summary_table(&rows, occurring);
    let openings = record.openings();
    let machines = match record.paces() {
        0 | 1 => String::new(),
        kinds => {
            format!("trained on {kinds} kinds of machines, whose times do not compare: tenfold compare names them\n")
        }
    };
    format!("\n{}\n\n{table}{machines}{openings}\n{}{}", record.title, picks(record), verdict(record))
}

/// Which differences are real, in sentences; nothing where there is nothing to compare.
fn verdict(record: &StudyRecord) -> String {
    if record.comparison.recipes.len() < 2 {
        return String::new();
    }
    let words = document(&Compared::one(record, record.comparison.clone())).lead().text();
    format!("\n{words}Intervals and tests of every pair: tenfold compare, and report.html\n")
}

fn picks(record: &StudyRecord) -> String {
    let (Some(picked), Some(on_test)) = (&record.comparison.picked, &record.comparison.best_on_test) else {
        return "\nNo training finished, so nothing is picked.\n".to_owned();
    };
    let figures = |pick: &Pick| {
        let (valid, test) = (percent(pick.valid_balanced_accuracy), percent(pick.test_balanced_accuracy));
        format!("balanced accuracy {valid} on validation, {test} on test")
    };
    let pick = format!("{} ({})", picked.recipe, figures(picked));
    if record.comparison.chosen_by == ChosenBy::Test {
        return format!("\nPick, best on test: {pick}; chosen by what it is then measured with, so flattered\n");
    }
    let mut text = format!("\nPick, best on validation: {pick}\n");
    // Nobody's choice here: it stands beside the published one, which was made so.
    if record.recipes.iter().any(|recipe| recipe.published.is_some()) {
        text.push_str(&format!(
            "Best on test, the way the published study chose: {} ({}); chosen by what it is then measured with, so \
             flattered\n",
            on_test.recipe,
            figures(on_test)
        ));
    }
    text
}

pub(crate) fn test_metrics(metrics: &Metrics) -> TestMetrics {
    let class = |m: &tenfold_study::metrics::ClassMetrics| ClassMetrics {
        precision: m.precision.unwrap_or(f64::NAN),
        recall: m.recall.unwrap_or(f64::NAN),
        f1: m.f1.unwrap_or(f64::NAN),
        support: m.support,
    };
    TestMetrics {
        loss: metrics.loss.unwrap_or(f64::NAN),
        accuracy: metrics.accuracy,
        balanced_accuracy: metrics.balanced_accuracy,
        per_class: metrics.per_class.iter().map(class).collect(),
        confusion: metrics.confusion.clone(),
    }
}

fn spread(spread: &Spread) -> text::Spread {
    text::Spread { mean: spread.mean, low: spread.low, high: spread.high }
}
