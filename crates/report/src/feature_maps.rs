//! What a convolution makes of some images: each filter's output before and after ReLU, beside the original.

use crate::colormap::{diverging, largest_magnitude, sequential};
use crate::font::Face;
use crate::legend;
use crate::picture::{ALARM, Align, FRAME, INK, Picture, SOFT_INK};

/// One image and what the network's first layer made of it.
#[derive(Clone, PartialEq, Debug)]
pub struct MapRow {
    /// What the image is, as it is to be printed: `test image 1234`.
    pub heading: String,
    /// The true class, as it is to be printed.
    pub label: String,
    /// The predicted class, as it is to be printed.
    pub prediction: String,
    /// The image itself.
    pub image: Image,
    /// One per filter, in the same order in every row.
    pub maps: Vec<FeatureMap>,
}

/// An image with one (grey) or three (red, green, blue) channels.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// 1 or 3.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[channels, height, width]`, 0 is black.
    pub pixels: Vec<u8>,
}

/// One output channel of a convolution for one image.
#[derive(Clone, PartialEq, Debug)]
pub struct FeatureMap {
    /// The filter's output channel, as it is to be printed.
    pub filter: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The convolution's output with its bias, `[height, width]`.
    pub before_relu: Vec<f32>,
    /// The same after ReLU, `[height, width]`.
    pub after_relu: Vec<f32>,
}

/// A picture of `rows`, as a PNG file: one line per image, and per filter the output before and after ReLU.
///
/// All outputs before ReLU share one signed scale, symmetric about zero; all outputs after ReLU share one scale from
/// zero. Both are printed below. Each tile is enlarged by whole pixels so that the picture stays below 1500 pixels
/// where that is possible.
pub fn feature_maps(rows: &[MapRow], title: &str) -> Vec<u8> {
    draw(rows, title).png()
}

const MARGIN: usize = 24;
const LABEL_WIDTH: usize = 136;
const PAIR_GAP: usize = 4;
const GROUP_GAP: usize = 18;
const ROW_GAP: usize = 14;
const TITLE_HEIGHT: usize = 34;
const HEADING_HEIGHT: usize = 38;
const LARGEST_WIDTH: usize = 1480;
const LARGEST_TILE: usize = 128;

/// Like [`feature_maps()`], as a [`Picture`].
///
/// # Panics
/// If pixels or outputs are not as long as their shape says, or an image has neither 1 nor 3 channels.
pub fn draw(rows: &[MapRow], title: &str) -> Picture {
    rows.iter().for_each(check);
    let columns = rows.iter().map(|row| row.maps.len()).max().unwrap_or(0);
    let maps = || rows.iter().flat_map(|row| &row.maps);
    let before_limit = largest_magnitude(maps().flat_map(|map| &map.before_relu));
    let after_limit = largest_magnitude(maps().flat_map(|map| &map.after_relu));

    let sides = rows.iter().flat_map(|row| {
        let map_sides = row.maps.iter().flat_map(|map| [map.height, map.width]);
        [row.image.height, row.image.width].into_iter().chain(map_sides)
    });
    let side = sides.max().unwrap_or(1).max(1);
    let tile = tile_px(side, columns);
    let group_width = 2 * tile + PAIR_GAP;

    let label_width = label_width(rows);
    let grid_width = label_width + tile + columns * (GROUP_GAP + group_width);
    let lowest_width = legend::SIGNED_WIDTH + legend::POSITIVE_WIDTH + 2 * LEGEND_NAME_WIDTH + 3 * legend::OVERHANG;
    let width = grid_width.max(Face::Title.text_width(title)).max(lowest_width) + 2 * MARGIN;
    let row_height = tile.max(3 * LINE_HEIGHT) + ROW_GAP;
    let grid_y = MARGIN + TITLE_HEIGHT + HEADING_HEIGHT;
    let legend_y = grid_y + rows.len() * row_height + 12;
    let has_nan = maps().any(|map| map.before_relu.iter().chain(&map.after_relu).any(|value| value.is_nan()));
    let nan_height = if has_nan { 26 } else { 0 };
    let mut picture = Picture::new(width, legend_y + legend::HEIGHT + nan_height + MARGIN);
    let paper = &mut picture;

    paper.text((MARGIN, MARGIN), Align::Left, Face::Title, INK, title);
    if rows.is_empty() {
        paper.text((MARGIN, MARGIN + TITLE_HEIGHT), Align::Left, Face::Regular, SOFT_INK, "no images");
        return picture;
    }

    let image_x = MARGIN + label_width;
    let group_x = |column: usize| image_x + tile + GROUP_GAP + column * (group_width + GROUP_GAP);
    headings(paper, rows, image_x, group_x, tile);
    for (n, row) in rows.iter().enumerate() {
        let y = grid_y + n * row_height;
        row_label(paper, row, (MARGIN, y + tile.saturating_sub(3 * LINE_HEIGHT) / 2));
        draw_tile(paper, (image_x, y), tile, (row.image.width, row.image.height), |row_y, x| {
            pixel(&row.image, row_y, x)
        });
        for (column, map) in row.maps.iter().enumerate() {
            let (x, size) = (group_x(column), (map.width, map.height));
            draw_tile(paper, (x, y), tile, size, |row_y, column| {
                diverging(map.before_relu[row_y * map.width + column], before_limit)
            });
            draw_tile(paper, (x + tile + PAIR_GAP, y), tile, size, |row_y, column| {
                sequential(map.after_relu[row_y * map.width + column], after_limit)
            });
        }
    }

    let name = |paper: &mut Picture, x, text| paper.text((x, legend_y), Align::Left, Face::Bold, INK, text);
    let bars_width = lowest_width - legend::OVERHANG;
    let mut x = if image_x + bars_width + legend::OVERHANG + MARGIN <= width { image_x } else { MARGIN };
    name(paper, x, "before ReLU");
    x += LEGEND_NAME_WIDTH;
    legend::signed_bar(paper, (x, legend_y), before_limit);
    x += legend::SIGNED_WIDTH + 2 * legend::OVERHANG;
    name(paper, x, "after ReLU");
    x += LEGEND_NAME_WIDTH;
    legend::positive_bar(paper, (x, legend_y), after_limit);
    if has_nan {
        legend::not_a_number(paper, (image_x, legend_y + legend::HEIGHT + 12));
    }
    picture
}

