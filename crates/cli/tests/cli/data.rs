//! Data of one's own: what is understood, what is warned of, and what is refused with which remedy.

use super::*;

/// Images of 4 by 4 pixels, no two alike, with these labels.
fn images(labels: &[u8], salt: u8) -> [Vec<u8>; 2] {
    let pixels = (0..labels.len()).flat_map(|n| {
        let start = [labels[n].wrapping_mul(37), n as u8, (n >> 8) as u8, salt];
        start.into_iter().chain([labels[n]; 12])
    });
    [idx(&[labels.len(), 4, 4], &pixels.collect::<Vec<u8>>()), idx(&[labels.len()], labels)]
}

/// A folder whose `data` has these labels for training and test.
fn labelled(name: &str, train: &[u8], test: &[u8]) -> PathBuf {
    let path = folder(name);
    fs::create_dir(path.join("data")).expect("the folder is new");
    let contents = [images(train, 0), images(test, 1)].concat();
    for (file, bytes) in FILES.iter().zip(contents) {
        fs::write(path.join("data").join(file), bytes).expect("the folder can be written");
    }
    path
}

/// `classes` labels from `first` on, again and again.
fn cycled(n: usize, first: u8, classes: usize) -> Vec<u8> {
    (0..n).map(|n| first + (n % classes) as u8).collect()
}

fn study_of(classes: usize, data: &str) -> String {
    format!(
        "name = \"mine\"\n\n[data]\n{data}\n[[recipe]]\nname = \"a\"\nlayers = [\"linear {classes}\"]\nepochs = 1\n"
    )
}

