//! The record of a study, `results.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, write};
use tenfold_study::FinishedStudy;

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("record");
    write(&folder, "results.json", bytes);
    match FinishedStudy::read(&folder) {
        Ok(study) => {
            write(&folder, "results.json", study.record.to_json().as_bytes());
            assert!(FinishedStudy::record(&folder).is_ok());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
