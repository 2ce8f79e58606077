//! The command line of those who doubt.

use std::path::PathBuf;

use super::{Format, whole};

/// Trains again what a run folder claims, and tells whether the bits agree.
///
/// First the files: that settings, checksums, metrics and tables agree with each other, and that each network says of the
/// images what was written down. Then each training is run again, in memory, and compared weight by weight and epoch by
/// epoch. Nothing is written, and no network is measured on the labels of the test images.
#[derive(clap::Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// A folder that `tenfold run` has written.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only these trainings: all seeds of a recipe, or one. [default: all]
    #[arg(value_name = "RECIPE[:SEED]")]
    pub(crate) trainings: Vec<String>,
    /// Train only N of them again, drawn at random; the files of all are checked.
    #[arg(long, value_name = "N", value_parser = whole(1_000_000), conflicts_with = "no_training")]
    pub(crate) sample: Option<usize>,
    /// What the draw depends on. [default: 1]
    #[arg(long, value_name = "N", requires = "sample")]
    pub(crate) sample_seed: Option<u64>,
    /// Check the files alone.
    #[arg(long)]
    pub(crate) no_training: bool,
    /// The folder or file with the images of the run. [default: where the run found them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Compute on at most N threads; the bits are the same for any number. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// A line for each training, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  tenfold verify runs/digits                  every file, and every training once more
  tenfold verify runs/digits softmax mlp:2    all seeds of softmax, and seed 2 of mlp
  tenfold verify runs/digits --sample 3       every file, and three trainings, drawn at random
  tenfold verify runs/digits --no-training    every file, in seconds

Exit codes: 0 all agrees; 1 something does not agree, or could not be trained again; 2 usage; 3 the images are not there
or not those of the run; 4 a file cannot be read; 130, 143 stopped by Ctrl-C or SIGTERM.";

/// Tells in what two trainings part, and why.
///
/// Settings first, then the first epoch with other losses, then the weights that differ and by how much. It tells another
/// seed from other data, other settings, another version of the program, and a file that was changed.
#[derive(clap::Args, Debug)]
#[command(after_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// A training, as DIR:RECIPE:SEED; or a folder that `tenfold run` has written, with all its trainings.
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// The other one; of two folders, trainings of the same recipe and seed are compared.
    #[arg(value_name = "B")]
    pub(crate) second: String,
    /// Train both again, to find the first step after which their parameters differ.
    #[arg(long)]
    pub(crate) steps: bool,
    /// The folder or file with the images of A. [default: where its run found them]
    #[arg(long, value_name = "PATH", requires = "steps")]
    pub(crate) data: Option<PathBuf>,
    /// The folder or file with the images of B. [default: that of A with --data, else where its run found them]
    #[arg(long, value_name = "PATH", requires = "steps")]
    pub(crate) other_data: Option<PathBuf>,
    /// Compute on at most N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024), requires = "steps")]
    pub(crate) threads: Option<usize>,
    /// Sentences, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  tenfold diff runs/a:mlp:1 runs/b:mlp:1           one training on two machines, or before and after a change
  tenfold diff runs/a:mlp:1 runs/a:mlp:2           two seeds
  tenfold diff runs/a runs/b                       all trainings that both folders have
  tenfold diff runs/a:mlp:1 runs/b:mlp:1 --steps   the first step in which they part

Exit codes: 0 the same bits; 1 they differ; 2 usage; 3 the images are not there or not those of the run; 4 a file cannot
be read; 130, 143 stopped by Ctrl-C or SIGTERM.";
