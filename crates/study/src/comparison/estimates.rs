//! What the trials of one recipe say.

use super::resample::{ACCURACY, BALANCED_ACCURACY, Variances, of_class};
use super::{ClassStatistics, Estimate, Interval, LEVEL};
use crate::metrics::{ClassMetrics, Metrics};
use crate::stats::banerjee::{TwoErrors, VarianceEstimate};
use crate::stats::moments::{mean, variance};
use crate::stats::student::{mean_interval, normal_quantile, t_quantile};
use crate::stats::wilson::wilson;

/// The figures of one recipe on the test images.
pub(super) struct Estimates<'a> {
    /// The metrics of each finished seed.
    pub(super) by_seed: Vec<&'a Metrics>,
    /// What the bootstrap says, and how many units it drew from; none where there are no predictions.
    pub(super) resampled: Option<(&'a Variances, usize)>,
}

impl Estimates<'_> {
    pub(super) fn accuracy(&self) -> Estimate {
        let images = self.by_seed.first().map_or(0.0, |m| examples(m));
        self.estimate(ACCURACY, |m| Some(m.accuracy), |_| images, true).unwrap_or(NOTHING)
    }

    pub(super) fn balanced_accuracy(&self) -> Estimate {
        self.estimate(BALANCED_ACCURACY, |m| Some(m.balanced_accuracy), examples, false).unwrap_or(NOTHING)
    }

    pub(super) fn class(&self, class: usize) -> ClassStatistics {
        let predicted = |m: &Metrics| m.confusion.iter().map(|row| row[class]).sum::<u64>() as f64;
        let support = |m: &Metrics| m.per_class[class].support as f64;
        let figure = |of: fn(&ClassMetrics) -> Option<f64>| move |m: &Metrics| of(&m.per_class[class]);
        let at = of_class(class);
        ClassStatistics {
            precision: self.estimate(at, figure(|c| c.precision), predicted, true),
            recall: self.estimate(at + 1, figure(|c| c.recall), support, true),
            f1: self.estimate(at + 2, figure(|c| c.f1), |m| (support(m) + predicted(m)) / 2.0, false),
        }
    }

    /// Over the seeds that have a value; none if no seed has. `of` is how many images the figure is a share of; unless
    /// it `is_share`, about how many it rests on.
    fn estimate(
        &self,
        figure: usize,
        value: impl Fn(&Metrics) -> Option<f64>,
        of: impl Fn(&Metrics) -> f64,
        is_share: bool,
    ) -> Option<Estimate> {
        let (values, images): (Vec<f64>, Vec<f64>) =
            self.by_seed.iter().filter_map(|m| Some((value(m)?, of(m)))).unzip();
        let n = mean(&images)?;
        let estimate = over_seeds(&values);
        let only_network = self.by_seed.len() == 1;
        let new = match self.resampled {
            _ if n <= 0.0 => None,
            // One seed of several that has a value says nothing of new ones.
            _ if values.len() == 1 && !only_network => None,
            Some((variances, units)) => Some(share_interval(estimate.mean, n, variances, units, figure, &values)),
            None if is_share && only_network => Some(wilson(estimate.mean, n, normal_quantile(LEVEL))),
            None => None,
        };
        Some(Estimate { new, ..estimate })
    }
}

/// What is said without a trial, which does not happen.
const NOTHING: Estimate = Estimate { mean: 0.0, sd: None, seeds: None, new: None };

/// Validation accuracy, of which only the figures are known: with one seed, Wilson's interval over the images.
pub(super) fn validation(by_seed: &[&Metrics]) -> Estimate {
    let values: Vec<f64> = by_seed.iter().map(|m| m.accuracy).collect();
    let new = match by_seed {
        [one] => Some(wilson(one.accuracy, examples(one), normal_quantile(LEVEL))),
        _ => None,
    };
    Estimate { new, ..over_seeds(&values) }
}

/// Of figures between 0 and 1, none of which Student's interval knows: of two seeds it may reach beyond both.
fn over_seeds(values: &[f64]) -> Estimate {
    Estimate {
        mean: mean(values).unwrap_or(0.0),
        sd: variance(values).map(f64::sqrt),
        seeds: mean_interval(values, LEVEL).map(Interval::of_share),
        new: None,
    }
}

/// Examples that a trial was measured on.
pub(super) fn examples(metrics: &Metrics) -> f64 {
    metrics.per_class.iter().map(|class| class.support).sum::<u64>() as f64
}

/// Where a figure between 0 and 1 lies for new seeds and new images: Wilson's interval of as many images as would give
/// its width, with Student's quantile, as is done for shares in surveys (Korn and Graubard, Survey Methodology 24,
/// 1998; Dean and Pagano, Journal of Survey Statistics and Methodology 3, 2015). Never narrower than if each of the
/// `n` images counted for itself: where all are right, the bootstrap sees no variance.
fn share_interval(share: f64, n: f64, variances: &Variances, units: usize, figure: usize, values: &[f64]) -> Interval {
    let images = VarianceEstimate { variance: variances.images_alone(figure), df: units as f64 - 1.0 };
    let seeds = VarianceEstimate::of_mean(values).unwrap_or(VarianceEstimate::NONE);
    let total = TwoErrors { value: share, parts: [images, seeds] };
    let quantile = t_quantile(LEVEL, images.df);
    let effective = share * (1.0 - share) * quantile * quantile / total.square(1.0 - LEVEL);
    // Also where nothing varies, which makes it infinite or no number.
    let effective = if effective > 0.0 { effective.min(n) } else { n };
    wilson(share, effective, quantile)
}
