//! The linear layer of [`crate::linear::dense`] with products of bf16: operands are rounded to bf16, products and sums
//! are f32.
//!
//! The weights stay f32; what a thread needs of them next it rounds into scratch memory, once for the whole batch. The
//! activations are rounded by the caller ([`crate::bf16`]): in pairs of neighbours for sums over features, in pairs of
//! rows for the sum over the batch.

use crate::arena::Columns;
use crate::bf16::{Order, neighbours, pack_neighbours, pack_rows};
use crate::contract::{Begin, Pair, STRIDE, Segment, Sum, contract_pair_slices, contract_pairs};
use crate::linear::dense::{BLOCK, BLOCKS_AT_ONCE, LinearWeight, Runs, Sums, covers};
use crate::linear::dot::{Dots, dots};
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch_pairs};
use crate::simd::lanes::{LANES, Lanes};

/// Inputs of a full block, padded to whole vectors.
const PADDED_BLOCK: usize = BLOCK.next_multiple_of(LANES);

/// Rows of the gradient of the input that are summed together in tiles.
const ROWS_AT_ONCE: usize = 16;

/// Elements of scratch memory that the functions of this module need.
pub fn scratch_len(layout: LinearWeight, order: Order) -> usize {
    let forward = BLOCKS_AT_ONCE * BLOCK.div_ceil(2) * layout.panels(0).width(0);
    let turned = match order {
        Order::Chain => 0,
        Order::Tiles => neighbours(layout.padded_outputs()) * PADDED_BLOCK,
    };
    forward.max(layout.panels(0).k * row_of_weights(layout) + turned)
}

/// Places from one input's weights to the next's, as pairs of neighbours: the last pairs of a panel may be whole
/// vectors of zeros that the next panel overwrites.
fn row_of_weights(layout: LinearWeight) -> usize {
    neighbours(layout.padded_outputs()) + LANES
}

/// [`crate::linear::dense::linear_forward`] with `x` in pairs of neighbours, summed in order `order`.
///
/// `scratch`: [`scratch_len`].
/// # Panics
/// Like the function in f32, and if the scratch memory is too short.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_forward_pairs(
    isa: Isa,
    layout: LinearWeight,
    order: Order,
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
            contract_pairs(
                isa,
                order,
                &sum,
                x.as_ptr(),
                scratch.as_ptr(),
                y.as_mut_ptr().wrapping_add(column),
                &mut ahead,
            )
        };
        run = runs.of_this_call(next);
    }
}

