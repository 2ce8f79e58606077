//! The layout of feature maps: blocks of channels, with a border.

use crate::simd::lanes::LANES;

/// Where the elements of one image's feature maps lie.
///
/// `blocks` planes of `height x width` pixels of `lanes` channels each. Channel `c` is lane `c % lanes` of block
/// `c / lanes`. Around the pixels there may be a border, and between them a gap; both are zeros that nobody writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planes {
    /// Channels, before padding to whole blocks.
    pub channels: usize,
    /// Channels of a block: 16, or all of them where an image has fewer.
    pub lanes: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Elements before the first pixel of a block.
    pub origin: usize,
    /// Elements from one pixel to the next.
    pub pixel: usize,
    /// Elements from one row of pixels to the next.
    pub row: usize,
    /// Elements from one block to the next.
    pub plane: usize,
}

impl Planes {
    /// Blocks of 16 channels without border.
    pub fn new(channels: usize, height: usize, width: usize) -> Planes {
        Planes::with_border(channels, LANES, height, width, [0; 4], (1, 1))
    }

    /// Blocks of `lanes` channels with a border of `[top, left, bottom, right]` pixels, and with only every
    /// `dilation.0`-th row and `dilation.1`-th column in use.
    pub fn with_border(
        channels: usize,
        lanes: usize,
        height: usize,
        width: usize,
        border: [usize; 4],
        dilation: (usize, usize),
    ) -> Planes {
        assert!(channels > 0 && lanes > 0 && height > 0 && width > 0, "{channels}x{height}x{width} is not an image");
        let [top, left, bottom, right] = border;
        let full_width = left + (width - 1) * dilation.1 + 1 + right;
        let full_height = top + (height - 1) * dilation.0 + 1 + bottom;
        let row = full_width * lanes;
        Planes {
            channels,
            lanes,
            blocks: channels.div_ceil(lanes),
            height,
            width,
            origin: top * row + left * lanes,
            pixel: dilation.1 * lanes,
            row: dilation.0 * row,
            plane: full_height * row,
        }
    }

    /// Elements of one image, border included.
    pub fn len(&self) -> usize {
        self.blocks * self.plane
    }

    /// Whether there is no element (never: a plane has a pixel).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where lane 0 of block `block` at pixel (`y`, `x`) lies.
    pub fn offset(&self, block: usize, y: usize, x: usize) -> usize {
        self.origin + block * self.plane + y * self.row + x * self.pixel
    }

    /// Where channel `channel` at pixel (`y`, `x`) lies.
    pub fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        self.offset(channel / self.lanes, y, x) + channel % self.lanes
    }
}
