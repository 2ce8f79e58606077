//! Kaplan and Meier's estimate of when something happens, from cases of which some were not watched until it did (JASA
//! 53, 1958).

/// A case that was watched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Case {
    /// How long. Infinite for one that is known never to get there.
    pub(crate) time: f64,
    /// Whether it happened at that time; otherwise it had not happened until then.
    pub(crate) reached: bool,
}

/// The share of cases in which it has happened, after each time at which it did.
pub(crate) fn kaplan_meier(cases: &[Case]) -> Vec<(f64, f64)> {
    let mut times: Vec<f64> = cases.iter().filter(|case| case.reached).map(|case| case.time).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut waiting = 1.0;
    let step = |time: f64| {
        // One that ends at this very time was still watched when it happened to others.
        let at_risk = cases.iter().filter(|case| case.time >= time).count();
        let now = cases.iter().filter(|case| case.reached && case.time == time).count();
        waiting *= (at_risk - now) as f64 / at_risk as f64;
        (time, 1.0 - waiting)
    };
    times.into_iter().map(step).collect()
}

/// The time by which it has happened in half of the cases; none if it has not.
pub(crate) fn median_time(cases: &[Case]) -> Option<f64> {
    // Rounding must not make a half less than one.
    kaplan_meier(cases).into_iter().find(|&(_, share)| share >= 0.5 - 1e-12).map(|(time, _)| time)
}
