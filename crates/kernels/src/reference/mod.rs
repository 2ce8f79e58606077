//! Every operation in plain `f64` loops, in PyTorch's layouts: the specification of the kernels.
//!
//! Inputs are `f32` because that is what the kernels are given; every sum is in `f64`. Images are `[N, C, H, W]`,
//! convolution weights `[O, I, Kh, Kw]`, linear weights `[out, in]`. Slices that are too short, and windows that do not
//! fit once, panic.

pub mod augment;
mod batch_norm;

use crate::softmax_cross_entropy::Counts;
use crate::windows;
pub use batch_norm::{Moments, batch_moments, batch_norm_backward, batch_norm_forward};

/// Where a convolution or pooling looks: kernel, stride and zero padding (rows, then columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: (usize, usize),
    /// Rows and columns from one output to the next.
    pub stride: (usize, usize),
    /// Zero rows above and below, zero columns left and right: `[top, left, bottom, right]`.
    pub padding: [usize; 4],
}

impl Window {
    /// Output height and width for an input of `height x width`; `None` if the kernel does not fit once.
    pub fn output(&self, height: usize, width: usize) -> Option<(usize, usize)> {
        let [top, left, bottom, right] = self.padding;
        let rows = windows::count(height + top + bottom, self.kernel.0, self.stride.0)?;
        let columns = windows::count(width + left + right, self.kernel.1, self.stride.1)?;
        Some((rows, columns))
    }

    /// The input row (column) under kernel row `k` at output row `o`, or `None` in the padding.
    fn source(o: usize, k: usize, stride: usize, padding: usize, size: usize) -> Option<usize> {
        (o * stride + k).checked_sub(padding).filter(|&i| i < size)
    }
}

/// The random numbers of `key` at `counter`: Philox4x32 with so many rounds, as published by Salmon, Moraes, Dror and
/// Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
pub fn philox4x32(rounds: usize, mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..rounds {
        let [a, b, c, d] = counter;
        let (first, second) = (u64::from(a) * 0xD251_1F53, u64::from(c) * 0xCD9E_8D57);
        let (high, low) = (|p: u64| (p >> 32) as u32, |p: u64| p as u32);
        counter = [high(second) ^ b ^ key[0], low(second), high(first) ^ d ^ key[1], low(first)];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The complement of the error function for `x >= 0`, by the power series near zero and else by its continued fraction
/// (Abramowitz and Stegun 7.1.5 and 7.1.14), within 1e-13 of itself.
pub fn erfc(x: f64) -> f64 {
    let scale = 2.0 / std::f64::consts::PI.sqrt();
    if x < 1.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - scale * sum;
    }
    let fraction = (1..=200).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() * scale / 2.0 / fraction
}

/// `x * Phi(x)` and its slope, with the distribution function of the standard normal.
pub fn gelu(x: f64) -> (f64, f64) {
    let below = 0.5 * erfc(x.abs() / std::f64::consts::SQRT_2);
    let phi = if x < 0.0 { below } else { 1.0 - below };
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (x * phi, phi + x * density)
}

/// `x / (1 + e^-x)` and its slope.
pub fn silu(x: f64) -> (f64, f64) {
    let gate = 1.0 / (1.0 + (-x).exp());
    (x * gate, gate * (1.0 + x * (1.0 - gate)))
}

/// `y[n][o] = bias[o] + sum over i of x[n][i] * weight[o][i]`.
pub fn linear_forward(x: &[f32], weight: &[f32], bias: &[f32], rows: usize, k: usize, out: usize) -> Vec<f64> {
    let mut y = vec![0.0; rows * out];
    for n in 0..rows {
        for o in 0..out {
            y[n * out + o] = f64::from(bias[o]);
            for i in 0..k {
                y[n * out + o] += f64::from(x[n * k + i]) * f64::from(weight[o * k + i]);
            }
        }
    }
    y
}

/// Gradients of [`linear_forward`]: of `x`, of `weight`, of `bias`.
pub fn linear_backward(
    x: &[f32],
    weight: &[f32],
    grad_y: &[f32],
    rows: usize,
    k: usize,
    out: usize,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut grad_x, mut grad_weight, mut grad_bias) = (vec![0.0; rows * k], vec![0.0; out * k], vec![0.0; out]);
    for n in 0..rows {
        for o in 0..out {
            let g = f64::from(grad_y[n * out + o]);
            grad_bias[o] += g;
            for i in 0..k {
                grad_x[n * k + i] += g * f64::from(weight[o * k + i]);
                grad_weight[o * k + i] += g * f64::from(x[n * k + i]);
            }
        }
    }
    (grad_x, grad_weight, grad_bias)
}

