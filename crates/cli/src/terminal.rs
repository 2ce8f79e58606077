//! What the terminal can show, found out by asking it.

use std::ffi::OsStr;
use std::io::{IsTerminal, stdout};

/// How pictures can be shown on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Show {
    /// Not at all: nobody looks, or nobody wants colours.
    Nothing,
    /// Half blocks with 24-bit colour.
    HalfBlocks,
    /// DEC's sixel format.
    Sixel,
    /// The protocol of the terminal kitty.
    Kitty,
}

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// How pictures can be shown. Asks the terminal, which takes at most 0.2 seconds.
pub(crate) fn detect() -> Show {
    let variable = std::env::var_os;
    if !stdout().is_terminal() || !wanted(variable("NO_COLOR").as_deref(), variable("TERM").as_deref()) {
        return Show::Nothing;
    }
    let (multiplexer, term) = (variable("TMUX").or(variable("STY")), variable("TERM"));
    if multiplexer.is_some() || !can_be_asked(term.as_deref()) { Show::HalfBlocks } else { asked() }
}

/// Whether colours are wanted, going by the variables `NO_COLOR` (which counts unless empty) and `TERM`.
fn wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Not tmux and screen, which answer for themselves and show no pictures of others; nor the console of Linux, which
/// prints the question.
fn can_be_asked(term: Option<&OsStr>) -> bool {
    let term = term.map(OsStr::to_string_lossy).unwrap_or_default();
    !["tmux", "screen", "linux"].iter().any(|name| term.starts_with(name))
}

/// Columns of the terminal on standard output.
pub(crate) fn columns() -> usize {
    let (columns, _) = width();
    if columns > 0 { columns.into() } else { COLUMNS }
}

/// Pixels that the terminal on standard output is wide, if it says so.
pub(crate) fn pixels() -> Option<usize> {
    let (_, pixels) = width();
    (pixels > 0).then(|| pixels.into())
}

/// Columns and pixels of the terminal on standard output, 0 where it does not say.
fn width() -> (u16, u16) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(stdout()) {
        return (size.ws_col, size.ws_xpixel);
    }
    (0, 0)
}

#[cfg(not(unix))]
fn asked() -> Show {
    Show::HalfBlocks
}

#[cfg(unix)]
fn asked() -> Show {
    use std::os::fd::AsFd;

    let input = std::io::stdin();
    // In the background, to change the terminal's mode or to read from it is to be stopped.
    let in_front = || rustix::termios::tcgetpgrp(&input).is_ok_and(|group| group == rustix::process::getpgrp());
    if input.is_terminal() && in_front() { unix::ask(input.as_fd(), stdout().as_fd()) } else { Show::HalfBlocks }
}

/// May a picture of one pixel be shown by kitty's protocol? And, since only terminals that know it answer that: what
/// are you? Every terminal answers the latter, so nobody has to wait for what does not come.
const QUESTION: &[u8] = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c";

/// The answer of a terminal that knows kitty's protocol.
const KITTY: &[u8] = b"\x1b_Gi=31;OK\x1b\\";

/// Longest answer. One that is longer is none.
const LONGEST: usize = 512;

