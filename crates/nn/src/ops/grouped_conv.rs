//! Convolution in groups: the outputs of each see the inputs of the same group alone.
//!
//! Groups are put together until what comes in and goes out are whole blocks of channels: each such set is a convolution
//! by itself over its blocks. Where a set has several groups, weights between them are zero and stay so, as they learn
//! from no gradient.

use super::{Operation, Run, weight_and_bias};
use crate::graph::{Array, Params};
use crate::layout::copy_pixels;
use crate::plan::{Room, Scratch, Wiring};
use std::ops::Range;
use tenfold_kernels::conv::direct::{Conv2d, Phase, add_bias, conv2d_backward_weight, conv2d_forward, rotate_weight};
use tenfold_kernels::{LANES, Planes, Prefetch};

#[derive(Clone, Debug)]
pub(crate) struct GroupedConv {
    /// Of all channels.
    output: Planes,
    /// That of one set, as many of which there are, and as many groups as each has.
    conv: Conv2d,
    sets: usize,
    groups: usize,
    /// How the gradient of a set's input is computed.
    phases: Vec<Phase>,
    weight: Array,
    bias: Array,
    /// Where the rotated weights of all sets start.
    rotated: usize,
}

impl GroupedConv {
    /// The convolution of `input` to `output` in `groups` groups, which divide the channels of both.
    pub(crate) fn new(
        (input, output): (Planes, Planes),
        (kernel, stride, padding): ((usize, usize), (usize, usize), (usize, usize)),
        groups: usize,
        has_bias: bool,
        params: &mut Params,
    ) -> GroupedConv {
        let of_group = (input.channels() / groups, output.channels() / groups);
        let are_blocks = |n: &usize| (n * of_group.0).is_multiple_of(LANES) && (n * of_group.1).is_multiple_of(LANES);
        let in_set = (1..groups).filter(|n| groups.is_multiple_of(*n)).find(are_blocks).unwrap_or(groups);
        let (sets, part) = (groups / in_set, |planes: &Planes, channels| planes.of_channels(channels));
        let conv =
            Conv2d::new(part(&input, in_set * of_group.0), part(&output, in_set * of_group.1), kernel, stride, padding);
        let weight = params.array("weight", sets * conv.weight().len());
        let bias = params.bias(output.blocks() * LANES, has_bias);
        let phases = conv.phases();
        GroupedConv { output, conv, sets, groups: in_set, phases, weight, bias, rotated: 0 }
    }

    /// Elements of the rotated weights of one set.
    fn rotated_len(&self) -> usize {
        self.phases.iter().map(|phase| phase.conv().weight().len()).sum()
    }

    /// The weights of set `set` within those of all.
    fn weights_of(&self, set: usize) -> Range<usize> {
        let len = self.conv.weight().len();
        set * len..(set + 1) * len
    }

    /// This thread's share of the weights rotated by half a turn.
    fn rotate(&self, run: &Run) {
        let weight = run.step.params.read(self.weight.place.clone());
        for set in run.worker.share(self.sets) {
            let mut start = self.rotated + set * self.rotated_len();
            for phase in &self.phases {
                let (panels, runs) = (phase.conv().weight(), phase.conv().run_count());
                for panel in 0..panels.count() {
                    let rows = panels.rows(panel, 0..panels.k);
                    let mut out = run.step.floats.write(start + rows.start..start + rows.end);
                    rotate_weight(
                        run.step.isa,
                        &self.conv,
                        phase,
                        panel,
                        0..runs,
                        &weight[self.weights_of(set)],
                        &mut out,
                    );
                }
                start += panels.len();
            }
        }
    }

    /// Sets the gradient of rows `rows` of panel `panel` to zero where they lie between two groups of a set.
    fn mask(&self, panel: usize, rows: Range<usize>, gradient: &mut [f32]) {
        if self.groups == 1 {
            return;
        }
        let (ins, outs) = (self.conv.input().channels() / self.groups, self.conv.output().channels() / self.groups);
        let panels = self.conv.weight();
        let (columns, lanes) = (panels.columns(panel), self.conv.input().lanes());
        let (taps, width) = (self.conv.kernel().0 * self.conv.kernel().1, panels.width(panel));
        for (row, gradient) in rows.zip(gradient.chunks_exact_mut(width)) {
            let group = (row / lanes / taps * lanes + row % lanes) / ins;
            let own = group * outs..(group + 1) * outs;
            for (column, gradient) in (columns.start..).zip(gradient) {
                if !own.contains(&column) {
                    *gradient = 0.0;
                }
            }
        }
    }

