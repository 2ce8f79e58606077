//! Learning curves as one SVG: validation accuracy on the left, losses on the right.

use std::collections::BTreeSet;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tenfold_study::record::{EpochRecord, Status, StudyRecord, mean_epochs};

use crate::plot::{AXIS, COLORS, FONT, GRID, INK, Marker, Ticked, accuracy_height, accuracy_ticks, label};

/// The learning curves of one recipe.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// The recipe's name.
    pub name: String,
    /// One curve per seed.
    pub runs: Vec<Vec<EpochPoint>>,
    /// Their mean, where there are several.
    pub mean: Vec<EpochPoint>,
    /// The published curve of the same recipe, where there is one.
    pub published: Option<PublishedCurve>,
}

/// One epoch of a run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EpochPoint {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean per example, as the training step saw it, in nats.
    pub train_loss: f64,
    /// Mean per example, in nats.
    pub valid_loss: f64,
    /// 0 to 1.
    pub valid_accuracy: f64,
}

/// A published curve; entry 0 is epoch 1, and what was not published is empty.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct PublishedCurve {
    /// Mean per example, in nats.
    pub valid_loss: Vec<f64>,
    /// 0 to 1.
    pub valid_accuracy: Vec<f64>,
}

/// The learning curves of every recipe of a record; trials that were interrupted have none yet.
pub fn series(record: &StudyRecord) -> Vec<Series> {
    let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
    let point = |e: &EpochRecord| EpochPoint {
        epoch: e.epoch,
        train_loss: number(e.train_loss),
        valid_loss: number(e.valid_loss),
        valid_accuracy: number(e.valid_accuracy),
    };
    let series = record.recipes.iter().map(|recipe| {
        let ended = recipe.trials.iter().filter(|trial| trial.status != Status::Interrupted);
        Series {
            name: recipe.name.clone(),
            runs: ended.map(|trial| trial.epochs.iter().map(point).collect()).collect(),
            mean: mean_epochs(&recipe.trials).iter().map(point).collect(),
            published: recipe.published.as_ref().map(|published| PublishedCurve {
                valid_loss: published.valid_loss.clone(),
                valid_accuracy: published.valid_accuracy.clone(),
            }),
        }
    });
    series.collect()
}

/// The validation accuracy and the losses of all `series` by epoch, as an SVG document.
///
/// Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart; each recipe also has
/// its own marker. The accuracy axis is logarithmic in the error rate, so that 98% and 99% are as far apart as 80%
/// and 90%; the loss axis is logarithmic. A curve is interrupted where its value is not a finite number.
#[expect(clippy::missing_panics_doc, reason = "a String takes every write")]
pub fn learning_curves_svg(series: &[Series]) -> String {
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, (WIDTH, height(series))).into_drawing_area();
        // Writing into a String cannot fail, and every coordinate was checked to be finite.
        draw(&page, series).and_then(|()| page.present()).expect("an SVG in memory takes every element");
    }
    // Dots are many, and these attributes say what is so without them.
    let svg = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "");
    let title = "Learning curves: validation accuracy and loss by epoch";
    let names = series.iter().map(|s| escape(&s.name)).collect::<Vec<_>>().join(", ");
    let description = format!("<title>{title}</title>\n<desc>One line per recipe: {names}.</desc>\n");
    match svg.find("<svg ").and_then(|start| svg[start..].find('>').map(|end| (start, start + end + 1))) {
        Some((start, end)) => {
            let attributes = &svg[start + "<svg ".len()..end];
            format!("{}<svg role=\"img\" {attributes}\n{description}{}", &svg[..start], svg[end..].trim_start())
        }
        None => svg,
    }
}

const WIDTH: u32 = 1120;
const PANEL_HEIGHT: u32 = 440;
const LEGEND_ROW: u32 = 24;
const LEGEND_COLUMNS: usize = 3;

type Page<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn height(series: &[Series]) -> u32 {
    PANEL_HEIGHT + legend_height(series)
}

fn legend_height(series: &[Series]) -> u32 {
    (series.len().div_ceil(LEGEND_COLUMNS) as u32 + 1) * LEGEND_ROW + 18
}

fn draw<'a>(page: &Page<'a>, series: &[Series]) -> Drawn<'a> {
    page.fill(&WHITE)?;
    let (panels, legend) = page.split_vertically(PANEL_HEIGHT);
    let (left, right) = panels.split_horizontally(WIDTH / 2);
    accuracy_panel(&left, series)?;
    loss_panel(&right, series)?;
    draw_legend(&legend, series)
}

