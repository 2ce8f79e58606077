//! CIFAR-10 and CIFAR-100 in their binary version: records of labels and three planes of 32 by 32.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use crate::arrays::{Images, Layout, Values, add};
use crate::collection::{Found, Order, Role};
use crate::options::{Level, NO_COLUMNS, NO_PATHS, ONE_LEVEL, Options};
use crate::progress::{Watch, Watched};
use crate::read::{PICKLE_REMEDY, open};
use crate::walk::{Item, Listing};
use crate::{DataError, ImageShape};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// The longest list of names of classes.
const MOST_NAMES: u64 = 64 << 10;

/// The most bytes of a file of records: many times CIFAR's.
const MOST_BYTES: u64 = 1 << 30;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Ten,
    Hundred,
}

impl Variant {
    /// Labels before the pixels of a record.
    fn labels(self) -> usize {
        match self {
            Variant::Ten => 1,
            Variant::Hundred => 2,
        }
    }
}

/// Reads the folder if its files are CIFAR's; none if they are something else.
pub(crate) fn read(
    path: &Path,
    listing: &Listing,
    options: &Options,
    watch: &mut Watch,
) -> Result<Option<Found>, DataError> {
    let named = |name: &str| listing.files.iter().find(|item| item.name == name);
    let batches = |end: &str| -> Vec<&Item> {
        listing.files.iter().filter(|item| item.name.starts_with("data_batch_") && item.name.ends_with(end)).collect()
    };
    if let (Some(packed), true) = (batches(".bin.gz").first(), batches(".bin").is_empty()) {
        let what = format!("holds {}, expected it unpacked: data_batch_1.bin and so on", packed.name);
        return Err(DataError::contents(path, what, Some("unpack the files with gunzip")));
    }
    let pickled = !batches("").is_empty() && batches(".bin").is_empty();
    if pickled || (named("train.bin").is_none() && named("train").is_some() && named("meta").is_some()) {
        let what = "holds the Python version of CIFAR: pickles, which can run any program when they are read";
        return Err(DataError::contents(path, what, Some(PICKLE_REMEDY)));
    }
    let (variant, files) = if !batches(".bin").is_empty() {
        let train = batches(".bin").into_iter().map(|item| (Role::Train, item));
        (Variant::Ten, train.chain(named("test_batch.bin").map(|item| (Role::Test, item))).collect::<Vec<_>>())
    } else if let Some(train) = named("train.bin") {
        let test = named("test.bin").map(|item| (Role::Test, item));
        (Variant::Hundred, [(Role::Train, train)].into_iter().chain(test).collect())
    } else {
        return Ok(None);
    };
    options.refuse(path, &[NO_PATHS, NO_COLUMNS])?;
    if variant == Variant::Ten {
        options.refuse(path, &[ONE_LEVEL])?;
    }
    let coarse = variant == Variant::Hundred && options.labels == Level::Coarse;
    let (at, classes, names_file) = match (variant, coarse) {
        (Variant::Ten, _) => (0, 10, "batches.meta.txt"),
        (Variant::Hundred, false) => (1, 100, "fine_label_names.txt"),
        (Variant::Hundred, true) => (0, 20, "coarse_label_names.txt"),
    };
    let mut found = Found { order: Order::Whole, ..Found::default() };
    let names = named(names_file).map(|item| names(&item.path)).transpose()?.unwrap_or_default();
    for class in 0..classes {
        // Called by their numbers where the list is missing, or short.
        let name = names.get(class).cloned().unwrap_or_else(|| class.to_string());
        if found.names.number(&name) as usize != class {
            let what = format!("{names_file} has {name:?} twice, expected a name for each of {classes} classes");
            return Err(DataError::contents(path, what, Some("download it again")));
        }
    }
    let kind = if variant == Variant::Ten { "CIFAR-10" } else { "CIFAR-100" };
    let level = match (variant, coarse) {
        (Variant::Ten, _) => "",
        (_, false) => ", fine labels (labels = \"coarse\" for the 20 coarse ones)",
        (_, true) => ", coarse labels",
    };
    found.notes.push(format!("{kind}, the binary version{level}"));
    let mut parts = Vec::new();
    for (role, item) in files {
        parts.push(records(item, (role, variant), [at, classes], watch)?);
    }
    add(path, parts, options, &mut found)?;
    Ok(Some(found))
}

/// The lines of a list of names.
fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let io = |reason| DataError::io(path, reason);
    let mut text = String::new();
    open(path)?.take(MOST_NAMES).read_to_string(&mut text).map_err(io)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The records of a file, whose label is byte `at` of each, below `classes`.
fn records(
    item: &Item,
    (role, variant): (Role, Variant),
    [at, classes]: [usize; 2],
    watch: &mut Watch,
) -> Result<Images, DataError> {
    let bad = |what: String| DataError::contents(&item.path, what, Some("copy or download it again"));
    let io = |reason| DataError::io(&item.path, reason);
    let file = open(&item.path)?;
    let record = variant.labels() + SHAPE.len();
    let len = file.metadata().map_err(io)?.len();
    if len == 0 || len > MOST_BYTES || !len.is_multiple_of(record as u64) {
        return Err(bad(format!("is {len} bytes, expected records of {record} bytes, {MOST_BYTES} at most")));
    }
    let mut bytes = Vec::new();
    Watched { reader: file, done: 0, of: len as usize, watch }.take(len).read_to_end(&mut bytes).map_err(io)?;
    let n = bytes.len() / record;
    let (mut pixels, mut labels) = (Vec::with_capacity(n * SHAPE.len()), Vec::with_capacity(n));
    for (number, record) in bytes.chunks_exact(record).enumerate() {
        let label = u32::from(record[at]);
        if label as usize >= classes {
            let other = if variant == Variant::Hundred { "; is it CIFAR-10's?" } else { "" };
            return Err(bad(format!(
                "record {number} (counted from 0) has label {label}, expected 0 to {}{other}",
                classes - 1
            )));
        }
        labels.push(label);
        pixels.extend_from_slice(&record[variant.labels()..]);
    }
    let (name, values) = (item.name.clone(), Values::U8(pixels));
    Ok(Images {
        role: Some(role),
        name,
        shape: SHAPE,
        layout: Layout::First,
        values,
        labels,
        groups: vec![],
        on_side: false,
    })
}
