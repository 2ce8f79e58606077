//! Whole networks against PyTorch, and the promises of training.

use super::*;
use crate::data::{ImageShape, Source};
use crate::graph::Graph;
use crate::model::{Init, Layer};
use crate::optim::{Optimizer, Schedule};
use crate::workers::{Team, on_threads};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// One of `fixtures/networks/*.safetensors`, or `fixtures/look.safetensors`; the scripts there made them and
/// `fixtures/README.md` describes them.
pub(crate) struct Fixture {
    name: String,
    bytes: Vec<u8>,
    meta: serde_json::Value,
}

impl Fixture {
    fn load(name: &str) -> Fixture {
        Fixture::at(&format!("networks/{name}"))
    }

    pub(crate) fn at(name: &str) -> Fixture {
        let path = format!("{}/../../fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let meta = header.metadata().as_ref().expect("metadata")["tenfold"].clone();
        Fixture { name: name.into(), meta: serde_json::from_str(&meta).expect("JSON"), bytes }
    }

    pub(crate) fn u8s(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.bytes).expect("whole").tensor(name).expect(name).data().to_vec()
    }

    /// An array of f64, or of f32 widened; `None` if the file has no such array.
    fn f64s(&self, name: &str) -> Option<Vec<f64>> {
        let file = SafeTensors::deserialize(&self.bytes).expect("whole");
        let view = file.tensor(name).ok()?;
        Some(match view.dtype() {
            Dtype::F64 => view.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect(),
            Dtype::F32 => {
                view.data().chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("4")))).collect()
            }
            other => panic!("{name} is {other:?}"),
        })
    }

    fn usize(&self, key: &str) -> usize {
        self.meta[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
    }

    pub(crate) fn f64(&self, key: &str) -> f64 {
        self.meta[key].as_f64().unwrap_or_else(|| panic!("{key}"))
    }

    fn architecture(&self) -> Architecture {
        let input: Vec<usize> = serde_json::from_value(self.meta["input"].clone()).expect("input");
        let layers: Vec<String> = serde_json::from_value(self.meta["layers"].clone()).expect("layers");
        let layers: Vec<Layer> = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let input = ImageShape { channels: input[0], height: input[1], width: input[2] };
        Architecture::new(input, layers, self.usize("classes")).expect("fits")
    }

    fn data(&self) -> Dataset {
        let net = self.architecture();
        Dataset::new(self.u8s("images"), self.u8s("labels"), net.input(), net.classes()).expect("whole")
    }

    /// The model with the parameters of the fixtures' formula.
    pub(crate) fn model(&self, pixels: Pixels) -> Model {
        let net = self.architecture();
        let arrays: Vec<_> = net
            .params()
            .iter()
            .enumerate()
            .map(|(array, spec)| {
                let bound = 1.0 / (spec.fan_in as f64).sqrt();
                let values: Vec<f32> = (0..spec.len() as u32)
                    .map(|j| {
                        let mut x = j.wrapping_add((array as u32 + 1).wrapping_mul(0x9E37_79B9));
                        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
                        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
                        x ^= x >> 16;
                        ((f64::from(x >> 8) / 8_388_608.0 - 1.0) * bound) as f32
                    })
                    .collect();
                let sample = self.f64s(&format!("init_sample.{}", spec.name)).expect("a sample");
                for (value, expected) in values.iter().zip(sample) {
                    assert_eq!(f64::from(*value), expected, "the formula of {}", spec.name);
                }
                (spec.name.clone(), spec.shape.clone(), values)
            })
            .collect();
        Model::from_tensors(net, &arrays, pixels).expect("the arrays fit")
    }

    /// Compares `got` with the array `name`, whole or sampled: within `tolerance` of the largest value.
    pub(crate) fn check(&self, name: &str, param: Option<&str>, got: &[f64], tolerance: f64) {
        let what = format!("{} of {}", name, self.name);
        for suffix in [".f64", ""] {
            if let Some(expected) = self.f64s(&format!("{name}{suffix}")) {
                return assert_near(got, &expected, tolerance, &what);
            }
        }
        let param = param.unwrap_or_else(|| panic!("{what} is missing"));
        let stride = self.meta["parameters"][param]["stride"].as_u64().expect("a stride") as usize;
        let sample: Vec<f64> = got.iter().copied().step_by(stride).collect();
        let sampled = |suffix: &str| self.f64s(&format!("{name}.{suffix}"));
        let expected =
            sampled("sample.f64").or_else(|| sampled("sample")).unwrap_or_else(|| panic!("{what} is missing"));
        assert_near(&sample, &expected, tolerance, &what);
        if let Some(norm) = sampled("norm.f64") {
            let got_norm = got.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!(
                (got_norm - norm[0]).abs() <= tolerance * norm[0],
                "norm of {what}: {got_norm}, expected {}",
                norm[0]
            );
        }
    }
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

const NETWORKS: [&str; 9] =
    ["softmax", "mlp", "cnn1-small", "cnn2-small", "odd", "overlap", "gelu", "global-avgpool", "cnn2-full"];

/// Instruction sets worth the time: the portable one needs minutes for the full-size network.
fn isas_for(name: &str) -> Vec<Isa> {
    Isa::available().iter().copied().filter(|isa| isa.name() != "portable" || name != "cnn2-full").collect()
}

/// Arrays with their names.
pub(super) type NamedArrays = Vec<(String, Vec<f64>)>;

/// Runs batches of `data`, one after the other in the same memory, forward and backward, and gives the last one's logits,
/// mean loss, and gradients in PyTorch's order. No batch may be larger than the first.
pub(super) fn gradients(
    isa: Isa,
    team: Team,
    model: &Model,
    data: &Dataset,
    batches: &[Vec<u32>],
) -> (Vec<f64>, f64, NamedArrays) {
    let net = model.architecture();
    let rows = batches.last().expect("a batch").len();
    let plan = Plan::new(&model.graph, batches[0].len(), true);
    let (mut memory, mut scratch) = (plan.memory(), (0..team.threads).map(|_| plan.scratch()).collect::<Vec<_>>());
    let mut params = model.values.clone();
    let mut grads = Aligned::zeroed(model.graph.param_len);
    let pixels = model.pixels().table();
    let (mut logits, mut loss) = (Vec::new(), 0.0);
    {
        let learn = Learn::Store(Arena::new(grads.as_mut_slice()));
        let params = params.as_mut_slice();
        let of = StepOf { isa, seed: 1, classes: net.classes(), pixels: &pixels };
        let step = Step::new(&plan, of, &mut memory, Arena::new(params), learn);
        let program = |worker: &Worker, scratch: &mut Scratch| {
            for indices in batches {
                let batch = Batch { step: Some(0), ..Batch::evaluated(data, indices) };
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

/// Tolerances in units of the largest value. PyTorch's own f32 differs from its f64 by up to 5e-7 (logits), 1.4e-6
/// (gradients) and 2e-7 (losses); ours may differ by a few times that.
#[test]
fn logits_loss_and_every_gradient_are_pytorchs() {
    for name in NETWORKS {
        let fixture = Fixture::load(name);
        let (model, data) = (fixture.model(Pixels::default()), fixture.data());
        let batch = [(0..fixture.usize("batch") as u32).collect()];
        for isa in isas_for(name) {
            for threads in [1, 3] {
                let (logits, loss, grads) = gradients(isa, Team { threads, relay: true }, &model, &data, &batch);
                fixture.check("logits", None, &logits, 1e-5);
                fixture.check("loss", None, &[loss], 1e-6);
                for (param, grad) in grads {
                    fixture.check(&format!("grad.{param}"), Some(&param), &grad, 1e-5);
                }
            }
        }
    }
}

/// In bf16 an operand is off by up to 2^-9 of itself. Smooth networks, because a ReLU near zero that takes the other side
/// changes gradients by as much as they are. The distances are those of whole arrays; the largest is 0.0033.
#[test]
fn in_bf16_logits_and_gradients_are_near_those_in_f32() {
    for layers in [
        &["linear 200", "tanh", "linear 101", "tanh", "linear 10"][..],
        &["conv 16 5x5 same", "tanh", "avgpool 2", "conv 32 5x5 same", "tanh", "linear 70", "tanh", "linear 10"],
    ] {
        let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let (data, _) = some_digits(33, 5);
        let net = Architecture::new(data.shape(), parsed, 10).expect("fits");
        let model = Model::new(net, Init::Xavier, 3, Pixels::default());
        let batches = [(0..33).collect::<Vec<u32>>()];
        let (isa, team) = (Isa::detect(), Team { threads: 2, relay: true });
        let (logits, loss, grads) = gradients(isa, team, &model, &data, &batches);
        let rounded = model.with_precision(Precision::Bf16);
        let (near_logits, near_loss, near_grads) = gradients(isa, team, &rounded, &data, &batches);
        assert!((near_loss - loss).abs() < 2e-3 * loss, "{layers:?}: loss {near_loss}, in f32 {loss}");
        let arrays = std::iter::once(("logits", &near_logits, &logits));
        let arrays = arrays.chain(near_grads.iter().zip(&grads).map(|(near, grad)| (&*grad.0, &near.1, &grad.1)));
        for (name, near, truth) in arrays {
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let distance = norm(&mut near.iter().zip(truth).map(|(n, t)| n - t)) / norm(&mut truth.iter().copied());
            assert!(distance > 0.0 && distance < 7e-3, "{layers:?}: {name} is off by {distance}");
        }
    }
}

/// Loss of training step 7 of a network on a few random images for these parameters, and where asked its gradient, packed.
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
    let labels = (0..rows).map(|n| (n % classes) as u8).collect();
    let data = Dataset::new(pixels, labels, shape, classes).expect("whole");
    let plan = Plan::new(graph, rows + 2, true);
    let (mut memory, mut scratch) = (plan.memory(), (0..threads).map(|_| plan.scratch()).collect::<Vec<_>>());
    let indices: Vec<u32> = (0..rows as u32).collect();
    let batch = Batch { step: Some(7), ..Batch::evaluated(&data, &indices) };
    let backward = grads.is_some();
    let learn = grads.map_or(Learn::Nothing, |grads| Learn::Store(Arena::new(grads)));
    let table = Pixels::default().table();
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

/// Chains that put every operation next to every kind of neighbour, smooth so that a difference quotient is a slope.
#[test]
fn gradients_of_awkward_chains_are_slopes_of_the_loss() {
    let shape = ImageShape { channels: 3, height: 13, width: 12 };
    for layers in [
        &["conv 5 3x3 same", "tanh", "dropout 0.3", "conv 4 3x3 same", "sigmoid", "dropout 0.5", "linear 4"][..],
        &[
            "dropout 0.2",
            "sigmoid",
            "conv 17 3x3 padding 2",
            "avgpool 2",
            "dropout 0.2",
            "conv 3 2x2 stride 2",
            "linear 4",
        ],
        &[
            "avgpool 2 stride 1",
            "conv 20 3x3 same",
            "sigmoid",
            "tanh",
            "flatten",
            "dropout 0.4",
            "linear 7",
            "linear 4",
        ],
        &["flatten", "tanh", "linear 33", "sigmoid", "dropout 0.1", "tanh", "linear 18", "dropout 0.6", "linear 4"],
        &["conv 18 3x3 same", "conv 16 5x5 same", "sigmoid", "avgpool 3 stride 2", "tanh", "linear 4"],
        // Where both sides have whole blocks of channels, the way back is by Fourier transform.
        &["conv 16 3x3 same", "tanh", "conv 32 5x5 stride 2 same", "tanh", "linear 4"],
        &["conv 18 3x3 same", "tanh", "global-avgpool", "sigmoid", "conv 20 1x1", "global-avgpool", "linear 4"],
        &["gelu", "conv 18 3x3 same", "gelu", "gelu", "conv 3 2x2", "tanh", "gelu", "linear 7", "gelu", "linear 4"],
        &["conv 16 3x3 same", "tanh", "dropout 0.5", "conv 16 5x5 same", "sigmoid", "linear 4"],
    ] {
        let parsed = layers.iter().map(|l| l.parse().expect("a layer")).collect();
        let net = Architecture::new(shape, parsed, 4).expect("fits");
        let model = Model::new(net.clone(), Init::Xavier, 3, Pixels::default());
        let mut params = model.values.clone();
        let mut grads = Aligned::zeroed(model.graph.param_len);
        let loss = |params: &mut [f32], grads: Option<&mut [f32]>, threads: usize| {
            loss_while_training(&model.graph, (shape, 4), params, grads, threads)
        };
        loss(params.as_mut_slice(), Some(grads.as_mut_slice()), 3);
        // Along random directions; padding never moves, since its gradient must be zero too.
        for direction in 0..6 {
            let rng = Rng::new(direction, Stream::Init, 77);
            let along: Vec<f32> = (0..model.graph.param_len as u64).map(|i| rng.normal_at(i)).collect();
            let along = Model::new(net.clone(), Init::Zero, 0, Pixels::default()).masked(&along);
            let slope: f64 = along.iter().zip(grads.as_slice()).map(|(d, g)| f64::from(*d) * f64::from(*g)).sum();
            let h = 2.0_f32.powi(-11);
            let at = |h: f32| {
                let mut moved = model.values.clone();
                moved.as_mut_slice().iter_mut().zip(&along).for_each(|(p, d)| *p += h * d);
                loss(moved.as_mut_slice(), None, 2)
            };
            let quotient = (at(h) - at(-h)) / (2.0 * f64::from(h));
            let scale = grads.as_slice().iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!((quotient - slope).abs() < 2e-3 * scale, "{layers:?}: quotient {quotient}, slope {slope}");
        }
        let padding =
            Model::new(net.clone(), Init::Zero, 0, Pixels::default()).masked(&vec![1.0; model.graph.param_len]);
        let stray = grads.as_slice().iter().zip(&padding).filter(|(g, real)| **real == 0.0 && **g != 0.0).count();
        assert_eq!(stray, 0, "{layers:?}: padding has a gradient");
    }
}

/// The optimizer and schedule of one entry of the metadata; a step of the schedule counts as an epoch of one step.
fn settings(entry: &serde_json::Value) -> (Optimizer, Schedule) {
    let mut optimizer = entry.clone();
    let schedule = optimizer.as_object_mut().expect("an object").remove("schedule").expect("a schedule");
    let schedule = match schedule["kind"].as_str() {
        Some("constant") => Schedule::Constant,
        Some("step") => Schedule::Step {
            every: schedule["every_steps"].as_u64().expect("every_steps") as usize,
            factor: schedule["factor"].as_f64().expect("factor"),
        },
        Some("one_cycle") => {
            let number = |key: &str| schedule[key].as_f64().expect(key);
            optimizer["lr"] = schedule["max_lr"].clone();
            Schedule::OneCycle {
                pct_start: number("pct_start"),
                div_factor: number("div_factor"),
                final_div_factor: number("final_div_factor"),
            }
        }
        other => panic!("schedule {other:?}"),
    };
    (serde_json::from_value(optimizer).expect("an optimizer"), schedule)
}

#[test]
fn ten_losses_of_ten_steps_are_pytorchs() {
    for name in NETWORKS {
        let fixture = Fixture::load(name);
        let data = fixture.data();
        let net = fixture.architecture();
        let rows = fixture.usize("batch");
        for (key, entry) in fixture.meta["optimizers"].as_object().expect("optimizers") {
            let (optimizer, schedule) = settings(entry);
            let model = fixture.model(Pixels::default());
            let plan = Plan::new(&model.graph, rows, true);
            let (mut memory, mut scratch) = (plan.memory(), vec![plan.scratch(), plan.scratch()]);
            let mut params = model.values.clone();
            let (mut moment1, mut moment2) =
                (Aligned::zeroed(model.graph.param_len), Aligned::zeroed(model.graph.param_len));
            let pixels = Pixels::default().table();
            let mut losses = Vec::new();
            {
                let learn = Learn::Update {
                    moment1: Arena::new(moment1.as_mut_slice()),
                    moment2: Arena::new(moment2.as_mut_slice()),
                };
                let params = params.as_mut_slice();
                let of = StepOf { isa: Isa::detect(), seed: 1, classes: net.classes(), pixels: &pixels };
                let step = Step::new(&plan, of, &mut memory, Arena::new(params), learn);
                for index in 0..10 {
                    let lr = schedule.lr(optimizer.lr(), index, 1, 10);
                    let expected = fixture.f64s(&format!("opt.{key}.lr.f64")).expect("rates")[index as usize];
                    assert!((lr - expected).abs() <= 1e-14, "{name} {key}: rate {lr}, expected {expected}");
                    let indices: Vec<u32> = (index as u32 * rows as u32..(index as u32 + 1) * rows as u32).collect();
                    let update = Some(optimizer.update(index, lr));
                    let batch = Batch { step: Some(index), update, ..Batch::evaluated(&data, &indices) };
                    let program = |worker: &Worker, scratch: &mut Scratch| {
                        step.forward(worker, scratch, &batch, plan.graph.nodes.len());
                        step.loss(worker, scratch, &batch);
                        step.backward(worker, scratch, &batch);
                    };
                    on_threads(2, &mut scratch, program, program);
                    losses.push(step.with_losses(rows, |l, _| l.iter().sum::<f64>() / rows as f64));
                }
            }
            // PyTorch's own f32 is within 2e-7 of its f64.
            fixture.check(&format!("opt.{key}.losses"), None, &losses, 2e-6);
            for (array, spec) in net.params().iter().enumerate() {
                let values = crate::model::unpack(&net, &model.graph, array, params.as_slice());
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                // Adam moves a weight whose gradient is near rounding by up to lr in either direction; PyTorch's f32 is
                // off by as much as 9.6e-4 of the largest weight there, plain descent by 4.4e-7.
                let own = fixture.meta["pytorch_f32_error"][format!("opt.{key}.final")].as_object().expect("errors");
                let own = own.values().filter_map(serde_json::Value::as_f64).fold(1e-4, f64::max);
                let tolerance = if key.starts_with("adam") { 3.0 * own } else { 2e-6 };
                fixture.check(&format!("opt.{key}.final.{}", spec.name), Some(&spec.name), &values, tolerance);
            }
        }
    }
}

/// A few hundred real digits.
pub(super) fn some_digits(train: usize, valid: usize) -> (Dataset, Dataset) {
    let all = Source::mnist().train;
    let pick = |range: std::ops::Range<usize>| all.select(&range.map(|i| i as u32 * 7).collect::<Vec<_>>());
    (pick(0..train), pick(train..train + valid))
}

#[test]
fn training_on_real_digits_learns_them() {
    let splits = Source::mnist().split(6_000, 0).expect("splits");
    let layers = ["linear 64", "relu", "linear 10"].map(|l| l.parse().expect("a layer")).to_vec();
    let net = Architecture::new(splits.train.shape(), layers, 10).expect("fits");
    let config = TrainSettings { batch_size: 50, epochs: 2, ..TrainSettings::default() }.with_seed(1);
    let outcome = train(&net, &config, &splits.train, &splits.valid, 2, &mut |_| Flow::Continue);
    assert_eq!(outcome.stopped, StopReason::Epochs);
    let test = splits.test.evaluate(&outcome.model, 2);
    assert!(test.accuracy > 0.95, "test accuracy {}", test.accuracy);
    assert_eq!(test.predictions.len(), 10_000);
    assert!(test.probabilities.chunks(10).all(|p| (p.iter().sum::<f32>() - 1.0).abs() < 1e-5));
}

/// Trains a small network on a few digits and says how it ended.
fn ending(settings: TrainSettings, mut on_event: impl FnMut(&Event) -> Flow) -> Outcome {
    let (train, valid) = some_digits(200, 50);
    let layers = ["linear 20", "relu", "linear 10"].map(|l| l.parse().expect("a layer")).to_vec();
    let net = Architecture::new(train.shape(), layers, 10).expect("fits");
    super::train(&net, &settings.with_seed(1), &train, &valid, 2, &mut on_event)
}

#[test]
fn a_training_ends_for_the_right_reason() {
    let settings = TrainSettings { batch_size: 20, epochs: 3, ..TrainSettings::default() };
    let go_on = |_: &Event| Flow::Continue;
    let all = ending(settings.clone(), go_on);
    assert_eq!((all.stopped, all.epochs.len(), all.last_epoch), (StopReason::Epochs, 3, 3));

    let reached = ending(TrainSettings { target: Some(0.1), epochs: 30, ..settings.clone() }, go_on);
    assert_eq!(reached.stopped, StopReason::Target);
    assert!(reached.epochs.last().expect("one").valid_accuracy >= 0.1);

    let missed = ending(TrainSettings { target: Some(1.0), ..settings.clone() }, go_on);
    assert_eq!((missed.stopped, missed.epochs.len()), (StopReason::Limit, 3));

    let tired = TrainSettings { patience: Some(2), epochs: 200, optimizer: Optimizer::adam(0.02), ..settings.clone() };
    let tired = ending(tired, go_on);
    assert_eq!(tired.stopped, StopReason::Patience);
    let losses: Vec<f64> = tired.epochs.iter().map(|e| e.valid_loss).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.iter().position(|l| *l == best), Some(losses.len() - 3), "{losses:?}");

    // Each step multiplies every weight by about a million.
    let wild = Optimizer::Sgd { lr: 1e3, momentum: 0.0, nesterov: false, weight_decay: 1e3 };
    let diverged = ending(TrainSettings { optimizer: wild, epochs: 50, ..settings.clone() }, go_on);
    assert_eq!(diverged.stopped, StopReason::Diverged);

    let mut steps = 0;
    let cut = ending(settings, |event| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        if steps >= 13 { Flow::Stop } else { Flow::Continue }
    });
    assert_eq!((cut.stopped, cut.epochs.len(), cut.last_epoch, steps), (StopReason::Interrupted, 1, 2, 13));
}
