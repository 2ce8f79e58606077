//! `tenfold look`: what trained networks have inside.

mod augmented;
pub(crate) mod film;
pub(crate) mod filters;
pub(crate) mod image_trace;
mod mistakes;
mod names;
mod network;
mod recurrence;
pub(crate) mod selection;
pub(crate) mod terminal;

use tenfold_nn::data::Splits;
use tenfold_nn::look::{FilterLayer, filter_layers};
use tenfold_nn::model::Model;
use tenfold_report::classes::class_name;
use tenfold_report::feature_maps::Image;
use tenfold_study::record::{RecipeRecord, StudyRecord, TrialRecord};
use tenfold_study::{FinishedStudy, RunFolder, nearest, trained};

use crate::args::LookArgs;
use crate::environment::environment;
use crate::failure::{DONE, Failure, USAGE};
use crate::output::{self, plain};
use crate::report;
use selection::Selection;
use terminal::Screen;

/// The folder within the run folder that everything is written to.
pub(crate) const LOOK: &str = "look";

/// What is looked at, and with what.
struct Looked {
    folder: RunFolder,
    study: FinishedStudy,
    splits: Splits,
    threads: usize,
    screen: Screen,
    /// Filters that were asked for.
    filters: Selection,
}

/// One trained network.
pub(crate) struct Network {
    pub(crate) trial: TrialRecord,
    pub(crate) model: Model,
    /// Its layers with filters, as far as they were asked for.
    pub(crate) layers: Vec<FilterLayer>,
    /// The name of each class, as it is to be printed.
    pub(crate) class_names: Vec<String>,
}

/// The name of each class, as it is to be printed.
pub(crate) fn class_names(record: &StudyRecord) -> Vec<String> {
    let names = &record.dataset.class_names;
    (0..record.dataset.classes).map(|class| plain(&class_name(names, class))).collect()
}

impl Network {
    /// Of a finished trial of `record`, with all its layers that have filters.
    pub(crate) fn read(folder: &RunFolder, record: &StudyRecord, trial: &TrialRecord) -> Result<Network, Failure> {
        let model = trained(folder, record, trial)?;
        let layers = filter_layers(model.architecture());
        Ok(Network { trial: trial.clone(), model, layers, class_names: class_names(record) })
    }

    /// As it is to be printed.
    fn title(&self) -> String {
        format!("{} seed {}", self.trial.recipe, self.trial.seed)
    }

    /// A file of this network within the run folder.
    fn file(&self, name: &str) -> String {
        format!("{LOOK}/{}-seed-{}/{name}", self.trial.recipe, self.trial.seed)
    }
}

/// Looks into the networks of a run folder and gives the exit code.
pub(crate) fn look(args: &LookArgs) -> Result<u8, Failure> {
    if args.augment {
        return augmented::look(args);
    }
    let (folder, study, splits) = report::open(&args.folder, args.data.as_deref())?;
    let threads = environment(args.threads).threads;
    let filters = Selection { most: args.filters, these: args.filter.clone() };
    let looked = Looked { folder, study, splits, threads, screen: Screen::new(args.show), filters };
    if args.mistakes {
        mistakes::look(&looked)?;
        return Ok(DONE);
    }
    if args.same {
        recurrence::look(&looked, args)?;
        return Ok(DONE);
    }
    let given = image_trace::given(&looked, args)?;
    let mut networks = looked.networks(args)?;
    if given.is_none() && !looked.filters.these.is_empty() {
        // No page and no picture without a filter.
        networks.iter_mut().for_each(|n| n.layers.retain(|layer| looked.filters.has_any(layer.filters)));
        networks.retain(|network| !network.layers.is_empty());
    }
    if args.film {
        film::look(&looked, &networks)?;
        return Ok(DONE);
    }
    for network in networks {
        if let Some(given) = &given {
            image_trace::look(&looked, &network, given, args)?;
        } else {
            network::look(&looked, &network, args)?;
        }
    }
    Ok(DONE)
}

