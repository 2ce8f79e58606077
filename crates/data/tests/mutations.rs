//! Damaged files of every format, some thousands, always the same ones: none may panic, or take memory without bound.
//!
//! What a fuzzer does for hours (`scripts/check-fuzz`), in seconds and on every machine.

use std::alloc::System;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tenfold_data::rng::{Rng, Stream};
use tenfold_data::{Options, read};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often each file is damaged.
const TIMES: u64 = 120;

/// What reading one data set may ask for in all: a picture of 64 million pixels, which a header of a few bytes may
/// promise, in the decoder's samples and in ours.
const MOST_ALLOCATED: usize = 2 << 30;

/// A folder, gone when the test is.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A data set on the disk: its files, the one of them that is damaged, and what is read.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    /// Number of the damaged one.
    damaged: usize,
    /// Below the folder; itself where it is empty.
    read: &'static str,
}

/// Numbers that follow from a seed.
struct Draws(Rng, u64);

impl Draws {
    /// One of `0..n`.
    fn below(&mut self, n: usize) -> usize {
        self.1 += 1;
        (self.0.u64_at(self.1) % n.max(1) as u64) as usize
    }

    /// A place in `bytes`, more often than not near their beginning, where headers are.
    fn place(&mut self, bytes: &[u8]) -> usize {
        let near = self.below(5) < 3;
        self.below(if near { bytes.len().min(64) } else { bytes.len() })
    }
}

/// Damages a file in one to three ways.
fn damage(bytes: &mut Vec<u8>, draws: &mut Draws) {
    for _ in 0..=draws.below(3) {
        let (at, len) = (draws.place(bytes), draws.below(24) + 1);
        let end = (at + len).min(bytes.len());
        match draws.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << draws.below(8),
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'9'][draws.below(6)],
            // A length that lies.
            3 => {
                let value = [0_u32, 1, 0xffff, 0x0001_0000, 0x00ff_ffff, 0x7fff_ffff, 0xffff_ffff][draws.below(7)];
                let field = if draws.below(2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                bytes[at..].iter_mut().zip(field).for_each(|(byte, new)| *byte = new);
            }
            4 => bytes.truncate(draws.place(bytes)),
            5 => drop(bytes.drain(at.min(end)..end)),
            6 => {
                let again = bytes[at.min(end)..end].to_vec();
                let into = draws.place(bytes);
                bytes.splice(into..into, again);
            }
            _ => {
                let other = draws.place(bytes);
                let len = len.min(at.abs_diff(other)).min(bytes.len() - at.max(other).min(bytes.len()));
                (0..len).for_each(|n| bytes.swap(at + n, other + n));
            }
        }
    }
}

/// Exchanges two chunks of a PNG file now and then, and mostly gives every chunk the checksum of what it holds, so that
/// damage gets beyond it.
fn mend_png(bytes: &mut Vec<u8>, draws: &mut Draws) {
    const START: usize = 8;
    let mut chunks = Vec::new();
    let mut at = START;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let end = at.saturating_add(length).saturating_add(12);
        let Some(chunk) = bytes.get(at..end) else { break };
        let mut chunk = chunk.to_vec();
        let mut crc = Crc::new();
        crc.update(&chunk[4..length + 8]);
        chunk[length + 8..].copy_from_slice(&crc.sum().to_be_bytes());
        chunks.push(chunk);
        at = end;
    }
    if draws.below(4) == 0 || chunks.is_empty() {
        return;
    }
    if draws.below(4) == 0 {
        let (a, b) = (draws.below(chunks.len()), draws.below(chunks.len()));
        chunks.swap(a, b);
    }
    let rest = bytes.split_off(at);
    bytes.truncate(START);
    bytes.extend(chunks.into_iter().flatten().chain(rest));
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Pixels that change slowly, as in pictures.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 / 5) as u8).collect()
}

