//! Says what a trained network takes a picture for: `cargo run --release -p tenfold-nn --example predict --
//! runs/digits/trials/cnn2/seed-1/model.safetensors picture.png`.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;

use tenfold_nn::data::read_pictures;
use tenfold_nn::interop::model_file::TrainedModel;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(picture)) = (arguments.next(), arguments.next()) else {
        return Err("expected a model.safetensors and a picture".into());
    };
    println!("{}", class_of(&model, &picture)?);
    Ok(())
}

/// The class of a picture and its probability, as `7 (0.998)`.
pub(crate) fn class_of(model: &str, picture: &str) -> Result<String, Box<dyn Error>> {
    let network = TrainedModel::read(model.as_ref())?;
    let options = network.about.images.of_others(network.shape());
    let picture = read_pictures(&[picture.into()], network.shape(), &options).remove(0)?;
    let said = network.predict(&picture, 1)?;
    let class = said.class(0);
    Ok(format!("{} ({:.3})", network.about.classes[class], said.of(0)[class]))
}
