//! Muon: steps of whole matrices, made orthogonal (K. Jordan et al., *Muon: an optimizer for hidden layers in neural
//! networks*, 2024).
//!
//! A matrix is the weight of a linear layer, or of a convolution with its channels and kernel as one dimension, but for
//! the last one of a network, from which the logits come: that one and everything else take steps of Adam.

use crate::model::{Model, places};
use crate::optim::MuonStep;
use crate::step::Step;
use crate::workers::Worker;
use std::ops::Range;
use tenfold_kernels::LANES;
use tenfold_kernels::arena::Arena;
use tenfold_kernels::orthogonal::{COEFFICIENTS, combine, matrix_product, sum_of_squares};

/// Steps of the iteration.
const ITERATIONS: usize = 5;

/// The least norm that a matrix is divided by.
const LEAST: f64 = 1e-7;

/// The numbers of the arrays that are matrices.
pub(super) fn matrices_of(model: &Model) -> Vec<usize> {
    let params = model.architecture().params();
    let learned: Vec<bool> = model.graph.arrays().map(|(_, array)| array.learned).collect();
    let mut all: Vec<usize> = (0..params.len()).filter(|&n| params[n].shape.len() > 1 && learned[n]).collect();
    all.pop();
    all
}

/// A matrix with at least as many columns as rows: the weight, or the weight turned.
struct Matrix {
    rows: usize,
    /// Rounded up to whole vectors; what is beyond the matrix is zero.
    columns: usize,
    /// Where its elements lie among the packed parameters.
    place: Range<usize>,
    /// For each element of the matrix, `columns` to a row, its place there.
    from: Vec<u32>,
    /// For each of these places, the element of the matrix.
    to: Vec<u32>,
    /// Root of how much taller than wide the weight is, and at least 1: what its steps are multiplied by.
    scale: f32,
}

/// No element.
const NONE: u32 = u32::MAX;

impl Matrix {
    fn new(model: &Model, array: usize) -> Matrix {
        let spec = &model.architecture().params()[array];
        let place = model.graph.arrays().nth(array).expect("the graph has the array").1.place.clone();
        let (tall, wide) = (spec.shape[0], spec.len() / spec.shape[0]);
        let turned = tall > wide;
        let (rows, width) = if turned { (wide, tall) } else { (tall, wide) };
        let columns = width.next_multiple_of(LANES);
        let (mut from, mut to) = (vec![NONE; rows * columns], vec![NONE; place.len()]);
        for (j, at) in places(model, array).enumerate() {
            let (row, column) = if turned { (j % wide, j / wide) } else { (j / wide, j % wide) };
            let element = row * columns + column;
            from[element] = u32::try_from(at).expect("fewer than 2^32 parameters");
            to[at - place.start] = u32::try_from(element).expect("fewer than 2^32 elements");
        }
        Matrix { rows, columns, place, from, to, scale: (tall as f64 / wide as f64).max(1.0).sqrt() as f32 }
    }

    /// Elements of a product of the matrix with itself turned.
    fn square(&self) -> usize {
        self.rows * self.rows.next_multiple_of(LANES)
    }
}

/// The matrices of a network, and the memory of their steps.
pub(super) struct MatricesMemory {
    all: Vec<Matrix>,
    /// Room for the largest matrix twice, once more turned, and for two products with itself.
    floats: Vec<f32>,
}

impl MatricesMemory {
    pub(super) fn new(model: &Model, arrays: &[usize]) -> MatricesMemory {
        let all: Vec<Matrix> = arrays.iter().map(|&array| Matrix::new(model, array)).collect();
        let floats = all.iter().map(|matrix| Room::of(matrix).end()).max().unwrap_or(0);
        MatricesMemory { all, floats: vec![0.0; floats] }
    }

    pub(super) fn share(&mut self) -> Matrices<'_> {
        Matrices { all: &self.all, floats: Arena::new(&mut self.floats) }
    }
}

/// Where what belongs to the step of one matrix begins.
struct Room {
    matrix: usize,
    next: usize,
    turned: usize,
    gram: usize,
    polynomial: usize,
    square: usize,
}

impl Room {
    fn of(matrix: &Matrix) -> Room {
        let (len, square) = (matrix.rows * matrix.columns, matrix.square());
        let turned = 2 * len;
        let gram = turned + matrix.columns * matrix.rows.next_multiple_of(LANES);
        Room { matrix: 0, next: len, turned, gram, polynomial: gram + square, square }
    }

    fn end(&self) -> usize {
        self.polynomial + self.square
    }
}

