//! Random numbers as a pure function of (seed, stream, sub-stream, index).
//!
//! There is no state to advance, to save or to share: whoever needs number `i` of a stream computes it, on any thread,
//! in any order, before or after an interruption. Only integer operations and the IEEE operations `+ - * / sqrt` are
//! used, so every platform gives the same bits. The known-answer tests below pin them; a change of one bit changes
//! every study.

/// What the numbers are for. Each stream is unrelated to the others, so that a new consumer changes no existing number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Stream {
    /// Which examples validate.
    Split = 1,
    /// Initial parameters.
    Init = 2,
    /// The order of the examples within an epoch.
    Order = 3,
    /// Which activations a dropout layer keeps.
    Dropout = 4,
    /// Which test images a resample of a bootstrap draws.
    Bootstrap = 5,
    /// How a training image is changed.
    Augment = 6,
    /// Which trainings are checked.
    Sample = 7,
    /// With which image a training image is mixed.
    Mix = 8,
}

/// A counter-based random number generator: 2^64 numbers, each computed from its index alone.
///
/// Number `i` is `mix(mix(i * GOLDEN + key) ^ whitener)`, where `mix` is the finalizer of SplitMix64 and `key` and
/// `whitener` come from the seed and the stream. One round over a Weyl sequence is SplitMix64 itself, which passes
/// BigCrush, but there every key is a window on one and the same sequence of 2^64 numbers. The second round gives each
/// stream a sequence of its own and costs two multiplications more: four (and one for the index) per 64 bits, where
/// Philox4x32-10 takes ten.
///
/// Nothing here resists an adversary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rng {
    key: u64,
    whitener: u64,
}

impl Rng {
    /// The numbers of one `stream` under `seed`; `sub` tells apart what would repeat (the epoch, the step, the tensor).
    pub fn new(seed: u64, stream: Stream, sub: u64) -> Self {
        // Each word passes through the mixer before the next is added, so (1, 2) and (2, 1) part ways.
        let key = [seed, stream as u64, sub].iter().fold(0u64, |key, word| mix((key ^ word).wrapping_add(GOLDEN)));
        // Two rounds, and a constant (the digits of pi): `mix(key + GOLDEN)` would cancel the inner round of number 1.
        let whitener = mix(mix(key ^ 0x243F_6A88_85A3_08D3));
        Self { key, whitener }
    }

    /// Number `i`: 64 uniform bits.
    #[inline]
    pub fn u64_at(&self, i: u64) -> u64 {
        mix(mix(i.wrapping_mul(GOLDEN).wrapping_add(self.key)) ^ self.whitener)
    }

    /// Number `i` as an integer in `0..n`.
    ///
    /// Takes one number whatever its value, so index `i` stays index `i`. The price is a bias: the probability of each
    /// integer differs from `1/n` by less than `2^-64`, which is less than one part in `2^32` of it.
    ///
    /// # Panics
    /// If `n` is 0.
    #[inline]
    pub fn below_at(&self, i: u64, n: u32) -> u32 {
        assert!(n > 0, "there is no integer below 0");
        ((u128::from(self.u64_at(i)) * u128::from(n)) >> 64) as u32
    }

