//! What comes in, unchanged: an activation that follows no operation it could be part of is applied to it, or it is
//! there with another border, or without the pixels that its reader passes over.

use super::{Operation, Run};
use crate::layout::{Layout, for_shared_rows};
use crate::plan::Scratch;
use std::ops::Range;
use tenfold_kernels::LANES;

#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// Rows and columns from one pixel that is copied to the next.
    pub(crate) step: (usize, usize),
}

impl Copy {
    /// Calls `f` for each stretch of elements that lie together in both: where they are in what comes in, and in what
    /// goes out.
    fn for_stretches(&self, input: &Layout, output: &Layout, mut f: impl FnMut(Range<usize>, Range<usize>)) {
        if self.step == (1, 1) {
            return for_shared_rows(input, output, f);
        }
        let (from, to) = (input.planes(), output.planes());
        for (block, y) in (0..to.blocks()).flat_map(|block| (0..to.height()).map(move |y| (block, y))) {
            for x in 0..to.width() {
                let (a, b) = (from.offset(block, self.step.0 * y, self.step.1 * x), to.offset(block, y, x));
                f(a..a + from.lanes(), b..b + to.lanes());
            }
        }
    }

    /// Adds the gradient of an image of what goes out, `grad`, to that of what comes in; `from` and `to` are how they lie.
    pub(super) fn add_gradient(&self, from: &Layout, to: &Layout, grad: &[f32], sum: &mut [f32]) {
        self.for_stretches(from, to, |from, to| {
            sum[from].iter_mut().zip(&grad[to]).for_each(|(sum, more)| *sum += more);
        });
    }
}

impl Operation for Copy {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        for n in run.share() {
            let (x, mut y) = (run.read(run.input(), n..n + 1), run.write(n));
            self.for_stretches(run.layout(run.input()), run.layout(run.node.output), |from, to| {
                let (x, y) = (&x[from], &mut y[to]);
                match x.as_array::<LANES>() {
                    // A pixel's channels, without the call that would take longer than they do.
                    Some(pixel) => y.copy_from_slice(pixel),
                    None => y.copy_from_slice(x),
                }
            });
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        if run.step.plan.graph.values[run.input().0].copied_by == Some(run.at) {
            return;
        }
        let (from, to) = (run.grad_layout(run.input()), run.grad_layout(run.node.output));
        for n in run.share() {
            run.pass(run.input(), n, scratch.spare.as_mut_slice(), |out| {
                let grad = run.grad(n..n + 1);
                if self.step != (1, 1) {
                    out.fill(0.0);
                }
                self.for_stretches(from, to, |from, to| out[from].copy_from_slice(&grad[to]));
            });
        }
    }
}
