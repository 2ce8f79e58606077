//! McNemar's exact test of two classifiers on the same examples.

use statrs::function::beta::beta_reg;

use super::student::rounded;

/// The two-sided p-value of "each is as likely as the other to be the one that is right", where `only_first` times the
/// first alone was right and `only_second` times the second: twice the smaller tail of the binomial distribution.
pub(crate) fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let (fewer, more) = (only_first.min(only_second), only_first.max(only_second));
    if fewer == more {
        return 1.0;
    }
    // P(X <= k) of n fair coins is the regularized incomplete beta function I(1/2; n - k, k + 1).
    let tail = beta_reg(more as f64, fewer as f64 + 1.0, 0.5);
    rounded((2.0 * tail).min(1.0))
}
