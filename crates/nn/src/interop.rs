//! Other programs' formats.

pub mod onnx;
pub mod safetensors;
