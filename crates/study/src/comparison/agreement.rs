//! Every verdict agrees with the numbers that are shown beside it: checked on many made-up studies.

use std::collections::{BTreeMap, BTreeSet};

use tenfold_nn::rng::{Rng, Stream};

use super::compare::{Groups, RecipeTrials, TestImages, compare_with};
use super::{Comparison, Interval, PairStatistics, Verdict};
use crate::metrics::Metrics;
use crate::testing::{recipe_record, trial_record};
use crate::trial::Prediction;

const IMAGES: usize = 300;
const RESAMPLES: usize = 60;

/// Random recipes: of 1, 2, 3, 5, 10 or unequal numbers of seeds, alike or far apart, steady or not, on images with or
/// without writers, and of some all predictions are lost.
fn study(number: u64) -> Comparison {
    let rng = Rng::new(number, Stream::Init, 77);
    let mut next = 0;
    let mut normal = || {
        next += 1;
        f64::from(rng.normal_at(next))
    };
    let mut one_of = |n: usize| ((normal().abs() * 1000.0) as usize) % n;
    let equal = [1, 2, 3, 5, 10][one_of(5)];
    let unequal = one_of(3) == 0;
    let recipes = 2 + one_of(3);
    let seeds: Vec<usize> = (0..recipes).map(|_| if unequal { [1, 2, 3, 5, 10][one_of(5)] } else { equal }).collect();
    let lost: Vec<bool> = (0..recipes).map(|_| one_of(12) == 0).collect();
    let (spread, seed_sd) = ([0.0, 0.1, 0.4, 1.0][one_of(4)], [0.0, 0.05, 0.3][one_of(3)]);
    let margin = [0.001, 0.03, 0.2][one_of(3)];
    let groups =
        (one_of(2) == 0).then(|| Groups { of: (0..IMAGES).map(|n| n as u32 / 10).collect(), are_writers: true });

    let labels: Vec<u16> = (0..IMAGES).map(|n| (n % 2) as u16).collect();
    let hardness: Vec<f64> = (0..IMAGES).map(|_| normal()).collect();
    let mut records = Vec::new();
    for recipe in 0..recipes {
        let name = format!("recipe {recipe}");
        let skill = 1.2 + normal() * spread;
        let (mut trials, mut predictions) = (Vec::new(), BTreeMap::new());
        for seed in 1..=seeds[recipe] as u64 {
            let shift = skill + normal() * seed_sd;
            let answer = |(n, &label): (usize, &u16)| {
                let right = shift + hardness[n] + normal() * 0.5 > 0.0;
                Prediction { label, prediction: if right { label } else { 1 - label }, probability: 0.5 }
            };
            let said: Vec<Prediction> = labels.iter().enumerate().map(answer).collect();
            let answers: Vec<u16> = said.iter().map(|p| p.prediction).collect();
            trials.push(trial_record(&name, seed, Metrics::new(&labels, &answers, 2, 0.5)));
            if !lost[recipe] {
                predictions.insert(seed, said);
            }
        }
        records.push((recipe_record(&name, trials), predictions));
    }
    let trials = records.iter().map(|(record, predictions)| RecipeTrials {
        name: record.name.clone(),
        record,
        predictions: predictions.clone(),
    });
    compare_with(&trials.collect::<Vec<_>>(), &TestImages { labels, classes: 2, groups }, margin, RESAMPLES)
}

/// An interval with its p-value, and the one that is adjusted, of one question.
struct Shown {
    of: &'static str,
    interval: Option<Interval>,
    p: f64,
    p_holm: f64,
}

fn shown(pair: &PairStatistics) -> Vec<Shown> {
    let mut all = Vec::new();
    for (of, test) in [("these images", pair.these_images), ("new images", pair.new_images)] {
        all.extend(test.map(|test| Shown { of, interval: Some(test.interval), p: test.p, p_holm: test.p_holm }));
    }
    if let Some(networks) = pair.one_seed {
        let (p, p_holm) = (networks.p, networks.p_holm);
        all.push(Shown { of: "McNemar's test", interval: None, p, p_holm });
        let (Some(p), Some(p_holm)) = (networks.new_images_p, networks.new_images_p_holm) else { return all };
        all.push(Shown { of: "networks, new images", interval: networks.interval, p, p_holm });
    }
    all
}

