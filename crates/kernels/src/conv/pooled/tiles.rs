//! The forward pass of a [`ConvPool`] over 2x2 windows, where the convolution is summed directly.
//!
//! A tile of windows stays in registers from the first tap to the pooled value: the convolution's output never reaches
//! memory. Windows that see nothing but zeros are not computed: each of their sums is a chain of `w * 0 + 0`, which is
//! 0 exactly, so the first of them wins and what is made of the bias is left. Of the windows of a digit that is half.

use super::ConvPool;
use super::forward::finish;
use super::seen::windows_that_see;
use crate::contract::Segment;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

impl ConvPool {
    /// Whether [`conv_pool_forward`] is there for this shape.
    pub fn has_tiles(&self) -> bool {
        self.window == (2, 2)
    }
}

/// Overwrites the pixels of `y` and `argmax` with the same bits as [`crate::conv::direct::conv2d_forward`] and then
/// [`super::forward::pool_forward`].
///
/// `x`, `y`: one image. `weight`: [`crate::conv::direct::Conv2d::weight`]. `bias`: one element per padded channel.
/// `argmax`: [`ConvPool::argmax_len`].
///
/// # Panics
/// Unless [`ConvPool::has_tiles`], and if a slice has another length than that.
pub fn conv_pool_forward(
    isa: Isa,
    shape: &ConvPool,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let (conv, to) = (&shape.conv, &shape.output);
    assert!(shape.has_tiles(), "windows of {:?}", shape.window);
    assert_eq!(x.len(), conv.input.len(), "x is one image of {:?}", conv.input);
    assert_eq!(weight.len(), conv.weight().len(), "weight has the layout of the convolution");
    assert_eq!(bias.len(), to.blocks * LANES, "bias has one element per padded channel");
    assert_eq!(y.len(), to.len(), "y is one image of {to:?}");
    assert_eq!(argmax.len(), shape.argmax_len(), "one winner per output");
    assert_eq!(conv.weight().padded_n(), to.blocks * LANES, "the convolution gives the channels of the output");
    assert!(to.lanes == LANES && to.pixel == LANES, "the output's pixels are whole vectors side by side");
    let end = to.offset(to.blocks - 1, to.height - 1, to.width - 1) + LANES;
    assert!(end <= y.len(), "every pixel lies in the output");
    // The last tap of the last pixel of the last window.
    let (rows, columns) = (2 * to.height - 1, 2 * to.width - 1);
    let last = rows * conv.stride.0 * conv.input.row + columns * conv.stride.1 * conv.input.pixel;
    let last_run = conv.runs().iter().fold((0, 0), |(a, b), run| (run.a.max(a), run.b.max(b)));
    assert!(last + last_run.0 + conv.run_len() <= x.len(), "every tap lies in the image");
    assert!(last_run.1 + conv.run_len() <= conv.weight().k, "every tap has a row of the weights");
    dispatch!(
        isa,
        body(shape: &ConvPool, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], argmax: &mut [u8])
    )
}

