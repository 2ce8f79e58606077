//! The weights of a whitening layer, computed from images.
//!
//! The covariance of patches is a matrix of sums of whole numbers, exact on any machine, and its eigenvectors come from
//! Jacobi's method, a fixed sequence of additions, multiplications, divisions and square roots: the same bits everywhere.

use super::layer::Layer;
use super::parameters::{Model, pack};
use crate::data::Dataset;

/// Images whose patches are looked at, at most: evenly spread over all.
const IMAGES: usize = 2000;

/// Added to each eigenvalue, as a share of their mean: no direction is stretched by much more than thirty times the mean.
const EPS: f64 = 1e-3;

impl Model {
    /// Gives whitening layers their weights, by the images that are trained on.
    pub(crate) fn whiten(&mut self, train: &Dataset) {
        let architecture = self.architecture().clone();
        for info in architecture.layers() {
            let Layer::Whiten { kernel_size, .. } = info.layer else { continue };
            let name = format!("{}.weight", info.name);
            let array = architecture.params().iter().position(|spec| spec.name == name).expect("a layer's own array");
            let scale: Vec<f64> =
                (0..train.shape().channels).map(|channel| 1.0 / (255.0 * self.pixels().std.of(channel))).collect();
            let values = filters(&covariance(train, kernel_size, &scale));
            let graph = self.graph.clone();
            pack(&architecture, &graph, array, &values, self.values.as_mut_slice());
        }
    }
}

/// The covariance of all patches `[C, Kh, Kw]` of some images, whose pixels are multiplied by the scale of their channel.
fn covariance(images: &Dataset, (rows, columns): (usize, usize), scale: &[f64]) -> Vec<Vec<f64>> {
    let shape = images.shape();
    let [down, right] = [shape.height - rows + 1, shape.width - columns + 1];
    let some = images.len().min(IMAGES);
    let size = shape.channels * rows * columns;
    let (mut sums, mut products) = (vec![0_u64; size], vec![0_u64; size * size]);
    // Element by element of the patches, all of an image one behind the other.
    let mut patches = vec![0_u8; size * down * right];
    for n in 0..some {
        let image = images.image(n * images.len() / some);
        for (element, values) in patches.chunks_exact_mut(down * right).enumerate() {
            let (channel, y, x) = (element / (rows * columns), element / columns % rows, element % columns);
            for (row, values) in values.chunks_exact_mut(right).enumerate() {
                values.copy_from_slice(&image[(channel * shape.height + y + row) * shape.width + x..][..right]);
            }
        }
        let of = |element: usize| &patches[element * down * right..][..down * right];
        for a in 0..size {
            sums[a] += of(a).iter().map(|&value| u64::from(value)).sum::<u64>();
            for b in 0..=a {
                // 65,536 squares of bytes are less than 2^32.
                let product = |part: (&[u8], &[u8])| {
                    part.0.iter().zip(part.1).map(|(&a, &b)| u32::from(a) * u32::from(b)).sum::<u32>()
                };
                let parts = of(a).chunks(1 << 16).zip(of(b).chunks(1 << 16));
                products[a * size + b] += parts.map(|part| u64::from(product(part))).sum::<u64>();
            }
        }
    }
    let count = (some * down * right) as i128;
    let entry = |a: usize, b: usize| {
        let (a, b) = (a.max(b), a.min(b));
        let exact = count * i128::from(products[a * size + b]) - i128::from(sums[a]) * i128::from(sums[b]);
        let [of_a, of_b] = [a, b].map(|element| scale[element / (rows * columns)]);
        exact as f64 / (count * count) as f64 * of_a * of_b
    };
    (0..size).map(|a| (0..size).map(|b| entry(a, b)).collect()).collect()
}

