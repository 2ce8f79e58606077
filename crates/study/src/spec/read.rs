//! The text of a study file: what may stand in it, and what is said of mistakes, with their place.

use std::ops::Range;

use serde::Deserialize;
use tenfold_nn::Precision;
use tenfold_nn::model::{Init, Layer};
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::Pixels;
use toml::Spanned;

use super::{DataSettings, Place, Recipe, Study, StudyFileError, ValidPart};
use crate::stop;
use crate::suggest::nearest;

const MAX_RECIPES: usize = 1000;
const MAX_LAYERS: usize = 1000;
/// The most epochs that a recipe may ask for.
const MAX_EPOCHS: usize = 10_000;
/// The most examples in one step; the training set is a closer limit.
const MAX_BATCH_SIZE: usize = 1 << 20;

impl Study {
    /// Reads the text of a study file; errors call it `path`.
    pub fn parse(text: &str, path: &str) -> Result<Study, StudyFileError> {
        let file: StudyToml = toml::from_str(text).map_err(|error| parse_error(text, path, &error))?;
        file.check().map_err(|Fault { span, message, hint }| StudyFileError::Invalid {
            path: path.to_owned(),
            place: span.map(|span| Box::new(Place::new(text, span))),
            message,
            hint,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyToml {
    name: Spanned<String>,
    title: Option<Spanned<String>>,
    #[serde(default)]
    data: DataToml,
    #[serde(default)]
    recipe: Vec<RecipeToml>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DataToml {
    valid: Option<Spanned<usize>>,
    valid_share: Option<Spanned<f64>>,
    split_seed: Option<u64>,
    classes: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeToml {
    name: Spanned<String>,
    title: Option<Spanned<String>>,
    layers: Spanned<Vec<Spanned<String>>>,
    batch_size: Option<Spanned<usize>>,
    epochs: Option<Spanned<usize>>,
    optimizer: Option<Spanned<Optimizer>>,
    schedule: Option<Spanned<Schedule>>,
    init: Option<Init>,
    pixels: Option<Spanned<Pixels>>,
    precision: Option<Precision>,
    stop: Option<Spanned<String>>,
    patience: Option<Spanned<usize>>,
}

/// What is wrong, and where.
struct Fault {
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn at<T>(value: &Spanned<T>, message: String) -> Fault {
        Fault { span: Some(value.span()), message, hint: None }
    }
}

impl StudyToml {
    fn check(self) -> Result<Study, Fault> {
        check_name("the study's name", &self.name)?;
        let title = title(self.title.as_ref(), self.name.get_ref())?;
        let data = self.data.check()?;
        if self.recipe.is_empty() || self.recipe.len() > MAX_RECIPES {
            let message = format!("the study has {} recipes, expected 1 to {MAX_RECIPES}", self.recipe.len());
            let hint = "a recipe begins with [[recipe]] and has at least a name and layers".to_owned();
            return Err(Fault { span: None, message, hint: Some(hint) });
        }
        let mut recipes = Vec::<Recipe>::new();
        for recipe in self.recipe {
            if recipes.iter().any(|other| other.name == *recipe.name.get_ref()) {
                let message =
                    format!("there is a recipe {:?} already, expected different names", recipe.name.get_ref());
                return Err(Fault::at(&recipe.name, message));
            }
            recipes.push(recipe.check()?);
        }
        Ok(Study { name: self.name.into_inner(), title, data, recipes })
    }
}

impl DataToml {
    fn check(self) -> Result<DataSettings, Fault> {
        let valid = match (self.valid, self.valid_share) {
            (Some(_), Some(share)) => {
                let message = "valid and valid_share are both given, expected one of them".to_owned();
                return Err(Fault::at(&share, message));
            }
            (Some(count), None) if *count.get_ref() == 0 => {
                return Err(Fault::at(&count, "valid is 0, expected at least 1 example".to_owned()));
            }
            (Some(count), None) => ValidPart::Count(count.into_inner()),
            (None, Some(share)) if !(*share.get_ref() > 0.0 && *share.get_ref() < 1.0) => {
                let message = format!("valid_share is {}, expected more than 0 and less than 1", share.get_ref());
                return Err(Fault::at(&share, message));
            }
            (None, Some(share)) => ValidPart::Share(share.into_inner()),
            (None, None) => ValidPart::Share(0.1),
        };
        if let Some(classes) = self.classes.as_ref().filter(|classes| !(2..=256).contains(classes.get_ref())) {
            return Err(Fault::at(classes, format!("classes is {}, expected 2 to 256", classes.get_ref())));
        }
        let classes = self.classes.map_or(10, Spanned::into_inner);
        Ok(DataSettings { valid, split_seed: self.split_seed.unwrap_or(0), classes })
    }
}

impl RecipeToml {
    fn check(self) -> Result<Recipe, Fault> {
        check_name("a recipe's name", &self.name)?;
        let name = self.name.get_ref().clone();
        let title = title(self.title.as_ref(), &name)?;
        if self.layers.get_ref().len() > MAX_LAYERS {
            let message =
                format!("recipe {name:?} has {} layers, expected at most {MAX_LAYERS}", self.layers.get_ref().len());
            return Err(Fault::at(&self.layers, message));
        }
        let mut layers = Vec::new();
        for (index, text) in self.layers.get_ref().iter().enumerate() {
            let layer = text.get_ref().parse::<Layer>();
            layers.push(
                layer.map_err(|error| Fault::at(text, format!("recipe {name:?}: layer {}: {error}", index + 1)))?,
            );
        }
        if layers.is_empty() {
            let message = format!("recipe {name:?} has no layers; the last is linear, with one output per class");
            return Err(Fault::at(&self.layers, message));
        }
        let whole = |value: Option<Spanned<usize>>, key: &str, default: usize, max: usize| match value {
            Some(value) if !(1..=max).contains(value.get_ref()) => {
                let message = format!("recipe {name:?}: {key} is {}, expected 1 to {max}", value.get_ref());
                Err(Fault::at(&value, message))
            }
            value => Ok(value.map_or(default, Spanned::into_inner)),
        };
        let batch_size = whole(self.batch_size, "batch_size", 50, MAX_BATCH_SIZE)?;
        let epochs = whole(self.epochs, "epochs", 10, MAX_EPOCHS)?;
        let patience = self.patience.map(|patience| whole(Some(patience), "patience", 0, MAX_EPOCHS)).transpose()?;
        let about = |error: String| format!("recipe {name:?}: {error}");
        if let Some(optimizer) = &self.optimizer {
            optimizer.get_ref().check().map_err(|error| Fault::at(optimizer, about(error)))?;
        }
        if let Some(schedule) = &self.schedule {
            schedule.get_ref().check().map_err(|error| Fault::at(schedule, about(error)))?;
        }
        if let Some(pixels) = &self.pixels {
            pixels.get_ref().check().map_err(|error| Fault::at(pixels, about(error)))?;
        }
        let target = match &self.stop {
            Some(text) => Some(stop::parse(text.get_ref()).map_err(|error| Fault::at(text, about(error)))?),
            None => None,
        };
        Ok(Recipe {
            name,
            title,
            layers,
            batch_size,
            epochs,
            optimizer: self.optimizer.map_or(Optimizer::adam(1e-3), Spanned::into_inner),
            schedule: self.schedule.map_or(Schedule::default(), Spanned::into_inner),
            init: self.init.unwrap_or_default(),
            pixels: self.pixels.map_or(Pixels::default(), Spanned::into_inner),
            precision: self.precision.unwrap_or_default(),
            target,
            patience,
        })
    }
}

/// Whether a study or a recipe can be called so.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
}

/// Names become folders and are typed after `--only`.
fn check_name(what: &str, name: &Spanned<String>) -> Result<(), Fault> {
    let text = name.get_ref();
    if is_name(text) {
        return Ok(());
    }
    let message =
        format!("{what} is {text:?}, expected 1 to 64 of the characters a-z, 0-9 and -, not beginning with -");
    Err(Fault::at(name, message))
}

/// Titles are printed, so they must not be able to steer a terminal.
fn title(title: Option<&Spanned<String>>, name: &str) -> Result<String, Fault> {
    match title {
        None => Ok(name.to_owned()),
        Some(title) if title.get_ref().len() > 200 || title.get_ref().chars().any(char::is_control) => Err(Fault::at(
            title,
            "the title is too long or has control characters, expected one line of text".to_owned(),
        )),
        Some(title) => Ok(title.get_ref().clone()),
    }
}

/// What the TOML reader says, in our form.
fn parse_error(text: &str, path: &str, error: &toml::de::Error) -> StudyFileError {
    let message = error.message();
    // serde tells of unknown keys in a sentence only: the first quoted word is the key, the others are the known ones.
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = [("unknown field `", "key"), ("unknown variant `", "value")];
    let (message, hint) = match unknown.iter().find(|(start, _)| message.starts_with(start)) {
        Some((_, what)) if !quoted.is_empty() => {
            let known = &quoted[1..];
            let hint = match nearest(quoted[0], known.iter().copied()) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None if known.is_empty() => None,
                None => Some(format!("known here: {}", known.join(", "))),
            };
            (format!("there is no {what} `{}` here", quoted[0]), hint)
        }
        _ => (message.trim().replace('\n', "; "), None),
    };
    let place = error.span().map(|span| Box::new(Place::new(text, span)));
    StudyFileError::Invalid { path: path.to_owned(), place, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SMALL;

    #[track_caller]
    fn refusal(text: &str) -> (String, Option<String>) {
        let error = Study::parse(text, "mine.toml").expect_err("is refused");
        (error.to_string(), error.hint().map(str::to_owned))
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let study = Study::parse(SMALL, "mine.toml").unwrap();
        assert_eq!((&*study.title, study.data.valid_count(14)), ("mine", 1));
        assert_eq!(study.data, DataSettings { valid: ValidPart::Share(0.1), split_seed: 0, classes: 10 });
        let recipe = &study.recipes[0];
        assert_eq!((recipe.batch_size, recipe.epochs, recipe.optimizer), (50, 10, Optimizer::adam(1e-3)));
        assert!(recipe.runs_all_epochs() && recipe.schedule == Schedule::Constant && recipe.init == Init::Pytorch);
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        let (message, hint) = refusal(&SMALL.replace("layers", "epoch = 3\nlayers"));
        let expected = "mine.toml:5:1: there is no key `epoch` here\n\n  |\n5 | epoch = 3\n  | ^^^^^";
        assert_eq!((message.as_str(), hint.as_deref()), (expected, Some("did you mean `epochs`?")));
        let (message, hint) =
            refusal(&format!("{SMALL}optimizer = {{ kind = \"adam\", lr = 1e-3, bettas = [0.9, 0.99] }}"));
        assert!(message.contains("there is no key `bettas` here"), "{message}");
        assert_eq!(hint.as_deref(), Some("did you mean `betas`?"));
        let (message, hint) = refusal(&format!("{SMALL}optimizer = {{ kind = \"adm\", lr = 1e-3 }}"));
        assert!(message.contains("there is no value `adm` here"), "{message}");
        assert_eq!(hint.as_deref(), Some("did you mean `adam`?"));
        let (_, hint) = refusal(&format!("{SMALL}colour = \"blue\""));
        assert!(hint.is_some_and(|hint| hint.starts_with("known here: name, title, layers, batch_size")));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, place, message) in [
            ("name = ", "1:8", ""),
            ("name = \"mine\"", "", "the study has 0 recipes"),
            (&SMALL.replace("\"mine\"", "\"../mine\""), "1:8", "the study's name is \"../mine\", expected 1 to 64"),
            (&SMALL.replace("\"a\"", "\"A b\""), "4:8", "a recipe's name is \"A b\""),
            (&SMALL.replace("\"a\"", "\"\""), "4:8", "a recipe's name is \"\""),
            (
                &SMALL.replace("linear 10", "lineer 10"),
                "5:11",
                "layer 1: there is no layer \"lineer\" (did you mean \"linear\"?)",
            ),
            (&SMALL.replace("\"linear 10\"", ""), "5:10", "recipe \"a\" has no layers"),
            (&SMALL.replace("[\"linear 10\"]", "3"), "5:10", "invalid type"),
            (&format!("{SMALL}batch_size = 0"), "6:14", "recipe \"a\": batch_size is 0, expected 1 to 1048576"),
            (&format!("{SMALL}batch_size = -5"), "6:14", "invalid value: integer `-5`"),
            (&format!("{SMALL}epochs = 1000000"), "6:10", "epochs is 1000000, expected 1 to 10000"),
            (&format!("{SMALL}patience = 0"), "6:12", "patience is 0"),
            (
                &format!("{SMALL}optimizer = {{ kind = \"adam\", lr = nan }}"),
                "6:13",
                "lr is NaN, expected 1e-12 to 1000",
            ),
            (&format!("{SMALL}optimizer = {{ kind = \"adam\", lr = inf }}"), "6:13", "lr is inf"),
            (&format!("{SMALL}schedule = {{ kind = \"step\", every = 0, factor = 0.5 }}"), "6:12", "every is 0"),
            (&format!("{SMALL}pixels = {{ std = 0 }}"), "6:10", "std 0"),
            (&format!("{SMALL}stop = \"99 %\""), "6:8", "stop is \"99 %\", expected \"valid_accuracy >= 0.99\""),
            (&format!("{SMALL}title = \"\\u001b[31mred\""), "6:9", "control characters"),
            (
                &format!("{SMALL}\n[[recipe]]\nname = \"a\"\nlayers = [\"relu\"]"),
                "8:8",
                "there is a recipe \"a\" already",
            ),
            (&SMALL.replace("\n\n", "\n[data]\nvalid = 1\nvalid_share = 0.5\n"), "4:15", "both given"),
            (&SMALL.replace("\n\n", "\n[data]\nvalid_share = 1.5\n"), "3:15", "valid_share is 1.5"),
            (&SMALL.replace("\n\n", "\n[data]\nvalid = 0\n"), "3:9", "valid is 0"),
            (&SMALL.replace("\n\n", "\n[data]\nclasses = 1\n"), "3:11", "classes is 1, expected 2 to 256"),
        ] {
            let (found, _) = refusal(text);
            let start = if place.is_empty() { "mine.toml: ".to_owned() } else { format!("mine.toml:{place}: ") };
            assert!(found.starts_with(&start) && found.contains(message), "{text}\n--\n{found}\n--\n{start}{message}");
        }
    }

    #[test]
    fn places_count_characters_and_survive_odd_text() {
        let (message, _) = refusal("name = \"mine\" # ä\ntitle = \"ü\u{7}\"");
        assert!(message.starts_with("mine.toml:2:"), "{message}");
        assert!(!message.contains('\u{7}'), "{message}");
        let long = format!("name = \"{}\"\n[[recipe]]\nname = \"a\"\nlayers = []", "ü".repeat(1000));
        assert!(refusal(&long).0.starts_with("mine.toml:1:8: "));
        for text in ["", "=", "\u{feff}", "[[recipe]]", "a.b.c.d = 1", "name = 1979-05-27", "name = \"\"\"\n\nx"] {
            refusal(text);
        }
        refusal(&"[".repeat(100_000));
        refusal(&format!("x = {}", "[".repeat(100_000)));
    }
}
