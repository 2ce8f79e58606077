//! `y[n][o] = bias[o] + sum over i of x[n][i] * weight[i][o]`, and its gradients.
//!
//! Rows are `[N, features]` with a stride of at least the padded number of features; weights lie in [`Panels`] with
//! `k = in_features` and `n = out_features`. Work is split by output vectors (16 columns) forward and by input rows
//! backward, so that no two threads add into the same number.

use crate::arena::Columns;
use crate::contract::{Segment, Sum, contract};
use crate::isa::{Isa, dispatch};
use crate::lanes::{LANES, Lanes};
use crate::panels::{PANEL, Panels};
use std::ops::Range;

/// Rows of a weight panel that are used for all of `x` before the next ones are read: 512 x 64 f32 stay in L2.
const K_BLOCK: usize = 512;

/// Overwrites `y` with the output columns of the vectors `vectors` (16 columns each).
///
/// `x`: `rows` rows, `x_stride` apart, of `panels.k` features. `bias`: padded to `panels.padded_n()`. `y` holds exactly
/// the columns of `vectors`, for `rows` rows.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_forward(
    isa: Isa,
    panels: Panels,
    vectors: Range<usize>,
    x: &[f32],
    x_stride: usize,
    rows: usize,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
) {
    assert_eq!(weight.len(), panels.len(), "weight is [{}, {}] in panels", panels.k, panels.n);
    assert_eq!(bias.len(), panels.padded_n(), "bias has one element per padded column");
    assert!(vectors.end * LANES <= panels.padded_n(), "vectors {vectors:?} of {} columns", panels.padded_n());
    assert_eq!(y.columns(), vectors.len() * LANES, "y holds the columns of the vectors");
    assert!(y.rows() >= rows, "y has {} rows, {rows} are needed", y.rows());
    assert!(x_stride >= panels.k, "x has rows of {x_stride}, {} features are needed", panels.k);
    assert!(rows == 0 || x.len() >= (rows - 1) * x_stride + panels.k, "x is [rows, in_features]");
    for n in 0..rows {
        y.row_mut(n).copy_from_slice(&bias[vectors.start * LANES..vectors.end * LANES]);
    }
    let mut v = vectors.start;
    while v < vectors.end {
        let p = v * LANES / PANEL;
        let in_panel = v - p * PANEL / LANES;
        let count = (panels.width(p) / LANES - in_panel).min(vectors.end - v);
        let width = panels.width(p);
        for k in (0..panels.k).step_by(K_BLOCK) {
            let len = K_BLOCK.min(panels.k - k);
            let sum = Sum {
                groups: 1,
                rows,
                vectors: count,
                a_group: 0,
                a_row: x_stride,
                c_group: 0,
                c_row: y.stride(),
                segments: &[Segment { a: k, b: k }],
                len,
                a_step: 1,
                b_unit: width,
                b_step: width,
                b_block: LANES,
                c_block: LANES,
                accumulate: true,
            };
            let b = &weight[panels.start(p) + in_panel * LANES..];
            let column = (v - vectors.start) * LANES;
            let (a_end, b_end, _) = sum.extents();
            assert!(a_end <= x.len() && b_end <= b.len(), "operands cover the sum");
            // SAFETY: a and b are covered (asserted); c lies within the columns and rows that `y` holds (asserted above).
            unsafe { contract(isa, &sum, x.as_ptr(), b.as_ptr(), y.as_mut_ptr().add(column)) };
        }
        v += count;
    }
}

