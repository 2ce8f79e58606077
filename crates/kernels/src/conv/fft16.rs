//! The discrete Fourier transform of 16x16 real planes, sixteen channels at a time: straight-line code without
//! shuffles.
//!
//! `X[ky][kx] = 2 sum over y, x of plane[y][x] e^(-2 pi i (ky y + kx x) / 16)`; the factor 2 saves a multiplication and
//! is taken back, with the 1 / 256 of the inverse, where it costs nothing. A real plane has 130 frequencies that
//! determine the others: all `ky` for `kx` of 1 to 7, and `ky` of 0 to 8 where `kx` is 0 or 8. Even and odd elements
//! are split as by J. W. Cooley and J. W. Tukey, *An algorithm for the machine calculation of complex Fourier series*,
//! 1965.

use crate::simd::lanes::Lanes;

/// Rows and columns of a plane.
pub(crate) const SIZE: usize = 16;

/// Frequencies that are kept.
pub(crate) const BINS: usize = 130;

/// What [`forward`] followed by a product of two spectra and [`inverse`] multiplies by.
pub(crate) const GAIN: f32 = 1024.0;

const HALF: usize = SIZE / 2;

/// `cos` and `sin` of `2 pi k / 16`.
const COS: [f32; 9] = [
    1.0,
    0.923_879_5,
    std::f32::consts::FRAC_1_SQRT_2,
    0.382_683_43,
    0.0,
    -0.382_683_43,
    -std::f32::consts::FRAC_1_SQRT_2,
    -0.923_879_5,
    -1.0,
];
const SIN: [f32; 9] = [
    0.0,
    0.382_683_43,
    std::f32::consts::FRAC_1_SQRT_2,
    0.923_879_5,
    1.0,
    0.923_879_5,
    std::f32::consts::FRAC_1_SQRT_2,
    0.382_683_43,
    0.0,
];

/// Number of the kept frequency (`ky`, `kx`).
fn bin(ky: usize, kx: usize) -> usize {
    match kx {
        0 => ky,
        HALF => 9 + ky,
        _ => 18 + (kx - 1) * SIZE + ky,
    }
}

/// Rows `ky` that are kept of column `kx`.
fn kept(kx: usize) -> usize {
    if kx.is_multiple_of(HALF) { HALF + 1 } else { SIZE }
}

type Complex<L, const N: usize> = ([<L as Lanes>::V; N], [<L as Lanes>::V; N]);

#[inline(always)]
fn fft4<L: Lanes>(simd: L, re: [L::V; 4], im: [L::V; 4]) -> Complex<L, 4> {
    let (ar, ai) = (simd.add(re[0], re[2]), simd.add(im[0], im[2]));
    let (br, bi) = (simd.sub(re[0], re[2]), simd.sub(im[0], im[2]));
    let (cr, ci) = (simd.add(re[1], re[3]), simd.add(im[1], im[3]));
    let (dr, di) = (simd.sub(re[1], re[3]), simd.sub(im[1], im[3]));
    (
        [simd.add(ar, cr), simd.add(br, di), simd.sub(ar, cr), simd.sub(br, di)],
        [simd.add(ai, ci), simd.sub(bi, dr), simd.sub(ai, ci), simd.add(bi, dr)],
    )
}

#[inline(always)]
fn fft8<L: Lanes>(simd: L, re: [L::V; 8], im: [L::V; 8]) -> Complex<L, 8> {
    let (er, ei) = fft4(simd, [re[0], re[2], re[4], re[6]], [im[0], im[2], im[4], im[6]]);
    let (or, oi) = fft4(simd, [re[1], re[3], re[5], re[7]], [im[1], im[3], im[5], im[7]]);
    let s = simd.splat(std::f32::consts::FRAC_1_SQRT_2);
    // The odd half times e^(-2 pi i k / 8).
    let tr = [or[0], simd.mul(s, simd.add(or[1], oi[1])), oi[2], simd.mul(s, simd.sub(oi[3], or[3]))];
    let ti = [
        oi[0],
        simd.mul(s, simd.sub(oi[1], or[1])),
        simd.sub(simd.zero(), or[2]),
        simd.sub(simd.zero(), simd.mul(s, simd.add(or[3], oi[3]))),
    ];
    let mut out = ([simd.zero(); 8], [simd.zero(); 8]);
    for k in 0..4 {
        out.0[k] = simd.add(er[k], tr[k]);
        out.1[k] = simd.add(ei[k], ti[k]);
        out.0[k + 4] = simd.sub(er[k], tr[k]);
        out.1[k + 4] = simd.sub(ei[k], ti[k]);
    }
    out
}

