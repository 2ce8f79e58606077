//! A model: an architecture with values for its parameters, in the layout the kernels want.

use super::architecture::{Architecture, ParamSpec};
use super::init::Init;
use crate::aligned::Aligned;
use crate::network::{Kind, Layout, Network};
use crate::precision::Precision;
use crate::train::Pixels;
use std::fmt;
use thiserror::Error;

/// Why arrays do not make a model.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModelError {
    /// An array is missing.
    #[error("the array \"{name}\" is missing; the network has {expected}")]
    Missing {
        /// Its name.
        name: String,
        /// All names with shapes.
        expected: String,
    },
    /// An array has the wrong shape.
    #[error("the array \"{name}\" has the shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// There is an array too many.
    #[error("there is an array \"{name}\" that the network does not have; it has {expected}")]
    Unexpected {
        /// Its name.
        name: String,
        /// All names with shapes.
        expected: String,
    },
    /// A value is not a number.
    #[error("the array \"{name}\" has a value that is not finite, at index {index}")]
    NotFinite {
        /// Its name.
        name: String,
        /// Index in PyTorch's order.
        index: usize,
    },
}

/// A network with its parameters.
#[derive(Clone)]
pub struct Model {
    architecture: Architecture,
    pixels: Pixels,
    pub(crate) network: Network,
    /// Every array in its panels, one after another, padding zero.
    pub(crate) values: Aligned,
}

impl Model {
    /// A network before training.
    pub fn new(architecture: Architecture, init: Init, seed: u64, pixels: Pixels) -> Model {
        let network = Network::new(&architecture);
        let mut values = Aligned::zeroed(network.param_len);
        for (array, spec) in architecture.params().iter().enumerate() {
            let place = Packing::of(&architecture, &network, array);
            let value = init.values(spec, array as u64, seed);
            for j in 0..spec.len() {
                values.as_mut_slice()[place.index(j)] = value(j);
            }
        }
        Model { architecture, pixels, network, values }
    }

    /// A network from its arrays, `(name, shape, values)` in PyTorch's order: exactly those of the architecture, finite.
    pub fn from_tensors(
        architecture: Architecture,
        tensors: &[(String, Vec<usize>, Vec<f32>)],
        pixels: Pixels,
    ) -> Result<Model, ModelError> {
        let all =
            || architecture.params().iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect::<Vec<_>>().join(", ");
        if let Some((name, ..)) =
            tensors.iter().find(|(name, ..)| !architecture.params().iter().any(|p| p.name == *name))
        {
            return Err(ModelError::Unexpected { name: name.clone(), expected: all() });
        }
        let network = Network::new(&architecture);
        let mut packed = Aligned::zeroed(network.param_len);
        for (array, spec) in architecture.params().iter().enumerate() {
            let (_, shape, values) = tensors
                .iter()
                .find(|(name, ..)| *name == spec.name)
                .ok_or_else(|| ModelError::Missing { name: spec.name.clone(), expected: all() })?;
            if *shape != spec.shape || values.len() != spec.len() {
                let (found, expected) = (shape.clone(), spec.shape.clone());
                return Err(ModelError::Shape { name: spec.name.clone(), found, expected });
            }
            if let Some(index) = values.iter().position(|v| !v.is_finite()) {
                return Err(ModelError::NotFinite { name: spec.name.clone(), index });
            }
            let place = Packing::of(&architecture, &network, array);
            for (j, &value) in values.iter().enumerate() {
                packed.as_mut_slice()[place.index(j)] = value;
            }
        }
        Ok(Model { architecture, pixels, network, values: packed })
    }

    /// The same network, computing in another precision. (It is f32 at first.)
    pub fn with_precision(mut self, precision: Precision) -> Model {
        self.network = Network::with_precision(&self.architecture, precision);
        self
    }

