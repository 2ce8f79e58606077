//! Whether probabilities mean what they say: of the images that a network is 90 % sure of, nine in ten should be right.

mod measured;
mod reliability;
mod temperature;
#[cfg(test)]
mod tests;

pub use measured::{CalibrationRecord, Measured, Reliability, Said, Threshold};
pub use reliability::{Answer, BINS, Bin, Calibration, calibration};
pub use temperature::{cross_entropy, temperature};

/// Whether what computes is to end early, with whatever it has: asked from several threads, a few hundred times a second.
type Stop<'a> = dyn Fn() -> bool + Sync + 'a;
