//! Small studies whose answers are plain.

use std::collections::BTreeMap;

use super::{Comparison, Groups, Interval, MARGIN, RecipeStatistics, RecipeTrials, TestImages, Verdict, compare};
use crate::metrics::Metrics;
use crate::record::{Reason, RecipeRecord, Status};
use crate::testing::{recipe_record, trial_record};
use crate::trial::Prediction;

const LABELS: [u16; 12] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];

/// A recipe whose seeds get these images wrong, predicting the next class.
fn recipe(name: &str, seeds: &[&[usize]]) -> (RecipeRecord, BTreeMap<u64, Vec<Prediction>>) {
    let (mut trials, mut said) = (Vec::new(), BTreeMap::new());
    for (n, wrong) in seeds.iter().enumerate() {
        let answer = |(image, &label): (usize, &u16)| {
            let is_wrong = wrong.contains(&image);
            let prediction = if is_wrong { (label + 1) % 3 } else { label };
            Prediction { label, prediction, probability: 0.5 + image as f32 / 100.0 }
        };
        let predictions: Vec<Prediction> = LABELS.iter().enumerate().map(answer).collect();
        let answers: Vec<u16> = predictions.iter().map(|p| p.prediction).collect();
        let seed = n as u64 + 1;
        trials.push(trial_record(name, seed, Metrics::new(&LABELS, &answers, 3, 0.5)));
        said.insert(seed, predictions);
    }
    (recipe_record(name, trials), said)
}

type Recipe = (RecipeRecord, BTreeMap<u64, Vec<Prediction>>);

fn compared(recipes: &[Recipe], writers: Option<Vec<u32>>) -> Comparison {
    let trials: Vec<RecipeTrials> = recipes
        .iter()
        .map(|(record, said)| RecipeTrials { name: record.name.clone(), record, predictions: said.clone() })
        .collect();
    let groups = writers.map(|of| Groups { of, are_writers: true });
    compare(&trials, &TestImages { labels: LABELS.to_vec(), classes: 3, groups }, MARGIN)
}

/// That every number is finite, which JSON cannot say otherwise, and that the comparison reads back the same.
fn checked(comparison: Comparison) -> Comparison {
    let json = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), comparison, "{json}");
    comparison
}

#[test]
fn nothing_compares_to_nothing() {
    let none = checked(compare(&[], &TestImages::default(), MARGIN));
    assert_eq!((none.recipes.len(), none.pairs.len(), none.groups.len()), (0, 0, 0));
    assert_eq!((none.picked, none.choice, none.resamples), (None, None, 0));
    let empty = checked(compared(&[recipe("empty", &[])], None));
    assert!(empty.recipes.is_empty());
}

#[test]
fn all_right_and_all_wrong_have_intervals_with_a_width() {
    let everything: Vec<usize> = (0..12).collect();
    for seeds in [1, 2, 5] {
        let right = recipe("right", &vec![&[][..]; seeds]);
        let wrong = recipe("wrong", &vec![&everything[..]; seeds]);
        let comparison = checked(compared(&[right, wrong], None));
        let [right, wrong] = &comparison.recipes[..] else { panic!("two recipes") };
        let (high, low) = (right.accuracy.new.unwrap(), wrong.accuracy.new.unwrap());
        assert!(high.high == 1.0 && (0.6..0.85).contains(&high.low), "{high:?}");
        assert!(low.low == 0.0 && (0.15..0.4).contains(&low.high), "{low:?}");
        assert!(right.per_class.iter().all(|class| class.recall.unwrap().new.unwrap().low < 0.7));
        let pair = &comparison.pairs[0];
        assert_eq!((pair.difference, pair.first_beats_second), (1.0, 1.0));
        match seeds {
            1 => {
                assert_eq!(pair.verdict, Verdict::NetworkBetter);
                let networks = pair.one_seed.unwrap();
                assert_eq!((networks.only_first, networks.only_second), (12, 0));
                assert!((networks.p - 2.0 / 4096.0).abs() < 1e-12);
                assert!(networks.new_images_p_holm.unwrap() < 0.05 && networks.interval.unwrap().low > 0.0);
                assert!(pair.new_images.is_none() && pair.more_seeds.is_none() && pair.more_images.is_none());
            }
            2 => assert!(pair.verdict == Verdict::Better && pair.these_images.is_none()),
            _ => assert!(pair.verdict == Verdict::Better && pair.these_images.unwrap().p == 0.0),
        }
        assert_eq!(pair.better.as_deref(), Some("right"));
        assert_eq!(comparison.groups, [["right"], ["wrong"]]);
        assert_eq!(comparison.choice.as_ref().unwrap().leading, ["right"]);
    }
}

