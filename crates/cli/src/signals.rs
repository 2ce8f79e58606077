//! Ctrl-C and SIGTERM: the first asks to stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, IO, SIGNAL};

/// Says whether a signal has come.
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From here on signals are noticed.
    pub(crate) fn watch() -> Result<Signals, Failure> {
        let (came, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it for the second.
            flag::register_conditional_shutdown(signal, i32::from(SIGNAL) + signal, Arc::clone(&came))
                .and_then(|_| flag::register(signal, Arc::clone(&came)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&number), signal as usize))
                .map_err(|error| Failure::new(IO, format!("signals cannot be watched: {error}"), None))?;
        }
        Ok(Signals(number))
    }

    /// Exit code for the signal that came, if one did.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(SIGNAL + signal as u8),
        }
    }
}
