//! What comes in, unchanged: an activation that follows no operation it could be part of is applied to it, or it is
//! there with another border.

use super::{Operation, Run};
use crate::layout::for_shared_rows;
use crate::plan::Scratch;

#[derive(Clone, Debug)]
pub(crate) struct Copy;

impl Operation for Copy {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let (x, mut y) = (run.read(run.input(), n..n + 1), run.write(n));
            for_shared_rows(run.layout(run.input()), run.layout(run.node.output), |from, to| {
                y[to].copy_from_slice(&x[from]);
            });
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| out.copy_from_slice(&run.grad(n..n + 1)));
        }
    }
}
