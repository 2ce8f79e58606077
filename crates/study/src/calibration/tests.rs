//! Against scipy and numpy (`fixtures/calibration.json`), and whether intervals cover.

use serde::Deserialize;
use tenfold_nn::rng::{Rng, Stream};

use super::reliability::calibration_until;
use super::*;

#[derive(Deserialize)]
struct Fixtures {
    temperature: Vec<TemperatureCase>,
    calibration: Vec<CalibrationCase>,
}

#[derive(Deserialize)]
struct TemperatureCase {
    name: String,
    classes: usize,
    logits: Vec<f32>,
    labels: Vec<u16>,
    temperature: Option<f64>,
    loss: f64,
    loss_at_2: f64,
}

#[derive(Deserialize)]
struct CalibrationCase {
    name: String,
    confidence: Vec<f64>,
    right: Vec<bool>,
    units: Vec<u32>,
    bins: Vec<(u64, f64, f64)>,
    error: f64,
    by_chance: f64,
    interval: (f64, f64),
}

fn fixtures() -> Fixtures {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/calibration.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn near(what: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours}, expected {theirs}");
}

#[test]
fn the_temperature_is_where_scipy_finds_the_least_cross_entropy() {
    for TemperatureCase { name, classes, logits, labels, temperature: expected, loss, loss_at_2 } in
        fixtures().temperature
    {
        near(&name, cross_entropy(&logits, &labels, classes, 1.0), loss, 1e-12 * (1.0 + loss));
        near(&name, cross_entropy(&logits, &labels, classes, 2.0), loss_at_2, 1e-12 * (1.0 + loss));
        let found = temperature(&logits, &labels, classes);
        assert_eq!(found.is_some(), expected.is_some(), "{name}: {found:?}, expected {expected:?}");
        if let Some((found, expected)) = found.zip(expected) {
            // A search by values of the loss finds its place to the root of what they are rounded to.
            near(&name, found, expected, 1e-6 * expected.max(1.0));
            let at = |temperature| cross_entropy(&logits, &labels, classes, temperature);
            assert!(at(found) < at(found * 1.001) && at(found) < at(found / 1.001), "{name}: {found} is no minimum");
            // What all logits of an image have in common is nothing, so that logarithms of probabilities will do.
            let less = |row: &[f32]| row.iter().map(|&logit| logit - row[0] * 0.5).collect::<Vec<_>>();
            let shifted: Vec<f32> = logits.chunks_exact(classes).flat_map(less).collect();
            near(&name, temperature(&shifted, &labels, classes).unwrap(), found, 1e-5 * found);
        }
    }
}

#[test]
fn what_has_no_temperature_has_none() {
    assert_eq!(temperature(&[], &[], 3), None);
    assert_eq!(temperature(&[1.0, 1.0], &[0], 2), None, "all temperatures are the same");
    assert_eq!(temperature(&[3.0], &[0], 1), None, "one class is always right");
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(temperature(&[odd, 1.0, 0.0, 2.0], &[1, 0], 2), None, "{odd}");
    }
    assert!(cross_entropy(&[], &[], 2, 1.0).is_nan());
    // 99 of 100 right, sure as can be: the least loss is far away, and the way there is flat.
    let logits: Vec<f32> = (0..100).flat_map(|_| [200.0, 0.0]).collect();
    let labels: Vec<u16> = (0..100).map(|n| u16::from(n == 0)).collect();
    near("sure", temperature(&logits, &labels, 2).unwrap(), 200.0 / 99_f64.ln(), 1e-6);
}

fn answers(case: &CalibrationCase) -> Vec<Answer> {
    case.confidence.iter().zip(&case.right).map(|(&confidence, &right)| Answer { confidence, right }).collect()
}

