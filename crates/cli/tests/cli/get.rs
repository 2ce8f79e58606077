//! Published data sets: what is said of them, and where their names lead. No network but loopback.

use super::*;

/// The program with a cache folder of its own, and a proxy that nobody is behind.
fn with_cache(cache: &Path, arguments: &[&str]) -> Ended {
    let mut command = tenfold(arguments);
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("TENFOLD_CACHE", cache).env("ALL_PROXY", "http://127.0.0.1:1").env_remove("SSL_CERT_FILE");
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints text");
    let ended = Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ended.err.contains("panicked"), "{arguments:?}: {}", ended.err);
    ended
}

#[test]
fn data_sets_are_listed_with_what_is_here() {
    let cache = folder("cli-get-list");
    fs::create_dir(cache.join("qmnist")).unwrap();
    let ended = with_cache(&cache, &["data", "get"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for part in [
        "fashion-mnist    clothes and shoes, 10 classes, 28x28 grey\n",
        " 60,000 training and 10,000 test images; licence: MIT; 30.9 MB to fetch; not fetched\n",
        " 60,000 training and 60,000 test images; licence: BSD 3-clause; about 20 MB to fetch; is here\n",
        "cifar-100 ",
        text(&cache),
    ] {
        assert!(ended.out.contains(part), "{part}\n{}", ended.out);
    }
}

#[test]
fn a_name_is_known_told_or_taken_for_a_path() {
    let cache = folder("cli-get-names");
    let ended = with_cache(&cache, &["data", "get", "kmnist", "fashonmnist"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("no data set \"fashonmnist\" to fetch"), "{}", ended.err);
    assert!(ended.err.contains("hint: did you mean \"fashion-mnist\"?"), "{}", ended.err);
    assert!(!ended.err.contains("fetching"), "{}", ended.err);

    let ended = with_cache(&cache, &["data", "cifar10"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
    assert!(ended.err.contains("cifar-10: CIFAR-10 has not been fetched"), "{}", ended.err);
    assert!(ended.err.contains("hint: tenfold data get cifar-10 (170.1 MB)"), "{}", ended.err);
    for path in ["./cifar10", "./get", "no-such-thing"] {
        let ended = with_cache(&cache, &["data", path]);
        assert_eq!(ended.code, Some(2), "{path}: {}", ended.err);
    }

    // What is kept is found from anywhere.
    let kept = with_data("cli-get-kept", |_, _| {});
    fs::rename(kept.join("data"), cache.join("fashion-mnist")).unwrap();
    let ended = with_cache(&cache, &["data", "fashion-mnist"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.starts_with("fashion-mnist: ") && ended.out.contains(text(&cache)), "{}", ended.out);
    assert!(ended.err.contains("names of classes: tenfold data get fashion-mnist adds them"), "{}", ended.err);
    // Which is not what was published.
    let ended = with_cache(&cache, &["data", "get", "FashionMNIST"]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("expected 60,000 training and 10,000 test images"), "{}", ended.err);
    assert!(ended.err.contains("hint: to fetch it again, delete "), "{}", ended.err);
}

#[test]
fn without_a_network_every_mirror_is_named_and_what_to_do() {
    let cache = folder("cli-get-offline");
    let ended = with_cache(&cache, &["data", "get", "kmnist"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""), "{}", ended.err);
    for part in [
        "error: Kuzushiji-MNIST: train-images-idx3-ubyte.gz cannot be fetched\n",
        "\n  https://codh.rois.ac.jp/kmnist/dataset/kmnist/train-images-idx3-ubyte.gz: ",
        "\n  http://codh.rois.ac.jp/kmnist/dataset/kmnist/train-images-idx3-ubyte.gz: ",
        "\n  https://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-labels-idx1-ubyte.gz\n",
        "tenfold data get kmnist --from FOLDER\n",
    ] {
        assert!(ended.err.contains(part), "{part}\n{}", ended.err);
    }
    let ended = with_cache(&cache, &["data", "get", "cifar-100"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.ends_with("tenfold data get cifar-100 --from cifar-100-binary.tar.gz\n"), "{}", ended.err);
}

#[test]
fn what_cannot_be_the_data_set_is_refused() {
    let path = with_data("cli-get-from", |_, _| {});
    let (cache, data) = (folder("cli-get-from-cache"), path.join("data"));
    // The files are named as these data sets' are, and hold something else.
    for (name, code, part) in [
        ("fashion-mnist", 3, "the SHA-256 of its contents is "),
        ("kmnist", 3, "these are 600 training and 200 test images of 1x28x28 in 10 classes, expected 60,000 "),
        ("qmnist", 3, "holds no qmnist-train-images-idx3-ubyte.gz"),
        ("cifar-10", 3, "holds no cifar-10-binary.tar.gz, nor data_batch_1.bin and the other files in it"),
    ] {
        let ended = with_cache(&cache, &["data", "get", name, "--from", text(&data)]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.err);
        assert!(ended.err.contains(part), "{part}\n{}", ended.err);
    }
    for arguments in [
        &["data", "get", "--from", text(&data)][..],
        &["data", "get", "kmnist", "--from", "no-such-folder"],
        &["data", "--show", "none", "get"],
    ] {
        let ended = with_cache(&cache, arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
    }
    let file = path.join("file");
    fs::write(&file, "no folder").unwrap();
    let ended = with_cache(&file, &["data", "get", "kmnist", "--from", text(&data)]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""), "{}", ended.err);
}

#[test]
fn a_study_file_may_name_a_data_set() {
    let path = with_data("cli-get-study", |_, _| {});
    let (cache, out) = (path.join("cache"), path.join("out"));
    fs::create_dir(&cache).unwrap();
    let file = study_file(&path, &STUDY.replace("\n\n", "\n\n[data]\npath = \"fashion-mnist\"\n\n"));
    let study = ["run", &file, "--out", text(&out), "--threads", "2"];
    let report = ["report", text(&out)];
    let missed = |arguments: &[&str], cache: &Path| {
        let ended = with_cache(cache, arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
        assert!(ended.err.contains("fashion-mnist: Fashion-MNIST has not been fetched"), "{}", ended.err);
        assert!(ended.err.contains("hint: tenfold data get fashion-mnist"), "{}", ended.err);
    };
    missed(&study, &cache);
    fs::rename(path.join("data"), cache.join("fashion-mnist")).unwrap();
    let ended = with_cache(&cache, &study);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(results(&path)["dataset"]["place"]["given"], "fashion-mnist");
    // On a machine with another cache folder.
    let other = path.join("other");
    fs::rename(&cache, &other).unwrap();
    let ended = with_cache(&other, &report);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    missed(&report, &cache);
    // A folder beside the study file goes before.
    fs::create_dir(path.join("fashion-mnist")).unwrap();
    let ended = with_cache(&other, &study);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("cli-get-study/fashion-mnist: "), "{}", ended.err);
}
