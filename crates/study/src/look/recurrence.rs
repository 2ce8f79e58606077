//! The same filter in several networks.

use tenfold_nn::data::Dataset;
use tenfold_nn::look::FilterLayer;
use tenfold_nn::model::{Init, Model};

use super::likeness::{Filters, Likeness, alike};

/// Filters of a first network and their like in others.
#[derive(Clone, PartialEq, Debug)]
pub struct Recurrence {
    /// One for each filter of the first network: those that recur in most networks first, of these those whose twins
    /// answer most alike.
    pub rows: Vec<Row>,
    /// For each other network, how many filters recur: they have a twin there, and responses and kernels (where these
    /// can be compared) correlate by at least [`Recurrence::ALIKE`].
    pub recur: Vec<usize>,
    /// The same count for networks of the same layers before training, one pair from fixed seeds for each other
    /// network: what chance alone gives.
    pub by_chance: Vec<usize>,
    /// Whether kernels could be compared with those of every other network; with one where not, responses alone decide.
    pub by_kernel: bool,
}

/// A filter of the first network.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The filter.
    pub filter: usize,
    /// Its like in each other network: the one most like it, where that has no other more like it.
    pub twins: Vec<Option<Twin>>,
}

/// A filter that is most like another, each for the other, by the correlation of their responses: mutual nearest
/// neighbours, however near. What correlates with nothing has no twin.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Twin {
    /// The filter of the other network.
    pub filter: usize,
    /// Correlation of the two kernels, -1 to 1, where they can be compared.
    pub kernel: Option<f64>,
    /// Correlation of the responses to the sample, -1 to 1; of two twins always above 0.
    pub response: f64,
}

impl Recurrence {
    /// Correlation from which on two filters count as the same.
    pub const ALIKE: f64 = 0.9;
}

impl Twin {
    /// Whether the two count as the same filter.
    pub fn is_alike(&self) -> bool {
        alike(self.response, self.kernel)
    }
}

/// Matches the filters of the first of `networks` with those of each other, by kernels (layers over the pixels with
/// kernels of one size) and by responses to `sample`. There are no twins in a network whose responses have other rows
/// or columns.
///
/// Give it networks of different seeds. Those of one seed start from the same filters wherever their layers agree,
/// filter by filter, and keep much of it: they recur because they began alike, not because training found the same, and
/// [`Recurrence::by_chance`] is no measure of that.
///
/// # Panics
/// If the data do not fit a network, or a layer is not one of its network's.
pub fn recurrence(networks: &[(&Model, &FilterLayer)], sample: &Dataset, threads: usize) -> Recurrence {
    let all = matches(networks, sample, threads);
    let untrained: Vec<Model> = networks
        .iter()
        .zip(0..)
        .map(|((model, _), seed)| Model::new(model.architecture().clone(), Init::Pytorch, seed, model.pixels().clone()))
        .collect();
    let untrained: Vec<_> = untrained.iter().zip(networks).map(|(model, &(_, layer))| (model, layer)).collect();
    let by_chance = matches(&untrained, sample, threads).iter().map(|found| found.recur()).collect();
    let filters = networks.first().map_or(0, |(_, layer)| layer.filters);
    let mut rows: Vec<Row> = (0..filters)
        .map(|filter| Row { filter, twins: all.iter().map(|found| found.twins[filter]).collect() })
        .collect();
    let rank = |row: &Row| {
        let twins = || row.twins.iter().flatten();
        (twins().filter(|twin| twin.is_alike()).count(), twins().map(|twin| twin.response).sum::<f64>())
    };
    // Stable: of equals the earlier filter stays first.
    rows.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    Recurrence {
        rows,
        recur: all.iter().map(Matches::recur).collect(),
        by_chance,
        by_kernel: !all.is_empty() && all.iter().all(|found| found.by_kernel),
    }
}

/// The filters of one network and their twins in another.
struct Matches {
    twins: Vec<Option<Twin>>,
    by_kernel: bool,
}

impl Matches {
    /// How many filters recur.
    fn recur(&self) -> usize {
        self.twins.iter().flatten().filter(|twin| twin.is_alike()).count()
    }
}

/// The first network against each other.
fn matches(networks: &[(&Model, &FilterLayer)], sample: &Dataset, threads: usize) -> Vec<Matches> {
    let Some((&(model, layer), others)) = networks.split_first() else { return Vec::new() };
    let first = Filters::of(model, layer, sample, threads);
    others
        .iter()
        .map(|&(model, other_layer)| {
            let Some(likeness) = first.likeness(&Filters::of(model, other_layer, sample, threads)) else {
                return Matches { twins: vec![None; layer.filters], by_kernel: false };
            };
            Matches { twins: twins(&likeness, layer.filters), by_kernel: likeness.kernel.is_some() }
        })
        .collect()
}

