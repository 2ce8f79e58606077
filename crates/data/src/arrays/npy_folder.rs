//! A folder of npy files, each the images of one class, as Quick, Draw! has them.

use std::io::BufReader;
use std::path::Path;

use super::npz::image_shape;
use super::{Images, add, npy};
use crate::DataError;
use crate::collection::{Found, MAX_PIXEL_BYTES, Role, listed};
use crate::options::{NO_COLUMNS, NO_PATHS, ONE_LEVEL, Options};
use crate::progress::{Watch, Watched};
use crate::read::open;
use crate::walk::Item;

/// Reads npy files as classes, called as they are.
pub(crate) fn read(path: &Path, files: &[Item], options: &Options, watch: &mut Watch) -> Result<Found, DataError> {
    options.refuse(path, &[NO_PATHS, ONE_LEVEL, NO_COLUMNS])?;
    if let Some(item) = files.iter().find(|item| is_of_a_set(item, files)) {
        let what = format!(
            "holds {}, named as an array of several classes is, expected one npy file for each class",
            item.name
        );
        let hint = "save images and labels in one file, with numpy.savez(file, x_train=..., y_train=...)";
        return Err(DataError::contents(path, what, Some(hint)));
    }
    let mut found = Found::default();
    let mut parts = Vec::new();
    let mut left = MAX_PIXEL_BYTES;
    for item in files {
        let bad = |what: String, hint: &str| DataError::contents(&item.path, what, Some(hint));
        let file = open(&item.path)?;
        let of = file.metadata().map_err(|reason| DataError::io(&item.path, reason))?.len() as usize;
        let reader = BufReader::new(Watched { reader: file, done: 0, of, watch: &mut *watch });
        let array = npy::read(reader, left).map_err(|what| bad(what, "look at it with numpy.load"))?;
        left -= array.bytes();
        let (shape, layout) = image_shape(&array, options).map_err(|(what, hint)| bad(what, hint))?;
        let (n, type_name) = (array.dims[0], array.type_name());
        let Some(values) = array.into_values() else {
            return Err(bad(
                format!("holds {type_name}, expected images"),
                "leave only arrays of images in the folder",
            ));
        };
        if !item.utf8 {
            return Err(bad(
                "has a name that is not UTF-8".to_owned(),
                "rename it: classes are called as their files are",
            ));
        }
        let class = item.name.trim_end_matches(".npy").trim_start_matches("full_numpy_bitmap_");
        let labels = vec![found.names.number(class); n];
        parts.push(Images {
            role: Some(Role::Train),
            name: item.name.clone(),
            shape,
            layout,
            values,
            labels,
            groups: vec![],
            on_side: false,
        });
    }
    found.notes.push(format!("one npy file for each class: {}", listed(&found.names.list)));
    add(path, parts, options, &mut found)?;
    Ok(found)
}

/// Whether a file is called as the images or labels of a whole data set are, rather than as a class.
fn is_of_a_set(item: &Item, files: &[Item]) -> bool {
    let stem = |item: &Item| item.name.trim_end_matches(".npy").to_ascii_lowercase();
    let word = stem(item);
    // Beside other letters, x and y are letters too.
    let letter = |item: &Item| matches!(stem(item).as_bytes(), [letter] if !b"xy".contains(letter));
    Role::within(&word).is_some()
        || ["images", "labels"].contains(&&word[..])
        || ["x", "y"].contains(&&word[..]) && !files.iter().any(letter)
}
