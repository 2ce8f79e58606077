//! `exp`, `ln` and `tanh` as fixed sequences of IEEE operations: the same bits on every machine, which the platform's
//! mathematical library does not promise.

/// `e^x`, within 2 units in the last place for results that are not subnormal; 0 below about -87.3, infinity above
/// 88.72, NaN for NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, `e^r` by the Taylor polynomial of degree 7, whose error there is below
/// 5e-9, then scaled by `2^n`. The reduction, with `ln 2` in two parts, is that of W. J. Cody and W. Waite, *Software
/// Manual for the Elementary Functions*, 1980.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4; // 0x3F318000, short enough for n * LN2_HIGH to be exact
    const LN2_LOW: f32 = -2.121_944_4e-4; // ln 2 - LN2_HIGH
    // Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.336_54, 88.722_83);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, c);
    }
    // 2^n in two factors, so that n = 128 does not overflow before p (which is then below 1) is multiplied in.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    let half = n >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) as u32) << 23);
    let value = p * power(half) * power(n - half);
    if x < -87.336_54 {
        0.0
    } else if x > 88.722_83 {
        f32::INFINITY
    } else {
        // A NaN passes through the clamp and every operation.
        value
    }
}

/// Natural logarithm in `f64` with a relative error below 1e-14; for positive, finite, normal `x`.
///
/// `x = m 2^e` with `m` in `sqrt(1/2)..sqrt(2)`, `ln m = 2 artanh z` with `z = (m - 1) / (m + 1)`, `|z| < 0.172`, by
/// its odd power series up to `z^19`.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let large = m > std::f64::consts::SQRT_2;
    let m = if large { m * 0.5 } else { m };
    // A whole number below 2^12 in the low bits of 2^52 is that number once 2^52 is subtracted: conversions from 64
    // bits are vectors on few processors.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    let exponent = f64::from_bits((bits >> 52) | WHOLE.to_bits()) - WHOLE - 1023.0;
    let exponent = if large { exponent + 1.0 } else { exponent };
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    let mut series = 1.0 / 19.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + 1.0 / odd;
    }
    let value = exponent * std::f64::consts::LN_2 + 2.0 * z * series;
    // Selects, no branches, so that a loop over lanes becomes vectors.
    let value = if x > 0.0 { value } else { f64::NAN };
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    if x == f64::INFINITY { x } else { value }
}

/// Hyperbolic tangent, within 4e-7 of the truth, relative to it.
///
/// Near zero the odd polynomial of `tanhf` in the Cephes library (S. L. Moshier) keeps the relative accuracy that
/// `1 - 2 / (e^2x + 1)` would lose.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3_f32;
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = z.mul_add(p, c);
    }
    let near = (z * p).mul_add(x, x);
    let size = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { size.copysign(x) }
}

/// The complement of the error function for `x >= 0`, `2 / sqrt(pi)` times the integral of `e^-t^2` from `x` on, within
/// 1.5e-6 of itself up to 4.5, where it is 2e-10.
///
/// `t e^(-x^2 + P(t))` with `t = 1 / (1 + x / 2)`: the Chebyshev fit of Numerical Recipes (section 6.2), whose error is
/// below 1.2e-7. An exponent of 20 is rounded by up to 9.5e-7, and [`exp`] adds 2.4e-7.
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let t = 1.0 / 0.5_f32.mul_add(x, 1.0);
    let mut p = 0.170_872_77_f32;
    for c in [
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ] {
        p = t.mul_add(p, c);
    }
    t * exp((-x).mul_add(x, p))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::SQRT_2;

    #[test]
    fn erfc_is_near_the_truth() {
        let mut worst = 0.0_f64;
        for i in 0..=45_000 {
            let x = i as f32 * 1e-4;
            let truth = crate::reference::erfc(f64::from(x));
            worst = worst.max((f64::from(erfc(x)) - truth).abs() / truth);
        }
        assert!(worst < 1.5e-6, "off by {worst:e}");
        assert!(erfc(f32::NAN).is_nan());
        assert_eq!(erfc(f32::INFINITY), 0.0);
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -87_000..88_700 {
            let x = i as f32 * 1e-3;
            let (got, truth) = (f64::from(exp(x)), f64::from(x).exp());
            let ulp = f64::from(f32::EPSILON) * truth;
            worst = worst.max((got - truth).abs() / ulp);
        }
        assert!(worst < 2.0, "{worst} units");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(88.72).is_finite() && exp(88.72) > 3.3e38);
    }

    #[test]
    fn ln_is_accurate() {
        for i in 1..200_000 {
            let x = f64::from(i) * 1.7e-3;
            let (got, truth) = (ln(x), x.ln());
            assert!((got - truth).abs() <= 1e-14 * truth.abs().max(1e-2), "ln {x} is {got}, expected {truth}");
        }
        for exponent in -1022..=1023 {
            for mantissa in [1.0, 1.25, SQRT_2, SQRT_2.next_up(), 1.9, 2.0 - f64::EPSILON] {
                let x = mantissa * 2_f64.powi(exponent);
                let (got, truth) = (ln(x), x.ln());
                assert!((got - truth).abs() <= 1e-14 * truth.abs().max(1e-2), "ln {x} is {got}, expected {truth}");
            }
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan());
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
    }

    #[test]
    fn tanh_and_sigmoid_are_accurate() {
        for i in -12_000..12_000 {
            let x = i as f32 * 1e-3;
            let truth = f64::from(x).tanh();
            let error = (f64::from(tanh(x)) - truth).abs();
            assert!(error <= 4e-7 * truth.abs(), "tanh {x} is {}, expected {truth}", tanh(x));
            let truth = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - truth).abs() <= 4e-7 * truth, "sigmoid {x}");
        }
        assert_eq!((tanh(50.0), tanh(-50.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(-200.0), sigmoid(200.0)), (0.0, 1.0));
        assert!(tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
