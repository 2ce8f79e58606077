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

/// Longest message that is shown: what a person typed or wrote into a file may be of any length.
const LONGEST: usize = 4000;

/// A message that quotes what comes from outside, without anything that steers a terminal but line ends.
pub(crate) fn plain_lines(message: &str) -> String {
    let mut text: String =
        message.chars().take(LONGEST).map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect();
    if message.chars().nth(LONGEST).is_some() {
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cannot_steer_the_terminal_or_fill_it() {
        assert_eq!(plain_lines("a \u{1b}[31mred\nb"), "a ?[31mred\nb");
        assert_eq!(plain_lines(&"x".repeat(5000)).len(), LONGEST + 4);
    }
}