    /// Number `i`, uniform in [0, 1): a multiple of `2^-24`, each equally likely and exact in f32.
    #[inline]
    pub fn uniform_at(&self, i: u64) -> f32 {
        (self.u64_at(i) >> 40) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Number `i` from the normal distribution with mean 0 and standard deviation 1; at most 8.21 from 0.
    ///
    /// Computed in f64 by inverting the distribution function, so that one number makes one number.
    pub fn normal_at(&self, i: u64) -> f32 {
        // The middle of one of 2^52 equal cells: exact, symmetric about 1/2, never 0 or 1.
        let p = ((self.u64_at(i) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64);
        normal_quantile(p) as f32
    }
}

/// Probability of a standard normal variable below -2.
const BELOW_MINUS_TWO: f64 = 0.022_750_131_948_179_21;

impl Rng {
    /// Number `i` from the normal distribution with mean 0 and standard deviation 1, given that it is within -2..2.
    pub fn truncated_normal_at(&self, i: u64) -> f32 {
        let share = ((self.u64_at(i) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64);
        normal_quantile(BELOW_MINUS_TWO + (1.0 - 2.0 * BELOW_MINUS_TWO) * share) as f32
    }
}

/// The integers `0..n` in random order (Fisher and Yates's shuffle); takes the numbers `1..n` of `rng`.
pub fn permutation(n: u32, rng: &Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, rng.below_at(u64::from(last), last + 1) as usize);
    }
    order
}

/// 2^64 divided by the golden ratio, made odd: multiples of it are spread evenly.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finalizer (Stafford's variant 13): a bijection in which each input bit flips each output bit about half
/// the time.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The value below which a standard normal variable falls with probability `p`, for `0 < p < 1`.
///
/// Wichura's algorithm AS 241 (PPND16, Applied Statistics 37, 1988): relative error about 1e-16.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * rational(0.180625 - q * q, &CENTRE);
    }
    let tail = (-ln(if q < 0.0 { p } else { 1.0 - p })).sqrt();
    let x = if tail <= 5.0 { rational(tail - 1.6, &TAIL) } else { rational(tail - 5.0, &FAR_TAIL) };
    if q < 0.0 { -x } else { x }
}

/// The natural logarithm of a normal positive `x`, good to a few units in the last place.
///
/// `x = m * 2^e` with `m` in [sqrt(1/2), sqrt(2)), and with `s = (m - 1) / (m + 1)`, so that `s^2 < 0.0295`,
/// `ln m = 2 (s + s^3/3 + s^5/5 + ...)`; the first term left out is below 2^-60 of the sum.
fn ln(x: f64) -> f64 {
    // ln 2 in two parts: the first ends in 21 zero bits, so its product with an exponent is exact.
    const LN_2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    const LN_2_LOW: f64 = f64::from_bits(0x3DEA_39EF_3579_3C76);
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m >= std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut series = 0.0;
    for term in (1..=11).rev() {
        series = (series + 1.0 / f64::from(2 * term + 1)) * s2;
    }
    let e = f64::from(exponent);
    e * LN_2_HIGH + (2.0 * (s + s * series) + e * LN_2_LOW)
}

/// The quotient of two polynomials of degree 7 in `r`; coefficients from the highest power down.
fn rational(r: f64, [numerator, denominator]: &[[f64; 8]; 2]) -> f64 {
    let horner = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * r + c);
    horner(numerator) / horner(denominator)
}

// The coefficients of AS 241, with more digits than f64 holds, as published.
#[expect(clippy::excessive_precision, reason = "as published")]
const CENTRE: [[f64; 8]; 2] = [
    [
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080,
    ],
    [
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ],
];

#[expect(clippy::excessive_precision, reason = "as published")]
const TAIL: [[f64; 8]; 2] = [
    [
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ],
    [
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ],
];

