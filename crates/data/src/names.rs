//! Names of the files of a data set: how they may be spelled, and what else a folder holds that looks like them.

use std::fs;
use std::path::Path;

/// The most names of a folder that are looked at for advice.
const MOST_NAMES: usize = 1000;

/// The names under which a file is looked for, in this order.
pub(crate) fn spellings(file: &str) -> [String; 4] {
    let dotted = file.replace("-idx", ".idx");
    [file.to_owned(), dotted.clone(), format!("{file}.gz"), format!("{dotted}.gz")]
}

/// That of two spellings of a name one was read.
pub(crate) fn both(read: &Path, other: &Path) -> String {
    let [read, other] = [read, other].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    format!("{read} is read, {other} beside it is not")
}

/// What to do about files that are `missing` in `folder`, going by what it holds instead.
pub(crate) fn hint(folder: &Path, missing: &[&'static str]) -> Option<String> {
    let names = names(folder);
    let like = |file: &str| names.iter().filter(|name| is_like(name, file)).collect::<Vec<_>>();
    let renamed: Vec<(String, usize)> = missing
        .iter()
        .filter_map(|file| {
            let found = like(file);
            let gz = if found.first()?.to_ascii_lowercase().ends_with(".gz") { ".gz" } else { "" };
            Some((format!("{} to {file}{gz}", found[0]), found.len()))
        })
        .collect();
    if renamed.iter().any(|(_, found)| *found > 1) {
        let rename = &renamed[0].0;
        return Some(format!(
            "this folder holds several data sets: copy the four files of one into a folder of its own and rename them, as {rename}"
        ));
    }
    if !renamed.is_empty() {
        let renamed: Vec<String> = renamed.into_iter().map(|(renamed, _)| renamed).collect();
        return Some(format!("rename {}", renamed.join(", ")));
    }
    let holds_all = |inner: &&String| {
        let inner = folder.join(inner);
        missing.iter().all(|file| spellings(file).iter().any(|name| inner.join(name).is_file()))
    };
    names.iter().find(holds_all).map(|inner| format!("the files are in {}", folder.join(inner).display()))
}

/// Names of what is in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_NAMES);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether a file of this name seems to be what `file` is: the same part of a data set, images or labels.
pub(crate) fn is_like(name: &str, file: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let part: &[&str] = if file.starts_with("train") { &["train"] } else { &["t10k", "test"] };
    let kind = if file.contains("images") { "image" } else { "label" };
    (name.contains("ubyte") || name.contains("idx"))
        && name.contains(kind)
        && part.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mnist::FILES;
    use crate::testing::Folder;

    #[test]
    fn files_of_other_names_are_recognised() {
        let folder = Folder::new("names-emnist");
        assert_eq!(hint(&folder.0, &FILES), None);
        for file in ["train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1"] {
            folder.write(&format!("emnist-letters-{file}-ubyte.gz"), b"");
        }
        folder.write("emnist-letters-mapping.txt", b"");
        let expected = "rename emnist-letters-train-images-idx3-ubyte.gz to train-images-idx3-ubyte.gz, \
                        emnist-letters-test-labels-idx1-ubyte.gz to t10k-labels-idx1-ubyte.gz";
        assert_eq!(hint(&folder.0, &[FILES[0], FILES[3]]).as_deref(), Some(expected));
        folder.write("emnist-digits-train-images-idx3-ubyte", b"");
        let hint = hint(&folder.0, &FILES).expect("there is advice");
        assert!(hint.starts_with("this folder holds several data sets: "), "{hint}");
        assert!(hint.ends_with("emnist-digits-train-images-idx3-ubyte to train-images-idx3-ubyte"), "{hint}");
    }

    #[test]
    fn a_folder_within_is_found() {
        let folder = Folder::new("names-within");
        let raw = folder.0.join("raw");
        fs::create_dir(&raw).unwrap();
        for file in FILES {
            fs::write(raw.join(format!("{file}.gz")), b"").unwrap();
        }
        assert_eq!(hint(&folder.0, &FILES), Some(format!("the files are in {}", raw.display())));
        fs::remove_file(raw.join(format!("{}.gz", FILES[2]))).unwrap();
        assert_eq!(hint(&folder.0, &FILES), None);
    }
}
