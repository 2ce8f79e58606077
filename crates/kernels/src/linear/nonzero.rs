//! A linear layer over pixels, most of which are zero.
//!
//! Four fifths of the pixels of a handwritten digit are blank. A product with zero adds nothing, so the sums of
//! [`crate::linear::dense`] run over those pixels alone that are not zero in any of the images (forward) or of the
//! inputs (backward) of a register tile. In the same order: for finite weights the bits are those of the sums over all
//! pixels, but for the sign of a zero.
//!
//! Their values are worked out beforehand: a tile takes each of them for many columns, and looking up bytes for every
//! tile took a third of its time.

mod backward;
mod forward;
mod listed;
mod mask;
#[cfg(test)]
mod tests;

pub use backward::{backward_nonzero_calls, linear_backward_weight_nonzero};
pub use forward::linear_forward_nonzero;
pub use mask::{mask_by_image, mask_by_input, mask_len};

use crate::linear::dense::covers;

/// The pixels of a batch of images, and which of them are not zero.
#[derive(Clone, Copy, Debug)]
pub struct NonzeroPixels<'a> {
    /// How many images there are.
    pub images: usize,
    /// The values of an image's pixels in a row.
    pub values: &'a [f32],
    /// Elements from one row to the next.
    pub stride: usize,
    /// A bit for each pixel whose value may be other than zero. Forward: [`mask_len`] of `inputs` bytes for each image,
    /// from [`mask_by_image`]. Backward: [`mask_len`] of `images` bytes for each input, from [`mask_by_input`].
    pub mask: &'a [u8],
}

impl NonzeroPixels<'_> {
    /// Panics unless every image has a row of `inputs` values.
    fn check(&self, inputs: usize) {
        let covered = self.stride >= inputs && covers(self.values.len(), self.images, self.stride, inputs);
        assert!(covered, "{} rows of {inputs} values, {} apart, in {}", self.images, self.stride, self.values.len());
    }
}
