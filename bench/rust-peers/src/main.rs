//! Measures a training step of tenfold's recipes in burn (flex backend) and candle on this machine's processor.
//!
//! Each contestant has all images in memory as f32 and takes its batches by index. One line of JSON per contestant goes
//! to standard output, a table to standard error.

mod batches;
mod burn_peer;
mod candle_peer;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tenfold_nn::data::{Dataset, Source};
use tenfold_nn::model::Architecture;
use tenfold_study::{Recipe, Study};

/// Measures burn and candle on the recipes of tenfold's built-in study.
#[derive(Parser)]
struct Args {
    /// Only these recipes.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only this framework.
    #[arg(long, value_enum)]
    framework: Option<Framework>,
    /// Compute on N threads. [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Measure each contestant for so long, and for three steps at least.
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
}

#[derive(ValueEnum, Clone, Copy, PartialEq)]
enum Framework {
    #[value(name = "burn-flex")]
    Burn,
    Candle,
}

impl Framework {
    fn name(self) -> &'static str {
        match self {
            Framework::Burn => "burn-flex",
            Framework::Candle => "candle",
        }
    }

    /// As pinned in Cargo.toml.
    fn version(self) -> &'static str {
        match self {
            Framework::Burn => "0.22.1",
            Framework::Candle => "0.11.1",
        }
    }
}

/// A training step: takes the next batch, updates the parameters, gives the loss.
type Step = Box<dyn FnMut() -> f32>;

const LEAST_STEPS: usize = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let study = Study::built_in("digits").expect("built in");
    if let Some(unknown) = args.only.iter().find(|name| study.recipes.iter().all(|recipe| recipe.name != **name)) {
        let names: Vec<&str> = study.recipes.iter().map(|recipe| recipe.name.as_str()).collect();
        eprintln!("error: there is no recipe {unknown:?}; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let threads = args.threads.map(usize::from);
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    // Both peers size their thread pools by this variable when they first compute.
    // SAFETY: no other thread has been started yet.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    keep_memory();

    let source = Source::mnist();
    let valid = study.data.valid_count(source.train.len());
    let train = source.split(valid, study.data.split_seed).expect("MNIST has 60,000 examples").train;
    eprintln!(
        "{:<18} {:<10} {:>5} {:>7} {:>9}  {:<17} {:>5}",
        "recipe", "framework", "batch", "threads", "ms/step", "middle 80%", "steps"
    );
    for recipe in study.recipes.iter().filter(|recipe| args.only.is_empty() || args.only.contains(&recipe.name)) {
        for framework in [Framework::Burn, Framework::Candle] {
            if args.framework.is_none_or(|only| only == framework) {
                report(framework, recipe, threads, &times_ms(step(framework, recipe, &train), args.seconds));
            }
        }
    }
    ExitCode::SUCCESS
}

fn step(framework: Framework, recipe: &Recipe, train: &Dataset) -> Step {
    let architecture = recipe.architecture(train.shape(), train.classes()).expect("built-in recipes are right");
    match framework {
        Framework::Burn => burn_peer::step(&architecture, recipe, train),
        Framework::Candle => candle_peer::step(&architecture, recipe, train).expect("candle builds the network"),
    }
}

/// glibc gives large blocks back to the system and takes new ones, page by page, in every step: candle's `cnn1` then takes
/// three times as long.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for option in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: sets a number in the allocator, which may be done at any time.
        unsafe { libc::mallopt(option, 1 << 30) };
    }
}

/// Milliseconds of each step, after a warm-up of a quarter of the time.
fn times_ms(mut step: Step, seconds: f64) -> Vec<f64> {
    let mut run = |seconds: f64, least: usize| {
        let (start, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
        let mut times = Vec::new();
        while times.len() < least || start.elapsed() < limit {
            let start = Instant::now();
            let loss = step();
            times.push(start.elapsed().as_secs_f64() * 1e3);
            assert!(loss.is_finite(), "the loss is {loss}");
        }
        times
    };
    run(seconds / 4.0, 1);
    run(seconds, LEAST_STEPS)
}

fn report(framework: Framework, recipe: &Recipe, threads: usize, times_ms: &[f64]) {
    let mut sorted = times_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (low, median, high) = (quantile(0.1), quantile(0.5), quantile(0.9));
    let line = serde_json::json!({
        "framework": framework.name(),
        "version": framework.version(),
        "recipe": recipe.name,
        "batch_size": recipe.batch_size,
        "threads": threads,
        "ms_per_step": median,
        "ms_per_step_low": low,
        "ms_per_step_high": high,
        "steps": sorted.len(),
    });
    println!("{line}");
    let spread = format!("{low:.3}-{high:.3}");
    let (name, steps) = (framework.name(), sorted.len());
    eprintln!(
        "{:<18} {name:<10} {:>5} {threads:>7} {median:>9.3}  {spread:<17} {steps:>5}",
        recipe.name, recipe.batch_size
    );
}

/// Another network's time would prove nothing.
fn check_parameters(architecture: &Architecture, found: usize) {
    assert_eq!(found, architecture.parameters(), "parameters of the peer's network and of tenfold's");
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 3600".to_owned()),
    }
}