#[inline(always)]
fn fft16<L: Lanes>(simd: L, re: &[L::V; 16], im: &[L::V; 16]) -> Complex<L, 16> {
    let pick = |from: &[L::V; 16], odd: usize| std::array::from_fn(|k| from[2 * k + odd]);
    let (er, ei) = fft8(simd, pick(re, 0), pick(im, 0));
    let (or, oi) = fft8(simd, pick(re, 1), pick(im, 1));
    let mut out = ([simd.zero(); 16], [simd.zero(); 16]);
    for k in 0..8 {
        let (c, s) = (simd.splat(COS[k]), simd.splat(SIN[k]));
        let tr = simd.fma(c, or[k], simd.mul(s, oi[k]));
        let ti = simd.sub(simd.mul(c, oi[k]), simd.mul(s, or[k]));
        out.0[k] = simd.add(er[k], tr);
        out.1[k] = simd.add(ei[k], ti);
        out.0[k + 8] = simd.sub(er[k], tr);
        out.1[k + 8] = simd.sub(ei[k], ti);
    }
    out
}

/// Twice the transform of a real row, frequencies 0 to 8: the even and odd elements as one complex row of eight.
#[inline(always)]
fn real_row<L: Lanes>(simd: L, row: &[L::V; SIZE]) -> Complex<L, 9> {
    let (zr, zi) = fft8(simd, std::array::from_fn(|k| row[2 * k]), std::array::from_fn(|k| row[2 * k + 1]));
    let mut out = ([simd.zero(); 9], [simd.zero(); 9]);
    for k in 0..=HALF {
        let (a, b) = (k % HALF, (HALF - k) % HALF);
        let (er, ei) = (simd.add(zr[a], zr[b]), simd.sub(zi[a], zi[b]));
        let (dr, di) = (simd.sub(zr[a], zr[b]), simd.add(zi[a], zi[b]));
        let (c, s) = (simd.splat(COS[k]), simd.splat(SIN[k]));
        out.0[k] = simd.add(er, simd.sub(simd.mul(c, di), simd.mul(s, dr)));
        out.1[k] = simd.sub(ei, simd.fma(c, dr, simd.mul(s, di)));
    }
    out
}

/// Sixteen times the real row whose frequencies 0 to 8 these are.
#[inline(always)]
fn real_row_inverse<L: Lanes>(simd: L, re: &[L::V; 9], im: &[L::V; 9]) -> [L::V; SIZE] {
    let (mut zr, mut zi) = ([simd.zero(); HALF], [simd.zero(); HALF]);
    for k in 0..HALF {
        let b = HALF - k;
        let (er, ei) = (simd.add(re[k], re[b]), simd.sub(im[k], im[b]));
        let (dr, di) = (simd.sub(re[k], re[b]), simd.add(im[k], im[b]));
        let (c, s) = (simd.splat(COS[k]), simd.splat(SIN[k]));
        let (or, oi) = (simd.sub(simd.mul(c, dr), simd.mul(s, di)), simd.fma(c, di, simd.mul(s, dr)));
        zr[k] = simd.sub(er, oi);
        zi[k] = simd.add(ei, or);
    }
    // The inverse is the transform with real and imaginary parts exchanged.
    let (xi, xr) = fft8(simd, zi, zr);
    std::array::from_fn(|n| if n % 2 == 0 { xr[n / 2] } else { xi[n / 2] })
}

/// Columns of frequencies, between the two passes.
type Columns<L> = [([<L as Lanes>::V; SIZE], [<L as Lanes>::V; SIZE]); HALF + 1];

/// Transforms a plane whose rows outside `rows` are zero, and gives each kept frequency to `store(bin, re, im)`.
#[inline(always)]
pub(crate) fn forward<L: Lanes>(
    simd: L,
    rows: impl Iterator<Item = usize>,
    load: impl Fn(usize) -> [L::V; SIZE],
    mut store: impl FnMut(usize, L::V, L::V),
) {
    let mut columns: Columns<L> = [([simd.zero(); SIZE], [simd.zero(); SIZE]); HALF + 1];
    for y in rows {
        let (re, im) = real_row(simd, &load(y));
        for kx in 0..=HALF {
            columns[kx].0[y] = re[kx];
            columns[kx].1[y] = im[kx];
        }
    }
    for (kx, (re, im)) in columns.iter().enumerate() {
        let (re, im) = fft16(simd, re, im);
        for ky in 0..kept(kx) {
            store(bin(ky, kx), re[ky], im[ky]);
        }
    }
}

