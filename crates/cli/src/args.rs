//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use tenfold_nn::views::Views;
use tenfold_nn::{Isa, Precision};
use tenfold_study::MAX_SEEDS;
use tenfold_study::comparison::{ChosenBy, MARGIN};

mod cluster;
mod proof;

pub(crate) use cluster::{Engine, MergeArgs, StatusArgs, SubmitArgs, WorkArgs};
pub(crate) use proof::{DiffArgs, VerifyArgs};

/// Trains several small neural networks on small images, compares them, and shows what they learned.
///
/// MNIST is inside the program, and so is a study of six networks for it, and one of four for images of your own.
#[derive(Parser, Debug)]
#[command(name = "tenfold", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tenfold run                        train and compare the six built-in networks
  tenfold run --only mlp,cnn2        two of them
  tenfold run --seeds 10             each from ten seeds; what is finished is not run again
  tenfold run --data my-pictures     four networks on images of your own: a folder for each class, a CSV, an npz ...
  tenfold run mine.toml              networks of your own
  tenfold compare runs/digits        which differences between them are real
  tenfold report runs/digits         one page with everything, to look at and to mail
  tenfold look runs/digits           filters, feature maps and what matters, of each network
  tenfold predict runs/images-my-pictures new-pictures   what the picked network says of other images
  tenfold verify runs/digits         train again what it claims, and see whether the bits agree
  tenfold work runs/digits           one of several processes that train what was planned; `tenfold status` watches
  tenfold models                     their layers, shapes, parameters and multiply-adds
  tenfold bench                      how fast they train on this machine

Exit codes:
  0          done
  1          verify: something does not agree; diff: the trainings differ
  2          usage: an option, a study file, or a path that leads to nothing
  3          data: images that are there and cannot be used, or are not those of the run
  4          input or output: the system refuses to read or write, no mirror answers, or a file of a run was changed
  5          a training diverged
  130, 143   stopped by Ctrl-C or SIGTERM";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Run(RunArgs),
    Compare(CompareArgs),
    Report(ReportArgs),
    Look(LookArgs),
    Predict(PredictArgs),
    Evaluate(EvaluateArgs),
    Export(ExportArgs),
    Work(WorkArgs),
    Status(StatusArgs),
    Submit(SubmitArgs),
    Merge(MergeArgs),
    Verify(VerifyArgs),
    Diff(DiffArgs),
    Models(ModelsArgs),
    Bench(BenchArgs),
    Data(DataArgs),
}

/// The images of a study.
#[derive(clap::Args, Debug)]
pub(crate) struct GivenArgs {
    /// Take the images from here: a folder with a folder of pictures for each class (or train, valid and test with such
    /// folders in them), a CSV of pixels or of paths, an npz file, a folder of npy, CIFAR's or IDX files. [default: what
    /// the study names, else MNIST]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// How they are to be understood, as a line of TOML; `tenfold data --help` lists the settings. May be repeated.
    #[arg(long, value_name = "SETTING")]
    pub(crate) set: Vec<String>,
}

