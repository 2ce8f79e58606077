//! The gradient of the input of a linear layer with at most 16 outputs.
//!
//! A sum over so few outputs leaves lanes idle and must be drawn together across them at the end. Here lanes are
//! inputs: the block's weights are turned first.

use crate::arena::Columns;
use crate::linear::dense::BLOCK;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Vectors that hold a block of inputs.
const VECTORS: usize = BLOCK.div_ceil(LANES);

/// Rows at a time: enough for no sum to wait for its last product.
const ROWS: usize = 5;

/// [`crate::linear::dense::linear_backward_input`] for one block of `inputs` inputs, whose weights are rows of 16.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub(crate) fn backward_input(
    isa: Isa,
    inputs: usize,
    outputs: usize,
    grad_y: &[f32],
    stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    assert!(inputs <= BLOCK && outputs <= LANES && weight.len() == inputs * LANES, "a block of {inputs}x{outputs}");
    dispatch!(isa, body(inputs: usize, outputs: usize, grad_y: &[f32], stride: usize, rows: usize, weight: &[f32], grad_x: &mut Columns<'_, f32>, ahead: &mut Prefetch))
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
fn body<L: Lanes>(
    simd: L,
    inputs: usize,
    outputs: usize,
    grad_y: &[f32],
    stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    let mut turned = [[0.0_f32; VECTORS * LANES]; LANES];
    for (i, row) in weight.chunks_exact(LANES).enumerate() {
        for (column, &w) in turned[..outputs].iter_mut().zip(row) {
            column[i] = w;
        }
    }
    for n in (0..rows).step_by(ROWS) {
        ahead.ask();
        // A tile that hangs over the edge computes its last row several times and stores it once.
        let row: [&[f32]; ROWS] = std::array::from_fn(|r| &grad_y[(n + r).min(rows - 1) * stride..][..outputs]);
        let mut acc = [[simd.zero(); VECTORS]; ROWS];
        for (o, column) in turned[..outputs].iter().enumerate() {
            for v in 0..VECTORS {
                // SAFETY: a column has VECTORS whole vectors.
                let w = unsafe { simd.load(column.as_ptr().add(v * LANES)) };
                for r in 0..ROWS {
                    acc[r][v] = simd.fma(simd.splat(row[r][o]), w, acc[r][v]);
                }
            }
        }
        for r in 0..ROWS.min(rows - n) {
            let mut whole = [0.0; VECTORS * LANES];
            for v in 0..VECTORS {
                // SAFETY: VECTORS whole vectors.
                unsafe { simd.store(whole.as_mut_ptr().add(v * LANES), acc[r][v]) };
            }
            grad_x.row_mut(n + r)[..inputs].copy_from_slice(&whole[..inputs]);
        }
    }
}
