//! Arrays of images of one shape: from numbers of any range to bytes, and into the shape that was asked for.

pub(crate) mod npy;
pub(crate) mod npy_folder;
pub(crate) mod npz;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::collection::{Found, MAX_PIXEL_BYTES, Part, Role, key};
use crate::options::{Background, Channels, DEFAULT_SIDE, MAX_SIDE, Options, Setting, Useless};
use crate::pictures::plane::Picture;
use crate::pictures::within;
use crate::words::counted;
use crate::{DataError, Fit, ImageShape};

/// Numbers of an array.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Values {
    U8(Vec<u8>),
    F32(Vec<f32>),
}

/// Where the channels of an image are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// `[C, H, W]`.
    First,
    /// `[H, W, C]`.
    Last,
}

/// Images of one part.
pub(crate) struct Images {
    /// None where they have no labels.
    pub(crate) role: Option<Role>,
    /// What errors call them.
    pub(crate) name: String,
    pub(crate) shape: ImageShape,
    pub(crate) layout: Layout,
    /// `[N]` images of `shape` in `layout`.
    pub(crate) values: Values,
    /// `[N]`, or none.
    pub(crate) labels: Vec<u32>,
    /// `[N]`, or none.
    pub(crate) groups: Vec<u32>,
    /// Whether rows and columns have changed places.
    pub(crate) on_side: bool,
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::F32(values) => values.len(),
        }
    }

    fn largest(&self) -> f32 {
        match self {
            Values::U8(values) => values.iter().max().map_or(0.0, |&value| f32::from(value)),
            Values::F32(values) => values.iter().copied().fold(0.0, f32::max),
        }
    }

    /// The position of the first number that is no brightness.
    fn odd(&self) -> Option<(usize, f32)> {
        match self {
            Values::U8(_) => None,
            Values::F32(values) => {
                values.iter().position(|value| !(0.0..=f32::MAX).contains(value)).map(|n| (n, values[n]))
            }
        }
    }

    /// As bytes; where `largest` is not 255, it becomes 255.
    fn bytes(self, largest: f32) -> Vec<u8> {
        let scale = 255.0 / f64::from(largest);
        match self {
            Values::U8(values) if largest == 255.0 => values,
            Values::U8(values) => values.into_iter().map(|value| (f64::from(value) * scale + 0.5) as u8).collect(),
            Values::F32(values) => values.into_iter().map(|value| (f64::from(value) * scale + 0.5) as u8).collect(),
        }
    }
}

/// The shape of an image of `numbers` in one row: a square of one channel, or what `size` asks for.
pub(crate) fn flat_shape(numbers: usize, options: &Options) -> Option<ImageShape> {
    let [height, width] = match options.size {
        Some([height, width]) if height * width == numbers => [height, width],
        _ => [numbers.isqrt(); 2],
    };
    (numbers > 0 && height * width == numbers).then_some(ImageShape { channels: 1, height, width })
}

