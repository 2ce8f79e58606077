//! Which pixels mattered for one class.

use crate::data::{Dataset, ImageShape};
use crate::evaluate::{Evaluator, logits};
use crate::model::Model;
use crate::precision::Precision;
use crate::reference::Pass;
use crate::step::argmax;

/// The gradient of the logit of `class` by the image's pixels in 0..1 (before mean and std), `[C, H, W]`, in f64.
///
/// Layer by layer through the f64 references, which take values and gradients rounded to f32; dropout is off. At a kink
/// (a ReLU of exactly zero, equal maxima) it is that of one side, as in training.
///
/// # Panics
/// If the image has another size than the network's input, or there is no such class.
pub fn input_gradient(model: &Model, image: &[u8], class: usize) -> Vec<f64> {
    check(model, image, class);
    let table = model.pixels().table(model.architecture().input());
    let image = image.iter().enumerate().map(|(at, &pixel)| f64::from(table.at(at, pixel))).collect();
    let mut logits = vec![0.0; model.architecture().classes()];
    logits[class] = 1.0;
    let grad = Pass::forward(model, image).gradient(logits);
    let shape = model.architecture().input();
    let std = |at: usize| model.pixels().std.of(at / (shape.height * shape.width));
    grad.into_iter().enumerate().map(|(at, g)| g / std(at)).collect()
}

/// Positions of the square, beyond which only some of an image's pixels have their own.
const POSITIONS: usize = 4096;

/// Pixels of images that are evaluated together, beyond which there are fewer of them.
const PIXELS_AT_ONCE: usize = 1 << 24;

/// For each pixel, by how much the cross-entropy of `class` rises, in nats, when the square of `side` pixels (odd)
/// around it is painted black in every channel; `[H, W]`. Negative where what was hidden spoke against the class.
///
/// At the border only what is left of the square is painted. In an image of more than 4,096 pixels the square does not
/// go everywhere: it goes to the middle of each of at most 4,096 small squares of equal size, all pixels of which get
/// its value.
///
/// # Panics
/// If the image has another size than the network's input, there is no such class, `side` is even, or there is no
/// thread.
pub fn occlusion(model: &Model, image: &[u8], class: usize, side: usize, threads: usize) -> Vec<f64> {
    check(model, image, class);
    assert!(!side.is_multiple_of(2), "the side of the square is {side}, expected an odd number");
    let model = &model.clone().with_precision(Precision::F32);
    let (shape, classes) = (model.architecture().input(), model.architecture().classes());
    let cell = cell(shape);
    let (rows, columns) = (shape.height.div_ceil(cell), shape.width.div_ceil(cell));
    let middle = |number: usize, size: usize| (number * cell + cell / 2).min(size - 1);
    let mut evaluator = Evaluator::new(model, rows * columns, threads);
    let mut losses = |pixels: Vec<u8>| -> Vec<f64> {
        let labels = vec![class as u16; pixels.len() / shape.len()];
        let images = Dataset::new(pixels, labels, shape, classes).expect("images of the network's shape");
        let logits = logits(&mut evaluator, model, &images, threads);
        logits.chunks_exact(classes).map(|logits| cross_entropy(logits, class)).collect()
    };
    let whole = losses(image.to_vec())[0];
    let at_once = (PIXELS_AT_ONCE / shape.len()).clamp(1, rows * columns);
    let mut rises = Vec::with_capacity(rows * columns);
    while rises.len() < rows * columns {
        let next = rises.len()..(rises.len() + at_once).min(rows * columns);
        let mut pixels = image.repeat(next.len());
        for (position, painted) in next.zip(pixels.chunks_exact_mut(shape.len())) {
            let (y, x) = (middle(position / columns, shape.height), middle(position % columns, shape.width));
            paint(painted, shape, (y, x), side / 2);
        }
        rises.extend(losses(pixels).into_iter().map(|loss| loss - whole));
    }
    let pixels = (0..shape.height).flat_map(|y| (0..shape.width).map(move |x| (y, x)));
    pixels.map(|(y, x)| rises[y / cell * columns + x / cell]).collect()
}

