//! 3x3 convolution by S. Winograd's minimal filtering F(2x2, 3x3), and its gradients.
//!
//! An output tile of 2x2 pixels is `A' ((G w G') * (B' x B)) A` of the 4x4 pixels that it sees: 16 multiplications per
//! pair of channels instead of 36. Over many tiles and channels, the product at each of the 16 places is a matrix
//! product. The gradients are the exact transposes: that of the weights is `G' (sum over tiles of (B' x B) * (A grad_y
//! A')) G`, and that of the input is a convolution again ([`Conv2d::phases`]). A. Lavin and S. Gray, *Fast algorithms
//! for convolutional neural networks*, 2016.
//!
//! ```text
//!      1  0 -1  0         1    0   0          1  1  1  0
//! B' = 0  1  1  0    G =  1/2  1/2 1/2   A' = 0  1 -1 -1
//!      0 -1  1  0         1/2 -1/2 1/2
//!      0  1  0 -1         0    0   1
//! ```
//!
//! All factors but the halves are 0 and 1, and sums over channels are a ninth as long: the rounding error is three
//! quarters of that of a plain sum of all products in f32 (a test compares them). Larger tiles need fewer
//! multiplications, but F(4x4, 3x3) rounds twice as much as the plain sum with 32 or 64 channels.
//!
//! Transformed tiles lie by place, `[16][tiles][channels]`, transformed weights in [`Panels`] for each place. Between
//! two places is a gap of one cache line: without it, all places of a tile would share a few cache sets.

use crate::arena::Columns;
use crate::contract::{Begin, MOST_TILE_ROWS, STRIDE, Segment, Sum, contract_slices};
use crate::conv::direct::Conv2d;
use crate::panels::Panels;
use crate::planes::Planes;
use crate::prefetch::Prefetch;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes, transpose};
use std::ops::Range;

/// Places of a transformed tile.
pub const PLACES: usize = SIZE * SIZE;

/// Rows and columns of a transformed tile.
const SIZE: usize = 4;

/// Rows and columns of an output tile, and of pixels from one tile to the next.
const TILE: usize = 2;

/// The place where a transformed gradient is the sum of its tile.
const SUM: usize = SIZE + 1;

/// A 3x3 convolution of stride 1 done in tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winograd {
    conv: Conv2d,
}

impl Winograd {
    /// `None` unless it is a 3x3 convolution of stride 1 of whole blocks of channels, and tiles save a quarter of the
    /// multiplications: on maps of a single row or column, or of 3x3 pixels, they do not.
    pub fn new(conv: &Conv2d) -> Option<Winograd> {
        let fits = conv.kernel == (3, 3) && conv.stride == (1, 1) && conv.input.lanes == LANES;
        let shape = Winograd { conv: conv.clone() };
        let (in_tiles, directly) = (PLACES * shape.tiles(), 9 * conv.output.height * conv.output.width);
        (fits && 4 * in_tiles <= 3 * directly).then_some(shape)
    }

    /// Tiles of one image.
    pub fn tiles(&self) -> usize {
        self.tile_rows() * self.tile_columns()
    }

    /// Rows of tiles of one image.
    pub fn tile_rows(&self) -> usize {
        self.conv.output.height.div_ceil(TILE)
    }

    /// Tiles of one row.
    pub fn tile_columns(&self) -> usize {
        self.conv.output.width.div_ceil(TILE)
    }

    /// Channels of a transformed input tile, those that fill up the last block included.
    pub fn inputs(&self) -> usize {
        self.conv.input.blocks * LANES
    }

    /// Channels of a transformed output tile, those that fill up the last block included.
    pub fn outputs(&self) -> usize {
        self.conv.output.blocks * LANES
    }

    // Saturating: a length that wrapped around could be that of a small slice.
    fn input_stride(&self, tiles: usize) -> usize {
        tiles.saturating_mul(self.inputs()).saturating_add(LANES)
    }

    fn output_stride(&self, tiles: usize) -> usize {
        tiles.saturating_mul(self.outputs()).saturating_add(LANES)
    }

    /// Elements of `tiles` transformed input tiles.
    pub fn input_len(&self, tiles: usize) -> usize {
        self.input_stride(tiles).saturating_mul(PLACES)
    }

    /// Elements of `tiles` transformed output tiles, or of their gradients.
    pub fn output_len(&self, tiles: usize) -> usize {
        self.output_stride(tiles).saturating_mul(PLACES)
    }

    /// The layout of the transformed weights at one place.
    fn panels(&self) -> Panels {
        Panels { k: self.inputs(), n: self.conv.output.channels }
    }

    /// Elements from one place to the next in the transformed weights, and in their gradient.
    pub fn weight_stride(&self) -> usize {
        self.panels().len() + LANES
    }

    /// Elements of the transformed weights, and of their gradient.
    pub fn weight_len(&self) -> usize {
        PLACES * self.weight_stride()
    }

    /// Parts of the weights that are transformed by themselves: one for each panel and block of input channels.
    pub fn weight_units(&self) -> usize {
        self.panels().count() * self.conv.input.blocks
    }

    /// How often a [`Prefetch`] is asked while so many tiles are multiplied, about.
    pub fn calls(&self, tiles: usize) -> usize {
        PLACES * self.panels().count() * tiles.div_ceil(MOST_TILE_ROWS) * self.conv.input.channels.div_ceil(STRIDE)
    }

