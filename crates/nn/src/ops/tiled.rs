//! A 3x3 convolution in Winograd's tiles: where its transforms lie, and how threads share it.

use super::Run;
use super::ahead::{ALL, Ahead, Places};
use crate::graph::Array;
use crate::plan::{Room, Scratch};
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::arena::Columns;
use tenfold_kernels::conv::direct::Conv2d;
use tenfold_kernels::conv::winograd::{
    PLACES, Tiles, Winograd, multiply, multiply_gradient, transform_grad_output, transform_gradient, transform_input,
    transform_output,
};

/// Elements of the transformed tiles, inputs and outputs, that a thread takes through a convolution at a time: they
/// stay in L2, with room for the weights, which all of them meet.
const CONVOLVED: AtOnce = AtOnce { elements: 64 * 1024, tiles: 12 };

/// The same for the gradient of the weights, to all of which something is added each time.
const SUMMED: AtOnce = AtOnce { elements: 128 * 1024, tiles: 64 };

/// Groups of images of which the weights' gradient is summed by itself, at most, and tiles of a group at least. Fewer
/// groups leave threads without work; more are more to add up. How many there are must not depend on the threads, since
/// the sums do.
const GROUPS: usize = 8;
const TILES_OF_A_GROUP: usize = 16;

/// A convolution in tiles.
#[derive(Clone, Debug)]
pub(super) struct Tiled {
    pub(super) shape: Winograd,
    /// Where the transformed weights start.
    transformed: usize,
}

impl Tiled {
    /// `None` where tiles do not fit or save too little.
    pub(super) fn new(conv: &Conv2d) -> Option<Tiled> {
        Some(Tiled { shape: Winograd::new(conv)?, transformed: 0 })
    }

    pub(super) fn plan(&mut self, room: &mut Room) {
        self.transformed = room.floats(self.shape.weight_len());
        room.products(CONVOLVED.room(&self.shape, room.batch_size));
    }

    /// Makes this thread's share of the transformed weights: `transform(unit, out)` those of a unit. A meeting must
    /// follow.
    pub(super) fn transform_weights(&self, run: &Run, transform: impl Fn(usize, &mut Columns<'_, f32>)) {
        for unit in run.worker.share(self.shape.weight_units()) {
            let columns = self.shape.weight_columns(unit);
            let stride = self.shape.weight_stride();
            let mut out = run.step.floats.write_columns(self.transformed, PLACES, stride, columns);
            transform(unit, &mut out.columns());
        }
    }

    /// Convolves this thread's images, without bias, once the weights are there: `input(n, f)` calls `f` with image n,
    /// `output(n, fill)` gives a place for the result, which `fill` overwrites. `places`: what the two touch for some
    /// images.
    pub(super) fn convolve(
        &self,
        run: &Run,
        room: &mut [f32],
        mut input: impl FnMut(usize, &mut dyn FnMut(&[f32])),
        mut output: impl FnMut(usize, &mut dyn FnMut(&mut [f32])),
        places: (impl Fn(Range<usize>) -> Places, impl Fn(Range<usize>) -> Places),
    ) {
        let (isa, shape, images) = (run.step.isa, &self.shape, run.share());
        let weights = run.step.floats.read(self.transformed..self.transformed + shape.weight_len());
        let at_once = CONVOLVED.images(shape, images.len());
        for first in images.clone().step_by(at_once) {
            let together = first..(first + at_once).min(images.end);
            let (taken, given) = &places;
            let next = taken(together.end..(together.end + at_once).min(images.end));
            let given = given(together.clone());
            if at_once == 1 {
                let count = CONVOLVED.pieces(shape, 1).count();
                output(first, &mut |y| {
                    input(first, &mut |x| {
                        for (piece, rows) in CONVOLVED.pieces(shape, 1).enumerate() {
                            let all = rows.len() * shape.tile_columns();
                            let (inputs, products) = split(shape, all, room);
                            let tiles = Tiles { rows, first: 0, all };
                            transform_input(isa, shape, x, &tiles, inputs);
                            let (blocks, part) = (shape.outputs() / LANES, (piece, count));
                            let ahead = Ahead::new(run).soon(&given, blocks, part).later(&next, part);
                            let ahead = &mut ahead.asked(shape.calls(all));
                            multiply(isa, shape, all, inputs, &weights, products, ahead);
                            transform_output(isa, shape, products, &tiles, y);
                        }
                    });
                });
                continue;
            }
            let all = together.len() * shape.tiles();
            let of_image = |n: usize| Tiles { rows: 0..shape.tile_rows(), first: (n - first) * shape.tiles(), all };
            let (inputs, products) = split(shape, all, room);
            for n in together.clone() {
                input(n, &mut |x| transform_input(isa, shape, x, &of_image(n), inputs));
            }
            let ahead = Ahead::new(run).soon(&given, 1, ALL).later(&next, ALL);
            multiply(isa, shape, all, inputs, &weights, products, &mut ahead.asked(shape.calls(all)));
            for n in together {
                output(n, &mut |y| transform_output(isa, shape, products, &of_image(n), y));
            }
        }
    }
}

/// The gradient of the weights of a convolution in tiles, in parts: one for each group of images.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TiledGradient {
    /// Where the parts of the gradients of weights and bias start.
    parts: usize,
    biases: usize,
}

