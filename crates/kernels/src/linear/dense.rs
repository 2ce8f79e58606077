//! `y[n][o] = bias[o] + sum over i of x[n][i] * weight[i][o]`, and its gradients.
//!
//! Rows are `[N, features]` with a stride of at least the padded number of features; weights lie in [`LinearWeight`].
//! Work is split by output vectors (16 columns) forward and by blocks of inputs backward, so that no two threads add
//! into the same number.

use crate::arena::Columns;
use crate::contract::{Begin, STRIDE, Segment, Single, Sum, contract, contract_slices};
use crate::linear::dense_small_out;
use crate::linear::dot::{Dots, dots, dots_calls};
use crate::panels::Panels;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// Inputs of a full block of weights: a multiple of the register tiles' six rows; with 1024 outputs, a block, its
/// gradient, Adam's two means and the same of the next block, which is being fetched, fit in 1 MiB of L2.
pub(crate) const BLOCK: usize = 18;

/// The most blocks that are used for all of `x` before the next ones are read: about 500 x 64 weights stay in L2.
pub(crate) const BLOCKS_AT_ONCE: usize = 28;

/// Blocks that [`linear_forward`] uses for all of `x` before the next ones are read: with tiles of one vector, which fetch
/// the weights four times as often, few enough for L1.
fn blocks_at_once(isa: Isa) -> usize {
    dispatch!(isa, blocks_body() -> usize)
}

#[inline(always)]
fn blocks_body<L: Lanes>(_: L) -> usize {
    if L::TILE.1 == 1 { 4 } else { BLOCKS_AT_ONCE }
}

/// The layout of a linear layer's `[in_features, out_features]` weights: blocks of 18 inputs, each in [`Panels`].
///
/// Backward, a block is all that is needed for the gradients of its inputs and of its weights, and for their update: it
/// is fetched into the cache once for the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinearWeight {
    /// Number of inputs.
    pub in_features: usize,
    /// Number of outputs, before padding.
    pub out_features: usize,
}

impl LinearWeight {
    /// Outputs padded to whole vectors.
    pub fn padded_outputs(self) -> usize {
        self.out_features.next_multiple_of(LANES)
    }

    /// Elements in all.
    pub fn len(self) -> usize {
        // Saturating: so many are in no slice, and a product that wrapped around could be any slice's length.
        self.in_features.saturating_mul(self.padded_outputs())
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of blocks.
    pub fn blocks(self) -> usize {
        self.in_features.div_ceil(BLOCK)
    }

    /// Inputs of block `block`.
    pub fn inputs(self, block: usize) -> Range<usize> {
        block * BLOCK..(block * BLOCK + BLOCK).min(self.in_features)
    }

    /// The panels of block `block`.
    pub fn panels(self, block: usize) -> Panels {
        Panels { k: self.inputs(block).len(), n: self.out_features }
    }

    /// Where block `block` lies.
    pub fn range(self, block: usize) -> Range<usize> {
        let inputs = self.inputs(block);
        inputs.start * self.padded_outputs()..inputs.end * self.padded_outputs()
    }

    /// Where the weight from input `input` to output `output` lies.
    pub fn index(self, input: usize, output: usize) -> usize {
        let block = input / BLOCK;
        self.range(block).start + self.panels(block).index(input % BLOCK, output)
    }
}

/// Whether `len` elements hold `rows` rows, `stride` apart, of `columns` columns.
pub(crate) fn covers(len: usize, rows: usize, stride: usize, columns: usize) -> bool {
    rows == 0 || (rows - 1).saturating_mul(stride).saturating_add(columns) <= len
}

/// Which sums a call of a forward pass takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sums {
    /// Output vectors, of 16 columns each.
    pub vectors: Range<usize>,
    /// Blocks of inputs. The first of a layer begins with the bias; others go on from the sum over all before, so that
    /// many calls give the same bits as one.
    pub blocks: Range<usize>,
    /// One past the last vector that the same thread sums over these blocks soon: their weights are asked for in time.
    pub until: usize,
}

impl Sums {
    /// Vectors `vectors` over all inputs.
    pub fn over_all_inputs(layout: LinearWeight, vectors: Range<usize>) -> Sums {
        let until = vectors.end;
        Sums { vectors, blocks: 0..layout.blocks(), until }
    }

