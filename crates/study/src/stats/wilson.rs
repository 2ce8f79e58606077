//! Wilson's interval of a share (JASA 22, 1927): it stays within 0 to 1 and has a width where all are right.

use crate::comparison::Interval;

/// Where a share lies that was `share` of `n`; `quantile` is the normal or Student's quantile of the level. `n` may be
/// an effective number, so it need not be whole. Everything is possible of nothing.
pub(crate) fn wilson(share: f64, n: f64, quantile: f64) -> Interval {
    if n <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let q2 = quantile * quantile / n;
    let centre = (share + q2 / 2.0) / (1.0 + q2);
    let half = (share * (1.0 - share) * q2 + q2 * q2 / 4.0).sqrt() / (1.0 + q2);
    // At the ends the bound is exact; rounding must not move it.
    let low = if share <= 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if share >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Interval { low, high }
}
