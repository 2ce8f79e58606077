//! One step of an optimizer over a slice of parameters, element by element, as PyTorch defines it: gradient descent
//! with momentum, and Nesterov's in the form of I. Sutskever et al., *On the importance of initialization and momentum
//! in deep learning*, 2013; Adam of D. P. Kingma and J. Ba, *Adam: a method for stochastic optimization*, 2015; and
//! AdamW of I. Loshchilov and F. Hutter, *Decoupled weight decay regularization*, 2019.
//!
//! What a step leaves behind is never subnormal. The mean gradient of a weight whose gradient is zero, that of a blank
//! pixel for example, decays by `beta1` in every step: after some 830 steps it would be below the smallest normal
//! number, and Intel's processors compute with such numbers a hundred times slower than with others. Here they are zero
//! by definition, on every instruction set. The control register's bits that do the same in hardware would have to hold
//! for compiled code that is not ours to speak for: Rust takes the default for granted.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;

/// Settings of one step of stochastic gradient descent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Learning rate of this step.
    pub lr: f32,
    /// Share of the last step's direction that is kept; 0 for plain descent.
    pub momentum: f32,
    /// Look ahead along the new direction.
    pub nesterov: bool,
    /// Added to the gradient, times the weight.
    pub weight_decay: f32,
    /// Factor on the weight before the step, `1 - lr * weight_decay` where the decay is decoupled, else 1.
    pub decay: f32,
}

/// `g = grad + weight_decay * w`; `direction = momentum * direction + g`; `w = decay * w - lr * direction`, or with
/// Nesterov `w = decay * w - lr * (g + momentum * direction)`.
///
/// `direction` starts as zeros and is left alone if `momentum` is 0.
///
/// # Panics
/// If the slices differ in length.
pub fn sgd_step(isa: Isa, step: &SgdStep, grad: &[f32], weight: &mut [f32], direction: &mut [f32]) {
    assert!(grad.len() == weight.len() && grad.len() == direction.len(), "one gradient and direction per weight");
    dispatch!(isa, sgd_body(step: &SgdStep, grad: &[f32], weight: &mut [f32], direction: &mut [f32]))
}

#[inline(always)]
fn sgd_body<L: Lanes>(_: L, step: &SgdStep, grad: &[f32], weight: &mut [f32], direction: &mut [f32]) {
    let SgdStep { lr, momentum, nesterov, weight_decay, decay } = *step;
    if momentum == 0.0 {
        for (w, &g) in weight.iter_mut().zip(grad) {
            let g = weight_decay.mul_add(*w, g);
            *w = normal(g.mul_add(-lr, *w * decay));
        }
        return;
    }
    for ((w, d), &g) in weight.iter_mut().zip(direction).zip(grad) {
        let g = weight_decay.mul_add(*w, g);
        *d = normal(momentum.mul_add(*d, g));
        let along = if nesterov { momentum.mul_add(*d, g) } else { *d };
        *w = normal(along.mul_add(-lr, *w * decay));
    }
}

/// Settings of one step of Adam, with what depends on the number of the step worked out in advance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// `lr / (1 - beta1^t)`.
    pub step_size: f32,
    /// Share of the mean gradient that is kept.
    pub beta1: f32,
    /// Share of the mean squared gradient that is kept.
    pub beta2: f32,
    /// Added to the root of the mean squared gradient.
    pub eps: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root_correction: f32,
    /// Added to the gradient, times the weight (Adam), else 0.
    pub weight_decay: f32,
    /// Factor on the weight before the step, `1 - lr * weight_decay` (AdamW), else 1.
    pub decay: f32,
}

/// `m = beta1 m + (1 - beta1) g`; `v = beta2 v + (1 - beta2) g^2`;
/// `w = decay * w - step_size * m / (sqrt(v) * root_correction + eps)`, with `g = grad + weight_decay * w`.
///
/// `mean` (m) and `square` (v) start as zeros.
///
/// # Panics
/// If the slices differ in length.
pub fn adam_step(isa: Isa, step: &AdamStep, grad: &[f32], weight: &mut [f32], mean: &mut [f32], square: &mut [f32]) {
    let n = grad.len();
    assert!(weight.len() == n && mean.len() == n && square.len() == n, "one gradient and two means per weight");
    dispatch!(isa, adam_body(step: &AdamStep, grad: &[f32], weight: &mut [f32], mean: &mut [f32], square: &mut [f32]))
}

#[inline(always)]
fn adam_body<L: Lanes>(_: L, step: &AdamStep, grad: &[f32], weight: &mut [f32], mean: &mut [f32], square: &mut [f32]) {
    let AdamStep { step_size, beta1, beta2, eps, root_correction, weight_decay, decay } = *step;
    let (rest1, rest2) = (1.0 - beta1, 1.0 - beta2);
    for (((w, m), v), &g) in weight.iter_mut().zip(mean).zip(square).zip(grad) {
        let g = weight_decay.mul_add(*w, g);
        *m = normal(beta1.mul_add(*m, rest1 * g));
        *v = normal(beta2.mul_add(*v, rest2 * g * g));
        let root = v.sqrt().mul_add(root_correction, eps);
        *w = normal((*m / root).mul_add(-step_size, *w * decay));
    }
}

