//! Convolution of feature maps in [`Planes`], and its gradients.
//!
//! `y[o][p] = bias[o] + sum over i, ky, kx of x[i][p * stride + (ky, kx) - padding] * weight[o][i][ky][kx]`.
//!
//! The input lies in planes whose border is the padding, so no tap needs a test. Weights lie in [`Panels`] with `k =
//! (block, ky, kx, lane)` over the input's blocks and `n = out_channels`: an output pixel is then a contraction of
//! `blocks * kh` contiguous runs of the input with consecutive rows of the weights, for up to 64 output channels at a
//! time.
//!
//! The gradient of the input is a convolution again, of `grad_y` with the kernels rotated by half a turn. With a
//! stride, the pixels of the input fall into phases: those that are a multiple of the stride apart meet the same taps,
//! and each phase is a convolution of stride 1 with these alone. [`Conv2d::phases`] are its shapes, [`rotate_weight`]
//! makes the weights of each.

use crate::contract::{Begin, MOST_TILE_ROWS, STRIDE, Segment, Sum, contract_slices};
use crate::panels::{PANEL, Panels};
use crate::planes::Planes;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes, transpose};
use crate::windows;
use std::ops::Range;

/// Elements of an output gradient that meet all weight rows while they are in L1: half of it.
const BLOCK: usize = 6 * 1024;

/// Rows of pixels that are in a block at most.
const MAX_ROWS: usize = 64;

/// Vectors of a panel at most.
const VECTORS: usize = PANEL / LANES;

/// The width of maps up to which a row makes no good tiles, and up to which it is worth while to leave out taps in the
/// padding: of 4x4 pixels that a 3x3 kernel of stride 2 makes of 7x7, they are 44 of 144.
const SMALL: usize = 8;

/// Images whose pixels are put together where maps are small: a multiple of all tiles' rows but eight.
const SMALL_AT_ONCE: usize = 12;

/// A convolution's shape, checked once; nothing of it can be changed afterwards, since kernels rely on the whole of it.
///
/// ```compile_fail,E0616
/// # use tenfold_kernels::{Planes, conv::direct::Conv2d};
/// let input = Planes::with_border(1, 1, 4, 4, [2; 4], (1, 1));
/// let mut conv = Conv2d::new(input, Planes::new(16, 4, 4), (5, 5), (1, 1), (2, 2));
/// conv.kernel = (1, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// The input, its border being the padding.
    pub(crate) input: Planes,
    /// The output before any activation.
    pub(crate) output: Planes,
    /// Height and width of the kernel.
    pub(crate) kernel: (usize, usize),
    /// Rows and columns from one output pixel to the next.
    pub(crate) stride: (usize, usize),
    /// Zero rows above and columns left of the input.
    pub(crate) padding: (usize, usize),
    /// For each (block, ky): a run of `kw * lanes` inputs, and the first of the weight rows that it meets.
    runs: Vec<Segment>,
    /// The taps that are not zero anyway, in the same order.
    taps: Taps,
    /// Those of each output pixel that are not in the border of the input either, where maps are small.
    by_pixel: Vec<Taps>,
}

/// Taps in pieces of `len`: runs or a part of each, or where at most half of a block's lanes hold a channel, for each
/// (ky, kx) those that do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taps {
    pieces: Vec<Segment>,
    len: usize,
}

impl Taps {
    /// The taps of rows `ky` and columns `kx` of the kernel. `runs`: as in [`Conv2d`].
    fn new(input: &Planes, kernel: (usize, usize), runs: &[Segment], ky: Range<usize>, kx: Range<usize>) -> Taps {
        let runs = runs.iter().enumerate().filter(|(run, _)| ky.contains(&(run % kernel.0))).map(|(_, run)| *run);
        let from = |run: Segment, kx: usize| Segment { a: run.a + kx * input.lanes, b: run.b + kx * input.lanes };
        if input.is_half_idle() {
            let pieces = runs.flat_map(|run| kx.clone().map(move |kx| from(run, kx))).collect();
            return Taps { pieces, len: input.channels };
        }
        Taps { pieces: runs.map(|run| from(run, kx.start)).collect(), len: kx.len() * input.lanes }
    }
}

impl Conv2d {
    /// The convolution of `input`, whose border must be `padding` zero rows above and below and zero columns left and
    /// right, to `output`.
    ///
    /// # Panics
    /// If the sizes do not fit, the padding is not smaller than the kernel, or the output is not in blocks of 16
    /// channels.
    pub fn new(
        input: Planes,
        output: Planes,
        kernel: (usize, usize),
        stride: (usize, usize),
        padding: (usize, usize),
    ) -> Conv2d {
        assert!(padding.0 < kernel.0 && padding.1 < kernel.1, "padding {padding:?} of a kernel {kernel:?}");
        let border = [padding.0, padding.1, padding.0, padding.1];
        let padded = Planes::with_border(input.channels, input.lanes, input.height, input.width, border, (1, 1));
        assert_eq!(input, padded, "the border of the input is the padding");
        let height = windows::count(input.height + 2 * padding.0, kernel.0, stride.0);
        let width = windows::count(input.width + 2 * padding.1, kernel.1, stride.1);
        assert_eq!((height, width), (Some(output.height), Some(output.width)), "{kernel:?} over {input:?}");
        Conv2d::over(0, input, output, kernel, stride, padding)
    }

