//! The arithmetic of tenfold: slices in, slices out.
//!
//! One file per operation. Nothing here reads a file, starts a thread, asks the time, allocates while it computes, or
//! chooses a random number ([`dropout`] is told which); a wrong shape is a bug of the caller and panics.
//! [`mod@reference`] holds every operation once more in plain `f64` loops: that is the specification, and every kernel
//! is tested against it on every instruction set.
//!
//! ```
//! use tenfold_kernels::arena::Columns;
//! use tenfold_kernels::linear::dense::{LinearWeight, Sums, linear_forward};
//! use tenfold_kernels::{Isa, LANES};
//!
//! // y = x W + b, for two rows of three inputs and two outputs.
//! let layout = LinearWeight { in_features: 3, out_features: 2 };
//! let mut weight = vec![0.0; layout.len()];
//! for (input, row) in [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]].into_iter().enumerate() {
//!     for (output, value) in row.into_iter().enumerate() {
//!         weight[layout.index(input, output)] = value;
//!     }
//! }
//! // Outputs are padded to whole vectors.
//! let padded = layout.padded_outputs();
//! let mut bias = vec![0.0; padded];
//! bias[..2].copy_from_slice(&[0.5, -0.5]);
//! let x = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
//! let mut y = vec![0.0; 2 * padded];
//!
//! let sums = Sums::over_all_inputs(layout, 0..padded / LANES);
//! let mut columns = Columns::new(&mut y, padded, padded);
//! linear_forward(Isa::detect(), layout, &sums, &x, 3, 2, &weight, &bias, &mut columns);
//! assert_eq!(y[..2], [1.5, 3.5]);
//! assert_eq!(y[padded..][..2], [6.5, 14.5]);
//! ```
//!
//! # Layouts
//!
//! * Feature maps lie in [`Planes`]: blocks of 16 channels, each `[height][width][16]`, with a border of zeros where
//!   the next convolution pads. Channels that only fill up a block are always zero.
//! * Rows (the input and output of a linear layer) are row-major `[N, features]`, features padded with zeros to a
//!   multiple of 16.
//! * Weights lie in [`Panels`] of up to 64 columns, in the order in which the sums read them.
//!
//! # Bits
//!
//! Every number is produced by a sequence of IEEE operations that depends on shapes alone. Lanes are channels or
//! columns, sums run in a fixed order with explicit fused multiply-adds, `exp` and `ln` are our own. So all instruction
//! sets ([`Isa`]) give the same bits, and so does any split of the work between threads.

pub mod activation;
pub mod arena;
pub mod augment;
pub mod batch_norm;
pub mod bf16;
mod contract;
pub mod conv;
pub mod dropout;
pub mod gated;
pub mod linear;
pub mod math;
pub mod memory;
pub mod optimizer_step;
pub mod orthogonal;
mod panels;
pub mod pixels;
mod planes;
pub mod pool;
mod prefetch;
pub mod reference;
pub mod simd;
pub mod softmax_cross_entropy;
pub mod sum;
#[cfg(test)]
mod testing;
pub mod windows;

pub use contract::Segment;
pub use panels::Panels;
pub use planes::Planes;
pub use prefetch::Prefetch;
pub use simd::isa::Isa;
pub use simd::lanes::LANES;
