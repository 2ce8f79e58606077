//! How long a study will still take.

/// A trial that is not finished.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Pending {
    recipe: usize,
    epochs: usize,
}

/// Estimates the remaining time from the epochs that were seen.
///
/// A recipe whose epochs were timed takes its own mean; for the others the time is that of the probe, corrected by how
/// far the probe was off for those that were timed.
#[derive(Debug)]
pub(crate) struct Remaining {
    /// Seconds of one epoch of each recipe as the probe saw it, where it did.
    probed: Vec<Option<f64>>,
    /// Seconds and number of the epochs seen of each recipe.
    seen: Vec<(f64, f64)>,
    pending: Vec<Pending>,
    /// Epochs that are done, and all that there may be.
    done: usize,
    total: usize,
    /// Part of the running epoch that is done.
    part: f64,
}

impl Remaining {
    /// `probed` by recipe; `trials` are the recipe and number of epochs of each trial to come, in order.
    pub(crate) fn new(probed: Vec<Option<f64>>, trials: impl IntoIterator<Item = (usize, usize)>) -> Remaining {
        let pending: Vec<Pending> = trials.into_iter().map(|(recipe, epochs)| Pending { recipe, epochs }).collect();
        let total = pending.iter().map(|trial| trial.epochs).sum();
        Remaining { seen: vec![(0.0, 0.0); probed.len()], probed, pending, done: 0, total, part: 0.0 }
    }

    /// Epochs that are done, and all that there may be.
    pub(crate) fn epochs(&self) -> (usize, usize) {
        (self.done, self.total)
    }

    /// The first pending trial begins, with so many epochs to go: fewer than it has if it goes on.
    pub(crate) fn trial_started(&mut self, epochs: usize) {
        if let Some(trial) = self.pending.first_mut() {
            self.total = self.total - trial.epochs + epochs;
            trial.epochs = epochs;
        }
    }

    /// This part, 0 to 1, of the running epoch is done.
    pub(crate) fn within_epoch(&mut self, part: f64) {
        self.part = part.clamp(0.0, 1.0);
    }

    /// An epoch of the first pending trial took this long.
    pub(crate) fn epoch_done(&mut self, seconds: f64) {
        self.part = 0.0;
        let Some(trial) = self.pending.first_mut() else { return };
        trial.epochs = trial.epochs.saturating_sub(1);
        self.done += 1;
        let seen = &mut self.seen[trial.recipe];
        *seen = (seen.0 + seconds, seen.1 + 1.0);
    }

    /// The first pending trial has ended, perhaps before its last epoch.
    pub(crate) fn trial_done(&mut self) {
        self.part = 0.0;
        if !self.pending.is_empty() {
            self.total -= self.pending.remove(0).epochs;
        }
    }

    /// Seconds still to come; none while a recipe to come was neither probed nor seen.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let both = || self.seen.iter().zip(&self.probed).filter_map(|(seen, probed)| Some((seen, (*probed)?)));
        let probed: f64 = both().map(|(seen, probed)| seen.1 * probed).sum();
        let time: f64 = both().map(|(seen, _)| seen.0).sum();
        let off = if probed > 0.0 { time / probed } else { 1.0 };
        let epoch = |recipe: usize| match self.seen[recipe] {
            (_, 0.0) => Some(self.probed[recipe]? * off),
            (seconds, epochs) => Some(seconds / epochs),
        };
        let trials = self.pending.iter().map(|trial| Some(trial.epochs as f64 * epoch(trial.recipe)?));
        let whole: f64 = trials.sum::<Option<f64>>()?;
        let running = self.pending.first().and_then(|trial| epoch(trial.recipe)).map_or(0.0, |epoch| self.part * epoch);
        Some((whole - running).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_what_was_seen_and_else_the_probe() {
        let mut remaining = Remaining::new(vec![Some(1.0), Some(10.0)], [(0, 2), (1, 3)]);
        assert_eq!((remaining.epochs(), remaining.seconds()), ((0, 5), Some(2.0 + 3.0 * 10.0)));
        remaining.epoch_done(2.0);
        assert_eq!(remaining.seconds(), Some(2.0 + 3.0 * 20.0));
        remaining.within_epoch(0.5);
        assert_eq!(remaining.seconds(), Some(1.0 + 3.0 * 20.0));
        remaining.epoch_done(2.0);
        remaining.trial_done();
        remaining.epoch_done(30.0);
        assert_eq!((remaining.epochs(), remaining.seconds()), ((3, 5), Some(60.0)));
        // Stopped early: the epochs that were not needed are gone.
        remaining.trial_done();
        assert_eq!((remaining.epochs(), remaining.seconds()), ((3, 3), Some(0.0)));
        remaining.trial_done();
        remaining.epoch_done(1.0);
        assert_eq!(remaining.epochs(), (3, 3));
        // One of six epochs goes on from its fifth, though its fourth was to be done again.
        let mut remaining = Remaining::new(vec![Some(10.0)], [(0, 3), (0, 6)]);
        remaining.trial_started(2);
        assert_eq!((remaining.epochs(), remaining.seconds()), ((0, 8), Some(80.0)));
        remaining.within_epoch(0.5);
        assert_eq!(remaining.seconds(), Some(75.0));
        // What diverged in the probe is not known until it is seen.
        let mut remaining = Remaining::new(vec![Some(1.0), None], [(1, 2), (0, 3)]);
        assert_eq!(remaining.seconds(), None);
        remaining.epoch_done(5.0);
        assert_eq!(remaining.seconds(), Some(5.0 + 3.0));
    }
}
