//! `tenfold data`: the data sets that the program knows; and where the other commands take theirs from.

use std::path::Path;

use tenfold_nn::data::{DataError, Source};
use tenfold_report::format::count;

use crate::args::DataArgs;
use crate::failure::{DONE, Failure};
use crate::output::{self, plain};

/// Prints the files of each data set, with what identifies them.
pub(crate) fn data(args: &DataArgs) -> Result<u8, Failure> {
    output::out(&describe(&Source::mnist(), "inside this program"))?;
    if let Some(folder) = &args.data {
        let source = Source::read_dir(folder, args.classes)?;
        output::out(&format!("\n{}", describe(&source, &plain(&folder.display().to_string()))))?;
    }
    Ok(DONE)
}

/// The images of `folder`, or without one those inside the program.
pub(crate) fn source(folder: Option<&Path>, classes: usize) -> Result<Source, DataError> {
    folder.map_or_else(|| Ok(Source::mnist()), |folder| Source::read_dir(folder, classes))
}

fn describe(source: &Source, place: &str) -> String {
    let (train, test) = (count(source.train.len() as u64), count(source.test.len() as u64));
    let (name, shape, classes) = (plain(&source.name), source.train.shape(), source.train.classes());
    let mut text = format!("{name}: {place}\n{train} training and {test} test images of {shape}, {classes} classes\n");
    let width = source.files.iter().map(|file| file.file.chars().count()).max().unwrap_or(0);
    for file in &source.files {
        let state = if file.known { "whole, as MNIST's" } else { "whole, not MNIST's" };
        let (name, bytes, sha256) = (plain(&file.file), count(file.bytes), &file.sha256);
        text.push_str(&format!("  {name:width$}  {bytes:>13} bytes  sha256 {sha256}  {state}\n"));
    }
    text.push_str("  bytes and sha256 are those of the contents, after decompression\n");
    text
}
