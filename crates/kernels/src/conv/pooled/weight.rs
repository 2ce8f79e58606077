//! The weight gradient, summed over the winners alone: for each output channel, its list of them, and what their taps
//! saw.

use super::{ConvPool, NOBODY};
use crate::panels::Panels;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};
use std::ops::Range;

/// One pixel of the convolution's output that has a gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Where its first tap lies in the input of the image.
    tap: u32,
    gradient: f32,
}

/// Elements of one block of the input that the windows of a band see: they stay in L1 while all output channels of a
/// block go through their lists.
const BAND: usize = 5 * 1024;

impl ConvPool {
    /// Room that [`conv_pool_backward_weight`] needs for the pixels of one block of channels.
    pub fn entries_len(&self) -> usize {
        self.band_rows() * self.output.width * LANES
    }

    /// Rows of windows whose entries are listed together.
    fn band_rows(&self) -> usize {
        let lines = (BAND / self.conv.input.row).saturating_sub(self.conv.kernel.0 - 1);
        (lines / (self.window.0 * self.conv.stride.0)).clamp(1, self.output.height)
    }

    /// Vectors of one run of taps. Where half of a block's lanes hold no channel, a vector is the first halves of two
    /// taps.
    fn run_vectors(&self) -> usize {
        if self.conv.input.is_half_idle() {
            self.conv.kernel.1.div_ceil(2)
        } else {
            self.conv.run_len().div_ceil(LANES)
        }
    }

    /// Where in these vectors the tap is that is number `row` of the run, if it is there.
    fn place_in_run(&self, row: usize) -> Option<usize> {
        let (kx, lane) = (row / LANES, row % LANES);
        match self.conv.input.is_half_idle() {
            true => (lane < LANES / 2).then_some(kx * LANES / 2 + lane),
            false => Some(row),
        }
    }

    /// Weight gradient of one output channel as [`conv_pool_backward_weight`] gives it: each run padded to vectors.
    pub fn channel_len(&self) -> usize {
        self.conv.run_count() * self.run_vectors() * LANES
    }
}

/// Overwrites `grad` (`[channels, channel_len]`) with the weight gradients of the output channels `channels`, summed
/// over the images, and `grad_bias` with those of their biases.
///
/// `x`: the images of [`crate::conv::direct::Conv2d::input`] and then [`ConvPool::slack`] elements more. `grad_y`: the
/// gradient of the output without border. `entries`: room for [`ConvPool::entries_len`].
///
/// # Panics
/// If a slice has another length than that, or there are no such channels.
#[expect(clippy::too_many_arguments, reason = "three inputs, two outputs and room to work in")]
pub fn conv_pool_backward_weight(
    isa: Isa,
    shape: &ConvPool,
    channels: Range<usize>,
    x: &[f32],
    grad_y: &[f32],
    argmax: &[u8],
    images: usize,
    entries: &mut [Entry],
    grad: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert_eq!(x.len(), images * shape.conv.input.len() + shape.slack(), "x is {images} images and slack");
    assert_eq!(grad_y.len(), images * shape.argmax_len(), "one gradient per output");
    assert_eq!(argmax.len(), images * shape.argmax_len(), "one winner per output");
    assert!(channels.end <= shape.output.channels, "channels {channels:?}");
    assert_eq!(grad.len(), channels.len() * shape.channel_len(), "grad is [channels, channel_len]");
    assert_eq!(grad_bias.len(), channels.len(), "one bias gradient per channel");
    assert!(entries.len() >= shape.entries_len(), "room for the pixels of a block of channels");
    grad.fill(0.0);
    grad_bias.fill(0.0);
    for image in 0..images {
        let x = &x[image * shape.conv.input.len()..(image + 1) * shape.conv.input.len() + shape.slack()];
        let outputs = image * shape.argmax_len()..(image + 1) * shape.argmax_len();
        let (grad_y, argmax) = (&grad_y[outputs.clone()], &argmax[outputs]);
        let mut channel = channels.start;
        while channel < channels.end {
            let block = channel / LANES;
            let lanes = channel % LANES..(channels.end - block * LANES).min(LANES);
            let part = shape.outputs_of(block);
            let (grad_y, argmax) = (&grad_y[part.clone()], &argmax[part]);
            let own = channel - channels.start..channel - channels.start + lanes.len();
            let grad = &mut grad[own.start * shape.channel_len()..own.end * shape.channel_len()];
            for start in (0..shape.output.height).step_by(shape.band_rows()) {
                let rows = start..(start + shape.band_rows()).min(shape.output.height);
                let lists = list_entries(shape, rows, grad_y, argmax, lanes.clone(), entries);
                for (sum, list) in grad_bias[own.clone()].iter_mut().zip(&lists[lanes.clone()]) {
                    *sum = list.iter().fold(*sum, |sum, entry| sum + entry.gradient);
                }
                let lists = &lists[lanes.clone()];
                dispatch!(isa, lists_body(shape: &ConvPool, lists: &[&[Entry]], x: &[f32], grad: &mut [f32]));
            }
            channel += lanes.len();
        }
    }
}

