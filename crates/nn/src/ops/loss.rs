//! Softmax and cross-entropy: the loss of every network, and its gradient.

use crate::batch::Batch;
use crate::graph::ValueId;
use crate::plan::Scratch;
use crate::step::Step;
use std::ops::Range;
use tenfold_kernels::softmax_cross_entropy::{cross_entropy, softmax_cross_entropy};

/// Loss of the images `share` of the batch, whether each prediction is right, and while training the gradient of the
/// logits. Where classes have weights, the loss of an image is multiplied by the weight of its class, and the mean over
/// the batch is still by the number of images: by the sum of weights, those of a batch of one class would cancel.
pub(crate) fn forward_backward(
    step: &Step,
    logits: ValueId,
    share: Range<usize>,
    scratch: &mut Scratch,
    batch: &Batch,
) {
    let stride = step.plan.graph.values[logits.0].layout.image_len();
    let labels = &mut scratch.labels[..share.len()];
    for (label, n) in labels.iter_mut().zip(share.clone()) {
        *label = batch.examples.label(n);
    }
    let x = step.floats.read(step.plan.value(logits, share.clone()));
    let (mut losses, mut correct) = (step.losses.write(share.clone()), step.correct.write(share.clone()));
    if step.plan.training {
        let mut grad = step.floats.write(step.plan.grad(logits, share.clone()));
        let (classes, scale) = (step.classes, (1.0 / batch.len() as f64) as f32);
        softmax_cross_entropy(
            step.isa,
            &x,
            stride,
            classes,
            labels,
            batch.counts.part(share.clone()),
            scale,
            &mut losses,
            &mut correct,
            &mut grad,
        );
    } else {
        cross_entropy(step.isa, &x, stride, step.classes, labels, &mut losses, &mut correct);
    }
}
