//! Networks as ONNX, which onnxruntime and many others run.
//!
//! | name | type and shape | holds |
//! |---|---|---|
//! | input `images` | u8 `[N, H, W, C]` | pixels as picture readers give them: 0 to 255, red, green, blue; any `N` |
//! | output `logits` | f32 `[N, classes]` | what the last layer gives, divided by the temperature if there is one |
//! | output `probabilities` | f32 `[N, classes]` | their softmax |
//!
//! The normalisation of pixels is part of the graph. Bringing a picture to `H` by `W` pixels is not, since programs
//! scale differently. The metadata have `classes`, the classes' names as a JSON list, and `tenfold`, a JSON object with
//! `name` and `version` of [`OnnxAbout`], `layers`, `pixels`, `temperature` and, where there is one, `abstain`.

#[cfg(test)]
mod check;
mod graph;
mod protobuf;
#[cfg(test)]
mod tests;

use crate::interop::model_file::Abstain;
use crate::model::Model;
use graph::{Attribute, Graph, Node};
use protobuf::Message;
use serde_json::json;
use thiserror::Error;

/// What an ONNX file says about its network besides what the network does.
#[derive(Clone, PartialEq, Debug)]
pub struct OnnxAbout {
    /// What the network is called.
    pub name: String,
    /// The version of the program that writes the file.
    pub version: String,
    /// Names of the classes, in the order of the logits.
    pub class_names: Vec<String>,
    /// What logits are divided by so that probabilities mean what they say.
    pub temperature: Option<f64>,
    /// When no class is to be named; only said in the metadata, since the graph gives probabilities.
    pub abstain: Option<Abstain>,
}

/// Why a network cannot be written as ONNX.
#[derive(Debug, Error, PartialEq)]
pub enum OnnxError {
    /// There is not one name for each class.
    #[error("the number of class names is {found}, expected {expected}, one for each output of the network")]
    ClassNames {
        /// How many there are.
        found: usize,
        /// How many classes there are.
        expected: usize,
    },
    /// Nothing can be divided by the temperature.
    #[error("the temperature is {0}, expected 1e-6 to 1e6")]
    Temperature(f64),
    /// The file would be larger than its format allows.
    #[error(
        "the network takes {bytes} bytes as ONNX, expected at most {MAX_BYTES}, which is all that programs read; \
         use fewer parameters"
    )]
    TooLarge {
        /// How large it would be.
        bytes: usize,
    },
}

/// The first versions with everything that is used here, of 2022, so that old programs read the files too.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Protobuf's limit.
const MAX_BYTES: usize = i32::MAX as usize;

/// Numbers that ONNX gives to types.
const FLOAT: i64 = 1;
const UINT8: i64 = 2;

/// The bytes of an ONNX model that computes what `model` does, in f32, with dropout switched off. The same model and
/// the same words give the same bytes.
///
/// # Errors
/// If there is not one name for each class, the temperature is outside 1e-6 to 1e6, or the file would have more than
/// 2^31 - 1 bytes.
pub fn write(model: &Model, about: &OnnxAbout) -> Result<Vec<u8>, OnnxError> {
    let (found, expected) = (about.class_names.len(), model.architecture().classes());
    if found != expected {
        return Err(OnnxError::ClassNames { found, expected });
    }
    if let Some(temperature) = about.temperature
        && !(1e-6..=1e6).contains(&temperature)
    {
        return Err(OnnxError::Temperature(temperature));
    }
    let mut file = Message::with_capacity(4 * model.architecture().parameters() + (1 << 16));
    file.int(1, IR_VERSION);
    file.text(2, "tenfold");
    file.text(3, &about.version);
    file.message(7, |out| write_graph(out, model, about.temperature));
    // The operators of ONNX itself, whose domain has no name.
    file.message(8, |opset| {
        opset.text(1, "");
        opset.int(2, OPSET);
    });
    for (key, value) in [("classes", json!(about.class_names)), ("tenfold", description(model, about))] {
        file.message(14, |entry| {
            entry.text(1, key);
            entry.text(2, &value.to_string());
        });
    }
    fits(file.bytes.len())?;
    Ok(file.bytes)
}

