//! Which pixels a unit can see.

use crate::model::Architecture;
use std::ops::Range;

/// The pixels that a unit can see: a rectangle, cut off at the image's border.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Rows of the image.
    pub rows: Range<usize>,
    /// Columns of the image.
    pub columns: Range<usize>,
}

/// What the unit at (`row`, `column`) of layer number `layer`'s output can see. A unit behind a linear or flatten layer
/// sees the whole image.
pub fn receptive_field(architecture: &Architecture, layer: usize, (row, column): (usize, usize)) -> Field {
    let _ = (architecture, layer, row, column);
    unimplemented!()
}
