//! The learned filters of one layer, side by side on one signed colour scale.

use crate::colormap::{diverging, largest_magnitude};
use crate::font::Face;
use crate::heading::{Heading, LINE, Words};
use crate::legend;
use crate::picture::{Align, FRAME, INK, Picture, SOFT_INK};

/// One learned filter: the weights of one output channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Filter {
    /// Its output channel, as it is to be printed.
    pub number: usize,
    /// Input channels, drawn as small multiples.
    pub channels: usize,
    /// The number of the first of them, where there are others that the filter does not see.
    pub first_channel: Option<usize>,
    /// Rows of the kernel.
    pub height: usize,
    /// Columns of the kernel.
    pub width: usize,
    /// `[channels, height, width]`.
    pub weights: Vec<f32>,
}

/// A picture of `filters`, as a PNG file.
///
/// All filters share one signed scale from `-limit` to `limit`, printed below them. Give the largest magnitude of the
/// whole layer to make pictures of its parts comparable; `None` takes it from the filters shown.
pub fn filters(filters: &[Filter], limit: Option<f32>, title: &str) -> Vec<u8> {
    draw(filters, limit, title).png()
}

/// Like [`filters()`], as a [`Picture`].
///
/// # Panics
/// If `weights` is not `channels * height * width` long.
pub fn draw(filters: &[Filter], limit: Option<f32>, title: &str) -> Picture {
    let limit = limit.unwrap_or_else(|| largest_magnitude(filters.iter().flat_map(|filter| &filter.weights)));
    let label = |filter| vec![(Face::Regular, INK, name(filter))];
    let items = filters.iter().map(|filter| (filter, label(filter))).collect();
    let notes: Vec<String> = sees_some(filters.iter()).into_iter().collect();
    Grid { title, items, limit, has_nan: filters.iter().any(has_nan), largest_area: LARGEST_AREA }.draw(&notes)
}

/// How wide a picture may become before filters go into the next line.
pub(crate) const LARGEST_WIDTH: usize = 1480;
/// How many pixels a picture may have before filters are left out.
pub(crate) const LARGEST_AREA: usize = 20_000_000;
/// Space around a picture.
pub(crate) const MARGIN: usize = 24;
/// Height of the line that explains [`crate::colormap::NOT_A_NUMBER`], where it is needed.
pub(crate) const NAN_HEIGHT: usize = 26;

const GAP: usize = 20;
/// What a heading and a legend take at most, roughly; it only decides how many filters are left out.
const AROUND: usize = 300;

/// `filter 12`, and if it sees only some of the input channels, `filter 12, channels 8 to 15`.
pub(crate) fn name(filter: &Filter) -> String {
    let &Filter { number, channels, .. } = filter;
    match filter.first_channel {
        None => format!("filter {number}"),
        Some(only) if channels == 1 => format!("filter {number}, channel {only}"),
        Some(first) => format!("filter {number}, channels {first} to {}", first + channels.saturating_sub(1)),
    }
}

/// What is to be said where filters see only some of the input channels.
pub(crate) fn sees_some<'a>(mut filters: impl Iterator<Item = &'a Filter>) -> Option<String> {
    let note = "Each sees only the input channels that are named with it, counted from 0 as filters are.";
    filters.any(|filter| filter.first_channel.is_some()).then(|| note.to_owned())
}

pub(crate) fn has_nan(filter: &Filter) -> bool {
    filter.weights.iter().any(|weight| weight.is_nan())
}

/// How many columns of a width fit side by side, and how many of `count` things then go into a line: as even as
/// possible, so that 10 are two lines of 5 and not 8 and 2.
pub(crate) fn columns(count: usize, width: usize, gap: usize) -> usize {
    let fit = ((LARGEST_WIDTH - 2 * MARGIN + gap) / (width + gap)).max(1);
    count.div_ceil(count.div_ceil(fit).max(1)).max(1)
}