/// The pixels with a gradient of each lane of a block among the rows `rows` of windows.
fn list_entries<'e>(
    shape: &ConvPool,
    rows: Range<usize>,
    grad_y: &[f32],
    argmax: &[u8],
    lanes: Range<usize>,
    entries: &'e mut [Entry],
) -> [&'e [Entry]; LANES] {
    let (input, stride) = (&shape.conv.input, shape.conv.stride);
    let mut counts = [0; LANES];
    // Where the first tap of each pixel of a window lies, relative to that of its first pixel.
    let mut place = [0_u32; NOBODY as usize + 1];
    for ky in 0..shape.window.0 {
        for kx in 0..shape.window.1 {
            place[ky * shape.window.1 + kx] = (ky * stride.0 * input.row + kx * stride.1 * input.pixel) as u32;
        }
    }
    let windows = rows.len() * shape.output.width;
    assert!(entries.len() >= LANES * windows, "room for every window of every lane");
    let of_rows = rows.start * shape.output.width..rows.end * shape.output.width;
    let gradients = &grad_y.as_chunks::<LANES>().0[of_rows.clone()];
    let mut outputs = gradients.iter().zip(&argmax.as_chunks::<LANES>().0[of_rows]);
    for oy in rows {
        for ox in 0..shape.output.width {
            let first = oy * shape.window.0 * stride.0 * input.row + ox * shape.window.1 * stride.1 * input.pixel;
            let (gradient, winner) = outputs.next().expect("one per output");
            for lane in lanes.clone() {
                let entry = Entry { tap: first as u32 + place[usize::from(winner[lane])], gradient: gradient[lane] };
                // SAFETY: a lane's count grows at most once per window, so it is below `windows` here, and there is
                // room for `LANES * windows` entries (asserted).
                unsafe { *entries.get_unchecked_mut(lane * windows + counts[lane]) = entry };
                // Without a branch: an entry that does not count is overwritten by the next.
                counts[lane] += usize::from(winner[lane] != NOBODY);
            }
        }
    }
    let entries = &*entries;
    std::array::from_fn(|lane| &entries[lane * windows..][..counts[lane]])
}

/// Adds to `grad`, `[lists, channel_len]`.
#[inline(always)]
fn lists_body<L: Lanes>(simd: L, shape: &ConvPool, lists: &[&[Entry]], x: &[f32], grad: &mut [f32]) {
    let (vectors, kh, input) = (shape.run_vectors(), shape.conv.kernel.0, &shape.conv.input);
    // As many rows of the kernel at a time as there are registers for; the sums do not depend on it.
    let registers = if L::TILE.1 > 1 { 25 } else { 6 };
    let rows_at_once = (registers / vectors).clamp(1, 5);
    for block in 0..input.blocks {
        for ky in (0..kh).step_by(rows_at_once) {
            let rows = rows_at_once.min(kh - ky);
            let first = block * input.plane + ky * input.row;
            let at = (block * kh + ky) * vectors * LANES;
            let half_idle = input.is_half_idle();
            for (list, grad) in lists.iter().zip(grad.chunks_exact_mut(shape.channel_len())) {
                let grad = &mut grad[at..at + rows * vectors * LANES];
                match rows {
                    1 => rows_of::<L, 1>(simd, half_idle, vectors, list, x, first, input.row, grad),
                    2 => rows_of::<L, 2>(simd, half_idle, vectors, list, x, first, input.row, grad),
                    3 => rows_of::<L, 3>(simd, half_idle, vectors, list, x, first, input.row, grad),
                    4 => rows_of::<L, 4>(simd, half_idle, vectors, list, x, first, input.row, grad),
                    5 => rows_of::<L, 5>(simd, half_idle, vectors, list, x, first, input.row, grad),
                    _ => unreachable!("at most five rows"),
                }
            }
        }
    }
}

