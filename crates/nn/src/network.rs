//! From an architecture to operations on memory: which layers run as one, and how everything is laid out.
//!
//! A [`Network`] depends on the architecture alone, not on the batch size; [`crate::step`] runs it.

use crate::model::{Architecture, Layer, LayerInfo, Shape};
use crate::precision::Precision;
use std::ops::Range;
use tenfold_kernels::activation::Activation;
use tenfold_kernels::conv::direct::{Conv2d, Phase};
use tenfold_kernels::conv::fft::ConvFft;
use tenfold_kernels::conv::pooled::ConvPool;
use tenfold_kernels::linear::dense::LinearWeight;
use tenfold_kernels::linear::small_out::SmallOut;
use tenfold_kernels::pool::window::Pool2d;
use tenfold_kernels::{LANES, Planes};

/// How the activations of one image lie between two operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Feature maps.
    Planes(Planes),
    /// A row of features, padded with zeros to `stride`.
    Row { features: usize, stride: usize },
}

impl Layout {
    /// A row of features. A multiple of 4 KiB between rows would put the same column of all rows into one cache set.
    fn row(features: usize) -> Layout {
        let padded = features.next_multiple_of(LANES);
        Layout::Row { features, stride: if padded.is_multiple_of(1024) { padded + LANES } else { padded } }
    }

    /// Elements from one image to the next.
    pub(crate) fn image_len(&self) -> usize {
        match self {
            Layout::Planes(planes) => planes.len(),
            Layout::Row { stride, .. } => *stride,
        }
    }

    /// One image's activations without padding: `[C, H, W]`, or a row.
    pub(crate) fn unpacked(&self, packed: &[f32]) -> Vec<f32> {
        let planes = match self {
            Layout::Planes(planes) => planes,
            Layout::Row { features, .. } => return packed[..*features].to_vec(),
        };
        let mut values = Vec::with_capacity(planes.channels() * planes.height() * planes.width());
        for (c, y) in (0..planes.channels()).flat_map(|c| (0..planes.height()).map(move |y| (c, y))) {
            values.extend((0..planes.width()).map(|x| packed[planes.index(c, y, x)]));
        }
        values
    }

    /// The same without border: how gradients lie.
    fn plain(&self) -> Layout {
        match self {
            Layout::Planes(p) => {
                Layout::Planes(Planes::with_border(p.channels(), p.lanes(), p.height(), p.width(), [0; 4], (1, 1)))
            }
            row => *row,
        }
    }

    /// Elements of one image that a linear layer takes as its input, in order; planes have no border there.
    fn inputs(&self) -> usize {
        match self {
            Layout::Planes(planes) => planes.len(),
            Layout::Row { features, .. } => *features,
        }
    }
}

/// A convolution and the fastest known way to compute it.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub(crate) direct: Conv2d,
    /// By Fourier transform, where that is faster.
    pub(crate) fft: Option<ConvFft>,
}

impl Convolution {
    fn new(direct: Conv2d, precision: Precision) -> Convolution {
        let fft = ConvFft::new(&direct, precision == Precision::Bf16);
        Convolution { direct, fft }
    }

    /// The transforms of both directions, where there are both: then the gradient of the weights goes that way too.
    pub(crate) fn fourier<'c>(&'c self, back: Option<&'c BackConvolution>) -> Option<(&'c ConvFft, &'c ConvFft)> {
        Some((self.fft.as_ref()?, back?.fft.as_ref()?))
    }
}

/// How the gradient of a convolution's input is computed.
#[derive(Clone, Debug)]
pub(crate) struct BackConvolution {
    pub(crate) phases: Vec<Phase>,
    /// By Fourier transform, where that is faster; there is one phase then.
    pub(crate) fft: Option<ConvFft>,
}

