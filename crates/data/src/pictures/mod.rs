//! Many picture files, of any size and mode, as images of one shape.

mod decode;
mod parallel;
pub(crate) mod plane;
mod size;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::collection::{Found, MAX_PIXEL_BYTES, Part, Role, Unreadable};
use crate::options::{Background, Channels, Options};
use crate::progress::Watch;
use crate::words::counted;
use crate::{DataError, ImageShape, Stage};
use decode::{Head, Wanted};
use parallel::in_parallel;
use plane::Picture;
pub(crate) use size::within;
use size::{describe, size};

/// Data of which more than one file in so many cannot be read is refused.
const ONE_IN: usize = 4;

/// Pictures of more pixels than this are decoded one at a time, so that memory is bounded by one of them.
const LARGE: u64 = 16 << 20;

/// A picture file and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// The path as people know it: below the folder, with `/`.
    pub(crate) shown: String,
    pub(crate) role: Option<Role>,
    pub(crate) label: u32,
    pub(crate) group: Option<u32>,
}

/// Picture files as images of `shape`, in order, each `[C, H, W]`, or what is wrong with it. `options` are those of the
/// images that a network was trained on ([`Options::of_others`]).
pub fn read_pictures(paths: &[PathBuf], shape: ImageShape, options: &Options) -> Vec<Result<Vec<u8>, String>> {
    if ![1, 3].contains(&shape.channels) {
        let why = format!("is a picture, and the images of the network have {} channels", shape.channels);
        return vec![Err(why); paths.len()];
    }
    let deep = options.range16.is_some();
    let wanted = Wanted { deep, channels: options.channels, background: options.background };
    let full = if deep { u16::MAX } else { 255 };
    let paper = if options.background == Background::White { full } else { 0 };
    let range = options.range16.unwrap_or([0, 255]);
    let one_large = Mutex::new(());
    in_parallel(paths, Stage::Pictures, &mut |_| {}, |path| {
        let head = decode::head(path)?;
        let large = u64::from(head.width) * u64::from(head.height) > LARGE;
        let _alone = large.then(|| one_large.lock().unwrap_or_else(PoisonError::into_inner));
        let picture = decode::decode(path, wanted)?.0.fitted([shape.height, shape.width], options.fit, paper);
        Ok(Stored::of(picture, range, deep).bytes(shape.channels, range))
    })
}

/// Whether the file begins as a picture does that can be read.
pub(crate) fn is_picture(path: &Path) -> bool {
    decode::head(path).is_ok()
}

/// Decodes all pictures, gives them one shape, and adds them to what was found.
///
/// Files that cannot be read are collected with their reasons. If they are more than a quarter, something else is
/// wrong.
pub(crate) fn read(
    root: &Path,
    entries: Vec<Entry>,
    options: &Options,
    found: &mut Found,
    watch: &mut Watch,
) -> Result<(), DataError> {
    let all = entries.len();
    let heads = in_parallel(&entries, Stage::Sizes, watch, |entry| decode::head(&entry.path));
    let mut good = Vec::with_capacity(all);
    for (entry, head) in entries.into_iter().zip(heads) {
        match head {
            Ok(head) => good.push((entry, head)),
            Err(reason) => found.unreadable.push(Unreadable { path: entry.path, reason }),
        }
    }
    refuse_unreadable(root, all, found)?;
    let heads: Vec<Head> = good.iter().map(|(_, head)| *head).collect();
    let size = size(&heads, options, &mut found.notes);
    describe(&heads, options, &mut found.notes);
    // What a network of other pictures is to see is on their scale, whatever lies beside it.
    let told = |name, found: String, reason: &str| Err(DataError::Option { name, found, reason: reason.to_owned() });
    if let Some(white) = options.white.filter(|_| !options.lenient) {
        return told("white", white.to_string(), "it changes nothing: pictures are no arrays; leave it out");
    }
    let of_16_bits = heads.iter().filter(|head| head.deep).count();
    if let Some([low, high]) = options.range16.filter(|_| of_16_bits == 0 && !options.lenient) {
        return told("range16", format!("[{low}, {high}]"), "none of the pictures has 16 bits; leave it out");
    }
    if of_16_bits > 0 && of_16_bits < heads.len() {
        found.notes.push(format!(
            "{of_16_bits} of {} pictures have 16 bits, the others 8: all are put on one scale, on which some may be dark",
            heads.len()
        ));
    }
    let deep = options.range16.is_some() || !options.lenient && heads.iter().any(|head| head.deep);
    let most_channels = match options.channels {
        Some(channels) => channels.count(),
        None => {
            if heads.iter().any(|head| head.colour) {
                3
            } else {
                1
            }
        }
    };
    let bytes = (good.len() * size[0] * size[1] * most_channels) as u64 * if deep { 2 } else { 1 };
    if bytes > MAX_PIXEL_BYTES {
        let what = format!(
            "{} of {}x{} are {bytes} bytes, expected at most {MAX_PIXEL_BYTES}",
            counted(good.len(), "image", "images"),
            size[0],
            size[1]
        );
        return Err(DataError::contents(root, what, Some("make them smaller with size = [height, width]")));
    }

    let wanted = Wanted { deep, channels: options.channels, background: options.background };
    let full = if deep { u16::MAX } else { 255 };
    let paper = if options.background == Background::White { full } else { 0 };
    let one_large = Mutex::new(());
    let decoded = in_parallel(&good, Stage::Pictures, watch, |(entry, head)| {
        let large = u64::from(head.width) * u64::from(head.height) > LARGE;
        let _alone = large.then(|| one_large.lock().unwrap_or_else(PoisonError::into_inner));
        decode::decode(&entry.path, wanted).map(|(picture, key)| {
            // Before paper is put around it, which would stretch the range.
            let range = if deep { range(&picture.samples) } else { [0, 255] };
            Stored { key, ..Stored::of(picture.fitted(size, options.fit, paper), range, deep) }
        })
    });
    let mut pictures = Vec::with_capacity(good.len());
    for ((entry, _), picture) in good.into_iter().zip(decoded) {
        match picture {
            Ok(picture) => pictures.push((entry, picture)),
            Err(reason) => found.unreadable.push(Unreadable { path: entry.path, reason }),
        }
    }
    refuse_unreadable(root, all, found)?;
    if !found.unreadable.is_empty() {
        let first = &found.unreadable[0];
        let n = found.unreadable.len();
        found.notes.push(format!(
            "{n} of {all} files cannot be read; the first is {}: it {}",
            first.path.display(),
            first.reason
        ));
    }
    let coloured = pictures.iter().filter(|(_, picture)| picture.colour).count();
    let channels = options.channels.map_or(if coloured > 0 { 3 } else { 1 }, Channels::count);
    if options.channels.is_none() {
        let n = pictures.len();
        found.notes.push(match coloured {
            0 => "all pictures are grey: one channel".to_owned(),
            coloured => {
                let have = if coloured == 1 { "has" } else { "have" };
                format!(
                    "{coloured} of {} {have} colours: three channels (channels = \"grey\" for one)",
                    counted(n, "picture", "pictures")
                )
            }
        });
    }
    store(pictures, channels, deep, options.range16, found);
    found.shape = Some(ImageShape { channels, height: size[0], width: size[1] });
    Ok(())
}

