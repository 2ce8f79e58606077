//! A CSV file of pixels, or of paths that lead to good pictures.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, good_picture, look, write};

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("csv");
    for name in ["a", "b", "c", "d"] {
        write(&folder, name, &good_picture(name.as_bytes()[0]));
    }
    write(&folder, "all.csv", bytes);
    look(&folder.join("all.csv"));
});
