//! An npz file as a whole: the archive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, look, write};

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("npz");
    // Else it is another format's.
    write(&folder, "a.npz", &[b"PK\x03\x04", bytes].concat());
    look(&folder.join("a.npz"));
});