/// Eigenvectors, those of the largest eigenvalues first, each divided by the deviation along it; then their negatives.
fn filters(covariance: &[Vec<f64>]) -> Vec<f32> {
    let (values, vectors) = eigen(covariance.to_vec());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut filters = Vec::new();
    for of in order {
        let vector: Vec<f64> = vectors.iter().map(|row| row[of]).collect();
        // An eigenvector may point either way: its largest element, the first of equals, is positive.
        let largest = vector.iter().fold(0.0_f64, |largest, &v| if v.abs() > largest.abs() { v } else { largest });
        let deviation = (values[of].max(0.0) + EPS * mean).sqrt();
        // Images that are all blank have none.
        let by = if deviation > 0.0 { 1.0_f64.copysign(largest) / deviation } else { 0.0 };
        filters.extend(vector.iter().map(|v| (v * by) as f32));
    }
    let negatives: Vec<f32> = filters.iter().map(|v| -v).collect();
    filters.extend(negatives);
    filters
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as columns, by Jacobi's method of 1846: elements off the
/// diagonal are rotated to zero, one after the other, until all of them vanish beside the diagonal.
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    // Six to ten sweeps do, whatever the size.
    for _ in 0..50 {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p][q];
                if off.abs() <= f64::EPSILON * 1e-2 * (a[p][p].abs() * a[q][q].abs()).sqrt() {
                    continue;
                }
                rotated = true;
                let theta = (a[q][q] - a[p][p]) / (2.0 * off);
                let t = 1.0_f64.copysign(theta) / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cos = 1.0 / (t * t + 1.0).sqrt();
                let sin = t * cos;
                for row in a.iter_mut().chain(vectors.iter_mut()) {
                    let (of_p, of_q) = (row[p], row[q]);
                    (row[p], row[q]) = (cos * of_p - sin * of_q, sin * of_p + cos * of_q);
                }
                for j in 0..n {
                    let (of_p, of_q) = (a[p][j], a[q][j]);
                    (a[p][j], a[q][j]) = (cos * of_p - sin * of_q, sin * of_p + cos * of_q);
                }
                (a[p][q], a[q][p]) = (0.0, 0.0);
            }
        }
        if !rotated {
            break;
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::data::ImageShape;
    use crate::evaluate::evaluate;
    use crate::model::{Architecture, Init};
    use crate::rng::{Rng, Stream};
    use crate::train::fixture::Fixture;
    use crate::train::testing::{assert_near, gradients_of, some_digits};
    use crate::train::{Flow, PerChannel, Pixels, PixelsFrom, TrainSettings, train_on};
    use crate::workers::Team;
    use tenfold_kernels::Isa;

    fn net(layers: &[&str], input: ImageShape) -> Architecture {
        let layers = layers.iter().map(|layer| layer.parse().expect("a layer")).collect();
        Architecture::new(input, layers, 10).expect("fits")
    }

    #[test]
    fn eigenvectors_make_the_matrix_diagonal() {
        for n in [1_usize, 2, 5, 27] {
            let rng = Rng::new(n as u64, Stream::Init, 0);
            let random: Vec<Vec<f64>> =
                (0..n).map(|i| (0..n).map(|j| f64::from(rng.normal_at((i * n + j) as u64))).collect()).collect();
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            // Positive, with one eigenvalue of zero where the last row is the first.
            let rows: Vec<&Vec<f64>> = (0..n).map(|i| &random[if i + 1 == n { 0 } else { i }]).collect();
            let matrix: Vec<Vec<f64>> = rows.iter().map(|a| rows.iter().map(|b| dot(a, b)).collect()).collect();
            let (values, vectors) = eigen(matrix.clone());
            let largest = values.iter().fold(0.0_f64, |largest, &v| largest.max(v));
            for k in 0..n {
                let vector: Vec<f64> = vectors.iter().map(|row| row[k]).collect();
                for (i, row) in matrix.iter().enumerate() {
                    let off = dot(row, &vector) - values[k] * vector[i];
                    assert!(off.abs() < 1e-13 * largest, "{n}: eigenvector {k}, {off} of {largest}");
                }
                for j in 0..=k {
                    let other: Vec<f64> = vectors.iter().map(|row| row[j]).collect();
                    let expected = f64::from(u8::from(j == k));
                    assert!((dot(&vector, &other) - expected).abs() < 1e-13, "{n}: {k} and {j}");
                }
            }
        }
    }

    /// By plain f64 sums over all patches, as the network sees them.
    #[test]
    fn answers_to_the_images_are_uncorrelated_with_variance_one() {
        let shape = ImageShape { channels: 2, height: 9, width: 8 };
        let rng = Rng::new(3, Stream::Init, 0);
        // Neighbours are alike, and so are channels.
        let noise = |at: usize| (rng.below_at(at as u64, 120) + rng.below_at((at / 3) as u64, 100)) as u8;
        let pixels: Vec<u8> = (0..60 * shape.len()).map(|at| noise(at).saturating_add((at % 72) as u8 / 3)).collect();
        let data = Dataset::new(pixels, (0..60).map(|n| n % 10).collect(), shape, 10).expect("whole");
        let seen = PixelsFrom::Standard.of(&data);
        let mut model = Model::new(net(&["whiten 3x2", "linear 10"], shape), Init::Pytorch, 1, seen);
        model.whiten(&data);
        let (weight, table) = (model.tensor("whiten1.weight").expect("its array"), model.pixels().table(shape));
        assert_eq!(weight.len(), 24 * 12);
        let (first, second) = weight.split_at(12 * 12);
        assert!(first.iter().zip(second).all(|(a, b)| *a == -*b), "negatives");
        let mut answers: Vec<Vec<f64>> = vec![Vec::new(); 12];
        for image in data.pixels().chunks(shape.len()) {
            let image: Vec<f64> = image.iter().enumerate().map(|(at, &p)| f64::from(table.at(at, p))).collect();
            for (y, x) in (0..7).flat_map(|y| (0..7).map(move |x| (y, x))) {
                for (filter, answers) in weight.chunks(12).zip(&mut answers) {
                    let at = |k: usize| image[(k / 6 * 9 + y + k / 2 % 3) * 8 + x + k % 2];
                    answers.push(filter.iter().enumerate().map(|(k, &w)| f64::from(w) * at(k)).sum());
                }
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = answers.iter().map(|of| mean(of)).collect();
        let covariance = |a: usize, b: usize| {
            let products: Vec<f64> =
                answers[a].iter().zip(&answers[b]).map(|(x, y)| (x - means[a]) * (y - means[b])).collect();
            mean(&products)
        };
        let mut last = 1.0;
        for a in 0..12 {
            for b in 0..a {
                assert!(covariance(a, b).abs() < 1e-5, "{a} and {b}: {}", covariance(a, b));
            }
            // Below 1 by what is added to the eigenvalue: less for the larger ones, which come first.
            let variance = covariance(a, a);
            assert!(variance < 1.0 && variance > 0.97 && variance <= last + 1e-6, "{a}: {variance}");
            last = variance;
        }
    }

    /// Up to their sign: a vector and its negative are eigenvectors of the same value, and which of the two comes first is a rule
    /// of ours that numpy has not. No two values are near each other here, where any vector between theirs would do.
    #[test]
    fn filters_are_numpys() {
        let fixture = Fixture::load("whiten");
        let (net, data) = (fixture.architecture(), fixture.data());
        let scaled = Pixels { std: PerChannel::Each(vec![0.25, 0.5, 0.125]), ..Pixels::default() };
        for (pixels, name) in [(Pixels::default(), "whiten1.weight"), (scaled, "whiten1.weight.scaled")] {
            let mut model = Model::new(net.clone(), Init::Pytorch, 1, pixels);
            model.whiten(&data);
            let found = model.tensor("whiten1.weight").expect("its array");
            let expected = fixture.f64s(&format!("{name}.f64")).expect("filters");
            let size = 3 * 3 * 2;
            assert_eq!((found.len(), expected.len()), (2 * size * size, 2 * size * size));
            let (first, second) = found.split_at(size * size);
            assert!(first.iter().zip(second).all(|(a, b)| *a == -*b), "{name}: negatives");
            for (n, (found, expected)) in first.chunks(size).zip(expected.chunks(size)).enumerate() {
                let product: f64 = found.iter().zip(expected).map(|(&a, b)| f64::from(a) * b).sum();
                let found: Vec<f64> = found.iter().map(|&v| f64::from(v) * product.signum()).collect();
                assert_near(&found, expected, 1e-6, &format!("{name}: filter {n}"));
            }
        }
    }

    #[test]
    fn blank_images_give_finite_weights() {
        let shape = ImageShape { channels: 1, height: 4, width: 4 };
        let data = Dataset::new(vec![7; 32], vec![0, 1], shape, 10).expect("whole");
        let mut model = Model::new(net(&["whiten 2x2", "linear 10"], shape), Init::Pytorch, 1, Pixels::default());
        model.whiten(&data);
        assert_eq!(model.tensor("whiten1.weight"), Some(vec![0.0; 32]));
    }

    /// What layers behind it learn from, one that passes no gradient on, is what they learn from behind a convolution.
    #[test]
    fn gradients_behind_it_are_those_behind_a_convolution_of_its_weights() {
        let (data, _) = some_digits(30, 5);
        let all: Vec<u32> = (0..30).collect();
        let nets: [(&str, &[&str]); 6] = [
            ("3x3 same", &["relu", "maxpool 2", "conv 6 3x3 same", "relu", "linear 10"]),
            ("2x2 stride 2", &["batchnorm", "gelu", "conv 20 3x3 same", "batchnorm", "relu", "linear 10"]),
            ("5x5 same", &["leakyrelu 0.1", "linear 10"]),
            ("2x2", &["tanh", "avgpool 3", "linear 20", "tanh", "linear 10"]),
            ("3x3 padding 1", &["depthwise 3x3 same", "silu", "global-avgpool", "linear 10"]),
            ("3x3 padding 1", &["silu", "conv 18 3x3 same groups 2", "batchnorm", "relu", "linear 10"]),
        ];
        for (window, behind) in nets {
            let (whiten, conv) = (format!("whiten {window}"), window.split_once(' ').map_or(window, |(size, _)| size));
            let [rows, columns] =
                [0, 1].map(|n| conv.split('x').nth(n).expect("a size").parse::<usize>().expect("one"));
            let conv = format!("conv {} {window}", 2 * rows * columns);
            let of = |first: &str| net(&[&[first], behind].concat(), data.shape());
            let mut fixed = Model::new(of(&whiten), Init::Xavier, 3, Pixels::all(0.1, 0.3));
            fixed.whiten(&data);
            let trained = of(&conv);
            let mut values: Vec<Vec<f32>> =
                fixed.architecture().params().iter().map(|spec| fixed.tensor(&spec.name).expect("its own")).collect();
            let has_bias = trained.layers()[0].has_bias;
            if has_bias {
                values.insert(1, vec![0.0; 2 * rows * columns]);
            }
            let arrays: Vec<_> = trained
                .params()
                .iter()
                .zip(values)
                .map(|(spec, values)| (spec.name.clone(), spec.shape.clone(), values))
                .collect();
            let trained = Model::from_tensors(trained, &arrays, Pixels::all(0.1, 0.3)).expect("its arrays");
            for threads in [1, 3] {
                let of = |model: &Model| {
                    let batch = Batch { step: Some(1), ..Batch::evaluated(&data, &all) };
                    gradients_of(Isa::detect(), Team { threads, relay: false }, model, &[batch])
                };
                let ((logits, loss, grads), (logits_there, loss_there, grads_there)) = (of(&fixed), of(&trained));
                // The same sums, but for what is put together with pooling.
                assert_near(&logits, &logits_there, 1e-6, &whiten);
                assert_near(&[loss], &[loss_there], 1e-6, &whiten);
                for ((name, grad), (_, there)) in grads[1..].iter().zip(&grads_there[1 + usize::from(has_bias)..]) {
                    assert_near(grad, there, 1e-5, &format!("{whiten}: {name}"));
                }
            }
        }
    }

    /// Whatever learns them otherwise: decay, averages, all gradients at once; and with each kind of layer behind.
    #[test]
    fn no_training_changes_the_weights_and_bits_are_the_same_everywhere() {
        let (train, valid) = some_digits(60, 20);
        let nets: [&[&str]; 5] = [
            &["whiten 3x3 same", "relu", "maxpool 2", "conv 6 3x3 same", "relu", "linear 10"],
            &["whiten 2x2 stride 2", "batchnorm", "gelu", "conv 20 3x3 same", "batchnorm", "relu", "linear 10"],
            &["whiten 5x5 same", "leakyrelu 0.1", "linear 10"],
            &["whiten 2x2", "dropout 0.2", "avgpool 3", "linear 20", "tanh", "linear 10"],
            &["whiten 3x3 padding 1", "depthwise 3x3 same", "silu", "global-avgpool", "linear 10"],
        ];
        let muon = serde_json::json!({ "kind": "muon", "lr": 0.02 });
        let adamw = serde_json::json!({ "kind": "adamw", "lr": 0.01, "weight_decay": 0.1 });
        for (layers, optimizer) in nets.into_iter().zip([&adamw, &muon].into_iter().cycle()) {
            let net = net(layers, train.shape());
            let settings = TrainSettings {
                batch_size: 25,
                epochs: 2,
                optimizer: serde_json::from_value(optimizer.clone()).expect("an optimizer"),
                ema: Some(0.6),
                clip_norm: Some(1.0),
                ..TrainSettings::default()
            };
            let config = settings.with_seed(4);
            let run =
                |isa, threads| train_on(isa, &net, &config, &train, &valid, threads, None, &mut |_| Flow::Continue);
            let outcome = run(Isa::detect(), 2);
            let mut fresh = Model::new(net.clone(), Init::Pytorch, 9, Pixels::default());
            fresh.whiten(&train);
            let name = "whiten1.weight";
            assert_eq!(outcome.model.tensor(name), fresh.tensor(name), "{layers:?}: not trained");
            assert!(outcome.epochs[1].train_loss < outcome.epochs[0].train_loss, "{layers:?}: the others are");
            for (&isa, threads) in Isa::available().iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let again = run(isa, threads);
                for spec in net.params() {
                    let of = |model: &Model| model.tensor(&spec.name);
                    assert_eq!(of(&again.model), of(&outcome.model), "{layers:?}: {}, {}", spec.name, isa.name());
                }
            }
            let valid_loss = evaluate(&outcome.model, &valid, 1).loss;
            assert_eq!(valid_loss, outcome.epochs[1].valid_loss);
        }
    }
}
