//! npz files: zip archives of npy files, with the names that MedMNIST, Keras and numpy's users give them.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use zip::ZipArchive;

use super::npy::{self, Npy};
use super::{Images, Layout, add, flat_shape};
use crate::collection::{Found, MAX_PIXEL_BYTES, Names, Naming, Role, listed};
use crate::idx::times;
use crate::options::{NO_COLUMNS, NO_PATHS, ONE_LEVEL, Options};
use crate::progress::{Watch, Watched};
use crate::read::open;
use crate::words::counted;
use crate::{DataError, ImageShape};

/// Reads an npy file as images without labels.
pub(crate) fn read_images(path: &Path, options: &Options, watch: &mut Watch) -> Result<Found, DataError> {
    options.refuse(path, &[NO_PATHS, ONE_LEVEL, NO_COLUMNS])?;
    let file = open(path)?;
    let of = file.metadata().map_err(|reason| DataError::io(path, reason))?.len() as usize;
    let reader = BufReader::new(Watched { reader: file, done: 0, of, watch });
    let array = npy::read(reader, MAX_PIXEL_BYTES)
        .map_err(|what| DataError::contents(path, what, Some("look at it with numpy.load")))?;
    let mut found = Found::default();
    let images = part(path, Role::Train, "its array".to_owned(), array, None, options, &mut found.names)?;
    add(path, vec![images], options, &mut found)?;
    Ok(found)
}

/// Reads the images and labels of an npz file.
pub(crate) fn read(path: &Path, options: &Options, naming: Naming, watch: &mut Watch) -> Result<Found, DataError> {
    options.refuse(path, &[NO_PATHS, ONE_LEVEL, NO_COLUMNS])?;
    let bad = |what: String, hint: &str| DataError::contents(path, what, Some(hint));
    let file = open(path)?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|reason| bad(format!("is no whole zip archive ({reason})"), "copy or download it again"))?;
    // The number of the entry with the images, and with the labels, of each role.
    let mut entries: BTreeMap<Role, [Option<(usize, String)>; 2]> = BTreeMap::new();
    let mut others = Vec::new();
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    // Whoever needs no labels may have one array, whatever it is called.
    let unused = matches!(naming, Naming::Unused);
    let alone = unused && names.len() == 1;
    let understood = |name: &str| understood(name).or_else(|| alone.then_some((Role::Train, Kind::Images)));
    for name in &names {
        let Some(number) = archive.index_for_name(name) else { continue };
        match name.strip_suffix(".npy").and_then(understood) {
            Some((role, kind)) => {
                let slot = &mut entries.entry(role).or_default()[kind as usize];
                if let Some((_, other)) = slot {
                    let what =
                        format!("holds {other} and {name}, expected one array of {} {}", role.word(), kind.word());
                    return Err(bad(what, "keep only one of them"));
                }
                *slot = Some((number, name.clone()));
            }
            None => others.push(name.clone()),
        }
    }
    if !names.iter().any(|name| name.ends_with(".npy")) {
        return Err(bad(
            format!("is a zip archive with no npy file in it: {}", listed(&names)),
            "unpack it and name the folder",
        ));
    }
    let mut found = Found::default();
    let mut parts = Vec::new();
    let mut left = MAX_PIXEL_BYTES;
    let mut array = |entry: Option<(usize, String)>| -> Result<Option<(String, Npy)>, DataError> {
        let Some((number, name)) = entry else { return Ok(None) };
        let reader = archive.by_index(number).map_err(|reason| {
            bad(format!("{name} cannot be unpacked ({reason})"), "write it with numpy.savez or numpy.savez_compressed")
        })?;
        let of = reader.size() as usize;
        let reader = Watched { reader, done: 0, of, watch: &mut *watch };
        let npy =
            npy::read(reader, left).map_err(|what| bad(format!("{name} {what}"), "look at it with numpy.load"))?;
        left -= npy.bytes();
        Ok(Some((name, npy)))
    };
    for (role, [images, labels]) in entries {
        let Some((name, images)) = array(images)? else {
            if let Some((_, name)) = labels {
                others.push(name);
            }
            continue;
        };
        let labels = array(labels)?;
        if labels.is_none() && role == Role::Train && !unused {
            let what = format!("{name} has no labels beside it, expected an array such as y_train or train_labels");
            return Err(bad(what, "save the labels under that name, with numpy.savez"));
        }
        let part = part(path, role, name, images, labels, options, &mut found.names)?;
        found.notes.push(format!(
            "{}: {} of {}{}",
            part.name,
            counted(part.values.len() / part.shape.len(), "image", "images"),
            part.shape,
            if part.role.is_none() { ", without labels" } else { "" }
        ));
        parts.push(part);
    }
    if parts.is_empty() {
        let what = format!(
            "holds {}, expected arrays such as x_train and y_train, or train_images and train_labels",
            listed(&names)
        );
        return Err(bad(what, "save them under these names, with numpy.savez"));
    }
    if !others.is_empty() {
        found.notes.push(format!("not understood and passed over: {}", listed(&others)));
    }
    add(path, parts, options, &mut found)?;
    Ok(found)
}

#[derive(Clone, Copy)]
enum Kind {
    Images = 0,
    Labels = 1,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Images => "images",
            Kind::Labels => "labels",
        }
    }
}

