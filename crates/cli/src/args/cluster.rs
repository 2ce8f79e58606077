//! The command line of those who train on several machines.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Format, whole};

/// Trains what was planned in a run folder and nobody else works on, until nothing is left.
///
/// Any number of these may run at once, on any machines that share the folder. Each takes a training, says so in a file
/// beside it that it renews while it works, and puts the training in its place when it is whole. One that is killed is
/// followed by another: who has seen its file unchanged for 45 seconds takes over. The last one writes
/// results.json, report.html and the pictures, as `tenfold run` does. The bits are those of `tenfold run` alone.
#[derive(clap::Args, Debug)]
#[command(after_help = WORK_EXAMPLES)]
pub(crate) struct WorkArgs {
    /// A folder that `tenfold run --plan-only` has written, or a run that was stopped.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Train N at most; leave when others work on all that is left. [default: stay until nothing is left]
    #[arg(long, value_name = "N", value_parser = whole(1_000_000))]
    pub(crate) at_most: Option<usize>,
    /// Train nothing: write results.json, report.html and pictures of what is done, and say what is missing.
    #[arg(long, conflicts_with = "at_most")]
    pub(crate) gather: bool,
    /// The folder or file with the images. [default: where the plan found them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Compute on at most N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
}

const WORK_EXAMPLES: &str = "\
Examples:
  tenfold run --seeds 30 --plan-only     writes runs/digits, and trains nothing
  tenfold work runs/digits --threads 1   here, and in another shell, and on another machine
  tenfold work runs/digits --at-most 5   five trainings, as a job of a cluster does
  tenfold work runs/digits --gather      report and verdict of what is done so far
  tenfold status runs/digits             who works on what

Over NFS: version 3 or later, with file locks. It is relied on that one of several who make a file with O_EXCL succeeds,
that a rename is one step, and that a file that is opened is read as it was last synced (so mount it without nocto).

Exit codes: 0 done; 2 usage, or another run is in the folder; 3 the images are not there or not those of the plan; 4 the
system refuses to read or write; 130, 143 stopped by Ctrl-C or SIGTERM.";

/// Tells how far a run folder is: what is done, who works on what, how long the rest will take.
///
/// Reads what is there, of a run, of workers or of what was only planned. Times are those recorded of the same recipe.
#[derive(clap::Args, Debug)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct StatusArgs {
    /// A folder that `tenfold run` has written.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Lines, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  tenfold status runs/digits
  watch tenfold status runs/digits
  tenfold status runs/digits --format json | jq .left_s

Exit codes: 0 done; 2 usage; 4 the record cannot be read.";

/// Makes jobs of a cluster of what is still to be trained in a run folder, and submits them.
///
/// Each job trains a few trainings that nobody else works on, --minutes of them by recorded or probed times.
/// A last job writes report and verdict. Submitting again submits what is missing by then, and nothing if that is none.
#[derive(clap::Args, Debug)]
#[command(after_help = SUBMIT_EXAMPLES)]
pub(crate) struct SubmitArgs {
    /// A folder that `tenfold run --plan-only` has written, or a run that was stopped.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// To what: slurm is submitted; for the others what does it is printed.
    #[arg(long, value_enum)]
    pub(crate) to: Engine,
    /// Print what would be submitted, and submit nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Processors of each job.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(1024))]
    pub(crate) cpus: usize,
    /// Run at most N jobs at once. [default: as many as there is room for]
    #[arg(long, value_name = "N", value_parser = whole(100_000))]
    pub(crate) at_once: Option<usize>,
    /// Make jobs of about so many minutes.
    #[arg(long, value_name = "MIN", default_value_t = 20.0, value_parser = minutes)]
    pub(crate) minutes: f64,
    /// A line for the jobs' head, such as --partition=long or --time=02:00:00. May be repeated; for slurm.
    #[arg(long = "option", value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) options: Vec<String>,
}

const SUBMIT_EXAMPLES: &str = "\
Examples:
  tenfold run --seeds 30 --plan-only
  tenfold submit runs/digits --to slurm --dry-run
  tenfold submit runs/digits --to slurm --at-once 20 --option=--partition=long
  tenfold submit runs/digits --to parallel > jobs.sh    for GNU parallel, on one machine or over ssh
  tenfold submit runs/digits --to hq > jobs.sh          for HyperQueue
  tenfold submit runs/digits --to kubernetes > job.yaml

Exit codes: 0 done, also when nothing is left; 2 usage; 3 the images are not there; 4 sbatch fails or a file cannot be
written.";

/// Minutes, more than none and at most a day.
fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1440.0 => Ok(minutes),
        _ => Err("expected minutes as a number, more than 0 and at most 1440".to_owned()),
    }
}

/// What runs jobs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// Slurm, by a job array.
    Slurm,
    /// HyperQueue.
    Hq,
    /// GNU parallel.
    Parallel,
    /// An indexed job of Kubernetes.
    Kubernetes,
}

/// Makes one run folder of several of the same study, made on machines that share nothing.
///
/// They must be of the same study, data, settings and training code; what differs is named. A training that two of them
/// have must be the same bits, and is taken once. Looks at the test images are added up. Nothing of the folders is changed.
#[derive(clap::Args, Debug)]
#[command(after_help = MERGE_EXAMPLES)]
pub(crate) struct MergeArgs {
    /// Folders that `tenfold run` has written.
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Write to this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The folder or file with the images. [default: where the run of the first folder found them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// What to print on standard output: tables, or results.json.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  tenfold merge from-laptop from-desktop --out runs/both
  tenfold run --only a --out one; tenfold run --only b --out two; tenfold merge one two --out both

Exit codes: 0 done; 2 usage, or the folders do not belong together; 3 the images given are not those of the runs; 4 a
file cannot be read or written, or was changed.";
