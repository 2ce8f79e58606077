//! Study files: what is compared, read from TOML, checked, and written out again with every default.

use std::io;
use std::path::{Component, Path, PathBuf};

use tenfold_nn::data::{ImageShape, Options, Shares};
use tenfold_nn::model::{Architecture, ArchitectureError, Block, Layer};
use tenfold_nn::train::{TrainConfig, TrainSettings};
use tenfold_nn::views::Views;

use crate::folder::bounded;

mod error;
mod read;
mod write;

use error::Place;
pub use error::StudyFileError;
pub(crate) use read::is_name;

/// Larger files are no study.
const MAX_BYTES: u64 = 1 << 20;

/// What is compared: the recipes, and on which data.
#[derive(Clone, PartialEq, Debug)]
pub struct Study {
    /// Lower-case letters, digits and hyphens; the default folder is called after it.
    pub name: String,
    /// For people.
    pub title: String,
    /// Which data, and how it is understood and divided.
    pub data: DataSettings,
    /// At least one, with different names.
    pub recipes: Vec<Recipe>,
}

/// The data of a study.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DataSettings {
    /// Where it is, unless that is told when the study is run; relative paths begin at the folder of the study file. A
    /// single name that is not there is kept as it is written, and may be that of a published data set.
    pub path: Option<PathBuf>,
    /// How it is to be understood.
    pub options: Options,
    /// How much is set apart for testing and validation, where it does not say that itself.
    pub shares: Shares,
    /// Which examples validate.
    pub split_seed: u64,
    /// How many classes it must have, where that is said.
    pub classes: Option<usize>,
    /// The number that its first class must have as its name, where that is said.
    pub first_label: Option<u32>,
}

/// One way to train one network.
#[derive(Clone, PartialEq, Debug)]
pub struct Recipe {
    /// Lower-case letters, digits and hyphens; its folder is called after it.
    pub name: String,
    /// For people.
    pub title: String,
    /// The network.
    pub layers: Vec<Block>,
    /// Whether its last layer is `linear classes`: until the data is known, it has one output
    /// ([`Study::set_classes`]).
    pub linear_classes: bool,
    /// How it is trained.
    pub settings: TrainSettings,
    /// In which ways its networks are shown images once they are trained, where that is measured beside the plain
    /// figures. No training depends on it.
    pub views: Option<Views>,
}

impl Study {
    /// Names of the studies that are part of the program.
    pub const BUILT_IN: [&str; 5] = ["digits", "digits-fast", "digits-best", "fashion", "images"];

    /// A study that is part of the program.
    #[expect(clippy::missing_panics_doc, reason = "a test parses every built-in study")]
    pub fn built_in(name: &str) -> Option<Study> {
        let text = match name {
            "digits" => include_str!("digits.toml"),
            "digits-fast" => include_str!("digits-fast.toml"),
            "digits-best" => include_str!("digits-best.toml"),
            "fashion" => include_str!("fashion.toml"),
            "images" => include_str!("images.toml"),
            _ => return None,
        };
        Some(Study::parse(text, name).expect("the built-in studies are valid, as a test makes sure"))
    }

    /// Reads a study file.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than any study file, is no text, or not a study ([`Study::parse`]).
    pub fn read(path: &Path) -> Result<Study, StudyFileError> {
        let name = path.display().to_string();
        let failed = |reason: io::Error| match reason.kind() {
            io::ErrorKind::NotFound => StudyFileError::NotFound { path: name.clone() },
            io::ErrorKind::FileTooLarge => StudyFileError::TooLarge { path: name.clone() },
            _ => StudyFileError::Io { path: name.clone(), reason },
        };
        let bytes = bounded(path, MAX_BYTES).map_err(failed)?;
        if is_utf16(&bytes) {
            return Err(StudyFileError::Utf16 { path: name });
        }
        let text = String::from_utf8(bytes).map_err(|error| StudyFileError::NotText {
            path: name.clone(),
            position: error.utf8_error().valid_up_to(),
        })?;
        let mut study = Study::parse(&text, &name)?;
        if let (Some(data), Some(folder)) = (&mut study.data.path, path.parent()) {
            let there = folder.join(&*data);
            if !is_one_name(data) || there.symlink_metadata().is_ok() {
                // A run writes the study to its folder, where a relative path would lead elsewhere.
                *data = std::path::absolute(there).map_err(failed)?;
            }
        }
        Ok(study)
    }

    /// Lets no step take more examples than there are.
    pub fn limit_batch_size(&mut self, examples: usize) {
        for recipe in &mut self.recipes {
            recipe.settings.batch_size = recipe.settings.batch_size.min(examples.max(1));
        }
    }

    /// Gives recipes that end in `linear classes` as many outputs as there are classes.
    pub fn set_classes(&mut self, classes: usize) {
        for recipe in self.recipes.iter_mut().filter(|recipe| recipe.linear_classes) {
            recipe.layers.pop();
            recipe.layers.push(Layer::Linear { out_features: classes }.into());
            recipe.linear_classes = false;
        }
    }
}

impl Recipe {
    /// The network for images of this shape, with all shapes checked.
    ///
    /// # Errors
    /// If the layers do not fit the images, each other or the classes ([`Architecture::new`]), pixels are set for
    /// another number of channels, the images are not of a size to be augmented or shown so, or the optimizer has nothing to do.
    pub fn architecture(&self, input: ImageShape, classes: usize) -> Result<Architecture, ArchitectureError> {
        self.settings.pixels.check_channels(input.channels).map_err(ArchitectureError::Pixels)?;
        self.settings.augment.check_fits(input).map_err(ArchitectureError::Augment)?;
        if let Some(Err(error)) = self.views.as_ref().map(|views| views.check_fits(input)) {
            return Err(ArchitectureError::Augment(format!("{}: {error}", read::VIEWS)));
        }
        let network = Architecture::of_blocks(input, self.layers.clone(), classes)?;
        self.settings.optimizer.check_network(&network).map_err(ArchitectureError::Optimizer)?;
        Ok(network)
    }

