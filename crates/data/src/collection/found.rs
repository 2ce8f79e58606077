//! What a reader found: parts whose labels are numbers of names.

use std::collections::HashMap;

use super::Unreadable;
use crate::ImageShape;

/// What a part of the data is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// For fitting.
    Train,
    /// For choosing.
    Valid,
    /// For the final measurement.
    Test,
}

impl Role {
    /// The role that a folder, a file, a key or a column calls so.
    pub(crate) fn of(word: &str) -> Option<Role> {
        match word.to_ascii_lowercase().as_str() {
            "train" | "training" | "trn" => Some(Role::Train),
            // FER2013's public test was there to choose by, its private test to measure with.
            "valid" | "val" | "validation" | "validate" | "dev" | "publictest" => Some(Role::Valid),
            "test" | "testing" | "tst" | "t10k" | "privatetest" => Some(Role::Test),
            _ => None,
        }
    }

    /// The role of a name that holds one such word between others: `sign_mnist_train`.
    pub(crate) fn within(name: &str) -> Option<Role> {
        let mut roles = name.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(Role::of);
        let first = roles.next()?;
        roles.all(|role| role == first).then_some(first)
    }

    /// What the part is called: `training`, `validation` or `test`.
    pub fn word(self) -> &'static str {
        match self {
            Role::Train => "training",
            Role::Valid => "validation",
            Role::Test => "test",
        }
    }
}

/// Names, each with a number: in the order in which they first came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Names {
    /// By number.
    pub(crate) list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    /// The number of a name, its next one where it is new.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// Gives each its other name, if these differ from each other; says whether it did.
    pub(crate) fn rename(&mut self, names: Vec<String>) -> bool {
        let mut renamed = Names::default();
        for name in &names {
            renamed.number(name);
        }
        let all_differ = renamed.list.len() == self.list.len();
        if all_differ {
            *self = renamed;
        }
        all_differ
    }
}

/// A part as a reader found it: its labels are numbers of names.
#[derive(Default)]
pub(crate) struct Part {
    /// None where images have no labels.
    pub(crate) role: Option<Role>,
    /// What errors call it.
    pub(crate) name: String,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    pub(crate) groups: Vec<u32>,
    pub(crate) paths: Vec<String>,
    /// As [`Examples::keys`].
    pub(crate) keys: Vec<u64>,
}

/// In which order classes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Order {
    /// Their names were met on the way.
    #[default]
    Natural,
    /// Their names are a list with an order of its own.
    Listed,
    /// And each of the list is a class, whether images of it are there or not.
    Whole,
}

/// What a reader found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) parts: Vec<Part>,
    pub(crate) shape: Option<ImageShape>,
    pub(crate) names: Names,
    pub(crate) order: Order,
    pub(crate) groups: Names,
    pub(crate) notes: Vec<String>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) white: Option<f32>,
    pub(crate) range16: Option<[u16; 2]>,
}
