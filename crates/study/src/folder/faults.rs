//! What tests let go wrong with a folder.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Changes of a folder, and which of them fail.
#[derive(Debug)]
pub(crate) struct Faults {
    changes: AtomicUsize,
    failing: Mutex<Range<usize>>,
    /// Number of the change at which the process is killed.
    killed_at: AtomicUsize,
    dead: AtomicBool,
    /// Whether it is the power that is lost with it, and with that a new name that was not made to last.
    power: AtomicBool,
    unsynced: Mutex<Option<Renamed>>,
    /// Whether a name was lost.
    lost: AtomicBool,
}

/// A new name that may be lost.
#[derive(Debug)]
struct Renamed {
    from: PathBuf,
    to: PathBuf,
    /// The file that had the name before, if there was one.
    before: Option<Vec<u8>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            changes: AtomicUsize::new(0),
            failing: Mutex::new(0..0),
            killed_at: AtomicUsize::new(usize::MAX),
            dead: AtomicBool::new(false),
            power: AtomicBool::new(false),
            unsynced: Mutex::new(None),
            lost: AtomicBool::new(false),
        }
    }
}

impl Faults {
    /// Counts from here on; changes of these numbers find no room on the disk.
    pub(crate) fn fail(&self, changes: Range<usize>) {
        *self.failing.lock().unwrap() = changes;
    }

    /// Lets the process die at this change: from then on nothing in the folder changes.
    pub(crate) fn kill_at(&self, change: usize) {
        self.killed_at.store(change, Ordering::Relaxed);
    }

    /// Lets the power be cut at this change.
    pub(crate) fn cut_power_at(&self, change: usize) {
        self.kill_at(change);
        self.power.store(true, Ordering::Relaxed);
    }

    /// Whether a name was lost with the power.
    pub(crate) fn lost_a_name(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// `from` is about to take the name `to`.
    pub(crate) fn about_to_rename(&self, from: &Path, to: &Path) {
        let (from, to, before) = (from.to_owned(), to.to_owned(), fs::read(to).ok());
        *self.unsynced.lock().unwrap() = Some(Renamed { from, to, before });
    }

    /// That name will last.
    pub(crate) fn synced(&self) {
        *self.unsynced.lock().unwrap() = None;
    }

    /// Counts from 0 again.
    pub(crate) fn reset(&self) {
        self.changes.store(0, Ordering::Relaxed);
    }

    pub(crate) fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    pub(crate) fn dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// The next change is about to be made.
    pub(crate) fn permit(&self) -> io::Result<()> {
        let n = self.changes.fetch_add(1, Ordering::Relaxed);
        if n == self.killed_at.load(Ordering::Relaxed) {
            self.dead.store(true, Ordering::Relaxed);
            let lost = self.unsynced.lock().unwrap().take().filter(|_| self.power.load(Ordering::Relaxed));
            if let Some(Renamed { from, to, before }) = lost {
                self.lost.store(true, Ordering::Relaxed);
                fs::rename(&to, from).unwrap();
                if let Some(before) = before {
                    fs::write(to, before).unwrap();
                }
            }
        }
        if self.dead() {
            return Err(io::Error::other("the process is dead"));
        }
        if self.failing.lock().unwrap().contains(&n) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
