//! A folder with one folder for each class, or with such folders for training, validation and test.

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::DataError;
use crate::collection::{Found, Naming, Role, listed};
use crate::groups::GroupPattern;
use crate::options::{NO_COLUMNS, ONE_LEVEL, Options, UPRIGHT};
use crate::pictures::{self, Entry};
use crate::progress::Watch;
use crate::walk::{self, Item, Listing, PassedOver};
use crate::words::{are, counted};

/// How many folders with nothing but a folder in them are gone through.
const MOST_WRAPPED: usize = 4;

/// Reads the folders of classes in `path`.
pub(crate) fn read(path: &Path, options: &Options, naming: Naming, watch: &mut Watch) -> Result<Found, DataError> {
    options.refuse(path, &[UPRIGHT, ONE_LEVEL, NO_COLUMNS])?;
    let mut found = Found::default();
    let mut passed_over = PassedOver::default();
    let group = options.group.as_deref().map(GroupPattern::new).transpose()?;
    let (root, listing) = unwrapped(path, &mut found.notes)?;
    passed_over.hidden += listing.hidden;
    let roles = roles(&root, &listing, naming)?;
    let mut entries = Vec::new();
    if roles.is_empty() {
        if listing.folders.is_empty() {
            return Err(no_folders(&root, &listing));
        }
        found.notes.push("one folder for each class".to_owned());
        for class in &listing.folders {
            gather(class, "", Role::Train, group.as_ref(), &mut found, &mut passed_over, &mut entries)?;
        }
        pass_over_files(&listing.files, &mut found.notes);
    } else {
        let names: Vec<String> = roles.iter().map(|(item, role)| format!("{} ({})", item.name, role.word())).collect();
        found.notes.push(format!("folders of classes in {}", names.join(", ")));
        let others: Vec<String> = listing
            .folders
            .iter()
            .filter(|folder| roles.iter().all(|(item, _)| item.path != folder.path))
            .map(|folder| folder.name.clone())
            .collect();
        if !others.is_empty() {
            found.notes.push(format!("folders beside them are passed over: {}", listed(&others)));
        }
        pass_over_files(&listing.files, &mut found.notes);
        for (part, role) in roles {
            let inner = classes_of(&part, &mut found.notes)?;
            passed_over.hidden += inner.hidden;
            pass_over_files(&inner.files, &mut found.notes);
            for class in &inner.folders {
                let below = format!("{}/", part.name);
                gather(class, &below, role, group.as_ref(), &mut found, &mut passed_over, &mut entries)?;
            }
        }
    }
    found.notes.extend(passed_over.notes());
    if entries.is_empty() {
        let hint = "each class is a folder with its pictures in it";
        return Err(DataError::contents(&root, "its folders hold no files", Some(hint)));
    }
    pictures::read(&root, entries, options, &mut found, watch)?;
    Ok(found)
}

/// The folder in which there is more than one folder: archives often wrap one in another.
fn unwrapped(path: &Path, notes: &mut Vec<String>) -> Result<(std::path::PathBuf, Listing), DataError> {
    let mut root = path.to_owned();
    let mut listing = walk::list(&root)?;
    for _ in 0..MOST_WRAPPED {
        let [only] = &listing.folders[..] else { break };
        if Role::of(&only.name).is_some() {
            break;
        }
        let inner = walk::list(&only.path)?;
        // With pictures in it, it is a class, and the only one.
        if inner.folders.is_empty() {
            break;
        }
        notes.push(format!("the only folder, {}, is taken for the data set", only.name));
        root = only.path.clone();
        listing = inner;
    }
    Ok((root, listing))
}

