//! What a network makes of examples, without learning from them.

use crate::batch::Batch;
use crate::data::{Dataset, HeldOut};
use crate::model::Model;
use crate::plan::{Memory, Plan, Scratch};
use crate::step::{Learn, Step, StepOf, argmax};
use crate::train::Flow;
use crate::workers::{Worker, on_threads};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use tenfold_kernels::Isa;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::softmax_cross_entropy::softmax;

/// What a network made of a set of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy per example, in nats.
    pub loss: f64,
    /// Share of examples whose class was predicted.
    pub accuracy: f64,
    /// The most probable class of each example, the first of equals.
    pub predictions: Vec<u16>,
    /// `[N, classes]`, each row summing to one.
    pub probabilities: Vec<f32>,
}

/// Images of one batch: enough to read the weights seldom, few enough to stay in the cache.
pub(crate) const BATCH: usize = 64;

/// Evaluates `model` on `data`, dropout switched off.
///
/// # Panics
/// If the data are empty or do not fit the model.
pub fn evaluate(model: &Model, data: &Dataset, threads: usize) -> Evaluation {
    evaluate_while(model, data, threads, &mut || Flow::Continue).expect("nobody stops it")
}

/// [`evaluate`], asking after each batch whether to go on; `None` if the answer was [`Flow::Stop`].
///
/// # Panics
/// As [`evaluate`].
pub fn evaluate_while(
    model: &Model,
    data: &Dataset,
    threads: usize,
    go_on: &mut dyn FnMut() -> Flow,
) -> Option<Evaluation> {
    let mut evaluator = Evaluator::new(model, data.len(), threads);
    evaluate_on(Isa::detect(), &mut evaluator, model, data, threads, true, &mut |_| go_on())
}

impl HeldOut {
    /// Evaluates `model` on the held-out examples. Once per finished training, after every choice has been made.
    pub fn evaluate(&self, model: &Model, threads: usize) -> Evaluation {
        evaluate(model, self.dataset(), threads)
    }

    /// [`HeldOut::evaluate`], asking after each batch whether to go on; `None` if the answer was [`Flow::Stop`].
    pub fn evaluate_while(&self, model: &Model, threads: usize, go_on: &mut dyn FnMut() -> Flow) -> Option<Evaluation> {
        evaluate_while(model, self.dataset(), threads, go_on)
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
        let folded = model.folded();
        let plan = Plan::new(&folded.as_ref().unwrap_or(model).graph, BATCH.min(examples.max(1)), false);
        let (memory, scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect());
        Evaluator { plan, memory, scratch }
    }
}

/// [`evaluate`] on a given instruction set; predictions and probabilities only where `detailed`. After each batch
/// `on_batch` is told how many examples are done; `None` if it says that this is to end.
pub(crate) fn evaluate_on(
    isa: Isa,
    evaluator: &mut Evaluator,
    model: &Model,
    data: &Dataset,
    threads: usize,
    detailed: bool,
    on_batch: &mut dyn FnMut(usize) -> Flow,
) -> Option<Evaluation> {
    let classes = model.architecture().classes();
    let (mut loss, mut correct) = (0.0, 0_u64);
    let (mut predictions, mut probabilities) = (Vec::new(), Vec::new());
    if detailed {
        probabilities = vec![0.0; data.len() * classes];
    }
    let whole = batches(isa, evaluator, model, data, threads, |step, examples| {
        step.with_losses(examples.len(), |losses, right| {
            loss += losses.iter().sum::<f64>();
            correct += right.iter().map(|&hit| u64::from(hit)).sum::<u64>();
        });
        if detailed {
            step.logits(0..examples.len(), |logits, stride| {
                predictions.extend(logits.chunks_exact(stride).map(|row| argmax(&row[..classes]) as u16));
                let out = &mut probabilities[examples.start * classes..examples.end * classes];
                softmax(isa, logits, stride, classes, out);
            });
        }
        on_batch(examples.end)
    });
    let examples = data.len() as f64;
    whole.then(|| Evaluation { loss: loss / examples, accuracy: correct as f64 / examples, predictions, probabilities })
}