impl BackConvolution {
    fn new(conv: &Conv2d, precision: Precision) -> BackConvolution {
        let phases = conv.phases();
        let fft = match &phases[..] {
            [only] if conv.stride() == (1, 1) => ConvFft::new(only.conv(), precision == Precision::Bf16),
            _ => None,
        };
        BackConvolution { phases, fft }
    }

    /// Elements of the weights of all phases, which lie one behind the other.
    pub(crate) fn weight_len(&self) -> usize {
        self.phases.iter().map(|phase| phase.conv().weight().len()).sum()
    }
}

/// What an operation computes.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has a handful of operations")]
pub(crate) enum Kind {
    Conv {
        conv: Convolution,
        back: Option<BackConvolution>,
        weight: Range<usize>,
        bias: Range<usize>,
    },
    /// A convolution, ReLU and max-pooling in one.
    ConvPool {
        shape: ConvPool,
        conv: Convolution,
        back: Option<BackConvolution>,
        weight: Range<usize>,
        bias: Range<usize>,
    },
    Linear {
        layout: LinearWeight,
        /// Whether operands are rounded to bf16.
        pairs: bool,
        weight: Range<usize>,
        bias: Range<usize>,
    },
    /// A linear layer with few outputs over pixels, as the first operation.
    LinearFew {
        layout: SmallOut,
        weight: Range<usize>,
        bias: Range<usize>,
    },
    MaxPool(Pool2d),
    AvgPool(Pool2d),
    /// An activation that follows no operation it could be part of.
    Activation,
    /// `index` counts the dropout layers: each has its own random numbers.
    Dropout {
        probability: f64,
        index: u64,
    },
}

/// One operation: a layer, with the activation that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    /// Applied in place to the output.
    pub(crate) activation: Option<Activation>,
    /// Index of the (first) layer.
    pub(crate) layer: usize,
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    /// The gradient of the output, without border.
    pub(crate) grad: Layout,
    /// Whether an earlier operation learns, so that the gradient must be passed on.
    pub(crate) passes_gradient: bool,
}

/// The operations of a network and the layout of its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) ops: Vec<Op>,
    /// How the input image lies.
    pub(crate) input: Layout,
    /// Parameters with their padding.
    pub(crate) param_len: usize,
    precision: Precision,
}

/// Inputs and outputs from which on a linear layer is worth rounding for bf16.
const LARGE: usize = 64;

impl Network {
    /// In f32.
    pub(crate) fn new(architecture: &Architecture) -> Network {
        Network::with_precision(architecture, Precision::F32)
    }

    /// The layout of the parameters does not depend on the precision.
    pub(crate) fn with_precision(architecture: &Architecture, precision: Precision) -> Network {
        Network::build(architecture, true, precision)
    }

    /// Every layer by itself, activations too, so that what lies between them can be looked at; only flatten is none, as it
    /// moves nothing. The layout of the parameters is the same.
    pub(crate) fn unfused(architecture: &Architecture) -> Network {
        Network::build(architecture, false, Precision::F32)
    }

    fn build(architecture: &Architecture, fuse: bool, precision: Precision) -> Network {
        let layers: Vec<(usize, &LayerInfo)> =
            architecture.layers().iter().enumerate().filter(|(_, l)| l.layer != Layer::Flatten).collect();
        let input = layout_for(&layers, 0, Shape::Image(architecture.input()), true);
        let mut network = Network { ops: Vec::new(), input, param_len: 0, precision };
        let mut at = 0;
        let mut dropouts = 0;
        while at < layers.len() {
            let (layer, info) = layers[at];
            if fuse && let Some(op) = network.conv_pool(&layers, at) {
                network.ops.push(op);
                at += 3;
                continue;
            }
            let mut next = at + 1;
            let mut activation = activation_of(info.layer);
            let alone = !fuse || activation.is_some() || matches!(info.layer, Layer::Dropout { .. });
            if !alone && next < layers.len() {
                activation = activation_of(layers[next].1.layer);
                next += usize::from(activation.is_some());
            }
            let input = network.ops.last().map_or(network.input, |op| op.output);
            // Elementwise layers leave everything where it is.
            let output = match info.layer {
                Layer::Relu | Layer::Tanh | Layer::Sigmoid | Layer::Dropout { .. } => input,
                _ => layout_for(&layers, next, info.output, false),
            };
            let passes_gradient = network.ops.iter().any(Op::learns);
            let kind = network.kind(info, input, output, passes_gradient, &mut dropouts);
            let grad = output.plain();
            network.ops.push(Op { kind, activation, layer, input, output, grad, passes_gradient });
            at = next;
        }
        network
    }

