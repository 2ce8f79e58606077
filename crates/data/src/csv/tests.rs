//! CSV files as Kaggle, scikit-learn and people write them, whole and broken.

mod headers;
mod lists;

use std::path::Path;

use crate::testing::{Folder, gzip};
use crate::{Collection, Column, Columns, ImageShape, Options, read};

fn of(path: &Path) -> Collection {
    read(path, &Options::default()).unwrap()
}

fn says(collection: &Collection, words: &str) -> bool {
    collection.notes.iter().any(|note| note.contains(words))
}

#[track_caller]
fn refusal(path: &Path, options: &Options) -> (String, String) {
    let error = read(path, options).unwrap_err();
    (error.to_string().replace(&path.display().to_string(), "FILE"), error.hint().unwrap_or_default())
}

/// Rows of a label and 16 pixels; pixel p of row n is `10 * n + p`.
fn kaggle(labels: &[&str]) -> String {
    let header: Vec<String> = (0..16).map(|p| format!("pixel{p}")).collect();
    let mut text = format!("label,{}\n", header.join(","));
    for (n, label) in labels.iter().enumerate() {
        text.push_str(&format!("{label},{}\n", row(n)));
    }
    text
}

fn row(n: usize) -> String {
    (0..16).map(|p| (10 * n + p).to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn kaggles_digits_are_read_with_labels_and_without() {
    let folder = Folder::new("csv-kaggle");
    let train = folder.write("train.csv", kaggle(&["1", "0", "4", "240"]).replace("25,26", "25,255").as_bytes());
    let collection = of(&train);
    assert_eq!(collection.shape, ImageShape { channels: 1, height: 4, width: 4 });
    // Labels with gaps.
    assert_eq!(
        (&collection.classes[..], &collection.train.labels[..]),
        (&["0", "1", "4", "240"].map(str::to_owned)[..], &[1, 0, 2, 3][..])
    );
    assert_eq!((collection.train.pixels[..3].to_vec(), collection.train.pixels[38]), (vec![0, 1, 2], 255));
    assert!(
        says(
            &collection,
            "train.csv: pixels parted by commas, with a header, 1x4x4 in a row, the label in column label"
        ),
        "{:?}",
        collection.notes
    );

    let unlabelled: String =
        kaggle(&["0"; 3]).lines().map(|line| format!("{}\r\n", line.split_once(',').unwrap().1)).collect();
    let test = folder.write("test.csv", unlabelled.as_bytes());
    let alone = of(&test);
    assert!(alone.train.pixels.is_empty() && alone.classes.is_empty());
    assert_eq!(alone.unlabelled.as_ref().unwrap().pixels.len(), 48);
    assert!(says(&alone, "there are no labels: these images can be predicted, not trained on"), "{:?}", alone.notes);

    folder.write("sample_submission.csv", b"ImageId,Label\n1,0\n");
    let both = of(&folder.0);
    assert_eq!((both.train.labels.len(), both.unlabelled.unwrap().pixels.len()), (4, 48));
    assert!(both.test.is_none());
}

#[test]
fn the_label_is_found_wherever_it_is() {
    let folder = Folder::new("csv-label");
    let labels_of = |text: &str, options: &Options| {
        let path = folder.write("set.csv", text.as_bytes());
        read(&path, options).map(|found| {
            let names = found.train.labels.iter().map(|&label| found.classes[usize::from(label)].clone());
            (names.collect::<Vec<_>>(), found.train.pixels)
        })
    };
    let default = Options::default();
    // scikit-learn's digits: label last, no header, values to 16; the first pixel is always 0.
    let digits: String = (0..6)
        .map(|n| {
            format!(
                "0,{},{}\n",
                (1..16).map(|p| (5 * p + n) % 17).map(|v| v.to_string()).collect::<Vec<_>>().join(","),
                n % 3
            )
        })
        .collect();
    let (labels, pixels) = labels_of(&digits, &default).unwrap();
    assert_eq!(labels, ["0", "1", "2", "0", "1", "2"]);
    // 7 and 16 of 16.
    assert_eq!((pixels.len(), pixels[15], pixels[10]), (96, 112, 255));
    // MNIST without a header: label first, the last pixel is always 0.
    let first: String = (0..4)
        .map(|n| {
            format!("{},{},0\n", n % 2 + 5, (0..15).map(|p| (200 + p + n).to_string()).collect::<Vec<_>>().join(","))
        })
        .collect();
    assert_eq!(labels_of(&first, &default).unwrap().0, ["5", "6", "5", "6"]);
    // Both could be it, also where one has gaps.
    let varies = first.replace(",0\n", ",9\n").replacen(",9\n", ",200\n", 1);
    let path = folder.write("set.csv", varies.as_bytes());
    assert_eq!(refusal(&path, &default).0, "FILE: has no header, and the label may be column 1 or column 17");
    let path = folder.write("set.csv", first.replace(",0\n", ",1\n").replacen(",1\n", ",2\n", 1).as_bytes());
    let (message, hint) = refusal(&path, &default);
    assert_eq!(message, "FILE: has no header, and the label may be column 1 or column 17");
    assert_eq!(hint, "say which: columns.label = 1 or columns.label = 17");
    let told =
        Options { columns: Columns { label: Some(Column::Number(17)), ..Columns::default() }, ..Options::default() };
    assert_eq!(read(&path, &told).unwrap().classes, ["1", "2"]);
    // Words, and a header of numbers as pandas writes it, with a column that counts rows.
    let words: String = (0..2).map(|n| format!("{};{}\n", row(n + 3).replace(',', ";"), ["cat", "dög"][n])).collect();
    assert_eq!(labels_of(&words, &default).unwrap().0, ["cat", "dög"]);
    let numbered = format!(
        ",{},kind\n0,{},b\n1,{},a\n",
        (0..16).map(|p| p.to_string()).collect::<Vec<_>>().join(","),
        row(0),
        row(1)
    );
    assert_eq!(
        labels_of(&numbered, &default).unwrap(),
        (
            vec!["b".to_owned(), "a".to_owned()],
            (0..16).chain(10..26).map(|v: u32| ((v * 255 + 12) / 25) as u8).collect()
        )
    );
}

#[test]
fn parts_and_groups_may_be_columns() {
    let folder = Folder::new("csv-split");
    let text = kaggle(&["0", "1", "0", "1"]);
    let text: String = text
        .lines()
        .zip(["split,patient", "train,a", "train,b", "VAL,a", "test,c"])
        .map(|(line, more)| format!("{line},{more}\n"))
        .collect();
    let path = folder.write("set.csv", &gzip(format!("\u{feff}{text}").as_bytes()));
    let collection = of(&path);
    assert_eq!(collection.train.labels, [0, 1]);
    let (valid, test) = (collection.valid.unwrap(), collection.test.unwrap());
    assert_eq!((valid.labels, valid.groups, test.labels, test.groups), (vec![0], vec![0], vec![1], vec![2]));
    assert_eq!(
        (collection.groups, collection.train.groups),
        (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], vec![0, 1])
    );
    let path = folder.write("set.csv", text.replace("VAL", "later").as_bytes());
    assert_eq!(
        refusal(&path, &Options::default()).0,
        "FILE: line 4: column split is \"later\", expected train, valid or test"
    );
}

#[test]
fn a_quote_that_is_never_closed_is_bounded() {
    let folder = Folder::new("csv-quote");
    let text = format!("{}2,\"", kaggle(&["0", "1"]));
    // 80 MiB of numbers in 80 KiB.
    let path = folder.write("set.csv", &gzip(&[text.as_bytes(), &b"1,".repeat(40 << 20)].concat()));
    let (message, _) = refusal(&path, &Options::default());
    let words =
        "FILE: cannot be read after line 3: a row of more than 67108864 bytes; is there a quote that is never closed?";
    assert_eq!(message, words);
}

#[test]
fn broken_pixels_are_refused_with_their_line() {
    let folder = Folder::new("csv-broken");
    let whole = kaggle(&["0", "1"]);
    let cases = [
        (whole.replace(",25\n", "\n"), "line 3: holds 16 fields, expected 17"),
        (whole.replace(",12,", ",12x,"), "line 2: column pixel12 is \"12x\", expected a number"),
        (whole.replace(",12,", ",inf,"), "line 2: column pixel12 is \"inf\", expected a number"),
        (whole.replace(",12,", ",-12,"), "set.csv: number 12 of image 0 (counted from 0) is -12, expected 0 or more"),
        (whole.replace("\n1,", "\n,"), "line 3: column label is empty or not UTF-8"),
        (
            whole.replace(",pixel15", "").replace(",15\n", "\n").replace(",25\n", "\n"),
            "has 15 columns of pixels, which are no square image",
        ),
        (
            whole.replace("label", "what,ever").replace("\n0,", "\n0,0,").replace("\n1,", "\n1,1,"),
            "has no column with a usual name of labels; it may be one of what, ever",
        ),
        (kaggle(&["0", "0"]), "holds training images of one class, \"0\""),
        ("label,path\n".to_owned(), "names no file that is there, and holds no pixels; its first row is label, path"),
        ("\n\n".to_owned(), "is empty"),
        ("\0\0\0\0".to_owned(), "is of no kind that is known (it begins with bytes 00 00 00 00)"),
    ];
    for (text, words) in cases {
        let path = folder.write("set.csv", text.as_bytes());
        let (message, hint) = refusal(&path, &Options::default());
        assert!(message.starts_with(&format!("FILE: {words}")), "{words}: {message}");
        assert!(!hint.is_empty(), "{words}");
    }
    let path = folder.write("set.csv", b"\xff\xfea\0,\0");
    assert_eq!(refusal(&path, &Options::default()).0, "FILE: is UTF-16, expected UTF-8");
    let path = folder.write("set.csv", whole.as_bytes());
    let told = Options {
        columns: Columns { label: Some(Column::Name("digit".to_owned())), ..Columns::default() },
        ..Options::default()
    };
    assert!(
        refusal(&path, &told)
            .0
            .contains("columns.label = \"digit\": FILE has no such column, expected one of label, pixel0")
    );
    let colours = format!(
        "{},label\n{},a\n{},b\n",
        (0..48).map(|p| format!("pixel{p:04}")).collect::<Vec<_>>().join(","),
        [row(0), row(1), row(2)].join(","),
        [row(3), row(4), row(5)].join(",")
    );
    let path = folder.write("hmnist_4_4_RGB.csv", colours.as_bytes());
    assert_eq!(of(&path).shape, ImageShape { channels: 3, height: 4, width: 4 });
}

#[test]
fn names_of_pixels_say_their_order() {
    let folder = Folder::new("csv-pixel-names");
    let read_with = |names: &[String]| {
        let numbers = |add: usize| (0..names.len()).map(|n| (n + add).to_string()).collect::<Vec<_>>().join(",");
        let text = format!("label,{}\na,{}\nb,{}\n", names.join(","), numbers(0), numbers(208));
        let path = folder.write("set.csv", text.as_bytes());
        read(&path, &Options::default()).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    };
    let planes = |letters: [&str; 3]| -> Vec<String> {
        letters.iter().flat_map(|letter| (0..16).map(move |n| format!("{letter}{n}"))).collect()
    };
    let collection = read_with(&planes(["r", "g", "b"])).unwrap();
    assert_eq!(collection.shape, ImageShape { channels: 3, height: 4, width: 4 });
    assert_eq!(collection.train.pixels[..20], (0..20).collect::<Vec<u8>>()[..]);
    let beside: Vec<String> = (0..16).flat_map(|n| ["R_", "G_", "B_"].map(|letter| format!("{letter}{n}"))).collect();
    assert_eq!(read_with(&beside).unwrap().train.pixels[..3], [0, 3, 6]);
    let message = read_with(&planes(["b", "g", "r"])).unwrap_err();
    assert_eq!(message, "FILE: its columns of colours come in the order b, g, r, expected red, green, blue");

    let mut sorted: Vec<String> = (0..16).map(|n| format!("pixel{n}")).collect();
    assert!(read_with(&sorted).is_ok());
    sorted.sort();
    let message = read_with(&sorted).unwrap_err();
    assert_eq!(message, "FILE: column pixel15 comes before column pixel2: the numbers of the pixels do not ascend");
    for by_row in [true, false] {
        let of = |n: usize| if by_row { [n / 4, n % 4] } else { [n % 4, n / 4] };
        let grid: Vec<String> = (0..16).map(|n| format!("{}x{}", of(n)[0], of(n)[1])).collect();
        assert!(read_with(&grid).is_ok(), "{grid:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[0-9a,;\t \"\n.-]{0,200}") {
        let folder = Folder::new(&format!("csv-any-{:x}", text.bytes().fold(7_u64, |h, b| h.wrapping_mul(31) ^ u64::from(b))));
        let path = folder.write("set.csv", text.as_bytes());
        let _ = read(&path, &Options::default());
    }
}

#[test]
fn all_pixels_in_one_field_as_fer2013_has_them() {
    let folder = Folder::new("csv-one-field");
    let pixels = |n: usize| row(n).replace(',', " ");
    let line = |label: &str, n: usize, part: &str| format!("{label},{},{part}\n", pixels(n));
    let lines =
        [line("3", 0, "Training"), line("0", 1, "Training"), line("3", 24, "PublicTest"), line("0", 2, "PrivateTest")];
    let text = format!("emotion,pixels,Usage\n{}", lines.concat());
    let path = folder.write("fer2013.csv", text.as_bytes());
    let collection = of(&path);
    assert_eq!(collection.shape, ImageShape { channels: 1, height: 4, width: 4 });
    assert_eq!(collection.classes, ["0", "3"]);
    let (valid, test) = (collection.valid.as_ref().unwrap(), collection.test.as_ref().unwrap());
    assert_eq!((&collection.train.labels[..], &valid.labels[..], &test.labels[..]), (&[1, 0][..], &[1][..], &[0][..]));
    let from = |n: u8| (n..=n + 15).collect::<Vec<u8>>();
    assert_eq!((&collection.train.pixels, &valid.pixels), (&[from(0), from(10)].concat(), &from(240)));
    let note = "fer2013.csv: 1x4x4 pixels parted by blanks in column pixels, the label in column emotion, the part in column Usage";
    assert!(says(&collection, note), "{:?}", collection.notes);

    // As its challenge had it: a part in each file, blanks before the names, and test images without labels.
    let both = Folder::new("csv-one-field-folder");
    both.write("train.csv", format!("emotion, pixels\n1,{}\n2,{}\n", pixels(0), pixels(24)).as_bytes());
    both.write("test.csv", format!(" pixels\n{}\n", pixels(3)).as_bytes());
    let collection = of(&both.0);
    assert_eq!((&collection.train.labels[..], collection.unlabelled.unwrap().pixels), (&[0, 1][..], from(30)));

    for (broken, message) in [
        (text.replacen("20 21 22", "20 21 x", 1), "line 3: number 13 of column pixels is \"x\", expected a number"),
        (
            text.replacen("20 21 22", "20 22", 1),
            "line 3: column pixels holds 15 pixels, expected 16 as in the first row",
        ),
        (text.replace("PrivateTest", "Nobody"), "line 5: column Usage is \"Nobody\", expected train, valid or test"),
        (text.replacen(",Training", "", 1), "line 2: holds 2 fields, expected 3"),
        (text.replace("emotion", "mood").replace("Usage", "x"), "it may be one of column mood, column x"),
    ] {
        let path = folder.write("fer2013.csv", broken.as_bytes());
        let (found, _) = refusal(&path, &Options::default());
        assert!(found.contains(message), "{found}");
    }
}
