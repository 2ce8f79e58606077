//! Softmax followed by cross-entropy: the loss of every network here, and its gradient.
//!
//! Sixteen examples at a time, class by class: lanes are examples, so that every sum runs over the classes in order.

use crate::isa::{Isa, dispatch};
use crate::lanes::{LANES, Lanes};
use crate::math;

/// Classes that there may be: a label is a byte.
const CLASSES: usize = 256;

/// Per example `losses[n] = -ln softmax(logits[n])[labels[n]]`, in nats, `hits[n]` whether the largest logit, the first of
/// equals, is the label's, and `grad_logits[n] = scale * (softmax(logits[n]) - onehot(labels[n]))`, padding columns zero.
///
/// Rows of `logits` and `grad_logits` are `stride` apart and hold `classes` logits; all outputs are overwritten.
#[expect(clippy::too_many_arguments, reason = "two matrices, labels, losses and hits, with their sizes")]
pub fn softmax_cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u8],
    scale: f32,
    losses: &mut [f64],
    hits: &mut [u8],
    grad_logits: &mut [f32],
) {
    assert_eq!(grad_logits.len(), labels.len() * stride, "grad_logits are [N, classes]");
    let target = Target { labels, scale };
    run(isa, logits, stride, classes, Some(target), losses, hits, grad_logits);
}

/// The losses and hits of [`softmax_cross_entropy`] alone, with the same bits.
pub fn cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u8],
    losses: &mut [f64],
    hits: &mut [u8],
) {
    let target = Target { labels, scale: 1.0 };
    run(isa, logits, stride, classes, Some(target), losses, hits, &mut []);
}

/// Overwrites `probabilities` (`[N, classes]`, no padding) with `softmax(logits[n])`, rows of `logits` `stride` apart.
pub fn softmax(isa: Isa, logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]) {
    assert!(stride > 0, "rows of {stride}");
    assert_eq!(logits.len() / stride * classes, probabilities.len(), "one probability per logit");
    run(isa, logits, stride, classes, None, &mut [], &mut [], probabilities);
}

/// What the gradient needs besides the logits.
#[derive(Clone, Copy)]
struct Target<'a> {
    labels: &'a [u8],
    scale: f32,
}

/// `out` is the gradient in rows of `stride`, or, without a target, the probabilities in rows of `classes`; or nothing.
#[expect(clippy::too_many_arguments, reason = "two matrices, losses and hits, with their sizes")]
fn run(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    hits: &mut [u8],
    out: &mut [f32],
) {
    assert!(classes > 0 && classes <= stride && classes <= CLASSES, "{classes} classes in rows of {stride}");
    if let Some(Target { labels, .. }) = target {
        let rows = labels.len();
        assert_eq!(logits.len(), rows * stride, "logits are [N, classes]");
        assert!(losses.len() == rows && hits.len() == rows, "one loss and hit per example");
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "a label is not below {classes}");
    }
    // Most networks have few classes, and the room is cleared each time.
    if classes <= LANES {
        dispatch!(isa, few(logits: &[f32], stride: usize, classes: usize, target: Option<Target>, losses: &mut [f64], hits: &mut [u8], out: &mut [f32]))
    } else {
        dispatch!(isa, many(logits: &[f32], stride: usize, classes: usize, target: Option<Target>, losses: &mut [f64], hits: &mut [u8], out: &mut [f32]))
    }
}

#[inline(always)]
fn few<L: Lanes>(
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    hits: &mut [u8],
    out: &mut [f32],
) {
    body(&mut [[0.0; LANES]; LANES][..classes], logits, stride, target, losses, hits, out);
}

#[inline(always)]
fn many<L: Lanes>(
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    hits: &mut [u8],
    out: &mut [f32],
) {
    body(&mut [[0.0; LANES]; CLASSES][..classes], logits, stride, target, losses, hits, out);
}

