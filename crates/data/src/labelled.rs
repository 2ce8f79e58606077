//! Labelled images of one shape, as they were read.

use std::fmt;

use crate::{DataError, Labels, MAX_CLASSES};

/// The longest side of an image, and the most channels.
pub(crate) const MAX_SIDE: usize = 4096;

/// The shape of each image of a data set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageShape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageShape {
    /// The number of pixels, all channels together: `channels * height * width`.
    #[expect(clippy::len_without_is_empty, reason = "the shape of an image, which has pixels")]
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Labelled images of one shape, at least one, with what [`Labelled::new`] promises of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// All images, `[N, C, H, W]`.
    pub pixels: Vec<u8>,
    /// The true class of each image, `[N]`.
    pub labels: Vec<u16>,
    /// The shape of each image.
    pub shape: ImageShape,
    /// The number of classes; every label is less.
    pub classes: usize,
}

impl Labelled {
    /// Images and their true classes; errors call the pixels and the labels by these names.
    ///
    /// Shapes: `pixels` `[N, C, H, W]`, from 0 (background) to 255, `labels` `[N]`, each in `0..classes`.
    ///
    /// # Errors
    /// If there are no images, the sides, channels, classes or images are more than a data set may have, the pixels
    /// make no whole number of images, or there is not one label in `0..classes` for each.
    pub fn new(
        [images_name, labels_name]: [&str; 2],
        pixels: Vec<u8>,
        labels: Vec<u16>,
        shape: ImageShape,
        classes: usize,
    ) -> Result<Self, DataError> {
        check_classes(classes)?;
        if [shape.channels, shape.height, shape.width].iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            return Err(DataError::Shape { name: images_name.to_owned(), shape });
        }
        if !pixels.len().is_multiple_of(shape.len()) {
            return Err(DataError::PixelCount { name: images_name.to_owned(), found: pixels.len(), shape });
        }
        let images = pixels.len() / shape.len();
        if images == 0 || u32::try_from(images).is_err() {
            return Err(DataError::ExampleCount { name: images_name.to_owned(), found: images });
        }
        if images != labels.len() {
            return Err(DataError::LabelCount {
                images_name: images_name.to_owned(),
                images,
                labels_name: labels_name.to_owned(),
                labels: labels.len(),
            });
        }
        if let Some(position) = labels.iter().position(|&label| usize::from(label) >= classes) {
            let range =
                labels.iter().fold([i64::MAX, i64::MIN], |[low, high], &l| [low.min(l.into()), high.max(l.into())]);
            return Err(DataError::Label {
                name: labels_name.to_owned(),
                position,
                found: i64::from(labels[position]),
                labels: Labels::from_zero(classes),
                range,
            });
        }
        Ok(Self { pixels, labels, shape, classes })
    }
}

/// Whether a data set may have so many classes.
pub(crate) fn check_classes(classes: usize) -> Result<(), DataError> {
    if (2..=MAX_CLASSES).contains(&classes) { Ok(()) } else { Err(DataError::ClassCount { found: classes }) }
}
