//! Batch normalisation (Ioffe and Szegedy 2015): `y = (x - mean) / sqrt(variance + eps) * weight + bias`, with the mean
//! and variance of a channel over all images and pixels of a batch.
//!
//! Values of an image lie in blocks of 16 channels, `[blocks][pixels][16]` without border; a row of features is one
//! pixel. Sums go over an image's pixels in f32, in an order that follows from their number, and then over the images
//! in theirs, in f64: whoever computes which image, the bits are the same.

use crate::planes::Planes;
use crate::simd::isa::{Isa, dispatch};
use crate::simd::lanes::{LANES, Lanes};

/// Two numbers for each channel of a block: what an image adds to the sums over a batch.
pub const PART: usize = 2 * LANES;

/// Numbers of a block's channels, sixteen of each kind.
type Block<T> = [T; LANES];

/// Pixels that are summed by themselves, so that a sum of many is nearly as exact as one of few.
const TOGETHER: usize = 64;

/// Sums that go on at a time, for each to wait for its last term without holding up the others.
const ABREAST: usize = 4;

/// Mean and variance of a block's channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Over images and pixels.
    pub mean: Block<f64>,
    /// The mean squared distance from it.
    pub variance: Block<f64>,
}

/// Three numbers for each channel of a block, which it is normalised by: mean, `1 / sqrt(variance + eps)`, and that
/// times the weight, the scale.
pub const NORM: usize = 3 * LANES;

/// Two numbers for each channel of a block, by which a gradient is passed on, besides the scale: its share of
/// `x - mean`, the slope, and what is the same for all, the offset.
pub const BACK: usize = 2 * LANES;

/// Overwrites `parts`, [`PART`] numbers a block, with what an image `x` adds to the moments of a batch: the sum of each
/// channel over the pixels, and the sum of its squared distances from its own mean.
///
/// # Panics
/// If `x` is not `pixels` pixels for each block of `parts`.
pub fn image_moments(isa: Isa, pixels: usize, x: &[f32], parts: &mut [f32]) {
    check(pixels, x, parts.len() / PART * PART == parts.len(), parts.len() / PART);
    dispatch!(isa, image_moments_body(pixels: usize, x: &[f32], parts: &mut [f32]))
}

#[inline(always)]
fn image_moments_body<L: Lanes>(simd: L, pixels: usize, x: &[f32], parts: &mut [f32]) {
    let share = simd.splat(1.0 / pixels as f32);
    for (x, part) in x.as_chunks().0.chunks_exact(pixels).zip(parts.as_chunks_mut().0.chunks_exact_mut(2)) {
        let of_values = sum(simd, x.len(), |sum, at| simd.add(sum, load(simd, &x[at])));
        let mean = simd.mul(of_values, share);
        let of_squares = sum(simd, x.len(), |sum, at| {
            let from_mean = simd.sub(load(simd, &x[at]), mean);
            simd.fma(from_mean, from_mean, sum)
        });
        store(simd, &mut part[0], of_values);
        store(simd, &mut part[1], of_squares);
    }
}

/// The moments of block number `block` over the images whose [`image_moments`] lie in `parts`, `stride` numbers each.
pub fn batch_moments(isa: Isa, pixels: usize, parts: &[f32], stride: usize, block: usize) -> Moments {
    dispatch!(isa, batch_moments_body(pixels: usize, parts: &[f32], stride: usize, block: usize) -> Moments)
}

#[inline(always)]
fn batch_moments_body<L: Lanes>(_: L, pixels: usize, parts: &[f32], stride: usize, block: usize) -> Moments {
    let images = || parts.chunks_exact(stride).map(|part| of_block(part, block));
    let (pixels, count) = (pixels as f64, (parts.len() / stride * pixels) as f64);
    let mut mean = [0.0; LANES];
    for (sums, _) in images() {
        (0..LANES).for_each(|lane| mean[lane] += f64::from(sums[lane]));
    }
    mean.iter_mut().for_each(|mean| *mean /= count);
    // Of each image the distances from its own mean, and that mean's from the mean of all.
    let mut variance = [0.0; LANES];
    for (sums, squares) in images() {
        for lane in 0..LANES {
            let apart = f64::from(sums[lane]) / pixels - mean[lane];
            variance[lane] += f64::from(squares[lane]) + pixels * (apart * apart);
        }
    }
    variance.iter_mut().for_each(|variance| *variance /= count);
    Moments { mean, variance }
}

