//! The npy format of numpy: an array behind a header in Python's syntax.
//!
//! ```text
//! 93 4e 55 4d 50 59           the magic bytes, \x93NUMPY
//! major, minor                1.0, 2.0 or 3.0
//! length of the header        u16 in version 1, u32 after it; little-endian
//! header                      {'descr': '<u1', 'fortran_order': False, 'shape': (60000, 28, 28), }
//! then                        the elements, last dimension fastest (or first, where fortran_order says so)
//! ```
//! A header is a claim: nothing is allocated on its word, and every byte that it promises must be there, and no more.

use std::io::Read;

use super::Values;
use crate::idx::times;

/// The longest header; numpy's are 128 bytes.
const MOST_HEADER: u64 = 64 << 10;

/// An array as it was stored, in the order of C.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Npy {
    /// None of them 0.
    pub(crate) dims: Vec<usize>,
    kind: Kind,
    /// Bytes of an element.
    size: usize,
    big_endian: bool,
    data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
    /// UTF-32.
    Text,
    /// Bytes of text.
    Bytes,
}

/// Reads an array of at most `most_bytes`; what is wrong with it is a sentence without a subject.
pub(crate) fn read(mut reader: impl Read, most_bytes: u64) -> Result<Npy, String> {
    let mut take = |count: u64, what: &str| {
        let mut bytes = Vec::new();
        reader.by_ref().take(count).read_to_end(&mut bytes).map_err(|reason| format!("cannot be read: {reason}"))?;
        if (bytes.len() as u64) < count {
            return Err(format!("ends within {what}; copy or write the file again"));
        }
        Ok(bytes)
    };
    let start = take(8, "the magic bytes")?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(format!("begins with bytes {:02x} {:02x}, expected 93 4e; it is no npy file", start[0], start[1]));
    }
    let header_len = match start[6] {
        1 => take(2, "the header")?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        2 | 3 => take(4, "the header")?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        other => return Err(format!("is npy version {other}.{}, expected 1.0, 2.0 or 3.0", start[7])),
    };
    if header_len > MOST_HEADER {
        return Err(format!("says that its header has {header_len} bytes, expected at most {MOST_HEADER}"));
    }
    let header = String::from_utf8_lossy(&take(header_len, "the header")?).into_owned();
    let (kind, size, big_endian) = element(&header)?;
    let fortran = match field(&header, "fortran_order")? {
        value if value.starts_with("True") => true,
        value if value.starts_with("False") => false,
        _ => return Err(format!("has a header whose fortran_order is neither True nor False: {header:?}")),
    };
    let dims = dims(&header)?;
    let expected = dims.iter().try_fold(size as u64, |product, &dim| product.checked_mul(dim as u64));
    let expected = expected.filter(|&all| all <= most_bytes).ok_or_else(|| {
        format!("promises {} elements of {size} bytes, expected at most {most_bytes} bytes in all", times(&dims))
    })?;
    if expected == 0 {
        return Err(format!("is empty: its shape is {}", times(&dims)));
    }
    let mut data = Vec::new();
    // One byte more than promised tells of bytes too many, and lets an archive verify its checksum.
    reader.take(expected + 1).read_to_end(&mut data).map_err(|reason| format!("is damaged: {reason}"))?;
    if (data.len() as u64) < expected {
        let found = data.len();
        return Err(format!(
            "ends after {found} bytes of elements, its header promises {} ({expected} bytes); copy or write it again",
            times(&dims)
        ));
    }
    if data.len() as u64 > expected {
        return Err(format!("goes on after the {} elements that its header promises", times(&dims)));
    }
    if fortran {
        data = c_order(&data, &dims, size);
    }
    Ok(Npy { dims, kind, size, big_endian, data })
}

/// What follows a key of the header.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let after = header.find(&format!("'{key}'")).map(|at| header[at + key.len() + 2..].trim_start());
    let value = after.and_then(|after| after.strip_prefix(':')).map(str::trim_start);
    value.ok_or_else(|| format!("has a header that says no {key}: {header:?}"))
}

/// Kind, size and byte order of the elements.
fn element(header: &str) -> Result<(Kind, usize, bool), String> {
    let value = field(header, "descr")?;
    if value.starts_with('[') {
        return Err(
            "holds records of several fields, expected one number per element; save each field by itself".to_owned()
        );
    }
    let descr = value.strip_prefix('\'').and_then(|value| value.split('\'').next()).unwrap_or("");
    let mut chars = descr.chars();
    let order = chars.next().unwrap_or(' ');
    let kind = chars.next().unwrap_or(' ');
    if kind == 'O' || order == 'O' {
        return Err("holds Python objects (dtype object, a pickle), expected numbers; save it with dtype=numpy.uint8"
            .to_owned());
    }
    let size: usize = chars.as_str().parse().unwrap_or(0);
    let kind = match (kind, size) {
        ('b', 1) => Kind::Bool,
        ('u', 1 | 2 | 4 | 8) => Kind::Unsigned,
        ('i', 1 | 2 | 4 | 8) => Kind::Signed,
        ('f', 4 | 8) => Kind::Float,
        ('U', 1..=1000) => return Ok((Kind::Text, 4 * size, order == '>')),
        ('S', 1..=4000) => Kind::Bytes,
        _ => return Err(format!("has elements of type {descr:?}, expected integers, f4, f8, b1, U or S")),
    };
    if !"<>|=".contains(order) {
        return Err(format!("has elements of type {descr:?}, expected < or > before the type"));
    }
    Ok((kind, size, order == '>'))
}

