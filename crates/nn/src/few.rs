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
use tenfold_kernels::linear::small_out::{
    Next, NonzeroImages, SmallOut, linear_backward_weight_small_out, linear_forward_small_out,
};

impl Step<'_> {
    /// The outputs of this thread's images.
    #[expect(clippy::too_many_arguments, reason = "one arm of forward_op")]
    pub(crate) fn linear_forward_small_out(
        &self,
        worker: &Worker,
        data: &Dataset,
        at: usize,
        op: &Op,
        layout: SmallOut,
        weight: &Range<usize>,
        bias: &Range<usize>,
        batch: &Batch,
    ) {
        let share = self.share(worker, op, batch.indices.len());
        if share.is_empty() {
            return;
        }
        let (weight, bias) = (self.params.read(weight.clone()), self.params.read(bias.clone()));
        let start = Self::images(self.plan.buffers[at].output, &op.output, share.clone()).start;
        let mut y = self.floats.write_columns(start, share.len(), op.output.image_len(), 0..LANES);
        let images = self.images_of(data, &batch.indices[share.clone()]);
        let mut y = y.columns();
        let mut lit = self.bytes.write(lit_of(layout, self.plan.buffers[at].lit_images, share.clone()));
        linear_forward_small_out(self.isa, layout, images, &weight, &bias, &mut y, lit.as_chunks_mut().0);
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
        layout: SmallOut,
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
            let lit = self.bytes.read(lit_of(layout, self.plan.buffers[at].lit_images, 0..rows));
            let lit = lit.as_chunks().0;
            let next = Next { indices: batch.next, whole: self.share(worker, op, batch.next.len()) };
            linear_backward_weight_small_out(self.isa, layout, images, lit, share.clone(), &grad, stride, part, next);
            self.learn(batch, weight.start + layout.start(share.start), part);
        }
        self.learn_bias(worker, &mut scratch.values, batch, &grad, stride, bias);
    }
}

/// The bytes from `start` on that tell of images `images`, whole groups of sixteen or the last ones.
fn lit_of(layout: SmallOut, start: usize, images: Range<usize>) -> Range<usize> {
    let bytes = |images: usize| start + size_of::<NonzeroImages>() * layout.mask_len(images);
    bytes(images.start)..bytes(images.end)
}