/// What channels of these moments and weights are normalised by.
pub fn norm_of(moments: &Moments, weight: &Block<f32>, eps: f64) -> [f32; NORM] {
    let mut norm = [0.0; NORM];
    for lane in 0..LANES {
        let inverse = 1.0 / (moments.variance[lane] + eps).sqrt();
        norm[lane] = moments.mean[lane] as f32;
        norm[LANES + lane] = inverse as f32;
        norm[2 * LANES + lane] = (inverse * f64::from(weight[lane])) as f32;
    }
    norm
}

/// What is added to normalised values.
#[derive(Clone, Copy, Debug)]
pub enum Term<'t> {
    /// Nothing.
    Nothing,
    /// Values that lie as the planes say.
    Values(&'t [f32], &'t Planes),
    /// Others, normalised: what they are, and what they are normalised by as in [`normalise`].
    Normalised(&'t [f32], &'t [f32], &'t [f32]),
}

/// Overwrites the pixels of `y`, which lies as `to` says, with those of `x` normalised by `norms`, [`NORM`] numbers
/// for each block, plus `bias`, plus `term`, and if `relu`, with zero what is less. What is around the pixels stays.
///
/// # Panics
/// If the lengths are not those of `to`, without border for `x`, or blocks are not of 16 channels.
#[expect(clippy::too_many_arguments, reason = "values, what they are normalised by, a term, and the output")]
pub fn normalise(
    isa: Isa,
    x: &[f32],
    norms: &[f32],
    bias: &[f32],
    term: Term<'_>,
    relu: bool,
    to: &Planes,
    y: &mut [f32],
) {
    assert_eq!((to.lanes, to.pixel), (LANES, LANES), "pixels of 16 channels follow each other");
    let fits = |norms: &[f32], bias: &[f32]| norms.len() == to.blocks * NORM && bias.len() == to.blocks * LANES;
    check(to.height * to.width, x, fits(norms, bias), to.blocks);
    assert_eq!(y.len(), to.len(), "elements of the output");
    match term {
        Term::Nothing => {}
        Term::Values(values, planes) => {
            let size = |planes: &Planes| (planes.blocks, planes.height, planes.width, planes.lanes, planes.pixel);
            assert_eq!((size(planes), values.len()), (size(to), planes.len()), "the term has the size of the output");
        }
        Term::Normalised(x, norms, bias) => check(to.height * to.width, x, fits(norms, bias), to.blocks),
    }
    dispatch!(
        isa,
        normalise_body(
            x: &[f32],
            norms: &[f32],
            bias: &[f32],
            term: Term<'_>,
            relu: bool,
            to: &Planes,
            y: &mut [f32],
        )
    )
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "as above")]
fn normalise_body<L: Lanes>(
    simd: L,
    x: &[f32],
    norms: &[f32],
    bias: &[f32],
    term: Term<'_>,
    relu: bool,
    to: &Planes,
    y: &mut [f32],
) {
    // What is not more becomes that.
    let floor = simd.splat(if relu { 0.0 } else { f32::NEG_INFINITY });
    let len = to.width * LANES;
    for block in 0..to.blocks {
        let norm = Affine::load(simd, norms, bias, block);
        for row in 0..to.height {
            let (plain, start) = ((block * to.height + row) * len, to.offset(block, row, 0));
            let pixels = x[plain..plain + len].as_chunks().0.iter().zip(y[start..start + len].as_chunks_mut().0);
            match term {
                Term::Nothing => {
                    pixels.for_each(|(x, y)| store(simd, y, at_least(simd, norm.apply(simd, load(simd, x)), floor)));
                }
                Term::Values(values, planes) => {
                    let values = &values[planes.offset(block, row, 0)..][..len];
                    for ((x, y), value) in pixels.zip(values.as_chunks().0) {
                        let sum = simd.add(norm.apply(simd, load(simd, x)), load(simd, value));
                        store(simd, y, at_least(simd, sum, floor));
                    }
                }
                Term::Normalised(values, norms, bias) => {
                    let other = Affine::load(simd, norms, bias, block);
                    for ((x, y), value) in pixels.zip(values[plain..plain + len].as_chunks().0) {
                        let value = other.apply(simd, load(simd, value));
                        let sum = simd.add(norm.apply(simd, load(simd, x)), value);
                        store(simd, y, at_least(simd, sum, floor));
                    }
                }
            }
        }
    }
}

/// `v`, or `floor` where it is not more; a NaN stays one.
#[inline(always)]
fn at_least<L: Lanes>(simd: L, v: L::V, floor: L::V) -> L::V {
    simd.select_greater_or_nan(v, floor, v, floor)
}

/// What the channels of a block are normalised by.
struct Affine<L: Lanes> {
    mean: L::V,
    scale: L::V,
    bias: L::V,
}

