//! Lanes in one 512-bit register.

use super::Lanes;
use super::avx2::{sum8, sums8};
use std::arch::x86_64::*;

/// One 512-bit register a vector; a value is the proof that the processor has what [`super::Avx2`] proves, the F, VL,
/// DQ and BW parts of AVX-512, and with `BF16` its BF16 part.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(());

impl<const BF16: bool> Avx512<BF16> {
    /// # Safety
    /// The processor has these instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Avx512(())
    }
}

/// One AVX-512 operation.
macro_rules! zmm {
    ($f:ident($($x:expr),*)) => {
        // SAFETY: used only in methods, and their `self` is the proof of AVX-512.
        unsafe { $f($($x),*) }
    };
}

/// Sixteen numbers, a subnormal as zero of the same sign.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn flush16(x: __m512) -> __m512 {
    // SAFETY: promised by the caller.
    unsafe {
        let small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(x), _mm512_set1_ps(f32::MIN_POSITIVE));
        _mm512_mask_and_ps(x, small, x, _mm512_set1_ps(-0.0))
    }
}

/// The first, and the second, numbers of sixteen pairs of bf16.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn first16(pairs: __m512i) -> __m512 {
    // SAFETY: promised by the caller.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)) }
}

/// See [`first16`].
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn second16(pairs: __m512i) -> __m512 {
    // SAFETY: promised by the caller.
    unsafe { _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(0xFFFF_0000_u32.cast_signed()))) }
}

