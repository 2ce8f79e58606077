//! Pictures of all kinds, whole and broken.

use std::fs;
use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::decode::{Wanted, decode, head};
use super::*;
use crate::testing::Folder;

const WANTED: Wanted = Wanted { deep: false, channels: None, background: Background::White };

/// A PNG file of these chunks.
fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks.iter().chain(&[(b"IEND", &[][..])]) {
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(*kind);
        bytes.extend(*data);
        let mut crc = Crc::new();
        crc.update(*kind);
        crc.update(data);
        bytes.extend(crc.sum().to_be_bytes());
    }
    bytes
}

fn header(width: u32, height: u32, depth: u8, color: u8, interlaced: u8) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, interlaced]].concat()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn decoded(folder: &Folder, bytes: &[u8], wanted: Wanted) -> Picture {
    let path = folder.write("picture", bytes);
    head(&path).unwrap();
    decode(&path, wanted).unwrap().0
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn png_of_every_kind_is_decoded() {
    let folder = Folder::new("pictures-png");
    let of = |bytes: &[u8]| {
        let picture = decoded(&folder, bytes, WANTED);
        (picture.width, picture.height, picture.channels, picture.samples)
    };
    // Two pixels of one bit: white, black.
    let bits = png(&[(b"IHDR", &header(2, 1, 1, 0, 0)), (b"IDAT", &zlib(&[0, 0b1000_0000]))]);
    assert_eq!(of(&bits), (2, 1, 1, vec![255, 0]));
    // A palette of red and a blue that is half transparent.
    let palette = png(&[
        (b"IHDR", &header(2, 1, 8, 3, 0)),
        (b"PLTE", &[255, 0, 0, 0, 0, 255]),
        (b"tRNS", &[255, 128]),
        (b"IDAT", &zlib(&[0, 0, 1])),
    ]);
    assert_eq!(of(&palette), (2, 1, 3, vec![255, 127, 0, 127, 0, 255]));
    let on_black = decoded(&folder, &palette, Wanted { background: Background::Black, ..WANTED });
    assert_eq!(on_black.samples, [255, 0, 0, 0, 0, 128]);
    // Adam7 of 3 by 3: pass 1 has (0, 0); 5, of row 2, (0, 2); 6 the odd columns of even rows; 7 the odd rows. What
    // is named by column and row is 10 * row + column; each line of each pass begins with a filter.
    let passes = [&[0, 0][..], &[0, 2], &[0, 20, 22], &[0, 1], &[0, 21], &[0, 10, 11, 12]].concat();
    let interlaced = png(&[(b"IHDR", &header(3, 3, 8, 0, 1)), (b"IDAT", &zlib(&passes))]);
    assert_eq!(of(&interlaced), (3, 3, 1, vec![0, 1, 2, 10, 11, 12, 20, 21, 22]));
    let grey_alpha = png(&[(b"IHDR", &header(2, 1, 8, 4, 0)), (b"IDAT", &zlib(&[0, 7, 255, 7, 0]))]);
    assert_eq!(of(&grey_alpha), (2, 1, 1, vec![7, 255]));
    let deep = png(&[(b"IHDR", &header(1, 1, 16, 0, 0)), (b"IDAT", &zlib(&[0, 0x12, 0x34]))]);
    assert_eq!(decoded(&folder, &deep, Wanted { deep: true, ..WANTED }).samples, [0x1234]);
    // Beside pictures of 16 bits, one of 8 bits is spread over them.
    assert_eq!(decoded(&folder, &grey_alpha, Wanted { deep: true, ..WANTED }).samples, [7 * 257, 65535]);
}

#[test]
fn other_formats_are_told_by_their_contents() {
    let folder = Folder::new("pictures-formats");
    let image = RgbImage::from_fn(16, 8, |x, y| Rgb([16 * x as u8, 30 * y as u8, 128]));
    let planes: Vec<u16> =
        (0..3).flat_map(|c| image.pixels().map(move |pixel| u16::from(pixel.0[c])).collect::<Vec<_>>()).collect();
    for (format, exact) in [(ImageFormat::Bmp, true), (ImageFormat::Pnm, true), (ImageFormat::Jpeg, false)] {
        let picture = decoded(&folder, &encoded(image.clone(), format), WANTED);
        assert_eq!((picture.width, picture.height, picture.channels), (16, 8, 3), "{format:?}");
        let off = picture.samples.iter().zip(&planes).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(off <= if exact { 0 } else { 24 }, "{format:?}: off by {off}");
    }
    let mut frames = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut frames);
        for level in [0, 255] {
            encoder.encode_frame(image::Frame::new(RgbaImage::from_pixel(3, 2, Rgba([level, 0, 0, 255])))).unwrap();
        }
    }
    assert!(decoded(&folder, &frames, WANTED).samples.iter().all(|&sample| sample == 0), "not the first frame");
    // Four bits of grey, and text.
    assert_eq!(decoded(&folder, b"P2 2 1 15 0 15", WANTED).samples, [0, 255]);
}

