//! `tenfold look` as a person meets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tenfold_nn::data::Source;

use super::{Ended, folder, results, run, small, text, with_data};

const STUDY: &str = r#"
name = "look"

[[recipe]]
name = "flat"
layers = ["linear 10"]
epochs = 1

[[recipe]]
name = "small"
layers = ["conv 4 5x5 same", "relu", "maxpool 2", "conv 3 3x3", "relu", "linear 12", "relu", "linear 10"]
epochs = 2
optimizer = { kind = "adam", lr = 1e-3 }

[[recipe]]
name = "strided"
layers = ["conv 4 5x5 same", "relu", "conv 3 3x3 stride 2", "relu", "linear 10"]
epochs = 2
optimizer = { kind = "adam", lr = 1e-3 }
"#;

/// A run of two seeds, which every test of this file looks at; each in its own copy.
fn looked_at() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let path = with_data("look-run", |_, _| {});
        fs::write(path.join("study.toml"), STUDY).unwrap();
        let data = path.join("data");
        let study = path.join("study.toml");
        let out = path.join("out");
        let arguments =
            ["run", text(&study), "--seeds", "2", "--data", text(&data), "--out", text(&out), "--threads", "2"];
        let ended = run(&arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        path
    })
}

/// A copy of the run's folder.
fn copy(name: &str) -> PathBuf {
    fn copy_all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_all(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let path = folder(name);
    copy_all(&looked_at().join("out"), &path);
    path
}

#[track_caller]
fn look(path: &Path, arguments: &[&str]) -> Ended {
    let data = looked_at().join("data");
    run(&[&["look", text(path), "--data", text(&data), "--threads", "2"], arguments].concat())
}

/// The width and height of a PNG file, all of which is decoded.
#[track_caller]
fn size(path: &Path) -> (u32, u32) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap_or_else(|_| panic!("{} is there", path.display())));
    let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it is not huge")];
    let frame = reader.next_frame(&mut pixels).expect("it is whole");
    (frame.width, frame.height)
}

