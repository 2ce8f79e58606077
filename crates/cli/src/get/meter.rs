//! How far a file is: a bar on a terminal, elsewhere now and then a line.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::size;
use crate::progress;

/// How often there is a line.
const CALM: Duration = Duration::from_secs(15);

pub(crate) struct Meter {
    bar: ProgressBar,
    name: &'static str,
    all: Option<u64>,
    say: fn(&str),
    told: Instant,
}

impl Meter {
    /// For a file of `all` bytes, where that is known.
    pub(crate) fn new(name: &'static str, all: Option<u64>, say: fn(&str)) -> Meter {
        Meter { bar: progress::bytes_bar(name, all), name, all, say, told: Instant::now() }
    }

    /// A transfer begins behind this many bytes, which tell nothing of its speed.
    pub(crate) fn begin(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }

    /// This many bytes are there.
    pub(crate) fn at(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        if self.bar.is_hidden() && self.told.elapsed() > CALM {
            let of = self.all.map_or(String::new(), |all| format!(" of {}", size(all)));
            (self.say)(&format!("  {}: {}{of}", self.name, size(bytes)));
            self.told = Instant::now();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
