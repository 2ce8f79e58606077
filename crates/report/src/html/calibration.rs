//! Whether probabilities mean what they say: the reliability diagram and the calibration error.

use maud::{Markup, html};
use plotters::prelude::*;
use tenfold_study::calibration::{CalibrationRecord, Measured};
use tenfold_study::record::TrialRecord;

use super::Page;
use super::blocks::numbers;
use super::chart::{Axis, Drawn, axes, color, figure, legend, svg};
use super::verdict::{range, ticks_between};
use crate::calibration::{error, sentence};
use crate::format::{NONE, count, percent};
use crate::plot::{AXIS, Marker, accuracy_height};

/// What is shown: a network, or all of a recipe together.
struct Shown<'a> {
    name: String,
    /// The number of the recipe.
    series: usize,
    of: &'a CalibrationRecord,
}

pub(super) fn section(page: &Page) -> Option<Markup> {
    let (mut networks, mut all) = (Vec::new(), Vec::new());
    for (series, statistics) in page.comparison.recipes.iter().enumerate() {
        let Some(recipe) = page.record().recipes.iter().find(|recipe| recipe.name == statistics.recipe) else {
            continue;
        };
        let best = |a: &&TrialRecord, b: &&TrialRecord| {
            let figure = |trial: &TrialRecord| trial.valid.as_ref().map_or(0.0, |valid| valid.balanced_accuracy);
            // Of equals, the smallest seed.
            figure(a).total_cmp(&figure(b)).then(b.seed.cmp(&a.seed))
        };
        if let Some((seed, of)) =
            recipe.finished().max_by(best).and_then(|trial| Some((trial.seed, trial.calibration.as_ref()?)))
        {
            networks.push(Shown { name: format!("{} seed {seed}", recipe.name), series, of });
        }
        let ensemble = recipe.ensemble.as_ref();
        if let Some((seeds, of)) = ensemble.and_then(|all| Some((all.seeds.len(), all.calibration.as_ref()?))) {
            all.push(Shown { name: format!("{}, {seeds} seeds together", recipe.name), series, of });
        }
    }
    if networks.is_empty() {
        return None;
    }
    let plain = points(&networks, |of| Some(&of.plain));
    let calibrated = points(&networks, |of| of.calibrated.as_ref());
    let scale = scale(plain.iter().chain(&calibrated));
    let chart = |title: &str, of: &str, points: &[Point]| {
        let description = format!(
            "Of the test images, {of}: each marker is about a fifteenth of the answers of a network, at their mean probability and \
             the share that is right, with its 95 % interval, on scales of the error. On the grey line probabilities mean \
             what they say; below it they promise too much."
        );
        html! {
            @if !points.is_empty() {
                (figure(title, &description, &draw(points, scale), table_of_bins(title, &networks, points)))
            }
        }
    };
    Some(html! {
        p { "Of the images that a network is 90 % sure of, nine in ten should be right. The calibration error is how far its \
             probabilities are from that, in the mean over answers. Of each recipe this is the seed that is best on \
             validation. A temperature is one number that all logits are divided by; it was found on the validation \
             images, changes no answer, and is used by " code { "tenfold predict --calibrate" } " and "
             code { "tenfold export --calibrate" } "." }
        ul { @for shown in networks.iter().chain(&all) {
            li { (shown.name) ": on the test images " (sentence(&shown.of.plain.test, shown.of.calibrated.as_ref().map(|of| &of.test))) "." }
        } }
        (errors(networks.iter().chain(&all)))
        p.note { "Intervals are at 95 %, for new images; they begin at 0 where chance alone may make as large an error of a \
                  calibrated network. With the temperature, figures on the validation images that it was found on would \
                  flatter it, so it is judged on the test images. Loss: the mean cross-entropy on the test images." }
        (legend(networks.iter().map(|shown| (shown.series, shown.name.as_str()))))
        (chart("Reliability, as the networks say it", "as the networks say it", &plain))
        (chart("Reliability with the temperature", "with logits divided by the temperature", &calibrated))
    })
}

