//! Layers whose units can be drawn, their kernels, and networks without one of them.

use crate::model::{Architecture, Layer, LayerInfo, Model, Shape, Source};

/// A layer whose units have kernels that can be drawn: a convolution, or a linear layer straight over the pixels, each
/// of whose units is one filter as large as the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterLayer {
    /// Its index among the architecture's layers.
    pub index: usize,
    /// Its name, such as `conv1`.
    pub name: String,
    /// Number of filters.
    pub filters: usize,
    /// Input channels, rows and columns of a kernel.
    pub kernel: [usize; 3],
    /// Of how many groups of input channels each filter sees one: the first filters the first, and so on.
    pub groups: usize,
    /// Rows and columns of a filter's response; 1 and 1 of a linear layer.
    pub response: [usize; 2],
    /// Whether ReLU follows, perhaps behind max-pooling.
    pub rectified: bool,
}

impl FilterLayer {
    /// The first of the input channels that a filter sees; none where it sees all there are.
    pub fn first_channel(&self, filter: usize) -> Option<usize> {
        (self.groups > 1).then(|| filter / (self.filters / self.groups) * self.kernel[0])
    }
}

/// The layers whose units can be drawn, in their order.
#[expect(clippy::missing_panics_doc, reason = "an architecture gives convolutions feature maps")]
pub fn filter_layers(architecture: &Architecture) -> Vec<FilterLayer> {
    let layers = architecture.layers();
    let mut found = Vec::new();
    for (index, info) in layers.iter().enumerate() {
        let groups = info.groups().unwrap_or(1);
        let (filters, kernel, response) = match (info.layer, info.output) {
            (
                Layer::Conv { kernel_size: (rows, columns), .. }
                | Layer::Depthwise { kernel_size: (rows, columns), .. }
                | Layer::Whiten { kernel_size: (rows, columns), .. },
                Shape::Image(to),
            ) => {
                let channels = info.input.channels().expect("a convolution takes feature maps");
                (to.channels, [channels / groups, rows, columns], [to.height, to.width])
            }
            (Layer::Linear { out_features }, _) if sees_pixels(layers, info.inputs[0]) => {
                let image = architecture.input();
                (out_features, [image.channels, image.height, image.width], [1, 1])
            }
            (Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } | Layer::Linear { .. }, _)
            | (Layer::MaxPool { .. } | Layer::AvgPool { .. }, _)
            | (Layer::GlobalAvgPool | Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Sigmoid, _)
            | (Layer::Gelu | Layer::Silu, _)
            | (Layer::Dropout { .. } | Layer::Flatten | Layer::BatchNorm { .. } | Layer::Add, _) => continue,
        };
        let (name, rectified) = (info.name.clone(), is_rectified(layers, index));
        found.push(FilterLayer { index, name, filters, kernel, groups, response, rectified });
    }
    found
}

/// Whether a layer leaves all values as they are while nothing is learned.
fn passes_on(layer: Layer) -> bool {
    match layer {
        Layer::Flatten | Layer::Dropout { .. } => true,
        Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } | Layer::Linear { .. } => false,
        Layer::MaxPool { .. } | Layer::AvgPool { .. } => false,
        Layer::GlobalAvgPool
        | Layer::Relu
        | Layer::LeakyRelu { .. }
        | Layer::Tanh
        | Layer::Sigmoid
        | Layer::Gelu
        | Layer::Silu => false,
        Layer::BatchNorm { .. } | Layer::Add => false,
    }
}

/// Whether what `source` gives are the image's pixels.
fn sees_pixels(layers: &[LayerInfo], source: Source) -> bool {
    match source {
        Source::Images => true,
        Source::Layer(at) => passes_on(layers[at].layer) && sees_pixels(layers, layers[at].inputs[0]),
    }
}

/// Whether whatever reads layer `at` reads what ReLU leaves of it, perhaps behind max-pooling: the largest of what ReLU
/// leaves is what ReLU leaves of the largest.
fn is_rectified(layers: &[LayerInfo], at: usize) -> bool {
    let mut readers = layers.iter().enumerate().filter(|(_, info)| info.inputs.contains(&Source::Layer(at))).peekable();
    let rectifies = |(reader, info): (usize, &LayerInfo)| match info.layer {
        Layer::Relu => true,
        Layer::MaxPool { .. } | Layer::Flatten | Layer::Dropout { .. } => is_rectified(layers, reader),
        Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } | Layer::Linear { .. } => false,
        Layer::AvgPool { .. } => false,
        // What is below zero shows too.
        Layer::LeakyRelu { .. } => false,
        Layer::GlobalAvgPool | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Silu => false,
        Layer::BatchNorm { .. } | Layer::Add => false,
    };
    readers.peek().is_some() && readers.all(rectifies)
}

/// The kernels of a layer, `[filters, channels, rows, columns]`.
///
/// # Panics
/// If the layer is none of this network.
pub fn kernels(model: &Model, layer: &FilterLayer) -> Vec<f32> {
    let name = format!("{}.weight", layer.name);
    let kernels = model.tensor(&name).unwrap_or_else(|| panic!("the network has no array {name}"));
    let expected = layer.filters * layer.kernel.iter().product::<usize>();
    assert_eq!(kernels.len(), expected, "values of {} filters of {:?}", layer.filters, layer.kernel);
    kernels
}

