//! GELU, `x * Phi(x)` with the distribution function of the standard normal (Hendrycks and Gimpel 2016): exact, not the
//! approximation by tanh.

use crate::math;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;

/// `sqrt(1 / 2)`.
const HALF_ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f32 = 0.398_942_3;

/// `y = x * Phi(x)` for each element; zero stays zero, NaN stays NaN.
///
/// # Panics
/// If `y` is not as long as `x`.
pub fn gelu_forward(isa: Isa, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "one output per input");
    dispatch!(isa, forward_body(x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn forward_body<L: Lanes>(_: L, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * distribution(x);
    }
}

/// Multiplies each element of `grad` by the slope at `x`, `Phi(x) + x * phi(x)`. Unlike that of the activations in
/// place, it does not follow from the output alone.
///
/// # Panics
/// If `grad` is not as long as `x`.
pub fn gelu_backward(isa: Isa, x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "one gradient per input");
    dispatch!(isa, backward_body(x: &[f32], grad: &mut [f32]))
}

#[inline(always)]
fn backward_body<L: Lanes>(_: L, x: &[f32], grad: &mut [f32]) {
    for (g, &x) in grad.iter_mut().zip(x) {
        let density = DENSITY_AT_0 * math::exp(-0.5 * x * x);
        *g *= x.mul_add(density, distribution(x));
    }
}

/// `Phi(x)`, of the standard normal distribution.
#[inline(always)]
fn distribution(x: f32) -> f32 {
    let beyond = 0.5 * math::erfc(x.abs() * HALF_ROOT);
    if x < 0.0 { beyond } else { 1.0 - beyond }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, values};

    #[test]
    fn gelu_and_its_slope_match_the_definition_on_every_isa() {
        for n in [0, 1, 15, 16, 17, 100, 1000] {
            let x: Vec<f32> = values(n, 1).iter().map(|v| v * 8.0).collect();
            let (value, slope): (Vec<f64>, Vec<f64>) = x.iter().map(|&x| reference::gelu(f64::from(x))).unzip();
            on_every_isa(|isa| {
                let (mut y, mut grad) = (vec![f32::NAN; n], vec![1.0; n]);
                gelu_forward(isa, &x, &mut y);
                // The distribution function is off by up to 1e-6 of itself below 0, and of one half at most above.
                assert_close(&y, &value, 6e-7, "value");
                gelu_backward(isa, &x, &mut grad);
                assert_close(&grad, &slope, 1e-6, "slope");
                y.iter().chain(&grad).map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn zero_and_nan_stay() {
        for &isa in Isa::available() {
            let mut y = [1.0; 3];
            gelu_forward(isa, &[0.0, f32::NAN, f32::INFINITY], &mut y);
            assert!(y[0] == 0.0 && y[1].is_nan() && y[2] == f32::INFINITY, "{y:?} on {}", isa.name());
        }
    }
}
