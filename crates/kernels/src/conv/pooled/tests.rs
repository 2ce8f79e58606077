//! Every kernel of a [`ConvPool`] against the references.

use super::forward::pool_forward;
use super::unpool::unpool;
use super::weight::{Entry, conv_pool_backward_weight, gather_run};
use super::*;
use crate::conv::direct::conv2d_forward;
use crate::panels::Panels;
use crate::prefetch::Prefetch;
use crate::reference::{self, Window};
use crate::testing::{assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values};

/// `((channels, height, width), lanes, out_channels, kernel, stride, padding, window)`.
type Pair = (usize, usize);
type Case = ((usize, usize, usize), usize, usize, Pair, Pair, Pair, Pair);

const CASES: [Case; 10] = [
    ((6, 14, 14), 16, 16, (5, 5), (1, 1), (0, 0), (2, 2)),
    ((8, 9, 10), 16, 5, (3, 4), (1, 2), (1, 1), (2, 2)),
    ((9, 6, 6), 16, 18, (1, 1), (1, 1), (0, 0), (2, 2)),
    ((1, 28, 28), 1, 32, (5, 5), (1, 1), (2, 2), (2, 2)),
    ((32, 14, 14), 16, 64, (5, 5), (1, 1), (2, 2), (2, 2)),
    ((3, 11, 9), 3, 5, (3, 3), (1, 1), (1, 1), (2, 2)),
    ((17, 7, 8), 16, 33, (3, 3), (2, 1), (1, 1), (2, 3)),
    ((1, 4, 4), 1, 1, (1, 1), (1, 1), (0, 0), (4, 4)),
    ((2, 13, 9), 2, 70, (7, 7), (1, 1), (3, 3), (1, 1)),
    ((16, 6, 5), 16, 16, (2, 4), (1, 1), (0, 2), (3, 2)),
];