/// Overwrites `grad_x`, whose columns are the inputs `inputs`, with `sum over o of grad_y[n][o] * weight[i][o]`.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_input(
    isa: Isa,
    panels: Panels,
    inputs: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
) {
    assert_eq!(weight.len(), panels.len(), "weight is [{}, {}] in panels", panels.k, panels.n);
    assert!(inputs.end <= panels.k, "inputs {inputs:?} of {}", panels.k);
    assert_eq!(grad_x.columns(), inputs.len(), "grad_x holds the columns of the inputs");
    assert!(grad_x.rows() >= rows, "grad_x has {} rows, {rows} are needed", grad_x.rows());
    assert!(grad_y_stride >= panels.padded_n(), "grad_y has rows of {grad_y_stride}");
    if rows == 0 {
        return;
    }
    assert!(grad_y.len() >= (rows - 1) * grad_y_stride + panels.padded_n(), "grad_y is [rows, out_features]");
    dispatch!(isa, dot_body(panels: Panels, inputs: Range<usize>, grad_y: &[f32], grad_y_stride: usize, rows: usize, weight: &[f32], grad_x: &mut Columns<'_, f32>))
}

#[inline(always)]
fn dot_body<L: Lanes>(
    panels: Panels,
    inputs: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
) {
    // A closure per tile size, so that the accumulators are arrays of known length.
    match L::DOT {
        (4, 6) => dot_tiles::<L, 4, 6>(panels, inputs, grad_y, grad_y_stride, rows, weight, grad_x),
        _ => dot_tiles::<L, 2, 2>(panels, inputs, grad_y, grad_y_stride, rows, weight, grad_x),
    }
}

/// `R` rows of `grad_y` by `S` rows of `weight` at a time; lanes run along the outputs and are summed at the end.
#[inline(always)]
fn dot_tiles<L: Lanes, const R: usize, const S: usize>(
    panels: Panels,
    inputs: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    weight: &[f32],
    grad_x: &mut Columns<'_, f32>,
) {
    for i in inputs.clone().step_by(S) {
        for n in (0..rows).step_by(R) {
            // A tile that hangs over the edge computes its last row or input several times and stores it once.
            let row_of = |r: usize| (n + r).min(rows - 1);
            let input_of = |s: usize| (i + s).min(inputs.end - 1);
            let mut acc = [[L::zero(); S]; R];
            for p in 0..panels.count() {
                let width = panels.width(p);
                // SAFETY: `row_of` and `input_of` stay below `rows` and `panels.k`, for which the callers' asserts say
                // that `grad_y` and `weight` have all columns of every panel.
                unsafe {
                    let g: [*const f32; R] =
                        std::array::from_fn(|r| grad_y.as_ptr().add(row_of(r) * grad_y_stride + p * PANEL));
                    let w: [*const f32; S] =
                        std::array::from_fn(|s| weight.as_ptr().add(panels.start(p) + input_of(s) * width));
                    for v in (0..width).step_by(LANES) {
                        let mut gv = [L::zero(); R];
                        for r in 0..R {
                            gv[r] = L::load(g[r].add(v));
                        }
                        for s in 0..S {
                            let wv = L::load(w[s].add(v));
                            for r in 0..R {
                                acc[r][s] = L::fma(gv[r], wv, acc[r][s]);
                            }
                        }
                    }
                }
            }
            for r in 0..R.min(rows - n) {
                let out = grad_x.row_mut(n + r);
                for s in 0..S.min(inputs.end - i) {
                    out[i - inputs.start + s] = L::sum(acc[r][s]);
                }
            }
        }
    }
}

/// Overwrites `grad_weight`, the rows `inputs` of a gradient in panels (`Panels { k: inputs.len(), n }`), with
/// `sum over n of x[n][i] * grad_y[n][o]`.
#[expect(clippy::too_many_arguments, reason = "three operands with their strides")]
pub fn linear_backward_weight(
    isa: Isa,
    panels: Panels,
    inputs: Range<usize>,
    x: &[f32],
    x_stride: usize,
    grad_y: &[f32],
    grad_y_stride: usize,
    rows: usize,
    grad_weight: &mut [f32],
) {
    let part = Panels { k: inputs.len(), n: panels.n };
    assert_eq!(grad_weight.len(), part.len(), "grad_weight is [{}, {}] in panels", part.k, part.n);
    assert!(inputs.end <= panels.k && x_stride >= panels.k, "inputs {inputs:?} of {}", panels.k);
    for p in 0..part.count() {
        let sum = Sum {
            groups: 1,
            rows: part.k,
            vectors: part.width(p) / LANES,
            a_group: 0,
            a_row: 1,
            c_group: 0,
            c_row: part.width(p),
            segments: &[Segment { a: inputs.start, b: p * PANEL }],
            len: rows,
            a_step: x_stride,
            b_unit: 1,
            b_step: grad_y_stride,
            b_block: LANES,
            c_block: LANES,
            accumulate: false,
        };
        let c = &mut grad_weight[part.rows(p, 0..part.k)];
        let (a_end, b_end, c_end) = sum.extents();
        assert!(a_end <= x.len() && b_end <= grad_y.len() && c_end <= c.len(), "operands cover the sum");
        // SAFETY: all three operands are covered (asserted), and `c` is borrowed mutably.
        unsafe { contract(isa, &sum, x.as_ptr(), grad_y.as_ptr(), c.as_mut_ptr()) };
    }
}

/// Overwrites `sums` with the sum of each column of `rows` rows, `stride` apart: the gradient of a linear layer's bias.
pub fn column_sums(isa: Isa, y: &[f32], stride: usize, rows: usize, sums: &mut [f32]) {
    assert!(sums.len().is_multiple_of(LANES) && sums.len() <= stride, "{} columns of a row of {stride}", sums.len());
    assert!(rows == 0 || y.len() >= (rows - 1) * stride + sums.len(), "y is [rows, columns]");
    dispatch!(isa, column_sums_body(y: &[f32], stride: usize, rows: usize, sums: &mut [f32]))
}

#[inline(always)]
fn column_sums_body<L: Lanes>(y: &[f32], stride: usize, rows: usize, sums: &mut [f32]) {
    for v in (0..sums.len()).step_by(LANES) {
        let mut acc = L::zero();
        for n in 0..rows {
            // SAFETY: row n has at least `sums.len()` columns (asserted by the caller).
            acc = L::add(acc, unsafe { L::load(y.as_ptr().add(n * stride + v)) });
        }
        // SAFETY: `sums.len()` is a multiple of LANES.
        unsafe { L::store(sums.as_mut_ptr().add(v), acc) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::{assert_close, on_every_isa, pack_rows, pack_weight, values};

    /// Rows, inputs, outputs: around the vector width, the tile sizes and the panel width, and the real layers' oddities.
    const CASES: [(usize, usize, usize); 12] = [
        (1, 1, 1), (1, 16, 16), (2, 3, 17), (3, 15, 10), (4, 17, 64), (5, 33, 65), (7, 31, 63),
        (8, 100, 200), (13, 513, 80), (15, 784, 10), (50, 40, 129), (6, 1030, 34),
    ];

    #[test]
    fn forward_matches_the_reference_on_every_isa_and_split() {
        for (rows, k, n) in CASES {
            let (x, weight, bias) = (values(rows * k, 1), values(n * k, 2), values(n, 3));
            let expected = reference::linear_forward(&x, &weight, &bias, rows, k, n);
            let panels = Panels { k, n };
            let packed = pack_weight(&weight, panels);
            let mut padded_bias = bias.clone();
            padded_bias.resize(panels.padded_n(), 0.0);
            let (x_stride, stride) = (k + 3, panels.padded_n() + 16);
            let x = pack_rows(&x, k, x_stride);
            on_every_isa(|isa| {
                let mut out = vec![f32::NAN; rows * stride];
                let all = panels.padded_n() / LANES;
                let cut = all / 2;
                for vectors in [0..cut, cut..all] {
                    let width = out.len() - vectors.start * LANES;
                    let _ = width;
                    let arena = crate::arena::Arena::new(&mut out);
                    let mut y = arena.write_columns(0, rows, stride, vectors.start * LANES..vectors.end * LANES);
                    linear_forward(isa, panels, vectors, &x, x_stride, rows, &packed, &padded_bias, &mut y);
                }
                let got: Vec<f32> = (0..rows).flat_map(|r| out[r * stride..r * stride + n].to_vec()).collect();
                assert_close(&got, &expected, 1e-5, &format!("forward {rows}x{k}x{n}"));
                assert!((0..rows).all(|r| out[r * stride + panels.padded_n()..(r + 1) * stride].iter().all(|v| v.is_nan())));
                out.iter().map(|v| v.to_bits()).collect()
            });
        }
    }

    #[test]
    fn gradients_match_the_reference_on_every_isa_and_split() {
        for (rows, k, n) in CASES {
            let (x, weight, grad_y) = (values(rows * k, 4), values(n * k, 5), values(rows * n, 6));
            let (grad_x, grad_weight, grad_bias) = reference::linear_backward(&x, &weight, &grad_y, rows, k, n);
            let panels = Panels { k, n };
            let packed = pack_weight(&weight, panels);
            let (x_stride, stride) = (k + 1, panels.padded_n() + 16);
            let (x, grad_y) = (pack_rows(&x, k, x_stride), pack_rows(&grad_y, n, stride));
            on_every_isa(|isa| {
                let mut bits = Vec::new();
                let cut = k / 3;
                let mut got_x = vec![f32::NAN; rows * x_stride];
                let mut got_weight = vec![f64::NAN; n * k];
                for inputs in [0..cut, cut..k] {
                    let arena = crate::arena::Arena::new(&mut got_x);
                    let mut out = arena.write_columns(0, rows, x_stride, inputs.clone());
                    linear_backward_input(isa, panels, inputs.clone(), &grad_y, stride, rows, &packed, &mut out);
                    let part = Panels { k: inputs.len(), n };
                    let mut part_grad = vec![f32::NAN; part.len()];
                    linear_backward_weight(
                        isa, panels, inputs.clone(), &x, x_stride, &grad_y, stride, rows, &mut part_grad,
                    );
                    for i in inputs.clone() {
                        for o in 0..n {
                            got_weight[o * k + i] = f64::from(part_grad[part.index(i - inputs.start, o)]);
                        }
                    }
                    bits.extend(part_grad.iter().map(|v| v.to_bits()));
                }
                let got_x: Vec<f32> = (0..rows).flat_map(|r| got_x[r * x_stride..r * x_stride + k].to_vec()).collect();
                assert_close(&got_x, &grad_x, 1e-5, &format!("grad_x {rows}x{k}x{n}"));
                let got_weight: Vec<f32> = got_weight.into_iter().map(|v| v as f32).collect();
                assert_close(&got_weight, &grad_weight, 1e-5, &format!("grad_weight {rows}x{k}x{n}"));
                let mut sums = vec![f32::NAN; panels.padded_n()];
                column_sums(isa, &grad_y, stride, rows, &mut sums);
                assert_close(&sums[..n], &grad_bias, 1e-5, &format!("grad_bias {rows}x{k}x{n}"));
                bits.extend(got_x.iter().chain(&sums).map(|v| v.to_bits()));
                bits
            });
        }
    }
}
