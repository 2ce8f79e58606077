//! Convolution.

use super::convolution::Convolution;
use super::{Operation, Run, weight_and_bias};
use crate::graph::{Array, Params};
use crate::layout::copy_pixels;
use crate::plan::{Room, Scratch, Wiring};
use crate::precision::Precision;
use tenfold_kernels::activation::Activation;
use tenfold_kernels::conv::direct::{Conv2d, add_bias};

#[derive(Clone, Debug)]
pub(crate) struct Conv {
    conv: Convolution,
}

impl Conv {
    /// `passes`: whether the gradient of the input is wanted.
    pub(crate) fn new(conv: Conv2d, precision: Precision, passes: bool, has_bias: bool, params: &mut Params) -> Conv {
        Conv { conv: Convolution::new(conv, precision, passes, has_bias, params) }
    }

    /// One of weights that no optimizer changes, without bias, straight over the images.
    pub(crate) fn kept(conv: Conv2d, precision: Precision, params: &mut Params) -> Conv {
        let mut conv = Convolution::new(conv, precision, false, false, params);
        conv.weight.learned = false;
        Conv { conv }
    }

    /// [`super::Op::takes_gradient_images`].
    pub(super) fn takes_gradient_images(&self) -> bool {
        self.conv.back.is_some()
    }

    /// [`super::Op::takes_images`].
    pub(super) fn takes_images(&self) -> bool {
        self.conv.takes_images()
    }
}

impl Operation for Conv {
    fn arrays(&self) -> Vec<&Array> {
        weight_and_bias(&self.conv.weight, &self.conv.bias)
    }

    fn index(&self, shape: &[usize], j: usize) -> usize {
        self.conv.index(shape, j)
    }

    fn plan(&mut self, room: &mut Room, wiring: &Wiring) {
        self.conv.plan(room, wiring.learns);
        if wiring.learns {
            self.conv.plan_learning(room);
        }
    }

    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        let bias = run.step.params.read(self.conv.bias.place.clone());
        let planes = self.conv.direct.output();
        let Scratch { products, image, .. } = scratch;
        self.conv.forward(run, products.as_mut_slice(), image.as_mut_slice(), |images, fill| {
            let mut y = run.write_images(images.clone());
            fill(&mut y);
            for (n, y) in images.zip(y.chunks_exact_mut(planes.len())) {
                if !self.conv.bias.learned {
                    run.finish(n, y);
                    continue;
                }
                let relu = run.activation(run.node.output) == Some(Activation::Relu);
                add_bias(run.step.isa, planes, &bias, relu, y);
                if relu { run.finish_activated(n, y) } else { run.finish(n, y) }
            }
        });
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (from, to) = (run.grad_layout(run.node.output).planes(), self.conv.direct.grad_output());
        let spread = |n: usize, out: &mut [f32]| run.with_grad(n, |grad| copy_pixels(&from, grad, &to, out));
        if !self.conv.fourier_backward(run, scratch, spread) {
            self.conv.pass_through(run, scratch, spread);
            if run.step.plan.graph.values[run.node.output.0].passed_through.is_some() {
                run.worker.barrier();
            }
            self.conv.learn(run, scratch);
        }
    }
}
