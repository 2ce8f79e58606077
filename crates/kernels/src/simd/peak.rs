//! What the processor can do at most.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Does `rounds` rounds of independent f32 multiply-adds in registers; gives how many floating-point operations that were.
pub fn multiply_add(isa: Isa, rounds: u64) -> u64 {
    dispatch!(isa, body(rounds: u64) -> u64)
}

#[inline(always)]
fn body<L: Lanes>(rounds: u64) -> u64 {
    // Enough sums to hide the latency of an addition, few enough for the registers.
    if L::TILE.1 > 1 { chains::<L, 16>(rounds) } else { chains::<L, 5>(rounds) }
}

#[inline(always)]
fn chains<L: Lanes, const N: usize>(rounds: u64) -> u64 {
    let (a, b) = (L::splat(std::hint::black_box(0.999_9)), L::splat(std::hint::black_box(1e-4)));
    let mut sums = [L::splat(1.0); N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = L::fma(*sum, a, b);
        }
    }
    let total = sums.iter().fold(L::zero(), |total, &sum| L::add(total, sum));
    std::hint::black_box(L::sum(total));
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