fn accuracy_panel<'a>(area: &Page<'a>, series: &[Series]) -> Drawn<'a> {
    let mut lines = Vec::new();
    for (n, s) in series.iter().enumerate() {
        if let Some(published) = &s.published {
            lines.push(Line::published(n, &published.valid_accuracy, accuracy_height));
        }
        for run in &s.runs {
            lines.push(Line::own(n, run, s.runs.len(), |point| accuracy_height(point.valid_accuracy)));
        }
        if !s.mean.is_empty() {
            lines.push(Line::own(n, &s.mean, 1, |point| accuracy_height(point.valid_accuracy)));
        }
    }
    let ticks = accuracy_ticks();
    panel(
        area,
        "Validation accuracy (log scale of the error)",
        &ticks,
        (accuracy_height(0.8), accuracy_height(0.99)),
        &lines,
    )
}

fn loss_panel<'a>(area: &Page<'a>, series: &[Series]) -> Drawn<'a> {
    let mut lines = Vec::new();
    for (n, s) in series.iter().enumerate() {
        if let Some(published) = &s.published {
            lines.push(Line::published(n, &published.valid_loss, loss_height));
        }
        for run in &s.runs {
            let train = Line::own(n, run, s.runs.len(), |point| loss_height(point.train_loss));
            lines.push(Line { stroke: Stroke::Dashed, ..train });
            lines.push(Line::own(n, run, s.runs.len(), |point| loss_height(point.valid_loss)));
        }
        if !s.mean.is_empty() {
            lines.push(Line::own(n, &s.mean, 1, |point| loss_height(point.valid_loss)));
        }
    }
    let mut ticks = Vec::new();
    for power in -8..=4 {
        for digit in [1, 2, 5] {
            let loss = f64::from(digit) * 10f64.powi(power);
            let text = if power < 0 { format!("{loss:.*}", power.unsigned_abs() as usize) } else { loss.to_string() };
            ticks.push((loss.log10(), text));
        }
    }
    panel(area, "Loss, nats per example (log scale)", &ticks, (loss_height(0.05), loss_height(1.0)), &lines)
}

/// Position of a loss on its axis.
fn loss_height(loss: f64) -> Option<f64> {
    (loss.is_finite() && loss > 0.0).then(|| loss.clamp(1e-8, 1e4).log10())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stroke {
    Solid,
    Dashed,
    Dotted,
}

/// One curve in axis positions, in unbroken pieces.
struct Line {
    series: usize,
    pieces: Vec<Vec<(f64, f64)>>,
    stroke: Stroke,
    markers: bool,
    faint: bool,
}

impl Line {
    fn own(series: usize, run: &[EpochPoint], runs: usize, height: impl Fn(&EpochPoint) -> Option<f64>) -> Line {
        let pieces = pieces(run.iter().map(|point| (point.epoch, height(point))));
        // One marker per epoch and seed would bury the lines.
        Line { series, pieces, stroke: Stroke::Solid, markers: runs == 1, faint: runs > 1 }
    }

    fn published(series: usize, values: &[f64], height: impl Fn(f64) -> Option<f64>) -> Line {
        let pieces = pieces(values.iter().enumerate().map(|(n, value)| (n + 1, height(*value))));
        Line { series, pieces, stroke: Stroke::Dotted, markers: false, faint: false }
    }
}

fn pieces(points: impl Iterator<Item = (usize, Option<f64>)>) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = vec![Vec::new()];
    for (epoch, height) in points {
        match (height, pieces.last_mut()) {
            (Some(height), Some(piece)) => piece.push((epoch as f64, height)),
            _ => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn panel<'a>(
    area: &Page<'a>,
    title: &str,
    ticks: &[(f64, String)],
    fallback: (Option<f64>, Option<f64>),
    lines: &[Line],
) -> Drawn<'a> {
    let points = || lines.iter().flat_map(|line| line.pieces.iter().flatten());
    let last_epoch = points().map(|point| point.0).fold(2.0, f64::max);
    let (mut low, mut high) =
        points().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| (low.min(point.1), high.max(point.1)));
    if low > high {
        (low, high) = (fallback.0.unwrap_or(0.0), fallback.1.unwrap_or(1.0));
    }
    let room = 0.04 * (high - low).max(0.2);
    let heights = (low - room)..(high + room);
    let x_ticks = epoch_ticks(last_epoch as usize);
    let y_ticks = ticks.iter().filter(|tick| heights.contains(&tick.0)).cloned().collect::<Vec<_>>();

    let mut chart = ChartBuilder::on(area)
        .margin_top(14)
        .margin_right(24)
        .margin_left(8)
        .caption(title, (FONT, 20).into_font().style(FontStyle::Bold).color(&INK))
        .x_label_area_size(46)
        .y_label_area_size(58)
        .build_cartesian_2d(
            Ticked::new((1.0 - 0.02 * last_epoch)..(last_epoch * 1.02), x_ticks),
            Ticked::new(heights, y_ticks.iter().map(|tick| tick.0).collect()),
        )?;
    chart
        .configure_mesh()
        .x_labels(64)
        .y_labels(64)
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .y_label_formatter(&|height| label(&y_ticks, *height))
        .x_desc("epoch")
        .label_style((FONT, 16).into_font().color(&INK))
        .axis_desc_style((FONT, 16).into_font().color(&INK))
        .draw()?;
    for line in lines {
        let color = COLORS[line.series % COLORS.len()];
        for piece in &line.pieces {
            let points = piece.iter().copied();
            match line.stroke {
                Stroke::Solid => {
                    let style = if line.faint { color.mix(0.5).stroke_width(1) } else { color.stroke_width(2) };
                    chart.draw_series(LineSeries::new(points, style))?;
                }
                Stroke::Dashed => {
                    let style = color.mix(if line.faint { 0.4 } else { 0.85 }).stroke_width(1);
                    chart.draw_series(DashedLineSeries::new(points, 5, 4, style))?;
                }
                Stroke::Dotted => {
                    let dot = move |at| Circle::new(at, 1, color.filled());
                    chart.draw_series(DottedLineSeries::new(points, 0, 5, dot))?;
                }
            }
            if line.markers && line.stroke == Stroke::Solid {
                chart.draw_series(piece.iter().map(|point| Marker { series: line.series, at: *point }))?;
            }
        }
    }
    Ok(())
}

