//! The same filter in several networks.

use tenfold_nn::look::{FilterLayer, kernels};
use tenfold_report::colormap::largest_magnitude;
use tenfold_report::look::recurrence::{Row, Rows, draw, recurrence as picture};
use tenfold_study::look::recurrence;
use tenfold_study::record::{RecipeRecord, TrialRecord};

use super::filters::{each, sample};
use super::{LOOK, Looked, Network, best, chosen};
use crate::args::LookArgs;
use crate::failure::{Failure, USAGE};
use crate::output;

/// Networks side by side.
const MOST_NETWORKS: usize = 8;
/// Filters of the first network unless somebody asks for more.
const FILTERS: usize = 16;

/// The filters of layer `layer` of the first network and their like in the others.
pub(super) fn of(looked: &Looked, networks: &[&Network], layer: &str) -> Rows {
    let layer_of = |network: &&Network| network.layers.iter().find(|found| found.name == layer).cloned();
    let pairs: Vec<(&Network, FilterLayer)> =
        networks.iter().filter_map(|network| Some((*network, layer_of(network)?))).collect();
    let sample = sample(&looked.splits, pairs.iter().map(|(_, layer)| layer));
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
    let order: Vec<usize> = found.rows.iter().map(|row| row.filter).collect();
    let shown = looked.filters.of(&order, FILTERS);
    Rows {
        title: format!("{layer} of {} in other networks", pairs[0].0.title()),
        networks: pairs.iter().map(|(network, _)| network.title()).collect(),
        limits: values.iter().map(largest_magnitude).collect(),
        of: all,
        recur: found.recur.iter().copied().zip(found.by_chance.iter().copied()).collect(),
        rows: found.rows.iter().filter(|row| shown.contains(&row.filter)).map(row).collect(),
    }
}

/// Writes the picture of the filters that networks share.
pub(super) fn look(looked: &Looked, args: &LookArgs) -> Result<(), Failure> {
    // Without a name the first convolution: linear layers have kernels as large as the image.
    let layers = if args.layer.is_empty() { vec!["conv1".to_owned()] } else { args.layer.clone() };
    let mut networks = Vec::new();
    for trial in trials(looked, args, &layers)? {
        networks.push(looked.network(trial)?);
    }
    looked.filters.check(&networks)?;
    let mut any = false;
    for layer in &layers {
        let shown = |found: &FilterLayer| found.name == *layer && looked.filters.has_any(found.filters);
        let has = |network: &&Network| network.layers.iter().any(shown);
        let with: Vec<&Network> = networks.iter().filter(has).take(MOST_NETWORKS).collect();
        if with.len() < 2 {
            continue;
        }
        any = true;
        let rows = of(looked, &with, layer);
        output::out(&sentences(&rows, layer).iter().map(|line| format!("{line}\n")).collect::<String>())?;
        let first = &with[0].trial;
        looked.write(&format!("{LOOK}/same-{layer}-{}-seed-{}.png", first.recipe, first.seed), &picture(&rows))?;
        looked.screen.picture(|| draw(&rows))?;
    }
    if any {
        return Ok(());
    }
    let message = format!("there are not two finished networks of different seeds with {}", layers.join(" or "));
    let hint = "networks of one seed begin with the same filters, so these are not compared; `tenfold run --seeds 2` trains \
                another of each";
    Err(Failure::new(USAGE, message, Some(hint.to_owned())))
}

/// The trainings that are compared. Of one recipe its seeds, the best first. Of several the best of the first, and of
/// each other the best of another seed: from the same seed they would begin with the same filters, and these recur
/// because they were there.
fn trials<'l>(looked: &'l Looked, args: &LookArgs, layers: &[String]) -> Result<Vec<&'l TrialRecord>, Failure> {
    let record = &looked.study.record;
    let recipe = |name: &str| record.recipes.iter().find(|recipe| recipe.name == name);
    let has_layer = |trial: &&TrialRecord| {
        recipe(&trial.recipe).is_some_and(|r| layers.iter().any(|layer| r.has_filters(&record.dataset, layer)))
    };
    let chosen: Vec<&TrialRecord> =
        chosen(&record.recipes, &args.model, args.seed)?.into_iter().filter(has_layer).collect();
    let Some(&first) = chosen.first() else { return Ok(Vec::new()) };
    let others =
        |name: &str| recipe(name).into_iter().flat_map(RecipeRecord::finished).filter(|trial| trial.seed != first.seed);
    let mut trials = vec![first];
    if chosen.len() == 1 {
        trials.extend(others(&first.recipe));
    } else {
        trials.extend(chosen[1..].iter().filter_map(|trial| best(others(&trial.recipe))));
    }
    Ok(trials)
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
