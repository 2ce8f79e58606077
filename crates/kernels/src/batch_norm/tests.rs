//! Batch normalisation against its definition.

use super::*;
use crate::reference;
use crate::testing::{assert_close, assert_padding_is_zero, on_every_isa, pack_image, unpack_image, values};

const EPS: f64 = 1e-5;

/// One batch and what the kernels make of it.
struct Case {
    channels: usize,
    height: usize,
    width: usize,
    images: usize,
    /// Added to every value: a mean that is far from zero.
    shift: f32,
}

impl Case {
    fn pixels(&self) -> usize {
        self.height * self.width
    }

    fn x(&self) -> Vec<f32> {
        values(self.images * self.channels * self.pixels(), 1).iter().map(|v| v + self.shift).collect()
    }

    /// Values of a batch, image by image, in blocks of channels.
    fn packed(&self, values: &[f32]) -> Vec<f32> {
        let planes = Planes::new(self.channels, self.height, self.width);
        values.chunks_exact(self.channels * self.pixels()).flat_map(|image| pack_image(image, &planes)).collect()
    }

    fn check(&self) {
        let (pixels, images) = (self.pixels(), self.images);
        let plain = Planes::new(self.channels, self.height, self.width);
        let to = Planes::with_border(self.channels, LANES, self.height, self.width, [1, 2, 0, 1], (1, 1));
        let (blocks, len) = (plain.blocks(), plain.len());
        let padded = |of: &[f32]| pack_image(of, &Planes::new(self.channels, 1, 1));
        let (x, grad) = (self.x(), values(images * self.channels * pixels, 2));
        let (weight, bias) = (values(self.channels, 3), values(self.channels, 4));
        let moments = reference::batch_moments(&x, self.channels, pixels);
        let expected = reference::batch_norm_forward(&x, pixels, &moments, (&weight, &bias), EPS);
        let gradients = reference::batch_norm_backward(&x, pixels, &weight, EPS, &grad);
        let (x, grad, weight, bias) = (self.packed(&x), self.packed(&grad), padded(&weight), padded(&bias));
        on_every_isa(|isa| {
            let stride = blocks * PART;
            let mut parts = vec![f32::NAN; images * stride];
            for (x, parts) in x.chunks_exact(len).zip(parts.chunks_exact_mut(stride)) {
                image_moments(isa, pixels, x, parts);
            }
            let found: Vec<_> = (0..blocks).map(|block| batch_moments(isa, pixels, &parts, stride, block)).collect();
            for (channel, truth) in moments.iter().enumerate() {
                let of =
                    (found[channel / LANES].mean[channel % LANES], found[channel / LANES].variance[channel % LANES]);
                // Sums of 64 terms in f32 are off by some roundings of the largest value; and the variance by as much as
                // the mean of an image is.
                let near = |got: f64, truth: f64| (got - truth).abs() <= 1e-6 * (1.0 + f64::from(self.shift.abs()));
                assert!(near(of.0, truth.mean), "mean {} of {}", of.0, truth.mean);
                assert!(near(of.1, truth.variance), "variance {} of {}", of.1, truth.variance);
            }
            let norm = |(found, weight)| norm_of(found, weight, EPS);
            let norms: Vec<f32> = found.iter().zip(weight.as_chunks().0).flat_map(norm).collect();
            let mut bits = Vec::new();
            let mut y = Vec::new();
            for x in x.chunks_exact(len) {
                let mut image = vec![0.0; to.len()];
                normalise(isa, x, &norms, &bias, Term::Nothing, false, &to, &mut image);
                assert_padding_is_zero(&image, &to, "normalised");
                self.check_terms(isa, x, (&norms, &bias), &to, &image);
                y.extend(unpack_image(&image, &to));
            }
            // What the mean is off by, times the scale, which is about 2.
            let tolerance = 3e-6 * (1.0 + f64::from(self.shift.abs()));
            assert_close(&y, &expected, tolerance, "normalised");
            bits.extend(y.iter().map(|v| v.to_bits()));

            let pairs = || x.chunks_exact(len).zip(grad.chunks_exact(len));
            for ((x, grad), parts) in pairs().zip(parts.chunks_exact_mut(stride)) {
                image_gradients(isa, pixels, x, &norms, None, &mut grad.to_vec(), parts);
                self.check_cut(isa, x, (&norms, &bias), grad);
            }
            let norm = |block: usize| &norms.as_chunks().0[block];
            let sums = (0..blocks).map(|block| batch_gradients(isa, pixels, norm(block), &parts, stride, block));
            let (mut of_weight, mut of_bias, mut backs) = (Vec::new(), Vec::new(), Vec::new());
            for (weight, bias, back) in sums {
                of_weight.extend(weight);
                of_bias.extend(bias);
                backs.extend(back);
            }
            assert_padding_is_zero(&of_weight, &Planes::new(self.channels, 1, 1), "gradient of the weight");
            let count = (images * pixels) as f64;
            let scaled = |values: &[f64]| values.iter().map(|v| v / count).collect::<Vec<_>>();
            let got = |values: &[f32]| values[..self.channels].iter().map(|v| v / count as f32).collect::<Vec<_>>();
            assert_close(&got(&of_weight), &scaled(&gradients.1), tolerance, "gradient of the weight");
            assert_close(&got(&of_bias), &scaled(&gradients.2), tolerance, "gradient of the bias");
            let mut grad_x = Vec::new();
            for (x, grad) in pairs() {
                let mut image = vec![f32::NAN; len];
                pass_gradient(isa, pixels, x, (&norms, &backs), grad, &mut image);
                let mut in_place = grad.to_vec();
                pass_gradient_in_place(isa, pixels, x, (&norms, &backs), &mut in_place);
                assert_eq!(in_place, image, "in place on {}", isa.name());
                assert_padding_is_zero(&image, &plain, "gradient of the input");
                grad_x.extend(unpack_image(&image, &plain));
            }
            assert_close(&grad_x, &gradients.0, tolerance, "gradient of the input");
            bits.extend(grad_x.iter().chain(&of_weight).chain(&of_bias).map(|v| v.to_bits()));
            bits
        });
    }