#[test]
fn labels_from_one_on_are_refused_with_what_to_set_and_taken_when_it_is_set() {
    let path = labelled("cli-letters", &cycled(520, 1, 26), &cycled(52, 1, 26));
    for data in ["", "classes = 26"] {
        let ended = run_in(&path, &[&study_file(&path, &study_of(26, data))]);
        assert_eq!(ended.code, Some(3), "{}", ended.err);
        for part in ["the labels are 1 to 26", "hint: in a study file, under [data]: classes = 26 and first_label = 1 "]
        {
            assert!(ended.err.contains(part), "{data}: {part}\n{}", ended.err);
        }
    }
    let file = study_file(&path, &study_of(26, "classes = 26\nfirst_label = 1\nvalid = 130"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("images of 1x4x4, labels 1 to 26 are classes 0 to 25; split "), "{}", ended.err);
    let record = results(&path);
    assert_eq!((&record["dataset"]["first_label"], &record["dataset"]["classes"]), (&1.into(), &26.into()));
    assert!(fs::read_to_string(path.join("out/study.toml")).unwrap().contains("classes = 26\nfirst_label = 1\n"));
    // Other commands find the images again.
    let (out, data) = (path.join("out"), path.join("data"));
    let ended = run(&["report", text(&out), "--data", text(&data)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("labels 1 to 26 are classes 0 to 25"));

    // MNIST has other classes.
    let ended = run(&["run", &file, "--out", text(&path.join("none"))]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("the study has 26 classes from label 1 on") && ended.err.contains("--data DIR"));
    let ended = run(&["data", "--data", text(&data)]);
    for part in [
        "26 classes\n",
        "\n     26           20            2\n",
        "\n  labels 1 to 26 are classes 0 to 25\n",
        "  classes = 26\n  first_label = 1\n",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
}

#[test]
fn data_that_cannot_teach_are_refused() {
    let path = labelled("cli-one-class", &[3; 100], &cycled(20, 0, 10));
    let ended = run_in(&path, &["--only", "softmax"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
    assert!(
        ended.err.contains("all 90 training images have the label 3, expected two classes at least"),
        "{}",
        ended.err
    );
    assert!(!path.join("out").exists());
}

#[test]
fn what_is_odd_is_told_recorded_and_on_the_page() {
    let path = labelled("cli-odd", &cycled(400, 0, 9), &cycled(90, 0, 9));
    // The first ten training images, once more.
    let train = fs::read(path.join("data").join(FILES[0])).unwrap();
    let mut test = fs::read(path.join("data").join(FILES[2])).unwrap();
    test[16..176].copy_from_slice(&train[16..176]);
    fs::write(path.join("data").join(FILES[2]), &test).unwrap();
    fs::write(path.join("data").join(format!("{}.gz", FILES[1])), b"old").unwrap();
    let file = study_file(&path, &study_of(10, "valid = 100"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let page = fs::read_to_string(path.join("out/report.html")).unwrap();
    let record = results(&path)["dataset"]["warnings"].to_string();
    let shown = run(&["data", "--data", text(&path.join("data")), "--classes", "10"]);
    for warning in [
        "train-labels-idx1-ubyte is read, train-labels-idx1-ubyte.gz beside it is not",
        "no training images of class 9: it cannot be learned",
        "no test images of class 9: its recall there is not defined",
        "10 of 90 test images are also training or validation images: test accuracy is too optimistic",
    ] {
        assert!(ended.err.contains(&format!("\nwarning: {warning}\n")), "{warning}\n{}", ended.err);
        assert!(record.contains(warning) && page.contains(warning), "{warning}\n{record}");
        assert!(shown.out.contains(&format!("  warning: {warning}\n")), "{warning}\n{}", shown.out);
    }
}

#[test]
fn channels_last_are_taken_as_such() {
    let path = labelled("cli-channels-last", &cycled(100, 0, 10), &cycled(20, 0, 10));
    for (file, n) in [(FILES[0], 100), (FILES[2], 20)] {
        let pixels: Vec<u8> = (0..n * 48).map(|at| (at * 7 % 251) as u8).collect();
        fs::write(path.join("data").join(file), idx(&[n, 4, 4, 3], &pixels)).unwrap();
    }
    let own = run_in(&path, &[&study_file(&path, &study_of(10, ""))]);
    assert_eq!(own.code, Some(0), "{}", own.err);
    assert!(own.err.contains("test images of 3x4x4"), "{}", own.err);
    let warning = "warning: images of 4x4x3 are taken as height, width and channels: channels last\n";
    assert!(own.err.contains(warning), "{}", own.err);
}

#[test]
fn an_example_of_each_class_is_shown() {
    let path = labelled("cli-examples", &cycled(40, 1, 4), &cycled(8, 1, 4));
    let data = path.join("data");
    let output = tenfold(&["data", "--data", text(&data), "--show", "blocks"]).output().expect("the program starts");
    let out = String::from_utf8(output.stdout).expect("the program prints text");
    assert_eq!(output.status.code(), Some(0));
    let parts: Vec<&str> = out.split("one training image of each class:\n").collect();
    assert_eq!(parts.len(), 3, "MNIST's and those of the folder");
    // Small images are enlarged: four of 8 pixels, one apart, two pixels to a character.
    let blocks: Vec<usize> =
        parts[2].lines().map(|line| line.matches('▀').count()).take_while(|&blocks| blocks > 0).collect();
    assert_eq!(blocks, [35; 4]);
    assert!(!run(&["data", "--data", text(&data)]).out.contains("one training image"), "nobody looks");
}

#[test]
fn files_that_look_like_the_right_ones_are_named() {
    let path = labelled("cli-names", &cycled(40, 0, 10), &cycled(20, 0, 10));
    let data = path.join("data");
    for file in FILES {
        let other = format!("emnist-letters-{}", file.replace("t10k", "test"));
        fs::rename(data.join(file), data.join(other)).unwrap();
    }
    let ended = run(&["data", "--data", text(&data)]);
    let hint = "hint: rename emnist-letters-train-images-idx3-ubyte to train-images-idx3-ubyte, ";
    assert!(ended.code == Some(3) && ended.err.contains(hint), "{}", ended.err);
}

/// A grey PNG picture of 2 by 2, its pixels of these levels.
pub(super) fn picture(path: &Path, levels: [u8; 4]) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
    let mut encoder = png::Encoder::new(fs::File::create(path).expect("the file can be made"), 2, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&levels)).expect("the picture can be written");
}

#[test]
fn what_is_understood_of_a_folder_of_pictures_is_told() {
    let path = folder("cli-understood");
    // No two alike.
    let levels = |n: u8| [37, 101, 151, 211].map(|factor: u8| factor.wrapping_mul(n.wrapping_mul(n) ^ factor));
    for n in 0..20_u8 {
        picture(&path.join(format!("set/class {}/{n}.png", [2, 10][usize::from(n) % 2])), levels(n));
    }
    fs::write(path.join("set/class 2/notes.txt"), "no picture").expect("the file can be written");
    let set = path.join("set");
    let ended = run(&["data", text(&set)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "  one folder for each class\n",
        "  20 training images of 1x2x2, 2 classes: class 2, class 10\n",
        "notes.txt: it is no picture (it begins with bytes 6e 6f 20 70), expected PNG, JPEG, BMP, PNM or GIF\n",
        "\n  class        training\n  class 2            10\n  class 10           10\n",
        "  4 of 20 images are set apart for test, by class, images that are alike on one side\n",
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
    let ended = run(&["data", text(&set), "--set", "size = [4, 8]", "--set", "channels=rgb"]);
    assert!(ended.out.contains("20 training images of 3x4x8"), "{}", ended.out);
}

#[test]
fn data_that_cannot_be_understood_end_with_the_remedy() {
    let path = folder("cli-not-understood");
    fs::write(path.join("batch.pickle"), b"\x80\x04}").expect("the file can be written");
    let (nowhere, pickle) = (path.join("nowhere"), path.join("batch.pickle"));
    let cases: [(&[&str], i32, &str); 5] = [
        (&[text(&path)], 3, "hint: put the pictures of each class into a folder of its own"),
        (&[text(&pickle)], 3, "is a Python pickle, which can run any program when it is read"),
        (&[text(&nowhere)], 2, "nowhere: cannot be read"),
        (&[text(&path), "--set", "size = [0, 900]"], 2, "size = \"0x900\": expected sides of 1 to 256"),
        (&[text(&path), "--set", "sise = 3"], 2, "--set: unknown field `sise`, expected one of `size`, `channels`"),
    ];
    for (arguments, code, words) in cases {
        let ended = run(&[&["data"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
}
