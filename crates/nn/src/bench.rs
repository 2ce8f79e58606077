//! How fast a network trains and is evaluated on this machine.

use crate::data::Dataset;
use crate::evaluate::{Evaluator, evaluate_on};
use crate::model::Architecture;
use crate::op_times::{OpTimes, StepPart};
use crate::train::{EpochRun, Event, Flow, Halt, TrainConfig, Trainer};
use crate::workers::on_threads;
use serde::Serialize;
use std::time::{Duration, Instant};
use tenfold_kernels::Isa;
use tenfold_kernels::simd::peak::multiply_add;

/// What [`measure`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Training steps that were measured.
    pub steps: usize,
    /// Seconds of a step: median over the steps.
    pub step_s: f64,
    /// Of a tenth of the steps, each took less than this.
    pub step_low_s: f64,
    /// Of a tenth of the steps, each took more than this.
    pub step_high_s: f64,
    /// The median over the first tenth of the steps.
    pub first_tenth_s: f64,
    /// The median over the last tenth: where it is clearly longer, this training gets slower as it goes on.
    pub last_tenth_s: f64,
    /// Images a second through evaluation, the median of several passes.
    pub evaluation_images_per_s: f64,
    /// Where the time of a step goes, if that was asked for.
    pub blocks: Vec<BlockTime>,
}

/// Mean time of one block of layers in a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockTime {
    /// Its layers.
    pub name: String,
    /// Seconds forward.
    pub forward_s: f64,
    /// Seconds backward, the update of the parameters included.
    pub backward_s: f64,
}

/// Steps before the first that counts: caches, branch predictors and clock are then as they will be.
const WARM_UP: usize = 5;
/// Steps that are measured at least, however long they take.
const AT_LEAST: usize = 5;
/// Passes over the images that are evaluated.
const PASSES: usize = 5;

/// How much [`measure`] measures. It ends with what is reached first, but not before a few steps are done.
pub struct Effort<'a> {
    /// The instructions that are used.
    pub isa: Isa,
    /// Seconds of training.
    pub seconds: f64,
    /// Training steps.
    pub steps: usize,
    /// Whether the parts of a step are timed too.
    pub blocks: bool,
    /// Says between steps whether nobody wants the answer any more.
    pub stop: &'a dyn Fn() -> bool,
}

impl Effort<'_> {
    /// The most [`Effort::steps`] that there may be: their times take a few megabytes.
    pub const STEPS: usize = 1 << 20;
}

