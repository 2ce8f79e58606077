//! Other programs' formats.

pub mod model_file;
pub mod safetensors;
