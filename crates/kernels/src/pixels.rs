//! Bytes of an image as the numbers that a network sees.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
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

    /// Whether a pixel that is zero is worth nothing, so that it can be left out.
    pub fn zero_is_nothing(&self) -> bool {
        self.values[0] == 0.0
    }
}

impl Index<usize> for PixelTable {
    type Output = f32;
    fn index(&self, pixel: usize) -> &f32 {
        &self.values[pixel]
    }
}

/// 1 / 255 as a sum of two numbers, for a product that is rounded once: 255 * `HIGH` is off by less than an ulp.
const HIGH: f32 = 1.0 / 255.0;
const LOW: f32 = (1.0 / 255.0 - HIGH as f64) as f32;

/// The value of `pixel` without a division: products with the reciprocals, and what these lack (P. Markstein,
/// *Computation of elementary functions on the IBM RISC System/6000 processor*, 1990).
fn quotients(pixel: f32, mean: f32, std: f32, fma: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let x = fma(pixel, HIGH, pixel * LOW) - mean;
    let q = x * (1.0 / std);
    fma(fma(-q, std, x), 1.0 / std, q)
}

/// The images of a data set that a batch takes, for sums that may leave out zeros.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// All images of the data set, `inputs` pixels each.
    pub pixels: &'a [u8],
    /// Pixels of an image.
    pub inputs: usize,
    /// Which images the batch has.
    pub indices: &'a [u32],
    /// What a pixel is worth.
    pub table: &'a PixelTable,
}

impl Images<'_> {
    /// Panics unless these are images of `inputs` pixels that the data have.
    pub(crate) fn check(&self, inputs: usize) {
        let images = self.pixels.len() / self.inputs;
        assert!(self.inputs == inputs && self.indices.iter().all(|&n| (n as usize) < images), "images of the data");
    }
}

/// Overwrites `out` with the values of `pixels`.
///
/// # Panics
/// If the slices differ in length.
pub fn pixel_values(isa: Isa, table: &PixelTable, pixels: &[u8], out: &mut [f32]) {
    assert_eq!(pixels.len(), out.len(), "one value per pixel");
    dispatch!(isa, body(table: &PixelTable, pixels: &[u8], out: &mut [f32]))
}

#[inline(always)]
fn body<L: Lanes>(simd: L, table: &PixelTable, pixels: &[u8], out: &mut [f32]) {
    let whole = pixels.len() / LANES * LANES;
    let value = Values::new(simd, table);
    for at in (0..whole).step_by(LANES) {
        // SAFETY: the vector is whole, in both slices (of equal length, as the caller asserts).
        unsafe { simd.store(out.as_mut_ptr().add(at), value.of(pixels.as_ptr().add(at))) }
    }
    for (value, &pixel) in out.iter_mut().zip(pixels).skip(whole) {
        *value = table.values[usize::from(pixel)];
    }
}

/// A [`PixelTable`] for whole vectors.
pub(crate) struct Values<'a, L: Lanes> {
    simd: L,
    table: &'a PixelTable,
    mean: L::V,
    high: L::V,
    low: L::V,
    by_std: (L::V, L::V),
    /// The mean is 0 and the deviation 1, as most data sets have it.
    plain: bool,
}

impl<'a, L: Lanes> Values<'a, L> {
    #[inline(always)]
    pub(crate) fn new(simd: L, table: &'a PixelTable) -> Self {
        let plain = table.exact && table.mean == 0.0 && table.std == 1.0;
        let by_std = (simd.splat(table.std), simd.splat(1.0 / table.std));
        Values {
            simd,
            table,
            plain,
            mean: simd.splat(table.mean),
            high: simd.splat(HIGH),
            low: simd.splat(LOW),
            by_std,
        }
    }

    /// The values of 16 pixels.
    ///
    /// # Safety
    /// 16 bytes are readable at `pixels`.
    #[inline(always)]
    pub(crate) unsafe fn of(&self, pixels: *const u8) -> L::V {
        let simd = self.simd;
        // SAFETY: the caller promises 16 bytes; the array has 16 elements.
        unsafe {
            let by_products = || {
                let pixels = simd.load_bytes(pixels);
                simd.fma(pixels, self.high, simd.mul(pixels, self.low))
            };
            if self.plain {
                by_products()
            } else if self.table.exact {
                let x = by_products();
                let (x, (std, reciprocal)) = (simd.sub(x, self.mean), self.by_std);
                let q = simd.mul(x, reciprocal);
                simd.fma(simd.fnma(q, std, x), reciprocal, q)
            } else {
                let values: [f32; LANES] = std::array::from_fn(|i| self.table.values[usize::from(*pixels.add(i))]);
                simd.load(values.as_ptr())
            }
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
                    let mut out = vec![f32::NAN; len];
                    pixel_values(isa, &table, &pixels[..len], &mut out);
                    for (i, (&value, &pixel)) in out.iter().zip(&pixels).enumerate() {
                        let expected = (f32::from(pixel) / 255.0 - mean) / std;
                        assert_eq!(value.to_bits(), expected.to_bits(), "{pixel} at {i}, mean {mean}, std {std}");
                    }
                    out.iter().map(|v| v.to_bits()).collect()
                });
            }
        }
    }
}
