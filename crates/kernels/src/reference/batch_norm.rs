//! Batch normalisation (Ioffe and Szegedy 2015), as PyTorch defines it.

/// What a batch of one channel is normalised by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The mean over images and pixels.
    pub mean: f64,
    /// The mean squared distance from it.
    pub variance: f64,
}

/// The moments of each channel of `x`, `[N, channels, pixels]`.
pub fn batch_moments(x: &[f32], channels: usize, pixels: usize) -> Vec<Moments> {
    let of = |channel: usize| {
        let values = || of_channel(x, channels, pixels, channel).map(|at| f64::from(x[at]));
        let count = values().count() as f64;
        let mean = values().sum::<f64>() / count;
        Moments { mean, variance: values().map(|v| (v - mean).powi(2)).sum::<f64>() / count }
    };
    (0..channels).map(of).collect()
}

/// `y = (x - mean) / sqrt(variance + eps) * weight + bias`, channel by channel; `x` and `y` are `[N, channels, pixels]`.
pub fn batch_norm_forward(
    x: &[f32],
    pixels: usize,
    moments: &[Moments],
    (weight, bias): (&[f32], &[f32]),
    eps: f64,
) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for (channel, of) in moments.iter().enumerate() {
        for at in of_channel(x, moments.len(), pixels, channel) {
            let normal = (f64::from(x[at]) - of.mean) / (of.variance + eps).sqrt();
            y[at] = normal * f64::from(weight[channel]) + f64::from(bias[channel]);
        }
    }
    y
}

/// Gradients of `x`, weight and bias for one of the output, where `x` was normalised by its own moments.
pub fn batch_norm_backward(
    x: &[f32],
    pixels: usize,
    weight: &[f32],
    eps: f64,
    grad_y: &[f32],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let channels = weight.len();
    let (mut grad_x, mut grad_weight, mut grad_bias) = (vec![0.0; x.len()], Vec::new(), Vec::new());
    for (channel, of) in batch_moments(x, channels, pixels).iter().enumerate() {
        let places = || of_channel(x, channels, pixels, channel);
        let root = (of.variance + eps).sqrt();
        let normal = |at: usize| (f64::from(x[at]) - of.mean) / root;
        let of_bias: f64 = places().map(|at| f64::from(grad_y[at])).sum();
        let of_weight: f64 = places().map(|at| f64::from(grad_y[at]) * normal(at)).sum();
        let count = places().count() as f64;
        for at in places() {
            let rest = f64::from(grad_y[at]) - of_bias / count - normal(at) * of_weight / count;
            grad_x[at] = f64::from(weight[channel]) / root * rest;
        }
        grad_weight.push(of_weight);
        grad_bias.push(of_bias);
    }
    (grad_x, grad_weight, grad_bias)
}

/// Where the elements of a channel lie.
fn of_channel(x: &[f32], channels: usize, pixels: usize, channel: usize) -> impl Iterator<Item = usize> + use<> {
    let image = channels * pixels;
    (0..x.len() / image).flat_map(move |n| (0..pixels).map(move |p| n * image + channel * pixels + p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::tests::{check_gradient, weighted};
    use crate::testing::values;

    #[test]
    fn a_normalised_batch_has_mean_0_and_variance_1() {
        let x = values(5 * 3 * 7, 1);
        let y = batch_norm_forward(&x, 7, &batch_moments(&x, 3, 7), (&[1.0; 3], &[0.0; 3]), 0.0);
        for channel in 0..3 {
            let of = || of_channel(&x, 3, 7, channel).map(|at| y[at]);
            let mean = of().sum::<f64>() / 35.0;
            let variance = of().map(|v| v * v).sum::<f64>() / 35.0;
            assert!(mean.abs() < 1e-14 && (variance - 1.0).abs() < 1e-13, "mean {mean}, variance {variance}");
        }
    }

    #[test]
    fn batch_norm_gradients_are_slopes() {
        let (eps, pixels, channels) = (1e-3, 5, 2);
        let (x, g) = (values(3 * channels * pixels, 1), values(3 * channels * pixels, 2));
        let (w, b) = ([0.7, -1.3], [0.2, 0.1]);
        let y = |x: &[f32], w: &[f32], b: &[f32]| {
            weighted(&batch_norm_forward(x, pixels, &batch_moments(x, channels, pixels), (w, b), eps), &g)
        };
        let (gx, gw, gb) = batch_norm_backward(&x, pixels, &w, eps, &g);
        check_gradient(&x, &gx, |x| y(x, &w, &b), "x");
        check_gradient(&w, &gw, |w| y(&x, w, &b), "weight");
        check_gradient(&b, &gb, |b| y(&x, &w, b), "bias");
    }
}
