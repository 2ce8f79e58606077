//! Optimizers and learning-rate schedules: settings, and what they mean for one step.

use crate::model::Architecture;
use serde::{Deserialize, Serialize};
use tenfold_kernels::Isa;
use tenfold_kernels::optimizer_step::{AdamStep, SgdStep, adam_step, muon_direction, normal, sgd_step};

/// How a gradient becomes a step. Definitions and defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Learning rate, per step on the mean loss.
        lr: f64,
        /// Share of the last direction that is kept.
        #[serde(default)]
        momentum: f64,
        /// Look ahead along the new direction.
        #[serde(default)]
        nesterov: bool,
        /// Added to the gradient, times the parameter.
        #[serde(default)]
        weight_decay: f64,
    },
    /// The same with the decay taken off the parameter directly (Loshchilov and Hutter 2019).
    SgdW {
        /// Learning rate, per step on the mean loss.
        lr: f64,
        /// Share of the last direction that is kept.
        #[serde(default)]
        momentum: f64,
        /// Look ahead along the new direction.
        #[serde(default)]
        nesterov: bool,
        /// Taken off the parameter each step, times the learning rate.
        #[serde(default = "default_decoupled_decay")]
        weight_decay: f64,
    },
    /// Adam (Kingma and Ba 2015).
    Adam {
        /// Learning rate, per step on the mean loss.
        lr: f64,
        /// Shares of the mean gradient and mean squared gradient that are kept.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// Added to the root of the mean squared gradient.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Added to the gradient, times the parameter.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam with the decay taken off the parameter directly (Loshchilov and Hutter 2019).
    AdamW {
        /// Learning rate, per step on the mean loss.
        lr: f64,
        /// Shares of the mean gradient and mean squared gradient that are kept.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// Added to the root of the mean squared gradient.
        #[serde(default = "default_eps")]
        eps: f64,
        /// Taken off the parameter each step, times the learning rate.
        #[serde(default = "default_decoupled_decay")]
        weight_decay: f64,
    },
    /// Steps of whole matrices, made orthogonal, for the weights of linear layers and convolutions but the last layer's
    /// (Jordan et al. 2024; PyTorch's `Muon` with `adjust_lr_fn="original"`), and Adam for everything else.
    Muon {
        /// Learning rate of the matrices.
        lr: f64,
        /// Share of the mean gradient of a matrix that is kept.
        #[serde(default = "default_muon_momentum")]
        momentum: f64,
        /// Look ahead along the new direction.
        #[serde(default = "default_nesterov")]
        nesterov: bool,
        /// Taken off a matrix each step, times the learning rate.
        #[serde(default)]
        weight_decay: f64,
        /// Learning rate of Adam for everything else. A schedule changes both by the same factor.
        #[serde(default = "default_adam_lr")]
        adam_lr: f64,
    },
}

fn default_muon_momentum() -> f64 {
    0.95
}

fn default_nesterov() -> bool {
    true
}

fn default_adam_lr() -> f64 {
    1e-3
}

fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn default_eps() -> f64 {
    1e-8
}

fn default_decoupled_decay() -> f64 {
    1e-2
}

impl Optimizer {
    /// Adam with PyTorch's defaults and this learning rate.
    pub fn adam(lr: f64) -> Optimizer {
        Optimizer::Adam { lr, betas: default_betas(), eps: default_eps(), weight_decay: 0.0 }
    }

