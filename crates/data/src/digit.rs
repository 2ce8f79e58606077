//! A person's own drawing, made into what MNIST's digits are: white ink on black, 20 pixels long, its centre of mass in
//! the middle of 28 by 28 pixels.
//!
//! Of the 10,000 test images of MNIST, 9,997 come back as they went in. The other three lost their last row when MNIST
//! was made, to the lower edge of the image; what is left, 19 pixels long, is enlarged to 20.

#[cfg(test)]
mod tests;

use thiserror::Error;

/// Rows, and columns, of an image of MNIST.
const SIDE: usize = 28;

/// The longer side of its ink.
const INK_SIDE: usize = 20;

/// The row, and column, of the pixel that its centre of mass lies in. Coordinates run along the edges of pixels, so the
/// pixel is that of the floor; all of the test images agree with this.
const MIDDLE: i64 = 14;

/// Ink is brighter than this: above what scanners make of clean paper, below the edge of a stroke. It decides only how
/// large the ink is; fainter pixels around it come along.
const FAINTEST_INK: u8 = 16;

/// By how much the brightest pixel has to stand out from the paper. Less is dirt.
const LEAST_CONTRAST: u8 = 32;

/// A grey picture of any size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grey {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`, from 0 (black) to 255 (white).
    pub pixels: Vec<u8>,
}

/// A drawing in the shape of MNIST's digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Centred {
    /// What was done, in words, each with the picture after it. The last one is the result.
    pub steps: Vec<(String, Grey)>,
    /// `[28, 28]`.
    pub pixels: Vec<u8>,
}

/// Why a drawing cannot be centred.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DigitError {
    /// Nothing stands out from the paper.
    #[error(
        "holds no ink: no pixel stands out from the paper (its border) by more than {LEAST_CONTRAST} of 255; draw one \
         digit, dark on light or light on dark, and leave a margin around it"
    )]
    NoInk,
}

/// A drawing as MNIST would have shown it.
///
/// Where the border is bright, the drawing is taken for dark ink on light paper and inverted. Paper that is not black
/// then, or ink that is faint, are stretched to black and white. The ink's bounding box is scaled to 20 pixels on its
/// longer side, each pixel the mean of the area that it covers. Then the pixel with the centre of mass moves to row and
/// column 14, counted from 0, of 28; what does not fit in is cut off, as in MNIST.
///
/// # Errors
/// If no pixel stands out from the paper.
///
/// # Panics
/// If `grey` does not hold `width * height` pixels.
pub fn centre(grey: &Grey) -> Result<Centred, DigitError> {
    assert_eq!(grey.pixels.len(), grey.width * grey.height, "pixels are [height, width]");
    let mut steps = vec![(format!("as it is: {} x {} pixels", grey.width, grey.height), grey.clone())];
    let mut grey = grey.clone();
    if median(border(&grey)) > 127 {
        grey.pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        steps.push(("inverted: dark on light".to_owned(), grey.clone()));
    }
    if let Some(words) = stretch(&mut grey)? {
        steps.push((words, grey.clone()));
    }

    let ink = ink(&grey).ok_or(DigitError::NoInk)?;
    let to @ (width, height) = ink.fitted(INK_SIDE);
    let done =
        if to == (ink.width, ink.height) { "as large as MNIST's" } else { &format!("scaled to {width} x {height}") };
    let words = format!("ink: {} x {} pixels, {done}", ink.width, ink.height);
    steps.push((words, ink.scaled(&grey, to, (0, 0), to)));

    let (x, y) = centre_of_mass(&grey, ink, to);
    let (left, top) = (x - MIDDLE, y - MIDDLE);
    let fits = |start: i64, length: usize| start <= 0 && start + SIDE as i64 >= length as i64;
    let cut =
        if fits(left, width) && fits(top, height) { "" } else { "; what does not fit in is cut off, as in MNIST" };
    let result = ink.scaled(&grey, to, (left, top), (SIDE, SIDE));
    let pixels = result.pixels.clone();
    steps.push((format!("centre of mass moved to the middle{cut}"), result));
    Ok(Centred { steps, pixels })
}

impl Grey {
    /// The picture, made smaller where its longer side is more than `longest`, which is at least 1.
    pub fn within(&self, longest: usize) -> Grey {
        let whole = Rectangle { left: 0, top: 0, width: self.width, height: self.height };
        let to = whole.fitted(longest);
        if !self.pixels.is_empty() && self.width.max(self.height) > longest {
            whole.scaled(self, to, (0, 0), to)
        } else {
            self.clone()
        }
    }
}

/// The outermost pixels.
fn border(grey: &Grey) -> impl Iterator<Item = u8> {
    let (right, bottom) = (grey.width.saturating_sub(1), grey.height.saturating_sub(1));
    let pixels = grey.pixels.chunks(grey.width.max(1)).enumerate();
    pixels.flat_map(move |(y, row)| {
        let step = if y == 0 || y == bottom { 1 } else { right.max(1) };
        row.iter().step_by(step).copied()
    })
}

/// The lower median; 0 of nothing.
fn median(values: impl Iterator<Item = u8>) -> u8 {
    let mut counts = [0_usize; 256];
    values.for_each(|value| counts[usize::from(value)] += 1);
    let half = counts.iter().sum::<usize>().div_ceil(2);
    let mut below = 0;
    let reached = counts.iter().position(|count| {
        below += count;
        below >= half
    });
    reached.map_or(0, |value| value as u8)
}