/// What threads share of them.
pub(super) struct Matrices<'a> {
    all: &'a [Matrix],
    floats: Arena<'a, f32>,
}

impl Matrices<'_> {
    /// A step of every matrix along its direction, which is in the place of its gradient: `w = decay * w - lr * scale *
    /// orthogonal(direction)`. Threads share each matrix.
    pub(super) fn step(&self, step: &Step, worker: &Worker, directions: &Arena<f32>, muon: &MuonStep) {
        for matrix in self.all {
            self.gather(step, worker, directions, matrix);
            for _ in 0..ITERATIONS {
                self.iterate(step, worker, matrix);
            }
            // By places, so that each thread writes weights that lie together.
            let (len, room) = (matrix.place.len(), Room::of(matrix));
            let share = worker.share(len);
            let orthogonal = self.floats.read(room.matrix..room.matrix + matrix.rows * matrix.columns);
            let mut weights = step.params.write(matrix.place.start + share.start..matrix.place.start + share.end);
            for (weight, &element) in weights.iter_mut().zip(&matrix.to[share]) {
                if element != NONE {
                    *weight = muon.step(*weight, matrix.scale * orthogonal[element as usize]);
                }
            }
            drop(orthogonal);
            // The room is the next matrix's.
            worker.barrier();
        }
    }

    /// Brings a direction into rows, divided by its norm.
    fn gather(&self, step: &Step, worker: &Worker, directions: &Arena<f32>, matrix: &Matrix) {
        let (columns, room) = (matrix.columns, Room::of(matrix));
        let share = worker.share(matrix.rows);
        let directions = directions.read(matrix.place.clone());
        // The sum of all, by every thread: it is short beside what follows. Padding is zero.
        let norm = sum_of_squares(step.isa, &directions).sqrt().max(LEAST);
        let factor = (1.0 / norm) as f32;
        let mut rows = self.floats.write(room.matrix + share.start * columns..room.matrix + share.end * columns);
        for (value, &from) in rows.iter_mut().zip(&matrix.from[share.start * columns..]) {
            let there = from != NONE;
            *value = if there { factor * directions[from as usize - matrix.place.start] } else { 0.0 };
        }
        drop((rows, directions));
        worker.barrier();
    }

    /// `X <- a X + (b G + c G G) X` with `G = X X^T`.
    fn iterate(&self, step: &Step, worker: &Worker, matrix: &Matrix) {
        let Matrix { rows, columns, .. } = *matrix;
        let (room, side, isa) = (Room::of(matrix), rows.next_multiple_of(LANES), step.isa);
        let part = |start: usize, share: &Range<usize>, stride: usize| {
            start + share.start * stride..start + share.end * stride
        };
        let all = |start: usize, len: usize| self.floats.read(start..start + len);
        // X turned, so that the vectors of the first product are columns.
        let share = worker.share(columns);
        {
            let x = all(room.matrix, rows * columns);
            let mut turned = self.floats.write(part(room.turned, &share, side));
            for (column, turned) in share.zip(turned.chunks_exact_mut(side)) {
                for (row, value) in turned.iter_mut().enumerate() {
                    *value = if row < rows { x[row * columns + column] } else { 0.0 };
                }
            }
        }
        worker.barrier();
        let share = worker.share(rows);
        let x = || self.floats.read(part(room.matrix, &share, columns));
        {
            let mut gram = self.floats.write(part(room.gram, &share, side));
            let turned = all(room.turned, columns * side);
            matrix_product(isa, share.len(), columns, &x(), columns, &turned, side, &mut gram);
        }
        worker.barrier();
        let [a, b, c] = COEFFICIENTS;
        let mut polynomial = self.floats.write(part(room.polynomial, &share, side));
        {
            let gram = all(room.gram, rows * side);
            let own = &gram[share.start * side..share.end * side];
            matrix_product(isa, share.len(), rows, own, side, &gram, side, &mut polynomial);
            combine(isa, (b, c), own, &mut polynomial);
        }
        {
            let mut next = self.floats.write(part(room.next, &share, columns));
            let all = all(room.matrix, rows * columns);
            matrix_product(isa, share.len(), rows, &polynomial, side, &all, columns, &mut next);
            combine(isa, (a, 1.0), &all[share.start * columns..share.end * columns], &mut next);
        }
        drop(polynomial);
        // Nobody reads X any more.
        worker.barrier();
        self.floats
            .write(part(room.matrix, &share, columns))
            .copy_from_slice(&self.floats.read(part(room.next, &share, columns)));
        worker.barrier();
    }
}