    /// `start`: where in an image of `input` the window of the first output pixel starts.
    fn over(
        start: usize,
        input: Planes,
        output: Planes,
        kernel: (usize, usize),
        stride: (usize, usize),
        padding: (usize, usize),
    ) -> Conv2d {
        assert_eq!(output.lanes, LANES, "outputs are blocks of {LANES} channels");
        let runs = (0..input.blocks * kernel.0)
            .map(|run| Segment {
                a: start + (run / kernel.0) * input.plane + (run % kernel.0) * input.row,
                b: run * kernel.1 * input.lanes,
            })
            .collect::<Vec<_>>();
        let taps = Taps::new(&input, kernel, &runs, 0..kernel.0, 0..kernel.1);
        let mut by_pixel = Vec::new();
        if output.width <= SMALL && output.height <= SMALL {
            // The taps that meet no border, along one dimension: the window starts `first` pixels behind its start.
            let inside = |first: usize, border: usize, size: usize, kernel: usize| {
                let end = (border + size).saturating_sub(first).min(kernel);
                border.saturating_sub(first).min(end)..end
            };
            let (top, left) = (start / input.row, start % input.row / input.pixel);
            let (above, before) = (input.origin / input.row, input.origin % input.row / input.pixel);
            for y in 0..output.height {
                let ky = inside(top + y * stride.0, above, input.height, kernel.0);
                for x in 0..output.width {
                    let kx = inside(left + x * stride.1, before, input.width, kernel.1);
                    by_pixel.push(Taps::new(&input, kernel, &runs, ky.clone(), kx));
                }
            }
        }
        Conv2d { input, output, kernel, stride, padding, runs, taps, by_pixel }
    }

    /// The input, its border being the padding.
    pub fn input(&self) -> &Planes {
        &self.input
    }

    /// The output before any activation.
    pub fn output(&self) -> &Planes {
        &self.output
    }

    /// Height and width of the kernel.
    pub fn kernel(&self) -> (usize, usize) {
        self.kernel
    }

    /// Rows and columns from one output pixel to the next.
    pub fn stride(&self) -> (usize, usize) {
        self.stride
    }

    /// The layout of `grad_y` for the convolutions that pass it on: with the border that they need.
    pub fn grad_output(&self) -> Planes {
        let out = &self.output;
        let (top, bottom) = Line::border(self.lines(0), out.height);
        let (left, right) = Line::border(self.lines(1), out.width);
        Planes::with_border(out.channels, LANES, out.height, out.width, [top, left, bottom, right], (1, 1))
    }

    /// The convolutions that turn `grad_y` (in the layout [`Conv2d::grad_output`]) into the gradient of the input
    /// (without border). Each overwrites other pixels; those that none overwrites have a gradient of zero.
    ///
    /// # Panics
    /// Unless the input is in blocks of 16 channels.
    pub fn phases(&self) -> Vec<Phase> {
        assert_eq!(self.input.lanes, LANES, "the gradient of an input needs whole vectors of channels");
        let grad = self.grad_output();
        let all = Planes::new(self.input.channels, self.input.height, self.input.width);
        let (top, left) = (grad.origin / grad.row, grad.origin % grad.row / grad.pixel);
        let mut phases = Vec::new();
        for down in self.lines(0) {
            for across in self.lines(1) {
                let output = Planes {
                    height: down.pixels,
                    width: across.pixels,
                    origin: all.offset(0, down.first_pixel, across.first_pixel),
                    pixel: all.pixel * self.stride.1,
                    row: all.row * self.stride.0,
                    ..all
                };
                let start = down.start(top) * grad.row + across.start(left) * grad.pixel;
                let conv = Conv2d::over(start, grad, output, (down.taps, across.taps), (1, 1), (top, left));
                phases.push(Phase { conv, first_tap: (down.first_tap, across.first_tap), step: self.stride });
            }
        }
        phases
    }

    /// Whether every pixel of the input's gradient is written by one of the [`Conv2d::phases`].
    pub fn phases_are_whole(&self) -> bool {
        self.stride.0 <= self.kernel.0 && self.stride.1 <= self.kernel.1
    }

    /// The phases along rows (`axis` 0) or columns (1).
    fn lines(&self, axis: usize) -> impl Iterator<Item = Line> {
        let of = |(rows, columns): (usize, usize)| if axis == 0 { rows } else { columns };
        let (kernel, stride, padding) = (of(self.kernel), of(self.stride), of(self.padding));
        let size = of((self.input.height, self.input.width));
        let line = move |first_tap: usize| {
            let first_pixel = (first_tap + stride - padding % stride) % stride;
            Line {
                first_tap,
                taps: (kernel - first_tap).div_ceil(stride),
                first_pixel,
                pixels: size.saturating_sub(first_pixel).div_ceil(stride),
                meets: (first_pixel + padding) / stride,
            }
        };
        (0..stride.min(kernel)).map(line).filter(|line| line.pixels > 0)
    }

