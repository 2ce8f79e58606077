//! What a thread touches next, asked for while it multiplies: a batch's feature maps come from memory, and a processor
//! that multiplies has nothing to fetch.

use super::Run;
use crate::graph::ValueId;
use std::ops::Range;
use tenfold_kernels::Prefetch;

/// Stretches of each kind that are asked for at most; more are left to the processor.
const MOST: usize = 32;

/// The only part of one.
pub(super) const ALL: (usize, usize) = (0, 1);

/// What some images occupy in a few of the step's buffers.
#[derive(Clone, Default)]
pub(super) struct Places {
    ranges: [Range<usize>; 4],
    count: usize,
}

impl Places {
    fn add(&mut self, range: Range<usize>) {
        if !range.is_empty() && self.count < self.ranges.len() {
            self.ranges[self.count] = range;
            self.count += 1;
        }
    }
}

impl Run<'_> {
    /// What [`Run::with_input`] reads for images `images`.
    pub(super) fn taken(&self, images: Range<usize>) -> Places {
        let (plan, mut places) = (self.step.plan, Places::default());
        match plan.graph.values[self.input().0].made_by {
            Some(norm) => plan.graph.nodes[norm].inputs.iter().for_each(|&x| places.add(plan.value(x, images.clone()))),
            None => places.add(plan.value(self.input(), images)),
        }
        places
    }

    /// What [`Run::with_grad`] reads.
    pub(super) fn grad_taken(&self, images: Range<usize>) -> Places {
        let (plan, output) = (self.step.plan, self.node.output);
        let mut places = self.grad_places(images.clone());
        if plan.graph.values[output.0].passed_through.is_some() {
            places.add(plan.value(output, images));
        }
        places
    }

    /// Where the gradient of images of the output is.
    pub(super) fn grad_places(&self, images: Range<usize>) -> Places {
        let mut places = Places::default();
        places.add(self.step.plan.grad(self.node.output, images));
        places
    }

    /// Where images of the output are written.
    pub(super) fn written(&self, images: Range<usize>) -> Places {
        let mut places = Places::default();
        places.add(self.step.plan.value(self.node.output, images));
        places
    }

    /// What [`Run::pass`] writes and reads.
    pub(super) fn passed(&self, value: ValueId, images: Range<usize>) -> Places {
        let (plan, mut places) = (self.step.plan, Places::default());
        let graph = &plan.graph;
        let of = &graph.values[value.0];
        if !of.wants_gradient {
            return places;
        }
        places.add(plan.grad(value, images.clone()));
        if !graph.is_last_writer(self.at, value) {
            return places;
        }
        let norm = of.gradient_summed_for.map(|norm| &graph.nodes[norm]);
        if self.slope(value).0.is_some()
            && !norm.is_some_and(|node| node.op.batch_norm().cuts_gradient(self.step, node))
        {
            places.add(plan.value(value, images.clone()));
        }
        if let Some(node) = norm {
            node.op.batch_norm().normalised(node).iter().for_each(|&x| places.add(plan.value(x, images.clone())));
        }
        places
    }
}

/// What to ask for: first what is needed soonest.
pub(super) struct Ahead<'r> {
    run: &'r Run<'r>,
    soon: Stretches,
    later: Stretches,
}

struct Stretches {
    starts: [*const f32; MOST],
    count: usize,
    len: usize,
}

impl Stretches {
    fn new() -> Stretches {
        Stretches { starts: [std::ptr::null(); MOST], count: 0, len: 0 }
    }

    /// Adds part number `part.0` of `part.1` of each of `pieces` equal pieces of every place.
    fn add(&mut self, run: &Run, places: &Places, pieces: usize, part: (usize, usize)) {
        for range in &places.ranges[..places.count] {
            let piece = range.len() / pieces;
            for n in 0..pieces.min(MOST - self.count) {
                self.starts[self.count] = run.step.floats.address(range.start + n * piece + piece * part.0 / part.1);
                self.count += 1;
            }
            self.len = self.len.max(piece.div_ceil(part.1));
        }
    }

    fn list(&self) -> (&[*const f32], usize) {
        (&self.starts[..self.count], self.len)
    }
}

impl<'r> Ahead<'r> {
    pub(super) fn new(run: &'r Run<'r>) -> Ahead<'r> {
        Ahead { run, soon: Stretches::new(), later: Stretches::new() }
    }

    /// What the result of this multiplication needs: of each of a map's `blocks` part number `part.0` of `part.1`.
    pub(super) fn soon(mut self, places: &Places, blocks: usize, part: (usize, usize)) -> Ahead<'r> {
        self.soon.add(self.run, places, blocks, part);
        self
    }

    /// What comes after that: part number `part.0` of `part.1` of it.
    pub(super) fn later(mut self, places: &Places, part: (usize, usize)) -> Ahead<'r> {
        self.later.add(self.run, places, 1, part);
        self
    }

    /// To be asked about `calls` times.
    pub(super) fn asked(&self, calls: usize) -> Prefetch<'_> {
        Prefetch::over_both(self.soon.list(), self.later.list(), calls)
    }
}
