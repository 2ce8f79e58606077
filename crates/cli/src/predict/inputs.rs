//! What is to be predicted: pictures, folders of pictures, and files and folders of arrays, in the order of typing.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use tenfold_data::{files_below, holds_pictures};

use super::unread;
use crate::failure::{Failure, USAGE};
use crate::get;

/// The most paths that are read from standard input.
const MOST_LINES: usize = 10_000_000;

/// One thing to predict.
pub(crate) enum Input {
    /// A picture file.
    Picture(PathBuf),
    /// A file or folder of arrays or tables.
    Images(PathBuf),
}

/// What the paths lead to; `-` is a list of paths on standard input, one in a line.
pub(crate) fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            for line in io::stdin().lock().lines() {
                let line = line.map_err(|reason| unread(Path::new("standard input"), &reason))?;
                if found.len() == MOST_LINES {
                    let message = format!("standard input: has more than {MOST_LINES} lines");
                    return Err(Failure::new(USAGE, message, None));
                }
                // Nobody who pipes a list wants to lose it all for one name: what is wrong is told at the end.
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    found.push(Input::Picture(line.into()));
                }
            }
            continue;
        }
        let path = get::resolve(path)?;
        let kind = fs::metadata(&path).map_err(|reason| unread(&path, &reason))?;
        match holds_pictures(&path)? {
            true if kind.is_dir() => found.extend(files_below(&path)?.into_iter().map(Input::Picture)),
            true => found.push(Input::Picture(path)),
            false => found.push(Input::Images(path)),
        }
    }
    if found.is_empty() {
        return Err(Failure::new(USAGE, "there is nothing to predict".to_owned(), None));
    }
    Ok(found)
}
