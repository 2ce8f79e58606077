//! What determines the bits of a trial, and in what two trials differ.

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tenfold_nn::model::{Architecture, BlockText};
use tenfold_nn::train::{TrainConfig, TrainSettings};

use crate::record::{DatasetRecord, RecipeRecord};

/// The version of what training computes: raised whenever the same settings and seed give other bits.
pub const TRAINING_VERSION: u32 = 3;

/// Everything that determines a trial's bits: the network, the settings, the seed, the data and the version of the
/// training code. Threads and processor are not among it.
// Its fields are written in this order, and the identity of everybody's finished trials depends on it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialSettings {
    /// [`TRAINING_VERSION`].
    pub training: u32,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// The SHA-256 of the data set, in hex.
    pub data: String,
    /// The SHA-256 of the choice of validation examples, in hex.
    pub split: String,
    /// The network, each layer in its canonical form.
    pub layers: Vec<BlockText>,
    /// How the network was trained.
    #[serde(flatten, serialize_with = "in_the_order_of_identities")]
    pub train: TrainSettings,
    /// The seed.
    pub seed: u64,
}

impl TrialSettings {
    /// Of a trial that this program would run.
    pub fn new(architecture: &Architecture, config: &TrainConfig, dataset: &DatasetRecord) -> TrialSettings {
        TrialSettings {
            training: TRAINING_VERSION,
            shape: dataset.shape,
            classes: dataset.classes,
            data: dataset.sha256.clone(),
            split: dataset.split_sha256.clone(),
            layers: architecture.written().to_vec(),
            train: config.settings.clone(),
            seed: config.seed,
        }
    }

    /// Of a trial of a record whose trials say nothing of their settings, if it is the one of this identity.
    pub(crate) fn of_record(
        recipe: &RecipeRecord,
        dataset: &DatasetRecord,
        seed: u64,
        identity: &str,
    ) -> Option<TrialSettings> {
        let config = recipe.settings.clone().with_seed(seed);
        let mut settings = TrialSettings::new(&recipe.architecture(dataset).ok()?, &config, dataset);
        (1..=TRAINING_VERSION).rev().find_map(|training| {
            settings.training = training;
            (settings.identity() == identity).then(|| settings.clone())
        })
    }

    /// The SHA-256 of all of it, in hex.
    #[expect(clippy::missing_panics_doc, reason = "settings are plain values, which JSON has")]
    pub fn identity(&self) -> String {
        sha256(serde_json::to_string(self).expect("settings are plain values").as_bytes())
    }

    /// In what another trial of the same recipe and seed differs from this one.
    pub(crate) fn differences(&self, now: &TrialSettings) -> Vec<Difference> {
        let value = |settings: &TrialSettings| {
            let mut value = serde_json::to_value(settings).expect("settings are plain values");
            // With those that identities leave out.
            settings.train.named().into_iter().for_each(|(name, setting)| value[name] = setting);
            value
        };
        let mut found = Vec::new();
        compare("", &value(self), &value(now), &mut found);
        found
    }
}

/// The settings that the first identities were made of.
const FIRST: [&str; 9] =
    ["batch_size", "epochs", "optimizer", "schedule", "init", "pixels", "precision", "target", "patience"];

/// The first settings as identities have always been made of them, then every later one that does something: those of
/// trials that were run before it came, or without it, stay what they are.
fn in_the_order_of_identities<S: Serializer>(settings: &TrainSettings, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("batch_size", &settings.batch_size)?;
    map.serialize_entry("epochs", &settings.epochs)?;
    map.serialize_entry("optimizer", &settings.optimizer)?;
    map.serialize_entry("schedule", &settings.schedule)?;
    map.serialize_entry("init", &settings.init)?;
    map.serialize_entry("pixels", &settings.pixels)?;
    if !settings.precision.is_f32() {
        map.serialize_entry("precision", &settings.precision)?;
    }
    map.serialize_entry("target", &settings.target)?;
    map.serialize_entry("patience", &settings.patience)?;
    for (name, value) in later(settings) {
        map.serialize_entry(&name, &value)?;
    }
    map.end()
}

/// The settings besides the first that would not read back the same if they were left out.
fn later<T: Serialize + DeserializeOwned>(settings: &T) -> Map<String, Value> {
    let object = |settings: &T| match serde_json::to_value(settings) {
        Ok(Value::Object(object)) => object,
        other => panic!("settings are named values, not {other:?}"),
    };
    let mut all = object(settings);
    let mut first = all.clone();
    first.retain(|name, _| FIRST.contains(&name.as_str()));
    let without = serde_json::from_value(Value::Object(first)).expect("a record may lack a later setting");
    let without = object(&without);
    all.retain(|name, value| without.get(name) != Some(value));
    all
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A setting that two trials do not share, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// As a study file calls it, as far as it is in one.
    pub setting: String,
    /// Its value in the trial on disk.
    pub before: String,
    /// Its value in the trial that was asked for.
    pub now: String,
}

