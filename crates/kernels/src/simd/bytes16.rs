//! Sixteen bytes at a time: which are not zero, and a square of them turned around.

/// Bit i says whether byte i is not zero.
#[inline(always)]
pub(crate) fn nonzero(bytes: [u8; 16]) -> u16 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2; an array of 16 bytes is readable.
    unsafe {
        use std::arch::x86_64::*;
        let zero = _mm_cmpeq_epi8(_mm_loadu_si128(bytes.as_ptr().cast()), _mm_setzero_si128());
        !(_mm_movemask_epi8(zero) as u16)
    }
    #[cfg(not(target_arch = "x86_64"))]
    (0..16).fold(0, |bits, i| bits | u16::from(bytes[i] != 0) << i)
}

/// Every bit that any of the arrays has.
#[inline(always)]
pub(crate) fn union(square: &[[u8; 16]; 16]) -> [u8; 16] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2; arrays of 16 bytes are readable and writable.
    unsafe {
        use std::arch::x86_64::*;
        let all = square.iter().map(|row| _mm_loadu_si128(row.as_ptr().cast()));
        let mut any = [0; 16];
        _mm_storeu_si128(any.as_mut_ptr().cast(), all.fold(_mm_setzero_si128(), |any, row| _mm_or_si128(any, row)));
        any
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|i| square.iter().fold(0, |any, row| any | row[i]))
}

/// Byte i of array j becomes byte j of array i.
#[inline(always)]
pub(crate) fn transpose(square: &[[u8; 16]; 16]) -> [[u8; 16]; 16] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2; arrays of 16 bytes are readable and writable.
    unsafe {
        use std::arch::x86_64::*;
        let mut rows: [__m128i; 16] = std::array::from_fn(|i| _mm_loadu_si128(square[i].as_ptr().cast()));
        // Each round puts rows i and i + 8 together, byte by byte: after four, every bit of a byte's place has moved on
        // from the number of its row to the place in it.
        for _ in 0..4 {
            let mut next = rows;
            for i in 0..8 {
                next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
                next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
            }
            rows = next;
        }
        let mut turned = [[0; 16]; 16];
        for (turned, row) in turned.iter_mut().zip(rows) {
            _mm_storeu_si128(turned.as_mut_ptr().cast(), row);
        }
        turned
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::array::from_fn(|i| std::array::from_fn(|j| square[j][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_for_every_byte_that_is_not_zero() {
        assert_eq!(nonzero([0; 16]), 0);
        for i in 0..16 {
            let mut bytes = [0; 16];
            bytes[i] = if i % 2 == 0 { 1 } else { 0x80 };
            assert_eq!(nonzero(bytes), 1 << i);
        }
    }

    #[test]
    fn every_array_counts_in_the_union() {
        for i in 0..16 {
            let mut square = [[0; 16]; 16];
            square[i][15 - i] = 0x81;
            let mut expected = [0; 16];
            expected[15 - i] = 0x81;
            assert_eq!(union(&square), expected);
        }
    }

    #[test]
    fn rows_become_columns() {
        let square = std::array::from_fn(|i| std::array::from_fn(|j| (16 * i + j) as u8));
        let turned = transpose(&square);
        for (i, j) in (0..16).flat_map(|i| (0..16).map(move |j| (i, j))) {
            assert_eq!(turned[j][i], square[i][j]);
        }
    }
}
