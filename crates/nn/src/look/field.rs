//! Which pixels a unit can see.

use crate::data::ImageShape;
use crate::model::{Architecture, LayerInfo, Shape, Source};
use crate::reference::window;
use std::ops::Range;

/// The pixels that a unit can see: a rectangle, cut off at the image's border.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Rows of the image.
    pub rows: Range<usize>,
    /// Columns of the image.
    pub columns: Range<usize>,
}

/// What the unit at (`row`, `column`) of layer number `layer`'s output can see. A unit behind a linear or flatten layer
/// sees the whole image.
///
/// # Panics
/// If there is no such layer, or its output is feature maps without this row and column.
pub fn receptive_field(architecture: &Architecture, layer: usize, (row, column): (usize, usize)) -> Field {
    let field = Field { rows: row..row + 1, columns: column..column + 1 };
    match architecture.layers()[layer].output {
        Shape::Image(maps) => assert!(row < maps.height && column < maps.width, "({row}, {column}) of maps of {maps}"),
        Shape::Flat(_) => {}
    }
    // Back from the layer, once through each: of a value with several readers, the rectangle around what they see.
    let mut fields = vec![None; layer + 1];
    fields[layer] = Some(field);
    let mut image: Option<Field> = None;
    for (at, info) in architecture.layers()[..=layer].iter().enumerate().rev() {
        let Some(field) = fields[at].take() else { continue };
        let Some(read) = before(info, field) else {
            let ImageShape { height, width, .. } = architecture.input();
            return Field { rows: 0..height, columns: 0..width };
        };
        for &source in &info.inputs {
            let place = match source {
                Source::Images => &mut image,
                Source::Layer(at) => &mut fields[at],
            };
            *place = Some(place.take().map_or_else(|| read.clone(), |other| around(other, &read)));
        }
    }
    image.expect("every layer comes from the images")
}

/// The rectangle of a layer's input that rectangle `field` of its output is made of, if both are maps.
fn before(info: &LayerInfo, field: Field) -> Option<Field> {
    let (Shape::Image(from), Shape::Image(_)) = (info.input, info.output) else { return None };
    // Elementwise layers have no window.
    let Some(window) = window(info.layer, (from.height, from.width)) else { return Some(field) };
    let [top, left, ..] = window.padding;
    let rows = seen(field.rows, window.kernel.0, window.stride.0, top, from.height);
    Some(Field { rows, columns: seen(field.columns, window.kernel.1, window.stride.1, left, from.width) })
}

/// The rectangle around two.
fn around(a: Field, b: &Field) -> Field {
    let around = |a: Range<usize>, b: &Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    Field { rows: around(a.rows, &b.rows), columns: around(a.columns, &b.columns) }
}

/// The rows (columns) of an input of `size` that output rows `out` are made of. At each layer what lies in the padding
/// is cut off: it is zero whatever the image shows.
fn seen(out: Range<usize>, kernel: usize, stride: usize, padding: usize, size: usize) -> Range<usize> {
    (out.start * stride).saturating_sub(padding)..((out.end - 1) * stride + kernel - padding).min(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::testing::{build, fitting, windows};
    use crate::look::trace;
    use crate::model::{Layer, Model, ParamKind, ParamSpec};
    use crate::train::Pixels;
    use proptest::prelude::{Just, prop};
    use proptest::{prop_oneof, proptest};

    #[test]
    fn fields_of_a_known_network() {
        let net = build((1, 28, 28), &["conv 2 5x5 same", "relu", "maxpool 2", "conv 3 5x5 same", "relu", "linear 5"]);
        let of = |layer, at| receptive_field(&net, layer, at);
        assert_eq!(of(0, (0, 27)), Field { rows: 0..3, columns: 25..28 });
        assert_eq!(of(2, (3, 4)), Field { rows: 4..10, columns: 6..12 });
        // 5 + (5 - 1) * 2 + 1 = 14 pixels a side.
        assert_eq!(of(4, (6, 7)), Field { rows: 6..20, columns: 8..22 });
        assert_eq!(of(5, (0, 4)), Field { rows: 0..28, columns: 0..28 });
        // The larger of the two ways through a block.
        let net =
            build((1, 9, 9), &["conv 2 3x3 same", "[conv 2 3x3 same, relu]", "[conv 3 1x1 stride 3]", "linear 5"]);
        let of = |layer, at| receptive_field(&net, layer, at);
        assert_eq!((&*net.layers()[3].name, of(3, (4, 0))), ("block1", Field { rows: 2..7, columns: 0..3 }));
        assert_eq!((&*net.layers()[7].name, of(7, (1, 1))), ("block2", Field { rows: 1..6, columns: 1..6 }));
    }

    /// There are 2^60 ways through.
    #[test]
    fn sixty_residual_blocks_are_swept_once() {
        let block = ["[conv 1 3x3 same, relu]"; 60];
        let net = build((1, 200, 3), &[&block[..], &["linear 5"]].concat());
        let last = net.layers().len() - 2;
        assert_eq!(net.layers()[last].name, "block60");
        // A convolution sees one row more on either side.
        assert_eq!(receptive_field(&net, last, (100, 1)), Field { rows: 40..161, columns: 0..3 });
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 60, failure_persistence: None, ..Default::default() })]

        /// All weights are 1 and all biases 0: a unit answers to an image with one white pixel exactly if it can see
        /// it.
        #[test]
        fn a_field_is_the_rectangle_around_the_pixels_that_a_unit_answers_to(
            (height, width) in (5..=11_usize, 5..=11_usize),
            drawn in prop::collection::vec(prop_oneof![5 => windows(), 1 => Just(Layer::Relu)], 1..=4),
        ) {
            let net = fitting((1, height, width), &drawn);
            let ones = |spec: &ParamSpec| vec![if spec.kind == ParamKind::Weight { 1.0 } else { 0.0 }; spec.len()];
            let tensors: Vec<_> = net.params().iter().map(|s| (s.name.clone(), s.shape.clone(), ones(s))).collect();
            let model = Model::from_tensors(net.clone(), &tensors, Pixels::default()).expect("the arrays fit");
            let answers: Vec<_> = (0..height * width)
                .map(|white| {
                    let mut pixels = vec![0; height * width];
                    pixels[white] = 255;
                    trace(&model, &pixels).outputs
                })
                .collect();
            for (layer, info) in net.layers().iter().enumerate() {
                // Of the first channel; of the linear layer, its first unit.
                let maps = match info.output {
                    Shape::Image(maps) => maps,
                    Shape::Flat(_) => ImageShape { channels: 1, height: 1, width: 1 },
                };
                for (row, column) in (0..maps.height).flat_map(|y| (0..maps.width).map(move |x| (y, x))) {
                    let seen = |at: &usize| answers[*at][layer][row * maps.width + column] > 0.0;
                    let seen: Vec<usize> = (0..height * width).filter(seen).collect();
                    let around = |of: &dyn Fn(usize) -> usize| {
                        let of = || seen.iter().map(|&at| of(at));
                        of().min().expect("a pixel")..of().max().expect("a pixel") + 1
                    };
                    let expected = Field { rows: around(&|at| at / width), columns: around(&|at| at % width) };
                    // Behind the linear layer the whole image counts, also what strides have left out.
                    let got = receptive_field(&net, layer, (row, column));
                    if matches!(info.output, Shape::Flat(_)) {
                        assert_eq!(got, Field { rows: 0..height, columns: 0..width });
                    } else {
                        assert_eq!(got, expected, "({row}, {column}) of {}, {drawn:?}", info.name);
                    }
                }
            }
        }
    }
}