fn pictures() -> Vec<Case> {
    let grey = || GrayImage::from_raw(9, 8, pixels(72)).unwrap();
    let rgb = || RgbImage::from_raw(9, 8, pixels(216)).unwrap();
    let rgba = || RgbaImage::from_raw(9, 8, pixels(288)).unwrap();
    let deep = || DynamicImage::from(grey()).into_luma16();
    let kinds = [
        ("grey PNG", encoded(grey(), ImageFormat::Png)),
        ("PNG with alpha", encoded(rgba(), ImageFormat::Png)),
        ("PNG of 16 bits", encoded(DynamicImage::from(deep()), ImageFormat::Png)),
        ("JPEG", encoded(rgb(), ImageFormat::Jpeg)),
        ("grey JPEG", encoded(grey(), ImageFormat::Jpeg)),
        ("BMP", encoded(rgb(), ImageFormat::Bmp)),
        ("grey BMP", encoded(grey(), ImageFormat::Bmp)),
        ("PPM", encoded(rgb(), ImageFormat::Pnm)),
        ("PGM in digits", b"P2 # text\n3 2 9\n0 1 2 3 4 9\n".to_vec()),
        ("GIF", encoded(rgba(), ImageFormat::Gif)),
    ];
    let good = |level| [&b"P5 4 4 255\n"[..], &[level; 16]].concat();
    let case = |(name, damaged)| Case {
        name,
        files: vec![("b/3", damaged), ("a/1", good(1)), ("a/2", good(2)), ("b/1", good(3)), ("b/2", good(4))],
        damaged: 0,
        read: "",
    };
    kinds.into_iter().map(case).collect()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let start = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()].concat();
    [&start, header.as_bytes(), data].concat()
}

