//! Which examples each step of an epoch learns from, and how.

use super::TrainConfig;
use super::staged::{StagedEpoch, StagedImages};
use crate::batch::{Batch, Examples};
use crate::data::Dataset;
use crate::rng::{Rng, Stream, permutation};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::softmax_cross_entropy::Counts;

/// The batches of one epoch, in its order.
pub(super) struct Batches<'a> {
    config: &'a TrainConfig,
    data: &'a Dataset,
    /// All examples, shuffled.
    order: Vec<u32>,
    /// Examples of a batch; the last has what is left.
    size: usize,
    /// Batches, and so steps, of an epoch.
    steps: usize,
    /// Number of the epoch's first step, counted from the beginning of the training.
    first_step: u64,
    class_weights: Option<Vec<f32>>,
    /// Where images are changed before they are learned from.
    staged: Option<StagedEpoch<'a>>,
}

/// How many batches of `size` there are in an epoch over so many examples, the last perhaps a smaller one.
pub(super) fn steps_of(examples: usize, size: usize) -> usize {
    examples.div_ceil(size)
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        config: &'a TrainConfig,
        data: &'a Dataset,
        epoch: usize,
        size: usize,
        first_step: u64,
        staged: Option<&'a mut StagedImages>,
    ) -> Batches<'a> {
        let order = permutation(data.len() as u32, &Rng::new(config.seed, Stream::Order, epoch as u64));
        let class_weights = config.settings.class_weights.of(data.labels(), data.classes());
        let staged = staged.map(|images| images.epoch(epoch, data, &order));
        Batches { config, data, order, size, steps: steps_of(data.len(), size), first_step, class_weights, staged }
    }

    /// Makes this thread's share of the images of batch `index`, where there is such a batch and images are made for it.
    /// Meanwhile others may learn from the batch before.
    pub(super) fn prepare(&self, index: usize, worker: &Worker) {
        if let Some(staged) = &self.staged {
            staged.fill(index, &self.order[self.range(index)], worker);
        }
    }

    /// Gives batch `index`, and what a step does with it. It has been prepared, and all threads have met since.
    pub(super) fn with<R>(&self, index: usize, learn: impl FnOnce(&Batch) -> R) -> R {
        let range = self.range(index);
        match &self.staged {
            None => {
                let of = |range| Examples::of(self.data, &self.order[range]);
                learn(&self.batch(index, of(range), of(self.range(index + 1))))
            }
            Some(staged) => staged.with(index, range, |examples, next| learn(&self.batch(index, examples, next))),
        }
    }

    fn batch<'b>(&'b self, index: usize, examples: Examples<'b>, next: Examples<'b>) -> Batch<'b> {
        let settings = &self.config.settings;
        let number = self.first_step + index as u64;
        let lr = settings.schedule.lr(settings.optimizer.lr(), number, self.steps as u64, settings.epochs as u64);
        let update = Some(settings.optimizer.update(number, lr));
        let counts = Counts {
            weights: self.class_weights.as_deref(),
            smoothing: settings.label_smoothing as f32,
            mixed: self.staged.as_ref().and_then(|staged| staged.mixed(self.range(index))),
        };
        Batch { examples, next, step: Some(number), update, counts }
    }

    /// Where the examples of a batch are in the order; nowhere beyond the last batch.
    fn range(&self, index: usize) -> Range<usize> {
        let end = self.order.len();
        (index * self.size).min(end)..((index + 1) * self.size).min(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::TrainSettings;
    use crate::train::testing::some_digits;

    #[test]
    fn an_epoch_sees_every_example_once_and_no_other_epoch_in_the_same_order() {
        let (data, config) = (some_digits(11, 1).0, TrainSettings::default().with_seed(3));
        let seen = |epoch| {
            let batches = Batches::new(&config, &data, epoch, 4, 0, None);
            assert_eq!(batches.steps, 3);
            let of = |index| batches.with(index, |batch| batch.examples.indices().to_vec());
            (0..3).flat_map(of).collect::<Vec<u32>>()
        };
        let mut sorted = seen(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..11).collect::<Vec<u32>>());
        assert_eq!(seen(1), seen(1));
        assert_ne!(seen(1), seen(2));
    }

    #[test]
    fn the_next_batch_is_the_one_that_follows_and_after_the_last_there_is_none() {
        let (data, config) = (some_digits(11, 1).0, TrainSettings::default().with_seed(3));
        let batches = Batches::new(&config, &data, 1, 4, 30, None);
        for index in 0..2 {
            let next = batches.with(index, |batch| batch.next.indices().to_vec());
            assert_eq!(next, batches.with(index + 1, |batch| batch.examples.indices().to_vec()));
        }
        assert_eq!(batches.with(2, |batch| (batch.len(), batch.next.len())), (3, 0));
        let step = |index| batches.with(index, |batch| batch.step);
        assert_eq!((0..3).map(step).collect::<Vec<_>>(), [30, 31, 32].map(Some));
    }
}