#[test]
fn every_network_has_its_page_and_pictures() {
    let path = copy("look-pages");
    let ended = look(&path, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for words in
        ["flat seed ", "small seed ", "strided seed ", "  fc1: 10 filters; without filter ", "  conv2: 3 filters; "]
    {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    // Everything that is named is there, and nothing else is.
    let named: Vec<&Path> = ended.out.lines().filter_map(|line| line.strip_prefix("  /")).map(Path::new).collect();
    let named: Vec<PathBuf> = named.iter().map(|path| Path::new("/").join(path)).collect();
    assert_eq!(named.len(), 3 + 2 * (1 + 2 + 2), "{}", ended.out);
    for file in &named {
        if file.extension().is_some_and(|ext| ext == "png") {
            assert!(size(file).0 > 200, "{}", file.display());
        }
    }
    let page = named.iter().find(|file| text(file).contains("/small-seed-") && text(file).ends_with(".html")).unwrap();
    let page = fs::read_to_string(page).unwrap();
    for part in [
        "Filters of conv1",
        "Filters of conv2",
        "One image&#39;s way through",
        "Through training",
        "The same filter in other seeds",
        "conv 4 5x5 same, relu, maxpool 2",
        "default-src 'none'",
    ] {
        assert!(page.contains(part) || page.contains(&part.replace("&#39;", "'")), "{part}");
    }
    assert!(!page.contains("<script"), "it runs nothing");
    // The same again: the same bytes.
    let before = fs::read(&named[0]).unwrap();
    look(&path, &["--model", "flat"]);
    assert!(fs::read(&named[0]).unwrap() == before, "the same bytes");
    let record = results(looked_at());
    assert!(record["recipes"][1]["trials"][0]["filters_sha256"].is_string());
}

#[test]
fn some_layers_and_filters_of_a_seed_can_be_asked_for() {
    let path = copy("look-some");
    let ended = look(&path, &["--seed", "2", "--layer", "conv2", "--filters", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("small seed 2") && ended.out.contains("strided seed 2"), "{}", ended.out);
    assert!(!ended.out.contains("flat") && !ended.out.contains("conv1"), "networks without the layer: {}", ended.out);
    let page = fs::read_to_string(path.join("look/small-seed-2.html")).unwrap();
    assert!(page.contains("2 of 3 filters of conv2"), "n of N is said");
    let ended = look(&path, &["--model", "small", "--seed", "2", "--filter", "3,1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let page = fs::read_to_string(path.join("look/small-seed-2.html")).unwrap();
    assert!(page.contains("2 of 4 filters of conv1") && page.contains("1 of 3 filters of conv2"), "by their numbers");
    let ended = look(&path, &["--seed", "2", "--filter", "3", "--film"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("film-conv1.png") && !ended.out.contains("film-conv2.png"), "{}", ended.out);
    for rest in [&["--film"][..], &["--match", "--layer", "conv2"], &["--image", "3"]] {
        let ended = look(&path, &[&["--model", "small", "--filter", "2"], rest].concat());
        assert_eq!(ended.code, Some(0), "{rest:?}: {}", ended.err);
    }
}

#[test]
fn an_image_is_followed_through() {
    let path = copy("look-image");
    let ended =
        look(&path, &["--image", "7", "--model", "small", "--seed", "1", "--class", "3", "--unit", "conv2:1,3,4"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let label = Source::mnist().test.labels_for_report()[7];
    assert!(ended.out.contains(&format!("small seed 1: test image 7, labelled {label} is ")), "{}", ended.out);
    assert_eq!(size(&path.join("look/small-seed-1/test-7.png")).0, 1480);
    let page = fs::read_to_string(path.join("look/small-seed-1/test-7.html")).unwrap();
    assert!(page.contains("mattered for class 3"), "the class that was asked for");
    let ended = look(&path, &["--image", "7", "--of", "valid", "--model", "flat"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("validation image 7, labelled "), "{}", ended.out);
}

/// A grey PNG.
fn png(path: &Path, width: usize, height: usize, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

#[test]
fn a_picture_of_ones_own_is_centred_and_followed() {
    let path = copy("look-file");
    let image = &small()[2][16..16 + 784];
    let file = path.join("my digit!.png");
    // Three times as large, dark on light, to the right on a wide paper.
    let (width, height) = (200, 100);
    let mut pixels = vec![255; width * height];
    for (y, x) in (0..84).flat_map(|y| (0..84).map(move |x| (y, x))) {
        pixels[(y + 8) * width + x + 100] = 255 - image[y / 3 * 28 + x / 3];
    }
    png(&file, width, height, &pixels);
    let ended = look(&path, &["--file", text(&file), "--model", "small", "--seed", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("small seed 1: my digit!.png is "), "{}", ended.out);
    let theirs = ended.out.lines().next().unwrap().split(" is ").nth(1).unwrap().to_owned();
    let ended = look(&path, &["--image", "0", "--model", "small", "--seed", "1"]);
    assert!(ended.out.lines().next().unwrap().ends_with(&theirs), "the same digit: {theirs}, {}", ended.out);
    // Taller by the band of steps.
    let with_steps = size(&file_of(&path, "file-my digit!-"));
    assert!(with_steps.1 > size(&path.join("look/small-seed-1/test-0.png")).1, "the steps are shown");
}

/// The picture in the folder of `small` whose name begins so.
#[track_caller]
fn file_of(path: &Path, beginning: &str) -> PathBuf {
    let files = fs::read_dir(path.join("look/small-seed-1")).expect("it is there").flatten();
    let mut files = files.map(|file| file.path()).filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(beginning) && name.ends_with(".png")
    });
    files.next().unwrap_or_else(|| panic!("there is no {beginning}"))
}

#[test]
fn pictures_that_are_called_alike_do_not_overwrite_each_other() {
    let path = copy("look-names");
    let pixels: Vec<u8> = (0..28 * 28).map(|at| if at % 28 == 14 { 0 } else { 255 }).collect();
    let long = "数".repeat(80);
    let names = ["a/7.png", "b/7.png", "a/数字.png", "a/七.png", &format!("a/{long}.png")];
    for (n, name) in names.iter().enumerate() {
        let file = path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        png(&file, 28, 28, &pixels);
        // Twice: the same picture takes its own place.
        for _ in 0..2 {
            let ended = look(&path, &["--file", text(&file), "--model", "small", "--seed", "1"]);
            assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
        }
        let files = fs::read_dir(path.join("look/small-seed-1")).unwrap().count();
        assert_eq!(files, 2 * (n + 1), "{name}: a picture and a page");
    }
    for beginning in ["file-数字-", "file-七-", "file-数数"] {
        file_of(&path, beginning);
    }
}

#[test]
fn filters_are_followed_through_training_and_to_other_networks() {
    let path = copy("look-film");
    let ended = look(&path, &["--film", "--model", "small"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let moving = ended.out.lines().find(|line| line.ends_with("film-conv1-moving.png")).expect("it is named").trim();
    let reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(moving).unwrap())).read_info().unwrap();
    assert_eq!(reader.info().animation_control().map(|control| control.num_frames), Some(3), "epochs 0, 1, 2");

    let ended = look(&path, &["--match", "--model", "small"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains(" of 4 filters of conv1 of small seed "), "{}", ended.out);
    assert!(ended.out.contains("; between untrained networks "), "{}", ended.out);
    // Of several recipes never the same seed: these begin alike.
    let ended = look(&path, &["--match", "--layer", "conv1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let line = ended.out.lines().next().unwrap();
    assert!(line.contains("small seed 1") != line.contains("strided seed 1"), "{line}");

    // An earlier version kept no filters.
    let trial = path.join("results.json");
    let record = fs::read_to_string(&trial).unwrap().replace("\"filters_sha256\": \"", "\"none\": \"");
    fs::write(&trial, record).unwrap();
    let ended = look(&path, &["--film", "--model", "small"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("no filters of each epoch were kept"), "{}", ended.err);
}

#[test]
fn the_mistakes_are_shown() {
    let path = copy("look-mistakes");
    let ended = look(&path, &["--mistakes"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended
            .out
            .contains(" of 200 test images are taken for another class by at least half of a recipe's trainings; "),
        "{}",
        ended.out
    );
    size(&path.join("look/mistakes.png"));
    let page = fs::read_to_string(path.join("look/mistakes.html")).unwrap();
    assert!(page.contains("3 recipes, 6 trainings") && page.contains(" taken for "), "pairs and who was asked");
}

#[test]
fn pictures_are_for_terminals() {
    let path = copy("look-shown");
    let data = looked_at().join("data");
    for (show, beginning) in [("blocks", "\x1b[38;2;"), ("sixel", "\x1bP"), ("kitty", "\x1b_G")] {
        let output = super::tenfold(&["look", text(&path), "--data", text(&data), "--image", "1", "--show", show])
            .output()
            .expect("the program starts");
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains(beginning), "{show}");
    }
    // `run` and the other tests see to it that nothing of the kind is in a pipe.
    assert_eq!(look(&path, &["--image", "1", "--show", "none"]).code, Some(0));
}

#[test]
fn what_is_not_there_is_refused_with_advice() {
    let path = copy("look-refused");
    let file = |name: &str, bytes: &[u8]| {
        let file = path.join(name);
        fs::write(&file, bytes).unwrap();
        text(&file).to_owned()
    };
    let white = path.join("white.png");
    png(&white, 50, 40, &[255; 2000]);
    let whole = fs::read(&white).unwrap();
    let cut = file("cut.png", &whole[..whole.len() - 20]);
    let jpeg = file("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF");
    let empty = file("empty.png", b"");
    let mut huge = whole.clone();
    // The header says that it is 4 billion pixels wide; its checksum is put right.
    huge[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    let huge = file("huge.png", &huge);
    let folder = text(&path).to_owned();
    for (arguments, code, part) in [
        (vec!["--model", "smal"], 2, "did you mean \"small\"?"),
        (vec!["--model", "small", "--seed", "9"], 2, "there are seeds 1, 2"),
        (vec!["--seed", "9"], 2, "no training from seed 9 has finished"),
        (vec!["--layer", "conv9"], 2, "did you mean \"conv"),
        (vec!["--model", "small", "--filter", "1,4"], 2, "those of conv1 of small are numbered from 0 to 3"),
        (vec!["--match", "--model", "small", "--filter", "4"], 2, "there is no filter 4"),
        (vec!["--filter", "1", "--filters", "1"], 2, "cannot be used with"),
        (vec!["--filter", "x"], 2, "invalid"),
        (vec!["--image", "200"], 2, "they are numbered from 0 to 199"),
        (vec!["--image", "60", "--of", "valid"], 2, "there is no validation image 60"),
        (vec!["--image", "-1"], 2, "unexpected argument"),
        (vec!["--image", "1", "--class", "10"], 2, "there is no class 10"),
        (vec!["--image", "1", "--model", "flat", "--unit", "conv1:0,0,0"], 2, "has no layer \"conv1\""),
        (vec!["--image", "1", "--model", "small", "--unit", "conv1:4,0,0"], 2, "it has 4 filters of 28 rows"),
        (vec!["--image", "1", "--unit", "conv1:4"], 2, "such as conv2:5,3,4"),
        (vec!["--image", "1", "--film"], 2, "cannot be used with"),
        (vec!["--match", "--model", "flat"], 2, "different seeds with conv1"),
        (vec!["--file", "no/such.png"], 2, "no/such.png"),
        (vec!["--file", &white.display().to_string()], 3, "white.png"),
        (vec!["--file", &cut], 3, "cut.png"),
        (vec!["--file", &jpeg], 3, "save it as PNG"),
        (vec!["--file", &empty], 3, "empty.png"),
        (vec!["--file", &huge], 3, "huge.png"),
        (vec!["--file", &folder], 2, "look-refused"),
    ] {
        let ended = look(&path, &arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(part), "{arguments:?}: {}", ended.err);
    }
    for (arguments, code, part) in [
        (vec!["look", "no/such/folder"], 2, "there is no such folder"),
        (vec!["look", text(&looked_at().join("data"))], 2, "not a run folder"),
    ] {
        let ended = run(&arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(part), "{arguments:?}: {}", ended.err);
    }
    fs::write(path.join("trials/small/seed-1/model.safetensors"), "other weights").unwrap();
    let ended = look(&path, &["--model", "small", "--seed", "1"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("is not the file that the trial wrote"), "{}", ended.err);
    // Not read to its end: it has a terabyte, all of it holes.
    let weights = fs::File::create(path.join("trials/small/seed-1/model.safetensors")).unwrap();
    weights.set_len(1 << 40).unwrap();
    let ended = look(&path, &["--model", "small", "--seed", "1"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("model.safetensors: cannot read the file: it has more than"), "{}", ended.err);
}

/// Images of two channels, which no picture can show as they are, and networks where no ReLU follows the convolution.
#[test]
fn other_channels_and_activations_are_shown_too() {
    let path = folder("look-channels");
    fs::create_dir(path.join("data")).unwrap();
    let file = |name: &str, dims: &[usize], bytes: Vec<u8>| {
        fs::write(path.join("data").join(name), super::idx(dims, &bytes)).unwrap();
    };
    let pixels = |n: usize| (0..n * 2 * 64).map(|i| ((i * 37 + i / 128 * 11) % 256) as u8).collect();
    let labels = |n: usize| (0..n).map(|i| (i % 10) as u8).collect();
    file(super::FILES[0], &[60, 2, 8, 8], pixels(60));
    file(super::FILES[1], &[60], labels(60));
    file(super::FILES[2], &[20, 2, 8, 8], pixels(20));
    file(super::FILES[3], &[20], labels(20));
    let study = path.join("two.toml");
    let recipe = |name: &str, layers: &str| format!("[[recipe]]\nname = \"{name}\"\nlayers = [{layers}]\nepochs = 1\n");
    let recipes = [
        recipe("tanh", r#""conv 3 3x3 same", "tanh", "linear 10""#),
        recipe("pool", r#""conv 3 3x3", "maxpool 2", "relu", "linear 10""#),
        recipe("late", r#""tanh", "linear 10""#),
    ];
    fs::write(&study, format!("name = \"two\"\n{}", recipes.concat())).unwrap();
    let (data, out) = (path.join("data"), path.join("out"));
    let ended = run(&["run", text(&study), "--data", text(&data), "--out", text(&out)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for arguments in [&[][..], &["--image", "3"], &["--film"], &["--mistakes"]] {
        let ended = run(&[&["look", text(&out), "--data", text(&data)], arguments].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        assert!(!ended.out.contains("falls by 0.00") && !ended.out.contains("falls by -"), "{}", ended.out);
    }
    let page = fs::read_to_string(out.join("look/pool-seed-1/test-3.html")).unwrap();
    assert!(page.contains("channel 1 of 2"), "what is shown of two channels is said");

    // A record that was edited is not believed.
    let record = fs::read_to_string(out.join("results.json")).unwrap();
    let flat: String = record.split_whitespace().collect();
    assert!(flat.contains("\"shape\":[2,8,8]"));
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["dataset"]["shape"] = serde_json::json!([2, 4, 16]);
    fs::write(out.join("results.json"), record.to_string()).unwrap();
    let ended = run(&["look", text(&out), "--data", text(&data), "--image", "3"]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("is not true of them"), "{}", ended.err);
}
