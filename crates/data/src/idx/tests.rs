//! Whole and broken IDX files.

use proptest::prelude::*;

use super::*;
use crate::testing::{Folder, file, gzip};

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
