//! What a step does with all parameters at once, behind its backward pass, where a setting asks for it: gradients are
//! clipped by their norm, matrices take steps that are made orthogonal, and weights are averaged.
//!
//! Without these each parameter is updated by the operation that has its gradient, while both are in the cache.

use super::TrainSettings;
use super::muon::{Matrices, MatricesMemory, matrices_of};
use crate::aligned::Aligned;
use crate::batch::Batch;
use crate::model::Model;
use crate::optim::{Optimizer, Update};
use crate::step::{Learn, Step};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::optimizer_step::average_step;
use tenfold_kernels::orthogonal::sum_of_squares;

/// Elements that a thread takes at a time, and that one partial sum of the gradient's norm is of.
const PART: usize = 4096;

/// Some elements of the parameters.
struct Part {
    place: Range<usize>,
    /// What becomes of their gradients, if they have any.
    by: By,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// They are not learned.
    Nobody,
    /// An update of each by itself.
    Element,
    /// A step of a whole matrix.
    Matrix,
}

/// The memory of it.
pub(super) struct AtOnceMemory {
    clip_norm: Option<f64>,
    parts: Vec<Part>,
    /// Of each part's gradients, the sum of squares.
    squares: Vec<f64>,
    /// All gradients, laid out like the parameters, where they must be there before the first update.
    gradients: Option<Aligned>,
    /// The average of the weights, where there is one.
    pub(super) average: Option<Average>,
    matrices: MatricesMemory,
}

/// A moving average of the weights.
pub(super) struct Average {
    /// The share of it that a step leaves.
    ema: f64,
    pub(super) values: Aligned,
}

/// Whether every gradient must be there before the first update.
fn gradients_wait(settings: &TrainSettings) -> bool {
    matches!(settings.optimizer, Optimizer::Muon { .. }) || settings.clip_norm.is_some()
}

impl AtOnceMemory {
    pub(super) fn new(model: &Model, settings: &TrainSettings) -> AtOnceMemory {
        let muon = matches!(settings.optimizer, Optimizer::Muon { .. });
        let matrices = if muon { matrices_of(model) } else { Vec::new() };
        let mut parts = Vec::new();
        for (number, (_, array)) in model.graph.arrays().enumerate() {
            let by = match array.learned {
                false => By::Nobody,
                true if matrices.contains(&number) => By::Matrix,
                true => By::Element,
            };
            for start in array.place.clone().step_by(PART) {
                parts.push(Part { place: start..(start + PART).min(array.place.end), by });
            }
        }
        let all = || Aligned::zeroed(model.graph.param_len);
        AtOnceMemory {
            clip_norm: settings.clip_norm,
            squares: vec![0.0; parts.len()],
            parts,
            gradients: gradients_wait(settings).then(all),
            average: settings.ema.map(|ema| Average { ema, values: model.values.clone() }),
            matrices: MatricesMemory::new(model, &matrices),
        }
    }

    /// Floats that it takes for each parameter.
    pub(super) fn floats_per_parameter(settings: &TrainSettings) -> u64 {
        let muon = matches!(settings.optimizer, Optimizer::Muon { .. });
        // Muon: places to and fro, and the largest matrix three times.
        u64::from(gradients_wait(settings)) + u64::from(settings.ema.is_some()) + if muon { 5 } else { 0 }
    }

    /// What becomes of gradients in the backward pass, and what is done behind it.
    pub(super) fn share<'s>(&'s mut self, moments: [&'s mut Aligned; 2]) -> (Learn<'s>, AtOnce<'s>) {
        let [moment1, moment2] = moments.map(|moment| Arena::new(moment.as_mut_slice()));
        let (learn, moments) = match &mut self.gradients {
            None => (Learn::Update { moment1, moment2 }, None),
            Some(gradients) => (Learn::Store(Arena::new(gradients.as_mut_slice())), Some([moment1, moment2])),
        };
        let at_once = AtOnce {
            clip_norm: self.clip_norm,
            parts: &self.parts,
            squares: Arena::new(&mut self.squares),
            moments,
            average: self.average.as_mut().map(|average| (average.ema, Arena::new(average.values.as_mut_slice()))),
            matrices: self.matrices.share(),
        };
        (learn, at_once)
    }
}

