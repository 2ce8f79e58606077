//! The IDX format: an array of numbers behind a header that states its type and dimensions.
//!
//! ```text
//! byte 0, 1     0 0
//! byte 2        element type: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64
//! byte 3        the number of dimensions, here 1 to 4
//! then          each dimension, u32
//! then          the elements, last dimension fastest
//! ```
//! All numbers are big-endian. A header is a claim: nothing is allocated on its word, and every byte that it promises
//! must be there, and no more.

mod fault;
#[cfg(test)]
mod tests;

pub(crate) use fault::times;
pub use fault::{IdxError, IdxFault};

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use fault::reversed;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::hex;
use crate::progress::{Watch, Watched};

/// The most bytes that an IDX file may hold after decompression, header included: 4 GiB.
pub const MAX_BYTES: u64 = 4 << 30;

/// The contents of an IDX file.
#[derive(Clone, PartialEq, Debug)]
pub struct Idx {
    /// One to four dimensions, none of them 0; the last varies fastest.
    pub dims: Vec<usize>,
    /// The elements; as many as the product of `dims`.
    pub values: IdxValues,
    /// The size of the file after decompression, header included.
    pub bytes: u64,
    /// The SHA-256 of those bytes, in hex: the same however the file was compressed.
    pub sha256: String,
}

/// The elements of an IDX file, in the type that it states.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "each variant is named for its type")]
pub enum IdxValues {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl IdxValues {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are none; never so in a file that was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the elements, as Rust writes it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::I16(_) => "i16",
            Self::I32(_) => "i32",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }
}

/// Reads an IDX file, gzip-compressed or not, whatever its name.
///
/// Refuses what is not a regular file: a pipe or a device may never end.
///
/// # Errors
/// If the file cannot be opened or read, or is no whole IDX file of numbers; the text names the file.
pub fn read_file(path: &Path) -> Result<Idx, IdxError> {
    open(path).and_then(read_sniffed).map_err(|fault| IdxError { name: path.display().to_string(), fault })
}

/// As [`read_file`], and tells `watch` how far it is.
pub(crate) fn read_watched(path: &Path, watch: &mut Watch) -> Result<Idx, IdxError> {
    let mut read = || {
        let file = open(path)?;
        let of = file.metadata().map_err(|reason| IdxFault::Io { reason })?.len() as usize;
        read_sniffed(Watched { reader: file, done: 0, of, watch })
    };
    read().map_err(|fault| IdxError { name: path.display().to_string(), fault })
}

/// Reads the contents of an IDX file, gzip-compressed (one member or several) or not; `name` is what errors call it.
///
/// Takes no more contents than the header promises and one byte, and no more memory than a small multiple of what
/// arrives.
///
/// # Errors
/// If `reader` fails, or gives something else than one whole IDX file of numbers.
pub fn read(reader: impl Read, name: &str) -> Result<Idx, IdxError> {
    read_sniffed(reader).map_err(|fault| IdxError { name: name.to_owned(), fault })
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const MAX_DIMS: u8 = 4;

#[derive(Clone, Copy)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Element {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            0x08 => Some(Self::U8),
            0x09 => Some(Self::I8),
            0x0b => Some(Self::I16),
            0x0c => Some(Self::I32),
            0x0d => Some(Self::F32),
            0x0e => Some(Self::F64),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn decode(self, data: Vec<u8>) -> IdxValues {
        fn each<const BYTES: usize, T>(data: &[u8], from_be_bytes: fn([u8; BYTES]) -> T) -> Vec<T> {
            let (elements, rest) = data.as_chunks();
            assert!(rest.is_empty(), "{} bytes are no whole number of elements of {BYTES}", data.len());
            elements.iter().copied().map(from_be_bytes).collect()
        }
        match self {
            Self::U8 => IdxValues::U8(data),
            Self::I8 => IdxValues::I8(each(&data, i8::from_be_bytes)),
            Self::I16 => IdxValues::I16(each(&data, i16::from_be_bytes)),
            Self::I32 => IdxValues::I32(each(&data, i32::from_be_bytes)),
            Self::F32 => IdxValues::F32(each(&data, f32::from_be_bytes)),
            Self::F64 => IdxValues::F64(each(&data, f64::from_be_bytes)),
        }
    }
}

fn open(path: &Path) -> Result<File, IdxFault> {
    // Before opening: to open a pipe is to wait for its writer.
    let kind = fs::metadata(path).map_err(|reason| IdxFault::Io { reason })?.file_type();
    if kind.is_dir() {
        return Err(IdxFault::NotAFile { found: "a folder" });
    }
    if !kind.is_file() {
        return Err(IdxFault::NotAFile { found: "a pipe, socket or device" });
    }
    File::open(path).map_err(|reason| IdxFault::Io { reason })
}

