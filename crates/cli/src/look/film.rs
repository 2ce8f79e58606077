//! Filters through training.

use tenfold_nn::look::FilterLayer;
use tenfold_report::look::film::{Strip, animation, draw, strip};
use tenfold_study::RunFolder;
use tenfold_study::look::film;

use super::filters::{each, strongest};
use super::{Looked, Network};
use crate::failure::{Failure, USAGE};
use crate::output;

/// Filters in a film unless somebody asks for more.
const FILTERS: usize = 16;

/// The film of a layer, if its training kept one: of the first `most` filters of `order`, or of those with the largest
/// weights in the end.
pub(crate) fn of(
    folder: &RunFolder,
    network: &Network,
    layer: &FilterLayer,
    order: Option<&[usize]>,
    most: usize,
) -> Result<Option<Strip>, Failure> {
    let Some(film) = film(folder, &network.trial, layer)? else { return Ok(None) };
    let epochs: Vec<_> = film.kernels.iter().map(|kernels| each(layer, kernels)).collect();
    let last = epochs.last().map_or(Vec::new(), |filters| strongest(filters));
    let order = order.unwrap_or(&last);
    let row = |&filter: &usize| epochs.iter().map(|filters| filters[filter].clone()).collect();
    Ok(Some(Strip {
        title: format!("{} of {} through training", layer.name, network.title()),
        epochs: film.epochs,
        of: layer.filters,
        rows: order.iter().take(most).map(row).collect(),
    }))
}

/// Writes the films of the network's layers.
pub(super) fn look(looked: &Looked, network: &Network) -> Result<(), Failure> {
    output::out(&format!("{}\n", network.title()))?;
    let mut any = false;
    for layer in &network.layers {
        let Some(film) = of(&looked.folder, network, layer, None, looked.filters.unwrap_or(FILTERS))? else { continue };
        any = true;
        looked.write(&network.file(&format!("film-{}.png", layer.name)), &strip(&film))?;
        looked.write(&network.file(&format!("film-{}-moving.png", layer.name)), &animation(&film))?;
        looked.screen.picture(|| draw(&film))?;
    }
    if any {
        return Ok(());
    }
    let message = if network.layers.is_empty() {
        format!("{} has no layer with filters", network.title())
    } else {
        format!("the training of {} kept no filters of each epoch", network.title())
    };
    let hint = "only earlier versions and layers of more than 8 MiB keep none: remove the result.json of the trial, and \
                `tenfold run` trains it again";
    Err(Failure::new(USAGE, message, Some(hint.to_owned())))
}