/// Every epoch, or every second, fifth, tenth and so on, so that at most about a dozen are named.
fn epoch_ticks(last: usize) -> Vec<f64> {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10usize.pow(power)));
    let step = steps.into_iter().find(|step| last / step <= 15).unwrap_or(last);
    let ticks: BTreeSet<usize> = [1].into_iter().chain((1..=last / step).map(|n| n * step)).collect();
    ticks.into_iter().map(|epoch| epoch as f64).collect()
}

fn draw_legend<'a>(area: &Page<'a>, series: &[Series]) -> Drawn<'a> {
    let left = 66;
    let column_width = (WIDTH as i32 - 2 * left) / LEGEND_COLUMNS as i32;
    // Elements on a page are placed in pixels; the markers are made for charts, whose points are f64.
    let (x_pixels, y_pixels) = area.get_pixel_range();
    let plane = area.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
        0.0..f64::from(x_pixels.end - x_pixels.start),
        0.0..f64::from(y_pixels.end - y_pixels.start),
        (x_pixels, y_pixels),
    ));
    let text = |at: (i32, i32), text: &str| -> Drawn<'a> {
        let anchor = Pos::new(HPos::Left, VPos::Center);
        let style = (FONT, 16).into_font().color(&INK).pos(anchor);
        plane.draw(&Text::new(text.to_owned(), (f64::from(at.0), f64::from(at.1)), style))
    };
    let line = |at: (i32, i32), color: RGBColor, stroke: Stroke| -> Drawn<'a> {
        let dash = |from: i32, to: i32, width: u32| {
            let y = f64::from(at.1);
            let ends = vec![(f64::from(at.0 + from), y), (f64::from(at.0 + to), y)];
            plane.draw(&PathElement::new(ends, color.stroke_width(width)))
        };
        match stroke {
            Stroke::Solid => dash(0, 36, 2),
            Stroke::Dashed => (0..4).try_for_each(|n| dash(n * 10, n * 10 + 6, 1)),
            Stroke::Dotted => (0..10).try_for_each(|n| {
                let at = (f64::from(at.0 + n * 4), f64::from(at.1));
                plane.draw(&Circle::new(at, 1, color.filled()))
            }),
        }
    };
    for (n, s) in series.iter().enumerate() {
        let (row, column) = (n / LEGEND_COLUMNS, n % LEGEND_COLUMNS);
        let at = (left + column as i32 * column_width, 14 + (row as u32 * LEGEND_ROW) as i32);
        line(at, COLORS[n % COLORS.len()], Stroke::Solid)?;
        plane.draw(&Marker { series: n, at: (f64::from(at.0 + 18), f64::from(at.1)) })?;
        text((at.0 + 46, at.1), &s.name)?;
    }
    let y = (14 + series.len().div_ceil(LEGEND_COLUMNS) as u32 * LEGEND_ROW) as i32;
    let mut keys = vec![(Stroke::Solid, "validation"), (Stroke::Dashed, "training (loss only)")];
    if series.iter().any(|s| s.published.is_some()) {
        keys.push((Stroke::Dotted, "published (validation)"));
    }
    for (n, (stroke, name)) in keys.into_iter().enumerate() {
        let x = left + n as i32 * column_width;
        line((x, y), AXIS, stroke)?;
        text((x + 46, y), name)?;
    }
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, runs: usize, published: bool) -> Series {
        let point = |epoch: usize| EpochPoint {
            epoch,
            train_loss: 1.0 / epoch as f64,
            valid_loss: 0.9 / epoch as f64,
            valid_accuracy: 1.0 - 0.2 / epoch as f64,
        };
        let curve = PublishedCurve { valid_loss: Vec::new(), valid_accuracy: vec![0.8, 0.9, 0.95] };
        Series {
            name: name.to_owned(),
            runs: vec![(1..=5).map(point).collect(); runs],
            mean: Vec::new(),
            published: published.then_some(curve),
        }
    }

    #[test]
    fn curves_are_the_same_bytes_twice_and_name_every_recipe() {
        let all = [series("softmax", 1, true), series("a <b> & c", 2, false)];
        let svg = learning_curves_svg(&all);
        assert_eq!(svg, learning_curves_svg(&all));
        assert!(svg.starts_with("<svg role=\"img\" width=\"1120\""), "{}", &svg[..80]);
        assert!(svg.trim_end().ends_with("</svg>"));
        for expected in ["<title>", "softmax", "a &lt;b&gt; &amp; c", "Validation accuracy", "published", "90%"] {
            assert!(svg.contains(expected), "{expected}");
        }
        assert!(!svg.contains("<b>"));
    }

    #[test]
    fn a_curve_without_published_figures_does_not_speak_of_them() {
        assert!(!learning_curves_svg(&[series("softmax", 1, false)]).contains("published"));
    }

    #[test]
    fn odd_series_do_not_panic() {
        let mut odd = series("odd", 1, true);
        odd.runs[0][0].valid_loss = f64::NAN;
        odd.runs[0][1].train_loss = f64::INFINITY;
        odd.runs[0][2].valid_loss = 0.0;
        odd.runs[0][3].valid_accuracy = 1.0;
        odd.runs[0][4].valid_accuracy = f64::NAN;
        let mut one = series("one", 1, false);
        one.runs[0].truncate(1);
        for all in [vec![], vec![odd.clone()], vec![one], vec![series("none", 0, false)], vec![odd; 20]] {
            let svg = learning_curves_svg(&all);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_missing_value_interrupts_the_line() {
        let heights = [Some(0.0), Some(1.0), None, Some(3.0)];
        let expected = vec![vec![(1.0, 0.0), (2.0, 1.0)], vec![(4.0, 3.0)]];
        assert_eq!(pieces(heights.into_iter().enumerate().map(|(n, height)| (n + 1, height))), expected);
    }

    #[test]
    fn at_most_about_a_dozen_epochs_are_named() {
        assert_eq!(epoch_ticks(3), [1.0, 2.0, 3.0]);
        assert_eq!(epoch_ticks(15).len(), 15);
        assert_eq!(epoch_ticks(20)[..3], [1.0, 2.0, 4.0]);
        for last in 1..2000 {
            assert!((1..=16).contains(&epoch_ticks(last).len()), "{last}");
        }
    }

    #[test]
    fn accuracy_and_loss_axes_are_monotone() {
        assert!(accuracy_height(0.98) < accuracy_height(0.99));
        assert_eq!(accuracy_height(1.0), accuracy_height(0.9999));
        assert_eq!(accuracy_height(f64::NAN), None);
        assert_eq!(loss_height(0.0), None);
        assert!(loss_height(0.1) < loss_height(1.0));
    }
}