/// For each of `filters` its mutual nearest neighbour.
fn twins(likeness: &Likeness, filters: usize) -> Vec<Option<Twin>> {
    let others = likeness.columns;
    // The most alike above zero, the first of equals.
    let best = |correlations: &mut dyn Iterator<Item = f64>| {
        let first = (None, 0.0);
        correlations
            .enumerate()
            .fold(first, |best, (at, value)| if value > best.1 { (Some(at), value) } else { best })
            .0
    };
    let nearest: Vec<Option<usize>> =
        (0..others).map(|other| best(&mut (0..filters).map(|filter| likeness.at(filter, other).0))).collect();
    (0..filters)
        .map(|filter| {
            let other = best(&mut (0..others).map(|other| likeness.at(filter, other).0))?;
            let (response, kernel) = likeness.at(filter, other);
            (nearest[other] == Some(filter)).then_some(Twin { filter: other, kernel, response })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::testing::{first_layer, images, network, with_filters};
    use tenfold_nn::data::ImageShape;
    use tenfold_nn::look::filter_layers;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 9, width: 8 };
    const LAYERS: [&str; 5] = ["conv 6 3x3 same", "relu", "maxpool 2", "conv 5 3x3 same", "linear 3"];

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_network_recurs_in_itself_in_whatever_order_and_scale() {
        let model = network(SHAPE, &LAYERS, 1);
        let layer = first_layer(&model);
        // Where each filter went, and what it was multiplied by.
        let moved = with_filters(&model, &layer, &[(3, 2.0), (0, 1.0), (5, 0.5), (1, 7.0), (4, 1.0), (2, 0.1)]);
        let found = recurrence(&[(&model, &layer), (&moved, &layer), (&model, &layer)], &images(SHAPE, 30), 2);
        assert!(found.by_kernel);
        assert_eq!(found.recur, [6, 6]);
        for row in &found.rows {
            for (twin, expected) in row.twins.iter().zip([[1, 3, 5, 0, 4, 2][row.filter], row.filter]) {
                let twin = twin.unwrap();
                assert_eq!(twin.filter, expected, "twin of {}", row.filter);
                assert!(near(twin.response, 1.0) && near(twin.kernel.unwrap(), 1.0), "{twin:?}");
            }
        }
    }

    #[test]
    fn networks_before_training_recur_rarely() {
        let (one, two) = (network(SHAPE, &LAYERS, 1), network(SHAPE, &LAYERS, 2));
        let layer = first_layer(&one);
        let found = recurrence(&[(&one, &layer), (&two, &layer)], &images(SHAPE, 30), 1);
        assert!(found.recur[0] <= 1 && found.by_chance[0] <= 1, "{found:?}");
        // The count by chance is of other networks, and the same each time.
        let (zero, one) = (network(SHAPE, &LAYERS, 0), network(SHAPE, &LAYERS, 1));
        let again = recurrence(&[(&zero, &layer), (&one, &layer)], &images(SHAPE, 30), 2);
        assert_eq!(again.recur, found.by_chance);
        // Of one seed all filters recur, whatever comes behind them: such networks say nothing of what training finds.
        let same = network(SHAPE, &["conv 6 3x3 same", "relu", "linear 3"], 0);
        let found = recurrence(&[(&zero, &layer), (&same, &layer)], &images(SHAPE, 30), 2);
        assert_eq!((found.recur[0], found.by_chance[0]), (6, again.recur[0]));
    }

    #[test]
    fn deeper_layers_go_by_responses_and_other_sizes_have_no_twins() {
        let model = network(SHAPE, &LAYERS, 1);
        let second = &filter_layers(model.architecture())[1];
        let found = recurrence(&[(&model, second), (&model, second)], &images(SHAPE, 30), 2);
        assert!(!found.by_kernel && found.recur[0] > 0);
        assert!(found.rows.iter().all(|row| row.twins[0].is_none_or(|twin| twin.kernel.is_none())));
        let found = recurrence(&[(&model, second), (&model, &first_layer(&model))], &images(SHAPE, 30), 2);
        assert_eq!((found.recur, found.by_chance, found.by_kernel), (vec![0], vec![0], false));
        assert!(found.rows.iter().all(|row| row.twins == [None]));
    }

    #[test]
    fn fewer_networks_have_nothing_to_match() {
        assert_eq!(recurrence(&[], &images(SHAPE, 1), 1).rows, []);
        let model = network(SHAPE, &LAYERS, 1);
        let layer = first_layer(&model);
        let found = recurrence(&[(&model, &layer)], &images(SHAPE, 1), 1);
        assert_eq!((found.rows.len(), found.recur.len(), found.by_kernel), (6, 0, false));
    }

    #[test]
    fn twins_are_mutual_and_rows_are_sorted() {
        // The second and the third of ours both like the first of theirs best, which likes the third better; what has
        // no positive correlation has no twin.
        let response = vec![0.1, 0.95, 0.8, 0.3, 0.85, 0.2, -0.5, 0.0];
        let found = twins(&Likeness { response, kernel: None, columns: 2 }, 4);
        let twin = |filter, response| Some(Twin { filter, kernel: None, response });
        assert_eq!(found, [twin(1, 0.95), None, twin(0, 0.85), None]);
        assert!(found[0].unwrap().is_alike() && !found[2].unwrap().is_alike());
        assert!(!Twin { kernel: Some(0.89), ..found[0].unwrap() }.is_alike());
        let model = network(SHAPE, &LAYERS, 1);
        let layer = first_layer(&model);
        // Five of six filters are there, the last of them first in the order of numbers.
        let other = with_filters(&model, &layer, &[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (5, 0.0)]);
        let found = recurrence(&[(&model, &layer), (&other, &layer)], &images(SHAPE, 30), 1);
        let order: Vec<usize> = found.rows.iter().map(|row| row.filter).collect();
        assert_eq!((found.recur[0], *order.last().unwrap()), (5, 0), "{order:?}");
        // Where none recurs, those come first whose twins are most alike.
        let found = recurrence(&[(&model, &layer), (&network(SHAPE, &LAYERS, 2), &layer)], &images(SHAPE, 30), 1);
        let responses: Vec<f64> = found.rows.iter().map(|row| row.twins[0].map_or(0.0, |twin| twin.response)).collect();
        assert!(
            found.recur[0] == 0 && responses[0] > responses[1] && responses.is_sorted_by(|a, b| a >= b),
            "{responses:?}"
        );
    }
}