    /// The learning rate before any schedule.
    pub fn lr(&self) -> f64 {
        match *self {
            Optimizer::Sgd { lr, .. }
            | Optimizer::SgdW { lr, .. }
            | Optimizer::Adam { lr, .. }
            | Optimizer::AdamW { lr, .. }
            | Optimizer::Muon { lr, .. } => lr,
        }
    }

    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// A sentence on the first that is not.
    pub fn check(&self) -> Result<(), String> {
        let number = |what: &str, value: f64, ok: bool, range: &str| {
            if ok { Ok(()) } else { Err(format!("the optimizer's {what} is {value}, expected {range}")) }
        };
        let lr = self.lr();
        number("lr", lr, (1e-12..=1e3).contains(&lr), "1e-12 to 1000")?;
        let decay = match *self {
            Optimizer::Sgd { weight_decay, .. }
            | Optimizer::SgdW { weight_decay, .. }
            | Optimizer::Adam { weight_decay, .. }
            | Optimizer::AdamW { weight_decay, .. }
            | Optimizer::Muon { weight_decay, .. } => weight_decay,
        };
        number("weight_decay", decay, (0.0..=1e3).contains(&decay), "0 to 1000")?;
        let decoupled = matches!(self, Optimizer::SgdW { .. } | Optimizer::AdamW { .. } | Optimizer::Muon { .. });
        if decoupled && lr * decay >= 1.0 {
            return Err(format!(
                "the optimizer's lr times weight_decay is {}, expected less than 1: that share is taken off a weight in each step",
                lr * decay
            ));
        }
        if let Optimizer::Muon { adam_lr, .. } = *self {
            number("adam_lr", adam_lr, (1e-12..=1e3).contains(&adam_lr), "1e-12 to 1000")?;
        }
        match *self {
            Optimizer::Sgd { momentum, nesterov, .. }
            | Optimizer::SgdW { momentum, nesterov, .. }
            | Optimizer::Muon { momentum, nesterov, .. } => {
                number("momentum", momentum, (0.0..1.0).contains(&momentum), "at least 0 and less than 1")?;
                if nesterov && momentum == 0.0 {
                    return Err("nesterov needs a momentum above 0".to_string());
                }
            }
            Optimizer::Adam { betas, eps, .. } | Optimizer::AdamW { betas, eps, .. } => {
                for beta in betas {
                    number("betas", beta, (0.0..1.0).contains(&beta), "each at least 0 and less than 1")?;
                }
                number("eps", eps, eps.is_finite() && eps > 0.0 && eps <= 1.0, "more than 0 and at most 1")?;
            }
        }
        Ok(())
    }

    /// Whether it has something to do for a network.
    ///
    /// # Errors
    /// A sentence, if it is Muon and there is no matrix but that of the last layer.
    pub fn check_network(&self, network: &Architecture) -> Result<(), String> {
        let matrices = network.params().iter().filter(|array| array.shape.len() > 1).count();
        if matches!(self, Optimizer::Muon { .. }) && matrices < 2 {
            return Err("the optimizer muon has no matrix here: the weights of the last layer, as everything that is no matrix, \
                        take steps of Adam; choose adam, or another layer before the last"
                .to_owned());
        }
        Ok(())
    }

    /// What step number `step` (from 0) does at learning rate `lr`.
    pub(crate) fn update(&self, step: u64, lr: f64) -> Update {
        match *self {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                Update::Sgd(SgdStep { weight_decay: weight_decay as f32, ..sgd(lr, momentum, nesterov) })
            }
            Optimizer::SgdW { momentum, nesterov, weight_decay, .. } => {
                Update::Sgd(SgdStep { decay: (1.0 - lr * weight_decay) as f32, ..sgd(lr, momentum, nesterov) })
            }
            Optimizer::Adam { betas, eps, weight_decay, .. } => {
                Update::Adam(AdamStep { weight_decay: weight_decay as f32, ..adam(step, lr, betas, eps) })
            }
            Optimizer::AdamW { betas, eps, weight_decay, .. } => {
                Update::Adam(AdamStep { decay: (1.0 - lr * weight_decay) as f32, ..adam(step, lr, betas, eps) })
            }
            Optimizer::Muon { lr: full, momentum, nesterov, weight_decay, adam_lr } => Update::Muon(MuonStep {
                lr: lr as f32,
                momentum: momentum as f32,
                nesterov,
                decay: (1.0 - lr * weight_decay) as f32,
                others: adam(step, adam_lr * (lr / full), default_betas(), default_eps()),
            }),
        }
    }
}

fn sgd(lr: f64, momentum: f64, nesterov: bool) -> SgdStep {
    SgdStep { lr: lr as f32, momentum: momentum as f32, nesterov, weight_decay: 0.0, decay: 1.0 }
}