    /// The layout of the weights.
    pub fn weight(&self) -> Panels {
        Panels { k: self.run_count() * self.run_len(), n: self.output.channels }
    }

    /// Weight row of input channel `i` at kernel pixel (`ky`, `kx`).
    pub fn weight_row(&self, i: usize, ky: usize, kx: usize) -> usize {
        let (block, lane) = (i / self.input.lanes, i % self.input.lanes);
        ((block * self.kernel.0 + ky) * self.kernel.1 + kx) * self.input.lanes + lane
    }

    /// Number of (block, ky) runs.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Where each (block, ky) run of taps starts: in the input, from a pixel's first tap, and in rows of the weights.
    pub(crate) fn runs(&self) -> &[Segment] {
        &self.runs
    }

    /// Where the pieces of taps that are worth multiplying start, as [`Conv2d::runs`] says it, and their length.
    pub(crate) fn taps(&self) -> (&[Segment], usize) {
        (&self.taps.pieces, self.taps.len)
    }

    /// Images that [`conv2d_forward`] should be given together: several where maps are small.
    pub fn images_at_once(&self) -> usize {
        if self.by_pixel.is_empty() { 1 } else { SMALL_AT_ONCE }
    }

    /// How often a [`Prefetch`] is asked while so many images are convolved, about.
    pub fn calls(&self, images: usize) -> usize {
        let tiles = (images * self.output.height * self.output.width).div_ceil(MOST_TILE_ROWS);
        tiles * self.weight().count() * self.weight().k.div_ceil(STRIDE)
    }

    /// Weight rows of one run.
    pub fn run_len(&self) -> usize {
        self.kernel.1 * self.input.lanes
    }

    /// Multiply-adds of one image, taps in the padding included.
    pub fn macs(&self) -> usize {
        let taps = self.input.channels * self.kernel.0 * self.kernel.1;
        taps * self.output.channels * self.output.height * self.output.width
    }
}

/// A convolution that makes some pixels of the gradient of another's input; see [`Conv2d::phases`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The convolution; its output is those pixels of the whole gradient.
    pub(crate) conv: Conv2d,
    /// The first row and column of the kernel that these pixels meet.
    first_tap: (usize, usize),
    /// Rows and columns from there to the next.
    step: (usize, usize),
}

impl Phase {
    /// The convolution; its output is those pixels of the whole gradient.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The tap of the original kernel that is at (`ky`, `kx`) of the phase's, which is rotated by half a turn.
    pub(crate) fn tap(&self, ky: usize, kx: usize) -> (usize, usize) {
        let (kh, kw) = self.conv.kernel;
        (self.first_tap.0 + (kh - 1 - ky) * self.step.0, self.first_tap.1 + (kw - 1 - kx) * self.step.1)
    }
}

/// A phase along one dimension: pixels of the input a stride apart, and the taps that they meet.
struct Line {
    first_tap: usize,
    taps: usize,
    first_pixel: usize,
    pixels: usize,
    /// The output pixel from which the first pixel gets the first tap; each further tap comes from one before.
    meets: usize,
}

impl Line {
    /// Where the first pixel's window starts, in output pixels behind a border of `border`.
    fn start(&self, border: usize) -> usize {
        border + self.meets + 1 - self.taps
    }

    /// The border that all need before and behind `size` output pixels.
    fn border(lines: impl Iterator<Item = Line>, size: usize) -> (usize, usize) {
        lines.fold((0, 0), |(before, behind), line| {
            let first = (line.taps - 1).saturating_sub(line.meets);
            let last = (line.meets + line.pixels).saturating_sub(size);
            (before.max(first), behind.max(last))
        })
    }
}

