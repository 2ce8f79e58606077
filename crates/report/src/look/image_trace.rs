//! One image's way through a network: every layer's output, what the network says, and which pixels mattered.

use crate::colormap::{diverging, largest_magnitude, sequential};
use crate::feature_maps::{Image, draw_tile, pixel, tile_place};
use crate::font::Face;
use crate::format::count;
use crate::heading::{Heading, LINE, Words, wrap};
use crate::legend;
use crate::picture::{ALARM, Align, FRAME, INK, Picture, Rgb, SOFT_INK};

/// One image's way through a network.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageTrace {
    /// The title: `cnn2 seed 1`.
    pub title: String,
    /// What the image is: `test image 1234, labelled 7`, `digit.png`.
    pub heading: String,
    /// How a picture of the user's own became the network's input, the last step being that input; empty for images of
    /// a data set.
    pub steps: Vec<(String, Image)>,
    /// The network's input.
    pub image: Image,
    /// The layers that are shown, in their order.
    pub stages: Vec<Stage>,
    /// The classes with logit and probability, in their order.
    pub classes: Vec<Class>,
    /// The true class, where it is known.
    pub label: Option<usize>,
    /// The unit whose receptive field is drawn.
    pub unit: Option<Unit>,
    /// The class that the two maps speak of.
    pub explained: usize,
    /// Rise in cross-entropy of that class where the image is painted black, in nats, `[height, width]`; empty if not
    /// shown.
    pub occlusion: Vec<f64>,
    /// Pixels of a side of the painted square.
    pub occlusion_side: usize,
    /// Gradient of the logit of that class, `[channels, height, width]`; empty if not shown.
    pub gradient: Vec<f64>,
}

/// What one layer makes of the image.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    /// The layer's name and text: `conv1: conv 32 5x5 same`.
    pub name: String,
    /// Whether its values can be negative: then the scale is signed.
    pub signed: bool,
    /// Channels, rows and columns; a dense layer has one row and one column.
    pub shape: [usize; 3],
    /// `[channels, rows, columns]`.
    pub values: Vec<f32>,
    /// The channels that are shown, in the order in which they are, the same before and after ReLU; "n of N shown" is
    /// said.
    pub shown: Vec<usize>,
}

/// What the network says of one class.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// As it is to be printed.
    pub name: String,
    /// Its logit.
    pub logit: f32,
    /// Its probability.
    pub probability: f32,
}

/// A unit and the pixels that it sees.
#[derive(Clone, PartialEq, Debug)]
pub struct Unit {
    /// Which one, as it is to be printed: `conv2 filter 5, row 3, column 4`.
    pub name: String,
    /// Index of its stage, its channel, row and column.
    pub at: (usize, usize, usize, usize),
    /// Top, left, height and width of what it sees.
    pub field: [usize; 4],
}

/// The picture, as a PNG file.
pub fn image_trace(trace: &ImageTrace) -> Vec<u8> {
    draw(trace).png()
}

const WIDTH: usize = 1480;
const MARGIN: usize = 24;
const ROOM: usize = WIDTH - 2 * MARGIN;
/// Space below a band.
const BAND_GAP: usize = 22;

/// The picture: the image and which of its pixels mattered, what each layer makes of it, and what the network says.
///
/// # Panics
/// If pixels or values are not as many as their shape says, or an image has neither 1 nor 3 channels.
pub fn draw(trace: &ImageTrace) -> Picture {
    check(trace);
    let mut bands = vec![title(trace)];
    if !trace.steps.is_empty() {
        bands.push(steps(&trace.steps));
    }
    bands.push(panels(&[input(trace), field(trace), occlusion(trace), gradient(trace)]));
    bands.extend((0..trace.stages.len()).map(|index| stage(trace, index)));
    bands.push(classes(trace));
    if has_nan(trace) {
        let mut note = Picture::new(WIDTH, 34);
        legend::not_a_number(&mut note, (MARGIN, 0));
        bands.push(note);
    }
    Picture::stacked(&bands)
}

/// The class that the network names: the first of those with the largest logit.
pub fn predicted(classes: &[Class]) -> Option<&Class> {
    classes.iter().rev().max_by(|a, b| a.logit.total_cmp(&b.logit))
}

/// A probability in four decimals; one that they would hide is `<0.0001`.
pub fn probability(probability: f32) -> String {
    let text = format!("{probability:.4}");
    if probability > 0.0 && text == "0.0000" { "<0.0001".to_owned() } else { text }
}

