//! Batch norms need two values of a channel at least: of one, the variance says nothing.

use crate::model::{Architecture, Layer, LayerInfo};
use thiserror::Error;

/// A step has a single value of a channel that is to be normalised.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "{place} normalises {what} over the images of a step, one value of each image, and {}; set {}",
    single_step(*.batch_size, *.examples),
    remedy(*.batch_size, *.examples)
)]
pub struct SingleValue {
    /// The layer's place and text.
    place: String,
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
    for info in architecture.layers() {
        let is_norm = matches!(info.layer, Layer::BatchNorm { .. });
        let what = if info.input.channels().is_some() { "each map of one pixel" } else { "each feature" };
        let values = info.input.len() / info.input.channels().unwrap_or(info.input.len());
        if is_norm && values * smallest == 1 {
            return Err(SingleValue { place: place(info), what, batch_size, examples });
        }
    }
    Ok(())
}

/// Where a layer is written; nobody has written that of a shortcut.
fn place(info: &LayerInfo) -> String {
    let (number, layer) = (&info.number, info.layer);
    match info.name.split_once(".shortcut.") {
        Some((block, _)) => {
            let block = block.trim_start_matches("block");
            format!("the \"{layer}\" in the shortcut of block {block} (layer {number})")
        }
        None => format!("layer {number} \"{layer}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use crate::model::blocks;

    fn message(layers: &[&str], batch_size: usize, examples: usize) -> Option<String> {
        let input = ImageShape { channels: 1, height: 2, width: 1 };
        let net = Architecture::of_blocks(input, blocks(layers), 3).expect("fits");
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

    #[test]
    fn a_layer_in_a_block_is_named_as_it_is_written() {
        let inside = ["conv 2 1x1", "[relu]", "global-avgpool", "[conv 2 1x1, relu, batchnorm]", "linear 3"];
        let inside = message(&inside, 10, 21).expect("maps of a pixel");
        assert!(inside.starts_with("layer 4.3 \"batchnorm\" normalises each map of one pixel"), "{inside}");
        let shortcut = ["[relu]", "[conv 2 2x1 stride 2]", "linear 3"];
        let shortcut = message(&shortcut, 10, 21).expect("maps of a pixel");
        assert!(
            shortcut.starts_with("the \"batchnorm\" in the shortcut of block 2 (layer 2) normalises"),
            "{shortcut}"
        );
    }
}
