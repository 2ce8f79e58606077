//! An image turned, moved, stretched or bent: each pixel of the new one is looked up between four pixels of the old.

use super::{ElasticGrid, Offsets};

/// The longest side of an image that can be changed: coordinates are whole numbers of 32 bits.
pub const LONGEST_SIDE: usize = 2048;

/// Bits of a coordinate behind the point.
const POINT: u32 = 16;
/// Bits of the weight of a pixel between two.
const WEIGHT: u32 = 11;

/// What there is beyond an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// Its nearest pixel, so that whatever background it has goes on.
    Edge,
    /// Its mirror image, in which the outermost pixels are not repeated; farther away than the image is large, the
    /// farthest of that.
    Mirror,
}

/// Where in the old image the pixels of the new one are looked up: an affine map.
///
/// Coordinates are `[x, y]` in units of 2^-16 of a pixel, rounded to these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Map {
    /// Of the first pixel.
    origin: [i32; 2],
    /// From one column to the next.
    across: [i32; 2],
    /// From one row to the next.
    down: [i32; 2],
}

impl Map {
    /// The pixel at `p` from the middle of an image of `[height, width]` is looked up at `matrix * p + offset` from
    /// there; all are `[x, y]`, and a matrix is of two rows.
    ///
    /// # Panics
    /// If a number of `matrix` is more than 4 from 0, one of `offset` more than four times [`LONGEST_SIDE`], or a side is
    /// longer than that.
    pub fn about_the_middle([height, width]: [usize; 2], matrix: [[f64; 2]; 2], offset: [f64; 2]) -> Map {
        assert!(height.max(width) <= LONGEST_SIDE, "an image of {height}x{width}");
        assert!(matrix.as_flattened().iter().all(|v| v.abs() <= 4.0), "the matrix {matrix:?}");
        assert!(offset.iter().all(|v| v.abs() <= 4.0 * LONGEST_SIDE as f64), "the offset {offset:?}");
        let middle = [width, height].map(|side| (side.max(1) - 1) as f64 / 2.0);
        let fixed = |v: f64| (v * f64::from(1 << POINT)).round() as i32;
        let origin = |axis: usize| {
            let [a, b] = matrix[axis];
            fixed(middle[axis] - (a * middle[0] + b * middle[1]) + offset[axis])
        };
        Map {
            origin: [origin(0), origin(1)],
            across: [fixed(matrix[0][0]), fixed(matrix[1][0])],
            down: [fixed(matrix[0][1]), fixed(matrix[1][1])],
        }
    }

    /// The determinant of the matrix: below 0 where it mirrors.
    pub fn determinant(&self) -> f64 {
        let ([a, c], [b, d]) = (self.across.map(f64::from), self.down.map(f64::from));
        (a * d - b * c) / f64::from(1 << POINT) / f64::from(1 << POINT)
    }

    /// Where the pixel in row `y` and column `x` is looked up.
    #[inline]
    fn at(&self, x: i32, y: i32) -> [i32; 2] {
        [0, 1].map(|axis| self.origin[axis] + x * self.across[axis] + y * self.down[axis])
    }
}

/// Looks every pixel of `to` up in `from`, both images `[C, H, W]`, at `map` plus its offset of `bent` where there is
/// one; between pixels by the distance from each, with weights of 11 bits.
///
/// # Panics
/// If `from` or `to` are of another size, or a side is longer than [`LONGEST_SIDE`].
pub fn warp(
    [channels, height, width]: [usize; 3],
    from: &[u8],
    map: &Map,
    bent: Option<(&ElasticGrid, &Offsets)>,
    beyond: Beyond,
    to: &mut [u8],
) {
    let plane = height * width;
    assert!(from.len() == channels * plane && to.len() == from.len(), "images of {channels}x{height}x{width}");
    assert!(height.max(width) <= LONGEST_SIDE, "an image of {height}x{width}");
    if plane == 0 {
        return;
    }
    for y in 0..height {
        let row = bent.map(|(grid, offsets)| (grid, grid.row(y, offsets)));
        for x in 0..width {
            let mut at = map.at(x as i32, y as i32);
            if let Some((grid, row)) = &row {
                let offset = grid.at(x, row);
                at = [0, 1].map(|axis| at[axis] + (offset[axis] * (1 << POINT) as f32) as i32);
            }
            let (column, right, along) = between(at[0], width, beyond);
            let (line, below, down) = between(at[1], height, beyond);
            let (first, below) = (line * width + column, below * width);
            for channel in 0..channels {
                let start = channel * plane;
                let pixel = |at: usize| u32::from(from[start + at]);
                let pair = |at: usize| pixel(at) * ((1 << WEIGHT) - along) + pixel(at + right) * along;
                let sum = pair(first) * ((1 << WEIGHT) - down) + pair(first + below) * down;
                to[start + y * width + x] = ((sum + (1 << (2 * WEIGHT - 1))) >> (2 * WEIGHT)) as u8;
            }
        }
    }
}

