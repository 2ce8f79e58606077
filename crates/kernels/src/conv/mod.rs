//! Convolutions: directly, by Fourier transform, and together with the ReLU and max-pooling that follow.

mod complex_sum;
pub mod direct;
pub mod fft;
mod fft16;
pub mod pooled;
pub mod pooled_forward;
pub mod pooled_small_in;
pub mod winograd;
