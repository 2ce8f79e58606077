//! How alike two filters are.

use tenfold_nn::data::Dataset;
use tenfold_nn::look::{FilterLayer, kernels, response_maps};
use tenfold_nn::model::Model;

use super::Recurrence;

/// The filters of one layer of a network, ready to be compared with those of another or with each other.
pub(super) struct Filters {
    responses: Series,
    /// Rows and columns of a response.
    response: [usize; 2],
    /// The kernels and their shape, of a layer over the pixels.
    kernels: Option<(Series, [usize; 3])>,
}

/// The correlations of filters of one layer, down, and of another, across.
pub(super) struct Likeness {
    /// Of their responses.
    pub(super) response: Vec<f64>,
    /// Of their kernels, where these can be compared.
    pub(super) kernel: Option<Vec<f64>>,
    /// Filters across.
    pub(super) columns: usize,
}

impl Likeness {
    /// The correlation of the responses of two filters, and of their kernels.
    pub(super) fn at(&self, row: usize, column: usize) -> (f64, Option<f64>) {
        let at = row * self.columns + column;
        (self.response[at], self.kernel.as_ref().map(|kernel| kernel[at]))
    }
}

impl Filters {
    /// The filters of `layer` and what they answer to `sample`.
    pub(super) fn of(model: &Model, layer: &FilterLayer, sample: &Dataset, threads: usize) -> Filters {
        // Behind another layer that learns, the channels of two kernels do not mean the same. One number has no shape.
        // Neither do they in two groups, which see other channels.
        let layers = model.architecture().layers();
        let over_pixels = layers[..layer.index].iter().all(|before| before.parameters == 0)
            && layers[layer.index].groups().is_none_or(|groups| groups == 1);
        let comparable = over_pixels && layer.kernel.iter().product::<usize>() > 1;
        Filters {
            responses: Series::new(response_maps(model, layer, sample, threads), layer.filters),
            response: layer.response,
            kernels: comparable.then(|| (Series::new(kernels(model, layer), layer.filters), layer.kernel)),
        }
    }

    /// How alike each of these filters and each of `other` are; none if their responses have other rows or columns.
    pub(super) fn likeness(&self, other: &Filters) -> Option<Likeness> {
        let kernel = match (&self.kernels, &other.kernels) {
            (Some((ours, shape)), Some((theirs, their_shape))) if shape == their_shape => {
                Some(ours.correlations(theirs))
            }
            _ => None,
        };
        let columns = other.responses.norms.len();
        let response = || self.responses.correlations(&other.responses);
        (self.response == other.response).then(|| Likeness { response: response(), kernel, columns })
    }
}

/// Whether two filters count as the same.
pub(super) fn alike(response: f64, kernel: Option<f64>) -> bool {
    response >= Recurrence::ALIKE && kernel.is_none_or(|kernel| kernel >= Recurrence::ALIKE)
}

/// Series of numbers of one length, less their means.
struct Series {
    values: Vec<f32>,
    /// Root of the sum of squares of each; 0 of a constant.
    norms: Vec<f64>,
}

impl Series {
    /// `count` series, one after another.
    fn new(mut values: Vec<f32>, count: usize) -> Series {
        let len = values.len() / count;
        let center = |series: &mut [f32]| {
            // The mean of equal numbers need not be that number.
            if series.iter().all(|&value| value == series[0]) {
                series.fill(0.0);
            }
            let mean = series.iter().map(|&value| f64::from(value)).sum::<f64>() / len as f64;
            series.iter_mut().for_each(|value| *value = (f64::from(*value) - mean) as f32);
            dot(series, series).sqrt()
        };
        let norms = (0..count).map(|i| center(&mut values[i * len..(i + 1) * len])).collect();
        Series { values, norms }
    }

    /// Pearson's correlation of each series with each of `others`, which are as long; a constant one correlates with
    /// nothing.
    fn correlations(&self, others: &Series) -> Vec<f64> {
        /// Numbers of a series that are taken at once: those of all series of both sides then stay in the cache.
        const AT_ONCE: usize = 1024;

        let (rows, columns) = (self.norms.len(), others.norms.len());
        let len = self.values.len() / rows;
        let mut products = vec![0.0; rows * columns];
        for start in (0..len).step_by(AT_ONCE) {
            let end = len.min(start + AT_ONCE);
            for (row, products) in products.chunks_exact_mut(columns).enumerate() {
                let ours = &self.values[row * len..][start..end];
                for (column, product) in products.iter_mut().enumerate() {
                    *product += dot(ours, &others.values[column * len..][start..end]);
                }
            }
        }
        for (i, product) in products.iter_mut().enumerate() {
            let norm = self.norms[i / columns] * others.norms[i % columns];
            *product = if norm > 0.0 { (*product / norm).clamp(-1.0, 1.0) } else { 0.0 };
        }
        products
    }
}

/// The sum of the products, in several sums that need not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const SUMS: usize = 8;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    let mut sums = [0.0; SUMS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..SUMS {
            sums[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_pearsons() {
        // numpy.corrcoef of these, with more digits than are checked.
        let a = Series::new(vec![1.0, 2.0, 4.0, 8.0, 3.0, -1.0, 0.5, 2.0], 2);
        let b = Series::new(vec![2.0, 1.0, 5.0, 7.0, 0.1, 0.1, 0.1, 0.1, -3.0, 1.0, -0.5, -2.0], 3);
        let found = a.correlations(&b);
        let expected = [0.928654118, 0.0, -0.130749890, 0.319905982, 0.0, -1.000000000];
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-6, "{i}: {found} for {expected}");
        }
    }

    #[test]
    fn constants_correlate_with_nothing_and_long_series_with_themselves() {
        // More than are taken at once, and a remainder; a tenth is no whole number of anything.
        let wave: Vec<f32> = (0..2501).map(|i| ((i * i) % 97) as f32 + 1000.0).collect();
        let series = Series::new([wave.clone(), vec![0.1; 2501], wave.iter().map(|v| -v).collect()].concat(), 3);
        let found = series.correlations(&series);
        assert_eq!(series.norms[1], 0.0);
        for (i, expected) in [1.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0].into_iter().enumerate() {
            assert!((found[i] - expected).abs() < 1e-9, "{i}: {}", found[i]);
        }
    }
}
