//! Whether a file is the published one.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::table::Checksum;

/// Bytes that are read at a time.
pub(crate) const BLOCK: usize = 1 << 16;

/// Compares a file with what it is known by; of compressed contents, at most `most` bytes and one.
pub(crate) fn check(path: &Path, checksum: Checksum, most: u64) -> Result<(), Fault> {
    let file = File::open(path).map_err(Fault::reading(path))?;
    let (of, found, expected) = match checksum {
        Checksum::Sha256(expected) => ("its SHA-256", digest::<Sha256>(file), expected),
        Checksum::Md5(expected) => ("its MD5", digest::<Md5>(file), expected),
        Checksum::Contents(expected) => {
            let found = if is_gzip(path)? {
                digest::<Sha256>(MultiGzDecoder::new(BufReader::new(file)).take(most + 1))
            } else {
                digest::<Sha256>(file.take(most + 1))
            };
            ("the SHA-256 of its contents", found, expected)
        }
    };
    match found {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(Fault::Wrong(format!("{of} is {found}, expected {expected}"))),
        Err(reason) if is_damage(&reason) => Err(Fault::Wrong(format!("cannot be decompressed: {reason}"))),
        Err(reason) => Err(Fault::reading(path)(reason)),
    }
}

/// Whether a file starts as gzip's do.
pub(crate) fn is_gzip(path: &Path) -> Result<bool, Fault> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(Fault::reading(path))?;
    file.take(2).read_to_end(&mut start).map_err(Fault::reading(path))?;
    Ok(start == [0x1f, 0x8b])
}

/// Whether a decoder complains of what it read, rather than the system of reading it.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

/// A digest of all that is to be read, in hex.
fn digest<D: Digest>(mut reader: impl Read) -> io::Result<String> {
    let (mut digest, mut block) = (D::new(), vec![0; BLOCK]);
    loop {
        match reader.read(&mut block) {
            Ok(0) => break,
            Ok(n) => digest.update(&block[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut hex = String::new();
    for byte in digest.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}
