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

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::hex;

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

/// Reads an IDX file, gzip-compressed or not, whatever its name.
///
/// Refuses what is not a regular file: a pipe or a device may never end.
///
/// # Errors
/// If the file cannot be opened or read, or is no whole IDX file of numbers; the text names the file.
pub fn read_file(path: &Path) -> Result<Idx, IdxError> {
    open(path).and_then(read_sniffed).map_err(|fault| IdxError { name: path.display().to_string(), fault })
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

/// Dimensions as people write them: `60000x28x28`.
pub(super) fn times(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Dimensions as they are with their four bytes the other way round.
fn reversed(dims: &[usize]) -> Vec<usize> {
    dims.iter().map(|&dim| (dim as u32).swap_bytes() as usize).collect()
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

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    /// An IDX file with this header, true or not.
    pub(in crate::data) fn file(element_code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let dims_be = dims.iter().flat_map(|dim| dim.to_be_bytes());
        [0, 0, element_code, dims.len() as u8].into_iter().chain(dims_be).chain(data.iter().copied()).collect()
    }

    pub(in crate::data) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A folder for one test, gone when the test is.
    pub(in crate::data) struct Folder(pub(in crate::data) PathBuf);

    impl Folder {
        pub(in crate::data) fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tenfold-{}-{test}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(in crate::data) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
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

    #[track_caller]
    fn refusal(bytes: &[u8]) -> String {
        read(bytes, "x").expect_err("the file is bad").to_string()
    }

    /// The file that holds what was read; `read` undone.
    fn write(idx: &Idx) -> Vec<u8> {
        let (code, data): (u8, Vec<u8>) = match &idx.values {
            IdxValues::U8(values) => (0x08, values.clone()),
            IdxValues::I8(values) => (0x09, values.iter().flat_map(|v| v.to_be_bytes()).collect()),
            IdxValues::I16(values) => (0x0b, values.iter().flat_map(|v| v.to_be_bytes()).collect()),
            IdxValues::I32(values) => (0x0c, values.iter().flat_map(|v| v.to_be_bytes()).collect()),
            IdxValues::F32(values) => (0x0d, values.iter().flat_map(|v| v.to_be_bytes()).collect()),
            IdxValues::F64(values) => (0x0e, values.iter().flat_map(|v| v.to_be_bytes()).collect()),
        };
        let dims: Vec<u32> = idx.dims.iter().map(|&dim| dim as u32).collect();
        file(code, &dims, &data)
    }

    #[test]
    fn all_element_types_are_read() {
        let cases: [(u8, &[u8], IdxValues); 6] = [
            (0x08, &[1, 255], IdxValues::U8(vec![1, 255])),
            (0x09, &[1, 255], IdxValues::I8(vec![1, -1])),
            (0x0b, &[1, 2, 0xff, 0xfe], IdxValues::I16(vec![258, -2])),
            (0x0c, &[0, 1, 2, 3, 0xff, 0xff, 0xff, 0xfd], IdxValues::I32(vec![66051, -3])),
            (0x0d, &[0x3f, 0xc0, 0, 0, 0xff, 0x80, 0, 0], IdxValues::F32(vec![1.5, f32::NEG_INFINITY])),
            (0x0e, &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0], IdxValues::F64(vec![1.5, -2.0])),
        ];
        for (code, data, values) in cases {
            let bytes = file(code, &[2], data);
            let idx = read(bytes.as_slice(), "x").unwrap();
            assert_eq!((&idx.dims, &idx.values), (&vec![2], &values), "type {code:02x}");
            assert_eq!(write(&idx), bytes, "type {code:02x}");
            assert_eq!(read(gzip(&bytes).as_slice(), "x").unwrap(), idx, "type {code:02x}, compressed");
        }
    }

    #[test]
    fn one_to_four_dimensions_are_read() {
        for dims in [&[24u32] as &[u32], &[4, 6], &[2, 3, 4], &[1, 2, 3, 4]] {
            let idx = read(file(8, dims, &[7; 24]).as_slice(), "x").unwrap();
            assert!(idx.dims.iter().map(|&dim| dim as u32).eq(dims.iter().copied()), "{dims:?}");
            assert_eq!(idx.values.len(), 24, "{dims:?}");
        }
    }

    #[test]
    fn contents_are_fingerprinted_however_compressed() {
        let bytes = file(8, &[3], b"abc");
        let plain = read(bytes.as_slice(), "x").unwrap();
        assert_eq!(plain.bytes, 11);
        assert_eq!(plain.sha256, "379a7afbfd9f0de0a36184463dd209c260f4582821ea2e5e4c40c7eb713dbda2");
        let members = [gzip(&bytes[..2]), gzip(&bytes[2..9]), gzip(&[]), gzip(&bytes[9..])].concat();
        assert_eq!(read(members.as_slice(), "x").unwrap(), plain);
    }

    #[test]
    fn bad_headers_are_refused() {
        assert_eq!(refusal(&[]), "x: is empty, expected an IDX header");
        assert_eq!(refusal(&gzip(&[])), "x: is empty, expected an IDX header");
        let cut = "within the IDX header of 4 bytes; copy or download the file again";
        assert_eq!(refusal(&[0]), format!("x: ends at byte 1, {cut}"));
        assert_eq!(refusal(&[0, 0, 8]), format!("x: ends at byte 3, {cut}"));
        assert_eq!(refusal(b"PK\x03\x04"), "x: begins with bytes 50 4b, expected 00 00; it is not an IDX file");
        assert_eq!(refusal(b"PK"), "x: begins with bytes 50 4b, expected 00 00; it is not an IDX file");
        let compressed_twice = gzip(&gzip(&file(8, &[1], &[1])));
        assert_eq!(
            refusal(&compressed_twice),
            "x: is compressed twice: there is gzip data in its gzip data; decompress it once, with gzip -d"
        );
        let element = "expected 08, 09, 0b, 0c, 0d or 0e";
        assert_eq!(refusal(&file(0x0a, &[1], &[1])), format!("x: byte 2, the element type, is 0a, {element}"));
        for dims in [0, 5, 255] {
            let message = format!("x: byte 3, the number of dimensions, is {dims}, expected 1 to 4");
            assert_eq!(refusal(&[0, 0, 8, dims, 0, 0, 0, 1]), message);
        }
        assert_eq!(
            refusal(&file(8, &[1, 1], &[1])[..10]),
            "x: ends at byte 10, within the IDX header of 12 bytes; copy or download the file again"
        );
        assert_eq!(
            refusal(&file(8, &[5, 0, 3], &[])),
            "x: the dimension at byte 8 is 0 (the header says 5x0x3), expected at least 1"
        );
    }

    #[test]
    fn little_endian_files_are_recognised() {
        let little = |dims: &[u32], data: &[u8]| {
            let dims: Vec<u32> = dims.iter().map(|dim| dim.swap_bytes()).collect();
            file(8, &dims, data)
        };
        let anew = "expected big-endian; write the file anew with big-endian numbers";
        for (dims, promised) in [(&[3u32] as &[u32], "50331648"), (&[2, 2, 2], "33554432x33554432x33554432")] {
            let data = vec![7; dims.iter().product::<u32>() as usize];
            let dims_text = times(&dims.iter().map(|&dim| dim as usize).collect::<Vec<_>>());
            assert_eq!(
                refusal(&little(dims, &data)),
                format!(
                    "x: its dimensions are little-endian (the header promises {promised} elements, and {dims_text} with \
                     the bytes of each dimension reversed), {anew}"
                )
            );
        }
        let mut all = little(&[3], &[7; 3]);
        all[..4].reverse();
        assert_eq!(refusal(&all), format!("x: its numbers are little-endian (it begins with 01 08 00 00), {anew}"));
        // Large dimensions alone are no sign of it.
        assert!(refusal(&file(8, &[50_331_648], &[7; 4])).contains("ends at byte 12, the header promises 50331648"));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let image = |n, data: &[u8]| file(8, &[n, 2, 2], data);
        let promise = "the header promises 2x2x2 elements (24 bytes)";
        let message = format!("x: ends at byte 23, {promise}; copy or download the file again");
        assert_eq!(refusal(&image(2, &[9; 7])), message);
        assert_eq!(refusal(&gzip(&image(2, &[9; 7]))), message);
        let message = "x: goes on after byte 24, where the 2x2x2 elements end that the header promises";
        assert_eq!(refusal(&image(2, &[9; 9])), message);
        assert_eq!(refusal(&gzip(&image(2, &[9; 9]))), message);
        assert_eq!(refusal(&[gzip(&image(2, &[9; 8])), gzip(&[9])].concat()), message);
    }

    #[test]
    fn lying_headers_are_refused_before_memory_is_taken() {
        let max = u32::MAX;
        assert_eq!(
            refusal(&file(0x0e, &[max, max, max, max], &[])),
            "x: the header promises 4294967295x4294967295x4294967295x4294967295 elements of 8 bytes, expected at most \
             4294967296 bytes in all"
        );
        // The product overflows u64 to something small.
        assert!(refusal(&file(8, &[1 << 31, 1 << 31, 4], &[])).contains("expected at most 4294967296 bytes"));
        // With the header, 8 bytes over the limit; and just within it.
        assert!(refusal(&file(0x0c, &[1 << 30], &[])).contains("expected at most 4294967296 bytes"));
        assert_eq!(
            refusal(&file(0x0c, &[(1 << 30) - 2], &[1; 5])),
            "x: ends at byte 13, the header promises 1073741822 elements (4294967296 bytes); copy or download the file \
             again"
        );
    }

    #[test]
    fn endless_files_are_left_after_the_promised_bytes() {
        let start = file(8, &[1000], &[]);
        let message = "x: goes on after byte 1008, where the 1000 elements end that the header promises";
        assert_eq!(read(start.as_slice().chain(io::repeat(0)), "x").unwrap_err().to_string(), message);

        /// The same gzip member for ever.
        struct Bomb(Vec<u8>, usize);
        impl Read for Bomb {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.0[self.1..].as_ref().read(buffer)?;
                self.1 = (self.1 + count) % self.0.len();
                Ok(count)
            }
        }
        let bomb = Bomb(gzip(&[0; 1 << 20]), 0);
        assert_eq!(read(io::Cursor::new(gzip(&start)).chain(bomb), "x").unwrap_err().to_string(), message);
    }

    #[test]
    fn gzip_data_cut_short_anywhere_is_refused() {
        let compressed = gzip(&file(8, &[4, 5], b"abcdefghijklmnopqrst"));
        assert!(read(compressed.as_slice(), "x").is_ok());
        for end in 0..compressed.len() {
            let message = refusal(&compressed[..end]);
            match end {
                0 => assert!(message.contains("is empty"), "{end}: {message}"),
                1 => assert!(message.contains("ends at byte 1, within"), "{end}: {message}"),
                _ => assert!(message.contains("gzip data is damaged or cut short after"), "{end}: {message}"),
            }
        }
    }

    #[test]
    fn damaged_gzip_data_is_refused() {
        let whole = gzip(&file(8, &[20], b"abcdefghijklmnopqrst"));
        let damaged = |from_end: usize| {
            let mut bytes = whole.clone();
            let at = bytes.len() - from_end;
            bytes[at] ^= 1;
            refusal(&bytes)
        };
        let remedy = "copy or download the file again";
        for (what, message) in [("checksum", damaged(8)), ("size", damaged(4))] {
            let expected = "x: the gzip data is damaged or cut short after 28 bytes of contents (";
            assert!(message.starts_with(expected) && message.ends_with(remedy), "{what}: {message}");
        }
        let message = refusal(&[whole.as_slice(), b"junk"].concat());
        assert!(message.starts_with("x: the gzip data is damaged") && message.ends_with(remedy), "{message}");
    }

    #[test]
    fn failing_readers_are_reported() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        for start in [vec![], file(8, &[1], &[]), gzip(&[0; 100])[..20].to_vec()] {
            let error = read(start.as_slice().chain(Failing), "x").unwrap_err();
            assert_eq!(error.to_string(), "x: cannot be read: the disk is gone");
        }
    }

    #[test]
    fn files_are_read_and_what_is_no_file_is_refused() {
        let folder = Folder::new("idx-files");
        let path = folder.write("a", &file(8, &[2], &[3, 4]));
        assert_eq!(read_file(&path).unwrap().values, IdxValues::U8(vec![3, 4]));

        let missing = folder.0.join("b");
        let message = read_file(&missing).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: cannot be read: ", missing.display())), "{message}");
        let message = read_file(&folder.0).unwrap_err().to_string();
        assert_eq!(message, format!("{}: is a folder, expected a regular file", folder.0.display()));
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_without_waiting() {
        let folder = Folder::new("idx-pipes");
        let pipe = folder.0.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero")] {
            let message = read_file(path).unwrap_err().to_string();
            let expected = format!("{}: is a pipe, socket or device, expected a regular file", path.display());
            assert_eq!(message, expected);
        }
    }

    /// What must hold of every file that is read, whatever its bytes.
    fn assert_consistent(idx: &Idx) {
        assert_eq!(idx.values.len(), idx.dims.iter().product::<usize>());
        assert!((1..=4).contains(&idx.dims.len()) && !idx.values.is_empty());
        assert_eq!(idx.bytes, write(idx).len() as u64);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(idx) = read(bytes.as_slice(), "x") {
                assert_consistent(&idx);
            }
        }

        #[test]
        fn any_small_header_is_read_or_refused(
            code in 7u8..16,
            dims in prop::collection::vec(0u32..4, 0..6),
            data in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = file(code, &dims, &data);
            if let Ok(idx) = read(bytes.as_slice(), "x") {
                assert_consistent(&idx);
                prop_assert_eq!(write(&idx), bytes);
            }
        }

        #[test]
        fn a_changed_file_is_read_as_it_is_or_refused(
            changes in prop::collection::vec((0usize..32, any::<u8>()), 1..4),
            length in 0usize..40,
        ) {
            let mut bytes = file(0x0b, &[2, 3], &[5; 12]);
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.resize(length.max(1), 7);
            if let Ok(idx) = read(bytes.as_slice(), "x") {
                assert_consistent(&idx);
                // Compared as bytes, because a NaN does not equal itself.
                prop_assert_eq!(write(&idx), bytes);
            }
        }

        #[test]
        fn a_changed_compressed_file_is_read_the_same_or_refused(at: prop::sample::Index, byte: u8) {
            let whole = gzip(&file(8, &[4, 5], b"abcdefghijklmnopqrst"));
            let mut changed = whole.clone();
            // From the third byte on, or it would no longer be gzip.
            let at = 2 + at.index(whole.len() - 2);
            changed[at] = byte;
            if let Ok(idx) = read(changed.as_slice(), "x") {
                prop_assert_eq!(idx, read(whole.as_slice(), "x").unwrap());
            }
        }
    }
}
