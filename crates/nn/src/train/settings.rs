//! The settings of a training, each with its default and its range: the one place where a setting is defined.
//!
//! A new one is a field of [`TrainSettings`] with `#[serde(default)]`, its name in [`TrainSettings::NAMES`], its
//! default and its range. Study files, the record, identities and comparisons take it from here. What
//! `#[serde(default)]` gives must mean "as if there were no such setting", for trainings that are on record were run
//! without it.

use super::{ClassWeights, PixelsFrom, TrainConfig};
use crate::augment::Augment;
use crate::model::Init;
use crate::optim::{Optimizer, Schedule};
use crate::precision::Precision;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// How a network is trained, whatever the network, the data and the seed.
// In the order of study files and records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Examples of one step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// Number of epochs; with `target` or `patience` the most that there may be.
    pub epochs: usize,
    /// Stop after the first epoch with at least this validation accuracy.
    pub target: Option<f64>,
    /// Stop when the validation loss has not been lower than its lowest for this many epochs.
    pub patience: Option<usize>,
    /// How a gradient becomes a step.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How parameters start.
    pub init: Init,
    /// What the network sees of a pixel.
    pub pixels: PixelsFrom,
    /// What the large products are computed of.
    #[serde(default)]
    pub precision: Precision,
    /// What examples of each class count in the loss that is learned from: balanced, each class has the same total
    /// weight there, however many examples it has. A batch has as its loss the mean over its examples of weighted ones.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Share of the target that all classes have alike in the loss that is learned from, 0 for none (C. Szegedy et al.,
    /// *Rethinking the inception architecture for computer vision*, 2016). Validation is not smoothed.
    #[serde(default)]
    pub label_smoothing: f64,
    /// The largest norm of the gradient of all parameters together; a longer one is scaled down to it (R. Pascanu et
    /// al., *On the difficulty of training recurrent neural networks*, 2013).
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Share of an exponential moving average of the parameters that each step keeps. Where there is one, it is the
    /// network: what is validated, tested and kept are the averages; the weights that take the steps are not. Running
    /// statistics of batch norms are averaged with the weights.
    #[serde(default)]
    pub ema: Option<f64>,
    /// How training images are changed at random, anew in each epoch.
    #[serde(default)]
    pub augment: Augment,
}

impl Default for TrainSettings {
    fn default() -> TrainSettings {
        TrainSettings {
            batch_size: 50,
            epochs: 10,
            target: None,
            patience: None,
            optimizer: Optimizer::adam(1e-3),
            schedule: Schedule::Constant,
            init: Init::Pytorch,
            pixels: PixelsFrom::default(),
            precision: Precision::F32,
            class_weights: ClassWeights::None,
            label_smoothing: 0.0,
            clip_norm: None,
            ema: None,
            augment: Augment::None,
        }
    }
}

/// A setting that is outside its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SettingError {
    /// Its name, one of [`TrainSettings::NAMES`].
    pub setting: &'static str,
    /// What it is, and what was expected.
    pub message: String,
}

impl TrainSettings {
    /// The name of each setting, in order.
    pub const NAMES: [&'static str; 14] = [
        "batch_size",
        "epochs",
        "target",
        "patience",
        "optimizer",
        "schedule",
        "init",
        "pixels",
        "precision",
        "class_weights",
        "label_smoothing",
        "clip_norm",
        "ema",
        "augment",
    ];

    /// The most examples of one step; a training set is a closer limit.
    const MAX_BATCH_SIZE: usize = 1 << 20;

