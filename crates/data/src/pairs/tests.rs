//! Planted pairs are found where they were planted.

use super::*;
use crate::ImageShape;
use crate::rng::{Rng, Stream};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 16, width: 16 };

/// An image like no other, all of whose pixels are even.
fn noise(seed: u64) -> Vec<u8> {
    let rng = Rng::new(seed, Stream::Split, 0);
    (0..SHAPE.len() as u64).map(|n| (rng.u64_at(n) >> 57) as u8 * 2).collect()
}

/// The same but for a little.
fn nearly(seed: u64) -> Vec<u8> {
    noise(seed).into_iter().map(|pixel| pixel + 1).collect()
}

fn part(images: &[(Vec<u8>, u16)]) -> Examples {
    let pixels = images.iter().flat_map(|(image, _)| image).copied().collect();
    Examples { pixels, labels: images.iter().map(|(_, label)| *label).collect(), ..Examples::default() }
}

fn collection(train: Examples, valid: Option<Examples>, test: Option<Examples>) -> Collection {
    Collection {
        name: "made-up".to_owned(),
        shape: SHAPE,
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        train,
        valid,
        test,
        unlabelled: None,
        groups: vec![],
        copies: Copies::default(),
        notes: vec![],
        unreadable: vec![],
        white: None,
        range16: None,
        sha256: String::new(),
    }
}

fn place(role: Role, index: usize) -> Place {
    Place { role, index }
}

#[test]
fn images_on_two_sides_are_paired_with_the_nearest() {
    let train = part(&[(noise(1), 0), (noise(2), 1), (nearly(2), 1)]);
    let valid = part(&[(noise(3), 0), (noise(1), 0)]);
    let test = part(&[(nearly(3), 0), (noise(4), 1), (noise(2), 2), (nearly(1), 1)]);
    let collection = collection(train, Some(valid), Some(test));
    let found = collection.alike(&mut |_| {});
    let across = collection.pairs_across(&found, 40);
    assert_eq!((across.identical, across.nearly), (2, 2));
    use Role::{Test, Train, Valid};
    let expected = [
        (place(Train, 0), place(Valid, 1), Likeness::Identical),
        (place(Train, 1), place(Test, 2), Likeness::Identical),
        (place(Valid, 0), place(Test, 0), Likeness::Nearly),
        (place(Train, 0), place(Test, 3), Likeness::Nearly),
    ];
    let expected = expected.map(|(first, second, likeness)| Pair { first, second, likeness });
    assert_eq!(across.shown, expected);
    // Half of each kind, where there are as many.
    assert_eq!(collection.pairs_across(&found, 2), Pairs { shown: vec![expected[0], expected[2]], ..across.clone() });
    assert_eq!(collection.pairs_across(&found, 3).shown, [expected[0], expected[1], expected[2]]);
    assert_eq!(collection.pairs_across(&found, 0), Pairs { shown: vec![], ..across });
    let classes = collection.pairs_of_two_classes(&found, 40);
    assert_eq!((classes.identical, classes.nearly), (1, 1));
    assert_eq!(classes.shown, [expected[1], expected[3]]);
    // A split counts the same.
    let notes = collection.split(crate::Shares::default(), 0).unwrap().warnings;
    let of_test = "3 of 4 test images are among the training or validation images too (1 identical, 2 nearly): test \
                   accuracy is too optimistic";
    let of_valid = "1 of 2 validation images is among the training images too (1 identical, 0 nearly): validation \
                    accuracy is too optimistic";
    assert!(notes.iter().any(|note| note == of_test) && notes.iter().any(|note| note == of_valid), "{notes:?}");
}

#[test]
fn turned_images_on_two_sides_are_paired_with_the_one_that_they_are() {
    let views = crate::duplicates::turned::Views::of(SHAPE);
    let turned = |seed: u64, view: usize| views.apply(view, &noise(seed)).collect::<Vec<u8>>();
    let train = part(&[(noise(1), 0), (nearly(1), 0), (noise(2), 1), (noise(3), 1)]);
    let test = part(&[(turned(2, 3), 0), (turned(1, 5), 0), (noise(4), 1), (noise(3), 1)]);
    let valid = part(&[(noise(5), 0), (noise(6), 1)]);
    let collection = collection(train, Some(valid), Some(test));
    let found = collection.alike(&mut |_| {});
    let across = collection.pairs_across(&found, 40);
    assert_eq!((across.identical, across.nearly, across.turned), (1, 0, 2));
    let shown: Vec<_> = across.shown.iter().map(|pair| (pair.first.index, pair.second.index, pair.likeness)).collect();
    assert_eq!(shown, [(3, 3, Likeness::Identical), (2, 0, Likeness::Turned), (0, 1, Likeness::Turned)]);
    // A turned 6 may be a 9: not another class by mistake.
    assert_eq!(collection.pairs_of_two_classes(&found, 40), Pairs::default());
    let notes = collection.split(crate::Shares::default(), 0).unwrap().warnings;
    let expected = [
        "2 images are copies of another (1 identical, 1 nearly)",
        "2 images are turned or mirrored copies of others; if pictures of one scene are no copies here, copies = \"identical\" \
         counts identical images alone",
        "3 of 4 test images are among the training or validation images too (1 identical, 0 nearly, 2 turned or mirrored): \
         test accuracy is too optimistic",
    ];
    assert!(expected.iter().all(|expected| notes.iter().any(|note| note == expected)), "{notes:?}");
}

#[test]
fn copies_do_not_make_a_class_large_enough() {
    let train = part(&[
        (noise(1), 0),
        (noise(2), 0),
        (noise(3), 0),
        (noise(4), 1),
        (noise(4), 1),
        (nearly(4), 1),
        (noise(5), 2),
        (noise(6), 2),
    ]);
    let mut collection = collection(train, None, None);
    let found = collection.alike(&mut |_| {});
    assert_eq!(collection.too_small(&found), TooSmall { needed: 3, classes: vec![(1, 1), (2, 2)] });
    collection.train.groups = vec![7, 7, 7, 1, 2, 3, 4, 5];
    assert_eq!(collection.too_small(&found).classes, [(0, 1), (1, 1), (2, 2)]);
    collection.test = Some(part(&[(noise(9), 0)]));
    assert_eq!(collection.too_small(&collection.alike(&mut |_| {})).needed, 2);
}

#[test]
fn it_is_told_how_far_a_search_is() {
    let images: Vec<_> = (0..600).map(|seed| (noise(seed), 0)).collect();
    let collection = collection(part(&images), None, None);
    let mut told = Vec::new();
    collection.alike(&mut |progress| told.push(progress.done));
    assert!(told.len() > 10 && told.is_sorted() && told.iter().all(|&done| done < 600), "{told:?}");
}