fn adam(step: u64, lr: f64, betas: [f64; 2], eps: f64) -> AdamStep {
    let correction = |beta: f64| 1.0 - power(beta, step + 1);
    AdamStep {
        step_size: (lr / correction(betas[0])) as f32,
        beta1: betas[0] as f32,
        beta2: betas[1] as f32,
        eps: eps as f32,
        root_correction: (1.0 / correction(betas[1]).sqrt()) as f32,
        weight_decay: 0.0,
        decay: 1.0,
    }
}

/// `base^n` by repeated squaring: the standard library does not promise the same bits everywhere.
fn power(mut base: f64, mut n: u64) -> f64 {
    let mut result = 1.0;
    while n > 0 {
        if n & 1 == 1 {
            result *= base;
        }
        base *= base;
        n >>= 1;
    }
    result
}

/// One step of an optimizer, ready to be applied to any slice of the parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Update {
    Sgd(SgdStep),
    Adam(AdamStep),
    Muon(MuonStep),
}

/// One step of Muon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MuonStep {
    lr: f32,
    momentum: f32,
    nesterov: bool,
    /// Factor on a weight before the step.
    decay: f32,
    /// Of what is no matrix.
    others: AdamStep,
}

impl MuonStep {
    /// Turns gradients of a matrix into the direction of its step, which is then to be made orthogonal.
    pub(crate) fn direction(&self, isa: Isa, grad: &mut [f32], mean: &mut [f32]) {
        muon_direction(isa, self.momentum, self.nesterov, grad, mean);
    }

    /// A weight of a matrix after a step along `orthogonal`.
    pub(crate) fn step(&self, weight: f32, orthogonal: f32) -> f32 {
        normal(orthogonal.mul_add(-self.lr, weight * self.decay))
    }
}

impl Update {
    /// Updates `weight` and the optimizer's two state values per parameter.
    pub(crate) fn apply(&self, isa: Isa, grad: &[f32], weight: &mut [f32], moment1: &mut [f32], moment2: &mut [f32]) {
        match self {
            Update::Sgd(step) => sgd_step(isa, step, grad, weight, moment1),
            Update::Adam(step) => adam_step(isa, step, grad, weight, moment1, moment2),
            // Matrices are not updated element by element.
            Update::Muon(step) => adam_step(isa, &step.others, grad, weight, moment1, moment2),
        }
    }
}

/// How the learning rate changes while training.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the optimizer's.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between changes.
        every: usize,
        /// Factor at each change.
        factor: f64,
    },
    /// Up from `lr / div_factor` to `lr` along a half cosine during the share `pct_start` of all steps, then down to
    /// `lr / div_factor / final_div_factor` (Smith and Topin 2018; PyTorch's `OneCycleLR` with `cycle_momentum=False`).
    OneCycle {
        /// Share of the steps spent going up.
        #[serde(default = "default_pct_start")]
        pct_start: f64,
        /// The peak over the first learning rate.
        #[serde(default = "default_div_factor")]
        div_factor: f64,
        /// The first learning rate over the last.
        #[serde(default = "default_final_div_factor")]
        final_div_factor: f64,
    },
    /// Down along a half cosine to `final_factor` times the optimizer's, after a warm-up (Loshchilov and Hutter 2017;
    /// PyTorch's `CosineAnnealingLR` over the steps behind those of a `LinearLR`).
    Cosine {
        /// Epochs in which the learning rate rises in equal steps from near 0 to the optimizer's.
        #[serde(default)]
        warmup: f64,
        /// The last learning rate, which a step after the last would have, over the optimizer's.
        #[serde(default)]
        final_factor: f64,
    },
    /// Down along a straight line to `final_factor` times the optimizer's, after a warm-up.
    Linear {
        /// Epochs in which the learning rate rises in equal steps from near 0 to the optimizer's.
        #[serde(default)]
        warmup: f64,
        /// The last learning rate, which a step after the last would have, over the optimizer's.
        #[serde(default)]
        final_factor: f64,
    },
}

fn default_pct_start() -> f64 {
    0.3
}

fn default_div_factor() -> f64 {
    25.0
}

fn default_final_div_factor() -> f64 {
    1e4
}