/// Trains the recipes of a study and compares them.
///
/// Everything is written to a folder as soon as it is known. A training that is finished is never run again: the same
/// command goes on where it was stopped, in the middle of a training from its last checkpoint, and more seeds are added
/// to those that are there.
#[derive(clap::Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// A built-in study (digits, digits-fast, digits-best, fashion, images) or a .toml file. [default: digits, and with --data images]
    pub(crate) study: Option<OsString>,
    /// Train each recipe from the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=MAX_SEEDS))]
    pub(crate) seeds: u64,
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Train for N epochs at most, whatever the study says.
    #[arg(long, value_name = "N", value_parser = whole(10_000))]
    pub(crate) epochs: Option<usize>,
    /// Compute all recipes in this precision, whatever the study says; bf16 goes to runs/STUDY-bf16, bf16-tile to
    /// runs/STUDY-bf16-tile. bf16-tile is bf16 with the order of sums of units for matrices (AMX): meant for processors that
    /// have one, and today computed by software on all of them, more slowly than bf16.
    #[arg(long, value_name = "f32|bf16|bf16-tile", value_parser = precision)]
    pub(crate) precision: Option<Precision>,
    /// Compute on at most N threads; the results are the same for any number. [default: all cores, shared by --jobs]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// Train N at a time, each on --threads: small networks are trained faster side by side than each on several threads.
    /// The results are the same; training times, taken beside other work, are not compared.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1024), conflicts_with_all = ["plan_only", "replace"])]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) given: GivenArgs,
    /// Write to this folder. [default: runs/STUDY, with the study images runs/images-DATA]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Train again what is finished in the folder with other settings or on other data, and replace it. Without this it
    /// is refused. Each old training stays until the new one has finished.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Train nothing: write what is to be run, for `tenfold work` and `tenfold submit`.
    #[arg(long, conflicts_with = "format")]
    pub(crate) plan_only: bool,
    /// Call two recipes equivalent when their test accuracies differ by less than this, in percentage points.
    #[arg(long, value_name = "POINTS", default_value_t = 100.0 * MARGIN, value_parser = points)]
    pub(crate) margin: f64,
    /// What the pick is chosen by. Choosing by test flatters the choice: it is counted, and said on every output.
    #[arg(long, value_enum, default_value_t = ChooseBy::Validation)]
    pub(crate) choose_by: ChooseBy,
    /// What to print on standard output: tables, or results.json at the end.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const RUN_EXAMPLES: &str = "\
Examples:
  tenfold run                              the study digits, into runs/digits
  tenfold run --only cnn2 --epochs 2 --out runs/quick   one network, quickly
  tenfold run --seeds 10                   ten seeds of each: seed 1 of all, seed 2 of all, and so on; stop it at any
                                           time, the same command goes on; after --seeds 3 it adds seven
  tenfold run --seeds 10 --jobs 2          two trainings at a time
  tenfold run --seeds 10 --margin 0.2      differences below 0.2 points count as none
  tenfold run --data my-pictures --set 'size = [48, 48]'   four networks on pictures of your own, into
                                           runs/images-my-pictures; `tenfold data my-pictures` shows what is understood of them
  tenfold run --precision bf16             large products of bf16, into runs/digits-bf16
  tenfold run mine.toml --replace          mine.toml was changed: train again what that concerns
  tenfold run --seeds 30 --plan-only       to be trained by any number of `tenfold work runs/digits`
  tenfold run --format json | jq .comparison

