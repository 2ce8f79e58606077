//! What a folder holds, in natural order, without what no person put there.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::words::counted;
use crate::{DataError, natural};

/// How deep folders are searched.
const MOST_DEEP: usize = 16;

/// The most files of a data set.
const MOST_FILES: usize = 10_000_000;

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) folders: Vec<Item>,
    pub(crate) files: Vec<Item>,
    /// How many hidden files and folders, and those that systems leave behind, were passed over.
    pub(crate) hidden: usize,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    /// Its name, with a mark for each byte that is no UTF-8.
    pub(crate) name: String,
    /// Whether its name has none.
    pub(crate) utf8: bool,
}

/// What was passed over on the way.
#[derive(Debug, Default)]
pub(crate) struct PassedOver {
    pub(crate) hidden: usize,
    /// Links to a folder that they are in.
    pub(crate) loops: usize,
    /// Links to a folder of which the class already has the files.
    pub(crate) again: usize,
    pub(crate) too_deep: usize,
}

impl PassedOver {
    /// Sentences on it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let deep = [format!("folder more than {MOST_DEEP} deep is"), format!("folders more than {MOST_DEEP} deep are")];
        let kinds = [
            (self.hidden, "hidden file or folder is", "hidden files and folders are"),
            (self.loops, "link that leads back to its own folder is", "links that lead back to their own folders are"),
            (self.again, "folder that a class holds twice is", "folders that a class holds twice are"),
            (self.too_deep, &deep[0], &deep[1]),
        ];
        let sentence = |(n, one, more)| (n > 0).then(|| format!("{} passed over", counted(n, one, more)));
        kinds.into_iter().filter_map(sentence).collect::<Vec<_>>()
    }
}

/// What `folder` holds itself.
///
/// A link that leads nowhere is among the files: whoever reads it says so.
pub(crate) fn list(folder: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder).map_err(|reason| DataError::io(folder, reason))? {
        let entry = entry.map_err(|reason| DataError::io(folder, reason))?;
        let os_name = entry.file_name();
        let name = os_name.to_string_lossy().into_owned();
        if name.starts_with('.') || ["Thumbs.db", "desktop.ini", "__MACOSX"].contains(&name.as_str()) {
            listing.hidden += 1;
            continue;
        }
        if listing.folders.len() + listing.files.len() == MOST_FILES {
            return Err(too_many(folder));
        }
        let path = entry.path();
        let item = Item { utf8: os_name.to_str().is_some(), name, path };
        if fs::metadata(&item.path).is_ok_and(|metadata| metadata.is_dir()) {
            listing.folders.push(item);
        } else {
            listing.files.push(item);
        }
    }
    for items in [&mut listing.folders, &mut listing.files] {
        items.sort_by(|a, b| natural::compare(&a.name, &b.name).then_with(|| a.path.cmp(&b.path)));
    }
    Ok(listing)
}

/// All files in `folder` and the folders in it, in natural order, without hidden ones.
///
/// # Errors
/// If a folder cannot be read, or there are too many files.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(files(folder, &mut PassedOver::default())?.into_iter().map(|(path, _)| path).collect())
}

/// All files in `folder` and the folders in it, each with its path below `folder`, with `/`. A folder that links lead
/// to more than once is gone through once: each of a few levels of such links would double the way.
pub(crate) fn files(folder: &Path, passed_over: &mut PassedOver) -> Result<Vec<(PathBuf, String)>, DataError> {
    let mut files = Vec::new();
    // A link to the data set itself would bring all classes into one.
    let mut above: Vec<PathBuf> =
        folder.parent().and_then(|parent| fs::canonicalize(parent).ok()).into_iter().collect();
    collect(folder, "", &mut above, &mut HashSet::new(), &mut files, passed_over)?;
    Ok(files)
}

fn collect(
    folder: &Path,
    below: &str,
    above: &mut Vec<PathBuf>,
    seen: &mut HashSet<PathBuf>,
    files: &mut Vec<(PathBuf, String)>,
    passed_over: &mut PassedOver,
) -> Result<(), DataError> {
    let real = fs::canonicalize(folder).map_err(|reason| DataError::io(folder, reason))?;
    if above.contains(&real) {
        passed_over.loops += 1;
        return Ok(());
    }
    if above.len() == MOST_DEEP {
        passed_over.too_deep += 1;
        return Ok(());
    }
    if !seen.insert(real.clone()) {
        passed_over.again += 1;
        return Ok(());
    }
    let Listing { folders, files: here, hidden } = list(folder)?;
    passed_over.hidden += hidden;
    if files.len() + here.len() > MOST_FILES {
        return Err(too_many(folder));
    }
    files.extend(here.into_iter().map(|item| (item.path, format!("{below}{}", item.name))));
    above.push(real);
    for inner in folders {
        collect(&inner.path, &format!("{below}{}/", inner.name), above, seen, files, passed_over)?;
    }
    above.pop();
    Ok(())
}

fn too_many(folder: &Path) -> DataError {
    DataError::contents(
        folder,
        format!("holds more than {MOST_FILES} files"),
        Some("name the folder of the data set alone"),
    )
}