    /// Panics unless the sums are some of `layout`'s and `y` holds exactly their columns, for `rows` rows.
    pub(crate) fn check(&self, layout: LinearWeight, rows: usize, y: &Columns<'_, f32>) {
        let all = layout.padded_outputs() / LANES;
        assert!(
            self.vectors.end.max(self.until) <= all && self.blocks.end <= layout.blocks(),
            "{self:?} of {layout:?}"
        );
        assert_eq!(y.columns(), self.vectors.len() * LANES, "y holds the columns of the vectors");
        assert!(y.rows() >= rows, "y has {} rows, {rows} are needed", y.rows());
        assert!(layout.in_features > 0, "without an input nothing begins with the bias");
    }

    /// What the sums of `run` begin with: the bias, where the first block is among its blocks.
    pub(crate) fn begin<'a>(&self, bias: &'a [f32], run: &Run) -> Begin<'a> {
        match run.blocks.start {
            0 => Begin::Row(&bias[run.vectors.start * LANES..run.vectors.end * LANES]),
            _ => Begin::Sums,
        }
    }
}

/// Computes `sums` of the rows of `x` into `y`, which holds exactly the columns of their vectors, for `rows` rows.
///
/// `x`: `rows` rows, `x_stride` apart. `bias`: one element per padded output.
/// `weight`: [`LinearWeight::len`].
///
/// # Panics
/// If a slice or `y` has another size than that, rows of `x` overlap, or the sums are none of the layer's.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_forward(
    isa: Isa,
    layout: LinearWeight,
    sums: &Sums,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
) {
    let (k, padded) = (layout.in_features, layout.padded_outputs());
    assert_eq!(weight.len(), layout.len(), "weight is {layout:?}");
    assert_eq!(bias.len(), padded, "bias has one element per padded output");
    sums.check(layout, rows, y);
    assert!(x_stride >= k && (covers(x.len(), rows, x_stride, k)), "x is [rows, {k}]");
    let runs = Runs { layout, sums, at_once: blocks_at_once(isa) };
    let mut run = runs.first();
    while let Some(this) = run {
        let next = runs.after(&this);
        // Full blocks go together; the last, shorter one, by itself.
        let len = layout.inputs(this.blocks.start).len();
        let mut segments = [Segment { a: 0, b: 0 }; BLOCKS_AT_ONCE];
        for (segment, block) in segments.iter_mut().zip(this.blocks.clone()) {
            *segment = Segment { a: block * BLOCK, b: runs.start(&this, block) };
        }
        let width = layout.panels(0).width(this.panel);
        let sum = Sum {
            groups: 1,
            rows,
            vectors: this.vectors.len(),
            a_group: 0,
            a_row: x_stride,
            c_group: 0,
            c_row: y.stride(),
            segments: &segments[..this.blocks.len()],
            len,
            a_step: 1,
            b_unit: 1,
            b_step: width,
            b_block: LANES,
            c_block: LANES,
            begin: sums.begin(bias, &this),
            half_idle: false,
        };
        let mut starts = [std::ptr::null(); BLOCKS_AT_ONCE];
        let calls = rows.div_ceil(6) * this.blocks.len() * len.div_ceil(STRIDE);
        let mut ahead = runs.ahead(next.as_ref(), weight, &mut starts, calls);
        let column = (this.vectors.start - sums.vectors.start) * LANES;
        let (a_end, b_end, _) = sum.extents();
        assert!(a_end <= x.len() && b_end <= weight.len(), "operands cover the sum");
        // SAFETY: a and b are covered (asserted); c lies within the columns and rows that `y` holds (asserted above).
        unsafe { contract(isa, &sum, x.as_ptr(), weight.as_ptr(), y.as_mut_ptr().wrapping_add(column), &mut ahead) };
        run = runs.of_this_call(next);
    }
}

/// The order in which a forward pass goes through its part of the weights: panel by panel, in each some blocks at a
/// time.
pub(crate) struct Runs<'s> {
    pub(crate) layout: LinearWeight,
    pub(crate) sums: &'s Sums,
    /// Blocks that go together, at most [`BLOCKS_AT_ONCE`].
    pub(crate) at_once: usize,
}

/// Some blocks of one panel.
pub(crate) struct Run {
    pub(crate) panel: usize,
    pub(crate) vectors: Range<usize>,
    pub(crate) blocks: Range<usize>,
}

