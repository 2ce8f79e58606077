//! Helpers of the kernels' tests, with tests of their own.

use crate::{Isa, Planes};

/// Repeatable values in -1..1, different for each `salt`.
pub(crate) fn values(n: usize, salt: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| {
            let mut h = i.wrapping_mul(0x9E37_79B9) ^ salt.wrapping_mul(0x85EB_CA6B);
            h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
            h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
            h ^= h >> 16;
            (h >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Runs `test` on every instruction set of this machine and asserts that all return the same bits.
pub(crate) fn on_every_isa(test: impl Fn(Isa) -> Vec<u32>) {
    let results: Vec<_> = Isa::available().iter().map(|&isa| (isa.name(), test(isa))).collect();
    assert_same_bits(&results);
}

fn assert_same_bits(results: &[(&str, Vec<u32>)]) {
    let (first, expected) = &results[0];
    for (name, bits) in results {
        assert!(bits == expected, "{name} and {first} differ in bits");
    }
}

/// Whether a case with about so many multiply-adds is for another day: Miri is some ten thousand times slower than a
/// processor, and small cases meet every tile and every edge too.
pub(crate) fn too_large(multiply_adds: usize) -> bool {
    cfg!(miri) && multiply_adds > 15_000
}

/// Asserts `|got - expected| <= tolerance * max(1, largest |expected|)` for every element; NaN never passes.
///
/// The scale is that of the whole array because a sum of n products has an error of the size of its terms, not of
/// its result, which may have cancelled.
pub(crate) fn assert_close(got: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let scale = expected.iter().fold(1.0_f64, |m, e| m.max(e.abs()));
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(g) - e).abs();
        assert!(error <= tolerance * scale, "{what}: element {i} is {g}, expected {e} (scale {scale})");
    }
}

/// `[rows, width]` with rows `stride` apart; the gap is zero.
pub(crate) fn pack_rows(dense: &[f32], width: usize, stride: usize) -> Vec<f32> {
    let mut out = vec![0.0; dense.len() / width * stride];
    for (from, to) in dense.chunks(width).zip(out.chunks_mut(stride)) {
        to[..width].copy_from_slice(from);
    }
    out
}

/// `[C, H, W]` into planes.
pub(crate) fn pack_image(image: &[f32], planes: &Planes) -> Vec<f32> {
    let mut out = vec![0.0; planes.len()];
    for c in 0..planes.channels {
        for y in 0..planes.height {
            for x in 0..planes.width {
                out[planes.index(c, y, x)] = image[(c * planes.height + y) * planes.width + x];
            }
        }
    }
    out
}

/// Planes into `[C, H, W]`.
pub(crate) fn unpack_image(packed: &[f32], planes: &Planes) -> Vec<f32> {
    let mut out = Vec::with_capacity(planes.channels * planes.height * planes.width);
    for c in 0..planes.channels {
        for y in 0..planes.height {
            for x in 0..planes.width {
                out.push(packed[planes.index(c, y, x)]);
            }
        }
    }
    out
}

/// Asserts that everything outside the pixels of real channels is zero.
pub(crate) fn assert_padding_is_zero(packed: &[f32], planes: &Planes, what: &str) {
    let mut rest = packed.to_vec();
    for c in 0..planes.channels {
        for y in 0..planes.height {
            for x in 0..planes.width {
                rest[planes.index(c, y, x)] = 0.0;
            }
        }
    }
    assert!(rest.iter().all(|v| *v == 0.0), "{what}: the padding is not zero");
}

mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "element 1")]
    fn assert_close_sees_a_wrong_element() {
        assert_close(&[1.0, 2.0, 3.0], &[1.0, 2.1, 3.0], 1e-3, "test");
    }

    #[test]
    #[should_panic(expected = "element 0")]
    fn assert_close_refuses_nan() {
        assert_close(&[f32::NAN], &[0.0], 1e9, "test");
    }

    #[test]
    #[should_panic(expected = "second and first differ in bits")]
    fn assert_same_bits_sees_a_difference() {
        assert_same_bits(&[("first", vec![1, 2]), ("second", vec![1, 3])]);
    }

    #[test]
    fn values_are_spread_over_their_range() {
        let v = values(10_000, 7);
        let mean = v.iter().sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.03 && v.iter().all(|x| (-1.0..1.0).contains(x)));
        assert_ne!(values(4, 1), values(4, 2));
    }

    #[test]
    fn packing_an_image_and_back_is_the_identity() {
        let planes = Planes::with_border(19, 16, 5, 3, [1, 2, 3, 0], (2, 3));
        let image = values(19 * 15, 1);
        let packed = pack_image(&image, &planes);
        assert_eq!(unpack_image(&packed, &planes), image);
        assert_padding_is_zero(&packed, &planes, "packed");
    }
}
