//! What is promised of every split that we make.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::rng::{Rng, Stream};

fn rng(seed: u64) -> Rng {
    Rng::new(seed, Stream::Split, 1)
}

fn alone(n: usize) -> Vec<u32> {
    (0..n as u32).collect()
}

#[test]
fn classes_keep_their_proportions_and_the_split_is_pinned() {
    let labels: Vec<u16> = (0..100)
        .map(|n| {
            if n < 60 {
                0
            } else if n < 98 {
                1
            } else {
                2
            }
        })
        .collect();
    let known = Known { labels: &labels, classes: 4, groups: &[], alike: &alone(100), keys: &[] };
    let chosen = choose(known, 20, &rng(42));
    let counts = [0, 1, 2].map(|class| chosen.iter().filter(|&&n| labels[n as usize] == class).count());
    assert_eq!(counts, [12, 7, 1]);
    assert_eq!(chosen, choose(known, 20, &rng(42)));
    assert_ne!(chosen, choose(known, 20, &rng(43)));
    assert_eq!(chosen[..6], [0, 7, 11, 14, 17, 23], "{chosen:?}");
}

#[test]
fn large_units_have_no_better_chance_than_small_ones() {
    // 100 groups of 1 to 20 images of one class, and as many of another.
    let sizes: Vec<usize> = (0..200).map(|group| 1 + group * 7 % 20).collect();
    let groups: Vec<u32> = (0..200_u32).flat_map(|group| vec![group; sizes[group as usize]]).collect();
    let labels: Vec<u16> = groups.iter().map(|group| (group % 2) as u16).collect();
    let n = groups.len();
    let known = Known { labels: &labels, classes: 2, groups: &groups, alike: &alone(n), keys: &[] };
    let mean_size = |chosen: &[u32]| {
        let mut found: Vec<u32> = chosen.iter().map(|&n| groups[n as usize]).collect();
        found.dedup();
        found.iter().map(|&group| sizes[group as usize]).sum::<usize>() as f64 / found.len() as f64
    };
    // The mean over 40 choices of some 40 groups each: the standard error is 0.15 of a mean of 10.5.
    let mean = (0..40).map(|seed| mean_size(&choose(known, n / 5, &rng(seed)))).sum::<f64>() / 40.0;
    assert!((9.7..11.3).contains(&mean), "{mean}");
}

#[test]
fn what_is_set_apart_stays_when_images_are_added() {
    let keys: Vec<u64> = (0..400).map(|n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let labels: Vec<u16> = (0..400).map(|n| n % 4).collect();
    let apart = |n: usize| {
        let known = Known { labels: &labels[..n], classes: 4, groups: &[], alike: &alone(n), keys: &keys[..n] };
        choose(known, n / 5, &rng(5))
    };
    let (few, many) = (apart(360), apart(400));
    let stay = few.iter().filter(|&n| many.contains(n)).count();
    assert!(stay * 10 > few.len() * 8, "{stay} of {}", few.len());
}

#[test]
fn nothing_can_be_chosen_from_nothing() {
    let none = Known { labels: &[], classes: 2, groups: &[], alike: &[], keys: &[] };
    assert_eq!(choose(none, 5, &rng(0)), [0; 0]);
    // All in one group: it stays together, so nothing is set apart.
    let one = Known { labels: &[0, 1, 0, 1], classes: 2, groups: &[7; 4], alike: &alone(4), keys: &[] };
    assert_eq!(choose(one, 2, &rng(0)), [0; 0]);
}

proptest! {
    #[test]
    fn what_belongs_together_stays_together(
        labels in prop::collection::vec(0_u16..4, 1..120),
        groups in prop::collection::vec(0_u32..30, 120),
        likeness in prop::collection::vec(0_u32..60, 120),
        grouped: bool,
        part in 0_usize..100,
        seed: u64,
    ) {
        let n = labels.len();
        let groups = if grouped { &groups[..n] } else { &[] };
        // Some are alike an earlier one.
        let alike: Vec<u32> = (0..n as u32).map(|i| if likeness[i as usize] < 10 { likeness[i as usize].min(i) } else { i }).collect();
        let known = Known { labels: &labels, classes: 4, groups, alike: &alike, keys: &[] };
        let chosen = choose(known, n * part / 100, &rng(seed));
        // Of more classes than one, unless what has another is all that there is of some class.
        let of = |at: &[u32]| at.iter().map(|&i| labels[i as usize]).collect::<BTreeSet<_>>();
        if let (1, Some(&class)) = (of(&chosen).len(), of(&chosen).first()) {
            let left: Vec<u32> = (0..n as u32).filter(|i| !chosen.contains(i)).collect();
            let unit = unit_of(groups, &alike);
            for &i in left.iter().filter(|&&i| labels[i as usize] != class) {
                let (with, without): (Vec<u32>, Vec<u32>) = left.iter().partition(|&&j| unit[j as usize] == unit[i as usize]);
                prop_assert!(of(&with).iter().any(|class| !of(&without).contains(class)), "{} could be there too", i);
            }
        }
        prop_assert!(chosen.is_sorted() && chosen.iter().all(|&i| (i as usize) < n));
        let apart: BTreeSet<u32> = chosen.iter().copied().collect();
        for i in 0..n {
            prop_assert_eq!(apart.contains(&(i as u32)), apart.contains(&alike[i]), "{} and its like {}", i, alike[i]);
            for j in 0..if grouped { i } else { 0 } {
                if groups[i] == groups[j] {
                    prop_assert_eq!(apart.contains(&(i as u32)), apart.contains(&(j as u32)), "{} and {} of group {}", i, j, groups[i]);
                }
            }
        }
        for class in 0..4 {
            let of_class: Vec<u32> = (0..n as u32).filter(|&i| labels[i as usize] == class).collect();
            prop_assert!(of_class.is_empty() || of_class.iter().any(|i| !apart.contains(i)), "class {} is set apart as a whole", class);
        }
    }

    #[test]
    fn as_many_as_asked_for_where_everything_is_by_itself(labels in prop::collection::vec(0_u16..5, 20..200), seed: u64) {
        let n = labels.len();
        let known = Known { labels: &labels, classes: 5, groups: &[], alike: &alone(n), keys: &[] };
        prop_assert_eq!(choose(known, n / 5, &rng(seed)).len(), n / 5);
    }
}