fn fits(bytes: usize) -> Result<(), OnnxError> {
    if bytes > MAX_BYTES { Err(OnnxError::TooLarge { bytes }) } else { Ok(()) }
}

fn description(model: &Model, about: &OnnxAbout) -> serde_json::Value {
    // In alphabetical order, as they are written, whatever a dependency makes of JSON objects.
    let mut description = json!({
        "layers": model.architecture().written(),
        "name": about.name,
        "pixels": model.pixels(),
        "temperature": about.temperature,
        "version": about.version,
    });
    if let Some(abstain) = &about.abstain {
        description["abstain"] = json!(abstain);
    }
    description
}

/// A `GraphProto`. Batch norms are part of the layers before them, where they can be.
fn write_graph(out: &mut Message, model: &Model, temperature: Option<f64>) {
    let folded = model.folded();
    let model = folded.as_ref().unwrap_or(model);
    let graph = Graph::new(model, temperature);
    for node in &graph.nodes {
        out.message(1, |out| write_node(out, node));
    }
    // Names are identifiers in ONNX, and those of networks need not be.
    out.text(2, "tenfold");
    for (name, shape, values) in &graph.constants {
        out.message(5, |out| write_tensor(out, name, shape, values));
    }
    for spec in model.architecture().params() {
        let values = model.tensor(&spec.name).expect("the model has its own arrays");
        out.message(5, |out| write_tensor(out, &spec.name, &spec.shape, &values));
    }
    let (image, classes) = (model.architecture().input(), model.architecture().classes());
    let colours = if image.channels == 3 { "; red, green, blue" } else { "" };
    let images = format!(
        "Pixels from 0 to 255 of images that are {} high and {} wide{colours}. They are normalised in the graph.",
        image.height, image.width
    );
    out.message(11, |out| {
        write_value(out, graph::IMAGES, UINT8, &[image.height, image.width, image.channels], &images)
    });
    for (name, about) in
        [(graph::LOGITS, "What the last layer gives."), (graph::PROBABILITIES, "The softmax of the logits.")]
    {
        out.message(12, |out| write_value(out, name, FLOAT, &[classes], about));
    }
}

/// A `NodeProto`.
fn write_node(out: &mut Message, node: &Node) {
    for input in &node.inputs {
        out.text(1, input);
    }
    out.text(2, &node.output);
    // Nodes are called after what they give.
    out.text(3, &node.output);
    out.text(4, node.operator);
    for (name, value) in &node.attributes {
        out.message(5, |out| {
            out.text(1, name);
            match value {
                Attribute::Int(value) => {
                    out.int(3, *value);
                    out.int(20, 2);
                }
                Attribute::Ints(values) => {
                    values.iter().for_each(|&value| out.int(8, value));
                    out.int(20, 7);
                }
                Attribute::Float(value) => {
                    out.float(2, *value);
                    out.int(20, 1);
                }
            }
        });
    }
}

/// A `TensorProto` of f32.
fn write_tensor(out: &mut Message, name: &str, shape: &[usize], values: &[f32]) {
    shape.iter().for_each(|&side| out.int(1, side as i64));
    out.int(2, FLOAT);
    out.text(8, name);
    out.floats(9, values);
}

/// A `ValueInfoProto` of any number of examples of this shape.
fn write_value(out: &mut Message, name: &str, of: i64, shape: &[usize], about: &str) {
    out.text(1, name);
    out.message(2, |out| {
        out.message(1, |out| {
            out.int(1, of);
            out.message(2, |out| {
                out.message(1, |out| out.text(2, "N"));
                shape.iter().for_each(|&side| out.message(1, |out| out.int(1, side as i64)));
            });
        });
    });
    out.text(3, about);
}
