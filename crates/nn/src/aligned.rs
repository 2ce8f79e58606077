//! Memory that starts on a cache line, so that no vector straddles two.

use tenfold_kernels::memory::prefer_large_pages;

/// Elements of a cache line of f32.
pub(crate) const LINE: usize = 16;

/// Elements from which on large pages are worth it: a few of them.
const LARGE: usize = 1 << 20;

/// A zeroed slice whose first element is on a cache line.
pub(crate) struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn zeroed(len: usize) -> Aligned {
        let mut data = vec![0.0_f32; len + LINE];
        // Zeroed memory of this size is fresh from the system.
        if data.len() >= LARGE {
            prefer_large_pages(&mut data);
        }
        // Counted in elements; `usize::MAX` is allowed by the standard library but does not happen for f32.
        let start = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Aligned { data, start, len }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Aligned {
        let mut copy = Aligned::zeroed(self.len);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}
