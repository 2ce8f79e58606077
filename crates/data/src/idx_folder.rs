//! A folder of IDX files, by any of their usual names.

mod class_names;
mod qmnist;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use crate::arrays::{Images, Layout, Values, add};
use crate::collection::{Found, Role, listed};
use crate::idx;
use crate::labels::LabelFile;
use crate::options::{NO_COLUMNS, NO_PATHS, ONE_LEVEL, Options};
use crate::progress::Watch;
use crate::published::images_of;
use crate::read::open;
use crate::walk::{Item, Listing};
use crate::{DataError, MAX_CLASSES, names};

/// The longest list of the characters of EMNIST.
const MOST_MAPPING: u64 = 64 << 10;

/// Reads the folder if it holds IDX files of images; none if it holds something else.
pub(crate) fn read(
    path: &Path,
    listing: &Listing,
    options: &Options,
    watch: &mut Watch,
) -> Result<Option<Found>, DataError> {
    let mut found = Found::default();
    let train = pair(path, listing, Role::Train, &mut found.notes)?;
    let Some((train_images, train_labels)) = train else { return Ok(None) };
    options.refuse(path, &[NO_PATHS, ONE_LEVEL, NO_COLUMNS])?;
    let test = pair(path, listing, Role::Test, &mut found.notes)?;
    let mut parts = Vec::new();
    let mut files = vec![train_images.name.clone(), train_labels.name.clone()];
    parts.push(part(train_images, train_labels, Role::Train, &mut found, watch)?);
    if let Some((images, labels)) = test {
        files.extend([images.name.clone(), labels.name.clone()]);
        parts.push(part(images, labels, Role::Test, &mut found, watch)?);
    }
    found.notes.insert(0, format!("IDX files: {}", listed(&files)));
    if !class_names::apply(listing, &mut parts, &mut found)? {
        name_characters(listing, &mut found)?;
    }
    add(path, parts, options, &mut found)?;
    Ok(Some(found))
}

/// The files with images and labels of a role.
fn pair<'a>(
    path: &Path,
    listing: &'a Listing,
    role: Role,
    notes: &mut Vec<String>,
) -> Result<Option<(&'a Item, &'a Item)>, DataError> {
    let images = one(path, listing, role, "images", notes)?;
    let labels = one(path, listing, role, "labels", notes)?;
    match (images, labels) {
        (Some(images), Some(labels)) => Ok(Some((images, labels))),
        (None, None) => Ok(None),
        (Some(found), None) => Err(alone(path, found, "labels")),
        (None, Some(found)) => Err(alone(path, found, "images")),
    }
}

fn alone(path: &Path, found: &Item, missing: &str) -> DataError {
    let what = format!("holds {} and no file of its {missing}, expected one of that name with `{missing}`", found.name);
    DataError::contents(path, what, Some("copy it to the same folder"))
}

/// The file of a role and kind; of two spellings of one name (with and without `.gz`) the plain one.
fn one<'a>(
    path: &Path,
    listing: &'a Listing,
    role: Role,
    kind: &str,
    notes: &mut Vec<String>,
) -> Result<Option<&'a Item>, DataError> {
    let part = if role == Role::Train { "train" } else { "t10k" };
    let mut found: Vec<&Item> =
        listing.files.iter().filter(|item| names::is_like(&item.name, &format!("{part}-{kind}"))).collect();
    found.sort_by_key(|item| item.name.ends_with(".gz"));
    let stem = |item: &Item| item.name.trim_end_matches(".gz").replace(".idx", "-idx");
    let Some(first) = found.first().copied() else { return Ok(None) };
    if let Some(other) = found.iter().find(|item| stem(item) != stem(first)) {
        let what = format!("holds {} and {}: several data sets", first.name, other.name);
        return Err(DataError::contents(
            path,
            what,
            Some("copy the four files of one of them into a folder of its own"),
        ));
    }
    notes.extend(found.iter().skip(1).map(|other| names::both(&first.path, &other.path)));
    Ok(Some(first))
}

fn part(images: &Item, labels: &Item, role: Role, found: &mut Found, watch: &mut Watch) -> Result<Images, DataError> {
    let (images_name, labels_name) = (images.path.display().to_string(), labels.path.display().to_string());
    let (pixels, shape) = images_of(&images_name, idx::read_watched(&images.path, watch)?, &mut found.notes)?;
    let mut file = idx::read_watched(&labels.path, watch)?;
    let groups = qmnist::writers(&mut file, found);
    let (n, count) = (pixels.len() / shape.len(), file.values.len());
    let file = LabelFile::new(labels_name.clone(), file)?;
    // Before each label becomes a number of four bytes.
    if count != n {
        return Err(DataError::LabelCount { images_name, images: n, labels_name, labels: count });
    }
    let mut numbers = Vec::with_capacity(n);
    for label in file.numbers() {
        numbers.push(found.names.number(&label.to_string()));
        if found.names.list.len() > MAX_CLASSES {
            let what = format!("holds more than {MAX_CLASSES} different labels, expected one for each class");
            return Err(DataError::contents(&labels.path, what, Some("are these the labels of these images?")));
        }
    }
    let on_side = images.name.to_ascii_lowercase().contains("emnist");
    let (name, values, labels) = (images.name.clone(), Values::U8(pixels), numbers);
    Ok(Images { role: Some(role), name, shape, layout: Layout::First, values, labels, groups, on_side })
}

/// Calls classes by the characters that EMNIST's `mapping.txt` gives them: lines such as `1 65 97`.
fn name_characters(listing: &Listing, found: &mut Found) -> Result<(), DataError> {
    let mut mappings = listing.files.iter().filter(|item| item.name.ends_with("mapping.txt"));
    let (Some(item), None) = (mappings.next(), mappings.next()) else { return Ok(()) };
    let io = |reason| DataError::io(&item.path, reason);
    let mut text = String::new();
    open(&item.path)?.take(MOST_MAPPING).read_to_string(&mut text).map_err(io)?;
    let mut characters = std::collections::HashMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(label) = words.next() else { continue };
        let name: Option<String> = words.map(|code| code.parse().ok().and_then(char::from_u32)).collect();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            characters.insert(label.to_owned(), name);
        }
    }
    let names: Option<Vec<String>> = found.names.list.iter().map(|label| characters.get(label).cloned()).collect();
    let Some(names) = names else {
        found.notes.push(format!("{} does not name every label and is passed over", item.name));
        return Ok(());
    };
    if found.names.rename(names) {
        found.notes.push(format!("classes are called by the characters in {}", item.name));
    }
    Ok(())
}