impl Runs<'_> {
    pub(crate) fn first(&self) -> Option<Run> {
        self.of_this_call(self.at(self.sums.vectors.start, self.sums.blocks.start))
    }

    /// What comes next, in this call or in one soon.
    pub(crate) fn after(&self, run: &Run) -> Option<Run> {
        match self.at(run.vectors.start, run.blocks.end) {
            Some(next) => Some(next),
            None => self.at(run.vectors.end, self.sums.blocks.start),
        }
    }

    pub(crate) fn of_this_call(&self, run: Option<Run>) -> Option<Run> {
        run.filter(|run| run.vectors.start < self.sums.vectors.end)
    }

    /// From vector `vector` and block `block` on, if there is anything.
    fn at(&self, vector: usize, block: usize) -> Option<Run> {
        let Sums { vectors, blocks, until } = self.sums;
        if vector >= *until || block >= blocks.end {
            return None;
        }
        let panels = self.layout.panels(0);
        let panel = panels.panel_of(vector * LANES);
        let end = if vector < vectors.end { vectors.end } else { *until };
        let end = (panels.columns(panel).end / LANES).min(end);
        let full = (self.layout.in_features / BLOCK).min(blocks.end);
        let blocks = if block < full { block..(block + self.at_once).min(full) } else { block..block + 1 };
        Some(Run { panel, vectors: vector..end, blocks })
    }

    /// The weights of run `next`, to be asked for in `calls` calls.
    pub(crate) fn ahead<'s>(
        &self,
        next: Option<&Run>,
        weight: &[f32],
        starts: &'s mut [*const f32; BLOCKS_AT_ONCE],
        calls: usize,
    ) -> Prefetch<'s> {
        let Some(next) = next else { return Prefetch::nothing() };
        for (start, block) in starts.iter_mut().zip(next.blocks.clone()) {
            *start = weight[self.start(next, block)..].as_ptr();
        }
        let stretch = self.layout.inputs(next.blocks.start).len() * self.layout.panels(0).width(next.panel);
        Prefetch::over(&starts[..next.blocks.len()], stretch, calls)
    }

    /// Where the run's weights of one block start.
    pub(crate) fn start(&self, run: &Run, block: usize) -> usize {
        let panels = self.layout.panels(block);
        let in_panel = run.vectors.start * LANES - panels.columns(run.panel).start;
        self.layout.range(block).start + panels.start(run.panel) + in_panel
    }
}

/// Elements of scratch memory that [`linear_backward_input`] needs.
pub fn backward_scratch_len(layout: LinearWeight) -> usize {
    layout.panels(0).k * row_of_weights(layout)
}

/// How often the two backward passes of a block ask for what is [`Prefetch`], at least.
pub fn backward_calls(layout: LinearWeight, rows: usize, input: bool) -> usize {
    let panels = layout.panels(0);
    let weight = panels.k.div_ceil(6) * panels.count() * rows.div_ceil(STRIDE);
    let input = if input { dots_calls(panels.k, rows) } else { 0 };
    weight + input
}

/// Overwrites `grad_x`, whose columns are the inputs of block `block`, with
/// `sum over o of grad_y[n][o] * weight[i][o]`.
///
/// `grad_y`: `rows` rows of the padded outputs, `grad_y_stride` apart. `weight`: that block, [`LinearWeight::range`].
/// `scratch`: [`backward_scratch_len`].
///
/// # Panics
/// If a slice or `grad_x` has another size than that, or the scratch memory is too short.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_input(
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
    let (panels, padded) = (layout.panels(block), layout.padded_outputs());
    assert_eq!(weight.len(), panels.len(), "weight is block {block} of {layout:?}");
    assert_eq!(grad_x.columns(), panels.k, "grad_x holds the columns of the block's inputs");
    assert!(grad_x.rows() >= rows, "grad_x has {} rows, {rows} are needed", grad_x.rows());
    assert!(grad_y_stride >= padded, "grad_y has rows of {grad_y_stride}");
    if rows == 0 || panels.k == 0 {
        return;
    }
    assert!(covers(grad_y.len(), rows, grad_y_stride, padded), "grad_y is [rows, out_features]");
    if padded == LANES {
        let (inputs, outputs) = (panels.k, layout.out_features);
        return dense_small_out::backward_input(
            isa,
            inputs,
            outputs,
            grad_y,
            grad_y_stride,
            rows,
            weight,
            grad_x,
            ahead,
        );
    }
    let weight_stride = row_of_weights(layout);
    assert!(scratch.len() >= panels.k * weight_stride, "scratch holds the weights");
    dispatch!(isa, dot_body(panels: Panels, weight_stride: usize, grad_y: &[f32], grad_y_stride: usize, rows: usize, weight: &[f32], grad_x: &mut Columns<'_, f32>, scratch: &mut [f32], ahead: &mut Prefetch))
}

/// Elements from one row of a block's weights to the next where they are side by side: an odd number of cache lines, so
/// that columns spread over all cache sets.
fn row_of_weights(layout: LinearWeight) -> usize {
    ((layout.padded_outputs() / LANES) | 1) * LANES
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn dot_body<L: Lanes>(
    simd: L,
    panels: Panels,
    weight_stride: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
    scratch: &mut [f32],
    ahead: &mut Prefetch,
) {
    // Panels would interrupt the sums every four vectors.
    for p in 0..panels.count() {
        let from = weight[panels.rows(p, 0..panels.k)].chunks_exact(panels.width(p));
        for (from, to) in from.zip(scratch.chunks_exact_mut(weight_stride)) {
            let to = &mut to[panels.columns(p)];
            for v in (0..from.len()).step_by(LANES) {
                // SAFETY: both are as wide as the panel, whole vectors.
                unsafe { simd.store(to.as_mut_ptr().add(v), simd.load(from.as_ptr().add(v))) };
            }
        }
    }
    let what = Dots { inputs: panels.k, rows, width: panels.padded_n(), grad_y_stride, weight_stride };
    // SAFETY: the caller's asserts say that `grad_y` and the scratch memory have these rows.
    unsafe { dots::<L, Single>(simd, &what, grad_y.as_ptr(), scratch.as_ptr(), grad_x, ahead) }
}

/// Overwrites `grad_weight`, laid out like block `block`, with `sum over n of x[n][i] * grad_y[n][o]`.
///
/// `x`, `grad_y`: `rows` rows of the inputs and of the padded outputs, their strides apart.
///
/// # Panics
/// If a slice has another size than that.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_weight(
    isa: Isa,
    layout: LinearWeight,
    block: usize,
    x: &[f32],
    x_stride: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
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
            len: rows,
            a_step: x_stride,
            b_unit: 1,
            b_step: grad_y_stride,
            b_block: LANES,
            c_block: LANES,
            begin: Begin::Zero,
            half_idle: false,
        };
        let c = &mut grad_weight[panels.rows(p, 0..panels.k)];
        contract_slices(isa, &sum, x, grad_y, c, ahead);
    }
}