fn read_sniffed(mut reader: impl Read) -> Result<Idx, IdxFault> {
    let mut start = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut start).map_err(|reason| IdxFault::Io { reason })?;
    let gzipped = start == GZIP_MAGIC;
    let reader = io::Cursor::new(start).chain(reader);
    if gzipped {
        read_contents(Contents { reader: MultiGzDecoder::new(reader), gzipped, position: 0 })
    } else {
        read_contents(Contents { reader, gzipped, position: 0 })
    }
}

fn read_contents(mut contents: Contents<impl Read>) -> Result<Idx, IdxFault> {
    let start = contents.take(4)?;
    if start.is_empty() {
        return Err(IdxFault::Empty);
    }
    // Known as soon as two bytes are, and more to the point than a missing header.
    if let &[a, b, ..] = start.as_slice()
        && [a, b] != [0, 0]
    {
        // The first four bytes of an IDX file, the other way round.
        let reversed = matches!(start[..], [1..=MAX_DIMS, code, 0, 0] if Element::from_code(code).is_some());
        return Err(match [a, b] {
            GZIP_MAGIC if contents.gzipped => IdxFault::GzipTwice,
            found if reversed => IdxFault::LittleEndian { found },
            found => IdxFault::NotIdx { found },
        });
    }
    let &[_, _, element_code, dim_count] = start.as_slice() else {
        return Err(IdxFault::HeaderCutShort { found: contents.position, expected: 4 });
    };
    let Some(element) = Element::from_code(element_code) else {
        return Err(IdxFault::ElementType { found: element_code });
    };
    if !(1..=MAX_DIMS).contains(&dim_count) {
        return Err(IdxFault::DimensionCount { found: dim_count });
    }

    let header_bytes = 4 + 4 * u64::from(dim_count);
    let dim_bytes = contents.take(header_bytes - 4)?;
    if contents.position < header_bytes {
        return Err(IdxFault::HeaderCutShort { found: contents.position, expected: header_bytes });
    }
    let dims: Vec<usize> = dim_bytes.as_chunks().0.iter().map(|&dim| u32::from_be_bytes(dim) as usize).collect();
    if let Some(zero) = dims.iter().position(|&dim| dim == 0) {
        return Err(IdxFault::ZeroDimension { dims, position: 4 + 4 * zero });
    }
    let all_bytes = |dims: &[usize]| {
        let data = dims.iter().try_fold(element.bytes() as u64, |product, &dim| product.checked_mul(dim as u64));
        data.and_then(|data| data.checked_add(header_bytes)).filter(|&all| all <= MAX_BYTES)
    };
    // Dimensions are small, so that the wrong order of bytes makes each of them large.
    let little_endian = dims.iter().zip(reversed(&dims)).all(|(&dim, reversed)| reversed > 0 && reversed < dim);
    let reversed_bytes = all_bytes(&reversed(&dims)).filter(|_| little_endian);
    let Some(expected) = all_bytes(&dims) else {
        if let Some(all) = reversed_bytes
            && contents.take(all - header_bytes + 1).is_ok()
            && contents.position == all
        {
            return Err(IdxFault::LittleEndianDimensions { dims });
        }
        return Err(IdxFault::TooLarge { dims, element_bytes: element.bytes() });
    };

    // One byte more than promised: it tells of bytes too many, and the decoder verifies its checksum on finding none.
    let mut data = contents.take(expected - header_bytes + 1)?;
    if contents.position < expected && reversed_bytes == Some(contents.position) {
        return Err(IdxFault::LittleEndianDimensions { dims });
    }
    if contents.position < expected {
        return Err(IdxFault::CutShort { dims, found: contents.position, expected });
    }
    if contents.position > expected {
        return Err(IdxFault::TooLong { dims, expected });
    }
    data.shrink_to_fit();
    let sha256 = hex(Sha256::new().chain_update(start).chain_update(dim_bytes).chain_update(&data));
    Ok(Idx { dims, values: element.decode(data), bytes: expected, sha256 })
}

/// The decompressed bytes of a file, and how many of them have been taken.
struct Contents<R> {
    reader: R,
    gzipped: bool,
    position: u64,
}

impl<R: Read> Contents<R> {
    /// The next `count` bytes, or all that are left. The buffer grows with what arrives, not with what is asked for.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, IdxFault> {
        let mut bytes = Vec::new();
        let outcome = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        self.position += bytes.len() as u64;
        match outcome {
            Ok(_) => Ok(bytes),
            Err(reason) if self.gzipped && is_damage(&reason) => {
                Err(IdxFault::Gzip { position: self.position, reason })
            }
            Err(reason) => Err(IdxFault::Io { reason }),
        }
    }
}

/// Whether the decoder complains of what it read, rather than the system of reading it.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}
