//! Activations in place, element by element; their gradients need only the output.

use crate::math;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;

/// The closed list of activations.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Activation {
    /// `max(0, x)`; the gradient at 0 is 0.
    Relu,
    /// `x`, or below 0 `slope * x`; the gradient at 0 is the slope.
    LeakyRelu {
        /// More than 0 and at most 1, so that the sign of the output is that of `x`.
        slope: f32,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

/// Overwrites each element with its activation. A NaN stays one, so that a network that has diverged shows it.
pub fn activation_forward(isa: Isa, activation: Activation, x: &mut [f32]) {
    dispatch!(isa, forward_body(activation: Activation, x: &mut [f32]))
}

#[inline(always)]
fn forward_body<L: Lanes>(_: L, activation: Activation, x: &mut [f32]) {
    match activation {
        // A comparison that is false for NaN keeps it.
        Activation::Relu => x.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
        Activation::LeakyRelu { slope } => x.iter_mut().for_each(|v| *v = if *v < 0.0 { slope * *v } else { *v }),
        Activation::Tanh => x.iter_mut().for_each(|v| *v = math::tanh(*v)),
        Activation::Sigmoid => x.iter_mut().for_each(|v| *v = math::sigmoid(*v)),
    }
}

/// Multiplies each element of `grad` by the slope of the activation whose output `y` holds.
///
/// # Panics
/// If `y` and `grad` differ in length.
pub fn activation_backward(isa: Isa, activation: Activation, y: &[f32], grad: &mut [f32]) {
    assert_eq!(y.len(), grad.len(), "one gradient per output");
    dispatch!(isa, backward_body(activation: Activation, y: &[f32], grad: &mut [f32]))
}

#[inline(always)]
fn backward_body<L: Lanes>(_: L, activation: Activation, y: &[f32], grad: &mut [f32]) {
    let pairs = grad.iter_mut().zip(y);
    match activation {
        Activation::Relu => pairs.for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 }),
        Activation::LeakyRelu { slope } => pairs.for_each(|(g, &y)| *g = if y > 0.0 { *g } else { slope * *g }),
        Activation::Tanh => pairs.for_each(|(g, &y)| *g *= y.mul_add(-y, 1.0)),
        Activation::Sigmoid => pairs.for_each(|(g, &y)| *g *= y * (1.0 - y)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, on_every_isa, values};

    const ALL: [Activation; 4] =
        [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }, Activation::Tanh, Activation::Sigmoid];

    #[test]
    fn activations_and_slopes_match_the_definition_on_every_isa() {
        for n in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = values(n, 1).iter().map(|v| v * 4.0).collect();
            for activation in ALL {
                let truth = |x: f64| match activation {
                    Activation::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
                    Activation::LeakyRelu { slope } => {
                        (x * if x < 0.0 { f64::from(slope) } else { 1.0 }, if x > 0.0 { 1.0 } else { f64::from(slope) })
                    }
                    Activation::Tanh => (x.tanh(), 1.0 - x.tanh() * x.tanh()),
                    Activation::Sigmoid => {
                        let s = 1.0 / (1.0 + (-x).exp());
                        (s, s * (1.0 - s))
                    }
                };
                let (value, slope): (Vec<f64>, Vec<f64>) = x.iter().map(|&x| truth(f64::from(x))).unzip();
                on_every_isa(|isa| {
                    let mut y = x.clone();
                    activation_forward(isa, activation, &mut y);
                    assert_close(&y, &value, 1e-6, "value");
                    let mut grad = vec![1.0; n];
                    activation_backward(isa, activation, &y, &mut grad);
                    assert_close(&grad, &slope, 1e-6, "slope");
                    y.iter().chain(&grad).map(|v| v.to_bits()).collect()
                });
            }
        }
    }

    #[test]
    fn nan_survives_every_activation() {
        for &isa in Isa::available() {
            for activation in ALL {
                let mut x = vec![f32::NAN; 17];
                activation_forward(isa, activation, &mut x);
                assert!(x.iter().all(|v| v.is_nan()), "{activation:?} on {}", isa.name());
            }
        }
    }
}
