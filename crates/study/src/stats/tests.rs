//! Against scipy and published examples (`fixtures/statistics.json`).

use std::collections::BTreeMap;

use serde::Deserialize;
use tenfold_nn::rng::{Rng, Stream};

use super::banerjee::{TwoErrors, VarianceEstimate};
use super::beats::beats;
use super::holm::holm;
use super::kaplan_meier::{Case, kaplan_meier, median_time};
use super::mcnemar::mcnemar;
use super::moments::{mean, median, variance};
use super::power::{seeds_needed, variance_allowed};
use super::student::{mean_interval, normal_quantile, t_quantile, two_sided_p};
use super::welch::welch;
use super::wilson::wilson;
use crate::comparison::Interval;

#[derive(Deserialize)]
struct Fixtures {
    t_quantile: Vec<(f64, f64, f64)>,
    two_sided_p: Vec<(f64, f64, f64)>,
    normal_quantile: Vec<(f64, f64)>,
    welch: BTreeMap<String, WelchCase>,
    two_errors: Vec<TwoErrorsCase>,
    wilson: Vec<WilsonCase>,
    mcnemar: Vec<McNemarCase>,
    holm: Vec<HolmCase>,
    kaplan_meier: Vec<KaplanMeierCase>,
    seeds: Vec<SeedsCase>,
}

#[derive(Deserialize)]
struct WelchCase {
    a: Vec<f64>,
    b: Vec<f64>,
    mean: f64,
    sd: f64,
    median: f64,
    mean_interval: Option<(f64, f64)>,
    difference: f64,
    df: f64,
    p: f64,
    interval: (f64, f64),
    beats: f64,
}

#[derive(Deserialize)]
struct TwoErrorsCase {
    value: f64,
    parts: [(f64, f64); 2],
    half: f64,
    p: f64,
}

#[derive(Deserialize)]
struct WilsonCase {
    right: u32,
    n: u32,
    interval: (f64, f64),
}

#[derive(Deserialize)]
struct McNemarCase {
    only_first: u64,
    only_second: u64,
    p: f64,
}

