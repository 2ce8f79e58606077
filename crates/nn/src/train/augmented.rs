//! Trainings whose images are changed: they learn from what the augmenter makes, to the same bits everywhere.

use super::testing::some_digits;
use super::*;
use crate::augment::Augmenter;

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

#[test]
fn bits_are_the_same_everywhere_and_after_a_stop_at_any_step() {
    let (train, valid) = some_digits(52, 20);
    let (isas, net) = (Isa::available(), net(&train));
    for augment in all() {
        let config = config(augment, 2);
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
