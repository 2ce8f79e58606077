//! What a network loses without one of its filters.

use tenfold_nn::data::Dataset;
use tenfold_nn::evaluate::evaluate;
use tenfold_nn::look::{FilterLayer, silenced};
use tenfold_nn::model::Model;
use tenfold_nn::train::Flow;

use super::likeness::{Filters, alike};
use crate::metrics::Metrics;

/// What a network loses without one of its filters.
#[derive(Clone, PartialEq, Debug)]
pub struct Importance {
    /// The filter.
    pub filter: usize,
    /// Balanced accuracy lost, 1 being all; negative where the network is better without.
    pub lost: f64,
    /// The class whose recall falls most, the first of equals.
    pub suffers: usize,
    /// By how much.
    pub suffers_lost: f64,
}

/// What the network loses on `valid` without each filter of `layer`, in the order of filters; none if `on_filter`,
/// called after each with how many are done, asks to stop. Each costs an evaluation of the whole network.
///
/// # Panics
/// If the data are empty or do not fit the network, or the layer is not one of its.
pub fn importance(
    model: &Model,
    layer: &FilterLayer,
    valid: &Dataset,
    threads: usize,
    on_filter: &mut dyn FnMut(usize) -> Flow,
) -> Option<Vec<Importance>> {
    let measure = |model: &Model| {
        let found = evaluate(model, valid, threads);
        Metrics::new(valid.labels(), &found.predictions, valid.classes(), found.loss)
    };
    let whole = measure(model);
    let mut importance = Vec::with_capacity(layer.filters);
    for filter in 0..layer.filters {
        let without = measure(&silenced(model, layer, filter));
        let classes = whole.per_class.iter().zip(&without.per_class).enumerate();
        // A class that does not occur has no recall to lose.
        let falls = classes.filter_map(|(class, (whole, without))| Some((class, whole.recall? - without.recall?)));
        let first = (0, f64::NEG_INFINITY);
        let (suffers, suffers_lost) = falls.fold(first, |most, fall| if fall.1 > most.1 { fall } else { most });
        let lost = whole.balanced_accuracy - without.balanced_accuracy;
        importance.push(Importance { filter, lost, suffers, suffers_lost });
        if on_filter(filter + 1) == Flow::Stop {
            return None;
        }
    }
    Some(importance)
}

/// For each filter the first earlier one of the layer that answers alike: the correlation of responses to `sample`
/// (and, in a layer over the pixels, of kernels) is at least [`crate::look::Recurrence::ALIKE`]. Filters whose response
/// never changes are like none.
///
/// # Panics
/// If the data do not fit the network, or the layer is not one of its.
pub fn duplicates(model: &Model, layer: &FilterLayer, sample: &Dataset, threads: usize) -> Vec<Option<usize>> {
    let filters = Filters::of(model, layer, sample, threads);
    let likeness = filters.likeness(&filters).expect("responses of one layer have one size");
    (0..layer.filters)
        .map(|filter| {
            (0..filter).find(|&earlier| {
                let (response, kernel) = likeness.at(filter, earlier);
                alike(response, kernel)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::testing::{first_layer, images, network, with_filters};
    use tenfold_nn::data::ImageShape;
    use tenfold_nn::train::Pixels;

    /// A network of one linear layer whose logits are three of the four pixels, and four images with one lit pixel
    /// each.
    fn pixels_as_classes() -> (Model, Dataset) {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let model = network(shape, &["linear 3"], 0);
        let tensors = [
            ("fc1.weight".to_owned(), vec![3, 4], vec![1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0.]),
            ("fc1.bias".to_owned(), vec![3], vec![0.0; 3]),
        ];
        let model = Model::from_tensors(model.architecture().clone(), &tensors, Pixels::default()).unwrap();
        let mut pixels = vec![0; 16];
        for (image, pixel) in [0, 1, 2, 2].into_iter().enumerate() {
            pixels[image * 4 + pixel] = 255;
        }
        (model, Dataset::new(pixels, vec![0, 1, 2, 2], shape, 3).unwrap())
    }

    #[test]
    fn what_is_lost_is_counted_by_class() {
        let (model, valid) = pixels_as_classes();
        let mut calls = Vec::new();
        let mut on_filter = |done| {
            calls.push(done);
            Flow::Continue
        };
        let found = importance(&model, &first_layer(&model), &valid, 2, &mut on_filter).unwrap();
        let third = 1.0 / 3.0;
        // Without its logit, a class is no longer told from class 0, which is the first of equals.
        for (filter, lost, suffers, suffers_lost) in [(0, 0.0, 0, 0.0), (1, third, 1, 1.0), (2, third, 2, 1.0)] {
            let found = &found[filter];
            assert!((found.lost - lost).abs() < 1e-12, "{found:?}");
            assert_eq!((found.filter, found.suffers, found.suffers_lost), (filter, suffers, suffers_lost));
        }
        assert_eq!(calls, [1, 2, 3]);
    }

    #[test]
    fn it_stops_when_asked() {
        let (model, valid) = pixels_as_classes();
        let mut calls = 0;
        let mut on_filter = |done| {
            calls = done;
            if done == 2 { Flow::Stop } else { Flow::Continue }
        };
        assert_eq!(importance(&model, &first_layer(&model), &valid, 1, &mut on_filter), None);
        assert_eq!(calls, 2);
    }

    #[test]
    fn copies_are_duplicates_and_dead_filters_are_not() {
        let shape = ImageShape { channels: 1, height: 9, width: 8 };
        let model = network(shape, &["conv 6 3x3 same", "relu", "linear 3"], 3);
        // Filter 2 is a copy of 1, and 4 three times it; 3 and 5 are dead.
        let copies = [(0, 1.0), (1, 1.0), (1, 1.0), (0, 0.0), (1, 3.0), (0, 0.0)];
        let model = with_filters(&model, &first_layer(&model), &copies);
        let found = duplicates(&model, &first_layer(&model), &images(shape, 20), 2);
        assert_eq!(found, [None, None, Some(1), None, Some(1), None]);
    }
}
