//! Whole and broken data sets.

use super::*;
use crate::testing::{Folder, file, gzip};

const IMAGES: &[u8] = &[10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33];

/// A folder with three training and two test images of 2 by 2.
fn whole(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.write(FILES[0], &file(8, &[3, 2, 2], IMAGES));
    folder.write(FILES[1], &file(8, &[3], &[0, 9, 4]));
    folder.write(FILES[2], &file(8, &[2, 2, 2], &IMAGES[4..]));
    folder.write(FILES[3], &file(8, &[2], &[1, 0]));
    folder
}

fn read(folder: &Folder) -> Result<Published, DataError> {
    Published::read_dir(&folder.0, Some(Labels::from_zero(10)))
}

/// The message on reading `folder`, with the folder written as `DIR`.
#[track_caller]
fn refusal(folder: &Folder, classes: usize) -> String {
    let error = Published::read_dir(&folder.0, Some(Labels::from_zero(classes))).unwrap_err();
    error.to_string().replace(&folder.0.display().to_string(), "DIR")
}

#[test]
fn a_folder_is_read() {
    let folder = whole("source-whole");
    let source = read(&folder).unwrap();
    assert_eq!(source.name, folder.0.file_name().unwrap().to_str().unwrap());
    assert_eq!((&source.train.labels[..], &source.train.pixels[..]), (&[0, 9, 4][..], IMAGES));
    assert_eq!((&source.test.labels[..], source.test.image(1)), (&[1, 0][..], &IMAGES[8..]));
    assert_eq!((source.train.shape, source.train.classes), (source.test.shape, 10));
    let files: Vec<_> = source.files.iter().map(|file| (file.file.as_str(), file.bytes, file.known)).collect();
    assert_eq!(files, [(FILES[0], 28, false), (FILES[1], 11, false), (FILES[2], 24, false), (FILES[3], 10, false)]);
    let lines: String = source.files.iter().map(|file| format!("{}\n", file.sha256)).collect();
    assert_eq!(source.sha256, hex(Sha256::new().chain_update(lines)));
}

#[test]
fn every_spelling_of_a_name_is_found() {
    let plain = whole("source-plain");
    let expected = read(&plain).unwrap();
    for (number, (dot, compressed)) in [(true, false), (false, true), (true, true)].into_iter().enumerate() {
        let folder = Folder::new(&format!("source-spelling-{number}"));
        for name in FILES {
            let bytes = fs::read(plain.0.join(name)).unwrap();
            let name = if dot { name.replace("-idx", ".idx") } else { name.to_owned() };
            if compressed {
                folder.write(&format!("{name}.gz"), &gzip(&bytes));
            } else {
                folder.write(&name, &bytes);
            }
        }
        let found = read(&folder).unwrap();
        assert_eq!(found.train, expected.train, "dot {dot}, compressed {compressed}");
        assert_eq!(found.sha256, expected.sha256, "dot {dot}, compressed {compressed}");
    }
}

#[test]
fn the_plain_name_wins() {
    let folder = whole("source-precedence");
    let names = [FILES[1], "train-labels.idx1-ubyte", "train-labels-idx1-ubyte.gz", "train-labels.idx1-ubyte.gz"];
    for (label, name) in names.iter().enumerate() {
        folder.write(name, &file(8, &[3], &[label as u8; 3]));
    }
    for (label, name) in names.iter().enumerate() {
        assert_eq!(read(&folder).unwrap().train.labels, [label as u16; 3]);
        fs::remove_file(folder.0.join(name)).unwrap();
    }
}

#[test]
fn integers_of_any_type_are_labels_and_channels_are_kept() {
    let folder = whole("source-types");
    folder.write(FILES[1], &file(0x0c, &[3], &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9]));
    assert_eq!(read(&folder).unwrap().train.labels, [7, 0, 9]);
    folder.write(FILES[1], &file(0x0b, &[3], &[0, 7, 0, 0, 0, 255]));
    assert_eq!(Published::read_dir(&folder.0, Some(Labels::from_zero(256))).unwrap().train.labels, [7, 0, 255]);
    folder.write(FILES[1], &file(9, &[3], &[7, 0, 9]));
    assert_eq!(read(&folder).unwrap().train.labels, [7, 0, 9]);

    folder.write(FILES[0], &file(8, &[3, 2, 1, 2], IMAGES));
    folder.write(FILES[2], &file(8, &[2, 2, 1, 2], &IMAGES[4..]));
    let source = read(&folder).unwrap();
    assert_eq!(source.train.shape, ImageShape { channels: 2, height: 1, width: 2 });
    assert!(source.notes.is_empty(), "{:?}", source.notes);
}