    /// What training needs to know, for one seed.
    pub fn config(&self, seed: u64) -> TrainConfig {
        self.settings.clone().with_seed(seed)
    }

    /// Whether it always trains for all its epochs.
    pub fn runs_all_epochs(&self) -> bool {
        self.settings.target.is_none() && self.settings.patience.is_none()
    }
}

/// Whether a path is one name: not `./name`, nor `name/`.
fn is_one_name(path: &Path) -> bool {
    matches!(path.components().next(), Some(Component::Normal(name)) if name == path.as_os_str())
}

/// What a study file calls a setting: the validation accuracy to stop at is a sentence there,
/// `stop = "valid_accuracy >= 0.99"`.
fn key(setting: &str) -> &str {
    if setting == "target" { "stop" } else { setting }
}

/// Whether a file seems to be UTF-16: by its mark, or because every other byte of the first characters is 0.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = |odd: usize| bytes.len() >= 4 && bytes.iter().take(8).skip(odd).step_by(2).all(|&byte| byte == 0);
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || zeros(0) != zeros(1)
}

/// A study for tests.
#[cfg(test)]
const SMALL: &str = "name = \"mine\"\n\n[[recipe]]\nname = \"a\"\nlayers = [\"linear 10\"]\n";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_built_in_study_has_its_six_recipes() {
        let study = Study::built_in("digits").expect("is built in");
        let mnist = ImageShape { channels: 1, height: 28, width: 28 };
        let parameters = study.recipes.iter().map(|r| (&*r.name, r.architecture(mnist, 10).unwrap().parameters()));
        let expected = [
            ("softmax", 7_850),
            ("mlp", 199_210),
            ("cnn1", 6_434_634),
            ("cnn2", 3_274_634),
            ("cnn2-dropout-b50", 3_274_634),
            ("cnn2-dropout-b100", 3_274_634),
        ];
        assert!(parameters.eq(expected));
        assert_eq!(study.data.shares.valid.of(60_000), 6_000);
        assert!(Study::BUILT_IN.iter().all(|name| Study::built_in(name).is_some_and(|study| study.name == *name)));
        assert_eq!(Study::built_in("digit"), None);
    }

    #[test]
    fn files_that_are_no_text_are_refused() {
        let scratch = crate::testing::scratch("spec-files");
        let path = scratch.path().join("mine.toml");
        let message = |path: &Path| Study::read(path).unwrap_err().to_string();
        assert!(message(&path).ends_with("mine.toml: there is no such file"));
        assert!(message(scratch.path()).contains(": cannot be read: "));
        fs::write(&path, b"name = \"\xff\"").unwrap();
        assert!(message(&path).ends_with("mine.toml: byte 8 is not UTF-8 text, which a study file is"));
        let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            [mark, &SMALL.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()].concat()
        };
        for bytes in [
            utf16(b"\xff\xfe", u16::to_le_bytes),
            utf16(b"\xfe\xff", u16::to_be_bytes),
            utf16(b"", u16::to_le_bytes),
            utf16(b"", u16::to_be_bytes),
        ] {
            fs::write(&path, &bytes).unwrap();
            assert!(message(&path).ends_with("mine.toml: is UTF-16 text, expected UTF-8"), "{bytes:?}");
        }
        fs::write(&path, format!("\u{feff}{SMALL}")).unwrap();
        assert_eq!(Study::read(&path).unwrap().name, "mine");
        fs::write(&path, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(message(&path).contains("is larger than 1048576 bytes"));
        fs::write(&path, SMALL).unwrap();
        assert_eq!(Study::read(&path).unwrap().name, "mine");
    }

    #[test]
    fn data_is_looked_for_from_the_study_file_on() {
        let scratch = crate::testing::scratch("spec-data");
        let path = scratch.path().join("mine.toml");
        let read = |data: &str| {
            fs::write(&path, SMALL.replace("\n\n", &format!("\n[data]\npath = \"{data}\"\n"))).unwrap();
            Study::read(&path).unwrap().data.path.unwrap()
        };
        assert_eq!(read("pictures"), Path::new("pictures"), "it may be the name of a data set");
        for missing in ["./pictures", "pictures/", "more/pictures", "../pictures"] {
            assert!(read(missing).is_absolute(), "{missing}");
        }
        fs::create_dir(scratch.path().join("pictures")).unwrap();
        assert_eq!(read("pictures"), scratch.path().join("pictures"));
    }

    #[test]
    fn a_batch_takes_no_more_than_there_is() {
        let mut study = Study::built_in("images").expect("is built in");
        for (examples, expected) in [(1_000, 32), (31, 31), (0, 1)] {
            study.limit_batch_size(examples);
            assert!(study.recipes.iter().all(|recipe| recipe.settings.batch_size == expected), "{examples}");
        }
    }

    #[test]
    fn a_last_layer_has_as_many_outputs_as_there_are_classes() {
        let text = SMALL.replace("[\"linear 10\"]", "[\"linear 5\", \"relu\", \"linear classes\"]");
        let mut study = Study::parse(&text, "mine.toml").unwrap();
        study.set_classes(7);
        let layers: Vec<String> = study.recipes[0].layers.iter().map(ToString::to_string).collect();
        assert_eq!(layers, ["linear 5", "relu", "linear 7"]);
        study.set_classes(9);
        assert_eq!(study.recipes[0].layers[2].to_string(), "linear 7", "it is known by now");
    }
}