A study file:
  name = \"mine\"

  [[recipe]]
  name = \"small\"
  layers = [\"conv 8 3x3 same\", \"relu\", \"maxpool 2\", \"linear classes\"]
  epochs = 5
  optimizer = { kind = \"adam\", lr = 1e-3 }

  [data]                                      # if the defaults do not fit
  path = \"my-pictures\"                        # from the folder of this file on; --data goes before it
  size = [32, 32]                             # and the other settings that `tenfold data --help` lists
  test = 2000                                 # images for testing, where there is no test set; or test_share = 0.2
  valid = 6000                                # images for validation, where there are none; or valid_share = 0.1
  split_seed = 0                              # which of the training images these are

All its settings, with their defaults, are in the study.toml that each run writes. pixels = { mean = 0.1307, std = 0.3081 }
in a recipe makes (p / 255 - mean) / std of each pixel p; without it, pixels run from 0 to 1. pixels = \"standard\" takes both
from the training images, for each channel, and a list has a number for each channel: mean = [0.49, 0.48, 0.45].
class_weights = \"balanced\" gives each class the same total weight in the training loss, however many images it has.
augment = \"characters\", \"photos\" or a list such as [\"shift 2\", \"rotate 10\"] changes training images at random;
`tenfold look mine.toml --augment` draws them. Its \"mixup 0.2\" mixes each with another, label and all.
test_time_augmentation = [\"shift 1\", \"flip\"] also measures the trained networks on the mean of what they say of such views.";

/// Tells which differences between the recipes of a study, or of several, are real.
///
/// Reads what runs have written, also one that is still going on; every finished trial counts. Nothing is trained or
/// written. With several studies, recipes are called STUDY:RECIPE, and what differs between the studies comes first.
#[derive(clap::Args, Debug)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    /// Folders that `tenfold run` has written.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Only these recipes; p-values are adjusted for the pairs of these alone.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// The difference in test accuracy that counts as none, in points (0.1 points are 10 of 10,000 images). [default:
    /// as the run had it]
    #[arg(long, value_name = "POINTS", value_parser = points)]
    pub(crate) margin: Option<f64>,
    /// Tables and sentences, or figures for other programs.
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub(crate) format: CompareFormat,
}

/// Writes report.html again from the record of a run.
///
/// The page is one file that opens anywhere: verdicts, curves, mistakes, filters. `tenfold run` writes it at its end;
/// this writes the same bytes again, or those of a run that was stopped, from what is finished.
#[derive(clap::Args, Debug)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    /// A folder that `tenfold run` has written.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The folder or file with the images of the run. [default: where the run found them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
}

/// Shows what trained networks have inside: filters, feature maps, which pixels mattered.
///
/// Of each recipe it looks at the seed that is best on validation. Everything is written to DIR/look: pictures as PNG,
/// and a page for each network that opens anywhere. On a terminal small pictures are shown there too.
#[derive(clap::Args, Debug)]
#[command(after_help = LOOK_EXAMPLES, group = clap::ArgGroup::new("what"))]
pub(crate) struct LookArgs {
    /// A folder that `tenfold run` has written; with --augment a study: a name or a .toml file.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) model: Vec<String>,
    /// The training from this seed. [default: the best on validation]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Only the filters of these layers, such as conv2.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) layer: Vec<String>,
    /// Show N filters of each layer: those that matter most, in a film those with the largest weights, with --match
    /// those that recur most, with --image or --file those that answer most. [default: 64, as cards and elsewhere 16]
    #[arg(long, value_name = "N", value_parser = whole(4096))]
    pub(crate) filters: Option<usize>,
    /// Show these filters of each layer, by their numbers from 0.
    #[arg(long, value_name = "N,N", value_delimiter = ',', conflicts_with = "filters")]
    pub(crate) filter: Vec<usize>,
    /// What each layer makes of image N.
    #[arg(long, value_name = "N", group = "what")]
    pub(crate) image: Option<usize>,
    /// Whether image N is of the test or of the validation images.
    #[arg(long, value_enum, default_value_t = Of::Test, requires = "image")]
    pub(crate) of: Of,
    /// What each layer makes of your own picture. For MNIST it is a PNG, which is centred as its digits were; for other
    /// data any picture, which is made like those that the network was trained on.
    #[arg(long, value_name = "FILE", group = "what")]
    pub(crate) file: Option<PathBuf>,
    /// The class whose pixels are looked for, by its name or its number from 0. [default: the one that the network names]
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Draw what this unit sees, numbered from 0. [default: the strongest of the last convolution]
    #[arg(long, value_name = "LAYER:FILTER,ROW,COLUMN", value_parser = unit_name)]
    pub(crate) unit: Option<UnitName>,
    /// Filters before training and after each epoch, as a strip and as an animation.
    #[arg(long, group = "what")]
    pub(crate) film: bool,
    /// The same filter in other networks: of one recipe in all its seeds, of several in the best seed of each.
    #[arg(long = "match", group = "what")]
    pub(crate) same: bool,
    /// The test images that the networks get wrong, and suspect labels.
    #[arg(long, group = "what", conflicts_with_all = ["model", "seed", "layer", "filters", "filter"])]
    pub(crate) mistakes: bool,
    /// What the recipes of a study will show their networks: some training images of each class, as they are and as the
    /// first epochs change them (from seed 1, or --seed). Nothing needs to be trained; written to runs/STUDY/look.
    #[arg(long, group = "what", conflicts_with_all = ["layer", "filters", "filter", "class", "unit", "show", "threads"])]
    pub(crate) augment: bool,
    /// How to show pictures on the terminal.
    #[arg(long, value_enum, default_value_t = ShowOn::Auto)]
    pub(crate) show: ShowOn,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// The folder or file with the images of the run. [default: where the run found them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
}

const LOOK_EXAMPLES: &str = "\
Examples:
  tenfold look runs/digits                             a page for each network
  tenfold look runs/digits --model cnn2 --layer conv1 --filters 5   the five filters that matter most
  tenfold look runs/digits --model cnn2 --layer conv2 --filter 3,17   these two
  tenfold look runs/digits --model cnn2 --image 1234   a test image's way through
  tenfold look runs/digits --model cnn2 --file 7.png   your own digit's
  tenfold look runs/digits --image 18 --class 8 --unit conv2:5,3,4   why not 8, and what a unit sees
  tenfold look runs/digits --model cnn2 --film         filters through training
  tenfold look runs/digits --model cnn2 --match        which filters recur from seed to seed
  tenfold look runs/digits --mistakes                  a gallery, with suspect labels
  tenfold look mine.toml --augment                     what its networks will be shown, before any training";

/// Which images.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    /// Those that the networks are tested on.
    Test,
    /// Those that choices are made by.
    Valid,
}

