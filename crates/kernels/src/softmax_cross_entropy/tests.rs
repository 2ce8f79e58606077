//! Losses, hits, gradients and probabilities, as the callers see them.

use super::*;
use crate::reference;
use crate::testing::{assert_close, on_every_isa, pack_rows, values};

#[test]
fn loss_and_gradient_match_the_reference_on_every_isa() {
    let cases = [(0, 10), (1, 1), (1, 2), (5, 10), (7, 16), (3, 17), (2, 256), (3, 257), (18, 1000), (40, 10)];
    for (rows, classes) in cases {
        let logits: Vec<f32> = values(rows * classes, 1).iter().map(|v| v * 20.0).collect();
        let labels: Vec<u16> = (0..rows).map(|n| ((n * 7 + classes - 1) % classes) as u16).collect();
        let stride = classes.next_multiple_of(16) + 16;
        let mut packed = pack_rows(&logits, classes, stride);
        // Whatever is beyond the classes is none.
        packed.chunks_mut(stride).for_each(|row| row[classes..].fill(9.0));
        let weights: Vec<f32> = (0..classes).map(|class| 0.1 + (class * 5 % 7) as f32).collect();
        // Some of the second labels are the first ones.
        let seconds: Vec<u16> = (0..rows).map(|n| ((n * 3 + classes - 1) % classes) as u16).collect();
        let shares: Vec<f32> = (0..rows).map(|n| (n * 5 % 9) as f32 / 8.0).collect();
        let mixed = Some(Mixed { labels: &seconds, shares: &shares });
        let cases = [(None, 0.0), (Some(&weights[..]), 0.0), (None, 0.1), (Some(&weights[..]), 0.75)];
        for ((weights, smoothing), mixed) in cases.into_iter().flat_map(|case| [(case, None), (case, mixed)]) {
            let counts = Counts { weights, smoothing, mixed };
            let (losses, grad) = reference::softmax_cross_entropy(&logits, classes, &labels, counts, 0.25);
            on_every_isa(|isa| {
                let (mut got, mut got_grad) = (vec![f64::NAN; rows], vec![f32::NAN; rows * stride]);
                let mut correct = vec![9; rows];
                softmax_cross_entropy(
                    isa,
                    &packed,
                    stride,
                    classes,
                    &labels,
                    counts,
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
                assert_eq!(hits_alone, correct, "correct alone");
                if weights.is_none() && smoothing == 0.0 && mixed.is_none() {
                    assert_eq!(alone, got, "losses alone");
                }
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
}

#[test]
fn huge_logits_do_not_overflow_and_nan_is_not_hidden() {
    let isa = Isa::detect();
    let row = |logits: [f32; 3]| pack_rows(&logits, 3, 16);
    let (mut losses, mut correct, mut grad) = ([0.0], [9], [9.0; 16]);
    let plain = Counts::default();
    softmax_cross_entropy(isa, &row([1e30, -1e30, 0.0]), 16, 3, &[0], plain, 1.0, &mut losses, &mut correct, &mut grad);
    assert_eq!((losses[0], grad), (0.0, [0.0; 16]));
    softmax_cross_entropy(
        isa,
        &row([f32::NAN, 0.0, 0.0]),
        16,
        3,
        &[1],
        plain,
        1.0,
        &mut losses,
        &mut correct,
        &mut grad,
    );
    assert!(losses[0].is_nan());
    assert_eq!(correct, [1], "NaN is never the largest, and the first of equals is");
}

/// All rows of four classes out of some numbers and what is none.
#[test]
fn the_largest_is_the_first_that_is_larger_on_every_isa() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 1.0];
    let rows: Vec<[f32; 4]> =
        (0..6 * 6 * 6 * 6_usize).map(|n| [n % 6, n / 6 % 6, n / 36 % 6, n / 216].map(|value| values[value])).collect();
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

fn mixed<'a>(labels: &'a [u16], shares: &'a [f32]) -> Counts<'a> {
    Counts { mixed: Some(Mixed { labels, shares }), ..Counts::default() }
}

#[test]
fn an_example_mixed_with_itself_is_itself() {
    let packed = pack_rows(&values(18 * 10, 5), 10, 16);
    let labels: Vec<u16> = (0..18).map(|n| n % 10).collect();
    let run = |counts| {
        let (mut losses, mut correct, mut grad) = (vec![f64::NAN; 18], vec![9; 18], vec![f32::NAN; packed.len()]);
        let isa = Isa::detect();
        softmax_cross_entropy(isa, &packed, 16, 10, &labels, counts, 0.5, &mut losses, &mut correct, &mut grad);
        (losses, correct, bits(&grad))
    };
    let (others, plain) = ([9; 18], run(Counts::default()));
    let (half, whole) = ([0.5; 18], [1.0; 18]);
    // What is subtracted for the label is so in two parts, of which each is rounded.
    let (losses, correct, grad) = run(mixed(&labels, &half));
    assert!((&losses, &correct) == (&plain.0, &plain.1), "halves of the same");
    for (found, expected) in grad.iter().zip(&plain.2) {
        let [found, expected] = [found, expected].map(|&bits| f32::from_bits(bits));
        assert!((found - expected).abs() <= 1e-7, "{found}, expected {expected}");
    }
    assert!(run(mixed(&others, &whole)) == plain, "nothing of the other");
    assert!(run(mixed(&others, &half)) != plain, "half of the other");
    let part = mixed(&others, &half).part(3..5).mixed.expect("they are mixed");
    assert_eq!((part.labels.len(), part.shares.len()), (2, 2));
}

/// In whichever lane of whichever block it is, full or not.
#[test]
fn an_example_has_the_same_bits_alone_as_among_others() {
    for (rows, classes) in [(18_usize, 10_usize), (18, 17)] {
        let stride = classes.next_multiple_of(16);
        let packed = pack_rows(&values(rows * classes, 4), classes, stride);
        let labels: Vec<u16> = (0..rows).map(|n| (n % classes) as u16).collect();
        on_every_isa(|isa| {
            let all = scored(isa, &packed, stride, classes, &labels);
            for n in 0..rows {
                let row = n * stride..(n + 1) * stride;
                let (losses, correct, grad) = scored(isa, &packed[row.clone()], stride, classes, &labels[n..n + 1]);
                assert_eq!((losses[0].to_bits(), correct[0]), (all.0[n].to_bits(), all.1[n]), "example {n} of {rows}");
                assert_eq!(bits(&grad), bits(&all.2[row]), "gradient of example {n} of {rows}, {classes} classes");
            }
            bits(&all.2)
        });
    }
}

fn scored(isa: Isa, logits: &[f32], stride: usize, classes: usize, labels: &[u16]) -> (Vec<f64>, Vec<u8>, Vec<f32>) {
    let (mut losses, mut correct) = (vec![f64::NAN; labels.len()], vec![9; labels.len()]);
    let mut grad = vec![f32::NAN; logits.len()];
    softmax_cross_entropy(
        isa,
        logits,
        stride,
        classes,
        labels,
        Counts::default(),
        0.5,
        &mut losses,
        &mut correct,
        &mut grad,
    );
    (losses, correct, grad)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
#[should_panic(expected = "a label is not below 3")]
fn a_label_that_is_no_class_is_refused() {
    scored(Isa::detect(), &[0.0; 16], 16, 3, &[3]);
}

#[test]
#[should_panic(expected = "17 classes in rows of 16")]
fn rows_too_short_for_whole_vectors_are_refused() {
    scored(Isa::detect(), &[0.0; 16], 16, 17, &[0]);
}
