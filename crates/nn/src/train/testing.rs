//! What tests of training share: one step of a network, some digits, and what is near enough.

use super::Pixels;
use crate::aligned::Aligned;
use crate::batch::Batch;
use crate::data::{Dataset, ImageShape, Source};
use crate::graph::Graph;
use crate::model::Model;
use crate::plan::{Plan, Scratch};
use crate::rng::{Rng, Stream};
use crate::step::{Learn, Step, StepOf};
use crate::workers::{Team, Worker, in_team, on_threads};
use tenfold_kernels::Isa;
use tenfold_kernels::arena::Arena;

/// Arrays with their names.
pub(crate) type NamedArrays = Vec<(String, Vec<f64>)>;

/// What a step gave: logits, mean loss, and gradients in PyTorch's order.
pub(crate) type Got = (Vec<f64>, f64, NamedArrays);

/// [`gradients_of`] batches of `data`.
pub(super) fn gradients(isa: Isa, team: Team, model: &Model, data: &Dataset, batches: &[Vec<u32>]) -> Got {
    let batches: Vec<Batch> = batches.iter().map(|indices| Batch::evaluated(data, indices)).collect();
    gradients_of(isa, team, model, &batches)
}

/// Runs batches, one after the other in the same memory, as step 0 forward and backward, and gives what came of the
/// last. No batch may be larger than the first.
pub(crate) fn gradients_of(isa: Isa, team: Team, model: &Model, batches: &[Batch]) -> Got {
    let net = model.architecture();
    let rows = batches.last().expect("a batch").len();
    let plan = Plan::new(&model.graph, batches[0].len(), true);
    let (mut memory, mut scratch) = (plan.memory(), (0..team.threads).map(|_| plan.scratch()).collect::<Vec<_>>());
    let mut params = model.values.clone();
    let mut grads = Aligned::zeroed(model.graph.param_len);
    let pixels = model.pixels().table(net.input());
    let (mut logits, mut loss) = (Vec::new(), 0.0);
    {
        let learn = Learn::Store(Arena::new(grads.as_mut_slice()));
        let params = params.as_mut_slice();
        let of = StepOf { isa, seed: 1, classes: net.classes(), pixels: &pixels };
        let step = Step::new(&plan, of, &mut memory, Arena::new(params), learn);
        let program = |worker: &Worker, scratch: &mut Scratch| {
            for batch in batches {
                let batch = Batch { step: Some(0), ..*batch };
                step.forward(worker, scratch, &batch, plan.graph.nodes.len());
                step.loss(worker, scratch, &batch);
                step.backward(worker, scratch, &batch);
                worker.barrier();
            }
        };
        in_team(team, &mut scratch, program, program);
        step.with_losses(rows, |losses, _| loss = losses.iter().sum::<f64>() / rows as f64);
        step.logits(0..rows, |packed, stride| {
            logits = packed.chunks(stride).flat_map(|r| r[..net.classes()].iter().map(|&v| f64::from(v))).collect();
        });
    }
    let grads = net
        .params()
        .iter()
        .enumerate()
        .map(|(array, spec)| {
            let values = crate::model::unpack(net, &model.graph, array, grads.as_slice());
            (spec.name.clone(), values.into_iter().map(f64::from).collect())
        })
        .collect();
    (logits, loss, grads)
}

/// Loss of training step 7 of a network on a few random images for these parameters, and where asked its gradient,
/// packed.
pub(crate) fn loss_while_training(
    graph: &Graph,
    (shape, classes): (ImageShape, usize),
    params: &mut [f32],
    grads: Option<&mut [f32]>,
    threads: usize,
) -> f64 {
    let rows = 5;
    let rng = Rng::new(9, Stream::Order, 0);
    let pixels = (0..rows * shape.len()).map(|i| (rng.u64_at(i as u64) >> 56) as u8).collect();
    let labels = (0..rows).map(|n| (n % classes) as u16).collect();
    let data = Dataset::new(pixels, labels, shape, classes).expect("whole");
    let plan = Plan::new(graph, rows + 2, true);
    let (mut memory, mut scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect::<Vec<_>>());
    let indices: Vec<u32> = (0..rows as u32).collect();
    let batch = Batch { step: Some(7), ..Batch::evaluated(&data, &indices) };
    let backward = grads.is_some();
    let learn = grads.map_or(Learn::Nothing, |grads| Learn::Store(Arena::new(grads)));
    let table = Pixels::default().table(shape);
    let of = StepOf { isa: Isa::detect(), seed: 1, classes, pixels: &table };
    let step = Step::new(&plan, of, &mut memory, Arena::new(params), learn);
    let program = |worker: &Worker, scratch: &mut Scratch| {
        step.forward(worker, scratch, &batch, plan.graph.nodes.len());
        step.loss(worker, scratch, &batch);
        if backward {
            step.backward(worker, scratch, &batch);
        }
    };
    on_threads(threads, &mut scratch, program, program);
    step.with_losses(rows, |losses, _| losses.iter().sum::<f64>() / rows as f64)
}

/// Asserts that every element is within `tolerance` times the largest expected magnitude.
pub(crate) fn assert_near(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "length of {what}");
    let scale = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let error = got
        .iter()
        .zip(expected)
        .fold(0.0_f64, |m, (g, e)| m.max(if g.is_finite() { (g - e).abs() } else { f64::INFINITY }));
    assert!(error <= tolerance * scale, "{what}: error {error:.3e}, largest value {scale:.3e}");
}

/// A few hundred real digits.
pub(crate) fn some_digits(train: usize, valid: usize) -> (Dataset, Dataset) {
    let all = Source::mnist().train;
    let pick = |range: std::ops::Range<usize>| all.select(&range.map(|i| i as u32 * 7).collect::<Vec<_>>());
    (pick(0..train), pick(train..train + valid))
}
