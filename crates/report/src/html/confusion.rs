//! Which class is taken for which: a matrix for each recipe, and the difference of two.

use maud::{Markup, html};
use tenfold_study::record::{RecipeRecord, Status};

use super::Page;
use super::blocks::{numbers, scrolling};
use crate::classes::{MATRIX, class_name, confused, heads};

/// Pairs of classes that are shown where a matrix would not be read.
const PAIRS_SHOWN: usize = 40;

pub(super) fn section(page: &Page) -> Option<Markup> {
    let matrices: Vec<(&str, Vec<Vec<f64>>, usize)> = page
        .record()
        .recipes
        .iter()
        .filter_map(|recipe| per_seed(recipe).map(|(matrix, seeds)| (recipe.name.as_str(), matrix, seeds)))
        .collect();
    let names = page.class_names();
    if matrices.first()?.1.len() > MATRIX {
        return Some(pairs(&matrices, names));
    }
    let order: Vec<&str> = page.comparison.groups.iter().flatten().map(String::as_str).collect();
    let matrix = |name: &str| matrices.iter().find(|(other, ..)| *other == name);
    let two = order.first().zip(order.get(1)).and_then(|(a, b)| matrix(a).zip(matrix(b)));
    Some(html! {
        p { "Rows are what an image is, columns what it was taken for: images per training, the mean over seeds. What was right \
             stands on the diagonal, muted; the darker a cell beside it, the more mistakes." }
        @if let Some(((a, x, _), (b, y, _))) = two {
            h3 { "How " (a) " differs from " (b) }
            p { "Above zero (+, warm) is more often in " (a) "; on the diagonal that is better, elsewhere worse." }
            (difference((a, b), x, y, names))
        }
        @for (n, (name, matrix, seeds)) in matrices.iter().enumerate() {
            details open[n + 1 == matrices.len() && two.is_none()] {
                summary { (name) ", " (seeds) @if *seeds == 1 { " seed" } @else { " seeds" } }
                (plain(name, matrix, names))
            }
        }
    })
}

/// Of many classes the pairs that are confused most.
fn pairs(matrices: &[(&str, Vec<Vec<f64>>, usize)], names: &[String]) -> Markup {
    html! {
        p { "So many classes make no matrix that can be read. These pairs of classes are confused most: images per training, the mean over \
             seeds. results.json has the whole matrix." }
        @for (n, (name, matrix, seeds)) in matrices.iter().enumerate() {
            @let found = confused(matrix);
            @let rows: Vec<Vec<String>> = found.iter().take(PAIRS_SHOWN).map(|&(row, column, n)| vec![
                class_name(names, row), class_name(names, column), short(n), short(matrix[row].iter().sum()),
            ]).collect();
            details open[n + 1 == matrices.len()] {
                summary { (name) ", " (seeds) @if *seeds == 1 { " seed" } @else { " seeds" } }
                @if found.len() > rows.len() { p.note { (rows.len()) " of " (found.len()) " pairs" } }
                (numbers(&format!("The classes that {name} confuses most"), &["it is", "taken for", "images", "of"], &rows))
            }
        }
    }
}

/// The mean confusion over finished trials, and how many there are.
fn per_seed(recipe: &RecipeRecord) -> Option<(Vec<Vec<f64>>, usize)> {
    let finished = recipe.trials.iter().filter(|trial| trial.status == Status::Finished);
    let all: Vec<_> = finished.filter_map(|trial| trial.test.as_ref()).map(|test| &test.confusion).collect();
    let classes = all.first()?.len();
    let mean = |row: usize, column: usize| {
        let sum: u64 = all.iter().filter_map(|m| m.get(row)?.get(column)).sum();
        sum as f64 / all.len() as f64
    };
    Some(((0..classes).map(|row| (0..classes).map(|column| mean(row, column)).collect()).collect(), all.len()))
}

/// One decimal where it is not zero.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn plain(name: &str, matrix: &[Vec<f64>], names: &[String]) -> Markup {
    let off = |row: usize, column: usize| if row == column { 0.0 } else { matrix[row][column] };
    let all = || (0..matrix.len()).flat_map(|row| (0..matrix.len()).map(move |column| (row, column)));
    let most = all().map(|(row, column)| off(row, column)).fold(0.0, f64::max);
    cells(&format!("Confusion matrix of {name}"), heads(names, matrix.len()), |row, column| {
        let tint = if most > 0.0 { off(row, column) / most } else { 0.0 };
        let class = if row == column { "right" } else { "wrong" };
        (if matrix[row][column] == 0.0 { String::new() } else { short(matrix[row][column]) }, class, tint)
    })
}

fn difference((a, b): (&str, &str), x: &[Vec<f64>], y: &[Vec<f64>], names: &[String]) -> Markup {
    let by = |row: usize, column: usize| x[row][column] - y[row][column];
    let all = || (0..x.len()).flat_map(|row| (0..x.len()).map(move |column| (row, column)));
    let most = all().map(|(row, column)| by(row, column).abs()).fold(0.0, f64::max);
    cells(&format!("{a} less {b}"), heads(names, x.len()), |row, column| {
        let by = by(row, column);
        let text = if by.abs() < 0.05 { String::new() } else { format!("{by:+.1}") };
        (text, if by > 0.0 { "more" } else { "less" }, if most > 0.0 { by.abs() / most } else { 0.0 })
    })
}

/// A matrix with these heads of its rows and columns.
fn cells(
    caption: &str,
    [rows, columns]: [Vec<String>; 2],
    cell: impl Fn(usize, usize) -> (String, &'static str, f64),
) -> Markup {
    scrolling(
        caption,
        html! {
            table.matrix {
                caption { (caption) }
                thead { tr { th scope="col" { "is \u{2193} taken for \u{2192}" } @for column in &columns { th scope="col" { (column) } } } }
                tbody {
                    @for (row, head) in rows.iter().enumerate() {
                        tr {
                            th scope="row" { (head) }
                            @for column in 0..columns.len() {
                                @let (text, class, tint) = cell(row, column);
                                td class=(class) style={ "--tint:" (format!("{:.0}", 100.0 * tint.sqrt())) "%" } { (text) }
                            }
                        }
                    }
                }
            }
        },
    )
}