/// How many lines of a height fit into a picture of a width and area; at least one.
pub(crate) fn lines_that_fit(area: usize, width: usize, line_height: usize) -> usize {
    ((area / (width + 2 * MARGIN)).saturating_sub(AROUND) / line_height.max(1)).max(1)
}

/// A kernel's channels as small multiples: tiles in a grid, in reading order, each enlarged by whole pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Multiples {
    columns: usize,
    rows: usize,
    gap: usize,
    scale: usize,
    tile: (usize, usize),
}

impl Multiples {
    /// A filter's channels with squares of `scale` pixels.
    ///
    /// # Panics
    /// If `weights` is not `channels * height * width` long.
    pub(crate) fn new(filter: &Filter, scale: usize) -> Multiples {
        let &Filter { number, channels, height, width, .. } = filter;
        assert_eq!(
            filter.weights.len(),
            channels * height * width,
            "the weights of filter {number} are [channels, height, width]"
        );
        // Up to four side by side, more in a grid that is as wide as high or twice as wide: 32 are 8 x 4.
        let side = (1..channels).find(|side| side * side >= channels).unwrap_or(1);
        let columns = if channels <= 4 { channels } else { side.next_power_of_two() };
        let rows = channels.div_ceil(columns.max(1));
        // Many small tiles share a line; their frames apart would be more line than tile.
        let gap = if channels <= 4 { 4 } else { 1 };
        Multiples { columns, rows, gap, scale, tile: (width, height) }
    }

    /// A filter's channels as large as fits into a square of `room` pixels, with at least one pixel for a weight.
    pub(crate) fn fit(filter: &Filter, room: usize) -> Multiples {
        let one = Multiples::new(filter, 1);
        let scale = |count: usize, side: usize| {
            room.saturating_sub((count * one.gap).saturating_sub(one.gap)) / (count * side).max(1)
        };
        Multiples { scale: scale(one.columns, one.tile.0).min(scale(one.rows, one.tile.1)).max(1), ..one }
    }

    /// The room that a filter is given in a grid of `count`: more where there are channels to tell apart, and few
    /// filters.
    pub(crate) fn room(filter: &Filter, count: usize) -> usize {
        match filter.channels {
            1 => 120,
            _ if count <= 16 => 340,
            _ => 220,
        }
    }

    /// Width and height in pixels.
    pub(crate) fn size(self) -> (usize, usize) {
        let length = |count: usize, side: usize| (count * (side * self.scale + self.gap)).saturating_sub(self.gap);
        (length(self.columns, self.tile.0), length(self.rows, self.tile.1))
    }

    /// Draws the filter with its top left corner at (`x`, `y`).
    pub(crate) fn draw(self, picture: &mut Picture, (x, y): (usize, usize), filter: &Filter, limit: f32) {
        let (width, height) = self.tile;
        if width * height == 0 {
            return;
        }
        for (channel, weights) in filter.weights.chunks(width * height).enumerate() {
            let tile_x = x + channel % self.columns * (width * self.scale + self.gap);
            let tile_y = y + channel / self.columns * (height * self.scale + self.gap);
            picture.frame(tile_x, tile_y, width * self.scale, height * self.scale, FRAME);
            picture.tile((tile_x, tile_y), self.tile, self.scale, |row, column| {
                diverging(weights[row * width + column], limit)
            });
        }
    }
}

/// Filters in a grid, each with some words below it, all on one signed scale.
pub(crate) struct Grid<'a> {
    pub(crate) title: &'a str,
    /// The filters and the words below each.
    pub(crate) items: Vec<(&'a Filter, Vec<Words>)>,
    pub(crate) limit: f32,
    /// Whether to explain the colour of what is not a number.
    pub(crate) has_nan: bool,
    /// Filters that would make the picture have more pixels are left out.
    pub(crate) largest_area: usize,
}