    /// This thread's share of the gradients of weights and biases, and of learning from them.
    fn learn(&self, run: &Run, scratch: &mut [f32]) {
        let (step, images, panels) = (run.step, run.images(), self.conv.weight());
        let (x, grad) = (run.read(run.input(), 0..images), run.grad(0..images));
        let (from, to) = (self.conv.input(), self.conv.output().plain());
        // The last of a panel's runs is its biases.
        let (runs, run_len) = (self.conv.run_count() + 1, self.conv.run_len());
        for unit in run.worker.share(self.sets * panels.count() * runs) {
            let (set, panel, number) = (unit / runs / panels.count(), unit / runs % panels.count(), unit % runs);
            let rows =
                if number + 1 == runs { panels.k..panels.k + 1 } else { number * run_len..(number + 1) * run_len };
            let width = panels.width(panel);
            let (sum, one) = scratch.split_at_mut(run_len * width);
            let (sum, one) = (&mut sum[..rows.len() * width], &mut one[..rows.len() * width]);
            sum.fill(0.0);
            for n in 0..images {
                let x = &x[n * self.sets * from.len() + set * from.len()..][..from.len()];
                let grad = &grad[n * self.sets * to.len() + set * to.len()..][..to.len()];
                conv2d_backward_weight(step.isa, &self.conv, panel, rows.clone(), x, &to, grad, 1, one);
                sum.iter_mut().zip(&*one).for_each(|(sum, one)| *sum += one);
            }
            if number + 1 == runs {
                step.learn(run.batch, &self.bias, set * to.channels() + panels.columns(panel).start, sum);
            } else {
                self.mask(panel, rows.clone(), sum);
                step.learn(run.batch, &self.weight, self.weights_of(set).start + panels.rows(panel, rows).start, sum);
            }
        }
    }
}

impl Operation for GroupedConv {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        let [_, channels, kh, kw] = shape[..] else { unreachable!("OIHW") };
        let (kx, ky, i, o) = (j % kw, j / kw % kh, j / kw / kh % channels, j / kw / kh / channels);
        let outs = self.conv.output().channels();
        let (set, o) = (o / outs, o % outs);
        let group = o / (outs / self.groups);
        let row = self.conv.weight_row(group * channels + i, ky, kx);
        self.weights_of(set).start + self.conv.weight().index(row, o)
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        if wiring.learns {
            self.rotated = room.floats(self.sets * self.rotated_len());
            // Each thread's for a set's gradient of one image, with its border, or for a run of the weights' gradient of
            // all images and of one.
            let panels = self.conv.weight();
            room.values(self.conv.grad_output().len().max(2 * self.conv.run_len() * panels.padded_n()));
        }
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let params = &run.step.params;
        let (weight, bias) = (params.read(self.weight.place.clone()), params.read(self.bias.place.clone()));
        let (from, to) = (self.conv.input().len(), self.conv.output().len());
        for n in run.share() {
            let (x, mut y) = (run.read(run.input(), n..n + 1), run.write(n));
            for (set, (x, y)) in x.chunks_exact(from).zip(y.chunks_exact_mut(to)).enumerate() {
                let (weight, nothing) = (&weight[self.weights_of(set)], &mut Prefetch::nothing());
                conv2d_forward(run.step.isa, &self.conv, 1, x, weight, y, nothing);
            }
            if self.bias.learned {
                add_bias(run.step.isa, &self.output, &bias, false, &mut y);
            }
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (step, Scratch { values, spare, .. }) = (run.step, scratch);
        if step.plan.graph.passes_gradient(&run.node.inputs) {
            self.rotate(run);
            run.worker.barrier();
            let len = self.rotated_len();
            let rotated = step.floats.read(self.rotated..self.rotated + self.sets * len);
            let (from, to, plain) =
                (self.conv.output().plain(), self.conv.grad_output(), self.conv.input().plain().len());
            let image = &mut values.as_mut_slice()[..to.len()];
            for n in run.share() {
                let grad = run.grad(n..n + 1);
                run.pass(run.input(), n, spare.as_mut_slice(), |out| {
                    if !self.conv.phases_are_whole() {
                        out.fill(0.0);
                    }
                    let sets = grad.chunks_exact(from.len()).zip(out.chunks_exact_mut(plain));
                    for ((grad, out), rotated) in sets.zip(rotated.chunks_exact(len)) {
                        copy_pixels(&from, grad, &to, image);
                        let mut start = 0;
                        for phase in &self.phases {
                            let len = phase.conv().weight().len();
                            let (weight, nothing) = (&rotated[start..start + len], &mut Prefetch::nothing());
                            conv2d_forward(step.isa, phase.conv(), 1, image, weight, out, nothing);
                            start += len;
                        }
                    }
                });
            }
        }
        self.learn(run, values.as_mut_slice());
    }
}