/// `y[o][p] = bias[o] + sum over i and kernel of x[i][p * stride + k - padding] * weight[o][i][k]`, one image.
///
/// # Panics
/// If the kernel does not fit into the padded image.
pub fn conv2d_forward(
    x: &[f32],
    (in_channels, height, width): (usize, usize, usize),
    weight: &[f32],
    bias: &[f32],
    window: &Window,
) -> Vec<f64> {
    let (out_height, out_width) = window.output(height, width).expect("the kernel fits");
    let (kh, kw) = window.kernel;
    let mut y = vec![0.0; bias.len() * out_height * out_width];
    for o in 0..bias.len() {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let mut sum = f64::from(bias[o]);
                for i in 0..in_channels {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let iy = Window::source(oy, ky, window.stride.0, window.padding[0], height);
                            let ix = Window::source(ox, kx, window.stride.1, window.padding[1], width);
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                sum += f64::from(x[(i * height + iy) * width + ix])
                                    * f64::from(weight[((o * in_channels + i) * kh + ky) * kw + kx]);
                            }
                        }
                    }
                }
                y[(o * out_height + oy) * out_width + ox] = sum;
            }
        }
    }
    y
}

/// Gradients of [`conv2d_forward`] for one image: of `x`, of `weight`, of `bias`.
///
/// # Panics
/// If the kernel does not fit into the padded image.
pub fn conv2d_backward(
    x: &[f32],
    (in_channels, height, width): (usize, usize, usize),
    weight: &[f32],
    out_channels: usize,
    grad_y: &[f32],
    window: &Window,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (out_height, out_width) = window.output(height, width).expect("the kernel fits");
    let (kh, kw) = window.kernel;
    let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    let mut grad_bias = vec![0.0; out_channels];
    for o in 0..out_channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let g = f64::from(grad_y[(o * out_height + oy) * out_width + ox]);
                grad_bias[o] += g;
                for i in 0..in_channels {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let iy = Window::source(oy, ky, window.stride.0, window.padding[0], height);
                            let ix = Window::source(ox, kx, window.stride.1, window.padding[1], width);
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                let (xi, wi) =
                                    ((i * height + iy) * width + ix, ((o * in_channels + i) * kh + ky) * kw + kx);
                                grad_x[xi] += g * f64::from(weight[wi]);
                                grad_weight[wi] += g * f64::from(x[xi]);
                            }
                        }
                    }
                }
            }
        }
    }
    (grad_x, grad_weight, grad_bias)
}

/// [`conv2d_forward`] in `groups` groups: outputs of each see the inputs of the same one alone, `weight` is
/// `[O, I / groups, Kh, Kw]`. As many groups as channels make a depthwise convolution.
pub fn grouped_conv2d_forward(
    x: &[f32],
    (in_channels, height, width): (usize, usize, usize),
    weight: &[f32],
    bias: &[f32],
    window: &Window,
    groups: usize,
) -> Vec<f64> {
    let shape = (in_channels / groups, height, width);
    let parts = x.chunks(x.len() / groups).zip(weight.chunks(weight.len() / groups));
    let biases = bias.chunks(bias.len() / groups);
    parts.zip(biases).flat_map(|((x, weight), bias)| conv2d_forward(x, shape, weight, bias, window)).collect()
}

/// Gradients of [`grouped_conv2d_forward`] for one image: of `x`, of `weight`, of `bias`.
pub fn grouped_conv2d_backward(
    x: &[f32],
    (in_channels, height, width): (usize, usize, usize),
    weight: &[f32],
    out_channels: usize,
    grad_y: &[f32],
    window: &Window,
    groups: usize,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let shape = (in_channels / groups, height, width);
    let parts = x.chunks(x.len() / groups).zip(weight.chunks(weight.len() / groups));
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for ((x, weight), grad_y) in parts.zip(grad_y.chunks(grad_y.len() / groups)) {
        let (of_x, of_weight, of_bias) = conv2d_backward(x, shape, weight, out_channels / groups, grad_y, window);
        all.0.extend(of_x);
        all.1.extend(of_weight);
        all.2.extend(of_bias);
    }
    all
}

