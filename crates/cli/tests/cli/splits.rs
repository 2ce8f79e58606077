//! What is set apart of data of one's own, and what is refused of it.

use super::data::picture;
use super::*;

/// A folder whose `data` has pictures of one scene: each differs from the others in one pixel.
fn scene(name: &str) -> PathBuf {
    let path = folder(name);
    let first = path.join("data/empty/0.png");
    picture(&first, 0);
    let mut scene = vec![0; 64];
    png::Decoder::new(std::io::BufReader::new(fs::File::open(&first).expect("it was written")))
        .read_info()
        .and_then(|mut reader| reader.next_frame(&mut scene))
        .expect("it is a picture");
    for n in 1..40 {
        let mut pixels = scene.clone();
        pixels[n] ^= 8;
        let file = path.join(format!("data/{}/{n}.png", ["empty", "full"][n % 2]));
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the folder can be made");
        let mut encoder = png::Encoder::new(fs::File::create(file).expect("the file can be made"), 8, 8);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("it can be written");
    }
    path
}

const STUDY: &str =
    "name = \"mine\"\n[data]\n[[recipe]]\nname = \"a\"\nlayers = [\"linear classes\"]\nepochs = 1\nbatch_size = 8\n";

#[test]
fn pictures_of_one_scene_are_refused_with_the_setting_that_helps() {
    let path = scene("cli-scene");
    let file = study_file(&path, STUDY);
    let ended = run_in(&path, &[&file]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("set copies = \"identical\""), "{}", ended.err);
    let ended = run_in(&path, &[&file, "--set", "copies=identical"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = results(&path)["dataset"].clone();
    assert_eq!(record["reading"]["options"]["copies"], "identical");
    assert!(record["notes"].to_string().contains("only identical images count as copies"), "{record}");
    let written = fs::read_to_string(path.join("out/study.toml")).expect("the run wrote it");
    assert!(written.contains("\ncopies = \"identical\"\n"), "{written}");
    // The same images are read again for the page.
    let out = path.join("out");
    let ended = run(&["report", text(&out)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let ended = run(&["predict", text(&out), text(&path.join("data/full")), "--set", "copies=off"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("copies = \"off\": it changes nothing"), "{}", ended.err);
}

#[test]
fn sizes_of_parts_that_the_data_brings_are_refused() {
    let path = folder("cli-useless-sizes");
    for n in 0..40 {
        picture(&path.join(format!("data/{}/{}/{n}.png", ["train", "test"][n / 2 % 2], ["a", "b"][n % 2])), n);
    }
    let with = |line: &str| study_file(&path, &STUDY.replace("[data]", &format!("[data]\n{line}")));
    let ended = run_in(&path, &[&with("test = 5")]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("test = 5: it changes nothing: "), "{}", ended.err);
    assert!(ended.err.contains("has test images of its own"), "{}", ended.err);
    assert_eq!(run_in(&path, &[&with("test_share = 0.2\nvalid = 4")]).code, Some(0), "the default passes");
    let ended = run(&["run", &with("test_share = 0.3"), "--out", text(&path.join("other"))]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("the built-in MNIST has test images of its own"), "{}", ended.err);
}
