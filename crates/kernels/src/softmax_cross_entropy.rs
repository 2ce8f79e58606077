//! Softmax followed by cross-entropy: the loss of every network here, and its gradient.
//!
//! Sixteen examples at a time, class by class: lanes are examples, so that every sum runs over the classes in order.

use crate::math;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes, transpose};

/// Classes that there may be: room on the stack, and two smaller ones, since it is cleared each time.
const CLASSES: usize = 1_008;
/// Classes that there are in most networks of more than [`LANES`] of them.
const FEWER_CLASSES: usize = 256;

/// Per example `losses[n] = -ln softmax(logits[n])[labels[n]]`, in nats, `correct[n]` whether the largest logit, the
/// first of equals, is the label's, and `grad_logits[n] = scale * (softmax(logits[n]) - onehot(labels[n]))`, padding
/// columns zero.
///
/// Rows of `logits` and `grad_logits` are `stride` apart, at least `classes` rounded up to whole vectors; all outputs
/// are overwritten.
///
/// # Panics
/// If there are no or more than 1,008 classes, a label is none of them, or a slice has another length.
#[expect(clippy::too_many_arguments, reason = "two matrices, labels, losses and correct, with their sizes")]
pub fn softmax_cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u16],
    scale: f32,
    losses: &mut [f64],
    correct: &mut [u8],
    grad_logits: &mut [f32],
) {
    assert_eq!(grad_logits.len(), labels.len() * stride, "grad_logits are [N, classes]");
    let target = Target { labels, scale };
    run(isa, logits, stride, classes, Some(target), losses, correct, grad_logits);
}

/// The losses and correct of [`softmax_cross_entropy`] alone, with the same bits.
///
/// # Panics
/// Like [`softmax_cross_entropy`].
pub fn cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u16],
    losses: &mut [f64],
    correct: &mut [u8],
) {
    let target = Target { labels, scale: 1.0 };
    run(isa, logits, stride, classes, Some(target), losses, correct, &mut []);
}

/// Overwrites `probabilities` (`[N, classes]`, no padding) with `softmax(logits[n])`, rows of `logits` `stride` apart.
///
/// # Panics
/// If there are no or more than 1,008 classes, or a slice has another length.
pub fn softmax(isa: Isa, logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]) {
    assert!(stride > 0, "rows of {stride}");
    assert_eq!(logits.len() / stride * classes, probabilities.len(), "one probability per logit");
    run(isa, logits, stride, classes, None, &mut [], &mut [], probabilities);
}

/// What the gradient needs besides the logits.
#[derive(Clone, Copy)]
struct Target<'a> {
    labels: &'a [u16],
    scale: f32,
}

