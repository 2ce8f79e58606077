//! One number that all logits are divided by, found on validation images (Guo and others, On calibration of modern
//! neural networks, ICML 2017). It changes no prediction, only how sure the network says it is.

use super::Stop;

/// Temperatures that are looked for.
const RANGE: (f64, f64) = (0.01, 100.0);

/// Halvings of that range's logarithm, until a hundred thousandth of a millionth of it is left.
const HALVINGS: usize = 40;

/// The temperature by which divided `logits` (`[N, classes]`; logarithms of probabilities will do, if none is zero)
/// have the smallest cross-entropy with `labels` (`[N]`), rounded to a millionth.
///
/// `None` if there is none between 0.01 and 100: where every label has the largest logit, the surer the better, and
/// where labels have smaller logits than others have on average, the less sure the better. `None`, too, if there are no
/// images or logits are not finite.
///
/// # Panics
/// If there are not `classes` logits for each label, or a label is no class.
pub fn temperature(logits: &[f32], labels: &[u16], classes: usize) -> Option<f64> {
    temperature_until(&|| false, logits, labels, classes)
}

/// [`temperature`]; `None`, too, once `stop` says so.
pub(super) fn temperature_until(stop: &Stop, logits: &[f32], labels: &[u16], classes: usize) -> Option<f64> {
    check(logits, labels, classes);
    // The loss is convex in the inverse of the temperature, so its slope has one zero at most.
    let (mut low, mut high) = (1.0 / RANGE.1, 1.0 / RANGE.0);
    let slope = |inverse: f64| slope(logits, labels, classes, inverse);
    // Where a slope is NaN, neither holds.
    if !(slope(low) < 0.0 && slope(high) > 0.0) {
        return None;
    }
    for _ in 0..HALVINGS {
        if stop() {
            return None;
        }
        let middle = (low * high).sqrt();
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    // Rounded, because the platform's exponential function may differ in the last place.
    Some((1e6 / low).round() / 1e6)
}

/// The mean cross-entropy, in nats, of `logits` (`[N, classes]`) divided by `temperature` with `labels` (`[N]`); NaN if
/// there are no images.
///
/// # Panics
/// If there are not `classes` logits for each label, or a label is no class.
pub fn cross_entropy(logits: &[f32], labels: &[u16], classes: usize, temperature: f64) -> f64 {
    check(logits, labels, classes);
    let loss = |(row, label): (&[f32], &u16)| {
        let largest = largest(row);
        let below = |logit: f32| (f64::from(logit) - largest) / temperature;
        row.iter().map(|&logit| below(logit).exp()).sum::<f64>().ln() - below(row[usize::from(*label)])
    };
    logits.chunks_exact(classes).zip(labels).map(loss).sum::<f64>() / labels.len() as f64
}

/// The derivative of the mean cross-entropy by the inverse of the temperature: how far the label's logit is below the
/// logits' mean under the softmax, in the mean over images.
fn slope(logits: &[f32], labels: &[u16], classes: usize, inverse: f64) -> f64 {
    let of_image = |(row, label): (&[f32], &u16)| {
        let largest = largest(row);
        let below = |logit: f32| f64::from(logit) - largest;
        let (mut weights, mut sum) = (0.0, 0.0);
        for &logit in row {
            let weight = (inverse * below(logit)).exp();
            weights += weight;
            sum += weight * below(logit);
        }
        sum / weights - below(row[usize::from(*label)])
    };
    logits.chunks_exact(classes).zip(labels).map(of_image).sum::<f64>() / labels.len() as f64
}

fn largest(row: &[f32]) -> f64 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max).into()
}

fn check(logits: &[f32], labels: &[u16], classes: usize) {
    assert!(classes > 0, "there are no classes");
    assert_eq!(logits.len(), labels.len() * classes, "logits of {} images and {classes} classes", labels.len());
    assert!(labels.iter().all(|&label| usize::from(label) < classes), "a label is none of {classes} classes");
}
