//! What tests of reading files share: IDX files, and a folder to write them to.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Labelled;

/// An IDX file with this header, true or not.
pub(crate) fn file(element_code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let dims_be = dims.iter().flat_map(|dim| dim.to_be_bytes());
    [0, 0, element_code, dims.len() as u8].into_iter().chain(dims_be).chain(data.iter().copied()).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder for one test, gone when the test is.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tenfold-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Labelled {
    /// Image `n`, `[C, H, W]`.
    pub(crate) fn image(&self, n: usize) -> &[u8] {
        &self.pixels[n * self.shape.len()..][..self.shape.len()]
    }
}
