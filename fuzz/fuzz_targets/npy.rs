//! An npy file: as the images of one class, as the images of an npz file, and as its labels.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, look, npy, write};
use zip::write::SimpleFileOptions;

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("npy");
    write(&folder, "classes/a.npy", bytes);
    write(&folder, "classes/b.npy", &npy("|u1", "(2, 4)", &[1, 2, 3, 4, 5, 6, 7, 8]));
    look(&folder.join("classes"));
    let images = npy("|u1", "(2, 2, 2)", &[0, 50, 100, 255, 1, 2, 3, 4]);
    let labels = npy("|u1", "(2,)", &[0, 1]);
    for (name, images, labels) in [("images.npz", bytes, &labels[..]), ("labels.npz", &images, bytes)] {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (entry, contents) in [("x_train.npy", images), ("y_train.npy", labels)] {
            archive.start_file(entry, stored).expect("an entry");
            archive.write_all(contents).expect("its contents");
        }
        write(&folder, name, &archive.finish().expect("an archive").into_inner());
        look(&folder.join(name));
    }
});
