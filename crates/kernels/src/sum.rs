//! Sums, element by element.

use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::Lanes;

/// `y += x`.
///
/// # Panics
/// If the slices differ in length.
pub fn add(isa: Isa, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "one term for each sum");
    dispatch!(isa, add_body(x: &[f32], y: &mut [f32]))
}

#[inline(always)]
fn add_body<L: Lanes>(_: L, x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_every_isa, values};

    #[test]
    fn sums_are_rounded_once_on_every_isa() {
        for n in [0, 1, 15, 16, 17, 100] {
            let (x, y) = (values(n, 1), values(n, 2));
            on_every_isa(|isa| {
                let mut sums = y.clone();
                add(isa, &x, &mut sums);
                for at in 0..n {
                    assert_eq!(sums[at], (f64::from(x[at]) + f64::from(y[at])) as f32);
                }
                sums.iter().map(|v| v.to_bits()).collect()
            });
        }
    }
}