/// Trains a network of its own on `train`, with optimizer states as a training past its first thousand steps has
/// them, then evaluates `valid`.
/// `None` if the training diverges, or is stopped, before enough steps are done.
///
/// # Panics
/// Like [`crate::train::train`].
pub fn measure(
    architecture: &Architecture,
    config: &TrainConfig,
    train: &Dataset,
    valid: &Dataset,
    threads: usize,
    effort: &Effort,
) -> Option<Speed> {
    let isa = effort.isa;
    let mut trainer = Trainer::new(isa, architecture, config, train, threads).grown_old();
    trainer.times = effort.blocks.then(|| OpTimes::new(trainer.model.graph.nodes.len()));
    let started = Instant::now();
    let most = effort.steps.min(Effort::STEPS);
    let mut times = Vec::with_capacity(most);
    let mut stopped = false;
    let mut epoch = 0;
    let mut enough = false;
    let mut warm_up = WARM_UP;
    while !enough {
        epoch += 1;
        let mut last = Instant::now();
        let mut run = EpochRun::default();
        let halt = trainer.epoch(epoch, train, &mut run, &mut |event| {
            match event {
                // The first step of an epoch pays for the start of the threads: an epoch does, a step does not.
                Event::Step { step: 1, .. } => {}
                Event::Step { .. } if warm_up > 0 => warm_up -= 1,
                Event::Step { .. } => times.push(last.elapsed()),
                // Told by a training; this is its steps alone.
                Event::EpochStarted { .. }
                | Event::Evaluating { .. }
                | Event::Epoch { .. }
                | Event::Snapshot { .. } => {}
            }
            last = Instant::now();
            let over = times.len() >= most || started.elapsed() > Duration::from_secs_f64(effort.seconds);
            enough = times.len() >= AT_LEAST && over;
            stopped = (effort.stop)();
            if enough || stopped { Flow::Stop } else { Flow::Continue }
        });
        if stopped || (halt == Halt::Diverged && times.len() < AT_LEAST) {
            return None;
        }
        // A training set of one or two steps never leaves the first ones behind.
        if times.is_empty() && halt == Halt::EpochDone && epoch > 2 * WARM_UP {
            times.push(run.time / train.len().div_ceil(config.settings.batch_size) as u32);
            enough = true;
        }
    }
    let tenth = times.len().div_ceil(10);
    let [first_tenth_s, last_tenth_s] = [&times[..tenth], &times[times.len() - tenth..]].map(|times| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    times.sort();
    let at = |tenths: usize| times[(times.len() - 1) * tenths / 10].as_secs_f64();
    let mut evaluator = Evaluator::new(&trainer.model, valid.len(), threads);
    let pass = |_| {
        let started = Instant::now();
        evaluate_on(isa, &mut evaluator, &trainer.model, valid, threads, false, &mut |_| Flow::Continue);
        started.elapsed().as_secs_f64()
    };
    let mut passes: Vec<f64> = (0..PASSES).map(pass).collect();
    passes.sort_by(f64::total_cmp);
    let evaluation = passes[PASSES / 2];
    Some(Speed {
        steps: times.len(),
        step_s: at(5),
        step_low_s: at(1),
        step_high_s: at(9),
        first_tenth_s,
        last_tenth_s,
        evaluation_images_per_s: valid.len() as f64 / evaluation,
        blocks: trainer.times.as_ref().map_or(Vec::new(), |times| block_times(&trainer, times)),
    })
}

fn block_times(trainer: &Trainer, times: &OpTimes) -> Vec<BlockTime> {
    let steps = trainer.steps() as f64;
    let mean = |part: StepPart| times.time(part).as_secs_f64() / steps;
    let (nodes, layers) = (&trainer.model.graph.nodes, trainer.model.architecture().layers());
    let mut blocks = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let names: Vec<String> = node.layers.iter().map(|&at| layers[at].layer.to_string()).collect();
        let name = match names[..] {
            [] if node.inputs.is_empty() => "pixels".to_owned(),
            [] => "copy with another border or stride".to_owned(),
            _ => names.join(", "),
        };
        let (forward_s, backward_s) = (mean(StepPart::Forward(at)), mean(StepPart::Backward(at)));
        blocks.push(BlockTime { name, forward_s, backward_s });
    }
    blocks.push(BlockTime { name: "softmax, cross-entropy".into(), forward_s: mean(StepPart::Loss), backward_s: 0.0 });
    blocks
}

/// Floating-point operations of one training image as the layers say, every multiply-add counted as two: forward,
/// gradients of the weights, and gradients of the inputs except the first layer's.
pub fn dense_flop(architecture: &Architecture) -> u64 {
    let macs: Vec<u64> = architecture.layers().iter().map(|info| info.macs).collect();
    let first = macs.iter().copied().find(|&macs| macs > 0).unwrap_or(0);
    2 * (3 * macs.iter().sum::<u64>() - first)
}

