//! Accuracy against time, parameters and operations.

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Page;
use super::blocks::numbers;
use super::chart::{Axis, Drawn, axes, figure, svg};
use super::verdict::ticks_between;
use crate::comparison::Compared;
use crate::format::{NONE, count, percent, seconds};
use crate::plot::{AXIS, FONT, INK, Marker, accuracy_height};

/// A recipe in a chart.
struct Point<'a> {
    recipe: usize,
    name: &'a str,
    cost: f64,
    accuracy: f64,
}

pub(super) fn section(page: &Page) -> Option<Markup> {
    let recipes = &page.comparison.recipes;
    if recipes.len() < 2 {
        return None;
    }
    let of = |name: &str| page.record().recipes.iter().find(|r| r.name == name);
    let points = |cost: &dyn Fn(usize) -> Option<f64>| -> Vec<Point> {
        let point = |(recipe, r): (usize, &'_ tenfold_study::comparison::RecipeStatistics)| {
            cost(recipe).filter(|c| *c > 0.0).map(|cost| (recipe, cost, r.accuracy.mean))
        };
        let points = recipes.iter().enumerate().filter_map(point);
        points.map(|(recipe, cost, accuracy)| Point { recipe, name: &recipes[recipe].recipe, cost, accuracy }).collect()
    };
    let time = points(&|n| recipes[n].time.as_ref().map(|time| time.median_s));
    let clocks = Compared::one(page.record(), page.comparison.clone()).sets[0].clocks(recipes).len();
    let parameters = points(&|n| Some(of(&recipes[n].recipe)?.parameters as f64));
    let macs = points(&|n| Some(of(&recipes[n].recipe)?.macs_forward as f64));
    let rows: Vec<Vec<String>> = recipes
        .iter()
        .map(|r| {
            let record = of(&r.recipe);
            let number = |n: Option<u64>| n.map_or(NONE.to_owned(), count);
            vec![
                r.recipe.clone(),
                percent(r.accuracy.mean),
                r.time.as_ref().map_or(NONE.to_owned(), |time| seconds(time.median_s)),
                number(record.map(|record| record.parameters)),
                number(record.map(|record| record.macs_forward)),
            ]
        })
        .collect();
    let head = ["recipe", "test accuracy", "training, median", "parameters", "multiply-adds of an image"];
    let chart = |title: &str, axis: &'static str, points: Vec<Point>, unit: &dyn Fn(f64) -> String| {
        let front = front(&points);
        let names: Vec<&str> = front.iter().map(|point| point.name).collect();
        let description = format!(
            "Each recipe at its mean test accuracy and {axis}, on logarithmic scales. The grey line joins those that \
             none beats in both: {}.",
            names.join(", ")
        );
        html! {
            @if points.len() > 1 {
                (figure(title, &description, &draw(axis, &points, &front, unit), numbers(title, &head, &rows)))
            }
        }
    };
    let plain = |n: f64| count(n as u64);
    Some(html! {
        p { "The grey line joins the recipes that no other beats in both: who wants the most for a given cost takes one of them. \
             Differences that are not real count here like others; the verdict above says which are." }
        @if clocks > 1 {
            p { "Recipes were trained on machines of different kinds, so accuracy is not drawn against training time." }
        } @else {
            (chart("Accuracy and training time", "training time", time, &|s| seconds(s)))
        }
        (chart("Accuracy and parameters", "parameters", parameters, &plain))
        (chart("Accuracy and operations", "multiply-adds of an image forward", macs, &plain))
    })
}

/// The points that none beats in both, by cost: the Pareto front.
fn front<'p, 'a>(points: &'p [Point<'a>]) -> Vec<&'p Point<'a>> {
    let beaten = |point: &Point| {
        points.iter().any(|other| {
            other.cost <= point.cost
                && other.accuracy >= point.accuracy
                && (other.cost < point.cost || other.accuracy > point.accuracy)
        })
    };
    let mut front: Vec<&Point> = points.iter().filter(|point| !beaten(point)).collect();
    front.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    front
}

fn draw(axis: &'static str, points: &[Point], front: &[&Point], unit: &dyn Fn(f64) -> String) -> String {
    let place = |point: &Point| (point.cost.log10(), accuracy_height(point.accuracy).unwrap_or(0.0));
    let powers = (-6..18).flat_map(|power| [1.0, 3.0].map(|digit: f64| digit * 10f64.powi(power)));
    let ticks = powers.map(|cost| (cost.log10(), unit(cost)));
    let mut x = Axis::around(points.iter().map(|p| place(p).0), ticks, axis);
    // Room for names to the right of the last marker.
    x.range.end += 0.14 * (x.range.end - x.range.start);
    if x.ticks.len() > 7 {
        x.ticks = x.ticks.into_iter().step_by(2).collect();
    }
    let mut y = Axis::around(points.iter().map(|p| place(p).1), [], "test accuracy");
    y.ticks = ticks_between(y.range.start, y.range.end);
    let mut out = String::new();
    svg((900, 380), &mut out, |area| {
        axes(area, (&x, &y), 76, |chart| -> Drawn {
            let line = front.iter().map(|point| place(point));
            chart.draw_series(LineSeries::new(line, AXIS.stroke_width(2)))?;
            let mut taken: Vec<(f64, f64)> = Vec::new();
            for point in points {
                let at = place(point);
                chart.draw_series([Marker { series: point.recipe, at }])?;
                // Names of markers that nearly touch would lie on each other.
                let near = |other: &&(f64, f64)| {
                    (other.0 - at.0).abs() < 0.2 * (x.range.end - x.range.start)
                        && (other.1 - at.1).abs() < 0.06 * (y.range.end - y.range.start)
                };
                // The first name to the right, the second to the left, others below.
                let (dx, dy, h) = match taken.iter().filter(near).count() {
                    0 => (11, 0, HPos::Left),
                    1 => (-11, 0, HPos::Right),
                    n => (11, 16 * (n as i32 - 1), HPos::Left),
                };
                taken.push(at);
                let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(h, VPos::Center));
                let name = EmptyElement::at(at) + Text::new(point.name.to_owned(), (dx, dy), style);
                chart.draw_series([name])?;
            }
            Ok(())
        })
    });
    out
}
