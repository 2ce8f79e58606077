//! Recall, precision and F1 of each class.

use maud::{Markup, html};
use plotters::prelude::*;
use tenfold_study::comparison::Estimate;

use super::Page;
use super::blocks::numbers;
use super::chart::{Axis, Drawn, axes, color, figure, legend, svg};
use super::verdict::{range, ticks_between};
use crate::classes::{MATRIX, class_name, ticks};
use crate::format::{NONE, balanced_accuracy, percent};
use crate::plot::{Marker, accuracy_height};
use crate::text::NO_FIGURE;

/// Classes beyond which a table has not all of them.
const ALL_SHOWN: usize = 100;
/// Characters below the chart, of the size that it has there.
const CHART_CHARACTERS: usize = 140;
/// Of more, those with the lowest recall.
const WORST_SHOWN: usize = 30;

pub(super) fn section(page: &Page) -> Option<Markup> {
    let recipes = &page.comparison.recipes;
    let classes = recipes.iter().map(|r| r.per_class.len()).max().filter(|&n| n > 0)?;
    let figures = recipes.iter().flat_map(|r| &r.per_class);
    let undefined = figures.clone().any(|c| c.precision.is_none() || c.recall.is_none());
    let absent = recipes.first().map_or(0, |r| r.per_class.iter().filter(|c| c.recall.is_none()).count());
    let names = page.class_names();
    let shown = shown(page, classes);
    let mut rows = Vec::new();
    for r in recipes {
        for (class, figures) in shown.iter().filter_map(|&class| Some((class, r.per_class.get(class)?))) {
            let with = |figure: Option<Estimate>| {
                figure.map_or([NONE; 2].map(str::to_owned), |e| [percent(e.mean), range(e.new)])
            };
            let mut row = vec![format!("{}, {}", r.recipe, class_name(names, class))];
            row.extend([figures.recall, figures.precision, figures.f1].into_iter().flat_map(with));
            rows.push(row);
        }
    }
    let head = ["recipe, class", "recall", "95 % interval", "precision", "95 % interval", "F1", "95 % interval"];
    let table = numbers(
        "Each class of the test images, for new seeds and new images (of one seed, for that network)",
        &head,
        &rows,
    );
    let description = "For each class, one marker for each recipe at its mean recall, with its 95 % interval for new \
                       seeds and new images (of one seed, for that network), on a scale of the error.";
    Some(html! {
        p { "Recall is the share of a class's images that was recognised; precision the share of answers with this class that \
             was right; F1 their harmonic mean. The chart is on a scale of the error: from 98 to \
             99 % is as far as from 80 to 90 %, half as many mistakes." }
        @if undefined {
            p { (NO_FIGURE) "." @if absent > 0 { " Balanced accuracy is the " (balanced_accuracy(classes - absent, classes)) "." } }
        }
        @if shown.len() < classes { p.note { "The " (shown.len()) " of " (classes) " classes with the lowest recall, the lowest first." } }
        @if classes <= MATRIX {
            (legend(recipes.iter().enumerate().map(|(n, r)| (n, r.recipe.as_str()))))
            (figure("Recall of each class", description, &chart(page, classes), table))
        } @else {
            (table)
        }
    })
}

/// The classes of the table: all, or of many those with the lowest mean recall over recipes, the lowest first.
fn shown(page: &Page, classes: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..classes).collect();
    if classes > ALL_SHOWN {
        let recall = |class: usize| {
            let of = page.comparison.recipes.iter().filter_map(|r| r.per_class.get(class)?.recall);
            let (sum, n) = of.fold((0.0, 0), |(sum, n), recall| (sum + recall.mean, n + 1));
            if n == 0 { f64::INFINITY } else { sum / f64::from(n) }
        };
        shown.sort_by(|&a, &b| recall(a).total_cmp(&recall(b)));
        shown.truncate(WORST_SHOWN);
    }
    shown
}

fn chart(page: &Page, classes: usize) -> String {
    let recipes = &page.comparison.recipes;
    let position = |share: f64| accuracy_height(share).unwrap_or(0.0).min(3.3);
    let all = recipes
        .iter()
        .flat_map(|r| &r.per_class)
        .filter_map(|c| c.recall)
        .flat_map(|recall| recall.new.map_or([recall.mean; 2], |i| [i.low, i.high]).map(position));
    let mut y = Axis::around(all, [], "recall");
    y.ticks = ticks_between(y.range.start, y.range.end);
    let x = Axis {
        range: -0.6..classes as f64 - 0.4,
        ticks: ticks(page.class_names(), classes, CHART_CHARACTERS)
            .into_iter()
            .enumerate()
            .map(|(class, name)| (class as f64, name))
            .collect(),
        name: "class",
    };
    let mut out = String::new();
    svg((1100, 460), &mut out, |area| {
        axes(area, (&x, &y), 76, |chart| -> Drawn {
            for (n, r) in recipes.iter().enumerate() {
                for (class, figures) in r.per_class.iter().enumerate() {
                    let Some(recall) = figures.recall else { continue };
                    let at = class as f64 + 0.8 * ((n as f64 + 0.5) / recipes.len() as f64 - 0.5);
                    if let Some(i) = recall.new {
                        let ends = vec![(at, position(i.low)), (at, position(i.high))];
                        chart.draw_series([PathElement::new(ends, color(n).stroke_width(2))])?;
                    }
                    chart.draw_series([Marker { series: n, at: (at, position(recall.mean)) }])?;
                }
            }
            Ok(())
        })
    });
    out
}
