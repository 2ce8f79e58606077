//! A training that was stopped and goes on ends with the bits of one that was not.

use super::testing::some_digits;
use super::*;
use crate::model::Init;
use crate::optim::{Optimizer, Schedule};

/// Everything that is kept from step to step: convolutions in two methods, pooling, dropout in place and by itself, layouts
/// with padding, and an optimizer with both moments.
const NET: &[&str] = &[
    "conv 5 5x5 same",
    "relu",
    "maxpool 2",
    "dropout 0.25",
    "conv 17 3x3 same",
    "relu",
    "linear 30",
    "tanh",
    "dropout 0.5",
    "linear 10",
];

fn architecture(layers: &[&str], data: &Dataset) -> Architecture {
    let layers = layers.iter().map(|layer| layer.parse().expect("a layer")).collect();
    Architecture::new(data.shape(), layers, data.classes()).expect("it fits")
}

/// Epochs of eight steps, the last of them smaller.
fn config() -> TrainConfig {
    let optimizer = Optimizer::AdamW { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1 };
    let schedule = Schedule::OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 };
    TrainSettings { batch_size: 7, epochs: 3, optimizer, schedule, ..TrainSettings::default() }.with_seed(5)
}

/// What a training gave, but for times.
fn bits(outcome: &Outcome) -> (Vec<Vec<u32>>, Vec<[u64; 3]>, StopReason, usize) {
    let arrays = outcome.model.architecture().params().iter().map(|spec| {
        let values = outcome.model.tensor(&spec.name).expect("its own array");
        values.iter().map(|value| value.to_bits()).collect()
    });
    let epochs = outcome.epochs.iter().map(|e| [e.train_loss, e.valid_loss, e.valid_accuracy].map(f64::to_bits));
    (arrays.collect(), epochs.collect(), outcome.stopped, outcome.last_epoch)
}

/// What [`Flow::Stop`] at event number `at` leaves; none if the training ended before.
fn stopped_at(at: usize, run: impl Fn(&mut dyn FnMut(&Event) -> Flow) -> Outcome) -> Option<State> {
    let (mut seen, mut state) = (0, None);
    let outcome = run(&mut |event| {
        if let Event::Snapshot { snapshot } = event {
            state = Some(snapshot.state());
            return Flow::Continue;
        }
        seen += 1;
        if seen > at { Flow::Stop } else { Flow::Continue }
    });
    assert_eq!(state.is_some(), outcome.stopped == StopReason::Interrupted, "a training that was stopped says where");
    if let Some(state) = &state {
        let parts = state.epochs.iter().map(|epoch| epoch.train_time_s).sum::<f64>() + state.train_time_s;
        assert_eq!(parts, outcome.train_time_s);
        assert_eq!(state.epochs, outcome.epochs);
    }
    state
}

#[test]
fn a_training_that_was_stopped_anywhere_ends_with_the_bits_of_one_that_was_not() {
    let (train, valid) = some_digits(52, 70);
    let (net, config) = (architecture(NET, &train), config());
    let isas = Isa::available();
    let run = |isa, threads, from, on_event: &mut dyn FnMut(&Event) -> Flow| {
        train_on(isa, &net, &config, &train, &valid, threads, from, on_event)
    };
    let straight = run(Isa::detect(), 2, None, &mut |_| Flow::Continue);
    assert_eq!(straight.stopped, StopReason::Epochs);
    let (expected, mut positions) = (bits(&straight), Vec::new());
    for at in 0.. {
        // Stopped on one instruction set and number of threads, gone on with others, and sometimes stopped once more.
        let (one, other) = (isas[at % isas.len()], isas[(at + 1) % isas.len()]);
        let Some(mut state) = stopped_at(at, |on_event| run(one, 1 + at % 3, None, on_event)) else { break };
        positions.push((state.epochs.len(), state.step));
        if at % 4 == 1 {
            let again = stopped_at(3, |on_event| run(other, 1 + at % 2, Some(state.clone()), on_event));
            state = again.unwrap_or(state);
        }
        state.check(&net, &config, train.len()).expect("it fits");
        let ended = run(other, 1 + (at + 1) % 3, Some(state), &mut |_| Flow::Continue);
        assert_eq!(bits(&ended), expected, "stopped at event {at}, {:?}", positions.last());
    }
    positions.dedup();
    let everywhere: Vec<_> = (0..3).flat_map(|epoch| (0..=8).map(move |step| (epoch, step))).collect();
    assert_eq!(positions, everywhere);
}

