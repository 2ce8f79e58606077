//! The sum of a residual block's two ways: what its layers give, and what its shortcut makes of its input.

use super::{Operation, Run};
use crate::layout::for_shared_rows;
use crate::plan::Scratch;
use tenfold_kernels::sum::add;

#[derive(Clone, Debug)]
pub(crate) struct Add;

impl Operation for Add {
    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let [first, second] = run.node.inputs[..] else { unreachable!("a sum has two terms") };
        let to = run.layout(run.node.output);
        for n in run.share() {
            let (a, b, mut y) = (run.read(first, n..n + 1), run.read(second, n..n + 1), run.write(n));
            for_shared_rows(run.layout(first), to, |from, to| y[to].copy_from_slice(&a[from]));
            for_shared_rows(run.layout(second), to, |from, to| add(run.step.isa, &b[from], &mut y[to]));
            run.finish(n, &mut y);
        }
    }

    fn backward(&self, run: &Run, scratch: &mut Scratch) {
        for n in run.share() {
            let grad = run.grad(n..n + 1);
            for &input in &run.node.inputs {
                run.pass(input, n, scratch.spare.as_mut_slice(), |out| out.copy_from_slice(&grad));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aligned::Aligned;
    use crate::data::ImageShape;
    use crate::graph::{Graph, Node, Params, Value, ValueId};
    use crate::layout::Layout;
    use crate::ops::{self, Op};
    use crate::precision::Precision;
    use crate::rng::{Rng, Stream};
    use crate::train::testing::loss_while_training;
    use tenfold_kernels::activation::Activation;
    use tenfold_kernels::conv::direct::Conv2d;
    use tenfold_kernels::{LANES, Planes};

    const IMAGE: ImageShape = ImageShape { channels: 2, height: 6, width: 5 };
    const CLASSES: usize = 4;

    /// Builds a graph by hand.
    struct Builder {
        graph: Graph,
        params: Params,
        /// Shapes of all arrays as PyTorch has them.
        shapes: Vec<Vec<usize>>,
    }

    impl Builder {
        fn add(&mut self, op: Op, inputs: &[ValueId], layout: Layout, activation: Option<Activation>) -> ValueId {
            let output = ValueId(self.graph.values.len());
            let at = self.graph.nodes.len();
            for input in inputs {
                self.graph.values[input.0].consumers.push(at);
            }
            let wants_gradient = at > 0;
            let consumers = Vec::new();
            self.graph.values.push(Value {
                layout,
                grad: layout.plain(),
                activation,
                drops: None,
                consumers,
                wants_gradient,
                summed_for: None,
                gradient_summed_for: None,
                made_by: None,
                passed_through: None,
                copied_by: None,
            });
            self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), output, layers: Vec::new() });
            output
        }

        fn conv(&mut self, from: ValueId, channels: usize, kernel: usize, border: usize) -> ValueId {
            let input = self.graph.values[from.0].layout.planes();
            let (sides, padding) = ([border; 4], (kernel - 1) / 2);
            let to = Planes::with_border(channels, LANES, IMAGE.height, IMAGE.width, sides, (1, 1));
            let conv = Conv2d::new(input, to, (kernel, kernel), (1, 1), (padding, padding));
            let passes = self.graph.values[from.0].wants_gradient;
            self.shapes.extend([vec![channels, input.channels(), kernel, kernel], vec![channels]]);
            let op = Op::Conv(ops::Conv::new(conv, Precision::F32, passes, true, &mut self.params));
            self.add(op, &[from], Layout::Planes(to), Some(Activation::Tanh))
        }

        fn linear(&mut self, from: ValueId, outputs: usize, activation: Option<Activation>) -> ValueId {
            let input = self.graph.values[from.0].layout;
            let features = match input {
                Layout::Planes(planes) => planes.channels() * planes.height() * planes.width(),
                Layout::Row { features, .. } => features,
            };
            self.shapes.extend([vec![outputs, features], vec![outputs]]);
            let op = Op::Linear(ops::Linear::new(input, outputs, Precision::F32, true, true, &mut self.params));
            self.add(op, &[from], Layout::row(outputs), activation)
        }
    }

    /// Two convolutions over the same maps, added, and two linear layers over the same row, added.
    fn diamond() -> (Graph, Vec<Vec<usize>>) {
        let graph = Graph { values: Vec::new(), nodes: Vec::new(), param_len: 0 };
        let mut b = Builder { graph, params: Params::default(), shapes: Vec::new() };
        let planes = Planes::with_border(IMAGE.channels, LANES, IMAGE.height, IMAGE.width, [1; 4], (1, 1));
        let image = b.add(Op::PixelValues(ops::PixelValues), &[], Layout::Planes(planes), None);
        let shared = b.conv(image, 17, 3, 1);
        let (left, right) = (b.conv(shared, 18, 3, 0), b.conv(shared, 18, 3, 0));
        let maps = Layout::Planes(Planes::new(18, IMAGE.height, IMAGE.width));
        let sum = b.add(Op::Add(Add), &[left, right], maps, Some(Activation::Tanh));
        let row = b.linear(sum, 40, Some(Activation::Sigmoid));
        let (left, right) = (b.linear(row, 21, Some(Activation::Tanh)), b.linear(row, 21, None));
        let sum = b.add(Op::Add(Add), &[left, right], Layout::row(21), None);
        b.linear(sum, CLASSES, None);
        b.graph.param_len = b.params.len;
        (b.graph, b.shapes)
    }

    fn loss(graph: &Graph, params: &mut [f32], grads: Option<&mut [f32]>, threads: usize) -> f64 {
        loss_while_training(graph, (IMAGE, CLASSES), params, grads, threads)
    }

    /// The first writer overwrites what the memory held, the others add, and the slope of the producer's activation
    /// comes last and once: the gradient is the slope of the loss, on any number of threads.
    #[test]
    fn a_gradient_with_several_writers_is_their_sum() {
        let (graph, shapes) = diamond();
        // Where the elements of each array lie; what lies between them is padding, and zero.
        let places: Vec<Vec<usize>> = graph
            .arrays()
            .zip(&shapes)
            .map(|(array, shape)| (0..shape.iter().product()).map(|j| Graph::place(array, shape, j)).collect())
            .collect();
        let rng = Rng::new(3, Stream::Init, 0);
        let mut params = Aligned::zeroed(graph.param_len);
        for &at in places.iter().flatten() {
            params.as_mut_slice()[at] = 0.2 * rng.normal_at(at as u64);
        }
        let mut grads = Aligned::zeroed(graph.param_len);
        loss(&graph, params.as_mut_slice(), Some(grads.as_mut_slice()), 1);
        for threads in [2, 3] {
            let mut others = Aligned::zeroed(graph.param_len);
            loss(&graph, params.as_mut_slice(), Some(others.as_mut_slice()), threads);
            let same = grads.as_slice().iter().zip(others.as_slice()).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "gradients on {threads} threads and on one");
        }
        let scale = grads.as_slice().iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!(scale > 1e-3, "a gradient of length {scale}");
        for (number, places) in places.iter().enumerate() {
            let along = Rng::new(number as u64, Stream::Init, 9);
            let moved = |h: f32| {
                let mut moved = params.clone();
                places.iter().for_each(|&at| moved.as_mut_slice()[at] += h * along.normal_at(at as u64));
                loss(&graph, moved.as_mut_slice(), None, 1)
            };
            let h = 2.0_f32.powi(-9);
            let quotient = (moved(h) - moved(-h)) / (2.0 * f64::from(h));
            let slope = |&at: &usize| f64::from(grads.as_slice()[at]) * f64::from(along.normal_at(at as u64));
            let slope: f64 = places.iter().map(slope).sum();
            assert!((quotient - slope).abs() < 2e-3 * scale, "array {number}: quotient {quotient}, slope {slope}");
        }
    }
}
