//! The page of one network: its filters, one image's way through it, its training, and its like among the seeds.

use tenfold_nn::look::trace;
use tenfold_report::colormap::diverging;
use tenfold_report::format::{change_in_points, percent};
use tenfold_report::html::Shown;
use tenfold_report::look::cards::{Card, Sheet, cards, cards_picture, filters};
use tenfold_report::look::film::{animation, strip};
use tenfold_report::look::page::{NetworkPage, Section, image_trace_section, network_page};
use tenfold_report::look::recurrence::recurrence as recurrence_picture;
use tenfold_report::look::terminal::Tile;
use tenfold_study::record::RecipeRecord;

use super::filters::LayerFilters;
use super::{LOOK, Looked, Network, film, image, image_trace, recurrence};
use crate::args::LookArgs;
use crate::failure::Failure;
use crate::output;

/// Filters of a layer in a picture unless somebody asks for more: more do not fit.
const MOST_FILTERS: usize = 64;
/// Cards of a layer in a picture unless somebody asks for more.
const CARDS: usize = 16;
/// Filters in the film of the page.
const FILM_FILTERS: usize = 12;
/// Other seeds whose filters are compared.
const OTHER_SEEDS: usize = 3;

/// Writes the pictures and the page of a network.
pub(super) fn look(looked: &Looked, network: &Network, args: &LookArgs) -> Result<(), Failure> {
    output::out(&format!("{}\n", network.title()))?;
    let valid = &looked.splits.valid;
    let given = image_trace::of_data("validation", 0, valid.image(0), valid.labels()[0], &network.class_names);
    let traced = trace(&network.model, &given.pixels);
    let shared = image(valid.shape(), &given.pixels);
    // First, because what is typed may be wrong.
    let shown =
        image_trace::image_trace(network, &given, &traced, &image_trace::Choice::of(looked, args), looked.threads)?;
    let mut sections = Vec::new();
    let mut first_order = None;
    for layer in &network.layers {
        let found = LayerFilters::of(
            &looked.splits,
            looked.threads,
            network,
            layer,
            (&shared, &traced),
            (&looked.filters, MOST_FILTERS),
        );
        output::out(&format!("  {}\n", words(&found, &layer.name)))?;
        let some = Sheet {
            cards: found.sheet.cards.iter().take(looked.filters.most(CARDS)).cloned().collect(),
            ..found.sheet.clone()
        };
        let (sheet_png, cards_png) = (filters(&found.sheet), cards(&some));
        looked.write(&network.file(&format!("filters-{}.png", layer.name)), &sheet_png)?;
        looked.write(&network.file(&format!("cards-{}.png", layer.name)), &cards_png)?;
        looked.screen.picture(|| cards_picture(&some))?;
        looked.screen.tiles(|| found.sheet.cards.iter().map(|card| kernel(card, found.sheet.limit)).collect())?;
        sections.push(section(&found, &layer.name, sheet_png, cards_png));
        first_order.get_or_insert((layer.clone(), found.order));
    }
    sections.push(image_trace_section(&shown));
    if let Some((layer, order)) = &first_order {
        let shown = (&looked.filters, FILM_FILTERS);
        if let Some(film) = film::of(&looked.folder, network, layer, Some(order), shown)? {
            sections.push(through_training(&layer.name, strip(&film), animation(&film)));
        }
        sections.extend(other_seeds(looked, network, &layer.name)?);
    }
    let page = NetworkPage {
        title: network.title(),
        subtitle: vec![
            looked.study.record.title.clone(),
            format!("Layers: {}", layers(network)),
            "Silencing sets a filter's weights and bias to zero; what that costs is measured on the validation images."
                .to_owned(),
        ],
        sections,
    };
    let file = format!("{LOOK}/{}-seed-{}.html", network.trial.recipe, network.trial.seed);
    looked.write(&file, network_page(&page).as_bytes())
}

fn layers(network: &Network) -> String {
    let layers = network.model.architecture().written().iter().map(ToString::to_string);
    layers.collect::<Vec<_>>().join(", ")
}

/// What there is to say of a layer's filters, in a line.
fn words(found: &LayerFilters, layer: &str) -> String {
    let mut text = format!("{layer}: {} filters", found.sheet.of);
    let first = found.sheet.cards.first().and_then(|card| Some((card, card.matters.as_ref()?)));
    match first.filter(|_| found.measured) {
        Some((card, matters)) if matters.lost > 0.0 => {
            let (lost, recall) = (100.0 * matters.lost, 100.0 * matters.suffers_lost);
            let (number, class) = (card.filter.number, &matters.suffers);
            text.push_str(&format!("; without filter {number} balanced accuracy falls by {lost:.2} points"));
            if recall > 0.0 {
                text.push_str(&format!(", recall of {class} by {recall:.1}"));
            }
        }
        // The first of those that are shown is the first of all, unless others were asked for.
        Some((card, _)) if found.order.first() == Some(&card.filter.number) => {
            text.push_str("; without any one of them balanced accuracy does not fall");
        }
        _ => {}
    }
    for (count, what) in [(found.dead, "never answer"), (found.duplicates, "answer like an earlier one")] {
        if count > 0 {
            text.push_str(&format!("; {count} {what}"));
        }
    }
    text
}

