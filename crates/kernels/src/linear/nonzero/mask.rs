//! Bits that say which pixels are not zero: by image, and turned around, by input.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;
use std::ops::Range;

/// Bytes that hold a bit for each of `n` things: whole words of 64 bits, little-endian.
pub fn mask_len(n: usize) -> usize {
    8 * n.div_ceil(64)
}

/// Overwrites `mask`, [`mask_len`] bytes, with a bit for each of `pixels`: whether it is not zero.
///
/// # Panics
/// If `mask` has another length.
pub fn mask_by_image(isa: Isa, pixels: &[u8], mask: &mut [u8]) {
    assert_eq!(mask.len(), mask_len(pixels.len()), "a bit for each of {} pixels", pixels.len());
    dispatch!(isa, mask_body(pixels: &[u8], mask: &mut [u8]))
}

#[inline(always)]
fn mask_body<L: Lanes>(simd: L, pixels: &[u8], mask: &mut [u8]) {
    for (pixels, mask) in pixels.chunks(64).zip(mask.chunks_exact_mut(8)) {
        let mut rest = [0; 64];
        let from = if pixels.len() == 64 {
            pixels.as_ptr()
        } else {
            rest[..pixels.len()].copy_from_slice(pixels);
            rest.as_ptr()
        };
        // SAFETY: 64 bytes, of a whole piece or of `rest`.
        mask.copy_from_slice(&unsafe { simd.nonzero_bytes(from) }.to_le_bytes());
    }
}

/// The `w`-th 64 bits.
#[inline(always)]
pub(super) fn word(bits: &[u8], w: usize) -> u64 {
    u64::from_le_bytes(bits[8 * w..8 * w + 8].try_into().expect("eight bytes"))
}

/// Turns the bits around: from a bit for every pixel of each of `rows` images, which begin `mask_len(inputs)` bytes
/// apart, to a bit for every image of each of the inputs `64 * words.start..64 * words.end`. `out`: [`mask_len`] of
/// `rows` bytes for each of these.
///
/// # Panics
/// If `mask` or `out` has another length.
pub fn mask_by_input(isa: Isa, mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]) {
    let (from, to) = (mask_len(inputs), mask_len(rows));
    assert!(mask.len() == rows * from && words.end * 8 <= from, "a bit for every pixel");
    assert_eq!(out.len(), 64 * words.len() * to, "a bit for every image");
    dispatch!(isa, turned_body(mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]))
}

#[inline(always)]
fn turned_body<L: Lanes>(_: L, mask: &[u8], inputs: usize, rows: usize, words: Range<usize>, out: &mut [u8]) {
    let (from, to) = (mask_len(inputs), mask_len(rows));
    let first = words.start;
    for w in words {
        for n in (0..rows).step_by(64) {
            let mut square = [0_u64; 64];
            for (bits, mask) in square.iter_mut().zip(mask.chunks_exact(from).skip(n)) {
                *bits = word(mask, w);
            }
            turn::<32>(&mut square);
            turn::<16>(&mut square);
            turn::<8>(&mut square);
            turn::<4>(&mut square);
            turn::<2>(&mut square);
            turn::<1>(&mut square);
            let out = &mut out[64 * (w - first) * to..][..64 * to];
            for (out, bits) in out.chunks_exact_mut(to).zip(square) {
                out[n / 8..n / 8 + 8].copy_from_slice(&bits.to_le_bytes());
            }
        }
    }
}

/// Swaps the upper right and the lower left quarter of each `2 D x 2 D` square of bits on the diagonal, and of those
/// like it (H. S. Warren, *Hacker's Delight*, "Transposing a bit matrix").
#[inline(always)]
fn turn<const D: usize>(square: &mut [u64; 64]) {
    // D ones, D zeros, and so on.
    let mask = !0 / ((1 << D) + 1);
    for rows in square.chunks_exact_mut(2 * D) {
        let (upper, lower) = rows.split_at_mut(D);
        for (a, b) in upper.iter_mut().zip(lower) {
            let swap = ((*a >> D) ^ *b) & mask;
            *b ^= swap;
            *a ^= swap << D;
        }
    }
}
