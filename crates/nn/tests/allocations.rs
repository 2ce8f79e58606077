//! A training step allocates nothing.

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenfold_nn::augment::Augment;
use tenfold_nn::data::{Dataset, Source};
use tenfold_nn::model::Architecture;
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::{Event, Flow, StopReason, TrainSettings, train};

/// Counts what every thread of this process asks for.
#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Steps at the start of an epoch that may allocate.
const WARM_UP: usize = 5;

const EPOCHS: usize = 2;

/// Requests of any kind.
fn requests(stats: Stats) -> usize {
    stats.allocations + stats.deallocations + stats.reallocations
}

/// Trains a network on two threads, and gives for each epoch how often anything was allocated, moved or freed between
/// the end of step number [`WARM_UP`] and the end of the last. `during` is called at the end of each step in between.
fn requests_while_training(
    layers: &[&str],
    settings: TrainSettings,
    (examples, valid): (&Dataset, &Dataset),
    mut during: impl FnMut(usize),
) -> [usize; EPOCHS] {
    let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
    let net = Architecture::new(examples.shape(), parsed, examples.classes()).expect("fits");
    let mut counts = [usize::MAX; EPOCHS];
    let outcome = train(&net, &settings.with_seed(1), examples, valid, 2, &mut |event| {
        if let Event::Step { epoch, step, steps, .. } = *event {
            if step == WARM_UP {
                // A thread of the epoch before may still be freeing what it was started with.
                std::thread::sleep(Duration::from_millis(50));
                counts[epoch - 1] = requests(COUNTING.stats());
            } else if step == steps {
                counts[epoch - 1] = requests(COUNTING.stats()) - counts[epoch - 1];
            } else if step > WARM_UP {
                during(step);
            }
        }
        Flow::Continue
    });
    assert_eq!((outcome.stopped, outcome.epochs.len()), (StopReason::Epochs, EPOCHS), "{layers:?}");
    counts
}

/// The only test of its process: another would allocate at the same time.
#[test]
fn a_training_step_allocates_nothing() {
    let all = Source::mnist().train;
    let some = |first: u32, count: u32| all.select(&(first..first + count).collect::<Vec<_>>());
    // The last batch of an epoch is smaller than the others.
    let data = (&some(0, 305), &some(1_000, 40));
    let settings = TrainSettings { batch_size: 20, epochs: EPOCHS, ..TrainSettings::default() };

    let momentum = Optimizer::Sgd { lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
    let one_cycle = Schedule::OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 };
    let decoupled = Optimizer::AdamW { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 };
    let cnn2 = [
        "conv 16 5x5 same",
        "relu",
        "maxpool 2",
        "conv 32 5x5 same",
        "relu",
        "maxpool 2",
        "linear 64",
        "relu",
        "dropout 0.5",
        "linear 10",
    ];
    let awkward = [
        "conv 5 3x3 stride 2",
        "tanh",
        "dropout 0.2",
        "conv 16 3x3 same",
        "relu",
        "maxpool 3 stride 2",
        "conv 18 2x2",
        "sigmoid",
        "avgpool 2",
        "linear 20",
        "tanh",
        "dropout 0.5",
        "linear 10",
    ];
    for (layers, settings) in [
        (&["linear 10"][..], settings.clone()),
        (
            &["linear 200", "relu", "linear 200", "relu", "linear 10"],
            TrainSettings { optimizer: momentum, schedule: one_cycle, ..settings.clone() },
        ),
        (&cnn2, TrainSettings { batch_size: 33, augment: Augment::Characters, ..settings.clone() }),
        (&awkward, TrainSettings { optimizer: decoupled, ..settings.clone() }),
    ] {
        let counts = requests_while_training(layers, settings, data, |_| ());
        assert_eq!(counts, [0, 0], "requests in the epochs of {layers:?}");
    }

    // And a request would have been seen: from this thread, and from another.
    let here = requests_while_training(&["linear 10"], settings.clone(), data, |step| {
        if step == 7 {
            std::hint::black_box(Box::new(step));
        }
    });
    assert_eq!(here, [2, 2], "a box on this thread, allocated and freed in each epoch");
    let (asked, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let training = Arc::new(());
    let training_goes_on = Arc::downgrade(&training);
    let there = std::thread::scope(|scope| {
        // Dropped at the end, or while unwinding.
        let _training = training;
        scope.spawn(|| {
            while training_goes_on.strong_count() > 0 {
                if done.load(Ordering::Acquire) < asked.load(Ordering::Acquire) {
                    std::hint::black_box(Box::new(0));
                    done.fetch_add(1, Ordering::AcqRel);
                }
                std::thread::yield_now();
            }
        });
        requests_while_training(&["linear 10"], settings.clone(), data, |step| {
            if step == 7 {
                let all = asked.fetch_add(1, Ordering::AcqRel) + 1;
                while done.load(Ordering::Acquire) < all {
                    std::thread::yield_now();
                }
            }
        })
    });
    assert_eq!(there, [2, 2], "a box on another thread, allocated and freed in each epoch");
}
