//! A model: an architecture with values for its parameters, in the layout the kernels want.

use super::architecture::{Architecture, LayerInfo, ParamSpec};
use super::init::Init;
use super::layer::Layer;
use crate::aligned::Aligned;
use crate::graph::{Array, Graph};
use crate::lower::{Lowering, lower};
use crate::ops::Op;
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
    precision: Precision,
    pub(crate) graph: Graph,
    /// Every array in its panels, one after another, padding zero.
    pub(crate) values: Aligned,
}

impl Model {
    /// A network before training.
    pub fn new(architecture: Architecture, init: Init, seed: u64, pixels: Pixels) -> Model {
        let graph = lower(&architecture, lowering(&architecture, &pixels, Precision::F32));
        let mut values = Aligned::zeroed(graph.param_len);
        for (array, spec) in architecture.params().iter().enumerate() {
            let place = Packing::of(&architecture, &graph, array);
            let value = init.values(spec, array as u64, seed);
            for j in 0..spec.len() {
                values.as_mut_slice()[place.index(j)] = value(j);
            }
        }
        Model { architecture, pixels, precision: Precision::F32, graph, values }
    }

    /// A network from its arrays, `(name, shape, values)` in PyTorch's order: exactly those of the architecture,
    /// finite.
    ///
    /// # Errors
    /// If an array is missing, has another shape, holds a number that is not finite, or is not the architecture's.
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
        let graph = lower(&architecture, lowering(&architecture, &pixels, Precision::F32));
        let mut packed = Aligned::zeroed(graph.param_len);
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
            pack(&architecture, &graph, array, values, packed.as_mut_slice());
        }
        Ok(Model { architecture, pixels, precision: Precision::F32, graph, values: packed })
    }

    /// A network from the values of its arrays, in PyTorch's order, one for each of the architecture's.
    pub(super) fn from_values(architecture: Architecture, arrays: &[Vec<f32>], pixels: Pixels) -> Model {
        let graph = lower(&architecture, lowering(&architecture, &pixels, Precision::F32));
        let mut values = Aligned::zeroed(graph.param_len);
        assert_eq!(arrays.len(), architecture.params().len(), "arrays of the network");
        for (array, of_array) in arrays.iter().enumerate() {
            pack(&architecture, &graph, array, of_array, values.as_mut_slice());
        }
        Model { architecture, pixels, precision: Precision::F32, graph, values }
    }

    /// The same network with other values of its parameters, packed as its own are.
    pub(crate) fn with_values(&self, values: Aligned) -> Model {
        assert_eq!(values.as_slice().len(), self.values.as_slice().len(), "values for the same parameters");
        Model {
            architecture: self.architecture.clone(),
            pixels: self.pixels.clone(),
            precision: self.precision,
            graph: self.graph.clone(),
            values,
        }
    }

    /// The same network, computing in another precision. (It is f32 at first.)
    pub fn with_precision(mut self, precision: Precision) -> Model {
        self.graph = lower(&self.architecture, lowering(&self.architecture, &self.pixels, precision));
        self.precision = precision;
        self
    }

    /// The precision that it computes in.
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// The same network with the weights and the bias of one output (a filter, or a feature of a linear layer) of the
    /// layer called `layer` set to zero, or if a batch norm takes the place of the bias, also that one's.
    ///
    /// # Panics
    /// If there is no such layer, or it does not learn, or has no such output.
    pub(crate) fn without(&self, layer: &str, output: usize) -> Model {
        let mut model = self.clone();
        let layers = self.architecture.layers();
        let at = layers.iter().position(|info| info.name == layer).unwrap_or_else(|| panic!("there is no {layer}"));
        let is_norm = |info: &&LayerInfo| matches!(info.layer, Layer::BatchNorm { .. });
        let norm = layers[at..].iter().find(is_norm).filter(|_| !layers[at].has_bias);
        let names = [Some(layer), norm.map(|info| info.name.as_str())].into_iter().flatten();
        for name in names.flat_map(|name| ["weight", "bias"].map(|kind| format!("{name}.{kind}"))) {
            let Some(array) = self.architecture.params().iter().position(|p| p.name == name) else { continue };
            let spec = &self.architecture.params()[array];
            assert!(output < spec.shape[0], "{layer} has {} outputs, and this is number {output}", spec.shape[0]);
            let (place, len) = (Packing::of(&self.architecture, &self.graph, array), spec.len() / spec.shape[0]);
            for j in output * len..(output + 1) * len {
                model.values.as_mut_slice()[place.index(j)] = 0.0;
            }
        }
        model
    }

    /// A graph in which every layer is an operation by itself.
    pub(crate) fn unfused(&self) -> Graph {
        let how = lowering(&self.architecture, &self.pixels, Precision::F32);
        lower(&self.architecture, Lowering { fuse: false, ..how })
    }

    /// What the network looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What the network sees of a pixel.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The array of this name (such as `conv1.weight`) in PyTorch's order, if there is one.
    pub fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        let array = self.architecture.params().iter().position(|p| p.name == name)?;
        Some(unpack(&self.architecture, &self.graph, array, self.values.as_slice()))
    }
}