/// What a verdict and the numbers beside it contradict each other in; nothing if they agree.
fn contradictions(pair: &PairStatistics, seeds: [usize; 2], comparison: &Comparison) -> Vec<String> {
    let alpha = 1.0 - comparison.level;
    let margin = comparison.margin;
    let numbers = shown(pair);
    let mut found = Vec::new();
    let mut rule = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let excludes_zero = |interval: Interval| interval.low > 0.0 || interval.high < 0.0;
    let within = pair.equivalence.is_some_and(|Interval { low, high }| low >= -margin && high <= margin);
    let is_shown = |of: &str| numbers.iter().any(|shown| shown.of == of && shown.p_holm < alpha);
    let all_shown = !numbers.is_empty() && numbers.iter().all(|shown| shown.p_holm < alpha);
    let one_each = seeds == [1, 1];

    for Shown { of, interval, p, p_holm } in &numbers {
        rule(p <= p_holm, &format!("{of}: adjusting makes no p smaller"));
        if let Some(interval) = *interval {
            rule(excludes_zero(interval) == (*p < alpha), &format!("{of}: the interval and its p"));
            let (low, high) = (interval.low, interval.high);
            rule(low <= pair.difference && pair.difference <= high, &format!("{of}: the interval has the difference"));
        }
    }
    if let (Some(these), Some(new)) = (pair.these_images, pair.new_images) {
        rule(new.p >= these.p, "new images are no surer than these");
    }
    match pair.verdict {
        Verdict::Better => {
            rule(all_shown, "better: every p is below the level");
            rule(is_shown("new images"), "better: shown for new images");
            let intervals = numbers.iter().filter_map(|shown| shown.interval);
            rule(intervals.clone().all(excludes_zero), "better: every interval excludes 0");
            rule(!within, "better: not what counts as none");
            rule(seeds.iter().all(|&n| n > 1), "better: not of one seed");
        }
        Verdict::BetterOnTheseImagesOnly => {
            rule(is_shown("these images"), "better on these images only: shown on these");
            rule(!is_shown("new images"), "better on these images only: not shown for new ones");
            rule(!within, "better on these images only: not what counts as none");
            rule(seeds.iter().all(|&n| n > 1), "better on these images only: not of one seed");
        }
        Verdict::EquivalentWithinTheMargin => {
            rule(within, "equivalent: the interval is within the margin");
            rule(pair.difference.abs() <= margin, "equivalent: the difference is within the margin");
            rule(seeds.iter().all(|&n| n > 1), "equivalent: not of one seed");
        }
        Verdict::NetworkBetter => {
            rule(one_each, "the better network: one seed each");
            rule(all_shown && numbers.len() == 2, "the better network: both p are below the level");
            rule(pair.one_seed.and_then(|n| n.interval).is_some_and(excludes_zero), "the better network: excludes 0");
            rule(!within, "the better network: not what counts as none");
        }
        Verdict::NetworkEquivalentWithinTheMargin => {
            rule(one_each, "an equivalent network: one seed each");
            rule(within, "an equivalent network: the interval is within the margin");
        }
        Verdict::NotResolved => {
            rule(!within, "not resolved: a margin that is kept is an answer");
            rule(!all_shown, "not resolved: not if every p is below the level");
            rule(!is_shown("these images"), "not resolved: not if shown on these images");
        }
    }
    rule(pair.better.is_some() == pair.verdict.favours_one(), "a verdict that favours one names it");
    if let Some(better) = &pair.better {
        let higher = if pair.difference > 0.0 { &pair.first } else { &pair.second };
        rule(pair.difference != 0.0 && better == higher, "the higher is the better");
    }
    let open = matches!(pair.verdict, Verdict::NotResolved | Verdict::BetterOnTheseImagesOnly);
    rule(open || (pair.more_seeds, pair.more_images) == (None, None), "what is shown needs no more");
    found
}

#[test]
fn no_verdict_contradicts_the_numbers_beside_it() {
    const STUDIES: u64 = 400;
    let mut seen = BTreeSet::new();
    for number in 0..STUDIES {
        let comparison = study(number);
        let seeds = |name: &str| comparison.recipes.iter().find(|r| r.recipe == name).map_or(0, |r| r.seeds.len());
        for pair in &comparison.pairs {
            let seeds = [seeds(&pair.first), seeds(&pair.second)];
            let found = contradictions(pair, seeds, &comparison);
            assert!(found.is_empty(), "study {number}, seeds {seeds:?}: {found:?}\n{pair:#?}");
            seen.insert(format!("{:?}", pair.verdict));
        }
        // Whoever stands in a group with another is not called worse than it.
        for group in &comparison.groups {
            for other in &group[1..] {
                let of = |p: &&PairStatistics| {
                    [&p.first, &p.second].contains(&&group[0]) && [&p.first, &p.second].contains(&other)
                };
                let pair = comparison.pairs.iter().find(of).expect("every pair is there");
                assert!(!pair.verdict.favours_one(), "study {number}: {group:?}\n{pair:#?}");
            }
        }
    }
    assert_eq!(seen.len(), 6, "every verdict was given: {seen:?}");
}
