//! Pictures as text for terminals: half blocks with 24-bit colour, sixel, and kitty's protocol.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::picture::{Picture, Rgb, SOFT_INK};

/// A small picture that stands beside others in a [`mosaic()`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tile {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`.
    pub colors: Vec<Rgb>,
}

impl Tile {
    /// The tile, made smaller if it is wider than `width` pixels: each pixel is then the mean of what it covers.
    pub fn at_most(self, width: usize) -> Tile {
        if self.width <= width {
            return self;
        }
        let mut picture = Picture::new(self.width, self.height);
        picture.tile((0, 0), (self.width, self.height), 1, |row, column| self.colors[row * self.width + column]);
        let small = picture.at_most(width);
        let colors = small.pixels().chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect();
        Tile { width: small.width(), height: small.height(), colors }
    }
}

/// Between tiles: darker than the middle of a signed scale, lighter than the dark end of any other.
const GAP: Rgb = SOFT_INK;

/// Small pictures side by side, one pixel apart, each pixel a square of `scale`, in as many lines as it takes to stay
/// within `columns` pixels. A tile that is wider is alone in its line and makes the picture wider.
///
/// # Panics
/// If a tile does not hold `width * height` colours.
pub fn mosaic(tiles: &[Tile], scale: usize, columns: usize) -> Picture {
    let mut lines: Vec<(usize, Vec<&Tile>)> = Vec::new();
    for tile in tiles {
        assert_eq!(tile.colors.len(), tile.width * tile.height, "the colours of a tile are [height, width]");
        let width = tile.width * scale;
        match lines.last_mut() {
            Some((used, line)) if *used + 1 + width <= columns => {
                *used += 1 + width;
                line.push(tile);
            }
            _ => lines.push((width, vec![tile])),
        }
    }
    let height = |line: &[&Tile]| line.iter().map(|tile| tile.height * scale).max().unwrap_or(0);
    let widest = lines.iter().map(|(width, _)| *width).max().unwrap_or(0);
    let total = lines.iter().map(|(_, line)| height(line) + 1).sum::<usize>().saturating_sub(1);
    let mut picture = Picture::new(widest, total);
    picture.fill(0, 0, widest, total, GAP);
    let mut y = 0;
    for (_, line) in &lines {
        let mut x = 0;
        for tile in line {
            let color = |row: usize, column: usize| tile.colors[row * tile.width + column];
            picture.tile((x, y), (tile.width, tile.height), scale, color);
            x += tile.width * scale + 1;
        }
        y += height(line) + 1;
    }
    picture
}

