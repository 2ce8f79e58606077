//! Where everything that a step needs lies in memory, worked out once.

use crate::aligned::{Aligned, LINE};
use crate::network::{BackConvolution, Convolution, Kind, Layout, Network};
use tenfold_kernels::LANES;
use tenfold_kernels::bf16::neighbours;
use tenfold_kernels::conv::fft::ConvFft;
use tenfold_kernels::conv::pooled::Entry;
use tenfold_kernels::linear::bf16::scratch_len;
use tenfold_kernels::linear::dense::LinearWeight;
use tenfold_kernels::linear::nonzero::mask_len;
use tenfold_kernels::linear::small_out::NonzeroImages;

/// Images that a thread takes through a Fourier transform together: enough for the spectra of the weights, which do not fit
/// in L2, to be read for many of them, and few enough for those of the images to fit.
pub(crate) const IMAGES_AT_ONCE: usize = 13;

/// Elements of a convolution's weight gradient that a thread sums before it learns from them: they stay in L2, and the
/// feature maps are not read too often.
pub(crate) const WEIGHTS_AT_ONCE: usize = 32 * 1024;

/// Where the buffers of one operation start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) output: usize,
    pub(crate) grad: usize,
    /// A convolution's weights rotated, for the gradient of its input.
    pub(crate) rotated: usize,
    /// Transforms of a convolution's weights, and of its rotated weights.
    pub(crate) transformed: usize,
    pub(crate) back_transformed: usize,
    /// Spectra of a convolution's input, and of the gradient of its output.
    pub(crate) spectra: usize,
    pub(crate) back_spectra: usize,
    /// The gradient of a convolution's weights, where it is not made and learned from piece by piece.
    pub(crate) grad_weight: usize,
    /// A pooled convolution's weight and bias gradients, channel by channel, or in narrow units.
    pub(crate) channels: usize,
    /// A linear layer's input and output gradient rounded to bf16, in pairs of neighbours and of rows.
    pub(crate) pairs: Pairs,
    /// A max-pooling's argmax, in bytes.
    pub(crate) argmax: usize,
    /// Which images have something in each block of a linear layer with few outputs, in bytes.
    pub(crate) lit_images: usize,
}

/// Where the rounded operands of a linear layer start, and the strides of their rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) x: usize,
    pub(crate) x_stride: usize,
    pub(crate) x_rows: usize,
    pub(crate) x_rows_stride: usize,
    pub(crate) grad: usize,
    pub(crate) grad_stride: usize,
    pub(crate) grad_rows: usize,
    pub(crate) grad_rows_stride: usize,
}

/// A bit for every pixel of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LitBuffers {
    /// Pixels of an image.
    pub(crate) pixels: usize,
    /// Image by image.
    pub(crate) by_image: usize,
    /// Pixel by pixel.
    pub(crate) by_input: usize,
}

/// Every buffer's place for one network and batch size.
pub(crate) struct Plan {
    pub(crate) batch_size: usize,
    pub(crate) input: usize,
    /// Which pixels are not zero, in bytes, where the first operation wants to know.
    pub(crate) lit: Option<LitBuffers>,
    pub(crate) buffers: Vec<Buffers>,
    floats: usize,
    bytes: usize,
    scratch: usize,
    entries: usize,
    products: usize,
    lit_by_input: usize,
    pub(crate) training: bool,
}

impl Plan {
    /// `training` makes room for gradients.
    pub(crate) fn new(network: &Network, batch_size: usize, training: bool) -> Plan {
        let mut plan = Plan {
            batch_size,
            input: 0,
            lit: None,
            buffers: Vec::new(),
            floats: 0,
            bytes: 0,
            scratch: LINE,
            entries: 0,
            products: 0,
            lit_by_input: 0,
            training,
        };
        // A layer with few outputs takes the pixels as the data have them.
        plan.input = plan.room(if network.few_outputs() { 0 } else { batch_size * network.input.image_len() });
        if let Some(LinearWeight { in_features: pixels, .. }) = network.linear_pixels() {
            let by_image = plan.room_for_bytes(batch_size * mask_len(pixels));
            plan.lit_by_input = if training { 8 * mask_len(pixels) * mask_len(batch_size) } else { 0 };
            plan.lit = Some(LitBuffers { pixels, by_image, by_input: plan.room_for_bytes(plan.lit_by_input) });
        }
        for op in &network.ops {
            let mut buffers = Buffers { output: plan.room(batch_size * op.output.image_len()), ..Buffers::default() };
            let learns = training && (op.passes_gradient || op.learns());
            if learns {
                buffers.grad = plan.room(batch_size * op.grad.image_len());
            }
            match &op.kind {
                Kind::MaxPool(pool) => buffers.argmax = plan.room_for_bytes(batch_size * pool.argmax_len()),
                Kind::Linear { layout, pairs, .. } => {
                    // A block's gradient.
                    plan.scratch = plan.scratch.max(layout.range(0).len());
                    if *pairs {
                        plan.scratch = plan.scratch.max(layout.range(0).len() + scratch_len(*layout));
                        buffers.pairs = plan.pairs(*layout, &op.input, learns);
                    }
                }
                Kind::LinearFew { layout, .. } => {
                    // The gradient of all that a thread has.
                    plan.scratch = plan.scratch.max(if learns { layout.len() } else { 0 });
                    buffers.lit_images = plan.room_for_bytes(size_of::<NonzeroImages>() * layout.mask_len(batch_size));
                }
                Kind::Conv { conv, back, .. } => {
                    plan.convolution(&mut buffers, conv, back.as_ref().filter(|_| learns));
                }
                Kind::ConvPool { shape, conv, back, .. } => {
                    buffers.argmax = plan.room_for_bytes(batch_size * shape.argmax_len());
                    plan.convolution(&mut buffers, conv, back.as_ref().filter(|_| learns));
                    plan.scratch = plan.scratch.max(shape.conv().output().len());
                    if learns && conv.fourier(back.as_ref()).is_none() {
                        if shape.is_small_in() {
                            let units = shape.small_in_units() * shape.small_in_unit_len();
                            buffers.channels = plan.room(units + shape.output().blocks() * LANES);
                        } else {
                            plan.entries = plan.entries.max(shape.entries_len());
                            buffers.channels = plan.room(shape.conv().output().channels() * (shape.channel_len() + 1));
                        }
                    }
                }
                Kind::AvgPool(_) | Kind::Activation | Kind::Dropout { .. } => {}
            }
            plan.buffers.push(buffers);
        }
        plan
    }

