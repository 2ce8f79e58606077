//! Sixteen examples at a time: lanes are examples, and each class is a vector, a column of the logits.
//!
//! Loops over lanes become vectors when compiled for them.

use super::{CLASSES, Counts, FEWER_CLASSES, Logits, Mixed, Target};
use crate::math;
use crate::simd::lanes::{LANES, Lanes, transpose};

/// One number per example.
type Column = [f32; LANES];

/// [`all_blocks`] for no more than sixteen classes. Most networks have so few, and the room is cleared each time.
#[inline(always)]
pub(super) fn few<L: Lanes>(simd: L, logits: Logits, target: Option<Target>, out: &mut [f32]) {
    all_blocks(simd, &mut [[0.0; LANES]; LANES], logits, target, out);
}

/// [`all_blocks`] for no more than [`FEWER_CLASSES`].
#[inline(always)]
pub(super) fn fewer<L: Lanes>(simd: L, logits: Logits, target: Option<Target>, out: &mut [f32]) {
    all_blocks(simd, &mut [[0.0; LANES]; FEWER_CLASSES], logits, target, out);
}

/// [`all_blocks`] for any number of classes.
#[inline(always)]
pub(super) fn many<L: Lanes>(simd: L, logits: Logits, target: Option<Target>, out: &mut [f32]) {
    all_blocks(simd, &mut [[0.0; LANES]; CLASSES], logits, target, out);
}

/// All examples, a block at a time, in `room`, which has a column per class, rounded up to whole vectors of them.
///
/// `out` is the gradient in rows of the logits' stride, or, without a target, the probabilities in rows of as many as
/// there are classes; or nothing.
#[inline(always)]
fn all_blocks<L: Lanes>(simd: L, room: &mut [Column], logits: Logits, mut target: Option<Target>, out: &mut [f32]) {
    let (Logits { stride, classes, .. }, all) = (logits, logits.rows());
    for first in (0..all).step_by(LANES) {
        let rows = LANES.min(all - first);
        let block = Logits { values: &logits.values[first * stride..(first + rows) * stride], ..logits };
        load_columns(simd, block, room);
        let columns = &mut room[..classes];
        if let Some(Target { labels, correct, .. }) = &mut target {
            let best = best_classes(simd, columns);
            for ((hit, best), &label) in correct[first..].iter_mut().zip(best).zip(&labels[first..first + rows]) {
                *hit = u8::from(best == f32::from(label));
            }
        }
        // Subtracting the largest logit keeps exp from overflowing; softmax is unchanged.
        let max = largest_logits(simd, columns);
        let smoothing = target.as_ref().map_or(0.0, |target| target.counts.smoothing);
        // Before the logits are overwritten.
        let mean = if smoothing > 0.0 { means(columns) } else { [0.0; LANES] };
        let sum = exponentials(columns, &max);
        if let Some(Target { labels, counts, losses, .. }) = &mut target {
            let of = |labels: &[u16]| {
                let mut loss = cross_entropies(block, labels, (smoothing, &mean), &max, &sum);
                if let Some(weights) = counts.weights {
                    let weight = |label: u16| f64::from(weights[usize::from(label)]);
                    loss.iter_mut().zip(labels).for_each(|(loss, &label)| *loss *= weight(label));
                }
                loss
            };
            let mut loss = of(&labels[first..first + rows]);
            if let Some(Mixed { labels, shares }) = counts.mixed {
                let second = of(&labels[first..first + rows]);
                for ((loss, second), &share) in loss.iter_mut().zip(second).zip(&shares[first..]) {
                    *loss = f64::from(share) * *loss + (1.0 - f64::from(share)) * second;
                }
            }
            losses[first..first + rows].copy_from_slice(&loss[..rows]);
        }
        if out.is_empty() {
            continue;
        }
        // What the first label counts, and the second.
        let (mut scale, mut second) = ([target.as_ref().map_or(1.0, |target| target.scale); LANES], [0.0; LANES]);
        if let Some(Target { labels, counts: Counts { weights, mixed, .. }, .. }) = target {
            let weigh = |scale: &mut Column, labels: &[u16]| {
                if let Some(weights) = weights {
                    scale.iter_mut().zip(labels).for_each(|(scale, &label)| *scale *= weights[usize::from(label)]);
                }
            };
            if let Some(Mixed { labels, shares }) = mixed {
                second = scale;
                weigh(&mut second, &labels[first..]);
                second.iter_mut().zip(&shares[first..]).for_each(|(second, share)| *second *= 1.0 - share);
            }
            weigh(&mut scale, &labels[first..]);
            if let Some(Mixed { shares, .. }) = mixed {
                scale.iter_mut().zip(&shares[first..]).for_each(|(scale, share)| *scale *= share);
            }
        }
        let firsts = scale;
        if target.as_ref().is_some_and(|target| target.counts.mixed.is_some()) {
            scale.iter_mut().zip(second).for_each(|(scale, second)| *scale += second);
        }
        for column in columns.iter_mut() {
            for l in 0..LANES {
                column[l] = scale[l] * (column[l] / sum[l]);
            }
        }
        if smoothing > 0.0 {
            let share = smoothing / classes as f32;
            for column in columns.iter_mut() {
                for l in 0..LANES {
                    column[l] = (-share).mul_add(scale[l], column[l]);
                }
            }
        }
        match &target {
            None => {
                let out = &mut out[first * classes..(first + rows) * classes];
                for (l, row) in out.chunks_exact_mut(classes).enumerate() {
                    for (v, column) in row.iter_mut().zip(columns.iter()) {
                        *v = column[l];
                    }
                }
            }
            Some(Target { labels, counts, .. }) => {
                let out = &mut out[first * stride..(first + rows) * stride];
                store_rows(simd, room, classes, out, stride);
                let mut subtract = |labels: &[u16], scale: Column| {
                    for ((row, &label), scale) in out.chunks_exact_mut(stride).zip(labels).zip(scale) {
                        row[usize::from(label)] -= (1.0 - smoothing) * scale;
                    }
                };
                subtract(&labels[first..], firsts);
                if let Some(Mixed { labels, .. }) = counts.mixed {
                    subtract(&labels[first..], second);
                }
            }
        }
    }
}

