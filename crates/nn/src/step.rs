//! One batch through a network: forward, backward, and the update, on several threads.
//!
//! Every thread walks the nodes of the graph from the first to the last and back. Each operation is split in the way
//! that needs no sum over threads: by images where images are independent, by columns or weight rows where the batch is
//! summed, or in parts whose number does not depend on the threads. So the numbers do not depend on how many threads
//! there are.

use crate::batch::Batch;
use crate::graph::{Array, Node, ValueId};
use crate::layout::Layout;
use crate::op_times::{OpTimes, StepPart};
use crate::ops::{self, Operation, Run, Split};
use crate::plan::{Memory, Plan, Scratch};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::pixels::PixelTable;
use tenfold_kernels::{Isa, LANES};

/// What becomes of a gradient.
pub(crate) enum Learn<'a> {
    /// It updates its parameters at once, while they are in the cache: the two optimizer states per parameter.
    Update { moment1: Arena<'a, f32>, moment2: Arena<'a, f32> },
    /// It is stored, laid out like the parameters.
    #[cfg_attr(not(test), allow(dead_code, reason = "only tests look at gradients"))]
    Store(Arena<'a, f32>),
    /// There is none: evaluation.
    Nothing,
}

/// Everything the threads of a step share.
pub(crate) struct Step<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) isa: Isa,
    pub(crate) seed: u64,
    pub(crate) classes: usize,
    /// Value of each pixel value.
    pub(crate) pixels: &'a PixelTable,
    pub(crate) floats: Arena<'a, f32>,
    pub(crate) bytes: Arena<'a, u8>,
    pub(crate) losses: Arena<'a, f64>,
    pub(crate) correct: Arena<'a, u8>,
    pub(crate) params: Arena<'a, f32>,
    pub(crate) learn: Learn<'a>,
    /// Takes the time of every operation, where somebody wants to know.
    times: Option<&'a OpTimes>,
}

/// What a step is a step of.
#[derive(Clone, Copy)]
pub(crate) struct StepOf<'a> {
    pub(crate) isa: Isa,
    /// Dropout draws by it.
    pub(crate) seed: u64,
    pub(crate) classes: usize,
    pub(crate) pixels: &'a PixelTable,
}

