//! The shape of one example between two layers, and what each layer makes of it.

use crate::data::ImageShape;
use crate::model::layer::{Layer, Padding};
use std::fmt;
use tenfold_kernels::windows;

/// The shape of one example between two layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Feature maps: channels, height, width.
    Image(ImageShape),
    /// A row of this many features.
    Flat(usize),
}

impl Shape {
    /// Elements of one example.
    pub fn len(self) -> usize {
        match self {
            Shape::Image(shape) => shape.channels * shape.height * shape.width,
            Shape::Flat(n) => n,
        }
    }

    /// Of feature maps, how many there are.
    pub fn channels(self) -> Option<usize> {
        match self {
            Shape::Image(shape) => Some(shape.channels),
            Shape::Flat(_) => None,
        }
    }

    /// Whether there is no element (never, in a checked architecture).
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Shape::Image(s) => write!(f, "{}x{}x{}", s.channels, s.height, s.width),
            Shape::Flat(n) => write!(f, "{n}"),
        }
    }
}

/// Numbers of a patch that is whitened, at most: the time for their covariance grows with the square.
const MOST_WHITENED: usize = 128;

pub(super) fn output_shape(layer: Layer, input: Shape) -> Result<Shape, String> {
    let needs_image = || match input {
        Shape::Image(shape) => Ok(shape),
        Shape::Flat(_) => Err("it needs an image, and the layers before have flattened it".to_string()),
    };
    match layer {
        Layer::Linear { out_features } => Ok(Shape::Flat(out_features)),
        Layer::Conv { out_channels, kernel_size, stride, padding, groups } => {
            let image = needs_image()?;
            if !image.channels.is_multiple_of(groups) || !out_channels.is_multiple_of(groups) {
                return Err(groups_do_not_divide(image.channels, out_channels, groups));
            }
            let (height, width) = conv_output_size(image, kernel_size, stride, padding)?;
            Ok(Shape::Image(ImageShape { channels: out_channels, height, width }))
        }
        Layer::Depthwise { kernel_size, stride, padding } => {
            let image = needs_image()?;
            let (height, width) = conv_output_size(image, kernel_size, stride, padding)?;
            Ok(Shape::Image(ImageShape { height, width, ..image }))
        }
        Layer::Whiten { kernel_size, stride, padding } => {
            let image = needs_image()?;
            let size = image.channels * kernel_size.0 * kernel_size.1;
            if size > MOST_WHITENED {
                return Err(format!("its patches have {size} numbers, expected at most {MOST_WHITENED}"));
            }
            let (height, width) = conv_output_size(image, kernel_size, stride, padding)?;
            // Padding shows no patches of images.
            output_size(image, kernel_size, (1, 1), (0, 0))?;
            Ok(Shape::Image(ImageShape { channels: 2 * size, height, width }))
        }
        Layer::MaxPool { kernel_size, stride } | Layer::AvgPool { kernel_size, stride } => {
            let image = needs_image()?;
            if kernel_size.0 * kernel_size.1 > 256 {
                return Err("a pooling window has at most 256 pixels".to_string());
            }
            let (height, width) = output_size(image, kernel_size, stride, (0, 0))?;
            Ok(Shape::Image(ImageShape { height, width, ..image }))
        }
        Layer::Relu | Layer::LeakyRelu { .. } | Layer::Tanh | Layer::Sigmoid | Layer::Gelu | Layer::Silu => Ok(input),
        Layer::Dropout { .. } | Layer::BatchNorm { .. } | Layer::Add => Ok(input),
        Layer::GlobalAvgPool => Ok(Shape::Image(ImageShape { height: 1, width: 1, ..needs_image()? })),
        Layer::Flatten => Ok(Shape::Flat(input.len())),
    }
}

/// Why a convolution cannot be in groups, and the nearest numbers with which it can.
fn groups_do_not_divide(ins: usize, outs: usize, groups: usize) -> String {
    let fits = |n: &usize| ins.is_multiple_of(*n) && outs.is_multiple_of(*n);
    let below = (1..groups).rev().find(fits).expect("one group always fits");
    let above = (groups + 1..=ins.min(outs)).find(fits).map_or_else(String::new, |n| format!(" or {n}"));
    format!("{groups} groups do not divide {ins} input channels and {outs} filters; say \"groups {below}\"{above}")
}

/// Rows and columns of a convolution's output.
fn conv_output_size(
    image: ImageShape,
    kernel_size: (usize, usize),
    stride: (usize, usize),
    padding: Padding,
) -> Result<(usize, usize), String> {
    let (kh, kw) = kernel_size;
    if padding == Padding::Same && (kh % 2 == 0 || kw % 2 == 0) {
        return Err(format!("\"same\" padding needs an odd kernel, and it is {kh}x{kw}; say \"padding N\""));
    }
    let pad = padding.of(kernel_size);
    if pad.0 >= kh || pad.1 >= kw {
        return Err(format!("the padding {pad:?} must be smaller than the kernel {kh}x{kw}"));
    }
    output_size(image, kernel_size, stride, pad)
}

/// Rows and columns of windows that fit.
fn output_size(
    image: ImageShape,
    (kh, kw): (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
) -> Result<(usize, usize), String> {
    let (height, width) = (image.height + 2 * padding.0, image.width + 2 * padding.1);
    windows::count(height, kh, stride.0).zip(windows::count(width, kw, stride.1)).ok_or_else(|| {
        let padded = if padding == (0, 0) { "" } else { " with its padding" };
        format!("the {kh}x{kw} window is larger than the {height}x{width} image{padded}")
    })
}
