//! "Did you mean": the known name that is nearest to what was typed.

/// The candidate that is a few typing mistakes away from `typed`, if there is one.
///
/// One mistake is allowed for every three letters, and at least one.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time and memory in the product of the lengths; nothing this long is a typing mistake.
    if typed.len() > 100 {
        return None;
    }
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["softmax", "mlp", "cnn1", "cnn2", "epochs", "batch_size"];
        for (typed, expected) in [
            ("sofmax", Some("softmax")),
            ("SOFTMAX", Some("softmax")),
            ("epoch", Some("epochs")),
            ("batchsize", Some("batch_size")),
            ("mpl", Some("mlp")),
            ("transformer", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
        assert_eq!(nearest(&"softmax".repeat(100_000), names), None);
    }
}