/// `columns`: room for sixteen examples, a vector per class. Loops over lanes become vectors when compiled for them.
#[inline(always)]
fn body(
    columns: &mut [[f32; LANES]],
    logits: &[f32],
    stride: usize,
    target: Option<Target>,
    losses: &mut [f64],
    hits: &mut [u8],
    out: &mut [f32],
) {
    let classes = columns.len();
    for first in (0..logits.len() / stride).step_by(LANES) {
        let rows = LANES.min(logits.len() / stride - first);
        for (l, row) in logits[first * stride..].chunks_exact(stride).take(rows).enumerate() {
            for (column, &v) in columns.iter_mut().zip(row) {
                column[l] = v;
            }
        }
        let labels = target.map(|target| &target.labels[first..first + rows]);
        // The logit of each label.
        let mut wanted = [0.0; LANES];
        if let Some(labels) = labels {
            for (l, &label) in labels.iter().enumerate() {
                wanted[l] = columns[usize::from(label)][l];
            }
            let best = largest(columns);
            for (l, &label) in labels.iter().enumerate() {
                hits[first + l] = u8::from(best[l] == i32::from(label));
            }
        }
        // Subtracting the largest logit keeps exp from overflowing; softmax is unchanged.
        let mut max = [f32::NEG_INFINITY; LANES];
        for column in columns.iter() {
            for l in 0..LANES {
                max[l] = if column[l] > max[l] || column[l].is_nan() { column[l] } else { max[l] };
            }
        }
        let mut sum = [0.0; LANES];
        for column in columns.iter_mut() {
            for l in 0..LANES {
                column[l] = math::exp(column[l] - max[l]);
                sum[l] += column[l];
            }
        }
        if labels.is_some() {
            for l in 0..rows {
                losses[first + l] = math::ln(f64::from(sum[l])) - (f64::from(wanted[l]) - f64::from(max[l]));
            }
        }
        if out.is_empty() {
            continue;
        }
        let scale = target.map_or(1.0, |target| target.scale);
        for column in columns.iter_mut() {
            for l in 0..LANES {
                column[l] = scale * (column[l] / sum[l]);
            }
        }
        let width = if target.is_some() { stride } else { classes };
        for (l, row) in out[first * width..].chunks_exact_mut(width).take(rows).enumerate() {
            for (v, column) in row.iter_mut().zip(columns.iter()) {
                *v = column[l];
            }
            row[classes..].fill(0.0);
            if let Some(labels) = labels {
                row[usize::from(labels[l])] -= scale;
            }
        }
    }
}

/// The class of each example's largest logit, the first of equals; NaN is never the largest.
#[inline(always)]
fn largest(columns: &[[f32; LANES]]) -> [i32; LANES] {
    let (mut best, mut top) = ([0; LANES], columns[0]);
    for (class, column) in columns.iter().enumerate() {
        for l in 0..LANES {
            let better = column[l] > top[l] || top[l].is_nan();
            best[l] = if better { class as i32 } else { best[l] };
            top[l] = if better { column[l] } else { top[l] };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows, values};

    #[test]
    fn loss_and_gradient_match_the_reference_on_every_isa() {
        for (rows, classes) in [(0, 10), (1, 1), (1, 2), (5, 10), (7, 16), (3, 17), (2, 256), (40, 10)] {
            let logits: Vec<f32> = values(rows * classes, 1).iter().map(|v| v * 20.0).collect();
            let labels: Vec<u8> = (0..rows).map(|n| ((n * 7) % classes) as u8).collect();
            let (losses, grad) = reference::softmax_cross_entropy(&logits, classes, &labels, 0.25);
            let stride = classes.next_multiple_of(16) + 16;
            let packed = pack_rows(&logits, classes, stride);
            on_every_isa(|isa| {
                let (mut got, mut got_grad) = (vec![f64::NAN; rows], vec![f32::NAN; rows * stride]);
                let mut hits = vec![9; rows];
                softmax_cross_entropy(isa, &packed, stride, classes, &labels, 0.25, &mut got, &mut hits, &mut got_grad);
                for ((row, &label), hit) in logits.chunks(classes).zip(&labels).zip(&hits) {
                    let best = (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
                    assert_eq!(*hit, u8::from(best == Some(usize::from(label))), "{row:?}, label {label}");
                }
                let (mut alone, mut hits_alone) = (vec![f64::NAN; rows], vec![9; rows]);
                cross_entropy(isa, &packed, stride, classes, &labels, &mut alone, &mut hits_alone);
                assert_eq!((&alone, &hits_alone), (&got, &hits), "losses and hits alone");
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
        let (mut losses, mut hits, mut grad) = ([0.0], [9], [0.0; 3]);
        softmax_cross_entropy(isa, &[1e30, -1e30, 0.0], 3, 3, &[0], 1.0, &mut losses, &mut hits, &mut grad);
        assert_eq!((losses[0], grad), (0.0, [0.0, 0.0, 0.0]));
        softmax_cross_entropy(isa, &[f32::NAN, 0.0, 0.0], 3, 3, &[1], 1.0, &mut losses, &mut hits, &mut grad);
        assert!(losses[0].is_nan());
        assert_eq!(hits, [1], "NaN is never the largest, and the first of equals is");
    }

    #[test]
    fn probabilities_sum_to_one() {
        let logits = values(48, 3);
        let mut p = vec![0.0; 30];
        softmax(Isa::detect(), &logits, 16, 10, &mut p);
        assert!(p.chunks(10).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
}
