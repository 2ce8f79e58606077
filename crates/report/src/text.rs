//! Plain-text tables for a terminal, a log or a mail: no colours, no boxes, ASCII signs only.

use comfy_table::{Cell, CellAlignment, Table, TableComponent};
use tenfold_study::record::chance_loss;

use crate::classes::{MATRIX, class_name, confused, heads};
use crate::format::{NONE, balanced_accuracy, count, percent, seconds, significant};

/// What a model reached on the test split.
#[derive(Clone, PartialEq, Debug)]
pub struct TestMetrics {
    /// Mean cross-entropy per example, in nats.
    pub loss: f64,
    /// 0 to 1.
    pub accuracy: f64,
    /// Mean recall over the classes that occur, 0 to 1.
    pub balanced_accuracy: f64,
    /// One per class.
    pub per_class: Vec<ClassMetrics>,
    /// Examples, `[true class][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
}

/// Classes beyond which a table has not all of them.
const ALL_SHOWN: usize = 60;
/// Of more, those with the lowest recall.
const WORST_SHOWN: usize = 20;
/// Pairs of classes that are confused.
const MOST_CONFUSED: usize = 20;

impl TestMetrics {
    /// The classes that a table shows: all, or of many those with the lowest recall, the lowest first.
    fn shown(&self) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.per_class.len()).collect();
        if shown.len() > ALL_SHOWN {
            shown.retain(|&class| self.per_class[class].recall.is_finite());
            shown.sort_by(|&a, &b| self.per_class[a].recall.total_cmp(&self.per_class[b].recall));
            shown.truncate(WORST_SHOWN);
        }
        shown
    }
}

/// What a model reached on the examples of one class.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClassMetrics {
    /// Of the examples predicted as this class, the part that is of this class; NaN if there are none.
    pub precision: f64,
    /// Of the examples of this class, the part that was predicted so; NaN if there are none.
    pub recall: f64,
    /// Harmonic mean of precision and recall; NaN if the class neither occurs nor was predicted.
    pub f1: f64,
    /// Examples of this class.
    pub support: u64,
}

/// A number that was measured once, or its mean and range over several seeds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The number, or the mean over seeds.
    pub mean: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// A number that was measured once.
    pub fn one(number: f64) -> Spread {
        Spread { mean: number, low: number, high: number }
    }
}

/// One recipe of a study in [`summary_table`].
#[derive(Clone, PartialEq, Debug)]
pub struct SummaryRow {
    /// The recipe's name.
    pub name: String,
    /// Learned numbers.
    pub parameters: u64,
    /// Seeds whose run finished; the other figures are over these.
    pub finished: u32,
    /// Seeds whose run diverged.
    pub diverged: u32,
    /// Finished seeds whose loss ended far above chance level.
    pub far_above_chance: u32,
    /// Epochs trained.
    pub epochs: Spread,
    /// Time spent training, in seconds.
    pub train_time_s: Spread,
    /// 0 to 1, the mean over seeds; `None` where it was not measured.
    pub valid_balanced_accuracy: Option<f64>,
    /// 0 to 1.
    pub test_accuracy: Spread,
    /// 0 to 1.
    pub test_balanced_accuracy: Spread,
    /// 0 to 1, as published.
    pub published_accuracy: Option<f64>,
    /// 0 to 1, as published.
    pub published_balanced_accuracy: Option<f64>,
}

/// One layer in [`models_table`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerRow {
    /// `conv1`.
    pub name: String,
    /// `conv 32 5x5 same`.
    pub layer: String,
    /// `32x14x14`.
    pub output: String,
    /// Learned numbers.
    pub parameters: u64,
    /// Multiply-adds for one image, forward.
    pub macs: u64,
}

