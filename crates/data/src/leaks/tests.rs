//! Splits that we make, and splits that others made.

use std::collections::HashSet;
use std::fs;

use image::{GrayImage, Luma};

use super::*;
use crate::testing::Folder;
use crate::{Options, read};

/// Pictures of 8 by 8, each another; number `n` of class `class`, `salt` for another set of them.
fn picture(class: usize, n: usize, salt: u64) -> GrayImage {
    let rng = Rng::new((1000 * class + n) as u64, Stream::Split, salt);
    GrayImage::from_fn(8, 8, |x, y| Luma([(rng.u64_at(u64::from(8 * y + x)) >> 56) as u8]))
}

fn collection(test: &str, with_test: bool, group: Option<&str>) -> (Folder, Collection) {
    let folder = Folder::new(test);
    let parts: &[(&str, u64)] = if with_test { &[("train/", 1), ("test/", 2)] } else { &[("", 1)] };
    for (part, salt) in parts {
        for (class, count) in [30, 20].into_iter().enumerate() {
            let inner = folder.0.join(format!("{part}{}", ["cat", "dog"][class]));
            fs::create_dir_all(&inner).unwrap();
            for n in 0..count {
                // Each picture twice in training, under other names; the groups are of six.
                picture(class, n / if *salt == 1 { 2 } else { 1 }, *salt)
                    .save(inner.join(format!("g{}-{n}.png", n / 6)))
                    .unwrap();
            }
        }
    }
    let options = Options { group: group.map(str::to_owned), ..Options::default() };
    let collection = read(&folder.0, &options).unwrap();
    (folder, collection)
}

fn images(part: &Examples) -> HashSet<&[u8]> {
    part.pixels.chunks_exact(64).collect()
}

#[test]
fn without_parts_they_are_set_apart_and_share_nothing() {
    let (_folder, collection) = collection("leaks-none", false, None);
    let parted = collection.clone().split(Shares::default(), 3).unwrap();
    let counts = [&parted.train, &parted.valid, &parted.test].map(|part| part.len(64));
    assert_eq!(counts.iter().sum::<usize>(), 50);
    assert_eq!(counts, [36, 4, 10]);
    let dogs = parted.test.labels.iter().filter(|&&label| label == 1).count();
    assert_eq!(dogs, 4);
    for (a, b) in [(&parted.train, &parted.valid), (&parted.train, &parted.test), (&parted.valid, &parted.test)] {
        assert!(images(a).is_disjoint(&images(b)));
    }
    assert_eq!(parted.notes[0], "10 of 50 images are set apart for test, by class, images that are alike on one side");
    assert_eq!(
        parted.notes[1],
        "4 of 40 images are set apart for validation, by class, images that are alike on one side"
    );
    assert_eq!(parted.notes.len(), 2);
    // Each picture is there twice, so ten test images are five that belong together.
    assert_eq!(parted.test_units.len(), 10);
    assert_eq!(parted.test_units.iter().collect::<HashSet<_>>().len(), 5);
    assert_eq!(parted.warnings, ["25 images are copies of another (25 identical, 0 nearly)"]);
    assert_eq!(collection.clone().split(Shares::default(), 3).unwrap(), parted);
    // Another seed chooses other validation images; the test images are what they are.
    let other = collection.split(Shares::default(), 4).unwrap();
    assert_ne!(other.split_sha256, parted.split_sha256);
    assert_eq!(other.test, parted.test);
    assert_ne!(other.valid, parted.valid);
}

#[test]
fn groups_stay_together() {
    let (_folder, collection) = collection("leaks-groups", false, Some("/(g[0-9]+)-"));
    let parted = collection.split(Shares { test: Portion::Share(0.3), valid: Portion::Share(0.2) }, 1).unwrap();
    let groups = |part: &Examples| part.groups.iter().copied().collect::<HashSet<_>>();
    assert!(!parted.test.groups.is_empty() && !parted.valid.groups.is_empty());
    assert!(
        groups(&parted.test).is_disjoint(&groups(&parted.train))
            && groups(&parted.valid).is_disjoint(&groups(&parted.train))
    );
    assert!(groups(&parted.test).is_disjoint(&groups(&parted.valid)));
}

