//! A number with two independent errors of unknown variance.

use super::moments::variance;
use super::student::{rounded, t_exceeded, two_sided_p};
use crate::comparison::Interval;

/// An estimate of a variance, with its degrees of freedom.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct VarianceEstimate {
    pub(crate) variance: f64,
    pub(crate) df: f64,
}

impl VarianceEstimate {
    /// No variance at all.
    pub(crate) const NONE: VarianceEstimate = VarianceEstimate { variance: 0.0, df: 1.0 };

    /// That of the mean of these numbers; none of a single one.
    pub(crate) fn of_mean(numbers: &[f64]) -> Option<VarianceEstimate> {
        let n = numbers.len() as f64;
        variance(numbers).map(|variance| VarianceEstimate { variance: variance / n, df: n - 1.0 })
    }
}

/// A number that is known up to two independent errors.
///
/// Its interval reaches `sqrt(sum of t^2 variance)` to both sides, where each variance has Student's quantile of its
/// own degrees of freedom. It covers at least at its level, whatever the true variances: the probability is a concave
/// function of the estimates, and at the level where only one part counts (Banerjee, Sankhya 22, 1960). With one sum of
/// degrees of freedom for both, as Satterthwaite has it, a variance of two or three seeds that is small by chance goes
/// unnoticed, and of ten such pairs one is called different far too often (`simulation.rs`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct TwoErrors {
    pub(crate) value: f64,
    pub(crate) parts: [VarianceEstimate; 2],
}

/// A p-value below this is 0.
const LEAST: f64 = 1e-300;

impl TwoErrors {
    /// The square of half the interval, beyond which the value lies with probability `outside` at most.
    pub(crate) fn square(&self, outside: f64) -> f64 {
        let of = |part: &VarianceEstimate| {
            if part.variance > 0.0 { t_exceeded(outside, part.df).powi(2) * part.variance } else { 0.0 }
        };
        self.parts.iter().map(of).sum()
    }

    /// Where the number lies.
    pub(crate) fn interval(&self, level: f64) -> Interval {
        let half = rounded(self.square(1.0 - level).sqrt());
        Interval { low: self.value - half, high: self.value + half }
    }

    /// The p-value of "it is 0", two-sided: one less the level at which the interval ends at 0. Without any variance
    /// there is no doubt: 0 or 1.
    pub(crate) fn p(&self) -> f64 {
        if self.value == 0.0 {
            return 1.0;
        }
        // Above 0 where the interval holds 0; a number also where squares overflow.
        let excess = |log_p: f64| (self.square(log_p.exp()) / (self.value * self.value)).ln().min(1e3);
        if excess(LEAST.ln()) <= 0.0 {
            return 0.0;
        }
        // Between what it would be if all of the variance had the most, and the fewest, degrees of freedom.
        let parts = || self.parts.iter().filter(|part| part.variance > 0.0);
        let sd = parts().map(|part| part.variance).sum::<f64>().sqrt();
        let alone = |part: &VarianceEstimate| two_sided_p(self.value / sd, part.df);
        let (low, high) = parts().map(alone).fold((1.0, LEAST), |(low, high), p| (p.min(low), p.max(high)));
        rounded(zero(excess, low.max(LEAST).ln(), high.ln()).exp())
    }
}

/// Where the falling function `f` is 0, between `low` and `high`; one of these if it is 0 beyond. By regula falsi, in
/// which the value at an end that stays counts half (the Illinois rule).
fn zero(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let (mut at_low, mut at_high) = (f(low), f(high));
    if at_low <= 0.0 {
        return low;
    }
    let mut stayed = None;
    while at_high < 0.0 && high - low > 1e-12 {
        let middle = (low + (high - low) * at_low / (at_low - at_high)).clamp(low, high);
        let value = f(middle);
        let above = value > 0.0;
        if above {
            (low, at_low) = (middle, value);
            at_high /= if stayed == Some(above) { 2.0 } else { 1.0 };
        } else {
            (high, at_high) = (middle, value);
            at_low /= if stayed == Some(above) { 2.0 } else { 1.0 };
        }
        stayed = Some(above);
        if value.abs() < 1e-13 {
            return middle;
        }
    }
    high
}
