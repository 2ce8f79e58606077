//! From an architecture to a graph: which layers run as one operation, in which way, and how values lie between them.

use crate::graph::{Graph, Node, Params, Value, ValueId};
use crate::layout::Layout;
use crate::model::{Architecture, Layer, LayerInfo, Shape, Source};
use crate::ops::{self, Drops, Op, Operation};
use crate::precision::Precision;
use tenfold_kernels::activation::Activation;
use tenfold_kernels::conv::depthwise::Depthwise;
use tenfold_kernels::conv::direct::Conv2d;
use tenfold_kernels::conv::pooled::ConvPool;
use tenfold_kernels::gated::Gate;
use tenfold_kernels::linear::small_out::SmallOut;
use tenfold_kernels::{LANES, Planes};

/// What else than the layers decides about operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lowering {
    pub(crate) precision: Precision,
    /// Whether a blank pixel is worth nothing, and others are worth the same in all channels, so that linear layers over
    /// pixels may leave blank ones out.
    pub(crate) blank_is_nothing: bool,
    /// Whether neighbouring layers may run as one operation. If not, every layer is one by itself, so that what lies
    /// between them can be looked at; only flatten is none, as it moves nothing.
    pub(crate) fuse: bool,
}

/// The graph of an architecture. How its parameters lie does not depend on `how`.
pub(crate) fn lower(architecture: &Architecture, how: Lowering) -> Graph {
    let layers = Layers { all: architecture.layers() };
    let mut graph = Graph { values: Vec::new(), nodes: Vec::new(), param_len: 0 };
    let mut lowerer = Lowerer { layers, how, params: Params::default(), dropouts: 0 };
    let images = lowerer.layout(&layers.readers(Source::Images), Shape::Image(architecture.input()), true);
    graph.values.push(value(images, (None, None), false));
    // The value that holds a layer's output; layers within an operation have none.
    let mut outputs: Vec<Option<ValueId>> = vec![None; layers.all.len()];
    let mut done = vec![false; layers.all.len()];
    for at in 0..layers.all.len() {
        if done[at] {
            continue;
        }
        let of = |source: Source| match source {
            Source::Images => Some(ValueId(0)),
            Source::Layer(layer) => outputs[layer],
        };
        let mut inputs = layers.all[at].inputs.iter().map(|&source| of(source));
        if layers.all[at].layer == Layer::Flatten {
            // Within an operation it has no value either.
            outputs[at] = inputs.next().expect("flatten reads something");
            continue;
        }
        let inputs = inputs.collect::<Option<Vec<_>>>().expect("a layer is read only where it ends an operation");
        let inputs = graph.with_border(inputs, layers.all[at].layer);
        let draft = lowerer.operation(&graph, at, &inputs);
        for &layer in &draft.layers {
            done[layer] = true;
        }
        let last = *draft.layers.last().expect("an operation computes a layer");
        outputs[last] = Some(graph.add(draft, inputs));
    }
    graph.param_len = lowerer.params.len;
    if how.fuse {
        graph.normalise_terms();
    }
    for at in 0..graph.nodes.len() {
        for input in graph.nodes[at].inputs.clone() {
            graph.values[input.0].consumers.push(at);
        }
    }
    graph.sum_early();
    if how.fuse {
        graph.make_late();
        graph.add_copied();
    }
    graph
}

/// An operation before it has its place.
struct Draft {
    op: Op,
    layers: Vec<usize>,
    layout: Layout,
    activation: Option<Activation>,
    drops: Option<Drops>,
}

/// A value and what its producer applies to it in place.
fn value(layout: Layout, in_place: (Option<Activation>, Option<Drops>), wants_gradient: bool) -> Value {
    let (activation, drops) = in_place;
    Value {
        layout,
        grad: layout.plain(),
        activation,
        drops,
        consumers: Vec::new(),
        wants_gradient,
        summed_for: None,
        gradient_summed_for: None,
        made_by: None,
        passed_through: None,
        copied_by: None,
    }
}

