//! Lists of names as people write them.

use crate::testing::{Folder, file};
use crate::{Collection, Options, read};

/// One image for each label, all different, and for testing one of the last label.
fn folder(test: &str, labels: &[u8], list: (&str, &[u8])) -> (Folder, Collection) {
    let folder = Folder::new(test);
    let n = labels.len() as u32;
    let pixels: Vec<u8> = (0..4 * n).map(|n| n as u8).collect();
    folder.write("train-images-idx3-ubyte", &file(8, &[n, 2, 2], &pixels));
    folder.write("train-labels-idx1-ubyte", &file(8, &[n], labels));
    folder.write("t10k-images-idx3-ubyte", &file(8, &[1, 2, 2], &[9, 9, 9, 255]));
    folder.write("t10k-labels-idx1-ubyte", &file(8, &[1], &labels[labels.len() - 1..]));
    folder.write(list.0, list.1);
    let collection = read(&folder.0, &Options::default()).unwrap();
    (folder, collection)
}

fn says(collection: &Collection, note: &str) -> bool {
    collection.notes.iter().any(|found| found == note)
}

#[test]
fn line_n_names_label_n_and_classes_keep_the_order_of_labels() {
    let (_folder, found) =
        folder("names-plain", &[2, 0, 1], ("classes.txt", "Zebra\r\n  ant hill \r\nお\r\n\r\n".as_bytes()));
    assert_eq!(found.classes, ["Zebra", "ant hill", "お"]);
    assert_eq!((&found.train.labels[..], &found.test.as_ref().unwrap().labels[..]), (&[2, 0, 1][..], &[1][..]));
    assert!(says(&found, "classes are called as in classes.txt, whose first line names label 0"), "{:?}", found.notes);
    // More names than labels are no more classes.
    let (_folder, found) = folder("names-more", &[3, 1], ("labels.txt", b"a\nb\nc\nd\ne\n"));
    assert_eq!((&found.classes[..], &found.train.labels[..]), (&["b".to_owned(), "d".to_owned()][..], &[1, 0][..]));
}

#[test]
fn numbers_before_names_are_labels() {
    let (_folder, found) =
        folder("names-numbers", &[7, 10, 2], ("Labels.txt", b"\xef\xbb\xbf10 ten\n7\tseven up\n2 two\n1 one\n"));
    assert_eq!(found.classes, ["two", "seven up", "ten"]);
    assert_eq!(found.train.labels, [1, 2, 0]);
    assert!(says(&found, "classes are called as in Labels.txt, each name behind its label"), "{:?}", found.notes);
}

#[test]
fn as_many_names_as_labels_from_1_begin_with_1() {
    let (_folder, found) = folder("names-one", &[1, 2, 3], ("classes.txt", b"c\nb\na"));
    assert_eq!(
        (&found.classes[..], &found.train.labels[..]),
        (&["c", "b", "a"].map(str::to_owned)[..], &[0, 1, 2][..])
    );
    assert!(says(&found, "classes are called as in classes.txt, whose first line names label 1"), "{:?}", found.notes);
}

#[test]
fn a_list_of_no_use_is_passed_over_and_told() {
    let numbers = ["0", "1", "2"].map(str::to_owned);
    for (n, (list, note)) in [
        (&b"a\nb\n"[..], "classes.txt does not name label 2 and is passed over"),
        (b"", "classes.txt does not name label 0 and is passed over"),
        (b"a\n\nc\n", "classes.txt does not name label 1 and is passed over"),
        (b"0 a\n1 b\n3 c\n", "classes.txt does not name label 2 and is passed over"),
        (b"a\nb\na\n", "classes.txt has \"a\" twice and is passed over"),
        (b"a\n\xff\nc\n", "classes.txt is not UTF-8 and is passed over"),
        (&[b'a'; 300_000], "classes.txt has more than 262144 bytes and is passed over"),
    ]
    .into_iter()
    .enumerate()
    {
        let (_folder, found) = folder(&format!("names-bad-{n}"), &[0, 1, 2], ("classes.txt", list));
        assert_eq!(found.classes, numbers, "{note}");
        assert!(says(&found, note), "{note}: {:?}", found.notes);
    }
}
