//! The linear layer of [`crate::linear::dense`] with products of bf16: operands are rounded to bf16, products and sums
//! are f32.
//!
//! The weights stay f32; what a thread needs of them next it rounds into scratch memory, once for the whole batch. The
//! activations are rounded by the caller ([`crate::bf16`]): in pairs of neighbours for sums over features, in pairs of
//! rows for the sum over the batch.

use crate::arena::Columns;
use crate::bf16::{neighbours, pack_neighbours, pack_rows};
use crate::contract::{Begin, Pair, STRIDE, Segment, Sum, contract_pairs};
use crate::linear::dense::{BLOCK, BLOCKS_AT_ONCE, LinearWeight, Runs, Sums, covers};
use crate::linear::dot::{Dots, dots};
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};

/// Elements of scratch memory that the functions of this module need.
pub fn scratch_len(layout: LinearWeight) -> usize {
    let forward = BLOCKS_AT_ONCE * BLOCK.div_ceil(2) * layout.panels(0).width(0);
    forward.max(layout.panels(0).k * row_of_weights(layout))
}

/// Places from one input's weights to the next's, as pairs of neighbours: the last pairs of a panel may be whole
/// vectors of zeros that the next panel overwrites.
fn row_of_weights(layout: LinearWeight) -> usize {
    neighbours(layout.padded_outputs()) + LANES
}

/// [`crate::linear::dense::linear_forward`] with `x` in pairs of neighbours.
///
/// `scratch`: [`scratch_len`].
/// # Panics
/// Like the function in f32, and if the scratch memory is too short.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_forward_pairs(
    isa: Isa,
    layout: LinearWeight,
    sums: &Sums,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    scratch: &mut [f32],
) {
    let padded = layout.padded_outputs();
    assert_eq!(weight.len(), layout.len(), "weight is {layout:?}");
    assert_eq!(bias.len(), padded, "bias has one element per padded output");
    sums.check(layout, rows, y);
    assert!(covers(x.len(), rows, x_stride, layout.in_features.div_ceil(2)), "x is [rows, pairs of inputs]");
    let runs = Runs { layout, sums, at_once: BLOCKS_AT_ONCE };
    let mut run = runs.first();
    while let Some(this) = run {
        let next = runs.after(&this);
        let inputs = layout.inputs(this.blocks.start).len();
        let (width, stride) = (this.vectors.len() * LANES, layout.panels(0).width(this.panel));
        let steps = inputs.div_ceil(2);
        let mut segments = [Segment { a: 0, b: 0 }; BLOCKS_AT_ONCE];
        for (at, block) in this.blocks.clone().enumerate() {
            let b = at * steps * width;
            segments[at] = Segment { a: block * BLOCK / 2, b };
            let from = &weight[runs.start(&this, block)..];
            pack_rows(isa, from, stride, inputs, width, &mut scratch[b..b + steps * width], width);
        }
        let sum = Sum {
            groups: 1,
            rows,
            vectors: this.vectors.len(),
            a_group: 0,
            a_row: x_stride,
            c_group: 0,
            c_row: y.stride(),
            segments: &segments[..this.blocks.len()],
            len: steps,
            a_step: 1,
            b_unit: 1,
            b_step: width,
            b_block: LANES,
            c_block: LANES,
            begin: sums.begin(bias, &this),
            half_idle: false,
        };
        let mut starts = [std::ptr::null(); BLOCKS_AT_ONCE];
        let calls = rows.div_ceil(6) * this.blocks.len() * steps.div_ceil(STRIDE);
        let mut ahead = runs.ahead(next.as_ref(), weight, &mut starts, calls);
        let column = (this.vectors.start - sums.vectors.start) * LANES;
        let (a_end, b_end, _) = sum.extents();
        assert!(a_end <= x.len() && b_end <= scratch.len(), "operands cover the sum");
        // SAFETY: a and b are covered (asserted); c lies within the columns and rows that `y` holds (asserted above).
        unsafe {
            contract_pairs(isa, &sum, x.as_ptr(), scratch.as_ptr(), y.as_mut_ptr().wrapping_add(column), &mut ahead)
        };
        run = runs.of_this_call(next);
    }
}