impl Graph {
    /// Makes one operation of a sum and of the batch norms that give its terms, where nothing else reads what they give.
    fn normalise_terms(&mut self) {
        for at in 0..self.nodes.len() {
            let (Op::Add(_), [a, b]) = (&self.nodes[at].op, &self.nodes[at].inputs[..]) else { continue };
            let mut norms = [(*a, *b), (*b, *a)]
                .into_iter()
                .filter_map(|(term, other)| self.only_norm(term, other).map(|norm| (norm, other)))
                .collect::<Vec<_>>();
            norms.dedup_by_key(|(norm, _)| *norm);
            let Some(&(first, other)) = norms.first() else { continue };
            let second = norms.get(1).map(|&(norm, _)| norm);
            let norm_at = |node: usize| {
                let Op::BatchNorm(norm) = &self.nodes[node].op else { unreachable!("found above") };
                norm.clone()
            };
            let op = Op::BatchNorm(norm_at(first).plus(second.map(norm_at)));
            let inputs = vec![self.nodes[first].inputs[0], second.map_or(other, |norm| self.nodes[norm].inputs[0])];
            let mut layers = std::mem::take(&mut self.nodes[first].layers);
            layers.extend(second.map(|norm| std::mem::take(&mut self.nodes[norm].layers)).into_iter().flatten());
            layers.append(&mut self.nodes[at].layers);
            self.nodes[at] = Node { op, inputs, output: self.nodes[at].output, layers };
        }
        // A node whose layers are another's now; those that move values to where others want them have none, and stay.
        self.nodes.retain(|node| !matches!(node.op, Op::BatchNorm(_)) || !node.layers.is_empty());
    }

    /// The batch norm that gives `term` and nothing behind it, if a sum with `other` is all that reads that.
    fn only_norm(&self, term: ValueId, other: ValueId) -> Option<usize> {
        let value = &self.values[term.0];
        let at = self.producer(term)?;
        let Node { op: Op::BatchNorm(norm), inputs, .. } = &self.nodes[at] else { return None };
        let readers = self.nodes.iter().filter(|node| node.inputs.contains(&term)).count();
        let plain = norm.is_alone() && value.activation.is_none() && value.drops.is_none();
        (plain && readers == 1 && term != other && inputs[0] != other).then_some(at)
    }

