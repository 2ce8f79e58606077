//! IDX files by other names than MNIST's.

use crate::testing::{Folder, file, gzip};
use crate::{Collection, ImageShape, Options, Published, read};

fn of(folder: &Folder) -> Collection {
    read(&folder.0, &Options::default()).unwrap()
}

#[test]
fn mnist_is_what_it_always_was() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/mnist");
    let (found, mnist) = (read(folder.as_ref(), &Options::default()).unwrap(), Published::mnist());
    assert_eq!((found.shape, found.classes.len()), (mnist.train.shape, 10));
    let test = found.test.unwrap();
    assert!(found.train.pixels == mnist.train.pixels && test.pixels == mnist.test.pixels, "other pixels");
    assert!(found.train.labels == mnist.train.labels && test.labels == mnist.test.labels, "other labels");
}

#[test]
fn emnist_is_turned_and_called_by_its_letters() {
    let folder = Folder::new("idx-emnist");
    // Two images of 2 rows and 3 columns, on their side.
    let images = file(8, &[2, 2, 3], &[1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 255]);
    folder.write("emnist-letters-train-images-idx3-ubyte.gz", &gzip(&images));
    folder.write("emnist-letters-train-labels-idx1-ubyte.gz", &gzip(&file(8, &[2], &[26, 1])));
    folder.write("emnist-letters-test-images-idx3-ubyte.gz", &gzip(&images));
    folder.write("emnist-letters-test-labels-idx1-ubyte.gz", &gzip(&file(8, &[2], &[1, 1])));
    let numbers = of(&folder);
    assert_eq!((numbers.classes, &numbers.train.labels[..]), (vec!["1".to_owned(), "26".to_owned()], &[1, 0][..]));
    folder.write("emnist-letters-mapping.txt", b"1 65 97\n2 66 98\n26 90 122\n");
    let collection = of(&folder);
    assert_eq!(collection.classes, ["Aa", "Zz"]);
    assert_eq!(collection.shape, ImageShape { channels: 1, height: 3, width: 2 });
    assert_eq!(collection.train.pixels[..6], [1, 4, 2, 5, 3, 6]);
    assert_eq!((&collection.train.labels[..], &collection.test.unwrap().labels[..]), (&[1, 0][..], &[0, 0][..]));
    let as_it_is = read(&folder.0, &Options { transpose: Some(false), ..Options::default() }).unwrap();
    assert_eq!(as_it_is.train.pixels[..6], [1, 2, 3, 4, 5, 6]);

    folder.write("emnist-digits-train-images-idx3-ubyte.gz", &gzip(&images));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(message.ends_with("emnist-letters-train-images-idx3-ubyte.gz: several data sets"), "{message}");
}

#[test]
fn images_without_labels_are_told() {
    let folder = Folder::new("idx-alone");
    folder.write("train-images.idx3-ubyte", &file(8, &[1, 1, 1], &[1]));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "holds train-images.idx3-ubyte and no file of its labels, expected one of that name with `labels`"
        ),
        "{message}"
    );
    folder.write("train-labels.idx1-ubyte", &file(8, &[2], &[1, 2]));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(
        message.ends_with("train-labels.idx1-ubyte holds 2 labels, expected as many labels as images"),
        "{message}"
    );
}

#[test]
fn labels_that_are_no_classes_are_refused() {
    let folder = Folder::new("idx-many-labels");
    let n = 1001_u32;
    folder.write("train-images.idx3-ubyte", &file(8, &[n, 1, 1], &vec![9; n as usize]));
    let labels: Vec<u8> = (0..n).flat_map(u32::to_be_bytes).collect();
    folder.write("train-labels.idx1-ubyte", &file(0x0c, &[n], &labels));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    let expected = "train-labels.idx1-ubyte: holds more than 1000 different labels, expected one for each class";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn writers_of_qmnist_are_groups() {
    let folder = Folder::new("idx-qmnist");
    let labels = |rows: &[[u32; 8]]| {
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_be_bytes()).collect();
        gzip(&file(0x0c, &[rows.len() as u32, 8], &bytes))
    };
    // The first two rows of the published training labels, and the second of the test labels.
    let train = [[5, 4, 2154, 59, 35, 229_421, 0, 0], [0, 0, 0, 0, 30, 0, 0, 0]];
    folder.write("qmnist-train-images-idx3-ubyte.gz", &gzip(&file(8, &[2, 1, 2], &[1, 2, 255, 4])));
    folder.write("qmnist-train-labels-idx2-int.gz", &labels(&train));
    folder.write("qmnist-test-images-idx3-ubyte.gz", &gzip(&file(8, &[1, 1, 2], &[5, 6])));
    folder.write("qmnist-test-labels-idx2-int.gz", &labels(&[[5, 4, 2359, 55, 35, 253_328, 0, 0]]));
    let collection = of(&folder);
    assert_eq!(
        (&collection.classes[..], &collection.train.labels[..]),
        (&["0", "5"].map(str::to_owned)[..], &[1, 0][..])
    );
    assert_eq!(collection.groups, ["2154", "0", "2359"]);
    let test = collection.test.unwrap();
    assert_eq!((&collection.train.groups[..], &test.groups[..], &test.labels[..]), (&[0, 1][..], &[2][..], &[1][..]));
    let about = |note: &&String| note.contains("QMNIST");
    assert_eq!(collection.notes.iter().filter(about).count(), 1, "{:?}", collection.notes);

    // Of other numbers nothing is known.
    folder.write("qmnist-test-labels-idx2-int.gz", &gzip(&file(0x0c, &[1, 3], &[0; 12])));
    let message = read(&folder.0, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("holds 1x3 elements of type i32, expected labels"), "{message}");
}
