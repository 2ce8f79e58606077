//! Mean and spread of pixels.

use crate::{Examples, ImageShape};

/// Mean and standard deviation of the pixels of a channel, from 0 to 255.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation about it, of these pixels themselves (divided by their number).
    pub deviation: f64,
}

impl Examples {
    /// Of each channel, over all images; none where there are no images.
    pub fn moments(&self, shape: ImageShape) -> Vec<Moments> {
        let area = shape.height * shape.width;
        // The sum and the sum of squares, in whole numbers: 4 GiB of 255 squared are less than 2 to the 49th.
        let mut sums = vec![[0_u64; 2]; shape.channels];
        for image in self.pixels.chunks_exact(shape.len()) {
            for (sums, plane) in sums.iter_mut().zip(image.chunks_exact(area)) {
                for &pixel in plane {
                    sums[0] += u64::from(pixel);
                    sums[1] += u64::from(pixel).pow(2);
                }
            }
        }
        let n = (self.len(shape.len()) * area) as u64;
        let of = |[sum, squares]: [u64; 2]| {
            // The squares about the mean, times n, without rounding.
            let about = u128::from(squares) * u128::from(n) - u128::from(sum).pow(2);
            Moments { mean: sum as f64 / n as f64, deviation: (about as f64).sqrt() / n as f64 }
        };
        if n == 0 { Vec::new() } else { sums.into_iter().map(of).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own() {
        let shape = ImageShape { channels: 3, height: 1, width: 2 };
        let pixels = vec![0, 255, 7, 7, 1, 2, 255, 0, 7, 7, 3, 4];
        let moments = Examples { pixels, ..Examples::default() }.moments(shape);
        let expected = [(127.5, 127.5), (7.0, 0.0), (2.5, 1.25_f64.sqrt())];
        assert_eq!(moments.len(), 3);
        for (found, (mean, deviation)) in moments.iter().zip(expected) {
            assert!((found.mean - mean).abs() < 1e-12 && (found.deviation - deviation).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(Examples::default().moments(shape), []);
    }

    #[test]
    fn those_of_mnist_are_those_that_everybody_knows() {
        let mnist = crate::Published::mnist();
        let pixels = mnist.train.pixels.clone();
        let moments = Examples { pixels, ..Examples::default() }.moments(mnist.train.shape);
        let rounded = [moments[0].mean, moments[0].deviation].map(|value| format!("{:.4}", value / 255.0));
        assert_eq!(rounded, ["0.1307", "0.3081"]);
    }
}