/// A JPEG file that says that it is to be turned.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_orientation_is_obeyed() {
    let folder = Folder::new("pictures-exif");
    // Dark on the left.
    let image = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 10 } else { 240 }]));
    let jpeg = encoded(image, ImageFormat::Jpeg);
    let corners = |orientation: u8| {
        let path = folder.write("picture", &turned(&jpeg, orientation));
        let head = head(&path).unwrap();
        let picture = decode(&path, WANTED).unwrap().0;
        assert_eq!((head.width as usize, head.height as usize), (picture.width, picture.height));
        assert_eq!(head.turned, orientation != 1);
        let last = picture.samples.len() - 1;
        let dark = [0, picture.width - 1, last + 1 - picture.width, last].map(|n| picture.samples[n] < 128);
        (picture.width, picture.height, dark)
    };
    assert_eq!(corners(1), (32, 16, [true, false, true, false]));
    assert_eq!(corners(3), (32, 16, [false, true, false, true]));
    // A quarter to the right: what was on the left is above.
    assert_eq!(corners(6), (16, 32, [true, true, false, false]));
    assert_eq!(corners(8), (16, 32, [false, false, true, true]));
}

#[test]
fn what_is_no_picture_says_what_it_is() {
    let folder = Folder::new("pictures-broken");
    let image = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * y) as u8, (x ^ y) as u8, 9]));
    let png_bytes = encoded(image.clone(), ImageFormat::Png);
    let jpeg = encoded(image, ImageFormat::Jpeg);
    let lying = png(&[(b"IHDR", &header(20_000, 5_001, 8, 2, 0)), (b"IDAT", &zlib(&[0]))]);
    let reason = |bytes: &[u8]| {
        let path = folder.write("picture", bytes);
        head(&path).and_then(|_| decode(&path, WANTED).map(|_| ())).expect_err("it is bad")
    };
    assert_eq!(reason(b""), "is empty, expected PNG, JPEG, BMP, PNM or GIF");
    let text = "is no picture (it begins with bytes 68 65 6c 6c), expected PNG, JPEG, BMP, PNM or GIF";
    assert_eq!(reason(b"hello"), text);
    assert_eq!(reason(b"RIFF\0\0\0\0WEBPVP8 "), "is WEBP, expected PNG, JPEG, BMP, PNM or GIF; convert it");
    assert!(reason(b"\0\0\0\x18ftypheic\0\0\0\0").contains("convert it to JPEG"));
    assert_eq!(reason(&lying), "is 20000 x 5001 pixels, expected at most 67108864 in all; make it smaller");
    for cut in [8, 20, 40, png_bytes.len() / 2] {
        assert!(reason(&png_bytes[..cut]).starts_with("is damaged, cut short or too large"), "{cut} bytes of a PNG");
    }
    assert!(reason(&jpeg[..20]).starts_with("is damaged"), "the head of a JPEG");
    // A bomb: the header promises 8,000 by 8,000 pixels, and nothing follows.
    let bomb = png(&[(b"IHDR", &header(8_000, 8_000, 16, 6, 0)), (b"IDAT", &zlib(&[0; 100]))]);
    assert!(reason(&bomb).starts_with("is damaged"), "{}", reason(&bomb));
}

#[test]
fn deep_pictures_share_one_range() {
    let folder = Folder::new("pictures-deep");
    let mut entries = Vec::new();
    for (n, values) in [[1000_u16, 2000], [2000, 3000]].into_iter().enumerate() {
        let image = ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, values.to_vec()).unwrap();
        let path = folder.write(&n.to_string(), &encoded(DynamicImage::ImageLuma16(image), ImageFormat::Png));
        entries.push(Entry { path, shown: n.to_string(), role: Some(Role::Train), label: n as u32, group: None });
    }
    let mut found = Found::default();
    read(&folder.0, entries, &Options::default(), &mut found, &mut |_| {}).unwrap();
    // Halfway, and rounded up: each by its own maximum would make both of them 255.
    assert_eq!(found.parts[0].pixels, [0, 128, 128, 255]);
    assert!(found.notes.iter().any(|note| note.starts_with("samples of 16 bits: 1000 to 3000")), "{:?}", found.notes);
}

#[test]
fn paper_around_deep_pictures_leaves_their_range() {
    let folder = Folder::new("pictures-deep-padded");
    let image = ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![1000, 3000]).unwrap();
    let path = folder.write("0", &encoded(DynamicImage::ImageLuma16(image), ImageFormat::Png));
    let entry = Entry { path, shown: "0".to_owned(), role: Some(Role::Train), label: 0, group: None };
    for (background, paper) in [(Background::White, 255), (Background::Black, 0)] {
        let mut found = Found::default();
        let options = Options { size: Some([3, 2]), background, ..Options::default() };
        read(&folder.0, vec![entry.clone()], &options, &mut found, &mut |_| {}).unwrap();
        assert_eq!(found.parts[0].pixels, [paper, paper, 0, 255, paper, paper]);
    }
}

proptest::proptest! {
    /// Damage is a reason or a picture, never a panic.
    #[test]
    fn no_damage_panics(at in 0_usize..400, byte: u8, format in 0_usize..4) {
        let image = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20) as u8, (y * 30) as u8, 9]));
        let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif][format];
        let mut bytes = encoded(image, format);
        let at = at % bytes.len();
        bytes[at] = byte;
        let folder = Folder::new(&format!("pictures-damage-{at}-{byte}"));
        let path = folder.write("picture", &bytes);
        if let Ok(head) = head(&path) && u64::from(head.width) * u64::from(head.height) < 1 << 20 {
            let _ = decode(&path, WANTED);
        }
        let _ = fs::remove_file(&path);
    }
}