/// The bits of sixteen numbers rounded to bf16, in the low halves (see `round`).
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn round16(x: __m512) -> __m512i {
    // SAFETY: promised by the caller.
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
    type U = __m512i;
    /// 24 sums, 4 vectors of `b` and a broadcast: a seventh row would spill a sum in every step.
    const TILE: (usize, usize) = (6, 4);
    /// 24 sums, 4 vectors of `b` and two broadcasts.
    const COMPLEX_TILE: (usize, usize) = (6, 2);
    const DOT_ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller promises sixteen readable f32.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises sixteen writable f32.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        zmm!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        zmm!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        zmm!(_mm512_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zmm!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zmm!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zmm!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zmm!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn select_greater_or_nan(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            let wins = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
            _mm512_mask_blend_ps(wins, y, x)
        }
    }
    #[inline(always)]
    fn select_equal(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b), y, x) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, v: Self::V) {
        // SAFETY: the caller promises sixteen writable bytes; `self` is the proof of AVX-512.
        unsafe { _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v))) }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, p: *const u8) -> Self::V {
        // SAFETY: the caller promises sixteen readable bytes; `self` is the proof of AVX-512.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))) }
    }
    #[inline(always)]
    unsafe fn load_pairs(self, p: *const f32) -> Self::P {
        // SAFETY: the caller promises sixteen readable pairs.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32, v: Self::P) {
        // SAFETY: the caller promises sixteen writable pairs.
        unsafe { _mm512_storeu_si512(p.cast(), v) }
    }
    #[inline(always)]
    fn splat_pair(self, pair: f32) -> Self::P {
        zmm!(_mm512_set1_epi32(pair.to_bits().cast_signed()))
    }
    #[inline(always)]
    fn pack(self, first: Self::V, second: Self::V) -> Self::P {
        if BF16 {
            // SAFETY: `self` is the proof of the instructions for bf16; the transmuted vectors are bits.
            return unsafe {
                let half = |v: __m512| std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v));
                let (first, second) = (_mm512_cvtepu16_epi32(half(first)), _mm512_cvtepu16_epi32(half(second)));
                _mm512_or_si512(_mm512_slli_epi32::<16>(second), first)
            };
        }
        zmm!(_mm512_or_si512(_mm512_slli_epi32::<16>(round16(second)), round16(first)))
    }
    #[inline(always)]
    fn pack_neighbours(self, low: Self::V, high: Self::V) -> Self::P {
        // SAFETY: `self` is the proof of AVX-512, and where `BF16` of its instructions for bf16; vectors are bits.
        unsafe {
            if BF16 {
                return std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            }
            let (low, high) = (_mm512_cvtepi32_epi16(round16(low)), _mm512_cvtepi32_epi16(round16(high)));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }
    #[inline(always)]
    fn turn(self, pairs: Self::P) -> Self::P {
        zmm!(_mm512_xor_si512(_mm512_rol_epi32::<16>(pairs), _mm512_set1_epi32(0x8000)))
    }
    #[inline(always)]
    fn dot(self, a: Self::P, b: Self::P, c: Self::V) -> Self::V {
        // SAFETY: `self` is the proof of AVX-512, and where `BF16` of its instructions for bf16; vectors are bits.
        unsafe {
            if BF16 {
                let pairs = |p: __m512i| std::mem::transmute::<__m512i, __m512bh>(p);
                return _mm512_dpbf16_ps(c, pairs(a), pairs(b));
            }
            let sum = flush16(_mm512_fmadd_ps(second16(a), second16(b), flush16(c)));
            flush16(_mm512_fmadd_ps(first16(a), first16(b), sum))
        }
    }
    #[inline(always)]
    fn dot_apart(self, a: Self::P, b: Self::P, first: Self::V, second: Self::V) -> (Self::V, Self::V) {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            (
                flush16(_mm512_fmadd_ps(first16(a), first16(b), first)),
                flush16(_mm512_fmadd_ps(second16(a), second16(b), second)),
            )
        }
    }
    #[inline(always)]
    fn add_flushed(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { flush16(_mm512_add_ps(flush16(a), flush16(b))) }
    }
    #[inline(always)]
    unsafe fn load_halves(self, low: *const f32, high: *const f32) -> Self::V {
        // SAFETY: the caller promises eight readable f32 each.
        unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high)) }
    }
    #[inline(always)]
    fn index(self, v: Self::V) -> Self::U {
        zmm!(_mm512_cvttps_epi32(v))
    }
    #[inline(always)]
    fn next(self, index: Self::U) -> Self::U {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { _mm512_add_epi32(index, _mm512_set1_epi32(1)) }
    }
    #[inline(always)]
    fn splat_u32(self, x: u32) -> Self::U {
        zmm!(_mm512_set1_epi32(x.cast_signed()))
    }
    #[inline(always)]
    fn count_from(self, first: u32) -> Self::U {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            _mm512_add_epi32(_mm512_set1_epi32(first.cast_signed()), lanes)
        }
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::U, b: u32) -> (Self::U, Self::U) {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            let b = _mm512_set1_epi32(b.cast_signed());
            // Products of 64 bits: of the lanes with even numbers, and of the others.
            let (even, odd) = (_mm512_mul_epu32(a, b), _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), b));
            (
                _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64::<32>(even), odd),
                _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd)),
            )
        }
    }
    #[inline(always)]
    fn xor(self, a: Self::U, b: Self::U) -> Self::U {
        zmm!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn at_least(self, a: Self::U, bound: u32) -> u32 {
        // SAFETY: `self` is the proof of AVX-512.
        u32::from(unsafe { _mm512_cmpge_epu32_mask(a, _mm512_set1_epi32(bound.cast_signed())) })
    }
    #[inline(always)]
    fn keep(self, bits: u32, v: Self::V) -> Self::V {
        zmm!(_mm512_maskz_mov_ps(bits as u16, v))
    }
    #[inline(always)]
    fn pick(self, v: Self::V, index: Self::U) -> Self::V {
        zmm!(_mm512_permutexvar_ps(index, v))
    }
    #[inline(always)]
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
        }
    }
    #[inline(always)]
    fn nonzero(self, a: Self::V) -> u32 {
        // SAFETY: `self` is the proof of AVX-512.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, _mm512_setzero_ps()) })
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { sum8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a))) }
    }
    #[inline(always)]
    fn sums(self, a: [Self::V; 4]) -> [f32; 4] {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe {
            let mut eights = [_mm256_setzero_ps(); 4];
            for i in 0..4 {
                eights[i] = _mm256_add_ps(_mm512_castps512_ps256(a[i]), _mm512_extractf32x8_ps::<1>(a[i]));
            }
            sums8(eights)
        }
    }
    #[inline(always)]
    unsafe fn nonzero_bytes(self, p: *const u8) -> u64 {
        // SAFETY: the caller promises 64 readable bytes; `self` is the proof of AVX-512.
        unsafe {
            let bytes = _mm512_loadu_si512(p.cast());
            _mm512_test_epi8_mask(bytes, bytes)
        }
    }
}
