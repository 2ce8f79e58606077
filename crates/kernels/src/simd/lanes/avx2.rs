//! Lanes in two 256-bit registers.

use super::Lanes;
use std::arch::x86_64::*;

/// Two 256-bit registers a vector; a value is the proof that the processor has AVX2, FMA, POPCNT, BMI1 and BMI2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has these instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Avx2(())
    }
}

/// Lanes 0..4 hold the sums of lanes l and l+4 of eight; finishes the fixed tree.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
pub(super) unsafe fn sum8(v: __m256) -> f32 {
    // SAFETY: promised by the caller.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// [`sum8`] of each, drawn together in the same tree: what lies side by side is added for two, then for all four.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
pub(super) unsafe fn sums8(v: [__m256; 4]) -> [f32; 4] {
    // SAFETY: promised by the caller.
    unsafe {
        let mut four = [_mm_setzero_ps(); 4];
        for i in 0..4 {
            four[i] = _mm_add_ps(_mm256_castps256_ps128(v[i]), _mm256_extractf128_ps::<1>(v[i]));
        }
        let [a, b, c, d] = four;
        // Lanes 0 and 1 of a and of b with 2 and 3, in turn.
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        let mut sums = [0.0; 4];
        _mm_storeu_ps(sums.as_mut_ptr(), _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
        sums
    }
}

/// One operation on both halves of an AVX2 vector.
macro_rules! halves {
    ($f:ident($($x:ident),*)) => {
        // SAFETY: used only in methods, and their `self` is the proof of AVX2 and FMA.
        unsafe { [$f($($x[0]),*), $f($($x[1]),*)] }
    };
}

/// An expression for both halves of a vector. Not a closure: one that is called often may not be inlined, has then none
/// of the instructions, and each of its intrinsics becomes a call (`scripts/check-inlined` looks for them).
macro_rules! both {
    ($half:ident => $result:expr) => {
        // SAFETY: used only in methods: their `self` is the proof of AVX2 and FMA, and their callers promise the rest.
        unsafe {
            [
                {
                    let $half = 0;
                    $result
                },
                {
                    let $half = 1;
                    $result
                },
            ]
        }
    };
}

/// Each of eight numbers, a subnormal as zero of the same sign.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn flush8(x: __m256) -> __m256 {
    // SAFETY: promised by the caller.
    unsafe {
        let sign = _mm256_set1_ps(-0.0);
        let small = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_andnot_ps(sign, x), _mm256_set1_ps(f32::MIN_POSITIVE));
        _mm256_blendv_ps(x, _mm256_and_ps(x, sign), small)
    }
}

/// The first, and the second, numbers of eight pairs of bf16.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn first8(pairs: __m256i) -> __m256 {
    // SAFETY: promised by the caller.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)) }
}

/// See [`first8`].
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn second8(pairs: __m256i) -> __m256 {
    // SAFETY: promised by the caller.
    unsafe { _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xFFFF_0000_u32.cast_signed()))) }
}