impl<'a> Step<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        of: StepOf<'a>,
        memory: &'a mut Memory,
        params: Arena<'a, f32>,
        learn: Learn<'a>,
    ) -> Step<'a> {
        let StepOf { isa, seed, classes, pixels } = of;
        Step {
            plan,
            isa,
            seed,
            classes,
            pixels,
            floats: Arena::new(memory.floats.as_mut_slice()),
            bytes: Arena::new(&mut memory.bytes),
            losses: Arena::new(&mut memory.losses),
            correct: Arena::new(&mut memory.correct),
            params,
            learn,
            times: None,
        }
    }

    /// The same, with the time of every operation added to `times`.
    pub(crate) fn timed(mut self, times: Option<&'a OpTimes>) -> Step<'a> {
        self.times = times;
        self
    }

    fn time(&self, worker: &Worker, part: StepPart) {
        if let Some(times) = self.times {
            times.add(worker, part);
        }
    }

    /// Per example losses of the last batch, after all threads have met.
    pub(crate) fn with_losses<R>(&self, examples: usize, f: impl FnOnce(&[f64], &[u8]) -> R) -> R {
        f(&self.losses.read(0..examples), &self.correct.read(0..examples))
    }

    /// Logits of the last batch: where they are, and the row stride.
    pub(crate) fn logits<R>(&self, examples: Range<usize>, f: impl FnOnce(&[f32], usize) -> R) -> R {
        let logits = self.plan.graph.logits();
        let stride = self.plan.graph.values[logits.0].layout.image_len();
        f(&self.floats.read(self.plan.value(logits, examples)), stride)
    }

    /// What node `at` has written for image `image` of the last batch.
    pub(crate) fn output<R>(&self, at: usize, image: usize, f: impl FnOnce(&[f32], &Layout) -> R) -> R {
        let value = self.plan.graph.nodes[at].output;
        f(&self.floats.read(self.plan.value(value, image..image + 1)), &self.plan.graph.values[value.0].layout)
    }

    /// Runs the batch forward through nodes `0..until`. No meeting at the end: [`Step::loss`] begins with one where it
    /// must.
    pub(crate) fn forward(&self, worker: &Worker, scratch: &mut Scratch, batch: &Batch, until: usize) {
        assert!(batch.len() <= self.plan.batch_size, "the plan is for smaller batches");
        self.time(worker, StepPart::Elsewhere);
        for (at, node) in self.plan.graph.nodes[..until].iter().enumerate() {
            // A thread that goes on with its own images needs no other.
            let goes_on = |&input: &ValueId| {
                let producer = self.plan.graph.producer(input).expect("written before it is read");
                self.split(worker, &self.plan.graph.nodes[producer]) == Split::Images
            };
            let alone = !self.split(worker, node).needs_all_images() && node.inputs.iter().all(goes_on);
            if !node.inputs.is_empty() && !alone {
                worker.barrier();
            }
            node.op.forward(&self.run(worker, batch, at), scratch);
            self.time(worker, StepPart::Forward(at));
        }
    }

    fn run<'r>(&'r self, worker: &'r Worker<'r>, batch: &'r Batch<'r>, at: usize) -> Run<'r> {
        Run { step: self, node: &self.plan.graph.nodes[at], at, worker, batch }
    }

    /// How the threads share a node forward.
    pub(crate) fn split(&self, worker: &Worker, node: &Node) -> Split {
        node.op.split(worker.team(), self.plan.training)
    }

    /// This thread's share of `images` images in a node that is split by images.
    pub(crate) fn share(&self, worker: &Worker, node: &Node, images: usize) -> Range<usize> {
        let unit = if self.split(worker, node) == Split::Sixteens { LANES } else { 1 };
        let share = worker.share(images.div_ceil(unit));
        (share.start * unit).min(images)..(share.end * unit).min(images)
    }

    /// Loss of the batch, its gradient with respect to the logits, and whether each prediction is right.
    /// Ends with a meeting.
    pub(crate) fn loss(&self, worker: &Worker, scratch: &mut Scratch, batch: &Batch) {
        let last = self.plan.graph.nodes.last().expect("a network has a layer");
        if self.split(worker, last).needs_all_images() {
            worker.barrier();
        }
        let share = self.share(worker, last, batch.len());
        ops::loss::forward_backward(self, last.output, share, scratch, batch);
        worker.barrier();
        self.time(worker, StepPart::Loss);
    }

    /// Asks for the next images that this thread will look at: they lie far apart in the data.
    pub(crate) fn fetch(&self, worker: &Worker, batch: &Batch) {
        for (at, node) in self.plan.graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.is_empty()) {
            node.op.fetch(&self.run(worker, batch, at));
        }
    }

    /// Gradients from the logits to the first layer that learns, and what becomes of them. The caller's next meeting
    /// ends the step.
    pub(crate) fn backward(&self, worker: &Worker, scratch: &mut Scratch, batch: &Batch) {
        for (at, node) in self.plan.graph.nodes.iter().enumerate().rev() {
            if self.plan.graph.values[node.output.0].wants_gradient {
                node.op.backward(&self.run(worker, batch, at), scratch);
                if self.plan.graph.passes_gradient(&node.inputs) {
                    worker.barrier();
                }
                self.time(worker, StepPart::Backward(at));
            }
        }
    }

    /// Where the parameter `index` and what the optimizer keeps of it lie.
    pub(crate) fn learned_at<'s>(&self, index: usize, places: &'s mut [*const f32; 3]) -> &'s [*const f32] {
        places[0] = self.params.address(index);
        let Learn::Update { moment1, moment2 } = &self.learn else { return &places[..1] };
        (places[1], places[2]) = (moment1.address(index), moment2.address(index));
        places
    }

    /// Does with the gradient of the parameters of `array` from its element `first` on what is to be done with it.
    pub(crate) fn learn(&self, batch: &Batch, array: &Array, first: usize, grad: &[f32]) {
        if !array.learned {
            return;
        }
        let range = array.place.start + first..array.place.start + first + grad.len();
        assert!(range.end <= array.place.end, "a gradient of {} of an array of {}", grad.len(), array.place.len());
        match (&self.learn, &batch.update) {
            (Learn::Update { moment1, moment2 }, Some(update)) => {
                let (mut moment1, mut moment2) = (moment1.write(range.clone()), moment2.write(range.clone()));
                update.apply(self.isa, grad, &mut self.params.write(range), &mut moment1, &mut moment2);
            }
            (Learn::Store(gradients), _) => gradients.write(range).copy_from_slice(grad),
            _ => unreachable!("a gradient is computed only where something learns from it"),
        }
    }
}

/// Index of the largest value, the first of equals; NaN is never the largest.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate() {
        if v > values[best] || values[best].is_nan() {
            best = i;
        }
    }
    best
}
