//! The bytes of small networks, read back here by the rules of the format.

use super::*;
use crate::data::ImageShape;
use crate::model::{Architecture, Init, blocks};
use crate::train::{PerChannel, Pixels};
use sha2::{Digest, Sha256};
use tenfold_data::hex;

/// A field of a message: its number, and a whole number, another, or bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Value<'a> {
    Int(i64),
    Float(f32),
    Bytes(&'a [u8]),
}

/// All fields of a message.
struct Fields<'a>(Vec<(u64, Value<'a>)>);

impl<'a> Fields<'a> {
    fn of(mut bytes: &'a [u8]) -> Fields<'a> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Int(varint(&mut bytes).cast_signed()),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Value::Bytes(value)
                }
                5 => {
                    let (value, rest) = bytes.split_first_chunk().expect("four bytes");
                    bytes = rest;
                    Value::Float(f32::from_le_bytes(*value))
                }
                other => panic!("wire type {other} in field {}", key >> 3),
            };
            fields.push((key >> 3, value));
        }
        assert!(fields.is_sorted_by_key(|(number, _)| *number), "fields are in order: {fields:?}");
        Fields(fields)
    }

    fn all(&self, number: u64) -> Vec<Value<'a>> {
        self.0.iter().filter(|(n, _)| *n == number).map(|(_, value)| *value).collect()
    }

    fn ints(&self, number: u64) -> Vec<i64> {
        let int = |value| match value {
            Value::Int(value) => value,
            other => panic!("field {number} is {other:?}"),
        };
        self.all(number).into_iter().map(int).collect()
    }

    fn floats(&self, number: u64) -> Vec<f32> {
        let float = |value| match value {
            Value::Float(value) => value,
            other => panic!("field {number} is {other:?}"),
        };
        self.all(number).into_iter().map(float).collect()
    }

    fn bytes(&self, number: u64) -> Vec<&'a [u8]> {
        let bytes = |value| match value {
            Value::Bytes(bytes) => bytes,
            other => panic!("field {number} is {other:?}"),
        };
        self.all(number).into_iter().map(bytes).collect()
    }

    fn texts(&self, number: u64) -> Vec<&'a str> {
        self.bytes(number).into_iter().map(|bytes| std::str::from_utf8(bytes).expect("UTF-8")).collect()
    }

    /// The only one of this number.
    fn text(&self, number: u64) -> &'a str {
        let texts = self.texts(number);
        assert_eq!(texts.len(), 1, "field {number} is {texts:?}");
        texts[0]
    }

    fn messages(&self, number: u64) -> Vec<Fields<'a>> {
        self.bytes(number).into_iter().map(Fields::of).collect()
    }

    /// The only one of this number.
    fn message(&self, number: u64) -> Fields<'a> {
        let mut messages = self.messages(number);
        assert_eq!(messages.len(), 1, "field {number}");
        messages.remove(0)
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint has at most ten bytes");
}

/// A node in one line: `Gemm(x, fc1.weight, fc1.bias; transB=1) -> y`.
fn line(node: &Fields) -> String {
    assert_eq!(node.text(2), node.text(3), "a node is called after its output");
    let attributes = node.messages(5).iter().fold(String::new(), |line, attribute| {
        let value = match attribute.ints(20)[..] {
            [1] => format!("{:?}", attribute.floats(2)[0]),
            [2] => format!("{}", attribute.ints(3)[0]),
            [7] => format!("{:?}", attribute.ints(8)),
            ref other => panic!("type {other:?}"),
        };
        line + "; " + attribute.text(1) + "=" + &value
    });
    format!("{}({}{attributes}) -> {}", node.text(4), node.texts(1).join(", "), node.text(2))
}

fn model(layers: &[&str], input: ImageShape, pixels: Pixels) -> Model {
    let classes = layers.last().and_then(|last| last.strip_prefix("linear ")).expect("linear").parse();
    let architecture = Architecture::of_blocks(input, blocks(layers), classes.expect("a number")).expect("fits");
    Model::new(architecture, Init::Pytorch, 1, pixels)
}

fn about(classes: &[&str], temperature: Option<f64>) -> OnnxAbout {
    let class_names = classes.iter().map(ToString::to_string).collect();
    OnnxAbout { name: "a-net".into(), version: "1.2.3".into(), class_names, temperature, abstain: None }
}