/// Precision, recall, F1 and support of each class, then accuracy and balanced accuracy.
///
/// `names` are the classes' names; a class without one is called by its number.
pub fn per_class_table(metrics: &TestMetrics, names: &[String]) -> String {
    let mut table = table(&["class", "precision", "recall", "F1", "support"], 1);
    let shown = metrics.shown();
    for &class in &shown {
        let m = &metrics.per_class[class];
        let cells = [percent(m.precision), percent(m.recall), percent(m.f1), count(m.support)];
        table.add_row([class_name(names, class)].into_iter().chain(cells));
    }
    let total: u64 = metrics.per_class.iter().map(|m| m.support).sum();
    table.add_row([""]);
    let blank = String::new;
    table.add_row(["accuracy".to_owned(), blank(), percent(metrics.accuracy), blank(), count(total)]);
    table.add_row(["balanced accuracy".to_owned(), blank(), percent(metrics.balanced_accuracy), blank(), count(total)]);
    let mut text = finish(&table);
    let (classes, occurring) =
        (metrics.per_class.len(), metrics.per_class.iter().filter(|class| class.support > 0).count());
    if shown.len() < classes {
        text.push_str(&format!("\nthe {} of {classes} classes with the lowest recall\n", shown.len()));
    }
    if occurring < classes {
        text.push_str(&format!("\nbalanced accuracy: {}\n", balanced_accuracy(occurring, classes)));
    }
    let undefined = |m: &ClassMetrics| m.precision.is_nan() || m.recall.is_nan();
    if metrics.per_class.iter().any(undefined) {
        let after = if occurring < classes { "" } else { "\n" };
        text.push_str(&format!("{after}{NO_FIGURE}\n"));
    }
    text
}

/// Why a figure of a class may be missing.
pub(crate) const NO_FIGURE: &str = "-: not defined: recall needs images of the class, precision images predicted as it";

/// How many examples of each true class were predicted as which class; none is a dot, so that the errors stand out. Of
/// more classes than a person reads, the pairs that are confused most.
///
/// `names` are the classes' names; a class without one is called by its number.
pub fn confusion_table(confusion: &[Vec<u64>], names: &[String]) -> String {
    if confusion.len() > MATRIX {
        return confused_table(confusion, names);
    }
    let [rows, columns] = heads(names, confusion.len());
    let header = ["true".to_owned()].into_iter().chain(columns).chain(["all".to_owned()]);
    let mut table = table(&header.collect::<Vec<_>>(), 1);
    for (row, head) in confusion.iter().zip(rows) {
        let cells = row.iter().map(|examples| if *examples == 0 { ".".to_owned() } else { examples.to_string() });
        let all = row.iter().sum::<u64>().to_string();
        table.add_row([head].into_iter().chain(cells).chain([all]));
    }
    finish(&table) + "\nrows: the true class; columns: the predicted class\n"
}

/// The pairs of classes that are confused most.
fn confused_table(confusion: &[Vec<u64>], names: &[String]) -> String {
    let counts: Vec<Vec<f64>> = confusion.iter().map(|row| row.iter().map(|&n| n as f64).collect()).collect();
    let pairs = confused(&counts);
    let mut table = table(&["true class", "predicted class", "images", "of"], 2);
    for &(class, taken_for, n) in pairs.iter().take(MOST_CONFUSED) {
        let all = confusion[class].iter().sum::<u64>();
        table.add_row([class_name(names, class), class_name(names, taken_for), count(n as u64), count(all)]);
    }
    let more = pairs.len().saturating_sub(MOST_CONFUSED);
    let more = if more > 0 { format!(" ({more} more pairs are in the record)") } else { String::new() };
    finish(&table) + &format!("\nthe pairs of classes that are confused most{more}\n")
}

