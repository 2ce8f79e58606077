//! The bootstrap over test images: how figures would differ on other images of the same kind.
//!
//! Images of one writer are alike, as are those of one patient or place: where such groups are known, they are drawn
//! instead, each with all of its images.
//! Every draw is the same for all trials of all recipes, which is what pairs them.
//!
//! Seeds are not drawn. A draw of both crosses images with seeds and counts three times what belongs to neither alone
//! (one network's luck with one image; Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007), and so
//! few seeds cannot be drawn from without losing (n - 1)/n of their variance. Instead the variance is put together of
//! its parts, as in an analysis of variance with two random factors:
//!
//! ```text
//! images    variance over draws of the mean over seeds, less the luck that it holds
//! seeds     s^2 / n over seeds on these images, which holds the luck too
//! luck      variance over draws of each seed's deviation from the mean, summed over seeds, / (n (n - 1))
//! ```
//!
//! A figure that a draw does not have, as recall of a class of which no image was drawn, does not count in that draw; a
//! seed that has none on these images, as precision of a class that it never predicts, does not count at all.
//!
//! The luck stays with the seeds and leaves the images, not the other way round: a difference of two uncertain numbers
//! is often negative where the seeds are few, and the images are many. The two parts go together as in
//! [`crate::stats::banerjee`]; the tests in `simulation.rs` show that intervals made of it cover as they say.

use tenfold_nn::rng::{Rng, Stream};

use super::TestImages;
use crate::trial::Prediction;

/// Accuracy, balanced accuracy, and for each class precision, recall and F1: the figures of a trial, in this order.
pub(super) fn figures(classes: usize) -> usize {
    2 + 3 * classes
}

pub(super) const ACCURACY: usize = 0;
pub(super) const BALANCED_ACCURACY: usize = 1;

/// Where the figures of a class begin.
pub(super) fn of_class(class: usize) -> usize {
    2 + 3 * class
}

/// What the draws say of one recipe.
#[derive(Clone, Default)]
pub(super) struct Variances {
    /// By figure: the variance over images of the mean over seeds.
    pub(super) images: Vec<f64>,
    /// By figure: the part of it, and of the variance of that mean over seeds, that is luck.
    pub(super) luck: Vec<f64>,
}

impl Variances {
    /// The images' part in the variance of the mean of a figure over seeds.
    pub(super) fn images_alone(&self, figure: usize) -> f64 {
        (self.images[figure] - self.luck[figure]).max(0.0)
    }
}

/// What the draws say of all recipes.
pub(super) struct Resampled {
    /// By recipe.
    pub(super) recipes: Vec<Variances>,
    /// By first and second recipe, the first before the second: the variance over images of the difference of their
    /// mean accuracies.
    pub(super) differences: Vec<Vec<f64>>,
    /// What was drawn from: writers or images.
    pub(super) units: usize,
}

/// Draws images (or writers) with replacement, `draws` times; `recipes` holds for each recipe what each of its seeds
/// said of each image. All have at least one seed, and there are at least two images.
pub(super) fn resample(recipes: &[Vec<&[Prediction]>], images: &TestImages, draws: usize) -> Resampled {
    let (classes, figures) = (images.classes, figures(images.classes));
    let (unit_of, units) = units(images);
    let mistakes = mistakes(recipes, &unit_of, classes);
    let trials = recipes.iter().map(Vec::len).sum::<usize>();

    let mut values = vec![0.0; trials * figures];
    let mut counts = Counts::new(trials, classes);
    let mut evaluate = |drawn: &[u32], values: &mut [f64]| {
        counts.count(drawn, &unit_of, &images.labels, &mistakes);
        counts.figures(values);
    };
    evaluate(&vec![1; units], &mut values);
    let observed = values.clone();

    let mut of_recipe: Vec<_> =
        recipes.iter().map(|_| (vec![Moments::default(); figures], vec![0.0; figures])).collect();
    let mut of_pair = vec![vec![Moments::default(); recipes.len()]; recipes.len()];
    let mut drawn = vec![0u32; units];
    let mut deviation = vec![0.0; recipes.len()];
    for draw in 0..draws {
        let rng = Rng::new(0, Stream::Bootstrap, draw as u64);
        drawn.fill(0);
        (0..units as u64).for_each(|n| drawn[rng.below_at(n, units as u32) as usize] += 1);
        evaluate(&drawn, &mut values);
        let mut first = 0;
        for (recipe, trials) in recipes.iter().enumerate() {
            let (moments, luck) = &mut of_recipe[recipe];
            for figure in 0..figures {
                let places = (first..first + trials.len()).map(|trial| trial * figures + figure);
                let known = places.filter(|&at| !observed[at].is_nan());
                let change = |at: usize| values[at] - observed[at];
                let mean = known.clone().map(change).sum::<f64>() / known.clone().count() as f64;
                if mean.is_nan() {
                    continue;
                }
                moments[figure].add(mean);
                luck[figure] += known.map(|at| (change(at) - mean) * (change(at) - mean)).sum::<f64>();
                if figure == ACCURACY {
                    deviation[recipe] = mean;
                }
            }
            first += trials.len();
        }
        for a in 0..recipes.len() {
            for b in 0..a {
                of_pair[b][a].add(deviation[b] - deviation[a]);
            }
        }
    }

    // A draw of n of n units has (n - 1)/n of the variance, and what is drawn from was itself drawn.
    let correction = units as f64 / (units as f64 - 1.0);
    let recipe = |n: usize| {
        let (moments, luck) = &of_recipe[n];
        let first: usize = recipes[..n].iter().map(Vec::len).sum();
        let luck = luck.iter().enumerate().map(|(figure, sum)| {
            let places = (first..first + recipes[n].len()).map(|trial| trial * figures + figure);
            let seeds = places.filter(|&at| !observed[at].is_nan()).count() as f64;
            let divisor = moments[figure].n * seeds * (seeds - 1.0).max(1.0);
            if divisor > 0.0 { sum * correction / divisor } else { 0.0 }
        });
        Variances {
            images: moments.iter().map(|moments| moments.variance() * correction).collect(),
            luck: luck.collect(),
        }
    };
    Resampled {
        recipes: (0..recipes.len()).map(recipe).collect(),
        differences: of_pair.iter().map(|row| row.iter().map(|m| m.variance() * correction).collect()).collect(),
        units,
    }
}

