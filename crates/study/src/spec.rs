//! Study files: what is compared, read from TOML, checked, and written out again with every default.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tenfold_nn::Precision;
use tenfold_nn::data::{ImageShape, Labels, MAX_CLASSES};
use tenfold_nn::model::{Architecture, ArchitectureError, Init, Layer};
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::{Pixels, TrainConfig};
use thiserror::Error;
use toml::Spanned;

use crate::folder::bounded;
use crate::stop;
use crate::suggest::nearest;

/// Larger files are no study.
const MAX_BYTES: u64 = 1 << 20;
const MAX_RECIPES: usize = 1000;
/// Label files hold integers of at most 32 bits.
const MAX_LABEL: u32 = i32::MAX as u32;
const MAX_LAYERS: usize = 1000;
/// The most epochs that a recipe may ask for.
pub(crate) const MAX_EPOCHS: usize = 10_000;
/// The most examples in one step; the training set is a closer limit.
const MAX_BATCH_SIZE: usize = 1 << 20;

/// What is compared: the recipes, and how the data is divided.
#[derive(Clone, PartialEq, Debug)]
pub struct Study {
    /// Lower-case letters, digits and hyphens; the default folder is called after it.
    pub name: String,
    /// For people.
    pub title: String,
    /// How the data is divided.
    pub data: DataSettings,
    /// At least one, with different names.
    pub recipes: Vec<Recipe>,
}

/// How the data of a study is divided.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DataSettings {
    /// How much of the training data validates.
    pub valid: ValidPart,
    /// Which examples those are.
    pub split_seed: u64,
    /// What the numbers of the label files mean.
    pub labels: Labels,
}

/// How much of the training data is set apart for validation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValidPart {
    /// This many examples.
    Count(usize),
    /// This share of them, rounded to the nearest whole number and at least one.
    Share(f64),
}

/// One way to train one network.
#[derive(Clone, PartialEq, Debug)]
pub struct Recipe {
    /// Lower-case letters, digits and hyphens; its folder is called after it.
    pub name: String,
    /// For people.
    pub title: String,
    /// The network.
    pub layers: Vec<Layer>,
    /// Examples in one step.
    pub batch_size: usize,
    /// How many, or with `target` or `patience` how many at most.
    pub epochs: usize,
    /// How a gradient becomes a step.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How parameters start.
    pub init: Init,
    /// What the network sees of a pixel.
    pub pixels: Pixels,
    /// What the large products are computed of.
    pub precision: Precision,
    /// Stop once this validation accuracy is reached.
    pub target: Option<f64>,
    /// Stop after this many epochs without a lower validation loss.
    pub patience: Option<usize>,
}

/// Why a study file was refused.
#[derive(Debug, Error)]
pub enum StudyFileError {
    /// There is no such file.
    #[error("{path}: there is no such file")]
    NotFound {
        /// Its path.
        path: String,
    },
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Io {
        /// Its path.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// The file is too large to be a study.
    #[error("{path}: is larger than {MAX_BYTES} bytes, which no study file is")]
    TooLarge {
        /// Its path.
        path: String,
    },
    /// The file is not UTF-8.
    #[error("{path}: byte {position} is not UTF-8 text, which a study file is")]
    NotText {
        /// Its path.
        path: String,
        /// Offset in bytes.
        position: usize,
    },
    /// The file is UTF-16.
    #[error("{path}: is UTF-16 text, expected UTF-8")]
    Utf16 {
        /// Its path.
        path: String,
    },
    /// The text is not a study.
    #[error("{path}{}: {message}{}", .place.as_ref().map_or(String::new(), |p| format!(":{}:{}", p.line, p.column)),
        .place.as_ref().map_or(String::new(), |p| format!("\n\n{}", p.excerpt)))]
    Invalid {
        /// Its path.
        path: String,
        /// Where in the file, if that is known.
        place: Option<Box<Place>>,
        /// What is wrong.
        message: String,
        /// What to do about it, if there is something to say.
        hint: Option<String>,
    },
}

/// A place in a study file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line with the place marked below it.
    pub excerpt: String,
}

