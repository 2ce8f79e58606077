//! What goes on inside a trained network: its filters, what they answer to, and which pixels matter.
//!
//! Everything here reads a [`Model`](crate::model::Model) and changes nothing. A bf16 model is looked at in f32; only
//! [`silenced`] leaves the precision as it is.

mod attribution;
mod field;
mod filters;
mod responses;
#[cfg(test)]
mod testing;
mod trace;

pub use attribution::{input_gradient, occlusion};
pub use field::{Field, receptive_field};
pub use filters::{FilterLayer, filter_layers, kernels, silenced};
pub use responses::{Excited, FilterResponse, response_maps, responses};
pub use trace::{Trace, trace};
