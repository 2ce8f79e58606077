//! The arithmetic of tenfold: slices in, slices out.
//!
//! One file per operation. Nothing here reads a file, starts a thread, asks the time, allocates while it computes, or
//! draws a random number; a wrong shape is a bug of the caller and panics. [`mod@reference`] holds every operation once more
//! in plain `f64` loops: that is the specification, and every kernel is tested against it on every instruction set.
//!
//! # Layouts
//!
//! * Feature maps lie in [`Planes`]: blocks of 16 channels, each `[height][width][16]`, with a border of zeros where the
//!   next convolution pads. Channels that only fill up a block are always zero.
//! * Rows (the input and output of a linear layer) are row-major `[N, features]`, features padded with zeros to a
//!   multiple of 16.
//! * Weights lie in [`Panels`] of up to 64 columns, in the order in which the sums read them.
//!
//! # Bits
//!
//! Every number is produced by a sequence of IEEE operations that depends on shapes alone. Lanes are channels or columns,
//! sums run in a fixed order with explicit fused multiply-adds, `exp` and `ln` are our own. So all instruction sets
//! ([`Isa`]) give the same bits, and so does any split of the work between threads.

pub mod activation;
mod ahead;
pub mod arena;
mod bytes16;
mod contract;
mod contract_complex;
pub mod conv2d;
pub mod conv_fft;
pub mod conv_pool;
pub mod conv_pool_forward;
pub mod conv_pool_narrow;
mod fft16;
mod isa;
mod lanes;
pub mod linear;
pub mod linear_few;
pub mod linear_lit;
mod linear_narrow;
pub mod linear_pairs;
pub mod math;
pub mod memory;
pub mod optimizer_step;
pub mod pairs;
mod panels;
pub mod peak;
pub mod pixels;
mod planes;
pub mod pool2d;
pub mod reference;
pub mod softmax_cross_entropy;
#[cfg(test)]
mod testing;

pub use ahead::Ahead;
pub use contract::Segment;
pub use isa::Isa;
pub use lanes::LANES;
pub use panels::Panels;
pub use planes::Planes;
