//! Convolutions: directly, by Fourier transform, and together with the max-pooling and ReLU that follow.

mod complex_sum;
pub mod direct;
pub mod fft;
mod fft16;
pub mod pooled;
