//! In what precision a network computes.

use serde::{Deserialize, Serialize};
use tenfold_kernels::bf16::Order;

/// What the large products are computed of.
///
/// Weights, the optimizer's state, activations, sums and losses are f32 in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// The operands of large linear layers, and of convolutions that go through the frequency domain, are rounded to
    /// bf16: eight significant bits instead of twenty-four. Products and their sums stay f32.
    Bf16,
    /// The same operands, rounded like those of `Bf16`, in the order of sums of processors with units for matrices (AMX):
    /// [`tenfold_kernels::bf16`] says which. For these it is meant; today software computes it everywhere, more slowly.
    Bf16Tile,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Bf16Tile];

    /// `f32`, `bf16` or `bf16-tile`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Bf16Tile => "bf16-tile",
        }
    }

    /// In what order products of pairs of bf16 are summed, if there are any.
    pub(crate) fn order(self) -> Option<Order> {
        match self {
            Precision::F32 => None,
            Precision::Bf16 => Some(Order::Chain),
            Precision::Bf16Tile => Some(Order::Tiles),
        }
    }

    /// Whether it is f32.
    pub fn is_f32(&self) -> bool {
        *self == Precision::F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_in_files() {
        for precision in Precision::ALL {
            let written = serde_json::to_string(&precision).expect("a name");
            assert_eq!(written, format!("{:?}", precision.name()));
            assert_eq!(serde_json::from_str::<Precision>(&written).ok(), Some(precision));
        }
    }
}