#[test]
fn channels_may_be_last_and_that_is_said() {
    let folder = whole("source-channels-last");
    // An image of 4 by 1 pixels in red, green and blue.
    let image: [u8; 12] = [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24];
    folder.write(FILES[0], &file(8, &[3, 4, 1, 3], &[image, [0; 12], [9; 12]].concat()));
    folder.write(FILES[2], &file(8, &[2, 4, 1, 3], &[image, image].concat()));
    let source = read(&folder).unwrap();
    assert_eq!(source.train.shape, ImageShape { channels: 3, height: 4, width: 1 });
    assert_eq!(source.train.image(0), [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24]);
    assert_eq!(source.test.image(1), source.train.image(0));
    assert_eq!(source.notes, ["images of 4x1x3 are taken as height, width and channels: channels last"]);
    for (dims, channels) in [([2, 2, 1], 1), ([5, 2, 4], 4), ([3, 2, 3], 3), ([5, 2, 2], 5), ([1, 3, 3], 1)] {
        let len = dims.iter().product::<usize>();
        let dims = dims.map(|dim| dim as u32);
        let idx = |n: u32| file(8, &[n, dims[0], dims[1], dims[2]], &vec![7; n as usize * len]);
        folder.write(FILES[0], &idx(3));
        folder.write(FILES[2], &idx(2));
        assert_eq!(read(&folder).unwrap().train.shape.channels, channels, "{dims:?}");
    }
}

#[test]
fn labels_from_one_on_are_another_data_set() {
    let folder = whole("source-first-label");
    folder.write(FILES[1], &file(8, &[3], &[1, 9, 4]));
    folder.write(FILES[3], &file(8, &[2], &[2, 1]));
    let from_zero = read(&folder).unwrap();
    assert_eq!((from_zero.first_label, &from_zero.train.labels[..]), (0, &[1, 9, 4][..]));
    let counted = Published::read_dir(&folder.0, None).unwrap();
    assert_eq!((counted.first_label, &counted.train.labels[..], counted.train.classes), (1, &[0, 8, 3][..], 9));
    assert_eq!(counted.test.labels, [1, 0]);
    assert_ne!(counted.sha256, from_zero.sha256);
    let set = Published::read_dir(&folder.0, Some(Labels { first: 1, classes: 9 })).unwrap();
    assert_eq!(set.sha256, counted.sha256);
}

#[test]
fn of_two_spellings_the_one_that_is_read_is_named() {
    let folder = whole("source-both");
    assert!(read(&folder).unwrap().notes.is_empty());
    folder.write(&format!("{}.gz", FILES[1]), b"old");
    let note = "train-labels-idx1-ubyte is read, train-labels-idx1-ubyte.gz beside it is not";
    assert_eq!(read(&folder).unwrap().notes, [note]);
}

#[test]
fn exchanged_names_are_recognised() {
    let folder = whole("source-swapped");
    folder.write(FILES[0], &file(8, &[3], &[0, 9, 4]));
    folder.write(FILES[1], &file(8, &[3, 2, 2], IMAGES));
    assert_eq!(
        refusal(&folder, 10),
        "DIR/train-images-idx3-ubyte holds labels, and DIR/train-labels-idx1-ubyte holds images (3x2x2): the two \
         files have each other's names"
    );
}

