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

/// An element of what `tdpbf16ps` makes of a tile, as Intel's manual writes it down (Software Developer's Manual, volume
/// 2, "TDPBF16PS", with `temp1` and the element of `srcdest`): denormals are zero as operands and as results (DAZ = FTZ
/// = 1), rounding is to nearest even, each multiply-add is fused.
pub(crate) fn tdpbf16ps(srcdest: f32, pairs: &[[Pair; 2]]) -> f32 {
    assert!(pairs.len() <= 16, "a tile has 16 rows");
    let zeroed = |x: f32| if x.is_subnormal() { 0.0_f32.copysign(x) } else { x };
    let mut temp1 = [0.0_f32; 2];
    for [src1, src2] in pairs {
        for half in 0..2 {
            temp1[half] = zeroed(zeroed(src1[half]).mul_add(zeroed(src2[half]), zeroed(temp1[half])));
        }
    }
    let sum = zeroed(zeroed(temp1[0]) + zeroed(temp1[1]));
    zeroed(zeroed(srcdest) + sum)
}

/// Two numbers that bf16 holds.
pub(crate) type Pair = [f32; 2];

/// The two bf16 in the place of one f32.
pub(crate) fn unpack(pair: f32) -> Pair {
    [f32::from_bits(pair.to_bits() << 16), f32::from_bits(pair.to_bits() & 0xFFFF_0000)]
}

/// Pairs of bf16 in the place of f32, of sizes around `2^exponent`: 0 and -0 among them, and no subnormal, as rounding
/// makes none.
pub(crate) fn pairs_of_bf16(n: usize, exponent: i32, salt: u32) -> Vec<f32> {
    let scales = values(2 * n, salt + 1);
    let bits = |(value, scale): (&f32, &f32)| match scale {
        0.8.. => 0,
        0.75.. => 0x8000,
        // From 2^-8 to 2^6 times that.
        scale => (value * 2.0_f32.powi(exponent + (scale * 8.0) as i32)).to_bits() >> 16,
    };
    let halves: Vec<u32> = values(2 * n, salt).iter().zip(&scales).map(bits).collect();
    halves.chunks_exact(2).map(|pair| f32::from_bits(pair[0] | pair[1] << 16)).collect()
}

/// Bits to compare: those of every NaN are the same.
pub(crate) fn bits_but_for_nan(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
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
    fn a_tile_is_summed_in_two_chains_before_it_is_added() {
        let ones = [[[1.0, 1.0]; 2]; 16];
        let large = 2.0_f32.powi(24);
        assert_eq!(tdpbf16ps(large, &ones), large + 32.0, "a chain that begins with 2^24 stays there");
        assert_eq!(tdpbf16ps(0.5, &[[[large, 1.0], [1.0, 1.0]], [[-large, 1.0], [1.0, 1.0]]]), 2.5);
        let tiny = f32::MIN_POSITIVE / 2.0;
        assert_eq!(tdpbf16ps(-tiny, &[[[tiny, 0.0], [1e30, 0.0]]]).to_bits(), 0, "-0 and the two chains' +0");
        let (half, least) = ([0.5, 0.0], [f32::MIN_POSITIVE, 0.0]);
        assert_eq!(tdpbf16ps(0.0, &[[half, least], [half, least]]), 0.0, "each product is lost");
        assert_eq!(tdpbf16ps(1.5 * f32::MIN_POSITIVE, &[[[-1.0, 0.0], least]]), 0.0, "and what is left");
        assert!(tdpbf16ps(f32::INFINITY, &[[[-1.0, 1.0], [f32::INFINITY, 0.0]]]).is_nan());
    }

    #[test]
    fn made_up_pairs_are_bf16_and_none_is_subnormal() {
        for exponent in [-60, 0, 60] {
            let numbers: Vec<f32> = pairs_of_bf16(1_000, exponent, 1).into_iter().flat_map(unpack).collect();
            assert!(numbers.iter().all(|x| !x.is_subnormal() && x.is_finite()));
            assert!(numbers.iter().any(|x| x.to_bits() == 0) && numbers.iter().any(|x| x.to_bits() == 1 << 31));
            let largest = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!((2.0_f32.powi(exponent)..2.0_f32.powi(exponent + 8)).contains(&largest), "{largest}");
        }
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
