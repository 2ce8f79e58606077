//! In what precision a network computes.

use serde::{Deserialize, Serialize};

/// What the large products are computed of.
///
/// Weights, the optimizer's state, activations, sums and losses are f32 in either case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// The operands of large linear layers, and of convolutions that go through the frequency domain, are rounded to
    /// bf16: eight significant bits instead of twenty-four. Products and their sums stay f32.
    Bf16,
}

impl Precision {
    /// `f32` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Whether it is f32.
    pub fn is_f32(&self) -> bool {
        *self == Precision::F32
    }
}