    /// The most epochs.
    const MAX_EPOCHS: usize = 10_000;

    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// The first setting that is outside its range, with the range.
    pub fn check(&self) -> Result<(), SettingError> {
        // By name, so that the compiler asks for the range of a new one.
        let TrainSettings { batch_size, epochs, target, patience, optimizer, schedule, pixels, .. } = self;
        let TrainSettings { init: _, precision: _, class_weights: _, label_smoothing, clip_norm, ema, augment, .. } =
            self;
        let error = |setting, message| Err(SettingError { setting, message });
        let whole = |setting, value: usize, max: usize| {
            if (1..=max).contains(&value) {
                return Ok(());
            }
            error(setting, format!("{setting} is {value}, expected 1 to {max}"))
        };
        whole("batch_size", *batch_size, TrainSettings::MAX_BATCH_SIZE)?;
        whole("epochs", *epochs, TrainSettings::MAX_EPOCHS)?;
        if let Some(target) = target.filter(|target| !(*target > 0.0 && *target <= 1.0)) {
            return error("target", format!("target is {target}, expected more than 0 and at most 1"));
        }
        if let Some(patience) = patience {
            whole("patience", *patience, TrainSettings::MAX_EPOCHS)?;
        }
        if !(0.0..1.0).contains(label_smoothing) {
            return error(
                "label_smoothing",
                format!("label_smoothing is {label_smoothing}, expected 0 to less than 1"),
            );
        }
        if let Some(norm) = clip_norm.filter(|norm| !(*norm > 0.0 && *norm <= 1e6)) {
            return error("clip_norm", format!("clip_norm is {norm}, expected more than 0 and at most 1000000"));
        }
        if let Some(ema) = ema.filter(|ema| !(*ema > 0.0 && *ema < 1.0)) {
            return error("ema", format!("ema is {ema}, expected more than 0 and less than 1"));
        }
        augment.check().or_else(|message| error("augment", message))?;
        optimizer.check().or_else(|message| error("optimizer", message))?;
        schedule.check(*epochs).or_else(|message| error("schedule", message))?;
        pixels.check().or_else(|message| error("pixels", message))
    }

    /// Each setting with its name, in order.
    #[expect(clippy::missing_panics_doc, reason = "settings are plain values, which JSON has")]
    pub fn named(&self) -> [(&'static str, Value); TrainSettings::NAMES.len()] {
        let mut values = serde_json::to_value(self).expect("settings are plain values");
        TrainSettings::NAMES.map(|name| (name, values[name].take()))
    }

    /// What a training from this seed needs to know.
    pub fn with_seed(self, seed: u64) -> TrainConfig {
        TrainConfig { settings: self, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pixels;
    use super::*;

    #[test]
    fn names_are_those_of_the_fields_in_their_order() {
        let text = serde_json::to_string(&TrainSettings::default()).expect("settings are plain values");
        let fields: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("an object");
        let mut names = TrainSettings::NAMES.to_vec();
        let place = |name: &str| text.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} in {text}"));
        assert!(names.is_sorted_by_key(|name| place(name)), "{text}");
        names.sort_unstable();
        assert_eq!(fields.keys().collect::<Vec<_>>(), names);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        type Change = dyn Fn(&mut TrainSettings);
        let refused = |change: &Change| {
            let mut settings = TrainSettings::default();
            change(&mut settings);
            settings.check().expect_err("it is out of range")
        };
        let cases: [(&Change, &str, &str); 13] = [
            (&|s| s.batch_size = 0, "batch_size", "batch_size is 0, expected 1 to 1048576"),
            (&|s| s.epochs = 10_001, "epochs", "epochs is 10001, expected 1 to 10000"),
            (&|s| s.target = Some(0.0), "target", "target is 0, expected more than 0 and at most 1"),
            (&|s| s.target = Some(1.1), "target", "target is 1.1, expected"),
            (&|s| s.target = Some(f64::NAN), "target", "target is NaN, expected"),
            (&|s| s.patience = Some(0), "patience", "patience is 0, expected 1 to 10000"),
            (&|s| s.label_smoothing = 1.0, "label_smoothing", "label_smoothing is 1, expected 0 to less than 1"),
            (&|s| s.clip_norm = Some(0.0), "clip_norm", "clip_norm is 0, expected more than 0"),
            (&|s| s.ema = Some(1.0), "ema", "ema is 1, expected more than 0 and less than 1"),
            (&|s| s.augment = Augment::List(vec![]), "augment", "augment is an empty list, expected"),
            (&|s| s.optimizer = Optimizer::adam(0.0), "optimizer", "the optimizer's lr is 0"),
            (&|s| s.schedule = Schedule::Step { every: 0, factor: 0.5 }, "schedule", "the schedule's every is 0"),
            (&|s| s.pixels = Pixels::all(0.0, 0.0).into(), "pixels", "the pixels' mean is 0 and std 0"),
        ];
        for (change, setting, message) in cases {
            let error = refused(change);
            assert!(error.setting == setting && error.message.starts_with(message), "{error:?}, expected {message}");
        }
        assert_eq!(TrainSettings::default().check(), Ok(()));
        assert_eq!(TrainSettings { target: Some(1.0), patience: Some(1), ..TrainSettings::default() }.check(), Ok(()));
    }
}
