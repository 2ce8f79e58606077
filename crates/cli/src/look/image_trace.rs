//! One image's way through a network.

use tenfold_nn::data::ImageShape;
use tenfold_nn::look::{Trace, input_gradient, occlusion, receptive_field, trace};
use tenfold_nn::model::{Architecture, Layer, Shape};
use tenfold_report::colormap::{diverging, largest_magnitude, sequential};
use tenfold_report::feature_maps::Image;
use tenfold_report::look::image_trace::{Class, ImageTrace, Stage, Unit, draw, image_trace as picture, probability};
use tenfold_report::look::page::{NetworkPage, image_trace_section, network_page};
use tenfold_report::look::terminal::Tile;

use super::selection::Selection;
use super::terminal::tile;
use super::{Looked, Network, class_names, image, names, no_such};
use crate::args::{LookArgs, Of, UnitName};
use crate::failure::{Failure, USAGE};
use crate::output::{self, plain};
use crate::picture_file::{input_for, input_like};

/// Maps of a layer that are shown unless somebody asks for more.
const MAPS: usize = 16;

/// What is to be shown of an image's way; nothing of it need be chosen.
#[derive(Default)]
pub(crate) struct Choice<'a> {
    /// The class whose pixels are looked for.
    class: Option<&'a str>,
    /// The unit whose field is drawn.
    unit: Option<&'a UnitName>,
    /// Whether the network was asked for by name, so that it has to have the unit.
    named: bool,
    /// Maps of a layer.
    maps: Selection,
}