    /// Finds the batch norms whose output need not be kept: whatever reads it takes images one by one, and it is told by
    /// what they read where a gradient is cut off. And those whose gradient is passed on by who takes it one by one.
    fn make_late(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let Op::BatchNorm(norm) = &node.op else { continue };
            let output = &self.values[node.output.0];
            let plain = matches!(output.activation, None | Some(Activation::Relu)) && output.drops.is_none();
            let takes_images = match output.consumers[..] {
                [reader] => self.nodes[reader].op.takes_images(),
                _ => false,
            };
            if norm.is_alone() && plain && takes_images {
                self.values[node.output.0].made_by = Some(at);
            }
            let Some(input) = self.shares_gradient(at).filter(|input| *input == node.inputs[0]) else { continue };
            let value = &self.values[input.0];
            let producer = self.producer(input).map(|producer| &self.nodes[producer].op);
            if value.activation.is_none() && value.drops.is_none() && producer.is_some_and(Op::takes_gradient_images) {
                self.values[input.0].passed_through = Some(at);
            }
        }
    }

    /// Finds the copies of some pixels that would be the first to write a gradient, of which most is zero, where the next
    /// does so image by image.
    fn add_copied(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let Op::Copy(copy) = &node.op else { continue };
            let value = &mut self.values[node.inputs[0].0];
            let [.., next, last] = value.consumers[..] else { continue };
            if copy.step != (1, 1) && last == at && works_by_images(&self.nodes[next].op) {
                value.copied_by = Some(at);
            }
        }
    }

    /// Finds who can sum for batch norms what they write anyway, image by image.
    fn sum_early(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let Op::BatchNorm(norm) = &node.op else { continue };
            let output = node.output;
            for &input in norm.normalised(node) {
                if self.producer(input).is_some_and(|producer| works_by_images(&self.nodes[producer].op)) {
                    self.values[input.0].summed_for.get_or_insert(at);
                }
            }
            // It is complete when the first who reads it has written it.
            if self.values[output.0].consumers.first().is_some_and(|&last| works_by_images(&self.nodes[last].op)) {
                self.values[output.0].gradient_summed_for = Some(at);
            }
        }
    }

    /// The values that a layer reads, with the border that it wants: where readers of one value want different ones, it
    /// has that of the first, and the others read a copy. A convolution that passes pixels over reads a copy of the
    /// others.
    fn with_border(&mut self, inputs: Vec<ValueId>, layer: Layer) -> Vec<ValueId> {
        let copied = |input: ValueId| {
            let Layout::Planes(from) = self.values[input.0].layout else { return input };
            let Some((rows, columns)) = (!is_elementwise(layer)).then(|| wants(layer, from.channels()).0).flatten()
            else {
                return input;
            };
            let border = [rows, columns, rows, columns];
            let step = passed_over(layer).filter(|_| from.lanes() == LANES).unwrap_or((1, 1));
            let (height, width) = (from.height().div_ceil(step.0), from.width().div_ceil(step.1));
            let to = Planes::with_border(from.channels(), from.lanes(), height, width, border, (1, 1));
            if from == to {
                return input;
            }
            self.read_as_numbers(input);
            let output = ValueId(self.values.len());
            self.values.push(value(Layout::Planes(to), (None, None), self.values[input.0].wants_gradient));
            let op = Op::Copy(ops::Copy { step });
            self.nodes.push(Node { op, inputs: vec![input], output, layers: Vec::new() });
            output
        };
        inputs.into_iter().map(copied).collect()
    }

    /// Makes numbers of the images, if they are what is read and nobody has yet.
    fn read_as_numbers(&mut self, input: ValueId) {
        if input == ValueId(0) && self.producer(input).is_none() {
            let op = Op::PixelValues(ops::PixelValues);
            self.nodes.push(Node { op, inputs: Vec::new(), output: input, layers: Vec::new() });
        }
    }

    /// Adds an operation behind all others, and where it is the first to read the images as numbers, the one that makes
    /// numbers of them.
    fn add(&mut self, draft: Draft, mut inputs: Vec<ValueId>) -> ValueId {
        if draft.op.reads_pixels() {
            inputs.clear();
        } else {
            inputs.iter().for_each(|&input| self.read_as_numbers(input));
        }
        let before = self.passes_gradient(&inputs);
        let learns = draft.op.arrays().iter().any(|array| array.learned);
        let output = ValueId(self.values.len());
        self.values.push(value(draft.layout, (draft.activation, draft.drops), before || learns));
        let layers = (draft.layers[0]..draft.layers[draft.layers.len() - 1] + 1).collect();
        self.nodes.push(Node { op: draft.op, inputs, output, layers });
        output
    }
}

/// The layers with their edges; flatten is passed through, as it moves nothing.
#[derive(Clone, Copy)]
struct Layers<'a> {
    all: &'a [LayerInfo],
}

impl Layers<'_> {
    /// The layers, other than flatten, that read what `source` gives.
    fn readers(&self, source: Source) -> Vec<usize> {
        let direct = self.all.iter().enumerate().filter(|(_, info)| info.inputs.contains(&source));
        let through = |(at, info): (usize, &LayerInfo)| {
            if info.layer == Layer::Flatten { self.readers(Source::Layer(at)) } else { vec![at] }
        };
        direct.flat_map(through).collect()
    }

    /// The only layer that reads layer `at`, if there is only one and it reads nothing else.
    fn only_reader(&self, at: usize) -> Option<usize> {
        match self.readers(Source::Layer(at))[..] {
            [reader] if self.all[reader].inputs.len() == 1 => Some(reader),
            _ => None,
        }
    }
}

struct Lowerer<'a> {
    layers: Layers<'a>,
    how: Lowering,
    params: Params,
    dropouts: u64,
}