const LINE_HEIGHT: usize = 17;
const LEGEND_NAME_WIDTH: usize = 11 * 7 + legend::OVERHANG;

fn check(row: &MapRow) {
    let image = &row.image;
    assert!(matches!(image.channels, 1 | 3), "{}: an image has 1 or 3 channels, not {}", row.heading, image.channels);
    assert_eq!(
        image.pixels.len(),
        image.channels * image.height * image.width,
        "the pixels of {} are [channels, height, width]",
        row.heading
    );
    for map in &row.maps {
        let area = map.height * map.width;
        assert_eq!(map.before_relu.len(), area, "filter {} before ReLU is [height, width]", map.filter);
        assert_eq!(map.after_relu.len(), area, "filter {} after ReLU is [height, width]", map.filter);
    }
}

/// Side of a tile: a whole multiple of the largest image or map, as large as the picture's width allows.
fn tile_px(side: usize, columns: usize) -> usize {
    let tiles = 1 + 2 * columns;
    let room = LARGEST_WIDTH - 2 * MARGIN - LABEL_WIDTH;
    let gaps = columns * (GROUP_GAP + PAIR_GAP);
    let largest = (room.saturating_sub(gaps) / tiles).min(LARGEST_TILE);
    (largest / side).max(1) * side
}

fn label_width(rows: &[MapRow]) -> usize {
    let lines = rows.iter().flat_map(|row| [row.heading.clone(), true_line(row), predicted_line(row)]);
    lines.map(|line| Face::Bold.text_width(&line) + GROUP_GAP).max().unwrap_or(0).max(LABEL_WIDTH)
}

fn true_line(row: &MapRow) -> String {
    format!("true      {}", row.label)
}

fn predicted_line(row: &MapRow) -> String {
    format!("predicted {}", row.prediction)
}

fn row_label(paper: &mut Picture, row: &MapRow, (x, y): (usize, usize)) {
    let wrong = row.label != row.prediction;
    let (face, color) = if wrong { (Face::Bold, ALARM) } else { (Face::Regular, INK) };
    paper.text((x, y), Align::Left, Face::Bold, INK, &row.heading);
    paper.text((x, y + LINE_HEIGHT), Align::Left, Face::Regular, INK, &true_line(row));
    paper.text((x, y + 2 * LINE_HEIGHT), Align::Left, face, color, &predicted_line(row));
}

