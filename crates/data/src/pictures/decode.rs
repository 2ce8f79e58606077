//! One picture file: what it says of itself, and its pixels as planes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, metadata::Orientation};

use super::plane::Picture;
use crate::collection::key;
use crate::options::{Background, Channels};

/// The most pixels of a picture: a camera's 60 megapixels, and no decompression bomb.
const MOST_PIXELS: u64 = 64 << 20;

/// The most bytes of a picture file; some decoders take it in whole.
const MOST_BYTES: u64 = 256 << 20;

/// The most that a decoder may allocate: the largest picture, with alpha, of 16 bits.
const MOST_ALLOCATED: u64 = 8 * MOST_PIXELS + (64 << 20);

/// What a picture file says of itself before its pixels are decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// As it is to be seen: turned as its EXIF says.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: &'static str,
    /// Whether its samples have 16 bits.
    pub(crate) deep: bool,
    pub(crate) colour: bool,
    pub(crate) alpha: bool,
    /// Whether its EXIF says that it is to be turned or mirrored.
    pub(crate) turned: bool,
}

/// How pixels are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Samples of 16 bits; those of 8 bits are then spread over all of them.
    pub(crate) deep: bool,
    pub(crate) channels: Option<Channels>,
    pub(crate) background: Background,
}

/// Reads as much of a file as tells what it holds.
pub(crate) fn head(path: &Path) -> Result<Head, String> {
    let (mut decoder, format) = open(path)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("has a header that says {width} x {height} pixels, expected at least 1 x 1"));
    }
    if pixels > MOST_PIXELS {
        return Err(format!("is {width} x {height} pixels, expected at most {MOST_PIXELS} in all; make it smaller"));
    }
    let turned = orientation(&mut decoder);
    let (width, height) = if exchanges_sides(turned) { (height, width) } else { (width, height) };
    let color = decoder.color_type();
    let deep = color.bytes_per_pixel() / color.channel_count() == 2;
    let alpha = color.has_alpha();
    Ok(Head {
        width,
        height,
        format,
        deep,
        colour: color.has_color(),
        alpha,
        turned: turned != Orientation::NoTransforms,
    })
}

/// Decodes a file whose head is known to be good; gives the picture and the number of its contents, whatever is wanted
/// of them.
pub(crate) fn decode(path: &Path, wanted: Wanted) -> Result<(Picture, u64), String> {
    let (mut decoder, _) = open(path)?;
    let turned = orientation(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(&error))?;
    image.apply_orientation(turned);
    let number = key(image.width() as usize, image.height() as usize, image.as_bytes());
    Ok((planes(image, wanted), number))
}

fn open(path: &Path) -> Result<(impl ImageDecoder, &'static str), String> {
    // Before opening: to open a pipe is to wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is a pipe, socket or device, expected a regular file".to_owned());
    }
    if metadata.len() > MOST_BYTES {
        return Err(format!("is {} bytes, expected a picture of at most {MOST_BYTES}", metadata.len()));
    }
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    let start = start[..start.len().min(16)].to_vec();
    let mut reader =
        ImageReader::new(file).with_guessed_format().map_err(|error| format!("cannot be read: {error}"))?;
    let Some(format) = reader.format() else { return Err(no_picture(&start)) };
    if !format.reading_enabled() {
        let name = format.extensions_str().first().map_or("another format".to_owned(), |name| name.to_uppercase());
        return Err(format!("is {name}, expected {FORMATS}; convert it"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_ALLOCATED);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| damaged(&error))?;
    Ok((decoder, format.extensions_str().first().copied().unwrap_or("?")))
}

const FORMATS: &str = "PNG, JPEG, BMP, PNM or GIF";

fn no_picture(start: &[u8]) -> String {
    match start {
        [] => format!("is empty, expected {FORMATS}"),
        // The pictures of telephones.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            format!("is HEIC, AVIF or a film, expected {FORMATS}; convert it to JPEG")
        }
        _ => {
            let bytes: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("is no picture (it begins with bytes {}), expected {FORMATS}", bytes.join(" "))
        }
    }
}

fn damaged(error: &image::ImageError) -> String {
    format!("is damaged, cut short or too large ({error})")
}

/// As the picture is to be turned; one whose EXIF cannot be read is not.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn exchanges_sides(turned: Orientation) -> bool {
    matches!(
        turned,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

/// Alpha composited, and colours as asked for.
fn planes(image: DynamicImage, wanted: Wanted) -> Picture {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let color = image.color();
    let channels = usize::from(color.channel_count());
    let spread = if wanted.deep { 257 } else { 1 };
    let samples: Vec<u16> = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            image.as_bytes().iter().map(|&sample| u16::from(sample) * spread).collect()
        }
        _ => {
            let deep = match color {
                ColorType::L16 => image.into_luma16().into_raw(),
                ColorType::La16 => image.into_luma_alpha16().into_raw(),
                ColorType::Rgb16 => image.into_rgb16().into_raw(),
                _ => image.into_rgba16().into_raw(),
            };
            // Only a file that has changed since its head was read.
            if wanted.deep { deep } else { deep.into_iter().map(|sample| sample / 257).collect() }
        }
    };
    let full = if wanted.deep { u32::from(u16::MAX) } else { 255 };
    let paper = match wanted.background {
        Background::White => full,
        Background::Black => 0,
    };
    let colours = if channels >= 3 { 3 } else { 1 };
    let size = width * height;
    let mut planes = vec![0; colours * size];
    for (pixel, samples) in samples.chunks_exact(channels).enumerate() {
        let alpha = if channels.is_multiple_of(2) { u32::from(samples[channels - 1]) } else { full };
        for colour in 0..colours {
            let ink = u64::from(samples[colour]) * u64::from(alpha);
            let behind = u64::from(paper) * u64::from(full - alpha);
            planes[colour * size + pixel] = ((ink + behind + u64::from(full) / 2) / u64::from(full)) as u16;
        }
    }
    let picture = Picture { width, height, channels: colours, samples: planes };
    match wanted.channels {
        Some(Channels::Grey) => picture.into_grey(),
        Some(Channels::Rgb) => picture.into_rgb(),
        None => picture,
    }
}