/// The logits of up to sixteen examples as columns; those of examples that there are not are zero.
#[inline(always)]
fn load_columns<L: Lanes>(simd: L, block: Logits, room: &mut [Column]) {
    let Logits { values, stride, classes } = block;
    for (vector, columns) in room.chunks_exact_mut(LANES).take(classes.div_ceil(LANES)).enumerate() {
        let mut square = [simd.zero(); LANES];
        for (row, logits) in square.iter_mut().zip(values.chunks_exact(stride)) {
            // SAFETY: the slice is a vector long.
            *row = unsafe { simd.load(logits[vector * LANES..][..LANES].as_ptr()) };
        }
        for (column, turned) in columns.iter_mut().zip(transpose(simd, square)) {
            // SAFETY: an array of 16 elements.
            unsafe { simd.store(column.as_mut_ptr(), turned) };
        }
    }
}

/// Overwrites rows of `out`, `stride` apart, with the first `classes` columns, and the rest of them with zeros.
#[inline(always)]
fn store_rows<L: Lanes>(simd: L, room: &mut [Column], classes: usize, out: &mut [f32], stride: usize) {
    let padded = classes.next_multiple_of(LANES);
    room[classes..padded].fill([0.0; LANES]);
    for (vector, columns) in room[..padded].chunks_exact(LANES).enumerate() {
        let mut square = [simd.zero(); LANES];
        for (row, column) in square.iter_mut().zip(columns) {
            // SAFETY: an array of 16 elements.
            *row = unsafe { simd.load(column.as_ptr()) };
        }
        for (row, turned) in out.chunks_exact_mut(stride).zip(transpose(simd, square)) {
            // SAFETY: the slice is a vector long.
            unsafe { simd.store(row[vector * LANES..][..LANES].as_mut_ptr(), turned) };
        }
    }
    for row in out.chunks_exact_mut(stride) {
        row[padded..].fill(0.0);
    }
}

