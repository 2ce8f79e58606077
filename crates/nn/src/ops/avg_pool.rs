//! Mean over windows.

use super::{Operation, Run};
use crate::plan::Scratch;
use tenfold_kernels::Planes;
use tenfold_kernels::pool::window::{Pool2d, avgpool2d_backward, avgpool2d_forward};

#[derive(Clone, Debug)]
pub(crate) struct AvgPool {
    pool: Pool2d,
}

impl AvgPool {
    pub(crate) fn new(from: Planes, to: Planes, kernel_size: (usize, usize), stride: (usize, usize)) -> AvgPool {
        AvgPool { pool: Pool2d::new(from, to, kernel_size, stride) }
    }
}

impl Operation for AvgPool {
    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            let mut y = run.write(n);
            run.with_input(n, scratch.image.as_mut_slice(), |x| {
                avgpool2d_forward(run.step.isa, &self.pool, x, &mut y);
            });
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (from, to) = (run.grad_layout(run.node.output).planes(), run.grad_layout(run.input()).planes());
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                avgpool2d_backward(run.step.isa, &self.pool, &from, &run.grad(n..n + 1), &to, out);
            });
        }
    }
}
