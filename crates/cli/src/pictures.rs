//! Pictures of what was learned: curves of all recipes, filters and feature maps of one network.

use tenfold_nn::data::HeldOut;
use tenfold_nn::look::trace;
use tenfold_nn::model::{Architecture, Layer, Model, Shape};
use tenfold_report::curves::{learning_curves_svg, series};
use tenfold_report::feature_maps::{FeatureMap, Image, MapRow};
use tenfold_report::filters::Filter;
use tenfold_study::comparison::ChosenBy;
use tenfold_study::record::{RecipeRecord, StudyRecord};
use tenfold_study::{Plan, Prediction, RunFolder, predictions, trained};

use crate::failure::Failure;

const CURVES: &str = "pictures/curves.svg";
pub(crate) const FILTERS: &str = "pictures/filters.png";
pub(crate) const FEATURE_MAPS: &str = "pictures/feature-maps.png";

/// How many filters and images are shown.
const FILTERS_SHOWN: usize = 5;
const IMAGES_SHOWN: usize = 4;

/// Pixels of a side beyond which a picture of feature maps would be too large to look at.
const LARGEST_SIDE: usize = 256;

/// Draws what there is to draw into the folder, and says what was drawn, in sentences.
pub(crate) fn draw(plan: &Plan, folder: &RunFolder, record: &StudyRecord, test: &HeldOut) -> Result<String, Failure> {
    folder.write(CURVES, learning_curves_svg(&series(record)).as_bytes())?;
    let mut text = format!("\n{CURVES}: losses and validation accuracy by epoch\n");
    let convolution = |recipe: &RecipeRecord| {
        let index = plan.study().recipes.iter().position(|other| other.name == recipe.name)?;
        first_convolution(plan.recipe(index).1)
    };
    let found = record.pick(|recipe| convolution(recipe).is_some());
    let drawn = found.as_ref().and_then(|pick| {
        let recipe = record.recipes.iter().find(|recipe| recipe.name == pick.recipe)?;
        let trial = recipe.trials.iter().find(|trial| trial.seed == pick.seed)?;
        Some((pick, trial, convolution(recipe)?))
    });
    let Some((pick, trial, layer)) = drawn else {
        // Pictures of an earlier run of other networks would tell of something that is not in the record.
        folder.remove(FILTERS)?;
        folder.remove(FEATURE_MAPS)?;
        text.push_str("No pictures of filters and feature maps: no network with a convolution has finished.\n");
        return Ok(text);
    };
    let model = trained(folder, record, trial)?;
    let shown = strongest_filters(&model, &layer);
    let by_test = record.comparison.chosen_by == ChosenBy::Test;
    let stamp = if by_test { ", chosen by test" } else { "" };
    let of = format!("{layer} of {} seed {}{stamp}", pick.recipe, pick.seed);
    folder.write(FILTERS, &filters(&model, &layer, &shown, &of))?;
    let shape = test.shape();
    let fits = shape.height.max(shape.width) <= LARGEST_SIDE;
    if fits {
        let said = predictions(folder, &pick.recipe, pick.seed, test)?;
        folder.write(FEATURE_MAPS, &maps(&model, &layer, &shown, test, &said, &of))?;
    } else {
        folder.remove(FEATURE_MAPS)?;
    }
    if record.comparison.picked.as_ref().is_some_and(|picked| picked.recipe != pick.recipe) {
        let on = if by_test { "test" } else { "validation" };
        text.push_str(&format!("{} is the best on {on} of the networks with a convolution:\n", pick.recipe));
    }
    let (filters, all) = (shown.len(), model.tensor(&format!("{layer}.bias")).map_or(0, |bias| bias.len()));
    text.push_str(&format!("{FILTERS}: {filters} of the {all} filters of {of}, those with the largest weights\n"));
    text.push_str(&if fits {
        format!("{FEATURE_MAPS}: what these filters make of test images, before and after ReLU\n")
    } else {
        format!("No picture of feature maps: images of {shape} are larger than {LARGEST_SIDE} pixels a side.\n")
    });
    Ok(text)
}

/// The name of the first convolution, if there is one.
fn first_convolution(architecture: &Architecture) -> Option<String> {
    let first = architecture.layers().iter().find(|info| matches!(info.layer, Layer::Conv { .. }));
    first.map(|info| info.name.clone())
}

/// Shape of the layer's weight, `[O, I, Kh, Kw]`, and its values.
fn weight(model: &Model, layer: &str) -> ([usize; 4], Vec<f32>) {
    let name = format!("{layer}.weight");
    let spec = model.architecture().params().iter().find(|spec| spec.name == name).expect("a convolution has weights");
    let shape = <[usize; 4]>::try_from(&spec.shape[..]).expect("the weight of a convolution has four dimensions");
    (shape, model.tensor(&name).expect("a model has its own arrays"))
}