/// What the terminal's answer says so far: nothing yet, or how pictures can be shown.
///
/// A terminal answers first [`KITTY`] if it knows that protocol, then `ESC [ ? 62 ; 4 c`, where 4 among
/// the numbers means sixel. What a person types in between is passed over.
fn understood(answer: &[u8]) -> Option<Show> {
    let kitty = answer.windows(KITTY.len()).any(|part| part == KITTY);
    let attributes = answer.windows(3).enumerate().filter(|(_, start)| start == b"\x1b[?").find_map(|(at, _)| {
        let rest = &answer[at + 3..];
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';')?;
        (rest[end] == b'c').then_some(&rest[..end])
    });
    match attributes {
        Some(_) if kitty => Some(Show::Kitty),
        Some(attributes) if attributes.split(|byte| *byte == b';').skip(1).any(|number| number == b"4") => {
            Some(Show::Sixel)
        }
        Some(_) => Some(Show::HalfBlocks),
        None if answer.len() >= LONGEST => Some(Show::HalfBlocks),
        None => None,
    }
}

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    use super::{QUESTION, Show, understood};

    /// Longest time to wait for an answer.
    const PATIENCE: Duration = Duration::from_millis(200);

    /// Asks a terminal what it can show. It reads not a byte more than the answer.
    pub(super) fn ask(input: BorrowedFd, output: BorrowedFd) -> Show {
        let asked = || -> rustix::io::Result<Show> {
            let _mode = Mode::unbuffered(input)?;
            let mut question = QUESTION;
            while !question.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(output, question))?;
                question = &question[written..];
            }
            listen(input)
        };
        asked().unwrap_or(Show::HalfBlocks)
    }

    fn listen(input: BorrowedFd) -> rustix::io::Result<Show> {
        let until = Instant::now() + PATIENCE;
        let mut answer = Vec::new();
        loop {
            if let Some(show) = understood(&answer) {
                return Ok(show);
            }
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            let mut byte = [0];
            let mut ready = [PollFd::new(&input, PollFlags::IN)];
            // Interrupted by a signal, it goes on with the time that is left.
            let heard = match poll(&mut ready, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) if !left.is_zero() => continue,
                Ok(ready) => ready > 0 && rustix::io::retry_on_intr(|| rustix::io::read(input, &mut byte))? == 1,
                Err(error) => return Err(error),
            };
            if !heard {
                return Ok(Show::HalfBlocks);
            }
            answer.push(byte[0]);
        }
    }

    /// A terminal that hands on every byte at once and shows none; as it was before, when this is dropped.
    struct Mode<'fd> {
        terminal: BorrowedFd<'fd>,
        before: Termios,
    }

    impl<'fd> Mode<'fd> {
        fn unbuffered(terminal: BorrowedFd<'fd>) -> rustix::io::Result<Mode<'fd>> {
            let before = tcgetattr(terminal.as_fd())?;
            let mut mode = before.clone();
            // Without ISIG, since a Ctrl-C would end the program and leave the terminal without echo.
            mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            tcsetattr(terminal, OptionalActions::Now, &mode)?;
            Ok(Mode { terminal, before })
        }
    }

    impl Drop for Mode<'_> {
        fn drop(&mut self) {
            // If the terminal is gone, there is nothing to restore.
            let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        }
    }

    #[cfg(all(test, target_os = "linux"))]
    mod tests {
        use super::*;
        use rustix::io::{read, write};
        use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
        use std::os::fd::OwnedFd;

        /// Both ends of a pseudo terminal: the program's, and that of whoever shows it.
        fn terminal() -> (OwnedFd, OwnedFd) {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
            let far = openpt(flags).unwrap();
            grantpt(&far).unwrap();
            unlockpt(&far).unwrap();
            (ioctl_tiocgptpeer(&far, flags).unwrap(), far)
        }

        /// What is seen when the terminal answers the question with `answer`, and what is then left for others to read.
        fn asked(answer: &[u8]) -> (Show, Vec<u8>) {
            let (near, far) = terminal();
            let before = tcgetattr(&near).unwrap();
            let show = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut heard: Vec<u8> = Vec::new();
                    while heard.len() < QUESTION.len() {
                        let mut bytes = [0; 64];
                        let count = read(&far, &mut bytes).unwrap();
                        heard.extend_from_slice(&bytes[..count]);
                    }
                    assert_eq!(heard, QUESTION, "nothing is echoed");
                    for part in answer.chunks(7) {
                        write(&far, part).unwrap();
                    }
                });
                ask(near.as_fd(), near.as_fd())
            });
            let after = tcgetattr(&near).unwrap();
            assert_eq!(after.local_modes, before.local_modes, "the mode is what it was");
            assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));

            // The rest of the line, once its end is typed.
            write(&far, b"\n").unwrap();
            let mut left = Vec::new();
            while left.last() != Some(&b'\n') {
                let mut byte = [0];
                assert_eq!(read(&near, &mut byte).unwrap(), 1);
                left.push(byte[0]);
            }
            left.pop();
            (show, left)
        }

        #[test]
        fn a_terminal_is_asked_and_left_as_it_was() {
            let kitty = b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c";
            for (answer, show) in
                [(&kitty[..], Show::Kitty), (b"\x1b[?62;4;6c", Show::Sixel), (b"\x1b[?1;2c", Show::HalfBlocks)]
            {
                assert_eq!(asked(answer), (show, Vec::new()), "{answer:?}");
                let typed = [answer, b"ls -l"].concat();
                assert_eq!(asked(&typed), (show, b"ls -l".to_vec()), "what is typed after {answer:?} stays");
            }
        }

        #[test]
        fn a_terminal_that_says_nothing_or_too_much_is_not_waited_for() {
            for answer in [&b""[..], b"\x1b[?62", &[b'x'; 700]] {
                assert_eq!(asked(answer).0, Show::HalfBlocks, "{answer:?}");
            }
        }

        #[test]
        fn what_is_no_terminal_is_not_asked() {
            let file = std::fs::File::open("/dev/null").unwrap();
            assert_eq!(ask(file.as_fd(), file.as_fd()), Show::HalfBlocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let ok = "\x1b_Gi=31;OK\x1b\\";
        for (answer, show) in [
            ("\x1b[?62;4c", Some(Show::Sixel)),
            ("\x1b[?63;1;2;4;6;9;15;22c", Some(Show::Sixel)),
            ("\x1b[?1;2c", Some(Show::HalfBlocks)),
            ("\x1b[?6c", Some(Show::HalfBlocks)),
            ("\x1b[?62;14;40;44c", Some(Show::HalfBlocks)),
            // The first number is the class of the terminal: 4 is a VT132.
            ("\x1b[?4;6c", Some(Show::HalfBlocks)),
            ("\x1b[?c", Some(Show::HalfBlocks)),
            (&format!("{ok}\x1b[?62;c"), Some(Show::Kitty)),
            (&format!("{ok}\x1b[?62;4c"), Some(Show::Kitty)),
            (&format!("ls\n{ok}x\x1b[Ay\x1b[?62;4cmore"), Some(Show::Kitty)),
            ("\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[?62;4c", Some(Show::Sixel)),
            ("\x1b_Gi=32;OK\x1b\\\x1b[?62c", Some(Show::HalfBlocks)),
            // Another report, and then the one that was asked for.
            ("\x1b[?2026;2$y\x1b[?64;4c", Some(Show::Sixel)),
            ("\x1b[?62;\x1b[?64;4c", Some(Show::Sixel)),
            ("", None),
            ("garbage", None),
            ("c4;62?[", None),
            ("\x1b[62;4c", None),
            (ok, None),
        ] {
            assert_eq!(understood(answer.as_bytes()), show, "{answer:?}");
        }
    }

    #[test]
    fn a_part_of_an_answer_says_nothing_yet() {
        let whole = b"\x1b_Gi=31;OK\x1b\\\x1b[?62;22;52c";
        for length in 0..whole.len() {
            assert_eq!(understood(&whole[..length]), None, "the first {length} bytes");
        }
        assert_eq!(understood(whole), Some(Show::Kitty));
    }

    #[test]
    fn an_endless_answer_ends() {
        for bytes in [&b"\x1b[?1;"[..], b"\x1b", b"0", b"\xff"] {
            let endless: Vec<u8> = bytes.iter().copied().cycle().take(LONGEST).collect();
            assert_eq!(understood(&endless), Some(Show::HalfBlocks), "{bytes:?}");
            assert_eq!(understood(&endless[1..]), None, "{bytes:?}");
        }
    }

    #[test]
    fn colours_can_be_unwanted() {
        let os = |text: &'static str| Some(OsStr::new(text));
        assert!(wanted(None, os("xterm-256color")) && wanted(None, None) && wanted(os(""), os("xterm")));
        assert!(!wanted(os("1"), os("xterm")) && !wanted(None, os("dumb")));
    }

    #[test]
    fn some_terminals_are_not_asked() {
        let asked = |term: &'static str| can_be_asked(Some(OsStr::new(term)));
        assert!(asked("xterm-kitty") && asked("foot") && can_be_asked(None));
        assert!(!asked("screen-256color") && !asked("tmux") && !asked("linux"));
    }
}
