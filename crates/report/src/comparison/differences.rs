//! What differs between studies before any result does.

use serde::Serialize;
use serde_json::Value as Json;
use tenfold_study::record::{Environment, RecipeRecord, StudyRecord};

use super::Compared;
use super::words::machines;

/// Something that is not the same in all studies of a comparison.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// What it is.
    pub kind: Kind,
    /// The recipe whose setting it is; null where it is the study's.
    pub recipe: Option<String>,
    /// The setting, `batch size`; or what else differs.
    pub what: String,
    /// What it is in each study that has it.
    pub values: Vec<Value>,
}

/// What differs, and so what cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A setting of recipes of the same name: what the comparison is about.
    Setting,
    /// The data set: no test compares results across it.
    Data,
    /// The split into training and validation: validation accuracies are not on the same images.
    Split,
    /// The precision.
    Precision,
    /// The processor, threads or version: times are compared only where these are the same.
    Machine,
}

/// What something is in one study.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Value {
    /// The study's name in the comparison.
    pub study: String,
    /// What it is there.
    pub value: String,
}

/// All differences of the studies: settings first, by recipe, then what makes results unlike.
pub fn differences(compared: &Compared) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let recipes = || compared.sets.iter().flat_map(|set| &set.recipes);
    for recipe in recipes() {
        let name = recipe.record.name.as_str();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let mut same: Vec<(usize, &RecipeRecord)> =
            recipes().filter(|other| other.record.name == name).map(|other| (other.study, other.record)).collect();
        same.sort_by_key(|(study, _)| *study);
        let named = |values: Vec<String>| {
            let studies = same.iter().map(|(study, _)| compared.studies[*study].name.clone());
            studies.zip(values).map(|(study, value)| Value { study, value }).collect::<Vec<_>>()
        };
        let texts = |recipe: &RecipeRecord| recipe.layers.iter().map(ToString::to_string).collect::<Vec<_>>();
        let texts: Vec<Vec<String>> = same.iter().map(|(_, recipe)| texts(recipe)).collect();
        let lists: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
        let mut settings = vec![(LAYERS, unlike_layers(&lists))];
        let of_each: Vec<_> = same.iter().map(|(_, recipe)| recipe.settings.named()).collect();
        settings.extend((0..of_each[0].len()).map(|n| {
            let values = of_each.iter().map(|settings| words(settings[n].0, &settings[n].1));
            (of_each[0][n].0, values.collect())
        }));
        for (what, mut values) in settings {
            if values.windows(2).any(|two| two[0] != two[1]) {
                if what != LAYERS {
                    values = unlike_parts(&values);
                }
                let kind = if what == PRECISION { Kind::Precision } else { Kind::Setting };
                let (recipe, what) = (Some(name.to_owned()), what.replace('_', " "));
                all.push(Difference { kind, recipe, what, values: named(values) });
            }
        }
    }
    // Settings first; the sort keeps the order otherwise.
    all.sort_by_key(|difference| difference.kind != Kind::Setting);

    let mut of_studies = |kind, what: &str, same: bool, value: &dyn Fn(usize) -> String| {
        if !same {
            let values = compared.studies.iter().enumerate();
            let values = values.map(|(n, study)| Value { study: study.name.clone(), value: value(n) }).collect();
            all.push(Difference { kind, recipe: None, what: what.to_owned(), values });
        }
    };
    let record = |n: usize| compared.studies[n].record;
    let others = || (1..compared.studies.len()).map(|n| (record(0), record(n)));
    of_studies(Kind::Data, "data", compared.sets.len() < 2, &|n| {
        let data = &record(n).dataset;
        format!("{}, {} test images, sha256 {}", data.name, data.test, short(&data.sha256))
    });
    let split = others().all(|(a, b)| a.dataset.split_sha256 == b.dataset.split_sha256);
    of_studies(Kind::Split, "split", split, &|n| {
        let data = &record(n).dataset;
        let (train, valid, seed) = (data.train, data.valid, data.split_seed);
        format!(
            "{train} training and {valid} validation images, split seed {seed}, sha256 {}",
            short(&data.split_sha256)
        )
    });
    let machine = others().all(|(a, b)| same_machines(a, b));
    of_studies(Kind::Machine, "machine", machine, &|n| machines(record(n)).join(" and "));
    all
}

/// Whether trials of both were run on the same kinds of machines.
fn same_machines(a: &StudyRecord, b: &StudyRecord) -> bool {
    let within = |a: &StudyRecord, b: &StudyRecord| {
        let b = b.machines();
        a.machines().iter().all(|a| b.iter().any(|b| a.like.is_like(b.like)))
    };
    within(a, b) && within(b, a)
}

