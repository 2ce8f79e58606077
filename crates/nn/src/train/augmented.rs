//! Trainings whose images are changed: they learn from what the augmenter makes, to the same bits everywhere.

use super::fixture::Fixture;
use super::testing::{gradients_of, some_digits};
use super::*;
use crate::augment::Augmenter;
use crate::batch::Batch;
use crate::evaluate::evaluate;
use crate::model::Model;
use crate::optim::Optimizer;
use crate::workers::Team;
use tenfold_kernels::softmax_cross_entropy::{Counts, Mixed};

/// Operations that take pixels in each of the ways there are are tested with staged images in `batch`.
const NET: [&str; 6] = ["conv 5 5x5 same", "relu", "maxpool 2", "linear 30", "tanh", "linear 10"];

fn augment(value: serde_json::Value) -> Augment {
    serde_json::from_value(value).expect("it can be read")
}

fn all() -> [Augment; 3] {
    let list = serde_json::json!([
        "shift 2",
        "rotate 10",
        "scale 0.1",
        "shear 5",
        "elastic 2",
        "flip",
        "crop 4",
        "cutout 8",
        "brightness 0.2",
        "contrast 0.2"
    ]);
    [Augment::Characters, Augment::Photos, augment(list)]
}

fn net(data: &Dataset) -> Architecture {
    let layers = NET.iter().map(|layer| layer.parse().expect("a layer")).collect();
    Architecture::new(data.shape(), layers, data.classes()).expect("it fits")
}

fn config(augment: Augment, epochs: usize) -> TrainConfig {
    TrainSettings { batch_size: 7, epochs, augment, ..TrainSettings::default() }.with_seed(5)
}

fn bits(outcome: &Outcome) -> (Vec<u32>, Vec<[u64; 2]>) {
    let arrays = outcome.model.architecture().params().iter();
    let values = arrays.flat_map(|spec| outcome.model.tensor(&spec.name).expect("its own array"));
    let epochs = outcome.epochs.iter().map(|epoch| [epoch.train_loss, epoch.valid_loss].map(f64::to_bits));
    (values.map(f32::to_bits).collect(), epochs.collect())
}

#[test]
fn an_epoch_learns_from_what_the_augmenter_makes_of_its_images() {
    let (train, valid) = some_digits(52, 20);
    let plain = config(Augment::None, 1);
    let run = |data: &Dataset, config: &TrainConfig| {
        bits(&train_on(Isa::detect(), &net(data), config, data, &valid, 2, None, &mut |_| Flow::Continue))
    };
    for augment in all() {
        let augmenter = Augmenter::new(&augment, train.shape(), 5).expect("images are changed");
        let len = train.shape().len();
        let mut pixels = vec![0; train.pixels().len()];
        for (n, (from, to)) in train.pixels().chunks(len).zip(pixels.chunks_mut(len)).enumerate() {
            augmenter.image(1, n as u32, from, to);
        }
        let changed = Dataset::new(pixels, train.labels().to_vec(), train.shape(), train.classes()).expect("whole");
        let expected = run(&changed, &plain);
        assert!(run(&train, &config(augment.clone(), 1)) == expected, "{augment}");
        assert!(run(&train, &plain) != expected, "{augment} does something");
    }
}

/// Losses and gradients of mixtures, as they are and with all that changes the loss, are PyTorch's.
#[test]
fn losses_and_gradients_of_mixtures_are_pytorchs() {
    let fixture = Fixture::at("mixup");
    let (model, data) = (fixture.model(Pixels::default()), fixture.data());
    let all: Vec<u32> = (0..data.len() as u32).collect();
    let seconds: Vec<u16> = fixture.u8s("seconds").into_iter().map(u16::from).collect();
    let f32s = |name| fixture.f64s(name).expect(name).into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let (shares, weights, smoothing) = (f32s("shares"), f32s("weights"), fixture.f64("smoothing") as f32);
    let mixed = Some(Mixed { labels: &seconds, shares: &shares });
    for (name, weights, smoothing) in [
        ("plain", None, 0.0),
        ("smoothed", None, smoothing),
        ("weighted", Some(&weights[..]), 0.0),
        ("both", Some(&weights[..]), smoothing),
    ] {
        let batch = Batch { counts: Counts { weights, smoothing, mixed }, ..Batch::evaluated(&data, &all) };
        for (&isa, threads) in Isa::available().iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let (_, loss, grads) = gradients_of(isa, Team { threads, relay: false }, &model, &[batch]);
            fixture.check(&format!("{name}.loss"), None, &[loss], 1e-6);
            for (param, grad) in grads {
                fixture.check(&format!("{name}.grad.{param}"), Some(&param), &grad, 1e-5);
            }
        }
    }
}