fn check(trace: &ImageTrace) {
    let images = trace.steps.iter().map(|(_, image)| image).chain([&trace.image]);
    for Image { channels, height, width, pixels } in images {
        assert!(matches!(channels, 1 | 3), "an image has 1 or 3 channels, not {channels}");
        assert_eq!(pixels.len(), channels * height * width, "pixels are [channels, height, width]");
    }
    for Stage { name, shape, values, .. } in &trace.stages {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "the values of {name} are [channels, rows, columns]");
    }
    let Image { channels, height, width, .. } = trace.image;
    let (occlusion, gradient) = (trace.occlusion.len(), trace.gradient.len());
    assert!([0, height * width].contains(&occlusion), "the occlusion map is [height, width]");
    assert!([0, channels * height * width].contains(&gradient), "the gradient is [channels, height, width]");
}

fn has_nan(trace: &ImageTrace) -> bool {
    let values = trace.stages.iter().flat_map(|stage| &stage.values);
    values.into_iter().any(|value| value.is_nan())
        || trace.occlusion.iter().chain(&trace.gradient).any(|value| value.is_nan())
}

fn title(trace: &ImageTrace) -> Picture {
    let note = "The image, which of its pixels mattered, what each layer makes of it, and what the network says. Each layer has \
                a scale of its own, printed beside its name: signed values are blue below zero and red above it, others go \
                from dark (zero) to yellow.";
    let heading = Heading::new(&format!("{}: {}", trace.title, trace.heading), &[note.to_owned()], ROOM);
    let mut picture = Picture::new(WIDTH, MARGIN + heading.height());
    heading.draw(&mut picture, (MARGIN, MARGIN));
    picture
}

/// Lines of text, the first with its top at `y`.
fn lines(paper: &mut Picture, (x, y): (usize, usize), lines: &[Words]) {
    for (n, (face, color, text)) in lines.iter().enumerate() {
        paper.text((x, y + n * LINE), Align::Left, *face, *color, text);
    }
}

/// A text in as many lines as it needs at a width in pixels.
fn wrapped(text: &str, width: usize, color: Rgb) -> Vec<Words> {
    let lines = wrap(text, width / Face::Regular.width());
    lines.into_iter().map(|line| (Face::Regular, color, line)).collect()
}

/// The beginning of a text that has room for so many characters.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(3)).chain("...".chars()).collect()
}

const STEP_PX: usize = 196;
const STEP_WIDTH: usize = 270;
const STEPS_IN_LINE: usize = ROOM / STEP_WIDTH;

/// How a picture became the network's input.
fn steps(steps: &[(String, Image)]) -> Picture {
    let words: Vec<Vec<Words>> = steps
        .iter()
        .map(|(text, image)| {
            let mut words = wrapped(text, STEP_WIDTH - 20, INK);
            words.push((Face::Regular, SOFT_INK, format!("{} x {} pixels", image.width, image.height)));
            words
        })
        .collect();
    let line_height = STEP_PX + 10 + LINE * words.iter().map(Vec::len).max().unwrap_or(0) + 10;
    let mut picture = Picture::new(WIDTH, 24 + steps.len().div_ceil(STEPS_IN_LINE) * line_height + BAND_GAP);
    picture.text((MARGIN, 0), Align::Left, Face::Bold, INK, "How the picture became the network's input");
    for (n, ((_, image), words)) in steps.iter().zip(&words).enumerate() {
        let x = MARGIN + n % STEPS_IN_LINE * STEP_WIDTH;
        let y = 24 + n / STEPS_IN_LINE * line_height;
        draw_tile(&mut picture, (x, y), STEP_PX, (image.width, image.height), |y, x| pixel(image, y, x));
        lines(&mut picture, (x, y + STEP_PX + 10), words);
        if n + 1 < steps.len() {
            let arrow = (x + (STEP_PX + STEP_WIDTH) / 2, y + STEP_PX / 2 - 7);
            picture.text(arrow, Align::Center, Face::Title, SOFT_INK, "->");
        }
    }
    picture
}

/// Amber between two dark lines: seen on black, on white and on every colour of both scales.
const MARK: Rgb = [255, 176, 0];

/// A frame around a part of what lies at `place` and has `size` (width, height) cells; the part is top, left, height
/// and width.
fn mark(paper: &mut Picture, place: [usize; 4], (width, height): (usize, usize), part: [usize; 4]) {
    let [left, top, shown_width, shown_height] = place;
    let column = |x: usize| x.min(width) * shown_width / width.max(1);
    let row = |y: usize| y.min(height) * shown_height / height.max(1);
    let (y, x) = (row(part[0]), column(part[1]));
    let (tall, wide) = (row(part[0] + part[2]) - y, column(part[1] + part[3]) - x);
    for (around, color) in [INK, MARK, MARK, INK].into_iter().enumerate() {
        paper.frame(left + x - around, top + y - around, wide + 2 * around, tall + 2 * around, color);
    }
}

