//! The example that predicts, run.

#[path = "../examples/predict.rs"]
#[expect(dead_code, reason = "its main is that of a program")]
mod predict;

use std::fs;

use tenfold_nn::Precision;
use tenfold_nn::data::Options;
use tenfold_nn::interop::model_file::{About, TrainedModel};
use tenfold_nn::model::{Init, Model};
use tenfold_nn::train::Pixels;

#[test]
fn the_example_says_what_the_network_does() {
    let folder = std::env::temp_dir().join(format!("tenfold-nn-example-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let about = About {
        recipe: "a".to_owned(),
        seed: 1,
        identity: String::new(),
        layers: vec!["linear 3".into()],
        shape: [1, 2, 3],
        classes: ["cat", "dog", "owl"].map(str::to_owned).to_vec(),
        pixels: Pixels::all(0.0, 1.0),
        precision: Precision::F32,
        images: Options { size: Some([2, 3]), ..Options::default() },
        data: String::new(),
        group: None,
        temperature: None,
        abstain: None,
    };
    let model = Model::new(about.architecture().unwrap(), Init::Pytorch, 7, about.pixels.clone());
    let network = TrainedModel { model, about };
    let pixels = [0, 50, 100, 150, 200, 250];
    let (file, picture) = (folder.join("model.safetensors"), folder.join("picture.pgm"));
    fs::write(&file, network.to_bytes()).unwrap();
    fs::write(&picture, [&b"P5 3 2 255\n"[..], &pixels].concat()).unwrap();
    let said = network.predict(&pixels, 1).unwrap();
    let class = said.class(0);
    let expected = format!("{} ({:.3})", network.about.classes[class], said.of(0)[class]);
    assert_eq!(predict::class_of(file.to_str().unwrap(), picture.to_str().unwrap()).unwrap(), expected);
    fs::remove_dir_all(&folder).unwrap();
}