/// A network with every layer, and all that can be done before and behind them.
pub(super) fn every_layer() -> (Model, OnnxAbout) {
    let shape = ImageShape { channels: 2, height: 12, width: 10 };
    let pixels = Pixels { mean: PerChannel::Each(vec![0.5, 0.0]), std: PerChannel::All(0.25) };
    let layers = [
        "conv 3 3x5 stride 2x1 same",
        "gelu",
        "maxpool 2 stride 1",
        "dropout 0.5",
        "relu",
        "avgpool 2x3 stride 1x2",
        "conv 4 2x2 padding 1",
        "silu",
        "depthwise 3x3 same",
        "leakyrelu 0.2",
        "conv 4 1x1 groups 2",
        "sigmoid",
        "global-avgpool",
        "flatten",
        "tanh",
        "linear 3",
        "gelu",
        "linear 2",
    ];
    let about = OnnxAbout { name: "every-layer".into(), ..about(&["x", "y"], Some(1.5)) };
    (model(&layers, shape, pixels), about)
}

#[test]
fn a_whitening_layer_is_a_convolution_without_bias() {
    let model = model(&["whiten 3x3 same", "relu", "linear 2"], GREY, Pixels::default());
    let bytes = write(&model, &about(&["x", "y"], None)).expect("it can be written");
    let nodes: Vec<String> = Fields::of(&bytes).message(7).messages(1).iter().map(line).collect();
    let conv = "Conv(unit, whiten1.weight; kernel_shape=[3, 3]; strides=[1, 1]; pads=[1, 1, 1, 1]) -> whiten1";
    assert!(nodes.iter().any(|node| node == conv), "{nodes:?}");
}

const GREY: ImageShape = ImageShape { channels: 1, height: 5, width: 4 };

#[test]
fn a_small_network_is_written_field_by_field() {
    let model = model(&["linear 3", "relu", "linear 2"], GREY, Pixels::default());
    let bytes = write(&model, &about(&["a \"<b>\"", "ä,\n"], None)).expect("it can be written");
    let file = Fields::of(&bytes);
    assert_eq!((file.ints(1), file.text(2), file.text(3)), (vec![8], "tenfold", "1.2.3"));
    assert_eq!(file.message(8).0, [(1, Value::Bytes(b"")), (2, Value::Int(17))]);
    let metadata: Vec<(&str, serde_json::Value)> =
        file.messages(14).iter().map(|m| (m.text(1), serde_json::from_str(m.text(2)).expect("JSON"))).collect();
    let said = json!({
        "name": "a-net", "version": "1.2.3", "layers": ["linear 3", "relu", "linear 2"],
        "pixels": { "mean": 0.0, "std": 1.0 }, "temperature": null,
    });
    assert_eq!(metadata, [("classes", json!(["a \"<b>\"", "ä,\n"])), ("tenfold", said)]);

    let graph = file.message(7);
    assert_eq!(graph.text(2), "tenfold");
    let nodes = [
        "Cast(images; to=1) -> pixels",
        "Transpose(pixels; perm=[0, 3, 1, 2]) -> planes",
        "Div(planes, white) -> unit",
        "Flatten(unit; axis=1) -> fc1.input",
        "Gemm(fc1.input, fc1.weight, fc1.bias; transB=1) -> fc1",
        "Relu(fc1) -> relu1",
        "Gemm(relu1, fc2.weight, fc2.bias; transB=1) -> logits",
        "Softmax(logits; axis=1) -> probabilities",
    ];
    assert_eq!(graph.messages(1).iter().map(line).collect::<Vec<_>>(), nodes);
    let values = |number| -> Vec<String> {
        let value = |value: &Fields| {
            let tensor = value.message(2).message(1);
            let sides: Vec<String> = tensor.message(2).messages(1).iter().map(|side| format!("{:?}", side.0)).collect();
            format!("{} {:?} {}", value.text(1), tensor.ints(1), sides.join(" ")).replace("Bytes([78])", "N")
        };
        graph.messages(number).iter().map(value).collect()
    };
    let side = |n: usize| format!("[(1, Int({n}))]");
    assert_eq!(values(11), [format!("images [2] [(2, N)] {} {} {}", side(5), side(4), side(1))]);
    assert_eq!(values(12), ["logits", "probabilities"].map(|name| format!("{name} [1] [(2, N)] {}", side(2))));
    let tensors = graph.messages(5);
    let expected = [("white", vec![]), ("fc1.weight", vec![3, 20]), ("fc1.bias", vec![3])];
    let expected = expected.into_iter().chain([("fc2.weight", vec![2, 3]), ("fc2.bias", vec![2])]);
    for (tensor, (name, shape)) in tensors.iter().zip(expected) {
        assert_eq!((tensor.text(8), tensor.ints(1), tensor.ints(2)), (name, shape, vec![1]));
        let numbers = tensor.bytes(9)[0].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        assert_eq!(numbers.collect::<Vec<_>>(), model.tensor(name).unwrap_or(vec![255.0]), "{name}");
    }
    assert_eq!(tensors.len(), 5);
}

