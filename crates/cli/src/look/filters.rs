//! The filters of one layer: their kernels, what they answer to, and whether they matter.

use tenfold_nn::data::{Dataset, Splits};
use tenfold_nn::look::{Excited, FilterLayer, FilterResponse, Trace, kernels, receptive_field, responses};
use tenfold_nn::train::Flow;
use tenfold_report::colormap::largest_magnitude;
use tenfold_report::feature_maps::{FeatureMap, Image};
use tenfold_report::filters::Filter;
use tenfold_report::look::cards::{Card, Matters, Patch, Sheet};
use tenfold_study::look::{Importance, duplicates, importance};

use super::selection::Selection;
use super::{Network, image};
use crate::progress::bar;

/// Patches of a card.
const PATCHES: usize = 9;
/// Filters of a layer beyond which silencing each of them takes too long.
const MOST_SILENCED: usize = 256;
/// Validation images on which responses are compared, at most.
const SAMPLE: usize = 300;
/// Responses that are held at a time: 256 MiB.
const MOST_RESPONSES: usize = 64 << 20;

/// The validation images on which responses of these layers are compared: fewer where there are many responses to each.
pub(super) fn sample<'l>(splits: &Splits, layers: impl IntoIterator<Item = &'l FilterLayer>) -> Dataset {
    let responses = |layer: &FilterLayer| layer.filters * layer.response[0] * layer.response[1];
    let largest = layers.into_iter().map(responses).max().unwrap_or(1).max(1);
    let images = SAMPLE.min(MOST_RESPONSES / largest).clamp(1, splits.valid.len());
    splits.valid.select(&(0..images as u32).collect::<Vec<_>>())
}

/// What is known of the filters of one layer.
pub(crate) struct LayerFilters {
    /// The filters that are shown, those that matter most first.
    pub(crate) sheet: Sheet,
    /// All filters, in that order.
    pub(crate) order: Vec<usize>,
    /// Whether each was silenced; if not, those with the largest weights come first.
    pub(crate) measured: bool,
    pub(super) dead: usize,
    pub(super) duplicates: usize,
}

/// The kernels of a layer one by one.
pub(super) fn each(layer: &FilterLayer, values: &[f32]) -> Vec<Filter> {
    let [channels, height, width] = layer.kernel;
    let kernels = values.chunks_exact(channels * height * width).enumerate();
    let filter = |(number, weights): (usize, &[f32])| {
        let first_channel = layer.first_channel(number);
        Filter { number, channels, first_channel, height, width, weights: weights.to_vec() }
    };
    kernels.map(filter).collect()
}

/// Their numbers, those with the largest sum of squares first.
pub(super) fn strongest(filters: &[Filter]) -> Vec<usize> {
    let squares = |filter: &Filter| filter.weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
    let mut order: Vec<usize> = (0..filters.len()).collect();
    order.sort_by(|&a, &b| squares(&filters[b]).total_cmp(&squares(&filters[a])));
    order
}

impl LayerFilters {
    /// Of `layer`, the selected filters, with their responses to an image that was traced.
    pub(crate) fn of(
        splits: &Splits,
        threads: usize,
        network: &Network,
        layer: &FilterLayer,
        (shared, trace): (&Image, &Trace),
        (selection, unless): (&Selection, usize),
    ) -> LayerFilters {
        let model = &network.model;
        let values = kernels(model, layer);
        let filters = each(layer, &values);
        let measured = (layer.filters <= MOST_SILENCED).then(|| {
            let progress = bar(&format!("{} {}: without each filter", network.title(), layer.name), layer.filters);
            let found = importance(model, layer, &splits.valid, threads, &mut |done| {
                progress.set_position(done as u64);
                Flow::Continue
            });
            progress.finish_and_clear();
            found.expect("nobody asked to stop")
        });
        let mut order = strongest(&filters);
        if let Some(measured) = &measured {
            order.sort_by(|&a, &b| measured[b].lost.total_cmp(&measured[a].lost));
        }
        let responses = responses(model, layer, &splits.train, PATCHES, threads);
        let alike = duplicates(model, layer, &sample(splits, [layer]), threads);
        let dead = |filter: usize| layer.rectified && responses[filter].cut >= 1.0;
        let class = |class: usize| network.class_names[class].clone();
        let card = |&number: &usize| Card {
            filter: filters[number].clone(),
            matters: measured.as_ref().map(|measured| {
                let Importance { lost, suffers, suffers_lost, .. } = measured[number];
                Matters { lost, suffers: class(suffers), suffers_lost }
            }),
            largest: responses[number].largest,
            cut: layer.rectified.then_some(responses[number].cut),
            dead: dead(number),
            duplicate_of: alike[number],
            response: Some(response(layer, trace, number)),
            patches: patches(&splits.train, network, layer, &responses[number]),
        };
        let sheet = Sheet {
            title: format!("Filters of {} of {}", layer.name, network.title()),
            of: layer.filters,
            limit: largest_magnitude(&values),
            image: Some(shared.clone()),
            cards: selection.of(&order, unless).iter().map(card).collect(),
        };
        let dead = (0..layer.filters).filter(|&filter| dead(filter)).count();
        let duplicates = alike.iter().flatten().count();
        LayerFilters { sheet, order, measured: measured.is_some(), dead, duplicates }
    }
}

/// What a filter makes of the traced image.
pub(crate) fn response(layer: &FilterLayer, trace: &Trace, filter: usize) -> FeatureMap {
    let [height, width] = layer.response;
    let area = height * width;
    let before = trace.outputs[layer.index][filter * area..(filter + 1) * area].to_vec();
    let after = if layer.rectified { before.iter().map(|v| v.max(0.0)).collect() } else { before.clone() };
    FeatureMap { filter, height, width, before_relu: before, after_relu: after }
}

/// The parts of training images that excite a filter most, each as large as what it sees in the middle of an image,
/// black beyond the border.
fn patches(train: &Dataset, network: &Network, layer: &FilterLayer, response: &FilterResponse) -> Vec<Patch> {
    let architecture = network.model.architecture();
    let [rows, columns] = layer.response;
    let middle = receptive_field(architecture, layer.index, (rows / 2, columns / 2));
    let (height, width) = (middle.rows.len(), middle.columns.len());
    let patch = |excited: &Excited| {
        let field = receptive_field(architecture, layer.index, (excited.row, excited.column));
        // What is cut off at the upper or left border is missing there.
        let top = if field.rows.start == 0 { height.saturating_sub(field.rows.len()) } else { 0 };
        let left = if field.columns.start == 0 { width.saturating_sub(field.columns.len()) } else { 0 };
        let whole = image(train.shape(), train.image(excited.image));
        let mut pixels = vec![0; whole.channels * height * width];
        for channel in 0..whole.channels {
            for (y, row) in field.rows.clone().enumerate().take(height - top) {
                for (x, column) in field.columns.clone().enumerate().take(width - left) {
                    pixels[(channel * height + top + y) * width + left + x] =
                        whole.pixels[(channel * whole.height + row) * whole.width + column];
                }
            }
        }
        Patch {
            image: Image { channels: whole.channels, height, width, pixels },
            of: format!("training image {}", excited.image),
            value: excited.value,
        }
    };
    response.excited.iter().map(patch).collect()
}