impl Grid<'_> {
    /// How many filters have room.
    pub(crate) fn shown(&self) -> usize {
        let cell = self.cell();
        let columns = columns(self.items.len(), cell.width, GAP);
        let lines = lines_that_fit(self.largest_area, columns * (cell.width + GAP), cell.height);
        self.items.len().min(lines * columns)
    }

    /// The picture, with sentences below its title.
    pub(crate) fn draw(&self, notes: &[String]) -> Picture {
        let cell = self.cell();
        let columns = columns(self.items.len(), cell.width, GAP);
        let items = &self.items[..self.shown()];
        let grid_width = (columns * (cell.width + GAP)).saturating_sub(GAP);
        let heading = Heading::new(self.title, notes, grid_width);
        let lowest_width = legend::SIGNED_WIDTH + 2 * legend::OVERHANG;
        let width = grid_width.max(heading.width()).max(lowest_width) + 2 * MARGIN;
        let grid_y = MARGIN + heading.height();
        let legend_y = grid_y + items.len().div_ceil(columns) * cell.height + 4;
        let nan_height = if self.has_nan { NAN_HEIGHT } else { 0 };
        let mut picture = Picture::new(width, legend_y + legend::HEIGHT + nan_height + MARGIN);

        heading.draw(&mut picture, (MARGIN, MARGIN));
        for (n, (filter, words)) in items.iter().enumerate() {
            let x = MARGIN + n % columns * (cell.width + GAP);
            let y = grid_y + n / columns * cell.height;
            let multiples = Multiples::fit(filter, Multiples::room(filter, self.items.len()));
            multiples.draw(&mut picture, (x + (cell.width - multiples.size().0) / 2, y), filter, self.limit);
            for (line, (face, color, text)) in words.iter().enumerate() {
                let at = (x + cell.width / 2, y + cell.kernel_height + 8 + line * LINE);
                picture.text(at, Align::Center, *face, *color, text);
            }
        }

        let legend_x = MARGIN + legend::OVERHANG;
        if items.is_empty() {
            picture.text((MARGIN, legend_y), Align::Left, Face::Regular, SOFT_INK, "no filters");
            return picture;
        }
        legend::signed_scale(&mut picture, (legend_x, legend_y), self.limit, self.has_nan);
        picture
    }

    fn cell(&self) -> Cell {
        let sizes = || {
            self.items
                .iter()
                .map(|(filter, _)| Multiples::fit(filter, Multiples::room(filter, self.items.len())).size())
        };
        let words = || self.items.iter().flat_map(|(_, words)| words);
        let words_width = words().map(|(face, _, text)| face.text_width(text)).max().unwrap_or(0);
        let lines = self.items.iter().map(|(_, words)| words.len()).max().unwrap_or(0);
        let kernel_height = sizes().map(|(_, height)| height).max().unwrap_or(0);
        Cell {
            width: sizes().map(|(width, _)| width).max().unwrap_or(0).max(words_width),
            kernel_height,
            height: kernel_height + 5 + lines * LINE + GAP,
        }
    }
}

/// The room of one filter in a grid.
struct Cell {
    width: usize,
    kernel_height: usize,
    /// With the words and the space below.
    height: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::fingerprint;

    const TITLE_HEIGHT: usize = 34;

    fn filter(number: usize, channels: usize, side: usize) -> Filter {
        let weight = |n: usize| ((n * 37 + number * 11) % 41) as f32 / 20.0 - 1.0;
        let weights = (0..channels * side * side).map(weight).collect();
        Filter { number, channels, first_channel: None, height: side, width: side, weights }
    }

    #[test]
    fn every_pixel_of_a_tile_is_the_colour_of_its_weight() {
        let five: Vec<Filter> = (0..5).map(|number| filter(number, 1, 5)).collect();
        let picture = draw(&five, Some(1.0), "conv1");
        for (n, filter) in five.iter().enumerate() {
            let (left, top) = (MARGIN + n * (120 + GAP), MARGIN + TITLE_HEIGHT);
            for y in 0..120 {
                for x in 0..120 {
                    let weight = filter.weights[y / 24 * 5 + x / 24];
                    assert_eq!(picture.pixel(left + x, top + y), diverging(weight, 1.0), "filter {n} at {x},{y}");
                }
            }
        }
    }

