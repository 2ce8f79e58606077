//! Records in CIFAR's layout.

use crate::testing::{Folder, file};
use crate::{Collection, ImageShape, Level, Options, Stage, read, read_with};

/// A record whose planes are of these levels; its first pixel is another.
fn record(labels: &[u8], planes: [u8; 3]) -> Vec<u8> {
    let mut record = labels.to_vec();
    planes.iter().for_each(|&level| record.extend([level; 1024]));
    record[labels.len()] = 99;
    record
}

fn of(folder: &Folder, options: &Options) -> Collection {
    read(&folder.0, options).unwrap()
}

#[test]
fn cifar_10_is_read_with_its_names() {
    let folder = Folder::new("cifar-10");
    folder.write("data_batch_1.bin", &[record(&[9], [1, 2, 255]), record(&[0], [4, 5, 6])].concat());
    folder.write("data_batch_2.bin", &record(&[3], [7, 8, 9]));
    folder.write("test_batch.bin", &record(&[8], [10, 11, 12]));
    let names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    folder.write("batches.meta.txt", format!("{}\n\n", names.join("\n")).as_bytes());
    folder.write("readme.html", b"");
    let collection = of(&folder, &Options::default());
    assert_eq!(collection.classes, names);
    assert_eq!(collection.shape, ImageShape { channels: 3, height: 32, width: 32 });
    assert_eq!((&collection.train.labels[..], &collection.test.unwrap().labels[..]), (&[9, 0, 3][..], &[8][..]));
    let image = &collection.train.pixels[..3072];
    assert_eq!([0, 1, 1024, 2048].map(|n| image[n]), [99, 1, 2, 255]);

    folder.write("data_batch_2.bin", &record(&[10], [7, 8, 9]));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(
        message.ends_with("data_batch_2.bin: record 0 (counted from 0) has label 10, expected 0 to 9"),
        "{message}"
    );
    folder.write("data_batch_2.bin", &[0; 3072]);
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("data_batch_2.bin: is 3072 bytes, expected records of 3073 bytes"), "{message}");
}

#[test]
fn cifar_100_has_fine_and_coarse_labels() {
    let folder = Folder::new("cifar-100");
    folder.write("train.bin", &[record(&[4, 73], [1, 2, 200]), record(&[19, 0], [4, 5, 6])].concat());
    folder.write("test.bin", &record(&[4, 73], [1, 2, 3]));
    let fine = of(&folder, &Options::default());
    assert_eq!((fine.classes.len(), &fine.classes[73][..], &fine.train.labels[..]), (100, "73", &[73, 0][..]));
    folder.write("coarse_label_names.txt", (0..20).map(|n| format!("group{n}\n")).collect::<String>().as_bytes());
    let coarse = of(&folder, &Options { labels: Level::Coarse, ..Options::default() });
    assert_eq!(
        (coarse.classes.len(), &coarse.classes[19][..], &coarse.train.labels[..]),
        (20, "group19", &[4, 19][..])
    );
    assert_eq!(coarse.test.unwrap().labels, [4]);
}

#[test]
fn packed_records_are_no_pickles() {
    let folder = Folder::new("cifar-packed");
    folder.write("data_batch_1.bin.gz", b"\x1f\x8b");
    let error = read(&folder.0, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("holds data_batch_1.bin.gz, expected it unpacked"), "{error}");
    assert_eq!(error.hint().unwrap(), "unpack the files with gunzip");
}

#[test]
fn pickles_are_refused_with_the_remedy() {
    for files in [&["data_batch_1", "test_batch", "batches.meta"][..], &["train", "test", "meta"]] {
        let folder = Folder::new(&format!("cifar-pickle-{}", files[0]));
        files.iter().for_each(|name| drop(folder.write(name, b"\x80\x02}q\x01")));
        let error = read(&folder.0, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("holds the Python version of CIFAR: pickles"), "{error}");
        assert!(error.hint().unwrap().contains("cifar-10-binary.tar.gz"), "{:?}", error.hint());
    }
}

/// A socket is refused by the same look as a pipe, and no test hangs on it if the look is gone.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_opened() {
    let none = |_: &Folder| ();
    let record = |folder: &Folder| drop(folder.write("data_batch_1.bin", &record(&[9], [1, 2, 3])));
    let images = |folder: &Folder| {
        folder.write("train-images-idx3-ubyte", &file(8, &[2, 1, 1], &[1, 255]));
        folder.write("train-labels-idx1-ubyte", &file(8, &[2], &[0, 1]));
    };
    type Beside<'a> = &'a dyn Fn(&Folder);
    let cases: [(&str, Beside); 5] = [
        ("data_batch_1.bin", &none),
        ("batches.meta.txt", &record),
        ("mapping.txt", &images),
        ("cat.npy", &none),
        ("set.npz", &none),
    ];
    for (name, beside) in cases {
        let folder = Folder::new(&format!("socket-{name}"));
        beside(&folder);
        let path = folder.0.join(name);
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let path = if name == "set.npz" { &path } else { &folder.0 };
        let message = read(path, &Options::default()).unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("{name}: is a pipe, socket or device, expected a file or a folder")),
            "{message}"
        );
    }
}

#[test]
fn progress_is_told_of_idx_files_and_of_cifars() {
    let cifar = Folder::new("cifar-progress");
    cifar.write("data_batch_1.bin", &[record(&[9], [1, 2, 255]), record(&[0], [4, 5, 6])].concat());
    let idx = Folder::new("idx-progress");
    idx.write("train-images-idx3-ubyte", &file(8, &[2, 4, 4], &[7; 32]));
    idx.write("train-labels-idx1-ubyte", &file(8, &[2], &[0, 1]));
    for (folder, whole) in [(cifar, &[2 * 3073][..]), (idx, &[16 + 32, 8 + 2])] {
        let mut told = Vec::new();
        read_with(&folder.0, &Options::default(), &mut |progress| told.push(progress)).unwrap();
        assert!(told.iter().all(|progress| progress.stage == Stage::File && progress.done <= progress.of));
        for &bytes in whole {
            assert!(told.iter().any(|progress| [progress.done, progress.of] == [bytes; 2]), "{bytes}: {told:?}");
        }
    }
}