/// Overwrites the pixels of `y` (`images` images of [`Conv2d::output`]) with the convolution without bias.
///
/// `x`: as many of [`Conv2d::input`]. `weight`: [`Conv2d::weight`]. `ahead`: asked for meanwhile, some
/// [`Conv2d::calls`] times.
///
/// # Panics
/// If a slice has another length than that.
pub fn conv2d_forward(
    isa: Isa,
    conv: &Conv2d,
    images: usize,
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
    ahead: &mut Prefetch,
) {
    let (input, out, panels) = (&conv.input, &conv.output, conv.weight());
    assert_eq!(x.len(), images * input.len(), "x is {images} images of {input:?}");
    assert_eq!(y.len(), images * out.len(), "y is {images} images of {out:?}");
    assert_eq!(weight.len(), panels.len(), "weight is [{}, {}] in panels", panels.k, panels.n);
    let by_pixel = images >= SMALL_AT_ONCE / 2 && !conv.by_pixel.is_empty();
    for p in 0..panels.count() {
        let width = panels.width(p);
        let weight = &weight[panels.start(p)..];
        let start = out.offset(panels.columns(p).start / LANES, 0, 0);
        let rows = Sum {
            groups: out.height,
            rows: out.width,
            vectors: width / LANES,
            a_group: input.row * conv.stride.0,
            a_row: input.pixel * conv.stride.1,
            c_group: out.row,
            c_row: out.pixel,
            segments: &conv.taps.pieces,
            len: conv.taps.len,
            a_step: 1,
            b_unit: width,
            b_step: width,
            b_block: LANES,
            c_block: out.plane,
            begin: Begin::Zero,
            half_idle: panels.is_half_idle(p),
        };
        if by_pixel {
            for (at, taps) in conv.by_pixel.iter().enumerate() {
                // The same pixel of all images.
                let sum = Sum {
                    groups: 1,
                    rows: images,
                    a_row: input.len(),
                    c_row: out.len(),
                    segments: &taps.pieces,
                    len: taps.len,
                    ..rows
                };
                let (row, column) = (at / out.width, at % out.width);
                let x = &x[row * rows.a_group + column * rows.a_row..];
                let y = &mut y[start + row * out.row + column * out.pixel..];
                contract_slices(isa, &sum, x, weight, y, ahead);
            }
            continue;
        }
        for (x, y) in x.chunks_exact(input.len()).zip(y.chunks_exact_mut(out.len())) {
            contract_slices(isa, &rows, x, weight, &mut y[start..], ahead);
        }
    }
}

/// Adds to each pixel of `y` (one image of `planes`) the bias of its channel; if `relu`, what is less than zero becomes
/// that. `bias`: one element per padded channel.
///
/// # Panics
/// If a slice has another length than that, or blocks are not of 16 channels.
pub fn add_bias(isa: Isa, planes: &Planes, bias: &[f32], relu: bool, y: &mut [f32]) {
    assert_eq!((y.len(), planes.lanes), (planes.len(), LANES), "y is one image of {planes:?}");
    assert_eq!(bias.len(), planes.blocks * LANES, "bias has one element per padded channel");
    dispatch!(isa, add_bias_body(planes: &Planes, bias: &[f32], relu: bool, y: &mut [f32]))
}

#[inline(always)]
fn add_bias_body<L: Lanes>(simd: L, planes: &Planes, bias: &[f32], relu: bool, y: &mut [f32]) {
    let floor = simd.splat(if relu { 0.0 } else { f32::NEG_INFINITY });
    for (block, bias) in bias.chunks_exact(LANES).enumerate() {
        // SAFETY: the slice holds a vector.
        let bias = unsafe { simd.load(bias.as_ptr()) };
        for row in 0..planes.height {
            for column in 0..planes.width {
                let pixel = &mut y[planes.offset(block, row, column)..][..LANES];
                // SAFETY: the slice holds a vector.
                unsafe {
                    let sum = simd.add(simd.load(pixel.as_ptr()), bias);
                    // A NaN stays one, and a zero what it is.
                    simd.store(pixel.as_mut_ptr(), simd.select_greater_or_nan(floor, sum, floor, sum));
                }
            }
        }
    }
}

