//! The convolution itself: a product at every frequency.

use super::ConvFft;
#[cfg(doc)]
use super::transform_weight;
use crate::arena::Columns;
use crate::conv::complex_sum::{ComplexSum, contract_complex};
use crate::conv::fft16::BINS;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;

/// Overwrites `products` ([`ConvFft::output_len`]): at every frequency, each image's spectrum with every kernel's,
/// summed over the input channels. `spectra` holds the columns of these images.
///
/// `weight`: [`ConvFft::weight_len`] elements, from [`transform_weight`].
///
/// # Panics
/// If `spectra`, `weight` or `products` has another size.
pub fn multiply(
    isa: Isa,
    shape: &ConvFft,
    images: usize,
    spectra: &Columns<'_, f32>,
    weight: &[f32],
    products: &mut [f32],
) {
    assert_eq!((spectra.rows(), spectra.columns()), (BINS, images * shape.input_row()), "spectra of {images} images");
    assert_eq!(weight.len(), shape.weight_len(), "spectra of the weights");
    assert_eq!(products.len(), shape.output_len(images), "products of {images} images");
    let sum = ComplexSum {
        rows: images,
        vectors: shape.conv.output.blocks,
        a_row: shape.input_row(),
        c_row: shape.output_row(),
        segments: shape.conv.input.blocks,
        a_segment: shape.complex(),
        b_segment: LANES * shape.grad_row(),
        len: LANES,
        a_step: 1,
        b_step: shape.grad_row(),
    };
    let (a_end, b_end, c_end) = sum.extents(shape.pairs.is_some());
    assert!(a_end <= spectra.columns(), "a frequency of these images covers the sum");
    for bin in 0..BINS {
        let b = &weight[bin * shape.weight_stride()..][..b_end];
        let c = &mut products[bin * shape.output_stride(images)..][..c_end];
        // SAFETY: row `bin` of `spectra` covers a (asserted), the slices b and c; `c` is borrowed mutably.
        unsafe {
            let a = spectra.as_ptr().add(bin * spectra.stride());
            contract_complex(isa, &sum, shape.pairs, a, b.as_ptr(), c.as_mut_ptr());
        }
    }
}
