//! A network as a graph: values, and operations that read some values and write one.
//!
//! Value 0 is the batch's images. Nodes stand in an order in which every value is written before it is read. What a
//! graph is follows from the architecture, the precision and whether blank pixels may be left out, not from the batch
//! size; [`crate::plan`] gives it memory and [`crate::step`] runs it.

use crate::layout::Layout;
use crate::ops::{Drops, Op, Operation};
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::activation::Activation;

/// A value of a graph, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ValueId(pub(crate) usize);

/// What is computed once for every image of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) layout: Layout,
    /// How its gradient lies: without border.
    pub(crate) grad: Layout,
    /// What its producer applies to it in place, last.
    pub(crate) activation: Option<Activation>,
    /// What is dropped of it after that while training; only where nothing is below zero, so that what was dropped can
    /// be told by what is left.
    pub(crate) drops: Option<Drops>,
    /// The nodes that read it, in their order. Backward, the last of them overwrites the gradient, the others add to
    /// it, and after the first has done so it is complete.
    pub(crate) consumers: Vec<usize>,
    /// Whether something learns from its gradient: its producer, or what comes before.
    pub(crate) wants_gradient: bool,
    /// The batch norm that reads it, if each image is summed for it as soon as it is written, while it is in the cache.
    pub(crate) summed_for: Option<usize>,
    /// The batch norm that writes it, if each image's gradient is summed for it as soon as that is complete.
    pub(crate) gradient_summed_for: Option<usize>,
    /// The batch norm that would write it, if it is not kept: who reads an image of it has that made anew, from what the
    /// batch norm reads.
    pub(crate) made_by: Option<usize>,
    /// The batch norm that reads it, if its producer passes images of the gradient through that itself, each when it
    /// takes it.
    pub(crate) passed_through: Option<usize>,
    /// The node that copies some of its pixels, if it leaves their gradient to who is first to write that of all, which
    /// adds it: else it would fill the rest with zeros.
    pub(crate) copied_by: Option<usize>,
}

/// One operation in its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    /// The values that it reads; none where it reads the batch's images themselves.
    pub(crate) inputs: Vec<ValueId>,
    /// The value that it writes.
    pub(crate) output: ValueId,
    /// The layers that it computes, by their numbers.
    pub(crate) layers: Vec<usize>,
}

/// The operations of a network and how its parameters lie.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    /// Parameters with their padding.
    pub(crate) param_len: usize,
}

/// One array of parameters of an operation, packed as its kernels want it.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    /// What it is called behind the layer's name, such as `weight` or `bias`.
    pub(crate) name: &'static str,
    /// Where it lies among the packed parameters.
    pub(crate) place: Range<usize>,
    /// Whether an optimizer changes it.
    pub(crate) learned: bool,
}

impl Graph {
    /// The value that the logits are.
    pub(crate) fn logits(&self) -> ValueId {
        self.nodes.last().expect("a network has a layer").output
    }

    /// The node that writes `value`; none of the images where no operation turns them into numbers.
    pub(crate) fn producer(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|node| node.output == value)
    }

    /// Whether an operation that reads `inputs` passes the gradient of its output on to any of them.
    pub(crate) fn passes_gradient(&self, inputs: &[ValueId]) -> bool {
        inputs.iter().any(|&input| self.values[input.0].wants_gradient)
    }

    /// Whether node number `at` is the first to write the gradient of what it reads: then it overwrites it, else it
    /// adds.
    pub(crate) fn is_first_writer(&self, at: usize, input: ValueId) -> bool {
        let value = &self.values[input.0];
        value.consumers.iter().rfind(|&&node| value.copied_by != Some(node)) == Some(&at)
    }

    /// Whether node number `at` is the last to write the gradient of what it reads: then it is complete.
    pub(crate) fn is_last_writer(&self, at: usize, input: ValueId) -> bool {
        self.values[input.0].consumers.first() == Some(&at)
    }

    /// The value among those that node `at` reads whose gradient takes the place of its output's, since the node makes
    /// the one of the other in place.
    pub(crate) fn shares_gradient(&self, at: usize) -> Option<ValueId> {
        let node = &self.nodes[at];
        let Op::BatchNorm(norm) = &node.op else { return None };
        // The term of a sum has the sum's gradient, to which the others who read it add theirs. Nobody else reads what a
        // batch norm normalises.
        let shares = |input: &&ValueId, alone: bool| {
            let value = &self.values[input.0];
            value.wants_gradient && value.consumers.last() == Some(&at) && (value.consumers.len() == 1) == alone
        };
        let term = node.inputs.get(1).filter(|input| norm.adds_value() && shares(input, false));
        term.or(node.inputs.first().filter(|input| shares(input, true))).copied()
    }

    /// All arrays, in the order of [`crate::model::Architecture::params`], each with its operation.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = (&Op, &Array)> {
        let ops = self.nodes.iter().map(|node| &node.op);
        let mut arrays: Vec<_> = ops.flat_map(|op| op.arrays().into_iter().map(move |array| (op, array))).collect();
        // Places are given out in that order; a batch norm may run later, as part of a sum.
        arrays.sort_by_key(|(_, array)| array.place.start);
        arrays.into_iter()
    }

    /// Where element `j`, in PyTorch's order, of an array whose shape there is `shape` lies among the packed
    /// parameters.
    pub(crate) fn place((op, array): (&Op, &Array), shape: &[usize], j: usize) -> usize {
        array.place.start + if shape.len() == 1 { j } else { op.index(shape, j) }
    }

    /// Whether `threads` threads can share any operation in a relay.
    pub(crate) fn can_relay(&self, threads: usize) -> bool {
        self.nodes.iter().any(|node| node.op.can_relay(threads))
    }

    /// Only the first `nodes` nodes.
    pub(crate) fn truncate(&mut self, nodes: usize) {
        self.nodes.truncate(nodes);
        for value in &mut self.values {
            value.consumers.retain(|&node| node < nodes);
            value.copied_by = value.copied_by.filter(|&node| node < nodes);
        }
    }

    /// The node that ends with layer number `layer`, where one does.
    pub(crate) fn node_of_layer(&self, layer: usize) -> Option<usize> {
        self.nodes.iter().position(|node| node.layers.last() == Some(&layer))
    }
}

/// Gives arrays of parameters their places, one behind the other.
#[derive(Default)]
pub(crate) struct Params {
    pub(crate) len: usize,
}

impl Params {
    /// Room for `len` learned parameters, on a cache line of its own.
    pub(crate) fn array(&mut self, name: &'static str, len: usize) -> Array {
        let start = self.len;
        self.len += len.next_multiple_of(LANES);
        Array { name, place: start..start + len, learned: true }
    }

    /// The same for `len` numbers that no optimizer changes.
    pub(crate) fn kept(&mut self, name: &'static str, len: usize) -> Array {
        Array { learned: false, ..self.array(name, len) }
    }

    /// The biases of an operation; if it has none, zeros that kernels add and nobody learns.
    pub(crate) fn bias(&mut self, len: usize, has_bias: bool) -> Array {
        Array { learned: has_bias, ..self.array("bias", len) }
    }
}
