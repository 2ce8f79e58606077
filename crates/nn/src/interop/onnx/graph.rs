//! A network as ONNX's operators: each layer is one, or a few, between pixels and probabilities.

use crate::model::{Layer, LayerInfo, Model, Shape, Source};
use crate::train::Pixels;

/// Names of the input and the outputs.
pub(super) const IMAGES: &str = "images";
pub(super) const LOGITS: &str = "logits";
pub(super) const PROBABILITIES: &str = "probabilities";

/// An operator with its place in the graph.
#[derive(PartialEq, Debug)]
pub(super) struct Node {
    /// ONNX's name for it.
    pub(super) operator: &'static str,
    /// Names of the values and arrays that it reads.
    pub(super) inputs: Vec<String>,
    /// Name of the value that it gives.
    pub(super) output: String,
    /// Settings that are not ONNX's defaults.
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

/// The value of a setting.
#[derive(PartialEq, Debug)]
pub(super) enum Attribute {
    /// A whole number.
    Int(i64),
    /// Several.
    Ints(Vec<i64>),
    /// A number.
    Float(f32),
}

/// A network's operators, in the order in which they can run.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// Arrays that are not learned: name, shape, values.
    pub(super) constants: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Graph {
    /// What `model` computes of `images`, with logits divided by `temperature`.
    pub(super) fn new(model: &Model, temperature: Option<f64>) -> Graph {
        let architecture = model.architecture();
        let mut graph = Graph { nodes: Vec::new(), constants: Vec::new() };
        let seen = graph.pixels(model.pixels(), architecture.input().channels);
        let mut outputs = Vec::<String>::new();
        for (index, info) in architecture.layers().iter().enumerate() {
            let inputs = info.inputs.iter().map(|source| match source {
                Source::Images => seen.clone(),
                Source::Layer(layer) => outputs[*layer].clone(),
            });
            let inputs: Vec<String> = inputs.collect();
            let is_last = index + 1 == architecture.layers().len();
            let output = if is_last && temperature.is_none() { LOGITS } else { &info.name };
            outputs.push(graph.layer(info, inputs, output));
        }
        if let Some(temperature) = temperature {
            let last = outputs.pop().expect("a network has layers");
            let temperature = graph.number("temperature", temperature as f32);
            graph.node("Div", vec![last, temperature], LOGITS, vec![]);
        }
        graph.node("Softmax", vec![LOGITS.into()], PROBABILITIES, vec![("axis", Attribute::Int(1))]);
        graph
    }

    /// What the network sees of pixels, `[N, C, H, W]`, rounded to f32 after the same operations as in training.
    fn pixels(&mut self, pixels: &Pixels, channels: usize) -> String {
        let whole = self.node("Cast", vec![IMAGES.into()], "pixels", vec![("to", Attribute::Int(super::FLOAT))]);
        let order = Attribute::Ints(vec![0, 3, 1, 2]);
        let planes = self.node("Transpose", vec![whole], "planes", vec![("perm", order)]);
        let white = self.number("white", 255.0);
        let mut seen = self.node("Div", vec![planes, white], "unit", vec![]);
        for (operator, name, numbers, output, idle) in
            [("Sub", "mean", &pixels.mean, "centred", 0.0), ("Div", "std", &pixels.std, "normalised", 1.0)]
        {
            let numbers: Vec<f32> = (0..channels).map(|channel| numbers.of(channel) as f32).collect();
            if numbers.iter().any(|&number| number != idle) {
                self.constants.push((name.into(), vec![1, channels, 1, 1], numbers));
                seen = self.node(operator, vec![seen, name.into()], output, vec![]);
            }
        }
        seen
    }

    /// Adds what a layer does with `inputs`, and gives the name of its output: `output`, unless nothing is done.
    fn layer(&mut self, info: &LayerInfo, inputs: Vec<String>, output: &str) -> String {
        let input = inputs[0].clone();
        let arrays = || {
            let kinds = if info.has_bias { &["weight", "bias"][..] } else { &["weight"] };
            kinds.iter().map(|kind| format!("{}.{kind}", info.name)).collect::<Vec<_>>()
        };
        let window = |kernel_size, stride| vec![("kernel_shape", sides(kernel_size)), ("strides", sides(stride))];
        match info.layer {
            Layer::Linear { .. } => {
                let row = match info.input {
                    Shape::Image(_) => self.flatten(input, &format!("{}.input", info.name)),
                    Shape::Flat(_) => input,
                };
                let inputs = [vec![row], arrays()].concat();
                self.node("Gemm", inputs, output, vec![("transB", Attribute::Int(1))])
            }
            Layer::Conv { kernel_size, stride, padding, .. }
            | Layer::Depthwise { kernel_size, stride, padding }
            | Layer::Whiten { kernel_size, stride, padding } => {
                let inputs = [vec![input], arrays()].concat();
                let (rows, columns) = padding.of(kernel_size);
                // Those before all sides, then those behind.
                let pads = [rows, columns, rows, columns].map(|pad| pad as i64).to_vec();
                let mut attributes = window(kernel_size, stride);
                attributes.push(("pads", Attribute::Ints(pads)));
                if let Some(groups) = info.groups().filter(|&groups| groups > 1) {
                    attributes.push(("group", Attribute::Int(groups as i64)));
                }
                self.node("Conv", inputs, output, attributes)
            }
            Layer::MaxPool { kernel_size, stride } => {
                self.node("MaxPool", vec![input], output, window(kernel_size, stride))
            }
            Layer::AvgPool { kernel_size, stride } => {
                self.node("AveragePool", vec![input], output, window(kernel_size, stride))
            }
            Layer::GlobalAvgPool => self.node("GlobalAveragePool", vec![input], output, vec![]),
            Layer::Relu => self.node("Relu", vec![input], output, vec![]),
            Layer::LeakyRelu { slope } => {
                self.node("LeakyRelu", vec![input], output, vec![("alpha", Attribute::Float(slope as f32))])
            }
            Layer::Tanh => self.node("Tanh", vec![input], output, vec![]),
            Layer::Sigmoid => self.node("Sigmoid", vec![input], output, vec![]),
            Layer::Gelu => self.gelu(input, output),
            Layer::Silu => {
                let gate = self.node("Sigmoid", vec![input.clone()], &format!("{output}.gate"), vec![]);
                self.node("Mul", vec![input, gate], output, vec![])
            }
            Layer::Dropout { .. } => input,
            Layer::Flatten => self.flatten(input, output),
            Layer::Add => self.node("Add", inputs, output, vec![]),
            Layer::BatchNorm { eps, .. } => {
                let arrays = ["weight", "bias", "running_mean", "running_var"];
                let inputs = arrays.map(|array| format!("{}.{array}", info.name));
                let inputs = [&[input][..], &inputs].concat();
                self.node("BatchNormalization", inputs, output, vec![("epsilon", Attribute::Float(eps as f32))])
            }
        }
    }

    /// `x (1 + erf(x / sqrt 2)) / 2`: there is an operator for it from opset 20 on only. In this order onnxruntime
    /// knows it again and makes one operation of it.
    fn gelu(&mut self, x: String, output: &str) -> String {
        let [root, one, half] = [("root", std::f32::consts::SQRT_2), ("one", 1.0), ("half", 0.5)]
            .map(|(name, value)| self.number(name, value));
        let part = |name: &str| format!("{output}.{name}");
        let scaled = self.node("Div", vec![x.clone(), root], &part("scaled"), vec![]);
        let erf = self.node("Erf", vec![scaled], &part("erf"), vec![]);
        let shifted = self.node("Add", vec![erf, one], &part("shifted"), vec![]);
        let twice = self.node("Mul", vec![x, shifted], &part("twice"), vec![]);
        self.node("Mul", vec![twice, half], output, vec![])
    }

    /// An example as one row, in the order channel, row, column.
    fn flatten(&mut self, input: String, output: &str) -> String {
        self.node("Flatten", vec![input], output, vec![("axis", Attribute::Int(1))])
    }

    /// A constant for all elements, under this name once.
    fn number(&mut self, name: &str, value: f32) -> String {
        if self.constants.iter().all(|(other, ..)| other != name) {
            self.constants.push((name.into(), vec![], vec![value]));
        }
        name.into()
    }

    fn node(
        &mut self,
        operator: &'static str,
        inputs: Vec<String>,
        output: &str,
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        self.nodes.push(Node { operator, inputs, output: output.into(), attributes });
        output.into()
    }
}

fn sides((height, width): (usize, usize)) -> Attribute {
    Attribute::Ints(vec![height as i64, width as i64])
}