    /// Whether the first operation makes few outputs of pixels as the data have them.
    pub(crate) fn few_outputs(&self) -> bool {
        matches!(self.ops.first(), Some(Op { kind: Kind::LinearFew { .. }, .. }))
    }

    /// The layer, where pixels go into a linear layer of many outputs as they are.
    pub(crate) fn linear_pixels(&self) -> Option<LinearWeight> {
        match self.ops.first()?.kind {
            Kind::Linear { layout, .. } => Some(layout),
            _ => None,
        }
    }

    fn kind(&mut self, info: &LayerInfo, input: Layout, output: Layout, passes: bool, dropouts: &mut u64) -> Kind {
        match (info.layer, input, output) {
            (Layer::Conv { kernel_size, stride, padding, .. }, Layout::Planes(from), Layout::Planes(to)) => {
                let conv = Conv2d::new(from, to, kernel_size, stride, padding.of(kernel_size));
                let back = passes.then(|| BackConvolution::new(&conv, self.precision));
                let conv = Convolution::new(conv, self.precision);
                let weight = self.place(conv.direct.weight().len());
                let bias = self.place(conv.direct.weight().padded_n());
                Kind::Conv { conv, back, weight, bias }
            }
            (Layer::Linear { out_features }, _, _) if self.ops.is_empty() && SmallOut::is_small(out_features) => {
                let layout = SmallOut { in_features: input.inputs(), out_features };
                Kind::LinearFew { layout, weight: self.place(layout.len()), bias: self.place(LANES) }
            }
            (Layer::Linear { out_features }, _, _) => {
                let layout = LinearWeight { in_features: input.inputs(), out_features };
                let weight = self.place(layout.len());
                let bias = self.place(layout.padded_outputs());
                let pairs = self.precision == Precision::Bf16 && layout.in_features.min(out_features) >= LARGE;
                // A layer over pixels skips the blank ones instead; and pairs of rows are made of whole vectors.
                let pairs = pairs && !self.ops.is_empty() && input.image_len().is_multiple_of(LANES);
                Kind::Linear { layout, pairs, weight, bias }
            }
            (Layer::MaxPool { kernel_size, stride }, Layout::Planes(from), Layout::Planes(to)) => {
                Kind::MaxPool(Pool2d::new(from, to, kernel_size, stride))
            }
            (Layer::AvgPool { kernel_size, stride }, Layout::Planes(from), Layout::Planes(to)) => {
                Kind::AvgPool(Pool2d::new(from, to, kernel_size, stride))
            }
            (Layer::Dropout { probability }, _, _) => {
                *dropouts += 1;
                Kind::Dropout { probability, index: *dropouts - 1 }
            }
            (Layer::Relu | Layer::Tanh | Layer::Sigmoid, _, _) => Kind::Activation,
            (layer, ..) => unreachable!("{layer} was checked by Architecture::new"),
        }
    }

