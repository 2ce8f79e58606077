//! Softmax followed by cross-entropy: the loss of every network here, and its gradient.

use crate::isa::{Isa, dispatch};
use crate::lanes::Lanes;
use crate::math;

/// Per example `losses[n] = -ln softmax(logits[n])[labels[n]]`, in nats, and
/// `grad_logits[n] = scale * (softmax(logits[n]) - onehot(labels[n]))`, padding columns zero.
///
/// Rows of `logits` and `grad_logits` are `stride` apart and hold `classes` logits; both outputs are overwritten.
#[expect(clippy::too_many_arguments, reason = "two matrices, labels and losses, with their sizes")]
pub fn softmax_cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u8],
    scale: f32,
    losses: &mut [f64],
    grad_logits: &mut [f32],
) {
    let rows = labels.len();
    assert!(classes > 0 && classes <= stride, "{classes} classes in rows of {stride}");
    assert_eq!(logits.len(), rows * stride, "logits are [N, classes]");
    assert_eq!(grad_logits.len(), rows * stride, "grad_logits are [N, classes]");
    assert_eq!(losses.len(), rows, "one loss per example");
    assert!(labels.iter().all(|&l| usize::from(l) < classes), "a label is not below {classes}");
    dispatch!(isa, body(logits: &[f32], stride: usize, classes: usize, labels: &[u8], scale: f32, losses: &mut [f64], grad_logits: &mut [f32]))
}

#[inline(always)]
fn body<L: Lanes>(
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u8],
    scale: f32,
    losses: &mut [f64],
    grad_logits: &mut [f32],
) {
    for (n, &label) in labels.iter().enumerate() {
        let logits = &logits[n * stride..][..classes];
        let (grad, rest) = grad_logits[n * stride..(n + 1) * stride].split_at_mut(classes);
        rest.fill(0.0);
        let (max, sum) = exponentials(logits, grad);
        let label = usize::from(label);
        losses[n] = math::ln(f64::from(sum)) - (f64::from(logits[label]) - f64::from(max));
        for g in grad.iter_mut() {
            *g = scale * (*g / sum);
        }
        grad[label] -= scale;
    }
}

/// `out = exp(logits - max)`; gives the largest logit and the sum of `out`.
#[inline(always)]
fn exponentials(logits: &[f32], out: &mut [f32]) -> (f32, f32) {
    // Subtracting the largest logit keeps exp from overflowing; softmax is unchanged.
    let max = logits.iter().fold(f32::NEG_INFINITY, |m, &v| if v > m || v.is_nan() { v } else { m });
    for (e, &v) in out.iter_mut().zip(logits) {
        *e = math::exp(v - max);
    }
    (max, out.iter().sum())
}

/// The losses of [`softmax_cross_entropy`] alone, with the same bits.
pub fn cross_entropy(isa: Isa, logits: &[f32], stride: usize, classes: usize, labels: &[u8], losses: &mut [f64]) {
    assert!(classes > 0 && classes <= stride && classes <= 256, "{classes} classes in rows of {stride}");
    assert_eq!(logits.len(), labels.len() * stride, "logits are [N, classes]");
    assert_eq!(losses.len(), labels.len(), "one loss per example");
    let mut grad = [0.0; 256];
    for ((row, label), loss) in logits.chunks_exact(stride).zip(labels).zip(losses) {
        let (label, loss) = (std::slice::from_ref(label), std::slice::from_mut(loss));
        softmax_cross_entropy(isa, &row[..classes], classes, classes, label, 1.0, loss, &mut grad[..classes]);
    }
}

/// Overwrites `probabilities` (`[N, classes]`, no padding) with `softmax(logits[n])`, rows of `logits` `stride` apart.
pub fn softmax(isa: Isa, logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]) {
    assert!(classes > 0 && classes <= stride, "{classes} classes in rows of {stride}");
    assert_eq!(logits.len() / stride * classes, probabilities.len(), "one probability per logit");
    dispatch!(isa, softmax_body(logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]))
}

#[inline(always)]
fn softmax_body<L: Lanes>(logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]) {
    for (logits, out) in logits.chunks_exact(stride).zip(probabilities.chunks_exact_mut(classes)) {
        let (_, sum) = exponentials(&logits[..classes], out);
        out.iter_mut().for_each(|p| *p /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows, values};

    #[test]
    fn loss_and_gradient_match_the_reference_on_every_isa() {
        for (rows, classes) in [(0, 10), (1, 1), (1, 2), (5, 10), (7, 16), (3, 17), (2, 256)] {
            let logits: Vec<f32> = values(rows * classes, 1).iter().map(|v| v * 20.0).collect();
            let labels: Vec<u8> = (0..rows).map(|n| ((n * 7) % classes) as u8).collect();
            let (losses, grad) = reference::softmax_cross_entropy(&logits, classes, &labels, 0.25);
            let stride = classes.next_multiple_of(16) + 16;
            let packed = pack_rows(&logits, classes, stride);
            on_every_isa(|isa| {
                let (mut got, mut got_grad) = (vec![f64::NAN; rows], vec![f32::NAN; rows * stride]);
                softmax_cross_entropy(isa, &packed, stride, classes, &labels, 0.25, &mut got, &mut got_grad);
                for (g, e) in got.iter().zip(&losses) {
                    assert!((g - e).abs() <= 1e-6 * e.abs().max(1.0), "loss {g}, expected {e}");
                }
                let dense: Vec<f32> = got_grad.chunks(stride).flat_map(|r| r[..classes].to_vec()).collect();
                assert_close(&dense, &grad, 1e-6, "grad_logits");
                assert!(got_grad.chunks(stride).all(|r| r[classes..].iter().all(|v| *v == 0.0)), "padding is zero");
                got_grad.iter().map(|v| v.to_bits()).chain(got.iter().map(|v| v.to_bits() as u32)).collect()
            });
        }
    }

    #[test]
    fn huge_logits_do_not_overflow_and_nan_is_not_hidden() {
        let isa = Isa::detect();
        let (mut losses, mut grad) = ([0.0], [0.0; 3]);
        softmax_cross_entropy(isa, &[1e30, -1e30, 0.0], 3, 3, &[0], 1.0, &mut losses, &mut grad);
        assert_eq!((losses[0], grad), (0.0, [0.0, 0.0, 0.0]));
        softmax_cross_entropy(isa, &[f32::NAN, 0.0, 0.0], 3, 3, &[1], 1.0, &mut losses, &mut grad);
        assert!(losses[0].is_nan());
    }

    #[test]
    fn probabilities_sum_to_one() {
        let logits = values(48, 3);
        let mut p = vec![0.0; 30];
        softmax(Isa::detect(), &logits, 16, 10, &mut p);
        assert!(p.chunks(10).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
}
