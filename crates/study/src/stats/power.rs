//! How much more would be needed to see a difference with a probability of 80 %.

use super::student::{normal_quantile, t_quantile};

/// The probability with which a difference is to be found.
const POWER: f64 = 0.8;
/// More than this is not worth naming.
const MOST_SEEDS: u64 = 1_000_000;

/// About how many numbers of each group show `difference` at `level`, where the two groups have these variances: the
/// smallest n for which n differences^2 reach the sum of the variances times (t(level) + t(power))^2, with 2n - 2
/// degrees of freedom. At least 2; none if there is nothing to see, or a million would not do.
pub(crate) fn seeds_needed(difference: f64, variance_a: f64, variance_b: f64, level: f64) -> Option<u64> {
    let enough = |n: u64| {
        let df = (2 * n - 2) as f64;
        let both = t_quantile(level, df) + t_quantile(2.0 * POWER - 1.0, df);
        n as f64 * difference * difference >= both * both * (variance_a + variance_b)
    };
    if difference == 0.0 || !enough(MOST_SEEDS) {
        return None;
    }
    let (mut too_few, mut n) = (1, 2);
    while !enough(n) {
        (too_few, n) = (n, (n * 2).min(MOST_SEEDS));
    }
    while n - too_few > 1 {
        let middle = (too_few + n) / 2;
        *(if enough(middle) { &mut n } else { &mut too_few }) = middle;
    }
    Some(n)
}

/// The largest variance of a difference with which `difference` is found at `level`.
pub(crate) fn variance_allowed(difference: f64, level: f64) -> f64 {
    let both = normal_quantile(level) + normal_quantile(2.0 * POWER - 1.0);
    (difference / both) * (difference / both)
}