/// The network with one filter's weights and bias set to zero, and where a batch norm takes the place of the bias, that
/// one's too; in the precision that it has.
///
/// # Panics
/// If the layer is none of this network, or has no such filter.
pub fn silenced(model: &Model, layer: &FilterLayer, filter: usize) -> Model {
    model.without(&layer.name, filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::evaluate::evaluate;
    use crate::look::testing::{arrays, build, noise};
    use crate::model::Init;
    use crate::train::Pixels;

    #[test]
    fn filters_are_those_of_convolutions_and_of_a_linear_layer_over_pixels() {
        let net = build(
            (2, 9, 8),
            &["conv 3 3x2 stride 2", "dropout 0.5", "relu", "conv 4 1x2", "tanh", "maxpool 2", "linear 6", "linear 5"],
        );
        let found = filter_layers(&net);
        let layer = |index, name: &str, filters, kernel, response, rectified| FilterLayer {
            index,
            name: name.into(),
            filters,
            kernel,
            groups: 1,
            response,
            rectified,
        };
        let first = layer(0, "conv1", 3, [2, 3, 2], [4, 4], true);
        assert_eq!(found, [first, layer(3, "conv2", 4, [3, 1, 2], [4, 3], false)]);

        let net = build((2, 9, 8), &["dropout 0.1", "flatten", "linear 6", "relu", "linear 5"]);
        assert_eq!(filter_layers(&net), [layer(2, "fc1", 6, [2, 9, 8], [1, 1], true)]);
        let net = build((1, 4, 3), &["linear 5"]);
        assert_eq!(filter_layers(&net), [layer(0, "fc1", 5, [1, 4, 3], [1, 1], false)]);
        let net = build((2, 9, 8), &["conv 12 3x3", "conv 6 3x3 groups 3", "depthwise 3x3", "linear 5"]);
        let first = |layer: &FilterLayer| (0..layer.filters).map(|n| layer.first_channel(n)).collect::<Vec<_>>();
        let found: Vec<_> = filter_layers(&net).iter().map(|layer| (layer.kernel[0], first(layer))).collect();
        let (thirds, each) = ([0, 0, 4, 4, 8, 8], [0, 1, 2, 3, 4, 5]);
        assert_eq!(found, [(2, vec![None; 12]), (4, thirds.map(Some).to_vec()), (1, each.map(Some).to_vec())]);
        // What has gone through an activation or a mean is no pixel any more.
        assert_eq!(filter_layers(&build((1, 4, 3), &["sigmoid", "linear 5"])), []);
        assert_eq!(filter_layers(&build((1, 4, 3), &["avgpool 2", "linear 5"])), []);
    }

    /// Each filter of each layer, bit for bit, also where the kernels lie in several panels and blocks.
    #[test]
    fn a_silenced_filter_is_one_with_zeroed_weights_and_bias() {
        for layers in [
            &["conv 3 3x3 same", "relu", "maxpool 2", "conv 18 3x2", "tanh", "avgpool 2", "linear 7", "linear 5"][..],
            &["linear 70", "tanh", "linear 5"],
            &["linear 5"],
        ] {
            let net = build((2, 9, 8), layers);
            let pixels = Pixels::all(0.1, 0.4);
            let model = Model::new(net.clone(), Init::Xavier, 5, pixels.clone());
            let tensors: Vec<_> = (0_u64..).zip(arrays(&model)).map(|(n, a)| with_bias(a, n)).collect();
            let model = Model::from_tensors(net.clone(), &tensors, pixels.clone()).expect("the arrays fit");
            let images = (0..3).flat_map(|n| noise(net.input(), n)).collect();
            let data = Dataset::new(images, vec![0, 4, 2], net.input(), 5).expect("whole");
            let whole = evaluate(&model, &data, 1);
            for layer in filter_layers(&net) {
                for filter in 0..layer.filters {
                    let mut zeroed = tensors.clone();
                    for (name, shape, values) in &mut zeroed {
                        if *name == format!("{}.weight", layer.name) || *name == format!("{}.bias", layer.name) {
                            let len = values.len() / shape[0];
                            values[filter * len..(filter + 1) * len].fill(0.0);
                        }
                    }
                    let zeroed = Model::from_tensors(net.clone(), &zeroed, pixels.clone()).expect("the arrays fit");
                    let silent = silenced(&model, &layer, filter);
                    let what = format!("{layers:?}, {} filter {filter}", layer.name);
                    assert_eq!(silent.values.as_slice(), zeroed.values.as_slice(), "{what}");
                    let (silent, zeroed) = (evaluate(&silent, &data, 1), evaluate(&zeroed, &data, 1));
                    assert_eq!(silent, zeroed, "{what}");
                    assert_ne!(silent.probabilities, whole.probabilities, "{what}");
                }
            }
        }
    }

    /// Biases are zero at first, and one that is would not be missed.
    fn with_bias(
        (name, shape, mut values): (String, Vec<usize>, Vec<f32>),
        salt: u64,
    ) -> (String, Vec<usize>, Vec<f32>) {
        if shape.len() == 1 {
            values.iter_mut().enumerate().for_each(|(j, v)| *v = 0.1 + (j as u64 + salt) as f32 / 64.0);
        }
        (name, shape, values)
    }

    #[test]
    fn kernels_are_in_pytorchs_order() {
        let net = build((2, 3, 2), &["linear 5"]);
        let weight: Vec<f32> = (0..60).map(|v| v as f32).collect();
        let tensors =
            [("fc1.weight".to_string(), vec![5, 12], weight.clone()), ("fc1.bias".to_string(), vec![5], vec![0.0; 5])];
        let model = Model::from_tensors(net.clone(), &tensors, Pixels::default()).expect("the arrays fit");
        assert_eq!(kernels(&model, &filter_layers(&net)[0]), weight);
    }

    #[test]
    #[should_panic(expected = "conv1 has 3 outputs, and this is number 3")]
    fn there_is_no_filter_beyond_the_last() {
        let net = build((1, 4, 4), &["conv 3 3x3", "linear 5"]);
        let model = Model::new(net.clone(), Init::Xavier, 0, Pixels::default());
        silenced(&model, &filter_layers(&net)[0], 3);
    }
}
