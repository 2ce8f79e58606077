//! Softmax followed by cross-entropy: the loss of every network here, and its gradient.
//!
//! Sixteen examples at a time, class by class: lanes are examples, so that every sum runs over the classes in order.

mod block;
#[cfg(test)]
mod tests;

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::LANES;
use block::{few, fewer, many};
use std::ops::Range;

/// Classes that there may be: room on the stack, and two smaller ones, since it is cleared each time.
const CLASSES: usize = 1_008;
/// Classes that there are in most networks of more than [`LANES`] of them.
const FEWER_CLASSES: usize = 256;

/// What is learned from the logits of an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts<'a> {
    /// What losses and gradients count, by the class of the label; none where all count the same.
    pub weights: Option<&'a [f32]>,
    /// Share `e` of the target that all classes have alike, 0 to 1 (C. Szegedy et al., *Rethinking the inception
    /// architecture for computer vision*, 2016): it is `t = (1 - e) * onehot(label) + e / classes`.
    pub smoothing: f32,
    /// Second labels, where each example is a mixture of two.
    pub mixed: Option<Mixed<'a>>,
}

/// The second labels of examples that are mixtures of two (H. Zhang et al., *mixup: beyond empirical risk
/// minimization*, 2018).
#[derive(Clone, Copy, Debug)]
pub struct Mixed<'a> {
    /// The class of the second of the two.
    pub labels: &'a [u16],
    /// What the first counts, 0 to 1; the second counts the rest.
    pub shares: &'a [f32],
}

impl<'a> Counts<'a> {
    /// Of only some of the examples.
    pub fn part(&self, range: Range<usize>) -> Counts<'a> {
        let part = |mixed: Mixed<'a>| Mixed { labels: &mixed.labels[range.clone()], shares: &mixed.shares[range] };
        Counts { mixed: self.mixed.map(part), ..*self }
    }
}

/// Per example `losses[n] = -w * sum(t * ln softmax(logits[n]))`, in nats, `correct[n]` whether the largest logit,
/// the first of equals, is the label's, and `grad_logits[n] = scale * w * (softmax(logits[n]) - t)`, padding columns
/// zero. `w` is the weight of the label's class, or 1 where there are none, and `t` the target ([`Counts`]): one-hot
/// where nothing is smoothed. Where examples are mixed, losses and gradients are those for the first label times its
/// share, plus those for the second times the rest; `correct` is about the first.
///
/// Rows of `logits` and `grad_logits` are `stride` apart, at least `classes` rounded up to whole vectors; all outputs
/// are overwritten.
///
/// # Panics
/// If there are no or more than 1,008 classes, a label is none of them, or a slice has another length.
#[expect(clippy::too_many_arguments, reason = "two matrices, labels and what they count, losses and correct")]
pub fn softmax_cross_entropy(
    isa: Isa,
    logits: &[f32],
    stride: usize,
    classes: usize,
    labels: &[u16],
    counts: Counts,
    scale: f32,
    losses: &mut [f64],
    correct: &mut [u8],
    grad_logits: &mut [f32],
) {
    assert_eq!(grad_logits.len(), labels.len() * stride, "grad_logits are [N, classes]");
    assert!((0.0..=1.0).contains(&counts.smoothing), "{} is no share", counts.smoothing);
    let target = Target { labels, counts, scale, losses, correct };
    run(isa, Logits { values: logits, stride, classes }, Some(target), grad_logits);
}

/// The losses, all of weight 1 and nothing smoothed, and correct of [`softmax_cross_entropy`] alone, with the same bits.
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
    let target = Target { labels, counts: Counts::default(), scale: 1.0, losses, correct };
    run(isa, Logits { values: logits, stride, classes }, Some(target), &mut []);
}

/// Overwrites `probabilities` (`[N, classes]`, no padding) with `softmax(logits[n])`, rows of `logits` `stride` apart.
///
/// # Panics
/// If there are no or more than 1,008 classes, or a slice has another length.
pub fn softmax(isa: Isa, logits: &[f32], stride: usize, classes: usize, probabilities: &mut [f32]) {
    assert!(stride > 0, "rows of {stride}");
    assert_eq!(logits.len() / stride * classes, probabilities.len(), "one probability per logit");
    run(isa, Logits { values: logits, stride, classes }, None, probabilities);
}

/// Logits of some examples, a row each, `stride` apart.
#[derive(Clone, Copy)]
struct Logits<'a> {
    values: &'a [f32],
    stride: usize,
    classes: usize,
}

impl Logits<'_> {
    fn rows(&self) -> usize {
        self.values.len() / self.stride
    }
}

/// The labels, and what they are needed for.
struct Target<'a> {
    labels: &'a [u16],
    counts: Counts<'a>,
    /// What the gradient is multiplied by.
    scale: f32,
    losses: &'a mut [f64],
    correct: &'a mut [u8],
}

/// `out` is the gradient in rows of the logits' stride, or, without a target, the probabilities in rows of as many as
/// there are classes; or nothing.
fn run(isa: Isa, logits: Logits, target: Option<Target>, out: &mut [f32]) {
    let Logits { values, stride, classes } = logits;
    let padded = classes.next_multiple_of(LANES);
    assert!(classes > 0 && padded <= stride && classes <= CLASSES, "{classes} classes in rows of {stride}");
    assert!(values.len().is_multiple_of(stride), "rows of {stride}");
    if let Some(Target { labels, counts: Counts { weights, mixed, .. }, losses, correct, .. }) = &target {
        let rows = labels.len();
        assert_eq!(values.len(), rows * stride, "logits are [N, classes]");
        assert!(out.is_empty() || out.len() == values.len(), "a gradient is as large as the logits");
        assert!(losses.len() == rows && correct.len() == rows, "one loss and hit per example");
        assert!(weights.is_none_or(|weights| weights.len() == classes), "one weight per class");
        assert!(labels.iter().all(|&l| usize::from(l) < classes), "a label is not below {classes}");
        if let Some(Mixed { labels, shares }) = mixed {
            assert!(labels.len() == rows && shares.len() == rows, "a second label and a share per example");
            assert!(labels.iter().all(|&l| usize::from(l) < classes), "a second label is not below {classes}");
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "shares are from 0 to 1");
        }
    }
    if classes <= LANES {
        dispatch!(isa, few(logits: Logits, target: Option<Target>, out: &mut [f32]))
    } else if classes <= FEWER_CLASSES {
        dispatch!(isa, fewer(logits: Logits, target: Option<Target>, out: &mut [f32]))
    } else {
        dispatch!(isa, many(logits: Logits, target: Option<Target>, out: &mut [f32]))
    }
}
