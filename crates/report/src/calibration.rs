//! Words on whether probabilities mean what they say, and whether a temperature helps. They follow from the numbers
//! beside them, and say no more.

use tenfold_study::calibration::Reliability;

use crate::format::percent;

/// `0.47% (0.31 to 0.72)`: a calibration error with its interval.
pub fn error(of: &Reliability) -> String {
    let error = percent(of.calibration.error);
    of.calibration.interval.map_or(error.clone(), |interval| {
        format!("{error} ({:.2} to {:.2})", 100.0 * interval.low, 100.0 * interval.high)
    })
}

/// How far probabilities are from meaning what they say, and what the temperature makes of that, on the same images;
/// `None` where there is no temperature. Without a full stop.
pub fn sentence(plain: &Reliability, calibrated: Option<&Reliability>) -> String {
    let (before, of) = (error(plain), &plain.calibration);
    let beside = if of.may_be_chance() {
        format!("no more than a calibrated network may show by chance (on average {})", percent(of.by_chance))
    } else {
        format!("more than chance makes of a calibrated network ({})", percent(of.by_chance))
    };
    let Some(calibrated) = calibrated else {
        return format!("the calibration error is {before}, {beside}; there is no temperature to divide by");
    };
    format!(
        "the calibration error is {before}, {beside}; with the temperature it is {}: {}",
        error(calibrated),
        verdict(plain, calibrated)
    )
}

fn verdict(plain: &Reliability, calibrated: &Reliability) -> &'static str {
    let (before, after) = (&plain.calibration, &calibrated.calibration);
    let apart = before.interval.zip(after.interval).is_some_and(|(before, after)| after.high < before.low);
    match (before.may_be_chance(), after.may_be_chance()) {
        (true, true) => "nothing shows that it is needed, or that it harms",
        (true, false) => "more than chance would make of it, so it is better left out",
        (false, _) if after.error >= before.error => "that is not smaller, so it does not help here",
        (false, true) => "it helps, and what is left may be chance",
        (false, false) if apart => "it helps, and does not mend all",
        (false, false) => "smaller, but the two intervals overlap, so this does not show that it helps",
    }
}

#[cfg(test)]
mod tests {
    use tenfold_study::calibration::Calibration;
    use tenfold_study::comparison::Interval;

    use super::*;

    fn of(error: f64, low: f64, high: f64) -> Reliability {
        let calibration = Calibration { error, interval: Some(Interval { low, high }), by_chance: 0.004, bins: vec![] };
        Reliability { loss: Some(0.1), calibration }
    }

    #[test]
    fn words_follow_from_the_numbers() {
        let bad = of(0.03, 0.02, 0.04);
        assert_eq!(
            sentence(&bad, Some(&of(0.005, 0.0, 0.01))),
            "the calibration error is 3.00% (2.00 to 4.00), more than chance makes of a calibrated network (0.40%); with \
             the temperature it is 0.50% (0.00 to 1.00): it helps, and what is left may be chance"
        );
        for (before, after, words) in [
            (&bad, of(0.012, 0.01, 0.015), "it helps, and does not mend all"),
            (&bad, of(0.025, 0.015, 0.03), "overlap, so this does not show that it helps"),
            (&bad, of(0.03, 0.02, 0.04), "so it does not help here"),
            (&bad, of(0.05, 0.0, 0.1), "so it does not help here"),
            (&of(0.005, 0.0, 0.01), of(0.004, 0.0, 0.01), "nothing shows that it is needed"),
            (&of(0.005, 0.0, 0.01), of(0.03, 0.02, 0.04), "it is better left out"),
        ] {
            let said = sentence(before, Some(&after));
            assert!(said.contains(words), "{said}");
            assert_eq!(said.contains("no more than a calibrated"), before.calibration.may_be_chance(), "{said}");
        }
        let mut alone = of(0.25, 0.0, 0.0);
        alone.calibration.interval = None;
        assert!(sentence(&alone, None).starts_with("the calibration error is 25.00%, no more than"));
    }
}