    /// What is added to normalised values, and a ReLU behind, do what they would as steps by themselves; `y` is `x`
    /// normalised.
    fn check_terms(&self, isa: Isa, x: &[f32], (norms, bias): (&[f32], &[f32]), to: &Planes, y: &[f32]) {
        let lies = Planes::with_border(self.channels, LANES, self.height, self.width, [0, 1, 2, 0], (1, 1));
        let term = values(self.channels * self.pixels(), 5);
        let packed = pack_image(&term, &lies);
        let y = unpack_image(y, to);
        let sum = |of: &dyn Fn(usize) -> f32| y.iter().enumerate().map(|(at, y)| y + of(at)).collect::<Vec<_>>();
        for (what, term, expected) in [
            ("alone", Term::Nothing, y.clone()),
            ("plus values", Term::Values(&packed, &lies), sum(&|at| term[at])),
            ("plus itself", Term::Normalised(x, norms, bias), sum(&|at| y[at])),
        ] {
            for relu in [false, true] {
                let mut image = vec![0.0; to.len()];
                normalise(isa, x, norms, bias, term, relu, to, &mut image);
                assert_padding_is_zero(&image, to, what);
                let expected: Vec<f32> = expected.iter().map(|&y| if relu && y <= 0.0 { 0.0 } else { y }).collect();
                assert_eq!(unpack_image(&image, to), expected, "{what}, ReLU: {relu}, on {}", isa.name());
            }
        }
    }