/// All recipes of a study with the published figures beside ours.
///
/// A column that no recipe has a figure for is left out. With several seeds a figure is the mean, with the range from
/// the smallest to the largest below it; how many seeds is a column only where recipes differ in it. Of `classes`,
/// `occurring` have test images.
pub fn summary_table(rows: &[SummaryRow], (occurring, classes): (usize, usize)) -> String {
    let seeds = rows.iter().any(|row| row.finished != rows[0].finished);
    let valid = rows.iter().any(|row| row.valid_balanced_accuracy.is_some());
    let published = rows.iter().any(|row| row.published_accuracy.is_some());
    let published_balanced = rows.iter().any(|row| row.published_balanced_accuracy.is_some());
    let columns: Vec<(bool, &str, Column)> = vec![
        (true, "recipe", |row| row.name.clone()),
        (true, "parameters", |row| count(row.parameters)),
        (seeds, "seeds", |row| row.finished.to_string()),
        (true, "epochs", |row| spread(&row.epochs, trim_number, |low, high| format!("{low:.0}-{high:.0}"))),
        (true, "training\ntime", |row| spread(&row.train_time_s, seconds, seconds_range)),
        (valid, "valid\nbalanced", |row| row.valid_balanced_accuracy.map_or(NONE.to_owned(), percent)),
        (true, "test\naccuracy", |row| percents(&row.test_accuracy)),
        (published, "published\naccuracy", |row| row.published_accuracy.map_or(NONE.to_owned(), percent)),
        (true, "test\nbalanced", |row| percents(&row.test_balanced_accuracy)),
        (published_balanced, "published\nbalanced", |row| {
            row.published_balanced_accuracy.map_or(NONE.to_owned(), percent)
        }),
    ];
    let columns = columns.into_iter().filter(|column| column.0).collect::<Vec<_>>();
    let mut table = table(&columns.iter().map(|column| column.1).collect::<Vec<_>>(), 1);
    for row in rows {
        table.add_row(columns.iter().map(|column| column.2(row)));
    }
    let mut text = finish(&table);
    text.push_str(&format!("\nbalanced: {}\n", balanced_accuracy(occurring, classes)));
    if published || published_balanced {
        text.push_str("published: the figures printed with the original study, one run each\n");
    }
    if rows.iter().any(|row| row.finished > 1) {
        let seeds = if seeds { "several seeds".to_owned() } else { format!("{} seeds each", rows[0].finished) };
        text.push_str(&format!("{seeds}: the mean, and below it the smallest and the largest\n"));
    }
    for row in rows.iter().filter(|row| row.diverged > 0) {
        let all = row.finished + row.diverged;
        text.push_str(&format!("{}: {} of {all} seeds diverged and are in no figure\n", row.name, row.diverged));
    }
    for row in rows.iter().filter(|row| row.far_above_chance > 0) {
        let SummaryRow { name, far_above_chance: n, finished, .. } = row;
        let seeds = if *finished == 1 { "its seed".to_owned() } else { format!("{n} of {finished} seeds") };
        text.push_str(&format!("{name}: {seeds} ended with a {}; {SMALLER}\n", above_chance(classes)));
    }
    text
}

/// What a training ended with that is worse than knowing nothing of these `classes`.
pub fn above_chance(classes: usize) -> String {
    format!("loss far above chance level ({:.2})", chance_loss(classes))
}

/// What may be done about it.
pub const SMALLER: &str = "a smaller learning rate may help";

/// The layers of one recipe from the input on, with output shapes, parameters and multiply-adds, and their totals.
pub fn models_table(input: &str, layers: &[LayerRow]) -> String {
    let mut table = table(&["name", "layer", "output", "parameters", "multiply-adds"], 2);
    let none_as_dash = |number: u64| if number == 0 { NONE.to_owned() } else { count(number) };
    table.add_row(["input", "", input, NONE, NONE]);
    for row in layers {
        table.add_row([
            row.name.clone(),
            row.layer.clone(),
            row.output.clone(),
            none_as_dash(row.parameters),
            none_as_dash(row.macs),
        ]);
    }
    let parameters = layers.iter().map(|row| row.parameters).sum();
    let macs = layers.iter().map(|row| row.macs).sum();
    table.add_row([""]);
    table.add_row(["total".to_owned(), String::new(), String::new(), count(parameters), count(macs)]);
    finish(&table)
}

/// How fast one recipe is, in [`bench_table`].
#[derive(Clone, PartialEq, Debug)]
pub struct BenchRow {
    /// The recipe's name.
    pub name: String,
    /// Images of a step.
    pub batch_size: u64,
    /// Milliseconds of a step: fast, median, slow.
    pub ms_per_step: [f64; 3],
    /// Images trained on a second.
    pub images_per_s: f64,
    /// Seconds of an epoch.
    pub epoch_s: f64,
    /// Dense operations a second, in thousand millions.
    pub gflops: f64,
    /// Of what the machine does at most, 1 for all.
    pub share_of_peak: f64,
    /// Images evaluated a second.
    pub evaluation_images_per_s: f64,
}

/// The time of one block of layers in a step, in [`blocks_table`].
#[derive(Clone, PartialEq, Debug)]
pub struct BlockRow {
    /// Its layers.
    pub name: String,
    /// Milliseconds forward.
    pub forward_ms: f64,
    /// Milliseconds backward.
    pub backward_ms: f64,
}

