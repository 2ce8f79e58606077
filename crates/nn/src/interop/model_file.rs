//! A model file that is whole: weights, layers, class names, and how pictures become the network's input.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::safetensors::{self, SafetensorsError};
use crate::Precision;
use crate::data::{DataError, Dataset, ImageShape, MAX_CLASSES, MAX_NAME_BYTES, Options};
use crate::evaluate::{divide_logits, evaluate};
use crate::model::{Architecture, BlockText, Model, layer_count};
use crate::train::Pixels;

/// Larger files are no model of this program.
const MAX_BYTES: u64 = 4 << 30;
/// The most layers.
const MAX_LAYERS: usize = 1_000;
/// The most pixels of an image, all channels together.
const MAX_PIXELS: usize = 1 << 26;

/// What a model file says of its network, besides the weights: JSON, under the key `tenfold` of its metadata.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct About {
    /// The recipe that it was trained by.
    #[serde(default)]
    pub recipe: String,
    /// The seed that it was trained from.
    #[serde(default)]
    pub seed: u64,
    /// What identifies the training.
    #[serde(default)]
    pub identity: String,
    /// Each layer in its canonical form; a list in the list is a residual block.
    pub layers: Vec<BlockText>,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The name of each class, in the order of the outputs.
    pub classes: Vec<String>,
    /// What the network sees of a pixel.
    pub pixels: Pixels,
    /// What its large products are computed of.
    #[serde(default)]
    pub precision: Precision,
    /// How pictures and arrays become images of that shape.
    #[serde(default)]
    pub images: Options,
    /// What identifies the data that it was trained on.
    #[serde(default)]
    pub data: String,
    /// By what its groups were told in the paths of pictures, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What logits are divided by, so that probabilities mean what they say; none if they are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// When no class is to be named; none if always one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstain: Option<Abstain>,
}

/// A threshold that was chosen on validation images, and what it did there.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Abstain {
    /// No class is named where the most probable one has a smaller probability than this.
    pub threshold: f64,
    /// How many validation images there were.
    pub images: u64,
    /// For how many of them a class was named.
    pub answered: u64,
    /// For how many of these it was the wrong one.
    pub wrong: u64,
}

/// A trained network with all that it takes to use it.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tenfold_nn::interop::model_file::TrainedModel;
///
/// let network = TrainedModel::read("runs/digits/trials/cnn2/seed-1/model.safetensors".as_ref())?;
/// let image = vec![0; 28 * 28]; // `[C, H, W]`, from 0 (black) to 255; as many images as you like, one behind the other
/// let said = network.predict(&image, 1)?;
/// println!("{} ({:.3})", network.about.classes[said.class(0)], said.of(0)[said.class(0)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrainedModel {
    /// The network.
    pub model: Model,
    /// What is known of it.
    pub about: About,
}

/// What a network says of images.
#[derive(Clone, PartialEq, Debug)]
pub struct Predictions {
    /// `[N, classes]`, each row summing to one.
    pub probabilities: Vec<f32>,
    /// The number of classes.
    pub classes: usize,
}

