//! What the processor can do at most.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Does `rounds` rounds of independent f32 multiply-adds in registers; gives how many floating-point operations that
/// were.
pub fn multiply_add(isa: Isa, rounds: u64) -> u64 {
    dispatch!(isa, body(rounds: u64) -> u64)
}

#[inline(always)]
fn body<L: Lanes>(simd: L, rounds: u64) -> u64 {
    // Enough sums to hide the latency of an addition, few enough for the registers.
    if L::TILE.1 > 1 { chains::<L, 16>(simd, rounds) } else { chains::<L, 5>(simd, rounds) }
}

#[inline(always)]
fn chains<L: Lanes, const N: usize>(simd: L, rounds: u64) -> u64 {
    let (a, b) = (simd.splat(std::hint::black_box(0.999_9)), simd.splat(std::hint::black_box(1e-4)));
    let mut sums = [simd.splat(1.0); N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = simd.fma(*sum, a, b);
        }
    }
    let total = sums.iter().fold(simd.zero(), |total, &sum| simd.add(total, sum));
    std::hint::black_box(simd.sum(total));
    2 * rounds * (N * LANES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted() {
        for &isa in Isa::available() {
            let lanes = multiply_add(isa, 10) / 20;
            assert!(lanes == 16 * 16 || lanes == 5 * 16, "{lanes} lanes on {}", isa.name());
        }
    }
}