/// Overwrites the rows `rows` of panel `panel` of the weights' gradient,
/// `sum over images and pixels of x[i][p * stride + (ky, kx) - padding] * grad_y[o][p]`.
///
/// The row after the last, `weight().k`, is the gradient of the bias, the sum of `grad_y[o][p]`. `x`: `images` images
/// of [`Conv2d::input`]. `grad_y`: as many of `grad`, any layout of the output's size. `rows_out`: `rows.len()` rows of
/// the panel's width.
///
/// # Panics
/// If a slice has another length than that, `grad` has another size or other channels than [`Conv2d::output`], or
/// there are no such rows.
#[expect(clippy::too_many_arguments, reason = "which part, two operands, the result")]
pub fn conv2d_backward_weight(
    isa: Isa,
    conv: &Conv2d,
    panel: usize,
    rows: Range<usize>,
    x: &[f32],
    grad: &Planes,
    grad_y: &[f32],
    images: usize,
    rows_out: &mut [f32],
) {
    let (input, panels) = (&conv.input, conv.weight());
    let width = panels.width(panel);
    assert!(rows.end <= panels.k + 1, "rows {rows:?} of {} and the bias", panels.k);
    assert_eq!(rows_out.len(), rows.len() * width, "rows_out holds rows {rows:?} of panel {panel}");
    assert_eq!((grad.height, grad.width), (conv.output.height, conv.output.width), "grad has the output's size");
    assert_eq!((grad.blocks, grad.lanes), (conv.output.blocks, LANES), "grad has the output's channels");
    assert_eq!(x.len(), images * input.len(), "x is {images} images of {input:?}");
    assert_eq!(grad_y.len(), images * grad.len(), "grad_y is {images} images of {grad:?}");
    if images == 0 {
        rows_out.fill(0.0);
    }
    // The whole batch's pixels, as many rows of them at a time as stay in L1 while all weight rows meet them.
    let at_once = (BLOCK / (width * grad.width)).clamp(1, MAX_ROWS);
    let all = images * grad.height;
    let grad_y = &grad_y[panels.columns(panel).start / LANES * grad.plane..];
    let by_tap = !conv.by_pixel.is_empty() && input.lanes == LANES;
    let row_of = |pixel_row: usize| {
        let (image, y) = (pixel_row / grad.height, pixel_row % grad.height);
        let a = image * input.len() + y * conv.stride.0 * input.row;
        Segment { a, b: image * grad.len() + grad.offset(0, y, 0) }
    };
    for first in (0..all).step_by(at_once) {
        let count = at_once.min(all - first);
        let mut segments = [Segment { a: 0, b: 0 }; MAX_ROWS];
        (first..).zip(&mut segments[..count]).for_each(|(row, segment)| *segment = row_of(row));
        let next = Next::new((first + count..all).take(at_once).map(row_of));
        let mut done = rows.start;
        while done < rows.end {
            // To the end of the run at most; the bias is a run of its own, over an input of ones.
            let is_bias = done == panels.k;
            let (run, start) = (done / conv.run_len(), done % conv.run_len());
            let mut end = if is_bias { done + 1 } else { rows.end.min((run + 1) * conv.run_len()) };
            let (mut of_piece, mut piece_rows, mut columns) = (segments, count, 0..grad.width);
            if is_bias {
                of_piece.iter_mut().for_each(|segment| segment.a = 0);
            } else if by_tap {
                // A tap at a time, over the pixels for which it is not in the padding.
                end = end.min(done - start % LANES + LANES);
                let (ky, kx) = (run % conv.kernel.0, start / LANES);
                let in_image = meets(ky, conv.padding.0, input.height, conv.stride.0, grad.height);
                columns = meets(kx, conv.padding.1, input.width, conv.stride.1, grad.width);
                piece_rows = 0;
                let mut y = first % grad.height;
                for at in 0..count {
                    of_piece[piece_rows] = Segment {
                        a: segments[at].a + columns.start * conv.stride.1 * input.pixel,
                        b: segments[at].b + columns.start * grad.pixel,
                    };
                    // Without a branch: a row that does not count is overwritten by the next.
                    piece_rows += usize::from(in_image.contains(&y));
                    y = if y + 1 < grad.height { y + 1 } else { 0 };
                }
            }
            let c = &mut rows_out[(done - rows.start) * width..(end - rows.start) * width];
            let sum = Sum {
                groups: 1,
                rows: end - done,
                vectors: width / LANES,
                a_group: 0,
                a_row: 1,
                c_group: 0,
                c_row: width,
                segments: &of_piece[..piece_rows],
                len: columns.len(),
                a_step: if is_bias { 0 } else { conv.stride.1 * input.pixel },
                b_unit: 1,
                b_step: grad.pixel,
                b_block: grad.plane,
                c_block: LANES,
                begin: if first > 0 { Begin::Sums } else { Begin::Zero },
                half_idle: panels.is_half_idle(panel),
            };
            if is_bias {
                contract_slices(isa, &sum, &[1.0], grad_y, c, &mut Prefetch::nothing());
            } else {
                let calls = sum.rows.div_ceil(MOST_TILE_ROWS) * piece_rows * columns.len().div_ceil(STRIDE);
                let (mut of_x, mut of_grad) = ([std::ptr::null(); MAX_ROWS], [std::ptr::null(); MAX_ROWS * VECTORS]);
                // All weight rows of a block of channels ask for its rows of pixels, and all together for the gradient's.
                let block = run / conv.kernel.0 * conv.kernel.0;
                let (before, len) = (block * conv.run_len(), conv.kernel.0 * conv.run_len());
                let of_x = next.starts(done - before..end - before, len, &mut of_x, |row, n| {
                    (n == 0).then(|| x.as_ptr().wrapping_add(row.a + conv.runs[block].a))
                });
                let part = done - rows.start..end - rows.start;
                let of_grad = next.starts(part, rows.len(), &mut of_grad, |row, n| {
                    (n < sum.vectors).then(|| grad_y.as_ptr().wrapping_add(row.b + n * grad.plane))
                });
                let (of_x, of_grad) = ((of_x, conv.stride.0 * input.row), (of_grad, grad.width * grad.pixel));
                let mut ahead = Prefetch::over_both(of_x, of_grad, calls);
                contract_slices(isa, &sum, &x[conv.runs[run].a + start..], grad_y, c, &mut ahead);
            }
            done = end;
        }
    }
}

/// The rows of pixels that meet all weight rows next, asked for bit by bit while the ones before do: they come from
/// memory, where a processor sees no stream in them.
struct Next {
    rows: [Segment; MAX_ROWS],
    count: usize,
}

