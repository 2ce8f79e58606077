//! A person's own picture, from a PNG file to a network's input.
//!
//! A file's size and its header are checked before anything of the size that they state is allocated.

use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};
use tenfold_nn::data::digit::{self, Grey};
use tenfold_nn::data::{ImageShape, Options, read_pictures};
use tenfold_report::feature_maps::Image;

use crate::failure::{DATA, Failure, USAGE, unread};
use crate::upright::{orientation, upright};

/// Largest file.
const MAX_BYTES: u64 = 64 << 20;

/// Largest width, and height, in pixels.
const MAX_SIDE: u32 = 4096;

/// The shape of networks whose input is centred as MNIST's digits were.
const MNIST: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };

/// Longest side of a picture that shows a step.
const STEP_SIDE: usize = 112;

/// What to do about a file that is no PNG.
const SAVE_AS_PNG: &str = "open it in a program that draws and save it as PNG";

/// A picture in colour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Colour {
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// `[height, width, 3]`.
    pub(crate) rgb: Vec<u8>,
    /// Whether it was turned or mirrored as its file says.
    pub(crate) turned: bool,
}

impl Colour {
    /// What was done to it on reading, and its size.
    fn described(&self) -> String {
        let what = if self.turned { "turned as its EXIF orientation says" } else { "as it is" };
        format!("{what}: {} x {} pixels", self.width, self.height)
    }
}

/// What was done, in words, each with the picture after it, made smaller where it is large. The last one is the input.
pub(crate) type Steps = Vec<(String, Image)>;

/// The picture in the file as the input of a network for images of `shape`: what was done, and the input's pixels, `[C,
/// H, W]`.
///
/// For networks over 1x28x28 it is centred as MNIST's digits were. For others it is taken as it is and has to have
/// their size; their channels are grey, or red, green and blue.
pub(crate) fn input_for(shape: ImageShape, path: &Path) -> Result<(Steps, Vec<u8>), Failure> {
    let name = path.display();
    if shape.channels != 1 && shape.channels != 3 {
        let message =
            format!("{name}: cannot be shown to this network, whose images are {shape}; a picture has 1 channel or 3");
        return Err(Failure::new(USAGE, message, Some("choose an image of the data set".to_owned())));
    }
    let colour = read(path)?;
    if shape == MNIST {
        let centred = digit::centre(&grey(&colour))
            .map_err(|error| Failure::new(DATA, format!("{name}: {error}"), Some(NO_INK.to_owned())))?;
        let shown = |(words, grey): (String, Grey)| (words, image(grey.within(STEP_SIDE)));
        let mut steps: Steps = centred.steps.into_iter().map(shown).collect();
        if let Some((words, _)) = steps.first_mut() {
            *words = colour.described();
        }
        return Ok((steps, centred.pixels));
    }
    if (colour.height, colour.width) != (shape.height, shape.width) {
        let message = format!(
            "{name}: is {} x {} pixels, expected {} x {}, the size of this network's images",
            colour.width, colour.height, shape.width, shape.height
        );
        let hint = format!("scale it to {} x {} pixels in a program that draws", shape.width, shape.height);
        return Err(Failure::new(DATA, message, Some(hint)));
    }
    let pixels = match shape.channels {
        1 => grey(&colour).pixels,
        _ => (0..3).flat_map(|channel| colour.rgb.iter().skip(channel).step_by(3).copied()).collect(),
    };
    let ImageShape { channels, height, width } = shape;
    let step = Image { channels, height, width, pixels: pixels.clone() };
    Ok((vec![(colour.described(), step)], pixels))
}

