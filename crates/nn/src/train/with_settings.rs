//! Ten steps with each setting of a training, against PyTorch, and the same bits everywhere.

use super::fixture::Fixture;
use super::testing::{assert_near, some_digits};
use super::trainer::{EpochRun, Trainer};
use super::*;
use crate::model::unpack;
use serde_json::Value;

/// The cases of the fixture, as settings in which an epoch is one step over all examples.
fn cases(fixture: &Fixture) -> Vec<(String, TrainSettings)> {
    let size = fixture.data().len();
    let cases = fixture.meta["cases"].as_object().expect("cases");
    cases
        .iter()
        .map(|(name, case)| {
            let mut settings = serde_json::to_value(TrainSettings { batch_size: size, ..TrainSettings::default() })
                .expect("plain values");
            for (key, value) in case.as_object().expect("settings") {
                settings[key] = value.clone();
            }
            assert_eq!(settings["epochs"], Value::from(10), "as many epochs as the fixture has steps");
            (name.clone(), serde_json::from_value(settings).expect(name))
        })
        .collect()
}

/// Losses of ten steps from the fixture's parameters, and the parameters then.
fn ten_steps(isa: Isa, fixture: &Fixture, settings: &TrainSettings, threads: usize) -> (Vec<f64>, Vec<Vec<f32>>) {
    let (data, config) = (fixture.data(), settings.clone().with_seed(1));
    let model = fixture.model(Pixels::default());
    let net = model.architecture().clone();
    let mut trainer = Trainer::new(isa, &net, &config, &data, threads);
    for (n, changed) in trainer.changing().into_iter().enumerate() {
        // The weights, and where there is one their average.
        if n == 0 || n == 3 {
            changed.as_mut_slice().copy_from_slice(model.values.as_slice());
        }
    }
    let losses = (1..=settings.epochs).map(|epoch| {
        let mut run = EpochRun::default();
        assert_eq!(trainer.epoch(epoch, &data, &mut run, &mut |_| Flow::Continue), Halt::EpochDone);
        run.loss / data.len() as f64
    });
    let losses = losses.collect();
    let learned = trainer.learned();
    let arrays = (0..net.params().len()).map(|n| unpack(&net, &learned.graph, n, learned.values.as_slice()));
    (losses, arrays.collect())
}

/// The fixture's truth is f64. Ten steps of f32 on losses near 1.5: 1e-6 of it; parameters by the largest of their array,
/// to 2e-5, as Muon's iteration passes rounding on a few times larger, and Adam's division too.
#[test]
fn ten_steps_with_every_setting_are_pytorchs_with_the_same_bits_everywhere() {
    let fixture = Fixture::at("settings");
    let cases = cases(&fixture);
    assert_eq!(cases.len(), 9, "cases of the fixture");
    let plain = TrainSettings { batch_size: fixture.data().len(), ..TrainSettings::default() };
    for (name, settings) in cases {
        let (losses, arrays) = ten_steps(Isa::detect(), &fixture, &settings, 1);
        fixture.check(&format!("{name}.losses"), None, &losses, 1e-6);
        let net = fixture.architecture();
        for (spec, values) in net.params().iter().zip(&arrays) {
            let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
            fixture.check(&format!("{name}.final.{}", spec.name), Some(&spec.name), &values, 2e-5);
        }
        let without = TrainSettings { optimizer: settings.optimizer, ..plain.clone() };
        if without != settings {
            let (.., others) = ten_steps(Isa::detect(), &fixture, &without, 1);
            assert!(others != arrays, "{name}: the setting changes something");
        }
        for &isa in Isa::available() {
            for threads in [1, 2, 3] {
                let again = ten_steps(isa, &fixture, &settings, threads);
                assert!(again == (losses.clone(), arrays.clone()), "{name}: {}, {threads} threads", isa.name());
            }
        }
    }
}

#[test]
fn the_average_is_what_is_validated_and_kept_and_a_setting_goes_on_from_a_snapshot() {
    let (train, valid) = some_digits(90, 30);
    let layers = ["conv 5 3x3 same", "relu", "maxpool 2", "linear 20", "relu", "linear 10"];
    let layers = layers.map(|layer| layer.parse().expect("a layer")).to_vec();
    let net = Architecture::new(train.shape(), layers, 10).expect("fits");
    let muon = serde_json::json!({ "kind": "muon", "lr": 0.05 });
    for optimizer in [crate::optim::Optimizer::adam(1e-2), serde_json::from_value(muon).expect("muon")] {
        let settings = TrainSettings {
            epochs: 2,
            batch_size: 20,
            optimizer,
            ema: Some(0.7),
            clip_norm: Some(0.5),
            label_smoothing: 0.1,
            ..TrainSettings::default()
        };
        let config = settings.with_seed(3);
        let mut kept = None;
        let mut steps = 0;
        let outcome = train_on(Isa::detect(), &net, &config, &train, &valid, 2, None, &mut |event| match event {
            Event::Step { .. } => {
                steps += 1;
                if steps == 7 { Flow::Snapshot } else { Flow::Continue }
            }
            Event::Snapshot { snapshot } => {
                kept = Some(snapshot.state());
                Flow::Continue
            }
            _ => Flow::Continue,
        });
        let last = outcome.epochs.last().expect("epochs");
        let again = crate::evaluate::evaluate(&outcome.model, &valid, 1);
        assert_near(&[again.loss], &[last.valid_loss], 0.0, "the model that is kept is the one that was validated");
        let state = kept.expect("a snapshot");
        assert!(state.arrays.iter().any(|(name, ..)| name == "average/fc1.weight"), "the average is kept");
        let rest = train_on(Isa::detect(), &net, &config, &train, &valid, 1, Some(state), &mut |_| Flow::Continue);
        for spec in net.params() {
            assert_eq!(rest.model.tensor(&spec.name), outcome.model.tensor(&spec.name), "{}", spec.name);
        }
    }
}
