//! `tenfold status`: what is done, who works on what, and how long the rest will take.

use tenfold_nn::data::words::counted;
use tenfold_report::format::seconds;
use tenfold_study::STALE;
use tenfold_study::status::{FolderStatus, status as read};

use crate::args::{Format, StatusArgs};
use crate::failure::{DONE, Failure, USAGE};
use crate::output::{self, plain};
use crate::show;

/// Tells how far a folder is, and gives the exit code.
pub(crate) fn status(args: &StatusArgs) -> Result<u8, Failure> {
    if !args.folder.is_dir() {
        let message = format!("{}: there is no such folder", args.folder.display());
        return Err(Failure::new(USAGE, message, Some("`tenfold run` writes to runs/STUDY".to_owned())));
    }
    let status = read(&args.folder)?;
    output::out(&match args.format {
        Format::Text => words(&status),
        Format::Json => show::json(&status),
    })?;
    Ok(DONE)
}

fn words(status: &FolderStatus) -> String {
    let recipes = &status.recipes;
    let done: usize = recipes.iter().map(|recipe| recipe.finished + recipe.diverged).sum();
    let left: usize = recipes.iter().map(|recipe| recipe.left).sum();
    let mut text =
        format!("{}: {done} of {} done\n", plain(&status.study), counted(done + left, "training", "trainings"));
    let width = recipes.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
    for recipe in recipes {
        let diverged = if recipe.diverged > 0 { format!(", {} diverged", recipe.diverged) } else { String::new() };
        let mean = recipe.mean_s.map_or(String::new(), |mean_s| format!(", {} each", seconds(mean_s)));
        text.push_str(&format!(
            "  {:width$}  {} finished{diverged}, {} left{mean}\n",
            recipe.name, recipe.finished, recipe.left
        ));
    }
    if let Some(running) = &status.running {
        text.push_str(&format!("run by {running}\n"));
    }
    for working in &status.working {
        let silent = match working.silent_s {
            Some(silent_s) if silent_s > STALE.as_secs_f64() => {
                format!("; silent for {}, to be taken over by the next that works here", seconds(silent_s.round()))
            }
            _ => String::new(),
        };
        text.push_str(&format!("{} seed {}: {}{silent}\n", working.recipe, working.seed, plain(&working.holder)));
    }
    if left > 0 {
        text.push_str(&match status.left_s {
            Some(left_s) => {
                let workers = status.working.len().max(1);
                let one = if workers == 1 { String::new() } else { format!(" by {workers} at once") };
                let each_s = left_s / workers as f64;
                // Parts of a second say nothing of a long time, and are all there is of a short one.
                let each_s = if each_s < 10.0 { each_s } else { each_s.round() };
                format!("about {} left{one}\n", seconds(each_s))
            }
            None => {
                let unknown: Vec<&str> =
                    recipes.iter().filter(|r| r.left > 0 && r.mean_s.is_none()).map(|r| r.name.as_str()).collect();
                format!(
                    "how long it takes is not known until {} finished once\n",
                    match &unknown[..] {
                        [one] => format!("{one} has"),
                        all => format!("{} have", tenfold_report::format::listed(all)),
                    }
                )
            }
        });
    }
    text
}