    /// A gradient is cut off where the ReLU behind cut off, before it is summed.
    fn check_cut(&self, isa: Isa, x: &[f32], (norms, bias): (&[f32], &[f32]), grad: &[f32]) {
        let plain = Planes::new(self.channels, self.height, self.width);
        let mut y = vec![0.0; plain.len()];
        normalise(isa, x, norms, bias, Term::Nothing, true, &plain, &mut y);
        let mut expected: Vec<f32> = grad.iter().zip(&y).map(|(&g, &y)| if y > 0.0 { g } else { 0.0 }).collect();
        let (mut sums, mut cut_sums) = (vec![0.0; plain.blocks() * PART], vec![0.0; plain.blocks() * PART]);
        image_gradients(isa, self.pixels(), x, norms, None, &mut expected, &mut sums);
        let mut cut = grad.to_vec();
        image_gradients(isa, self.pixels(), x, norms, Some(bias), &mut cut, &mut cut_sums);
        assert_eq!((cut, cut_sums), (expected, sums), "a ReLU behind, on {}", isa.name());
    }
}

#[test]
fn a_batch_and_its_gradients_match_the_reference_on_every_isa() {
    for (channels, height, width, images) in
        [(1, 1, 1, 2), (3, 5, 4, 1), (16, 1, 1, 33), (17, 7, 9, 3), (33, 1, 3, 5), (5, 28, 28, 2), (2, 8, 8, 7)]
    {
        for shift in [0.0, 3.0, -100.0] {
            Case { channels, height, width, images, shift }.check();
        }
    }
}

#[test]
fn a_constant_channel_gives_the_bias_and_passes_nothing_on_but_noise() {
    // 37 pixels of 0.1, whose sum is rounded.
    let x = vec![0.1; 37 * LANES];
    for &isa in Isa::available() {
        let mut parts = vec![0.0; PART];
        image_moments(isa, 37, &x, &mut parts);
        let moments = batch_moments(isa, 37, &parts, PART, 0);
        let norm = norm_of(&moments, &[1.0; LANES], EPS);
        let mut y = vec![0.0; x.len()];
        normalise(isa, &x, &norm, &[0.5; LANES], Term::Nothing, false, &Planes::new(LANES, 1, 37), &mut y);
        // The mean is off by some 2^-27, and divided by sqrt(eps).
        assert!(y.iter().all(|y| (y - 0.5).abs() < 1e-5), "{y:?}");
    }
}

#[test]
fn running_moments_move_by_the_momentum_and_are_never_subnormal() {
    let moments = Moments { mean: [1.0; LANES], variance: [2.0; LANES] };
    let (mut mean, mut variance) = ([3.0; LANES], [1.0; LANES]);
    update_running(&moments, 5, 0.1, &mut mean, &mut variance);
    assert_eq!((mean[0], variance[15]), (2.8, (0.9 + 0.1 * 2.5) as f32));
    let nothing = Moments { mean: [0.0; LANES], variance: [0.0; LANES] };
    for _ in 0..1000 {
        update_running(&nothing, 5, 0.1, &mut mean, &mut variance);
        assert!(mean.iter().chain(&variance).all(|v| *v == 0.0 || v.is_normal()));
    }
    assert_eq!((mean[0], variance[0]), (0.0, 0.0));
}

#[test]
fn a_diverged_network_shows_behind_a_relu() {
    let (x, planes) = (vec![f32::NAN; LANES], Planes::new(LANES, 1, 1));
    for &isa in Isa::available() {
        let mut y = vec![0.0; LANES];
        normalise(isa, &x, &[1.0; NORM], &[0.0; LANES], Term::Nothing, true, &planes, &mut y);
        assert!(y.iter().all(|y| y.is_nan()), "{y:?} on {}", isa.name());
    }
}

#[test]
#[should_panic(expected = "elements of 1 blocks of 3 pixels")]
fn an_image_has_all_its_pixels() {
    image_moments(Isa::detect(), 3, &[0.0; 2 * LANES], &mut [0.0; PART]);
}