/// How a model's layers run as operations.
fn lowering(architecture: &Architecture, pixels: &Pixels, precision: Precision) -> Lowering {
    let table = pixels.table(architecture.input());
    Lowering { precision, blank_is_nothing: table.is_one_for_all() && table.zero_is_nothing(), fuse: true }
}

impl fmt::Debug for Model {
    /// The layers; the values are too many to be read.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.architecture.written().iter().map(ToString::to_string)).finish()
    }
}

#[cfg(test)]
impl Model {
    /// `packed` where the model has parameters, zero in the padding between them.
    pub(crate) fn masked(&self, packed: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; packed.len()];
        for (array, spec) in self.architecture.params().iter().enumerate() {
            let place = Packing::of(&self.architecture, &self.graph, array);
            for j in 0..spec.len() {
                out[place.index(j)] = packed[place.index(j)];
            }
        }
        out
    }
}

/// Array number `array` in PyTorch's order, out of values packed like the parameters.
pub(crate) fn unpack(architecture: &Architecture, graph: &Graph, array: usize, packed: &[f32]) -> Vec<f32> {
    let place = Packing::of(architecture, graph, array);
    (0..architecture.params()[array].len()).map(|j| packed[place.index(j)]).collect()
}

/// Puts array number `array`, whose values come in PyTorch's order, among values packed like the parameters.
pub(crate) fn pack(architecture: &Architecture, graph: &Graph, array: usize, values: &[f32], packed: &mut [f32]) {
    let place = Packing::of(architecture, graph, array);
    for (j, &value) in values.iter().enumerate() {
        packed[place.index(j)] = value;
    }
}

/// Where each value, in PyTorch's order, of array number `array` lies among the packed parameters.
pub(crate) fn places(model: &Model, array: usize) -> impl Iterator<Item = usize> {
    let place = Packing::of(&model.architecture, &model.graph, array);
    (0..place.spec.len()).map(move |j| place.index(j))
}

/// Where each value of one array lies among the packed parameters.
struct Packing<'a> {
    spec: &'a ParamSpec,
    array: (&'a Op, &'a Array),
}

impl<'a> Packing<'a> {
    fn of(architecture: &'a Architecture, graph: &'a Graph, array: usize) -> Packing<'a> {
        let spec = &architecture.params()[array];
        let (op, found) = graph.arrays().nth(array).expect("the operations have the arrays of the layers");
        assert!(spec.name.ends_with(found.name), "array {array} is {} and {}", spec.name, found.name);
        Packing { spec, array: (op, found) }
    }

    fn index(&self, j: usize) -> usize {
        Graph::place(self.array, &self.spec.shape, j)
    }
}