fn check(model: &Model, image: &[u8], class: usize) {
    let (shape, classes) = (model.architecture().input(), model.architecture().classes());
    assert_eq!(image.len(), shape.len(), "pixels of an image of {shape}");
    assert!(class < classes, "class {class} of {classes}");
}

/// Side of the small squares whose middles the painted one goes to.
fn cell(shape: ImageShape) -> usize {
    let positions = |cell: usize| shape.height.div_ceil(cell) * shape.width.div_ceil(cell);
    (1..).find(|&cell| positions(cell) <= POSITIONS).expect("at last there is one position")
}

/// Paints what is at most `reach` rows and columns from (`y`, `x`) black.
fn paint(image: &mut [u8], shape: ImageShape, (y, x): (usize, usize), reach: usize) {
    let around = |at: usize, size: usize| at.saturating_sub(reach)..(at + 1).saturating_add(reach).min(size);
    let columns = around(x, shape.width);
    for plane in image.chunks_exact_mut(shape.height * shape.width) {
        for row in around(y, shape.height) {
            plane[row * shape.width..][columns.clone()].fill(0);
        }
    }
}

/// `-ln softmax(logits)[class]` in nats, finite where the probability is too small for a number, and other than zero
/// where it is too near 1 for one.
fn cross_entropy(logits: &[f32], class: usize) -> f64 {
    let top = argmax(logits);
    let below = |&v: &f32| f64::from(v) - f64::from(logits[top]);
    let others = logits.iter().enumerate().filter(|(other, _)| *other != top);
    others.map(|(_, v)| below(v).exp()).sum::<f64>().ln_1p() - below(&logits[class])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;
    use crate::look::testing::{build, fitting, fixture, noise, windows};
    use crate::model::{Architecture, Init, Layer, Source};
    use crate::train::testing::assert_near;
    use crate::train::{PerChannel, Pixels};
    use proptest::prelude::{Just, Strategy, prop};
    use proptest::{prop_oneof, proptest};

    /// PyTorch's in f64. Ours rounds to f32 between layers, which is 6e-8 of each value.
    #[test]
    fn the_input_gradient_is_pytorchs() {
        let (fixture, model, image) = fixture();
        for class in [0, 3] {
            let gradient = input_gradient(&model, &image, class);
            fixture.check(&format!("gradient.{class}"), None, &gradient, 5e-7);
        }
    }

    /// PyTorch's in f64. The logits are f32, off by some 3e-8, and what the square changes is a few hundredths at most.
    #[test]
    fn the_occlusion_map_is_pytorchs() {
        let (fixture, model, image) = fixture();
        for (class, side) in [(0, 3), (3, 5)] {
            let map = occlusion(&model, &image, class, side, 2);
            fixture.check(&format!("occlusion.{class}.{side}"), None, &map, 1e-5);
        }
    }

    fn xavier(net: Architecture, pixels: Pixels) -> Model {
        Model::new(net, Init::Xavier, 7, pixels)
    }

    /// The logit of a class in f64, for pixels in 0..1.
    fn logit(model: &Model, pixels: &[f64], class: usize) -> f64 {
        let (Pixels { mean, std }, shape) = (model.pixels(), model.architecture().input());
        let channel = |at: usize| at / (shape.height * shape.width);
        let value = |(at, p): (usize, &f64)| (p - mean.of(channel(at))) / std.of(channel(at));
        let image = pixels.iter().enumerate().map(value).collect();
        let last = Source::Layer(model.architecture().layers().len() - 1);
        Pass::forward(model, image).value(last)[class]
    }

    /// Asserts that the gradient of each class is what difference quotients say.
    fn assert_slopes(model: &Model, seed: u64) {
        let image = noise(model.architecture().input(), seed);
        let pixels: Vec<f64> = image.iter().map(|&p| f64::from(p) / 255.0).collect();
        for class in [1, 4] {
            let gradient = input_gradient(model, &image, class);
            let largest = gradient.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            assert_eq!(gradient.len(), pixels.len());
            for (at, gradient) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut pixels = pixels.clone();
                    pixels[at] += by;
                    logit(model, &pixels, class)
                };
                let h = 1.0 / 256.0;
                let slope = (moved(h) - moved(-h)) / (2.0 * h);
                // Values rounded to f32 move the logit by up to some 1e-7, and so a slope by some 1e-5.
                let within = 2e-3 * largest + 3e-5;
                assert!((gradient - slope).abs() < within, "class {class}, pixel {at}: {gradient:e}, slope {slope:e}");
            }
        }
    }

    /// For these weights and images, no ReLU and no maximum changes within the difference.
    #[test]
    fn the_input_gradient_is_the_slope_of_the_logit() {
        for layers in [
            &["linear 5"][..],
            &["tanh", "conv 4 3x3 same", "relu", "maxpool 2", "conv 3 2x2", "relu", "linear 5"],
            &["whiten 3x3 same", "tanh", "conv 3 2x2", "tanh", "linear 5"],
            &["conv 2 3x3", "maxpool 3 stride 2", "dropout 0.5", "flatten", "linear 6", "sigmoid", "linear 5"],
        ] {
            assert_slopes(&xavier(build((2, 7, 9), layers), Pixels::all(0.2, 0.25)), 4);
        }
        // Without kinks, seen differently in each channel.
        let each = |numbers: [f64; 2]| PerChannel::Each(numbers.to_vec());
        let pixels = Pixels { mean: each([0.2, 0.4]), std: each([0.25, 0.5]) };
        for layers in [&["linear 5"][..], &["conv 3 3x3 same", "tanh", "linear 5"]] {
            assert_slopes(&xavier(build((2, 7, 9), layers), pixels.clone()), 4);
        }
    }

    #[test]
    fn so_it_is_through_residual_blocks() {
        let net = build(
            (2, 6, 7),
            &["conv 3 3x3 same", "[tanh, conv 3 3x3 same]", "[conv 4 3x3 stride 2 same, gelu]", "linear 5"],
        );
        assert_slopes(&xavier(net, Pixels::all(0.2, 0.5)), 3);
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 60, failure_persistence: None, ..Default::default() })]

        #[test]
        fn so_it_is_for_any_chain_of_smooth_layers(
            (channels, height, width) in (1..=2_usize, 3..=7_usize, 3..=7_usize),
            drawn in prop::collection::vec(prop_oneof![
                4 => windows().prop_filter("a maximum has kinks", |layer| !matches!(layer, Layer::MaxPool { .. })),
                2 => Just(Layer::Tanh),
                2 => Just(Layer::Gelu),
                1 => Just(Layer::Silu),
                1 => Just(Layer::GlobalAvgPool),
                2 => Just(Layer::BatchNorm { momentum: 0.1, eps: 1e-2 }),
                2 => Just(Layer::Sigmoid),
                1 => Just(Layer::Dropout { probability: 0.5 }),
                1 => Just(Layer::Flatten),
                1 => (1..=7_usize).prop_map(|out_features| Layer::Linear { out_features }),
            ], 0..=6),
            seed in 0..1_u64 << 32,
        ) {
            let net = fitting((channels, height, width), &drawn);
            assert_slopes(&Model::new(net, Init::Xavier, seed, Pixels::all(0.2, 0.5)), seed);
        }
    }

    /// One image at a time, by the losses of evaluation.
    #[test]
    fn occlusion_is_the_rise_of_the_loss_of_each_painted_image() {
        let net = build((3, 6, 7), &["conv 4 3x3 same", "relu", "maxpool 2", "linear 5"]);
        let model = xavier(net.clone(), Pixels::all(0.1, 0.3));
        let image = noise(net.input(), 2);
        for (class, side) in [(2, 1), (4, 3), (0, 99)] {
            let loss = |pixels: Vec<u8>| {
                evaluate(&model, &Dataset::new(pixels, vec![class], net.input(), 5).expect("whole"), 1).loss
            };
            let mut expected = Vec::new();
            for (y, x) in (0..6_usize).flat_map(|y| (0..7_usize).map(move |x| (y, x))) {
                let mut painted = image.clone();
                for (at, pixel) in painted.iter_mut().enumerate() {
                    if (at / 7 % 6).abs_diff(y).max((at % 7).abs_diff(x)) <= side / 2 {
                        *pixel = 0;
                    }
                }
                expected.push(loss(painted) - loss(image.clone()));
            }
            // Losses of about one, with a softmax in f32.
            assert_near(&occlusion(&model, &image, class.into(), side, 2), &expected, 1e-5, &format!("side {side}"));
            assert_eq!(
                occlusion(&model, &image, class.into(), side, 1),
                occlusion(&model, &image, class.into(), side, 3)
            );
        }
        let black = vec![0; net.input().len()];
        assert!(occlusion(&model, &black, 1, 3, 1).iter().all(|rise| *rise == 0.0), "black on black changes nothing");
    }

    #[test]
    fn in_a_large_image_the_square_goes_to_some_pixels() {
        let size = |height, width| ImageShape { channels: 1, height, width };
        assert_eq!((cell(size(64, 64)), cell(size(65, 64)), cell(size(1, 4097)), cell(size(200, 200))), (1, 2, 2, 4));
        let net = build((1, 70, 66), &["avgpool 5", "linear 5"]);
        let model = xavier(net.clone(), Pixels::default());
        let image = noise(net.input(), 6);
        let map = occlusion(&model, &image, 3, 7, 2);
        assert_eq!(map.len(), 70 * 66);
        for (y, x) in (0..70).flat_map(|y| (0..66).map(move |x| (y, x))) {
            assert_eq!(map[y * 66 + x], map[(y / 2 * 2) * 66 + x / 2 * 2], "({y}, {x})");
        }
        let mut painted = image.clone();
        paint(&mut painted, net.input(), (31, 33), 3);
        let loss =
            |pixels: Vec<u8>| evaluate(&model, &Dataset::new(pixels, vec![3], net.input(), 5).expect("whole"), 1).loss;
        assert_near(&[map[30 * 66 + 32]], &[loss(painted) - loss(image)], 1e-4, "the square in the middle");
    }

    #[test]
    fn losses_are_exact_at_both_ends() {
        assert_eq!(cross_entropy(&[0.0, 2000.0], 0), 2000.0);
        assert!((cross_entropy(&[40.0, 0.0], 0) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!((cross_entropy(&[1.0, 1.0, 1.0], 2) - 3.0_f64.ln()).abs() < 1e-15);
    }

    /// Weights that make one class certain: its probability is 1, that of the others 0.
    #[test]
    fn a_certain_class_gives_finite_numbers() {
        let net = build((1, 3, 3), &["linear 5"]);
        let weight = (0..45).map(|j| if j < 9 { 300.0 } else { -300.0 }).collect();
        let tensors = [("fc1.weight".to_string(), vec![5, 9], weight), ("fc1.bias".to_string(), vec![5], vec![0.0; 5])];
        let model = Model::from_tensors(net, &tensors, Pixels::default()).expect("the arrays fit");
        // Black all over, all classes are equal.
        for (class, expected) in [(0, 5.0_f64.ln()), (1, 5.0_f64.ln() - 5400.0)] {
            let map = occlusion(&model, &[255; 9], class, 3, 1);
            assert!(map.iter().all(|rise| rise.is_finite()) && (map[4] - expected).abs() < 1e-9, "{class}: {map:?}");
        }
    }

    #[test]
    #[should_panic(expected = "class 5 of 5")]
    fn there_is_no_class_beyond_the_last() {
        input_gradient(&xavier(build((1, 3, 3), &["linear 5"]), Pixels::default()), &[0; 9], 5);
    }

    #[test]
    #[should_panic(expected = "expected an odd number")]
    fn an_even_square_has_no_middle() {
        occlusion(&xavier(build((1, 3, 3), &["linear 5"]), Pixels::default()), &[0; 9], 0, 4, 1);
    }
}
