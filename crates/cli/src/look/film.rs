//! Filters through training.

use tenfold_nn::look::FilterLayer;
use tenfold_report::look::film::{Strip, animation, draw, strip};
use tenfold_study::RunFolder;
use tenfold_study::look::film;

use super::filters::{each, strongest};
use super::selection::Selection;
use super::{Looked, Network};
use crate::failure::{Failure, USAGE};
use crate::output;

/// Filters in a film unless somebody asks for more.
const FILTERS: usize = 16;

/// The film of a layer, if its training kept one: of the selected filters of `order`, which is that of their weights in
/// the end if there is none.
pub(crate) fn of(
    folder: &RunFolder,
    network: &Network,
    layer: &FilterLayer,
    order: Option<&[usize]>,
    (selection, unless): (&Selection, usize),
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
        rows: selection.of(order, unless).iter().map(row).collect(),
    }))
}

/// Writes the films of the networks' layers.
pub(super) fn look(looked: &Looked, networks: &[Network]) -> Result<(), Failure> {
    let mut any = false;
    for network in networks {
        any |= look_at(looked, network)?;
    }
    if any {
        return Ok(());
    }
    let names: Vec<String> = networks.iter().map(Network::title).collect();
    let message = format!("{}: no filters of each epoch were kept", names.join(", "));
    let hint = "trainings of earlier versions kept none, nor do those that find the disk full; a trial whose result.json is removed is trained again by `tenfold run`";
    Err(Failure::new(USAGE, message, Some(hint.to_owned())))
}

/// Writes the films of a network's layers, if its training kept any.
fn look_at(looked: &Looked, network: &Network) -> Result<bool, Failure> {
    let mut any = false;
    for layer in &network.layers {
        let Some(film) = of(&looked.folder, network, layer, None, (&looked.filters, FILTERS))? else { continue };
        if !any {
            output::out(&format!("{}\n", network.title()))?;
        }
        any = true;
        looked.write(&network.file(&format!("film-{}.png", layer.name)), &strip(&film))?;
        looked.write(&network.file(&format!("film-{}-moving.png", layer.name)), &animation(&film))?;
        looked.screen.picture(|| draw(&film))?;
    }
    Ok(any)
}