impl StudyFileError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            StudyFileError::Invalid { hint, .. } => hint.as_deref(),
            StudyFileError::Utf16 { .. } => Some("save it as UTF-8, which editors offer when saving"),
            _ => None,
        }
    }
}

impl Study {
    /// Names of the studies that are part of the program.
    pub const BUILT_IN: [&str; 1] = ["digits"];

    /// A study that is part of the program.
    pub fn built_in(name: &str) -> Option<Study> {
        let text = match name {
            "digits" => include_str!("digits.toml"),
            _ => return None,
        };
        Some(Study::parse(text, name).expect("the built-in studies are valid, as a test makes sure"))
    }

    /// Reads a study file.
    pub fn read(path: &Path) -> Result<Study, StudyFileError> {
        let name = path.display().to_string();
        let failed = |reason: io::Error| match reason.kind() {
            io::ErrorKind::NotFound => StudyFileError::NotFound { path: name.clone() },
            io::ErrorKind::FileTooLarge => StudyFileError::TooLarge { path: name.clone() },
            _ => StudyFileError::Io { path: name.clone(), reason },
        };
        let bytes = bounded(path, MAX_BYTES).map_err(failed)?;
        if is_utf16(&bytes) {
            return Err(StudyFileError::Utf16 { path: name });
        }
        let text = String::from_utf8(bytes).map_err(|error| StudyFileError::NotText {
            path: name.clone(),
            position: error.utf8_error().valid_up_to(),
        })?;
        Study::parse(&text, &name)
    }

    /// Reads the text of a study file; errors call it `path`.
    pub fn parse(text: &str, path: &str) -> Result<Study, StudyFileError> {
        let file: StudyToml = toml::from_str(text).map_err(|error| parse_error(text, path, &error))?;
        file.check().map_err(|Fault { span, message, hint }| StudyFileError::Invalid {
            path: path.to_owned(),
            place: span.map(|span| Box::new(place(text, span))),
            message,
            hint,
        })
    }

    /// The study as a study file with every default written out; it reads back as the same study.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Everything that was set, defaults included.\n");
        let string = |text: &str| toml::Value::from(text).to_string();
        let mut line =
            |key: &str, value: String| writeln!(text, "{key} = {value}").expect("a String takes every write");
        line("name", string(&self.name));
        line("title", string(&self.title));
        line("\n[data]\nsplit_seed", self.data.split_seed.to_string());
        match self.data.valid {
            ValidPart::Count(count) => line("valid", count.to_string()),
            ValidPart::Share(share) => line("valid_share", toml::Value::from(share).to_string()),
        }
        line("classes", self.data.labels.classes.to_string());
        line("first_label", self.data.labels.first.to_string());
        for recipe in &self.recipes {
            line("\n[[recipe]]\nname", string(&recipe.name));
            line("title", string(&recipe.title));
            let layers: Vec<String> = recipe.layers.iter().map(|layer| string(&layer.to_string())).collect();
            line("layers", format!("[{}]", layers.join(", ")));
            line("batch_size", recipe.batch_size.to_string());
            line("epochs", recipe.epochs.to_string());
            if let Some(target) = recipe.target {
                line("stop", string(&stop::write(target)));
            }
            if let Some(patience) = recipe.patience {
                line("patience", patience.to_string());
            }
            line("optimizer", inline(&recipe.optimizer));
            line("schedule", inline(&recipe.schedule));
            line("init", inline(&recipe.init));
            line("pixels", inline(&recipe.pixels));
            line("precision", inline(&recipe.precision));
        }
        text
    }
}

impl Default for DataSettings {
    /// A tenth validates; labels are 0 to 9.
    fn default() -> DataSettings {
        DataSettings { valid: ValidPart::Share(0.1), split_seed: 0, labels: Labels::from_zero(10) }
    }
}

impl DataSettings {
    /// How many of `examples` validate.
    pub fn valid_count(&self, examples: usize) -> usize {
        match self.valid {
            ValidPart::Count(count) => count,
            ValidPart::Share(share) => ((examples as f64 * share).round() as usize).max(1),
        }
    }
}