impl TiledGradient {
    pub(super) fn plan(&mut self, shape: &Winograd, room: &mut Room) {
        let groups = groups(shape, room.batch_size);
        self.parts = room.floats(groups * shape.weight_len());
        self.biases = room.floats(groups * shape.outputs());
        room.products(SUMMED.room(shape, room.batch_size));
        room.values((0..shape.weight_units()).map(|unit| shape.taps(unit).len()).max().unwrap_or(0));
        room.values(shape.outputs());
    }

    /// This thread's share of the gradients of weights and bias, and of learning from them. Meets once.
    pub(super) fn learn(&self, run: &Run, shape: &Winograd, weight: &Array, bias: &Array, scratch: &mut Scratch) {
        let (step, worker, images) = (run.step, run.worker, run.images());
        let (groups, len, outputs) = (groups(shape, images), shape.weight_len(), shape.outputs());
        // What was read last may still be in the cache.
        for group in worker.share(groups).rev() {
            self.sum(run, shape, group, images * group / groups..images * (group + 1) / groups, scratch);
        }
        worker.barrier();

        let values = scratch.values.as_mut_slice();
        let parts = step.floats.read(self.parts..self.parts + groups * len);
        for unit in worker.share(shape.weight_units()) {
            let taps = shape.taps(unit);
            let out = &mut values[..taps.len()];
            transform_gradient(step.isa, shape, unit, &parts, out);
            step.learn(run.batch, weight, taps.start, out);
        }
        if worker.is_last() {
            let biases = step.floats.read(self.biases..self.biases + groups * outputs);
            let sums = &mut values[..outputs];
            sums.fill(0.0);
            for part in biases.chunks_exact(outputs) {
                sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            step.learn(run.batch, bias, 0, sums);
        }
    }

    /// Overwrites the parts of a group of images.
    fn sum(&self, run: &Run, shape: &Winograd, group: usize, images: Range<usize>, scratch: &mut Scratch) {
        let (isa, step, len, outputs) = (run.step.isa, run.step, shape.weight_len(), shape.outputs());
        let mut part = step.floats.write(self.parts + group * len..self.parts + (group + 1) * len);
        let mut bias = step.floats.write(self.biases + group * outputs..self.biases + (group + 1) * outputs);
        let planes = run.grad_layout(run.node.output).planes();
        let Scratch { products, image, .. } = scratch;
        let (products, image) = (products.as_mut_slice(), image.as_mut_slice());
        let at_once = SUMMED.images(shape, images.len());
        let mut accumulate = false;
        for first in images.clone().step_by(at_once) {
            let together = first..(first + at_once).min(images.end);
            let next = together.end..(together.end + at_once).min(images.end);
            let (taken, grads_taken) = (run.taken(next.clone()), run.grad_places(next));
            let mut add = |part_of: (usize, usize), all: usize, inputs: &[f32], grads: &[f32]| {
                let ahead = Ahead::new(run).later(&taken, part_of).later(&grads_taken, part_of);
                let ahead = &mut ahead.asked(shape.gradient_calls(all));
                multiply_gradient(isa, shape, all, inputs, grads, accumulate, &mut part, &mut bias, ahead);
                accumulate = true;
            };
            if at_once == 1 {
                let count = SUMMED.pieces(shape, 1).count();
                run.with_input(first, image, |x| {
                    for (piece, rows) in SUMMED.pieces(shape, 1).enumerate() {
                        let all = rows.len() * shape.tile_columns();
                        let (inputs, grads) = split(shape, all, products);
                        let tiles = Tiles { rows, first: 0, all };
                        transform_input(isa, shape, x, &tiles, inputs);
                        transform_grad_output(isa, shape, &planes, &run.grad(first..first + 1), &tiles, grads);
                        add((piece, count), all, inputs, grads);
                    }
                });
                continue;
            }
            let all = together.len() * shape.tiles();
            let (inputs, grads) = split(shape, all, products);
            for n in together {
                let tiles = Tiles { rows: 0..shape.tile_rows(), first: (n - first) * shape.tiles(), all };
                run.with_input(n, image, |x| transform_input(isa, shape, x, &tiles, inputs));
                transform_grad_output(isa, shape, &planes, &run.grad(n..n + 1), &tiles, grads);
            }
            add(ALL, all, inputs, grads);
        }
    }
}

/// Groups of `images` images.
fn groups(shape: &Winograd, images: usize) -> usize {
    (images * shape.tiles() / TILES_OF_A_GROUP).clamp(1, GROUPS).min(images)
}

/// How much is worked on at a time, if an image's rows allow it: so many elements, and at least so many tiles.
#[derive(Clone, Copy)]
struct AtOnce {
    elements: usize,
    tiles: usize,
}

impl AtOnce {
    fn tiles(self, shape: &Winograd) -> usize {
        (self.elements / (PLACES * (shape.inputs() + shape.outputs()))).max(self.tiles)
    }

