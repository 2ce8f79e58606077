//! Which recipe is better, and whether that is real.

use maud::{Markup, html};
use plotters::prelude::*;
use tenfold_study::comparison::{ChosenBy, Estimate, Interval, RecipeStatistics};

use super::Page;
use super::blocks::{blocks, numbers};
use super::chart::{Axis, Drawn, axes, color, figure, svg};
use crate::comparison::document::{Block, Document};
use crate::comparison::{ORIGIN, SIZE, TestUse};
use crate::format::{NONE, percent};
use crate::plot::{INK, Marker, accuracy_height};

/// The words up to "Size and training", without their title, and the chart of intervals after the first sentences.
pub(super) fn section(page: &Page, words: &Document) -> Markup {
    let end = heading(words, SIZE).or(heading(words, ORIGIN)).unwrap_or(words.blocks.len());
    let words = &words.blocks[1.min(end)..end];
    let first_table = words.iter().position(|block| matches!(block, Block::Table(_))).unwrap_or(words.len());
    let test = TestUse::of(page.record());
    html! {
        div.lead { (blocks(&words[..first_table], 3)) }
        @if let Some(picked) = &page.comparison.picked {
            p {
                "Picked: " (picked.recipe) ", and of its seeds " (picked.seed) ": the best mean balanced accuracy on "
                @if page.comparison.chosen_by == ChosenBy::Test { "test" } @else { "validation" } "."
            }
        }
        p class=(if test.chosen_by_test { "stamp" } else { "sealed" }) { (test.sentence) }
        @if !page.comparison.recipes.is_empty() { (intervals(page)) }
        (blocks(&words[first_table..], 3))
    }
}

/// The words of "Size and training".
pub(super) fn size(words: &Document) -> Markup {
    let start = heading(words, SIZE).map_or(words.blocks.len(), |at| at + 1);
    let end = heading(words, ORIGIN).unwrap_or(words.blocks.len()).max(start);
    blocks(&words.blocks[start..end], 3)
}

fn heading(words: &Document, text: &str) -> Option<usize> {
    words.blocks.iter().position(|block| matches!(block, Block::Heading(heading) if heading == text))
}

/// `99.01-99.21 %`, or a dash.
pub(super) fn range(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |i| format!("{} to {}", percent(i.low), percent(i.high)))
}

/// Every seed, the mean and the two intervals of each recipe; the recipes that lead once more, closer.
fn intervals(page: &Page) -> Markup {
    let recipes: Vec<(usize, &RecipeStatistics)> = page.comparison.recipes.iter().enumerate().collect();
    let best = recipes.iter().map(|(_, r)| r.accuracy.mean).fold(0.0, f64::max);
    // Those that are within twice the error of the best: the others would press them together.
    let close: Vec<_> = recipes.iter().copied().filter(|(_, r)| 1.0 - r.accuracy.mean <= 2.0 * (1.0 - best)).collect();
    let description = "One row for each recipe: a dot for each seed, a marker at their mean, a thick line for many \
                       seeds on these images and a thin one for new seeds and new images (95 % intervals; of one seed, for \
                       that network and new images).";
    let mut all = String::new();
    draw(&recipes, &mut all);
    let rows: Vec<Vec<String>> = recipes
        .iter()
        .map(|(_, r)| {
            let seeds: Vec<String> = r.accuracy_by_seed.iter().map(|a| percent(*a)).collect();
            let Estimate { mean, seeds: many, new, .. } = r.accuracy;
            vec![r.recipe.clone(), percent(mean), range(many), range(new), seeds.join(", ")]
        })
        .collect();
    let head = ["recipe", "mean", "many seeds, these images", "new seeds, new images", "each seed"];
    html! {
        (figure("Test accuracy, on a scale of the error", description, &all, numbers("Test accuracy", &head, &rows)))
        @if close.len() > 1 && close.len() < recipes.len() {
            @let near = { let mut near = String::new(); draw(&close, &mut near); near };
            @let rows: Vec<Vec<String>> = close.iter().map(|(n, _)| rows[*n].clone()).collect();
            (figure("The best of them, closer", description, &near, numbers("Test accuracy of the best", &head, &rows)))
        }
    }
}

fn draw(recipes: &[(usize, &RecipeStatistics)], out: &mut String) {
    let height = 74 + 44 * recipes.len() as u32;
    let position = |accuracy: f64| accuracy_height(accuracy).unwrap_or(0.0);
    let ends = |r: &RecipeStatistics| {
        let intervals = [r.accuracy.seeds, r.accuracy.new].into_iter().flatten().flat_map(|i| [i.low, i.high]);
        intervals.chain(r.accuracy_by_seed.iter().copied()).map(position).collect::<Vec<f64>>()
    };
    let mut x = Axis::around(recipes.iter().flat_map(|(_, r)| ends(r)), [], "test accuracy");
    x.ticks = ticks_between(x.range.start, x.range.end);
    let row = |n: usize| (recipes.len() - 1 - n) as f64;
    let y = Axis {
        range: -0.6..recipes.len() as f64 - 0.4,
        ticks: recipes.iter().enumerate().map(|(n, (_, r))| (row(n), r.recipe.clone())).collect(),
        name: "",
    };
    let longest = recipes.iter().map(|(_, r)| r.recipe.chars().count()).max().unwrap_or(0).min(32) as u32;
    svg((1000, height), out, |area| {
        axes(area, (&x, &y), 24 + 8 * longest, |chart| -> Drawn {
            for (n, (recipe, r)) in recipes.iter().enumerate() {
                let mut line = |interval: Option<Interval>, width: u32| -> Drawn {
                    let Some(i) = interval else { return Ok(()) };
                    let ends = vec![(position(i.low), row(n)), (position(i.high), row(n))];
                    chart.draw_series([PathElement::new(ends, color(*recipe).stroke_width(width))])?;
                    Ok(())
                };
                line(r.accuracy.new, 2)?;
                line(r.accuracy.seeds, 6)?;
                // Above the lines, so that none is hidden.
                let dots = r
                    .accuracy_by_seed
                    .iter()
                    .map(|a| Circle::new((position(*a), row(n) + 0.28), 3, INK.stroke_width(1)));
                chart.draw_series(dots)?;
                chart.draw_series([Marker { series: *recipe, at: (position(r.accuracy.mean), row(n)) }])?;
            }
            Ok(())
        })
    });
}

/// Accuracies to name between these positions: the finer, the closer they are.
pub(super) fn ticks_between(low: f64, high: f64) -> Vec<(f64, String)> {
    let digits: &[f64] = match high - low {
        span if span > 1.2 => &[1.0, 2.0, 5.0],
        span if span > 0.5 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        _ => &[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    };
    let errors = (-4..0).flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).chain([1.0]);
    let tick = |error: f64| {
        let percent = 100.0 - (error * 1e6).round() / 1e4;
        (-error.log10(), format!("{}%", (percent * 1e4).round() / 1e4))
    };
    errors.map(tick).filter(|(at, _)| (low..=high).contains(at)).collect()
}
