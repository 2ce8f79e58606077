//! The text of a study file: what may stand in it, and what is said of mistakes, with their place.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tenfold_nn::data::{MAX_CLASSES, Options, Portion, Shares};
use tenfold_nn::model::{Block, Layer, LayerError};
use tenfold_nn::nearest;
use tenfold_nn::train::TrainSettings;
use tenfold_nn::views::Views;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};
use toml::{Spanned, Value};

use super::{DataSettings, Place, Recipe, Study, StudyFileError, key};
use crate::stop;

const MAX_RECIPES: usize = 1000;
/// Label files hold integers of at most 32 bits.
const MAX_LABEL: u32 = i32::MAX as u32;
const MAX_LAYERS: usize = 1000;

impl Study {
    /// Reads the text of a study file; errors call it `path`.
    ///
    /// # Errors
    /// If the text is not TOML, or not a study: a key is unknown or missing, or a value outside its range. The error
    /// shows the place.
    pub fn parse(text: &str, path: &str) -> Result<Study, StudyFileError> {
        study(text).map_err(|Fault { span, message, hint }| StudyFileError::Invalid {
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
    // These are read by themselves: their settings are not listed here.
    #[serde(default, rename = "data")]
    _data: IgnoredAny,
    #[serde(default)]
    recipe: Vec<IgnoredAny>,
}

/// What `[data]` has besides the options of reading.
#[derive(Deserialize, Default)]
struct DataToml {
    path: Option<Spanned<String>>,
    test: Option<Spanned<usize>>,
    test_share: Option<Spanned<f64>>,
    valid: Option<Spanned<usize>>,
    valid_share: Option<Spanned<f64>>,
    split_seed: Option<u64>,
    classes: Option<Spanned<usize>>,
    first_label: Option<Spanned<u32>>,
}

/// What a study file calls the views that a network is shown of an image once it is trained.
pub(super) const VIEWS: &str = "test_time_augmentation";

/// The keys of [`DataToml`].
const DATA_KEYS: [&str; 8] =
    ["path", "test", "test_share", "valid", "valid_share", "split_seed", "classes", "first_label"];

/// What a recipe has besides the settings of its training.
#[derive(Deserialize)]
struct RecipeToml {
    name: Spanned<String>,
    title: Option<Spanned<String>>,
    layers: Spanned<Vec<Spanned<Value>>>,
    stop: Option<Spanned<String>>,
    test_time_augmentation: Option<Views>,
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

    /// A word that is none of the known ones.
    fn unknown(span: Option<Range<usize>>, what: &str, found: &str, known: &[&str]) -> Fault {
        let hint = match nearest(found, known.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known here: {}", known.join(", "))),
        };
        Fault { span, message: format!("there is no {what} `{found}` here"), hint }
    }
}

impl From<toml::de::Error> for Fault {
    /// What the TOML reader says, in our form.
    fn from(error: toml::de::Error) -> Fault {
        let (span, message) = (error.span(), error.message());
        // serde tells of unknown keys in a sentence only: the first quoted word is the key, the others are the known
        // ones.
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let unknown = [("unknown field `", "key"), ("unknown variant `", "value")];
        match (unknown.iter().find(|(start, _)| message.starts_with(start)), &quoted[..]) {
            (Some((_, what)), [found, known @ ..]) => Fault::unknown(span, what, found, known),
            _ => Fault { span, message: message.trim().replace('\n', "; "), hint: None },
        }
    }
}

fn study(text: &str) -> Result<Study, Fault> {
    let table = DeTable::parse(text)?;
    let [data_found, recipes_found] = ["data", "recipe"].map(|key| table.get_ref().get(key).cloned());
    let file = StudyToml::deserialize(Deserializer::from(table))?;
    check_name("the study's name", &file.name)?;
    let title = title(file.title.as_ref(), file.name.get_ref())?;
    let data = data_found.as_ref().map_or_else(|| Ok(DataSettings::default()), data)?;
    if file.recipe.is_empty() || file.recipe.len() > MAX_RECIPES {
        let message = format!("the study has {} recipes, expected 1 to {MAX_RECIPES}", file.recipe.len());
        let hint = "a recipe begins with [[recipe]] and has at least a name and layers".to_owned();
        return Err(Fault { span: None, message, hint: Some(hint) });
    }
    let mut recipes = Vec::<Recipe>::new();
    for found in recipes_found.iter().filter_map(|found| found.get_ref().as_array()).flatten() {
        let (name, recipe) = recipe(found)?;
        if recipes.iter().any(|other| other.name == recipe.name) {
            let message = format!("there is a recipe {:?} already, expected different names", recipe.name);
            return Err(Fault::at(&name, message));
        }
        recipes.push(recipe);
    }
    Ok(Study { name: file.name.into_inner(), title, data, recipes })
}

/// What stands under `[data]`.
fn data(value: &Spanned<DeValue>) -> Result<DataSettings, Fault> {
    let Some(table) = value.get_ref().as_table() else {
        return Err(Fault::at(value, "data is no table, expected [data] and settings below it".to_owned()));
    };
    let mut options = DeTable::new();
    let mut others = DeTable::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let into = match name {
            _ if Options::NAMES.contains(&name) => &mut options,
            _ if DATA_KEYS.contains(&name) => &mut others,
            _ => {
                let known = [&DATA_KEYS[..], &Options::NAMES].concat();
                return Err(Fault::unknown(Some(key.span()), "key", name, &known));
            }
        };
        into.insert(key.clone(), value.clone());
    }
    let read = |table| Deserializer::from(Spanned::new(value.span(), table));
    let options = Options::deserialize(read(options))?;
    DataToml::deserialize(read(others))?.check(options)
}

impl DataToml {
    fn check(self, options: Options) -> Result<DataSettings, Fault> {
        let default = Shares::default();
        let shares = Shares {
            test: portion("test", self.test, self.test_share, default.test)?,
            valid: portion("valid", self.valid, self.valid_share, default.valid)?,
        };
        if let Some(path) = self.path.as_ref().filter(|path| path.get_ref().is_empty()) {
            return Err(Fault::at(path, "path is empty, expected a folder or a file".to_owned()));
        }
        if let Some(classes) = self.classes.as_ref().filter(|classes| !(2..=MAX_CLASSES).contains(classes.get_ref())) {
            let message = format!("classes is {}, expected 2 to {MAX_CLASSES}", classes.get_ref());
            return Err(Fault::at(classes, message));
        }
        if let Some(first) = self.first_label.as_ref().filter(|first| *first.get_ref() > MAX_LABEL) {
            let message = format!("first_label is {}, expected 0 to {MAX_LABEL}", first.get_ref());
            return Err(Fault::at(first, message));
        }
        Ok(DataSettings {
            path: self.path.map(|path| path.into_inner().into()),
            options,
            shares,
            split_seed: self.split_seed.unwrap_or(0),
            classes: self.classes.map(Spanned::into_inner),
            first_label: self.first_label.map(Spanned::into_inner),
        })
    }
}

/// What is set apart, as a number of examples or as a share of them.
fn portion(
    name: &str,
    count: Option<Spanned<usize>>,
    share: Option<Spanned<f64>>,
    default: Portion,
) -> Result<Portion, Fault> {
    match (count, share) {
        (Some(_), Some(share)) => {
            let message = format!("{name} and {name}_share are both given, expected one of them");
            Err(Fault::at(&share, message))
        }
        (Some(count), None) if *count.get_ref() == 0 => {
            Err(Fault::at(&count, format!("{name} is 0, expected at least 1 example")))
        }
        (Some(count), None) => Ok(Portion::Count(count.into_inner())),
        (None, Some(share)) if !(*share.get_ref() > 0.0 && *share.get_ref() < 1.0) => {
            let message = format!("{name}_share is {}, expected more than 0 and less than 1", share.get_ref());
            Err(Fault::at(&share, message))
        }
        (None, Some(share)) => Ok(Portion::Share(share.into_inner())),
        (None, None) => Ok(default),
    }
}

/// The layers of a residual block; or the place of what is none, from 0, and why.
fn residual(inside: &[Value]) -> Result<Vec<Layer>, (usize, String)> {
    let layer = |(at, value): (usize, &Value)| match value {
        Value::String(text) => text.parse().map_err(|error: LayerError| (at, error.to_string())),
        other => Err((at, format!("{other} is in a residual block, which is a list of texts such as \"relu\""))),
    };
    inside.iter().enumerate().map(layer).collect()
}

/// A recipe, and its name with the place of that.
fn recipe(value: &Spanned<DeValue>) -> Result<(Spanned<String>, Recipe), Fault> {
    let empty = DeTable::new();
    let table = value.get_ref().as_table().unwrap_or(&empty);
    let known: Vec<&str> =
        ["name", "title", "layers"].into_iter().chain(TrainSettings::NAMES.map(key)).chain([VIEWS]).collect();
    if let Some(other) = table.keys().find(|other| !known.contains(&other.get_ref().as_ref())) {
        return Err(Fault::unknown(Some(other.span()), "key", other.get_ref(), &known));
    }
    let found = RecipeToml::deserialize(ValueDeserializer::from(value.clone()))?;
    check_name("a recipe's name", &found.name)?;
    let name = found.name.get_ref().clone();
    let title = title(found.title.as_ref(), &name)?;
    let count = |value: &Spanned<Value>| value.get_ref().as_array().map_or(1, |inside| inside.len().max(1));
    let count: usize = found.layers.get_ref().iter().map(count).sum();
    if count > MAX_LAYERS {
        let message = format!("recipe {name:?} has {count} layers, expected at most {MAX_LAYERS}");
        return Err(Fault::at(&found.layers, message));
    }
    let mut layers = Vec::<Block>::new();
    let mut linear_classes = false;
    for (index, value) in found.layers.get_ref().iter().enumerate() {
        let number = index + 1;
        let text = match value.get_ref() {
            Value::String(text) => text,
            Value::Array(inside) => {
                let inner = residual(inside).map_err(|(at, why)| {
                    Fault::at(value, format!("recipe {name:?}: layer {number}.{}: {why}", at + 1))
                });
                layers.push(Block::Residual(inner?));
                continue;
            }
            other => {
                let message = format!(
                    "recipe {name:?}: layer {number} is {other}, expected a text such as \"relu\", or a list of them for a \
                     residual block"
                );
                return Err(Fault::at(value, message));
            }
        };
        if text.split_whitespace().eq(["linear", "classes"]) {
            linear_classes = index + 1 == found.layers.get_ref().len();
            if !linear_classes {
                let message = format!("recipe {name:?}: layer {number}: linear classes is the last layer");
                return Err(Fault::at(value, message));
            }
            layers.push(Layer::Linear { out_features: 1 }.into());
            continue;
        }
        let layer = text.parse::<Layer>();
        let layer = layer.map_err(|error| Fault::at(value, format!("recipe {name:?}: layer {number}: {error}")))?;
        layers.push(layer.into());
    }
    if layers.is_empty() {
        let message = format!("recipe {name:?} has no layers; the last is linear, with one output per class");
        return Err(Fault::at(&found.layers, message));
    }
    let about = |error: String| format!("recipe {name:?}: {error}");
    let mut settings = settings(value.span(), table)?;
    if let Some(text) = &found.stop {
        settings.target = Some(stop::parse(text.get_ref()).map_err(|error| Fault::at(text, about(error)))?);
    }
    settings.check().map_err(|error| {
        let span = table.get(key(error.setting)).map(Spanned::span);
        Fault { span, message: about(error.message), hint: None }
    })?;
    Ok((found.name, Recipe { name, title, layers, linear_classes, settings, views: found.test_time_augmentation }))
}

/// The settings of a recipe: those in its table, and the defaults of the others.
fn settings(span: Range<usize>, table: &DeTable) -> Result<TrainSettings, Fault> {
    let defaults = toml::to_string(&TrainSettings::default()).expect("settings have plain values");
    let mut all = DeTable::parse(&defaults).expect("what is written can be read").into_inner();
    for (key, value) in table {
        all.insert(key.clone(), value.clone());
    }
    Ok(TrainSettings::deserialize(Deserializer::from(Spanned::new(span, all)))?)
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
        assert_eq!((&*study.title, study.data.shares.valid.of(14)), ("mine", 1));
        assert_eq!(study.data, DataSettings::default());
        let recipe = &study.recipes[0];
        assert!(recipe.settings == TrainSettings::default() && recipe.runs_all_epochs(), "{recipe:?}");
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
            (&format!("{SMALL}pixels = \"standart\""), "6:10", "there is no value `standart` here"),
            (&format!("{SMALL}pixels = 1"), "6:10", "expected \"unit\", \"standard\" or { mean = ..., std = ... }"),
            (&format!("{SMALL}pixels = {{ mean = [0.1, true] }}"), "6:25", "boolean `true`, expected"),
            (
                &SMALL.replace("\"linear 10\"", "\"relu\", [\"conv 8 3x3 same\", \"rleu\"]"),
                "5:19",
                "recipe \"a\": layer 2.2: there is no layer \"rleu\" (did you mean \"relu\"?)",
            ),
            (
                &SMALL.replace("\"linear 10\"", "[[\"relu\"]]"),
                "5:11",
                "layer 1.1: [\"relu\"] is in a residual block, which",
            ),
            (&SMALL.replace("\"linear 10\"", "3"), "5:11", "layer 1 is 3, expected a text such as \"relu\", or a list"),
            (&format!("{SMALL}pixels = {{ std = [1, 0] }}"), "6:10", "std [1.0, 0.0]"),
            (&format!("{SMALL}class_weights = \"balance\""), "6:17", "there is no value `balance` here"),
            (&format!("{SMALL}class_weights = [1, 2]"), "6:17", "class_weights"),
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
            (&SMALL.replace("\n\n", "\n[data]\ntest = 1\ntest_share = 0.5\n"), "4:14", "both given"),
            (&SMALL.replace("\n\n", "\ndata = 3\n"), "2:8", "data is no table"),
            (&SMALL.replace("\n\n", "\n[data]\npath = \"\"\n"), "3:8", "path is empty"),
            (&SMALL.replace("\n\n", "\n[data]\nsise = 3\n"), "3:1", "there is no key `sise` here"),
            (&SMALL.replace("\n\n", "\n[data]\nsize = 3\n"), "3:8", "invalid type: integer `3`"),
            (&SMALL.replace("\n\n", "\n[data]\nfit = \"squeeze\"\n"), "3:7", "there is no value `squeeze` here"),
            (&SMALL.replace("[\"linear", "[\"linear classes\", \"linear"), "5:11", "linear classes is the last layer"),
            (&SMALL.replace("\n\n", "\n[data]\nclasses = 1\n"), "3:11", "classes is 1, expected 2 to 1000"),
            (&SMALL.replace("\n\n", "\n[data]\nfirst_label = -1\n"), "3:15", "invalid value: integer `-1`"),
            (
                &SMALL.replace("\n\n", "\n[data]\nfirst_label = 2147483648\n"),
                "3:15",
                "first_label is 2147483648, expected 0 to 2147483647",
            ),
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
