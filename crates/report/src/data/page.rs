//! The page of a data set: one file, without a network and without a script.

use maud::{Markup, PreEscaped, html};

use super::contact_sheet::drawable;
use super::{Class, DataSheet, Example, cut, pairs};
use crate::format::count;
use crate::html::blocks::{numbers, scrolling};
use crate::html::document_of;
use crate::html::sprite::Sprite;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The longer side of an image on the page, to which smaller ones are enlarged by whole pixels, three times at most.
const IMAGE_PX: usize = 64;

/// Rows up to which a table is not folded.
const ROWS_SHOWN: usize = 60;

/// Classes of few images stand side by side; names are broken, and from right to left where they are written so.
const STYLE: &str = ".classes{display:flex;flex-wrap:wrap;gap:1.25rem}.class{max-width:100%;overflow-wrap:anywhere}\
.class h3{margin:0 0 .35rem}.class .tiles{gap:.3rem}.names tbody th{white-space:normal;overflow-wrap:anywhere;min-width:9rem;\
max-width:28rem}.entries .tiles{gap:.75rem;flex-wrap:nowrap}.side{flex:1 1 0;min-width:0;font-size:.85rem;overflow-wrap:anywhere}\
li,.note{overflow-wrap:anywhere}.entries{grid-template-columns:repeat(auto-fill,minmax(18rem,1fr))}";

/// The page. The same input gives the same bytes.
pub fn data_page(sheet: &DataSheet) -> String {
    let classes: Vec<&Class> = match &sheet.unlabelled {
        Some(class) if sheet.classes.is_empty() => vec![class],
        _ => sheet.classes.iter().collect(),
    };
    let images: Vec<&Example> = classes.iter().flat_map(|class| &class.examples).collect();
    let examples = sprite(&images);
    let both = [&sheet.across, &sheet.of_two_classes];
    let paired: Vec<&Example> = both
        .iter()
        .flat_map(|pairs| &pairs.shown)
        .flat_map(|pair| pair.sides.iter().map(|side| &side.example))
        .collect();
    let pairs_sprite = sprite(&paired);

    let mut sections = vec![("understood", "How it was understood".to_owned(), understood(sheet))];
    if !sheet.classes.is_empty() {
        sections.push(("classes", "Images of each class".to_owned(), class_table(sheet)));
    }
    if !sheet.channels.is_empty() {
        sections.push(("pixels", "Brightness".to_owned(), channels(sheet)));
    }
    sections.push(("examples", "What they look like".to_owned(), shown(&classes, &examples)));
    if sheet.parts.len() > 1 {
        let body = pairs::section(&sheet.across, &pairs_sprite, 0, &pairs::ACROSS);
        sections.push(("across", "On two sides of the split".to_owned(), body));
    }
    if !sheet.classes.is_empty() {
        let body = pairs::section(&sheet.of_two_classes, &pairs_sprite, sheet.across.shown.len(), &pairs::TWO_CLASSES);
        sections.push(("labels", "Alike, with different labels".to_owned(), body));
        let body = html! { ul { @for note in &sheet.split.1 { li { (note) } } } };
        sections.push(("split", sheet.split.0.clone(), body));
    }
    if sheet.unreadable_count > 0 {
        sections.push(("unreadable", "Files that cannot be read".to_owned(), unreadable(sheet)));
    }
    let odd = odd(sheet);
    let subtitle = html! {
        style { (PreEscaped(STYLE)) (PreEscaped(examples.style(IMAGE))) (PreEscaped(pairs_sprite.style(pairs::IMAGE))) }
        p { bdi { (cut(&sheet.place)) } }
        @if !odd.is_empty() {
            div.stamp { "To look at: " ul { @for (id, words) in &odd { li { a href={ "#" (id) } { (words) } } } } }
        }
    };
    let sections = sections.into_iter().map(|(id, title, body)| (id.to_owned(), title, body)).collect();
    document_of(&cut(&sheet.title), subtitle, ("main", "Skip to the content"), VERSION, sections)
}

/// The class of the style that all examples share.
const IMAGE: &str = "example";

/// All images, which are of one shape, in one picture.
fn sprite(examples: &[&Example]) -> Sprite {
    let shape = examples.first().map_or([1, 1, 1], |first| {
        let image = &first.image;
        [image.channels, image.height, image.width]
    });
    let all: Vec<usize> = (0..examples.len()).collect();
    Sprite::new(&all, shape, IMAGE_PX, &|n| examples[n].image.pixels.clone())
}

