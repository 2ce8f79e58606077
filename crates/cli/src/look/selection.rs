//! Which filters of a layer are shown.

use super::Network;
use crate::failure::{Failure, USAGE};

/// The filters that somebody asked for; by default nobody has.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Selection {
    /// So many, those first that come first where they are shown.
    pub(crate) most: Option<usize>,
    /// These, by their numbers; if there are any, `most` is not asked for.
    pub(crate) these: Vec<usize>,
}

impl Selection {
    /// How many there are at most, where nobody asking means `unless`.
    pub(crate) fn most(&self, unless: usize) -> usize {
        if self.these.is_empty() { self.most.unwrap_or(unless) } else { self.these.len() }
    }

    /// Those of the filters `order`: the ones that were asked for, in that order, else the first `unless`.
    pub(crate) fn of(&self, order: &[usize], unless: usize) -> Vec<usize> {
        let asked_for = |filter: &&usize| self.these.is_empty() || self.these.contains(filter);
        order.iter().filter(asked_for).take(self.most(unless)).copied().collect()
    }

    /// Whether a layer of so many filters has any to show.
    pub(super) fn has_any(&self, filters: usize) -> bool {
        self.these.is_empty() || self.these.iter().any(|&filter| filter < filters)
    }

    /// An error if none of the layers that are looked at has a filter that was asked for.
    pub(super) fn check(&self, networks: &[Network]) -> Result<(), Failure> {
        let layers = || networks.iter().flat_map(|network| network.layers.iter().map(move |layer| (network, layer)));
        let Some((network, largest)) = layers().max_by_key(|(_, layer)| layer.filters) else { return Ok(()) };
        let Some(unknown) = self.these.iter().find(|&&filter| filter >= largest.filters) else { return Ok(()) };
        let (name, recipe) = (&largest.name, &network.trial.recipe);
        let message = format!("there is no filter {unknown}");
        let hint = format!("those of {name} of {recipe} are numbered from 0 to {}", largest.filters - 1);
        Err(Failure::new(USAGE, message, Some(hint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_the_first_or_those_that_were_asked_for() {
        let order = [4, 2, 0, 3, 1];
        let of = |most: Option<usize>, these: &[usize]| Selection { most, these: these.to_vec() }.of(&order, 3);
        assert_eq!(of(None, &[]), [4, 2, 0]);
        assert_eq!(of(Some(2), &[]), [4, 2]);
        assert_eq!(of(Some(9), &[]), order);
        assert_eq!(of(None, &[1, 4, 9, 1]), [4, 1]);
        assert!(of(None, &[9]).is_empty());
        assert_eq!(of(None, &[0, 1, 2, 3]), [2, 0, 3, 1], "more than the usual number");
    }
}