/// How fast each recipe trains and evaluates.
pub fn bench_table(rows: &[BenchRow]) -> String {
    let header = [
        "recipe",
        "batch",
        "ms/step",
        "10-90 %",
        "images/s",
        "epoch",
        "GFLOP/s",
        "share of\npeak",
        "evaluation\nimages/s",
    ];
    let mut table = table(&header, 1);
    for row in rows {
        let [low, median, high] = row.ms_per_step.map(|ms| significant(ms as f32));
        table.add_row([
            row.name.clone(),
            row.batch_size.to_string(),
            median,
            format!("{low}-{high}"),
            count(row.images_per_s.round() as u64),
            seconds(row.epoch_s),
            significant(row.gflops as f32),
            format!("{:.0}%", row.share_of_peak * 100.0),
            count(row.evaluation_images_per_s.round() as u64),
        ]);
    }
    finish(&table)
}

/// Where the time of a step goes.
pub fn blocks_table(rows: &[BlockRow]) -> String {
    let mut table = table(&["block", "forward ms", "backward ms"], 1);
    let ms = |ms: f64| if ms == 0.0 { NONE.to_owned() } else { format!("{ms:.4}") };
    for row in rows {
        table.add_row([row.name.clone(), ms(row.forward_ms), ms(row.backward_ms)]);
    }
    let sum = |part: fn(&BlockRow) -> f64| rows.iter().map(part).sum::<f64>();
    table.add_row([""]);
    table.add_row(["total".to_owned(), ms(sum(|row| row.forward_ms)), ms(sum(|row| row.backward_ms))]);
    finish(&table)
}

type Column = fn(&SummaryRow) -> String;