/// [`crate::linear::dense::linear_backward_input`] with `grad_y` in pairs of neighbours, whole vectors of them.
///
/// `scratch`: [`scratch_len`].
/// # Panics
/// Like the function in f32, and if the scratch memory is too short.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_input_pairs(
    isa: Isa,
    layout: LinearWeight,
    block: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    scratch: &mut [f32],
    ahead: &mut Prefetch,
) {
    let panels = layout.panels(block);
    let (width, stride) = (neighbours(layout.padded_outputs()), row_of_weights(layout));
    assert_eq!(weight.len(), panels.len(), "weight is block {block} of {layout:?}");
    assert_eq!(grad_x.columns(), panels.k, "grad_x holds the columns of the block's inputs");
    assert!(grad_x.rows() >= rows, "grad_x has {} rows, {rows} are needed", grad_x.rows());
    assert!(grad_y_stride >= width && covers(grad_y.len(), rows, grad_y_stride, width), "grad_y is [rows, pairs]");
    if rows == 0 || panels.k == 0 {
        return;
    }
    for p in 0..panels.count() {
        let columns = panels.columns(p);
        let from = &weight[panels.rows(p, 0..panels.k)];
        let to = &mut scratch[columns.start / 2..];
        pack_neighbours(isa, from, columns.len(), panels.k, columns.len(), to, stride);
    }
    assert!(covers(scratch.len(), panels.k, stride, width), "scratch holds the weights");
    for row in scratch.chunks_mut(stride).take(panels.k) {
        row[layout.padded_outputs() / 2..width].fill(0.0);
    }
    let (inputs, weight) = (panels.k, &*scratch);
    dispatch_pairs!(isa, dot_body(inputs: usize, width: usize, stride: usize, grad_y: &[f32], grad_y_stride: usize, rows: usize, weight: &[f32], grad_x: &mut Columns<'_, f32>, ahead: &mut Prefetch))
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
fn dot_body<L: Lanes>(
    simd: L,
    inputs: usize,
    width: usize,
    stride: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    let what = Dots { inputs, rows, width, grad_y_stride, weight_stride: stride };
    // SAFETY: the caller's asserts say that `grad_y` and `weight` have `width` places in every row.
    unsafe { dots::<L, Pair>(simd, &what, grad_y.as_ptr(), weight.as_ptr(), grad_x, ahead) }
}

/// [`crate::linear::dense::linear_backward_weight`] with `x` and `grad_y` in pairs of rows, `pairs` of them.
///
/// # Panics
/// Like the function in f32.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_weight_pairs(
    isa: Isa,
    layout: LinearWeight,
    block: usize,
    x: &[f32],
    x_stride: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    pairs: usize,
    grad_weight: &mut [f32],
    ahead: &mut Prefetch,
) {
    let panels = layout.panels(block);
    assert_eq!(grad_weight.len(), panels.len(), "grad_weight is block {block} of {layout:?}");
    assert!(x_stride >= layout.in_features, "x has rows of {x_stride}");
    for p in 0..panels.count() {
        let sum = Sum {
            groups: 1,
            rows: panels.k,
            vectors: panels.width(p) / LANES,
            a_group: 0,
            a_row: 1,
            c_group: 0,
            c_row: panels.width(p),
            segments: &[Segment { a: layout.inputs(block).start, b: panels.columns(p).start }],
            len: pairs,
            a_step: x_stride,
            b_unit: 1,
            b_step: grad_y_stride,
            b_block: LANES,
            c_block: LANES,
            begin: Begin::Zero,
            half_idle: false,
        };
        let c = &mut grad_weight[panels.rows(p, 0..panels.k)];
        let (a_end, b_end, c_end) = sum.extents();
        assert!(a_end <= x.len() && b_end <= grad_y.len() && c_end <= c.len(), "operands cover the sum");
        // SAFETY: all three operands are covered (asserted), and `c` is borrowed mutably.
        unsafe { contract_pairs(isa, &sum, x.as_ptr(), grad_y.as_ptr(), c.as_mut_ptr(), ahead) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows as with_stride, too_large, values};

    /// Rows, inputs, outputs.
    const CASES: [(usize, usize, usize); 9] = [
        (1, 1, 1),
        (2, 3, 17),
        (3, 19, 64),
        (5, 36, 65),
        (7, 31, 200),
        (8, 505, 80),
        (13, 55, 1024),
        (50, 84, 129),
        (0, 5, 5),
    ];

    /// Numbers that bf16 holds exactly, with products and sums that f32 holds exactly: the order of sums cannot matter.
    fn exact(n: usize, salt: u32) -> Vec<f32> {
        values(n, salt).iter().map(|v| (v * 8.0).round() / 8.0).collect()
    }

    #[test]
    fn on_numbers_that_bf16_holds_everything_is_exact_on_every_isa() {
        for (rows, k, n) in CASES {
            if too_large(rows * k * n) {
                continue;
            }
            let (x, weight, bias) = (exact(rows * k, 1), exact(n * k, 2), exact(n, 3));
            let grad_y = exact(rows * n, 6);
            let expected = reference::linear_forward(&x, &weight, &bias, rows, k, n);
            let (grad_x, grad_weight, _) = reference::linear_backward(&x, &weight, &grad_y, rows, k, n);
            let layout = LinearWeight { in_features: k, out_features: n };
            let padded = layout.padded_outputs();
            let mut packed = vec![0.0; layout.len()];
            for (at, &value) in weight.iter().enumerate() {
                packed[layout.index(at % k, at / k)] = value;
            }
            let padded_bias = with_stride(&bias, n, padded);
            let (x_stride, stride) = (k.next_multiple_of(16), padded + 16);
            let (x, grad_y) = (with_stride(&x, k, x_stride), with_stride(&grad_y, n, stride));
            let what = format!("{rows}x{k}x{n}");
            on_every_isa(|isa| {
                let mut scratch = vec![f32::NAN; scratch_len(layout)];
                let pairs = rows.div_ceil(2);
                let mut x_pairs = vec![f32::NAN; rows * neighbours(k)];
                pack_neighbours(isa, &x, x_stride, rows, k, &mut x_pairs, neighbours(k));
                let mut x_rows = vec![f32::NAN; pairs * x_stride];
                pack_rows(isa, &x, x_stride, rows, x_stride, &mut x_rows, x_stride);
                let mut g_pairs = vec![f32::NAN; rows * neighbours(padded)];
                pack_neighbours(isa, &grad_y, stride, rows, padded, &mut g_pairs, neighbours(padded));
                let mut g_rows = vec![f32::NAN; pairs * padded];
                pack_rows(isa, &grad_y, stride, rows, padded, &mut g_rows, padded);

                let mut y = vec![f32::NAN; rows * stride];
                let all = padded / LANES;
                for vectors in [0..all / 2, all / 2..all] {
                    let arena = Arena::new(&mut y);
                    let mut y = arena.write_columns(0, rows, stride, vectors.start * LANES..vectors.end * LANES);
                    let half = layout.blocks() / 2;
                    for blocks in [0..half, half..layout.blocks()] {
                        linear_forward_pairs(
                            isa,
                            layout,
                            &Sums { vectors: vectors.clone(), blocks, until: all },
                            &x_pairs,
                            neighbours(k),
                            rows,
                            &packed,
                            &padded_bias,
                            &mut y.columns(),
                            &mut scratch,
                        );
                    }
                }
                let y: Vec<f32> = y.chunks(stride).flat_map(|row| row[..n].to_vec()).collect();
                assert_close(&y, &expected, 0.0, &format!("forward {what}"));

                let mut got_x = vec![f32::NAN; rows * x_stride];
                let mut grad = vec![f32::NAN; layout.len()];
                for block in 0..layout.blocks() {
                    let arena = Arena::new(&mut got_x);
                    let mut out = arena.write_columns(0, rows, x_stride, layout.inputs(block));
                    let range = layout.range(block);
                    linear_backward_input_pairs(
                        isa,
                        layout,
                        block,
                        &g_pairs,
                        neighbours(padded),
                        rows,
                        &packed[range.clone()],
                        &mut out.columns(),
                        &mut scratch,
                        &mut Prefetch::nothing(),
                    );
                    linear_backward_weight_pairs(
                        isa,
                        layout,
                        block,
                        &x_rows,
                        x_stride,
                        &g_rows,
                        padded,
                        pairs,
                        &mut grad[range],
                        &mut Prefetch::nothing(),
                    );
                }
                let got_x: Vec<f32> = got_x.chunks(x_stride).flat_map(|row| row[..k].to_vec()).collect();
                assert_close(&got_x, &grad_x, 0.0, &format!("grad_x {what}"));
                let got: Vec<f32> = (0..n * k).map(|at| grad[layout.index(at % k, at / k)]).collect();
                assert_close(&got, &grad_weight, 0.0, &format!("grad_weight {what}"));
                y.iter().chain(&got_x).chain(&grad).map(|v| v.to_bits()).collect()
            });
        }
    }
}
