//! Other programs' formats.

pub mod safetensors;