fn npz(method: CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (entry, contents) in [
        (
            "x_train.npy",
            npy("<f4", "(4, 3, 2)", &(0..24_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect::<Vec<_>>()),
        ),
        ("y_train.npy", npy("|u1", "(4, 1)", &[0, 1, 2, 1])),
        ("x_test.npy", npy("<f4", "(1, 3, 2)", &[0; 24])),
        ("y_test.npy", npy("|u1", "(1, 1)", &[0])),
    ] {
        archive.start_file(entry, options).unwrap();
        archive.write_all(&contents).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn arrays() -> Vec<Case> {
    let alone = |name, file, bytes| Case { name, files: vec![(file, bytes)], damaged: 0, read: file };
    let classes = |name, damaged| Case {
        name,
        files: vec![("a.npy", damaged), ("b.npy", npy("|u1", "(2, 4)", &pixels(8)))],
        damaged: 0,
        read: "",
    };
    let mut fortran = npy("<i2", "(3, 2, 2)", &[[9, 0]; 12].concat());
    let at = fortran.windows(5).position(|word| word == b"False").unwrap();
    fortran[at..at + 5].copy_from_slice(b"True ");
    vec![
        alone("npz, stored", "a.npz", npz(CompressionMethod::Stored)),
        alone("npz, deflated", "a.npz", npz(CompressionMethod::Deflated)),
        classes("npy of bytes", npy("|u1", "(3, 4)", &pixels(12))),
        classes("npy of f8", npy(">f8", "(3, 2, 2)", &[0; 96])),
        classes("npy in Fortran's order", fortran),
    ]
}

fn tables() -> Vec<Case> {
    let table = |name, text: &str| Case {
        name,
        files: vec![
            ("all.csv", text.as_bytes().to_vec()),
            ("a.pgm", b"P5 1 1 255\n7".to_vec()),
            ("b.pgm", b"P5 1 1 255\n8".to_vec()),
        ],
        damaged: 0,
        read: "all.csv",
    };
    let header: String = (0..16).map(|n| format!(",pixel{n}")).collect();
    let row = |level: usize| (0..16).map(|n| (level * n).to_string()).collect::<Vec<_>>();
    let pixels = format!("label{header}\n1,{}\n0,{}\n1,{}\n", row(3).join(","), row(17).join(","), row(5).join(","));
    let bare = format!("{};a\n{};b\n", row(3).join(";"), row(2).join(";"));
    let one = format!("emotion,pixels,Usage\n1,{},Training\n0,{},Training\n", row(3).join(" "), row(2).join(" "));
    vec![
        table("CSV of pixels", &pixels),
        table("CSV of pixels without a header", &bare),
        table("CSV of pixels in one field", &one),
        table("CSV of paths", "path,label,split,group\na.pgm,x,train,g1\nb.pgm,\"y\",train,g2\na.pgm,x,test,g3\n"),
    ]
}

fn bytes() -> Vec<Case> {
    let images = [&[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3][..], &pixels(24)].concat();
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1];
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&images).unwrap();
    let idx = |name, images: Vec<u8>, damaged| Case {
        name,
        files: vec![
            ("train-images-idx3-ubyte", images),
            ("train-labels-idx1-ubyte", labels.clone()),
            ("classes.txt", b"0 one\n1 two\n".to_vec()),
        ],
        damaged,
        read: "",
    };
    let records = |labels: &[u8], of: usize| -> Vec<u8> {
        labels.chunks(of).flat_map(|labels| [labels, &pixels(3072)].concat()).collect()
    };
    let hundred: String = (0..100).map(|n| format!("class {n}\n")).collect();
    let cifar = |name, list, names: &str, file, records, damaged| Case {
        name,
        files: vec![(list, names.as_bytes().to_vec()), (file, records)],
        damaged,
        read: "",
    };
    let ten = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
    vec![
        idx("IDX images", images.clone(), 0),
        idx("IDX images in gzip", gz.finish().unwrap(), 0),
        idx("IDX labels", images.clone(), 1),
        idx("names of IDX classes", images, 2),
        cifar("CIFAR-10", "batches.meta.txt", ten, "data_batch_1.bin", records(&[0, 1, 9], 1), 1),
        cifar("names of CIFAR-10", "batches.meta.txt", ten, "data_batch_1.bin", records(&[0, 1], 1), 0),
        cifar("CIFAR-100", "fine_label_names.txt", &hundred, "train.bin", records(&[0, 99, 1, 3], 2), 1),
    ]
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The only test of its process: another would allocate at the same time.
#[test]
fn no_damage_makes_a_reader_panic_or_take_memory_without_bound() {
    let cases: Vec<Case> = [pictures(), arrays(), tables(), bytes()].into_iter().flatten().collect();
    let [mut good, mut bad] = [0_u64; 2];
    for (number, case) in cases.into_iter().enumerate() {
        let folder = Folder(std::env::temp_dir().join(format!("tenfold-mutations-{}-{number}", std::process::id())));
        case.files.iter().for_each(|(name, bytes)| write(&folder.0, name, bytes));
        let path = folder.0.join(case.read);
        let whole = read(&path, &Options::default());
        assert!(whole.as_ref().is_ok_and(|collection| collection.unreadable.is_empty()), "{}: {whole:?}", case.name);
        let (file, original) = &case.files[case.damaged];
        let mut draws = Draws(Rng::new(number as u64, Stream::Split, 0), 0);
        for time in 0..TIMES {
            let mut bytes = original.clone();
            damage(&mut bytes, &mut draws);
            if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
                mend_png(&mut bytes, &mut draws);
            }
            write(&folder.0, file, &bytes);
            let before = Region::new(COUNTING);
            let result = std::panic::catch_unwind(|| read(&path, &Options::default()));
            let allocated = before.change().bytes_allocated;
            let shown = format!("{}, number {time}: {bytes:02x?}", case.name);
            assert!(allocated <= MOST_ALLOCATED, "{allocated} bytes for {shown}");
            match result {
                Ok(Ok(_)) => good += 1,
                Ok(Err(error)) => {
                    assert!(!error.to_string().is_empty(), "{shown}");
                    bad += 1;
                }
                Err(_) => panic!("panics: {shown}"),
            }
        }
    }
    // Damage that is always refused at the door, or never, would show nothing.
    assert!(good > bad / 10 && bad > good / 10, "{good} read, {bad} refused");
}
