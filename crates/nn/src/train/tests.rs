//! The promises of training.

use super::testing::{gradients, loss_while_training, some_digits};
use super::*;
use crate::aligned::Aligned;
use crate::data::{ImageShape, Source};
use crate::model::{Init, Model, blocks};
use crate::optim::Optimizer;
use crate::precision::Precision;
use crate::rng::{Rng, Stream};
use crate::workers::Team;

/// In bf16 an operand is off by up to 2^-9 of itself. Smooth networks, because a ReLU near zero that takes the other
/// side changes gradients by as much as they are. The distances are those of whole arrays; the largest is 0.0033.
#[test]
fn in_bf16_logits_and_gradients_are_near_those_in_f32() {
    for layers in [
        &["linear 200", "tanh", "linear 101", "tanh", "linear 10"][..],
        &["conv 16 5x5 same", "tanh", "avgpool 2", "conv 32 5x5 same", "tanh", "linear 70", "tanh", "linear 10"],
    ] {
        let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let (data, _) = some_digits(33, 5);
        let net = Architecture::new(data.shape(), parsed, 10).expect("fits");
        let model = Model::new(net, Init::Xavier, 3, Pixels::default());
        let batches = [(0..33).collect::<Vec<u32>>()];
        let (isa, team) = (Isa::detect(), Team { threads: 2, relay: true });
        let (logits, loss, grads) = gradients(isa, team, &model, &data, &batches);
        for precision in [Precision::Bf16, Precision::Bf16Tile] {
            let rounded = model.clone().with_precision(precision);
            let what = format!("{layers:?} in {}", precision.name());
            let (near_logits, near_loss, near_grads) = gradients(isa, team, &rounded, &data, &batches);
            assert!((near_loss - loss).abs() < 2e-3 * loss, "{what}: loss {near_loss}, in f32 {loss}");
            let arrays = std::iter::once(("logits", &near_logits, &logits));
            let arrays = arrays.chain(near_grads.iter().zip(&grads).map(|(near, grad)| (&*grad.0, &near.1, &grad.1)));
            for (name, near, truth) in arrays {
                let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
                let distance = norm(&mut near.iter().zip(truth).map(|(n, t)| n - t)) / norm(&mut truth.iter().copied());
                assert!(distance > 0.0 && distance < 7e-3, "{what}: {name} is off by {distance}");
            }
        }
    }
}