/// The class of each example's largest logit, the first of equals; NaN is never the largest.
#[inline(always)]
fn best_classes<L: Lanes>(simd: L, columns: &[Column]) -> Column {
    // Written as selects: as a loop over lanes it would be a branch for each.
    let (mut best, mut top) = (simd.zero(), simd.splat(f32::NAN));
    for (class, column) in columns.iter().enumerate() {
        let class = simd.splat(class as f32);
        // SAFETY: an array of 16 elements.
        let column = unsafe { simd.load(column.as_ptr()) };
        let larger = simd.select_greater_or_nan(column, top, class, best);
        let larger = simd.select_equal(column, column, larger, best);
        best = simd.select_equal(top, top, larger, class);
        top = simd.select_equal(best, class, column, top);
    }
    to_array(simd, best)
}

/// The largest logit of each example; NaN where one of its logits is.
#[inline(always)]
fn largest_logits<L: Lanes>(simd: L, columns: &[Column]) -> Column {
    let mut top = simd.splat(f32::NEG_INFINITY);
    for column in columns {
        // SAFETY: an array of 16 elements.
        let column = unsafe { simd.load(column.as_ptr()) };
        top = simd.select_greater_or_nan(column, top, column, top);
    }
    to_array(simd, top)
}

/// Overwrites each logit with its exponential over that of the largest one, and gives their sums.
#[inline(always)]
fn exponentials(columns: &mut [Column], max: &Column) -> Column {
    let mut sum = [0.0; LANES];
    for column in columns {
        for l in 0..LANES {
            column[l] = math::exp(column[l] - max[l]);
            sum[l] += column[l];
        }
    }
    sum
}

/// The mean logit of each example.
#[inline(always)]
fn means(columns: &[Column]) -> [f64; LANES] {
    let mut sum = [0.0; LANES];
    for column in columns {
        for l in 0..LANES {
            sum[l] += f64::from(column[l]);
        }
    }
    sum.map(|sum| sum / columns.len() as f64)
}

/// `ln(sum) - (logit of the label - max)` of each example; of the logit of the label the share that is smoothed is the
/// mean logit instead.
#[inline(always)]
fn cross_entropies(
    block: Logits,
    labels: &[u16],
    (smoothing, mean): (f32, &[f64; LANES]),
    max: &Column,
    sum: &Column,
) -> [f64; LANES] {
    let mut wanted = [0.0; LANES];
    for ((wanted, row), &label) in wanted.iter_mut().zip(block.values.chunks_exact(block.stride)).zip(labels) {
        *wanted = row[usize::from(label)];
    }
    // All lanes, whatever the rows: so they become vectors.
    let mut loss = [0.0; LANES];
    if smoothing > 0.0 {
        let share = f64::from(smoothing);
        for l in 0..LANES {
            let wanted = f64::from(wanted[l]) + share * (mean[l] - f64::from(wanted[l]));
            loss[l] = math::ln(f64::from(sum[l])) - (wanted - f64::from(max[l]));
        }
        return loss;
    }
    for l in 0..LANES {
        loss[l] = math::ln(f64::from(sum[l])) - (f64::from(wanted[l]) - f64::from(max[l]));
    }
    loss
}

#[inline(always)]
fn to_array<L: Lanes>(simd: L, v: L::V) -> Column {
    let mut array = [0.0; LANES];
    // SAFETY: an array of 16 elements.
    unsafe { simd.store(array.as_mut_ptr(), v) };
    array
}
