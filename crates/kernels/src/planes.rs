//! The layout of feature maps: blocks of channels, with a border.

use crate::simd::lanes::LANES;

/// Where the elements of one image's feature maps lie.
///
/// `blocks` planes of `height x width` pixels of `lanes` channels each. Channel `c` is lane `c % lanes` of block
/// `c / lanes`. Around the pixels there may be a border, and between them a gap; both are zeros that nobody writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planes {
    /// Channels, before padding to whole blocks.
    pub(crate) channels: usize,
    /// Channels of a block: 16, or all of them where an image has fewer.
    pub(crate) lanes: usize,
    /// Number of blocks.
    pub(crate) blocks: usize,
    /// Rows of pixels.
    pub(crate) height: usize,
    /// Pixels of a row.
    pub(crate) width: usize,
    /// Elements before the first pixel of a block.
    pub(crate) origin: usize,
    /// Elements from one pixel to the next.
    pub(crate) pixel: usize,
    /// Elements from one row of pixels to the next.
    pub(crate) row: usize,
    /// Elements from one block to the next.
    pub(crate) plane: usize,
}

impl Planes {
    /// Blocks of 16 channels without border.
    pub fn new(channels: usize, height: usize, width: usize) -> Planes {
        Planes::with_border(channels, LANES, height, width, [0; 4], (1, 1))
    }

    /// Blocks of `lanes` channels with a border of `[top, left, bottom, right]` pixels, and with only every
    /// `dilation.0`-th row and `dilation.1`-th column in use.
    ///
    /// # Panics
    /// If there is no channel, row or column, and if the planes are larger than any memory.
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
        // Saturating: kernels compute offsets without checks, so every one of them must be below the length asserted
        // here.
        let full = |before: usize, size: usize, step: usize, behind: usize| {
            (size - 1).saturating_mul(step).saturating_add(before).saturating_add(behind).saturating_add(1)
        };
        let (full_height, full_width) = (full(top, height, dilation.0, bottom), full(left, width, dilation.1, right));
        let (row, blocks) = (full_width.saturating_mul(lanes), channels.div_ceil(lanes));
        let len = row.saturating_mul(full_height).saturating_mul(blocks);
        assert!(
            len <= isize::MAX as usize / size_of::<f32>(),
            "{channels}x{height}x{width} with a border of {border:?} fits no memory"
        );
        Planes {
            channels,
            lanes,
            blocks,
            height,
            width,
            origin: top * row + left * lanes,
            // Where there is one row or column alone, nobody steps to the next.
            pixel: dilation.1.saturating_mul(lanes),
            row: dilation.0.saturating_mul(row),
            plane: full_height * row,
        }
    }

    /// The same without border and gaps.
    pub fn plain(&self) -> Planes {
        Planes::with_border(self.channels, self.lanes, self.height, self.width, [0; 4], (1, 1))
    }

    /// The same with other channels: the planes of some blocks of an image by themselves.
    pub fn of_channels(&self, channels: usize) -> Planes {
        Planes { channels, blocks: channels.div_ceil(self.lanes), ..*self }
    }

    /// Channels, before padding to whole blocks.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Channels of a block: 16, or all of them where an image has fewer.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Whether at most half of a block's lanes hold a channel.
    pub(crate) fn is_half_idle(&self) -> bool {
        self.lanes == LANES && self.channels <= LANES / 2
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Elements from one pixel to the next.
    pub fn pixel(&self) -> usize {
        self.pixel
    }

    /// Elements of one image, border included.
    pub fn len(&self) -> usize {
        self.blocks * self.plane
    }

    /// Whether there is no element (never: a plane has a pixel).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets to zero what is around the pixels of an image.
    ///
    /// # Panics
    /// If `image` is not one, or there are gaps between pixels.
    pub fn clear_border(&self, image: &mut [f32]) {
        assert_eq!((image.len(), self.pixel), (self.len(), self.lanes), "an image whose pixels follow each other");
        let mut end = 0;
        for (block, y) in (0..self.blocks).flat_map(|block| (0..self.height).map(move |y| (block, y))) {
            let start = self.offset(block, y, 0);
            image[end..start].fill(0.0);
            end = start + self.width * self.lanes;
        }
        image[end..].fill(0.0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_element_of_the_last_pixel_is_in_the_image() {
        for dilation in [(1, 1), (2, 3)] {
            let planes = Planes::with_border(19, LANES, 4, 5, [1, 2, 3, 4], dilation);
            assert!(planes.offset(planes.blocks - 1, 3, 4) + LANES <= planes.len(), "{planes:?}");
        }
    }

    #[test]
    fn what_is_around_the_pixels_is_cleared_and_they_are_not() {
        let planes = Planes::with_border(19, LANES, 4, 5, [1, 2, 3, 4], (1, 1));
        let mut image = vec![1.0; planes.len()];
        planes.clear_border(&mut image);
        for (c, y) in (0..planes.blocks * LANES).flat_map(|c| (0..4).map(move |y| (c, y))) {
            (0..5).for_each(|x| assert_eq!(image[planes.index(c, y, x)], 1.0, "channel {c}, row {y}, column {x}"));
        }
        assert_eq!(image.iter().sum::<f32>() as usize, planes.blocks * LANES * 4 * 5);
    }

    /// A length that wrapped around could be that of a small slice.
    #[test]
    fn planes_larger_than_memory_panic() {
        for (channels, height, width) in [(1 << 40, 1 << 12, 1 << 12), (1, usize::MAX, 1), (1 << 61, 1, 1)] {
            let made = std::panic::catch_unwind(|| Planes::new(channels, height, width));
            assert!(made.is_err(), "{channels}x{height}x{width}");
        }
    }
}
