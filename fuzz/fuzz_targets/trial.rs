//! The record of a trial, `result.json`, as a run looks for it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, write};
use tenfold_study::{RunFolder, fuzzing};

/// Of the trial in the corpus.
const IDENTITY: &str = "5a58852a92310a137554468b4747d01a7211526c80a134be6903fc643eb27d94";

static FOLDER: OnceLock<RunFolder> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let folder = FOLDER.get_or_init(|| {
        let folder = RunFolder::open(&folder("trial")).expect("an empty folder");
        for file in ["predictions.csv", "model.safetensors"] {
            write(folder.path(), &format!("trials/small/seed-1/{file}"), b"");
        }
        folder
    });
    write(folder.path(), "trials/small/seed-1/result.json", bytes);
    fuzzing::trial(folder, "small", 1, IDENTITY);
});
