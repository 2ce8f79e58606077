//! Finds the study that a person names.

use std::ffi::OsStr;
use std::path::Path;

use tenfold_study::{Study, nearest};

use crate::args::GivenArgs;
use crate::failure::{Failure, USAGE};

/// The built-in study that repeats a published one.
pub(crate) const DIGITS: &str = "digits";

/// The built-in study for images of people's own.
pub(crate) const IMAGES: &str = "images";

/// The study that a person names, or of none the built-in one for the images; and whether it is a built-in one.
pub(crate) fn find(name: Option<&OsStr>, given: &GivenArgs) -> Result<(Study, bool), Failure> {
    let name = name.unwrap_or(OsStr::new(if given.data.is_some() { IMAGES } else { DIGITS }));
    if let Some(study) = name.to_str().and_then(Study::built_in) {
        return Ok((study, true));
    }
    let path = Path::new(name);
    let looks_like_a_file = path.extension().is_some() || path.components().count() > 1 || path.is_file();
    if looks_like_a_file {
        return Ok((Study::read(path)?, false));
    }
    let text = name.to_string_lossy();
    let hint = match nearest(&text, Study::BUILT_IN) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("built in is {}; a study of your own is a .toml file", Study::BUILT_IN.join(", ")),
    };
    Err(Failure::new(USAGE, format!("there is no study {text:?}"), Some(hint)))
}
