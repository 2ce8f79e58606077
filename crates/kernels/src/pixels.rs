//! Bytes of an image as the numbers that a network sees.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// The value of each pixel value: `(pixel / 255 - mean) / std`, rounded after each operation, with mean and deviation
/// of its channel.
#[derive(Clone, Debug)]
pub struct PixelTable {
    /// One for each channel, or one for all.
    channels: Vec<ChannelTable>,
    /// Pixels of a channel; beyond every image where there is one for all.
    plane: usize,
}

/// A [`PixelTable`] of one channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChannelTable {
    mean: f32,
    std: f32,
    values: [f32; 256],
    /// Whether [`quotients`] gives the table's bits.
    exact: bool,
}

impl PixelTable {
    /// With one mean and deviation for all pixels.
    pub fn new(mean: f32, std: f32) -> PixelTable {
        PixelTable { channels: vec![ChannelTable::new(mean, std)], plane: usize::MAX }
    }

    /// With a mean and a deviation for each channel of images `[C, H, W]`, whose channels have `plane` pixels.
    ///
    /// # Panics
    /// If there is no channel, or a channel has no pixels.
    pub fn per_channel(channels: impl IntoIterator<Item = (f32, f32)>, plane: usize) -> PixelTable {
        let mut channels: Vec<_> = channels.into_iter().map(|(mean, std)| ChannelTable::new(mean, std)).collect();
        assert!(!channels.is_empty() && plane > 0, "{} channels of {plane} pixels", channels.len());
        if channels.iter().all(|channel| *channel == channels[0]) {
            channels.truncate(1);
            return PixelTable { channels, plane: usize::MAX };
        }
        PixelTable { channels, plane }
    }

    /// Whether all channels have the same values.
    pub fn is_one_for_all(&self) -> bool {
        self.channels.len() == 1
    }

    /// Whether a pixel that is zero is worth nothing, so that it can be left out.
    pub fn zero_is_nothing(&self) -> bool {
        self.channels.iter().all(|channel| channel.values[0] == 0.0)
    }

    /// The value of `pixel` at place `at` of an image.
    ///
    /// # Panics
    /// If the images have no such place.
    pub fn at(&self, at: usize, pixel: u8) -> f32 {
        self.of(at).values[usize::from(pixel)]
    }

    /// That of the pixel at place `at` of an image.
    #[inline(always)]
    pub(crate) fn of(&self, at: usize) -> &ChannelTable {
        &self.channels[at / self.plane]
    }

    /// That of the pixels at these places, at least one, if it is the same.
    #[inline(always)]
    pub(crate) fn same(&self, places: Range<usize>) -> Option<&ChannelTable> {
        let channel = places.start / self.plane;
        (places.end <= (channel + 1) * self.plane).then(|| &self.channels[channel])
    }
}

impl ChannelTable {
    /// Works all values out.
    fn new(mean: f32, std: f32) -> ChannelTable {
        let values: [f32; 256] = std::array::from_fn(|pixel| (pixel as f32 / 255.0 - mean) / std);
        let exact = values.iter().enumerate().all(|(pixel, value)| {
            let by_products = quotients(pixel as f32, mean, std, |a, b, c| a.mul_add(b, c));
            by_products.to_bits() == value.to_bits()
        });
        ChannelTable { mean, std, values, exact }
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
        let (images, table) = (self.pixels.len() / self.inputs, self.table);
        let channels = table.is_one_for_all() || table.channels.len().checked_mul(table.plane) == Some(inputs);
        assert!(channels, "{} channels of {} pixels are {inputs}", table.channels.len(), table.plane);
        assert!(self.inputs == inputs && self.indices.iter().all(|&n| (n as usize) < images), "images of the data");
    }
}

/// Overwrites `out` with the values of `pixels`, those from place `at` of an image on, all of which have the same table.
///
/// # Panics
/// If the slices differ in length, or channels with other values meet between them.
pub fn pixel_values(isa: Isa, table: &PixelTable, at: usize, pixels: &[u8], out: &mut [f32]) {
    assert_eq!(pixels.len(), out.len(), "one value per pixel");
    let table = table.same(at..at + pixels.len().max(1)).expect("one table for all of the pixels");
    dispatch!(isa, body(table: &ChannelTable, pixels: &[u8], out: &mut [f32]))
}

#[inline(always)]
fn body<L: Lanes>(simd: L, table: &ChannelTable, pixels: &[u8], out: &mut [f32]) {
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

/// A [`ChannelTable`] for whole vectors.
pub(crate) struct Values<'a, L: Lanes> {
    simd: L,
    table: &'a ChannelTable,
    mean: L::V,
    high: L::V,
    low: L::V,
    by_std: (L::V, L::V),
    /// The mean is 0 and the deviation 1, as most data sets have it.
    plain: bool,
}

impl<'a, L: Lanes> Values<'a, L> {
    #[inline(always)]
    pub(crate) fn new(simd: L, table: &'a ChannelTable) -> Self {
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
            assert!(table.of(0).exact || std != 1.0, "the usual case is fast");
            for len in [0, 1, 15, 16, 17, 256, pixels.len()] {
                on_every_isa(|isa| {
                    let mut out = vec![f32::NAN; len];
                    pixel_values(isa, &table, 0, &pixels[..len], &mut out);
                    for (i, (&value, &pixel)) in out.iter().zip(&pixels).enumerate() {
                        let expected = (f32::from(pixel) / 255.0 - mean) / std;
                        assert_eq!(value.to_bits(), expected.to_bits(), "{pixel} at {i}, mean {mean}, std {std}");
                    }
                    out.iter().map(|v| v.to_bits()).collect()
                });
            }
        }
    }

    #[test]
    fn each_channel_has_its_own_values() {
        let numbers = [(0.49, 0.25), (0.0, 0.5), (0.45, 0.26)];
        let (table, pixels) = (PixelTable::per_channel(numbers, 20), [0, 7, 255, 100, 9].repeat(12));
        let mut out = vec![f32::NAN; 60];
        for channel in 0..3 {
            let places = channel * 20..channel * 20 + 20;
            pixel_values(Isa::detect(), &table, places.start, &pixels[places.clone()], &mut out[places]);
        }
        for (at, (&value, &pixel)) in out.iter().zip(&pixels).enumerate() {
            let (mean, std) = numbers[at / 20];
            assert_eq!(value, (f32::from(pixel) / 255.0 - mean) / std, "{pixel} at {at}");
            assert_eq!(value, table.at(at, pixel), "{pixel} at {at}");
        }
        assert!(!table.is_one_for_all() && !table.zero_is_nothing());
        assert!(table.same(0..20).is_some() && table.same(19..21).is_none());
        let same = PixelTable::per_channel([(0.0, 0.5); 3], 20);
        assert!(same.is_one_for_all() && same.zero_is_nothing() && same.same(0..60).is_some());
        assert!(PixelTable::per_channel([(0.0, 0.5), (0.0, 0.7)], 9).zero_is_nothing());
    }

    #[test]
    #[should_panic(expected = "one table for all of the pixels")]
    fn pixels_of_two_channels_are_refused() {
        let table = PixelTable::per_channel([(0.1, 0.5), (0.2, 0.5)], 9);
        pixel_values(Isa::detect(), &table, 5, &[0; 5], &mut [0.0; 5]);
    }
}