/// Behind pooling it has biases of its own; right behind a layer, it is part of that.
#[test]
fn a_batch_norm_is_one_operator_or_none() {
    let layers = ["conv 3 2x2", "maxpool 2", "batchnorm eps 1e-3", "linear 4", "batchnorm", "relu", "linear 2"];
    let model = model(&layers, GREY, Pixels::default());
    let bytes = write(&model, &about(&["x", "y"], None)).expect("it can be written");
    let graph = Fields::of(&bytes).message(7);
    let nodes = "Conv(unit, conv1.weight; kernel_shape=[2, 2]; strides=[1, 1]; pads=[0, 0, 0, 0]) -> conv1
        MaxPool(conv1; kernel_shape=[2, 2]; strides=[2, 2]) -> pool1
        BatchNormalization(pool1, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var; epsilon=0.001) -> bn1
        Flatten(bn1; axis=1) -> fc1.input
        Gemm(fc1.input, fc1.weight, fc1.bias; transB=1) -> fc1
        Relu(fc1) -> relu1";
    let nodes: Vec<&str> = nodes.lines().map(str::trim).collect();
    assert_eq!(graph.messages(1).iter().map(line).skip(3).take(nodes.len()).collect::<Vec<_>>(), nodes);
    let arrays: Vec<&str> = graph.messages(5).iter().map(|array| array.text(8)).collect();
    let kept = model.architecture().params().iter().map(|spec| spec.name.as_str());
    let mut expected: Vec<&str> = kept.filter(|name| !name.starts_with("bn2")).collect();
    expected.insert(expected.iter().position(|name| *name == "fc1.weight").expect("it has weights") + 1, "fc1.bias");
    assert_eq!(arrays[1..], expected);
}

#[test]
fn a_residual_block_ends_in_a_sum() {
    let model = model(&["[conv 2 3x3 same, tanh]", "[relu]", "linear 2"], GREY, Pixels::default());
    let bytes = write(&model, &about(&["x", "y"], None)).expect("it can be written");
    let nodes = [
        "Conv(unit, block1.conv1.weight, block1.conv1.bias; kernel_shape=[3, 3]; strides=[1, 1]; pads=[1, 1, 1, 1]) \
         -> block1.conv1",
        "Tanh(block1.conv1) -> block1.tanh1",
        "Conv(unit, block1.shortcut.conv.weight, block1.shortcut.conv.bias; kernel_shape=[1, 1]; strides=[1, 1]; \
         pads=[0, 0, 0, 0]) -> block1.shortcut.conv",
        "Add(block1.tanh1, block1.shortcut.conv) -> block1",
        "Relu(block1) -> block2.relu1",
        "Add(block2.relu1, block1) -> block2",
    ];
    let graph = Fields::of(&bytes).message(7);
    assert_eq!(graph.messages(1).iter().map(line).skip(3).take(nodes.len()).collect::<Vec<_>>(), nodes);
    let metadata: serde_json::Value = serde_json::from_str(Fields::of(&bytes).messages(14)[1].text(2)).expect("JSON");
    assert_eq!(metadata["layers"], json!([["conv 2 3x3 same", "tanh"], ["relu"], "linear 2"]));
}

