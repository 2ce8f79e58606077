//! The two streams: results go to standard output, everything else to standard error.

use std::io::{self, Write};

use crate::failure::{Failure, IO};

/// Writes results to standard output.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyListens,
        _ => Failure::new(IO, format!("standard output: cannot be written: {error}"), None),
    })
}

/// Writes a line to standard error. If it cannot be written there, there is no place to say so.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A name that comes from outside, without anything that steers a terminal.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
