//! One layer, and how it is written: `"conv 32 5x5 same"`, `"maxpool 2"`, `"linear 1024"`, `"dropout 0.5"`.

use crate::nearest;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The closed list of layers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Layer {
    /// `y = W x + b`; an image is flattened first, in the order channel, row, column.
    Linear {
        /// Length of the output.
        out_features: usize,
    },
    /// Two-dimensional convolution (cross-correlation) with a bias per output channel.
    Conv {
        /// Number of filters.
        out_channels: usize,
        /// Height and width of a filter.
        kernel_size: (usize, usize),
        /// Rows and columns from one output pixel to the next.
        stride: (usize, usize),
        /// Zeros around the image.
        padding: Padding,
        /// In how many groups: the filters of each see its share of the input's channels alone.
        groups: usize,
    },
    /// Two-dimensional convolution of each channel with a filter of its own, and a bias.
    Depthwise {
        /// Height and width of a filter.
        kernel_size: (usize, usize),
        /// Rows and columns from one output pixel to the next.
        stride: (usize, usize),
        /// Zeros around the image.
        padding: Padding,
    },
    /// Two-dimensional convolution whose filters are not trained: the principal components of the patches of the training
    /// images, each divided by its standard deviation, and their negatives. What they give has variance 1 and is not
    /// correlated (A. Coates and A. Ng, *The importance of encoding versus training with sparse coding and vector
    /// quantization*, 2011; K. Jordan, *94% on CIFAR-10 in 3.29 seconds on a single GPU*, 2024).
    Whiten {
        /// Height and width of a filter.
        kernel_size: (usize, usize),
        /// Rows and columns from one output pixel to the next.
        stride: (usize, usize),
        /// Zeros around the image.
        padding: Padding,
    },
    /// Maximum over windows; windows that would hang over the edge are left out.
    MaxPool {
        /// Height and width of a window.
        kernel_size: (usize, usize),
        /// Rows and columns from one window to the next.
        stride: (usize, usize),
    },
    /// Mean over windows; windows that would hang over the edge are left out.
    AvgPool {
        /// Height and width of a window.
        kernel_size: (usize, usize),
        /// Rows and columns from one window to the next.
        stride: (usize, usize),
    },
    /// The mean of each feature map: maps of one pixel.
    GlobalAvgPool,
    /// `max(0, x)`.
    Relu,
    /// `x`, or below 0 `slope * x` (Maas et al. 2013).
    LeakyRelu {
        /// What the gradient is multiplied by below 0, `0 < slope <= 1`.
        slope: f64,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x Phi(x)`, with the distribution function of the standard normal (Hendrycks and Gimpel 2016), exactly.
    Gelu,
    /// `x / (1 + e^-x)`, also called swish (Elfwing et al. 2017).
    Silu,
    /// While training, sets each element to zero with this probability and scales the others up to make up for it.
    Dropout {
        /// Probability of being dropped, `0 <= p < 1`.
        probability: f64,
    },
    /// An image as one long row, in the order channel, row, column. A linear layer does this by itself.
    Flatten,
    /// Batch normalisation (Ioffe and Szegedy 2015) of each feature map, or each feature of a row:
    /// `(x - mean) / sqrt(variance + eps) * weight + bias`. While training, mean and variance are those of the batch;
    /// elsewhere, running ones that training keeps.
    BatchNorm {
        /// How far a batch moves the running mean and variance, `0 < momentum <= 1`.
        momentum: f64,
        /// Added to the variance, `1e-12 <= eps <= 1`.
        eps: f64,
    },
    /// The sum of a residual block's output and what its shortcut makes of its input. It has no text of its own: the
    /// block is written as a list inside the list ([`super::Block`]).
    Add,
}

/// PyTorch's defaults of [`Layer::BatchNorm`].
const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

/// Zeros around the image of a convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Padding {
    /// As many as keep height and width at stride 1: `(kernel - 1) / 2` on each side, for odd kernels.
    Same,
    /// None.
    Valid,
    /// This many rows above and below, and columns left and right.
    Number(usize),
}

impl Padding {
    /// Rows above and below, columns left and right, for this kernel.
    pub fn of(self, kernel_size: (usize, usize)) -> (usize, usize) {
        match self {
            Padding::Same => ((kernel_size.0 - 1) / 2, (kernel_size.1 - 1) / 2),
            Padding::Valid => (0, 0),
            Padding::Number(n) => (n, n),
        }
    }
}

/// Why a text is not a layer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayerError {
    /// The text is blank.
    #[error("a layer is empty; layers are {}", forms())]
    Empty,
    /// The first word is no layer.
    #[error("there is no layer \"{word}\"{}; layers are {}", did_you_mean(.suggestion), forms())]
    UnknownLayer {
        /// The word.
        word: String,
        /// The nearest layer, if one is near.
        suggestion: Option<&'static str>,
    },
    /// A word after the first is not understood.
    #[error("\"{layer}\": \"{word}\" is not understood; expected {expected}")]
    BadWord {
        /// The whole text.
        layer: String,
        /// The word.
        word: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Something is missing at the end.
    #[error("\"{layer}\" is not complete; expected {expected}")]
    Incomplete {
        /// The whole text.
        layer: String,
        /// What should come.
        expected: &'static str,
    },
    /// A number is outside its range.
    #[error("\"{layer}\": {what} is {value}, expected {range}")]
    OutOfRange {
        /// The whole text.
        layer: String,
        /// Which number.
        what: &'static str,
        /// The number.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
}

/// How one kind of layer is written.
struct Form {
    /// Its first word.
    name: &'static str,
    /// Shown where a layer is not understood.
    example: &'static str,
    /// What other programs call it.
    aliases: &'static [&'static str],
    /// Reads what follows the first word.
    parse: fn(&mut Words) -> Result<Layer, LayerError>,
}

/// Every layer that can be written, one row each.
const GRAMMAR: [Form; 16] = [
    Form { name: "linear", example: "\"linear 10\"", aliases: &["dense", "fc"], parse: linear },
    Form {
        name: "conv",
        example: "\"conv 32 5x5 same\" (also \"valid\", \"padding 1\", \"stride 2\", \"groups 4\")",
        aliases: &["conv2d", "convolution"],
        parse: conv,
    },
    Form {
        name: "depthwise",
        example: "\"depthwise 3x3 same\"",
        aliases: &["dwconv", "depthwiseconv2d", "depthwise-conv", "separable"],
        parse: |words| {
            let kernel_size = words.size("a kernel such as 3x3")?;
            let Window { stride, padding, .. } = window(words, false)?;
            Ok(Layer::Depthwise { kernel_size, stride, padding })
        },
    },
    Form {
        name: "whiten",
        example: "\"whiten 3x3 same\"",
        aliases: &["whitening", "zca", "pca"],
        parse: |words| {
            let kernel_size = words.size("a kernel such as 3x3")?;
            let Window { stride, padding, .. } = window(words, false)?;
            Ok(Layer::Whiten { kernel_size, stride, padding })
        },
    },
    Form {
        name: "maxpool",
        example: "\"maxpool 2\"",
        aliases: &["maxpool2d", "pool"],
        parse: |words| pool(words).map(|[kernel_size, stride]| Layer::MaxPool { kernel_size, stride }),
    },
    Form {
        name: "avgpool",
        example: "\"avgpool 2\"",
        aliases: &["avgpool2d", "meanpool"],
        parse: |words| pool(words).map(|[kernel_size, stride]| Layer::AvgPool { kernel_size, stride }),
    },
    Form {
        name: "global-avgpool",
        example: "\"global-avgpool\"",
        aliases: &["gap", "globalavgpool", "globalaveragepooling2d", "adaptiveavgpool2d"],
        parse: |_| Ok(Layer::GlobalAvgPool),
    },
    Form { name: "relu", example: "\"relu\"", aliases: &[], parse: |_| Ok(Layer::Relu) },
    Form {
        name: "leakyrelu",
        example: "\"leakyrelu 0.01\"",
        aliases: &["leaky_relu", "leaky-relu", "leaky", "lrelu"],
        parse: leaky_relu,
    },
    Form { name: "tanh", example: "\"tanh\"", aliases: &[], parse: |_| Ok(Layer::Tanh) },
    Form { name: "sigmoid", example: "\"sigmoid\"", aliases: &["logistic"], parse: |_| Ok(Layer::Sigmoid) },
    Form { name: "gelu", example: "\"gelu\"", aliases: &[], parse: |_| Ok(Layer::Gelu) },
    Form { name: "silu", example: "\"silu\"", aliases: &["swish"], parse: |_| Ok(Layer::Silu) },
    Form { name: "dropout", example: "\"dropout 0.5\"", aliases: &[], parse: dropout },
    Form { name: "flatten", example: "\"flatten\"", aliases: &[], parse: |_| Ok(Layer::Flatten) },
    Form {
        name: "batchnorm",
        example: "\"batchnorm\" (also \"momentum 0.1\", \"eps 1e-5\")",
        aliases: &["bn", "batchnorm1d", "batchnorm2d", "batch_norm", "batch-norm", "batchnormalization"],
        parse: batch_norm,
    },
];

/// All examples, for those who wrote something else.
fn forms() -> String {
    GRAMMAR.map(|form| form.example).join(", ")
}

/// Larger numbers than these are certainly mistakes, and would overflow sizes later.
const MAX_FEATURES: usize = 1 << 20;
const MAX_FILTERS: usize = 4096;
const MAX_WINDOW: usize = 64;

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map_or_else(String::new, |s| format!(" (did you mean \"{s}\"?)"))
}

/// The layer that other programs call so, or the one whose name is nearest.
fn meant(word: &str) -> Option<&'static str> {
    let is_alias = |form: &&Form| form.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(word));
    let exact = GRAMMAR.iter().find(is_alias).map(|form| form.name);
    exact.or_else(|| nearest(word, GRAMMAR.map(|form| form.name)))
}

/// The words of one layer, read from left to right.
struct Words<'a> {
    layer: &'a str,
    rest: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

impl<'a> Words<'a> {
    fn next(&mut self, expected: &'static str) -> Result<&'a str, LayerError> {
        self.rest.next().ok_or_else(|| LayerError::Incomplete { layer: self.layer.into(), expected })
    }

    fn bad(&self, word: &str, expected: &'static str) -> LayerError {
        LayerError::BadWord { layer: self.layer.into(), word: word.into(), expected }
    }

    /// A whole number in `1..=max` (or `0..=max`).
    fn number(&mut self, what: &'static str, min: usize, max: usize, range: &'static str) -> Result<usize, LayerError> {
        let word = self.next(what)?;
        self.parse(word, what, min, max, range)
    }

    fn parse(
        &self,
        word: &str,
        what: &'static str,
        min: usize,
        max: usize,
        range: &'static str,
    ) -> Result<usize, LayerError> {
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.bad(word, what));
        }
        // Too many digits for a usize are out of range like any other large number.
        word.parse().ok().filter(|n| (min..=max).contains(n)).ok_or_else(|| LayerError::OutOfRange {
            layer: self.layer.into(),
            what,
            value: word.into(),
            range,
        })
    }

    /// `5` or `5x3`.
    fn size(&mut self, what: &'static str) -> Result<(usize, usize), LayerError> {
        let word = self.next(what)?;
        let (height, width) = word.split_once('x').unwrap_or((word, word));
        let part = |text: &str| match self.parse(text, what, 1, MAX_WINDOW, "1 to 64") {
            Err(LayerError::BadWord { .. }) => Err(self.bad(word, what)),
            other => other,
        };
        Ok((part(height)?, part(width)?))
    }

    fn end(&mut self) -> Result<(), LayerError> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(self.bad(word, "nothing more")),
        }
    }
}

impl FromStr for Layer {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Layer, LayerError> {
        let layer = text.trim();
        let mut words = Words { layer, rest: layer.split_whitespace().peekable() };
        let name = words.rest.next().ok_or(LayerError::Empty)?;
        let form = GRAMMAR.iter().find(|form| form.name == name);
        let unknown = || LayerError::UnknownLayer { word: name.into(), suggestion: meant(name) };
        let layer = (form.ok_or_else(unknown)?.parse)(&mut words)?;
        words.end()?;
        Ok(layer)
    }
}

fn linear(words: &mut Words) -> Result<Layer, LayerError> {
    const FEATURES: &str = "1 to 1048576";
    Ok(Layer::Linear { out_features: words.number("the number of outputs", 1, MAX_FEATURES, FEATURES)? })
}

/// Window and stride of a pooling layer.
fn pool(words: &mut Words) -> Result<[(usize, usize); 2], LayerError> {
    let kernel_size = words.size("a window such as 2 or 2x3")?;
    let stride = match words.rest.next() {
        None => kernel_size,
        Some("stride") => words.size("a stride such as 2 or 2x1")?,
        Some(word) => return Err(words.bad(word, "\"stride\" or nothing")),
    };
    Ok([kernel_size, stride])
}

/// PyTorch's default of [`Layer::LeakyRelu`].
const SLOPE: f64 = 0.01;

fn leaky_relu(words: &mut Words) -> Result<Layer, LayerError> {
    const WHAT: &str = "the slope below zero";
    let Some(word) = words.rest.next() else { return Ok(Layer::LeakyRelu { slope: SLOPE }) };
    let slope: f64 = word.parse().map_err(|_| words.bad(word, "a slope below zero such as 0.01"))?;
    if is_slope(slope) {
        return Ok(Layer::LeakyRelu { slope });
    }
    Err(LayerError::OutOfRange { layer: words.layer.into(), what: WHAT, value: word.into(), range: SLOPES })
}

const SLOPES: &str = "1e-6 to 1";

/// The gradient is told by the sign of the output, which a slope of zero would leave nothing of.
fn is_slope(slope: f64) -> bool {
    (1e-6..=1.0).contains(&slope)
}

fn dropout(words: &mut Words) -> Result<Layer, LayerError> {
    const WHAT: &str = "the probability of being dropped";
    let word = words.next(WHAT)?;
    let probability: f64 = word.parse().map_err(|_| words.bad(word, WHAT))?;
    if (0.0..1.0).contains(&probability) {
        return Ok(Layer::Dropout { probability });
    }
    let range = "at least 0 and less than 1";
    Err(LayerError::OutOfRange { layer: words.layer.into(), what: WHAT, value: word.into(), range })
}

fn batch_norm(words: &mut Words) -> Result<Layer, LayerError> {
    const EXPECTED: &str = "\"momentum 0.1\" or \"eps 1e-5\", each once";
    let (mut momentum, mut eps) = (None, None);
    while let Some(word) = words.rest.next() {
        let (setting, what) = match word {
            "momentum" if momentum.is_none() => (&mut momentum, "the momentum, a number such as 0.1"),
            "eps" if eps.is_none() => (&mut eps, "eps, a number such as 1e-5"),
            word => return Err(words.bad(word, EXPECTED)),
        };
        let number = words.next(what)?;
        *setting = Some(number.parse::<f64>().map_err(|_| words.bad(number, what))?);
    }
    let (momentum, eps) = (momentum.unwrap_or(MOMENTUM), eps.unwrap_or(EPS));
    let out_of_range = |what: &'static str, value: f64, range| {
        Err(LayerError::OutOfRange { layer: words.layer.into(), what, value: value.to_string(), range })
    };
    match batch_norm_fault(momentum, eps) {
        Some((what, value, range)) => out_of_range(what, value, range),
        None => Ok(Layer::BatchNorm { momentum, eps }),
    }
}

/// Which number of a batch norm is outside its range, if one is: its name, itself, and the range.
fn batch_norm_fault(momentum: f64, eps: f64) -> Option<(&'static str, f64, &'static str)> {
    if !(momentum > 0.0 && momentum <= 1.0) {
        return Some(("the momentum", momentum, "more than 0 and at most 1"));
    }
    (!(1e-12..=1.0).contains(&eps)).then_some(("eps", eps, "1e-12 to 1"))
}

fn conv(words: &mut Words) -> Result<Layer, LayerError> {
    let out_channels = words.number("the number of filters", 1, MAX_FILTERS, "1 to 4096")?;
    let kernel_size = words.size("a kernel such as 5x5")?;
    let Window { stride, padding, groups } = window(words, true)?;
    Ok(Layer::Conv { out_channels, kernel_size, stride, padding, groups })
}

/// What may follow the kernel of a convolution, in any order.
struct Window {
    stride: (usize, usize),
    padding: Padding,
    groups: usize,
}

/// `can_group`: whether there may be groups.
fn window(words: &mut Words, can_group: bool) -> Result<Window, LayerError> {
    let (mut stride, mut padding, mut groups) = (None, None, None);
    while let Some(word) = words.rest.next() {
        match word {
            "same" if padding.is_none() => padding = Some(Padding::Same),
            "valid" if padding.is_none() => padding = Some(Padding::Valid),
            "padding" if padding.is_none() => {
                padding = Some(Padding::Number(words.number("the padding", 0, MAX_WINDOW, "0 to 64")?));
            }
            "stride" if stride.is_none() => stride = Some(words.size("a stride such as 2 or 2x1")?),
            "groups" if can_group && groups.is_none() => {
                groups = Some(words.number("the number of groups", 1, MAX_FILTERS, "1 to 4096")?);
            }
            word if can_group => return Err(words.bad(word, CONV_WORDS)),
            word => return Err(words.bad(word, DEPTHWISE_WORDS)),
        }
    }
    // PyTorch's defaults: stride 1, no padding, one group.
    let (stride, padding) = (stride.unwrap_or((1, 1)), padding.unwrap_or(Padding::Valid));
    Ok(Window { stride, padding, groups: groups.unwrap_or(1) })
}

const CONV_WORDS: &str = "\"same\", \"valid\", \"padding 1\", \"stride 2\" or \"groups 4\", each once";
const DEPTHWISE_WORDS: &str = "\"same\", \"valid\", \"padding 1\" or \"stride 2\", each once";

impl Layer {
    /// A batch norm with PyTorch's settings.
    pub(crate) fn batch_norm() -> Layer {
        Layer::BatchNorm { momentum: MOMENTUM, eps: EPS }
    }

    /// A sentence if a number is outside the range that its text may have: layers can be made without a text.
    pub(crate) fn check(&self) -> Result<(), String> {
        let in_range = |what: &str, (a, b): (usize, usize), range: std::ops::RangeInclusive<usize>| {
            if range.contains(&a) && range.contains(&b) {
                return Ok(());
            }
            Err(format!("{what} is {a}x{b}, expected {} to {}", range.start(), range.end()))
        };
        let count = |what: &str, n: usize, max: usize| {
            if (1..=max).contains(&n) { Ok(()) } else { Err(format!("{what} is {n}, expected 1 to {max}")) }
        };
        let check_window = |kernel_size, stride, padding| {
            in_range("the kernel", kernel_size, 1..=MAX_WINDOW)?;
            in_range("the stride", stride, 1..=MAX_WINDOW)?;
            match padding {
                Padding::Number(n) => in_range("the padding", (n, n), 0..=MAX_WINDOW),
                Padding::Same | Padding::Valid => Ok(()),
            }
        };
        match *self {
            Layer::Linear { out_features: n } => count("the number of outputs", n, MAX_FEATURES),
            Layer::Conv { out_channels, kernel_size, stride, padding, groups } => {
                count("the number of filters", out_channels, MAX_FILTERS)?;
                count("the number of groups", groups, MAX_FILTERS)?;
                check_window(kernel_size, stride, padding)
            }
            Layer::Depthwise { kernel_size, stride, padding } | Layer::Whiten { kernel_size, stride, padding } => {
                check_window(kernel_size, stride, padding)
            }
            Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
                in_range("the window", kernel_size, 1..=MAX_WINDOW)?;
                in_range("the stride", stride, 1..=MAX_WINDOW)
            }
            Layer::Dropout { probability } if !(0.0..1.0).contains(&probability) => {
                Err(format!("the probability is {probability}, expected at least 0 and less than 1"))
            }
            Layer::LeakyRelu { slope } if !is_slope(slope) => {
                Err(format!("the slope below zero is {slope}, expected {SLOPES}"))
            }
            Layer::BatchNorm { momentum, eps } => match batch_norm_fault(momentum, eps) {
                Some((what, value, range)) => Err(format!("{what} is {value}, expected {range}")),
                None => Ok(()),
            },
            Layer::Add => Err("a sum ends a residual block, which is a list inside the list of layers".to_string()),
            Layer::GlobalAvgPool
            | Layer::Dropout { .. }
            | Layer::Relu
            | Layer::LeakyRelu { .. }
            | Layer::Tanh
            | Layer::Sigmoid
            | Layer::Gelu
            | Layer::Silu
            | Layer::Flatten => Ok(()),
        }
    }
}

/// `2`, or `2x1`.
fn square((h, w): (usize, usize)) -> String {
    if h == w { h.to_string() } else { format!("{h}x{w}") }
}

fn write_window(f: &mut fmt::Formatter, stride: (usize, usize), padding: Padding) -> fmt::Result {
    if stride != (1, 1) {
        write!(f, " stride {}", square(stride))?;
    }
    match padding {
        Padding::Same => write!(f, " same"),
        Padding::Valid => write!(f, " valid"),
        Padding::Number(n) => write!(f, " padding {n}"),
    }
}

impl fmt::Display for Layer {
    /// The canonical text, which parses back to the same layer if it is one that can be written.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Layer::Linear { out_features } => write!(f, "linear {out_features}"),
            Layer::Conv { out_channels, kernel_size: (kh, kw), stride, padding, groups } => {
                write!(f, "conv {out_channels} {kh}x{kw}")?;
                write_window(f, *stride, *padding)?;
                if *groups != 1 { write!(f, " groups {groups}") } else { Ok(()) }
            }
            Layer::Depthwise { kernel_size: (kh, kw), stride, padding } => {
                write!(f, "depthwise {kh}x{kw}")?;
                write_window(f, *stride, *padding)
            }
            Layer::Whiten { kernel_size: (kh, kw), stride, padding } => {
                write!(f, "whiten {kh}x{kw}")?;
                write_window(f, *stride, *padding)
            }
            Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
                let name = if matches!(self, Layer::MaxPool { .. }) { "maxpool" } else { "avgpool" };
                write!(f, "{name} {}", square(*kernel_size))?;
                if stride != kernel_size {
                    write!(f, " stride {}", square(*stride))?;
                }
                Ok(())
            }
            Layer::GlobalAvgPool => write!(f, "global-avgpool"),
            Layer::Relu => write!(f, "relu"),
            Layer::LeakyRelu { slope } => write!(f, "leakyrelu {slope}"),
            Layer::Tanh => write!(f, "tanh"),
            Layer::Sigmoid => write!(f, "sigmoid"),
            Layer::Gelu => write!(f, "gelu"),
            Layer::Silu => write!(f, "silu"),
            Layer::Dropout { probability } => write!(f, "dropout {probability}"),
            Layer::Flatten => write!(f, "flatten"),
            Layer::Add => write!(f, "add"),
            Layer::BatchNorm { momentum, eps } => {
                write!(f, "batchnorm")?;
                if *momentum != MOMENTUM {
                    write!(f, " momentum {momentum}")?;
                }
                if *eps != EPS {
                    write!(f, " eps {eps:e}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts_parse_back() {
        for text in [
            "linear 10",
            "conv 32 5x5 same",
            "conv 16 3x2 stride 2 padding 1",
            "conv 1 1x1 valid",
            "conv 64 3x3 same groups 4",
            "depthwise 3x3 same",
            "depthwise 5x3 stride 2x1 padding 1",
            "whiten 3x3 same",
            "whiten 2x2 stride 2 valid",
            "maxpool 2",
            "maxpool 3 stride 2",
            "avgpool 2x3",
            "relu",
            "tanh",
            "sigmoid",
            "leakyrelu 0.01",
            "leakyrelu 1",
            "silu",
            "dropout 0.5",
            "flatten",
            "batchnorm",
            "batchnorm momentum 0.25",
            "batchnorm momentum 1 eps 1e-3",
        ] {
            let layer: Layer = text.parse().expect(text);
            assert_eq!(layer.to_string(), text);
            assert_eq!(layer.to_string().parse::<Layer>(), Ok(layer));
        }
        assert_eq!(
            "  conv  8 3 same stride 2x1 ".parse::<Layer>().expect("spaces").to_string(),
            "conv 8 3x3 stride 2x1 same"
        );
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| text.parse::<Layer>().expect_err(text).to_string();
        assert!(message("").starts_with("a layer is empty"));
        assert!(message("lineer 10").contains("did you mean \"linear\"?"));
        for (word, layer) in
            [("dense", "linear"), ("Conv2d", "conv"), ("ReLU", "relu"), ("rleu", "relu"), ("dropuot", "dropout")]
        {
            assert!(message(word).contains(&format!("did you mean \"{layer}\"?")), "{word}");
        }
        assert!(message("transformer").starts_with("there is no layer \"transformer\"; layers are"));
        assert_eq!(message("linear"), "\"linear\" is not complete; expected the number of outputs");
        assert_eq!(message("linear ten"), "\"linear ten\": \"ten\" is not understood; expected the number of outputs");
        assert_eq!(message("linear 0"), "\"linear 0\": the number of outputs is 0, expected 1 to 1048576");
        assert!(message("linear 99999999999999999999999").contains("expected 1 to 1048576"));
        assert!(message("linear -3").contains("\"-3\" is not understood"));
        assert!(message("conv 3 5y5").contains("expected a kernel such as 5x5"));
        assert!(message("conv 3 5x5 same valid").contains("each once"));
        assert!(message("conv 3 5x5 sam").contains("\"sam\" is not understood"));
        assert!(message("conv 3 5x5 groups 0").contains("the number of groups is 0, expected 1 to 4096"));
        assert!(message("conv 3 5x5 groups 2 groups 2").contains("or \"groups 4\", each once"));
        assert!(message("depthwise 3x3 groups 2").contains("\"groups\" is not understood; expected \"same\""));
        assert!(message("whiten 24 2x2").contains("\"2x2\" is not understood"));
        assert!(message("whitening 2x2").contains("did you mean \"whiten\"?"));
        assert!(message("depthwise 32 3x3").contains("\"3x3\" is not understood"));
        assert!(message("DepthwiseConv2D 3").contains("did you mean \"depthwise\"?"));
        assert!(message("maxpool 2 3").contains("\"stride\" or nothing"));
        assert!(message("dropout 1").contains("at least 0 and less than 1"));
        assert!(message("dropout NaN").contains("at least 0 and less than 1"));
        assert_eq!("leakyrelu".parse(), Ok(Layer::LeakyRelu { slope: 0.01 }));
        assert!(message("leaky_relu 0.1").contains("did you mean \"leakyrelu\"?"));
        assert!(message("leakyrelu 0").contains("the slope below zero is 0, expected 1e-6 to 1"));
        assert!(message("leakyrelu steep").contains("expected a slope below zero such as 0.01"));
        assert!(message("swish").contains("did you mean \"silu\"?"));
        assert!(message("relu 3").contains("nothing more"));
        assert!(message("BatchNorm2d").contains("did you mean \"batchnorm\"?"));
        assert!(message("batchnorm 32").contains("\"32\" is not understood; expected \"momentum 0.1\""));
        assert!(message("batchnorm eps").contains("is not complete"));
        assert!(message("batchnorm momentum 0").contains("the momentum is 0, expected more than 0"));
        assert!(message("batchnorm eps NaN").contains("eps is NaN, expected 1e-12 to 1"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Layer>();
        }
    }
}