/// Maximum over each window (without padding), and the index of the first maximum in `x`, one image.
///
/// # Panics
/// If the window does not fit into the image.
pub fn maxpool2d_forward(
    x: &[f32],
    (channels, height, width): (usize, usize, usize),
    window: &Window,
) -> (Vec<f64>, Vec<usize>) {
    let (out_height, out_width) = window.output(height, width).expect("the kernel fits");
    let (mut y, mut argmax) = (Vec::new(), Vec::new());
    for c in 0..channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let mut best = (c * height + oy * window.stride.0) * width + ox * window.stride.1;
                for ky in 0..window.kernel.0 {
                    for kx in 0..window.kernel.1 {
                        let at = (c * height + oy * window.stride.0 + ky) * width + ox * window.stride.1 + kx;
                        if x[at] > x[best] {
                            best = at;
                        }
                    }
                }
                y.push(f64::from(x[best]));
                argmax.push(best);
            }
        }
    }
    (y, argmax)
}

/// Gradient of [`maxpool2d_forward`]: each output's gradient goes to its winner.
pub fn maxpool2d_backward(grad_y: &[f32], argmax: &[usize], input_len: usize) -> Vec<f64> {
    let mut grad_x = vec![0.0; input_len];
    for (g, &at) in grad_y.iter().zip(argmax) {
        grad_x[at] += f64::from(*g);
    }
    grad_x
}

/// Mean over each window (without padding), one image.
///
/// # Panics
/// If the window does not fit into the image.
pub fn avgpool2d_forward(x: &[f32], (channels, height, width): (usize, usize, usize), window: &Window) -> Vec<f64> {
    let (out_height, out_width) = window.output(height, width).expect("the kernel fits");
    let area = (window.kernel.0 * window.kernel.1) as f64;
    let mut y = Vec::new();
    for c in 0..channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                let mut sum = 0.0;
                for ky in 0..window.kernel.0 {
                    for kx in 0..window.kernel.1 {
                        let (iy, ix) = (oy * window.stride.0 + ky, ox * window.stride.1 + kx);
                        sum += f64::from(x[(c * height + iy) * width + ix]);
                    }
                }
                y.push(sum / area);
            }
        }
    }
    y
}

/// Gradient of [`avgpool2d_forward`].
///
/// # Panics
/// If the window does not fit into the image.
pub fn avgpool2d_backward(
    grad_y: &[f32],
    (channels, height, width): (usize, usize, usize),
    window: &Window,
) -> Vec<f64> {
    let (out_height, out_width) = window.output(height, width).expect("the kernel fits");
    let area = (window.kernel.0 * window.kernel.1) as f64;
    let mut grad_x = vec![0.0; channels * height * width];
    for c in 0..channels {
        for oy in 0..out_height {
            for ox in 0..out_width {
                for ky in 0..window.kernel.0 {
                    for kx in 0..window.kernel.1 {
                        let (iy, ix) = (oy * window.stride.0 + ky, ox * window.stride.1 + kx);
                        grad_x[(c * height + iy) * width + ix] +=
                            f64::from(grad_y[(c * out_height + oy) * out_width + ox]) / area;
                    }
                }
            }
        }
    }
    grad_x
}