/// A picture of the image's size, with a heading above, a scale and words below.
struct Panel<'a> {
    heading: String,
    color: Box<dyn Fn(usize, usize) -> Rgb + 'a>,
    /// Height and width.
    size: (usize, usize),
    framed: Option<[usize; 4]>,
    limit: Option<f32>,
    words: Vec<Words>,
}

const PANEL_PX: usize = 308;
/// Four fill the width.
const PANEL_STEP: usize = (ROOM - PANEL_PX) / 3;

fn panels(panels: &[Option<Panel>; 4]) -> Picture {
    let shown: Vec<&Panel> = panels.iter().flatten().collect();
    let words_y = |panel: &Panel| 24 + PANEL_PX + 10 + if panel.limit.is_some() { legend::HEIGHT + 8 } else { 0 };
    let height = shown.iter().map(|panel| words_y(panel) + panel.words.len() * LINE).max().unwrap_or(0);
    let mut picture = Picture::new(WIDTH, height + BAND_GAP);
    for (n, panel) in shown.into_iter().enumerate() {
        let x = MARGIN + n * PANEL_STEP;
        let (height, width) = panel.size;
        draw_tile(&mut picture, (x, 24), PANEL_PX, (width, height), &panel.color);
        picture.text((x, 0), Align::Left, Face::Bold, INK, &panel.heading);
        if let Some(part) = panel.framed {
            let place = tile_place((x, 24), PANEL_PX, (width, height));
            mark(&mut picture, place, (width, height), part);
        }
        if let Some(limit) = panel.limit {
            let bar_x = x + (PANEL_PX - legend::SIGNED_WIDTH) / 2;
            legend::signed_bar(&mut picture, (bar_x, 24 + PANEL_PX + 10), limit);
        }
        lines(&mut picture, (x, words_y(panel)), &panel.words);
    }
    picture
}

fn input(trace: &ImageTrace) -> Option<Panel<'_>> {
    let image = &trace.image;
    let label = trace.label.and_then(|label| trace.classes.get(label));
    let mut words = Vec::new();
    if let Some(label) = label {
        words.push((Face::Regular, INK, format!("labelled  {}", cut(&label.name, 30))));
    }
    if let Some(class) = predicted(&trace.classes) {
        let wrong = label.is_some_and(|label| label.name != class.name);
        let (face, color) = if wrong { (Face::Bold, ALARM) } else { (Face::Regular, INK) };
        words.push((face, color, format!("predicted {}", cut(&class.name, 30))));
        words.push((Face::Regular, INK, format!("with probability {}", probability(class.probability))));
    }
    let kind = if image.channels == 3 { "in colour" } else { "grey" };
    words.push((Face::Regular, SOFT_INK, format!("{} x {} pixels, {kind}", image.width, image.height)));
    Some(Panel {
        heading: "The input".to_owned(),
        color: Box::new(|y, x| pixel(image, y, x)),
        size: (image.height, image.width),
        framed: None,
        limit: None,
        words,
    })
}

fn field(trace: &ImageTrace) -> Option<Panel<'_>> {
    let (image, unit) = (&trace.image, trace.unit.as_ref()?);
    let [top, left, height, width] = unit.field;
    let (last_row, last_column) = ((top + height).saturating_sub(1), (left + width).saturating_sub(1));
    let (stage, channel, ..) = unit.at;
    let is_shown = trace.stages.get(stage).is_some_and(|_| shown(trace, stage).contains(&channel));
    let below = if is_shown { " The unit is framed likewise below." } else { "" };
    let text = format!(
        "{} sees the framed {width} x {height} pixels: rows {top} to {last_row}, columns {left} to {last_column}.{below}",
        unit.name
    );
    Some(Panel {
        heading: "What one unit sees".to_owned(),
        color: Box::new(|y, x| pixel(image, y, x)),
        size: (image.height, image.width),
        framed: Some(unit.field),
        limit: None,
        words: wrapped(&text, PANEL_PX, INK),
    })
}