    /// The same for the gradient of the weights.
    pub fn gradient_calls(&self, tiles: usize) -> usize {
        PLACES * self.panels().count() * self.conv.input.channels.div_ceil(MOST_TILE_ROWS) * tiles.div_ceil(STRIDE)
    }

    /// Panel and block of a unit.
    fn unit(&self, unit: usize) -> (usize, usize) {
        (unit / self.conv.input.blocks, unit % self.conv.input.blocks)
    }

    /// Where the part of a unit lies in the transformed weights at one place.
    pub fn weight_columns(&self, unit: usize) -> Range<usize> {
        let (panel, block) = self.unit(unit);
        self.panels().rows(panel, block * LANES..(block + 1) * LANES)
    }

    /// Where the part of a unit lies in the weights ([`Conv2d::weight`]): `[3][3][16]` rows of its panel's width.
    pub fn taps(&self, unit: usize) -> Range<usize> {
        let (panel, block) = self.unit(unit);
        let rows = 9 * LANES;
        self.conv.weight().rows(panel, block * rows..(block + 1) * rows)
    }

    /// The rows and columns of pixels that all tiles of an image see, without the one too many where a size is odd.
    fn seen(&self) -> (usize, usize) {
        (self.conv.output.height + 2, self.conv.output.width + 2)
    }
}