/// The picture in characters, each two pixels one above the other (`▀` in the upper one's colour on the lower one's),
/// cut off after `columns`. For every terminal with 24-bit colour.
pub fn half_blocks(picture: &Picture, columns: usize) -> String {
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        let (mut front, mut back) = (None, None);
        for x in 0..picture.width().min(columns) {
            let upper = picture.pixel(x, y);
            if front != Some(upper) {
                text.push_str(&format!("\x1b[38;2;{};{};{}m", upper[0], upper[1], upper[2]));
                front = Some(upper);
            }
            // Below an odd last row is the terminal's own colour.
            if y + 1 < picture.height() {
                let lower = picture.pixel(x, y + 1);
                if back != Some(lower) {
                    text.push_str(&format!("\x1b[48;2;{};{};{}m", lower[0], lower[1], lower[2]));
                    back = Some(lower);
                }
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

/// Colours that a sixel terminal is sure to have.
const SIXEL_COLORS: usize = 256;

/// The picture in DEC's sixel format, six rows of pixels at a time.
///
/// Sixel states colours in whole percents. Where that leaves more than 256 of them, steps of 2, 3 and more percent are
/// taken, at most 20, which make 216.
#[expect(clippy::missing_panics_doc, reason = "six levels of three colours are 216, which fit")]
pub fn sixel(picture: &Picture) -> String {
    let colors: Vec<Rgb> = picture.pixels().chunks(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect();
    let (palette, indices) = (1..=20)
        .map(|step| indexed(&colors, step))
        .find(|(palette, _)| palette.len() <= SIXEL_COLORS)
        .expect("six levels of three colours are 216");

    let (width, height) = (picture.width(), picture.height());
    // Pixels are square (the raster attributes say 1:1), and those not drawn stay as they are.
    let mut text = format!("\x1bP0;1;0q\"1;1;{width};{height}");
    for (number, [r, g, b]) in palette.iter().enumerate() {
        let _ = write!(text, "#{number};2;{r};{g};{b}");
    }
    // For each colour of a band, which of the six rows have it, column by column.
    let mut masks = vec![0_u8; palette.len() * width];
    for (number, band) in indices.chunks(6 * width).enumerate() {
        // Not after the last one: that could scroll by one more line.
        text.push_str(if number > 0 { "-" } else { "" });
        masks.fill(0);
        for (at, index) in band.iter().enumerate() {
            masks[index * width + at % width] |= 1 << (at / width);
        }
        for (number, mask) in masks.chunks(width).enumerate() {
            if let Some(last) = mask.iter().rposition(|rows| *rows != 0) {
                let _ = write!(text, "#{number}");
                runs(&mut text, &mask[..=last]);
                text.push('$');
            }
        }
    }
    text.push_str("\x1b\\\n");
    text
}

/// The colours in percent, rounded to multiples of `step`, and for each pixel which of them it has.
fn indexed(colors: &[Rgb], step: u32) -> (Vec<Rgb>, Vec<usize>) {
    let percent = |value: u8| ((u32::from(value) * 100 + 127) / 255 + step / 2) / step * step;
    let rounded = || colors.iter().map(|color| color.map(|value| percent(value).min(100) as u8));
    let mut numbers: BTreeMap<Rgb, usize> = rounded().map(|color| (color, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(at, number)| *number = at);
    let indices = rounded().map(|color| numbers[&color]).collect();
    (numbers.into_keys().collect(), indices)
}

/// Six rows of one colour, repeated columns counted.
fn runs(text: &mut String, mask: &[u8]) {
    for run in mask.chunk_by(|a, b| a == b) {
        let character = char::from(b'?' + run[0]);
        if run.len() > 3 {
            let _ = write!(text, "!{}{character}", run.len());
        } else {
            text.extend(run.iter().map(|_| character));
        }
    }
}

/// A PNG file in the protocol of the terminal kitty, which WezTerm, Ghostty and Konsole know too.
pub fn kitty(png: &[u8]) -> String {
    let data = STANDARD.encode(png);
    let mut text = String::new();
    // a=T: show it; f=100: PNG; q=2: no answer, which nobody would read; m=1: more follows.
    let mut control = "a=T,f=100,q=2,";
    let mut left = data.as_str();
    loop {
        let (chunk, rest) = left.split_at(left.len().min(4096));
        let _ = write!(text, "\x1b_G{control}m={};{chunk}\x1b\\", u8::from(!rest.is_empty()));
        if rest.is_empty() {
            break;
        }
        (control, left) = ("", rest);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colormap::{diverging, sequential};

    /// A picture of the given size in colours of which few are alike.
    fn colorful(width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        picture
            .tile((0, 0), (width, height), 1, |y, x| [(x * 37 % 256) as u8, (y * 11 % 256) as u8, (x * y % 251) as u8]);
        picture
    }

    #[test]
    fn a_smaller_tile_is_made_of_means() {
        let tile = Tile { width: 4, height: 2, colors: (0..8).map(|n| [10 * n; 3]).collect() };
        let half = tile.clone().at_most(2);
        assert_eq!(half, Tile { width: 2, height: 1, colors: vec![[25; 3], [45; 3]] });
        assert_eq!(tile.clone().at_most(4), tile);
    }

    /// What a terminal would show of sixel text: size and pixels in percent, none where nothing was drawn.
    fn decoded(text: &str) -> (usize, usize, Vec<Option<Rgb>>) {
        let body = text.strip_prefix("\x1bP0;1;0q\"1;1;").unwrap().strip_suffix("\x1b\\\n").unwrap();
        let mut bytes = body.bytes().peekable();
        let numbers = |bytes: &mut std::iter::Peekable<std::str::Bytes>| {
            let mut numbers = vec![0_usize];
            while let Some(byte) = bytes.next_if(|byte| byte.is_ascii_digit() || *byte == b';') {
                match byte {
                    b';' => numbers.push(0),
                    digit => *numbers.last_mut().unwrap() = numbers.last().unwrap() * 10 + usize::from(digit - b'0'),
                }
            }
            numbers
        };
        let size = numbers(&mut bytes);
        let (width, height) = (size[0], size[1]);
        let mut pixels = vec![None; width * height.div_ceil(6) * 6];
        let mut palette: BTreeMap<usize, Rgb> = BTreeMap::new();
        let (mut x, mut y, mut color, mut count) = (0, 0, None, 1);
        while let Some(byte) = bytes.next() {
            match byte {
                b'#' => match numbers(&mut bytes)[..] {
                    [number] => color = Some(palette[&number]),
                    [number, 2, r, g, b] => assert!(palette.insert(number, [r, g, b].map(|v| v as u8)).is_none()),
                    ref other => panic!("{other:?}"),
                },
                b'!' => count = numbers(&mut bytes)[0],
                b'$' => x = 0,
                b'-' => (x, y) = (0, y + 6),
                b'?'..=b'~' => {
                    for _ in 0..std::mem::replace(&mut count, 1) {
                        for row in (0..6).filter(|row| (byte - b'?') >> row & 1 == 1) {
                            let pixel = &mut pixels[(y + row) * width + x];
                            assert!(pixel.is_none(), "drawn twice");
                            *pixel = color;
                        }
                        x += 1;
                    }
                }
                other => panic!("byte {other}"),
            }
        }
        assert!(palette.len() <= SIXEL_COLORS && palette.keys().copied().eq(0..palette.len()));
        assert!(pixels[width * height..].iter().all(Option::is_none));
        pixels.truncate(width * height);
        (width, height, pixels)
    }

    /// Size of sixel's and the picture's, and the largest difference of a colour, in percent.
    #[track_caller]
    fn difference(picture: &Picture) -> f64 {
        let (width, height, pixels) = decoded(&sixel(picture));
        assert_eq!((width, height), (picture.width(), picture.height()));
        let pairs = pixels.iter().zip(picture.pixels().chunks(3));
        pairs
            .flat_map(|(got, expected)| {
                let got = got.expect("every pixel is drawn");
                (0..3).map(move |c| (f64::from(got[c]) - f64::from(expected[c]) / 2.55).abs())
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn sixel_shows_the_picture() {
        for (width, height) in [(1, 1), (7, 5), (5, 6), (6, 7), (3, 13), (16, 12)] {
            assert!(difference(&colorful(width, height)) <= 0.51, "{width} x {height}");
        }
    }

    #[test]
    fn sixel_shows_our_scales_nearly_as_they_are() {
        // All colours of both scales and all greys: 769 colours, as no picture of ours has.
        let mut picture = Picture::new(257, 18);
        picture.tile((0, 0), (257, 6), 1, |_, x| diverging(x as f32 - 128.0, 128.0));
        picture.tile((0, 6), (256, 6), 1, |_, x| sequential(x as f32, 255.0));
        picture.tile((0, 12), (256, 6), 1, |_, x| [x as u8; 3]);
        assert!(difference(&picture) <= 2.0, "{}", difference(&picture));
        let mut signed = Picture::new(257, 6);
        signed.tile((0, 0), (257, 6), 1, |_, x| diverging(x as f32 - 128.0, 128.0));
        assert!(difference(&signed) <= 1.0, "{}", difference(&signed));
    }

    #[test]
    fn sixel_has_at_most_256_colours_of_whatever_there_is() {
        assert!(difference(&colorful(200, 150)) <= 10.51);
    }

    #[test]
    fn sixel_of_one_colour_is_short() {
        assert_eq!(sixel(&Picture::new(1000, 6)), "\x1bP0;1;0q\"1;1;1000;6#0;2;100;100;100#0!1000~$\x1b\\\n");
    }

    #[test]
    fn half_blocks_put_two_rows_into_a_line() {
        let mut picture = Picture::new(3, 3);
        picture.tile((0, 0), (3, 3), 1, |y, x| if x < 2 { [y as u8, 0, 9] } else { [7, 7, 7] });
        let expected = "\x1b[38;2;0;0;9m\x1b[48;2;1;0;9m▀▀\x1b[38;2;7;7;7m\x1b[48;2;7;7;7m▀\x1b[0m\n\
                        \x1b[38;2;2;0;9m▀▀\x1b[38;2;7;7;7m▀\x1b[0m\n";
        assert_eq!(half_blocks(&picture, 80), expected);
        let cut = "\x1b[38;2;0;0;9m\x1b[48;2;1;0;9m▀▀\x1b[0m\n\x1b[38;2;2;0;9m▀▀\x1b[0m\n";
        assert_eq!(half_blocks(&picture, 2), cut);
        assert_eq!(half_blocks(&picture, 0), "\x1b[0m\n\x1b[0m\n");
    }

    #[test]
    fn kitty_gets_the_file_in_chunks() {
        for length in [0, 1, 3071, 3072, 3073, 6144, 10_000] {
            let png: Vec<u8> = (0..length).map(|at| (at * 7 % 256) as u8).collect();
            let text = kitty(&png);
            let chunks: Vec<_> = text.strip_suffix("\x1b\\\n").unwrap().split("\x1b\\").collect();
            let mut data = String::new();
            for (number, chunk) in chunks.iter().enumerate() {
                let (control, part) = chunk.strip_prefix("\x1b_G").unwrap().split_once(';').unwrap();
                let more = u8::from(number + 1 < chunks.len());
                let first = if number == 0 { "a=T,f=100,q=2," } else { "" };
                assert_eq!(control, format!("{first}m={more}"), "chunk {number} of {length} bytes");
                assert!(part.len() == 4096 || (more == 0 && part.len() < 4096), "{} of {length} bytes", part.len());
                data.push_str(part);
            }
            assert_eq!(STANDARD.decode(data).unwrap(), png);
        }
    }

    #[test]
    fn a_mosaic_is_wrapped_to_the_width() {
        let tile = |width, height, color| Tile { width, height, colors: vec![color; width * height] };
        let (a, b, c, d) = ([1; 3], [2; 3], [3; 3], [4; 3]);
        let tiles = [tile(2, 1, a), tile(1, 2, b), tile(3, 1, c), tile(9, 1, d)];
        let rows = |picture: &Picture| -> Vec<String> {
            let letter = |rgb: &[u8]| match rgb[0] {
                1..=4 => char::from(b'a' + rgb[0] - 1),
                _ => '.',
            };
            picture.pixels().chunks(picture.width() * 3).map(|row| row.chunks(3).map(letter).collect()).collect()
        };
        assert_eq!(
            rows(&mosaic(&tiles, 1, 7)),
            ["aa.b.....", "...b.....", ".........", "ccc......", ".........", "ddddddddd"]
        );
        assert_eq!(rows(&mosaic(&tiles[..3], 1, 8)), ["aa.b.ccc", "...b...."]);
        assert_eq!(rows(&mosaic(&tiles[..2], 2, 7)), ["aaaa.bb", "aaaa.bb", ".....bb", ".....bb"]);
        assert_eq!(rows(&mosaic(&tiles[..2], 1, 3)), ["aa", "..", "b.", "b."]);
        let none = mosaic(&[], 1, 80);
        assert_eq!((none.width(), none.height()), (1, 1));
    }
}
