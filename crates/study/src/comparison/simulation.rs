//! Many studies of made-up recipes: intervals cover at their rate, and verdicts err no more often than they may.
//!
//! A network is right on an image if `skill + seed + image + writer + luck > 0`. What a recipe has of its own on an
//! image or with a writer differs from recipe to recipe, so that two recipes that are equally good on average over all
//! images differ on some of them: that is what "no difference for new images" means.

use std::collections::BTreeMap;

use tenfold_nn::rng::{Rng, Stream};

use super::compare::{Groups, RecipeTrials, TestImages, compare_with};
use super::{Comparison, MARGIN, Verdict};
use crate::metrics::Metrics;
use crate::record::{RecipeRecord, TrialRecord};
use crate::testing::{recipe_record, trial_record};
use crate::trial::Prediction;

/// A kind of study.
#[derive(Clone, Copy, Debug)]
struct World {
    recipes: usize,
    seeds: usize,
    /// 0 where writers are not known.
    writers: usize,
    /// The spread of the seeds' skill.
    seed_sd: f64,
    /// Whether recipes differ on images and writers; otherwise only by seeds and luck.
    own_images: bool,
}

const IMAGES: usize = 600;
const SKILL: f64 = 2.2;
const RESAMPLES: usize = 200;

/// One study of recipes that are equally good.
fn study(world: World, number: u64) -> Comparison {
    let rng = Rng::new(number, Stream::Init, 1 + world.seeds as u64);
    let mut next = 0;
    let mut normal = || {
        next += 1;
        f64::from(rng.normal_at(next))
    };
    let writers: Vec<u32> = (0..IMAGES).map(|n| (n * world.writers / IMAGES) as u32).collect();
    let mut field = |image_sd: f64, writer_sd: f64| -> Vec<f64> {
        let of_writer: Vec<f64> = (0..world.writers.max(1)).map(|_| normal() * writer_sd).collect();
        let clustered = world.writers > 0;
        writers.iter().map(|&w| normal() * image_sd + if clustered { of_writer[w as usize] } else { 0.0 }).collect()
    };
    let hardness = field(HARDNESS_SD, HARDNESS_SD);
    let own: Vec<Vec<f64>> = (0..world.recipes).map(|_| field(OWN_SD, OWN_SD)).collect();
    let labels = vec![0u16; IMAGES];
    let mut records: Vec<(RecipeRecord, BTreeMap<u64, Vec<Prediction>>)> = Vec::new();
    for (recipe, own) in own.iter().enumerate() {
        let name = format!("recipe {recipe}");
        let (mut trials, mut predictions) = (Vec::<TrialRecord>::new(), BTreeMap::new());
        for seed in 1..=world.seeds as u64 {
            let shift = SKILL + normal() * world.seed_sd;
            let said: Vec<Prediction> = (0..IMAGES)
                .map(|n| {
                    let margin = shift + hardness[n] + if world.own_images { own[n] } else { 0.0 } + normal() * LUCK_SD;
                    Prediction { label: 0, prediction: u16::from(margin <= 0.0), probability: 0.5 }
                })
                .collect();
            let answers: Vec<u16> = said.iter().map(|p| p.prediction).collect();
            trials.push(trial_record(&name, seed, Metrics::new(&labels, &answers, 2, 0.5)));
            predictions.insert(seed, said);
        }
        records.push((recipe_record(&name, trials), predictions));
    }
    let recipes: Vec<RecipeTrials> = records
        .iter()
        .map(|(record, predictions)| RecipeTrials {
            name: record.name.clone(),
            record,
            predictions: predictions.clone(),
        })
        .collect();
    let groups = (world.writers > 0).then_some(Groups { of: writers, are_writers: true });
    compare_with(&recipes, &TestImages { labels, classes: 2, groups }, MARGIN, RESAMPLES)
}

const HARDNESS_SD: f64 = 0.8;
const OWN_SD: f64 = 0.4;
const LUCK_SD: f64 = 0.5;

/// The mean accuracy over everything: the margin is normal.
fn true_accuracy(world: World) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    let clustered = if world.writers > 0 { 2.0 } else { 1.0 };
    let own = if world.own_images { OWN_SD * OWN_SD } else { 0.0 };
    let variance = world.seed_sd * world.seed_sd + LUCK_SD * LUCK_SD + clustered * (HARDNESS_SD * HARDNESS_SD + own);
    Normal::standard().cdf(SKILL / variance.sqrt())
}

/// The most times out of `n` that something of this probability happens, but for one test in a thousand or so.
fn at_most(n: usize, probability: f64) -> usize {
    let n = n as f64;
    (n * probability + 3.0 * (n * probability * (1.0 - probability)).sqrt()).floor() as usize
}