/// Adds images to what was found: as bytes of one range, upright, in the size and channels asked for.
pub(crate) fn add(path: &Path, parts: Vec<Images>, options: &Options, found: &mut Found) -> Result<(), DataError> {
    let bad = |what: String, hint: &str| Err(DataError::contents(path, what, Some(hint)));
    let Some(first) = parts.first() else { return bad("holds no images".to_owned(), "name another file") };
    let (shape, layout, name) = (first.shape, first.layout, first.name.clone());
    for part in &parts {
        if part.shape != shape {
            let what = format!("{name} holds images of {shape}, {} of {}, expected one shape", part.name, part.shape);
            return bad(what, "keep only what belongs together");
        }
        if let Some((n, value)) = part.values.odd() {
            let (image, pixel) = (n / shape.len(), n % shape.len());
            let what = format!(
                "{}: number {pixel} of image {image} (counted from 0) is {value}, expected 0 or more",
                part.name
            );
            return bad(what, "write brightnesses from 0 (black) on, before any normalisation");
        }
    }
    if ![1, 3, 4].contains(&shape.channels) {
        // Such as the bands of a satellite: as they are, for nobody can say how they would be scaled or made grey.
        let large = shape.height.max(shape.width) > MAX_SIDE || shape.channels > MAX_SIDE;
        let other = options.size.is_some_and(|size| size != [shape.height, shape.width]);
        if large || other || options.channels.is_some() {
            let what = format!(
                "{name} holds images of {shape}; only those of 1 (grey), 3 (red, green, blue) or 4 channels (and alpha) \
                 can be given another size or other channels"
            );
            return bad(what, "make them of the size that you want, or choose the channels that make a picture");
        }
        found.notes.push(format!("images have {} channels, which stay as they are", shape.channels));
    }
    let largest = one_scale(&parts).map_err(|what| {
        DataError::contents(
            path,
            what,
            Some("save all of them on one scale: brightnesses from 0 to 255, as numpy.uint8"),
        )
    })?;
    // What uses at least half of a byte's range is bytes already.
    let found_largest = largest;
    let largest = match options.white {
        Some(white) => white,
        None if largest == 0.0 || (128.0..=255.0).contains(&largest) => 255.0,
        None => largest,
    };
    if largest != 255.0 {
        found.notes.push(format!("numbers are 0 to {largest}: they become 0 to 255 (white = {largest})"));
    }
    if found_largest > largest {
        found.notes.push(format!(
            "numbers go to {found_largest}, and what is more than {largest} is as white as that: are they on the scale of \
             white = {largest}?"
        ));
    }
    // Of 255 too: other images are to be seen on the same scale, however dark they are.
    found.white = Some(largest);
    if layout == Layout::Last && shape.channels > 1 {
        found.notes.push(format!(
            "each image is {} rows, {} columns and {} channels, in this order",
            shape.height, shape.width, shape.channels
        ));
    }
    let on_side = parts.iter().any(|part| options.transpose.unwrap_or(part.on_side));
    if on_side {
        found.notes.push("images lie on their side (as EMNIST's do): rows and columns are exchanged (transpose = false to leave them)".to_owned());
    }
    let upright = if on_side { ImageShape { height: shape.width, width: shape.height, ..shape } } else { shape };
    let plan = Reshaping::new(upright, options, &mut found.notes);
    let resized = [plan.to.height, plan.to.width] != [upright.height, upright.width];
    if !resized {
        options.refuse(path, &[NOT_FITTED])?;
    }
    if upright.channels != 4 && !(resized && options.fit == Fit::Pad) {
        options.refuse(path, &[NO_BACKGROUND])?;
    }
    let images: u64 = parts.iter().map(|part| (part.values.len() / shape.len()) as u64).sum();
    let bytes = images.saturating_mul(plan.to.len() as u64);
    if bytes > MAX_PIXEL_BYTES {
        let images = counted(images as usize, "image", "images");
        let what = format!("{images} of {} are {bytes} bytes, expected at most {MAX_PIXEL_BYTES}", plan.to);
        return bad(
            what,
            "make them smaller with size = [height, width], grey with channels = \"grey\", or take fewer",
        );
    }
    for part in parts {
        let Images { role, name, layout, values, labels, groups, .. } = part;
        let mut pixels = values.bytes(largest);
        if layout == Layout::Last {
            pixels = channels_first(pixels, shape);
        }
        if on_side {
            pixels = transposed(&pixels, shape.height, shape.width);
        }
        let keys = keys(&pixels, upright);
        if plan.to != upright {
            pixels = plan.apply(&pixels);
        }
        found.parts.push(Part { role, name, pixels, labels, groups, keys, ..Part::default() });
    }
    found.shape = Some(plan.to);
    Ok(())
}

const NOT_FITTED: Useless = Useless {
    setting: Setting::Fit,
    why: "images keep their size",
    remedy: "say which they are to have, size = [height, width], or leave it out",
};

const NO_BACKGROUND: Useless = Useless {
    setting: Setting::Background,
    why: "no image is transparent, and nothing is put around one",
    remedy: "leave it out",
};

/// The number of each image, `[C, H, W]`, by its contents: that of a picture of the same pixels.
fn keys(pixels: &[u8], shape: ImageShape) -> Vec<u64> {
    let ImageShape { channels, height, width } = shape;
    let plane = height * width;
    let of = |image: &[u8]| {
        if channels == 1 {
            return key(width, height, image);
        }
        let interleaved: Vec<u8> =
            (0..plane).flat_map(|at| (0..channels).map(move |channel| image[channel * plane + at])).collect();
        key(width, height, &interleaved)
    };
    pixels.chunks_exact(shape.len()).map(of).collect()
}