/// The unit of each image, numbered from 0, and how many units there are.
pub(crate) fn units(images: &TestImages) -> (Vec<u32>, usize) {
    let Some(groups) = &images.groups else {
        return ((0..images.labels.len() as u32).collect(), images.labels.len());
    };
    let mut numbers = groups.of.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let unit = |group: &u32| numbers.binary_search(group).expect("every group is among them") as u32;
    (groups.of.iter().map(unit).collect(), numbers.len())
}

/// How many groups there are.
pub(super) fn image_groups(images: &TestImages) -> Option<usize> {
    images.groups.as_ref().map(|_| units(images).1)
}

/// Wrong answers of one trial to images of one unit and class, with the same wrong class. Right ones follow from the
/// number of images, and most answers are right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mistakes {
    unit: u32,
    /// Trial times classes plus the true class.
    of: u32,
    /// Trial times classes plus the predicted class.
    as_: u32,
    count: u32,
}

fn mistakes(recipes: &[Vec<&[Prediction]>], unit_of: &[u32], classes: usize) -> Vec<Mistakes> {
    let mut all = Vec::new();
    for (trial, said) in recipes.iter().flatten().enumerate() {
        for (p, &unit) in said.iter().zip(unit_of).filter(|(p, _)| p.prediction != p.label) {
            let slot = |class: u16| (trial * classes + usize::from(class)) as u32;
            all.push(Mistakes { unit, of: slot(p.label), as_: slot(p.prediction), count: 1 });
        }
    }
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let same = (next.unit, next.of, next.as_) == (kept.unit, kept.of, kept.as_);
        kept.count += if same { next.count } else { 0 };
        same
    });
    all
}

/// The confusion of each trial on a draw, as far as the figures need it.
struct Counts {
    classes: usize,
    /// Images drawn, by class.
    support: Vec<u32>,
    /// Wrong answers by trial and true class.
    wrong: Vec<u32>,
    /// Wrong answers by trial and predicted class.
    wrongly_as: Vec<u32>,
}

impl Counts {
    fn new(trials: usize, classes: usize) -> Counts {
        let (wrong, wrongly_as) = (vec![0; trials * classes], vec![0; trials * classes]);
        Counts { classes, support: vec![0; classes], wrong, wrongly_as }
    }

    fn count(&mut self, drawn: &[u32], unit_of: &[u32], labels: &[u16], mistakes: &[Mistakes]) {
        self.support.fill(0);
        self.wrong.fill(0);
        self.wrongly_as.fill(0);
        for (&unit, &label) in unit_of.iter().zip(labels) {
            self.support[usize::from(label)] += drawn[unit as usize];
        }
        for m in mistakes {
            let times = drawn[m.unit as usize] * m.count;
            self.wrong[m.of as usize] += times;
            self.wrongly_as[m.as_ as usize] += times;
        }
    }

    /// `values` is `[trials][figures]`. A quotient 0/0 is no number, as everywhere.
    fn figures(&self, values: &mut [f64]) {
        let quotient = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        let images: u32 = self.support.iter().sum();
        let occurring = self.support.iter().filter(|&&support| support > 0).count().max(1) as f64;
        for (trial, values) in values.chunks_exact_mut(figures(self.classes)).enumerate() {
            let (mut all_right, mut recalls) = (0, 0.0);
            for class in 0..self.classes {
                let support = self.support[class];
                let right = support - self.wrong[trial * self.classes + class];
                let predicted = right + self.wrongly_as[trial * self.classes + class];
                let at = of_class(class);
                values[at] = quotient(right, predicted);
                values[at + 1] = quotient(right, support);
                values[at + 2] = quotient(2 * right, support + predicted);
                all_right += right;
                recalls += if support > 0 { values[at + 1] } else { 0.0 };
            }
            values[ACCURACY] = quotient(all_right, images);
            values[BALANCED_ACCURACY] = recalls / occurring;
        }
    }
}

/// Sums of numbers around 0 and of their squares.
#[derive(Clone, Copy, Default)]
struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, number: f64) {
        self.n += 1.0;
        self.sum += number;
        self.squares += number * number;
    }

    /// 0 of no numbers.
    fn variance(&self) -> f64 {
        if self.n == 0.0 {
            return 0.0;
        }
        ((self.squares - self.sum * self.sum / self.n) / (self.n - 1.0).max(1.0)).max(0.0)
    }
}