/// Overwrites the part of `unit` of the transformed weights: `out` holds its [`Winograd::weight_columns`] of every
/// place.
///
/// `weight`: [`Conv2d::weight`].
///
/// # Panics
/// If `weight` or `out` has another size.
pub fn transform_weight(isa: Isa, shape: &Winograd, unit: usize, weight: &[f32], out: &mut Columns<'_, f32>) {
    let taps = &weight[shape.taps(unit)];
    assert_eq!((out.rows(), out.columns()), (PLACES, taps.len() / 9), "one unit of every place");
    dispatch!(isa, transform_weight_body(taps: &[f32], out: &mut Columns<'_, f32>))
}

#[inline(always)]
fn transform_weight_body<L: Lanes>(simd: L, taps: &[f32], out: &mut Columns<'_, f32>) {
    let len = taps.len() / 9;
    for at in (0..len).step_by(LANES) {
        // SAFETY: the slice holds a vector.
        let taps = std::array::from_fn(|tap| unsafe { simd.load(taps[tap * len + at..][..LANES].as_ptr()) });
        store_weight(simd, taps, at, out);
    }
}

/// The same for `back`, which passes the gradient of the convolution `conv` on to its input: its weights are those of
/// `conv` rotated by half a turn, with inputs and outputs exchanged.
///
/// `weight`: [`Conv2d::weight`] of `conv`.
///
/// # Panics
/// If `back` has not the channels of `conv` exchanged, or `weight` or `out` has another size.
pub fn transform_weight_back(
    isa: Isa,
    conv: &Conv2d,
    back: &Winograd,
    unit: usize,
    weight: &[f32],
    out: &mut Columns<'_, f32>,
) {
    assert_eq!(back.conv.input.channels, conv.output.channels, "channels of the gradient");
    assert_eq!(back.conv.output.channels, conv.input.channels, "channels of the input");
    assert_eq!((conv.kernel, conv.input.lanes), ((3, 3), LANES), "3x3 taps of whole blocks");
    assert_eq!(weight.len(), conv.weight().len(), "weights of the convolution");
    assert_eq!((out.rows(), out.columns()), (PLACES, back.taps(unit).len() / 9), "one unit of every place");
    dispatch!(
        isa,
        transform_weight_back_body(
            conv: &Conv2d,
            back: &Winograd,
            unit: usize,
            weight: &[f32],
            out: &mut Columns<'_, f32>,
        )
    )
}

#[inline(always)]
fn transform_weight_back_body<L: Lanes>(
    simd: L,
    conv: &Conv2d,
    back: &Winograd,
    unit: usize,
    weight: &[f32],
    out: &mut Columns<'_, f32>,
) {
    let (panel, block) = back.unit(unit);
    let (panels, columns) = (conv.weight(), back.panels().columns(panel));
    let stride = panels.width(panels.panel_of(block * LANES));
    for first in columns.clone().step_by(LANES) {
        // By tap, then by output channel: sixteen input channels.
        let mut rotated = [[simd.zero(); LANES]; 9];
        for (tap, rows) in rotated.iter_mut().enumerate() {
            let row = conv.weight_row(first, 2 - tap / 3, 2 - tap % 3);
            let from = &weight[panels.index(row, block * LANES)..][..(LANES - 1) * stride + LANES];
            for lane in 0..LANES {
                // SAFETY: the slice holds sixteen rows of a vector each.
                rows[lane] = unsafe { simd.load(from.as_ptr().add(lane * stride)) };
            }
            *rows = transpose(simd, *rows);
        }
        for lane in 0..LANES {
            let mut taps = [simd.zero(); 9];
            for tap in 0..9 {
                taps[tap] = rotated[tap][lane];
            }
            store_weight(simd, taps, lane * columns.len() + first - columns.start, out);
        }
    }
}

/// Stores the places of sixteen kernels.
#[inline(always)]
fn store_weight<L: Lanes>(simd: L, taps: [L::V; 9], at: usize, out: &mut Columns<'_, f32>) {
    // By column of the kernel, then by row of places.
    let mut columns = [[simd.zero(); SIZE]; 3];
    for kx in 0..3 {
        columns[kx] = weight_points(simd, [taps[kx], taps[3 + kx], taps[6 + kx]]);
    }
    for y in 0..SIZE {
        let values = weight_points(simd, columns.map(|column| column[y]));
        for x in 0..SIZE {
            let out = &mut out.row_mut(y * SIZE + x)[at..at + LANES];
            // SAFETY: the slice holds a vector.
            unsafe { simd.store(out.as_mut_ptr(), values[x]) };
        }
    }
}

/// Four places of three taps.
#[inline(always)]
fn weight_points<L: Lanes>(simd: L, w: [L::V; 3]) -> [L::V; SIZE] {
    let (half, even) = (simd.splat(0.5), simd.add(w[0], w[2]));
    [w[0], simd.mul(half, simd.add(even, w[1])), simd.mul(half, simd.sub(even, w[1])), w[2]]
}

/// Some rows of an image's tiles, among the tiles that are transformed together.
#[derive(Clone, Debug)]
pub struct Tiles {
    /// Rows of tiles of the image.
    pub rows: Range<usize>,
    /// The number of the first of these tiles among all that are transformed together.
    pub first: usize,
    /// How many these are.
    pub all: usize,
}

impl Tiles {
    /// # Panics
    /// If there are no such rows of tiles, or not so many tiles from the first on.
    fn check(&self, shape: &Winograd) {
        let Tiles { rows, first, all } = self;
        assert!(rows.end <= shape.tile_rows(), "rows {rows:?} of tiles");
        let enough = first <= all && rows.len() * shape.tile_columns() <= all - first;
        assert!(enough, "tiles from {first} on of {all}");
    }
}

/// Overwrites the tiles `tiles` of one image among all in `out` ([`Winograd::input_len`]).
///
/// `x`: one image of [`Conv2d::input`].
///
/// # Panics
/// If `x` or `out` has another length, there are no such rows, or not so many tiles.
pub fn transform_input(isa: Isa, shape: &Winograd, x: &[f32], tiles: &Tiles, out: &mut [f32]) {
    assert_eq!(x.len(), shape.conv.input.len(), "x is one image");
    assert_eq!(out.len(), shape.input_len(tiles.all), "{} transformed tiles", tiles.all);
    tiles.check(shape);
    dispatch!(
        isa,
        transform_input_body(
            shape: &Winograd,
            x: &[f32],
            tiles: &Tiles,
            out: &mut [f32],
        )
    )
}

#[inline(always)]
fn transform_input_body<L: Lanes>(simd: L, shape: &Winograd, x: &[f32], tiles: &Tiles, out: &mut [f32]) {
    let input = &shape.conv.input;
    let (height, width) = shape.seen();
    let start = shape.conv.runs()[0].a;
    let last = start + (input.blocks - 1) * input.plane + (height - 1) * input.row + (width - 1) * input.pixel;
    assert!(last + LANES <= x.len(), "the image covers what its tiles see");
    let (stride, channels) = (shape.input_stride(tiles.all), shape.inputs());
    // The last tile of an odd size sees a row or column too many: zeros, which touch none of its real pixels.
    let zeros = [0.0_f32; LANES];
    let whole = (width - 2) / TILE;
    for block in 0..input.blocks {
        for (n, row) in tiles.rows.clone().enumerate() {
            let top = start + block * input.plane + TILE * row * input.row;
            let lines: [_; SIZE] = std::array::from_fn(|y| match TILE * row + y < height {
                // SAFETY: row and column are below those of `last`, which lies in the image (asserted).
                true => (unsafe { x.as_ptr().add(top + y * input.row) }, input.pixel),
                false => (zeros.as_ptr(), 0),
            });
            let mut to = (tiles.first + n * shape.tile_columns()) * channels + block * LANES;
            // SAFETY: columns are below that of `last`; `Tiles::check` asserted that `out` has so many tiles at every
            // place.
            unsafe {
                let (mut left, mut right) = (input_column(simd, lines, 0), input_column(simd, lines, 1));
                for tile in 0..whole {
                    let next = input_column(simd, lines, TILE * tile + 2);
                    let after = input_column(simd, lines, TILE * tile + 3);
                    store_input(simd, [left, right, next, after], out.as_mut_ptr().add(to), stride);
                    (left, right) = (next, after);
                    to += channels;
                }
                if whole < shape.tile_columns() {
                    let next = input_column(simd, lines, width - 1);
                    store_input(simd, [left, right, next, [simd.zero(); SIZE]], out.as_mut_ptr().add(to), stride);
                }
            }
        }
    }
}

/// Four places of four pixels.
#[inline(always)]
fn input_points<L: Lanes>(simd: L, x: [L::V; SIZE]) -> [L::V; SIZE] {
    [simd.sub(x[0], x[2]), simd.add(x[1], x[2]), simd.sub(x[2], x[1]), simd.sub(x[1], x[3])]
}

/// The places of column `at` of a tile's pixels; each line of them is where it starts, and from one pixel to the next.
///
/// # Safety
/// A vector is readable at column `at` of every line.
#[inline(always)]
unsafe fn input_column<L: Lanes>(simd: L, lines: [(*const f32, usize); SIZE], at: usize) -> [L::V; SIZE] {
    // SAFETY: promised by the caller.
    let pixels = lines.map(|(line, pixel)| unsafe { simd.load(line.add(at * pixel)) });
    input_points(simd, pixels)
}

/// Stores the places of a tile whose columns are given, `stride` apart.
///
/// # Safety
/// A vector is writable at each place.
#[inline(always)]
unsafe fn store_input<L: Lanes>(simd: L, columns: [[L::V; SIZE]; SIZE], out: *mut f32, stride: usize) {
    for y in 0..SIZE {
        let values = input_points(simd, columns.map(|column| column[y]));
        for x in 0..SIZE {
            // SAFETY: promised by the caller.
            unsafe { simd.store(out.add((y * SIZE + x) * stride), values[x]) };
        }
    }
}

/// Overwrites `products` ([`Winograd::output_len`]): at every place, each tile times the weights, summed over the input
/// channels.
///
/// `inputs`: `tiles` tiles from [`transform_input`]. `weight`: [`Winograd::weight_len`] elements, from
/// [`transform_weight`]. `ahead`: asked for meanwhile, some [`Winograd::calls`] times.
///
/// # Panics
/// If a slice has another length than that.
pub fn multiply(
    isa: Isa,
    shape: &Winograd,
    tiles: usize,
    inputs: &[f32],
    weight: &[f32],
    products: &mut [f32],
    ahead: &mut Prefetch,
) {
    let panels = shape.panels();
    assert_eq!(inputs.len(), shape.input_len(tiles), "{tiles} transformed tiles");
    assert_eq!(weight.len(), shape.weight_len(), "transformed weights");
    assert_eq!(products.len(), shape.output_len(tiles), "products of {tiles} tiles");
    for place in 0..PLACES {
        let a = &inputs[place * shape.input_stride(tiles)..];
        for p in 0..panels.count() {
            let width = panels.width(p);
            let sum = Sum {
                groups: 1,
                rows: tiles,
                vectors: width / LANES,
                a_group: 0,
                a_row: shape.inputs(),
                c_group: 0,
                c_row: shape.outputs(),
                segments: &[Segment { a: 0, b: 0 }],
                // Channels that only fill up a block are worth nothing.
                len: shape.conv.input.channels,
                a_step: 1,
                b_unit: 0,
                b_step: width,
                b_block: LANES,
                c_block: LANES,
                begin: Begin::Zero,
                half_idle: panels.is_half_idle(p),
            };
            let b = &weight[place * shape.weight_stride() + panels.start(p)..];
            let c = &mut products[place * shape.output_stride(tiles) + panels.columns(p).start..];
            contract_slices(isa, &sum, a, b, c, ahead);
        }
    }
}

/// Overwrites the pixels of `y` ([`Conv2d::output`]), without bias, that the tiles `tiles` of all in `products` cover.
///
/// # Panics
/// If `products` or `y` has another length, there are no such rows, or not so many tiles.
pub fn transform_output(isa: Isa, shape: &Winograd, products: &[f32], tiles: &Tiles, y: &mut [f32]) {
    assert_eq!(y.len(), shape.conv.output.len(), "y is one image");
    assert_eq!(products.len(), shape.output_len(tiles.all), "products of {} tiles", tiles.all);
    tiles.check(shape);
    dispatch!(
        isa,
        transform_output_body(
            shape: &Winograd,
            products: &[f32],
            tiles: &Tiles,
            y: &mut [f32],
        )
    )
}

#[inline(always)]
fn transform_output_body<L: Lanes>(simd: L, shape: &Winograd, products: &[f32], tiles: &Tiles, y: &mut [f32]) {
    let (out, stride, channels) = (&shape.conv.output, shape.output_stride(tiles.all), shape.outputs());
    assert!(out.offset(out.blocks - 1, out.height - 1, out.width - 1) + LANES <= y.len(), "every pixel is in y");
    let whole = out.width / TILE;
    for block in 0..out.blocks {
        for (n, row) in tiles.rows.clone().enumerate() {
            let first = (tiles.first + n * shape.tile_columns()) * channels + block * LANES;
            let lines = TILE.min(out.height - TILE * row);
            let to = out.offset(block, TILE * row, 0);
            // SAFETY: `Tiles::check` asserted that `products` has so many tiles at every place; rows and columns of
            // pixels are below those of the output, all of which is in `y` (asserted).
            unsafe {
                let (mut from, mut to) = (products.as_ptr().add(first), y.as_mut_ptr().add(to));
                for _ in 0..whole {
                    let pixels = tile_pixels(simd, from, stride);
                    for ty in 0..lines {
                        simd.store(to.add(ty * out.row), pixels[ty][0]);
                        simd.store(to.add(ty * out.row + out.pixel), pixels[ty][1]);
                    }
                    (from, to) = (from.wrapping_add(channels), to.wrapping_add(TILE * out.pixel));
                }
                if whole < shape.tile_columns() {
                    let pixels = tile_pixels(simd, from, stride);
                    for ty in 0..lines {
                        simd.store(to.add(ty * out.row), pixels[ty][0]);
                    }
                }
            }
        }
    }
}

/// The pixels of a tile, by row, from its places, `stride` apart.
///
/// # Safety
/// A vector is readable at each place.
#[inline(always)]
unsafe fn tile_pixels<L: Lanes>(simd: L, from: *const f32, stride: usize) -> [[L::V; TILE]; TILE] {
    let mut columns = [[simd.zero(); TILE]; SIZE];
    for x in 0..SIZE {
        let mut places = [simd.zero(); SIZE];
        for y in 0..SIZE {
            // SAFETY: promised by the caller.
            places[y] = unsafe { simd.load(from.add((y * SIZE + x) * stride)) };
        }
        columns[x] = output_pixels(simd, places);
    }
    [output_pixels(simd, columns.map(|column| column[0])), output_pixels(simd, columns.map(|column| column[1]))]
}

/// Two pixels of four places.
#[inline(always)]
fn output_pixels<L: Lanes>(simd: L, m: [L::V; SIZE]) -> [L::V; TILE] {
    [simd.add(m[0], simd.add(m[1], m[2])), simd.sub(simd.sub(m[1], m[2]), m[3])]
}

/// Overwrites the transformed gradients of the tiles `tiles` of one image among all in `out`
/// ([`Winograd::output_len`]).
///
/// `grad_y`: one image of `planes`, any layout of the output's size.
///
/// # Panics
/// If `grad_y` or `out` has another length, `planes` another size than the output, there are no such rows, or not so
/// many tiles.
pub fn transform_grad_output(
    isa: Isa,
    shape: &Winograd,
    planes: &Planes,
    grad_y: &[f32],
    tiles: &Tiles,
    out: &mut [f32],
) {
    let output = &shape.conv.output;
    assert_eq!(grad_y.len(), planes.len(), "grad_y is one image of {planes:?}");
    assert_eq!((planes.height, planes.width), (output.height, output.width), "planes have the output's size");
    assert_eq!((planes.blocks, planes.lanes), (output.blocks, LANES), "planes have the output's channels");
    assert_eq!(out.len(), shape.output_len(tiles.all), "{} transformed tiles", tiles.all);
    tiles.check(shape);
    dispatch!(
        isa,
        transform_grad_output_body(
            shape: &Winograd,
            planes: &Planes,
            grad_y: &[f32],
            tiles: &Tiles,
            out: &mut [f32],
        )
    )
}

#[inline(always)]
fn transform_grad_output_body<L: Lanes>(
    simd: L,
    shape: &Winograd,
    planes: &Planes,
    grad_y: &[f32],
    tiles: &Tiles,
    out: &mut [f32],
) {
    let (stride, channels) = (shape.output_stride(tiles.all), shape.outputs());
    let end = planes.offset(planes.blocks - 1, planes.height - 1, planes.width - 1) + LANES;
    assert!(end <= grad_y.len(), "every pixel has a gradient");
    let whole = planes.width / TILE;
    let zeros = [0.0_f32; LANES];
    for block in 0..planes.blocks {
        for (n, row) in tiles.rows.clone().enumerate() {
            let first = (tiles.first + n * shape.tile_columns()) * channels + block * LANES;
            let from = planes.offset(block, TILE * row, 0);
            // SAFETY: rows and columns of pixels are below those of `planes`, all of which are in `grad_y` (asserted);
            // `Tiles::check` asserted that `out` has so many tiles at every place.
            unsafe {
                let upper = grad_y.as_ptr().add(from);
                // The last tile of an odd size has a row or column of zeros.
                let (lower, step) = match TILE * row + 1 < planes.height {
                    true => (upper.add(planes.row), planes.pixel),
                    false => (zeros.as_ptr(), 0),
                };
                let mut to = out.as_mut_ptr().add(first);
                let (mut upper, mut lower) = (upper, lower);
                for _ in 0..whole {
                    let left = [simd.load(upper), simd.load(lower)];
                    let right = [simd.load(upper.add(planes.pixel)), simd.load(lower.add(step))];
                    store_grad(simd, left, right, to, stride);
                    (upper, lower) = (upper.wrapping_add(TILE * planes.pixel), lower.wrapping_add(TILE * step));
                    to = to.wrapping_add(channels);
                }
                if whole < shape.tile_columns() {
                    store_grad(simd, [simd.load(upper), simd.load(lower)], [simd.zero(); TILE], to, stride);
                }
            }
        }
    }
}

/// Stores the places of a tile of gradients, whose two columns are given, `stride` apart.
///
/// # Safety
/// A vector is writable at each place.
#[inline(always)]
unsafe fn store_grad<L: Lanes>(simd: L, left: [L::V; TILE], right: [L::V; TILE], to: *mut f32, stride: usize) {
    let (left, right) = (grad_points(simd, left), grad_points(simd, right));
    for y in 0..SIZE {
        let values = grad_points(simd, [left[y], right[y]]);
        for x in 0..SIZE {
            // SAFETY: promised by the caller.
            unsafe { simd.store(to.add((y * SIZE + x) * stride), values[x]) };
        }
    }
}

/// Four places of two pixels.
#[inline(always)]
fn grad_points<L: Lanes>(simd: L, g: [L::V; TILE]) -> [L::V; SIZE] {
    [g[0], simd.add(g[0], g[1]), simd.sub(g[0], g[1]), simd.sub(simd.zero(), g[1])]
}

/// Adds to `grad` ([`Winograd::weight_len`]) the transformed gradient of the weights from `tiles` tiles, and to
/// `grad_bias` (one element per padded channel) that of the bias; or overwrites them, unless `accumulate`.
///
/// `inputs`: from [`transform_input`]. `grads`: from [`transform_grad_output`]. `ahead`: asked for meanwhile, some
/// [`Winograd::gradient_calls`] times.
///
/// # Panics
/// If a slice has another length than that.
#[expect(clippy::too_many_arguments, reason = "two operands, two results, and what comes next")]
pub fn multiply_gradient(
    isa: Isa,
    shape: &Winograd,
    tiles: usize,
    inputs: &[f32],
    grads: &[f32],
    accumulate: bool,
    grad: &mut [f32],
    grad_bias: &mut [f32],
    ahead: &mut Prefetch,
) {
    let panels = shape.panels();
    assert_eq!(inputs.len(), shape.input_len(tiles), "{tiles} transformed tiles");
    assert_eq!(grads.len(), shape.output_len(tiles), "{tiles} transformed gradients");
    assert_eq!(grad.len(), shape.weight_len(), "transformed gradient of the weights");
    assert_eq!(grad_bias.len(), shape.outputs(), "one element per padded channel");
    for place in 0..PLACES {
        let a = &inputs[place * shape.input_stride(tiles)..];
        let b = &grads[place * shape.output_stride(tiles)..];
        for p in 0..panels.count() {
            let (width, columns) = (panels.width(p), panels.columns(p));
            let b = &b[columns.start..];
            let sum = Sum {
                groups: 1,
                rows: shape.conv.input.channels,
                vectors: width / LANES,
                a_group: 0,
                a_row: 1,
                c_group: 0,
                c_row: width,
                segments: &[Segment { a: 0, b: 0 }],
                len: tiles,
                a_step: shape.inputs(),
                b_unit: 0,
                b_step: shape.outputs(),
                b_block: LANES,
                c_block: LANES,
                begin: if accumulate { Begin::Sums } else { Begin::Zero },
                half_idle: panels.is_half_idle(p),
            };
            let c = &mut grad[place * shape.weight_stride() + panels.start(p)..];
            contract_slices(isa, &sum, a, b, c, ahead);
            if place == SUM {
                let of_ones = Sum { rows: 1, a_step: 0, c_row: 0, ..sum };
                contract_slices(isa, &of_ones, &[1.0], b, &mut grad_bias[columns], &mut Prefetch::nothing());
            }
        }
    }
}

/// Overwrites `out`, the gradient of the weights of `unit` (laid out as [`Winograd::taps`]), from the sum of the
/// transformed gradients in `parts`, each [`Winograd::weight_len`].
///
/// # Panics
/// If `out` has another length, or `parts` is no whole number of them and at least one.
pub fn transform_gradient(isa: Isa, shape: &Winograd, unit: usize, parts: &[f32], out: &mut [f32]) {
    let len = shape.weight_len();
    assert!(!parts.is_empty() && parts.len().is_multiple_of(len), "whole gradients of {len}");
    assert_eq!(out.len(), shape.taps(unit).len(), "the taps of a unit");
    dispatch!(isa, transform_gradient_body(shape: &Winograd, unit: usize, parts: &[f32], out: &mut [f32]))
}

#[inline(always)]
fn transform_gradient_body<L: Lanes>(simd: L, shape: &Winograd, unit: usize, parts: &[f32], out: &mut [f32]) {
    let columns = shape.weight_columns(unit);
    let len = columns.len();
    let real = shape.conv.input.channels - shape.unit(unit).1 * LANES;
    // Rows of channels that only fill up the block have no gradient: nothing was summed there.
    let rows = len / LANES * real.min(LANES);
    for at in (0..len).step_by(LANES) {
        let load = |place: usize| {
            if at >= rows {
                return simd.zero();
            }
            let from = place * shape.weight_stride() + columns.start + at;
            parts.chunks_exact(shape.weight_len()).fold(simd.zero(), |sum, part| {
                // SAFETY: the slice holds a vector.
                simd.add(sum, unsafe { simd.load(part[from..from + LANES].as_ptr()) })
            })
        };
        let columns: [[L::V; 3]; SIZE] =
            std::array::from_fn(|x| gradient_taps(simd, std::array::from_fn(|y| load(y * SIZE + x))));
        for ky in 0..3 {
            for (kx, value) in gradient_taps(simd, columns.map(|column| column[ky])).into_iter().enumerate() {
                let out = &mut out[(3 * ky + kx) * len + at..][..LANES];
                // SAFETY: the slice holds a vector.
                unsafe { simd.store(out.as_mut_ptr(), value) };
            }
        }
    }
}

/// Three taps of four places.
#[inline(always)]
fn gradient_taps<L: Lanes>(simd: L, u: [L::V; SIZE]) -> [L::V; 3] {
    let half = simd.splat(0.5);
    let even = simd.mul(half, simd.add(u[1], u[2]));
    [simd.add(u[0], even), simd.mul(half, simd.sub(u[1], u[2])), simd.add(even, u[3])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::conv::direct::conv2d_forward;
    use crate::reference::{self, Window};
    use crate::testing::{
        assert_close, assert_padding_is_zero, on_every_isa, pack_image, too_large, unpack_image, values,
    };

    /// `((channels, height, width), out_channels, padding)`.
    type Case = ((usize, usize, usize), usize, (usize, usize));

    const CASES: [Case; 8] = [
        ((16, 6, 6), 16, (1, 1)),
        ((3, 4, 4), 5, (0, 0)),
        ((32, 13, 12), 64, (0, 0)),
        ((17, 5, 8), 65, (1, 1)),
        ((24, 4, 9), 33, (2, 2)),
        ((6, 4, 14), 16, (0, 2)),
        ((40, 2, 2), 130, (1, 1)),
        ((5, 7, 4), 20, (2, 0)),
    ];

    fn conv(((c, h, w), out_channels, padding): Case) -> Conv2d {
        let border = [padding.0, padding.1, padding.0, padding.1];
        let input = Planes::with_border(c, LANES, h, w, border, (1, 1));
        // A border of its own, as where another convolution follows.
        let (oh, ow) = (h + 2 * padding.0 - 2, w + 2 * padding.1 - 2);
        let output = Planes::with_border(out_channels, LANES, oh, ow, [1, 2, 0, 1], (1, 1));
        Conv2d::new(input, output, (3, 3), (1, 1), padding)
    }

    fn pack_weight(conv: &Conv2d, weight: &[f32]) -> Vec<f32> {
        let (panels, channels) = (conv.weight(), conv.input.channels);
        let mut out = vec![0.0; panels.len()];
        for (at, &value) in weight.iter().enumerate() {
            let (kx, ky, i, o) = (at % 3, at / 3 % 3, at / 9 % channels, at / 9 / channels);
            out[panels.index(conv.weight_row(i, ky, kx), o)] = value;
        }
        out
    }

    fn transformed(shape: &Winograd, transform: impl Fn(usize, &mut Columns<'_, f32>)) -> Vec<f32> {
        let mut out = vec![0.0; shape.weight_len()];
        for unit in 0..shape.weight_units() {
            let columns = shape.weight_columns(unit);
            let arena = Arena::new(&mut out);
            let mut out = arena.write_columns(0, PLACES, shape.weight_stride(), columns);
            transform(unit, &mut out.columns());
        }
        out
    }

    /// Some images, in as many pieces of `rows` rows of tiles at a time as it takes, each image's tiles after those of
    /// the last.
    fn convolve(isa: Isa, shape: &Winograd, images: &[&[f32]], weight: &[f32], rows: usize) -> Vec<Vec<f32>> {
        let mut y = vec![vec![0.0; shape.conv.output.len()]; images.len()];
        for start in (0..shape.tile_rows()).step_by(rows) {
            let rows = start..(start + rows).min(shape.tile_rows());
            let each = rows.len() * shape.tile_columns();
            let tiles = each * images.len();
            let of_image = |n: usize| Tiles { rows: rows.clone(), first: n * each, all: tiles };
            let (mut inputs, mut products) =
                (vec![f32::NAN; shape.input_len(tiles)], vec![f32::NAN; shape.output_len(tiles)]);
            for (n, x) in images.iter().enumerate() {
                transform_input(isa, shape, x, &of_image(n), &mut inputs);
            }
            multiply(isa, shape, tiles, &inputs, weight, &mut products, &mut Prefetch::nothing());
            for (n, y) in y.iter_mut().enumerate() {
                transform_output(isa, shape, &products, &of_image(n), y);
            }
        }
        y
    }

    #[test]
    fn forward_and_gradients_match_the_reference_on_every_isa() {
        for case in CASES {
            let ((c, h, w), out_channels, padding) = case;
            if too_large(c * h * w * out_channels * 9) {
                continue;
            }
            let what = format!("{case:?}");
            let window =
                Window { kernel: (3, 3), stride: (1, 1), padding: [padding.0, padding.1, padding.0, padding.1] };
            let conv = conv(case);
            let shape = Winograd::new(&conv).expect("fits");
            let weight = values(out_channels * c * 9, 1);
            let images = 3;
            let out_len = out_channels * conv.output.height * conv.output.width;
            let x: Vec<_> = (0..images).map(|n| values(c * h * w, 10 + n)).collect();
            let grad_y: Vec<_> = (0..images).map(|n| values(out_len, 20 + n)).collect();
            let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.len()], vec![0.0; out_channels]);
            let mut grad_x = Vec::new();
            for (x, grad_y) in x.iter().zip(&grad_y) {
                let (gx, gw, gb) = reference::conv2d_backward(x, (c, h, w), &weight, out_channels, grad_y, &window);
                grad_x.push(gx);
                grad_weight.iter_mut().zip(gw).for_each(|(a, b)| *a += b);
                grad_bias.iter_mut().zip(gb).for_each(|(a, b)| *a += b);
            }
            let packed_weight = pack_weight(&conv, &weight);
            let packed_x: Vec<_> = x.iter().map(|x| pack_image(x, &conv.input)).collect();
            let packed_x: Vec<_> = packed_x.iter().map(|x| &x[..]).collect();
            let planes = conv.grad_output();
            let packed_grad: Vec<_> = grad_y.iter().map(|g| pack_image(g, &planes)).collect();
            let packed_grad: Vec<_> = packed_grad.iter().map(|g| &g[..]).collect();

            on_every_isa(|isa| {
                let mut bits = Vec::new();
                let weights = transformed(&shape, |unit, out| transform_weight(isa, &shape, unit, &packed_weight, out));
                let y = convolve(isa, &shape, &packed_x, &weights, shape.tile_rows());
                assert!(y == convolve(isa, &shape, &packed_x, &weights, 1), "pieces of {what}");
                for (x, y) in x.iter().zip(&y) {
                    let expected = reference::conv2d_forward(x, (c, h, w), &weight, &vec![0.0; out_channels], &window);
                    assert_close(&unpack_image(y, &conv.output), &expected, 1e-5, &format!("y of {what}"));
                    assert_padding_is_zero(y, &conv.output, &what);
                    bits.extend(y.iter().map(|v| v.to_bits()));
                }

                let [phase] = &conv.phases()[..] else { panic!("stride 1 has one phase") };
                let back = Winograd::new(phase.conv()).expect("as it is");
                let weights = transformed(&back, |unit, out| {
                    transform_weight_back(isa, &conv, &back, unit, &packed_weight, out);
                });
                for (out, grad_x) in convolve(isa, &back, &packed_grad, &weights, 2).iter().zip(&grad_x) {
                    let all = &back.conv.output;
                    assert_close(&unpack_image(out, all), grad_x, 1e-5, &format!("grad_x of {what}"));
                    assert_padding_is_zero(out, all, &what);
                    bits.extend(out.iter().map(|v| v.to_bits()));
                }

                // Each image's in a part of its own but the last, which is added to the first.
                let mut parts = vec![0.0; 2 * shape.weight_len()];
                let mut biases = vec![f32::NAN; 2 * shape.outputs()];
                let tiles = shape.tile_rows() * shape.tile_columns();
                for n in 0..images as usize {
                    let (mut inputs, mut grads) =
                        (vec![f32::NAN; shape.input_len(tiles)], vec![f32::NAN; shape.output_len(tiles)]);
                    let whole = Tiles { rows: 0..shape.tile_rows(), first: 0, all: tiles };
                    transform_input(isa, &shape, packed_x[n], &whole, &mut inputs);
                    transform_grad_output(isa, &shape, &planes, packed_grad[n], &whole, &mut grads);
                    let part = &mut parts[n % 2 * shape.weight_len()..][..shape.weight_len()];
                    let bias = &mut biases[n % 2 * shape.outputs()..][..shape.outputs()];
                    let nothing = &mut Prefetch::nothing();
                    multiply_gradient(isa, &shape, tiles, &inputs, &grads, n >= 2, part, bias, nothing);
                }
                let mut grad = vec![f32::NAN; conv.weight().len()];
                for unit in 0..shape.weight_units() {
                    transform_gradient(isa, &shape, unit, &parts, &mut grad[shape.taps(unit)]);
                }
                let mut unpacked = Vec::new();
                for o in 0..out_channels {
                    for (i, tap) in (0..c).flat_map(|i| (0..9).map(move |tap| (i, tap))) {
                        unpacked.push(grad[conv.weight().index(conv.weight_row(i, tap / 3, tap % 3), o)]);
                    }
                }
                assert_close(&unpacked, &grad_weight, 1e-5, &format!("grad_weight of {what}"));
                assert!(grad.iter().all(|v| v.is_finite()), "every weight of {what} has a gradient");
                let bias: Vec<f32> = (0..out_channels).map(|o| biases[o] + biases[shape.outputs() + o]).collect();
                assert_close(&bias, &grad_bias, 1e-5, &format!("grad_bias of {what}"));
                bits.extend(grad.iter().chain(&bias).map(|v| v.to_bits()));
                bits
            });
        }
    }

    #[test]
    fn maps_of_which_tiles_save_little_are_left_to_others() {
        for (height, width, fits) in [(1, 1, false), (1, 28, false), (3, 3, false), (2, 2, true), (5, 5, true)] {
            let conv = conv(((16, height, width), 16, (1, 1)));
            assert_eq!(Winograd::new(&conv).is_some(), fits, "{height}x{width}");
        }
    }

    /// Root mean square of what is wrong.
    fn error(got: &[f32], expected: &[f64]) -> f64 {
        let squares = got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - e).powi(2));
        (squares.sum::<f64>() / got.len() as f64).sqrt()
    }

    #[test]
    fn it_rounds_less_than_a_plain_sum() {
        for channels in [16, 64] {
            if too_large(channels * 12 * 12 * 16 * 9) {
                continue;
            }
            let case = ((channels, 12, 12), 16, (1, 1));
            let conv = conv(case);
            let shape = Winograd::new(&conv).expect("fits");
            // As after a ReLU.
            let x: Vec<_> = values(channels * 144, 1).iter().map(|x| x.max(0.0)).collect();
            let weight = values(16 * channels * 9, 2);
            let window = Window { kernel: (3, 3), stride: (1, 1), padding: [1; 4] };
            let expected = reference::conv2d_forward(&x, case.0, &weight, &[0.0; 16], &window);
            let (packed_x, packed_weight) = (pack_image(&x, &conv.input), pack_weight(&conv, &weight));
            let isa = Isa::detect();
            let weights = transformed(&shape, |unit, out| transform_weight(isa, &shape, unit, &packed_weight, out));
            let tiled = &convolve(isa, &shape, &[&packed_x], &weights, 3)[0];
            let mut plain = vec![0.0; conv.output.len()];
            conv2d_forward(isa, &conv, 1, &packed_x, &packed_weight, &mut plain, &mut Prefetch::nothing());
            let [tiled, plain] = [tiled, &plain].map(|y| error(&unpack_image(y, &conv.output), &expected));
            assert!(tiled < plain, "{channels} channels: {tiled} in tiles, {plain} in a plain sum");
        }
    }
}
