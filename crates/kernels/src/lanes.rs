//! Sixteen f32 lanes, the unit in which every kernel is written.
//!
//! A kernel body is generic over [`Lanes`] and compiled three times (see `dispatch!`). The number of lanes is sixteen on
//! every instruction set, so the order of every sum, and with it every bit, is the same everywhere; AVX2 holds a vector
//! in two registers, portable code in an array.
//!
//! The methods must be inlined into a function with the right target features, hence `inline(always)` throughout.

/// Lanes of one vector.
pub const LANES: usize = 16;

/// The operations that kernels need, and no more. Comparisons yield all-ones or all-zero lanes.
pub(crate) trait Lanes: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Sixteen pairs of bf16; in memory each takes the place of an f32, its first number in the low half.
    type P: Copy;
    /// Sixteen lane numbers.
    type Index: Copy;
    /// Largest register tile of [`crate::contract`]: rows by vectors.
    const TILE: (usize, usize);
    /// Largest register tile of [`crate::contract_complex`]: rows by complex vectors.
    const COMPLEX_TILE: (usize, usize);
    /// Largest register tile of dot products: rows of the one operand by rows of the other.
    const DOT: (usize, usize);

    /// # Safety
    /// Sixteen f32 are readable at `p`.
    unsafe fn load(p: *const f32) -> Self::V;
    /// # Safety
    /// Sixteen f32 are writable at `p`.
    unsafe fn store(p: *mut f32, v: Self::V);
    fn splat(x: f32) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded once.
    fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(a: Self::V, b: Self::V) -> Self::V;
    fn sub(a: Self::V, b: Self::V) -> Self::V;
    fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane `if a > b or a is NaN { x } else { y }`.
    fn select_greater_or_nan(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Lane by lane `if a == b { x } else { y }`.
    fn select_equal(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Stores each lane, a whole number in 0..256, as a byte.
    ///
    /// # Safety
    /// Sixteen bytes are writable at `p`.
    unsafe fn store_bytes(p: *mut u8, v: Self::V);
    /// Sixteen bytes as numbers.
    ///
    /// # Safety
    /// Sixteen bytes are readable at `p`.
    unsafe fn load_bytes(p: *const u8) -> Self::V;
    /// # Safety
    /// Sixteen pairs, in the place of sixteen f32, are readable at `p`.
    unsafe fn load_pairs(p: *const f32) -> Self::P;
    /// # Safety
    /// Sixteen pairs are writable at `p`.
    unsafe fn store_pairs(p: *mut f32, v: Self::P);
    /// Sixteen times the pair that has the bits of `pair`.
    fn splat_pair(pair: f32) -> Self::P;
    /// Lane l holds the pair `(first[l], second[l])`, rounded to the nearest bf16, ties to even, subnormals to zero.
    fn pack(first: Self::V, second: Self::V) -> Self::P;
    /// Thirty-two numbers that follow each other, rounded like [`Lanes::pack`], as sixteen pairs of neighbours.
    fn pack_neighbours(low: Self::V, high: Self::V) -> Self::P;
    /// Lane by lane `(a, b)` to `(-b, a)`.
    fn turn(pairs: Self::P) -> Self::P;
    /// Lane by lane the sum of `c`, the product of the second numbers, and then that of the first ones; rounded twice,
    /// subnormals taken and given as zero: what `vdpbf16ps` does.
    fn dot(a: Self::P, b: Self::P, c: Self::V) -> Self::V;
    /// Eight f32 from each of two places.
    ///
    /// # Safety
    /// Eight f32 are readable at `low` and at `high`.
    unsafe fn load_halves(low: *const f32, high: *const f32) -> Self::V;
    /// Whole numbers as lane numbers.
    fn index(v: Self::V) -> Self::Index;
    /// The lane numbers plus one.
    fn next(index: Self::Index) -> Self::Index;
    /// Lane by lane the lane `index % 16` of `v`.
    fn pick(v: Self::V, index: Self::Index) -> Self::V;
    /// Lanes of `a` and `b` in turn: those of their first halves, then of their second ones.
    fn interleave(a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// A bit for each lane that is not zero, NaN among them.
    fn nonzero(a: Self::V) -> u32;
    /// Sum of the lanes as a fixed tree: lane l with l+8, then l+4, l+2, l+1.
    fn sum(a: Self::V) -> f32;
    /// Bit i says whether byte i is not zero.
    ///
    /// # Safety
    /// 64 bytes are readable at `p`.
    unsafe fn nonzero_bytes(p: *const u8) -> u64;

    fn zero() -> Self::V {
        Self::splat(0.0)
    }
}

/// Lane i of vector j becomes lane j of vector i.
#[inline(always)]
pub(crate) fn transpose<L: Lanes>(mut rows: [L::V; LANES]) -> [L::V; LANES] {
    // Each round puts vectors i and i + 8 together, lane by lane: after four, every bit of a lane's place has moved on from
    // the number of its vector to the place in it.
    for _ in 0..4 {
        let mut next = rows;
        for i in 0..LANES / 2 {
            (next[2 * i], next[2 * i + 1]) = L::interleave(rows[i], rows[i + LANES / 2]);
        }
        rows = next;
    }
    rows
}

/// Asks for the cache line of `p` to be brought into L2. Any address will do: one that is not there is ignored.
#[inline(always)]
pub(crate) fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on time.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

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

impl Lanes for Portable {
    type V = [f32; LANES];
    type P = [u32; LANES];
    type Index = [u32; LANES];
    const TILE: (usize, usize) = (4, 1);
    const COMPLEX_TILE: (usize, usize) = (2, 1);
    const DOT: (usize, usize) = (2, 2);

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable f32; the read is unaligned.
        unsafe { p.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises sixteen writable f32; the write is unaligned.
        unsafe { p.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for l in 0..LANES {
            out[l] = a[l].mul_add(b[l], c[l]);
        }
        out
    }
    #[inline(always)]
    fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let mut out = c;
        for l in 0..LANES {
            out[l] = (-a[l]).mul_add(b[l], c[l]);
        }
        out
    }
    #[inline(always)]
    fn add(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn select_greater_or_nan(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        let mut out = y;
        for l in 0..LANES {
            if a[l] > b[l] || a[l].is_nan() {
                out[l] = x[l];
            }
        }
        out
    }
    #[inline(always)]
    fn select_equal(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        std::array::from_fn(|l| if a[l] == b[l] { x[l] } else { y[l] })
    }
    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, v: Self::V) {
        // SAFETY: the caller promises sixteen writable bytes.
        unsafe { p.cast::<[u8; LANES]>().write(v.map(|x| x as u8)) }
    }
    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> Self::V {
        // SAFETY: the caller promises sixteen readable bytes.
        unsafe { p.cast::<[u8; LANES]>().read() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const f32) -> Self::P {
        // SAFETY: the caller promises sixteen readable pairs.
        unsafe { p.cast::<Self::P>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_pairs(p: *mut f32, v: Self::P) {
        // SAFETY: the caller promises sixteen writable pairs.
        unsafe { p.cast::<Self::P>().write_unaligned(v) }
    }
    #[inline(always)]
    fn splat_pair(pair: f32) -> Self::P {
        [pair.to_bits(); LANES]
    }
    #[inline(always)]
    fn pack(first: Self::V, second: Self::V) -> Self::P {
        std::array::from_fn(|l| round(second[l]) << 16 | round(first[l]))
    }
    #[inline(always)]
    fn pack_neighbours(low: Self::V, high: Self::V) -> Self::P {
        let at = |n: usize| if n < LANES { low[n] } else { high[n - LANES] };
        std::array::from_fn(|l| round(at(2 * l + 1)) << 16 | round(at(2 * l)))
    }
    #[inline(always)]
    fn turn(pairs: Self::P) -> Self::P {
        pairs.map(|pair| pair.rotate_left(16) ^ 0x8000)
    }
    #[inline(always)]
    fn dot(a: Self::P, b: Self::P, c: Self::V) -> Self::V {
        std::array::from_fn(|l| {
            let first = |pair: u32| f32::from_bits(pair << 16);
            let second = |pair: u32| f32::from_bits(pair & 0xFFFF_0000);
            let sum = flush(second(a[l]).mul_add(second(b[l]), flush(c[l])));
            flush(first(a[l]).mul_add(first(b[l]), sum))
        })
    }
    #[inline(always)]
    unsafe fn load_halves(low: *const f32, high: *const f32) -> Self::V {
        // SAFETY: the caller promises eight readable f32 each.
        let (low, high) =
            unsafe { (low.cast::<[f32; 8]>().read_unaligned(), high.cast::<[f32; 8]>().read_unaligned()) };
        std::array::from_fn(|l| if l < 8 { low[l] } else { high[l - 8] })
    }
    #[inline(always)]
    fn index(v: Self::V) -> Self::Index {
        v.map(|x| x as u32)
    }
    #[inline(always)]
    fn next(index: Self::Index) -> Self::Index {
        index.map(|i| i + 1)
    }
    #[inline(always)]
    fn pick(v: Self::V, index: Self::Index) -> Self::V {
        index.map(|i| v[i as usize % LANES])
    }
    #[inline(always)]
    fn interleave(a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let half = |from: usize| std::array::from_fn(|l| if l % 2 == 0 { a[from + l / 2] } else { b[from + l / 2] });
        (half(0), half(LANES / 2))
    }
    #[inline(always)]
    fn nonzero(a: Self::V) -> u32 {
        (0..LANES).fold(0, |mask, l| mask | u32::from(a[l] != 0.0) << l)
    }
    #[inline(always)]
    fn sum(a: Self::V) -> f32 {
        let mut half = a;
        for width in [8, 4, 2, 1] {
            for l in 0..width {
                half[l] += half[l + width];
            }
        }
        half[0]
    }
    #[inline(always)]
    unsafe fn nonzero_bytes(p: *const u8) -> u64 {
        // SAFETY: the caller promises 64 readable bytes.
        let bytes = unsafe { p.cast::<[u8; 64]>().read() };
        (0..64).fold(0, |bits, i| bits | u64::from(bytes[i] != 0) << i)
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// Two 256-bit registers a vector.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    /// One 512-bit register a vector; with or without the instructions for bf16.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512<const BF16: bool>;

    /// Lanes 0..4 hold the sums of lanes l and l+4 of eight; finishes the fixed tree.
    #[inline(always)]
    fn sum8(v: __m256) -> f32 {
        // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    /// One operation on both halves of an AVX2 vector.
    macro_rules! halves {
        ($f:ident($($x:ident),*)) => {
            // SAFETY: called only from code compiled with AVX2 and FMA (see `dispatch!`).
            unsafe { [$f($($x[0]),*), $f($($x[1]),*)] }
        };
    }

    /// Each of eight numbers, a subnormal as zero of the same sign.
    #[inline(always)]
    fn flush8(x: __m256) -> __m256 {
        // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            let small = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_andnot_ps(sign, x), _mm256_set1_ps(f32::MIN_POSITIVE));
            _mm256_blendv_ps(x, _mm256_and_ps(x, sign), small)
        }
    }

    /// The bits of eight numbers rounded to bf16, in the low halves (see `round`).
    #[inline(always)]
    fn round8(x: __m256) -> __m256i {
        // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
        unsafe {
            let bits = _mm256_castps_si256(flush8(x));
            let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let up = _mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7FFF)));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
            _mm256_blendv_epi8(_mm256_srli_epi32::<16>(up), _mm256_set1_epi32(0x7FC0), nan)
        }
    }

    impl Lanes for Avx2 {
        type V = [__m256; 2];
        type P = [__m256i; 2];
        type Index = [__m256i; 2];
        const TILE: (usize, usize) = (6, 1);
        const COMPLEX_TILE: (usize, usize) = (2, 1);
        const DOT: (usize, usize) = (2, 2);

        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            // SAFETY: the caller promises sixteen readable f32.
            unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            // SAFETY: the caller promises sixteen writable f32.
            unsafe {
                _mm256_storeu_ps(p, v[0]);
                _mm256_storeu_ps(p.add(8), v[1]);
            }
        }
        #[inline(always)]
        fn splat(x: f32) -> Self::V {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            unsafe { [_mm256_set1_ps(x); 2] }
        }
        #[inline(always)]
        fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            halves!(_mm256_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            halves!(_mm256_fnmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn add(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_add_ps(a, b))
        }
        #[inline(always)]
        fn sub(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_sub_ps(a, b))
        }
        #[inline(always)]
        fn mul(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_mul_ps(a, b))
        }
        #[inline(always)]
        fn select_greater_or_nan(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
            std::array::from_fn(|h| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe {
                    let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(a[h], b[h]);
                    let wins = _mm256_or_ps(greater, _mm256_cmp_ps::<_CMP_UNORD_Q>(a[h], a[h]));
                    _mm256_blendv_ps(y[h], x[h], wins)
                }
            })
        }
        #[inline(always)]
        fn select_equal(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
            std::array::from_fn(|h| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe { _mm256_blendv_ps(y[h], x[h], _mm256_cmp_ps::<_CMP_EQ_OQ>(a[h], b[h])) }
            })
        }
        #[inline(always)]
        unsafe fn store_bytes(p: *mut u8, v: Self::V) {
            // SAFETY: the caller promises sixteen writable bytes; compiled with AVX2.
            unsafe {
                let (low, high) = (_mm256_cvttps_epi32(v[0]), _mm256_cvttps_epi32(v[1]));
                // Packing works on 128-bit halves: put them back in order.
                let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
                let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                _mm_storeu_si128(p.cast(), bytes);
            }
        }
        #[inline(always)]
        unsafe fn load_bytes(p: *const u8) -> Self::V {
            // SAFETY: the caller promises sixteen readable bytes; compiled with AVX2.
            unsafe {
                let bytes = _mm_loadu_si128(p.cast());
                let high = _mm_unpackhi_epi64(bytes, bytes);
                [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))]
            }
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const f32) -> Self::P {
            // SAFETY: the caller promises sixteen readable pairs.
            unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(8).cast())] }
        }
        #[inline(always)]
        unsafe fn store_pairs(p: *mut f32, v: Self::P) {
            // SAFETY: the caller promises sixteen writable pairs.
            unsafe {
                _mm256_storeu_si256(p.cast(), v[0]);
                _mm256_storeu_si256(p.add(8).cast(), v[1]);
            }
        }
        #[inline(always)]
        fn splat_pair(pair: f32) -> Self::P {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            unsafe { [_mm256_set1_epi32(pair.to_bits().cast_signed()); 2] }
        }
        #[inline(always)]
        fn pack(first: Self::V, second: Self::V) -> Self::P {
            std::array::from_fn(|h| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe { _mm256_or_si256(_mm256_slli_epi32::<16>(round8(second[h])), round8(first[h])) }
            })
        }
        #[inline(always)]
        fn pack_neighbours(low: Self::V, high: Self::V) -> Self::P {
            [low, high].map(|v| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe {
                    // Packing works on 128-bit halves: put them back in order.
                    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(round8(v[0]), round8(v[1])))
                }
            })
        }
        #[inline(always)]
        fn turn(pairs: Self::P) -> Self::P {
            pairs.map(|p| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe {
                    let turned = _mm256_or_si256(_mm256_slli_epi32::<16>(p), _mm256_srli_epi32::<16>(p));
                    _mm256_xor_si256(turned, _mm256_set1_epi32(0x8000))
                }
            })
        }
        #[inline(always)]
        fn dot(a: Self::P, b: Self::P, c: Self::V) -> Self::V {
            std::array::from_fn(|h| {
                // SAFETY: called only from code compiled with AVX2 and FMA (see `dispatch!`).
                unsafe {
                    let first = |p: __m256i| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(p));
                    let high = _mm256_set1_epi32(0xFFFF_0000_u32.cast_signed());
                    let second = |p: __m256i| _mm256_castsi256_ps(_mm256_and_si256(p, high));
                    let sum = flush8(_mm256_fmadd_ps(second(a[h]), second(b[h]), flush8(c[h])));
                    flush8(_mm256_fmadd_ps(first(a[h]), first(b[h]), sum))
                }
            })
        }
        #[inline(always)]
        unsafe fn load_halves(low: *const f32, high: *const f32) -> Self::V {
            // SAFETY: the caller promises eight readable f32 each.
            unsafe { [_mm256_loadu_ps(low), _mm256_loadu_ps(high)] }
        }
        #[inline(always)]
        fn index(v: Self::V) -> Self::Index {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            v.map(|v| unsafe { _mm256_cvttps_epi32(v) })
        }
        #[inline(always)]
        fn next(index: Self::Index) -> Self::Index {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            index.map(|i| unsafe { _mm256_add_epi32(i, _mm256_set1_epi32(1)) })
        }
        #[inline(always)]
        fn pick(v: Self::V, index: Self::Index) -> Self::V {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            index.map(|i| unsafe {
                let (low, high) = (_mm256_permutevar8x32_ps(v[0], i), _mm256_permutevar8x32_ps(v[1], i));
                // Bit 3 of the lane number chooses the half: as the sign, blending heeds it.
                _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(i)))
            })
        }
        #[inline(always)]
        fn interleave(a: Self::V, b: Self::V) -> (Self::V, Self::V) {
            let half = |h: usize| {
                // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
                unsafe {
                    let (low, high) = (_mm256_unpacklo_ps(a[h], b[h]), _mm256_unpackhi_ps(a[h], b[h]));
                    [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
                }
            };
            (half(0), half(1))
        }
        #[inline(always)]
        fn nonzero(a: Self::V) -> u32 {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            let half = |a| unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(a, _mm256_setzero_ps())) as u32 };
            half(a[0]) | half(a[1]) << 8
        }
        #[inline(always)]
        fn sum(a: Self::V) -> f32 {
            // SAFETY: called only from code compiled with AVX2 (see `dispatch!`).
            sum8(unsafe { _mm256_add_ps(a[0], a[1]) })
        }
        #[inline(always)]
        unsafe fn nonzero_bytes(p: *const u8) -> u64 {
            let half = |p: *const u8| {
                // SAFETY: 32 bytes of the 64 that the caller promises; compiled with AVX2.
                unsafe {
                    let zero = _mm256_cmpeq_epi8(_mm256_loadu_si256(p.cast()), _mm256_setzero_si256());
                    u64::from(!_mm256_movemask_epi8(zero).cast_unsigned())
                }
            };
            half(p) | half(p.wrapping_add(32)) << 32
        }
    }

    /// One AVX-512 operation.
    macro_rules! zmm {
        ($f:ident($($x:expr),*)) => {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            unsafe { $f($($x),*) }
        };
    }

    /// Sixteen numbers, a subnormal as zero of the same sign.
    #[inline(always)]
    fn flush16(x: __m512) -> __m512 {
        // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
        unsafe {
            let small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(x), _mm512_set1_ps(f32::MIN_POSITIVE));
            _mm512_mask_and_ps(x, small, x, _mm512_set1_ps(-0.0))
        }
    }

    /// The bits of sixteen numbers rounded to bf16, in the low halves (see `round`).
    #[inline(always)]
    fn round16(x: __m512) -> __m512i {
        // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
        unsafe {
            let bits = _mm512_castps_si512(flush16(x));
            let even = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let up = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7FFF)));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            _mm512_mask_mov_epi32(_mm512_srli_epi32::<16>(up), nan, _mm512_set1_epi32(0x7FC0))
        }
    }

    impl<const BF16: bool> Lanes for Avx512<BF16> {
        type V = __m512;
        type P = __m512i;
        type Index = __m512i;
        /// 24 sums, 4 vectors of `b` and a broadcast: a seventh row would spill a sum in every step.
        const TILE: (usize, usize) = (6, 4);
        /// 24 sums, 4 vectors of `b` and two broadcasts.
        const COMPLEX_TILE: (usize, usize) = (6, 2);
        const DOT: (usize, usize) = (4, 6);

        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            // SAFETY: the caller promises sixteen readable f32.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            // SAFETY: the caller promises sixteen writable f32.
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        fn splat(x: f32) -> Self::V {
            zmm!(_mm512_set1_ps(x))
        }
        #[inline(always)]
        fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            zmm!(_mm512_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            zmm!(_mm512_fnmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn add(a: Self::V, b: Self::V) -> Self::V {
            zmm!(_mm512_add_ps(a, b))
        }
        #[inline(always)]
        fn sub(a: Self::V, b: Self::V) -> Self::V {
            zmm!(_mm512_sub_ps(a, b))
        }
        #[inline(always)]
        fn mul(a: Self::V, b: Self::V) -> Self::V {
            zmm!(_mm512_mul_ps(a, b))
        }
        #[inline(always)]
        fn select_greater_or_nan(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            unsafe {
                let wins = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
                _mm512_mask_blend_ps(wins, y, x)
            }
        }
        #[inline(always)]
        fn select_equal(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b), y, x) }
        }
        #[inline(always)]
        unsafe fn store_bytes(p: *mut u8, v: Self::V) {
            // SAFETY: the caller promises sixteen writable bytes; compiled with AVX-512.
            unsafe { _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v))) }
        }
        #[inline(always)]
        unsafe fn load_bytes(p: *const u8) -> Self::V {
            // SAFETY: the caller promises sixteen readable bytes; compiled with AVX-512.
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))) }
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const f32) -> Self::P {
            // SAFETY: the caller promises sixteen readable pairs.
            unsafe { _mm512_loadu_si512(p.cast()) }
        }
        #[inline(always)]
        unsafe fn store_pairs(p: *mut f32, v: Self::P) {
            // SAFETY: the caller promises sixteen writable pairs.
            unsafe { _mm512_storeu_si512(p.cast(), v) }
        }
        #[inline(always)]
        fn splat_pair(pair: f32) -> Self::P {
            zmm!(_mm512_set1_epi32(pair.to_bits().cast_signed()))
        }
        #[inline(always)]
        fn pack(first: Self::V, second: Self::V) -> Self::P {
            if BF16 {
                // SAFETY: called only from code compiled with the instructions for bf16 (see `dispatch_pairs!`); the
                // transmuted vectors are bits.
                return unsafe {
                    let half = |v: __m512| std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v));
                    let (first, second) = (_mm512_cvtepu16_epi32(half(first)), _mm512_cvtepu16_epi32(half(second)));
                    _mm512_or_si512(_mm512_slli_epi32::<16>(second), first)
                };
            }
            zmm!(_mm512_or_si512(_mm512_slli_epi32::<16>(round16(second)), round16(first)))
        }
        #[inline(always)]
        fn pack_neighbours(low: Self::V, high: Self::V) -> Self::P {
            // SAFETY: called only from code compiled with AVX-512, and where `BF16` with its instructions for bf16.
            unsafe {
                if BF16 {
                    return std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                }
                let (low, high) = (_mm512_cvtepi32_epi16(round16(low)), _mm512_cvtepi32_epi16(round16(high)));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            }
        }
        #[inline(always)]
        fn turn(pairs: Self::P) -> Self::P {
            zmm!(_mm512_xor_si512(_mm512_rol_epi32::<16>(pairs), _mm512_set1_epi32(0x8000)))
        }
        #[inline(always)]
        fn dot(a: Self::P, b: Self::P, c: Self::V) -> Self::V {
            // SAFETY: called only from code compiled with AVX-512, and where `BF16` with its instructions for bf16
            // (see `dispatch_pairs!`); the two vector types are bits.
            unsafe {
                if BF16 {
                    let pairs = |p: __m512i| std::mem::transmute::<__m512i, __m512bh>(p);
                    return _mm512_dpbf16_ps(c, pairs(a), pairs(b));
                }
                let first = |p: __m512i| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(p));
                let high = _mm512_set1_epi32(0xFFFF_0000_u32.cast_signed());
                let second = |p: __m512i| _mm512_castsi512_ps(_mm512_and_si512(p, high));
                let sum = flush16(_mm512_fmadd_ps(second(a), second(b), flush16(c)));
                flush16(_mm512_fmadd_ps(first(a), first(b), sum))
            }
        }
        #[inline(always)]
        unsafe fn load_halves(low: *const f32, high: *const f32) -> Self::V {
            // SAFETY: the caller promises eight readable f32 each.
            unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high)) }
        }
        #[inline(always)]
        fn index(v: Self::V) -> Self::Index {
            zmm!(_mm512_cvttps_epi32(v))
        }
        #[inline(always)]
        fn next(index: Self::Index) -> Self::Index {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            unsafe { _mm512_add_epi32(index, _mm512_set1_epi32(1)) }
        }
        #[inline(always)]
        fn pick(v: Self::V, index: Self::Index) -> Self::V {
            zmm!(_mm512_permutexvar_ps(index, v))
        }
        #[inline(always)]
        fn interleave(a: Self::V, b: Self::V) -> (Self::V, Self::V) {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
                (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
            }
        }
        #[inline(always)]
        fn nonzero(a: Self::V) -> u32 {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, _mm512_setzero_ps()) })
        }
        #[inline(always)]
        fn sum(a: Self::V) -> f32 {
            // SAFETY: called only from code compiled with AVX-512 (see `dispatch!`).
            sum8(unsafe { _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)) })
        }
        #[inline(always)]
        unsafe fn nonzero_bytes(p: *const u8) -> u64 {
            // SAFETY: the caller promises 64 readable bytes; compiled with AVX-512.
            unsafe {
                let bytes = _mm512_loadu_si512(p.cast());
                _mm512_test_epi8_mask(bytes, bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{dispatch, dispatch_pairs};
    use crate::testing::{on_every_isa, values};

    fn pair_operations<L: Lanes>(x: &[f32]) -> Vec<u32> {
        let mut out = [0.0_f32; 5 * LANES];
        // SAFETY: `x` has three vectors, `out` five.
        unsafe {
            let (a, b, c) = (L::load(x.as_ptr()), L::load(x.as_ptr().add(LANES)), L::load(x.as_ptr().add(2 * LANES)));
            let (p, q) = (L::pack(a, b), L::pack_neighbours(b, c));
            L::store_pairs(out.as_mut_ptr(), p);
            L::store_pairs(out.as_mut_ptr().add(LANES), q);
            L::store_pairs(out.as_mut_ptr().add(2 * LANES), L::turn(p));
            L::store(out.as_mut_ptr().add(3 * LANES), L::dot(p, q, c));
            L::store(out.as_mut_ptr().add(4 * LANES), L::dot(L::splat_pair(out[1]), L::load_pairs(out.as_ptr()), c));
        }
        out.iter().map(|v| v.to_bits()).collect()
    }

    fn transposed<L: Lanes>(x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; LANES * LANES];
        // SAFETY: there are sixteen rows of sixteen numbers in both.
        unsafe {
            let rows = transpose::<L>(std::array::from_fn(|i| L::load(x[i * LANES..].as_ptr())));
            for (i, row) in rows.into_iter().enumerate() {
                L::store(out[i * LANES..].as_mut_ptr(), row);
            }
        }
        out
    }

    #[test]
    fn rows_become_columns_on_every_isa() {
        let x: Vec<f32> = (0..LANES * LANES).map(|i| i as f32).collect();
        let x = &x[..];
        on_every_isa(|isa| {
            let turned: Vec<f32> = dispatch!(isa, transposed(x: &[f32]) -> Vec<f32>);
            for (i, j) in (0..LANES).flat_map(|i| (0..LANES).map(move |j| (i, j))) {
                assert_eq!(turned[j * LANES + i], x[i * LANES + j]);
            }
            Vec::new()
        });
    }

    #[test]
    fn pairs_have_the_same_bits_on_every_isa() {
        for salt in 0..200 {
            // From numbers that vanish to numbers that overflow, and exact ties of the rounding.
            let scale = 2.0_f32.powi(salt as i32 * 254 / 200 - 127);
            let mut x: Vec<f32> = values(3 * LANES, salt).iter().map(|v| v * scale).collect();
            x[3] = f32::from_bits(0x3F80_8000 + salt * 0x0001_0000);
            x[4] = 0.0;
            x[5] = -0.0;
            let x = x.as_slice();
            on_every_isa(|isa| dispatch_pairs!(isa, pair_operations(x: &[f32]) -> Vec<u32>));
        }
    }

    #[test]
    fn pairs_are_rounded_to_nearest_even() {
        let mut x = [0.0; 3 * LANES];
        // In units of the last place of a bf16 at 1: 1/2 is a tie to even, 3/2 too, 3/4 goes up.
        let ulp = 2.0_f32.powi(-7);
        (x[0], x[1], x[2], x[3]) = (1.0 + 0.5 * ulp, 1.0 + 1.5 * ulp, 1.0 + 0.75 * ulp, f32::NAN);
        x[4] = f32::MIN_POSITIVE / 2.0;
        let bits = pair_operations::<Portable>(&x);
        assert_eq!(bits[..5], [0x3F80, 0x3F82, 0x3F81, 0x7FC0, 0]);
        // (first, second) to (-second, first).
        assert_eq!(bits[2 * LANES], 0x3F80_8000);
    }
}
