//! The examples of one step: bytes that lie in a data set, or in a buffer of their own.

use crate::data::Dataset;
use crate::optim::Update;
use tenfold_kernels::pixels::{Images, PixelTable};
use tenfold_kernels::softmax_cross_entropy::Counts;

/// Some images with their labels, by their numbers in a larger set: those of a data set where it has them, or of a
/// buffer that was filled for this batch.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    /// All images of the set, one behind the other.
    pixels: &'a [u8],
    /// Their labels.
    labels: &'a [u16],
    /// Pixels of one image.
    image_len: usize,
    /// Which of them these are.
    indices: &'a [u32],
}

impl<'a> Examples<'a> {
    /// Examples `indices` of a data set, where it has them.
    pub(crate) fn of(data: &'a Dataset, indices: &'a [u32]) -> Examples<'a> {
        Examples { pixels: data.pixels(), labels: data.labels(), image_len: data.shape().len(), indices }
    }

    /// Examples whose images lie one behind the other in a buffer, and whose labels in `labels`; `places` counts them.
    pub(crate) fn staged(pixels: &'a [u8], labels: &'a [u16], image_len: usize, places: &'a [u32]) -> Examples<'a> {
        Examples { pixels, labels, image_len, indices: places }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The pixels of example `n` of these.
    pub(crate) fn image(&self, n: usize) -> &'a [u8] {
        let start = self.indices[n] as usize * self.image_len;
        &self.pixels[start..start + self.image_len]
    }

    /// The class of example `n` of these.
    pub(crate) fn label(&self, n: usize) -> u16 {
        self.labels[self.indices[n] as usize]
    }

    /// Numbers of these in their set.
    pub(crate) fn indices(&self) -> &'a [u32] {
        self.indices
    }

    /// For kernels that look pixels up as they need them.
    pub(crate) fn images(&self, table: &'a PixelTable) -> Images<'a> {
        Images { pixels: self.pixels, inputs: self.image_len, indices: self.indices, table }
    }

    /// Only some of these.
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Examples<'a> {
        Examples { indices: &self.indices[range], ..*self }
    }
}

/// The examples of a step, and what becomes of them.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) examples: Examples<'a>,
    /// Those of the next batch, of the same set, to be brought into the cache meanwhile.
    pub(crate) next: Examples<'a>,
    /// Number of the step, which dropout draws by; `None` while evaluating.
    pub(crate) step: Option<u64>,
    /// The update, where there is one.
    pub(crate) update: Option<Update>,
    /// What the loss that is learned from makes of the examples.
    pub(crate) counts: Counts<'a>,
}

impl<'a> Batch<'a> {
    /// To be evaluated, not learned from.
    pub(crate) fn evaluated(data: &'a Dataset, indices: &'a [u32]) -> Batch<'a> {
        let examples = Examples::of(data, indices);
        Batch { examples, next: Examples::of(data, &[]), step: None, update: None, counts: Counts::default() }
    }

    /// How many examples there are.
    pub(crate) fn len(&self) -> usize {
        self.examples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, Init, Model};
    use crate::train::Pixels;
    use crate::train::testing::{gradients_of, some_digits};
    use crate::workers::Team;
    use tenfold_kernels::Isa;

    /// Networks whose first operations take pixels in each of the ways there are.
    const NETWORKS: [&[&str]; 5] = [
        &["linear 40", "relu", "linear 10"],
        &["linear 10"],
        &["conv 5 5x5 same", "relu", "maxpool 2", "linear 10"],
        &["conv 3 3x3 stride 2", "tanh", "linear 10"],
        &["maxpool 2", "linear 33", "sigmoid", "linear 10"],
    ];

    #[test]
    fn staged_images_give_the_bits_of_those_in_the_data_set() {
        let (data, _) = some_digits(90, 5);
        let image_len = data.shape().len();
        let indices: Vec<u32> = (0..70).map(|n| n * 37 % 90).collect();
        // As a step finds a buffer: its images one behind the other from the first place on, others behind them.
        let mut pixels = data.select(&indices).pixels().to_vec();
        pixels.extend(vec![255; 3 * image_len]);
        let labels: Vec<u16> = indices.iter().map(|&n| data.labels()[n as usize]).chain([9; 3]).collect();
        let places: Vec<u32> = (0..indices.len() as u32).collect();
        let in_place = Batch::evaluated(&data, &indices);
        let of = |places| Examples::staged(&pixels, &labels, image_len, places);
        let staged = Batch { examples: of(&places), next: of(&places[..0]), ..in_place };
        for n in 0..indices.len() {
            assert_eq!(staged.examples.image(n), in_place.examples.image(n), "image {n}");
            assert_eq!(staged.examples.label(n), in_place.examples.label(n), "label {n}");
        }
        for (layers, mean) in NETWORKS.into_iter().flat_map(|layers| [(layers, 0.0), (layers, 0.1307)]) {
            let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
            let net = Architecture::new(data.shape(), parsed, 10).expect("fits");
            let model = Model::new(net, Init::Pytorch, 1, Pixels::all(mean, 0.3081));
            for threads in [1, 3] {
                let of = |batch| gradients_of(Isa::detect(), Team { threads, relay: false }, &model, &[batch]);
                // Numbers that are equal have the same bits, but for zeros.
                assert!(of(staged) == of(in_place), "{layers:?}, mean {mean}, {threads} threads");
            }
        }
    }
}