#[test]
fn a_snapshot_changes_nothing_and_is_what_a_stop_leaves() {
    let (train, valid) = some_digits(52, 20);
    let (net, config) = (architecture(NET, &train), config());
    let run = |on_event: &mut dyn FnMut(&Event) -> Flow| {
        train_on(Isa::detect(), &net, &config, &train, &valid, 2, None, on_event)
    };
    let straight = bits(&run(&mut |_| Flow::Continue));
    let mut states = Vec::new();
    let asked = run(&mut |event| match event {
        Event::Snapshot { snapshot } => {
            states.push(snapshot.state());
            Flow::Continue
        }
        _ => Flow::Snapshot,
    });
    assert_eq!(bits(&asked), straight);
    let at = |state: &State| state.steps_in_all(8);
    assert!(states.is_sorted_by_key(at), "{:?}", states.iter().map(at).collect::<Vec<_>>());
    // The end of the last epoch is among them: who dies before the network is measured has lost nothing.
    let last = states.last().expect("there are some").clone();
    assert_eq!((last.epochs.len(), last.step), (3, 0));
    let ended = train_on(Isa::detect(), &net, &config, &train, &valid, 1, Some(last), &mut |_| panic!("it has ended"));
    assert_eq!(bits(&ended), straight);
    let mut steps = 0;
    let mut left = None;
    run(&mut |event| match event {
        Event::Snapshot { snapshot } => {
            left = Some(snapshot.state());
            Flow::Continue
        }
        Event::Step { .. } => {
            steps += 1;
            if steps == 13 { Flow::Stop } else { Flow::Continue }
        }
        _ => Flow::Continue,
    });
    let left = left.expect("it was stopped");
    let same = states.iter().find(|state| at(state) == 13).expect("there is one");
    assert_eq!((&left.arrays, left.step, left.loss_sum), (&same.arrays, same.step, same.loss_sum));
}

#[test]
fn targets_and_patience_are_kept_in_mind() {
    let (train, valid) = some_digits(200, 50);
    let net = architecture(&["linear 20", "relu", "linear 10"], &train);
    let settings =
        TrainSettings { batch_size: 20, epochs: 200, optimizer: Optimizer::adam(0.02), ..Default::default() };
    for settings in [
        TrainSettings { patience: Some(2), ..settings.clone() },
        TrainSettings { target: Some(0.8), ..settings.clone() },
        TrainSettings {
            optimizer: Optimizer::Sgd { lr: 1e3, momentum: 0.0, nesterov: false, weight_decay: 1e3 },
            ..settings
        },
    ] {
        let config = settings.with_seed(1);
        let run = |from, on_event: &mut dyn FnMut(&Event) -> Flow| {
            train_on(Isa::detect(), &net, &config, &train, &valid, 2, from, on_event)
        };
        let straight = run(None, &mut |_| Flow::Continue);
        let mut from = None;
        let mut parts = 0;
        let ended = loop {
            parts += 1;
            let (mut steps, mut left) = (0, None);
            let outcome = run(from.take(), &mut |event| match event {
                Event::Snapshot { snapshot } => {
                    left = Some(snapshot.state());
                    Flow::Continue
                }
                Event::Step { .. } => {
                    steps += 1;
                    if steps == 3 { Flow::Stop } else { Flow::Continue }
                }
                _ => Flow::Continue,
            });
            from = left;
            if from.is_none() {
                break outcome;
            }
        };
        assert_ne!(ended.stopped, StopReason::Interrupted);
        // What has diverged is no number, and which of those is no promise.
        if ended.stopped == StopReason::Diverged {
            assert_eq!((ended.stopped, ended.last_epoch), (straight.stopped, straight.last_epoch));
        } else {
            assert_eq!(bits(&ended), bits(&straight), "{parts} parts");
        }
    }
}

#[test]
fn a_state_of_another_training_is_refused_by_reason() {
    let (train, valid) = some_digits(52, 20);
    let (net, config) = (architecture(&["linear 7", "relu", "linear 10"], &train), config());
    let state = stopped_at(13, |on_event| train_on(Isa::detect(), &net, &config, &train, &valid, 1, None, on_event));
    let state = state.expect("it was stopped");
    assert_eq!(state.arrays.len(), 12);
    let refusal = |change: &dyn Fn(&mut State)| {
        let mut other = state.clone();
        change(&mut other);
        other.check(&net, &config, train.len()).expect_err("it does not fit").to_string()
    };
    assert_eq!(refusal(&|s| drop(s.arrays.pop())), "it has 11 arrays, expected 12");
    let other = "it has no array \"moment1/fc1.weight\" of the shape [7, 784]";
    for change in
        [(|a| a.0.push('x')) as fn(&mut crate::interop::safetensors::Array), |a| a.1[0] = 8, |a| a.2.truncate(9)]
    {
        let at = state.arrays.iter().position(|array| array.0 == "moment1/fc1.weight").expect("it is there");
        assert_eq!(refusal(&|s| change(&mut s.arrays[at])), other);
    }
    assert_eq!(refusal(&|s| s.step = 9), "it is at step 9 of epoch 2, expected at most 8 of 3 epochs");
    assert_eq!(refusal(&|s| s.epochs[0].epoch = 2), "its epochs are not numbered from 1");
    assert!(refusal(&|s| s.epochs[0].valid_loss = f64::NAN).starts_with("it is at step "));
    assert!(refusal(&|s| s.loss_sum = f64::NAN).starts_with("its sum of losses and its time are NaN and "));
    assert!(refusal(&|s| s.train_time_s = -1.0).ends_with(" and -1"));
    assert!(refusal(&|s| s.train_time_s = 1e300).ends_with(&format!(" and {}", 1e300)));
    let shorter =
        TrainConfig { settings: TrainSettings { init: Init::Zero, epochs: 1, ..config.settings.clone() }, seed: 5 };
    assert!(state.check(&net, &shorter, train.len()).is_err());
}
