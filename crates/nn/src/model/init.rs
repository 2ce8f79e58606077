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
    /// As [`Init::Pytorch`], but the first filters of a convolution, or of each of its groups, pass a channel on each:
    /// 1 at the middle of its own, 0 elsewhere (Zagoruyko and Komodakis 2017). The others, where there are more filters
    /// than channels, see something new.
    Dirac,
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
            // Those that are computed from images have these until they are.
            ParamKind::Weight | ParamKind::FixedWeight | ParamKind::Bias => None,
            ParamKind::Scale | ParamKind::RunningVariance => Some(1.0),
            ParamKind::Shift | ParamKind::RunningMean => Some(0.0),
        };
        let bound = match self {
            Init::Pytorch | Init::Dirac => 1.0 / fan_in.sqrt(),
            Init::Xavier if !is_bias => (6.0 / (fan_in + fan_out)).sqrt(),
            Init::Kaiming if !is_bias => (6.0 / fan_in).sqrt(),
            Init::Xavier | Init::Kaiming | Init::Zero | Init::TruncatedNormal => 0.0,
        };
        let passes_on = passes_on(spec).filter(|_| self == Init::Dirac);
        move |j| match (fixed.or_else(|| passes_on?.value(j)), self) {
            (Some(value), _) => value,
            (None, Init::TruncatedNormal) if is_bias => TUTORIAL,
            (None, Init::TruncatedNormal) => TUTORIAL * rng.truncated_normal_at(j as u64),
            // Not the negative zero that half of the products would be.
            (None, Init::Zero | Init::Pytorch | Init::Xavier | Init::Kaiming | Init::Dirac) if bound == 0.0 => 0.0,
            // In f64, and rounded once, so that the bound itself is not exceeded.
            (None, Init::Zero | Init::Pytorch | Init::Xavier | Init::Kaiming | Init::Dirac) => {
                ((2.0 * f64::from(rng.uniform_at(j as u64)) - 1.0) * bound) as f32
            }
        }
    }
}

/// The filters of a convolution that pass a channel on.
#[derive(Clone, Copy)]
struct PassesOn {
    /// Filters of a group, and channels that each sees.
    group: usize,
    channels: usize,
    /// Height and width of a kernel.
    kernel: (usize, usize),
}

fn passes_on(spec: &ParamSpec) -> Option<PassesOn> {
    let [_, channels, rows, columns] = spec.shape[..] else { return None };
    Some(PassesOn { group: spec.fan_out / (rows * columns), channels, kernel: (rows, columns) })
}

impl PassesOn {
    /// Value `j` of the weights, if its filter is one of these.
    fn value(self, j: usize) -> Option<f32> {
        let (rows, columns) = self.kernel;
        let (at, channel) = (j % (rows * columns), j / (rows * columns) % self.channels);
        let filter = j / (rows * columns) / self.channels % self.group;
        let is_middle = at == rows / 2 * columns + columns / 2;
        (filter < self.channels).then_some(f32::from(u8::from(filter == channel && is_middle)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::model::{Architecture, Model, blocks};
    use crate::train::Pixels;

    /// The weights of the network's only convolution.
    fn dirac(conv: &str, channels: usize) -> Vec<f32> {
        let input = ImageShape { channels, height: 6, width: 6 };
        let net = Architecture::of_blocks(input, blocks(&[conv, "linear 3"]), 3).expect("fits");
        Model::new(net, Init::Dirac, 7, Pixels::default()).tensor("conv1.weight").expect("weights")
    }

    #[test]
    fn the_first_filters_of_dirac_pass_their_channel_on() {
        assert_eq!(
            dirac("conv 2 3x2", 2),
            [
                [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            ]
            .concat()
        );
        // Of each group, as torch.nn.init.dirac_(weight, groups) has it.
        assert_eq!(dirac("conv 4 1x1 groups 2", 4), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(dirac("depthwise 3x3", 2), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0].repeat(2));
        let more = dirac("conv 5 1x1", 2);
        assert_eq!(more[..4], [1.0, 0.0, 0.0, 1.0]);
        assert!(more[4..].iter().all(|v| v.abs() <= 0.5_f32.sqrt() && *v != 0.0), "{more:?}");
        assert_eq!(dirac("conv 1 1x1", 2), [1.0, 0.0]);
    }

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
