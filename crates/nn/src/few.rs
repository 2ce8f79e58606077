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
use tenfold_kernels::linear_few::{FewOutputs, linear_backward_weight_few, linear_forward_few};
use tenfold_kernels::memory::fetch;

impl Step<'_> {
    /// Asks for what this thread will look at: its own images forward, of all its own pixels backward.
    pub(crate) fn fetch_few(&self, worker: &Worker, layout: FewOutputs, data: &Dataset, indices: &[u32]) {
        let own = worker.share(indices.len());
        let blocks = worker.share(layout.blocks());
        let pixels = blocks.start * LANES..(blocks.end * LANES).min(layout.in_features);
        for (n, &index) in indices.iter().enumerate() {
            let image = data.image(index as usize);
            fetch(if own.contains(&n) { image } else { &image[pixels.clone()] });
        }
    }

    /// The outputs of this thread's images.
    #[expect(clippy::too_many_arguments, reason = "one arm of forward_op")]
    pub(crate) fn linear_forward_few(
        &self,
        worker: &Worker,
        data: &Dataset,
        at: usize,
        op: &Op,
        layout: FewOutputs,
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
        layout: FewOutputs,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let rows = batch.indices.len();
        let share = worker.share(layout.blocks());
        let grad = self.floats.read(Self::images(self.plan.buffers[at].grad, &op.grad, 0..rows));
        let stride = op.grad.image_len();
        if !share.is_empty() {
            let part = &mut scratch.values.as_mut_slice()[..layout.start(share.len())];
            let images = self.images_of(data, batch.indices);
            linear_backward_weight_few(self.isa, layout, images, share.clone(), &grad, stride, part);
            self.learn(batch, weight.start + layout.start(share.start), part);
        }
        self.learn_bias(worker, &mut scratch.values, batch, &grad, stride, bias);
    }
}
