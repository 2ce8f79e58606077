//! Mean, variance and median.

/// The sum, with Neumaier's compensation: its error does not grow with the number of terms.
fn sum(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for number in numbers {
        let next = sum + number;
        lost += if sum.abs() >= number.abs() { (sum - next) + number } else { (number - next) + sum };
        sum = next;
    }
    sum + lost
}

/// The mean; none of no numbers.
pub(crate) fn mean(numbers: &[f64]) -> Option<f64> {
    let first = *numbers.first()?;
    // Of equal numbers it is that number, to the last bit, and their variance is 0.
    if numbers.iter().all(|&number| number == first) {
        return Some(first);
    }
    Some(sum(numbers.iter().copied()) / numbers.len() as f64)
}

/// The variance with n - 1; none of fewer than two numbers.
pub(crate) fn variance(numbers: &[f64]) -> Option<f64> {
    if numbers.len() < 2 {
        return None;
    }
    let mean = mean(numbers)?;
    // Around the mean, not as a difference of squares, which would cancel for accuracies close together.
    Some(sum(numbers.iter().map(|number| (number - mean) * (number - mean))) / (numbers.len() - 1) as f64)
}

/// The middle number, or the mean of the two in the middle; none of no numbers.
pub(crate) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[half - 1] + upper) / 2.0) }
}
