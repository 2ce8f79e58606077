//! `tenfold bench`: how fast this machine is.

use serde::Serialize;
use tenfold_nn::bench::{BlockTime, Effort, Speed, dense_flop, measure, peak_flops};
use tenfold_nn::model::BlockText;
use tenfold_nn::{Isa, Precision};
use tenfold_report::text::{BenchRow, BlockRow, bench_table, blocks_table};
use tenfold_study::record::Environment;
use tenfold_study::{PlannedStudy, Settings};

use crate::args::{BenchArgs, Format};
use crate::environment::{environment, to_measure};
use crate::failure::{DIVERGED, DONE, Failure};
use crate::given::{Given, images_of};
use crate::output;
use crate::study_file::{self, IMAGES};

/// A training whose last steps take longer than its first by more than this factor is said to get slower.
const SLOWER: f64 = 1.15;

/// What `--format json` prints; `bench/peers.py` reads it.
#[derive(Serialize)]
struct BenchRecord {
    environment: Environment,
    /// f32 multiply-adds in registers, on these threads.
    peak_gflops: f64,
    recipes: Vec<RecipeSpeed>,
}

#[derive(Serialize)]
struct RecipeSpeed {
    name: String,
    precision: Precision,
    batch_size: usize,
    parameters: usize,
    optimizer: tenfold_nn::optim::Optimizer,
    layers: Vec<BlockText>,
    steps: usize,
    ms_per_step: f64,
    ms_per_step_low: f64,
    ms_per_step_high: f64,
    /// Medians over the first and the last tenth of the steps.
    ms_per_step_first_tenth: f64,
    ms_per_step_last_tenth: f64,
    images_per_s: f64,
    gflops: f64,
    share_of_peak: f64,
    /// An epoch of the training images at that rate.
    epoch_s: f64,
    evaluation_images_per_s: f64,
    blocks: Vec<BlockMs>,
}

#[derive(Serialize)]
struct BlockMs {
    name: String,
    forward_ms: f64,
    backward_ms: f64,
}

/// Measures the recipes one after the other.
pub(crate) fn bench(args: &BenchArgs) -> Result<u8, Failure> {
    let isa = args.isa.unwrap_or_else(Isa::detect);
    let (mut study, built_in) = study_file::find(args.study.as_deref(), &args.given)?;
    study.select(&args.only)?;
    let Given { splits, .. } = images_of(&mut study, &args.given)?;
    if built_in && study.name == IMAGES {
        study.limit_batch_size(splits.train.len());
    }
    let environment = Environment { isa: isa.name().to_owned(), ..environment(args.threads) };
    let settings = Settings { only: args.only.clone(), precision: args.precision, ..to_measure(environment) };
    let plan = PlannedStudy::new(study, &splits, settings)?;
    let threads = plan.environment().threads;
    let peak = peak_flops(isa, threads);
    let mut recipes = Vec::new();
    for &index in plan.selected() {
        let (recipe, architecture) = plan.recipe(index);
        output::note(&format!("{}: training for about {} s", recipe.name, args.seconds));
        let config = recipe.config(1);
        let effort = Effort { isa, seconds: args.seconds, steps: Effort::STEPS, blocks: args.layers, stop: &|| false };
        let speed = measure(architecture, &config, &splits.train, &splits.valid, threads, &effort);
        let Some(speed) = speed else {
            let message = format!("{}: its training diverges at once, so there is nothing to measure", recipe.name);
            return Err(Failure::new(DIVERGED, message, Some("a smaller learning rate may help".to_owned())));
        };
        let Speed {
            steps,
            step_s,
            step_low_s,
            step_high_s,
            first_tenth_s,
            last_tenth_s,
            evaluation_images_per_s,
            blocks,
        } = speed;
        let images_per_s = recipe.settings.batch_size as f64 / step_s;
        let flops = dense_flop(architecture) as f64 * images_per_s;
        let ms = |BlockTime { name, forward_s, backward_s }| BlockMs {
            name,
            forward_ms: 1e3 * forward_s,
            backward_ms: 1e3 * backward_s,
        };
        recipes.push(RecipeSpeed {
            name: recipe.name.clone(),
            precision: recipe.settings.precision,
            batch_size: recipe.settings.batch_size,
            parameters: architecture.parameters(),
            optimizer: recipe.settings.optimizer,
            layers: architecture.written().to_vec(),
            steps,
            ms_per_step: 1e3 * step_s,
            ms_per_step_low: 1e3 * step_low_s,
            ms_per_step_high: 1e3 * step_high_s,
            ms_per_step_first_tenth: 1e3 * first_tenth_s,
            ms_per_step_last_tenth: 1e3 * last_tenth_s,
            images_per_s,
            gflops: flops / 1e9,
            share_of_peak: flops / peak,
            epoch_s: splits.train.len() as f64 / images_per_s,
            evaluation_images_per_s,
            blocks: blocks.into_iter().map(ms).collect(),
        });
    }
    let record = BenchRecord { environment: plan.environment().clone(), peak_gflops: peak / 1e9, recipes };
    match args.format {
        Format::Json => {
            let json = serde_json::to_string_pretty(&record).expect("numbers and strings");
            output::out(&format!("{json}\n"))?;
        }
        Format::Text => output::out(&text(&record))?,
    }
    Ok(DONE)
}

fn text(record: &BenchRecord) -> String {
    let row = |recipe: &RecipeSpeed| BenchRow {
        name: match recipe.precision {
            Precision::F32 => recipe.name.clone(),
            precision => format!("{} {}", recipe.name, precision.name()),
        },
        batch_size: recipe.batch_size as u64,
        ms_per_step: [recipe.ms_per_step_low, recipe.ms_per_step, recipe.ms_per_step_high],
        images_per_s: recipe.images_per_s,
        epoch_s: recipe.epoch_s,
        gflops: recipe.gflops,
        share_of_peak: recipe.share_of_peak,
        evaluation_images_per_s: recipe.evaluation_images_per_s,
    };
    let Environment { cpu, isa, threads, .. } = &record.environment;
    let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let mut text = format!("{cpu}, {isa}, {threads}; measured peak {:.0} GFLOP/s in f32\n\n", record.peak_gflops);
    text.push_str(&bench_table(&record.recipes.iter().map(row).collect::<Vec<_>>()));
    for RecipeSpeed { name, ms_per_step_first_tenth: first, ms_per_step_last_tenth: last, .. } in &record.recipes {
        if *last > SLOWER * first {
            text.push_str(&format!(
                "\n{name} got slower while it was measured: {first:.3} ms a step in the first tenth of its steps, {last:.3} \
                 in the last.\nOther programs may have been running; if not, a whole training will be slower than this table \
                 says.\n"
            ));
        }
    }
    for recipe in record.recipes.iter().filter(|recipe| !recipe.blocks.is_empty()) {
        let row = |block: &BlockMs| BlockRow {
            name: block.name.clone(),
            forward_ms: block.forward_ms,
            backward_ms: block.backward_ms,
        };
        text.push_str(&format!("\n{}\n\n", recipe.name));
        text.push_str(&blocks_table(&recipe.blocks.iter().map(row).collect::<Vec<_>>()));
    }
    text
}
