//! Activations that are `x` times a gate between 0 and 1: GELU (Hendrycks and Gimpel 2016), exact, not the approximation
//! by tanh, and SiLU, also called swish. Unlike those in place, their slope does not follow from the output alone: to
//! most outputs below zero belong two inputs.

use crate::math;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;

/// `sqrt(1 / 2)`.
const HALF_ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f32 = 0.398_942_3;

/// The closed list of gates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// The distribution function of the standard normal, `Phi(x)`: GELU.
    Normal,
    /// The logistic function, `1 / (1 + e^-x)`: SiLU.
    Logistic,
}

/// `y = x * gate(x)` for each element; zero stays zero, NaN stays NaN.
///
/// # Panics
/// If `y` is not as long as `x`.
pub fn gated_forward(isa: Isa, gate: Gate, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "one output per input");
    dispatch!(isa, forward_body(gate: Gate, x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn forward_body<L: Lanes>(_: L, gate: Gate, x: &[f32], y: &mut [f32]) {
    let pairs = y.iter_mut().zip(x);
    match gate {
        Gate::Normal => pairs.for_each(|(y, &x)| *y = x * distribution(x)),
        Gate::Logistic => pairs.for_each(|(y, &x)| *y = x * math::sigmoid(x)),
    }
}

/// Multiplies each element of `grad` by the slope at `x`, `gate(x) + x * gate'(x)`.
///
/// # Panics
/// If `grad` is not as long as `x`.
pub fn gated_backward(isa: Isa, gate: Gate, x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "one gradient per input");
    dispatch!(isa, backward_body(gate: Gate, x: &[f32], grad: &mut [f32]))
}

#[inline(always)]
fn backward_body<L: Lanes>(_: L, gate: Gate, x: &[f32], grad: &mut [f32]) {
    let pairs = grad.iter_mut().zip(x);
    match gate {
        Gate::Normal => pairs.for_each(|(g, &x)| {
            let density = DENSITY_AT_0 * math::exp(-0.5 * x * x);
            *g *= x.mul_add(density, distribution(x));
        }),
        Gate::Logistic => pairs.for_each(|(g, &x)| {
            let gate = math::sigmoid(x);
            *g *= gate * x.mul_add(1.0 - gate, 1.0);
        }),
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
    fn gated_activations_and_their_slopes_match_the_definition_on_every_isa() {
        for (gate, truth) in
            [(Gate::Normal, reference::gelu as fn(f64) -> (f64, f64)), (Gate::Logistic, reference::silu)]
        {
            for n in [0, 1, 15, 16, 17, 100, 1000] {
                let x: Vec<f32> = values(n, 1).iter().map(|v| v * 8.0).collect();
                let (value, slope): (Vec<f64>, Vec<f64>) = x.iter().map(|&x| truth(f64::from(x))).unzip();
                on_every_isa(|isa| {
                    let (mut y, mut grad) = (vec![f32::NAN; n], vec![1.0; n]);
                    gated_forward(isa, gate, &x, &mut y);
                    // The normal distribution function is off by up to 1e-6 of itself below 0, and of one half at most
                    // above; the logistic one by 4e-7 of itself.
                    assert_close(&y, &value, 6e-7, "value");
                    gated_backward(isa, gate, &x, &mut grad);
                    assert_close(&grad, &slope, 1e-6, "slope");
                    y.iter().chain(&grad).map(|v| v.to_bits()).collect()
                });
            }
        }
    }

    #[test]
    fn zero_and_nan_stay() {
        for (&isa, gate) in Isa::available().iter().flat_map(|isa| [(isa, Gate::Normal), (isa, Gate::Logistic)]) {
            let mut y = [1.0; 3];
            gated_forward(isa, gate, &[0.0, f32::NAN, f32::INFINITY], &mut y);
            assert!(y[0] == 0.0 && y[1].is_nan() && y[2] == f32::INFINITY, "{gate:?}: {y:?} on {}", isa.name());
        }
    }

    #[test]
    fn what_is_far_below_zero_ends_at_zero() {
        for &isa in Isa::available() {
            let x = [-90.0, -1e30];
            let mut y = [1.0; 2];
            gated_forward(isa, Gate::Logistic, &x, &mut y);
            assert_eq!(y, [0.0; 2], "on {}", isa.name());
            let mut grad = [1.0; 2];
            gated_backward(isa, Gate::Logistic, &x, &mut grad);
            assert_eq!(grad, [0.0; 2], "on {}", isa.name());
        }
    }
}