/// A machine and program in one line.
pub fn environment(environment: &Environment) -> String {
    let Environment { host: _, cpu, isa, threads, version, commit } = environment;
    let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    format!("{cpu}, {isa}, {threads}, tenfold {version} ({})", short(commit))
}

/// Enough of a hash to tell it from others.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

const LAYERS: &str = "layers";
const PRECISION: &str = "precision";

/// A setting as words: `adam, betas 0.9 0.999, lr 0.001`.
fn words(name: &str, value: &Json) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    match (name, value) {
        (_, Json::Null) => "none".to_owned(),
        ("target", target) => format!("validation accuracy {target}"),
        ("patience", epochs) => format!("{epochs} epochs"),
        (_, Json::Object(fields)) => {
            let kind = fields.get("kind").map(word);
            let others = fields.iter().filter(|(name, _)| *name != "kind");
            let others = others.map(|(name, value)| format!("{} {}", name.replace('_', " "), word(value)));
            kind.into_iter().chain(others).collect::<Vec<_>>().join(", ")
        }
        (_, value) => word(value),
    }
}

/// The values without the parts, after the first, that are in all: of two Adams, what differs.
fn unlike_parts(values: &[String]) -> Vec<String> {
    let in_all = |part: &str| values.iter().all(|value| value.split(", ").any(|other| other == part));
    let unlike = |value: &String| {
        let parts = value.split(", ").enumerate().filter(|(n, part)| *n == 0 || !in_all(part));
        parts.map(|(_, part)| part).collect::<Vec<_>>().join(", ")
    };
    values.iter().map(unlike).collect()
}

/// The layers of each list without those that all begin and end with.
fn unlike_layers(lists: &[&[String]]) -> Vec<String> {
    let Some(first) = lists.first() else { return Vec::new() };
    let shortest = lists.iter().map(|list| list.len()).min().unwrap_or(0);
    let start = (0..shortest).take_while(|&n| lists.iter().all(|list| list[n] == first[n])).count();
    let from_end = |list: &[String], n: usize| list[list.len() - 1 - n].clone();
    let end =
        (0..shortest - start).take_while(|&n| lists.iter().all(|list| from_end(list, n) == from_end(first, n))).count();
    let middle = |list: &&[String]| match &list[start..list.len() - end] {
        [] => "nothing there".to_owned(),
        layers => format!("from layer {}: {}", start + 1, layers.join(", ")),
    };
    lists.iter().map(middle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_layers_that_differ_are_shown() {
        let list = |layers: &str| layers.split(", ").map(str::to_owned).collect::<Vec<_>>();
        let shown = |lists: &[&str]| {
            let lists: Vec<Vec<String>> = lists.iter().map(|layers| list(layers)).collect();
            unlike_layers(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let one = "conv 8 3x3, relu, linear 10";
        assert_eq!(
            shown(&[one, "conv 8 3x3, relu, dropout 0.5, linear 10"]),
            ["nothing there", "from layer 3: dropout 0.5"]
        );
        assert_eq!(
            shown(&[one, "conv 16 3x3, relu, linear 10"]),
            ["from layer 1: conv 8 3x3", "from layer 1: conv 16 3x3"]
        );
        assert_eq!(shown(&[one, one]), ["nothing there", "nothing there"]);
        // The layer that both begin and end with is not counted twice.
        assert_eq!(shown(&["relu, relu", "relu"]), ["from layer 2: relu", "nothing there"]);
        assert!(shown(&[]).is_empty());
    }

    #[test]
    fn only_the_parts_that_differ_are_shown() {
        let values = ["adam, eps 1e-8, lr 0.1", "adam, eps 1e-8, lr 0.2", "sgd, lr 0.1"].map(str::to_owned);
        assert_eq!(unlike_parts(&values[..2]), ["adam, lr 0.1", "adam, lr 0.2"]);
        assert_eq!(unlike_parts(&values), values);
    }

    #[test]
    fn settings_are_words() {
        let adam = serde_json::json!({ "kind": "adam", "lr": 0.001, "betas": [0.9, 0.999], "weight_decay": 0.0 });
        let cases = [
            ("optimizer", adam, "adam, betas 0.9 0.999, lr 0.001, weight decay 0.0"),
            ("init", "pytorch".into(), "pytorch"),
            ("batch_size", 50.into(), "50"),
            ("target", 0.99.into(), "validation accuracy 0.99"),
            ("patience", 3.into(), "3 epochs"),
            ("patience", Json::Null, "none"),
        ];
        for (name, value, expected) in cases {
            assert_eq!(words(name, &value), expected, "{name}");
        }
    }
}
