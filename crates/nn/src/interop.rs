//! Other programs' formats.

pub mod model_file;
pub mod onnx;
pub mod safetensors;
