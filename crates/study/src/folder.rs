//! A run folder: held by one process at a time, and written so that a file is either the old one or the new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Marks a folder as ours and says which process holds it.
const LOCK: &str = ".tenfold.lock";

/// Holds room for what a training will write beyond its files; a file that holds room for one of them has this name and a number.
const REST: &str = ".tenfold.reserve";

/// Blocks of folders, and such.
const REST_BYTES: u64 = 32 << 10;

/// The name of a file that holds room for another.
fn reserved(n: usize) -> String {
    format!("{REST}-{n}")
}

/// Why a run folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The system refuses an operation.
    #[error("{}: cannot {operation}: {reason}", .path.display())]
    Io {
        /// On what.
        path: PathBuf,
        /// What was tried, such as "write the file".
        operation: &'static str,
        /// What the system says.
        reason: io::Error,
    },
    /// The file system is too full for what is to be written.
    #[error(
        "{}: there is no room for what {what} will write: {needed} bytes are needed and {} are free; make room, or choose \
         another folder with --out", .path.display(), .free.map_or("fewer".to_owned(), |free| free.to_string())
    )]
    Room {
        /// The folder.
        path: PathBuf,
        /// Whose files, such as "the training of mlp seed 1".
        what: String,
        /// All that they take.
        needed: u64,
        /// What there is, where that is known.
        free: Option<u64>,
    },
    /// Another process holds the folder.
    #[error("{}: is in use by {holder}; wait for it to end, or choose another folder with --out", .path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// "process 123", as far as it is known.
        holder: String,
        /// Whether others share it, as workers do and who only looks, so that none of them writes the study's files.
        shared: bool,
    },
    /// The folder holds something else.
    #[error("{}: holds a {file} that was not written by a run; choose another folder with --out", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What would be overwritten.
        file: &'static str,
    },
    /// The folder is no longer there.
    #[error(
        "{}: was removed or replaced by another folder while it was in use; nothing more is written there", .path.display()
    )]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// The record of an earlier run cannot be read.
    #[error(
        "{}: cannot be read as a record, so that its count of looks at the test images would be lost; put the file back, \
         or remove it to count from the trainings that are there", .path.display()
    )]
    Count {
        /// The record.
        path: PathBuf,
    },
}

/// The folder of a run, held by this process until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The lock ends with the file, however the process ends.
    lock: File,
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

