//! The layout of weights: column panels, each read from front to back by a forward pass.
//!
//! Panels are as nearly equally wide as whole vectors allow: a narrow one would leave registers idle.

use crate::simd::lanes::LANES;
use std::ops::Range;

/// Columns of the widest panel: four vectors, the widest register tile.
pub(crate) const PANEL: usize = 4 * LANES;

/// A `[k, n]` matrix in panels of up to 64 columns, each a dense `[k, width]` matrix.
///
/// `n` is padded with zero columns to a multiple of 16. Rows `k` are inputs, columns `n` outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panels {
    /// Rows.
    pub k: usize,
    /// Columns, before padding.
    pub n: usize,
}

impl Panels {
    /// Columns with padding.
    pub fn padded_n(self) -> usize {
        self.n.next_multiple_of(LANES)
    }

    /// Elements in all.
    pub fn len(self) -> usize {
        // Saturating: so many are in no slice, and a product that wrapped around could be any slice's length.
        self.k.saturating_mul(self.padded_n())
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of panels.
    pub fn count(self) -> usize {
        self.padded_n().div_ceil(PANEL)
    }

    /// Columns of panel `p`.
    pub fn width(self, p: usize) -> usize {
        self.columns(p).len()
    }

    /// The columns that panel `p` holds.
    pub fn columns(self, p: usize) -> Range<usize> {
        let (vectors, count) = (self.padded_n() / LANES, self.count());
        // The first panels have one vector more, where they cannot all be equal.
        let first = |p: usize| p * (vectors / count) + p.min(vectors % count);
        first(p) * LANES..first(p + 1) * LANES
    }

    /// The panel that holds column `n`.
    pub fn panel_of(self, n: usize) -> usize {
        let (vectors, count) = (self.padded_n() / LANES, self.count());
        let (each, wider) = (vectors / count, vectors % count);
        let v = n / LANES;
        if v < wider * (each + 1) { v / (each + 1) } else { wider + (v - wider * (each + 1)) / each }
    }

    /// Whether the second half of the last vector of panel `p` is padding.
    pub(crate) fn is_half_idle(self, p: usize) -> bool {
        p + 1 == self.count() && self.padded_n() - self.n >= LANES / 2
    }

    /// Where panel `p` starts.
    pub fn start(self, p: usize) -> usize {
        self.columns(p).start * self.k
    }

    /// Where element `[k, n]` lies.
    pub fn index(self, k: usize, n: usize) -> usize {
        let p = self.panel_of(n);
        let columns = self.columns(p);
        columns.start * self.k + k * columns.len() + (n - columns.start)
    }

    /// Where rows `rows` of panel `p` lie, a contiguous run.
    pub fn rows(self, p: usize, rows: Range<usize>) -> Range<usize> {
        let (start, width) = (self.start(p), self.width(p));
        start + rows.start * width..start + rows.end * width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_its_own_place() {
        for (k, n) in [(1, 1), (3, 10), (5, 64), (2, 65), (7, 200), (3, 1024)] {
            let panels = Panels { k, n };
            let mut seen = vec![false; panels.len()];
            for row in 0..k {
                for column in 0..panels.padded_n() {
                    let at = panels.index(row, column);
                    assert!(!std::mem::replace(&mut seen[at], true), "[{row}, {column}] of [{k}, {n}] shares a place");
                    let p = panels.panel_of(column);
                    assert!(panels.columns(p).contains(&column) && panels.width(p) <= PANEL);
                    assert!(panels.rows(p, row..row + 1).contains(&at));
                }
            }
            assert!(seen.into_iter().all(|s| s));
        }
    }

    /// A length that wrapped around could be that of a small slice.
    #[test]
    fn weights_larger_than_memory_have_no_slices_length() {
        let n = 1 << 32;
        let lengths = [
            Panels { k: n, n }.len(),
            crate::linear::dense::LinearWeight { in_features: n, out_features: n }.len(),
            crate::linear::small_out::SmallOut { in_features: usize::MAX, out_features: 16 }.len(),
        ];
        assert_eq!(lengths, [usize::MAX; 3]);
    }
}