/// Per example `-w sum(t ln softmax(logits))`, and the gradient of `scale` times their sum. `w` is the weight of the
/// label's class, or 1 where there are no weights; the target `t` is one-hot but for the share that is smoothed.
pub fn softmax_cross_entropy(
    logits: &[f32],
    classes: usize,
    labels: &[u16],
    counts: Counts,
    scale: f64,
) -> (Vec<f64>, Vec<f64>) {
    let (mut losses, mut grad) = (Vec::new(), Vec::new());
    for (n, (row, &label)) in logits.chunks(classes).zip(labels).enumerate() {
        let max = row.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
        let exps: Vec<f64> = row.iter().map(|&v| (f64::from(v) - max).exp()).collect();
        let sum: f64 = exps.iter().sum();
        let smoothed = f64::from(counts.smoothing);
        let share = counts.mixed.map_or(1.0, |mixed| f64::from(mixed.shares[n]));
        let second = counts.mixed.map(|mixed| (mixed.labels[n], 1.0 - share));
        let (mut loss, mut slopes) = (0.0, vec![0.0; classes]);
        for (label, share) in [(label, share)].into_iter().chain(second) {
            let weight = share * counts.weights.map_or(1.0, |weights| f64::from(weights[label as usize]));
            let target = |c: usize| smoothed / classes as f64 + if c == label as usize { 1.0 - smoothed } else { 0.0 };
            let log = |c: usize| f64::from(row[c]) - max - sum.ln();
            let wanted = (0..classes).filter(|&c| target(c) > 0.0);
            loss -= weight * wanted.map(|c| target(c) * log(c)).sum::<f64>();
            for (c, (slope, e)) in slopes.iter_mut().zip(&exps).enumerate() {
                *slope += scale * weight * (e / sum - target(c));
            }
        }
        losses.push(loss);
        grad.extend(slopes);
    }
    (losses, grad)
}

#[cfg(test)]
mod tests {
    //! The gradients of the reference against central differences of its forward pass.
    use super::*;
    use crate::softmax_cross_entropy::Mixed;
    use crate::testing::values;

    /// Asserts that `grad` is the gradient of `f` at `x`, in the direction of every single element.
    pub(super) fn check_gradient(x: &[f32], grad: &[f64], f: impl Fn(&[f32]) -> f64, what: &str) {
        // Steps that f32 holds exactly at the sizes used here, so that the difference quotient is not rounded.
        let h = 2.0_f32.powi(-10);
        for i in 0..x.len() {
            let (mut up, mut down) = (x.to_vec(), x.to_vec());
            up[i] += h;
            down[i] -= h;
            let step = f64::from(up[i]) - f64::from(down[i]);
            let slope = (f(&up) - f(&down)) / step;
            assert!(
                (slope - grad[i]).abs() < 1e-5 * slope.abs().max(1.0),
                "{what}[{i}]: {} but slope {slope}",
                grad[i]
            );
        }
    }

    /// A weighted sum of the outputs: a scalar whose gradient with respect to the outputs is `weights`.
    pub(super) fn weighted(y: &[f64], weights: &[f32]) -> f64 {
        y.iter().zip(weights).map(|(y, w)| y * f64::from(*w)).sum()
    }

