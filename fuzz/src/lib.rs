//! What the targets share: a folder, written and read again and again.

use std::fs;
use std::path::{Path, PathBuf};

use tenfold_data::{Channels, Fit, Options, Shares, read};

/// A folder of this process; what a target writes, it writes over.
pub fn folder(target: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tenfold-fuzz-{}-{target}", std::process::id()));
    fs::create_dir_all(&path).expect("a temporary folder");
    path
}

/// Writes a file below a folder.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).expect("a folder");
    }
    fs::write(path, bytes).expect("a file");
}

/// Reads as a user does, as it is and made to another shape, and goes on to the split where there is something to split.
/// Whatever comes of it is well, but a panic, a hang or memory without bound.
pub fn look(path: &Path) {
    let other = Options {
        size: Some([5, 7]),
        fit: Fit::Crop,
        channels: Some(Channels::Grey),
        ..Options::default()
    };
    for options in [Options::default(), other] {
        match read(path, &options) {
            Ok(collection) => {
                let images: usize = collection.parts().map(|(_, part)| part.len(collection.shape.len())).sum();
                assert!(images > 0 && collection.sha256.len() == 64);
                // Splits are another matter; small ones show that what was read holds together.
                if images < 1_000 {
                    let _ = collection.split(Shares::default(), 0);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// A picture that can be read: PGM of 4 by 4.
pub fn good_picture(level: u8) -> Vec<u8> {
    [&b"P5 4 4 255\n"[..], &[level; 16]].concat()
}

/// An npy file of these bytes.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let start = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()].concat();
    [&start, header.as_bytes(), data].concat()
}