/// Probabilities, `[N, classes]`, as if their logits had been divided by the temperature. The most probable class of each
/// row, the first of equals, stays the same.
pub fn divide_logits(probabilities: &mut [f32], classes: usize, temperature: f64) {
    probabilities.chunks_exact_mut(classes).for_each(|row| {
        let class = argmax(row);
        // In parts of the largest, which stays 1: no temperature makes all of them vanish.
        let most = f64::from(row[class].max(f32::MIN_POSITIVE));
        let powers: Vec<f64> = row.iter().map(|&p| (f64::from(p) / most).powf(1.0 / temperature)).collect();
        let sum: f64 = powers.iter().sum();
        row.iter_mut().zip(powers).for_each(|(p, power)| *p = (power / sum) as f32);
        // What was less by the last digit may have become equal.
        let most = row[class];
        row[..class].iter_mut().filter(|p| **p >= most).for_each(|p| *p = most.next_down());
    });
}

/// What several networks say together of the same examples: the mean of their probabilities, each `[N, classes]`. One
/// after the other is taken.
pub fn mean_probabilities(each: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut networks = each.into_iter();
    let mut sums: Vec<f64> = networks.next().unwrap_or_default().into_iter().map(f64::from).collect();
    let mut n = 1.0;
    for probabilities in networks {
        sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += f64::from(p));
        n += 1.0;
    }
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// The logits of all examples, `[N, classes]`.
pub(crate) fn logits(evaluator: &mut Evaluator, model: &Model, data: &Dataset, threads: usize) -> Vec<f32> {
    let classes = model.architecture().classes();
    let mut all = Vec::with_capacity(data.len() * classes);
    batches(Isa::detect(), evaluator, model, data, threads, |step, examples| {
        step.logits(0..examples.len(), |logits, stride| {
            all.extend(logits.chunks_exact(stride).flat_map(|row| &row[..classes]));
        });
        Flow::Continue
    });
    all
}

/// Runs `data` forward, batch by batch, and after each shows it to `each` with the range of its examples, until that
/// says [`Flow::Stop`]. Whether all of them ran.
fn batches(
    isa: Isa,
    evaluator: &mut Evaluator,
    model: &Model,
    data: &Dataset,
    threads: usize,
    mut each: impl FnMut(&Step, Range<usize>) -> Flow,
) -> bool {
    assert!(!data.is_empty(), "there must be examples");
    let folded = model.folded();
    let model = folded.as_ref().unwrap_or(model);
    let architecture = model.architecture();
    assert_eq!((data.shape(), data.classes()), (architecture.input(), architecture.classes()), "data fit the network");
    let Evaluator { plan, memory, scratch } = evaluator;
    let classes = architecture.classes();
    let pixels = model.pixels().table(architecture.input());
    let of = StepOf { isa, seed: 0, classes, pixels: &pixels };
    let step = Step::new(plan, of, memory, Arena::shared(model.values.as_slice()), Learn::Nothing);
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    let nodes = plan.graph.nodes.len();
    let run = |worker: &Worker, scratch: &mut Scratch, indices: &[u32]| {
        let batch = Batch::evaluated(data, indices);
        step.forward(worker, scratch, &batch, nodes);
        step.loss(worker, scratch, &batch);
    };
    // Written by the first thread after a batch, read by all after the next meeting.
    let stop = AtomicBool::new(false);
    on_threads(
        threads,
        scratch,
        |worker, scratch| {
            for indices in indices.chunks(plan.batch_size) {
                run(worker, scratch, indices);
                worker.barrier();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        },
        |worker, scratch| {
            let mut done = 0;
            for indices in indices.chunks(plan.batch_size) {
                run(worker, scratch, indices);
                let flow = each(&step, done..done + indices.len());
                done += indices.len();
                stop.store(flow == Flow::Stop, Ordering::Relaxed);
                worker.barrier();
                if flow == Flow::Stop {
                    break;
                }
            }
        },
    );
    !stop.into_inner()
}
