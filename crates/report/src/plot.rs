//! What all charts share: colours, markers, axes, and the scale of accuracies.

use plotters::coord::ranged1d::KeyPointHint;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;

pub(crate) const INK: RGBColor = RGBColor(34, 34, 34);
pub(crate) const AXIS: RGBColor = RGBColor(120, 120, 120);
pub(crate) const GRID: RGBColor = RGBColor(228, 228, 228);
pub(crate) const FONT: &str = "sans-serif";

/// Okabe and Ito's colours without their yellow, which is too light for lines on white.
pub(crate) const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Accuracies that an axis names, as far as they lie on it, and their positions.
pub(crate) fn accuracy_ticks() -> [(f64, String); 14] {
    const TICKS: [f64; 14] = [0.0, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999];
    TICKS.map(|accuracy| (accuracy_height(accuracy).unwrap_or(0.0), accuracy_label(accuracy)))
}

/// Position of an accuracy on its axis; at 99.99% the axis ends.
pub(crate) fn accuracy_height(accuracy: f64) -> Option<f64> {
    accuracy.is_finite().then(|| -(1.0 - accuracy).clamp(1e-4, 1.0).log10())
}

fn accuracy_label(accuracy: f64) -> String {
    let percent = (accuracy * 10_000.0).round() / 100.0;
    format!("{percent}%")
}

/// A point of a recipe's curve. Seven shapes: disc, square, triangle, diamond, ring, open square, cross.
pub(crate) struct Marker {
    pub(crate) series: usize,
    pub(crate) at: (f64, f64),
}

impl<'b> PointCollection<'b, (f64, f64)> for &'b Marker {
    type Point = &'b (f64, f64);
    type IntoIter = std::iter::Once<&'b (f64, f64)>;

    fn point_iter(self) -> Self::IntoIter {
        std::iter::once(&self.at)
    }
}

impl<Backend: DrawingBackend> Drawable<Backend> for Marker {
    fn draw<I: Iterator<Item = (i32, i32)>>(
        &self,
        points: I,
        backend: &mut Backend,
        _parent: (u32, u32),
    ) -> Result<(), plotters_backend::DrawingErrorKind<Backend::ErrorType>> {
        let color = COLORS[self.series % COLORS.len()];
        let (full, paper, outline) = (color.filled(), WHITE.filled(), color.stroke_width(2));
        for (x, y) in points {
            let polygon = |corners: &[(i32, i32)]| corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>();
            let (top_left, bottom_right) = ((x - 4, y - 4), (x + 4, y + 4));
            match self.series % 7 {
                0 => backend.draw_circle((x, y), 4, &full, true)?,
                1 => backend.draw_rect(top_left, bottom_right, &full, true)?,
                2 => backend.fill_polygon(polygon(&[(0, -6), (6, 4), (-6, 4)]), &full)?,
                3 => backend.fill_polygon(polygon(&[(0, -6), (6, 0), (0, 6), (-6, 0)]), &full)?,
                4 => {
                    backend.draw_circle((x, y), 4, &paper, true)?;
                    backend.draw_circle((x, y), 4, &outline, false)?;
                }
                5 => {
                    backend.draw_rect(top_left, bottom_right, &paper, true)?;
                    backend.draw_rect(top_left, bottom_right, &outline, false)?;
                }
                _ => {
                    backend.draw_path([top_left, bottom_right], &outline)?;
                    backend.draw_path([(x - 4, y + 4), (x + 4, y - 4)], &outline)?;
                }
            }
        }
        Ok(())
    }
}

/// A linear axis with the ticks that we choose.
pub(crate) struct Ticked {
    range: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ticked {
    pub(crate) fn new(range: std::ops::Range<f64>, ticks: Vec<f64>) -> Ticked {
        Ticked { range: range.into(), ticks }
    }
}

impl Ranged for Ticked {
    type FormatOption = plotters::coord::ranged1d::DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.range()
    }
}

/// What an axis says at a position: plotters asks with the position, which may be rounded, for the text.
pub(crate) fn label(ticks: &[(f64, String)], at: f64) -> String {
    let nearest = ticks.iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
    nearest.map(|tick| tick.1.clone()).unwrap_or_default()
}