#[derive(Deserialize)]
struct HolmCase {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

#[derive(Deserialize)]
struct KaplanMeierCase {
    times: Vec<f64>,
    reached: Vec<bool>,
    steps: Vec<(f64, f64)>,
    median: Option<f64>,
}

#[derive(Deserialize)]
struct SeedsCase {
    difference: f64,
    sd_a: f64,
    sd_b: f64,
    level: f64,
    n: u64,
}

fn fixtures() -> Fixtures {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/statistics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Ours are rounded to ten digits.
#[track_caller]
fn near(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 2e-9 * theirs.abs() + 1e-15, "{what}: {ours}, expected {theirs}");
}

#[track_caller]
fn near_interval(what: &str, ours: Interval, (low, high): (f64, f64)) {
    near(&format!("{what}, low"), ours.low, low);
    near(&format!("{what}, high"), ours.high, high);
}

#[test]
fn distributions_are_scipys() {
    for (level, df, expected) in fixtures().t_quantile {
        near(&format!("t at {level} with {df}"), t_quantile(level, df), expected);
    }
    for (t, df, expected) in fixtures().two_sided_p {
        near(&format!("p of {t} with {df}"), two_sided_p(t, df), expected);
        near(&format!("p of -{t} with {df}"), two_sided_p(-t, df), expected);
    }
    for (level, expected) in fixtures().normal_quantile {
        near(&format!("normal at {level}"), normal_quantile(level), expected);
    }
    assert_eq!((two_sided_p(0.0, 3.0), two_sided_p(f64::INFINITY, 3.0)), (1.0, 0.0));
}

#[test]
fn means_and_differences_are_scipys() {
    for (name, case) in fixtures().welch {
        near(&name, mean(&case.a).unwrap(), case.mean);
        near(&name, median(&case.a).unwrap(), case.median);
        assert_eq!(beats(&case.a, &case.b), case.beats, "{name}");
        let ours = welch(&case.a, &case.b).unwrap();
        if name == "close" {
            // scipy warns that it cancels here.
            continue;
        }
        near(&name, variance(&case.a).unwrap().sqrt(), case.sd);
        if let Some(expected) = case.mean_interval {
            near_interval(&name, mean_interval(&case.a, 0.95).unwrap(), expected);
        }
        near(&name, ours.difference, case.difference);
        near(&name, ours.df, case.df);
        near(&name, ours.p(), case.p);
        let interval = ours.interval(0.95);
        assert!((interval.low - case.interval.0).abs() < 1e-9 && (interval.high - case.interval.1).abs() < 1e-9);
    }
}

#[test]
fn two_errors_are_scipys() {
    for TwoErrorsCase { value, parts, half, p } in fixtures().two_errors {
        let parts = parts.map(|(variance, df)| VarianceEstimate { variance, df });
        for parts in [parts, [parts[1], parts[0]]] {
            let ours = TwoErrors { value, parts };
            let Interval { low, high } = ours.interval(0.95);
            near("half", (high - low) / 2.0, half);
            near("p", ours.p(), p);
        }
    }
}

#[test]
fn one_error_is_students_and_none_leaves_no_doubt() {
    let of =
        |value, variance, df| TwoErrors { value, parts: [VarianceEstimate::NONE, VarianceEstimate { variance, df }] };
    for (t, df) in [(0.1, 1.0), (2.5, 3.0), (40.0, 2.5), (6.0, 9999.0)] {
        near("p", of(-0.02 * t, 4e-4, df).p(), two_sided_p(t, df));
        near("high", of(0.0, 4e-4, df).interval(0.9).high, 0.02 * t_quantile(0.9, df));
    }
    assert_eq!((of(0.0, 4e-4, 3.0).p(), of(0.0, 0.0, 3.0).p(), of(0.1, 0.0, 3.0).p()), (1.0, 1.0, 0.0));
    assert_eq!(of(0.1, 0.0, 3.0).interval(0.95), Interval { low: 0.1, high: 0.1 });
    // Too small for a number.
    assert_eq!(of(1.0, 1e-6, 9999.0).p(), 0.0);
}

/// Whatever part of the variance is the seeds', and however few there are. With one sum of degrees of freedom, eight of
/// a hundred intervals at 0.99 miss where one degree of freedom has nine tenths of it.
#[test]
fn intervals_of_two_errors_cover_at_least_at_their_level() {
    const DRAWS: usize = 2000;
    let rng = Rng::new(5, Stream::Init, 0);
    let mut next = 0;
    let mut normal = || {
        next += 1;
        f64::from(rng.normal_at(next))
    };
    for df in [1, 2, 4] {
        for seeds in [0.0, 0.3, 0.7, 1.0] {
            for level in [0.95, 0.99] {
                let misses = |_| {
                    let value = normal();
                    let squares: f64 = (0..df).map(|_| normal().powi(2)).sum();
                    let known = VarianceEstimate { variance: 1.0 - seeds, df: 9999.0 };
                    let estimated = VarianceEstimate { variance: seeds * squares / f64::from(df), df: df.into() };
                    let Interval { low, high } = TwoErrors { value, parts: [known, estimated] }.interval(level);
                    low > 0.0 || high < 0.0
                };
                let missed = (0..DRAWS).map(misses).filter(|missed| *missed).count() as f64 / DRAWS as f64;
                let most = (1.0 - level) + 3.0 * (level * (1.0 - level) / DRAWS as f64).sqrt();
                assert!(missed <= most, "{df} degrees of freedom, {seeds} of the variance: {missed} at {level}");
            }
        }
    }
}

#[test]
fn few_and_equal_numbers_have_answers() {
    assert_eq!((mean(&[]), median(&[]), variance(&[]), variance(&[1.0])), (None, None, None, None));
    assert_eq!((mean(&[0.1; 3]), variance(&[0.1; 3])), (Some(0.1), Some(0.0)));
    assert_eq!((median(&[3.0]), median(&[3.0, 1.0])), (Some(3.0), Some(2.0)));
    assert_eq!((mean_interval(&[0.5], 0.95), welch(&[0.5], &[0.1, 0.2])), (None, None));
    let equal = mean_interval(&[0.9, 0.9], 0.95).unwrap();
    assert_eq!((equal.low, equal.high), (0.9, 0.9));
    // Without any spread there is no doubt.
    assert_eq!(welch(&[0.9, 0.9], &[0.9, 0.9]).unwrap().p(), 1.0);
    assert_eq!(welch(&[0.9, 0.9], &[0.8, 0.8]).unwrap().p(), 0.0);
    assert_eq!((beats(&[], &[1.0]), beats(&[1.0], &[1.0]), beats(&[2.0], &[1.0])), (0.5, 0.5, 1.0));
    // Two numbers 2e-9 apart: a difference of squares would see no variance, or a negative one.
    near("close", variance(&[0.99, 0.99 + 2e-9]).unwrap().sqrt(), ((0.99f64 + 2e-9) - 0.99) / 2f64.sqrt());
    // One large number does not swallow the rest.
    assert_eq!(mean(&[1e16, 1.0, 1.0, -1e16]), Some(0.5));
}

#[test]
fn wilsons_interval_is_scipys() {
    let quantile = normal_quantile(0.95);
    for WilsonCase { right, n, interval } in fixtures().wilson {
        let ours = wilson(f64::from(right) / f64::from(n), n.into(), quantile);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(ours.low, interval.0) && close(ours.high, interval.1), "{right} of {n}: {ours:?}, {interval:?}");
    }
    assert_eq!(wilson(0.0, 0.0, quantile), Interval { low: 0.0, high: 1.0 });
    assert_eq!((wilson(0.0, 9.0, quantile).low, wilson(1.0, 9.0, quantile).high), (0.0, 1.0));
}

