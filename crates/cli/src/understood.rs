//! `tenfold data PATH`: what is understood of data that people bring, before anything is trained on it.

use std::path::Path;

use tenfold_data::{Collection, Options, Shares};
use tenfold_report::format::count;
use tenfold_report::look::terminal::Tile;

use crate::failure::{DONE, Failure, USAGE};
use crate::get::resolve;
use crate::look;
use crate::look::terminal::Screen;
use crate::output::{self, plain};

/// The most unreadable files that are named.
const MOST_UNREADABLE: usize = 20;
/// Characters of a class's name at most; what is longer is cut.
const LONGEST_NAME: usize = 40;
/// The most classes of which an example is shown.
const MOST_EXAMPLES: usize = 20;

/// Reads `path` as `settings` say, and prints what was understood, what each class has, and what is wrong.
pub(crate) fn show(path: &Path, settings: &[String], screen: &Screen) -> Result<u8, Failure> {
    let path = &resolve(path)?;
    let collection = tenfold_data::read(path, &options(settings)?)?;
    output::out(&describe(&collection, path))?;
    if screen.shows() && !collection.train.pixels.is_empty() {
        output::out("one training image of each class:\n")?;
        screen.mosaic(|| examples(&collection, screen))?;
    }
    if !collection.train.pixels.is_empty() {
        let whole = collection.valid.is_some() && collection.test.is_some();
        output::out(if whole { "its parts:\n" } else { "as it is split, by seed 0:\n" })?;
        // What cannot be split can still be looked at.
        let mut notes = collection
            .split(Shares::default(), 0)
            .map_or_else(|error| vec![error.to_string()], |parted| [parted.notes, parted.warnings].concat());
        if notes.is_empty() {
            notes.push("no image is on two sides, and none is there twice".to_owned());
        }
        for note in notes {
            output::out(&format!("  {}\n", plain(&note)))?;
        }
    }
    Ok(DONE)
}

/// Settings as they would stand in a study file, one in a line; words need no quotes.
fn options(settings: &[String]) -> Result<Options, Failure> {
    let is_toml = |line: &str| toml::from_str::<toml::Table>(line).is_ok();
    let quoted = |line: &String| match line.split_once('=') {
        Some((name, word)) if !is_toml(line) => format!("{name} = {}", toml::Value::from(word.trim())),
        _ => line.clone(),
    };
    let lines: Vec<String> = settings.iter().map(quoted).collect();
    toml::from_str(&lines.join("\n")).map_err(|error: toml::de::Error| {
        let hint = "write it as in a study file: --set 'size = [32, 32]'; `tenfold data --help` lists the settings";
        Failure::new(USAGE, format!("--set: {}", error.message()), Some(hint.to_owned()))
    })
}

fn describe(collection: &Collection, path: &Path) -> String {
    let mut text = format!("{}: {}\n", plain(&collection.name), plain(&path.display().to_string()));
    for note in &collection.notes {
        text.push_str(&format!("  {}\n", plain(note)));
    }
    text.push_str(&format!("  sha256 {}\n", collection.sha256));
    let unreadable = &collection.unreadable;
    for file in unreadable.iter().take(MOST_UNREADABLE) {
        text.push_str(&format!(
            "  cannot be read: {}: it {}\n",
            plain(&file.path.display().to_string()),
            plain(&file.reason)
        ));
    }
    if unreadable.len() > MOST_UNREADABLE {
        text.push_str(&format!("  and {} more\n", unreadable.len() - MOST_UNREADABLE));
    }
    if !collection.classes.is_empty() {
        text.push_str(&table(collection));
    }
    text
}

/// How many images each class has in each part.
fn table(collection: &Collection) -> String {
    let parts: Vec<_> = collection.parts().filter(|(_, part)| !part.labels.is_empty()).collect();
    let short = |name: &String| match plain(name) {
        name if name.chars().count() > LONGEST_NAME => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
        name => name,
    };
    let names: Vec<String> = collection.classes.iter().map(short).collect();
    let width = names.iter().map(|name| name.chars().count()).chain(["class".len()]).max().unwrap_or(0);
    let mut text = format!("  {:width$}", "class");
    parts.iter().for_each(|(part, _)| text.push_str(&format!("  {part:>11}")));
    text.push('\n');
    let counts: Vec<Vec<u64>> = parts.iter().map(|(_, part)| counts(&part.labels, names.len())).collect();
    for (class, name) in names.iter().enumerate() {
        text.push_str(&format!("  {name:width$}"));
        counts.iter().for_each(|counts| text.push_str(&format!("  {:>11}", count(counts[class]))));
        text.push('\n');
    }
    text
}

fn counts(labels: &[u16], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// A training image of each class, in order.
fn examples(collection: &Collection, screen: &Screen) -> Vec<Tile> {
    let (shape, train) = (collection.shape, &collection.train);
    let width = shape.width.min((screen.columns() / 5).saturating_sub(1)).max(1);
    let first_of = |class: usize| train.labels.iter().position(|&label| usize::from(label) == class);
    let shown = (0..collection.classes.len()).filter_map(first_of).take(MOST_EXAMPLES);
    let image = |n: usize| &train.pixels[n * shape.len()..][..shape.len()];
    shown.map(|n| look::terminal::tile(&look::image(shape, image(n))).at_most(width)).collect()
}
