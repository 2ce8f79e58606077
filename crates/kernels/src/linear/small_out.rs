//! A linear layer with few outputs over pixels, most of which are zero.
//!
//! With ten outputs, lanes along the outputs would be half idle, and finding an image's pixels would cost as much as
//! its products. So here lanes are images forward, where a pixel that is zero in sixteen of them is left out, and
//! pixels backward, where sixteen that are all zero are. (Nothing is left out where a zero pixel has a value.) Each sum
//! is that of [`crate::linear::dense`], in its order, without some products that are zero: for finite weights the bits
//! are the same but for the sign of a zero.

use crate::arena::Columns;
use crate::linear::dense::covers;
use crate::memory::fetch;
use crate::pixels::{Images, PixelTable, Values};
use crate::simd::bytes16::{nonzero, transpose, union};
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{self, LANES, Lanes};
use std::ops::Range;

/// The layout of the `[in_features, out_features]` weights: blocks of 16 inputs, in each a vector for every output.
///
/// So backward gives a block as it comes, no lane of the optimizer is idle, and little goes from one processor's cache
/// to another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmallOut {
    /// Number of inputs.
    pub in_features: usize,
    /// Number of outputs, at most 16.
    pub out_features: usize,
}

impl SmallOut {
    /// Whether a layer of so many outputs is one of few.
    pub fn is_small(out_features: usize) -> bool {
        out_features <= LANES
    }

    /// Blocks of 16 inputs, the last perhaps of fewer.
    pub fn blocks(self) -> usize {
        self.in_features.div_ceil(LANES)
    }

    /// Where block `block` begins.
    pub fn start(self, block: usize) -> usize {
        // Saturating: so many are in no slice, and a product that wrapped around could be any slice's length.
        block.saturating_mul(self.out_features * LANES)
    }

    /// Elements in all.
    pub fn len(self) -> usize {
        self.start(self.blocks())
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Elements of [`NonzeroImages`] for `images` images.
    pub fn mask_len(self, images: usize) -> usize {
        images.div_ceil(LANES).saturating_mul(self.blocks())
    }

    /// Where the weight from input `input` to output `output` lies.
    pub fn index(self, input: usize, output: usize) -> usize {
        self.start(input / LANES) + output * LANES + input % LANES
    }
}

/// The pixels `16 * block..` of the image at `image`, as many as `inputs` are, then zeros.
///
/// # Safety
/// There are `inputs` pixels, and of them some of this block.
#[inline(always)]
unsafe fn sixteen(image: *const u8, inputs: usize, block: usize) -> [u8; LANES] {
    // SAFETY: no byte beyond the image's pixels is read.
    unsafe {
        let (from, left) = (image.add(block * LANES), inputs - block * LANES);
        if left >= LANES {
            return from.cast::<[u8; LANES]>().read();
        }
        let mut sixteen = [0; LANES];
        from.copy_to_nonoverlapping(sixteen.as_mut_ptr(), left);
        sixteen
    }
}

impl Images<'_> {
    /// Where image `n` of the batch lies.
    ///
    /// # Safety
    /// The images have been checked; there is this image.
    #[inline(always)]
    unsafe fn image(&self, n: usize) -> *const u8 {
        // SAFETY: its index is one of the data's images.
        unsafe { self.pixels.as_ptr().add(*self.indices.get_unchecked(n) as usize * self.inputs) }
    }
}

/// For sixteen images and sixteen pixels a bit for each image, the lowest bit first, that has something there:
/// something that is not zero, or where a zero has a value, anything.
///
/// They lie sixteen images by sixteen images, in each block by block.
pub type NonzeroImages = [u8; 2];

/// The images of the next step: what a thread will look at of them.
#[derive(Clone, Debug)]
pub struct Next<'a> {
    /// The images.
    pub indices: &'a [u32],
    /// Those of them of which it will look at all pixels; of the others, at the blocks that it looks at now.
    pub whole: Range<usize>,
}

