//! Batch norms need two values of a channel at least: of one, the variance says nothing.

use crate::model::{Architecture, Layer};
use thiserror::Error;

/// A step has a single value of a channel that is to be normalised.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "layer {number} \"{layer}\" normalises {what} over the images of a step, one value of each image, and {}; set {}",
    single_step(*.batch_size, *.examples),
    remedy(*.batch_size, *.examples)
)]
pub struct SingleValue {
    /// The layer's place, from 1.
    number: usize,
    /// Its text.
    layer: String,
    /// What it normalises.
    what: &'static str,
    batch_size: usize,
    examples: usize,
}

fn single_step(batch_size: usize, examples: usize) -> String {
    if batch_size == 1 || examples == 1 {
        return "a step has one image".to_string();
    }
    format!(
        "the last step of an epoch has one image: {examples} training images in batches of {batch_size} leave one over"
    )
}

fn remedy(batch_size: usize, examples: usize) -> String {
    let fits = |size: &usize| examples % size != 1;
    match (batch_size + 1..=examples).find(fits) {
        _ if examples == 1 => "more training images apart".to_string(),
        Some(size) => format!("batch_size = {size}, for example"),
        None => format!("batch_size = {examples}"),
    }
}

/// Checks that each step of an epoch, whose last batch may be smaller than the others, has two values or more of
/// whatever a batch norm normalises.
///
/// # Errors
/// If one has a single value: an image of one pixel, or a row, of a single image.
pub fn check_smallest_batch(
    architecture: &Architecture,
    batch_size: usize,
    examples: usize,
) -> Result<(), SingleValue> {
    let smallest = match examples % batch_size {
        0 => batch_size,
        rest => rest,
    };
    for (index, info) in architecture.layers().iter().enumerate() {
        let is_norm = matches!(info.layer, Layer::BatchNorm { .. });
        let what = if info.input.channels().is_some() { "each map of one pixel" } else { "each feature" };
        let values = info.input.len() / info.input.channels().unwrap_or(info.input.len());
        if is_norm && values * smallest == 1 {
            let (number, layer) = (index + 1, info.layer.to_string());
            return Err(SingleValue { number, layer, what, batch_size, examples });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;

    fn message(layers: &[&str], batch_size: usize, examples: usize) -> Option<String> {
        let layers = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let net = Architecture::new(ImageShape { channels: 1, height: 2, width: 1 }, layers, 3).expect("fits");
        check_smallest_batch(&net, batch_size, examples).err().map(|error| error.to_string())
    }

    #[test]
    fn a_single_value_is_refused_with_a_remedy() {
        let rows = ["linear 5", "batchnorm", "linear 3"];
        assert_eq!(
            message(&rows, 100, 54_001).expect("one is left over"),
            "layer 2 \"batchnorm\" normalises each feature over the images of a step, one value of each image, and the \
             last step of an epoch has one image: 54001 training images in batches of 100 leave one over; set \
             batch_size = 101, for example"
        );
        let of_one = message(&rows, 1, 50).expect("a batch of one");
        assert!(of_one.ends_with("and a step has one image; set batch_size = 2, for example"), "{of_one}");
        assert_eq!(
            (message(&rows, 100, 54_000), message(&rows, 100, 54_002), message(&rows, 2, 2)),
            (None, None, None)
        );
        let maps =
            message(&["conv 2 1x1", "global-avgpool", "batchnorm", "linear 3"], 10, 21).expect("maps of a pixel");
        assert!(maps.starts_with("layer 3 \"batchnorm\" normalises each map of one pixel"), "{maps}");
        // An image of two pixels has moments.
        assert_eq!(message(&["conv 2 1x1", "batchnorm", "linear 3"], 1, 21), None);
    }
}