impl Next {
    fn new(rows: impl Iterator<Item = Segment>) -> Next {
        let mut next = Next { rows: [Segment { a: 0, b: 0 }; MAX_ROWS], count: 0 };
        for row in rows {
            next.rows[next.count] = row;
            next.count += 1;
        }
        next
    }

    /// Where the rows start that part `part` of `all` asks for.
    fn starts<'s, const N: usize>(
        &self,
        part: Range<usize>,
        all: usize,
        starts: &'s mut [*const f32; N],
        of_row: impl Fn(&Segment, usize) -> Option<*const f32>,
    ) -> &'s [*const f32] {
        let mut count = 0;
        for row in &self.rows[self.count * part.start / all..self.count * part.end / all] {
            for start in (0..).map_while(|n| of_row(row, n)) {
                starts[count] = start;
                count += 1;
            }
        }
        &starts[..count]
    }
}

/// The output pixels, along one dimension of `pixels`, for which tap `tap` is not in the padding.
fn meets(tap: usize, padding: usize, size: usize, stride: usize, pixels: usize) -> Range<usize> {
    let end = (padding + size).saturating_sub(tap).div_ceil(stride).min(pixels);
    padding.saturating_sub(tap).div_ceil(stride).min(end)..end
}

/// Overwrites the rows of the runs `runs` in panel `panel` of the weights of a phase of `conv`: `rotated[i][o][ky][kx]`
/// is `weight[o][i]` at the phase's tap (`kh - 1 - ky`, `kw - 1 - kx`), of its `kh x kw`.
///
/// `weight`: [`Conv2d::weight`] of `conv`. `rotated`: as many rows of the panel's width as the runs have taps.
///
/// # Panics
/// If a slice has another length than that, or the input is not in blocks of 16 channels.
pub fn rotate_weight(
    isa: Isa,
    conv: &Conv2d,
    phase: &Phase,
    panel: usize,
    runs: Range<usize>,
    weight: &[f32],
    rotated: &mut [f32],
) {
    let (from, to) = (conv.weight(), phase.conv.weight());
    assert_eq!(conv.input.lanes, LANES, "whole blocks of input channels");
    assert_eq!(weight.len(), from.len(), "weight is [{}, {}] in panels", from.k, from.n);
    let len = runs.len() * phase.conv.run_len() * to.width(panel);
    assert_eq!(rotated.len(), len, "rotated holds the rows of {runs:?} in panel {panel}");
    dispatch!(
        isa,
        rotate_weight_body(
            conv: &Conv2d,
            phase: &Phase,
            panel: usize,
            runs: Range<usize>,
            weight: &[f32],
            rotated: &mut [f32],
        )
    )
}