/// The pixels of a picture in as few bytes as they need.
struct Stored {
    size: [usize; 2],
    channels: usize,
    colour: bool,
    /// The lowest and the highest sample of the picture itself, without paper.
    range: [u16; 2],
    samples: Samples,
    /// By its contents.
    key: u64,
}

enum Samples {
    Shallow(Vec<u8>),
    Deep(Vec<u16>),
}

impl Stored {
    fn of(picture: Picture, range: [u16; 2], deep: bool) -> Stored {
        let colour = picture.has_colour();
        let Picture { width, height, channels, samples } = picture;
        let samples = if deep {
            Samples::Deep(samples)
        } else {
            Samples::Shallow(samples.into_iter().map(|sample| sample.min(255) as u8).collect())
        };
        Stored { size: [width, height], channels, colour, range, samples, key: 0 }
    }

    /// As bytes `[C, H, W]`, the range spread over them; paper as its end.
    fn bytes(self, channels: usize, [low, high]: [u16; 2]) -> Vec<u8> {
        let samples = match self.samples {
            Samples::Shallow(samples) if channels == self.channels => return samples,
            Samples::Shallow(samples) => samples.into_iter().map(u16::from).collect(),
            Samples::Deep(samples) => {
                let span = u32::from(high - low).max(1);
                samples
                    .into_iter()
                    .map(|n| ((u32::from(n.clamp(low, high) - low) * 255 + span / 2) / span) as u16)
                    .collect()
            }
        };
        let [width, height] = self.size;
        let picture = Picture { width, height, channels: self.channels, samples };
        let picture = if channels == 1 { picture.into_grey() } else { picture.into_rgb() };
        picture.samples.into_iter().map(|sample| sample.min(255) as u8).collect()
    }
}

/// The lowest and the highest sample.
fn range(samples: &[u16]) -> [u16; 2] {
    samples.iter().fold([u16::MAX, 0], |[low, high], &n| [low.min(n), high.max(n)])
}

/// Adds pictures to the parts that they belong to, in order.
fn store(pictures: Vec<(Entry, Stored)>, channels: usize, deep: bool, range16: Option<[u16; 2]>, found: &mut Found) {
    let all =
        pictures.iter().map(|(_, picture)| picture.range).fold([u16::MAX, 0], |[a, b], [c, d]| [a.min(c), b.max(d)]);
    let range = range16.unwrap_or(all);
    if deep {
        let [low, high] = range;
        let which = if range16.is_some() { "as was told" } else { "the range of all pictures" };
        found.notes.push(format!("samples of 16 bits: {low} to {high}, {which}, become 0 to 255"));
        found.range16 = Some(range);
    }
    let grouped = !pictures.is_empty() && pictures.iter().all(|(entry, _)| entry.group.is_some());
    let mut parts: BTreeMap<Option<Role>, Part> = BTreeMap::new();
    for (entry, picture) in pictures {
        let part = parts.entry(entry.role).or_insert_with(|| Part {
            role: entry.role,
            name: entry.role.map_or("unlabelled", Role::word).to_owned(),
            ..Part::default()
        });
        part.keys.push(picture.key);
        part.pixels.extend(picture.bytes(channels, range));
        if entry.role.is_some() {
            part.labels.push(entry.label);
        }
        part.groups.extend(entry.group.filter(|_| grouped));
        part.paths.push(entry.shown);
    }
    found.parts.extend(parts.into_values());
}

fn refuse_unreadable(root: &Path, all: usize, found: &Found) -> Result<(), DataError> {
    let bad = found.unreadable.len();
    if bad * ONE_IN <= all {
        return Ok(());
    }
    let first = &found.unreadable[0];
    let what = format!(
        "{bad} of {all} files cannot be read as pictures, expected at most one in {ONE_IN}; the first is {}: it {}",
        first.path.display(),
        first.reason
    );
    let hint = "leave only pictures in the folders of the classes; files and folders whose names begin with a dot are passed over";
    Err(DataError::contents(root, what, Some(hint)))
}