impl Lowerer<'_> {
    /// The operation that begins with layer `at`, and reads `inputs`.
    fn operation(&mut self, graph: &Graph, at: usize, inputs: &[ValueId]) -> Draft {
        let info = &self.layers.all[at];
        let input = graph.values[inputs[0].0].layout;
        let passes = graph.passes_gradient(inputs);
        if self.how.fuse
            && let Some(draft) = self.conv_pool(at, input, passes)
        {
            return draft;
        }
        let mut layers = vec![at];
        let mut activation = None;
        let next = self.layers.only_reader(at).filter(|_| self.how.fuse && !is_elementwise(info.layer));
        if let Some(next) = next
            && let Some(found) = activation_of(self.layers.all[next].layer)
        {
            activation = Some(found);
            layers.push(next);
        }
        let drops = if activation == Some(Activation::Relu) { self.drops_behind(&mut layers) } else { None };
        // Elementwise layers leave everything where it is.
        let layout = if is_elementwise(info.layer) {
            input
        } else {
            let last = layers[layers.len() - 1];
            self.layout(&self.layers.readers(Source::Layer(last)), info.output, false)
        };
        let alone = activation_of(info.layer);
        let op = self.op(info, inputs, input, layout, passes);
        Draft { op, layers, layout, activation: activation.or(alone), drops }
    }

    /// The dropout right behind an operation's layers, which then is one of them. The operation ends with a ReLU, or
    /// one before maxima: what it gives is not below zero.
    fn drops_behind(&mut self, layers: &mut Vec<usize>) -> Option<Drops> {
        let next = self.layers.only_reader(layers[layers.len() - 1])?;
        let Layer::Dropout { probability } = self.layers.all[next].layer else { return None };
        layers.push(next);
        Some(self.drops(probability))
    }

    fn drops(&mut self, probability: f64) -> Drops {
        self.dropouts += 1;
        Drops { probability, index: self.dropouts - 1 }
    }

    /// What a layer by itself computes.
    fn op(&mut self, info: &LayerInfo, inputs: &[ValueId], input: Layout, output: Layout, passes: bool) -> Op {
        let (params, precision, has_bias) = (&mut self.params, self.how.precision, info.has_bias);
        match info.layer {
            Layer::Conv { kernel_size, stride, padding, groups, .. } => {
                let (from, to) = (input.planes(), output.planes());
                if groups == 1 {
                    let conv = convolution(info, from, to);
                    return Op::Conv(ops::Conv::new(conv, precision, passes, has_bias, params));
                }
                let padding = padding.of(kernel_size);
                if (groups, groups) == (from.channels(), to.channels()) {
                    let shape = Depthwise::new(from, to, kernel_size, stride, padding);
                    return Op::Depthwise(ops::Depthwise::new(shape, has_bias, params));
                }
                let window = (kernel_size, stride, padding);
                Op::GroupedConv(ops::GroupedConv::new((from, to), window, groups, has_bias, params))
            }
            Layer::Depthwise { kernel_size, stride, padding } => {
                let padding = padding.of(kernel_size);
                let shape = Depthwise::new(input.planes(), output.planes(), kernel_size, stride, padding);
                Op::Depthwise(ops::Depthwise::new(shape, has_bias, params))
            }
            Layer::Whiten { .. } => {
                let conv = convolution(info, input.planes(), output.planes());
                Op::Conv(ops::Conv::kept(conv, precision, params))
            }
            Layer::Linear { out_features } => {
                let in_features = input.inputs();
                let over_pixels = inputs == [ValueId(0)];
                if over_pixels && SmallOut::is_small(out_features) {
                    return Op::LinearSmallOut(ops::LinearSmallOut::new(in_features, out_features, has_bias, params));
                }
                if over_pixels && self.how.blank_is_nothing {
                    return Op::LinearPixels(ops::LinearPixels::new(in_features, out_features, has_bias, params));
                }
                // A layer over pixels stays in f32 where blank ones count too; and pairs of rows are made of whole
                // vectors.
                let rounds = !over_pixels && input.image_len().is_multiple_of(LANES);
                let precision = if rounds { precision } else { Precision::F32 };
                Op::Linear(ops::Linear::new(input, out_features, precision, passes, has_bias, params))
            }
            Layer::MaxPool { kernel_size, stride } => {
                Op::MaxPool(ops::MaxPool::new(input.planes(), output.planes(), kernel_size, stride))
            }
            Layer::AvgPool { kernel_size, stride } => {
                Op::AvgPool(ops::AvgPool::new(input.planes(), output.planes(), kernel_size, stride))
            }
            Layer::GlobalAvgPool => Op::GlobalAvgPool(ops::GlobalAvgPool),
            Layer::Dropout { probability } => Op::Dropout(ops::Dropout::new(self.drops(probability), input)),
            Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Sigmoid => {
                Op::Copy(ops::Copy { step: (1, 1) })
            }
            Layer::Gelu => Op::Gated(ops::Gated(Gate::Normal)),
            Layer::Silu => Op::Gated(ops::Gated(Gate::Logistic)),
            Layer::BatchNorm { momentum, eps } => Op::BatchNorm(ops::BatchNorm::new(input, momentum, eps, params)),
            Layer::Add => Op::Add(ops::Add),
            Layer::Flatten => unreachable!("flatten is no operation"),
        }
    }

    /// A convolution and max-pooling, with an activation before or behind that or without, that nobody looks between,
    /// as one, where there is a kernel for their shapes. No activation changes which of two numbers is the larger one;
    /// GELU and SiLU, which do, are none of them.
    fn conv_pool(&mut self, at: usize, input: Layout, passes: bool) -> Option<Draft> {
        if !matches!(self.layers.all[at].layer, Layer::Conv { groups: 1, .. }) {
            return None;
        }
        let activation_at = |layer: Option<usize>| layer.filter(|&l| activation_of(self.layers.all[l].layer).is_some());
        let before = activation_at(self.layers.only_reader(at));
        let pool = self.layers.only_reader(before.unwrap_or(at))?;
        let Layer::MaxPool { kernel_size: window, stride: step } = self.layers.all[pool].layer else { return None };
        if window != step {
            return None;
        }
        let behind = activation_at(self.layers.only_reader(pool)).filter(|_| before.is_none());
        let activation = before.or(behind).and_then(|layer| activation_of(self.layers.all[layer].layer));
        let relu = activation == Some(Activation::Relu);
        let mut layers: Vec<usize> = [Some(at), before, Some(pool), behind].into_iter().flatten().collect();
        let readers = self.layers.readers(Source::Layer(layers[layers.len() - 1]));
        let layout = self.layout(&readers, self.layers.all[pool].output, false);
        let Shape::Image(sums) = self.layers.all[at].output else { unreachable!("a convolution gives feature maps") };
        let sums = Planes::new(sums.channels, sums.height, sums.width);
        let conv = convolution(&self.layers.all[at], input.planes(), sums);
        let shape = ConvPool::new(conv, window, layout.planes(), relu)?;
        let drops = if relu { self.drops_behind(&mut layers) } else { None };
        let op = Op::ConvPool(ops::ConvPool::new(
            shape,
            self.how.precision,
            passes,
            self.layers.all[at].has_bias,
            &mut self.params,
        ));
        Some(Draft { op, layers, layout, activation: activation.filter(|_| !relu), drops })
    }

    /// The layout of a value of shape `shape` that the layers `readers` read.
    fn layout(&self, readers: &[usize], shape: Shape, is_image: bool) -> Layout {
        let Shape::Image(image) = shape else {
            return Layout::row(shape.len());
        };
        let consumers = self.consumers(readers);
        let wanted: Vec<_> =
            consumers.iter().map(|&consumer| wants(self.layers.all[consumer].layer, image.channels)).collect();
        // Kernels want the border that they pad with, no more: others than the first who wants one read a copy.
        let (rows, columns) = wanted.iter().find_map(|&(border, _)| border).unwrap_or((0, 0));
        // Where consumers differ, whole blocks do for all.
        let lanes = match wanted[..] {
            [(_, lanes), ref others @ ..] if is_image && others.iter().all(|&(_, other)| other == lanes) => lanes,
            _ => LANES,
        };
        let border = [rows, columns, rows, columns];
        Layout::Planes(Planes::with_border(image.channels, lanes, image.height, image.width, border, (1, 1)))
    }

    /// Those of `readers` that are not elementwise; in place of the others, which pass a layout through, their own.
    fn consumers(&self, readers: &[usize]) -> Vec<usize> {
        let through = |&at: &usize| match is_elementwise(self.layers.all[at].layer) {
            true => self.consumers(&self.layers.readers(Source::Layer(at))),
            false => vec![at],
        };
        readers.iter().flat_map(through).collect()
    }
}

