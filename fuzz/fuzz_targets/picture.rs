//! One PNG, JPEG, BMP, PNM or GIF file among good ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, good_picture, look, write};

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("picture");
    for name in ["a/1", "a/2", "b/1", "b/2"] {
        write(&folder, name, &good_picture(name.as_bytes()[2]));
    }
    write(&folder, "b/3", bytes);
    look(&folder);
});
