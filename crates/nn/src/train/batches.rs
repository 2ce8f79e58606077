//! Which examples each step of an epoch learns from, and how.

use super::TrainConfig;
use crate::batch::{Batch, Examples};
use crate::data::Dataset;
use crate::rng::{Rng, Stream, permutation};
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
    ) -> Batches<'a> {
        let order = permutation(data.len() as u32, &Rng::new(config.seed, Stream::Order, epoch as u64));
        let class_weights = config.settings.class_weights.of(data.labels(), data.classes());
        Batches { config, data, order, size, steps: steps_of(data.len(), size), first_step, class_weights }
    }

    /// Batch `index`, and what a step does with it.
    pub(super) fn get(&self, index: usize) -> Batch<'_> {
        let settings = &self.config.settings;
        let number = self.first_step + index as u64;
        let lr = settings.schedule.lr(settings.optimizer.lr(), number, self.steps as u64, settings.epochs as u64);
        let update = Some(settings.optimizer.update(number, lr));
        let (examples, next) = (self.examples(index), self.examples(index + 1));
        let counts =
            Counts { weights: self.class_weights.as_deref(), smoothing: self.config.settings.label_smoothing as f32 };
        Batch { examples, next, step: Some(number), update, counts }
    }

    /// None beyond the last batch.
    fn examples(&self, index: usize) -> Examples<'_> {
        let end = self.order.len();
        Examples::of(self.data, &self.order[(index * self.size).min(end)..((index + 1) * self.size).min(end)])
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
            let batches = Batches::new(&config, &data, epoch, 4, 0);
            assert_eq!(batches.steps, 3);
            (0..3).flat_map(|index| batches.get(index).examples.indices().to_vec()).collect::<Vec<u32>>()
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
        let batches = Batches::new(&config, &data, 1, 4, 30);
        for index in 0..2 {
            assert_eq!(batches.get(index).next.indices(), batches.get(index + 1).examples.indices());
        }
        assert_eq!((batches.get(2).len(), batches.get(2).next.len()), (3, 0));
        assert_eq!((0..3).map(|index| batches.get(index).step).collect::<Vec<_>>(), [30, 31, 32].map(Some));
    }
}