#[test]
fn what_others_put_on_two_sides_is_told_and_left() {
    let (folder, clean) = collection("leaks-given", true, Some("/(g[0-9]+)-"));
    let parted = clean.split(Shares::default(), 0).unwrap();
    assert_eq!(parted.test.len(64), 50);
    // The groups have the same names.
    assert!(parted.warnings.iter().all(|note| !note.contains("images are among")), "{:?}", parted.warnings);
    assert!(
        parted
            .warnings
            .iter()
            .any(|note| note.starts_with("50 test images are of 5 groups, which training or validation has too")),
        "{:?}",
        parted.warnings
    );

    for n in [0, 2, 4] {
        fs::copy(folder.0.join(format!("train/cat/g0-{n}.png")), folder.0.join(format!("test/cat/copy{n}.png")))
            .unwrap();
    }
    // A copy that is a little brighter, and an image with two labels.
    let mut brighter = picture(1, 0, 1);
    brighter.pixels_mut().for_each(|pixel| pixel.0[0] = pixel.0[0].saturating_add(2));
    brighter.save(folder.0.join("test/dog/copy.png")).unwrap();
    fs::copy(folder.0.join("train/cat/g0-0.png"), folder.0.join("train/dog/wrong.png")).unwrap();
    let parted = read(&folder.0, &Options::default()).unwrap().split(Shares::default(), 0).unwrap();
    assert_eq!(parted.test.len(64), 54);
    let told = "4 of 54 test images are among the training or validation images too (3 identical, 1 nearly): test accuracy is \
                too optimistic";
    assert!(parted.warnings.contains(&told.to_owned()), "{:?}", parted.warnings);
    assert!(
        parted.warnings.iter().any(|note| note.contains("identical to one of another class")),
        "{:?}",
        parted.warnings
    );
}

#[test]
fn one_group_cannot_be_parted() {
    let (_folder, collection) = collection("leaks-one", false, Some("/(g)[0-9]+-"));
    let message = collection.split(Shares::default(), 0).unwrap_err().to_string();
    assert_eq!(
        message,
        "of 50 images 10 cannot be set apart for test without parting groups or images that are alike, or leaving nothing to \
         train on"
    );
}

/// Images `numbers`, each of the class and the group that `of` says.
fn examples(numbers: std::ops::Range<usize>, of: impl Fn(usize) -> (u16, u32)) -> Examples {
    Examples {
        pixels: numbers.clone().flat_map(|n| picture(0, n, 5).into_raw()).collect(),
        labels: numbers.clone().map(|n| of(n).0).collect(),
        groups: numbers.map(|n| of(n).1).collect(),
        paths: Vec::new(),
        keys: Vec::new(),
    }
}

#[test]
fn a_given_validation_part_is_looked_over_too() {
    let (_folder, empty) = collection("leaks-valid", false, None);
    // Groups 0 to 4 in both parts, classes 0 and 1; class 2 has one image, which stays in training.
    let class = |n: usize| if n == 39 { 2 } else { n as u16 % 2 };
    let collection = Collection {
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        groups: (0..10).map(|g| g.to_string()).collect(),
        train: examples(0..40, |n| (class(n), n as u32 / 4)),
        // Its first five images are copies.
        valid: Some(examples(35..45, |n| (n as u16 % 2, n as u32 % 5))),
        test: None,
        ..empty
    };
    let parted = collection.split(Shares::default(), 0).unwrap();
    let says = |what: &str| parted.warnings.iter().any(|note| note == what);
    // What was cut away for testing is no training image any more.
    let told = [
        "1 of 8 test images is among the training or validation images too (1 identical, 0 nearly): test accuracy is too \
         optimistic",
        "4 of 10 validation images are among the training images too (4 identical, 0 nearly): validation accuracy is too \
         optimistic",
        "8 validation images are of 4 groups, which training has too: validation accuracy is too optimistic for new groups",
    ];
    assert!(told.iter().all(|told| says(told)), "{:?}", parted.warnings);
    let missing = [
        "no validation image of class c: its recall there is not known",
        "no test image of class c: its recall there is not known; more groups with its images, another way to group, or \
         another test_share may help",
    ];
    assert!(missing.iter().all(|told| says(told)), "{:?}", parted.warnings);
}

