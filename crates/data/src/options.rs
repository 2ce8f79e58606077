//! What may be told about data, where looking at it is not enough.

mod useless;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DataError, ImageShape};
pub(crate) use useless::{NO_COLUMNS, NO_PATHS, ONE_LEVEL, Setting, UPRIGHT, Useless};

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
    /// Which images count as copies of each other, where images are split and in what is said of them.
    #[serde(skip_serializing_if = "Copies::is_default")]
    pub copies: Copies,
    /// What the columns of a CSV file hold.
    #[serde(skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
    /// Whether settings pass that change nothing: those of images that were trained on, for others.
    #[serde(skip)]
    pub lenient: bool,
}

impl Options {
    /// The name of each, as a study file calls it, in order.
    pub const NAMES: [&'static str; 11] = [
        "size",
        "channels",
        "fit",
        "background",
        "transpose",
        "white",
        "range16",
        "labels",
        "group",
        "copies",
        "columns",
    ];

    /// Whether images can have the size asked for, and numbers the range; and whether copies are looked for.
    ///
    /// # Errors
    /// The first setting that cannot be met.
    pub fn check(&self) -> Result<(), DataError> {
        let refused = |name, found, reason| Err(DataError::Option { name, found, reason });
        if let Some([height, width]) = self.size
            && [height, width].iter().any(|side| !(1..=MAX_SIDE).contains(side))
        {
            return refused("size", format!("[{height}, {width}]"), format!("expected sides of 1 to {MAX_SIDE}"));
        }
        if let Some(white) = self.white.filter(|white| !(*white > 0.0 && white.is_finite())) {
            return refused("white", white.to_string(), "expected a number above 0".to_owned());
        }
        if self.lenient && self.copies != Copies::default() {
            let reason =
                "it changes nothing: copies are looked for where images are set apart for training; leave it out";
            return refused("copies", format!("{:?}", self.copies.name()), reason.to_owned());
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
            copies: Copies::default(),
            lenient: true,
            ..self.clone()
        }
    }
}

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

/// Which images count as copies of each other: they stay on one side of a split that we make, and are told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Copies {
    /// Those that are alike: pixel for pixel, nearly so, turned or mirrored.
    #[default]
    Alike,
    /// Only those that are the same pixel for pixel. For pictures of one scene, which differ by little and are no copies.
    Identical,
    /// None.
    Off,
}

impl Copies {
    /// As a setting names it.
    pub fn name(self) -> &'static str {
        match self {
            Copies::Alike => "alike",
            Copies::Identical => "identical",
            Copies::Off => "off",
        }
    }

    fn is_default(&self) -> bool {
        *self == Copies::default()
    }
}

/// What the columns of a CSV file hold. What is not said is found by the usual names, and by what the columns hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The path of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Column>,
    /// The class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// Train, valid or test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Column>,
    /// What belongs together: the person, the patient, the module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Column>,
    /// Whether the first row has their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
}

impl Columns {
    fn is_empty(&self) -> bool {
        *self == Columns::default()
    }
}

/// A column of a CSV file. One that is called 1 is the name `"1"`, wherever it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column in quotes, or its number from 1 on")]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its place, from 1 on.
    Number(usize),
}

impl fmt::Display for Column {
    /// As a study file writes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Column::Name(name) => write!(f, "{name:?}"),
            Column::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Columns};

    #[test]
    fn options_have_these_names_and_read_back_as_they_were() {
        let value: serde_json::Value = serde_json::json!({
            "size": [3, 4], "channels": "grey", "fit": "crop", "background": "black", "transpose": true,
            "white": 16.0, "range16": [3, 4000], "labels": "coarse", "group": "(.)", "copies": "identical",
            "columns": { "label": "breed" },
        });
        let options: super::Options = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&options).unwrap(), value);
        let mut names = super::Options::NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names);
        let defaults = serde_json::to_value(super::Options::default()).unwrap();
        assert_eq!(defaults, serde_json::json!({ "fit": "pad", "background": "white", "labels": "fine" }));
    }

    #[test]
    fn a_column_is_a_name_or_a_number() {
        let of = |column| Columns { label: Some(column), ..Columns::default() };
        let label = |value: serde_json::Value| {
            serde_json::from_value::<Columns>(serde_json::json!({ "label": value })).map_err(|error| error.to_string())
        };
        assert_eq!(label("breed".into()), Ok(of(Column::Name("breed".to_owned()))));
        assert_eq!(label("17".into()), Ok(of(Column::Name("17".to_owned()))));
        assert_eq!(label(17.into()), Ok(of(Column::Number(17))));
        let expected = "expected the name of a column in quotes, or its number from 1 on";
        assert_eq!(label((-1).into()), Err(expected.to_owned()));
        assert!(label(true.into()).is_err());
    }
}
