//! A linear layer with few outputs over pixels, as the first and often only one of a network: threads share the images
//! forward and the inputs backward.

use crate::data::Dataset;
use crate::network::Op;
use crate::plan::Scratch;
use crate::step::{Batch, Step};
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::activation::activation_forward;
use tenfold_kernels::linear::LinearWeight;
use tenfold_kernels::linear_few::{blocks, linear_backward_weight_few, linear_forward_few};

impl Step<'_> {
    /// Whether operation `at` makes few outputs of pixels that may be zero.
    pub(crate) fn few(&self, at: usize) -> bool {
        self.plan.few && at == 0 && self.pixels[0] == 0.0
    }

    /// The outputs of this thread's images.
    #[expect(clippy::too_many_arguments, reason = "one arm of forward_op")]
    pub(crate) fn linear_forward_few(
        &self,
        worker: &Worker,
        data: &Dataset,
        at: usize,
        op: &Op,
        layout: LinearWeight,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let share = worker.share(batch.indices.len());
        if share.is_empty() {
            return;
        }
        let (weight, bias) = (self.params.read(weight.clone()), self.params.read(bias.clone()));
        let start = Self::images(self.plan.buffers[at].output, &op.output, share.clone()).start;
        let mut y = self.floats.write_columns(start, share.len(), op.output.image_len(), 0..LANES);
        let images = self.images_of(data, &batch.indices[share.clone()]);
        let mut y = y.columns();
        linear_forward_few(self.isa, layout, images, &weight, &bias, &mut y);
        if let Some(activation) = op.activation {
            for n in 0..share.len() {
                activation_forward(self.isa, activation, &mut y.row_mut(n)[..layout.out_features]);
            }
        }
    }

    /// Gradient and update of this thread's part of the weights.
    #[expect(clippy::too_many_arguments, reason = "one arm of backward_op")]
    pub(crate) fn linear_backward_few(
        &self,
        worker: &Worker,
        scratch: &mut Scratch,
        data: &Dataset,
        at: usize,
        op: &Op,
        layout: LinearWeight,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let rows = batch.indices.len();
        let share = worker.share(blocks(layout.in_features));
        let inputs = share.start * LANES..(share.end * LANES).min(layout.in_features);
        let grad = self.floats.read(Self::images(self.plan.buffers[at].grad, &op.grad, 0..rows));
        let stride = op.grad.image_len();
        if !inputs.is_empty() {
            let part = &mut scratch.values.as_mut_slice()[..inputs.len() * LANES];
            let images = self.images_of(data, batch.indices);
            linear_backward_weight_few(self.isa, layout, images, share, &grad, stride, part);
            // One vector for each input, input by input, whatever the blocks.
            self.learn(batch, weight.start + inputs.start * LANES, part);
        }
        self.learn_bias(worker, &mut scratch.values, batch, &grad, stride, bias);
    }
}