    /// Images of at most `images` whose tiles are worked on together: one, or as many as are small enough.
    fn images(self, shape: &Winograd, images: usize) -> usize {
        (self.tiles(shape) / shape.tiles()).clamp(1, images.max(1))
    }

    /// Rows of tiles that are worked on together: all of several images, or some of one.
    fn pieces(self, shape: &Winograd, images: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let all = shape.tile_rows();
        let count = if images > 1 { 1 } else { all.div_ceil((self.tiles(shape) / shape.tile_columns()).max(1)) };
        (0..count).map(move |piece| all * piece / count..all * (piece + 1) / count)
    }

    /// Elements of the tiles that are worked on together.
    fn room(self, shape: &Winograd, batch_size: usize) -> usize {
        let images = self.images(shape, batch_size);
        let rows = self.pieces(shape, images).map(|rows| rows.len()).max().unwrap_or(0);
        let tiles = images * shape.tile_columns() * rows;
        shape.input_len(tiles) + shape.output_len(tiles)
    }
}

/// Room for so many tiles, inputs and outputs.
fn split<'r>(shape: &Winograd, tiles: usize, room: &'r mut [f32]) -> (&'r mut [f32], &'r mut [f32]) {
    let (inputs, rest) = room.split_at_mut(shape.input_len(tiles));
    (inputs, &mut rest[..shape.output_len(tiles)])
}