fn occlusion(trace: &ImageTrace) -> Option<Panel<'_>> {
    let class = explained(trace)?;
    let values: Vec<f32> = trace.occlusion.iter().map(|value| *value as f32).collect();
    let side = trace.occlusion_side;
    let text = format!(
        "By how much the cross-entropy of {class} rises, in nats, when the {side} x {side} square around a pixel is black. Red: \
         what is there speaks for {class}; blue: against it."
    );
    signed_panel(trace, values, format!("Hiding pixels: {class}"), &text)
}

fn gradient(trace: &ImageTrace) -> Option<Panel<'_>> {
    let class = explained(trace)?;
    let plane = trace.image.height * trace.image.width;
    // Of several channels the one of largest magnitude.
    let strongest = |at: usize| {
        let channels = trace.gradient.chunks(plane.max(1)).filter_map(|channel| channel.get(at));
        channels.copied().reduce(|a, b| if b.abs() > a.abs() || b.is_nan() { b } else { a })
    };
    let values: Vec<f32> = (0..plane).filter_map(strongest).map(|value| value as f32).collect();
    let of = if trace.image.channels == 3 { " Of red, green and blue the slope of largest magnitude." } else { "" };
    let text = format!(
        "The slope of the logit of {class} by a pixel from black (0) to white (1). Red: brighter is more like {class}; blue: \
         less.{of}"
    );
    signed_panel(trace, values, format!("Input gradient: {class}"), &text)
}

/// The class that the maps speak of.
fn explained(trace: &ImageTrace) -> Option<String> {
    trace.classes.get(trace.explained).map(|class| format!("class {}", cut(&class.name, 20)))
}

/// A map of signed values over the image; none without values.
fn signed_panel<'a>(trace: &ImageTrace, values: Vec<f32>, heading: String, text: &str) -> Option<Panel<'a>> {
    let (height, width) = (trace.image.height, trace.image.width);
    if values.is_empty() {
        return None;
    }
    let limit = largest_magnitude(&values);
    Some(Panel {
        heading,
        color: Box::new(move |y, x| diverging(values[y * width + x], limit)),
        size: (height, width),
        framed: None,
        limit: Some(limit),
        words: wrapped(text, PANEL_PX, SOFT_INK),
    })
}

const STAGE_HEADING: usize = 42;
const MAP_PX: usize = 84;
const MAP_GAP: usize = 5;
const MAPS_IN_LINE: usize = (ROOM + MAP_GAP) / (MAP_PX + MAP_GAP);
const MAP_HEIGHT: usize = MAP_PX + 4 + 13 + 6;
/// Pixels that all maps may take below each other, so that a deep and wide network is no picture of gigabytes.
const MAPS_HEIGHT: usize = 11_000;

/// The channels of a stage that are drawn.
fn shown(trace: &ImageTrace, index: usize) -> Vec<usize> {
    let stage = &trace.stages[index];
    let [channels, rows, columns] = stage.shape;
    let lines = (MAPS_HEIGHT / trace.stages.len()).saturating_sub(STAGE_HEADING + BAND_GAP) / MAP_HEIGHT;
    let most = if rows * columns == 1 { ROOM * STRIP_HEIGHT } else { lines.max(1) * MAPS_IN_LINE };
    stage.shown.iter().copied().filter(|channel| *channel < channels).take(most).collect()
}

