//! How often one beats the other.

/// The share of pairs in which the number of `a` is the larger, a tie counting half: Mann and Whitney's U over the
/// number of pairs. Half where there is none.
pub(crate) fn beats(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.len() * b.len();
    if pairs == 0 {
        return 0.5;
    }
    let halves: u64 = a.iter().flat_map(|x| b.iter().map(move |y| u64::from(x > y) + u64::from(x >= y))).sum();
    halves as f64 / (2 * pairs) as f64
}
