//! What a processor can do at once: instruction sets, the choice between them, and vectors of sixteen lanes.

pub(crate) mod bytes16;
pub(crate) mod isa;
pub(crate) mod lanes;
pub mod peak;