#[test]
fn mcnemars_test_is_the_exact_binomial() {
    for McNemarCase { only_first, only_second, p } in fixtures().mcnemar {
        near(&format!("{only_first} and {only_second}"), mcnemar(only_first, only_second), p);
        assert_eq!(mcnemar(only_first, only_second), mcnemar(only_second, only_first));
    }
}

#[test]
fn holms_adjustment_is_the_papers() {
    for case in fixtures().holm {
        let ours = holm(&case.p);
        assert_eq!(ours.len(), case.adjusted.len());
        for (ours, theirs) in ours.iter().zip(&case.adjusted) {
            near(&format!("{:?}", case.p), *ours, *theirs);
        }
    }
}

#[test]
fn kaplan_and_meiers_estimate_is_scipys() {
    for case in fixtures().kaplan_meier {
        let cases: Vec<Case> =
            case.times.iter().zip(&case.reached).map(|(&time, &reached)| Case { time, reached }).collect();
        let ours = kaplan_meier(&cases);
        assert_eq!(ours.len(), case.steps.len(), "{cases:?}");
        for ((time, share), (expected_time, expected_share)) in ours.into_iter().zip(case.steps) {
            assert_eq!(time, expected_time);
            near(&format!("{cases:?} at {time}"), share, expected_share);
        }
        assert_eq!(median_time(&cases), case.median, "{cases:?}");
    }
    assert_eq!((kaplan_meier(&[]), median_time(&[])), (vec![], None));
    // Who never gets there stays among those who wait, however long the others take.
    let never = Case { time: f64::INFINITY, reached: false };
    let cases = [Case { time: 5.0, reached: true }, never, never];
    near("one of three", kaplan_meier(&cases)[0].1, 1.0 / 3.0);
    assert_eq!(median_time(&cases), None);
}

#[test]
fn seeds_are_as_many_as_the_noncentral_t_wants() {
    for SeedsCase { difference, sd_a, sd_b, level, n } in fixtures().seeds {
        let ours = seeds_needed(difference, sd_a * sd_a, sd_b * sd_b, level).unwrap();
        assert!(ours.abs_diff(n) <= 1, "{difference} with {sd_a} and {sd_b} at {level}: {ours}, expected {n}");
    }
    assert_eq!(seeds_needed(0.0, 1e-6, 1e-6, 0.95), None);
    assert_eq!(seeds_needed(1e-9, 1e-6, 1e-6, 0.95), None);
    assert_eq!(seeds_needed(0.1, 0.0, 0.0, 0.95), Some(2));
    // 0.25 points with 0.8 % of 10,000 images discordant: what the usual formula gives.
    near("allowed", variance_allowed(0.0025, 0.95), (0.0025f64 / (1.959_963_984_540 + 0.841_621_233_573)).powi(2));
}