/// Whether an operation ends an image of its output with [`ops::Run::finish`], and an image of its input's gradient with
/// [`ops::Run::pass`].
fn works_by_images(op: &Op) -> bool {
    match op {
        Op::Conv(_)
        | Op::GroupedConv(_)
        | Op::Depthwise(_)
        | Op::ConvPool(_)
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalAvgPool(_) => true,
        Op::Copy(_) | Op::Gated(_) | Op::BatchNorm(_) | Op::Add(_) => true,
        // What dropout writes it does not finish.
        Op::Dropout(_) | Op::PixelValues(_) => false,
        Op::Linear(_) | Op::LinearPixels(_) | Op::LinearSmallOut(_) => false,
    }
}

/// What a layer applies to every element by itself and in place, if it does.
fn activation_of(layer: Layer) -> Option<Activation> {
    match layer {
        Layer::Relu => Some(Activation::Relu),
        Layer::LeakyRelu { slope } => Some(Activation::LeakyRelu { slope: slope as f32 }),
        Layer::Tanh => Some(Activation::Tanh),
        Layer::Sigmoid => Some(Activation::Sigmoid),
        Layer::Linear { .. }
        | Layer::Conv { .. }
        | Layer::Depthwise { .. }
        | Layer::Whiten { .. }
        | Layer::MaxPool { .. }
        | Layer::AvgPool { .. }
        | Layer::GlobalAvgPool
        // Their slope needs their input, which an operation in place has overwritten.
        | Layer::Gelu
        | Layer::Silu
        | Layer::Dropout { .. }
        | Layer::Flatten
        | Layer::BatchNorm { .. }
        | Layer::Add => None,
    }
}

