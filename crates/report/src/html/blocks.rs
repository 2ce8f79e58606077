//! The parts that all sections are made of.

use maud::{Markup, html};
use tenfold_study::record::StudyRecord;

use crate::comparison::document::{Align, Block, Table};
use crate::format::count;

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
pub(super) fn scrolling(label: &str, content: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="group" aria-label=(label) { (content) } }
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

/// A table of numbers with names on the left.
pub(super) fn numbers(caption: &str, head: &[&str], rows: &[Vec<String>]) -> Markup {
    scrolling(
        caption,
        html! {
            table {
                caption { (caption) }
                thead { tr { @for (n, name) in head.iter().enumerate() { th scope="col" class=(if n > 0 { "number" } else { "" }) { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (n, cell) in row.iter().enumerate() {
                                @if n == 0 { th scope="row" { (cell) } } @else { td.number { (cell) } }
                            }
                        }
                    }
                }
            }
        },
    )
}
