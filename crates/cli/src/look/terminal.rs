//! Pictures on the terminal, beside the files.

use tenfold_report::feature_maps::Image;
use tenfold_report::look::terminal::{Tile, half_blocks, kitty, mosaic, sixel};
use tenfold_report::picture::Picture;

use crate::args::ShowOn;
use crate::failure::Failure;
use crate::output;
use crate::terminal::{Show, columns, detect, pixels};

/// What standard output can show.
pub(crate) struct Screen {
    show: Show,
    columns: usize,
    /// Its width, if it says so.
    pixels: Option<usize>,
}

/// Lines of half blocks that a picture takes at most.
const MOST_LINES: usize = 40;

/// The side of a tile's pixel in a picture, and how wide a picture of tiles is, in pixels.
const PIXEL: usize = 2;
const MOSAIC: usize = 640;

impl Screen {
    pub(crate) fn new(on: ShowOn) -> Screen {
        let show = match on {
            ShowOn::Auto => detect(),
            ShowOn::Blocks => Show::HalfBlocks,
            ShowOn::Sixel => Show::Sixel,
            ShowOn::Kitty => Show::Kitty,
            ShowOn::None => Show::Nothing,
        };
        Screen { show, columns: columns(), pixels: pixels() }
    }

    /// Whether it shows pictures.
    pub(crate) fn shows(&self) -> bool {
        self.show != Show::Nothing
    }

    /// Columns of characters.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Shows tiles side by side, if the terminal can.
    pub(crate) fn mosaic(&self, tiles: impl Fn() -> Vec<Tile>) -> Result<(), Failure> {
        self.tiles(&tiles)?;
        self.picture(|| mosaic(&tiles(), PIXEL, MOSAIC))
    }

    /// Shows a picture, made smaller where it is too wide, if the terminal can; with half blocks it would be too coarse
    /// to read.
    pub(super) fn picture(&self, draw: impl FnOnce() -> Picture) -> Result<(), Failure> {
        let fitted = || draw().at_most(self.pixels.unwrap_or(usize::MAX));
        match self.show {
            Show::Sixel => output::out(&sixel(&fitted())),
            Show::Kitty => output::out(&kitty(&fitted().png())),
            Show::HalfBlocks | Show::Nothing => Ok(()),
        }
    }

    /// Shows tiles side by side, where there are only half blocks.
    pub(super) fn tiles(&self, tiles: impl FnOnce() -> Vec<Tile>) -> Result<(), Failure> {
        if self.show != Show::HalfBlocks {
            return Ok(());
        }
        let tiles = tiles();
        let width = tiles.iter().map(|tile| tile.width).max().unwrap_or(1).max(1);
        // Kernels of five pixels are hard to see one pixel a column.
        let scale = if width <= 7 { 2 } else { 1 };
        let picture = mosaic(&tiles, scale, self.columns);
        let text = half_blocks(&picture, self.columns);
        let lines: String = text.split_inclusive('\n').take(MOST_LINES).collect();
        output::out(&lines)
    }

    /// Shows images side by side.
    pub(super) fn images<'i>(&self, images: impl Iterator<Item = &'i Image>) -> Result<(), Failure> {
        self.tiles(|| images.take(MOST_LINES).map(tile).collect())
    }
}

/// An image as a tile.
pub(crate) fn tile(image: &Image) -> Tile {
    let area = image.height * image.width;
    let color = |at: usize| match image.channels {
        3 => [image.pixels[at], image.pixels[area + at], image.pixels[2 * area + at]],
        _ => [image.pixels[at]; 3],
    };
    Tile { width: image.width, height: image.height, colors: (0..area).map(color).collect() }
}
