//! Sheets of made-up data: what is shown, what is said of the rest, and that no name breaks anything.

use std::iter::repeat_n;

use super::contact_sheet::draw;
use super::layout::{Layout, MOST, evenly};
use super::page::data_page;
use super::*;
use crate::picture::{WHITE, fingerprint, has_margin};

const ATTACK: &str = "<script>alert('x')</script>\"'&";

fn image(seed: usize, [channels, height, width]: [usize; 3]) -> Image {
    let mut state = (seed as u32).wrapping_mul(2_654_435_761).wrapping_add(1);
    let pixels = repeat_n((), channels * height * width).map(|()| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Image { channels, height, width, pixels: pixels.collect() }
}

fn example(seed: usize, shape: [usize; 3]) -> Example {
    Example { name: format!("training image {seed}"), image: image(seed, shape) }
}

fn class(name: &str, examples: usize, shape: [usize; 3]) -> Class {
    let examples = (0..examples).map(|n| example(n, shape)).collect();
    Class { name: name.to_owned(), counts: vec![1234, 5], examples, of: 1234 }
}

fn pair(name: &str, likeness: &'static str) -> Pair {
    let side = |n: usize, part: &str| Side {
        example: Example { name: format!("{part}/{name}"), image: image(n, [3, 8, 8]) },
        part: part.to_owned(),
        class: name.to_owned(),
    };
    Pair { likeness, sides: [side(1, "training"), side(2, "test")] }
}

fn sheet(name: &str) -> DataSheet {
    DataSheet {
        title: name.to_owned(),
        place: format!("/data/{name}"),
        notes: vec![format!("one folder for each class: {name}")],
        sha256: "0123".to_owned(),
        parts: vec!["training".to_owned(), "test".to_owned()],
        classes: vec![class(name, 3, [3, 8, 8]), class("b", 2, [3, 8, 8])],
        unlabelled: None,
        channels: vec![Channel { name: "red".to_owned(), mean: 33.318, deviation: 78.567 }],
        too_small: Some("one class is too small".to_owned()),
        split: ("Its parts".to_owned(), vec![name.to_owned()]),
        across: Pairs {
            identical: 1,
            nearly: 4317,
            turned: 4,
            shown: vec![pair(name, "identical"), pair("b", "turned or mirrored")],
        },
        of_two_classes: Pairs { nearly: 1, shown: vec![pair("c", "nearly identical")], ..Pairs::default() },
        unreadable: vec![(name.to_owned(), name.to_owned())],
        unreadable_count: 9,
    }
}

#[test]
fn words_from_outside_are_escaped_and_nothing_is_loaded() {
    let page = data_page(&sheet(ATTACK));
    for word in ["<script", "</script>\"'", "<link", "<iframe", "@import", "javascript:", "http:", "https:"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("&lt;script&gt;alert("));
    assert_eq!(page, data_page(&sheet(ATTACK)));
}

#[test]
fn the_page_says_what_there_is_and_what_is_not_shown() {
    let page = data_page(&sheet("a"));
    for words in [
        "<a href=\"#across\">4,322 images are on two sides of the split</a>",
        "<a href=\"#labels\">1 image is like one with another label</a>",
        "<a href=\"#unreadable\">9 files cannot be read</a>",
        "<a href=\"#classes\">one class is too small</a>",
        "<td class=\"number\">33.32</td><td class=\"number\">78.57</td><td class=\"number\">0.1307</td><td class=\"number\">0.3081</td>",
        "5 of 2,468 images, at most 3 of each class, picked evenly",
        "4,322 validation or test images are like one of a part before it: 1 identical, 4,317 nearly so, 4 turned or mirrored; 2 shown.",
        "1 image is like one of another class: 0 identical, 1 nearly so.",
        "aria-label=\"test/b, b\"",
        "And 8 more.",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page.matches("role=\"img\"").count(), 5 + 2 * 3);
    assert_eq!(page.matches("data:image/png").count(), 2);
    let levels: Vec<u8> = page.split("<h").skip(1).map(|rest| rest.as_bytes()[0]).filter(u8::is_ascii_digit).collect();
    assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[test]
fn a_page_without_anything_odd_is_calm() {
    let (across, of_two_classes) = (Pairs::default(), Pairs::default());
    let calm = DataSheet { across, of_two_classes, unreadable_count: 0, too_small: None, ..sheet("a") };
    let page = data_page(&calm);
    assert!(!page.contains("To look at") && !page.contains("id=\"unreadable\""));
    assert!(page.contains("No image of one part is like one of another.") && page.contains("No image is like one of"));
    let unlabelled = Some(class("without labels", 4, [1, 5, 5]));
    let page = data_page(&DataSheet { classes: vec![], parts: vec![], unlabelled, ..calm });
    assert!(page.contains("without labels") && !page.contains("id=\"classes\"") && !page.contains("id=\"labels\""));
}

#[test]
fn a_page_of_a_thousand_classes_can_be_mailed() {
    for (shape, side, per_class) in [([3, 256, 256], 24, 3), ([1, 28, 28], 24, 3), ([1, 8, 8], 24, 6)] {
        let [channels, height, width] = shape;
        let layout = Layout::page(1000, MOST, [height, width]);
        assert_eq!((layout.side, layout.per_class), (side, per_class), "{shape:?}");
        let small = layout.shrunk(&image(1, shape));
        let name = "a name of forty characters and not less ";
        let mut sheet = sheet("a");
        sheet.classes = repeat_n(class(name, per_class, [channels, small.height, small.width]), 1000).collect();
        let bytes = data_page(&sheet).len();
        assert!(bytes < 12_000_000, "{shape:?}: {bytes}");
    }
}

#[test]
fn few_classes_have_large_images_and_many_have_some() {
    for (classes, largest, size, expected) in [
        (10, 20, [256, 256], (64, 20)),
        (10, 20, [28, 28], (64, 20)),
        (100, 20, [256, 256], (48, 8)),
        (1000, 3, [64, 64], (24, 3)),
        (1000, 20, [1, 1], (24, 6)),
        (0, 0, [256, 1], (64, 20)),
        (1, 20, [256, 3], (64, 20)),
    ] {
        let layout = Layout::page(classes, largest, size);
        assert_eq!((layout.side, layout.per_class), expected, "{classes} of {largest} of {size:?}");
    }
    assert_eq!(Layout::contact_sheet(10, 20, [64, 64]).per_class, 20);
}

#[test]
fn images_are_shrunk_by_means_and_keep_their_proportions() {
    let layout = Layout { side: 4, per_class: 1 };
    let pixels: Vec<u8> = (0..3 * 8 * 4).map(|n| n as u8).collect();
    let small = layout.shrunk(&Image { channels: 3, height: 8, width: 4, pixels });
    assert_eq!((small.channels, small.height, small.width), (3, 4, 2));
    // The mean of 0, 1, 4 and 5, rounded; the other channels are 32 and 64 more.
    assert_eq!([0, 1, 8, 16].map(|n| small.pixels[n]), [3, 5, 35, 67]);
    for [height, width] in [[1, 256], [256, 1], [256, 255], [3, 4], [5, 4], [4, 5]] {
        let small = layout.shrunk(&image(7, [1, height, width]));
        assert_eq!(small.pixels.len(), small.height * small.width, "{height}x{width}");
        assert!(small.width <= 4 && (small.height <= 4 || width == 1), "{height}x{width}");
    }
    let same = image(3, [1, 4, 4]);
    assert_eq!(layout.shrunk(&same), same);
}

#[test]
fn examples_are_picked_evenly() {
    assert_eq!(evenly(10, 5).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
    assert_eq!(evenly(3, 20).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(evenly(0, 20).count(), 0);
    for n in [20, 21, 39, 5421] {
        let places: Vec<usize> = evenly(n, 20).collect();
        assert!(places.len() == 20 && places.is_sorted_by(|a, b| a < b) && places[19] < n, "{n}: {places:?}");
    }
}

#[test]
fn nothing_of_a_contact_sheet_is_cut_off_and_names_are() {
    let long = "name ".repeat(80);
    let names = ["a", ATTACK, "猫", "خط", "x\u{1b}[31m\u{202e}", "", &long];
    let classes: Vec<Class> = names.iter().enumerate().map(|(n, name)| class(name, n, [3, 8, 9])).collect();
    let picture = draw(&long, &["note".to_owned()], &classes);
    assert!(has_margin(&picture, 20));
    assert_eq!(fingerprint(&picture), fingerprint(&draw(&long, &["note".to_owned()], &classes)));
    assert!(has_margin(&draw("none", &[], &[]), 20));
    let tall = vec![class("a", 1, [1, 256, 1]); 3];
    assert!(draw("tall", &[], &tall).height() > 256);
}

#[test]
fn many_classes_stand_side_by_side() {
    let classes = vec![class("a name", 4, [1, 24, 24]); 1000];
    let picture = draw("many", &[], &classes);
    assert!(picture.height() < 5 * picture.width(), "{}x{}", picture.width(), picture.height());
    assert!(picture.width() * picture.height() < 30_000_000, "{}x{}", picture.width(), picture.height());
    assert!(picture.pixels().iter().filter(|&&level| level != WHITE[0]).count() > 1000 * 4 * 24 * 24);
}
