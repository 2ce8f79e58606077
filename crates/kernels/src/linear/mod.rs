//! Linear layers: in general, in bf16, over pixels of which most are zero, and with few outputs.

pub mod bf16;
pub mod dense;
mod dense_small_out;
mod dot;
pub mod nonzero;
pub mod small_out;
