//! Convolutions: directly, by Fourier transform, in tiles, of each channel by itself, and together with the max-pooling and
//! ReLU that follow.

mod complex_sum;
pub mod depthwise;
pub mod direct;
pub mod fft;
mod fft16;
pub mod pooled;
pub mod winograd;