#[test]
fn intervals_cover_and_verdicts_keep_their_level() {
    const STUDIES: usize = 150;
    for writers in [0, 40] {
        for seeds in [1, 2, 3, 4, 5, 10] {
            for seed_sd in [0.0, 0.2] {
                let world = World { recipes: 2, seeds, writers, seed_sd, own_images: true };
                let truth = true_accuracy(world);
                let (mut better, mut missed, mut accuracy_missed, mut equivalent) = (0, 0, 0, 0);
                for number in 0..STUDIES {
                    let comparison = study(world, number as u64);
                    let pair = &comparison.pairs[0];
                    let misses = |low: f64, high: f64, truth: f64| usize::from(truth < low || high < truth);
                    better += usize::from(pair.verdict == Verdict::Better);
                    equivalent += usize::from(pair.verdict == Verdict::EquivalentWithinTheMargin);
                    missed += pair.new_images.map_or(0, |test| misses(test.interval.low, test.interval.high, 0.0));
                    if let (Some(test), Some(interval)) = (pair.new_images, pair.new_images.map(|t| t.interval)) {
                        let outside = interval.low > 0.0 || interval.high < 0.0;
                        assert!(outside == (test.p < 0.05), "{world:?} {number}: {test:?} disagrees with itself");
                    }
                    if seeds > 1 {
                        let new = comparison.recipes[0].accuracy.new.expect("there are predictions");
                        accuracy_missed += misses(new.low, new.high, truth);
                    }
                }
                let most = at_most(STUDIES, 0.05);
                assert!(better <= most, "{world:?}: {better} of {STUDIES} are called better");
                assert!(missed <= most, "{world:?}: {missed} of {STUDIES} intervals of a difference miss it");
                assert!(
                    accuracy_missed <= most,
                    "{world:?}: {accuracy_missed} of {STUDIES} intervals of accuracy miss it"
                );
                assert!(equivalent <= STUDIES / 20, "{world:?}: so few images cannot show equivalence");
                assert!(seeds > 1 || better == 0, "one seed says nothing of a recipe");
            }
        }
    }
}

/// Of many pairs together: a study in which anything is called better though nothing is, is one that errs.
#[test]
fn of_many_recipes_hardly_a_study_calls_any_better() {
    const STUDIES: usize = 150;
    for (own_images, writers, seeds, seed_sd) in [
        // With few seeds of much spread, two are often close by chance.
        (true, 0, 2, 0.4),
        (true, 0, 3, 0.2),
        (true, 40, 2, 0.4),
        (true, 40, 5, 0.2),
        (false, 0, 5, 0.2),
        (false, 40, 3, 0.2),
        (false, 0, 1, 0.0),
    ] {
        let world = World { recipes: 5, seeds, writers, seed_sd, own_images };
        let errs = |number| {
            let wrong = |verdict| match verdict {
                Verdict::Better => true,
                Verdict::BetterOnTheseImagesOnly | Verdict::NetworkBetter => !own_images,
                Verdict::EquivalentWithinTheMargin
                | Verdict::NetworkEquivalentWithinTheMargin
                | Verdict::NotResolved => false,
            };
            study(world, number as u64).pairs.iter().any(|pair| wrong(pair.verdict))
        };
        let erring = (0..STUDIES).filter(|&number| errs(number)).count();
        assert!(erring <= at_most(STUDIES, 0.05), "{world:?}: {erring} of {STUDIES} studies err");
    }
}

/// On these images two recipes are equal if only seeds and luck tell their trials apart. With one seed each, the
/// verdict is about two networks, which are equal if only luck does.
#[test]
fn better_on_these_images_only_and_better_network_keep_their_level() {
    const STUDIES: usize = 150;
    for writers in [0, 40] {
        for seeds in [1, 2, 3, 4, 5, 10] {
            for seed_sd in [0.0, 0.2] {
                if seeds == 1 && seed_sd > 0.0 {
                    continue;
                }
                let world = World { recipes: 2, seeds, writers, seed_sd, own_images: false };
                let verdicts: Vec<Verdict> =
                    (0..STUDIES).map(|number| study(world, number as u64).pairs[0].verdict).collect();
                let count = |verdict| verdicts.iter().filter(|&&v| v == verdict).count();
                let (only, better) = (count(Verdict::BetterOnTheseImagesOnly), count(Verdict::Better));
                let network = count(Verdict::NetworkBetter);
                assert!(network == 0 || seeds == 1, "{world:?}: of networks only with one seed each");
                assert!(
                    only + better + network <= at_most(STUDIES, 0.05),
                    "{world:?}: {only}, {better} and {network} of {STUDIES}"
                );
            }
        }
    }
}
