//! `tenfold look STUDY --augment`: what networks will be shown.

use std::fs;

use super::*;

/// A study in a folder of its own, where its data is too.
fn looked(name: &str, augment: &str, arguments: &[&str]) -> (PathBuf, Ended) {
    let path = with_data(name, |_, _| {});
    let study = format!("{STUDY}{augment}\n\n[[recipe]]\nname = \"plain\"\nlayers = [\"linear 10\"]\n");
    fs::write(path.join("mine.toml"), study).expect("the folder can be written");
    let mut command = tenfold(&[&["look", "mine.toml", "--augment", "--data", "data"], arguments].concat());
    let ended = ended(command.current_dir(&path));
    (path, ended)
}

#[test]
fn what_networks_will_be_shown_is_drawn_before_any_training() {
    let (path, ended) = looked("augment-look", "augment = \"characters\"", &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, "runs/mine/look/a-augment-seed-1.png\n", "of the recipe that changes images");
    let file = path.join("runs/mine/look/a-augment-seed-1.png");
    let first = fs::read(&file).expect("it is there");
    let reader = png::Decoder::new(std::io::Cursor::new(&first)).read_info().expect("it is a PNG");
    // A row of eight images of 28 pixels, enlarged to 56, and the name of a class above.
    assert!(reader.info().width > 8 * 56 && reader.info().height > 10 * 56);
    let (again, other) = (["--model", "a"], ["--seed", "2"]);
    let command = |arguments: &[&str]| {
        let all = [&["look", "mine.toml", "--augment", "--data", "data"], arguments].concat();
        super::ended(tenfold(&all).current_dir(&path)).out
    };
    assert_eq!(command(&again), ended.out);
    assert_eq!(fs::read(&file).expect("it is there"), first, "the same seed gives the same bytes");
    assert_eq!(command(&other), "runs/mine/look/a-augment-seed-2.png\n");
    assert_ne!(fs::read(path.join("runs/mine/look/a-augment-seed-2.png")).expect("it is there"), first);
    // And a run goes on in that folder, with what was seen.
    let mut run = tenfold(&["run", "mine.toml", "--data", "data", "--only", "a"]);
    let ended = super::ended(run.current_dir(&path));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = fs::read_to_string(path.join("runs/mine/results.json")).expect("there is a record");
    assert!(record.contains("\"augment\": \"characters\"") && file.exists());
    let models = super::ended(tenfold(&["models", "mine.toml", "--data", "data"]).current_dir(&path));
    assert!(models.out.contains("2 epochs, images augmented as characters\n"), "{}", models.out);
}

#[test]
fn what_cannot_be_done_to_images_is_refused_with_advice() {
    for (name, augment, arguments, parts) in [
        (
            "none",
            "",
            &[][..],
            &["the recipes of \"mine\" show images as they are", "hint: write augment = \"characters\""][..],
        ),
        ("plain", "augment = [\"flip\"]", &["--model", "plain"], &["the recipe \"plain\" shows images as they are"]),
        (
            "word",
            "augment = \"photo\"",
            &[],
            &["mine.toml:7:11: there is no value `photo` here", "hint: did you mean `photos`?"],
        ),
        ("name", "augment = [\"rotat 3\"]", &[], &["mine.toml:7:", "`rotat` here", "hint: did you mean `rotate`?"]),
        (
            "range",
            "augment = [\"scale 2\"]",
            &[],
            &["mine.toml:7:11: recipe \"a\": augment has \"scale 2\", expected more"],
        ),
        (
            "fit",
            "augment = [\"cutout 29\"]",
            &[],
            &["recipe \"a\": augment has \"cutout 29\", expected at most 28 pixels for images of 1x28x28"],
        ),
        ("both", "augment = [\"flip\"]", &["--film"], &["--augment", "--film"]),
    ] {
        let (path, ended) = looked(&format!("augment-{name}"), augment, arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{name}: {}", ended.err);
        for part in parts {
            assert!(ended.err.contains(part), "{name}: {part}\n{}", ended.err);
        }
        assert!(!path.join("runs").exists(), "{name}: nothing is written");
    }
}