/// What threads share of it.
pub(super) struct AtOnce<'a> {
    clip_norm: Option<f64>,
    parts: &'a [Part],
    squares: Arena<'a, f64>,
    /// What the optimizer keeps, where gradients wait in the step's [`Learn::Store`].
    moments: Option<[Arena<'a, f32>; 2]>,
    /// The share of the average that a step leaves, and the average.
    average: Option<(f64, Arena<'a, f32>)>,
    matrices: Matrices<'a>,
}

impl AtOnce<'_> {
    /// This thread's share, behind its share of the backward pass; the caller's next meeting ends it.
    pub(super) fn run(&self, step: &Step, worker: &Worker, batch: &Batch) {
        if self.moments.is_none() && self.average.is_none() {
            return;
        }
        // Every gradient is there, or every weight updated.
        worker.barrier();
        if let Some(moments) = &self.moments {
            self.update(step, worker, batch, moments);
        }
        if let Some((ema, average)) = &self.average {
            // At the first step the average is what came of it, as with PyTorch's `AveragedModel`.
            let rest = if batch.step == Some(0) { 1.0 } else { (1.0 - ema) as f32 };
            for part in &self.parts[worker.share(self.parts.len())] {
                let (weight, mut average) = (step.params.read(part.place.clone()), average.write(part.place.clone()));
                average_step(step.isa, rest, &weight, &mut average);
            }
        }
    }

    /// Updates the parameters with the gradients that have waited; those of a part are updated by the thread that has
    /// it.
    fn update(&self, step: &Step, worker: &Worker, batch: &Batch, [moment1, moment2]: &[Arena<f32>; 2]) {
        let (Learn::Store(gradients), Some(update)) = (&step.learn, &batch.update) else {
            unreachable!("gradients wait to be learned from")
        };
        let share = worker.share(self.parts.len());
        let factor = self.clip_norm.map(|most| self.factor(step, worker, gradients, most));
        for part in &self.parts[share] {
            let place = || part.place.clone();
            if part.by == By::Nobody {
                continue;
            }
            let mut grad = gradients.write(place());
            if let Some(factor) = factor {
                grad.iter_mut().for_each(|grad| *grad *= factor);
            }
            match (part.by, update) {
                (By::Matrix, Update::Muon(muon)) => muon.direction(step.isa, &mut grad, &mut moment1.write(place())),
                _ => {
                    let (mut moment1, mut moment2) = (moment1.write(place()), moment2.write(place()));
                    update.apply(step.isa, &grad, &mut step.params.write(place()), &mut moment1, &mut moment2);
                }
            }
        }
        if let Update::Muon(muon) = update {
            worker.barrier();
            self.matrices.step(step, worker, gradients, muon);
            // Other threads' matrices are averaged by this one.
            worker.barrier();
        }
    }

    /// What gradients are multiplied by so that their norm is `most`, if it is more (R. Pascanu et al., *On the
    /// difficulty of training recurrent neural networks*, 2013; PyTorch's `clip_grad_norm_`).
    fn factor(&self, step: &Step, worker: &Worker, gradients: &Arena<f32>, most: f64) -> f32 {
        for at in worker.share(self.parts.len()) {
            let part = &self.parts[at];
            if part.by != By::Nobody {
                self.squares.write(at..at + 1)[0] = sum_of_squares(step.isa, &gradients.read(part.place.clone()));
            }
        }
        worker.barrier();
        let norm = self.squares.read(0..self.parts.len()).iter().sum::<f64>().sqrt();
        // Not `min`, which would hide what is no number.
        let factor = most / (norm + 1e-6);
        if factor > 1.0 { 1.0 } else { factor as f32 }
    }
}
