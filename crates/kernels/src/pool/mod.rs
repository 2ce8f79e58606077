//! Pooling.

pub mod window;