/// [`rows_body`] for that many vectors.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "which part, two operands, the result")]
fn rows_of<L: Lanes, const R: usize>(
    simd: L,
    half_idle: bool,
    vectors: usize,
    list: &[Entry],
    x: &[f32],
    first: usize,
    row: usize,
    grad: &mut [f32],
) {
    match (half_idle, vectors) {
        (false, 1) => rows_body::<L, R, 1, false>(simd, list, x, first, row, grad),
        (false, 2) => rows_body::<L, R, 2, false>(simd, list, x, first, row, grad),
        (false, 3) => rows_body::<L, R, 3, false>(simd, list, x, first, row, grad),
        (false, 4) => rows_body::<L, R, 4, false>(simd, list, x, first, row, grad),
        (false, 5) => rows_body::<L, R, 5, false>(simd, list, x, first, row, grad),
        (true, 1) => rows_body::<L, R, 1, true>(simd, list, x, first, row, grad),
        (true, 2) => rows_body::<L, R, 2, true>(simd, list, x, first, row, grad),
        (true, 3) => rows_body::<L, R, 3, true>(simd, list, x, first, row, grad),
        _ => unreachable!("at most five vectors, or halves of six"),
    }
}

/// Adds to `R` rows of `V` vectors: each entry's gradient times what its taps saw. `HALVES`: a vector is the first
/// halves of two taps.
#[inline(always)]
fn rows_body<L: Lanes, const R: usize, const V: usize, const HALVES: bool>(
    simd: L,
    list: &[Entry],
    x: &[f32],
    first: usize,
    row: usize,
    grad: &mut [f32],
) {
    assert_eq!(grad.len(), R * V * LANES, "R rows of V vectors");
    // The last place where an entry's first tap may lie.
    let reach = if HALVES { (2 * V - 1) * LANES + LANES / 2 } else { V * LANES };
    let last = x.len().checked_sub(first + (R - 1) * row + reach).expect("x has an image and slack");
    // SAFETY: `grad` has room for R * V vectors; every entry's taps are checked to lie within `x`.
    unsafe {
        let mut acc = [[simd.zero(); V]; R];
        for r in 0..R {
            for v in 0..V {
                acc[r][v] = simd.load(grad.as_ptr().add((r * V + v) * LANES));
            }
        }
        for entry in list {
            let at = entry.tap as usize;
            assert!(at <= last, "the taps lie within the image");
            let taps = x.as_ptr().add(at + first);
            let g = simd.splat(entry.gradient);
            for r in 0..R {
                for v in 0..V {
                    let taps = taps.add(r * row);
                    let x = if HALVES {
                        simd.load_halves(taps.add(2 * v * LANES), taps.add((2 * v + 1) * LANES))
                    } else {
                        simd.load(taps.add(v * LANES))
                    };
                    acc[r][v] = simd.fma(g, x, acc[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                simd.store(grad.as_mut_ptr().add((r * V + v) * LANES), acc[r][v]);
            }
        }
    }
}

/// Overwrites `rows` with the weight rows of run `run`, laid out as `Panels { k: run_len, n: out_channels }`, from the
/// gradients of all output channels, `[out_channels, channel_len]`.
///
/// # Panics
/// If a slice has another length than that.
pub fn gather_run(shape: &ConvPool, run: usize, channels: &[f32], rows: &mut [f32]) {
    let (run_len, padded) = (shape.conv.run_len(), shape.run_vectors() * LANES);
    let panels = Panels { k: run_len, n: shape.output.channels };
    assert_eq!(rows.len(), panels.len(), "rows is [{run_len}, {}] in panels", panels.n);
    assert_eq!(channels.len(), panels.n * shape.channel_len(), "channels is [out_channels, channel_len]");
    rows.fill(0.0);
    for p in 0..panels.count() {
        let (width, rows) = (panels.width(p), &mut rows[panels.rows(p, 0..run_len)]);
        let first = panels.columns(p).start;
        for column in 0..width.min(panels.n - first) {
            let channel = &channels[(first + column) * shape.channel_len() + run * padded..][..padded];
            for row in 0..run_len {
                if let Some(place) = shape.place_in_run(row) {
                    rows[row * width + column] = channel[place];
                }
            }
        }
    }
}
