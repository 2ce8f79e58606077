//! The parts that all sections are made of.

use maud::{Markup, html};
use tenfold_study::record::StudyRecord;

use super::Shown;
use super::sprite::url;
use crate::comparison::document::{Align, Block, Table};
use crate::format::{NONE, count};

/// What was learned from, in a line.
pub(super) fn subtitle(record: &StudyRecord) -> String {
    let data = &record.dataset;
    let [train, valid, test] = [data.train, data.valid, data.test].map(|n| count(n as u64));
    format!("{}: {train} training, {valid} validation and {test} test images, {} classes", data.name, data.classes)
}

/// Sentences and tables; headings become those of `level`.
pub(super) fn blocks(blocks: &[Block], level: usize) -> Markup {
    html! {
        @for block in blocks {
            @match block {
                Block::Heading(text) => { @if level == 3 { h3 { (text) } } @else { h4 { (text) } } },
                Block::Paragraph(text) => p { (text) },
                Block::List(items) => ul { @for item in items { li { (item) } } },
                Block::Table(table) => (of_table(table)),
            }
        }
    }
}

/// A table in a box that scrolls by itself where the window is too narrow.
pub(crate) fn scrolling(label: &str, content: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="group" aria-label=(label) { (content) } }
}

/// A picture under its title. What moves is shown only to those who ask for it.
pub(crate) fn figure(shown: &Shown) -> Markup {
    let picture = || scrolling(&shown.title, html! { img.picture src=(url(&shown.png)) alt=(shown.alternative); });
    html! {
        figure {
            figcaption { (shown.title) }
            @if is_animated(&shown.png) { details { summary { "Play the animation" } (picture()) } } @else { (picture()) }
        }
    }
}

/// Whether a PNG has the chunk of animations, which is before its pixels.
fn is_animated(png: &[u8]) -> bool {
    let kinds = || png.windows(4);
    let pixels = kinds().position(|kind| kind == b"IDAT").unwrap_or(png.len());
    kinds().take(pixels).any(|kind| kind == b"acTL")
}

fn of_table(table: &Table) -> Markup {
    // A word that plain text breaks is whole here.
    let spaced = |text: &str| text.replace("-\n", "-").replace('\n', " ");
    let label = table.columns.iter().map(|column| spaced(column.heading)).collect::<Vec<_>>().join(", ");
    let class = |align| if align == Align::Right { "number" } else { "" };
    scrolling(
        &label,
        html! {
            table {
                thead { tr { @for column in &table.columns { th scope="col" class=(class(column.align)) { (spaced(column.heading)) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (n, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
                                @if n == 0 { th scope="row" { (spaced(cell)) } }
                                @else { td class=(class(column.align)) { (spaced(cell)) } }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// A table with names on the left. Columns of numbers stand right, others left.
pub(crate) fn numbers(caption: &str, head: &[&str], rows: &[Vec<String>]) -> Markup {
    let of_numbers = |n: usize| n > 0 && rows.iter().filter_map(|row| row.get(n)).all(|cell| is_number(cell));
    let classes: Vec<&str> = (0..head.len()).map(|n| if of_numbers(n) { "number" } else { "" }).collect();
    scrolling(
        caption,
        html! {
            table {
                caption { (caption) }
                thead { tr { @for (name, class) in head.iter().zip(&classes) { th scope="col" class=(class) { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (n, (cell, class)) in row.iter().zip(&classes).enumerate() {
                                @if n == 0 { th scope="row" { (cell) } } @else { td class=(class) { (cell) } }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// Whether a cell is a number with or without a sign and a unit, or stands for one that there is not.
fn is_number(cell: &str) -> bool {
    let digits = cell.trim_start_matches(['+', '-', '<', '\u{2212}']);
    cell.is_empty() || cell == NONE || digits.starts_with(|first: char| first.is_ascii_digit())
}