impl Recipe {
    /// The network for images of this shape, with all shapes checked.
    pub fn architecture(&self, input: ImageShape, classes: usize) -> Result<Architecture, ArchitectureError> {
        Architecture::new(input, self.layers.clone(), classes)
    }

    /// What training needs to know, for one seed.
    pub fn config(&self, seed: u64) -> TrainConfig {
        TrainConfig {
            batch_size: self.batch_size,
            epochs: self.epochs,
            optimizer: self.optimizer,
            schedule: self.schedule,
            init: self.init,
            target: self.target,
            patience: self.patience,
            pixels: self.pixels,
            precision: self.precision,
            seed,
        }
    }

    /// Whether it always trains for all its epochs.
    pub fn runs_all_epochs(&self) -> bool {
        self.target.is_none() && self.patience.is_none()
    }
}

/// A value on one line, with the kind of a table first.
fn inline(value: &impl Serialize) -> String {
    let value = toml::Value::try_from(value).expect("settings have plain values");
    let toml::Value::Table(table) = value else { return value.to_string() };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| (*key != "kind", *key != "lr"));
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", entries.join(", "))
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
    first_label: Option<Spanned<u32>>,
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
        let default = DataSettings::default();
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
            (None, None) => default.valid,
        };
        if let Some(classes) = self.classes.as_ref().filter(|classes| !(2..=MAX_CLASSES).contains(classes.get_ref())) {
            let message = format!("classes is {}, expected 2 to {MAX_CLASSES}", classes.get_ref());
            return Err(Fault::at(classes, message));
        }
        if let Some(first) = self.first_label.as_ref().filter(|first| *first.get_ref() > MAX_LABEL) {
            let message = format!("first_label is {}, expected 0 to {MAX_LABEL}", first.get_ref());
            return Err(Fault::at(first, message));
        }
        let labels = Labels {
            first: self.first_label.map_or(default.labels.first, Spanned::into_inner),
            classes: self.classes.map_or(default.labels.classes, Spanned::into_inner),
        };
        Ok(DataSettings { valid, split_seed: self.split_seed.unwrap_or(default.split_seed), labels })
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
    let place = error.span().map(|span| Box::new(place(text, span)));
    StudyFileError::Invalid { path: path.to_owned(), place, message, hint }
}

/// Line, column and excerpt of a range of bytes.
fn place(text: &str, span: Range<usize>) -> Place {
    let start = floor(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let line = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count();
    let end = floor(text, span.end).clamp(start, line_end.max(start));
    let marks = text[start..end].chars().count().max(1);
    // A very long line says nothing, and control characters would reach the terminal.
    let shown: String =
        text[line_start..line_end].chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let excerpt = if column < 200 {
        let (number, marks) = (line.to_string(), "^".repeat(marks.min(200 - column)));
        let gutter = " ".repeat(number.len());
        let shown = shown.trim_end();
        format!("{gutter} |\n{number} | {shown}\n{gutter} | {}{marks}", " ".repeat(column))
    } else {
        String::new()
    };
    Place { line, column: column + 1, excerpt }
}

/// Whether a file seems to be UTF-16: by its mark, or because every other byte of the first characters is 0.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = |odd: usize| bytes.len() >= 4 && bytes.iter().take(8).skip(odd).step_by(2).all(|&byte| byte == 0);
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || zeros(0) != zeros(1)
}

