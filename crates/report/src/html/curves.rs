//! Loss and validation accuracy by epoch.

use maud::{Markup, html};
use tenfold_study::record::mean_epochs;

use super::Page;
use super::blocks::numbers;
use super::chart::figure;
use crate::curves::{learning_curves_svg, series};
use crate::format::{NONE, percent};

pub(super) fn section(page: &Page) -> Option<Markup> {
    let series = series(page.record());
    if series.iter().all(|s| s.runs.iter().all(Vec::is_empty)) {
        return None;
    }
    let number = |n: Option<f64>| n.map_or(NONE.to_owned(), |n| format!("{n:.4}"));
    let mut rows = Vec::new();
    for recipe in &page.record().recipes {
        let mut epochs = mean_epochs(&recipe.trials);
        if epochs.is_empty() {
            epochs = recipe.trials.first().map_or(Vec::new(), |trial| trial.epochs.clone());
        }
        for e in epochs {
            let accuracy = e.valid_accuracy.map_or(NONE.to_owned(), percent);
            rows.push(vec![
                recipe.name.clone(),
                e.epoch.to_string(),
                number(e.train_loss),
                number(e.valid_loss),
                accuracy,
            ]);
        }
    }
    let head = ["recipe", "epoch", "training loss", "validation loss", "validation accuracy"];
    let table = numbers("Mean over seeds, as far as all of them were trained", &head, &rows);
    Some(html! {
        p { "Thin lines are seeds, thick ones their mean as far as all were trained. Training losses are means over an epoch in \
             which the network was still learning, validation losses are those at its end."
            @if page.record().recipes.iter().any(|recipe| recipe.settings.augment.mixes()) {
                " Where a recipe has mixup, its training loss is that of mixtures, by both of their labels: it lies above that of \
                 the images themselves."
            }
        }
        (figure("Learning curves", "Validation accuracy on the left, losses on the right, by epoch.", &learning_curves_svg(&series), table))
    })
}
