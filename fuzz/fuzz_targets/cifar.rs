//! CIFAR's binary files: the list of names up to the first byte 0, then records; of CIFAR-10 where the first byte is even.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenfold_fuzz::{folder, look, write};

fuzz_target!(|bytes: &[u8]| {
    let Some((&what, bytes)) = bytes.split_first() else { return };
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (names, records) = bytes.split_at(end);
    // Labels of which a fuzzer need not make thousands of pixels; a part of one it may leave over.
    let hundred = what % 2 == 1;
    let pixels = vec![what; 3072];
    let mut all = Vec::new();
    for labels in records.chunks(if hundred { 2 } else { 1 }) {
        all.extend_from_slice(labels);
        all.extend_from_slice(if what > 250 { &pixels[1..] } else { &pixels });
    }
    let [list, train] = if hundred { ["fine_label_names.txt", "train.bin"] } else { ["batches.meta.txt", "data_batch_1.bin"] };
    let folder = folder(if hundred { "cifar-100" } else { "cifar-10" });
    write(&folder, list, names);
    write(&folder, train, &all);
    look(&folder);
});
