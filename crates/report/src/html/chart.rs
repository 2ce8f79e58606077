//! Charts in the page: drawn by plotters, coloured by the page's style, and with their numbers in a table.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::blocks::scrolling;
use crate::plot::{AXIS, COLORS, FONT, GRID, INK, Marker, Ticked, label};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A chart, what it shows in words, and its numbers.
pub(super) fn figure(title: &str, description: &str, svg: &str, table: Markup) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            p.note { (description) }
            (scrolling(title, html! { div.chart { (PreEscaped(themed(svg, title, description))) } }))
            details { summary { "The numbers of this chart" } (table) }
        }
    }
}

/// An SVG of this size, drawn by `draw`.
pub(super) fn svg<'a>(size: (u32, u32), out: &'a mut String, draw: impl FnOnce(&Area<'a>) -> Drawn<'a>) {
    let area = SVGBackend::with_string(out, size).into_drawing_area();
    // Writing into a String cannot fail, and what is drawn is finite.
    draw(&area).and_then(|()| area.present()).expect("an SVG in memory takes every element");
}

/// The colours become those of the page's style, which has others for the dark; and the drawing gets a name.
fn themed(svg: &str, title: &str, description: &str) -> String {
    let hex = |color: RGBColor| format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2);
    let mut themed = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\" stroke-width=\"1\"", "");
    let named = [(INK, "ink".to_owned()), (AXIS, "axis".to_owned()), (GRID, "grid".to_owned())];
    let series = COLORS.iter().enumerate().map(|(n, color)| (*color, format!("series-{n}")));
    for (color, name) in series.chain(named).chain([(WHITE, "paper".to_owned())]) {
        themed = themed.replace(&format!("\"{}\"", hex(color)), &format!("\"var(--{name})\""));
    }
    let name = html! { title { (title) } desc { (description) } }.into_string();
    let Some(start) = themed.find("<svg ") else { return themed };
    let Some(end) = themed[start..].find('>').map(|at| start + at + 1) else { return themed };
    // What stands before are a declaration and perhaps a title of its own.
    let rest = themed[end..].trim_start();
    let rest = rest.find("</desc>").map_or(rest, |at| &rest[at + "</desc>".len()..]);
    let tag = themed[start..end].replace(" role=\"img\"", "").replacen("<svg ", "<svg role=\"img\" ", 1);
    format!("{tag}{name}{rest}")
}

/// An axis: where it begins and ends, and what it names.
pub(super) struct Axis {
    pub(super) range: std::ops::Range<f64>,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) name: &'static str,
}

impl Axis {
    /// Around these positions, with those of `ticks` that lie on it.
    pub(super) fn around(
        positions: impl Iterator<Item = f64>,
        ticks: impl IntoIterator<Item = (f64, String)>,
        name: &'static str,
    ) -> Axis {
        let (low, high) = positions
            .filter(|x| x.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let room = 0.06 * (high - low).max(0.1);
        let range = low - room..high + room;
        Axis { ticks: ticks.into_iter().filter(|(at, _)| range.contains(at)).collect(), range, name }
    }
}

/// Axes and grid; then `draw` what is in them.
pub(super) fn axes<'a, 'b>(
    area: &'b Area<'a>,
    (x, y): (&Axis, &Axis),
    y_labels: u32,
    draw: impl FnOnce(&mut ChartContext<'b, SVGBackend<'a>, Cartesian2d<Ticked, Ticked>>) -> Drawn<'a>,
) -> Drawn<'a> {
    let ticked = |axis: &Axis| Ticked::new(axis.range.clone(), axis.ticks.iter().map(|tick| tick.0).collect());
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(if x.name.is_empty() { 30 } else { 50 })
        .y_label_area_size(y_labels)
        .build_cartesian_2d(ticked(x), ticked(y))?;
    chart
        .configure_mesh()
        .x_labels(64)
        .y_labels(64)
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_label_formatter(&|at| label(&x.ticks, *at))
        .y_label_formatter(&|at| label(&y.ticks, *at))
        .x_desc(x.name)
        .y_desc(y.name)
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .draw()?;
    draw(&mut chart)
}

/// The colour of a recipe, by its number.
pub(super) fn color(recipe: usize) -> RGBColor {
    COLORS[recipe % COLORS.len()]
}

/// The marker of a recipe, as a small drawing that stands before its name.
pub(super) fn key(recipe: usize) -> Markup {
    let mut drawing = String::new();
    svg((20, 16), &mut drawing, |area| {
        let (x, y) = area.get_pixel_range();
        let plane = area.apply_coord_spec(Cartesian2d::<
            plotters::coord::types::RangedCoordf64,
            plotters::coord::types::RangedCoordf64,
        >::new(0.0..20.0, 0.0..16.0, (x, y)));
        plane.draw(&Marker { series: recipe, at: (10.0, 8.0) })
    });
    let drawing = drawing.replace("<svg ", "<svg aria-hidden=\"true\" ");
    html! { span.key { (PreEscaped(uncaptioned(&drawing))) } }
}

fn uncaptioned(svg: &str) -> String {
    let themed = themed(svg, "", "");
    themed.replace("role=\"img\" ", "").replace("<title></title><desc></desc>", "")
}

/// The recipes with their markers.
pub(super) fn legend<'n>(names: impl Iterator<Item = (usize, &'n str)>) -> Markup {
    html! { ul.legend { @for (recipe, name) in names { li { (key(recipe)) (name) } } } }
}
