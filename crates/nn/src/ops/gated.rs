//! GELU and SiLU: an operation of its own, because their slope needs what came in.

use super::{Operation, Run};
use crate::layout::for_rows;
use crate::plan::Scratch;
use tenfold_kernels::gated::{Gate, gated_backward, gated_forward};

#[derive(Clone, Debug)]
pub(crate) struct Gated(pub(crate) Gate);

impl Operation for Gated {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let mut y = run.write(n);
            // Padding is zero, and stays so.
            gated_forward(run.step.isa, self.0, &run.read(run.input(), n..n + 1), &mut y);
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        let (layout, plain) = (run.layout(run.input()), run.grad_layout(run.input()));
        for n in run.share() {
            let x = run.read(run.input(), n..n + 1);
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                out.copy_from_slice(&run.grad(n..n + 1));
                for_rows(layout, plain, |from, to| gated_backward(run.step.isa, self.0, &x[from], &mut out[to]));
            });
        }
    }
}
