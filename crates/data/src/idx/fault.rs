//! What can be wrong with an IDX file, in words.

use std::io;

use thiserror::Error;

use super::{MAX_BYTES, MAX_DIMS};

/// Why a file was refused as IDX.
#[derive(Debug, Error)]
#[error("{name}: {fault}")]
pub struct IdxError {
    /// The path of the file, or what else its reader called it.
    pub name: String,
    /// What is wrong with it.
    pub fault: IdxFault,
}

/// What can be wrong with an IDX file. Positions count bytes from 0, after decompression.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum IdxFault {
    #[error("cannot be read: {reason}")]
    Io { reason: io::Error },
    #[error("is {found}, expected a regular file")]
    NotAFile { found: &'static str },
    #[error("is empty, expected an IDX header")]
    Empty,
    #[error("the gzip data is damaged or cut short after {position} bytes of contents ({reason}); {COPY_AGAIN}")]
    Gzip { position: u64, reason: io::Error },
    #[error("ends at byte {found}, within the IDX header of {expected} bytes; {COPY_AGAIN}")]
    HeaderCutShort { found: u64, expected: u64 },
    #[error("begins with bytes {:02x} {:02x}, expected 00 00; it is not an IDX file", .found[0], .found[1])]
    NotIdx { found: [u8; 2] },
    #[error("is compressed twice: there is gzip data in its gzip data; decompress it once, with gzip -d")]
    GzipTwice,
    #[error("its numbers are little-endian (it begins with {:02x} {:02x} 00 00), expected big-endian; {WRITE_ANEW}", .found[0], .found[1])]
    LittleEndian { found: [u8; 2] },
    #[error(
        "its dimensions are little-endian (the header promises {} elements, and {} with the bytes of each dimension \
         reversed), expected big-endian; {WRITE_ANEW}",
        times(.dims), times(&reversed(.dims))
    )]
    LittleEndianDimensions { dims: Vec<usize> },
    #[error("byte 2, the element type, is {found:02x}, expected 08, 09, 0b, 0c, 0d or 0e")]
    ElementType { found: u8 },
    #[error("byte 3, the number of dimensions, is {found}, expected 1 to {MAX_DIMS}")]
    DimensionCount { found: u8 },
    #[error("the dimension at byte {position} is 0 (the header says {}), expected at least 1", times(.dims))]
    ZeroDimension { dims: Vec<usize>, position: usize },
    #[error(
        "the header promises {} elements of {element_bytes} bytes, expected at most {MAX_BYTES} bytes in all",
        times(.dims)
    )]
    TooLarge { dims: Vec<usize>, element_bytes: usize },
    #[error("ends at byte {found}, the header promises {} elements ({expected} bytes); {COPY_AGAIN}", times(.dims))]
    CutShort { dims: Vec<usize>, found: u64, expected: u64 },
    #[error("goes on after byte {expected}, where the {} elements end that the header promises", times(.dims))]
    TooLong { dims: Vec<usize>, expected: u64 },
}

const COPY_AGAIN: &str = "copy or download the file again";
const WRITE_ANEW: &str = "write the file anew with big-endian numbers";

/// Dimensions as people write them: `60000x28x28`.
pub(crate) fn times(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Dimensions as they are with their four bytes the other way round.
pub(super) fn reversed(dims: &[usize]) -> Vec<usize> {
    dims.iter().map(|&dim| (dim as u32).swap_bytes() as usize).collect()
}
