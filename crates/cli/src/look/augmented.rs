//! `tenfold look STUDY --augment`: what a network will be shown of its training images, before any training.

use std::path::Path;

use tenfold_nn::augment::{Augment, Augmenter};
use tenfold_nn::data::Dataset;
use tenfold_report::classes::class_name;
use tenfold_report::data::contact_sheet::contact_sheet;
use tenfold_report::data::layout::{Layout, evenly};
use tenfold_report::data::{Class, Example};
use tenfold_study::{PlanError, Recipe, RunFolder};

use super::{LOOK, image};
use crate::args::{GivenArgs, LookArgs};
use crate::failure::{DONE, Failure, USAGE};
use crate::given::images_of;
use crate::output::{self, plain};
use crate::study_file;

/// Epochs that are shown of an image.
const EPOCHS: usize = 7;
/// Images that are shown of a class, and of all classes together.
const OF_CLASS: usize = 3;
const OF_ALL: usize = 60;

/// Draws what the recipes of a study show of some images of each class, and gives the exit code.
pub(super) fn look(args: &LookArgs) -> Result<u8, Failure> {
    let given = GivenArgs { data: args.data.clone(), set: Vec::new() };
    if args.folder.is_dir() {
        let message =
            format!("{}: is a folder, expected a study with --augment", plain(&args.folder.display().to_string()));
        let of_run = args.folder.join("study.toml");
        let hint = of_run.is_file().then(|| format!("its study is {}", plain(&of_run.display().to_string())));
        return Err(Failure::new(USAGE, message, hint));
    }
    let (mut study, _) = study_file::find(Some(args.folder.as_os_str()), &given)?;
    let selected = study.select(&args.model)?;
    let changes = |recipe: &Recipe| recipe.settings.augment != Augment::None;
    if let Some(&plain) = selected.iter().find(|&&n| !args.model.is_empty() && !changes(&study.recipes[n])) {
        return Err(nothing(&format!("the recipe {:?} shows images as they are", study.recipes[plain].name)));
    }
    if !selected.iter().any(|&n| changes(&study.recipes[n])) {
        return Err(nothing(&format!("the recipes of {:?} show images as they are", study.name)));
    }
    let splits = images_of(&mut study, &given)?.splits;
    study.set_classes(splits.train.classes());
    let seed = args.seed.unwrap_or(1);
    let mut sheets = Vec::new();
    for recipe in selected.into_iter().map(|n| &study.recipes[n]).filter(|recipe| changes(recipe)) {
        // Nothing is drawn of a study that could not be run.
        recipe
            .architecture(splits.train.shape(), splits.train.classes())
            .map_err(|error| PlanError::Architecture { recipe: recipe.name.clone(), error: Box::new(error) })?;
        let title = format!("{}: {}", study.name, recipe.name);
        let file = format!("{LOOK}/{}-augment-seed-{seed}.png", recipe.name);
        sheets.push((file, sheet(&title, &recipe.settings.augment, seed, &splits.train, &splits.class_names)));
    }
    let folder = RunFolder::open(&Path::new("runs").join(&study.name))?;
    for (file, png) in sheets {
        folder.write(&file, &png)?;
        output::out(&format!("{}\n", plain(&folder.path().join(&file).display().to_string())))?;
    }
    Ok(DONE)
}

fn nothing(message: &str) -> Failure {
    let hint = "write augment = \"characters\", augment = \"photos\" or a list such as [\"shift 2\", \"rotate 10\"] under its \
                [[recipe]] in a study file";
    Failure::new(USAGE, message.to_owned(), Some(hint.to_owned()))
}

/// Rows of an image as it is, and of what the first epochs show of it.
fn sheet(title: &str, augment: &Augment, seed: u64, train: &Dataset, names: &[String]) -> Vec<u8> {
    let shape = train.shape();
    let Some(augmenter) = Augmenter::new(augment, shape, seed) else { return Vec::new() };
    let layout = Layout::contact_sheet(train.classes(), 1 + EPOCHS, [shape.height, shape.width]);
    let mut lists = vec![Vec::new(); train.classes()];
    train.labels().iter().enumerate().for_each(|(n, &label)| lists[usize::from(label)].push(n));
    let of_class = (OF_ALL / train.classes()).clamp(1, OF_CLASS);
    let example = |name: String, pixels: &[u8]| Example { name, image: layout.shrunk(&image(shape, pixels)) };
    let row = |class: usize, n: usize| {
        let from = &train.pixels()[n * shape.len()..][..shape.len()];
        let (mut to, mut room) = (vec![0; shape.len()], vec![0; shape.len()]);
        let mut examples = vec![example("as it is".to_owned(), from)];
        for epoch in 1..=EPOCHS {
            augmenter.shown(epoch, n as u32, train.pixels(), &mut room, &mut to);
            examples.push(example(format!("epoch {epoch}"), &to));
        }
        Class { name: plain(&class_name(names, class)), examples, of: lists[class].len() as u64, ..Class::default() }
    };
    let rows: Vec<Class> = (0..train.classes())
        .flat_map(|class| evenly(lists[class].len(), of_class).map(move |place| (class, place)))
        .map(|(class, place)| row(class, lists[class][place]))
        .collect();
    let notes = [
        format!("augment: {augment}"),
        format!("Each row: a training image as it is, then what epochs 1 to {EPOCHS} show of it (seed {seed})."),
        "The number behind a class is how many training images it has. A person should still recognise every image."
            .to_owned(),
    ];
    contact_sheet(&plain(title), &notes, &rows)
}
