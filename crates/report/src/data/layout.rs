//! How many images of each class are shown, and how large, so that what shows them can be mailed and opened.

use crate::feature_maps::{Image, pixel};
use crate::picture::Picture;

/// Images of a class at most.
pub const MOST: usize = 20;

/// The longer side of an image, the largest that leaves room for [`FEWEST`] of each class.
const SIDES: [usize; 4] = [64, 48, 32, 24];
const FEWEST: usize = 8;

/// Pixels of all images of the page, which noise makes four bytes of the file each; and images, which have words each.
const PAGE_PIXELS: usize = 2_000_000;
const PAGE_IMAGES: usize = 6_000;

/// Pixels of the contact sheet, about.
const SHEET_PIXELS: usize = 13_000_000;

/// How many images of each class, and how large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The longest side of an image; larger ones are made smaller.
    pub side: usize,
    /// Images of a class.
    pub per_class: usize,
}

impl Layout {
    /// For the page: of `classes` classes, of the largest of which `largest` images could be shown, of `[height, width]`.
    pub fn page(classes: usize, largest: usize, size: [usize; 2]) -> Layout {
        Layout::fitting(classes, largest, size, |[height, width], classes| {
            (PAGE_PIXELS / classes / (height * width)).min(PAGE_IMAGES / classes)
        })
    }

    /// For the contact sheet.
    pub fn contact_sheet(classes: usize, largest: usize, size: [usize; 2]) -> Layout {
        Layout::fitting(classes, largest, size, |[height, width], classes| {
            SHEET_PIXELS / classes / ((height + super::contact_sheet::ABOVE) * (width + super::contact_sheet::GAP))
        })
    }

    fn fitting(classes: usize, largest: usize, size: [usize; 2], fit: impl Fn([usize; 2], usize) -> usize) -> Layout {
        let of = |side: usize| Layout { side, per_class: fit(within(size, side), classes.max(1)).clamp(1, MOST) };
        let enough = |layout: &Layout| layout.per_class >= FEWEST.min(largest);
        SIDES.map(of).into_iter().find(enough).unwrap_or_else(|| of(SIDES[SIDES.len() - 1]))
    }

    /// An image, made smaller if it is too large: each pixel is then the mean of what it covers.
    pub fn shrunk(self, image: &Image) -> Image {
        let [height, width] = within([image.height, image.width], self.side);
        if [height, width] == [image.height, image.width] {
            return image.clone();
        }
        let mut picture = Picture::new(image.width, image.height);
        picture.tile((0, 0), (image.width, image.height), 1, |row, column| pixel(image, row, column));
        let picture = picture.at_most(width);
        let plane = |channel: usize| picture.pixels().iter().skip(channel).step_by(3).copied();
        let pixels = (0..image.channels).flat_map(plane).collect();
        Image { channels: image.channels, height, width, pixels }
    }
}

/// The size of an image of `[height, width]` whose longest side is `side` at most.
fn within([height, width]: [usize; 2], side: usize) -> [usize; 2] {
    let longest = height.max(width).max(1);
    let small = (width * side / longest).max(1);
    if longest <= side || small >= width {
        return [height, width];
    }
    // As `Picture::at_most` does.
    [((height * small + width / 2) / width).max(1), small]
}

/// The places of `most` of `n` in order, as evenly as can be: each from the middle of its share.
pub fn evenly(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let shown = most.min(n);
    (0..shown).map(move |place| (2 * place + 1) * n / (2 * shown))
}
