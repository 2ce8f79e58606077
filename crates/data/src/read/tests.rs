//! What is told of all formats alike: settings without effect, and how far it is.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};

use super::*;
use crate::testing::{Folder, file};
use crate::{Background, Column, Columns, Fit, Level, Stage};

fn pictures(folder: &Path) -> PathBuf {
    let path = folder.join("pictures");
    for (class, n) in [("a", 1), ("a", 2), ("b", 3), ("b", 4)] {
        fs::create_dir_all(path.join(class)).unwrap();
        GrayImage::from_pixel(2, 2, Luma([n])).save(path.join(format!("{class}/{n}.png"))).unwrap();
    }
    path
}

/// Three images of 4 by 4 in a row each, with a label and a writer.
fn pixels(folder: &Folder) -> PathBuf {
    let names: String = (0..16).map(|p| format!(",pixel{p}")).collect();
    let row = |label: usize| format!("{label},w{label}{}\n", ",9".repeat(16));
    folder.write("pixels.csv", format!("label,writer{names}\n{}{}{}", row(0), row(1), row(0)).as_bytes())
}

fn idx(folder: &Path) -> PathBuf {
    let path = folder.join("idx");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("train-images-idx3-ubyte"), file(8, &[2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 255])).unwrap();
    fs::write(path.join("train-labels-idx1-ubyte"), file(8, &[2], &[1, 0])).unwrap();
    path
}

fn cifar(folder: &Path) -> PathBuf {
    let path = folder.join("cifar");
    fs::create_dir_all(&path).unwrap();
    let record = |label: u8| [vec![label], vec![200; 3072]].concat();
    fs::write(path.join("data_batch_1.bin"), [record(0), record(1)].concat()).unwrap();
    path
}

#[test]
fn settings_that_change_nothing_are_refused_with_what_to_do() {
    let folder = Folder::new("read-useless");
    let (pictures, pixels, idx, cifar) = (pictures(&folder.0), pixels(&folder), idx(&folder.0), cifar(&folder.0));
    let paths = folder.write("pictures/list.csv", b"path,label,writer\na/1.png,a,w1\na/2.png,a,w1\nb/3.png,b,w2\n");
    let group = || Options { group: Some("([^/]+)$".to_owned()), ..Options::default() };
    let coarse = || Options { labels: Level::Coarse, ..Options::default() };
    let turned = || Options { transpose: Some(true), ..Options::default() };
    let of = |columns: Columns| Options { columns, ..Options::default() };
    let label = || of(Columns { label: Some(Column::Number(1)), ..Columns::default() });
    let path = || of(Columns { path: Some(Column::Name("label".to_owned())), ..Columns::default() });
    let crop = || Options { fit: Fit::Crop, ..Options::default() };
    let black = || Options { background: Background::Black, ..Options::default() };
    let cases = [
        (&pictures, turned(), "transpose = true: it changes nothing: ", "; turn the files, or leave it out"),
        (&pictures, coarse(), "labels = \"coarse\": it changes nothing: ", "only CIFAR-100 has fine and coarse labels"),
        (&pictures, label(), "columns.label = 1: it changes nothing: ", "; name the CSV file, or leave it out"),
        (&pixels, group(), "group = \"([^/]+)$\": ", "say which column holds the groups: columns.group = \"name\""),
        (&pixels, path(), "columns.path = \"label\": ", "it holds pixels, not the paths of pictures"),
        (&pixels, coarse(), "labels = \"coarse\": ", "leave it out"),
        (&pixels, crop(), "fit = \"crop\": ", "images keep their size; say which they are to have, size = [height"),
        (&pixels, black(), "background = \"black\": ", "no image is transparent, and nothing is put around one"),
        (&paths, turned(), "transpose = true: ", "turn the files"),
        (&idx, group(), "group = ", "these images have none; leave it out, or save the images as pictures"),
        (&idx, coarse(), "labels = ", "leave it out"),
        (&idx, label(), "columns.label = ", "only CSV files have columns"),
        (&idx, crop(), "fit = \"crop\": ", "images keep their size"),
        (&cifar, group(), "group = ", "leave it out"),
        (&cifar, coarse(), "labels = \"coarse\": ", "only CIFAR-100"),
        (&cifar, label(), "columns.label = ", "leave it out"),
    ];
    for (path, options, start, words) in cases {
        assert!(read(path, &Options::default()).is_ok(), "{}", path.display());
        let error = read(path, &options).expect_err(words);
        assert!(matches!(error, DataError::Option { .. }), "{error}");
        let message = error.to_string();
        assert!(message.starts_with(start) && message.contains(words), "{start} ... {words}\n{message}");
    }
    let two = Options {
        columns: Columns { group: Some(Column::Name("writer".to_owned())), ..Columns::default() },
        ..group()
    };
    let message = read(&paths, &two).unwrap_err().to_string();
    assert!(
        message.contains("columns.group says which column names the groups; leave one of the two out"),
        "{message}"
    );
}