    /// `len` elements on a cache line of their own, and a line more: vectors may be read beyond the last element.
    fn room(&mut self, len: usize) -> usize {
        let start = self.floats;
        self.floats += len.next_multiple_of(LINE) + LINE;
        start
    }

    /// Room for a convolution, and for the one that passes its gradient on.
    fn convolution(&mut self, buffers: &mut Buffers, conv: &Convolution, back: Option<&BackConvolution>) {
        // Each thread's for one of its runs.
        let panels = conv.direct.weight();
        self.scratch = self.scratch.max(conv.direct.run_len() * panels.padded_n());
        // Or for some rows of its gradient, the bias's among them.
        self.scratch = self.scratch.max(WEIGHTS_AT_ONCE.min(panels.len() + panels.padded_n()));
        (buffers.transformed, buffers.spectra) = self.fourier(conv.fft.as_ref());
        let Some(back) = back else { return };
        buffers.rotated = self.room(back.weight_len());
        (buffers.back_transformed, buffers.back_spectra) = self.fourier(back.fft.as_ref());
        // Each thread's for the gradient of one image, with its border.
        self.scratch = self.scratch.max(conv.direct.grad_output().len());
        if conv.fourier(Some(back)).is_some() {
            buffers.grad_weight = self.room(conv.direct.weight().len());
        }
    }

    /// Room for the spectra of the weights and of the images; each thread's for some of its images' products.
    fn fourier(&mut self, fft: Option<&ConvFft>) -> (usize, usize) {
        let Some(fft) = fft else { return (0, 0) };
        self.products = self.products.max(fft.output_len(IMAGES_AT_ONCE));
        // The spectra of the weights' gradient come to lie where those of the weights were.
        (self.room(fft.gradient_len()), self.room(fft.input_len(self.batch_size)))
    }

    /// Room for the rounded operands of a linear layer.
    fn pairs(&mut self, layout: LinearWeight, input: &Layout, learns: bool) -> Pairs {
        let mut pairs = Pairs { x_stride: odd_lines(neighbours(layout.in_features)), ..Pairs::default() };
        pairs.x = self.room(self.batch_size * pairs.x_stride);
        if learns {
            let row_pairs = self.batch_size.div_ceil(2);
            pairs.x_rows_stride = odd_lines(input.image_len().next_multiple_of(LINE));
            pairs.x_rows = self.room(row_pairs * pairs.x_rows_stride);
            pairs.grad_stride = odd_lines(neighbours(layout.padded_outputs()));
            pairs.grad = self.room(self.batch_size * pairs.grad_stride);
            pairs.grad_rows_stride = odd_lines(layout.padded_outputs());
            pairs.grad_rows = self.room(row_pairs * pairs.grad_rows_stride);
        }
        pairs
    }

    fn room_for_bytes(&mut self, len: usize) -> usize {
        let start = self.bytes;
        self.bytes += len;
        start
    }

    /// Bytes of the memory and of each thread's scratch.
    pub(crate) fn bytes(&self, threads: usize) -> u64 {
        let scratch = self.scratch + self.products + self.entries * size_of::<Entry>() / 4;
        (4 * self.floats + self.bytes + threads * (4 * scratch + self.lit_by_input)) as u64
    }

    /// The memory that the plan is for.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            floats: Aligned::zeroed(self.floats),
            bytes: vec![0; self.bytes],
            losses: vec![0.0; self.batch_size],
            correct: vec![0; self.batch_size],
        }
    }

    /// What each thread needs for itself.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            values: Aligned::zeroed(self.scratch),
            entries: vec![Entry::default(); self.entries],
            products: Aligned::zeroed(self.products),
            labels: vec![0; self.batch_size],
            lit: vec![0; self.lit_by_input],
        }
    }
}

/// At least `len` elements, an odd number of cache lines: columns then spread over all cache sets.
fn odd_lines(len: usize) -> usize {
    (len.div_ceil(LINE) | 1) * LINE
}

/// The memory of one plan.
pub(crate) struct Memory {
    pub(crate) floats: Aligned,
    pub(crate) bytes: Vec<u8>,
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: Vec<u8>,
}

/// Memory of one thread.
pub(crate) struct Scratch {
    pub(crate) values: Aligned,
    pub(crate) entries: Vec<Entry>,
    /// Spectra of a few images' convolutions.
    pub(crate) products: Aligned,
    pub(crate) labels: Vec<u8>,
    /// The same as [`LitBuffers::by_input`], where each thread needs another part.
    pub(crate) lit: Vec<u8>,
}
