//! Who works on what, told by files: a lease says that somebody does, and is renewed as long as that is so.
//!
//! Clocks of machines are not compared: a lease that somebody has seen unchanged for [`STALE`] by their own clock is
//! theirs to take over. What it rests on: that of several who make a file with `O_EXCL` one succeeds, that a rename is
//! one step, and that a file that is opened is read as it was last synced. Local file systems and NFS from version 3 on
//! promise that.
//!
//! A lease spares work; it does not guard the bits. Two who train the same trial publish the same.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::folder::bounded;

/// How often a lease is renewed.
pub(crate) const RENEW: Duration = Duration::from_secs(5);

/// How long a lease must be seen unchanged before it is taken over.
pub const STALE: Duration = Duration::from_secs(45);

/// More bytes are no lease.
const MOST_BYTES: u64 = 4096;

/// What a lease says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseRecord {
    /// For people: machine and process.
    pub holder: String,
    /// Differs for any two leases.
    id: String,
    /// How often it was renewed.
    renewals: u64,
}

/// Held until it is dropped.
pub(crate) struct Lease {
    path: PathBuf,
    id: String,
    stop: Option<Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lease; none if somebody has it. It is renewed from here on.
    pub(crate) fn take(path: &Path, holder: &str) -> io::Result<Option<Lease>> {
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let id = format!("{}-{nanos:x}", std::process::id());
        let mut record = LeaseRecord { holder: holder.to_owned(), id: id.clone(), renewals: 0 };
        let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Err(error) = file.write_all(&text(&record)) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        let (stop, stopped) = channel();
        let renewing = spawn(move || {
            while stopped.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                // Nothing is lost where it fails: the next time may do, and else somebody takes over.
                let _ = renew(&mut file, &mut record);
            }
        });
        Ok(Some(Lease { path: path.to_owned(), id, stop: Some(stop), renewing: Some(renewing) }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
        if is_of(&self.path, &self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Counts on in the file that was made, which nobody else writes: so that takes no room on a disk that is full, nor the lease
/// of who has taken over, whose file is another.
fn renew(file: &mut File, record: &mut LeaseRecord) -> io::Result<()> {
    record.renewals += 1;
    file.rewind()?;
    // Never shorter than before.
    file.write_all(&text(record))?;
    // Where the folder is shared over a network, others see it from here on.
    file.sync_data()
}

fn text(record: &LeaseRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("names and numbers are plain values")
}

fn is_of(path: &Path, id: &str) -> bool {
    read(path).is_some_and(|record| record.id == id)
}

/// What the lease says; none if there is none, or nothing in it yet.
pub(crate) fn read(path: &Path) -> Option<LeaseRecord> {
    serde_json::from_slice(&bounded(path, MOST_BYTES).ok()?).ok()
}

/// What was seen of leases of others.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<PathBuf, Sight>);

struct Sight {
    contents: Vec<u8>,
    since: Instant,
    /// Whether it was renewed while it was watched.
    alive: bool,
}

impl Seen {
    /// Looks at a lease, and tells whether it has been the same for as long as makes it `stale`.
    pub(crate) fn is_stale(&mut self, path: &Path, stale: Duration) -> bool {
        let Ok(contents) = bounded(path, MOST_BYTES) else {
            self.0.remove(path);
            return false;
        };
        let now = Instant::now();
        match self.0.get_mut(path) {
            Some(sight) if sight.contents == contents => now.duration_since(sight.since) >= stale,
            Some(sight) => {
                *sight = Sight { contents, since: now, alive: true };
                false
            }
            None => {
                self.0.insert(path.to_owned(), Sight { contents, since: now, alive: false });
                false
            }
        }
    }

    /// Whether it was seen to be renewed.
    pub(crate) fn is_alive(&self, path: &Path) -> bool {
        self.0.get(path).is_some_and(|sight| sight.alive)
    }

    /// Removes a lease that was seen to be stale, unless somebody else just did.
    pub(crate) fn remove(&mut self, path: &Path) {
        let Some(sight) = self.0.remove(path) else { return };
        let aside = path.with_extension(format!("stale-{}", std::process::id()));
        if fs::rename(path, &aside).is_err() {
            return;
        }
        // Not that of one who was faster: then it is put back, if there is no other by now.
        if bounded(&aside, MOST_BYTES).is_ok_and(|found| found != sight.contents) {
            let _ = fs::hard_link(&aside, path);
        }
        let _ = fs::remove_file(&aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch;

    #[test]
    fn a_lease_is_held_by_one_and_given_back() {
        let scratch = scratch("lease");
        let path = scratch.path().join(".seed-1.lease");
        let lease = Lease::take(&path, "a, process 1").unwrap().expect("nobody has it");
        assert!(Lease::take(&path, "b, process 2").unwrap().is_none());
        assert_eq!(read(&path).map(|record| record.holder).as_deref(), Some("a, process 1"));
        drop(lease);
        assert!(!path.exists());
        let again = Lease::take(&path, "b, process 2").unwrap().expect("it was given back");
        // Taken over by a third: it is not this one's to remove.
        fs::write(&path, text(&LeaseRecord { holder: "c".to_owned(), id: "c".to_owned(), renewals: 0 })).unwrap();
        drop(again);
        assert!(path.exists());
    }

    #[test]
    fn a_lease_is_renewed_in_the_file_that_was_made_and_in_no_other() {
        let scratch = scratch("lease-renewed");
        let path = scratch.path().join(".seed-1.lease");
        let mut record = LeaseRecord { holder: "a".to_owned(), id: "1".to_owned(), renewals: 8 };
        let mut file = File::create(&path).unwrap();
        file.write_all(&text(&record)).unwrap();
        let mut seen = Seen::default();
        // The number gets longer.
        for renewals in 9..12 {
            assert!(!seen.is_stale(&path, Duration::ZERO), "it is another each time");
            renew(&mut file, &mut record).unwrap();
            assert_eq!(read(&path).map(|record| record.renewals), Some(renewals));
        }
        assert!(seen.is_alive(&path));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing is beside it, whole or half made");
        // Taken over meanwhile: the other's is left alone.
        fs::rename(&path, path.with_extension("aside")).unwrap();
        fs::write(&path, "of another").unwrap();
        renew(&mut file, &mut record).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"of another");
    }

    #[test]
    fn a_lease_that_is_not_renewed_is_taken_over_and_no_other() {
        let scratch = scratch("lease-stale");
        let path = scratch.path().join(".seed-1.lease");
        // As one leaves it who is killed.
        fs::write(&path, "").unwrap();
        let mut seen = Seen::default();
        assert!(!seen.is_stale(&path, Duration::ZERO), "it is seen for the first time");
        assert!(seen.is_stale(&path, Duration::ZERO) && !seen.is_stale(&path, STALE));
        fs::write(&path, "renewed").unwrap();
        assert!(!seen.is_stale(&path, Duration::ZERO) && seen.is_alive(&path));
        // Somebody else takes over between looking and removing.
        fs::write(&path, "of another").unwrap();
        seen.remove(&path);
        assert_eq!(fs::read(&path).unwrap(), b"of another");
        seen.is_stale(&path, STALE);
        seen.remove(&path);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left");
    }
}