/// Why a file is no model that can be used.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// It cannot be read.
    #[error("{}: cannot be read: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// It is not of the size of a model.
    #[error("{}: is larger than {MAX_BYTES} bytes, expected a model.safetensors of this program", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Its arrays are not those of a network.
    #[error("{}: {error}", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        error: SafetensorsError,
    },
    /// What it says of the network makes none, or is missing.
    #[error("{}: {fault}", .path.display())]
    About {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

impl About {
    /// The network, without its weights.
    ///
    /// # Errors
    /// A sentence on what is wrong with what is said of it.
    pub fn architecture(&self) -> Result<Architecture, String> {
        if !(2..=MAX_CLASSES).contains(&self.classes.len()) {
            return Err(format!("it has {} classes, expected 2 to {MAX_CLASSES}", self.classes.len()));
        }
        if let Some(long) = self.classes.iter().position(|name| name.len() > MAX_NAME_BYTES) {
            return Err(format!("the name of class {long} is longer than {MAX_NAME_BYTES} bytes"));
        }
        let different: HashSet<&String> = self.classes.iter().collect();
        if different.len() < self.classes.len() {
            return Err("two of its classes have one name".to_owned());
        }
        self.images.check().map_err(|error| error.to_string())?;
        let count = layer_count(&self.layers);
        if count > MAX_LAYERS {
            return Err(format!("it has {count} layers, expected at most {MAX_LAYERS}"));
        }
        if let Some(temperature) = self.temperature.filter(|t| !(1e-3..=1e3).contains(t)) {
            return Err(format!("its temperature is {temperature}, expected 0.001 to 1000"));
        }
        if let Some(abstain) = self.abstain.filter(|abstain| !(0.0..=1.0).contains(&abstain.threshold)) {
            return Err(format!("it abstains below a probability of {}, expected 0 to 1", abstain.threshold));
        }
        let [channels, height, width] = self.shape;
        let pixels = self.shape.iter().try_fold(1_usize, |pixels, &side| pixels.checked_mul(side));
        if pixels.is_none_or(|pixels| !(1..=MAX_PIXELS).contains(&pixels)) {
            return Err(format!("its images are of shape {:?}, expected 1 to {MAX_PIXELS} pixels", self.shape));
        }
        self.pixels.check().and_then(|()| self.pixels.check_channels(channels))?;
        let layers: Result<Vec<_>, _> = self.layers.iter().map(BlockText::parse).collect();
        let layers = layers.map_err(|error| error.to_string())?;
        let shape = ImageShape { channels, height, width };
        Architecture::of_blocks(shape, layers, self.classes.len()).map_err(|error| error.to_string())
    }
}

impl TrainedModel {
    /// Reads a model file.
    ///
    /// # Errors
    /// If it cannot be read, is no model file of this program, says of its network what makes none, or has other arrays
    /// than that network, or numbers that are not finite.
    pub fn read(path: &Path) -> Result<TrainedModel, ModelFileError> {
        let failed = |reason| ModelFileError::Io { path: path.to_owned(), reason };
        // Before opening: to open a pipe is to wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "it is not a regular file")));
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ModelFileError::TooLarge { path: path.to_owned() });
        }
        TrainedModel::from_bytes(&bytes, path)
    }

    /// What [`TrainedModel::read`] makes of the contents of a file; errors call it `path`.
    ///
    /// # Errors
    /// As there.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<TrainedModel, ModelFileError> {
        let weights = |error| ModelFileError::Weights { path: path.to_owned(), error };
        let fault = |fault: String| ModelFileError::About { path: path.to_owned(), fault };
        let about = safetensors::metadata(bytes).map_err(weights)?;
        let about = about.ok_or_else(|| fault("does not say which network these weights are of".to_owned()))?;
        let about: About = serde_json::from_str(&about).map_err(|error| {
            fault(format!("does not say all that it takes to use the network ({error}): an earlier version wrote it"))
        })?;
        let architecture = about.architecture().map_err(fault)?;
        let model = safetensors::read(bytes, &architecture, about.pixels.clone()).map_err(weights)?;
        Ok(TrainedModel { model: model.with_precision(about.precision), about })
    }

    /// The bytes of its file.
    #[expect(clippy::missing_panics_doc, reason = "what is known of a network is plain values, which JSON has")]
    pub fn to_bytes(&self) -> Vec<u8> {
        let about = serde_json::to_string(&self.about).expect("names and numbers are plain values");
        safetensors::write(&self.model, Some(&about))
    }

    /// The shape of the images that it takes.
    pub fn shape(&self) -> ImageShape {
        self.model.architecture().input()
    }

    /// What it says of images, `[N, C, H, W]` of its [`shape`](TrainedModel::shape), from 0 to 255; on so many threads,
    /// whose number changes no bit.
    ///
    /// # Errors
    /// If the pixels make no whole number of images, or none.
    pub fn predict(&self, pixels: &[u8], threads: usize) -> Result<Predictions, DataError> {
        Ok(self.predict_images(&self.images(pixels)?, threads))
    }

    /// Images of its shape, `[N, C, H, W]`, with labels that nobody looks at.
    ///
    /// # Errors
    /// If the pixels make no whole number of images, or none.
    pub fn images(&self, pixels: &[u8]) -> Result<Dataset, DataError> {
        let (shape, classes) = (self.shape(), self.about.classes.len());
        Dataset::new(pixels.to_vec(), vec![0; pixels.len() / shape.len()], shape, classes)
    }

    /// [`TrainedModel::predict`] of such images.
    ///
    /// # Panics
    /// If they have another shape than those that it was trained on.
    pub fn predict_images(&self, data: &Dataset, threads: usize) -> Predictions {
        let classes = self.about.classes.len();
        let mut probabilities = evaluate(&self.model, data, threads.max(1)).probabilities;
        if let Some(temperature) = self.about.temperature {
            divide_logits(&mut probabilities, classes, temperature);
        }
        Predictions { probabilities, classes }
    }
}