/// [`crate::linear::dense::linear_backward_input`] with `grad_y` in pairs of neighbours, whole vectors of them, summed in
/// order `order`.
///
/// `scratch`: [`scratch_len`].
/// # Panics
/// Like the function in f32, and if the scratch memory is too short.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_input_pairs(
    isa: Isa,
    layout: LinearWeight,
    order: Order,
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
    let (weight, turned) = scratch.split_at_mut(panels.k * stride);
    for row in weight.chunks_mut(stride) {
        row[layout.padded_outputs() / 2..width].fill(0.0);
    }
    let (inputs, weight) = (panels.k, &*weight);
    match order {
        Order::Chain => {
            dispatch_pairs!(isa, dot_body(inputs: usize, width: usize, stride: usize, grad_y: &[f32], grad_y_stride: usize, rows: usize, weight: &[f32], grad_x: &mut Columns<'_, f32>, ahead: &mut Prefetch))
        }
        Order::Tiles => {
            let turned = &mut turned[..width * PADDED_BLOCK];
            for (t, row) in turned.chunks_exact_mut(PADDED_BLOCK).enumerate() {
                for (input, pair) in row.iter_mut().enumerate() {
                    *pair = if input < inputs { weight[input * stride + t] } else { 0.0 };
                }
            }
            input_in_tiles(isa, inputs, width, grad_y, grad_y_stride, rows, turned, grad_x, ahead);
        }
    }
}

/// `grad_x` from `width` pairs in each row of `grad_y` and the weights with a row for each pair of outputs: lanes are
/// inputs, for along the outputs the chains of a tile run.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
fn input_in_tiles(
    isa: Isa,
    inputs: usize,
    width: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    ahead: &mut Prefetch,
) {
    // Whole vectors of inputs, which `grad_x` has no room for: other blocks' inputs are beside them.
    let mut sums = [0.0; ROWS_AT_ONCE * PADDED_BLOCK];
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        let count = ROWS_AT_ONCE.min(rows - first);
        let sum = Sum {
            groups: 1,
            rows: count,
            vectors: inputs.div_ceil(LANES),
            a_group: 0,
            a_row: grad_y_stride,
            c_group: 0,
            c_row: PADDED_BLOCK,
            segments: &[Segment { a: 0, b: 0 }],
            len: width,
            a_step: 1,
            b_unit: 1,
            b_step: PADDED_BLOCK,
            b_block: LANES,
            c_block: LANES,
            begin: Begin::Zero,
            half_idle: false,
        };
        contract_pair_slices(isa, Order::Tiles, &sum, &grad_y[first * grad_y_stride..], weight, &mut sums, ahead);
        for (n, sums) in (first..first + count).zip(sums.chunks_exact(PADDED_BLOCK)) {
            grad_x.row_mut(n).copy_from_slice(&sums[..inputs]);
        }
    }
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

/// [`crate::linear::dense::linear_backward_weight`] with `x` and `grad_y` in pairs of rows, `pairs` of them, summed in
/// order `order`.
///
/// # Panics
/// Like the function in f32.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_weight_pairs(
    isa: Isa,
    layout: LinearWeight,
    order: Order,
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
        contract_pair_slices(isa, order, &sum, x, grad_y, &mut grad_weight[panels.rows(p, 0..panels.k)], ahead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows as with_stride, tdpbf16ps, too_large, values};
    use std::ops::Range;

    /// Rows, inputs, outputs.
    const CASES: [(usize, usize, usize); 10] = [
        (1, 1, 1),
        (2, 3, 17),
        (3, 19, 64),
        (5, 36, 65),
        (7, 31, 200),
        (8, 505, 80),
        (13, 55, 1024),
        (37, 40, 33),
        (50, 84, 129),
        (0, 5, 5),
    ];

    /// A linear layer, rows of its input, and of the gradient of its output, in PyTorch's layouts.
    struct Case {
        rows: usize,
        k: usize,
        n: usize,
        x: Vec<f32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        grad_y: Vec<f32>,
    }

    /// What comes of one.
    struct Results {
        y: Vec<f32>,
        grad_x: Vec<f32>,
        grad_weight: Vec<f32>,
    }

    impl Case {
        /// Of numbers that `round` makes of some.
        fn all(round: fn(f32) -> f32) -> impl Iterator<Item = Case> {
            CASES.into_iter().filter(|(rows, k, n)| !too_large(rows * k * n)).map(move |(rows, k, n)| {
                let numbers = |len, salt| values(len, salt).into_iter().map(round).collect();
                let (x, weight, bias) = (numbers(rows * k, 1), numbers(n * k, 2), numbers(n, 3));
                Case { rows, k, n, x, weight, bias, grad_y: numbers(rows * n, 6) }
            })
        }

        fn name(&self) -> String {
            format!("{}x{}x{}", self.rows, self.k, self.n)
        }

        /// What the kernels make of it, in parts.
        fn compute(&self, isa: Isa, order: Order) -> Results {
            let Case { rows, k, n, .. } = *self;
            let layout = LinearWeight { in_features: k, out_features: n };
            let padded = layout.padded_outputs();
            let mut packed = vec![0.0; layout.len()];
            for (at, &value) in self.weight.iter().enumerate() {
                packed[layout.index(at % k, at / k)] = value;
            }
            let padded_bias = with_stride(&self.bias, n, padded);
            let (x_stride, stride) = (k.next_multiple_of(16), padded + 16);
            let (x, grad_y) = (with_stride(&self.x, k, x_stride), with_stride(&self.grad_y, n, stride));
            let mut scratch = vec![f32::NAN; scratch_len(layout, order)];
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
                        order,
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

            let mut grad_x = vec![f32::NAN; rows * x_stride];
            let mut grad = vec![f32::NAN; layout.len()];
            for block in 0..layout.blocks() {
                let arena = Arena::new(&mut grad_x);
                let mut out = arena.write_columns(0, rows, x_stride, layout.inputs(block));
                let range = layout.range(block);
                linear_backward_input_pairs(
                    isa,
                    layout,
                    order,
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
                    order,
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
            let without_padding = |from: Vec<f32>, stride: usize, width: usize| {
                from.chunks(stride).flat_map(|row| row[..width].to_vec()).collect()
            };
            Results {
                y: without_padding(y, stride, n),
                grad_x: without_padding(grad_x, x_stride, k),
                grad_weight: (0..n * k).map(|at| grad[layout.index(at % k, at / k)]).collect(),
            }
        }
    }

    impl Results {
        fn bits(&self) -> Vec<u32> {
            self.y.iter().chain(&self.grad_x).chain(&self.grad_weight).map(|v| v.to_bits()).collect()
        }
    }

    #[test]
    fn on_numbers_that_bf16_holds_everything_is_exact_on_every_isa() {
        // With products and sums that f32 holds exactly: the order of sums cannot matter.
        for case in Case::all(|v| (v * 8.0).round() / 8.0) {
            let Case { rows, k, n, ref x, ref weight, ref bias, ref grad_y } = case;
            let y = reference::linear_forward(x, weight, bias, rows, k, n);
            let (grad_x, grad_weight, _) = reference::linear_backward(x, weight, grad_y, rows, k, n);
            for order in [Order::Chain, Order::Tiles] {
                let what = format!("{} {order:?}", case.name());
                on_every_isa(|isa| {
                    let got = case.compute(isa, order);
                    assert_close(&got.y, &y, 0.0, &format!("forward {what}"));
                    assert_close(&got.grad_x, &grad_x, 0.0, &format!("grad_x {what}"));
                    assert_close(&got.grad_weight, &grad_weight, 0.0, &format!("grad_weight {what}"));
                    got.bits()
                });
            }
        }
    }

    /// `sum` and the products of `a(k)` and `b(k)` for `k` in `range`, of which a tile of the unit takes `at_once`, the
    /// last what is left.
    fn unit(sum: f32, range: Range<usize>, at_once: usize, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
        let starts = range.clone().step_by(at_once);
        starts.fold(sum, |sum, start| {
            let pair =
                |k: usize, of: &dyn Fn(usize) -> f32| [k, k + 1].map(|k| if k < range.end { of(k) } else { 0.0 });
            let tile = start..range.end.min(start + at_once);
            let pairs: Vec<_> = tile.step_by(2).map(|k| [pair(k, &a), pair(k, &b)]).collect();
            tdpbf16ps(sum, &pairs)
        })
    }

    #[test]
    fn in_tiles_sums_are_those_of_the_unit_on_every_isa() {
        let mut others = 0;
        // What bf16 holds; their sums are rounded.
        for case in Case::all(|v| f32::from_bits(v.to_bits() & 0xFFFF_0000)) {
            let Case { rows, k, n, ref x, ref weight, ref bias, ref grad_y } = case;
            let of_rows = |width: usize| (0..rows).flat_map(move |row| (0..width).map(move |at| (row, at)));
            let y = |(r, o): (usize, usize)| unit(bias[o], 0..k, 18, |i| x[r * k + i], |i| weight[o * k + i]);
            // Up to whole vectors of pairs there are outputs, all zero.
            let outputs = 0..n.next_multiple_of(32);
            let or_zero = |at: usize, o: usize, of: &[f32]| if o < n { of[at] } else { 0.0 };
            let grad_x = |(r, i): (usize, usize)| {
                let (a, b) = (|o| or_zero(r * n + o, o, grad_y), |o| or_zero(o * k + i, o, weight));
                unit(0.0, outputs.clone(), 32, a, b)
            };
            let grad_weight = |at: usize| unit(0.0, 0..rows, 32, |r| x[r * k + at % k], |r| grad_y[r * n + at / k]);
            let expected = Results {
                y: of_rows(n).map(y).collect(),
                grad_x: of_rows(k).map(grad_x).collect(),
                grad_weight: (0..n * k).map(grad_weight).collect(),
            };
            on_every_isa(|isa| {
                let got = case.compute(isa, Order::Tiles);
                let arrays = [
                    ("y", &got.y, &expected.y),
                    ("grad_x", &got.grad_x, &expected.grad_x),
                    ("grad_weight", &got.grad_weight, &expected.grad_weight),
                ];
                for (name, got, expected) in arrays {
                    assert_eq!(got.len(), expected.len());
                    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
                        let same = got.to_bits() == expected.to_bits();
                        assert!(same, "{}, {}: {name}[{at}] is {got:e}, not {expected:e}", case.name(), isa.name());
                    }
                }
                got.bits()
            });
            others += usize::from(case.compute(Isa::detect(), Order::Chain).bits() != expected.bits());
        }
        assert!(others > 0, "the chain of vdpbf16ps gives other sums");
    }
}