/// Forty pictures of two classes of one scene: all alike, in a few pixels different, but for the last two of each class,
/// which are the same as the first.
fn scene(copies: &str) -> Result<Parted, DataError> {
    let folder = Folder::new(&format!("leaks-scene-{copies}"));
    for (class, name) in ["empty", "full"].into_iter().enumerate() {
        fs::create_dir_all(folder.0.join(name)).unwrap();
        for n in 0..20 {
            let mut picture = picture(0, 0, 1);
            let at = 18 * class as u32 + if n < 18 { n } else { 0 };
            picture.put_pixel(at % 8, at / 8, Luma([picture.get_pixel(at % 8, at / 8).0[0] ^ 8]));
            picture.save(folder.0.join(format!("{name}/{n}.png"))).unwrap();
        }
    }
    let copies = serde_json::from_value(copies.into()).unwrap();
    read(&folder.0, &Options { copies, ..Options::default() }).unwrap().split(Shares::default(), 0)
}

#[test]
fn pictures_of_one_scene_can_be_split_where_it_is_told_that_they_are_no_copies() {
    let error = scene("alike").unwrap_err();
    assert!(matches!(error, DataError::NothingApart { scene: true, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("set copies = \"identical\""), "{:?}", error.hint());

    let parted = scene("identical").unwrap();
    assert_eq!(parted.warnings, ["4 images are copies of another (4 identical, 0 nearly)"]);
    assert!(images(&parted.test).is_disjoint(&images(&parted.train)));
    assert!(parted.notes[0].ends_with("set apart for test, by class, identical images on one side"));

    let parted = scene("off").unwrap();
    assert_eq!((parted.warnings.len(), parted.test_units.len()), (0, 0), "{:?}", parted.warnings);
    assert_eq!(parted.notes[0], "8 of 40 images are set apart for test, by class");
    assert_eq!([&parted.train, &parted.valid, &parted.test].map(|part| part.len(64)), [29, 3, 8]);
}

/// `groups` groups of four images, each of one class, of which every `every`th is of class 1.
fn of_groups(groups: usize, every: usize) -> Collection {
    let (_folder, empty) = collection("leaks-few-groups", false, None);
    let class = |group: usize| u16::from(group % every == every - 1);
    let train = examples(0..4 * groups, |n| (class(n / 4), n as u32 / 4));
    Collection { groups: (0..groups).map(|group| group.to_string()).collect(), train, ..empty }
}

#[test]
fn a_part_gets_a_second_class_and_is_refused_where_there_is_none_for_it() {
    // Of class 1 one group is for training and one for testing, too large as it is; none is left to choose by.
    let error = of_groups(10, 5).split(Shares::default(), 0).unwrap_err();
    let message = "every image that can be set apart for validation is of class cat, expected two classes at least: figures \
                   of one class mean nothing";
    assert_eq!(error.to_string(), message);
    let hint = "bring more groups of each class, another way to group, validation images of your own, or try another \
                valid_share in [data]";
    assert_eq!(error.hint().as_deref(), Some(hint));
    // With one more there is, whatever the seed.
    for seed in 0..20 {
        let parted = of_groups(15, 5).split(Shares::default(), seed).unwrap();
        for part in [&parted.train, &parted.valid, &parted.test] {
            assert_eq!(part.labels.iter().collect::<HashSet<_>>().len(), 2, "seed {seed}");
        }
    }
}

#[test]
fn sizes_of_parts_that_are_there_are_refused() {
    let told = Shares { test: Portion::Count(7), valid: Portion::Share(0.25) };
    assert!(told.refuse_useless(0, "pictures", false, false).is_ok());
    assert!(Shares::default().refuse_useless(0, "pictures", true, true).is_ok());
    let message = |test, valid| told.refuse_useless(0, "pictures", test, valid).unwrap_err().to_string();
    let because = "images of its own, so none are set apart; leave it out";
    assert_eq!(message(true, false), format!("test = 7: it changes nothing: pictures has test {because}"));
    assert_eq!(
        message(false, true),
        format!("valid_share = 0.25: it changes nothing: pictures has validation {because}")
    );
    // Test images are drawn by no seed that is told.
    let seeded = |test, valid| Shares::default().refuse_useless(3, "pictures", test, valid);
    assert!(seeded(false, false).is_ok() && seeded(true, false).is_ok());
    let message = seeded(true, true).unwrap_err().to_string();
    assert!(message.starts_with("split_seed = 3: it changes nothing: pictures has validation images"), "{message}");
}
