//! Labelled images in memory.

use std::fmt;

use sha2::{Digest, Sha256};
use tenfold_data::{Labelled, hex};

use super::{DataError, ImageShape};

/// Labelled images of one shape, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Dataset {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    shape: ImageShape,
    classes: usize,
}

impl Dataset {
    /// A data set of images and their true classes.
    ///
    /// Shapes: `pixels` `[N, C, H, W]`, from 0 (background) to 255, `labels` `[N]`, each in `0..classes`.
    ///
    /// # Errors
    /// If there are no images, the sides, channels, classes or images are more than a data set may have, the pixels
    /// make no whole number of images, or there is not one label in `0..classes` for each.
    pub fn new(pixels: Vec<u8>, labels: Vec<u16>, shape: ImageShape, classes: usize) -> Result<Self, DataError> {
        Labelled::new(["the pixels", "the labels"], pixels, labels, shape, classes).map(Self::from)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no examples, as only [`Dataset::select`] can bring about.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of each image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The number of classes; every label is less.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All images, `[N, C, H, W]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The true class of each image, `[N]`.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Image `n`, `[C, H, W]`.
    ///
    /// # Panics
    /// If there are no more than `n` images.
    pub fn image(&self, n: usize) -> &[u8] {
        assert!(n < self.len(), "image {n} of {}", self.len());
        let len = self.shape.len();
        &self.pixels[n * len..(n + 1) * len]
    }

    /// A copy of the examples at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, indices: &[u32]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * self.shape.len());
        let mut labels = Vec::with_capacity(indices.len());
        for &n in indices {
            pixels.extend_from_slice(self.image(n as usize));
            labels.push(self.labels[n as usize]);
        }
        Self { pixels, labels, shape: self.shape, classes: self.classes }
    }

    /// The fingerprint of the examples and their order: the SHA-256, in hex, of N, C, H, W and the number of classes
    /// (u64, little-endian), the labels (u8, or u16, little-endian, of more than 256 classes) and the pixels.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for size in [self.len(), self.shape.channels, self.shape.height, self.shape.width, self.classes] {
            digest.update((size as u64).to_le_bytes());
        }
        let width = if self.classes <= 256 { 1 } else { 2 };
        for label in &self.labels {
            digest.update(&label.to_le_bytes()[..width]);
        }
        hex(digest.chain_update(&self.pixels))
    }
}

impl From<Labelled> for Dataset {
    fn from(Labelled { pixels, labels, shape, classes }: Labelled) -> Self {
        Self { pixels, labels, shape, classes }
    }
}

/// Sizes only: nobody wants to read the pixels.
impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("len", &self.len())
            .field("shape", &self.shape)
            .field("classes", &self.classes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 2 };

    fn three() -> Dataset {
        Dataset::new((0..12).collect(), vec![1, 0, 2], SHAPE, 3).unwrap()
    }

    #[track_caller]
    fn refusal(pixels: usize, labels: &[u16], shape: ImageShape, classes: usize) -> String {
        Dataset::new(vec![0; pixels], labels.to_vec(), shape, classes).unwrap_err().to_string()
    }

    #[test]
    fn examples_are_what_was_given() {
        let three = three();
        assert_eq!((three.len(), three.is_empty(), three.shape(), three.classes()), (3, false, SHAPE, 3));
        assert_eq!(three.image(1), [4, 5, 6, 7]);
        assert_eq!(three.labels(), [1, 0, 2]);
        assert_eq!(three.pixels(), (0..12).collect::<Vec<u8>>());
        assert_eq!(SHAPE.to_string(), "1x2x2");
    }

    #[test]
    fn select_copies_in_the_order_asked_for() {
        let selected = three().select(&[2, 0, 2]);
        assert_eq!(selected.labels(), [2, 1, 2]);
        assert_eq!(selected.pixels(), [8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
        assert!(three().select(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "image 3 of 3")]
    fn there_is_no_image_beyond_the_last() {
        three().image(3);
    }

    #[test]
    fn bad_examples_are_refused() {
        assert_eq!(refusal(4, &[0], SHAPE, 1), "a data set of 1 classes was asked for, expected 2 to 1000");
        assert_eq!(refusal(4, &[0], SHAPE, 1_001), "a data set of 1001 classes was asked for, expected 2 to 1000");
        for shape in [ImageShape { width: 0, ..SHAPE }, ImageShape { height: 4097, ..SHAPE }] {
            let message = format!("the pixels: images are {shape}, expected sides and channels of 1 to 4096");
            assert_eq!(refusal(4, &[0], shape, 10), message);
        }
        assert_eq!(refusal(7, &[0], SHAPE, 10), "the pixels: 7 pixels are no whole number of images of 1x2x2");
        assert_eq!(refusal(0, &[], SHAPE, 10), "the pixels: holds 0 examples, expected 1 to 4294967295");
        assert_eq!(
            refusal(8, &[0], SHAPE, 10),
            "the pixels holds 2 images, the labels holds 1 labels, expected as many labels as images"
        );
        assert_eq!(
            refusal(8, &[9, 10], SHAPE, 10),
            "the labels: label 1 (counted from 0) is 10, expected 0 to 9 for 10 classes; the labels are 9 to 10"
        );
        assert!(Dataset::new(vec![0; 4], vec![999], SHAPE, 1_000).is_ok());
        let widest = ImageShape { channels: 1, height: 1, width: 4096 };
        assert!(Dataset::new(vec![0; 4096], vec![0], widest, 2).is_ok());
    }

    #[test]
    fn fingerprint_covers_everything() {
        // From an independent program: five u64, then labels, then pixels.
        assert_eq!(three().sha256(), "6faebaf9c7edcd252ecc4f3e5f4fafc3288c47a1d30ddd95f784758e49f7e656");
        let pixels: Vec<u8> = (0..12).collect();
        let flat = ImageShape { channels: 1, height: 1, width: 4 };
        let others = [
            Dataset::new(pixels.clone(), vec![1, 0, 1], SHAPE, 3).unwrap(),
            Dataset::new(pixels.clone(), vec![1, 0, 2], SHAPE, 4).unwrap(),
            Dataset::new(pixels, vec![1, 0, 2], flat, 3).unwrap(),
            Dataset::new(vec![0; 12], vec![1, 0, 2], SHAPE, 3).unwrap(),
            three().select(&[1, 0, 2]),
        ];
        for other in others {
            assert_ne!(other.sha256(), three().sha256(), "{other:?}");
        }
        assert_eq!(three().select(&[0, 1, 2]).sha256(), three().sha256());
        // At 256 classes a label is still a byte.
        let many = Dataset::new(vec![7; 4], vec![255], SHAPE, 256).unwrap();
        let sizes = [1, 1, 2, 2, 256_u64].map(u64::to_le_bytes).concat();
        assert_eq!(many.sha256(), hex(Sha256::new().chain_update(sizes).chain_update([255, 7, 7, 7, 7])));
        // With more it is two, little-endian.
        let more = Dataset::new(vec![7; 4], vec![256], SHAPE, 257).unwrap();
        let sizes = [1, 1, 2, 2, 257_u64].map(u64::to_le_bytes).concat();
        assert_eq!(more.sha256(), hex(Sha256::new().chain_update(sizes).chain_update([0, 1, 7, 7, 7, 7])));
    }

    #[test]
    fn debug_shows_sizes_not_pixels() {
        let expected = "Dataset { len: 3, shape: ImageShape { channels: 1, height: 2, width: 2 }, classes: 3, .. }";
        assert_eq!(format!("{:?}", three()), expected);
    }
}
