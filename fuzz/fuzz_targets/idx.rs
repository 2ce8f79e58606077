//! IDX files, plain or packed: of images where the first byte is even, of labels where it is odd; from the second byte on
//! the list of the names of classes where it is a multiple of 8.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, look, write};

fuzz_target!(|bytes: &[u8]| {
    let Some((&what, bytes)) = bytes.split_first() else { return };
    let folder = folder("idx");
    let images = [&[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2][..], &[9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1];
    let list = what.is_multiple_of(8);
    let (images, labels) = match what % 2 {
        0 if list => (&images[..], &labels[..]),
        0 => (bytes, &labels[..]),
        _ => (&images[..], bytes),
    };
    write(&folder, "train-images-idx3-ubyte", images);
    write(&folder, "train-labels-idx1-ubyte", labels);
    write(&folder, "classes.txt", if list { bytes } else { b"a\nb\n" });
    look(&folder);
});
