//! What may be told about data, where looking at it is not enough.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{DataError, ImageShape};

/// How data is to be understood. The default is to go by what it looks like, and to say so.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Rows and columns of each image. By default those that all images share, where they are at most [`MAX_SIDE`],
    /// else [`DEFAULT_SIDE`] at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Grey or colour; by default colour where any image has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// How an image of other proportions takes its size.
    pub fit: Fit,
    /// What shows through where a picture is transparent, and around one that is padded.
    pub background: Background,
    /// Whether rows and columns of arrays change places; by default where the names of the files say that they are of
    /// EMNIST, whose images lie on their side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transpose: Option<bool>,
    /// The number in arrays that is white, where they are not bytes from 0 to 255; by default the largest of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white: Option<f32>,
    /// The samples of 16-bit pictures that are black and white; by default the lowest and the highest of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range16: Option<[u16; 2]>,
    /// Which of two sets of labels, where there are two, as in CIFAR-100.
    pub labels: Level,
    /// A regular expression with one capture, which names the group in the path of a picture (`/` between folders):
    /// pictures of one group never fall on two sides of a split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What the columns of a CSV file hold.
    #[serde(skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
    /// Whether settings pass that change nothing: those of images that were trained on, for others.
    #[serde(skip)]
    pub lenient: bool,
}

impl Options {
    /// The name of each, as a study file calls it, in order.
    pub const NAMES: [&'static str; 10] =
        ["size", "channels", "fit", "background", "transpose", "white", "range16", "labels", "group", "columns"];

    /// Whether images can have the size asked for, and numbers the range.
    ///
    /// # Errors
    /// The first setting that cannot be met.
    pub fn check(&self) -> Result<(), DataError> {
        let refused = |name, found, reason| Err(DataError::Option { name, found, reason });
        if let Some([height, width]) = self.size
            && [height, width].iter().any(|side| !(1..=MAX_SIDE).contains(side))
        {
            return refused("size", format!("{height}x{width}"), format!("expected sides of 1 to {MAX_SIDE}"));
        }
        if let Some(white) = self.white.filter(|white| !(*white > 0.0 && white.is_finite())) {
            return refused("white", white.to_string(), "expected a number above 0".to_owned());
        }
        match self.range16 {
            Some([low, high]) if low >= high => {
                let reason = "expected the sample that is black, and a higher one that is white".to_owned();
                refused("range16", format!("[{low}, {high}]"), reason)
            }
            _ => Ok(()),
        }
    }

    /// Of the images that a network was trained on, what holds for others that it is to tell apart: the shape, and how
    /// pixels come about.
    pub fn of_others(&self, shape: ImageShape) -> Options {
        Options {
            size: Some([shape.height, shape.width]),
            columns: Columns::default(),
            labels: Level::default(),
            group: None,
            lenient: true,
            ..self.clone()
        }
    }

    /// Refuses settings that were told and that change nothing: who told them expects something else. Those with the
    /// value that they have by themselves pass.
    pub(crate) fn refuse(&self, path: &Path, settings: &[Useless]) -> Result<(), DataError> {
        for useless in settings.iter().filter(|_| !self.lenient) {
            if let Some((name, found)) = self.told(useless.setting) {
                let reason = format!("it changes nothing: {}: {}; {}", path.display(), useless.why, useless.remedy);
                return Err(DataError::Option { name, found, reason });
            }
        }
        Ok(())
    }

    /// The name and the value of a setting, if it was told.
    fn told(&self, setting: Setting) -> Option<(&'static str, String)> {
        let Columns { path, label, split, group } = &self.columns;
        let columns =
            [("columns.path", path), ("columns.label", label), ("columns.split", split), ("columns.group", group)];
        match setting {
            Setting::Fit => (self.fit != Fit::default()).then(|| ("fit", self.fit.name().to_owned())),
            Setting::Background => {
                (self.background != Background::default()).then(|| ("background", self.background.name().to_owned()))
            }
            Setting::Transpose => self.transpose.map(|transpose| ("transpose", transpose.to_string())),
            Setting::Labels => (self.labels == Level::Coarse).then(|| ("labels", "coarse".to_owned())),
            Setting::Group => self.group.clone().map(|pattern| ("group", pattern)),
            Setting::Columns => columns.into_iter().find_map(|(name, column)| Some((name, column.clone()?))),
            Setting::ColumnOfPaths => path.clone().map(|column| ("columns.path", column)),
        }
    }
}

/// A setting that not every format has a use for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    Fit,
    Background,
    Transpose,
    Labels,
    Group,
    /// Any of the columns.
    Columns,
    ColumnOfPaths,
}

