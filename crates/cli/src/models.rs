//! `tenfold models`: what each recipe of a study is made of, and what a training of it costs.

use tenfold_nn::augment::Augment;
use tenfold_nn::data::Splits;
use tenfold_nn::data::words::counted;
use tenfold_nn::model::Architecture;
use tenfold_nn::optim::{Optimizer, Schedule};
use tenfold_nn::train::TrainSettings;
use tenfold_report::format::count;
use tenfold_report::text::{LayerRow, models_table};
use tenfold_study::{PlanError, PlannedStudy, Recipe, Study};

use crate::args::ModelsArgs;
use crate::environment::{environment, to_measure};
use crate::failure::{DONE, Failure};
use crate::given::{Given, images_of};
use crate::output;
use crate::probe::{self, Epochs, Work};
use crate::study_file::{self, IMAGES};

/// Prints every recipe layer by layer, with its price: operations, and time on this machine.
pub(crate) fn models(args: &ModelsArgs) -> Result<u8, Failure> {
    let (mut study, built_in) = study_file::find(args.study.as_deref(), &args.given)?;
    let Given { splits, .. } = images_of(&mut study, &args.given)?;
    if built_in && study.name == IMAGES {
        study.limit_batch_size(splits.train.len());
    }
    let (shape, classes) = (splits.train.shape(), splits.train.classes());
    study.set_classes(classes);
    // All of them first: of a study with a mistake in it nothing is printed.
    let mut texts = Vec::new();
    for recipe in &study.recipes {
        let architecture = recipe
            .architecture(shape, classes)
            .map_err(|error| PlanError::Architecture { recipe: recipe.name.clone(), error: Box::new(error) })?;
        let mut text = if texts.is_empty() { String::new() } else { "\n".to_owned() };
        text.push_str(&format!("{}: {}\n{}\n\n", recipe.name, recipe.title, settings(recipe)));
        text.push_str(&models_table(&shape.to_string(), &rows(&architecture)));
        text.push_str(&format!("\n{}\n", price(recipe, &architecture, splits.train.len())));
        texts.push(text);
    }
    let timed = if args.untimed { None } else { planned(study, &splits, args.threads) };
    let few = probe::few(&splits.valid);
    let mut works = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        output::out(text)?;
        let Some(plan) = &timed else { continue };
        let ((recipe, architecture), threads) = (plan.recipe(n), plan.environment().threads);
        let pace = probe::pace(recipe, architecture, &splits, &few, threads, &|| false);
        let all = recipe.settings.epochs;
        let epochs = if recipe.runs_all_epochs() { Epochs::Exactly(all) } else { Epochs::UpTo(all) };
        let work = Work { recipe: recipe.name.clone(), trainings: 1, epochs, done: 0.0, pace };
        output::out(&format!("time of a training: {}\n", probe::words(std::slice::from_ref(&work))))?;
        works.push(work);
    }
    if let (Some(plan), 2..) = (&timed, works.len()) {
        let threads = counted(plan.environment().threads, "thread", "threads");
        output::out(&format!("\nall {}, one training each: {} on {threads}\n", works.len(), probe::words(&works)))?;
    }
    Ok(DONE)
}

/// The study as a run would plan it; none, and a note, where that would refuse it.
fn planned(study: Study, splits: &Splits, threads: Option<usize>) -> Option<PlannedStudy> {
    let plan = PlannedStudy::new(study, splits, to_measure(environment(threads)));
    plan.inspect_err(|error| output::note(&format!("no times, as this study cannot be run: {error}"))).ok()
}

/// What a training computes: a multiply-add of a layer is two operations, and there are as many for the gradient of its
/// inputs and for that of its weights as forward. A layer that is not trained has those forward alone.
fn price(recipe: &Recipe, architecture: &Architecture, images: usize) -> String {
    let epochs = recipe.settings.epochs;
    let fixed: u64 = architecture.layers().iter().filter(|info| info.parameters == 0).map(|info| info.macs).sum();
    let trained = architecture.macs_forward() - fixed;
    let flop = (6.0 * trained as f64 + 2.0 * fixed as f64) * images as f64 * epochs as f64;
    let of_image = match fixed {
        0 => format!("3 x 2 x {} multiply-adds", count(trained)),
        _ => format!("(3 x 2 x {} + 2 x {}) multiply-adds, the latter not trained", count(trained), count(fixed)),
    };
    let most = if recipe.runs_all_epochs() { "" } else { "at most " };
    format!(
        "price of a training: {most}{} ({} x {} images x {of_image})",
        operations(flop),
        counted(epochs, "epoch", "epochs"),
        count(images as u64)
    )
}

/// `16.3 TFLOP`, with three digits.
fn operations(flop: f64) -> String {
    let units = [("FLOP", 1.0), ("kFLOP", 1e3), ("MFLOP", 1e6), ("GFLOP", 1e9), ("TFLOP", 1e12), ("PFLOP", 1e15)];
    let (name, unit) = units.into_iter().rev().find(|&(_, unit)| flop >= 0.9995 * unit).unwrap_or(units[0]);
    let number = flop / unit;
    let decimals = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.decimals$} {name}")
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

#[cfg(test)]
mod tests {
    use super::operations;

    #[test]
    fn operations_have_three_digits_and_a_unit() {
        for (flop, text) in [
            (0.0, "0.00 FLOP"),
            (999.4, "999 FLOP"),
            (999.6, "1.00 kFLOP"),
            (16_314_212_000_000.0, "16.3 TFLOP"),
            (9.996e12, "10.0 TFLOP"),
            (284e12, "284 TFLOP"),
            (7.4e18, "7400 PFLOP"),
        ] {
            assert_eq!(operations(flop), text, "{flop}");
        }
    }
}