#[test]
fn missing_files_are_all_named() {
    let folder = whole("source-missing");
    fs::remove_file(folder.0.join(FILES[1])).unwrap();
    fs::remove_file(folder.0.join(FILES[2])).unwrap();
    assert_eq!(
        refusal(&folder, 10),
        "DIR: holds no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte; expected it there under that name or \
         with a dot before `idx` (train-images.idx3-ubyte), with or without .gz"
    );
    let file = folder.0.join(FILES[0]);
    assert_eq!(
        Published::read_dir(&file, None).unwrap_err().to_string(),
        format!("{}: is not a folder, expected the folder that holds the four IDX files", file.display())
    );
    let nowhere = folder.0.join("nowhere");
    let message = Published::read_dir(&nowhere, None).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot be read: ", nowhere.display())), "{message}");
}

#[test]
fn files_that_disagree_are_refused() {
    let folder = whole("source-disagree");
    folder.write(FILES[1], &file(8, &[2], &[0, 1]));
    assert_eq!(
        refusal(&folder, 10),
        "DIR/train-images-idx3-ubyte holds 3 images, DIR/train-labels-idx1-ubyte holds 2 labels, expected as many \
         labels as images"
    );
    let folder = whole("source-shapes");
    folder.write(FILES[2], &file(8, &[2, 4, 1], &IMAGES[4..]));
    assert_eq!(refusal(&folder, 10), "DIR: training images are 1x2x2, test images 1x4x1, expected the same shape");
}

#[test]
fn labels_out_of_range_are_refused() {
    let folder = whole("source-labels");
    let message = |position, found, classes: usize, range: &str| {
        format!(
            "DIR/train-labels-idx1-ubyte: label {position} (counted from 0) is {found}, expected 0 to {} \
             for {classes} classes; the labels are {range}",
            classes - 1
        )
    };
    assert_eq!(refusal(&folder, 9), message(1, 9, 9, "0 to 9"));
    folder.write(FILES[1], &file(0x0c, &[3], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]));
    assert_eq!(refusal(&folder, 10), message(2, 65536, 10, "0 to 65536"));
    folder.write(FILES[1], &file(9, &[3], &[0, 255, 0]));
    assert_eq!(refusal(&folder, 10), message(1, -1, 10, "-1 to 0"));
    for classes in [0, 1, 1_001] {
        let message = format!("a data set of {classes} classes was asked for, expected 2 to 1000");
        assert_eq!(refusal(&folder, classes), message);
    }
}

#[test]
fn contents_of_the_wrong_kind_are_refused() {
    let folder = whole("source-kinds");
    let images = "expected images: u8 with dimensions [N, H, W] or [N, C, H, W]";
    for (bytes, found) in [
        (file(8, &[12], IMAGES), "12 elements of type u8"),
        (file(8, &[3, 4], IMAGES), "3x4 elements of type u8"),
        (file(9, &[3, 2, 2], IMAGES), "3x2x2 elements of type i8"),
    ] {
        folder.write(FILES[0], &bytes);
        assert_eq!(refusal(&folder, 10), format!("DIR/train-images-idx3-ubyte: holds {found}, {images}"));
    }
    folder.write(FILES[0], &file(8, &[1, 1, 4097], &[0; 4097]));
    assert_eq!(
        refusal(&folder, 10),
        "DIR/train-images-idx3-ubyte: images are 1x1x4097, expected sides and channels of 1 to 4096"
    );

    let folder = whole("source-label-kinds");
    let labels = "expected labels: integers with one dimension [N]";
    for (bytes, found) in [
        (file(8, &[3, 2], &[1, 2, 3, 4, 5, 6]), "3x2 elements of type u8"),
        (file(0x0d, &[3], &[0; 12]), "3 elements of type f32"),
    ] {
        folder.write(FILES[1], &bytes);
        assert_eq!(refusal(&folder, 10), format!("DIR/train-labels-idx1-ubyte: holds {found}, {labels}"));
    }
    folder.write(FILES[1], b"");
    assert_eq!(refusal(&folder, 10), "DIR/train-labels-idx1-ubyte: is empty, expected an IDX header");
}

#[cfg(unix)]
#[test]
fn an_endless_file_is_refused() {
    let folder = whole("source-endless");
    fs::remove_file(folder.0.join(FILES[3])).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.0.join(FILES[3])).unwrap();
    let message = "DIR/t10k-labels-idx1-ubyte: is a pipe, socket or device, expected a regular file";
    assert_eq!(refusal(&folder, 10), message);
}