    /// The same network with the weights and the bias of one output (a filter, or a feature of a linear layer) of the layer
    /// called `layer` set to zero.
    ///
    /// # Panics
    /// If there is no such layer, or it does not learn, or has no such output.
    pub(crate) fn without(&self, layer: &str, output: usize) -> Model {
        let mut model = self.clone();
        for kind in ["weight", "bias"] {
            let name = format!("{layer}.{kind}");
            let array = self.architecture.params().iter().position(|p| p.name == name);
            let array = array.unwrap_or_else(|| panic!("the network has no array {name}"));
            let spec = &self.architecture.params()[array];
            assert!(output < spec.shape[0], "{layer} has {} outputs, and this is number {output}", spec.shape[0]);
            let (place, len) = (Packing::of(&self.architecture, &self.network, array), spec.len() / spec.shape[0]);
            for j in output * len..(output + 1) * len {
                model.values.as_mut_slice()[place.index(j)] = 0.0;
            }
        }
        model
    }

    /// What the network looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What the network sees of a pixel.
    pub fn pixels(&self) -> Pixels {
        self.pixels
    }

    /// The learned array of this name (such as `conv1.weight`) in PyTorch's order, if there is one.
    pub fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        let array = self.architecture.params().iter().position(|p| p.name == name)?;
        Some(unpack(&self.architecture, &self.network, array, self.values.as_slice()))
    }
}

impl fmt::Debug for Model {
    /// The layers; the values are too many to be read.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let layers = self.architecture.layers().iter().map(|info| info.layer.to_string());
        f.debug_list().entries(layers).finish()
    }
}

#[cfg(test)]
impl Model {
    /// `packed` where the model has parameters, zero in the padding between them.
    pub(crate) fn masked(&self, packed: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; packed.len()];
        for (array, spec) in self.architecture.params().iter().enumerate() {
            let place = Packing::of(&self.architecture, &self.network, array);
            for j in 0..spec.len() {
                out[place.index(j)] = packed[place.index(j)];
            }
        }
        out
    }
}

/// Array number `array` in PyTorch's order, out of values packed like the parameters.
pub(crate) fn unpack(architecture: &Architecture, network: &Network, array: usize, packed: &[f32]) -> Vec<f32> {
    let place = Packing::of(architecture, network, array);
    (0..architecture.params()[array].len()).map(|j| packed[place.index(j)]).collect()
}

/// Where each value of one array lies among the packed parameters.
struct Packing<'a> {
    spec: &'a ParamSpec,
    kind: &'a Kind,
    /// Layout of the operation's input.
    input: Layout,
}

impl<'a> Packing<'a> {
    /// Arrays alternate between weight and bias, two to an operation that learns.
    fn of(architecture: &'a Architecture, network: &'a Network, array: usize) -> Packing<'a> {
        let op = network.ops.iter().filter(|op| op.learns()).nth(array / 2).expect("two arrays to an operation");
        Packing { spec: &architecture.params()[array], kind: &op.kind, input: op.input }
    }

    fn index(&self, j: usize) -> usize {
        match self.kind {
            Kind::Conv { bias, .. }
            | Kind::ConvPool { bias, .. }
            | Kind::Linear { bias, .. }
            | Kind::LinearFew { bias, .. }
                if self.spec.is_bias() =>
            {
                bias.start + j
            }
            Kind::Conv { conv, weight, .. } | Kind::ConvPool { conv, weight, .. } => {
                let conv = &conv.direct;
                let [_, channels, kh, kw] = self.spec.shape[..] else { unreachable!("OIHW") };
                let (kx, ky, i, o) = (j % kw, j / kw % kh, j / kw / kh % channels, j / kw / kh / channels);
                weight.start + conv.weight().index(conv.weight_row(i, ky, kx), o)
            }
            Kind::LinearFew { layout, weight, .. } => {
                weight.start + layout.index(j % self.spec.shape[1], j / self.spec.shape[1])
            }
            Kind::Linear { layout, weight, .. } => {
                let (o, feature) = (j / self.spec.shape[1], j % self.spec.shape[1]);
                let row = match self.input {
                    Layout::Planes(planes) => {
                        let (width, height) = (planes.width(), planes.height());
                        let (x, y) = (feature % width, feature / width % height);
                        planes.index(feature / width / height, y, x)
                    }
                    Layout::Row { .. } => feature,
                };
                weight.start + layout.index(row, o)
            }
            _ => unreachable!("only convolutions and linear layers learn"),
        }
    }
}