    /// The known answers that come with Random123, its authors' own implementation.
    #[test]
    fn philox_gives_the_published_numbers() {
        let pi = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        for (rounds, (counter, key), expected) in [
            (7, ([0; 4], [0; 2]), [0x5f6f_b709, 0x0d89_3f64, 0x4f12_1f81, 0x4f73_0a48]),
            (7, ([u32::MAX; 4], [u32::MAX; 2]), [0x5207_ddc2, 0x4516_5e59, 0x4d8e_e751, 0x8c52_f662]),
            (7, pi, [0x4dfc_caba, 0x190a_87f0, 0xc473_62ba, 0xb6b5_242a]),
            (10, ([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (10, ([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (10, pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox4x32(rounds, counter, key), expected, "{rounds} rounds of {counter:x?} with {key:x?}");
        }
    }

    #[test]
    fn linear_gradients_are_slopes() {
        let (rows, k, n) = (3, 4, 5);
        let (x, w, b, g) = (values(12, 1), values(20, 2), values(5, 3), values(15, 4));
        let (gx, gw, gb) = linear_backward(&x, &w, &g, rows, k, n);
        check_gradient(&x, &gx, |x| weighted(&linear_forward(x, &w, &b, rows, k, n), &g), "x");
        check_gradient(&w, &gw, |w| weighted(&linear_forward(&x, w, &b, rows, k, n), &g), "weight");
        check_gradient(&b, &gb, |b| weighted(&linear_forward(&x, &w, b, rows, k, n), &g), "bias");
    }

    #[test]
    fn convolution_gradients_are_slopes() {
        for window in [
            Window { kernel: (3, 3), stride: (1, 1), padding: [1; 4] },
            Window { kernel: (2, 3), stride: (2, 1), padding: [0, 2, 1, 0] },
        ] {
            let shape = (2, 5, 4);
            let (oh, ow) = window.output(5, 4).expect("fits");
            let (x, b) = (values(40, 1), values(3, 3));
            let (w, g) = (values(3 * 2 * window.kernel.0 * window.kernel.1, 2), values(3 * oh * ow, 4));
            let (gx, gw, gb) = conv2d_backward(&x, shape, &w, 3, &g, &window);
            check_gradient(&x, &gx, |x| weighted(&conv2d_forward(x, shape, &w, &b, &window), &g), "x");
            check_gradient(&w, &gw, |w| weighted(&conv2d_forward(&x, shape, w, &b, &window), &g), "weight");
            check_gradient(&b, &gb, |b| weighted(&conv2d_forward(&x, shape, &w, b, &window), &g), "bias");
        }
    }

    #[test]
    fn pooling_gradients_are_slopes() {
        let window = Window { kernel: (2, 3), stride: (1, 2), padding: [0; 4] };
        let shape = (2, 4, 5);
        // Distinct values more than a step apart: no maximum changes hands.
        let x: Vec<f32> = (0..40).map(|i| ((i * 17) % 40) as f32 / 8.0).collect();
        let g = values(2 * 3 * 2, 1);
        let (_, argmax) = maxpool2d_forward(&x, shape, &window);
        let gx = maxpool2d_backward(&g, &argmax, x.len());
        check_gradient(&x, &gx, |x| weighted(&maxpool2d_forward(x, shape, &window).0, &g), "max x");
        let gx = avgpool2d_backward(&g, shape, &window);
        check_gradient(&x, &gx, |x| weighted(&avgpool2d_forward(x, shape, &window), &g), "mean x");
    }

    #[test]
    fn cross_entropy_gradient_is_the_slope() {
        let logits = values(12, 9);
        let labels = [2, 0, 3];
        let weights = Some(&[0.25, 3.0, 1.0, 7.5][..]);
        let mixed = Some(Mixed { labels: &[1, 0, 2], shares: &[0.25, 0.5, 0.875] });
        let cases = [(None, 0.0), (weights, 0.0), (None, 0.2), (weights, 0.2)];
        for ((weights, smoothing), mixed) in cases.into_iter().flat_map(|case| [(case, None), (case, mixed)]) {
            let counts = Counts { weights, smoothing, mixed };
            let (_, grad) = softmax_cross_entropy(&logits, 4, &labels, counts, 0.5);
            let loss = |l: &[f32]| 0.5 * softmax_cross_entropy(l, 4, &labels, counts, 0.5).0.iter().sum::<f64>();
            check_gradient(&logits, &grad, loss, "logits");
        }
    }

    #[test]
    fn cross_entropy_of_known_logits() {
        let weighted = Counts { weights: Some(&[5.0, 3.0]), ..Counts::default() };
        let (losses, _) = softmax_cross_entropy(&[0.0, 0.0], 2, &[1], weighted, 1.0);
        assert!((losses[0] - 3.0 * std::f64::consts::LN_2).abs() < 1e-15);
        // A target of 5/6, 1/12 and 1/12.
        let smoothed = Counts { smoothing: 0.25, ..Counts::default() };
        let (losses, _) = softmax_cross_entropy(&[2.0, 0.0, 0.0], 3, &[0], smoothed, 1.0);
        let sum = 2.0_f64.exp() + 2.0;
        assert!((losses[0] - (sum.ln() - 2.0 * 5.0 / 6.0)).abs() < 1e-15, "{losses:?}");
        // A target of 3/4, 1/4 and nothing.
        let mixed = Counts { mixed: Some(Mixed { labels: &[1], shares: &[0.75] }), ..Counts::default() };
        let (losses, _) = softmax_cross_entropy(&[2.0, 0.0, 0.0], 3, &[0], mixed, 1.0);
        assert!((losses[0] - (sum.ln() - 2.0 * 0.75)).abs() < 1e-15, "{losses:?}");
    }
}
