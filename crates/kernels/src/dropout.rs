//! Dropout: which elements are kept, as one bit each, and what is left of the others.
//!
//! The bits come from Philox4x32 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
//! 2011): each number is a function of a key and a counter, of products of 32 bits, which every processor has for whole
//! vectors. Seven rounds are the fewest that pass all of TestU01's BigCrush there; nothing here resists an adversary.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Rounds of Philox.
const ROUNDS: usize = 7;

/// Elements whose bits are made at a time: the four numbers of sixteen counters.
const AT_ONCE: usize = 4 * LANES;

/// Bytes of the mask of so many elements: a bit each, and what is read beyond the last.
pub fn mask_len(elements: usize) -> usize {
    elements.div_ceil(AT_ONCE) * AT_ONCE / 8 + 4
}

/// Overwrites `mask` with a bit for each element, 1 where it is kept, from the lowest bit of the first byte on.
///
/// Element e is dropped if its random number is below `threshold`: with probability `threshold / 2^32`. That is number
/// `e / 16 % 4` of the four that belong to counter `(e / 64 * 16 + e % 16, of)`. Masks differ by their `key` or by
/// `of`.
///
/// # Panics
/// If `mask` is not as long as [`mask_len`] says for any number of elements, or that is 2^34 or more.
pub fn dropout_mask(isa: Isa, threshold: u32, key: u64, of: [u32; 3], mask: &mut [u8]) {
    let groups = (mask.len().saturating_sub(4) / (AT_ONCE / 8)).min(1 << 28);
    assert_eq!(mask.len(), mask_len(groups * AT_ONCE), "a mask is of whole groups of {AT_ONCE} elements");
    let mask = &mut mask[..groups * AT_ONCE / 8];
    dispatch!(isa, mask_body(threshold: u32, key: u64, of: [u32; 3], mask: &mut [u8]))
}

#[inline(always)]
fn mask_body<L: Lanes>(simd: L, threshold: u32, key: u64, of: [u32; 3], mask: &mut [u8]) {
    for (group, bits) in (0_u32..).zip(mask.as_chunks_mut::<{ AT_ONCE / 8 }>().0) {
        *bits = kept(simd, threshold, key, of, group).to_le_bytes();
    }
}

