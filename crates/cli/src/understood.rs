//! `tenfold data PATH`: what is understood of data that people bring, before anything is trained on it.

use std::path::Path;

use tenfold_data::{Collection, Copies, Moments, Options, Shares, TooSmall, class_counts};
use tenfold_report::format::count;
use tenfold_report::look::terminal::Tile;

use crate::failure::{DONE, Failure};
use crate::given::{typed, with_settings};
use crate::look;
use crate::look::terminal::Screen;
use crate::output::{self, plain};
use crate::progress::Reading;
use crate::sheet;

/// The most unreadable files that are named.
const MOST_UNREADABLE: usize = 20;
/// Characters of a class's name at most; what is longer is cut.
const LONGEST_NAME: usize = 40;
/// The most classes of which an example is shown.
const MOST_EXAMPLES: usize = 20;
/// The most classes that are counted one by one; of more, the largest and the smallest.
const MOST_COUNTED: usize = 60;
const LARGEST: usize = 10;

/// Reads `path` as `settings` say, and prints what was understood, what each class has, and what is wrong; writes a page
/// and a contact sheet to the folder `out`.
pub(crate) fn show(path: &Path, settings: &[String], out: Option<&Path>, screen: &Screen) -> Result<u8, Failure> {
    let path = &typed(path)?;
    let options = with_settings(&Options::default(), settings)?;
    if let Some(out) = out {
        sheet::check(out, path)?;
    }
    let mut reading = Reading::default();
    let collection = tenfold_data::read_with(path, &options, &mut |progress| reading.show(progress))?;
    reading.finish();
    let moments = collection.train.moments(collection.shape);
    output::out(&describe(&collection, &moments, path))?;
    if screen.shows() && !collection.train.pixels.is_empty() {
        output::out("one training image of each class:\n")?;
        screen.mosaic(|| examples(&collection, screen))?;
    }
    let found = collection.alike(&mut |progress| reading.show(progress));
    reading.finish();
    let too_small = too_small(&collection.too_small(&found), &collection);
    let drawn = out.map(|_| sheet::draw(&collection, &found, &moments, too_small.clone(), path));
    let mut split = (String::new(), Vec::new());
    if !collection.train.pixels.is_empty() {
        let whole = collection.valid.is_some() && collection.test.is_some();
        split.0 = if whole { "Its parts" } else { "As it is split, by seed 0" }.to_owned();
        // What cannot be split can still be looked at.
        let parted = collection.split_knowing(&found, Shares::default(), 0);
        split.1 =
            parted.map_or_else(|error| vec![error.to_string()], |parted| [parted.notes, parted.warnings].concat());
        if split.1.is_empty() {
            split.1.push("no image is on two sides, and none is there twice".to_owned());
        }
        output::out(&format!("{}:\n", split.0.to_lowercase()))?;
        for note in split.1.iter().chain(&too_small) {
            output::out(&format!("  {}\n", plain(note)))?;
        }
    }
    match (out, drawn) {
        (Some(out), Some(mut drawn)) => {
            drawn.page.split = split;
            for file in drawn.write(out)? {
                output::out(&format!("{}\n", plain(&file.display().to_string())))?;
            }
        }
        _ => output::out("to look at it, with images of each class: the same command with --out DIR\n")?,
    }
    Ok(DONE)
}

fn describe(collection: &Collection, moments: &[Moments], path: &Path) -> String {
    let mut text = format!("{}: {}\n", plain(&collection.name), plain(&path.display().to_string()));
    for note in &collection.notes {
        text.push_str(&format!("  {}\n", plain(note)));
    }
    for (name, Moments { mean, deviation }) in channels(moments.len()).iter().zip(moments) {
        text.push_str(&format!(
            "  {name} of training images, 0 to 255: mean {mean:.2}, standard deviation {deviation:.2} (0 to 1: {:.4}, {:.4})\n",
            mean / 255.0,
            deviation / 255.0
        ));
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

/// What channels are called, where there are so many.
pub(crate) fn channels(n: usize) -> &'static [&'static str] {
    if n == 1 { &["pixels"] } else { &["red", "green", "blue"] }
}

/// A sentence on classes that are too small to be split.
fn too_small(found: &TooSmall, collection: &Collection) -> Option<String> {
    const NAMED: usize = 8;
    let TooSmall { needed, classes: small } = found;
    let named = small
        .iter()
        .take(NAMED)
        .map(|&(class, has)| format!("{} has {has}", cut(&collection.classes[usize::from(class)])));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = small.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more have fewer") } else { String::new() };
    let (one, parts) = (small.len() == 1, if *needed == 3 { "training, validation and test" } else { "both parts" });
    let distinct = match collection.copies {
        Copies::Alike => " that are not alike",
        Copies::Identical => " that are not identical",
        Copies::Off => "",
    };
    let grouped = if collection.groups.is_empty() { "" } else { ", of different groups" };
    let are = if one { "class is" } else { "classes are" };
    (!small.is_empty()).then(|| {
        format!(
            "{} {are} too small to be in {parts}, which takes {needed} images{distinct}{grouped}: {named}{more}",
            small.len()
        )
    })
}

/// A name that is not too long.
fn cut(name: &str) -> String {
    match plain(name) {
        name if name.chars().count() > LONGEST_NAME => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
        name => name,
    }
}

/// How many images each class has in each part; of many classes the largest and the smallest.
fn table(collection: &Collection) -> String {
    let parts: Vec<_> = collection.parts().filter(|(_, part)| !part.labels.is_empty()).collect();
    let names: Vec<String> = collection.classes.iter().map(|name| cut(name)).collect();
    let counts: Vec<Vec<u64>> = parts.iter().map(|(_, part)| class_counts(&part.labels, names.len())).collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    let passed_over = if names.len() > MOST_COUNTED { names.len() - 2 * LARGEST } else { 0 };
    if passed_over > 0 {
        order.sort_by_key(|&class| std::cmp::Reverse(counts.first().map_or(0, |counts| counts[class])));
        order.drain(LARGEST..LARGEST + passed_over);
    }
    let width = order.iter().map(|&class| names[class].chars().count()).chain(["class".len()]).max().unwrap_or(0);
    let mut text = format!("  {:width$}", "class");
    parts.iter().for_each(|(part, _)| text.push_str(&format!("  {part:>11}")));
    text.push('\n');
    for (n, class) in order.into_iter().enumerate() {
        if n == LARGEST && passed_over > 0 {
            text.push_str(&format!("  ... and {passed_over} classes of sizes between\n"));
        }
        text.push_str(&format!("  {:width$}", names[class]));
        counts.iter().for_each(|counts| text.push_str(&format!("  {:>11}", count(counts[class]))));
        text.push('\n');
    }
    text
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
