//! Ctrl-C and SIGTERM: the first asks to stop, the second stops at once. SIGUSR1 asks for a checkpoint.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::thread::{self, sleep};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, IO, SIGNAL};
use crate::progress;

/// Says whether a signal has come.
pub(crate) struct Signals {
    /// The one that asked to stop; 0 if none did.
    stop: Arc<AtomicUsize>,
    checkpoint: Arc<AtomicBool>,
    insisting: Once,
    /// Whether all is done that a signal would end.
    done: Arc<AtomicBool>,
}

/// How often is looked whether a signal has come, and how long what is computed then has to end by itself.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(500);

impl Signals {
    /// From here on signals are noticed.
    pub(crate) fn watch() -> Result<Signals, Failure> {
        let signals = Signals::of_checkpoints()?;
        signals.watch_stop()?;
        Ok(signals)
    }

    /// From here on who asks for a checkpoint does not end the program, though there may be nothing to write yet. What asks to
    /// stop still does, until [`Signals::watch_stop`].
    pub(crate) fn of_checkpoints() -> Result<Signals, Failure> {
        let (stop, checkpoint) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        #[cfg(unix)]
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&checkpoint)).map_err(unwatched)?;
        Ok(Signals { stop, checkpoint, insisting: Once::new(), done: Arc::default() })
    }

    /// From here on what asks to stop is noticed, and the second at once.
    pub(crate) fn watch_stop(&self) -> Result<(), Failure> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it for the second.
            flag::register_conditional_shutdown(signal, i32::from(SIGNAL) + signal, Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&self.stop), signal as usize))
                .map_err(unwatched)?;
        }
        Ok(())
    }

    /// From here on a signal ends the program within a second, whatever it computes. Called once all that was trained is on
    /// disk: what comes after it, the same command computes again, and a file is written whole or not at all, so that no moment is
    /// a bad one.
    pub(crate) fn insist(&self) {
        let (stop, done) = (Arc::clone(&self.stop), Arc::clone(&self.done));
        let wait = move || {
            let code = loop {
                sleep(LOOK);
                if let Some(code) = exit_code(&stop) {
                    break code;
                }
            };
            sleep(PATIENCE);
            if !done.load(Ordering::Relaxed) {
                progress::note_in_place_of_bars(
                    "interrupted: all that was trained is kept; the same command writes the rest of the report",
                );
                std::process::exit(code.into());
            }
        };
        self.insisting.call_once(|| drop(thread::spawn(wait)));
    }

    /// From here on nothing is left that the same command would do again: what there is to say is said to its end.
    pub(crate) fn relent(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Whether a checkpoint was asked for since this was called last.
    pub(crate) fn asked_for_checkpoint(&self) -> bool {
        // Asked between any two steps, so that the common case only reads.
        self.checkpoint.load(Ordering::Relaxed) && self.checkpoint.swap(false, Ordering::Relaxed)
    }

    /// Exit code for the signal that came, if one did.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        exit_code(&self.stop)
    }
}

fn exit_code(stop: &AtomicUsize) -> Option<u8> {
    match stop.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(SIGNAL + signal as u8),
    }
}

fn unwatched(error: std::io::Error) -> Failure {
    Failure::new(IO, format!("signals cannot be watched: {error}"), None)
}
