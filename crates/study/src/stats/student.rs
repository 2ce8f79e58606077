//! Student's t distribution and the interval of a mean.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::beta::beta_reg;

use super::moments::{mean, variance};
use crate::comparison::Interval;

/// The probability that |t| is larger, with `df` degrees of freedom.
pub(crate) fn two_sided_p(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    rounded(beta_reg(df / 2.0, 0.5, df / (df + t * t)))
}

/// What |t| exceeds with probability 1 - `level`, with `df` degrees of freedom; 0 < `level` < 1.
pub(crate) fn t_quantile(level: f64, df: f64) -> f64 {
    rounded(t_exceeded(1.0 - level, df))
}

/// What |t| exceeds with this probability, between 0 and 1, with `df` degrees of freedom; not rounded.
///
/// By halving, because the inverse that the library offers is off in the fifth digit for many degrees of freedom.
pub(super) fn t_exceeded(probability: f64, df: f64) -> f64 {
    let outside = |t: f64| beta_reg(df / 2.0, 0.5, df / (df + t * t));
    let (mut low, mut high) = (0.0, 1.0);
    while outside(high) > probability {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        *(if outside(middle) > probability { &mut low } else { &mut high }) = middle;
    }
    high
}

/// What the absolute value of a standard normal variable exceeds with probability 1 - `level`.
pub(crate) fn normal_quantile(level: f64) -> f64 {
    rounded(Normal::standard().inverse_cdf((1.0 + level) / 2.0))
}

/// Where the mean of many numbers like these lies; none of fewer than two.
pub(crate) fn mean_interval(numbers: &[f64], level: f64) -> Option<Interval> {
    let (mean, variance) = (mean(numbers)?, variance(numbers)?);
    let n = numbers.len() as f64;
    let half = t_quantile(level, n - 1.0) * (variance / n).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Ten digits of a number. The logarithms and powers behind it differ from platform to platform in the last bits; the
/// record is to be the same.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.9e}").parse().expect("a number that was written reads back")
}
