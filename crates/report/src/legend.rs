//! Colour bars with their limits printed.

use crate::colormap::{NOT_A_NUMBER, diverging, sequential};
use crate::font::Face;
use crate::format::significant;
use crate::picture::{Align, FRAME, INK, Picture, SOFT_INK};

/// Height of a legend, in pixels: the bar, a tick, one line of numbers.
pub(crate) const HEIGHT: usize = BAR_HEIGHT + 5 + 13;
/// Length of a signed bar; odd, so that zero has a column of its own.
pub(crate) const SIGNED_WIDTH: usize = 257;
/// Length of a bar from zero up.
pub(crate) const POSITIVE_WIDTH: usize = 256;
/// How far the numbers may stand out at either end of a bar.
pub(crate) const OVERHANG: usize = 28;

const BAR_HEIGHT: usize = 12;

/// A bar from `-limit` to `limit` where values are signed, else from 0.
pub(crate) fn bar(picture: &mut Picture, at: (usize, usize), signed: bool, limit: f32) {
    if signed { signed_bar(picture, at, limit) } else { positive_bar(picture, at, limit) }
}

/// A bar from `-limit` to `limit`.
pub(crate) fn signed_bar(picture: &mut Picture, at: (usize, usize), limit: f32) {
    signed_bar_of(picture, at, SIGNED_WIDTH, limit);
}

/// A bar from `-limit` to `limit` of an odd width of at least 65 pixels, so that its numbers do not meet.
pub(crate) fn signed_bar_of(picture: &mut Picture, (x, y): (usize, usize), width: usize, limit: f32) {
    let half = (width / 2) as f32;
    for column in 0..width {
        picture.fill(x + column, y, 1, BAR_HEIGHT, diverging(column as f32 - half, half));
    }
    let number = significant(limit);
    let ends: &[(usize, String)] =
        if limit > 0.0 { &[(0, format!("-{number}")), (width - 1, format!("+{number}"))] } else { &[] };
    finish(picture, (x, y), width, ends.iter().cloned().chain([(width / 2, "0".to_owned())]));
}

/// A bar from 0 to `limit`.
pub(crate) fn positive_bar(picture: &mut Picture, (x, y): (usize, usize), limit: f32) {
    let last = (POSITIVE_WIDTH - 1) as f32;
    for column in 0..POSITIVE_WIDTH {
        picture.fill(x + column, y, 1, BAR_HEIGHT, sequential(column as f32, last));
    }
    let end = (limit > 0.0).then(|| (POSITIVE_WIDTH - 1, significant(limit)));
    finish(picture, (x, y), POSITIVE_WIDTH, [(0, "0".to_owned())].into_iter().chain(end));
}

/// A bar from `-limit` to `limit`, and below it what the colour of no number means, where there is one.
pub(crate) fn signed_scale(picture: &mut Picture, (x, y): (usize, usize), limit: f32, has_nan: bool) {
    signed_bar(picture, (x, y), limit);
    if has_nan {
        not_a_number(picture, (x, y + HEIGHT + 12));
    }
}

/// A swatch that explains [`NOT_A_NUMBER`].
pub(crate) fn not_a_number(picture: &mut Picture, (x, y): (usize, usize)) {
    picture.fill(x, y, BAR_HEIGHT, BAR_HEIGHT, NOT_A_NUMBER);
    picture.frame(x, y, BAR_HEIGHT, BAR_HEIGHT, FRAME);
    picture.text((x + BAR_HEIGHT + 7, y), Align::Left, Face::Regular, SOFT_INK, "not a number");
}

fn finish(picture: &mut Picture, (x, y): (usize, usize), width: usize, ticks: impl Iterator<Item = (usize, String)>) {
    picture.frame(x, y, width, BAR_HEIGHT, FRAME);
    for (column, text) in ticks {
        picture.fill(x + column, y + BAR_HEIGHT + 1, 1, 4, INK);
        picture.text((x + column + 1, y + BAR_HEIGHT + 5), Align::Center, Face::Regular, INK, &text);
    }
}
