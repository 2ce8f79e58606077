//! First rows that count the columns: their header, or an image.

use super::{of, refusal, says};
use crate::testing::Folder;
use crate::{Column, Columns, Options, read};

/// Rows of 16 pixels and a label of two classes; pixel p of row n is `16 * n + p` but for a little, times `scale`.
fn rows(scale: usize) -> String {
    let pixels = |n: usize| (0..16).map(|p| (scale * ((16 * n + p) ^ 5)).to_string()).collect::<Vec<_>>().join(",");
    (0..6).map(|n| format!("{},{}\n", pixels(n), n % 2)).collect()
}

fn counted() -> String {
    (0..17).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

/// With the label in the last column.
fn told(header: Option<bool>) -> Options {
    let columns = Columns { header, label: Some(Column::Number(17)), ..Columns::default() };
    Options { columns, ..Options::default() }
}

#[test]
fn a_first_row_that_counts_is_a_header_where_it_can_be_no_image() {
    let folder = Folder::new("csv-counts");
    // Every pixel is darker than its column's number.
    let dark: String = (0..6).map(|n| format!("{}{}\n", "0,".repeat(16), n % 2)).collect();
    let path = folder.write("dark.csv", format!("{}\n{dark}", counted()).as_bytes());
    let collection = read(&path, &told(None)).unwrap();
    assert!(says(&collection, "with a header"), "{:?}", collection.notes);
    assert_eq!(collection.train.labels.len(), 6);
    // A name that no row below has.
    let path = folder.write("named.csv", format!("{}\n{}", counted().replace("16", "y"), rows(2)).as_bytes());
    assert_eq!(of(&path).train.labels.len(), 6);
    // As pandas writes a frame with labels and an index.
    let counted = (0..16).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let rows: String = (0..6).map(|n| format!("{n},{}{}\n", n % 2, ",200".repeat(16))).collect();
    let path = folder.write("index.csv", format!(",label,{counted}\n{rows}").as_bytes());
    let collection = read(&path, &Options::default()).unwrap();
    assert_eq!((collection.classes.len(), collection.train.labels.len()), (2, 6), "{:?}", collection.notes);
}

#[test]
fn a_first_row_that_may_be_an_image_is_asked_about() {
    let folder = Folder::new("csv-ambiguous");
    let path = folder.write("all.csv", format!("{}\n{}", counted(), rows(2)).as_bytes());
    let (message, hint) = refusal(&path, &Options::default());
    assert_eq!(message, "FILE: line 1 counts the columns: it may be their header, or an image");
    assert_eq!(hint, "say which: columns.header = true or columns.header = false");
    let header = read(&path, &told(Some(true))).unwrap();
    assert_eq!((header.classes.len(), header.train.labels.len()), (2, 6));
    // Then the number 16 in its last column is a label.
    let image = read(&path, &told(Some(false))).unwrap();
    assert_eq!((&image.classes[..], image.train.labels.len()), (&["0", "1", "16"].map(str::to_owned)[..], 7));
    // What does not count is no header, and needs no telling.
    let path = folder.write("plain.csv", rows(2).as_bytes());
    let plain = read(&path, &told(None)).unwrap();
    assert!(says(&plain, "without a header") && plain.train.labels.len() == 6, "{:?}", plain.notes);
}
