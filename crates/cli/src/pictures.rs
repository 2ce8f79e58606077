//! Pictures of what was learned: curves of all recipes, and the best of what there is to see inside one network.

use tenfold_nn::data::{HeldOut, Splits};
use tenfold_nn::look::{FilterLayer, trace};
use tenfold_report::curves::{learning_curves_svg, series};
use tenfold_report::feature_maps::{MapRow, feature_maps};
use tenfold_report::look::cards::{Sheet, cards, filters};
use tenfold_report::look::film::strip;
use tenfold_report::look::image_trace::image_trace as picture;
use tenfold_study::comparison::{ChosenBy, Pick};
use tenfold_study::record::{StudyRecord, TrialRecord};
use tenfold_study::{Prediction, RunFolder, predictions};

use crate::failure::Failure;
use crate::look::filters::{LayerFilters, response};
use crate::look::image_trace::{Choice, image_trace, of_data};
use crate::look::selection::Selection;
use crate::look::{Network, film, image};

const CURVES: &str = "pictures/curves.svg";
pub(crate) const FILTERS: &str = "pictures/filters.png";
pub(crate) const CARDS: &str = "pictures/cards.png";
pub(crate) const FEATURE_MAPS: &str = "pictures/feature-maps.png";
pub(crate) const WAY: &str = "pictures/way.png";
pub(crate) const FILM: &str = "pictures/film.png";

/// How many filters and images are shown.
const FILTERS_SHOWN: usize = 5;
const IMAGES_SHOWN: usize = 4;

/// Pixels of a side beyond which a picture of feature maps would be too large to look at.
const LARGEST_SIDE: usize = 256;

/// Draws what there is to draw into the folder, and says what was drawn, in sentences.
pub(crate) fn draw(
    folder: &RunFolder,
    record: &StudyRecord,
    splits: &Splits,
    threads: usize,
) -> Result<String, Failure> {
    folder.write(CURVES, learning_curves_svg(&series(record)).as_bytes())?;
    let mut text = format!("\n{CURVES}: losses and validation accuracy by epoch\n");
    // Pictures of an earlier run of other networks would tell of something that is not in the record.
    for file in [FILTERS, CARDS, FEATURE_MAPS, WAY, FILM] {
        folder.remove(file)?;
    }
    let Some((pick, trial)) = best_convolutional(record) else {
        text.push_str("No pictures of filters and feature maps: no network with a convolution has finished.\n");
        return Ok(text);
    };
    let network = Network::read(folder, record, trial)?;
    let layer = network.layers.iter().find(|layer| layer.name == FIRST).expect("it was chosen for having one");
    let test = &splits.test;
    let said = predictions(folder, &pick.recipe, pick.seed, test)?;
    let shown = images(&said);
    let by_test = record.comparison.chosen_by == ChosenBy::Test;
    if record.comparison.picked.as_ref().is_some_and(|picked| picked.recipe != pick.recipe) {
        let on = if by_test { "test" } else { "validation" };
        text.push_str(&format!("{} is the best on {on} of the networks with a convolution:\n", pick.recipe));
    }

    let stamp = if by_test { ", chosen by test" } else { "" };
    let of = format!("{FIRST} of {} seed {}{stamp}", pick.recipe, pick.seed);
    let first = shown.first().copied().unwrap_or(0);
    let given = of_data("test", first, test.image(first), said[first].label, &network.class_names);
    let traced = trace(&network.model, &given.pixels);
    let shared = image(test.shape(), &given.pixels);
    let selection = Selection::default();
    let shown_filters = (&selection, FILTERS_SHOWN);
    let found = LayerFilters::of(splits, threads, &network, layer, (&shared, &traced), shown_filters);
    let sheet = Sheet { title: format!("Filters of {of}"), ..found.sheet };
    folder.write(FILTERS, &filters(&sheet))?;
    folder.write(CARDS, &cards(&sheet))?;
    let which = if found.measured { "without which it does worst on validation" } else { "with the largest weights" };
    let (some, all) = (sheet.cards.len(), sheet.of);
    text.push_str(&format!("{FILTERS}: {some} of the {all} filters of {of}, those {which}\n"));
    text.push_str(&format!("{CARDS}: what each of them answers to\n"));
    let shape = test.shape();
    if shape.height.max(shape.width) <= LARGEST_SIDE {
        if layer.rectified {
            let numbers = &found.order[..some];
            folder.write(FEATURE_MAPS, &maps(&network, layer, numbers, test, (&said, &shown), &of))?;
            text.push_str(&format!("{FEATURE_MAPS}: what these filters make of test images, before and after ReLU\n"));
        }
        folder.write(WAY, &picture(&image_trace(&network, &given, &traced, &Choice::default(), threads)?))?;
        text.push_str(&format!("{WAY}: what all layers make of one of them, and which of its pixels matter\n"));
    } else {
        text.push_str(&format!(
            "No picture of feature maps: images of {shape} are larger than {LARGEST_SIDE} pixels a side.\n"
        ));
    }
    if let Some(film) = film::of(folder, &network, layer, Some(&found.order), shown_filters)? {
        folder.write(FILM, &strip(&film))?;
        text.push_str(&format!("{FILM}: the filters before training and after each epoch\n"));
    }
    Ok(text)
}

/// The layer whose filters are shown.
const FIRST: &str = "conv1";

/// The best trial among those of networks with a convolution.
fn best_convolutional(record: &StudyRecord) -> Option<(Pick, &TrialRecord)> {
    let pick = record.pick(|recipe| recipe.has_filters(&record.dataset, FIRST))?;
    let recipe = record.recipes.iter().find(|recipe| recipe.name == pick.recipe)?;
    let trial = recipe.trials.iter().find(|trial| trial.seed == pick.seed)?;
    Some((pick, trial))
}

/// What filters `shown` make of the images.
fn maps(
    network: &Network,
    layer: &FilterLayer,
    shown: &[usize],
    test: &HeldOut,
    (said, images): (&[Prediction], &[usize]),
    of: &str,
) -> Vec<u8> {
    let row = |&n: &usize| {
        let traced = trace(&network.model, test.image(n));
        MapRow {
            heading: format!("test image {n}"),
            label: network.class_names[usize::from(said[n].label)].clone(),
            prediction: network.class_names[usize::from(said[n].prediction)].clone(),
            image: image(test.shape(), test.image(n)),
            maps: shown.iter().map(|&filter| response(layer, &traced, filter)).collect(),
        }
    };
    let rows: Vec<MapRow> = images.iter().map(row).collect();
    feature_maps(&rows, &format!("Feature maps of {of}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(u16, u16)]) -> Vec<Prediction> {
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