/// The picture in the file as an image of `shape`, read as `options` say that those were that the network was trained on.
pub(crate) fn input_like(shape: ImageShape, options: &Options, path: &Path) -> Result<(Steps, Vec<u8>), Failure> {
    let kind = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(USAGE, format!("{}: there is no such file", path.display()), None),
        _ => Failure::new(unread(&error), format!("{}: cannot be read: {error}", path.display()), None),
    })?;
    if !kind.is_file() {
        return Err(Failure::new(USAGE, format!("{}: is no file, expected a picture", path.display()), None));
    }
    let mut pictures = read_pictures(&[path.to_owned()], shape, options);
    let pixels = pictures
        .pop()
        .expect("there is one picture")
        .map_err(|why| Failure::new(DATA, format!("{}: it {why}", path.display()), None))?;
    let ImageShape { channels, height, width } = shape;
    let words = format!("made {height} x {width} as the images were that the network was trained on");
    Ok((vec![(words, Image { channels, height, width, pixels: pixels.clone() })], pixels))
}

const NO_INK: &str = "colours are taken as grey, and what is transparent as white paper";

fn image(grey: Grey) -> Image {
    Image { channels: 1, height: grey.height, width: grey.width, pixels: grey.pixels }
}

/// The brightness of each pixel: `0.299 R + 0.587 G + 0.114 B` (Rec. 601), to the nearest.
pub(crate) fn grey(colour: &Colour) -> Grey {
    let luma = |rgb: &[u8]| {
        let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
        ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
    };
    Grey { width: colour.width, height: colour.height, pixels: colour.rgb.chunks_exact(3).map(luma).collect() }
}

/// The picture in a PNG file of any colour type and depth, its transparent parts over white paper, the right way up; of
/// an animation the first.
pub(crate) fn read(path: &Path) -> Result<Colour, Failure> {
    let bytes = contents(path)?;
    let refused =
        |(what, hint): (String, &str)| Failure::new(DATA, format!("{}: {what}", path.display()), Some(hint.to_owned()));
    decode(&bytes).map_err(refused)
}

/// The bytes of a file that is not too large.
fn contents(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Failure::new(USAGE, format!("{name}: there is no such file"), None),
        _ => Failure::new(unread(&error), format!("{name}: cannot be read: {error}"), None),
    };
    // Before opening: to open a pipe is to wait for its writer.
    let kind = fs::metadata(path).map_err(failed)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "a folder" } else { "a pipe, socket or device" };
        return Err(Failure::new(USAGE, format!("{name}: is {what}, expected a PNG file"), None));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("{name}: is larger than {} MiB, expected a picture of one digit", MAX_BYTES >> 20);
        return Err(Failure::new(DATA, message, Some("make it smaller".to_owned())));
    }
    Ok(bytes)
}

/// The picture in a PNG file's bytes; or what is wrong with them and what to do about it.
fn decode(bytes: &[u8]) -> Result<Colour, (String, &'static str)> {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err((format!("is {}, expected a PNG picture", kind(bytes)), SAVE_AS_PNG));
    }
    let damaged = |error: DecodingError| {
        let what = match error {
            DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                format!("ends after {} bytes, within the PNG picture", bytes.len())
            }
            error => format!("is a damaged PNG picture: {}", error.to_string().trim_end_matches('.')),
        };
        (what, "copy it again, or save it anew as PNG")
    };
    let mut decoder = Decoder::new(Cursor::new(bytes));
    // Text and colour profiles say nothing about the digit.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = header.size();
    if width > MAX_SIDE || height > MAX_SIDE {
        let what = format!("is {width} x {height} pixels, expected at most {MAX_SIDE} x {MAX_SIDE}");
        return Err((what, "make it smaller"));
    }
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or(DecodingError::LimitsExceeded).map_err(damaged)?;
    // At most 4096 x 4096 pixels of 4 bytes.
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    if (frame.width, frame.height, frame.bit_depth) != (width, height, BitDepth::Eight) {
        return Err(("is a PNG animation whose first picture is not all of it".to_owned(), SAVE_AS_PNG));
    }

    let over_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let rgb = match frame.color_type {
        ColorType::Grayscale => pixels.iter().flat_map(|&v| [v; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [over_white(p[0], p[1]); 3]).collect(),
        ColorType::Rgb => pixels,
        ColorType::Rgba => {
            pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]].map(|value| over_white(value, p[3]))).collect()
        }
        ColorType::Indexed => return Err(("has a palette that cannot be read".to_owned(), SAVE_AS_PNG)),
    };
    let stored = Colour { width: width as usize, height: height as usize, rgb, turned: false };
    // The chunk may stand before the pixels or after them.
    Ok(match reader.info().exif_metadata.as_deref().map(orientation) {
        Some(orientation) if orientation > 1 => upright(&stored, orientation),
        _ => stored,
    })
}

