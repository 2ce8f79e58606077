//! Memory that will be needed soon, asked for bit by bit while something else is computed.
//!
//! The weights of a large layer do not fit in L2, and a processor fetches ahead only along the streams that it sees. A
//! kernel that works on one block asks for the lines of the next one in the gaps between its multiply-adds.

use crate::simd::lanes::prefetch;

/// Elements of a cache line.
const LINE: usize = 16;

/// Some stretches of memory of equal length, from front to back, and then perhaps others.
#[derive(Debug)]
pub struct Prefetch<'a> {
    starts: &'a [*const f32],
    len: usize,
    /// Others, and their length.
    others: (&'a [*const f32], usize),
    /// Lines asked for at a time.
    share: usize,
    stretch: usize,
    at: usize,
}

impl<'a> Prefetch<'a> {
    /// Nothing at all.
    pub fn nothing() -> Prefetch<'a> {
        Prefetch::over(&[], 0, 1)
    }

    /// `len` elements from each of `starts` on, asked for in `calls` portions. The addresses are never read.
    pub fn over(starts: &'a [*const f32], len: usize, calls: usize) -> Prefetch<'a> {
        Prefetch::over_both((starts, len), (&[], 0), calls)
    }

    /// The same for the stretches of one length and then those of another.
    pub fn over_both(first: (&'a [*const f32], usize), then: (&'a [*const f32], usize), calls: usize) -> Prefetch<'a> {
        let lines = |(starts, len): (&[*const f32], usize)| starts.len() * len.div_ceil(LINE);
        let share = (lines(first) + lines(then)).div_ceil(calls.max(1));
        Prefetch { starts: first.0, len: first.1, others: then, share, stretch: 0, at: 0 }
    }

    /// Asks for the next lines.
    #[inline(always)]
    pub(crate) fn ask(&mut self) {
        for _ in 0..self.share {
            let Some(start) = self.starts.get(self.stretch) else {
                return self.go_on();
            };
            prefetch(start.wrapping_add(self.at));
            self.at += LINE;
            if self.at >= self.len {
                self.at = 0;
                self.stretch += 1;
            }
        }
    }

    /// Goes on with the others, if there are any left.
    #[cold]
    fn go_on(&mut self) {
        let (starts, len) = std::mem::take(&mut self.others);
        let share = if starts.is_empty() { 0 } else { self.share };
        *self = Prefetch { starts, len, others: (&[], 0), share, stretch: 0, at: 0 };
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
        assert_eq!(places, [(0, 32), (1, 16), (2, 0), (0, 0), (0, 0)]);
        Prefetch::nothing().ask();
    }

    #[test]
    fn stretches_of_another_length_follow() {
        let data = [0.0_f32; 100];
        let (first, then) = ([data.as_ptr()], [data.as_ptr().wrapping_add(32), data.as_ptr()]);
        let mut ahead = Prefetch::over_both((&first, 32), (&then, 16), 2);
        let mut places = Vec::new();
        for _ in 0..5 {
            ahead.ask();
            places.push((ahead.len, ahead.stretch, ahead.at));
        }
        assert_eq!(places, [(32, 1, 0), (16, 0, 0), (16, 2, 0), (0, 0, 0), (0, 0, 0)]);
    }
}