/// A setting that would change nothing, why that is, and what to do.
pub(crate) struct Useless {
    pub(crate) setting: Setting,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
}

/// Labels of two levels are those of CIFAR-100.
pub(crate) const ONE_LEVEL: Useless =
    Useless { setting: Setting::Labels, why: "only CIFAR-100 has fine and coarse labels", remedy: "leave it out" };

/// Pictures are as their files say.
pub(crate) const UPRIGHT: Useless = Useless {
    setting: Setting::Transpose,
    why: "pictures lie as their files say, only arrays are turned",
    remedy: "turn the files, or leave it out",
};

/// What has no columns.
pub(crate) const NO_COLUMNS: Useless = Useless {
    setting: Setting::Columns,
    why: "only CSV files have columns",
    remedy: "name the CSV file, or leave it out",
};

/// Groups by path.
pub(crate) const NO_PATHS: Useless = Useless {
    setting: Setting::Group,
    why: "groups are named by the paths of pictures, and these images have none",
    remedy: "leave it out, or save the images as pictures, or as a CSV file with a column of groups",
};

/// The longest side of an image in a [`Collection`](crate::Collection).
pub const MAX_SIDE: usize = 256;

/// The longer side that images take where their sizes differ, or are more than [`MAX_SIDE`], and none was asked for.
pub const DEFAULT_SIDE: usize = 64;

/// The colours of images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One channel; of colours the luma of ITU-R BT.601.
    Grey,
    /// Red, green and blue.
    Rgb,
}

impl Channels {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Channels::Grey => 1,
            Channels::Rgb => 3,
        }
    }
}

/// How an image of other proportions takes its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Scaled until it fits in, the background around it.
    #[default]
    Pad,
    /// Scaled until it covers, and what sticks out cut off on both sides alike.
    Crop,
    /// Rows and columns scaled each by their own.
    Stretch,
}

impl Fit {
    /// As a setting names it.
    pub fn name(self) -> &'static str {
        match self {
            Fit::Pad => "pad",
            Fit::Crop => "crop",
            Fit::Stretch => "stretch",
        }
    }
}

/// What lies behind pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// As paper is.
    #[default]
    White,
    /// As behind MNIST's digits.
    Black,
}

impl Background {
    /// As a setting names it.
    pub fn name(self) -> &'static str {
        match self {
            Background::White => "white",
            Background::Black => "black",
        }
    }
}

/// Which of two sets of labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The more classes.
    #[default]
    Fine,
    /// The fewer.
    Coarse,
}

/// What the columns of a CSV file hold: the names of the header, or numbers from 1 on. What is not said is found by the
/// usual names, and by what the columns hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The path of the picture.
    #[serde(deserialize_with = "column", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The class.
    #[serde(deserialize_with = "column", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Train, valid or test.
    #[serde(deserialize_with = "column", skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// What belongs together: the person, the patient, the module.
    #[serde(deserialize_with = "column", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Columns {
    fn is_empty(&self) -> bool {
        *self == Columns::default()
    }
}

/// A column, by name or by number.
fn column<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected the name of a column, or its number from 1 on")]
    enum Column {
        Name(String),
        Number(u64),
    }
    Ok(Some(match Column::deserialize(deserializer)? {
        Column::Name(name) => name,
        Column::Number(number) => number.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer};

    use super::Columns;

    #[test]
    fn options_have_these_names_and_read_back_as_they_were() {
        let value: serde_json::Value = serde_json::json!({
            "size": [3, 4], "channels": "grey", "fit": "crop", "background": "black", "transpose": true,
            "white": 16.0, "range16": [3, 4000], "labels": "coarse", "group": "(.)", "columns": { "label": "breed" },
        });
        let options: super::Options = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&options).unwrap(), value);
        let mut names = super::Options::NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names);
        let defaults = serde_json::to_value(super::Options::default()).unwrap();
        assert_eq!(defaults, serde_json::json!({ "fit": "pad", "background": "white", "labels": "fine" }));
    }

    fn label<'de>(value: impl IntoDeserializer<'de, Error>) -> Result<Columns, String> {
        let fields = MapDeserializer::new([("label", value)].into_iter());
        Columns::deserialize(fields).map_err(|error: Error| error.to_string())
    }

    #[test]
    fn a_column_is_a_name_or_a_number() {
        let of = |name: &str| Columns { label: Some(name.to_owned()), ..Columns::default() };
        assert_eq!(label("breed"), Ok(of("breed")));
        assert_eq!(label(17_i64), Ok(of("17")));
        assert_eq!(label(-1_i64), Err("expected the name of a column, or its number from 1 on".to_owned()));
        assert!(label(true).is_err());
    }
}
