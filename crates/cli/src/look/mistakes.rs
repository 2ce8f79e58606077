//! The test images that the networks get wrong, and suspect labels.

use tenfold_report::format::count;
use tenfold_report::look::gallery::{Entry, Gallery, Pair, gallery as picture};
use tenfold_report::look::page::gallery_page;
use tenfold_study::look::{Guesses, gallery};
use tenfold_study::record::RecipeRecord;
use tenfold_study::trained;

use super::{LOOK, Looked, class_names, image};
use crate::failure::{Failure, USAGE};
use crate::output::{self, plain};
use crate::progress::bar;

/// Suspect labels that are listed at most; the page has all.
const SUSPECTS: usize = 20;
/// Images of a pair that are shown at most.
const MOST_OF_A_PAIR: usize = 24;

/// Writes the gallery of mistakes as a page and as a picture.
pub(super) fn look(looked: &Looked) -> Result<(), Failure> {
    let record = &looked.study.record;
    let finished: Vec<_> = record.recipes.iter().flat_map(RecipeRecord::finished).collect();
    if finished.is_empty() {
        return Err(Failure::new(USAGE, "no training has finished".to_owned(), None));
    }
    let test = &looked.splits.test;
    let progress = bar("what each network says of the test images", finished.len());
    let mut said = Vec::new();
    for trial in &finished {
        let model = trained(&looked.folder, record, trial)?;
        said.push((trial.recipe.as_str(), test.evaluate(&model, looked.threads).probabilities));
        progress.inc(1);
    }
    progress.finish_and_clear();
    let said: Vec<(&str, &[f32])> = said.iter().map(|(recipe, p)| (*recipe, &p[..])).collect();
    let found = gallery(&said, test.labels_for_report(), test.classes());

    let names = class_names(record);
    let name = |class: u16| names[usize::from(class)].clone();
    let guesses = |guesses: &[Guesses]| {
        let two = |g: &Guesses| (g.recipe.clone(), g.best.map(|(class, p)| (name(class), p)));
        guesses.iter().map(two).collect::<Vec<_>>()
    };
    let entry = |number: usize, label: u16, taken_for: u16, wrong, all: &[Guesses]| Entry {
        number,
        image: image(test.shape(), test.image(number)),
        label: name(label),
        taken_for: name(taken_for),
        wrong,
        guesses: guesses(all),
    };
    let pairs = found.pairs.iter().filter_map(|pair| {
        let first = pair.first()?;
        let shown = pair.iter().take(MOST_OF_A_PAIR);
        Some(Pair {
            label: name(first.label),
            taken_for: name(first.taken_for),
            count: pair.len(),
            entries: shown.map(|m| entry(m.image, m.label, m.taken_for, m.wrong, &m.guesses)).collect(),
        })
    });
    // Some may be wrong in another way than the rest.
    let wrong = |all: &[Guesses]| all.iter().fold((0, 0), |sum, g| (sum.0 + g.wrong.0, sum.1 + g.wrong.1));
    let suspects = found.suspects.iter().map(|s| entry(s.image, s.label, s.says, wrong(&s.guesses), &s.guesses));
    let with_some = record.recipes.iter().filter(|recipe| recipe.finished().next().is_some()).count();
    let mistaken: usize = found.pairs.iter().map(Vec::len).sum();
    let many = |n: usize, what: &str| format!("{} {what}{}", count(n as u64), if n == 1 { "" } else { "s" });
    let shown = Gallery {
        title: record.title.clone(),
        subtitle: format!("{}, {}", many(with_some, "recipe"), many(finished.len(), "training")),
        suspects: suspects.collect(),
        pairs: pairs.collect(),
    };
    output::out(&format!(
        "{} of {} test images are taken for another class by at least half of a recipe's trainings; {} suspect, for a \
         person to look at\n",
        count(mistaken as u64),
        count(test.len() as u64),
        if found.suspects.len() == 1 {
            "1 label is".to_owned()
        } else {
            format!("{} labels are", found.suspects.len())
        },
    ))?;
    for suspect in found.suspects.iter().take(SUSPECTS) {
        let (yes, of) = suspect.votes;
        output::out(&format!(
            "  test image {}{}, labelled {}: {yes} of {of} networks say {}\n",
            suspect.image,
            looked.study.test_paths.get(suspect.image).map_or(String::new(), |path| format!(" ({})", plain(path))),
            name(suspect.label),
            name(suspect.says)
        ))?;
    }
    looked.write(&format!("{LOOK}/mistakes.html"), gallery_page(&shown).as_bytes())?;
    looked.write(&format!("{LOOK}/mistakes.png"), &picture(&shown))?;
    let images = shown.suspects.iter().chain(shown.pairs.iter().flat_map(|pair| &pair.entries));
    looked.screen.images(images.map(|entry| &entry.image))
}
