//! Welch's t-test: the difference of two means whose variances may differ (Biometrika 34, 1947).

use super::banerjee::VarianceEstimate;
use super::moments::mean;
use super::student::{t_quantile, two_sided_p};
use crate::comparison::Interval;

/// A difference that is known up to a variance, which is known with so many degrees of freedom.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Difference {
    pub(crate) difference: f64,
    pub(crate) variance: f64,
    pub(crate) df: f64,
}

impl Difference {
    /// A variance that is the sum of independent estimates, each with its degrees of freedom, has about this many
    /// itself (Satterthwaite, Biometrics Bulletin 2, 1946).
    fn new(difference: f64, parts: [VarianceEstimate; 2]) -> Difference {
        let variance: f64 = parts.iter().map(|part| part.variance).sum();
        // In shares of the whole, so that the squares of tiny variances do not vanish.
        let share = |part: &VarianceEstimate| part.variance / variance;
        let inverse: f64 = parts.iter().map(|part| share(part) * share(part) / part.df).sum();
        let least = parts.iter().map(|part| part.df).fold(f64::INFINITY, f64::min);
        let df = if variance > 0.0 { 1.0 / inverse } else { least };
        Difference { difference, variance, df }
    }

    /// Where the difference lies.
    pub(crate) fn interval(&self, level: f64) -> Interval {
        let half = t_quantile(level, self.df) * self.variance.sqrt();
        Interval { low: self.difference - half, high: self.difference + half }
    }

    /// The p-value of "there is none", two-sided. Without any variance there is no doubt: 0 or 1.
    pub(crate) fn p(&self) -> f64 {
        if self.difference == 0.0 {
            return 1.0;
        }
        two_sided_p(self.difference / self.variance.sqrt(), self.df)
    }
}

/// The mean of `a` minus that of `b`; none unless both have two numbers.
pub(crate) fn welch(a: &[f64], b: &[f64]) -> Option<Difference> {
    Some(Difference::new(mean(a)? - mean(b)?, [VarianceEstimate::of_mean(a)?, VarianceEstimate::of_mean(b)?]))
}