impl RunFolder {
    /// Makes the folder if need be, and takes hold of it.
    ///
    /// # Errors
    /// If the folder cannot be made or written, is held by another process, or holds a run's files without being a run
    /// folder.
    pub fn open(path: &Path) -> Result<RunFolder, FolderError> {
        let error =
            |operation: &'static str| move |reason| FolderError::Io { path: path.to_owned(), operation, reason };
        create_folder(path).map_err(error("make the folder"))?;
        let lock_path = path.join(LOCK);
        if !lock_path.exists()
            && let Some(file) =
                ["study.toml", "results.json", "trials", "pictures"].into_iter().find(|file| path.join(file).exists())
        {
            return Err(FolderError::Foreign { path: path.to_owned(), file });
        }
        let failed = |operation| move |reason| FolderError::Io { path: lock_path.clone(), operation, reason };
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(failed.clone()("open the file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Workers share the lock, and write no number.
                let (holder, shared) = match lock.try_lock_shared() {
                    Ok(()) => ("workers (`tenfold status` names them)".to_owned(), true),
                    Err(_) => (holder(&lock), false),
                };
                return Err(FolderError::Held { path: path.to_owned(), holder, shared });
            }
            Err(TryLockError::Error(reason)) => return Err(failed("lock the file")(reason)),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .and_then(|()| sync_folder(path))
            .map_err(failed("write the file"))?;
        let folder = RunFolder {
            path: path.to_owned(),
            lock,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        // What a run that was killed had reserved.
        folder.reserves().iter().try_for_each(|(_, name)| folder.remove(name))?;
        Ok(folder)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` to `file`, a path within the folder.
    ///
    /// They go to a temporary name, are synced, and take the file's name; then the folder is synced. Whatever happens
    /// meanwhile, the file is the whole old one or the whole new one.
    ///
    /// # Errors
    /// If the folder or the file cannot be made, written or synced.
    ///
    /// # Panics
    /// If `file` has no name.
    pub fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FolderError> {
        self.write_into(None, file.as_ref(), bytes)
    }

    /// [`RunFolder::write`], the temporary file being one that is there and has room, if one is given.
    fn write_into(&self, reserve: Option<&Path>, file: &Path, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.within(file);
        let folder = path.parent().unwrap_or(&self.path);
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        // Only this process writes here, so the name need not be unique, and what a killed run left is overwritten.
        let temporary = folder.join(format!(".{name}.tmp"));
        let error = |operation| {
            let path = path.clone();
            move |reason| FolderError::Io { path, operation, reason }
        };
        self.check_is_there()?;
        self.permit().and_then(|()| create_folder(folder)).map_err(error("make its folder"))?;
        let create = || match reserve {
            None => File::create(&temporary),
            Some(reserve) => {
                fs::rename(reserve, &temporary)?;
                OpenOptions::new().write(true).open(&temporary)
            }
        };
        let written = self.permit().and_then(|()| create()).and_then(|mut file| {
            self.permit().inspect_err(|_| drop(file.write_all(&bytes[..bytes.len() / 2])))?;
            fill(&mut file, bytes, reserve.is_some())?;
            self.permit().and_then(|()| file.sync_all())
        });
        written.and_then(|()| self.give_name(&temporary, &path)).map_err(|reason| {
            self.clean_up(|| fs::remove_file(&temporary));
            error("write the file")(reason)
        })
    }

    /// Gives what is called `from` the name `to`, and makes that last.
    fn give_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.permit()?;
        #[cfg(test)]
        self.faults.about_to_rename(from, to);
        fs::rename(from, to)?;
        self.permit()?;
        sync_folder(to.parent().unwrap_or(&self.path))?;
        #[cfg(test)]
        self.faults.synced();
        Ok(())
    }

    /// An error if the folder is no longer the one that was opened: a new one of its name would not be held by this
    /// process, and lack what was in this one.
    fn check_is_there(&self) -> Result<(), FolderError> {
        let there = same_file(&self.path.join(LOCK), &self.lock).unwrap_or(false);
        if there { Ok(()) } else { Err(FolderError::Gone { path: self.path.clone() }) }
    }

    /// Removes `file`, a path within the folder, if it is there.
    ///
    /// # Errors
    /// If the file is there and cannot be removed, or its folder not be synced.
    pub fn remove(&self, file: impl AsRef<Path>) -> Result<(), FolderError> {
        let path = self.within(file.as_ref());
        match self.permit().and_then(|()| fs::remove_file(&path)) {
            Ok(()) => {
                let synced = sync_folder(path.parent().unwrap_or(&self.path));
                synced.map_err(|reason| FolderError::Io { path, operation: "sync its folder", reason })
            }
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(reason) => Err(FolderError::Io { path, operation: "remove the file", reason }),
        }
    }

    /// Makes sure that files of these sizes at most can be written to the folder later, by [`RunFolder::write_reserved`], whatever
    /// else takes room meanwhile: until [`RunFolder::give_back`] it holds them. `what` will write them. What a folder and names
    /// take beyond that is held too, until [`RunFolder::give_back_rest`].
    pub(crate) fn reserve(&self, sizes: &[u64], what: &str) -> Result<(), FolderError> {
        self.check_is_there()?;
        let sizes = || sizes.iter().copied().chain([REST_BYTES]);
        // Bytes that no file system makes smaller: what is held is to be there in full.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut block = vec![0; 1 << 16];
        let mut held = 0;
        for (n, size) in sizes().enumerate() {
            let path = self.within(Path::new(&if n + 1 == sizes().count() { REST.to_owned() } else { reserved(n) }));
            let file = self.permit().and_then(|()| File::create(&path)).map_err(|reason| (reason, "make the file"));
            let filled = file.and_then(|mut file| {
                let end = held + size;
                let mut fill = || {
                    while held < end {
                        for bytes in block.chunks_exact_mut(8) {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            bytes.copy_from_slice(&state.to_le_bytes());
                        }
                        let length = (end - held).min(block.len() as u64) as usize;
                        match file.write(&block[..length]) {
                            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                            Ok(written) => held += written as u64,
                            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
                            Err(reason) => return Err(reason),
                        }
                    }
                    self.permit()?;
                    file.sync_all()
                };
                fill().map_err(|reason| (reason, "reserve room in the file"))
            });
            let Err((reason, operation)) = filled else { continue };
            self.give_back();
            let needed = sizes().sum();
            return Err(match reason.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    // A file system over a network may find out no sooner than when it syncs.
                    let free = (held < needed).then_some(held);
                    FolderError::Room { path: self.path.clone(), what: what.to_owned(), needed, free }
                }
                _ => FolderError::Io { path, operation, reason },
            });
        }
        Ok(())
    }

    /// [`RunFolder::write`] into a file that was reserved, the smallest that has room, which becomes this one. So nobody can
    /// take that room, as they could if it were given back first.
    pub(crate) fn write_reserved(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FolderError> {
        let fitting = self.reserves().into_iter().filter(|(size, name)| *size >= bytes.len() as u64 && name != REST);
        let smallest = fitting.min().map(|(_, name)| self.within(Path::new(&name)));
        self.write_into(smallest.as_deref(), file.as_ref(), bytes)
    }

    /// The sizes and names of what is reserved.
    fn reserves(&self) -> Vec<(u64, String)> {
        let names = self.list("").unwrap_or_default().into_iter().filter(|name| name.starts_with(REST));
        names.filter_map(|name| Some((fs::metadata(self.path.join(&name)).ok()?.len(), name))).collect()
    }

    /// Gives back what was held beyond the files that were reserved.
    pub(crate) fn give_back_rest(&self) {
        self.clean_up(|| fs::remove_file(self.within(Path::new(REST))));
    }

    /// Gives back what was reserved and not written. What cannot be given back is in nobody's way for long: the next holder
    /// of the folder does it.
    pub(crate) fn give_back(&self) {
        for (_, name) in self.reserves() {
            self.clean_up(|| fs::remove_file(self.within(Path::new(&name))));
        }
    }

    /// Makes `folder`, a path within the folder, empty.
    pub(crate) fn clear(&self, folder: &str) -> Result<(), FolderError> {
        let path = self.within(Path::new(folder));
        match self.permit().and_then(|()| fs::remove_dir_all(&path)) {
            Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::Io { path, operation: "remove the folder", reason })
            }
            _ => Ok(()),
        }
    }

    /// Whether there is something at `path` within the folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.within(Path::new(path)).exists()
    }

    /// Gives the folder `from` the name `to`, which nothing has; both lie in the same folder.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let (from, to) = (self.within(Path::new(from)), self.within(Path::new(to)));
        self.give_name(&from, &to).map_err(|reason| FolderError::Io {
            path: from,
            operation: "rename the folder",
            reason,
        })
    }

    /// Where a test lets a change of the folder fail, as on a full disk, or the process die.
    #[cfg(test)]
    fn permit(&self) -> io::Result<()> {
        self.faults.permit()
    }

    #[cfg(not(test))]
    fn permit(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes what a change that failed has left, if it can be.
    fn clean_up(&self, remove: impl FnOnce() -> io::Result<()>) {
        // Who was killed cleans up nothing.
        #[cfg(test)]
        if self.faults.dead() {
            return;
        }
        let _ = remove();
    }

    /// The contents of `file`, a path within the folder; none if it is not there.
    ///
    /// # Errors
    /// If the file is there and cannot be read, or is larger than any that a run writes, but for weights: 1 GiB.
    pub fn read(&self, file: impl AsRef<Path>) -> Result<Option<Vec<u8>>, FolderError> {
        self.read_up_to(file, MOST_BYTES)
    }

    /// [`RunFolder::read`] with another limit, in bytes.
    pub(crate) fn read_up_to(&self, file: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.within(file.as_ref());
        match bounded(&path, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(FolderError::Io { path, operation: "read the file", reason }),
        }
    }

    /// Names of what is in `folder`, a path within the folder, in order; none if it is not there.
    pub(crate) fn list(&self, folder: impl AsRef<Path>) -> Result<Vec<String>, FolderError> {
        let path = self.within(folder.as_ref());
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(reason) => return Err(FolderError::Io { path, operation: "list the folder", reason }),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    fn within(&self, file: &Path) -> PathBuf {
        assert!(
            file.components().all(|part| matches!(part, Component::Normal(_))),
            "{} leaves the folder",
            file.display()
        );
        self.path.join(file)
    }
}

/// A run folder that several processes work on: each holds it like this, and no run can take hold of it meanwhile.
#[derive(Debug)]
pub struct SharedFolder {
    path: PathBuf,
    _lock: File,
}

impl SharedFolder {
    /// Takes hold of a folder that a run has planned.
    ///
    /// # Errors
    /// If it is no run folder, or a run holds it.
    pub fn open(path: &Path) -> Result<SharedFolder, FolderError> {
        let lock_path = path.join(LOCK);
        let failed = |operation| move |reason| FolderError::Io { path: lock_path.clone(), operation, reason };
        // Where files are locked over a network, that takes one that can be written.
        let file = OpenOptions::new().read(true).write(true).open(path.join(LOCK)).map_err(failed("open the file"))?;
        match file.try_lock_shared() {
            Ok(()) => Ok(SharedFolder { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                Err(FolderError::Held { path: path.to_owned(), holder: holder(&file), shared: false })
            }
            Err(TryLockError::Error(reason)) => {
                Err(FolderError::Io { path: path.join(LOCK), operation: "lock the file", reason })
            }
        }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// "process 123", as far as the file says who has locked it.
fn holder(lock: &File) -> String {
    let mut holder = String::new();
    // The holder writes its number after it took the lock, so there may be nothing yet.
    let _ = lock.take(32).read_to_string(&mut holder);
    let holder = holder.trim().parse::<u32>();
    holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// The process that runs in the folder, if one does.
pub(crate) fn running(path: &Path) -> Option<String> {
    let file = File::open(path.join(LOCK)).ok()?;
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&file))
}

/// Makes a folder and those above it, each of them on disk before anything is in it.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_folder(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = format!("{} is a file, expected a folder; choose another folder with --out", path.display());
            Err(io::Error::new(io::ErrorKind::NotADirectory, found))
        }
        Err(error) => Err(error),
        Ok(()) => sync_folder(parent),
    }
}

/// Whether the file at `path` is this open one.
fn same_file(path: &Path, open: &File) -> io::Result<bool> {
    let (found, open) = (fs::metadata(path)?, open.metadata()?);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok((found.dev(), found.ino()) == (open.dev(), open.ino()))
    }
    #[cfg(not(unix))]
    Ok(found.file_type() == open.file_type())
}

/// Makes `bytes` all that is in a file, which has room for them already if that was `reserved`.
fn fill(file: &mut File, bytes: &[u8], reserved: bool) -> io::Result<()> {
    let written = match file.write_all(bytes) {
        // A file system may write to other blocks than those that the file has: then it is to have these back first.
        Err(reason) if reserved && reason.kind() == io::ErrorKind::StorageFull => {
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(bytes))
        }
        written => written,
    };
    written?;
    if reserved { file.set_len(bytes.len() as u64) } else { Ok(()) }
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// The most bytes of a file other than weights: `results.json` has some 20 KiB for each trial of ten classes, predictions
/// some 20 bytes for each image.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// The contents of a regular file of at most `limit` bytes; `FileTooLarge` if it has more.
pub(crate) fn bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    regular(path)?;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let found = format!("it has more than {limit} bytes, no run writes that");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, found));
    }
    Ok(bytes)
}

/// An error unless `path` is a file with an end: a pipe or a device would keep its reader waiting.
fn regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

#[cfg(test)]
pub(crate) mod faults;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[test]
    fn files_are_replaced_whole_and_leave_nothing_behind() {
        let scratch = scratch("folder-write");
        let folder = RunFolder::open(&scratch.path().join("a/b")).unwrap();
        folder.write("c/d.txt", b"one").unwrap();
        fs::write(folder.path().join("c/.d.txt.tmp"), "half a fi").unwrap();
        folder.write("c/d.txt", b"two").unwrap();
        assert_eq!(folder.read("c/d.txt").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(folder.read_up_to("c/d.txt", 3).unwrap().as_deref(), Some(&b"two"[..]));
        let error = folder.read_up_to("c/d.txt", 2).unwrap_err().to_string();
        assert!(
            error.ends_with("d.txt: cannot read the file: it has more than 2 bytes, no run writes that"),
            "{error}"
        );
        assert_eq!(folder.list("c").unwrap(), ["d.txt"]);
        folder.remove("c/d.txt").unwrap();
        folder.remove("c/d.txt").unwrap();
        assert_eq!(folder.read("c/d.txt").unwrap(), None);
        assert!(folder.list("nowhere").unwrap().is_empty());
    }

    #[test]
    fn room_is_held_until_it_is_given_back() {
        let scratch = scratch("folder-reserve");
        let folder = RunFolder::open(scratch.path()).unwrap();
        let held = |folder: &RunFolder| folder.reserves().iter().map(|(size, _)| *size).sum::<u64>();
        folder.reserve(&[200_000, 50_000], "a test").unwrap();
        assert_eq!(held(&folder), 250_000 + REST_BYTES);
        // What is written takes the smallest that has room, and the very blocks.
        #[cfg(unix)]
        let small = fs::metadata(scratch.path().join(reserved(1))).unwrap();
        folder.write_reserved("a/small", &[1; 40_000]).unwrap();
        assert_eq!(held(&folder), 200_000 + REST_BYTES);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(fs::metadata(scratch.path().join("a/small")).unwrap().ino(), small.ino());
        }
        assert_eq!(folder.read("a/small").unwrap(), Some(vec![1; 40_000]));
        folder.write_reserved("a/small", &[2; 40_000]).unwrap();
        assert_eq!((held(&folder), folder.read("a/small").unwrap()), (REST_BYTES, Some(vec![2; 40_000])));
        // Nothing is left that has room: then it is written as any other.
        folder.write_reserved("a/small", &[3; 10]).unwrap();
        assert_eq!((held(&folder), folder.read("a/small").unwrap()), (REST_BYTES, Some(vec![3; 10])));
        folder.give_back_rest();
        assert_eq!(held(&folder), 0);
        folder.reserve(&[200_000, 50_000], "a test").unwrap();
        folder.give_back();
        assert_eq!(held(&folder), 0);
        // Found out when synced, as over a network, so that nobody knows how much there is.
        folder.faults.fail(folder.faults.changes() + 5..usize::MAX);
        let error =
            folder.reserve(&[100_000, 100_000 - REST_BYTES], "the training of mlp seed 1").unwrap_err().to_string();
        let expected = "there is no room for what the training of mlp seed 1 will write: 200000 bytes are needed and fewer are \
                        free; make room, or choose another folder with --out";
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(held(&folder), 0);
        // What a killed run held is given back by the next.
        folder.faults.fail(0..0);
        folder.reserve(&[10], "a test").unwrap();
        drop(folder);
        assert_eq!(held(&RunFolder::open(scratch.path()).unwrap()), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_finds_no_room_is_not_taken_for_one_that_was_written() {
        for reserved in [false, true] {
            let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            assert!(fill(&mut full, b"bytes", reserved).is_err(), "reserved: {reserved}");
        }
    }

    #[test]
    fn a_second_holder_is_told_of_the_first() {
        let scratch = scratch("folder-lock");
        let first = RunFolder::open(scratch.path()).unwrap();
        let error = RunFolder::open(scratch.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("is in use by process {};", std::process::id())), "{error}");
        drop(first);
        RunFolder::open(scratch.path()).unwrap();
    }

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let scratch = scratch("folder-foreign");
        fs::write(scratch.path().join("study.toml"), "mine").unwrap();
        let error = RunFolder::open(scratch.path()).unwrap_err().to_string();
        assert!(error.contains("holds a study.toml that was not written by a run"), "{error}");
        assert_eq!(fs::read(scratch.path().join("study.toml")).unwrap(), b"mine");
    }

    #[test]
    fn errors_name_the_path_and_the_operation() {
        let scratch = scratch("folder-errors");
        let file = scratch.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::open(&file.join("runs")).unwrap_err().to_string();
        let reason = format!("{} is a file, expected a folder; choose another folder with --out", file.display());
        assert!(error.ends_with(&format!("file/runs: cannot make the folder: {reason}")), "{error}");
        let folder = RunFolder::open(&scratch.path().join("run")).unwrap();
        fs::create_dir(folder.path().join("results.json")).unwrap();
        let error = folder.write("results.json", b"").unwrap_err().to_string();
        assert!(error.contains("results.json: cannot write the file: "), "{error}");
        assert!(!folder.list("").unwrap().iter().any(|name| name.ends_with(".tmp")));
    }
}
