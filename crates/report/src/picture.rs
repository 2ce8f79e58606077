//! A canvas of RGB pixels with the few things our pictures need: filled rectangles, enlarged tiles, text.

use crate::font::Face;

/// One sRGB colour.
pub type Rgb = [u8; 3];

/// Paper.
pub const WHITE: Rgb = [255, 255, 255];
/// Text; 16:1 on white.
pub const INK: Rgb = [34, 34, 34];
/// Secondary text; 5.7:1 on white.
pub const SOFT_INK: Rgb = [102, 102, 102];
/// Thin frames around tiles; 3:1 on white.
pub const FRAME: Rgb = [148, 148, 148];
/// Text that says something is wrong; 6.5:1 on white.
pub const ALARM: Rgb = [178, 24, 43];

/// Where a text's given `x` lies in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// `x` is the left edge.
    Left,
    /// `x` is the middle.
    Center,
    /// `x` is the right edge.
    Right,
}

/// An RGB picture. Whatever is drawn outside of it is cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A white picture of at least one pixel.
    pub fn new(width: usize, height: usize) -> Picture {
        let (width, height) = (width.max(1), height.max(1));
        Picture { width, height, pixels: vec![255; width * height * 3] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All pixels, `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The colour at column `x` of row `y`.
    ///
    /// # Panics
    /// Outside of the picture.
    pub fn pixel(&self, x: usize, y: usize) -> Rgb {
        assert!(x < self.width && y < self.height, "pixel {x},{y} of a {}x{} picture", self.width, self.height);
        let at = (y * self.width + x) * 3;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    /// The picture, made smaller if it is wider than `width` pixels: each pixel is then the mean of what it covers.
    pub fn at_most(self, width: usize) -> Picture {
        let (from_width, from_height) = (self.width, self.height);
        if from_width <= width {
            return self;
        }
        let width = width.max(1);
        let mut small = Picture::new(width, (from_height * width + from_width / 2) / from_width);
        let height = small.height;
        // Pixel `at` of `to` covers pixels of `from`, each by so many parts, `from` in all.
        let covered = |at: usize, to: usize, from: usize| {
            let (start, end) = (at * from, (at + 1) * from);
            (start / to..end.div_ceil(to)).map(move |n| (n, ((n + 1) * to).min(end) - (n * to).max(start)))
        };
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut sums = [0; 3];
            for (row, tall) in covered(y, height, from_height) {
                for (column, wide) in covered(x, width, from_width) {
                    let color = self.pixel(column, row);
                    (0..3).for_each(|c| sums[c] += usize::from(color[c]) * tall * wide);
                }
            }
            let all = from_width * from_height;
            small.fill(x, y, 1, 1, sums.map(|sum| ((sum + all / 2) / all) as u8));
        }
        small
    }

    /// Fills the rectangle with its top left corner at (`x`, `y`).
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let right = x.saturating_add(width).min(self.width);
        for row in y..y.saturating_add(height).min(self.height) {
            for column in x..right {
                let at = (row * self.width + column) * 3;
                self.pixels[at..at + 3].copy_from_slice(&color);
            }
        }
    }

    /// A frame one pixel thick, drawn just outside the rectangle, so that it covers none of it.
    pub fn frame(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
        self.fill(left, top, width + 2, 1, color);
        self.fill(left, y + height, width + 2, 1, color);
        self.fill(left, top, 1, height + 2, color);
        self.fill(x + width, top, 1, height + 2, color);
    }

    /// A grid of `columns` x `rows` cells at (`x`, `y`), each a square of `scale` pixels of the colour
    /// `color(row, column)`.
    pub fn tile(
        &mut self,
        (x, y): (usize, usize),
        (columns, rows): (usize, usize),
        scale: usize,
        color: impl Fn(usize, usize) -> Rgb,
    ) {
        for row in 0..rows {
            for column in 0..columns {
                self.fill(x + column * scale, y + row * scale, scale, scale, color(row, column));
            }
        }
    }

    /// One line of text with the top of its cells at `y`, each font pixel `scale` pixels wide and high.
    pub fn text_scaled(
        &mut self,
        (x, y): (usize, usize),
        align: Align,
        face: Face,
        scale: usize,
        color: Rgb,
        text: &str,
    ) {
        let width = face.text_width(text) * scale;
        let mut left = match align {
            Align::Left => x,
            Align::Center => x.saturating_sub(width / 2),
            Align::Right => x.saturating_sub(width),
        };
        for character in text.chars() {
            for (row, bits) in face.rows(character).iter().enumerate() {
                for column in 0..face.width() {
                    if bits >> (face.width() - 1 - column) & 1 == 1 {
                        self.fill(left + column * scale, y + row * scale, scale, scale, color);
                    }
                }
            }
            left += face.width() * scale;
        }
    }

    /// One line of text at the face's own size, with the top of its cells at `y`.
    pub fn text(&mut self, at: (usize, usize), align: Align, face: Face, color: Rgb, text: &str) {
        self.text_scaled(at, align, face, 1, color, text);
    }

    /// Pictures of one width, each below the one before; the first decides the width.
    pub(crate) fn stacked(pictures: &[Picture]) -> Picture {
        let width = pictures.first().map_or(1, Picture::width);
        assert!(pictures.iter().all(|picture| picture.width == width), "stacked pictures are equally wide");
        let height = pictures.iter().map(Picture::height).sum();
        let pixels = pictures.iter().flat_map(|picture| &picture.pixels).copied().collect();
        if pictures.is_empty() { Picture::new(1, 1) } else { Picture { width, height, pixels } }
    }

    /// The picture as a PNG file; the same picture gives the same bytes.
    #[expect(clippy::missing_panics_doc, reason = "a Vec takes every write, and no picture is empty")]
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().expect("a Vec takes every write, and the size is not zero");
        writer.write_image_data(&self.pixels).expect("the pixels are width * height * 3 bytes");
        writer.finish().expect("a Vec takes every write");
        bytes
    }
}

/// 64-bit FNV-1a over size and pixels: pins a picture in a test without depending on the PNG encoder.
#[cfg(test)]
pub(crate) fn fingerprint(picture: &Picture) -> u64 {
    let size = [picture.width as u64, picture.height as u64].map(u64::to_le_bytes);
    size.as_flattened()
        .iter()
        .chain(&picture.pixels)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Whether the outermost `width` pixels are white on all sides: nothing is cut off.
#[cfg(test)]
pub(crate) fn has_margin(picture: &Picture, width: usize) -> bool {
    let is_white = |x, y| picture.pixel(x, y) == WHITE;
    let columns = (0..picture.width).all(|x| (0..width).all(|y| is_white(x, y) && is_white(x, picture.height - 1 - y)));
    columns && (0..picture.height).all(|y| (0..width).all(|x| is_white(x, y) && is_white(picture.width - 1 - x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Rgb = [200, 0, 0];

    #[test]
    fn a_smaller_picture_is_made_of_means() {
        let mut picture = Picture::new(4, 2);
        picture.tile((0, 0), (4, 2), 1, |y, x| [(10 * x) as u8, (100 * y) as u8, 7]);
        let half = picture.clone().at_most(2);
        assert_eq!((half.width(), half.height()), (2, 1));
        assert_eq!((half.pixel(0, 0), half.pixel(1, 0)), ([5, 50, 7], [25, 50, 7]));
        // Each of three covers a pixel and a third: 0 and a third of 10, two thirds of 10 and of 20.
        let three = picture.clone().at_most(3);
        assert_eq!((three.width(), three.height()), (3, 2));
        assert_eq!((0..3).map(|x| three.pixel(x, 1)).collect::<Vec<_>>(), [[3, 100, 7], [15, 100, 7], [28, 100, 7]]);
        assert_eq!(picture.clone().at_most(4), picture);
        assert_eq!(picture.clone().at_most(0).pixel(0, 0), [15, 50, 7]);
        let line = Picture::new(1000, 1).at_most(10);
        assert_eq!((line.width(), line.height(), line.pixel(9, 0)), (10, 1, [255; 3]));
    }

    #[test]
    fn tiles_are_enlarged_by_whole_pixels() {
        let color = |row: usize, column: usize| [row as u8 * 10, column as u8 * 10, 7];
        let mut picture = Picture::new(20, 20);
        picture.tile((2, 3), (4, 3), 4, color);
        for y in 0..20 {
            for x in 0..20 {
                let inside = (2..18).contains(&x) && (3..15).contains(&y);
                let expected = if inside { color((y - 3) / 4, (x - 2) / 4) } else { WHITE };
                assert_eq!(picture.pixel(x, y), expected, "at {x},{y}");
            }
        }
    }

    #[test]
    fn a_frame_lies_around_its_rectangle() {
        let mut picture = Picture::new(10, 10);
        picture.frame(3, 3, 4, 4, RED);
        for y in 0..10 {
            for x in 0..10 {
                let outer = (2..8).contains(&x) && (2..8).contains(&y);
                let inner = (3..7).contains(&x) && (3..7).contains(&y);
                assert_eq!(picture.pixel(x, y) == RED, outer && !inner, "at {x},{y}");
            }
        }
    }

    #[test]
    fn a_margin_is_white_on_all_sides() {
        for (x, y) in [(3, 12), (16, 12), (12, 3), (12, 16)] {
            let mut picture = Picture::new(20, 20);
            assert!(has_margin(&picture, 4));
            picture.fill(x, y, 1, 1, RED);
            assert!(!has_margin(&picture, 4) && has_margin(&picture, 3), "at {x},{y}");
        }
    }

    #[test]
    fn stacked_pictures_lie_below_each_other() {
        let mut parts = [Picture::new(3, 2), Picture::new(3, 1)];
        parts[1].fill(1, 0, 1, 1, RED);
        let stack = Picture::stacked(&parts);
        assert_eq!((stack.width(), stack.height()), (3, 3));
        assert_eq!((stack.pixel(1, 2), stack.pixel(1, 1)), (RED, WHITE));
        assert_eq!(Picture::stacked(&[]), Picture::new(1, 1));
    }

    #[test]
    fn drawing_outside_is_cut_off() {
        let mut picture = Picture::new(5, 5);
        picture.fill(3, 3, usize::MAX, usize::MAX, RED);
        picture.fill(100, 100, 2, 2, RED);
        picture.text((2, 2), Align::Right, Face::Regular, RED, "longer than the picture");
        assert_eq!(picture.pixel(4, 4), RED);
    }

    #[test]
    fn text_is_aligned_and_scaled() {
        let mut one = Picture::new(60, 13);
        one.text((30, 0), Align::Center, Face::Regular, INK, "Ag");
        let mut left = Picture::new(60, 13);
        left.text((23, 0), Align::Left, Face::Regular, INK, "Ag");
        let mut right = Picture::new(60, 13);
        right.text((37, 0), Align::Right, Face::Regular, INK, "Ag");
        assert_eq!(one, left);
        assert_eq!(one, right);

        let mut two = Picture::new(120, 26);
        two.text_scaled((46, 0), Align::Left, Face::Regular, 2, INK, "Ag");
        for y in 0..26 {
            for x in 0..120 {
                assert_eq!(two.pixel(x, y), one.pixel(x / 2, y / 2), "at {x},{y}");
            }
        }
    }

    #[test]
    fn png_is_readable_and_gives_the_pixels_back() {
        let mut picture = Picture::new(33, 17);
        picture.tile((0, 0), (11, 5), 3, |row, column| [row as u8 * 50, column as u8 * 20, 99]);
        let bytes = picture.png();
        assert_eq!(bytes, picture.png());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (33, 17, png::ColorType::Rgb));
        assert_eq!(pixels, picture.pixels());
    }
}