/// The last of `side` pixels up to a coordinate, how many further the next is (0 or 1), and the weight of that.
#[inline]
fn between(at: i32, side: usize, beyond: Beyond) -> (usize, usize, u32) {
    let last = ((side - 1) as i32) << POINT;
    let at = match beyond {
        Beyond::Edge => at,
        Beyond::Mirror if at.abs() > last => 2 * last - at.abs(),
        Beyond::Mirror => at.abs(),
    };
    let at = at.clamp(0, last);
    let pixel = (at >> POINT) as usize;
    (pixel, usize::from(pixel + 1 < side), (at as u32 & ((1 << POINT) - 1)) >> (POINT - WEIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::CONTROLS;
    use crate::reference::augment::warped;
    use crate::testing::values;

    const IDENTITY: [[f64; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];
    const FLIP: [[f64; 2]; 2] = [[-1.0, 0.0], [0.0, 1.0]];

    fn noise(n: usize, salt: u32) -> Vec<u8> {
        values(n, salt).iter().map(|v| ((v + 1.0) * 127.5) as u8).collect()
    }

    fn plain(shape: [usize; 3], image: &[u8], matrix: [[f64; 2]; 2], offset: [f64; 2], beyond: Beyond) -> Vec<u8> {
        let mut to = vec![99; image.len()];
        warp(shape, image, &Map::about_the_middle([shape[1], shape[2]], matrix, offset), None, beyond, &mut to);
        to
    }

    #[test]
    fn images_are_those_of_the_reference() {
        for (case, shape @ [channels, height, width]) in
            [[1, 28, 28], [3, 7, 12], [2, 1, 5], [1, 1, 1], [3, 33, 16]].into_iter().enumerate()
        {
            let image = noise(channels * height * width, case as u32);
            let grid = ElasticGrid::new([height, width]);
            let field = values(2 * CONTROLS * CONTROLS, 5);
            let at = |axis: usize, row: usize, column: usize| 1.5 * field[(axis * CONTROLS + row) * CONTROLS + column];
            let offsets: Offsets = std::array::from_fn(|axis| {
                std::array::from_fn(|row| std::array::from_fn(|column| at(axis, row, column)))
            });
            for (matrix, offset) in [
                (IDENTITY, [0.0, 0.0]),
                (FLIP, [0.0, -0.25]),
                ([[0.9, 0.3], [-0.3, 0.9]], [1.75, -2.5]),
                ([[-1.2, 0.1], [0.4, 0.8]], [-30.0, 3.0]),
                ([[0.0, 3.9], [-3.9, 0.0]], [100.0, -0.125]),
            ] {
                for (beyond, bent) in [(Beyond::Edge, false), (Beyond::Mirror, false), (Beyond::Edge, true)] {
                    let bent = bent.then_some((&grid, &offsets));
                    let map = Map::about_the_middle([height, width], matrix, offset);
                    let mut found = vec![0; image.len()];
                    warp(shape, &image, &map, bent, beyond, &mut found);
                    let displacement = |x: usize, y: usize| {
                        bent.map_or([0.0; 2], |(grid, offsets)| grid.at(x, &grid.row(y, offsets)).map(f64::from))
                    };
                    let expected = warped(shape, &image, matrix, offset, &displacement, beyond == Beyond::Mirror);
                    // Half a step of rounding; a weight is at most 2^-11 too small, and a coordinate half a unit of its
                    // origin and of each step off: two neighbours differ by 255 at most along each axis.
                    let coordinate = (2 + height + width) as f64 / 131_072.0;
                    let tolerance = 0.5 + 2.0 * 255.0 * (1.0 / 2048.0 + coordinate);
                    for (at, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                        assert!(
                            (f64::from(found) - expected).abs() <= tolerance,
                            "{shape:?} {matrix:?} {offset:?} {beyond:?}, bent {}: {found} at {at}, not {expected}",
                            bent.is_some()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn whole_pixels_are_moved_as_they_are_and_twice_mirrored_is_the_image() {
        for shape in [[1, 28, 28], [3, 5, 8], [1, 9, 4], [2, 1, 1]] {
            let image = noise(shape.iter().product(), 3);
            for beyond in [Beyond::Edge, Beyond::Mirror] {
                assert_eq!(plain(shape, &image, IDENTITY, [0.0; 2], beyond), image);
                let flipped = plain(shape, &image, FLIP, [0.0; 2], beyond);
                let rows: Vec<u8> = image.chunks_exact(shape[2]).flat_map(|row| row.iter().rev().copied()).collect();
                assert_eq!(flipped, rows);
                assert_eq!(plain(shape, &flipped, FLIP, [0.0; 2], beyond), image);
            }
        }
        let row = [10, 20, 30, 40];
        assert_eq!(plain([1, 1, 4], &row, IDENTITY, [2.0, 0.0], Beyond::Edge), [30, 40, 40, 40]);
        assert_eq!(plain([1, 1, 4], &row, IDENTITY, [2.0, 0.0], Beyond::Mirror), [30, 40, 30, 20]);
        assert_eq!(plain([1, 1, 4], &row, IDENTITY, [-2.0, 0.0], Beyond::Mirror), [30, 20, 10, 20]);
        assert_eq!(plain([1, 1, 4], &row, IDENTITY, [-9.0, 0.0], Beyond::Mirror), [10, 10, 10, 10]);
        assert_eq!(plain([1, 1, 4], &row, IDENTITY, [0.5, 0.0], Beyond::Edge), [15, 25, 35, 40]);
    }

    #[test]
    fn a_determinant_tells_a_mirror_image() {
        let of = |matrix| Map::about_the_middle([28, 28], matrix, [0.5, 0.5]).determinant();
        assert_eq!((of(IDENTITY), of(FLIP), of([[0.5, 0.0], [0.25, 0.5]])), (1.0, -1.0, 0.25));
    }

    #[test]
    #[should_panic(expected = "an image of 2049x1")]
    fn an_image_that_is_too_large_is_refused() {
        Map::about_the_middle([2049, 1], IDENTITY, [0.0; 2]);
    }
}
