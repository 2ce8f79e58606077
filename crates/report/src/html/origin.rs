//! Where the numbers come from, and what they do not say.

use maud::{Markup, html};
use tenfold_study::comparison::{ChosenBy, MARGIN};
use tenfold_study::record::{Environment, Status};

use super::Page;
use super::blocks::{numbers, scrolling};
use crate::comparison::{TestUse, machines};
use crate::format::{count, percent, seconds};

pub(super) fn section(page: &Page) -> Markup {
    let record = page.record();
    let data = &record.dataset;
    let machines = machines(record);
    let [channels, height, width] = data.shape;
    let most = record.recipes.iter().flat_map(|r| &r.trials).map(|trial| trial.seed).max().unwrap_or(1);
    let facts = [
        ("study", record.study.clone()),
        (
            "data",
            format!(
                "{}, {channels}x{height}x{width}, {}SHA-256 {}",
                data.name,
                data.labels().as_classes().map_or(String::new(), |labels| format!("{labels}, ")),
                data.sha256
            ),
        ),
        ("split", format!("seed {}, SHA-256 {}", data.split_seed, data.split_sha256)),
        ("test labels", TestUse::of(record).sentence),
        (if machines.len() == 1 { "trained on" } else { "machines" }, machines.join("; ")),
        ("bootstrap", format!("{} resamples, always the same ones", count(page.comparison.resamples as u64))),
        ("to repeat it", again(page, most)),
    ];
    let rows: Vec<Vec<String>> = record
        .recipes
        .iter()
        .flat_map(|recipe| &recipe.trials)
        .map(|trial| {
            let status = match trial.status {
                Status::Finished if trial.far_above_chance => "finished, loss far above chance",
                Status::Finished => "finished",
                Status::Diverged => "diverged",
                Status::Interrupted => "interrupted",
            };
            let test = trial.test.as_ref().map_or("-".to_owned(), |test| percent(test.accuracy));
            let busy = match trial.timing.parts {
                _ if trial.timing.busy => " (machine busy)".to_owned(),
                0 | 1 => String::new(),
                parts => format!(" (in {parts} parts)"),
            };
            vec![
                format!("{} seed {}", trial.recipe, trial.seed),
                status.to_owned(),
                trial.stopped.epoch.to_string(),
                test,
                format!("{}{busy}", seconds(trial.train_time_s)),
                machine(&trial.environment),
                trial.weights_sha256.as_deref().map_or("-".to_owned(), |hash| hash.chars().take(12).collect()),
            ]
        })
        .collect();
    let head = ["trial", "status", "epochs", "test accuracy", "training time", "machine", "SHA-256 of the weights"];
    html! {
        dl { @for (name, value) in &facts { dt { (name) } dd { (value) } } }
        @if !data.notes.is_empty() {
            p { "How the data was understood and divided:" }
            ul { @for note in &data.notes { li { (note) } } }
        }
        p { "The same study, data and seeds give the same weights, bit for bit, with this version of the program on any machine and any number of threads; \
             times are those of the machines above." }
        details { summary { "Every trial" } (numbers("Trials", &head, &rows)) }
        details {
            summary { "study.toml: every setting" }
            (scrolling("study.toml", html! { pre { (page.study_toml) } }))
        }
    }
}

/// The name of a machine, or where it has none, of its processor.
fn machine(environment: &Environment) -> String {
    if environment.host.is_empty() { environment.cpu.clone() } else { environment.host.clone() }
}

/// The command that gives these numbers again, in the folder of the run.
fn again(page: &Page, seeds: u64) -> String {
    let record = page.record();
    let mut command = format!("tenfold run study.toml --seeds {seeds}");
    let written = page.study_toml.lines().filter(|line| line.trim() == "[[recipe]]").count();
    if written != record.recipes.len() {
        let names: Vec<&str> = record.recipes.iter().map(|recipe| recipe.name.as_str()).collect();
        command.push_str(&format!(" --only {}", names.join(",")));
    }
    if page.comparison.margin != MARGIN {
        command.push_str(&format!(" --margin {}", (page.comparison.margin * 1e8).round() / 1e6));
    }
    if page.comparison.chosen_by == ChosenBy::Test {
        command.push_str(" --choose-by test");
    }
    // Where the study does not say where its images are.
    if page.record().dataset.place.is_some() && !page.study_toml.lines().any(|line| line.starts_with("path = ")) {
        command.push_str(" --data DIR");
    }
    command
}

pub(super) fn limits(page: &Page) -> Markup {
    let data = &page.record().dataset;
    html! {
        ul {
            li { "Recipes are compared as they are, with the settings that they came with. Another learning rate could turn a \
                  difference round, and nothing here says that the recipes were tuned with equal care." }
            li { "All seeds share one division into training and validation images; what another division would change is not in \
                  any interval." }
            li { "\u{201c}New images\u{201d} are images like these (of other writers or groups, where these are known), but made in the same way as " (data.name) "." }
            @if page.study.images.groups.as_ref().is_some_and(|groups| groups.are_writers) {
                li { "Digits of MNIST are written, scanned and cut out alike; photographs are not. Some of its test labels are wrong \
                      themselves, and a network that is right about such an image is counted as wrong." }
            }
            li { "Times are those of these machines and of this program." }
        }
    }
}
