//! Protobuf's wire format, as much of it as ONNX needs: whole numbers are varints, others four bytes, everything else is
//! its length and its bytes, and each field begins with its number and which of the three it is.

/// A message while it is written, field by field in the order of their numbers, which is the order of other writers.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
}

/// The three wire types.
const VARINT: u64 = 0;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    /// An empty message that takes this many bytes without being moved.
    pub(super) fn with_capacity(bytes: usize) -> Message {
        Message { bytes: Vec::with_capacity(bytes) }
    }

    /// An `int64`, `int32` or `enum`.
    pub(super) fn int(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value.cast_unsigned());
    }

    /// A `float`.
    pub(super) fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | FIXED32);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A `string`.
    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.varint(field << 3 | BYTES);
        self.varint(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    /// `bytes` that are f32 numbers.
    pub(super) fn floats(&mut self, field: u64, values: &[f32]) {
        self.varint(field << 3 | BYTES);
        self.varint(size_of_val(values) as u64);
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// A message within this one, whose fields `write` gives.
    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Message)) {
        self.varint(field << 3 | BYTES);
        let start = self.bytes.len();
        write(self);
        // The length stands before what it measures and is known only now. Moving the bytes once for each level is
        // less than keeping them twice.
        let end = self.bytes.len();
        self.varint((end - start) as u64);
        let length = self.bytes.len() - end;
        self.bytes[start..].rotate_right(length);
    }

    /// Seven bits a byte, the low ones first; all bytes but the last have the high bit set.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of <https://protobuf.dev/programming-guides/encoding>, and lengths of two bytes.
    #[test]
    fn bytes_are_those_of_the_specification() {
        let written = |write: &dyn Fn(&mut Message)| {
            let mut message = Message::with_capacity(0);
            write(&mut message);
            message.bytes
        };
        assert_eq!(written(&|m| m.int(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(&|m| m.text(2, "testing")), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        assert_eq!(written(&|m| m.message(3, |m| m.int(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(written(&|m| m.int(1, -2)), minus_two);
        // Field 20 has two bytes.
        assert_eq!(written(&|m| m.int(20, 7)), [0xa0, 0x01, 0x07]);
        assert_eq!(written(&|m| m.floats(9, &[1.0, -2.0])), [0x4a, 0x08, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let long = written(&|m| m.message(7, |m| m.text(2, &"x".repeat(300))));
        assert_eq!(long[..7], [0x3a, 0xaf, 0x02, 0x12, 0xac, 0x02, b'x']);
        assert_eq!(long.len(), 306);
        assert_eq!(written(&|m| m.message(1, |_| ())), [0x0a, 0x00]);
    }
}
