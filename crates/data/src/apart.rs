//! Examples set apart, honestly: each class in its proportion, and what belongs together on one side.

#[cfg(test)]
mod tests;

use crate::class_counts;
use crate::duplicates::Sets;
use crate::rng::Rng;

/// What is known of the examples that are to be parted.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The class of each.
    pub labels: &'a [u16],
    /// How many classes there are.
    pub classes: usize,
    /// The group of each, or none where groups are not known.
    pub groups: &'a [u32],
    /// For each the first example that is alike ([`Alike::nearly`](crate::Alike)).
    pub alike: &'a [u32],
    /// A number of each by its contents, which says when it is its turn; or none, then that is its place.
    pub keys: &'a [u64],
}

/// Chooses about `count` examples to set apart, at random by `rng`; gives their numbers, ascending.
///
/// Examples of one group, and examples that are alike, stay together on one side. Of each class as near to its share as
/// that allows, and exactly `count` where everything is by itself; no class is set apart as a whole. Where what belongs
/// together is all more than was asked for, the fittest of it is set apart; where that makes a part of one class, the
/// fittest that has another is added, if there is such.
///
/// # Panics
/// If there are not as many groups (unless none) and likenesses as labels, or a label is not in `0..classes`.
pub fn choose(known: Known, count: usize, rng: &Rng) -> Vec<u32> {
    let Known { labels, classes, groups, alike, keys } = known;
    let n = labels.len();
    assert!(
        alike.len() == n && (groups.is_empty() || groups.len() == n),
        "{n} labels, {} groups, {} alike",
        groups.len(),
        alike.len()
    );
    let units = units(groups, alike);
    assert!(keys.is_empty() || keys.len() == n, "{n} labels, {} keys", keys.len());
    let of_class = class_counts(labels, classes);
    let wanted = targets(&of_class, count);

    // At random, whatever their size: large ones first would fill the part with them. By contents, so that a few images
    // more or fewer move few others.
    let turn = |unit: &Vec<u32>| {
        let number = |&n: &u32| keys.get(n as usize).copied().unwrap_or_else(|| u64::from(n));
        unit.iter().map(number).min().map_or(0, |number| rng.u64_at(number))
    };
    let mut order: Vec<&Vec<u32>> = units.iter().collect();
    order.sort_by_cached_key(|unit| turn(unit));
    let mut part = Part { labels, of_class, wanted, counts: vec![0; classes], chosen: Vec::new() };
    for unit in &order {
        if part.change(unit).is_some_and(|change| change < 0) {
            part.take(unit);
        }
    }
    // Too many are better than none.
    if part.chosen.is_empty() && count > 0 {
        part.take_fittest(&order, |_| true);
    }
    // And than those of one class, which measure nothing.
    let class = part.chosen.first().map(|&n| labels[n as usize]);
    if part.chosen.iter().all(|&n| Some(labels[n as usize]) == class) && count > 0 {
        part.take_fittest(&order, |unit| unit.iter().any(|&n| Some(labels[n as usize]) != class));
    }
    part.chosen.sort_unstable();
    part.chosen
}

/// What is set apart.
struct Part<'a> {
    labels: &'a [u16],
    /// Of each class, how many there are, how many the part should have, and how many it has.
    of_class: Vec<u64>,
    wanted: Vec<u64>,
    counts: Vec<u64>,
    chosen: Vec<u32>,
}

impl Part<'_> {
    /// By how much the squares of what is missing, or too much, change with a unit; none where nothing of a class would be
    /// left.
    fn change(&self, unit: &[u32]) -> Option<i128> {
        let more = of_classes(unit, self.labels);
        if more.iter().any(|&(class, more)| self.counts[class] + more >= self.of_class[class]) {
            return None;
        }
        let change = |&(class, more): &(usize, u64)| {
            let off = |count: u64| i128::from(count.abs_diff(self.wanted[class])).pow(2);
            off(self.counts[class] + more) - off(self.counts[class])
        };
        Some(more.iter().map(change).sum())
    }

    fn take(&mut self, unit: &[u32]) {
        of_classes(unit, self.labels).into_iter().for_each(|(class, more)| self.counts[class] += more);
        self.chosen.extend_from_slice(unit);
    }

    /// Takes the first of those units that do the least harm, if there are any that `fits`.
    fn take_fittest(&mut self, units: &[&Vec<u32>], fits: impl Fn(&[u32]) -> bool) {
        let changes = units.iter().filter(|unit| fits(unit)).filter_map(|unit| Some((self.change(unit)?, unit)));
        if let Some((_, unit)) = changes.min_by_key(|(change, _)| *change) {
            self.take(unit);
        }
    }
}

/// How many of each class there are in a unit.
fn of_classes(unit: &[u32], labels: &[u16]) -> Vec<(usize, u64)> {
    let mut counts: Vec<(usize, u64)> = Vec::new();
    for &example in unit {
        let class = usize::from(labels[example as usize]);
        match counts.iter_mut().find(|(other, _)| *other == class) {
            Some((_, count)) => *count += 1,
            None => counts.push((class, 1)),
        }
    }
    counts
}

/// The unit of each example: examples of one group, and those that are alike, are of one; as the number of its first.
///
/// # Panics
/// If there are not as many groups (unless none) as likenesses.
pub fn unit_of(groups: &[u32], alike: &[u32]) -> Vec<u32> {
    let mut of = vec![0; alike.len()];
    for unit in units(groups, alike) {
        unit.iter().for_each(|&n| of[n as usize] = unit[0]);
    }
    of
}

/// Examples that belong together, in the order of their first.
fn units(groups: &[u32], alike: &[u32]) -> Vec<Vec<u32>> {
    let mut sets = Sets::new(alike.len());
    for (n, &first) in alike.iter().enumerate() {
        sets.join(n as u32, first);
    }
    let mut first_of_group = std::collections::HashMap::new();
    for (n, &group) in groups.iter().enumerate() {
        let first = *first_of_group.entry(group).or_insert(n as u32);
        sets.join(n as u32, first);
    }
    let mut number = vec![usize::MAX; alike.len()];
    let mut units: Vec<Vec<u32>> = Vec::new();
    for n in 0..alike.len() as u32 {
        let first = sets.first(n) as usize;
        if number[first] == usize::MAX {
            number[first] = units.len();
            units.push(Vec::new());
        }
        units[number[first]].push(n);
    }
    units
}

/// How many of each class are to be set apart: in proportion, by largest remainders, and of each class that can spare
/// one at least one, where there are enough.
fn targets(of_class: &[u64], count: usize) -> Vec<u64> {
    let all: u64 = of_class.iter().sum();
    let count = (count as u64).min(all);
    if all == 0 {
        return vec![0; of_class.len()];
    }
    let spare = |class: usize| of_class[class].saturating_sub(1);
    let product = |class: usize| u128::from(of_class[class]) * u128::from(count);
    let mut wanted: Vec<u64> =
        (0..of_class.len()).map(|class| ((product(class) / u128::from(all)) as u64).min(spare(class))).collect();
    let mut left = count - wanted.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..of_class.len()).collect();
    // Those with none first; then the largest remainder; then the first.
    order.sort_by_key(|&class| (wanted[class] > 0, std::cmp::Reverse(product(class) % u128::from(all))));
    while left > 0 && order.iter().any(|&class| wanted[class] < spare(class)) {
        for &class in &order {
            if left > 0 && wanted[class] < spare(class) {
                wanted[class] += 1;
                left -= 1;
            }
        }
    }
    wanted
}