fn errors<'a>(shown: impl Iterator<Item = &'a Shown<'a>>) -> Markup {
    let head = [
        "network",
        "error, validation",
        "error, test",
        "by chance",
        "temperature",
        "error with it",
        "by chance",
        "loss",
        "with it",
    ];
    let loss =
        |of: Option<&Measured>| of.and_then(|of| of.test.loss).map_or(NONE.to_owned(), |loss| format!("{loss:.4}"));
    let row = |shown: &Shown| {
        let (plain, calibrated) = (&shown.of.plain, shown.of.calibrated.as_ref());
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        vec![
            shown.name.clone(),
            error(&plain.valid),
            error(&plain.test),
            percent(plain.test.calibration.by_chance),
            or_none(shown.of.temperature.map(|temperature| format!("{temperature:.3}"))),
            or_none(calibrated.map(|of| error(&of.test))),
            or_none(calibrated.map(|of| percent(of.test.calibration.by_chance))),
            loss(Some(plain)),
            loss(calibrated),
        ]
    };
    numbers("Calibration error without and with the temperature", &head, &shown.map(row).collect::<Vec<_>>())
}

/// A bin in a diagram.
struct Point {
    /// The network.
    shown: usize,
    series: usize,
    answers: u64,
    confidence: f64,
    accuracy: f64,
    interval: tenfold_study::comparison::Interval,
}

fn points<'a>(networks: &[Shown<'a>], of: impl Fn(&'a CalibrationRecord) -> Option<&'a Measured>) -> Vec<Point> {
    let mut points = Vec::new();
    for (shown, network) in networks.iter().enumerate() {
        for bin in of(network.of).into_iter().flat_map(|of| &of.test.calibration.bins) {
            points.push(Point {
                shown,
                series: network.series,
                answers: bin.answers,
                confidence: bin.confidence,
                accuracy: bin.accuracy(),
                interval: bin.interval(),
            });
        }
    }
    points
}

fn table_of_bins(title: &str, networks: &[Shown], points: &[Point]) -> Markup {
    let row = |point: &Point| {
        vec![
            networks[point.shown].name.clone(),
            count(point.answers),
            percent(point.confidence),
            percent(point.accuracy),
            range(Some(point.interval)),
        ]
    };
    let head = ["network", "answers", "mean probability", "right", "95 % interval"];
    numbers(title, &head, &points.iter().map(row).collect::<Vec<_>>())
}

fn position(share: f64) -> f64 {
    accuracy_height(share).unwrap_or(0.0)
}

/// Both axes of both diagrams: from the least to the most of what is shown.
fn scale<'a>(points: impl Iterator<Item = &'a Point>) -> (f64, f64) {
    let ends = points.flat_map(|point| [point.confidence, point.interval.low, point.accuracy]).map(position);
    ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)))
}

fn draw(points: &[Point], (low, high): (f64, f64)) -> String {
    let axis = |name| {
        let mut axis = Axis::around([low, high].into_iter(), [], name);
        axis.ticks = ticks_between(axis.range.start, axis.range.end);
        axis
    };
    let (x, y) = (axis("mean probability"), axis("share that is right"));
    let mut out = String::new();
    svg((900, 520), &mut out, |area| {
        axes(area, (&x, &y), 76, |chart| -> Drawn {
            let line = [(low, low), (high, high)];
            chart.draw_series(LineSeries::new(line, AXIS.stroke_width(2)))?;
            for point in points {
                let at = position(point.confidence);
                let ends = [point.interval.low, point.interval.high].map(|end| position(end).min(y.range.end));
                let ends = ends.map(|end| (at, end)).to_vec();
                chart.draw_series([PathElement::new(ends, color(point.series).stroke_width(1))])?;
            }
            for point in points {
                let at = (position(point.confidence), position(point.accuracy));
                chart.draw_series([Marker { series: point.series, at }])?;
            }
            Ok(())
        })
    });
    out
}
