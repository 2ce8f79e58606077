//! Memory that will be needed soon, asked for bit by bit while something else is computed.
//!
//! The weights of a large layer do not fit in L2, and a processor fetches ahead only along the streams that it sees. A
//! kernel that works on one block asks for the lines of the next one in the gaps between its multiply-adds.

use crate::simd::lanes::prefetch;

/// Elements of a cache line.
const LINE: usize = 16;

/// Some stretches of memory of equal length, from front to back.
#[derive(Debug)]
pub struct Prefetch<'a> {
    starts: &'a [*const f32],
    len: usize,
    /// Elements asked for at a time.
    share: usize,
    stretch: usize,
    at: usize,
}

impl<'a> Prefetch<'a> {
    /// Nothing at all.
    pub fn nothing() -> Prefetch<'a> {
        Prefetch { starts: &[], len: 0, share: 0, stretch: 0, at: 0 }
    }

    /// `len` elements from each of `starts` on, asked for in `calls` portions. The addresses are never read.
    pub fn over(starts: &'a [*const f32], len: usize, calls: usize) -> Prefetch<'a> {
        let lines = (starts.len() * len).div_ceil(LINE);
        Prefetch { starts, len, share: lines.div_ceil(calls.max(1)), stretch: 0, at: 0 }
    }

    /// Asks for the next lines.
    #[inline(always)]
    pub(crate) fn ask(&mut self) {
        for _ in 0..self.share {
            let Some(start) = self.starts.get(self.stretch) else {
                self.share = 0;
                return;
            };
            prefetch(start.wrapping_add(self.at));
            self.at += LINE;
            if self.at >= self.len {
                self.at = 0;
                self.stretch += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_asked_for_once() {
        let data = [0.0_f32; 100];
        let starts = [data.as_ptr(), data.as_ptr().wrapping_add(64)];
        let mut ahead = Prefetch::over(&starts, 40, 3);
        let mut places = Vec::new();
        for _ in 0..5 {
            ahead.ask();
            places.push((ahead.stretch, ahead.at));
        }
        assert_eq!(places, [(0, 32), (1, 16), (2, 0), (2, 0), (2, 0)]);
        Prefetch::nothing().ask();
    }
}