/// What a file that is no PNG seems to be.
fn kind(bytes: &[u8]) -> &'static str {
    let starts = |start: &[u8]| bytes.starts_with(start);
    match bytes {
        [] => "empty",
        _ if starts(b"\xff\xd8\xff") => "a JPEG picture",
        _ if starts(b"GIF8") => "a GIF picture",
        _ if starts(b"BM") => "a BMP picture",
        _ if starts(b"II*\0") || starts(b"MM\0*") => "a TIFF picture",
        _ if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => "a WebP picture",
        _ if bytes.get(4..8) == Some(b"ftyp") => "a HEIC or AVIF picture, or a film",
        _ if starts(b"%PDF") => "a PDF document",
        _ if starts(b"\x89PNG") => "a PNG picture whose line ends were changed on its way",
        _ if bytes.iter().take(512).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => "text",
        _ => "of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upright::tests::exif;
    use std::path::PathBuf;

    /// A picture of random bytes, as many as it takes.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    struct Kind {
        color: ColorType,
        depth: BitDepth,
        palette: Option<Vec<u8>>,
        transparent: Option<Vec<u8>>,
    }

    fn plain(color: ColorType, depth: BitDepth) -> Kind {
        Kind { color, depth, palette: None, transparent: None }
    }

    fn png(width: u32, height: u32, kind: &Kind, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(kind.color);
        encoder.set_depth(kind.depth);
        if let Some(palette) = &kind.palette {
            encoder.set_palette(palette.clone());
        }
        if let Some(transparent) = &kind.transparent {
            encoder.set_trns(transparent.clone());
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    /// Sample number `at` of a row of packed samples, in 0..1, and the number itself.
    fn sample(row: &[u8], at: usize, depth: usize) -> (f64, usize) {
        let value = match depth {
            16 => usize::from(row[2 * at]) << 8 | usize::from(row[2 * at + 1]),
            _ => usize::from(row[at * depth / 8]) >> (8 - depth - at * depth % 8) & ((1 << depth) - 1),
        };
        (value as f64 / ((1_u32 << depth) - 1) as f64, value)
    }

    /// The picture of packed samples over white, in 0..255, by the book.
    fn expected(width: usize, kind: &Kind, data: &[u8]) -> Vec<f64> {
        let (samples, depth) = (kind.color.samples(), kind.depth as usize);
        let key =
            |c: usize| kind.transparent.as_ref().map(|key| usize::from(key[2 * c]) << 8 | usize::from(key[2 * c + 1]));
        let mut rgb = Vec::new();
        for row in data.chunks((width * samples * depth).div_ceil(8)) {
            for x in 0..width {
                let at = |c: usize| sample(row, x * samples + c, depth);
                let is_key = |c: usize| key(c) == Some(at(c).1);
                let (color, alpha) = match kind.color {
                    ColorType::Grayscale => ([at(0).0; 3], f64::from(!is_key(0))),
                    ColorType::GrayscaleAlpha => ([at(0).0; 3], at(1).0),
                    ColorType::Rgb => ([at(0).0, at(1).0, at(2).0], f64::from(!(0..3).all(is_key))),
                    ColorType::Rgba => ([at(0).0, at(1).0, at(2).0], at(3).0),
                    ColorType::Indexed => {
                        let (index, palette) = (at(0).1, kind.palette.as_ref().unwrap());
                        let alpha =
                            kind.transparent.as_ref().and_then(|alpha| alpha.get(index)).map_or(255, |alpha| *alpha);
                        ([0, 1, 2].map(|c| f64::from(palette[3 * index + c]) / 255.0), f64::from(alpha) / 255.0)
                    }
                };
                rgb.extend(color.map(|value| 255.0 * (value * alpha + 1.0 - alpha)));
            }
        }
        rgb
    }

    #[test]
    fn every_kind_of_png_is_read() {
        use {BitDepth::*, ColorType::*};
        let mut kinds: Vec<Kind> =
            [One, Two, Four, Eight, Sixteen].into_iter().map(|depth| plain(Grayscale, depth)).collect();
        for color in [GrayscaleAlpha, Rgb, Rgba] {
            kinds.extend([Eight, Sixteen].map(|depth| plain(color, depth)));
        }
        for depth in [One, Two, Four, Eight] {
            let colors = 1 << depth as usize;
            for transparent in [None, Some(noise(colors / 2))] {
                kinds.push(Kind { palette: Some(noise(3 * colors)), transparent, ..plain(Indexed, depth) });
            }
        }
        let (width, height) = (13, 7);
        for (depth, key) in [(Two, vec![0, 1]), (Eight, vec![0, noise(1)[0]])] {
            kinds.push(Kind { transparent: Some(key), ..plain(Grayscale, depth) });
        }
        let key = noise(3).into_iter().flat_map(|value| [0, value]).collect();
        kinds.push(Kind { transparent: Some(key), ..plain(Rgb, Eight) });

        for kind in kinds {
            let case = format!("{:?} of {:?}, transparent {:?}", kind.color, kind.depth, kind.transparent);
            let row = (width * kind.color.samples() * kind.depth as usize).div_ceil(8);
            let data = noise(row * height);
            let picture =
                decode(&png(width as u32, height as u32, &kind, &data)).unwrap_or_else(|e| panic!("{case}: {e:?}"));
            assert_eq!((picture.width, picture.height), (width, height), "{case}");
            let expected = expected(width, &kind, &data);
            assert_eq!(picture.rgb.len(), expected.len(), "{case}");
            // Rounded once; of 16 bits the lower eight are dropped, before that.
            let tolerance = if kind.depth as usize == 16 { 2.01 } else { 0.51 };
            for (at, (got, expected)) in picture.rgb.iter().zip(&expected).enumerate() {
                assert!((f64::from(*got) - expected).abs() < tolerance, "{case}: {got} for {expected} at {at}");
            }
            if kind.transparent.is_some() && kind.depth == Eight && kind.color != Indexed {
                assert_eq!(picture.rgb[..3], [255; 3], "{case}: the first pixel is of the transparent colour");
            }
        }
    }

    /// 5 x 5 grey pixels, `50 y + 7 x` modulo 256, interlaced; written by hand with zlib, which `png` cannot write.
    const INTERLACED: &str = "89504e470d0a1a0a0000000d4948445200000005000000050800000001df0349af0000002d4944415478da6360609061\
         38f184818fe11a434a510303bb28437625c3f9bb0c46960eee7e0cd3e62e59bd0900a8330b23b38728280000000049454e44ae426082";

    fn interlaced() -> Vec<u8> {
        let digits: Vec<u8> = INTERLACED.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn an_interlaced_picture_is_read() {
        let pixels = (0..25).flat_map(|at| [(at / 5 * 50 + at % 5 * 7) as u8; 3]).collect();
        assert_eq!(decode(&interlaced()).unwrap(), Colour { width: 5, height: 5, rgb: pixels, turned: false });
    }

    #[test]
    fn colours_become_grey_by_how_bright_they_are() {
        let rgb = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [9, 9, 9]].concat();
        assert_eq!(grey(&Colour { width: 3, height: 2, rgb, turned: false }).pixels, [76, 150, 29, 255, 0, 9]);
    }

    #[test]
    fn a_picture_on_its_side_is_turned_and_that_is_said() {
        let folder = Folder::new("picture-turned");
        for before in [true, false] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
            encoder.set_color(ColorType::Grayscale);
            let mut writer = encoder.write_header().unwrap();
            let exif = exif(6, before);
            let write_exif = |writer: &mut png::Writer<_>| writer.write_chunk(png::chunk::eXIf, &exif).unwrap();
            if before {
                write_exif(&mut writer);
            }
            writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap();
            if !before {
                write_exif(&mut writer);
            }
            writer.finish().unwrap();
            let path = folder.write("side.png", &bytes);
            let (steps, input) = input_for(ImageShape { channels: 1, height: 3, width: 2 }, &path).unwrap();
            assert_eq!(input, [4, 1, 5, 2, 6, 3], "before the pixels: {before}");
            assert_eq!(steps[0].0, "turned as its EXIF orientation says: 2 x 3 pixels");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_never_breaks_anything() {
        let palette = Kind {
            palette: Some(noise(12)),
            transparent: Some(vec![9, 200]),
            ..plain(ColorType::Indexed, BitDepth::Two)
        };
        let rgba = plain(ColorType::Rgba, BitDepth::Eight);
        for whole in [png(9, 5, &palette, &noise(15)), png(4, 3, &rgba, &noise(48)), interlaced()] {
            let picture = decode(&whole).unwrap();
            for length in 0..whole.len() {
                let (what, _) = decode(&whole[..length]).unwrap_err();
                if length >= 8 {
                    assert_eq!(what, format!("ends after {length} bytes, within the PNG picture"));
                }
            }
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    // A changed bit is found by a checksum, or was in a part that may be skipped.
                    if let Ok(other) = decode(&bytes) {
                        assert_eq!(
                            (other.width, other.height),
                            (picture.width, picture.height),
                            "bit {bit} of byte {at}"
                        );
                    }
                }
            }
            let mut bytes = whole.clone();
            // In the header's checksum.
            bytes[29] ^= 1;
            let (what, _) = decode(&bytes).unwrap_err();
            assert!(what.starts_with("is a damaged PNG picture: CRC error"), "{what}");
        }
    }

    /// A header that states this size, with the right checksum.
    fn header(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = png::Encoder::new(&mut bytes, width, height);
        drop(encoder.write_header().unwrap());
        bytes
    }

    #[test]
    fn a_huge_picture_is_refused_before_anything_is_allocated() {
        for (width, height) in [(4097, 1), (1, 4097), (0x7fff_ffff, 0x7fff_ffff)] {
            let (what, _) = decode(&header(width, height)).unwrap_err();
            assert_eq!(what, format!("is {width} x {height} pixels, expected at most 4096 x 4096"));
        }
        let grey = plain(ColorType::Grayscale, BitDepth::One);
        assert!(decode(&png(4096, 1, &grey, &[0; 512])).is_ok());
    }

    #[test]
    fn what_is_no_png_is_named() {
        for (bytes, found) in [
            (&b""[..], "is empty"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture"),
            (b"GIF89a", "is a GIF picture"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "is a WebP picture"),
            (b"\0\0\0\x18ftypheic", "is a HEIC or AVIF picture, or a film"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>\n", "is text"),
            (b"\x89PNG\n\x1a\n\0\0", "is a PNG picture whose line ends were changed on its way"),
            (b"\x89PNG\r\n\x1a", "is a PNG picture whose line ends were changed on its way"),
            (b"\x7fELF\x02\x01", "is of an unknown kind"),
        ] {
            assert_eq!(decode(bytes).unwrap_err(), (format!("{found}, expected a PNG picture"), SAVE_AS_PNG));
        }
    }

    /// A folder for one test, which is removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("tenfold-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            fs::write(self.0.join(name), bytes).unwrap();
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[track_caller]
    fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>, path: &Path) -> (u8, String) {
        match result.unwrap_err() {
            Failure::Error { code, message, .. } => (code, message.replace(&path.display().to_string(), "PATH")),
            Failure::NobodyListens => panic!("somebody listens"),
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = Folder::new("picture-file");
        let missing = folder.0.join("missing.png");
        assert_eq!(refusal(read(&missing), &missing), (USAGE, "PATH: there is no such file".to_owned()));
        assert_eq!(refusal(read(&folder.0), &folder.0), (USAGE, "PATH: is a folder, expected a PNG file".to_owned()));
        let text = folder.write("digit.txt", b"7");
        assert_eq!(refusal(read(&text), &text), (DATA, "PATH: is text, expected a PNG picture".to_owned()));
        let large = folder.write("large.png", b"");
        File::options().write(true).open(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let message = "PATH: is larger than 64 MiB, expected a picture of one digit";
        assert_eq!(refusal(read(&large), &large), (DATA, message.to_owned()));
        #[cfg(unix)]
        {
            let device = Path::new("/dev/zero");
            let message = "PATH: is a pipe, socket or device, expected a PNG file";
            assert_eq!(refusal(read(device), device), (USAGE, message.to_owned()));
        }
    }

    #[test]
    fn a_drawing_becomes_the_input_of_a_network() {
        let folder = Folder::new("picture-input");
        let rgb = plain(ColorType::Rgb, BitDepth::Eight);
        // A red line on white paper, of 300 x 200 pixels.
        let (width, height) = (300, 200);
        let pixels = (0..width * height).flat_map(|at| {
            let (x, y) = (at % width, at / width);
            if (100..110).contains(&x) && (50..150).contains(&y) { [255, 0, 0] } else { [255; 3] }
        });
        let data: Vec<u8> = pixels.collect();
        let path = folder.write("line.png", &png(width as u32, height as u32, &rgb, &data));
        let (steps, input) = input_for(MNIST, &path).unwrap();
        let words: Vec<&str> = steps.iter().map(|(words, _)| words.as_str()).collect();
        let said = [
            "as it is: 300 x 200 pixels",
            "inverted: dark on light",
            "ink: 10 x 100 pixels, scaled to 2 x 20",
            "centre of mass moved to the middle",
        ];
        assert_eq!(words, said);
        assert_eq!((steps[0].1.width, steps[0].1.height), (112, 75));
        assert_eq!(steps[3].1.pixels, input);
        // Red has the brightness 76.
        assert_eq!(input.iter().filter(|pixel| **pixel == 255 - 76).count(), 40);

        let blank = folder.write("blank.png", &png(2, 1, &rgb, &[255; 6]));
        let (code, message) = refusal(input_for(MNIST, &blank), &blank);
        assert!(code == DATA && message.starts_with("PATH: holds no ink"), "{message}");
    }

    #[test]
    fn a_picture_for_other_networks_has_their_size() {
        let folder = Folder::new("picture-as-is");
        let rgb = plain(ColorType::Rgb, BitDepth::Eight);
        let path = folder.write("six.png", &png(3, 2, &rgb, &noise(18)));
        let shape = |channels, height, width| ImageShape { channels, height, width };
        let (steps, input) = input_for(shape(3, 2, 3), &path).unwrap();
        let data = noise(18);
        let planes: Vec<u8> = (0..18).map(|at| data[at % 6 * 3 + at / 6]).collect();
        assert_eq!(input, planes);
        assert_eq!((steps[0].0.as_str(), &steps[0].1.pixels, steps.len()), ("as it is: 3 x 2 pixels", &planes, 1));
        assert_eq!(input_for(shape(1, 2, 3), &path).unwrap().1, grey(&read(&path).unwrap()).pixels);
        let message = "PATH: is 3 x 2 pixels, expected 2 x 3, the size of this network's images";
        assert_eq!(refusal(input_for(shape(1, 3, 2), &path), &path), (DATA, message.to_owned()));
        let (code, message) = refusal(input_for(shape(2, 2, 3), &path), &path);
        assert!(code == USAGE && message.contains("whose images are 2x2x3"), "{message}");
    }
}
