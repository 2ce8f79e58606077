//! Where fetched data sets are kept, each in a folder of its name: whole, or not at all.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::fault::cannot;
use super::table::DataSet;
use crate::failure::{Failure, IO};

/// The folder by the convention of the platform, or what TENFOLD_CACHE says.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    folder_by(|name| env::var_os(name)).ok_or_else(|| {
        let message = "there is no folder to keep data sets in: the environment names no home".to_owned();
        Failure::new(IO, message, Some("set TENFOLD_CACHE to a folder".to_owned()))
    })
}

fn folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification of XDG has relative paths ignored.
    let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
    let conventional = || {
        if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            absolute("HOME").map(|home| home.join("Library/Caches"))
        } else {
            absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        }
    };
    set("TENFOLD_CACHE").or_else(|| conventional().map(|folder| folder.join("tenfold")))
}

/// The folder of a data set, if it is there.
pub(crate) fn kept(cache: &Path, set: &DataSet) -> Option<PathBuf> {
    Some(cache.join(set.name)).filter(|path| path.is_dir())
}

/// A folder beside those of the data sets, in which one process at a time brings a family of them together.
pub(crate) struct Work {
    pub(crate) path: PathBuf,
    pub(crate) family: &'static str,
    /// Held, not read.
    _lock: File,
}

impl Work {
    pub(crate) fn new(cache: &Path, family: &'static str) -> Result<Work, Failure> {
        let path = cache.join(format!(".{family}.new"));
        fs::create_dir_all(&path).map_err(|reason| cannot(&path, "made", &reason))?;
        // Beside the folder, and left there: what is deleted can be locked by one and made anew by another.
        let lock_path = cache.join(format!(".{family}.lock"));
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(|reason| cannot(&lock_path, "written", &reason))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{}: another process is fetching this data set", lock_path.display());
                return Err(Failure::new(IO, message, Some("wait until it has finished".to_owned())));
            }
            // Some network folders know no locks; there checksums alone find what two processes make of one file.
            Err(TryLockError::Error(reason)) if reason.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(reason)) => return Err(cannot(&lock_path, "locked", &reason)),
        }
        Ok(Work { path, family, _lock: lock })
    }

    /// An empty folder for the files of a data set.
    pub(crate) fn assemble(&self, set: &DataSet) -> Result<PathBuf, Failure> {
        let path = self.path.join(set.name);
        match fs::remove_dir_all(&path) {
            Err(reason) if reason.kind() != ErrorKind::NotFound => return Err(cannot(&path, "emptied", &reason)),
            _ => {}
        }
        fs::create_dir(&path).map_err(|reason| cannot(&path, "made", &reason))?;
        Ok(path)
    }

    /// Gives the folder of a data set its place, now that all is in it.
    pub(crate) fn settle(&self, assembled: &Path, cache: &Path, set: &DataSet) -> Result<PathBuf, Failure> {
        let place = cache.join(set.name);
        sync(assembled).map_err(|reason| cannot(assembled, "written", &reason))?;
        fs::rename(assembled, &place).map_err(|reason| cannot(&place, "made", &reason))?;
        sync(cache).map_err(|reason| cannot(cache, "written", &reason))?;
        Ok(place)
    }

    /// Deletes what was needed on the way.
    pub(crate) fn clear(self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.path).map_err(|reason| cannot(&self.path, "deleted", &reason))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // If it is empty: what has arrived stays for the next command.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Has the names in a folder on the disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder_by(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_folder_is_the_one_that_was_set_or_the_platforms() {
        assert_eq!(by(&[("TENFOLD_CACHE", "here"), ("HOME", "/home/x")]), Some("here".into()));
        assert_eq!(by(&[]), None);
        if cfg!(target_os = "linux") {
            let home = ("HOME", "/home/x");
            assert_eq!(by(&[home]), Some("/home/x/.cache/tenfold".into()));
            assert_eq!(by(&[home, ("XDG_CACHE_HOME", "/c"), ("TENFOLD_CACHE", "")]), Some("/c/tenfold".into()));
            assert_eq!(by(&[home, ("XDG_CACHE_HOME", "relative")]), Some("/home/x/.cache/tenfold".into()));
            assert_eq!(by(&[("HOME", "")]), None);
        }
    }
}
