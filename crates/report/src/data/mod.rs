//! A data set to look at: a contact sheet of each class, and a page that shows what was understood and what is odd.

pub mod contact_sheet;
pub mod layout;
pub mod page;
mod pairs;
#[cfg(test)]
mod tests;

use crate::feature_maps::Image;

/// What there is to say and to show of a data set.
#[derive(Clone, PartialEq, Debug)]
pub struct DataSheet {
    /// The name of the data set.
    pub title: String,
    /// Where it was read from.
    pub place: String,
    /// How it was understood, a sentence each.
    pub notes: Vec<String>,
    /// The SHA-256 of what training and evaluation see, in hex.
    pub sha256: String,
    /// The parts that have labels: `training`, `test`.
    pub parts: Vec<String>,
    /// All classes, in order.
    pub classes: Vec<Class>,
    /// Images that have no classes; shown where there are no others.
    pub unlabelled: Option<Class>,
    /// Of each channel, of the training images.
    pub channels: Vec<Channel>,
    /// A sentence on classes that are too small to be split, if there are any.
    pub too_small: Option<String>,
    /// How the data is or would be split, in a heading and sentences.
    pub split: (String, Vec<String>),
    /// Images on two sides of the split that the data came with.
    pub across: Pairs,
    /// Images that are alike and have different labels.
    pub of_two_classes: Pairs,
    /// Files that could not be read, each with its reason; some of them where there are many.
    pub unreadable: Vec<(String, String)>,
    /// How many files could not be read.
    pub unreadable_count: u64,
}

/// A class.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How many images of it each part has.
    pub counts: Vec<u64>,
    /// Some of them, of one shape.
    pub examples: Vec<Example>,
    /// How many there are of which these are some.
    pub of: u64,
}

/// An image of a class.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    /// Its path, or its part and number.
    pub name: String,
    /// Its pixels.
    pub image: Image,
}

/// The pixels of a channel, from 0 to 255.
#[derive(Clone, PartialEq, Debug)]
pub struct Channel {
    /// `grey`, `red`, `green` or `blue`.
    pub name: String,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

/// Pairs of images that are alike.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pairs {
    /// How many are identical.
    pub identical: u64,
    /// How many are nearly so.
    pub nearly: u64,
    /// How many are so turned or mirrored.
    pub turned: u64,
    /// Those that are shown.
    pub shown: Vec<Pair>,
}

impl Pairs {
    fn all(&self) -> u64 {
        self.identical + self.nearly + self.turned
    }
}

/// Two images that are alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    /// How much, in a word or two: `identical`.
    pub likeness: &'static str,
    /// The two.
    pub sides: [Side; 2],
}

/// An image of a pair.
#[derive(Clone, PartialEq, Debug)]
pub struct Side {
    /// The image, called by its path, or by its part and number.
    pub example: Example,
    /// The part that it is in.
    pub part: String,
    /// Its class, where it has one.
    pub class: String,
}

/// Characters of a name or a path at most; what is longer is cut.
const LONGEST: usize = 160;

/// A name that is not too long to be shown.
fn cut(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}
