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
///
/// None of them may be `out`, which would be written over.
pub(crate) fn inputs(paths: &[PathBuf], out: Option<&Path>) -> Result<Vec<Input>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let before = found.len();
            for (n, line) in io::stdin().lock().split(b'\n').enumerate() {
                let line = line.map_err(|reason| unread(Path::new("standard input"), &reason))?;
                if line.contains(&0) {
                    let message =
                        format!("standard input: line {} has a zero byte in it, expected one path in a line", n + 1);
                    let hint = "leave out -print0, --null or the like of the program that lists the files".to_owned();
                    return Err(Failure::new(USAGE, message, Some(hint)));
                }
                if found.len() == MOST_LINES {
                    let message = format!("standard input: has more than {MOST_LINES} lines");
                    return Err(Failure::new(USAGE, message, None));
                }
                // Nobody who pipes a list wants to lose it all for one name: what is wrong is told at the end.
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                if !line.is_empty() {
                    found.push(Input::Picture(path_of(line)));
                }
            }
            if found.len() == before {
                return Err(Failure::new(
                    USAGE,
                    "standard input: names no file, expected a path in each line".to_owned(),
                    None,
                ));
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
    if let Some(out) = out.and_then(|out| out.canonicalize().ok()) {
        let is_out = |input: &Input| match input {
            Input::Picture(path) | Input::Images(path) => path.canonicalize().is_ok_and(|path| path == out),
        };
        if found.iter().any(is_out) {
            let message = format!("--out {}: is one of the files to predict", out.display());
            return Err(Failure::new(USAGE, message, Some("write to another file".to_owned())));
        }
    }
    if found.is_empty() {
        return Err(Failure::new(USAGE, "there is nothing to predict".to_owned(), None));
    }
    Ok(found)
}

/// A path of any bytes.
#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}