    /// The layers at `at` as one operation, if they are convolution, ReLU and max-pooling over disjoint windows.
    fn conv_pool(&mut self, layers: &[(usize, &LayerInfo)], at: usize) -> Option<Op> {
        let [(layer, conv), (_, relu), (_, pool)] = layers.get(at..at + 3)? else { return None };
        let (Layer::Conv { kernel_size, stride, padding, .. }, Layer::Relu) = (conv.layer, relu.layer) else {
            return None;
        };
        let Layer::MaxPool { kernel_size: window, stride: step } = pool.layer else { return None };
        let Shape::Image(sums) = conv.output else { return None };
        let input = self.ops.last().map_or(self.input, |op| op.output);
        let output = layout_for(layers, at + 3, pool.output, false);
        let (Layout::Planes(from), Layout::Planes(to)) = (input, output) else { return None };
        if window != step {
            return None;
        }
        let sums = Planes::new(sums.channels, sums.height, sums.width);
        let shape = ConvPool::new(Conv2d::new(from, sums, kernel_size, stride, padding.of(kernel_size)), window, to)?;
        let passes_gradient = self.ops.iter().any(Op::learns);
        let back = passes_gradient.then(|| BackConvolution::new(shape.conv(), self.precision));
        let conv = Convolution::new(shape.conv().clone(), self.precision);
        let weight = self.place(shape.conv().weight().len());
        let bias = self.place(shape.conv().weight().padded_n());
        let kind = Kind::ConvPool { shape, conv, back, weight, bias };
        Some(Op { kind, activation: None, layer: *layer, input, output, grad: output.plain(), passes_gradient })
    }

    /// Room for `len` parameters, on a cache line of its own.
    fn place(&mut self, len: usize) -> Range<usize> {
        let start = self.param_len;
        self.param_len += len.next_multiple_of(LANES);
        start..start + len
    }
}

impl Op {
    /// Whether the operation has parameters.
    pub(crate) fn learns(&self) -> bool {
        matches!(self.kind, Kind::Conv { .. } | Kind::ConvPool { .. } | Kind::Linear { .. } | Kind::LinearFew { .. })
    }

    /// Whether `threads` threads can share its sums in a relay ([`crate::workers::Team`]): if there are enough panels of
    /// outputs that none waits for more than half of the time until the first has come to it.
    pub(crate) fn can_relay(&self, threads: usize) -> bool {
        let Kind::Linear { layout, .. } = self.kind else { return false };
        let enough = layout.panels(0).count() >= 2 * threads && layout.blocks() >= 4 * threads;
        self.passes_gradient && threads > 1 && enough
    }
}

fn activation_of(layer: Layer) -> Option<Activation> {
    match layer {
        Layer::Relu => Some(Activation::Relu),
        Layer::Tanh => Some(Activation::Tanh),
        Layer::Sigmoid => Some(Activation::Sigmoid),
        _ => None,
    }
}

/// The layout of activations of shape `shape` that the layers from `next` on consume.
fn layout_for(layers: &[(usize, &LayerInfo)], next: usize, shape: Shape, is_image: bool) -> Layout {
    let Shape::Image(image) = shape else {
        return Layout::row(shape.len());
    };
    // Elementwise layers pass the layout through to whoever needs a border.
    let elementwise = |l: Layer| activation_of(l).is_some() || matches!(l, Layer::Dropout { .. });
    let consumer = layers[next.min(layers.len())..].iter().map(|(_, info)| info.layer).find(|&l| !elementwise(l));
    let border = match consumer {
        Some(Layer::Conv { kernel_size, padding, .. }) => {
            let (rows, columns) = padding.of(kernel_size);
            [rows, columns, rows, columns]
        }
        _ => [0; 4],
    };
    // The input image need not be in blocks of 16 channels where its consumer can do without: a convolution then
    // has no idle lanes, and a linear layer takes the pixels as they are.
    let lanes = match consumer {
        Some(Layer::Conv { .. }) if is_image && image.channels < LANES => image.channels,
        Some(Layer::Linear { .. }) if is_image => 1,
        _ => LANES,
    };
    Layout::Planes(Planes::with_border(image.channels, lanes, image.height, image.width, border, (1, 1)))
}
