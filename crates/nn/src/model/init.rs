//! Initial parameters.

use super::architecture::{ParamKind, ParamSpec};
use crate::rng::{Rng, Stream};
use serde::{Deserialize, Serialize};

/// How parameters start. Value `j` of array `a` (both in PyTorch's order) is a function of the seed, `a` and `j` alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// PyTorch's default for linear and convolutional layers: weights and biases uniform in
    /// `+-1 / sqrt(fan_in)`.
    #[default]
    Pytorch,
    /// All zero. Only a network without hidden layers can learn from there.
    Zero,
    /// Weights uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010), biases zero.
    Xavier,
    /// Weights uniform in `+-sqrt(6 / fan_in)` (He et al. 2015), biases zero.
    Kaiming,
    /// Weights normal with standard deviation 0.1, but none beyond 0.2, and biases 0.1: what the first TensorFlow
    /// examples taught.
    TruncatedNormal,
}

/// Standard deviation of the weights, and value of the biases, of [`Init::TruncatedNormal`].
const TUTORIAL: f32 = 0.1;

impl Init {
    /// The values of array number `array`, in PyTorch's order.
    pub(crate) fn values(self, spec: &ParamSpec, array: u64, seed: u64) -> impl Fn(usize) -> f32 + use<> {
        let rng = Rng::new(seed, Stream::Init, array);
        let (is_bias, fan_in, fan_out) = (spec.kind == ParamKind::Bias, spec.fan_in as f64, spec.fan_out as f64);
        // Those of a batch norm begin in the same way in any network.
        let fixed = match spec.kind {
            ParamKind::Weight | ParamKind::Bias => None,
            ParamKind::Scale | ParamKind::RunningVariance => Some(1.0),
            ParamKind::Shift | ParamKind::RunningMean => Some(0.0),
        };
        let bound = match self {
            Init::Pytorch => 1.0 / fan_in.sqrt(),
            Init::Xavier if !is_bias => (6.0 / (fan_in + fan_out)).sqrt(),
            Init::Kaiming if !is_bias => (6.0 / fan_in).sqrt(),
            Init::Xavier | Init::Kaiming | Init::Zero | Init::TruncatedNormal => 0.0,
        };
        move |j| match (fixed, self) {
            (Some(value), _) => value,
            (None, Init::TruncatedNormal) if is_bias => TUTORIAL,
            (None, Init::TruncatedNormal) => TUTORIAL * rng.truncated_normal_at(j as u64),
            // Not the negative zero that half of the products would be.
            (None, Init::Zero | Init::Pytorch | Init::Xavier | Init::Kaiming) if bound == 0.0 => 0.0,
            // In f64, and rounded once, so that the bound itself is not exceeded.
            (None, Init::Zero | Init::Pytorch | Init::Xavier | Init::Kaiming) => {
                ((2.0 * f64::from(rng.uniform_at(j as u64)) - 1.0) * bound) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_their_bounds() {
        let spec = ParamSpec {
            name: "fc1.weight".into(),
            kind: ParamKind::Weight,
            shape: vec![50, 200],
            fan_in: 200,
            fan_out: 50,
        };
        for (init, bound) in [
            (Init::Pytorch, 1.0 / 200.0_f64.sqrt()),
            (Init::Zero, 0.0),
            (Init::Xavier, (6.0 / 250.0_f64).sqrt()),
            (Init::Kaiming, (6.0 / 200.0_f64).sqrt()),
        ] {
            let value = init.values(&spec, 0, 7);
            let values: Vec<f64> = (0..10_000).map(|j| f64::from(value(j))).collect();
            let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            assert!(largest <= bound * 1.000001 && largest >= bound * 0.999, "{init:?}: {largest} of {bound}");
            let mean = values.iter().sum::<f64>() / 1e4;
            assert!(mean.abs() <= bound * 0.03, "{init:?}: mean {mean}");
            let variance = values.iter().map(|v| v * v).sum::<f64>() / 1e4;
            assert!((variance - bound * bound / 3.0).abs() <= bound * bound * 0.02, "{init:?}: variance {variance}");
        }
    }

    #[test]
    fn truncated_normal_values_are_within_two_deviations() {
        let spec = ParamSpec {
            name: "fc1.weight".into(),
            kind: ParamKind::Weight,
            shape: vec![50, 200],
            fan_in: 200,
            fan_out: 50,
        };
        let value = Init::TruncatedNormal.values(&spec, 0, 7);
        let values: Vec<f64> = (0..10_000).map(|j| f64::from(value(j))).collect();
        assert!(values.iter().all(|v| v.abs() <= 0.2));
        let mean = values.iter().sum::<f64>() / 1e4;
        // A normal variable cut off at two deviations has 0.7737 of the variance.
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.003 && (variance - 0.007737).abs() < 0.0003, "mean {mean}, variance {variance}");
        let bias =
            ParamSpec { name: "fc1.bias".into(), kind: ParamKind::Bias, shape: vec![50], fan_in: 200, fan_out: 50 };
        assert!((0..50).all(|j| Init::TruncatedNormal.values(&bias, 1, 7)(j) == 0.1));
    }

    #[test]
    fn biases_of_xavier_and_kaiming_are_zero() {
        let spec =
            ParamSpec { name: "fc1.bias".into(), kind: ParamKind::Bias, shape: vec![50], fan_in: 200, fan_out: 50 };
        assert!(
            (0..50).all(|j| Init::Xavier.values(&spec, 1, 7)(j) == 0.0 && Init::Kaiming.values(&spec, 1, 7)(j) == 0.0)
        );
        assert!(Init::Pytorch.values(&spec, 1, 7)(0) != 0.0);
    }
}
