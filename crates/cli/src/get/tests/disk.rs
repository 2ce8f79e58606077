//! Files that are on the machine already.

use super::super::cache::Work;
use super::*;
use crate::failure::{DATA, IO, USAGE};

fn contents_known() -> &'static DataSet {
    let [a, b, c, d] = contents();
    set_with(&["http://127.0.0.1:1/"], move |file| {
        let of = [&a, &b, &c, &d].into_iter().find(|contents| gzip(contents) == file).expect("is one of the four");
        (Some(file.len() as u64), Checksum::Contents(sha256(of)))
    })
}

fn offline() -> &'static DataSet {
    set(&["http://127.0.0.1:1/"])
}

/// A folder with the four files, each as `change` has it; without those that are empty.
fn folder(test: &str, change: impl Fn(usize, &str, Vec<u8>) -> (String, Vec<u8>)) -> Folder {
    let folder = Folder::new(test);
    for (n, (name, file)) in NAMES.iter().zip(files()).enumerate() {
        let (name, file) = change(n, name, file);
        if !file.is_empty() {
            folder.write(&name, &file);
        }
    }
    folder
}

#[test]
fn a_folder_is_taken_and_left_as_it_is() {
    let brought = folder("disk-brought", |_, name, file| (name.to_owned(), file));
    let cache = Folder::new("disk-whole");
    get_from(offline(), &cache, &brought.0).unwrap();
    assert_whole(&cache);
    assert_eq!(brought.names("").len(), 4);
}

#[test]
fn contents_are_known_however_they_are_compressed() {
    let plain = contents();
    let brought = folder("disk-plain", |n, name, file| match n {
        0 => (name.replace(".gz", "").replace("-idx", ".idx"), plain[n].clone()),
        1 => (name.to_owned(), [&file[..], &gzip(&[])[..]].concat()),
        _ => (name.to_owned(), file),
    });
    let cache = Folder::new("disk-contents");
    get_from(contents_known(), &cache, &brought.0).unwrap();
    assert_eq!(cache.names("tiny")[3..], ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"]);
    // Of a file that is known by its checksum, the contents are taken too, and another compression is not.
    let (code, message, _) = refused(get_from(offline(), &Folder::new("disk-recompressed"), &brought.0));
    assert_eq!(code, DATA);
    assert!(message.contains("train-labels-idx1-ubyte.gz: its SHA-256 is"), "{message}");
}

#[test]
fn what_no_checksum_is_known_of_is_counted() {
    let mut plain = contents();
    let cache = Folder::new("disk-counted");
    let brought = folder("disk-unpacked", |n, name, _| (name.replace(".gz", ""), plain[n].clone()));
    get_from(offline(), &cache, &brought.0).unwrap();
    assert_eq!(cache.names("tiny").len(), 5);

    plain[2] = idx(&[19, 4, 4], &plain[2][16..][..19 * 16]);
    plain[3] = idx(&[19], &[1; 19]);
    let brought = folder("disk-fewer", |n, name, _| (name.replace(".gz", ""), plain[n].clone()));
    let cache = Folder::new("disk-miscounted");
    let (code, message, _) = refused(get_from(offline(), &cache, &brought.0));
    assert_eq!(code, DATA);
    let expected = "Tiny: these are 300 training and 19 test images of 1x4x4 in 2 classes, expected 300 training and 20 \
                    test images of 1x4x4 in 2 classes";
    assert_eq!(message, expected);
    assert!(!cache.0.join("tiny").exists());
}

#[test]
fn wrong_missing_and_misplaced_files_are_named() {
    let wrong = folder("disk-wrong", |n, name, mut file| {
        if n == 3 {
            file[10] ^= 1;
        }
        (name.to_owned(), file)
    });
    let missing = folder("disk-missing", |n, name, file| (name.to_owned(), if n == 2 { vec![] } else { file }));
    let one = missing.0.join(NAMES[0]);
    let none = missing.0.join("none");
    for (path, code, words) in [
        (&wrong.0, DATA, "t10k-labels-idx1-ubyte.gz: its SHA-256 is"),
        (&missing.0, DATA, "holds no t10k-images-idx3-ubyte.gz"),
        (&one, USAGE, "is one file, expected the folder that holds train-images-idx3-ubyte.gz, "),
        (&none, USAGE, "cannot be read"),
    ] {
        let cache = Folder::new("disk-refused");
        let (found, message, _) = refused(get_from(offline(), &cache, path));
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
        assert!(!cache.0.join("tiny").exists(), "{message}");
    }
    // Cut short, where the contents are what is known.
    let short = folder("disk-short", |n, name, file| {
        let end = if n == 0 { file.len() - 20 } else { file.len() };
        (name.to_owned(), file[..end].to_vec())
    });
    let (code, message, _) = refused(get_from(contents_known(), &Folder::new("disk-cut"), &short.0));
    assert_eq!(code, DATA);
    assert!(message.contains("train-images-idx3-ubyte.gz: cannot be decompressed"), "{message}");
}

#[test]
fn one_process_at_a_time_brings_a_data_set() {
    let brought = folder("disk-two", |_, name, file| (name.to_owned(), file));
    let cache = Folder::new("disk-held");
    let held = Work::new(&cache.0, "tiny-family").unwrap();
    let (code, message, _) = refused(get_from(offline(), &cache, &brought.0));
    assert_eq!(code, IO);
    assert!(message.ends_with("another process is fetching this data set"), "{message}");
    drop(held);
    get_from(offline(), &cache, &brought.0).unwrap();
    assert_whole(&cache);
}

#[test]
fn what_a_stopped_command_left_is_not_taken_for_more() {
    let brought = folder("disk-stopped", |_, name, file| (name.to_owned(), file));
    let cache = Folder::new("disk-left");
    cache.write(".tiny-family.new/tiny/train-images-idx3-ubyte", b"half");
    get_from(offline(), &cache, &brought.0).unwrap();
    assert_whole(&cache);
}
