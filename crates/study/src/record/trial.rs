//! One recipe trained from one seed.

use serde::{Deserialize, Serialize};
use tenfold_nn::Precision;
use tenfold_nn::train::{EpochResult, StopReason};

use super::{Environment, Timing};
use crate::calibration::CalibrationRecord;
use crate::identity::TrialSettings;
use crate::metrics::Metrics;

/// One recipe trained from one seed; also `trials/<recipe>/seed-<n>/result.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialRecord {
    /// The recipe's name.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// The SHA-256, in hex, of all that determines the trial's bits.
    pub identity: String,
    /// What determines the trial's bits; missing in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<TrialSettings>,
    /// What the large products were computed of.
    #[serde(default)]
    pub precision: Precision,
    /// How it ended.
    pub status: Status,
    /// Why it ended, and when.
    pub stopped: Stopped,
    /// By epoch, from epoch 1.
    pub epochs: Vec<EpochRecord>,
    /// Time spent in training steps.
    pub train_time_s: f64,
    /// What the final network reached on the validation examples; null unless finished.
    pub valid: Option<Metrics>,
    /// What the final network reached on the test examples; null unless finished.
    pub test: Option<Metrics>,
    /// What its probabilities are worth; missing unless finished, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationRecord>,
    /// The SHA-256, in hex, of `model.safetensors`; null unless finished.
    pub weights_sha256: Option<String>,
    /// The SHA-256, in hex, of `filters.safetensors`, the kernels before training and after each epoch; null where none
    /// were kept.
    #[serde(default)]
    pub filters_sha256: Option<String>,
    /// Where it was run.
    pub environment: Environment,
    /// Whether its time can be compared.
    #[serde(default)]
    pub timing: Timing,
    /// Whether it finished with a loss far above chance level: its last epoch's losses, on training and on validation,
    /// were more than [`TrialRecord::FAR`] times [`chance_loss`]. It is a result all the same.
    #[serde(default)]
    pub far_above_chance: bool,
}

impl TrialRecord {
    /// How many times the loss of chance is far above it: at twice, the right class is given the square of what chance
    /// gives it (in the geometric mean), a hundredth instead of a tenth. A network that learns nothing stays within a
    /// few percent of chance; one that learns by heart has a high loss on validation, but not on training; one that
    /// starts badly and recovers within its only epoch has a high loss on training, but not on validation.
    pub const FAR: f64 = 2.0;

    /// What [`TrialRecord::far_above_chance`] is to be. A loss that is not finite is above all.
    pub(crate) fn is_far_above_chance(&self, classes: usize) -> bool {
        let above = |loss: Option<f64>| loss.is_none_or(|loss| loss > TrialRecord::FAR * chance_loss(classes));
        let last = self.epochs.last();
        self.status == Status::Finished && last.is_some_and(|last| above(last.train_loss) && above(last.valid_loss))
    }
}

/// The cross-entropy, in nats, of who knows nothing and gives all classes the same probability.
pub fn chance_loss(classes: usize) -> f64 {
    (classes as f64).ln()
}

/// How a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained to its end and measured.
    Finished,
    /// The loss stopped being a number.
    Diverged,
    /// Stopped from outside; it is run again next time.
    Interrupted,
}

/// Why and when a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// Why.
    pub reason: Reason,
    /// The epoch in which it ended, from 1.
    pub epoch: usize,
}

/// Why a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// All epochs were run, and nothing else was asked for.
    Epochs,
    /// The target was reached.
    Target,
    /// All epochs were run without reaching the target.
    Limit,
    /// The validation loss had not fallen for as long as was allowed.
    Patience,
    /// The loss stopped being a number.
    Diverged,
    /// It was stopped from outside.
    Interrupted,
}

impl From<StopReason> for Reason {
    fn from(reason: StopReason) -> Reason {
        match reason {
            StopReason::Epochs => Reason::Epochs,
            StopReason::Target => Reason::Target,
            StopReason::Limit => Reason::Limit,
            StopReason::Patience => Reason::Patience,
            StopReason::Diverged => Reason::Diverged,
            StopReason::Interrupted => Reason::Interrupted,
        }
    }
}

/// One epoch of a trial. A loss is null where it was not finite.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean per example, as the training step saw it: with class weights, the mean of the weighted losses, and
    /// with mixup those of mixtures.
    pub train_loss: Option<f64>,
    /// Mean per example.
    pub valid_loss: Option<f64>,
    /// The share of validation examples that were right.
    pub valid_accuracy: Option<f64>,
    /// Time spent in training steps.
    pub train_time_s: f64,
    /// Time spent on the validation examples.
    pub evaluation_time_s: f64,
}

impl From<&EpochResult> for EpochRecord {
    fn from(epoch: &EpochResult) -> EpochRecord {
        let finite = |number: f64| number.is_finite().then_some(number);
        EpochRecord {
            epoch: epoch.epoch,
            train_loss: finite(epoch.train_loss),
            valid_loss: finite(epoch.valid_loss),
            valid_accuracy: finite(epoch.valid_accuracy),
            train_time_s: epoch.train_time_s,
            evaluation_time_s: epoch.evaluation_time_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::metrics;
    use crate::testing::trial_record;

    #[test]
    fn what_ends_far_above_chance_is_marked() {
        let mut trial = trial_record("any", 1, metrics(0.1));
        let epoch = |train_loss, valid_loss| EpochRecord {
            epoch: 1,
            train_loss,
            valid_loss,
            valid_accuracy: Some(0.1),
            train_time_s: 1.0,
            evaluation_time_s: 0.1,
        };
        let mut marked = |epochs: &[EpochRecord], status| {
            (trial.epochs, trial.status) = (epochs.to_vec(), status);
            trial.is_far_above_chance(10)
        };
        let lost = epoch(Some(25_171_306.0), Some(2e6));
        for (what, epochs, status, expected) in [
            ("no epoch", &[][..], Status::Finished, false),
            ("chance", &[epoch(Some(2.35), Some(2.4))], Status::Finished, false),
            ("blown up", &[lost], Status::Finished, true),
            ("an infinite loss on validation", &[epoch(Some(1e30), None)], Status::Finished, true),
            ("learned by heart", &[epoch(Some(0.01), Some(9.0))], Status::Finished, false),
            ("a bad start", &[epoch(Some(40.0), Some(0.5))], Status::Finished, false),
            ("recovered", &[lost, epoch(Some(0.5), Some(0.5))], Status::Finished, false),
            ("not finished", &[lost], Status::Interrupted, false),
        ] {
            assert_eq!(marked(epochs, status), expected, "{what}");
        }
        // The same loss is far above chance with two classes and near it with a thousand.
        assert_eq!([2, 1000].map(|classes| 6.0 > TrialRecord::FAR * chance_loss(classes)), [true, false]);
    }
}
