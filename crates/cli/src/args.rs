//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use tenfold_nn::Precision;
use tenfold_study::comparison::{ChosenBy, MARGIN};

/// Trains several small neural networks on images of digits, compares them, and shows what they learned.
///
/// MNIST is inside the program, and so is a study of six networks.
#[derive(Parser, Debug)]
#[command(name = "tenfold", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tenfold run                        train and compare the six built-in networks
  tenfold run --only mlp,cnn2        two of them
  tenfold run --seeds 10             each from ten seeds; what is finished is not run again
  tenfold run mine.toml --data DIR   networks of your own on images of your own
  tenfold models                     their layers, shapes, parameters and multiply-adds
  tenfold bench                      how fast they train on this machine

Exit codes: 0 done, 2 usage, 3 data, 4 input or output, 5 a training diverged,
130 and 143 when stopped by Ctrl-C or SIGTERM.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(RunArgs),
    Models(ModelsArgs),
    Bench(BenchArgs),
    Data(DataArgs),
}

/// Trains the recipes of a study and compares them.
///
/// Everything is written to a folder as soon as it is known. A training that is finished is never run again: the same
/// command goes on where it was stopped, and more seeds are added to those that are there.
#[derive(clap::Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// A built-in study (digits) or a .toml file.
    #[arg(default_value = "digits")]
    pub(crate) study: OsString,
    /// Train each recipe from the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=10_000))]
    pub(crate) seeds: u64,
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Train for N epochs at most, whatever the study says.
    #[arg(long, value_name = "N", value_parser = whole(10_000))]
    pub(crate) epochs: Option<usize>,
    /// Compute all recipes in this precision, whatever the study says; bf16 goes to runs/STUDY-bf16.
    #[arg(long, value_name = "f32|bf16", value_parser = precision)]
    pub(crate) precision: Option<Precision>,
    /// Compute on N threads; the results are the same for any number. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// Take the images from a folder with the four IDX files, named as MNIST's, gzipped or not.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write to this folder. [default: runs/STUDY]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Call two recipes equivalent when their test accuracies differ by less than this, in percentage points.
    #[arg(long, value_name = "POINTS", default_value_t = 100.0 * MARGIN, value_parser = points)]
    pub(crate) margin: f64,
    /// What the pick is chosen by. Choosing by test flatters the choice: it is counted, and said on every output.
    #[arg(long, value_enum, default_value_t = ChooseBy::Validation)]
    pub(crate) choose_by: ChooseBy,
    /// What to print on standard output: tables, or results.json at the end.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const RUN_EXAMPLES: &str = "\
Examples:
  tenfold run                              the study digits, into runs/digits
  tenfold run --only cnn2 --epochs 2 --out runs/quick   one network, quickly
  tenfold run --seeds 10                   ten seeds of each: seed 1 of all, seed 2 of all, and so on; stop it at any
                                           time, the same command goes on; after --seeds 3 it adds seven
  tenfold run --seeds 10 --margin 0.2      differences below 0.2 points count as none
  tenfold run --precision bf16             large products of bf16, into runs/digits-bf16
  tenfold run --format json | jq .comparison

A study file:
  name = \"mine\"

  [[recipe]]
  name = \"small\"
  layers = [\"conv 8 3x3 same\", \"relu\", \"maxpool 2\", \"linear 10\"]
  epochs = 5
  optimizer = { kind = \"adam\", lr = 1e-3 }

All its settings, with their defaults, are in the study.toml that each run writes.";

/// Shows the layers, shapes, parameters and multiply-adds of each recipe of a study.
#[derive(clap::Args, Debug)]
pub(crate) struct ModelsArgs {
    /// A built-in study (digits) or a .toml file.
    #[arg(default_value = "digits")]
    pub(crate) study: OsString,
    /// Take the shape of the images from this data set; without it, they are MNIST's.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Measures how fast each recipe of a study trains and evaluates on this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    /// A built-in study (digits) or a .toml file.
    #[arg(default_value = "digits")]
    pub(crate) study: OsString,
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// Compute all recipes in this precision, whatever the study says.
    #[arg(long, value_name = "f32|bf16", value_parser = precision)]
    pub(crate) precision: Option<Precision>,
    /// Train each recipe for about this long.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = duration)]
    pub(crate) seconds: f64,
    /// Time each block of layers too, forward and backward.
    #[arg(long)]
    pub(crate) layers: bool,
    /// Take the images from a folder with the four IDX files, named as MNIST's, gzipped or not.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A table, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  tenfold bench                            the six networks of the study digits
  tenfold bench --only cnn2 --layers       where the time of a step goes
  tenfold bench --precision bf16           with large products of bf16
  tenfold bench mine.toml --threads 1      networks of your own, on one core

GFLOP/s counts every multiply-add of the layers as two operations, forward and backward, whether or not tenfold finds a
way around it: the share of the peak, which is measured on the spot, can exceed 100 %.";

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        _ => Err("expected f32 or bf16".to_owned()),
    }
}

/// Percentage points.
fn points(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(points) if points > 0.0 && points <= 100.0 => Ok(points),
        _ => Err("expected percentage points as a number, more than 0 and at most 100".to_owned()),
    }
}

/// Seconds, more than none and at most an hour.
fn duration(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("expected seconds as a number, more than 0 and at most 3600".to_owned()),
    }
}

/// Lists the data sets that the program knows, and checks that they are whole.
#[derive(clap::Args, Debug)]
pub(crate) struct DataArgs {
    /// Check the data set in this folder too.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How many classes its labels tell apart.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "data", value_parser = RangedU64ValueParser::<usize>::new().range(2..=256))]
    pub(crate) classes: usize,
}

/// The images that the pick is chosen by.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChooseBy {
    /// The validation images, which are there for that.
    Validation,
    /// The test images.
    Test,
}

impl From<ChooseBy> for ChosenBy {
    fn from(by: ChooseBy) -> ChosenBy {
        match by {
            ChooseBy::Validation => ChosenBy::Validation,
            ChooseBy::Test => ChosenBy::Test,
        }
    }
}

/// What to print on standard output.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// The record of the study.
    Json,
}

/// A whole number from 1 to `max`.
fn whole(max: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=max)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
