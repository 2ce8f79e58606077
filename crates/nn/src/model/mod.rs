//! Layers, architectures, and models: an architecture with its parameters.

mod architecture;
mod block;
mod folded;
mod init;
mod layer;
mod parameters;
mod whiten;

pub use architecture::{Architecture, ArchitectureError, LayerInfo, ParamKind, ParamSpec, Shape, Source};
#[cfg(test)]
pub(crate) use block::blocks;
pub use block::{Block, BlockText, layer_count};
pub use init::Init;
pub use layer::{Layer, LayerError, Padding};
pub use parameters::{Model, ModelError};
pub(crate) use parameters::{pack, places, unpack};