impl<L: Lanes> Affine<L> {
    #[inline(always)]
    fn load(simd: L, norms: &[f32], bias: &[f32], block: usize) -> Affine<L> {
        let norm = &norms.as_chunks().0[3 * block..3 * block + 3];
        Affine { mean: load(simd, &norm[0]), scale: load(simd, &norm[2]), bias: load(simd, &bias.as_chunks().0[block]) }
    }

    #[inline(always)]
    fn apply(&self, simd: L, x: L::V) -> L::V {
        simd.fma(simd.sub(x, self.mean), self.scale, self.bias)
    }
}

/// Overwrites `parts`, [`PART`] numbers a block, with what an image `x` adds to the gradients of weight and bias: for
/// each channel the sum of `grad_y` over the pixels, and that of `grad_y (x - mean)`. Where there is a ReLU behind, and
/// so `bias` is given, `grad_y` is set to zero first where that cut something off.
///
/// # Panics
/// If `x` and `grad_y` are not `pixels` pixels for each block of `parts`, `norms` ([`NORM`] numbers) and `bias`.
pub fn image_gradients(
    isa: Isa,
    pixels: usize,
    x: &[f32],
    norms: &[f32],
    bias: Option<&[f32]>,
    grad_y: &mut [f32],
    parts: &mut [f32],
) {
    let blocks = parts.len() / PART;
    let others_fit = (parts.len(), norms.len()) == (blocks * PART, blocks * NORM) && grad_y.len() == x.len();
    check(pixels, x, others_fit && bias.is_none_or(|bias| bias.len() == blocks * LANES), blocks);
    dispatch!(
        isa,
        image_gradients_body(
            pixels: usize,
            x: &[f32],
            norms: &[f32],
            bias: Option<&[f32]>,
            grad_y: &mut [f32],
            parts: &mut [f32],
        )
    )
}

#[inline(always)]
fn image_gradients_body<L: Lanes>(
    simd: L,
    pixels: usize,
    x: &[f32],
    norms: &[f32],
    bias: Option<&[f32]>,
    grad_y: &mut [f32],
    parts: &mut [f32],
) {
    let blocks = x.as_chunks().0.chunks_exact(pixels).zip(grad_y.as_chunks_mut().0.chunks_exact_mut(pixels));
    for (block, ((x, grad), part)) in blocks.zip(parts.as_chunks_mut().0.chunks_exact_mut(2)).enumerate() {
        let sums = match bias {
            Some(bias) => sum_gradients::<L, true>(simd, x, &Affine::load(simd, norms, bias, block), grad),
            // What is added when something is cut off does not matter.
            None => sum_gradients::<L, false>(simd, x, &Affine::load(simd, norms, norms, block), grad),
        };
        store(simd, &mut part[0], sums[0]);
        store(simd, &mut part[1], sums[1]);
    }
}

/// The sums of a block, in the order of [`sum`]; if `CUT`, `grad` is set to zero first where a ReLU cut off.
#[inline(always)]
fn sum_gradients<L: Lanes, const CUT: bool>(
    simd: L,
    x: &[Block<f32>],
    norm: &Affine<L>,
    grad: &mut [Block<f32>],
) -> [L::V; 2] {
    let mut totals = [simd.zero(); 2];
    for (x, grad) in x.chunks(TOGETHER).zip(grad.chunks_mut(TOGETHER)) {
        let mut sums = [[simd.zero(); 2]; ABREAST];
        let (fours, rest) = x.as_chunks::<ABREAST>();
        let (grad_fours, grad_rest) = grad.as_chunks_mut::<ABREAST>();
        for (x, grad) in fours.iter().zip(grad_fours) {
            for lag in 0..ABREAST {
                sums[lag] = add_gradient::<L, CUT>(simd, &x[lag], norm, &mut grad[lag], sums[lag]);
            }
        }
        for (x, grad) in rest.iter().zip(grad_rest) {
            sums[0] = add_gradient::<L, CUT>(simd, x, norm, grad, sums[0]);
        }
        for (n, total) in totals.iter_mut().enumerate() {
            let (a, b) = (simd.add(sums[0][n], sums[1][n]), simd.add(sums[2][n], sums[3][n]));
            *total = simd.add(*total, simd.add(a, b));
        }
    }
    totals
}