/// 256 times the rows `rows` of the plane whose kept frequencies `load(bin)` gives, to `store(y, row)`.
#[inline(always)]
pub(crate) fn inverse<L: Lanes>(
    simd: L,
    rows: impl Iterator<Item = usize>,
    load: impl Fn(usize) -> (L::V, L::V),
    mut store: impl FnMut(usize, &[L::V; SIZE]),
) {
    let mut columns: Columns<L> = [([simd.zero(); SIZE], [simd.zero(); SIZE]); HALF + 1];
    for (kx, column) in columns.iter_mut().enumerate() {
        let (mut re, mut im) = ([simd.zero(); SIZE], [simd.zero(); SIZE]);
        for ky in 0..kept(kx) {
            (re[ky], im[ky]) = load(bin(ky, kx));
        }
        // A real plane: the other half of these two columns is the first one's conjugate.
        for ky in kept(kx)..SIZE {
            (re[ky], im[ky]) = (re[SIZE - ky], simd.sub(simd.zero(), im[SIZE - ky]));
        }
        let (im, re) = fft16(simd, &im, &re);
        *column = (re, im);
    }
    for y in rows {
        let re = std::array::from_fn(|kx| columns[kx].0[y]);
        let im = std::array::from_fn(|kx| columns[kx].1[y]);
        store(y, &real_row_inverse(simd, &re, &im));
    }
}

/// Loads up to sixteen vectors, `step` apart, as a row; the rest is zero.
///
/// # Safety
/// `count` vectors from `from` on, `step` elements apart, are readable, and `count <= 16`.
#[inline(always)]
pub(crate) unsafe fn load_row<L: Lanes>(simd: L, from: *const f32, step: usize, count: usize) -> [L::V; SIZE] {
    let mut row = [simd.zero(); SIZE];
    for (x, value) in row.iter_mut().enumerate().take(count) {
        // SAFETY: promised by the caller.
        *value = unsafe { simd.load(from.add(x * step)) };
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::lanes::{LANES, Portable};
    use crate::testing::values;

    #[test]
    fn forward_is_the_definition_and_inverse_takes_it_back() {
        let plane = values(SIZE * SIZE * LANES, 1);
        let at = |y: usize, x: usize, l: usize| plane[(y * SIZE + x) * LANES + l];
        let mut spectrum = vec![([0.0; LANES], [0.0; LANES]); BINS];
        let mut stored = vec![0; BINS];
        forward(
            Portable,
            0..SIZE,
            // SAFETY: a row has sixteen vectors.
            |y| unsafe { load_row(Portable, plane[y * SIZE * LANES..].as_ptr(), LANES, SIZE) },
            |bin, re, im| {
                spectrum[bin] = (re, im);
                stored[bin] += 1;
            },
        );
        assert!(stored.iter().all(|&n| n == 1), "each frequency once");
        for l in [0, 7, 15] {
            for kx in 0..=HALF {
                for ky in 0..kept(kx) {
                    let (mut re, mut im) = (0.0, 0.0);
                    for y in 0..SIZE {
                        for x in 0..SIZE {
                            let angle = -2.0 * std::f64::consts::PI * (ky * y + kx * x) as f64 / 16.0;
                            re += 2.0 * f64::from(at(y, x, l)) * angle.cos();
                            im += 2.0 * f64::from(at(y, x, l)) * angle.sin();
                        }
                    }
                    let (got_re, got_im) = &spectrum[bin(ky, kx)];
                    let error = (f64::from(got_re[l]) - re).abs().max((f64::from(got_im[l]) - im).abs());
                    assert!(error < 3e-5, "frequency ({ky}, {kx}): error {error}");
                }
            }
        }
        inverse(
            Portable,
            0..SIZE,
            |bin| spectrum[bin],
            |y, row| {
                for x in 0..SIZE {
                    for l in 0..LANES {
                        let error = (row[x][l] / 512.0 - at(y, x, l)).abs();
                        assert!(error < 1e-6, "pixel ({y}, {x}) of lane {l}: error {error}");
                    }
                }
            },
        );
    }
}