/// Calls the function compiled for exactly this many outputs.
macro_rules! any_outputs {
    ($outputs:expr, $L:ident, $f:ident $args:tt) => {
        any_outputs!($outputs, $L, $f $args; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    ($outputs:expr, $L:ident, $f:ident $args:tt; $($n:literal)*) => {
        match $outputs {
            $($n => $f::<$L, $n> $args,)*
            _ => unreachable!("outputs fill a vector at most"),
        }
    };
}

/// Overwrites `y`, a row of 16 columns for each image, with the outputs, like [`crate::linear::dense::linear_forward`],
/// and `mask`, of which [`linear_backward_weight_small_out`] knows what to leave out.
///
/// `bias` has one element per output, then zeros.
/// `weight`: [`SmallOut::len`]. `mask`: [`SmallOut::mask_len`].
///
/// # Panics
/// If a slice or `y` has another size than that, the images are none of the data, or there are more than 16 outputs.
pub fn linear_forward_small_out(
    isa: Isa,
    layout: SmallOut,
    images: Images,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    mask: &mut [NonzeroImages],
) {
    images.check(layout.in_features);
    assert_eq!((weight.len(), bias.len()), (layout.len(), LANES), "weights of {layout:?}");
    assert!(y.columns() == LANES && y.rows() >= images.indices.len(), "y has a row of one vector for each image");
    assert_eq!(mask.len(), layout.mask_len(images.indices.len()), "bits of {layout:?}");
    let outputs = layout.out_features;
    dispatch!(isa, forward_any(outputs: usize, images: Images, weight: &[f32], bias: &[f32], y: &mut Columns<'_, f32>, mask: &mut [NonzeroImages]))
}

#[inline(always)]
fn forward_any<L: Lanes>(
    simd: L,
    outputs: usize,
    images: Images,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    mask: &mut [NonzeroImages],
) {
    if images.table.is_one_for_all() {
        any_outputs!(outputs, L, forward_one(simd, images, weight, bias, y, mask))
    } else {
        any_outputs!(outputs, L, forward_each(simd, images, weight, bias, y, mask))
    }
}

/// [`forward_body`] where all channels have one table: small networks are fast enough for its cost to be seen, were it
/// looked for block by block.
#[inline(always)]
fn forward_one<L: Lanes, const O: usize>(
    simd: L,
    images: Images,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    mask: &mut [NonzeroImages],
) {
    forward_body::<L, O, false>(simd, images, weight, bias, y, mask);
}

/// [`forward_body`] where each channel has its table.
#[inline(always)]
fn forward_each<L: Lanes, const O: usize>(
    simd: L,
    images: Images,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    mask: &mut [NonzeroImages],
) {
    forward_body::<L, O, true>(simd, images, weight, bias, y, mask);
}

#[inline(always)]
fn forward_body<L: Lanes, const O: usize, const EACH: bool>(
    simd: L,
    images: Images,
    weight: &[f32],
    bias: &[f32],
    y: &mut Columns<'_, f32>,
    mask: &mut [NonzeroImages],
) {
    let one = Values::new(simd, images.table.of(0));
    let skips = images.table.zero_is_nothing();
    let (blocks, _) = weight.as_chunks::<LANES>().0.as_chunks::<O>();
    for (first, mask) in (0..images.indices.len()).step_by(LANES).zip(mask.chunks_exact_mut(blocks.len())) {
        let rows = (images.indices.len() - first).min(LANES);
        let every = (u32::MAX >> (32 - rows)) as u16;
        let mut starts = [std::ptr::null(); LANES];
        for (n, start) in starts[..rows].iter_mut().enumerate() {
            // SAFETY: checked by the caller; one of `rows` images.
            *start = unsafe { images.image(first + n) };
        }
        let mut acc = [simd.zero(); O];
        for o in 0..O {
            acc[o] = simd.splat(bias[o]);
        }
        for ((block, weight), bits) in blocks.iter().enumerate().zip(mask) {
            let mut square = [[0; LANES]; LANES];
            for (image, sixteen) in starts[..rows].iter().zip(&mut square) {
                // SAFETY: each is where an image starts.
                *sixteen = unsafe { self::sixteen(*image, images.inputs, block) };
            }
            let places = block * LANES..images.inputs.min((block + 1) * LANES);
            let all = !(u32::MAX << places.len());
            let mut mask = if skips { u32::from(nonzero(union(&square))) } else { all };
            if mask == 0 {
                *bits = [0; 2];
                continue;
            }
            let columns = transpose(&square);
            let some = if skips { nonzero(union(&columns)) } else { every };
            *bits = some.to_le_bytes();
            let same = if EACH { images.table.same(places.clone()) } else { None };
            let of_block = same.map(|table| Values::new(simd, table));
            while mask != 0 {
                let pixel = mask.trailing_zeros() as usize % LANES;
                mask &= mask - 1;
                let column = columns[pixel].as_ptr();
                // SAFETY: a column is 16 bytes.
                let x = unsafe {
                    match &of_block {
                        _ if !EACH => one.of(column),
                        Some(value) => value.of(column),
                        // A block in which channels meet.
                        None => Values::new(simd, images.table.of(places.start + pixel)).of(column),
                    }
                };
                for o in 0..O {
                    acc[o] = simd.fma(x, simd.splat(weight[o][pixel]), acc[o]);
                }
            }
        }
        let mut square = [simd.zero(); LANES];
        square[..O].copy_from_slice(&acc);
        for (l, row) in lanes::transpose(simd, square)[..rows].iter().enumerate() {
            // SAFETY: a row has 16 columns.
            unsafe { simd.store(y.row_mut(first + l).as_mut_ptr(), *row) };
        }
    }
}

/// Overwrites `grad_weight`, the blocks `blocks`, like [`crate::linear::dense::linear_backward_weight`].
///
/// `mask` is what [`linear_forward_small_out`] found of all these images. `grad_y`: a row for each image,
/// `grad_y_stride` apart. Meanwhile `next` is brought into the cache.
///
/// # Panics
/// If a slice has another size than that, the images are none of the data, or there are no such blocks.
#[expect(clippy::too_many_arguments, reason = "two operands with their layouts, and what comes next")]
pub fn linear_backward_weight_small_out(
    isa: Isa,
    layout: SmallOut,
    images: Images,
    mask: &[NonzeroImages],
    blocks: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    next: Next,
) {
    images.check(layout.in_features);
    assert!(blocks.end <= layout.blocks(), "blocks {blocks:?} of {layout:?}");
    let rows = images.indices.len();
    assert!(grad_y_stride >= LANES && covers(grad_y.len(), rows, grad_y_stride, LANES), "grad_y has {rows} rows");
    assert_eq!(grad_weight.len(), layout.start(blocks.len()), "blocks {blocks:?} of {layout:?}");
    assert_eq!(mask.len(), layout.mask_len(rows), "bits of {layout:?}");
    let outputs = layout.out_features;
    dispatch!(isa, backward_any(outputs: usize, images: Images, mask: &[NonzeroImages], blocks: Range<usize>, grad_y: &[f32], grad_y_stride: usize, grad_weight: &mut [f32], next: Next))
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller")]
fn backward_any<L: Lanes>(
    simd: L,
    outputs: usize,
    images: Images,
    mask: &[NonzeroImages],
    blocks: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    next: Next,
) {
    if images.table.is_one_for_all() {
        any_outputs!(outputs, L, backward_one(simd, images, mask, blocks, grad_y, grad_y_stride, grad_weight, next));
    } else {
        any_outputs!(outputs, L, backward_each(simd, images, mask, blocks, grad_y, grad_y_stride, grad_weight, next));
    }
}

/// [`backward_body`] where all channels have one table.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller")]
fn backward_one<L: Lanes, const O: usize>(
    simd: L,
    images: Images,
    mask: &[NonzeroImages],
    blocks: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    next: Next,
) {
    backward_body::<L, O, false>(simd, images, mask, blocks, grad_y, grad_y_stride, grad_weight, next);
}

/// [`backward_body`] where each channel has its table.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller")]
fn backward_each<L: Lanes, const O: usize>(
    simd: L,
    images: Images,
    mask: &[NonzeroImages],
    blocks: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    next: Next,
) {
    backward_body::<L, O, true>(simd, images, mask, blocks, grad_y, grad_y_stride, grad_weight, next);
}

/// Groups of sixteen images whose bits make a word.
const WORD: usize = 4;

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of its caller, and the instruction set")]
fn backward_body<L: Lanes, const O: usize, const EACH: bool>(
    simd: L,
    images: Images,
    mask: &[NonzeroImages],
    blocks: Range<usize>,
    grad_y: &[f32],
    grad_y_stride: usize,
    grad_weight: &mut [f32],
    next: Next,
) {
    let one = Values::new(simd, images.table.of(0));
    let all = images.inputs.div_ceil(LANES);
    let pixels = blocks.start * LANES..(blocks.end * LANES).min(images.inputs);
    let (grad_blocks, _) = grad_weight.as_chunks_mut::<LANES>().0.as_chunks_mut::<O>();
    let parts = grad_blocks.len();
    for (part, (block, grad_weight)) in blocks.zip(grad_blocks).enumerate() {
        // A few with each block: a core has a few dozen requests on the way, and more of them stop it.
        for n in next.indices.len() * part / parts..next.indices.len() * (part + 1) / parts {
            let image = &images.pixels[next.indices[n] as usize * images.inputs..][..images.inputs];
            fetch(if next.whole.contains(&n) { image } else { &image[pixels.clone()] });
        }
        let places = block * LANES..images.inputs.min((block + 1) * LANES);
        let same = if EACH { images.table.same(places.clone()) } else { None };
        let of_block = same.map(|table| Values::new(simd, table));
        let mut acc = [simd.zero(); O];
        for (word, groups) in mask.chunks(WORD * all).enumerate() {
            let mut bits = 0;
            for (group, mask) in groups.chunks_exact(all).enumerate() {
                bits |= u64::from(u16::from_le_bytes(mask[block])) << (LANES * group);
            }
            let first = word * WORD * LANES;
            bits &= u64::MAX >> (64 - (images.indices.len() - first).min(64));
            while bits != 0 {
                let n = first + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // SAFETY: one of the images, whatever bits came, and the caller has checked these; as many rows of
                // `grad_y` have a vector.
                unsafe {
                    let sixteen = sixteen(images.image(n), images.inputs, block);
                    let x = match &of_block {
                        _ if !EACH => one.of(sixteen.as_ptr()),
                        Some(value) => value.of(sixteen.as_ptr()),
                        None => simd.load(values_of(images.table, &places, &sixteen).as_ptr()),
                    };
                    let grad = grad_y.as_ptr().add(n * grad_y_stride);
                    for o in 0..O {
                        acc[o] = simd.fma(x, simd.splat(*grad.add(o)), acc[o]);
                    }
                }
            }
        }
        let there = places.len();
        for o in 0..O {
            // SAFETY: an array of 16 elements.
            unsafe { simd.store(grad_weight[o].as_mut_ptr(), acc[o]) };
            // No input, no weight, whatever a pixel that is not there would be worth.
            grad_weight[o][there..].fill(0.0);
        }
    }
}

/// The values of the pixels at `places` of an image, in which channels meet; zeros behind the last.
fn values_of(table: &PixelTable, places: &Range<usize>, pixels: &[u8; LANES]) -> [f32; LANES] {
    let mut values = [0.0; LANES];
    for ((value, at), &pixel) in values.iter_mut().zip(places.clone()).zip(pixels) {
        *value = table.at(at, pixel);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::dense::{LinearWeight, Sums, linear_backward_weight, linear_forward};
    use crate::prefetch::Prefetch;
    use crate::testing::{on_every_isa, too_large, values};

    /// Images where most pixels are blank; some wholly, one not at all.
    fn sparse(rows: usize, inputs: usize) -> Vec<u8> {
        let pixel = |at: usize| {
            let (n, i) = (at / inputs, at % inputs);
            let blank = n % 7 != 3 && ((n * 7 + i * 5 + n * i) % 3 != 0 || i / 40 % 3 == 1 || n % 20 == 4);
            if blank { 0 } else { (at * 37 % 255 + 1) as u8 }
        };
        (0..rows * inputs).map(pixel).collect()
    }

    /// `[inputs, 16]` weights where `layout` wants them.
    fn packed(layout: SmallOut, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; layout.len()];
        for (input, row) in rows.chunks(LANES).enumerate() {
            for output in 0..layout.out_features {
                out[layout.index(input, output)] = row[output];
            }
        }
        out
    }

    /// Not within a tolerance: the products that are left out are zeros.
    #[test]
    fn sums_have_the_bits_of_sums_over_all_pixels_on_every_isa() {
        for (rows, inputs, outputs, mean, channels) in [
            (1, 1, 1, 0.0, 1),
            (5, 18, 10, 0.0, 1),
            (5, 18, 10, 0.1, 1),
            (16, 64, 16, 0.0, 1),
            (33, 100, 3, 0.0, 1),
            (33, 100, 3, 0.5, 1),
            (100, 784, 10, 0.0, 1),
            (300, 40, 7, 0.1, 1),
            (0, 5, 5, 0.0, 1),
            // Channels that meet in a block, three in one, and at its end.
            (33, 100, 3, 0.5, 4),
            (33, 100, 3, 0.0, 4),
            (21, 18, 10, 0.1, 3),
            (5, 3, 2, 0.1, 3),
            (18, 64, 16, 0.2, 2),
        ] {
            if too_large(rows * inputs * outputs) {
                continue;
            }
            let layout = SmallOut { in_features: inputs, out_features: outputs };
            // Blocks of 18 inputs, each a row of one vector for every input: simply rows.
            let plain = LinearWeight { in_features: inputs, out_features: outputs };
            let numbers = (0..channels).map(|channel| (mean * (1 + channel) as f32, 0.3 + 0.1 * channel as f32));
            let (pixels, table) = (sparse(rows, inputs), PixelTable::per_channel(numbers, inputs / channels));
            assert_eq!(table.is_one_for_all(), channels == 1);
            // In another order than the data have them.
            let indices: Vec<u32> = (0..rows as u32).rev().collect();
            let image = |image: &[u8]| image.iter().enumerate().map(|(at, &p)| table.at(at, p)).collect::<Vec<_>>();
            let x: Vec<f32> = pixels.chunks(inputs).rev().flat_map(image).collect();
            // Padding is zero, as everywhere.
            let padded = |rows: usize, salt| {
                let mut all = values(rows * LANES, salt);
                all.chunks_mut(LANES).for_each(|row| row[outputs..].fill(0.0));
                all
            };
            let (weight, bias, grad_y) = (padded(inputs, 2), padded(1, 3), padded(rows, 4));
            on_every_isa(|isa| {
                let (mut expected, mut got) = (vec![f32::NAN; rows * LANES], vec![f32::NAN; rows * LANES]);
                let y = &mut Columns::new(&mut expected, LANES, LANES);
                linear_forward(isa, plain, &Sums::over_all_inputs(plain, 0..1), &x, inputs, rows, &weight, &bias, y);
                let images = Images { pixels: &pixels, inputs, indices: &indices, table: &table };
                let y = &mut Columns::new(&mut got, LANES, LANES);
                let mut mask = vec![[0xAA; 2]; layout.mask_len(rows)];
                linear_forward_small_out(isa, layout, images, &packed(layout, &weight), &bias, y, &mut mask);
                assert!(got == expected, "forward {rows}x{inputs}x{outputs} on {}", isa.name());

                let (mut expected, mut got) = (vec![f32::NAN; plain.len()], vec![f32::NAN; layout.len()]);
                for block in 0..plain.blocks() {
                    let grad = &mut expected[plain.range(block)];
                    let nothing = &mut Prefetch::nothing();
                    linear_backward_weight(isa, plain, block, &x, inputs, &grad_y, LANES, rows, grad, nothing);
                }
                let middle = layout.blocks() / 2;
                let (upper, lower) = got.split_at_mut(layout.start(middle));
                for (blocks, grad) in [(0..middle, upper), (middle..layout.blocks(), lower)] {
                    let next = Next { indices: &indices, whole: 0..rows / 2 };
                    linear_backward_weight_small_out(isa, layout, images, &mask, blocks, &grad_y, LANES, grad, next);
                }
                assert!(got == packed(layout, &expected), "backward {rows}x{inputs}x{outputs} on {}", isa.name());
                // Bits of images that there are not are no images; those of blank ones add nothing.
                let mask = vec![[0xFF; 2]; mask.len()];
                let mut again = vec![f32::NAN; layout.len()];
                let (all, next) = (0..layout.blocks(), Next { indices: &[], whole: 0..0 });
                linear_backward_weight_small_out(isa, layout, images, &mask, all, &grad_y, LANES, &mut again, next);
                assert!(again == got, "with bits for everything, on {}", isa.name());
                got.iter().map(|v| v.to_bits()).collect()
            });
        }
    }
}