// A function, since a closure that is called in two places may stay one, without the instructions it is made for.
#[inline(always)]
fn add_gradient<L: Lanes, const CUT: bool>(
    simd: L,
    x: &Block<f32>,
    norm: &Affine<L>,
    grad: &mut Block<f32>,
    sums: [L::V; 2],
) -> [L::V; 2] {
    let (from_mean, mut kept) = (simd.sub(load(simd, x), norm.mean), load(simd, grad));
    if CUT {
        let y = simd.fma(from_mean, norm.scale, norm.bias);
        kept = simd.select_greater_or_nan(y, simd.zero(), kept, simd.zero());
        store(simd, grad, kept);
    }
    [simd.add(sums[0], kept), simd.fma(kept, from_mean, sums[1])]
}

/// The gradients of the weights and the biases of block number `block` over the images whose [`image_gradients`] lie in
/// `parts`, `stride` numbers each, and what passes that of the input on.
pub fn batch_gradients(
    isa: Isa,
    pixels: usize,
    norm: &[f32; NORM],
    parts: &[f32],
    stride: usize,
    block: usize,
) -> (Block<f32>, Block<f32>, [f32; BACK]) {
    let [of_bias, products] = dispatch!(isa, totals(parts: &[f32], stride: usize, block: usize) -> [Block<f64>; 2]);
    let count = (parts.len() / stride * pixels) as f64;
    let (mut of_weight, mut back) = ([0.0; LANES], [0.0; BACK]);
    for lane in 0..LANES {
        let (inverse, scale) = (f64::from(norm[LANES + lane]), f64::from(norm[2 * LANES + lane]));
        let weight = products[lane] * inverse;
        of_weight[lane] = weight as f32;
        back[lane] = (-scale * inverse * weight / count) as f32;
        back[LANES + lane] = (-scale * of_bias[lane] / count) as f32;
    }
    (of_weight, of_bias.map(|v| v as f32), back)
}

#[inline(always)]
fn totals<L: Lanes>(_: L, parts: &[f32], stride: usize, block: usize) -> [Block<f64>; 2] {
    let mut totals = [[0.0; LANES]; 2];
    for (first, second) in parts.chunks_exact(stride).map(|part| of_block(part, block)) {
        (0..LANES).for_each(|lane| totals[0][lane] += f64::from(first[lane]));
        (0..LANES).for_each(|lane| totals[1][lane] += f64::from(second[lane]));
    }
    totals
}

/// Overwrites `grad_x` with the gradient of an image's input, `scale grad_y + slope (x - mean) + offset`: besides what
/// an element gives by itself, what it gives by way of the moments of all.
///
/// # Panics
/// If `x`, `grad_y` and `grad_x` are not `pixels` pixels for each block of `norms` and `backs`.
pub fn pass_gradient(
    isa: Isa,
    pixels: usize,
    x: &[f32],
    numbers: (&[f32], &[f32]),
    grad_y: &[f32],
    grad_x: &mut [f32],
) {
    let blocks = check_pass(pixels, x, numbers, grad_x);
    assert_eq!(grad_y.len(), x.len(), "{blocks} blocks of {pixels} pixels");
    dispatch!(
        isa,
        pass_body(pixels: usize, x: &[f32], numbers: (&[f32], &[f32]), grad_y: &[f32], grad_x: &mut [f32])
    )
}

/// The same in place: overwrites `grad`, the gradient of the output, with that of the input.
///
/// # Panics
/// As there.
pub fn pass_gradient_in_place(isa: Isa, pixels: usize, x: &[f32], numbers: (&[f32], &[f32]), grad: &mut [f32]) {
    check_pass(pixels, x, numbers, grad);
    dispatch!(isa, pass_in_place_body(pixels: usize, x: &[f32], numbers: (&[f32], &[f32]), grad: &mut [f32]))
}

fn check_pass(pixels: usize, x: &[f32], (norms, backs): (&[f32], &[f32]), grad_x: &[f32]) -> usize {
    let blocks = norms.len() / NORM;
    let others_fit = (norms.len(), backs.len()) == (blocks * NORM, blocks * BACK);
    check(pixels, x, others_fit && grad_x.len() == x.len(), blocks);
    blocks
}

#[inline(always)]
fn pass_body<L: Lanes>(
    simd: L,
    pixels: usize,
    x: &[f32],
    numbers: (&[f32], &[f32]),
    grad_y: &[f32],
    grad_x: &mut [f32],
) {
    let blocks = x.chunks_exact(pixels * LANES).zip(grad_y.chunks_exact(pixels * LANES));
    for (block, ((x, grad), out)) in blocks.zip(grad_x.chunks_exact_mut(pixels * LANES)).enumerate() {
        let pass = Pass::load(simd, numbers, block);
        for ((x, grad), out) in x.as_chunks().0.iter().zip(grad.as_chunks().0).zip(out.as_chunks_mut().0) {
            store(simd, out, pass.apply(simd, load(simd, x), load(simd, grad)));
        }
    }
}