fn headings(paper: &mut Picture, rows: &[MapRow], image_x: usize, group_x: impl Fn(usize) -> usize, tile: usize) {
    let y = MARGIN + TITLE_HEIGHT;
    let long = tile + PAIR_GAP >= Face::Regular.text_width("before ReLU");
    let (before, after) = if long { ("before ReLU", "after ReLU") } else { ("before", "after") };
    paper.text((image_x + tile / 2, y + LINE_HEIGHT), Align::Center, Face::Regular, SOFT_INK, "image");
    let Some(longest) = rows.iter().max_by_key(|row| row.maps.len()) else { return };
    for (column, map) in longest.maps.iter().enumerate() {
        let x = group_x(column);
        let heading = format!("filter {}", map.filter);
        paper.text((x + tile + PAIR_GAP / 2, y), Align::Center, Face::Bold, INK, &heading);
        paper.text((x + tile / 2, y + LINE_HEIGHT), Align::Center, Face::Regular, SOFT_INK, before);
        let second = x + tile + PAIR_GAP + tile / 2;
        paper.text((second, y + LINE_HEIGHT), Align::Center, Face::Regular, SOFT_INK, after);
    }
}

/// A framed tile in the middle of a square of `side` pixels, enlarged as far as whole pixels allow.
pub(crate) fn draw_tile(
    paper: &mut Picture,
    (x, y): (usize, usize),
    side: usize,
    (width, height): (usize, usize),
    color: impl Fn(usize, usize) -> [u8; 3],
) {
    let shrink = shrink(side, (width, height));
    let [x, y, shown_width, shown_height] = tile_place((x, y), side, (width, height));
    paper.frame(x, y, shown_width, shown_height, FRAME);
    let (columns, rows) = (width.div_ceil(shrink), height.div_ceil(shrink));
    paper.tile((x, y), (columns, rows), shown_width / columns.max(1), |row, column| {
        let rows = row * shrink..((row + 1) * shrink).min(height);
        let columns = column * shrink..((column + 1) * shrink).min(width);
        mean(
            rows.flat_map(|row| columns.clone().map(move |column| (row, column)))
                .map(|(row, column)| color(row, column)),
        )
    });
}

/// Where [`draw_tile`] draws: left, top, width and height.
pub(crate) fn tile_place((x, y): (usize, usize), side: usize, (width, height): (usize, usize)) -> [usize; 4] {
    let shrink = shrink(side, (width, height));
    let (columns, rows) = (width.div_ceil(shrink), height.div_ceil(shrink));
    let scale = (side / columns.max(rows).max(1)).max(1);
    let (width, height) = (columns * scale, rows * scale);
    [x + side.saturating_sub(width) / 2, y + side.saturating_sub(height) / 2, width, height]
}

/// What is too large is shrunk: each pixel is the mean of a square of so many.
fn shrink(side: usize, (width, height): (usize, usize)) -> usize {
    width.max(height).div_ceil(side.max(1)).max(1)
}

/// The mean of at least one colour.
fn mean(colors: impl Iterator<Item = [u8; 3]>) -> [u8; 3] {
    let mut sums = [0usize; 3];
    let mut count = 0;
    for color in colors {
        count += 1;
        sums.iter_mut().zip(color).for_each(|(sum, byte)| *sum += usize::from(byte));
    }
    sums.map(|sum| ((sum + count / 2) / count.max(1)) as u8)
}

