//! What was trained, used: on pictures, arrays and tables, alone and together.

use super::*;

/// A run of two recipes and two seeds on a small part of MNIST, whose class 7 has an odd name.
fn trained(name: &str) -> PathBuf {
    let path = with_data(name, |_, _| {});
    let ended = run_in(&path, &["--only", "softmax,mlp", "--epochs", "2", "--seeds", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    path
}

/// Test image `n` of the small part, as a PNG.
fn picture(path: &Path, n: usize) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
    let mut encoder = png::Encoder::new(fs::File::create(path).expect("the file can be made"), 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels = &small()[2][16 + 784 * n..][..784];
    encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels)).expect("the picture can be written");
}

/// Class and its probability of each row, as `predictions.csv` of a run has them.
fn of_run(path: &Path, trial: &str) -> Vec<(String, String)> {
    let csv =
        fs::read_to_string(path.join("out/trials").join(trial).join("predictions.csv")).expect("the run wrote it");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[2].to_owned(), fields[3].to_owned())
    };
    csv.lines().skip(1).map(row).collect()
}

/// The same of what `predict` printed.
fn of_rows(out: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.rsplitn(12, ',').collect();
        let class = fields[10].to_owned();
        let at = class.parse::<usize>().map_or(0, |class| 9 - class);
        (class, fields[at].to_owned())
    };
    out.lines().skip(1).map(row).collect()
}

