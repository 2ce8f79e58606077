//! Activations in place, element by element; their gradients need only the output.

use crate::arena::Columns;
use crate::linear::dense::covers;
use crate::math;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

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

/// [`activation_backward`] for some columns of `rows` rows, and times `factor` then. `y`: the same columns of rows
/// `y_stride` apart.
///
/// # Panics
/// If `grad` or `y` has fewer rows.
pub fn activation_backward_columns(
    isa: Isa,
    activation: Activation,
    factor: Option<f32>,
    y: &[f32],
    y_stride: usize,
    rows: usize,
    grad: &mut Columns<'_, f32>,
) {
    assert!(grad.rows() >= rows && covers(y.len(), rows, y_stride, grad.columns()), "{rows} rows of both");
    dispatch!(
        isa,
        columns_body(activation: Activation, factor: Option<f32>, y: &[f32], y_stride: usize, rows: usize, grad: &mut Columns<'_, f32>)
    )
}

#[inline(always)]
fn columns_body<L: Lanes>(
    simd: L,
    activation: Activation,
    factor: Option<f32>,
    y: &[f32],
    y_stride: usize,
    rows: usize,
    grad: &mut Columns<'_, f32>,
) {
    for n in 0..rows {
        let grad = grad.row_mut(n);
        let (whole, rest) = grad.as_chunks_mut::<LANES>();
        let (y_whole, y_rest) = y[n * y_stride..][..whole.len() * LANES + rest.len()].as_chunks::<LANES>();
        // Of known length: rows of a dozen columns are no loop worth beginning.
        for (grad, y) in whole.iter_mut().zip(y_whole) {
            backward_body(simd, activation, y, grad);
        }
        backward_body(simd, activation, y_rest, rest);
        if let Some(factor) = factor {
            grad.iter_mut().for_each(|grad| *grad *= factor);
        }
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
    fn slopes_of_columns_are_those_of_their_elements_on_every_isa() {
        let (rows, stride, columns) = (5, 40, 3..37);
        let (y, grad) = (values(rows * stride, 1), values(rows * stride, 2));
        for (activation, factor) in
            ALL.into_iter().flat_map(|activation| [(activation, None), (activation, Some(1.25))])
        {
            on_every_isa(|isa| {
                let (mut expected, mut got) = (grad.clone(), grad.clone());
                for n in 0..rows {
                    let row = n * stride + columns.start..n * stride + columns.end;
                    activation_backward(isa, activation, &y[row.clone()], &mut expected[row.clone()]);
                    expected[row].iter_mut().for_each(|grad| *grad *= factor.unwrap_or(1.0));
                }
                let arena = crate::arena::Arena::new(&mut got);
                let mut part = arena.write_columns(0, rows, stride, columns.clone());
                let y = &y[columns.start..];
                activation_backward_columns(isa, activation, factor, y, stride, rows, &mut part.columns());
                drop(part);
                assert!(got == expected, "{activation:?}, {factor:?} on {}", isa.name());
                got.iter().map(|v| v.to_bits()).collect()
            });
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
