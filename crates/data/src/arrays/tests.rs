//! npz and npy as numpy writes them, whole and broken.

use std::fs;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::testing::Folder;
use crate::{Channels, Collection, ImageShape, Naming, Options, read, read_for};

/// An npy file, its header as numpy writes it.
fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn u8s(shape: &str, data: &[u8]) -> Vec<u8> {
    npy("|u1", "False", shape, data)
}

fn npz(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read_npz(folder: &Folder, entries: &[(&str, Vec<u8>)], options: &Options) -> Collection {
    let path = folder.write("set.npz", &npz(entries, CompressionMethod::Deflated));
    read(&path, options).unwrap()
}

#[track_caller]
fn refusal(folder: &Folder, bytes: &[u8]) -> (String, String) {
    let path = folder.write("set.npz", bytes);
    let error = read(&path, &Options::default()).unwrap_err();
    (error.to_string().replace(&path.display().to_string(), "FILE"), error.hint().unwrap_or_default())
}

/// Four images of 2 by 2.
const IMAGES: &[u8] = &[0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 255];

#[test]
fn kerass_and_medmnists_names_are_understood() {
    let folder = Folder::new("npz-names");
    let keras = read_npz(
        &folder,
        &[
            ("x_test.npy", u8s("(1, 2, 2)", &[9; 4])),
            ("x_train.npy", u8s("(4, 2, 2)", IMAGES)),
            ("y_train.npy", npy("<i8", "False", "(4,)", &[7_i64, 10, 9, 10].map(i64::to_le_bytes).concat())),
            ("y_test.npy", npy("<i8", "False", "(1,)", &9_i64.to_le_bytes())),
            ("extra.npy", u8s("(1,)", &[0])),
        ],
        &Options::default(),
    );
    assert_eq!(keras.classes, ["7", "9", "10"]);
    assert_eq!((&keras.train.labels[..], &keras.train.pixels[..]), (&[0, 2, 1, 2][..], IMAGES));
    assert_eq!(keras.test.as_ref().unwrap().labels, [1]);
    assert!(keras.notes.contains(&"not understood and passed over: extra.npy".to_owned()), "{:?}", keras.notes);

    // MedMNIST: labels [N, 1], colours last.
    let colours: Vec<u8> = (0..24).map(|n| n * 10).collect();
    let medmnist = read_npz(
        &folder,
        &[
            ("train_images.npy", u8s("(2, 4, 1, 3)", &colours)),
            ("train_labels.npy", u8s("(2, 1)", &[1, 0])),
            ("val_images.npy", u8s("(1, 4, 1, 3)", &[200; 12])),
            ("val_labels.npy", u8s("(1, 1)", &[1])),
            ("test_images.npy", u8s("(1, 4, 1, 3)", &[100; 12])),
        ],
        &Options::default(),
    );
    assert_eq!(medmnist.shape, ImageShape { channels: 3, height: 4, width: 1 });
    assert_eq!(medmnist.train.pixels[..12], [0, 30, 60, 90, 10, 40, 70, 100, 20, 50, 80, 110]);
    assert_eq!((medmnist.train.labels, medmnist.valid.unwrap().labels), (vec![1, 0], vec![1]));
    assert!(medmnist.test.is_none());
    assert_eq!(medmnist.unlabelled.unwrap().pixels, [100; 12]);
}

#[test]
fn images_alone_will_do_for_whoever_needs_no_labels() {
    let folder = Folder::new("npz-alone");
    let images = || u8s("(4, 2, 2)", IMAGES);
    let packed = |name| npz(&[(name, images())], CompressionMethod::Deflated);
    for (name, bytes) in [("a.npz", packed("images.npy")), ("b.npz", packed("photos.npy")), ("c.npy", images())] {
        let path = folder.write(name, &bytes);
        assert!(read(&path, &Options::default()).is_err(), "{name}: nothing is learned of it");
        let found = read_for(&path, &Options::default(), Naming::Unused, &mut |_| {}).unwrap();
        assert_eq!(found.unlabelled.unwrap().pixels, IMAGES, "{name}");
    }
    let cut = folder.write("cut.npy", &images()[..130]);
    let error = read_for(&cut, &Options::default(), Naming::Unused, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cut.npy: "), "{error}");
}

#[test]
fn every_order_of_bytes_and_dimensions_gives_the_same_images() {
    let folder = Folder::new("npz-orders");
    let labels = || ("arr_1.npy", u8s("(4,)", &[0, 1, 0, 1]));
    let expected = read_npz(&folder, &[("arr_0.npy", u8s("(4, 2, 2)", IMAGES)), labels()], &Options::default());
    let fortran: Vec<u8> = (0..16).map(|n| IMAGES[n % 4 * 4 + n / 4 % 2 * 2 + n / 8]).collect();
    let big: Vec<u8> = IMAGES.iter().flat_map(|&pixel| [0, pixel]).collect();
    let little: Vec<u8> = IMAGES.iter().flat_map(|&pixel| i32::from(pixel).to_le_bytes()).collect();
    let floats: Vec<u8> = IMAGES.iter().flat_map(|&pixel| (f64::from(pixel) / 255.0).to_be_bytes()).collect();
    let mut second = u8s("(4, 2, 2)", IMAGES);
    second[6] = 2;
    let length = second[8];
    second.splice(8..10, [length, 0, 0, 0]);
    for (case, array) in [
        ("fortran", npy("|u1", "True", "(4, 2, 2)", &fortran)),
        ("big-endian", npy(">u2", "False", "(4, 2, 2)", &big)),
        ("little-endian", npy("<i4", "False", "(4, 2, 2)", &little)),
        ("floats from 0 to 1", npy(">f8", "False", "(4, 2, 2)", &floats)),
        ("flat", u8s("(4, 4)", IMAGES)),
        ("version 2", second),
    ] {
        let found = read_npz(&folder, &[("arr_0.npy", array.clone()), labels()], &Options::default());
        assert_eq!((&found.train, &found.sha256), (&expected.train, &expected.sha256), "{case}");
    }
    let stored = folder.write(
        "s.npz",
        &npz(&[("x.npy", u8s("(4, 2, 2)", IMAGES)), ("y.npy", u8s("(4,)", &[0, 1, 0, 1]))], CompressionMethod::Stored),
    );
    assert_eq!(read(&stored, &Options::default()).unwrap().train, expected.train);
}

#[test]
fn labels_may_be_names_or_one_column_for_each_class() {
    let folder = Folder::new("npz-labels");
    let of = |labels: Vec<u8>| {
        read_npz(&folder, &[("x.npy", u8s("(4, 2, 2)", IMAGES)), ("y.npy", labels)], &Options::default())
    };
    let text: Vec<u8> = ["é\0", "ab", "é\0", "ab"]
        .iter()
        .flat_map(|name| name.chars())
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    let names = of(npy("<U2", "False", "(4,)", &text));
    assert_eq!((names.classes, names.train.labels), (vec!["ab".to_owned(), "é".to_owned()], vec![1, 0, 1, 0]));
    let bytes = of(npy("|S2", "False", "(4,)", b"b\0aab\0aa"));
    assert_eq!((bytes.classes, bytes.train.labels), (vec!["aa".to_owned(), "b".to_owned()], vec![1, 0, 1, 0]));
    let one_hot = of(u8s("(4, 3)", &[0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]));
    assert_eq!((one_hot.classes, one_hot.train.labels), (vec!["0".to_owned(), "2".to_owned()], vec![1, 0, 1, 0]));
    let negative = of(npy("|i1", "False", "(4,)", &[255, 1, 255, 1]));
    assert_eq!(negative.classes, ["-1", "1"]);
}

#[test]
fn what_cannot_be_learned_from_is_refused_by_name() {
    let folder = Folder::new("npz-refused");
    let labels = || ("y_train.npy", u8s("(4,)", &[0, 1, 0, 1]));
    let images = || ("x_train.npy", u8s("(4, 2, 2)", IMAGES));
    let x = |array: Vec<u8>| vec![("x_train.npy", array), labels()];
    let cases = [
        (
            vec![images(), ("y_train.npy", u8s("(4, 2)", &[1, 1, 0, 0, 1, 0, 0, 0]))],
            "y_train.npy is 4x2: several labels for an image (multi-label)",
        ),
        (x(u8s("(1, 5, 5, 5)", &[0; 125])), "x_train.npy is 1x5x5x5: volumes (3D)"),
        (x(npy("|O", "False", "(4,)", b"\x80\x04")), "x_train.npy holds Python objects (dtype object, a pickle)"),
        (x(npy("<f2", "False", "(4, 1, 1)", &[0; 8])), "x_train.npy has elements of type \"<f2\""),
        (
            x(u8s("(4, 2, 2)", &IMAGES[..15])),
            "x_train.npy ends after 15 bytes of elements, its header promises 4x2x2 (16 bytes)",
        ),
        (x(u8s("(3, 2, 2)", IMAGES)), "x_train.npy goes on after the 3x2x2 elements"),
        (
            x(u8s("(99999999999, 99999999999, 99)", &[])),
            "x_train.npy promises 99999999999x99999999999x99 elements of 1 bytes",
        ),
        (x(u8s("(0, 2, 2)", &[])), "x_train.npy is empty: its shape is 0x2x2"),
        (x(u8s("(4, 3)", &[0; 12])), "x_train.npy holds 3 numbers for each image, which are no square"),
        (x(u8s("()", &[5])), "x_train.npy is a single value without dimensions, expected images"),
        (
            vec![images(), ("y_train.npy", u8s("()", &[5]))],
            "y_train.npy is a single value without dimensions, expected labels",
        ),
        (x(u8s("(2, 2, 2)", &[0; 8])), "y_train.npy holds 4 labels, x_train.npy 2 images"),
        (
            x(npy("<f4", "False", "(4, 1, 1)", &[0.5_f32, -1.0, 0.0, 1.0].map(f32::to_le_bytes).concat())),
            "x_train.npy: number 0 of image 1 (counted from 0) is -1, expected 0 or more",
        ),
        (x(b"\x93NUMPY\x09\x00".to_vec()), "x_train.npy is npy version 9.0"),
        (x(b"\x93NUMPY\x01\x00\x02\x00{}".to_vec()), "x_train.npy has a header that says no descr: \"{}\""),
        (x(b"\x93NUM".to_vec()), "x_train.npy ends within the magic bytes"),
        (vec![images()], "x_train.npy has no labels beside it"),
        (
            vec![("../x_train.npy", u8s("(4, 2, 2)", IMAGES)), labels()],
            "holds ../x_train.npy, y_train.npy, expected arrays such as x_train",
        ),
        (vec![("a.png", vec![1])], "is a zip archive with no npy file in it: a.png"),
        (
            vec![
                images(),
                ("y_train.npy", npy("<f4", "False", "(4,)", &[0.0_f32, 1.0, 0.5, 1.0].map(f32::to_le_bytes).concat())),
            ],
            "y_train.npy has no class at 2",
        ),
    ];
    for (entries, words) in cases {
        let (message, hint) = refusal(&folder, &npz(&entries, CompressionMethod::Deflated));
        assert!(message.starts_with(&format!("FILE: {words}")), "{words}: {message}");
        assert!(!hint.is_empty(), "{words}");
    }
    let whole = npz(&[images(), labels()], CompressionMethod::Deflated);
    assert!(refusal(&folder, &whole[..whole.len() / 2]).0.contains("is no whole zip archive"));
    for (bytes, words) in [
        (&b""[..], "is empty"),
        (b"\x80\x04\x95 a pickle", "is a Python pickle"),
        (b"PAR1....", "is a Parquet file"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file"),
        (b"\x93NUMPY\x01\x00..", "is one npy array"),
        (b"\xff\xd8\xff\xe0", "is one picture"),
    ] {
        assert!(refusal(&folder, bytes).0.starts_with(&format!("FILE: {words}")), "{words}");
    }
}

#[test]
fn a_bomb_is_bounded_by_what_its_header_promises() {
    let folder = Folder::new("npz-bomb");
    // A megabyte of zeros in a kilobyte, behind a header that promises 16 bytes.
    let bomb = u8s("(4, 2, 2)", &[0; 1 << 20]);
    let (message, _) =
        refusal(&folder, &npz(&[("x.npy", bomb), ("y.npy", u8s("(4,)", &[0, 1, 0, 1]))], CompressionMethod::Deflated));
    assert_eq!(message, "FILE: x.npy goes on after the 4x2x2 elements that its header promises");
}

#[test]
fn a_folder_of_npy_files_is_a_folder_of_classes() {
    let folder = Folder::new("npy-classes");
    folder.write("full_numpy_bitmap_The Eiffel Tower.npy", &u8s("(2, 784)", &[255; 2 * 784]));
    folder.write("cat.npy", &u8s("(1, 784)", &[0; 784]));
    let collection = read(&folder.0, &Options::default()).unwrap();
    assert_eq!(collection.classes, ["The Eiffel Tower", "cat"]);
    assert_eq!(collection.shape, ImageShape { channels: 1, height: 28, width: 28 });
    assert_eq!(collection.train.labels, [1, 0, 0]);
    folder.write("dog.npy", b"nothing");
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(message.ends_with("dog.npy: ends within the magic bytes; copy or write the file again"), "{message}");
}

#[test]
fn npy_files_that_are_no_classes_are_not_taken_for_them() {
    for names in [["X_train.npy", "X_test.npy"], ["images.npy", "labels.npy"], ["x.npy", "y.npy"]] {
        let folder = Folder::new(&format!("npy-set-{}", names[0]));
        names.iter().for_each(|name| drop(folder.write(name, &u8s("(1, 2, 2)", &[9; 4]))));
        let error = read(&folder.0, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("named as an array of several classes is"), "{error}");
        assert!(error.hint().unwrap().contains("numpy.savez"));
    }
    let letters = Folder::new("npy-letters");
    ["w.npy", "x.npy", "y.npy"].iter().for_each(|name| drop(letters.write(name, &u8s("(1, 2, 2)", &[9; 4]))));
    assert_eq!(read(&letters.0, &Options::default()).unwrap().classes, ["w", "x", "y"]);
    // Beside folders of classes, an array is passed over.
    let folders = Folder::new("npy-beside-folders");
    folders.write("mean.npy", &u8s("(2, 2)", &[9; 4]));
    for class in ["a", "b"] {
        fs::create_dir_all(folders.0.join(class)).unwrap();
        folders.write(&format!("{class}/1.pgm"), b"P5 2 2 255\n\x01\x02\x03\x04");
    }
    assert_eq!(read(&folders.0, &Options::default()).unwrap().classes, ["a", "b"]);
}

#[test]
fn arrays_take_the_size_and_channels_asked_for() {
    let folder = Folder::new("npz-size");
    let rgba: Vec<u8> = [255, 0, 0, 255, 0, 0, 0, 0].repeat(8);
    let entries = [("x.npy", u8s("(2, 8, 1, 4)", &rgba)), ("y.npy", u8s("(2,)", &[0, 1]))];
    let colours = read_npz(&folder, &entries, &Options::default());
    assert_eq!(colours.shape, ImageShape { channels: 3, height: 8, width: 1 });
    assert_eq!(colours.train.pixels[..8], [255; 8]);
    assert_eq!(colours.train.pixels[8..16], [0, 255, 0, 255, 0, 255, 0, 255]);
    let options =
        Options { size: Some([4, 4]), channels: Some(Channels::Grey), transpose: Some(true), ..Options::default() };
    let grey = read_npz(&folder, &entries, &options);
    assert_eq!(grey.shape, ImageShape { channels: 1, height: 4, width: 4 });
    // Eight columns in one row now, half as large, white above and below.
    assert_eq!((grey.train.pixels[0], grey.train.pixels[15]), (255, 255));
    let binary = read_npz(
        &folder,
        &[("x.npy", u8s("(2, 1, 2)", &[0, 1, 1, 0])), ("y.npy", u8s("(2,)", &[0, 1]))],
        &Options::default(),
    );
    assert_eq!(binary.train.pixels, [0, 255, 255, 0]);
    assert!(
        binary.notes.contains(&"numbers are 0 to 1: they become 0 to 255 (white = 1)".to_owned()),
        "{:?}",
        binary.notes
    );
}

#[test]
fn images_that_would_become_too_large_are_refused_before_they_do() {
    let folder = Folder::new("npz-enlarged");
    // 22 thousand images of one pixel; at 256x256 in three channels more than 4 GiB.
    let n = 22_000;
    let labels: Vec<u8> = (0..n).map(|n| (n % 2) as u8).collect();
    let entries = [("x.npy", u8s(&format!("({n}, 1, 1)"), &vec![200; n])), ("y.npy", u8s(&format!("({n},)"), &labels))];
    let path = folder.write("set.npz", &npz(&entries, CompressionMethod::Deflated));
    let options = Options { size: Some([256, 256]), channels: Some(Channels::Rgb), ..Options::default() };
    let error = read(&path, &options).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("22000 images of 3x256x256 are 4325376000 bytes, expected at most 4294967296"),
        "{message}"
    );
    assert!(error.hint().unwrap().contains("size = [height, width]"));
}

#[test]
fn parts_on_two_scales_are_refused_with_both() {
    let folder = Folder::new("npz-scales");
    let floats =
        |top: f32| npy("<f4", "False", "(4, 1, 1)", &[0.0, top / 2.0, 0.25, top].map(f32::to_le_bytes).concat());
    let labels = u8s("(4,)", &[0, 1, 0, 1]);
    let set = |train: Vec<u8>, test: Vec<u8>| {
        let entries = [
            ("x_train.npy", train),
            ("y_train.npy", labels.clone()),
            ("x_test.npy", test),
            ("y_test.npy", labels.clone()),
        ];
        npz(&entries, CompressionMethod::Stored)
    };
    let (message, hint) = refusal(&folder, &set(floats(1.0), u8s("(4, 1, 1)", &[0, 9, 100, 255])));
    let expected =
        "FILE: x_train.npy (training) holds numbers from 0 to 1, x_test.npy (test) from 0 to 255, expected one scale";
    assert_eq!(message, expected);
    assert!(hint.contains("one scale"), "{hint}");
    assert!(
        refusal(&folder, &set(floats(4096.0), floats(255.0)))
            .0
            .contains("x_test.npy (test) holds numbers from 0 to 255")
    );
    // Somewhat darker, of bytes much darker, or black is no other scale.
    for (train, test) in [
        (floats(1.0), floats(0.5)),
        (u8s("(4, 1, 1)", &[0, 9, 100, 255]), u8s("(4, 1, 1)", &[0, 9, 10, 11])),
        (floats(1.0), u8s("(4, 1, 1)", &[0; 4])),
    ] {
        let path = folder.write("set.npz", &set(train, test));
        assert!(read(&path, &Options::default()).is_ok());
    }
}

proptest::proptest! {
    #[test]
    fn no_damage_panics(at in 0_usize..1000, byte: u8) {
        let mut bytes = npz(&[("x.npy", u8s("(4, 2, 2)", IMAGES)), ("y.npy", u8s("(4,)", &[0, 1, 0, 1]))], CompressionMethod::Stored);
        let at = at % bytes.len();
        bytes[at] = byte;
        let folder = Folder::new(&format!("npz-damage-{at}-{byte}"));
        let path = folder.write("set.npz", &bytes);
        let _ = read(&path, &Options::default());
        let _ = fs::remove_file(&path);
    }
}
