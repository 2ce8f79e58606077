//! `tenfold data`: the data set inside the program, and what is understood of others.

use tenfold_data::class_counts;
use tenfold_nn::data::Source;
use tenfold_report::format::count;
use tenfold_report::look::terminal::Tile;

use crate::args::DataArgs;
use crate::failure::{DONE, Failure};
use crate::look;
use crate::look::terminal::Screen;
use crate::output;
use crate::understood;

/// The most classes of which an example is shown.
const MOST_EXAMPLES: usize = 20;
/// The most pixels that an example is wide.
const MOST_COLUMNS: usize = 28;
/// Examples in a line of a terminal that is not wide.
const IN_LINE: usize = 5;

/// Prints what is inside the program, or what is understood of a path.
pub(crate) fn data(args: &DataArgs) -> Result<u8, Failure> {
    let screen = Screen::new(args.show);
    if let Some(path) = &args.path {
        return understood::show(path, &args.set, args.out.as_deref(), &screen);
    }
    let mnist = Source::mnist();
    output::out(&describe(&mnist))?;
    if screen.shows() {
        output::out("one training image of each class:\n")?;
        screen.mosaic(|| examples(&mnist, &screen))?;
    }
    Ok(DONE)
}

fn describe(source: &Source) -> String {
    let (train, test) = (count(source.train.len() as u64), count(source.test.len() as u64));
    let (name, shape, classes) = (&source.name, source.train.shape(), source.train.classes());
    let mut text =
        format!("{name}: inside this program\n{train} training and {test} test images of {shape}, {classes} classes\n");
    let width = source.files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0);
    for file in &source.files {
        let (bytes, sha256) = (count(file.bytes), &file.sha256);
        text.push_str(&format!("  {:width$}  {bytes:>13} bytes  sha256 {sha256}\n", file.file));
    }
    text.push_str("  bytes and sha256 are those of the contents, after decompression\n");
    let of_part = |labels: &[u16]| class_counts(labels, classes);
    let counts = of_part(source.train.labels()).into_iter().zip(of_part(source.test.labels_for_report()));
    text.push_str("  class     training         test\n");
    for (class, (train, test)) in counts.enumerate() {
        text.push_str(&format!("  {class:>5}  {:>11}  {:>11}\n", count(train), count(test)));
    }
    text.push_str("of images of your own: tenfold data PATH\n");
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
