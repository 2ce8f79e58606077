//! Trains several small neural networks on images of digits, compares them, and shows what they learned.
#![forbid(unsafe_code)]

mod args;

mod bench;
mod compare;
mod conclude;
mod data;
mod diff;
mod evaluate;
mod export;
mod get;
mod look;
mod merge;
mod models;
mod predict;
mod report;
mod run;
mod sheet;
mod status;
mod submit;
mod verify;
mod work;

mod picture_file;
mod pictures;
mod show;
mod terminal;
mod upright;

mod environment;
mod failure;
mod given;
mod images;
mod jobs;
mod output;
mod probe;
mod progress;
mod remaining;
mod signals;
mod study_file;
mod understood;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command, DataCommand};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help goes to standard output, complaints to standard error; if nobody reads them, so be it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { failure::DONE });
        }
    };
    let result = match args.command {
        Command::Run(args) => run::run(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Report(args) => report::report(&args),
        Command::Look(args) => look::look(&args),
        Command::Evaluate(args) => evaluate::evaluate(&args),
        Command::Export(args) => export::export(&args),
        Command::Work(args) => work::work(&args),
        Command::Status(args) => status::status(&args),
        Command::Submit(args) => submit::submit(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Predict(args) => predict::predict(&args),
        Command::Models(args) => models::models(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Data(args) => match &args.command {
            Some(DataCommand::Get(args)) => get::get(args),
            None => data::data(&args),
        },
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
