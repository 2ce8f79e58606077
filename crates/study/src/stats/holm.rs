//! Holm's adjustment for several tests (Scandinavian Journal of Statistics 6, 1979).

/// The p-values adjusted: each that is below the level may be called significant, and the probability that any of the
/// true hypotheses is called false stays below the level, whatever the tests have to do with each other.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &n) in order.iter().enumerate() {
        largest = largest.max(p_values[n] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[n] = largest;
    }
    adjusted
}