#[inline(always)]
fn body<L: Lanes>(
    simd: L,
    shape: &ConvPool,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let (conv, to) = (&shape.conv, &shape.output);
    let panels = conv.weight();
    // An infinite weight times zero is not zero.
    let everything = !weight.iter().fold(true, |finite, w| finite & w.is_finite());
    let (max_windows, max_vectors) = if L::TILE.1 > 1 { (3, 2) } else { (1, 1) };
    let (pieces, piece_len) = conv.taps();
    let mut taps = Taps {
        pieces,
        piece_len,
        width: 0,
        line: conv.stride.0 * conv.input.row,
        step: conv.stride.1 * conv.input.pixel,
        y_block: to.plane,
        winners_block: to.height * to.width * LANES,
        floor: shape.floor(),
    };
    let (y, argmax) = (y.as_mut_ptr(), argmax.as_mut_ptr());
    for oy in 0..to.height {
        let seen = if everything { 0..to.width } else { windows_that_see(simd, shape, x, oy) };
        for p in 0..panels.count() {
            let blocks = panels.columns(p).start / LANES..panels.columns(p).end / LANES;
            taps.width = panels.width(p);
            let mut first = blocks.start;
            while first < blocks.end {
                // Half a vector has more windows. Together with the whole one before it, as many sums would leave no
                // register for the pixels.
                let half = L::HALF_TILE > 0 && panels.is_half_idle(p) && first + 1 == blocks.end;
                let (max_windows, vectors) =
                    if half { (3, 1) } else { (max_windows, max_vectors.min(blocks.end - first)) };
                // SAFETY: all these slices were checked to hold what the shape says.
                let at = |ox: usize| unsafe {
                    At {
                        x: x.as_ptr().add(2 * oy * taps.line + 2 * ox * taps.step),
                        weight: weight.as_ptr().add(panels.start(p) + (first - blocks.start) * LANES),
                        bias: bias.as_ptr().add(first * LANES),
                        y: y.add(to.offset(first, oy, ox)),
                        argmax: argmax.add(((first * to.height + oy) * to.width + ox) * LANES),
                    }
                };
                for ox in (0..seen.start).chain(seen.end..to.width) {
                    let at = at(ox);
                    for v in 0..vectors {
                        // SAFETY: as above.
                        unsafe {
                            let bias = simd.load(at.bias.add(v * LANES));
                            let y = at.y.add(v * taps.y_block);
                            finish(
                                simd,
                                simd.splat(taps.floor),
                                simd.zero(),
                                simd.zero(),
                                bias,
                                y,
                                at.argmax.add(v * taps.winners_block),
                            );
                        }
                    }
                }
                let mut ox = seen.start;
                while ox < seen.end {
                    // Tiles of nearly equal width.
                    let left = seen.end - ox;
                    let windows = left.div_ceil(left.div_ceil(max_windows));
                    // SAFETY: as above; `conv_pool_forward` asserted that the taps of the last window lie in `x`.
                    unsafe {
                        match half {
                            true => any_half_tile(simd, windows, &taps, at(ox)),
                            false => any_tile(simd, windows, vectors, &taps, at(ox)),
                        }
                    }
                    ox += windows;
                }
                first += vectors;
            }
        }
    }
}

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn any_tile<L: Lanes>(simd: L, windows: usize, vectors: usize, taps: &Taps, at: At) {
    macro_rules! pick {
        ($step:literal; $($w:literal $q:literal $v:literal)*) => {
            match (windows, vectors) {
                // SAFETY: passed on from the caller.
                $(($w, $v) => unsafe { tile::<L, $q, $v, $step, false>(simd, taps, at) },)*
                _ => unreachable!("at most three windows and two vectors"),
            }
        };
    }
    if L::TILE.1 == 1 {
        pick!(0; 1 4 1);
    } else if taps.step == 1 {
        pick!(1; 1 4 1 2 8 1 3 12 1 1 4 2 2 8 2 3 12 2);
    } else {
        pick!(0; 1 4 1 2 8 1 3 12 1 1 4 2 2 8 2 3 12 2);
    }
}

/// The same for one vector whose second half is padding.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn any_half_tile<L: Lanes>(simd: L, windows: usize, taps: &Taps, at: At) {
    macro_rules! pick {
        ($step:literal; $($w:literal $q:literal)*) => {
            match windows {
                // SAFETY: passed on from the caller.
                $($w => unsafe { tile::<L, $q, 1, $step, true>(simd, taps, at) },)*
                _ => unreachable!("at most three windows"),
            }
        };
    }
    if taps.step == 1 {
        pick!(1; 1 4 2 8 3 12);
    } else {
        pick!(0; 1 4 2 8 3 12);
    }
}

/// Where the taps of a tile lie, and where its windows go.
struct Taps<'a> {
    /// [`crate::conv::direct::Conv2d::taps`].
    pieces: &'a [Segment],
    piece_len: usize,
    /// From one row of the weights to the next.
    width: usize,
    /// From the taps of one pixel to those of the one below.
    line: usize,
    /// From the taps of one pixel to those of the one to its right, unless that is known in advance.
    step: usize,
    /// From one block of the output to the next, and of the argmax.
    y_block: usize,
    winners_block: usize,
    /// [`ConvPool::floor`].
    floor: f32,
}

/// Where a tile begins in all that it touches.
#[derive(Clone, Copy)]
struct At {
    x: *const f32,
    weight: *const f32,
    bias: *const f32,
    y: *mut f32,
    argmax: *mut u8,
}