/// Makes paper that is grey or rough black, and faint ink white; says so where there was something to do.
fn stretch(grey: &mut Grey) -> Result<Option<String>, DigitError> {
    let paper = median(border(grey));
    // Of normally distributed noise, eight times the median deviation leaves out all but one in ten million.
    let noise = median(border(grey).map(|pixel| pixel.abs_diff(paper))).saturating_mul(8);
    let ink = grey.pixels.iter().copied().max().unwrap_or(0);
    if ink.saturating_sub(paper) <= noise.max(LEAST_CONTRAST) {
        return Err(DigitError::NoInk);
    }
    if paper == 0 && noise == 0 && ink > 127 {
        return Ok(None);
    }
    let range = u32::from(ink - paper);
    for pixel in &mut grey.pixels {
        let above = pixel.saturating_sub(paper);
        *pixel = if above <= noise { 0 } else { ((u32::from(above) * 255 + range / 2) / range) as u8 };
    }
    Ok(Some(format!("paper and ink, {paper} and {ink} of 255, stretched to black and white")))
}

/// A part of a picture.
#[derive(Clone, Copy)]
struct Rectangle {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// What holds all ink.
fn ink(grey: &Grey) -> Option<Rectangle> {
    let rows = || grey.pixels.chunks(grey.width.max(1));
    let is_ink = |pixel: &u8| *pixel > FAINTEST_INK;
    let top = rows().position(|row| row.iter().any(is_ink))?;
    let bottom = rows().rposition(|row| row.iter().any(is_ink))?;
    let left = rows().filter_map(|row| row.iter().position(is_ink)).min()?;
    let right = rows().filter_map(|row| row.iter().rposition(is_ink)).max()?;
    Some(Rectangle { left, top, width: right + 1 - left, height: bottom + 1 - top })
}

/// The pixel of `ink`, scaled to `to` pixels, in which the centre of mass of the picture lies, as (column, row).
fn centre_of_mass(grey: &Grey, ink: Rectangle, to: (usize, usize)) -> (i64, i64) {
    let (mut mass, mut x, mut y) = (0_i64, 0_i64, 0_i64);
    for (row, pixels) in grey.pixels.chunks(grey.width.max(1)).enumerate() {
        for (column, pixel) in pixels.iter().enumerate() {
            let pixel = i64::from(*pixel);
            // Twice the middle of the pixel, so that all is whole.
            mass += 2 * pixel;
            x += pixel * (2 * column as i64 + 1);
            y += pixel * (2 * row as i64 + 1);
        }
    }
    let pixel = |sum: i64, start: usize, length: usize, to: usize| {
        ((sum - mass * start as i64) * to as i64).div_euclid(mass * length as i64)
    };
    (pixel(x, ink.left, ink.width, to.0), pixel(y, ink.top, ink.height, to.1))
}

impl Rectangle {
    /// Its size, scaled to `longest` on its longer side.
    fn fitted(self, longest: usize) -> (usize, usize) {
        let most = self.width.max(self.height).max(1);
        let side = |length: usize| ((2 * length * longest + most) / (2 * most)).max(1);
        (side(self.width), side(self.height))
    }

    /// Scales the picture so that the rectangle is of `to` pixels, and cuts out `size` pixels from `start` on, counted
    /// from the rectangle's corner. Each pixel is the mean of what it covers; beyond the picture there is black.
    fn scaled(self, grey: &Grey, to: (usize, usize), start: (i64, i64), size: (usize, usize)) -> Grey {
        let columns: Vec<_> =
            (0..size.0).map(|x| covered(self.left, self.width, to.0, start.0 + x as i64, grey.width)).collect();
        let area = (self.width * self.height) as u64;
        let mut pixels = Vec::with_capacity(size.0 * size.1);
        for y in 0..size.1 {
            let rows = covered(self.top, self.height, to.1, start.1 + y as i64, grey.height);
            for columns in &columns {
                let mut sum = 0;
                for (row, height) in rows.clone() {
                    let line = &grey.pixels[row * grey.width..][..grey.width];
                    let across: u64 = columns.clone().map(|(x, width)| width * u64::from(line[x])).sum();
                    sum += height * across;
                }
                pixels.push(((2 * sum + area) / (2 * area)) as u8);
            }
        }
        Grey { width: size.0, height: size.1, pixels }
    }
}

/// The pixels of a row (or column) of `end` that pixel `at` covers after `length` pixels from `start` on were scaled to
/// `to`, each with how much of it, in parts of which a whole pixel has `to`. Together these are `length`, less what
/// lies outside.
fn covered(start: usize, length: usize, to: usize, at: i64, end: usize) -> impl Iterator<Item = (usize, u64)> + Clone {
    let whole = to as i64;
    let from = start as i64 * whole + at * length as i64;
    let until = (from + length as i64).clamp(0, end as i64 * whole);
    let from = from.clamp(0, until);
    (from / whole..(until + whole - 1) / whole).map(move |pixel| {
        let part = until.min((pixel + 1) * whole) - from.max(pixel * whole);
        (pixel as usize, part as u64)
    })
}