impl Schedule {
    /// Whether every setting is in its range, for a training of at most so many epochs.
    ///
    /// # Errors
    /// A sentence on the first that is not.
    pub fn check(&self, epochs: usize) -> Result<(), String> {
        let fails = |text: String| Err(format!("the schedule's {text}"));
        match *self {
            Schedule::Step { every: 0, .. } => fails("every is 0, expected at least 1 epoch".into()),
            Schedule::Step { factor, .. } if !(factor > 0.0 && factor <= 100.0) => {
                fails(format!("factor is {factor}, expected more than 0 and at most 100"))
            }
            Schedule::OneCycle { pct_start, .. } if !(pct_start > 0.0 && pct_start < 1.0) => {
                fails(format!("pct_start is {pct_start}, expected more than 0 and less than 1"))
            }
            Schedule::OneCycle { div_factor: d, final_div_factor: f, .. }
                if !((1.0..=1e12).contains(&d) && (1.0..=1e12).contains(&f)) =>
            {
                fails(format!("div_factor and final_div_factor are {d} and {f}, expected 1 to 1e12"))
            }
            Schedule::Cosine { warmup, .. } | Schedule::Linear { warmup, .. }
                if !(warmup >= 0.0 && warmup < epochs as f64) =>
            {
                fails(format!("warmup is {warmup}, expected 0 to less than the {epochs} epochs of the training"))
            }
            Schedule::Cosine { final_factor, .. } | Schedule::Linear { final_factor, .. }
                if !(0.0..=1.0).contains(&final_factor) =>
            {
                fails(format!("final_factor is {final_factor}, expected 0 to 1"))
            }
            Schedule::Cosine { warmup: 0.0, final_factor: 1.0 }
            | Schedule::Linear { warmup: 0.0, final_factor: 1.0 } => {
                fails("final_factor is 1 without a warmup, which changes nothing; leave the schedule out".to_owned())
            }
            Schedule::Constant
            | Schedule::Step { .. }
            | Schedule::OneCycle { .. }
            | Schedule::Cosine { .. }
            | Schedule::Linear { .. } => Ok(()),
        }
    }

    /// Learning rate of step `step` (from 0) of `epochs * steps_per_epoch`, with `lr` the optimizer's.
    pub(crate) fn lr(&self, lr: f64, step: u64, steps_per_epoch: u64, epochs: u64) -> f64 {
        match *self {
            Schedule::Constant => lr,
            Schedule::Step { every, factor } => lr * power(factor, step / steps_per_epoch / every as u64),
            Schedule::OneCycle { pct_start, div_factor, final_div_factor } => {
                let total = (epochs * steps_per_epoch) as f64;
                let (first, step) = (lr / div_factor, step as f64);
                let top = (pct_start * total - 1.0).max(0.0);
                let last = (total - 1.0).max(top + 1.0);
                let ease = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + cos_pi(share));
                if step <= top {
                    ease(first, lr, if top > 0.0 { step / top } else { 1.0 })
                } else {
                    ease(lr, first / final_div_factor, ((step - top) / (last - top)).min(1.0))
                }
            }
            Schedule::Cosine { warmup, final_factor } => {
                let down = |share| final_factor + (1.0 - final_factor) / 2.0 * (1.0 + cos_pi(share));
                lr * after_warmup(warmup, step, steps_per_epoch, epochs).map_or_else(|rising| rising, down)
            }
            Schedule::Linear { warmup, final_factor } => {
                let down = |share| 1.0 + (final_factor - 1.0) * share;
                lr * after_warmup(warmup, step, steps_per_epoch, epochs).map_or_else(|rising| rising, down)
            }
        }
    }
}

/// The share of the steps after a warm-up of so many epochs that are done before step `step`; during the warm-up, as an
/// error, the share of the learning rate that it has reached.
fn after_warmup(warmup: f64, step: u64, steps_per_epoch: u64, epochs: u64) -> Result<f64, f64> {
    let all = epochs * steps_per_epoch;
    // The last step is none of it, however the product is rounded.
    let warm = ((warmup * steps_per_epoch as f64).round() as u64).min(all - 1);
    if step < warm {
        return Err((step + 1) as f64 / warm as f64);
    }
    Ok(((step - warm) as f64 / (all - warm) as f64).min(1.0))
}