/// Chains that put every operation next to every kind of neighbour, smooth so that a difference quotient is a slope.
#[test]
fn gradients_of_awkward_chains_are_slopes_of_the_loss() {
    let shape = ImageShape { channels: 3, height: 13, width: 12 };
    for layers in [
        &["conv 5 3x3 same", "tanh", "dropout 0.3", "conv 4 3x3 same", "sigmoid", "dropout 0.5", "linear 4"][..],
        &[
            "dropout 0.2",
            "sigmoid",
            "conv 17 3x3 padding 2",
            "avgpool 2",
            "dropout 0.2",
            "conv 3 2x2 stride 2",
            "linear 4",
        ],
        &[
            "avgpool 2 stride 1",
            "conv 20 3x3 same",
            "sigmoid",
            "tanh",
            "flatten",
            "dropout 0.4",
            "linear 7",
            "linear 4",
        ],
        &["flatten", "tanh", "linear 33", "sigmoid", "dropout 0.1", "tanh", "linear 18", "dropout 0.6", "linear 4"],
        &["conv 18 3x3 same", "conv 16 5x5 same", "sigmoid", "avgpool 3 stride 2", "tanh", "linear 4"],
        // Where both sides have whole blocks of channels, the way back is by Fourier transform.
        &["conv 16 3x3 same", "tanh", "conv 32 5x5 stride 2 same", "tanh", "linear 4"],
        &["conv 18 3x3 same", "tanh", "global-avgpool", "sigmoid", "conv 20 1x1", "global-avgpool", "linear 4"],
        &["gelu", "conv 18 3x3 same", "gelu", "gelu", "conv 3 2x2", "tanh", "gelu", "linear 7", "gelu", "linear 4"],
        &["conv 16 3x3 same", "tanh", "dropout 0.5", "conv 16 5x5 same", "sigmoid", "linear 4"],
        &[
            "batchnorm",
            "conv 18 3x3 same",
            "batchnorm eps 1e-2",
            "tanh",
            "avgpool 2",
            "batchnorm",
            "dropout 0.3",
            "linear 4",
        ],
        &["conv 5 3x3", "avgpool 2", "batchnorm", "gelu", "linear 20", "batchnorm", "sigmoid", "linear 4"],
        &["flatten", "linear 33", "batchnorm eps 1", "batchnorm", "tanh", "dropout 0.2", "linear 4"],
        &["silu", "conv 18 3x3 same", "silu", "avgpool 2", "silu", "linear 9", "silu", "linear 4"],
        &[
            "depthwise 3x3 same",
            "tanh",
            "conv 33 3x3 same groups 3",
            "sigmoid",
            "conv 48 3x3 stride 2 same groups 3",
            "batchnorm",
            "tanh",
            "depthwise 3x3 stride 2 same",
            "dropout 0.2",
            "linear 4",
        ],
        &[
            "conv 20 3x3 groups 1",
            "tanh",
            "depthwise 5x4 padding 3",
            "batchnorm",
            "silu",
            "conv 10 2x2 groups 5",
            "linear 4",
        ],
        // Residual blocks: of the images, with a shortcut that wants another border, within which something learns or
        // not, of rows, and one after another.
        &[
            "[conv 3 3x3 same, tanh]",
            "conv 5 5x5 same",
            "tanh",
            "[conv 18 3x3 stride 2 same, batchnorm, tanh]",
            "linear 4",
        ],
        &["[sigmoid]", "[tanh, dropout 0.3]", "conv 17 3x3", "[batchnorm, gelu, conv 17 3x3 same]", "tanh", "linear 4"],
        &["linear 20", "[tanh, linear 20, batchnorm]", "[linear 20]", "sigmoid", "[tanh]", "linear 4"],
        &[
            "conv 4 3x3 same",
            "[dropout 0.1, conv 8 1x1 stride 2]",
            "[conv 4 1x1, sigmoid]",
            "[conv 6 3x3 same, tanh]",
            "dropout 0.2",
            "linear 4",
        ],
    ] {
        let net = Architecture::of_blocks(shape, blocks(layers), 4).expect("fits");
        let model = Model::new(net.clone(), Init::Xavier, 3, Pixels::default());
        let mut params = model.values.clone();
        let mut grads = Aligned::zeroed(model.graph.param_len);
        let loss = |params: &mut [f32], grads: Option<&mut [f32]>, threads: usize| {
            loss_while_training(&model.graph, (shape, 4), params, grads, threads)
        };
        loss(params.as_mut_slice(), Some(grads.as_mut_slice()), 3);
        // Along random directions; padding never moves, since its gradient must be zero too.
        for direction in 0..6 {
            let rng = Rng::new(direction, Stream::Init, 77);
            let along: Vec<f32> = (0..model.graph.param_len as u64).map(|i| rng.normal_at(i)).collect();
            let along = Model::new(net.clone(), Init::Zero, 0, Pixels::default()).masked(&along);
            let slope: f64 = along.iter().zip(grads.as_slice()).map(|(d, g)| f64::from(*d) * f64::from(*g)).sum();
            let h = 2.0_f32.powi(-11);
            let at = |h: f32| {
                let mut moved = model.values.clone();
                moved.as_mut_slice().iter_mut().zip(&along).for_each(|(p, d)| *p += h * d);
                loss(moved.as_mut_slice(), None, 2)
            };
            let quotient = (at(h) - at(-h)) / (2.0 * f64::from(h));
            let scale = grads.as_slice().iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!((quotient - slope).abs() < 2e-3 * scale, "{layers:?}: quotient {quotient}, slope {slope}");
        }
        let padding =
            Model::new(net.clone(), Init::Zero, 0, Pixels::default()).masked(&vec![1.0; model.graph.param_len]);
        let stray = grads.as_slice().iter().zip(&padding).filter(|(g, real)| **real == 0.0 && **g != 0.0).count();
        assert_eq!(stray, 0, "{layers:?}: padding has a gradient");
    }
}

