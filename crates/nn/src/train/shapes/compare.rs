//! How far what a step gave is from what is expected, and what is too far.

use super::expected::{Expected, NEAR, clear_case, expected, largest};
use crate::train::testing::Got;

/// What may differ from the references: the logits in units of the largest logit, the loss in units of that or of 1, a
/// gradient in units of [`Expected::terms`] of its array.
struct Tolerance {
    logits: f64,
    loss: f64,
    gradient: f64,
}

/// The largest differences in 900 random cases were 7.1e-6, 3.1e-7 and 6.1e-6: sums of up to 4,000 terms in f32, one
/// after another. Behind a batch norm over blank images of 64x64, 20,000 equal terms were off by 2.3e-5, all rounded to
/// the same side. One wrong term of 30,000 is too far.
const TOLERANCE: Tolerance = Tolerance { logits: 2e-5, loss: 1.5e-6, gradient: 3e-5 };

/// The first number that differs.
pub(super) fn same_bits(ours: &Got, theirs: &Got) -> Result<(), String> {
    let same = |what: &str, ours: &[f64], theirs: &[f64]| {
        assert_eq!(ours.len(), theirs.len(), "length of {what}");
        let bits = |values: &[f64], at: usize| values[at].to_bits();
        match (0..ours.len()).find(|&at| bits(ours, at) != bits(theirs, at)) {
            Some(at) => Err(format!("{what}[{at}] is {:e} and {:e}", ours[at], theirs[at])),
            None => Ok(()),
        }
    };
    same("logits", &ours.0, &theirs.0)?;
    same("loss", &[ours.1], &[theirs.1])?;
    ours.2.iter().zip(&theirs.2).try_for_each(|((name, a), (_, b))| same(&format!("gradient of {name}"), a, b))
}

/// What is too far from the references, if anything is.
pub(super) fn accuracy(got: &Got, expected: &Expected) -> Result<(), String> {
    let near = |what: &str, got: &[f64], expected: &[f64], scale: f64, limit: f64| {
        let error = distance(got, expected, scale);
        if error <= limit {
            Ok(())
        } else {
            Err(format!("{what} off by {error:.1e} of {scale:.1e}, limit {limit:.0e}"))
        }
    };
    let largest = largest(&expected.logits);
    near("logits", &got.0, &expected.logits, largest, TOLERANCE.logits)?;
    near("loss", &[got.1], &[expected.loss], largest.max(1.0), TOLERANCE.loss)?;
    assert_eq!(got.2.len(), expected.gradients.len(), "arrays");
    for ((name, values), ((same, right), terms)) in got.2.iter().zip(expected.gradients.iter().zip(&expected.terms)) {
        assert_eq!(name, same, "arrays in the same order");
        near(&format!("gradient of {name}"), values, right, *terms, TOLERANCE.gradient)?;
    }
    Ok(())
}

/// Largest difference between two arrays, in units of `scale`; infinite if one is not a number.
fn distance(got: &[f64], expected: &[f64], scale: f64) -> f64 {
    assert_eq!(got.len(), expected.len(), "lengths");
    let errors = got.iter().zip(expected).map(|(g, e)| (g - e).abs());
    let largest = errors.fold(0.0, |m: f64, e| if e.is_finite() { m.max(e) } else { f64::INFINITY });
    if largest == 0.0 { 0.0 } else { largest / scale }
}

#[test]
fn a_wrong_number_anywhere_is_seen() {
    let (model, data, batch) = clear_case();
    let right = expected(&model, &data, &batch, NEAR);
    let exact = || (right.logits.clone(), right.loss, right.gradients.clone());
    accuracy(&exact(), &right).expect("the references agree with themselves");
    same_bits(&exact(), &exact()).expect("the same bits");
    let wrong = |what: &str, change: &dyn Fn(&mut Got)| {
        let mut got = exact();
        change(&mut got);
        let seen = accuracy(&got, &right).expect_err(what);
        assert!(seen.starts_with(what), "{seen}");
        let seen = same_bits(&got, &exact()).expect_err(what);
        assert!(seen.starts_with(what), "{seen}");
    };
    let off = 1.0001 * largest(&right.logits);
    wrong("logits", &|got| *got.0.last_mut().expect("a logit") += 1e-4 * off);
    wrong("logits", &|got| got.0[0] = f64::NAN);
    wrong("loss", &|got| got.1 += 1e-5 * off.max(1.0));
    for (array, (name, values)) in right.gradients.iter().enumerate() {
        let off = 1e-4 * right.terms[array];
        for at in [0, values.len() - 1] {
            wrong(&format!("gradient of {name}"), &|got| got.2[array].1[at] += off);
        }
    }
    let mut got = exact();
    got.1 = got.1.next_up();
    same_bits(&got, &exact()).expect_err("one bit");
}
