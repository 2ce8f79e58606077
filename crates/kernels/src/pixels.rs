//! Bytes of an image as the numbers that a network sees.

use crate::isa::{Isa, dispatch};
use crate::lanes::{LANES, Lanes};
use std::ops::Index;

/// The value of each pixel value: `(pixel / 255 - mean) / std`, rounded after each operation.
#[derive(Clone, Debug)]
pub struct PixelTable {
    mean: f32,
    std: f32,
    values: [f32; 256],
    /// Whether [`quotients`] gives the table's bits.
    exact: bool,
}

impl PixelTable {
    /// Works all values out.
    pub fn new(mean: f32, std: f32) -> PixelTable {
        let values: [f32; 256] = std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std);
        let exact = values.iter().enumerate().all(|(pixel, value)| {
            let by_products = quotients(pixel as f32, mean, std, |a, b, c| a.mul_add(b, c));
            by_products.to_bits() == value.to_bits()
        });
        PixelTable { mean, std, values, exact }
    }
}

impl Index<usize> for PixelTable {
    type Output = f32;
    fn index(&self, pixel: usize) -> &f32 {
        &self.values[pixel]
    }
}

/// The value of `pixel` without a division: a product with the reciprocal, and its rounding error put right.
fn quotients(pixel: f32, mean: f32, std: f32, fma: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let divide = |a: f32, b: f32| {
        let q = a * (1.0 / b);
        fma(fma(-q, b, a), 1.0 / b, q)
    };
    divide(divide(pixel, 255.0) - mean, std)
}

/// Overwrites `out` with the values of `pixels`. Bit `i % 8` of `lit[i / 8]` says whether value `i` is not zero; `lit` is
/// [`lit_len`] bytes, or none where nobody asks.
pub fn pixel_values(isa: Isa, table: &PixelTable, pixels: &[u8], out: &mut [f32], lit: &mut [u8]) {
    assert_eq!(pixels.len(), out.len(), "one value per pixel");
    assert!(lit.is_empty() || lit.len() == lit_len(pixels.len()), "{} bytes for {} bits", lit.len(), pixels.len());
    dispatch!(isa, body(table: &PixelTable, pixels: &[u8], out: &mut [f32], lit: &mut [u8]))
}

/// Bytes that hold a bit for each of `pixels` pixels: two for every vector.
pub fn lit_len(pixels: usize) -> usize {
    2 * pixels.div_ceil(LANES)
}

#[inline(always)]
fn body<L: Lanes>(table: &PixelTable, pixels: &[u8], out: &mut [f32], lit: &mut [u8]) {
    let by_255 = (L::splat(255.0), L::splat(1.0 / 255.0));
    let by_std = (L::splat(table.std), L::splat(1.0 / table.std));
    let mean = L::splat(table.mean);
    let divide = |a: L::V, (b, reciprocal): (L::V, L::V)| {
        let q = L::mul(a, reciprocal);
        L::fma(L::fnma(q, b, a), reciprocal, q)
    };
    let whole = if table.exact { pixels.len() / LANES } else { 0 };
    for v in 0..whole {
        let at = v * LANES;
        // SAFETY: vector `v` is whole, in both slices (of equal length, as the caller asserts).
        let values = unsafe {
            let x = divide(L::load_bytes(pixels.as_ptr().add(at)), by_255);
            let values = divide(L::sub(x, mean), by_std);
            L::store(out.as_mut_ptr().add(at), values);
            values
        };
        if !lit.is_empty() {
            lit[2 * v..2 * v + 2].copy_from_slice(&L::nonzero(values).to_le_bytes());
        }
    }
    for v in whole..pixels.len().div_ceil(LANES) {
        let range = v * LANES..(v * LANES + LANES).min(pixels.len());
        let mut bits = 0_u16;
        for (l, (value, &pixel)) in out[range.clone()].iter_mut().zip(&pixels[range]).enumerate() {
            *value = table.values[usize::from(pixel)];
            bits |= u16::from(*value != 0.0) << l;
        }
        if !lit.is_empty() {
            lit[2 * v..2 * v + 2].copy_from_slice(&bits.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_every_isa;

    #[test]
    fn every_pixel_value_is_the_tables_on_every_isa() {
        for (mean, std) in [(0.0, 1.0), (0.1307, 0.3081), (0.5, 0.5), (-1e6, 1e-6), (1e6, 1e6), (0.2, 7e-4)] {
            let pixels: Vec<u8> = (0..=255).chain((0..=255).rev()).chain([0, 9, 0]).collect();
            let table = PixelTable::new(mean, std);
            assert!(table.exact || std != 1.0, "the usual case is fast");
            for len in [0, 1, 15, 16, 17, 256, pixels.len()] {
                on_every_isa(|isa| {
                    let (mut out, mut lit) = (vec![f32::NAN; len], vec![0xAA; lit_len(len)]);
                    pixel_values(isa, &table, &pixels[..len], &mut out, &mut lit);
                    for (i, (&value, &pixel)) in out.iter().zip(&pixels).enumerate() {
                        let expected = (f32::from(pixel) / 255.0 - mean) / std;
                        assert_eq!(value.to_bits(), expected.to_bits(), "{pixel} at {i}, mean {mean}, std {std}");
                        assert_eq!(lit[i / 8] >> (i % 8) & 1 == 1, value != 0.0, "bit {i}");
                    }
                    let bits: u32 = lit.iter().map(|b| b.count_ones()).sum();
                    assert_eq!(bits as usize, out.iter().filter(|v| **v != 0.0).count(), "bits beyond the end");
                    pixel_values(isa, &table, &pixels[..len], &mut out, &mut []);
                    out.iter().map(|v| v.to_bits()).collect()
                });
            }
        }
    }
}