/// A table without frames: a line below the header, two spaces between columns. The first `left` columns hold words
/// and are aligned left, the others right.
pub(crate) fn table<T: ToString>(header: &[T], left: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '-').set_style(TableComponent::MiddleHeaderIntersections, '-');
    table.set_header(header.iter().map(|text| Cell::new(text.to_string())));
    for (n, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        column.set_cell_alignment(if n < left { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

pub(crate) fn finish(table: &Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn percents(figure: &Spread) -> String {
    spread(figure, percent, |low, high| format!("{:.2}-{:.2}", low * 100.0, high * 100.0))
}

/// The mean, and below it the range, where there is one.
fn spread(figure: &Spread, mean: impl Fn(f64) -> String, range: impl Fn(f64, f64) -> String) -> String {
    if !figure.mean.is_finite() {
        NONE.to_owned()
    } else if figure.low == figure.high {
        mean(figure.mean)
    } else {
        format!("{}\n{}", mean(figure.mean), range(figure.low, figure.high))
    }
}

/// `0.24-0.30 s`, `14.3-17.5 s`, `1:16-1:33` (minutes and seconds).
pub(crate) fn seconds_range(low_s: f64, high_s: f64) -> String {
    if high_s < 9.995 {
        format!("{low_s:.2}-{high_s:.2} s")
    } else if high_s < 59.95 {
        format!("{low_s:.1}-{high_s:.1} s")
    } else {
        let clock = |duration_s: f64| {
            let whole = duration_s.round().max(0.0) as u64;
            format!("{}:{:02}", whole / 60, whole % 60)
        };
        format!("{}-{}", clock(low_s), clock(high_s))
    }
}

/// Up to one decimal: `11`, `12.3`.
pub(crate) fn trim_number(number: f64) -> String {
    if !number.is_finite() {
        NONE.to_owned()
    } else if number.fract() == 0.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> TestMetrics {
        let class = |precision, recall, f1, support| ClassMetrics { precision, recall, f1, support };
        TestMetrics {
            loss: 0.25,
            accuracy: 0.9,
            balanced_accuracy: 0.875,
            per_class: vec![class(0.9, 0.95, 0.92432, 1200), class(f64::NAN, 0.8, f64::NAN, 8)],
            confusion: vec![vec![1140, 60], vec![0, 8]],
        }
    }

    fn summary(name: &str) -> SummaryRow {
        SummaryRow {
            name: name.to_owned(),
            parameters: 3_274_634,
            finished: 1,
            diverged: 0,
            far_above_chance: 0,
            epochs: Spread::one(11.0),
            train_time_s: Spread::one(83.0),
            valid_balanced_accuracy: None,
            test_accuracy: Spread::one(0.9868),
            test_balanced_accuracy: Spread::one(0.98669),
            published_accuracy: None,
            published_balanced_accuracy: None,
        }
    }

    /// A table as it is written in a test: without the first line break and the indentation.
    fn expect(text: &str, expected: &str) {
        let expected: String =
            expected.lines().skip(1).map(|line| line.trim_start_matches('|').to_owned() + "\n").collect();
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn per_class_table_shows_every_class_and_the_means() {
        expect(&per_class_table(&metrics(), &["cat".to_owned()]), PER_CLASS);
        let mut absent = metrics();
        absent.per_class[1].f1 = 0.0;
        let class = |precision, f1| ClassMetrics { precision, recall: f64::NAN, f1, support: 0 };
        absent.per_class.extend([class(0.0, 0.0), class(f64::NAN, f64::NAN)]);
        expect(&per_class_table(&absent, &[]), PER_CLASS_ABSENT);
    }

    #[test]
    fn of_many_classes_the_worst_are_shown() {
        let classes = 100;
        let per_class =
            (0..classes).map(|n| ClassMetrics { recall: (n + 1) as f64 / 100.0, support: 9, ..metrics().per_class[0] });
        let many = TestMetrics { per_class: per_class.rev().collect(), ..metrics() };
        let text = per_class_table(&many, &[]);
        assert!(text.contains("\nthe 20 of 100 classes with the lowest recall\n"), "{text}");
        assert!(text.lines().nth(2).is_some_and(|row| row.starts_with("99  ") && row.contains("1.00%")), "{text}");
        let mut confusion = vec![vec![0; classes]; classes];
        (0..30).for_each(|n| confusion[n][n + 1] = 100 - n as u64);
        let names: Vec<String> = (0..classes).map(|n| format!("class {n}")).collect();
        let text = confusion_table(&confusion, &names);
        assert!(text.lines().nth(2).is_some_and(|row| row.starts_with("class 0     class 1 ")), "{text}");
        assert!(
            text.ends_with("\nthe pairs of classes that are confused most (10 more pairs are in the record)\n"),
            "{text}"
        );
    }

    #[test]
    fn confusion_table_lets_the_errors_stand_out() {
        expect(&confusion_table(&metrics().confusion, &["cat".to_owned()]), CONFUSION);
    }

    #[test]
    fn speed_is_shown_to_three_digits() {
        let row = BenchRow {
            name: "cnn2".to_owned(),
            batch_size: 50,
            ms_per_step: [4.01, 4.056, 5.0],
            images_per_s: 12_330.4,
            epoch_s: 4.379,
            gflops: 1011.7,
            share_of_peak: 1.974,
            evaluation_images_per_s: 30_000.0,
        };
        expect(&bench_table(&[row]), BENCH);
        let block = |name: &str, forward_ms, backward_ms| BlockRow { name: name.to_owned(), forward_ms, backward_ms };
        expect(&blocks_table(&[block("pixels", 0.01, 0.0), block("linear 10", 0.02, 0.04)]), BLOCKS);
    }

    #[test]
    fn ten_classes_fit_80_columns() {
        let confusion = vec![vec![1000; 10]; 10];
        assert!(confusion_table(&confusion, &[]).lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn summary_leaves_out_columns_without_figures() {
        expect(&summary_table(&[summary("cnn2")], (10, 10)), SUMMARY);
    }

    #[test]
    fn summary_shows_ranges_published_figures_and_divergence() {
        let mut several = summary("cnn2-dropout-b100");
        several.finished = 3;
        several.epochs = Spread { mean: 12.0 + 1.0 / 3.0, low: 11.0, high: 14.0 };
        several.train_time_s = Spread { mean: 84.0, low: 76.4, high: 93.0 };
        several.valid_balanced_accuracy = Some(0.99);
        several.test_accuracy = Spread { mean: 0.991, low: 0.9905, high: 0.9912 };
        several.published_accuracy = Some(0.9906);
        several.published_balanced_accuracy = Some(0.9905);
        let mut diverged = summary("cnn1");
        diverged.finished = 0;
        diverged.diverged = 3;
        let none = Spread::one(f64::NAN);
        (diverged.epochs, diverged.train_time_s) = (none, none);
        (diverged.test_accuracy, diverged.test_balanced_accuracy) = (none, none);
        several.far_above_chance = 2;
        expect(&summary_table(&[several, diverged], (9, 10)), SUMMARY_SEVERAL);
    }

    #[test]
    fn models_table_counts_up() {
        let layer = |name: &str, layer: &str, output: &str, parameters, macs| LayerRow {
            name: name.to_owned(),
            layer: layer.to_owned(),
            output: output.to_owned(),
            parameters,
            macs,
        };
        let layers = [
            layer("conv1", "conv 32 5x5 same", "32x28x28", 832, 627_200),
            layer("relu1", "relu", "32x28x28", 0, 0),
            layer("fc1", "linear 10", "10", 250_890, 250_880),
        ];
        expect(&models_table("1x28x28", &layers), MODELS);
    }

    #[test]
    fn empty_tables_do_not_panic() {
        let nothing = TestMetrics {
            loss: f64::NAN,
            accuracy: f64::NAN,
            balanced_accuracy: f64::NAN,
            per_class: Vec::new(),
            confusion: Vec::new(),
        };
        per_class_table(&nothing, &[]);
        confusion_table(&[], &[]);
        summary_table(&[], (0, 0));
        models_table("", &[]);
    }

    const BENCH: &str = "
recipe  batch  ms/step    10-90 %  images/s   epoch  GFLOP/s  share of  evaluation
|                                                                  peak    images/s
-----------------------------------------------------------------------------------
cnn2       50     4.06  4.01-5.00    12,330  4.38 s     1012      197%      30,000";

    const BLOCKS: &str = "
block      forward ms  backward ms
-----------------------------------
pixels         0.0100            -
linear 10      0.0200       0.0400

total          0.0300       0.0400";

    const PER_CLASS: &str = "
|class              precision  recall      F1  support
|------------------------------------------------------
|cat                   90.00%  95.00%  92.43%    1,200
|1                          -  80.00%       -        8
|
|accuracy                      90.00%            1,208
|balanced accuracy             87.50%            1,208
|
|-: not defined: recall needs images of the class, precision images predicted as it";

    const PER_CLASS_ABSENT: &str = "
|class              precision  recall      F1  support
|------------------------------------------------------
|0                     90.00%  95.00%  92.43%    1,200
|1                          -  80.00%   0.00%        8
|2                      0.00%       -   0.00%        0
|3                          -       -       -        0
|
|accuracy                      90.00%            1,208
|balanced accuracy             87.50%            1,208
|
|balanced accuracy: mean recall over the classes that occur (2 of 4)
|-: not defined: recall needs images of the class, precision images predicted as it";

    const CONFUSION: &str = "
|true   cat   1   all
|---------------------
|cat   1140  60  1200
|1        .   8     8
|
|rows: the true class; columns: the predicted class";

    const SUMMARY: &str = "
|recipe  parameters  epochs    training      test      test
|                                  time  accuracy  balanced
|-----------------------------------------------------------
|cnn2     3,274,634      11  1 min 23 s    98.68%    98.67%
|
|balanced: mean recall over the classes";

    const SUMMARY_SEVERAL: &str = "
|recipe             parameters  seeds  epochs    training     valid         test  published      test  published
|                                                    time  balanced     accuracy   accuracy  balanced   balanced
|----------------------------------------------------------------------------------------------------------------
|cnn2-dropout-b100   3,274,634      3    12.3  1 min 24 s    99.00%       99.10%     99.06%    98.67%     99.05%
|                                       11-14   1:16-1:33            99.05-99.12
|cnn1                3,274,634      0       -           -         -            -          -         -          -
|
|balanced: mean recall over the classes that occur (9 of 10)
|published: the figures printed with the original study, one run each
|several seeds: the mean, and below it the smallest and the largest
|cnn1: 3 of 3 seeds diverged and are in no figure
|cnn2-dropout-b100: 2 of 3 seeds ended with a loss far above chance level (2.30); a smaller learning rate may help";

    const MODELS: &str = "
|name   layer               output  parameters  multiply-adds
|-------------------------------------------------------------
|input                     1x28x28           -              -
|conv1  conv 32 5x5 same  32x28x28         832        627,200
|relu1  relu              32x28x28           -              -
|fc1    linear 10               10     250,890        250,880
|
|total                                 251,722        878,080";
}