/// `average += rest * (weight - average)`: an exponential moving average that keeps `1 - rest` of what it was.
///
/// # Panics
/// If the slices differ in length.
pub fn average_step(isa: Isa, rest: f32, weight: &[f32], average: &mut [f32]) {
    assert_eq!(weight.len(), average.len(), "one average per weight");
    dispatch!(isa, average_body(rest: f32, weight: &[f32], average: &mut [f32]))
}

#[inline(always)]
fn average_body<L: Lanes>(_: L, rest: f32, weight: &[f32], average: &mut [f32]) {
    for (a, &w) in average.iter_mut().zip(weight) {
        *a = normal(rest.mul_add(w - *a, *a));
    }
}

/// The direction of Muon's step before it is made orthogonal: `mean = momentum * mean + (1 - momentum) * grad`, and
/// `grad` becomes `mean`, or with Nesterov `momentum * mean + (1 - momentum) * grad`.
///
/// # Panics
/// If the slices differ in length.
pub fn muon_direction(isa: Isa, momentum: f32, nesterov: bool, grad: &mut [f32], mean: &mut [f32]) {
    assert_eq!(grad.len(), mean.len(), "one mean per gradient");
    dispatch!(isa, muon_body(momentum: f32, nesterov: bool, grad: &mut [f32], mean: &mut [f32]))
}

#[inline(always)]
fn muon_body<L: Lanes>(_: L, momentum: f32, nesterov: bool, grad: &mut [f32], mean: &mut [f32]) {
    let rest = 1.0 - momentum;
    for (g, m) in grad.iter_mut().zip(mean) {
        *m = normal(momentum.mul_add(*m, rest * *g));
        *g = if nesterov { momentum.mul_add(*m, rest * *g) } else { *m };
    }
}

