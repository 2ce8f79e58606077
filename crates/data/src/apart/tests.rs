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
    let known = Known { labels: &labels, classes: 4, groups: &[], alike: &alone(100) };
    let chosen = choose(known, 20, &rng(42));
    let counts = [0, 1, 2].map(|class| chosen.iter().filter(|&&n| labels[n as usize] == class).count());
    assert_eq!(counts, [12, 7, 1]);
    assert_eq!(chosen, choose(known, 20, &rng(42)));
    assert_ne!(chosen, choose(known, 20, &rng(43)));
    assert_eq!(chosen[..6], [2, 3, 8, 10, 18, 35], "{chosen:?}");
}

#[test]
fn nothing_can_be_chosen_from_nothing() {
    let none = Known { labels: &[], classes: 2, groups: &[], alike: &[] };
    assert_eq!(choose(none, 5, &rng(0)), [0; 0]);
    // All in one group: it stays together, so nothing is set apart.
    let one = Known { labels: &[0, 1, 0, 1], classes: 2, groups: &[7; 4], alike: &alone(4) };
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
        let known = Known { labels: &labels, classes: 4, groups, alike: &alike };
        let chosen = choose(known, n * part / 100, &rng(seed));
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
        let known = Known { labels: &labels, classes: 5, groups: &[], alike: &alone(n) };
        prop_assert_eq!(choose(known, n / 5, &rng(seed)).len(), n / 5);
    }
}
