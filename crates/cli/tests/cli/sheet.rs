//! The page and the contact sheet of data of one's own.

use super::data::picture;
use super::*;

/// Twelve pictures of two classes in `train`, of which the first of class a is also in `test`, and in class b.
fn with_a_leak(name: &str) -> PathBuf {
    let set = folder(name).join("set");
    for n in 0..12 {
        picture(&set.join(format!("train/{}/{n}.png", ["a", "b <i>"][n / 6])), n);
    }
    picture(&set.join("test/a/same.png"), 0);
    picture(&set.join("test/b <i>/other.png"), 20);
    picture(&set.join("train/b <i>/wrong.png"), 0);
    set
}

#[test]
fn a_page_and_a_contact_sheet_are_written_where_asked() {
    let set = with_a_leak("cli-sheet");
    let plain = run(&["data", text(&set)]);
    assert_eq!((plain.code, plain.err.as_str()), (Some(0), ""));
    for part in ["\n  pixels of training images, 0 to 255: mean ", "the same command with --out DIR\n"] {
        assert!(plain.out.contains(part), "{part}\n{}", plain.out);
    }
    assert_eq!(
        plain.out.lines().last(),
        Some("to look at it, with images of each class: the same command with --out DIR")
    );
    let out = set.join("../out/new");
    let ended = run(&["data", text(&set), "--out", text(&out)]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.ends_with("out/new/contact-sheet.png\n") && ended.out.contains("out/new/data.html\n"));
    let page = fs::read_to_string(out.join("data.html")).expect("the page is there");
    for words in [
        "1 image is on two sides of the split",
        "1 image is like one with another label",
        "<bdi>b &lt;i&gt;</bdi>",
        "aria-label=\"train/a/0.png, a\"",
        "test/a/same.png",
        "All 13 images.",
        "As it is split, by seed 0",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<i>") && !page.contains("<script") && !page.contains("http:"));
    let sheet = fs::File::open(out.join("contact-sheet.png")).expect("the sheet is there");
    let reader = png::Decoder::new(std::io::BufReader::new(sheet)).read_info().expect("it is a PNG");
    assert!(reader.info().width > 200 && reader.info().height > 60);
    // Once more: the same bytes, and nothing else is left.
    run(&["data", text(&set), "--out", text(&out)]);
    assert_eq!(fs::read_to_string(out.join("data.html")).unwrap(), page);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
}

#[test]
fn a_sheet_is_not_written_into_the_data() {
    let set = with_a_leak("cli-sheet-within");
    let file = set.join("../file");
    fs::write(&file, "").unwrap();
    for (out, words) in [
        (set.join("train/a"), "is in the data set, of which the contact sheet would be a picture"),
        (set.join("new/folder"), "hint: name a folder elsewhere"),
        (set.clone(), "is in the data set"),
        (file, "is a file, expected a folder, or none yet"),
    ] {
        let ended = run(&["data", text(&set), "--out", text(&out)]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", out.display());
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    assert!(!set.join("new").exists());
    assert_eq!(run(&["data", "--out", "x"]).code, Some(2), "there is nothing to draw without a path");
}

#[test]
fn many_classes_are_told_calmly() {
    let path = folder("cli-many-classes");
    let names: String = (0..16).map(|p| format!(",pixel{p}")).collect();
    let mut rows = format!("label{names}\n");
    for class in 0..100_usize {
        // Of class 7 two, of class 9 four, of all others three.
        for n in 0..(3 + usize::from(class == 9) - usize::from(class == 7)) {
            let pixel = |p: usize| (class * 7919 + n * 104_729 + p * p * (class + 3 * n + 1) * 31) % 256;
            rows.push_str(&format!("{class}{}\n", (0..16).map(|p| format!(",{}", pixel(p))).collect::<String>()));
        }
    }
    let csv = path.join("x.csv");
    fs::write(&csv, rows).expect("the file can be written");
    let out = path.join("out");
    let ended = run(&["data", text(&csv), "--out", text(&out)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "\n  class     training\n  9                4\n",
        "\n  ... and 80 classes of sizes between\n",
        "\n  7                2\n",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    assert!(
        ended.out.contains(" too small to be in training, validation and test, which takes 3 images"),
        "{}",
        ended.out
    );
    assert!(ended.out.lines().count() < 50, "{}", ended.out);
    let page = fs::read_to_string(out.join("data.html")).unwrap();
    assert_eq!(page.matches("<h3>").count(), 100);
}
