//! Archives: only what is asked for, only where it belongs, and no more of it than there can be.

use std::io::Cursor;

use tar::{EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::table::Member;
use super::server::Server;
use super::*;
use crate::failure::DATA;

const MEMBERS: &[Member] = &[
    Member { path: "pack/train-images-idx3-ubyte.gz", optional: false },
    Member { path: "pack/train-labels-idx1-ubyte.gz", optional: false },
    Member { path: "pack/t10k-images-idx3-ubyte.gz", optional: false },
    Member { path: "pack/t10k-labels-idx1-ubyte.gz", optional: false },
    Member { path: "pack/mapping.txt", optional: true },
];

/// The four files by their paths in an archive, and others that are nobody's business.
fn entries() -> Vec<(String, Vec<u8>)> {
    let good = NAMES.iter().zip(files()).map(|(name, file)| (format!("pack/{name}"), file));
    [("../evil".to_owned(), b"evil".to_vec()), ("/evil".to_owned(), b"evil".to_vec())].into_iter().chain(good).collect()
}

fn zipped(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name.clone(), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tarred(entries: &[(String, Vec<u8>)], kind: EntryType) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        // As no honest writer would let us.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

fn archive(name: &'static str, mirrors: &[&'static str], bytes: &[u8], holds: Holds) -> &'static DataSet {
    let (size, checksum) = (Some(bytes.len() as u64), Checksum::Sha256(sha256(bytes)));
    set_of(mirrors, vec![Download { name, bytes: size, checksum, holds }])
}

const KINDS: [(&str, Holds); 2] = [("pack.zip", Holds::Zip(MEMBERS)), ("pack.tar.gz", Holds::TarGz(MEMBERS))];

fn packed(holds: Holds, entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    match holds {
        Holds::Zip(_) => zipped(entries),
        _ => tarred(entries, EntryType::Regular),
    }
}

#[test]
fn of_an_archive_what_is_asked_for_is_kept() {
    for (name, holds) in KINDS {
        let bytes = packed(holds, &entries());
        let server = Server::with(vec![(name.to_owned(), bytes.clone())]);
        let cache = Folder::new(&format!("archive-{name}"));
        get(archive(name, &[server.url], &bytes, holds), &cache).unwrap();
        assert_whole(&cache);

        // The same from the disk: the archive, its folder, or what was in it, there or in a folder within.
        let disk = Folder::new(&format!("archive-disk-{name}"));
        let set = archive(name, &[server.url], &bytes, holds);
        let file = disk.write(name, &bytes);
        for from in [&file, &disk.0] {
            let cache = Folder::new(&format!("archive-from-{name}"));
            get_from(set, &cache, from).unwrap();
            assert_whole(&cache);
        }
        fs::remove_file(file).unwrap();
        let (code, message, _) = refused(get_from(set, &Folder::new("archive-none"), &disk.0));
        assert_eq!(code, DATA);
        assert!(
            message.ends_with(&format!("holds no {name}, nor train-images-idx3-ubyte.gz and the other files in it"))
        );
        for (name, file) in NAMES.iter().zip(files()) {
            disk.write(&format!("pack/{name}"), &file);
        }
        for from in [disk.0.clone(), disk.0.join("pack")] {
            let cache = Folder::new(&format!("archive-unpacked-{name}"));
            get_from(set, &cache, &from).unwrap();
            assert_whole(&cache);
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_file_that_may_be_missing_is_taken_where_it_is_there() {
    for (name, holds) in KINDS {
        let mut entries = entries();
        entries.push(("pack/mapping.txt".to_owned(), b"0 65\n1 66\n".to_vec()));
        let bytes = packed(holds, &entries);
        let disk = Folder::new(&format!("archive-mapping-disk-{name}"));
        let file = disk.write(name, &bytes);
        let cache = Folder::new(&format!("archive-mapping-{name}"));
        get_from(archive(name, &["http://127.0.0.1:1/"], &bytes, holds), &cache, &file).unwrap();
        assert_eq!(cache.names("tiny")[..2], ["classes.txt", "mapping.txt"]);
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let bomb = || {
        let mut entries = entries();
        entries[2].1 = vec![0; 50_000_000];
        entries
    };
    let lacking = || entries().into_iter().filter(|(name, _)| !name.contains("t10k-labels")).collect::<Vec<_>>();
    for (name, holds) in KINDS {
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 200);
            bytes
        };
        for (n, (bytes, words)) in [
            (packed(holds, &bomb()), "train-images-idx3-ubyte.gz is more than "),
            (packed(holds, &lacking()), "holds no pack/t10k-labels-idx1-ubyte.gz"),
            (cut(packed(holds, &lacking())), if name == "pack.zip" { "is no whole zip" } else { "is damaged: " }),
            (b"<html>".to_vec(), "is no whole "),
            (gzip(b"<html>"), "is no whole "),
        ]
        .into_iter()
        .enumerate()
        {
            let disk = Folder::new(&format!("archive-lies-disk-{name}"));
            let file = disk.write(name, &bytes);
            let cache = Folder::new(&format!("archive-lies-{name}"));
            let set = archive(name, &["http://127.0.0.1:1/"], &bytes, holds);
            let (code, message, _) = refused(get_from(set, &cache, &file));
            assert_eq!(code, DATA, "{n}: {message}");
            assert!(message.contains(words), "{name}, {n}: {message}");
            assert_eq!(cache.names(""), [".tiny-family.lock"], "{n}");
        }
    }
    let links = tarred(&entries(), EntryType::Symlink);
    let disk = Folder::new("archive-links");
    let file = disk.write("pack.tar.gz", &links);
    let set = archive("pack.tar.gz", &["http://127.0.0.1:1/"], &links, Holds::TarGz(MEMBERS));
    let (code, message, _) = refused(get_from(set, &Folder::new("archive-links-cache"), &file));
    assert_eq!(code, DATA);
    assert!(message.ends_with("holds pack/train-images-idx3-ubyte.gz as something else than a file"), "{message}");
}
