//! The gradient of the input of a linear layer with at most 16 outputs.
//!
//! A sum over so few outputs leaves lanes idle and must be drawn together across them at the end. Here lanes are
//! inputs: the block's weights are turned first.

use crate::arena::Columns;
use crate::linear::dense::BLOCK;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

// A block is a vector of inputs and a few in half of another.
const _: () = assert!(BLOCK > LANES && BLOCK <= LANES + LANES / 2);

/// Rows at a time: enough for no sum to wait for its last product, and as many as AVX2 has registers for.
const ROWS: usize = 4;

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
    let mut turned = [[0.0_f32; 2 * LANES]; LANES];
    for (i, row) in weight.chunks_exact(LANES).enumerate() {
        for (column, &w) in turned[..outputs].iter_mut().zip(row) {
            column[i] = w;
        }
    }
    for n in (0..rows).step_by(ROWS) {
        ahead.ask();
        // A tile that hangs over the edge computes its last row several times and stores it once.
        let row: [&[f32]; ROWS] = std::array::from_fn(|r| &grad_y[(n + r).min(rows - 1) * stride..][..outputs]);
        let mut acc = [[simd.zero(); 2]; ROWS];
        for (o, column) in turned[..outputs].iter().enumerate() {
            // SAFETY: a column has two whole vectors.
            let (w, more) = unsafe { (simd.load(column.as_ptr()), simd.load_half(column.as_ptr().add(LANES))) };
            for r in 0..ROWS {
                let g = simd.splat(row[r][o]);
                acc[r] = [simd.fma(g, w, acc[r][0]), simd.fma_half(g, more, acc[r][1])];
            }
        }
        for r in 0..ROWS.min(rows - n) {
            let (mut whole, out) = ([0.0; 2 * LANES], grad_x.row_mut(n + r));
            // SAFETY: two whole vectors.
            unsafe { simd.store(whole.as_mut_ptr().add(LANES), acc[r][1]) };
            if let Some((first, rest)) = out.split_first_chunk_mut::<LANES>() {
                // SAFETY: a whole vector.
                unsafe { simd.store(first.as_mut_ptr(), acc[r][0]) };
                rest.iter_mut().zip(&whole[LANES..]).for_each(|(out, &sum)| *out = sum);
            } else {
                // SAFETY: as above.
                unsafe { simd.store(whole.as_mut_ptr(), acc[r][0]) };
                out.copy_from_slice(&whole[..inputs]);
            }
        }
    }
}