/// How to show pictures on the terminal.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ShowOn {
    /// As well as the terminal says it can; not at all where there is none.
    Auto,
    /// Half blocks with 24-bit colour.
    Blocks,
    /// Sixel.
    Sixel,
    /// The protocol of the terminal kitty.
    Kitty,
    /// Not at all.
    None,
}

/// A unit, as a person names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UnitName {
    pub(crate) layer: String,
    /// Filter, row and column.
    pub(crate) place: (usize, usize, usize),
}

fn unit_name(text: &str) -> Result<UnitName, String> {
    let parsed = || {
        let (layer, place) = text.split_once(':')?;
        let numbers: Vec<usize> = place.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        let &[filter, row, column] = &numbers[..] else { return None };
        Some(UnitName { layer: layer.to_owned(), place: (filter, row, column) })
    };
    parsed().ok_or_else(|| "expected a layer and three numbers, such as conv2:5,3,4".to_owned())
}

const REPORT_EXAMPLES: &str = "\
Examples:
  tenfold report runs/digits                  writes runs/digits/report.html
  tenfold report runs/mine --data my/images   of a run whose images have been moved to my/images";

const COMPARE_EXAMPLES: &str = "\
Examples:
  tenfold compare runs/digits                        tables and verdicts
  tenfold compare runs/digits --only cnn1,cnn2       two recipes
  tenfold compare runs/digits runs/digits-bf16       two studies: what differs first, then results
  tenfold compare runs/digits --format latex > t.tex   for a paper; the tables need the package booktabs
  tenfold compare runs/digits --format csv > t.csv   every figure

Verdicts: better (for new images too); better on these images only; equivalent within the margin; with one seed each, the
better network, or an equivalent network within the margin; not resolved (about N more seeds or M more images).

csv is one table with a row for each figure. Its kind is note, difference (between studies), recipe, choice, seed or
pair; first is the recipe, second the other of a pair; low and high are the interval that the column interval names:
these images (many seeds), new images (new seeds too), networks on new images (one seed each), equivalence or range.
Shares and differences run from 0 to 1; a figure that is not defined, such as recall of a class without images, is empty.
json holds studies, differences, and comparisons: one for each set of test images, with every seed's figures.";

/// Points of accuracy.
fn points(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(points) if (0.0..=100.0).contains(&points) => Ok(points),
        _ => Err("expected points of accuracy as a number, from 0 to 100".to_owned()),
    }
}

/// How to write a comparison.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CompareFormat {
    /// Sentences and tables for a terminal.
    Text,
    /// The same as Markdown.
    Md,
    /// A table with a row for each figure.
    Csv,
    /// One JSON object.
    Json,
    /// The same sentences and tables for a paper.
    Latex,
}