/// Of one step over all images, from the initial parameters: the loss, and that it is what the step fell for.
#[test]
fn a_training_learns_from_mixtures_and_both_their_labels() {
    let (train, valid) = some_digits(90, 30);
    let (mixup, seed) = (augment(serde_json::json!(["shift 1", "mixup 0.5"])), 5);
    let optimizer = Optimizer::Sgd { lr: 0.05, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let settings = TrainSettings { batch_size: 90, epochs: 1, optimizer, augment: mixup, ..TrainSettings::default() };
    let (net, config) = (net(&train), settings.with_seed(seed));
    let outcome = train_on(Isa::detect(), &net, &config, &train, &valid, 2, None, &mut |_| Flow::Continue);
    let augmenter = Augmenter::new(&config.settings.augment, train.shape(), seed).expect("images are changed");
    let len = train.shape().len();
    let (mut pixels, mut room) = (vec![0; train.pixels().len()], vec![0; len]);
    for (n, to) in pixels.chunks_mut(len).enumerate() {
        augmenter.shown(1, n as u32, train.pixels(), &mut room, to);
    }
    let changed = Dataset::new(pixels, train.labels().to_vec(), train.shape(), train.classes()).expect("whole");
    let loss = |model: &Model| {
        let probabilities = evaluate(model, &changed, 1).probabilities;
        let of = |n: usize, label: u16| -f64::from(probabilities[n * 10 + usize::from(label)]).ln();
        let mixed = (0..90).map(|n| {
            let mixture = augmenter.mixture(1, n as u32, 90).expect("images are mixed");
            let share = f64::from(mixture.share());
            share * of(n, train.labels()[n]) + (1.0 - share) * of(n, train.labels()[mixture.other as usize])
        });
        mixed.sum::<f64>() / 90.0
    };
    let start = Model::new(net.clone(), config.settings.init, seed, Pixels::default());
    let (before, after, learned) = (loss(&start), loss(&outcome.model), outcome.epochs[0].train_loss);
    assert!((before - learned).abs() < 1e-6, "a loss of {learned}, expected {before}");
    assert!(after < before, "{before} became {after}");
    assert!((evaluate(&start, &changed, 1).loss - learned).abs() > 1e-3, "the second labels make a difference");
}

#[test]
fn bits_are_the_same_everywhere_and_after_a_stop_at_any_step() {
    let (train, valid) = some_digits(52, 20);
    let (isas, net) = (Isa::available(), net(&train));
    for augment in all().into_iter().chain([augment(serde_json::json!(["rotate 10", "mixup 0.4"]))]) {
        let mut config = config(augment, 2);
        (config.settings.label_smoothing, config.settings.class_weights) = (0.1, ClassWeights::Balanced);
        let run = |isa, threads, from, on_event: &mut dyn FnMut(&Event) -> Flow| {
            train_on(isa, &net, &config, &train, &valid, threads, from, on_event)
        };
        let expected = bits(&run(Isa::detect(), 2, None, &mut |_| Flow::Continue));
        for &isa in isas {
            for threads in [1, 3] {
                let found = bits(&run(isa, threads, None, &mut |_| Flow::Continue));
                assert!(found == expected, "{} on {threads} threads", isa.name());
            }
        }
        for stop in [1, 4, 7, 8, 11] {
            let (mut steps, mut state) = (0, None);
            run(isas[stop % isas.len()], 1 + stop % 3, None, &mut |event| {
                match event {
                    Event::Snapshot { snapshot } => state = Some(snapshot.state()),
                    Event::Step { .. } => steps += 1,
                    Event::EpochStarted { .. } | Event::Evaluating { .. } | Event::Epoch { .. } => {}
                }
                if steps == stop { Flow::Stop } else { Flow::Continue }
            });
            let ended = run(Isa::detect(), 2, Some(state.expect("it was stopped")), &mut |_| Flow::Continue);
            assert!(bits(&ended) == expected, "stopped after {stop} steps");
        }
    }
}
