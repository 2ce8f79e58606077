//! Small data sets on a server of our own, or on the disk.

mod archives;
mod disk;
mod names;
mod server;
mod web;

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tenfold_data::ImageShape;
use ureq::Proxy;
use ureq::tls::RootCerts;

use super::download::Web;
use super::table::{Checksum, DataSet, Download, Holds};
use super::{Source, bring};
use crate::failure::Failure;

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// Training and test images.
const IMAGES: [usize; 2] = [300, 20];

const SHAPE: ImageShape = ImageShape { channels: 1, height: 4, width: 4 };

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(dims: &[usize], elements: &[u8]) -> Vec<u8> {
    let dims_be = dims.iter().flat_map(|&dim| (dim as u32).to_be_bytes());
    [0, 0, 8, dims.len() as u8].into_iter().chain(dims_be).chain(elements.iter().copied()).collect()
}

/// The contents of the four files, none of which compresses well.
fn contents() -> [Vec<u8>; 4] {
    let images = |n: usize| {
        let pixels: Vec<u8> = (0..n as u32 * 16).map(|p| (p.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
        idx(&[n, 4, 4], &pixels)
    };
    let labels = |n: usize| idx(&[n], &(0..n).map(|n| (n % 2) as u8).collect::<Vec<_>>());
    [images(IMAGES[0]), labels(IMAGES[0]), images(IMAGES[1]), labels(IMAGES[1])]
}

fn files() -> [Vec<u8>; 4] {
    contents().map(|contents| gzip(&contents))
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn sha256(bytes: &[u8]) -> &'static str {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.leak()
}

/// A data set of the files that are given.
fn set_of(mirrors: &[&'static str], files: Vec<Download>) -> &'static DataSet {
    leak(DataSet {
        name: "tiny",
        title: "Tiny",
        shows: "noise",
        licence: "none",
        images: leak([IMAGES]),
        classes: 2,
        names: &["one", "another"],
        shape: SHAPE,
        family: "tiny-family",
        mirrors: mirrors.to_vec().leak(),
        files: files.leak(),
    })
}

/// The four files as they are, of which size and SHA-256 are known.
fn set(mirrors: &[&'static str]) -> &'static DataSet {
    set_with(mirrors, |file| (Some(file.len() as u64), Checksum::Sha256(sha256(file))))
}

fn set_with(mirrors: &[&'static str], known: impl Fn(&[u8]) -> (Option<u64>, Checksum)) -> &'static DataSet {
    let download = |(&name, file): (&&'static str, Vec<u8>)| {
        let (bytes, checksum) = known(&file);
        Download { name, bytes, checksum, holds: Holds::Itself }
    };
    set_of(mirrors, NAMES.iter().zip(files()).map(download).collect())
}

/// A folder for one test, gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tenfold-get-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn names(&self, inner: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(inner)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nothing of this machine's environment, and nobody to tell.
fn web(patience: Duration, proxy: Option<Proxy>) -> Web {
    Web::with(patience, proxy, RootCerts::WebPki, |_| {})
}

/// Fetches a data set and gives what was told.
fn get(set: &DataSet, cache: &Folder) -> Result<String, Failure> {
    from(&Source::Web(&web(Duration::from_secs(3), None)), set, cache)
}

fn get_from(set: &DataSet, cache: &Folder, path: &Path) -> Result<String, Failure> {
    from(&Source::Disk(path), set, cache)
}

fn from(source: &Source, set: &DataSet, cache: &Folder) -> Result<String, Failure> {
    let told = RefCell::new(String::new());
    bring(&[set], &cache.0, source, |line| {
        told.borrow_mut().push_str(&line);
        Ok(())
    })?;
    Ok(told.into_inner())
}

/// Exit code, message and hint.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> (u8, String, String) {
    match outcome.unwrap_err() {
        Failure::Error { code, message, hint } => (code, message, hint.unwrap_or_default()),
        Failure::NobodyListens => panic!("somebody listens"),
    }
}

/// Whether the data set is there as it was published, and nothing else.
#[track_caller]
fn assert_whole(cache: &Folder) {
    let mut expected = NAMES.map(str::to_owned).to_vec();
    expected.push("classes.txt".to_owned());
    expected.sort();
    assert_eq!(cache.names("tiny"), expected);
    let collection = tenfold_data::read(&cache.0.join("tiny"), &tenfold_data::Options::default()).unwrap();
    assert_eq!(collection.classes, ["one", "another"]);
    for (name, file) in NAMES.iter().zip(files()) {
        assert!(fs::read(cache.0.join("tiny").join(name)).unwrap() == file, "{name}");
    }
    assert_eq!(cache.names(""), [".tiny-family.lock", "tiny"]);
}