#[inline(always)]
fn rotate_weight_body<L: Lanes>(
    simd: L,
    conv: &Conv2d,
    phase: &Phase,
    panel: usize,
    runs: Range<usize>,
    weight: &[f32],
    rotated: &mut [f32],
) {
    let (kh, kw) = phase.conv.kernel;
    let (from, columns) = (conv.weight(), phase.conv.weight().columns(panel));
    for (number, run) in runs.enumerate() {
        let (block, ky) = (run / kh, run % kh);
        let stride = from.width(from.panel_of(block * LANES));
        for kx in 0..kw {
            let to = (number * kw + kx) * LANES;
            let tap_y = phase.first_tap.0 + phase.step.0 * (kh - 1 - ky);
            let tap_x = phase.first_tap.1 + phase.step.1 * (kw - 1 - kx);
            for first in columns.clone().step_by(LANES) {
                // Sixteen rows of inputs by sixteen columns of outputs; those that fill up a block are zero.
                let row = conv.weight_row(first, tap_y, tap_x);
                let taps = &weight[from.index(row, block * LANES)..][..(LANES - 1) * stride + LANES];
                let mut rows = [simd.zero(); LANES];
                for lane in 0..LANES {
                    // SAFETY: the slice holds sixteen rows of a vector each.
                    rows[lane] = unsafe { simd.load(taps.as_ptr().add(lane * stride)) };
                }
                rows = transpose(simd, rows);
                for lane in 0..LANES {
                    let out = &mut rotated[(to + lane) * columns.len() + first - columns.start..][..LANES];
                    // SAFETY: the slice holds a vector.
                    unsafe { simd.store(out.as_mut_ptr(), rows[lane]) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, activation_forward};
    use crate::reference::{self, Window};
    use crate::testing::{
        assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values,
    };

    /// `((channels, height, width), lanes, out_channels, kernel, stride, padding)`.
    type Case = ((usize, usize, usize), usize, usize, (usize, usize), (usize, usize), (usize, usize));

    const CASES: [Case; 17] = [
        ((1, 28, 28), 1, 32, (5, 5), (1, 1), (2, 2)),
        ((32, 14, 14), 16, 64, (5, 5), (1, 1), (2, 2)),
        ((1, 1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
        ((3, 13, 11), 3, 5, (3, 3), (2, 2), (1, 1)),
        ((5, 6, 7), 16, 17, (2, 3), (1, 2), (0, 1)),
        ((16, 9, 8), 16, 16, (4, 1), (3, 1), (3, 0)),
        ((17, 5, 5), 16, 65, (3, 3), (1, 1), (1, 1)),
        ((2, 12, 12), 2, 6, (3, 3), (1, 1), (2, 2)),
        ((33, 4, 9), 16, 80, (2, 2), (2, 2), (1, 0)),
        ((3, 64, 3), 3, 8, (7, 3), (5, 1), (3, 1)),
        ((20, 7, 7), 16, 130, (1, 1), (1, 1), (0, 0)),
        // The input's gradient in phases: of several sizes, without taps, without pixels, beyond the last window.
        ((17, 31, 10), 16, 20, (3, 3), (2, 2), (0, 0)),
        ((16, 7, 12), 16, 18, (1, 1), (2, 3), (0, 0)),
        ((20, 11, 14), 16, 33, (5, 4), (3, 2), (2, 1)),
        ((16, 2, 9), 16, 16, (5, 2), (4, 5), (2, 0)),
        ((18, 12, 13), 16, 16, (4, 7), (4, 3), (1, 6)),
        // A gradient of the output of which half the lanes hold no channel.
        ((17, 9, 8), 16, 6, (3, 4), (2, 1), (1, 2)),
    ];

    fn pack_weight(conv: &Conv2d, weight: &[f32]) -> Vec<f32> {
        let (panels, (kh, kw)) = (conv.weight(), conv.kernel);
        let channels = conv.input.channels;
        let mut out = vec![0.0; panels.len()];
        for (at, &value) in weight.iter().enumerate() {
            let (kx, ky) = (at % kw, at / kw % kh);
            let (i, o) = (at / kw / kh % channels, at / kw / kh / channels);
            out[panels.index(conv.weight_row(i, ky, kx), o)] = value;
        }
        out
    }

    fn padded(values: &[f32]) -> Vec<f32> {
        let mut out = values.to_vec();
        out.resize(values.len().next_multiple_of(LANES), 0.0);
        out
    }

    #[test]
    fn forward_and_gradients_match_the_reference_on_every_isa() {
        for (shape, lanes, out_channels, kernel, stride, padding) in CASES {
            if too_large(shape.0 * shape.1 * shape.2 * out_channels * kernel.0 * kernel.1) {
                continue;
            }
            let what = format!("{shape:?} to {out_channels} by {kernel:?} stride {stride:?} padding {padding:?}");
            let window = Window { kernel, stride, padding: [padding.0, padding.1, padding.0, padding.1] };
            let (c, h, w) = shape;
            let (oh, ow) = window.output(h, w).expect("fits");
            let input = Planes::with_border(c, lanes, h, w, window.padding, (1, 1));
            // A border of its own, as where another convolution follows.
            let output = Planes::with_border(out_channels, LANES, oh, ow, [1, 2, 0, 1], (1, 1));
            let conv = Conv2d::new(input, output, kernel, stride, padding);
            let images = 3;
            let weight = values(out_channels * c * kernel.0 * kernel.1, 1);
            let bias = values(out_channels, 2);
            let out_len = out_channels * conv.output.height * conv.output.width;
            let x: Vec<_> = (0..images).map(|n| values(c * h * w, 10 + n as u32)).collect();
            let grad_y: Vec<_> = (0..images).map(|n| values(out_len, 20 + n as u32)).collect();

            let mut grad_weight = vec![0.0; weight.len()];
            let mut grad_bias = vec![0.0; out_channels];
            let mut grad_x = Vec::new();
            for n in 0..images {
                let (gx, gw, gb) = reference::conv2d_backward(&x[n], shape, &weight, out_channels, &grad_y[n], &window);
                grad_x.push(gx);
                grad_weight.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
                grad_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
            }

            let packed_weight = pack_weight(&conv, &weight);
            let packed_x: Vec<f32> = x.iter().flat_map(|x| pack_image(x, &conv.input)).collect();
            let grad_planes = conv.grad_output();
            let packed_grad: Vec<f32> = grad_y.iter().flat_map(|g| pack_image(g, &grad_planes)).collect();

            on_every_isa(|isa| {
                let mut bits = Vec::new();
                for n in 0..images {
                    let mut y = vec![0.0; conv.output.len()];
                    let image = &packed_x[n * conv.input.len()..(n + 1) * conv.input.len()];
                    conv2d_forward(isa, &conv, 1, image, &packed_weight, &mut y, &mut Prefetch::nothing());
                    let together = [image; SMALL_AT_ONCE / 2 + 1].concat();
                    let mut ys = vec![0.0; (SMALL_AT_ONCE / 2 + 1) * y.len()];
                    conv2d_forward(
                        isa,
                        &conv,
                        SMALL_AT_ONCE / 2 + 1,
                        &together,
                        &packed_weight,
                        &mut ys,
                        &mut Prefetch::nothing(),
                    );
                    assert!(ys.chunks_exact(y.len()).all(|of_image| of_image == y), "images together, {what}");
                    add_bias(isa, &conv.output, &padded(&bias), false, &mut y);
                    let expected = reference::conv2d_forward(&x[n], shape, &weight, &bias, &window);
                    assert_close(&unpack_image(&y, &conv.output), &expected, 1e-5, &format!("y of {what}"));
                    assert_padding_is_zero(&y, &conv.output, &what);
                    bits.extend(y.iter().map(|v| v.to_bits()));
                }

                let panels = conv.weight();
                let mut got = vec![f32::NAN; weight.len()];
                let mut bias_got = vec![f32::NAN; conv.output.blocks * LANES];
                for p in 0..panels.count() {
                    let (width, columns) = (panels.width(p), panels.columns(p));
                    // Cut within a run and between two, and before the bias or not.
                    let mut cuts = [0, 1, conv.run_len(), panels.k - panels.k / 3, panels.k + p % 2, panels.k + 1];
                    cuts.sort_unstable();
                    for cut in cuts.windows(2) {
                        let rows = cut[0]..cut[1];
                        let mut part = vec![f32::NAN; rows.len() * width];
                        conv2d_backward_weight(
                            isa,
                            &conv,
                            p,
                            rows.clone(),
                            &packed_x,
                            &grad_planes,
                            &packed_grad,
                            images,
                            &mut part,
                        );
                        bits.extend(part.iter().map(|v| v.to_bits()));
                        for (at, value) in got.iter_mut().enumerate() {
                            let (kx, ky) = (at % kernel.1, at / kernel.1 % kernel.0);
                            let (i, o) = (at / kernel.1 / kernel.0 % c, at / kernel.1 / kernel.0 / c);
                            let row = conv.weight_row(i, ky, kx);
                            if rows.contains(&row) && columns.contains(&o) {
                                *value = part[(row - rows.start) * width + o - columns.start];
                            }
                        }
                        if rows.contains(&panels.k) {
                            bias_got[columns.clone()].copy_from_slice(&part[part.len() - width..]);
                        }
                    }
                }
                assert_close(&got, &grad_weight, 1e-5, &format!("grad_weight of {what}"));
                assert_close(&bias_got[..out_channels], &grad_bias, 1e-5, &format!("grad_bias of {what}"));

                if lanes == LANES {
                    let all = Planes::new(c, h, w);
                    let together = SMALL_AT_ONCE / 2;
                    let many = packed_grad.repeat(together);
                    let mut out = vec![vec![f32::NAN; all.len()]; images];
                    let mut outs = vec![f32::NAN; together * images * all.len()];
                    if !conv.phases_are_whole() {
                        out.iter_mut().for_each(|out| out.fill(0.0));
                        outs.fill(0.0);
                    }
                    for phase in conv.phases() {
                        let panels = phase.conv.weight();
                        let mut rotated = vec![f32::NAN; panels.len()];
                        for p in 0..panels.count() {
                            let rows = panels.rows(p, 0..panels.k);
                            let runs = 0..phase.conv.run_count();
                            rotate_weight(isa, &conv, &phase, p, runs, &packed_weight, &mut rotated[rows]);
                        }
                        for (out, g) in out.iter_mut().zip(packed_grad.chunks_exact(grad_planes.len())) {
                            conv2d_forward(isa, &phase.conv, 1, g, &rotated, out, &mut Prefetch::nothing());
                        }
                        conv2d_forward(
                            isa,
                            &phase.conv,
                            together * images,
                            &many,
                            &rotated,
                            &mut outs,
                            &mut Prefetch::nothing(),
                        );
                    }
                    assert!(outs == out.concat().repeat(together), "gradients of images together, {what}");
                    for (out, grad_x) in out.iter().zip(&grad_x) {
                        assert_close(&unpack_image(out, &all), grad_x, 1e-5, &format!("grad_x of {what}"));
                        assert_padding_is_zero(out, &all, &what);
                        bits.extend(out.iter().map(|v| v.to_bits()));
                    }
                }
                bits
            });
        }
    }

    #[test]
    fn a_bias_with_relu_is_one_after_the_other() {
        for border in [[0; 4], [1, 2, 0, 1]] {
            let planes = Planes::with_border(20, LANES, 3, 5, border, (1, 1));
            let (mut image, mut bias) = (values(20 * 15, 1), values(2 * LANES, 2));
            bias[20..].fill(0.0);
            (image[3], image[4], image[40]) = (f32::NAN, -0.0, f32::INFINITY);
            on_every_isa(|isa| {
                let mut y = pack_image(&image, &planes);
                add_bias(isa, &planes, &bias, false, &mut y);
                activation_forward(isa, Activation::Relu, &mut y);
                let mut both = pack_image(&image, &planes);
                add_bias(isa, &planes, &bias, true, &mut both);
                let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&both), bits(&y), "border {border:?}");
                assert_padding_is_zero(&both, &planes, "bias");
                bits(&y)
            });
        }
    }
}