#[expect(clippy::excessive_precision, reason = "as published")]
const FAR_TAIL: [[f64; 8]; 2] = [
    [
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ],
    [
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ],
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    // By name, because proptest's prelude has an `Rng` of its own.
    use super::{Rng, Stream, ln, normal_quantile, permutation};

    /// Computed by an independent program (Python, exact integers).
    #[test]
    fn numbers_are_pinned() {
        let first = |seed, stream, sub| {
            let rng = Rng::new(seed, stream, sub);
            [rng.u64_at(0), rng.u64_at(1), rng.u64_at(2), rng.u64_at(u64::MAX)]
        };
        let split = [0xd6c3ecaa4d208a31, 0x243dfc4e137fe043, 0xfd1f979dd10fc119, 0x67cc97244708862e];
        assert_eq!(first(0, Stream::Split, 0), split);
        let init = [0xeac3d274cdef5abf, 0x31dbed1c983be874, 0x1ade0e8a1ff78500, 0x483bbad4df5b74b1];
        assert_eq!(first(0, Stream::Init, 0), init);
        let seed_1 = [0xf0a1b878e4d6852c, 0x96d705f428da3175, 0x398a32b8a53c62c4, 0x43afa8cbecff2416];
        assert_eq!(first(1, Stream::Split, 0), seed_1);
        let dropout = [0x48ba29124caaae4d, 0x8e80b6459890aebc, 0xa4b9974e3c581b69, 0x861a13a6cad36dc9];
        assert_eq!(first(42, Stream::Dropout, 7), dropout);
        let order = [0x901178dc15226f80, 0x409b1116b609780b, 0xfd1355f67d3c82f3, 0x4b177066687d2a14];
        assert_eq!(first(u64::MAX, Stream::Order, u64::MAX), order);
    }

    #[test]
    fn derived_numbers_are_pinned() {
        let rng = Rng::new(42, Stream::Init, 3);
        assert_eq!([0, 1, 2, 3].map(|i| rng.below_at(i, 1000)), [978, 853, 529, 711]);
        let large = [4203437220, 3667202364, 2272969500, 3054489498];
        assert_eq!([0, 1, 2, 3].map(|i| rng.below_at(i, u32::MAX)), large);
        let uniform = [16419676.0, 14325009.0, 8878787.0, 11931599.0].map(|n: f32| n / 16777216.0);
        assert_eq!([0, 1, 2, 3].map(|i| rng.uniform_at(i)), uniform);
        let normal = [0x4001c0d8, 0x3f86c9ca, 0x3d961f2a, 0x3f0e8c84];
        assert_eq!([0, 1, 2, 3].map(|i| rng.normal_at(i).to_bits()), normal);
        assert_eq!(permutation(10, &Rng::new(42, Stream::Split, 0)), [7, 3, 8, 9, 5, 2, 1, 0, 4, 6]);
    }

    #[test]
    fn normal_quantile_matches_published_values() {
        let close = |p, expected: f64| {
            let found = normal_quantile(p);
            assert!((found - expected).abs() <= 2e-15 * expected.abs(), "p = {p}: {found}, expected {expected}");
        };
        close(0.5, 0.0);
        close(0.25, -0.674_489_750_196_081_7); // Wichura's own test values
        close(0.001, -3.090_232_306_167_813_5);
        close(1e-20, -9.262_340_089_798_408);
        close(0.975, 1.959_963_984_540_054);
        close(0.0749, -1.440_238_267_527_963_2);
        close(0.0751, -1.438_825_392_752_539_8);
        close((-53f64).exp2(), -8.209_536_151_601_386);
        close(1.0 - (-53f64).exp2(), 8.209_536_151_601_386);
    }

    #[test]
    fn ln_matches_the_platform() {
        let mut x = (-60f64).exp2();
        while x < 4.0 {
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(0.02), "x = {x}: {} and {}", ln(x), x.ln());
            x *= 1.001;
        }
    }

    /// Pearson's statistic for equal expected counts.
    fn chi_square(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
    }

    /// Six standard deviations around the mean of a chi-square variable; the numbers are fixed, so the test is too.
    #[track_caller]
    fn assert_uniform(what: &str, counts: &[u32]) {
        let freedom = (counts.len() - 1) as f64;
        let found = chi_square(counts);
        assert!((found - freedom).abs() < 6.0 * (2.0 * freedom).sqrt(), "{what}: chi-square {found} for {freedom}");
    }

    #[test]
    fn every_byte_of_every_stream_is_uniform() {
        for stream in [Stream::Split, Stream::Init, Stream::Order, Stream::Dropout, Stream::Bootstrap, Stream::Augment]
        {
            for sub in [0, 1, 1 << 40] {
                let rng = Rng::new(5, stream, sub);
                for byte in 0..8 {
                    let mut counts = [0; 256];
                    for i in 0..1 << 14 {
                        counts[(rng.u64_at(i) >> (8 * byte)) as u8 as usize] += 1;
                    }
                    assert_uniform(&format!("byte {byte} of {stream:?} {sub}"), &counts);
                }
            }
        }
    }

    #[test]
    fn neighbours_are_independent() {
        // Neighbouring indices, sub-streams, seeds and streams, each pair by the top four bits of both.
        let here = Rng::new(9, Stream::Order, 3);
        let pair = |name: &str, next: &dyn Fn(u64) -> u64| {
            let mut counts = [0; 256];
            let mut equal_bits = 0;
            for i in 0..1 << 14 {
                let (a, b) = (here.u64_at(i), next(i));
                counts[(a >> 60 << 4 | b >> 60) as usize] += 1;
                equal_bits += (!(a ^ b)).count_ones();
            }
            assert_uniform(name, &counts);
            // 2^20 fair coins: standard deviation 512.
            assert!((f64::from(equal_bits) - 524_288.0).abs() < 6.0 * 512.0, "{name}: {equal_bits} equal bits of 2^20");
        };
        pair("index", &|i| here.u64_at(i + 1));
        let others = [
            ("sub", Rng::new(9, Stream::Order, 4)),
            ("seed", Rng::new(10, Stream::Order, 3)),
            ("stream", Rng::new(9, Stream::Dropout, 3)),
            ("exchanged", Rng::new(3, Stream::Order, 9)),
        ];
        for (name, other) in others {
            pair(name, &|i| other.u64_at(i));
        }
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let rng = Rng::new(0, Stream::Order, 0);
        let mut counts = [0; 10];
        for i in 0..100_000 {
            counts[rng.below_at(i, 10) as usize] += 1;
        }
        assert_uniform("below 10", &counts);
        assert!((0..1000).all(|i| rng.below_at(i, 1) == 0));
    }

    #[test]
    fn uniform_is_uniform_and_in_range() {
        let rng = Rng::new(0, Stream::Dropout, 0);
        let mut counts = [0; 100];
        for i in 0..100_000 {
            let x = rng.uniform_at(i);
            assert!((0.0..1.0).contains(&x));
            counts[(x * 100.0) as usize] += 1;
        }
        assert_uniform("uniform", &counts);
    }

    #[test]
    fn normal_has_the_moments_of_a_normal() {
        let rng = Rng::new(0, Stream::Init, 0);
        const N: u64 = 200_000;
        let moment = |power| (0..N).map(|i| f64::from(rng.normal_at(i)).powi(power)).sum::<f64>() / N as f64;
        // Expected moments 0, 1, 0, 3; standard deviations of their estimates sqrt(1, 2, 15, 96) / sqrt(N).
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let found = moment(power);
            assert!((found - expected).abs() < 5.0 * (variance / N as f64).sqrt(), "moment {power}: {found}");
        }
    }

    #[test]
    fn every_order_of_five_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        for seed in 0..24_000 {
            *counts.entry(permutation(5, &Rng::new(seed, Stream::Split, 0))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 120);
        assert_uniform("permutations", &counts.into_values().collect::<Vec<u32>>());
    }

    proptest! {
        #[test]
        fn permutation_holds_every_integer_once(n in 0u32..500, seed: u64, sub: u64) {
            let mut order = permutation(n, &Rng::new(seed, Stream::Order, sub));
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..n));
        }

        #[test]
        fn values_are_in_range_whatever_the_key(seed: u64, sub: u64, i: u64, n in 1u32..) {
            let rng = Rng::new(seed, Stream::Init, sub);
            prop_assert!(rng.below_at(i, n) < n);
            prop_assert!((0.0..1.0).contains(&rng.uniform_at(i)));
            prop_assert!(rng.normal_at(i).abs() <= 8.21);
        }
    }
}