/// Adds the settings below `path` that are not the same.
fn compare(path: &str, before: &Value, now: &Value, found: &mut Vec<Difference>) {
    if before == now {
        return;
    }
    match (before, now) {
        // Settings of another kind of optimizer are not compared with those of this one.
        (Value::Object(one), Value::Object(other)) if one.get("kind") == other.get("kind") => {
            for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |object: &Map<String, Value>| object.get(key).cloned().unwrap_or(Value::Null);
                compare(&below, &of(one), &of(other), found);
            }
        }
        _ => {
            let setting = match path {
                "training" => "version of the training code",
                "shape" => "shape of the images",
                "data" => "SHA-256 of the data",
                "split" => "SHA-256 of the validation split",
                "target" => "validation accuracy to stop at",
                other => other,
            };
            let (mut before, mut now) = (words(before), words(now));
            if path == "data" || path == "split" {
                // As many digits of a checksum as a person compares.
                before.truncate(before.floor_char_boundary(12));
                now.truncate(now.floor_char_boundary(12));
            }
            found.push(Difference { setting: setting.to_owned(), before, now });
        }
    }
}

/// Longest value that is shown, in characters: a network may have any number of layers.
const LONGEST: usize = 200;

fn words(value: &Value) -> String {
    let listed = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(", ");
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => listed(&mut values.iter().map(words)),
        Value::Object(fields) => {
            let kind = fields.get("kind").map(|kind| words(kind) + " ").unwrap_or_default();
            let rest = fields.iter().filter(|(key, _)| *key != "kind");
            let rest = listed(&mut rest.map(|(key, value)| format!("{key} {}", words(value))));
            format!("{kind}{rest}").trim_end().to_owned()
        }
        Value::Number(number) => match number.as_f64() {
            // In as few digits as tell it from its neighbours, which of single precision are fewer.
            Some(number) if f64::from(number as f32) == number => (number as f32).to_string(),
            Some(number) => number.to_string(),
            None => number.to_string(),
        },
        Value::Bool(yes) => yes.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Study;
    use tenfold_nn::Precision;
    use tenfold_nn::augment::Augment;
    use tenfold_nn::data::ImageShape;
    use tenfold_nn::model::Init;
    use tenfold_nn::optim::{Optimizer, Schedule};
    use tenfold_nn::train::{ClassWeights, Pixels, PixelsFrom};

    /// The settings of the built-in recipe `softmax` on a made-up data set, with one thing changed.
    fn settings_with(change: impl Fn(&mut TrainConfig, &mut DatasetRecord)) -> TrialSettings {
        let study = Study::built_in("digits").expect("is built in");
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        let mut dataset = DatasetRecord {
            name: "any".to_owned(),
            train: 54_000,
            valid: 6_000,
            test: 10_000,
            shape: [1, 28, 28],
            classes: 10,
            sha256: "data".to_owned(),
            split_seed: 0,
            split_sha256: "split".to_owned(),
            place: None,
            reading: None,
            first_label: 0,
            class_names: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        };
        let architecture = study.recipes[0].architecture(shape, 10).expect("it fits");
        let optimizer = Optimizer::adam(1e-5);
        let mut config =
            TrainSettings { batch_size: 128, epochs: 11, optimizer, init: Init::Zero, ..TrainSettings::default() }
                .with_seed(1);
        change(&mut config, &mut dataset);
        TrialSettings::new(&architecture, &config, &dataset)
    }

    type Change = dyn Fn(&mut TrainConfig, &mut DatasetRecord);

    #[test]
    fn the_identity_is_pinned() {
        // From an independent program. If this changes, everybody's finished trials are run again.
        let usual = settings_with(|_, _| {});
        let text =
            r#"{"training":3,"shape":[1,28,28],"classes":10,"data":"data","split":"split","layers":["linear 10"],"#
                .to_owned()
                + r#""batch_size":128,"epochs":11,"optimizer":{"kind":"adam","lr":0.00001,"betas":[0.9,0.999],"eps":1e-8,"#
                + r#""weight_decay":0.0},"schedule":{"kind":"constant"},"init":"zero","pixels":{"mean":0.0,"std":1.0},"#
                + r#""target":null,"patience":null,"seed":1}"#;
        assert_eq!(serde_json::to_string(&usual).expect("plain values"), text);
        let identity = usual.identity();
        assert_eq!(identity, "48efb06f22bc1a039b50503c72a3a110b58cf9e8458e8e45044bfa3bfa3f1d3c");
    }

    #[test]
    fn the_identity_covers_what_determines_the_bits_and_every_change_is_named() {
        let changes: [(&Change, &str, &str, &str); 19] = [
            (&|config, _| config.settings.batch_size += 1, "batch_size", "128", "129"),
            (&|config, _| config.settings.epochs += 1, "epochs", "11", "12"),
            (&|config, _| config.settings.optimizer = Optimizer::adam(2e-5), "optimizer.lr", "0.00001", "0.00002"),
            (
                &|config, _| config.settings.schedule = Schedule::Step { every: 1, factor: 0.5 },
                "schedule",
                "constant",
                "step every 1, factor 0.5",
            ),
            (&|config, _| config.settings.init = Init::Xavier, "init", "zero", "xavier"),
            (&|config, _| config.settings.pixels = Pixels::all(0.5, 1.0).into(), "pixels.mean", "0", "0.5"),
            (&|config, _| config.settings.pixels = PixelsFrom::Standard, "pixels", "mean 0, std 1", "standard"),
            (&|config, _| config.settings.precision = Precision::Bf16, "precision", "f32", "bf16"),
            (&|config, _| config.settings.precision = Precision::Bf16Tile, "precision", "f32", "bf16-tile"),
            (&|config, _| config.settings.class_weights = ClassWeights::Balanced, "class_weights", "none", "balanced"),
            (&|config, _| config.settings.label_smoothing = 0.1, "label_smoothing", "0", "0.1"),
            (&|config, _| config.settings.clip_norm = Some(2.0), "clip_norm", "none", "2"),
            (&|config, _| config.settings.ema = Some(0.999), "ema", "none", "0.999"),
            (&|config, _| config.settings.augment = Augment::Characters, "augment", "none", "characters"),
            (&|config, _| config.settings.target = Some(0.99), "validation accuracy to stop at", "none", "0.99"),
            (&|config, _| config.settings.patience = Some(3), "patience", "none", "3"),
            (&|config, _| config.seed += 1, "seed", "1", "2"),
            (&|_, dataset| dataset.sha256 = "other".to_owned(), "SHA-256 of the data", "data", "other"),
            (&|_, dataset| dataset.split_sha256.push('x'), "SHA-256 of the validation split", "split", "splitx"),
        ];
        let usual = settings_with(|_, _| {});
        let mut identities = vec![usual.identity()];
        for (change, setting, before, now) in changes {
            let changed = settings_with(change);
            let expected = Difference { setting: setting.to_owned(), before: before.to_owned(), now: now.to_owned() };
            let found = usual.differences(&changed);
            assert_eq!(found, [expected]);
            identities.push(changed.identity());
        }
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), 20);
        let renamed = settings_with(|_, dataset| dataset.name.push('x'));
        assert_eq!((renamed.identity(), renamed.differences(&usual)), (usual.identity(), Vec::new()));
    }

    #[test]
    fn a_later_setting_that_does_nothing_leaves_identities_as_they_are() {
        #[derive(Serialize, Deserialize)]
        struct Later {
            #[serde(flatten)]
            first: TrainSettings,
            #[serde(default)]
            smoothing: f64,
            #[serde(default)]
            average: Option<f64>,
        }
        let first = TrainSettings { precision: Precision::Bf16, patience: Some(3), ..TrainSettings::default() };
        let mut settings = Later { first, smoothing: 0.0, average: None };
        assert_eq!(later(&settings), Map::new());
        settings.average = Some(0.999);
        assert_eq!(Value::from(later(&settings)), serde_json::json!({ "average": 0.999 }));
        settings.smoothing = 0.1;
        assert_eq!(Value::from(later(&settings)), serde_json::json!({ "average": 0.999, "smoothing": 0.1 }));
        assert_eq!(later(&TrainSettings::default()), Map::new());
    }

    #[test]
    fn settings_read_back_with_their_identity_and_long_ones_are_cut() {
        let usual = settings_with(|config, _| config.settings.optimizer = Optimizer::adam(0.1 + 0.2));
        let read: TrialSettings = serde_json::from_str(&serde_json::to_string(&usual).unwrap()).unwrap();
        assert_eq!((read.identity(), &read), (usual.identity(), &usual));
        let deep = TrialSettings { layers: vec!["relu".into(); 1000], ..usual.clone() };
        let found = usual.differences(&deep);
        assert_eq!((found.len(), found[0].now.len()), (1, LONGEST + 4), "{found:?}");
        let mut other = usual.clone();
        other.train.optimizer = Optimizer::Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let found = usual.differences(&other);
        assert!(found.len() == 1 && found[0].now.starts_with("sgd ") && found[0].now.contains("lr 0.1"), "{found:?}");
    }
}