/// Says of images what trained networks take them for.
///
/// One row for each image, in the order in which they come: its file, its class, the probability of each class. Pictures
/// become images as those did that the network was trained on. Files that cannot be read are named at the end, and the
/// others are predicted. (Digits of your own hand are not made like MNIST's here: `tenfold look --file` does that.)
#[derive(clap::Args, Debug)]
#[command(after_help = PREDICT_EXAMPLES)]
pub(crate) struct PredictArgs {
    /// A model.safetensors, or trainings in a folder that `tenfold run` wrote: DIR:RECIPE:SEED; DIR:RECIPE is the mean
    /// of all its seeds, DIR the picked network.
    pub(crate) model: String,
    /// Pictures, folders of pictures, or a CSV, npz, IDX or CIFAR file or folder, of which the images without labels
    /// are taken, else the test images, else all. - is a list of pictures on standard input, one in a line.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Write to this file, CSV or .json. [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// How to write. [default: by the name of the file, else csv]
    #[arg(long, value_enum)]
    pub(crate) format: Option<PredictFormat>,
    /// The K most probable classes, instead of the probability of each.
    #[arg(long, value_name = "K", value_parser = whole(1000))]
    pub(crate) top: Option<usize>,
    /// ImageId,Label: what Kaggle takes, with numbers from 1 on.
    #[arg(long, conflicts_with_all = ["top", "format", "abstain", "abstain_error"])]
    pub(crate) kaggle: bool,
    /// Name no class where the most probable one has a probability of less than P.
    #[arg(long, value_name = "P", value_parser = share)]
    pub(crate) abstain: Option<f64>,
    /// Choose that probability on the validation images of the run: the lowest at which at most this share of the named
    /// classes was wrong there. What it did there is said.
    #[arg(long, value_name = "SHARE", value_parser = error_share, conflicts_with = "abstain")]
    pub(crate) abstain_error: Option<f64>,
    /// Divide logits by the temperature that the run found on validation images, so that probabilities mean what they
    /// say; the report shows whether that helps. No class changes.
    #[arg(long)]
    pub(crate) calibrate: bool,
    /// Show the network each image in several ways, and take the mean of what it says: "shift 1" for the image as it is and
    /// moved by a pixel to each side, up and down, "flip" for each of them mirrored too. The words are those of
    /// test_time_augmentation in a study, which measures what it is worth.
    #[arg(long, value_name = "LIST", value_parser = views)]
    pub(crate) views: Option<Views>,
    /// How PATH is to be understood where that differs from what was trained on, as with `tenfold data`.
    #[arg(long, value_name = "SETTING")]
    pub(crate) set: Vec<String>,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
}

const PREDICT_EXAMPLES: &str = "\
Examples:
  tenfold predict runs/images-cats:cnn:1 cat.jpg    one network, one picture
  tenfold predict runs/images-cats new-pictures --out said.csv   a folder of pictures, by the picked network
  tenfold predict runs/images-train:cnn test.csv --kaggle --out submission.csv   the mean of all seeds
  find . -name '*.jpg' | tenfold predict model.safetensors - --top 3
  tenfold predict runs/images-cats new-pictures --calibrate --abstain-error 0.01   no class where it is not sure enough
  tenfold predict runs/images-cats new-pictures --views \"shift 1,flip\"   the mean over ten views of each picture";

/// Measures a trained network on labelled images that it has never seen.
///
/// The test images of PATH, or where it has no test part all its images, with the figures of a run and where they lie
/// for other images like these. Classes are matched by name.
#[derive(clap::Args, Debug)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub(crate) struct EvaluateArgs {
    /// A model.safetensors, or trainings in a folder that `tenfold run` wrote: DIR:RECIPE:SEED; DIR:RECIPE is the mean
    /// of all its seeds, DIR the picked network.
    pub(crate) model: String,
    /// The images, in any form that `tenfold data` understands.
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    /// Show the network each image in several ways, and take the mean of what it says: "shift 1" for the image as it is and
    /// moved by a pixel to each side, up and down, "flip" for each of them mirrored too. The words are those of
    /// test_time_augmentation in a study, which measures what it is worth. The
    /// plain figures stand beside those with views.
    #[arg(long, value_name = "LIST", value_parser = views)]
    pub(crate) views: Option<Views>,
    /// How they are to be understood where that differs from what was trained on, as with `tenfold data`.
    #[arg(long, value_name = "SETTING")]
    pub(crate) set: Vec<String>,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// Tables, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const EVALUATE_EXAMPLES: &str = "\
Examples:
  tenfold evaluate runs/images-cats --data cats-of-another-year
  tenfold evaluate runs/images-cats --data cats-of-another-year --views flip   with mirrored views, and without
  tenfold evaluate model.safetensors --data qmnist --format json";