/// Computes `Q / 4` windows of 2x2 pixels for `V` vectors of channels. `STEP`: [`Taps::step`], 0 for any. `HALF`: the
/// second half of the last vector is padding.
///
/// # Safety
/// All taps of the tile and all rows of `V` vectors of the weights are readable, so are `V` vectors of the bias; what
/// the windows become is writable.
#[inline(always)]
unsafe fn tile<L: Lanes, const Q: usize, const V: usize, const STEP: usize, const HALF: bool>(
    simd: L,
    taps: &Taps,
    at: At,
) {
    let step = if STEP > 0 { STEP } else { taps.step };
    // SAFETY: the caller vouches for every address.
    unsafe {
        let mut acc = [[simd.zero(); V]; Q];
        for piece in taps.pieces {
            let mut px = at.x.add(piece.a);
            let mut pw = at.weight.add(piece.b * taps.width);
            for _ in 0..taps.piece_len {
                let mut row = [simd.zero(); V];
                for v in 0..V {
                    row[v] = simd.load(pw.add(v * LANES));
                }
                let below = px.wrapping_add(taps.line);
                for q in 0..Q {
                    let line = if q < Q / 2 { px } else { below };
                    let x = simd.splat(*line.add(q % (Q / 2) * step));
                    for v in 0..V {
                        acc[q][v] = match HALF && v + 1 == V {
                            true => simd.fma_half(x, row[v], acc[q][v]),
                            false => simd.fma(x, row[v], acc[q][v]),
                        };
                    }
                }
                px = px.wrapping_add(1);
                pw = pw.wrapping_add(taps.width);
            }
        }
        for v in 0..V {
            let bias = simd.load(at.bias.add(v * LANES));
            for p in 0..Q / 4 {
                let mut best = acc[2 * p][v];
                let mut place = simd.zero();
                for (code, q) in [(1.0, 2 * p + 1), (2.0, Q / 2 + 2 * p), (3.0, Q / 2 + 2 * p + 1)] {
                    place = simd.select_greater_or_nan(acc[q][v], best, simd.splat(code), place);
                    best = simd.select_greater_or_nan(acc[q][v], best, acc[q][v], best);
                }
                let y = at.y.add(v * taps.y_block + p * LANES);
                finish(
                    simd,
                    simd.splat(taps.floor),
                    best,
                    place,
                    bias,
                    y,
                    at.argmax.add(v * taps.winners_block + p * LANES),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::direct::conv2d_forward;
    use crate::conv::pooled::forward::pool_forward;
    use crate::conv::pooled::seen::tests::{CASES, images, shape};
    use crate::prefetch::Prefetch;
    use crate::testing::{on_every_isa, pack_image, too_large, values};

    #[test]
    fn a_tile_gives_the_bits_of_the_convolution_and_then_the_pooling() {
        for case in CASES {
            if too_large(case.0.0 * case.0.1 * case.0.2 * case.2 * case.3.0 * case.3.1) {
                continue;
            }
            let ([plain, rectified], (_, _, out_channels, ..)) = ([false, true].map(|relu| shape(case, relu)), case);
            let (conv, to) = (&plain.conv, &plain.output);
            let mut weight = values(conv.weight().len(), 1);
            // Padding columns are zero.
            for (k, o) in
                (0..conv.weight().k).flat_map(|k| (out_channels..conv.weight().padded_n()).map(move |o| (k, o)))
            {
                weight[conv.weight().index(k, o)] = 0.0;
            }
            let mut bias = values(out_channels, 2);
            bias[0] = -0.0;
            bias.resize(conv.weight().padded_n(), 0.0);
            let mut broken = weight.clone();
            broken[conv.weight().index(0, 0)] = f32::NEG_INFINITY;
            for (n, image) in images(case.0).iter().enumerate() {
                let x = pack_image(image, &conv.input);
                for (shape, weight) in
                    [(&plain, &weight), (&rectified, &weight), (&plain, &broken), (&rectified, &broken)]
                {
                    on_every_isa(|isa| {
                        let mut sums = vec![0.0; conv.output.len()];
                        let (mut y, mut argmax) = (vec![0.0; to.len()], vec![7; shape.argmax_len()]);
                        conv2d_forward(isa, conv, 1, &x, weight, &mut sums, &mut Prefetch::nothing());
                        pool_forward(isa, shape, &sums, &bias, &mut y, &mut argmax);
                        let (mut got, mut got_argmax) = (vec![0.0; to.len()], vec![8; shape.argmax_len()]);
                        conv_pool_forward(isa, shape, &x, weight, &bias, &mut got, &mut got_argmax);
                        // Rust leaves open which NaN comes out, and Miri takes any.
                        let of = |v: f32| if cfg!(miri) && v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
                        let bits = |values: &[f32]| values.iter().map(|v| of(*v)).collect::<Vec<u32>>();
                        assert!(bits(&y) == bits(&got), "image {n} of {case:?} on {}", isa.name());
                        assert!(argmax == got_argmax, "argmax of image {n} of {case:?} on {}", isa.name());
                        bits(&got)
                    });
                }
            }
        }
    }
}
