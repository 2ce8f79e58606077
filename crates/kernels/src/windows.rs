//! How often a window fits.

/// Places of a window of `kernel` pixels along a row or column of `size` pixels, padding included, `stride` pixels from
/// one to the next; `None` if it does not fit once. One that would hang over the edge is left out.
pub fn count(size: usize, kernel: usize, stride: usize) -> Option<usize> {
    size.checked_sub(kernel).map(|rest| rest / stride + 1)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn windows_that_hang_over_the_edge_are_left_out() {
        for (size, kernel, stride, expected) in [
            (28, 5, 1, Some(24)),
            (28 + 4, 5, 1, Some(28)),
            (28, 2, 2, Some(14)),
            (7, 2, 2, Some(3)),
            (7, 3, 2, Some(3)),
            (8, 3, 2, Some(3)),
            (3, 3, 9, Some(1)),
            (2, 3, 1, None),
        ] {
            assert_eq!(count(size, kernel, stride), expected, "{kernel} in {size}, stride {stride}");
        }
    }
}
