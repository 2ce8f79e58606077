//! `tenfold evaluate`: how good a trained network is on labelled images that it has never seen.

use serde::Serialize;
use tenfold_data::apart::unit_of;
use tenfold_data::{Collection, Examples, Naming, Options};
use tenfold_nn::data::words::{are, counted};
use tenfold_nn::views::Views;
use tenfold_report::format::{count, percent};
use tenfold_report::text::{confusion_table, per_class_table};
use tenfold_study::Prediction;
use tenfold_study::comparison::{Estimate, Groups, RecipeStatistics, TestImages, of_network};
use tenfold_study::metrics::Metrics;

use crate::args::{EvaluateArgs, Format};
use crate::environment::environment;
use crate::failure::{DATA, DONE, Failure};
use crate::given::{typed, with_settings};
use crate::output::{self, plain};
use crate::predict::networks::Networks;
use crate::show::test_metrics;

/// What `--format json` prints.
#[derive(Serialize)]
struct EvaluationRecord<'a> {
    network: String,
    data: String,
    part: &'a str,
    sha256: String,
    images: usize,
    /// Files that could not be read and are in no figure.
    unreadable: usize,
    /// How many of the images the run of the network trained on or chose by; null where that cannot be told.
    seen: Option<usize>,
    classes: &'a [String],
    /// In which ways each image was shown, the mean of what was said of all being what counts; null where it was as it is.
    views: Option<&'a Views>,
    metrics: &'a Metrics,
    /// With 95 % intervals for new images like these.
    statistics: &'a Option<RecipeStatistics>,
    /// The same with each image as it is; null where that is what `metrics` and `statistics` are.
    plain: Option<Plain<'a>>,
}

/// Figures without views, beside those with them.
#[derive(Serialize)]
struct Plain<'a> {
    metrics: &'a Metrics,
    statistics: &'a Option<RecipeStatistics>,
}

/// Evaluates, and gives the exit code.
pub(crate) fn evaluate(args: &EvaluateArgs) -> Result<u8, Failure> {
    let mut networks = Networks::read(&args.model, environment(args.threads).threads)?;
    // Before any data is read.
    let views = args.views.as_ref().map(|views| networks.show_views(views)).transpose()?;
    let options = with_settings(&networks.options(), &args.set)?;
    let path = typed(&args.data)?;
    let collection = read(&networks, &path, &options)?;
    let sha256 = collection.sha256.clone();
    if sha256 == networks.data() {
        let own = "the data that the network was trained on";
        if collection.test.is_none() {
            let message = format!("{}: is {own}, so it has seen most of these images", path.display());
            let hint =
                "its test images, which it has not seen, are measured in the run: tenfold compare DIR".to_owned();
            return Err(Failure::new(DATA, message, Some(hint)));
        }
        output::note(&format!(
            "{}: is {own}; these are the test images of its run, looked at once more",
            path.display()
        ));
    }
    for file in &collection.unreadable {
        output::note(&format!("not measured: {}: it {}", plain(&file.path.display().to_string()), plain(&file.reason)));
    }
    let unreadable = collection.unreadable.len();
    let (part, examples) = match (collection.test, collection.valid, collection.train) {
        (Some(test), ..) => ("test images", test),
        (None, valid, train) => ("images", joined(train, valid)),
    };
    if examples.labels.is_empty() {
        let message =
            format!("{}: its images have no labels, so nothing says whether a network is right", path.display());
        let hint = "`tenfold predict` says what it takes them for".to_owned();
        return Err(Failure::new(DATA, message, Some(hint)));
    }
    // Where it is the same data, the test images were set apart from what was trained on.
    let seen = if sha256 == networks.data() { None } else { networks.has_seen(&examples.pixels) };
    if let Some(seen) = seen.filter(|&seen| seen > 0) {
        output::note(&format!(
            "{} of these {} images {} one that the network was trained on or chosen by, pixel for pixel: the figures flatter it",
            count(seen as u64),
            count(examples.labels.len() as u64),
            if seen == 1 { "is" } else { "are each" }
        ));
    }
    for note in &collection.notes {
        output::note(&format!("  {}", plain(note)));
    }
    let classes = networks.classes().len();
    let (said, loss) = answers(&networks, &examples)?;
    let plain_answers = if views.is_some() {
        networks.show_no_views();
        Some(answers(&networks, &examples)?)
    } else {
        None
    };
    let pictures: Vec<&[u8]> = examples.pixels.chunks_exact(networks.shape().len()).collect();
    let of = unit_of(&examples.groups, &tenfold_data::alike(&pictures, networks.shape()).turned);
    // Copies say no more than one of them.
    let grouped = (0_u32..).zip(&of).any(|(n, &unit)| n != unit);
    let groups = grouped.then_some(Groups { of, are_writers: false });
    let images = TestImages { labels: examples.labels, classes, groups };
    let n = images.labels.len();
    let (metrics, statistics) = of_network(said, loss, &images);
    let without = plain_answers.map(|(said, loss)| (loss, of_network(said, loss, &images)));
    let name = plain(&args.data.display().to_string());
    if args.format == Format::Json {
        let record = EvaluationRecord {
            network: networks.title(),
            data: name,
            part,
            sha256,
            images: n,
            unreadable,
            seen,
            classes: networks.classes(),
            views: args.views.as_ref(),
            metrics: &metrics,
            statistics: &statistics,
            plain: without.as_ref().map(|(_, (metrics, statistics))| Plain { metrics, statistics }),
        };
        let json = serde_json::to_string_pretty(&record).expect("names and numbers are plain values");
        output::out(&format!("{json}\n"))?;
        return Ok(DONE);
    }
    let names: Vec<String> = networks.classes().iter().map(|class| plain(class)).collect();
    let shown = test_metrics(&metrics);
    let mut text = format!("{} on {} {part} of {name} (loss {loss:.4})\n", networks.title(), count(n as u64));
    if let Some(words) = views {
        text.push_str(&format!("{words}\n"));
    }
    text.push('\n');
    text.push_str(&per_class_table(&shown, &names));
    text.push('\n');
    text.push_str(&confusion_table(&metrics.confusion, &names));
    text.push_str(&format!("\n{}\n", figures(&metrics, &statistics)));
    if let Some((plain_loss, (metrics, statistics))) = &without {
        text.push_str(&format!(
            "with each image shown once, as it is: {} (loss {plain_loss:.4})\nBoth are of the same images: whether their intervals \
             overlap does not tell whether views help.\n",
            figures(metrics, statistics)
        ));
    }
    text.push_str(&match statistics {
        Some(_) => {
            let drawn = if grouped { "new groups of images (copies are a group)" } else { "new images" };
            format!("95 % intervals: where they lie for {drawn} like these\n")
        }
        None => "one image, or one group of them, says nothing of others: no intervals\n".to_owned(),
    });
    if unreadable > 0 {
        text.push_str(&format!(
            "{} could not be read and {} in no figure\n",
            counted(unreadable, "file", "files"),
            are(unreadable)
        ));
    }
    output::out(&text)?;
    Ok(DONE)
}