impl<'a> Choice<'a> {
    pub(super) fn of(looked: &Looked, args: &'a LookArgs) -> Choice<'a> {
        Choice {
            class: args.class.as_deref(),
            unit: args.unit.as_ref(),
            named: !args.model.is_empty(),
            maps: looked.filters.clone(),
        }
    }
}

/// An image to look at.
pub(crate) struct GivenImage {
    /// What it is, as it is to be printed.
    pub(super) heading: String,
    /// What files about it are called.
    name: String,
    steps: Vec<(String, Image)>,
    pub(crate) pixels: Vec<u8>,
    pub(super) label: Option<usize>,
}

/// The image that was asked for, if one was.
pub(super) fn given(looked: &Looked, args: &LookArgs) -> Result<Option<GivenImage>, Failure> {
    if let Some(path) = &args.file {
        let dataset = &looked.study.record.dataset;
        let shape = looked.splits.train.shape();
        // Pictures become images as those did that the network was trained on. Arrays of 28 by 28 are made as MNIST was.
        let (steps, pixels) = match &dataset.reading {
            Some(reading) if reading.options.white.is_none() => input_like(shape, &dataset.images(), path)?,
            _ => input_for(shape, path)?,
        };
        let name = names::of_picture(path);
        let heading = plain(&path.file_name().unwrap_or_default().to_string_lossy());
        return Ok(Some(GivenImage { heading, name, steps, pixels, label: None }));
    }
    let Some(number) = args.image else { return Ok(None) };
    let test = &looked.splits.test;
    let (of, all) = match args.of {
        Of::Test => ("test", test.len()),
        Of::Valid => ("validation", looked.splits.valid.len()),
    };
    if number >= all {
        let message = format!("there is no {of} image {number}; they are numbered from 0 to {}", all - 1);
        return Err(Failure::new(USAGE, message, None));
    }
    let (pixels, label) = match args.of {
        Of::Test => (test.image(number), test.labels_for_report()[number]),
        Of::Valid => (looked.splits.valid.image(number), looked.splits.valid.labels()[number]),
    };
    Ok(Some(of_data(of, number, pixels, label, &class_names(&looked.study.record))))
}

/// An image of the data set.
pub(crate) fn of_data(of: &str, number: usize, pixels: &[u8], label: u16, class_names: &[String]) -> GivenImage {
    GivenImage {
        heading: format!("{of} image {number}, labelled {}", class_names[usize::from(label)]),
        name: format!("{of}-{number}"),
        steps: Vec::new(),
        pixels: pixels.to_vec(),
        label: Some(label.into()),
    }
}

/// Writes the image's way through the network, as a picture and as a page, and says what the network makes of it.
pub(super) fn look(looked: &Looked, network: &Network, given: &GivenImage, args: &LookArgs) -> Result<(), Failure> {
    let traced = trace(&network.model, &given.pixels);
    let shown = image_trace(network, given, &traced, &Choice::of(looked, args), looked.threads)?;
    let mut best: Vec<&Class> = shown.classes.iter().collect();
    best.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let said: Vec<String> =
        best.iter().take(3).map(|class| format!("{} {}", class.name, probability(class.probability))).collect();
    output::out(&format!("{}: {} is {}\n", network.title(), given.heading, said.join(", ")))?;
    looked.write(&network.file(&format!("{}.png", given.name)), &picture(&shown))?;
    let page = NetworkPage {
        title: format!("{}, {}", network.title(), given.heading),
        subtitle: vec![looked.study.record.title.clone()],
        sections: vec![image_trace_section(&shown)],
    };
    looked.write(&network.file(&format!("{}.html", given.name)), network_page(&page).as_bytes())?;
    looked.screen.picture(|| draw(&shown))?;
    looked.screen.tiles(|| tiles(&shown))
}

/// The class of this name, or else of this number.
fn class_called(class: &str, names: &[String]) -> Result<usize, Failure> {
    if let Some(number) = names.iter().position(|name| name == class) {
        return Ok(number);
    }
    match class.parse::<usize>() {
        Ok(number) if number < names.len() => Ok(number),
        Ok(_) => {
            let message = format!("there is no class {class}; they are numbered from 0 to {}", names.len() - 1);
            Err(Failure::new(USAGE, message, None))
        }
        Err(_) => {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(no_such(&format!("there is no class {class:?}"), class, &known))
        }
    }
}

/// Everything that is shown of the image. An error only where the choice cannot be met.
pub(crate) fn image_trace(
    network: &Network,
    given: &GivenImage,
    traced: &Trace,
    choice: &Choice,
    threads: usize,
) -> Result<ImageTrace, Failure> {
    let architecture = network.model.architecture();
    let classes = architecture.classes();
    let explained = match choice.class {
        Some(class) => class_called(class, &network.class_names)?,
        // The first of equals.
        None => {
            (0..classes).rev().max_by(|&a, &b| traced.probabilities[a].total_cmp(&traced.probabilities[b])).unwrap_or(0)
        }
    };
    let logits = traced.outputs.last().map_or(&[][..], Vec::as_slice);
    let class = |n: usize| Class {
        name: network.class_names[n].clone(),
        logit: logits[n],
        probability: traced.probabilities[n],
    };
    let shape = architecture.input();
    // About a sixth of the image, odd, so that it has a middle.
    let side = (shape.height.min(shape.width) / 6).max(2) | 1;
    let mut stages = stages(architecture, traced, &choice.maps);
    // Of networks that nobody has named, some may not have the layer.
    let has = |unit: &UnitName| architecture.layers().iter().any(|info| info.name == unit.layer);
    let unit = match choice.unit {
        Some(unit) if has(unit) || choice.named => Some(unit_named(network, architecture, &mut stages, unit)?),
        _ => strongest_unit(architecture, &stages),
    };
    Ok(ImageTrace {
        title: network.title(),
        heading: match shape.channels {
            1 | 3 => given.heading.clone(),
            all => format!("{}; channel 1 of {all}, slopes the largest of all", given.heading),
        },
        steps: given.steps.clone(),
        image: image(shape, &given.pixels),
        classes: (0..classes).map(class).collect(),
        label: given.label.filter(|&label| label < classes),
        unit,
        explained,
        occlusion: occlusion(&network.model, &given.pixels, explained, side, threads),
        occlusion_side: side,
        gradient: as_shown(shape, input_gradient(&network.model, &given.pixels, explained)),
        stages: stages.into_iter().map(|(_, stage)| stage).collect(),
    })
}

/// A gradient with the channels of the picture: where that shows one of several, of each pixel the slope of the largest
/// magnitude.
fn as_shown(shape: ImageShape, gradient: Vec<f64>) -> Vec<f64> {
    if matches!(shape.channels, 1 | 3) {
        return gradient;
    }
    let area = shape.height * shape.width;
    let larger = |a: f64, b: f64| if b.abs() > a.abs() { b } else { a };
    (0..area).map(|at| gradient.iter().skip(at).step_by(area).copied().fold(0.0, larger)).collect()
}

/// The layers that change something, but for the logits, each with its index.
fn stages(architecture: &Architecture, traced: &Trace, maps: &Selection) -> Vec<(usize, Stage)> {
    let layers = architecture.layers();
    let mut stages = Vec::new();
    let (mut signed, mut shown) = (true, None::<Vec<usize>>);
    for (index, info) in layers.iter().enumerate().take(layers.len() - 1) {
        match info.layer {
            Layer::Flatten | Layer::Dropout { .. } => continue,
            Layer::Conv { .. } | Layer::Depthwise { .. } | Layer::Whiten { .. } => signed = true,
            Layer::Linear { .. } | Layer::LeakyRelu { .. } => signed = true,
            Layer::Tanh | Layer::Gelu | Layer::Silu => signed = true,
            Layer::BatchNorm { .. } | Layer::Add => signed = true,
            Layer::Relu | Layer::Sigmoid => signed = false,
            Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool => {}
        }
        let shape = match info.output {
            Shape::Image(image) => [image.channels, image.height, image.width],
            Shape::Flat(features) => [features, 1, 1],
        };
        if info.groups().is_some() || matches!(info.layer, Layer::Linear { .. }) {
            // The maps with the largest responses, and the same ones before and after what follows.
            let order = largest(&traced.outputs[index], shape);
            let mut some = if shape[1..] == [1, 1] { order } else { maps.of(&order, MAPS) };
            some.sort_unstable();
            shown = Some(some);
        }
        let name = format!("{}: {}", info.name, info.layer);
        let values = traced.outputs[index].clone();
        let shown = shown.clone().unwrap_or_else(|| (0..shape[0]).collect());
        stages.push((index, Stage { name, signed, shape, values, shown }));
    }
    stages
}

/// The channels, those with the largest values first.
fn largest(values: &[f32], [channels, height, width]: [usize; 3]) -> Vec<usize> {
    let area = (height * width).max(1);
    let peak = |channel: usize| {
        values[channel * area..(channel + 1) * area].iter().fold(f32::NEG_INFINITY, |peak, &v| peak.max(v))
    };
    let mut order: Vec<usize> = (0..channels).collect();
    order.sort_by(|&a, &b| peak(b).total_cmp(&peak(a)));
    order
}

/// The unit of the last convolution that answers most strongly, of the maps that are shown.
fn strongest_unit(architecture: &Architecture, stages: &[(usize, Stage)]) -> Option<Unit> {
    let is_conv = |index: usize| architecture.layers()[index].groups().is_some();
    let at = stages.iter().rposition(|(index, _)| is_conv(*index))?;
    let (_, stage) = &stages[at];
    let [_, height, width] = stage.shape;
    let is_shown = |at: &usize| stage.shown.contains(&(at / (height * width)));
    let strongest =
        (0..stage.values.len()).rev().filter(is_shown).max_by(|&a, &b| stage.values[a].total_cmp(&stage.values[b]))?;
    let place = (strongest / (height * width), strongest / width % height, strongest % width);
    Some(unit(architecture, stages, at, place))
}

/// A unit at (channel, row, column) of a stage, with what it sees.
fn unit(
    architecture: &Architecture,
    stages: &[(usize, Stage)],
    at: usize,
    (channel, row, column): (usize, usize, usize),
) -> Unit {
    let (index, _) = stages[at];
    let field = receptive_field(architecture, index, (row, column));
    let name = format!("{} filter {channel}, row {row}, column {column}", architecture.layers()[index].name);
    let field = [field.rows.start, field.columns.start, field.rows.len(), field.columns.len()];
    Unit { name, at: (at, channel, row, column), field }
}

/// The unit that was asked for; its map is among those that are shown.
fn unit_named(
    network: &Network,
    architecture: &Architecture,
    stages: &mut [(usize, Stage)],
    named: &UnitName,
) -> Result<Unit, Failure> {
    let layers: Vec<&str> = stages.iter().map(|(index, _)| architecture.layers()[*index].name.as_str()).collect();
    let Some(at) = layers.iter().position(|name| *name == named.layer) else {
        let message = format!("{} has no layer {:?} to look at", network.trial.recipe, named.layer);
        return Err(no_such(&message, &named.layer, &layers));
    };
    let [channels, height, width] = stages[at].1.shape;
    let (channel, row, column) = named.place;
    if channel >= channels || row >= height || column >= width {
        let message = format!(
            "{} has no unit {channel},{row},{column} in {}: it has {channels} filters of {height} rows and {width} columns, \
             numbered from 0",
            network.trial.recipe, named.layer
        );
        return Err(Failure::new(USAGE, message, None));
    }
    if !stages[at].1.shown.contains(&channel) {
        // Among the same maps before and after, as far as they are the same channels.
        let same = stages[at].1.shown.clone();
        for (_, stage) in stages.iter_mut().filter(|(_, stage)| stage.shown == same) {
            stage.shown.push(channel);
            stage.shown.sort_unstable();
        }
    }
    Ok(unit(architecture, stages, at, (channel, row, column)))
}

/// The input and its maps as small as they are.
fn tiles(trace: &ImageTrace) -> Vec<Tile> {
    let mut tiles = vec![tile(&trace.image)];
    for stage in trace.stages.iter().filter(|stage| stage.shape[1..] != [1, 1]) {
        let [_, height, width] = stage.shape;
        let limit = largest_magnitude(&stage.values);
        for &channel in stage.shown.iter().take(4) {
            let values = &stage.values[channel * height * width..(channel + 1) * height * width];
            let colors = values.iter().map(|&v| if stage.signed { diverging(v, limit) } else { sequential(v, limit) });
            tiles.push(Tile { width, height, colors: colors.collect() });
        }
    }
    tiles
}