#[test]
fn training_on_real_digits_learns_them() {
    let splits = Source::mnist().split(6_000, 0).expect("splits");
    let layers = ["linear 64", "relu", "linear 10"].map(|l| l.parse().expect("a layer")).to_vec();
    let net = Architecture::new(splits.train.shape(), layers, 10).expect("fits");
    let config = TrainSettings { batch_size: 50, epochs: 2, ..TrainSettings::default() }.with_seed(1);
    let outcome = train(&net, &config, &splits.train, &splits.valid, 2, &mut |_| Flow::Continue);
    assert_eq!(outcome.stopped, StopReason::Epochs);
    let test = splits.test.evaluate(&outcome.model, 2);
    assert!(test.accuracy > 0.95, "test accuracy {}", test.accuracy);
    assert_eq!(test.predictions.len(), 10_000);
    assert!(test.probabilities.chunks(10).all(|p| (p.iter().sum::<f32>() - 1.0).abs() < 1e-5));
}

/// Trains a small network on a few digits and says how it ended.
fn ending(settings: TrainSettings, mut on_event: impl FnMut(&Event) -> Flow) -> Outcome {
    let (train, valid) = some_digits(200, 50);
    let layers = ["linear 20", "relu", "linear 10"].map(|l| l.parse().expect("a layer")).to_vec();
    let net = Architecture::new(train.shape(), layers, 10).expect("fits");
    super::train(&net, &settings.with_seed(1), &train, &valid, 2, &mut on_event)
}

#[test]
fn a_training_ends_for_the_right_reason() {
    let settings = TrainSettings { batch_size: 20, epochs: 3, ..TrainSettings::default() };
    let go_on = |_: &Event| Flow::Continue;
    let all = ending(settings.clone(), go_on);
    assert_eq!((all.stopped, all.epochs.len(), all.last_epoch), (StopReason::Epochs, 3, 3));

    let reached = ending(TrainSettings { target: Some(0.1), epochs: 30, ..settings.clone() }, go_on);
    assert_eq!(reached.stopped, StopReason::Target);
    assert!(reached.epochs.last().expect("one").valid_accuracy >= 0.1);

    let missed = ending(TrainSettings { target: Some(1.0), ..settings.clone() }, go_on);
    assert_eq!((missed.stopped, missed.epochs.len()), (StopReason::Limit, 3));

    let tired = TrainSettings { patience: Some(2), epochs: 200, optimizer: Optimizer::adam(0.02), ..settings.clone() };
    let tired = ending(tired, go_on);
    assert_eq!(tired.stopped, StopReason::Patience);
    let losses: Vec<f64> = tired.epochs.iter().map(|e| e.valid_loss).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.iter().position(|l| *l == best), Some(losses.len() - 3), "{losses:?}");

    // Each step multiplies every weight by about a million.
    let wild = Optimizer::Sgd { lr: 1e3, momentum: 0.0, nesterov: false, weight_decay: 1e3 };
    let diverged = ending(TrainSettings { optimizer: wild, epochs: 50, ..settings.clone() }, go_on);
    assert_eq!(diverged.stopped, StopReason::Diverged);

    let mut steps = 0;
    let cut = ending(settings, |event| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        if steps >= 13 { Flow::Stop } else { Flow::Continue }
    });
    assert_eq!((cut.stopped, cut.epochs.len(), cut.last_epoch, steps), (StopReason::Interrupted, 1, 2, 13));
}