/// `out` is the gradient in rows of `stride`, or, without a target, the probabilities in rows of `classes`; or nothing.
#[expect(clippy::too_many_arguments, reason = "two matrices, losses and correct, with their sizes")]
fn run(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    correct: &mut [u8],
    out: &mut [f32],
) {
    let padded = classes.next_multiple_of(LANES);
    assert!(classes > 0 && padded <= stride && classes <= CLASSES, "{classes} classes in rows of {stride}");
    assert!(logits.len().is_multiple_of(stride), "rows of {stride}");
    if let Some(Target { labels, .. }) = target {
        let rows = labels.len();
        assert_eq!(logits.len(), rows * stride, "logits are [N, classes]");
        assert!(out.is_empty() || out.len() == logits.len(), "a gradient is as large as the logits");
        assert!(losses.len() == rows && correct.len() == rows, "one loss and hit per example");
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "a label is not below {classes}");
    }
    if classes <= LANES {
        dispatch!(isa, few(logits: &[f32], stride: usize, classes: usize, target: Option<Target>, losses: &mut [f64], correct: &mut [u8], out: &mut [f32]))
    } else if classes <= FEWER_CLASSES {
        dispatch!(isa, fewer(logits: &[f32], stride: usize, classes: usize, target: Option<Target>, losses: &mut [f64], correct: &mut [u8], out: &mut [f32]))
    } else {
        dispatch!(isa, many(logits: &[f32], stride: usize, classes: usize, target: Option<Target>, losses: &mut [f64], correct: &mut [u8], out: &mut [f32]))
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn few<L: Lanes>(
    simd: L,
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    correct: &mut [u8],
    out: &mut [f32],
) {
    body(simd, &mut [[0.0; LANES]; LANES], logits, stride, classes, target, losses, correct, out);
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn fewer<L: Lanes>(
    simd: L,
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    correct: &mut [u8],
    out: &mut [f32],
) {
    body(simd, &mut [[0.0; LANES]; FEWER_CLASSES], logits, stride, classes, target, losses, correct, out);
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn many<L: Lanes>(
    simd: L,
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    correct: &mut [u8],
    out: &mut [f32],
) {
    body(simd, &mut [[0.0; LANES]; CLASSES], logits, stride, classes, target, losses, correct, out);
}

/// `room` for sixteen examples, a vector per class. Loops over lanes become vectors when compiled for them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of `run`, and the room")]
fn body<L: Lanes>(
    simd: L,
    room: &mut [[f32; LANES]],
    logits: &[f32],
    stride: usize,
    classes: usize,
    target: Option<Target>,
    losses: &mut [f64],
    correct: &mut [u8],
    out: &mut [f32],
) {
    for first in (0..logits.len() / stride).step_by(LANES) {
        let rows = LANES.min(logits.len() / stride - first);
        for (vector, columns) in room.chunks_exact_mut(LANES).take(classes.div_ceil(LANES)).enumerate() {
            let mut square = [simd.zero(); LANES];
            for (l, row) in square[..rows].iter_mut().enumerate() {
                // SAFETY: the caller has checked that rows are `stride` long, as many vectors as the classes need.
                *row = unsafe { simd.load(logits[(first + l) * stride + vector * LANES..].as_ptr()) };
            }
            for (column, turned) in columns.iter_mut().zip(transpose(simd, square)) {
                // SAFETY: an array of 16 elements.
                unsafe { simd.store(column.as_mut_ptr(), turned) };
            }
        }
        let columns = &mut room[..classes];
        let labels = target.map(|target| &target.labels[first..first + rows]);
        // The logit of each label.
        let mut wanted = [0.0; LANES];
        if let Some(labels) = labels {
            for (l, &label) in labels.iter().enumerate() {
                wanted[l] = logits[(first + l) * stride + usize::from(label)];
            }
            let best = largest(simd, columns);
            for (l, &label) in labels.iter().enumerate() {
                correct[first + l] = u8::from(best[l] == f32::from(label));
            }
        }
        // Subtracting the largest logit keeps exp from overflowing; softmax is unchanged.
        let mut top = simd.splat(f32::NEG_INFINITY);
        for column in columns.iter() {
            // SAFETY: an array of 16 elements.
            let column = unsafe { simd.load(column.as_ptr()) };
            top = simd.select_greater_or_nan(column, top, column, top);
        }
        let mut max = [0.0; LANES];
        // SAFETY: an array of 16 elements.
        unsafe { simd.store(max.as_mut_ptr(), top) };
        let mut sum = [0.0; LANES];
        for column in columns.iter_mut() {
            for l in 0..LANES {
                column[l] = math::exp(column[l] - max[l]);
                sum[l] += column[l];
            }
        }
        if labels.is_some() {
            // All lanes, whatever the rows: so they become vectors.
            let mut loss = [0.0; LANES];
            for l in 0..LANES {
                loss[l] = math::ln(f64::from(sum[l])) - (f64::from(wanted[l]) - f64::from(max[l]));
            }
            losses[first..first + rows].copy_from_slice(&loss[..rows]);
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
        let Some(labels) = labels else {
            for (l, row) in out[first * classes..].chunks_exact_mut(classes).take(rows).enumerate() {
                for (v, column) in row.iter_mut().zip(columns.iter()) {
                    *v = column[l];
                }
            }
            continue;
        };
        room[classes..classes.next_multiple_of(LANES)].fill([0.0; LANES]);
        let out = &mut out[first * stride..(first + rows) * stride];
        for (vector, columns) in room.chunks_exact(LANES).take(classes.div_ceil(LANES)).enumerate() {
            let mut square = [simd.zero(); LANES];
            for (row, column) in square.iter_mut().zip(columns) {
                // SAFETY: an array of 16 elements.
                *row = unsafe { simd.load(column.as_ptr()) };
            }
            let turned = transpose(simd, square);
            for (row, turned) in out.chunks_exact_mut(stride).zip(turned) {
                // SAFETY: rows are as many vectors as the classes need, and perhaps more.
                unsafe { simd.store(row[vector * LANES..].as_mut_ptr(), turned) };
            }
        }
        for (row, &label) in out.chunks_exact_mut(stride).zip(labels) {
            row[classes.next_multiple_of(LANES)..].fill(0.0);
            row[usize::from(label)] -= scale;
        }
    }
}

/// The class of each example's largest logit, the first of equals; NaN is never the largest.
#[inline(always)]
fn largest<L: Lanes>(simd: L, columns: &[[f32; LANES]]) -> [f32; LANES] {
    // Written as selects: as a loop over lanes it would be a branch for each.
    let (mut best, mut top) = (simd.zero(), simd.splat(f32::NAN));
    for (class, column) in columns.iter().enumerate() {
        let class = simd.splat(class as f32);
        // SAFETY: an array of 16 elements.
        let column = unsafe { simd.load(column.as_ptr()) };
        let larger = simd.select_greater_or_nan(column, top, class, best);
        let larger = simd.select_equal(column, column, larger, best);
        best = simd.select_equal(top, top, larger, class);
        top = simd.select_equal(best, class, column, top);
    }
    let mut classes = [0.0; LANES];
    // SAFETY: an array of 16 elements.
    unsafe { simd.store(classes.as_mut_ptr(), best) };
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows, values};

    #[test]
    fn loss_and_gradient_match_the_reference_on_every_isa() {
        for (rows, classes) in
            [(0, 10), (1, 1), (1, 2), (5, 10), (7, 16), (3, 17), (2, 256), (3, 257), (18, 1000), (40, 10)]
        {
            let logits: Vec<f32> = values(rows * classes, 1).iter().map(|v| v * 20.0).collect();
            let labels: Vec<u16> = (0..rows).map(|n| ((n * 7 + classes - 1) % classes) as u16).collect();
            let (losses, grad) = reference::softmax_cross_entropy(&logits, classes, &labels, 0.25);
            let stride = classes.next_multiple_of(16) + 16;
            let mut packed = pack_rows(&logits, classes, stride);
            // Whatever is beyond the classes is none.
            packed.chunks_mut(stride).for_each(|row| row[classes..].fill(9.0));
            on_every_isa(|isa| {
                let (mut got, mut got_grad) = (vec![f64::NAN; rows], vec![f32::NAN; rows * stride]);
                let mut correct = vec![9; rows];
                softmax_cross_entropy(
                    isa,
                    &packed,
                    stride,
                    classes,
                    &labels,
                    0.25,
                    &mut got,
                    &mut correct,
                    &mut got_grad,
                );
                for ((row, &label), hit) in logits.chunks(classes).zip(&labels).zip(&correct) {
                    let best = (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
                    assert_eq!(*hit, u8::from(best == Some(usize::from(label))), "{row:?}, label {label}");
                }
                let (mut alone, mut hits_alone) = (vec![f64::NAN; rows], vec![9; rows]);
                cross_entropy(isa, &packed, stride, classes, &labels, &mut alone, &mut hits_alone);
                assert_eq!((&alone, &hits_alone), (&got, &correct), "losses and correct alone");
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
        let row = |logits: [f32; 3]| pack_rows(&logits, 3, 16);
        let (mut losses, mut correct, mut grad) = ([0.0], [9], [9.0; 16]);
        softmax_cross_entropy(isa, &row([1e30, -1e30, 0.0]), 16, 3, &[0], 1.0, &mut losses, &mut correct, &mut grad);
        assert_eq!((losses[0], grad), (0.0, [0.0; 16]));
        softmax_cross_entropy(isa, &row([f32::NAN, 0.0, 0.0]), 16, 3, &[1], 1.0, &mut losses, &mut correct, &mut grad);
        assert!(losses[0].is_nan());
        assert_eq!(correct, [1], "NaN is never the largest, and the first of equals is");
    }

    /// All rows of four classes out of some numbers and what is none.
    #[test]
    fn the_largest_is_the_first_that_is_larger_on_every_isa() {
        let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 1.0];
        let rows: Vec<[f32; 4]> = (0..6 * 6 * 6 * 6_usize)
            .map(|n| [n % 6, n / 6 % 6, n / 36 % 6, n / 216].map(|value| values[value]))
            .collect();
        let argmax = |row: &[f32; 4]| {
            let better = |best: usize, v: usize| row[v] > row[best] || row[best].is_nan();
            (1..4).fold(0, |best, v| if better(best, v) { v } else { best })
        };
        let packed: Vec<f32> = rows.iter().flat_map(|row| pack_rows(row, 4, 16)).collect();
        for label in 0..4_u16 {
            let labels = vec![label; rows.len()];
            on_every_isa(|isa| {
                let (mut losses, mut correct) = (vec![0.0; rows.len()], vec![9; rows.len()]);
                cross_entropy(isa, &packed, 16, 4, &labels, &mut losses, &mut correct);
                for (row, &hit) in rows.iter().zip(&correct) {
                    assert_eq!(hit, u8::from(argmax(row) == usize::from(label)), "{row:?}, label {label}");
                }
                Vec::new()
            });
        }
    }

    #[test]
    fn probabilities_sum_to_one() {
        let logits = values(48, 3);
        let mut p = vec![0.0; 30];
        softmax(Isa::detect(), &logits, 16, 10, &mut p);
        assert!(p.chunks(10).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
}