/// What one layer makes of the image: its maps as tiles, or its values as a strip.
fn stage(trace: &ImageTrace, index: usize) -> Picture {
    let stage = &trace.stages[index];
    let [channels, rows, columns] = stage.shape;
    let limit = largest_magnitude(&stage.values);
    let color = |value: f32| if stage.signed { diverging(value, limit) } else { sequential(value, limit) };
    let shown = shown(trace, index);
    let unit = trace.unit.as_ref().map(|unit| unit.at).filter(|at| at.0 == index);
    let is_strip = rows * columns == 1;
    let strip = Strip::new(shown.len());
    let height = if is_strip { strip.rows * strip.cell } else { shown.len().div_ceil(MAPS_IN_LINE) * MAP_HEIGHT };
    let mut picture = Picture::new(WIDTH, STAGE_HEADING + height + BAND_GAP);
    let paper = &mut picture;
    let things = if is_strip { "values".to_owned() } else { format!("maps of {columns} x {rows}") };
    let (some, all) = (count(shown.len() as u64), count(channels as u64));
    let of = if some == all { format!("{all} {things}, all shown") } else { format!("{some} of {all} {things} shown") };
    let by_line = if is_strip && strip.rows > 1 { format!(", {} a line", strip.columns) } else { String::new() };
    paper.text((MARGIN, 2), Align::Left, Face::Bold, INK, &cut(&stage.name, 140));
    paper.text((MARGIN, 2 + LINE), Align::Left, Face::Regular, SOFT_INK, &(of + &by_line));
    let bar_x = WIDTH - MARGIN - legend::OVERHANG - legend::SIGNED_WIDTH;
    legend::bar(paper, (bar_x, 2), stage.signed, limit);

    if is_strip {
        strip.draw(paper, (MARGIN, STAGE_HEADING), shown.len(), |n| color(stage.values[shown[n]]));
        if let Some(n) = unit.and_then(|(_, channel, ..)| shown.iter().position(|c| *c == channel)) {
            let (x, y) = strip.at(n);
            mark(paper, [MARGIN + x, STAGE_HEADING + y, strip.cell, strip.cell], (1, 1), [0, 0, 1, 1]);
        }
        return picture;
    }
    let mut framed = None;
    for (n, &channel) in shown.iter().enumerate() {
        let x = MARGIN + n % MAPS_IN_LINE * (MAP_PX + MAP_GAP);
        let y = STAGE_HEADING + n / MAPS_IN_LINE * MAP_HEIGHT;
        let values = &stage.values[channel * rows * columns..(channel + 1) * rows * columns];
        let value = |row: usize, column: usize| color(values[row * columns + column]);
        draw_tile(paper, (x, y), MAP_PX, (columns, rows), value);
        let label = (x + MAP_PX / 2, y + MAP_PX + 4);
        paper.text(label, Align::Center, Face::Regular, INK, &channel.to_string());
        if let Some((_, _, row, column)) = unit.filter(|at| at.1 == channel) {
            framed = Some((tile_place((x, y), MAP_PX, (columns, rows)), [row, column, 1, 1]));
        }
    }
    // Last, so that no neighbour covers it.
    if let Some((place, part)) = framed {
        mark(paper, place, (columns, rows), part);
    }
    picture
}

const LARGEST_CELL: usize = 20;
const STRIP_HEIGHT: usize = 100;

/// Many values as small squares in reading order.
struct Strip {
    cell: usize,
    columns: usize,
    rows: usize,
}

impl Strip {
    /// Cells as large as `count` of them allow, in lines as even as can be.
    fn new(count: usize) -> Strip {
        let rows = |cell: usize| count.div_ceil(ROOM / cell).max(1);
        let cell = (1..=LARGEST_CELL).rev().find(|cell| rows(*cell) * cell <= STRIP_HEIGHT).unwrap_or(1);
        let rows = rows(cell).min(STRIP_HEIGHT);
        Strip { cell, columns: count.div_ceil(rows).min(ROOM / cell), rows }
    }

    fn at(&self, n: usize) -> (usize, usize) {
        let columns = self.columns.max(1);
        (n % columns * self.cell, n / columns * self.cell)
    }

    fn draw(&self, paper: &mut Picture, (x, y): (usize, usize), count: usize, color: impl Fn(usize) -> Rgb) {
        let lines = (0..count).step_by(self.columns.max(1));
        for first in lines {
            let cells = self.columns.min(count - first);
            paper.frame(x, y + self.at(first).1, cells * self.cell, self.cell, FRAME);
        }
        for n in 0..count {
            let (dx, dy) = self.at(n);
            paper.fill(x + dx, y + dy, self.cell, self.cell, color(n));
        }
    }
}

const BAR_COLOR: Rgb = [0, 114, 178];
const BAR_GROUND: Rgb = [228, 228, 228];
const BAR_HEIGHT: usize = 13;
const CLASS_HEIGHT: usize = 18;
/// Classes up to which one column of wide bars is enough.
const ONE_COLUMN: usize = 12;

/// Room for a number behind its bar.
const NUMBER_WIDTH: usize = 66;

