//! Numbers that are read one after the other.

use crate::arrays::Values;

/// The number that a field holds; most are whole and small.
pub(super) fn number(field: &[u8]) -> Option<f32> {
    if (1..=3).contains(&field.len()) && field.iter().all(u8::is_ascii_digit) {
        return Some(field.iter().fold(0.0, |number, digit| 10.0 * number + f32::from(digit - b'0')));
    }
    std::str::from_utf8(field).ok()?.parse().ok().filter(|value: &f32| value.is_finite())
}

/// Numbers as bytes for as long as all of them are.
pub(super) enum Growing {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Default for Growing {
    fn default() -> Growing {
        Growing::Bytes(Vec::new())
    }
}

impl Growing {
    pub(super) fn push(&mut self, value: f32) {
        match self {
            Growing::Bytes(bytes) if value.fract() == 0.0 && (0.0..=255.0).contains(&value) => bytes.push(value as u8),
            Growing::Bytes(bytes) => {
                let floats = bytes.iter().map(|&byte| f32::from(byte)).chain([value]).collect();
                *self = Growing::Floats(floats);
            }
            Growing::Floats(floats) => floats.push(value),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Growing::Bytes(bytes) => bytes.len() as u64,
            Growing::Floats(floats) => 4 * floats.len() as u64,
        }
    }

    pub(super) fn column(&self, column: usize, width: usize) -> Box<dyn Iterator<Item = f32> + '_> {
        match self {
            Growing::Bytes(bytes) => Box::new(bytes.iter().skip(column).step_by(width).map(|&byte| f32::from(byte))),
            Growing::Floats(floats) => Box::new(floats.iter().skip(column).step_by(width).copied()),
        }
    }

    /// Removes a column.
    pub(super) fn take_column(&mut self, column: usize, width: usize) -> std::vec::IntoIter<f32> {
        let taken: Vec<f32> = self.column(column, width).collect();
        let mut n = 0;
        let mut keep = || {
            n += 1;
            (n - 1) % width != column
        };
        match self {
            Growing::Bytes(bytes) => bytes.retain(|_| keep()),
            Growing::Floats(floats) => floats.retain(|_| keep()),
        }
        taken.into_iter()
    }

    pub(super) fn into_values(self) -> Values {
        match self {
            Growing::Bytes(bytes) => Values::U8(bytes),
            Growing::Floats(floats) => Values::F32(floats),
        }
    }
}