/// `cos(pi x)` for `x` in 0..1 as a fixed sequence of IEEE operations: by symmetry the Taylor series of the sine of an
/// angle of at most pi/2, whose remainder after the 19th power is below 1e-15.
pub(crate) fn cos_pi(x: f64) -> f64 {
    let angle = (0.5 - x) * std::f64::consts::PI;
    let square = angle * angle;
    let mut sum = 1.0;
    for k in (1..=10).rev() {
        let k = f64::from(k);
        sum = 1.0 - square / (2.0 * k * (2.0 * k + 1.0)) * sum;
    }
    angle * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_and_power_are_accurate() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            assert!((cos_pi(x) - (x * std::f64::consts::PI).cos()).abs() < 1e-14, "{x}");
        }
        assert!((power(0.999, 12_345) / 0.999_f64.powi(12_345) - 1.0).abs() < 1e-12);
        assert_eq!((power(0.5, 3), power(7.0, 0)), (0.125, 1.0));
    }

    #[test]
    fn a_warm_up_rises_in_equal_steps_and_what_follows_ends_a_step_before_its_last_rate() {
        let rates = |schedule: Schedule| (0..10).map(|step| schedule.lr(2.0, step, 5, 2)).collect::<Vec<f64>>();
        let close = |found: Vec<f64>, expected: [f64; 10]| {
            let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14);
            assert!(near, "{found:?}, expected {expected:?}");
        };
        // 0.8 epochs of 5 steps are 4.
        let half = Schedule::Linear { warmup: 0.8, final_factor: 0.4 };
        close(rates(half), [0.5, 1.0, 1.5, 2.0, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0]);
        close(rates(Schedule::Linear { warmup: 0.0, final_factor: 1.0 }), [2.0; 10]);
        let cosine = rates(Schedule::Cosine { warmup: 0.8, final_factor: 0.0 });
        let angle = |share: f64| 1.0 + (share * std::f64::consts::PI).cos();
        let down: Vec<f64> = (0..6).map(|n| angle(f64::from(n) / 6.0)).collect();
        close(cosine, [0.5, 1.0, 1.5, 2.0, down[0], down[1], down[2], down[3], down[4], down[5]]);
        // However long it is, the last step is none of the warm-up.
        assert!(Schedule::Linear { warmup: 1.999, final_factor: 0.0 }.lr(2.0, 9, 5, 2) == 2.0);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for lr in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Optimizer::adam(lr).check().is_err(), "lr {lr}");
        }
        let decayed = |lr, weight_decay| Optimizer::SgdW { lr, momentum: 0.9, nesterov: false, weight_decay }.check();
        assert!(decayed(0.1, 9.0).is_ok() && decayed(0.1, 10.0).is_err(), "a step takes less than the whole weight");
        let sgd = Optimizer::Sgd { lr: 0.1, momentum: 0.0, nesterov: true, weight_decay: 0.0 };
        assert_eq!(sgd.check(), Err("nesterov needs a momentum above 0".to_string()));
        assert!(Schedule::Step { every: 0, factor: 0.5 }.check(9).is_err());
        assert!(Schedule::OneCycle { pct_start: 1.0, div_factor: 25.0, final_div_factor: 1e4 }.check(9).is_err());
        let long = Schedule::Cosine { warmup: 3.0, final_factor: 0.0 };
        let message = "the schedule's warmup is 3, expected 0 to less than the 3 epochs of the training";
        assert_eq!((long.check(4), long.check(3)), (Ok(()), Err(message.to_string())));
        for (warmup, final_factor) in [(-1.0, 0.0), (f64::NAN, 0.0), (0.0, 1.1), (0.0, f64::NAN)] {
            assert!(Schedule::Linear { warmup, final_factor }.check(3).is_err(), "{warmup}, {final_factor}");
        }
        assert!(Optimizer::adam(1e-3).check().is_ok() && Schedule::Constant.check(1).is_ok());
    }
}