#[test]
fn every_layer_has_its_operators() {
    let (model, about) = every_layer();
    let bytes = write(&model, &about).expect("it can be written");
    let graph = Fields::of(&bytes).message(7);
    let nodes = "Cast(images; to=1) -> pixels
        Transpose(pixels; perm=[0, 3, 1, 2]) -> planes
        Div(planes, white) -> unit
        Sub(unit, mean) -> centred
        Div(centred, std) -> normalised
        Conv(normalised, conv1.weight, conv1.bias; kernel_shape=[3, 5]; strides=[2, 1]; pads=[1, 2, 1, 2]) -> conv1
        Div(conv1, root) -> gelu1.scaled
        Erf(gelu1.scaled) -> gelu1.erf
        Add(gelu1.erf, one) -> gelu1.shifted
        Mul(conv1, gelu1.shifted) -> gelu1.twice
        Mul(gelu1.twice, half) -> gelu1
        MaxPool(gelu1; kernel_shape=[2, 2]; strides=[1, 1]) -> pool1
        Relu(pool1) -> relu1
        AveragePool(relu1; kernel_shape=[2, 3]; strides=[1, 2]) -> pool2
        Conv(pool2, conv2.weight, conv2.bias; kernel_shape=[2, 2]; strides=[1, 1]; pads=[1, 1, 1, 1]) -> conv2
        Sigmoid(conv2) -> silu1.gate
        Mul(conv2, silu1.gate) -> silu1
        Conv(silu1, conv3.weight, conv3.bias; kernel_shape=[3, 3]; strides=[1, 1]; pads=[1, 1, 1, 1]; group=4) -> conv3
        LeakyRelu(conv3; alpha=0.2) -> leakyrelu1
        Conv(leakyrelu1, conv4.weight, conv4.bias; kernel_shape=[1, 1]; strides=[1, 1]; pads=[0, 0, 0, 0]; group=2) -> conv4
        Sigmoid(conv4) -> sigmoid1
        GlobalAveragePool(sigmoid1) -> pool3
        Flatten(pool3; axis=1) -> flatten1
        Tanh(flatten1) -> tanh1
        Gemm(tanh1, fc1.weight, fc1.bias; transB=1) -> fc1
        Div(fc1, root) -> gelu2.scaled
        Erf(gelu2.scaled) -> gelu2.erf
        Add(gelu2.erf, one) -> gelu2.shifted
        Mul(fc1, gelu2.shifted) -> gelu2.twice
        Mul(gelu2.twice, half) -> gelu2
        Gemm(gelu2, fc2.weight, fc2.bias; transB=1) -> fc2
        Div(fc2, temperature) -> logits
        Softmax(logits; axis=1) -> probabilities";
    let nodes: Vec<&str> = nodes.lines().map(str::trim).collect();
    assert_eq!(graph.messages(1).iter().map(line).collect::<Vec<_>>(), nodes);
    let constants: Vec<(&str, Vec<i64>, &[u8])> =
        graph.messages(5).iter().map(|t| (t.text(8), t.ints(1), t.bytes(9)[0])).take(7).collect();
    let of = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let expected: [(&str, &[i64], &[f32]); 7] = [
        ("white", &[], &[255.0]),
        ("mean", &[1, 2, 1, 1], &[0.5, 0.0]),
        ("std", &[1, 2, 1, 1], &[0.25, 0.25]),
        ("root", &[], &[2.0_f32.sqrt()]),
        ("one", &[], &[1.0]),
        ("half", &[], &[0.5]),
        ("temperature", &[], &[1.5]),
    ];
    for ((name, shape, values), expected) in constants.into_iter().zip(expected) {
        assert_eq!((name, &shape[..], values), (expected.0, expected.1, &of(expected.2)[..]));
    }
    // These bytes are among those that scripts/check-onnx found right.
    assert_eq!(
        hex(Sha256::new().chain_update(&bytes)),
        "a0f2f165a2e98eb1dfff39306286425c01cc239e9f3a4c43aa290203cb4ac8f2"
    );
}

#[test]
fn what_makes_no_file_is_refused() {
    let model = model(&["linear 2"], GREY, Pixels::default());
    let message = |about: &OnnxAbout| write(&model, about).expect_err("it is refused").to_string();
    let names = "the number of class names is 1, expected 2, one for each output of the network";
    assert_eq!(message(&about(&["a"], None)), names);
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-7] {
        let expected = format!("the temperature is {temperature}, expected 1e-6 to 1e6");
        assert_eq!(message(&about(&["a", "b"], Some(temperature))), expected);
    }
    assert_eq!(fits((1 << 31) - 1), Ok(()));
    let error = fits(1 << 31).expect_err("it is refused").to_string();
    assert!(error.starts_with("the network takes 2147483648 bytes as ONNX, expected at most 2147483647"), "{error}");
}