#[test]
fn equal_answers_are_a_tie_that_so_few_images_cannot_call_equivalent() {
    let seeds: &[&[usize]] = &[&[0, 5], &[0, 9], &[0], &[0, 5], &[1]];
    let comparison = checked(compared(&[recipe("a", seeds), recipe("b", seeds)], None));
    let pair = &comparison.pairs[0];
    assert_eq!((pair.difference, pair.verdict, pair.first_beats_second), (0.0, Verdict::NotResolved, 0.5));
    assert_eq!((pair.these_images.unwrap().p, pair.new_images.unwrap().p), (1.0, 1.0));
    assert!(pair.more_seeds.unwrap() > 100 && pair.more_images.is_some() && pair.better.is_none());
    assert_eq!(comparison.groups, [["a", "b"]]);
    let choice = comparison.choice.unwrap();
    assert_eq!((choice.highest.as_str(), choice.leading.len(), choice.fastest.as_deref()), ("a", 2, Some("a")));
}

#[test]
fn mistakes_are_shared_by_those_whose_seeds_mostly_make_them() {
    // Image 0: both; 4 and 7: only b, 7 in more trials; 9: one of two seeds is not most.
    let a = recipe("a", &[&[0, 9], &[0], &[0, 7]]);
    let b = recipe("b", &[&[0, 4, 7, 9], &[0, 4, 7]]);
    let shared = compared(&[a, b], None).shared_mistakes;
    let found: Vec<_> = shared.iter().map(|s| (s.recipes.join(" "), s.count, s.hardest.clone())).collect();
    assert_eq!(found, [("a b".to_owned(), 1, vec![0]), ("b".to_owned(), 2, vec![7, 4])]);
}

#[test]
fn writers_widen_what_their_images_share() {
    // All mistakes of a kind are one writer's.
    let seeds: &[&[usize]] = &[&[0, 1, 2, 3], &[0, 1, 2, 3]];
    let recipes = [recipe("a", seeds), recipe("b", &[&[], &[]])];
    let (images, writers) = (compared(&recipes, None), compared(&recipes, Some((0..12).map(|n| n / 4).collect())));
    assert_eq!((images.writers, writers.writers), (None, Some(3)));
    let width = |c: &Comparison| {
        let Interval { low, high } = c.pairs[0].new_images.unwrap().interval;
        high - low
    };
    assert!(width(&writers) > 1.5 * width(&images), "{} and {}", width(&writers), width(&images));
    // One writer says nothing of others.
    let one = checked(compared(&recipes, Some(vec![7; 12])));
    assert_eq!((one.resamples, one.pairs[0].new_images), (0, None));
}

/// Class 2 does not occur, and only the second seed predicts it, once; class 3 neither occurs nor is predicted.
#[test]
fn what_is_no_number_is_in_no_mean() {
    let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
    let answers = [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 2, 1, 1, 1, 1, 1, 0]];
    let (mut trials, mut predictions) = (Vec::new(), BTreeMap::new());
    for (seed, answers) in (1..).zip(&answers) {
        let said =
            labels.iter().zip(answers).map(|(&label, &prediction)| Prediction { label, prediction, probability: 0.5 });
        predictions.insert(seed, said.collect::<Vec<_>>());
        trials.push(trial_record("a", seed, Metrics::new(&labels, answers, 4, 0.5)));
    }
    let record = recipe_record("a", trials);
    for with_predictions in [true, false] {
        let predictions = if with_predictions { predictions.clone() } else { BTreeMap::new() };
        let trials = RecipeTrials { name: "a".to_owned(), record: &record, predictions };
        let images = TestImages { labels: labels.to_vec(), classes: 4, groups: None };
        let comparison = checked(compare(&[trials], &images, MARGIN));
        let a = &comparison.recipes[0];
        let [first, _, third, fourth] = &a.per_class[..] else { panic!("four classes") };
        assert_eq!((third.recall, fourth.precision, fourth.recall, fourth.f1), (None, None, None, None));
        let precision = third.precision.unwrap();
        assert_eq!((precision.mean, precision.sd, precision.new), (0.0, None, None), "of the one seed that has it");
        assert_eq!(third.f1.unwrap().mean, 0.0);
        // (5/6 + 6/6) / 2 and (5/6 + 5/6) / 2: over two classes, not four.
        assert!((a.balanced_accuracy.mean - (11.0 / 12.0 + 10.0 / 12.0) / 2.0).abs() < 1e-12);
        assert_eq!(first.recall.unwrap().new.is_some(), with_predictions);
    }
    assert_eq!(record.trials[0].test.as_ref().unwrap().occurring(), 2);
}

