//! Mean of each feature map.

use super::{Operation, Run};
use crate::plan::Scratch;
use tenfold_kernels::pool::global::{global_avgpool_backward, global_avgpool_forward};

#[derive(Clone, Debug)]
pub(crate) struct GlobalAvgPool;

impl Operation for GlobalAvgPool {
    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        let (from, to) = (run.layout(run.input()).planes(), run.layout(run.node.output).planes());
        for n in run.share() {
            let mut y = run.write(n);
            run.with_input(n, scratch.image.as_mut_slice(), |x| {
                global_avgpool_forward(run.step.isa, &from, x, &to, &mut y);
            });
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (from, to) = (run.grad_layout(run.node.output).planes(), run.grad_layout(run.input()).planes());
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                global_avgpool_backward(run.step.isa, &from, &run.grad(n..n + 1), &to, out);
            });
        }
    }
}
