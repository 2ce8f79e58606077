//! On what the trials of a study were trained.

use super::{Environment, RecipeRecord, StudyRecord};

/// Machines of one kind: the same processor, instruction set, number of threads and program.
#[derive(Clone, PartialEq, Debug)]
pub struct Machines<'a> {
    /// One of them.
    pub like: &'a Environment,
    /// Their names, in order, as far as they are known.
    pub hosts: Vec<&'a str>,
    /// Trials that were run on them.
    pub trials: usize,
}

impl Environment {
    /// Whether the same training may take the same time on both: they have the same processor, instruction set, number
    /// of threads and version of the program.
    pub fn is_like(&self, other: &Environment) -> bool {
        (&self.cpu, &self.isa, self.threads, &self.version) == (&other.cpu, &other.isa, other.threads, &other.version)
    }
}

impl RecipeRecord {
    /// On what the trial of this seed was run.
    pub fn machine(&self, seed: u64) -> Option<&Environment> {
        self.trials.iter().find(|trial| trial.seed == seed).map(|trial| &trial.environment)
    }
}

impl StudyRecord {
    /// On what its trials were run, by kind, the one with the most trials first; of equals, that of the first trial.
    pub fn machines(&self) -> Vec<Machines<'_>> {
        let mut kinds: Vec<Machines> = Vec::new();
        for trial in self.recipes.iter().flat_map(|recipe| &recipe.trials) {
            let own = &trial.environment;
            let of_kind = |kind: &Machines| kind.like.is_like(own) && kind.like.commit == own.commit;
            let at = kinds.iter().position(of_kind).unwrap_or_else(|| {
                kinds.push(Machines { like: own, hosts: Vec::new(), trials: 0 });
                kinds.len() - 1
            });
            let kind = &mut kinds[at];
            kind.trials += 1;
            if let (false, Err(at)) = (own.host.is_empty(), kind.hosts.binary_search(&own.host.as_str())) {
                kind.hosts.insert(at, &own.host);
            }
        }
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.trials));
        kinds
    }

    /// On how many kinds of machines its trials were run whose times do not compare.
    pub fn paces(&self) -> usize {
        let mut paces: Vec<&Environment> = Vec::new();
        for kind in self.machines() {
            if !paces.iter().any(|pace| pace.is_like(kind.like)) {
                paces.push(kind.like);
            }
        }
        paces.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::record::testing::{recipe, study};

    #[test]
    fn machines_are_told_by_what_times_depend_on_and_named() {
        let mut study = study(vec![recipe("a", &[(0.5, 0.5); 4]), recipe("b", &[(0.5, 0.5); 2])]);
        for (n, host) in [(0, "n2"), (1, "n10"), (2, "n2"), (3, "")] {
            study.recipes[0].trials[n].environment.host = host.to_owned();
        }
        for trial in &mut study.recipes[1].trials {
            trial.environment.cpu = "another".to_owned();
        }
        study.recipes[0].trials[0].environment.threads = 64;
        let machines = study.machines();
        let found: Vec<_> =
            machines.iter().map(|kind| (kind.trials, kind.hosts.join(" "), kind.like.threads)).collect();
        assert_eq!(found, [(3, "n10 n2".to_owned(), 1), (2, "test".to_owned(), 1), (1, "n2".to_owned(), 64)]);
        // Another commit is another program, though of a version that promises the same times.
        study.recipes[1].trials[1].environment.commit = "another".to_owned();
        assert_eq!((study.machines().len(), study.paces()), (4, 3), "the same times all the same");
        let [one, other] = [0, 1].map(|n| &study.recipes[1].trials[n].environment);
        assert!(one.is_like(other) && !one.is_like(&study.recipes[0].trials[1].environment));
    }
}