/// Writes a trained network for other programs.
///
/// ONNX (.onnx) takes bytes [N, H, W, C] and has all that follows inside, so that onnxruntime says the same; .safetensors
/// is the model file itself. How each is read is printed.
#[derive(clap::Args, Debug)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    /// A model.safetensors, or one training in a folder that `tenfold run` wrote: DIR:RECIPE:SEED; DIR is the picked
    /// network.
    pub(crate) model: String,
    /// The file to write, by its name .onnx or .safetensors.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Divide logits, in the file, by the temperature that the run found on validation images, so that probabilities mean
    /// what they say; the report shows whether that helps. No class changes.
    #[arg(long)]
    pub(crate) calibrate: bool,
    /// Keep in the file from which probability on a class is to be named: the lowest at which at most this share of the
    /// named classes was wrong on the validation images of the run. `tenfold predict` obeys it.
    #[arg(long, value_name = "SHARE", value_parser = error_share)]
    pub(crate) abstain_error: Option<f64>,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  tenfold export runs/digits --to digits.onnx
  tenfold export runs/digits:cnn2:1 --calibrate --to cnn2.onnx   probabilities that mean what they say
  tenfold export runs/digits:cnn2:1 --to cnn2.safetensors";

/// How predictions are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PredictFormat {
    /// A header, and a row for each image.
    Csv,
    /// A list of objects.
    Json,
}

/// Ways to show an image, as in a study but for the brackets.
fn views(text: &str) -> Result<Views, String> {
    text.split(',').map(|view| view.trim().to_owned()).collect::<Vec<_>>().try_into()
}

/// A share from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a probability from 0 to 1".to_owned()),
    }
}

/// A share from 0 to 1 of what may be wrong; all is no limit.
fn error_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to less than 1, such as 0.01 for one of a hundred".to_owned()),
    }
}

/// Shows the layers, shapes, parameters and multiply-adds of each recipe of a study, and what a training of it costs.
///
/// The price in operations is epochs x training images x 3 x 2 x multiply-adds of an image: two for each multiply-add, and as
/// many for the gradient of the inputs and for that of the weights as forward. The time is that of this machine, from
/// a third of a second of training, evaluation included.
#[derive(clap::Args, Debug)]
pub(crate) struct ModelsArgs {
    /// A built-in study (digits, digits-fast, digits-best, fashion, images) or a .toml file. [default: digits, and with --data images]
    pub(crate) study: Option<OsString>,
    /// Measure no times.
    #[arg(long)]
    pub(crate) untimed: bool,
    /// Time trainings on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    #[command(flatten)]
    pub(crate) given: GivenArgs,
}

/// Measures how fast each recipe of a study trains and evaluates on this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArgs {
    /// A built-in study (digits, digits-fast, digits-best, fashion, images) or a .toml file. [default: digits, and with --data images]
    pub(crate) study: Option<OsString>,
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole(1024))]
    pub(crate) threads: Option<usize>,
    /// Compute all recipes in this precision, whatever the study says; `tenfold run --help` says what bf16-tile is.
    #[arg(long, value_name = "f32|bf16|bf16-tile", value_parser = precision)]
    pub(crate) precision: Option<Precision>,
    /// Use no more of the processor's instructions than these; avx512 means those for bf16 too. [default: all it has]
    #[arg(long, value_name = "portable|avx2|avx512", value_parser = isa)]
    pub(crate) isa: Option<Isa>,
    /// Train each recipe for about this long.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = duration)]
    pub(crate) seconds: f64,
    /// Time each block of layers too, forward and backward.
    #[arg(long)]
    pub(crate) layers: bool,
    #[command(flatten)]
    pub(crate) given: GivenArgs,
    /// A table, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  tenfold bench                            the six networks of the study digits
  tenfold bench --only cnn2 --layers       where the time of a step goes
  tenfold bench --precision bf16           with large products of bf16
  tenfold bench mine.toml --threads 1      networks of your own, on one core
  tenfold bench --isa avx2                 as on a processor without AVX-512

GFLOP/s counts every multiply-add of the layers as two operations, forward and backward, whether or not tenfold finds a
way around it: the share of the peak, which is measured on the spot, can exceed 100 %.";

fn precision(text: &str) -> Result<Precision, String> {
    let found = Precision::ALL.into_iter().find(|precision| precision.name() == text);
    found.ok_or_else(|| "expected f32, bf16 or bf16-tile".to_owned())
}

