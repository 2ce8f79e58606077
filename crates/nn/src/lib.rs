//! What a network is and how it learns: data, architecture, parameters, training, evaluation, weights on disk.
//!
//! Nothing here prints, and nothing here can train on the test split: [`train::train`] takes two [`data::Dataset`]s,
//! and the test split is a [`data::HeldOut`], which can only be evaluated.
//!
//! ```no_run
//! use tenfold_nn::{data::Source, model::Architecture, train};
//!
//! let splits = Source::mnist().split(6_000, 0)?;
//! let layers = ["conv 32 5x5 same", "relu", "maxpool 2", "linear 10"].map(|l| l.parse().unwrap()).to_vec();
//! let architecture = Architecture::new(splits.train.shape(), layers, splits.train.classes())?;
//! let config = train::TrainSettings { epochs: 2, ..train::TrainSettings::default() }.with_seed(1);
//! let outcome = train::train(&architecture, &config, &splits.train, &splits.valid, 2, &mut |_| train::Flow::Continue);
//! let test = splits.test.evaluate(&outcome.model, 2);
//! println!("test accuracy {:.4}", test.accuracy);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
// A new layer, activation or setting must not slip through: whoever matches on one names them all.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod aligned;
pub mod augment;
mod autotune;
mod batch;
pub mod bench;
pub mod data;
pub mod evaluate;
mod graph;
pub mod interop;
mod layout;
pub mod look;
mod lower;
pub mod model;
mod nearest;
mod op_times;
mod ops;
pub mod optim;
mod plan;
mod precision;
mod reference;
mod step;
pub mod train;
pub mod views;
mod workers;

pub use nearest::nearest;
pub use precision::Precision;
pub use tenfold_data::rng;
pub use tenfold_kernels::Isa;
