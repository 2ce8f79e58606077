//! Trials on disk that are not the ones that were asked for, in words.

use crate::identity::Difference;

/// A trial on disk that was run with other settings, on other data or by other training code than was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Earlier {
    /// Whether it was trained to its end and measured, so that there is something to lose.
    pub finished: bool,
    /// In what it differs; nothing where its settings are not known.
    pub differences: Vec<Difference>,
}

impl Earlier {
    /// "lr was 0.1 and is now 0.2; epochs was 3 and is now 4".
    fn words(&self) -> String {
        let words = |d: &Difference| format!("{} was {} and is now {}", d.setting, d.before, d.now);
        match &self.differences[..] {
            [] => "something in its settings, data or training code that its record does not tell".to_owned(),
            all => all.iter().map(words).collect::<Vec<_>>().join("; "),
        }
    }
}

/// "a seeds 1 to 3, b seed 1: epochs was 3 and is now 4": a line for all trials that differ in the same way. `trials`
/// are name and seed, those of one recipe in a row by seed.
pub fn changes_in_words<'a>(trials: impl IntoIterator<Item = (&'a str, u64, &'a Earlier)>) -> Vec<String> {
    type Recipes<'a> = Vec<(&'a str, Vec<u64>)>;
    let mut alike: Vec<(String, Recipes)> = Vec::new();
    for (name, seed, earlier) in trials {
        let words = earlier.words();
        let at = alike.iter().position(|(other, _)| *other == words).unwrap_or_else(|| {
            alike.push((words, Vec::new()));
            alike.len() - 1
        });
        let recipes = &mut alike[at].1;
        match recipes.iter_mut().find(|(other, _)| *other == name) {
            Some((_, seeds)) => seeds.push(seed),
            None => recipes.push((name, vec![seed])),
        }
    }
    let line = |(words, recipes): (String, Recipes)| {
        let names: Vec<String> = recipes.iter().map(|(name, of)| format!("{name} {}", seeds(of))).collect();
        format!("{}: {words}", names.join(", "))
    };
    alike.into_iter().map(line).collect()
}

/// "seed 1", "seeds 1 to 3, 5".
fn seeds(all: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &seed in all {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(seed) => *last = seed,
            _ => runs.push((seed, seed)),
        }
    }
    let run = |&(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    let runs: Vec<String> = runs.iter().map(run).collect();
    format!("seed{} {}", if all.len() == 1 { "" } else { "s" }, runs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_that_differ_alike_are_told_together() {
        let earlier = |settings: &[(&str, &str, &str)]| Earlier {
            finished: true,
            differences: settings
                .iter()
                .map(|(setting, before, now)| Difference {
                    setting: (*setting).to_owned(),
                    before: (*before).to_owned(),
                    now: (*now).to_owned(),
                })
                .collect(),
        };
        let lr = earlier(&[("optimizer.lr", "0.1", "0.2")]);
        let both = earlier(&[("optimizer.lr", "0.1", "0.2"), ("epochs", "3", "4")]);
        let unknown = earlier(&[]);
        let trials = [("a", 1, &lr), ("a", 2, &lr), ("a", 3, &lr), ("a", 5, &lr), ("a", 4, &both), ("b", 1, &lr)];
        assert_eq!(
            changes_in_words(trials),
            [
                "a seeds 1 to 3, 5, b seed 1: optimizer.lr was 0.1 and is now 0.2",
                "a seed 4: optimizer.lr was 0.1 and is now 0.2; epochs was 3 and is now 4"
            ]
        );
        assert_eq!(
            changes_in_words([("c", 7, &unknown), ("c", 8, &unknown)]),
            ["c seeds 7, 8: something in its settings, data or training code that its record does not tell"]
        );
        assert_eq!(changes_in_words([]), Vec::<String>::new());
    }
}
