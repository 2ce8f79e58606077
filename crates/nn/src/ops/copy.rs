//! What comes in, unchanged: an activation that follows no operation it could be part of is applied to it.

use super::{Operation, Run};
use crate::plan::Scratch;

#[derive(Clone, Debug)]
pub(crate) struct Copy;

impl Operation for Copy {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let mut y = run.write(n);
            y.copy_from_slice(&run.read(run.input(), n..n + 1));
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| out.copy_from_slice(&run.grad(n..n + 1)));
        }
    }
}