/// The folders that are parts of a data set. One that holds pictures itself is a class, even one of trains.
fn roles(root: &Path, listing: &Listing, naming: Naming) -> Result<Vec<(Item, Role)>, DataError> {
    let named: Vec<(&Item, Role)> =
        listing.folders.iter().filter_map(|folder| Some((folder, Role::within(&folder.name)?))).collect();
    let mut roles = Vec::new();
    for &(folder, role) in &named {
        // Beside train, train_masks is no part, nor is test_notes beside test.
        let exact = |item: &Item| Role::of(&item.name) == Some(role);
        if (exact(folder) || !named.iter().any(|(other, _)| exact(other)))
            && !walk::list(&folder.path)?.folders.is_empty()
        {
            roles.push((folder.clone(), role));
        }
    }
    // One name with such a word in it may be that of a class, as steam_train; train itself is none.
    let trained = roles.iter().any(|(_, role)| *role == Role::Train);
    if trained && roles.iter().any(|(item, role)| *role != Role::Train || Role::of(&item.name).is_some()) {
        roles.sort_by_key(|(_, role)| *role);
        return Ok(roles);
    }
    // Whoever learns nothing needs no training images. What is a class of the network is no part.
    let is_class = |item: &Item| matches!(naming, Naming::Known(classes) if classes.contains(&item.name));
    let known = !matches!(naming, Naming::Learned) && roles.iter().all(|(item, _)| !is_class(item));
    if known && roles.iter().any(|(item, _)| Role::of(&item.name).is_some()) {
        roles.sort_by_key(|(_, role)| *role);
        return Ok(roles);
    }
    // As classes, they would teach a network which pictures are for training and which for testing.
    if named.iter().any(|(_, role)| *role != named[0].1) {
        return Err(no_classes_in_parts(root, &named, !roles.is_empty() && !trained));
    }
    Ok(Vec::new())
}

/// What a part holds; folders that wrap its classes are gone through.
fn classes_of(part: &Item, notes: &mut Vec<String>) -> Result<Listing, DataError> {
    let mut listing = walk::list(&part.path)?;
    for _ in 0..MOST_WRAPPED {
        let [only] = &listing.folders[..] else { break };
        let inner = walk::list(&only.path)?;
        if inner.folders.is_empty() {
            if Role::within(&only.name).is_some() {
                let what = "holds pictures, not folders of classes";
                return Err(DataError::contents(&only.path, what, Some(CLASSES_IN_PARTS)));
            }
            break;
        }
        notes.push(format!("the only folder in {}, {}, is taken for it", part.name, only.name));
        listing = inner;
    }
    Ok(listing)
}

const CLASSES_IN_PARTS: &str = "put the pictures of each class into a folder of its own, as train/cat and test/cat, \
    and those without a class elsewhere, or name the CSV file that says what they are";

fn no_classes_in_parts(root: &Path, named: &[(&Item, Role)], no_train: bool) -> DataError {
    let names: Vec<String> = named.iter().map(|(item, _)| item.name.clone()).collect();
    if no_train {
        let what = format!("holds {}, of which none is for training and holds folders of classes", listed(&names));
        let hint = "call the folder with the training pictures train; if these are classes, rename them";
        return DataError::contents(root, what, Some(hint));
    }
    let what = format!("{} hold pictures, not folders of classes", listed(&names));
    DataError::contents(root, what, Some(&format!("{CLASSES_IN_PARTS}; if these are classes, rename them")))
}

/// Adds the pictures of a class.
fn gather(
    class: &Item,
    below: &str,
    role: Role,
    group: Option<&GroupPattern>,
    found: &mut Found,
    passed_over: &mut PassedOver,
    entries: &mut Vec<Entry>,
) -> Result<(), DataError> {
    if !class.utf8 {
        let hint = "rename it: classes are called as their folders are";
        return Err(DataError::contents(&class.path, "the name of this folder is not UTF-8", Some(hint)));
    }
    let files = walk::files(&class.path, passed_over)?;
    if files.is_empty() {
        found.notes.push(format!("the folder {below}{} is empty: no class", class.name));
        return Ok(());
    }
    let label = found.names.number(&class.name);
    for (path, within) in files {
        let shown = format!("{below}{}/{within}", class.name);
        let group = match group.map(|pattern| pattern.group(&path, &shown)) {
            Some(Ok(name)) => Some(found.groups.number(name)),
            Some(Err(error)) if pictures::is_picture(&path) => return Err(error),
            // What is no picture is told as that.
            Some(Err(_)) | None => None,
        };
        entries.push(Entry { path, shown, role: Some(role), label, group });
    }
    Ok(())
}

fn pass_over_files(files: &[Item], notes: &mut Vec<String>) {
    if !files.is_empty() {
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        notes.push(format!(
            "{} beside the folders {} passed over: {}",
            counted(names.len(), "file", "files"),
            are(names.len()),
            listed(&names)
        ));
    }
}

fn no_folders(root: &Path, listing: &Listing) -> DataError {
    let what = match listing.files.len() {
        0 => "is empty".to_owned(),
        n => format!("holds {} and no folder", counted(n, "file", "files")),
    };
    let hint = "put the pictures of each class into a folder of its own, or name the CSV file that says what they are";
    DataError::contents(root, format!("{what}, expected a folder for each class"), Some(hint))
}