/// The colour of a pixel, grey where there is one channel.
pub(crate) fn pixel(image: &Image, y: usize, x: usize) -> [u8; 3] {
    let plane = image.height * image.width;
    let at = y * image.width + x;
    if image.channels == 3 {
        [image.pixels[at], image.pixels[plane + at], image.pixels[2 * plane + at]]
    } else {
        [image.pixels[at]; 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::fingerprint;

    fn row(channels: usize, side: usize, map_side: usize, filters: usize) -> MapRow {
        let map = |filter: usize| {
            let value = |n: usize| ((n * 13 + filter * 7) % 31) as f32 / 10.0 - 1.5;
            let before_relu: Vec<f32> = (0..map_side * map_side).map(value).collect();
            let after_relu = before_relu.iter().map(|value| value.max(0.0)).collect();
            FeatureMap { filter, height: map_side, width: map_side, before_relu, after_relu }
        };
        let pixels = (0..channels * side * side).map(|n| (n * 5 % 256) as u8).collect();
        MapRow {
            heading: "test image 1234".to_owned(),
            label: "7".to_owned(),
            prediction: "7".to_owned(),
            image: Image { channels, height: side, width: side, pixels },
            maps: (0..filters).map(map).collect(),
        }
    }

    #[test]
    fn every_pixel_of_a_tile_is_the_colour_of_its_value() {
        let rows = vec![row(1, 28, 28, 5); 4];
        let picture = draw(&rows, "conv1");
        let tile = 84;
        for (n, row) in rows.iter().enumerate() {
            let top = MARGIN + TITLE_HEIGHT + HEADING_HEIGHT + n * (tile + ROW_GAP);
            for y in 0..tile {
                for x in 0..tile {
                    let at = y / 3 * 28 + x / 3;
                    let left = MARGIN + LABEL_WIDTH;
                    assert_eq!(picture.pixel(left + x, top + y), [row.image.pixels[at]; 3]);
                    for (column, map) in row.maps.iter().enumerate() {
                        let left = left + tile + GROUP_GAP + column * (2 * tile + PAIR_GAP + GROUP_GAP);
                        assert_eq!(picture.pixel(left + x, top + y), diverging(map.before_relu[at], 1.5));
                        let after = picture.pixel(left + tile + PAIR_GAP + x, top + y);
                        assert_eq!(after, sequential(map.after_relu[at], 1.5));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_large_for_its_tile_is_shrunk_by_whole_pixels() {
        let mut picture = Picture::new(12, 12);
        // 7 x 5 pixels in 4: each is the mean of 2 x 2, at the border of fewer.
        draw_tile(&mut picture, (2, 2), 4, (7, 5), |row, column| [(row * 20 + column * 10) as u8, 0, 9]);
        assert_eq!(tile_place((2, 2), 4, (7, 5)), [2, 2, 4, 3]);
        assert_eq!(
            [(2, 2), (4, 2), (5, 2), (2, 4), (5, 4)].map(|(x, y)| picture.pixel(x, y)[0]),
            [15, 55, 70, 85, 140]
        );
        assert_eq!(tile_place((2, 2), 10, (4, 2)), [3, 5, 8, 4]);
    }

    #[test]
    fn a_colour_image_shows_its_colours() {
        let colour = row(3, 8, 8, 1);
        let picture = draw(std::slice::from_ref(&colour), "");
        let (left, top) = (MARGIN + LABEL_WIDTH, MARGIN + TITLE_HEIGHT + HEADING_HEIGHT);
        let pixels = &colour.image.pixels;
        assert_eq!(picture.pixel(left, top), [pixels[0], pixels[64], pixels[128]]);
    }

    #[test]
    fn five_filters_stay_below_1500_pixels_at_every_image_size() {
        for side in 8..=64 {
            let picture = draw(&[row(1, side, side, 5)], "conv1");
            assert!(picture.width() < 1500, "{side}: {}", picture.width());
        }
    }

    #[test]
    fn the_picture_is_pinned() {
        let mut rows = vec![row(1, 28, 28, 5); 4];
        rows[3].prediction = "1".to_owned();
        let picture = draw(&rows, "conv1");
        assert_eq!((picture.width(), picture.height()), (1218, 554));
        assert_eq!(fingerprint(&picture), 6748606444656217430, "looked at and found good? then pin the new value");
        assert_eq!(feature_maps(&rows, "conv1"), picture.png());
    }

    #[test]
    fn odd_rows_do_not_panic() {
        let mut bad = row(1, 28, 24, 2);
        bad.maps[0].before_relu[3] = f32::NAN;
        bad.maps[1].after_relu.fill(f32::INFINITY);
        let mut zero = row(3, 28, 28, 5);
        for map in &mut zero.maps {
            map.before_relu.fill(0.0);
            map.after_relu.fill(0.0);
        }
        draw(&[], "no rows");
        draw(&[bad.clone()], "not a number");
        draw(&[zero.clone()], "all zero");
        draw(&[zero, row(1, 28, 28, 0), bad], "unequal rows");
        draw(&[row(1, 0, 0, 1)], "nothing to see");
        draw(&[row(1, 8, 100, 40)], "too much for the page");
    }
}