/// What the networks say of each image, and the mean cross-entropy.
fn answers(networks: &Networks, examples: &Examples) -> Result<(Vec<Prediction>, f64), Failure> {
    let mut said = Vec::with_capacity(examples.labels.len());
    let mut loss = 0.0;
    for (pixels, labels) in examples.pixels.chunks(networks.shape().len() * 8_192).zip(examples.labels.chunks(8_192)) {
        let predictions = networks.predict(pixels)?;
        for (n, &label) in labels.iter().enumerate() {
            let class = predictions.class(n);
            let of = predictions.of(n);
            said.push(Prediction { label, prediction: class as u16, probability: of[class] });
            // The smallest probability there is, for a class that the network rules out.
            loss -= f64::from(of[usize::from(label)].max(f32::MIN_POSITIVE)).ln();
        }
    }
    loss /= said.len() as f64;
    Ok((said, loss))
}

/// The images, with the groups of the paths as in training, where paths have such.
fn read(networks: &Networks, path: &std::path::Path, options: &Options) -> Result<Collection, Failure> {
    let naming = Naming::Known(networks.classes());
    if let (Some(group), None) = (networks.group(), &options.group) {
        let grouped = Options { group: Some(group.to_owned()), ..options.clone() };
        match networks.read_images(path, &grouped, naming) {
            Ok(collection) if !collection.groups.is_empty() => return Ok(collection),
            _ => output::note(
                "the network was trained with groups, and none are known here: if images belong together, say by what with \
                 --set group=..., else intervals are too narrow",
            ),
        }
    }
    networks.read_images(path, options, naming)
}

fn joined(mut train: Examples, valid: Option<Examples>) -> Examples {
    let Some(valid) = valid else { return train };
    train.pixels.extend(valid.pixels);
    train.labels.extend(valid.labels);
    if train.groups.is_empty() || valid.groups.is_empty() {
        train.groups.clear();
    } else {
        train.groups.extend(valid.groups);
    }
    train
}

/// `accuracy 98.12% (97.80 to 98.41), balanced accuracy 98.00% (97.64 to 98.32)`, without intervals where there are none.
fn figures(metrics: &Metrics, statistics: &Option<RecipeStatistics>) -> String {
    let [accuracy, balanced] = match statistics {
        Some(statistics) => [&statistics.accuracy, &statistics.balanced_accuracy].map(with_interval),
        None => [metrics.accuracy, metrics.balanced_accuracy].map(percent),
    };
    format!("accuracy {accuracy}, balanced accuracy {balanced}")
}

/// `98.12% (97.80 to 98.41)`.
fn with_interval(figure: &Estimate) -> String {
    let interval = figure
        .new
        .map_or(String::new(), |interval| format!(" ({:.2} to {:.2})", 100.0 * interval.low, 100.0 * interval.high));
    format!("{}{interval}", percent(figure.mean))
}
