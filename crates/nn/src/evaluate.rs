//! What a network makes of examples, without learning from them.

use crate::data::{Dataset, HeldOut};
use crate::model::{Layer, Model};
use crate::network::{Kind, Layout, Network};
use crate::plan::{Memory, Plan, Scratch};
use crate::step::{Batch, Learn, Step, argmax};
use crate::workers::{Worker, on_threads};
use tenfold_kernels::Isa;
use tenfold_kernels::softmax_cross_entropy::softmax;

/// What a network made of a set of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy per example, in nats.
    pub loss: f64,
    /// Share of examples whose class was predicted.
    pub accuracy: f64,
    /// The most probable class of each example, the first of equals.
    pub predictions: Vec<u8>,
    /// `[N, classes]`, each row summing to one.
    pub probabilities: Vec<f32>,
}

/// Images of one batch: enough to read the weights seldom, few enough to stay in the cache.
const BATCH: usize = 64;

/// Evaluates `model` on `data`, dropout switched off.
///
/// # Panics
/// If the data are empty or do not fit the model.
pub fn evaluate(model: &Model, data: &Dataset, threads: usize) -> Evaluation {
    let mut evaluator = Evaluator::new(model, data.len(), threads);
    evaluate_on(Isa::detect(), &mut evaluator, model, data, threads, true)
}

impl HeldOut {
    /// Evaluates `model` on the held-out examples. Once per finished training, after every choice has been made.
    pub fn evaluate(&self, model: &Model, threads: usize) -> Evaluation {
        evaluate(model, self.dataset(), threads)
    }
}

/// The memory of evaluation, to be used again and again.
pub(crate) struct Evaluator {
    plan: Plan,
    memory: Memory,
    scratch: Vec<Scratch>,
}

impl Evaluator {
    pub(crate) fn new(model: &Model, examples: usize, threads: usize) -> Evaluator {
        let plan = Plan::new(&model.network, BATCH.min(examples.max(1)), false);
        let (memory, scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect());
        Evaluator { plan, memory, scratch }
    }
}

/// [`evaluate`] on a given instruction set; predictions and probabilities only where `detailed`.
pub(crate) fn evaluate_on(
    isa: Isa,
    evaluator: &mut Evaluator,
    model: &Model,
    data: &Dataset,
    threads: usize,
    detailed: bool,
) -> Evaluation {
    assert!(!data.is_empty(), "there must be examples");
    let architecture = model.architecture();
    assert_eq!((data.shape(), data.classes()), (architecture.input(), architecture.classes()), "data fit the network");
    let Evaluator { plan, memory, scratch } = evaluator;
    let classes = architecture.classes();
    let pixels = model.pixels().table();
    // The parameters are only read, but the arena that shares them wants them for itself.
    let mut values = model.values.clone();
    let step = Step::new(&model.network, plan, isa, 0, classes, &pixels, memory, values.as_mut_slice(), Learn::Nothing);
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    let ops = model.network.ops.len();
    let run = |worker: &Worker, scratch: &mut Scratch, indices: &[u32]| {
        let batch = Batch { indices, next: &[], step: None, update: None };
        step.forward(worker, scratch, data, &batch, ops);
        step.loss(worker, scratch, data, &batch);
    };
    let (mut loss, mut hits) = (0.0, 0_u64);
    let (mut predictions, mut probabilities) = (Vec::new(), Vec::new());
    if detailed {
        probabilities = vec![0.0; data.len() * classes];
    }
    on_threads(
        threads,
        scratch,
        |worker, scratch| {
            for indices in indices.chunks(plan.batch_size) {
                run(worker, scratch, indices);
                worker.meet();
            }
        },
        |worker, scratch| {
            let mut done = 0;
            for indices in indices.chunks(plan.batch_size) {
                run(worker, scratch, indices);
                step.with_losses(indices.len(), |losses, right| {
                    loss += losses.iter().sum::<f64>();
                    hits += right.iter().map(|&hit| u64::from(hit)).sum::<u64>();
                });
                if detailed {
                    step.logits(0..indices.len(), |logits, stride| {
                        predictions.extend(logits.chunks_exact(stride).map(|row| argmax(&row[..classes]) as u8));
                        let out = &mut probabilities[done * classes..(done + indices.len()) * classes];
                        softmax(isa, logits, stride, classes, out);
                    });
                }
                done += indices.len();
                worker.meet();
            }
        },
    );
    let examples = data.len() as f64;
    Evaluation { loss: loss / examples, accuracy: hits as f64 / examples, predictions, probabilities }
}

/// The output of one convolution for one image, `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMaps {
    /// Number of maps.
    pub channels: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// The convolution's output, bias included, before any activation.
    pub before: Vec<f32>,
    /// The same after ReLU.
    pub after: Vec<f32>,
}

/// The output of the convolution called `layer` for one image of the data set's shape (`[C, H, W]`, u8), before and
/// after ReLU; `None` if the network has no such convolution.
///
/// # Panics
/// If the image has another size.
pub fn feature_maps(model: &Model, image: &[u8], layer: &str) -> Option<FeatureMaps> {
    let architecture = model.architecture();
    let index = architecture.layers().iter().position(|l| l.name == layer && matches!(l.layer, Layer::Conv { .. }))?;
    // The convolution alone, without the activation that runs with it.
    let mut network = Network::unfused(architecture);
    let at = network.ops.iter().position(|op| op.layer == index)?;
    network.ops[at].activation = None;
    let plan = Plan::new(&network, 1, false);
    let (mut memory, mut scratch) = (plan.memory(), vec![plan.scratch()]);
    let mut values = model.values.clone();
    let pixels = model.pixels().table();
    let data = Dataset::new(image.to_vec(), vec![0], architecture.input(), architecture.classes())
        .expect("the image has the size of the network's input");
    let classes = architecture.classes();
    let values = values.as_mut_slice();
    let step = Step::new(&network, &plan, Isa::detect(), 0, classes, &pixels, &mut memory, values, Learn::Nothing);
    on_threads(
        1,
        &mut scratch,
        |_, _| {},
        |worker, scratch| {
            step.forward(worker, scratch, &data, &Batch { indices: &[0], next: &[], step: None, update: None }, at + 1);
        },
    );
    debug_assert!(matches!(network.ops[at].kind, Kind::Conv { .. }));
    step.output(at, 0, |packed, layout| {
        let Layout::Planes(planes) = layout else { unreachable!("convolutions give planes") };
        let (channels, height, width) = (planes.channels, planes.height, planes.width);
        let mut before = Vec::with_capacity(channels * height * width);
        for c in 0..channels {
            for y in 0..height {
                before.extend((0..width).map(|x| packed[planes.index(c, y, x)]));
            }
        }
        let after = before.iter().map(|&v| if v > 0.0 { v } else { 0.0 }).collect();
        Some(FeatureMaps { channels, height, width, before, after })
    })
}