/// Of a class with few images or few answers, some draws have none: they say nothing of its figures, and not that they
/// are 0.
#[test]
fn draws_without_a_figure_do_not_count_as_zero() {
    use super::resample::{of_class, resample};
    let labels = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let said: Vec<Prediction> =
        labels.iter().map(|&label| Prediction { label, prediction: label, probability: 0.5 }).collect();
    let images = TestImages { labels, classes: 2, groups: None };
    let drawn = resample(&[vec![&said[..], &said[..]]], &images, 500);
    let variances = &drawn.recipes[0];
    for figure in [of_class(1), of_class(1) + 1, of_class(1) + 2] {
        assert_eq!((variances.images[figure], variances.luck[figure]), (0.0, 0.0), "always right, figure {figure}");
    }
}

#[test]
fn without_predictions_the_record_alone_speaks() {
    let (mut a, mut b) = (recipe("a", &[&[0]]), recipe("b", &[&[1, 5], &[2]]));
    a.1.clear();
    b.1.remove(&2);
    let comparison = checked(compared(&[a, b], None));
    let [a, b] = &comparison.recipes[..] else { panic!("two recipes") };
    assert!(a.accuracy.new.is_some() && a.balanced_accuracy.new.is_none(), "Wilson's interval needs only counts");
    assert!(b.accuracy.new.is_none() && b.accuracy.seeds.is_some());
    let pair = &comparison.pairs[0];
    assert!(pair.new_images.is_none() && pair.one_seed.is_none() && pair.verdict == Verdict::NotResolved);
    assert_eq!((comparison.images, comparison.resamples, comparison.shared_mistakes.len()), (12, 0, 0));
}

#[test]
fn busy_times_and_other_machines_are_left_out() {
    let mut a = recipe("a", &[&[0], &[1], &[2], &[3]]);
    let trials = &mut a.0.trials;
    (trials[0].train_time_s, trials[3].train_time_s) = (9.0, 3.0);
    trials[1].timing.busy = true;
    trials[2].environment.threads = 64;
    let time = compared(&[a], None).recipes[0].time.clone().unwrap();
    assert_eq!((time.seeds, time.left_out), (vec![1, 4], vec![2, 3]));
    assert_eq!((time.median_s, time.range_s), (6.0, Interval { low: 3.0, high: 9.0 }));
}

#[test]
fn times_are_compared_within_one_kind_of_machine() {
    let answers: [&[usize]; 3] = [&[0], &[1], &[2]];
    let mut recipes = ["a", "b", "c"].map(|name| recipe(name, &answers));
    let mut on = |recipe: usize, cpus: [&str; 3]| {
        for (trial, cpu) in recipes[recipe].0.trials.iter_mut().zip(cpus) {
            trial.environment.cpu = cpu.to_owned();
        }
    };
    // Most recipes have times from the old one, though most trials were run on the new one.
    on(0, ["new", "new", "old"]);
    on(1, ["new", "old", "new"]);
    on(2, ["old", "old", "older"]);
    let timed = |recipes: &[Recipe]| {
        let comparison = checked(compared(recipes, None));
        let seeds = |recipe: &RecipeStatistics| recipe.time.as_ref().map(|time| time.seeds.clone()).unwrap_or_default();
        (comparison.recipes.iter().map(seeds).collect::<Vec<_>>(), comparison.choice.unwrap().fastest)
    };
    let (seeds, fastest) = timed(&recipes);
    assert_eq!((seeds, fastest.as_deref()), (vec![vec![3], vec![2], vec![1, 2]], Some("a")));
    // One that has none from there keeps its own, and nothing is said of which is fastest.
    recipes[2].0.trials.iter_mut().for_each(|trial| trial.environment.cpu = "older".to_owned());
    let (seeds, fastest) = timed(&recipes);
    assert_eq!((seeds, fastest), (vec![vec![1, 2], vec![1, 3], vec![1, 2, 3]], None));
    // Nor where one has no time that counts.
    recipes[2].0.trials.iter_mut().for_each(|trial| trial.timing.busy = true);
    assert_eq!(timed(&recipes).1, None);
    assert_eq!(timed(&recipes[..2]).1.as_deref(), Some("a"));
}