/// Overwrites `sums` with the sum of each column of `rows` rows, `stride` apart: the gradient of a linear layer's bias.
///
/// # Panics
/// If `sums` is no whole number of vectors or longer than a row, or `y` shorter than `rows` rows.
pub fn column_sums(isa: Isa, y: &[f32], stride: usize, rows: usize, sums: &mut [f32]) {
    assert!(sums.len().is_multiple_of(LANES) && sums.len() <= stride, "{} columns of a row of {stride}", sums.len());
    assert!(covers(y.len(), rows, stride, sums.len()), "y is [rows, columns]");
    dispatch!(isa, column_sums_body(y: &[f32], stride: usize, rows: usize, sums: &mut [f32]))
}

#[inline(always)]
fn column_sums_body<L: Lanes>(simd: L, y: &[f32], stride: usize, rows: usize, sums: &mut [f32]) {
    for v in (0..sums.len()).step_by(LANES) {
        let mut acc = simd.zero();
        for n in 0..rows {
            // SAFETY: row n has at least `sums.len()` columns (asserted by the caller).
            acc = simd.add(acc, unsafe { simd.load(y.as_ptr().add(n * stride + v)) });
        }
        // SAFETY: `sums.len()` is a multiple of LANES.
        unsafe { simd.store(sums.as_mut_ptr().add(v), acc) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows, too_large, values};

    /// Rows, inputs, outputs: around the vector width, the tile sizes, the block and the panel width, and the real
    /// layers' oddities.
    const CASES: [(usize, usize, usize); 14] = [
        (1, 1, 1),
        (1, 16, 16),
        (2, 3, 17),
        (3, 15, 10),
        (4, 17, 64),
        (5, 33, 65),
        (7, 31, 63),
        (8, 42, 200),
        (9, 43, 16),
        (13, 505, 80),
        (15, 784, 10),
        (50, 84, 129),
        (6, 1030, 34),
        (0, 5, 5),
    ];

    fn pack_weight(weight: &[f32], layout: LinearWeight) -> Vec<f32> {
        let mut out = vec![0.0; layout.len()];
        for o in 0..layout.out_features {
            for i in 0..layout.in_features {
                out[layout.index(i, o)] = weight[o * layout.in_features + i];
            }
        }
        out
    }

    fn unpad(rows: &[f32], width: usize, stride: usize) -> Vec<f32> {
        rows.chunks(stride).flat_map(|r| r[..width].to_vec()).collect()
    }

    #[test]
    fn every_weight_has_its_own_place() {
        let layout = LinearWeight { in_features: 100, out_features: 70 };
        let mut seen = vec![false; layout.len()];
        for (i, o) in (0..100).flat_map(|i| (0..80).map(move |o| (i, o))) {
            assert!(!std::mem::replace(&mut seen[layout.index(i, o)], true), "({i}, {o}) shares a place");
            assert!(layout.range(i / BLOCK).contains(&layout.index(i, o)));
        }
        assert!(seen.into_iter().all(|s| s));
    }

    #[test]
    fn forward_matches_the_reference_on_every_isa_and_split() {
        for (rows, k, n) in CASES {
            if too_large(rows * k * n) {
                continue;
            }
            let (x, weight, bias) = (values(rows * k, 1), values(n * k, 2), values(n, 3));
            let expected = reference::linear_forward(&x, &weight, &bias, rows, k, n);
            let layout = LinearWeight { in_features: k, out_features: n };
            let packed = pack_weight(&weight, layout);
            let padded_bias = pack_rows(&bias, n, layout.padded_outputs());
            let (x_stride, stride) = (k + 3, layout.padded_outputs() + 16);
            let x = pack_rows(&x, k, x_stride);
            on_every_isa(|isa| {
                let mut out = vec![f32::NAN; rows * stride];
                let all = layout.padded_outputs() / LANES;
                let blocks = layout.blocks();
                for vectors in [0..all / 2, all / 2..all] {
                    let arena = Arena::new(&mut out);
                    let mut y = arena.write_columns(0, rows, stride, vectors.start * LANES..vectors.end * LANES);
                    let (mut y, bias) = (y.columns(), &padded_bias);
                    // One half in one go, the other in two.
                    let first = if vectors.start == 0 { blocks / 2 } else { blocks };
                    for blocks in [0..first, first..blocks] {
                        let sums = Sums { vectors: vectors.clone(), blocks, until: all };
                        linear_forward(isa, layout, &sums, &x, x_stride, rows, &packed, bias, &mut y);
                    }
                }
                assert_close(&unpad(&out, n, stride), &expected, 1e-5, &format!("forward {rows}x{k}x{n}"));
                assert!(out.chunks(stride).all(|r| r[layout.padded_outputs()..].iter().all(|v| v.is_nan())), "overrun");
                out.iter().map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn gradients_match_the_reference_on_every_isa() {
        for (rows, k, n) in CASES {
            if too_large(rows * k * n) {
                continue;
            }
            let (x, weight, grad_y) = (values(rows * k, 4), values(n * k, 5), values(rows * n, 6));
            let (grad_x, grad_weight, grad_bias) = reference::linear_backward(&x, &weight, &grad_y, rows, k, n);
            let layout = LinearWeight { in_features: k, out_features: n };
            let packed = pack_weight(&weight, layout);
            let (x_stride, stride) = (k + 1, layout.padded_outputs() + 16);
            let (x, grad_y) = (pack_rows(&x, k, x_stride), pack_rows(&grad_y, n, stride));
            on_every_isa(|isa| {
                let mut got_x = vec![f32::NAN; rows * x_stride];
                let mut packed_grad = vec![f32::NAN; layout.len()];
                for block in 0..layout.blocks() {
                    let arena = Arena::new(&mut got_x);
                    let mut out = arena.write_columns(0, rows, x_stride, layout.inputs(block));
                    let range = layout.range(block);
                    linear_backward_input(
                        isa,
                        layout,
                        block,
                        &grad_y,
                        stride,
                        rows,
                        &packed[range.clone()],
                        &mut out.columns(),
                        &mut vec![f32::NAN; backward_scratch_len(layout)],
                        &mut Prefetch::nothing(),
                    );
                    let grad = &mut packed_grad[range];
                    linear_backward_weight(
                        isa,
                        layout,
                        block,
                        &x,
                        x_stride,
                        &grad_y,
                        stride,
                        rows,
                        grad,
                        &mut Prefetch::nothing(),
                    );
                }
                let got_x = unpad(&got_x, k, x_stride);
                assert_close(&got_x, &grad_x, 1e-5, &format!("grad_x {rows}x{k}x{n}"));
                let got: Vec<f32> = (0..n * k).map(|at| packed_grad[layout.index(at % k, at / k)]).collect();
                assert_close(&got, &grad_weight, 1e-5, &format!("grad_weight {rows}x{k}x{n}"));
                let mut sums = vec![f32::NAN; layout.padded_outputs()];
                column_sums(isa, &grad_y, stride, rows, &mut sums);
                assert_close(&sums[..n], &grad_bias, 1e-5, &format!("grad_bias {rows}x{k}x{n}"));
                got_x.iter().chain(&packed_grad).chain(&sums).map(|v| v.to_bits()).collect()
            });
        }
    }
}
