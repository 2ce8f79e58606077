//! A smooth random bending of an image: offsets at a few points, and between them cubic B-splines.

/// Points of the grid along each side: four cells, and the neighbours that a cubic spline needs.
pub const CONTROLS: usize = CELLS + 3;
const CELLS: usize = 4;

/// Offsets at the points of the grid, in pixels: those along x, then those along y, each `[row][column]`. Every pixel's
/// offset is a weighted mean of sixteen of them, so none is larger than the largest.
pub type Offsets = [[[f32; CONTROLS]; CONTROLS]; 2];

/// Where pixels of images of one size lie among the points.
#[derive(Clone, Debug)]
pub struct ElasticGrid {
    rows: Vec<Place>,
    columns: Vec<Place>,
}

/// The cell of a row or a column, and the weights of its four points.
#[derive(Clone, Debug)]
struct Place {
    cell: usize,
    weights: [f32; 4],
}

impl ElasticGrid {
    /// For images of `[height, width]`.
    pub fn new([height, width]: [usize; 2]) -> ElasticGrid {
        let places = |n: usize| {
            let place = |at: usize| {
                let at = (at as f32 + 0.5) / n as f32 * CELLS as f32;
                let cell = (at as usize).min(CELLS - 1);
                let f = at - cell as f32;
                let (g, f2, f3) = (1.0 - f, f * f, f * f * f);
                let weights =
                    [g * g * g, 3.0 * f3 - 6.0 * f2 + 4.0, 3.0 * f2 - 3.0 * f3 + 3.0 * f + 1.0, f3].map(|w| w / 6.0);
                Place { cell, weights }
            };
            (0..n).map(place).collect()
        };
        ElasticGrid { rows: places(height), columns: places(width) }
    }

    /// The offsets of a row of pixels still to be weighted by column.
    pub(super) fn row(&self, y: usize, offsets: &Offsets) -> [[f32; CONTROLS]; 2] {
        let Place { cell, weights } = &self.rows[y];
        offsets
            .each_ref()
            .map(|of| std::array::from_fn(|column| (0..4).fold(0.0, |sum, n| sum + weights[n] * of[cell + n][column])))
    }

    /// The offset `[x, y]` of a pixel, in pixels, from that of its row.
    #[inline]
    pub(super) fn at(&self, x: usize, row: &[[f32; CONTROLS]; 2]) -> [f32; 2] {
        let Place { cell, weights } = &self.columns[x];
        row.each_ref().map(|of| {
            let four = &of[*cell..cell + 4];
            (0..4).fold(0.0, |sum, n| sum + weights[n] * four[n])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B-splines of degree 3 give back every plane whose heights stand at their points.
    #[test]
    fn a_plane_stays_a_plane() {
        let (height, width) = (11, 28);
        let plane = |row: usize, column: usize| 0.5 * row as f32 - 0.25 * column as f32;
        let heights = std::array::from_fn(|row| std::array::from_fn(|column| plane(row, column)));
        let (grid, offsets) = (ElasticGrid::new([height, width]), [heights, [[1.5; CONTROLS]; CONTROLS]]);
        for y in 0..height {
            let row = grid.row(y, &offsets);
            for x in 0..width {
                // In units of cells, of which the first begins at point 1.
                let at = |n: usize, of: usize| (n as f32 + 0.5) / of as f32 * CELLS as f32 + 1.0;
                let expected = [0.5 * at(y, height) - 0.25 * at(x, width), 1.5];
                let found = grid.at(x, &row);
                // Some twenty roundings of numbers up to 4.
                assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn no_offset_is_larger_than_the_largest_of_a_point() {
        let grid = ElasticGrid::new([9, 9]);
        let offsets: Offsets = std::array::from_fn(|axis| {
            std::array::from_fn(|row| {
                std::array::from_fn(|column| if (axis + row + column) % 3 == 0 { -2.0 } else { 2.0 })
            })
        });
        let largest = (0..9)
            .flat_map(|y| (0..9).map(move |x| (y, x)))
            .flat_map(|(y, x)| grid.at(x, &grid.row(y, &offsets)))
            .fold(0.0_f32, |largest, offset| largest.max(offset.abs()));
        assert!(largest > 0.1 && largest < 2.0 + 1e-5, "{largest}");
    }
}