#[test]
fn everything_matches_the_reference_on_every_isa() {
    for (relu, (shape, lanes, out_channels, kernel, stride, padding, window)) in
        [true, false].into_iter().flat_map(|relu| CASES.map(|case| (relu, case)))
    {
        if too_large(shape.0 * shape.1 * shape.2 * out_channels * kernel.0 * kernel.1) {
            continue;
        }
        let what = format!(
            "{shape:?} to {out_channels} by {kernel:?} stride {stride:?} over {window:?}{}",
            if relu { " with ReLU" } else { "" }
        );
        let taps = Window { kernel, stride, padding: [padding.0, padding.1, padding.0, padding.1] };
        let pool = Window { kernel: window, stride: window, padding: [0; 4] };
        let (c, h, w) = shape;
        let (oh, ow) = taps.output(h, w).expect("fits");
        let (ph, pw) = pool.output(oh, ow).expect("fits");
        let input = Planes::with_border(c, lanes, h, w, taps.padding, (1, 1));
        let conv = Conv2d::new(input, Planes::new(out_channels, oh, ow), kernel, stride, padding);
        let output = Planes::with_border(out_channels, LANES, ph, pw, [2, 1, 0, 1], (1, 1));
        let fused = ConvPool::new(conv.clone(), window, output, relu).expect("worth fusing");
        let plain = Planes::new(out_channels, ph, pw);

        let images = 3;
        let weight = values(out_channels * c * kernel.0 * kernel.1, 1);
        let bias = values(out_channels, 2);
        let mut packed_weight = vec![0.0; conv.weight().len()];
        for (at, &value) in weight.iter().enumerate() {
            let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
            let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
            packed_weight[conv.weight().index(conv.weight_row(i, ky, kx), o)] = value;
        }
        let mut padded_bias = bias.clone();
        padded_bias.resize(conv.weight().padded_n(), 0.0);

        let mut expected_weight = vec![0.0; weight.len()];
        let mut expected_bias = vec![0.0; out_channels];
        let (mut xs, mut grads, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..images {
            let x = values(c * h * w, 10 + n);
            let sums = reference::conv2d_forward(&x, shape, &weight, &bias, &taps);
            let activated: Vec<f32> = sums.iter().map(|&v| if relu { v.max(0.0) } else { v } as f32).collect();
            let (y, places) = reference::maxpool2d_forward(&activated, (out_channels, oh, ow), &pool);
            let grad = values(y.len(), 20 + n);
            let mut spread = reference::maxpool2d_backward(&grad, &places, activated.len());
            let passes = |y: f32| !relu || y > 0.0;
            spread.iter_mut().zip(&activated).for_each(|(g, &y)| *g = if passes(y) { *g } else { 0.0 });
            let dense: Vec<f32> = spread.iter().map(|&g| g as f32).collect();
            let (_, gw, gb) = reference::conv2d_backward(&x, shape, &weight, out_channels, &dense, &taps);
            expected_weight.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
            expected_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
            xs.extend(pack_image(&x, &input));
            grads.extend(pack_image(&grad, &plain));
            expected.push((y, spread));
        }
        xs.extend([f32::NAN; LANES]);

        on_every_isa(|isa| {
            let mut bits: Vec<u32> = Vec::new();
            let mut argmax = vec![7; images as usize * fused.argmax_len()];
            for (n, (y, spread)) in expected.iter().enumerate() {
                let mut sums = vec![0.0; conv.output.len()];
                conv2d_forward(
                    isa,
                    &conv,
                    1,
                    &xs[n * input.len()..][..input.len()],
                    &packed_weight,
                    &mut sums,
                    &mut Prefetch::nothing(),
                );
                let mut out = vec![0.0; output.len()];
                let of_image = n * fused.argmax_len()..(n + 1) * fused.argmax_len();
                pool_forward(isa, &fused, &sums, &padded_bias, &mut out, &mut argmax[of_image.clone()]);
                assert_close(&unpack_image(&out, &output), y, 1e-5, &format!("y of {what}"));
                assert_padding_is_zero(&out, &output, &what);
                let planes = conv.grad_output();
                let mut got = vec![0.0; planes.len()];
                unpool(isa, &fused, &grads[of_image.clone()], &argmax[of_image], &mut got);
                assert_close(&unpack_image(&got, &planes), spread, 0.0, &format!("spread of {what}"));
                assert_padding_is_zero(&got, &planes, &what);
                bits.extend(out.iter().map(|v| v.to_bits()));
            }
            let mut entries = vec![Entry::default(); fused.entries_len()];
            let mut channels = vec![f32::NAN; out_channels * fused.channel_len()];
            let mut got_bias = vec![f32::NAN; out_channels];
            let cut = out_channels / 3;
            for part in [0..cut, cut..out_channels] {
                let grad = &mut channels[part.start * fused.channel_len()..part.end * fused.channel_len()];
                let bias = &mut got_bias[part.clone()];
                conv_pool_backward_weight(
                    isa,
                    &fused,
                    part,
                    &xs,
                    &grads,
                    &argmax,
                    images as usize,
                    &mut entries,
                    grad,
                    bias,
                );
            }
            let mut got = vec![f32::NAN; weight.len()];
            for run in 0..conv.run_count() {
                let panels = Panels { k: conv.run_len(), n: out_channels };
                let mut rows = vec![f32::NAN; panels.len()];
                gather_run(&fused, run, &channels, &mut rows);
                for (at, value) in got.iter_mut().enumerate() {
                    let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                    let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                    let row = conv.weight_row(i, ky, kx);
                    if row / conv.run_len() == run {
                        *value = rows[panels.index(row % conv.run_len(), o)];
                    }
                }
            }
            assert_close(&got, &expected_weight, 1e-5, &format!("grad_weight of {what}"));
            assert_close(&got_bias, &expected_bias, 1e-5, &format!("grad_bias of {what}"));
            bits.extend(got.iter().chain(&got_bias).map(|v| v.to_bits()));
            bits
        });
    }
}