/// `x`, or zero where `x` is subnormal.
#[inline(always)]
pub fn normal(x: f32) -> f32 {
    // A select, so that a loop becomes vectors; NaN is not below anything and stays.
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_every_isa, values};

    #[test]
    fn sgd_follows_its_formula_on_every_isa() {
        for (momentum, nesterov, weight_decay, decay) in [
            (0.0, false, 0.0, 1.0),
            (0.0, false, 0.1, 1.0),
            (0.9, false, 0.01, 1.0),
            (0.9, true, 0.0, 1.0),
            (0.0, false, 0.0, 0.9),
            (0.9, true, 0.0, 0.99),
        ] {
            let step = SgdStep { lr: 0.1, momentum, nesterov, weight_decay, decay };
            let n = 37;
            on_every_isa(|isa| {
                let (mut w, mut d) = (values(n, 1), vec![0.0; n]);
                let mut expected: Vec<(f64, f64)> = w.iter().map(|&w| (f64::from(w), 0.0)).collect();
                for t in 0..3 {
                    let grad = values(n, 10 + t);
                    sgd_step(isa, &step, &grad, &mut w, &mut d);
                    let (lr, mu, wd) = (f64::from(step.lr), f64::from(momentum), f64::from(weight_decay));
                    for ((w, d), g) in expected.iter_mut().zip(&grad) {
                        let g = f64::from(*g) + wd * *w;
                        *d = mu * *d + g;
                        *w = *w * f64::from(decay) - lr * if nesterov { g + mu * *d } else { *d };
                    }
                }
                for (got, (expected, _)) in w.iter().zip(&expected) {
                    assert!((f64::from(*got) - expected).abs() < 1e-6, "{got}, expected {expected}");
                }
                w.iter().map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn what_a_step_leaves_is_never_subnormal_on_any_isa() {
        let tiny = f32::MIN_POSITIVE;
        // Weights and states on both sides of the smallest normal number, with and without a gradient.
        let start: Vec<f32> = [1.0, 1.05, 1.2, 1.5, 3.0].into_iter().flat_map(|x| [x * tiny, -x * tiny]).collect();
        let n = start.len();
        let none =
            |numbers: &[f32], what: &str| assert!(numbers.iter().all(|x| !x.is_subnormal()), "{what}: {numbers:?}");
        on_every_isa(|isa| {
            let mut bits = Vec::new();
            for (gradient, weight_decay, decay) in
                [(0.0, 0.0, 1.0), (0.0, 0.9, 0.5), (tiny / 2.0, 0.0, 1.0), (1e-20, 0.0, 1.0)]
            {
                let grad = vec![gradient; n];
                let step = AdamStep {
                    step_size: 1e-20,
                    beta1: 0.9,
                    beta2: 0.99,
                    eps: 1e-8,
                    root_correction: 1.0,
                    weight_decay,
                    decay,
                };
                let (mut w, mut m, mut v) =
                    (start.clone(), start.clone(), start.iter().map(|x| x.abs()).collect::<Vec<_>>());
                adam_step(isa, &step, &grad, &mut w, &mut m, &mut v);
                for (numbers, what) in [(&w, "weights"), (&m, "means"), (&v, "squares")] {
                    none(numbers, what);
                    bits.extend(numbers.iter().map(|x| x.to_bits()));
                }
                for momentum in [0.0, 0.9] {
                    let step = SgdStep { lr: 0.3, momentum, nesterov: false, weight_decay, decay };
                    let (mut w, mut d) = (start.clone(), start.clone());
                    sgd_step(isa, &step, &grad, &mut w, &mut d);
                    none(&w, "weights");
                    none(&d, "directions");
                    bits.extend(w.iter().chain(&d).map(|x| x.to_bits()));
                }
            }
            bits
        });
        assert!(normal(f32::NAN).is_nan(), "a broken weight stays broken");
        assert_eq!([tiny, -tiny, f32::INFINITY].map(normal), [tiny, -tiny, f32::INFINITY]);
    }

    #[test]
    fn averages_and_muons_direction_follow_their_formulas_on_every_isa() {
        let (n, rest, mu) = (37, 0.125_f32, 0.9_f32);
        let (w, before, grad) = (values(n, 1), values(n, 2), values(n, 3));
        // Three roundings, of numbers of at most 1.
        let near = |got: f32, expected: f64| assert!((f64::from(got) - expected).abs() < 2e-7, "{got}, {expected}");
        on_every_isa(|isa| {
            let mut average = before.clone();
            average_step(isa, rest, &w, &mut average);
            for ((got, a), w) in average.iter().zip(&before).zip(&w) {
                near(*got, 0.875 * f64::from(*a) + 0.125 * f64::from(*w));
            }
            average_step(isa, 1.0, &w, &mut average);
            average.iter().zip(&w).for_each(|(a, w)| near(*a, f64::from(*w)));
            let mut bits = average;
            for nesterov in [false, true] {
                let (mut direction, mut mean) = (grad.clone(), before.clone());
                muon_direction(isa, mu, nesterov, &mut direction, &mut mean);
                let (mu, rest) = (f64::from(mu), 1.0 - f64::from(mu));
                for ((got, m), (before, g)) in direction.iter().zip(&mean).zip(before.iter().zip(&grad)) {
                    let expected = mu * f64::from(*before) + rest * f64::from(*g);
                    near(*m, expected);
                    near(*got, if nesterov { mu * expected + rest * f64::from(*g) } else { expected });
                }
                bits.extend(direction.iter().chain(&mean));
            }
            bits.iter().map(|v| v.to_bits()).collect()
        });
    }

    #[test]
    fn adam_follows_its_formula_on_every_isa() {
        for (weight_decay, decoupled) in [(0.0, false), (0.1, false), (0.1, true)] {
            let (n, lr, b1, b2, eps) = (37, 1e-2_f64, 0.9_f64, 0.999_f64, 1e-8_f64);
            on_every_isa(|isa| {
                let (mut w, mut m, mut v) = (values(n, 1), vec![0.0; n], vec![0.0; n]);
                let mut expected: Vec<[f64; 3]> = w.iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
                for t in 1..=3 {
                    let grad = values(n, 10 + t as u32);
                    let step = AdamStep {
                        step_size: (lr / (1.0 - b1.powi(t))) as f32,
                        beta1: b1 as f32,
                        beta2: b2 as f32,
                        eps: eps as f32,
                        root_correction: (1.0 / (1.0 - b2.powi(t)).sqrt()) as f32,
                        weight_decay: if decoupled { 0.0 } else { weight_decay as f32 },
                        decay: if decoupled { (1.0 - lr * weight_decay) as f32 } else { 1.0 },
                    };
                    adam_step(isa, &step, &grad, &mut w, &mut m, &mut v);
                    for ([w, m, v], g) in expected.iter_mut().zip(&grad) {
                        let mut g = f64::from(*g);
                        if decoupled {
                            *w *= 1.0 - lr * weight_decay;
                        } else {
                            g += weight_decay * *w;
                        }
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *w -= lr * (*m / (1.0 - b1.powi(t))) / ((*v / (1.0 - b2.powi(t))).sqrt() + eps);
                    }
                }
                for (got, [expected, ..]) in w.iter().zip(&expected) {
                    assert!((f64::from(*got) - expected).abs() < 1e-6, "{got}, expected {expected}");
                }
                w.iter().map(|v| v.to_bits()).collect()
            });
        }
    }
}
