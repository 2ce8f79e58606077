//! What is done to training images at random, so that no two epochs show the same: the setting, and its two presets.

mod augmenter;
mod change;

pub use augmenter::{Augmenter, Mixture};
pub use change::Change;

use crate::data::ImageShape;
use change::Fault;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tenfold_kernels::augment::LONGEST_SIDE;

/// How training images are changed. What is validated and tested is not.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Augment {
    /// Not at all.
    #[default]
    None,
    /// For what means something else mirrored: shifted by up to a fourteenth of the shorter side (2 pixels of 28), turned
    /// by up to 10 degrees, scaled by up to a tenth, sheared by up to 5 degrees.
    Characters,
    /// For what may as well be mirrored: flipped in every other epoch, cropped by an eighth of the shorter side (4 pixels
    /// of 32), and a square of a quarter of it (8 pixels) cut out.
    Photos,
    /// These, in the order of [`Change`]; none twice.
    List(Vec<Change>),
}

impl Augment {
    /// The words that stand for a preset, or for nothing.
    const WORDS: [&'static str; 3] = ["none", "characters", "photos"];

    /// These changes, in whatever order they are named.
    fn list(mut changes: Vec<Change>) -> Augment {
        changes.sort_by_key(|change| change.number());
        Augment::List(changes)
    }

    /// What is done to images of this shape.
    fn changes(&self, shape: ImageShape) -> Vec<Change> {
        let side = shape.height.min(shape.width);
        let part = |of: usize| ((side + of / 2) / of).max(1);
        match self {
            Augment::None => Vec::new(),
            Augment::Characters => {
                let shift = side as f64 / 14.0;
                vec![Change::Shift(shift), Change::Rotate(10.0), Change::Scale(0.1), Change::Shear(5.0)]
            }
            Augment::Photos => vec![Change::AlternatingFlip, Change::Crop(part(8)), Change::Cutout(part(4))],
            Augment::List(changes) => changes.clone(),
        }
    }

    /// Whether images are mixed with others.
    pub fn mixes(&self) -> bool {
        matches!(self, Augment::List(changes) if changes.iter().any(|change| matches!(change, Change::Mixup(_))))
    }

    /// Whether every number is in its range, and no change is there twice.
    ///
    /// # Errors
    /// A sentence on the first that is not.
    pub fn check(&self) -> Result<(), String> {
        let Augment::List(changes) = self else { return Ok(()) };
        if changes.is_empty() {
            return Err("augment is an empty list, expected at least one change; leave it out for none".to_owned());
        }
        changes.iter().try_for_each(Change::check)?;
        if let Some(pair) = changes.windows(2).find(|pair| pair[0].number() == pair[1].number()) {
            return Err(format!("augment has {:?} and {:?}, expected one of them", pair[0].text(), pair[1].text()));
        }
        if changes.contains(&Change::Flip) && changes.contains(&Change::AlternatingFlip) {
            return Err("augment has \"flip\" and \"alternating-flip\", expected one of them".to_owned());
        }
        Ok(())
    }

    /// Whether images of this shape can be changed so.
    ///
    /// # Errors
    /// A sentence on what is too large for them, or on images that are too large.
    pub fn check_fits(&self, shape: ImageShape) -> Result<(), String> {
        if *self == Augment::None {
            return Ok(());
        }
        if shape.height.max(shape.width) > LONGEST_SIDE {
            return Err(format!(
                "augment takes images of at most {LONGEST_SIDE} x {LONGEST_SIDE} pixels, and these are {shape}"
            ));
        }
        self.changes(shape).iter().try_for_each(|change| change.check_fits(shape))
    }
}

/// As a sentence has it: `characters`, or `shift 2, rotate 10`.
impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Augment::None => f.write_str("none"),
            Augment::Characters => f.write_str("characters"),
            Augment::Photos => f.write_str("photos"),
            Augment::List(changes) => f.write_str(&changes.iter().map(Change::text).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Serialize for Augment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Augment::None | Augment::Characters | Augment::Photos => serializer.collect_str(self),
            Augment::List(changes) => {
                let mut list = serializer.serialize_seq(Some(changes.len()))?;
                changes.iter().try_for_each(|change| list.serialize_element(&change.text()))?;
                list.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Augment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Augment, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Augment;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"characters\", \"photos\", \"none\" or a list such as [\"shift 2\", \"rotate 10\"]")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Augment, E> {
                match word {
                    "none" => Ok(Augment::None),
                    "characters" => Ok(Augment::Characters),
                    "photos" => Ok(Augment::Photos),
                    _ if Change::parse(word).is_ok() => {
                        Err(E::custom(format!("augment is {word:?}, expected a list of changes: [{word:?}]")))
                    }
                    _ => Err(E::unknown_variant(word, &Augment::WORDS)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Augment, A::Error> {
                let mut changes = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    if Augment::WORDS.contains(&text.as_str()) {
                        let message = format!("{text:?} stands alone, without a list: augment = {text:?}");
                        return Err(de::Error::custom(message));
                    }
                    changes.push(Change::parse(&text).map_err(|fault| match fault {
                        Fault::Unknown(name) => de::Error::unknown_variant(&name, &Change::NAMES),
                        Fault::Amount(message) => de::Error::custom(message),
                    })?);
                }
                Ok(Augment::list(changes))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests;