/// What the array of this name holds.
fn understood(name: &str) -> Option<(Role, Kind)> {
    let name = name.to_ascii_lowercase();
    let (mut role, mut kind) = (None, None);
    for word in name.split(['_', '-', '.']) {
        let next_kind = match word {
            "x" | "images" | "image" | "imgs" | "data" | "pixels" => Some(Kind::Images),
            "y" | "labels" | "label" | "targets" | "target" | "classes" => Some(Kind::Labels),
            _ => None,
        };
        match (next_kind, Role::of(word)) {
            (Some(next), _) if kind.is_none() => kind = Some(next),
            (_, Some(next)) if role.is_none() => role = Some(next),
            // numpy.savez(file, images, labels)
            _ if name == "arr_0" => return Some((Role::Train, Kind::Images)),
            _ if name == "arr_1" => return Some((Role::Train, Kind::Labels)),
            _ => return None,
        }
    }
    Some((role.unwrap_or(Role::Train), kind?))
}

fn part(
    path: &Path,
    role: Role,
    name: String,
    images: Npy,
    labels: Option<(String, Npy)>,
    options: &Options,
    names: &mut Names,
) -> Result<Images, DataError> {
    let (shape, layout) = image_shape(&images, options)
        .map_err(|(what, hint)| DataError::contents(path, format!("{name} {what}"), Some(hint)))?;
    let n = images.dims[0];
    let labels = match labels {
        None => None,
        Some((labels_name, labels)) => {
            let bad = |what: String, hint| DataError::contents(path, format!("{labels_name} {what}"), Some(hint));
            // numpy saves a single value with no dimension at all.
            let Some(&count) = labels.dims.first() else {
                return Err(bad(ONE_VALUE.to_owned() + "labels: [N]", "save one label for each image"));
            };
            if count != n {
                let (labels, images) = (counted(count, "label", "labels"), counted(n, "image", "images"));
                let what = format!("holds {labels}, {name} {images}, expected as many labels as images");
                return Err(bad(what, "save both anew"));
            }
            Some(classes(&labels, names).map_err(|(what, hint)| bad(what, hint))?)
        }
    };
    let type_name = images.type_name();
    let Some(values) = images.into_values() else {
        return Err(DataError::contents(path, format!("{name} holds {type_name}, expected numbers"), None));
    };
    let role = labels.is_some().then_some(role);
    Ok(Images { role, name, shape, layout, values, labels: labels.unwrap_or_default(), groups: vec![], on_side: false })
}

/// The start of a sentence on an array without dimensions.
const ONE_VALUE: &str = "is a single value without dimensions, expected ";

/// A sentence without a subject, and the remedy.
type Refusal = (String, &'static str);

/// What the dimensions of an array of images mean.
pub(crate) fn image_shape(array: &Npy, options: &Options) -> Result<(ImageShape, Layout), Refusal> {
    let shape = |channels, height, width| ImageShape { channels, height, width };
    match array.dims[..] {
        [] => Err((
            ONE_VALUE.to_owned() + "images: [N, H, W] or [N, H, W, C]",
            "save the images in one array of three or four dimensions",
        )),
        [_, numbers] => flat_shape(numbers, options).map(|shape| (shape, Layout::First)).ok_or_else(|| {
            let what = format!(
                "holds {numbers} numbers for each image, which are no square, expected [N, H, W] or [N, H, W, C]"
            );
            (what, "save it as [N, H, W, C], or say size = [height, width]")
        }),
        [_, height, width] => Ok((shape(1, height, width), Layout::First)),
        [_, height, width, channels @ (1 | 3 | 4)] if height > channels => {
            Ok((shape(channels, height, width), Layout::Last))
        }
        [_, channels @ (1 | 3 | 4), height, width] => Ok((shape(channels, height, width), Layout::First)),
        [_, _, _, _] => Err((
            format!(
                "is {}: volumes (3D), expected images: [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels",
                times(&array.dims)
            ),
            "choose one slice of each volume, or a set of flat images",
        )),
        _ => Err((
            format!("is {}, expected images: [N, H, W] or [N, H, W, C]", times(&array.dims)),
            "save the images in one array of three or four dimensions",
        )),
    }
}

/// The class of each image, as the number of its name.
fn classes(labels: &Npy, names: &mut Names) -> Result<Vec<u32>, Refusal> {
    let n = labels.dims[0];
    let columns: usize = labels.dims[1..].iter().product();
    let mut words = labels.names();
    if columns == 1 {
        let mut classes = Vec::with_capacity(n);
        for (position, name) in words.enumerate() {
            let Some(name) = name else {
                let what = format!("has no class at {position} (counted from 0), expected whole numbers or names");
                return Err((what, "save one whole number for each image"));
            };
            classes.push(names.number(&name));
        }
        return Ok(classes);
    }
    let several = || {
        let what = format!(
            "is {}: several labels for an image (multi-label), expected one class: [N] or [N, 1]",
            times(&labels.dims)
        );
        (what, "tenfold tells one class from others; choose one of the labels")
    };
    // One column for each class, with a 1 in that of the image.
    let mut classes = Vec::with_capacity(n);
    for _ in 0..n {
        let mut class = None;
        for column in 0..columns {
            match words.next().flatten().as_deref() {
                Some("0") => {}
                Some("1") if class.is_none() => class = Some(column),
                _ => return Err(several()),
            }
        }
        classes.push(names.number(&class.ok_or_else(several)?.to_string()));
    }
    Ok(classes)
}
