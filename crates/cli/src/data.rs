//! `tenfold data`: the data sets that the program knows.

use tenfold_nn::data::{Labels, Source};
use tenfold_report::format::count;
use tenfold_report::look::terminal::Tile;
use tenfold_study::DataSettings;

use crate::args::DataArgs;
use crate::failure::{DONE, Failure};
use crate::look;
use crate::look::terminal::Screen;
use crate::output::{self, plain};
use crate::understood;

/// The most classes of which an example is shown.
const MOST_EXAMPLES: usize = 20;
/// The most pixels that an example is wide.
const MOST_COLUMNS: usize = 28;
/// Examples in a line of a terminal that is not wide.
const IN_LINE: usize = 5;

/// Prints the files of each data set, with what identifies them, and what is in them.
pub(crate) fn data(args: &DataArgs) -> Result<u8, Failure> {
    let screen = Screen::new(args.show);
    if let Some(path) = &args.path {
        return understood::show(path, &args.set, args.out.as_deref(), &screen);
    }
    show(Source::mnist(), "inside this program", &screen)?;
    if let Some(folder) = &args.data {
        let source = Source::read_dir(folder, args.classes.map(Labels::from_zero))?;
        output::out("\n")?;
        show(source, &plain(&folder.display().to_string()), &screen)?;
    }
    Ok(DONE)
}

fn show(source: Source, place: &str, screen: &Screen) -> Result<(), Failure> {
    output::out(&describe(&source, place))?;
    if screen.shows() {
        output::out("one training image of each class:\n")?;
        screen.mosaic(|| examples(&source, screen))?;
    }
    // With the split of a study that says nothing about it.
    let settings = DataSettings::default();
    let valid = settings.shares.valid.of(source.train.len());
    if let Ok(splits) = source.split(valid, settings.split_seed) {
        let refused = splits.check().err().map(|error| error.to_string());
        let warnings: Vec<String> = refused.into_iter().chain(splits.notes.clone()).chain(splits.warnings()).collect();
        if !warnings.is_empty() {
            output::out(
                "with a tenth of the training images for validation, as in a study that does not say otherwise:\n",
            )?;
        }
        for warning in warnings {
            output::out(&format!("  warning: {}\n", plain(&warning)))?;
        }
    }
    Ok(())
}

fn describe(source: &Source, place: &str) -> String {
    let (train, test) = (count(source.train.len() as u64), count(source.test.len() as u64));
    let (name, shape, classes) = (plain(&source.name), source.train.shape(), source.train.classes());
    let mut text = format!("{name}: {place}\n{train} training and {test} test images of {shape}, {classes} classes\n");
    let width = source.files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0);
    for file in &source.files {
        let state = if file.known { "whole, as MNIST's" } else { "whole, not MNIST's" };
        let (name, bytes, sha256) = (plain(&file.file), count(file.bytes), &file.sha256);
        text.push_str(&format!("  {name:width$}  {bytes:>13} bytes  sha256 {sha256}  {state}\n"));
    }
    text.push_str("  bytes and sha256 are those of the contents, after decompression\n");
    let mut of_labels = vec![[0_u64; 2]; classes];
    for (part, labels) in [source.train.labels(), source.test.labels_for_report()].into_iter().enumerate() {
        labels.iter().for_each(|&class| of_labels[usize::from(class)][part] += 1);
    }
    text.push_str("  label     training         test\n");
    for (class, [train, test]) in of_labels.into_iter().enumerate() {
        let label = u64::from(source.first_label) + class as u64;
        text.push_str(&format!("  {label:>5}  {:>11}  {:>11}\n", count(train), count(test)));
    }
    let first = source.first_label;
    if let Some(words) = (Labels { first, classes }).as_classes() {
        text.push_str(&format!("  {words}\n"));
    }
    if (first, classes) != (0, 10) {
        let first = if first == 0 { String::new() } else { format!("\n  first_label = {first}") };
        text.push_str(&format!(
            "in a study file, with \"linear {classes}\" as each recipe's last layer:\n  [data]\n  classes = {classes}{first}\n"
        ));
    }
    text
}

/// A training image of each class, in order, made smaller where too few would stand side by side.
fn examples(source: &Source, screen: &Screen) -> Vec<Tile> {
    let train = &source.train;
    let width = MOST_COLUMNS.min((screen.columns() / IN_LINE).saturating_sub(1)).max(1);
    let first_of = |class: usize| train.labels().iter().position(|&label| usize::from(label) == class);
    let shown = (0..train.classes()).filter_map(first_of).take(MOST_EXAMPLES);
    shown.map(|n| look::terminal::tile(&look::image(train.shape(), train.image(n))).at_most(width)).collect()
}