/// The numbers of the filters with the largest sum of squares, in ascending order: those that learned most, and a
/// choice that nobody can be suspected of.
fn strongest_filters(model: &Model, layer: &str) -> Vec<usize> {
    let (shape, values) = weight(model, layer);
    let squares = values.chunks(values.len() / shape[0]).map(|filter| filter.iter().map(|w| w * w).sum::<f32>());
    let mut numbered: Vec<(usize, f32)> = squares.enumerate().collect();
    numbered.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut numbers: Vec<usize> = numbered.iter().take(FILTERS_SHOWN).map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers
}

fn filters(model: &Model, layer: &str, shown: &[usize], of: &str) -> Vec<u8> {
    let ([_, channels, height, width], values) = weight(model, layer);
    let len = channels * height * width;
    let filter = |&number: &usize| Filter {
        number,
        channels,
        height,
        width,
        weights: values[number * len..(number + 1) * len].to_vec(),
    };
    let filters: Vec<Filter> = shown.iter().map(filter).collect();
    tenfold_report::filters::filters(&filters, None, &format!("Filters of {of}"))
}

fn maps(model: &Model, layer: &str, shown: &[usize], test: &HeldOut, said: &[Prediction], of: &str) -> Vec<u8> {
    let layers = model.architecture().layers();
    let index = layers.iter().position(|info| info.name == layer).expect("a layer of this network");
    let Shape::Image(shape) = layers[index].output else { unreachable!("convolutions give feature maps") };
    let plane = shape.height * shape.width;
    let row = |&n: &usize| {
        let before = trace(model, test.image(n)).outputs.swap_remove(index);
        let map = |&filter: &usize| {
            let before_relu = before[filter * plane..(filter + 1) * plane].to_vec();
            let after_relu = before_relu.iter().map(|&v| if v > 0.0 { v } else { 0.0 }).collect();
            FeatureMap { filter, height: shape.height, width: shape.width, before_relu, after_relu }
        };
        MapRow {
            heading: format!("test image {n}"),
            label: said[n].label.to_string(),
            prediction: said[n].prediction.to_string(),
            image: image(test, n),
            maps: shown.iter().map(map).collect(),
        }
    };
    let rows: Vec<MapRow> = images(said).iter().map(row).collect();
    tenfold_report::feature_maps::feature_maps(&rows, &format!("Feature maps of {of}"))
}

/// The first test images that are right and of different classes, and the first that is wrong, in their order.
fn images(said: &[Prediction]) -> Vec<usize> {
    let wrong = said.iter().position(|s| s.label != s.prediction);
    let mut images: Vec<usize> = wrong.into_iter().collect();
    let mut classes = Vec::new();
    for (n, s) in said.iter().enumerate().filter(|(_, s)| s.label == s.prediction) {
        if images.len() < IMAGES_SHOWN && !classes.contains(&s.label) {
            images.push(n);
            classes.push(s.label);
        }
    }
    // A network that is nearly always wrong, or data of few classes: take what comes first.
    for n in 0..said.len() {
        if images.len() < IMAGES_SHOWN && !images.contains(&n) {
            images.push(n);
        }
    }
    images.sort_unstable();
    images
}

/// An image as it can be drawn: in colour where it has three channels, else its first channel in grey.
fn image(test: &HeldOut, n: usize) -> Image {
    let shape = test.shape();
    let channels = if shape.channels == 3 { 3 } else { 1 };
    let pixels = test.image(n)[..channels * shape.height * shape.width].to_vec();
    Image { channels, height: shape.height, width: shape.width, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(u8, u8)]) -> Vec<Prediction> {
        pairs.iter().map(|&(label, prediction)| Prediction { label, prediction, probability: 1.0 }).collect()
    }

    #[test]
    fn images_are_three_right_ones_of_different_classes_and_a_wrong_one() {
        assert_eq!(images(&said(&[(7, 7), (7, 7), (2, 2), (1, 1), (0, 0), (4, 9), (5, 6)])), [0, 2, 3, 5]);
        assert_eq!(images(&said(&[(7, 7), (2, 2), (1, 1), (0, 0), (4, 4)])), [0, 1, 2, 3]);
        assert_eq!(images(&said(&[(1, 0), (1, 0), (1, 1), (1, 1), (1, 1)])), [0, 1, 2, 3]);
        assert_eq!(images(&said(&[(1, 0), (0, 0)])), [0, 1]);
    }
}