fn dims(header: &str) -> Result<Vec<usize>, String> {
    let odd = || format!("has a header that says no shape of numbers: {header:?}");
    let value = field(header, "shape")?.strip_prefix('(').ok_or_else(odd)?;
    let inside = value.split(')').next().ok_or_else(odd)?;
    let dims = inside.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    // Python 2 wrote an L behind long numbers.
    dims.map(|dim| dim.trim_end_matches('L').parse().map_err(|_| odd())).collect()
}

/// Elements whose first dimension varies fastest, with the last one fastest.
fn c_order(data: &[u8], dims: &[usize], size: usize) -> Vec<u8> {
    let mut strides = Vec::with_capacity(dims.len());
    let mut stride = size;
    for &dim in dims {
        strides.push(stride);
        stride *= dim;
    }
    let mut result = Vec::with_capacity(data.len());
    let mut index = vec![0; dims.len()];
    let mut at = 0;
    while result.len() < data.len() {
        result.extend_from_slice(&data[at..at + size]);
        for d in (0..dims.len()).rev() {
            index[d] += 1;
            at += strides[d];
            if index[d] < dims[d] {
                break;
            }
            at -= strides[d] * dims[d];
            index[d] = 0;
        }
    }
    result
}

impl Npy {
    /// How many bytes the elements have.
    pub(crate) fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// The type of the elements, as numpy calls it.
    pub(crate) fn type_name(&self) -> String {
        let kind = match self.kind {
            Kind::Bool => return "bool".to_owned(),
            Kind::Unsigned => "uint",
            Kind::Signed => "int",
            Kind::Float => "float",
            Kind::Text | Kind::Bytes => return "text".to_owned(),
        };
        format!("{kind}{}", 8 * self.size)
    }

    /// The elements as brightnesses; none where they are text.
    pub(crate) fn into_values(self) -> Option<Values> {
        match self.kind {
            Kind::Unsigned | Kind::Bool if self.size == 1 => Some(Values::U8(self.data)),
            Kind::Text | Kind::Bytes => None,
            Kind::Float if self.size == 4 => {
                let from = if self.big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
                Some(Values::F32(self.data.as_chunks().0.iter().map(|&bytes| from(bytes)).collect()))
            }
            Kind::Float => Some(Values::F32(self.floats().map(|value| value as f32).collect())),
            Kind::Bool | Kind::Unsigned | Kind::Signed => {
                Some(Values::F32(self.integers().map(|value| value as f32).collect()))
            }
        }
    }

    /// The elements as names of classes; `None` for one that is none (a fraction).
    pub(crate) fn names(&self) -> Box<dyn Iterator<Item = Option<String>> + '_> {
        match self.kind {
            Kind::Bool | Kind::Unsigned | Kind::Signed => {
                Box::new(self.integers().map(|value| Some(value.to_string())))
            }
            Kind::Float => Box::new(self.floats().map(|value| {
                let whole = value.fract() == 0.0 && value.abs() < 1e15;
                whole.then(|| (value as i64).to_string())
            })),
            Kind::Text => Box::new(self.data.chunks_exact(self.size).map(|text| {
                let from = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
                let codes = text.as_chunks().0.iter().map(|&bytes| from(bytes)).take_while(|&code| code != 0);
                codes.map(char::from_u32).collect()
            })),
            Kind::Bytes => Box::new(self.data.chunks_exact(self.size).map(|text| {
                let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                std::str::from_utf8(&text[..end]).ok().map(str::to_owned)
            })),
        }
    }

    fn floats(&self) -> impl Iterator<Item = f64> {
        self.data.chunks_exact(self.size).map(|bytes| {
            let bits = self.bits(bytes);
            if self.size == 4 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) }
        })
    }

    fn integers(&self) -> impl Iterator<Item = i128> {
        self.data.chunks_exact(self.size).map(|bytes| {
            let bits = self.bits(bytes);
            // The sign bit moves to the top and comes back with its copies.
            let shift = 64 - 8 * self.size;
            if self.kind == Kind::Signed { i128::from(((bits << shift) as i64) >> shift) } else { i128::from(bits) }
        })
    }

    /// Up to eight bytes as a number.
    fn bits(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}
