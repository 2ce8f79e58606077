//! Maximum over windows.

use super::{Operation, Run};
use crate::plan::{Room, Scratch, Wiring};
use tenfold_kernels::Planes;
use tenfold_kernels::pool::window::{Pool2d, maxpool2d_backward, maxpool2d_forward};

#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pool: Pool2d,
    /// Where each maximum was, in bytes.
    argmax: usize,
}

impl MaxPool {
    pub(crate) fn new(from: Planes, to: Planes, kernel_size: (usize, usize), stride: (usize, usize)) -> MaxPool {
        MaxPool { pool: Pool2d::new(from, to, kernel_size, stride), argmax: 0 }
    }

    fn argmax_of(&self, n: usize) -> std::ops::Range<usize> {
        let len = self.pool.argmax_len();
        self.argmax + n * len..self.argmax + (n + 1) * len
    }
}

impl Operation for MaxPool {
    fn plan(&mut self, room: &mut Room, _wiring: &Wiring) {
        self.argmax = room.bytes(room.batch_size * self.pool.argmax_len());
    }

    fn forward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            let (mut y, mut argmax) = (run.write(n), run.step.bytes.write(self.argmax_of(n)));
            run.with_input(n, scratch.image.as_mut_slice(), |x| {
                maxpool2d_forward(run.step.isa, &self.pool, x, &mut y, &mut argmax);
            });
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (from, to) = (run.grad_layout(run.node.output).planes(), run.grad_layout(run.input()).planes());
        for n in run.share() {
            let argmax = run.step.bytes.read(self.argmax_of(n));
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                maxpool2d_backward(run.step.isa, &self.pool, &from, &run.grad(n..n + 1), &argmax, &to, out);
            });
        }
    }
}
