//! `tenfold export`: a trained network for other programs.

use std::fs;
use std::path::Path;

use tenfold_nn::data::ImageShape;
use tenfold_nn::interop::model_file::TrainedModel;
use tenfold_nn::interop::onnx::{self, OnnxAbout};

use crate::args::ExportArgs;
use crate::failure::{DATA, DONE, Failure, USAGE};
use crate::output::{self, plain};
use crate::predict::networks::Networks;
use crate::predict::rows::{beside, cannot_write};
use crate::predict::{abstaining, short};

/// Writes the file, and says how it is read elsewhere.
pub(crate) fn export(args: &ExportArgs) -> Result<u8, Failure> {
    let mut networks = Networks::read(&args.model, 1)?;
    if networks.networks().len() > 1 {
        let message = format!("{}: is several trainings, and a file holds one", args.model);
        return Err(Failure::new(USAGE, message, Some("name one seed: DIR:RECIPE:SEED".to_owned())));
    }
    if args.calibrate {
        output::note(&networks.calibrate()?);
    }
    if let Some(at_most) = args.abstain_error {
        let abstain = networks.abstain(at_most)?;
        output::note(&abstaining(&abstain));
        networks.set_abstain(abstain);
    }
    let network = &networks.networks()[0];
    let end = args.to.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (bytes, words) = match end.as_str() {
        "onnx" => (of_onnx(network, args)?, onnx_words(network, &args.to)),
        "safetensors" => (network.to_bytes(), safetensors_words(network, &args.to)),
        _ => {
            let message = format!("{}: is neither .onnx nor .safetensors", args.to.display());
            return Err(Failure::new(USAGE, message, Some("--to network.onnx".to_owned())));
        }
    };
    let mut file = beside(&args.to);
    fs::write(&file.temporary, &bytes).map_err(|reason| cannot_write(&args.to, &reason))?;
    file.keep()?;
    output::out(&words)?;
    Ok(DONE)
}

fn of_onnx(network: &TrainedModel, args: &ExportArgs) -> Result<Vec<u8>, Failure> {
    let about = OnnxAbout {
        name: format!("{} seed {}", network.about.recipe, network.about.seed),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        class_names: network.about.classes.clone(),
        temperature: network.about.temperature,
        abstain: network.about.abstain,
    };
    onnx::write(&network.model, &about)
        .map_err(|error| Failure::new(DATA, format!("{}: {error}", args.to.display()), None))
}

/// A name as Python writes it.
fn quoted(path: &Path) -> String {
    serde_json::to_string(&plain(&path.display().to_string())).expect("a text is plain")
}

fn onnx_words(network: &TrainedModel, to: &Path) -> String {
    let ImageShape { channels, height, width } = network.shape();
    let colours = match channels {
        1 => "grey".to_owned(),
        3 => "red, green and blue".to_owned(),
        n => format!("{n} channels"),
    };
    let images = &network.about.images;
    let mut before = format!(
        "Before: pictures are scaled to {height} rows and {width} columns (fit = \"{}\", background = \"{}\")",
        images.fit.name(),
        images.background.name()
    );
    if let Some(white) = images.white.filter(|white| *white != 255.0) {
        before.push_str(&format!("; numbers of arrays are multiplied by 255 / {white}"));
    }
    if let Some([low, high]) = images.range16 {
        before.push_str(&format!("; samples from {low} to {high} become 0 to 255"));
    }
    let threshold = network.about.abstain.map_or(String::new(), |abstain| {
        format!("# No class is meant where probabilities[0].max() is less than {}.\n", short(abstain.threshold))
    });
    format!(
        "{}: bytes [N, {height}, {width}, {channels}] in, {colours} from 0 to 255; logits and probabilities out.\n\
         {before}. The normalisation of these bytes, and all that follows, is inside.\n\n\
         import json, numpy, onnxruntime\n\
         network = onnxruntime.InferenceSession({})\n\
         images = numpy.zeros((1, {height}, {width}, {channels}), numpy.uint8)\n\
         logits, probabilities = network.run(None, {{\"images\": images}})\n\
         classes = json.loads(network.get_modelmeta().custom_metadata_map[\"classes\"])\n\
         print(classes[probabilities[0].argmax()])\n{threshold}",
        plain(&to.display().to_string()),
        quoted(to)
    )
}

fn safetensors_words(network: &TrainedModel, to: &Path) -> String {
    let mut words = format!(
        "{}: weights with PyTorch's names and shapes; layers, classes and pixels are in its metadata.\n\n\
         import json\n\
         from safetensors import safe_open\n\
         with safe_open({}, \"pt\") as file:\n    \
             about = json.loads(file.metadata()[\"tenfold\"])\n    \
             weights = {{name: file.get_tensor(name) for name in file.keys()}}\n",
        plain(&to.display().to_string()),
        quoted(to)
    );
    if network.about.temperature.is_some() {
        words.push_str("# Before the softmax, logits are divided by about[\"temperature\"].\n");
    }
    if network.about.abstain.is_some() {
        words.push_str("# Below a probability of about[\"abstain\"][\"threshold\"] no class is named.\n");
    }
    words
}