/// The bits of group `group` of elements.
#[inline(always)]
fn kept<L: Lanes>(simd: L, threshold: u32, key: u64, of: [u32; 3], group: u32) -> u64 {
    let mut key = [key as u32, (key >> 32) as u32];
    let [b, c, d] = of.map(|word| simd.splat_u32(word));
    let mut counter = [simd.count_from(group * LANES as u32), b, c, d];
    for _ in 0..ROUNDS {
        let [a, b, c, d] = counter;
        let (first, second) = (simd.mul_wide(a, 0xD251_1F53), simd.mul_wide(c, 0xCD9E_8D57));
        let mix = |high, word, key| simd.xor(simd.xor(high, word), simd.splat_u32(key));
        counter = [mix(second.0, b, key[0]), second.1, mix(first.0, d, key[1]), first.1];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    let mut kept = 0;
    for word in 0..4 {
        kept |= u64::from(simd.at_least(counter[word], threshold)) << (16 * word);
    }
    kept
}

/// What [`dropout_mask`] and [`dropout_apply`] do, in place and without a mask: elements `first` on, a multiple of 16.
///
/// # Panics
/// If `first` is none, or the last element is number 2^34 or more.
pub fn dropout_in_place(isa: Isa, threshold: u32, key: u64, of: [u32; 3], first: usize, scale: f32, y: &mut [f32]) {
    assert!(first.is_multiple_of(LANES), "elements from {first} on do not begin with a vector");
    assert!((first + y.len()).div_ceil(AT_ONCE) <= 1 << 28, "elements {first} to {}", first + y.len());
    dispatch!(
        isa,
        in_place_body(threshold: u32, key: u64, of: [u32; 3], first: usize, scale: f32, y: &mut [f32])
    )
}

#[inline(always)]
fn in_place_body<L: Lanes>(
    simd: L,
    threshold: u32,
    key: u64,
    of: [u32; 3],
    first: usize,
    scale: f32,
    mut y: &mut [f32],
) {
    let mut element = first;
    while !y.is_empty() {
        let bits = kept(simd, threshold, key, of, (element / AT_ONCE) as u32) >> (element % AT_ONCE);
        let (group, rest) = y.split_at_mut(y.len().min(AT_ONCE - element % AT_ONCE));
        element += group.len();
        y = rest;
        let (vectors, last) = group.as_chunks_mut::<LANES>();
        for (n, y) in vectors.iter_mut().enumerate() {
            // SAFETY: it holds sixteen.
            unsafe {
                let scaled = simd.mul(simd.load(y.as_ptr()), simd.splat(scale));
                simd.store(y.as_mut_ptr(), simd.keep((bits >> (n * LANES)) as u32, scaled));
            }
        }
        for (n, y) in (vectors.len() * LANES..).zip(last) {
            *y = if bits >> n & 1 == 1 { *y * scale } else { 0.0 };
        }
    }
}

/// `y = scale * x` where the element is kept, and 0 where it is not, whatever `x` is there. The elements are those of
/// the mask from number `first` on.
///
/// # Panics
/// If `x` and `y` differ in length, or the mask is too short.
pub fn dropout_apply(isa: Isa, mask: &[u8], first: usize, scale: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "one output per input");
    assert!(mask.len() >= mask_len(first + x.len()), "a bit for each of {} elements", first + x.len());
    dispatch!(isa, apply_body(mask: &[u8], first: usize, scale: f32, x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn apply_body<L: Lanes>(simd: L, mask: &[u8], first: usize, scale: f32, x: &[f32], y: &mut [f32]) {
    // Sixteen bits from any one on.
    let bits_at = |at: usize| {
        let bytes: [u8; 4] = mask[at / 8..at / 8 + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) >> (at % 8)
    };
    let (vectors, rest) = x.as_chunks::<LANES>();
    let (y_vectors, y_rest) = y.as_chunks_mut::<LANES>();
    for (n, (x, y)) in vectors.iter().zip(y_vectors).enumerate() {
        // SAFETY: both hold sixteen.
        unsafe {
            let scaled = simd.mul(simd.load(x.as_ptr()), simd.splat(scale));
            simd.store(y.as_mut_ptr(), simd.keep(bits_at(first + n * LANES), scaled));
        }
    }
    if !rest.is_empty() {
        let bits = bits_at(first + vectors.len() * LANES);
        for (n, (x, y)) in rest.iter().zip(y_rest).enumerate() {
            *y = if bits >> n & 1 == 1 { x * scale } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::philox4x32;
    use crate::testing::{on_every_isa, values};

    fn mask(isa: Isa, elements: usize, threshold: u32, key: u64, of: [u32; 3]) -> Vec<bool> {
        let mut mask = vec![0xA5; mask_len(elements)];
        dropout_mask(isa, threshold, key, of, &mut mask);
        (0..elements).map(|e| mask[e / 8] >> (e % 8) & 1 == 1).collect()
    }

    #[test]
    fn in_place_is_what_the_mask_says() {
        for (elements, first) in [(1, 0), (200, 0), (200, 16), (77, 48), (130, 64), (64, 112), (5, 1008)] {
            let (threshold, key, of) = (1 << 30, 77, [3, 2, 1]);
            let x = values(elements, 5);
            on_every_isa(|isa| {
                let mut bits = vec![0; mask_len(first + elements)];
                dropout_mask(isa, threshold, key, of, &mut bits);
                let mut expected = vec![f32::NAN; elements];
                dropout_apply(isa, &bits, first, 1.25, &x, &mut expected);
                let mut y = x.clone();
                dropout_in_place(isa, threshold, key, of, first, 1.25, &mut y);
                assert_eq!(y, expected, "{elements} elements from {first} on, on {}", isa.name());
                y.iter().map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn a_mask_is_what_philox_says_on_every_isa() {
        for (elements, threshold, key, of) in [
            (1, 1 << 31, 0, [0; 3]),
            (1000, 0xC000_0000, 0x0123_4567_89AB_CDEF, [1, 2, 3]),
            (64, 0, 5, [u32::MAX; 3]),
            (129, u32::MAX, u64::MAX, [0, 1, u32::MAX]),
        ] {
            let expected: Vec<bool> = (0..elements)
                .map(|e| {
                    let counter = [(e / 64 * 16 + e % 16) as u32, of[0], of[1], of[2]];
                    philox4x32(7, counter, [key as u32, (key >> 32) as u32])[e / 16 % 4] >= threshold
                })
                .collect();
            on_every_isa(|isa| {
                assert_eq!(mask(isa, elements, threshold, key, of), expected, "{threshold:x} on {}", isa.name());
                Vec::new()
            });
        }
    }

    #[test]
    fn what_is_kept_is_scaled_and_what_is_not_is_zero_from_any_element_on() {
        let mut x = values(100, 1);
        (x[3], x[20], x[40]) = (f32::INFINITY, f32::NAN, -0.0);
        for (first, len) in [(0, 100), (0, 96), (16, 32), (3, 17), (7, 5), (63, 37), (1, 0)] {
            on_every_isa(|isa| {
                let (kept, mut bits) = (mask(isa, first + len, 1 << 31, 9, [0; 3]), vec![0; mask_len(first + len)]);
                dropout_mask(isa, 1 << 31, 9, [0; 3], &mut bits);
                let mut y = vec![7.0; len];
                dropout_apply(isa, &bits, first, 2.0, &x[..len], &mut y);
                for (e, y) in y.iter().enumerate() {
                    let expected = if kept[first + e] { 2.0 * x[e] } else { 0.0 };
                    assert!(y.to_bits() == expected.to_bits() || y.is_nan() && expected.is_nan(), "{first} + {e}: {y}");
                }
                Vec::new()
            });
        }
    }

    /// The share of elements that are kept in both of two masks, or in one and in what it says of their neighbours, is
    /// that of independent ones. Limits are five standard deviations of so many draws.
    #[test]
    fn masks_keep_their_share_and_know_nothing_of_each_other() {
        let elements = if cfg!(miri) { 1 << 9 } else { 1 << 18 };
        for probability in [0.1, 0.5, 0.8] {
            let threshold = (probability * 2.0_f64.powi(32)) as u32;
            let of = |key, of| mask(Isa::detect(), elements, threshold, key, of);
            let (one, p) = (of(1, [0, 0, 0]), 1.0 - probability);
            let near = |what: &str, kept: usize, of: usize, share: f64| {
                let (mean, sd) = (of as f64 * share, (of as f64 * share * (1.0 - share)).sqrt());
                // Overlapping pairs vary a little more than pairs of their own.
                assert!((kept as f64 - mean).abs() < 5.0 * 1.8 * sd, "{what} at {probability}: {kept} of {of}");
            };
            let kept = |mask: &[bool]| mask.iter().filter(|kept| **kept).count();
            near("kept", kept(&one), elements, p);
            let both = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && **b).count();
            for apart in [1, 2, 15, 16, 17, 32, 48, 64, 128, 144] {
                near(&format!("pairs {apart} apart"), both(&one, &one[apart..]), elements - apart, p * p);
            }
            for (what, other) in [
                ("next image", of(1, [1, 0, 0])),
                ("next step", of(1, [0, 1, 0])),
                ("much later", of(1, [0, 0, 1])),
                ("image and step", of(1, [1, 1, 0])),
                ("next key", of(2, [0, 0, 0])),
                ("far key", of(1 | 1 << 32, [0, 0, 0])),
            ] {
                near(what, kept(&other), elements, p);
                near(&format!("both, {what}"), both(&one, &other), elements, p * p);
                near(&format!("its neighbour, {what}"), both(&one, &other[1..]), elements - 1, p * p);
            }
        }
    }

    #[test]
    #[should_panic(expected = "whole groups")]
    fn a_mask_has_whole_groups() {
        dropout_mask(Isa::detect(), 1, 1, [0; 3], &mut [0; 11]);
    }
}