#[test]
fn the_calibration_error_is_numpys() {
    for case in fixtures().calibration {
        let name = &case.name;
        let ours = calibration(&answers(&case), &case.units).unwrap();
        near(name, ours.error, case.error, 1e-12);
        let points: Vec<_> = ours.bins.iter().map(|bin| (bin.answers, bin.confidence, bin.accuracy())).collect();
        assert_eq!(points.len(), case.bins.len(), "{name}: {points:?}, expected {:?}", case.bins);
        for (ours, theirs) in points.iter().zip(&case.bins) {
            assert_eq!(ours.0, theirs.0, "{name}");
            near(name, ours.1, theirs.1, 1e-12);
            near(name, ours.2, theirs.2, 1e-12);
        }
        // Both draw, and not the same: three times the deviation of a quantile of 2,000 draws is a tenth of the width.
        let interval = ours.interval.unwrap();
        let tolerance = 0.1 * (case.interval.1 - case.interval.0);
        near(&format!("{name}, by chance"), ours.by_chance, case.by_chance, tolerance);
        near(&format!("{name}, low"), interval.low, case.interval.0, tolerance);
        near(&format!("{name}, high"), interval.high, case.interval.1, tolerance);
    }
}

#[test]
fn nothing_depends_on_the_order_of_images() {
    for case in fixtures().calibration {
        let answers = answers(&case);
        let alone: Vec<u32> = (0..answers.len() as u32).collect();
        let ours = calibration_until(&|| false, &answers, &alone, 2).unwrap();
        let backwards: Vec<Answer> = answers.into_iter().rev().collect();
        let again = calibration_until(&|| false, &backwards, &alone, 2).unwrap();
        near(&case.name, again.error, ours.error, 1e-15);
        assert_eq!(again.bins.len(), ours.bins.len(), "{}", case.name);
    }
}

#[test]
fn few_and_odd_answers_have_a_calibration_or_none() {
    let answer = |confidence, right| Answer { confidence, right };
    assert_eq!(calibration(&[], &[]), None);
    for odd in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert_eq!(calibration(&[answer(0.5, true), answer(odd, true)], &[0, 1]), None, "{odd}");
    }
    let one = calibration(&[answer(0.75, true)], &[0]).unwrap();
    assert_eq!((one.error, one.interval, one.bins.len()), (0.25, None, 1));
    // All of one confidence are one bin, and all right and sure leave nothing to be desired.
    let sure = calibration(&[answer(1.0, true); 100], &(0..100).collect::<Vec<_>>()).unwrap();
    assert_eq!((sure.error, sure.by_chance, sure.bins.len(), sure.bins[0].answers), (0.0, 0.0, 1, 100));
    assert_eq!(sure.interval.map(|interval| (interval.low, interval.high)), Some((0.0, 0.0)));
}

/// Networks as sure as `sureness` makes them, whose logits should be divided by `honesty`.
#[test]
fn intervals_cover_the_error_of_all_images() {
    const STUDIES: u64 = 200;
    for (sureness, honesty) in [(2.0, 1.0), (2.0, 1.3), (2.0, 2.5), (5.0, 1.0), (5.0, 1.3), (5.0, 2.5)] {
        let answered = |study: u64, n: usize| -> Vec<(f64, f64)> {
            let rng = Rng::new(study, Stream::Init, 0);
            let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
            let margins = (0..n as u64).map(|i| (sureness + 2.0 * f64::from(rng.normal_at(i))).abs());
            margins.map(|margin| (logistic(margin), logistic(margin / honesty))).collect()
        };
        let all = answered(STUDIES, 100_000);
        let truth = all.iter().map(|(says, is)| (says - is).abs()).sum::<f64>() / all.len() as f64;
        let misses = |study: &u64| {
            let rng = Rng::new(*study, Stream::Dropout, 0);
            let answers = answered(*study, 1000)
                .into_iter()
                .enumerate()
                .map(|(n, (says, is))| Answer { confidence: says, right: f64::from(rng.uniform_at(n as u64)) < is });
            let found = calibration_until(&|| false, &answers.collect::<Vec<_>>(), &(0..1000).collect::<Vec<_>>(), 200);
            let interval = found.and_then(|found| found.interval).expect("many answers");
            truth < interval.low || truth > interval.high
        };
        let missed = (0..STUDIES).filter(misses).count() as f64 / STUDIES as f64;
        let most = 0.05 + 3.0 * (0.05 * 0.95 / STUDIES as f64).sqrt();
        assert!(missed <= most, "{missed} of intervals miss, sureness {sureness}, honesty {honesty}");
    }
}