impl Predictions {
    /// How many images there were.
    pub fn len(&self) -> usize {
        self.probabilities.len() / self.classes
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.probabilities.is_empty()
    }

    /// The probability of each class for image `n`.
    ///
    /// # Panics
    /// If there are no more than `n` images.
    pub fn of(&self, n: usize) -> &[f32] {
        &self.probabilities[n * self.classes..(n + 1) * self.classes]
    }

    /// The most probable class of image `n`, the first of equals.
    ///
    /// # Panics
    /// If there are no more than `n` images.
    pub fn class(&self, n: usize) -> usize {
        let row = self.of(n);
        (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Init;

    fn trained() -> TrainedModel {
        let about = About {
            recipe: "a".to_owned(),
            seed: 3,
            identity: "x".to_owned(),
            layers: ["conv 2 3x3 same", "relu", "linear 3"].map(Into::into).to_vec(),
            shape: [2, 4, 5],
            classes: ["cat", "<script>", "\u{732b}\n\u{1b}[31m"].map(str::to_owned).to_vec(),
            pixels: Pixels::all(0.5, 0.25),
            precision: Precision::F32,
            images: Options { size: Some([4, 5]), ..Options::default() },
            data: "d".to_owned(),
            group: None,
            temperature: None,
            abstain: None,
        };
        let model = Model::new(about.architecture().unwrap(), Init::Pytorch, 7, about.pixels.clone());
        TrainedModel { model, about }
    }

    fn refusal(bytes: &[u8]) -> String {
        TrainedModel::from_bytes(bytes, "m".as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again_and_says_the_same() {
        let trained = trained();
        let bytes = trained.to_bytes();
        let again = TrainedModel::from_bytes(&bytes, "m".as_ref()).unwrap();
        assert_eq!(again.about, trained.about);
        let images: Vec<u8> = (0..5 * 40).map(|n| (n * 37 % 251) as u8).collect();
        let (one, two) = (trained.predict(&images, 1).unwrap(), again.predict(&images, 2).unwrap());
        assert_eq!((one.len(), one.classes), (5, 3));
        assert_eq!(one, two);
        assert!((0..5).all(|n| (one.of(n).iter().sum::<f32>() - 1.0).abs() < 1e-6));
        assert!(trained.predict(&images[1..], 1).is_err() && trained.predict(&[], 1).is_err());
    }

    #[test]
    fn a_temperature_divides_logits() {
        let mut trained = trained();
        let image: Vec<u8> = (0..40).map(|n| n * 6).collect();
        let plain = trained.predict(&image, 1).unwrap();
        trained.about.temperature = Some(2.0);
        let cooled = trained.predict(&image, 1).unwrap();
        // ln p is the logit less a constant.
        let logit = |p: &Predictions, class: usize| f64::from(p.of(0)[class]).ln() - f64::from(p.of(0)[0]).ln();
        for class in 0..3 {
            assert!((logit(&cooled, class) - logit(&plain, class) / 2.0).abs() < 1e-6);
        }
        assert_eq!(cooled.class(0), plain.class(0));
        trained.about.temperature = Some(0.001);
        let hot = trained.predict(&image, 1).unwrap();
        assert!(hot.of(0).iter().all(|p| p.is_finite()) && hot.class(0) == plain.class(0), "{hot:?}");
        assert_eq!(Predictions { probabilities: vec![0.2, 0.4, 0.4], classes: 3 }.class(0), 1, "the first of equals");
        // Neighbouring numbers become equal, and the class stays.
        for temperature in [0.01, 0.5, 2.0, 100.0] {
            let near = vec![0.3_f32, 0.3_f32.next_up(), 0.3, 0.1];
            let mut said = Predictions { probabilities: near, classes: 4 };
            divide_logits(&mut said.probabilities, 4, temperature);
            assert_eq!(said.class(0), 1, "{temperature}: {said:?}");
        }
    }

    #[test]
    fn files_that_are_not_whole_are_refused() {
        let good = trained();
        let changed = |change: &dyn Fn(&mut About)| {
            let mut model = good.clone();
            change(&mut model.about);
            refusal(&model.to_bytes())
        };
        assert!(changed(&|a| a.classes.truncate(1)).ends_with("it has 1 classes, expected 2 to 1000"));
        assert!(changed(&|a| a.classes.truncate(2)).contains("\"linear 3\""));
        assert!(changed(&|a| a.classes[0] = a.classes[1].clone()).contains("two of its classes have one name"));
        assert!(changed(&|a| a.images.range16 = Some([9, 3])).contains("range16"));
        assert!(changed(&|a| a.classes[0] = "x".repeat(5_000)).contains("longer than 1000 bytes"));
        assert!(changed(&|a| a.layers[0] = "lineer 3".into()).contains("there is no layer"));
        assert!(changed(&|a| a.layers[0] = "conv 4000000000 3x3".into()).contains("conv 4000000000 3x3"));
        assert!(changed(&|a| a.shape = [2, 4, 6]).contains("fc1.weight"));
        assert!(changed(&|a| a.shape = [usize::MAX, 4, 6]).contains("its images are of shape"));
        assert!(changed(&|a| a.temperature = Some(0.0)).contains("its temperature is 0"));
        let abstain = Some(Abstain { threshold: 1.5, images: 1, answered: 1, wrong: 0 });
        assert!(changed(&|a| a.abstain = abstain).contains("below a probability of 1.5"));
        assert!(changed(&|a| a.pixels = Pixels::all(0.0, 0.0)).contains("std"));
        assert!(refusal(&safetensors::write(&good.model, None)).contains("does not say which network"));
        let old = r#"{"recipe":"a","seed":1,"identity":"x","layers":["linear 3"]}"#;
        assert!(refusal(&safetensors::write(&good.model, Some(old))).contains("an earlier version wrote it"));
        let bytes = good.to_bytes();
        for cut in (0..bytes.len()).step_by(7) {
            assert!(TrainedModel::from_bytes(&bytes[..cut], "m".as_ref()).is_err(), "cut at {cut}");
        }
        // A header with any byte changed is refused, or read without harm.
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for at in 0..header {
            for flip in [1, 0x80] {
                let mut other = bytes.clone();
                other[at] ^= flip;
                let _ = TrainedModel::from_bytes(&other, "m".as_ref());
            }
        }
        let mut nan = bytes.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(refusal(&nan).starts_with("m: "));
    }
}