/// What the network says of each class.
fn classes(trace: &ImageTrace) -> Picture {
    let classes = &trace.classes;
    let columns = if classes.len() <= ONE_COLUMN { 1 } else { 3 };
    let in_column = classes.len().div_ceil(columns).max(1);
    let (name_columns, bar_width, said_and_label) =
        if columns == 1 { (40, 400, "predicted, as labelled") } else { (14, 70, "as labelled") };
    let names: Vec<String> = classes.iter().map(|class| cut(&class.name, name_columns)).collect();
    let name_width = names.iter().map(|name| Face::Bold.text_width(name)).max().unwrap_or(0);
    let said = predicted(classes).map(|class| &class.name);
    let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
    let limit = largest_magnitude(&classes.iter().map(|class| finite(class.logit)).collect::<Vec<_>>());

    let mut picture = Picture::new(WIDTH, STAGE_HEADING + in_column * CLASS_HEIGHT + BAND_GAP);
    let paper = &mut picture;
    paper.text((MARGIN, 2), Align::Left, Face::Bold, INK, "What the network says");
    let facts = format!(
        "the logit, its bar from zero in the middle up to {limit:.2} at the end, and the probability (softmax of the logits), its \
         bar from 0 to 1"
    );
    paper.text((MARGIN, 2 + LINE), Align::Left, Face::Regular, SOFT_INK, &facts);
    for (n, (class, name)) in classes.iter().zip(&names).enumerate() {
        let x = MARGIN + n / in_column * (ROOM / columns);
        let y = STAGE_HEADING + n % in_column * CLASS_HEIGHT;
        let (is_label, is_said) = (trace.label == Some(n), said == Some(&class.name));
        let face = if is_label || is_said { Face::Bold } else { Face::Regular };
        paper.text((x + name_width, y), Align::Right, face, INK, name);

        let (logit_x, half) = (x + name_width + 10, bar_width / 2);
        paper.fill(logit_x, y, bar_width, BAR_HEIGHT, BAR_GROUND);
        let long = (finite(class.logit).abs() / limit.max(f32::MIN_POSITIVE) * half as f32).round() as usize;
        let start = if class.logit < 0.0 { logit_x + half - long } else { logit_x + half };
        paper.fill(start, y, long, BAR_HEIGHT, diverging(class.logit.signum(), 1.0));
        paper.fill(logit_x + half, y, 1, BAR_HEIGHT, INK);
        let number_x = logit_x + bar_width + NUMBER_WIDTH;
        paper.text((number_x, y), Align::Right, face, INK, &format!("{:+.2}", class.logit));

        let bar_x = number_x + 14;
        paper.fill(bar_x, y, bar_width, BAR_HEIGHT, BAR_GROUND);
        let share = finite(class.probability).clamp(0.0, 1.0);
        paper.fill(bar_x, y, (share * bar_width as f32).round() as usize, BAR_HEIGHT, BAR_COLOR);
        let number_x = bar_x + bar_width + NUMBER_WIDTH;
        paper.text((number_x, y), Align::Right, face, INK, &probability(class.probability));
        let wrong = trace.label.is_some() && is_label != is_said;
        let words = match (is_label, is_said) {
            (true, true) => said_and_label,
            (true, false) => "the label",
            (false, true) => "predicted",
            (false, false) => "",
        };
        let color = if wrong && is_said { ALARM } else { INK };
        paper.text((number_x + 14, y), Align::Left, Face::Bold, color, words);
    }
    picture
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::picture::{fingerprint, has_margin};

    fn grey(side: usize) -> Image {
        Image {
            channels: 1,
            height: side,
            width: side,
            pixels: (0..side * side).map(|n| (n * 7 % 256) as u8).collect(),
        }
    }

    fn made_up_stage(name: &str, signed: bool, shape: [usize; 3], shown: &[usize]) -> Stage {
        let value = |n: usize| ((n * 29) % 41) as f32 / 10.0 - if signed { 2.0 } else { 0.0 };
        let values = (0..shape.iter().product()).map(value).collect();
        Stage { name: name.to_owned(), signed, shape, values, shown: shown.to_vec() }
    }

    /// A digit of 8 x 8 pixels on its way through a small network.
    pub(crate) fn made_up() -> ImageTrace {
        let class =
            |n: usize| Class { name: n.to_string(), logit: n as f32 - 1.5, probability: [0.0, 0.25, 0.15, 0.6][n] };
        ImageTrace {
            title: "cnn seed 1".to_owned(),
            heading: "test image 12, labelled 1".to_owned(),
            steps: vec![("drawn".to_owned(), grey(40)), ("centred: the input".to_owned(), grey(8))],
            image: grey(8),
            stages: vec![
                made_up_stage("conv1: conv 6 3x3 same", true, [6, 8, 8], &[4, 1, 0]),
                made_up_stage("maxpool1: maxpool 2", false, [6, 4, 4], &[0, 1, 2, 3, 4, 5]),
                made_up_stage("fc1: linear 200", true, [200, 1, 1], &(0..200).collect::<Vec<_>>()),
            ],
            classes: (0..4).map(class).collect(),
            label: Some(1),
            unit: Some(Unit {
                name: "conv1 filter 1, row 2, column 3".to_owned(),
                at: (0, 1, 2, 3),
                field: [1, 2, 3, 3],
            }),
            explained: 3,
            occlusion: (0..64).map(|n| f64::from(n % 9) - 3.0).collect(),
            occlusion_side: 3,
            gradient: (0..64).map(|n| 2.0 - f64::from(n % 7)).collect(),
        }
    }

    #[test]
    fn every_cell_of_a_map_is_the_colour_of_its_value_on_the_layers_scale() {
        let mut trace = made_up();
        trace.unit = None;
        // What is not shown counts for the scale.
        trace.stages[0].values[2 * 64] = -8.0;
        for (index, scale) in [(0, 10), (1, 21)] {
            let picture = stage(&trace, index);
            let stage = &trace.stages[index];
            let side = stage.shape[1];
            for (n, channel) in stage.shown.iter().enumerate() {
                let left = MARGIN + n * (MAP_PX + MAP_GAP) + (MAP_PX - side * scale) / 2;
                let top = STAGE_HEADING + (MAP_PX - side * scale) / 2;
                for (y, x) in (0..side * scale).flat_map(|y| (0..side * scale).map(move |x| (y, x))) {
                    let value = stage.values[(channel * side + y / scale) * side + x / scale];
                    let color = if index == 0 { diverging(value, 8.0) } else { sequential(value, 4.0) };
                    assert_eq!(picture.pixel(left + x, top + y), color, "{} channel {channel} at {x},{y}", stage.name);
                }
            }
        }
    }

    #[test]
    fn a_dense_layer_shows_all_its_values() {
        for count in [1, 10, 71, 200, 1024, 3136, 20_000] {
            let mut trace = made_up();
            trace.unit = None;
            trace.stages = vec![made_up_stage("fc1", true, [count, 1, 1], &(0..count).collect::<Vec<_>>())];
            let picture = stage(&trace, 0);
            let strip = Strip::new(count);
            assert!(strip.columns * strip.rows >= count && strip.rows * strip.cell <= STRIP_HEIGHT, "{count}");
            let limit = largest_magnitude(&trace.stages[0].values);
            for (n, value) in trace.stages[0].values.iter().enumerate() {
                let (x, y) = strip.at(n);
                for inside in [0, strip.cell - 1] {
                    let color = picture.pixel(MARGIN + x + inside, STAGE_HEADING + y + inside);
                    assert_eq!(color, diverging(*value, limit), "value {n} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_unit_is_framed_and_so_is_what_it_sees() {
        let trace = made_up();
        let panel = panels(&[None, field(&trace), None, None]);
        // 8 pixels of 38 in a panel of 308.
        let (left, top) = (MARGIN + 2 + 2 * 38, 24 + 2 + 38);
        for (x, y) in [(left, top), (left + 3 * 38 - 1, top + 3 * 38 - 1)] {
            let at = (y - 26) / 38 * 8 + (x - MARGIN - 2) / 38;
            assert_eq!(panel.pixel(x, y), [trace.image.pixels[at]; 3], "what is seen is not covered");
        }
        for (x, y) in [(left - 2, top), (left + 3 * 38 + 1, top), (left, top - 3), (left, top + 3 * 38 + 2)] {
            assert_eq!(panel.pixel(x, y), MARK, "{x},{y}");
        }
        let (x, y) = (MARGIN + MAP_PX + MAP_GAP + 2 + 3 * 10, STAGE_HEADING + 2 + 2 * 10);
        let map = stage(&trace, 0);
        assert_eq!((map.pixel(x - 2, y), map.pixel(x + 11, y + 9)), (MARK, MARK));
        assert_eq!(map.pixel(x, y), diverging(trace.stages[0].values[64 + 2 * 8 + 3], 2.0));
        let marked = |picture: &Picture| picture.pixels().chunks(3).filter(|pixel| **pixel == MARK).count();
        assert_eq!(marked(&stage(&trace, 1)), 0, "the unit is in no other layer");
    }

    #[test]
    fn of_three_channels_the_gradient_of_largest_magnitude_counts() {
        let mut trace = made_up();
        trace.image = Image { channels: 3, pixels: vec![9; 192], ..grey(8) };
        trace.gradient = vec![0.5; 192];
        trace.gradient[64] = -2.0;
        trace.gradient[128 + 1] = 1.0;
        let panel = gradient(&trace).expect("a gradient");
        let colors = [(panel.color)(0, 0), (panel.color)(0, 1), (panel.color)(0, 2)];
        assert_eq!(colors, [-2.0, 1.0, 0.5].map(|value| diverging(value, 2.0)));
        assert_eq!(panel.limit, Some(2.0));
    }

    #[test]
    fn bars_are_as_long_as_logits_and_probabilities() {
        let trace = made_up();
        let picture = classes(&trace);
        let logit_x = MARGIN + 7 + 10;
        let probability_x = logit_x + 400 + NUMBER_WIDTH + 14;
        // Logits from -1.5 to 1.5; of a bar to the right the first column is the line of zero.
        for (n, (logit, probability)) in [(200, 0), (67, 100), (66, 60), (199, 240)].into_iter().enumerate() {
            let y = STAGE_HEADING + n * CLASS_HEIGHT + 6;
            let count = |x: usize, color| (0..400).filter(|column| picture.pixel(x + column, y) == color).count();
            let sign = trace.classes[n].logit.signum();
            let (color, side) = (diverging(sign, 1.0), if sign < 0.0 { 199 } else { 201 });
            assert_eq!(count(logit_x, color), logit, "logit of class {n}");
            assert_eq!(picture.pixel(logit_x + side, y), color, "class {n}");
            assert_eq!(count(probability_x, BAR_COLOR), probability, "probability of class {n}");
            assert_eq!(picture.pixel(probability_x + 399, y), BAR_GROUND);
        }
    }

    #[test]
    fn probabilities_are_never_shown_as_less_than_they_are() {
        let cases = [(0.0, "0.0000"), (0.00001, "<0.0001"), (0.00006, "0.0001"), (0.97314, "0.9731"), (1.0, "1.0000")];
        for (value, expected) in cases {
            assert_eq!(probability(value), expected);
        }
    }

    #[test]
    fn the_picture_is_pinned() {
        let picture = draw(&made_up());
        assert_eq!((picture.width(), picture.height()), (1480, 1460));
        assert_eq!(fingerprint(&picture), 13280910105302988511, "looked at and found good? then pin the new value");
        assert_eq!(image_trace(&made_up()), picture.png());
    }

    #[test]
    fn a_large_network_is_no_picture_of_gigabytes() {
        let mut trace = made_up();
        let all: Vec<usize> = (0..3000).collect();
        trace.stages = vec![made_up_stage("conv", true, [3000, 2, 2], &all); 40];
        let picture = draw(&trace);
        assert!(picture.width() * picture.height() < 21_000_000, "{} high", picture.height());
        trace.stages = vec![made_up_stage("fc", true, [400_000, 1, 1], &(0..400_000).collect::<Vec<_>>())];
        assert!(draw(&trace).height() < 1400);
        trace.steps = vec![("huge".to_owned(), grey(1500))];
        assert!(draw(&trace).height() < 1400);
    }

    #[test]
    fn odd_journeys_do_not_panic_and_nothing_is_cut_off() {
        let mut bare = made_up();
        bare.steps.clear();
        bare.stages.clear();
        bare.classes.clear();
        bare.occlusion.clear();
        bare.gradient.clear();
        assert!(has_margin(&draw(&bare), 20));
        let mut bad = made_up();
        bad.title = "cnn2-dropout ".repeat(30);
        bad.stages[0].name = "conv ".repeat(60);
        bad.steps[0].0 = "cropped ".repeat(30);
        bad.stages[0].values.fill(f32::NAN);
        bad.stages[1].shown = vec![99, 5, 5];
        bad.stages[2].values.fill(0.0);
        bad.occlusion.fill(f64::INFINITY);
        bad.gradient[5] = f64::NAN;
        bad.classes[0] = Class { name: "long ".repeat(40), logit: f32::NAN, probability: f32::NAN };
        bad.label = Some(77);
        bad.explained = 0;
        assert!(has_margin(&draw(&bad), 20));
        bad.classes.extend(vec![bad.classes[0].clone(); 60]);
        bad.label = Some(9);
        bad.unit = Some(Unit { name: "unit ".repeat(60), at: (9, 9, 9, 9), field: [7, 7, 90, 90] });
        assert!(has_margin(&draw(&bad), 20));
        bad.unit = Some(Unit { name: String::new(), at: (2, 3, 0, 0), field: [0, 0, 8, 8] });
        bad.stages.push(made_up_stage("nothing", false, [0, 0, 0], &[0]));
        assert!(has_margin(&draw(&bad), 20));
    }

    #[test]
    #[should_panic(expected = "the values of conv1: conv 6 3x3 same are [channels, rows, columns]")]
    fn values_that_are_too_few_are_a_mistake_of_the_caller() {
        let mut trace = made_up();
        trace.stages[0].values.pop();
        draw(&trace);
    }
}