fn section(found: &LayerFilters, layer: &str, sheet: Vec<u8>, cards: Vec<u8>) -> Section {
    let order = if found.measured {
        "Those that matter most come first: without them balanced accuracy on the validation images falls most."
    } else {
        "There are too many to silence each, so those with the largest weights come first."
    };
    let head = [
        "filter",
        "balanced accuracy, points",
        "class that suffers",
        "its recall, points",
        "cut off by ReLU",
        "largest response",
        "mark",
    ];
    let row = |card: &Card| {
        let matters = card.matters.as_ref();
        vec![
            card.filter.number.to_string(),
            matters.map_or("-".to_owned(), |m| change_in_points(-m.lost, 2)),
            matters.filter(|m| m.suffers_lost > 0.0).map_or("-".to_owned(), |m| m.suffers.clone()),
            matters.filter(|m| m.suffers_lost > 0.0).map_or("-".to_owned(), |m| change_in_points(-m.suffers_lost, 2)),
            card.cut.map_or("-".to_owned(), percent),
            format!("{:.3}", card.largest),
            mark(card),
        ]
    };
    Section {
        id: format!("filters-{layer}"),
        heading: format!("Filters of {layer}"),
        sentences: vec![words(found, layer) + ".", order.to_owned()],
        pictures: vec![
            Shown {
                title: format!("{} of {} filters of {layer}", found.sheet.cards.len(), found.sheet.of),
                alternative: "A square of colours for each filter: weights above zero in one colour, below zero in \
                              another, zero between. The table below has what each costs."
                    .to_owned(),
                png: sheet,
            },
            Shown {
                title: "What they answer to".to_owned(),
                alternative: "A card for each filter: its kernel, its response to one image, and \
                              the nine patches of training images that excite it most."
                    .to_owned(),
                png: cards,
            },
        ],
        tables: vec![(
            format!("What each filter of {layer} costs when it is silenced"),
            head.map(str::to_owned).to_vec(),
            found.sheet.cards.iter().map(row).collect(),
        )],
    }
}

fn mark(card: &Card) -> String {
    match card.duplicate_of {
        _ if card.dead => "dead".to_owned(),
        Some(other) => format!("like {other}"),
        None => String::new(),
    }
}

fn through_training(layer: &str, strip: Vec<u8>, animation: Vec<u8>) -> Section {
    Section {
        id: "training".to_owned(),
        heading: "Through training".to_owned(),
        sentences: vec![format!(
            "Filters of {layer} before training and after each epoch, in the order in which they stand above."
        )],
        pictures: vec![
            Shown {
                title: format!("{layer} by epoch"),
                alternative: "A row for each filter, a column for each epoch.".to_owned(),
                png: strip,
            },
            Shown {
                title: format!("{layer} through training, moving"),
                alternative: "The same filters in a grid, one epoch after the other.".to_owned(),
                png: animation,
            },
        ],
        tables: Vec::new(),
    }
}

/// The filters that recur in other seeds of the recipe, if there are other seeds.
fn other_seeds(looked: &Looked, network: &Network, layer: &str) -> Result<Option<Section>, Failure> {
    let recipe = looked.study.record.recipes.iter().find(|recipe| recipe.name == network.trial.recipe);
    let finished = recipe.into_iter().flat_map(RecipeRecord::finished);
    let others = finished.filter(|trial| trial.seed != network.trial.seed);
    let mut networks = Vec::new();
    for trial in others.take(OTHER_SEEDS) {
        networks.push(looked.network(trial)?);
    }
    if networks.is_empty() {
        return Ok(None);
    }
    let all: Vec<&Network> = std::iter::once(network).chain(&networks).collect();
    let rows = recurrence::of(looked, &all, layer);
    let mut sentences: Vec<String> =
        recurrence::sentences(&rows, layer).into_iter().map(|sentence| sentence + ".").collect();
    sentences.push(
        "Two filters are the same if each is the other's nearest, and their responses to some validation images, and \
         their kernels where these can be compared, correlate by 0.9 or more."
            .to_owned(),
    );
    Ok(Some(Section {
        id: "seeds".to_owned(),
        heading: "The same filter in other seeds".to_owned(),
        sentences,
        pictures: vec![Shown {
            title: rows.title.clone(),
            alternative: "A row for each filter with the filter of each other network that is most like it.".to_owned(),
            png: recurrence_picture(&rows),
        }],
        tables: Vec::new(),
    }))
}

/// A kernel as a tile; of several channels the first.
fn kernel(card: &Card, limit: f32) -> Tile {
    let (width, height) = (card.filter.width, card.filter.height);
    let colors = card.filter.weights[..width * height].iter().map(|&weight| diverging(weight, limit));
    Tile { width, height, colors: colors.collect() }
}
