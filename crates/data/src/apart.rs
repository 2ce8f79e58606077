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
/// together is all more than was asked for, the fittest of it is set apart.
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
    let mut apart = vec![0_u64; classes];
    let mut chosen = Vec::new();
    // The unit that would do least harm, if none does good.
    let mut least: Option<(i128, &Vec<u32>)> = None;
    for unit in order {
        let more = of_classes(unit, labels);
        // By how much the squares of what is missing, or too much, change. Of a class something stays.
        let change = |&(class, more): &(usize, u64)| {
            let off = |apart: u64| i128::from(apart.abs_diff(wanted[class])).pow(2);
            off(apart[class] + more) - off(apart[class])
        };
        if more.iter().any(|&(class, more)| apart[class] + more >= of_class[class]) {
            continue;
        }
        let change = more.iter().map(change).sum::<i128>();
        if change < 0 {
            more.iter().for_each(|&(class, more)| apart[class] += more);
            chosen.extend_from_slice(unit);
        } else if least.is_none_or(|(other, _)| change < other) {
            least = Some((change, unit));
        }
    }
    // Too many are better than none.
    if let (true, Some((_, unit))) = (chosen.is_empty() && count > 0, least) {
        chosen.extend_from_slice(unit);
    }
    chosen.sort_unstable();
    chosen
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
