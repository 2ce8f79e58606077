//! Lists of the paths of pictures.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma};

use super::{of, refusal, says};
use crate::testing::Folder;
use crate::{Column, Columns, Options, read};

/// A grey picture of 2 by 2, all of one level.
fn grey(path: &Path, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(2, 2, Luma([level])).save(path).unwrap();
}

#[test]
fn elpvs_list_of_blanks_without_a_header_is_read() {
    let folder = Folder::new("csv-elpv");
    let mut list = String::new();
    for (n, (label, kind)) in [("1.0", "mono"), ("0.0", "poly"), ("0.3333333333333333", "mono")].into_iter().enumerate()
    {
        grey(&folder.0.join(format!("images/cell{n:04}.png")), n as u8);
        list.push_str(&format!("images/cell{n:04}.png  {label}  {kind}\n"));
    }
    let path = folder.write("labels.csv", list.as_bytes());
    let collection = of(&path);
    assert_eq!(collection.classes, ["0.0", "0.3333333333333333", "1.0"]);
    assert_eq!((&collection.train.labels[..], collection.train.pixels[4]), (&[2, 0, 1][..], 1));
    assert!(
        says(&collection, "parted by blanks, without a header: paths in column 1, classes in column 2"),
        "{:?}",
        collection.notes
    );
    let kinds =
        Options { columns: Columns { label: Some(Column::Number(3)), ..Columns::default() }, ..Options::default() };
    assert_eq!(read(&path, &kinds).unwrap().classes, ["mono", "poly"]);
}

#[test]
fn a_list_says_class_part_and_group_and_where_the_pictures_are() {
    let folder = Folder::new("csv-paths");
    let mut list = "id;age;breed;split;patient\n".to_owned();
    for (n, (breed, split, patient)) in [
        ("\"pug; small\"", "train", "p1"),
        ("collie", "train", "p2"),
        ("collie", "test", "p1"),
        ("collie", "train", "p3"),
    ]
    .into_iter()
    .enumerate()
    {
        if n < 3 {
            grey(&folder.0.join(format!("train_images/0a{n}.png")), n as u8);
        }
        list.push_str(&format!("0a{n};7;{breed};{split};{patient}\n"));
    }
    let path = folder.write("train.csv", list.as_bytes());
    let (message, hint) = refusal(&path, &Options::default());
    assert_eq!(message, "FILE: has no column with a usual name of classes; it may be one of column age, column breed");
    assert_eq!(hint, "say which: columns.label = \"name\"");
    let told = Options {
        columns: Columns { label: Some(Column::Name("breed".to_owned())), ..Columns::default() },
        ..Options::default()
    };
    let collection = read(&path, &told).unwrap();
    assert_eq!(collection.classes, ["collie", "pug; small"]);
    let test = collection.test.as_ref().unwrap();
    assert_eq!((&collection.train.labels[..], &test.labels[..], &test.groups[..]), (&[1, 0][..], &[0][..], &[0][..]));
    assert_eq!(collection.groups, ["p1", "p2", "p3"]);
    assert_eq!(collection.train.paths, ["0a0", "0a1"]);
    assert_eq!(collection.unreadable.len(), 1, "{:?}", collection.unreadable);
    for words in
        ["groups in column patient; they are in train_images; their names lack .png", "1 of 4 files cannot be read"]
    {
        assert!(says(&collection, words), "{words}: {:?}", collection.notes);
    }
    fs::remove_dir_all(folder.0.join("train_images")).unwrap();
    let (message, _) = refusal(&path, &told);
    assert_eq!(
        message,
        "FILE: column id holds \"0a0\", and there is no such file beside it or in the folders beside it"
    );
}

#[test]
fn a_label_or_a_row_number_is_no_path() {
    let folder = Folder::new("csv-label-as-path");
    for n in 0..12 {
        grey(&folder.0.join(format!("images/{n}.png")), n);
    }
    let rows = |row: &dyn Fn(usize) -> String| (0..12).map(|n| row(n) + "\n").collect::<String>();
    let lists = [
        format!("label,id\n{}", rows(&|n| format!("{},{n}", n % 3))),
        format!("digit,id\n{}", rows(&|n| format!("{},{n}", n % 3))),
        format!(",filename,label\n{}", rows(&|n| format!("{},{n}.png,{}", 11 - n, n % 3))),
        format!("Unnamed: 0,photo,class\n{}", rows(&|n| format!("{},{n},{}", 11 - n, n % 3))),
        format!("number,photo,class\n{}", rows(&|n| format!("{},{n}.png,{}", 11 - n, n % 3))),
    ];
    for list in lists {
        let path = folder.write("list.csv", list.as_bytes());
        let collection = of(&path);
        assert_eq!(collection.classes, ["0", "1", "2"], "{list}");
        let levels: Vec<u8> = collection.train.pixels.iter().step_by(4).copied().collect();
        assert_eq!(levels, (0..12).collect::<Vec<u8>>(), "{list}");
    }

    let path = folder.write("list.csv", rows(&|n| format!("{},{n}", n % 3)).as_bytes());
    let (message, hint) = refusal(&path, &Options::default());
    assert_eq!(message, "FILE: names files in more than one column, if endings are added: column 1, column 2");
    assert_eq!(hint, "say which: columns.path = \"name\", or its number");
    let second = Columns { path: Some(Column::Number(2)), ..Columns::default() };
    let told = |columns| Options { columns, ..Options::default() };
    assert_eq!(read(&path, &told(second)).unwrap().classes, ["0", "1", "2"]);
    let path = folder.write("list.csv", format!("label,id\n{}", rows(&|n| format!("{},{n}", n % 3))).as_bytes());
    let same = Columns { path: Some(Column::Name("label".to_owned())), ..Columns::default() };
    assert_eq!(refusal(&path, &told(same)).0, "FILE: column label holds both the paths and the classes");
}

#[test]
fn a_first_picture_that_is_missing_is_no_header() {
    let folder = Folder::new("csv-first-missing");
    let mut list = String::new();
    for n in 0..6 {
        if n > 0 {
            grey(&folder.0.join(format!("{n}.png")), n);
        }
        list.push_str(&format!("{n}.png,{}\n", ["cat", "dog"][usize::from(n) % 2]));
    }
    let collection = of(&folder.write("list.csv", list.as_bytes()));
    assert_eq!(collection.train.labels, [1, 0, 1, 0, 1]);
    assert_eq!(collection.unreadable.len(), 1, "{:?}", collection.unreadable);
    assert!(says(&collection, "without a header"), "{:?}", collection.notes);
}

#[test]
fn many_columns_are_not_all_looked_for_as_files() {
    let folder = Folder::new("csv-wide");
    let mut list = String::new();
    for (n, class) in ["a", "b"].into_iter().enumerate() {
        grey(&folder.0.join(format!("{n}.png")), n as u8);
        list.push_str(&format!("{}{n}.png,{class}\n", "x,".repeat(64)));
    }
    let path = folder.write("list.csv", list.as_bytes());
    assert!(refusal(&path, &Options::default()).1.contains("columns.path"));
    let columns = Columns { path: Some(Column::Number(65)), label: Some(Column::Number(66)), ..Columns::default() };
    assert_eq!(read(&path, &Options { columns, ..Options::default() }).unwrap().classes, ["a", "b"]);
}
