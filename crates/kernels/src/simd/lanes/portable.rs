//! Lanes in plain arrays, for any processor.

use super::{LANES, Lanes};

/// Plain arrays; `mul_add` is exact everywhere, if slow where the processor has no fused multiply-add.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        out[l] = f(a[l], b[l]);
    }
    out
}

/// The bits of the nearest bf16, ties to even, a subnormal as zero.
#[inline(always)]
fn round(x: f32) -> u32 {
    if x.is_nan() {
        return 0x7FC0;
    }
    let bits = flush(x).to_bits();
    bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16
}

/// A subnormal as zero of the same sign.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}

/// The first number of a pair of bf16.
#[inline(always)]
fn first_of(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

/// The second number of a pair of bf16.
#[inline(always)]
fn second_of(pair: u32) -> f32 {
    f32::from_bits(pair & 0xFFFF_0000)
}

impl Lanes for Portable {
    type V = [f32; LANES];
    type P = [u32; LANES];
    type U = [u32; LANES];
    const TILE: (usize, usize) = (4, 1);
    const COMPLEX_TILE: (usize, usize) = (2, 1);
    const DOT_ROWS: usize = 2;

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable f32; the read is unaligned.
        unsafe { p.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises sixteen writable f32; the write is unaligned.
        unsafe { p.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for l in 0..LANES {
            out[l] = a[l].mul_add(b[l], c[l]);
        }
        out
    }
    #[inline(always)]
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for l in 0..LANES {
            out[l] = (-a[l]).mul_add(b[l], c[l]);
        }
        out
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x / y)
    }
    #[inline(always)]
    fn select_greater_or_nan(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        let mut out = y;
        for l in 0..LANES {
            if a[l] > b[l] || a[l].is_nan() {
                out[l] = x[l];
            }
        }
        out
    }
    #[inline(always)]
    fn select_equal(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        std::array::from_fn(|l| if a[l] == b[l] { x[l] } else { y[l] })
    }
    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, v: Self::V) {
        // SAFETY: the caller promises sixteen writable bytes.
        unsafe { p.cast::<[u8; LANES]>().write(v.map(|x| x as u8)) }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, p: *const u8) -> Self::V {
        // SAFETY: the caller promises sixteen readable bytes.
        unsafe { p.cast::<[u8; LANES]>().read() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: *const f32) -> Self::P {
        // SAFETY: the caller promises sixteen readable pairs.
        unsafe { p.cast::<Self::P>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32, v: Self::P) {
        // SAFETY: the caller promises sixteen writable pairs.
        unsafe { p.cast::<Self::P>().write_unaligned(v) }
    }
    #[inline(always)]
    fn splat_pair(self, pair: f32) -> Self::P {
        [pair.to_bits(); LANES]
    }
    #[inline(always)]
    fn pack(self, first: Self::V, second: Self::V) -> Self::P {
        std::array::from_fn(|l| round(second[l]) << 16 | round(first[l]))
    }
    #[inline(always)]
    fn pack_neighbours(self, low: Self::V, high: Self::V) -> Self::P {
        let at = |n: usize| if n < LANES { low[n] } else { high[n - LANES] };
        std::array::from_fn(|l| round(at(2 * l + 1)) << 16 | round(at(2 * l)))
    }
    #[inline(always)]
    fn turn(self, pairs: Self::P) -> Self::P {
        pairs.map(|pair| pair.rotate_left(16) ^ 0x8000)
    }
    #[inline(always)]
    fn dot(self, a: Self::P, b: Self::P, c: Self::V) -> Self::V {
        std::array::from_fn(|l| {
            let sum = flush(second_of(a[l]).mul_add(second_of(b[l]), flush(c[l])));
            flush(first_of(a[l]).mul_add(first_of(b[l]), sum))
        })
    }
    #[inline(always)]
    fn dot_apart(self, a: Self::P, b: Self::P, first: Self::V, second: Self::V) -> (Self::V, Self::V) {
        (
            std::array::from_fn(|l| flush(first_of(a[l]).mul_add(first_of(b[l]), first[l]))),
            std::array::from_fn(|l| flush(second_of(a[l]).mul_add(second_of(b[l]), second[l]))),
        )
    }
    #[inline(always)]
    fn add_flushed(self, a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| flush(flush(x) + flush(y)))
    }
    #[inline(always)]
    unsafe fn load_halves(self, low: *const f32, high: *const f32) -> Self::V {
        // SAFETY: the caller promises eight readable f32 each.
        let (low, high) =
            unsafe { (low.cast::<[f32; 8]>().read_unaligned(), high.cast::<[f32; 8]>().read_unaligned()) };
        std::array::from_fn(|l| if l < 8 { low[l] } else { high[l - 8] })
    }
    #[inline(always)]
    fn index(self, v: Self::V) -> Self::U {
        v.map(|x| x as u32)
    }
    #[inline(always)]
    fn next(self, index: Self::U) -> Self::U {
        index.map(|i| i + 1)
    }
    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U {
        [x; LANES]
    }
    #[inline(always)]
    fn count_from(self, first: u32) -> Self::U {
        std::array::from_fn(|l| first.wrapping_add(l as u32))
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::U, b: u32) -> (Self::U, Self::U) {
        let products = a.map(|a| u64::from(a) * u64::from(b));
        (products.map(|p| (p >> 32) as u32), products.map(|p| p as u32))
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        std::array::from_fn(|l| a[l] ^ b[l])
    }
    #[inline(always)]
    fn at_least(self, a: Self::U, bound: u32) -> u32 {
        (0..LANES).fold(0, |bits, l| bits | u32::from(a[l] >= bound) << l)
    }
    #[inline(always)]
    fn keep(self, bits: u32, v: Self::V) -> Self::V {
        std::array::from_fn(|l| if bits >> l & 1 == 1 { v[l] } else { 0.0 })
    }
    #[inline(always)]
    fn pick(self, v: Self::V, index: Self::U) -> Self::V {
        index.map(|i| v[i as usize % LANES])
    }
    #[inline(always)]
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let half = |from: usize| std::array::from_fn(|l| if l % 2 == 0 { a[from + l / 2] } else { b[from + l / 2] });
        (half(0), half(LANES / 2))
    }
    #[inline(always)]
    fn nonzero(self, a: Self::V) -> u32 {
        (0..LANES).fold(0, |mask, l| mask | u32::from(a[l] != 0.0) << l)
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        let mut half = a;
        for width in [8, 4, 2, 1] {
            for l in 0..width {
                half[l] += half[l + width];
            }
        }
        half[0]
    }
    #[inline(always)]
    unsafe fn nonzero_bytes(self, p: *const u8) -> u64 {
        // SAFETY: the caller promises 64 readable bytes.
        let bytes = unsafe { p.cast::<[u8; 64]>().read() };
        (0..64).fold(0, |bits, i| bits | u64::from(bytes[i] != 0) << i)
    }
}
