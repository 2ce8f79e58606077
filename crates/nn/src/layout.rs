//! How the activations of one image lie in memory.

use std::ops::Range;
use tenfold_kernels::{LANES, Planes};

/// How the activations of one image lie between two operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Feature maps.
    Planes(Planes),
    /// A row of features, padded with zeros to `stride`.
    Row { features: usize, stride: usize },
}

impl Layout {
    /// A row of features. It takes an odd number of cache lines, so that a column of all rows spreads over all cache sets.
    pub(crate) fn row(features: usize) -> Layout {
        Layout::Row { features, stride: (features.div_ceil(LANES) | 1) * LANES }
    }

    /// Elements from one image to the next.
    pub(crate) fn image_len(&self) -> usize {
        match self {
            Layout::Planes(planes) => planes.len(),
            Layout::Row { stride, .. } => *stride,
        }
    }

    /// One image's activations without padding: `[C, H, W]`, or a row.
    pub(crate) fn unpacked(&self, packed: &[f32]) -> Vec<f32> {
        let planes = match self {
            Layout::Planes(planes) => planes,
            Layout::Row { features, .. } => return packed[..*features].to_vec(),
        };
        let mut values = Vec::with_capacity(planes.channels() * planes.height() * planes.width());
        for (c, y) in (0..planes.channels()).flat_map(|c| (0..planes.height()).map(move |y| (c, y))) {
            values.extend((0..planes.width()).map(|x| packed[planes.index(c, y, x)]));
        }
        values
    }

    /// The same without border: how gradients lie.
    pub(crate) fn plain(&self) -> Layout {
        match self {
            Layout::Planes(planes) => Layout::Planes(planes.plain()),
            Layout::Row { .. } => *self,
        }
    }

    /// Elements of one image that a linear layer takes as its input, in order; planes have no border there.
    pub(crate) fn inputs(&self) -> usize {
        match self {
            Layout::Planes(planes) => planes.len(),
            Layout::Row { features, .. } => *features,
        }
    }

    /// Feature maps.
    ///
    /// # Panics
    /// If it is a row.
    pub(crate) fn planes(&self) -> Planes {
        match self {
            Layout::Planes(planes) => *planes,
            Layout::Row { features, .. } => panic!("a row of {features} features where feature maps are expected"),
        }
    }
}

/// Calls `f` for each stretch of elements that lie together in a value and in its gradient, which has no border: where
/// they are in one, and in the other.
pub(crate) fn for_rows(layout: &Layout, plain: &Layout, mut f: impl FnMut(Range<usize>, Range<usize>)) {
    match (layout, plain) {
        (Layout::Planes(from), Layout::Planes(to)) if from != to => {
            let row = to.width() * to.pixel();
            for (block, y) in (0..to.blocks()).flat_map(|block| (0..to.height()).map(move |y| (block, y))) {
                let (a, b) = (from.offset(block, y, 0), to.offset(block, y, 0));
                f(a..a + row, b..b + row);
            }
        }
        _ => f(0..layout.image_len(), 0..plain.image_len()),
    }
}

/// Calls `f` for each stretch of elements that lie together in two values of one size: where they are in one, and in
/// the other.
pub(crate) fn for_shared_rows(a: &Layout, b: &Layout, mut f: impl FnMut(Range<usize>, Range<usize>)) {
    match (a, b) {
        (Layout::Planes(a), Layout::Planes(b)) if a != b => {
            assert_eq!((a.lanes(), a.pixel()), (b.lanes(), b.pixel()), "pixels alike");
            let row = a.width() * a.pixel();
            for (block, y) in (0..a.blocks()).flat_map(|block| (0..a.height()).map(move |y| (block, y))) {
                let (a, b) = (a.offset(block, y, 0), b.offset(block, y, 0));
                f(a..a + row, b..b + row);
            }
        }
        _ => f(0..a.image_len(), 0..b.image_len()),
    }
}

/// Overwrites `target` with the pixels of `source`, in another layout of the same size, and zeros around them.
pub(crate) fn copy_pixels(from: &Planes, source: &[f32], to: &Planes, target: &mut [f32]) {
    assert_eq!((from.pixel(), to.pixel()), (LANES, LANES), "pixels of a row follow each other");
    to.clear_border(target);
    for block in 0..to.blocks() {
        for y in 0..to.height() {
            let (a, b) = (from.offset(block, y, 0), to.offset(block, y, 0));
            target[b..b + to.width() * LANES].copy_from_slice(&source[a..a + to.width() * LANES]);
        }
    }
}
