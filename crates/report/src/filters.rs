//! The learned filters of one convolution, side by side on one signed colour scale.

use crate::colormap::{diverging, largest_magnitude};
use crate::font::Face;
use crate::legend;
use crate::picture::{Align, FRAME, INK, Picture, SOFT_INK};

/// One learned filter: the weights of one output channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Filter {
    /// Its output channel, as it is to be printed.
    pub number: usize,
    /// Input channels; each is drawn below the one before.
    pub channels: usize,
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

/// Filters in one line of the picture.
const COLUMNS: usize = 8;
const MARGIN: usize = 24;
const GAP: usize = 20;
const CHANNEL_GAP: usize = 4;
const TILE_PX: usize = 120;
const TITLE_HEIGHT: usize = 34;
const LABEL_HEIGHT: usize = 22;

/// Like [`filters()`], as a [`Picture`].
///
/// Panics where `weights` is not `channels * height * width` long.
pub fn draw(filters: &[Filter], limit: Option<f32>, title: &str) -> Picture {
    for filter in filters {
        assert_eq!(
            filter.weights.len(),
            filter.channels * filter.height * filter.width,
            "the weights of filter {} are [channels, height, width]",
            filter.number
        );
    }
    let limit = limit.unwrap_or_else(|| largest_magnitude(filters.iter().flat_map(|filter| &filter.weights)));
    let side = filters.iter().map(|filter| filter.height.max(filter.width)).max().unwrap_or(1).max(1);
    let scale = (TILE_PX / side).max(1);
    let tile_width = filters.iter().map(|filter| filter.width * scale).max().unwrap_or(0);
    let cell_width = tile_width.max(Face::Regular.text_width("filter 000"));
    let cell_height = filters.iter().map(|filter| stack_height(filter, scale)).max().unwrap_or(0);
    // As even as possible: 10 filters are two lines of 5, not 8 and 2.
    let lines = filters.len().div_ceil(COLUMNS);
    let columns = filters.len().div_ceil(lines.max(1));

    let grid_width = (columns * (cell_width + GAP)).saturating_sub(GAP);
    let lowest_width = legend::SIGNED_WIDTH + 2 * legend::OVERHANG;
    let content_width = grid_width.max(Face::Title.text_width(title)).max(lowest_width);
    let has_nan = filters.iter().any(|filter| filter.weights.iter().any(|weight| weight.is_nan()));
    let nan_height = if has_nan { 26 } else { 0 };
    let grid_height = lines * (cell_height + LABEL_HEIGHT + GAP);
    let mut picture = Picture::new(
        content_width + 2 * MARGIN,
        MARGIN + TITLE_HEIGHT + grid_height + 4 + legend::HEIGHT + nan_height + MARGIN,
    );

    picture.text((MARGIN, MARGIN), Align::Left, Face::Title, INK, title);
    for (n, filter) in filters.iter().enumerate() {
        let x = MARGIN + n % columns * (cell_width + GAP);
        let y = MARGIN + TITLE_HEIGHT + n / columns * (cell_height + LABEL_HEIGHT + GAP);
        let tile_x = x + (cell_width - filter.width * scale) / 2;
        for (channel, weights) in planes(&filter.weights, filter.height * filter.width).enumerate() {
            let tile_y = y + channel * (filter.height * scale + CHANNEL_GAP);
            picture.tile((tile_x, tile_y), (filter.width, filter.height), scale, |row, column| {
                diverging(weights[row * filter.width + column], limit)
            });
            picture.frame(tile_x, tile_y, filter.width * scale, filter.height * scale, FRAME);
        }
        let label = format!("filter {}", filter.number);
        picture.text((x + cell_width / 2, y + cell_height + 8), Align::Center, Face::Regular, INK, &label);
    }

    let legend_x = MARGIN + legend::OVERHANG;
    let legend_y = MARGIN + TITLE_HEIGHT + grid_height + 4;
    if filters.is_empty() {
        picture.text((MARGIN, legend_y), Align::Left, Face::Regular, SOFT_INK, "no filters");
        return picture;
    }
    legend::signed_bar(&mut picture, (legend_x, legend_y), limit);
    if has_nan {
        legend::not_a_number(&mut picture, (legend_x, legend_y + legend::HEIGHT + 12));
    }
    picture
}

fn stack_height(filter: &Filter, scale: usize) -> usize {
    (filter.channels * (filter.height * scale + CHANNEL_GAP)).saturating_sub(CHANNEL_GAP)
}

/// The planes of `[channels, height, width]`; none where a plane is empty.
fn planes(values: &[f32], plane: usize) -> std::slice::Chunks<'_, f32> {
    values.chunks(plane.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::fingerprint;

    fn filter(number: usize, channels: usize, side: usize) -> Filter {
        let weight = |n: usize| ((n * 37 + number * 11) % 41) as f32 / 20.0 - 1.0;
        let weights = (0..channels * side * side).map(weight).collect();
        Filter { number, channels, height: side, width: side, weights }
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
        let empty = Filter { number: 2, channels: 0, height: 0, width: 0, weights: Vec::new() };
        draw(&[], None, "none");
        draw(&[zero.clone()], None, "all zero");
        draw(&[zero, bad.clone(), empty], Some(f32::NAN), "mixed");
        let picture = draw(&[bad], None, "not a number");
        assert_eq!(picture.pixel(MARGIN + 60, MARGIN + TITLE_HEIGHT + 60), crate::colormap::NOT_A_NUMBER);
        draw(&(0..64).map(|number| filter(number, 3, 11)).collect::<Vec<_>>(), None, "many");
    }
}
