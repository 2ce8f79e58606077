//! Ties, and which recipe to take.

use super::{Choice, Interval, LEVEL, PairStatistics, RecipeStatistics};
use crate::record::Environment;
use crate::stats::welch::welch;

/// The recipes by mean test accuracy, the best first, in groups: a new one begins where a recipe is worse than the
/// first of the last group.
pub(super) fn groups(recipes: &[RecipeStatistics], pairs: &[PairStatistics]) -> Vec<Vec<String>> {
    let mut order: Vec<&RecipeStatistics> = recipes.iter().collect();
    order.sort_by(|a, b| b.accuracy.mean.total_cmp(&a.accuracy.mean));
    let tied = |a: &str, b: &str| {
        let pair = pairs.iter().find(|p| (p.first == a && p.second == b) || (p.first == b && p.second == a));
        pair.is_some_and(|p| !p.verdict.favours_one())
    };
    let mut groups: Vec<Vec<String>> = Vec::new();
    for recipe in order {
        match groups.last_mut() {
            Some(group) if tied(&group[0], &recipe.recipe) => group.push(recipe.recipe.clone()),
            _ => groups.push(vec![recipe.recipe.clone()]),
        }
    }
    groups
}

/// A recipe as validation sees it.
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: u64,
    /// The mean balanced accuracy on validation.
    pub(super) mean: f64,
    /// That of each seed.
    pub(super) accuracies: Vec<f64>,
    /// Validation images.
    pub(super) images: f64,
    /// The median training time, and on what, where it can be trusted.
    pub(super) time: Option<(f64, &'a Environment)>,
}

/// The choice by validation; none without candidates. Of equals, the first.
pub(super) fn choice(candidates: &[Candidate], margin: f64) -> Option<Choice> {
    let least = |of: &[&Candidate], figure: &dyn Fn(&Candidate) -> Option<f64>| {
        let known = of.iter().filter_map(|c| Some((c.name.to_owned(), figure(c)?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
    };
    let highest = candidates.iter().reduce(|best, c| if c.mean > best.mean { c } else { best })?;
    let leading: Vec<&Candidate> =
        candidates.iter().filter(|c| c.name == highest.name || as_good(c, highest, margin)).collect();
    Some(Choice {
        highest: highest.name.to_owned(),
        smallest: least(&leading, &|c| Some(c.parameters as f64))?,
        fastest: least(&leading, &|c| c.time.map(|time| time.0)).filter(|_| comparable(&leading)),
        leading: leading.iter().map(|c| c.name.to_owned()).collect(),
    })
}

/// Whether all have a time, and from like machines.
fn comparable(leading: &[&Candidate]) -> bool {
    let machines: Option<Vec<&Environment>> = leading.iter().map(|candidate| Some(candidate.time?.1)).collect();
    machines.is_some_and(|machines| machines.windows(2).all(|two| two[0].is_like(two[1])))
}

/// Whether validation does not tell a recipe from the one with the highest mean.
fn as_good(candidate: &Candidate, highest: &Candidate, margin: f64) -> bool {
    if let Some(difference) = welch(&highest.accuracies, &candidate.accuracies) {
        let Interval { low, .. } = difference.interval(LEVEL);
        return low <= 0.0;
    }
    let variance = |c: &Candidate| if c.images > 0.0 { c.mean * (1.0 - c.mean) / c.images } else { 0.0 };
    let difference = highest.mean - candidate.mean;
    difference < margin || difference <= 2.0 * (variance(highest) + variance(candidate)).sqrt()
}
