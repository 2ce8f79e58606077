//! Two recipes against each other, and the verdict.
//!
//! With one seed of either recipe nothing is known of its other seeds, and no verdict is given on the recipes. With one
//! seed each, the two *networks* can be compared. If McNemar's test tells them apart, and so does the bootstrap over
//! writers, which McNemar knows nothing of, one is the better network: on these images and for new ones. It is never
//! said that the recipe is better, because another seed could turn it round.
//!
//! A verdict can be checked against the numbers that are shown beside it (`agreement.rs`): what is shown to be within
//! the margin is equivalent, because that counts as no difference, however surely it is not 0; otherwise one is better
//! if all p-values that there are, adjusted, say so.

use super::{Interval, LEVEL, McNemar, PairStatistics, Test, Verdict};
use crate::stats::banerjee::{TwoErrors, VarianceEstimate};
use crate::stats::beats::beats;
use crate::stats::holm::holm;
use crate::stats::mcnemar::mcnemar;
use crate::stats::moments::{mean, variance};
use crate::stats::power::{seeds_needed, variance_allowed};
use crate::stats::welch::{Difference, welch};
use crate::trial::Prediction;

/// The fewest seeds of each recipe that are tested on these images: of fewer, a p-value would be show.
const FEWEST_SEEDS: usize = 5;

/// What is compared of a recipe.
pub(super) struct Side<'a> {
    pub(super) name: &'a str,
    /// Test accuracy of each seed.
    pub(super) accuracies: &'a [f64],
    /// What its only seed said, if it has only one.
    pub(super) only_seed: Option<&'a [Prediction]>,
    /// The part of the variance of its mean accuracy, over seeds as over images, that is luck; 0 without predictions.
    pub(super) luck: f64,
}

/// The images' part in a difference.
pub(super) struct ImagePart {
    /// The variance that other images would give it.
    pub(super) variance: f64,
    /// What was drawn from: writers or images.
    pub(super) units: usize,
    pub(super) images: usize,
}

impl ImagePart {
    /// The variance without the luck, which the seeds' part holds. Two networks that answer alike on n images may still
    /// differ on one of many others: it is at least that of one image on which they differ, as Agresti and Min add one
    /// to the counts of both (Statistics in Medicine 24, 2005).
    fn alone(&self, [first, second]: [&Side; 2]) -> f64 {
        (self.variance - first.luck - second.luck).max(self.least())
    }

    fn least(&self) -> f64 {
        1.0 / (self.images as f64 * self.images as f64)
    }
}

/// All that is known of a pair before the tests are adjusted for one another.
struct Pair<'a> {
    first: &'a Side<'a>,
    second: &'a Side<'a>,
    difference: f64,
    images: Option<ImagePart>,
    these: Option<Difference>,
    new: Option<TwoErrors>,
    /// Images that only the first and only the second network gets right, and their difference for new images.
    networks: Option<(u64, u64, TwoErrors)>,
}

/// Every pair: first with second, first with third, and so on. `images` gives the images' part in the difference of the
/// means of two recipes, where both have predictions.
pub(super) fn pairs(
    sides: &[Side],
    images: impl Fn(usize, usize) -> Option<ImagePart>,
    margin: f64,
) -> Vec<PairStatistics> {
    let mut all: Vec<Pair> = Vec::new();
    for (a, first) in sides.iter().enumerate() {
        for (b, second) in sides.iter().enumerate().skip(a + 1) {
            all.push(pair(first, second, images(a, b)));
        }
    }
    let level = 1.0 - (1.0 - LEVEL) / all.len().max(1) as f64;
    let these = adjusted(&all, |pair| pair.these.map(|test| test.p()));
    let new = adjusted(&all, |pair| pair.new.map(|test| test.p()));
    let mcnemars = adjusted(&all, |pair| pair.networks.map(|(first, second, _)| mcnemar(first, second)));
    let clustered = adjusted(&all, |pair| pair.networks.map(|(_, _, difference)| difference.p()));
    let statistics = all.iter().enumerate().map(|(n, pair)| {
        let these_images = pair.these.zip(these[n]);
        let new_images = pair.new.zip(new[n]);
        let of_networks = pair.networks.map(|(.., difference)| difference);
        let equivalence = pair.new.or(of_networks).map(|new| new.interval(1.0 - 2.0 * (1.0 - LEVEL)));
        let equivalent = equivalence.is_some_and(|Interval { low, high }| -margin <= low && high <= margin);
        let shown = |p: Option<f64>| p.is_some_and(|p| p < 1.0 - LEVEL);
        let verdict = if pair.networks.is_some() {
            match shown(mcnemars[n]) && shown(clustered[n]) {
                _ if equivalent => Verdict::NetworkEquivalentWithinTheMargin,
                true => Verdict::NetworkBetter,
                false => Verdict::NotResolved,
            }
        } else if equivalent {
            Verdict::EquivalentWithinTheMargin
        } else if shown(new[n]) && (these[n].is_none() || shown(these[n])) {
            Verdict::Better
        } else if shown(these[n]) {
            Verdict::BetterOnTheseImagesOnly
        } else {
            Verdict::NotResolved
        };
        let better = if pair.difference > 0.0 { pair.first.name } else { pair.second.name };
        let sought = pair.difference.abs().max(margin);
        let open = verdict == Verdict::NotResolved;
        PairStatistics {
            first: pair.first.name.to_owned(),
            second: pair.second.name.to_owned(),
            difference: pair.difference,
            these_images: these_images.map(|(of, p_holm)| Test { interval: of.interval(LEVEL), p: of.p(), p_holm }),
            new_images: new_images.map(|(of, p_holm)| Test { interval: of.interval(LEVEL), p: of.p(), p_holm }),
            one_seed: pair.networks.zip(mcnemars[n]).map(|((only_first, only_second, difference), p_holm)| McNemar {
                only_first,
                only_second,
                p: mcnemar(only_first, only_second),
                p_holm,
                new_images_p: Some(difference.p()),
                new_images_p_holm: clustered[n],
                interval: Some(difference.interval(LEVEL)),
            }),
            first_beats_second: beats(pair.first.accuracies, pair.second.accuracies),
            equivalence,
            verdict,
            better: verdict.favours_one().then(|| better.to_owned()),
            more_seeds: if open { more_seeds(pair, sought, level) } else { None },
            more_images: match verdict {
                Verdict::NotResolved | Verdict::BetterOnTheseImagesOnly => more_images(pair, sought, level),
                Verdict::Better
                | Verdict::EquivalentWithinTheMargin
                | Verdict::NetworkBetter
                | Verdict::NetworkEquivalentWithinTheMargin => None,
            },
        }
    });
    statistics.collect()
}

