//! The same filter in several networks.

use tenfold_nn::look::{FilterLayer, kernels};
use tenfold_report::colormap::largest_magnitude;
use tenfold_report::look::recurrence::{Row, Rows, draw, recurrence as picture};
use tenfold_study::look::recurrence;
use tenfold_study::record::TrialRecord;

use super::filters::{SAMPLE, each};
use super::{LOOK, Looked, Network};
use crate::failure::{Failure, USAGE};
use crate::output;

/// Networks side by side.
const MOST_NETWORKS: usize = 8;

/// The filters of layer `layer` of the first network and their like in the others.
pub(super) fn of(looked: &Looked, networks: &[&Network], layer: &str) -> Rows {
    let layer_of = |network: &&Network| network.layers.iter().find(|found| found.name == layer).cloned();
    let pairs: Vec<(&Network, FilterLayer)> =
        networks.iter().filter_map(|network| Some((*network, layer_of(network)?))).collect();
    let sample: Vec<u32> = (0..looked.splits.valid.len().min(SAMPLE) as u32).collect();
    let sample = looked.splits.valid.select(&sample);
    let models: Vec<_> = pairs.iter().map(|(network, layer)| (&network.model, layer)).collect();
    let found = recurrence(&models, &sample, looked.threads);
    let values: Vec<Vec<f32>> = pairs.iter().map(|(network, layer)| kernels(&network.model, layer)).collect();
    let filters: Vec<_> = pairs.iter().zip(&values).map(|((_, layer), values)| each(layer, values)).collect();
    let all = filters.first().map_or(0, Vec::len);
    let row = |row: &tenfold_study::look::Row| Row {
        first: filters[0][row.filter].clone(),
        twins: row
            .twins
            .iter()
            .zip(&filters[1..])
            .map(|(twin, filters)| twin.map(|twin| (filters[twin.filter].clone(), twin.kernel, twin.response)))
            .collect(),
    };
    Rows {
        title: format!("{layer} of {} in other networks", pairs[0].0.title()),
        networks: pairs.iter().map(|(network, _)| network.title()).collect(),
        limits: values.iter().map(largest_magnitude).collect(),
        of: all,
        recur: found.recur.iter().copied().zip(found.by_chance.iter().copied()).collect(),
        rows: found.rows[..looked.shown(all)].iter().map(row).collect(),
    }
}

/// Writes the picture of the filters that the networks of these trials share.
pub(super) fn look(looked: &Looked, trials: &[&TrialRecord], names: &[String]) -> Result<(), Failure> {
    let mut networks = Vec::new();
    for &trial in trials {
        let network = looked.network(trial, &[])?;
        // Without a name the first convolution: others have kernels as large as the image.
        let named = |name: &str| names.iter().any(|other| other == name);
        let wanted = |layer: &FilterLayer| {
            if names.is_empty() { layer.name == "conv1" } else { named(&layer.name) }
        };
        if network.layers.iter().any(wanted) {
            networks.push(network);
        }
    }
    networks.truncate(MOST_NETWORKS);
    let layers = if names.is_empty() { vec!["conv1".to_owned()] } else { names.to_vec() };
    if networks.len() < 2 {
        let message = format!("there are not two finished networks with {}", layers.join(", "));
        let hint = "`--model NAME` compares all seeds of one recipe; `tenfold run --seeds 2` trains another";
        return Err(Failure::new(USAGE, message, Some(hint.to_owned())));
    }
    for layer in &layers {
        let with: Vec<&Network> =
            networks.iter().filter(|network| network.layers.iter().any(|found| found.name == *layer)).collect();
        if with.len() < 2 {
            continue;
        }
        let rows = of(looked, &with, layer);
        output::out(&sentences(&rows, layer).iter().map(|line| format!("{line}\n")).collect::<String>())?;
        let first = &with[0].trial;
        looked.write(&format!("{LOOK}/same-{layer}-{}-seed-{}.png", first.recipe, first.seed), &picture(&rows))?;
        looked.screen.picture(|| draw(&rows))?;
    }
    Ok(())
}

/// How many recur, in words.
pub(super) fn sentences(rows: &Rows, layer: &str) -> Vec<String> {
    let line = |(network, (recur, by_chance)): (&String, &(usize, usize))| {
        let (of, first) = (rows.of, &rows.networks[0]);
        format!(
            "{recur} of {of} filters of {layer} of {first} recur in {network}; between untrained networks {by_chance} do"
        )
    };
    rows.networks[1..].iter().zip(&rows.recur).map(line).collect()
}