#[inline(always)]
fn pass_in_place_body<L: Lanes>(simd: L, pixels: usize, x: &[f32], numbers: (&[f32], &[f32]), grad: &mut [f32]) {
    let blocks = x.chunks_exact(pixels * LANES).zip(grad.chunks_exact_mut(pixels * LANES));
    for (block, (x, grad)) in blocks.enumerate() {
        let pass = Pass::load(simd, numbers, block);
        for (x, grad) in x.as_chunks().0.iter().zip(grad.as_chunks_mut().0) {
            let passed = pass.apply(simd, load(simd, x), load(simd, grad));
            store(simd, grad, passed);
        }
    }
}

/// What the gradients of a block's channels are passed on by.
struct Pass<L: Lanes> {
    mean: L::V,
    scale: L::V,
    slope: L::V,
    offset: L::V,
}

impl<L: Lanes> Pass<L> {
    #[inline(always)]
    fn load(simd: L, (norms, backs): (&[f32], &[f32]), block: usize) -> Pass<L> {
        let (norm, back) = (&norms.as_chunks().0[3 * block..3 * block + 3], &backs.as_chunks().0[2 * block..][..2]);
        Pass {
            mean: load(simd, &norm[0]),
            scale: load(simd, &norm[2]),
            slope: load(simd, &back[0]),
            offset: load(simd, &back[1]),
        }
    }

    #[inline(always)]
    fn apply(&self, simd: L, x: L::V, grad: L::V) -> L::V {
        simd.fma(grad, self.scale, simd.fma(simd.sub(x, self.mean), self.slope, self.offset))
    }
}

/// Moves running moments towards those of a batch of `count` values a channel, by the share `momentum`, and the
/// variance as it is estimated for all there is: with `count - 1` in place of `count`. What would be subnormal is zero.
///
/// # Panics
/// If there is one value a channel or none.
pub fn update_running(
    moments: &Moments,
    count: usize,
    momentum: f64,
    mean: &mut Block<f32>,
    variance: &mut Block<f32>,
) {
    assert!(count > 1, "the variance of {count} value a channel");
    let unbiased = count as f64 / (count as f64 - 1.0);
    let towards = |kept: f32, batch: f64| {
        let moved = ((1.0 - momentum) * f64::from(kept) + momentum * batch) as f32;
        if moved.abs() < f32::MIN_POSITIVE { 0.0 } else { moved }
    };
    for lane in 0..LANES {
        mean[lane] = towards(mean[lane], moments.mean[lane]);
        variance[lane] = towards(variance[lane], moments.variance[lane] * unbiased);
    }
}

/// Sum of `count` terms, [`TOGETHER`] at a time, [`ABREAST`] sums of them side by side: `add` adds one.
#[inline(always)]
fn sum<L: Lanes>(simd: L, count: usize, add: impl Fn(L::V, usize) -> L::V) -> L::V {
    let mut total = simd.zero();
    for start in (0..count).step_by(TOGETHER) {
        let end = count.min(start + TOGETHER);
        let mut sums = [simd.zero(); ABREAST];
        let mut at = start;
        while at + ABREAST <= end {
            for (lag, sum) in sums.iter_mut().enumerate() {
                *sum = add(*sum, at + lag);
            }
            at += ABREAST;
        }
        while at < end {
            sums[0] = add(sums[0], at);
            at += 1;
        }
        total = simd.add(total, simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
    }
    total
}

/// The two numbers for each channel of block number `block` in one image's part.
#[inline(always)]
fn of_block(part: &[f32], block: usize) -> (&Block<f32>, &Block<f32>) {
    let [first, second] = &part.as_chunks().0[2 * block..2 * block + 2] else { unreachable!("two of each") };
    (first, second)
}

#[inline(always)]
fn load<L: Lanes>(simd: L, values: &Block<f32>) -> L::V {
    // SAFETY: there are sixteen.
    unsafe { simd.load(values.as_ptr()) }
}

#[inline(always)]
fn store<L: Lanes>(simd: L, values: &mut Block<f32>, v: L::V) {
    // SAFETY: there are sixteen.
    unsafe { simd.store(values.as_mut_ptr(), v) }
}

fn check(pixels: usize, x: &[f32], others_fit: bool, blocks: usize) {
    assert!(pixels > 0 && others_fit, "one of each for {blocks} blocks of {pixels} pixels");
    assert_eq!(x.len(), blocks * pixels * LANES, "elements of {blocks} blocks of {pixels} pixels");
}

#[cfg(test)]
mod tests;