    #[test]
    fn channels_are_small_multiples_in_reading_order() {
        let shapes = [(1, (1, 1)), (3, (3, 1)), (5, (4, 2)), (16, (4, 4)), (32, (8, 4)), (64, (8, 8)), (128, (16, 8))];
        for (channels, expected) in shapes {
            let multiples = Multiples::new(&filter(0, channels, 5), 1);
            assert_eq!((multiples.columns, multiples.rows), expected, "{channels} channels");
        }
        let deep = filter(3, 32, 5);
        let multiples = Multiples::fit(&deep, 340);
        assert_eq!((multiples.scale, multiples.size()), (8, (327, 163)));
        let mut picture = Picture::new(400, 200);
        multiples.draw(&mut picture, (7, 9), &deep, 1.0);
        for y in 0..163 {
            for x in 0..327 {
                let ((column, x_in), (row, y_in)) = ((x / 41, x % 41), (y / 41, y % 41));
                let weight = || deep.weights[(row * 8 + column) * 25 + y_in / 8 * 5 + x_in / 8];
                let expected = if x_in == 40 || y_in == 40 { FRAME } else { diverging(weight(), 1.0) };
                assert_eq!(picture.pixel(7 + x, 9 + y), expected, "at {x},{y}");
            }
        }
    }

    #[test]
    fn a_kernel_keeps_to_its_room_while_a_pixel_for_a_weight_fits() {
        for (channels, side) in [(1, 5), (1, 28), (2, 7), (3, 11), (6, 3), (32, 5), (64, 3), (100, 5), (512, 3)] {
            for room in [120, 176, 340] {
                let kernel = filter(0, channels, side);
                let (width, height) = Multiples::fit(&kernel, room).size();
                let least = Multiples::new(&kernel, 1).size();
                assert!(width <= room.max(least.0) && height <= room.max(least.1), "{channels} of {side} in {room}");
            }
        }
    }

    #[test]
    fn the_scale_is_symmetric_and_the_same_for_all() {
        let mut two = [filter(0, 1, 3), filter(1, 1, 3)];
        two[0].weights.fill(0.5);
        two[1].weights.fill(-2.0);
        let picture = draw(&two, None, "");
        let top = MARGIN + TITLE_HEIGHT;
        assert_eq!(picture.pixel(MARGIN, top), diverging(0.25, 1.0));
        assert_eq!(picture.pixel(MARGIN + 120 + GAP, top), diverging(-1.0, 1.0));
    }

    #[test]
    fn the_picture_is_pinned() {
        let five: Vec<Filter> = [3, 7, 11, 18, 30].map(|number| filter(number, 1, 5)).into();
        let picture = draw(&five, None, "conv1");
        assert_eq!((picture.width(), picture.height()), (728, 278));
        assert_eq!(fingerprint(&picture), 13012819655644717554, "looked at and found good? then pin the new value");
        assert_eq!(filters(&five, None, "conv1"), picture.png());
    }

    #[test]
    fn odd_filters_do_not_panic() {
        let mut zero = filter(0, 1, 5);
        zero.weights.fill(0.0);
        let mut bad = filter(1, 3, 3);
        bad.weights[4] = f32::NAN;
        bad.weights[5] = f32::INFINITY;
        let empty = Filter { number: 2, channels: 0, first_channel: None, height: 0, width: 0, weights: Vec::new() };
        draw(&[], None, "none");
        draw(&[zero.clone()], None, "all zero");
        draw(&[zero, bad.clone(), empty], Some(f32::NAN), "mixed");
        let picture = draw(&[bad], None, "not a number");
        assert_eq!(picture.pixel(MARGIN + 60, MARGIN + TITLE_HEIGHT + 60), crate::colormap::NOT_A_NUMBER);
        draw(&(0..64).map(|number| filter(number, 3, 11)).collect::<Vec<_>>(), None, "many");
    }
}
