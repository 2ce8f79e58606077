//! `--from`: the same files from a disk, for people without a network.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::{check, is_gzip};
use super::table::{Checksum, DataSet, Download, Holds, Member};
use super::unpack::{copy, unpack};
use crate::failure::{DATA, Failure, USAGE, unread};

/// Takes the files of a data set from a file or folder, checked, and gives the names of those of which no checksum is known.
pub(crate) fn take(set: &DataSet, from: &Path, into: &Path) -> Result<Vec<&'static str>, Failure> {
    let metadata = fs::metadata(from).map_err(|reason| {
        Failure::new(unread(&reason), format!("{}: cannot be read: {reason}", from.display()), None)
    })?;
    let mut unchecked = Vec::new();
    if metadata.is_dir() {
        for file in set.files {
            match find(file, from) {
                Some(Found::Whole(path)) => unchecked.extend(take_file(set, file, &path, into)?),
                Some(Found::Unpacked(members)) => unchecked.extend(take_members(set, &members, into)?),
                None => return Err(lacks(file, from)),
            }
        }
    } else if !metadata.is_file() {
        let message = format!("{}: is a pipe, socket or device, expected a file or a folder", from.display());
        return Err(Failure::new(USAGE, message, None));
    } else if let [file] = set.files {
        unchecked.extend(take_file(set, file, from, into)?);
    } else {
        let names: Vec<&str> = set.files.iter().map(|file| file.name).collect();
        let message = format!("{}: is one file, expected the folder that holds {}", from.display(), names.join(", "));
        return Err(Failure::new(USAGE, message, None));
    }
    Ok(unchecked)
}

/// How a folder holds a file.
enum Found {
    /// The file itself.
    Whole(PathBuf),
    /// What is in it, unpacked.
    Unpacked(Vec<(Member, PathBuf)>),
}

fn find(file: &Download, folder: &Path) -> Option<Found> {
    if let Some(path) = spelled(folder, file.name) {
        return Some(Found::Whole(path));
    }
    let members = file.holds.members();
    let mut found = Vec::new();
    for member in members {
        let inner = Path::new(member.path).parent().unwrap_or(Path::new(""));
        match spelled(folder, member.name()).or_else(|| spelled(&folder.join(inner), member.name())) {
            Some(path) => found.push((*member, path)),
            None if member.optional => {}
            None => return None,
        }
    }
    (!found.is_empty()).then_some(Found::Unpacked(found))
}

/// A file by its name, with a dot before `idx`, and without `.gz`.
fn spelled(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = name.strip_suffix(".gz").filter(|plain| !plain.ends_with(".tar")).unwrap_or(name);
    let dotted = |name: &str| name.replace("-idx", ".idx");
    let spellings = [name.to_owned(), dotted(name), plain.to_owned(), dotted(plain)];
    spellings.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn lacks(file: &Download, folder: &Path) -> Failure {
    let or = match file.holds.members() {
        [] => String::new(),
        [first, ..] => format!(", nor {} and the other files in it", first.name()),
    };
    let message = format!("{}: holds no {}{or}", folder.display(), file.name);
    Failure::new(DATA, message, Some("name the folder that holds it, or the file itself".to_owned()))
}

/// Checks a file and takes it, or what it holds; gives its name where no checksum is known of it as it is.
fn take_file(set: &DataSet, file: &Download, path: &Path, into: &Path) -> Result<Option<&'static str>, Failure> {
    let (most, to_failure) = (set.most_bytes(), |fault: super::fault::Fault| fault.about(path));
    let gzipped = is_gzip(path).map_err(to_failure)?;
    let is_itself = matches!(file.holds, Holds::Itself);
    // Of what was unpacked only some checksums know.
    let known = matches!(file.checksum, Checksum::Contents(_)) || gzipped || !is_itself;
    if known {
        check(path, file.checksum, most).map_err(to_failure)?;
    }
    if is_itself {
        let name = if gzipped { file.name } else { file.name.trim_end_matches(".gz") };
        copy(path, most, &into.join(name)).map_err(to_failure)?;
    } else {
        unpack(path, file.holds, most, into).map_err(to_failure)?;
    }
    Ok((!known).then_some(file.name))
}

fn take_members(set: &DataSet, members: &[(Member, PathBuf)], into: &Path) -> Result<Vec<&'static str>, Failure> {
    for (member, path) in members {
        let gzipped = is_gzip(path).map_err(|fault| fault.about(path))?;
        let name = if gzipped { member.name() } else { member.name().trim_end_matches(".gz") };
        copy(path, set.most_bytes(), &into.join(name)).map_err(|fault| fault.about(path))?;
    }
    Ok(members.iter().map(|(member, _)| member.name()).collect())
}
