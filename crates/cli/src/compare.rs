//! `tenfold compare`: which differences between recipes are real.

use std::fs;
use std::path::{Path, PathBuf};

use tenfold_report::comparison::{Compared, ComparedRecipe, ComparedStudy, SameImages, csv, document, json};
use tenfold_study::comparison::{Comparison, MARGIN, RecipeTrials, compare as compare_trials};
use tenfold_study::record::RecipeRecord;
use tenfold_study::{FinishedStudy, FinishedStudyError, nearest};

use crate::args::{CompareArgs, CompareFormat};
use crate::failure::{DONE, Failure, IO, USAGE};
use crate::output::{self, plain};

/// Prints what the trials in some run folders say together.
pub(crate) fn compare(args: &CompareArgs) -> Result<u8, Failure> {
    let studies = read(&args.folders)?;
    let names = study_names(&studies);
    let called = |study: usize, recipe: &RecipeRecord| match studies.len() {
        1 => recipe.name.clone(),
        _ => format!("{}:{}", names[study], recipe.name),
    };
    check_only(&args.only, &studies, &called)?;
    let wanted = |study: usize, recipe: &RecipeRecord| {
        args.only.is_empty() || args.only.iter().any(|name| *name == recipe.name || *name == called(study, recipe))
    };
    let finished = studies.iter().enumerate().any(|(n, study)| {
        let recipes = study.record.recipes.iter().filter(|recipe| wanted(n, recipe));
        recipes.flat_map(RecipeRecord::finished).next().is_some()
    });
    if !finished {
        let folders: Vec<String> = args.folders.iter().map(|folder| shown(folder)).collect();
        let hint = "`tenfold run` goes on where it stopped; each trial counts as soon as it has ended";
        let message = format!("{}: no trial is finished, so there is nothing to compare", folders.join(", "));
        return Err(Failure::new(USAGE, message, Some(hint.to_owned())));
    }

    // That of the runs, if they agree.
    let of_runs = studies[0].record.comparison.margin;
    let agreed = studies.iter().all(|study| study.record.comparison.margin == of_runs);
    let margin = args.margin.map_or(if agreed { of_runs } else { MARGIN }, |points| points / 100.0);
    let mut sets = Vec::new();
    for of_set in by_images(&studies) {
        let (mut trials, mut recipes): (Vec<RecipeTrials>, Vec<ComparedRecipe>) = (Vec::new(), Vec::new());
        for &n in &of_set {
            for recipe in studies[n].recipes(|recipe| called(n, recipe)) {
                if wanted(n, recipe.record) {
                    recipes.push(ComparedRecipe { name: recipe.name.clone(), study: n, record: recipe.record });
                    trials.push(recipe);
                }
            }
        }
        // None of these were asked for.
        if recipes.is_empty() {
            continue;
        }
        // Of studies with the same images, one may have no predictions and so no labels.
        let images = of_set.iter().map(|&n| &studies[n].images);
        let Some(images) = images.clone().find(|images| !images.labels.is_empty()).or(images.clone().next()) else {
            continue;
        };
        let mut comparison = compare_trials(&trials, images, margin);
        if let ([of], true) = (&of_set[..], args.only.is_empty()) {
            let Comparison { chosen_by, picked, .. } = &studies[*of].record.comparison;
            (comparison.chosen_by, comparison.picked) = (*chosen_by, picked.clone());
        }
        sets.push(SameImages { studies: of_set, recipes, comparison });
    }
    let compared = Compared {
        studies: studies
            .iter()
            .zip(&names)
            .map(|(study, name)| ComparedStudy { name: name.clone(), record: &study.record })
            .collect(),
        sets,
        some_only: !args.only.is_empty(),
    };
    output::out(&match args.format {
        CompareFormat::Text => document(&compared).text(),
        CompareFormat::Md => document(&compared).markdown(),
        CompareFormat::Latex => document(&compared).latex(),
        CompareFormat::Csv => csv(&compared),
        CompareFormat::Json => json(&compared),
    })?;
    Ok(DONE)
}

fn read(folders: &[PathBuf]) -> Result<Vec<FinishedStudy>, Failure> {
    let mut known: Vec<PathBuf> = Vec::new();
    let mut studies = Vec::new();
    for folder in folders {
        let Ok(real) = fs::canonicalize(folder) else {
            let message = format!("{}: there is no such folder", shown(folder));
            return Err(Failure::new(USAGE, message, Some("`tenfold run` writes to runs/STUDY".to_owned())));
        };
        if known.contains(&real) {
            return Err(Failure::new(USAGE, format!("{}: is given twice", shown(folder)), None));
        }
        known.push(real);
        studies.push(FinishedStudy::read(folder)?);
    }
    Ok(studies)
}

impl From<FinishedStudyError> for Failure {
    fn from(error: FinishedStudyError) -> Failure {
        let (code, hint) = match &error {
            FinishedStudyError::NotARunFolder { .. } => {
                (USAGE, Some("a run folder is what `tenfold run` writes, such as runs/digits"))
            }
            FinishedStudyError::Damaged { .. } => {
                (IO, Some("put the file back, or remove it and repeat the run's command: finished trainings are kept"))
            }
            _ => (IO, None),
        };
        Failure::new(code, error.to_string(), hint.map(str::to_owned))
    }
}

/// What the comparison calls each study: by its name; where names clash, by its folder's; where those do too, by its
/// path.
fn study_names(studies: &[FinishedStudy]) -> Vec<String> {
    let unique = |names: &[String]| names.iter().enumerate().all(|(n, name)| !names[..n].contains(name));
    let by_name: Vec<String> = studies.iter().map(|study| plain(&study.record.study)).collect();
    if unique(&by_name) {
        return by_name;
    }
    let folder = |study: &FinishedStudy| {
        let real = fs::canonicalize(&study.path).unwrap_or_else(|_| study.path.clone());
        real.file_name().map_or_else(|| shown(&study.path), |name| plain(&name.to_string_lossy()))
    };
    let by_folder: Vec<String> = studies.iter().map(folder).collect();
    if unique(&by_folder) { by_folder } else { studies.iter().map(|study| shown(&study.path)).collect() }
}

fn check_only(
    only: &[String],
    studies: &[FinishedStudy],
    called: &impl Fn(usize, &RecipeRecord) -> String,
) -> Result<(), Failure> {
    let mut all: Vec<String> = Vec::new();
    for (n, study) in studies.iter().enumerate() {
        for recipe in &study.record.recipes {
            for name in [recipe.name.clone(), called(n, recipe)] {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
    }
    for name in only {
        if !all.contains(name) {
            let hint = match nearest(name, all.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", all.join(", ")),
            };
            return Err(Failure::new(USAGE, format!("there is no recipe {name:?} to compare"), Some(hint)));
        }
    }
    Ok(())
}

/// The studies, as numbers, by their test images: those of one data set, and the same ones of it.
fn by_images(studies: &[FinishedStudy]) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = Vec::new();
    let same = |a: &FinishedStudy, b: &FinishedStudy| {
        let labels = a.images.labels.is_empty() || b.images.labels.is_empty() || a.images.labels == b.images.labels;
        let (of_a, of_b) = (&a.record.dataset, &b.record.dataset);
        labels && of_a.sha256 == of_b.sha256 && (of_a.test, of_a.classes) == (of_b.test, of_b.classes)
    };
    for (n, study) in studies.iter().enumerate() {
        match sets.iter_mut().find(|set| set.iter().all(|&m| same(&studies[m], study))) {
            Some(set) => set.push(n),
            None => sets.push(vec![n]),
        }
    }
    sets
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}