/// The bits of eight numbers rounded to bf16, in the low halves (see `round`).
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn round8(x: __m256) -> __m256i {
    // SAFETY: promised by the caller.
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
    type U = [__m256i; 2];
    const TILE: (usize, usize) = (6, 1);
    const HALF_TILE: usize = 12;
    const COMPLEX_TILE: (usize, usize) = (2, 1);
    /// Of half of the lanes at a time.
    const DOT_ROWS: usize = 2;

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable f32.
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises sixteen writable f32.
        unsafe {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(8), v[1]);
        }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        halves!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn fma_half(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` is the proof of FMA.
        [unsafe { _mm256_fmadd_ps(a[0], b[0], c[0]) }, c[1]]
    }
    #[inline(always)]
    unsafe fn load_half(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable f32.
        unsafe { [_mm256_loadu_ps(p), _mm256_setzero_ps()] }
    }
    #[inline(always)]
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        halves!(_mm256_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        halves!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn select_greater_or_nan(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        both!(h => {
            let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(a[h], b[h]);
            let wins = _mm256_or_ps(greater, _mm256_cmp_ps::<_CMP_UNORD_Q>(a[h], a[h]));
            _mm256_blendv_ps(y[h], x[h], wins)
        })
    }
    #[inline(always)]
    fn select_equal(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        both!(h => _mm256_blendv_ps(y[h], x[h], _mm256_cmp_ps::<_CMP_EQ_OQ>(a[h], b[h])))
    }
    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, v: Self::V) {
        // SAFETY: the caller promises sixteen writable bytes; `self` is the proof of AVX2.
        unsafe {
            let (low, high) = (_mm256_cvttps_epi32(v[0]), _mm256_cvttps_epi32(v[1]));
            // Packing works on 128-bit halves: put them back in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(p.cast(), bytes);
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, p: *const u8) -> Self::V {
        // SAFETY: the caller promises sixteen readable bytes; `self` is the proof of AVX2.
        unsafe {
            let bytes = _mm_loadu_si128(p.cast());
            let high = _mm_unpackhi_epi64(bytes, bytes);
            [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))]
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: *const f32) -> Self::P {
        // SAFETY: the caller promises sixteen readable pairs.
        unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(8).cast())] }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32, v: Self::P) {
        // SAFETY: the caller promises sixteen writable pairs.
        unsafe {
            _mm256_storeu_si256(p.cast(), v[0]);
            _mm256_storeu_si256(p.add(8).cast(), v[1]);
        }
    }
    #[inline(always)]
    fn splat_pair(self, pair: f32) -> Self::P {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { [_mm256_set1_epi32(pair.to_bits().cast_signed()); 2] }
    }
    #[inline(always)]
    fn pack(self, first: Self::V, second: Self::V) -> Self::P {
        both!(h => _mm256_or_si256(_mm256_slli_epi32::<16>(round8(second[h])), round8(first[h])))
    }
    #[inline(always)]
    fn pack_neighbours(self, low: Self::V, high: Self::V) -> Self::P {
        let v = [low, high];
        // Packing works on 128-bit halves: put them back in order.
        both!(h => _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(round8(v[h][0]), round8(v[h][1]))))
    }
    #[inline(always)]
    fn turn(self, pairs: Self::P) -> Self::P {
        both!(h => {
            let turned = _mm256_or_si256(_mm256_slli_epi32::<16>(pairs[h]), _mm256_srli_epi32::<16>(pairs[h]));
            _mm256_xor_si256(turned, _mm256_set1_epi32(0x8000))
        })
    }
    #[inline(always)]
    fn dot(self, a: Self::P, b: Self::P, c: Self::V) -> Self::V {
        both!(h => {
            let sum = flush8(_mm256_fmadd_ps(second8(a[h]), second8(b[h]), flush8(c[h])));
            flush8(_mm256_fmadd_ps(first8(a[h]), first8(b[h]), sum))
        })
    }
    #[inline(always)]
    fn dot_apart(self, a: Self::P, b: Self::P, first: Self::V, second: Self::V) -> (Self::V, Self::V) {
        (
            both!(h => flush8(_mm256_fmadd_ps(first8(a[h]), first8(b[h]), first[h]))),
            both!(h => flush8(_mm256_fmadd_ps(second8(a[h]), second8(b[h]), second[h]))),
        )
    }
    #[inline(always)]
    fn add_flushed(self, a: Self::V, b: Self::V) -> Self::V {
        both!(h => flush8(_mm256_add_ps(flush8(a[h]), flush8(b[h]))))
    }
    #[inline(always)]
    unsafe fn load_halves(self, low: *const f32, high: *const f32) -> Self::V {
        // SAFETY: the caller promises eight readable f32 each.
        unsafe { [_mm256_loadu_ps(low), _mm256_loadu_ps(high)] }
    }
    #[inline(always)]
    fn index(self, v: Self::V) -> Self::U {
        both!(h => _mm256_cvttps_epi32(v[h]))
    }
    #[inline(always)]
    fn next(self, index: Self::U) -> Self::U {
        both!(h => _mm256_add_epi32(index[h], _mm256_set1_epi32(1)))
    }
    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { [_mm256_set1_epi32(x.cast_signed()); 2] }
    }
    #[inline(always)]
    fn count_from(self, first: u32) -> Self::U {
        both!(h => {
            let first = _mm256_set1_epi32(first.wrapping_add(8 * h).cast_signed());
            _mm256_add_epi32(first, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
        })
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::U, b: u32) -> (Self::U, Self::U) {
        let halves: [_; 2] = both!(h => {
            let b = _mm256_set1_epi32(b.cast_signed());
            // Products of 64 bits: of the lanes with even numbers, and of the others.
            let (even, odd) = (_mm256_mul_epu32(a[h], b), _mm256_mul_epu32(_mm256_srli_epi64::<32>(a[h]), b));
            (
                _mm256_blend_epi32::<0xAA>(_mm256_srli_epi64::<32>(even), odd),
                _mm256_blend_epi32::<0xAA>(even, _mm256_slli_epi64::<32>(odd)),
            )
        });
        ([halves[0].0, halves[1].0], [halves[0].1, halves[1].1])
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        halves!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn at_least(self, a: Self::U, bound: u32) -> u32 {
        let [low, high] = both!(h => {
            // There is no comparison of u32, but a maximum.
            let larger = _mm256_max_epu32(a[h], _mm256_set1_epi32(bound.cast_signed()));
            _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(larger, a[h]))) as u32
        });
        low | high << 8
    }
    #[inline(always)]
    fn keep(self, bits: u32, v: Self::V) -> Self::V {
        both!(h => {
            let bits = _mm256_set1_epi32((bits >> (8 * h)).cast_signed());
            let of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let kept = _mm256_cmpeq_epi32(_mm256_and_si256(bits, of_lane), of_lane);
            _mm256_and_ps(v[h], _mm256_castsi256_ps(kept))
        })
    }
    #[inline(always)]
    fn pick(self, v: Self::V, index: Self::U) -> Self::V {
        both!(h => {
            let (low, high) = (_mm256_permutevar8x32_ps(v[0], index[h]), _mm256_permutevar8x32_ps(v[1], index[h]));
            // Bit 3 of the lane number chooses the half: as the sign, blending heeds it.
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index[h])))
        })
    }
    #[inline(always)]
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let [low, high] = both!(h => {
            let (low, high) = (_mm256_unpacklo_ps(a[h], b[h]), _mm256_unpackhi_ps(a[h], b[h]));
            [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
        });
        (low, high)
    }
    #[inline(always)]
    fn nonzero(self, a: Self::V) -> u32 {
        let [low, high] = both!(h => {
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(a[h], _mm256_setzero_ps())) as u32
        });
        low | high << 8
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: `self` is the proof of AVX2.
        unsafe { sum8(_mm256_add_ps(a[0], a[1])) }
    }
    #[inline(always)]
    fn sums(self, a: [Self::V; 4]) -> [f32; 4] {
        let mut eights = [a[0][0]; 4];
        for i in 0..4 {
            // SAFETY: `self` is the proof of AVX2.
            eights[i] = unsafe { _mm256_add_ps(a[i][0], a[i][1]) };
        }
        // SAFETY: as above.
        unsafe { sums8(eights) }
    }
    #[inline(always)]
    fn join(self, low: Self::V, high: Self::V) -> Self::V {
        [low[0], high[0]]
    }
    #[inline(always)]
    unsafe fn nonzero_bytes(self, p: *const u8) -> u64 {
        // Each half is 32 bytes of the 64 that the caller promises.
        let [low, high] = both!(h => {
            let zero = _mm256_cmpeq_epi8(_mm256_loadu_si256(p.add(32 * h).cast()), _mm256_setzero_si256());
            u64::from(!_mm256_movemask_epi8(zero).cast_unsigned())
        });
        low | high << 32
    }
}