fn pair<'a>(first: &'a Side, second: &'a Side, images: Option<ImagePart>) -> Pair<'a> {
    let sides = [first, second];
    let of = |side: &Side| mean(side.accuracies).unwrap_or(0.0);
    let difference = of(first) - of(second);
    let [a, b] = sides.map(|side| side.accuracies.len());
    let fewer = a.min(b);
    let image_part =
        images.as_ref().map(|part| VarianceEstimate { variance: part.alone(sides), df: part.units as f64 - 1.0 });
    let new = || {
        let Difference { variance, df, .. } = welch(first.accuracies, second.accuracies)?;
        // Welch's sum of degrees of freedom holds for as many seeds of both. Two that are close by chance beside ten
        // others would go unnoticed: then the fewer decide.
        let df = if a == b { df } else { (fewer - 1) as f64 };
        Some(TwoErrors { value: difference, parts: [image_part?, VarianceEstimate { variance, df }] })
    };
    let networks = || {
        let (a, b) = (first.only_seed?, second.only_seed?);
        let right = |p: &Prediction| p.prediction == p.label;
        let only =
            |x: &[Prediction], y: &[Prediction]| x.iter().zip(y).filter(|(x, y)| right(x) && !right(y)).count() as u64;
        Some((only(a, b), only(b, a), TwoErrors { value: difference, parts: [image_part?, VarianceEstimate::NONE] }))
    };
    Pair {
        first,
        second,
        difference,
        these: if fewer >= FEWEST_SEEDS { welch(first.accuracies, second.accuracies) } else { None },
        new: if fewer >= 2 { new() } else { None },
        networks: networks(),
        images,
    }
}

/// After Holm, over all pairs; none for a pair that has no such test.
fn adjusted(all: &[Pair], p: impl Fn(&Pair) -> Option<f64>) -> Vec<Option<f64>> {
    let p_values: Vec<Option<f64>> = all.iter().map(p).collect();
    // A pair that is not tested is a hypothesis too: it counts as one that nothing speaks against.
    let adjusted = holm(&p_values.iter().map(|p| p.unwrap_or(1.0)).collect::<Vec<_>>());
    p_values.into_iter().zip(adjusted).map(|(p, adjusted)| p.map(|_| adjusted)).collect()
}

fn more_seeds(pair: &Pair, sought: f64, level: f64) -> Option<u64> {
    let (a, b) = (pair.first.accuracies, pair.second.accuracies);
    let needed = seeds_needed(sought, variance(a)?, variance(b)?, level)?;
    // As many as a test on these images takes at all.
    let more = needed.max(FEWEST_SEEDS as u64).saturating_sub(a.len().min(b.len()) as u64);
    (more > 0).then_some(more)
}

/// With the seeds as they are: none if even all images that there could be would not do.
fn more_images(pair: &Pair, sought: f64, level: f64) -> Option<u64> {
    let part = pair.images.as_ref()?;
    let seeds = if pair.networks.is_some() {
        0.0
    } else {
        let [_, seeds] = pair.new?.parts;
        (seeds.variance - pair.first.luck - pair.second.luck).max(0.0)
    };
    let left = variance_allowed(sought, level) - seeds;
    // Twice as many images, by twice as many writers, halve the variance.
    let needed = part.images as f64 * part.variance.max(part.least()) / left;
    let more = (needed - part.images as f64).ceil();
    (left > 0.0 && (1.0..1e12).contains(&more)).then_some(more as u64)
}