/// Whether a layer leaves every element where it is.
fn is_elementwise(layer: Layer) -> bool {
    match layer {
        Layer::Relu
        | Layer::LeakyRelu { .. }
        | Layer::Tanh
        | Layer::Sigmoid
        | Layer::Gelu
        | Layer::Silu
        | Layer::Dropout { .. } => true,
        Layer::Linear { .. } | Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } => false,
        Layer::MaxPool { .. } | Layer::AvgPool { .. } => false,
        // A batch norm wants its input without border, whatever its output has.
        Layer::GlobalAvgPool | Layer::Flatten | Layer::BatchNorm { .. } => false,
        // Its terms may have other borders.
        Layer::Add => false,
    }
}

/// The convolution of a layer over planes that may lack the pixels that it passes over.
fn convolution(info: &LayerInfo, input: Planes, output: Planes) -> Conv2d {
    let (
        Layer::Conv { kernel_size, stride, padding, .. } | Layer::Whiten { kernel_size, stride, padding },
        Shape::Image(whole),
    ) = (info.layer, info.input)
    else {
        unreachable!("{} is no convolution", info.layer)
    };
    let has_all = (input.height(), input.width()) == (whole.height, whole.width);
    Conv2d::new(input, output, kernel_size, if has_all { stride } else { (1, 1) }, padding.of(kernel_size))
}

/// The stride of a layer that reads no pixel between those that are a stride apart.
fn passed_over(layer: Layer) -> Option<(usize, usize)> {
    if let Layer::Conv { kernel_size: (1, 1), stride, groups: 1, .. } = layer { Some(stride) } else { None }
}

/// What a layer that is not elementwise wants of its input's layout: a border of so many rows and columns, if it does not
/// take any, and how many channels lie in a block if the input is the images and they have `channels`.
fn wants(layer: Layer, channels: usize) -> (Option<(usize, usize)>, usize) {
    match layer {
        // The input image need not be in blocks of 16 channels where its consumer can do without: a convolution then
        // has no idle lanes, and a linear layer takes the pixels as they are.
        Layer::Conv { kernel_size, padding, groups: 1, .. } | Layer::Whiten { kernel_size, padding, .. } => {
            (Some(padding.of(kernel_size)), channels.min(LANES))
        }
        Layer::Conv { kernel_size, padding, .. } | Layer::Depthwise { kernel_size, padding, .. } => {
            (Some(padding.of(kernel_size)), LANES)
        }
        Layer::Linear { .. } => (Some((0, 0)), 1),
        Layer::Add => (None, LANES),
        Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool | Layer::BatchNorm { .. } => {
            (Some((0, 0)), LANES)
        }
        Layer::Relu
        | Layer::LeakyRelu { .. }
        | Layer::Tanh
        | Layer::Sigmoid
        | Layer::Gelu
        | Layer::Silu
        | Layer::Dropout { .. }
        | Layer::Flatten => {
            unreachable!("{layer} passes a layout on")
        }
    }
}
