//! Images that are made for a step, where they are not shown as the data set has them.

use super::TrainConfig;
use crate::augment::Augmenter;
use crate::batch::Examples;
use crate::data::{Dataset, ImageShape};
use crate::workers::Worker;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::softmax_cross_entropy::Mixed;

/// Two buffers for the images of a step: while the threads learn from one, each of them fills its part of the other.
pub(super) struct StagedImages {
    augmenter: Augmenter,
    buffers: [Vec<u8>; 2],
    /// An image for each thread, where images are mixed.
    room: Vec<u8>,
    image_len: usize,
}

/// The images of one epoch.
pub(super) struct StagedEpoch<'a> {
    augmenter: &'a Augmenter,
    epoch: usize,
    data: &'a Dataset,
    buffers: [Arena<'a, u8>; 2],
    room: Arena<'a, u8>,
    image_len: usize,
    /// Of all examples, in the order of the epoch.
    labels: Vec<u16>,
    /// Labels of what is mixed with them, and what they themselves keep; none where nothing is mixed.
    mixed: Option<(Vec<u16>, Vec<f32>)>,
    /// 0, 1, 2, ...: where the images of a batch lie in their buffer.
    places: Vec<u32>,
}

impl StagedImages {
    /// For batches of `size` and so many threads; none where images are shown as they are.
    pub(super) fn new(config: &TrainConfig, shape: ImageShape, size: usize, threads: usize) -> Option<StagedImages> {
        let augmenter = Augmenter::new(&config.settings.augment, shape, config.seed)?;
        let buffer = || vec![0; size * shape.len()];
        let room = vec![0; if augmenter.mixes() { threads * shape.len() } else { 0 }];
        Some(StagedImages { augmenter, buffers: [buffer(), buffer()], room, image_len: shape.len() })
    }

    /// Bytes of both buffers, and of what is mixed in.
    pub(super) fn bytes(shape: ImageShape, size: usize, threads: usize) -> u64 {
        ((2 * size + threads) * shape.len()) as u64
    }

    /// For an epoch over `data` in this order.
    pub(super) fn epoch<'a>(&'a mut self, epoch: usize, data: &'a Dataset, order: &[u32]) -> StagedEpoch<'a> {
        let StagedImages { augmenter, buffers, room, image_len } = self;
        let size = buffers[0].len() / *image_len;
        let label = |index: u32| data.labels()[index as usize];
        let mixture = |&index: &u32| augmenter.mixture(epoch, index, data.len());
        let mixed = augmenter
            .mixes()
            .then(|| order.iter().filter_map(mixture).map(|mixture| (label(mixture.other), mixture.share())).unzip());
        StagedEpoch {
            augmenter,
            epoch,
            data,
            buffers: buffers.each_mut().map(|buffer| Arena::new(buffer)),
            room: Arena::new(room),
            image_len: *image_len,
            labels: order.iter().map(|&index| label(index)).collect(),
            mixed,
            places: (0..size as u32).collect(),
        }
    }
}

impl StagedEpoch<'_> {
    /// Makes this thread's share of the images of batch `number`, which are these of the data set. Meanwhile others may
    /// learn from the batch before, and nobody from the one before that.
    pub(super) fn fill(&self, number: usize, indices: &[u32], worker: &Worker) {
        let (share, len) = (worker.share(indices.len()), self.image_len);
        let mut buffer = self.buffers[number % 2].write(share.start * len..share.end * len);
        let room = if self.mixed.is_some() { worker.index * len..(worker.index + 1) * len } else { 0..0 };
        let mut room = self.room.write(room);
        for (n, to) in share.zip(buffer.chunks_exact_mut(len)) {
            self.augmenter.shown(self.epoch, indices[n], self.data.pixels(), &mut room, to);
        }
    }

    /// With what the examples of the `range` of the epoch's are mixed.
    pub(super) fn mixed(&self, range: std::ops::Range<usize>) -> Option<Mixed<'_>> {
        let (labels, shares) = self.mixed.as_ref()?;
        Some(Mixed { labels: &labels[range.clone()], shares: &shares[range] })
    }

    /// Gives the examples of batch `number`, the `range` of the epoch's, and none as those that follow: what is not yet
    /// made cannot be fetched. They have been made, and all threads have met since.
    pub(super) fn with<R>(
        &self,
        number: usize,
        range: std::ops::Range<usize>,
        f: impl FnOnce(Examples, Examples) -> R,
    ) -> R {
        let pixels = self.buffers[number % 2].read(0..range.len() * self.image_len);
        let of = |places| Examples::staged(&pixels, &self.labels[range.clone()], self.image_len, places);
        f(of(&self.places[..range.len()]), of(&[]))
    }
}
