//! `tenfold models`: what each recipe of a study is made of.

use tenfold_nn::augment::Augment;
use tenfold_nn::data::words::counted;
use tenfold_nn::model::Architecture;
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::TrainSettings;
use tenfold_report::text::{LayerRow, models_table};
use tenfold_study::{PlanError, Recipe};

use crate::args::ModelsArgs;
use crate::failure::{DONE, Failure};
use crate::given::{Given, images_of};
use crate::output;
use crate::study_file::{self, IMAGES};

/// Prints every recipe layer by layer.
pub(crate) fn models(args: &ModelsArgs) -> Result<u8, Failure> {
    let (mut study, built_in) = study_file::find(args.study.as_deref(), &args.given)?;
    let Given { splits, .. } = images_of(&mut study, &args.given)?;
    if built_in && study.name == IMAGES {
        study.limit_batch_size(splits.train.len());
    }
    let (shape, classes) = (splits.train.shape(), splits.train.classes());
    study.set_classes(classes);
    let mut text = String::new();
    for recipe in &study.recipes {
        let architecture = recipe
            .architecture(shape, classes)
            .map_err(|error| PlanError::Architecture { recipe: recipe.name.clone(), error: Box::new(error) })?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}: {}\n{}\n\n", recipe.name, recipe.title, settings(recipe)));
        text.push_str(&models_table(&shape.to_string(), &rows(&architecture)));
    }
    output::out(&text)?;
    Ok(DONE)
}

fn rows(architecture: &Architecture) -> Vec<LayerRow> {
    let row = |info: &tenfold_nn::model::LayerInfo| LayerRow {
        name: info.name.clone(),
        layer: info.layer.to_string(),
        output: info.output.to_string(),
        parameters: info.parameters as u64,
        macs: info.macs,
    };
    architecture.layers().iter().map(row).collect()
}

/// How a recipe is trained, on one line.
fn settings(recipe: &Recipe) -> String {
    let settings = &recipe.settings;
    let (kind, lr) = match settings.optimizer {
        Optimizer::Sgd { lr, .. } => ("SGD", lr),
        Optimizer::SgdW { lr, .. } => ("SGDW", lr),
        Optimizer::Adam { lr, .. } => ("Adam", lr),
        Optimizer::AdamW { lr, .. } => ("AdamW", lr),
        Optimizer::Muon { lr, .. } => ("Muon", lr),
    };
    let schedule = match settings.schedule {
        Schedule::Constant => "",
        Schedule::Step { .. } => ", stepwise",
        Schedule::OneCycle { .. } => ", one cycle",
        Schedule::Cosine { .. } => ", falling along a cosine",
        Schedule::Linear { .. } => ", falling linearly",
    };
    let most = if recipe.runs_all_epochs() { "" } else { "at most " };
    let target = settings.target.map_or(String::new(), |target| format!(", until validation accuracy {target}"));
    let patience =
        settings.patience.map_or(String::new(), |n| format!(", until {n} epochs without a lower validation loss"));
    let augment = match &settings.augment {
        Augment::None => String::new(),
        Augment::Characters | Augment::Photos => format!(", images augmented as {}", settings.augment),
        Augment::List(_) => format!(", images augmented: {}", settings.augment),
    };
    let (batch_size, epochs) = (settings.batch_size, counted(settings.epochs, "epoch", "epochs"));
    let others = others(settings);
    format!(
        "{kind} with learning rate {lr}{schedule}, batches of {batch_size}, {most}{epochs}{target}{patience}{augment}{others}"
    )
}

/// The settings that the line has no words for, where they are not the defaults.
fn others(settings: &TrainSettings) -> String {
    const NAMES: [&str; 7] = ["init", "pixels", "precision", "class_weights", "label_smoothing", "clip_norm", "ema"];
    let defaults = TrainSettings::default().named();
    let changed = settings.named().into_iter().zip(defaults).filter(|(now, default)| now.1 != default.1);
    let words = changed.filter(|((name, _), _)| NAMES.contains(name)).map(|((name, value), _)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(", {name} {value}")
    });
    words.collect()
}