impl Looked {
    /// The networks that were asked for, with those of their layers that were; networks without any of these are left
    /// out.
    fn networks(&self, args: &LookArgs) -> Result<Vec<Network>, Failure> {
        let (mut networks, mut known) = (Vec::new(), Vec::new());
        for trial in chosen(&self.study.record.recipes, &args.model, args.seed)? {
            let mut network = self.network(trial)?;
            known.extend(network.layers.iter().map(|layer| layer.name.clone()));
            network.layers.retain(|layer| args.layer.is_empty() || args.layer.contains(&layer.name));
            if args.layer.is_empty() || !network.layers.is_empty() {
                networks.push(network);
            }
        }
        known.sort();
        known.dedup();
        match args.layer.iter().find(|name| !known.contains(name)) {
            None => {
                self.filters.check(&networks)?;
                Ok(networks)
            }
            Some(unknown) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                Err(no_such(&format!("no network has a layer {unknown:?} with filters"), unknown, &known))
            }
        }
    }

    /// The network of a trial, with all its layers that have filters.
    fn network(&self, trial: &TrialRecord) -> Result<Network, Failure> {
        Network::read(&self.folder, &self.study.record, trial)
    }

    /// Writes a file of the run folder, and says where it is.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.folder.write(file, bytes)?;
        output::out(&format!("  {}\n", plain(&self.folder.path().join(file).display().to_string())))
    }
}

/// That something of this name is not there, with what may have been meant.
fn no_such(message: &str, name: &str, known: &[&str]) -> Failure {
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => return Failure::new(USAGE, message.to_owned(), None),
        None => format!("there are {}", known.join(", ")),
    };
    Failure::new(USAGE, message.to_owned(), Some(hint))
}

/// The trials to look at: of each recipe that `names` name (of all if there are no names) the one of seed `seed`, else
/// the best on validation.
fn chosen<'r>(
    recipes: &'r [RecipeRecord],
    names: &[String],
    seed: Option<u64>,
) -> Result<Vec<&'r TrialRecord>, Failure> {
    let known: Vec<&str> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(no_such(&format!("the folder has no recipe {unknown:?}"), unknown, &known));
    }
    let of = seed.map_or(String::new(), |seed| format!(" from seed {seed}"));
    let mut trials = Vec::new();
    for recipe in recipes.iter().filter(|recipe| names.is_empty() || names.contains(&recipe.name)) {
        let found = match seed {
            Some(seed) => recipe.finished().find(|trial| trial.seed == seed),
            None => best(recipe.finished()),
        };
        match found {
            Some(found) => trials.push(found),
            None if names.is_empty() => {}
            None => {
                let seeds: Vec<String> = recipe.finished().map(|trial| trial.seed.to_string()).collect();
                let hint = (!seeds.is_empty()).then(|| format!("there are seeds {}", seeds.join(", ")));
                return Err(Failure::new(USAGE, format!("no training of {}{of} has finished", recipe.name), hint));
            }
        }
    }
    if trials.is_empty() {
        return Err(Failure::new(USAGE, format!("no training{of} has finished"), None));
    }
    Ok(trials)
}

/// The one with the best balanced accuracy on validation, the first of equals.
fn best<'r>(trials: impl Iterator<Item = &'r TrialRecord>) -> Option<&'r TrialRecord> {
    let accuracy = |trial: &TrialRecord| trial.valid.as_ref().map_or(0.0, |valid| valid.balanced_accuracy);
    trials.reduce(|best, trial| if accuracy(trial) > accuracy(best) { trial } else { best })
}

/// Pixels of a network's input as a picture: in colour where there are three channels, else the first channel in grey.
pub(crate) fn image(shape: tenfold_nn::data::ImageShape, pixels: &[u8]) -> Image {
    let channels = if shape.channels == 3 { 3 } else { 1 };
    let pixels = pixels[..channels * shape.height * shape.width].to_vec();
    Image { channels, height: shape.height, width: shape.width, pixels }
}
