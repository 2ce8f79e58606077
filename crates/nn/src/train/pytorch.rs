//! Whole networks against PyTorch.

use super::fixture::Fixture;
use super::testing::gradients;
use super::*;
use crate::aligned::Aligned;
use crate::batch::Batch;
use crate::evaluate::{Evaluator, logits};
use crate::optim::{Optimizer, Schedule};
use crate::plan::Scratch;
use crate::step::{Learn, Step, StepOf};
use crate::workers::{Team, Worker, on_threads};
use tenfold_kernels::arena::Arena;

const NETWORKS: [&str; 13] = [
    "softmax",
    "mlp",
    "cnn1-small",
    "cnn2-small",
    "odd",
    "overlap",
    "gelu",
    "global-avgpool",
    "batchnorm",
    "mobile",
    "residual",
    "whiten",
    "cnn2-full",
];

/// Instruction sets worth the time: the portable one needs minutes for the full-size network.
fn isas_for(name: &str) -> Vec<Isa> {
    Isa::available().iter().copied().filter(|isa| isa.name() != "portable" || name != "cnn2-full").collect()
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
                let learned =
                    |name: &str| model.architecture().params().iter().any(|p| p.name == name && p.is_learned());
                for (param, grad) in grads.into_iter().filter(|(name, _)| learned(name)) {
                    fixture.check(&format!("grad.{param}"), Some(&param), &grad, 1e-5);
                }
            }
        }
    }
}

/// By the running moments, where there are batch norms.
#[test]
fn evaluated_logits_are_pytorchs() {
    for (name, threads) in
        [("mobile", 2), ("batchnorm", 1), ("batchnorm", 2), ("residual", 1), ("residual", 2), ("whiten", 2)]
    {
        let fixture = Fixture::load(name);
        let (model, data) = (fixture.model(Pixels::default()), fixture.data());
        let batch = data.select(&(0..fixture.usize("batch") as u32).collect::<Vec<_>>());
        let logits = logits(&mut Evaluator::new(&model, batch.len(), threads), &model, &batch, threads);
        let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
        fixture.check("evaluated", None, &logits, 1e-5);
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
            let pixels = Pixels::default().table(net.input());
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
            // PyTorch's own f32 is within 2e-7 of its f64, with batch norms within 5e-6.
            let own = fixture.meta["pytorch_f32_error"][format!("opt.{key}.losses")].as_f64().expect("an error");
            fixture.check(&format!("opt.{key}.losses"), None, &losses, (3.0 * own).max(2e-6));
            for (array, spec) in net.params().iter().enumerate() {
                let values = crate::model::unpack(&net, &model.graph, array, params.as_slice());
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                // Adam moves a weight whose gradient is near rounding by up to lr in either direction; PyTorch's f32 is
                // off by as much as 9.6e-4 of the largest weight there, plain descent by 4.4e-7.
                let own = fixture.meta["pytorch_f32_error"][format!("opt.{key}.final")].as_object().expect("errors");
                let own = own.values().filter_map(serde_json::Value::as_f64).fold(0.0, f64::max);
                let least = if key.starts_with("adam") { 3e-4 } else { 2e-6 };
                let tolerance = (3.0 * own).max(least);
                fixture.check(&format!("opt.{key}.final.{}", spec.name), Some(&spec.name), &values, tolerance);
            }
        }
    }
}