#[test]
fn trainings_that_miss_the_target_are_censored() {
    let mut a = recipe("a", &[&[0], &[1], &[2], &[3], &[4]]);
    a.0.settings.target = Some(0.99);
    let ends = [Reason::Target, Reason::Limit, Reason::Diverged, Reason::Target, Reason::Interrupted];
    for (trial, (reason, epoch)) in a.0.trials.iter_mut().zip(ends.into_iter().zip([12, 20, 2, 15, 1])) {
        (trial.stopped.reason, trial.stopped.epoch) = (reason, epoch);
        trial.status = match reason {
            Reason::Diverged => Status::Diverged,
            Reason::Interrupted => Status::Interrupted,
            _ => Status::Finished,
        };
    }
    let recipe = &checked(compared(&[a], None)).recipes[0];
    assert_eq!((&recipe.seeds[..], &recipe.diverged[..]), (&[1, 2, 4][..], &[3][..]));
    let target = recipe.target.as_ref().unwrap();
    assert_eq!((target.reached, target.censored, target.median_epochs), (2, 2, Some(15.0)));
    let steps: Vec<_> = target.reached_by.iter().map(|step| (step.epoch, step.share)).collect();
    assert_eq!(steps, [(12, 0.25), (15, 0.5)]);
}

#[test]
fn the_same_trials_give_the_same_comparison() {
    let recipes = [recipe("a", &[&[0], &[1, 2]]), recipe("b", &[&[3], &[4, 5, 6]])];
    assert_eq!(compared(&recipes, None), compared(&recipes, None));
    let new = compared(&recipes, None).recipes[0].accuracy.new.unwrap();
    // Pinned: the draws are the same on every platform.
    assert_eq!((new.low, new.high), (0.21611169322074164, 0.9944051126281768));
}

/// For a mean over images the variance over draws has a closed form: the sum of squares of the writers' deviations.
#[test]
fn draws_have_the_variance_of_the_closed_form() {
    use super::resample::{ACCURACY, resample};

    let (a, b) = (recipe("a", &[&[0], &[1, 2], &[0, 7]]).1, recipe("b", &[&[3, 7]]).1);
    let said: Vec<Vec<&[Prediction]>> = [&a, &b].map(|r| r.values().map(Vec::as_slice).collect()).to_vec();
    let right = |said: &[&[Prediction]], n: usize| {
        said.iter().filter(|s| s[n].prediction == s[n].label).count() as f64 / said.len() as f64
    };
    for (writers, each) in [(None, 1), (Some((0..12).map(|n| n / 2).collect()), 2)] {
        let groups = writers.map(|of| Groups { of, are_writers: false });
        let images = TestImages { labels: LABELS.to_vec(), classes: 3, groups };
        let drawn = resample(&said, &images, 20_000);
        let (n, units) = (12.0, (12 / each) as f64);
        let closed = |value: &dyn Fn(usize) -> f64| {
            let mean = (0..12).map(value).sum::<f64>() / n;
            let unit = |first: usize| (first..first + each).map(|n| value(n) - mean).sum::<f64>().powi(2);
            (0..12).step_by(each).map(unit).sum::<f64>() / (n * n) * units / (units - 1.0)
        };
        let near = |what: &str, found: f64, expected: f64| {
            // The standard error of a variance of 20,000 draws is about one percent of it.
            assert!((found / expected - 1.0).abs() < 0.05, "{what}: {found}, expected {expected}");
        };
        near("a", drawn.recipes[0].images[ACCURACY], closed(&|n| right(&said[0], n)));
        near("b", drawn.recipes[1].images[ACCURACY], closed(&|n| right(&said[1], n)));
        near("a - b", drawn.differences[0][1], closed(&|n| right(&said[0], n) - right(&said[1], n)));
        assert_eq!(drawn.units as f64, units);
    }
}
