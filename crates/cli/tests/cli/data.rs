//! Data of one's own: what is understood, what is warned of, and what is refused with which remedy.

use super::*;

/// Noise: number `n` of a sequence that looks random.
fn noise(n: usize) -> u8 {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
}

/// Images of 4 by 4 pixels, no two alike, with these labels.
fn images(labels: &[u8], salt: u8) -> [Vec<u8>; 2] {
    let pixels = (0..16 * labels.len()).map(|at| noise(usize::from(salt) * 1_000_003 + at));
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
fn classes_are_called_as_the_data_calls_them() {
    let path = labelled("cli-letters", &cycled(520, 1, 26), &cycled(52, 1, 26));
    let last = |layer: &str, data: &str| study_of(26, data).replace("linear 26", layer);
    // What the study says of the classes has to be so.
    for (data, said) in [("classes = 10", "classes = 10"), ("first_label = 0", "first_label = 0")] {
        let ended = run_in(&path, &[&study_file(&path, &last("linear classes", data))]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        let told =
            format!("the study says {said}, and the data has 26 classes: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 16 more");
        assert!(ended.err.contains(&told), "{}", ended.err);
    }
    let file = study_file(&path, &last("linear classes", "classes = 26\nfirst_label = 1\nvalid = 130\nsize = [4, 4]"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("130 validation, 52 test images of 1x4x4, 26 classes; split "), "{}", ended.err);
    let record = results(&path);
    assert_eq!(record["dataset"]["class_names"][25], "26");
    assert_eq!(record["dataset"]["reading"]["options"]["size"], serde_json::json!([4, 4]));
    assert_eq!(record["recipes"][0]["layers"], serde_json::json!(["linear 26"]));
    // The study of the folder is whole: it says where its images are.
    let (out, data) = (path.join("out"), path.join("data"));
    let ended = run(&["run", text(&out.join("study.toml")), "--out", text(&out), "--threads", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("a seed 1 was finished before and is kept"), "{}", ended.err);
    // Other commands find the images again.
    for arguments in [&["report", text(&out), "--data", text(&data)][..], &["report", text(&out)]] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }

    // MNIST is not to be chosen.
    let ended = run(&["run", &file, "--out", text(&path.join("none"))]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("hint: name the folder or file with its images: --data PATH"), "{}", ended.err);
}

#[test]
fn a_study_of_four_networks_is_there_for_any_data() {
    let path = labelled("cli-images", &cycled(120, 3, 3), &cycled(30, 3, 3));
    let output = tenfold(&["run", "--data", "data", "--epochs", "1", "--only", "softmax,cnn", "--threads", "2"])
        .current_dir(&path)
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let record = fs::read(path.join("runs/images-data/results.json")).expect("it is called after the data");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(
        (&record["study"], &record["title"]),
        (&"images-data".into(), &"Four networks for small images: data".into())
    );
    assert_eq!(record["recipes"][1]["layers"][9], "linear 3");
}

#[test]
fn groups_are_drawn_as_a_whole_and_pictures_are_told_by_their_paths() {
    let path = folder("cli-groups");
    for n in 0..90 {
        let class = ["caf\u{e9} & <b>", "a,b"][n % 2];
        picture(&path.join(format!("data/{class}/p{}-{n}.png", n / 6)), n);
    }
    let study = "name = \"mine\"\n\n[data]\ngroup = \"/(p[0-9]+)-\"\ntest_share = 0.3\n\n[[recipe]]\nname = \"a\"\n\
                 layers = [\"linear classes\"]\nepochs = 1\n";
    let ended = run_in(&path, &[&study_file(&path, study), "--seeds", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let out = path.join("out");
    let csv = fs::read_to_string(out.join("test-images.csv")).unwrap();
    let groups: std::collections::BTreeSet<&str> =
        csv.lines().skip(1).filter_map(|row| row.split('p').nth(1)).collect();
    assert!(csv.starts_with("image,class,group,path,unit\n0,") && groups.len() > 2, "{csv}");
    let words = run(&["compare", text(&out)]).out;
    assert!(words.contains("test images in ") && words.contains("a bootstrap over groups"), "{words}");
    assert!(results(&path)["comparison"]["image_groups"].as_u64().is_some_and(|n| n > 2));
    // A picture of one's own is seen as those were; classes go by name.
    let own = path.join("own.png");
    picture(&own, 1_000);
    let ended = run(&["look", text(&out), "--file", text(&own), "--class", "a,b"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("own.png is ") && ended.out.contains("caf\u{e9} & <b>"), "{}", ended.out);
    fs::write(out.join("test-images.csv"), "image,class\n").unwrap();
    let ended = run(&["compare", text(&out)]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("test-images.csv: is not as a run writes it: its first line is not"), "{}", ended.err);
}

#[test]
fn data_that_cannot_teach_are_refused() {
    let path = labelled("cli-one-class", &[3; 100], &cycled(20, 0, 10));
    let ended = run_in(&path, &["--only", "softmax"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
    assert!(ended.err.contains("holds training images of one class, \"3\", expected 2 to "), "{}", ended.err);
    assert!(!path.join("out").exists());
}

#[test]
fn what_is_odd_is_told_recorded_and_on_the_page() {
    let path = labelled("cli-odd", &[&cycled(400, 0, 9)[..], &[9, 9, 9]].concat(), &cycled(90, 0, 9));
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
    let record = results(&path)["dataset"].clone();
    let shown = run(&["data", text(&path.join("data"))]);
    let note = "train-labels-idx1-ubyte is read, train-labels-idx1-ubyte.gz beside it is not";
    assert!(ended.err.contains(note) && record["notes"].to_string().contains(note), "{}", ended.err);
    assert!(page.contains(note) && shown.out.contains(note), "{}", shown.out);
    for warning in [
        "10 of 90 test images are among the training or validation images too (10 identical, ",
        "no test image of class 9",
        "too few training images to learn from: class 9 has ",
    ] {
        assert!(ended.err.contains(&format!("\nwarning: {warning}")), "{warning}\n{}", ended.err);
        assert!(record["warnings"].to_string().contains(warning) && page.contains(warning), "{warning}\n{record}");
    }
    assert!(shown.out.contains("10 of 90 test images are among the training"), "{}", shown.out);
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
    let note = "  images of 4x4x3 are taken as height, width and channels: channels last\n";
    assert!(own.err.contains(note), "{}", own.err);
}

#[test]
fn an_example_of_each_class_is_shown() {
    let path = labelled("cli-examples", &cycled(40, 1, 4), &cycled(8, 1, 4));
    let data = path.join("data");
    for (arguments, blocks) in [(&["data", text(&data)][..], [4 * 8 + 3; 4]), (&["data"], [10 * 28 / 2 + 9; 4])] {
        let output = tenfold(&[arguments, &["--show", "blocks"]].concat()).output().expect("the program starts");
        let out = String::from_utf8(output.stdout).expect("the program prints text");
        assert_eq!(output.status.code(), Some(0));
        let shown = out.split("one training image of each class:\n").nth(1).expect("it is shown");
        let found = shown.lines().find(|line| line.contains('▀')).map_or(0, |line| line.matches('▀').count());
        assert!(found > 0 && found <= blocks[0], "{found}\n{shown}");
        assert!(!run(arguments).out.contains("one training image"), "nobody looks");
    }
}

/// A grey PNG picture of 8 by 8, noise of this number.
pub(super) fn picture(path: &Path, number: usize) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
    let levels: Vec<u8> = (0..64).map(|at| noise(64 * number + at)).collect();
    let mut encoder = png::Encoder::new(fs::File::create(path).expect("the file can be made"), 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&levels)).expect("the picture can be written");
}

#[test]
fn what_is_understood_of_a_folder_of_pictures_is_told() {
    let path = folder("cli-understood");
    for n in 0..20 {
        picture(&path.join(format!("set/class {}/{n}.png", [2, 10][n % 2])), n);
    }
    fs::write(path.join("set/class 2/notes.txt"), "no picture").expect("the file can be written");
    let set = path.join("set");
    let ended = run(&["data", text(&set)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for part in [
        "  one folder for each class\n",
        "  20 training images of 1x8x8, 2 classes: class 2, class 10\n",
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
        (&[text(&path), "--set", "size = [0, 900]"], 2, "size = [0, 900]: expected sides of 1 to 256"),
        (&[text(&path), "--set", "sise = 3"], 2, "--set: unknown field `sise`, expected one of `size`, `channels`"),
    ];
    for (arguments, code, words) in cases {
        let ended = run(&[&["data"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
}

#[test]
fn a_project_that_is_moved_as_a_whole_finds_its_images() {
    let path = folder("cli-moved");
    let project = labelled("cli-moved/project", &cycled(120, 3, 3), &cycled(30, 3, 3));
    fs::create_dir(project.join("studies")).unwrap();
    study_file(&project.join("studies"), &study_of(3, "path = \"../data\""));
    let output = tenfold(&["run", "studies/mine.toml", "--threads", "2"]).current_dir(&project).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let record = fs::read(project.join("runs/mine/results.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(record["dataset"]["place"]["from_run"], "../../data");
    let moved = path.join("deeper/moved");
    fs::create_dir(path.join("deeper")).unwrap();
    fs::rename(&project, &moved).unwrap();
    let ended = run(&["report", text(&moved.join("runs/mine"))]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // The run folder alone has moved.
    fs::rename(moved.join("runs/mine"), path.join("mine")).unwrap();
    let ended = run(&["report", text(&path.join("mine"))]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("what had the images of the run is not there any more"), "{}", ended.err);
}

#[test]
fn a_path_to_nothing_ends_with_where_paths_begin() {
    let path = folder("cli-no-path");
    let study = |data: &str| study_file(&path, &study_of(3, &format!("path = \"{data}\"")));
    for (arguments, words) in [
        (&["run", "--data", "no/where"][..], "hint: a path begins at the current folder; `tenfold data get` lists "),
        (&["run", &study("no/where")], "hint: a path in a study file begins at the folder of that file; --data PATH "),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(
            ended.err.contains("no/where: cannot be read: ") && ended.err.contains(words),
            "{words}: {}",
            ended.err
        );
    }
    for (name, words) in [
        ("nowhere", "hint: --data PATH names another place; `tenfold data get` lists the data sets"),
        ("fashonmnist", "hint: did you mean \"fashion-mnist\"?"),
        ("mnist", "hint: MNIST is inside the program"),
    ] {
        let ended = run(&["run", &study(name)]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        let told =
            format!("{name}: there is no file or folder of that name beside the study file, and no such data set");
        assert!(ended.err.contains(&told) && ended.err.contains(words), "{words}: {}", ended.err);
    }
}

#[test]
fn of_few_images_the_built_in_study_takes_all_in_a_step() {
    let path = labelled("cli-few", &cycled(24, 0, 2), &cycled(8, 0, 2));
    let (data, out) = (path.join("data"), path.join("out"));
    let few = ["--data", text(&data), "--only", "softmax"];
    let ended = run(&[&["run"], &few[..], &["--epochs", "1", "--out", text(&out), "--threads", "2"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = results(&path);
    assert_eq!(record["recipes"][0]["batch_size"], record["dataset"]["train"]);
    let ended = run(&[&["bench"], &few[..], &["--seconds", "0.05"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // A study of one's own is taken at its word.
    let file = study_file(&path, &study_of(2, "").replace("epochs = 1", "batch_size = 32"));
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("hint: set a smaller batch_size in a study file"), "{}", ended.err);
}