/// Floating-point operations a second that this machine does on `threads` threads when it does nothing but f32
/// multiply-adds in registers: the best of several tries.
pub fn peak_flops(isa: Isa, threads: usize) -> f64 {
    let rounds = 2_000_000;
    let once = |_| {
        let program = |worker: &crate::workers::Worker, _: &mut ()| {
            // The first round wakes the clock up.
            multiply_add(isa, rounds / 4);
            worker.barrier();
            let started = Instant::now();
            let operations = multiply_add(isa, rounds);
            worker.barrier();
            operations as f64 * threads as f64 / started.elapsed().as_secs_f64()
        };
        let other = |worker: &crate::workers::Worker, local: &mut ()| {
            program(worker, local);
        };
        on_threads(threads, &mut vec![(); threads], other, program)
    };
    (0..5).map(once).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ImageShape, Source};
    use crate::optim::Optimizer;
    use crate::train::TrainSettings;

    fn architecture(layers: &[&str], shape: ImageShape) -> Architecture {
        let layers = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        Architecture::new(shape, layers, 10).expect("fits")
    }

    #[test]
    fn operations_are_those_of_the_published_networks() {
        let shape = ImageShape { channels: 1, height: 28, width: 28 };
        // Counted by hand: twice forward, weight gradients, and input gradients of all layers but the first.
        assert_eq!(dense_flop(&architecture(&["linear 10"], shape)), 31_360);
        let cnn2 = [
            "conv 32 5x5 same",
            "relu",
            "maxpool 2",
            "conv 64 5x5 same",
            "relu",
            "maxpool 2",
            "linear 1024",
            "relu",
            "linear 10",
        ];
        assert_eq!(dense_flop(&architecture(&cnn2, shape)), 82_049_024);
    }

    #[test]
    fn blocks_cover_the_layers_and_their_time_the_step() {
        let splits = Source::mnist().split(59_000, 0).expect("splits");
        let net = architecture(
            &["conv 4 3x3 same", "relu", "maxpool 2", "linear 20", "tanh", "linear 10"],
            splits.train.shape(),
        );
        let speed = measure(
            &net,
            &TrainConfig::default(),
            &splits.train,
            &splits.valid.select(&(0..64).collect::<Vec<u32>>()),
            1,
            &Effort { isa: Isa::detect(), seconds: 0.0, steps: Effort::STEPS, blocks: true, stop: &|| false },
        )
        .expect("it does not diverge");
        let names: Vec<&str> = speed.blocks.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(
            names,
            ["pixels", "conv 4 3x3 same, relu, maxpool 2", "linear 20, tanh", "linear 10", "softmax, cross-entropy"]
        );
        assert!(speed.steps >= AT_LEAST && speed.step_low_s <= speed.step_s && speed.step_s <= speed.step_high_s);
        assert!(speed.blocks[1..4].iter().all(|b| b.forward_s > 0.0 && b.backward_s > 0.0), "{speed:?}");
        assert!(peak_flops(Isa::detect(), 1) > 1e6);
    }

    #[test]
    fn a_training_that_diverges_ends() {
        let splits = Source::mnist().split(59_000, 0).expect("splits");
        let net = architecture(&["linear 20", "linear 10"], splits.train.shape());
        let optimizer = Optimizer::Sgd { lr: 1e3, momentum: 0.0, nesterov: false, weight_decay: 1e3 };
        let config = TrainSettings { optimizer, ..TrainSettings::default() }.with_seed(1);
        let effort =
            Effort { isa: Isa::detect(), seconds: 3600.0, steps: Effort::STEPS, blocks: false, stop: &|| false };
        assert_eq!(measure(&net, &config, &splits.train, &splits.valid, 1, &effort), None);
    }

    #[test]
    fn a_measurement_ends_with_its_steps_or_when_it_is_stopped() {
        let splits = Source::mnist().split(59_000, 0).expect("splits");
        let net = architecture(&["linear 10"], splits.train.shape());
        let few = splits.valid.select(&(0..64).collect::<Vec<u32>>());
        let run = |stop: &dyn Fn() -> bool| {
            let effort = Effort { isa: Isa::detect(), seconds: 3600.0, steps: 7, blocks: false, stop };
            measure(&net, &TrainConfig::default(), &splits.train, &few, 1, &effort)
        };
        assert_eq!(run(&|| false).expect("it does not diverge").steps, 7);
        assert_eq!(run(&|| true), None);
    }
}
