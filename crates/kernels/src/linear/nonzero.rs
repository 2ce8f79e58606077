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
mod listed;
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