#[test]
fn pictures_and_arrays_are_predicted_as_the_run_did_to_the_last_digit() {
    let path = trained("predict-same");
    (0..30).for_each(|n| picture(&path.join(format!("new/{n}.png")), n));
    let (out, new, data) = (path.join("out"), path.join("new"), path.join("data"));
    let model = format!("{}:mlp:2", text(&out));
    let expected = of_run(&path, "mlp/seed-2");
    let ended = run(&["predict", &model, text(&new)]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.starts_with("file,class,p_0,p_1,"), "{}", ended.out);
    let named: Vec<&str> = ended.out.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert!(named[2].ends_with("new/2.png") && named[10].ends_with("new/10.png"), "in natural order: {named:?}");
    assert_eq!(of_rows(&ended.out), expected[..30]);
    // The test images of the four files, by a mailed model file, on one thread.
    let mailed = path.join("mailed.safetensors");
    fs::copy(out.join("trials/mlp/seed-2/model.safetensors"), &mailed).unwrap();
    let ended = run(&["predict", text(&mailed), text(&data), "--threads", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.ends_with("data: 200 test images are predicted\n"), "{}", ended.err);
    assert_eq!(of_rows(&ended.out), expected);
    // A table of pixels without labels, into a file.
    let table: String = (0..3)
        .map(|n| small()[2][16 + 784 * n..][..784].iter().map(u8::to_string).collect::<Vec<_>>().join(",") + "\n")
        .collect();
    let header: Vec<String> = (0..784).map(|n| format!("pixel{n}")).collect();
    fs::write(path.join("test.csv"), format!("{}\n{table}", header.join(","))).unwrap();
    let written = path.join("said.csv");
    let ended = run(&["predict", &model, text(&path.join("test.csv")), "--out", text(&written)]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert_eq!(of_rows(&fs::read_to_string(&written).unwrap()), expected[..3]);
    // As Kaggle wants it.
    let ended = run(&["predict", &model, text(&path.join("test.csv")), "--kaggle"]);
    let rows: Vec<String> = (0..3).map(|n| format!("{},{}\n", n + 1, expected[n].0)).collect();
    assert_eq!(ended.out, format!("ImageId,Label\n{}", rows.concat()));
}

#[test]
fn several_seeds_speak_with_one_voice() {
    let path = trained("predict-seeds");
    (0..3).for_each(|n| picture(&path.join(format!("new/{n}.png")), n));
    let out = text(&path.join("out")).to_owned();
    let said = |model: &str, more: &[&str]| {
        let ended = run(&[&["predict", &format!("{out}{model}"), text(&path.join("new"))], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    };
    let numbers = |out: &str| -> Vec<f64> {
        out.lines().skip(1).flat_map(|line| line.rsplitn(12, ',').take(10)).map(|p| p.parse().unwrap()).collect()
    };
    let (one, two, both) = (said(":mlp:1", &[]), said(":mlp:2", &[]), said(":mlp", &[]));
    for ((one, two), both) in numbers(&one).into_iter().zip(numbers(&two)).zip(numbers(&both)) {
        assert!(((one + two) / 2.0 - both).abs() < 1e-7, "{one} {two} {both}");
    }
    // The folder alone is its pick.
    assert!([said(":softmax:1", &[]), said(":softmax:2", &[]), one, two].contains(&said("", &[])));
    let json: serde_json::Value = serde_json::from_str(&said(":mlp", &["--format", "json", "--top", "2"])).unwrap();
    assert_eq!((json.as_array().map(Vec::len), json[0]["probabilities"].as_array().map(Vec::len)), (Some(3), Some(2)));
    assert_eq!(json[0]["class"], json[0]["probabilities"][0][0]);
    let top = said(":mlp", &["--top", "3"]);
    assert!(top.starts_with("file,class_1,p_1,class_2,p_2,class_3,p_3\n"), "{top}");
    let none = said(":mlp", &["--abstain", "1"]);
    assert!(none.lines().skip(1).all(|line| line.contains(".png,,")), "{none}");
}

#[test]
fn probabilities_are_calibrated_and_the_unsure_left_out_by_what_the_run_found() {
    let path = trained("predict-calibrated");
    let out = text(&path.join("out")).to_owned();
    let data = path.join("data");
    let said = |model: &str, more: &[&str]| {
        let ended = run(&[&["predict", model, text(&data)], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended
    };
    let row = |line: &str| -> (String, Vec<f64>) {
        let fields: Vec<&str> = line.rsplitn(12, ',').collect();
        (fields[10].to_owned(), fields[..10].iter().map(|p| p.parse().unwrap()).collect())
    };
    let record = results(&path);
    let recipe = &record["recipes"][1];
    for (model, found) in [(":mlp:1", &recipe["trials"][0]), (":mlp", &recipe["ensemble"])] {
        let found = &found["calibration"];
        let temperature = found["temperature"].as_f64().unwrap();
        let model = format!("{out}{model}");
        let (plain, calibrated) = (said(&model, &[]), said(&model, &["--calibrate"]));
        assert!(calibrated.err.contains(&format!("logits are divided by {temperature}, ")), "{}", calibrated.err);
        for (plain, calibrated) in plain.out.lines().skip(1).map(row).zip(calibrated.out.lines().skip(1).map(row)) {
            assert_eq!(plain.0, calibrated.0, "no class changes");
            // Differences of logits, as far as they are told by numbers of seven digits.
            let logit = |row: &Vec<f64>, n: usize| (row[n] / row[0]).ln();
            for n in 1..10 {
                let (one, other) = (logit(&plain.1, n) / temperature, logit(&calibrated.1, n));
                assert!((one - other).abs() < 1e-4, "{one} {other}");
            }
        }
        // The lowest of the thresholds that the record has, as it says.
        let thresholds = found["calibrated"]["thresholds"].as_array().unwrap();
        let numbers = |at: &serde_json::Value| [0, 1, 2].map(|n| at[n].as_f64().unwrap());
        let expected = thresholds.iter().map(numbers).find(|&[_, answered, wrong]| wrong <= 0.1 * answered);
        let abstained = run(&["predict", &model, text(&data), "--calibrate", "--abstain-error", "0.1"]);
        let Some([threshold, answered, _]) = expected else {
            assert!(
                abstained.code == Some(3) && abstained.err.contains("no threshold keeps to it"),
                "{}",
                abstained.err
            );
            continue;
        };
        assert!(abstained.err.contains(&format!("less than {}: of the ", threshold as f32)), "{}", abstained.err);
        assert!(abstained.err.contains(&format!("images {answered} were named then (")), "{}", abstained.err);
        for (row_of_all, row_of_sure) in
            calibrated.out.lines().skip(1).map(row).zip(abstained.out.lines().skip(1).map(row))
        {
            let sure = row_of_all.1.iter().copied().fold(0.0, f64::max) >= threshold;
            assert_eq!(row_of_sure.0, if sure { row_of_all.0 } else { String::new() });
        }
        if model.ends_with(":mlp") {
            continue;
        }
        // A model file that has both says the same by itself.
        let file = path.join("calibrated.safetensors");
        let ended = run(&["export", &model, "--to", text(&file), "--calibrate", "--abstain-error", "0.1"]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(said(text(&file), &[]).out, abstained.out);
        assert_eq!(said(text(&file), &["--abstain", "0"]).out, calibrated.out);
        let ended = run(&["predict", text(&file), text(&data), "--calibrate"]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("name the training in its run folder, DIR:RECIPE:SEED"), "{}", ended.err);
        let onnx = path.join("calibrated.onnx");
        assert_eq!(run(&["export", &model, "--to", text(&onnx), "--calibrate"]).code, Some(0));
        let bytes = fs::read(&onnx).unwrap();
        let words = format!("\"temperature\":{temperature}");
        assert!(bytes.windows(words.len()).any(|part| part == words.as_bytes()), "the file says so");
    }
    let page = fs::read_to_string(path.join("out/report.html")).unwrap();
    assert!(page.contains("Whether probabilities mean what they say") && page.contains("2 seeds together"));
    let compared = run(&["compare", &out]);
    // Wherever lines break.
    let words = compared.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Seeds together") && words.contains("for the mean of seeds"), "{}", compared.out);
    // A run of a version that did not look for it.
    let mut older = record.clone();
    for recipe in older["recipes"].as_array_mut().unwrap() {
        recipe.as_object_mut().unwrap().remove("ensemble");
        recipe["trials"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|trial| drop(trial.as_object_mut().unwrap().remove("calibration")));
    }
    fs::write(path.join("out/results.json"), older.to_string()).unwrap();
    for (model, words) in [(":mlp:1", "seed-1/result.json and run the study again"), (":mlp", "or name one seed")] {
        let ended = run(&["predict", &format!("{out}{model}"), text(&data), "--calibrate"]);
        assert!(ended.code == Some(3) && ended.err.contains(words) && ended.out.is_empty(), "{}", ended.err);
    }
}

#[test]
fn what_cannot_be_predicted_is_named_and_the_rest_is_predicted() {
    let path = trained("predict-odd");
    let (out, new) = (path.join("out"), path.join("new"));
    picture(&new.join("a, \"b\".png"), 0);
    picture(&new.join("z.png"), 1);
    fs::write(new.join("notes.txt"), "text").unwrap();
    let model = format!("{}:softmax", text(&out));
    let ended = run(&["predict", &model, text(&new)]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.out.contains("a, \"\"b\"\".png\",") && ended.out.lines().count() == 3, "{}", ended.out);
    assert!(
        ended.err.starts_with("error: 1 file was not predicted, 2 were\n")
            && ended.err.contains("notes.txt: it is no picture"),
        "{}",
        ended.err
    );
    // A list on standard input, in its order; the last is not there.
    let of_list = |list: &str| {
        let mut child = tenfold(&["predict", &model, "-", "--top", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), list.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), out, err)
    };
    let (code, rows, _) = of_list(&format!("{0}/z.png\n{0}/a, \"b\".png\n{0}/none.png", text(&new)));
    assert_eq!(code, Some(3));
    assert!(rows.lines().nth(1).is_some_and(|row| row.contains("z.png")) && rows.lines().count() == 3, "{rows}");
    for (list, words) in [
        ("a.png\0b.png\0", "standard input: line 1 has a zero byte in it, expected one path in a line"),
        ("\n\n", "standard input: names no file, expected a path in each line"),
    ] {
        let (code, rows, told) = of_list(list);
        assert!((code, rows.as_str()) == (Some(2), "") && told.contains(words), "{list:?}: {told}");
    }
    // What is typed wrongly, and what cannot be written.
    let other = path.join("other.safetensors");
    let weights = fs::read(out.join("trials/softmax/seed-1/model.safetensors")).unwrap();
    fs::write(&other, &weights[..weights.len() - 4]).unwrap();
    let (picture, nowhere) = (text(&new.join("z.png")).to_owned(), path.join("none/x.csv"));
    let cases: [(&[&str], i32, &str); 9] = [
        (&["nowhere", &picture], 2, "there is no such model file or run folder"),
        (&[&format!("{}:softmaxx", text(&out)), &picture], 2, "did you mean \"softmax\"?"),
        (&[&format!("{}:softmax:9", text(&out)), &picture], 2, "no such training has finished"),
        (&[&model, "nowhere.png"], 2, "nowhere.png: there is no such file or folder"),
        (&[&model, &picture, "--top", "11"], 2, "--top is 11, and the network has 10 classes"),
        (&[text(&other), &picture], 3, "other.safetensors: "),
        (&[&model, &picture, "--out", text(&nowhere)], 4, "x.csv"),
        (&[&model, &picture, "--abstain", "1.5"], 2, "expected a probability from 0 to 1"),
        (&[&model, &picture, "--abstain-error", "1"], 2, "expected a share from 0 to less than 1"),
    ];
    for (arguments, code, words) in cases {
        let ended = run(&[&["predict"], arguments].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
}

#[test]
fn a_network_is_measured_on_other_images_by_the_names_of_their_classes() {
    let path = trained("evaluate");
    let out = path.join("out");
    let model = format!("{}:mlp:1", text(&out));
    let ended = run(&["evaluate", &model, "--data", text(&path.join("data")), "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let trial = &results(&path)["recipes"][1]["trials"][0];
    assert_eq!(
        (&record["metrics"]["confusion"], &record["network"]),
        (&trial["test"]["confusion"], &"mlp seed 1".into())
    );
    let (loss, of_run) = (record["metrics"]["loss"].as_f64().unwrap(), trial["test"]["loss"].as_f64().unwrap());
    assert!((loss - of_run).abs() < 1e-6, "{loss} {of_run}");
    // Two classes in a folder each, called as those of the network are.
    (0..40).for_each(|n| {
        let label = small()[3][8 + n];
        if label == 1 || label == 7 {
            picture(&path.join(format!("some/{label}/{n}.png")), n);
        }
    });
    let ended = run(&["evaluate", &model, "--data", text(&path.join("some"))]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.starts_with("mlp seed 1 on ") && ended.out.contains("\n95 % intervals: "), "{}", ended.out);
    assert!(!ended.err.contains("pixel for pixel"), "{}", ended.err);
    // One that was trained on, or validated with, among them.
    let mut encoder = png::Encoder::new(fs::File::create(path.join("some/1/more.png")).unwrap(), 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&small()[0][16..][..784]).unwrap();
    let ended = run(&["evaluate", &model, "--data", text(&path.join("some"))]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.err.contains("1 of these ") && ended.err.contains("is one that the network was trained on"),
        "{}",
        ended.err
    );
    fs::rename(path.join("some/7"), path.join("some/seven")).unwrap();
    let ended = run(&["evaluate", &model, "--data", text(&path.join("some"))]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""));
    assert!(
        ended.err.contains("of class \"seven\", which the network does not know, expected one of 0, 1, 2"),
        "{}",
        ended.err
    );
    // Nothing says what these are.
    fs::rename(path.join("some/seven"), path.join("some/7")).unwrap();
    let header: Vec<String> = (0..784).map(|n| format!("pixel{n}")).collect();
    fs::write(path.join("test.csv"), format!("{}\n{}\n", header.join(","), vec!["7"; 784].join(","))).unwrap();
    let ended = run(&["evaluate", &model, "--data", text(&path.join("test.csv"))]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("its images have no labels"), "{}", ended.err);
}

#[test]
fn a_network_is_exported_once_and_several_are_not() {
    let path = trained("export");
    let out = text(&path.join("out")).to_owned();
    let to = path.join("net.onnx");
    let ended = run(&["export", &format!("{out}:mlp:1"), "--to", text(&to)]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.contains("numpy.zeros((1, 28, 28, 1), numpy.uint8)") && ended.out.contains("grey from 0 to 255"));
    let bytes = fs::read(&to).unwrap();
    assert!(bytes.len() > 4 * 199_210 && bytes.windows(7).any(|part| part == b"tenfold"));
    let copy = path.join("net.safetensors");
    assert_eq!(run(&["export", &format!("{out}:mlp:1"), "--to", text(&copy)]).code, Some(0));
    assert_eq!(fs::read(&copy).unwrap(), fs::read(path.join("out/trials/mlp/seed-1/model.safetensors")).unwrap());
    for (model, to, code, words) in [
        (format!("{out}:mlp"), "x.onnx", 2, "is several trainings, and a file holds one"),
        (out.clone(), "x.h5", 2, "x.h5: is neither .onnx nor .safetensors"),
        (out.clone(), "none/x.onnx", 4, "x.onnx: cannot be written"),
    ] {
        let ended = run(&["export", &model, "--to", text(&path.join(to))]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.err);
        assert!(ended.err.contains(words), "{}", ended.err);
    }
}

#[test]
fn views_are_those_of_the_run_and_plain_figures_stand_beside_them() {
    let path = with_data("predict-views", |_, _| {});
    let views = "epochs = 2\ntest_time_augmentation = [\"shift 1\", \"flip\"]";
    let ended = run_in(&path, &[&study_file(&path, &STUDY.replace("epochs = 2", views)), "--seeds", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (out, data) = (text(&path.join("out")).to_owned(), path.join("data"));
    let recipe = &results(&path)["recipes"][0];
    let of_run = &recipe["test_time_augmentation"]["seeds"][0]["test"];
    let said = |model: &str, more: &[&str]| {
        let ended = run(&[&["evaluate", &format!("{out}{model}"), "--data", text(&data)], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    };
    let json = |model: &str, more: &[&str]| -> serde_json::Value {
        serde_json::from_str(&said(model, &[&["--format", "json"], more].concat())).unwrap()
    };
    let (plain, shown) = (json(":a:1", &[]), json(":a:1", &["--views", "shift 1,flip"]));
    assert_eq!(shown["metrics"]["confusion"], of_run["confusion"]);
    let loss = |of: &serde_json::Value| of["loss"].as_f64().unwrap();
    assert!((loss(&shown["metrics"]) - loss(of_run)).abs() < 1e-6, "{shown}");
    assert_eq!((&shown["plain"]["metrics"], &shown["plain"]["statistics"]), (&plain["metrics"], &plain["statistics"]));
    assert_eq!((&shown["views"], &plain["views"]), (&serde_json::json!(["shift 1", "flip"]), &serde_json::Value::Null));
    assert_ne!(shown["metrics"], plain["metrics"]);
    let words = said(":a:1", &["--views", "flip, shift 1"]);
    let sentence = "what is said of an image is the mean over 10 views of it (shift 1, flip)\n";
    assert!(words.lines().nth(1).is_some_and(|line| format!("{line}\n") == sentence), "{words}");
    assert!(words.contains("\nwith each image shown once, as it is: accuracy "), "{words}");
    // Of several networks, all views of all of them; and as a table says it.
    let rows = |model: &str, more: &[&str]| {
        let ended = run(&[&["predict", &format!("{out}{model}"), text(&data)], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let row = |line: &str| line.rsplitn(12, ',').take(10).map(|p| p.parse::<f64>().unwrap()).collect::<Vec<_>>();
        (ended.out.lines().skip(1).flat_map(row).collect::<Vec<f64>>(), ended.err)
    };
    let ((one, told), (two, _), (both, _)) =
        (rows(":a:1", &["--views", "flip"]), rows(":a:2", &["--views", "flip"]), rows(":a", &["--views", "flip"]));
    assert!(told.starts_with("what is said of an image is the mean over 2 views of it (flip)\n"), "{told}");
    assert!(one.iter().zip(&two).zip(&both).all(|((one, two), both)| ((one + two) / 2.0 - both).abs() < 1e-6));
    // What was found for images shown once is not taken for the mean over views.
    let model = format!("{out}:a:1");
    let [calibrated, unsure] = ["calibrated", "unsure"].map(|name| path.join(format!("{name}.safetensors")));
    for (to, option) in [(&calibrated, "--calibrate"), (&unsure, "--abstain-error=0.9")] {
        assert_eq!(run(&["export", &model, "--to", text(to), option]).code, Some(0));
    }
    let cases: [(&[&str], &str); 8] = [
        (
            &[&model, "--views", "filp"],
            "there is no view \"filp\", expected \"flip\" or \"shift 1\"; did you mean \"flip\"?",
        ),
        (&[&model, "--views", "shift 20"], "--views: \"shift 20\" moves images too far, expected at most 14 pixels"),
        (&[&model, "--views", "flip,flip"], "the view \"flip\" is there twice"),
        (&[&model, "--views", "flip", "--calibrate"], "hint: leave --views out, or --calibrate"),
        (
            &[&model, "--views", "flip", "--abstain-error", "0.1"],
            "a threshold that was found for images shown once does not hold",
        ),
        (&[text(&calibrated), "--views", "flip"], "hint: use a file that was exported without --calibrate"),
        (&[text(&unsure), "--views", "flip"], "hint: choose a threshold of your own, --abstain P"),
        (&[text(&unsure), "--views", ""], "there is no view \"\""),
    ];
    for (arguments, words) in cases {
        let ended = run(&[&["predict"], arguments, &[text(&data)]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    let ended = run(&["predict", text(&unsure), text(&data), "--views", "flip", "--abstain", "0.5"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}