/// The largest number of all parts; a sentence where they cannot be on one scale, such as 0 to 1 beside 0 to 255.
fn one_scale(parts: &[Images]) -> Result<f32, String> {
    // Black images are on any scale.
    let all = parts.iter().map(|part| (part, part.values.largest())).filter(|(_, largest)| *largest > 0.0);
    let Some((low, least)) = all.clone().min_by(|(_, a), (_, b)| a.total_cmp(b)) else { return Ok(0.0) };
    let Some((high, most)) = all.max_by(|(_, a), (_, b)| a.total_cmp(b)) else { return Ok(0.0) };
    // Bytes of both may well be dark in one of them.
    let bytes = [low, high].iter().all(|part| matches!(part.values, Values::U8(_)));
    if least <= 1.0 && most >= 2.0 || !bytes && most / 8.0 > least {
        let name = |part: &Images| format!("{} ({})", part.name, part.role.map_or("unlabelled", Role::word));
        return Err(format!(
            "{} holds numbers from 0 to {least}, {} from 0 to {most}, expected one scale",
            name(low),
            name(high)
        ));
    }
    Ok(most)
}

/// `[N, H, W, C]` as `[N, C, H, W]`.
pub(crate) fn channels_first(pixels: Vec<u8>, shape: ImageShape) -> Vec<u8> {
    if shape.channels == 1 {
        return pixels;
    }
    let mut planes = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(shape.len()) {
        for channel in 0..shape.channels {
            planes.extend(image.iter().skip(channel).step_by(shape.channels));
        }
    }
    planes
}

/// Each plane of `height` by `width` with rows for columns.
fn transposed(pixels: &[u8], height: usize, width: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(pixels.len());
    for plane in pixels.chunks_exact(height * width) {
        for x in 0..width {
            result.extend(plane.iter().skip(x).step_by(width));
        }
    }
    result
}

/// From one shape to another.
struct Reshaping {
    from: ImageShape,
    to: ImageShape,
    fit: Fit,
    paper: u8,
}

impl Reshaping {
    fn new(from: ImageShape, options: &Options, notes: &mut Vec<String>) -> Reshaping {
        let large = from.height.max(from.width) > MAX_SIDE;
        let size = options.size.unwrap_or(if large {
            within(from.height, from.width, DEFAULT_SIDE)
        } else {
            [from.height, from.width]
        });
        let channels = options.channels.map_or(if from.channels == 4 { 3 } else { from.channels }, Channels::count);
        let to = ImageShape { channels, height: size[0], width: size[1] };
        if to != from {
            notes.push(format!(
                "images of {from} are made {to} (fit = \"{}\", background = \"{}\")",
                options.fit.name(),
                options.background.name()
            ));
        }
        let paper = if options.background == Background::White { 255 } else { 0 };
        Reshaping { from, to, fit: options.fit, paper }
    }

    fn apply(&self, pixels: &[u8]) -> Vec<u8> {
        let ImageShape { channels, height, width } = self.from;
        let mut result = Vec::with_capacity(pixels.len() / self.from.len() * self.to.len());
        for image in pixels.chunks_exact(self.from.len()) {
            let mut samples: Vec<u16> = image.iter().map(|&pixel| u16::from(pixel)).collect();
            if channels == 4 {
                let alpha = samples.split_off(3 * height * width);
                for (n, sample) in samples.iter_mut().enumerate() {
                    let alpha = u32::from(alpha[n % (height * width)]);
                    *sample = ((u32::from(*sample) * alpha + u32::from(self.paper) * (255 - alpha) + 127) / 255) as u16;
                }
            }
            let picture = Picture { width, height, channels: channels.min(3), samples };
            let picture = if self.to.channels == 1 { picture.into_grey() } else { picture.into_rgb() };
            let picture = picture.fitted([self.to.height, self.to.width], self.fit, u16::from(self.paper));
            result.extend(picture.samples.into_iter().map(|sample| sample.min(255) as u8));
        }
        result
    }
}
