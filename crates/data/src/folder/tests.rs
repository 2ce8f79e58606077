//! Folders as people have them.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::testing::Folder;
use crate::{Channels, Collection, DataError, Fit, ImageShape, Naming, Options, read, read_for};

/// A grey picture of 2 by 2, all of one level.
fn grey(path: &Path, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(2, 2, Luma([level])).save(path).unwrap();
}

fn of(folder: &Folder) -> Collection {
    read(&folder.0, &Options::default()).unwrap()
}

/// What is wrong and what to do, with the folder written as `DIR`.
#[track_caller]
fn refusal(folder: &Folder, options: &Options) -> (String, String) {
    let error: DataError = read(&folder.0, options).unwrap_err();
    (error.to_string().replace(&folder.0.display().to_string(), "DIR"), error.hint().unwrap_or_default())
}

fn says(collection: &Collection, words: &str) -> bool {
    collection.notes.iter().any(|note| note.contains(words))
}

#[test]
fn classes_are_folders_in_the_order_in_which_people_count() {
    let folder = Folder::new("folder-natural");
    for class in ["10", "9", "1", "11"] {
        for n in [10, 2] {
            grey(&folder.0.join(class).join(format!("{n}.png")), n + class.len() as u8);
        }
    }
    let collection = of(&folder);
    assert_eq!(collection.classes, ["1", "9", "10", "11"]);
    assert_eq!(collection.shape, ImageShape { channels: 1, height: 2, width: 2 });
    assert_eq!(collection.train.labels, [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(collection.train.paths[..2], ["1/2.png", "1/10.png"]);
    assert_eq!(collection.train.pixels[..8], [3, 3, 3, 3, 11, 11, 11, 11]);
    assert!(collection.valid.is_none() && collection.test.is_none() && collection.unlabelled.is_none());
    assert!(says(&collection, "8 training images of 1x2x2, 4 classes: 1, 9, 10, 11"), "{:?}", collection.notes);
}

#[test]
fn a_class_that_test_lacks_shifts_nothing() {
    let folder = Folder::new("folder-splits");
    for class in ["0", "90", "180", "270"] {
        grey(&folder.0.join("train").join(class).join("a.png"), 1);
        if class != "90" {
            grey(&folder.0.join("val").join(class).join("b.png"), 2);
            grey(&folder.0.join("Test").join(class).join("c.png"), 3);
        }
    }
    fs::create_dir(folder.0.join("test_notes")).unwrap();
    let collection = of(&folder);
    assert_eq!(collection.classes, ["0", "90", "180", "270"]);
    assert_eq!(collection.train.labels, [0, 1, 2, 3]);
    assert_eq!(collection.valid.as_ref().unwrap().labels, [0, 2, 3]);
    assert_eq!(collection.test.as_ref().unwrap().labels, [0, 2, 3]);
    assert!(says(&collection, "folders beside them are passed over: test_notes"), "{:?}", collection.notes);

    grey(&folder.0.join("Test/45/c.png"), 3);
    let (message, hint) = refusal(&folder, &Options::default());
    assert_eq!(
        message,
        "DIR: test: 1 test image is of class \"45\", of which there is no training image, expected one of 0, 90, 180, 270"
    );
    assert!(hint.starts_with("give the class training images"), "{hint}");
}

#[test]
fn a_class_may_be_called_train() {
    let folder = Folder::new("folder-trains");
    for class in ["bus", "train", "steam_train/sub"] {
        grey(&folder.0.join(class).join("a.png"), 1);
    }
    assert_eq!(of(&folder).classes, ["bus", "steam_train", "train"]);
}

#[test]
fn parts_are_found_by_a_word_in_their_names_and_in_folders_of_their_own() {
    for (train, test) in [
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/train", "test"),
        ("train/images", "test/images"),
    ] {
        let folder = Folder::new(&format!("folder-{}", train.replace('/', "-")));
        for class in ["cats", "dogs"] {
            grey(&folder.0.join(train).join(class).join("a.png"), 1);
            grey(&folder.0.join(train).join(class).join("b.png"), 2);
            grey(&folder.0.join(test).join(class).join("c.png"), 3);
        }
        grey(&folder.0.join("train_masks/cats/a.png"), 9);
        if train.starts_with("train/") {
            let collection = of(&folder);
            assert!(says(&collection, "are passed over: train_masks"), "{:?}", collection.notes);
        }
        fs::remove_dir_all(folder.0.join("train_masks")).unwrap();
        let collection = of(&folder);
        assert_eq!(collection.classes, ["cats", "dogs"], "{train}");
        assert_eq!(collection.train.labels, [0, 0, 1, 1], "{train}");
        assert_eq!(collection.test.unwrap().labels, [0, 1], "{train}");
    }
}

#[test]
fn parts_are_never_taken_for_classes() {
    let cases: [(&[&str], &str); 5] = [
        (&["train/cat.1.png", "test/1.png"], "DIR: test, train hold pictures, not folders of classes"),
        (&["training_set/cat.1.png", "test_set/1.png"], "DIR: test_set, training_set hold pictures, not folders"),
        (&["bus/1.png", "train/1.png", "test/1.png"], "DIR: test, train hold pictures, not folders of classes"),
        (&["train/train/cat.1.png", "test/test/1.png"], "DIR/train/train: holds pictures, not folders of classes"),
        (
            &["val/cats/1.png", "val/dogs/1.png", "test/cats/1.png", "test/dogs/1.png"],
            "DIR: holds test, val, of which none is for training",
        ),
    ];
    for (files, words) in cases {
        let folder = Folder::new("folder-no-parts");
        for file in files {
            grey(&folder.0.join(file), 1);
        }
        let (message, hint) = refusal(&folder, &Options::default());
        assert!(message.starts_with(words), "{message}");
        assert!(hint.contains("train"), "{hint}");
    }
}

#[test]
fn what_nobody_put_there_is_no_class() {
    let folder = Folder::new("folder-hidden");
    for class in ["a", "b", ".ipynb_checkpoints", "__MACOSX"] {
        grey(&folder.0.join(class).join("1.png"), 1);
    }
    fs::create_dir(folder.0.join("empty")).unwrap();
    folder.write(".DS_Store", b"x");
    folder.write("README.txt", b"x");
    fs::write(folder.0.join("a/.hidden.png"), b"x").unwrap();
    fs::write(folder.0.join("a/Thumbs.db"), b"x").unwrap();
    let collection = of(&folder);
    assert_eq!(collection.classes, ["a", "b"]);
    for words in [
        "5 hidden files and folders are passed over",
        "1 file beside the folders is passed over: README.txt",
        "the folder empty is empty: no class",
    ] {
        assert!(says(&collection, words), "{words}: {:?}", collection.notes);
    }
}

#[test]
fn a_wrapped_folder_is_found() {
    let folder = Folder::new("folder-wrapped");
    grey(&folder.0.join("flowers/flower_photos/daisy/sub/1.png"), 1);
    grey(&folder.0.join("flowers/flower_photos/rose/1.png"), 2);
    let collection = of(&folder);
    assert_eq!(collection.classes, ["daisy", "rose"]);
    assert!(says(&collection, "the only folder, flowers, is taken for the data set"), "{:?}", collection.notes);
    assert_eq!(collection.train.paths[0], "daisy/sub/1.png");
}

#[test]
fn phone_pictures_of_many_sizes_become_images_of_one() {
    let folder = Folder::new("folder-phone");
    for (class, red) in [("cat", 200), ("dog", 10)] {
        fs::create_dir(folder.0.join(class)).unwrap();
        for (n, (width, height)) in [(80, 60), (60, 80), (300, 200)].into_iter().enumerate() {
            let image = RgbImage::from_pixel(width, height, Rgb([red, 0, 0]));
            image.save(folder.0.join(class).join(format!("{n}.jpg"))).unwrap();
        }
    }
    fs::write(folder.0.join("dog/notes.txt"), b"my dog").unwrap();
    let collection = of(&folder);
    assert_eq!(collection.shape, ImageShape { channels: 3, height: 64, width: 64 });
    assert_eq!(collection.train.labels, [0, 0, 0, 1, 1, 1]);
    assert_eq!(collection.unreadable.len(), 1);
    assert!(collection.unreadable[0].reason.starts_with("is no picture"), "{:?}", collection.unreadable);
    for words in [
        "pictures: 6 JPG",
        "pictures are 60 to 200 rows by 60 to 300 columns: made 64x64 (fit = \"pad\": scaled to fit in, white around",
        "1 of 7 files cannot be read; the first is",
        "6 of 6 pictures have colours: three channels",
    ] {
        assert!(says(&collection, words), "{words}: {:?}", collection.notes);
    }
    // White above, red in the middle.
    let red = &collection.train.pixels[..64 * 64];
    assert_eq!(red[0], 255);
    assert!(red[32 * 64 + 32].abs_diff(200) < 4, "{}", red[32 * 64 + 32]);

    let options =
        Options { size: Some([8, 16]), channels: Some(Channels::Grey), fit: Fit::Stretch, ..Options::default() };
    let small = read(&folder.0, &options).unwrap();
    assert_eq!(small.shape, ImageShape { channels: 1, height: 8, width: 16 });
    assert!(small.train.pixels[..128].iter().all(|&pixel| pixel.abs_diff(60) < 4), "{:?}", &small.train.pixels[..128]);
    assert_ne!(small.sha256, collection.sha256);
}

#[test]
fn too_many_files_that_are_no_pictures_are_refused() {
    let folder = Folder::new("folder-unreadable");
    for n in 0..4 {
        grey(&folder.0.join(format!("{}/{n}.png", ["a", "b"][n % 2])), n as u8);
    }
    fs::write(folder.0.join("a/x.xml"), b"<x>").unwrap();
    assert_eq!(of(&folder).unreadable.len(), 1);
    fs::write(folder.0.join("b/x.xml"), b"<x>").unwrap();
    let (message, hint) = refusal(&folder, &Options::default());
    let start = "DIR: 2 of 6 files cannot be read as pictures, expected at most one in 4; the first is DIR/a/x.xml: it is no picture";
    assert!(message.starts_with(start), "{message}");
    assert!(hint.starts_with("leave only pictures"), "{hint}");
}

#[test]
fn a_folder_of_no_classes_is_refused_with_the_remedy() {
    let folder = Folder::new("folder-none");
    let (message, hint) = refusal(&folder, &Options::default());
    assert_eq!(message, "DIR: is empty, expected a folder for each class");
    assert!(hint.contains("into a folder of its own"), "{hint}");
    grey(&folder.0.join("1.png"), 1);
    assert_eq!(
        refusal(&folder, &Options::default()).0,
        "DIR: holds 1 file and no folder, expected a folder for each class"
    );
    grey(&folder.0.join("one/1.png"), 1);
    let one = refusal(&folder, &Options::default()).0;
    assert_eq!(one, "DIR: holds training images of one class, \"one\", expected 2 to 1000 classes");
    let size = Options { size: Some([0, 300]), ..Options::default() };
    assert_eq!(refusal(&folder, &size).0, "size = [0, 300]: expected sides of 1 to 256");
}

#[test]
fn groups_are_a_part_of_the_path() {
    let folder = Folder::new("folder-groups");
    for name in ["a/anna-1.png", "a/bob-1.png", "b/anna-2.png"] {
        grey(&folder.0.join(name), 1);
    }
    let with = |pattern: &str| Options { group: Some(pattern.to_owned()), ..Options::default() };
    let collection = read(&folder.0, &with("/([a-z]+)-")).unwrap();
    assert_eq!(
        (collection.groups, collection.train.groups),
        (vec!["anna".to_owned(), "bob".to_owned()], vec![0, 1, 0])
    );
    let (message, _) = refusal(&folder, &with("/(anna)-"));
    assert!(
        message.ends_with("a/bob-1.png does not match group = \"/(anna)-\", expected a group for each picture"),
        "{message}"
    );
    assert!(refusal(&folder, &with("anna")).0.contains("it has 0 captures, expected one"));
    // What is no picture needs no group.
    fs::write(folder.0.join("a/notes.txt"), "text").unwrap();
    let collection = read(&folder.0, &with("/([a-z]+)-")).unwrap();
    assert_eq!((collection.groups.len(), collection.unreadable.len()), (2, 1));
    assert!(refusal(&folder, &with("(")).0.starts_with("group = \"(\": "));
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_and_odd_names_end() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    let folder = Folder::new("folder-links");
    for class in ["a", "b"] {
        grey(&folder.0.join(class).join("1.png"), 1);
    }
    symlink(&folder.0, folder.0.join("a/up")).unwrap();
    symlink(folder.0.join("a"), folder.0.join("a/self")).unwrap();
    symlink(folder.0.join("a/1.png"), folder.0.join("b/2.png")).unwrap();
    let odd = OsStr::from_bytes(b"\xff.png");
    fs::copy(folder.0.join("a/1.png"), folder.0.join("b").join(odd)).unwrap();
    let collection = of(&folder);
    assert_eq!(collection.train.labels, [0, 1, 1, 1]);
    assert!(says(&collection, "2 links that lead back to their own folders are passed over"), "{:?}", collection.notes);
    let odd_class = folder.0.join(OsStr::from_bytes(b"\xfe"));
    fs::create_dir(&odd_class).unwrap();
    let (message, _) = refusal(&folder, &Options::default());
    assert!(message.ends_with("the name of this folder is not UTF-8"), "{message}");
}

#[cfg(unix)]
#[test]
fn links_that_meet_again_are_followed_once() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new("folder-meet");
    let levels = Folder::new("folder-meet-levels");
    for class in ["a", "b"] {
        grey(&folder.0.join(class).join("1.png"), 1);
    }
    // 8 to the power of 13 ways to the last one.
    for level in 0..14 {
        grey(&levels.0.join(format!("{level}/2.png")), 2);
        for way in 0..8 {
            if level < 13 {
                let next = levels.0.join((level + 1).to_string());
                symlink(next, levels.0.join(format!("{level}/way{way}"))).unwrap();
            }
        }
    }
    symlink(levels.0.join("0"), folder.0.join("a/more")).unwrap();
    let collection = of(&folder);
    assert_eq!(collection.train.labels.iter().filter(|&&label| label == 0).count(), 15);
    assert!(says(&collection, "91 folders that a class holds twice are passed over"), "{:?}", collection.notes);
}

#[test]
fn a_test_part_alone_will_do_for_whoever_learns_nothing() {
    let folder = Folder::new("folder-test-alone");
    for class in ["cat", "dog"] {
        grey(&folder.0.join("test").join(class).join("1.png"), 7);
    }
    let classes = ["cat", "dog", "test"].map(str::to_owned);
    let found = read_for(&folder.0, &Options::default(), Naming::Known(&classes[..2]), &mut |_| {}).unwrap();
    assert_eq!(found.test.unwrap().labels, [0, 1]);
    // To learn from, or where test is a class, it is one.
    assert!(refusal(&folder, &Options::default()).0.contains("one class, \"test\""));
    let found = read_for(&folder.0, &Options::default(), Naming::Known(&classes), &mut |_| {}).unwrap();
    assert!(says(&found, "2 labelled images of 1x2x2, 3 classes"), "nobody trains on them: {:?}", found.notes);
    assert_eq!((found.test.is_none(), found.train.labels), (true, vec![2, 2]));
}
