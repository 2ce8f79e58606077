//! Lanes in one 512-bit register.

use super::Lanes;
use super::avx2::sum8;
use std::arch::x86_64::*;

/// One 512-bit register a vector; with or without the instructions for bf16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>;

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