/// What a person should look at first, each with the section that shows it.
fn odd(sheet: &DataSheet) -> Vec<(&'static str, String)> {
    let images = |n: u64| format!("{} {}", count(n), if n == 1 { "image is" } else { "images are" });
    let files = |n: u64| format!("{} {}", count(n), if n == 1 { "file" } else { "files" });
    let mut odd = Vec::new();
    let mut add = |n: u64, id: &'static str, words: String| odd.extend((n > 0).then_some((id, words)));
    let (across, labels) = (sheet.across.all(), sheet.of_two_classes.all());
    add(across, "across", format!("{} on two sides of the split", images(across)));
    add(labels, "labels", format!("{} like one with another label", images(labels)));
    add(sheet.unreadable_count, "unreadable", format!("{} cannot be read", files(sheet.unreadable_count)));
    odd.extend(sheet.too_small.clone().map(|words| ("classes", words)));
    odd
}

fn understood(sheet: &DataSheet) -> Markup {
    html! {
        ul { @for note in &sheet.notes { li { (note) } } }
        p.note { "SHA-256 of shape, classes, labels and pixels: " code { (sheet.sha256) } }
    }
}

fn class_table(sheet: &DataSheet) -> Markup {
    // The contact sheet calls some by their numbers.
    let numbered = sheet.classes.iter().any(|class| !drawable(&class.name));
    let table = scrolling(
        "Images of each class",
        html! {
            table.names {
                caption { "How many images of each class each part has" }
                thead { tr {
                    @if numbered { th.number scope="col" { "number" } }
                    th scope="col" { "class" }
                    @for part in &sheet.parts { th.number scope="col" { (part) } }
                } }
                tbody {
                    @for (n, class) in sheet.classes.iter().enumerate() {
                        tr {
                            @if numbered { td.number { (n + 1) } }
                            th scope="row" { bdi { (cut(&class.name)) } }
                            @for &images in &class.counts { td.number { (count(images)) } }
                        }
                    }
                }
            }
        },
    );
    html! {
        @if let Some(words) = &sheet.too_small { p { (words) "." } }
        @if sheet.classes.len() > ROWS_SHOWN {
            details { summary { "All " (count(sheet.classes.len() as u64)) " classes" } (table) }
        } @else { (table) }
    }
}

fn channels(sheet: &DataSheet) -> Markup {
    let row = |channel: &super::Channel| {
        let [mean, deviation] = [channel.mean, channel.deviation];
        vec![
            channel.name.clone(),
            format!("{mean:.2}"),
            format!("{deviation:.2}"),
            format!("{:.4}", mean / 255.0),
            format!("{:.4}", deviation / 255.0),
        ]
    };
    let rows: Vec<Vec<String>> = sheet.channels.iter().map(row).collect();
    let head = ["channel", "mean, 0 to 255", "deviation, 0 to 255", "mean, 0 to 1", "deviation, 0 to 1"];
    numbers("Mean and standard deviation of the pixels of all training images", &head, &rows)
}

/// The examples of each class, and how many are not shown.
fn shown(classes: &[&Class], sprite: &Sprite) -> Markup {
    let (mut first, mut starts) = (0, Vec::new());
    for class in classes {
        starts.push(first);
        first += class.examples.len();
    }
    let all: u64 = classes.iter().map(|class| class.of).sum();
    let most = classes.iter().map(|class| class.examples.len()).max().unwrap_or(0);
    html! {
        p.note {
            @if first as u64 == all { "All " (count(all)) " images." }
            @else {
                (count(first as u64)) " of " (count(all)) " images" @if classes.len() > 1 { ", at most " (most) " of each class" } ", picked evenly; those \
                 between them are not shown."
            }
        }
        div.classes {
            @for (class, &start) in classes.iter().zip(&starts) {
                div.class {
                    h3 { bdi { (cut(&class.name)) } ": " (count(class.of)) }
                    div.tiles {
                        @for (place, example) in class.examples.iter().enumerate() {
                            (tile(sprite, IMAGE, start + place, example, &class.name))
                        }
                    }
                }
            }
        }
    }
}

/// An image with its name and class in words.
pub(super) fn tile(sprite: &Sprite, style: &str, number: usize, example: &Example, class: &str) -> Markup {
    let name = cut(&example.name);
    let words = if class.is_empty() { name.clone() } else { format!("{name}, {}", cut(class)) };
    html! { span title=(name) { (sprite.tile(style, number, &words)) } }
}

fn unreadable(sheet: &DataSheet) -> Markup {
    let more = sheet.unreadable_count.saturating_sub(sheet.unreadable.len() as u64);
    let rows: Vec<Vec<String>> = sheet.unreadable.iter().map(|(path, reason)| vec![cut(path), cut(reason)]).collect();
    html! {
        (numbers("Files that cannot be read, and why", &["file", "reason"], &rows))
        @if more > 0 { p.note { "And " (count(more)) " more." } }
    }
}
