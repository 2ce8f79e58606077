//! Optimizers and learning-rate schedules: settings, and what they mean for one step.

use serde::{Deserialize, Serialize};
use tenfold_kernels::Isa;
use tenfold_kernels::optimizer_step::{AdamStep, SgdStep, adam_step, sgd_step};

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
        #[serde(default = "default_adamw_decay")]
        weight_decay: f64,
    },
}

fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn default_eps() -> f64 {
    1e-8
}

fn default_adamw_decay() -> f64 {
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
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::AdamW { lr, .. } => lr,
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
            | Optimizer::Adam { weight_decay, .. }
            | Optimizer::AdamW { weight_decay, .. } => weight_decay,
        };
        number("weight_decay", decay, (0.0..=1e3).contains(&decay), "0 to 1000")?;
        match *self {
            Optimizer::Sgd { momentum, nesterov, .. } => {
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

    /// What step number `step` (from 0) does at learning rate `lr`.
    pub(crate) fn update(&self, step: u64, lr: f64) -> Update {
        match *self {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => Update::Sgd(SgdStep {
                lr: lr as f32,
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
            }),
            Optimizer::Adam { betas, eps, weight_decay, .. } => {
                Update::Adam(AdamStep { weight_decay: weight_decay as f32, ..adam(step, lr, betas, eps) })
            }
            Optimizer::AdamW { betas, eps, weight_decay, .. } => {
                Update::Adam(AdamStep { decay: (1.0 - lr * weight_decay) as f32, ..adam(step, lr, betas, eps) })
            }
        }
    }
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
}

impl Update {
    /// Updates `weight` and the optimizer's two state values per parameter.
    pub(crate) fn apply(&self, isa: Isa, grad: &[f32], weight: &mut [f32], moment1: &mut [f32], moment2: &mut [f32]) {
        match self {
            Update::Sgd(step) => sgd_step(isa, step, grad, weight, moment1),
            Update::Adam(step) => adam_step(isa, step, grad, weight, moment1, moment2),
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
    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// A sentence on the first that is not.
    pub fn check(&self) -> Result<(), String> {
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
            Schedule::Constant | Schedule::Step { .. } | Schedule::OneCycle { .. } => Ok(()),
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
        }
    }
}

/// `cos(pi x)` for `x` in 0..1 as a fixed sequence of IEEE operations: by symmetry the Taylor series of the sine of an
/// angle of at most pi/2, whose remainder after the 19th power is below 1e-15.
fn cos_pi(x: f64) -> f64 {
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
    fn settings_out_of_range_are_refused() {
        for lr in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Optimizer::adam(lr).check().is_err(), "lr {lr}");
        }
        let sgd = Optimizer::Sgd { lr: 0.1, momentum: 0.0, nesterov: true, weight_decay: 0.0 };
        assert_eq!(sgd.check(), Err("nesterov needs a momentum above 0".to_string()));
        assert!(Schedule::Step { every: 0, factor: 0.5 }.check().is_err());
        assert!(Schedule::OneCycle { pct_start: 1.0, div_factor: 25.0, final_div_factor: 1e4 }.check().is_err());
        assert!(Optimizer::adam(1e-3).check().is_ok() && Schedule::Constant.check().is_ok());
    }
}
