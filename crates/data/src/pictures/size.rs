//! The size that all images take, and what is said of it and of their formats.

use std::collections::BTreeMap;

use super::decode::Head;
use crate::options::{Background, DEFAULT_SIDE, MAX_SIDE, Options};
use crate::words::counted;

/// Rows and columns of all images, and a sentence on why.
pub(super) fn size(heads: &[Head], options: &Options, notes: &mut Vec<String>) -> [usize; 2] {
    let mut widths: Vec<u32> = heads.iter().map(|head| head.width).collect();
    let mut heights: Vec<u32> = heads.iter().map(|head| head.height).collect();
    widths.sort_unstable();
    heights.sort_unstable();
    let (Some(&w0), Some(&w1), Some(&h0), Some(&h1)) = (widths.first(), widths.last(), heights.first(), heights.last())
    else {
        return options.size.unwrap_or([1, 1]);
    };
    let alike = w0 == w1 && h0 == h1;
    let (width, height) = (w0 as usize, h0 as usize);
    let size = match options.size {
        Some(size) => size,
        None if alike && width.max(height) <= MAX_SIDE => return [height, width],
        None if alike => within(height, width, DEFAULT_SIDE),
        None => {
            // No larger than half of the pictures are.
            let middle = widths[widths.len() / 2].max(heights[heights.len() / 2]) as usize;
            [middle.min(DEFAULT_SIDE); 2]
        }
    };
    if size == [height, width] && alike {
        return size;
    }
    let found = if alike {
        format!("pictures are {h0}x{w0}")
    } else {
        format!("pictures are {h0} to {h1} rows by {w0} to {w1} columns")
    };
    let advice = if options.size.is_none() { "; size = [height, width] for another" } else { "" };
    let how = match options.fit {
        crate::Fit::Pad => format!("fit = \"pad\": scaled to fit in, {} around", options.background.name()),
        crate::Fit::Crop => "fit = \"crop\": scaled to cover, the rest cut off".to_owned(),
        crate::Fit::Stretch => "fit = \"stretch\": proportions not kept".to_owned(),
    };
    notes.push(format!("{found}: made {}x{} ({how}{advice})", size[0], size[1]));
    size
}

/// A size of these proportions whose longer side is `longest`.
pub(crate) fn within(height: usize, width: usize, longest: usize) -> [usize; 2] {
    let most = height.max(width).max(1);
    [height, width].map(|side| ((2 * side * longest + most) / (2 * most)).max(1))
}

/// Sentences on formats and on what was done to the pixels.
pub(super) fn describe(heads: &[Head], options: &Options, notes: &mut Vec<String>) {
    let mut formats: BTreeMap<&str, usize> = BTreeMap::new();
    heads.iter().for_each(|head| *formats.entry(head.format).or_default() += 1);
    let formats: Vec<String> =
        formats.into_iter().map(|(format, n)| format!("{n} {}", format.to_uppercase())).collect();
    notes.push(format!("pictures: {}", formats.join(", ")));
    let count = |is: fn(&Head) -> bool| heads.iter().filter(|head| is(head)).count();
    let turned = count(|head| head.turned);
    if turned > 0 {
        notes.push(format!(
            "{} turned as {} EXIF says",
            counted(turned, "picture is", "pictures are"),
            if turned == 1 { "its" } else { "their" }
        ));
    }
    let alpha = count(|head| head.alpha);
    if alpha > 0 {
        let other = if options.background == Background::White { "black" } else { "white" };
        let name = options.background.name();
        notes.push(format!(
            "{} may be transparent: shown on {name} (background = \"{other}\" for the other)",
            counted(alpha, "picture", "pictures")
        ));
    }
}