/// An instruction set that this processor has.
fn isa(text: &str) -> Result<Isa, String> {
    Isa::up_to(text).ok_or_else(|| {
        let mut families: Vec<&str> = Isa::available().iter().map(|isa| isa.family()).collect();
        families.dedup();
        match text {
            "avx2" | "avx512" => format!("this processor has not; it has {}", families.join(", ")),
            _ => format!("expected portable, avx2 or avx512; this processor has {}", families.join(", ")),
        }
    })
}

/// Seconds, more than none and at most an hour.
fn duration(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(seconds),
        _ => Err("expected seconds as a number, more than 0 and at most 3600".to_owned()),
    }
}

/// Shows the data set that is inside the program, or what is understood of yours.
///
/// Counts the images of each class, shows one of each on a terminal, and tells what is odd: files that cannot be read,
/// images that are there twice or in two parts, contradicting labels, and so on. Nothing is trained.
#[derive(clap::Args, Debug)]
#[command(after_help = DATA_EXAMPLES, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DataCommand>,
    /// Show what is understood of this: a folder with a folder of pictures for each class (or train, valid and test
    /// with such folders in them), a CSV of pixels or of paths, an npz file, a folder of npy, CIFAR's or IDX files; or
    /// of a data set that `tenfold data get` has fetched, by its name. (A folder called get is ./get.)
    pub(crate) path: Option<PathBuf>,
    /// How PATH is to be understood, as a line of TOML: size = [32, 32], channels = "grey", fit = "crop", background =
    /// "black", transpose = true, white = 16, range16 = [0, 4095], labels = "coarse", group = "regular expression",
    /// copies = "identical", columns.label = "name" (or 3, the third), columns.header = false. May be repeated.
    #[arg(long, value_name = "SETTING", requires = "path")]
    pub(crate) set: Vec<String>,
    /// Write a page and a contact sheet of PATH to this folder: data.html and contact-sheet.png.
    #[arg(long, value_name = "DIR", requires = "path")]
    pub(crate) out: Option<PathBuf>,
    /// How to show images on the terminal.
    #[arg(long, value_enum, default_value_t = ShowOn::Auto)]
    pub(crate) show: ShowOn,
}

const DATA_EXAMPLES: &str = "\
Examples:
  tenfold data                     MNIST, which is inside the program
  tenfold data my-pictures         what is understood of pictures of your own
  tenfold data my-pictures --out sheet    the same, and a page and a contact sheet to look at
  tenfold data list.csv --set columns.label=breed
  tenfold data get                 published data sets that can be fetched
  tenfold data get fashion-mnist   fetches one; then its name will do: tenfold data fashion-mnist";

#[derive(Subcommand, Debug)]
pub(crate) enum DataCommand {
    Get(GetArgs),
}

/// Fetches published data sets, checks them, and keeps them; without a name, lists those that there are.
///
/// Each file is taken from the first mirror that has it, and checked by its published checksum. What was stopped goes on
/// where it was. Proxies are those of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; SSL_CERT_FILE names certificates
/// to trust instead of Mozilla's. The folder is that of the platform for caches, or TENFOLD_CACHE.
#[derive(clap::Args, Debug)]
#[command(after_help = GET_EXAMPLES)]
pub(crate) struct GetArgs {
    /// Which data sets.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Take the files from this machine: the archive, or the folder that holds the files. They are checked alike.
    #[arg(long, value_name = "FILE_OR_FOLDER", requires = "names")]
    pub(crate) from: Option<PathBuf>,
}

const GET_EXAMPLES: &str = "\
Examples:
  tenfold data get                                       names, what they are, and which are here
  tenfold data get fashion-mnist                         four files
  tenfold data get emnist-letters emnist-digits          one download for both
  tenfold data get cifar-10 --from cifar-10-binary.tar.gz   without a network";

/// The images that the pick is chosen by.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChooseBy {
    /// The validation images, which are there for that.
    Validation,
    /// The test images.
    Test,
}

impl From<ChooseBy> for ChosenBy {
    fn from(by: ChooseBy) -> ChosenBy {
        match by {
            ChooseBy::Validation => ChosenBy::Validation,
            ChooseBy::Test => ChosenBy::Test,
        }
    }
}

/// What to print on standard output.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// The record of the study.
    Json,
}

/// A whole number from 1 to `max`.
fn whole(max: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=max)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