#[test]
fn settings_that_change_something_are_obeyed() {
    let folder = Folder::new("read-useful");
    let (pixels, idx) = (pixels(&folder), idx(&folder.0));
    let black = Options { background: Background::Black, size: Some([6, 8]), ..Options::default() };
    assert_eq!(read(&pixels, &black).unwrap().train.pixels[0], 0);
    let crop = Options { fit: Fit::Crop, size: Some([6, 8]), transpose: Some(true), ..Options::default() };
    assert_eq!(read(&idx, &crop).unwrap().shape.width, 8);
    // What was told goes before what the header says.
    pictures(&folder.0);
    let paths = folder.write("pictures/list.csv", b"path,label,writer\na/1.png,a,w1\na/2.png,a,w1\nb/3.png,b,w2\n");
    let told = read(&paths, &Options { group: Some("([0-9])".to_owned()), ..Options::default() }).unwrap();
    assert_eq!(told.groups, ["1", "2", "3"]);
    assert!(told.notes.iter().any(|note| note.ends_with("column writer, which may hold others, is passed over")));
    assert_eq!(read(&paths, &Options::default()).unwrap().groups, ["w1", "w2"]);
}

#[test]
fn columns_that_were_found_are_told() {
    let folder = Folder::new("read-columns");
    let collection = read(&pixels(&folder), &Options::default()).unwrap();
    let note = "1x4x4 in a row, the label in column label, the group in column writer";
    assert!(collection.notes.iter().any(|found| found.ends_with(note)), "{:?}", collection.notes);
}

#[test]
fn classes_of_one_number_are_told() {
    let folder = Folder::new("read-one-number");
    let rows: String = ["1", "1.0", "01", "2"].iter().map(|label| format!("{label}{}\n", ",7".repeat(16))).collect();
    let names: String = (0..16).map(|p| format!(",pixel{p}")).collect();
    let path = folder.write("x.csv", format!("label{names}\n{rows}").as_bytes());
    let collection = read(&path, &Options::default()).unwrap();
    assert_eq!(collection.classes.len(), 4);
    let note = "classes of one number written in several ways: \"01\" and \"1\" and \"1.0\"; if each is one class, write it in one way";
    assert!(collection.notes.iter().any(|found| found == note), "{:?}", collection.notes);
}

#[test]
fn it_is_told_how_far_reading_is() {
    let folder = Folder::new("read-progress");
    let mut told = Vec::new();
    let pictures = pictures(&folder.0);
    let read_so = read_with(&pictures, &Options::default(), &mut |progress| told.push(progress)).unwrap();
    assert_eq!(read_so, read(&pictures, &Options::default()).unwrap());
    assert!(told.iter().all(|progress| progress.of == 4 && (1..=4).contains(&progress.done)), "{told:?}");
    for pair in told.windows(2) {
        assert!(pair[0].stage != pair[1].stage || pair[0].done < pair[1].done, "{pair:?}");
    }
    told.clear();
    let pixels = pixels(&folder);
    read_with(&pixels, &Options::default(), &mut |progress| told.push(progress)).unwrap();
    let bytes = fs::metadata(&pixels).unwrap().len() as usize;
    let last = told.last().expect("something is told");
    assert_eq!((last.stage, last.done, last.of), (Stage::File, bytes, bytes));
}