/// The last character boundary at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SMALL: &str = "name = \"mine\"\n\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\n";

    #[track_caller]
    fn refusal(text: &str) -> (String, Option<String>) {
        let error = Study::parse(text, "mine.toml").expect_err("is refused");
        (error.to_string(), error.hint().map(str::to_owned))
    }

    #[test]
    fn the_built_in_study_has_its_six_recipes() {
        let study = Study::built_in("digits").expect("is built in");
        let mnist = ImageShape { channels: 1, height: 28, width: 28 };
        let parameters = study.recipes.iter().map(|r| (&*r.name, r.architecture(mnist, 10).unwrap().parameters()));
        let expected = [
            ("softmax", 7_850),
            ("mlp", 199_210),
            ("cnn1", 6_434_634),
            ("cnn2", 3_274_634),
            ("cnn2-dropout-b50", 3_274_634),
            ("cnn2-dropout-b100", 3_274_634),
        ];
        assert!(parameters.eq(expected));
        assert_eq!(study.data.valid_count(60_000), 6_000);
        assert!(Study::BUILT_IN.iter().all(|name| Study::built_in(name).is_some_and(|study| study.name == *name)));
        assert_eq!(Study::built_in("digit"), None);
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let study = Study::parse(SMALL, "mine.toml").unwrap();
        assert_eq!((&*study.title, study.data.valid_count(14)), ("mine", 1));
        assert_eq!(
            study.data,
            DataSettings { valid: ValidPart::Share(0.1), split_seed: 0, labels: Labels::from_zero(10) }
        );
        let recipe = &study.recipes[0];
        assert_eq!((recipe.batch_size, recipe.epochs, recipe.optimizer), (50, 10, Optimizer::adam(1e-3)));
        assert!(recipe.runs_all_epochs() && recipe.schedule == Schedule::Constant && recipe.init == Init::Pytorch);
    }

    #[test]
    fn a_study_written_out_reads_back_the_same() {
        let full = "name = \"full\"\ntitle = \"All \\\"quoted\\\" \\\\ things\"\n[data]\nvalid = 17\nsplit_seed = 3\n\
                    classes = 26\nfirst_label = 1\n[[recipe]]\nname = \"r\"\nlayers = [\"conv 3 5x3 stride 2 padding 1\", \"tanh\", \
                    \"avgpool 2\", \"dropout 0.3\", \"linear 26\"]\nbatch_size = 7\nepochs = 3\npatience = 2\n\
                    stop = \"valid_accuracy >= 0.5\"\ninit = \"kaiming\"\npixels = { mean = 0.1307, std = 0.3081 }\n\
                    optimizer = { kind = \"sgd\", lr = 1, momentum = 0.9, nesterov = true }\n\
                    schedule = { kind = \"one-cycle\", pct_start = 0.2 }\n[[recipe]]\nname = \"s\"\n\
                    layers = [\"linear 26\"]\noptimizer = { kind = \"adamw\", lr = 1e-7 }\n\
                    schedule = { kind = \"step\", every = 2, factor = 0.1 }\n";
        for study in [
            Study::parse(full, "full.toml").unwrap(),
            Study::parse(SMALL, "mine.toml").unwrap(),
            Study::built_in("digits").unwrap(),
        ] {
            let text = study.to_toml();
            assert_eq!(Study::parse(&text, "again").expect(&text), study, "{text}");
        }
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

    #[test]
    fn files_that_are_no_text_are_refused() {
        let scratch = crate::testing::scratch("spec-files");
        let path = scratch.path().join("mine.toml");
        let message = |path: &Path| Study::read(path).unwrap_err().to_string();
        assert!(message(&path).ends_with("mine.toml: there is no such file"));
        assert!(message(scratch.path()).contains(": cannot be read: "));
        fs::write(&path, b"name = \"\xff\"").unwrap();
        assert!(message(&path).ends_with("mine.toml: byte 8 is not UTF-8 text, which a study file is"));
        let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            [mark, &SMALL.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()].concat()
        };
        for bytes in [
            utf16(b"\xff\xfe", u16::to_le_bytes),
            utf16(b"\xfe\xff", u16::to_be_bytes),
            utf16(b"", u16::to_le_bytes),
            utf16(b"", u16::to_be_bytes),
        ] {
            fs::write(&path, &bytes).unwrap();
            assert!(message(&path).ends_with("mine.toml: is UTF-16 text, expected UTF-8"), "{bytes:?}");
        }
        fs::write(&path, format!("\u{feff}{SMALL}")).unwrap();
        assert_eq!(Study::read(&path).unwrap().name, "mine");
        fs::write(&path, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(message(&path).contains("is larger than 1048576 bytes"));
        fs::write(&path, SMALL).unwrap();
        assert_eq!(Study::read(&path).unwrap().name, "mine");
    }
}
