//! Sums over some pixels against sums over all.

use super::*;
use crate::arena::{Arena, Columns};
use crate::linear::dense::{LinearWeight, Sums, linear_backward_weight, linear_forward};
use crate::prefetch::Prefetch;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use crate::testing::{on_every_isa, too_large, values};

/// Rows, inputs, outputs: around the tiles, the words of bits, the blocks and the panels.
const CASES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (5, 18, 10),
    (13, 64, 20),
    (64, 37, 40),
    (65, 100, 65),
    (50, 784, 200),
    (100, 784, 10),
    (130, 1200, 33),
    (0, 5, 5),
    // Small enough for Miri: several vectors, more images than a list holds, panels without images.
    (7, 19, 33),
    (130, 3, 33),
    (0, 5, 70),
];

/// Images where two of three pixels are blank, and a few whole rows and columns.
fn sparse(rows: usize, inputs: usize) -> Vec<u8> {
    let pixel = |at: usize| {
        let (n, i) = (at / inputs, at % inputs);
        let blank = (n * 7 + i * 5 + n * i) % 3 != 0 || i % 50 == 3 || n % 20 == 4;
        if blank { 0 } else { (at * 37 % 255 + 1) as u8 }
    };
    (0..rows * inputs).map(pixel).collect()
}

fn bits(isa: Isa, pixels: &[u8], inputs: usize) -> Vec<u8> {
    let mut mask = vec![0xAA; pixels.len() / inputs * mask_len(inputs)];
    for (image, mask) in pixels.chunks(inputs).zip(mask.chunks_mut(mask_len(inputs))) {
        mask_by_image(isa, image, mask);
    }
    mask
}

#[test]
fn a_bit_says_that_a_pixel_is_not_zero_on_every_isa() {
    for (rows, inputs, _) in CASES {
        if too_large(rows * inputs) {
            continue;
        }
        let x = sparse(rows, inputs);
        on_every_isa(|isa| {
            let mask = bits(isa, &x, inputs);
            for (at, &pixel) in x.iter().enumerate() {
                let bit = at / inputs * mask_len(inputs) * 8 + at % inputs;
                assert_eq!(mask[bit / 8] >> (bit % 8) & 1 == 1, pixel != 0, "pixel {at} of {rows}x{inputs}");
            }
            let set: u32 = mask.iter().map(|b| b.count_ones()).sum();
            assert_eq!(set as usize, x.iter().filter(|p| **p != 0).count(), "no other bits");
            mask.into_iter().map(u32::from).collect()
        });
    }
}

#[test]
fn bits_are_turned_around() {
    for (rows, inputs, _) in CASES {
        if too_large(rows * inputs) {
            continue;
        }
        let mask = bits(Isa::detect(), &sparse(rows, inputs), inputs);
        let words = mask_len(inputs) / 8;
        let mut turned = vec![0xAA; 64 * words * mask_len(rows)];
        on_every_isa(|isa| {
            let mut turned = turned.clone();
            mask_by_input(isa, &mask, inputs, rows, 0..words, &mut turned);
            turned.into_iter().map(u32::from).collect()
        });
        let (first, second) = turned.split_at_mut(words / 2 * 64 * mask_len(rows));
        mask_by_input(Isa::detect(), &mask, inputs, rows, 0..words / 2, first);
        mask_by_input(Isa::detect(), &mask, inputs, rows, words / 2..words, second);
        for (n, i) in (0..rows).flat_map(|n| (0..inputs).map(move |i| (n, i))) {
            let a = mask[n * mask_len(inputs) + i / 8] >> (i % 8) & 1;
            let b = turned[i * mask_len(rows) + n / 8] >> (n % 8) & 1;
            assert_eq!(a, b, "image {n} of {rows}, input {i} of {inputs}");
        }
        let count = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
        assert_eq!(count(&mask), count(&turned), "no other bits");
    }
}

/// Not within a tolerance: the products that are left out are zeros.
#[test]
fn sums_have_the_bits_of_sums_over_all_pixels_on_every_isa() {
    for (rows, inputs, outputs) in CASES {
        if too_large(rows * inputs * outputs) {
            continue;
        }
        let layout = LinearWeight { in_features: inputs, out_features: outputs };
        let (pixels, padded) = (sparse(rows, inputs), layout.padded_outputs());
        let (weight, bias, grad_y) = (values(layout.len(), 2), values(padded, 3), values(rows * padded, 4));
        let x: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 77.0).collect();
        // Rows with something behind them that is not theirs.
        let stride = inputs + 3;
        let mut values = vec![f32::NAN; rows * stride];
        values.chunks_mut(stride).zip(x.chunks(inputs)).for_each(|(to, from)| to[..inputs].copy_from_slice(from));
        let mask = bits(Isa::detect(), &pixels, inputs);
        let mut turned = vec![0; 8 * mask_len(inputs) * mask_len(rows)];
        mask_by_input(Isa::detect(), &mask, inputs, rows, 0..mask_len(inputs) / 8, &mut turned);
        on_every_isa(|isa| {
            let (mut expected, mut got) = (vec![f32::NAN; rows * padded], vec![f32::NAN; rows * padded]);
            let all = padded / LANES;
            let y = &mut Columns::new(&mut expected, padded, padded);
            linear_forward(isa, layout, &Sums::over_all_inputs(layout, 0..all), &x, inputs, rows, &weight, &bias, y);
            let batch = NonzeroPixels { images: rows, values: &values, stride, mask: &mask };
            for vectors in [0..all / 2, all / 2..all] {
                let arena = Arena::new(&mut got);
                let columns = vectors.start * LANES..vectors.end * LANES;
                let mut y = arena.write_columns(0, rows, padded, columns);
                linear_forward_nonzero(isa, layout, vectors, batch, &weight, &bias, &mut y.columns());
            }
            assert!(got == expected, "forward {rows}x{inputs}x{outputs} on {}", isa.name());
            let (mut expected, mut got) = (vec![f32::NAN; layout.len()], vec![f32::NAN; layout.len()]);
            let batch = NonzeroPixels { mask: &turned, ..batch };
            for block in 0..layout.blocks() {
                let (range, panels) = (layout.range(block), layout.panels(block));
                let (grad, nothing) = (&mut expected[range.clone()], &mut Prefetch::nothing());
                linear_backward_weight(isa, layout, block, &x, inputs, &grad_y, padded, rows, grad, nothing);
                for panel in 0..panels.count() {
                    let grad = &mut got[range.clone()][panels.rows(panel, 0..panels.k)];
                    linear_backward_weight_nonzero(isa, layout, block, panel, batch, &grad_y, padded, grad, nothing);
                }
            }
            assert!(got == expected, "backward {rows}x{inputs}x{outputs} on {}", isa.name());
            got.iter().map(|v| v.to_bits()).collect()
        });
    }
}
