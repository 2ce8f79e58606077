//! The table, and the names that people type.

use std::collections::HashSet;

use super::super::published::TABLE;
use super::super::{find, kept_or_told, list, named, resolve, size};
use super::*;
use crate::failure::{DATA, USAGE};

#[test]
fn the_table_is_consistent() {
    let names: HashSet<&str> = TABLE.iter().map(|set| set.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for set in TABLE {
        assert!(set.mirrors.len() > 1 && set.mirrors.iter().all(|mirror| mirror.ends_with('/')), "{}", set.name);
        for file in set.files {
            let (hex, digits) = match file.checksum {
                Checksum::Sha256(hex) | Checksum::Contents(hex) => (hex, 64),
                Checksum::Md5(hex) => (hex, 32),
            };
            assert!(
                hex.len() == digits && hex.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)),
                "{hex}"
            );
            let archive = !file.holds.members().is_empty();
            assert!(archive || file.bytes.is_none_or(|bytes| bytes < set.most_bytes()), "{}", file.name);
            assert_eq!(archive, set.files.len() == 1, "{}", set.name);
        }
        // What is kept of one archive for several data sets is the same archive.
        for other in TABLE.iter().filter(|other| other.family == set.family) {
            let of = |set: &DataSet| format!("{:?} {:?}", set.files[0].name, set.files[0].checksum);
            assert_eq!(of(set), of(other));
        }
    }
    let of = |name: &str| find(TABLE, name).unwrap();
    assert_eq!(of("kmnist").bytes(), Some(18_165_135 + 29_497 + 3_041_136 + 5_120));
    assert_eq!(of("qmnist").bytes(), None);
    assert_eq!(of("cifar-100").about(), "photographs of things, plants, animals and people, 100 classes, 32x32 colour");
    // CIFAR-100's training images are one file.
    assert!(of("cifar-100").most_bytes() > 50_000 * 3_074);
    assert!(of("qmnist").most_bytes() > 12 + 60_000 * 8 * 4);
}

#[test]
fn names_are_found_however_they_are_joined() {
    for (typed, name) in [
        ("cifar10", Some("cifar-10")),
        ("cifar100", Some("cifar-100")),
        ("CIFAR-10", Some("cifar-10")),
        ("Fashion_MNIST", Some("fashion-mnist")),
        ("emnist", None),
        ("mnist", None),
        ("", None),
    ] {
        assert_eq!(find(TABLE, typed).map(|set| set.name), name, "{typed}");
    }
    for (typed, hint) in [
        ("fashon-mnist", "did you mean \"fashion-mnist\"?"),
        ("cifar-1000", "did you mean \"cifar-100\"?"),
        ("mnist", "MNIST is inside the program: every command takes it where no data are named"),
        (
            "imagenet",
            "there are fashion-mnist, kmnist, emnist-letters, emnist-balanced, emnist-digits, qmnist, cifar-10, cifar-100",
        ),
    ] {
        let (code, message, found) = refused(named(TABLE, typed));
        assert_eq!((code, found.as_str()), (USAGE, hint), "{message}");
        assert_eq!(message, format!("there is no data set {typed:?} to fetch"));
    }
}

#[test]
fn a_name_leads_to_what_was_fetched_or_to_what_to_do() {
    let cache = Folder::new("names-kept");
    let set = find(TABLE, "kmnist").unwrap();
    let (code, message, hint) = refused(kept_or_told(set, &cache.0));
    assert_eq!(
        (code, message.as_str()),
        (DATA, "kmnist: Kuzushiji-MNIST has not been fetched, and there is no file of that name")
    );
    assert!(hint.starts_with("tenfold data get kmnist (21.2 MB), or "), "{hint}");
    assert!(list(TABLE, &cache.0).contains("21.2 MB to fetch; not fetched\n"));
    fs::create_dir(cache.0.join("kmnist")).unwrap();
    assert_eq!(kept_or_told(set, &cache.0).unwrap(), cache.0.join("kmnist"));
    assert_eq!(list(TABLE, &cache.0).matches("; is here\n").count(), 1);
    // These are paths, whatever is there.
    for path in ["./kmnist", "kmnist/", "a/kmnist", "/kmnist", "no-such-set", "..", "", "Cargo.toml"] {
        assert_eq!(resolve(path.as_ref()).unwrap(), Path::new(path));
    }
}

#[test]
fn sizes_are_said_as_people_say_them() {
    assert_eq!([999, 5_120, 561_753_746].map(size), ["999 bytes", "5.1 kB", "561.8 MB"]);
}
