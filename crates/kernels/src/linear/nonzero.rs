//! A linear layer over pixels, most of which are zero.
//!
//! Four fifths of the pixels of a handwritten digit are blank. A product with zero adds nothing, so the sums of
//! [`crate::linear::dense`] run over those pixels alone that are not zero in any of the images (forward) or of the
//! inputs (backward) of a register tile. In the same order: for finite weights the bits are those of the sums over all
//! pixels, but for the sign of a zero.
//!
//! The pixels stay the bytes that they are, where the data set has them, and are looked up when they are needed.

mod backward;
mod forward;
mod mask;
#[cfg(test)]
mod tests;

pub use backward::{backward_nonzero_calls, linear_backward_weight_nonzero};
pub use forward::linear_forward_nonzero;
pub use mask::{mask_by_image, mask_by_input, mask_len};

use crate::pixels::Images;

/// A batch of images of a data set, and which of their pixels are not zero.
#[derive(Clone, Copy, Debug)]
pub struct NonzeroPixels<'a> {
    /// The images.
    pub images: Images<'a>,
    /// Forward: [`mask_len`] of `inputs` bytes for each image, from [`mask_by_image`]. Backward: [`mask_len`] of
    /// `indices.len()` bytes for each input, from [`mask_by_input`].
    pub mask: &'a [u8],
}

impl NonzeroPixels<'_> {
    /// The first pixel of image `n` of the batch.
    #[inline(always)]
    fn image(&self, n: usize) -> *const u8 {
        self.images.pixels.as_ptr().wrapping_add(self.images.indices[n] as usize * self.images.inputs)
    }
}

/// Where a tile's operands lie.
struct Operands<'a> {
    batch: NonzeroPixels<'a>,
    /// The first image, or the first input.
    first: usize,
    b: *const f32,
    /// Elements from one row of `b` to the next.
    width: usize,
    /// Forward: elements from one block of `b` to the next.
    block: usize,
    c: *mut f32,
    c_stride: usize,
}

/// Calls the tile compiled for exactly this many rows and vectors.
macro_rules! any_tile {
    (width $L:ident, $vectors:expr, $rows:expr, $tile:ident, $args:tt) => {
        match $vectors {
            1 => any_tile!(height $L, 1, $rows, $tile, $args; 1 2 3 4 5 6 7 8),
            2 if $L::TILE.1 > 1 => any_tile!(height $L, 2, $rows, $tile, $args; 1 2 3 4 5 6 7 8),
            3 if $L::TILE.1 > 1 => any_tile!(height $L, 3, $rows, $tile, $args; 1 2 3 4 5 6),
            4 if $L::TILE.1 > 1 => any_tile!(height $L, 4, $rows, $tile, $args; 1 2 3 4 5 6),
            _ => unreachable!("no tile has so many vectors"),
        }
    };
    (height $L:ident, $v:literal, $rows:expr, $tile:ident, $args:tt; $($r:literal)*) => {
        match $rows {
            $($r => $tile::<$L, $r, $v> $args,)*
            _ => unreachable!("no tile has so many rows"),
        }
    };
    ($rows:expr, $vectors:expr, $L:ident, $tile:ident($($arg:expr),*)) => {
        any_tile!(width $L, $vectors, $rows, $tile, ($($arg),*))
    };
}
use any_tile;
